"""Second moments through a wide network with BatchNorm: by Monte Carlo over a whole batch.

BatchNorm ties a unit's values on all examples of a batch together, so three numbers do not do, and
for real inputs the expectation has no closed form. A unit of an infinitely wide layer is a draw
from N(0, K), K the batch's own kernel; some hundred of them give the next kernel within a part in
thirty, the spread between real networks of that width. After Yang et al. 2019, A Mean Field Theory
of Batch Normalization (arXiv:1902.08129). The draws are fixed: the same prediction each time.
"""

import math
from dataclasses import dataclass

import numpy as np

from engine import gaussian, loss_gradient
from engine.mean_field import (
    LAYER_EPS,
    Backward,
    Forward,
    Passed,
    Scaled,
    depth_in_use,
    ruled,
    way_back,
    weights,
)
from engine.records import Floats, InputKernel
from engine.spec import RunSpec

UNITS = 1024  # drawn per layer
SEED = 0
BATCH_EPS = LAYER_EPS  # PyTorch gives both the same


@dataclass(frozen=True)
class Normed:
    """What BatchNorm made of some units, and what its way back needs."""

    value: Floats  # [units, examples]
    spread: Floats  # [units, 1]

    def back(self, signal: Floats) -> Floats:
        """The gradient before the norm of `signal` [units, examples] after it."""
        along = (signal * self.value).mean(axis=1, keepdims=True)
        off = signal - signal.mean(axis=1, keepdims=True) - self.value * along
        before: Floats = off / self.spread
        return before


@dataclass(frozen=True, kw_only=True)
class Units:
    """Some units of one hidden layer, on every example of the batch."""

    slope: Floats  # of the activation, [units, examples]
    before: Normed | None
    after: Normed | None
    output: Floats  # second moments of the layer's output with its skip, [examples, examples]
    mean: Floats  # of that output, [examples]


def passed(spec: RunSpec, inputs: InputKernel) -> tuple[Forward, Backward]:
    """The way forward and the way back of a network with norm=batch, in which nothing overflows.

    inputs  with its `gram` and `labels`
    """
    assert inputs.gram is not None
    assert inputs.labels is not None
    pairs = Pairs(inputs)
    way, units = Forward(inputs=inputs), list[Units]()
    fed = [inputs.gram.astype(np.float64)]
    for layer in range(1, depth_in_use(spec) + 1):
        drawn = weights(spec, layer)
        kernel = drawn.weight * drawn.fan_in * fed[-1] + drawn.bias
        one = _units(spec, kernel, layer, units)
        units.append(one)
        way.layers.append(_summary(spec, pairs.means(kernel), one, pairs))
        fed.append(one.output)
    drawn = weights(spec, spec.layers)
    logits = drawn.weight * drawn.fan_in * fed[-1] + drawn.bias
    way.logits = pairs.means(logits)
    return way, way_back(spec, _Batch(spec, pairs, units, fed, logits))


class Pairs:
    """The pairs of a batch's examples: with itself, of one class, of different classes."""

    def __init__(self, inputs: InputKernel):
        assert inputs.labels is not None
        same = inputs.labels[:, None] == inputs.labels[None, :]
        itself = np.eye(len(inputs.labels), dtype=bool)
        self.inputs, self.labels = inputs, inputs.labels
        kinds = (itself, same & ~itself, ~same)
        self.kinds = [kind / max(int(kind.sum()), 1) for kind in kinds]
        self.own_shares = np.array([kind.mean() for kind in kinds])
        self.shares = np.array([1 / inputs.batch_size, inputs.same_share, inputs.different_share])

    def means(self, matrix: Floats) -> Floats:
        """The mean of [n, n] over each kind, [3]."""
        return np.array([(kind * matrix).sum() for kind in self.kinds])

    def contracted(self, delta: Floats, fed: Floats) -> float:
        """Mean over all pairs of the whole batch of delta times what is fed in.

        Before BatchNorm delta sums to 0 over the batch, so that what all examples are fed alike
        cancels. Of some examples that holds for them alone: their common part is taken with
        their own shares, the rest with those of the whole batch.
        """
        common = float(self.own_shares @ self.means(fed))
        rest = float(self.shares @ self.means(delta * (fed - common)))
        part = len(self.labels) / self.inputs.batch_size
        return rest + common * part * float(self.own_shares @ self.means(delta))


