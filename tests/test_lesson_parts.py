"""What the lessons reckon: predictions against measurements, drawings, sliders, the slow motion."""

import math
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from made_up import dying, record
from test_lessons import CHOICE, NUMBER, PROFILE, changed
from test_lessons_page import BACKWARD

from engine import outcomes
from engine.spec import RunSpec
from ui import (
    lesson_figures,
    lesson_grading,
    lesson_numbers,
    lesson_predict,
    lesson_slow,
    lessons,
    theme,
)
from ui.lesson_answers import slider_places
from ui.lesson_numbers import MEASURES, PLACEHOLDERS, Measured
from ui.lessons import Predict

COLOURS = theme.LIGHT


def predict(part: str) -> Predict:
    return lessons.parse("01-signal.md", changed(PROFILE, part)).predict


def measured(rms: np.ndarray, **outcome: Any) -> Measured:
    """What a finished run of these gradient RMS has measured."""
    usual = {"status": "finished", "test_accuracy": 0.5, "wake_epoch": 3, "epochs": 1, "step": 22}
    first = record(0, rms)
    return Measured(
        spec=RunSpec(depth=len(rms) - 1),
        outcome=SimpleNamespace(**(usual | outcome)),  # type: ignore[arg-type]
        kernel=None,
        first=first,
        newest=first,
        first_loss=2.3,
        train_loss=1.0,
        train_accuracy=0.6,
    )


# -- predictions against measurements --------------------------------------------------------------


def test_a_profile_is_off_by_as_many_decades_as_the_logarithms_say():
    rms = dying(8)
    guess = tuple(np.log10(rms) + np.array([2.0, 0, 0, 0, 0, 0, 0, -0.4]))
    found = lesson_grading.grade(predict(PROFILE), guess, measured(rms))
    assert found.decades == pytest.approx([2.0, 0, 0, 0, 0, 0, 0, -0.4])
    assert "on average 0.3 decades off" in found.sentence
    assert "Furthest in layer 1" in found.sentence
    assert "2.0 decades above it" in found.sentence


def test_a_line_that_is_right_per_layer_says_the_same_factor_twice():
    found = lesson_grading.grade(
        predict(PROFILE), tuple(np.log10(dying(8, -0.85)) + 1), measured(dying(8, -0.85))
    )
    assert found.sentence.count(f"{10**-0.85:.3f}") == 2


@pytest.mark.parametrize(
    ("gone", "word"), [(0.0, "exactly 0"), (math.inf, "infinite"), (math.nan, "–")]
)
def test_a_layer_without_a_place_on_the_axis_is_told_and_not_counted(gone, word):
    rms = dying(4)
    rms[0] = gone
    found = lesson_grading.grade(predict(PROFILE), (-3.0,) * 4, measured(rms))
    assert word in found.measured
    assert math.isnan(found.decades[0])
    assert not any(math.isnan(one) for one in found.decades[1:])


@pytest.mark.parametrize(("number", "option"), [(0.1, 0), (0.2, 1), (0.79, 1), (0.8, 2), (1.0, 2)])
def test_a_number_on_a_border_belongs_to_the_option_above_it(number, option):
    choice = predict(CHOICE)
    assert lesson_grading.option_of(number, choice.bins) == option
    run = measured(dying(4), test_accuracy=number)
    assert [lesson_grading.grade(choice, guess, run).right for guess in range(3)] == [
        guess == option for guess in range(3)
    ]


def test_a_network_that_never_wakes_falls_in_the_last_option():
    asked = predict(changed("test_accuracy", "wake_epoch", CHOICE))
    found = lesson_grading.grade(asked, 2, measured(dying(4), wake_epoch=None))
    assert found.right
    assert "never" in found.sentence


def test_what_was_not_measured_is_neither_right_nor_wrong():
    found = lesson_grading.grade(predict(CHOICE), 1, measured(dying(4), test_accuracy=None))
    assert found.right is None
    assert "not measured" in found.sentence
    broken = lesson_grading.grade(predict(CHOICE), 1, measured(dying(4), test_accuracy=math.nan))
    assert broken.right is None


def test_the_end_is_known_when_the_run_is_over_and_step_0_at_once():
    training = measured(dying(4), status="running")
    assert lesson_grading.is_known(predict(PROFILE), training)
    assert not lesson_grading.is_known(predict(CHOICE), training)
    assert lesson_grading.grade(predict(CHOICE), 0, training) is None


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_is_a_number_of_a_run_and_has_words(name):
    found = lesson_numbers.value(measured(dying(8)), name, MEASURES[name].at)
    assert found is not None
    assert lesson_numbers.FORMS[MEASURES[name].form](found)


