"""Several seeds as one contender: medians, bands and sums against numpy, and whatever may go wrong."""

import math
from dataclasses import replace

import folders
import made_up
import numpy as np
import psutil
import pytest
from test_views import append, replayed

from engine import store
from engine.errors import EngineError
from engine.records import FIRST_BIN, LINEAR_BINS, ROW
from ui import frames, groups, seeds, subjects, theme, views

CODE = {name: code for name, (code, _) in theme.MARKS.items()}
GROUP = "a-c01"


def name(seed):
    return f"{GROUP}-s{seed:02d}"


def seed_file(folder, seed, items=(), *, status=store.RUNNING, **fields):
    return made_up.run_file(
        folder / f"{name(seed)}.sqlite", items, status=status, seed=seed, **fields
    )


def opened(folder, places=None, subject=GROUP):
    view = subjects.opener(subject, folders.library(folder, places))()
    view.refresh()
    view.check()
    return view


def rms_of(seed, step, layers=8):
    """Made-up, and another for each seed, step and layer."""
    return 10.0 ** np.random.default_rng([seed, step]).uniform(-9, -1, layers)


def items_of(seed, last, stride=10):
    made = [made_up.record(step, rms_of(seed, step)) for step in range(0, last + 1, stride)]
    rng = np.random.default_rng(seed)
    for first in range(0, last, stride):
        block = made_up.batches(first, stride)
        made.append(replace(block, loss=block.loss + rng.uniform(0, 1, stride)))
    for epoch in range(1, last // 50 + 1):
        end = made_up.epoch_end(epoch, 50 * epoch)
        made.append(replace(end, validation_accuracy=float(rng.uniform(0, 1))))
    return made


@pytest.fixture
def three(tmp_path):
    """Three seeds, of which the first got to step 100, the second to 60 and the third to 30."""
    for seed, last in ((1, 100), (2, 60), (3, 30)):
        seed_file(tmp_path, seed, items_of(seed, last))
    return tmp_path


def test_each_cell_is_the_median_over_the_seeds_that_got_that_far(three):
    arrays = opened(three).display().arrays
    assert arrays["steps"].tolist() == list(range(0, 101, 10))
    for row, step in enumerate(arrays["steps"]):
        there = [seed for seed, last in ((1, 100), (2, 60), (3, 30)) if step <= last]
        expected = np.median([np.log10(rms_of(seed, step)) for seed in there], axis=0)
        np.testing.assert_allclose(arrays["grad_log10"][row], expected, atol=1e-5)
    assert not arrays["marks"].any()
    np.testing.assert_allclose(arrays["record_seconds"], arrays["steps"] / 200)


def test_bands_are_the_percentiles_of_numpy(three):
    arrays = opened(three).display().arrays
    shares = {"min": 0, "low": 25, "high": 75, "max": 100}
    starts = [np.log10(rms_of(seed, 0)) for seed in (1, 2, 3)]
    for end, percent in shares.items():
        expected = np.percentile(starts, percent, axis=0)
        np.testing.assert_allclose(arrays[f"gradient_start_{end}"], expected, atol=1e-5)
    ends = {}
    for seed, last in ((1, 100), (2, 60)):
        for item in items_of(seed, last):
            if isinstance(item, made_up.EpochEnd):
                ends.setdefault(item.step, []).append(item.validation_accuracy)
    assert arrays["epoch_steps"].tolist() == [50, 100]
    for row, step in enumerate((50, 100)):
        found = arrays["epoch_validation_accuracy"][row]
        assert found == pytest.approx(np.median(ends[step]))
        for end, percent in shares.items():
            found = arrays[f"epoch_validation_accuracy_{end}"][row]
            assert found == pytest.approx(np.percentile(ends[step], percent))


def test_losses_are_medians_and_no_spike_of_any_seed_is_lost(three):
    append(three / f"{name(2)}.sqlite", made_up.batches(60, 10, spike=50.0))
    arrays = opened(three).display().arrays
    losses = {
        seed: np.concatenate([i.loss for i in items_of(seed, last) if isinstance(i, made_up.Steps)])
        for seed, last in ((1, 100), (2, 60), (3, 30))
    }
    for step in (0, 29, 30, 59, 99):
        there = [loss[step] for loss in losses.values() if step < len(loss)]
        if step < 60 or step == 99:
            assert arrays["loss_mean"][step] == pytest.approx(np.median(there), abs=1e-6)
            assert arrays["loss_mean_high"][step] == pytest.approx(np.percentile(there, 75))
    assert arrays["curve_steps"].tolist() == list(range(100))
    assert (arrays["loss_max"][69], arrays["loss_mean_max"][69]) == (50.0, 50.0)


def test_curves_of_different_width_are_laid_over_one_another(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "LIMIT", 16)
    for seed, last in ((1, 100), (2, 30)):
        seed_file(tmp_path, seed, items_of(seed, last))
    arrays = opened(tmp_path).display().arrays
    losses = [
        np.concatenate([i.loss for i in items_of(seed, last) if isinstance(i, made_up.Steps)])
        for seed, last in ((1, 100), (2, 30))
    ]
    for row, first in enumerate(range(0, 100, 8)):  # 100 steps in at most 16 intervals
        means = [loss[first : first + 8].mean() for loss in losses if first < len(loss)]
        assert arrays["loss_mean"][row] == pytest.approx(np.median(means), abs=1e-6)
    assert len(arrays["loss_mean"]) == 13


def test_seeds_thinned_differently_share_their_columns(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "LIMIT", 8)
    steps = {1: range(0, 1000, 10), 2: range(0, 130, 10)}
    for seed, some in steps.items():
        seed_file(tmp_path, seed, [made_up.record(s, rms_of(seed, s)) for s in some])
    arrays = opened(tmp_path).display().arrays
    assert arrays["steps"].tolist() == [*range(0, 1000, 160), 990]  # not 120, the second's newest
    expected = np.median([np.log10(rms_of(seed, 0)) for seed in (1, 2)], axis=0)
    np.testing.assert_allclose(arrays["grad_log10"][0], expected, atol=1e-5)
    np.testing.assert_allclose(arrays["grad_log10"][1], np.log10(rms_of(1, 160)), atol=1e-5)


def test_marks_are_those_of_the_median_and_not_finite_where_any_seed_is(tmp_path):
    columns = [  # by layer: of three seeds
        [1e-3, 1e-4, 1e-5],
        [0.0, 0.0, 1e-5],
        [0.0, 1e-4, 1e-5],
        [1e-14, 1e-13, 1e-5],
        [2.0, 3.0, 1e-5],
        [np.nan, 1e-4, 1e-5],
        [1e-14, 0.0, 1e-5],
        [0.0, 1e-14, 1e-14],
    ]
    for seed in (1, 2, 3):
        rms = np.array([some[seed - 1] for some in columns])
        seed_file(tmp_path, seed, [made_up.record(0, rms)])
    display = opened(tmp_path).display()
    marks = [0, "zero", 0, "below", "above", "nonfinite", "below", "below"]
    assert display.arrays["marks"][0].tolist() == [CODE.get(mark, 0) for mark in marks]
    expected = [-4, np.nan, -5, -13, math.log10(2), -4.5, -14, -14]
    np.testing.assert_allclose(display.arrays["grad_log10"][0], expected, atol=1e-5)
    words = display.header["texts"]["gradient_now_words"]
    assert words[:3] == ["1.00·10⁻⁴", "exactly 0", "1.00·10⁻⁵"]
    assert words[5] == "not finite"
    np.testing.assert_allclose(display.arrays["gradient_now"][[0, 2]], [-4, -5], atol=1e-5)
    assert np.isnan(display.arrays["gradient_now"][[1, 3, 4, 5, 6, 7]]).all()
    assert (display.arrays["gradient_now_min"][[1, 2]] < -300).all()
    assert display.arrays["gradient_now_max"][1] == pytest.approx(-5)


def test_layers_frozen_or_absent_in_most_seeds_are_so(tmp_path):
    for seed in (1, 2, 3):
        record = made_up.record(0, made_up.dying(8), frozen=(1,), absent=(5, 6))
        seed_file(tmp_path, seed, [record])
    display = opened(tmp_path).display()
    code = display.arrays["marks"][0]
    assert [code[0], *code[4:6]] == [CODE["frozen"], CODE["absent"], CODE["absent"]]
    words = display.header["texts"]["gradient_now_words"]
    assert (words[0], words[4]) == ("frozen", "not in this phase")


def test_histograms_are_summed_on_the_widest_bins(tmp_path):
    rng = np.random.default_rng(1)
    values = {1: rng.uniform(-0.25, 0.25, 4000), 2: rng.uniform(-1, 1, 4000)}
    gradient = 0
    for seed, some in values.items():
        record = made_up.record(0, rms_of(seed, 0))
        own = 2.0 ** math.ceil(math.log2(np.abs(some).max()))
        counts = np.append(np.histogram(some, LINEAR_BINS, (-own, own))[0], seed)
        weight, ranges = record.weight.copy(), record.weight_range.copy()
        weight[2], ranges[2] = counts, own
        gradient = gradient + record.gradient
        seed_file(tmp_path, seed, [replace(record, weight=weight, weight_range=ranges)])
    display = opened(tmp_path).display()
    both = np.histogram(np.concatenate([*values.values()]), LINEAR_BINS, (-1, 1))[0]
    assert display.arrays["weight_counts"][2].tolist() == both.tolist()
    assert display.arrays["weight_bins"][2][-1] == pytest.approx(1 - 1 / LINEAR_BINS)
    assert "3 entries not finite" in display.header["texts"]["weight_notes"][2]
    inside = gradient[:, FIRST_BIN:-2].sum(axis=1)
    assert display.arrays["gradient_counts"].sum(axis=1).tolist() == inside.tolist()


def test_now_is_of_the_seeds_that_have_got_about_as_far_as_the_first(tmp_path):
    for seed, last in ((1, 100), (2, 96), (3, 40)):
        seed_file(tmp_path, seed, items_of(seed, last, stride=2))
    arrays = opened(tmp_path).display().arrays
    newest = [np.log10(rms_of(1, 100)), np.log10(rms_of(2, 96))]
    np.testing.assert_allclose(arrays["gradient_now"], np.median(newest, axis=0), atol=1e-5)
    np.testing.assert_allclose(arrays["gradient_now_max"], np.max(newest, axis=0), atol=1e-5)


def same(one, other):
    assert one.arrays.keys() == other.arrays.keys()
    for key, array in one.arrays.items():
        assert array.dtype == other.arrays[key].dtype, key
        np.testing.assert_array_equal(array, other.arrays[key], err_msg=key)


def test_read_bit_by_bit_it_is_the_same_as_read_at_once_and_differences_add_up(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(views, "LIMIT", 16)
    pending = {}
    for seed, last in ((1, 400), (2, 400), (3, 150)):
        seed_file(tmp_path, seed, status=store.QUEUED)
        order = sorted(
            items_of(seed, last), key=lambda i: getattr(i, "step", getattr(i, "first", 0))
        )
        pending[seed] = order
    view, old, told = opened(tmp_path), frames.NOTHING, {}
    rng = np.random.default_rng(3)
    while any(pending.values()):
        seed = int(rng.choice([s for s, items in pending.items() if items]))
        count = int(rng.integers(1, 25))
        append(tmp_path / f"{name(seed)}.sqlite", *pending[seed][:count], status=store.RUNNING)
        del pending[seed][:count]
        view.refresh()
        new = view.display()
        frame = frames.encode(frames.difference(old, new), full=old is frames.NOTHING)
        replayed(told, *frames.decode(frame))
        old = new
        anew = opened(tmp_path)
        same(new, anew.display())
        anew.close()
    for key, array in old.arrays.items():
        np.testing.assert_array_equal(np.array(told[key][0]), array.astype(float), err_msg=key)


def test_a_step_of_one_seed_sends_only_what_is_new(three):
    view = opened(three)
    before = view.display()
    append(three / f"{name(1)}.sqlite", made_up.record(110, rms_of(1, 110)))
    assert view.refresh()
    change = frames.difference(before, view.display())
    assert change.arrays["steps"].tolist() == [110]
    assert "loss_mean" not in change.arrays
    assert not view.refresh()


def test_what_the_header_says_of_seeds_in_every_state(tmp_path):
    spec = made_up.spec()
    seed_file(tmp_path, 1, items_of(1, 100), status=store.FINISHED)
    seed_file(tmp_path, 2, items_of(2, 60))
    seed_file(tmp_path, 3, items_of(3, 40))
    seed_file(tmp_path, 4, status=store.QUEUED)
    append(
        tmp_path / f"{name(3)}.sqlite",
        status=store.DIVERGED,
        sentence="Diverged at step 40: the loss became non-finite in the loss.",
    )
    header = opened(tmp_path).display().header
    left = math.ceil((spec.total_steps - 60) / 200)  # made-up runs do 200 steps a second
    assert header["seeds"] == {
        "of": 4, "done": 1, "running": 1, "paused": 0, "waiting": 1, "stopped": 0, "failed": 1
    }  # fmt: skip
    assert header["state"] == (f"1 of 4 seeds done, 1 training, {left} s left, 1 waiting, 1 failed")
    assert header["status"] == "running"
    assert header["line"] == "Seed 3: Diverged at step 40: the loss became non-finite in the loss."
    assert header["progress"] == pytest.approx((1 + 60 / spec.total_steps + 0 + 1) / 4)
    assert (header["run"], header["step"]) == (GROUP, 100)
    assert header["steps_per_epoch"] == spec.steps_per_epoch
    assert header["alt"]["layers"] == "8"


def test_a_diverged_seed_does_not_hide_the_others(tmp_path):
    for seed in (1, 2):
        seed_file(tmp_path, seed, items_of(seed, 100), status=store.FINISHED)
    broken = np.full(8, np.nan)
    seed_file(tmp_path, 3, [*items_of(3, 30), made_up.record(40, broken)], status=store.DIVERGED)
    arrays = opened(tmp_path).display().arrays
    assert (arrays["marks"][4] == CODE["nonfinite"]).all()
    assert not arrays["marks"][5:].any()
    expected = np.median([np.log10(rms_of(seed, 100)) for seed in (1, 2)], axis=0)
    np.testing.assert_allclose(arrays["gradient_now"], expected, atol=1e-5)


def test_seeds_that_all_wait_tell_the_place_of_the_first(tmp_path):
    for seed in (1, 2, 3):
        seed_file(tmp_path, seed, status=store.QUEUED)
    places = {name(1): 3, name(2): 5, name(3): 8}
    view = opened(tmp_path, places)
    assert view.display().header["state"] == "3 seeds waiting, number 3 in the queue"
    places[name(1)] = 2
    assert view.check()
    assert view.display().header["state"] == "3 seeds waiting, number 2 in the queue"
    assert {len(view.display().arrays[key]) for key in view.display().grows} == {0}


def test_a_seed_deleted_while_it_is_watched_is_simply_not_there(three):
    view = opened(three)
    before = view.display()
    (three / f"{name(2)}.sqlite").unlink()
    assert view.refresh()
    display = view.display()
    assert display.header["seeds"]["of"] == 2
    expected = np.median([np.log10(rms_of(seed, 20)) for seed in (1, 3)], axis=0)
    np.testing.assert_allclose(display.arrays["grad_log10"][2], expected, atol=1e-5)
    assert frames.difference(before, display).keep["records"] == 0
    (three / f"{name(1)}.sqlite").unlink()
    (three / f"{name(3)}.sqlite").unlink()
    with pytest.raises(EngineError, match="deleted"):
        view.refresh()


def test_a_seed_in_the_place_of_another_changes_every_row(three):
    view = opened(three)
    before = view.display()
    (three / f"{name(2)}.sqlite").unlink()
    seed_file(three, 5, items_of(5, 60))
    assert view.check()
    after = view.display()
    assert frames.difference(before, after).keep == {"records": 0, "curve": 0, "epochs": 0}
    same(after, opened(three).display())


def test_a_seed_that_cannot_be_read_is_told_by_sentence(three):
    with store.Writer(three / f"{name(2)}.sqlite") as writer:
        writer.connection.execute("PRAGMA user_version = 99")
    header = opened(three).display().header
    assert [s for s in header["missing"] if f"{name(2)}.sqlite has schema 99" in s]
    assert header["seeds"] == {
        "of": 3, "done": 0, "running": 2, "paused": 0, "waiting": 0, "stopped": 0, "failed": 1
    }  # fmt: skip


def test_a_seed_damaged_while_it_is_watched_stops_only_itself(three):
    view = opened(three)
    with store.Writer(three / f"{name(3)}.sqlite") as writer:
        writer.connection.execute("INSERT INTO records VALUES (999, 0, 1, 0, ?)", (b"short" * 16,))
    assert view.refresh()
    header = view.display().header
    assert header["seeds"]["of"] == 3
    assert len(header["missing"]) == 1


def test_nothing_readable_is_an_error_by_sentence(tmp_path):
    (tmp_path / f"{name(1)}.sqlite").write_bytes(b"noise" * 500)
    with pytest.raises(EngineError, match=name(1)):
        opened(tmp_path)


def test_a_file_of_another_configuration_is_left_out_by_sentence(three):
    made_up.run_file(three / f"{name(4)}.sqlite", items_of(4, 20), depth=3, seed=4)
    header = opened(three).display().header
    assert header["missing"] == [f"Run {name(4)} has another configuration than the first seed."]
    assert header["layers"] == 8


def test_a_group_of_one_shows_that_run_under_its_own_name(tmp_path):
    seed_file(tmp_path, 1, items_of(1, 100))
    view = opened(tmp_path)
    run = views.RunView(tmp_path / f"{name(1)}.sqlite")
    run.refresh()
    same(view.display(), run.display())
    header = view.display().header
    assert header["run"] == GROUP
    assert header["state"].startswith("training, ")
    assert {**run.display().header, **header} == header | {"run": GROUP}
    assert view.every == 0


def test_a_seed_that_is_made_later_is_found(tmp_path):
    seed_file(tmp_path, 1, items_of(1, 100))
    view = opened(tmp_path)
    seed_file(tmp_path, 2, items_of(2, 100))
    assert view.check()
    assert view.display().header["seeds"]["of"] == 2
    same(view.display(), opened(tmp_path).display())


def test_seeds_that_have_ended_keep_no_file_open_and_are_read_again_when_they_change(tmp_path):
    paths = [
        seed_file(tmp_path, seed, items_of(seed, 50), status=store.FINISHED)
        for seed in range(1, 21)
    ]
    view = opened(tmp_path)
    mine = [f.path for f in psutil.Process().open_files() if f.path.startswith(str(tmp_path))]
    assert mine == []
    assert view.ended
    assert not view.refresh()
    append(paths[4], made_up.record(60, rms_of(5, 60)))
    assert view.refresh()
    assert view.display().arrays["steps"][-1] == 60


def test_quantiles_are_numpy_s_without_what_is_missing():
    rng = np.random.default_rng(2)
    stack = rng.normal(size=(7, 50))
    stack[rng.random(stack.shape) < 0.4] = np.nan
    stack[:, 3] = np.nan
    for share in (0, 0.25, 0.5, 0.75, 1):
        found = seeds.quantiles(stack, [share])[0]
        for column in range(50):
            known = stack[:, column][~np.isnan(stack[:, column])]
            expected = np.percentile(known, 100 * share) if len(known) else np.nan
            np.testing.assert_allclose(found[column], expected)
    with_zero = np.array([[-np.inf], [-np.inf], [1.0], [2.0]])
    assert [float(q[0]) for q in seeds.quantiles(with_zero, [0, 0.5, 1])] == [-np.inf, -np.inf, 2]


def test_one_record_for_several_has_the_medians_of_its_statistics():
    records = [made_up.record(0, rms_of(seed, 0)) for seed in (1, 2, 3, 4)]
    for seed, record in enumerate(records):
        record.scalars[ROW["dead_share"]] = seed
    pooled = seeds.pooled(records)
    assert pooled.scalars[ROW["dead_share"]].tolist() == [1.5] * 8
    expected = np.median([np.log10(rms_of(seed, 0)) for seed in (1, 2, 3, 4)], axis=0)
    np.testing.assert_allclose(np.log10(pooled.scalars[ROW["grad_rms"]]), expected, atol=1e-5)
    assert seeds.pooled([]) is None
    assert groups.NEAR < 1
