"""What a diagnosis is made of: the course of a run so far, kept small and read in order. numpy only."""

from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import log
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine import steering
from engine.findings import (
    AT_GUESSING,
    FALLEN_BACK,
    OFF_GUESSING,
    RISEN,
    RISEN_EPOCHS,
)
from engine.outcomes import AWAKE_RATIO, wake_threshold
from engine.records import ROW, EpochEnd, Floats, Record, Steps
from engine.run_info import RUNNING, RunInfo
from engine.signs import SIGNS, Levels, Signs, ends
from engine.spec import RunSpec
from engine.store import MOST_STEP, Reader

CHUNK = 64  # steps whose losses are averaged
PLATEAU = 2 * CHUNK  # steps, at least
_BLOCK = 512  # records taken in at once, so that a long run is read in bounded space


# -- the loss ----------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Loss:
    """The batch losses, CHUNK steps at a time."""

    mean: float | None  # over the newest whole chunk; None before there is one
    stuck_since: int | None  # step from which it has been that of guessing; None where it is not
    end: int  # steps that are judged
    plateau: tuple[int, int] | None  # first and last step of the last plateau that ended


def guess_loss(spec: RunSpec) -> float:
    """The cross-entropy of guessing: ln(classes)."""
    return log(len(spec.data_set.classes))


class _Losses:
    def __init__(self, spec: RunSpec):
        self._guess, self._awake = guess_loss(spec), wake_threshold(spec)
        self._loss, self._accuracy = array("d"), array("d")  # from step `_end` on
        self._end, self._mean = 0, None  # type: int, float | None
        self._since: int | None = None
        self._plateau: tuple[int, int] | None = None

    def add(self, block: Steps) -> None:
        self._loss.frombytes(block.loss.astype(np.float64).tobytes())
        self._accuracy.frombytes(block.accuracy.astype(np.float64).tobytes())

    def judge(self, step: int) -> None:
        """Up to a step: losses beyond the newest record wait for the next."""
        whole = max(0, min(len(self._loss), step + 1 - self._end)) // CHUNK * CHUNK
        losses, accuracies = _chunks(self._loss[:whole]), _chunks(self._accuracy[:whole])
        for loss, accuracy in zip(losses, accuracies, strict=True):
            near = OFF_GUESSING if self._since is not None else AT_GUESSING
            is_stuck = abs(loss / self._guess - 1) < near and accuracy < self._awake
            if is_stuck and self._since is None:
                self._since = self._end
            elif not is_stuck and self._since is not None:
                if self._end - self._since >= PLATEAU:
                    self._plateau = self._since, self._end
                self._since = None
            self._end, self._mean = self._end + CHUNK, loss
        del self._loss[:whole], self._accuracy[:whole]

    @property
    def told(self) -> Loss:
        long = self._since is not None and self._end - self._since >= PLATEAU
        since = self._since if long else None
        return Loss(mean=self._mean, stuck_since=since, end=self._end, plateau=self._plateau)


def _chunks(values: "array[float]") -> list[float]:
    """The mean of each CHUNK of values, whose number is a multiple of it."""
    means: list[float] = np.array(values).reshape(-1, CHUNK).mean(axis=1).tolist()
    return means


# -- epochs ------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Epochs:
    """The ends of epochs of the present phase."""

    best: EpochEnd | None  # of the lowest validation loss
    last: EpochEnd | None
    is_rising: bool  # whether the validation loss has left the best one while the train loss fell


class _Epochs:
    def __init__(self) -> None:
        self.told = Epochs(best=None, last=None, is_rising=False)
        self._risen = 0  # epochs in a row

    def add(self, end: EpochEnd) -> None:
        before = self.told
        if before.last is not None and end.phase != before.last.phase:
            before, self._risen = Epochs(best=None, last=None, is_rising=False), 0
        best = before.best
        if best is None or end.validation_loss < best.validation_loss:
            best = end
        risen = end.validation_loss / best.validation_loss if best.validation_loss else np.nan
        self._risen = self._risen + 1 if risen > RISEN else 0
        holds = before.is_rising and risen > FALLEN_BACK
        is_rising = (self._risen >= RISEN_EPOCHS or holds) and end.train_loss < best.train_loss
        self.told = Epochs(best=best, last=end, is_rising=is_rising)


class Theory(Protocol):
    """What of engine.theory.Prediction is told, without importing it: it brings scipy."""

    @property
    def valid(self) -> bool: ...
    @property
    def factor(self) -> float: ...
    @property
    def saturated_share(self) -> Floats: ...


