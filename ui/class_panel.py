"""What the hall predicts, for the presenter: how many by now, and their distribution when she shows it."""

from collections.abc import Callable, Mapping, Sequence
from html import escape

import streamlit as st

from ui import class_predictions as gathered
from ui import lesson_figures, lesson_reveal, rights
from ui.class_predictions import Bar, class_predictions
from ui.lesson_answers import slider_places
from ui.lesson_numbers import FORMS, MEASURES
from ui.lesson_visit import Guess
from ui.lessons import Lesson
from ui.summary import layer_names

STAGES = ("predict", "run", "reveal")  # before the reveal, and beside it
EVERY_S = 1.0  # between two looks at what the hall says
STYLE = """
<style>
.vgl-class-bars { display: grid; gap: 0.4rem; max-width: 56rem; margin: 0.2rem 0 0.6rem; }
.vgl-class-bar { position: relative; display: flex; gap: 0.3rem 1rem; padding: 0.5rem 1rem; border-radius: 0.5rem;
  border: 2px solid var(--st-border-color, #9aa7b5); font-size: 1.2rem; overflow: hidden; }
.vgl-class-fill { position: absolute; inset: 0 auto 0 0; background: var(--st-primary-color, #2775ca); opacity: 0.22; }
.vgl-class-bar > :not(.vgl-class-fill) { position: relative; }
.vgl-class-count { margin-left: auto; font-weight: 650; font-variant-numeric: tabular-nums; white-space: nowrap; }
.vgl-projector .vgl-class-bar { font-size: 1.75rem; }
</style>
"""


def draw(lesson: Lesson, stage: str) -> None:
    """The hall's predictions, where somebody watches whose they could be."""
    if rights.key() and rights.is_presenter() and stage in STAGES:
        with st.container(key="class_predictions"):
            _draw(lesson)


@st.fragment(run_every=EVERY_S)
def _draw(lesson: Lesson) -> None:
    guesses = class_predictions.of(lesson)
    count = len(guesses)
    st.subheader(f"The hall: {count:,} prediction{'' if count == 1 else 's'}")
    with st.container(horizontal=True, vertical_alignment="center"):
        is_shown = st.toggle("Show what they predict", key=f"class_shown_{lesson.slug}")
        st.button(
            "Begin anew",
            key="class_anew",
            type="tertiary",
            icon=":material/restart_alt:",
            disabled=not count,
            on_click=_begin_anew,
            args=(lesson,),
        )
    if is_shown and guesses:
        _KINDS[lesson.predict.kind](lesson, guesses)


def _begin_anew(lesson: Lesson) -> None:
    if not rights.refusal():  # a page may have been drawn before its presenter signed out
        class_predictions.forget(lesson)


def _draw_bars(bars: Sequence[Bar], lettered: bool) -> None:
    """Each with its number beside it: a bar alone says nothing from the last row."""
    lines = []
    for place, bar in enumerate(bars):
        letter = f"<b>{chr(ord('A') + place)}</b>" if lettered else ""
        lines.append(
            f'<div class="vgl-class-bar"><span class="vgl-class-fill" style="width:{100 * bar.share:.1f}%">'
            f"</span>{letter}<span>{escape(bar.words)}</span>"
            f'<span class="vgl-class-count">{bar.count:,} · {bar.share:.0%}</span></div>'
        )
    st.html(f'{STYLE}<div class="vgl-class-bars">{"".join(lines)}</div>')


def _draw_choice(lesson: Lesson, guesses: Sequence[Guess]) -> None:
    _draw_bars(gathered.by_option(lesson.predict, guesses), lettered=True)


def _draw_number(lesson: Lesson, guesses: Sequence[Guess]) -> None:
    asked = lesson.predict
    told = FORMS[MEASURES[asked.measure].form]
    _draw_bars(gathered.by_number(slider_places(asked), guesses, told), lettered=False)


def _draw_profile(lesson: Lesson, guesses: Sequence[Guess]) -> None:
    drawn = gathered.by_layer(guesses)
    st.plotly_chart(
        lesson_figures.class_profile(
            layer_names(drawn.shape[1]), drawn.tolist(), colours=lesson_reveal.colours()
        ),
        theme=None,
        key="class_profile",
        config={"displayModeBar": False},
        alt=f"Gradient RMS by layer as {len(guesses)} of the hall drew it: the middle and eight in ten.",
    )


_KINDS: Mapping[str, Callable[[Lesson, Sequence[Guess]], None]] = {
    "profile": _draw_profile,
    "choice": _draw_choice,
    "number": _draw_number,
}
