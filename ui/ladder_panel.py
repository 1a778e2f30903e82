"""The ladder: every remedy alone, trained by one press, and the table that fills in meanwhile."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import streamlit as st

from engine import contenders
from engine.contenders import FORMS, MOST_CONTENDERS, Contender
from engine.errors import EngineError
from engine.presets import PRESETS
from engine.remedies import REMEDIES, active
from engine.spec import RunSpec
from ui import (
    compare_controls,
    compare_link,
    comparison_live,
    contrast,
    draft,
    lineup,
    links,
    rights,
    words,
)
from ui.compare_link import SIDE_BY_SIDE
from ui.lineup import Entry
from ui.links import Comparison

EARLIER = 8  # ladders in the picker
ABOUT = (
    "One remedy after the other over the same baseline. **Controlled:** only the remedy differs. "
    "**Published:** as in the exercise, which sometimes changes the learning rate or the optimizer too."
)
NONE_TO_SEE = "No ladder is shown: choose an earlier one in the sidebar, or wait for the presenter's. It trains these."
NONE_YET = (
    "No ladder yet: press **Train the ladder** and watch the table fill in: who learns, who wakes "
    "up when, and what is left of the gradient in layer 1."
)


class Ladder(NamedTuple):
    """The set whose table is shown."""

    id: str  # "" where there is none
    entries: list[Entry]
    sentences: list[str]  # one for each thing that cannot be shown

    @property
    def open(self) -> list[str]:
        return [run for entry in self.entries for run in entry.open]


def find(set_id: str) -> Ladder:
    """The set that a link names."""
    if not set_id:
        return Ladder("", [], [])
    try:
        entries, sentences = lineup.line_up(contenders.groups(set_id))
    except EngineError as error:
        return Ladder("", [], [str(error)])
    return Ladder(set_id if entries else "", entries, sentences)


def asked(link: Comparison) -> list[Contender]:
    """What "Train the ladder" starts."""
    forms = tuple(FORMS) if link.form == "both" else (link.form,)
    return contenders.ladder(forms, link.seeds, data=link.new_data, epochs=link.new_epochs)


def draw_sidebar(link: Comparison, ladder: Ladder) -> None:
    """Train the ladder, earlier ones, and what the next one is like."""
    compare_controls.draw_actions(
        "Train the ladder",
        key="ladder",
        says=draft.announced(asked(link)),
        ready=True,
        on_start=_train,
        running=ladder.open,
    )
    labels = lineup.sets(EARLIER)
    if ladder.id:
        labels.setdefault(ladder.id, lineup.set_label(ladder.id, ladder.entries[0].infos[0]))
    st.selectbox(
        "Earlier ladders",
        list(labels),
        index=list(labels).index(ladder.id) if ladder.id else None,
        format_func=labels.__getitem__,
        placeholder="Choose a ladder" if labels else "No ladder yet",
        disabled=not labels,
        **compare_link.bound("ladder", ladder.id or None),
    )
    if rights.is_audience():
        st.caption(ABOUT)
        return
    st.segmented_control(
        "Form",
        links.LADDER_FORMS,
        default=link.form,
        required=True,
        format_func=compare_controls.FORM_WORDS.__getitem__,
        **compare_link.bound("form", link.form),
    )
    st.caption(ABOUT)
    compare_controls.draw_common(link, "For the next ladder")


def _train() -> None:
    link = compare_link.now()
    begun = compare_controls.start(asked(link))
    if begun:
        compare_link.write(replace(link, ladder=contenders.set_of(begun[0])))


def draw(link: Comparison, ladder: Ladder) -> None:
    """The table of the ladder that is shown, and a way to put some of it side by side."""
    with st.container():
        if ladder.id:
            draw_choice(ladder.entries, "Put these side by side", key="rows")
        else:
            none = NONE_YET if rights.is_presenter() else NONE_TO_SEE
            st.info(none, icon=":material/leaderboard:")
            with st.container(key="rungs"):
                st.markdown(rungs(asked(link)))
    if ladder.id:
        comparison_live.mount((), table=f"table:{ladder.id}", known_open=bool(ladder.open))


def rungs(wanted: Sequence[Contender]) -> str:
    """What a ladder would train, as a table in Markdown."""
    rows = ["| Network | Changes against the first | Why |", "|---|---|---|"]
    for one in wanted:
        changes = changed(one.spec, wanted[0].spec) or "nothing: the others are compared with this"
        rows.append(f"| {contrast.short(one.title)} | {changes} | {_why(one)} |")
    return "\n".join(rows)


def _why(one: Contender) -> str:
    """What a controlled preset's remedy is for; what is to be known of a published one."""
    ideas = [REMEDIES[name].idea for name in active(one.spec)]
    is_controlled = PRESETS[one.preset].kind == "controlled"
    return " ".join(ideas) if is_controlled and ideas else PRESETS[one.preset].note


def changed(spec: RunSpec, plain: RunSpec) -> str:
    """The fields in which a spec differs from another: "activation relu"."""
    own, other = spec.model_dump(), plain.model_dump()
    return ", ".join(
        f"{words.NAMES[name]} {words.shown(value)}"
        for name, value in own.items()
        if value != other[name] and words.matters(name, own)
    )


def draw_choice(entries: Sequence[Entry], label: str, *, key: str) -> None:
    """Choose some contenders of a table, and show them side by side."""
    names = contrast.labels([entry.line for entry in entries])
    names_by_id = {entry.id: name for entry, name in zip(entries, names, strict=True)}
    with st.container(horizontal=True, vertical_alignment="bottom", wrap=False):
        chosen = st.multiselect(
            label,
            list(names_by_id),
            format_func=names_by_id.__getitem__,
            max_selections=MOST_CONTENDERS,
            key=compare_link.key(key),
            placeholder=f"Choose up to {MOST_CONTENDERS}",
        )
        st.button(
            "Side by side",
            key=compare_link.key(f"{key}_show"),
            icon=":material/view_column:",
            disabled=not chosen,
            on_click=_show,
            args=(tuple(chosen),),
        )


def _show(runs: tuple[str, ...]) -> None:
    compare_link.change(runs=runs, show=SIDE_BY_SIDE)
