"""What is done to runs in the library: describe, delete and put back, save as a file and take in."""

import contextlib
from collections.abc import Mapping, Sequence
from functools import partial

import streamlit as st

from engine import gate, library, runs, transfer, trash
from engine.errors import EngineError, RightsError
from engine.library import MOST_NOTE, MOST_TAG, MOST_TAGS, MOST_TITLE
from ui import rights
from ui.literal import literal

SHOWN = 3  # sentences of one kind at once
_DELETED = "deleted_runs"  # id -> title, of this session, in the order of deletion


def say(sentence: str, *, refused: bool = False) -> None:
    """Remember what came of a press, until the next one."""
    st.session_state["library_said"] = (sentence, refused)


def draw_said() -> None:
    """What came of the last press."""
    sentence, refused = st.session_state.pop("library_said", ("", False))
    if refused:
        st.error(literal(sentence), icon=":material/error:")
    elif sentence:
        st.success(literal(sentence), icon=":material/check:")


def _refusing(action: partial[None]) -> bool:
    """Do it; whether it was done. What it refused is said."""
    try:
        action()
    except EngineError as error:
        say(str(error), refused=True)
        return False
    return True


def star(run: str, on: bool) -> None:
    """Star a run, or take its star away."""
    _refusing(partial(library.describe, run, starred=on))


# -- deleting --------------------------------------------------------------------------------------


def delete(some: Sequence[str]) -> None:
    """Throw runs away; they can be put back until the page is left."""
    gone = st.session_state.setdefault(_DELETED, {})
    for run in some:
        title = _title(run)
        if _refusing(partial(trash.throw, run)):
            gone[run] = title


def _title(run: str) -> str:
    try:
        return runs.info(run).title
    except EngineError:
        return run  # it cannot be read


def draw_deleted() -> None:
    """What was deleted since the page was opened, with the way back."""
    gone: dict[str, str] = st.session_state.get(_DELETED, {})
    if not gone or rights.is_audience():
        return
    named = list(gone.values())[::-1]
    more = f" and {len(named) - SHOWN} more" if len(named) > SHOWN else ""
    with st.container(horizontal=True, vertical_alignment="center", key="deleted", wrap=False):
        st.text(
            f"Deleted: {', '.join(named[:SHOWN])}{more}. Gone for good when you leave this page.",
            width="stretch",
        )
        newest = list(gone)[-1]
        _draw_undo("Undo", "undo", (newest,))
        if len(gone) > 1:
            _draw_undo(f"Undo all {len(gone)}", "undo_all", tuple(gone))


def _draw_undo(label: str, key: str, some: Sequence[str]) -> None:
    st.button(label, key=key, icon=":material/undo:", on_click=_undo, args=(some,))


def _undo(some: Sequence[str]) -> None:
    for run in some:
        st.session_state[_DELETED].pop(run, None)
        _refusing(partial(trash.restore, run))


def leave() -> None:
    """The page is left: what was deleted on it goes for good."""
    if gone := st.session_state.pop(_DELETED, {}):
        with contextlib.suppress(
            RightsError
        ):  # who has signed out meanwhile leaves it to the clock
            trash.purge(set(gone))


def draw_broken(broken: Mapping[str, str]) -> None:
    """A sentence for each file that cannot be read, with the way to be rid of it."""
    for run, sentence in list(broken.items())[:SHOWN]:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.warning(literal(sentence), icon=":material/broken_image:", width="stretch")
            if rights.is_presenter():
                st.button(
                    "Delete it",
                    key=f"delete_{run}",
                    icon=":material/delete:",
                    on_click=delete,
                    args=((run,),),
                )
    if len(broken) > SHOWN:
        st.warning(f"{len(broken) - SHOWN} more files cannot be read.")


# -- describing ------------------------------------------------------------------------------------


def edit(run: str) -> None:
    """A dialog: a run's name, note and tags, and the run as one file. For the audience a sentence."""
    if _refusing(partial(gate.check)):
        _edit(run)


@st.dialog("About this run", icon=":material/edit:", width="medium")
def _edit(run: str) -> None:
    try:
        info = runs.info(run)
    except EngineError as error:
        st.error(literal(error))
        return
    title = st.text_input("Name", info.title, max_chars=MOST_TITLE, key=f"title_{run}")
    tags = st.multiselect(
        "Tags",
        sorted({tag for entry in library.index.look()[0] for tag in entry.info.tags}),
        list(info.tags),
        accept_new_options=True,
        max_selections=MOST_TAGS,
        key=f"tags_{run}",
        placeholder=f"type one and press Enter; up to {MOST_TAG} characters",
    )
    note = st.text_area("Note", info.note, max_chars=MOST_NOTE, height=120, key=f"note_{run}")
    st.caption(f"Run {run}. Everyone at this dashboard sees what is written here.")
    with st.container(horizontal=True, horizontal_alignment="distribute"):
        st.download_button(
            "The run as one file",
            data=partial(transfer.exported, run),
            file_name=transfer.file_name(info),
            mime="application/octet-stream",
            key="save_file",
            icon=":material/download:",
            help="All it recorded and its checkpoints. Import it on this page, here or elsewhere.",
            on_click="ignore",
        )
        described = partial(library.describe, run, title=title, tags=tags, note=note)
        if st.button("Save", key="save_words", type="primary", icon=":material/check:"):
            _refusing(described)
            st.rerun()  # the whole page, not the dialog alone: only that closes it


# -- taking in -------------------------------------------------------------------------------------


def draw_import() -> None:
    """A popover that takes a run from elsewhere in."""
    with st.popover("Import a run", icon=":material/upload:", key="import", width="content"):
        st.caption(
            f"A run that was saved as a file ({transfer.SUFFIX}). It is read as data alone, row by "
            "row, and becomes a run of this library."
        )
        counted = st.session_state.setdefault("imports", 0)
        st.file_uploader(
            "Run file",
            type=[transfer.SUFFIX.strip("."), "sqlite"],
            key=f"import_{counted}",
            max_upload_size=transfer.MOST_BYTES // 1_000_000,
            label_visibility="collapsed",
            on_change=_take_in,
            args=(f"import_{counted}",),
        )


def _take_in(key: str) -> None:
    given = st.session_state[key]
    st.session_state["imports"] += 1  # an empty place for the next
    if given is None:
        return
    try:
        with st.spinner(f"Reading {given.name}"):
            run = transfer.imported(given.getvalue(), given.name)
    except EngineError as error:
        say(str(error), refused=True)
        return
    say(f"Imported {_title(run)}.")
    st.session_state["runs_page"] = 1
