"""A run as one file: out of the library and into one.

What goes out is the run's own file at one moment, also while it trains. What comes in is never
adopted: engine/foreign.py reads it row by row, and what passes is written into a new file of ours.
"""

import re
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from engine import foreign, limits, runs, schema, store
from engine.data_sets import home
from engine.errors import EngineError, LimitError, StoreError
from engine.gate import gated
from engine.records import Event
from engine.spec import RunSpec
from engine.steering import Standing, applied, changes_of

SUFFIX = ".vglab"
#: A run's records stay under 64 MB and its checkpoints under 200 MB.
MOST_BYTES = 300_000_000
_FOLDER = "transfer-"  # in home(): on the library's disk, where a rename is one step


def exported(run: str) -> bytes:
    """The run's file as it is now, whole. Raises RunError, StoreError."""
    source = runs.path(run)
    with _folder() as folder:
        copy = folder / source.name
        try:
            connection = schema.connect(source, "ro")
            try:
                connection.execute("VACUUM INTO ?", (str(copy),))
            finally:
                connection.close()
            return copy.read_bytes()
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"Run {run} cannot be exported: {_said(error)}.") from error


def file_name(found: store.RunInfo) -> str:
    """What to call its file: its title and its id, with signs that every disk takes."""
    title = re.sub(r"[^A-Za-z0-9._]+", "-", found.title).strip("-.")[:60].strip("-.")
    return f"{title or 'run'}-{found.id}{SUFFIX}"


@gated
def imported(file: Path | bytes, name: str = "") -> str:
    """Take a run from elsewhere into the library; its new id. Raises LimitError, StoreError, one sentence.

    file  is only read; its bytes can be given instead
    name  what to call it in the sentence; its own name for ""
    """
    named = repr((name or (file.name if isinstance(file, Path) else "") or "The file")[:60])
    with _folder() as folder:
        try:
            return _imported(_given(file, folder), folder)
        except LimitError:
            raise  # not the file's fault
        except (EngineError, sqlite3.Error, OSError, UnicodeDecodeError) as error:
            raise StoreError(f"{named} was not imported: {_said(error)}.") from error


def clean() -> None:
    """Let go of what a killed server left half made."""
    for left in home().glob(f"{_FOLDER}*"):
        shutil.rmtree(left, ignore_errors=True)


@contextmanager
def _folder() -> Iterator[Path]:
    runs.library()  # makes home() where it is not there
    with tempfile.TemporaryDirectory(prefix=_FOLDER, dir=home()) as name:
        yield Path(name)


def _given(file: Path | bytes, folder: Path) -> Path:
    """The file to read, of today's schema; never the one that was given where it must be changed."""
    size = len(file) if isinstance(file, bytes) else file.stat().st_size
    if size > MOST_BYTES:
        raise StoreError(
            f"it has {size / 1e6:,.0f} MB, and a run's file at most {MOST_BYTES / 1e6:,.0f} MB"
        )
    limits.check_import(size)
    copy = folder / "given"
    if isinstance(file, bytes):
        copy.write_bytes(file)
        file = copy
    if foreign.version_of(file) < store.SCHEMA:
        if file != copy:
            shutil.copyfile(file, copy)
        foreign.bring_up_to_date(copy)
        return copy
    return file


def _imported(given: Path, folder: Path) -> str:
    run = runs.new_id()
    made = folder / f"{run}{store.SUFFIX}"
    with foreign.opened(given) as source:
        told = foreign.run_of(source)
        spec, beat = told["spec"], told.pop("beat")
        store.create(made, **told)
        with store.Writer(made) as writer:
            writer.connection.execute("PRAGMA synchronous = OFF")  # lost with the folder it is in
            _copy(source, writer.connection, spec, beat)
    with store.Reader(made) as reader:
        stands, changes = _standing(spec, reader.events())
    with store.Writer(made) as writer:
        writer.update(
            now=stands.spec.model_dump_json() if changes else "",
            frozen=str(sorted(stands.frozen)),
            changes=changes,
        )
        writer.fold()
    made.replace(runs.library() / made.name)
    return run


def _standing(spec: RunSpec, events: list[Event]) -> tuple[Standing, int]:
    """How a run stands after its events, and how many changes they were. Raises EngineError."""
    stands, count = Standing(spec=spec), 0
    for _, change in changes_of(events):
        stands = applied(stands, change)
        count += change.kind != "look"
    return stands, count


def _copy(
    source: sqlite3.Connection,
    made: sqlite3.Connection,
    spec: RunSpec,
    beat: tuple[Any, ...] | None,
) -> None:
    """All rows, or none: an error leaves the new file empty, and it is thrown away."""
    made.execute("BEGIN IMMEDIATE")
    for name, table in foreign.TABLES.items():
        marks = ", ".join("?" * (table.columns.count(",") + 1))
        rows = foreign.rows_of(source, name, spec)
        made.executemany(f"INSERT INTO {name} ({table.columns}) VALUES ({marks})", rows)
    if beat is not None:
        made.execute("INSERT INTO heartbeat VALUES (0, 0.0, ?, ?)", beat)
    for one, other in (("records", "histograms"), ("histograms", "records")):
        query = f"SELECT step FROM {one} EXCEPT SELECT step FROM {other} LIMIT 1"
        if made.execute(query).fetchone():
            raise StoreError("its records and its histograms are not of the same steps")
    made.execute("COMMIT")


def _said(error: Exception) -> str:
    """What an error says, to be put into a sentence."""
    said = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    if isinstance(error, sqlite3.Error):
        said = (
            f"it is damaged ({said})" if "interrupted" not in said else "reading it takes too long"
        )
    if isinstance(error, UnicodeDecodeError):
        said = "it is damaged (a text in it is none)"
    return said.strip().rstrip(".")
