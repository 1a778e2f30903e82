"""How a run stands, as its file says it: statuses, what is known beside its numbers. Data alone."""

from dataclasses import dataclass
from typing import Any

from engine.spec import RunSpec

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
