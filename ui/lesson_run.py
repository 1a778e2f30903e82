"""The stage in which a chapter's networks are trained, live, before the visitor's eyes."""

from collections.abc import Sequence

import streamlit as st

from engine import runs, store
from engine.data_sets import DATA_SETS
from engine.errors import EngineError
from engine.spec import RunSpec
from engine.store import RunInfo
from ui import (
    comparison_live,
    contrast,
    lesson_link,
    lesson_runs,
    lesson_visit,
    live,
    rights,
    share,
    unheard,
    words,
)
from ui.comparison_live import Shown
from ui.figures import FIGURES
from ui.lessons import Lesson
from ui.literal import literal

WAITING = "The presenter starts this run."
LOOK_S = 5.0  # between two looks what the presenter has started; each costs the server some ms
NEVER = ("replay", "diagnosis")  # of the Lab's component, in a lesson: the chapter says it


def draw_gate(lesson: Lesson) -> None:
    """In place of any result, as long as nothing has been predicted."""
    st.header("Predict first")
    st.markdown("What happens here is shown once you have said what you expect.")
    with st.container(horizontal=True):
        st.button(
            "To the prediction",
            key="lesson_to_predict",
            type="primary",
            icon=":material/draw:",
            on_click=lesson_link.write,
            args=(lesson.slug, "predict"),
        )
        st.button(
            "Show without predicting",
            key="lesson_skip",
            type="tertiary",
            on_click=_skip,
            args=(lesson,),
        )


def _skip(lesson: Lesson) -> None:
    lesson_visit.note(lesson, skipped=True)


def draw(lesson: Lesson) -> None:
    """Run, and what is trained; or the charts of it."""
    visit = lesson_visit.of(lesson)
    found = lesson_runs.find(lesson, visit)
    shown = [info for info in found if info]
    with st.container():
        if rights.is_audience():
            _look_for_others(lesson, _ids(found))
    with st.container(horizontal=True, vertical_alignment="center", key="lesson_run_row"):
        if len(shown) == len(found):
            _draw_over(lesson, shown)
        else:
            _draw_ready(lesson)
    with st.container():
        if fault := st.session_state.pop("lesson_fault", ""):
            st.error(literal(fault), icon=":material/error:")
    if len(shown) < len(found):
        st.markdown(_announced(lesson))
        return
    if not visit.shown:
        lesson_visit.note(lesson, shown=True)
    _mount(lesson, shown)


def _draw_ready(lesson: Lesson) -> None:
    if rights.is_audience():
        st.markdown(f":material/hourglass_top: **{WAITING}**")
        _draw_data(lesson)
        return
    st.button(
        "Run",
        key="lesson_run",
        type="primary",
        icon=":material/play_arrow:",
        on_click=_start,
        args=(lesson, False),
    )
    _draw_data(lesson)


@st.fragment(run_every=LOOK_S)
def _look_for_others(lesson: Lesson, shown: Sequence[str]) -> None:
    """Draw the page anew once the presenter has started others than are shown."""
    if _ids(lesson_runs.find(lesson, lesson_visit.of(lesson))) != shown:
        st.rerun()


def _ids(found: Sequence[RunInfo | None]) -> list[str]:
    return [info.id for info in found if info]


def _draw_data(lesson: Lesson) -> None:
    """The pictures to train on, where others than the chapter's own lie on this machine."""
    offered = lesson_runs.offered_data(lesson)
    if len(offered) < 2:
        return
    visit = lesson_visit.of(lesson)
    unheard.move("lesson_data", visit.data or offered[0])
    st.segmented_control(
        "Train on",
        offered,
        required=True,
        format_func=lambda name: DATA_SETS[name].title + ("" if name == "digits" else ", longer"),
        key="lesson_data",
        label_visibility="collapsed",
        on_change=_data_chosen,
        args=(lesson,),
    )


def _data_chosen(lesson: Lesson) -> None:
    if unheard.is_echo("lesson_data"):
        return
    name = st.session_state["lesson_data"]
    own = lesson.runs[0].spec.data
    lesson_visit.note(lesson, data="" if name == own else name, runs=())


