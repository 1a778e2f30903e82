"""The statistics of arrays in the CPU's memory, a layer at a time; engine/statistics.py is for devices.

The same numbers by another way, because time is lost elsewhere here: not in calls but in memory.
A layer's array fits into the processor's cache, a stack of layers does not; numpy's loops are as wide
as the processor whatever torch's kernels are pinned to (runs.SAME_BITS); and a sum of products in
float64 is cheapest as a dot product of MKL, which has the same bits for every number of threads.
Measured against stacks in torch at 7x128: a third of the time (docs/performance.md). All else is
exact arithmetic, or adds in an order of its own, so that the bits do not depend on the machine.

No hooks, no storage, no random numbers. What a layer's arrays are copied to is used again for the next.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from engine.records import GRADIENT_COLUMNS, LINEAR_BINS, NONFINITE, ZERO, Counts
from engine.statistics import SATURATED, SELU_ALPHA, cells

Array = NDArray[np.float32]
Numbers = dict[str, float]
_SIZE_BITS = 0x7FFFFFFF  # all bits of a float32 but its sign


class Host:
    """Takes the statistics of one layer after another. The names are those of records.STATISTICS."""

    def __init__(self) -> None:
        self._scratch: dict[tuple[str, type], NDArray[Any]] = {}

    def gradient(self, gradient: Array) -> tuple[Numbers, Counts]:
        """grad_norm, _rms, _absmax, _zero_share and _nonfinite_share; log10 |g| by bins.

        gradient  [fan_out, fan_in]  dL/dW of the batch-mean loss
        """
        flat = gradient.reshape(-1)
        bits = self._lend("bits", np.int32, flat.size)
        np.bitwise_and(flat.view(np.int32), _SIZE_BITS, out=bits)
        counts = self._gradient_counts(bits)
        norm = self.norm(flat)
        return {
            "grad_norm": norm,
            "grad_rms": norm / math.sqrt(flat.size),
            # Sizes are in order as their bits are, infinity and NaN at the end.
            "grad_absmax": float(bits.max().view(np.float32)),
            "grad_zero_share": float(counts[ZERO]) / flat.size,
            "grad_nonfinite_share": float(counts[NONFINITE]) / flat.size,
        }, counts

    def cosine(self, a: Array, b: Array, norms: float) -> float:
        """Cosine of the angle between two arrays; NaN where one is zero.

        a, b   of one shape
        norms  the product of their norms
        """
        dot = _dot(self._wide(a.reshape(-1)), self._wide(b.reshape(-1), "other"))
        return dot / norms if norms else math.nan

    def norm(self, x: Array) -> float:
        """Frobenius norm of an array."""
        wide = self._wide(x.reshape(-1))
        return math.sqrt(_dot(wide, wide))

    def rms(self, x: Array) -> float:
        """Root mean square of an array."""
        return self.norm(x) / math.sqrt(x.size)

    def weight(self, weight: Array) -> tuple[Numbers, Counts, float]:
        """weight_rms, weight_mean and weight_std; counts in equal bins, and their range.

        weight  [fan_out, fan_in]
        """
        flat = weight.reshape(-1)
        wide = self._wide(flat)
        mean, std = _mean_and_std(wide)
        found = {"weight_rms": math.hypot(mean, std), "weight_mean": mean, "weight_std": std}
        return found, *self.linear_counts(flat)

    def update_ratio(self, before: Array, after: Array, rms_before: float) -> float:
        """Norm of the step taken over the norm of the weight before it.

        before, after  [fan_out, fan_in]
        rms_before     weight_rms of `before`
        """
        step = self._lend("scaled", np.float32, before.size)
        # The difference of two float32 weights within a factor 2 of each other is exact; beyond it
        # the last bit of the larger is lost, a part in ten million.
        np.subtract(after.reshape(-1), before.reshape(-1), out=step)
        moved = self.rms(step)
        return moved / rms_before if rms_before else (math.inf if moved else math.nan)

    def activation(self, name: str, before: Array, after: Array) -> tuple[Numbers, Counts, float]:
        """activation_mean and _std, saturated_share, dead_share, sample_correlation; counts, range.

        name    of the activation
        before  [batch, units]  its input, after any normalisation
        after   [batch, units]  its output
        """
        slope = SLOPES[name](before, after)  # [batch, units], 0 to 1
        wide = self._wide(after.reshape(-1))
        found = {
            "saturated_share": np.count_nonzero(slope < SATURATED) / slope.size,
            "dead_share": np.count_nonzero(slope.max(axis=0) == 0) / slope.shape[1],
            "sample_correlation": _sample_correlation(wide.reshape(after.shape)),
        }
        found["activation_mean"], found["activation_std"] = _mean_and_std(wide)
        return found, *self.linear_counts(after.reshape(-1))

    def linear_counts(self, flat: Array) -> tuple[Counts, float]:
        """Counts in LINEAR_BINS equal bins from -range to range, the last column not finite; the range.

        flat  [entries]

        The range is the smallest power of two not below the largest finite size: it seldom changes
        as the values drift, and when it doubles, bins merge in pairs.
        """
        counts = np.zeros(LINEAR_BINS + 1, np.int64)
        largest = max(-float(flat.min()), float(flat.max()))
        if not math.isfinite(largest):
            finite = flat[np.isfinite(flat)]
            counts[LINEAR_BINS] = flat.size - finite.size
            flat, largest = finite, float(np.abs(finite).max(initial=0.0))
        half_width = _power_of_two_not_below(largest)
        scaled = self._lend("scaled", np.float32, flat.size)
        np.multiply(flat, np.float32(LINEAR_BINS / 2 / half_width), out=scaled)  # exact
        np.floor(scaled, out=scaled)
        column = self._lend("column", np.int8, flat.size)
        np.copyto(column, scaled, casting="unsafe")  # -32 to 32, and 32 only at the edge
        found = _occurrences(column.view(np.uint8), 256)  # -32 to -1 are 224 to 255
        half = LINEAR_BINS // 2
        counts[:half], counts[half:LINEAR_BINS] = found[-half:], found[:half]
        counts[LINEAR_BINS - 1] += found[half]
        return counts, half_width

    def _gradient_counts(self, bits: NDArray[np.int32]) -> Counts:
        """As statistics.gradient_counts: a look-up and a comparison, both of whole numbers."""
        column_of, edge_in = cells(torch.device("cpu"))
        cell = self._lend("cell", np.int32, bits.size)
        np.right_shift(bits, 15, out=cell)
        place = torch.from_numpy(cell)
        edge = edge_in.index_select(0, place).numpy()
        column = column_of.index_select(0, place).numpy()
        column += bits >= edge
        return _occurrences(column, GRADIENT_COLUMNS)

    def _wide(self, flat: Array, name: str = "wide") -> NDArray[np.float64]:
        """The array in float64, until this is asked for again by the same name."""
        wide = self._lend(name, np.float64, flat.size)
        np.copyto(wide, flat)
        return wide

    def _lend(self, name: str, kind: type, size: int) -> NDArray[Any]:
        """An array to write to. A new one each time would cost more than the arithmetic: new pages."""
        lent = self._scratch.get((name, kind))
        if lent is None or lent.size < size:
            lent = self._scratch[name, kind] = np.empty(size, kind)
        return lent[:size]


def _dot(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    return torch.dot(torch.from_numpy(a), torch.from_numpy(b)).item()


def _mean_and_std(wide: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation, divided by n. Two passes; the array is shifted by its mean."""
    mean = float(np.add.reduce(wide)) / wide.size
    np.subtract(wide, mean, out=wide)
    return mean, math.sqrt(_dot(wide, wide) / wide.size)


