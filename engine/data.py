"""Data sets as tensors in memory: the whole set is one tensor, a batch is an index.

torchvision's per-sample pipeline costs the published notebooks more than nine tenths of their
time. Pixels are scaled to [0, 1] and not centred, as published.
"""

import math
import tarfile
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from urllib.error import URLError

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset, random_split

from engine.data_sets import DATA_FILES, data_folders, home, writable_data_folder
from engine.errors import DataError
from engine.spec import RunSpec

#: Order and noise of the embedded sets: part of the data, not of a run, so not the run's seed.
DATA_SEED = 0
Say = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Examples:
    """Inputs [examples, features] float32 and labels [examples] int64."""

    inputs: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> "Examples":
        return Examples(inputs=self.inputs.to(device), labels=self.labels.to(device))

    def at(self, index: Tensor) -> "Examples":
        return Examples(inputs=self.inputs[index], labels=self.labels[index])


@dataclass(frozen=True, kw_only=True)
class Split:
    """What a run trains on, validates on and is tested on."""

    train: Examples
    validation: Examples
    test: Examples


def load(spec: RunSpec, say: Say = lambda words: None) -> tuple[Examples, Examples]:
    """The examples to train and validate on, and the test examples, on the CPU.

    say  called with words for people while files are fetched

    Raises DataError where the set is not here and cannot be downloaded. Draws no random number
    of torch's, so that a run's stream does not depend on where its data came from.
    """
    inputs, labels, test_inputs, test_labels = LOADERS[spec.data](spec.data, say)
    shown = Examples(inputs=inputs[: spec.examples], labels=labels[: spec.examples])
    return shown, Examples(inputs=test_inputs, labels=test_labels)


def split(examples: Examples, test: Examples, spec: RunSpec, device: torch.device) -> Split:
    """Train, validation and test examples on `device`. Draws from torch's generator, as published."""
    everything = TensorDataset(examples.inputs, examples.labels)
    parts = random_split(everything, [spec.train_examples, spec.validation_examples])
    train, validation = (examples.at(torch.tensor(part.indices)).to(device) for part in parts)
    return Split(train=train, validation=validation, test=test.to(device))


class Batches:
    """Indices of the examples, batch by batch, anew for each epoch, in an order as DataLoader draws it.

    It draws from torch's generator when the first batch of an epoch is asked for, not later. DataLoader
    itself would hand the positions over one by one, which costs a hundredth of a step; a test holds
    what is drawn here against it.
    """

    def __init__(self, examples: Examples, batch_size: int):
        self.count, self.device = len(examples), examples.inputs.device
        self.batch_size = batch_size

    def __iter__(self) -> Iterator[Tensor]:
        draw_as_loader()
        generator = torch.Generator()
        generator.manual_seed(draw_as_loader())
        order = torch.randperm(self.count, generator=generator)
        yield from torch.split(order.to(self.device), self.batch_size)


def draw_as_loader() -> int:
    """The random number that a DataLoader draws when an epoch begins, in an order or not."""
    return int(torch.empty((), dtype=torch.int64).random_().item())


Four = tuple[Tensor, Tensor, Tensor, Tensor]


def _digits(name: str, say: Say) -> Four:
    pixels, targets = _sklearn_digits()
    order = np.random.default_rng(DATA_SEED).permutation(len(targets))
    inputs = torch.from_numpy(pixels[order] / 16).float()  # [1797, 64]
    labels = torch.from_numpy(targets[order]).long()
    return inputs[:1500], labels[:1500], inputs[1500:], labels[1500:]


@cache
def _sklearn_digits() -> tuple[np.ndarray, np.ndarray]:
    """Pixels 0 to 16 [1797, 64] and labels [1797], as scikit-learn's load_digits gives them.

    Read from its file: importing scikit-learn takes as long again as importing torch, in each worker.
    """
    found = find_spec("sklearn")
    for folder in (found.submodule_search_locations or ()) if found else ():
        file = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if file.exists():
            table = np.loadtxt(file, delimiter=",")
            return table[:, :-1], table[:, -1].astype(int)
    from sklearn.datasets import load_digits  # where a version keeps it elsewhere

    digits = load_digits()
    return digits.data, digits.target


def _toy(points: np.ndarray, labels: np.ndarray) -> Four:
    inputs, targets = torch.from_numpy(points).float(), torch.from_numpy(labels).long()
    return inputs[:2000], targets[:2000], inputs[2000:], targets[2000:]


