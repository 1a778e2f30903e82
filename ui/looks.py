"""What is drawn and said of one record, each part computed once: charts, tiles and texts ask for the same.

A record's cells cost some 30 calls of numpy on a few numbers each. A page needs those of the newest
record three times per display, and those of the first again and again.
"""

import math
from functools import cached_property, lru_cache
from typing import Any

from numpy.typing import NDArray

from engine.outcomes import gradient_ratio, last_hidden
from engine.records import ROW, Record
from ui import histograms
from ui.cells import cells_of, signal_of
from ui.numbers import power
from ui.theme import MARKS

KEPT = 64  # looks: of six runs on a page, the first record and the newest, and those of other pages
_WORD = dict(MARKS.values())
_SPOILT = _WORD[MARKS["nonfinite"][0]]


class Look:
    """One record as it is looked at. What it gives is shared, and must not be changed."""

    def __init__(self, record: Record):
        self.record = record

    @cached_property
    def gradient(self) -> NDArray[Any]:
        """log10 of the gradient RMS and the mark of each layer, [2, layers]."""
        cells: NDArray[Any] = cells_of([self.record])[0]
        return cells

    @cached_property
    def signal(self) -> NDArray[Any]:
        """log10 of the signal's RMS, dL/dz, and the mark of each layer, [2, layers]."""
        return signal_of(self.record)

    @cached_property
    def gradient_words(self) -> list[str]:
        """The gradient RMS of each layer in words: "8.13·10⁻⁶", "exactly 0", "frozen"."""
        return self._words("grad_rms", self.gradient)

    @cached_property
    def signal_words(self) -> list[str]:
        """The signal's RMS of each layer in words."""
        return self._words("delta_rms", self.signal)

    def _words(self, statistic: str, cells: NDArray[Any]) -> list[str]:
        values, codes = self.record.scalars[ROW[statistic]].tolist(), cells[1].tolist()
        return [_in_words(rms, int(code)) for rms, code in zip(values, codes, strict=True)]

    @cached_property
    def notes(self) -> dict[str, list[str]]:
        """Per kind of histogram and layer, in words, what its bins do not hold."""
        return histograms.notes(self.record)

    @cached_property
    def top(self) -> int:
        """Number of the highest hidden layer that is in the network."""
        return last_hidden(self.record)

    @cached_property
    def ratio(self) -> float | None:
        """The gradient RMS of layer 1 over that of the last hidden layer; None where it has none."""
        return gradient_ratio(self.record)

    @cached_property
    def signal_ratio(self) -> float | None:
        """The same of the signal."""
        return gradient_ratio(self.record, "delta_rms")


def _in_words(rms: float, code: int) -> str:
    measured = math.isfinite(rms) and rms > 0 and _WORD.get(code) != _SPOILT
    value = power(math.log10(rms)) if measured else ""
    return ", ".join(part for part in (value, _WORD.get(code, "")) if part)


class _Same:
    """A record as a key: the same only where it is that very one, since arrays have no equality."""

    def __init__(self, record: Record):
        self.record = record

    def __hash__(self) -> int:
        return id(self.record)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.record is other.record


@lru_cache(maxsize=KEPT)
def _known(key: _Same) -> Look:
    return Look(key.record)


def look(record: Record) -> Look:
    """The look of a record; the same one while it is among the last that were asked for."""
    return _known(_Same(record))
