"""What a run looked like at one of its recorded steps: all that the growing arrays do not tell.

A moment never changes once it is recorded, so it is made once and kept as bytes.
"""

import math
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from engine import blobs, evidence, store
from engine.diagnosis import diagnose
from engine.errors import RunError
from engine.findings import Finding
from engine.records import EpochEnd, Event, Record, Steps
from engine.run_info import RunInfo
from ui import arrays, diagnosed, frames, histograms, summary
from ui.display import Display
from ui.overlay import Asked
from ui.predictions import predictions
from ui.views import RunView

KEPT = 128  # moments as bytes; one of a network of 100 layers has 200 kB
_BLOCKS = 50  # of batch losses: as many as a running run's pace is taken from
#: Texts that are the same at every moment, or that only a view of the whole run knows.
_NOT_OF_A_MOMENT = ("layer_names", "gradient_start_words", "signal_start_words")
#: What of a run's header is told of a moment too.
_TOLD = ("step", "drawn_step", "progress", "tiles", "texts", "alt")


class Past(store.Reader):
    """A run's file, asked for what was known at a step."""

    def steps_until(self, step: int) -> list[Steps]:
        """The newest blocks of batch losses that begin at or before a step, oldest first."""
        rows = self._rows(
            "SELECT first, seconds, numbers, watched FROM steps WHERE first <= ? ORDER BY first DESC LIMIT ?",
            step,
            _BLOCKS,
        )
        return [blobs.steps_of(row) for row in reversed(rows)]

    def epoch_until(self, step: int) -> EpochEnd | None:
        """The last end of an epoch at or before a step."""
        rows = self._rows(
            "SELECT epoch, step, phase, numbers FROM epochs WHERE step <= ? ORDER BY epoch DESC LIMIT 1",
            step,
        )
        return blobs.epoch_of(rows[0]) if rows else None

    def recorded(self, step: int) -> Record:
        """The record of a step. Raises RunError where there is none, with the nearest."""
        if (record := self.record(step)) is not None:
            return record
        nearest = self._rows("SELECT step FROM records ORDER BY abs(step - ?) LIMIT 1", step)
        known = f"the nearest one is of step {nearest[0][0]:,}" if nearest else "it has none yet"
        raise RunError(f"Run {self.path.stem} has no record of step {step:,}; {known}.")


@dataclass(frozen=True, kw_only=True)
class _Keys:
    keys: list[int]


@dataclass(frozen=True, kw_only=True)
class _Then:
    """What ui/summary.py puts in words, as it was at a step."""

    info: RunInfo
    step: int
    records: _Keys
    newest: Record
    newest_epoch: EpochEnd | None
    newest_loss: float | None
    events: list[Event]
    pace: list[tuple[float, int]]
    findings: list[Finding]
    first: None = None  # the browser has step 0 already
    watched: float = math.nan  # what watching cost is told of the whole run


def display(path: Path, step: int) -> Display:
    """A run at a recorded step. Raises EngineError where there is no such run, or no such record."""
    with Past(path) as reader:
        record = reader.recorded(step)
        info, blocks = reader.run(), reader.steps_until(step)
        end = reader.epoch_until(step)
        events = [event for event in reader.events() if event.step <= step]
        asked = Asked(predictions.get)
        asked.kernel = reader.kernel()
        asked.again(info.spec, events)
        known = evidence.read(reader, info, until=step, predicted=asked.prediction)
    then = _Then(
        # Whatever became of the run: at that step it was training.
        info=replace(info, status=store.RUNNING, activity="", sentence=""),
        step=step,
        records=_Keys(keys=[step]),
        newest=record,
        newest_epoch=end,
        newest_loss=_loss(blocks, step),
        events=events,
        pace=_pace(blocks),
        findings=diagnose(known),
    )
    layers = info.spec.layers
    whole = arrays.profiles("now", record, layers) | histograms.arrays(record)
    return Display(header=_header(then), arrays=whole)


def _header(then: _Then) -> dict[str, Any]:
    told = summary.header(cast(RunView, then))
    header = {name: told[name] for name in _TOLD}
    header["texts"] = {k: v for k, v in told["texts"].items() if k not in _NOT_OF_A_MOMENT}
    status, *others = told["tiles"]
    header["tiles"] = [
        status | {"value": "replay", "title": "How the run was at this step"},
        *others,
    ]
    latest = [e.words.removesuffix(".") for e in then.events if e.kind in ("phase", "change")]
    header["line"] = " ".join([f"Replay: step {then.step:,}.", *(f"{w}." for w in latest[-1:])])
    header["tone"] = "plain"
    header["findings"] = diagnosed.told(then.findings)
    return header


def _loss(blocks: list[Steps], step: int) -> float | None:
    """Of the batch of that step; None where it was not written yet."""
    if not blocks or step - blocks[-1].first >= len(blocks[-1].loss):
        return None
    return float(blocks[-1].loss[step - blocks[-1].first])


def _pace(blocks: list[Steps]) -> list[tuple[float, int]]:
    """Seconds of training and steps finished, for summary.pace, as far back as it looks."""
    pace = [(block.seconds, block.first + len(block.loss)) for block in blocks]
    return [pair for pair in pace if pair[0] >= pace[-1][0] - summary.PACE_SECONDS]


@lru_cache(maxsize=KEPT)
def frame(path: Path, step: int) -> bytes:
    """The same as the bytes of a frame (ui/frames.py). Raises EngineError."""
    whole = frames.difference(frames.NOTHING, display(path, step))
    return frames.encode(whole, run=path.stem, full=True)
