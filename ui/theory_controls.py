"""The Theory page's sidebar: which untrained network is looked at. It lives in the link."""

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st

from engine import runs
from engine.data_sets import DATA_SETS
from engine.errors import EngineError, SpecError
from engine.spec import RunSpec, bounds, choices
from ui import links, rights, spec_form, theory_link, unheard, words
from ui.theory_link import NET, PLAIN, RUN, Net

KEY = "theory"  # of the component
#: The controls, by the heading they stand under.
GROUPS = {
    "Network": ("depth", "width", "activation"),
    "Initialisation": ("init", "std", "gain"),
    "Remedies": ("norm", "norm_position", "skip", "skip_every", "gradient_rule"),
    "Inputs": ("data", "seed"),
}


def arrive() -> Net:
    """The network of the link; of who comes by the menu what they saw last, else the Lab's."""
    net = _of_link()
    came_back = st.session_state.pop("left_theory", False)
    kept: Mapping[str, str] = st.session_state.get("theory_kept", {})
    nothing = NET not in st.query_params and not net.run and not net.fields
    if nothing and kept and came_back:
        _write(dict(kept))
        net = _of_link()
    elif nothing and not kept and "lab_settings" in st.session_state:
        net.fields = theory_link.tidy(st.session_state["lab_settings"])
    if net.run:
        net = _of_run(net)
    now = {RUN: net.run} if net.run else {NET: theory_link.written(net.fields)}
    hides = {links.HIDE: st.query_params[links.HIDE]} if links.HIDE in st.query_params else {}
    if st.query_params.to_dict() != now | hides:
        st.query_params.from_dict(now | hides)
    st.session_state["theory_kept"] = now
    return net


def _of_link() -> Net:
    return theory_link.read({name: st.query_params.get_all(name) for name in st.query_params})


def _of_run(net: Net) -> Net:
    """The network of the run that the link names, as it began; else a sentence."""
    try:
        info = runs.info(net.run)
    except EngineError as error:
        return Net(fields=net.fields, ignored=[*net.ignored, str(error)])
    return Net(fields=theory_link.fields_of(info.spec), run=net.run, ignored=net.ignored)


def _write(parameters: Mapping[str, str]) -> None:
    hides = {links.HIDE: st.query_params[links.HIDE]} if links.HIDE in st.query_params else {}
    st.query_params.from_dict({**parameters, **hides})


def _set(**fields: Any) -> None:
    """Look at the same network with other fields; a run that was named is left."""
    before: Mapping[str, Any] = st.session_state["theory_fields"]
    _write({NET: theory_link.written({**before, **fields})})


def _changed(name: str) -> None:
    value = st.session_state[f"theory_{name}"]
    if value is not None and not unheard.is_echo(f"theory_{name}"):
        _set(**{name: value})


def slid() -> None:
    """The component's slider came to rest at another spread of the weights."""
    std = (st.session_state[KEY] or {}).get("std")
    if std is not None:
        low, high = bounds("std")
        _set(init="normal", std=min(max(float(f"{float(std):.4g}"), low), high))


def checked(net: Net) -> tuple[RunSpec | None, dict[str, str]]:
    """The spec of the network, or None and what is wrong with it, by field."""
    st.session_state["theory_fields"] = net.fields
    try:
        return theory_link.spec_of(net.fields), {}
    except SpecError as error:
        return None, error.faults


def draw(net: Net, faults: Mapping[str, str]) -> None:
    """One control per field, and where the network comes from."""
    values = PLAIN | net.fields
    if rights.is_presenter():  # the audience has no settings in the Lab
        _draw_take(net)
    with st.container():
        if net.run:
            st.caption(f"The network of run {net.run}, at its step 0. Any change leaves the run.")
        for sentence in faults.values():
            st.error(sentence, icon=":material/error:")
    for heading, names in GROUPS.items():
        st.markdown(f"**{heading}**")
        for name in names:
            _draw(name, values)
    if others := _others(net.fields):
        st.caption(f"Besides: {others}.")


def _draw_take(net: Net) -> None:
    lab: Mapping[str, Any] = st.session_state.get("lab_settings", {})
    lab = theory_link.tidy(lab)
    st.button(
        "Take the Lab's settings",
        key="theory_take",
        icon=":material/science:",
        width="stretch",
        disabled=lab == theory_link.tidy(net.fields) and not net.run,
        on_click=_take,
        args=(lab,),
    )


def _take(lab: Mapping[str, Any]) -> None:
    _write({NET: theory_link.written(lab)})


def _others(fields: Mapping[str, Any]) -> str:
    shown = {name for names in GROUPS.values() for name in names}
    return ", ".join(
        f"{words.NAMES[name]} {words.shown(value)}"
        for name, value in theory_link.tidy(fields).items()
        if name not in shown
    )


def _draw(name: str, values: Mapping[str, Any]) -> None:
    label = words.NAMES[name][0].upper() + words.NAMES[name][1:]
    idle = not words.matters(name, values)
    if idle:
        label += f" ({words.why_idle(name)})"
    key = f"theory_{name}"
    # As its default too: a browser that has just drawn a control may send that, and nothing else yet.
    value = type(PLAIN[name])(values[name])
    unheard.move(key, value)
    if name == "data":
        here = [one for one in runs.data_here() if one in DATA_SETS]
        _choice(name, label, here if value in here else [*here, value], value, format_func=_title)
    elif choices(name):
        _choice(name, label, choices(name), value, disabled=idle)
    else:
        number = type(value)
        low, high = map(number, bounds(name))
        st.number_input(
            label,
            low,
            high,
            value,
            step=1 if number is int else spec_form.step_of(value),
            format="%d" if number is int else "%g",
            key=key,
            disabled=idle,
            on_change=_changed,
            args=(name,),
        )


def _choice(name: str, label: str, options: Sequence[str], value: str, **more: Any) -> None:
    st.selectbox(
        label,
        options,
        options.index(value),
        key=f"theory_{name}",
        on_change=_changed,
        args=(name,),
        **more,
    )


def _title(name: str) -> str:
    return DATA_SETS[name].title
