"""A run's file -> named arrays, read once for all who look. numpy only; tables are in ui/tables.py.

`RunView` reads what is new and holds a bounded part of it; `Display` is what one moment of it
looks like: words for people and named arrays. Figures and the browser know the arrays by name.
"""

import math
import sqlite3
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import store
from engine.errors import StoreError
from engine.records import EPOCH_NUMBERS, ROW, STATISTICS, EpochEnd, Event, Record
from engine.store import RunInfo
from ui import histograms, summary
from ui.cells import log10, marks
from ui.theme import MARKS, PROFILE_RANGE
from ui.thinning import Columns, Intervals

#: Most columns of a heatmap, points of a curve, epochs. More would not be seen: a chart is some
#: 500 to 1,500 pixels wide.
LIMIT = 1024
Named = dict[str, NDArray[Any]]


@dataclass(frozen=True, kw_only=True)
class Display:
    """What a run looks like at one moment."""

    header: dict[str, Any] = field(default_factory=dict)  # words and numbers; JSON
    arrays: Named = field(default_factory=dict)
    grows: dict[str, str] = field(default_factory=dict)  # array -> what its first axis counts
    identity: dict[str, NDArray[Any]] = field(default_factory=dict)  # axis -> what each row is

    def columns(self) -> dict[str, Any]:
        """All that figures draw from, by name: arrays, texts, the step and the events."""
        told = {name: self.header[name] for name in ("step", "events")}
        return {**self.arrays, **self.header["texts"], **told}


class RunView:
    """One run, read incrementally. Everything raised is an EngineError.

    path  the run's file
    info  how to learn of the run beside its numbers, where that is more than the file says
          (runs.info notices a worker that was killed)
    """

    def __init__(self, path: Path, info: Callable[[], RunInfo] | None = None):
        self.path = path
        self.reader = store.Reader(path)
        with _sentences(path):
            self.info = self.reader.run()
        self._learn = info
        self._fresh = True
        layers = self.info.spec.layers
        self.records = Columns(LIMIT, (len(STATISTICS), layers))
        self.epochs = Columns(LIMIT, (len(EPOCH_NUMBERS),))
        self.curve = Intervals(LIMIT)
        self.pace: list[tuple[float, int]] = []  # seconds of training and steps, lately
        self.first: Record | None = None
        self.newest: Record | None = None
        self.newest_epoch: EpochEnd | None = None
        self.newest_loss: float | None = None
        self.events: list[Event] = []
        self._last = {"record": -1, "steps": -1, "epoch": 0, "version": -1}

    @property
    def step(self) -> int:
        """Steps finished, by the newest of what was read; once it has ended, as it ended."""
        if self.info.status not in store.OPEN:
            return self.info.step
        return max(self.info.step, self._last["steps"] + 1, self._last["record"])

    def refresh(self) -> bool:
        """Read what is new; whether anything was."""
        if not self.path.exists():
            raise StoreError(f"The run file {self.path.name} is gone: the run was deleted.")
        with _sentences(self.path):
            version = self.reader.connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._last["version"]:
                return False
            self._read_steps()
            self._read_records()
            self._read_epochs()
            self.events = self.reader.events()
            self.info = self.reader.run()
            self._last["version"] = version
            if self._fresh:
                self._fresh = False
                self.check()
        return True

    def check(self) -> bool:
        """Ask anew for the status, which may change without a write; whether it did."""
        before = self.info
        self.info = self._learn() if self._learn else self.info
        return (before.status, before.sentence) != (self.info.status, self.info.sentence)

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()

    def _read_steps(self) -> None:
        blocks = self.reader.steps(self._last["steps"])
        if not blocks:
            return
        steps = np.concatenate([b.first + np.arange(len(b.loss)) for b in blocks])
        loss = np.concatenate([b.loss for b in blocks])
        accuracy = np.concatenate([b.accuracy for b in blocks])
        self.curve.add(steps, loss, accuracy)
        self._last["steps"] = int(steps[-1])
        self.newest_loss = float(loss[-1])
        self.pace += [(b.seconds, b.first + len(b.loss)) for b in blocks[-50:]]
        while len(self.pace) > 2 and self.pace[-1][0] - self.pace[1][0] > summary.PACE_SECONDS:
            del self.pace[0]

    def _read_records(self) -> None:
        for record in self.reader.records(self._last["record"]):
            self.records.add(record.step, record.scalars)
            self._last["record"] = record.step
        if self.first is None and len(self.records.keys):
            self.first = self.reader.record(int(self.records.keys[0]))
        if self.newest is None or self.newest.step != self._last["record"]:
            self.newest = self.reader.record(self._last["record"]) or self.newest

    def _read_epochs(self) -> None:
        for end in self.reader.epochs(self._last["epoch"]):
            self.epochs.add(end.step, np.array([getattr(end, name) for name in EPOCH_NUMBERS]))
            self._last["epoch"] = end.epoch
            self.newest_epoch = end

    def display(self) -> Display:
        """All there is to show, now. The arrays are copies: reading on does not change them."""
        growing = {
            "records": _heatmap(self.records),
            "curve": _curve(self.curve),
            "epochs": _epochs(self.epochs),
        }
        arrays = {name: array for group in growing.values() for name, array in group.items()}
        arrays |= _profiles(self.first, self.newest, self.info.spec.layers)
        arrays |= histograms.arrays(self.newest)
        arrays |= _guess(self)
        return Display(
            header=summary.header(self),
            arrays=arrays,
            grows={name: axis for axis, group in growing.items() for name in group},
            identity={
                "records": self.records.keys.copy(),
                "curve": np.stack([self.curve.start, self.curve.count], axis=1),
                "epochs": self.epochs.keys.copy(),
            },
        )


