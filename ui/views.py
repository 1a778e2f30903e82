"""A run's file -> named arrays, read once for all who look. numpy only; tables are in ui/tables.py.

`RunView` reads what is new and holds a bounded part of it. Whatever else can be looked at (the seeds of one configuration, the difference of two runs, a
table) is a `View` as well, in a module of its own.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from engine import store
from engine.errors import StoreError
from engine.findings import Finding
from engine.outcomes import stamp
from engine.records import EPOCH_NUMBERS, ROW, STATISTICS, EpochEnd, Event, Record
from engine.spec import RunSpec
from engine.store import RunInfo
from ui import arrays, diagnosed, histograms, overlay, states, summary
from ui.arrays import Named
from ui.cells import Heat, cells_of
from ui.damage import told_as_damage
from ui.display import Display, grown
from ui.overlay import Asked, Theory
from ui.predictions import Ask, predictions
from ui.thinning import Columns, Intervals

#: Most columns of a heatmap, points of a curve, epochs. More would not be seen: a chart is some
#: 500 to 1,500 pixels wide.
LIMIT = 1024


class View(Protocol):
    """Anything that can be looked at while it changes. Everything raised is an EngineError."""

    @property
    def every(self) -> float:
        """Seconds between two displays, at least: what costs more is shown less often."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of itself."""

    def refresh(self) -> bool:
        """Read what is new; whether anything was. Cheap where nothing is."""

    def check(self) -> bool:
        """Ask anew for what may change without a write; whether it did."""

    def display(self) -> Display:
        """All there is to show, now."""

    def close(self) -> None:
        """Let go of the files."""


class ContenderView(View, Protocol):
    """A run, or the seeds of one configuration: what stands side by side, and can be compared."""

    @property
    def spec(self) -> RunSpec:
        """What is trained; of several seeds, with one of them."""

    def heat(self) -> Heat:
        """The gradient by layer and step."""

    def read_heat_only(self) -> None:
        """From now on read no more than `heat` needs: nothing else is asked of it."""


@dataclass(frozen=True, kw_only=True)
class Library:
    """How what is looked at is found: engine.runs and engine.contenders, or what a test has instead.

    All raise EngineError for a name that is none, or of nothing that is there.
    """

    path: Callable[[str], Path]  # of a run's file
    members: Callable[[str], list[str]]  # runs of a group or a set, or the run itself
    # What a file says of its run -> what is so: a worker may be gone.
    checked: Callable[[RunInfo], RunInfo] = lambda info: info
    place: Callable[[str], int] = lambda run: 0  # in the queue, from 1; 0: it does not wait
    predict: Ask = predictions.get

    def run(self, run: str, kept: Sequence[str] = tuple(STATISTICS)) -> "RunView":
        """A run, opened."""
        path = self.path(run)
        return RunView(path, self.checked, lambda: self.place(run), kept, self.predict)


