"""A link read with distrust: what it sets, and one sentence for each thing that is ignored."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from engine.contenders import FORMS, MOST_CONTENDERS, MOST_SEEDS
from engine.data_sets import DATA_SETS
from engine.errors import SpecError
from engine.quotes import quoted
from engine.spec import RunSpec, bounds, may_be_none

KINDS = ("gradient", "weight", "activation")
AXES = ("linear", "log")
PROFILES = ("signal", "gradient")  # what the profile by depth shows: dL/dz or dL/dW
SHOWS = ("side_by_side", "ladder", "verdict")
ALIGNS = ("step", "log_step", "epoch", "seconds")
PARTS = ("train", "validation", "test")
#: Which of the two ladders: a form of engine.contenders, or both.
LADDER_FORMS = (*FORMS, "both")
MOST_LAYERS = 101  # of the deepest network: 100 hidden layers and the output layer
#: What a lesson's link may hide, with the names of charts: `hide=sidebar,tiles`. Name -> in words.
HIDEABLE = {
    "sidebar": "Sidebar",
    "actions": "Train, Stop and steering",
    "preset": "Presets",
    "remedies": "Remedies",
    "fields": "All other settings",
    "picker": "Run picker",
    "view": "View of the charts",
    "status": "Status line",
    "contrast": "What differs",
    "tiles": "Row of figures",
    "replay": "Replay",
    "gradient_heatmap": "Gradient by layer and step",
    "gradient_by_depth": "Gradient by depth",
    "diagnosis": "Diagnosis",
    "difference_heatmap": "Difference",
    "histogram_ridge": "Histograms, all layers",
    "layer_histogram": "Histogram of one layer",
    "loss": "Loss",
    "accuracy": "Accuracy",
    "table": "Table of outcomes",
    "history": "History",
    "lesson_contents": "List of chapters",
    "lesson_stages": "Back, stages and Next",
    "lesson_export": "Save my answers",
    "export": "Export",
    "share": "Share",
}


@dataclass
class Link:
    """What a link says."""

    fields: dict[str, Any] = field(default_factory=dict)  # RunSpec fields, checked one by one
    view: dict[str, Any] = field(default_factory=dict)  # kind, layer, axis, step, hide
    ignored: dict[str, str] = field(default_factory=dict)  # parameter -> one sentence


def _one_of(options: Sequence[str]) -> Callable[[str, str], str]:
    def check(name: str, value: str) -> str:
        if value not in options:
            allowed = ", ".join(options)
            raise SpecError({name: f"{name} is {quoted(value)}; it must be one of {allowed}."})
        return value

    return check


def _whole(most: int) -> Callable[[str, str], int]:
    def check(name: str, value: str) -> int:
        if (
            not (value.isascii() and value.isdecimal())
            or len(value) > 9
            or not 1 <= int(value) <= most
        ):
            raise SpecError({name: f"{name} is {quoted(value)}; it must be from 1 to {most}."})
        return int(value)

    return check


def _step(name: str, value: str) -> int:
    if not (value.isascii() and value.isdecimal()) or len(value) > 9:
        raise SpecError({name: f"{name} is {quoted(value)}; it must be a whole number from 0."})
    return int(value)


VIEW: dict[str, Callable[[str, str], Any]] = {
    "kind": _one_of(KINDS),
    "layer": _whole(MOST_LAYERS),
    "axis": _one_of(AXES),
    "profile": _one_of(PROFILES),
    "step": _step,
}
HIDE = "hide"  # in the links of both pages


def hidden(values: Sequence[str]) -> tuple[tuple[str, ...], dict[str, str]]:
    """The parts that `hide` names, each once, and a sentence for what is none."""
    named = dict.fromkeys(part for value in values for part in _names(HIDE, value))
    unknown = [quoted(part) for part in named if part not in HIDEABLE]
    said = f"hide names {', '.join(unknown[:5])}; it can hide {', '.join(HIDEABLE)}."
    return tuple(part for part in named if part in HIDEABLE), {HIDE: said} if unknown else {}


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
        if name == HIDE:
            link.view[name], sentence = hidden(values)
            link.ignored |= sentence
            continue
        try:
            if len(values) > 1:
                raise SpecError(
                    {name: f"{quoted(name)} is given {len(values)} times; once is allowed."}
                )
            if name in VIEW:
                link.view[name] = VIEW[name](name, values[0])
            else:
                link.fields[name] = _field(name, values[0], data)
        except SpecError as error:
            link.ignored[name] = str(error)
    return link


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that the Compare page shows, and all that its link says.

    No name here is one of a control of the Lab: those are bound to the link, and while a person
    comes from there to here Streamlit lets nobody else set them.
    """

    runs: tuple[str, ...] = ()  # runs and groups side by side, at most MOST_CONTENDERS
    new: tuple[str, ...] = ()  # contenders to start, as ui.draft writes them
    show: str = SHOWS[0]
    align: str = ALIGNS[0]
    part: str = "validation"
    histograms: str = KINDS[0]
    histogram_layer: int = 1
    new_data: str = "digits"  # of what is started next, as the two that follow
    new_epochs: int = 40  # so that a lecture sees an answer within a minute
    seeds: int = 1
    form: str = LADDER_FORMS[0]
    ladder: str = ""  # the set whose table is shown


