"""From a run's file to arrays: read once, bounded, and told in differences that add up."""

import math
from dataclasses import replace

import made_up
import numpy as np
import pytest

from engine import outcomes, store
from engine.errors import EngineError
from engine.records import GRADIENT_BINS, LINEAR_BINS, ROW, STATISTICS
from ui import cells, frames, histograms, numbers, tables, theme, thinning, views


def append(path, *items, **columns):
    """Write more to a run, as its worker would."""
    with store.Writer(path) as writer:
        for item in items:
            writer.add(item)
        writer.commit((1, 1.0, max((getattr(item, "step", 0) for item in items), default=0)))
        if columns:
            writer.update(**columns)


@pytest.fixture
def queued(tmp_path):
    return made_up.run_file(tmp_path / "a.sqlite", status=store.QUEUED)


@pytest.fixture
def running(tmp_path):
    return made_up.run_file(tmp_path / "b.sqlite", made_up.sigmoid_items(300))


def shown(path):
    view = views.RunView(path)
    view.refresh()
    return view, view.display()


def test_a_queued_run_has_every_array_that_grows_and_no_row(queued):
    view, display = shown(queued)
    assert {len(display.arrays[name]) for name in display.grows} == {0}
    assert display.header["status"] == "queued"
    assert view.step == 0


@pytest.mark.parametrize("table", [tables.gradient_by_depth, tables.history])
def test_tables_have_the_same_columns_and_types_when_empty(table, queued, running):
    empty, full = table(shown(queued)[0]), table(shown(running)[0])
    assert len(empty) == 0 < len(full)
    assert dict(empty.dtypes) == dict(full.dtypes)


def test_the_table_by_depth_holds_what_was_recorded(running):
    table = tables.gradient_by_depth(shown(running)[0]).set_index(["step", "layer"])
    with store.Reader(running) as reader:
        for record in reader.records():
            for layer in (1, 5, 8):
                row = table.loc[(record.step, layer)]
                assert row["grad_rms"] == record.scalars[ROW["grad_rms"], layer - 1]
                assert row["weight_rms"] == record.scalars[ROW["weight_rms"], layer - 1]


def test_refresh_reads_only_what_is_new(running, monkeypatch):
    view, _ = shown(running)
    assert not view.refresh()
    asked = []
    read = view.reader.records
    monkeypatch.setattr(view.reader, "records", lambda after: asked.append(after) or read(after))
    append(running, made_up.record(330, made_up.dying(8)))
    assert view.refresh()
    assert asked == [view.records.keys[-2]]
    assert view.records.keys[-1] == 330


def test_every_kind_of_cell_has_its_own_mark():
    rms = np.array([1e-13, 2.0, 0.0, np.nan, 1e-3, np.inf, 1e-3, 1e-12, 1.0])
    record = made_up.record(0, rms, frozen=(5,), absent=(7,))
    code = {name: number for name, (number, _) in theme.MARKS.items()}
    expected = ["below", "above", "zero", "nonfinite", "frozen", "nonfinite", "absent"]
    assert cells.marks(record.scalars[None])[0].tolist() == [code[name] for name in expected] + [
        0,
        0,
    ]


def test_one_bad_entry_marks_the_layer_as_not_finite():
    record = made_up.record(0, made_up.dying(8))
    record.scalars[ROW["grad_nonfinite_share"], 2] = 1e-4
    assert cells.marks(record.scalars[None])[0, 2] == theme.MARKS["nonfinite"][0]


def test_rms_below_float32s_range_keeps_its_place_on_the_log_axis():
    assert cells.log10(np.array([1e-60, 0.0, np.inf])).tolist()[0] == -60
    assert np.isnan(cells.log10(np.array([0.0, np.inf, np.nan]))).all()


