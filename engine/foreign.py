"""A run's file from elsewhere, read with distrust: rows of plain values, each checked before it is kept.

Nothing of the file is run or adopted: its tables must be those of a run and nothing else, its numbers
within the bounds of its own spec, its texts without what a screen would obey. The states of its
checkpoints stay bytes; engine/checkpoints.py opens them as data alone.
"""

import io
import json
import math
import re
import sqlite3
import time
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from engine import blobs, library, schema, store
from engine.errors import StoreError
from engine.presets import PRESETS
from engine.records import EPOCH_NUMBERS, GRADIENT_COLUMNS, LINEAR_BINS, OLD_STATISTICS, STATISTICS
from engine.spec import RunSpec, read_json

MOST_SECONDS = 60.0  # for all of a file
MOST_SPEC, MOST_SENTENCE, MOST_TRACEBACK = 20_000, 1_000, 50_000
MOST_EVENTS = 100_000
EVENTS = frozenset({"phase", "change", "look", "stop", "pause", "resume", "branch", "note"})
CHECKPOINTS = frozenset({"start", "epoch", "change", "end", "branch"})
COPIED = "Copied at step {step:,} while it was training."
_MAGIC = b"SQLite format 3\0"
_FAR = 1e11  # seconds since 1970, some 3,000 years; and of training
Values = tuple[Any, ...]


# -- the file --------------------------------------------------------------------------------------


@contextmanager
def opened(file: Path) -> Iterator[sqlite3.Connection]:
    """The file, to be read only, its tables checked. Raises StoreError, sqlite3.Error."""
    # Immutable: no lock, no log beside it, nothing written.
    uri = f"{file.resolve().as_uri()}?mode=ro&immutable=1"
    connection = sqlite3.connect(uri, uri=True, isolation_level=None)
    try:
        connection.execute("PRAGMA trusted_schema = OFF")
        connection.execute("PRAGMA cell_size_check = ON")
        deadline = time.monotonic() + MOST_SECONDS
        connection.set_progress_handler(lambda: int(time.monotonic() > deadline), 100_000)
        _check_tables(connection)
        yield connection
    finally:
        connection.close()


def version_of(file: Path) -> int:
    """The schema a file says it has. Raises StoreError for one that is none, or is newer."""
    with file.open("rb") as start:
        head = start.read(100)
    version = int.from_bytes(head[60:64], "big")
    if head[: len(_MAGIC)] != _MAGIC or version < 1:
        raise StoreError("it is not a run's file")
    if version > store.SCHEMA:
        raise StoreError(f"it has schema {version}, and this version reads up to {store.SCHEMA}")
    return version


def bring_up_to_date(copy: Path) -> None:
    """Make a file of an older schema one of today, once it is seen to hold nothing but tables."""
    connection = sqlite3.connect(f"{copy.resolve().as_uri()}?mode=ro", uri=True)
    try:
        _tables(connection)
    finally:
        connection.close()
    schema.migrate(copy)


def _tables(connection: sqlite3.Connection) -> dict[str, set[Values]]:
    """Table -> its columns, each (name, type, place in the key). Raises StoreError for anything else."""
    found = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 100").fetchall()
    tables = {}
    for kind, name, sql in found:
        if kind != "table" or not re.match(r"CREATE TABLE\b", str(sql), re.IGNORECASE):
            raise StoreError(f"it holds a {str(kind)[:20]} that no run has")
        columns = connection.execute("SELECT * FROM pragma_table_xinfo(?)", (name,)).fetchall()
        if any(column[6] for column in columns):
            raise StoreError("it holds a column that no run has")
        tables[name] = {(column[1], column[2], column[5]) for column in columns}
    return tables


def _check_tables(connection: sqlite3.Connection) -> None:
    with sqlite3.connect(":memory:") as own:
        own.executescript(schema.TABLES)
        wanted = _tables(own)
    own.close()
    found = _tables(connection)
    for name in sorted(wanted.keys() | found.keys(), key=str):
        if wanted.get(name) != found.get(name):
            raise StoreError(f"its table {str(name)[:20]!r} is not one of a run")


# -- plain values ----------------------------------------------------------------------------------


