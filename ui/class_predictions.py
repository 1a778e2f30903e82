"""What a hall predicts, chapter by chapter: gathered without names, bounded, in memory alone.

Who predicts is known only by a random number of their page, so that a second prediction replaces their
first. Nothing is written to disk, and nothing of it leaves the server but the distribution.
"""

import secrets
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.errors import LimitError
from ui.lesson_answers import is_answer
from ui.lesson_visit import Guess
from ui.lessons import Lesson, Predict
from ui.rates import Bucket

MOST = 2000  # predictions of a chapter: more than a hall; whose is oldest gives way
BETWEEN_S = 1.0  # between two predictions of one page, at least
BURST, PER_SECOND = (
    400,
    50.0,
)  # of all pages: a hall that presses at once, and what a script could send
BARS = 12  # of a distribution of numbers, at most
TENTH, MIDDLE, MOST_TENTHS = 10, 50, 90  # percentiles of a drawn profile


def new_page() -> str:
    """A number for a page that predicts: random, so that it says nothing of who is behind it."""
    return secrets.token_hex(8)


@dataclass(frozen=True, kw_only=True)
class Bar:
    """How many predicted something."""

    words: str
    count: int
    share: float  # of all predictions


class ClassPredictions:
    """The predictions of all pages. Thread-safe: each page's script runs in a thread of its own.

    clock  seconds
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._lock = threading.Lock()
        self._by_chapter: dict[str, OrderedDict[str, Guess]] = {}
        self._last: OrderedDict[str, float] = OrderedDict()  # page -> when it last predicted
        self._all = Bucket(PER_SECOND, BURST, clock)

    def take(self, lesson: Lesson, page: str, guess: Guess) -> None:
        """Count a page's prediction in place of its earlier one. Raises LimitError for what is no answer
        to what is asked, and where too many come at once.
        """
        if not is_answer(lesson, guess):
            raise LimitError("That is no answer to what this chapter asks.")
        with self._lock:
            now = self._clock()
            self._admit(page, now)
            known = self._by_chapter.setdefault(lesson.slug, OrderedDict())
            known.pop(page, None)
            known[page] = guess
            if len(known) > MOST:
                known.popitem(last=False)

    def _admit(self, page: str, now: float) -> None:
        is_soon = now - self._last.get(page, -BETWEEN_S) < BETWEEN_S
        if is_soon or not self._all.take():
            raise LimitError(
                f"Predictions come too fast: one in {BETWEEN_S:g} s counts, and of all pages together "
                f"{PER_SECOND:g} per second. Keep it again in a moment."
            )
        self._last.pop(page, None)
        self._last[page] = now
        if len(self._last) > MOST:
            self._last.popitem(last=False)

    def of(self, lesson: Lesson) -> list[Guess]:
        """What was predicted in a chapter, oldest first."""
        with self._lock:
            return list(self._by_chapter.get(lesson.slug, {}).values())

    def forget(self, lesson: Lesson) -> None:
        """Begin a chapter's anew."""
        with self._lock:
            self._by_chapter.pop(lesson.slug, None)


# -- distributions ---------------------------------------------------------------------------------


def by_option(asked: Predict, guesses: Sequence[Guess]) -> list[Bar]:
    """How many chose each option, in the order of the options."""
    counts = np.bincount(np.array(guesses, np.int64), minlength=len(asked.options)).tolist()
    return [_bar(words, count, guesses) for words, count in zip(asked.options, counts, strict=True)]


def by_number(
    places: Sequence[float], guesses: Sequence[Guess], told: Callable[[float], str]
) -> list[Bar]:
    """How many predicted a number of each of at most BARS ranges, which hold equally many of its places.

    places  where the slider can stand, rising
    told    a number in words
    """
    parts = np.array_split(np.array(places), min(BARS, len(places)))
    starts = np.array([part[0] for part in parts])
    found = np.searchsorted(starts, np.array(guesses, float), side="right") - 1
    counts = np.bincount(found.clip(0), minlength=len(parts)).tolist()
    words = [
        told(part[0]) if len(part) == 1 else f"{told(part[0])} to {told(part[-1])}"
        for part in parts
    ]
    return [_bar(one, count, guesses) for one, count in zip(words, counts, strict=True)]


def _bar(words: str, count: int, guesses: Sequence[Guess]) -> Bar:
    return Bar(words=words, count=count, share=count / len(guesses) if guesses else 0.0)


def by_layer(guesses: Sequence[Guess]) -> NDArray[np.float64]:
    """Of drawn profiles the 10th, 50th and 90th percentile in each layer, [3, layers], log10."""
    found: NDArray[np.float64] = np.percentile(
        np.array(guesses, float), [TENTH, MIDDLE, MOST_TENTHS], axis=0
    )
    return found


class_predictions = ClassPredictions()
