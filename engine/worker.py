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

import psutil
import torch

from engine import __version__, data, store, trainer
from engine.data_sets import default_data
from engine.errors import DataError, DeviceError, DivergedError, EngineError, StoreError
from engine.recorder import Recorder
from engine.records import EpochEnd, Event
from engine.spec import RunSpec

NICE = 5  # training goes behind the page: also where every core trains, the screen stays quick
COMMIT_S = 0.1  # between commits, at least: what a reader can be late by
Hear = Callable[[int, EpochEnd | None], None]


class Job:
    """One run, from its file to its end.

    file  of the run, queued
    hear  called after each commit with the step, and with each epoch's end
    """

    def __init__(self, file: Path, hear: Hear = lambda step, end: None):
        self.writer = store.Writer(file)
        self.hear = hear
        self.ask_to_stop = threading.Event()  # from a signal, or when the server has gone
        self.reason = "Stopped."
        self.refused = False  # whether what was asked cannot be had here
        self.is_told = False  # whether its end is written and was no defect
        self.recorder: Recorder | None = None  # until there is something to record
        self.step = 0
        self.committed = 0.0  # time.monotonic of the last commit
        process = psutil.Process()
        self.pid, self.pid_started = process.pid, process.create_time()

    def work(self) -> str:
        """Train the run to its end, whatever that is; the status it ended with."""
        try:
            with store.Reader(self.writer.path) as reader:
                spec = reader.run().spec
            self.commit()
            self.writer.update(status=store.RUNNING, sentence="", ended=None, started=time.time())
            self.writer.update(versions=_versions())
            status, sentence = self._train(spec)
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
        return self._end(status, sentence, trace)

    def _end(self, status: str, sentence: str, trace: str) -> str:
        if self.ask_to_stop.is_set() and status == store.FAILED and not trace:
            status, sentence = store.STOPPED, self.reason
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

    def _train(self, spec: RunSpec) -> tuple[str, str]:
        device = trainer.set_up(spec)
        self.writer.update(device=device.type)
        self.say(f"loading {spec.data_set.title}")
        examples, test = data.load(spec, self.say)
        self.recorder = Recorder(spec, self.writer.add, self.should_stop)
        recorder = self.recorder
        run = trainer.prepare(spec, examples, test, device)
        self.say("")
        trainer.train(run, _Heard(recorder, self))
        if self.ask_to_stop.is_set():
            self.writer.add(Event(step=self.step, kind="stop", words="stopped"))
            return store.STOPPED, f"{self.reason[:-1]} at step {self.step}."
        return store.FINISHED, f"Finished after {self.step} steps."

    def say(self, words: str) -> None:
        """Tell people what goes on before the first step; also a chance to be stopped."""
        self.writer.update(activity=words)
        self.look_for_orders()
        if self.ask_to_stop.is_set():
            raise EngineError(self.reason)

    def should_stop(self) -> bool:
        """Commit and look for orders ten times a second; whether to stop. Asked at each step."""
        assert self.recorder is not None, "it is the recorder that asks"
        self.step = self.recorder.step + 1
        now = time.monotonic()
        # The first records at once: the sooner a number is on the screen the better.
        if now - self.committed >= COMMIT_S or self.step <= 2:
            self.recorder.flush()
            self.commit()
            self.look_for_orders()
            self.hear(self.step, None)
        return self.ask_to_stop.is_set()

    def commit(self) -> None:
        self.writer.commit((self.pid, self.pid_started, self.step))
        self.committed = time.monotonic()

    def look_for_orders(self) -> None:
        for command in self.writer.new_commands():
            if command.command == "stop":
                self.ask_to_stop.set()
            self.writer.taken(command, self.step)


class _Heard:
    """The recorder, with each epoch's end also heard by the job."""

    def __init__(self, recorder: Recorder, job: Job):
        self.begin_phase, self.before_step = recorder.begin_phase, recorder.before_step
        self.after_backward, self.after_step = recorder.after_backward, recorder.after_step
        self.should_stop = recorder.should_stop
        self.recorder, self.job = recorder, job

    def end_epoch(self, end: EpochEnd) -> None:
        self.recorder.end_epoch(end)
        self.job.hear(end.step, end)


def _versions() -> str:
    packages = {name: version(name) for name in ("torch", "numpy")}
    return json.dumps(
        {"vglab": __version__, "python": platform.python_version(), **packages}, sort_keys=True
    )


def _name(error: BaseException) -> str:
    words = str(error).strip().splitlines()
    return f"{type(error).__name__}: {words[0]}" if words else type(error).__name__


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
        self.job: Job | None = None
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for line in sys.stdin:
            self.files.put(Path(json.loads(line)["file"]))
        if os.environ.get("VGLAB_ORPHANS") != "finish":
            self.end("Stopped with the server.")
        self.files.put(None)

    def end(self, reason: str) -> None:
        """Take no further run, and ask the one that is going on to stop."""
        self.files.put(None)
        if self.job is not None:
            self.job.reason = reason
            self.job.ask_to_stop.set()


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
        orders.job = job = Job(file)
        job.work()
        if not job.is_told:
            return
        del job
        orders.job = None
        gc.collect()
        with contextlib.suppress(OSError):
            print(file=said, flush=True)


if __name__ == "__main__":
    main()
