"""RunSpec -> nn.Module: Linear layers with everything a remedy can put between them."""

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from engine.spec import Phase, RunSpec

ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "sigmoid": nn.Sigmoid,
    "tanh": nn.Tanh,
    "relu": nn.ReLU,
    "leaky_relu": nn.LeakyReLU,
    "elu": nn.ELU,
    "selu": nn.SELU,
    "gelu": nn.GELU,
    "silu": nn.SiLU,
    "softplus": nn.Softplus,
    "identity": nn.Identity,
}

#: How a weight [fan_out, fan_in] is drawn; "pytorch" leaves what nn.Linear drew, biases included.
INITS: dict[str, Callable[[Tensor, RunSpec], object]] = {
    "normal": lambda weight, spec: nn.init.normal_(weight, mean=0.0, std=spec.std),
    "xavier_uniform": lambda weight, spec: nn.init.xavier_uniform_(weight),
    "xavier_normal": lambda weight, spec: nn.init.xavier_normal_(weight),
    "kaiming_uniform": lambda weight, spec: nn.init.kaiming_uniform_(weight, nonlinearity="relu"),
    "kaiming_normal": lambda weight, spec: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "orthogonal": lambda weight, spec: nn.init.orthogonal_(weight, gain=spec.gain),
}


class TensorNorm(nn.Module):
    """(x - mean) / std with one mean and one (unbiased) std for the whole batch tensor.

    As published: no epsilon, nothing learned, and the same in evaluation, so that what the
    network says of one example depends on the others in its batch.
    """

    def forward(self, x: Tensor) -> Tensor:
        return (x - x.mean()) / x.std()


NORMS: dict[str, Callable[[int], nn.Module]] = {
    "batch": nn.BatchNorm1d,
    "tensor": lambda width: TensorNorm(),
    "layer": nn.LayerNorm,
    "rms": nn.RMSNorm,
}


class _Identity(torch.autograd.Function):
    """The identity, whose subclasses say what becomes of the gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.view_as(x)


class _Standardise(_Identity):
    """Backward (g - mean) / (std + 1e-6) over the whole tensor, as published."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        return (gradient - gradient.mean()) / (gradient.std() + 1e-6)


class _UnitRms(_Identity):
    """Backward g / rms(g): the size is set to 1, the direction kept."""

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (gradient,) = gradients
        # By the largest entry first: the square of a small float32 would underflow.
        unit = gradient / gradient.abs().max()
        rescaled = unit / unit.square().mean().sqrt()
        return torch.where(gradient.any(), rescaled, gradient)


class BackwardRule(nn.Module):
    """The identity, with a backward of its own."""

    def __init__(self, rule: type[torch.autograd.Function]):
        super().__init__()
        self.rule = rule

    def forward(self, x: Tensor) -> Tensor:
        return self.rule.apply(x)  # type: ignore[no-any-return]


#: Rules that act inside the network. The others cut the finished gradient (engine/trainer.py).
BACKWARD_RULES: dict[str, type[torch.autograd.Function]] = {
    "standardise": _Standardise,
    "unit_rms": _UnitRms,
}


class Block(nn.Module):
    """One hidden layer: Linear, norm, activation, backward rule, norm; what is absent is skipped."""

    def __init__(self, fan_in: int, spec: RunSpec):
        super().__init__()
        self.linear = nn.Linear(fan_in, spec.width)
        self.activation = ACTIVATIONS[spec.activation]()
        norm = NORMS[spec.norm](spec.width) if spec.norm != "none" else None
        self.norm_before = norm if spec.norm_position == "before" else None
        self.norm_after = norm if spec.norm_position == "after" else None
        self.backward_rule = _backward_rule(spec)

    @property
    def norm(self) -> nn.Module | None:
        """Its normalisation, wherever it stands."""
        return self.norm_before if self.norm_before is not None else self.norm_after

    def change(self, before: RunSpec, spec: RunSpec) -> None:
        """Be as `spec` says, with the same weights; a new norm begins as in a new network."""
        if spec.activation != before.activation:
            self.activation = ACTIVATIONS[spec.activation]()
        norm = self.norm
        if spec.norm != before.norm:
            norm = NORMS[spec.norm](spec.width) if spec.norm != "none" else None
        self.norm_before = norm if spec.norm_position == "before" else None
        self.norm_after = norm if spec.norm_position == "after" else None
        self.backward_rule = _backward_rule(spec)
        self.to(self.linear.weight.device)

    def forward(self, x: Tensor) -> Tensor:
        z = self.linear(x)  # [batch, width]
        if self.norm_before is not None:
            z = self.norm_before(z)
        h: Tensor = self.activation(z)
        if self.backward_rule is not None:
            h = self.backward_rule(h)
        if self.norm_after is not None:
            h = self.norm_after(h)
        return h


def _backward_rule(spec: RunSpec) -> BackwardRule | None:
    rule = BACKWARD_RULES.get(spec.gradient_rule)
    return BackwardRule(rule) if rule else None


