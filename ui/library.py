"""The list of all runs: what is searched for, and a page of it with families together."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import streamlit as st

from engine import library, trash
from engine.contenders import MOST_CONTENDERS
from engine.data_sets import DATA_SETS
from engine.library import Entry, Row, Wanted
from engine.presets import PRESETS
from engine.remedies import REMEDIES
from ui import library_actions, library_rows, rights, words
from ui.live import component

PER_PAGE = 25
LIST = "library_list"  # the key of the list, which the browser draws
KEPT_S = 24 * 3600.0  # what was deleted in a browser that was closed is let go after this
#: Controls that are bound to the link, under these names, and what each asks for. None is a name
#: that the Lab binds: what one page binds, another cannot set.
FILTERS: dict[str, str] = {
    "find": "text",
    "in_status": "statuses",
    "with_remedies": "remedies",
    "of_preset": "presets",
    "on_data": "data",
    "starred": "starred",
}


def arrive() -> None:
    """Take up again what was searched for, when a person comes back from another page."""
    trash.purge_all(KEPT_S)
    kept = st.session_state.get("library_filters", {})
    if st.session_state.pop("left_runs", False) and not st.query_params:
        for name, value in kept.items():
            st.session_state[name] = value


def draw() -> None:
    """Controls, and all runs that fit them, or an invitation where there is none."""
    if run := st.session_state.pop("open_run", None):
        st.switch_page("lab.py", query_params={"run": run})
    with st.sidebar:
        wanted = _draw_filters()
    _draw_runs(wanted)


# -- what is searched for --------------------------------------------------------------------------


def _draw_filters() -> Wanted:
    with st.container(key="library_filters_box", gap="small"):
        find = st.text_input(
            "Search",
            key="find",
            type="search",
            live="100ms",
            placeholder="name, tag or note",
            icon=":material/search:",
            max_chars=100,
            on_change=_first_page,
            bind="query-params",
        )
        found: dict[str, Any] = {"text": find or ""}
        found["starred"] = st.toggle(
            "Starred only", key="starred", on_change=_first_page, bind="query-params"
        )
        told: dict[str, Callable[[str], str]] = {
            "in_status": lambda name: words.STATUS_WORDS[name][0],
            "with_remedies": lambda name: REMEDIES[name].title,
            "of_preset": words.preset_title,
            "on_data": lambda name: DATA_SETS[name].title,
        }
        options = (list(words.STATUS_WORDS), list(REMEDIES), list(PRESETS), list(DATA_SETS))
        labels = ("Status", "Remedies, all of", "Preset", "Data set")
        for key, names, label in zip(told, options, labels, strict=True):
            found[FILTERS[key]] = st.multiselect(
                label,
                names,
                format_func=told[key],
                key=key,
                placeholder="any",
                on_change=_first_page,
                bind="query-params",
            )
        st.button(
            "Show all runs",
            key="clear_filters",
            icon=":material/filter_alt_off:",
            disabled=not any(found.values()),
            on_click=_clear,
            width="stretch",
        )
    st.session_state["library_filters"] = {key: found[name] for key, name in FILTERS.items()}
    return Wanted(**found)


def _first_page() -> None:
    st.session_state["runs_page"] = 1


def _clear() -> None:
    for name, value in st.session_state["library_filters"].items():
        st.session_state[name] = type(value)()
    _first_page()


# -- the runs --------------------------------------------------------------------------------------


def _draw_runs(wanted: Wanted) -> None:
    entries, broken = library.index.look()
    shown = [entry for entry in entries if wanted.fits(entry)]
    with st.container():  # always there: what is below must not move when it fills
        library_actions.draw_said()
        library_actions.draw_broken(broken)
    with st.container(horizontal=True, vertical_alignment="center", key="library_bar"):
        _draw_chosen(entries)
        if rights.is_presenter():
            library_actions.draw_import()
    counted = _counted(shown, entries)
    st.caption(counted)
    with st.container():
        library_actions.draw_deleted()
    if not shown:
        _draw_none(bool(entries))
        return
    rows = library.arranged(shown)
    pages = -(-len(rows) // PER_PAGE)
    page = min(st.session_state.get("runs_page", 1), pages)
    _draw_page(rows[(page - 1) * PER_PAGE : page * PER_PAGE], entries, counted)
    if pages > 1:
        st.session_state["runs_page"] = page
        st.pagination(pages, key="runs_page")


def _draw_page(rows: Sequence[Row], entries: Sequence[Entry], counted: str) -> None:
    by_id = {entry.id: entry.info for entry in entries}
    seeds = Counter(entry.info.group for entry in entries if entry.info.group)
    told = []
    for row in rows:
        info = row.entry.info
        seed = f", seed {info.spec.seed}" if seeds[info.group] > 1 else ""
        parent = by_id.get(info.parent)
        told.append(
            library_rows.told(row, info.title + seed, parent, st.session_state["chosen_runs"])
        )
    data = {
        "rows": told,
        "counted": counted,
        "done": st.session_state.get("library_done", 0),
        "watching": rights.is_audience(),
    }
    mounted = component("library", "library.js", "vgl-library", 200)
    mounted(data=[data], key=LIST, on_asked_change=_asked)


def _asked() -> None:
    """Carry out what was pressed in the list, each once: unanswered, it is sent again.

    What is no press of ours is passed over.
    """
    told = st.session_state[LIST].get("asked")
    for asked in told if isinstance(told, list) else ():
        if not _is_press(asked):
            continue
        if asked["number"] > st.session_state.get("library_done", 0):
            st.session_state["library_done"] = asked["number"]
            ACTIONS[asked["do"]](asked["run"], asked["on"])


def _is_press(asked: Any) -> bool:
    fits = {"number": int, "do": str, "run": str, "on": bool | None}
    return (
        isinstance(asked, dict)
        and asked.keys() == fits.keys()
        and all(isinstance(asked[name], kind) for name, kind in fits.items())
        and asked["do"] in ACTIONS
    )


def _tick(run: str, on: bool) -> None:
    ticked = [one for one in st.session_state.get("chosen_runs", []) if one != run]
    st.session_state["chosen_runs"] = ticked + [run] * bool(on)


def _open(run: str, _: None) -> None:
    st.session_state["open_run"] = run


ACTIONS: dict[str, Callable[[str, Any], None]] = {
    "tick": _tick,
    "star": library_actions.star,
    "open": _open,
    "edit": lambda run, _: library_actions.edit(run),
    "delete": lambda run, _: library_actions.delete((run,)),
}


def _counted(shown: Sequence[Entry], entries: Sequence[Entry]) -> str:
    if not entries:
        return ""
    size = library_rows.size(sum(entry.bytes for entry in shown))
    runs = f"run{'' if len(entries) == 1 else 's'}"
    if len(shown) == len(entries):
        return f"{len(entries):,} {runs}, {size} on disk. Newest first; a branch stands beneath its parent."
    return f"{len(shown):,} of {len(entries):,} {runs}, {size} on disk."


def _draw_none(any_at_all: bool) -> None:
    if any_at_all:
        st.info(
            "No run is like that: take a filter away, or search for less.",
            icon=":material/search_off:",
        )
        return
    st.info(
        "Nothing trained yet: open the Lab, press **Train** and watch layer 1."
        if rights.is_presenter()
        else "Nothing trained yet: what the presenter trains is listed here.",
        icon=":material/science:",
    )
    st.page_link("lab.py", label="Open the Lab", icon=":material/science:")


def _draw_chosen(entries: Sequence[Entry]) -> None:
    """What can be done with the runs that are ticked."""
    known = {entry.id for entry in entries}
    ticked = [run for run in st.session_state.get("chosen_runs", []) if run in known]
    st.session_state["chosen_runs"] = ticked
    st.page_link(
        "compare.py",
        label=f"Compare the {len(ticked)} ticked" if ticked else "Compare",
        icon=":material/compare:",
        disabled=not 1 <= len(ticked) <= MOST_CONTENDERS,
        query_params={"runs": ",".join(ticked), "show": "side_by_side"},
    )
    if rights.is_presenter():
        st.button(
            f"Delete the {len(ticked)} ticked" if ticked else "Delete",
            key="delete_ticked",
            icon=":material/delete:",
            type="tertiary",
            disabled=not ticked,
            on_click=library_actions.delete,
            args=(tuple(ticked),),
        )
    many = len(ticked) > MOST_CONTENDERS
    st.caption(
        f":red[:material/error: {len(ticked)} are ticked; at most {MOST_CONTENDERS} fit side by side.]"
        if many
        else f"Tick up to {MOST_CONTENDERS} runs to put them side by side.",
        width="stretch",
    )
