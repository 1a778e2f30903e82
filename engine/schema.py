"""The tables of a run's file, and how an older file becomes one of today. Only engine/store.py uses it."""

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import StoreError

SCHEMA = 4
BUSY_S = 10.0  # how long to wait for another process's lock on the file, to write
READ_BUSY_S = 2.0  # the same to read: in a log mode only a program that locks out all holds that up
MAKING = ".making"  # behind a file's name until it is whole

TABLES = """
CREATE TABLE run (
    id TEXT NOT NULL, title TEXT NOT NULL, preset TEXT NOT NULL, spec TEXT NOT NULL,
    created REAL NOT NULL, status TEXT NOT NULL, activity TEXT NOT NULL DEFAULT '',
    sentence TEXT NOT NULL DEFAULT '', traceback TEXT NOT NULL DEFAULT '',
    started REAL, ended REAL, device TEXT NOT NULL DEFAULT '', versions TEXT NOT NULL DEFAULT '{}',
    parent TEXT NOT NULL DEFAULT '', parent_step INTEGER, now TEXT NOT NULL DEFAULT '',
    frozen TEXT NOT NULL DEFAULT '[]', changes INTEGER NOT NULL DEFAULT 0,
    starred INTEGER NOT NULL DEFAULT 0, note TEXT NOT NULL DEFAULT '',
    tags TEXT NOT NULL DEFAULT '[]');
CREATE TABLE heartbeat (pid INTEGER NOT NULL, pid_started REAL NOT NULL, at REAL NOT NULL,
    step INTEGER NOT NULL);
CREATE TABLE records (step INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, phase INTEGER NOT NULL,
    seconds REAL NOT NULL, scalars BLOB NOT NULL);
CREATE TABLE histograms (step INTEGER PRIMARY KEY, counts BLOB NOT NULL);
CREATE TABLE steps (first INTEGER PRIMARY KEY, seconds REAL NOT NULL, numbers BLOB NOT NULL,
    watched REAL);
CREATE TABLE epochs (epoch INTEGER PRIMARY KEY, step INTEGER NOT NULL, phase INTEGER NOT NULL,
    numbers BLOB NOT NULL);
CREATE TABLE events (id INTEGER PRIMARY KEY, step INTEGER NOT NULL, kind TEXT NOT NULL,
    words TEXT NOT NULL, change TEXT NOT NULL DEFAULT '', at REAL NOT NULL DEFAULT 0);
CREATE TABLE commands (id INTEGER PRIMARY KEY, at REAL NOT NULL, command TEXT NOT NULL,
    arguments TEXT NOT NULL, taken_at_step INTEGER);
CREATE TABLE checkpoints (step INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, kind TEXT NOT NULL,
    bytes INTEGER NOT NULL, state BLOB NOT NULL);
CREATE TABLE kernel (id INTEGER PRIMARY KEY, batch_size INTEGER NOT NULL, numbers BLOB NOT NULL,
    gram BLOB, labels BLOB);
"""

#: Schema of a file -> what makes it one of the next.
_STEPS = {
    1: """
ALTER TABLE run ADD COLUMN parent TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN parent_step INTEGER;
ALTER TABLE run ADD COLUMN now TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN frozen TEXT NOT NULL DEFAULT '[]';
ALTER TABLE run ADD COLUMN changes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN starred INTEGER NOT NULL DEFAULT 0;
ALTER TABLE run ADD COLUMN note TEXT NOT NULL DEFAULT '';
ALTER TABLE run ADD COLUMN tags TEXT NOT NULL DEFAULT '[]';
ALTER TABLE events ADD COLUMN change TEXT NOT NULL DEFAULT '';
ALTER TABLE events ADD COLUMN at REAL NOT NULL DEFAULT 0;
CREATE TABLE checkpoints (step INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, kind TEXT NOT NULL,
    bytes INTEGER NOT NULL, state BLOB NOT NULL);
""",
    2: """
CREATE TABLE kernel (id INTEGER PRIMARY KEY, batch_size INTEGER NOT NULL, numbers BLOB NOT NULL,
    gram BLOB, labels BLOB);
""",
    3: """
ALTER TABLE steps ADD COLUMN watched REAL;
""",
}


@contextmanager
def sentences(path: Path) -> Iterator[None]:
    """Turns what SQLite says of a file into StoreError."""
    try:
        yield
    except (sqlite3.Error, ValueError) as error:
        raise StoreError(f"The run file {path.name} cannot be used: {error}.") from error


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """A connection to a file: mode is "ro", "rw" or "rwc".

    In a folder that cannot be written to, SQLite cannot make what several readers share; there
    nobody writes, and a file without a log is read as it lies.
    """
    uri = f"{path.resolve().as_uri()}?mode={mode}"
    if mode == "ro" and not os.access(path.parent, os.W_OK) and not _has_log(path):
        uri += "&immutable=1"
    return sqlite3.connect(
        uri,
        uri=True,
        timeout=READ_BUSY_S if mode == "ro" else BUSY_S,
        isolation_level=None,
        check_same_thread=False,
    )


def _has_log(path: Path) -> bool:
    log = path.with_name(path.name + "-wal")
    return log.exists() and log.stat().st_size > 0


def make(path: Path, columns: dict[str, Any]) -> None:
    """Make a file with its tables and the run's row, whole or not at all. Raises StoreError.

    It is made under another name: who is killed meanwhile leaves nothing that looks like a run.
    """
    if path.exists():
        raise StoreError(f"There is a run file {path.name} already.")
    making = path.with_name(path.name + MAKING)
    _let_go(making)
    try:
        with sentences(path):
            _make(making, columns)
        making.replace(path)
    except OSError as error:
        raise StoreError(f"The run file {path.name} cannot be made: {error.strerror}.") from error
    finally:
        _let_go(making)


def _let_go(making: Path) -> None:
    for end in ("", "-wal", "-shm"):
        with suppress(OSError):  # it is not there, or the folder is only read
            making.with_name(making.name + end).unlink()


def _make(path: Path, columns: dict[str, Any]) -> None:
    connection = connect(path, "rwc")
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.executescript(f"BEGIN; {TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
        marks = ", ".join("?" * len(columns))
        connection.execute(
            f"INSERT INTO run ({', '.join(columns)}) VALUES ({marks})", tuple(columns.values())
        )
        # All of it into the file, which alone is renamed.
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
    finally:
        connection.close()


def is_older(connection: sqlite3.Connection, name: str) -> bool:
    """Whether a file must be brought up to date. Raises StoreError for one that is none, or is newer."""
    found = _found(connection)
    if found > SCHEMA:
        raise StoreError(
            f"The run file {name} has schema {found}; this version reads up to {SCHEMA}: "
            "open it with a newer version."
        )
    if found < 1:
        raise StoreError(f"The file {name} is not a run file.")
    return found < SCHEMA


def migrate(path: Path) -> None:
    """Bring a file up to SCHEMA, whole or not at all; another process may have done so meanwhile."""
    connection = connect(path, "rw")
    try:
        connection.execute("BEGIN IMMEDIATE")
        for version in range(_found(connection), SCHEMA):
            # executescript would commit what has begun.
            for statement in filter(str.strip, _STEPS[version].split(";")):
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")
    finally:
        connection.close()  # what was not committed is undone


def _found(connection: sqlite3.Connection) -> int:
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    return version
