"""Growing series held in bounded space. Points may be left out later, but never move.

A run of a million steps then costs a page no more than one of a thousand.
"""

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


class Columns:
    """Every 2^k-th of the rows added so far, and always the newest.

    limit  most rows ever shown; k rises when they would be more
    """

    def __init__(self, limit: int, shape: tuple[int, ...]):
        self.limit = limit
        self._keys = np.zeros(limit + 1, np.int64)
        self._rows = np.zeros((limit + 1, *shape))
        self._kept = 0  # rows that stay until k rises; one more, the newest, may follow them
        self._newest = 0  # 1 where the newest row is not among the kept
        self._every = 1
        self._seen = 0

    def add(self, key: int, row: Array | float) -> None:
        """Take the next row; `key` is its step or epoch."""
        place = self._kept
        self._keys[place], self._rows[place] = key, row
        keep = self._seen % self._every == 0
        self._kept, self._newest = (place + 1, 0) if keep else (place, 1)
        self._seen += 1
        if self._kept == self.limit:
            self._halve()

    @property
    def every(self) -> int:
        """How many rows there were for each that is kept: a power of two."""
        return self._every

    def kept(self, every: int) -> NDArray[np.intp]:
        """Places of the rows that would be kept of every `every`-th, itself at least `self.every`.

        Without the newest, unless it is one of them: series of one schedule then share their keys.
        """
        return np.arange(0, self._kept, max(1, every // self._every))

    def _halve(self) -> None:
        newest_key, newest_row = int(self.keys[-1]), self.rows[-1].copy()
        half = (self._kept + 1) // 2
        self._keys[:half] = self._keys[: self._kept : 2].copy()
        self._rows[:half] = self._rows[: self._kept : 2].copy()
        self._kept, self._every = half, self._every * 2
        self._newest = int(self._keys[half - 1] != newest_key)
        self._keys[half], self._rows[half] = newest_key, newest_row

    @property
    def keys(self) -> NDArray[np.int64]:
        """Steps or epochs of the rows shown, [rows], rising."""
        return self._keys[: self._kept + self._newest]

    @property
    def rows(self) -> Array:
        """The rows shown, [rows, ...], oldest first."""
        return self._rows[: self._kept + self._newest]


_EMPTY: Array = np.zeros(0)


@dataclass
class Intervals:
    """Sums, minima and maxima over intervals of 2^k steps, so that no spike is thinned away.

    limit  most intervals ever held; the width doubles when they would be more
    """

    limit: int
    width: int = 1
    start: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))
    count: Array = field(default_factory=_EMPTY.copy)
    loss: Array = field(default_factory=_EMPTY.copy)  # sums
    loss_min: Array = field(default_factory=_EMPTY.copy)
    loss_max: Array = field(default_factory=_EMPTY.copy)
    accuracy: Array = field(default_factory=_EMPTY.copy)  # sums

    def add(self, steps: NDArray[np.int64], loss: Array, accuracy: Array) -> None:
        """Take the next steps, [n] each, above all earlier ones."""
        if not len(steps):
            return
        self.start = np.concatenate([self.start, steps])
        self.count = np.concatenate([self.count, np.ones(len(steps))])
        self.loss = np.concatenate([self.loss, loss])
        self.loss_min = np.concatenate([self.loss_min, loss])
        self.loss_max = np.concatenate([self.loss_max, loss])
        self.accuracy = np.concatenate([self.accuracy, accuracy])
        self._merge()
        while len(self.start) > self.limit:
            self.width *= 2
            self._merge()

    def _merge(self) -> None:
        first = np.flatnonzero(np.diff(self.start // self.width, prepend=-1))
        self.start = self.start[first]
        self.count = np.add.reduceat(self.count, first)
        self.loss = np.add.reduceat(self.loss, first)
        self.loss_min = np.fmin.reduceat(self.loss_min, first)
        self.loss_max = np.fmax.reduceat(self.loss_max, first)
        self.accuracy = np.add.reduceat(self.accuracy, first)

    def of_width(self, width: int) -> "Intervals":
        """A copy in intervals of `width` steps, itself at least `self.width`."""
        wider = replace(self, width=width)
        if width > self.width and len(self.start):
            wider._merge()
        return wider

    @property
    def centre(self) -> Array:
        """Middle step of each interval."""
        return self.start + (self.count - 1) / 2
