"""Second moments of signal and gradient through a wide network, three numbers a layer. numpy and scipy only.

Forward go the second moment of a layer's units for one example, for two of one class and for two of
different classes; back comes the same of dL/dz. With them the gradient of the batch mean is known,
in which the examples partly cancel: taking one example for all would be wrong by up to the root of
the batch size. Three numbers instead of the kernel of all pairs: as accurate, and 0.5 ms a layer.

After Poole et al. 2016 (arXiv:1606.05340), Schoenholz et al. 2017 (arXiv:1611.01232) and, for
skip connections, Yang & Schoenholz 2017 (arXiv:1712.08969).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from engine import gaussian, loss_gradient
from engine.records import Floats, InputKernel
from engine.spec import RunSpec

LAYER_EPS, RMS_EPS = 1e-5, float(np.finfo(np.float32).eps)  # PyTorch's own
STANDARDISE_EPS = 1e-6  # of the published backward layer
MOST_FLOAT32 = 3.4e38
DECADES = 1 / math.log(10)


@dataclass(frozen=True, kw_only=True)
class Weights:
    """How a layer's weights and biases are drawn, and their number."""

    weight: float  # variance of a weight
    bias: float  # variance of a bias
    fan_in: int
    fan_out: int


#: (fan_in, fan_out, spec) -> variance of a weight, of a bias: what engine.network draws.
VARIANCES: dict[str, Callable[[int, int, RunSpec], tuple[float, float]]] = {
    "pytorch": lambda fan_in, fan_out, spec: (1 / (3 * fan_in), 1 / (3 * fan_in)),
    "normal": lambda fan_in, fan_out, spec: (spec.std**2, 0.0),
    "xavier_uniform": lambda fan_in, fan_out, spec: (2 / (fan_in + fan_out), 0.0),
    "xavier_normal": lambda fan_in, fan_out, spec: (2 / (fan_in + fan_out), 0.0),
    "kaiming_uniform": lambda fan_in, fan_out, spec: (2 / fan_in, 0.0),
    "kaiming_normal": lambda fan_in, fan_out, spec: (2 / fan_in, 0.0),
    "orthogonal": lambda fan_in, fan_out, spec: (spec.gain**2 / max(fan_in, fan_out), 0.0),
}


def weights(spec: RunSpec, layer: int) -> Weights:
    """How layer `layer` (from 1; depth + 1 is the output layer) is drawn.

    Trained layer by layer, each phase begins with an output layer in PyTorch's own initialisation.
    """
    is_output = layer > spec.depth
    fan_in = spec.data_set.features if layer == 1 else spec.width
    fan_out = len(spec.data_set.classes) if is_output else spec.width
    init = "pytorch" if is_output and spec.schedule != "joint" else spec.init
    weight, bias = VARIANCES[init](fan_in, fan_out, spec)
    return Weights(weight=weight, bias=bias, fan_in=fan_in, fan_out=fan_out)


@dataclass(kw_only=True)
class Passed:
    """One hidden layer on the way forward; triples are (one example, one class, two classes)."""

    kernel: Floats  # [3]  of z, raw
    scale: float = 1.0  # of the norm before the activation: variance it divides by
    unevenness: float = 1.0  # by which examples that differ in size raise the mean square of dL/dz
    moments: gaussian.Moments
    scale_after: float = 1.0  # of the norm after it
    output: Floats  # [3]  second moments of the layer's output, with its skip
    mean: float  # of that output


@dataclass(kw_only=True)
class Forward:
    """The whole way forward, as far as float32 can follow."""

    inputs: InputKernel
    layers: list[Passed] = field(default_factory=list)
    overflow: int = 0  # the layer whose signal float32 cannot hold; 0 where none
    logits: Floats = field(default_factory=lambda: np.full(3, np.nan))  # [3] of one class

    def feeding(self, layer: int) -> Floats:
        """Second moments of what layer `layer` is fed with, [3]."""
        if layer == 1:
            return np.array([self.inputs.variance, self.inputs.same, self.inputs.different])
        return self.layers[layer - 2].output


@dataclass(kw_only=True)
class Backward:
    """The whole way back: of each layer in use, the output layer last."""

    log10_delta_square: list[float]  # of the mean square of dL/dz of one example's own loss
    log10_grad_square: list[float]  # of the squared norm of dL/dW of the batch-mean loss


# -- forward ---------------------------------------------------------------------------------------


def depth_in_use(spec: RunSpec) -> int:
    """Hidden layers that the first phase has."""
    return spec.phases[0].layers


