"""One run in the library: a line of figures, and below its name what it is and what is said of it."""

import re
from datetime import datetime
from html import escape

import streamlit as st

from engine import store
from engine.library import Row
from engine.remedies import REMEDIES
from engine.store import RunInfo
from ui import library_actions, words

CELLS = 470  # px, of the figures of a run; the name has the rest
MOST_DEPTH = 5  # of indentation; a branch says what it left in words too
COLOURS = {
    store.RUNNING: "run",
    store.FINISHED: "good",
    store.DIVERGED: "bad",
    store.FAILED: "bad",
    store.LOST: "bad",
}
HEADINGS = (
    '<div class="lib lib-head"><span class="lib-name">Run</span><span class="lib-cells">'
    "<span>Status</span><span>Data</span><span>Steps</span><span>On disk</span><span>Made</span>"
    "</span></div>"
)
#: What configuration cannot say, of this page alone. The columns of all rows are one grid.
STYLE = """
<style>
.st-key-library [data-testid="stHorizontalBlock"] {
  border-top: 1px solid color-mix(in srgb, currentColor 14%, transparent); padding: 0.2rem 0;
  gap: 0.5rem;
}
.st-key-library [data-testid="stHorizontalBlock"]:hover {
  background: color-mix(in srgb, currentColor 5%, transparent);
}
.st-key-library [data-testid="stPageLink"] a { padding: 0.05rem 0.3rem; min-height: 0; }
.st-key-library [data-testid="stPageLink"] p {
  white-space: normal; overflow: visible; font-size: 1rem; font-weight: 600; line-height: 1.3;
}
.st-key-library button { min-height: 1.9rem; padding: 0 0.2rem; }
.lib { display: flex; gap: 0.5rem; font-size: 0.95rem; line-height: 1.35; }
.lib-head { font-size: 0.875rem; font-weight: 600; opacity: 0.88; padding: 0 3.75rem 0.2rem 3.5rem; }
.lib-name { flex: 1; }
.lib-cells {
  display: grid; width: 470px; grid-template-columns: 8.4rem 1fr 4rem 4.4rem 5.6rem;
  gap: 0 0.6rem; align-items: center; font-size: 0.95rem; line-height: 1.25;
}
.lib-cells > :nth-child(3), .lib-cells > :nth-child(4) { text-align: right; }
.lib-cells, .lib-cells * { font-variant-numeric: tabular-nums; }
.lib-head .lib-cells { font-size: 0.875rem; }
.lib-icon {
  font-family: "Material Symbols Rounded"; font-size: 1.15em; line-height: 1; vertical-align: -0.18em;
  margin-right: 0.3em; font-weight: 400;
}
.lib-good { color: light-dark(#0a7a5a, #54c79f); }
.lib-bad { color: light-dark(#b3261e, #ff9d9d); }
.lib-run { color: light-dark(#0b5cad, #82b7f2); }
.lib-more { font-size: 0.875rem; line-height: 1.35; padding: 0 0.3rem; overflow-wrap: anywhere; }
.lib-more > span { margin-right: 0.6rem; opacity: 0.88; }
.lib-more > .lib-tag {
  opacity: 1; padding: 0 0.45rem; border-radius: 0.6rem; margin-right: 0.3rem; white-space: nowrap;
  background: color-mix(in srgb, #2a7fc9 20%, transparent);
}
</style>
"""


def size(count: int) -> str:
    """Bytes as people read them: "96 KB", "3.1 MB"."""
    if count < 999_500:
        return f"{max(1, round(count / 1e3))} KB"
    return f"{count / 1e6:.1f} MB" if count < 9.95e6 else f"{count / 1e6:,.0f} MB"


def plain(text: str) -> str:
    """A text that people typed, for a label: shown as it is, whatever signs are in it."""
    return re.sub(r"([\\`*_\[\]~$<>#!]|:(?=\S))", r"\\\1", text)


