"""What can befall a worker: numbers that break, no memory, no sign of life. It is shown, and the queue goes on."""

import io
import os
import resource
import signal
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import faults
import psutil
import pytest
from faults import BUSY, Watched, has_ended, is_recording, press, wait_for, written
from reliability import note

from engine import processes, runs, store
from engine.processes import Pulse
from engine.spec import RunSpec
from engine.supervisor import Supervisor
from engine.worker import Orders

SHORT = RunSpec(width=8, depth=3, epochs=1, device="cpu")
BREAKS = RunSpec(
    width=8, depth=30, init="normal", std=100, activation="relu", epochs=5, device="cpu"
)


def check_goes_on(run, *, status, words):
    """Assert that a run ended so, that its file is sound, and that the next one trains to its end."""
    info = wait_for(lambda: has_ended(run)) and written(run)
    assert info.status == status
    assert words in info.sentence
    assert info.sentence.endswith(".")
    faults.check_whole(run)
    again = press(SHORT)
    wait_for(lambda: written(again).status == store.FINISHED)


def test_numbers_that_break_end_the_run_and_the_queue_goes_on(warm):
    with warm.supervisor():
        began = time.monotonic()
        check_goes_on(press(BREAKS), status=store.DIVERGED, words="Diverged at step ")
    note("a loss or gradient that is not finite", seconds=time.monotonic() - began)


def settled_size(process):
    """The bytes of address space of a process that has come to rest: warm, and waiting."""
    sizes = [-1]
    while sizes[-1] != process.memory_info().vms or process.cpu_percent(0.5) > 5:
        sizes.append(process.memory_info().vms)
    return sizes[-1]


def test_a_worker_without_memory_says_so_and_the_queue_goes_on(warm):
    """The limit is the system's own, of its address space: what it has now and a little more."""
    large = RunSpec(width=2048, depth=60, epochs=1, device="cpu")  # a gigabyte of weights
    with warm.supervisor() as supervisor:
        process = wait_for(lambda: supervisor.spares and supervisor.spares[-1].process)
        used = settled_size(psutil.Process(process.pid))
        resource.prlimit(process.pid, resource.RLIMIT_AS, (used + 2 * 10**8, -1))
        began = time.monotonic()
        check_goes_on(press(large), status=store.FAILED, words="not enough memory")
    note("no memory left in the worker", seconds=time.monotonic() - began)


@pytest.fixture
def impatient(monkeypatch):
    """A hung worker is noticed after a second instead of a minute."""
    monkeypatch.setattr(processes, "HUNG_S", 1.0)
    monkeypatch.setattr(processes, "LOOK_S", 0.25)


def test_a_worker_that_hangs_is_ended_and_the_queue_goes_on(warm, impatient):
    with warm.supervisor():
        run = press(BUSY)
        wait_for(lambda: is_recording(run))
        watched = Watched(run)
        watched.look_for(0.3)
        os.kill(written(run).pid, signal.SIGSTOP)
        began = time.monotonic()
        wait_for(lambda: has_ended(run))
        took = time.monotonic() - began
        lost = watched.lost()
        assert lost == 0
        check_goes_on(run, status=store.LOST, words="its worker gave no sign of life")
    note("a worker that hangs, taken for hung after 1 s", lost=lost, seconds=took)


def test_a_paused_run_is_not_taken_for_hung_until_it_obeys_no_order(warm, impatient):
    with warm.supervisor():
        run = press(BUSY)
        wait_for(lambda: is_recording(run))
        runs.send(run, "pause")
        wait_for(lambda: written(run).status == store.PAUSED)
        time.sleep(2.5)
        assert written(run).status == store.PAUSED
        os.kill(written(run).pid, signal.SIGSTOP)
        time.sleep(2.5)
        assert written(run).status == store.PAUSED, "it holds nobody up"
        runs.send(run, "resume")
        wait_for(lambda: has_ended(run))
        assert "gave no sign of life" in written(run).sentence
    note("a paused worker that hangs and is told to go on")


class Made:
    """A pulse whose run, process and clock are made up."""

    def __init__(self, monkeypatch):
        self.now, self.cpu, self.said, self.orders, self.paused = 100.0, 5.0, "", [], False
        monkeypatch.setattr(processes.time, "monotonic", lambda: self.now)
        monkeypatch.setattr(Pulse, "_read", lambda _: (self.said, self.orders, self.paused))
        monkeypatch.setattr(Pulse, "_computed", lambda _: self.cpu)
        self.pulse = Pulse(runs.library() / "none.sqlite", 1)

    def hung_after(self, seconds, each=lambda: None, every=1.0):
        """After how many seconds it is taken for hung, looking each second; None: not for so long."""
        begun = self.now
        while self.now < begun + seconds:
            self.now += every
            each()
            if self.pulse.is_hung():
                return self.now - begun
        return None


