"""A bare step and a recorded one, step by step in turn."""

import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from engine import data, trainer
from engine.bench.apart import Tell
from engine.bench.bare import Bare
from engine.network import Network
from engine.optimizers import OPTIMIZERS
from engine.recorder import Recorder
from engine.records import Item
from engine.spec import RunSpec

WARM = 3  # steps of each kind before any is measured


class Recorded:
    """Our network, every step of which is recorded in full.

    add  takes what is recorded
    """

    def __init__(self, spec: RunSpec, add: Callable[[Item], None] = lambda item: None):
        run = trainer.prepare(spec, *data.load(spec), torch.device(spec.device))
        self.network: Network = run.network
        self.train = run.data.train
        self.network.enter(spec.phases[0])
        self.optimizer = OPTIMIZERS[spec.optimizer](self.network.trained_parameters(), spec)
        self.loss_of = nn.CrossEntropyLoss()
        self.recorder = Recorder(spec, add)
        self.recorder.begin_phase(spec.phases[0], self.network, 0, anew=True)
        self.at = 0

    def step(self, index: Tensor) -> float:
        """One step on the examples of `index`, [batch], as the bare one, and recorded."""
        inputs, labels = self.train.inputs[index], self.train.labels[index]
        self.recorder.before_step(self.at, 0, ends_epoch=False, must=True)
        self.optimizer.zero_grad()
        loss = self.loss_of(self.network(inputs), labels)
        value: float = loss.item()
        loss.backward()
        self.recorder.after_backward()
        self.optimizer.step()
        self.recorder.after_step(value, 0.0)
        self.at += 1
        return value


def batches(bare: Bare) -> Iterator[Tensor]:
    """Indices of batches, [batch], without end; whole ones only."""
    while True:
        for index in torch.split(bare.order(), bare.batch_size):
            if len(index) == bare.batch_size:
                yield index


def timed(step: Callable[[Tensor], Any], index: Tensor) -> float:
    """Milliseconds of one step."""
    began = time.perf_counter()
    step(index)
    return 1000 * (time.perf_counter() - began)


def bare_and_recorded(tell: Tell, specs: list[dict[str, Any]], blocks: int, pairs: int) -> None:
    """For each spec and block: medians in ms of a bare step, and of a recorded one less a bare one.

    pairs  steps of each kind in a block, at batch 512 and 7 layers; of longer steps fewer
    """
    for spec in map(_spec, specs):
        trainer.set_up(spec)
        bare, recorded = Bare(spec), Recorded(spec)
        some = batches(bare)
        for _ in range(WARM):
            bare.step(next(some))
            recorded.step(next(some))
        for _ in range(blocks):
            found: list[tuple[float, float]] = []
            for _ in range(_fitting(pairs, spec)):
                bare.step(next(some))  # finds the caches as a record left them, and is not counted
                found.append((timed(bare.step, next(some)), timed(recorded.step, next(some))))
            plain, watched = (statistics.median(values) for values in zip(*found, strict=True))
            tell((plain, watched - plain))


def unpinned(tell: Tell, specs: list[dict[str, Any]], blocks: int, pairs: int) -> None:
    """For each spec and block: the median in ms of a bare step, torch choosing its kernels itself."""
    for spec in map(_spec, specs):
        torch.set_num_threads(spec.threads)
        torch.set_flush_denormal(True)
        bare = Bare(spec)
        some = batches(bare)
        for _ in range(WARM):
            bare.step(next(some))
        for _ in range(blocks):
            times = [timed(bare.step, next(some)) for _ in range(_fitting(pairs, spec))]
            tell(statistics.median(times))


def _spec(fields: dict[str, Any]) -> RunSpec:
    return RunSpec(**fields)


def _fitting(pairs: int, spec: RunSpec) -> int:
    """How many steps of a network fit into a block, so that deep ones do not take all the time."""
    return max(2, round(pairs * 7 / spec.depth))