def _whole(value: object, most: int, what: str, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= most:
        raise StoreError(f"{what} is not a whole number from {least} to {most:,}")
    return value


def _number(value: object, what: str) -> float:
    if type(value) not in (int, float) or not 0 <= value <= _FAR:  # type: ignore[operator]
        raise StoreError(f"{what} is not a number from 0 on")
    return float(value)  # type: ignore[arg-type]


def _bytes(value: object, size: int, what: str) -> bytes:
    if type(value) is not bytes or len(value) != size:
        raise StoreError(f"{what} does not have the size of this network's")
    return value


def _text(value: object, most: int, what: str) -> str:
    """A text that a screen shows as it is: no link, no picture, no mark-up."""
    if type(value) is not str:
        raise StoreError(f"{what} is not a text")
    for sign, harmless in (("<", "‹"), ("](", "] ("), ("![", "! ["), ("][", "] [")):
        value = value.replace(sign, harmless)
    return library.text(value, most)


def _listed(value: object, what: str, kind: type) -> Any:
    try:
        found = json.loads(value) if type(value) is str and len(value) < MOST_SPEC else None
    except (ValueError, RecursionError):
        found = None
    if type(found) is not kind:
        raise StoreError(f"{what} cannot be read")
    return found


# -- the run itself --------------------------------------------------------------------------------


def run_of(connection: sqlite3.Connection) -> dict[str, Any]:
    """What the file says of its run, as arguments of store.create. Raises EngineError."""
    connection.row_factory = sqlite3.Row
    rows = connection.execute("SELECT * FROM run LIMIT 2").fetchall()
    beat = connection.execute("SELECT at, step FROM heartbeat LIMIT 2").fetchall()
    connection.row_factory = None
    if len(rows) != 1 or len(beat) > 1:
        raise StoreError(f"it holds {'no run' if not rows else 'more than one run'}")
    row = dict(rows[0])
    if type(row["spec"]) is not str or len(row["spec"]) > MOST_SPEC:
        raise StoreError("its spec cannot be read")
    spec = read_json(row["spec"])
    step = _whole(beat[0]["step"], spec.total_steps, "its step") if beat else 0
    told = _told(row) | _state(row, step) | _family(row)
    return told | {"spec": spec, "beat": (_number(beat[0]["at"], "a time"), step) if beat else None}


def _told(row: Mapping[str, Any]) -> dict[str, Any]:
    """What people say of it, and where it ran."""
    tags = [_text(tag, 100, "a tag") for tag in _listed(row["tags"], "its list of tags", list)]
    versions = {
        _text(name, 40, "a version"): _text(version, 100, "a version")
        for name, version in _listed(row["versions"], "its list of versions", dict).items()
    }
    return {
        "title": library.line(_text(row["title"], 1000, "its title"), library.MOST_TITLE) or "Run",
        "preset": row["preset"] if row["preset"] in PRESETS else "",
        "device": library.line(_text(row["device"], 1000, "its device"), 100),
        "versions": json.dumps(dict(list(versions.items())[:50])),
        "starred": _whole(row["starred"], 1, "its star"),
        "note": _text(row["note"], library.MOST_NOTE, "its note"),
        "tags": json.dumps(library.tidy_tags(tags)),
    }


def _state(row: Mapping[str, Any], step: int) -> dict[str, Any]:
    """How it ended. A copy of a run that was training has stopped."""
    status, sentence = row["status"], _text(row["sentence"], MOST_SENTENCE, "its sentence")
    if status not in store.STATUSES:
        raise StoreError("its status is not one of a run")
    if status in store.OPEN:
        status, sentence = store.STOPPED, COPIED.format(step=step)
    times = ("created", "started", "ended")
    return {
        "status": status,
        "sentence": sentence,
        "traceback": _text(row["traceback"], MOST_TRACEBACK, "its traceback"),
        **{name: None if row[name] is None else _number(row[name], "a time") for name in times},
        "created": _number(row["created"], "a time"),
    }


def _family(row: Mapping[str, Any]) -> dict[str, Any]:
    parent = row["parent"]
    if type(parent) is not str or not re.fullmatch(r"[0-9a-f-]{20,40}|", parent):
        raise StoreError("its parent is not a run's id")
    if not parent:
        return {}
    return {"parent": parent, "parent_step": _whole(row["parent_step"], 10**9, "its parent's step")}


# -- what it recorded ------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Table:
    """How the rows of one table are read."""

    columns: str
    check: Callable[[Values, RunSpec], Values]  # the same row, or StoreError
    most: Callable[[RunSpec], int]  # rows


def rows_of(connection: sqlite3.Connection, name: str, spec: RunSpec) -> Iterator[Values]:
    """The rows of a table of TABLES, each checked. Raises StoreError, sqlite3.Error."""
    table = TABLES[name]
    query = f"SELECT {table.columns} FROM {name} ORDER BY {table.columns.split(',')[0]}"
    for count, row in enumerate(connection.execute(query)):
        if count >= table.most(spec):
            raise StoreError(f"its table {name} has more rows than its run has steps")
        yield table.check(row, spec)


def _moment(row: Values, spec: RunSpec, what: str) -> tuple[int, int, int]:
    """Step, epoch and phase."""
    step = _whole(row[0], spec.total_steps, f"the step of {what}")
    epoch = _whole(row[1], spec.total_steps, f"the epoch of {what}")
    return step, epoch, _whole(row[2], len(spec.phases), f"the phase of {what}", 1)


def _record(row: Values, spec: RunSpec) -> Values:
    size = spec.layers * 8
    old = type(row[4]) is bytes and len(row[4]) == OLD_STATISTICS * size
    scalars = _bytes(row[4], (OLD_STATISTICS if old else len(STATISTICS)) * size, "a record")
    return (*_moment(row, spec, "a record"), _number(row[3], "a time"), scalars)


def _histograms(row: Values, spec: RunSpec) -> Values:
    step = _whole(row[0], spec.total_steps, "the step of a histogram")
    ranges = 2 * spec.layers * 8
    size = ranges + spec.layers * (GRADIENT_COLUMNS + 2 * (LINEAR_BINS + 1)) * 4
    unpacker = zlib.decompressobj()
    try:  # never more than there should be: a small blob can hold gigabytes
        raw = unpacker.decompress(row[1] if type(row[1]) is bytes else b"", size + 1)
    except zlib.error:
        raw = b""
    if len(raw) != size or not unpacker.eof or unpacker.unused_data:
        raise StoreError("a histogram does not have the size of this network's")
    widths = np.frombuffer(raw[:ranges], np.float64)
    if not np.isfinite(widths).all() or (widths <= 0).any():
        raise StoreError("the range of a histogram is not a number above 0")
    return step, row[1]


def _steps(row: Values, spec: RunSpec) -> Values:
    first = _whole(row[0], spec.total_steps, "the first step of a block of losses")
    count, odd = divmod(len(row[2]) if type(row[2]) is bytes else 0, 16)
    if odd or not 1 <= count <= spec.total_steps - first + 1:
        raise StoreError("a block of losses does not have the size of its steps")
    watched = row[3] if row[3] is None else _number(row[3], "a time")
    return first, _number(row[1], "a time"), row[2], watched


def _epoch(row: Values, spec: RunSpec) -> Values:
    step, epoch, phase = _moment((row[1], row[0], row[2]), spec, "an epoch")
    numbers = _bytes(row[3], 8 * len(EPOCH_NUMBERS), "an epoch")
    if not math.isfinite(np.frombuffer(numbers)[-1]):
        raise StoreError("a time is not a number from 0 on")
    return epoch, step, phase, numbers


def _event(row: Values, spec: RunSpec) -> Values:
    if row[2] not in EVENTS:
        raise StoreError("it holds an event of a kind that no run has")
    if type(row[4]) is not str or len(row[4]) > MOST_SPEC:
        raise StoreError("a change in it cannot be read")
    step = _whole(row[1], spec.total_steps, "the step of an event")
    words = _text(row[3], MOST_SENTENCE, "an event")
    return row[0], step, row[2], words, row[4], _number(row[5], "a time")


def _kernel(row: Values, spec: RunSpec) -> Values:
    try:
        kernel = blobs.kernel_of(row[1:])
    except ValueError as error:
        raise StoreError(str(error)) from None
    if kernel.batch_size > spec.batch_size:
        raise StoreError("its kernel is of a larger batch than its own")
    if kernel.labels is not None and (kernel.labels >= len(spec.data_set.classes)).any():
        raise StoreError("its kernel names a class that its data has not")
    return (0, *row[1:])


def _checkpoint(row: Values, spec: RunSpec) -> Values:
    step = _whole(row[0], spec.total_steps, "the step of a checkpoint")
    epoch = _whole(row[1], spec.total_steps, "the epoch of a checkpoint")
    if row[2] not in CHECKPOINTS or type(row[4]) is not bytes or row[3] != len(row[4]):
        raise StoreError("a checkpoint in it is not whole")
    _check_unpacked(row[4])
    return step, epoch, row[2], len(row[4]), row[4]


def _check_unpacked(state: bytes) -> None:
    """What torch writes is not compressed: opened, it takes no more room than it takes here."""
    try:
        parts = zipfile.ZipFile(io.BytesIO(state)).infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError):
        raise StoreError("a checkpoint in it is damaged") from None
    packed = any(part.compress_type != zipfile.ZIP_STORED for part in parts)
    if packed or sum(part.file_size for part in parts) > len(state):
        raise StoreError("a checkpoint in it is damaged")


def _one_a_step(spec: RunSpec) -> int:
    return spec.total_steps + 1


TABLES: dict[str, Table] = {
    "records": Table(
        columns="step, epoch, phase, seconds, scalars", check=_record, most=_one_a_step
    ),
    "histograms": Table(columns="step, counts", check=_histograms, most=_one_a_step),
    "steps": Table(columns="first, seconds, numbers, watched", check=_steps, most=_one_a_step),
    "epochs": Table(
        columns="epoch, step, phase, numbers", check=_epoch, most=lambda spec: spec.total_steps
    ),
    "events": Table(
        columns="id, step, kind, words, change, at", check=_event, most=lambda spec: MOST_EVENTS
    ),
    "kernel": Table(
        columns="id, batch_size, numbers, gram, labels", check=_kernel, most=lambda spec: 1
    ),
    "checkpoints": Table(
        columns="step, epoch, kind, bytes, state", check=_checkpoint, most=_one_a_step
    ),
}
