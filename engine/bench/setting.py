"""Where the benchmark's runs live and what they train on: a library and a data set for the while.

Fashion-MNIST where it is on disk, else random images of the same size, in torchvision's layout, so
that every program measured reads them as it reads the real ones.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine.bench.fields import Case
from engine.data_sets import DATA_FILES, DATA_SETS, data_folders

NAME = "fashion_mnist"
QUICK_EXAMPLES, QUICK_TEST_EXAMPLES = 1100, 200
QUICK_DEPTHS = {7: 2, 50: 4}


@dataclass(frozen=True, kw_only=True)
class Setting:
    """What a process that measures is told."""

    folder: Path  # for whatever is written
    quick: bool

    def spec(self, case: Case, **more: Any) -> dict[str, Any]:
        """The fields of a run of this network; in the quick form a tiny one of the same kind."""
        fields: dict[str, Any] = {"depth": case.depth, "width": case.width}
        if self.quick:
            fields = {
                "depth": QUICK_DEPTHS.get(case.depth, case.depth),
                "width": 16,
                "subset": QUICK_EXAMPLES,
            }
        kept = {"data": NAME, "batch_size": case.batch_size, "device": "cpu", "threads": 1}
        return kept | fields | more


def here() -> Path | None:
    """The folder that Fashion-MNIST lies in; None where it is not on disk."""
    return next((folder for folder in data_folders() if DATA_FILES[NAME].is_here(folder)), None)


def data_words(*, quick: bool) -> str:
    """What is trained on, in words."""
    if quick:
        return "a few random images of Fashion-MNIST's size"
    if here() is None:
        return "random images, as many and as large as Fashion-MNIST's"
    return DATA_SETS[NAME].title


@contextlib.contextmanager
def made(*, quick: bool) -> Iterator[Setting]:
    """A setting that is gone afterwards; for the while VGLAB_HOME and VGLAB_DATA name it."""
    kept = {name: os.environ.get(name) for name in ("VGLAB_HOME", "VGLAB_DATA")}
    with tempfile.TemporaryDirectory(prefix="vglab-bench-", ignore_cleanup_errors=True) as name:
        folder = None if quick else here()
        if folder is None:
            folder = Path(name) / "images"
            facts = DATA_SETS[NAME]
            examples = QUICK_EXAMPLES if quick else facts.examples
            tests = QUICK_TEST_EXAMPLES if quick else facts.test_examples
            write_random(folder, examples, tests)
        os.environ |= {"VGLAB_HOME": str(Path(name) / "home"), "VGLAB_DATA": str(folder.resolve())}
        try:
            yield Setting(folder=Path(name), quick=quick)
        finally:
            for variable, value in kept.items():
                os.environ.pop(variable, None)
                if value is not None:
                    os.environ[variable] = value


def write_random(folder: Path, examples: int, tests: int) -> None:
    """Random pixels and labels as the four files of Fashion-MNIST."""
    chance = np.random.default_rng(0)
    rows, columns = DATA_SETS[NAME].shape
    classes = len(DATA_SETS[NAME].classes)
    images_train, labels_train, images_test, labels_test = DATA_FILES[NAME].files
    for images, labels, count in (
        (images_train, labels_train, examples),
        (images_test, labels_test, tests),
    ):
        pixels = chance.integers(0, 256, (count, rows, columns), np.uint8)
        _write_idx(folder / images, pixels)
        _write_idx(folder / labels, chance.integers(0, classes, count, np.uint8))


def _write_idx(file: Path, values: np.ndarray) -> None:
    """The format of the files: a magic number that ends in the dimensions, their sizes, the bytes."""
    file.parent.mkdir(parents=True, exist_ok=True)
    head = [0x0800 + values.ndim, *values.shape]
    file.write_bytes(np.array(head, ">u4").tobytes() + values.tobytes())
