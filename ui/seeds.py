"""One picture of several seeds: medians, bands and sums over them. Pure; numpy only.

Series of different seeds are laid over one another by their keys (the step of a record, of an
epoch's end, of an interval's start); where a seed has not got that far, the others speak alone.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records import LINEAR_BINS, ROW, Counts, Floats, Record
from ui.cells import log10, marks_of
from ui.histograms import on_common_bins
from ui.theme import GRADIENT_DOMAIN, MARKS

Keys = NDArray[np.int64]
CODE = {name: code for name, (code, _) in MARKS.items()}
#: Ends of the bands: lowest to highest, and the middle half.
BANDS = {"min": 0.0, "low": 0.25, "high": 0.75, "max": 1.0}


@dataclass(frozen=True)
class Overlay:
    """Where the rows of several series go when they are laid over one another."""

    rows: Keys  # all keys there are, rising
    places: list[NDArray[np.intp]]  # of each series: the row of each of its keys

    @property
    def count(self) -> Keys:
        """How many of the series have each row."""
        has = np.concatenate(self.places) if self.places else np.zeros(0, np.intp)
        return np.bincount(has, minlength=len(self.rows))

    def stack(self, series: Sequence[NDArray[Any]], first: int, lacking: Any) -> NDArray[Any]:
        """The series as one array [series, rows from `first`, ...], `lacking` where one has no row."""
        shape = (len(series), len(self.rows) - first, *series[0].shape[1:])
        whole = np.full(shape, lacking, series[0].dtype)
        for number, (values, places) in enumerate(zip(series, self.places, strict=True)):
            skipped = np.searchsorted(places, first)
            whole[number, places[skipped:] - first] = values[skipped:]
        return whole


def overlay(keys: Sequence[Keys]) -> Overlay:
    """Lay series with these keys, rising each, over one another."""
    rows = np.unique(np.concatenate(keys)) if keys else np.zeros(0, np.int64)
    return Overlay(rows, [np.searchsorted(rows, some) for some in keys])


def quantiles(stack: NDArray[Any], shares: Sequence[float]) -> list[NDArray[Any]]:
    """Quantiles over the first axis as numpy.percentile has them, without the NaN; NaN of nothing.

    Infinities are numbers like others here: log10 of an exact zero is one.
    """
    ordered = np.sort(stack, axis=0)  # NaN last
    last = (~np.isnan(stack)).sum(axis=0) - 1
    found = []
    for share in shares:
        place = np.maximum(last, 0) * share
        below = np.floor(place).astype(np.intp)
        low = np.take_along_axis(ordered, below[None], axis=0)[0]
        high = np.take_along_axis(ordered, np.ceil(place).astype(np.intp)[None], axis=0)[0]
        part = (place - below).astype(stack.dtype)
        with np.errstate(invalid="ignore"):  # an infinity times no part of it
            found.append(np.where(part == 0, low, low * (1 - part) + high * part))
    return found


def median(stack: NDArray[Any]) -> NDArray[Any]:
    """The median over the first axis, without the NaN; NaN of nothing."""
    return quantiles(stack, [0.5])[0]


def with_bands(names: Sequence[str], stack: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """For each name its median over the first axis, and the ends of BANDS beside it.

    stack  [seeds, n, names]
    """
    middle, *ends = quantiles(stack, [0.5, *BANDS.values()])
    found = {}
    for place, name in enumerate(names):
        found[name] = middle[:, place]
        found |= {
            f"{name}_{end}": values[:, place] for end, values in zip(BANDS, ends, strict=True)
        }
    return found


def with_zeros(values: NDArray[np.float32], marks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """log10 with minus infinity for an exact zero, so that it has its place in an order."""
    return np.where(marks == CODE["zero"], np.float32(-np.inf), values)


def cells(
    values: NDArray[np.float32], marks: NDArray[np.uint8]
) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """What each cell of the seeds' common heatmap is: the median's log10, and its mark.

    values, marks  [seeds, n, layers] of each seed, NaN and code 255 where it has no record

    Not finite where any seed is; frozen or absent where most are; otherwise what the median is,
    which is what most seeds are: of zeros and values below the domain the same side of it.
    """
    middle = median(with_zeros(values, marks))
    low, high = GRADIENT_DOMAIN
    there = (marks != 255).sum(axis=0)
    frozen, absent = ((marks == CODE[name]).sum(axis=0) for name in ("frozen", "absent"))
    cases = {  # the first that holds
        "nonfinite": (marks == CODE["nonfinite"]).any(axis=0),
        "absent": 2 * absent > there,
        "frozen": 2 * (frozen + absent) > there,
        "zero": np.isneginf(middle),
        "below": middle < low,
        "above": middle > high,
    }
    code = np.select(list(cases.values()), [CODE[name] for name in cases], 0).astype(np.uint8)
    return np.where(np.isinf(middle), np.float32(np.nan), middle), code


def pooled(records: Sequence[Record]) -> Record | None:
    """The records of several seeds as one: medians of the statistics, sums of the counts."""
    if not records:
        return None
    newest = max(records, key=lambda record: record.step)
    weight, weight_range = _summed([(r.weight, r.weight_range) for r in records])
    activation, activation_range = _summed([(r.activation, r.activation_range) for r in records])
    return Record(
        step=newest.step,
        epoch=newest.epoch,
        phase=newest.phase,
        seconds=newest.seconds,
        scalars=_medians(np.stack([record.scalars for record in records])),
        gradient=np.sum([record.gradient for record in records], axis=0),
        weight=weight,
        weight_range=weight_range,
        activation=activation,
        activation_range=activation_range,
    )


def _medians(scalars: Floats) -> Floats:
    """[seeds, STATISTICS, layers] -> [STATISTICS, layers], such that `cells.marks` says what `cells` does."""
    whole: Floats = median(scalars)
    whole[ROW["grad_nonfinite_share"]] = quantiles(scalars[:, ROW["grad_nonfinite_share"]], [1])[0]
    rms, spoilt, frozen = (
        scalars[:, ROW[name]] for name in ("grad_rms", "grad_nonfinite_share", "frozen")
    )
    marks = marks_of(rms, spoilt, frozen)
    middle, code = cells(log10(rms)[:, None], marks[:, None])
    is_code = {name: code[0] == number for name, number in CODE.items()}
    size = np.where(is_code["zero"], 0.0, 10.0 ** middle[0].astype(float))
    whole[ROW["grad_rms"]] = np.where(is_code["nonfinite"], np.nan, size)
    whole[ROW["frozen"]] = is_code["frozen"]
    whole[:, is_code["absent"]] = np.nan
    return whole


def _summed(parts: Sequence[tuple[Counts, Floats]]) -> tuple[Counts, Floats]:
    """Histograms of equal bins, each seed's with ranges of its own, summed on the widest of each layer."""
    ranges = np.stack([own for _, own in parts])
    counts = np.stack([own for own, _ in parts])
    widest = ranges.max(axis=0)
    total = counts.sum(axis=0)
    for layer in np.flatnonzero((ranges != widest).any(axis=0)):
        own = on_common_bins(counts[:, layer, :LINEAR_BINS], ranges[:, layer], widest[layer])
        total[layer, :LINEAR_BINS] = own.sum(axis=0)
    return total, widest