def skips_in_use(spec: RunSpec) -> dict[int, int]:
    """Layer -> the earlier layer whose output is added to its output, in the first phase."""
    return {to: source for to, source in spec.skips.items() if to <= depth_in_use(spec)}


def forward(spec: RunSpec, inputs: InputKernel) -> Forward:
    """The way forward through the layers of the first phase, to where float32 cannot follow.

    spec  of a network without BatchNorm
    """
    way = Forward(inputs=inputs)
    for layer in range(1, depth_in_use(spec) + 1):
        passed = _layer(spec, way, layer)
        if passed is None:
            way.overflow = layer
            return way
        way.layers.append(passed)
    drawn = weights(spec, spec.layers)
    way.logits = drawn.weight * drawn.fan_in * way.layers[-1].output + drawn.bias
    if not is_held(way.logits[0]):
        way.overflow = spec.layers
    return way


def is_held(variance: float) -> bool:
    """Whether float32 holds what has this variance: the largest of 10^5 numbers is 4.4 spreads out."""
    return math.isfinite(variance) and 4.4 * math.sqrt(variance) < MOST_FLOAT32


def _layer(spec: RunSpec, way: Forward, layer: int) -> Passed | None:
    drawn = weights(spec, layer)
    kernel = drawn.weight * drawn.fan_in * way.feeding(layer) + drawn.bias
    if not is_held(kernel[0]):
        return None
    before, after = (spec.norm if spec.norm_position == place else "none" for place in _PLACES)
    scale = kernel[0] + _EPS[before] if before != "none" else 1.0
    moments = gaussian.moments(spec.activation, np.maximum(kernel / scale, _TINY))
    output, mean, scale_after = moments.value, moments.mean, 1.0
    if after != "none":
        centre = 0.0 if after == "rms" else mean
        scale_after = float(output[0]) - centre**2 + _EPS[after]
        output = (output - centre**2) / scale_after
        mean = (mean - centre) / math.sqrt(scale_after)
    if source := spec.skips.get(layer):
        other = way.layers[source - 1]
        output = output + other.output + 2 * mean * other.mean
        mean += other.mean
    return Passed(
        kernel=kernel,
        scale=scale,
        unevenness=_unevenness(spec, drawn, way.inputs, before, after) if layer == 1 else 1.0,
        moments=moments,
        scale_after=scale_after,
        output=output,
        mean=mean,
    )


def _unevenness(
    spec: RunSpec, drawn: Weights, inputs: InputKernel, before: str, after: str
) -> float:
    """What the mean square of layer 1's dL/dz is over that of examples all of the mean size.

    Slopes, and norms of each example, depend on its size; from layer 2 on the sizes hardly differ.
    They are taken to be log-normal, with the inputs' own mean and harmonic mean.
    """
    if not 0 < inputs.harmonic < inputs.variance:
        return 1.0
    x, weight = np.polynomial.hermite_e.hermegauss(_SIZES)
    spread = math.sqrt(min(math.log(inputs.variance / inputs.harmonic), _MOST_UNEVEN))
    sizes = np.append(np.exp(spread * x - spread**2 / 2), 1.0)
    variances = drawn.weight * drawn.fan_in * inputs.variance * sizes + drawn.bias
    passes = []
    for variance in variances:
        own = variance if before in _OF_EXAMPLES else variances[-1]
        scale = own + _EPS[before] if before != "none" else 1.0
        mean, value, slope = gaussian.alone(spec.activation, max(variance / scale, _TINY))
        after_it = value - (mean**2 if after == "layer" else 0.0) + LAYER_EPS
        passes.append(slope / scale / (after_it if after in _OF_EXAMPLES else 1.0))
    return float(np.dot(weight, passes[:-1]) / weight.sum() / passes[-1])


_OF_EXAMPLES = ("layer", "rms")  # norms of each example by itself
_SIZES, _MOST_UNEVEN = 9, 2.0
_PLACES = ("before", "after")
_EPS = {"tensor": 0.0, "layer": LAYER_EPS, "rms": RMS_EPS}
_TINY = 1e-300  # a signal that has died: 0 has no spread to take moments over


# -- backward --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scaled:
    """Numbers as exp(log) * value, so that 100 layers neither overflow nor underflow."""

    value: Floats
    log: float = 0.0

    def times(self, factor: Floats | float) -> "Scaled":
        """The product, its largest number brought back to 1."""
        value = self.value * factor
        size = float(np.abs(value).max())
        if size == 0 or not math.isfinite(size):
            return Scaled(value, self.log)
        return Scaled(value / size, self.log + math.log(size))

    def plus(self, other: "Scaled") -> "Scaled":
        """The sum, at the larger scale of the two."""
        log = max(self.log, other.log)
        mine, others = math.exp(self.log - log), math.exp(other.log - log)
        return Scaled(mine * self.value + others * other.value, log)

    def log10(self, number: float) -> float:
        """log10 of `number` at this scale; a sum that rounding has made negative counts as 0."""
        return DECADES * self.log + math.log10(number) if number > 0 else -math.inf


