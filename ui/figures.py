"""Named arrays -> Plotly figures, each drawn here and filled in the browser by the same rules. Pure.

Every trace says in `meta` where its data comes from, by the names of `display.Display`:

    fill   attribute -> name, or {"of": name, "as": how, ...}; how is a key of bindings.HOW
    shown  a binding; the trace is drawn only where it holds anything
    paint  attribute -> key of theme.LIGHT and theme.DARK, or of bindings.CONTENDER
    each   it is drawn once per contender (ui/comparison.py); with neighbours of the same word

and every figure in `layout.meta`: title, caption and alt (with {placeholders} the header fills),
`steps` (the x axis counts steps: range, ticks and vertical lines follow), `when` (layout attributes
that depend on what a person chose), `words` (placeholders that do) and `aside` (a text beside the
chart, after its `lead`). assets/charts.js follows the same rules, so it knows no figure by name.
"""

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

from ui import bindings, theme
from ui.bindings import NO_DATA, USUAL, Columns, Options
from ui.pieces import (
    COLOURBAR_MARGIN,
    PLAIN,
    POWERS,
    Trace,
    colourbar,
    heatmap,
    layout_of,
    marks,
    scatter,
)

_STEP: dict[str, Any] = {"as": "step"}
_LAYERS = {"type": "category", "title": {"text": "layer"}, "showgrid": False}
#: Markers on a line of epochs: each of a usual run's, and no more than can be told apart.
_MARKERS = 64
#: What a profile by depth shows, by Options.profile.
PROFILES = {"signal": "signal, dL/dz", "gradient": "weight gradient, dL/dW"}
#: Theory's line as ui/overlay.py names it -> colour, width, dash, and what pointing at it says besides.
THEORY_LINES = {
    # Wider than what is measured, which lies on it where both agree; Plotly's own dashes grow with it.
    "thick": ("theory", 8, "12px,5px", ""),
    "thin": ("theory", 4, "dash", ""),
    "grey": ("muted", 4, "dash", ", not to be trusted"),
}
_KIND_AXIS = {
    "gradient": ("size of a gradient entry, |dL/dw|", POWERS),
    "weight": ("weight", PLAIN),
    "activation": ("activation (the output layer's: logit)", PLAIN),
}