def _names(name: str, value: str) -> tuple[str, ...]:
    return tuple(part for part in (part.strip() for part in value.split(",")) if part)


COMPARISON: dict[str, Callable[[str, str], Any]] = {
    "runs": _names,
    "new": _names,
    "show": _one_of(SHOWS),
    "align": _one_of(ALIGNS),
    "part": _one_of(PARTS),
    "histograms": _one_of(KINDS),
    "histogram_layer": _whole(MOST_LAYERS),
    "new_data": _one_of(tuple(DATA_SETS)),
    "new_epochs": _whole(int(bounds("epochs")[1])),
    "seeds": _whole(MOST_SEEDS),
    "form": _one_of(LADDER_FORMS),
    "ladder": lambda name, value: value.strip(),
}
#: What a link may say instead, in the words of the Lab's and of `--set`.
ALSO = {
    "kind": "histograms",
    "layer": "histogram_layer",
    "data": "new_data",
    "epochs": "new_epochs",
}
#: Every name that the Lab's link may have. None of them is one of COMPARISON's.
LAB = frozenset({*RunSpec.FIELDS, *VIEW, "run"})
_DEFAULTS = {
    known.name: known.default for known in fields(Comparison) if known.default is not MISSING
}


def read_comparison(
    parameters: Mapping[str, Sequence[str]],
) -> tuple[Comparison, dict[str, str]]:
    """What a link to the Compare page says, and one sentence for each thing that is ignored.

    Which runs there are is left to who opens them.
    """
    found: dict[str, Any] = {}
    ignored: dict[str, str] = {}
    for said, values in parameters.items():
        if said == HIDE:
            ignored |= hidden(values)[1]
            continue
        name = ALSO.get(said, said)
        try:
            if name not in COMPARISON:
                raise SpecError({name: f"{quoted(name)} is nothing that a comparison can set."})
            if len(values) > 1:
                raise SpecError(
                    {name: f"{quoted(name)} is given {len(values)} times; once is allowed."}
                )
            found[name] = COMPARISON[name](name, values[0])
        except SpecError as error:
            ignored[name] = str(error)
    for name in ("runs", "new"):
        if name in found:
            found[name], ignored_here = _room(name, found[name])
            ignored |= ignored_here
    return Comparison(**found), ignored


def _room(name: str, named: tuple[str, ...]) -> tuple[tuple[str, ...], dict[str, str]]:
    """No contender twice and at most MOST_CONTENDERS, and a sentence for each that is left out."""
    once = tuple(dict.fromkeys(named))
    sentences = {}
    if twice := [one for one in once if named.count(one) > 1]:
        sentences[f"{name} twice"] = (
            f"{', '.join(map(quoted, twice))} {'is' if len(twice) == 1 else 'are'} named more than "
            f"once; {'it is' if len(twice) == 1 else 'each is'} shown once."
        )
    if len(once) > MOST_CONTENDERS:
        sentences[f"{name} many"] = (
            f"The link names {len(once)} in {name}; at most {MOST_CONTENDERS} fit side by side: "
            f"the first {MOST_CONTENDERS} are taken."
        )
    return once[:MOST_CONTENDERS], sentences


def comparison_link(comparison: Comparison) -> dict[str, str]:
    """The parameters that say it: what is not as it is by default."""
    found = {}
    for name, default in _DEFAULTS.items():
        value = getattr(comparison, name)
        if value != default:
            found[name] = ",".join(value) if isinstance(value, tuple) else str(value)
    return found
