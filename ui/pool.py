"""The growing arrays of several seeds: each row made once, and anew only when another seed has it."""

from collections.abc import Callable, Sequence
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from engine.records import EPOCH_NUMBERS, Record
from ui import arrays, frames, seeds
from ui.arrays import GRADIENT, Named
from ui.cells import Heat, log10
from ui.thinning import Columns
from ui.views import RunView

BOTTOM = -330.0  # log10 below that of every float64
Rows = NDArray[np.int64]
Profile = tuple[Record | None, Named]


class Pool:
    """Medians and bands over the same seeds, time after time."""

    def __init__(self) -> None:
        self.generation = 0  # of which seeds these are: raised when one comes or goes
        self._made: dict[str, tuple[Rows, Named]] = {}  # axis -> identity and rows, last time
        # Seed -> what its curve was made from, and its arrays; gone with the seed's view.
        self._curves: WeakKeyDictionary[RunView, tuple[Any, Named]] = WeakKeyDictionary()
        self._profiles: dict[str, tuple[list[Record], Profile]] = {}

    def heat(self, views: Sequence[RunView]) -> Heat:
        """The medians of the gradient by layer and step."""
        if len(views) == 1:
            return views[0].heat()
        kept = _in_common([view.records for view in views])
        pairs = [(view.heat(), rows) for view, rows in zip(views, kept, strict=True)]
        over = seeds.overlay([heat.steps[rows] for heat, rows in pairs])

        def rows_from(first: int) -> Named:
            def stack(name: str, lacking: Any) -> Any:
                return over.stack(
                    [getattr(heat, name)[rows] for heat, rows in pairs], first, lacking
                )

            values, marks = seeds.cells(stack("log10", np.nan), stack("marks", 255))
            seconds = seeds.median(stack("seconds", np.nan))
            return {"log10": values, "marks": marks, "seconds": seconds}

        identity = self._identity(over.rows, over.count)
        return Heat(
            steps=over.rows, identity=identity, **self._grown("records", identity, rows_from)
        )

    def curve(self, views: Sequence[RunView]) -> tuple[Rows, Named]:
        """Loss and accuracy of the batches, in intervals as wide as the widest: identity and arrays."""
        width = max(view.curve.width for view in views)
        curves = [self._curve_of(view, width) for view in views]
        over = seeds.overlay([curve["key"] for curve in curves])

        def rows_from(first: int) -> Named:
            def stack(*names: str) -> Any:
                parts = [
                    over.stack([c[name] for c in curves], first, np.float32(np.nan))
                    for name in names
                ]
                return np.stack(parts, axis=-1)

            names = ("loss_mean", "accuracy_mean")
            return seeds.with_bands(names, stack(*names)) | {
                "curve_steps": np.fmax.reduce(
                    over.stack([c["centre"] for c in curves], first, np.nan)
                ),
                "loss_min": np.fmin.reduce(stack("loss_min"))[:, 0],
                "loss_max": np.fmax.reduce(stack("loss_max"))[:, 0],
            }

        steps = np.zeros(len(over.rows))
        for curve, places in zip(curves, over.places, strict=True):
            steps[places] += curve["count"]
        identity = self._identity(over.rows * width, steps)
        return identity, self._grown("curve", identity, rows_from)

    def _curve_of(self, view: RunView, width: int) -> Named:
        """The curve of one seed in intervals of a width; the same one while nothing is added."""
        now = (width, view.curve.width, float(view.curve.count.sum()))
        before, made = self._curves.get(view, (None, {}))
        if before != now:
            wide = view.curve.of_width(width)
            made = arrays.curve(wide) | {"key": wide.start // width, "count": wide.count}
            made["centre"] = made["curve_steps"]
            self._curves[view] = (now, made)
        return made

    def epochs(self, views: Sequence[RunView]) -> tuple[Rows, Named]:
        """Losses and accuracies at the ends of epochs: identity and arrays."""
        kept = _in_common([view.epochs for view in views])
        pairs = [(view.epochs, rows) for view, rows in zip(views, kept, strict=True)]
        over = seeds.overlay([columns.keys[rows] for columns, rows in pairs])

        def rows_from(first: int) -> Named:
            series = [columns.rows[rows].astype(np.float32) for columns, rows in pairs]
            names = [f"epoch_{name}" for name in EPOCH_NUMBERS]
            made = seeds.with_bands(names, over.stack(series, first, np.nan))
            steps = {"epoch_steps": over.rows[first:].astype(np.uint32)}
            return steps | {name: rows for name, rows in made.items() if "seconds" not in name}

        identity = self._identity(over.rows, over.count)
        return identity, self._grown("epochs", identity, rows_from)

    def profile(self, name: str, records: Sequence[Record]) -> Profile:
        """One record for all these, and the bands of its profile; the same while they are."""
        before, made = self._profiles.get(name, ([], (None, {})))
        if len(before) != len(records) or any(
            a is not b for a, b in zip(before, records, strict=True)
        ):
            made = seeds.pooled(records), _profile_bands(name, records)
            self._profiles[name] = (list(records), made)
        return made

    def _identity(self, *columns: Any) -> Rows:
        """A row is the same as long as as much is in it, of the same seeds."""
        generation = np.full(len(columns[0]), self.generation)
        return np.stack([*columns, generation], axis=1).astype(np.int64)

    def _grown(self, axis: str, identity: Rows, rows_from: Callable[[int], Named]) -> Named:
        """The arrays of an axis: rows that are the same as last time, then those made anew."""
        old_identity, old = self._made.get(axis, (None, {}))
        first = frames.same_rows(old_identity, identity)
        if old_identity is not None and first == len(identity) == len(old_identity):
            return old
        new = rows_from(first)
        if first:
            new = {name: np.concatenate([old[name][:first], rows]) for name, rows in new.items()}
        self._made[axis] = (identity, new)
        return new


def _in_common(series: Sequence[Columns]) -> list[NDArray[np.intp]]:
    """Of each series the rows that all keep as far as they go, and the newest of all.

    Seeds of one configuration record the same steps, but one that is further on keeps fewer.
    """
    every = max(columns.every for columns in series)
    newest = max((int(columns.keys[-1]) for columns in series if len(columns.keys)), default=None)
    found = []
    for columns in series:
        kept, last = columns.kept(every), len(columns.keys) - 1
        if last >= 0 and columns.keys[last] == newest and kept[-1] != last:
            kept = np.append(kept, last)
        found.append(kept)
    return found


def _profile_bands(name: str, records: Sequence[Record]) -> Named:
    """Bands of a profile; where one reaches down to an exact zero, it goes off below the axis."""
    if not records:
        return {}
    rms = np.stack([record.scalars[GRADIENT] for record in records])
    values = np.where(rms == 0, np.float32(-np.inf), log10(rms))
    found = seeds.with_bands([name], values[..., None])
    del found[name]
    return {
        end: np.where(np.isneginf(band), np.float32(BOTTOM), band) for end, band in found.items()
    }
