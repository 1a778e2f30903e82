"""What this machine takes: one row a cap, asked before anything is written.

A cap is moved by an environment variable. It is asked for where people ask for runs (runs.start,
contenders.start, branches.branch, transfer.imported); what trains already is never touched, and nothing
is ever deleted: of a full library the oldest runs that nobody starred are offered (ui/limits_panel.py).
"""

import math
import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import memory, store
from engine.data_sets import home
from engine.errors import LimitError
from engine.spec import RunSpec

if TYPE_CHECKING:
    from engine.library import Entry

GB = 1e9
NEARLY = 0.9  # of a cap: from here on people are told
ROOM = 0.8  # of a cap: so full is a library whose oldest runs have been let go
_PARTS = (store.SUFFIX, f"{store.SUFFIX}-wal")  # of a run's file, as engine/library.py counts it


@dataclass(frozen=True, kw_only=True)
class Limit:
    """One cap."""

    title: str
    variable: str  # of the environment, which moves it
    usual: Callable[[], float]  # where the variable is not set, or is no number
    least: float = 0.0
    now: Callable[[], float] | None = None  # how full it is; None where that is asked elsewhere
    sentence: str  # where `now` and `more` are too many: {now}, {more}, {together}, {most}

    @property
    def most(self) -> float:
        """What is allowed."""
        asked = self._asked()
        return self.usual() if asked is None else asked

    @property
    def is_moved(self) -> bool:
        """Whether its variable is set, to something that can be meant."""
        return self._asked() is not None

    def _asked(self) -> float | None:
        try:
            asked = float(os.environ.get(self.variable, ""))
        except ValueError:
            return None
        return max(self.least, asked) if math.isfinite(asked) else None

    def refused(self, more: float, now: float | None = None) -> str:
        """Why so much more is too much, in one sentence; "" where it is not."""
        now = now if now is not None else self.now() if self.now else 0.0
        if now + more <= self.most:
            return ""
        numbers = {"now": now, "more": more, "together": now + more, "most": self.most}
        return self.sentence.format(**{name: _told(value) for name, value in numbers.items()})


def _queued() -> float:
    return float(_count(home() / "queue", ""))


def _runs() -> float:
    return float(_count(home() / "runs", store.SUFFIX))


def _count(folder: os.PathLike[str], end: str) -> int:
    try:
        return sum(name.endswith(end) for name in os.listdir(folder))
    except OSError:
        return 0  # not made yet


def _library_gb() -> float:
    """What the files of the runs take; what was deleted is not counted, though it is there for a while."""
    total = 0
    try:
        with os.scandir(home() / "runs") as folder:
            for file in folder:
                if file.name.endswith(_PARTS):
                    total += _size(file)
    except OSError:
        return 0.0
    return total / GB


def _size(file: os.DirEntry[str]) -> int:
    try:
        return file.stat().st_size
    except OSError:
        return 0  # deleted this moment


#: How many may train at once is asked by the supervisor, how many may watch by ui/guard.py.
LIMITS: dict[str, Limit] = {
    "workers": Limit(
        title="runs that train at once",
        variable="VGLAB_WORKERS",
        usual=lambda: max(1, (os.cpu_count() or 2) - 1),
        least=1,
        sentence="{together} runs would train at once, and at most {most} may.",
    ),
    "queued": Limit(
        title="runs that wait",
        variable="VGLAB_MOST_QUEUED",
        usual=lambda: 500,
        now=_queued,
        sentence=(
            "{together} runs would wait for a worker, and at most {most} may: stop some of those "
            "that wait, or try again when some have begun."
        ),
    ),
    "runs": Limit(
        title="runs",
        variable="VGLAB_MOST_RUNS",
        usual=lambda: 2000,
        now=_runs,
        sentence=(
            "The library would hold {together} runs, and at most {most} are kept: delete some on "
            "the page Runs."
        ),
    ),
    "disk": Limit(
        title="GB",
        variable="VGLAB_MOST_GB",
        usual=lambda: 20,
        now=_library_gb,
        sentence=(
            "The library takes {together} GB, and at most {most} GB are allowed: delete some runs "
            "on the page Runs."
        ),
    ),
    "steps": Limit(
        title="steps of a run",
        variable="VGLAB_MOST_STEPS",
        usual=lambda: 10_000_000,
        least=1,
        sentence=(
            "This run has {together} steps, and at most {most} are allowed: lower its length or "
            "raise batch_size."
        ),
    ),
    "viewers": Limit(
        title="viewers",
        variable="VGLAB_MOST_VIEWERS",
        usual=lambda: 1000,
        least=1,
        sentence="{most} people watch already, and more are not let in: try again later.",
    ),
}
FREE_GB = 0.5  # of the disk, which must stay free: what trains must be able to write its end


