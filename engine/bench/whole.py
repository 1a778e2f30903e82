"""A whole run of ours, and the bare loop that does the same training: epoch by epoch in turn."""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from engine import data, runs, store, trainer
from engine.bench.apart import Tell
from engine.bench.bare import Bare
from engine.errors import RunError
from engine.records import EpochEnd
from engine.spec import RunSpec
from engine.worker import Job


class TimedJob(Job):
    """A run that notes when its training begins: the data loaded, the network built."""

    began = 0.0

    def say(self, words: str) -> None:
        super().say(words)
        if not words:
            self.began = time.perf_counter()


class Turns:
    """A run of ours that after each of its epochs lets another have its turn.

    other  called after each epoch with its seconds; takes what time it takes
    last   the epoch after which the run is asked to stop
    """

    def __init__(self, spec: RunSpec, other: Callable[[float], None], last: int):
        self.run = runs.create_as(runs.new_id(), spec)
        self.job = TimedJob(runs.path(self.run), self.hear)
        self.other, self.last = other, last
        self.pairs: list[tuple[float, float]] = []  # seconds of an epoch of ours, and of the other
        self.began = 0.0

    def hear(self, step: int, end: EpochEnd | None) -> None:
        if end is None:
            return
        now = time.perf_counter()
        ours = now - (self.began or self.job.began)
        self.other(ours)
        self.began = time.perf_counter()
        self.pairs.append((ours, self.began - now))
        if end.epoch == self.last:
            self.job.ask_to_stop.set()

    def work(self) -> None:
        """Train it; what comes after its last epoch counts as that epoch's. Raises RunError."""
        self.job.work()
        ours, other = self.pairs[-1]
        self.pairs[-1] = (ours + time.perf_counter() - self.began, other)
        with store.Reader(runs.path(self.run)) as reader:
            info = reader.run()
        if info.status not in (store.FINISHED, store.STOPPED):
            raise RunError(f"The run that was measured ended otherwise: {info.sentence}")


def ours_and_bare(tell: Tell, passes: list[tuple[dict[str, Any], int]]) -> None:
    """For each pass: a list of pairs, the seconds of each epoch of ours and of the bare loop.

    passes  the fields of a run, and the epoch that it is trained to
    """
    for spec, last in passes:
        asked = RunSpec(**spec)
        trainer.set_up(asked)
        turns = Turns(asked, _one_epoch_of(Bare(asked)), last)
        turns.work()
        runs.delete(turns.run)
        tell(turns.pairs)


def _one_epoch_of(bare: Bare) -> Callable[[float], None]:
    return lambda seconds: bare.epoch()


def our_epochs(tell: Tell, specs: list[dict[str, Any]], epochs: int) -> None:
    """For each spec: the seconds of each epoch of a run of ours, one more: the first warms up."""
    for spec in specs:
        asked = RunSpec(**spec)
        turns = Turns(asked, tell, epochs + 1)
        turns.work()
        runs.delete(turns.run)


def notebook_epochs(tell: Tell, spec: dict[str, Any]) -> None:
    """Seconds of each epoch as the published notebook trains it: DataLoader, ToTensor, validation."""
    from torch import nn
    from torch.utils.data import DataLoader, Subset, random_split
    from torchvision import transforms
    from torchvision.datasets import FashionMNIST

    asked = RunSpec(**spec)
    torch.manual_seed(asked.seed)
    images = FashionMNIST(_unpacked(asked), train=True, transform=transforms.ToTensor())
    parts = [asked.train_examples, asked.validation_examples]
    train_set, validation_set = random_split(Subset(images, range(asked.examples)), parts)
    train_loader = DataLoader(train_set, batch_size=asked.batch_size, shuffle=True)
    validation_loader = DataLoader(validation_set, batch_size=asked.batch_size, shuffle=False)
    layers = [nn.Linear(784, asked.width), nn.Sigmoid()]
    for _ in range(asked.depth - 1):
        layers += [nn.Linear(asked.width, asked.width), nn.Sigmoid()]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(asked.width, 10))
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=1e-2), nn.CrossEntropyLoss()
    while True:
        began = time.perf_counter()
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            for x, y in validation_loader:
                criterion(model(x), y)
        tell(time.perf_counter() - began)


def _unpacked(spec: RunSpec) -> Path:
    """The folder that torchvision finds the set in."""
    from engine.data_sets import DATA_FILES, data_folders

    data.load(spec)  # which unpacks it where it must
    return next(folder for folder in data_folders() if DATA_FILES[spec.data].is_unpacked(folder))
