"""One run over another: known decades, aligned four ways, over different depths and with every fault."""

from dataclasses import replace

import folders
import made_up
import numpy as np
import pytest
from test_views import append, replayed

from engine import store
from engine.errors import EngineError, RunError
from ui import frames, subjects, theme

CODE = {name: code for name, (code, _) in theme.DIFFERENCE_MARKS.items()}


def opened(folder, subject):
    view = subjects.opener(subject, folders.library(folder))()
    view.refresh()
    return view


def drawn(folder, align, a="a", b="b"):
    view = opened(folder, f"difference:{align}:{a}:{b}")
    display = view.display()
    view.close()
    return display


def made(folder, run, steps, exponents, *, seconds=None, **fields):
    """A run whose layers have 10 to the power of `exponents(step)` as gradient RMS."""
    items = [made_up.record(step, 10.0 ** np.asarray(exponents(step), float)) for step in steps]
    if seconds:
        items = [replace(item, seconds=seconds(item.step)) for item in items]
    return made_up.run_file(folder / f"{run}.sqlite", items, **fields)


LAYERS = np.arange(8.0)


def test_by_step_each_cell_is_the_second_over_the_first_in_decades(tmp_path):
    made(tmp_path, "a", range(0, 50, 10), lambda step: -8 + LAYERS)
    made(tmp_path, "b", range(0, 50, 10), lambda step: -4 + LAYERS / 2 + step / 100)
    for align in ("step", "log_step"):
        display = drawn(tmp_path, align)
        assert display.arrays["steps"].tolist() == [0, 10, 20, 30, 40]
        assert display.arrays["places"].tolist() == [0, 10, 20, 30, 40]
        for row, step in enumerate(range(0, 50, 10)):
            expected = 4 - LAYERS / 2 + step / 100
            np.testing.assert_allclose(display.arrays["difference"][row], expected, atol=1e-5)
        assert not display.arrays["difference_marks"].any()
        assert display.header["texts"]["layer_names"] == [*"1234567", "out"]
        assert display.header["relative"] is False


def test_by_step_only_steps_that_both_recorded_are_compared(tmp_path):
    made(tmp_path, "a", [0, 1, 2, 3, 10, 20, 30], lambda step: LAYERS * 0 - 3)
    made(tmp_path, "b", [0, 2, 4, 10, 15, 30, 40], lambda step: LAYERS * 0 - 2)
    display = drawn(tmp_path, "step")
    assert display.arrays["steps"].tolist() == [0, 2, 10, 30]
    np.testing.assert_allclose(display.arrays["difference"], np.ones((4, 8)), atol=1e-6)


def test_by_epoch_the_second_is_interpolated_in_decades_where_the_first_recorded(tmp_path):
    made(tmp_path, "a", range(0, 200, 22), lambda step: LAYERS - 9, batch_size=64)
    made(tmp_path, "b", range(0, 80, 10), lambda step: LAYERS - 9 + step / 20, batch_size=128)
    with store.Reader(tmp_path / "a.sqlite") as a, store.Reader(tmp_path / "b.sqlite") as b:
        per_epoch = a.run().spec.steps_per_epoch, b.run().spec.steps_per_epoch
    assert per_epoch == (22, 11)
    display = drawn(tmp_path, "epoch")
    # The second ends at step 70, in epoch 6.4; the first recorded at each whole epoch.
    assert display.arrays["places"].tolist() == [0, 1, 2, 3, 4, 5, 6]
    assert display.arrays["steps"].tolist() == [0, 22, 44, 66, 88, 110, 132]
    for row, epoch in enumerate(range(7)):
        expected = np.full(8, 11 * epoch / 20)  # linear, so that its interpolation is exact
        np.testing.assert_allclose(display.arrays["difference"][row], expected, atol=1e-5)
    assert display.header["steps_per_epoch"] == 22


def test_by_seconds_the_clock_of_each_run_counts_and_nothing_is_made_up_beyond_either(tmp_path):
    made(tmp_path, "a", range(0, 60, 10), lambda s: LAYERS * 0 - 5, seconds=lambda s: 1 + s / 10)
    made(
        tmp_path, "b", range(0, 60, 10), lambda s: LAYERS * 0 - 5 - s / 10, seconds=lambda s: s / 12
    )
    display = drawn(tmp_path, "seconds")
    # The first recorded at 1, 2, 3, 4, 5, 6 s; the second from 0 s to 50 / 12 = 4.17 s.
    assert display.arrays["places"].tolist() == [1, 2, 3, 4]
    turned = drawn(tmp_path, "seconds", "b", "a").arrays["places"]
    np.testing.assert_allclose(turned, [20 / 12, 30 / 12, 40 / 12, 50 / 12])
    for row, second in enumerate((1, 2, 3, 4)):
        expected = np.full(8, -12 * second / 10)
        np.testing.assert_allclose(display.arrays["difference"][row], expected, atol=1e-5)


