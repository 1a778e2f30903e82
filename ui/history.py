"""The history of a run: everything that happened to it, in rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from itertools import groupby

import streamlit as st

from engine import runs, store
from engine.errors import EngineError
from engine.records import Event
from engine.store import RunInfo
from ui import words
from ui.literal import fault

MOST_ROWS = 200
#: Kinds of events in words.
KINDS = {
    "phase": "Phase",
    "change": "Change",
    "look": "By hand",
    "pause": "Pause",
    "resume": "Resume",
    "stop": "Stop",
    "branch": "Branch",
    "note": "Note",
}


@dataclass(frozen=True)
class Row:
    """One line of the history."""

    step: str
    kind: str
    what: str
    when: str  # "" where it is not known


def rows(events: Sequence[Event]) -> list[Row]:
    """A row for each event, oldest first; steps taken by hand one after the other in one row."""
    found: list[Row] = []
    for kind, some in groupby(events, lambda event: event.kind):
        together = list(some)
        found += [_looks(together)] if kind == "look" else map(_row, together)
    return found


def _row(event: Event) -> Row:
    kind = KINDS.get(event.kind, event.kind)
    return Row(f"{event.step:,}", kind, _sentence(event.words), _when(event.at))


def _looks(events: Sequence[Event]) -> Row:
    first, last = events[0], events[-1]
    if first is last:
        return _row(first)
    told = f"{len(events)} steps by hand, each recorded"
    return Row(f"{first.step:,} to {last.step:,}", KINDS["look"], _sentence(told), _when(first.at))


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:]


def _when(at: float) -> str:
    if not at:
        return ""
    moment = datetime.fromtimestamp(at)
    today = moment.date() == datetime.now().date()
    return f"{moment:%H:%M:%S}" if today else f"{moment:%d %b %H:%M:%S}"


def draw(info: RunInfo) -> None:
    """All that happened to the run, behind a header; read from its file only while it is open."""
    told = f" ({words.changes(info.changes)})" if info.changes else ""
    place = st.expander(
        f"History{told}", key="history", icon=":material/history:", on_change="rerun"
    )
    if not place.open:
        return
    with place:
        try:
            with store.Reader(runs.path(info.id)) as reader:
                found = rows(reader.events())
        except EngineError as error:
            st.caption(fault(error))
            return
        if not found:
            st.caption("Nothing has happened to this run yet.")
            return
        if len(found) > MOST_ROWS:
            st.caption(f"The last {MOST_ROWS} of {len(found):,} rows.")
        st.html(table(found[-MOST_ROWS:]))


def table(found: Sequence[Row]) -> str:
    """Rows as an HTML table. What a file says is shown as it stands, never as HTML."""
    lines = "".join(
        f'<tr><td class="number">{escape(row.step)}</td><td>{escape(row.kind)}</td>'
        f"<td>{escape(row.what)}</td><td>{escape(row.when)}</td></tr>"
        for row in found
    )
    head = "<tr><th>Step</th><th></th><th>What</th><th>When</th></tr>"
    return f'<table class="vgl-history"><thead>{head}</thead><tbody>{lines}</tbody></table>'