def _moons(name: str, say: Say) -> Four:
    from sklearn.datasets import make_moons  # here, because it takes seconds

    return _toy(*make_moons(2500, noise=0.1, random_state=DATA_SEED))


def _circles(name: str, say: Say) -> Four:
    from sklearn.datasets import make_circles  # here, because it takes seconds

    return _toy(*make_circles(2500, noise=0.05, factor=0.5, random_state=DATA_SEED))


def _spirals(name: str, say: Say) -> Four:
    """Three arms of 4 radians each, after the example data of CS231n's "a toy neural network"."""
    random = np.random.default_rng(DATA_SEED)
    labels = random.permutation(np.arange(2500) % 3)
    radius = random.uniform(0, 1, 2500)
    angle = 4 * radius + labels * 2 * math.pi / 3 + random.normal(0, 0.15, 2500)
    return _toy(np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1), labels)


def _torchvision(name: str, say: Say) -> Four:
    folder = _fetched(name, say)
    train, test = (_from_torchvision(name, folder, train=train) for train in (True, False))
    return (*train, *test)


def _from_torchvision(name: str, folder: Path, *, train: bool) -> tuple[Tensor, Tensor]:
    from torchvision import datasets  # here, because it takes a second that digits need not pay

    found = getattr(datasets, DATA_FILES[name].torchvision)(folder, train=train)
    pixels = torch.as_tensor(found.data)
    if name == "cifar10":
        pixels = pixels.permute(0, 3, 1, 2)  # [n, 32, 32, 3] -> [n, 3, 32, 32], as ToTensor does
    inputs = pixels.reshape(len(pixels), -1).float().div(255)
    return inputs, torch.as_tensor(found.targets)


def _fetched(name: str, say: Say) -> Path:
    """The folder torchvision finds the set in; unpacked or downloaded into one if need be."""
    files = DATA_FILES[name]
    for folder in data_folders():
        if files.is_unpacked(folder):
            return folder
    for folder in data_folders():
        if files.is_packed(folder):
            say(f"unpacking {files.title}")
            _unpack(name, folder, own := home() / "data")  # the other may be someone else's
            return own
    _download(name, target := writable_data_folder(), say)
    return target


def _unpack(name: str, source: Path, target: Path) -> None:
    """Unpack files that lie in `source`, each by its own checksum. Raises DataError."""
    from torchvision.datasets.utils import extract_archive

    files = DATA_FILES[name]
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target) as unfinished:
        for packed in files.packed(source):
            folder = Path(unfinished) / packed.relative_to(source).parent
            folder.mkdir(parents=True, exist_ok=True)
            try:
                extract_archive(str(packed), str(folder))
            except (OSError, EOFError, zlib.error, tarfile.TarError) as error:
                raise DataError(
                    f"{files.title} cannot be unpacked: {packed.name} is damaged ({error}); "
                    "put it there anew, or use digits."
                ) from error
        for file in files.files:  # whole files only: a half one would be taken for the set
            (target / file).parent.mkdir(parents=True, exist_ok=True)
            (Path(unfinished) / file).replace(target / file)


def _download(name: str, folder: Path, say: Say) -> None:
    """Let torchvision download into `folder` and check the checksums. Raises DataError.

    In a thread of its own, so that `say`, which may end the run, is heard here every half second.
    """
    from torchvision import datasets

    files, failures = DATA_FILES[name], list[Exception]()

    def fetch() -> None:
        try:
            getattr(datasets, files.torchvision)(folder, train=True, download=True)
        except (URLError, OSError, RuntimeError) as error:
            failures.append(error)

    folder.mkdir(parents=True, exist_ok=True)
    before = files.bytes_in(folder)
    thread = threading.Thread(target=fetch, daemon=True)
    thread.start()
    while True:
        arrived = (files.bytes_in(folder) - before) / 1e6
        say(f"downloading {files.title}: {arrived:.0f} of about {files.megabytes} MB")
        thread.join(0.5)
        if not thread.is_alive():
            break
    if failures:
        raise DataError(files.missing(failures[0])) from failures[0]


LOADERS: dict[str, Callable[[str, Say], Four]] = {
    "digits": _digits,
    "moons": _moons,
    "circles": _circles,
    "spirals": _spirals,
    "fashion_mnist": _torchvision,
    "mnist": _torchvision,
    "kmnist": _torchvision,
    "cifar10": _torchvision,
}
