"""The ten published configurations, their published variants and the controlled set.

A preset says nothing of data, length, seed or device: it starts from RunSpec's defaults, which
are the published ones, and changes what the exercise changes. N1 and N2 are the two published
repositories; where they differ in learning rate or optimizer, both are here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import PresetError
from engine.quotes import quoted
from engine.remedies import REMEDIES, active
from engine.spec import RunSpec

STD_005 = {"init": "normal", "std": 0.05}
#: Fields a preset leaves as they are: they do not tell one configuration from another.
FREE = ("data", "subset", "batch_size", "seed", "epochs", "steps", "device", "threads")


@dataclass(frozen=True, kw_only=True)
class Preset:
    title: str
    kind: str  # "published", "variant" or "controlled"
    changes: Mapping[str, Any]  # over RunSpec's defaults
    note: str  # one sentence: what to know
    test_accuracy: float | None = None  # published by N2 after 100 epochs on Fashion-MNIST
    #: Published likewise, and given only where the published test accuracy is of another model.
    validation_accuracy: float | None = None

    def spec(self, **free: Any) -> RunSpec:
        """The preset's spec; `free` sets the fields it leaves open, or overrides it."""
        return RunSpec(**({**self.changes, **free}))


def _controlled(remedy: str) -> Preset:
    return Preset(
        title=f"Controlled: {REMEDIES[remedy].title}",
        kind="controlled",
        changes={**STD_005, **REMEDIES[remedy].changes},
        note="Only this remedy differs from the controlled baseline.",
    )


PRESETS: dict[str, Preset] = {
    "baseline": Preset(
        title="Baseline",
        kind="published",
        changes={},
        note="Stays at loss 2.3026 = ln 10: layer 1 never learns.",
        test_accuracy=0.1000,
    ),
    "weight_std_1": Preset(
        title="Weight std 1",
        kind="published",
        changes={"init": "normal", "std": 1.0},
        note="By accident on the edge of chaos: the gradient survives, most units saturate.",
        test_accuracy=0.7361,
    ),
    "weight_std_10": Preset(
        title="Weight std 10",
        kind="published",
        changes={"init": "normal", "std": 10.0},
        note="Saturated nearly everywhere; what gradient is left explodes towards the input.",
        test_accuracy=0.1927,
    ),
    "better_activation": Preset(
        title="Better activation: ReLU",
        kind="published",
        changes={**STD_005, "activation": "relu", "learning_rate": 0.001},
        note="Does not learn at this learning rate; the variant at 1e-2 does, after a plateau.",
    ),
    "better_optimizer": Preset(
        title="Better optimizer: Adam",
        kind="published",
        changes={**STD_005, "optimizer": "adam", "learning_rate": 0.001},
        note="Epoch 1 on Fashion-MNIST is published to the digit: loss 2.2326, accuracy .1290.",
        test_accuracy=0.8591,
    ),
    "batchnorm": Preset(
        title="BatchNorm (with Adam)",
        kind="published",
        changes={**STD_005, "norm": "batch", "optimizer": "adam", "learning_rate": 0.001},
        note="The notebook changes normalisation and optimizer at once.",
    ),
    "custom_norm": Preset(
        title="Whole-tensor normalisation",
        kind="published",
        changes={**STD_005, "norm": "tensor"},
        note="Not BatchNorm: its evaluation depends on the batch. Wakes up after some 30 epochs.",
    ),
    "skip": Preset(
        title="Skip connections",
        kind="published",
        changes={**STD_005, "skip": "published"},
        note="The output of layer 1 is added to layer 3's, that of layer 4 to layer 7's.",
        test_accuracy=0.6756,
    ),
    "layerwise": Preset(
        title="Layer-wise training, as published",
        kind="published",
        changes={**STD_005, "schedule": "layerwise_published"},
        note="Seven phases; the notebook's misspelt require_grad freezes nothing.",
    ),
    "gradient_norm": Preset(
        title="Gradient normalisation",
        kind="published",
        changes={**STD_005, "gradient_rule": "standardise", "learning_rate": 0.001},
        note="After each activation the gradient is standardised on its way back.",
    ),
    "better_activation_lr_1e-2": Preset(
        title="ReLU, SGD 1e-2",
        kind="variant",
        changes={**STD_005, "activation": "relu"},
        note="N2's learning rate: a plateau of about 30 epochs, then it learns.",
        test_accuracy=0.7882,
    ),
    "batchnorm_sgd": Preset(
        title="BatchNorm, SGD 1e-2",
        kind="variant",
        changes={**STD_005, "norm": "batch"},
        note="N2's optimizer: only the normalisation changes.",
        test_accuracy=0.8785,
    ),
    "gradient_norm_lr_1e-2": Preset(
        title="Gradient normalisation, SGD 1e-2",
        kind="variant",
        changes={**STD_005, "gradient_rule": "standardise"},
        note="N2's learning rate: every step replaces a good part of the weights.",
        test_accuracy=0.5373,
    ),
    "layerwise_intended": Preset(
        title="Layer-wise training, as intended",
        kind="variant",
        changes={**STD_005, "schedule": "layerwise_intended"},
        note="Seven phases; phases 2, 4 and 6 really freeze the layers below, as N2 does.",
        validation_accuracy=0.5897,
    ),
    "controlled_baseline": Preset(
        title="Controlled baseline",
        kind="controlled",
        changes=STD_005,
        note="Sigmoid, std 0.05, SGD 1e-2: what every controlled preset starts from.",
    ),
    "controlled_weight_std_1": _controlled("weight_increasing"),
    "controlled_weight_std_10": _controlled("weight_increasing_10"),
    "controlled_better_activation": _controlled("better_activation"),
    "controlled_better_optimizer": _controlled("better_optimizer"),
    "controlled_batchnorm": _controlled("batchnorm"),
    "controlled_custom_norm": _controlled("custom_norm"),
    "controlled_skip": _controlled("skip"),
    "controlled_layerwise": _controlled("layerwise"),
    "controlled_gradient_norm": _controlled("gradient_norm"),
}


def find(name: str) -> Preset:
    """The preset of that name. Raises PresetError."""
    if name not in PRESETS:
        raise PresetError(f"preset is {quoted(name)}; it must be one of {', '.join(PRESETS)}.")
    return PRESETS[name]


def matches(name: str, spec: RunSpec) -> bool:
    """Whether a spec is that of the preset, whatever its free fields."""
    if name not in PRESETS:
        return False
    free = set(FREE)
    return PRESETS[name].spec().model_dump(exclude=free) == spec.model_dump(exclude=free)


def name_of(spec: RunSpec) -> str:
    """The first preset whose spec this is, whatever its free fields; "" if there is none."""
    return next((name for name in PRESETS if matches(name, spec)), "")


def title_of(spec: RunSpec) -> str:
    """A short title: the preset's where there is one, else the network and its remedies."""
    shape = f"{spec.depth}x{spec.width}"
    if name := name_of(spec):
        return PRESETS[name].title
    cures = [REMEDIES[name].title for name in active(spec)]
    optimizer = f"{spec.optimizer} {spec.learning_rate:g}"
    return ", ".join([f"{spec.activation} {shape}", *cures, optimizer])
