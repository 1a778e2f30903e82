"""The backward pass in slow motion: a probe's answer as the steps that assets/slow.js shows. Pure.

Each layer is a few multiplications of one number, the RMS of the gradient: by what the weights
above did to it, by the activation's slope, by a norm and a backward rule where there are any.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from engine.spec import RunSpec
from ui import theme
from ui.lesson_numbers import in_formula
from ui.numbers import number, power

Row = Mapping[str, Any]
_LOW, _HIGH = theme.PROFILE_RANGE
MOST_FACTORS = 8  # in one formula; of more, the middle is left out
#: What stands between a layer's output and its Linear -> its symbol, what it does on the way back.
GAINS = {
    "rule_gain": ("rule", "the gradient rule re-scales what comes back"),
    "slope_gain": ("φ′(z)", "times the activation's slope"),
    "norm_gain": ("norm", "back through the normalisation"),
}
#: The order in which the backward pass meets them, by spec.norm_position.
ORDERS = {
    "before": ("rule_gain", "slope_gain", "norm_gain"),
    "after": ("norm_gain", "rule_gain", "slope_gain"),
}


def told(row: Row, spec: RunSpec) -> dict[str, Any]:
    """What the component is given.

    row   of engine/probe.py's `backward`: loss, batch_size, examples, labels, layers (from the
          output layer down; RMS and gains by name)
    spec  that it was asked for
    """
    layers, classes = row["layers"], spec.data_set.classes
    order = ORDERS[spec.norm_position]
    steps = [step for place in range(len(layers)) for step in _steps(layers, place, order)]
    words = f"A real batch of {row['batch_size']} examples: loss {number(row['loss'])}."
    if row.get("precision") == "float64":
        words += " Counted in float64: in float32 some of it would underflow."
    return {
        "words": words,
        "pictures": row["examples"],
        "labels": [classes[label] for label in row["labels"]],
        "layers": [{"name": _name(layers, place)} for place in range(len(layers))],
        "steps": steps,
        "ticks": [
            [(power10 - _LOW) / (_HIGH - _LOW), power(power10).removeprefix("1.00·")]
            for power10 in range(-12, 1, 4)
        ],
    }


def _name(layers: Sequence[Row], place: int) -> str:
    return "output" if place == 0 else f"layer {layers[place]['layer']}"


def _steps(layers: Sequence[Row], place: int, order: Sequence[str]) -> list[dict[str, Any]]:
    """The steps of one layer: what arrives, what each part makes of it."""
    row, name = layers[place], _name(layers, place).capitalize()
    if place == 0:
        words = (
            "The loss itself says how each logit should change. This is where the signal begins."
        )
        terms = [["result", "RMS of dL/dz", number(row["delta_rms"])]]
        return [
            _step(place, name, "the gradient starts here", terms, words, row["delta_rms"], "delta")
        ]
    above = layers[place - 1]
    now = row["signal_rms"]
    steps = [_weights(place, name, above, now)]
    for gain, (symbol, does) in _gains(row, order):
        before, now = now, now * gain
        words = f"{does.capitalize()}: what is left is {number(gain)} of it."
        if symbol == GAINS["slope_gain"][0]:
            words = _slope_words(row)
        terms = [["before", "so far", number(before)], ["gain", symbol, f"× {number(gain)}"]]
        terms += [["result", "RMS", f"= {number(now)}"]]
        steps.append(_step(place, name, does, terms, words, now, "part"))
    factor = row["factor"]
    upper = "the output layer" if place == 1 else _name(layers, place - 1)
    words = f"The RMS of dL/dz in {_name(layers, place)} is {number(factor)} times that of {upper}."
    terms = [["before", f"dL/dz of {upper}", number(above["delta_rms"])]]
    terms += [["gain", "this layer's factor", f"× {number(factor)}"]]
    terms += [["result", "RMS of dL/dz", f"= {number(row['delta_rms'])}"]]
    steps.append(_step(place, name, "the product", terms, words, row["delta_rms"], "delta"))
    return steps


def _weights(place: int, name: str, above: Row, signal: float) -> dict[str, Any]:
    """The weights of the layer above hand the signal down."""
    gain = above["weight_gain"]
    product = above["delta_rms"] * gain
    words = f"The weights above (RMS {number(above['weight_rms'])}) hand the signal down."
    terms = [["before", "dL/dz above", number(above["delta_rms"])]]
    terms += [["gain", "Wᵀ", f"× {number(gain)}"]]
    if math.isclose(product, signal, rel_tol=1e-3) or not math.isfinite(product):
        terms += [["result", "RMS of dL/dh", f"= {number(signal)}"]]
    else:  # a skip connection hands something down past the layers it jumps
        words += f" Together with what skip connections bring it is {number(signal)}."
        terms += [["result", "with the skips, RMS of dL/dh", f"→ {number(signal)}"]]
    return _step(place, name, "the signal arrives", terms, words, signal, "part")


def _gains(row: Row, order: Sequence[str]) -> list[tuple[float, tuple[str, str]]]:
    """What stands between a layer's output and its Linear, in the order of the backward pass."""
    return [(float(row[name]), GAINS[name]) for name in order if row.get(name) is not None]


def _slope_words(row: Row) -> str:
    return (
        f"The slope φ′(z) is {number(row['slope_rms'])} (RMS over units and examples); "
        f"with the signal it meets, {number(row['slope_gain'])} is left."
    )


def _step(
    row: int, layer: str, title: str, terms: list[list[str]], words: str, size: float, kind: str
) -> dict[str, Any]:
    value = terms[-1][2]
    return {
        "row": row,
        "layer": layer,
        "title": title,
        "terms": terms,
        "words": words,
        "kind": kind,
        "share": _share(size),
        "result": number(size) + _beyond(size),
        "aloud": f"{layer}, {title}: {value}",
    }


def _share(size: float) -> float:
    """Length of a bar on the fixed axis from 10^-13 to 10, as a share of it."""
    if not size > 0:  # NaN too
        return 0.0
    if math.isinf(size):
        return 1.0
    return min(1.0, max(0.0, (math.log10(size) - _LOW) / (_HIGH - _LOW)))


def _beyond(size: float) -> str:
    if size > 0 and math.isfinite(size) and math.log10(size) < _LOW:
        return " ◂ off the axis"
    return " ▸ off the axis" if size > 10**_HIGH else ""


def formula(row: Row) -> str:
    """The chain rule with this net's numbers, as KaTeX: last hidden layer times every factor."""
    hidden = row["layers"][1:]
    if not hidden:
        return ""
    top, *rest = hidden
    factors = [rf"\underbrace{{{_tex(one['factor'])}}}_{{{one['layer']}}}" for one in rest]
    if len(factors) > MOST_FACTORS:
        factors = [*factors[: MOST_FACTORS - 2], r"\cdots", *factors[-2:]]
    product = r" \times ".join([_tex(top["delta_rms"]), *factors])
    bottom = hidden[-1]
    return (
        rf"\mathrm{{RMS}}\,\frac{{\partial L}}{{\partial z_{{{bottom['layer']}}}}} = {product} = "
        rf"{_tex(bottom['delta_rms'])}"
    )


def _tex(value: float) -> str:
    return in_formula(number(value))
