"""How items are written into a run's file, and numbers read back: float64 and compressed counts.

Blobs, because norms reach below float32's range and SQLite stores NaN as NULL.
"""

import math
import sqlite3
import zlib
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records import (
    EPOCH_NUMBERS,
    GRADIENT_COLUMNS,
    GRAM_EXAMPLES,
    LINEAR_BINS,
    OLD_STATISTICS,
    STATISTICS,
    EpochEnd,
    Event,
    Floats,
    InputKernel,
    Record,
    Steps,
)

#: Order of the numbers in a kernel's blob.
KERNEL_NUMBERS = ("same_share", "variance", "harmonic", "same", "different")
MOST_BATCH = 60_000  # examples of a batch: the largest data set there is


def histograms_blob(record: Record) -> bytes:
    """Ranges as float64, then all counts as uint32; compressed, since most counts are zero."""
    ranges = np.stack([record.weight_range, record.activation_range])
    counts = np.concatenate([record.gradient, record.weight, record.activation], axis=1)
    return zlib.compress(ranges.tobytes() + counts.astype(np.uint32).tobytes(), 1)


def steps_blob(steps: Steps) -> bytes:
    """Losses, then accuracies."""
    return np.stack([steps.loss, steps.accuracy]).tobytes()


def epoch_blob(end: EpochEnd) -> bytes:
    """The numbers of EPOCH_NUMBERS."""
    return np.array([getattr(end, name) for name in EPOCH_NUMBERS]).tobytes()


def _unpack(blob: bytes, layers: int) -> dict[str, Any]:
    raw = zlib.decompress(blob)
    ranges = np.frombuffer(raw, np.float64, 2 * layers).reshape(2, layers)
    counts = np.frombuffer(raw, np.uint32, offset=ranges.nbytes).reshape(layers, -1)
    linear = LINEAR_BINS + 1
    parts = np.split(counts.astype(np.int64), [GRADIENT_COLUMNS, GRADIENT_COLUMNS + linear], axis=1)
    return {
        "gradient": parts[0],
        "weight": parts[1],
        "activation": parts[2],
        "weight_range": ranges[0],
        "activation_range": ranges[1],
    }


@lru_cache(maxsize=64)  # records without histograms are read by the thousand
def _no_histograms(layers: int) -> dict[str, Any]:
    linear = np.zeros((layers, LINEAR_BINS + 1), np.int64)
    shared = {
        "gradient": np.zeros((layers, GRADIENT_COLUMNS), np.int64),
        "weight": linear,
        "activation": linear,
        "weight_range": np.ones(layers),
        "activation_range": np.ones(layers),
    }
    for array in shared.values():
        array.setflags(write=False)  # as everything else that is read
    return shared


def _scalars(blob: bytes, layers: int) -> Floats:
    """[STATISTICS, layers]; what was not measured yet when the record was made is NaN."""
    numbers: Floats = np.frombuffer(blob, np.float64)
    if len(numbers) == OLD_STATISTICS * layers:
        numbers = np.append(numbers, np.full((len(STATISTICS) - OLD_STATISTICS) * layers, np.nan))
    return numbers.reshape(len(STATISTICS), layers)


def record_of(row: tuple[Any, ...], layers: int, counts: bytes | None = None) -> Record:
    """The record of a row (step, epoch, phase, seconds, scalars) and its histograms' blob, if read."""
    step, epoch, phase, seconds, blob = row
    scalars = _scalars(blob, layers)
    histograms = _no_histograms(layers) if counts is None else _unpack(counts, layers)
    return Record(
        step=step, epoch=epoch, phase=phase, seconds=seconds, scalars=scalars, **histograms
    )


def steps_of(row: tuple[Any, ...]) -> Steps:
    """The block of a row (first, seconds, numbers, watched)."""
    loss, accuracy = np.frombuffer(row[2], np.float64).reshape(2, -1)
    watched = math.nan if row[3] is None else row[3]
    return Steps(first=row[0], seconds=row[1], loss=loss, accuracy=accuracy, watched=watched)


