"""When to look, and what to hand on. It is told the step; it never drives the loop.

Recording changes nothing: it draws no random number, and what it reads it does not write.
"""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine import statistics
from engine.clock import Clock
from engine.kernels import kernel_of
from engine.network import Block, Network
from engine.records import (
    GRADIENT_COLUMNS,
    LINEAR_BINS,
    ROW,
    STATISTICS,
    Counts,
    EpochEnd,
    Event,
    Floats,
    Item,
    Record,
    Steps,
)
from engine.spec import Phase, RunSpec

DENSE = 32  # steps at the start of a run, or after a change, that are all recorded
LONG = 65536  # steps up to which every 32nd is recorded
MANY_EPOCHS = 1024  # epochs that are all recorded at their end
BLOCK = 256  # steps whose losses are handed on together, unless asked for sooner


def is_recorded(step: int, since: int = 0) -> bool:
    """Whether a step gets a full record, by the step alone, never by the clock.

    since  the step of the last change made while training; 0 without one

    Every step for the first 32, then a stride that doubles each time the length doubles until it
    is 32, which holds to step 65,536 and then doubles again: dense where vanishing shows, bounded
    for long runs, and points never move or vanish.
    """
    length = step - since
    if length < DENSE:
        return True
    octave = length.bit_length() - 1  # length is in [2^octave, 2^(octave + 1))
    stride: int = min(DENSE, 1 << (octave - 4)) if length < LONG else 1 << (octave - 10)
    return length % stride == 0


def epoch_is_recorded(epoch: int) -> bool:
    """Whether the last step of epoch `epoch`, from 1, gets a full record.

    All of the first 1,024, then every second, fourth, ... as the number doubles. Without the
    bound a million steps on a small set, of 22 steps an epoch, would take 45,000 records.
    """
    stride = 1 << max(0, epoch.bit_length() - MANY_EPOCHS.bit_length() + 1)
    return epoch % stride == 0


class Recorder:
    """A watcher of the loop that hands records to anything with `add(item)`.

    add    called with each Record, Steps, EpochEnd and Event, and first with the InputKernel
    stop   asked before each step; True ends the training
    clock  of the training
    """

    def __init__(
        self,
        spec: RunSpec,
        add: Callable[[Item], None],
        stop: Callable[[], bool] = lambda: False,
        clock: Clock | None = None,
    ):
        self.spec, self.add, self.should_stop = spec, add, stop
        self.clock = clock or Clock()
        self.step = self.epoch = 0
        self.since = 0  # the step of the last change
        self.must = False  # whether the next step is recorded in any case
        self.first, self.losses, self.accuracies = 0, [], []  # type: int, list[float], list[float]
        self.look: _Look | None = None
        self.previous: dict[int, Tensor] = {}  # layer -> its last recorded gradient

    def begin_phase(self, phase: Phase, network: Network, step: int, *, anew: bool) -> None:
        """Watch this network from here on. Not `anew`: it goes on in the middle of the phase."""
        self.phase, self.network = phase, network
        if not anew:
            return
        if self.spec.schedule != "joint":  # a new output layer has no gradient before
            self.previous.pop(self.spec.layers, None)
        if len(self.spec.phases) > 1:
            self.add(Event(step=step, kind="phase", words=phase_words(phase, self.spec)))

    def between(self, step: int, capture: Callable[[], Any]) -> tuple[()]:
        """It changes nothing."""
        return ()

    def changed(self, step: int, event: Event) -> None:
        """Note a change made before `step`: from here on it is looked at densely again."""
        self.flush()
        self.add(event)
        if event.kind == "look":
            self.must = True
        else:
            self.since = step

    def memory(self) -> dict[str, Any]:
        """What decides the records to come, besides the network; `recall` takes it back."""
        previous = {number: gradient.cpu() for number, gradient in self.previous.items()}
        return {"since": self.since, "previous": previous}

    def recall(self, step: int, memory: Mapping[str, Any], device: torch.device) -> None:
        """Go on from `step` as the recorder whose memory this is."""
        self.first = self.step = step
        self.since = memory["since"]
        self.previous = {n: gradient.to(device) for n, gradient in memory["previous"].items()}

    def finish(self, step: int, capture: Callable[[], Any]) -> None:
        """Nothing is left to be done at the end."""

    def first_batch(self, inputs: Tensor, labels: Tensor) -> None:
        """Hand on what theory needs to know of the inputs."""
        mixes = self.network.spec.norm == "batch"  # of all norms only it mixes examples
        self.add(kernel_of(inputs, labels, keep_gram=mixes))

    def before_step(self, step: int, epoch: int, *, ends_epoch: bool, must: bool) -> None:
        """Begin to look, if this step is to be recorded. `must` replaces a look begun already."""
        self.step, self.epoch = step, epoch
        if self.look is not None:
            self.look.close()
            self.look = None
        ends = ends_epoch and epoch_is_recorded(epoch + 1)
        last = step + 1 == self.spec.total_steps
        if must or self.must or ends or last or is_recorded(step, self.since):
            self.look = _Look(self.network)
        self.must = False

    def after_backward(self) -> None:
        """Take the statistics of signal and gradient."""
        if self.look is not None:
            self.look.at_gradients(self.previous)

    def after_step(self, loss: float, accuracy: float) -> None:
        """Take the statistics of the step, and hand the record on."""
        self.losses.append(loss)
        self.accuracies.append(accuracy)
        if self.look is not None:
            self.add(self._record(self.look))
            self.look.close()
            self.look = None
        if len(self.losses) >= BLOCK:
            self.flush()

    def end_epoch(self, end: EpochEnd) -> None:
        self.flush()
        self.add(end)

    def flush(self) -> None:
        """Hand on the losses that wait, so that everything up to here can be written."""
        if not self.losses:
            return
        block = Steps(
            first=self.first,
            loss=np.array(self.losses),
            accuracy=np.array(self.accuracies),
            seconds=self.clock.seconds(),
        )
        self.first += len(self.losses)
        self.losses, self.accuracies = [], []
        self.add(block)

    def _record(self, look: "_Look") -> Record:
        scalars, counts, ranges = look.after_update()
        return Record(
            step=self.step,
            epoch=self.epoch,
            phase=self.phase.number,
            seconds=self.clock.seconds(),
            scalars=scalars,
            gradient=counts[0],
            weight=counts[1],
            activation=counts[2],
            weight_range=ranges[0],
            activation_range=ranges[1],
        )


