"""A run in the library as a row of words, which assets/library.js draws. Pure."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from engine import store
from engine.library import Row
from engine.remedies import REMEDIES
from engine.store import RunInfo
from ui import words

MOST_DEPTH = 5  # of indentation; a branch says what it left in words too
MOST_NOTE = 140  # letters of a note in a row
TONES = {
    store.RUNNING: "run",
    store.FINISHED: "good",
    store.DIVERGED: "bad",
    store.FAILED: "bad",
    store.LOST: "bad",
}


def size(count: int) -> str:
    """Bytes as people read them: "96 KB", "3.1 MB"."""
    if count < 999_500:
        return f"{max(1, round(count / 1e3))} KB"
    return f"{count / 1e6:.1f} MB" if count < 9.95e6 else f"{count / 1e6:,.0f} MB"


def told(row: Row, title: str, parent: RunInfo | None, ticked: Collection[str]) -> dict[str, Any]:
    """A row as JSON. parent: the run it branched from, where it is there."""
    info = row.entry.info
    word, icon = words.STATUS_WORDS[info.status]
    return {
        "id": info.id,
        "title": title,
        "depth": min(row.depth, MOST_DEPTH),
        "starred": info.starred,
        "ticked": info.id in ticked,
        "status": info.status,
        "word": word,
        "icon": icon.strip(":").removeprefix("material/"),
        "tone": TONES.get(info.status, "plain"),
        "begun": info.status in store.BEGUN,
        "data": info.spec.data_set.title,
        "steps": f"{info.step:,}",
        "size": size(row.entry.bytes),
        "made": made(info.created),
        "more": more(row, parent),
        "tags": list(info.tags),
        "note": cut(info.note),
    }


def made(created: float) -> str:
    """When a run was made: the day and the time, in another year the year."""
    when = datetime.fromtimestamp(created)
    this_year = when.year == datetime.now().year
    return f"{when:%d %b %H:%M}" if this_year else f"{when:%d %b %Y}"


def more(row: Row, parent: RunInfo | None) -> list[str]:
    """What a run is: its family, its remedies, what was changed on the way."""
    info = row.entry.info
    found = []
    if info.parent:
        of = "" if row.depth else f" of {parent.title if parent else 'a run that is not here'}"
        found.append(f"branched at step {info.parent_step or 0:,}{of}")
    cures = [REMEDIES[name].title for name in row.entry.remedies]
    found += [cure for cure in cures if cure not in info.title]  # most names say theirs
    if not cures:
        found.append("no remedy")
    if info.changes:
        found.append(f"{words.changes(info.changes)} on the way")
    return found


def cut(note: str) -> str:
    """A note in one line."""
    line = " ".join(note.split())
    return line if len(line) <= MOST_NOTE else line[: MOST_NOTE - 1] + "…"
