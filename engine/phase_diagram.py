"""Order and chaos of wide networks: fixed points, depth scales and the line between. numpy and scipy only.

Layer after layer a signal's variance goes to a fixed point q*; there a gradient's mean square
changes by chi_1 = sigma_w^2 E slope^2 per layer. Below 1 (order) gradients vanish and all examples
become alike; above 1 (chaos) gradients explode and equal examples part. On the line chi_1 = 1 a
network of any depth is trainable (Schoenholz et al. 2017, arXiv:1611.01232).

sigma_w^2 is the fan-in times the variance of a weight, sigma_b^2 the variance of a bias.
"""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from engine import gaussian, mean_field
from engine.records import Floats
from engine.spec import RunSpec

LOW, HIGH, PER_DECADE = -6, 6, 20  # log10 of the variances tabulated
MOST_STEPS = 300  # of an iteration, which near the line converges only algebraically
STILL = 1e-9  # relative change from which on it has arrived
PAIR_STILL = 1e-7
_LEAST, _MOST = 1e-12, 1e12  # variances beyond which a signal has died, or grows without end


@dataclass(frozen=True, kw_only=True)
class FixedPoint:
    """Where a signal ends in an endless network, and how fast. NaN where there is no such number."""

    variance: float  # q*; 0 or infinity where it dies or grows without end
    chi: float  # chi_1: factor of the mean square gradient per layer, towards the input
    depth_scale: float  # xi_1 = -1 / log chi_1, in layers; negative: the length of an explosion
    correlation: float  # c* of two examples
    chi_correlation: float  # factor of what they differ in, per layer
    correlation_scale: float  # xi_c = -1 / log of it, in layers
    is_settled: bool  # whether q* was reached within MOST_STEPS layers

    @property
    def factor(self) -> float:
        """Of the gradient's own size per layer, towards the input."""
        return math.sqrt(self.chi)


@dataclass(frozen=True, kw_only=True)
class Table:
    """E value^2 and E slope^2 of an activation over variances from 10^LOW to 10^HIGH."""

    variance: Floats
    value: Floats
    slope: Floats

    def at(self, variance: Floats) -> tuple[Floats, Floats]:
        """Both at some variances; beyond the table's ends as at its ends, per unit of variance."""
        log = np.log(np.clip(variance, self.variance[0], self.variance[-1]))
        known = np.log(self.variance)
        value = np.exp(np.interp(log, known, np.log(self.value)))
        far = np.maximum(variance / self.variance[-1], 1.0)
        growth = (
            self.value[-1] / self.value[-2] > self.variance[-1] ** 0.5 / self.variance[-2] ** 0.5
        )
        slope = np.exp(np.interp(log, known, np.log(self.slope)))
        return value * (far if growth else 1.0), slope


@lru_cache(maxsize=32)
def table(activation: str) -> Table:
    """The moments of an activation, tabulated."""
    variance = 10.0 ** np.linspace(LOW, HIGH, (HIGH - LOW) * PER_DECADE + 1)
    found = np.array([gaussian.alone(activation, float(one)) for one in variance])
    return Table(variance=variance, value=found[:, 1], slope=found[:, 2])


@lru_cache(maxsize=64)
def critical_line(activation: str, *, reached: bool = True) -> tuple[Floats, Floats]:
    """sigma_w [n] and sigma_b [n] along the line chi_1 = 1, by rising fixed point; empty without one.

    reached  the part whose fixed points are stable; False: the part where a signal grows away from
             them, so that no network stays on it

    Without root finding: each variance q is the fixed point of one pair on the line,
    sigma_w^2 = 1 / E slope^2 and sigma_b^2 = q - sigma_w^2 E value^2 (after Pennington et al. 2017,
    arXiv:1711.04735).
    """
    logs = np.linspace(LOW, HIGH, (HIGH - LOW) * PER_DECADE + 1).tolist()
    on = [_is_on_line(activation, log, reached) for log in logs]
    ends = [
        _boundary(activation, logs[i : i + 2], reached)
        for i in range(len(on) - 1)
        if on[i] != on[i + 1]
    ]
    points = sorted([*(log for log, is_on in zip(logs, on, strict=True) if is_on), *ends])
    found = np.array([_critical(activation, 10.0**log)[:2] for log in points]).reshape(-1, 2)
    return np.sqrt(found[:, 0]), np.sqrt(np.maximum(found[:, 1], 0.0))


