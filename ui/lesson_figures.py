"""The lessons' own figures: a prediction beside what was measured. Pure; drawn once, by Plotly."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import plotly.graph_objects as go

from ui import theme
from ui.numbers import from_log10
from ui.pieces import POWERS

Colours = Mapping[str, str]
PX = 18  # of all type: read from the last row
FAMILY = "Source Sans, Segoe UI, Helvetica, Arial, sans-serif"  # as the page's own
_LOW, _HIGH = theme.PROFILE_RANGE
_BEYOND = 0.5  # decades from the axis's end, where what lies beyond it is marked


def profile(
    names: Sequence[str],
    measured: Sequence[float],
    drawn: Sequence[float] = (),
    theory: Sequence[float] = (),
    band: Sequence[float] = (),
    *,
    colours: Colours,
    word: str = "measured",
) -> go.Figure:
    """Gradient RMS against depth on the fixed axis of all profiles: drawn, measured, predicted.

    names     of the layers, [layers]
    measured  log10 of the gradient RMS, [layers]; NaN, and infinities for 0 and what overflowed
    drawn     a visitor's prediction; empty without one
    theory    of the mean-field theory; empty where it must not be trusted
    band      one standard deviation of theory over seeds, in decades
    """
    figure = go.Figure(layout=_layout(colours))
    if len(theory):
        figure.add_traces(_theory(names, theory, band, colours["muted"]))
    if len(drawn):
        figure.add_trace(
            _line(names, drawn, "your prediction", colours["validation"], "dash", "diamond")
        )
    figure.add_trace(_line(names, measured, word, colours["newest"], "solid", "circle"))
    if beyond := [
        (n, v) for n, v in zip(names, measured, strict=True) if _place(v) != v and v == v
    ]:
        figure.add_trace(_crosses(beyond, colours["newest"]))
    figure.update_xaxes(type="category", title_text="layer (1 = nearest the input)")
    figure.update_yaxes(range=[_LOW, _HIGH], dtick=2, title_text="gradient RMS", **POWERS)
    return figure


def number_line(
    predicted: float | None,
    measured: float | None,
    *,
    low: float,
    high: float,
    log: bool,
    percent: bool,
    title: str,
    colours: Colours,
) -> go.Figure:
    """A predicted number and the measured one on the axis that the prediction was made on."""
    figure = go.Figure(layout=_layout(colours))
    marks = (
        ("your prediction", predicted, "validation", "diamond", "bottom center"),
        ("measured", measured, "newest", "circle", "top center"),
    )
    for word, value, colour, symbol, where in marks:
        if value is not None and math.isfinite(value):
            figure.add_scatter(
                x=[min(max(value, low), high)],
                y=[0],
                mode="markers+text",
                text=[word],
                textposition=where,
                textfont={"size": PX, "color": colours[colour]},
                marker={"size": 22, "symbol": symbol, "color": colours[colour]},
                cliponaxis=False,
                hovertemplate=f"{word}: %{{x}}<extra></extra>",
            )
    ends = [math.log10(low), math.log10(high)] if log else [low, high]
    room = 0.04 * (ends[1] - ends[0])
    figure.update_xaxes(type="log" if log else "linear", range=[ends[0] - room, ends[1] + room])
    figure.update_xaxes(
        title_text=title, tickformat=".0%" if percent else "", exponentformat="power"
    )
    figure.update_yaxes(visible=False, range=[-1, 1])
    figure.update_layout(showlegend=False, height=230, margin={"l": 30, "r": 30, "t": 10, "b": 70})
    return figure


def _layout(colours: Colours) -> dict[str, Any]:
    axis = {"gridcolor": colours["grid"], "zeroline": False, "title": {"font": {"size": PX}}}
    axis |= {"tickfont": {"size": PX}, "color": colours["text"], "linecolor": colours["grid"]}
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "font": {"size": PX, "color": colours["text"], "family": FAMILY},
        "hoverlabel": {"font": {"size": PX}},
        "legend": {"orientation": "h", "x": 0, "y": 1.0, "yanchor": "bottom", "font": {"size": PX}},
        "margin": {"l": 90, "r": 20, "t": 10, "b": 64},
        "height": 400,
        "xaxis": {**axis, "showgrid": False},
        "yaxis": axis,
    }


def _place(log10: float) -> float:
    """Where a value is drawn: what lies beyond the axis just before its end."""
    if math.isnan(log10):
        return log10
    return min(max(log10, _LOW + _BEYOND), _HIGH - _BEYOND) if not _LOW <= log10 <= _HIGH else log10


def _line(
    names: Sequence[str], values: Sequence[float], word: str, colour: str, dash: str, symbol: str
) -> go.Scatter:
    return go.Scatter(
        x=list(names),
        y=[value if _place(value) == value else math.nan for value in values],
        text=[from_log10(value) for value in values],
        name=word,
        mode="lines+markers",
        line={"width": 4, "dash": dash, "color": colour},
        marker={"size": 12, "symbol": symbol, "color": colour},
        hovertemplate=f"layer %{{x}}, {word}<br>gradient RMS %{{text}}<extra></extra>",
    )


def _crosses(beyond: Sequence[tuple[str, float]], colour: str) -> go.Scatter:
    """What the axis does not reach, as crosses at its end."""
    return go.Scatter(
        x=[name for name, _ in beyond],
        y=[_place(value) for _, value in beyond],
        text=[from_log10(value) for _, value in beyond],
        name="off axis",
        mode="markers",
        marker={
            "size": 14,
            "symbol": "x-thin",
            "color": colour,
            "line": {"width": 4, "color": colour},
        },
        hovertemplate="layer %{x}<br>gradient RMS %{text}<extra></extra>",
    )


def _theory(
    names: Sequence[str], values: Sequence[float], band: Sequence[float], colour: str
) -> list[go.Scatter]:
    """A dotted line, and a band of one standard deviation either side."""
    line = _line(names, values, "theory, step 0", colour, "dot", "square")
    line.update(mode="lines", line={"width": 9})  # beneath what is measured, which lies on it
    if not len(band):
        return [line]
    edges = [[v + sign * b for v, b in zip(values, band, strict=True)] for sign in (-1, 1)]
    plain: dict[str, Any] = {"x": list(names), "mode": "lines", "line": {"width": 0}}
    plain |= {"showlegend": False, "hoverinfo": "skip"}
    red, green, blue = (int(colour[at : at + 2], 16) for at in (1, 3, 5))
    fill = f"rgba({red},{green},{blue},0.18)"
    lower, upper = (go.Scatter(y=edge, **plain) for edge in edges)
    upper.update(fill="tonexty", fillcolor=fill)
    return [lower, upper, line]


def class_profile(
    names: Sequence[str], percentiles: Sequence[Sequence[float]], *, colours: Colours
) -> go.Figure:
    """What a hall drew: its middle, and between which lines eight in ten are.

    names        of the layers, [layers]
    percentiles  the 10th, 50th and 90th of log10 of the gradient RMS, each [layers]
    """
    low, middle, high = percentiles
    figure = go.Figure(layout=_layout(colours))
    plain: dict[str, Any] = {"x": list(names), "mode": "lines", "line": {"width": 0}}
    plain |= {"hoverinfo": "skip"}
    figure.add_scatter(y=list(low), showlegend=False, **plain)
    red, green, blue = (int(colours["validation"][at : at + 2], 16) for at in (1, 3, 5))
    fill = f"rgba({red},{green},{blue},0.25)"
    figure.add_scatter(
        y=list(high), fill="tonexty", fillcolor=fill, name="eight in ten of the hall", **plain
    )
    word = "the hall's middle"
    figure.add_trace(_line(names, middle, word, colours["validation"], "dash", "diamond"))
    figure.update_xaxes(type="category", title_text="layer (1 = nearest the input)")
    figure.update_yaxes(range=[_LOW, _HIGH], dtick=2, title_text="gradient RMS", **POWERS)
    return figure
