"""Specs, groups and statuses in words, for people. Pure; knows nothing of Streamlit."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from engine import store
from engine.data_sets import DATA_SETS
from engine.presets import PRESETS
from engine.spec import RunSpec
from engine.store import RunInfo

Fields = Mapping[str, Any]  # a RunSpec's fields; batch_size None where it is the data set's own

#: What a field is called beside its control.
NAMES = {name: name.replace("_", " ") for name in RunSpec.FIELDS} | {
    "data": "data set",
    "subset": "examples used",
    "std": "std",
    "norm": "normalisation",
    "skip": "skip connections",
    "skip_every": "every",
    "depth": "hidden layers",
    "width": "units per layer",
    "init": "initialisation",
    "threads": "CPU threads",
}

#: The choices whose name does not say it all, by field.
CHOICES: dict[str, dict[str, str]] = {
    "data": {name: data.title for name, data in DATA_SETS.items()},
    "init": {
        "pytorch": "PyTorch's own, uniform within 1/√inputs",
        "normal": "normal with the std below, biases 0",
        "xavier_uniform": "Xavier, uniform",
        "xavier_normal": "Xavier, normal",
        "kaiming_uniform": "Kaiming, uniform",
        "kaiming_normal": "Kaiming, normal",
        "orthogonal": "orthogonal, times the gain below",
    },
    "optimizer": {
        "sgd": "SGD",
        "momentum": "SGD with momentum",
        "nesterov": "SGD with Nesterov momentum",
        "rmsprop": "RMSprop",
        "adagrad": "Adagrad",
        "adam": "Adam",
        "adamw": "AdamW",
    },
    "norm": {
        "batch": "BatchNorm: each unit over the batch",
        "tensor": "one mean and spread for the whole tensor, as published",
        "layer": "LayerNorm: each example over its units",
        "rms": "RMSNorm: scale only, the mean stays",
    },
    "norm_position": {"before": "before the activation", "after": "after the activation"},
    "skip": {
        "published": "layer 1 to layer 3, layer 4 to layer 7",
        "every": "from every k-th layer to the next",
    },
    "schedule": {
        "joint": "all layers at once",
        "layerwise_published": "layer by layer, nothing freezes (as published)",
        "layerwise_intended": "layer by layer, the layers below frozen",
    },
    "gradient_rule": {
        "standardise": "mean 0 and size 1 after each activation, as published",
        "unit_rms": "size 1, the direction kept",
        "clip_norm": "the norm cut to the bound below",
        "clip_value": "each entry cut to the bound below",
    },
    "device": {"auto": "a GPU where there is one, else the CPU"},
}

#: Remedies whose title is long for a pill.
PILLS = {
    "weight_increasing": "std 1",
    "weight_increasing_10": "std 10",
    "xavier": "Xavier",
    "kaiming": "Kaiming",
    "orthogonal": "Orthogonal",
    "custom_norm": "Tensor norm",
    "skip": "Skip 1→3, 4→7",
    "skip_every": "Skip every 2",
    "layerwise": "Layer-wise",
    "layerwise_published": "Layer-wise as published",
    "gradient_norm": "Gradient norm",
    "gradient_unit_rms": "Gradient RMS 1",
    "gradient_clipping": "Clipping",
}

#: field -> the field that decides whether it matters, and the values for which it does.
MATTERS: dict[str, tuple[str, frozenset[Any]]] = {
    "std": ("init", frozenset({"normal"})),
    "gain": ("init", frozenset({"orthogonal"})),
    "momentum": ("optimizer", frozenset({"momentum", "nesterov"})),
    "norm_position": ("norm", frozenset({"batch", "tensor", "layer", "rms"})),
    "skip_every": ("skip", frozenset({"every"})),
    "gradient_bound": ("gradient_rule", frozenset({"clip_norm", "clip_value"})),
    "epochs": ("steps", frozenset({None})),
}
#: Fields that do not make one run differ from another in kind: where, not what.
PLACE = frozenset({"data", "device"})


def matters(field: str, fields: Fields) -> bool:
    """Whether a field changes anything under the other fields' values."""
    if field not in MATTERS:
        return True
    decider, values = MATTERS[field]
    return fields[decider] in values


def why_idle(field: str) -> str:
    """When a field that changes nothing now would matter: "only for init = normal"."""
    decider, values = MATTERS[field]
    if values == {None}:
        return f"not used: {NAMES[decider]} decides"
    if len(values) > 2:
        return f"only with {NAMES[decider]}"
    return f"only for {NAMES[decider]} = {' or '.join(sorted(map(str, values)))}"


def number(value: float | None) -> str:
    """A number as a person writes it: 0.001, 1e-06, 60000."""
    return "none" if value is None else f"{value:.12g}"


def shown(value: Any) -> str:
    """A field's value in a sentence."""
    return value if isinstance(value, str) else number(value)


def baseline(data: str) -> RunSpec:
    """What every run is compared with: the published baseline, on the same data."""
    return RunSpec(data=data)


def changed(fields: Fields) -> Iterator[tuple[str, Any, Any]]:
    """Each field that matters and differs from the baseline: its name, value, baseline value."""
    plain = baseline(fields["data"]).model_dump()
    for name, value in fields.items():
        own = plain[name] if value is None and name == "batch_size" else value
        if name not in PLACE and own != plain[name] and matters(name, fields):
            yield name, own, plain[name]


def differences(spec: RunSpec) -> str:
    """What differs from the baseline: "activation relu (sigmoid), learning rate 0.001 (0.01)"."""
    return ", ".join(
        f"{NAMES[name]} {shown(value)} ({shown(plain)})"
        for name, value, plain in changed(spec.model_dump())
    )


