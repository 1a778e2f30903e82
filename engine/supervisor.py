"""Worker processes: at most so many at once, the rest wait in the queue, one spare waits warm.

Each is `python -m engine.worker`, started as a program: multiprocessing would run the dashboard's
script again in the child, and in threads two seeded runs share one generator.
"""

import contextlib
import json
import logging
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import psutil

from engine import runs, store
from engine.errors import EngineError, StoreError

log = logging.getLogger(__name__)
STOP_S = 4.0  # how long workers have to stop by themselves when the server stops
TICK_S = 0.1
REST_S = 3.0  # after a start, before the next spare warms up: it would take the run's first seconds


def default_workers() -> int:
    """How many workers run at once: VGLAB_WORKERS, else all cores but one."""
    asked = os.environ.get("VGLAB_WORKERS", "")
    return max(1, int(asked)) if asked.isdigit() else max(1, (os.cpu_count() or 2) - 1)


class Worker:
    """A worker process: warm from the start, then given one run."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.worker"],
            stdin=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            env=os.environ | runs.SAME_BITS,
            start_new_session=True,  # Ctrl-C in the terminal reaches the server, which stops us
        )
        self.file: Path | None = None

    def give(self, file: Path) -> None:
        """Hand it its run. Raises OSError where it is dead."""
        assert self.process.stdin is not None
        self.file = file
        self.process.stdin.write(json.dumps({"file": str(file)}).encode() + b"\n")
        self.process.stdin.flush()

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def close(self) -> None:
        """Let go of a process that has ended."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def end(self, deadline: float) -> None:
        """Wait for it to stop until `deadline` (time.monotonic), then kill it."""
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.close()


class Supervisor:
    """Gives queued runs to workers: at most `workers` at once, and one spare that waits warm.

    Lives in a thread of the server, from its start to its stop.
    """

    def __init__(self, workers: int | None = None):
        self.workers = workers or default_workers()
        self.spare: Worker | None = None
        self.busy: list[Worker] = []
        self.spare_at = 0.0  # time.monotonic before which no new spare is started
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)

    def start(self) -> None:
        """Take up what an earlier server left, and begin."""
        runs.end_lost()
        self.thread.start()

    def stop(self) -> None:
        """Stop all workers, by force after STOP_S, and mark their runs as stopped. Blocks."""
        self.stopping.set()
        runs.queued.set()
        self.thread.join()
        if self.spare is not None:
            self.spare.end(0.0)  # it has no run to lose
            self.spare = None
        deadline = time.monotonic() + STOP_S
        for worker in self.busy:
            if worker.file is not None:
                with contextlib.suppress(EngineError):
                    runs.send(worker.file.stem, "stop")
        for worker in self.busy:
            worker.end(deadline)
            runs.end_open(worker.file, store.STOPPED, "Stopped with the server.")
        self.busy = []

    def _loop(self) -> None:
        while not self.stopping.is_set():
            try:
                self._reap()
                self._keep_a_spare()
                while len(self.busy) < self.workers and (file := runs.next_queued()):
                    self._begin(file)
            except Exception:  # a full disk, say. Without this thread nothing starts any more
                log.exception("The supervisor could not go on, and tries again")
                self.stopping.wait(1.0)
            runs.queued.wait(TICK_S)
            runs.queued.clear()

    def _keep_a_spare(self) -> None:
        if self.spare is not None and not self.spare.is_alive():
            log.error("A worker ended before it had a run, with code %s", self.spare.process.poll())
            self.spare.close()
            self.spare = None
            self.stopping.wait(REST_S)  # it would end again
        if self.spare is None and (not self.busy or time.monotonic() >= self.spare_at):
            self.spare = Worker()
            self.spare_at = time.monotonic() + REST_S

    def _begin(self, file: Path) -> None:
        try:
            worker = self.spare or Worker()
            worker.give(file)
        except OSError as error:  # no process or no memory to be had, or the spare died just now
            runs.end_open(file, store.FAILED, f"Its worker could not be started: {error}.")
            return
        finally:
            self.spare, self.spare_at = None, time.monotonic() + REST_S
        self.busy.append(worker)
        with contextlib.suppress(StoreError, psutil.Error), store.Writer(file) as writer:
            pid = worker.process.pid
            writer.claim(pid, psutil.Process(pid).create_time())

    def _reap(self) -> None:
        for worker in [w for w in self.busy if not w.is_alive()]:
            self.busy.remove(worker)
            worker.close()
            if worker.file is not None:
                with contextlib.suppress(EngineError):
                    step = runs.info(worker.file.stem).step
                    runs.end_open(worker.file, store.LOST, runs.lost_words(step))
