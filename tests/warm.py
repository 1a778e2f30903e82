"""Worker processes that are handed on from test to test: each costs seconds to start."""

from contextlib import contextmanager, suppress

import pytest

from engine import runs
from engine.errors import EngineError
from engine.supervisor import STOP_S, Supervisor, Worker

MOST = 2  # that wait at once: each holds its memory


class Warm:
    """Workers that rest, as between two runs of one server."""

    def __init__(self):
        self.resting = []

    def take(self):
        """A worker that rests, or a new one."""
        while self.resting:
            worker = self.resting.pop()
            if worker.is_alive():
                return worker
            worker.close()
        return Worker()

    def back(self, worker):
        """Keep a worker that can take another run; end any other, and one that has been told to go."""
        can = worker.is_alive() and worker.rests.is_set() and not worker.process.stdin.closed
        if can and len(self.resting) < MOST:
            self.resting.append(worker)
        else:
            worker.end(0.0)

    @contextmanager
    def supervisor(self, workers=1, together=None, **more):
        """A supervisor that has begun, with a warm spare; its runs are stopped at the end."""
        supervisor = Supervisor(workers, **more)
        supervisor.together = together or workers
        supervisor.spares = [self.take()]
        supervisor.start()
        try:
            yield supervisor
        finally:
            self._take_back(supervisor)
            supervisor.stop()

    def _take_back(self, supervisor):
        supervisor.stopping.set()  # it gives out nothing more
        supervisor.thread.join()
        for worker in [w for w in supervisor.busy if w.is_alive()]:
            with suppress(EngineError):  # it has just ended
                runs.send(worker.file.stem, "stop")
            if worker.rests.wait(STOP_S):
                supervisor.busy.remove(worker)
                self.back(worker)
        for worker in supervisor.spares:
            worker.rests.set()  # one that has had no run yet can take one too
            self.back(worker)
        supervisor.spares = []


@pytest.fixture(scope="session")
def warm():
    """Worker processes for tests that need a worker and not a new one."""
    warm = Warm()
    yield warm
    for worker in warm.resting:
        worker.end(0.0)
