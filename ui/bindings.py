"""How a figure's attributes are filled from named arrays. assets/charts.js does the same."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ui import numbers, theme

Columns = Mapping[str, Any]
NO_DATA: Columns = MappingProxyType({})
#: Steps that get a tick on the logarithmic axis.
TICKS = [0, *(m * 10**e for e in range(7) for m in (1, 3))]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person chose to look at."""

    kind: str = "gradient"  # gradient, weight or activation
    layer: int = 1  # 1 = nearest the input
    step_axis: str = "linear"  # linear, or log: of step + 1, since there is a step 0
    mode: str = "light"  # a key of theme.MODES


USUAL = Options()


def filled(
    traces: list[dict[str, Any]], layout: dict[str, Any], columns: Columns, options: Options
) -> go.Figure:
    """The figure with its data, colours and axes. Without columns: the same figure, empty."""
    for trace in traces:
        meta = trace["meta"]
        for path, binding in meta["fill"].items():
            _set(trace, path, resolve(binding, columns, options))
        if "shown" in meta:
            trace["visible"] = holds_any(resolve(meta["shown"], columns, options))
        for path, token in meta["paint"].items():
            _set(trace, path, paint(path, token, options.mode))
    for choice, cases in layout["meta"]["when"].items():
        for path, value in cases[getattr(options, choice)].items():
            _set(layout, path, value)
    if layout["meta"]["steps"]:
        _step_axis(layout, columns, options)
    layout["template"] = "none"
    layout |= {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}
    layout["font"] |= {"color": theme.MODES[options.mode]["text"]}
    return go.Figure(traces, layout)


def resolve(binding: Any, columns: Columns, options: Options) -> Any:
    """The values a binding stands for; an empty list where the columns do not have them."""
    plan = {"of": binding} if isinstance(binding, str) else binding
    name = plan["of"].format(kind=options.kind)
    values = columns.get(name)
    if values is None or not len(values):
        return []
    return HOW[plan.get("as", "plain")](values, plan, columns, options)


def holds_any(values: Any) -> bool:
    """Whether there is any number in it at all."""
    return any(np.isfinite(np.asarray(row, float)).any() for row in values)


def paint(path: str, token: str, mode: str) -> Any:
    """The colour of a token; for a colour scale, from nothing (0) to it (1)."""
    if token.endswith("_band"):
        return rgba(theme.MODES[mode][token.removesuffix("_band")], 0.3)
    colour = theme.MODES[mode][token]
    if path != "colorscale":
        return colour
    return [[0, rgba(colour, 0 if token == "ridge" else 1)], [1, rgba(colour, 1)]]


def rgba(colour: str, alpha: float) -> str:
    """ "#0b5fa5" with an opacity."""
    red, green, blue = (int(colour[place : place + 2], 16) for place in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha:g})"


def on_step_axis(steps: Any, step_axis: str) -> Any:
    """Steps as places on the axis. log10 of step + 1, since there is a step 0."""
    places = np.asarray(steps, float)
    return np.log10(places + 1) if step_axis == "log" else places


def _plain(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return values


def _step(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return on_step_axis(values, options.step_axis)


def _across(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return [values] * len(columns["layer_names"])


def _unmarked(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return np.where(columns["marks"] == 0, values, np.nan).T


def _equal(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return np.where(values == plan["to"], 1.0, np.nan).T


def _words(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return [["" if math.isnan(v) else numbers.power(v) for v in row] for row in values.T]


def _layer(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return values[min(options.layer, len(values)) - 1]


#: How the values of a name become those of an attribute.
HOW: dict[str, Callable[[Any, Columns, Columns, Options], Any]] = {
    "plain": _plain,  # as they are
    "rows": _plain,  # [layers, bins], as they are
    "step": _step,  # steps as places on the axis
    "across": _across,  # one row of steps for every layer
    "unmarked": _unmarked,  # [n, layers] turned, without the cells that have a mark
    "equal": _equal,  # [n, layers] turned: 1 where the code is `to`
    "words": _words,  # [n, layers] turned, log10 as "8.13·10⁻⁶"
    "layer": _layer,  # the row of the chosen layer
}


def _step_axis(layout: dict[str, Any], columns: Columns, options: Options) -> None:
    log = options.step_axis == "log"
    last = max(columns.get("step", 0), 1)
    low, high = (-0.15, math.log10(last + 1)) if log else (-0.5, float(last))
    layout["xaxis"] |= {"range": [low, high * 1.01], "tickmode": "array" if log else "auto"}
    if log:
        places = on_step_axis(TICKS, "log").tolist()
        layout["xaxis"] |= {"tickvals": places, "ticktext": [_tick(step) for step in TICKS]}
        layout["xaxis"]["title"] = layout["xaxis"]["title"] | {"text": "step (logarithmic)"}
    events = columns.get("events", ())
    colour = theme.MODES[options.mode]["event"]
    places = on_step_axis([event["step"] for event in events], options.step_axis)
    layout["shapes"] = [
        {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"}
        | {"line": {"color": colour, "width": 2, "dash": "dot"}}
        for x in places
    ]
    layout["annotations"] = [
        {"x": x, "y": 1, "yref": "paper", "text": event["short"], "hovertext": event["words"]}
        | {"showarrow": False, "textangle": -90, "xanchor": "left", "yanchor": "top"}
        | {"font": {"color": colour, "size": theme.FONT_PX}}
        for x, event in zip(places, events, strict=True)
    ]


def _tick(step: int) -> str:
    return f"{step // 1000}k" if step >= 1000 else str(step)


def _set(target: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = value
