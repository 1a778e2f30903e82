"""What counts as an answer to what a chapter asks. Pure."""

import math
from collections.abc import Callable

import numpy as np

from ui import theme
from ui.lesson_numbers import MEASURES
from ui.lessons import Lesson, Predict

LOG_STEPS = 5  # places of a slider in each decade
LINEAR_STEPS = 100


def slider_places(asked: Predict) -> list[float]:
    """Where the slider of a number can stand, rising from its lowest to its highest."""
    if asked.log:
        low, high = math.log10(asked.low), math.log10(asked.high)
        count = max(2, round(LOG_STEPS * (high - low)) + 1)
        return [float(f"{10.0**place:.3g}") for place in np.linspace(low, high, count)]
    if MEASURES[asked.measure].form == "count":
        return [float(place) for place in range(math.ceil(asked.low), math.floor(asked.high) + 1)]
    return [float(f"{place:.4g}") for place in np.linspace(asked.low, asked.high, LINEAR_STEPS + 1)]


def is_answer(lesson: Lesson, guess: object) -> bool:
    """Whether a prediction is one that this chapter asks for: what comes from a browser may be anything."""
    return _ANSWERS[lesson.predict.kind](lesson, guess)


def _is_profile(lesson: Lesson, guess: object) -> bool:
    layers, (low, high) = lesson.runs[lesson.predict.of].spec.layers, theme.PROFILE_RANGE
    return (
        isinstance(guess, tuple)
        and len(guess) == layers
        and all(isinstance(value, float) and low <= value <= high for value in guess)
    )


def _is_choice(lesson: Lesson, guess: object) -> bool:
    return type(guess) is int and 0 <= guess < len(lesson.predict.options)


def _is_number(lesson: Lesson, guess: object) -> bool:
    return isinstance(guess, float) and guess in slider_places(lesson.predict)


_ANSWERS: dict[str, Callable[[Lesson, object], bool]] = {
    "profile": _is_profile,
    "choice": _is_choice,
    "number": _is_number,
}