@pytest.mark.parametrize("count", [1, 15, 16, 17, 100, 1000])
def test_thinned_columns_are_every_2k_th_and_the_newest(count):
    columns = thinning.Columns(16, (2,))
    for key in range(count):
        columns.add(10 * key, np.array([key, -key]))
    every = columns.keys[1] // 10 if count > 1 else 1
    kept = set(range(0, count, int(every))) | {count - 1}
    assert set(columns.keys // 10) == kept
    assert len(kept) <= 16
    assert math.log2(every).is_integer()
    assert (columns.rows == np.stack([columns.keys / 10, -columns.keys / 10], axis=1)).all()


def test_intervals_agree_with_a_loop_and_keep_every_spike():
    rng = np.random.default_rng(1)
    loss, steps = rng.random(1000), np.arange(1000)
    loss[777] = 50.0
    whole, pieces = thinning.Intervals(64), thinning.Intervals(64)
    whole.add(steps, loss, loss / 2)
    for first in range(0, 1000, 7):
        part = slice(first, first + 7)
        pieces.add(steps[part], loss[part], loss[part] / 2)
    assert whole.width == pieces.width == 16
    for row, first in enumerate(range(0, 1000, 16)):
        inside = loss[first : first + 16]
        assert pieces.loss[row] / pieces.count[row] == pytest.approx(inside.mean())
        assert (pieces.loss_min[row], pieces.loss_max[row]) == (inside.min(), inside.max())
        assert pieces.centre[row] == np.arange(first, min(first + 16, 1000)).mean()
    assert np.allclose(whole.loss, pieces.loss)
    assert pieces.loss_max.max() == 50.0


def test_a_long_run_costs_no_more_columns_than_a_short_one(tmp_path):
    path = made_up.run_file(tmp_path / "long.sqlite", depth=1, steps=1000000)
    steps = range(0, 3000 * 32, 32)
    append(path, *(made_up.record(step, made_up.dying(2)) for step in steps))
    append(path, *(made_up.batches(first, 3200) for first in range(0, 3000 * 32, 3200)))
    _, display = shown(path)
    assert {name: len(display.arrays[name]) for name in ("steps", "loss_mean")} == {
        "steps": 751,
        "loss_mean": 750,
    }
    assert display.arrays["steps"][-1] == steps[-1]
    assert len(frames.encode(frames.difference(frames.NOTHING, display))) < 100_000


def replayed(told, header, arrays):
    """What a browser makes of frames: rows kept, rows added. Written without ui.frames' code."""
    if header["full"]:
        told.clear()
    for name, (rows, axis) in list(told.items()):
        if axis:
            told[name] = (rows[: header["keep"][axis]], axis)
    for name, _, _, axis in header["arrays"]:
        old = told[name][0] if axis and name in told else []
        told[name] = ([*old, *arrays[name].tolist()], axis)


def test_differences_add_up_to_the_whole(tmp_path):
    path = made_up.run_file(tmp_path / "c.sqlite", status=store.QUEUED)
    view = views.RunView(path)
    items = [i for i in made_up.sigmoid_items(1200) if hasattr(i, "step") or hasattr(i, "first")]
    items.sort(key=lambda item: getattr(item, "step", getattr(item, "first", 0)))
    old, told = frames.NOTHING, {}
    for place in range(0, len(items), 9):
        append(path, *items[place : place + 9])
        view.refresh()
        new = view.display()
        frame = frames.encode(frames.difference(old, new), full=old is frames.NOTHING)
        replayed(told, *frames.decode(frame))
        old = new
    for name, array in old.arrays.items():
        np.testing.assert_array_equal(np.array(told[name][0]), array.astype(float), err_msg=name)


def test_differences_add_up_while_columns_are_thinned():
    columns, curve = thinning.Columns(8, (1,)), thinning.Intervals(8)
    old, told = frames.NOTHING, {}
    for step in range(100):
        columns.add(step, np.array([step / 3]))
        curve.add(np.array([step]), np.array([step / 2]), np.array([0.5]))
        new = views.Display(
            arrays={"a": columns.rows[:, 0].copy(), "b": curve.loss.copy()},
            grows={"a": "records", "b": "curve"},
            identity={
                "records": columns.keys.copy(),
                "curve": np.stack([curve.start, curve.count], 1),
            },
        )
        frame = frames.encode(frames.difference(old, new), full=False)
        replayed(told, *frames.decode(frame))
        assert told["a"][0] == new.arrays["a"].tolist()
        assert told["b"][0] == new.arrays["b"].tolist()
        old = new


def test_a_step_sends_only_what_is_new(running):
    view, before = shown(running)
    append(running, made_up.record(500, made_up.dying(8)))
    view.refresh()
    change = frames.difference(before, view.display())
    assert change.arrays["steps"].tolist() == [500]
    assert "loss_mean" not in change.arrays
    assert "weight_counts" not in change.arrays  # the same as before
    assert "title" not in change.header


def test_frames_are_aligned_for_typed_arrays(running):
    _, display = shown(running)
    header, arrays = frames.decode(frames.encode(frames.difference(frames.NOTHING, display)))
    for name, _, _, _ in header["arrays"]:
        np.testing.assert_array_equal(arrays[name], display.arrays[name])


def test_layers_of_different_range_share_the_ridges_bins():
    rng = np.random.default_rng(2)
    ranges = np.array([0.25, 1.0, 4.0])
    values = [rng.uniform(-r, r, 5000) for r in ranges]
    counts = np.stack(
        [np.histogram(v, LINEAR_BINS, (-r, r))[0] for v, r in zip(values, ranges, strict=True)]
    )
    common = histograms.on_common_bins(counts, ranges, 4.0)
    for layer, own in enumerate(values):
        assert common[layer].tolist() == np.histogram(own, LINEAR_BINS, (-4, 4))[0].tolist()


def test_gradient_bins_are_cut_to_what_is_occupied_and_nothing_is_lost(running):
    view, display = shown(running)
    record = view.newest
    assert display.arrays["gradient_counts"].shape[1] < GRADIENT_BINS / 2
    inside = record.gradient[:, 2:-2].sum(axis=1)
    assert display.arrays["gradient_counts"].sum(axis=1).tolist() == inside.tolist()
    fullest = display.arrays["gradient_x"][display.arrays["gradient_ridge"].argmax(axis=1)]
    assert fullest == pytest.approx(np.log10(view.newest.scalars[ROW["grad_rms"]]), abs=0.13)
    assert "1.0 % exactly 0" in display.header["texts"]["gradient_notes"][0]


def test_the_ratio_is_of_layer_1_over_the_last_hidden_layer():
    record = made_up.record(0, made_up.dying(8))
    assert outcomes.gradient_ratio(record) == pytest.approx(1e-6)
    assert outcomes.last_hidden(record) == 7
    early = made_up.record(0, made_up.dying(8), absent=(5, 6, 7))
    assert outcomes.last_hidden(early) == 4
    assert outcomes.gradient_ratio(early) == pytest.approx(1e-3)
    assert outcomes.gradient_ratio(made_up.record(0, made_up.dying(8), frozen=(1,))) is None


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (0.0, "0"),
        (8.1e-6, "8.10·10⁻⁶"),
        (9.999e-7, "1.00·10⁻⁶"),
        (0.12345, "0.123"),
        (12.345, "12.3"),
        (12345.0, "12,345"),
        (-2e-9, "−2.00·10⁻⁹"),
        (math.nan, "NaN"),
        (math.inf, "infinite"),
        (None, "–"),
    ],
)
def test_numbers_have_three_digits_and_powers_of_ten(value, words):
    assert numbers.number(value) == words


