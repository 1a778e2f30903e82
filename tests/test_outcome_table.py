"""The table of contenders: hand-computed cells, what is missing, what is left, and the CSV."""

import csv
import io
import json
import math
from dataclasses import replace

import folders
import made_up
import numpy as np
import pytest
from test_views import append

from engine import store
from engine.outcomes import COLUMNS, Measure, Spread
from engine.records import ROW
from ui import frames, outcome_rows, subjects
from ui.outcome_table import OutcomeTable


def opened(folder, subject, places=None) -> OutcomeTable:
    view = subjects.opener(subject, folders.library(folder, places))()
    view.refresh()
    view.check()
    return view


def shown(folder, subject, places=None):
    header = opened(folder, subject, places).display().header
    json.dumps(header, allow_nan=False)
    return header


def rows(folder, subject, places=None):
    return {row["id"]: row for row in shown(folder, subject, places)["rows"]}


def run(folder, name, *, accuracy=0.5, wakes=(10,) * 8, status=store.FINISHED, **more):
    """A made-up run of two epochs of 10 s each: known outcome in every column."""
    first = made_up.record(0, made_up.dying(8))  # a decade a layer: 1e-6 over six layers
    last = made_up.record(44, made_up.dying(8, -0.5))
    middle = [made_up.record(step, made_up.dying(8)) for step in (10, 20, 30)]
    records = [first, *middle, last]
    for record in records:
        record.scalars[ROW["saturated_share"], :] = [0.1] * 7 + [9.0]
        record.scalars[ROW["dead_share"], :] = [0, 0, 0, 0, 0, 0, 0.7, 9.0]
        for layer, step in enumerate(wakes):
            awake = step is not None and record.step >= step
            record.scalars[ROW["update_ratio"], layer] = 1e-3 if awake else 1e-5
    records = [replace(record, seconds=record.step / 4.4) for record in records]
    ends = [
        replace(
            made_up.epoch_end(epoch, 22 * epoch),
            test_accuracy=accuracy - 0.1 * (2 - epoch),
            validation_accuracy=0.15 if epoch == 1 else accuracy,
            seconds=5.0 * epoch,
        )
        for epoch in (1, 2)
    ]
    items = [*records, *ends, made_up.batches(0, 44)]
    path = made_up.run_file(folder / f"{name}.sqlite", items, status=status, epochs=2, **more)
    with store.Writer(path) as writer:
        writer.update(started=1000.0, ended=1010.0)
    return path


def test_every_cell_of_a_single_run_by_hand(tmp_path):
    run(tmp_path, "a", accuracy=0.853, wakes=(30, 20, 20, 10, 10, 0, None, 0))
    row = rows(tmp_path, "table:a")["a"]
    texts = {name: cell["text"] for name, cell in row["cells"].items()}
    assert texts == {
        "test_accuracy": "0.853",
        "wake_epoch": "2",
        "gradient_ratio_start": "1.00·10⁻⁶",
        "gradient_ratio_end": "0.00100",
        "saturated_share": "0.100",
        "dead_share": "0.100",
        "seconds_per_epoch": "5.00 s",
    }
    assert list(texts) == list(COLUMNS)
    assert row["cells"]["test_accuracy"]["sort"] == pytest.approx(0.853)
    assert row["cells"]["gradient_ratio_start"]["sort"] == pytest.approx(1e-6)
    assert row["wake_steps"] == [30, 20, 20, 10, 10, 0, None, 0]
    assert row["wake"] == "1: 30, 2-3: 20, 4-5: 10, 6: 0, 7: never, out: 0"
    assert (row["status"], row["progress"], row["state"]) == ("finished", 1.0, "done in 10 s")


def test_a_contender_has_the_median_and_the_spread_of_its_seeds(tmp_path):
    for seed, accuracy in enumerate((0.86, 0.84, 0.853), start=1):
        wakes = (10, 20, None, 0, 0, 0, 0, 0) if seed == 1 else (20, None, None, 0, 0, 0, 0, seed)
        run(tmp_path, f"x-c01-s{seed:02d}", accuracy=accuracy, wakes=wakes, seed=seed)
    row = rows(tmp_path, "table:x")["x-c01"]
    assert row["cells"]["test_accuracy"]["text"] == "0.853 (0.840 to 0.860)"
    assert row["cells"]["test_accuracy"]["sort"] == pytest.approx(0.853)
    assert row["wake_steps"] == [20, None, None, 0, 0, 0, 0, 10]
    assert row["state"] == "3 seeds done"
    assert row["seeds"]["of"] == 3