class RunView:
    """One run, read incrementally. Everything raised is an EngineError.

    path     the run's file
    checked  what its file says of the run beside its numbers -> what is so (runs.checked notices a
             worker that was killed, by its process: it reads no file)
    place    its place in the queue, from 1; 0 where it does not wait
    kept     statistics of each record that are held for tables; a screen needs none
    predict  what theory expects of it; None until that is computed
    """

    every = 0.0

    def __init__(
        self,
        path: Path,
        checked: Callable[[RunInfo], RunInfo] = lambda info: info,
        place: Callable[[], int] = lambda: 0,
        kept: Sequence[str] = tuple(STATISTICS),
        predict: Ask = predictions.get,
    ):
        self.path = path
        self.reader = store.Reader(path)
        with told_as_damage(path):
            self.info = self.reader.run()
        self._checked, self._find_place = checked, place
        self.asked = Asked(predict)
        self.place = 0
        self._fresh = True
        self._only_heat = False
        self._heat: Heat | None = None
        self._rested: tuple[int, ...] | None = None
        layers = self.info.spec.layers
        self._kept = [ROW[name] for name in kept]
        self.records = Columns(LIMIT, (len(kept), layers))
        self.cells = Columns(LIMIT, (2, layers))  # log10 of the gradient and its mark
        self.seconds = Columns(LIMIT, ())  # of training, at each record
        self.epochs = Columns(LIMIT, (len(EPOCH_NUMBERS),))
        self.curve = Intervals(LIMIT)
        self.pace: list[tuple[float, int]] = []  # seconds of training and steps, lately
        self.first: Record | None = None
        self._start: Named | None = None  # its profiles
        self._overlay: tuple[object, Named, dict[str, Any]] = (None, {}, {})
        self.newest: Record | None = None
        self.newest_epoch: EpochEnd | None = None
        self.newest_loss: float | None = None
        self.watched = math.nan  # share of the training's time that watching took; NaN if unknown
        self.events: list[Event] = []
        self._diagnosed = diagnosed.Diagnosed(self.info.spec)
        self._last = {"record": -1, "steps": -1, "epoch": 0, "version": -1}

    @property
    def spec(self) -> RunSpec:
        return self.info.spec

    @property
    def ended(self) -> bool:
        """Whether the run will record nothing more, and theory has said what it has to say."""
        return self.info.status not in store.OPEN and not self.asked.waits

    @property
    def theory(self) -> Theory:
        """What theory says of its first step."""
        return self.asked.theory(self.info.spec.layers, self.first)

    @property
    def step(self) -> int:
        """Steps finished, by the newest of what was read; once it has ended, as it ended."""
        if self.info.status not in store.OPEN:
            return self.info.step
        return max(self.info.step, self._last["steps"] + 1, self._last["record"])

    def refresh(self) -> bool:
        """Read what is new; whether anything was, or theory has come meanwhile."""
        read = self._read()
        return self.asked.again(self.info.spec, self.events) or read

    def _read(self) -> bool:
        if not self.path.exists():
            raise StoreError(f"The run file {self.path.name} is gone: the run was deleted.")
        if self._rested is not None:
            if self._rested == stamp(self.path):
                return False
            self.reader, self._rested = store.Reader(self.path), None
            self._last["version"] = -1
        with told_as_damage(self.path):
            version = self.reader.connection.execute("PRAGMA data_version").fetchone()[0]
            if version == self._last["version"]:
                return False
            if self._only_heat:
                self._read_cells()
            else:
                self._read_all()
            self.info = self.reader.run()
            self._last["version"] = version
            if self._fresh:
                self._fresh = False
                self.check()
        return True

    def read_heat_only(self) -> None:
        """From now on read no more than `heat` needs: nothing else is asked of it."""
        self._only_heat = True

    def _read_all(self) -> None:
        self._read_steps()
        self._diagnosed.add(records=self._read_cells())
        self._read_ends_of_records()
        self._read_epochs()
        self.events = self.reader.events()
        self.asked.kernel = self.asked.kernel or self.reader.kernel()

    def check(self) -> bool:
        """Ask anew for the status, which may change without a write; whether it did."""
        before = (self.info.status, self.info.sentence, self.place)
        self.info = self._checked(self.info)
        self.place = self._find_place() if self.info.status == store.QUEUED else 0
        return before != (self.info.status, self.info.sentence, self.place)

    def rest(self) -> bool:
        """Let go of the file until it changes, as of many runs too many would be open.

        Whether anything new was read on the way.
        """
        if self._rested is not None:
            return False
        seen = stamp(self.path)
        changed = self.refresh()  # so that nothing comes between the two
        self.reader.close()
        self._rested = seen
        return changed

    def close(self) -> None:
        """Let go of the file."""
        self.reader.close()

    def _read_steps(self) -> None:
        blocks = self.reader.steps(self._last["steps"], joined=True)
        if not blocks:
            return
        steps = np.concatenate([b.first + np.arange(len(b.loss)) for b in blocks])
        loss = np.concatenate([b.loss for b in blocks])
        accuracy = np.concatenate([b.accuracy for b in blocks])
        self.curve.add(steps, loss, accuracy)
        self._diagnosed.add(steps=blocks)
        self._last["steps"] = int(steps[-1])
        self.newest_loss = float(loss[-1])
        if seconds := blocks[-1].seconds:
            self.watched = blocks[-1].watched / seconds
        self.pace += [(b.seconds, b.first + len(b.loss)) for b in blocks[-50:]]
        while len(self.pace) > 2 and self.pace[-1][0] - self.pace[1][0] > summary.PACE_SECONDS:
            del self.pace[0]

    def _read_cells(self) -> list[Record]:
        """What the heatmap needs of the records that are new; these."""
        new = self.reader.records(self._last["record"])
        if new:
            for record, cells in zip(new, cells_of(new), strict=True):
                self.records.add(record.step, record.scalars[self._kept])
                self.cells.add(record.step, cells)
                self.seconds.add(record.step, record.seconds)
            self._last["record"] = new[-1].step
            self._heat = None
        return new

    def _read_ends_of_records(self) -> None:
        """The first record and the newest, with their histograms."""
        if self.first is None and len(self.records.keys):
            self.first = self.reader.record(int(self.records.keys[0]))
        if self.newest is None or self.newest.step != self._last["record"]:
            self.newest = self.reader.record(self._last["record"]) or self.newest

    def _read_epochs(self) -> None:
        for end in self.reader.epochs(self._last["epoch"]):
            self.epochs.add(end.step, np.array([getattr(end, name) for name in EPOCH_NUMBERS]))
            self._diagnosed.add(epochs=[end])
            self._last["epoch"] = end.epoch
            self.newest_epoch = end

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What there is to say of it now, most severe first."""
        return self._diagnosed.findings(self.info, self.asked.prediction)

    @property
    def left(self) -> float | None:
        """Seconds of training to go; None where they are not known."""
        speed = summary.pace(self)
        if self.info.status != store.RUNNING or not speed:
            return None
        return (self.info.spec.total_steps - self.step) / speed

    def heat(self) -> Heat:
        """The gradient by layer and step. The arrays are copies: reading on does not change them."""
        if self._heat is None:
            self._heat = self._make_heat()
        return self._heat

    def _make_heat(self) -> Heat:
        return Heat(
            steps=self.cells.keys.copy(),
            seconds=self.seconds.rows.copy(),
            log10=self.cells.rows[:, 0].astype(np.float32),
            marks=self.cells.rows[:, 1].astype(np.uint8),
            identity=self.cells.keys.copy(),
        )

    def display(self) -> Display:
        """All there is to show, now."""
        heat = self.heat()
        layers = self.info.spec.layers
        if self._start is None and self.first is not None:
            self._start = arrays.profiles("start", self.first, layers)
        whole = arrays.profiles("now", self.newest, layers)
        whole |= self._start or arrays.profiles("start", None, layers)
        whole |= self._overlaid()[0]
        whole |= histograms.arrays(self.newest)
        whole |= arrays.guess(self.info.spec, self.step)
        growing = {
            "records": arrays.heatmap(heat),
            "curve": arrays.curve(self.curve),
            "epochs": arrays.epochs(self.epochs),
        }
        identity = {
            "records": heat.identity,
            "curve": np.stack([self.curve.start, self.curve.count], axis=1),
            "epochs": self.epochs.keys.copy(),
        }
        return grown(self.header(), whole, growing, identity)

    def header(self) -> dict[str, Any]:
        """Everything a viewer is told beside the arrays; JSON."""
        info = self.info
        took = info.ended - info.started if info.ended and info.started else None
        state = states.of_run(
            info.status, step=self.step, place=self.place, left=self.left, took=took
        )
        more = {"steps_per_epoch": info.spec.steps_per_epoch, "state": state}
        header = summary.header(self) | more | {"findings": diagnosed.told(self.findings)}
        header["texts"] |= self._overlaid()[1]
        return header

    def _overlaid(self) -> tuple[Named, dict[str, Any]]:
        """Theory's arrays and texts; the same ones while no more is known of it."""
        theory = self.theory
        known = id(theory.prediction), theory.waits, id(theory.first)
        if self._overlay[0] != known:
            self._overlay = known, overlay.arrays(theory), overlay.texts(theory)
        return self._overlay[1:]
