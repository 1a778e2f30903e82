"""The stages after the run: prediction against measurement, and the explanation with its numbers."""

from collections.abc import Callable, Sequence
from html import escape

import streamlit as st

from engine.errors import EngineError
from engine.records import Floats
from engine.spec import RunSpec
from engine.store import RunInfo
from ui import (
    lesson_figures,
    lesson_grading,
    lesson_link,
    lesson_numbers,
    lesson_runs,
    lesson_slow,
    lesson_visit,
    rights,
    theme,
)
from ui.lesson_grading import Grade
from ui.lesson_numbers import MEASURES, Measured, log10_profile, value
from ui.lessons import Lesson
from ui.live import component
from ui.predictions import Prediction, predictions
from ui.probes import Answer, probes
from ui.summary import layer_names

#: What the table of measured numbers tells of each run: placeholder -> heading.
TABLE = {
    "gradient_ratio_start": "Gradient ratio, step 0",
    "factor_start": "dL/dz per layer",
    "gradient_ratio_end": "Gradient ratio, newest",
    "loss_end": "Train loss",
    "test_accuracy": "Test accuracy",
    "wake_epoch": "Awake in epoch",
}
WAIT_S = 1.0  # between two looks for what is not there yet


def _runs(lesson: Lesson) -> list[Measured | None]:
    """What each run of the chapter has measured; None where it is not there."""
    found = lesson_runs.find(lesson, lesson_visit.of(lesson))
    return [_measured(info) for info in found]


def _measured(info: RunInfo | None) -> Measured | None:
    try:
        return lesson_numbers.measured(info.id) if info else None
    except EngineError:
        return None  # deleted meanwhile


def theory_of(run: Measured | None) -> Prediction | None:
    """What theory says of a run's first step; None while that is not known."""
    if run is None or run.kernel is None:
        return None
    return predictions.get(run.spec, run.kernel)


def _is_pending(run: Measured | None) -> bool:
    """Whether theory is being computed, beside the page."""
    return run is not None and run.kernel is not None and theory_of(run) is None


# -- reveal ----------------------------------------------------------------------------------------


def draw_reveal(lesson: Lesson) -> None:
    """Prediction against measurement: a figure, a sentence, the numbers."""
    measured = _runs(lesson)
    asked = measured[lesson.predict.of]
    if asked is None or not lesson_grading.is_known(lesson.predict, asked):
        _draw_missing(lesson, measured)
        return
    visit = lesson_visit.of(lesson)
    found = (
        None if visit.guess is None else lesson_grading.grade(lesson.predict, visit.guess, asked)
    )
    if found is not None:
        st.header(_headline(found))
        st.markdown(found.sentence)
    else:
        st.header("What was measured")
    _FIGURES[lesson.predict.kind](lesson, asked, found)
    _draw_table(lesson, measured)
    if any(run is not None and not run.is_over for run in measured):
        st.caption("Still training: the newest numbers move on.")
        _wait(lambda: all(run is None or run.is_over for run in _runs(lesson)))
    elif any(_is_pending(run) for run in measured):
        _wait(lambda: not any(_is_pending(run) for run in measured))


def _headline(found: Grade) -> str:
    if found.right is None:
        return "Your prediction and the measurement"
    return (
        ":material/check_circle: As you predicted"
        if found.right
        else ":material/cancel: Not as you predicted"
    )


def _draw_missing(lesson: Lesson, measured: Sequence[Measured | None]) -> None:
    training = all(run is not None for run in measured)
    st.header("Still training" if training else "Not run yet")
    st.markdown(
        "What was asked is measured when the training is over."
        if training
        else f"There is nothing to hold a prediction against: {_who_runs()}."
    )
    st.button(
        "Watch it" if training else "To the run",
        key="lesson_to_run",
        type="primary",
        icon=":material/play_arrow:",
        on_click=lesson_link.write,
        args=(lesson.slug, "run"),
    )
    if training:
        _wait(lambda: _is_known(lesson))


def _who_runs() -> str:
    return "run the network first" if rights.is_presenter() else "the presenter starts the run"


def _is_known(lesson: Lesson) -> bool:
    asked = _runs(lesson)[lesson.predict.of]
    return asked is not None and lesson_grading.is_known(lesson.predict, asked)


@st.fragment(run_every=WAIT_S)
def _wait(done: Callable[[], bool]) -> None:
    """Look again and again, without drawing anything, until it is there."""
    if done():
        st.rerun()


def colours() -> lesson_figures.Colours:
    """Of the mode that the page is drawn in."""
    return theme.MODES["dark" if st.context.theme.type == "dark" else "light"]


def _draw_profile(lesson: Lesson, run: Measured, found: Grade | None) -> None:
    record = run.record(lesson.predict.at)
    measured = log10_profile(record)
    assert measured is not None, "what is known has a record"
    guess = lesson_visit.of(lesson).guess
    drawn = guess if isinstance(guess, tuple) else ()
    theory = theory_of(run) if lesson.predict.at == "start" else None
    step = 0 if record is None else record.step
    st.plotly_chart(
        lesson_figures.profile(
            layer_names(len(measured)),
            measured.tolist(),
            drawn,
            _listed(theory.log10_grad_rms) if theory and not theory.fault else (),
            _listed(theory.grad_band) if theory and not theory.fault else (),
            colours=colours(),
            word=f"measured, step {step:,}",
        ),
        theme=None,
        key="lesson_profile",
        config={"displayModeBar": False},
        alt=f"Gradient RMS by layer of {lesson.runs[lesson.predict.of].label} at step {step:,}, "
        + (found.sentence if found else "without a prediction."),
    )
    if theory is not None and theory.fault:
        st.caption(f"Theory is not drawn: {theory.fault}")
    if found is not None and found.decades:
        names = layer_names(len(found.decades))
        off = [
            f"{name}: {decades:+.1f}".replace("-", "−")
            for name, decades in zip(names, found.decades, strict=True)
        ]
        st.caption(
            f"Decades that you drew too high (+) or too low (−), by layer: {', '.join(off)}."
        )