class WayBack(Protocol):
    """What differs between ways back: over which pairs of examples the moments of dL/dz are held."""

    def at_logits(self) -> Scaled:
        """dL/dz of the output layer, summed over the classes."""

    def through(self, layer: int, signal: Scaled) -> Scaled:
        """dL/dz of a hidden layer from dL/dh of its output."""

    def mean_square(self, layer: int, delta: Scaled) -> float:
        """Of one example's own dL/dz, at its scale."""

    def contracted(self, layer: int, delta: Scaled) -> float:
        """Mean over all pairs of the batch of dL/dz times what the layer is fed with, at its scale."""


def way_back(spec: RunSpec, way: WayBack) -> Backward:
    """From the loss to layer 1, along the layers and the skip connections."""
    depth, classes = depth_in_use(spec), len(spec.data_set.classes)
    delta = way.at_logits()
    deltas = [delta.log10(way.mean_square(depth + 1, delta) / classes)]
    grads = [delta.log10(spec.width * way.contracted(depth + 1, delta))]
    to = {source: target for target, source in skips_in_use(spec).items()}
    signals: dict[int, Scaled] = {}  # layer -> dL/dh of its output
    for layer in range(depth, 0, -1):
        signal = delta.times(_handed_down(spec, layer))
        if layer in to:
            signal = signal.plus(signals[to[layer]])
        signals[layer] = signal
        delta = way.through(layer, signal)
        deltas.append(delta.log10(way.mean_square(layer, delta)))
        size = spec.width * weights(spec, layer).fan_in
        grads.append(delta.log10(size * way.contracted(layer, delta)))
    return Backward(log10_delta_square=deltas[::-1], log10_grad_square=grads[::-1])


@dataclass(frozen=True)
class _Triples:
    """The way back in three numbers a layer."""

    spec: RunSpec
    way: Forward

    def at_logits(self) -> Scaled:
        classes = len(self.spec.data_set.classes)
        return Scaled(loss_gradient.alignment(self.way.logits, classes))

    def through(self, layer: int, signal: Scaled) -> Scaled:
        passed = self.way.layers[layer - 1]
        signal = signal.times(1 / passed.scale_after)
        square = float(signal.value[0])
        signal = ruled(self.spec, signal, square, self.way.inputs.batch_size)
        return signal.times(passed.moments.slope / passed.scale)

    def mean_square(self, layer: int, delta: Scaled) -> float:
        hidden = self.way.layers[layer - 1 : layer]  # none of the output layer
        return float(delta.value[0]) * (hidden[0].unevenness if hidden else 1.0)

    def contracted(self, layer: int, delta: Scaled) -> float:
        inputs = self.way.inputs
        shares = np.array([1 / inputs.batch_size, inputs.same_share, inputs.different_share])
        return float(shares @ (delta.value * self.way.feeding(layer)))


def backward(spec: RunSpec, way: Forward) -> Backward:
    """The way back over a way forward without overflow."""
    return way_back(spec, _Triples(spec, way))


def _handed_down(spec: RunSpec, layer: int) -> float:
    """What the weights above layer `layer` make of the mean square of dL/dz: that of dL/dh, over it."""
    if layer == depth_in_use(spec):
        return weights(spec, spec.layers).weight  # the logits' delta is summed over the classes
    above = weights(spec, layer + 1)
    return above.weight * above.fan_out


def ruled(spec: RunSpec, signal: Scaled, square: float, batch_size: int) -> Scaled:
    """The signal after the gradient rule inside the network, if there is one.

    square  its mean square over the batch, at the signal's own scale

    The whole tensor's mean is 0 in mean field; its spread carries the 1 / batch_size of the mean loss.
    """
    if spec.gradient_rule not in _RULE_EPS or square <= 0:
        return signal
    log = 0.5 * (math.log(square) + signal.log) - math.log(batch_size)  # of the tensor's own RMS
    if eps := _RULE_EPS[spec.gradient_rule]:
        log = float(np.logaddexp(log, math.log(eps)))
    return Scaled(signal.value, signal.log - 2 * log)


_RULE_EPS = {"standardise": STANDARDISE_EPS, "unit_rms": 0.0}
