"""What can be changed while a run trains, and how the run stands after it. Pure; no torch.

A change is data: it is written into the run's file as an event at a step, so that the same spec with
the same changes at the same steps gives the same bits. It is applied before that step's batch is
drawn (engine/trainer.py).
"""

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Any

from engine.errors import RunError, SpecError
from engine.quotes import quoted
from engine.records import Event
from engine.spec import RunSpec

#: Fields that fit the weights there are. init, std and gain decide how a layer is drawn anew later.
LIVE_FIELDS = (
    "learning_rate",
    "optimizer",
    "momentum",
    "weight_decay",
    "activation",
    "norm",
    "norm_position",
    "skip",
    "skip_every",
    "gradient_rule",
    "gradient_bound",
    "init",
    "std",
    "gain",
)
_DRAWING = ("init", "std", "gain")


@dataclass(frozen=True, kw_only=True)
class Change:
    """One thing that is done to a run between two steps."""

    kind: str  # a key of KINDS
    fields: Mapping[str, Any] = field(default_factory=dict)  # of "set": LIVE_FIELDS and values
    #: From 1, nearest the input; the output layer is depth + 1. None in "reinitialise": all.
    layer: int | None = None


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a run stands: the spec with all changes so far, and the layers that were frozen by hand."""

    spec: RunSpec
    frozen: frozenset[int] = frozenset()


def applied(standing: Standing, change: Change) -> Standing:
    """How the run stands after a change. Raises SpecError or RunError, one sentence, if it cannot be."""
    if change.kind not in KINDS:
        raise RunError(f"change is {change.kind[:40]!r}; it must be one of {', '.join(KINDS)}.")
    return KINDS[change.kind].apply(standing, change)


def stood(spec: RunSpec, events: Iterable[Event], step: float = math.inf) -> Standing:
    """How a run of this spec stood before what was changed at `step`; by default after all. Raises as `applied`."""
    earlier = (change for at, change in changes_of(events) if at < step)
    return reduce(applied, earlier, Standing(spec=spec))


def settled(standing: Standing, change: Change) -> Change:
    """The same change with its values as the spec holds them ("0.1" as 0.1). Raises as `applied`."""
    after = applied(standing, change).spec
    fields = {name: getattr(after, name) for name in change.fields}
    return replace(change, fields=fields)


def _set(standing: Standing, change: Change) -> Standing:
    if not change.fields:
        raise RunError(f"A change names no field; it can set {', '.join(LIVE_FIELDS)}.")
    for name in change.fields:
        if name not in LIVE_FIELDS:
            fault = (
                f"{quoted(name)} cannot be changed while the run trains; "
                f"what can is {', '.join(LIVE_FIELDS)}."
            )
            raise SpecError({name: fault})
    return Standing(spec=standing.spec.changed(change.fields), frozen=standing.frozen)


def _freeze(standing: Standing, change: Change) -> Standing:
    layer = _layer(standing, change)
    if standing.spec.schedule != "joint":
        raise RunError(
            f"schedule is {standing.spec.schedule}: its phases decide which layers are frozen."
        )
    frozen = standing.frozen | {layer}
    if len(frozen) == standing.spec.layers:
        raise RunError(f"Layer {layer} is the last that learns: at least one must.")
    return Standing(spec=standing.spec, frozen=frozen)


def _unfreeze(standing: Standing, change: Change) -> Standing:
    layer = _layer(standing, change)
    if layer not in standing.frozen:
        raise RunError(f"Layer {layer} was not frozen by hand, so it cannot be unfrozen.")
    return Standing(spec=standing.spec, frozen=standing.frozen - {layer})


def _reinitialise(standing: Standing, change: Change) -> Standing:
    if change.layer is not None:
        _layer(standing, change)
    return standing


def _layer(standing: Standing, change: Change) -> int:
    most = standing.spec.layers
    if type(change.layer) is not int or not 1 <= change.layer <= most:
        raise RunError(
            f"layer is {change.layer}; it must be from 1 to {most}, the layers of this network."
        )
    return change.layer


def words(standing: Standing, change: Change) -> str:
    """What a change does, in words, and what becomes of weights and optimizer state.

    standing  how the run stood before it
    """
    return KINDS[change.kind].words(standing, change)


def short(change: Change) -> str:
    """The same in a word or two, for a line in a chart."""
    return KINDS[change.kind].short(change)


def _set_words(standing: Standing, change: Change) -> str:
    before = standing.spec
    told = [
        f"{name} {_shown(getattr(before, name))} → {_shown(value)}"
        for name, value in change.fields.items()
    ]
    return f"{', '.join(told)}; {_what_stays(before, change.fields)}"


def _what_stays(before: RunSpec, fields: Mapping[str, Any]) -> str:
    if set(fields) <= set(_DRAWING):
        return "used when a layer is initialised anew"
    if fields.get("optimizer", before.optimizer) != before.optimizer:
        said = "the weights stay, the optimizer's state begins empty"
    else:
        said = "the weights and the optimizer's state stay"
    norm = fields.get("norm", before.norm)
    if norm != before.norm and norm not in ("none", "tensor"):
        said += ", the new norm layers begin with factor 1" + (
            "" if norm == "rms" else " and offset 0"
        )
    return said


def _shown(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _set_short(change: Change) -> str:
    shown = [
        value if isinstance(value, str) and value != "none" else f"{name} {_shown(value)}"
        for name, value in change.fields.items()
    ]
    return ", ".join(shown)


def as_json(change: Change) -> str:
    """A change as it lies in a file."""
    told = {"kind": change.kind, "fields": dict(change.fields), "layer": change.layer}
    return json.dumps({name: value for name, value in told.items() if value not in ({}, None)})


def read_json(text: str) -> Change:
    """The change written in `text`. Raises RunError; whether it fits a run is asked of `applied`."""
    try:
        told = json.loads(text)
        kind, fields, layer = told["kind"], told.get("fields", {}), told.get("layer")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise RunError("A change in the run's file cannot be read.") from error
    readable = isinstance(fields, dict) and (layer is None or type(layer) is int)
    if not isinstance(kind, str) or kind not in KINDS or not readable:
        raise RunError("A change in the run's file cannot be read.")
    return Change(kind=kind, fields=fields, layer=layer)


def changes_of(events: Iterable[Event]) -> list[tuple[int, Change]]:
    """The changes among events, each with its step, in order; single steps taken by hand included."""
    return [(event.step, read_json(event.change)) for event in events if event.change]


@dataclass(frozen=True, kw_only=True)
class _Kind:
    apply: Callable[[Standing, Change], Standing]
    words: Callable[[Standing, Change], str]
    short: Callable[[Change], str]


def _drawn_words(standing: Standing, change: Change) -> str:
    which = "all layers" if change.layer is None else f"layer {change.layer}"
    return f"{which} initialised anew ({standing.spec.init}), without optimizer state"


KINDS: dict[str, _Kind] = {
    "set": _Kind(apply=_set, words=_set_words, short=_set_short),
    "freeze": _Kind(
        apply=_freeze,
        words=lambda standing, change: f"layer {change.layer} frozen; its optimizer state waits",
        short=lambda change: f"{change.layer} frozen",
    ),
    "unfreeze": _Kind(
        apply=_unfreeze,
        words=lambda standing, change: (
            f"layer {change.layer} learns again, with the optimizer state it had"
        ),
        short=lambda change: f"{change.layer} learns",
    ),
    "reinitialise": _Kind(
        apply=_reinitialise,
        words=_drawn_words,
        short=lambda change: "all new" if change.layer is None else f"{change.layer} new",
    ),
    "look": _Kind(
        apply=lambda standing, change: standing,
        words=lambda standing, change: "one step by hand, recorded",
        short=lambda change: "step",
    ),
}
