"""The stage in which a visitor says what will happen: draw a profile, choose, or set a number."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import streamlit as st

from engine.errors import LimitError
from ui import lesson_link, lesson_visit, rights, theme
from ui.class_predictions import class_predictions, new_page
from ui.lesson_answers import slider_places
from ui.lesson_numbers import FORMS, MEASURES
from ui.lesson_visit import Guess
from ui.lessons import Lesson
from ui.live import component
from ui.summary import layer_names

SKETCH_HEIGHT = 440


def draw(lesson: Lesson) -> None:
    """What is asked, and a way to answer it."""
    visit, asked = lesson_visit.of(lesson), lesson.predict
    st.header(asked.prompt)
    if len(lesson.runs) > 1 or asked.kind == "profile":
        st.caption(_about(lesson))
    guess = _KINDS[asked.kind](lesson)
    with st.container(horizontal=True, vertical_alignment="center", key="lesson_keep_row"):
        if visit.shown:
            st.caption("The run has been shown, so this prediction stays as it is.")
            st.button(
                "Begin this chapter anew",
                key="lesson_anew",
                type="tertiary",
                icon=":material/restart_alt:",
                on_click=_anew,
                args=(lesson,),
            )
            return
        st.button(
            "Keep this prediction",
            key="lesson_keep",
            type="primary",
            icon=":material/check:",
            disabled=guess is None,
            on_click=keep,
            args=(lesson, guess),
        )
        st.button(
            "Show without predicting",
            key="lesson_skip",
            type="tertiary",
            on_click=skip,
            args=(lesson,),
        )
        if visit.guess is not None:
            counts = "counts among the hall's" if rights.is_audience() else "is kept"
            st.caption(f":material/check: Your prediction {counts}; keep another to replace it.")
    if refused := st.session_state.pop("class_refused", ""):
        st.warning(refused, icon=":material/block:")


def _about(lesson: Lesson) -> str:
    run, at = lesson.runs[lesson.predict.of], lesson.predict.at
    when = {"start": "before its first step", "end": "at the end of its training"}[at]
    return f"Asked is about the network “{run.label}”, {when}."


def keep(lesson: Lesson, guess: Guess) -> None:
    """Keep a prediction, and go on to the run; the audience's counts among the hall's, and the presenter goes on."""
    if rights.is_audience():
        page = st.session_state.setdefault("class_page", new_page())
        try:
            class_predictions.take(lesson, page, guess)
        except LimitError as error:
            st.session_state["class_refused"] = str(error)
            return
    lesson_visit.note(lesson, guess=guess, skipped=False)
    _go_on(lesson)


def skip(lesson: Lesson) -> None:
    """Let the run show without a prediction."""
    lesson_visit.note(lesson, skipped=True)
    _go_on(lesson)


def _go_on(lesson: Lesson) -> None:
    if rights.is_presenter():  # who left the presenter's stage would follow no longer
        lesson_link.write(lesson.slug, "run")


def _anew(lesson: Lesson) -> None:
    lesson_visit.forget(lesson)
    lesson_link.write(lesson.slug)


# -- a profile -------------------------------------------------------------------------------------


def _draw_profile(lesson: Lesson) -> Guess | None:
    visit = lesson_visit.of(lesson)
    layers = lesson.runs[lesson.predict.of].spec.layers
    key = f"lesson_sketch_{lesson.slug}"
    about = f"{lesson.slug} {visit.shown}"
    placed = visit.sketch if len(visit.sketch) == layers else (None,) * layers
    data = {
        "about": about,
        "layers": layer_names(layers),
        "range": list(theme.PROFILE_RANGE),
        "placed": list(placed),
        "locked": visit.shown,
        "label": "Your prediction: gradient RMS by layer, on a logarithmic axis. Each point is a "
        "slider: up and down move it, left and right go to the next layer.",
    }
    sketch = component("sketch", "sketch.js", "vgl-sketch", SKETCH_HEIGHT)
    sketch(data=[data], key=key, on_drawn_change=lambda: _drawn(lesson, key))
    return joined(placed)


def _drawn(lesson: Lesson, key: str) -> None:
    """Take what the browser tells of the drawing, read with distrust."""
    told: Any = (st.session_state.get(key) or {}).get("drawn") or {}
    placed = checked(told.get("placed"), lesson.runs[lesson.predict.of].spec.layers)
    if placed is not None and not lesson_visit.of(lesson).shown:
        lesson_visit.note(lesson, sketch=placed)


def checked(told: Any, layers: int) -> tuple[float | None, ...] | None:
    """A drawing as it may be kept: one height within the axis, or none, for each layer; else None."""
    low, high = theme.PROFILE_RANGE
    if not isinstance(told, list) or len(told) != layers:
        return None
    placed = tuple(float(v) if isinstance(v, int | float) else None for v in told)
    if any(v is not None and not low <= v <= high for v in placed):
        return None
    return placed


def joined(placed: Sequence[float | None]) -> tuple[float, ...] | None:
    """The drawn line by layer: straight between points, level beyond them; None without a point."""
    at = [layer for layer, value in enumerate(placed) if value is not None]
    if not at:
        return None
    heights = [value for value in placed if value is not None]
    return tuple(np.interp(np.arange(len(placed)), at, heights).tolist())


# -- a choice, a number ----------------------------------------------------------------------------


def lettered(options: Sequence[str]) -> Callable[[int], str]:
    """Options as a hall can call them out: A, B, C."""
    return lambda option: f"**{chr(ord('A') + option)}** \u2002{options[option]}"


def _draw_choice(lesson: Lesson) -> Guess | None:
    visit, options = lesson_visit.of(lesson), lesson.predict.options
    before = visit.guess if isinstance(visit.guess, int) else None
    picked: int | None = st.radio(
        "Your prediction",
        range(len(options)),
        index=before,
        format_func=lettered(options),
        key=f"lesson_choice_{lesson.slug}",
        disabled=visit.shown,
        label_visibility="collapsed",
    )
    return picked


def _draw_number(lesson: Lesson) -> Guess | None:
    visit, asked = lesson_visit.of(lesson), lesson.predict
    places = slider_places(asked)
    before = float(visit.guess) if isinstance(visit.guess, int | float) else None
    usual = places[len(places) // 2]
    value: float = st.select_slider(
        asked.unit or MEASURES[asked.measure].words.capitalize(),
        places,
        value=usual if before is None else min(places, key=lambda place: abs(place - before)),
        format_func=FORMS[MEASURES[asked.measure].form],
        key=f"lesson_number_{lesson.slug}",
        disabled=visit.shown,
    )
    return value


_KINDS: Mapping[str, Callable[[Lesson], Guess | None]] = {
    "profile": _draw_profile,
    "choice": _draw_choice,
    "number": _draw_number,
}