def gradient_heatmap(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """log10 gradient RMS of every layer at every recorded step, on one absolute colour domain.

    columns  steps [n], grad_log10 [n, layers], marks [n, layers] (codes of theme.MARKS),
             layer_names [layers], step, events
    """
    low, high = theme.GRADIENT_DOMAIN
    grid = {
        "x": {"of": "steps", **_STEP},
        "y": "layer_names",
        "customdata": {"of": "steps", "as": "across"},
    }
    shown = {"text": {"of": "grad_log10", "as": "words"}}
    where = "layer %{y}, step %{customdata}<br>"
    values = heatmap(
        fill=grid | shown | {"z": {"of": "grad_log10", "as": "unmarked"}},
        zmin=low,
        zmax=high,
        colorscale=theme.GRADIENT_SCALE,
        hovertemplate=where + "gradient RMS %{text}<extra></extra>",
        colorbar=colourbar("gradient RMS", dtick=3, **POWERS),
    )
    traces = [values, *marks("marks", theme.MARKS, grid | shown, where)]
    layout = layout_of(
        title="Gradient by layer and step",
        caption="Watch the colour darken from the output (top) down to layer 1: "
        "where it is dark, the gradient has died on its way.",
        alt="Heatmap of the gradient RMS of {layers} layers up to step {step}. Newest: layer 1 "
        "{bottom}, layer {top_layer} {top}; ratio {ratio}.",
        steps=True,
        y=_LAYERS,
        margin=COLOURBAR_MARGIN,
    )
    return bindings.filled(traces, layout, columns, options)


def gradient_by_depth(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """RMS of signal or gradient against depth on a fixed log axis: newest, step 0 and theory.

    columns  {profile}_now, {profile}_start [layers] log10; the same with _off: a place at the axis's
             end for what has no place on it; the same with _words; those of ui/overlay.py;
             {profile}_theory_aside; layer_names [layers]
    """
    measured = [*_profile("start", "step 0", "dot"), *_profile("now", "newest", "solid")]
    layout = layout_of(
        title="Gradient by depth",
        caption="Level: every layer learns. Falling to the left it vanishes, rising it explodes.",
        alt="Line chart of the RMS of the {quantity} by layer at step {step}, against step 0 and "
        "theory. Layer 1 {low}, layer {top_layer} {high}.",
        x={"type": "category", "title": {"text": "layer (1 = nearest the input)"}},
        y={"range": list(theme.PROFILE_RANGE), "dtick": 2, **POWERS},
        when={
            "profile": {
                name: {"yaxis.title.text": f"RMS of the {text}"} for name, text in PROFILES.items()
            }
        },
        words={
            "profile": {
                "signal": {
                    "quantity": PROFILES["signal"],
                    "low": "{signal_bottom}",
                    "high": "{signal_top}",
                },
                "gradient": {
                    "quantity": PROFILES["gradient"],
                    "low": "{bottom}",
                    "high": "{top}",
                },
            }
        },
        aside="{profile}_theory_aside",
    )
    return bindings.filled([*_theory(), *measured], layout, columns, options)


def _theory() -> list[Trace]:
    """Theory's line for step 0 with its band; grey and alone where it must not be trusted."""
    about = {"x": "layer_names", "text": "{profile}_theory_words"}
    band = [
        scatter(
            fill={"x": "layer_names", "y": f"{{profile}}_theory_{end}"},
            shown=f"{{profile}}_theory_{end}",
            paint={"fillcolor": "theory_band"} if end == "high" else {},
            mode="lines",
            line={"width": 0},
            fill_to="tonexty" if end == "high" else None,
            showlegend=False,
            hoverinfo="skip",
        )
        for end in ("low", "high")
    ]
    lines = [
        scatter(
            fill=about | {"y": f"{{profile}}_theory_{name}"},
            # The first is always there, so that the legend's words move nothing when theory comes.
            shown=None if name == "thick" else f"{{profile}}_theory_{name}",
            paint={"line.color": colour},
            name="theory, step 0",
            mode="lines",
            line={"width": width, "dash": dash},
            hovertemplate=f"layer %{{x}}, theory for step 0{trust}<br>RMS %{{text}}<extra></extra>",
        )
        for name, (colour, width, dash, trust) in THEORY_LINES.items()
    ]
    return [*band, *lines]


def _profile(name: str, word: str, dash: str) -> list[Trace]:
    """A line over the layers, and crosses at the axis's ends for what lies beyond them."""
    colour = {"start": "start", "now": "newest"}[name]
    about = {"x": "layer_names", "text": f"{{profile}}_{name}_words"}
    hover = f"layer %{{x}}, {word}<br>RMS %{{text}}<extra></extra>"
    line = scatter(
        fill=about | {"y": f"{{profile}}_{name}"},
        paint={"line.color": colour, "marker.color": colour},
        name=word,
        mode="lines+markers",
        line={"width": 3, "dash": dash},
        marker={"size": 8},
        hovertemplate=hover,
    )
    crosses = scatter(
        fill=about | {"y": f"{{profile}}_{name}_off"},
        shown={"of": f"{{profile}}_{name}_off"},
        paint={"marker.color": colour, "marker.line.color": colour},
        name="off axis",
        cliponaxis=False,
        mode="markers",
        marker={"size": 11, "symbol": "x-thin", "line": {"width": 3}},
        hovertemplate=hover,
    )
    return [line, crosses]


def histogram_ridge(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """The newest histogram of every layer, one row each, as heights relative to its fullest bin.

    columns  {kind}_x [bins], {kind}_ridge [layers, bins] from 0 to 255, layer_names [layers]
    """
    trace = heatmap(
        fill={"x": "{kind}_x", "y": "layer_names", "z": {"of": "{kind}_ridge", "as": "rows"}},
        paint={"colorscale": "ridge"},
        zmin=0,
        zmax=255,
        hovertemplate="layer %{y}, at %{x:.3~g}<extra></extra>",
        colorbar=colourbar("height", tickvals=[0, 127.5, 255], ticktext=["0", "½", "1"]),
    )
    layout = layout_of(
        title="{kind_title} histograms, all layers",
        caption="Each row is one layer, now; the strongest colour is its fullest bin. Rows that drift left of their neighbours above have "
        "smaller values.",
        alt="{kind_title} histograms of {layers} layers at step {step}, one row per layer.",
        y=_LAYERS,
        margin=COLOURBAR_MARGIN,
        when={"kind": {kind: kind_axis(kind) for kind in _KIND_AXIS}},
        aside="{kind}_aside",
        lead="Beside the bins",
    )
    return bindings.filled([trace], layout, columns, options)


def layer_histogram(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """The newest histogram of one layer, in entries per bin.

    columns  {kind}_bins [layers or 1, bins] centres, {kind}_counts [layers, bins], {kind}_notes
    """
    trace = {
        "type": "bar",
        "hovertemplate": "%{y:,} entries at %{x:.3~g}<extra></extra>",
        "meta": {
            "fill": {
                "x": {"of": "{kind}_bins", "as": "layer"},
                "y": {"of": "{kind}_counts", "as": "layer"},
            },
            "paint": {"marker.color": "newest"},
        },
        "marker": {"line": {"width": 0}},
    }
    layout = layout_of(
        title="{kind_title} histogram, layer {layer_name}",
        caption="How this layer's values are spread, now. What no bin holds is told beside it.",
        alt="{kind_title} histogram of layer {layer_name} at step {step}.",
        y={"title": {"text": "entries"}, "rangemode": "tozero"},
        when={"kind": {kind: kind_axis(kind) for kind in _KIND_AXIS}},
        aside={"of": "{kind}_notes", "as": "layer"},
        lead="Beside the bins",
        bargap=0,
    )
    return bindings.filled([trace], layout, columns, options)


def loss(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """Loss of the batches, with every spike, and at the ends of epochs, beside that of guessing.

    columns  curve_steps, loss_mean, loss_min, loss_max [n]; epoch_steps, epoch_train_loss,
             epoch_validation_loss, epoch_test_loss [epochs]; guess_steps, guess_loss [2]
    """
    band = [
        scatter(
            fill={"x": {"of": "curve_steps", **_STEP}, "y": f"loss_{end}"},
            paint={"fillcolor": "batch_band"} if end == "max" else {},
            mode="lines",
            line={"width": 0},
            fill_to="tonexty" if end == "max" else None,
            showlegend=False,
            hoverinfo="skip",
        )
        for end in ("min", "max")
    ]
    layout = layout_of(
        title="Loss",
        caption="At the dashed line the network does no better than guessing: nothing is learned.",
        alt="Loss by step up to step {step}: batch loss {loss}.",
        steps=True,
        y={"title": {"text": "cross-entropy (nats)"}, "rangemode": "tozero"},
    )
    return bindings.filled(band + _curves("loss", ".3~g"), layout, columns, options)


def accuracy(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """Accuracy of the batches and at the ends of epochs, beside that of guessing.

    columns  as for loss, with accuracy in place of loss; there are no minima and maxima
    """
    layout = layout_of(
        title="Accuracy",
        caption="Train above validation by much: it remembers. Both at the dashed line: it guesses.",
        alt="Accuracy by step up to step {step}: train {train}, validation {validation}.",
        steps=True,
        y={"title": {"text": "share correct"}, "range": [0, 1.02], "tickformat": ".0%"},
    )
    return bindings.filled(_curves("accuracy", ".1%"), layout, columns, options)


#: Name -> figure, in the order of the page.
FIGURES: dict[str, Callable[[Columns, Options], go.Figure]] = {
    "gradient_heatmap": gradient_heatmap,
    "gradient_by_depth": gradient_by_depth,
    "histogram_ridge": histogram_ridge,
    "layer_histogram": layer_histogram,
    "loss": loss,
    "accuracy": accuracy,
}


def _curves(quantity: str, form: str) -> list[Trace]:
    """Batches as a line, ends of epochs as lines with markers, guessing as a dashed line."""
    at = f"step %{{customdata}}<br>%{{y:{form}}}"
    batch = scatter(
        fill={
            "x": {"of": "curve_steps", **_STEP},
            "y": f"{quantity}_mean",
            "customdata": "curve_steps",
        },
        paint={"line.color": "batch"},
        name="batch",
        mode="lines",
        line={"width": 1.5},
        hovertemplate=f"{at}<extra>batch</extra>",
    )
    ends = [
        scatter(
            fill={"x": {"of": "epoch_steps", **_STEP}, "y": f"epoch_{part}_{quantity}"}
            | {"customdata": "epoch_steps"},
            paint={"line.color": part, "marker.color": part},
            name=part,
            mode="lines+markers",
            line={"width": 2.5},
            marker={"size": 6, "symbol": symbol, "maxdisplayed": _MARKERS},
            hovertemplate=f"{at}<extra>{part}</extra>",
        )
        for part, symbol in (("train", "circle"), ("validation", "diamond"), ("test", "square"))
    ]
    guess = scatter(
        fill={"x": {"of": "guess_steps", **_STEP}, "y": f"guess_{quantity}"},
        paint={"line.color": "guess"},
        name="guessing",
        mode="lines",
        line={"width": 2, "dash": "dash"},
        hovertemplate=f"guessing: %{{y:{form}}}<extra></extra>",
    )
    return [batch, *ends, guess]


def kind_axis(kind: str) -> dict[str, Any]:
    title, ticks = _KIND_AXIS[kind]
    return {"xaxis.title.text": title} | {f"xaxis.{key}": value for key, value in ticks.items()}
