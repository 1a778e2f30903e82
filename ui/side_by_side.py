"""Contenders side by side: how they are laid beside each other, what differs, and the live charts."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple, cast

import streamlit as st

from engine.contenders import MOST_CONTENDERS
from engine.data_sets import DATA_SETS
from ui import (
    compare_controls,
    compare_link,
    comparison_live,
    contrast,
    draft,
    family,
    lineup,
    links,
    rights,
    share,
)
from ui.compare_link import SIDE_BY_SIDE
from ui.comparison_live import Align, Shown
from ui.lineup import Entry
from ui.links import Comparison
from ui.literal import literal


class Ready(NamedTuple):
    """A comparison to start by one press."""

    title: str
    question: str
    new: tuple[str, ...]


NOTHING_SHOWN = (
    "Nothing is compared here: choose runs in the sidebar, or wait for what the presenter compares."
)
READY = (
    Ready(
        "Baseline beside ReLU",
        "A sigmoid network, and the same with ReLU and initial weights made for it. "
        "Does the gradient reach layer 1?",
        ("baseline", "baseline+better_activation+kaiming"),
    ),
    Ready(
        "BatchNorm beside skip",
        "The baseline, and two famous changes to it, one at a time. Which one does the work?",
        ("baseline", "baseline+batchnorm", "baseline+skip"),
    ),
    Ready(
        "The six best known remedies",
        "Each alone over one and the same baseline, six networks at once. Who wakes up first?",
        (
            "controlled_weight_std_1",
            "controlled_better_activation",
            "controlled_better_optimizer",
            "controlled_batchnorm",
            "controlled_skip",
            "controlled_gradient_norm",
        ),
    ),
)


def draw_view(link: Comparison, layers: int) -> None:
    """How the contenders are laid beside each other, and which curves and histograms are drawn."""
    options = {
        "align": ("Align by", links.ALIGNS),
        "part": ("Curves of", links.PARTS),
        "histograms": ("Histograms of", links.KINDS),
    }
    for name, (label, values) in options.items():
        st.segmented_control(
            label,
            values,
            default=getattr(link, name),
            required=True,
            format_func=lambda value: value.replace("_", " "),
            **compare_link.bound(name, getattr(link, name)),
        )
    st.selectbox(
        f"Layer of {layers}",
        range(1, layers + 1),
        link.histogram_layer - 1,
        width=110,
        **compare_link.bound("histogram_layer", link.histogram_layer),
    )


def draw_contrast(entries: Sequence[Entry], names: Sequence[str], since: Sequence[int]) -> None:
    """What differs, once per field, in the order of the charts; what is equal, once; who branched."""
    lines = [entry.line for entry in entries]
    names = [literal(name) for name in names]
    if len(lines) == 1:
        st.markdown(f":material/add: {names[0]} stands alone: add another to compare it with.")
        return
    differing = [contrast.sentence(found, names) for found in contrast.differences(lines)]
    if differing:
        st.markdown(" · ".join(differing))
    relations = family.sentences([entry.run for entry in entries], since, names)
    st.caption(" ".join([contrast.equal(lines), *relations, *contrast.notes(lines)]))


def drawn_since(entries: Sequence[Entry]) -> list[int]:
    """The step from which each is drawn, so that the past that branches share is drawn once."""
    lines = [family.lineage(entry.run, lineup.info) if entry.run else None for entry in entries]
    return family.since(lines)


def draw_invitation(link: Comparison) -> None:
    """What a person sees who opens the page for the first time: comparisons by one press.

    The audience is told where to choose.
    """
    if rights.is_audience():
        st.info(NOTHING_SHOWN, icon=":material/compare:")
        return
    st.info(
        "Nothing to compare yet: press one of these and watch, choose runs there are in the "
        "sidebar, or put new ones together there and press **Start together**.",
        icon=":material/compare:",
    )
    for number, (ready, column) in enumerate(zip(READY, st.columns(len(READY)), strict=True)):
        lines = draft.lines(
            ready.new, compare_controls.common(link), lineup.titled, MOST_CONTENDERS
        )
        asked = [line.contender for line in lines if line.contender]
        with column, st.container(border=True, key=f"ready_{number}", height="stretch"):
            st.button(
                ready.title,
                key=f"start_ready_{number}",
                type="primary",
                icon=":material/play_arrow:",
                width="stretch",
                disabled=not asked,
                on_click=_start_ready,
                args=(number,),
            )
            st.markdown(ready.question)
            st.caption(f"{DATA_SETS[link.new_data].title}: {draft.announced(asked)}")


def _start_ready(number: int) -> None:
    link = compare_link.now()
    lines = draft.lines(
        READY[number].new, compare_controls.common(link), lineup.titled, MOST_CONTENDERS
    )
    begun = compare_controls.start([line.contender for line in lines if line.contender])
    if begun:
        compare_link.write(replace(link, runs=tuple(begun), show=SIDE_BY_SIDE))


def check_layer(link: Comparison, entries: Sequence[Entry]) -> tuple[Comparison, list[str]]:
    """The link with a layer that the deepest network has, and a sentence where it had another."""
    layers = deepest(entries)
    if link.histogram_layer <= layers:
        return link, []
    sentence = (
        f"histogram_layer is {link.histogram_layer}; it must be from 1 to {layers}, "
        "the layers of the deepest network."
    )
    return replace(link, histogram_layer=1), [sentence]


def deepest(entries: Sequence[Entry]) -> int:
    """Layers of the deepest network, its output layer included."""
    return max((entry.spec.layers for entry in entries), default=links.MOST_LAYERS)


def draw(link: Comparison, entries: Sequence[Entry]) -> None:
    """Everything under the row that says what this page shows."""
    if not entries:
        draw_invitation(link)
        return
    with st.container(horizontal=True, vertical_alignment="bottom", key="compare_view"):
        draw_view(link, deepest(entries))
    names = contrast.labels([entry.line for entry in entries])
    since = drawn_since(entries)
    with st.container(key="contrast", gap=None):
        draw_contrast(entries, names, since)
    colours = contrast.colours([entry.spec for entry in entries])
    parts = zip(entries, names, colours, contrast.DASHES, since, strict=False)
    comparison_live.mount(
        [
            Shown(one.id, name, colour, dash, one.spec.layers, step, one.status, one.line.changes)
            for one, name, colour, dash, step in parts
        ],
        part=link.part,
        kind=link.histograms,
        layer=link.histogram_layer,
        align=cast(Align, link.align),
        table=f"table:{':'.join(entry.id for entry in entries)}",
        known_open=any(entry.open for entry in entries),
        hidden=share.hidden(),
    )
