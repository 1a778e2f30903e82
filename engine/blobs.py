"""How items are written into a run's file, and numbers read back: float64 and compressed counts.

Blobs, because norms reach below float32's range and SQLite stores NaN as NULL.
"""

import sqlite3
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from engine.records import (
    EPOCH_NUMBERS,
    GRADIENT_COLUMNS,
    LINEAR_BINS,
    STATISTICS,
    EpochEnd,
    Event,
    Floats,
    Record,
    Steps,
)


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


def _no_histograms(layers: int) -> dict[str, Any]:
    linear = np.zeros((layers, LINEAR_BINS + 1), np.int64)
    return {
        "gradient": np.zeros((layers, GRADIENT_COLUMNS), np.int64),
        "weight": linear,
        "activation": linear,
        "weight_range": np.ones(layers),
        "activation_range": np.ones(layers),
    }


def record_of(row: tuple[Any, ...], counts: bytes | None = None) -> Record:
    """The record of a row (step, epoch, phase, seconds, scalars) and its histograms' blob, if read."""
    step, epoch, phase, seconds, blob = row
    scalars: Floats = np.frombuffer(blob, np.float64).reshape(len(STATISTICS), -1)
    layers = scalars.shape[1]
    histograms = _no_histograms(layers) if counts is None else _unpack(counts, layers)
    return Record(
        step=step, epoch=epoch, phase=phase, seconds=seconds, scalars=scalars, **histograms
    )


def steps_of(row: tuple[Any, ...]) -> Steps:
    """The block of a row (first, seconds, numbers)."""
    loss, accuracy = np.frombuffer(row[2], np.float64).reshape(2, -1)
    return Steps(first=row[0], seconds=row[1], loss=loss, accuracy=accuracy)


def epoch_of(row: tuple[Any, ...]) -> EpochEnd:
    """The end of an epoch of a row (epoch, step, phase, numbers)."""
    numbers = dict(zip(EPOCH_NUMBERS, np.frombuffer(row[3], np.float64).tolist(), strict=True))
    return EpochEnd(epoch=row[0], step=row[1], phase=row[2], **numbers)


def _insert_record(connection: sqlite3.Connection, record: Record) -> None:
    connection.execute(
        "INSERT INTO records VALUES (?, ?, ?, ?, ?)",
        (record.step, record.epoch, record.phase, record.seconds, record.scalars.tobytes()),
    )
    connection.execute(
        "INSERT INTO histograms VALUES (?, ?)", (record.step, histograms_blob(record))
    )


def _insert_steps(connection: sqlite3.Connection, steps: Steps) -> None:
    connection.execute(
        "INSERT INTO steps VALUES (?, ?, ?)", (steps.first, steps.seconds, steps_blob(steps))
    )


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
}
