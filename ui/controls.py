"""What the Lab's page is steered with: the link, Train and Stop, the run picker, the view."""

import contextlib
import time
from collections.abc import Mapping
from typing import NamedTuple

import streamlit as st

from engine import limits, presets, runs, store
from engine.errors import EngineError, LimitError, RightsError, SpecError
from engine.spec import RunSpec
from engine.store import RunInfo
from ui import branch_panel, compare_link, lineup, links, rights, spec_form, steer, unheard, words
from ui.literal import fault, listed, literal

RECENT = 30  # runs in the picker; the library has them all
BEGUN_S = 0.5  # how long Train waits for the first step: a warm worker takes a fifth of that
TAKEN_S = 0.15  # in which a free worker takes a run from the queue: usually a tenth of that
LOOK_S = 0.02
NOTHING_SHOWN = (
    ":material/visibility: **No run is shown:** choose one above, or wait for the presenter's."
)
SHOWN_S = 0.08  # until the numbers of a first step are on the way to the browser


class View(NamedTuple):
    """What the charts show of a run."""

    kind: str  # "gradient", "weight" or "activation"
    layer: int  # 1 is nearest the input
    axis: str  # "linear" or "log", of the steps
    profile: str  # "signal" or "gradient", by depth


def read_link() -> None:
    """Take the settings from the link, once a session, and note what of it is ignored.

    What is ignored leaves the link before any control is drawn: a bound control would take it.
    """
    if "ignored" in st.session_state:
        return
    link = links.read({name: st.query_params.get_all(name) for name in st.query_params})
    st.session_state["ignored"] = link.ignored
    st.session_state["link_layer"] = link.view.get("layer")
    if _is_bare() and rights.is_presenter() and runs.default_data() != "digits":
        # Written into the address, so that the link of what is shown means the same elsewhere.
        link.fields["data"] = st.query_params["data"] = runs.default_data()
    for name, value in {**link.fields, **link.view}.items():
        st.session_state[name] = value
    for name in link.ignored:
        del st.query_params[name]
    if link.ignored:
        st.rerun()


def _is_bare() -> bool:
    return not st.query_params.to_dict()


def draw_ignored() -> None:
    """One sentence for each thing in the link that is ignored, until it is dismissed."""
    ignored: Mapping[str, str] = st.session_state["ignored"]
    if not ignored:
        return
    lines = listed(ignored.values())
    with st.container(horizontal=True, wrap=False):
        st.warning(f"Ignored from the link:\n{lines}", icon=":material/link_off:")
        st.button("Dismiss", key="dismiss", on_click=_dismiss, icon=":material/close:")


def _dismiss() -> None:
    st.session_state["ignored"] = {}


def checked_spec() -> tuple[RunSpec | None, dict[str, str]]:
    """The spec the controls ask for, or None and what is wrong with it, by field."""
    values = spec_form.fields()
    refused = st.session_state.get("refused")
    faults = dict(refused[1]) if refused and refused[0] == values else {}
    try:
        spec = spec_form.spec_of(values)
    except SpecError as error:
        return None, error.faults
    return spec, faults | limits.faults([spec])


def _train() -> None:
    values = spec_form.fields()
    try:
        spec = spec_form.spec_of(values)
        run = runs.start(spec, preset=spec_form.preset_of(spec))
    except RightsError:
        return  # it is said at the foot of the sidebar
    except LimitError:
        return  # it is said beneath Train, for as long as it is so
    except SpecError as error:
        st.session_state["refused"] = (values, error.faults)
    except EngineError as error:
        st.session_state["refused"] = (values, {"data": str(error)})
    else:
        st.session_state["ignored"] = {}
        st.query_params["run"] = run
        with contextlib.suppress(EngineError):  # who has deleted it meanwhile waits for nothing
            _await_first_numbers(run)


def _await_first_numbers(run: str) -> None:
    """Give the run a moment to begin before the page is redrawn, where a worker is free to train it.

    The charts go by the link, which has left by now: they show the first numbers before the browser is
    busy with the page. And the page is redrawn once, as it stands then, not again when the run begins.
    """
    asked = time.monotonic()
    while time.monotonic() - asked < BEGUN_S:
        time.sleep(LOOK_S)
        now = runs.info(run)
        if now.step > 0:
            time.sleep(SHOWN_S)
        elif now.status in store.OPEN and not _waits(run, asked):
            continue
        return


def _waits(run: str, asked: float) -> bool:
    """Whether no worker was free to take the run from the queue."""
    return time.monotonic() - asked > TAKEN_S and runs.queue_position(run) > 0


def _stop(run: str) -> None:
    try:
        runs.send(run, "stop")
    except RightsError:
        return  # it is said at the foot of the sidebar
    except EngineError as error:
        st.session_state["ignored"] = {"stop": str(error)}


def draw_actions(info: RunInfo | None, spec: RunSpec | None, faults: Mapping[str, str]) -> None:
    """Train, Stop and what steers the run that is shown, always in sight; why Train cannot be pressed.

    For the audience that it looks on.
    """
    if rights.is_audience():
        st.caption(rights.LOOK_AROUND)
        return
    is_open = info is not None and info.status in store.OPEN
    with st.container(key="actions"):
        left, right = st.columns([3, 2])
        left.button(
            "Train",
            key="train",
            type="primary",
            icon=":material/play_arrow:",
            width="stretch",
            disabled=spec is None,
            on_click=_train,
        )
        right.button(
            "Stop",
            key="stop",
            icon=":material/stop:",
            width="stretch",
            disabled=not is_open,
            on_click=_stop,
            args=(info.id if info else "",),
        )
        steered = [info] if info else []
        steer.draw_steps(steered, "lab")
        left, right = st.columns(2, gap="xsmall")
        with left:
            steer.draw_change(steered, "lab")
        with right:
            branch_panel.draw(info)
        with st.container():
            for sentence in faults.values():
                st.caption(fault(sentence))


