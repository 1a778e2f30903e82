"""What is recorded: the names, the bins and the shapes that all parts agree on. numpy only.

Layers count from 1 at the input; row `layer - 1` of every array belongs to it and the last row
is the output layer. A layer that the current phase does not contain is NaN in every statistic
and zero in every count.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

#: Row `i` of `Record.scalars` is the `i`-th name; the text says what it measures.
STATISTICS: dict[str, str] = {
    "grad_norm": "Frobenius norm of dL/dW, L the batch-mean loss",
    "grad_rms": "root mean square of dL/dW over the layer's weights",
    "grad_absmax": "largest absolute entry of dL/dW",
    "grad_zero_share": "share of the entries of dL/dW that are exactly 0 (underflow included)",
    "grad_nonfinite_share": "share of the entries of dL/dW that are NaN or infinite",
    "delta_rms": "root mean square of dL/dz, z the output of the layer's Linear, any norm after it",
    "weight_rms": "root mean square of the weights",
    "weight_mean": "mean of the weights",
    "weight_std": "standard deviation of the weights (divided by n)",
    "update_ratio": "norm of the step taken over norm of the weights before it",
    "activation_mean": "mean of the activation's output over batch and units",
    "activation_std": "standard deviation of the activation's output over batch and units",
    "saturated_share": "share of (unit, sample) whose slope is below 5.9 % of its maximum",
    "dead_share": "share of units that pass no gradient for any sample of the batch",
    "grad_cosine": "cosine between dL/dW and the layer's previous recorded dL/dW",
    "frozen": "1 where the layer is not being trained, else 0",
    "sample_correlation": "mean over pairs of different examples of the batch of the cosine of "
    "their activations",
}
OLD_STATISTICS = 16  # rows of a record made before there was `sample_correlation`
ROW: dict[str, int] = {name: row for row, name in enumerate(STATISTICS)}

#: Gradient histogram: fixed bins of log10 |g|, a quarter decade from 1e-40 to 1e4. Fixed, so that
#: layers, steps, runs and seeds can be added and compared.
LOG10_LOW, LOG10_HIGH, BINS_PER_DECADE = -40, 4, 4
GRADIENT_BINS = (LOG10_HIGH - LOG10_LOW) * BINS_PER_DECADE
#: Columns of `Record.gradient`: exact zeros, below the bins, the bins, above them, non-finite.
ZERO, BELOW, FIRST_BIN = 0, 1, 2
ABOVE, NONFINITE = FIRST_BIN + GRADIENT_BINS, FIRST_BIN + GRADIENT_BINS + 1
GRADIENT_COLUMNS = GRADIENT_BINS + 4

#: Weight and activation histograms: equal bins from -range to range, plus one non-finite column.
LINEAR_BINS = 64


def gradient_edges() -> Floats:
    """Edges of the gradient bins, [GRADIENT_BINS + 1], as |g|: bin i holds edge[i] <= |g| < edge[i + 1]."""
    return np.power(10.0, LOG10_LOW + np.arange(GRADIENT_BINS + 1) / BINS_PER_DECADE)


def gradient_centres() -> Floats:
    """Centres of the gradient bins, [GRADIENT_BINS], as log10 |g|."""
    return LOG10_LOW + (np.arange(GRADIENT_BINS) + 0.5) / BINS_PER_DECADE


@dataclass(frozen=True, kw_only=True)
class Record:
    """One full look at the network, at one step."""

    step: int  # optimizer steps finished before this batch; 0 is the untouched network
    epoch: int  # epochs finished before this batch
    phase: int  # 1-based; 1 throughout unless trained layer by layer
    seconds: float  # of training since the run began; the only part that is not the same twice
    scalars: Floats  # [STATISTICS, layers]
    gradient: Counts  # [layers, GRADIENT_COLUMNS]
    weight: Counts  # [layers, LINEAR_BINS + 1]
    weight_range: Floats  # [layers]  half width of the bins; a power of two
    activation: Counts  # [layers, LINEAR_BINS + 1]; the output layer's are its logits
    activation_range: Floats  # [layers]


@dataclass(frozen=True, kw_only=True)
class Steps:
    """Loss and accuracy of each batch, for consecutive steps."""

    first: int  # step of the first entry
    loss: Floats  # [steps]  batch mean, before the step was taken
    accuracy: Floats  # [steps]  0 to 1
    seconds: float  # of training at the last entry
    #: Of these seconds, those that watching took: statistics, and writing them. NaN in older runs.
    watched: float = math.nan


@dataclass(frozen=True, kw_only=True)
class EpochEnd:
    """Loss and accuracy at the end of an epoch."""

    epoch: int  # epochs finished, from 1; counts on through the phases
    step: int  # steps finished
    phase: int
    train_loss: float  # mean over the epoch's batches, each before its step, as published
    train_accuracy: float  # over the epoch's examples, each measured before its step
    validation_loss: float  # mean over the examples, as all that follow
    validation_accuracy: float
    test_loss: float
    test_accuracy: float
    seconds: float  # of training since the run began


#: Order of the numbers in an epoch's blob.
EPOCH_NUMBERS = (
    "train_loss",
    "train_accuracy",
    "validation_loss",
    "validation_accuracy",
    "test_loss",
    "test_accuracy",
    "seconds",
)


@dataclass(frozen=True, kw_only=True)
class Event:
    """Something that happened to the run at a step: a phase began, a value was changed."""

    step: int  # steps finished before it
    kind: str  # "phase", "change", "look", "pause", "resume", "stop", "branch", "note"
    words: str  # fit to be shown
    change: str = ""  # of "change" and "look": engine.steering.Change as JSON
    at: float = 0.0  # when it was done, seconds since 1970; 0 where only the step is known


@dataclass(frozen=True, kw_only=True)
class InputKernel:
    """What theory needs to know of a run's inputs: second moments of its first batch, over pairs.

    Products are of inputs as the network sees them (not centred), divided by their features.
    """

    batch_size: int  # examples in the batch
    same_share: float  # of the batch_size^2 ordered pairs: two different examples of one class
    variance: float  # mean over the examples of x . x / features
    harmonic: float  # the harmonic mean of the same: what a norm divides a batch's gradients by
    same: float  # mean over pairs of different examples of one class of x_a . x_b / features
    different: float  # the same over pairs of different classes
    #: The products themselves of the batch's first GRAM_EXAMPLES examples, float32 [n, n], and
    #: their labels [n]; only with norm=batch, which mixes the examples of a batch.
    gram: NDArray[np.float32] | None = None
    labels: NDArray[np.uint16] | None = None

    @property
    def different_share(self) -> float:
        """Share of the ordered pairs that are of different classes."""
        return 1 - 1 / self.batch_size - self.same_share


GRAM_EXAMPLES = 256  # of a batch, at most, whose products are kept one by one

Item = Record | Steps | EpochEnd | Event | InputKernel
