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
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import psutil

from engine import limits, processes, runs, store
from engine.contenders import set_of
from engine.errors import EngineError, StoreError
from engine.library import index
from engine.processes import Pulse

log = logging.getLogger(__name__)
STOP_S = 4.0  # how long workers have to stop by themselves when the server stops
TICK_S = 0.1
KILLED = 9  # the signal that cannot be heard
MOST_PAUSED = 4  # runs that are paused and leave their place to others: each holds its memory
LOOK_S = 10.0  # between looks at the whole library for runs that others left
REST_S = 3.0  # after a start, before the next spare warms up: it would take the run's first seconds


def default_workers() -> int:
    """How many workers run at once: VGLAB_WORKERS, else all cores but one."""
    return limits.most("workers")


class Worker:
    """A worker process: warm from the start, then given one run after the other."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, *processes.command(os.getpid())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=Path(__file__).parents[1],
            env=processes.environment() | runs.SAME_BITS,
            start_new_session=True,  # Ctrl-C in the terminal reaches the server, which stops us
        )
        self.file: Path | None = None
        self.pulse: Pulse | None = None  # of its run
        self.rests = threading.Event()  # between two runs
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        for _ in self.process.stdout or ():  # a line for each run that has ended
            self.rests.set()
            runs.queued.set()

    def give(self, file: Path) -> None:
        """Hand it its run. Raises OSError where it is dead."""
        assert self.process.stdin is not None
        self.file = file
        self.pulse = Pulse(file, self.process.pid)
        self.rests.clear()
        self.process.stdin.write(json.dumps({"file": str(file)}).encode() + b"\n")
        self.process.stdin.flush()

    def is_alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        """End it at once."""
        self.process.kill()

    def close(self) -> None:
        """Let go of it: it ends by itself when it has nothing to do."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()

    def end(self, deadline: float) -> None:
        """Wait until its run has ended, but not beyond `deadline` (time.monotonic); it ends too."""
        while self.is_alive() and time.monotonic() < deadline and not self.rests.wait(0.05):
            pass
        self.close()  # a worker that rests would wait for its next run
        try:
            self.process.wait(max(0.0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Adopted:
    """A worker that an earlier server left at its run: it takes no other, and ends with this one.

    Its orders reach it through the run's file, as everybody's do.
    """

    def __init__(self, file: Path, pid: int, started: float):
        self.file, self.pid, self.started = file, pid, started
        self.pulse = Pulse(file, pid)

    def is_alive(self) -> bool:
        return processes.is_alive(self.pid, self.started)

    def kill(self) -> None:
        """End it at once."""
        processes.kill(self.pid)

    def end(self, deadline: float) -> None:
        """Wait until it has ended, but not beyond `deadline` (time.monotonic)."""
        while self.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        if self.is_alive():
            self.kill()


def _is_orphan(info: store.RunInfo) -> bool:
    return info.pid is not None and processes.is_orphan(info.pid)


def _is_paused(worker: Worker | Adopted) -> bool:
    with contextlib.suppress(EngineError):
        return worker.file is not None and runs.info(worker.file.stem).status == store.PAUSED
    return False


def _end_lost(file: Path, why: str) -> None:
    """Write down that a run's worker is gone, where the run has not ended."""
    with contextlib.suppress(EngineError):
        runs.end_open(file, store.LOST, runs.lost_words(runs.info(file.stem).step, why))


def _why(code: int | None) -> str:
    """Why a worker is gone, as far as the code it ended with tells."""
    if code == -KILLED:
        return "its worker was killed, by a person or by the system for want of memory"
    return "its worker is gone"


@lru_cache(maxsize=256)
def _is_branch(run: str) -> bool:
    with contextlib.suppress(EngineError):
        return bool(runs.info(run).parent)
    return False


class Supervisor:
    """Gives queued runs to workers: at most so many at once, and one spare that waits warm.

    Lives in a thread of the server, from its start to its stop.

    workers how many train at once; for None default_workers, and while a set is trained
            limits.workers_of_a_set
    takes   which runs it takes from the queue: of a command, its own alone. They end with it
    spares  whether a worker waits warm for whoever comes next: not where all that comes is there
    """

    def __init__(
        self,
        workers: int | None = None,
        *,
        takes: Callable[[str], bool] = lambda run: True,
        spares: bool = True,
    ):
        self.workers = workers or default_workers()
        self.together = workers or limits.workers_of_a_set()
        self.takes, self.keeps_spare = takes, spares
        self.spares: list[Worker] = []  # those that have done a run last: they are surely warm
        self.busy: list[Worker] = []
        self.adopted: list[Adopted] = []  # of an earlier server
        self.leaving: list[Worker] = []  # told to go; theirs is only to be waited for
        self.spare_at = 0.0  # time.monotonic before which no new spare is started
        self.look_at = 0.0  # time.monotonic of the next look at the whole library
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._loop, name="supervisor", daemon=True)

    def start(self) -> None:
        """Take up what an earlier server left, and begin."""
        runs.end_lost()
        store.clean(runs.library())
        self._look_around()
        self.thread.start()

    def stop(self) -> None:
        """Stop all workers, by force after STOP_S, and mark their runs as stopped. Blocks."""
        self.stopping.set()
        runs.queued.set()
        self.thread.join()
        for spare in self.spares:
            spare.end(0.0)  # it has no run to lose
        self.spares = []
        deadline = time.monotonic() + STOP_S
        for worker in self._at_work:
            if worker.file is not None:
                with contextlib.suppress(EngineError):
                    runs.send(worker.file.stem, "stop")
        for worker in self._at_work:
            worker.end(deadline)
            runs.end_open(worker.file, store.STOPPED, "Stopped with the server.")
        for worker in self.leaving:
            worker.end(deadline)
        self.busy, self.adopted, self.leaving = [], [], []

    @property
    def _at_work(self) -> list[Worker | Adopted]:
        """What trains a run, each."""
        return [*self.busy, *self.adopted]

    def _loop(self) -> None:
        while not self.stopping.is_set():
            try:
                if time.monotonic() >= self.look_at:
                    self._look_around()
                self._end_hung()
                self._reap()
                self._keep_a_spare()
                while file := self._next():
                    self._begin(file)
                self._let_go()
            except Exception:  # a full disk, say. Without this thread nothing starts any more
                log.exception("The supervisor could not go on, and tries again")
                self.stopping.wait(1.0)
            runs.queued.wait(TICK_S)
            runs.queued.clear()

    def _next(self) -> Path | None:
        """The next run to begin, now ours. A branch is trained beside its parent: someone compares them."""
        if self._has_room():
            return runs.next_queued(self.takes)
        if len(self._at_work) < self.together and runs.is_any_queued():
            return runs.next_queued(lambda run: self.takes(run) and _is_branch(run))
        return None

    def _has_room(self) -> bool:
        """Whether another run may begin. One that is paused takes no core, up to MOST_PAUSED of them."""
        over = len(self._at_work) - self._limit()
        if over < 0:
            return True
        if over >= MOST_PAUSED or not runs.is_any_queued():
            return False
        return sum(map(_is_paused, self._at_work)) > over

    def _limit(self) -> int:
        """How many may train at once, now."""
        files = (worker.file.stem for worker in self._at_work if worker.file is not None)
        is_set = any(set_of(run) != run for run in files)
        return self.together if is_set else self.workers

    def _keep_a_spare(self) -> None:
        for spare in [spare for spare in self.spares if not spare.is_alive()]:
            log.error("A worker ended before it had a run, with code %s", spare.process.poll())
            spare.close()
            self.spares.remove(spare)
            self.spare_at = time.monotonic() + REST_S  # another would end again
        if self.keeps_spare and not self.spares and time.monotonic() >= self.spare_at:
            self.spares = [Worker()]
            self.spare_at = time.monotonic() + REST_S

    def _begin(self, file: Path) -> None:
        try:
            worker = self.spares.pop() if self.spares else Worker()
            worker.give(file)
        except OSError as error:  # no process or no memory to be had, or the spare died just now
            runs.end_open(file, store.FAILED, f"Its worker could not be started: {error}.")
            return
        finally:
            self.spare_at = time.monotonic() + REST_S
        self.busy.append(worker)
        with contextlib.suppress(StoreError, psutil.Error), store.Writer(file) as writer:
            pid = worker.process.pid
            writer.claim(pid, processes.begun(pid))

    def _look_around(self) -> None:
        """Write down whose worker is gone, and adopt the workers of servers that are.

        Not at the start alone: another server may go away, and who was just killed may still be there.
        """
        self.look_at = time.monotonic() + LOOK_S
        if not self.keeps_spare:
            return  # a command's; it leaves them to the next server
        known = {worker.file for worker in self._at_work}
        for info in (entry.info for entry in index.look()[0]):
            file = runs.library() / f"{info.id}{store.SUFFIX}"
            if info.status == store.LOST and info.ended is None:
                runs.end_open(file, store.LOST, info.sentence)
            elif info.status in store.OPEN and file not in known and _is_orphan(info):
                self.adopted.append(Adopted(file, info.pid or 0, info.pid_started or 0.0))

    def _end_hung(self) -> None:
        """End what gives no sign of life any more, so that its place is free for others."""
        for worker in self._at_work:
            if worker.pulse is not None and worker.pulse.is_hung() and worker.file is not None:
                log.error("The worker of %s is hung, and is ended", worker.file.stem)
                worker.kill()
                with contextlib.suppress(EngineError):
                    step = runs.info(worker.file.stem).step
                    runs.end_open(worker.file, store.LOST, worker.pulse.words(step))

    def _reap(self) -> None:
        for orphan in [one for one in self.adopted if not one.is_alive()]:
            self.adopted.remove(orphan)
            _end_lost(orphan.file, "its worker is gone")
        self.leaving = [worker for worker in self.leaving if worker.is_alive()]
        for worker in [w for w in self.busy if w.rests.is_set() or not w.is_alive()]:
            self.busy.remove(worker)
            if worker.is_alive():
                worker.file = worker.pulse = None
                self.spares.append(worker)
                continue
            worker.close()
            if worker.file is not None:
                _end_lost(worker.file, _why(worker.process.poll()))

    def _let_go(self) -> None:
        """Keep one spare, of several the one that was used last."""
        while len(self.spares) > 1:
            self.leaving.append(self.spares.pop(0))
            self.leaving[-1].close()
