"""The Compare page's settings, which live in its link and nowhere else.

They are not bound to controls, since several are set at once and not each has a control: every
control is given its value from the link before it is drawn, and writes the link when it is changed.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import streamlit as st

from engine.contenders import MOST_CONTENDERS
from ui import links, unheard
from ui.links import Comparison

SIDE_BY_SIDE, LADDER, VERDICT = links.SHOWS


def arrive() -> None:
    """Take up again what this session compared, when a person comes back from another page.

    By the browser's Back they may come with what the Lab had in its link; it is dropped.
    """
    found = st.query_params.to_dict()
    own = {name: value for name, value in found.items() if name not in links.LAB}
    by_history = own != found and "ignored" in st.session_state  # the Lab has been shown
    if st.session_state.pop("left_compare", False) or by_history:
        wanted = st.session_state.get("compared", {}) | own
        if wanted != found:
            st.query_params.from_dict(wanted)


def read() -> tuple[Comparison, dict[str, str]]:
    """What the link says, and one sentence for each thing in it that is ignored."""
    return links.read_comparison({name: st.query_params.get_all(name) for name in st.query_params})


def now() -> Comparison:
    """What the link says."""
    return read()[0]


def write(comparison: Comparison) -> None:
    """Make the link say this; what it hides stays hidden."""
    parts = ",".join(links.hidden(st.query_params.get_all(links.HIDE))[0])
    hides = {links.HIDE: parts} if parts else {}
    st.query_params.from_dict(links.comparison_link(comparison) | hides)


def keep(comparison: Comparison) -> None:
    """Remember it for when a person comes back from another page."""
    st.session_state["compared"] = links.comparison_link(comparison)


def change(**settings: Any) -> None:
    """Change some settings."""
    write(replace(now(), **settings))


def key(name: str) -> str:
    """Of the control of one setting."""
    return f"compare_{name}"


def bound(name: str, value: Any) -> dict[str, Any]:
    """A control's key and callback; the control is given its value from the link."""
    unheard.move(key(name), value)
    return {"key": key(name), "on_change": _changed, "args": (name,)}


def _changed(name: str) -> None:
    value = st.session_state[key(name)]
    if value is not None and not unheard.is_echo(key(name)):
        change(**{name: tuple(value) if isinstance(value, list) else value})


def complain(sentence: str) -> None:
    """Say what went wrong, until something is changed."""
    st.session_state["compare_fault"] = (dict(st.query_params), sentence)


def complaint() -> str:
    """What went wrong; "" where nothing did, or something has been changed since."""
    when, sentence = st.session_state.get("compare_fault", ({}, ""))
    return sentence if when == dict(st.query_params) else ""


def with_run(run: str) -> Mapping[str, str]:
    """Parameters of a link that adds a run to what this session compares."""
    kept = links.read_comparison({n: [v] for n, v in st.session_state.get("compared", {}).items()})[
        0
    ]
    runs = kept.runs if run in kept.runs else (*kept.runs, run)
    fits = runs if len(runs) <= MOST_CONTENDERS else (run,)
    return {"runs": ",".join(fits), "show": SIDE_BY_SIDE}
