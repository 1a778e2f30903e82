"""Going back: the same spec with the same changes gives the same bits, from the start or the middle."""

import numpy as np
import pytest
from trained import checkpoints, epochs, events, losses, records, same, small, trained, work

from engine import branches, runs, store
from engine.errors import EngineError, RunError, SpecError
from engine.network import ACTIVATIONS, INITS, NORMS
from engine.optimizers import OPTIMIZERS
from engine.remedies import REMEDIES
from engine.steering import Change

SIX = [
    (4, Change(kind="set", fields={"activation": "relu"})),
    (7, Change(kind="set", fields={"norm": "batch", "optimizer": "adam", "learning_rate": 1e-3})),
    (7, Change(kind="freeze", layer=2)),
    (11, Change(kind="reinitialise", layer=3)),
    (15, Change(kind="unfreeze", layer=2)),
    (20, Change(kind="set", fields={"skip": "every", "gradient_rule": "clip_norm"})),
]


def branched(run, step, *changes, **more):
    made = branches.branch(run, step, changes, **more)
    info = work(made)
    assert info.status == store.FINISHED, info.sentence + info.traceback
    return made


def test_a_run_with_six_changes_replays_to_the_same_bits():
    run = trained(small(), SIX)
    assert [(step, kind) for step, kind, change in events(run) if change] == [
        (step, "change") for step, _ in SIX
    ]
    again = branches.again(run)
    assert work(again).changes == len(SIX)
    same(run, again)
    assert not np.array_equal(losses(run)[:, 5:], losses(trained(small()))[:, 5:])


CONFIGURATIONS = {
    **{f"remedy {name}": dict(remedy.changes) for name, remedy in REMEDIES.items()},
    **{f"optimizer {name}": {"optimizer": name} for name in OPTIMIZERS},
    **{f"norm {name}": {"norm": name} for name in NORMS},
    "layer by layer": {"schedule": "layerwise_intended", "epochs": 2},
    "as published": {"schedule": "layerwise_published", "epochs": 2, "optimizer": "adam"},
}


