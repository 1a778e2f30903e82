"""What a visitor of the lessons has predicted and answered: kept for the visit, never on disk; exported.

All of it lies in Streamlit's session, one Visit per chapter, and goes when the page is closed.
"""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from engine.errors import EngineError
from ui import lesson_grading, lesson_numbers
from ui.lessons import Lesson
from ui.numbers import NONE

_KEY = "lesson_visits"
Guess = tuple[float, ...] | float | int


@dataclass(frozen=True, kw_only=True)
class Visit:
    """What one visitor has done in one chapter."""

    #: log10 of the gradient RMS by layer, the option's index, or the number; None: not predicted.
    guess: Guess | None = None
    #: As drawn so far: the height of each layer's point, None where there is none.
    sketch: tuple[float | None, ...] = ()
    skipped: bool = False  # "show without predicting" was pressed
    shown: bool = False  # the run has been shown: the prediction stays as it is
    runs: tuple[str, ...] = ()  # run again in this visit, in the order of the chapter's runs
    data: str = ""  # another data set than the chapter's own
    answer: int | None = None  # to the check question, the newest
    first_answer: int | None = None

    @property
    def may_show(self) -> bool:
        """Whether the run's result may be seen."""
        return self.guess is not None or self.skipped


def of(lesson: Lesson) -> Visit:
    """What the visitor has done in a chapter."""
    visits: Mapping[str, Visit] = st.session_state.get(_KEY, {})
    return visits.get(lesson.slug, Visit())


def note(lesson: Lesson, **changes: Any) -> None:
    """Keep what the visitor has just done."""
    visits: Mapping[str, Visit] = st.session_state.get(_KEY, {})
    st.session_state[_KEY] = {**visits, lesson.slug: replace(of(lesson), **changes)}


def forget(lesson: Lesson) -> None:
    """Let the visitor begin a chapter anew."""
    visits: Mapping[str, Visit] = st.session_state.get(_KEY, {})
    st.session_state[_KEY] = {slug: visit for slug, visit in visits.items() if slug != lesson.slug}


def is_any(lessons: Sequence[Lesson]) -> bool:
    """Whether there is anything to export."""
    return any(_is_something(of(lesson)) for lesson in lessons)


def _is_something(visit: Visit) -> bool:
    return visit.may_show or visit.answer is not None


# -- export ----------------------------------------------------------------------------------------

#: Columns of the export, in order.
COLUMNS = (
    "chapter",
    "slug",
    "title",
    "kind",
    "asked",
    "predicted",
    "skipped",
    "measured",
    "said",
    "check_question",
    "first_answer",
    "answer",
    "right",
    "runs",
)


def rows(lessons: Sequence[Lesson], runs: Mapping[str, Sequence[str]]) -> list[dict[str, Any]]:
    """One row per chapter in which anything was done, by COLUMNS.

    runs  slug -> the runs that the chapter showed
    """
    return [
        _row(lesson, of(lesson), tuple(runs.get(lesson.slug, ())))
        for lesson in lessons
        if _is_something(of(lesson))
    ]


def _row(lesson: Lesson, visit: Visit, runs: tuple[str, ...]) -> dict[str, Any]:
    told = _graded(lesson, visit, runs)
    options = lesson.check.options
    guess: Any = visit.guess
    if lesson.predict.kind == "choice" and isinstance(guess, int):
        guess = lesson.predict.options[guess]
    return {
        "chapter": lesson.number,
        "slug": lesson.slug,
        "title": lesson.title,
        "kind": lesson.predict.kind,
        "asked": lesson.predict.prompt,
        "predicted": [round(value, 3) for value in guess] if isinstance(guess, tuple) else guess,
        "skipped": visit.skipped,
        "measured": told.measured if told else NONE,
        "said": told.sentence if told else "",
        "check_question": lesson.check.question,
        "first_answer": None if visit.first_answer is None else options[visit.first_answer],
        "answer": None if visit.answer is None else options[visit.answer],
        "right": None if visit.answer is None else visit.answer == lesson.check.answer,
        "runs": list(runs),
    }


def _graded(lesson: Lesson, visit: Visit, runs: tuple[str, ...]) -> lesson_grading.Grade | None:
    """What the reveal says; None where nothing was predicted or measured, or it was not shown."""
    if visit.guess is None or not visit.shown or lesson.predict.of >= len(runs):
        return None
    try:
        return lesson_grading.grade(
            lesson.predict, visit.guess, lesson_numbers.measured(runs[lesson.predict.of])
        )
    except EngineError:
        return None  # the run was deleted since


def as_json(found: Sequence[Mapping[str, Any]]) -> str:
    """The rows as JSON; a profile as a list of log10 gradient RMS from layer 1 on."""
    return json.dumps(list(found), ensure_ascii=False, indent=1) + "\n"


def as_csv(found: Sequence[Mapping[str, Any]]) -> str:
    """The rows as CSV, lists with semicolons."""
    file = io.StringIO()
    writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in found:
        writer.writerow(
            {
                name: ";".join(map(str, value)) if isinstance(value, list) else value
                for name, value in row.items()
            }
        )
    return file.getvalue()