def joined(rows: list[tuple[Any, ...]], recent: int = 64) -> list[Steps]:
    """The blocks of rows in order, all but the most recent ones as one where they follow each other.

    A run of a million steps has a hundred thousand blocks, which one by one take seconds.
    """
    old, new = rows[:-recent], rows[-recent:]
    counts = np.array([len(row[2]) // 16 for row in old], np.int64)
    firsts = np.array([row[0] for row in old], np.int64)
    follow = firsts[1:] == firsts[:-1] + counts[:-1]
    bounds = [0, *(np.flatnonzero(~follow) + 1).tolist(), len(old)]
    parts = [_as_one(old[a:b], counts[a:b]) for a, b in pairwise(bounds) if b > a]
    return [*parts, *map(steps_of, new)]


def _as_one(rows: list[tuple[Any, ...]], counts: NDArray[np.int64]) -> Steps:
    """Blocks that follow each other, of so many steps each; each holds its losses, then accuracies."""
    numbers = np.frombuffer(b"".join(row[2] for row in rows), np.float64)
    before = np.cumsum(counts) - counts  # steps before each block; twice as many numbers
    places = np.arange(counts.sum()) + np.repeat(before, counts)
    loss, accuracy = numbers[places], numbers[places + np.repeat(counts, counts)]
    _, seconds, _, watched = rows[-1]
    told = math.nan if watched is None else watched
    return Steps(first=rows[0][0], seconds=seconds, loss=loss, accuracy=accuracy, watched=told)


def epoch_of(row: tuple[Any, ...]) -> EpochEnd:
    """The end of an epoch of a row (epoch, step, phase, numbers)."""
    numbers = dict(zip(EPOCH_NUMBERS, np.frombuffer(row[3], np.float64).tolist(), strict=True))
    return EpochEnd(epoch=row[0], step=row[1], phase=row[2], **numbers)


def kernel_of(row: tuple[Any, ...]) -> InputKernel:
    """The kernel of a row (batch_size, numbers, gram, labels). Raises ValueError for what none has."""
    batch, numbers, gram, labels = row
    if type(batch) is not int or not 1 <= batch <= MOST_BATCH:
        raise ValueError(f"the batch of its kernel is not a number from 1 to {MOST_BATCH:,}")
    if type(numbers) is not bytes or len(numbers) != 8 * len(KERNEL_NUMBERS):
        raise ValueError("its kernel is not of five numbers")
    told = dict(zip(KERNEL_NUMBERS, np.frombuffer(numbers, np.float64).tolist(), strict=True))
    if not all(np.isfinite(list(told.values()))) or told["variance"] < 0 or told["harmonic"] < 0:
        raise ValueError("a number of its kernel is not finite, or a variance is below 0")
    if not 0 <= told["same_share"] <= 1 - 1 / batch:
        raise ValueError("the share of pairs in its kernel is not from 0 to 1")
    return InputKernel(batch_size=batch, **told, **_products(batch, gram, labels))


def _products(batch: int, gram: Any, labels: Any) -> dict[str, Any]:
    """The products of a kernel and their labels, where they were kept."""
    if gram is None and labels is None:
        return {}
    size = min(batch, GRAM_EXAMPLES)
    whole = (type(gram) is bytes, type(labels) is bytes) == (True, True)
    if not whole or (len(gram), len(labels)) != (4 * size**2, 2 * size):
        raise ValueError("the products of its kernel do not have the size of its batch")
    products = np.frombuffer(gram, np.float32).reshape(size, size)
    if not np.isfinite(products).all():
        raise ValueError("a product of its kernel is not finite")
    return {"gram": products, "labels": np.frombuffer(labels, np.uint16)}


def kernel_row(kernel: InputKernel) -> tuple[int, bytes, bytes | None, bytes | None]:
    """Its row (batch_size, numbers, gram, labels)."""
    numbers = np.array([getattr(kernel, name) for name in KERNEL_NUMBERS], np.float64)
    gram = None if kernel.gram is None else kernel.gram.astype(np.float32).tobytes()
    labels = None if kernel.labels is None else kernel.labels.astype(np.uint16).tobytes()
    return kernel.batch_size, numbers.tobytes(), gram, labels


def _insert_kernel(connection: sqlite3.Connection, kernel: InputKernel) -> None:
    # A branch from step 0 has its parent's, and records it again.
    connection.execute("INSERT OR REPLACE INTO kernel VALUES (0, ?, ?, ?, ?)", kernel_row(kernel))


def _insert_record(connection: sqlite3.Connection, record: Record) -> None:
    connection.execute(
        "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
        (record.step, record.epoch, record.phase, record.seconds, record.scalars.tobytes()),
    )
    connection.execute(
        "INSERT INTO histograms VALUES (?, ?)", (record.step, histograms_blob(record))
    )


def _insert_steps(connection: sqlite3.Connection, steps: Steps) -> None:
    row = (steps.first, steps.seconds, steps_blob(steps), steps.watched)  # NaN becomes NULL
    connection.execute("INSERT INTO steps VALUES (?, ?, ?, ?)", row)


def _insert_epoch(connection: sqlite3.Connection, end: EpochEnd) -> None:
    connection.execute(
        "INSERT INTO epochs VALUES (?, ?, ?, ?)",
        (end.epoch, end.step, end.phase, epoch_blob(end)),
    )


def _insert_event(connection: sqlite3.Connection, event: Event) -> None:
    connection.execute(
        "INSERT INTO events (step, kind, words, change, at) VALUES (?, ?, ?, ?, ?)",
        (event.step, event.kind, event.words, event.change, event.at),
    )


#: How each kind of item is written.
INSERTS: dict[type, Callable[[sqlite3.Connection, Any], None]] = {
    Record: _insert_record,
    Steps: _insert_steps,
    EpochEnd: _insert_epoch,
    Event: _insert_event,
    InputKernel: _insert_kernel,
}