def test_tiles_tell_pace_time_left_and_the_end(running):
    view, display = shown(running)
    tiles = {tile["label"]: tile for tile in display.header["tiles"]}
    assert tiles["Steps/s"]["value"] == "200"
    assert tiles["Steps/s"]["detail"] == f"{math.ceil((2200 - 300) / 200)} s left"
    append(running, status=store.DIVERGED, sentence="Diverged at step 300: it did.")
    view.refresh()
    header = view.display().header
    assert (header["line"], header["tone"]) == ("Diverged at step 300: it did.", "bad")
    assert "left" not in str(header["tiles"])


def test_a_lost_worker_is_noticed_without_a_write(running):
    found = store.Reader(running).run()
    lost = store.RunInfo(
        **(vars(found) | {"status": store.LOST, "sentence": "Stopped unexpectedly."})
    )
    known = [found]
    view = views.RunView(running, lambda info: known[0])
    view.refresh()
    assert not view.check()
    known[0] = lost
    assert view.check()
    assert view.display().header["line"] == "Stopped unexpectedly."


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"status": store.QUEUED}, "waiting, number 3 in the queue"),
        ({}, f"training, {math.ceil((2200 - 300) / 200)} s left"),
        ({"status": store.FINISHED, "started": 100.0, "ended": 105.2}, "done in 5.20 s"),
        ({"status": store.FINISHED, "started": 100.0, "ended": 240.0}, "done in 2 min 20 s"),
        ({"status": store.STOPPED}, "stopped at step 300"),
        ({"status": store.DIVERGED}, "diverged at step 300"),
        ({"status": store.LOST}, "stopped unexpectedly at step 300"),
    ],
)
def test_how_a_run_stands_is_told_in_short_words(running, columns, words):
    if columns:
        append(running, made_up.record(300, made_up.dying(8)), **columns)
    view = views.RunView(running, place=lambda: 3)
    view.refresh()
    header = view.display().header
    assert header["state"] == words
    assert header["steps_per_epoch"] == 22


