"""What theory says of a network, in sentences with this network's numbers. Pure.

`_{...}` and `^{...}` in a text are set lower and higher by assets/theory.js.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.findings import LEAST_ACTIVE
from engine.phase_diagram import FixedPoint
from engine.spec import RunSpec
from engine.theory import Prediction
from ui.numbers import number
from ui.probes import NOT_ANEW, Answer

TRAINABLE = 6  # depth scales xi up to which a network trains (Schoenholz et al. 2017)
TWIN = "Its plain twin: "  # the same network without what makes the diagram another's
OFF_PLAIN = {
    "norm": "A normalisation sets the size of the signal itself, so σ_{w} and σ_{b} no longer decide: "
    "the diagram is of the same network without it.",
    "skip": "Skip connections carry the gradient past the weights, so χ_{1} alone no longer decides: "
    "the diagram is of the same network without them.",
    "gradient_rule": "The gradient rule re-scales what comes back, so χ_{1} alone no longer decides: "
    "the diagram is of the same network without it.",
}


def is_plain(spec: RunSpec) -> bool:
    """Whether the phase diagram is of this very network."""
    return not why_not_plain(spec)


def why_not_plain(spec: RunSpec) -> str:
    """Why the phase diagram is of another network; "" where it is of this one."""
    there = {
        "norm": spec.norm != "none",
        "skip": bool(spec.skips),
        "gradient_rule": spec.gradient_rule in ("standardise", "unit_rms"),
    }
    return next((words for name, words in OFF_PLAIN.items() if there[name]), "")


def formula(
    spec: RunSpec,
    sigma_w: float,
    point: FixedPoint | None,
    found: Prediction | None,
    seen: Mapping[str, Any],
) -> list[str]:
    """The formula with this network's numbers, what follows for its layers, and what is measured.

    seen  of `measured_factors`
    """
    lines = [("" if is_plain(spec) else TWIN) + _chi(spec, sigma_w, point)]
    if spec.phases[0].layers > 1 and found is not None and math.isfinite(found.factor):
        lines.append(_per_layer(spec, found, seen))
    elif spec.phases[0].layers == 1:
        lines.append("One hidden layer: there is no layer below it for the gradient to reach.")
    return [line for line in lines if line]


def _chi(spec: RunSpec, sigma_w: float, point: FixedPoint | None) -> str:
    if point is None:
        return "χ_{1} = σ_{w}^{2} · E[φ′(z)^{2}] = …"
    weight = sigma_w**2
    if point.variance == 0:
        where = "as the signal dies away (q* = 0)"
    elif math.isinf(point.variance):
        where = "as the signal grows without end"
    else:
        where = f"at q* = {number(point.variance)}"
        where += "" if point.is_settled else ", not settled yet"
    return (
        f"χ_{{1}} = σ_{{w}}^{{2}} · E[φ′(z)^{{2}}] = {number(weight)} · "
        f"{number(point.chi / weight)} = {number(point.chi)} {where}: "
        f"√χ_{{1}} = ×{number(point.factor)} per layer in an endless network."
    )


def _per_layer(spec: RunSpec, found: Prediction, seen: Mapping[str, Any]) -> str:
    top = spec.phases[0].layers
    layers = top - 1
    steps = f"{layers} layers" if layers > 1 else "1 layer"
    text = (
        f"This network: ×{number(found.factor)} per layer, so after {steps} layer 1 receives "
        f"{number(found.ratio)} of layer {top}'s gradient"
    )
    if not seen:
        return text + "."
    return (
        f"{text}; measured ×{number(seen['factor'])} and {number(seen['ratio'])} "
        f"({seeds_words(seen['seeds'])})."
    )


def measured_factors(delta: Any, depth: int, seeds: int) -> dict[str, Any]:
    """Per-layer factor, and ratio of layer 1 to the last hidden layer, as means of logarithms.

    delta  [layers] mean log10 delta_rms
    """
    if depth < 2 or not np.isfinite([delta[0], delta[depth - 1]]).all():
        return {}
    decades = float(delta[0] - delta[depth - 1])
    return {
        "factor": 10 ** (decades / (depth - 1)),
        "ratio": 10**decades if abs(decades) < 300 else math.inf if decades > 0 else 0.0,
        "seeds": seeds,
    }


def scales(point: FixedPoint | None, spec: RunSpec) -> str:
    """The depth scales, and what they mean for this depth."""
    if point is None:
        return "Depth scales: being computed."
    gradient = point.depth_scale
    if math.isinf(gradient):
        first = "ξ_{1} is infinite: on the edge of chaos a gradient neither shrinks nor grows."
    elif gradient > 0:
        first = (
            f"ξ_{{1}} = −1/ln χ_{{1}} = {number(gradient)} layers: the gradient falls to a tenth "
            f"every {number(gradient * math.log(100))} layers."
        )
    elif gradient < 0:
        first = (
            f"ξ_{{1}} = −1/ln χ_{{1}} = {number(gradient)}: the gradient grows tenfold every "
            f"{number(-gradient * math.log(100))} layers."
        )
    else:
        first = "ξ_{1} is not defined here."
    return f"{'' if is_plain(spec) else TWIN}{first} {_correlation(point, spec)}"


def _correlation(point: FixedPoint, spec: RunSpec) -> str:
    scale = point.correlation_scale
    if math.isnan(scale):
        return "ξ_{c}: none, because the signal has no size to settle at."
    if math.isinf(scale) or scale < 0:
        return "ξ_{c} is infinite: what two examples differ in fades slowly, if at all."
    has = ""
    if is_plain(spec):
        has = f", and this network has {spec.depth}"
        has += ": too deep" if spec.depth > TRAINABLE * scale else ""
    return (
        f"Two examples end at correlation c* = {point.correlation:.3f}; ξ_{{c}} = {number(scale)} "
        f"layers: input is told apart to about 6 ξ_{{c}} = {number(TRAINABLE * scale)} layers "
        f"(Schoenholz et al. 2017){has}."
    )


def validity(found: Prediction | None, spec: RunSpec) -> tuple[str, bool]:
    """Whether theory can be trusted, with its number; and the same as a truth."""
    if found is None:
        return "", True
    if found.fault:
        return f"Theory is greyed: {found.fault}", False
    return (
        f"Theory holds here: {number(found.active_units)} of {spec.width} units carry gradient in the "
        f"poorest layer (at least {LEAST_ACTIVE:g} are needed).",
        True,
    )


def seeds_words(count: int) -> str:
    """ "1 seed", "30 seeds"."""
    return f"{count} seed{'' if count == 1 else 's'}"


def progress(answer: Answer, wanted: int) -> str:
    """How far the measurement is, in words."""
    rows: Sequence[Mapping[str, Any]] = answer.rows
    seeds = [row for row in rows if "seed" in row]
    if answer.error:
        return answer.error if answer.error == NOT_ANEW else f"Not measured: {answer.error}"
    note = f" {answer.note}" if answer.note else ""
    if not answer.begun and not answer.done:
        return f"Starting the measuring process: some seconds, the first time.{note}"
    if not seeds:
        return f"Measuring untrained networks on their first batch …{note}"
    spent = f"{seeds[-1]['spent']:.1f} s"
    if not answer.done:
        return f"Measuring: {len(seeds)} of {wanted} seeds.{note}"
    double = sum("double" in row for row in seeds)
    wide = f" {double} of them in float64, where float32 has run out of numbers." if double else ""
    if stopped := next((row["stopped"] for row in rows if "stopped" in row), ""):
        return f"Measured {len(seeds)} of {wanted} seeds; ended {stopped}.{wide}{note}"
    return f"Measured {len(seeds)} seeds of untrained networks in {spent}.{wide}{note}"


def place(sigma_w: float, sigma_b: float, point: FixedPoint | None, spec: RunSpec) -> str:
    """Where the network stands on the diagram, for those who do not see it."""
    told = f"σ_w {number(sigma_w)}, σ_b {number(sigma_b)}"
    if point is None:
        return f"{told}."
    chi = point.chi
    where = "on the edge of chaos" if abs(chi - 1) < 0.02 else "ordered" if chi < 1 else "chaotic"
    return f"{told}: {where}, χ₁ {number(chi)}." + ("" if is_plain(spec) else " Of its plain twin.")


def plain(text: str) -> str:
    """The same without marks of what is set lower and higher."""
    return re.sub(r"[_^]\{([^}]*)\}", r"\1", text)
