"""A contender's outcome in words and numbers: a row of the table, lines of the CSV. Pure."""

import csv
import io
import itertools
import math
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine import store
from engine.outcomes import COLUMNS, Outcome, Spread, overlap, summarise
from ui import states
from ui.numbers import NONE, number
from ui.summary import layer_names

MOST_OVERLAPS = 6  # sentences
COMPARED = "test_accuracy"  # the column whose bands are compared
FORMULAS = tuple("=+-@\t\r\n")  # what a spreadsheet takes for the beginning of one
NEVER = {"wake_epoch"}  # columns of what may never happen
Line = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Contender:
    """The seeds of one configuration, or a single run."""

    id: str
    label: str
    outcomes: tuple[Outcome, ...]  # one or more
    unreadable: int = 0  # further seeds
    place: int = 0  # in the queue, where all of it waits

    @property
    def counted(self) -> dict[str, int]:
        return states.counts((o.status for o in self.outcomes), self.unreadable)

    @property
    def is_single(self) -> bool:
        return self.counted["of"] == 1


def row(contender: Contender) -> Line:
    """Everything the table shows of a contender; JSON."""
    counted, outcomes = contender.counted, contender.outcomes
    shares = [min(1.0, o.step / o.total_steps) if o.status in store.OPEN else 1.0 for o in outcomes]
    wakes = wake_steps(outcomes)
    ended = not any(o.status in store.OPEN for o in outcomes)
    spreads = summarise(outcomes)
    return {
        "id": contender.id,
        "label": contender.label,
        "state": state(contender),
        "status": outcomes[0].status if contender.is_single else states.status_of(counted),
        "progress": (sum(shares) + contender.unreadable) / counted["of"],
        "seeds": counted,
        "cells": {
            name: cell(name, spread, counted["of"], ended) for name, spread in spreads.items()
        },
        "wake": wake_words(wakes, ended) if any(o.step for o in outcomes) else NONE,
        "wake_steps": wakes,
        "sentences": [_of_seed(o) for o in outcomes if o.status in states.COUNTED["failed"]],
    }


def _of_seed(outcome: Outcome) -> str:
    return f"Seed {outcome.seed}: {outcome.sentence or outcome.status + '.'}"


def state(contender: Contender) -> str:
    """How it stands, in short words."""
    left = [o.seconds_left for o in contender.outcomes if o.seconds_left is not None]
    if not contender.is_single:
        longest = max(left, default=None)
        return states.of_group(contender.counted, place=contender.place, left=longest)
    (one,) = contender.outcomes
    took = one.ended - one.started if one.ended and one.started else None
    return states.of_run(
        one.status, step=one.step, place=contender.place, left=one.seconds_left, took=took
    )


def cell(name: str, spread: Spread | None, seeds: int, ended: bool) -> Line:
    """What stands in a cell, and what it is sorted by; null sorts last."""
    if spread is None:
        return {"text": "never" if name in NEVER and ended else NONE, "sort": None}
    sort = spread.median if math.isfinite(spread.median) else None
    text = _said(name, spread.median)
    if spread.count > 1:
        text += f" ({_said(name, spread.low)} to {_said(name, spread.high)})"
    if spread.count < seeds:
        text += f", {spread.count} of {seeds} seeds"
    return {"text": text, "sort": sort}


def _said(name: str, value: float) -> str:
    form = COLUMNS[name].form
    if form == "count":
        return f"{value:g}"
    return f"{number(value)} s" if form == "seconds" else number(value)


def wake_steps(outcomes: Sequence[Outcome]) -> list[float | None]:
    """By layer the median over the seeds of the step at which it woke; one that never did came last."""
    found = []
    for steps in zip(*(o.layer_wake_steps for o in outcomes), strict=True):
        middle = statistics.median(math.inf if step is None else step for step in steps)
        found.append(middle if math.isfinite(middle) else None)
    return found


