"""Named arrays of several contenders -> Plotly figures that draw them on the same axes. Pure.

A trace of `each` is drawn once per contender, in its colour, with its dash and its label; the
heatmaps are those of `figures`, one per contender on one colour domain and one x axis.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import plotly.colors
import plotly.graph_objects as go

from ui import bindings, figures, theme
from ui.bindings import NO_DATA, USUAL, Columns, Options, Side
from ui.pieces import COLOURBAR_MARGIN, POWERS, Trace, colourbar, heatmap, layout_of, marks, scatter

Sides = Sequence[Side]
Scale = list[list[Any]]
_LINE = {
    "line.color": "contender",
    "marker.color": "contender",
    "line.dash": "contender_dash",
    "marker.symbol": "contender_symbol",
    "name": "contender_label",
}
#: What the profile is drawn against, by Options.depth.
_DEPTHS: dict[str, dict[str, Any]] = {
    "layer": {"xaxis.type": "category", "xaxis.title.text": "layer (1 = nearest the input)"},
    "relative": {
        "xaxis.type": "linear",
        "xaxis.title.text": "relative depth (0 = layer 1, 1 = output)",
        "xaxis.range": [-0.03, 1.03],
    },
}
#: Markers on a line of epochs: enough to tell it by, few enough to draw six lines in no time.
_MARKERS = 12
#: Of a group of seeds: ends of a band and how it is painted, the widest first.
_BANDS = {"contender_range": ("min", "max"), "contender_band": ("low", "high")}


def heatmaps(contenders: Sides, options: Options = USUAL) -> list[go.Figure]:
    """One heatmap per contender, all with the x axis of the longest."""
    same = replace(options, end=bindings.axis_end(contenders, options))
    return [figures.gradient_heatmap(side.columns, same) for side in contenders]


def gradient_by_depth(contenders: Sides = (), options: Options = USUAL) -> go.Figure:
    """The newest gradient RMS of every contender against depth, seeds as bands.

    columns  gradient_now, gradient_now_off [layers] log10, gradient_now_words, layer_names; of a
             group gradient_now_min, _max, _low and _high too; gradient_theory_shown, theory_note
    """
    layout = layout_of(
        title="Gradient by depth, now",
        caption="Level: every layer learns. Falling to the left it vanishes, rising it explodes."
        "{bands}{dashes}",
        alt="Line chart of the gradient RMS by layer. {each}.",
        each="{label}: layer 1 {bottom}, layer {top_layer} {top}",
        y={"range": list(theme.PROFILE_RANGE), "dtick": 2, **POWERS}
        | {"title": {"text": "gradient RMS"}},
        when={"depth": _DEPTHS},
        words={
            "theory": {
                "shown": {"dashes": " Thin dashes: theory, for step 0."},
                "hidden": {"dashes": ""},
            }
        },
        aside="theory_note",
    )
    x = {"of": "layer_names", "as": "depth"}
    traces = [*_bands("gradient_now", x), *_profile(), _theory(x)]
    return bindings.filled_by(contenders, traces, layout, options)


def _theory(x: Any) -> Trace:
    """What theory expects of step 0, where it can be trusted and lines are few enough."""
    return scatter(
        fill={"x": x, "y": "gradient_theory_{theory}", "customdata": "layer_names"}
        | {"text": "gradient_theory_words"},
        shown="gradient_theory_{theory}",
        paint={"line.color": "contender", "name": "contender_label"},
        mode="lines",
        line={"width": 1.8, "dash": "dash"},
        showlegend=False,
        hovertemplate="layer %{customdata}, theory for step 0<br>gradient RMS %{text}"
        "<extra>%{fullData.name}</extra>",
        each="theory",
    )


def _profile() -> list[Trace]:
    """A line over the layers, and crosses at the axis's ends for what lies beyond them."""
    x = {"of": "layer_names", "as": "depth"}
    about = {"x": x, "text": "gradient_now_words", "customdata": "layer_names"}
    hover = "layer %{customdata}<br>gradient RMS %{text}"
    line = scatter(
        fill=about | {"y": "gradient_now"},
        paint=_LINE,
        mode="lines+markers",
        line={"width": 3},
        marker={"size": 9},
        hovertemplate=f"{hover}<extra>%{{fullData.name}}</extra>",
        each="lines",
    )
    crosses = scatter(
        fill=about | {"y": "gradient_now_off"},
        shown={"of": "gradient_now_off"},
        paint={"marker.color": "contender", "marker.line.color": "contender"},
        name="off axis",
        showlegend=False,
        cliponaxis=False,
        mode="markers",
        marker={"size": 12, "symbol": "x-thin", "line": {"width": 3}},
        hovertemplate=f"{hover}<extra>off axis</extra>",
        each="off axis",
    )
    return [line, crosses]


