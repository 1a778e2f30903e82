"""What the tests of faults share: a server to kill, a run that is watched, and what must be left of it.

As a program it is that server: the supervisor as app.py has it, without the pages.
"""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from engine import processes, runs, store  # noqa: E402
from engine.errors import EngineError  # noqa: E402
from engine.spec import RunSpec  # noqa: E402

#: How often each kind of killing is done.
KILLS = int(os.environ.get("VGLAB_KILLS", "2"))
PATIENCE = 90
#: Much is written: many layers, an epoch's end and a checkpoint every few steps.
BUSY = RunSpec(width=16, depth=12, subset=300, batch_size=32, epochs=10**4, device="cpu")
#: What only grows, and what orders it.
TABLES = {
    "records": "step",
    "histograms": "step",
    "steps": "first",
    "epochs": "epoch",
    "events": "id",
    "kernel": "id",
}


def wait_for(what, seconds=PATIENCE):
    """Until `what()` is true; the value."""
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)
    return value


def press(spec):
    """Queue a run as Train does, but without asking what this machine allows; its id."""
    run = runs.create(spec)
    runs.enqueue(run, time.time_ns())
    return run


def written(run):
    """A run as its file says it, whether that is so or not; None where it cannot be read."""
    try:
        with store.Reader(runs.path(run)) as reader:
            return reader.run()
    except EngineError:
        return None


def has_ended(run):
    return written(run).status not in store.OPEN


def is_recording(run):
    return written(run).step > 0


class Server:
    """The supervisor of a dashboard in a process that can be killed."""

    def __init__(self, **environment):
        self.process = subprocess.Popen(
            [sys.executable, __file__],
            env=os.environ | {"VGLAB_WORKERS": "1"} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def wait(self):
        """Until it has begun."""
        assert self.process.stdout.readline()

    def kill(self):
        self.process.kill()
        self._let_go()

    def stop(self):
        """End it as Ctrl-C does."""
        self.process.stdin.close()
        self._let_go()

    def _let_go(self):
        self.process.wait(PATIENCE)
        self.process.stdout.close()
        self.process.stdin.close()

    def __enter__(self):
        self.wait()
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.stop()


class Watched:
    """A run that somebody reads while it trains: every committed row that was seen."""

    def __init__(self, run):
        self.run, self.path, self.seen = run, runs.path(run), {}
        self.reader = store.Reader(self.path)

    def look(self):
        """Read what is new."""
        for table, key in TABLES.items():
            last = max((k for t, k in self.seen if t == table), default=-1) if self.seen else -1
            for row in self._rows(self.reader.connection, table, key, last):
                self.seen[table, row[0]] = row

    def look_for(self, seconds):
        """Read as a viewer does, for so long."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self.look()
            time.sleep(min(0.03, left))

    @staticmethod
    def _rows(connection, table, key, after=-1):
        asked = f"SELECT {key}, * FROM {table} WHERE {key} > ? ORDER BY {key}"
        return connection.execute(asked, (after,)).fetchall()

    def lost(self):
        """How many of the rows that were seen are not there any more, byte for byte."""
        self.reader.close()
        with store.Reader(self.path) as reader:
            there = {
                (table, row[0]): row
                for table, key in TABLES.items()
                for row in self._rows(reader.connection, table, key)
            }
        return sum(there.get(place) != row for place, row in self.seen.items())


def check_whole(run):
    """Assert that a run's file is sound, opens, and can be read to its end."""
    with store.Reader(runs.path(run)) as reader:
        assert reader.connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        records = reader.records()
        assert all(reader.record(record.step) is not None for record in records)
        blocks, kept = reader.steps(), reader.checkpoints()
        firsts = [block.first for block in blocks]
        ends = [block.first + len(block.loss) for block in blocks]
        assert firsts[1:] == ends[:-1], "steps are missing"
        assert all(len(reader.state(one.step)) == one.bytes for one in kept)
        reader.run(), reader.epochs(), reader.events(), reader.kernel()


def check_not_running(run):
    """Assert that a run that its file calls running has a living process."""
    info = written(run)
    assert info.status not in store.BEGUN or processes.is_alive(info.pid, info.pid_started)


def kill(pid):
    """kill -9, of a process that may have gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def moments(kind):
    """The seeded moments of one kind of killing: (from the press?, seconds) of each."""
    drawn = random.Random(kind)
    return [(drawn.random() < 0.25, drawn.uniform(0, 0.8)) for _ in range(KILLS)]


def serve():
    """Supervise until stdin ends."""
    from engine.supervisor import Supervisor

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    supervisor = Supervisor()
    supervisor.start()
    print("ready", flush=True)
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    ended.wait()
    supervisor.stop()


if __name__ == "__main__":
    serve()
