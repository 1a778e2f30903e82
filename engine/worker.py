"""`python -m engine.worker`: one process, one run at a time. Waits warm for a line that names it.

Joins the parts: data, trainer, recorder and the run's file. The command line runs the same code
in the foreground through `work`. After a run that ended as it should the process takes the next:
importing torch costs more than many a short run.
"""

import contextlib
import gc
import json
import os
import platform
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import torch

from engine import __version__, checkpoints, data, processes, store, trainer
from engine.data_sets import default_data
from engine.errors import DataError, DeviceError, DivergedError, EngineError, StoreError
from engine.helm import Helm
from engine.keeping import Keeper
from engine.recorder import Recorder
from engine.records import EpochEnd, Event
from engine.run_info import RunInfo
from engine.spec import RunSpec
from engine.steered import Steered

NICE = 5  # training goes behind the page: also where every core trains, the screen stays quick
COMMIT_S = 0.1  # between commits, at least: what a reader can be late by
NO_MEMORY = (
    "Failed at step {step}: this machine has not enough memory for it; "
    "take a smaller depth, width or batch size."
)
Hear = Callable[[int, EpochEnd | None], None]


class Job:
    """One run, from its file to its end.

    file  of the run, queued
    hear  called after each commit with the step, and with each epoch's end
    """

    def __init__(self, file: Path, hear: Hear = lambda step, end: None):
        self.writer = store.Writer(file)
        self.hear = hear
        self.ask_to_stop = threading.Event()  # by an order, a signal, or when the server has gone
        self.reason = "Stopped."
        self.refused = False  # whether what was asked cannot be had here
        self.is_told = False  # whether its end is written and was no defect
        self.recorder: Recorder | None = None  # until there is something to record
        self.helm = Helm(self.writer, self.ask_to_stop.set)
        self.keeper = Keeper(file)
        self.step = 0
        self.committed = self.looked = 0.0  # time.monotonic of the last commit, look at the orders
        self.pid, self.pid_started = os.getpid(), processes.begun(os.getpid())

    def work(self) -> str:
        """Train the run to its end, whatever that is; the status it ended with."""
        try:
            with store.Reader(self.writer.path) as reader:
                info = reader.run()
            self.step = info.step
            self.commit()
            self.writer.update(status=store.RUNNING, sentence="", ended=None, started=time.time())
            self.writer.update(versions=_versions())
            status, sentence = self._train(info)
            trace = ""
        except DivergedError as error:
            status, sentence, trace = store.DIVERGED, str(error), ""
        except EngineError as error:
            status, sentence, trace = store.FAILED, str(error), ""
            self.refused = isinstance(error, DataError | DeviceError)
        except KeyboardInterrupt:
            status, sentence, trace = store.STOPPED, f"Stopped at step {self.step}.", ""
        except Exception as error:
            # A defect: the run must not be left as running, and the traceback is kept for the page.
            status, sentence = store.FAILED, f"Failed at step {self.step}: {_name(error)}."
            trace = traceback.format_exc()
            if _is_memory(error):
                sentence = NO_MEMORY.format(step=self.step)
        return self._end(status, sentence, trace)

    def _end(self, status: str, sentence: str, trace: str) -> str:
        if self.ask_to_stop.is_set() and status == store.FAILED and not trace:
            status, sentence = store.STOPPED, self.reason
        self.keeper.close()
        if self.recorder is not None:
            self.recorder.flush()
        with contextlib.suppress(StoreError):  # on a full disk the last moments are lost
            self.commit()
        with contextlib.suppress(StoreError):  # then the supervisor says that the worker is gone
            self.writer.update(
                status=status, sentence=sentence, traceback=trace, ended=time.time(), activity=""
            )
            self.is_told = not trace
            self.writer.fold()
        self.writer.close()
        return status

    def _train(self, info: RunInfo) -> tuple[str, str]:
        spec = info.spec
        device = trainer.set_up(spec)
        self.writer.update(device=device.type)
        self.say(f"loading {spec.data_set.title}")
        examples, test = data.load(spec, self.say)
        state = _origin(self.writer.path)
        if state is None:
            run = trainer.prepare(spec, examples, test, device)
        else:
            run = trainer.resume(spec, examples, test, device, state)
        recorder = Recorder(spec, self.writer.add, self.should_stop, run.clock)
        if state is not None:
            recorder.recall(state.position.step, state.recorder, device)
            self.step = state.position.step
        self.recorder = recorder
        self.say("")
        steered = Steered(self, recorder, run, info.changes)
        trainer.train(run, steered)
        self.step = steered.step
        if self.ask_to_stop.is_set():
            self.writer.add(Event(step=self.step, kind="stop", words="stopped", at=time.time()))
            return store.STOPPED, f"{self.reason[:-1]} at step {self.step}."
        return store.FINISHED, f"Finished after {self.step} steps."

    def say(self, words: str) -> None:
        """Tell people what goes on before the first step; also a chance to be stopped."""
        self.writer.update(activity=words)
        self.helm.look(self.step)
        if self.ask_to_stop.is_set():
            raise EngineError(self.reason)

    def should_stop(self) -> bool:
        """Commit ten times a second; whether to stop. Asked before each step."""
        # The first records at once: the sooner a number is on the screen the better.
        if time.monotonic() - self.committed >= COMMIT_S or self.step <= 2:
            self.commit()
            self.hear(self.step, None)
        return self.ask_to_stop.is_set()

    def commit(self) -> None:
        """Write all there is, with a sign of life."""
        with self.recorder.meter if self.recorder is not None else contextlib.nullcontext():
            if self.recorder is not None:
                self.recorder.flush()
            self.writer.commit((self.pid, self.pid_started, self.step))
        self.committed = time.monotonic()