def loss(contenders: Sides = (), options: Options = USUAL) -> go.Figure:
    """Loss of every contender: batches as a thin line, ends of epochs as a line with markers.

    columns  curve_steps, loss_mean [n]; epoch_steps, epoch_{part}_loss [epochs]; guess_steps,
             guess_loss [2]; of a group also the ends of bands, as for gradient_by_depth
    """
    layout = layout_of(
        title="{part_title} loss",
        caption="Thick: {part} loss at the ends of epochs; thin: each batch. "
        "Dashed grey: guessing.{bands}",
        alt="Loss by step. {each}.",
        each="{label}: batch loss {loss}",
        steps=True,
        y={"title": {"text": "cross-entropy (nats)"}, "rangemode": "tozero"},
    )
    return bindings.filled_by(contenders, _curves("loss", ".3~g"), layout, options)


def accuracy(contenders: Sides = (), options: Options = USUAL) -> go.Figure:
    """Accuracy of every contender; columns as for loss, with accuracy in its place."""
    layout = layout_of(
        title="{part_title} accuracy",
        caption="Where a line leaves the dashed grey one, that network has woken up.{bands}",
        alt="Accuracy by step. {each}.",
        each="{label}: train {train}, validation {validation}",
        steps=True,
        y={"title": {"text": "share correct"}, "range": [0, 1.02], "tickformat": ".0%"},
    )
    return bindings.filled_by(contenders, _curves("accuracy", ".1%"), layout, options)


def layer_histogram(contenders: Sides = (), options: Options = USUAL) -> go.Figure:
    """The newest histogram of one layer of every contender, as densities: each has the area 1.

    columns  {kind}_bins [layers or 1, bins] centres, {kind}_counts [layers, bins], {kind}_notes
    """
    line = scatter(
        fill={
            "x": {"of": "{kind}_bins", "as": "layer"},
            "y": {"of": "{kind}_counts", "as": "density", "bins": "{kind}_bins"},
        },
        paint={key: _LINE[key] for key in ("line.color", "line.dash", "name")},
        mode="lines",
        line={"width": 2.5, "shape": "hvh"},
        hovertemplate="%{y:.3~g} at %{x:.3~g}<extra>%{fullData.name}</extra>",
        each="lines",
    )
    units = {"gradient": "share per power of ten", "weight": "share per unit of weight"}
    units |= {"activation": "share per unit of activation"}
    kinds = {
        kind: figures.kind_axis(kind) | {"yaxis.title.text": unit} for kind, unit in units.items()
    }
    layout = layout_of(
        title="{kind_title} histograms, layer {layer_name}",
        caption="How this layer's values are spread, now; the area under each line is 1.",
        alt="{kind_title} histograms of layer {layer_name}. {each}.",
        each="{label}: step {step}",
        y={"rangemode": "tozero"},
        when={"kind": kinds},
        aside={"of": "{kind}_notes", "as": "layer"},
        lead="Beside the bins",
    )
    return bindings.filled_by(contenders, [line], layout, options)


#: Name -> figure of several contenders, in the order of the page.
COMPARISON: dict[str, Callable[[Sides, Options], go.Figure]] = {
    "gradient_by_depth": gradient_by_depth,
    "layer_histogram": layer_histogram,
    "loss": loss,
    "accuracy": accuracy,
}