def test_a_set_has_a_row_for_each_of_its_contenders_in_order(tmp_path):
    for contender in (2, 1, 3):
        run(tmp_path, f"x-c{contender:02d}-s01", init="normal", std=contender)
    header = shown(tmp_path, "table:x")
    assert [row["id"] for row in header["rows"]] == ["x-c01", "x-c02", "x-c03"]
    assert [row["label"] for row in header["rows"]] == [
        "Made up (c01)", "Made up (c02)", "Made up (c03)"
    ]  # fmt: skip
    assert [column["name"] for column in header["columns"]] == list(COLUMNS)
    assert header["open"] is False
    assert header["time_left"] == ""
    named = shown(tmp_path, "table:x-c03:x-c01:x-c03:x-c02-s01")
    assert [row["id"] for row in named["rows"]] == ["x-c03", "x-c01", "x-c02-s01"]


@pytest.mark.parametrize(
    ("value", "seeds", "ended", "expected"),
    [
        (None, 1, False, ("–", None)),
        (None, 1, True, ("never", None)),
        (Spread(median=3, low=3, high=3, count=1), 1, True, ("3", 3)),
        (Spread(median=3.5, low=3, high=4, count=2), 3, True, ("3.5 (3 to 4), 2 of 3 seeds", 3.5)),
    ],
)
def test_cells_of_the_time_to_wake_up(value, seeds, ended, expected):
    cell = outcome_rows.cell("wake_epoch", value, seeds, ended)
    assert (cell["text"], cell["sort"]) == expected


@pytest.mark.parametrize(("value", "text"), [(math.nan, "NaN"), (math.inf, "infinite")])
def test_what_is_no_number_is_told_and_sorts_as_nothing(value, text):
    spread = Spread(median=value, low=value, high=value, count=1)
    cell = outcome_rows.cell("gradient_ratio_end", spread, 1, True)
    assert cell == {"text": text, "sort": None}


def test_a_finished_run_beside_one_that_trains_a_failed_one_and_one_that_waits(tmp_path):
    run(tmp_path, "x-c01-s01")
    path = run(tmp_path, "x-c02-s01", status=store.RUNNING)
    with store.Writer(path) as writer:
        writer.connection.execute("DELETE FROM epochs WHERE epoch = 2")
        writer.connection.execute("DELETE FROM records WHERE step > 20")
        writer.connection.execute("UPDATE heartbeat SET step = 22")
    run(tmp_path, "x-c03-s01", status=store.FAILED)
    append(tmp_path / "x-c03-s01.sqlite", sentence="It failed.")
    made_up.run_file(tmp_path / "x-c04-s01.sqlite", status=store.QUEUED, epochs=2)
    header = shown(tmp_path, "table:x", {"x-c04-s01": 2})
    done, going, failed, waiting = header["rows"]
    assert [row["status"] for row in header["rows"]] == ["finished", "running", "failed", "queued"]
    assert going["progress"] == 0.5
    # 4.4 steps a second: 22 of 44 steps are left, 5 s; the one that waits takes 10 s, as the others.
    assert going["state"] == "training, 5 s left"
    assert header["time_left"] == "15 s left"
    assert going["cells"]["wake_epoch"]["text"] == "–"
    assert going["cells"]["test_accuracy"]["text"] == "0.400"
    assert waiting["state"] == "waiting, number 2 in the queue"
    assert {cell["text"] for cell in waiting["cells"].values()} == {"–"}
    assert failed["sentences"] == ["Seed 42: It failed."]
    assert done["sentences"] == []
    assert header["open"] is True
    assert header["status"] == "running"