def against(spec: RunSpec) -> str:
    """`differences` as a sentence."""
    differing = differences(spec)
    return f"Against the baseline: {differing}." if differing else "The baseline itself."


def changes(count: int) -> str:
    """How often a run was changed: "1 change", "2 changes"; "" for none."""
    return f"{count} change{'' if count == 1 else 's'}" if count else ""


def standing(info: RunInfo) -> str:
    """What a run is now, against the baseline; how it came to be so, where it was changed on the way."""
    told = [against(info.now)]
    if info.changes:
        told.append(f"With {changes(info.changes)} while it trained.")
    if info.frozen:
        told.append(f"Frozen by hand: {layers(info.frozen)}.")
    if info.parent:
        told.append(f"Branched from {info.parent[-4:]} at step {info.parent_step:,}.")
    return " ".join(told)


def layers(some: Sequence[int]) -> str:
    """ "layer 3", "layers 1, 3"."""
    return f"layer{'' if len(some) == 1 else 's'} {', '.join(map(str, some))}"


def preset_title(name: str) -> str:
    """A preset where all are listed: its title, and whether it is published or controlled."""
    preset = PRESETS[name]
    kind = preset.kind.capitalize()
    return preset.title if preset.title.startswith(kind) else f"{kind}: {preset.title}"


def _data(fields: Fields) -> str:
    data = DATA_SETS[fields["data"]]
    size = f", {fields['subset']} examples" if fields["subset"] else ""
    batch = f", batch {fields['batch_size']}" if fields["batch_size"] else ""
    return data.title + size + batch


def _init(fields: Fields) -> str:
    extra = {"normal": "std", "orthogonal": "gain"}.get(fields["init"])
    return f"{fields['init']}, {extra} {number(fields[extra])}" if extra else str(fields["init"])


def _optimizer(fields: Fields) -> str:
    words = [CHOICES["optimizer"][fields["optimizer"]], f"rate {number(fields['learning_rate'])}"]
    if fields["weight_decay"]:
        words.append(f"decay {number(fields['weight_decay'])}")
    return ", ".join(words)


def _norm(fields: Fields) -> str:
    if fields["norm"] == "none":
        return "none"
    return f"{fields['norm']}, {fields['norm_position']} activation"


def _skip(fields: Fields) -> str:
    return (
        f"every {fields['skip_every']} layers" if fields["skip"] == "every" else str(fields["skip"])
    )


def _rule(fields: Fields) -> str:
    bound = f", {number(fields['gradient_bound'])}" if matters("gradient_bound", fields) else ""
    return f"{fields['gradient_rule']}{bound}"


def _length(fields: Fields) -> str:
    length = f"{fields['steps']} steps" if fields["steps"] else f"{fields['epochs']} epochs"
    return f"{length}, seed {fields['seed']}, {fields['device']}"


SCHEDULES = {
    "joint": "off",
    "layerwise_published": "as published",
    "layerwise_intended": "freezing",
}
#: A group's current value, as its closed header shows it.
SUMMARIES: dict[str, Callable[[Fields], str]] = {
    "data": _data,
    "network": lambda fields: f"{fields['depth']} layers of {fields['width']}",
    "initialisation": _init,
    "activation": lambda fields: str(fields["activation"]),
    "optimizer": _optimizer,
    "normalisation": _norm,
    "skip": _skip,
    "schedule": lambda fields: SCHEDULES[fields["schedule"]],
    "gradient": _rule,
    "length": _length,
}

#: What a run's status is called, and its sign: never colour alone.
STATUS_WORDS = {
    store.QUEUED: ("waiting", ":material/hourglass_empty:"),
    store.RUNNING: ("training", ":material/play_circle:"),
    store.PAUSED: ("paused", ":material/pause_circle:"),
    store.FINISHED: ("finished", ":material/check_circle:"),
    store.STOPPED: ("stopped", ":material/stop_circle:"),
    store.DIVERGED: ("diverged", ":material/trending_up:"),
    store.FAILED: ("failed", ":material/error:"),
    store.LOST: ("stopped unexpectedly", ":material/warning:"),
}


def _steps(step: int) -> str:
    return f"{step:,} step{'' if step == 1 else 's'}"


def _waiting(place: int) -> str:
    if place == 0:
        return "Starting: its worker is getting ready."
    where = "next in the queue" if place == 1 else f"number {place} in the queue"
    return f"Waiting for a free worker: {where}."


#: Status -> one sentence about a run that has it.
_STATUS_SENTENCES: dict[str, Callable[[RunInfo, int], str]] = {
    store.QUEUED: lambda info, place: _waiting(place),
    store.RUNNING: lambda info, place: info.activity or "Training.",
    store.PAUSED: lambda info, place: "Paused.",  # where, is told beside the charts as it moves
    store.FINISHED: lambda info, place: f"Finished after {_steps(info.step)}.",
    store.STOPPED: lambda info, place: info.sentence or f"Stopped after {_steps(info.step)}.",
    store.DIVERGED: lambda info, place: info.sentence or f"Diverged at step {info.step}.",
    store.FAILED: lambda info, place: info.sentence or f"Failed after {_steps(info.step)}.",
    store.LOST: lambda info, place: (
        info.sentence or f"Stopped unexpectedly at step {info.step}. What it recorded is kept."
    ),
}


def status_sentence(info: RunInfo, place: int = 0) -> str:
    """How a run is, in one sentence. place: its position in the queue; 0 where it has left it."""
    return _STATUS_SENTENCES[info.status](info, place)
