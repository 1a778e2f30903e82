"""The bare loop: plain PyTorch, as a good practitioner writes it. Tensors in memory, nothing recorded.

It draws what our loop draws, so that it trains to the same weights, bit for bit: what is compared
does the same work.
"""

import torch
from torch import Tensor, nn

from engine import data, trainer
from engine.data import Examples
from engine.network import ACTIVATIONS
from engine.optimizers import OPTIMIZERS
from engine.spec import RunSpec


class Bare:
    """A network of Linear layers and activations, its data, its optimizer, and nothing else."""

    def __init__(self, spec: RunSpec):
        before = torch.get_rng_state()
        run = trainer.prepare(spec, *data.load(spec), torch.device(spec.device))
        self.drawn = torch.get_rng_state()  # its own stream of random numbers, from epoch to epoch
        self.network = _plain(spec)
        self.network.load_state_dict(
            dict(zip(self.network.state_dict(), run.network.state_dict().values(), strict=True))
        )
        self.train, self.validation, self.test = (
            run.data.train,
            run.data.validation,
            run.data.test,
        )
        self.batch_size = spec.batch_size
        self.optimizer = OPTIMIZERS[spec.optimizer](list(self.network.parameters()), spec)
        self.loss_of = nn.CrossEntropyLoss()
        torch.set_rng_state(before)

    def epoch(self) -> None:
        """Train one epoch, then measure loss and accuracy on validation and test examples."""
        others = torch.get_rng_state()
        torch.set_rng_state(self.drawn)
        for index in torch.split(self.order(), self.batch_size):
            self.step(index)
        _draw()  # what a DataLoader of the validation examples draws
        self.evaluate(self.validation)
        self.evaluate(self.test)
        self.drawn = torch.get_rng_state()
        torch.set_rng_state(others)

    def order(self) -> Tensor:
        """The examples of an epoch, [examples], in an order drawn as DataLoader draws it."""
        _draw()
        generator = torch.Generator()
        generator.manual_seed(_draw())
        return torch.randperm(len(self.train), generator=generator)

    def step(self, index: Tensor) -> float:
        """One step on the examples of `index`, [batch]; the loss before it."""
        inputs, labels = self.train.inputs[index], self.train.labels[index]
        self.optimizer.zero_grad()
        loss = self.loss_of(self.network(inputs), labels)
        value: float = loss.item()
        loss.backward()
        self.optimizer.step()
        return value

    def evaluate(self, examples: Examples) -> tuple[float, float]:
        """Mean loss and accuracy per example, in batches of the size that is trained with."""
        self.network.eval()
        loss_sum, correct = 0.0, 0
        with torch.no_grad():
            batches = zip(
                torch.split(examples.inputs, self.batch_size),
                torch.split(examples.labels, self.batch_size),
                strict=True,
            )
            for inputs, labels in batches:
                logits = self.network(inputs)
                loss_sum += nn.functional.cross_entropy(logits, labels, reduction="sum").item()
                correct += int((logits.argmax(1) == labels).sum())
        self.network.train()
        return loss_sum / len(examples), correct / len(examples)


def _plain(spec: RunSpec) -> nn.Sequential:
    """Linear layers and activations of the spec's sizes. Draws random numbers."""
    layers: list[nn.Module] = []
    width = spec.data_set.features
    for _ in range(spec.depth):
        layers += [nn.Linear(width, spec.width), ACTIVATIONS[spec.activation]()]
        width = spec.width
    return nn.Sequential(*layers, nn.Linear(width, len(spec.data_set.classes)))


def _draw() -> int:
    """A random number as DataLoader draws one when an epoch begins."""
    return int(torch.empty((), dtype=torch.int64).random_().item())
