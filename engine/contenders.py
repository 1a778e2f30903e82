"""Runs that are compared: sets started together, their contenders, and the seeds of each.

Who belongs to whom is in the names alone. Everything one press starts is a set, `SET`; each of its
configurations a contender, `SET-c01`; each seed of that a run, `SET-c01-s01`. So membership is
found without opening a file, and a deleted run is simply not there.
"""

import contextlib
import re
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from engine import limits, runs
from engine.data_sets import check_obtainable
from engine.errors import EngineError, RunError, SpecError
from engine.gate import gated
from engine.presets import PRESETS
from engine.spec import RunSpec, bounds

MOST_CONTENDERS = 6  # side by side on a page; a set may hold more
MOST_SEEDS = 20
MOST_IN_A_SET = 99  # an id has two digits for them
#: A run of a set queues as though it had been asked for when the one before it should be over, but
#: at least so many seconds after it: whoever presses Train meanwhile does not wait for all of a
#: ladder, and what is pressed after that time comes after it.
SPACING_S = 10.0
#: What a training step costs on a CPU core, roughly: seconds a step, multiplications a second.
STEP_S, PER_SECOND = 1.5e-3, 4e10

_SUBJECT = re.compile(r"(\d{8}-\d{6}-[0-9a-f]{4})(-c\d\d)?(-s\d\d)?")

FORMS: dict[str, tuple[str, ...]] = {
    kind: tuple(name for name, preset in PRESETS.items() if preset.kind == kind)
    for kind in ("controlled", "published")
}


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One line of a comparison: a configuration, trained from one or several seeds."""

    title: str
    spec: RunSpec  # with the first of the seeds
    preset: str = ""
    seeds: int = 1

    def specs(self) -> list[RunSpec]:
        """The spec of each seed: the spec's own, the next one, ... Raises SpecError."""
        if not 1 <= self.seeds <= MOST_SEEDS:
            raise SpecError(
                {
                    "seeds": f"seeds is {self.seeds}; it must be a whole number from 1 to {MOST_SEEDS}."
                }
            )
        largest = int(bounds("seed")[1])
        if self.spec.seed + self.seeds - 1 > largest:
            fault = (
                f"seed is {self.spec.seed}; for {self.seeds} seeds it must be a whole number "
                f"from 0 to {largest - self.seeds + 1}."
            )
            raise SpecError({"seed": fault})
        return [self.spec.changed({"seed": self.spec.seed + n}) for n in range(self.seeds)]


@gated
def start(contenders: Sequence[Contender]) -> list[str]:
    """Queue all seeds of all contenders as one set; the ids of the groups, in order.

    Queued round robin: the first seed of each, then the second of each, so that every contender
    has something to show early. All or none: raises LimitError, DataError, SpecError, StoreError, RunError.
    """
    if len(contenders) > MOST_IN_A_SET:
        raise RunError(
            f"{len(contenders)} contenders were asked for; at most {MOST_IN_A_SET} start together."
        )
    turns = list(_round_robin([contender.specs() for contender in contenders]))
    for data in {spec.data for _, _, spec in turns}:
        check_obtainable(data)
    limits.check([spec for _, _, spec in turns], together=limits.workers_of_a_set())
    made = runs.new_id()
    place, started = time.time_ns(), []
    try:
        for number, seed, spec in turns:
            asked = contenders[number]
            run = f"{made}-c{number + 1:02d}-s{seed + 1:02d}"
            runs.create_as(run, spec, title=asked.title, preset=asked.preset)
            started.append(run)
            runs.enqueue(run, place)  # at once: the first trains while the others are made
            place += round(1e9 * max(SPACING_S, _typical_seconds(spec)))
    except BaseException:  # Ctrl-C too
        for run in started:
            _withdraw(run)
        raise
    return [f"{made}-c{number + 1:02d}" for number in range(len(contenders))]


def _round_robin(seeds: Sequence[Sequence[RunSpec]]) -> Iterator[tuple[int, int, RunSpec]]:
    """(contender, seed, spec), each counted from 0.

    The first contender, which the others are compared with, comes first; of the others those that
    take longest: last, they would leave all workers but their own with nothing to do.
    """
    for seed in range(max(map(len, seeds), default=0)):
        turn = [(number, specs[seed]) for number, specs in enumerate(seeds) if seed < len(specs)]
        turn[1:] = sorted(turn[1:], key=lambda one: -_typical_seconds(one[1]))
        for number, spec in turn:
            yield number, seed, spec


def _typical_seconds(spec: RunSpec) -> float:
    """About how long a run takes on a CPU core. Only the order of the queue hangs on it."""
    inputs, classes = spec.data_set.features, len(spec.data_set.classes)
    weights = spec.width * (inputs + (spec.depth - 1) * spec.width + classes)
    batch = min(spec.batch_size, spec.train_examples)
    return spec.total_steps * (STEP_S + 6 * weights * batch / PER_SECOND)


def _withdraw(run: str) -> None:
    """Take a run back that nobody is to see; one that a worker has already is stopped instead."""
    with contextlib.suppress(EngineError):
        runs.send(run, "stop")
        if runs.info(run).pid is None:
            runs.delete(run)


def members(subject: str) -> list[str]:
    """The runs there are of a group or a set, or the run itself, in order. Raises RunError."""
    match = _SUBJECT.fullmatch(subject)
    if not match or (match[3] and not match[2]):
        raise RunError(
            f"{subject[:40]!r} is not the id of a run or a group, such as 20261123-140509-3fa2."
        )
    found = [name for name in _names(f"{subject}*") if name == subject or name[len(subject)] == "-"]
    if not found:
        raise RunError(f"There is no run {subject} in this library.")
    return found


def groups(set_id: str) -> list[str]:
    """The ids of a set's groups, of which a run is there, in order. Raises RunError."""
    return list(dict.fromkeys(group_of(run) for run in members(set_id)))


def newest(count: int) -> list[str]:
    """The newest groups and single runs, newest first, without opening a file."""
    subjects = sorted({group_of(run) for run in _names("*")})
    # Stable: the contenders of one set stay in their own order.
    return sorted(subjects, key=set_of, reverse=True)[:count]


def set_of(subject: str) -> str:
    """The set of a group, or of one of its runs; a single run's own id."""
    match = _SUBJECT.fullmatch(subject)
    return match[1] if match else subject


def group_of(run: str) -> str:
    """The group of a run that was started with others; a single run's own id."""
    return run.rpartition("-s")[0] or run


def _names(pattern: str) -> list[str]:
    return sorted(file.stem for file in runs.files(pattern))


def ladder(forms: Sequence[str] = tuple(FORMS), seeds: int = 1, **fields: Any) -> list[Contender]:
    """One contender for each preset of these forms, baseline first. Raises SpecError.

    fields  of RunSpec, the same for all: data, epochs, ...
    """
    for form in forms:
        if form not in FORMS:
            raise SpecError({"form": f"form is {form}; it must be one of {', '.join(FORMS)}."})
    return [
        Contender(
            title=PRESETS[name].title, spec=PRESETS[name].spec(**fields), preset=name, seeds=seeds
        )
        for form in forms
        for name in FORMS[form]
    ]
