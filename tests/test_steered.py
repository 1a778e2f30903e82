"""A run that is steered while a worker trains it: pauses, single steps, changes, in time."""

import time

import psutil
import pytest
from trained import events, losses, records, same, small

from engine import branches, runs, store
from engine.steering import Change, read_json

LONG = {"epochs": 4000}


def wait_for(what, seconds=60):
    deadline = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)


@pytest.fixture
def supervisor(warm):
    with warm.supervisor(spares=False) as supervisor:
        yield supervisor


def status(run):
    return runs.info(run).status


def training(**fields):
    """A long run that has begun to record."""
    run = runs.start(small(**(LONG | fields)))
    wait_for(lambda: runs.info(run).step > 20)
    return run


def paused(**fields):
    run = training(**fields)
    runs.send(run, "pause")
    wait_for(lambda: status(run) == store.PAUSED)
    return run


def test_a_pause_a_resume_and_a_change_arrive_within_a_tenth_of_a_second(supervisor):
    run = training()
    late = []
    for _ in range(3):
        for order, after in (("pause", store.PAUSED), ("resume", store.RUNNING)):
            asked = time.time()
            runs.send(run, order)
            wait_for(lambda after=after: status(run) == after)
            with store.Reader(runs.path(run)) as reader:
                late.append(reader.events()[-1].at - asked)
    asked = time.time()
    runs.change(run, Change(kind="set", fields={"activation": "relu"}))
    wait_for(lambda: runs.info(run).changes == 1)
    with store.Reader(runs.path(run)) as reader:
        late.append(next(e.at for e in reader.events() if e.kind == "change") - asked)
    assert sorted(late)[len(late) // 2] < 0.1, late


def test_a_paused_worker_uses_no_cpu_and_records_nothing(supervisor):
    run = paused()
    info = runs.info(run)
    process = psutil.Process(info.pid)
    before = sum(process.cpu_times()[:2])
    time.sleep(2.0)  # it is the time itself that is measured
    assert (sum(process.cpu_times()[:2]) - before) / 2.0 < 0.03
    assert runs.info(run).step == info.step


def test_single_steps_by_hand_are_recorded_one_by_one_and_the_run_stays_paused(supervisor):
    run = paused()
    step = runs.info(run).step
    for count in (1, 2, 3):
        runs.send(run, "step")
        wait_for(lambda count=count: runs.info(run).step == step + count)
    assert status(run) == store.PAUSED
    assert {step, step + 1, step + 2} <= set(records(run))
    looks = [s for s, kind, change in events(run) if kind == "look"]
    assert looks == [step, step + 1, step + 2]
    assert read_json(events(run)[-1][2]).kind == "look"


def test_one_epoch_is_trained_to_its_end_and_then_it_waits(supervisor):
    run = paused()
    step = runs.info(run).step
    runs.send(run, "epoch")
    wait_for(lambda: status(run) == store.PAUSED and runs.info(run).step > step)
    assert runs.info(run).step == (step // 9 + 1) * 9
    with store.Reader(runs.path(run)) as reader:
        assert reader.epochs()[-1].step == runs.info(run).step


def test_the_seconds_of_a_pause_are_no_seconds_of_training(supervisor):
    run = paused()
    time.sleep(1.0)  # as long as the pause must be for the clock to show it
    runs.send(run, "step")
    step = runs.info(run).step
    wait_for(lambda: runs.info(run).step > step)
    with store.Reader(runs.path(run)) as reader:
        seconds = [record.seconds for record in reader.records()]
    assert seconds == sorted(seconds)
    assert seconds[-1] - seconds[-2] < 0.9


def test_a_change_made_while_it_is_paused_is_seen_at_once(supervisor):
    run = paused()
    runs.change(run, Change(kind="set", fields={"activation": "relu", "learning_rate": 0.1}))
    wait_for(lambda: runs.info(run).now.activation == "relu")
    runs.change(run, Change(kind="freeze", layer=1))
    wait_for(lambda: runs.info(run).frozen == (1,))
    assert (status(run), runs.info(run).changes) == (store.PAUSED, 2)


def test_what_was_steered_by_hand_replays_to_the_same_bits(supervisor):
    run = paused(epochs=40)
    runs.send(run, "step")
    runs.change(run, Change(kind="set", fields={"activation": "relu"}))
    wait_for(lambda: runs.info(run).changes == 1)
    runs.send(run, "resume")
    wait_for(lambda: status(run) == store.FINISHED)
    script = [(step, read_json(change)) for step, _, change in events(run) if change]
    assert len(script) == 2
    again = branches.again(run)
    wait_for(lambda: status(again) == store.FINISHED)
    same(run, again)


def test_a_paused_run_can_be_stopped_and_keeps_what_it_recorded(supervisor):
    run = paused()
    runs.send(run, "stop")
    wait_for(lambda: status(run) == store.STOPPED)
    assert losses(run).shape[1] == runs.info(run).step


def test_a_paused_run_leaves_its_place_to_the_next_and_takes_it_up_again(supervisor):
    run = paused(epochs=200)
    other = runs.start(small())
    wait_for(lambda: status(other) == store.FINISHED)
    assert status(run) == store.PAUSED
    runs.send(run, "resume")
    wait_for(lambda: status(run) == store.FINISHED)


def test_a_killed_worker_s_paused_run_is_not_shown_as_paused(supervisor):
    run = paused()
    psutil.Process(runs.info(run).pid).kill()
    wait_for(lambda: status(run) == store.LOST)
    assert runs.info(run).step == losses(run).shape[1]


def test_a_change_that_came_too_late_is_told_in_the_history(supervisor):
    """Two pages froze two layers at once: each was allowed, both together are not."""
    run = paused(depth=1)
    for layer in (1, 2):
        with store.Writer(runs.path(run)) as writer:
            writer.send("change", {"change": f'{{"kind": "freeze", "layer": {layer}}}'})
    wait_for(lambda: runs.info(run).frozen == (1,))
    wait_for(lambda: "note" in [kind for _, kind, _ in events(run)])
    with store.Reader(runs.path(run)) as reader:
        assert "A change was refused: Layer 2 is the last" in reader.events()[-1].words


def test_a_branch_is_trained_beside_its_parent_where_there_is_a_core(warm):
    with warm.supervisor(together=2):
        run = training()
        waits = runs.start(small())
        branch = branches.branch(run, 5)
        wait_for(lambda: status(branch) == store.RUNNING)
        assert (status(run), status(waits)) == (store.RUNNING, store.QUEUED)