def _root(kernel: Floats) -> Floats:
    """A matrix whose product with its transpose is `kernel`, as nearly as it has one."""
    values, vectors = np.linalg.eigh(kernel)
    root: Floats = vectors * np.sqrt(np.maximum(values, 0))
    return root


def _drawn(kernel: Floats, layer: int, way: int) -> Floats:
    """UNITS draws from N(0, kernel), [units, examples]."""
    random = np.random.default_rng((SEED, layer, way))
    draws: Floats = random.standard_normal((UNITS, len(kernel))) @ _root(kernel).T
    return draws


def _normed(units: Floats) -> Normed:
    off = units - units.mean(axis=1, keepdims=True)
    spread = np.sqrt((off**2).mean(axis=1, keepdims=True) + BATCH_EPS)
    return Normed(off / spread, spread)


def _units(spec: RunSpec, kernel: Floats, layer: int, below: list[Units]) -> Units:
    z = _drawn(kernel, layer, 0)
    before = _normed(z) if spec.norm_position == "before" else None
    inputs = before.value if before else z
    activation = gaussian.ACTIVATIONS[spec.activation]
    h = activation.value(inputs)
    after = _normed(h) if spec.norm_position == "after" else None
    if after:
        h = after.value
    output, mean = h.T @ h / UNITS, h.mean(axis=0)
    if source := spec.skips.get(layer):
        other = below[source - 1]
        cross = np.outer(mean, other.mean)
        output, mean = output + other.output + cross + cross.T, mean + other.mean
    return Units(
        slope=activation.slope(inputs), before=before, after=after, output=output, mean=mean
    )


def _summary(spec: RunSpec, kernel: Floats, units: Units, pairs: Pairs) -> Passed:
    square = units.slope**2
    moments = gaussian.Moments(
        mean=float(units.mean.mean()),
        value=pairs.means(units.output),
        slope=np.array([square.mean(), np.nan, np.nan]),  # of pairs nothing is asked
        slope_fourth=float((square**2).mean()),
        saturated_share=gaussian.saturated_share(
            spec.activation, 1.0 if units.before else float(kernel[0])
        ),
    )
    return Passed(kernel=kernel, moments=moments, output=moments.value, mean=moments.mean)


@dataclass(frozen=True)
class _Batch:
    """The way back over all pairs of a batch."""

    spec: RunSpec
    pairs: Pairs
    units: list[Units]
    fed: list[Floats]  # what each layer is fed with, the output layer last
    logits: Floats

    def at_logits(self) -> Scaled:
        classes = len(self.spec.data_set.classes)
        return Scaled(loss_gradient.alignment_matrix(self.logits, self.pairs.labels, classes))

    def through(self, layer: int, signal: Scaled) -> Scaled:
        units = self.units[layer - 1]
        g = _drawn(signal.value, layer, 1)
        if units.after:
            g = units.after.back(g)
        square = float((g**2).mean())
        unit = Scaled(g / math.sqrt(square) if square else g, signal.log + math.log(square or 1.0))
        unit = ruled(self.spec, unit, 1.0, self.pairs.inputs.batch_size)
        g = unit.value * units.slope
        if units.before:
            g = units.before.back(g)
        return Scaled(g.T @ g / UNITS, unit.log).times(1.0)

    def mean_square(self, layer: int, delta: Scaled) -> float:
        return float(delta.value.diagonal().mean())

    def contracted(self, layer: int, delta: Scaled) -> float:
        return self.pairs.contracted(delta.value, self.fed[layer - 1])
