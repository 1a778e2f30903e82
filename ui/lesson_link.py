"""Where in the lessons a visitor is: chapter and stage, which live in the link."""

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from engine.quotes import quoted
from ui import links
from ui.lessons import Lesson

#: Stages of a chapter, in order -> what each is called.
STAGES = {
    "question": "Question",
    "predict": "Predict",
    "run": "Run",
    "reveal": "Reveal",
    "explain": "Explain",
    "check": "Check",
}
FIRST = next(iter(STAGES))
_LAST_PLACE = "lesson_place"


@dataclass(frozen=True, kw_only=True)
class Place:
    """What a link to the lessons shows."""

    lesson: Lesson | None  # None: the table of contents
    stage: str = FIRST
    ignored: tuple[str, ...] = ()  # one sentence for each thing in the link that is not shown


def arrive() -> None:
    """Take up again where this visitor was, when they come back by the menu."""
    came_back = st.session_state.pop("left_lessons", False)
    known: dict[str, str] = st.session_state.get(_LAST_PLACE, {})
    if came_back and known and "chapter" not in st.query_params:
        write(known["chapter"], known["stage"])


def read(lessons: Sequence[Lesson]) -> Place:
    """What the link says, and remember it for when the visitor comes back."""
    found = {name: st.query_params.get_all(name) for name in st.query_params}
    place = place_of(found, lessons)
    lesson = place.lesson
    st.session_state[_LAST_PLACE] = {"chapter": lesson.slug, "stage": place.stage} if lesson else {}
    return place


def place_of(parameters: dict[str, list[str]], lessons: Sequence[Lesson]) -> Place:
    """The place that a link's parameters name; of each one sentence where it cannot be shown."""
    ignored = list(links.hidden(parameters.get(links.HIDE, []))[1].values())
    known = {lesson.slug: lesson for lesson in lessons}
    slug = "".join(parameters.get("chapter", [])[:1])
    stage = "".join(parameters.get("stage", [])[:1]) or FIRST
    if slug and slug not in known:
        ignored.append(f"chapter is {quoted(slug)}; it must be one of {', '.join(known)}.")
    elif stage not in STAGES:
        ignored.append(f"stage is {quoted(stage)}; it must be one of {', '.join(STAGES)}.")
    for name, values in parameters.items():
        if name not in ("chapter", "stage", links.HIDE) and name not in _ELSEWHERE:
            ignored.append(f"{quoted(name)} is nothing that a lesson's link can set.")
        elif name in ("chapter", "stage") and len(values) > 1:
            ignored.append(f"{name} is given {len(values)} times; once is allowed.")
    return Place(
        lesson=known.get(slug),
        stage=stage if stage in STAGES else FIRST,
        ignored=tuple(ignored),
    )


#: What the browser's Back may bring along from another page.
_ELSEWHERE = frozenset({*links.LAB, *links.COMPARISON})


def write(chapter: str, stage: str = FIRST) -> None:
    """Make the link say this; what it hides stays hidden."""
    parts = ",".join(links.hidden(st.query_params.get_all(links.HIDE))[0])
    hides = {links.HIDE: parts} if parts else {}
    st.query_params.from_dict({"chapter": chapter, "stage": stage} | hides if chapter else hides)


def turn(lessons: Sequence[Lesson], by: int) -> None:
    """Go on or back by stages, from one chapter into the next."""
    every = places(lessons)
    here = read(lessons)
    now = every.index((here.lesson.slug if here.lesson else "", here.stage))
    write(*every[max(0, min(len(every) - 1, now + by))])


def places(lessons: Sequence[Lesson]) -> list[tuple[str, str]]:
    """Everything there is to see, in order: the table of contents, then each chapter's stages."""
    return [("", FIRST), *((lesson.slug, stage) for lesson in lessons for stage in STAGES)]
