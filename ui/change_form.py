"""What to change, as a form: the live fields of one run or of several, and what differs from them."""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import streamlit as st

from engine.errors import EngineError, SpecError
from engine.spec import RunSpec, choices, is_whole
from engine.steering import Change, Standing, applied
from ui import words
from ui.literal import fault
from ui.spec_form import step_of

#: Columns of the form, and what decides how layers are drawn anew, which stands apart.
COLUMNS = (
    ("activation", "norm", "norm_position"),
    ("optimizer", "learning_rate", "momentum", "weight_decay"),
    ("skip", "skip_every", "gradient_rule", "gradient_bound"),
)
FIELDS = tuple(name for names in COLUMNS for name in names)
DRAWING = ("init", "std", "gain")
#: Short enough for a third of a popover.
LABELS = words.NAMES | {
    "gradient_bound": "bound",
    "norm_position": "its place",
    "skip": "skip",
    "skip_every": "every k layers",
    "init": "new weights by",
}
_PLACEHOLDER = "as each has it"


def common(specs: Sequence[RunSpec]) -> dict[str, Any]:
    """The values that all have in common of what can be changed; None where they differ."""
    found = {}
    for name in (*FIELDS, *DRAWING):
        values = {getattr(spec, name) for spec in specs}
        found[name] = values.pop() if len(values) == 1 else None
    return found


def key(form: str, name: str) -> str:
    """Of a control of a form."""
    return f"{form}_{name}"


def read(form: str, values: Mapping[str, Any], about: Hashable) -> dict[str, Any]:
    """What stands in the form: the values themselves where it is new, or about something else now.

    about  whose values they are; where that is another, what was typed is forgotten
    """
    of_another = st.session_state.get(key(form, "about")) != about
    st.session_state[key(form, "about")] = about
    for name, value in values.items():
        if of_another or key(form, name) not in st.session_state:
            st.session_state[key(form, name)] = value
    return {name: st.session_state[key(form, name)] for name in values}


def asked(
    values: Mapping[str, Any], draft: Mapping[str, Any], names: Sequence[str] = FIELDS
) -> dict[str, Any]:
    """The fields that are to be changed, and to what; of these names."""
    return {
        name: draft[name]
        for name in names
        if draft[name] is not None and draft[name] != values[name] and words.matters(name, draft)
    }


def faults(standings: Sequence[Standing], fields: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with changing these fields, by field: of the first run that refuses."""
    for standing in standings:
        try:
            if fields:
                applied(standing, Change(kind="set", fields=fields))
        except SpecError as error:
            return dict(error.faults)
        except EngineError as error:
            return {"": str(error)}
    return {}


def draw(form: str, draft: Mapping[str, Any], wrong: Mapping[str, str]) -> None:
    """The controls, in columns, with what is wrong beneath each. Only after `read`."""
    for names, column in zip(COLUMNS, st.columns(len(COLUMNS), gap="small"), strict=True):
        with column:
            for name in names:
                if words.matters(name, draft):
                    draw_field(form, name, draft)
                    if name in wrong:
                        draw_fault(wrong[name])
    for name in wrong.keys() - {*FIELDS}:
        draw_fault(wrong[name])


def draw_fault(sentence: str) -> None:
    """One sentence on what cannot be."""
    st.caption(fault(sentence))


def draw_field(form: str, name: str, draft: Mapping[str, Any]) -> None:
    """The control of one field; it can be left open only where the runs differ in it."""
    label = LABELS[name][0].upper() + LABELS[name][1:]
    value = draft[name]
    if options := choices(name):
        index = None if value is None else 0
        st.selectbox(label, options, index, key=key(form, name), placeholder=_PLACEHOLDER)
        return
    whole = is_whole(name)
    st.number_input(
        label,
        value=None if value is None else 0 if whole else 0.0,
        step=1 if whole else step_of(value or 0.1),
        format="%d" if whole else "%g",
        key=key(form, name),
        placeholder=_PLACEHOLDER,
    )