def _initialise(linear: nn.Linear, spec: RunSpec) -> None:
    if spec.init in INITS:
        INITS[spec.init](linear.weight, spec)
        nn.init.zeros_(linear.bias)


class Network(nn.Module):
    """Hidden layers 1..depth and an output layer; `enter` chooses how many are in use.

    Random numbers are drawn in the order of the published notebooks: first every nn.Linear draws
    its own, then the weights are drawn anew from the input to the output.
    """

    def __init__(self, spec: RunSpec):
        super().__init__()
        self.spec = spec
        widths = [spec.data_set.features] + [spec.width] * spec.depth
        self.hidden = nn.ModuleList(Block(fan_in, spec) for fan_in in widths[:-1])
        self.output = nn.Linear(spec.width, len(spec.data_set.classes))
        self.skips = spec.skips
        self.active, self.frozen = spec.depth, 0
        self.frozen_by_hand: frozenset[int] = frozenset()
        for module in self.modules():
            if isinstance(module, nn.Linear):
                _initialise(module, spec)

    def change(self, spec: RunSpec) -> None:
        """Be as `spec` says from here on; the weights stay what they are."""
        before, self.spec, self.skips = self.spec, spec, spec.skips
        for block in self.hidden:
            assert isinstance(block, Block)
            block.change(before, spec)
        self.freeze(self.frozen_by_hand)

    def freeze(self, layers: frozenset[int]) -> None:
        """Freeze these layers and no others, beside those that the phase freezes."""
        self.frozen_by_hand = layers
        for number, module in enumerate([*self.hidden, self.output], start=1):
            learns = not self.is_frozen(number)
            module.requires_grad_(learns)
            if not learns:  # a frozen layer has no gradient, nor an old one
                module.zero_grad(set_to_none=True)

    def is_frozen(self, number: int) -> bool:
        """Whether a layer is not being trained."""
        return number <= self.frozen or number in self.frozen_by_hand

    def reinitialise(self, layer: int | None) -> None:
        """Draw a layer's weights anew, or all layers' from the input to the output, and reset its norm.

        Drawn on the CPU, as in a new network: the same bits on every device.
        """
        numbers = range(1, self.spec.layers + 1) if layer is None else [layer]
        for number in numbers:
            linear = self.layer(number)
            fresh = nn.Linear(linear.in_features, linear.out_features)
            _initialise(fresh, self.spec)
            linear.load_state_dict(fresh.state_dict())
            if number <= self.spec.depth:
                block = self.hidden[number - 1]
                assert isinstance(block, Block)
                if isinstance(block.norm, nn.BatchNorm1d | nn.LayerNorm | nn.RMSNorm):
                    block.norm.reset_parameters()

    def enter(self, phase: Phase) -> None:
        """Use the first `phase.layers` hidden layers, freeze the first `phase.frozen` of them.

        Layer by layer, each phase begins with a new output layer in PyTorch's own initialisation,
        as published.
        """
        if self.spec.schedule != "joint":
            self.output = nn.Linear(self.spec.width, self.output.out_features).to(
                self.output.weight.device
            )
        self.use(phase)
        self.zero_grad(set_to_none=True)

    def use(self, phase: Phase) -> None:
        """The same with the output layer there is: the network goes on in the middle of a phase."""
        self.active, self.frozen = phase.layers, phase.frozen
        self.freeze(self.frozen_by_hand)

    def trained_parameters(self) -> list[nn.Parameter]:
        """What the optimizer of this phase is given; what is frozen by hand is kept and passed over."""
        modules = [*self.hidden[self.frozen :], self.output]
        return [parameter for module in modules for parameter in module.parameters()]

    def forward(self, x: Tensor) -> Tensor:
        # Of each hidden layer, after its skip: [batch, features], [batch, width], ...
        outputs = [x]
        in_use = itertools.islice(self.hidden, self.active)  # a slice would be a new ModuleList
        for number, block in enumerate(in_use, start=1):
            h = block(outputs[-1])
            if number in self.skips:
                h = h + outputs[self.skips[number]]
            outputs.append(h)
        logits: Tensor = self.output(outputs[-1])  # [batch, classes]
        return logits

    def layer(self, number: int) -> nn.Linear:
        """The Linear of layer `number`: 1 is nearest the input, depth + 1 is the output layer."""
        if number > self.spec.depth:
            return self.output
        linear = self.hidden[number - 1].linear
        assert isinstance(linear, nn.Linear)
        return linear

    def layers_in_use(self) -> list[int]:
        """Numbers of the layers that the current phase contains, the output layer last."""
        return [*range(1, self.active + 1), self.spec.depth + 1]

    def blocks_in_use(self) -> dict[int, Block]:
        """The hidden layers that the current phase contains, by number."""
        # A ModuleList finds its n-th module in n steps, and a slice of it is a new one.
        return dict(enumerate(itertools.islice(self.hidden, self.active), start=1))  # type: ignore[arg-type]
