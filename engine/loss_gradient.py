"""The gradient of softmax cross-entropy at the logits of a wide network, over pairs of examples.

Logits are Gaussian and independent over the classes; delta = p - y is one example's gradient
(the mean over the batch is taken by who asks). By the symmetry of the classes E p = 1 / classes, so

    E delta_a . delta_b = E p_a . p_b + [y_a = y_b] - 2 / classes

Only E p_a . p_b depends on the logits. Its estimate must have no noise where two examples' logits
are independent: with equally frequent classes everything else cancels there over the batch.
"""

import math
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records import Floats

DRAWS = 384  # of what two examples' logits have in common
SMALL = 1e-3  # variance of the logits below which the softmax is linear in them
SEED = 0  # of fixed draws: the same prediction each time


def alignment(kernel: Floats, classes: int) -> Floats:
    """E delta_a . delta_b for one example with itself, two of one class, two of different ones; [3].

    kernel  [3]  covariance of their logits in one class, likewise; the first is the variance
    """
    agreement = np.array([agreement_of(kernel[0], k, classes) for k in kernel])
    found: Floats = agreement + np.array([1.0, 1.0, 0.0]) - 1 / classes
    return found


def agreement_of(variance: float, covariance: float, classes: int) -> float:
    """E p_a . p_b - 1 / classes."""
    linear = (classes - 1) / classes**2 * covariance
    if variance < SMALL:
        return float(linear)
    share = min(abs(covariance) / variance, 1.0)
    common = math.sqrt(variance * share)
    own = math.sqrt(variance * (1 - share))
    shared, first, second = _draws(classes)
    a = _centred(common * shared, own * first)
    b = a if own == 0 else _centred(math.copysign(common, covariance) * shared, own * second)
    # Beside what is linear, whose mean is known: the draws' own noise in it falls away.
    flat = shared - shared.mean(axis=1, keepdims=True)
    drawn = math.copysign(common**2, covariance) * (flat**2).sum(axis=1).mean() / classes**2
    weight = 1 / (1 + variance) ** 2  # the larger the logits, the less linear
    return float((a * b).sum(axis=1).mean() - weight * (drawn - linear))


def _centred(shared: Floats, own: Floats) -> Floats:
    """E p over what is an example's own, less 1 / classes; [draws, classes].

    Over all turns of the classes' own parts: without common part the mean is then exactly 0.
    """
    classes = shared.shape[1]
    if not own.any():
        alone: Floats = _softmax(shared) - 1 / classes
        return alone
    turns = np.add.outer(np.arange(classes), np.arange(classes)) % classes
    # float32: three digits are asked for, and these exponentials are most of a prediction's time.
    logits = (shared[:, None] + own[:, turns]).astype(np.float32)  # [draws, turns, classes]
    mean: Floats = _softmax(logits).mean(axis=1, dtype=np.float64) - 1 / classes
    return mean


def _softmax(logits: NDArray[Any]) -> NDArray[Any]:
    power: NDArray[Any] = np.exp(logits - logits.max(axis=-1, keepdims=True))
    power /= power.sum(axis=-1, keepdims=True)
    return power


@lru_cache(maxsize=8)
def _draws(classes: int) -> tuple[Floats, Floats, Floats]:
    random = np.random.default_rng(SEED)
    half = random.standard_normal((3, DRAWS // 2, classes))
    shared, first, second = np.concatenate([half, -half], axis=1)
    return shared, first, second[random.permutation(DRAWS)]


def alignment_matrix(kernel: Floats, labels: NDArray[Any], classes: int) -> Floats:
    """The same for every pair of a batch, [n, n].

    kernel  [n, n]  covariance of their logits in one class
    labels  [n]
    """
    found: Floats = (classes - 1) / classes**2 * kernel  # as far as it is linear in the logits
    if kernel.diagonal().max() >= SMALL:
        values, vectors = np.linalg.eigh(kernel)
        root = vectors * np.sqrt(np.maximum(values, 0))
        draws = DRAWS // 4
        noise = np.random.default_rng(SEED).standard_normal((draws, classes, len(kernel)))
        logits = np.moveaxis(noise @ root.T, 1, 2)  # [draws, n, classes]
        flat = logits - logits.mean(axis=2, keepdims=True)
        found = found + _pairs(_softmax(logits) - 1 / classes) - _pairs(flat / classes)
    found = found + (labels[:, None] == labels[None, :]) - 1 / classes
    return found


def _pairs(vectors: Floats) -> Floats:
    """Mean over the draws of the products of all pairs; vectors [draws, n, classes]."""
    flat = np.moveaxis(vectors, 1, 0).reshape(vectors.shape[1], -1)
    product: Floats = flat @ flat.T / vectors.shape[0]
    return product