def test_over_different_depths_layers_are_interpolated_over_relative_depth(tmp_path):
    made(tmp_path, "a", [0], lambda step: [-8, -6, -4], depth=2)
    made(tmp_path, "b", [0], lambda step: [-1, -2, -3, -4, -5], depth=4)
    display = drawn(tmp_path, "step")
    # Layers of the first at depths 0, 1/2, 1; of the second at 0, 1/4, 1/2, 3/4, 1.
    first = np.array([-8, -7, -6, -5, -4])
    expected = np.array([-1, -2, -3, -4, -5]) - first
    inside = np.abs(expected) <= 6
    np.testing.assert_allclose(display.arrays["difference"][0], expected, atol=1e-5)
    assert (
        display.arrays["difference_marks"][0].tolist() == np.where(inside, 0, CODE["more"]).tolist()
    )
    assert display.header["relative"] is True
    assert display.header["texts"]["layer_names"] == ["1", "2", "3", "4", "out"]
    turned = drawn(tmp_path, "step", "b", "a")
    np.testing.assert_allclose(turned.arrays["difference"][0], -expected, atol=1e-5)


def test_what_cannot_be_compared_has_a_mark_with_a_word_and_no_number(tmp_path):
    first = made_up.record(
        0, np.array([0.0, 1e-3, np.nan, 1e-3, 1e-3, 0.0, 1e-3, 1e-12]), frozen=(4,)
    )
    second = made_up.record(
        0, np.array([1e-3, 0.0, 1e-3, 1e-3, 1e-3, np.inf, 1e-10, 1e-3]), absent=(5,)
    )
    for run, item in (("a", first), ("b", second)):
        made_up.run_file(tmp_path / f"{run}.sqlite", [item])
    arrays = drawn(tmp_path, "step").arrays
    names = ["zero", "zero", "nonfinite", "absent", "absent", "nonfinite", "less", "more"]
    assert arrays["difference_marks"][0].tolist() == [CODE[name] for name in names]
    assert np.isnan(arrays["difference"][0][:6]).all()
    # Beyond the colours the number is still known.
    np.testing.assert_allclose(arrays["difference"][0][6:], [-7, 9], atol=1e-5)
    assert {*CODE} <= {*theme.LIGHT}


def test_a_fault_of_either_neighbour_spoils_what_lies_between_but_not_the_other_neighbour(tmp_path):
    made(tmp_path, "a", [0, 5, 10, 15, 20, 25], lambda step: LAYERS * 0, batch_size=64)
    items = [made_up.record(step, np.full(8, 0.1)) for step in (0, 5, 10, 15)]
    items[1] = made_up.record(5, np.zeros(8))
    made_up.run_file(tmp_path / "b.sqlite", items, batch_size=128)
    arrays = drawn(tmp_path, "epoch").arrays
    # In the first's steps, 22 an epoch, the second recorded at 0, 10, 20 and 30, at 10 a zero.
    zero = CODE["zero"]
    assert arrays["difference_marks"][:, 0].tolist() == [0, zero, zero, zero, 0, 0]
    np.testing.assert_allclose(arrays["difference"][[0, 4, 5]], -1, atol=1e-6)


def test_a_finished_run_beside_one_that_goes_on_grows_by_what_is_new(tmp_path):
    made(tmp_path, "a", range(0, 500, 10), lambda step: LAYERS - 9, status=store.FINISHED)
    path = made(tmp_path, "b", [0], lambda step: LAYERS - 9)
    for align in ("step", "epoch", "seconds"):
        view, told = opened(tmp_path, f"difference:{align}:a:b"), {}
        old = frames.NOTHING
        with store.Reader(path) as reader:
            last = reader.last_step()
        for step in range(last + 15, last + 120, 15):
            append(path, made_up.record(step, 10.0 ** (LAYERS - 8)))
            assert view.refresh()
            new = view.display()
            assert not view.ended
            assert new.header["status"] == "running"
            frame = frames.encode(frames.difference(old, new), full=old is frames.NOTHING)
            header, arrays = frames.decode(frame)
            if old is not frames.NOTHING and header["keep"]["records"]:
                assert len(arrays.get("steps", [])) <= 2
            replayed(told, header, arrays)
            old = new
        for name, array in drawn(tmp_path, align).arrays.items():
            np.testing.assert_array_equal(
                np.array(told[name][0]), array.astype(float), err_msg=name
            )
        assert len(old.arrays["steps"]) > 1
        view.close()


