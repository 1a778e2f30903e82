"""How full the library is, once it is nearly full, and which runs could be let go. Never without a press."""

from collections.abc import Sequence

import streamlit as st

from engine import library, limits
from engine.library import Entry
from ui import library_actions, library_rows, rights

NAMED = 3  # of the runs that are offered


def draw() -> None:
    """Nothing, while there is room: a place that is always there, so that what is below does not move."""
    with st.container():
        full = limits.fullness()
        if all(one.share < limits.NEARLY for one in full):
            return
        oldest = limits.to_let_go(library.index.look()[0])
        with st.container(horizontal=True, vertical_alignment="center", key="library_full"):
            st.warning(_sentence(full), icon=":material/inventory_2:", width="stretch")
            if oldest and rights.is_presenter():
                _draw_offer(oldest)
        if oldest:
            st.text(_named(oldest))


def _draw_offer(oldest: Sequence[Entry]) -> None:
    size = library_rows.size(sum(entry.bytes for entry in oldest))
    st.button(
        f"Delete the oldest {len(oldest):,} ({size})" if len(oldest) > 1 else f"Delete it ({size})",
        key="let_go",
        icon=":material/delete:",
        on_click=library_actions.delete,
        args=(tuple(entry.id for entry in oldest),),
        help="They can be put back until this page is left.",
    )


def _sentence(full: Sequence[limits.Fullness]) -> str:
    """ "The library holds 1,950 of 2,000 runs, 18.2 of 20 GB." """
    return f"The library holds {', '.join(one.words for one in full)}."


def _named(oldest: Sequence[Entry]) -> str:
    names = ", ".join(entry.info.title for entry in oldest[:NAMED])
    more = f" and {len(oldest) - NAMED:,} more" if len(oldest) > NAMED else ""
    return f"Oldest that have ended and nobody starred: {names}{more}."
