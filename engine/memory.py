"""How much memory a run takes, and how much is free.

An estimate from the spec alone, made before a worker is asked: a network that does not fit would be ended
by the system in the middle of a lecture, and perhaps the server with it. Measured on a CPU, in GB:

    7 x 128, digits                                       0.40   said 0.47
    30 x 1024, all examples in one batch, BatchNorm, Adam  2.50        3.03
    60 x 1024, batches of 64, Adam                         2.25        2.94
    20 x 2048, batches of 64                               2.24        2.82
    7 x 128, Fashion-MNIST                                 0.85        1.01
"""

import itertools
from pathlib import Path

import psutil

from engine.spec import RunSpec

FLOAT = 4  # bytes of a float32
BASE = 460e6  # a worker's own, without what all workers share: torch's code, as it lies on the disk
#: Arrays as large as all weights: the weights, their gradient, the gradient and the weights of the last
#: record, and a checkpoint, as a copy and as bytes.
WEIGHT_ARRAYS = 6
#: Arrays as large as what a layer puts out for a batch: what it keeps for the way back, that way's own,
#: and what is looked at of them.
SIGNAL_ARRAYS, NORM_ARRAYS = 5, 2
#: Arrays as large as all examples: as they are read, and divided.
EXAMPLE_ARRAYS = 2
OPTIMIZER_ARRAYS = {"momentum": 1, "nesterov": 1, "rmsprop": 1, "adagrad": 1, "adam": 2, "adamw": 2}
MARGIN = 1.2  # for what is put together for a moment, and what an allocator cannot fill
_CONTROL = Path("/sys/fs/cgroup")  # of a container


def needed(spec: RunSpec) -> float:
    """Bytes of memory that a run's worker takes at its largest, about.

    Of a run that asks for a GPU those of the host, which holds the examples and the checkpoints.
    """
    widths = [spec.data_set.features] + [spec.width] * spec.depth + [len(spec.data_set.classes)]
    weights = sum(a * b + b for a, b in itertools.pairwise(widths))
    examples = spec.data_set.examples + spec.data_set.test_examples
    arrays = WEIGHT_ARRAYS + OPTIMIZER_ARRAYS.get(spec.optimizer, 0)
    signals = SIGNAL_ARRAYS + (NORM_ARRAYS if spec.norm != "none" else 0)
    batch = min(spec.batch_size, spec.train_examples)
    numbers = arrays * weights + EXAMPLE_ARRAYS * examples * spec.data_set.features
    if spec.device not in ("cuda", "mps"):
        numbers += signals * batch * sum(widths)
    return BASE + MARGIN * FLOAT * numbers


def free() -> float:
    """Bytes that can be had without taking them from another program; of a container its own."""
    return min(float(psutil.virtual_memory().available), _free_of_container())


def _free_of_container() -> float:
    """What control groups leave; without end where there are none, or no limit."""
    try:
        most = float((_CONTROL / "memory.max").read_text())
        used = float((_CONTROL / "memory.current").read_text())
        told = dict(line.split() for line in (_CONTROL / "memory.stat").read_text().splitlines())
        return most - used + float(told.get("inactive_file", 0))  # that can be let go
    except (OSError, ValueError):
        return float("inf")
