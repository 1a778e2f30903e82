"""kill -9 of the worker, of the server and of both, at random moments: nothing committed is lost.

VGLAB_KILLS says how often each; moments are seeded. A quarter of them fall within the second after
Train is pressed, while the run is taken from the queue and its worker gets it.
"""

import time

import faults
import pytest
from faults import BUSY, Server, Watched, has_ended, is_recording, wait_for, written
from reliability import note

from engine import processes, runs, store


@pytest.fixture(autouse=True)
def everything_is_listed():
    """At the end every file opens, and no run is called running."""
    yield
    assert runs.broken() == []
    assert all(info.status not in store.BEGUN for info in runs.all())


def until(moment, run):
    """Read a run until the moment to kill has come."""
    soon, seconds = moment
    if not soon:
        wait_for(lambda: is_recording(run))
    watched = Watched(run)
    watched.look_for(seconds)
    return watched


def check(watched, run):
    """Assert that nothing was lost of a run that has ended; for the table."""
    lost = watched.lost()
    assert lost == 0
    faults.check_whole(run)
    return lost


def test_a_killed_worker_loses_nothing_and_the_queue_goes_on():
    with Server():
        for moment in faults.moments("worker"):
            run = runs.start(BUSY)
            wait_for(lambda run=run: written(run).pid)
            watched = until(moment, run)
            began = time.monotonic()
            faults.kill(written(run).pid)
            wait_for(lambda run=run: has_ended(run))
            took = time.monotonic() - began
            info = written(run)
            assert info.status == store.LOST
            assert info.sentence.startswith(f"Stopped unexpectedly at step {info.step}: ")
            note("`kill -9` of the worker", lost=check(watched, run), seconds=took)


def settled(run, finish):
    """Whether a run stands as it should after a restart; "" while it does not yet."""
    info = written(run)
    if info.status not in store.OPEN:
        return "ended"
    if info.status == store.QUEUED and runs.queue_position(run):
        return "queued"
    if not processes.is_alive(info.pid, info.pid_started):
        return ""
    return "trains" if finish or not processes.is_orphan(info.pid) else ""


@pytest.mark.parametrize("orphans", ["stop", "finish"])
def test_a_killed_server_loses_nothing_and_the_next_one_finds_or_ends_what_it_left(orphans):
    """With finish the run goes on, in the same process, and counts as one that trains."""
    environment, finish = {"VGLAB_ORPHANS": orphans}, orphans == "finish"
    server = Server(**environment)
    server.wait()
    for moment in faults.moments(orphans)[orphans == "finish" :: 2]:
        run = runs.start(BUSY)
        watched = until(moment, run)
        before = written(run)
        began = time.monotonic()
        server.kill()
        server = Server(**environment)
        server.wait()
        how = wait_for(lambda run=run: settled(run, finish))
        took = time.monotonic() - began
        faults.check_not_running(run)
        if finish and before.step:
            assert how == "trains"
            assert written(run).pid == before.pid
            step = written(run).step
            wait_for(lambda run=run, step=step: written(run).step > step)
        if how != "ended":
            runs.send(run, "stop")
            wait_for(lambda run=run: has_ended(run))
        what = f"`kill -9` of the server, `VGLAB_ORPHANS={orphans}`"
        note(what, lost=check(watched, run), seconds=took)
    server.stop()


def test_a_server_and_its_worker_killed_together_lose_nothing():
    server = Server()
    server.wait()
    for number, moment in enumerate(faults.moments("both")):
        run = runs.start(BUSY)
        watched = until(moment, run)
        began = time.monotonic()
        worker = written(run).pid
        for end in [server.process.pid, worker][:: 1 - 2 * (number % 2)]:
            if end is not None:
                faults.kill(end)
        server.kill()
        server = Server()
        server.wait()
        how = wait_for(lambda run=run: settled(run, False))
        took = time.monotonic() - began
        faults.check_not_running(run)
        assert worker is None or how == "ended"
        if how != "ended":
            runs.send(run, "stop")
            wait_for(lambda run=run: has_ended(run))
        note("`kill -9` of server and worker", lost=check(watched, run), seconds=took)
    server.stop()
