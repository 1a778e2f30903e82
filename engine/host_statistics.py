"""The statistics of layers whose arrays are in the CPU's memory; engine/statistics.py is for devices.

The same numbers by another way, because the time is lost elsewhere here. numpy's loops are as wide as
the processor whatever torch's kernels are pinned to (runs.SAME_BITS), and what layers are copied to is
used again at the next look: new memory costs more than the arithmetic. As many layers of one shape
are taken together as the outer cache holds (engine/measures.py), so that the calls are few.
Measured against stacks in torch at 7x128: a third of the time (docs/performance.md).

Sums are numpy's pairwise ones and einsum's, whose bits do not depend on the number of threads.
No hooks, no storage, no random numbers.
"""

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.records import (
    BELOW,
    GRADIENT_COLUMNS,
    LINEAR_BINS,
    NONFINITE,
    ZERO,
    Counts,
    Floats,
    gradient_edges,
)
from engine.statistics import (
    INFINITY,
    SATURATED,
    SELU_ALPHA,
    bits_of_smallest_not_below,
    cells,
)

Array = NDArray[np.float32]
Lazy = Callable[[], Array]
Numbers = dict[str, Floats]  # statistic -> its value in each of the layers, [layers]
_SIZE_BITS = 0x7FFFFFFF  # all bits of a float32 but its sign
_HALF = LINEAR_BINS // 2
_IS_ZERO, _IS_SUBNORMAL = 254, 255  # beyond all columns; the second is the first and one more


