"""How a contender stands, in short words: "training, 12 s left". numpy-free, of plain values."""

from collections import Counter
from collections.abc import Iterable

from engine.store import DIVERGED, FAILED, FINISHED, LOST, PAUSED, QUEUED, RUNNING, STOPPED
from ui.numbers import duration, number

#: How seeds are counted: what is told of them -> the statuses that are counted so.
COUNTED = {
    "done": (FINISHED,),
    "running": (RUNNING,),
    "paused": (PAUSED,),
    "waiting": (QUEUED,),
    "stopped": (STOPPED,),
    "failed": (DIVERGED, FAILED, LOST),
}
_AT = {
    PAUSED: "paused",
    STOPPED: "stopped",
    DIVERGED: "diverged",
    FAILED: "failed",
    LOST: "stopped unexpectedly",
}


def of_run(
    status: str,
    *,
    step: int,
    place: int = 0,
    left: float | None = None,
    took: float | None = None,
) -> str:
    """How one run stands.

    place  in the queue; 0: it does not wait there
    left   seconds of training, if they are known
    took   seconds, of one that has ended
    """
    if status == QUEUED:
        return f"waiting, number {place} in the queue" if place else "starting"
    if status == RUNNING:
        return f"training{_left(left)}"
    if status == FINISHED:
        return f"done in {_seconds(took)}" if took is not None else "done"
    return f"{_AT[status]} at step {step:,}"


def counts(statuses: Iterable[str], unreadable: int = 0) -> dict[str, int]:
    """How many seeds there are, and how many of each kind; one that cannot be read has failed."""
    found = Counter(statuses)
    told = {word: sum(found[status] for status in kind) for word, kind in COUNTED.items()}
    told["failed"] += unreadable
    return {"of": found.total() + unreadable, **told}


def of_group(seeds: dict[str, int], *, place: int = 0, left: float | None = None) -> str:
    """How the seeds of one configuration stand; left is of those that train now."""
    if seeds["waiting"] == seeds["of"]:
        where = f", number {place} in the queue" if place else ""
        return f"{seeds['of']} seeds waiting{where}"
    some = "" if seeds["done"] == seeds["of"] else f"{seeds['done']} of "
    told = [f"{some}{seeds['of']} seeds done"]
    if seeds["running"]:
        told.append(f"{seeds['running']} training{_left(left)}")
    rest = ("paused", "waiting", "stopped", "failed")
    told += [f"{seeds[word]} {word}" for word in rest if seeds[word]]
    return ", ".join(told)


def status_of(seeds: dict[str, int]) -> str:
    """The status of all together: running from the first start to the last end, but for a pause."""
    if seeds["waiting"] == seeds["of"]:
        return QUEUED
    if seeds["running"] or (seeds["waiting"] and not seeds["paused"]):
        return RUNNING
    if seeds["paused"]:
        return PAUSED
    return FINISHED if seeds["done"] else STOPPED if seeds["stopped"] else FAILED


def _left(seconds: float | None) -> str:
    return "" if seconds is None else f", {duration(seconds)} left"


def _seconds(seconds: float) -> str:
    """Under ten seconds with a part of one."""
    return f"{number(seconds)} s" if seconds < 10 else duration(seconds)