def test_bands_are_compared_between_contenders_of_several_seeds(tmp_path):
    accuracies = {1: (0.85, 0.88), 2: (0.91, 0.93), 3: (0.5,)}
    for contender, some in accuracies.items():
        for seed, accuracy in enumerate(some, start=1):
            run(tmp_path, f"x-c{contender:02d}-s{seed:02d}", accuracy=accuracy, seed=seed)
    [sentence] = shown(tmp_path, "table:x")["overlaps"]
    assert "Made up (c01) (.85 to .88) and Made up (c02) (.91 to .93) do not overlap" in sentence


def test_of_many_contenders_neighbours_in_accuracy_are_compared(tmp_path):
    middle = {1: 0.5, 2: 0.9, 3: 0.7, 4: 0.6, 5: 0.8}
    for contender, accuracy in middle.items():
        for seed in (1, 2):
            run(tmp_path, f"x-c0{contender}-s0{seed}", accuracy=accuracy + 0.01 * seed, seed=seed)
    found = shown(tmp_path, "table:x")["overlaps"]
    pairs = [[c for c in "12345" if f"(c0{c})" in sentence] for sentence in found]
    assert pairs == [["2", "5"], ["3", "5"], ["3", "4"], ["1", "4"]]


def test_what_is_missing_is_told_by_sentence_and_the_rest_is_there(tmp_path):
    run(tmp_path, "a")
    run(tmp_path, "x-c01-s01")
    newer = run(tmp_path, "x-c01-s02", seed=2)
    with store.Writer(newer) as writer:
        writer.connection.execute("PRAGMA user_version = 99")
    (tmp_path / "n.sqlite").write_bytes(b"noise" * 500)
    header = shown(tmp_path, "table:a:none:x-c01:x-c09:n")
    assert [row["id"] for row in header["rows"]] == ["a", "x-c01"]
    words = " ".join(header["missing"])
    assert len(header["missing"]) == 4
    for part in ("no run none", "no run x-c09", "n.sqlite", "x-c01-s02.sqlite has schema 99"):
        assert part in words
    group = header["rows"][1]
    assert group["state"] == "1 of 2 seeds done, 1 failed"
    assert group["cells"]["test_accuracy"]["text"] == "0.500, 1 of 2 seeds"


def test_runs_deleted_while_watched_leave_and_the_last_is_told(tmp_path):
    for name in ("a", "x-c01-s01", "x-c01-s02"):
        run(tmp_path, name)
    view = opened(tmp_path, "table:a:x")
    (tmp_path / "x-c01-s01.sqlite").unlink()
    assert view.refresh()
    assert view.display().header["rows"][1]["seeds"]["of"] == 1
    assert view.display().header["missing"] == []
    (tmp_path / "x-c01-s02.sqlite").unlink()
    assert view.refresh()
    header = view.display().header
    assert [row["id"] for row in header["rows"]] == ["a"]
    assert "deleted" in header["missing"][0]


def test_a_contender_that_starts_later_is_found(tmp_path):
    run(tmp_path, "x-c01-s01", status=store.RUNNING)
    view = opened(tmp_path, "table:x")
    run(tmp_path, "x-c02-s01")
    run(tmp_path, "x-c01-s02", seed=2)
    assert view.check()
    found = view.display().header["rows"]
    assert [(row["id"], row["seeds"]["of"]) for row in found] == [("x-c01", 2), ("x-c02", 1)]


def test_only_what_changed_is_read_and_sent(tmp_path, monkeypatch):
    for contender in range(1, 6):
        run(tmp_path, f"x-c0{contender}-s01")
    path = run(tmp_path, "x-c06-s01", status=store.RUNNING)
    view = opened(tmp_path, "table:x")
    for _ in range(2):  # the first reader of a file makes its log, which is a change of a kind
        view.refresh()
    before, made, read = view.display(), [], []
    row, records = outcome_rows.row, Measure._read_records
    monkeypatch.setattr(outcome_rows, "row", lambda one: made.append(one.id) or row(one))
    monkeypatch.setattr(
        Measure, "_read_records", lambda m, r: read.append(m.path.stem) or records(m, r)
    )
    assert not view.refresh()
    append(path, made_up.record(60, made_up.dying(8)))
    assert view.refresh()
    after = view.display()
    assert (read, made) == (["x-c06-s01"], ["x-c06"])
    assert "rows" in frames.difference(before, after).header
    assert "columns" not in frames.difference(before, after).header


