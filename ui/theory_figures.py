"""The Theory page's figures: what theory predicts and what is measured. Pure, as ui/figures.py."""

from collections.abc import Callable
from typing import Any

import plotly.graph_objects as go

from ui import bindings, theme
from ui.bindings import NO_DATA, USUAL, Columns, Options
from ui.pieces import COLOURBAR_MARGIN, POWERS, Trace, colourbar, heatmap, layout_of, scatter

_LAYERS = {"type": "category", "title": {"text": "layer (1 = nearest the input)"}}
_W, _B = "σ<sub>w</sub>", "σ<sub>b</sub>"
#: Decades between two ticks: of an axis of 14, and of more.
_DTICK = 2
#: The lines of limits: name of theory_columns.LIMITS -> word in the legend, dash.
_LIMITS = {
    "adam": ("Adam's ε 10⁻⁸ (for the thin line)", "dash"),
    "normal": ("float32: smallest normal number 1.2·10⁻³⁸", "dashdot"),
    "smallest": ("float32: smallest number 1.4·10⁻⁴⁵", "longdash"),
}


def phase_diagram(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """Order and chaos over (sigma_w, sigma_b), the line chi_1 = 1, and the network as a dot.

    columns  phase_sigma_w [m], phase_sigma_b [k], phase_chi [k, m] log10 chi_1, critical_sigma_w
             and _b [n], region_sigma_w, _b and _words, net_sigma_w, _b and _words [1], or the
             same with other_ where the diagram is not of this network
    """
    shades = heatmap(
        fill={"x": "phase_sigma_w", "y": "phase_sigma_b", "z": {"of": "phase_chi", "as": "rows"}},
        zmin=-2,
        zmax=2,
        colorscale=[list(stop) for stop in theme.PHASE_SCALE],
        hovertemplate=f"{_W} %{{x:.3~g}}, {_B} %{{y:.2f}}<br>χ₁ = 10^%{{z:.2f}}<extra></extra>",
        colorbar=colourbar(
            "χ₁ per layer",
            tickvals=[-2, -1, 0, 1, 2],
            ticktext=["≤ 0.01", "0.1", "1", "10", "≥ 100"],
        ),
    )
    line = scatter(
        fill={"x": "critical_sigma_w", "y": "critical_sigma_b"},
        shown={"of": "critical_sigma_w"},
        paint={},
        name="χ₁ = 1, the edge of chaos",
        mode="lines",
        line={"width": 3, "color": theme.ON_PHASE},
        hovertemplate=f"χ₁ = 1 at {_W} %{{x:.4~g}}, {_B} %{{y:.3f}}<extra></extra>",
    )
    regions = scatter(
        fill={"x": "region_sigma_w", "y": "region_sigma_b", "text": "region_words"},
        paint={},
        mode="text",
        textfont={"color": theme.ON_PHASE, "size": theme.FONT_PX},
        hoverinfo="skip",
        showlegend=False,
    )
    dots = [_dot("", "this network", 1.0), _dot("other_", "its plain twin", 0.0)]
    traces = [shades, line, regions, *dots]
    return bindings.filled(traces, _phase_layout(), columns, options)


def _phase_layout() -> dict[str, Any]:
    return layout_of(
        title="Phase diagram: {activation}",
        caption="Left of the line gradients shrink by √χ₁ per layer and all examples become alike; "
        "right of it they grow and equal examples part.",
        alt="Phase diagram of {activation}: {place}",
        x={
            "type": "log",
            "range": [-1.0, 2.4771],
            "tickvals": [0.1, 0.3, 1, 3, 10, 30, 100, 300],
            "ticktext": ["0.1", "0.3", "1", "3", "10", "30", "100", "300"],
            "title": {"text": f"{_W}: spread of the weights × √inputs"},
        },
        y={"range": [-0.06, 2.0], "title": {"text": f"{_B}: spread of the biases"}},
        margin=COLOURBAR_MARGIN,
    )


def _dot(prefix: str, word: str, filled: float) -> Trace:
    return scatter(
        fill={"x": f"{prefix}net_sigma_w", "y": f"{prefix}net_sigma_b"}
        | {"text": f"{prefix}net_words"},
        shown={"of": f"{prefix}net_sigma_w"},
        paint={},
        name=word,
        cliponaxis=False,
        mode="markers",
        marker={
            "size": 16,
            "symbol": "circle" if filled else "circle-open",
            "color": theme.ON_PHASE,
            "line": {"width": 3, "color": "#ffffff" if filled else theme.ON_PHASE},
        },
        hovertemplate=f"{word}: %{{text}}<extra></extra>",
    )


def predicted_profile(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """The gradient by depth at step 0: theory with its band, measured seeds with their spread.

    columns  layer_names [layers]; log10: theory_delta, _low, _high, theory_grad, the same with
             grey_ where theory is not to be trusted, measured_delta, _sd, measured_delta_end
             (at the axis's end: exactly 0 or not finite), measured_grad, run_delta; limit_{name};
             profile_range
    """
    layout = layout_of(
        title="Gradient by depth at step 0: theory and {seeds}",
        caption="Thick: RMS of dL/dz, with one standard deviation over seeds. Thin: RMS of dL/dw of the "
        "weights, which is what Adam sees.",
        alt="Gradient by depth of {layers} layers at step 0. {formula}",
        x=_LAYERS,
        y=_log_axis("profile_range", (-13, 1), "RMS of the gradient", columns),
    )
    return bindings.filled(_profile(), layout, columns, options)


def _profile() -> list[Trace]:
    return [
        *_band("theory_delta", "theory"),
        *(_limit(name, word, dash) for name, (word, dash) in _LIMITS.items()),
        _line("theory_grad", "theory", "thin: theory, dL/dw per weight", width=1.5),
        _line("grey_grad", "muted", "theory, not to be trusted", width=1.5, showlegend=False),
        _line("theory_delta", "theory", "thick: theory, dL/dz", words="theory_delta_words"),
        _line("grey_delta", "muted", "theory, not to be trusted", words="grey_delta_words"),
        _dots("grad", "measured, dL/dw per weight", size=5, symbol="circle-open"),
        _dots("delta", "measured, dL/dz", words="measured_delta_words"),
        _marks("run_delta", "this run's own first step", "validation", "diamond-open", 12),
        _marks("measured_delta_end", "measured exactly 0, or not finite", "newest", "x-thin", 11),
    ]


def predicted_signal(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """The signal on its way up: mean square of z, and how much of it differs between examples.

    columns  layer_names; log10: theory_square, theory_spread, the same with grey_,
             measured_square, measured_spread, with _sd; signal_range
    """
    traces = [
        _line("theory_spread", "validation", "theory, (1−c) q", width=2, dash="dot"),
        _line(
            "grey_spread",
            "muted",
            "theory, not to be trusted",
            width=2,
            dash="dot",
            showlegend=False,
        ),
        _line("theory_square", "theory", "theory, q"),
        _line("grey_square", "muted", "theory, not to be trusted"),
        _dots("spread", "measured, (1−c) q", symbol="diamond-open", paint="validation"),
        _dots("square", "measured, q"),
    ]
    layout = layout_of(
        title="Signal by depth at step 0",
        caption="q is the mean square of z; (1−c) q is what of it differs from example to example. Where "
        "that falls, all examples look alike to the layers above.",
        alt="Mean square of the pre-activations of {layers} layers at step 0, and the part that "
        "differs between examples.",
        x=_LAYERS,
        y=_log_axis("signal_range", (-6, 2), "mean square of z", columns),
    )
    return bindings.filled(traces, layout, columns, options)


def predicted_correlation(columns: Columns = NO_DATA, options: Options = USUAL) -> go.Figure:
    """How alike two examples are to each layer: c = 1 is alike, c = 0 unrelated.

    columns  layer_names; theory_same, theory_different, theory_pair, the same with grey_,
             measured_pair, _sd
    """
    traces = [
        _line("theory_same", "theory", "theory, one class", width=1.5, dash="dot"),
        _line("theory_different", "validation", "theory, two classes", width=1.5, dash="dashdot"),
        _line("theory_pair", "theory", "theory, all pairs"),
        _line("grey_pair", "muted", "theory, not to be trusted"),
        _dots("pair", "measured, all pairs"),
    ]
    layout = layout_of(
        title="Likeness of two examples by depth",
        caption="At 1 every example gives the same signal: nothing of the input is left to learn from.",
        alt="Correlation of two different examples in each of {layers} layers at step 0.",
        x=_LAYERS,
        y={"range": [-0.1, 1.06], "title": {"text": "correlation c, not centred"}},
    )
    return bindings.filled(traces, layout, columns, options)


#: Name -> figure, in the order of the page.
THEORY_FIGURES: dict[str, Callable[[Columns, Options], go.Figure]] = {
    "phase_diagram": phase_diagram,
    "predicted_profile": predicted_profile,
    "predicted_signal": predicted_signal,
    "predicted_correlation": predicted_correlation,
}
#: Figure -> the column that holds its y axis's range.
RANGES = {"predicted_profile": "profile_range", "predicted_signal": "signal_range"}


def _log_axis(column: str, usual: tuple[int, int], title: str, columns: Columns) -> dict[str, Any]:
    low, high = columns.get(column, usual)
    return {
        "range": [low, high],
        "dtick": _DTICK,
        "title": {"text": title},
        **POWERS,
    }


def _line(
    of: str,
    paint: str,
    word: str,
    *,
    words: str = "",
    width: float = 4,
    dash: str = "dash",
    **more: Any,
) -> Trace:
    """A line of theory over the layers, drawn only where there is one."""
    text = {"text": words} if words else {}
    value = "%{text}" if words else "%{y:.3f}" if of.endswith(_PLAIN) else "10^%{y:.2f}"
    return scatter(
        fill={"x": "layer_names", "y": of} | text,
        shown={"of": of},
        paint={"line.color": paint},
        name=word,
        mode="lines",
        line={"width": width, "dash": dash},
        hovertemplate=f"layer %{{x}}, {word}<br>{value}<extra></extra>",
        **more,
    )


_PLAIN = ("_pair", "_same", "_different")


def _band(of: str, paint: str) -> list[Trace]:
    return [
        scatter(
            fill={"x": "layer_names", "y": f"{of}_{end}"},
            shown={"of": f"{of}_{end}"},
            paint={"fillcolor": f"{paint}_band"} if end == "high" else {},
            mode="lines",
            line={"width": 0},
            fill_to="tonexty" if end == "high" else None,
            showlegend=False,
            hoverinfo="skip",
        )
        for end in ("low", "high")
    ]


def _limit(name: str, word: str, dash: str) -> Trace:
    return scatter(
        fill={"x": "layer_names", "y": f"limit_{name}"},
        shown={"of": f"limit_{name}"},
        paint={"line.color": "muted"},
        name=word,
        mode="lines",
        line={"width": 1.5, "dash": dash},
        hovertemplate=f"{word}<extra></extra>",
    )


def _dots(
    name: str,
    word: str,
    *,
    size: int = 9,
    symbol: str = "circle",
    paint: str = "newest",
    words: str = "",
) -> Trace:
    """Means over the measured seeds with one standard deviation."""
    of = f"measured_{name}"
    text = {"text": words} if words else {}
    value = "%{text}" if words else "%{y:.3f}" if of.endswith(_PLAIN) else "10^%{y:.2f}"
    return scatter(
        fill={"x": "layer_names", "y": of, "error_y.array": f"{of}_sd"} | text,
        shown={"of": of},
        paint={"marker.color": paint, "error_y.color": paint},
        name=word,
        mode="markers",
        marker={"size": size, "symbol": symbol, "line": {"width": 1.5}},
        error_y={"type": "data", "thickness": 1.5, "width": 4},
        hovertemplate=f"layer %{{x}}, {word}<br>{value}<extra></extra>",
    )


def _marks(of: str, word: str, paint: str, symbol: str, size: int) -> Trace:
    return scatter(
        fill={"x": "layer_names", "y": of},
        shown={"of": of},
        paint={"marker.color": paint, "marker.line.color": paint},
        name=word,
        cliponaxis=False,
        mode="markers",
        marker={"size": size, "symbol": symbol, "line": {"width": 3}},
        hovertemplate=f"layer %{{x}}, {word}<extra></extra>",
    )
