"""The controls of a RunSpec: one per field, in one group per remedy, bound to the link.

A control's key is its field's name, so links, `--set` and exports speak one language. Every
control stays on the page, disabled where it changes nothing: what is bound must stay mounted.

Whatever comes and goes (a sentence, a note) has a container of its own that is always there. Where
it pushed a bound control to another place among its siblings, the browser would mount the control
twice for a moment and, on dropping the first, forget its binding: the link would silently stop
following it.
"""

import bisect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import streamlit as st

from engine import presets, runs
from engine.data_sets import DATA_SETS
from engine.errors import SpecError
from engine.presets import FREE, PRESETS
from engine.remedies import GROUPS, REMEDIES, active
from engine.spec import RunSpec, bounds, choices, is_whole
from ui import unheard, words
from ui.literal import literal

#: What each control shows where nobody has set it; batch_size None is the data set's own.
DEFAULTS: dict[str, Any] = RunSpec().model_dump() | {"batch_size": None}
CUSTOM = ""  # the preset selector's entry for settings that are no preset's


def _decades(low: int, high: int, digits: Sequence[int] = (1, 2, 5)) -> list[float]:
    return [float(f"{digit}e{power}") for power in range(low, high) for digit in digits] + [
        float(f"1e{high}")
    ]


def _whole(stops: Iterable[float]) -> list[float]:
    return [int(stop) for stop in stops]


#: Stops of the sliders: equal steps of the slider are equal factors, but for the depth.
SLIDERS: dict[str, list[float]] = {
    "depth": list(range(1, 101)),
    "width": [2, 4, 8, 16, 32, 64, 100, 128, 200, 256, 512, 1024, 2048],
    "epochs": _whole(_decades(0, 4)),
    "std": _decades(-3, 2),
    "gain": _decades(-2, 2),
    "learning_rate": _decades(-8, 3, digits=(1, 3)),
    "gradient_bound": _decades(-6, 6, digits=(1, 3)),
    "weight_decay": [0.0, *_decades(-6, 1, digits=(1, 3))],
}
#: Placeholder of a number that may be left open.
OPEN_NUMBERS: dict[str, Callable[[str], str]] = {
    "subset": lambda data: f"all {DATA_SETS[data].examples:,}",
    "batch_size": lambda data: f"{DATA_SETS[data].batch_size}, the set's own",
    "steps": lambda data: "as many as the epochs have",
}


def fields() -> dict[str, Any]:
    """The controls' values as they stand."""
    return {name: unheard.shown(name, default) for name, default in DEFAULTS.items()}


def spec_of(values: Mapping[str, Any]) -> RunSpec:
    """The spec the controls ask for. Raises SpecError, one sentence a field."""
    own_batch = values["batch_size"] is None
    return RunSpec(**{n: v for n, v in values.items() if n != "batch_size" or not own_batch})


def load(spec: RunSpec, names: Iterable[str] = DEFAULTS) -> None:
    """Set the controls to a spec's values. Only before the controls are drawn."""
    values = spec.model_dump()
    if spec.batch_size == spec.data_set.batch_size:
        values["batch_size"] = None
    for name in names:
        unheard.move(name, values[name])


def preset_of(spec: RunSpec) -> str:
    """The preset these settings are: the one last chosen where it still fits, else the first."""
    chosen: str = st.session_state.get("chosen_preset", CUSTOM)
    if chosen in PRESETS:
        decisive = set(DEFAULTS) - set(FREE)
        if PRESETS[chosen].spec().model_dump(include=decisive) == spec.model_dump(include=decisive):
            return chosen
    return presets.name_of(spec)


def _preset_title(name: str) -> str:
    return "Custom: your own settings" if name == CUSTOM else words.preset_title(name)


def _choose_preset() -> None:
    if unheard.is_echo("preset"):
        return
    name = st.session_state["preset"]
    st.session_state["chosen_preset"] = name
    if name != CUSTOM:
        load(PRESETS[name].spec(), (field for field in DEFAULTS if field not in FREE))


def draw_preset(spec: RunSpec | None) -> None:
    """The preset selector, showing which preset the settings are."""
    name = preset_of(spec) if spec else CUSTOM
    unheard.move("preset", name)
    st.selectbox(
        "Preset",
        [*PRESETS, CUSTOM],
        format_func=_preset_title,
        key="preset",
        on_change=_choose_preset,
    )
    st.caption(PRESETS[name].note if name != CUSTOM else "These settings are no preset's.")


def _active(values: Mapping[str, Any]) -> list[str]:
    try:
        return active(spec_of(values))
    except SpecError:
        return list(st.session_state.get("active_remedies", []))


def _choose_remedies() -> None:
    if unheard.is_echo("remedies"):
        return
    before, now = st.session_state["active_remedies"], st.session_state["remedies"]
    for name in (name for name in before if name not in now):
        for field in REMEDIES[name].changes:
            unheard.move(field, DEFAULTS[field])
    for name in (name for name in now if name not in before):
        for field, value in REMEDIES[name].changes.items():
            unheard.move(field, value)


