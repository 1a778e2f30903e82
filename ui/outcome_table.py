"""The table of what came of each contender: one row each, its seeds behind it, also as CSV.

Reads through engine.outcomes.Measure, which reads only what is new and keeps no file open. Rows are
made anew only where an outcome changed.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from engine import store
from engine.contenders import group_of, set_of
from engine.errors import EngineError, RunError
from engine.outcomes import COLUMNS, Measure
from engine.quotes import quoted
from engine.store import FINISHED, RUNNING
from ui import outcome_rows
from ui.contrast import short
from ui.display import Display
from ui.numbers import duration
from ui.outcome_rows import Contender, Line
from ui.views import Library

EVERY = 1.0  # seconds between two displays
_HEAD = [{"name": name, "title": c.title, "help": c.help} for name, c in COLUMNS.items()]


@dataclass
class Entry:
    """One contender: its seeds, measured."""

    id: str
    measures: dict[str, Measure] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)  # run -> sentence
    place: int = 0  # in the queue, where all of it waits
    made: tuple[Contender, Line] | None = None  # last time

    def contender(self, label: str) -> Contender:
        """What is known of it."""
        outcomes = tuple(measure.outcome for measure in self.measures.values())
        return Contender(
            id=self.id,
            label=label,
            outcomes=outcomes,
            unreadable=len(self.unreadable),
            place=self.place,
        )

    def row(self, label: str) -> Line:
        """The row of the table; the same one while nothing changes."""
        now = self.contender(label)
        if self.made is None or self.made[0] != now:
            self.made = (now, outcome_rows.row(now))
        return self.made[1]


class OutcomeTable:
    """Some contenders, or all of a set, one row each. Everything raised is an EngineError.

    names  contenders (runs or groups), and sets that stand for all of theirs
    """

    every = EVERY

    def __init__(self, subject: str, names: Sequence[str], library: Library):
        self.subject, self.library = subject, library
        self.names = list(dict.fromkeys(name for name in names if name))
        self.entries: dict[str, Entry] = {}
        self.missing: dict[str, str] = {}  # contender -> why it is not there
        self._list()

    @property
    def ended(self) -> bool:
        """Whether nothing that is shown will change of itself."""
        return not any(m.info.status in store.OPEN for m in self._measures())

    def _measures(self) -> list[Measure]:
        return [m for entry in self.entries.values() for m in entry.measures.values()]

    def refresh(self) -> bool:
        """Read what is new; whether anything was. A run that has not changed costs two stats."""
        changed = [
            self._refresh(entry, run)
            for entry in list(self.entries.values())
            for run in list(entry.measures)
        ]
        return any(changed)

    def _refresh(self, entry: Entry, run: str) -> bool:
        try:
            return entry.measures[run].refresh()
        except EngineError as error:
            gone = entry.measures.pop(run)
            if gone.path.exists():
                entry.unreadable[run] = str(error)
            self._keep(entry, str(error))
            return True

    def _keep(self, entry: Entry, why: str) -> None:
        """Show a contender as long as any of its runs can be read; otherwise say why there is none."""
        if entry.measures:
            self.entries[entry.id] = entry
        else:
            self.entries.pop(entry.id, None)
            self.missing[entry.id] = why

    def check(self) -> bool:
        """Ask anew who is there, whether workers live and for places in the queue."""
        changed = [False if self.ended else self._list()]
        for entry in self.entries.values():
            measures = entry.measures.values()
            # What waits changes by a write, so that only those with a worker are asked: it costs 2 ms each.
            changed += [m.check() for m in measures if m.info.status in store.BEGUN]
            waiting = [run for run, m in entry.measures.items() if m.info.status == store.QUEUED]
            before, all_wait = entry.place, len(waiting) == len(measures) > 0
            entry.place = self.library.place(waiting[0]) if all_wait else 0
            changed.append(before != entry.place)
        return any(changed)

    def _list(self) -> bool:
        """Find the contenders and their runs; whether anybody came or went."""
        before, old = self._listed(), self.entries
        self.entries, self.missing = {}, {}
        for name, found in self._members().items():
            if isinstance(found, EngineError):
                self.missing[name] = str(found)
                continue
            entry = old.get(name, Entry(name))
            known, entry.measures, entry.unreadable = entry.measures, {}, {}
            for run in found:
                if run in known:
                    entry.measures[run] = known[run]
                else:
                    self._open(entry, run)
            self._keep(entry, next(iter(entry.unreadable.values()), ""))
        return bool(before != self._listed())

    def _open(self, entry: Entry, run: str) -> None:
        try:
            measure = Measure(self.library.path(run), lambda: self.library.checked(measure.info))
            measure.refresh()
        except EngineError as error:
            entry.unreadable[run] = str(error)
        else:
            entry.measures[run] = measure

    def _listed(self) -> Any:
        runs = {name: ([*e.measures], dict(e.unreadable)) for name, e in self.entries.items()}
        return runs, dict(self.missing)

    def _members(self) -> dict[str, list[str] | EngineError]:
        """Contender -> its runs, or why it has none. The folder is listed once for each set."""
        listed: dict[str, list[str] | EngineError] = {}
        found: dict[str, list[str] | EngineError] = {}
        for name in self.names:
            together = set_of(name)
            if together not in listed:
                listed[together] = self._try_members(together)
            there = listed[together]
            if isinstance(there, EngineError):
                found[name] = there if name == together else _not_there(name)
                continue
            groups: dict[str, list[str]] = {run: [run] for run in there}
            for run in there:
                groups.setdefault(group_of(run), []).append(run)
            if name in groups:
                found[name] = [*dict.fromkeys(groups[name])]
            elif name == together:
                found |= {group: groups[group] for group in dict.fromkeys(map(group_of, there))}
            else:
                found[name] = _not_there(name)
        return found

    def _try_members(self, name: str) -> list[str] | EngineError:
        try:
            return self.library.members(name)
        except EngineError as error:
            return error

    def close(self) -> None:
        """Let go of all files."""
        for measure in self._measures():
            measure.close()

    def display(self) -> Display:
        """All there is to show, now: no arrays, only words and numbers."""
        labelled = self._labelled()
        outcomes = [measure.outcome for measure in self._measures()]
        left = outcome_rows.seconds_left(outcomes)
        unreadable = [why for entry in self.entries.values() for why in entry.unreadable.values()]
        header = {
            "run": self.subject,
            "status": FINISHED if self.ended else RUNNING,
            "open": not self.ended,
            "time_left": "" if left is None else f"{duration(left)} left",
            "columns": _HEAD,
            "rows": [entry.row(label) for label, entry in labelled],
            "overlaps": outcome_rows.overlaps(self.contenders()),
            "missing": list(dict.fromkeys([*self.missing.values(), *unreadable])),
        }
        return Display(header=header)

    def csv(self) -> str:
        """The table in full precision, with a line for each seed."""
        return outcome_rows.csv_text(self.contenders())

    def contenders(self) -> list[Contender]:
        """All that are there, in order."""
        return [entry.contender(label) for label, entry in self._labelled()]

    def _labelled(self) -> list[tuple[str, Entry]]:
        """Each contender by its title; where several have the same one, with the end of its id."""
        whole = [next(iter(e.measures.values())).info.title for e in self.entries.values()]
        often = Counter(map(short, whole))
        titles = [short(title) if often[short(title)] == 1 else title for title in whole]
        often = Counter(titles)
        return [
            (title if often[title] == 1 else f"{title} ({entry.id.rpartition('-')[2]})", entry)
            for title, entry in zip(titles, self.entries.values(), strict=True)
        ]


def _not_there(name: str) -> RunError:
    return RunError(f"There is no run {quoted(name, 60)} in this library.")
