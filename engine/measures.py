"""All statistics of one look at a network, and where they are computed: where its tensors are.

On the CPU layer by layer (engine/host_statistics.py). On a GPU by stacks of equally shaped layers
(engine/statistics.py), because a call costs more there than its arithmetic, and with one transfer
for all numbers of a look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from engine import statistics
from engine.host_statistics import Host
from engine.records import GRADIENT_COLUMNS, LINEAR_BINS, ROW, STATISTICS, Counts, Floats

ByLayer = Mapping[int, Tensor]
Signals = Mapping[int, tuple[Tensor, Tensor]]  # input and output of each layer's activation


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What a look has found, as in a Record; a layer that is not in use is NaN, zero, or 1."""

    scalars: Floats  # [STATISTICS, layers]
    gradient: Counts  # [layers, GRADIENT_COLUMNS]
    weight: Counts  # [layers, LINEAR_BINS + 1]
    weight_range: Floats  # [layers]
    activation: Counts  # [layers, LINEAR_BINS + 1]
    activation_range: Floats  # [layers]


def nothing(layers: int) -> Measured:
    """Nothing measured yet, to be filled in."""
    return Measured(
        scalars=np.full((len(STATISTICS), layers), np.nan),
        gradient=np.zeros((layers, GRADIENT_COLUMNS), np.int64),
        weight=np.zeros((layers, LINEAR_BINS + 1), np.int64),
        weight_range=np.ones(layers),
        activation=np.zeros((layers, LINEAR_BINS + 1), np.int64),
        activation_range=np.ones(layers),
    )


class Measures(Protocol):
    """Looks at one step after the other, each in this order. Layers by number, from 1."""

    place: torch.device  # where it keeps gradients

    def begin(self, layers: int, weights: ByLayer) -> None:
        """A look at a network of so many layers begins; weights [fan_out, fan_in] before the step."""

    def gradients(self, gradients: ByLayer, deltas: ByLayer, previous: dict[int, Tensor]) -> None:
        """dL/dW [fan_out, fan_in] and dL/dz [batch, units], neither cut nor used.

        previous  layer -> its last recorded dL/dW at `place`; replaced by a copy of this one
        """

    def end(self, weights: ByLayer, signals: Signals, names: Mapping[int, str]) -> Measured:
        """Weights after the step; each activation's input and output [batch, units], and its name."""


def measures_on(device: torch.device) -> Measures:
    """What measures networks on `device`. Apple's GPUs know no float64: their tensors are fetched."""
    return OnDevice(device) if device.type == "cuda" else OnHost()


