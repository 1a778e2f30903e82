"""What the library holds: each run as its file says it, read once for as long as the file is the same.

Opening a file takes half a millisecond, looking whether it changed a few microseconds: a page of
1,000 runs can look at all of them every time.
"""

import json
import threading
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine import runs, store
from engine.errors import EngineError, RunError
from engine.outcomes import stamp
from engine.remedies import active
from engine.store import RunInfo

MOST_TITLE, MOST_NOTE, MOST_TAG, MOST_TAGS = 120, 2000, 30, 12


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One run in the library."""

    info: RunInfo
    bytes: int  # on disk
    remedies: tuple[str, ...]  # active as the run stands now
    text: str  # what a search looks through

    @property
    def id(self) -> str:
        return self.info.id


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which runs are asked for. What is empty asks for nothing."""

    text: str = ""  # words, each in the title, a tag, the note or the id
    presets: Sequence[str] = ()  # one of these
    data: Sequence[str] = ()  # one of these
    statuses: Sequence[str] = ()  # one of these
    remedies: Sequence[str] = ()  # all of these
    starred: bool = False

    def fits(self, entry: Entry) -> bool:
        """Whether a run is one of those asked for."""
        info = entry.info
        return (
            (info.starred or not self.starred)
            and (not self.presets or info.preset in self.presets)
            and (not self.data or info.spec.data in self.data)
            and (not self.statuses or info.status in self.statuses)
            and all(name in entry.remedies for name in self.remedies)
            and all(word in entry.text for word in self.text.casefold().split())
        )


@dataclass(frozen=True, kw_only=True)
class Row:
    """A run where it stands in the list of families."""

    entry: Entry
    depth: int  # how many of its ancestors stand above it


def arranged(entries: Sequence[Entry]) -> list[Row]:
    """Families, the one with the newest member first; in each, branches beneath their parent.

    entries  newest first; a branch whose parent is not among them stands alone
    """
    by_id = {entry.id: entry for entry in entries}
    children: dict[str, list[Entry]] = {}
    for entry in entries:
        if entry.info.parent in by_id:
            children.setdefault(entry.info.parent, []).append(entry)
    rows: list[Row] = []
    placed: set[str] = set()
    for entry in entries:
        waiting = [(_root(entry, by_id), 0)]
        while waiting:
            one, depth = waiting.pop()
            if one.id not in placed:
                placed.add(one.id)
                rows.append(Row(entry=one, depth=depth))
                waiting += [(child, depth + 1) for child in reversed(children.get(one.id, []))]
    return rows


def _root(entry: Entry, by_id: dict[str, Entry]) -> Entry:
    seen = {entry.id}  # a file from elsewhere may name itself among its ancestors
    while entry.info.parent in by_id and entry.info.parent not in seen:
        entry = by_id[entry.info.parent]
        seen.add(entry.id)
    return entry


class Index:
    """What the files of the library say, kept as long as they do not change. Safe among threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[Path, tuple[tuple[int, ...], Entry | str]] = {}

    def look(self) -> tuple[list[Entry], dict[str, str]]:
        """Every readable run, newest first; and run -> one sentence for each that is not."""
        with self._lock:
            found = {file: self._entry(file) for file in runs.files()}
            self._known = {file: self._known[file] for file in found if file in self._known}
        entries = [_checked(entry) for entry in found.values() if isinstance(entry, Entry)]
        # An id is as fine as a second; an imported run is as new as its coming, not as its making.
        entries.sort(key=lambda one: (one.id[:15], one.info.created), reverse=True)
        broken = {file.stem: said for file, said in found.items() if isinstance(said, str) and said}
        return entries, broken

    def _entry(self, file: Path) -> Entry | str:
        """What a file says, or why it cannot be read; "" where it is gone."""
        try:
            changed = stamp(file)
        except EngineError:
            return ""
        known = self._known.get(file)
        if known and known[0] == changed:
            return known[1]
        entry = _read(file, sum(changed[::2]))
        self._known[file] = (changed, entry)
        return entry


#: Of this process. The server has it read everything before the first page asks.
index = Index()


def _read(file: Path, size: int) -> Entry | str:
    try:
        with store.Reader(file) as reader:
            info = reader.run()
    except EngineError as error:
        return str(error)
    words = [info.title, info.note, info.id, *info.tags]
    return Entry(
        info=info,
        bytes=size,
        remedies=tuple(active(info.now)),
        text="\n".join(words).casefold(),
    )


def _checked(entry: Entry) -> Entry:
    """The same, where a worker may have been killed since it wrote."""
    if entry.info.status not in store.OPEN:
        return entry
    return replace(entry, info=runs.checked(entry.info))


def describe(
    run: str,
    *,
    title: str | None = None,
    note: str | None = None,
    tags: Iterable[str] | None = None,
    starred: bool | None = None,
) -> None:
    """Write what people say of a run; None leaves it as it is. Raises RunError, StoreError."""
    columns: dict[str, str | int] = {}
    if title is not None:
        columns["title"] = line(title, MOST_TITLE)
        if not columns["title"]:
            raise RunError("A run needs a name: type at least one letter.")
    if note is not None:
        columns["note"] = text(note, MOST_NOTE)
    if tags is not None:
        columns["tags"] = json.dumps(tidy_tags(tags))
    if starred is not None:
        columns["starred"] = int(starred)
    with store.Writer(runs.path(run)) as writer:
        writer.update(**columns)


def tidy_tags(tags: Iterable[str]) -> list[str]:
    """Tags in their order, each once, without what has no place in one; at most MOST_TAGS."""
    tidy = [line(tag.replace(",", " "), MOST_TAG) for tag in tags]
    return list(dict.fromkeys(filter(None, tidy)))[:MOST_TAGS]


def line(said: str, most: int) -> str:
    """One line of at most so many characters, without control characters."""
    return " ".join(text(said, 10 * most).split())[:most].strip()


def text(said: str, most: int) -> str:
    """A text of at most so many characters, without control characters other than new lines.

    Invisible signs that turn the direction of what follows are among them.
    """
    spaced = (c if c == "\n" or not c.isspace() else " " for c in said[: 2 * most])
    kept = (c for c in spaced if c == "\n" or unicodedata.category(c)[0] != "C")
    return "".join(kept).strip()[:most]
