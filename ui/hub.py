"""One reader per run, one frame per tick, every viewer's bounded queue.

The hub lives in the server's event loop; the run's file is read in a thread. Each watched run has
a task of its own, so a run whose file is damaged stops nothing but itself.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from engine.errors import EngineError
from engine.store import OPEN, RunInfo
from ui import frames
from ui.views import Display, RunView

T = TypeVar("T")
log = logging.getLogger(__name__)
QUEUE = 4  # frames per viewer and run that may wait to be sent
RECENT = 8  # frames kept for viewers that poll


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a run is looked at, in seconds."""

    tick: float = 0.2  # between two frames, at least
    look: float = 0.05  # between two looks at whether the file changed: cheap, so a frame is fresh
    check: float = 1.0  # between two looks at whether the worker lives
    ended: float = 2.0  # between two looks at a run that has ended
    retry: float = 1.0  # after a failure
    idle: float = 30.0  # without viewers before a run is let go


@dataclass(eq=False)
class Viewer:
    """One browser's feed: what waits to be sent to it, per run."""

    waiting: dict[str, deque[bytes]] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, run: str, frame: bytes, snapshot: Callable[[], bytes]) -> None:
        """Queue a frame; where too many wait, drop them for one that makes up for all."""
        queue = self.waiting.setdefault(run, deque())
        if len(queue) >= QUEUE:
            queue.clear()
            frame = snapshot()
        queue.append(frame)
        self.ready.set()

    async def take(self) -> list[bytes]:
        """Everything that waits, as soon as there is something."""
        await self.ready.wait()
        self.ready.clear()
        taken = [frame for queue in self.waiting.values() for frame in queue]
        for queue in self.waiting.values():
            queue.clear()
        return taken


