"""The list of all runs, with opening and deleting."""

from datetime import datetime

import streamlit as st

from engine import runs, store
from engine.errors import EngineError
from engine.remedies import REMEDIES, active
from engine.store import RunInfo
from ui import words

PER_PAGE = 25
WIDTHS = [3.2, 2.2, 1.6, 2.4, 0.8, 1.4, 1.2]
HEADINGS = ("Run", "Status", "Data", "Remedies", "Steps", "Made", "")


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
    page = _page(len(known))
    with st.container(key="library"):
        _draw_headings()
        for info in known[(page - 1) * PER_PAGE : page * PER_PAGE]:
            _draw_row(info)


def _page(count: int) -> int:
    pages = -(-count // PER_PAGE)
    return int(st.pagination(pages, key="runs_page")) if pages > 1 else 1


def _draw_headings() -> None:
    for column, heading in zip(st.columns(WIDTHS), HEADINGS, strict=True):
        column.markdown(f"**{heading}**" if heading else "")


def _draw_row(info: RunInfo) -> None:
    first, *middle, last = st.columns(WIDTHS, vertical_alignment="center")
    first.page_link(
        "lab.py",
        label=info.title,
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
