"""The loop, on one screen: batch, forward, backward, step. It tells a watcher what it does.

The random stream is torch's own, drawn in the order of the published notebooks: seed,
random_split, network, then what DataLoader draws. With it the Adam preset prints train loss
2.2326 and accuracy .1290 for epoch 1 on Fashion-MNIST, as published.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Protocol

import torch
from torch import Tensor, nn

from engine.checkpoints import Position, State, copied
from engine.clock import Clock
from engine.data import Batches, Examples, Split, draw_as_loader, split
from engine.errors import DeviceError, DivergedError, StoreError
from engine.evaluation import evaluate, first_nonfinite_output, nonfinite_weight
from engine.network import Network
from engine.optimizers import CLIPS, OPTIMIZERS
from engine.records import EpochEnd
from engine.spec import Phase, RunSpec
from engine.steering import Change, Standing, applied

DEVICES: dict[str, Callable[[], bool]] = {
    "cuda": torch.cuda.is_available,
    "mps": torch.backends.mps.is_available,
    "cpu": lambda: True,
}


Capture = Callable[[], State]


class Watcher(Protocol):
    """What the loop tells, in order; `Silent` hears nothing. It changes only what `between` asks for."""

    def begin_phase(self, phase: Phase, network: Network, step: int, *, anew: bool) -> None: ...
    def between(self, step: int, capture: Capture) -> Sequence[Change]:
        """What to change before this step; asked again until it is nothing. May wait."""

    def first_batch(self, inputs: Tensor, labels: Tensor) -> None:
        """The batch of step 0, before it: [batch, features] and [batch]. Not to be changed."""

    def before_step(self, step: int, epoch: int, *, ends_epoch: bool, must: bool) -> None: ...
    def after_backward(self) -> None: ...
    def after_step(self, loss: float, accuracy: float) -> None: ...
    def end_epoch(self, end: EpochEnd) -> None: ...
    def should_stop(self) -> bool: ...
    def finish(self, step: int, capture: Capture) -> None: ...


class Silent:
    """A watcher that hears nothing, changes nothing and stops nothing."""

    def begin_phase(self, phase: Phase, network: Network, step: int, *, anew: bool) -> None: ...
    def between(self, step: int, capture: Capture) -> Sequence[Change]:
        return ()

    def first_batch(self, inputs: Tensor, labels: Tensor) -> None: ...
    def before_step(self, step: int, epoch: int, *, ends_epoch: bool, must: bool) -> None: ...
    def after_backward(self) -> None: ...
    def after_step(self, loss: float, accuracy: float) -> None: ...
    def end_epoch(self, end: EpochEnd) -> None: ...
    def should_stop(self) -> bool:
        return False

    def finish(self, step: int, capture: Capture) -> None: ...


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
    """A run that is ready to train: everything random up to the next batch has been drawn."""

    spec: RunSpec  # as it was started
    data: Split
    network: Network
    device: torch.device
    clock: Clock = field(default_factory=Clock)
    state: State | None = None  # where it goes on from; None at its beginning


def prepare(spec: RunSpec, examples: Examples, test: Examples, device: torch.device) -> Run:
    """Seed, split the data, build the network: in this order, as published."""
    torch.manual_seed(spec.seed)
    data = split(examples, test, spec, device)
    return Run(spec=spec, data=data, network=Network(spec).to(device), device=device)


def resume(
    spec: RunSpec, examples: Examples, test: Examples, device: torch.device, state: State
) -> Run:
    """The run as it stood at `state`: what comes next has the same bits. Raises StoreError.

    spec  as the run was started; only its length may be another
    """
    torch.manual_seed(spec.seed)
    data = split(examples, test, spec, device)
    network = Network(state.standing.spec)
    try:
        network.load_state_dict(state.network)
    except RuntimeError as error:
        raise StoreError("The checkpoint in the run's file is of another network.") from error
    clock = Clock(state.seconds)
    return Run(spec, data, network.to(device), device, clock, state)


def train(run: Run, watcher: Watcher) -> None:
    """Train through all phases. Raises DivergedError when the loss or a weight is non-finite."""
    loop = _Loop(run, watcher)
    for phase in run.spec.phases[loop.at.phase - 1 :]:
        loop.begin(phase)
        if not loop.train_phase(phase):
            return
    watcher.finish(loop.at.step, loop.capture)


class _Loop:
    """Where the loop stands, and what it works with."""

    def __init__(self, run: Run, watcher: Watcher):
        self.run, self.watcher, self.resumed = run, watcher, run.state
        self.at = Position()
        self.standing = Standing(spec=run.spec)
        if self.resumed is not None:
            self.at, self.standing = self.resumed.position, self.resumed.standing
            run.network.freeze(self.standing.frozen)
        self.loss_of = nn.CrossEntropyLoss()
        self.batches = Batches(run.data.train, run.spec.batch_size)

    def begin(self, phase: Phase) -> None:
        """Enter a phase, or go on in the middle of it."""
        state, self.resumed = self.resumed, None
        if state is None:
            self.at.phase = phase.number
            self.run.network.enter(phase)
        else:
            self.run.network.use(phase)
        self.parameters = self.run.network.trained_parameters()
        self.optimizer = OPTIMIZERS[self.standing.spec.optimizer](
            self.parameters, self.standing.spec
        )
        if state is not None:
            for name, parameter in self.named():
                if name in state.optimizer:
                    self.optimizer.state[parameter] = state.optimizer[name]
            # Moved to where each of its tensors belongs.
            self.optimizer.load_state_dict(self.optimizer.state_dict())
        self.watcher.begin_phase(phase, self.run.network, self.at.step, anew=state is None)
        self.order = None if state is None else self.drawn_order(state)

    def named(self) -> list[tuple[str, nn.Parameter]]:
        """The optimizer's parameters by name."""
        known = {id(parameter) for parameter in self.parameters}
        return [(n, p) for n, p in self.run.network.named_parameters() if id(p) in known]

    def drawn_order(self, state: State) -> Iterator[Tensor] | None:
        """The rest of the epoch's order, as it was drawn; None where nothing was."""
        order = None
        if self.at.batch and self.at.drawn is not None:
            torch.set_rng_state(self.at.drawn)
            order = iter(self.batches)
            list(islice(order, self.at.batch))  # those that are done
        torch.set_rng_state(state.generator)
        return order

    def capture(self) -> State:
        """All that decides what comes next."""
        optimizer = {name: self.optimizer.state.get(p, {}) for name, p in self.named()}
        position = Position(**{**vars(self.at), "losses": list(self.at.losses)})
        return State(
            position=position,
            standing=self.standing,
            seconds=self.run.clock.seconds(),
            generator=torch.get_rng_state(),
            network=copied(self.run.network.state_dict()),
            optimizer=copied(optimizer),
        )

    def change(self, change: Change) -> None:
        """Do what was asked for between two steps. The weights stay, unless it says otherwise."""
        before, self.standing = self.standing, applied(self.standing, change)
        network, spec = self.run.network, self.standing.spec
        if self.standing.frozen != before.frozen:
            network.freeze(self.standing.frozen)
        if change.kind == "reinitialise":
            network.reinitialise(change.layer)
            anew = {id(p) for n, p in self.named() if _is_of(n, change.layer, spec.layers)}
            for parameter in [p for p in self.optimizer.state if id(p) in anew]:
                del self.optimizer.state[parameter]
        if spec != before.spec:
            network.change(spec)
            self.parameters = network.trained_parameters()
            old, self.optimizer = (
                self.optimizer,
                OPTIMIZERS[spec.optimizer](self.parameters, spec),
            )
            if spec.optimizer == before.spec.optimizer:
                for parameter in self.parameters:
                    if parameter in old.state:
                        self.optimizer.state[parameter] = old.state[parameter]

    def train_phase(self, phase: Phase) -> bool:
        """Train one phase to its end; False when asked to stop."""
        end = phase.number * self.run.spec.steps_per_phase
        while self.at.step < end:
            if not self.train_epoch(end):
                return False
            self.end_epoch()
        return True

    def train_epoch(self, end: int) -> bool:
        """Train the rest of an epoch, but not beyond step `end`; False when asked to stop."""
        at, spec = self.at, self.run.spec
        last = False
        while not last:
            while changes := self.watcher.between(at.step, self.capture):
                for change in changes:
                    self.change(change)
            if self.watcher.should_stop():
                return False
            if self.order is None:
                at.drawn = torch.get_rng_state()
                self.order = iter(self.batches)
            index = next(self.order)
            last = at.batch + 1 == spec.steps_per_epoch or at.step + 1 == end
            loss, accuracy = self.one_step(index, last)
            at.losses.append(loss)
            at.correct, at.seen = at.correct + accuracy * len(index), at.seen + len(index)
            at.batch += 1
        return True

    def one_step(self, index: Tensor, last: bool) -> tuple[float, float]:
        """Loss and accuracy of one batch, and the step it leads to."""
        run, spec = self.run, self.standing.spec
        # As inputs[index], in a quarter of the time.
        inputs = run.data.train.inputs.index_select(0, index)  # [batch, features]
        labels = run.data.train.labels[index]  # [batch]
        if self.at.step == 0:
            self.watcher.first_batch(inputs, labels)
        self.watcher.before_step(self.at.step, self.at.epoch, ends_epoch=last, must=False)
        self.optimizer.zero_grad()
        logits = run.network(inputs)  # [batch, classes]
        loss = self.loss_of(logits, labels)
        value = loss.item()  # the only wait for the device
        if not math.isfinite(value):
            self.diverge(inputs, labels)
        loss.backward()
        self.watcher.after_backward()  # gradients are whole here, neither cut nor used
        if spec.gradient_rule in CLIPS:
            CLIPS[spec.gradient_rule](self.parameters, spec.gradient_bound)
        self.optimizer.step()
        accuracy = int((logits.argmax(1) == labels).sum()) / len(labels)
        self.watcher.after_step(value, accuracy)
        self.at.step += 1
        return value, accuracy

    def end_epoch(self) -> None:
        """Measure on validation and test examples, and say so."""
        at, network, size = self.at, self.run.network, self.run.spec.batch_size
        at.epoch += 1
        draw_as_loader()  # the notebooks have a loader for the validation examples, none for the test
        validation = evaluate(network, self.run.data.validation, size)
        tested = evaluate(network, self.run.data.test, size)
        end = EpochEnd(
            epoch=at.epoch,
            step=at.step,
            phase=at.phase,
            train_loss=sum(at.losses) / len(at.losses),
            train_accuracy=at.correct / at.seen,
            validation_loss=validation[0],
            validation_accuracy=validation[1],
            test_loss=tested[0],
            test_accuracy=tested[1],
            seconds=self.run.clock.seconds(),
        )
        at.batch, at.losses, at.correct, at.seen = 0, [], 0.0, 0
        self.order = None
        self.watcher.end_epoch(end)
        if broken := nonfinite_weight(network):
            raise DivergedError(at.step - 1, broken, "the gradient")

    def diverge(self, inputs: Tensor, labels: Tensor) -> None:
        """Look at the batch that gave a non-finite loss once more, and say where it began.

        A weight that is non-finite before this step was made so by the step before. The second
        look, with statistics taken, shows the run up to its end.
        """
        network, step = self.run.network, self.at.step
        broken = nonfinite_weight(network)
        self.watcher.before_step(step, self.at.epoch, ends_epoch=True, must=True)
        loss = self.loss_of(network(inputs), labels)
        loss.backward()
        self.watcher.after_backward()
        self.watcher.after_step(loss.item(), math.nan)
        if broken:
            raise DivergedError(step - 1, broken, "the gradient")
        raise DivergedError(step, first_nonfinite_output(network, inputs), "the signal")


def _is_of(name: str, layer: int | None, layers: int) -> bool:
    """Whether a parameter of that name belongs to a layer; every one does to None."""
    if layer is None:
        return True
    return name.startswith("output." if layer == layers else f"hidden.{layer - 1}.")