def _sample_correlation(wide: NDArray[np.float64]) -> float:
    """As statistics.sample_correlation; wide [batch, units]."""
    norm = np.sqrt(np.einsum("ij,ij->i", wide, wide))  # [batch]
    scale = np.divide(1.0, norm, out=np.zeros_like(norm), where=norm != 0)
    count = np.count_nonzero(scale)
    if count < 2:
        return math.nan
    total = torch.mv(torch.from_numpy(wide).t(), torch.from_numpy(scale))  # [units]
    return (torch.dot(total, total).item() - count) / (count * (count - 1))


def _power_of_two_not_below(largest: float) -> float:
    mantissa, exponent = math.frexp(max(largest, 2.0**-100))
    return math.ldexp(1.0, exponent - (mantissa == 0.5))


def _occurrences(column: NDArray[np.uint8], columns: int) -> Counts:
    """How often each number occurs, [columns]."""
    found: Counts = torch.bincount(torch.from_numpy(column), minlength=columns).numpy()
    return found


def _gelu_slope(before: Array, after: Array) -> Array:
    density = np.exp(before * before * -0.5) * np.float32(1 / math.sqrt(2 * math.pi))
    cumulative = torch.special.ndtr(torch.from_numpy(before)).numpy()
    slope: Array = np.abs(cumulative + before * density) * np.float32(1 / 1.1289042)
    return slope


def _silu_slope(before: Array, after: Array) -> Array:
    sigmoid = _sigmoid(before)
    slope: Array = np.abs(sigmoid * (1 + before * (1 - sigmoid))) * np.float32(1 / 1.0998393)
    return slope


def _sigmoid(before: Array) -> Array:
    found: Array = torch.sigmoid(torch.from_numpy(before)).numpy()
    return found


def _selu_slope(before: Array, after: Array) -> Array:
    slope = np.exp(np.minimum(before, np.float32(0)))
    slope[before > 0] = 1 / SELU_ALPHA
    return slope


#: Size of each activation's slope over its largest, from its input and output; bool is 0 and 1.
SLOPES: dict[str, Callable[[Array, Array], NDArray[Any]]] = {
    "sigmoid": lambda before, after: (1 - after) * after * np.float32(4),
    "tanh": lambda before, after: 1 - after * after,
    "relu": lambda before, after: before > 0,
    "leaky_relu": lambda before, after: np.where(before > 0, np.float32(1), np.float32(0.01)),
    "elu": lambda before, after: np.exp(np.minimum(before, np.float32(0))),
    "selu": _selu_slope,
    "gelu": _gelu_slope,
    "silu": _silu_slope,
    "softplus": lambda before, after: _sigmoid(before),
    "identity": lambda before, after: np.broadcast_to(np.True_, before.shape),
}