def draw_remedies() -> None:
    """One pill per remedy: on sets the fields it changes, off returns them to the baseline."""
    st.session_state["active_remedies"] = on = _active(fields())
    unheard.move("remedies", on)
    st.pills(
        "Remedies",
        list(REMEDIES),
        selection_mode="multi",
        format_func=lambda name: words.PILLS.get(name, REMEDIES[name].title),
        key="remedies",
        on_change=_choose_remedies,
        help="Several together if you like. Off again returns to the baseline's value.",
    )
    with st.container():
        for name in st.session_state["active_remedies"]:
            st.caption(f"**{REMEDIES[name].title}.** {REMEDIES[name].idea}")


def draw_groups(faults: Mapping[str, str]) -> None:
    """One expander per group: its header says the value and whether it is the baseline's."""
    values = fields()
    for name in filter(unheard.is_echo, values):  # only those: else typing would be written over
        st.session_state[name] = values[name]
    differing = {name for name, _, _ in words.changed(values)}
    for key, group in GROUPS.items():
        wrong = [faults[name] for name in group.fields if name in faults]
        with st.expander(
            header(key, values, differing=differing, wrong=bool(wrong)), key=f"group_{key}"
        ):
            with st.container():
                st.caption(group.idea)
                for name in st.session_state["active_remedies"]:
                    if REMEDIES[name].group == key:
                        st.caption(f"{REMEDIES[name].title}: {REMEDIES[name].source}")
            for name in group.fields:
                _draw(name, values)
                with st.container():
                    if name in faults:
                        st.error(literal(faults[name]), icon=":material/error:")


def header(
    key: str, values: Mapping[str, Any], *, differing: set[str] | None = None, wrong: bool = False
) -> str:
    """A closed group's header: its name, its value, and a mark where it is not the baseline's."""
    group = GROUPS[key]
    text = f"**{group.title}:** {words.SUMMARIES[key](values)}"
    if wrong:
        return f":red[:material/error: {text} (not possible)]"
    if any(name in (differing or ()) for name in group.fields):
        return f"{text} :blue[**◆ changed**]"
    return text


def _draw(name: str, values: Mapping[str, Any]) -> None:
    """The control of one field."""
    label = words.NAMES[name][0].upper() + words.NAMES[name][1:]
    idle = not words.matters(name, values)
    if idle:
        label += f" ({words.why_idle(name)})"
    if choices(name):
        _draw_choice(name, label, idle)
    elif name in SLIDERS:
        _draw_slider(name, label, idle, values)
    else:
        _number_input(name, label, idle, values)


def _draw_choice(name: str, label: str, idle: bool) -> None:
    # Options are shown as they stand in links and on the command line; a caption says the rest.
    # The default is the same on every machine, so that a link means the same on every machine.
    value = st.selectbox(
        label,
        choices(name),
        index=choices(name).index(DEFAULTS[name]),
        key=name,
        bind="query-params",
        disabled=idle,
    )
    note = words.CHOICES.get(name, {}).get(value, "")
    with st.container():
        if name == "data":
            _draw_data_facts(value)
        elif note and note.lower() != value:
            st.caption(note[0].upper() + note[1:] + ".")


def _draw_data_facts(name: str) -> None:
    data, here = DATA_SETS[name], runs.data_here()
    size = "x".join(map(str, data.shape))
    download = "" if name in here else " (will be downloaded)"
    st.caption(
        f"{data.title}{download}: {data.examples:,} examples of {size}, {len(data.classes)} classes."
    )
    if away := [other for other in DATA_SETS if other not in here and other != name]:
        st.caption(f"Also offered: {', '.join(f'{other} (will be downloaded)' for other in away)}.")


def _stops(name: str, value: float) -> list[float]:
    """A slider's stops with the value itself among them, or the nearest end for one outside."""
    stops, (low, high) = list(SLIDERS[name]), bounds(name)
    if value not in stops and low <= value <= high:
        bisect.insort(stops, value)
    return stops


def _slid(name: str) -> None:
    if not unheard.is_echo(f"{name}_slider"):
        unheard.move(name, st.session_state[f"{name}_slider"])


def _draw_slider(name: str, label: str, idle: bool, values: Mapping[str, Any]) -> None:
    """A slider for the hand and a number for the exact value, always the same."""
    value = values[name]
    stops = _stops(name, value)
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    unheard.move(f"{name}_slider", min(stops, key=lambda stop: abs(stop - value)))
    left.select_slider(
        label,
        stops,
        format_func=words.number,
        key=f"{name}_slider",
        on_change=_slid,
        args=(name,),
        disabled=idle,
    )
    with right:
        _number_input(name, label, idle, values, label_visibility="collapsed")


def _number_input(
    name: str, label: str, idle: bool, values: Mapping[str, Any], **layout: Any
) -> None:
    # No bounds here: a number that cannot be is answered by RunSpec's own sentence.
    whole = is_whole(name)
    st.number_input(
        label,
        value=DEFAULTS[name],
        step=1 if whole else step_of(values[name]),
        format="%d" if whole else "%g",
        key=name,
        bind="query-params",
        disabled=idle,
        placeholder=OPEN_NUMBERS[name](values["data"]) if name in OPEN_NUMBERS else None,
        **layout,
    )


def step_of(value: float) -> float:
    """One in the value's leading digit: 0.001 for 0.003."""
    return 10.0 ** math.floor(math.log10(value)) if value > 0 else 0.01
