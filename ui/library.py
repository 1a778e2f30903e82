"""The list of all runs, with opening, comparing and deleting."""

from collections import Counter
from datetime import datetime

import streamlit as st

from engine import runs, store
from engine.contenders import MOST_CONTENDERS
from engine.errors import EngineError
from engine.remedies import REMEDIES, active
from engine.store import RunInfo
from ui import words

PER_PAGE = 25
WIDTHS = [0.35, 3.2, 2.2, 1.6, 2.4, 0.8, 1.4, 1.2]
HEADINGS = ("", "Run", "Status", "Data", "Remedies", "Steps", "Made", "")


def draw_broken() -> None:
    """One sentence for every file in the library that cannot be read."""
    for sentence in runs.broken():
        st.warning(sentence, icon=":material/broken_image:")


def cells(info: RunInfo) -> tuple[str, ...]:
    """A run in words, one for each heading between the first and the last."""
    word, icon = words.STATUS_WORDS[info.status]
    cures = [REMEDIES[name].title for name in active(info.spec)]
    made = datetime.fromtimestamp(info.created)
    return (
        f"{icon} {word}",
        info.spec.data,
        ", ".join(cures) or "none",
        f"{info.step:,}",
        f"{made:%d %b %H:%M}",
    )


def draw() -> None:
    """All runs, newest first, or an invitation where there is none."""
    if fault := st.session_state.pop("delete_fault", None):
        st.error(fault, icon=":material/error:")
    known = runs.all()
    if not known:
        st.info(
            "Nothing trained yet: open the Lab, press **Train** and watch layer 1.",
            icon=":material/science:",
        )
        st.page_link("lab.py", label="Open the Lab", icon=":material/science:")
        return
    with st.container(horizontal=True, vertical_alignment="center", key="chosen"):
        _draw_chosen({info.id for info in known})
    seeds = Counter(info.group for info in known if info.group)
    page = _page(len(known))
    with st.container(key="library"):
        _draw_headings()
        for info in known[(page - 1) * PER_PAGE : page * PER_PAGE]:
            told = f", seed {info.spec.seed}" if seeds[info.group] > 1 else ""
            _draw_row(info, info.title + told)


def _page(count: int) -> int:
    pages = -(-count // PER_PAGE)
    return int(st.pagination(pages, key="runs_page")) if pages > 1 else 1


def _draw_chosen(known: set[str]) -> None:
    """A link to the Compare page with the runs that are ticked."""
    ticked = [run for run in st.session_state.get("chosen_runs", []) if run in known]
    st.session_state["chosen_runs"] = ticked
    st.page_link(
        "compare.py",
        label=f"Compare the {len(ticked)} ticked" if ticked else "Compare",
        icon=":material/compare:",
        disabled=not 1 <= len(ticked) <= MOST_CONTENDERS,
        query_params={"runs": ",".join(ticked), "show": "side_by_side"},
    )
    many = len(ticked) > MOST_CONTENDERS
    st.caption(
        f":red[:material/error: {len(ticked)} are ticked; at most {MOST_CONTENDERS} fit side by side.]"
        if many
        else f"Tick up to {MOST_CONTENDERS} runs to put them side by side."
    )


def _tick(run: str) -> None:
    ticked = [one for one in st.session_state["chosen_runs"] if one != run]
    st.session_state["chosen_runs"] = ticked + [run] * st.session_state[f"tick_{run}"]


def _draw_headings() -> None:
    for column, heading in zip(st.columns(WIDTHS), HEADINGS, strict=True):
        column.markdown(f"**{heading}**" if heading else "")


def _draw_row(info: RunInfo, title: str) -> None:
    tick, first, *middle, last = st.columns(WIDTHS, vertical_alignment="center")
    st.session_state[f"tick_{info.id}"] = info.id in st.session_state["chosen_runs"]
    tick.checkbox(
        f"Compare {title}",
        key=f"tick_{info.id}",
        label_visibility="collapsed",
        on_change=_tick,
        args=(info.id,),
    )
    first.page_link(
        "lab.py",
        label=title,
        icon=":material/science:",
        help="Open in the Lab",
        query_params={"run": info.id},
    )
    for column, cell in zip(middle, cells(info), strict=True):
        column.markdown(cell)
    running = info.status == store.RUNNING
    last.button(
        "Delete",
        key=f"delete_{info.id}",
        icon=":material/delete:",
        type="tertiary",
        help="Stop it before deleting it" if running else f"Delete {info.title}",
        disabled=running,
        on_click=_confirm,
        args=(info,),
    )


@st.dialog("Delete this run?", icon=":material/delete:")
def _confirm(info: RunInfo) -> None:
    st.write(f"**{info.title}** and all it recorded will be gone for good.")
    with st.container(horizontal=True, horizontal_alignment="right"):
        kept = st.button("Keep it", key="keep")
        deleted = st.button(
            "Delete", key="delete", type="primary", on_click=_delete, args=(info.id,)
        )
    if kept or deleted:
        st.rerun()  # the whole page, not the dialog alone: only that closes it


def _delete(run: str) -> None:
    try:
        runs.delete(run)
    except EngineError as error:
        st.session_state["delete_fault"] = str(error)
