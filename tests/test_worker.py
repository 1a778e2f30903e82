"""A worker process as the supervisor sees it: warm, one run after the other, gone when told."""

import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from engine import contenders, runs, store
from engine.spec import RunSpec
from engine.supervisor import Worker
from engine.worker import Job

SPECS = {
    "saturated": RunSpec(init="normal", std=10.0, width=32, epochs=1, threads=2),
    "adam": RunSpec(optimizer="adam", norm="batch", width=32, epochs=1),
}


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


@pytest.fixture
def worker(warm):
    worker = warm.take()
    yield worker
    warm.back(worker)


def trained(worker: Worker, name: str) -> Path:
    """The file of a run that this worker has trained to its end."""
    file = runs.path(runs.create(SPECS[name]))
    worker.give(file)
    wait_for(worker.rests.is_set)
    assert runs.info(file.stem).status == store.FINISHED
    return file


def recorded(file: Path) -> list[bytes]:
    """All numbers of a run that do not tell the time."""
    with store.Reader(file) as reader:
        records = [reader.record(record.step) for record in reader.records()]
        losses = np.concatenate([block.loss for block in reader.steps()])
    assert len(records) > 5
    return [record.scalars.tobytes() + record.gradient.tobytes() for record in records] + [
        losses.tobytes()
    ]


def test_a_run_in_a_used_worker_has_the_bits_of_one_in_a_new_worker(worker):
    trained(worker, "saturated")
    second = recorded(trained(worker, "adam"))
    fresh = Worker()
    alone = recorded(trained(fresh, "adam"))
    fresh.end(0.0)
    assert second == alone


def test_runs_of_one_slot_are_trained_by_processes_that_are_kept(warm):
    with warm.supervisor():
        made = [runs.start(SPECS["adam"]) for _ in range(4)]
        wait_for(lambda: all(runs.info(run).status == store.FINISHED for run in made))
        assert len({runs.info(run).pid for run in made}) <= 2


def test_while_a_set_is_trained_more_may_train_at_once(warm, monkeypatch):
    monkeypatch.setenv("VGLAB_WORKERS", "1")
    with warm.supervisor(None, together=2):
        long = SPECS["adam"].changed({"epochs": 1000})
        alone = [runs.start(long) for _ in range(2)]
        wait_for(lambda: runs.info(alone[0]).step > 0)
        assert runs.queue_position(alone[1]) == 1
        for run in alone:
            runs.send(run, "stop")
        asked = [contenders.Contender(title="Long", spec=long) for _ in range(3)]
        groups = contenders.start(asked)
        first, second, third = (contenders.members(group)[0] for group in groups)
        wait_for(lambda: runs.info(first).step > 0 and runs.info(second).step > 0)
        assert runs.queue_position(third) == 1
        pressed = runs.start(SPECS["adam"])
        runs.send(first, "stop")
        wait_for(lambda: runs.info(pressed).status == store.FINISHED)


def test_a_worker_that_met_a_defect_takes_no_further_run(worker):
    file = runs.path(runs.create(SPECS["adam"]))
    with store.Writer(file) as writer:
        writer.send("stop", {})
        writer.connection.execute("UPDATE commands SET arguments = '{'")  # nobody foresees that
    worker.give(file)
    worker.process.wait(60)
    assert not worker.rests.is_set()
    info = runs.info(file.stem)
    assert info.status == store.FAILED
    assert "JSONDecodeError" in info.traceback


@pytest.mark.parametrize("busy", [False, True])
def test_a_worker_told_to_end_ends(worker, busy):
    if busy:
        file = runs.path(runs.create(SPECS["adam"].changed({"epochs": 1000})))
        worker.give(file)
        wait_for(lambda: runs.info(file.stem).step > 0)
    else:
        trained(worker, "adam")
    os.kill(worker.process.pid, signal.SIGTERM)
    worker.process.wait(10)
    if busy:
        assert runs.info(file.stem).sentence.startswith("Stopped by the system at step")


def test_what_writing_takes_is_part_of_what_watching_takes(home, monkeypatch):
    """All but the commits at its end, which come after the last block of losses."""
    write, seconds, commits = store.Writer.commit, 0.2, []

    def slow(writer, heartbeat=None):
        time.sleep(seconds)
        commits.append(heartbeat)
        write(writer, heartbeat)

    run = runs.create(RunSpec(width=4, depth=1, steps=100, device="cpu"))
    job = Job(runs.path(run))
    monkeypatch.setattr(store.Writer, "commit", slow)
    job.work()
    with store.Reader(runs.path(run)) as reader:
        told = reader.steps()[-1].watched
    assert len(commits) >= 4, "the first steps are committed at once"
    assert told >= seconds * (len(commits) - 3)
