"""What came of a run: every figure against values computed by hand from small made-up runs."""

import math
import os
from dataclasses import replace

import made_up
import numpy as np
import pytest

from engine import runs, store
from engine.errors import StoreError
from engine.outcomes import (
    COLUMNS,
    Measure,
    Spread,
    chance,
    overlap,
    summarise,
    wake_threshold,
)
from engine.records import ROW, STATISTICS
from engine.spec import RunSpec

DEPTH, LAYERS = 3, 4  # of these runs: three hidden layers and the output layer


def record(step, rms=(1e-6, 1e-4, 1e-2, 1e-1), *, seconds=None, absent=(), frozen=(), **rows):
    """A record with this gradient RMS by layer; `rows` are further statistics by layer."""
    made = made_up.record(step, np.array(rms, float), absent=absent, frozen=frozen)
    for name, values in rows.items():
        present = [layer for layer in range(LAYERS) if layer + 1 not in absent]
        made.scalars[ROW[name], present] = np.array(values, float)[present]
    return made if seconds is None else replace(made, seconds=seconds)


def ends(*accuracies, seconds=2.0, steps=10):
    """Ends of epochs with these (validation, test) accuracies, `seconds` and `steps` apart."""
    return [
        replace(
            made_up.epoch_end(epoch, epoch * steps),
            validation_accuracy=validation,
            test_accuracy=test,
            seconds=epoch * seconds,
        )
        for epoch, (validation, test) in enumerate(accuracies, start=1)
    ]


@pytest.fixture
def run_file(tmp_path):
    def make(items=(), status=store.FINISHED, name="20261123-140509-3fa2", **fields):
        fields = {"depth": DEPTH, "width": 16} | fields
        return made_up.run_file(tmp_path / f"{name}.sqlite", items, status=status, **fields)

    return make


def outcome(file, info=None):
    measure = Measure(file, info)
    measure.refresh()
    return measure.outcome


def test_every_figure_of_a_small_run_is_the_one_computed_by_hand(run_file):
    items = [
        record(0, (1e-6, 1e-4, 1e-2, 1e-1), update_ratio=(0, 1e-5, 1e-4, 2e-4)),
        record(5, update_ratio=(1e-5, 2e-4, 1.1e-4, 0)),
        record(
            19,
            (3e-3, 1e-4, 6e-3, 1e-1),
            update_ratio=(2e-3, 1e-5, 1e-5, 1e-5),
            saturated_share=(0.5, 0.25, 0, 1),
            dead_share=(0.2, 0.1, 0.0, 1),
        ),
        *ends((0.1, 0.11), (0.2, 0.21), (0.35, 0.31), (0.3, 0.29)),
    ]
    found = outcome(run_file(items, epochs=4))
    assert found.test_accuracy == 0.29, "after the last epoch, not the best"
    assert found.wake_epoch == 3, ".2 does not exceed twice a tenth"
    assert found.gradient_ratio_start == pytest.approx(1e-4)
    assert found.gradient_ratio_end == pytest.approx(0.5)
    assert found.saturated_share == pytest.approx(0.25), "of three hidden layers, not the output's"
    assert found.dead_share == pytest.approx(0.1)
    assert found.seconds_per_epoch == pytest.approx(2.0)
    assert found.layer_wake_steps == (19, 5, 5, 0), "1e-4 itself does not exceed it"
    assert (found.step, found.epochs, found.total_epochs, found.layers) == (40, 4, 4, 4)
    assert (found.status, found.seed, found.run) == (store.FINISHED, 42, "20261123-140509-3fa2")
    assert found.seconds == 8.0


def test_a_run_that_has_recorded_nothing_has_no_figure_at_all(run_file):
    found = outcome(run_file(status=store.QUEUED))
    assert all(getattr(found, name) is None for name in COLUMNS)
    assert found.layer_wake_steps == (None,) * LAYERS
    assert found.pace is None
    assert found.seconds_left is None
    assert (found.step, found.epochs, found.seconds) == (0, 0, 0.0)


def test_what_never_happened_is_none_and_what_was_measured_as_nan_is_kept(run_file):
    items = [
        record(0),
        record(5, (math.nan, math.nan, math.nan, 1), saturated_share=(math.nan, 0, 0, 0)),
        *ends((0.1, 0.1)),
    ]
    found = outcome(run_file(items, status=store.DIVERGED))
    assert found.wake_epoch is None
    assert found.gradient_ratio_start == pytest.approx(1e-4)
    assert math.isnan(found.gradient_ratio_end)
    assert math.isnan(found.saturated_share)
    assert found.test_accuracy == 0.1


def test_an_infinite_gradient_in_layer_1_is_an_infinite_ratio(run_file):
    found = outcome(run_file([record(0, (math.inf, 1, 1, 1))]))
    assert found.gradient_ratio_start == math.inf


