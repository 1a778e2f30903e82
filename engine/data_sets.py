"""Facts about the data sets: what they hold, where they lie on disk, and whether they are there.

Without torch, so that a page can ask.

`VGLAB_HOME` moves everything this program keeps; `VGLAB_DATA` names a folder in torchvision's
layout (`FashionMNIST/raw/...`), looked into first.
"""

import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError

from engine.errors import DataError

REACH_S = 3.0  # how long to wait for a sign that a download would work


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Facts about a data set, known without opening it."""

    title: str
    shape: tuple[int, ...]  # of one example
    classes: tuple[str, ...]
    examples: int  # to train and validate on
    test_examples: int
    batch_size: int  # unless the spec says otherwise
    embedded: bool  # needs neither a file nor a network

    @property
    def features(self) -> int:
        """Numbers per example: the width of the network's input."""
        product = 1
        for side in self.shape:
            product *= side
        return product


_DIGITS = tuple("0123456789")
_TOY: dict[str, Any] = {
    "shape": (2,),
    "examples": 2000,
    "test_examples": 500,
    "batch_size": 64,
    "embedded": True,
}
_MNIST: dict[str, Any] = {
    "shape": (28, 28),
    "examples": 60000,
    "test_examples": 10000,
    "batch_size": 512,
    "embedded": False,
}

DATA_SETS: dict[str, DataSet] = {
    "digits": DataSet(
        title="Digits 8x8",
        shape=(8, 8),
        classes=_DIGITS,
        examples=1500,
        test_examples=297,
        batch_size=64,
        embedded=True,
    ),
    "fashion_mnist": DataSet(
        title="Fashion-MNIST",
        classes=(
            "T-shirt/top",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        **_MNIST,
    ),
    "mnist": DataSet(title="MNIST", classes=_DIGITS, **_MNIST),
    "kmnist": DataSet(
        title="Kuzushiji-MNIST",
        classes=("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"),
        **_MNIST,
    ),
    "cifar10": DataSet(
        title="CIFAR-10",
        shape=(3, 32, 32),
        classes=(
            "airplane",
            "automobile",
            "bird",
            "cat",
            "deer",
            "dog",
            "frog",
            "horse",
            "ship",
            "truck",
        ),
        examples=50000,
        test_examples=10000,
        batch_size=512,
        embedded=False,
    ),
    "moons": DataSet(title="Two moons", classes=("upper", "lower"), **_TOY),
    "circles": DataSet(title="Two circles", classes=("outer", "inner"), **_TOY),
    "spirals": DataSet(title="Three spirals", classes=("first", "second", "third"), **_TOY),
}


def home() -> Path:
    """The folder this program keeps its files in."""
    return Path(os.environ.get("VGLAB_HOME") or Path.home() / ".vglab").expanduser()


def data_folders() -> list[Path]:
    """Folders that data sets are looked for in, first match wins."""
    named = os.environ.get("VGLAB_DATA")
    return ([Path(named).expanduser()] if named else []) + [home() / "data"]


def writable_data_folder() -> Path:
    """The folder that downloads go to: the first that can be written to."""
    for folder in data_folders():
        existing = next(parent for parent in [folder, *folder.parents] if parent.exists())
        if os.access(existing, os.W_OK):
            return folder
    return data_folders()[-1]


@dataclass(frozen=True, kw_only=True)
class DataFiles:
    """One downloadable set: its files in torchvision's layout, and where torchvision gets them."""

    title: str
    torchvision: str  # class in torchvision.datasets
    files: tuple[str, ...]  # under a data folder, unpacked
    archives: tuple[str, ...]  # the same, as they are downloaded
    site: str  # answers when a download would work
    megabytes: int  # to download

    def is_unpacked(self, folder: Path) -> bool:
        return all((folder / name).exists() for name in self.files)

    def packed(self, folder: Path) -> list[Path]:
        return [folder / name for name in self.archives]

    def is_packed(self, folder: Path) -> bool:
        return all(path.exists() for path in self.packed(folder))

    def is_here(self, folder: Path) -> bool:
        return self.is_unpacked(folder) or self.is_packed(folder)

    def bytes_in(self, folder: Path) -> int:
        """Bytes of this set's files under a data folder, finished or not."""
        top = folder / self.files[0].split("/")[0]
        return sum(
            path.stat().st_size
            for path in [*top.parent.glob("*"), *top.rglob("*")]
            if path.is_file()
        )

    def missing(self, reason: object) -> str:
        """The sentence for a set that is neither here nor to be had."""
        return (
            f"{self.title} is not here and could not be downloaded: {str(reason).strip(' .')}; "
            "use digits, or put the files under VGLAB_DATA."
        )


_IDX = ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1")


def _mnist_like(name: str, torchvision: str, site: str, megabytes: int) -> DataFiles:
    files = tuple(f"{torchvision}/raw/{part}-ubyte" for part in _IDX)
    title = DATA_SETS[name].title
    return DataFiles(
        title=title,
        torchvision=torchvision,
        files=files,
        archives=tuple(f"{file}.gz" for file in files),
        site=site,
        megabytes=megabytes,
    )


DATA_FILES: dict[str, DataFiles] = {
    "fashion_mnist": _mnist_like(
        "fashion_mnist",
        "FashionMNIST",
        "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/train-labels-idx1-ubyte.gz",
        31,
    ),
    "mnist": _mnist_like(
        "mnist",
        "MNIST",
        "https://ossci-datasets.s3.amazonaws.com/mnist/train-labels-idx1-ubyte.gz",
        12,
    ),
    "kmnist": _mnist_like(
        "kmnist",
        "KMNIST",
        "http://codh.rois.ac.jp/kmnist/dataset/kmnist/train-labels-idx1-ubyte.gz",
        21,
    ),
    "cifar10": DataFiles(
        title=DATA_SETS["cifar10"].title,
        torchvision="CIFAR10",
        files=tuple(
            f"cifar-10-batches-py/{part}"
            for part in (*(f"data_batch_{n}" for n in range(1, 6)), "test_batch", "batches.meta")
        ),
        archives=("cifar-10-python.tar.gz",),
        site="https://www.cs.toronto.edu/~kriz/cifar.html",
        megabytes=171,
    ),
}


def data_here() -> tuple[str, ...]:
    """Names of the data sets that can be used without a download."""
    folders = data_folders()
    return tuple(
        name
        for name, data_set in DATA_SETS.items()
        if data_set.embedded or any(DATA_FILES[name].is_here(folder) for folder in folders)
    )


def default_data() -> str:
    """The set to offer first: a real one that is on disk, else the embedded digits."""
    return next((name for name in data_here() if not DATA_SETS[name].embedded), "digits")


def check_obtainable(name: str) -> None:
    """Raise DataError where a set is neither here nor, by a quick look, to be had."""
    if name in data_here():
        return
    request = urllib.request.Request(DATA_FILES[name].site, method="HEAD")
    try:
        urllib.request.urlopen(request, timeout=REACH_S).close()
    except (URLError, OSError) as error:
        reason = getattr(error, "reason", error)
        raise DataError(DATA_FILES[name].missing(reason)) from error