class Host:
    """Takes the statistics of some layers after others. The names are those of records.STATISTICS.

    Layers come as a stack, float32 [layers, entries of one].
    """

    def __init__(self) -> None:
        self._scratch: dict[str, NDArray[np.uint8]] = {}
        self._lent: dict[tuple[str, type, int, int], NDArray[Any]] = {}  # shapes of it, made once

    def stack(self, name: str, arrays: Sequence[Array]) -> Array:
        """The arrays, of one shape, as a stack; good until this is asked for by the same name again."""
        stack = self._lend(name, np.float32, len(arrays), arrays[0].size)
        for row, array in zip(stack, arrays, strict=True):
            np.copyto(row, array.reshape(-1))
        return stack

    def gradients(
        self, gradients: Array, previous: Array | None, norms: Any
    ) -> tuple[Numbers, Counts]:
        """grad_norm, _rms, _absmax, _zero_share, _nonfinite_share, _cosine; [layers, GRADIENT_COLUMNS].

        gradients  of dL/dW of the batch-mean loss
        previous   the same as recorded before; where there are none, there is no cosine
        norms      [layers]  of the previous ones
        """
        size = gradients.shape[1]
        bits = self._lend("bits", np.int32, *gradients.shape)
        np.bitwise_and(gradients.view(np.int32), _SIZE_BITS, out=bits)
        counts = self._gradient_counts(bits)
        norm, products = self._norms_and_products(gradients, previous)
        found = {
            "grad_norm": norm,
            "grad_rms": norm / math.sqrt(size),
            # Sizes are in order as their bits are, infinity and NaN at the end.
            "grad_absmax": bits.max(axis=1).view(np.float32).astype(np.float64),
            "grad_zero_share": counts[:, ZERO] / size,
            "grad_nonfinite_share": counts[:, NONFINITE] / size,
        }
        if previous is not None:
            found["grad_cosine"] = products / (norm * norms)
        return found, counts

    def norms(self, stack: Array) -> Floats:
        """Frobenius norm of each layer, [layers]."""
        return self._norms_and_products(stack, None)[0]

    def _norms_and_products(self, stack: Array, other: Array | None) -> tuple[Floats, Floats]:
        """Of each layer the norm, and the product with its row of another stack; each [layers]."""
        norms, products = np.empty(len(stack)), np.full(len(stack), np.nan)
        for layer, row in enumerate(stack):
            wide = self._wide(row)
            norms[layer] = math.sqrt(_product(wide, wide))
            if other is not None:
                products[layer] = _product(wide, self._wide(other[layer], "other"))
        return norms, products

    def rms(self, stack: Array) -> Floats:
        """Root mean square of each layer's entries, [layers]."""
        return self.norms(stack) / math.sqrt(stack.shape[1])

    def weights(self, weights: Array) -> tuple[Numbers, Counts, Floats]:
        """weight_rms, weight_mean and weight_std; counts in equal bins, and their ranges."""
        mean, std = np.array([_mean_and_std(self._wide(row)) for row in weights]).T
        found = {"weight_rms": np.hypot(mean, std), "weight_mean": mean, "weight_std": std}
        return found, *self.linear_counts(weights)

    def update_ratios(self, before: Array, after: Sequence[Array], rms_before: Floats) -> Floats:
        """Norm of the step taken over the norm of the weight before it, [layers].

        before      of weights
        after       of each layer, [fan_out, fan_in]
        rms_before  [layers]  weight_rms of `before`
        """
        steps = self._lend("stack", np.float32, *before.shape)
        # The difference of two float32 weights within a factor 2 of each other is exact; beyond it
        # the last bit of the larger is lost, a part in ten million.
        for row, old, new in zip(steps, before, after, strict=True):
            np.subtract(new.reshape(-1), old, out=row)
        return self.rms(steps) / rms_before

    def activations(self, name: str, before: Lazy, after: Array, units: int) -> Any:
        """activation_mean and _std, saturated_share, dead_share, sample_correlation; counts, ranges.

        name    of the activation
        before  gives the stack of its inputs [batch, units], after any normalisation; many a slope is
                known from the output, and needs no copy of them
        after   of its outputs
        """
        by_unit = (len(after), -1, units)
        wide = self._lend("wide", np.float64, *after.shape)
        np.copyto(wide, after)
        found = {"sample_correlation": _sample_correlation(wide.reshape(by_unit))}
        moments = np.array([_mean_and_std(row) for row in wide])
        found["activation_mean"], found["activation_std"] = moments.T
        slope = SLOPES[name](before, after).reshape(by_unit)
        saturated = np.count_nonzero(slope < SATURATED, axis=(1, 2))
        found["saturated_share"] = saturated / after.shape[1]
        found["dead_share"] = np.count_nonzero(slope.max(axis=1) == 0, axis=1) / units
        return found, *self.linear_counts(after)

    def linear_counts(self, stack: Array) -> tuple[Counts, Floats]:
        """Counts in LINEAR_BINS equal bins from -range to range, and of what is not finite; the ranges.

        Counts are [layers, LINEAR_BINS + 1], ranges [layers]: the smallest power of two not below the
        largest finite size. It seldom changes as the values drift, and when it doubles, bins merge
        in pairs.
        """
        largest = np.maximum(-stack.min(axis=1), stack.max(axis=1))
        nonfinite = np.zeros(len(stack), np.int64)
        if not np.isfinite(largest).all():
            finite = np.isfinite(stack)
            nonfinite += stack.shape[1] - np.count_nonzero(finite, axis=1)
            stack = np.where(finite, stack, np.float32(0))
            largest = np.abs(stack).max(axis=1)
        ranges = _powers_of_two_not_below(largest)
        scaled = self._lend("scaled", np.float32, *stack.shape)
        np.multiply(stack, (_HALF / ranges).astype(np.float32)[:, None], out=scaled)  # exact
        np.floor(scaled, out=scaled)
        column = self._lend("column", np.int8, *scaled.shape)
        np.copyto(column, scaled, casting="unsafe")  # -32 to 32, and 32 only at the edge
        found = _occurrences(column.view(np.uint8), 256)  # -32 to -1 are 224 to 255
        counts = np.empty((len(stack), LINEAR_BINS + 1), np.int64)
        counts[:, :_HALF], counts[:, _HALF:LINEAR_BINS] = found[:, -_HALF:], found[:, :_HALF]
        counts[:, LINEAR_BINS - 1] += found[:, _HALF]
        counts[:, _HALF] -= nonfinite  # they were counted as 0
        counts[:, LINEAR_BINS] = nonfinite
        return counts, ranges

    def _gradient_counts(self, bits: NDArray[np.int32]) -> Counts:
        """As statistics.gradient_counts, by smaller tables, which stay in the innermost cache.

        bits  [layers, entries]  of the sizes

        An eighth of an octave holds one edge at most, but below the normal numbers, where there are
        none while subnormals are flushed. Where there are, their layers are counted by the finer tables.
        """
        found = _occurrences(self._columns(bits, *_eighths(), 20), 256)
        counts = found[:, :GRADIENT_COLUMNS]
        counts[:, ZERO] += found[:, _IS_ZERO]
        for layer in np.flatnonzero(found[:, _IS_SUBNORMAL]):
            column = self._columns(bits[layer][None], *cells(torch.device("cpu")), 15)
            counts[layer] = _occurrences(column, GRADIENT_COLUMNS)[0]
        return counts

    def _columns(
        self, bits: NDArray[np.int32], column_of: Tensor, edge_in: Tensor, shift: int
    ) -> NDArray[np.uint8]:
        """The column of each size, [layers, entries]: its cell's, or the next from the cell's edge on."""
        cell = self._lend("cell", np.int32, *bits.shape)
        edge = self._lend("edge", np.int32, *bits.shape)
        column = self._lend("column", np.uint8, *bits.shape)
        np.right_shift(bits, shift, out=cell)
        place = torch.from_numpy(cell).view(-1)
        torch.index_select(edge_in, 0, place, out=torch.from_numpy(edge).view(-1))
        torch.index_select(column_of, 0, place, out=torch.from_numpy(column).view(-1))
        is_above = np.greater_equal(bits, edge, out=self._lend("above", np.bool_, *bits.shape))
        np.add(column, is_above.view(np.uint8), out=column)
        return column

    def _wide(self, row: Array, name: str = "wide") -> Floats:
        """A layer in float64, until this is asked for by the same name again.

        One at a time: it is used at once, and stays in the inner cache until then.
        """
        wide: Floats = self._lend(name, np.float64, 1, row.size)[0]
        np.copyto(wide, row)
        return wide

    def _lend(self, name: str, kind: type, rows: int, size: int) -> NDArray[Any]:
        """An array [rows, size] to write to; what was in it is lost. Those of one name share memory."""
        known = self._lent.get((name, kind, rows, size))
        if known is not None:
            return known
        nbytes = rows * size * np.dtype(kind).itemsize
        memory = self._scratch.get(name)
        if memory is None or memory.nbytes < nbytes:
            memory = self._scratch[name] = np.empty(nbytes, np.uint8)
            self._lent = {key: lent for key, lent in self._lent.items() if key[0] != name}
        made: NDArray[Any] = memory[:nbytes].view(kind).reshape(rows, size)
        self._lent[name, kind, rows, size] = made
        return made


