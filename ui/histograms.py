"""The newest record's histograms -> arrays for the ridge and for the chosen layer. numpy only."""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records import (
    ABOVE,
    BELOW,
    FIRST_BIN,
    GRADIENT_BINS,
    LINEAR_BINS,
    NONFINITE,
    ZERO,
    Counts,
    Floats,
    Record,
    gradient_centres,
)
from ui.numbers import share

KINDS = ("gradient", "weight", "activation")
_GROUP = 16  # the gradient's bins are cut to whole groups of four decades, so the axis rarely moves
_USUAL = (112, 176)  # bins shown where there is nothing: 1e-12 to 1e4
TALLEST = 255  # of a ridge, in the layer's fullest bin


def arrays(record: Record | None) -> dict[str, NDArray[Any]]:
    """For each kind: `_bins` and `_counts` per layer on its own bins, `_x` and `_ridge` on common ones.

    A ridge is 0 to TALLEST within each layer: its shape is what is compared, and a layer's number
    of weights differs from another's.
    """
    if record is None:
        return {}
    low, high = _occupied(record.gradient[:, FIRST_BIN:ABOVE])
    counts = record.gradient[:, FIRST_BIN + low : FIRST_BIN + high]
    centres = gradient_centres()[low:high].astype(np.float32)
    found: dict[str, NDArray[Any]] = {
        "gradient_bins": centres[None],
        "gradient_counts": _compact(counts),
        "gradient_x": centres,
        "gradient_ridge": ridge(counts),
    }
    linear = {
        "weight": (record.weight, record.weight_range),
        "activation": (record.activation, record.activation_range),
    }
    for kind, (all_counts, ranges) in linear.items():
        own = all_counts[:, :LINEAR_BINS]
        shown = np.where(np.isfinite(ranges) & (ranges > 0), ranges, 1.0)
        widest = float(shown[own.any(axis=1)].max(initial=0.0)) or 1.0
        found[f"{kind}_bins"] = (shown[:, None] * _unit_centres()).astype(np.float32)
        found[f"{kind}_counts"] = _compact(own)
        found[f"{kind}_x"] = (widest * _unit_centres()).astype(np.float32)
        found[f"{kind}_ridge"] = ridge(on_common_bins(own, shown, widest))
    return found


def on_common_bins(counts: Counts, ranges: Floats, widest: float) -> Floats:
    """Histograms of different ranges on the bins of the widest, [layers, LINEAR_BINS].

    counts  [layers, LINEAR_BINS]  equal bins from -range to range
    ranges  [layers]  powers of two, so that a wide bin is a whole number of narrow ones
    """
    if (ranges == widest).all():
        return counts.astype(float)
    places = (ranges[:, None] * _unit_centres() / widest + 1) * LINEAR_BINS / 2
    bins = np.clip(places.astype(int), 0, LINEAR_BINS - 1)
    bins += LINEAR_BINS * np.arange(len(counts))[:, None]
    common = np.bincount(bins.ravel(), counts.ravel(), counts.size).astype(float)
    return common.reshape(counts.shape)


def ridge(counts: NDArray[Any]) -> NDArray[np.uint8]:
    """Each layer's counts as heights from 0 to TALLEST; a layer without any stays 0."""
    tallest = counts.max(axis=1, keepdims=True, initial=1)
    heights: NDArray[np.uint8] = np.ceil(TALLEST * counts / tallest).astype(np.uint8)
    return heights


def notes(record: Record | None) -> dict[str, list[str]]:
    """Per kind and layer, in words, what the bins do not hold; "" where they hold everything."""
    if record is None:
        return {kind: [] for kind in KINDS}
    asides = {
        ZERO: "exactly 0",
        BELOW: "below 10⁻⁴⁰",
        ABOVE: "above 10⁴",
        NONFINITE: "not finite",
    }
    return {
        "gradient": _notes(record.gradient, asides),
        "weight": _notes(record.weight, {LINEAR_BINS: "not finite"}),
        "activation": _notes(record.activation, {LINEAR_BINS: "not finite"}),
    }


def _notes(counts: Counts, asides: dict[int, str]) -> list[str]:
    totals = counts.sum(axis=1).tolist()
    columns = {word: counts[:, place].tolist() for place, word in asides.items()}
    return [
        ", ".join(
            f"{_part(column[layer], total)} {word}"
            for word, column in columns.items()
            if column[layer]
        )
        for layer, total in enumerate(totals)
    ]


def _part(count: int, total: int) -> str:
    """A share, or the count where the share would read as nothing: "12.5 %", "3 entries"."""
    if count / total >= 0.001:
        return share(count / total)
    return f"{count} {'entry' if count == 1 else 'entries'}"


@cache
def _unit_centres() -> Floats:
    return (np.arange(LINEAR_BINS) + 0.5) * 2 / LINEAR_BINS - 1


def _occupied(counts: Counts) -> tuple[int, int]:
    used = np.flatnonzero(counts.any(axis=0))
    if not len(used):
        return _USUAL
    low = used[0] // _GROUP * _GROUP
    high = min(-(-(used[-1] + 1) // _GROUP) * _GROUP, GRADIENT_BINS)
    return int(low), int(high)


def _compact(counts: Counts) -> NDArray[Any]:
    wide = counts.max(initial=0) >= 2**16
    return counts.astype(np.uint32 if wide else np.uint16)