class OnHost:
    """Measures layer by layer, in numpy."""

    place = torch.device("cpu")

    def __init__(self) -> None:
        self._host = Host()
        self._before: dict[int, Tensor] = {}  # copies: the step changes the weights in place
        self._norms: dict[
            int, tuple[Tensor, float]
        ] = {}  # gradients recorded last, and their norms

    def begin(self, layers: int, weights: ByLayer) -> None:
        self._found = nothing(layers)
        with np.errstate(all="ignore"):  # what is not finite is shown
            for number, weight in weights.items():
                copy = _copied(weight, self._before.get(number))
                self._before[number] = copy
                numbers, counts, width = self._host.weight(copy.numpy())
                self._keep(number, numbers)
                self._found.weight[number - 1] = counts
                self._found.weight_range[number - 1] = width

    def gradients(self, gradients: ByLayer, deltas: ByLayer, previous: dict[int, Tensor]) -> None:
        with np.errstate(all="ignore"):  # what is not finite is shown
            for number, gradient in gradients.items():
                array, known = _array(gradient), previous.get(number)
                numbers, self._found.gradient[number - 1] = self._host.gradient(array)
                norm = numbers["grad_norm"]
                if known is not None:
                    norms = norm * self._norm(number, known)
                    numbers["grad_cosine"] = self._host.cosine(array, known.numpy(), norms)
                self._keep(number, numbers)
                previous[number] = _copied(gradient, known)
                self._norms[number] = previous[number], norm
            for number, delta in deltas.items():
                self._keep(number, {"delta_rms": self._host.rms(_array(delta))})

    def end(self, weights: ByLayer, signals: Signals, names: Mapping[int, str]) -> Measured:
        with np.errstate(all="ignore"):
            for number, weight in weights.items():
                before = self._before[number].numpy()
                rms = self._found.scalars[ROW["weight_rms"], number - 1]
                ratio = self._host.update_ratio(before, _array(weight), float(rms))
                self._keep(number, {"update_ratio": ratio})
            for number, signal in signals.items():
                numbers, counts, width = self._host.activation(
                    names[number], *(_array(side) for side in signal)
                )
                self._keep(number, numbers)
                self._found.activation[number - 1] = counts
                self._found.activation_range[number - 1] = width
        return self._found

    def _norm(self, number: int, gradient: Tensor) -> float:
        """The norm of a gradient recorded before: known, unless the run goes on from a checkpoint."""
        known, norm = self._norms.get(number, (None, 0.0))
        if known is gradient:
            return norm
        return self._host.norm(gradient.numpy())

    def _keep(self, number: int, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            self._found.scalars[ROW[name], number - 1] = value


def _array(tensor: Tensor) -> np.ndarray:
    """The tensor as an array of one piece; without a copy on the CPU."""
    return tensor.detach().cpu().contiguous().numpy()


def _copied(tensor: Tensor, old: Tensor | None) -> Tensor:
    """A copy in the CPU's memory, in that of an old one where it fits."""
    if old is None or old.shape != tensor.shape:
        old = torch.empty(tensor.shape, dtype=tensor.dtype)
    return old.copy_(tensor.detach())


class OnDevice:
    """Measures stacks of layers in torch, on the tensors' own device."""

    def __init__(self, device: torch.device) -> None:
        self.place = device

    def begin(self, layers: int, weights: ByLayer) -> None:
        self._layers = layers
        self._found: list[tuple[str, list[int], Tensor]] = []  # statistic, layers, its values there
        self._gradient: list[tuple[list[int], Tensor]] = []
        self._weights = [(group, _stack(weights, group)) for group in _alike(weights)]

    def gradients(self, gradients: ByLayer, deltas: ByLayer, previous: dict[int, Tensor]) -> None:
        for group in _alike(gradients):
            stack = _stack(gradients, group)
            counts = statistics.gradient_counts(stack)
            self._gradient.append((group, counts))
            self._keep(group, statistics.gradient_statistics(stack, counts))
            if known := [n for n in group if n in previous]:
                cosine = statistics.cosine(_stack(gradients, known), _stack(previous, known))
                self._keep(known, {"grad_cosine": cosine})
            previous.update(zip(group, stack, strict=True))
        for group in _alike(deltas):
            self._keep(group, {"delta_rms": statistics.rms(_stack(deltas, group))})

    def end(self, weights: ByLayer, signals: Signals, names: Mapping[int, str]) -> Measured:
        kept, outputs = [], []
        for group, before in self._weights:
            after = _stack(weights, group)
            self._keep(group, statistics.weight_statistics(before))
            self._keep(group, {"update_ratio": statistics.update_ratio(before, after)})
            kept.append((group, *statistics.linear_counts(before)))
        for group in _alike_signals(signals, names):
            before, after = (_stack({n: signals[n][s] for n in group}, group) for s in (0, 1))
            self._keep(group, statistics.activation_statistics(names[group[0]], before, after))
            outputs.append((group, *statistics.linear_counts(after)))
        found = nothing(self._layers)
        pieces = [(found.scalars[ROW[name]], group, value) for name, group, value in self._found]
        pieces += [(found.gradient, *part) for part in self._gradient]
        for into, ranges, parts in (
            (found.weight, found.weight_range, kept),
            (found.activation, found.activation_range, outputs),
        ):
            pieces += [(into, group, counts) for group, counts, _ in parts]
            pieces += [(ranges, group, width) for group, _, width in parts]
        _fetch(pieces)
        return found

    def _keep(self, group: list[int], values: dict[str, Tensor]) -> None:
        self._found += [(name, group, value) for name, value in values.items()]


def _fetch(pieces: list[tuple[np.ndarray, list[int], Tensor]]) -> None:
    """Put each tensor [layers of the group, ...] into the rows of its array, with one transfer.

    As float64, which holds every count below 2^53.
    """
    whole = torch.cat([values.double().flatten() for _, _, values in pieces]).cpu().numpy()
    place = 0
    for into, group, values in pieces:
        numbers = whole[place : place + values.numel()].reshape(tuple(values.shape))
        into[[n - 1 for n in group]] = numbers
        place += values.numel()


def _alike(tensors: ByLayer) -> list[list[int]]:
    """The layers in groups of equal shape, so that a group can be measured in one go."""
    groups: dict[torch.Size, list[int]] = {}
    for number, tensor in tensors.items():
        groups.setdefault(tensor.shape, []).append(number)
    return list(groups.values())


def _alike_signals(signals: Signals, names: Mapping[int, str]) -> list[list[int]]:
    groups: dict[tuple[str, torch.Size], list[int]] = {}
    for number, (_, after) in signals.items():
        groups.setdefault((names[number], after.shape), []).append(number)
    return list(groups.values())


def _stack(tensors: ByLayer, group: list[int]) -> Tensor:
    """One tensor [layers, ...] of a group: a copy, so nothing later changes it."""
    return torch.stack([tensors[number].detach() for number in group])