def shown_run() -> RunInfo | None:
    """The run the link names; an unknown one leaves the link with a sentence.

    Who comes back by the browser's Back may bring what the Compare page had in its link.
    """
    foreign = [name for name in st.query_params if name in links.COMPARISON]
    for name in foreign:
        del st.query_params[name]
    came_back = st.session_state.pop("left_lab", False) or bool(foreign)
    if came_back and "run" not in st.query_params and "shown_run" in st.session_state:
        st.query_params["run"] = st.session_state["shown_run"]
    run = st.query_params.get("run")
    if not run:
        return None
    try:
        info = runs.info(run)
    except EngineError as error:
        st.session_state["ignored"] = {**st.session_state["ignored"], "run": str(error)}
        st.session_state.pop("shown_run", None)
        del st.query_params["run"]
        return None
    st.session_state["shown_run"] = run
    return info


def run_title(info: RunInfo) -> str:
    """A run in one line: title, data, when it was made, and the end of its id.

    Never its status: the browser sends a choice back by its label, and a label that had changed
    meanwhile would name no run. The end of the id keeps two labels apart.
    """
    return lineup.label(info.id, info)


def _pick() -> None:
    run = st.session_state["run_picker"]
    if unheard.is_echo("run_picker"):
        return
    if run is None:
        st.query_params.pop("run", None)
    elif run in st.session_state["known_runs"]:
        st.query_params["run"] = run


def draw_run_picker(info: RunInfo | None) -> None:
    """Choose among the newest runs; the one that is shown is always among them."""
    known = {run.id: run for run in runs.newest(RECENT)}
    if info is not None:
        known = {info.id: info} | known | {info.id: info}
    order = sorted(known, key=lambda run: known[run].created, reverse=True)
    st.session_state["known_runs"] = order
    unheard.move("run_picker", info.id if info else None)
    st.selectbox(
        "Run",
        order,
        index=None,
        format_func=lambda run: run_title(known[run]),
        key="run_picker",
        on_change=_pick,
        placeholder="Choose a run" if order else "No run yet",
        disabled=not order,
    )


def check_layer(layers: int) -> None:
    """Ignore the link's layer where the run that is shown has not so many."""
    layer = st.session_state.pop("link_layer", None)
    if layer is not None and layer > layers:
        st.session_state["layer"] = 1
        sentence = f"layer is {layer}; it must be from 1 to {layers}, the layers of this network."
        st.session_state["ignored"] = {**st.session_state["ignored"], "layer": sentence}


def draw_view(layers: int) -> View:
    """What to show: the profile's quantity, the kind of histogram, the layer, and the step axis."""
    profile = st.segmented_control(
        "Profile of",
        links.PROFILES,
        default=links.PROFILES[0],
        required=True,
        key="profile",
        bind="query-params",
    )
    kind = st.segmented_control(
        "Histograms of",
        links.KINDS,
        default=links.KINDS[0],
        required=True,
        key="kind",
        bind="query-params",
    )
    layer = st.selectbox(
        f"Layer of {layers}", range(1, layers + 1), key="layer", bind="query-params", width=100
    )
    axis = st.segmented_control(
        "Step axis",
        links.AXES,
        default=links.AXES[0],
        required=True,
        key="axis",
        bind="query-params",
    )
    return View(
        kind or links.KINDS[0], int(layer), axis or links.AXES[0], profile or links.PROFILES[0]
    )


def _apply(info: RunInfo) -> None:
    st.session_state["chosen_preset"] = info.preset
    spec_form.load(info.now)


def draw_ready(spec: RunSpec) -> None:
    """What Train would start; for the audience that nothing is shown."""
    if rights.is_audience():
        st.markdown(NOTHING_SHOWN)
        return
    st.markdown(
        f":material/play_circle: **Ready:** {presets.title_of(spec)} on {spec.data_set.title}, "
        f"{spec.total_steps:,} steps. {words.against(spec)}"
    )


def _draw_apply(info: RunInfo, spec: RunSpec | None) -> None:
    st.button(
        "Apply these settings",
        key="apply",
        type="tertiary",
        icon=":material/tune:",
        disabled=spec == info.now,
        on_click=_apply,
        args=(info,),
        help="Set the controls to this run's settings.",
    )


def draw_status(info: RunInfo, spec: RunSpec | None) -> None:
    """How the run is, what differs from the baseline, and a way to take its settings."""
    _, icon = words.STATUS_WORDS[info.status]
    place = runs.queue_position(info.id) if info.status == store.QUEUED else 0
    sentence = words.status_sentence(info, place)
    with st.container(horizontal=True, wrap=False, vertical_alignment="center", key="status"):
        st.markdown(f"{icon} **{literal(sentence)}** {words.standing(info)}", width="stretch")
        if rights.is_presenter():
            _draw_apply(info, spec)
        st.page_link(
            "compare.py",
            label="Compare",
            icon=":material/compare:",
            query_params=compare_link.with_run(info.id),
            help="Put this run beside others, on the same axes.",
        )
        st.page_link(
            "theory.py",
            label="Theory",
            icon=":material/function:",
            query_params={"run": info.id},
            help="What could be calculated of this network before its first step.",
        )
    if info.traceback:
        with st.expander("What went wrong, for developers", key="traceback"):
            st.code(info.traceback, language=None)
