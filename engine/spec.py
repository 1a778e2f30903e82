"""RunSpec: every choice that decides a run's numbers, and nothing else.

The field names are the ones `--set`, links, exports and widget keys use. The same rules refuse a
value wherever it comes from: a slider, a link, a file or the command line.
"""

import difflib
import itertools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from annotated_types import Ge, Le
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic.fields import FieldInfo

from engine.data_sets import DATA_SETS, DataSet
from engine.errors import SpecError
from engine.quotes import quoted

Data = Literal[
    "digits", "fashion_mnist", "mnist", "kmnist", "cifar10", "moons", "circles", "spirals"
]
Activation = Literal[
    "sigmoid", "tanh", "relu", "leaky_relu", "elu", "selu", "gelu", "silu", "softplus", "identity"
]
Init = Literal[
    "pytorch",
    "normal",
    "xavier_uniform",
    "xavier_normal",
    "kaiming_uniform",
    "kaiming_normal",
    "orthogonal",
]
Norm = Literal["none", "batch", "tensor", "layer", "rms"]
NormPosition = Literal["before", "after"]
Skip = Literal["none", "published", "every"]
GradientRule = Literal["none", "standardise", "unit_rms", "clip_norm", "clip_value"]
Optimizer = Literal["sgd", "momentum", "nesterov", "rmsprop", "adagrad", "adam", "adamw"]
Schedule = Literal["joint", "layerwise_published", "layerwise_intended"]
Device = Literal["auto", "cpu", "cuda", "mps"]

TRAIN_SHARE = 0.9  # of the examples that are not the test set; the rest validates, as published
GROUP = 2  # hidden layers per group in layer-wise training: 2 + 2 + 2 + 1, as published
PUBLISHED_SKIPS = ((1, 3), (4, 7))  # the output of the first is added to the output of the second


@dataclass(frozen=True, kw_only=True)
class Phase:
    """One stretch of training with one set of layers and a new output layer."""

    number: int  # from 1
    layers: int  # hidden layers in the network
    frozen: int  # how many of them, from the input, are not trained