@cache
def _eighths() -> tuple[Tensor, Tensor]:
    """As statistics.cells, for eighths of an octave; what is zero or subnormal has columns of its own."""
    first = np.arange(2**11, dtype=np.int64) << 20
    edges = np.array([bits_of_smallest_not_below(edge) for edge in gradient_edges()])
    column = BELOW + np.searchsorted(edges, first, side="right")
    column[first >= INFINITY] = NONFINITE
    edge_in = np.full(2**11, 2**31 - 1, np.int32)  # no size has these bits
    inside = edges[edges % 2**20 != 0]
    edge_in[inside >> 20] = inside
    column[:8], edge_in[:8] = _IS_SUBNORMAL, 2**31 - 1
    column[0], edge_in[0] = _IS_ZERO, 1
    return torch.from_numpy(column.astype(np.uint8)), torch.from_numpy(edge_in)


def _product(a: Floats, b: Floats) -> float:
    """The dot product. MKL's takes half of einsum's time, but its bits depend on the threads."""
    return float(np.einsum("i,i->", a, b))


def _mean_and_std(wide: Floats) -> tuple[float, float]:
    """Mean and standard deviation, divided by n; `wide` is changed.

    Two passes, because a deep sigmoid layer's spread is a millionth of its mean.
    """
    mean = np.add.reduce(wide) / wide.size
    np.subtract(wide, mean, out=wide)
    return mean, math.sqrt(_product(wide, wide) / wide.size)


