"""The stages of a chapter, each by its name: what the page shows of it."""

from collections.abc import Callable, Mapping

import streamlit as st

from ui import class_panel, lesson_link, lesson_predict, lesson_reveal, lesson_run, lesson_visit
from ui.lessons import Lesson

AFTER_A_PREDICTION = ("run", "reveal", "explain")


def draw(lesson: Lesson, stage: str) -> None:
    """One stage; what shows a result only once there is a prediction, or it was declined."""
    lesson_reveal.prepare(lesson)
    if stage in AFTER_A_PREDICTION and not lesson_visit.of(lesson).may_show:
        lesson_run.draw_gate(lesson)
    else:
        DRAWN[stage](lesson)
    class_panel.draw(lesson, stage)


def _question(lesson: Lesson) -> None:
    with st.container(key="lesson_text"):
        st.title(lesson.question)
        st.markdown(lesson.idea)
    st.button(
        "Predict",
        key="lesson_begin",
        type="primary",
        icon=":material/draw:",
        on_click=lesson_link.write,
        args=(lesson.slug, "predict"),
    )


def _check(lesson: Lesson) -> None:
    visit, check = lesson_visit.of(lesson), lesson.check
    with st.container(key="lesson_text"):
        st.header(check.question)
        picked = st.radio(
            "Your answer",
            range(len(check.options)),
            index=visit.answer,
            format_func=lesson_predict.lettered(check.options),
            key=f"lesson_check_{lesson.slug}",
            label_visibility="collapsed",
        )
        st.button(
            "Answer",
            key="lesson_answer",
            type="primary",
            icon=":material/check:",
            disabled=picked is None or picked == visit.answer,
            on_click=_answer,
            args=(lesson, picked),
        )
        if visit.answer is None:
            return
        if visit.answer == check.answer:
            st.success(f"**Right.** {check.why}", icon=":material/check_circle:")
        else:
            right = f"**{chr(ord('A') + check.answer)}** {check.options[check.answer]}"
            st.error(f"**Not that.** It is {right}. {check.why}", icon=":material/cancel:")


def _answer(lesson: Lesson, picked: int | None) -> None:
    first = lesson_visit.of(lesson).first_answer
    lesson_visit.note(lesson, answer=picked, first_answer=picked if first is None else first)


#: Stage of lesson_link.STAGES -> what draws it.
DRAWN: Mapping[str, Callable[[Lesson], None]] = {
    "question": _question,
    "predict": lesson_predict.draw,
    "run": lesson_run.draw,
    "reveal": lesson_reveal.draw_reveal,
    "explain": lesson_reveal.draw_explain,
    "check": _check,
}
