"""Expectations of an activation and its slope over Gaussian inputs. numpy and scipy only.

A layer's input z is N(0, q); of two examples it is a pair with covariance k. Everything theory
needs of an activation are moments of these (Poole et al. 2016, arXiv:1606.05340).

Plain Gauss-Hermite quadrature is wrong where the slope is a bump much narrower than the input's
spread: with std 1 it loses 14 to 97 % of E slope^2. Expectations over one input use a midpoint
rule that is graded towards z = 0; over pairs, the product of two Gaussian smoothings over what
the two inputs have in common.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import expit, log_ndtr, ndtr

from engine.records import Floats

NODES = 600  # of the rule over one input
PAIR_NODES = 160  # of the rule over what two inputs have in common
HERMITE = 48  # nodes of the smoothing, where its width is at most Activation.reach
REACH = 9.0  # standard deviations the rules go out to: beyond lie 10^-19 of the mass
SPACING = 0.1  # of the nodes about z = 0
RELU_FROM = 1e8  # variance from which what bends only near 0 is straight on either side
SATURATED = 1 - 0.97**2  # share of the largest slope below which a unit counts as saturated

_SCALE, _ALPHA = 1.0507009873554805, 1.6732632423543772  # of SELU
NEAR, NEAR_NODES = 36.0, 360  # where an activation has not become its Far, and nodes there
Function = Callable[[Floats], Floats]
Smoothing = Callable[[Floats, float], tuple[Floats, Floats]]


@dataclass(frozen=True, kw_only=True)
class Far:
    """What an activation becomes far from 0, but for what decays exponentially."""

    low: float = 0.0  # below 0
    high: float = 0.0  # above 0: high + rise * z
    rise: float = 0.0

    def value(self, z: Floats) -> Floats:
        return np.where(z > 0, self.high + self.rise * z, self.low)

    def smoothed(self, m: Floats, t: float) -> tuple[Floats, Floats]:
        """E value(m + t y), E slope(m + t y) over y ~ N(0, 1)."""
        above = ndtr(m / t)
        value = self.low + (self.high - self.low) * above
        return value + self.rise * (m * above + t * _density(m / t)), self.rise * above


@dataclass(frozen=True, kw_only=True)
class Activation:
    """An activation as theory knows it."""

    value: Function
    slope: Function
    #: (mean m [n], spread t > 0) -> E value(m + t y), E slope(m + t y) over y ~ N(0, 1), in closed
    #: form; None where quadrature does it.
    smoothed: Smoothing | None = None
    reach: float = 4.0  # spread up to which HERMITE nodes are enough for the smoothing
    #: Slope below 0 over slope above 0, of an activation that is straight on either side of 0.
    bend: float | None = None
    far: Far = Far(rise=1.0)


def _density(z: Floats) -> Floats:
    return np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


def _gelu_smoothed(m: Floats, t: float) -> tuple[Floats, Floats]:
    a = 1 / math.sqrt(1 + t * t)
    value = m * ndtr(a * m) + t * t * a * _density(a * m)
    return value, ndtr(a * m) + m * a**3 * _density(a * m)


def _elu_smoothed(alpha: float, scale: float) -> Smoothing:
    def smoothed(m: Floats, t: float) -> tuple[Floats, Floats]:
        # E exp(m + t y) over z < 0, in logarithms: either factor alone would overflow.
        below = np.exp(m + t * t / 2 + log_ndtr(-(m + t * t) / t))
        value = m * ndtr(m / t) + t * _density(m / t) + alpha * (below - ndtr(-m / t))
        return scale * value, scale * (ndtr(m / t) + alpha * below)

    return smoothed


def _elu(alpha: float, scale: float) -> Activation:
    return Activation(
        value=lambda z: scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0))),
        slope=lambda z: scale * np.where(z > 0, 1.0, alpha * np.exp(np.minimum(z, 0))),
        smoothed=_elu_smoothed(alpha, scale),
        far=Far(low=-scale * alpha, rise=scale),
    )


def _straight(bend: float) -> Activation:
    return Activation(
        value=lambda z: np.where(z > 0, z, bend * z),
        slope=lambda z: np.where(z > 0, 1.0, bend),
        bend=bend,
    )


#: The same names as engine.network.ACTIVATIONS; a test holds them against each other.
ACTIVATIONS: dict[str, Activation] = {
    "sigmoid": Activation(value=expit, slope=lambda z: expit(z) * expit(-z), far=Far(high=1.0)),
    "tanh": Activation(
        value=np.tanh,
        slope=lambda z: 1 - np.tanh(z) ** 2,
        reach=2.0,
        far=Far(low=-1.0, high=1.0),
    ),
    "relu": _straight(0.0),
    "leaky_relu": _straight(0.01),
    "elu": _elu(1.0, 1.0),
    "selu": _elu(_ALPHA, _SCALE),
    "gelu": Activation(
        value=lambda z: z * ndtr(z),
        slope=lambda z: ndtr(z) + z * _density(z),
        smoothed=_gelu_smoothed,
    ),
    "silu": Activation(
        value=lambda z: z * expit(z), slope=lambda z: expit(z) * (1 + z * expit(-z))
    ),
    "softplus": Activation(value=lambda z: np.logaddexp(0, z), slope=expit),
    "identity": _straight(1.0),
}


@dataclass(frozen=True, kw_only=True)
class Moments:
    """Of an activation over inputs N(0, q), alone and in pairs of two kinds."""

    mean: float  # E value
    value: Floats  # E value(a) value(b): of one example with itself, of one class, of two classes
    slope: Floats  # E slope(a) slope(b), likewise
    slope_fourth: float  # E slope^4
    saturated_share: float  # P(slope < SATURATED * its largest)

    @property
    def kurtosis(self) -> float:
        """E slope^4 over (E slope^2)^2, at least 1: how unevenly the units pass gradient."""
        square = float(self.slope[0]) ** 2
        return self.slope_fourth / square if square else math.inf


def moments(name: str, kernel: Floats) -> Moments:
    """The moments of an activation.

    kernel  [3]  E z(a) z(b): of one example with itself (its variance, above 0), of two of one class,
            of two of different classes

    Source for pairs: Poole et al. 2016; of ReLUs in closed form: Cho & Saul 2009, eq. 6 and 7.
    """
    activation, variance = ACTIVATIONS[name], float(kernel[0])
    saturated = saturated_share(name, variance)
    bend, scale = _bend_of(activation, variance)
    if bend is not None:
        return _straight_moments(bend, scale, kernel, saturated)
    mean, value, slope, fourth = _alone(activation, variance)
    pairs = [_pair(activation, variance, float(covariance)) for covariance in kernel[1:]]
    return Moments(
        mean=mean,
        value=np.array([value, *(pair[0] for pair in pairs)]),
        slope=np.array([slope, *(pair[1] for pair in pairs)]),
        slope_fourth=fourth,
        saturated_share=saturated,
    )


def alone(name: str, variance: float) -> tuple[float, float, float]:
    """E value, E value^2 and E slope^2 over N(0, variance)."""
    activation = ACTIVATIONS[name]
    bend, scale = _bend_of(activation, variance)
    if bend is not None:
        half = scale**2 * (1 + bend**2) / 2
        return scale * (1 - bend) * math.sqrt(variance / (2 * math.pi)), half * variance, half
    return _alone(activation, variance)[:3]


def _bend_of(activation: Activation, variance: float) -> tuple[float | None, float]:
    """Its bend and its slope above 0, where all it does with so large inputs is to bend at 0."""
    if activation.bend is None and activation.far.rise and variance > RELU_FROM:
        return 0.0, activation.far.rise
    return activation.bend, 1.0


def pair(name: str, variance: float, covariance: float) -> tuple[float, float]:
    """E value(u) value(v) and E slope(u) slope(v) of two inputs with this variance and covariance."""
    found = moments(name, np.array([variance, covariance, covariance]))
    return float(found.value[1]), float(found.slope[1])


def _straight_moments(bend: float, scale: float, kernel: Floats, saturated: float) -> Moments:
    variance = kernel[0]
    cosine = np.clip(kernel / variance, -1, 1)
    angle, half = np.arccos(cosine), (1 + bend**2) / 2
    joint = (np.sin(angle) + (math.pi - angle) * cosine) / math.pi
    value = variance * (half * joint - bend * (joint - cosine))
    slope = half * (1 - angle / math.pi) + bend * angle / math.pi
    return Moments(
        mean=scale * (1 - bend) * math.sqrt(variance / (2 * math.pi)),
        value=scale**2 * value,
        slope=scale**2 * slope,
        slope_fourth=scale**4 * (1 + bend**4) / 2,
        saturated_share=saturated,
    )


def _alone(activation: Activation, variance: float) -> tuple[float, float, float, float]:
    """E value, E value^2, E slope^2, E slope^4."""
    spread = math.sqrt(variance)
    x, weight = _graded(_grading(spread, NODES, SPACING), NODES)
    value, square = activation.value(spread * x), activation.slope(spread * x) ** 2
    return (
        float(weight @ value),
        float(weight @ value**2),
        float(weight @ square),
        float(weight @ square**2),
    )


def _pair(activation: Activation, variance: float, covariance: float) -> tuple[float, float]:
    """E value(u) value(v), E slope(u) slope(v): u and v share sqrt(|covariance|) x, x ~ N(0, 1).

    Given x the two are independent, so that the expectation is that of a product of smoothings.
    """
    covariance = min(max(covariance, -variance), variance)
    common, own = math.sqrt(abs(covariance)), math.sqrt(max(variance - abs(covariance), 0.0))
    grading = _grading(common, PAIR_NODES, 2 * SPACING * max(1.0, own))
    x, weight = _graded(grading, PAIR_NODES)
    value, slope = _smoothed(activation, common * x, own)
    # The nodes lie symmetrically, so those of -x are the same the other way round.
    turned = slice(None, None, -1 if covariance < 0 else 1)
    return float(weight @ (value * value[turned])), float(weight @ (slope * slope[turned]))


def _smoothed(activation: Activation, m: Floats, t: float) -> tuple[Floats, Floats]:
    if t < 1e-9 * (1 + abs(m[0])):
        return activation.value(m), activation.slope(m)
    if activation.smoothed is not None:
        return activation.smoothed(m, t)
    if t <= activation.reach:
        y, weight = _hermite()
        z = m[:, None] + t * y
        return activation.value(z) @ weight, activation.slope(z) @ weight
    # What it is far from 0 in closed form, and what it is beside that on fixed nodes about 0.
    z, value, slope = _near(activation)
    share = np.exp(-(((z - m[:, None]) / t) ** 2) / 2) * (2 * NEAR / NEAR_NODES / t)
    share /= math.sqrt(2 * math.pi)
    far_value, far_slope = activation.far.smoothed(m, t)
    return far_value + share @ value, far_slope + share @ slope


@lru_cache(maxsize=32)
def _near(activation: Activation) -> tuple[Floats, Floats, Floats]:
    """Nodes about 0, and there what value and slope are beside what they are far away."""
    z, _ = _graded_line(0.0, NEAR_NODES, NEAR)
    far = activation.far
    return z, activation.value(z) - far.value(z), activation.slope(z) - far.rise * (z > 0)


@lru_cache(maxsize=1)
def _hermite() -> tuple[Floats, Floats]:
    y, weight = np.polynomial.hermite_e.hermegauss(HERMITE)
    return y, weight / weight.sum()


#: Gradings there are, and the distance of their middle nodes over that of even ones.
_GRADINGS = np.arange(0.0, 60.0, 0.25)
_CLOSENESS = np.append(1.0, _GRADINGS[1:] / np.sinh(_GRADINGS[1:]))


def _grading(spread: float, nodes: int, spacing: float) -> float:
    """The least grading that brings the nodes as close as `spacing` about z = spread * x = 0."""
    even = 2 * REACH * spread / nodes
    enough = np.flatnonzero(_CLOSENESS * even <= spacing)
    return float(_GRADINGS[enough[0]] if len(enough) else _GRADINGS[-1])


@lru_cache(maxsize=512)
def _graded(grading: float, nodes: int) -> tuple[Floats, Floats]:
    """Nodes x and weights of the rule for E f(x), x ~ N(0, 1), graded towards 0; no node at 0."""
    x, width = _graded_line(grading, nodes, REACH)
    weight = width * _density(x)
    return x, weight / weight.sum()


def _graded_line(grading: float, nodes: int, end: float) -> tuple[Floats, Floats]:
    """Midpoints from -end to end and the width of each one's piece."""
    t = (np.arange(nodes) + 0.5) * 2 / nodes - 1
    if grading == 0:
        return end * t, np.full(nodes, 2 * end / nodes)
    a = end / math.sinh(grading)
    return a * np.sinh(grading * t), a * grading * np.cosh(grading * t) * 2 / nodes


def saturated_share(name: str, variance: float) -> float:
    """P(slope < SATURATED of the largest slope) over N(0, variance): the statistic, predicted."""
    edges = _saturated_from(name)
    below = ndtr(np.array(edges) / math.sqrt(variance))
    return float((below[1::2] - below[::2]).sum())


@lru_cache(maxsize=32)
def _saturated_from(name: str) -> tuple[float, ...]:
    """Where saturation begins and ends, in turn, from -infinity to infinity."""
    z = np.linspace(-12, 12, 48_001)
    z += (z[1] - z[0]) / 2  # no point at 0, where some slopes jump
    slope = np.abs(ACTIVATIONS[name].slope(z))
    saturated = slope < SATURATED * slope.max()
    edges = ((z[1:] + z[:-1]) / 2)[saturated[1:] != saturated[:-1]].tolist()
    first = [-math.inf] if saturated[0] else []
    last = [math.inf] if saturated[-1] else []
    return (*first, *edges, *last)
