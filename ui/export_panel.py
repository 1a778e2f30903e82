"""The popover that hands a run out: as numbers, as a script, as a file."""

from functools import partial

import streamlit as st

from engine import export
from engine.store import RunInfo

#: What a run without a first record has to give already.
_WITHOUT_NUMBERS = ("json", "script", "notebook", "run")


def draw(info: RunInfo | None) -> None:
    """One button for each form; what it gives is made when it is pressed."""
    with st.popover("Export", icon=":material/download:", key="export", disabled=info is None):
        if info is None:
            return
        has_numbers = info.step > 0
        for form in export.FORMS:
            if form == "tensorboard" and not export.tensorboard_is_here():
                st.caption(export.NO_TENSORBOARD)
            else:
                _draw_form(info, form, has_numbers or form in _WITHOUT_NUMBERS)
        if not has_numbers:
            st.caption("Its numbers can be had as soon as there are some.")


def _draw_form(info: RunInfo, form: str, is_ready: bool) -> None:
    described = export.FORMS[form]
    st.download_button(
        f"**{described.title}:** {described.what}",
        data=partial(export.whole, info.id, form),
        file_name=export.file_name(info, form),
        mime=described.mime,
        key=f"export_{form}",
        on_click="ignore",  # the charts need no rerun
        type="tertiary",
        icon=":material/download:",
        disabled=not is_ready,
    )
