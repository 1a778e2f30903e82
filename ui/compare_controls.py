"""The Compare page's sidebar: Start and Stop, what stands side by side, and what is to be trained."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import streamlit as st

from engine import contenders, runs, store
from engine.contenders import MOST_CONTENDERS, MOST_SEEDS, Contender
from engine.data_sets import DATA_SETS
from engine.errors import EngineError
from engine.presets import PRESETS
from engine.remedies import REMEDIES
from engine.spec import bounds
from engine.store import RunInfo
from ui import compare_link, draft, lineup, links, rights, steer, words
from ui.compare_link import SIDE_BY_SIDE
from ui.lineup import Entry
from ui.links import Comparison
from ui.literal import fault, listed, literal

RECENT = 40  # contenders in the picker; the library has them all
SHOW_WORDS = {
    "side_by_side": ":material/view_column: Side by side",
    "ladder": ":material/leaderboard: Ladder",
    "verdict": ":material/fact_check: Published table",
}
FORM_WORDS = {"controlled": "Controlled", "published": "Published", "both": "Both"}


def draw_show(link: Comparison) -> None:
    """The three things this page is for."""
    st.segmented_control(
        "Show",
        links.SHOWS,
        default=link.show,
        required=True,
        format_func=SHOW_WORDS.__getitem__,
        label_visibility="collapsed",
        **compare_link.bound("show", link.show),
    )


def draw_ignored(sentences: Sequence[str], tidy: Comparison) -> None:
    """One sentence for each thing in the link that cannot be shown, until it leaves the link."""
    if not sentences:
        return
    lines = listed(sentences)
    with st.container(horizontal=True, wrap=False):
        st.warning(f"Not shown, of what the link names:\n{lines}", icon=":material/link_off:")
        st.button(
            "Dismiss",
            key="compare_dismiss",
            icon=":material/close:",
            on_click=compare_link.write,
            args=(tidy,),
            help="Take it out of the link.",
        )


# -- start and stop ---------------------------------------------------------------------------------


def draw_actions(
    label: str,
    *,
    key: str,
    says: str,
    ready: bool,
    on_start: Callable[..., None],
    args: tuple[Any, ...] = (),
    running: Sequence[str],
    stop: str = "Stop all",
    steering: Callable[[], None] = lambda: None,
) -> None:
    """Start and Stop, always in sight, what Start would start, and what steers those that train.

    For the audience that it looks on.
    """
    if rights.is_audience():
        st.caption(rights.LOOK_AROUND)
        return
    with st.container(key="actions"):
        left, right = st.columns([3, 2])
        left.button(
            label,
            key=f"start_{key}",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=not ready,
            on_click=on_start,
            args=args,
        )
        right.button(
            stop,
            key=f"stop_{key}",
            icon=":material/stop:",
            width="stretch",
            disabled=not running,
            on_click=_stop,
            args=(tuple(running),),
            help="Stop every run of these that waits or trains. What they recorded is kept.",
        )
        with st.container():
            steering()
        with st.container():
            st.caption(says)
            if sentence := compare_link.complaint():
                st.caption(fault(sentence))


def _stop(running: Sequence[str]) -> None:
    faults = []
    for run in reversed(running):  # those that wait first, so that none of them starts meanwhile
        try:
            runs.send(run, "stop")
        except EngineError as error:
            faults.append(str(error))
    if faults:
        compare_link.complain(faults[0])


def start(asked: Sequence[Contender]) -> list[str]:
    """Queue contenders; the ids of their groups, or none and a complaint on the page."""
    try:
        return contenders.start(asked)
    except EngineError as error:
        compare_link.complain(str(error))
        return []


# -- what is new ------------------------------------------------------------------------------------


def common(link: Comparison) -> draft.Common:
    """What is the same for all that is started from here."""
    return draft.Common(data=link.new_data, epochs=link.new_epochs, seeds=link.seeds)


def draw_builder(link: Comparison, entries: Sequence[Entry]) -> None:
    """The sidebar: Start together, who stands side by side, and new ones."""
    room = MOST_CONTENDERS - len(entries)
    lines = draft.lines(link.new, common(link), lineup.titled, room)
    asked = [line.contender for line in lines if line.contender]
    steered = _steered(entries)
    draw_actions(
        "Start together",
        key="together",
        says=draft.announced(asked),
        ready=bool(asked),
        on_start=_start_new,
        running=[info.id for info in steered],
        stop="Stop" if _whom() in _open(entries) else "Stop all",
        steering=partial(_draw_steering, entries, steered),
    )
    if rights.is_audience():
        _draw_picker(link, entries)
        return
    with st.container(key="new_ones"):
        for line in lines:
            _draw_line(line)
    _draw_picker(link, entries)
    _draw_adding(link, lines, room)
    draw_common(link, "For all new ones")


# -- steering ---------------------------------------------------------------------------------------


def _open(entries: Sequence[Entry]) -> dict[str, Entry]:
    """The contenders of which something waits or trains."""
    return {entry.id: entry for entry in entries if entry.open}


def _whom() -> str:
    """The contender that is steered alone; "": all that train are."""
    return st.session_state.get("compare_whom") or ""


def _steered(entries: Sequence[Entry]) -> list[RunInfo]:
    """The runs that wait or train of whom the buttons are for."""
    found = _open(entries)
    chosen = [found[_whom()]] if _whom() in found else [*found.values()]
    return [info for entry in chosen for info in entry.infos if info.status in store.OPEN]


def _draw_steering(entries: Sequence[Entry], steered: Sequence[RunInfo]) -> None:
    """Whom to steer, and how: nothing where nothing trains."""
    found = _open(entries)
    if not found:
        return
    if len(found) > 1:
        st.selectbox(
            "Steer",
            list(found),
            index=None,
            format_func=lambda one: lineup.label(one, found[one].infos[0]),
            key="compare_whom",
            placeholder=f"all {len(found)} that train, together",
            label_visibility="collapsed",
        )
    steer.draw_steps(steered, "compare")
    steer.draw_change(steered, "compare")


def _start_new() -> None:
    link = compare_link.now()
    entries, _ = lineup.line_up(link.runs)
    room = MOST_CONTENDERS - len(entries)
    lines = draft.lines(link.new, common(link), lineup.titled, room)
    begun = start([line.contender for line in lines if line.contender])
    if begun:
        shown = tuple(entry.id for entry in entries)
        left = tuple(line.text for line in lines if not line.contender)
        compare_link.write(replace(link, runs=(*shown, *begun), new=left, show=SIDE_BY_SIDE))


def _draw_picker(link: Comparison, entries: Sequence[Entry]) -> None:
    shown = [entry.id for entry in entries]
    labels = lineup.offered(RECENT, shown)
    st.multiselect(
        "Shown side by side",
        list(labels),
        shown,
        format_func=labels.__getitem__,
        max_selections=MOST_CONTENDERS,
        placeholder="Choose runs" if labels else "No run yet",
        disabled=not labels,
        **compare_link.bound("runs", shown),
    )


def _draw_adding(link: Comparison, lines: Sequence[draft.Line], room: int) -> None:
    bases = _bases(link)
    base = st.selectbox(
        "Start from", list(bases), format_func=bases.__getitem__, key=compare_link.key("base")
    )
    cures = st.pills(
        "plus",
        list(REMEDIES),
        selection_mode="multi",
        format_func=draft.remedy_title,
        key="compare_remedies",
    )
    text = str(draft.Draft(base, tuple(cures)))
    *_, wanted = draft.lines(
        (*(line.text for line in lines), text), common(link), lineup.titled, room
    )
    there = text in link.new
    st.button(
        "Add",
        key="compare_add",
        icon=":material/add:",
        width="stretch",
        disabled=wanted.contender is None or there,
        on_click=_add,
        args=(text,),
    )
    with st.container():
        if wanted.fault and not there and cures:
            st.caption(fault(wanted.fault))


def _bases(link: Comparison) -> dict[str, str]:
    """What a new one may start from: the Lab's run, every preset, and what stands side by side."""
    found = {}
    for run in dict.fromkeys((st.session_state.get("shown_run"), *link.runs)):
        try:
            if run:
                found[run] = lineup.label(run, lineup.first(run))
        except EngineError:
            continue
    lab = {run: f"In the Lab: {text}" for run, text in found.items() if run == _lab_run()}
    return lab | {name: words.preset_title(name) for name in PRESETS} | found | lab


