"""Keeps moments of training in the run's file, beside the training and without holding it up.

A checkpoint is one transaction: one that is interrupted never touches those before it. What is kept
is bounded; a run goes on recording where no more can be kept.
"""

import contextlib
import queue
import shutil
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from engine import store
from engine.errors import StoreError
from engine.run_info import Checkpoint

MOST_BYTES = 200_000_000  # of a run's checkpoints
MOST_EPOCHS = (
    32  # epoch ends that are kept: from the nearest, at most a 16th of a run is trained again
)
MOST_CHANGES = 64
FREE_BYTES = 50_000_000  # left on the disk for what is recorded


def stride(kept: int, epoch: int) -> int:
    """Of how many epoch ends one is kept when `epoch` are done: doubles as often as they would be too many."""
    step = 1
    while epoch // step > kept:
        step *= 2
    return step


def surplus(
    kept: Sequence[Checkpoint], most_bytes: int = MOST_BYTES, most_epochs: int = MOST_EPOCHS
) -> list[int]:
    """The steps of the checkpoints to let go. The start, a branch's origin and the newest stay.

    Epoch ends are thinned by powers of two, as records are; then, where changes are very many or the
    rest is still too large, every second of what is left.
    """
    last = kept[-1].step if kept else 0
    epochs = [c for c in kept if c.kind == "epoch"]
    every = stride(most_epochs, max((c.epoch for c in epochs), default=0))
    gone = {c.step for c in epochs if c.epoch % every and c.step != last}
    changes = [c.step for c in kept if c.kind == "change" and c.step != last]
    while len(changes) > MOST_CHANGES:
        gone |= set(changes[1::2])
        changes = changes[::2]
    while sum(c.bytes for c in kept if c.step not in gone) > most_bytes:
        left = [
            c.step
            for c in kept
            if c.step not in gone and c.kind not in ("start", "branch") and c.step != last
        ]
        if not left:
            break
        gone |= set(left[::2])
    return sorted(gone)


class Keeper:
    """Writes checkpoints in a thread of its own, one after the other.

    path  the run's file
    """

    def __init__(self, path: Path):
        self.path = path
        self.fault = ""  # one sentence, once nothing more can be kept
        self._last_step = -1
        self._waiting: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=1)
        self._thread: threading.Thread | None = None

    def keep(self, step: int, epoch: int, kind: str, make: Callable[[], bytes]) -> None:
        """Keep what `make` gives, which is called in the thread. Waits while another is written."""
        if self.fault or step == self._last_step:
            return
        self._last_step = step
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="keeper", daemon=True)
            self._thread.start()
        self._waiting.put(lambda: self._keep(step, epoch, kind, make))

    def is_due(self, epoch: int) -> bool:
        """Whether the end of epoch `epoch`, from 1, is kept."""
        return not self.fault and epoch % stride(MOST_EPOCHS, epoch) == 0

    def close(self) -> None:
        """Wait until all is written."""
        if self._thread is not None:
            self._waiting.put(None)
            self._thread.join()
            self._thread = None

    def _work(self) -> None:
        while (job := self._waiting.get()) is not None:
            if self.fault:
                continue
            try:
                job()
            except Exception as error:  # whatever it is, the training must not wait for this thread
                said = str(error).rstrip(".") or type(error).__name__
                self.fault = f"No more checkpoints are kept: {said}."

    def _keep(self, step: int, epoch: int, kind: str, make: Callable[[], bytes]) -> None:
        state = make()
        megabytes = len(state) / 1e6
        if len(state) > MOST_BYTES:
            raise StoreError(
                f"one of this network takes {megabytes:,.0f} MB, and a run has "
                f"{MOST_BYTES / 1e6:,.0f} MB for all"
            )
        free = shutil.disk_usage(self.path.parent).free
        if free < len(state) + FREE_BYTES:
            raise StoreError(f"the disk has {free / 1e6:,.0f} MB left, which the records need")
        checkpoint = Checkpoint(step=step, epoch=epoch, kind=kind, bytes=len(state))
        with store.Writer(self.path) as writer:
            writer.keep(checkpoint, state, surplus)
            with contextlib.suppress(StoreError):  # what stays in the log is moved another time
                writer.fold(wait=False)
