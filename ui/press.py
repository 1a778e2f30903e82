"""A remedy that a finding names is pressed: the settings become this run's with it, for Train to start."""

from typing import Any

import streamlit as st

from engine import runs
from engine.errors import EngineError, SpecError
from engine.remedies import REMEDIES
from engine.run_info import RunInfo
from engine.spec import RunSpec
from ui import replay, rights, spec_form


def ready(info: RunInfo | None, spec: RunSpec | None) -> list[str] | None:
    """Remedies that the settings are ready to train this run with: they are its own, and the remedy's.

    spec  what the controls ask for; None where that cannot be

    None for the audience, which has no settings: no remedy can be pressed.
    """
    if rights.is_audience():
        return None
    if info is None or spec is None:
        return []
    return [name for name in REMEDIES if info.now != spec and _with(name, info.now) == spec]


def _with(name: str, spec: RunSpec) -> RunSpec | None:
    try:
        return REMEDIES[name].apply(spec)
    except SpecError:
        return None


def switch_on() -> None:
    """The browser has sent a remedy: only one thing differs then between this run and the next.

    What does not name a run and a remedy of ours is passed over, and what the audience sends.
    """
    if rights.is_audience():
        return
    told: Any = st.session_state.get(replay.KEY) or {}
    pressed = told.get("remedy") or {}
    run, name = pressed.get("run"), pressed.get("remedy")
    if not isinstance(run, str) or name not in REMEDIES:
        return
    try:
        now = runs.info(run).now
        spec_form.load(REMEDIES[name].apply(now))
    except EngineError as error:
        st.session_state["ignored"] = {**st.session_state.get("ignored", {}), "remedy": str(error)}