def _lab_run() -> str | None:
    return st.session_state.get("shown_run")


def _add(text: str) -> None:
    link = compare_link.now()
    st.session_state["compare_remedies"] = []
    compare_link.write(replace(link, new=(*link.new, text), show=SIDE_BY_SIDE))


def _remove(text: str) -> None:
    link = compare_link.now()
    compare_link.write(replace(link, new=tuple(one for one in link.new if one != text)))


def _draw_line(line: draft.Line) -> None:
    with st.container(horizontal=True, wrap=False, vertical_alignment="center"):
        wrong = f"  \n{fault(line.fault)}" if line.fault else ""
        st.markdown(f":material/playlist_add: {literal(line.title)}{wrong}", width="stretch")
        st.button(
            "",
            key=f"remove_{line.text}",
            icon=":material/close:",
            type="tertiary",
            help=f"Remove {line.title}",
            on_click=_remove,
            args=(line.text,),
        )


def draw_common(link: Comparison, heading: str) -> None:
    """Data, epochs and seeds of whatever is started next; nothing for the audience."""
    if rights.is_audience():
        return
    st.markdown(f"**{heading}**")
    names = list(DATA_SETS)
    st.selectbox(
        "Data set",
        names,
        names.index(link.new_data),
        **compare_link.bound("new_data", link.new_data),
    )
    with st.container():
        if link.new_data not in runs.data_here():
            st.caption(f"{DATA_SETS[link.new_data].title} will be downloaded.")
    low, high = map(int, bounds("epochs"))
    left, right = st.columns(2)
    with left:
        epochs = link.new_epochs
        st.number_input("Epochs", low, high, epochs, **compare_link.bound("new_epochs", epochs))
    with right:
        draw_seeds(link)


def draw_seeds(link: Comparison) -> None:
    """How many seeds each contender is trained from; nothing for the audience."""
    if rights.is_audience():
        return
    seeds = link.seeds
    st.number_input("Seeds each", 1, MOST_SEEDS, seeds, **compare_link.bound("seeds", seeds))
