"""Going back: a new run from any step of this one, or this one once more from its start."""

from collections.abc import Sequence
from typing import Any

import streamlit as st

from engine import branches, runs, steering, store
from engine.errors import EngineError
from engine.spec import bounds
from engine.steering import Change, Standing
from engine.store import RunInfo
from ui import change_form, steer, words
from ui.compare_link import SIDE_BY_SIDE

_FORM = "branch"
_PLACE = "branch"


def draw(info: RunInfo | None) -> None:
    """The popover: from which step, what is different from there on, and how long it trains."""
    popover = st.popover(
        "Branch",
        key="branch",
        icon=":material/alt_route:",
        width="stretch",
        disabled=info is None or not (info.step or info.status != store.QUEUED),
        on_change="rerun",
    )
    if popover.open and info is not None:
        with popover, st.container(key="steering_branch", gap="xsmall"):
            _draw(info)


def shown_step() -> int | None:
    """The step that the scrubber of the charts stands at; None for the newest."""
    told: Any = st.session_state.get("live") or {}
    at = told.get("at")
    return at if type(at) is int and at >= 0 else None


def standing_at(info: RunInfo, step: int | None) -> Standing:
    """How a run stood at a step, with the changes made before it; None: now. Raises EngineError."""
    if step is None:
        return steer.standing(info)
    with store.Reader(runs.path(info.id)) as reader:
        return steering.stood(info.spec, reader.events(), step)


def _draw(info: RunInfo) -> None:
    left, right = st.columns(2, gap="small")
    with left:
        step = _draw_step(info)
    with right:
        length = _draw_length(info)
    try:
        before = standing_at(info, step)
    except EngineError as error:
        change_form.draw_fault(str(error))
        return
    values = change_form.common([before.spec])
    draft = change_form.read(_FORM, values, (info.id, tuple(values.items())))
    fields = change_form.asked(values, draft)
    wrong = change_form.faults([before], fields)
    change_form.draw(_FORM, draft, wrong)
    changes = (Change(kind="set", fields=fields),) if fields else ()
    if not wrong:
        st.caption(_announced(before, changes))
    left, right = st.columns(2, gap="xsmall")
    left.button(
        "Branch",
        key="branch_start",
        type="primary",
        icon=":material/alt_route:",
        width="stretch",
        disabled=bool(wrong),
        on_click=_branch,
        args=(info, step, changes, length),
    )
    both = right.button(
        "And compare",
        key="branch_compare",
        icon=":material/compare:",
        width="stretch",
        disabled=bool(wrong),
        help="Branch, and show both side by side.",
    )
    if both and (run := _begin(info, step, changes, length)):
        pair = {"runs": f"{info.id},{run}", "show": SIDE_BY_SIDE}
        st.switch_page("compare.py", query_params=pair)
    steer.draw_said(_PLACE)
    _draw_again(info)


def _draw_step(info: RunInfo) -> int | None:
    """None is the newest; the charts' scrubber sets it, and a number may be typed."""
    at = shown_step()
    if (
        st.session_state.get("branch_from") != (info.id, at)
        or "branch_step" not in st.session_state
    ):
        st.session_state["branch_from"] = (info.id, at)
        st.session_state["branch_step"] = None if at is None or at > info.step else at
    is_open = info.status in store.OPEN
    step = st.number_input(
        "From step",
        0,
        info.spec.total_steps if is_open else info.step,
        value=None,
        step=1,
        key="branch_step",
        placeholder="the newest" if is_open else f"{info.step:,}, the newest",
        help="The step the charts show: move them to another with the bar under the figures.",
    )
    return None if step is None else int(step)


def _draw_length(info: RunInfo) -> dict[str, Any]:
    """How long it trains in all, where that is not as long as the run; counted from the beginning."""
    name = "steps" if info.spec.steps else "epochs"
    low, high = map(int, bounds(name))
    phases = " per phase" if len(info.spec.phases) > 1 else ""
    value = st.number_input(
        f"{name.capitalize()} in all{phases}",
        low,
        high,
        value=getattr(info.spec, name),
        key=f"branch_{name}",
        disabled=len(info.spec.phases) > 1,  # its length decides where its phases begin
        help="Counted from the beginning of the run it branches from.",
    )
    return {} if value == getattr(info.spec, name) else {name: int(value)}


def _announced(before: Standing, changes: Sequence[Change]) -> str:
    if not changes:
        return "Without a change it repeats what came after, bit for bit."
    told = steering.words(before, changes[0])
    return f"{told[:1].upper()}{told[1:]}."


def _begin(
    info: RunInfo, step: int | None, changes: Sequence[Change], length: dict[str, Any]
) -> str:
    """The new run's id; "" and a sentence in its place where it was refused."""
    st.session_state.pop("said", None)
    try:
        at = runs.info(info.id).step if step is None else step
        return branches.branch(info.id, at, changes, **length)
    except EngineError as error:
        steer.say(_PLACE, str(error), refused=True)
        return ""


def _branch(
    info: RunInfo, step: int | None, changes: Sequence[Change], length: dict[str, Any]
) -> None:
    if run := _begin(info, step, changes, length):
        _open(run)


def _draw_again(info: RunInfo) -> None:
    told = words.changes(info.changes)
    same = f"with the same {told} at the same step{'s' * (info.changes > 1)}"
    left, right = st.columns([2, 3], gap="small", vertical_alignment="center")
    left.button(
        "Run again",
        key="again",
        icon=":material/replay:",
        width="stretch",
        on_click=_again,
        args=(info,),
    )
    right.caption(f"From the start, {same if told else 'with the same settings'}: the same bits.")
    steer.draw_said("again")


def _again(info: RunInfo) -> None:
    st.session_state.pop("said", None)
    try:
        run = branches.again(info.id)
    except EngineError as error:
        steer.say("again", str(error), refused=True)
    else:
        _open(run)


def _open(run: str) -> None:
    """Show another run in the Lab."""
    st.session_state["branch"] = False
    st.session_state["ignored"] = {}
    st.query_params["run"] = run
