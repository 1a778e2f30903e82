"""The cures for a vanishing gradient, each written as the fields it changes in a RunSpec.

A remedy is data, so "what does this remedy change" is answered by the data itself, and remedies
combine by changing one after the other.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Remedy:
    title: str  # what the button says
    group: str  # a key of GROUPS
    changes: Mapping[str, Any]  # RunSpec fields and their new values
    idea: str  # one sentence: why the gradient should survive
    source: str  # who showed it

    def apply(self, spec: RunSpec) -> RunSpec:
        """`spec` with this remedy's fields changed and all others kept. Raises SpecError."""
        return spec.changed(self.changes)


@dataclass(frozen=True, kw_only=True)
class Group:
    """Fields that are set together: one expander of controls."""

    title: str
    fields: tuple[str, ...]
    idea: str  # one line under the heading; for a remedy, why it should help


GROUPS: dict[str, Group] = {
    "data": Group(
        title="Data",
        fields=("data", "subset", "batch_size"),
        idea="What is learned, and how many examples each step sees.",
    ),
    "network": Group(
        title="Network",
        fields=("depth", "width"),
        idea="Each layer multiplies the gradient by its weights and slope: depth makes it a power.",
    ),
    "initialisation": Group(
        title="Weight initialisation",
        fields=("init", "std", "gain"),
        idea="Weights of the right size keep the product of weights and slopes near 1.",
    ),
    "activation": Group(
        title="Activation",
        fields=("activation",),
        idea="A sigmoid's slope is at most 1/4; an active ReLU's is 1, so the product need not shrink.",
    ),
    "optimizer": Group(
        title="Optimizer",
        fields=("optimizer", "learning_rate", "momentum", "weight_decay"),
        idea="Adam divides each step by the gradient's own size, so small gradients still move weights.",
    ),
    "normalisation": Group(
        title="Normalisation",
        fields=("norm", "norm_position"),
        idea="Re-centred, re-scaled inputs keep the activation where its slope is large.",
    ),
    "skip": Group(
        title="Skip connections",
        fields=("skip", "skip_every"),
        idea="An identity path hands the gradient down unshrunk, past the layers it jumps.",
    ),
    "schedule": Group(
        title="Layer-wise training",
        fields=("schedule",),
        idea="Trained a few layers at a time, no gradient has far to travel.",
    ),
    "gradient": Group(
        title="Gradient rule",
        fields=("gradient_rule", "gradient_bound"),
        idea="Re-scaled on its way back, the gradient arrives at every layer at the same size.",
    ),
    "length": Group(
        title="Length, seed and device",
        fields=("epochs", "steps", "seed", "device", "threads"),
        idea="How long, from which random numbers, and where it is computed.",
    ),
}

