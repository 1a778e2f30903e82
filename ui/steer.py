"""Steering what trains: pause, single steps, and the things that can be changed on the way.

The same for the Lab's run and for contenders of the Compare page: all is done to one run or several.
"""

import time
from collections.abc import Callable, Sequence

import streamlit as st

from engine import runs, steering, store
from engine.errors import EngineError
from engine.steering import Change, Standing
from engine.store import RunInfo
from ui import change_form, words

Runs = Sequence[RunInfo]
HEARD_S = 0.5  # how long a press waits for the worker to have taken it: usually a tenth of that
_LOOK_S = 0.02


# -- what was said to a press ----------------------------------------------------------------------


def say(place: str, sentence: str, *, refused: bool = False) -> None:
    """Remember what came of a press, for `draw_said` in the same place, until the next press."""
    st.session_state["said"] = (place, sentence, refused)


def draw_said(place: str) -> None:
    """What came of the last press, if it was one here."""
    where, sentence, refused = st.session_state.get("said", ("", "", False))
    with st.container():
        if where == place and refused:
            change_form.draw_fault(sentence)
        elif where == place:
            st.caption(f":material/check: {sentence}")


def each(targets: Runs, act: Callable[[RunInfo], object]) -> list[str]:
    """Do something to every run; a sentence for each that refused."""
    refused = []
    for info in targets:
        try:
            act(info)
        except EngineError as error:
            refused.append(str(error))
    return refused


def _await(targets: Runs, heard: Callable[[RunInfo, RunInfo], bool]) -> bool:
    """Give the workers a moment, so that the page shows what they made of it; whether all have.

    heard  how a run was and how it is -> whether it has taken what it was given
    """
    deadline = time.monotonic() + HEARD_S
    waiting = list(targets)
    while waiting and time.monotonic() < deadline:
        time.sleep(_LOOK_S)
        waiting = [before for before in waiting if not _has(before, heard)]
    return not waiting


def _has(before: RunInfo, heard: Callable[[RunInfo, RunInfo], bool]) -> bool:
    try:
        now = runs.info(before.id)
    except EngineError:
        return True  # it is gone: nothing to wait for
    return now.status not in store.OPEN or heard(before, now)


# -- pause and steps -------------------------------------------------------------------------------


def draw_steps(targets: Runs, place: str) -> None:
    """Pause or Resume, one step, one epoch: of the runs that have begun, together."""
    # Without help texts: those of the lower buttons would lie over Train and Stop.
    begun = [info for info in targets if info.status in store.BEGUN]
    trains = any(info.status == store.RUNNING for info in begun) or not begun
    left, middle, right = st.columns([6, 4, 5], gap="xsmall")
    left.button(
        "Pause" if trains else "Resume",
        key=f"{place}_pause",
        icon=":material/pause:" if trains else ":material/resume:",
        width="stretch",
        disabled=not begun,
        on_click=_pause if trains else _resume,
        args=(begun, place),
    )
    middle.button(
        "1 step",
        key=f"{place}_step",
        width="stretch",
        disabled=not begun,
        on_click=_step,
        args=(begun, place),
    )
    right.button(
        "1 epoch",
        key=f"{place}_epoch",
        width="stretch",
        disabled=not begun,
        on_click=_epoch,
        args=(begun, place),
    )
    draw_said(f"{place}_steps")


def _send(targets: Runs, place: str, command: str) -> None:
    st.session_state.pop("said", None)
    if refused := each(targets, lambda info: runs.send(info.id, command)):
        say(f"{place}_steps", refused[0], refused=True)


def _pause(targets: Runs, place: str) -> None:
    running = [info for info in targets if info.status == store.RUNNING]
    _send(running, place, "pause")
    _await(running, lambda before, now: now.status == store.PAUSED)


def _resume(targets: Runs, place: str) -> None:
    _send(targets, place, "resume")
    _await(targets, lambda before, now: now.status == store.RUNNING)


def _step(targets: Runs, place: str) -> None:
    _send(targets, place, "step")
    _await(targets, lambda before, now: now.status == store.PAUSED and now.step > before.step)