def _critical(activation: str, variance: float) -> tuple[float, float, float]:
    """sigma_w^2 and sigma_b^2 whose fixed point is `variance` with chi_1 = 1, and d q' / d q there."""
    _, value, slope = gaussian.alone(activation, variance)
    nudge = 1e-4 * variance
    low, high = (gaussian.alone(activation, variance + side * nudge)[1] for side in (-1, 1))
    return 1 / slope, variance - value / slope, (high - low) / (2 * nudge) / slope


def _is_on_line(activation: str, log10: float, reached: bool) -> bool:
    variance = 10.0**log10
    _, bias, growth = _critical(activation, variance)
    return bias >= -1e-9 * variance and (growth <= 1 + 1e-7) == reached


def _boundary(activation: str, logs: list[float], reached: bool) -> float:
    """Where the line begins or ends, between two variances of which one is on it: that side's last."""
    begins = _is_on_line(activation, logs[0], reached)
    low, high = logs
    for _ in range(40):
        middle = (low + high) / 2
        if _is_on_line(activation, middle, reached) == begins:
            low = middle
        else:
            high = middle
    return low if begins else high


def chi_map(activation: str, sigma_w: Floats, sigma_b: Floats) -> Floats:
    """chi_1 at the fixed point of every pair, [sigma_b, sigma_w].

    sigma_w [m], sigma_b [k]  spreads, above or at 0
    """
    known = table(activation)
    weight, bias = sigma_w[None, :] ** 2, sigma_b[:, None] ** 2
    variance = np.ones((len(sigma_b), len(sigma_w)))
    for _ in range(MOST_STEPS):
        variance = np.clip(weight * known.at(variance)[0] + bias, _LEAST, _MOST)
    chi: Floats = weight * known.at(variance)[1]
    return chi


def fixed_point(activation: str, sigma_w: float, sigma_b: float, begin: float = 1.0) -> FixedPoint:
    """Where a signal of this network ends.

    begin  variance it starts with: some networks have more than one fixed point
    """
    weight, bias = sigma_w**2, sigma_b**2
    variance, settled = _variance(activation, weight, bias, begin)
    chi = weight * gaussian.alone(activation, min(max(variance, _LEAST), _MOST))[2]
    correlation, differ = math.nan, math.nan
    if 0 < variance < math.inf:
        correlation, differ = _correlation(activation, weight, bias, variance, chi)
    return FixedPoint(
        variance=variance,
        chi=chi,
        depth_scale=scale_of(chi),
        correlation=correlation,
        chi_correlation=differ,
        correlation_scale=scale_of(differ),
        is_settled=settled,
    )


def scale_of(chi: float) -> float:
    """-1 / log chi: layers over which it falls by e; infinite on the line, negative where it grows."""
    if not chi > 0:
        return math.nan if math.isnan(chi) else 0.0
    return math.inf if abs(chi - 1) < 1e-12 else -1 / math.log(chi)


def _variance(activation: str, weight: float, bias: float, begin: float) -> tuple[float, bool]:
    bend = gaussian.ACTIVATIONS[activation].bend
    if bend is not None:  # the map is a straight line
        growth = weight * (1 + bend**2) / 2
        if abs(growth - 1) < 1e-9 and bias == 0:
            return begin, True
        return (bias / (1 - growth), True) if growth < 1 else (math.inf, True)
    variance = begin
    for _ in range(MOST_STEPS):
        before, variance = variance, weight * gaussian.alone(activation, variance)[1] + bias
        if variance < _LEAST:
            return 0.0, True
        if variance > _MOST:
            return math.inf, True
        if abs(variance - before) < STILL * variance:
            return variance, True
    return variance, False


def _correlation(
    activation: str, weight: float, bias: float, variance: float, chi: float
) -> tuple[float, float]:
    """c* and the factor per layer of the distance from it. Up to the line examples become alike."""
    if chi <= 1 + 1e-9:
        return 1.0, chi
    correlation = 0.5
    for _ in range(MOST_STEPS):
        value, slope = gaussian.pair(activation, variance, correlation * variance)
        before, correlation = correlation, min(max((weight * value + bias) / variance, 0.0), 1.0)
        if abs(correlation - before) < PAIR_STILL:
            break
    return correlation, weight * slope


def place(spec: RunSpec) -> tuple[float, float]:
    """sigma_w and sigma_b of the hidden layers of a network, on the diagram of its activation."""
    drawn = mean_field.weights(spec, 2 if spec.depth > 1 else 1)
    return math.sqrt(drawn.weight * drawn.fan_in), math.sqrt(drawn.bias)
