"""Turn tensors into a few numbers. Pure functions; no hooks, no storage, no random numbers.

Each takes a stack of equally shaped layers and returns one number per layer, because on a GPU a call
costs more than its arithmetic; on a CPU it does not (engine/host_statistics.py). Everything stays on its tensor's device and in float64,
so that a record costs one transfer and a norm does not read exactly 0 some 25 layers before the
gradient itself does.
"""

import functools
import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from engine.records import (
    BELOW,
    GRADIENT_COLUMNS,
    LINEAR_BINS,
    NONFINITE,
    ZERO,
    gradient_edges,
)

#: A unit is saturated where its slope is below this share of the activation's largest slope:
#: tanh beyond |a| = 0.97, sigmoid beyond |z| = 4.18 (1 - 0.97^2 = 5.91 %).
SATURATED = 1 - 0.97**2

SELU_ALPHA = 1.6732632423543772
_PHI_SCALE = 1 / math.sqrt(2 * math.pi)


def gradient_statistics(gradient: Tensor, counts: Tensor) -> dict[str, Tensor]:
    """grad_norm, grad_rms, grad_absmax, grad_zero_share and grad_nonfinite_share, each float64 [layers].

    gradient  [layers, fan_out, fan_in]  dL/dW of the batch-mean loss
    counts    [layers, GRADIENT_COLUMNS]  of `gradient_counts`

    A single NaN or infinity makes the first three non-finite: it is shown, not averaged away.
    RMS is the one to draw: a norm grows with the square root of a layer's size.
    """
    flat = gradient.flatten(1)
    size = flat.shape[1]
    norm = _norm(flat)
    low, high = flat.amin(dim=1), flat.amax(dim=1)  # aminmax takes ten times as long on a CPU
    return {
        "grad_norm": norm,
        "grad_rms": norm / math.sqrt(size),
        "grad_absmax": torch.maximum(-low, high).double(),
        "grad_zero_share": counts[:, ZERO].double() / size,
        "grad_nonfinite_share": counts[:, NONFINITE].double() / size,
    }


def rms(x: Tensor) -> Tensor:
    """Root mean square of each layer's entries, float64 [layers].

    x  [layers, ...]
    """
    flat = x.flatten(1)
    return _norm(flat) / math.sqrt(flat.shape[1])