def _listed(values: Floats) -> list[float]:
    return [float(one) for one in values]


def _draw_choice(lesson: Lesson, run: Measured, found: Grade | None) -> None:
    """The options; which was chosen, and in which the measured number falls."""
    asked = lesson.predict
    number = value(run, asked.measure, asked.at)
    fell = lesson_grading.option_of(number, asked.bins)
    words = lesson_grading.in_words(asked, run)
    guess = lesson_visit.of(lesson).guess
    lines = []
    for place, option in enumerate(asked.options):
        marks = []
        if place == guess:
            marks.append("your prediction")
        if place == fell:
            marks.append(f"✓ measured: {words}")
        measured = str(place == fell).lower()
        lines.append(
            f'<div class="vgl-lesson-option" data-measured="{measured}">'
            f"<b>{chr(ord('A') + place)}</b><span>{escape(option)}</span>"
            f'<span class="vgl-lesson-mark">{escape(" · ".join(marks))}</span></div>'
        )
    st.html(f'<div class="vgl-lesson-options">{"".join(lines)}</div>')
    if found is None:
        st.markdown(f"Measured: {MEASURES[asked.measure].words} {words}.")


def _draw_number(lesson: Lesson, run: Measured, found: Grade | None) -> None:
    asked = lesson.predict
    quantity = MEASURES[asked.measure]
    guess = lesson_visit.of(lesson).guess
    st.plotly_chart(
        lesson_figures.number_line(
            float(guess) if isinstance(guess, int | float) else None,
            value(run, asked.measure, asked.at),
            low=asked.low,
            high=asked.high,
            log=asked.log,
            percent=quantity.form == "share",
            title=asked.unit or quantity.words,
            colours=colours(),
        ),
        theme=None,
        key="lesson_number_line",
        config={"displayModeBar": False},
        alt=found.sentence if found else "The measured number on its axis.",
    )
    if found is None:
        st.markdown(f"Measured: {quantity.words} {lesson_grading.in_words(asked, run)}.")


_FIGURES: dict[str, Callable[[Lesson, Measured, Grade | None], None]] = {
    "profile": _draw_profile,
    "choice": _draw_choice,
    "number": _draw_number,
}


def _draw_table(lesson: Lesson, measured: Sequence[Measured | None]) -> None:
    head = ["", *TABLE.values()]
    rows = [
        [f"**{run.label}**", *(lesson_numbers.told(name, one, theory_of(one)) for name in TABLE)]
        for run, one in zip(lesson.runs, measured, strict=True)
    ]
    lines = [head, ["---", *["---:"] * len(TABLE)], *rows]
    st.markdown("\n".join(f"| {' | '.join(line)} |" for line in lines))


# -- explain ---------------------------------------------------------------------------------------


def draw_explain(lesson: Lesson) -> None:
    """The backward pass in slow motion where the chapter has it, then text with measured numbers."""
    measured = _runs(lesson)
    if any(run is None for run in measured):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.caption("Where a number is missing (–) the network has not been run.")
            st.button(
                "To the run",
                key="lesson_to_run",
                type="tertiary",
                icon=":material/play_arrow:",
                on_click=lesson_link.write,
                args=(lesson.slug, "run"),
            )
    if lesson.slow is not None:
        _draw_slow(lesson, lesson.slow)

    def tell(run: int, name: str) -> str:
        return lesson_numbers.told(name, measured[run], theory_of(measured[run]))

    with st.container(key="lesson_text"):
        st.markdown(lesson_numbers.filled(lesson.explanation, tell))
        st.subheader("Sources")
        st.markdown(lesson.sources)
    if any(_is_pending(run) for run in measured):
        _wait(lambda: not any(_is_pending(run) for run in measured))


def prepare(lesson: Lesson) -> None:
    """Have the slow motion measured, and theory computed, before a visitor gets there."""
    if lesson.slow is not None:
        _slow_answer(_slow_spec(lesson, lesson.slow))
    if lesson_visit.of(lesson).may_show:
        for run in _runs(lesson):
            theory_of(run)


def _slow_spec(lesson: Lesson, of: int) -> RunSpec:
    return lesson_runs.specs(lesson, lesson_visit.of(lesson).data)[of]


def _slow_answer(spec: RunSpec) -> Answer:
    return probes.ask("backward", spec, anew=rights.is_presenter())


def _draw_slow(lesson: Lesson, of: int) -> None:
    """What each layer does to the gradient, on the first batch of that run's own network."""
    spec = _slow_spec(lesson, of)
    answer = _slow_answer(spec)
    st.header("The backward pass, in slow motion")
    if answer.error:
        st.caption(f":material/error: {answer.error}")
        return
    if not answer.rows:
        st.caption("Measuring the first batch of this network; the first time takes some seconds.")
        _wait(lambda: bool((one := _slow_answer(spec)).rows or one.error))
        return
    row = answer.rows[0]
    slow = component("slow", "slow.js", "vgl-slow", 520)
    slow(data=[lesson_slow.told(row, spec)], key=f"lesson_slow_{lesson.slug}")
    if formula := lesson_slow.formula(row):
        st.markdown(f"The chain rule with this network's numbers, layer by layer:\n\n$${formula}$$")