def _epoch(targets: Runs, place: str) -> None:
    _send(targets, place, "epoch")
    _await(targets, lambda before, now: now.status == store.RUNNING)


# -- changes ---------------------------------------------------------------------------------------


def draw_change(targets: Runs, place: str) -> None:
    """The popover with everything that can be changed while these runs train or wait."""
    live = [info for info in targets if info.status in store.OPEN]
    popover = st.popover(
        "Change",
        key=f"{place}_change",
        icon=":material/tune:",
        width="stretch",
        disabled=not live,
        on_change="rerun",
    )
    if popover.open and live:
        with popover, st.container(key=f"steering_{place}", gap="xsmall"):
            _draw_fields(live, place)
            _draw_layers(live, place)


def standing(info: RunInfo) -> Standing:
    """How a run stands now."""
    return Standing(spec=info.now, frozen=frozenset(info.frozen))


def _about(live: Runs) -> tuple[tuple[str, int], ...]:
    return tuple((info.id, info.changes) for info in live)


def _draw_fields(live: Runs, place: str) -> None:
    form = f"{place}_change"
    values = change_form.common([info.now for info in live])
    draft = change_form.read(form, values, _about(live))
    fields = change_form.asked(values, draft)
    wrong = change_form.faults([standing(info) for info in live], fields)
    change_form.draw(form, draft, wrong)
    change = Change(kind="set", fields=fields)
    st.button(
        "Apply",
        key=f"{place}_apply_change",
        type="primary",
        icon=":material/bolt:",
        width="stretch",
        disabled=not fields or bool(wrong),
        on_click=_change,
        args=(live, place, [change]),
    )
    if fields and not wrong:
        st.caption(_sentence(steering.words(standing(live[0]), change)))
    draw_said(f"{place}_change")


def _draw_layers(live: Runs, place: str) -> None:
    """Freeze or let learn one layer; draw the weights of one or of all anew."""
    form = f"{place}_change"
    values = change_form.common([info.now for info in live])
    draft = {name: st.session_state[change_form.key(form, name)] for name in values}
    layers = min(info.spec.layers for info in live)
    left, middle, right = st.columns(3, gap="small")
    layer = left.selectbox("Layer", range(1, layers + 1), key=f"{place}_change_layer")
    with middle:
        change_form.draw_field(form, "init", draft)
    with right:
        for name in ("std", "gain"):
            if words.matters(name, draft):
                change_form.draw_field(form, name, draft)
    frozen = all(layer in info.frozen for info in live)
    drawing = change_form.asked(values, draft, change_form.DRAWING)
    wrong = change_form.faults([standing(info) for info in live], drawing)
    first = [Change(kind="set", fields=drawing)] if drawing else []
    presses = {
        "Let it learn" if frozen else "Freeze": [
            Change(kind="unfreeze" if frozen else "freeze", layer=layer)
        ],
        "New weights": [*first, Change(kind="reinitialise", layer=layer)],
        "All layers new": [*first, Change(kind="reinitialise")],
    }
    columns = st.columns(3, gap="xsmall")
    for name, column, (label, changes) in zip(
        ("freeze", "anew", "all_anew"), columns, presses.items(), strict=True
    ):
        column.button(
            label,
            key=f"{place}_{name}",
            width="stretch",
            disabled=bool(wrong) and name != "freeze",
            on_click=_change,
            args=(live, place, changes, "layers"),
        )
    for sentence in wrong.values():
        change_form.draw_fault(sentence)
    draw_said(f"{place}_layers")


def _change(targets: Runs, place: str, changes: Sequence[Change], part: str = "change") -> None:
    st.session_state.pop("said", None)
    told = steering.words(standing(targets[0]), changes[-1])
    taken: list[RunInfo] = []

    def act(info: RunInfo) -> None:
        for change in changes:
            runs.change(info.id, change)
        taken.append(info)

    refused = each(targets, act)
    heard = _await(taken, lambda before, now: now.changes >= before.changes + len(changes))
    if refused:
        say(f"{place}_{part}", refused[0], refused=True)
    else:
        when = "Done" if heard else "Sent, and done before the next step"
        say(f"{place}_{part}", f"{when}: {told}.")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."
