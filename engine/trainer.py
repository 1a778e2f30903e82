"""The loop, on one screen: batch, forward, backward, step. It tells a watcher what it does.

The random stream is torch's own, drawn in the order of the published notebooks: seed,
random_split, network, then what DataLoader draws. With it the Adam preset prints train loss
2.2326 and accuracy .1290 for epoch 1 on Fashion-MNIST, as published.
"""

import math
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from engine.data import Examples, Split, split
from engine.errors import DeviceError, DivergedError
from engine.network import Network
from engine.records import EpochEnd
from engine.spec import Phase, RunSpec

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

DEVICES: dict[str, Callable[[], bool]] = {
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
    "cpu": lambda: True,
}


class Watcher(Protocol):
    """What the loop tells, in order; `Silent` hears nothing. It must change nothing."""

    def begin_phase(self, phase: Phase, network: Network, step: int) -> None: ...
    def before_step(self, step: int, epoch: int, *, ends_epoch: bool, must: bool) -> None: ...
    def after_backward(self) -> None: ...
    def after_step(self, loss: float, accuracy: float) -> None: ...
    def end_epoch(self, end: EpochEnd) -> None: ...
    def should_stop(self) -> bool: ...


class Silent:
    """A watcher that hears nothing and stops nothing."""

    def begin_phase(self, phase: Phase, network: Network, step: int) -> None: ...
    def before_step(self, step: int, epoch: int, *, ends_epoch: bool, must: bool) -> None: ...
    def after_backward(self) -> None: ...
    def after_step(self, loss: float, accuracy: float) -> None: ...
    def end_epoch(self, end: EpochEnd) -> None: ...
    def should_stop(self) -> bool:
        return False


def choose_device(name: str) -> torch.device:
    """The device to train on; auto takes the first there is. Raises DeviceError."""
    if name == "auto":
        return torch.device(next(kind for kind, is_here in DEVICES.items() if is_here()))
    if not DEVICES[name]():
        here = ", ".join(kind for kind, is_here in DEVICES.items() if is_here())
        raise DeviceError(f"device is {name}; this machine has {here}.")
    return torch.device(name)


def set_up(spec: RunSpec) -> torch.device:
    """Make this process compute as the spec says; the device it will compute on.

    Subnormals are flushed to zero on a CPU: saturated networks are full of them, and each costs
    a hundred times a normal number (the std-10 run is 8 times slower without).
    """
    torch.set_num_threads(spec.threads)
    torch.set_flush_denormal(True)
    torch.use_deterministic_algorithms(True, warn_only=True)
    # It would also fill every new tensor with NaN, at a third of a small network's time.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return choose_device(spec.device)


@dataclass
class Run:
    """A run that is ready to train: everything random up to the first batch has been drawn."""

    spec: RunSpec
    data: Split
    network: Network
    device: torch.device


def prepare(spec: RunSpec, examples: Examples, test: Examples, device: torch.device) -> Run:
    """Seed, split the data, build the network: in this order, as published."""
    torch.manual_seed(spec.seed)
    data = split(examples, test, spec, device)
    return Run(spec=spec, data=data, network=Network(spec).to(device), device=device)


def train(run: Run, watcher: Watcher) -> None:
    """Train through all phases. Raises DivergedError when the loss or a weight is non-finite."""
    loop = _Loop(run, watcher)
    for phase in run.spec.phases:
        run.network.enter(phase)
        watcher.begin_phase(phase, run.network, loop.step)
        if not loop.phase(phase):
            return