def test_a_place_in_the_queue_that_changes_is_noticed(queued):
    places = [2]
    view = views.RunView(queued, place=lambda: places[0])
    view.refresh()
    assert not view.check()
    places[0] = 1
    assert view.check()
    assert view.display().header["state"] == "waiting, number 1 in the queue"


def test_the_seconds_of_each_record_go_with_its_column(tmp_path):
    path = made_up.run_file(tmp_path / "e.sqlite", depth=1, steps=1000000)
    append(path, *(made_up.record(step, made_up.dying(2)) for step in range(0, 3000 * 32, 32)))
    _, display = shown(path)
    assert display.arrays["record_seconds"].tolist() == (display.arrays["steps"] / 200).tolist()
    assert display.grows["record_seconds"] == display.grows["steps"]


def test_a_screen_s_view_shows_the_same_without_the_statistics_of_tables(running):
    whole, lean = views.RunView(running), views.RunView(running, kept=())
    whole.refresh()
    lean.refresh()
    for name, array in whole.display().arrays.items():
        np.testing.assert_array_equal(array, lean.display().arrays[name], err_msg=name)
    assert whole.display().header == lean.display().header


def test_phases_are_events_with_a_short_word(tmp_path):
    events = [
        made_up.Event(step=100 * n, kind="phase", words=f"Phase {n + 1} of 3.") for n in range(3)
    ]
    path = made_up.run_file(tmp_path / "d.sqlite", events)
    found = shown(path)[1].header["events"]
    assert [(e["step"], e["short"]) for e in found] == [
        (0, "phase 1"),
        (100, "phase 2"),
        (200, "phase 3"),
    ]


def test_a_missing_or_damaged_file_is_told_by_sentence(tmp_path, running):
    with pytest.raises(EngineError, match="no run file"):
        views.RunView(tmp_path / "none.sqlite")
    (tmp_path / "noise.sqlite").write_bytes(b"noise" * 1000)
    with pytest.raises(EngineError):
        views.RunView(tmp_path / "noise.sqlite")
    view, _ = shown(running)
    with store.Writer(running) as writer:
        writer.connection.execute(
            "INSERT INTO records VALUES (999, 0, 1, 0, ?)", (b"short" * len(STATISTICS),)
        )
    with pytest.raises(EngineError, match="damaged"):
        view.refresh()
    running.unlink()
    with pytest.raises(EngineError, match="deleted"):
        view.refresh()


def test_every_remedy_colour_is_readable_on_both_backgrounds():
    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    def contrast(one, other):
        low, high = sorted([luminance(one), luminance(other)])
        return (high + 0.05) / (low + 0.05)

    for mode in theme.MODES.values():
        for colour in theme.REMEDY_COLOURS.values():
            assert contrast(colour, mode["background"]) >= 3
        for token in ("newest", "start", "train", "validation", "test", "event", "batch", "guess"):
            assert contrast(mode[token], mode["background"]) >= 3, token


@pytest.mark.parametrize("status", ["running", "finished"])
def test_what_watching_costs_is_said_as_it_was_measured_in_that_run(tmp_path, status):
    file = tmp_path / "20261123-140509-3fa2.sqlite"
    watched = [
        replace(made_up.batches(0, 10), seconds=2.0, watched=1.5),
        replace(made_up.batches(10, 10), seconds=40.0, watched=2.0),
    ]
    items = [made_up.record(0, made_up.dying(8)), *watched]
    made_up.run_file(file, items, status=status)
    append(file, started=100.0, ended=140.0)
    view = views.RunView(file)
    view.refresh()
    assert "; statistics cost 5.0 % of its time." in view.display().header["line"]


def test_a_run_that_did_not_measure_what_watching_costs_says_nothing_of_it(tmp_path):
    file = tmp_path / "20261123-140509-3fa2.sqlite"
    made_up.run_file(file, [made_up.record(0, made_up.dying(8)), made_up.batches(0, 10)])
    view = views.RunView(file)
    view.refresh()
    assert "statistics" not in view.display().header["line"]
