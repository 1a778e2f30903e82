"""All statistics of one look at a network, and where they are computed: where its tensors are.

On the CPU by engine/host_statistics.py. On a GPU by stacks of equally shaped layers
(engine/statistics.py), because a call costs more there than its arithmetic, and with one transfer
for all numbers of a look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
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
    """Measures a few layers at a time, in numpy."""

    place = torch.device("cpu")

    def __init__(self) -> None:
        self._host = Host()
        self._before: list[tuple[list[int], np.ndarray]] = []  # layers and copies of their weights
        self._kept: dict[int, _Kept] = {}  # first layer of a group -> its gradients recorded last

    def begin(self, layers: int, weights: ByLayer) -> None:
        self._found = nothing(layers)
        self._before = []
        with np.errstate(all="ignore"):  # what is not finite is shown
            for group in _few_alike(weights):
                # By a name of its own: it is needed until the step is taken.
                before = self._host.stack(f"weights {group[0]}", _arrays(weights, group))
                self._before.append((group, before))
                numbers, counts, ranges = self._host.weights(before)
                self._keep(group, numbers)
                places = _places(group)
                self._found.weight[places], self._found.weight_range[places] = counts, ranges

    def gradients(self, gradients: ByLayer, deltas: ByLayer, previous: dict[int, Tensor]) -> None:
        with np.errstate(all="ignore"):
            known = {n: gradient for n, gradient in gradients.items() if n in previous}
            new = {n: gradient for n, gradient in gradients.items() if n not in previous}
            for group in [*_few_alike(known), *_few_alike(new)]:
                self._gradients(group, gradients, previous)
            for group in _few_alike(deltas):
                stack = self._host.stack("stack", _arrays(deltas, group))
                self._keep(group, {"delta_rms": self._host.rms(stack)})

    def _gradients(self, group: list[int], now: ByLayer, previous: dict[int, Tensor]) -> None:
        """Of layers all of which have a gradient before, or none."""
        stack = self._host.stack("stack", _arrays(now, group))
        kept = self._kept_of(group, previous) if group[0] in previous else None
        before, norms = (kept.stack, kept.norms) if kept else (None, None)
        numbers, counts = self._host.gradients(stack, before, norms)
        self._found.gradient[_places(group)] = counts
        self._keep(group, numbers)
        if kept is None:
            kept = self._kept[group[0]] = _Kept(np.empty_like(stack), now[group[0]].shape)
            previous.update(zip(group, kept.tensors, strict=True))
        np.copyto(kept.stack, stack)
        kept.norms = numbers["grad_norm"]

    def _kept_of(self, group: list[int], previous: dict[int, Tensor]) -> "_Kept":
        """The gradients recorded last, as a stack: made anew where the group is another than then."""
        kept = self._kept.get(group[0])
        theirs = [previous[number] for number in group]
        if kept is None or [*map(id, kept.tensors)] != [*map(id, theirs)]:
            stack = self._host.stack("previous", _arrays(previous, group)).copy()
            kept = self._kept[group[0]] = _Kept(stack, theirs[0].shape)
            kept.norms = self._host.norms(stack)
            previous.update(zip(group, kept.tensors, strict=True))
        return kept

    def end(self, weights: ByLayer, signals: Signals, names: Mapping[int, str]) -> Measured:
        with np.errstate(all="ignore"):
            for group, before in self._before:
                rms = self._found.scalars[ROW["weight_rms"], _places(group)]
                ratios = self._host.update_ratios(before, _arrays(weights, group), rms)
                self._keep(group, {"update_ratio": ratios})
            for name, some in _by_name(signals, names):
                for group in _few_alike({number: signals[number][1] for number in some}):
                    self._activations(name, group, signals)
        return self._found

    def _activations(self, name: str, group: list[int], signals: Signals) -> None:
        units = signals[group[0]][1].shape[1]
        after = self._host.stack("stack", [_array(signals[n][1]) for n in group])

        def before() -> np.ndarray:
            return self._host.stack("other stack", [_array(signals[n][0]) for n in group])

        numbers, counts, ranges = self._host.activations(name, before, after, units)
        self._keep(group, numbers)
        places = _places(group)
        self._found.activation[places], self._found.activation_range[places] = counts, ranges

    def _keep(self, group: list[int], numbers: Mapping[str, Floats]) -> None:
        places = _places(group)
        for name, values in numbers.items():
            self._found.scalars[ROW[name], places] = values


class _Kept:
    """Gradients of some layers, as a stack, and as the tensors that share its memory."""

    def __init__(self, stack: np.ndarray, shape: torch.Size):
        self.stack = stack
        self.tensors = [torch.from_numpy(row).view(shape) for row in stack]
        self.norms = np.zeros(len(stack))


#: Entries of the layers that are taken together on a CPU: 4 MB of float64, which the outer cache
#: holds. One layer at a time is a third slower, by its many calls.
TOGETHER = 2**19


def _few_alike(tensors: ByLayer) -> list[list[int]]:
    """The layers in groups of equal shape, of TOGETHER entries at most, or of one layer."""
    return _few(tuple((number, tensor.shape) for number, tensor in tensors.items()))


@lru_cache(maxsize=64)  # the same layers at each look
def _few(shapes: tuple[tuple[int, torch.Size], ...]) -> list[list[int]]:
    groups: dict[torch.Size, list[int]] = {}
    for number, shape in shapes:
        groups.setdefault(shape, []).append(number)
    few = []
    for shape, group in groups.items():
        most = max(1, TOGETHER // max(1, shape.numel()))
        few += [group[first : first + most] for first in range(0, len(group), most)]
    return few


def _by_name(signals: Signals, names: Mapping[int, str]) -> list[tuple[str, list[int]]]:
    """The layers of each activation."""
    found: dict[str, list[int]] = {}
    for number in signals:
        found.setdefault(names[number], []).append(number)
    return list(found.items())


def _places(group: list[int]) -> slice | list[int]:
    """Rows of the layers; a slice where it can be, which costs a tenth."""
    first, last = group[0], group[-1]
    if last - first + 1 == len(group):
        return slice(first - 1, last)
    return [number - 1 for number in group]


def _arrays(tensors: ByLayer, group: list[int]) -> list[np.ndarray]:
    return [_array(tensors[number]) for number in group]


def _array(tensor: Tensor) -> np.ndarray:
    """The tensor, which needs no gradient, as an array of one piece; without a copy on the CPU."""
    return tensor.cpu().contiguous().numpy()


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
        for name, some in _by_name(signals, names):
            for group in _alike({number: signals[number][1] for number in some}):
                before, after = (_stack({n: signals[n][s] for n in group}, group) for s in (0, 1))
                self._keep(group, statistics.activation_statistics(name, before, after))
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


def _stack(tensors: ByLayer, group: list[int]) -> Tensor:
    """One tensor [layers, ...] of a group: a copy, so nothing later changes it."""
    return torch.stack([tensors[number].detach() for number in group])
