"""A link read with distrust: what it sets, and one sentence for each thing that is ignored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.data_sets import DATA_SETS
from engine.errors import SpecError
from engine.spec import RunSpec, may_be_none

KINDS = ("gradient", "weight", "activation")
AXES = ("linear", "log")
MOST_LAYERS = 101  # of the deepest network: 100 hidden layers and the output layer


@dataclass
class Link:
    """What a link says."""

    fields: dict[str, Any] = field(default_factory=dict)  # RunSpec fields, checked one by one
    view: dict[str, Any] = field(default_factory=dict)  # kind, layer, axis
    ignored: dict[str, str] = field(default_factory=dict)  # parameter -> one sentence


def _one_of(options: Sequence[str]) -> Callable[[str, str], str]:
    def check(name: str, value: str) -> str:
        if value not in options:
            raise SpecError({name: f"{name} is {value}; it must be one of {', '.join(options)}."})
        return value

    return check


def _layer(name: str, value: str) -> int:
    if not value.isdecimal() or len(value) > 3 or not 1 <= int(value) <= MOST_LAYERS:
        value = value if len(value) < 40 else value[:37] + "..."
        raise SpecError({name: f"{name} is {value}; it must be from 1 to {MOST_LAYERS}."})
    return int(value)


VIEW: dict[str, Callable[[str, str], Any]] = {
    "kind": _one_of(KINDS),
    "layer": _layer,
    "axis": _one_of(AXES),
}


def _field(name: str, value: str, data: str) -> Any:
    """One field's value, checked alone: whether fields fit each other is said beside them."""
    if value == "" and (name == "batch_size" or (name in RunSpec.FIELDS and may_be_none(name))):
        return None
    return getattr(RunSpec(**({"data": data} | {name: value})), name)


def read(parameters: Mapping[str, Sequence[str]]) -> Link:
    """Read a link's parameters, each with all its values; `run` is left to who opens it."""
    link = Link()
    data = next((name for name in parameters.get("data", ()) if name in DATA_SETS), "digits")
    for name, values in parameters.items():
        if name == "run":
            continue
        try:
            if len(values) > 1:
                raise SpecError({name: f"{name} is given {len(values)} times; once is allowed."})
            if name in VIEW:
                link.view[name] = VIEW[name](name, values[0])
            else:
                link.fields[name] = _field(name, values[0], data)
        except SpecError as error:
            link.ignored[name] = str(error)
    return link
