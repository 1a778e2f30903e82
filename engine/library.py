"""What the library holds: each run as its file says it, read once for as long as the file is the same.

Opening a file takes half a millisecond, looking whether it changed a few microseconds: a page of
1,000 runs can look at all of them every time.
"""

import contextlib
import json
import os
import threading
import time
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine import runs, store
from engine.errors import EngineError, RunError
from engine.gate import gated
from engine.remedies import active
from engine.store import RunInfo

_LOG = f"{store.SUFFIX}-wal"  # beside a file: what is not folded into it yet
AGAIN_S = 10.0  # until a file that could not be read is tried again
_Stamp = tuple[int, int, int, int]  # sizes and times of a file and of its log
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
        self._known: dict[str, tuple[_Stamp, Entry | str]] = {}  # file -> what it said, and when
        self._tried: dict[str, float] = {}  # file that could not be read -> time.monotonic of that
        self._names: set[str] = set()  # of files, those of no run too
        self._files: list[Path] = []

    def look(self) -> tuple[list[Entry], dict[str, str]]:
        """Every readable run, newest first; and run -> one sentence for each that is not."""
        with self._lock:
            found = self._look()
        entries = [_checked(entry) for entry in found if isinstance(entry, Entry)]
        # An id is as fine as a second; an imported run is as new as its coming, not as its making.
        entries.sort(key=lambda one: (one.id[:15], one.info.created), reverse=True)
        return entries, dict(said for said in found if isinstance(said, tuple))

    def _again(self, name: str) -> bool:
        """Whether to try once more what could not be read: a lock goes, and leaves the file as it was."""
        is_fault = isinstance(self._known[name][1], str)
        return is_fault and time.monotonic() - self._tried.get(name, 0.0) >= AGAIN_S

    def _look(self) -> list[Entry | tuple[str, str]]:
        """What each file says, or its run with the reason why it cannot be read."""
        stamps = _stamps()
        if stamps.keys() != self._names:
            self._files, self._names = runs.files(), set(stamps)
            files = {str(file) for file in self._files}
            self._known = {name: said for name, said in self._known.items() if name in files}
        found: list[Entry | tuple[str, str]] = []
        for file in self._files:
            name = str(file)
            stamp = stamps.get(name)
            if stamp is None:
                continue  # made this moment: the next look finds it
            if name not in self._known or self._known[name][0] != stamp or self._again(name):
                said = _read(file, stamp[0] + stamp[2])
                self._known[name] = (stamp, said)
                if isinstance(said, str):
                    self._tried[name] = time.monotonic()
            said = self._known[name][1]
            found.append((file.stem, said) if isinstance(said, str) else said)
        return found


def _stamps() -> dict[str, _Stamp]:
    """File -> what changes whenever it does. All of a folder at once: a quarter of one by one."""
    found: dict[str, tuple[int, int]] = {}
    with os.scandir(runs.library()) as folder:
        for file in folder:
            if file.name.endswith((store.SUFFIX, _LOG)):
                with contextlib.suppress(OSError):  # deleted this moment
                    told = file.stat()
                    found[file.path] = (told.st_size, told.st_mtime_ns)
    empty = (0, 0)
    logs = {name: log for name, log in found.items() if log[0]}  # reading leaves empty ones
    return {
        name: (*told, *logs.get(name + "-wal", empty))
        for name, told in found.items()
        if not name.endswith(_LOG)
    }


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


@gated
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