def test_a_step_that_takes_an_hour_is_not_taken_for_hung_and_silence_is(monkeypatch):
    made = Made(monkeypatch)

    def compute():
        made.cpu += 0.7

    def write():
        made.said = str(made.now)

    assert made.hung_after(3600, compute) is None
    assert made.hung_after(3600, write) is None
    assert processes.HUNG_S <= made.hung_after(3600) <= processes.HUNG_S + 3 * processes.LOOK_S


def test_a_worker_that_computes_for_ever_is_ended_once_a_stop_has_waited(monkeypatch):
    made = Made(monkeypatch)

    def compute():
        made.cpu += 1.0

    made.orders = ["pause"]
    assert made.hung_after(600, compute) is None
    made.orders = ["stop"]
    assert made.hung_after(600, compute) <= processes.HUNG_S + 2 * processes.LOOK_S
    assert "obeyed no order" in made.pulse.words(7)


def test_a_machine_that_slept_for_an_hour_takes_nobody_for_hung(monkeypatch):
    made = Made(monkeypatch)
    assert made.hung_after(20) is None
    made.now += 3600  # neither server nor worker did anything
    assert not made.pulse.is_hung()


def test_a_worker_whose_server_goes_just_after_it_gave_a_run_stops_that_run(monkeypatch):
    """The end of what it listens to may be read before the run has begun."""
    monkeypatch.setattr("sys.stdin", io.StringIO('{"file": "a run"}\n'))
    orders = Orders()
    assert [orders.files.get(timeout=5), orders.files.get(timeout=5)] == [Path("a run"), None]
    job = SimpleNamespace(reason="", ask_to_stop=threading.Event())
    orders.take(job)
    assert job.ask_to_stop.is_set()
    assert job.reason == "Stopped with the server."


def test_who_was_killed_while_a_server_started_is_noticed_all_the_same(monkeypatch):
    """And a process that is dead and not seen off by its parent is no living one."""
    monkeypatch.setattr("engine.supervisor.LOOK_S", 0.2)
    run = runs.create(SHORT)
    other = psutil.Popen(["sleep", "60"])
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=store.RUNNING)
        writer.commit((other.pid, processes.begun(other.pid), 7))
    server = Supervisor(1)
    server._keep_a_spare = lambda: None  # a worker is not needed
    server.start()
    assert written(run).status == store.RUNNING
    other.kill()
    wait_for(lambda: written(run).status == store.LOST)
    assert not processes.exists(other.pid)
    other.wait()
    server.stop()


def test_only_a_worker_is_killed_whatever_a_file_says():
    with psutil.Popen(["sleep", "60"]) as other:
        processes.kill(other.pid)
        assert other.is_running()
        assert other.status() != psutil.STATUS_ZOMBIE
        assert not processes.is_orphan(other.pid)
        other.kill()


@pytest.mark.parametrize("jump", [-7200.0, 7200.0])
def test_a_clock_that_is_set_by_hours_leaves_runs_as_they_are(warm, jump, monkeypatch):
    """Paused, a run gives no sign of life; it is known by when its process began after the machine."""
    with warm.supervisor():
        run = press(BUSY)
        wait_for(lambda: is_recording(run))
        runs.send(run, "pause")
        wait_for(lambda: written(run).status == store.PAUSED)
        clock, since = time.time, psutil.Process.create_time
        monkeypatch.setattr(time, "time", lambda: clock() + jump)
        monkeypatch.setattr(psutil.Process, "create_time", lambda process: since(process) + jump)
        time.sleep(0.5)
        assert runs.info(run).status == store.PAUSED
        runs.end_lost()
        later = press(SHORT)  # waits behind what was queued before the clock was set
        assert written(run).status == store.PAUSED
        runs.send(run, "stop")
        wait_for(lambda: has_ended(run))
        assert written(run).status == store.STOPPED
        wait_for(lambda: written(later).status == store.FINISHED)
        if sum(info.id == later for info in runs.newest(2)) != 1:
            pytest.fail("it is not listed")
    note(f"the clock set {'back' if jump < 0 else 'forward'} by 2 hours while runs go on")