class _Loop:
    """Where the loop stands: the step, the epoch and the clock, counted on through the phases."""

    def __init__(self, run: Run, watcher: Watcher):
        self.run, self.watcher = run, watcher
        self.step = self.epoch = 0
        self.loss_of = nn.CrossEntropyLoss()
        self.batches = _Batches(run.data.train, run.spec.batch_size, shuffle=True)
        self.validation_batches = _Batches(run.data.validation, run.spec.batch_size, shuffle=False)
        # Cut by hand: a DataLoader would draw a random number that the notebooks do not draw.
        places = torch.arange(len(run.data.test), device=run.device)
        self.test_batches = torch.split(places, run.spec.batch_size)
        self.began = time.perf_counter()

    def phase(self, phase: Phase) -> bool:
        """Train one phase to its end; False when asked to stop."""
        spec, end = self.run.spec, self.step + self.run.spec.steps_per_phase
        parameters = [p for p in self.run.network.parameters() if p.requires_grad]
        optimizer = OPTIMIZERS[spec.optimizer](parameters, spec)
        while self.step < end:
            losses: list[float] = []
            correct, seen = 0.0, 0
            for index in self.batches:
                last = len(losses) + 1 == spec.steps_per_epoch or self.step + 1 == end
                loss, accuracy = self.one_step(index, optimizer, parameters, last)
                losses.append(loss)
                correct, seen = correct + accuracy * len(index), seen + len(index)
                if self.watcher.should_stop():
                    return False
                if self.step == end:
                    break
            self.end_epoch(phase, sum(losses) / len(losses), correct / seen)
        return True

    def one_step(
        self, index: Tensor, optimizer: torch.optim.Optimizer, parameters: Parameters, last: bool
    ) -> tuple[float, float]:
        """Loss and accuracy of one batch, and the step it leads to."""
        run, spec = self.run, self.run.spec
        inputs = run.data.train.inputs[index]  # [batch, features]
        labels = run.data.train.labels[index]  # [batch]
        self.watcher.before_step(self.step, self.epoch, ends_epoch=last, must=False)
        optimizer.zero_grad()
        logits = run.network(inputs)  # [batch, classes]
        loss = self.loss_of(logits, labels)
        value = loss.item()  # the only wait for the device
        if not math.isfinite(value):
            self.diverge(inputs, labels)
        loss.backward()
        self.watcher.after_backward()  # gradients are whole here, neither cut nor used
        if spec.gradient_rule in CLIPS:
            CLIPS[spec.gradient_rule](parameters, spec.gradient_bound)
        optimizer.step()
        accuracy = int((logits.argmax(1) == labels).sum()) / len(labels)
        self.watcher.after_step(value, accuracy)
        self.step += 1
        return value, accuracy

    def end_epoch(self, phase: Phase, train_loss: float, train_accuracy: float) -> None:
        """Measure on validation and test examples, and say so."""
        self.epoch += 1
        network, test = self.run.network, self.run.data.test
        validation = evaluate(network, self.run.data.validation, self.validation_batches)
        tested = evaluate(network, test, self.test_batches)
        end = EpochEnd(
            epoch=self.epoch,
            step=self.step,
            phase=phase.number,
            train_loss=train_loss,
            train_accuracy=train_accuracy,
            validation_loss=validation[0],
            validation_accuracy=validation[1],
            test_loss=tested[0],
            test_accuracy=tested[1],
            seconds=time.perf_counter() - self.began,
        )
        self.watcher.end_epoch(end)
        if broken := nonfinite_weight(network):
            raise DivergedError(self.step - 1, broken, "the gradient")

    def diverge(self, inputs: Tensor, labels: Tensor) -> None:
        """Look at the batch that gave a non-finite loss once more, and say where it began.

        A weight that is non-finite before this step was made so by the step before. The second
        look, with statistics taken, shows the run up to its end.
        """
        network = self.run.network
        broken = nonfinite_weight(network)
        self.watcher.before_step(self.step, self.epoch, ends_epoch=True, must=True)
        loss = self.loss_of(network(inputs), labels)
        loss.backward()
        self.watcher.after_backward()
        self.watcher.after_step(loss.item(), math.nan)
        if broken:
            raise DivergedError(self.step - 1, broken, "the gradient")
        raise DivergedError(self.step, first_nonfinite_output(network, inputs), "the signal")


def evaluate(
    network: Network, examples: Examples, batches: Iterable[Tensor]
) -> tuple[float, float]:
    """Mean loss and accuracy per example, in evaluation mode.

    batches  indices of the examples, batch by batch; a whole-tensor norm's answer depends on them

    Sums over examples are divided by the number of examples. (The published notebooks divide the
    validation loss by the number of test batches: their 1.3816 is really 2.3027.)
    """
    network.eval()
    loss_sum = torch.zeros((), dtype=torch.float64)
    correct = 0
    with torch.no_grad():
        for index in batches:
            logits = network(examples.inputs[index])
            labels = examples.labels[index]
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


class _Positions(Dataset[Tensor]):
    """0 .. n - 1 as a data set that hands over a whole batch at once."""

    def __init__(self, count: int):
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitems__(self, positions: list[int]) -> Tensor:
        return torch.as_tensor(positions)


class _Batches:
    """Indices of the examples, batch by batch, anew for each epoch, drawn by DataLoader itself."""

    def __init__(self, examples: Examples, batch_size: int, *, shuffle: bool):
        self.device = examples.inputs.device
        positions = _Positions(len(examples))
        self.loader = DataLoader(
            positions, batch_size, shuffle=shuffle, collate_fn=lambda batch: batch
        )

    def __iter__(self) -> Iterator[Tensor]:
        for index in self.loader:
            yield index.to(self.device)
