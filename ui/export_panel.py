"""The popover that hands a run out: as numbers, as a script, as a file."""

from functools import partial

import streamlit as st

from engine import export
from engine.store import RunInfo


def draw(info: RunInfo | None) -> None:
    """One button for each form; what it gives is made when it is pressed."""
    with st.popover("Export", icon=":material/download:", key="export", disabled=info is None):
        if info is None:
            return
        for form, described in export.FORMS.items():
            if form == "tensorboard" and not export.tensorboard_is_here():
                st.caption(export.NO_TENSORBOARD)
                continue
            st.download_button(
                f"**{described.title}:** {described.what}",
                data=partial(export.whole, info.id, form),
                file_name=export.file_name(info, form),
                mime=described.mime,
                key=f"export_{form}",
                on_click="ignore",  # the charts need no rerun
                type="tertiary",
                icon=":material/download:",
            )