def test_layers_that_are_not_there_yet_count_neither_below_nor_in_the_mean(run_file):
    items = [
        record(0, (1e-3, 1e-1, 9, 1), absent=(3,), update_ratio=(1, 1e-5, 1, 0)),
        record(
            7,
            (1e-3, 1e-1, 9, 1),
            absent=(3,),
            saturated_share=(0.4, 0.2, 0.9, 0.9),
            dead_share=(0, 0.5, 0.9, 0.9),
            update_ratio=(0, 1, 1, 1),
        ),
    ]
    found = outcome(run_file(items, status=store.RUNNING, schedule="layerwise_intended"))
    assert found.gradient_ratio_start == pytest.approx(1e-2), "layer 2 is the last hidden one there"
    assert found.saturated_share == pytest.approx(0.3)
    assert found.dead_share == pytest.approx(0.25)
    assert found.layer_wake_steps == (0, 7, None, 7)
    assert found.total_epochs == 3 * 100, "in three phases"


def test_a_frozen_layer_has_no_gradient_to_compare_with(run_file):
    items = [record(0), record(3, frozen=(1, 2))]
    found = outcome(run_file(items, status=store.RUNNING))
    assert found.gradient_ratio_start == pytest.approx(1e-4)
    assert found.gradient_ratio_end is None


def test_a_gradient_that_is_exactly_0_above_gives_no_ratio(run_file):
    assert outcome(run_file([record(0, (0, 0, 0, 1))])).gradient_ratio_start is None


@pytest.mark.parametrize(
    ("data", "threshold"), [("digits", 0.2), ("spirals", 2 / 3), ("moons", 0.75)]
)
def test_awake_is_more_than_twice_guessing_or_with_two_classes_half_way_to_all_right(
    run_file, data, threshold
):
    spec = RunSpec(data=data)
    assert wake_threshold(spec) == pytest.approx(threshold)
    assert chance(spec) < threshold < 1
    at, above = threshold, threshold + 0.001
    found = outcome(run_file(ends((chance(spec), 0), (at, 0), (above, 0), (0.1, 0)), data=data))
    assert found.wake_epoch == 3