class Watch:
    """One run, read once for all its viewers."""

    def __init__(self, run: str, path: Path, info: Callable[[], RunInfo], pace: Pace):
        self.run, self.path, self.pace = run, path, pace
        self._info = info
        self.viewers: set[Viewer] = set()
        self.seq = 0
        self.recent: deque[tuple[int, bytes]] = deque(maxlen=RECENT)
        self.last_asked = time.monotonic()
        self.first_frame = asyncio.Event()
        self._view: RunView | None = None
        self._alone = threading.Lock()  # one thread at a time at the file, also while it closes
        self._shown = frames.NOTHING
        self._error = ""
        self._snapshot: tuple[int, bytes] = (-1, b"")

    @property
    def idle(self) -> bool:
        """Whether nobody has asked for this run for a while."""
        return not self.viewers and time.monotonic() - self.last_asked > self.pace.idle

    async def follow(self) -> None:
        """Read and hand out frames until nobody looks any more; returns in the same breath then."""
        while not self.idle:
            try:
                self._publish(await self._in_thread(self._read))
                await asyncio.sleep(self.pace.tick)
                await self._until_changed()
            except EngineError as error:
                self._tell(str(error))
                await asyncio.sleep(self.pace.ended)
            except Exception:  # a defect in showing one run must not stop the feed of the others
                log.exception("run %s cannot be shown; trying again", self.run)
                self._tell("This run cannot be shown just now; trying again.")
                await asyncio.sleep(self.pace.retry)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self._alone:
                return work()

        return await asyncio.to_thread(alone)

    async def close(self) -> None:
        """Let go of the file, once nothing reads it."""
        await self._in_thread(self._close)

    async def _until_changed(self) -> None:
        view = self._view
        checked = time.monotonic()
        while view is not None and not self.idle:
            ended = view.info.status not in OPEN
            if await self._in_thread(view.refresh):
                return
            if time.monotonic() - checked > (self.pace.ended if ended else self.pace.check):
                checked = time.monotonic()
                if await self._in_thread(view.check):
                    return
            await asyncio.sleep(self.pace.ended if ended else self.pace.look)

    def _read(self) -> Display:
        if self._view is None or self._error:
            self._close()
            self._view = RunView(self.path, self._info)
            self._view.refresh()
        return self._view.display()

    def _publish(self, display: Display) -> None:
        change = frames.difference(frames.NOTHING if self._error else self._shown, display)
        full = self.seq == 0 or bool(self._error)
        self._shown, self._error = display, ""
        if not full and not change.header and not change.arrays:
            return
        self.seq += 1
        frame = frames.encode(change, run=self.run, seq=self.seq, full=full, sent_at=_now())
        self._hand_out(frame)

    def _tell(self, words: str) -> None:
        if words == self._error:
            return
        self._error = words
        self.seq += 1
        self._hand_out(frames.sentence(self.run, self.seq, words))

    def _hand_out(self, frame: bytes) -> None:
        self.recent.append((self.seq, frame))
        for viewer in self.viewers:
            viewer.offer(self.run, frame, self.snapshot)
        self.first_frame.set()

    def snapshot(self) -> bytes:
        """One frame that holds all there is, made once per number."""
        if self._snapshot[0] != self.seq:
            self._snapshot = (self.seq, self._encode_whole())
        return self._snapshot[1]

    def _encode_whole(self) -> bytes:
        if self._error:
            return frames.sentence(self.run, self.seq, self._error)
        whole = frames.difference(frames.NOTHING, self._shown)
        return frames.encode(whole, run=self.run, seq=self.seq, full=True, sent_at=_now())

    def since(self, seq: int) -> list[bytes]:
        """What a viewer lacks that has frame `seq`: the next ones, or one that holds all."""
        if seq == self.seq:
            return []
        missed = [frame for number, frame in self.recent if number > seq]
        return missed if len(missed) == self.seq - seq else [self.snapshot()]

    def _close(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None


class Hub:
    """All runs that are being looked at.

    locate  run id -> path of its file; raises EngineError
    info    run id -> what is known of it beside its numbers
    """

    def __init__(
        self,
        locate: Callable[[str], Path],
        info: Callable[[str], RunInfo],
        pace: Pace = Pace(),
    ):
        self._locate, self._info, self._pace = locate, info, pace
        self._watches: dict[str, Watch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def watched(self) -> list[str]:
        """Ids of the runs being read."""
        return list(self._watches)

    async def stop(self) -> None:
        """End all reading."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def watch(self, run: str) -> Watch:
        """The watch of a run, begun if need be. Raises EngineError where there is no such run."""
        watch = self._watches.get(run)
        if watch is None:
            watch = Watch(run, self._locate(run), lambda: self._info(run), self._pace)
            self._watches[run] = watch
            self._tasks[run] = asyncio.create_task(self._keep(watch), name=f"watch {run}")
        watch.last_asked = time.monotonic()
        return watch

    async def _keep(self, watch: Watch) -> None:
        try:
            await watch.follow()
        finally:  # forgotten before anything is awaited: who asks now begins anew
            self._watches.pop(watch.run, None)
            self._tasks.pop(watch.run, None)
            await watch.close()

    def join(self, viewer: Viewer, run: str) -> None:
        """Send a run's frames to a viewer, beginning with all there is."""
        try:
            watch = self.watch(run)
        except EngineError as error:
            frame = frames.sentence(run, 0, str(error))
            viewer.offer(run, frame, lambda: frame)
            return
        watch.viewers.add(viewer)
        self.again(viewer, run)

    def again(self, viewer: Viewer, run: str) -> None:
        """Send all there is once more, to a viewer that has missed something."""
        watch = self._watches.get(run)
        if watch is not None and viewer in watch.viewers and watch.seq:
            viewer.waiting.pop(run, None)
            viewer.offer(run, watch.snapshot(), watch.snapshot)

    def leave(self, viewer: Viewer) -> None:
        """The viewer is gone."""
        for watch in self._watches.values():
            if viewer in watch.viewers:
                watch.viewers.discard(viewer)
                watch.last_asked = time.monotonic()

    async def since(self, run: str, seq: int, patience: float = 2.0) -> list[bytes]:
        """What a polling viewer lacks after frame `seq`; waits for a run's first frame."""
        try:
            watch = self.watch(run)
        except EngineError as error:
            return [frames.sentence(run, 0, str(error))]
        try:
            await asyncio.wait_for(watch.first_frame.wait(), patience)
        except TimeoutError:
            return []
        return watch.since(seq)


def _now() -> int:
    return round(1000 * time.time())
