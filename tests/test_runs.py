"""Runs from the outside: workers as processes, a queue, a cap, stops and crashes."""

import os
import signal
import threading
import time

import psutil
import pytest

from engine import runs, store
from engine.errors import DataError, RunError, StoreError
from engine.spec import RunSpec
from engine.supervisor import Supervisor, default_workers

SHORT = {"width": 8, "depth": 3, "device": "cpu"}
LONG = SHORT | {"epochs": 10000}


def wait_for(what, seconds=90):
    """Until `what()` is true; the value."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if value := what():
            return value
        time.sleep(0.02)
    pytest.fail(f"{what} did not come true in {seconds} s")


def status(run):
    return runs.info(run).status


def is_recording(run):
    return runs.info(run).step > 50


@pytest.fixture
def supervisor(warm):
    with warm.supervisor() as supervisor:
        yield supervisor


def bits(run):
    with store.Reader(runs.path(run)) as reader:
        records = [reader.record(record.step) for record in reader.records()]
    return [
        (r.step, r.scalars.tobytes(), r.gradient.tobytes(), r.activation.tobytes()) for r in records
    ]


def test_a_run_waits_trains_and_finishes():
    supervisor = Supervisor(workers=1)
    supervisor.start()
    try:
        run = runs.start(RunSpec(**SHORT, epochs=3))
        wait_for(lambda: status(run) == store.FINISHED)
    finally:
        supervisor.stop()
    info = runs.info(run)
    assert info.sentence == "Finished after 66 steps."
    assert info.step == 66
    assert info.device == "cpu"
    assert {"torch", "vglab"} <= set(info.versions)
    with store.Reader(runs.path(run)) as reader:
        assert [end.epoch for end in reader.epochs()] == [1, 2, 3]
        assert sum(len(block.loss) for block in reader.steps()) == 66


def test_two_runs_at_once_give_the_bits_of_each_alone_for_any_number_of_threads(warm):
    with warm.supervisor(workers=2):
        spec = RunSpec(width=64, depth=4, epochs=2, device="cpu", batch_size=256)
        asked = [spec, spec.changed({"threads": 2}), spec]
        made = [runs.start(one) for one in asked]
        wait_for(lambda: all(status(run) == store.FINISHED for run in made))
        first, *others = [bits(run) for run in made]
        assert first
        assert all(other == first for other in others)


def test_the_cap_holds_the_rest_queue_and_come_in_order(supervisor):
    first, second, third = (runs.start(RunSpec(**LONG)) for _ in range(3))
    wait_for(lambda: status(first) == store.RUNNING)
    assert [status(run) for run in (second, third)] == [store.QUEUED] * 2
    assert [runs.queue_position(run) for run in (first, second, third)] == [0, 1, 2]
    runs.send(second, "stop")
    assert status(second) == store.STOPPED
    assert runs.info(second).sentence == "Stopped before it began."
    runs.send(first, "stop")
    wait_for(lambda: status(third) == store.RUNNING)
    assert status(first) == store.STOPPED


def test_a_stop_arrives_and_keeps_what_was_recorded(supervisor):
    run = runs.start(RunSpec(**LONG))
    wait_for(lambda: is_recording(run))
    runs.send(run, "stop")
    wait_for(lambda: status(run) == store.STOPPED, seconds=5)
    info = runs.info(run)
    assert info.sentence == f"Stopped at step {info.step}."
    with store.Reader(runs.path(run)) as reader:
        assert sum(len(block.loss) for block in reader.steps()) == info.step
        assert reader.events()[-1].words == "stopped"


def test_a_killed_worker_s_run_is_shown_as_stopped_unexpectedly(supervisor):
    run = runs.start(RunSpec(**LONG))
    wait_for(lambda: is_recording(run))
    os.kill(runs.info(run).pid, signal.SIGKILL)
    wait_for(lambda: status(run) == store.LOST, seconds=5)
    info = runs.info(run)
    assert info.sentence.startswith(f"Stopped unexpectedly at step {info.step}:")
    with store.Reader(runs.path(run)) as reader:
        assert reader.last_step() is not None
    again = runs.start(RunSpec(**SHORT, epochs=1))
    wait_for(lambda: status(again) == store.FINISHED)


def test_stopping_the_server_stops_its_workers_within_5_s():
    supervisor = Supervisor(workers=1)
    supervisor.start()
    run, waiting = runs.start(RunSpec(**LONG)), runs.start(RunSpec(**LONG))
    wait_for(lambda: is_recording(run))
    worker = psutil.Process(runs.info(run).pid)
    began = time.monotonic()
    supervisor.stop()
    assert time.monotonic() - began < 5
    assert not worker.is_running()
    assert status(run) == store.STOPPED
    assert status(waiting) == store.QUEUED, "what had not begun is there for the next server"


def test_a_worker_whose_server_was_killed_stops_by_itself(supervisor):
    run = runs.start(RunSpec(**LONG))
    wait_for(lambda: is_recording(run))
    worker = supervisor.busy[0]
    worker.process.stdin.close()  # what the death of the server does
    wait_for(lambda: status(run) == store.STOPPED, seconds=5)
    assert runs.info(run).sentence.startswith("Stopped with the server at step")


def test_the_next_server_writes_down_what_a_killed_one_left():
    run = runs.create(RunSpec(**SHORT))
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=store.RUNNING)
        writer.commit((2**22 - 1, 1.0, 17))  # a process that is not there
    assert status(run) == store.LOST
    supervisor = Supervisor(workers=1)
    supervisor.start()
    supervisor.stop()
    with store.Reader(runs.path(run)) as reader:
        assert reader.run().status == store.LOST


def test_a_pid_used_again_by_another_process_is_not_taken_for_the_worker():
    process = psutil.Process()
    assert runs.is_worker_alive(process.pid, process.create_time())
    assert not runs.is_worker_alive(process.pid, process.create_time() - 100)


def test_a_run_that_diverges_says_where_and_keeps_its_records(supervisor):
    spec = RunSpec(**SHORT | {"depth": 30, "init": "normal", "std": 100, "activation": "relu"})
    run = runs.start(spec)
    wait_for(lambda: status(run) not in store.OPEN)
    info = runs.info(run)
    assert info.status == store.DIVERGED
    assert info.sentence.startswith("Diverged at step ")
    assert "layer" in info.sentence
    with store.Reader(runs.path(run)) as reader:
        assert reader.last_step() is not None


def test_a_data_set_that_is_not_to_be_had_is_refused_before_a_worker_starts(monkeypatch):
    def unreachable(*_, **__):
        raise OSError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(DataError) as refused:
        runs.start(RunSpec(data="kmnist"))
    assert str(refused.value) == (
        "Kuzushiji-MNIST is not here and could not be downloaded: no network here; "
        "use digits, or put the files under VGLAB_DATA."
    )
    assert runs.all() == []


@pytest.mark.parametrize("run", ["", "../etc/passwd", "20260101-000000-abcd", "x" * 500])
def test_an_id_that_names_no_run_is_refused_by_sentence(run):
    with pytest.raises(RunError) as refused:
        runs.info(run)
    assert str(refused.value).endswith(".")
    assert len(str(refused.value)) < 200


def test_the_library_lists_newest_first_and_tells_of_broken_files(home):
    made = [runs.create(RunSpec(**SHORT)) for _ in range(3)]
    (home / "runs" / "20260101-000000-0bad.sqlite").write_text("no database at all" * 50)
    assert {info.id for info in runs.all()} == set(made)
    assert [info.id for info in runs.all()] == sorted(made, reverse=True)
    assert [info.id for info in runs.newest(2)] == sorted(made, reverse=True)[:2]
    (sentence,) = runs.broken()
    assert "20260101-000000-0bad" in sentence


def test_a_deleted_run_is_gone_with_its_files(home):
    run = runs.start(RunSpec(**SHORT))
    runs.delete(run)
    assert list((home / "runs").iterdir()) == []
    assert runs.queue_position(run) == 0
    with pytest.raises(RunError, match="There is no run"):
        runs.info(run)


def test_two_supervisors_never_take_the_same_run():
    made = [runs.start(RunSpec(**SHORT)) for _ in range(40)]
    taken = []

    def take():
        while file := runs.next_queued():
            taken.append(file.stem)

    threads = [threading.Thread(target=take) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken) == sorted(made)


def test_who_asks_for_some_runs_gets_those_alone():
    first, second, third = (runs.start(RunSpec(**SHORT)) for _ in range(3))
    assert runs.next_queued({second}.__contains__).stem == second
    assert runs.next_queued({second}.__contains__) is None
    assert [runs.queue_position(run) for run in (first, second, third)] == [1, 0, 2]


def test_an_id_is_never_given_twice_to_a_run_or_a_set(monkeypatch):
    drawn = iter(["0001", "0001", "0002", "0002", "0003"])
    monkeypatch.setattr("secrets.token_hex", lambda count: next(drawn))
    monkeypatch.setattr(time, "strftime", lambda form: "20260101-000000")
    first = runs.create(RunSpec(**SHORT))
    in_a_set = runs.create_as(f"{runs.new_id()}-c01-s01", RunSpec(**SHORT))
    assert (first, in_a_set) == ("20260101-000000-0001", "20260101-000000-0002-c01-s01")
    assert runs.new_id() == "20260101-000000-0003"


def test_a_queue_that_cannot_be_written_is_told_by_sentence(home):
    run = runs.create(RunSpec(**SHORT))
    (home / "queue").mkdir()
    with pytest.raises(StoreError, match=f"Run {run} cannot be queued: File name too long"):
        runs.enqueue(run, 10**400)


@pytest.mark.parametrize(("asked", "workers"), [("3", 3), ("0", 1), ("many", None), ("", None)])
def test_the_cap_comes_from_the_environment_or_the_cores(monkeypatch, asked, workers):
    monkeypatch.setenv("VGLAB_WORKERS", asked)
    assert default_workers() == (workers or max(1, os.cpu_count() - 1))


def test_a_worker_that_died_before_its_first_word_is_not_waited_for_for_ever():
    run = runs.create(RunSpec(**SHORT))
    with store.Writer(runs.path(run)) as writer:
        writer.claim(2**22 - 1, 1.0)  # a process that is not there
        writer.claim(1, 2.0)  # the first claim holds
    assert runs.info(run).pid == 2**22 - 1
    assert status(run) == store.LOST


def test_a_finished_run_is_its_file_alone(home):
    run = runs.create(RunSpec(**SHORT, epochs=1))
    from engine.worker import Job

    with store.Reader(runs.path(run)):  # someone watches
        assert Job(runs.path(run)).work() == store.FINISHED
        log = runs.path(run).with_name(f"{run}.sqlite-wal")
        assert not log.exists() or log.stat().st_size == 0


def test_a_disk_that_is_full_ends_the_run_by_sentence_and_keeps_what_was_committed():
    from engine.worker import Job

    run = runs.create(RunSpec(**SHORT, epochs=400))
    job = Job(runs.path(run))
    pages = job.writer.connection.execute("PRAGMA page_count").fetchone()[0]
    job.writer.connection.execute(f"PRAGMA max_page_count = {pages + 40}")
    assert job.work() == store.FAILED
    found = runs.info(run)
    with store.Reader(runs.path(run)) as reader:
        assert len(reader.records()) > 5
    assert found.status in (store.FAILED, store.LOST, store.RUNNING)
    assert found.status != store.FAILED or "database or disk is full" in found.sentence


def test_a_worker_that_cannot_be_started_ends_its_run_by_sentence(monkeypatch):
    run = runs.start(RunSpec(**SHORT))

    def no_process(*_, **__):
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("subprocess.Popen", no_process)
    supervisor = Supervisor(workers=1)
    supervisor._begin(runs.next_queued())
    assert status(run) == store.FAILED
    assert "could not be started" in runs.info(run).sentence


def test_a_command_line_run_is_not_taken_for_left_behind_by_a_server_that_starts():
    run = runs.create(RunSpec(**SHORT, epochs=1))
    runs.claim(run)
    runs.end_lost()
    assert status(run) == store.QUEUED


def test_a_preset_is_named_only_where_the_spec_is_its_own():
    made = runs.create(RunSpec(activation="relu"), preset="baseline")
    assert runs.info(made).preset == ""
    made = runs.create(RunSpec(seed=3), preset="controlled_baseline")
    assert runs.info(made).preset == "baseline"


def test_a_clock_that_is_set_does_not_kill_a_living_run():
    run = runs.create(RunSpec(**SHORT))
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=store.RUNNING)
        writer.commit((os.getpid(), 1.0, 5))  # it seems to have begun at another time
    assert status(run) == store.RUNNING


def test_a_run_file_with_a_damaged_row_is_told_and_the_others_are_listed():
    bad, good = runs.create(RunSpec(**SHORT)), runs.create(RunSpec(**SHORT))
    with store.Writer(runs.path(bad)) as writer:
        writer.update(versions="{")
    assert [info.id for info in runs.all()] == [good]
    assert bad in runs.broken()[0]
    runs.delete(bad)
