"""How a figure's attributes are filled from named arrays. assets/bindings.js does the same."""

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, product
from types import MappingProxyType
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ui import event_lines, numbers, theme
from ui.cuts import cut

Columns = Mapping[str, Any]
NO_DATA: Columns = MappingProxyType({})
#: Steps that get a tick on the logarithmic axis.
TICKS = [0, *(m * 10**e for e in range(7) for m in (1, 3))]


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a person chose to look at."""

    kind: str = "gradient"  # gradient, weight or activation
    layer: int = 1  # 1 = nearest the input
    layers: int = 0  # of the deepest network, whose layers `layer` counts; 0: each counts its own
    step_axis: str = "linear"  # a key of PLACES
    end: float = 0.0  # of the x axis, in its unit; 0: as far as what is drawn goes
    depth: str = "layer"  # what a profile is drawn against: layer, or relative (0 to 1)
    profile: str = "signal"  # of the profile by depth: signal (dL/dz) or gradient (dL/dW)
    theory: str = "shown"  # whether theory is drawn beside several contenders: shown or hidden
    part: str = "validation"  # the epochs' losses and accuracies: train, validation or test
    mode: str = "light"  # a key of theme.MODES


USUAL = Options()
#: Choices that a name may hold: "{kind}_x".
NAMED = ("kind", "part", "profile", "theory")


@dataclass(frozen=True, kw_only=True)
class Side:
    """One line of a comparison, or the one run that a figure shows."""

    columns: Columns
    label: str = ""
    colour: str = "#000000"  # readable on both backgrounds
    dash: str = "solid"  # a key of theme.SYMBOLS, where there are several
    since: int = 0  # the step from which it is drawn: a branch beside its parent

    @property
    def symbol(self) -> str:
        """Its marker, told by its dash: each contender has another."""
        return SYMBOLS.get(self.dash, "circle")


#: Markers that go with the dashes, so that lines are told apart without colour where they cross.
SYMBOLS = {
    "solid": "circle",
    "dash": "diamond",
    "dot": "square",
    "dashdot": "triangle-up",
    "longdash": "star",
    "longdashdot": "triangle-down",
}


def filled(
    traces: list[dict[str, Any]], layout: dict[str, Any], columns: Columns, options: Options
) -> go.Figure:
    """The figure of one run. Without columns: the same figure, empty."""
    return filled_by([Side(columns=columns)], traces, layout, options)


def filled_by(
    sides: Sequence[Side], traces: list[dict[str, Any]], layout: dict[str, Any], options: Options
) -> go.Figure:
    """The figure with its data, colours and axes: traces of `each` once per side, others of the first.

    Without sides: what the browser fills, every trace once.
    """
    sides = [seen(side) for side in sides]
    drawn = [
        _filled(trace, side, options)
        for each, together in groupby(traces, lambda trace: trace["meta"].get("each"))
        for side, trace in product(sides if each else sides[:1], list(together))
    ]
    for choice, cases in layout["meta"]["when"].items():
        for path, value in cases[getattr(options, choice)].items():
            _set(layout, path, value)
    if layout["meta"]["steps"]:
        _step_axis(layout, sides, options)
    layout["template"] = "none"
    layout |= {"paper_bgcolor": "rgba(0,0,0,0)", "plot_bgcolor": "rgba(0,0,0,0)"}
    layout["font"] |= {"color": theme.MODES[options.mode]["text"]}
    return go.Figure(drawn if sides else traces, layout)


def seen(side: Side) -> Side:
    """A side with nothing from before the step from which it is drawn."""
    return replace(side, columns=cut(side.columns, side.since)) if side.since else side


def _filled(template: dict[str, Any], side: Side, options: Options) -> dict[str, Any]:
    trace = copy.deepcopy(template)
    meta = trace["meta"]
    for path, binding in meta["fill"].items():
        _set(trace, path, resolve(binding, side.columns, options))
    if "shown" in meta:
        trace["visible"] = holds_any(resolve(meta["shown"], side.columns, options))
    for path, token in meta["paint"].items():
        _set(trace, path, paint(path, token, options.mode, side))
    return trace


def resolve(binding: Any, columns: Columns, options: Options) -> Any:
    """The values a binding stands for; an empty list where the columns do not have them."""
    plan = {"of": binding} if isinstance(binding, str) else binding
    values = _named(plan["of"], columns, options)
    if values is None or not len(values):
        return []
    return HOW[plan.get("as", "plain")](values, plan, columns, options)


def _named(name: str, columns: Columns, options: Options) -> Any:
    chosen = {choice: getattr(options, choice) for choice in NAMED}
    return columns.get(name.format(**chosen))


def holds_any(values: Any) -> bool:
    """Whether there is any number in it at all."""
    return any(np.isfinite(np.asarray(row, float)).any() for row in values)


#: What a trace of `each` has of its own.
CONTENDER: dict[str, Callable[[Side], str]] = {
    "contender": lambda side: side.colour,
    "contender_line": lambda side: rgba(side.colour, 0.3),  # of a thin line behind the others
    "contender_band": lambda side: rgba(side.colour, 0.3),  # the middle half of the seeds
    "contender_range": lambda side: rgba(side.colour, 0.14),  # lowest to highest
    "contender_dash": lambda side: side.dash,
    "contender_symbol": lambda side: side.symbol,
    "contender_label": lambda side: side.label,
}


def paint(path: str, token: str, mode: str, side: Side) -> Any:
    """The colour of a token; for a colour scale, from nothing (0) to it (1)."""
    if token in CONTENDER:
        return CONTENDER[token](side)
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


def on_step_axis(steps: Any, step_axis: str, columns: Columns = NO_DATA) -> Any:
    """Steps as places on the axis: as they are, as log10 of step + 1, as epochs or as seconds."""
    return PLACES[step_axis](np.asarray(steps, float), columns)


def _seconds(steps: Any, columns: Columns) -> Any:
    """Seconds of training between the records; after the last one at the pace so far."""
    at, seconds = columns.get("steps", ()), columns.get("record_seconds", ())
    if not len(at) or len(at) != len(seconds):
        return np.full(len(steps), np.nan)
    pace = seconds[-1] / max(float(at[-1]), 1.0)
    return np.interp(steps, at, seconds) + np.maximum(steps - at[-1], 0) * pace


#: What steps become on the x axis. There is a step 0, so the logarithm is of step + 1.
PLACES: dict[str, Callable[[Any, Columns], Any]] = {
    "linear": lambda steps, columns: steps,
    "log": lambda steps, columns: np.log10(steps + 1),
    "epoch": lambda steps, columns: steps / columns.get("steps_per_epoch", np.nan),
    "seconds": _seconds,
}


def _plain(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return values


def _step(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return on_step_axis(values, options.step_axis, columns)


def _place(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return np.log10(np.asarray(values, float) + 1) if options.step_axis == "log" else values


def _depth(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    if options.depth == "layer":
        return values
    return [place / max(len(values) - 1, 1) for place in range(len(values))]


def _across(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return [values] * len(columns["layer_names"])


def _unmarked(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return np.where(columns[plan.get("marks", "marks")] == 0, values, np.nan).T


def _equal(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return np.where(values == plan["to"], 1.0, np.nan).T


def _words(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return [["" if math.isnan(v) else numbers.power(v) for v in row] for row in values.T]


def _layer(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    return values[row_of(len(values), options)]


def row_of(rows: int, options: Options) -> int:
    """The row of the chosen layer in a network of that many: the one as deep, relatively."""
    layer = options.layer
    if options.layers > 1:
        layer = math.floor(1.5 + (layer - 1) * (rows - 1) / (options.layers - 1))
    return max(1, min(layer, rows)) - 1


def _density(values: Any, plan: Columns, columns: Columns, options: Options) -> Any:
    """Counts of the chosen layer as shares per unit of the axis, so that all have the area 1."""
    counts = np.asarray(_layer(values, plan, columns, options), float)
    bins = resolve({"of": plan["bins"], "as": "layer"}, columns, options)
    width = (float(bins[-1]) - float(bins[0])) / (len(bins) - 1)
    return counts / (counts.sum() * width) if counts.any() else []


#: How the values of a name become those of an attribute.
HOW: dict[str, Callable[[Any, Columns, Columns, Options], Any]] = {
    "plain": _plain,  # as they are
    "rows": _plain,  # [layers, bins], as they are
    "step": _step,  # steps as places on the axis
    "place": _place,  # what is in the axis's unit already
    "depth": _depth,  # names of layers, or their relative depth from 0 to 1
    "across": _across,  # one row of steps for every layer
    "unmarked": _unmarked,  # [n, layers] turned, without the cells that have a mark in `marks`
    "equal": _equal,  # [n, layers] turned: 1 where the code is `to`
    "words": _words,  # [n, layers] turned, log10 as "8.13·10⁻⁶"
    "layer": _layer,  # the row of the chosen layer
    "density": _density,  # the chosen layer's counts, on the bins of `bins`, with area 1
}


def axis_end(sides: Sequence[Side], options: Options) -> float:
    """Where the x axis ends for the longest of them, in its unit (steps for log); a step at least."""
    if options.end:
        return options.end
    if options.step_axis == "log":
        options = Options(step_axis="linear")
    ends = [
        on_step_axis([max(side.columns.get("step", 0), 1)], options.step_axis, side.columns)[0]
        for side in sides
    ]
    return max((float(end) for end in ends if math.isfinite(end)), default=1.0)


def _step_axis(layout: dict[str, Any], sides: Sequence[Side], options: Options) -> None:
    log = options.step_axis == "log"
    end = axis_end(sides, options)
    low, high = (-0.15, math.log10(end + 1)) if log else (-0.012 * end, end)
    layout["xaxis"] |= {"range": [low, high * 1.01], "tickmode": "array" if log else "auto"}
    if log:
        places = on_step_axis(TICKS, "log").tolist()
        layout["xaxis"] |= {"tickvals": places, "ticktext": [_tick(step) for step in TICKS]}
    told = event_lines.told(
        sides,
        lambda side, step: float(on_step_axis([step], options.step_axis, side.columns)[0]),
        theme.MODES[options.mode]["event"],
    )
    low, high = layout["xaxis"]["range"]
    font = {"size": theme.FONT_PX}
    layout["shapes"], layout["annotations"] = event_lines.drawn(told, high - low, font)


def _tick(step: int) -> str:
    return f"{step // 1000}k" if step >= 1000 else str(step)


def _set(target: dict[str, Any], path: str, value: Any) -> None:
    *parents, last = path.split(".")
    for parent in parents:
        target = target.setdefault(parent, {})
    target[last] = value
