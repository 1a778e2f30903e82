"""The backward pass in slow motion: what each layer does to the gradient on its way to the input.

Everything is read off autograd, after the pass that a run's first step makes: whatever stands
between two layers (norms, skips, gradient rules) is in the numbers without being known here.
"""

import contextlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from engine import statistics
from engine.network import Block, Network

#: RMS below which a float32 gradient has begun to lose entries: its smallest normal number is
#: 1.2e-38, and an entry may be a million times smaller than the RMS.
UNDERFLOWS = 1e-30


def backward(network: Network, inputs: Tensor, labels: Tensor) -> dict[str, Any]:
    """Loss, and one row per layer in use, from the output layer to layer 1.

    inputs  [batch, features]
    labels  [batch]

    Each row: `layer`; `signal_rms`, RMS of dL/dh at the layer's output h, every path back to it
    added; `slope_rms`, sqrt of the mean phi'^2 over units and examples; `slope_gain`, what the
    activation did to the RMS (not slope_rms exactly: slope and signal are not independent);
    `norm_gain` and `rule_gain` where there is a norm or a backward rule; `delta_rms` of dL/dz, the
    product of these; `weight_rms`; `weight_gain`, RMS of dL/dh below over delta_rms; `factor`,
    delta_rms over that of the layer above. A ratio over 0 is NaN.

    `precision` is float32, as a run computes, or float64 where float32 underflows or overflows.
    Sums are float64 in both. Chain rule after Rumelhart, Hinton & Williams 1986.
    """
    for precision in (torch.float32, torch.float64):
        network = network.to(precision)
        loss, rows = _pass(network, inputs.to(precision), labels)
        sizes = [row["delta_rms"] for row in rows]
        if all(size > UNDERFLOWS and math.isfinite(size) for size in [loss, *sizes]):
            break
    return {"loss": loss, "precision": str(precision).removeprefix("torch."), "layers": rows}


def _pass(network: Network, inputs: Tensor, labels: Tensor) -> tuple[float, list[dict[str, Any]]]:
    network.zero_grad(set_to_none=True)
    with _watched(network) as seen:
        logits = network(inputs.clone().requires_grad_())
    loss = nn.CrossEntropyLoss()(logits, labels)
    loss.backward()
    rows: list[dict[str, Any]] = []
    for number, above in _pairs(network.layers_in_use()):
        row = _row(network, number, seen[number], seen[above]["below"] if above else logits)
        row["factor"] = _ratio(row["delta_rms"], rows[-1]["delta_rms"]) if rows else None
        rows.append(row)
    return loss.item(), rows


def _pairs(numbers: list[int]) -> Iterator[tuple[int, int | None]]:
    """Each layer from the top down, with the one above it."""
    above: int | None = None
    for number in reversed(numbers):
        yield number, above
        above = number


def _row(network: Network, number: int, own: dict[str, Tensor], h: Tensor) -> dict[str, Any]:
    """The numbers of one layer; `h` is what it hands to the layer above, its skip included."""
    signal, delta = _rms(h.grad), _rms(own["z"].grad)
    row: dict[str, Any] = {"layer": number, "signal_rms": signal, "slope_rms": 1.0}
    row["slope_gain"] = 1.0
    if "out" in own:
        block = network.hidden[number - 1]
        assert isinstance(block, Block)
        row["slope_rms"] = _slope_rms(block.activation, own["into"])
        row["slope_gain"] = _ratio(_rms(own["into"].grad), _rms(own["out"].grad))
        before = _rms(own["ruled"].grad) if "ruled" in own else _rms(own["out"].grad)
        if block.norm_after is not None:
            row["norm_gain"] = _ratio(before, signal)
        if block.norm_before is not None:
            row["norm_gain"] = _ratio(delta, _rms(own["into"].grad))
        if "ruled" in own:
            row["rule_gain"] = _ratio(_rms(own["out"].grad), before)
    row["delta_rms"] = delta
    row["weight_rms"] = _rms(network.layer(number).weight.detach())
    row["weight_gain"] = _ratio(_rms(own["below"].grad), delta)
    return row


@contextlib.contextmanager
def _watched(network: Network) -> Iterator[dict[int, dict[str, Tensor]]]:
    """Layer -> what passes through it in a forward pass, each keeping its gradient."""
    seen: dict[int, dict[str, Tensor]] = {number: {} for number in network.layers_in_use()}
    handles = []

    def keep(number: int, before: str, after: str) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            for name, tensor in ((before, inputs[0]), (after, output)):
                if name:
                    tensor.retain_grad()
                    seen[number][name] = tensor

        return hook

    for number in seen:
        linear = network.layer(number)
        handles.append(linear.register_forward_hook(keep(number, "below", "z")))
        if number <= network.spec.depth:
            block = network.hidden[number - 1]
            assert isinstance(block, Block)
            hook = keep(number, "into", "out")
            handles.append(block.activation.register_forward_hook(hook))
            if block.backward_rule is not None:
                hook = keep(number, "", "ruled")
                handles.append(block.backward_rule.register_forward_hook(hook))
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _slope_rms(activation: nn.Module, before: Tensor) -> float:
    before = before.detach().requires_grad_()
    (slope,) = torch.autograd.grad(activation(before).sum(), before)
    return _rms(slope)


def _rms(x: Tensor | None) -> float:
    assert x is not None, "its gradient was kept"
    return float(statistics.rms(x[None]))


def _ratio(over: float, under: float) -> float:
    return over / under if under else math.nan