def mean_and_std(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (divided by n) of each layer's entries, each float64 [layers].

    x  [layers, ...]

    Two passes over float64, because a deep sigmoid layer's spread is a millionth of its mean.
    torch.var_mean says the same and takes six times as long on a CPU.
    """
    wide = x.flatten(1).double()
    mean = wide.mean(dim=1)
    return mean, _norm(wide.sub_(mean[:, None])) / math.sqrt(wide.shape[1])


def weight_statistics(weight: Tensor) -> dict[str, Tensor]:
    """weight_rms, weight_mean and weight_std (divided by n), each float64 [layers].

    weight  [layers, fan_out, fan_in]
    """
    mean, std = mean_and_std(weight)
    return {"weight_rms": rms(weight), "weight_mean": mean, "weight_std": std}


def update_ratio(before: Tensor, after: Tensor) -> Tensor:
    """Norm of the step taken over the norm of the weight before it, float64 [layers].

    before, after  [layers, fan_out, fan_in]

    Whatever the optimizer did; the rule of thumb is 1e-3 (CS231n, neural-networks-3).
    """
    # The difference of two float32 weights within a factor 2 of each other is exact; beyond it
    # the last bit of the larger is lost, a part in ten million.
    return _norm((after - before).flatten(1)) / _norm(before.flatten(1))


def cosine(a: Tensor, b: Tensor) -> Tensor:
    """Cosine of the angle between each layer of two stacks, float64 [layers]; NaN where one is zero.

    a, b  [layers, ...]
    """
    x, y = a.flatten(1).double(), b.flatten(1).double()
    return (x * y).sum(dim=1) / (_norm(x) * _norm(y))


def activation_statistics(name: str, before: Tensor, after: Tensor) -> dict[str, Tensor]:
    """activation_mean, activation_std, saturated_share, dead_share and sample_correlation.

    Each is float64 [layers].

    name    of the activation
    before  [layers, batch, units]  its input, after any normalisation
    after   [layers, batch, units]  its output
    """
    mean, std = mean_and_std(after)
    slope = SLOPES[name](before, after)  # [layers, batch, units], 0 to 1
    saturated = (slope < SATURATED).flatten(1).sum(dim=1).double()
    dead = (slope.amax(dim=1) == 0).double()  # [layers, units]
    return {
        "activation_mean": mean,
        "activation_std": std,
        "saturated_share": saturated / slope[0].numel(),
        "dead_share": dead.mean(dim=1),
        "sample_correlation": sample_correlation(after),
    }


def sample_correlation(x: Tensor) -> Tensor:
    """Mean over pairs of different examples of the cosine of their activations, float64 [layers].

    x  [layers, batch, units]

    1 where a layer tells no two examples apart (Poole et al. 2016, https://arxiv.org/abs/1606.05340).
    With u the unit vectors, the cosines of all pairs sum to |sum of u|^2 - n. An all-zero
    activation has no direction: such examples are left out. NaN where fewer than two are left.
    """
    norm = torch.linalg.vector_norm(x, dim=2, dtype=torch.float64)  # [layers, batch]
    has_direction = norm != 0
    scale = torch.where(has_direction, 1 / norm, 0.0)
    total = torch.bmm(scale[:, None], x.double())[:, 0]  # [layers, units]  sum of u
    count = has_direction.sum(dim=1).double()
    mean = (total.square().sum(dim=1) - count) / (count * (count - 1))
    return torch.where(count > 1, mean, torch.nan)


def _norm(flat: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(flat, dim=1, dtype=torch.float64)
    return norm


def _gelu_slope(before: Tensor, after: Tensor) -> Tensor:
    density = torch.exp(-before.square() / 2) * _PHI_SCALE
    cumulative: Tensor = torch.special.ndtr(before)
    return cumulative + before * density


def _silu_slope(before: Tensor, after: Tensor) -> Tensor:
    sigmoid = torch.sigmoid(before)
    return sigmoid * (1 + before * (1 - sigmoid))


#: Size of each activation's slope over its largest, from its input and output.
SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "sigmoid": lambda before, after: (1 - after).mul_(after).mul_(4),
    "tanh": lambda before, after: 1 - after.square(),
    "relu": lambda before, after: (before > 0).to(before.dtype),
    "leaky_relu": lambda before, after: (before > 0).to(before.dtype).clamp(min=0.01),
    "elu": lambda before, after: torch.exp(before.clamp(max=0)),
    "selu": lambda before, after: torch.where(
        before > 0, 1 / SELU_ALPHA, torch.exp(before.clamp(max=0))
    ),
    "gelu": lambda before, after: _gelu_slope(before, after).abs() / 1.1289042,
    "silu": lambda before, after: _silu_slope(before, after).abs() / 1.0998393,
    "softplus": lambda before, after: torch.sigmoid(before),
    "identity": lambda before, after: torch.ones_like(before),
}


def gradient_counts(gradient: Tensor) -> Tensor:
    """Histogram of log10 |g| of each layer, int64 [layers, GRADIENT_COLUMNS].

    gradient  [layers, fan_out, fan_in]  float32

    Log bins, not linear: a vanishing gradient falls by powers of ten, and linear bins would put
    all of it into one. After the layer-wise gradient histograms of Glorot & Bengio 2010,
    https://proceedings.mlr.press/v9/glorot10a.html

    No logarithm is taken. The upper 16 bits of a float32's size name a cell at most 1/256 of an
    octave wide, into which at most one edge falls: one look-up and one comparison, both of whole
    numbers and so untouched by the flushing of subnormals, give the exact bin.
    """
    bits = gradient.flatten(1).view(torch.int32) & 0x7FFFFFFF
    column_of, edge_in = cells(bits.device)
    cell = (bits >> 15).flatten()
    column = column_of.index_select(0, cell) + (bits.flatten() >= edge_in.index_select(0, cell))
    return _count(column.view_as(bits), GRADIENT_COLUMNS)


@functools.cache
def cells(device: torch.device) -> tuple[Tensor, Tensor]:
    """For each cell of float32 its first value's column, uint8, and the edge inside it as bits, int32."""
    first = np.arange(2**16, dtype=np.int64) << 15
    edges = np.array([bits_of_smallest_not_below(edge) for edge in gradient_edges()])
    # The column of a size is BELOW + the number of edges not above it.
    column = BELOW + np.searchsorted(edges, first, side="right")
    column[first >= INFINITY] = NONFINITE
    edge_in = np.full(2**16, 2**31 - 1, np.int32)  # no size has these bits
    inside = edges[edges % 2**15 != 0]  # an edge on a cell's first value splits nothing
    edge_in[inside >> 15] = inside
    column[0], edge_in[0] = ZERO, 1  # the first cell holds 0 and sizes below every edge
    return torch.from_numpy(column.astype(np.uint8)).to(device), torch.from_numpy(edge_in).to(
        device
    )


INFINITY = 0x7F800000  # bits of float32 infinity; NaN has more


def bits_of_smallest_not_below(value: float) -> int:
    """The bits, as a whole number, of the smallest float32 that is at least `value`, itself positive."""
    last_place = max(math.frexp(value)[1] - 24, -149)  # exponent of the float32's last bit
    return math.ceil(math.ldexp(value, -last_place)) + (last_place + 149) * 2**23


def linear_counts(x: Tensor) -> tuple[Tensor, Tensor]:
    """Histograms in equal bins from -range to range: int64 [layers, LINEAR_BINS + 1], float64 [layers].

    x  [layers, ...]

    Each range is the smallest power of two not below the largest finite |x|: it seldom changes as
    the values drift, and when it doubles, bins merge in pairs. The last column counts non-finite.
    """
    flat = x.flatten(1)
    finite = flat.isfinite()  # masked in any case: to ask whether all are would wait for the device
    shown = flat.where(finite, 0.0)
    half_width = _power_of_two_not_below(shown.abs().amax(dim=1))
    column = _linear_column(shown, half_width).where(finite, LINEAR_BINS)
    return _count(column, LINEAR_BINS + 1), half_width


def _power_of_two_not_below(largest: Tensor) -> Tensor:
    # frexp gives m * 2^e with 1/2 <= m < 1; where m is 1/2 the value is itself a power of two.
    mantissa, exponent = torch.frexp(largest.double().clamp(min=2.0**-100))
    return torch.exp2((exponent - (mantissa == 0.5).int()).double())


def _linear_column(flat: Tensor, half_width: Tensor) -> Tensor:
    scale = (LINEAR_BINS / 2 / half_width).to(flat.dtype)  # a power of two: multiplying is exact
    column = (flat * scale[:, None]).floor_().to(torch.int8)  # -32 to 32, and 32 only at the edge
    return column.add_(LINEAR_BINS // 2).clamp_(max=LINEAR_BINS - 1).view(torch.uint8)


def _count(column: Tensor, columns: int) -> Tensor:
    """How often each column number occurs in each row of `column`, int64 [rows, columns]."""
    rows = len(column)
    first = columns * torch.arange(rows, device=column.device)  # one call for all rows
    return torch.bincount((column + first[:, None]).flatten(), minlength=rows * columns).view(
        rows, columns
    )