REMEDIES: dict[str, Remedy] = {
    "weight_increasing": Remedy(
        title="Larger weights (std 1)",
        group="initialisation",
        changes={"init": "normal", "std": 1.0},
        idea="Weights twenty times larger make up for the sigmoid's small slope.",
        source="Schoenholz et al. 2017, Deep Information Propagation, arXiv:1611.01232",
    ),
    "weight_increasing_10": Remedy(
        title="Huge weights (std 10)",
        group="initialisation",
        changes={"init": "normal", "std": 10.0},
        idea="Too much of it: nearly every unit saturates, and what gradient is left explodes.",
        source="Glorot & Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html",
    ),
    "xavier": Remedy(
        title="Xavier initialisation",
        group="initialisation",
        changes={"init": "xavier_normal"},
        idea="Keeps the variance of signal and gradient from layer to layer for slopes near 1.",
        source="Glorot & Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html",
    ),
    "kaiming": Remedy(
        title="Kaiming initialisation",
        group="initialisation",
        changes={"init": "kaiming_normal"},
        idea="Makes up for the half of its inputs that a ReLU sets to zero.",
        source="He et al. 2015, Delving Deep into Rectifiers, arXiv:1502.01852",
    ),
    "orthogonal": Remedy(
        title="Orthogonal initialisation",
        group="initialisation",
        changes={"init": "orthogonal"},
        idea="An orthogonal matrix neither stretches nor shrinks any gradient.",
        source="Saxe, McClelland & Ganguli 2014, arXiv:1312.6120",
    ),
    "better_activation": Remedy(
        title="ReLU",
        group="activation",
        changes={"activation": "relu"},
        idea="Where a ReLU is active its slope is 1, four times the sigmoid's best.",
        source="Glorot, Bordes & Bengio 2011, https://proceedings.mlr.press/v15/glorot11a.html",
    ),
    "tanh": Remedy(
        title="Tanh",
        group="activation",
        changes={"activation": "tanh"},
        idea="Its slope at zero is 1 and its outputs are centred, unlike the sigmoid's.",
        source="LeCun et al. 1998, Efficient BackProp",
    ),
    "gelu": Remedy(
        title="GELU",
        group="activation",
        changes={"activation": "gelu"},
        idea="A smooth ReLU: a slope near 1 wherever the input is large.",
        source="Hendrycks & Gimpel 2016, arXiv:1606.08415",
    ),
    "better_optimizer": Remedy(
        title="Adam",
        group="optimizer",
        changes={"optimizer": "adam", "learning_rate": 0.001},
        idea="Each weight's step is divided by its gradient's own size, however small that is.",
        source="Kingma & Ba 2015, Adam, arXiv:1412.6980",
    ),
    "batchnorm": Remedy(
        title="BatchNorm",
        group="normalisation",
        changes={"norm": "batch", "norm_position": "before"},
        idea="Each unit's input is centred and scaled over the batch, where the slope is large.",
        source="Ioffe & Szegedy 2015, Batch Normalization, arXiv:1502.03167",
    ),
    "custom_norm": Remedy(
        title="Whole-tensor normalisation",
        group="normalisation",
        changes={"norm": "tensor", "norm_position": "before"},
        idea="One mean and one spread for the whole batch tensor: cheaper, and not BatchNorm.",
        source="The published exercise, section 4b",
    ),
    "layernorm": Remedy(
        title="LayerNorm",
        group="normalisation",
        changes={"norm": "layer", "norm_position": "before"},
        idea="Each example is centred and scaled over the layer's units, whatever the batch.",
        source="Ba, Kiros & Hinton 2016, Layer Normalization, arXiv:1607.06450",
    ),
    "rmsnorm": Remedy(
        title="RMSNorm",
        group="normalisation",
        changes={"norm": "rms", "norm_position": "before"},
        idea="Only the scale is set to 1; the mean stays.",
        source="Zhang & Sennrich 2019, arXiv:1910.07467",
    ),
    "skip": Remedy(
        title="Skip connections",
        group="skip",
        changes={"skip": "published"},
        idea="Two identity paths, 1 to 3 and 4 to 7, hand the gradient down unshrunk.",
        source="He et al. 2016, Deep Residual Learning, arXiv:1512.03385",
    ),
    "skip_every": Remedy(
        title="Skip every 2 layers",
        group="skip",
        changes={"skip": "every", "skip_every": 2},
        idea="An identity path from top to bottom: the gradient never has more than 2 layers to go.",
        source="He et al. 2016, Deep Residual Learning, arXiv:1512.03385",
    ),
    "layerwise": Remedy(
        title="Layer-wise (freezing)",
        group="schedule",
        changes={"schedule": "layerwise_intended"},
        idea="Each new group trains alone under a new output layer, close to the loss.",
        source="Bengio et al. 2007, Greedy Layer-Wise Training of Deep Networks",
    ),
    "layerwise_published": Remedy(
        title="Layer-wise (as published)",
        group="schedule",
        changes={"schedule": "layerwise_published"},
        idea="As in the notebook, whose misspelt require_grad freezes nothing.",
        source="The published exercise, section 6",
    ),
    "gradient_norm": Remedy(
        title="Gradient normalisation",
        group="gradient",
        changes={"gradient_rule": "standardise"},
        idea="After each activation the gradient is centred and scaled to size 1 on its way back.",
        source="The published exercise, section 7",
    ),
    "gradient_unit_rms": Remedy(
        title="Gradient scaled to RMS 1",
        group="gradient",
        changes={"gradient_rule": "unit_rms"},
        idea="As gradient normalisation, but the gradient's direction is kept.",
        source="After You, Gitman & Ginsburg 2017, arXiv:1708.03888",
    ),
    "gradient_clipping": Remedy(
        title="Gradient clipping",
        group="gradient",
        changes={"gradient_rule": "clip_norm", "gradient_bound": 1.0},
        idea="Against the other illness: an exploding gradient is cut to a bound.",
        source="Pascanu, Mikolov & Bengio 2013, arXiv:1211.5063",
    ),
}


def active(spec: RunSpec) -> list[str]:
    """Names of the remedies whose changes are all in `spec` and are not the baseline's own.

    Where two remedies of one group share their field, as the two forms of layer-wise training,
    at most the one that matches is active.
    """
    plain = RunSpec(data=spec.data).model_dump()
    values = spec.model_dump()
    return [
        name
        for name, remedy in REMEDIES.items()
        if all(values[field] == value for field, value in remedy.changes.items())
        and any(plain[field] != value for field, value in remedy.changes.items())
    ]
