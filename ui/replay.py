"""The step that the charts of the Lab show: from the link to the browser, and back into the link."""

from typing import Any

import streamlit as st

from engine.quotes import quoted
from engine.store import RunInfo

KEY = "live"  # of the component that tells it


def wanted(info: RunInfo | None) -> int | None:
    """The step that the link names, for this run; None for the newest.

    One that this run has not got to leaves the link with a sentence, one of another run without.
    """
    run = info.id if info else None
    before = st.session_state.get("replayed", run)
    st.session_state["replayed"] = run
    named = st.query_params.get("step", "")
    if not named:
        return None
    step = int(named) if named.isascii() and named.isdecimal() and len(named) < 10 else None
    if info is not None and run == before and step is not None and step <= info.step:
        return step
    if info is not None and run == before and "ignored" in st.session_state:
        says = f"step is {quoted(named, 20)}; run {info.id} has got to step {info.step:,}: the newest is shown."
        st.session_state["ignored"] = {**st.session_state["ignored"], "step": says}
    del st.query_params["step"]
    return None


def write_link() -> None:
    """The browser shows another step, or the newest again: the link says so."""
    told: Any = st.session_state.get(KEY) or {}
    step = told.get("at")
    if type(step) is int and 0 <= step < 10**9:
        st.query_params["step"] = str(step)
    else:  # the newest, or what no page of ours tells
        st.query_params.pop("step", None)
