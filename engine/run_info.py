"""How a run stands, as its file says it: statuses, what is known beside its numbers. Data alone."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from engine.spec import RunSpec, read_json

QUEUED, RUNNING, PAUSED, FINISHED, STOPPED, DIVERGED, FAILED, LOST = (
    "queued",
    "running",
    "paused",
    "finished",
    "stopped",
    "diverged",
    "failed",
    "lost",
)
STATUSES = (QUEUED, RUNNING, PAUSED, FINISHED, STOPPED, DIVERGED, FAILED, LOST)
BEGUN = frozenset({RUNNING, PAUSED})  # statuses of a run that has a worker
OPEN = BEGUN | {QUEUED}  # statuses of a run that may still record something


@dataclass(frozen=True, kw_only=True)
class RunInfo:
    """What is known of a run beside its numbers."""

    id: str
    title: str
    preset: str  # "" where it came from none
    spec: RunSpec
    created: float  # seconds since 1970, as all times here
    status: str  # one of STATUSES, as last written; `runs.info` checks it against the process
    activity: str  # what the worker is doing before the first step, for people
    sentence: str  # why it ended, for people
    traceback: str  # of a defect; "" otherwise
    started: float | None
    ended: float | None
    device: str  # the one in use; "" before it is known
    versions: dict[str, str]  # of what decides the bits: torch, numpy, this package
    parent: str  # the run it branched from; "" without one
    parent_step: int | None  # where
    now: RunSpec  # with the changes made while it trained; equal to spec without any
    frozen: tuple[int, ...]  # layers that are frozen by hand now
    changes: int  # how many were made
    starred: bool
    note: str
    tags: tuple[str, ...]
    pid: int | None  # of the worker; None before one has it
    pid_started: float | None
    heartbeat: float | None  # when the worker last wrote
    step: int  # steps finished, as of the heartbeat

    @property
    def group(self) -> str:
        """The contender this run is one seed of, by its name; "" where it was started alone."""
        return self.id.rpartition("-s")[0]


@dataclass(frozen=True, kw_only=True)
class Command:
    """An order to a worker, in the order given."""

    id: int
    command: str
    arguments: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A moment of training that was kept, and can be gone back to; the state itself lies in the file."""

    step: int  # steps finished before it; changes at this step come after it
    epoch: int
    kind: str  # why it was kept: "start", "epoch", "change", "end", "branch"
    bytes: int


#: Columns that make a RunInfo, in the order of its fields: of the run's row, then of its heartbeat.
COLUMNS = (
    "id, title, preset, spec, created, status, activity, sentence, traceback, started, ended, device,"
    " versions, parent, parent_step, now, frozen, changes, starred, note, tags,"
    " pid, pid_started, at, coalesce(step, 0)"
)
_NUMBERS = {
    "created": False,
    "started": True,
    "ended": True,
    "pid_started": True,
    "heartbeat": True,
}
_COUNTS = {"parent_step": True, "changes": False, "starred": False, "pid": True, "step": False}
_LATEST = 1e11  # seconds since 1970: no time of ours is later, and every program can write it

#: A spec never changes, and whoever looks at a run asks for it again and again.
spec_of = lru_cache(maxsize=1024)(read_json)


def info_of(row: Sequence[Any], run: str) -> RunInfo:
    """The RunInfo of a row of COLUMNS. Raises ValueError, SpecError where that is none of ours.

    run  its id. It is the file's name: a copied or renamed file is a run of its own

    Each value is checked: in a damaged file it may be anything, and one bad run must not keep a
    page from listing the others.
    """
    values = dict(zip(RunInfo.__dataclass_fields__, row, strict=True))
    for name, value in values.items():
        _check(name, value)
    if values["status"] not in STATUSES:
        raise ValueError("its status is none")
    values["now"] = spec_of(values["now"] or values["spec"])
    values["spec"] = spec_of(values["spec"])
    values["versions"] = _json(values["versions"], dict, str)
    values["frozen"] = tuple(_json(values["frozen"], list, int))
    values["tags"] = tuple(_json(values["tags"], list, str))
    values["starred"] = bool(values["starred"])
    return RunInfo(**(values | {"id": run}))


def _check(name: str, value: Any) -> None:
    if name in _NUMBERS:
        good = type(value) in (int, float) and math.isfinite(value) and abs(value) < _LATEST
        is_good = good or (value is None and _NUMBERS[name])
    elif name in _COUNTS:
        is_good = (type(value) is int and value >= 0) or (value is None and _COUNTS[name])
    else:
        is_good = type(value) is str
    if not is_good:
        raise ValueError(f"its {name.replace('_', ' ')} is not one")


def _json(text: str, kind: type, inner: type) -> Any:
    found = json.loads(text)
    parts = found.values() if type(found) is dict else found
    if type(found) is not kind or not all(type(part) is inner for part in parts):
        raise ValueError("a list in its row is none")
    return found