# -- all of it ---------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """What is known of a run at one moment."""

    spec: RunSpec  # with the changes made so far
    status: str  # one of engine.run_info.STATUSES
    sentence: str  # why it ended
    newest: Record | None  # None: nothing is recorded, and nothing is found
    signs: dict[str, Floats]  # name of SIGNS -> medians, [layers]
    levels: dict[str, Levels]  # the same -> number of borders below it, or ABSENT
    woken: NDArray[np.bool_]  # [layers]  whether an update was sizeable at any time in this phase
    wake_steps: Levels  # [layers]  the first recorded step of an update above 1e-4; -1 without
    loss: Loss
    epochs: Epochs
    predicted: Theory | None = None  # of step 0

    def at(self, sign: str, *levels: int) -> tuple[int, ...]:
        """Numbers, from 1, of the layers in which a sign is at one of these levels."""
        told = self.levels[sign].tolist()
        return tuple(layer for layer, level in enumerate(told, start=1) if level in levels)

    def value(self, sign: str, layer: int) -> float:
        """A sign's median in a layer, from 1."""
        return float(self.signs[sign][layer - 1])

    @property
    def theory(self) -> Theory | None:
        """The prediction, where it can be trusted and is of the layers that are there now."""
        theory = self.predicted
        is_of_these = self.newest is not None and self.newest.phase == 1
        return theory if theory is not None and theory.valid and is_of_these else None

    @property
    def ends(self) -> tuple[int, int]:
        """The lowest and the highest hidden layer that is trained, from 1."""
        assert self.newest is not None
        low, top = ends(self.newest.scalars[None, ROW["delta_rms"], :-1])
        return int(low[0]) + 1, int(top[0]) + 1


class Course:
    """A run's course so far, in bounded space: told of it in order, it gives the evidence.

    spec  as the run was started
    """

    def __init__(self, spec: RunSpec):
        self._signs, self._losses, self._epochs = Signs(spec.layers), _Losses(spec), _Epochs()
        self._newest: Record | None = None
        self._wake_steps = np.full(spec.layers, -1, np.int64)

    def add_steps(self, blocks: Iterable[Steps]) -> None:
        """Batch losses; those of steps before a record come before it, or a little after."""
        for block in blocks:
            self._losses.add(block)

    def add_records(self, records: Sequence[Record]) -> None:
        """Records, with or without their histograms."""
        for first in range(0, len(records), _BLOCK):
            block = records[first : first + _BLOCK]
            self._signs.add(block)
            awake = np.stack([r.scalars[ROW["update_ratio"]] > AWAKE_RATIO for r in block])
            steps = np.array([record.step for record in block])
            wakes = awake.any(axis=0) & (self._wake_steps < 0)
            self._wake_steps[wakes] = steps[awake.argmax(axis=0)][wakes]
            self._newest = block[-1]

    def add_epoch(self, end: EpochEnd) -> None:
        """The end of an epoch."""
        self._epochs.add(end)

    def evidence(
        self,
        spec: RunSpec,
        *,
        status: str,
        sentence: str = "",
        predicted: Theory | None = None,
    ) -> Evidence:
        """What is known now.

        spec  as it stands, with the changes made so far
        """
        if self._newest is not None:
            self._losses.judge(self._newest.step)
        return Evidence(
            spec=spec,
            status=status,
            sentence=sentence,
            newest=self._newest,
            signs=dict(zip(SIGNS, self._signs.medians, strict=True)),
            levels=dict(zip(SIGNS, self._signs.levels, strict=True)),
            woken=self._signs.woken.copy(),
            wake_steps=self._wake_steps.copy(),
            loss=self._losses.told,
            epochs=self._epochs.told,
            predicted=predicted,
        )


def read(
    reader: Reader,
    info: RunInfo,
    *,
    until: int | None = None,
    predicted: Theory | None = None,
) -> Evidence:
    """The evidence in a run's file. Raises StoreError.

    info   how the run stands
    until  only what was known at this step; the run is then taken to be training
    """
    course, spec = Course(info.spec), info.now
    end = MOST_STEP if until is None else until
    course.add_steps(reader.steps(until=end, joined=True))
    course.add_records(reader.records(until=end))
    for one in reader.epochs():
        if one.step <= end:
            course.add_epoch(one)
    if until is None:
        status, sentence = info.status, info.sentence
    else:
        spec = steering.stood(info.spec, reader.events(), until + 1).spec
        status, sentence = RUNNING, ""
    return course.evidence(spec, status=status, sentence=sentence, predicted=predicted)
