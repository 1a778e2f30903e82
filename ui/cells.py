"""What each cell of the heatmap is: a colour, or a mark with a word. numpy only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from engine.records import ROW, Record
from ui.theme import GRADIENT_DOMAIN, MARKS


@dataclass(frozen=True, kw_only=True)
class Heat:
    """A contender's gradient by layer and step: what its heatmap draws and others compare with."""

    steps: NDArray[np.int64]  # [n], rising
    seconds: NDArray[np.float64]  # [n] of training at each record
    log10: NDArray[np.float32]  # [n, layers] of the gradient RMS; NaN where it has none
    marks: NDArray[np.uint8]  # [n, layers] codes of theme.MARKS
    identity: NDArray[np.int64]  # [n, ...] what each row is: equal where all of it is equal

    def __post_init__(self) -> None:
        lengths = {len(self.steps), len(self.seconds), len(self.log10), len(self.marks)}
        assert lengths == {len(self.identity)}, "one row for each record"


#: What `marks` and `log10` need of a record; rows of scalars, in this order.
NEEDED = ("grad_rms", "grad_nonfinite_share", "frozen")


def cells_of(records: Sequence[Record]) -> NDArray[np.float64]:
    """log10 of the gradient RMS and the mark of each cell, [records, 2, layers]."""
    needed = np.stack([record.scalars[[ROW[name] for name in NEEDED]] for record in records])
    rms, spoilt, frozen = needed.swapaxes(0, 1)
    return np.stack([log10(rms).astype(float), marks_of(rms, spoilt, frozen)], axis=1)


def signal_of(record: Record) -> NDArray[np.float64]:
    """log10 of the signal's RMS, dL/dz, and the mark of each layer, [2, layers]: as `cells_of`."""
    rms, frozen = (record.scalars[None, ROW[name]] for name in ("delta_rms", "frozen"))
    return np.stack([log10(rms)[0].astype(float), marks_of(rms, np.zeros_like(rms), frozen)[0]])


def marks(scalars: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What each cell of the heatmap is, as a code of theme.MARKS; 0 where it has a colour.

    scalars  [records, STATISTICS, layers]
    """
    return marks_of(*(scalars[:, ROW[name]] for name in NEEDED))


def marks_of(
    rms: NDArray[np.float64], spoilt: NDArray[np.float64], frozen: NDArray[np.float64]
) -> NDArray[np.uint8]:
    """The same from the statistics of NEEDED alone, [records, layers] each.

    A layer that is in the network is frozen or not; NaN there says that it is not in it.
    """
    low, high = 10.0 ** GRADIENT_DOMAIN[0], 10.0 ** GRADIENT_DOMAIN[1]
    found = np.zeros(rms.shape, np.uint8)
    cases = {  # the last that holds
        "above": rms > high,
        "below": rms < low,
        "zero": rms == 0,
        "nonfinite": ~np.isfinite(rms) | (spoilt > 0),
        "frozen": frozen == 1,
        "absent": np.isnan(frozen),
    }
    for name, holds in cases.items():  # np.select does this in twice the time
        found[holds] = MARKS[name][0]
    return found


def log10(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """log10 where there is one, NaN elsewhere: of zero, of infinity and of NaN."""
    good = np.isfinite(values) & (values > 0)
    return np.where(good, np.log10(np.where(good, values, 1.0)), np.nan).astype(np.float32)
