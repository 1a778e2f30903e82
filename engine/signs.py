"""The signs that a diagnosis goes by: one number per layer and record, settled. numpy only.

A number that hovers about a threshold must not change its finding with every record. So each
sign is the median of the newest five records, and its level changes only once that median is
clear of the border by a margin. Both are decided by the records alone, so that a replay says
at every step what was said live.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import log10

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from engine.findings import (
    ADAM_EPSILON,
    ALIKE,
    ALL_DEAD,
    ASLEEP,
    DEAD,
    EXPLODING,
    FADING,
    FIRST_STEPS,
    LOST_TO_EPSILON,
    NEARLY_ALL_SATURATED,
    REPLACING,
    SATURATED,
    SUNK,
    TINY,
    TOO_LARGE,
    UNMOVED,
    VANISHING,
    ZEROS,
)
from engine.records import ROW, Floats, Record

Levels = NDArray[np.int64]
ABSENT = -1  # the level of what was not measured: a layer not in use, or frozen
MEDIAN = 5  # records
NO_DIFFERENCE = 1e-9  # between a cosine and 1: below it, float32 activations tell no more


@dataclass(frozen=True, kw_only=True)
class Sign:
    """One number per layer and record, and the borders between its levels."""

    # scalars [n, STATISTICS, layers], steps [n] -> [n, layers]
    of: Callable[[Floats, Levels], Floats]
    borders: tuple[float, ...]  # level i lies between border i - 1 and border i
    margin: float  # how far beyond a border it must be before the level changes


def _log(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log10(values)
    return found


def _statistic(name: str) -> Callable[[Floats, Levels], Floats]:
    return lambda scalars, steps: _log(scalars[:, ROW[name]])


def _share(name: str) -> Callable[[Floats, Levels], Floats]:
    return lambda scalars, steps: scalars[:, ROW[name]]


def _signal_ratio(scalars: Floats, steps: Levels) -> Floats:
    """log10 R, the same in every layer; NaN where fewer than two hidden layers are trained."""
    delta = scalars[:, ROW["delta_rms"], :-1]
    low, top = ends(delta)
    rows = np.arange(len(delta))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(low < top, delta[rows, low] / delta[rows, top], np.nan)
    return np.repeat(_log(ratio)[:, None], scalars.shape[2], axis=1)


def ends(delta: Floats) -> tuple[Levels, Levels]:
    """The lowest and the highest hidden layer that has a gradient, from 0, [n] each."""
    trained = ~np.isnan(delta)
    return trained.argmax(axis=1), delta.shape[1] - 1 - trained[:, ::-1].argmax(axis=1)


def _after_first_steps(scalars: Floats, steps: Levels) -> Floats:
    late = (steps >= FIRST_STEPS)[:, None]
    return np.where(late, _log(scalars[:, ROW["update_ratio"]]), np.nan)


def _alike(scalars: Floats, steps: Levels) -> Floats:
    """Decades of 1 - cosine: 2 where it is 0.99."""
    return -_log(np.maximum(1 - scalars[:, ROW["sample_correlation"]], NO_DIFFERENCE))


def _underflow(scalars: Floats, steps: Levels) -> Floats:
    """Share of exact zeros where the signal has all but died on its way: others are natural.

    A ReLU that is off, or an input that is always 0, gives exact zeros beside ordinary numbers; a
    dead layer gives them from an ordinary signal above it to none at all.
    """
    delta = np.nan_to_num(scalars[:, ROW["delta_rms"]], nan=1.0)
    alive = np.where(delta > 0, delta, np.inf)
    # The smallest signal in this layer and those above it, from the output down.
    above = np.minimum.accumulate(alive[:, ::-1], axis=1)[:, ::-1]
    zeros = scalars[:, ROW["grad_zero_share"]]
    return np.where(np.isnan(zeros), np.nan, np.where(above < TINY, zeros, 0.0))


SIGNS: dict[str, Sign] = {
    "signal_ratio": Sign(
        of=_signal_ratio, borders=(log10(VANISHING), log10(FADING), log10(EXPLODING)), margin=0.18
    ),
    "update": Sign(
        of=_statistic("update_ratio"),
        borders=(log10(SUNK), log10(ASLEEP), log10(UNMOVED)),
        margin=0.1,
    ),
    "large_update": Sign(
        of=_after_first_steps, borders=(log10(TOO_LARGE), log10(REPLACING)), margin=0.1
    ),
    "gradient": Sign(
        of=_statistic("grad_rms"),
        borders=(log10(LOST_TO_EPSILON), log10(ADAM_EPSILON)),
        margin=0.18,
    ),
    "saturated": Sign(
        of=_share("saturated_share"), borders=(SATURATED, NEARLY_ALL_SATURATED), margin=0.03
    ),
    "dead": Sign(of=_share("dead_share"), borders=(DEAD, ALL_DEAD), margin=0.015),
    "alike": Sign(of=_alike, borders=(-log10(1 - ALIKE),), margin=0.1),
    "zeros": Sign(of=_underflow, borders=(ZEROS,), margin=0.05),
}
_PLACE = {name: place for place, name in enumerate(SIGNS)}
_MOST = max(len(sign.borders) for sign in SIGNS.values())
_BORDERS = np.array(
    [[*sign.borders, *[np.inf] * (_MOST - len(sign.borders))] for sign in SIGNS.values()]
)[:, :, None]
_MARGINS = np.array([sign.margin for sign in SIGNS.values()])[:, None, None]
_AHEAD = 64  # records looked at together for the next one that changes a level


class Signs:
    """Every sign of every layer, settled: medians and levels, [signs, layers]."""

    def __init__(self, layers: int):
        self.medians = np.full((len(SIGNS), layers), np.nan)
        self.levels = np.full((len(SIGNS), layers), ABSENT)
        self.woken = np.zeros(layers, bool)  # whether an update was ever sizeable, in this phase
        self._phase = 0
        self._history = self.medians[None]

    def add(self, records: Sequence[Record]) -> None:
        """Take in records that follow those before."""
        phases = [record.phase for record in records]
        starts = [n for n, phase in enumerate(phases) if phase != (phases[n - 1] if n else None)]
        for start, stop in zip(starts, [*starts[1:], len(records)], strict=True):
            scalars = np.stack([record.scalars for record in records[start:stop]])
            scalars = np.where(scalars[:, None, ROW["frozen"]] == 1, np.nan, scalars)
            steps = np.array([record.step for record in records[start:stop]])
            values = np.stack([sign.of(scalars, steps) for sign in SIGNS.values()], axis=1)
            self._settle(values, phases[start])

    def _settle(self, values: Floats, phase: int) -> None:
        """values  [n, signs, layers]"""
        if phase != self._phase:  # another network: what was before it tells nothing of it
            self._phase = phase
            self._history = np.repeat(values[:1], MEDIAN - 1, axis=0)
            self.levels[:] = ABSENT
            self.woken[:] = False
        block = np.concatenate([self._history, values])
        windows = sliding_window_view(block, MEDIAN, axis=0)
        windows = np.where(np.isnan(windows), values[..., None], windows)
        medians = np.sort(windows, axis=-1)[..., MEDIAN // 2]
        told = medians[:, :, None]  # [n, signs, borders, layers]
        levels = (told > _BORDERS).sum(axis=2)
        surely, maybe = (
            (told > _BORDERS + _MARGINS).sum(axis=2),
            (told > _BORDERS - _MARGINS).sum(axis=2),
        )
        place = 0
        while place < len(values):  # from change to change: most records change no level
            ahead = slice(place, place + _AHEAD)
            held = np.clip(self.levels, surely[ahead], maybe[ahead])
            now = np.where(self.levels == ABSENT, levels[ahead], held)
            now = np.where(np.isnan(medians[ahead]), ABSENT, now)
            changes = np.flatnonzero((now != self.levels).any(axis=(1, 2)))
            first = int(changes[0]) if len(changes) else len(now) - 1
            self.levels = now[first]
            self.woken |= self.levels[_PLACE["update"]] == len(SIGNS["update"].borders)
            place += first + 1
        self.medians, self._history = medians[-1], block[-(MEDIAN - 1) :]