@pytest.mark.parametrize("name", PLACEHOLDERS)
def test_every_placeholder_is_filled_and_is_a_dash_without_a_run(name):
    theory: Any = SimpleNamespace(factor=0.14, ratio=1e-5, fault="")
    assert lesson_numbers.told(name, measured(dying(8)), theory) not in ("–", "")
    assert lesson_numbers.told(name, None, None) == "–"


def test_the_factor_per_layer_to_the_power_of_the_layers_is_the_ratio():
    """Of dL/dz, whose ratio the engine's own table counts in another way."""
    run = measured(dying(8, -0.85))
    factor = float(lesson_numbers.told("factor_start", run, None))
    assert factor**6 == pytest.approx(outcomes.gradient_ratio(run.first, "delta_rms"), rel=0.02)


def test_theory_that_must_not_be_trusted_is_not_told():
    theory: Any = SimpleNamespace(factor=0.14, ratio=1e-5, fault="Fewer than 6 active units.")
    assert lesson_numbers.told("factor_theory", measured(dying(8)), theory) == "–"


# -- drawings and sliders --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "told",
    [None, "x", [1.0], [1.0, 2.0, 3.0, 4.0], [-14.0, None, None, None], [math.nan, 0.0, 0.0, 0.0]],
)
def test_a_drawing_that_is_none_is_not_taken(told):
    assert lesson_predict.checked(told, 4) is None
    assert lesson_predict.checked([-13, None, 0.5, 1.0], 4) == (-13.0, None, 0.5, 1.0)


@pytest.mark.parametrize("part", [NUMBER, changed("log = true", "log = false", NUMBER)])
def test_a_slider_goes_from_its_lowest_to_its_highest_and_rises(part):
    asked = predict(part)
    places = slider_places(asked)
    assert (places[0], places[-1]) == (asked.low, asked.high)
    assert places == sorted(set(places))


def test_what_lies_beyond_the_axis_is_a_cross_at_its_end():
    rms = [-math.inf, -20.0, -3.0, 5.0]
    figure = lesson_figures.profile(list("123o"), rms, colours=COLOURS)
    line, crosses = figure.data
    assert [y for y in line.y if not math.isnan(y)] == [-3.0]
    low, high = theme.PROFILE_RANGE
    assert list(crosses.x) == ["1", "2", "o"]
    assert all(low < y < high for y in crosses.y)
    assert crosses.text == ("exactly 0", "1.00·10⁻²⁰", "100,000")


def test_theory_is_drawn_with_a_band_of_one_deviation_either_side():
    values, band = [-4.0, -3.0, -2.0], [0.5, 0.25, 0.1]
    figure = lesson_figures.profile(list("12o"), values, (), values, band, colours=COLOURS)
    lower, upper, line, _ = figure.data
    assert np.subtract(upper.y, lower.y) == pytest.approx(np.multiply(band, 2))
    assert list(line.y) == values


# -- slow motion -----------------------------------------------------------------------------------


def test_each_step_of_the_slow_motion_multiplies_what_the_one_before_left():
    told = lesson_slow.told(BACKWARD, RunSpec(depth=2))
    size = None
    for step in told["steps"]:
        values = [float(value.strip("×=→ ")) for _, _, value in step["terms"]]
        if len(values) == 3 and step["title"] != "the product":
            assert values[0] == pytest.approx(size, rel=0.01)
        if len(values) == 3:
            assert values[0] * values[1] == pytest.approx(values[2], rel=0.01)
        size = values[-1]
    ends = [step for step in told["steps"] if step["kind"] == "delta"]
    assert len(ends) == len(BACKWARD["layers"])
    assert told["labels"] == ["3"]


def test_a_bar_is_as_long_as_the_logarithm_says_on_one_fixed_axis():
    steps = lesson_slow.told(BACKWARD, RunSpec(depth=2))["steps"]
    low, high = theme.PROFILE_RANGE
    assert steps[0]["share"] == pytest.approx((math.log10(0.1) - low) / (high - low))
    dead = {**BACKWARD, "layers": [row | {"delta_rms": 1e-40} for row in BACKWARD["layers"]]}
    first = lesson_slow.told(dead, RunSpec(depth=2))["steps"][0]
    assert first["share"] == 0
    assert "off the axis" in first["result"]


@pytest.mark.parametrize("position", ["before", "after"])
def test_a_norm_and_a_rule_are_steps_of_their_own_in_the_order_of_the_backward_pass(position):
    top, layer, _ = BACKWARD["layers"]
    layer = layer | {"norm_gain": 0.5, "rule_gain": 2.0}
    row = {**BACKWARD, "layers": [top, layer]}
    told = lesson_slow.told(row, RunSpec(depth=1, norm="layer", norm_position=position))
    symbols = [step["terms"][1][1] for step in told["steps"][2:-1]]
    order = ["rule", "φ′(z)", "norm"] if position == "before" else ["norm", "rule", "φ′(z)"]
    assert symbols == order