def _origin(file: Path) -> checkpoints.State | None:
    """What a run that branched off begins with; None of one that begins at its beginning."""
    with store.Reader(file) as reader:
        found = [one.step for one in reader.checkpoints() if one.kind == "branch"]
        raw = reader.state(found[0]) if found else None
    return checkpoints.from_bytes(raw) if raw is not None else None


def _versions() -> str:
    packages = {name: version(name) for name in ("torch", "numpy")}
    return json.dumps(
        {"vglab": __version__, "python": platform.python_version(), **packages}, sort_keys=True
    )


def _name(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0]}" if words else type(error).__name__


def _is_memory(error: Exception) -> bool:
    """Whether there was not enough memory: torch tells it in words alone where it is the CPU's."""
    kinds = MemoryError, torch.OutOfMemoryError
    return isinstance(error, kinds) or "DefaultCPUAllocator" in str(error)


def warm_up() -> None:
    """Do everything a first step does once, so that the first real step need not."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    name = default_data()
    spec = RunSpec(data="digits", depth=2, width=8, steps=2, device="cpu")
    examples, test = data.load(spec)
    recorder = Recorder(spec, lambda item: None)
    trainer.train(trainer.prepare(spec, examples, test, torch.device("cpu")), recorder)
    if name != "digits":
        import torchvision.datasets  # noqa: F401  # takes a second, the first time


class Orders:
    """What the server says on stdin: a line for each run, and its end when the server has gone.

    VGLAB_ORPHANS=finish lets a run go on without the server; otherwise it stops, recorded.
    """

    def __init__(self) -> None:
        self.files: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._job: Job | None = None
        self._reason = ""  # why to end; once there is one
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self.files.put(Path(json.loads(line)["file"]))
        if os.environ.get("VGLAB_ORPHANS") != "finish":
            self.end("Stopped with the server.")
        self.files.put(None)

    def end(self, reason: str) -> None:
        """Take no further run, and ask the one that is going on to stop."""
        self._reason = reason
        self.files.put(None)
        self._pass_on()

    def take(self, job: Job | None) -> None:
        """The run that goes on from now on. It may have been ended before it could be named."""
        self._job = job
        self._pass_on()

    def _pass_on(self) -> None:
        job = self._job
        if job is not None and self._reason:
            job.reason = self._reason
            job.ask_to_stop.set()


def main() -> None:
    """Wait warm, take a run, work, say so with an empty line, wait for the next.

    The process ends when stdin closes, and after a run that ended badly: nothing of that may touch
    another, and a run whose end could not be written must not be taken for a living one.
    """
    if hasattr(os, "nice"):
        os.nice(NICE)
    said, sys.stdout = sys.stdout, sys.stderr  # whatever else prints must not be taken for ours
    warm_up()
    orders = Orders()
    signal.signal(signal.SIGTERM, lambda number, frame: orders.end("Stopped by the system."))
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while (file := orders.files.get()) is not None:
        job = Job(file)
        orders.take(job)
        job.work()
        if not job.is_told:
            return
        del job
        orders.take(None)
        gc.collect()
        with contextlib.suppress(OSError):
            print(file=said, flush=True)


if __name__ == "__main__":
    main()