def _announced(lesson: Lesson) -> str:
    """What Run would start: each network, and what of it is not the baseline's."""
    visit = lesson_visit.of(lesson)
    specs = lesson_runs.specs(lesson, visit.data)
    return "\n".join(
        f"- **{run.label}**: {spec.depth} layers of {spec.width} units, {_other(spec)}. "
        f"{spec.total_steps:,} steps on {spec.data_set.title}."
        for run, spec in zip(lesson.runs, specs, strict=True)
    )


def _other(spec: RunSpec) -> str:
    """What besides size and length is not the baseline's, which is told by its activation."""
    plain = RunSpec(data=spec.data)
    same = {name: getattr(plain, name) for name in ("width", "epochs", "steps")}
    if spec.skip == "none" and spec.schedule == "joint":
        same["depth"] = plain.depth
    return words.differences(spec.changed(same)) or f"{spec.activation}, the baseline's settings"


def _draw_over(lesson: Lesson, shown: Sequence[RunInfo]) -> None:
    """How the runs stand, and for the presenter Stop or Run again."""
    is_open = any(info.status in store.OPEN for info in shown)
    if rights.is_audience():
        _draw_data(lesson)
    elif is_open:
        st.button(
            "Stop", key="lesson_stop", icon=":material/stop:", on_click=_stop, args=(tuple(shown),)
        )
    else:
        st.button(
            "Run again",
            key="lesson_again",
            icon=":material/replay:",
            on_click=_start,
            args=(lesson, True),
            help="Train it once more, live. The same settings give the same numbers.",
        )
        _draw_data(lesson)
    st.markdown(_standing(lesson, 0, shown[0]) if len(shown) == 1 else _all_standing(lesson, shown))


def _all_standing(lesson: Lesson, shown: Sequence[RunInfo]) -> str:
    """How several runs stand together, and each that did not come to its end as it should."""
    over = [info for info in shown if info.status not in store.OPEN]
    done = "All have finished." if len(over) == len(shown) else f"{len(over)} of {len(shown)} done."
    odd = [
        place for place, info in enumerate(shown) if info in over and info.status != store.FINISHED
    ]
    if not odd:
        return done
    told = [_standing(lesson, place, shown[place]) for place in odd]
    return " · ".join(told) if len(over) == len(shown) else " · ".join([done, *told])


def _standing(lesson: Lesson, place: int, info: RunInfo) -> str:
    waits = info.status == store.QUEUED
    _, icon = words.STATUS_WORDS[info.status]
    sentence = words.status_sentence(info, runs.queue_position(info.id) if waits else 0)
    return f"{icon} **{lesson.runs[place].label}**: {sentence}"


def _start(lesson: Lesson, again: bool) -> None:
    try:
        begun = lesson_runs.start(lesson, lesson_visit.of(lesson), again=again)
    except EngineError as error:
        st.session_state["lesson_fault"] = str(error)
    else:
        lesson_visit.note(lesson, runs=begun, shown=True)


def _stop(shown: tuple[RunInfo, ...]) -> None:
    st.session_state["lesson_fault"] = lesson_runs.stop(shown)


def _mount(lesson: Lesson, shown: Sequence[RunInfo]) -> None:
    """The Lab's charts of one run, or the comparison's of several."""
    drawn = [name for name in (*FIGURES, "difference_heatmap") if name not in lesson.figures]
    hidden = tuple(dict.fromkeys((*drawn, *NEVER, *share.hidden())))
    if len(shown) == 1:
        live.mount(
            shown[0].id,
            kind=lesson.histograms,  # type: ignore[arg-type]  # checked when it was read
            profile="gradient",  # as predictions are drawn
            hidden=hidden,
            known=shown[0],
            key="lesson_live",
        )
        return
    colours = contrast.colours([info.spec for info in shown])
    comparison_live.mount(
        [
            Shown(info.id, run.label, colour, dash, info.spec.layers, 0, info.status, info.changes)
            for info, run, colour, dash in zip(
                shown, lesson.runs, colours, contrast.DASHES, strict=False
            )
        ],
        kind=lesson.histograms,
        known_open=any(info.status in store.OPEN for info in shown),
        hidden=hidden,
        key="lesson_comparison",
    )
