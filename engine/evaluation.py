"""What a network is worth on examples it does not train on, and where its numbers broke."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from engine.data import Examples
from engine.network import Network


def evaluate(network: Network, examples: Examples, batch_size: int) -> tuple[float, float]:
    """Mean loss and accuracy per example, in evaluation mode.

    batch_size  examples at a time, in their order; a whole-tensor norm's answer depends on it

    Sums over examples are divided by the number of examples. (The published notebooks divide the
    validation loss by the number of test batches: their 1.3816 is really 2.3027.)
    """
    network.eval()
    loss_sum = torch.zeros((), dtype=torch.float64)
    correct = 0
    with torch.no_grad():
        batches = zip(
            torch.split(examples.inputs, batch_size),
            torch.split(examples.labels, batch_size),
            strict=True,
        )
        for inputs, labels in batches:
            logits = network(inputs)
            losses = nn.functional.cross_entropy(logits, labels, reduction="none")
            loss_sum += losses.cpu().double().sum()
            correct += int((logits.argmax(1) == labels).sum())
    network.train()
    return loss_sum.item() / len(examples), correct / len(examples)


def nonfinite_weight(network: Network) -> int | None:
    """The layer nearest the output with a weight that is NaN or infinite.

    A gradient that runs out of numbers takes all layers below with it; it began in the topmost.
    """
    for number in reversed(network.layers_in_use()):
        layer = network.layer(number)
        if not all(bool(p.isfinite().all()) for p in (layer.weight, layer.bias)):
            return number
    return None


def first_nonfinite_output(network: Network, inputs: Tensor) -> int | None:
    """The layer nearest the input whose output for `inputs` is NaN or infinite."""
    found: list[int] = []

    def look(number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, args: Any, output: Tensor) -> None:
            if not bool(output.isfinite().all()):
                found.append(number)

        return hook

    modules = {n: network.hidden[n - 1] for n in network.layers_in_use()[:-1]}
    handles = [m.register_forward_hook(look(n)) for n, m in modules.items()]
    with torch.no_grad():
        network(inputs)
    for handle in handles:
        handle.remove()
    return found[0] if found else network.spec.depth + 1
