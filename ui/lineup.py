"""The contenders that a link names: which runs they are, how they stand, and what is wrong with them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path

from engine import contenders, runs, store
from engine.errors import EngineError, RunError
from engine.outcomes import stamp
from engine.spec import RunSpec
from engine.store import RunInfo
from ui import states
from ui.contrast import Line, short


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One contender, and its runs that can be read, in the order of their seeds."""

    id: str  # of a run or a group
    infos: tuple[RunInfo, ...]

    @property
    def title(self) -> str:
        return self.infos[0].title

    @property
    def spec(self) -> RunSpec:
        return self.infos[0].spec

    @property
    def open(self) -> list[str]:
        """Its runs that wait or train."""
        return [info.id for info in self.infos if info.status in store.OPEN]

    @property
    def line(self) -> Line:
        """What words are made of: the settings as they are now."""
        first = self.infos[0]
        seeds = tuple(info.spec.seed for info in self.infos)
        return Line(
            id=self.id,
            title=self.title,
            spec=first.now,
            seeds=seeds,
            changes=first.changes if self.run else 0,
        )

    @property
    def status(self) -> str:
        """Of the run, or of all seeds together."""
        if self.run:
            return self.run.status
        return states.status_of(states.counts(info.status for info in self.infos))

    @property
    def run(self) -> RunInfo | None:
        """The run it is; None where it is several seeds."""
        return self.infos[0] if len(self.infos) == 1 else None


@lru_cache(maxsize=4096)
def _read(file: Path, changed: tuple[int, ...]) -> RunInfo:
    with store.Reader(file) as reader:
        return reader.run()


def info(run: str) -> RunInfo:
    """As `runs.info`, without opening a file that has not changed since. Raises RunError, StoreError."""
    file = runs.path(run)
    return runs.checked(_read(file, stamp(file)))


def look(subject: str) -> tuple[Entry | None, list[str]]:
    """A contender, or None where none of its runs can be read; a sentence for each that cannot."""
    try:
        members = contenders.members(subject)
        groups = contenders.groups(subject)
    except RunError as error:
        return None, [str(error)]
    if subject not in (*members, *groups):
        return None, [f"{subject} is a set of {len(groups)} contenders; the first is {groups[0]}."]
    found, sentences = [], []
    for run in members:
        try:
            found.append(info(run))
        except EngineError as error:
            sentences.append(str(error))
    return (Entry(id=subject, infos=tuple(found)) if found else None), sentences


def line_up(subjects: Iterable[str]) -> tuple[list[Entry], list[str]]:
    """All contenders that can be shown, and one sentence for each run that cannot."""
    entries: list[Entry] = []
    sentences: list[str] = []
    for subject in subjects:
        entry, wrong = look(subject)
        sentences += wrong
        if entry is None:
            continue
        within = {run.id for one in entries for run in one.infos}
        if all(run.id in within for run in entry.infos):
            sentences.append(f"{subject} is one of the seeds that are shown already.")
        else:
            entries.append(entry)
    return entries, sentences


def first(subject: str) -> RunInfo:
    """The first run of a contender that can be read. Raises EngineError."""
    fault: EngineError | None = None
    for run in contenders.members(subject):
        try:
            return info(run)
        except EngineError as error:
            fault = fault or error
    raise fault or RunError(f"There is no run {subject} in this library.")


def titled(subject: str) -> tuple[str, RunSpec]:
    """A contender's title and spec, for a draft that starts from it. Raises EngineError."""
    found = first(subject)
    return found.title, found.spec


def label(subject: str, found: RunInfo) -> str:
    """A contender in a picker: title, data, when it was made, and what tells its id from others.

    Never anything that changes: the browser sends a choice back by its label.
    """
    return f"{found.title} · {found.spec.data} · {made_at(found)} · {subject.split('-', 2)[-1]}"


def made_at(found: RunInfo) -> str:
    """When a run was made: the time today, the day and the time before."""
    made = datetime.fromtimestamp(found.created)
    today = made.date() == datetime.now().date()
    return f"{made:%H:%M}" if today else f"{made:%d %b %H:%M}"


def offered(count: int, besides: Sequence[str] = ()) -> dict[str, str]:
    """The newest contenders for a picker, id -> label, and those that must be among them."""
    labels = {}
    for subject in dict.fromkeys((*besides, *contenders.newest(count))):
        try:
            found = first(subject)
        except EngineError:
            continue  # what cannot be read is told in the library
        labels[subject] = label(subject, replace(found, title=short(found.title)))
    return labels


def sets(count: int) -> dict[str, str]:
    """The newest sets of more contenders than fit side by side: ladders. Id -> label."""
    by_set: dict[str, list[str]] = {}
    for subject in contenders.newest(100 * count):
        made = subject.rpartition("-c")[0]  # the first part of an id may hold "-c" too
        if made.count("-") == 2:
            by_set.setdefault(made, []).append(subject)
    labels: dict[str, str] = {}
    for made, groups in by_set.items():
        if len(groups) > contenders.MOST_CONTENDERS and len(labels) < count:
            try:
                labels[made] = set_label(made, first(groups[0]))
            except EngineError:
                continue
    return labels


def set_label(made: str, found: RunInfo) -> str:
    """A set in a picker, by what all of it has in common."""
    spec = found.spec
    length = f"{spec.steps} steps" if spec.steps else f"{spec.epochs} epochs"
    return f"{spec.data}, {length} · {made_at(found)} · {made[-4:]}"
