"""Mounts the live component: the main area of the Lab, which draws by itself while Python rests."""

import json
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import plotly.graph_objects as go
import streamlit as st

from engine import runs
from engine.store import RunInfo
from ui import press, replay, rights, theme
from ui.bindings import NO_DATA, TICKS, Options
from ui.figures import FIGURES
from ui.routes import PLOTLY_URL
from ui.summary import no_tiles

INVITATION = "Nothing trained yet: press Train and watch layer 1."
WAITING = "Nothing is shown yet: the presenter's run appears here."
# Streamlit sends inline code with every message, so it only fetches the module.
_MOUNT = """
export default async function (component) {
  try {
    const module = await import(location.origin + "/live/%s");
    return module.mount(component);
  } catch (error) {
    const place = component.parentElement.querySelector("[data-live]");
    place.textContent = "The live view did not load. Start the dashboard with: streamlit run app.py";
    throw error;
  }
}
"""
_HTML = '<div class="{}" data-live style="min-height: {}px"></div>'


def as_json(figure: go.Figure) -> dict[str, Any]:
    """A figure without data, as the browser fills it: {data, layout}."""
    told: dict[str, Any] = json.loads(figure.to_json())
    return told


@cache
def figures_json() -> dict[str, Any]:
    """Every figure of the Lab: name -> {data, layout}."""
    return {name: as_json(figure(NO_DATA, Options())) for name, figure in FIGURES.items()}


def common() -> dict[str, Any]:
    """What every live component is told."""
    return {
        "themes": theme.MODES,
        "ticks": TICKS,
        "font_px": [theme.FONT_PX, theme.PROJECTOR_FONT_PX],
        "plotly": PLOTLY_URL,
    }


@cache
def component(name: str, module: str, look: str = "vgl", height: int = 640) -> Any:
    """A component that mounts a module of assets/, in an element of class `look`."""
    html, js = _HTML.format(look, height), _MOUNT % module
    return st.components.v2.component(name, html=html, js=js, isolate_styles=False)


def mount(
    run_id: str | None,
    *,
    kind: Literal["gradient", "weight", "activation"] = "gradient",
    layer: int = 1,
    step_axis: Literal["linear", "log"] = "linear",
    profile: Literal["signal", "gradient"] = "signal",
    step: int | None = None,
    hidden: Sequence[str] = (),
    known: RunInfo | None = None,
    ready: Sequence[str] | None = None,
    linked: bool = False,
    key: str = replay.KEY,
) -> Any:
    """The component's result; its `status` is {"run", "status", "begun"} as last seen by the browser,
    its `at` the step that the charts show, once the scrubber rests there, or None for the newest.

    The script reruns when one of these changes and when the first step is done, never per step. A change of kind, layer,
    step_axis or profile redraws in place. Raises EngineError where there is no such run.

    step    what is shown when the run is opened, or when the link gets another step; None: the newest
    hidden  names of links.HIDEABLE that are not drawn

    ready   remedies that the page's settings are ready to train this run with; None where the page
            has no settings, so that no remedy of a finding can be pressed
    linked  whether the page's link names the run: the browser opens another one as soon as it stands there
    known  what the page has drawn its own words from, so that a change since then is noticed too
    """
    info = known or (runs.info(run_id) if run_id else None)
    data = {
        "run": run_id,
        "known": {"status": info.status, "begun": info.step > 0, "changes": info.changes}
        if info
        else None,
        "step": step,
        "hidden": list(hidden),
        "offers": ready is not None,
        "ready": list(ready or ()),
        "linked": linked,
        "options": {"kind": kind, "layer": layer, "step_axis": step_axis, "profile": profile},
        "figures": figures_json(),
        "no_tiles": no_tiles(),
        "invitation": INVITATION if rights.is_presenter() else WAITING,
        **common(),
    }
    # In a list: Streamlit would import pandas (70 MB) to look for tables among a dictionary's values.
    mounted = component("live", "live.js")
    return mounted(
        data=[data],
        key=key,
        on_status_change=lambda: None,
        on_at_change=replay.write_link,
        on_remedy_change=press.switch_on,
    )