def test_the_difference_of_groups_is_that_of_their_medians(tmp_path):
    exponents = {"a-c01": [-6, -5, -1], "b-c01": [-3, -4, -4.5]}
    for group, some in exponents.items():
        for seed, exponent in enumerate(some, start=1):
            made(
                tmp_path,
                f"{group}-s{seed:02d}",
                [0, 10],
                lambda s, e=exponent: e + 0 * LAYERS,
                seed=seed,
            )
    arrays = drawn(tmp_path, "step", "a-c01", "b-c01").arrays
    np.testing.assert_allclose(arrays["difference"], np.full((2, 8), -4 - -5.0), atol=1e-5)
    alone = drawn(tmp_path, "step", "a-c01", "b-c01-s01").arrays
    np.testing.assert_allclose(alone["difference"], np.full((2, 8), -3 - -5.0), atol=1e-5)


def test_where_there_is_nothing_to_compare_a_sentence_says_why(tmp_path):
    made(tmp_path, "a", [0, 2], lambda step: LAYERS)
    made_up.run_file(tmp_path / "b.sqlite", status=store.QUEUED)
    display = drawn(tmp_path, "step")
    assert display.header["line"].startswith("The difference appears as soon as")
    assert {len(array) for array in display.arrays.values()} == {0}
    for align in ("epoch", "seconds"):
        assert len(drawn(tmp_path, align).arrays["steps"]) == 0
    append(tmp_path / "b.sqlite", made_up.record(1, np.ones(8)), status=store.RUNNING)
    assert "not got to" in drawn(tmp_path, "step").header["line"]
    for run in "ab":
        append(tmp_path / f"{run}.sqlite", status=store.STOPPED)
    assert "no common step" in drawn(tmp_path, "step").header["line"]


def test_a_run_over_itself_is_zero_everywhere(tmp_path):
    made(tmp_path, "a", range(0, 50, 10), lambda step: LAYERS - 9)
    for align in ("step", "epoch", "seconds"):
        assert not drawn(tmp_path, align, "a", "a").arrays["difference"].any()


def test_subjects_that_name_nothing_are_refused_by_sentence(tmp_path):
    made(tmp_path, "a", [0], lambda step: LAYERS)
    library = folders.library(tmp_path)
    wrong = {
        "difference:step:a:none": "There is no run none.",
        "difference:hours:a:a": "names no difference",
        "difference:step:a": "names no difference",
        "difference:step:a:a:a": "names no difference",
        "riddle:a": "names nothing to look at",
        "table:": "names no table",
        "table:none": "There is no run none.",
        "table:" + ":".join(f"a{n}" for n in range(41)): "at most 40",
        "x" * 5000 + ":": "names nothing",
    }
    for subject, words in wrong.items():
        with pytest.raises(RunError, match=words) as refused:
            subjects.opener(subject, library)
        assert len(str(refused.value)) < 200


def test_a_set_is_no_contender(tmp_path):
    for run in ("a-c01-s01", "a-c02-s01"):
        made(tmp_path, run, [0], lambda step: LAYERS)
    with pytest.raises(RunError, match="a set of 2 contenders; the first of them is a-c01"):
        subjects.opener("a", folders.library(tmp_path))


def test_a_run_deleted_while_it_is_compared_is_told_by_sentence(tmp_path):
    for run in "ab":
        made(tmp_path, run, [0], lambda step: LAYERS)
    view = opened(tmp_path, "difference:step:a:b")
    (tmp_path / "b.sqlite").unlink()
    with pytest.raises(EngineError, match="deleted"):
        view.refresh()


@pytest.mark.parametrize("contender", ["a", "c-c01"])
def test_what_a_difference_reads_of_a_contender_is_its_heatmap_and_all_of_that(tmp_path, contender):
    for run, seed in (("a", 0), ("c-c01-s01", 1), ("c-c01-s02", 2)):
        made_up.run_file(tmp_path / f"{run}.sqlite", made_up.sigmoid_items(60 + seed), seed=seed)
    whole, lean = (opened(tmp_path, contender) for _ in range(2))
    view = subjects.opener(f"difference:step:{contender}:a", folders.library(tmp_path))().a
    lean.read_heat_only()
    for run in ("a", "c-c01-s01", "c-c01-s02"):
        append(tmp_path / f"{run}.sqlite", made_up.record(96, made_up.dying(8)))
    for one in (whole, lean, view):
        assert one.refresh()
    for name in ("steps", "seconds", "log10", "marks"):
        expected = getattr(whole.heat(), name)
        assert len(expected) > 30
        np.testing.assert_array_equal(getattr(lean.heat(), name), expected)
        np.testing.assert_array_equal(getattr(view.heat(), name), expected)
    if contender == "a":
        assert (view.newest, len(view.curve.start), view.findings) == (None, 0, ())
    for one in (whole, lean, view):
        one.close()
