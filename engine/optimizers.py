"""RunSpec -> torch's optimizer, and the rules that cut a finished gradient."""

from collections.abc import Callable

import torch
from torch import nn

from engine.spec import RunSpec

Parameters = list[nn.Parameter]

OPTIMIZERS: dict[str, Callable[[Parameters, RunSpec], torch.optim.Optimizer]] = {
    "sgd": lambda p, spec: torch.optim.SGD(
        p, lr=spec.learning_rate, weight_decay=spec.weight_decay
    ),
    "momentum": lambda p, spec: torch.optim.SGD(
        p, lr=spec.learning_rate, weight_decay=spec.weight_decay, momentum=spec.momentum
    ),
    "nesterov": lambda p, spec: torch.optim.SGD(
        p,
        lr=spec.learning_rate,
        weight_decay=spec.weight_decay,
        momentum=spec.momentum,
        nesterov=True,
    ),
    "rmsprop": lambda p, spec: torch.optim.RMSprop(
        p, lr=spec.learning_rate, weight_decay=spec.weight_decay
    ),
    "adagrad": lambda p, spec: torch.optim.Adagrad(
        p, lr=spec.learning_rate, weight_decay=spec.weight_decay
    ),
    "adam": lambda p, spec: torch.optim.Adam(
        p, lr=spec.learning_rate, weight_decay=spec.weight_decay
    ),
    "adamw": lambda p, spec: torch.optim.AdamW(
        p, lr=spec.learning_rate, weight_decay=spec.weight_decay
    ),
}

#: Rules that cut the finished gradient. The others act inside the network (engine/network.py).
CLIPS: dict[str, Callable[[Parameters, float], object]] = {
    "clip_norm": nn.utils.clip_grad_norm_,
    "clip_value": nn.utils.clip_grad_value_,
}