def difference_heatmap(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """log10 of B's gradient RMS over A's, centred at 0: blue where B's is larger, red smaller.

    columns  places, steps [n], difference [n, layers], difference_marks (codes of
             theme.DIFFERENCE_MARKS), layer_names [layers]
    """
    grid = {
        "x": {"of": "places", "as": "place"},
        "y": "layer_names",
        "customdata": {"of": "steps", "as": "across"},
        "text": {"of": "difference", "as": "words"},
    }
    where = "layer %{y}, step %{customdata}<br>"
    low, high = theme.DIFFERENCE_DOMAIN
    powers = [low + place * (high - low) / 6 for place in range(7)]
    times = [f"10<sup>{power:g}</sup>" if power else "equal" for power in powers]
    values = heatmap(
        fill=grid | {"z": {"of": "difference", "as": "unmarked", "marks": "difference_marks"}},
        zmin=low,
        zmax=high,
        colorscale=scale(theme.DIFFERENCE_SCALE),
        hovertemplate=where + "%{text} times as large<extra></extra>",
        colorbar=colourbar("times as large", tickvals=powers, ticktext=times),
    )
    cells = marks("difference_marks", theme.DIFFERENCE_MARKS, grid, where)
    layout = layout_of(
        title="Difference: {b} against {a}",
        caption="Blue: the gradient of {b} is larger than that of {a} at the same layer and moment. "
        "Red: it is smaller. White: they are equal. {line}",
        alt="Heatmap of the gradient RMS of {b} over that of {a}, by layer and step.",
        steps=True,
        y={"type": "category", "title": {"text": "layer"}, "showgrid": False},
        margin=COLOURBAR_MARGIN,
    )
    return bindings.filled([values, *cells], layout, columns, options)


def scale(named: Any) -> Scale:
    """The stops of a colour scale, by its name or as they are."""
    found = plotly.colors.get_colorscale(named) if isinstance(named, str) else named
    return [[place, colour] for place, colour in found]


def _bands(name: str, x: Any) -> list[Trace]:
    """Lowest to highest and the middle half of the seeds; nothing where there is one run."""
    return [
        scatter(
            fill={"x": x, "y": f"{name}_{end}"},
            shown=f"{name}_{end}",
            paint={"fillcolor": token} if end == ends[1] else {},
            mode="lines",
            line={"width": 0},
            fill_to="tonexty" if end == ends[1] else None,
            showlegend=False,
            hoverinfo="skip",
            each=token,
        )
        for token, ends in _BANDS.items()
        for end in ends
    ]


def _curves(quantity: str, form: str) -> list[Trace]:
    """Thin lines of batches, lines with markers of epochs and their bands, guessing dashed."""
    ends = {"of": "epoch_steps", "as": "step"}
    at = f"step %{{customdata}}<br>%{{y:{form}}}<extra>%{{fullData.name}}</extra>"
    batch = scatter(
        fill={"x": {"of": "curve_steps", "as": "step"}, "y": f"{quantity}_mean"},
        paint={"line.color": "contender_line"},
        mode="lines",
        line={"width": 1.2},
        showlegend=False,
        hoverinfo="skip",
        each="batches",
    )
    guess = scatter(
        fill={"x": {"of": "guess_steps", "as": "step"}, "y": f"guess_{quantity}"},
        paint={"line.color": "guess"},
        name="guessing",
        legendrank=1001,  # after the contenders
        mode="lines",
        line={"width": 2, "dash": "dash"},
        hovertemplate=f"guessing: %{{y:{form}}}<extra></extra>",
        each="guessing",
    )
    value = f"epoch_{{part}}_{quantity}"
    epochs = scatter(
        fill={"x": ends, "y": value, "customdata": "epoch_steps"},
        paint=_LINE,
        mode="lines+markers",
        line={"width": 3},
        marker={"size": 8, "maxdisplayed": _MARKERS},
        hovertemplate=at,
        each="lines",
    )
    return [guess, batch, *_bands(value, ends), epochs]
