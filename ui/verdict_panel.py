"""The verdict: each published number beside what is measured here, and one press for what is missing."""

import re
import statistics
from collections.abc import Iterable, Sequence
from contextlib import suppress

import streamlit as st

from engine import presets, runs, store, verdict
from engine.contenders import Contender, group_of
from engine.errors import EngineError
from engine.presets import PRESETS
from engine.spec import RunSpec
from engine.supervisor import default_workers
from engine.verdict import Verdict
from ui import (
    compare_controls,
    compare_link,
    comparison_live,
    draft,
    ladder_panel,
    lineup,
    rights,
)
from ui.lineup import Entry
from ui.links import Comparison
from ui.numbers import duration

ABOUT = (
    "The published numbers are one run each, after 100 epochs on Fashion-MNIST. A number **agrees** "
    "where it lies among the accuracies measured here, over all seeds and the last tenth of their "
    "epochs, or no further off than two standard errors."
)
GUESSED_EPOCH_S = 2.0  # a Fashion-MNIST epoch on one core, where the library has none
SIGNS = {True: "✓ agrees", False: "✗ outside"}
#: Names of presets that are no word of their own, the longest first.
_PRESET = re.compile(
    r"\b(?:" + "|".join(sorted((n for n in PRESETS if "_" in n), key=len, reverse=True)) + r")\b"
)


def draw_sidebar(link: Comparison) -> None:
    """Train what is missing, and how long that would take."""
    claims = verdict.chosen()
    wanted = verdict.missing(claims, link.seeds)
    under_way = verdict.on_their_way(claims, link.seeds)
    compare_controls.draw_actions(
        "Train missing",
        key="verdict",
        says=f"Missing: {draft.announced(wanted)}" if wanted else "Nothing is missing.",
        ready=bool(wanted),
        on_start=_train,
        running=under_way,
    )
    with st.container():
        if wanted and rights.is_presenter():
            st.caption(estimate(wanted, _finished(), default_workers()))
    compare_controls.draw_seeds(link)
    st.caption(ABOUT)


def _train() -> None:
    compare_controls.start(verdict.missing(verdict.chosen(), compare_link.now().seeds))


def _finished() -> list[store.RunInfo]:
    """Every finished run on the published data."""
    found = []
    for file in runs.files():
        with suppress(EngineError):
            one = lineup.info(file.stem)
            if one.status == store.FINISHED and one.spec.data == verdict.DATA:
                found.append(one)
    return found


def estimate(wanted: Sequence[Contender], finished: Iterable[store.RunInfo], workers: int) -> str:
    """How long it takes to train these, by what the library has measured, in words."""
    by_key: dict[str, list[float]] = {}
    for one in finished:
        if one.started and one.ended:
            by_key.setdefault(_key(one.spec), []).append(
                (one.ended - one.started) / _epochs(one.spec)
            )
    told = [seconds for some in by_key.values() for seconds in some]
    usual = statistics.median(told) if told else GUESSED_EPOCH_S
    seconds = sum(
        one.seeds * _epochs(one.spec) * statistics.median(by_key.get(_key(one.spec), [usual]))
        for one in wanted
    )
    epochs = sum(one.seeds * _epochs(one.spec) for one in wanted)
    source = (
        f"measured here on {len(told)} run{'s'[: len(told) > 1]}"
        if told
        else "a guess for one core: no run here tells yet"
    )
    at_once = "one at a time" if workers == 1 else f"{workers} at a time"
    return (
        f"About {duration(seconds / workers)}, {at_once}: {epochs:,} epochs of "
        f"{seconds / epochs:.2g} s each ({source})."
    )


def _key(spec: RunSpec) -> str:
    return presets.name_of(spec) or spec.model_dump_json(exclude={"seed", "epochs", "steps"})


def _epochs(spec: RunSpec) -> int:
    return -(-spec.total_steps // spec.steps_per_epoch)


def draw(link: Comparison) -> None:
    """The published table, judged; below it what trains now."""
    found = verdict.judge()
    st.markdown(summary(found))
    with st.container(key="verdict"):
        st.markdown(table(found))
    with st.container():
        if entries := _measured(found):
            ladder_panel.draw_choice(entries, "Look at the measured runs", key="judged")
    under_way = verdict.on_their_way(verdict.chosen(), link.seeds)
    if subjects := list(dict.fromkeys(map(group_of, under_way))):
        comparison_live.mount((), table=f"table:{':'.join(subjects)}", known_open=True)


def _measured(found: Sequence[Verdict]) -> list[Entry]:
    """The contender behind each judgement: the group of its seeds where they are one."""
    subjects = []
    for one in found:
        groups = {run.rpartition("-s")[0] for run in one.runs}
        whole = groups.pop() if len(groups) == 1 else ""
        subjects += [whole] if whole else one.runs[:1]
    return lineup.line_up(subjects)[0]


def summary(found: Sequence[Verdict]) -> str:
    """How many agree, in one line."""
    judged = [one for one in found if one.agrees is not None]
    agree = sum(one.agrees is True for one in judged)
    left = sum(one.published is not None and not one.measured for one in found)
    if not judged:
        return f"**{left} published numbers,** none of them measured here yet."
    some = "1 published number is" if left == 1 else f"{left} published numbers are"
    rest = f" {some} not measured here yet." if left else ""
    return (
        f"**{agree} of {len(judged)}** measured configurations agree with what is published.{rest}"
    )


def table(found: Sequence[Verdict]) -> str:
    """The judgements as a table in Markdown: name, sign and word, sentence, what to know."""
    claims = verdict.published()
    rows = ["| Configuration | Verdict | In numbers | To know |", "|---|---|---|---|"]
    rows += [
        f"| {_cell(claims[one.name].title)} | {sign(one)} | {_cell(one.words)} | {_cell(one.note)} |"
        for one in found
    ]
    return "\n".join(rows)


def sign(one: Verdict) -> str:
    """Agreement by sign and word, never by colour alone."""
    if one.agrees is not None:
        return f"**{SIGNS[one.agrees]}**".replace(" ", "\N{NO-BREAK SPACE}")
    return "not\N{NO-BREAK SPACE}measured" if not one.measured else "no\N{NO-BREAK SPACE}number"


def _cell(text: str) -> str:
    """Text in a cell: presets by their titles, and nothing that Markdown would take for its own."""
    titled = _PRESET.sub(lambda found: f"“{PRESETS[found[0]].title}”", text)
    plain = titled.replace("|", "\\|").replace("_", "\\_")
    return plain[:1].upper() + plain[1:]
