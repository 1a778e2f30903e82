"""Mean-field prediction of a network's gradients at initialisation. numpy and scipy only.

It holds for wide networks before their first step, and no longer: engine/mean_field.py says after
whom, engine/batch_mean_field.py what BatchNorm asks for.
"""

import math
from dataclasses import dataclass

import numpy as np
from threadpoolctl import threadpool_limits

from engine import batch_mean_field, mean_field
from engine.findings import LEAST_ACTIVE
from engine.mean_field import DECADES, Backward, Forward, depth_in_use, weights
from engine.records import Floats, InputKernel
from engine.spec import RunSpec

ALIKE = 0.99  # correlation in the last layer from which all examples are one to the network
_FEW = (
    "Only {units:.2g} of {width} units carry gradient in layer {layer}; below {least:g} theory "
    "fails: networks differ by decades from seed to seed."
)
_OVERFLOW = "The signal of layer {layer} is larger than float32 holds: the loss is not finite."
_NO_GRAM = "BatchNorm mixes the examples of a batch, and this run has not kept their products."


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What an infinitely wide network of this spec does with these inputs, before its first step.

    Arrays are [layers]; row `layer - 1`, the output layer last; NaN for layers not in use.
    Logarithms, because 100 sigmoid layers reach 10^-90.
    """

    log10_delta_rms: Floats  # of dL/dz of the batch-mean loss, as the statistic `delta_rms`
    log10_grad_norm: Floats  # of the Frobenius norm of dL/dW, as `grad_norm`
    log10_grad_rms: Floats  # the same per weight, as `grad_rms`
    delta_band: Floats  # one standard deviation over seeds of log10 delta_rms, in decades
    grad_band: Floats  # the same of log10 grad_norm
    preactivation_variance: Floats  # mean square of z, the Linear's output, over units and examples
    correlation_same: Floats  # of z for two examples of one class, not centred
    correlation_different: Floats  # of two classes
    saturated_share: Floats  # as the statistic
    active_units: float  # units that carry gradient in the poorest layer: width / kurtosis of slope
    factor: float  # of dL/dz from one hidden layer to the one below, geometric mean; NaN at depth 1
    ratio: float  # R: RMS of dL/dz in layer 1 over the last hidden layer's
    fault: str  # why it must not be trusted, in one sentence; "" where it can be

    @property
    def valid(self) -> bool:
        """Whether it can be trusted."""
        return not self.fault


def predict(spec: RunSpec, kernel: InputKernel) -> Prediction:
    """What theory expects of a run's first step; where it cannot be trusted, `fault` says why.

    kernel  of the run's own first batch

    Some milliseconds; with BatchNorm, which needs all pairs of a batch, up to a second.
    """
    back: Backward | None
    if spec.norm == "batch":
        if kernel.gram is None or kernel.labels is None:
            return _nothing(spec, _NO_GRAM)
        # On one thread: where others compute too, BLAS's threads wait for each other at full speed.
        with threadpool_limits(limits=1, user_api="blas"):
            way, back = batch_mean_field.passed(spec, kernel)
    else:
        way = mean_field.forward(spec, kernel)
        back = None if way.overflow else mean_field.backward(spec, way)
    return _told(spec, way, back)


def _nothing(spec: RunSpec, fault: str, **known: Floats) -> Prediction:
    """A prediction without numbers, or with those that are known."""
    names = [name for name, kind in Prediction.__annotations__.items() if kind is Floats]
    arrays = {name: np.full(spec.layers, np.nan) for name in names} | known
    numbers = dict.fromkeys(("active_units", "factor", "ratio"), math.nan)
    return Prediction(**arrays, **numbers, fault=fault)  # type: ignore[arg-type]


def _told(spec: RunSpec, way: Forward, back: Backward | None) -> Prediction:
    depth = depth_in_use(spec)
    rows = [*range(len(way.layers)), *([] if way.overflow else [spec.layers - 1])]
    kernels = np.array([one.kernel for one in way.layers] + [way.logits])[: len(rows)]
    saturated = [one.moments.saturated_share for one in way.layers] + [0.0]
    known = {
        "preactivation_variance": _placed(spec, rows, kernels[:, 0]),
        "correlation_same": _placed(spec, rows, kernels[:, 1] / kernels[:, 0]),
        "correlation_different": _placed(spec, rows, kernels[:, 2] / kernels[:, 0]),
        "saturated_share": _placed(spec, rows, np.array(saturated[: len(rows)])),
    }
    if back is None:
        return _nothing(spec, _OVERFLOW.format(layer=way.overflow), **known)
    kurtosis = np.array([one.moments.kurtosis for one in way.layers])
    delta_beta, grad_beta = _betas(spec, kurtosis)
    delta = np.array(back.log10_delta_square) / 2 - math.log10(way.inputs.batch_size)
    norm = np.array(back.log10_grad_square) / 2
    if kernels[depth - 1, 2] / kernels[depth - 1, 0] > ALIKE:
        # All examples are one: a single direction, whose typical size lies below its mean square.
        norm = norm - DECADES / 4 * np.append(grad_beta, 0.0)
    sizes = np.array([one.fan_in * one.fan_out for one in (weights(spec, r + 1) for r in rows)])
    ratio = delta[0] - delta[depth - 1]
    return Prediction(
        log10_delta_rms=_placed(spec, rows, delta),
        log10_grad_norm=_placed(spec, rows, norm),
        log10_grad_rms=_placed(spec, rows, norm - np.log10(sizes) / 2),
        delta_band=_placed(spec, rows, DECADES / 2 * np.sqrt(np.append(delta_beta, 0.0))),
        grad_band=_placed(spec, rows, DECADES / 2 * np.sqrt(np.append(grad_beta, 0.0))),
        active_units=float(spec.width / kurtosis.max()),
        factor=10 ** (ratio / (depth - 1)) if depth > 1 else math.nan,
        ratio=10**ratio,
        fault=_few(spec, kurtosis),
        **known,
    )


def _few(spec: RunSpec, kurtosis: Floats) -> str:
    layer = int(np.argmax(kurtosis))
    units = spec.width / kurtosis[layer]
    if units >= LEAST_ACTIVE:
        return ""
    return _FEW.format(units=units, width=spec.width, layer=layer + 1, least=LEAST_ACTIVE)


def _placed(spec: RunSpec, rows: list[int], values: Floats) -> Floats:
    whole = np.full(spec.layers, np.nan)
    whole[rows] = values
    return whole


def _betas(spec: RunSpec, kurtosis: Floats) -> tuple[Floats, Floats]:
    """Variance over seeds of log |dL/dz|^2 and log |dL/dW|^2 of each hidden layer, [depth] each.

    Given the layer above, |delta|^2 is a sum over the width of slope^2 times a squared Gaussian:
    its relative variance is (3 kurtosis - 1) / width in one direction, after Hanin & Nica 2018
    (arXiv:1812.05994). The batch's RMS averages over one direction less than there are classes.
    """
    directions = max(len(spec.data_set.classes) - 1, 1)

    def summed(variance: Floats) -> Floats:
        return np.cumsum(variance[::-1])[::-1] / spec.width

    return summed(3 * kurtosis - 3 + 2 / directions), summed(3 * kurtosis - 1)
