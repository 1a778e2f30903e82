"""What came of a run, in one row of numbers: how well it learned, when it woke up, what survived.

`Measure` reads one run's file, only what is new of it; `summarise` puts the seeds of a contender
together. numpy only, so that the server and the command line say the same.
"""

import math
import statistics
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from engine import store
from engine.errors import StoreError
from engine.records import ROW, EpochEnd, Record
from engine.spec import RunSpec
from engine.store import RunInfo

AWAKE_RATIO = 1e-4  # a layer is awake once a step changes its weights by more than this share
PACE_SECONDS = 3.0  # of training over which steps per second are averaged


@dataclass(frozen=True)
class Column:
    """One figure of the table of outcomes."""

    title: str
    form: str  # "share", "number", "ratio", "seconds" or "count"
    help: str


#: The table's columns, in its order. `Outcome` has an attribute for each.
COLUMNS: dict[str, Column] = {
    "test_accuracy": Column(
        "Test accuracy", "share", "On the test examples, after the last finished epoch."
    ),
    "wake_epoch": Column(
        "Time to wake up",
        "count",
        "The first epoch whose validation accuracy exceeds twice that of guessing. With two classes "
        "nothing exceeds that; there it is half way from guessing to all right instead.",
    ),
    "gradient_ratio_start": Column(
        "Gradient ratio at step 0",
        "ratio",
        "Gradient RMS of layer 1 over that of the last hidden layer, in the untouched network. "
        "Near 1: the gradient arrives; far below 1: it vanishes.",
    ),
    "gradient_ratio_end": Column(
        "Gradient ratio at the end", "ratio", "The same ratio at the newest record."
    ),
    "saturated_share": Column(
        "Saturated",
        "share",
        "Share of (unit, example) whose slope is below 5.9 % of its maximum; "
        "mean over the hidden layers at the newest record.",
    ),
    "dead_share": Column(
        "Dead",
        "share",
        "Share of units that pass no gradient for any example of the batch; "
        "mean over the hidden layers at the newest record.",
    ),
    "seconds_per_epoch": Column(
        "Seconds per epoch",
        "seconds",
        "Of training and of measuring accuracy; mean over the finished epochs.",
    ),
}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one run so far.

    A figure is None while it is not known, and for ever where what it tells of never happened. A
    NaN or an infinity is what was measured.
    """

    run: str
    title: str
    status: str  # one of store.STATUSES
    sentence: str  # why it ended
    seed: int
    step: int  # steps finished
    total_steps: int
    epochs: int  # finished, counted on through the phases
    total_epochs: int
    layers: int  # hidden layers and the output layer
    seconds: float  # of training, at the newest thing recorded
    started: float | None  # seconds since 1970
    ended: float | None
    pace: float | None  # steps per second of training, lately; None before two times are known
    test_accuracy: float | None
    wake_epoch: int | None
    gradient_ratio_start: float | None
    gradient_ratio_end: float | None
    saturated_share: float | None
    dead_share: float | None
    seconds_per_epoch: float | None
    layer_wake_steps: tuple[int | None, ...]  # by layer: first recorded step of a sizeable update

    @property
    def seconds_left(self) -> float | None:
        """Of training, at the pace it goes; None where it does not train or that is not known."""
        if self.status != store.RUNNING or not self.pace:
            return None
        return max(0, self.total_steps - self.step) / self.pace


def chance(spec: RunSpec) -> float:
    """The accuracy of guessing."""
    return 1 / len(spec.data_set.classes)


def wake_threshold(spec: RunSpec) -> float:
    """The validation accuracy beyond which a network is awake: twice that of guessing.

    With two classes that is 1, which nothing exceeds; there, half way from guessing to 1.
    """
    return min(2 * chance(spec), (1 + chance(spec)) / 2)


def last_hidden(record: Record) -> int:
    """Number of the highest hidden layer that is in the network at this record."""
    present = np.flatnonzero(_present(record))
    return int(present[-1]) + 1 if len(present) else record.scalars.shape[1] - 1


def gradient_ratio(record: Record | None, statistic: str = "grad_rms") -> float | None:
    """The statistic in layer 1 over that in the last hidden layer of the present phase.

    None where either is frozen or the upper one is 0; non-finite where it was measured so.
    """
    if record is None:
        return None
    here = last_hidden(record)
    if record.scalars[ROW["frozen"], [0, here - 1]].any():
        return None
    bottom, top = record.scalars[ROW[statistic], [0, here - 1]].tolist()
    return bottom / top if top else None


def _present(record: Record) -> NDArray[np.bool_]:
    """Which hidden layers are in the network at this record, [hidden layers]."""
    return np.logical_not(np.isnan(record.scalars[:, :-1]).all(axis=0))


def mean_over_layers(record: Record | None, statistic: str) -> float | None:
    """Mean of a statistic over the hidden layers that are in the network; None without a record."""
    if record is None or not _present(record).any():
        return None
    return float(record.scalars[ROW[statistic], :-1][_present(record)].mean())


class Measure:
    """One run's outcome, read incrementally. Everything raised is an EngineError.

    path  the run's file
    info  how to learn of the run beside its numbers, where that is more than the file says
          (runs.info notices a worker that was killed)

    Between reads no file is open: there may be hundreds of these.
    """

    def __init__(self, path: Path, info: Callable[[], RunInfo] | None = None):
        self.path = path
        with store.Reader(path) as reader:
            self.info = reader.run()
        self._learn = info
        self._seen: tuple[int, ...] = ()  # the file's size and time at the last read
        self._first: Record | None = None
        self._newest: Record | None = None
        self._end: EpochEnd | None = None
        self._wake_epoch: int | None = None
        self._threshold = wake_threshold(self.info.spec)
        # Step at which each layer woke, [layers]; -1 while it sleeps.
        self._woke = np.full(self.info.spec.layers, -1, np.int64)
        self._recent: deque[tuple[float, int]] = deque()  # seconds of training and steps, lately
        self._outcome: Outcome | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of the run, and all of it is read."""
        return bool(self._seen) and self.info.status not in store.OPEN

    def refresh(self) -> bool:
        """Read what is new; whether anything was."""
        now = stamp(self.path)
        if now == self._seen:
            return False
        with store.Reader(self.path) as reader:
            # The run's row first: what it says has ended is then read to its end.
            self.info = reader.run()
            self._read_records(reader)
            self._read_epochs(reader)
        first, self._seen, self._outcome = not self._seen, now, None
        if first:
            self.check()
        return True

    def check(self) -> bool:
        """Ask anew for the status, which may change without a write; whether it did."""
        before = self.info
        self.info = self._learn() if self._learn else before
        changed = (before.status, before.sentence) != (self.info.status, self.info.sentence)
        if changed:
            self._outcome = None
        return changed

    def close(self) -> None:
        """Nothing stays open; here so that whatever shows runs can be closed alike."""

    @property
    def outcome(self) -> Outcome:
        """What came of the run, as of the last `refresh`."""
        if self._outcome is None:
            self._outcome = self._present_outcome()
        return self._outcome

    def _read_records(self, reader: store.Reader) -> None:
        for record in reader.records(-1 if self._newest is None else self._newest.step):
            if record.step == 0:
                self._first = record
            wakes = (record.scalars[ROW["update_ratio"]] > AWAKE_RATIO) & (self._woke < 0)
            self._woke[wakes] = record.step
            self._newest = record
            self._recent.append((record.seconds, record.step))
        while len(self._recent) > 2 and self._recent[-1][0] - self._recent[1][0] > PACE_SECONDS:
            self._recent.popleft()

    def _read_epochs(self, reader: store.Reader) -> None:
        for end in reader.epochs(self._end.epoch if self._end else 0):
            if self._wake_epoch is None and end.validation_accuracy > self._threshold:
                self._wake_epoch = end.epoch
            self._end = end

    def _pace(self) -> float | None:
        if len(self._recent) < 2:
            return None
        (start, first), (end, last) = self._recent[0], self._recent[-1]
        return (last - first) / (end - start) if end > start else None

    def _step(self) -> int:
        if self.info.status not in store.OPEN:
            return self.info.step
        recorded = self._newest.step if self._newest else 0
        return max(self.info.step, recorded, self._end.step if self._end else 0)

    def _present_outcome(self) -> Outcome:
        info, end, newest = self.info, self._end, self._newest
        spec = info.spec
        return Outcome(
            run=info.id,
            title=info.title,
            status=info.status,
            sentence=info.sentence,
            seed=spec.seed,
            step=self._step(),
            total_steps=spec.total_steps,
            epochs=end.epoch if end else 0,
            total_epochs=-(-spec.steps_per_phase // spec.steps_per_epoch) * len(spec.phases),
            layers=spec.layers,
            seconds=max(end.seconds if end else 0.0, newest.seconds if newest else 0.0),
            started=info.started,
            ended=info.ended,
            pace=self._pace(),
            test_accuracy=end.test_accuracy if end else None,
            wake_epoch=self._wake_epoch,
            gradient_ratio_start=gradient_ratio(self._first),
            gradient_ratio_end=gradient_ratio(newest),
            saturated_share=mean_over_layers(newest, "saturated_share"),
            dead_share=mean_over_layers(newest, "dead_share"),
            seconds_per_epoch=end.seconds / end.epoch if end else None,
            layer_wake_steps=tuple(None if step < 0 else step for step in self._woke.tolist()),
        )


def stamp(path: Path) -> tuple[int, ...]:
    """What changes whenever a run's file does: sizes and times of it and of its log."""
    try:
        main = path.stat()
    except OSError:
        raise StoreError(f"The run file {path.name} is gone: the run was deleted.") from None
    try:
        log = path.with_name(path.name + "-wal").stat()
    except OSError:
        return main.st_size, main.st_mtime_ns
    return main.st_size, main.st_mtime_ns, log.st_size, log.st_mtime_ns


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One figure over the seeds of a contender."""

    median: float
    low: float  # the smallest
    high: float  # the largest
    count: int  # seeds that have it: the others have not got that far, or never will


def summarise(outcomes: Sequence[Outcome]) -> dict[str, Spread | None]:
    """Each column over the seeds that have it; None where none has.

    Every seed counts with what it has, also one that diverged. A NaN has no place among numbers:
    it counts only where there is nothing else.
    """
    return {
        name: _spread([value for o in outcomes if (value := getattr(o, name)) is not None])
        for name in COLUMNS
    }


def _spread(values: Sequence[float]) -> Spread | None:
    ordered = sorted(value for value in values if not math.isnan(value)) or list(values)
    if not ordered:
        return None
    return Spread(
        median=statistics.median(ordered), low=ordered[0], high=ordered[-1], count=len(ordered)
    )


def overlap(name_a: str, spread_a: Spread, name_b: str, spread_b: Spread) -> str:
    """Whether the bands of two contenders' accuracy overlap, in one sentence."""
    low, high = (
        ((name_a, spread_a), (name_b, spread_b))
        if spread_a.median <= spread_b.median
        else ((name_b, spread_b), (name_a, spread_a))
    )
    below, above = low[1].high, high[1].low
    apart = below < above
    # As few digits as still show the gap.
    shows = (digits for digits in (2, 3) if round(below, digits) < round(above, digits))
    digits = next(shows, 4) if apart else 3
    bands = " and ".join(
        f"{name} ({short_share(spread.low, digits)} to {short_share(spread.high, digits)})"
        for name, spread in ((name_a, spread_a), (name_b, spread_b))
    )
    if apart:
        return f"The bands of {bands} do not overlap: {high[0]} is above."
    return f"The bands of {bands} overlap: these seeds do not tell them apart."


def short_share(value: float, digits: int = 4) -> str:
    """A share as the published tables write it: ".8785", "1.0000"."""
    return f"{value:.{digits}f}".removeprefix("0") if value >= 0 else f"{value:.{digits}f}"