def test_a_worker_s_death_and_the_queue_are_noticed_without_a_write(tmp_path):
    run(tmp_path, "a", status=store.RUNNING)
    made_up.run_file(tmp_path / "b.sqlite", status=store.QUEUED)
    places = {"b": 2}
    library = folders.library(tmp_path, places)
    lost = [False]

    def checked(info):
        return replace(info, status=store.LOST, sentence="Gone.") if lost[0] else info

    view = subjects.opener("table:a:b", replace(library, checked=checked))()
    view.refresh()
    view.check()
    assert not view.check()
    places["b"] = 1
    assert view.check()
    lost[0] = True
    assert view.check()
    assert view.display().header["rows"][0]["state"] == "stopped unexpectedly at step 44"


def test_the_csv_has_full_precision_a_line_per_contender_and_one_per_seed(tmp_path):
    third = 1 / 3
    run(tmp_path, "x-c01-s01", accuracy=third, wakes=(30, 20, 20, 10, 10, 0, None, 0), seed=1)
    run(tmp_path, "x-c01-s02", accuracy=0.5, seed=2)
    run(tmp_path, "b", depth=7, width=32)
    lines = list(csv.DictReader(io.StringIO(opened(tmp_path, "table:x:b").csv())))
    assert [(line["row"], line["id"]) for line in lines] == [
        ("contender", "x-c01"),
        ("seed", "x-c01-s01"),
        ("seed", "x-c01-s02"),
        ("contender", "b"),
        ("seed", "b"),
    ]
    group, first, _, _, _ = lines
    assert float(first["test_accuracy"]) == third
    assert float(group["test_accuracy"]) == (third + 0.5) / 2
    assert (float(group["test_accuracy_low"]), group["test_accuracy_seeds"]) == (third, "2")
    assert [first[f"wake_step_{layer}"] for layer in (1, 7, "out")] == ["30", "", "0"]
    assert (first["seed"], group["seed"], group["seeds"]) == ("1", "", "2")


def test_networks_of_different_depth_share_the_csv_s_columns(tmp_path):
    run(tmp_path, "a")
    items = [made_up.record(0, made_up.dying(4))]
    items[0].scalars[ROW["update_ratio"]] = 1.0
    made_up.run_file(tmp_path / "b.sqlite", items, depth=3)
    lines = list(csv.DictReader(io.StringIO(opened(tmp_path, "table:a:b").csv())))
    wakes = {key: value for key, value in lines[3].items() if key.startswith("wake_step")}
    assert wakes == {f"wake_step_{n}": "0" if n < 4 else "" for n in range(1, 8)} | {
        "wake_step_out": "0"
    }


def test_a_title_that_looks_like_a_formula_stays_a_text_in_a_spreadsheet(tmp_path):
    run(tmp_path, "a")
    append(tmp_path / "a.sqlite", title='=HYPERLINK("x")')
    line = next(csv.DictReader(io.StringIO(opened(tmp_path, "table:a").csv())))
    assert line["contender"] == '\'=HYPERLINK("x")'


def test_the_time_left_is_of_all_that_is_to_come(tmp_path):
    """Two train side by side with 5 s left each; four wait, 10 s each: 50 s of work for two."""
    for contender in (1, 2):
        path = run(tmp_path, f"x-c0{contender}-s01", status=store.RUNNING)
        with store.Writer(path) as writer:
            writer.connection.execute("DELETE FROM epochs WHERE epoch = 2")
            writer.connection.execute("DELETE FROM records WHERE step > 20")
            writer.connection.execute("UPDATE heartbeat SET step = 22")
            writer.update(ended=None)
    for contender in range(3, 7):
        made_up.run_file(tmp_path / f"x-c0{contender}-s01.sqlite", status=store.QUEUED, epochs=2)
    assert shown(tmp_path, "table:x")["time_left"] == "25 s left"
    assert np.isclose(
        outcome_rows.seconds_left(opened(tmp_path, "table:x-c01").contenders()[0].outcomes), 5
    )


def test_nothing_is_said_of_the_time_before_anything_is_known(tmp_path):
    made_up.run_file(tmp_path / "a.sqlite", status=store.QUEUED)
    assert shown(tmp_path, "table:a")["time_left"] == ""
