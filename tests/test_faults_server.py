"""The server as a person starts it: killed, restarted, two on one library. And clocks that are set."""

import contextlib
import os
import socket
import subprocess
import sys
import time
import urllib.request

import faults
import pytest
from faults import BUSY, ROOT, Server, Watched, has_ended, is_recording, press, wait_for, written
from reliability import note

from engine import processes, runs, store
from engine.spec import RunSpec
from ui import numbers, states

SHORT = RunSpec(width=8, depth=2, subset=200, epochs=2, device="cpu")


class Dashboard(Server):
    """`streamlit run app.py`, in place of the supervisor alone."""

    def __init__(self, **environment):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/live/health"
        options = ["--server.port", str(port), "--server.address", "127.0.0.1"]
        options += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "streamlit", "run", "app.py", *options],
            cwd=ROOT,
            env=os.environ | {"VGLAB_WORKERS": "1"} | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def wait(self):
        wait_for(self._answers)

    def _answers(self):
        direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(OSError):
            return direct.open(self.url, timeout=5).status == 200
        return False

    def stop(self):
        self.process.terminate()
        self._let_go()


def test_a_dashboard_killed_while_a_run_goes_on_finds_it_again(home):
    """With VGLAB_ORPHANS=finish the run goes on, and counts as one that trains at the next start."""
    with Dashboard(VGLAB_ORPHANS="finish") as dashboard:
        run = press(BUSY)
        wait_for(lambda: is_recording(run))
        watched = Watched(run)
        watched.look_for(0.5)
        pid = written(run).pid
        began = time.monotonic()
        dashboard.kill()
        with Dashboard(VGLAB_ORPHANS="finish"):
            took = time.monotonic() - began
            assert (runs.info(run).status, runs.info(run).pid) == (store.RUNNING, pid)
            step = written(run).step
            wait_for(lambda: written(run).step > step)
            waiting = press(SHORT)
            time.sleep(1.0)
            assert runs.queue_position(waiting) == 1, "the run that was found counts for the cap"
            runs.send(run, "stop")
            wait_for(lambda: has_ended(run))
            wait_for(lambda: written(waiting).status == store.FINISHED)
    assert written(run).sentence == f"Stopped at step {written(run).step}."
    lost = watched.lost()
    assert lost == 0
    faults.check_whole(run)
    note("the dashboard killed, and its run found again", lost=lost, seconds=took)


def test_a_dashboard_and_its_worker_killed_leave_a_library_that_opens(home):
    with Dashboard() as dashboard:
        run, waiting = press(BUSY), press(SHORT)
        wait_for(lambda: is_recording(run))
        watched = Watched(run)
        watched.look_for(0.5)
        worker = written(run).pid
        began = time.monotonic()
        dashboard.kill()
        faults.kill(worker)
        with Dashboard():
            took = time.monotonic() - began
            wait_for(lambda: written(waiting).status == store.FINISHED)
            wait_for(lambda: has_ended(run))
    assert written(run).status in (store.LOST, store.STOPPED)
    lost = watched.lost()
    assert lost == 0
    faults.check_whole(run)
    note("the dashboard and its worker killed", lost=lost, seconds=took)


def test_a_server_that_is_stopped_ends_the_run_it_had_found(home):
    """As it ends its own. Meanwhile the run was another server's, which is gone."""
    first = Server(VGLAB_ORPHANS="finish")
    first.wait()
    run = press(BUSY)
    wait_for(lambda: is_recording(run))
    first.kill()
    pid = written(run).pid
    assert wait_for(lambda: processes.is_orphan(pid))
    with Server(VGLAB_ORPHANS="finish"):
        assert runs.info(run).status == store.RUNNING
    assert written(run).status == store.STOPPED
    assert not processes.exists(pid)
    faults.check_whole(run)


def test_two_servers_on_one_library_train_each_run_once(home):
    """No run is lost, none is begun twice: its steps follow each other, and it has one process."""
    made = []
    with Server(), Server():
        began = time.monotonic()
        made = [press(SHORT) for _ in range(20)]
        wait_for(lambda: all(map(has_ended, made)))
        took = time.monotonic() - began
    assert len({written(run).pid for run in made}) >= 2, "one server had nothing to do"
    for run in made:
        info = written(run)
        assert (info.status, info.step) == (store.FINISHED, SHORT.total_steps)
        faults.check_whole(run)
        with store.Reader(runs.path(run)) as reader:
            assert sum(len(block.loss) for block in reader.steps()) == SHORT.total_steps
            assert [end.epoch for end in reader.epochs()] == [1, 2]
        note("a run on a library that two servers share", seconds=took / len(made))


def test_a_server_that_starts_does_not_end_what_another_has_just_taken(home):
    """Between the queue and its worker's first word a run is nobody's, for some milliseconds."""
    run = press(SHORT)
    file = runs.next_queued()
    with store.Writer(file) as writer:  # the other server's worker is quicker than the look
        writer.update(status=store.RUNNING)
    runs.end_open(file, store.STOPPED, "Stopped before it began.", (store.QUEUED,))
    assert written(run).status == store.RUNNING


@pytest.mark.parametrize("jump", [-5 * 3600, 5 * 3600])
def test_a_clock_that_is_set_gives_no_id_twice_and_keeps_each_in_the_queue(jump, monkeypatch):
    clock, nanoseconds, form = time.time, time.time_ns, time.strftime
    before = [press(SHORT) for _ in range(2)]
    monkeypatch.setattr(time, "time", lambda: clock() + jump)
    monkeypatch.setattr(time, "time_ns", lambda: nanoseconds() + jump * 10**9)
    monkeypatch.setattr(time, "strftime", lambda words: form(words, time.localtime(clock() + jump)))
    after = [press(SHORT) for _ in range(2)]
    assert len({*before, *after}) == 4
    taken = [runs.next_queued().stem for _ in range(4)]
    assert sorted(taken) == sorted([*before, *after])
    assert taken.index(before[0]) < taken.index(before[1])
    assert taken.index(after[0]) < taken.index(after[1])
    assert runs.next_queued() is None


def test_a_run_that_ends_before_it_began_by_the_clock_is_told_without_a_negative_time():
    """Its seconds of training are counted by a clock that nobody sets."""
    told = states.of_run(store.FINISHED, step=10, place=0, left=None, took=-7200.0)
    assert "-" not in str(told)
    assert numbers.duration(-7200.0) == "0 s"