def most(name: str) -> int:
    """What a cap of LIMITS allows."""
    return int(LIMITS[name].most)


def workers_of_a_set() -> int:
    """How many workers run at once while a set is trained: VGLAB_WORKERS, else one per core.

    Someone waits for all of a set; the page keeps its share, because workers go behind it (os.nice).
    """
    return most("workers") if LIMITS["workers"].is_moved else os.cpu_count() or 1


def check(specs: Sequence[RunSpec], *, together: int = 1) -> None:
    """Raise LimitError where these runs are more than what is allowed.

    together  how many of them may train at once
    """
    for sentence in faults(specs, together=together).values():
        raise LimitError(sentence)


def faults(specs: Sequence[RunSpec], *, together: int = 1) -> dict[str, str]:
    """Why these runs could not be started now: field or cap -> one sentence. Empty where they could."""
    largest = sorted(specs, key=memory.needed)[-together:]
    longest = max((spec.total_steps for spec in specs), default=0)
    count = len(specs)
    found = {
        "epochs": LIMITS["steps"].refused(longest),
        "width": _no_memory(largest),
        "queued": LIMITS["queued"].refused(count),
        "runs": LIMITS["runs"].refused(count),
        **_no_disk(0),
    }
    return {name: sentence for name, sentence in found.items() if sentence}


def check_import(size: int) -> None:
    """Raise LimitError where the library has no room for a file of so many bytes."""
    found = {"runs": LIMITS["runs"].refused(1), **_no_disk(size)}
    for sentence in filter(None, found.values()):
        raise LimitError(sentence)


def _no_disk(size: int) -> dict[str, str]:
    left = free_gb()
    free = (
        f"The disk has {_told(left)} GB left, and {_told(FREE_GB)} GB of it must stay free: delete "
        "some runs on the page Runs, or something else."
        if left - size / GB < FREE_GB
        else ""
    )
    return {"disk": LIMITS["disk"].refused(size / GB), "free": free}


def free_gb() -> float:
    """What is left of the disk that the library is on."""
    folder = next(place for place in (home(), *home().parents) if place.exists())
    return shutil.disk_usage(folder).free / GB


def _no_memory(specs: Sequence[RunSpec]) -> str:
    """Why these cannot train at once; "" where they can."""
    need, free = sum(map(memory.needed, specs)), memory.free()
    if need <= free:
        return ""
    who = (
        "This network needs" if len(specs) == 1 else f"{len(specs)} of these networks at once need"
    )
    return (
        f"{who} about {_told(need / GB)} GB of memory and {_told(free / GB)} GB are free: lower "
        "width, batch_size or depth."
    )


@dataclass(frozen=True, kw_only=True)
class Fullness:
    """How full the library is, by one cap."""

    name: str  # of LIMITS
    now: float
    most: float

    @property
    def share(self) -> float:
        """From 0 to 1; above 1 where the cap was lowered since."""
        return self.now / self.most if self.most else 1.0

    @property
    def words(self) -> str:
        """ "1,950 of 2,000 runs"."""
        return f"{_told(self.now)} of {_told(self.most)} {LIMITS[self.name].title}"


def fullness() -> list[Fullness]:
    """How full the library is, by each cap that deleting runs makes room in."""
    return [
        Fullness(name=name, now=now(), most=LIMITS[name].most)
        for name in ("runs", "disk")
        if (now := LIMITS[name].now) is not None
    ]


def to_let_go(entries: "Sequence[Entry]") -> "list[Entry]":
    """The oldest runs that have ended and that nobody starred: as many as make room, oldest first.

    entries  of library.index, newest first

    Until the library is as full as ROOM says, so that it is not full again after the next run.
    """
    count, size = (
        full.now - ROOM * full.most if full.share >= NEARLY else 0.0 for full in fullness()
    )
    found: list[Entry] = []
    for entry in reversed(entries):
        if len(found) >= count and sum(one.bytes for one in found) >= size * GB:
            break
        if entry.info.status not in store.OPEN and not entry.info.starred:
            found.append(entry)
    return found


def _told(number: float) -> str:
    """1950 -> "1,950", 18.23 -> "18.2", 0.0412 -> "0.041"."""
    if number == int(number) or number >= 100:
        return f"{number:,.0f}"
    return f"{number:.1f}" if number >= 0.1 else f"{number:.2g}"