@pytest.mark.parametrize("fields", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_branch_without_a_change_has_the_bits_of_its_parent_from_any_step(fields):
    run = trained(small(**({"epochs": 2} | fields)))
    for step in (0, 4, 9):  # the start, the middle of an epoch, the end of one; 18 steps a phase
        same(run, branched(run, step))


@pytest.mark.parametrize("fields", CONFIGURATIONS.values(), ids=CONFIGURATIONS)
def test_a_checkpoint_in_the_middle_of_an_epoch_goes_on_with_the_same_bits(fields):
    run = trained(small(**fields), [(13, Change(kind="reinitialise", layer=1))])
    assert (13, "change") in checkpoints(run)
    same(run, branched(run, 15))


def test_a_branch_may_leave_a_branch_and_its_file_stands_alone():
    run = trained(small(), SIX)
    first = branched(run, 17)
    second = branched(first, 22)
    runs.delete(run)
    runs.delete(first)
    info = runs.info(second)
    assert (info.parent, info.parent_step) == (first, 22)
    third = branched(second, 3)
    mine, theirs = records(second), records(third)
    assert all(mine[step] == theirs[step] for step in range(3))


def test_a_branch_shares_the_past_and_goes_its_own_way_after_it():
    run = trained(small(), SIX)
    other = branched(run, 13, Change(kind="set", fields={"activation": "tanh"}))
    mine, theirs = records(run), records(other)
    assert all(mine[step] == theirs[step] for step in mine if step < 13)
    assert np.array_equal(losses(run)[:, :13], losses(other)[:, :13])
    assert losses(run)[0, 13] != losses(other)[0, 13]
    info = runs.info(other)
    assert info.now.activation == "tanh"
    assert info.now.norm == "batch"
    assert info.frozen == (2,)
    kinds = [(step, kind) for step, kind, _ in events(other)]
    assert (13, "branch") in kinds
    assert (15, "change") not in kinds
    assert (13, "change") in kinds
    assert info.changes == 5


def test_the_other_way_is_tried_from_before_the_change():
    """A change at the very step where the branch leaves is left out."""
    plain = trained(small())
    changed = trained(small(), [(9, Change(kind="set", fields={"activation": "relu"}))])
    same(plain, branched(changed, 9))


def test_a_finished_run_trains_on_as_one_that_was_longer_from_the_start():
    short = trained(small(epochs=2))
    longer = branched(short, 18, epochs=3)
    same(longer, trained(small(epochs=3)))
    assert epochs(longer)[:2] == epochs(short)


@pytest.mark.parametrize("name", ["pytorch", *INITS])
def test_a_layer_initialised_anew_is_drawn_as_the_spec_says_and_loses_its_optimizer_state(name):
    spec = small(init=name, optimizer="adam", std=0.7, gain=3.0, width=64)
    run = trained(spec, [(9, Change(kind="reinitialise", layer=2))])
    with store.Reader(runs.path(run)) as reader:
        before, after, start = (reader.record(step) for step in (8, 9, 0))
    row = list(store_statistics()).index("weight_std")
    assert after.scalars[row, 1] != before.scalars[row, 1]
    assert after.scalars[row, 1] == pytest.approx(start.scalars[row, 1], rel=0.1)
    assert after.scalars[row, 2] == pytest.approx(before.scalars[row, 2], rel=0.05)


def store_statistics():
    from engine.records import STATISTICS

    return STATISTICS


@pytest.mark.parametrize("name", sorted({*ACTIVATIONS} - {"sigmoid"}))
def test_a_change_of_activation_leaves_the_weights_what_they_were(name):
    run = trained(small(), [(9, Change(kind="set", fields={"activation": name}))])
    plain = trained(small())
    # Weights are recorded before the step: at step 9 both have taken the same nine steps.
    mine, theirs = records(run)[9], records(plain)[9]
    assert mine[4] == theirs[4], "weight histograms"
    assert mine[2] != theirs[2]


def test_a_frozen_layer_stands_still_and_is_shown_as_frozen():
    run = trained(small(learning_rate=1.0), [(9, Change(kind="freeze", layer=2))])
    with store.Reader(runs.path(run)) as reader:
        after = [reader.record(step) for step in records(run, 9)]
    from engine.records import ROW

    for record in after:
        assert record.scalars[ROW["frozen"]].tolist() == [0, 1, 0, 0]
        assert record.scalars[ROW["update_ratio"], 1] == 0
        assert np.isnan(record.scalars[ROW["grad_rms"], 1])
        assert (record.scalars[ROW["update_ratio"], [0, 2, 3]] > 0).all()


def test_after_a_change_every_step_is_recorded_for_a_while():
    run = trained(small(epochs=20), [(100, Change(kind="set", fields={"learning_rate": 0.1}))])
    assert set(range(100, 132)) <= set(records(run))
    assert 99 not in records(run)


def test_checkpoints_are_kept_at_the_start_epoch_ends_changes_and_the_end():
    run = trained(small(), SIX)
    assert checkpoints(run) == [
        (0, "start"), (4, "change"), (7, "change"), (9, "epoch"), (11, "change"),
        (15, "change"), (18, "epoch"), (20, "change"), (27, "end"),
    ]  # fmt: skip


def test_the_library_of_a_verdict_leaves_out_what_was_changed():
    """A branch has its parent's spec but is no second measurement of it."""
    from engine import verdict

    info = runs.info(trained(small(), SIX[:1]))
    assert info.spec == small()
    assert info.now != info.spec
    assert verdict._look(runs.path(info.id), (0,)) is None


@pytest.mark.parametrize(
    ("step", "changes", "more", "sentence"),
    [
        (28, (), {}, "from 0 to 27"),
        (-1, (), {}, "from 0 to 27"),
        (27, (), {}, "give the branch more epochs"),
        (9, (Change(kind="set", fields={"depth": 3}),), {}, "depth cannot be changed"),
        (9, (Change(kind="freeze", layer=7),), {}, "from 1 to 4"),
        (9, (), {"epochs": 0}, "epochs is 0"),
        (9, (), {"steps": 40}, "counts epochs"),
    ],
)
def test_a_branch_that_cannot_be_is_refused_and_leaves_nothing_behind(
    step, changes, more, sentence
):
    run = trained(small())
    with pytest.raises(EngineError, match=sentence):
        branches.branch(run, step, changes, **more)
    assert [info.id for info in runs.all()] == [run]
    assert not runs.queue_position(run)


def test_a_run_of_phases_is_as_long_as_its_branch():
    run = trained(small(schedule="layerwise_intended", epochs=1))
    with pytest.raises(RunError, match="its phases begin where its length says"):
        branches.branch(run, 5, epochs=2)


def test_where_no_checkpoint_was_kept_a_branch_trains_from_the_very_beginning():
    run = trained(small(), SIX)
    with store.Writer(runs.path(run)) as writer:
        writer.connection.execute("DELETE FROM checkpoints")
    same(run, branched(run, 23))


def test_who_has_ended_cannot_be_steered():
    run = trained(small())
    for refused in (
        lambda: runs.send(run, "pause"),
        lambda: runs.change(run, Change(kind="freeze", layer=1)),
    ):
        with pytest.raises(RunError, match="it cannot be steered, but branched from"):
            refused()


def test_a_change_is_refused_where_it_does_not_fit_how_the_run_stands():
    run = runs.create(small(skip_every=3))
    with pytest.raises(SpecError, match="skip is every 3 layers"):
        runs.change(run, Change(kind="set", fields={"skip": "every"}))
