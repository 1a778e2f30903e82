"""A prediction held against what was measured, in words and numbers. Pure."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ui.lesson_numbers import FORMS, MEASURES, Measured, log10_profile, value
from ui.lessons import Predict
from ui.numbers import from_log10, number
from ui.summary import layer_names

CLOSE = 0.3  # decades, a factor of 2: as close as a hand can draw
NEAR = 1.0


@dataclass(frozen=True, kw_only=True)
class Grade:
    """How a prediction came out."""

    measured: str  # the number, or the profile's ends, in words
    sentence: str  # prediction against measurement
    right: bool | None = None  # with kind=choice; None for the others
    #: By layer, decades that the drawing lies above (+) or below (-) what was measured; NaN where
    #: none was. Empty but with kind=profile.
    decades: tuple[float, ...] = ()


def grade(predict: Predict, guess: Any, run: Measured) -> Grade | None:
    """The prediction against the measurement; None while that is not there."""
    return _GRADES[predict.kind](predict, guess, run)


def is_known(predict: Predict, run: Measured) -> bool:
    """Whether what was asked is measured: step 0's at once, the rest when the run is over."""
    record = run.record(predict.at)
    return record is not None if predict.at == "start" else run.is_over and record is not None


def option_of(found: float | None, bins: Sequence[float]) -> int:
    """The option a number falls in; what never happened lies beyond all borders."""
    return len(bins) if found is None else int(np.searchsorted(bins, found, side="right"))


def in_words(predict: Predict, run: Measured) -> str:
    """What was measured, of a choice or a number."""
    found = value(run, predict.measure, predict.at)
    if found is None and predict.measure == "wake_epoch" and run.is_over:
        return "never"
    return FORMS[MEASURES[predict.measure].form](found)


def _choice(predict: Predict, guess: int, run: Measured) -> Grade | None:
    if not is_known(predict, run):
        return None
    found, words = value(run, predict.measure, predict.at), in_words(predict, run)
    what = MEASURES[predict.measure].words
    if found is None and predict.measure != "wake_epoch":
        return Grade(measured=words, sentence=f"The {what} was not measured in this run.")
    if found is not None and math.isnan(found):
        return Grade(measured=words, sentence=f"The {what} is not a number: the run diverged.")
    fell = option_of(found, predict.bins)
    picked = predict.options[guess]
    told = f"Measured: {what} {words}. That is “{predict.options[fell]}”"
    if fell == guess:
        return Grade(measured=words, sentence=f"{told}, as you predicted.", right=True)
    return Grade(measured=words, sentence=f"{told}; you predicted “{picked}”.", right=False)


def _number(predict: Predict, guess: float, run: Measured) -> Grade | None:
    if not is_known(predict, run):
        return None
    found, words = value(run, predict.measure, predict.at), in_words(predict, run)
    quantity = MEASURES[predict.measure]
    said = FORMS[quantity.form](guess)
    told = f"Measured: {quantity.words} {words}; you predicted {said}"
    if found is None or not math.isfinite(found):
        return Grade(measured=words, sentence=f"{told}.")
    return Grade(measured=words, sentence=f"{told}, {_off(predict, guess, found)}.")


def _off(predict: Predict, guess: float, found: float) -> str:
    if guess == found:
        return "exactly that"
    side = "too high" if guess > found else "too low"
    if predict.log and found > 0:
        factor = max(guess / found, found / guess)
        return f"a factor of {number(factor)} {side}"
    if MEASURES[predict.measure].form == "share":
        return f"{100 * abs(guess - found):.1f} percentage points {side}"
    return f"{number(abs(guess - found))} {side}"


def _profile(predict: Predict, guess: Sequence[float], run: Measured) -> Grade | None:
    measured = log10_profile(run.record(predict.at))
    if measured is None or not is_known(predict, run):
        return None
    off = np.asarray(guess, float) - measured
    off = np.where(np.isfinite(off), off, np.nan)
    ends = (
        f"layer 1 {from_log10(measured[0])}, layer {len(measured) - 1} {from_log10(measured[-2])}"
    )
    decades = tuple(off.tolist())
    if np.isnan(off).all():
        sentence = (
            "No layer has a gradient that a log axis can show: it is exactly 0 or not finite."
        )
        return Grade(measured=ends, sentence=sentence, decades=decades)
    worst = int(np.nanargmax(np.abs(off)))
    name = layer_names(len(measured))[worst]
    mean = float(np.nanmean(np.abs(off)))
    side = "above" if off[worst] > 0 else "below"
    sentence = (
        f"{_praise(mean)}: on average {mean:.1f} decades off. Furthest in layer {name}: drawn "
        f"{from_log10(guess[worst])}, measured {from_log10(measured[worst])}, {abs(off[worst]):.1f} decades {side} it."
    )
    return Grade(
        measured=ends, sentence=f"{sentence}{_falls(guess, measured.tolist())}", decades=decades
    )


def _praise(mean: float) -> str:
    return "Very close" if mean < CLOSE else "Close" if mean < NEAR else "Far off"


def _falls(guess: Sequence[float], measured: Sequence[float]) -> str:
    """The change per layer towards the input, drawn and measured, over the hidden layers."""
    gaps = len(measured) - 2
    if gaps < 1 or not math.isfinite(measured[0] - measured[-2]):
        return ""
    drawn, real = (10.0 ** ((line[0] - line[-2]) / gaps) for line in (guess, measured))
    return (
        f" Per layer towards the input your line changes by a factor of {number(drawn)}, "
        f"the measured one by {number(real)}."
    )


_GRADES: Mapping[str, Callable[[Predict, Any, Measured], Grade | None]] = {
    "profile": _profile,
    "choice": _choice,
    "number": _number,
}