def phase_words(phase: Phase, spec: RunSpec) -> str:
    """A phase in words: "phase 2 of 7: layers 3-4 learn, 1-2 are frozen"."""
    learning = (
        f"{phase.frozen + 1}-{phase.layers}"
        if phase.frozen + 1 < phase.layers
        else str(phase.layers)
    )
    frozen = f", 1-{phase.frozen} frozen" if phase.frozen else ""
    return f"phase {phase.number} of {len(spec.phases)}: layers {learning} learn{frozen}"


class _Look:
    """One step, watched: hooks from before the forward pass until after the step."""

    def __init__(self, network: Network):
        self.network = network
        self.numbers = network.layers_in_use()
        self.z: dict[int, Tensor] = {}  # output of each Linear, [batch, units]
        self.signals: dict[int, tuple[Tensor, Tensor]] = {}  # each activation's input and output
        self.found: list[tuple[str, list[int], Tensor]] = []  # statistic, layers, its values there
        self.gradient_counts: list[tuple[list[int], Tensor]] = []
        self.handles: list[RemovableHandle] = []
        for number in self.numbers:
            self._watch(number)
        weights = {n: network.layer(n).weight.detach() for n in self.numbers}
        self.weights = [(group, _stack(weights, group)) for group in _alike(weights)]

    def _watch(self, number: int) -> None:
        linear = self.network.layer(number)
        self.handles.append(linear.register_forward_hook(self._keep_z(number)))
        if number <= self.network.spec.depth:
            block = self.network.hidden[number - 1]
            assert isinstance(block, Block)
            hook = self._keep_signals(number)
            self.handles.append(block.activation.register_forward_hook(hook))

    def _keep_z(self, number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.z[number] = output
            if output.requires_grad:  # not in a frozen layer
                output.retain_grad()

        return hook

    def _keep_signals(self, number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.signals[number] = (inputs[0].detach(), output.detach())

        return hook

    def at_gradients(self, previous: dict[int, Tensor]) -> None:
        """Statistics that need the gradient before it is cut or used.

        previous  layer -> its last recorded gradient; replaced by this one
        """
        gradients = {
            n: grad for n in self.numbers if (grad := self.network.layer(n).weight.grad) is not None
        }
        for group in _alike(gradients):
            stack = _stack(gradients, group)
            counts = statistics.gradient_counts(stack)
            self.gradient_counts.append((group, counts))
            self._keep(group, statistics.gradient_statistics(stack, counts))
            if known := [n for n in group if n in previous]:
                cosine = statistics.cosine(_stack(gradients, known), _stack(previous, known))
                self._keep(known, {"grad_cosine": cosine})
            previous.update(zip(group, stack, strict=True))
        deltas = {n: _gradient_of(self.z[n]) for n in gradients}
        for group in _alike(deltas):
            self._keep(group, {"delta_rms": statistics.rms(_stack(deltas, group))})

    def after_update(self) -> tuple[np.ndarray, list[np.ndarray], np.ndarray]:
        """Scalars [STATISTICS, layers], three count arrays [layers, columns], ranges [2, layers]."""
        weights, outputs = [], []
        for group, before in self.weights:
            after = _stack({n: self.network.layer(n).weight.detach() for n in group}, group)
            self._keep(group, statistics.weight_statistics(before))
            self._keep(group, {"update_ratio": statistics.update_ratio(before, after)})
            weights.append((group, *statistics.linear_counts(before)))
        hidden, top = self.numbers[:-1], self.numbers[-1:]
        for group, name in ((hidden, self.network.spec.activation), (top, "identity")):
            signals = [{n: self._signal(n)[side] for n in group} for side in (0, 1)]
            before, after = (_stack(signal, group) for signal in signals)
            self._keep(group, statistics.activation_statistics(name, before, after))
            outputs.append((group, *statistics.linear_counts(after)))
        counts = [
            self._placed(self.gradient_counts, GRADIENT_COLUMNS),
            *(
                self._placed([part[:2] for part in parts], LINEAR_BINS + 1)
                for parts in (weights, outputs)
            ),
        ]
        return self._scalars(), counts, np.stack([self._ranges(weights), self._ranges(outputs)])

    def _keep(self, group: list[int], values: dict[str, Tensor]) -> None:
        self.found += [(name, group, value) for name, value in values.items()]

    def _signal(self, number: int) -> tuple[Tensor, Tensor]:
        if number in self.signals:
            return self.signals[number]
        logits = self.z[number].detach()
        return logits, logits

    def _scalars(self) -> Floats:
        whole = np.full((len(STATISTICS), self.network.spec.layers), np.nan)
        values = torch.cat([value for _, _, value in self.found]).cpu().numpy()  # the one transfer
        place = 0
        for name, group, _ in self.found:
            whole[ROW[name], [n - 1 for n in group]] = values[place : place + len(group)]
            place += len(group)
        for number in self.numbers:
            whole[ROW["frozen"], number - 1] = self.network.is_frozen(number)
        return whole

    def _placed(self, parts: list[tuple[list[int], Tensor]], columns: int) -> Counts:
        whole = np.zeros((self.network.spec.layers, columns), np.int64)
        for group, counts in parts:
            whole[[n - 1 for n in group]] = counts.cpu().numpy()
        return whole

    def _ranges(self, parts: list[tuple[list[int], Tensor, Tensor]]) -> Floats:
        whole = np.ones(self.network.spec.layers)
        for group, _, ranges in parts:
            whole[[n - 1 for n in group]] = ranges.cpu().numpy()
        return whole

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self.handles:
            handle.remove()


def _alike(tensors: dict[int, Tensor]) -> list[list[int]]:
    """The layers in groups of equal shape, so that a group can be measured in one go."""
    groups: dict[torch.Size, list[int]] = {}
    for number, tensor in tensors.items():
        groups.setdefault(tensor.shape, []).append(number)
    return list(groups.values())


def _stack(tensors: dict[int, Tensor], group: list[int]) -> Tensor:
    """One tensor [layers, ...] of a group: a copy, so nothing later changes it."""
    stack = torch.stack([tensors[number] for number in group])
    # Apple's GPUs know no float64, which every norm here is taken in; they share the CPU's memory.
    return stack.cpu() if stack.device.type == "mps" else stack


def _gradient_of(z: Tensor) -> Tensor:
    assert z.grad is not None, "the hook retained it"
    return z.grad
