"""When to look, and what to hand on. It is told the step; it never drives the loop.

Recording changes nothing: it draws no random number, and what it reads it does not write.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine.clock import Clock, Meter
from engine.kernels import kernel_of
from engine.measures import Measured, Measures, measures_on
from engine.network import Network
from engine.records import ROW, EpochEnd, Event, Item, Record, Steps
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
        self.meter = Meter()  # of what watching costs
        self.measures: Measures | None = None  # until there is a network
        self.previous: dict[int, Tensor] = {}  # layer -> its last recorded gradient

    def begin_phase(self, phase: Phase, network: Network, step: int, *, anew: bool) -> None:
        """Watch this network from here on. Not `anew`: it goes on in the middle of the phase."""
        self.phase, self.network = phase, network
        self.measures = self.measures or measures_on(network.output.weight.device)
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
        previous = {number: gradient.clone().cpu() for number, gradient in self.previous.items()}
        return {"since": self.since, "previous": previous, "watched": self.meter.seconds}

    def recall(self, step: int, memory: Mapping[str, Any], device: torch.device) -> None:
        """Go on from `step` as the recorder whose memory this is."""
        self.first = self.step = step
        self.since = memory["since"]
        self.meter.seconds = memory.get("watched", 0.0)  # an older checkpoint does not say
        place = measures_on(device).place
        self.previous = {n: gradient.to(place) for n, gradient in memory["previous"].items()}

    def finish(self, step: int, capture: Callable[[], Any]) -> None:
        """Nothing is left to be done at the end."""

    def first_batch(self, inputs: Tensor, labels: Tensor) -> None:
        """Hand on what theory needs to know of the inputs."""
        mixes = self.network.spec.norm == "batch"  # of all norms only it mixes examples
        with self.meter:
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
            assert self.measures is not None, "a phase has begun"
            with self.meter:
                self.look = _Look(self.network, self.measures)
        self.must = False

    def after_backward(self) -> None:
        """Take the statistics of signal and gradient."""
        if self.look is not None:
            with self.meter:
                self.look.at_gradients(self.previous)

    def after_step(self, loss: float, accuracy: float) -> None:
        """Take the statistics of the step, and hand the record on."""
        self.losses.append(loss)
        self.accuracies.append(accuracy)
        if self.look is not None:
            with self.meter:
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
            watched=self.meter.seconds,
        )
        self.first += len(self.losses)
        self.losses, self.accuracies = [], []
        self.add(block)

    def _record(self, look: "_Look") -> Record:
        return Record(
            step=self.step,
            epoch=self.epoch,
            phase=self.phase.number,
            seconds=self.clock.seconds(),
            **vars(look.after_update()),
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

    def __init__(self, network: Network, measures: Measures):
        self.network, self.measures = network, measures
        blocks = network.blocks_in_use()
        output = network.spec.layers
        self.linears = {number: block.linear for number, block in blocks.items()}
        self.linears[output] = network.output
        self.logits: Tensor | None = None
        self.deltas: dict[int, Tensor] = {}  # dL/dz of each Linear's output z, [batch, units]
        self.signals: dict[int, tuple[Tensor, Tensor]] = {}  # each activation's input and output
        self.handles: list[RemovableHandle] = []
        for number, linear in self.linears.items():
            self.handles.append(linear.register_forward_hook(self._keep_z(number)))
        for number, block in blocks.items():
            hook = self._keep_signals(number)
            self.handles.append(block.activation.register_forward_hook(hook))
        measures.begin(network.spec.layers, self._weights())

    def _weights(self) -> dict[int, Tensor]:
        return {number: linear.weight.detach() for number, linear in self.linears.items()}

    def _keep_z(self, number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.logits = output  # in the end the last one's
            if output.requires_grad:  # not in a frozen layer
                # Not `retain_grad`, which would copy it.
                output.register_hook(partial(self.deltas.__setitem__, number))  # type: ignore[no-untyped-call]

        return hook

    def _keep_signals(self, number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            self.signals[number] = (inputs[0].detach(), output.detach())

        return hook

    def at_gradients(self, previous: dict[int, Tensor]) -> None:
        """Measure signal and gradient, before the gradient is cut or used.

        previous  layer -> its last recorded gradient; replaced by this one
        """
        gradients = {
            number: gradient
            for number, linear in self.linears.items()
            if (gradient := linear.weight.grad) is not None
        }
        deltas = {number: self.deltas[number] for number in gradients}
        self.measures.gradients(gradients, deltas, previous)

    def after_update(self) -> Measured:
        """Measure the step and the signals; all that was found."""
        output, activation = self.network.spec.layers, self.network.spec.activation
        names = dict.fromkeys(self.linears, activation) | {output: "identity"}
        assert self.logits is not None, "the network has been used"
        logits = self.logits.detach()
        signals = self.signals | {output: (logits, logits)}
        found = self.measures.end(self._weights(), signals, names)
        for number in self.linears:
            found.scalars[ROW["frozen"], number - 1] = self.network.is_frozen(number)
        return found

    def close(self) -> None:
        """Take the hooks off."""
        for handle in self.handles:
            handle.remove()