def _sample_correlation(wide: Floats) -> Floats:
    """As statistics.sample_correlation, [layers]; wide [layers, batch, units]."""
    norm = np.sqrt(np.einsum("lbu,lbu->lb", wide, wide))
    has_direction = norm != 0
    scale = has_direction / np.where(has_direction, norm, 1.0)
    total = torch.bmm(torch.from_numpy(scale[:, None]), torch.from_numpy(wide)).numpy()[:, 0]
    count = has_direction.sum(axis=1)
    mean = (np.einsum("lu,lu->l", total, total) - count) / (count * (count - 1))
    return np.where(count > 1, mean, np.nan)


def _powers_of_two_not_below(largest: Array) -> Floats:
    # frexp gives m * 2^e with 1/2 <= m < 1; where m is 1/2 the value is itself a power of two.
    mantissa, exponent = np.frexp(np.maximum(largest.astype(np.float64), 2.0**-100))
    found: Floats = np.ldexp(1.0, exponent - (mantissa == 0.5))
    return found


def _occurrences(column: NDArray[np.uint8], columns: int) -> Counts:
    """How often each number occurs in each row, [rows, columns]."""
    found = np.empty((len(column), columns), np.int64)
    for row, values in zip(found, column, strict=True):
        row[:] = torch.bincount(torch.from_numpy(values), minlength=columns).numpy()
    return found


def _gelu_slope(before: Lazy, after: Array) -> Array:
    x = before()
    density = np.exp(x * x * -0.5) * np.float32(1 / math.sqrt(2 * math.pi))
    cumulative = torch.special.ndtr(torch.from_numpy(x)).numpy()
    slope: Array = np.abs(cumulative + x * density) * np.float32(1 / 1.1289042)
    return slope


def _silu_slope(before: Lazy, after: Array) -> Array:
    x = before()
    sigmoid = _sigmoid(x)
    slope: Array = np.abs(sigmoid * (1 + x * (1 - sigmoid))) * np.float32(1 / 1.0998393)
    return slope


def _sigmoid(x: Array) -> Array:
    found: Array = torch.sigmoid(torch.from_numpy(x)).numpy()
    return found


def _selu_slope(before: Lazy, after: Array) -> Array:
    x = before()
    slope = np.exp(np.minimum(x, np.float32(0)))
    slope[x > 0] = 1 / SELU_ALPHA
    return slope


#: Size of each activation's slope over its largest, from its input and output; bool is 0 and 1.
SLOPES: dict[str, Callable[[Lazy, Array], NDArray[Any]]] = {
    "sigmoid": lambda before, after: (1 - after) * after * np.float32(4),
    "tanh": lambda before, after: 1 - after * after,
    "relu": lambda before, after: before() > 0,
    "leaky_relu": lambda before, after: np.where(before() > 0, np.float32(1), np.float32(0.01)),
    "elu": lambda before, after: np.exp(np.minimum(before(), np.float32(0))),
    "selu": _selu_slope,
    "gelu": _gelu_slope,
    "silu": _silu_slope,
    "softplus": lambda before, after: _sigmoid(before()),
    "identity": lambda before, after: np.broadcast_to(np.True_, after.shape),
}