def wake_words(steps: Sequence[float | None], ended: bool) -> str:
    """The same in words, equal neighbours told once: "1-3: never, 4: 240, out: 0"."""
    named = zip(layer_names(len(steps)), steps, strict=True)
    told, asleep = [], "never" if ended else "not yet"
    for step, group in itertools.groupby(named, key=lambda pair: pair[1]):
        names = [name for name, _ in group]
        where = names[0] if len(names) == 1 else f"{names[0]}-{names[-1]}"
        told.append(f"{where}: {asleep if step is None else f'{step:g}'}")
    return ", ".join(told)


def overlaps(contenders: Sequence[Contender]) -> list[str]:
    """Whether bands overlap, in sentences: of each pair of a few, of neighbours in the order of many."""
    known = [(c.label, summarise(c.outcomes)[COMPARED]) for c in contenders]
    bands = [(label, spread) for label, spread in known if spread is not None and spread.count > 1]
    pairs = list(itertools.combinations(bands, 2))
    if len(pairs) > MOST_OVERLAPS:
        bands.sort(key=lambda band: -band[1].median)
        pairs = list(itertools.pairwise(bands))
    return [overlap(*one, *other) for one, other in pairs[:MOST_OVERLAPS]]


def seconds_left(outcomes: Sequence[Outcome]) -> float | None:
    """About how long until the last run ends, if as many train at once as do now; None: not known.

    A run that waits takes as long as the others did or will, in the middle.
    """
    going = [o for o in outcomes if o.seconds_left is not None]
    waiting = sum(o.status == store.QUEUED for o in outcomes)
    whole = [o.total_steps / o.pace for o in going if o.pace]
    whole += [o.ended - o.started for o in outcomes if o.ended and o.started]
    if not (going or waiting) or not whole:
        return None
    left = [o.seconds_left or 0.0 for o in going]
    together = sum(left) + waiting * statistics.median(whole)
    return max(*left, together / max(1, len(going)), 0.0) if left else together


def csv_text(contenders: Sequence[Contender]) -> str:
    """One line for each contender, one for each of its seeds below it; full precision."""
    layers = max((o.layers for c in contenders for o in c.outcomes), default=1)
    wakes = [f"wake_step_{name}" for name in layer_names(layers)]
    bands = [f"{name}_{end}" for name in COLUMNS for end in ("low", "high", "seeds")]
    names = ["row", "contender", "id", "seed", "seeds", "status", "sentence", "step", "total_steps"]
    written = io.StringIO()
    writer = csv.DictWriter(written, [*names, *COLUMNS, *wakes, *bands], lineterminator="\r\n")
    writer.writeheader()
    for contender in contenders:
        for line in _lines(contender):
            writer.writerow({name: _plain(value) for name, value in line.items()})
    return written.getvalue()


def _lines(contender: Contender) -> Iterator[Line]:
    made = row(contender)
    line = {
        "row": "contender",
        "contender": contender.label,
        "id": contender.id,
        "seeds": made["seeds"]["of"],
        "status": made["status"],
    }
    for name, spread in summarise(contender.outcomes).items():
        if spread is not None:
            line |= {name: spread.median, f"{name}_low": spread.low, f"{name}_high": spread.high}
            line[f"{name}_seeds"] = spread.count
    yield line | _wakes(made["wake_steps"])
    for outcome in contender.outcomes:
        yield {
            "row": "seed",
            "contender": contender.label,
            "id": outcome.run,
            "seed": outcome.seed,
            "status": outcome.status,
            "sentence": outcome.sentence,
            "step": outcome.step,
            "total_steps": outcome.total_steps,
            **{name: getattr(outcome, name) for name in COLUMNS},
            **_wakes(outcome.layer_wake_steps),
        }


def _wakes(steps: Sequence[float | None]) -> Line:
    names = layer_names(len(steps))
    return {f"wake_step_{name}": step for name, step in zip(names, steps, strict=True)}


def _plain(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula is marked as text."""
    return f"'{value}" if isinstance(value, str) and value[:1] in FORMULAS else value
