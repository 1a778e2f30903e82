"""The Theory page's network, which lives in its link: `net=depth=20,activation=tanh`, or `run=ID`.

Not bound to controls, and under names of its own: what the Lab binds, no other page can set.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.data_sets import DATA_SETS
from engine.errors import SpecError
from engine.quotes import quoted
from engine.spec import RunSpec, parse_settings
from ui import links
from ui.words import matters

NET, RUN = "net", "run"
PLAIN = RunSpec().model_dump() | {"batch_size": None}  # None: the data set's own


@dataclass
class Net:
    """What a link says of a network."""

    fields: dict[str, Any] = field(default_factory=dict)  # checked one by one
    run: str = ""
    ignored: list[str] = field(default_factory=list)  # one sentence each


def read(parameters: Mapping[str, Sequence[str]]) -> Net:
    """The network of a link; fields of a spec may also stand there by themselves, as in the Lab's."""
    net = Net()
    settings = [part for value in parameters.get(NET, ()) for part in value.split(",") if part]
    for name, values in parameters.items():
        if name in RunSpec.FIELDS:
            settings += [f"{name}={value}" for value in values[:1]]
        elif name == RUN:
            net.run = values[0][:60]
        elif name not in (NET, links.HIDE, *links.VIEW, *links.COMPARISON):
            net.ignored.append(f"{quoted(name)} is nothing that the Theory page can show.")
    data = _data_of(settings)
    for setting in settings:
        try:
            net.fields |= _checked(setting, data)
        except SpecError as error:
            net.ignored += list(error.faults.values())
    return net


def _data_of(settings: Sequence[str]) -> str:
    """The data set, by which some other fields are bounded; the usual one where none is named."""
    named = [setting.removeprefix("data=") for setting in settings if setting.startswith("data=")]
    return named[-1] if named and named[-1] in DATA_SETS else str(PLAIN["data"])


def _checked(setting: str, data: str) -> dict[str, Any]:
    ((name, value),) = parse_settings([setting]).items()
    if value in (None, "None", "") and PLAIN[name] is None:
        return {name: None}
    return {name: getattr(RunSpec(**({"data": data} | {name: value})), name)}


def spec_of(fields: Mapping[str, Any]) -> RunSpec:
    """The spec of these fields. Raises SpecError, one sentence a field."""
    given = {name: value for name, value in fields.items() if value is not None}
    return RunSpec(**given)


def fields_of(spec: RunSpec) -> dict[str, Any]:
    """The fields that decide the first step and are not as by default."""
    whole = spec.model_dump()
    own_batch = spec.batch_size == spec.data_set.batch_size
    if own_batch:
        whole["batch_size"] = None
    return tidy(whole)


def tidy(fields: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what is as by default, or changes nothing."""
    whole = {**PLAIN, **fields}
    return {
        name: value
        for name, value in whole.items()
        if name in DECISIVE and value != PLAIN[name] and matters(name, whole)
    }


#: Fields that the first step depends on.
DECISIVE = frozenset(RunSpec.FIELDS) - {
    *("optimizer", "learning_rate", "momentum", "weight_decay", "epochs", "steps"),
    *("device", "gradient_bound"),
}


def written(fields: Mapping[str, Any]) -> str:
    """The value of `net` that says them, to the last bit."""
    return ",".join(f"{name}={value}" for name, value in tidy(fields).items())