def draw(row: Row, title: str, parent: RunInfo | None) -> None:
    """One run. parent: the run it branched from, where it is there."""
    info = row.entry.info
    with st.container(horizontal=True, vertical_alignment="center", wrap=False):
        _draw_marks(info, title)
        if row.depth:
            st.html(_branch(row.depth), width="content")
        with st.container(gap=None):
            st.page_link(
                "lab.py",
                label=plain(title),
                help="Open in the Lab",
                query_params={"run": info.id},
            )
            st.html(more(row, parent))
        st.html(cells(row), width=CELLS)
        _draw_buttons(info)


def _draw_marks(info: RunInfo, title: str) -> None:
    st.session_state[f"tick_{info.id}"] = info.id in st.session_state["chosen_runs"]
    st.checkbox(
        f"Compare {plain(title)}",
        key=f"tick_{info.id}",
        label_visibility="collapsed",
        on_change=_tick,
        args=(info.id,),
    )
    st.button(
        "★" if info.starred else "☆",
        key=f"star_{info.id}",
        type="tertiary",
        help="Take the star away" if info.starred else "Star it",
        on_click=library_actions.star,
        args=(info,),
    )


def _tick(run: str) -> None:
    ticked = [one for one in st.session_state["chosen_runs"] if one != run]
    st.session_state["chosen_runs"] = ticked + [run] * st.session_state[f"tick_{run}"]


def _draw_buttons(info: RunInfo) -> None:
    st.button(
        "",
        key=f"edit_{info.id}",
        icon=":material/edit:",
        type="tertiary",
        help="Name, note, tags; save as a file",
        on_click=library_actions.edit,
        args=(info.id,),
    )
    begun = info.status in store.BEGUN
    st.button(
        "",
        key=f"delete_{info.id}",
        icon=":material/delete:",
        type="tertiary",
        help="Stop it before deleting it" if begun else "Delete; you can undo it",
        disabled=begun,
        on_click=library_actions.delete,
        args=((info.id,),),
    )


def _branch(depth: int) -> str:
    return (
        f'<div style="padding-left:{1.4 * (min(depth, MOST_DEPTH) - 1)}rem;opacity:.7"'
        ' aria-hidden="true"><span class="lib-icon">subdirectory_arrow_right</span></div>'
    )


def cells(row: Row) -> str:
    """The figures of a run, as HTML: status, data, steps, size, when it was made."""
    info = row.entry.info
    word, icon = words.STATUS_WORDS[info.status]
    sign = icon.strip(":").removeprefix("material/")
    made = datetime.fromtimestamp(info.created)
    when = f"{made:%d %b %H:%M}" if made.year == datetime.now().year else f"{made:%d %b %Y}"
    return (
        '<div class="lib-cells">'
        f'<span class="lib-{COLOURS.get(info.status, "plain")}">'
        f'<span class="lib-icon" aria-hidden="true">{sign}</span>{word}</span>'
        f"<span>{escape(info.spec.data_set.title)}</span>"
        f"<span>{info.step:,}</span><span>{size(row.entry.bytes)}</span><span>{when}</span></div>"
    )


def more(row: Row, parent: RunInfo | None) -> str:
    """What a run is and what is said of it, as HTML: its family, remedies, tags, note."""
    info = row.entry.info
    told = []
    if info.parent:
        of = "" if row.depth else f" of {parent.title if parent else 'a run that is not here'}"
        told.append(f"branched at step {info.parent_step or 0:,}{of}")
    told.append(", ".join(REMEDIES[name].title for name in row.entry.remedies) or "no remedy")
    if info.changes:
        told.append(f"{words.changes(info.changes)} on the way")
    spans = [f"<span>{escape(one)}</span>" for one in told]
    spans += [f'<span class="lib-tag">{escape(tag)}</span>' for tag in info.tags]
    if note := " ".join(info.note.split()):
        cut = note if len(note) <= 140 else note[:139] + "…"
        spans.append(f"<span><i>{escape(cut)}</i></span>")
    return f'<div class="lib-more">{"".join(spans)}</div>'
