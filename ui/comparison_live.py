"""Mounts the live comparison: contenders side by side, drawn by the browser while Python rests."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from typing import Any, Literal

from ui import comparison, live, theme
from ui.bindings import SYMBOLS, Options
from ui.figures import gradient_heatmap
from ui.numbers import power

INVITATION = "Nothing to compare yet: choose two contenders and press Start."
SCALE_WORDS = (
    "One scale for all: where it is dark, the gradient has died on its way from the output (top) "
    "down to layer 1."
)
MOST_THEORIES = 3  # contenders beside whose profiles theory's can be told apart
RELATIVE_WORDS = " The networks differ in depth: every heatmap has the same height, so compare by relative depth."
Align = Literal["step", "log_step", "epoch", "seconds"]
_AXES: dict[Align, str] = {
    "step": "linear",
    "log_step": "log",
    "epoch": "epoch",
    "seconds": "seconds",
}


@dataclass(frozen=True)
class Shown:
    """A contender as the page knows it."""

    id: str  # of a run or of a group of seeds
    label: str  # short, and no other's
    colour: str  # "#2a7fc9", readable on both backgrounds
    dash: str  # a key of bindings.SYMBOLS
    layers: int  # the output layer included
    since: int = 0  # the step from which it is drawn; before that an ancestor here draws the same
    status: str = ""  # as the page has told it
    changes: int = 0  # made to it while it trained, as the page has told them; 0 for several seeds


@cache
def figures_json() -> dict[str, Any]:
    """Every figure of the comparison without data: name -> {data, layout}."""
    empty = {name: figure((), Options()) for name, figure in comparison.COMPARISON.items()}
    empty["difference_heatmap"] = comparison.difference_heatmap()
    told = {name: live.as_json(figure) for name, figure in empty.items()}
    return told | {"gradient_heatmap": _bare_heatmap()}


def _bare_heatmap() -> dict[str, Any]:
    """The Lab's heatmap without title, caption and colour bar: those are told once for all."""
    figure = live.as_json(gradient_heatmap())
    for trace in figure["data"]:
        trace["showscale"] = False
        trace.pop("colorbar", None)
    layout = figure["layout"]
    layout["margin"]["r"] = 12
    layout["meta"] |= {"title": "", "caption": ""}
    return figure


@cache
def scale_json() -> dict[str, Any]:
    """The one colour scale of the gradient: stops and ticks from 0 to 1, and words."""
    low, high = theme.GRADIENT_DOMAIN
    ticks = [0.0, 0.25, 0.5, 0.75, 1.0]
    return {
        "title": "Gradient RMS",
        "stops": comparison.scale(theme.GRADIENT_SCALE),
        "ticks": [[place, _tick(low + place * (high - low))] for place in ticks],
    }


def _tick(log10: float) -> str:
    return "1" if log10 == 0 else power(log10).removeprefix("1.00·")


def mount(
    contenders: Sequence[Shown],
    *,
    part: str = "validation",
    kind: str = "gradient",
    layer: int = 1,
    align: Align = "step",
    table: str = "",
    known_open: bool = False,
    hidden: Sequence[str] = (),
    key: str = "comparison",
) -> Any:
    """The component's result; its `open` says whether anything shown still runs or waits.

    The script reruns when that differs from `known_open`, and when the status or the changes of a contender are no
    longer what the page has told (the result's `news`), never per step. Another alignment, part, kind or layer redraws in
    place; charts of contenders that stay keep their zoom.

    table   subject of the table of outcomes ("table:A:B" or "table:SET"); "" for none
    hidden  names of links.HIDEABLE that are not drawn
    """
    table = "" if "table" in hidden else table
    layers = [contender.layers for contender in contenders]
    relative = len(set(layers)) > 1
    ids = [contender.id for contender in contenders]
    pair = len(ids) == 2 and "difference_heatmap" not in hidden
    difference = f"difference:{align}:{ids[0]}:{ids[1]}" if pair else ""
    options = {
        "kind": kind,
        "layer": layer,
        "layers": max(layers) if relative else 0,
        "step_axis": _AXES[align],
        "depth": "relative" if relative else "layer",
        "part": part,
        "theory": "shown" if len(ids) <= MOST_THEORIES else "hidden",
    }
    data = {
        "contenders": [asdict(side) | {"symbol": SYMBOLS[side.dash]} for side in contenders],
        "difference": difference,
        "table": table,
        "subjects": [subject for subject in (*ids, difference, table) if subject],
        "known_open": known_open,
        "hidden": list(hidden),
        "options": options,
        "figures": figures_json(),
        "scale": scale_json() | {"words": SCALE_WORDS + (RELATIVE_WORDS if relative else "")},
        "invitation": INVITATION,
        **live.common(),
    }
    # In a list: Streamlit would import pandas (70 MB) to look for tables among a dictionary's values.
    mounted = live.component("comparison", "compare.js")
    return mounted(data=[data], key=key, on_open_change=lambda: None, on_news_change=lambda: None)
