"""Following the presenter: the browser's part, mounted on every page, and the links that it comes with."""

import streamlit as st

from ui import frame, rights
from ui.live import component
from ui.qr import FOLLOW

_ASKED = "asked_to_follow"  # by the link with which this visit began


def arrive(page: str) -> None:
    """Take `follow` out of the link, before anything else reads it.

    A link that has it says all that is to be shown: nothing is taken up again of what this visitor
    saw before, or an audience would see their own comparison in place of the presenter's.

    page  name of the page that is about to be drawn
    """
    if FOLLOW not in st.query_params:
        return
    del st.query_params[FOLLOW]
    st.session_state[_ASKED] = True
    for left in frame.COME_BACK_TO:
        if left == page:
            st.session_state.pop(f"left_{left}", None)
    st.session_state.pop("replayed", None)  # its step is meant for the run beside it


def draw() -> None:
    """At the foot of the sidebar: how many watch and the hall's link, for a presenter; for the audience nothing."""
    told = {
        "presenter": rights.is_presenter(),
        "keyed": bool(rights.key()),
        "follow": st.session_state.get(_ASKED, False),
    }
    # In a list: Streamlit would import pandas (70 MB) to look for tables among a dictionary's values.
    component("follow", "follow.js", "vgl-foot", 0)(data=[told], key="follow")