class _sentences:  # noqa: N801  a context manager used as a word
    """Turns what a damaged file makes sqlite3, zlib and numpy say into one sentence."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (sqlite3.Error, zlib.error, ValueError, TypeError, IndexError)):
            raise StoreError(f"The run file {self.path.name} is damaged: {error}.") from error


def _heatmap(records: Columns) -> Named:
    return {
        "steps": records.keys.astype(np.uint32),
        "grad_log10": log10(records.rows[:, ROW["grad_rms"]]),
        "marks": marks(records.rows),
    }


def _curve(curve: Intervals) -> Named:
    count = np.maximum(curve.count, 1)
    return {
        "curve_steps": curve.centre,
        "loss_mean": (curve.loss / count).astype(np.float32),
        "loss_min": curve.loss_min.astype(np.float32),
        "loss_max": curve.loss_max.astype(np.float32),
        "accuracy_mean": (curve.accuracy / count).astype(np.float32),
    }


def _epochs(epochs: Columns) -> Named:
    columns = {
        f"epoch_{name}": epochs.rows[:, place].astype(np.float32)
        for place, name in enumerate(EPOCH_NUMBERS)
        if name != "seconds"
    }
    return {"epoch_steps": epochs.keys.astype(np.uint32)} | columns


def _profiles(first: Record | None, newest: Record | None, layers: int) -> Named:
    arrays: Named = {}
    for name, record in {"now": newest, "start": first}.items():
        scalars = record.scalars if record else np.full((len(STATISTICS), layers), np.nan)
        value = log10(scalars[ROW["grad_rms"]])
        code = marks(scalars[None])[0]
        floor, ceiling = PROFILE_RANGE
        arrays[f"profile_{name}"] = np.where(code == 0, value, np.nan).astype(np.float32)
        low = np.isin(code, [MARKS["below"][0], MARKS["zero"][0]])
        high = np.isin(code, [MARKS["above"][0], MARKS["nonfinite"][0]])
        off = np.where(low, floor + 0.5, np.where(high, ceiling - 0.5, np.nan))
        arrays[f"profile_{name}_off"] = off.astype(np.float32)
    return arrays


def _guess(view: RunView) -> Named:
    """Two points each of the loss and accuracy of guessing, over the steps so far."""
    classes = len(view.info.spec.data_set.classes)
    return {
        "guess_steps": np.array([0, max(view.step, 1)], np.uint32),
        "guess_loss": np.full(2, math.log(classes), np.float32),
        "guess_accuracy": np.full(2, 1 / classes, np.float32),
    }