def test_growing_runs_are_read_on_and_end_as_if_read_at_once(run_file):
    items = [
        record(step, update_ratio=np.full(LAYERS, 1e-5 * (step // 8))) for step in range(0, 300, 7)
    ]
    later = ends(*((0.01 * n, 0.02 * n) for n in range(1, 31)))
    file = run_file(items[:10] + later[:5], status=store.RUNNING)
    measure = Measure(file)
    assert measure.refresh()
    assert not measure.refresh(), "nothing new"
    assert measure.outcome.wake_epoch is None
    for part in (items[10:11], later[5:25], items[11:] + later[25:]):
        with store.Writer(file) as writer:
            for item in part:
                writer.add(item)
            writer.commit()
        assert measure.refresh()
    assert measure.outcome.wake_epoch == 21
    assert measure.outcome.layer_wake_steps == (91,) * LAYERS, "the first multiple of 7 past 88"
    assert measure.outcome == outcome(file)


def test_only_what_is_new_is_read(run_file, monkeypatch):
    file = run_file([record(n) for n in range(10)] + ends((0.1, 0.1)), status=store.RUNNING)
    measure = Measure(file)
    measure.refresh()
    read = []
    for name in ("records", "epochs"):
        original = getattr(store.Reader, name)

        def spy(reader, after, original=original):
            read.extend(found := original(reader, after))
            return found

        monkeypatch.setattr(store.Reader, name, spy)
    measure.refresh()
    with store.Writer(file) as writer:
        writer.add(record(10))
        writer.commit()
    measure.refresh()
    assert [item.step for item in read] == [10]


def test_the_pace_is_that_of_the_last_seconds_and_gives_the_time_left(run_file):
    # 10 steps a second for 20 s, then 50 a second for 4 s.
    times = [(step, step / 10) for step in range(0, 200, 10)]
    times += [(200 + n * 25, 20 + n * 0.5) for n in range(9)]
    items = [record(step, seconds=seconds) for step, seconds in times]
    found = outcome(run_file(items, status=store.RUNNING, epochs=100))
    assert found.pace == pytest.approx(50)
    assert found.step == 400
    assert found.seconds_left == pytest.approx((100 * 22 - 400) / 50)


def test_a_worker_that_is_gone_is_noticed_though_nothing_is_written():
    run = runs.create(RunSpec(width=8, depth=DEPTH))
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=store.RUNNING)
        writer.commit((os.getpid(), 1.0, 5))  # a process of that id began at another time
    measure = Measure(runs.path(run), lambda: runs.info(run))
    measure.refresh()
    assert not measure.ended
    with store.Writer(runs.path(run)) as writer:
        writer.commit((2**22 - 1, 1.0, 5))
    measure.refresh()
    assert measure.outcome.status == store.RUNNING, "as the file says"
    assert measure.check()
    assert not measure.check()
    assert measure.outcome.status == store.LOST
    assert measure.outcome.sentence.startswith("Stopped unexpectedly at step 5:")
    assert measure.ended


def test_a_deleted_run_is_told_by_sentence(run_file):
    file = run_file([record(0)])
    measure = Measure(file)
    measure.refresh()
    file.unlink()
    with pytest.raises(StoreError, match=r"is gone: the run was deleted\.$"):
        measure.refresh()
    with pytest.raises(StoreError):
        Measure(file)


def test_seeds_are_told_by_median_smallest_and_largest(run_file):
    accuracies = {"a": 0.5, "b": 0.9, "c": 0.6, "d": 0.8}
    seeds = [
        outcome(run_file(ends((accuracy, accuracy)), name=name))
        for name, accuracy in accuracies.items()
    ]
    found = summarise(seeds)
    assert list(found) == list(COLUMNS)
    assert found["test_accuracy"] == Spread(median=0.7, low=0.5, high=0.9, count=4)
    assert found["wake_epoch"] == Spread(median=1, low=1, high=1, count=4)
    assert found["saturated_share"] is None


def test_a_seed_that_diverged_or_failed_counts_with_what_it_has(run_file):
    good = [
        outcome(run_file([record(0), *ends((0.1, 0.1), (0.9, value))], name=f"good{value}"))
        for value in (0.7, 0.8)
    ]
    diverged = outcome(
        run_file(
            [record(0), record(4, np.full(LAYERS, np.nan)), *ends((0.1, 0.3))],
            status=store.DIVERGED,
            name="diverged",
        )
    )
    failed = outcome(run_file(status=store.FAILED, name="failed"))
    found = summarise([*good, diverged, failed])
    assert found["test_accuracy"] == Spread(median=0.7, low=0.3, high=0.8, count=3)
    assert found["wake_epoch"] == Spread(median=2, low=2, high=2, count=2), "two of four woke"
    assert found["gradient_ratio_start"].count == 3
    assert found["gradient_ratio_end"].median == pytest.approx(1e-4), "a NaN has no place in order"
    assert found["gradient_ratio_end"].count == 2
    alone = summarise([diverged])["gradient_ratio_end"]
    assert math.isnan(alone.median), "but is told where there is nothing else"


def test_nothing_measured_gives_no_spread():
    assert summarise([]) == dict.fromkeys(COLUMNS)


def spread(low, high):
    return Spread(median=(low + high) / 2, low=low, high=high, count=3)


@pytest.mark.parametrize(
    ("a", "b", "sentence"),
    [
        (
            (0.85, 0.88),
            (0.91, 0.93),
            "The bands of A (.85 to .88) and B (.91 to .93) do not overlap: B is above.",
        ),
        (
            (0.9111, 0.93),
            (0.85, 0.9109),
            "The bands of A (.9111 to .9300) and B (.8500 to .9109) do not overlap: A is above.",
        ),
        (
            (0.85, 0.9),
            (0.9, 1.0),
            "The bands of A (.850 to .900) and B (.900 to 1.000) overlap: "
            "these seeds do not tell them apart.",
        ),
        (
            (0.1, 0.9),
            (0.4, 0.5),
            "The bands of A (.100 to .900) and B (.400 to .500) overlap: "
            "these seeds do not tell them apart.",
        ),
    ],
)
def test_whether_bands_overlap_is_said_with_their_ends(a, b, sentence):
    assert overlap("A", spread(*a), "B", spread(*b)) == sentence


def test_every_column_has_a_title_a_sentence_and_a_known_form():
    for column in COLUMNS.values():
        assert column.form in {"share", "number", "ratio", "seconds", "count"}
        assert column.title
        assert column.help.endswith(".")
    assert len(STATISTICS) == 17, "records are made for these"


def test_a_real_run_s_first_ratio_is_that_of_its_first_record():
    """A second way: the statistics of the file itself, of a run trained here."""
    from engine.worker import Job

    run = runs.create(RunSpec(width=8, depth=4, epochs=3, device="cpu", activation="relu"))
    Job(runs.path(run)).work()
    found = outcome(runs.path(run))
    with store.Reader(runs.path(run)) as reader:
        records, epochs = reader.records(), reader.epochs()
    rms = records[0].scalars[ROW["grad_rms"]]
    assert found.gradient_ratio_start == rms[0] / rms[3]
    assert found.test_accuracy == epochs[-1].test_accuracy
    assert found.saturated_share == pytest.approx(
        np.mean([records[-1].scalars[ROW["saturated_share"], layer] for layer in range(4)])
    )
    for layer, step in enumerate(found.layer_wake_steps):
        above = [r.step for r in records if r.scalars[ROW["update_ratio"], layer] > 1e-4]
        assert step == (above[0] if above else None)