class RunSpec(BaseModel):
    """Every choice that decides a run's numbers. Frozen; raises SpecError, one sentence a fault."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)
    FIELDS: ClassVar[Mapping[str, FieldInfo]]

    data: Data = "digits"
    subset: Annotated[int, Ge(20), Le(60000)] | None = Field(
        None, description="examples to train and validate on; all by default"
    )
    batch_size: Annotated[int, Ge(1), Le(60000)] = Field(
        64, description="examples per step; by default 512, and 64 on the small sets"
    )
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] = 42
    depth: Annotated[int, Ge(1), Le(100)] = Field(7, description="hidden layers")
    width: Annotated[int, Ge(2), Le(2048)] = Field(128, description="units per hidden layer")
    activation: Activation = "sigmoid"
    init: Init = "pytorch"
    std: Annotated[float, Ge(0.001), Le(100)] = Field(0.05, description="for init=normal")
    gain: Annotated[float, Ge(0.01), Le(100)] = Field(1.0, description="for init=orthogonal")
    norm: Norm = "none"
    norm_position: NormPosition = Field("before", description="the activation")
    skip: Skip = "none"
    skip_every: Annotated[int, Ge(1), Le(99)] = Field(2, description="layers, for skip=every")
    gradient_rule: GradientRule = "none"
    gradient_bound: Annotated[float, Ge(1e-6), Le(1e6)] = Field(
        1.0, description="for gradient_rule=clip_norm and clip_value"
    )
    optimizer: Optimizer = "sgd"
    learning_rate: Annotated[float, Ge(1e-8), Le(1000)] = 0.01
    momentum: Annotated[float, Ge(0), Le(0.9999)] = Field(
        0.9, description="for optimizer=momentum and nesterov"
    )
    weight_decay: Annotated[float, Ge(0), Le(10)] = 0.0
    schedule: Schedule = "joint"
    epochs: Annotated[int, Ge(1), Le(10000)] = Field(100, description="per phase")
    steps: Annotated[int, Ge(1), Le(1000000)] | None = Field(
        None, description="per phase; where given, it decides instead of epochs"
    )
    device: Device = "auto"
    threads: Annotated[int, Ge(1), Le(64)] = Field(1, description="CPU threads; part of the bits")

    def __init__(self, /, **fields: Any):
        data = fields.get("data", "digits")
        if "batch_size" not in fields and isinstance(data, str) and data in DATA_SETS:
            fields = fields | {"batch_size": DATA_SETS[data].batch_size}
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise SpecError(_sentences(error)) from None
        if faults := dict(fault for rule in RULES if (fault := rule(self))):
            raise SpecError(faults)

    def changed(self, changes: Mapping[str, Any]) -> Self:
        """The same spec with other values in some fields, checked anew.

        A batch size that was the data set's own default follows a change of the data set.
        """
        fields = self.model_dump()
        if self.batch_size == self.data_set.batch_size:
            del fields["batch_size"]
        return type(self)(**(fields | dict(changes)))

    @property
    def data_set(self) -> DataSet:
        return DATA_SETS[self.data]

    @property
    def examples(self) -> int:
        """Examples that train and validate."""
        return min(self.subset or self.data_set.examples, self.data_set.examples)

    @property
    def train_examples(self) -> int:
        return int(self.examples * TRAIN_SHARE)

    @property
    def validation_examples(self) -> int:
        return self.examples - self.train_examples

    @property
    def steps_per_epoch(self) -> int:
        return -(-self.train_examples // self.batch_size)

    @property
    def steps_per_phase(self) -> int:
        return self.steps or self.epochs * self.steps_per_epoch

    @property
    def total_steps(self) -> int:
        return self.steps_per_phase * len(self.phases)

    @property
    def layers(self) -> int:
        """Hidden layers and the output layer."""
        return self.depth + 1

    @property
    def phases(self) -> tuple[Phase, ...]:
        """One phase, or for layer-wise training two per group of hidden layers after the first.

        Phase 1 trains the first group; then each further group is added, first with the earlier
        ones frozen, then with nothing frozen. "As published" never freezes: the notebook sets
        `require_grad`, which PyTorch does not know.
        """
        if self.schedule == "joint":
            return (Phase(number=1, layers=self.depth, frozen=0),)
        freezes = self.schedule == "layerwise_intended"
        tops = [min(top, self.depth) for top in range(GROUP, self.depth + GROUP, GROUP)]
        plan = [(tops[0], 0)]
        for below, top in itertools.pairwise(tops):
            plan += [(top, below if freezes else 0), (top, 0)]
        return tuple(
            Phase(number=number, layers=layers, frozen=frozen)
            for number, (layers, frozen) in enumerate(plan, start=1)
        )

    @property
    def skips(self) -> dict[int, int]:
        """Hidden layer -> the earlier hidden layer whose output is added to its output."""
        if self.skip == "published":
            return {target: source for source, target in PUBLISHED_SKIPS if target <= self.depth}
        if self.skip == "every":
            targets = range(1 + self.skip_every, self.depth + 1, self.skip_every)
            return {target: target - self.skip_every for target in targets}
        return {}


RunSpec.FIELDS = RunSpec.model_fields


def choices(field: str) -> tuple[str, ...]:
    """The values a field allows, in the order to offer them; empty for a number."""
    annotation = RunSpec.FIELDS[field].annotation
    return tuple(a for a in get_args(annotation) if isinstance(a, str))


def bounds(field: str) -> tuple[float, float]:
    """Smallest and largest value a number field allows."""
    info = RunSpec.FIELDS[field]
    marks = list(info.metadata)
    for argument in get_args(info.annotation):
        marks += getattr(argument, "__metadata__", ())
    low = next(mark.ge for mark in marks if isinstance(mark, Ge))
    high = next(mark.le for mark in marks if isinstance(mark, Le))
    return low, high  # type: ignore[return-value]  # annotated_types types them as comparable


def is_whole(field: str) -> bool:
    """Whether a number field holds whole numbers."""
    return "float" not in str(RunSpec.FIELDS[field].annotation)


def may_be_none(field: str) -> bool:
    """Whether a field may be left open."""
    return type(None) in get_args(RunSpec.FIELDS[field].annotation)


def allowed(field: str) -> str:
    """What a field must be, as the end of a sentence: "from 1 to 100"."""
    if options := choices(field):
        return "one of " + ", ".join(options)
    low, high = bounds(field)
    kind = "a whole number " if is_whole(field) else ""
    return f"{kind}from {low:g} to {high:.12g}"


def read_json(text: str) -> RunSpec:
    """The spec written in `text` as a JSON object of fields. Raises SpecError."""
    try:
        fields = json.loads(text)
    except json.JSONDecodeError as error:
        fault = f"The spec is not JSON: {error.msg} in line {error.lineno}; it must be one object."
        raise SpecError({"spec": fault}) from None
    except (ValueError, RecursionError) as error:  # a number of 5,000 digits, brackets without end
        raise SpecError({"spec": f"The spec cannot be read as JSON: {error}."}) from None
    if not isinstance(fields, dict):
        raise SpecError({"spec": f"The spec is a JSON {type(fields).__name__}, not an object."})
    return RunSpec(**fields)


def parse_settings(settings: list[str]) -> dict[str, str | None]:
    """Fields and values from `["depth=20", ...]`. Raises SpecError; values are checked by RunSpec."""
    fields: dict[str, str | None] = {}
    for setting in settings:
        name, equals, value = setting.partition("=")
        name = name.strip()
        if not equals or not name:
            fault = f"--set {quoted(repr(setting))} names no field; it must be FIELD=VALUE, as depth=20."
            raise SpecError({"set": fault})
        if name not in RunSpec.FIELDS:
            raise SpecError({name: _unknown(name)})
        empty = may_be_none(name) and value.strip().lower() in ("", "none", "null")
        fields[name] = None if empty else value.strip()
    return fields


def _unknown(name: str) -> str:
    name = quoted(name) or "''"
    near = difflib.get_close_matches(name, RunSpec.FIELDS, n=1)
    hint = (
        f"; did you mean {near[0]}?" if near else f"; the fields are {', '.join(RunSpec.FIELDS)}."
    )
    return f"{name} is not a field of a run{hint}"


def _sentences(error: ValidationError) -> dict[str, str]:
    faults = {}
    for fault in error.errors(include_url=False, include_context=False):
        if not fault["loc"]:  # a name with half a sign in it
            faults["spec"] = f"A name is no text; the fields are {', '.join(RunSpec.FIELDS)}."
            continue
        name = str(fault["loc"][0])
        if name in RunSpec.FIELDS:
            said = quoted(fault["input"]) or "empty"
            faults[name] = f"{name} is {said}; it must be {allowed(name)}."
        else:
            faults[name] = _unknown(name)
    return faults


Fault = tuple[str, str] | None


def _batch_norm_needs_two(spec: RunSpec) -> Fault:
    if spec.norm != "batch":
        return None
    if spec.batch_size == 1:
        return "batch_size", (
            "batch_size is 1; with norm=batch it must be at least 2, "
            "because one example has no spread to normalise by."
        )
    if spec.train_examples % spec.batch_size == 1:
        return "batch_size", (
            f"batch_size is {spec.batch_size}; with norm=batch it must not leave a last batch of "
            f"one example, and {spec.train_examples} training examples do."
        )
    return None


def _subset_fits(spec: RunSpec) -> Fault:
    if spec.subset is None or spec.subset <= spec.data_set.examples:
        return None
    return "subset", (
        f"subset is {spec.subset}; it must be from 20 to {spec.data_set.examples}, "
        f"the examples of {spec.data_set.title}."
    )


def _skip_has_room(spec: RunSpec) -> Fault:
    if spec.skip == "published" and spec.depth < PUBLISHED_SKIPS[0][1]:
        return "skip", (
            f"skip is published; it adds layer 1 to layer 3, so depth must be from 3 to 100, "
            f"and it is {spec.depth}."
        )
    if spec.skip == "every" and spec.depth <= spec.skip_every:
        return "skip", (
            f"skip is every {spec.skip_every} layers; it needs at least {spec.skip_every + 1} "
            f"hidden layers, and depth is {spec.depth}."
        )
    return None


def _layerwise_has_groups(spec: RunSpec) -> Fault:
    if spec.schedule == "joint" or spec.depth > GROUP:
        return None
    return "schedule", (
        f"schedule is {spec.schedule}; it trains groups of {GROUP} hidden layers one after the "
        f"other, so depth must be from {GROUP + 1} to 100, and it is {spec.depth}."
    )


def _nesterov_has_momentum(spec: RunSpec) -> Fault:
    if spec.optimizer != "nesterov" or spec.momentum > 0:
        return None
    return "momentum", "momentum is 0; with optimizer=nesterov it must be above 0, up to 0.9999."


#: Combinations that mean nothing, each refused by one sentence beside one field.
RULES: tuple[Callable[[RunSpec], Fault], ...] = (
    _subset_fits,
    _batch_norm_needs_two,
    _skip_has_room,
    _layerwise_has_groups,
    _nesterov_has_momentum,
)
