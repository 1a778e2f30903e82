"""One SQLite file per run: one writer of records, many readers.

Write-ahead logging, one transaction per batch of items: a reader sees an item whole or not at
all, and what was committed survives a killed worker. Numbers live in float64 blobs, because norms
reach below float32's range and SQLite stores NaN as NULL.
"""

import json
import sqlite3
import time
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Self

from engine import blobs, schema
from engine.errors import SpecError, StoreError
from engine.records import EpochEnd, Event, InputKernel, Item, Record, Steps
from engine.run_info import (
    BEGUN,
    COLUMNS,
    DIVERGED,
    FAILED,
    FINISHED,
    LOST,
    OPEN,
    PAUSED,
    QUEUED,
    RUNNING,
    STATUSES,
    STOPPED,
    Checkpoint,
    Command,
    RunInfo,
    info_of,
    spec_of,
)
from engine.schema import SCHEMA
from engine.spec import RunSpec

#: Statuses and RunInfo are asked of the store by those who read runs.
__all__ = [
    "BEGUN",
    "DIVERGED",
    "FAILED",
    "FINISHED",
    "LOST",
    "OPEN",
    "PAUSED",
    "QUEUED",
    "RUNNING",
    "SCHEMA",
    "STATUSES",
    "STOPPED",
    "SUFFIX",
    "Checkpoint",
    "Command",
    "Reader",
    "RunInfo",
    "Writer",
    "clean",
    "create",
]

SUFFIX = ".sqlite"
HALF_MADE_S = 3600.0  # old enough that nobody is at it any more: it takes some milliseconds
MOST_STEP = 2**62  # beyond every step, and a number that SQLite holds


_sentences = schema.sentences
#: What values that are not what they should be make Python, numpy and zlib raise.
DAMAGE = (TypeError, ValueError, IndexError, OverflowError, MemoryError, zlib.error)


@contextmanager
def _damage(path: Path) -> Iterator[None]:
    """Turns what a damaged row makes others say into StoreError."""
    try:
        yield
    except (*DAMAGE, SpecError) as error:
        said = str(error).rstrip(".")
        raise StoreError(f"The run file {path.name} is damaged: {said}.") from error


def create(path: Path, *, title: str, spec: RunSpec, preset: str = "", **more: Any) -> None:
    """Make the file of a new run, queued. The run's id is the file's name. Raises StoreError.

    more  other columns of the run's row: parent, parent_step, created, ...
    """
    told = {"title": title, "preset": preset, "spec": spec.model_dump_json(), "status": QUEUED}
    schema.make(path, {"id": path.stem, "created": time.time()} | told | more)


def clean(folder: Path) -> None:
    """Let go of what a killed program left half made in a library, an hour ago or more."""
    for left in folder.glob(f"*{SUFFIX}{schema.MAKING}*"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > HALF_MADE_S:
                left.unlink()


class _File:
    """A connection to a run's file that is closed at the end of a `with`."""

    mode = "ro"

    def __init__(self, path: Path):
        self.path = path
        if not path.exists():
            raise StoreError(f"There is no run file {path.name}.")
        with _sentences(path):
            self.connection = schema.connect(path, self.mode)
            try:
                if schema.is_older(self.connection, path.name):
                    schema.migrate(path)
            except (sqlite3.Error, StoreError):
                self.connection.close()
                raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.connection.close()

    def _rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        with _sentences(self.path):
            return self.connection.execute(query, values).fetchall()

    def checkpoints(self) -> list[Checkpoint]:
        """The moments that can be gone back to, oldest first, without their states."""
        rows = self._rows("SELECT step, epoch, kind, bytes FROM checkpoints ORDER BY step")
        return [Checkpoint(step=r[0], epoch=r[1], kind=r[2], bytes=r[3]) for r in rows]


class Writer(_File):
    """The one writer of a run's records; also what changes its status and gives it commands.

    Items wait in memory until `commit`, which writes them in one transaction.

    patience  seconds to wait for another program's lock; None: schema.BUSY_S
    """

    mode = "rw"

    def __init__(self, path: Path, patience: float | None = None):
        super().__init__(path)
        self.waiting: list[Item] = []
        self._version = -1  # SQLite's count of others' writes
        # Each commit is in the operating system's hands, safe from a killed process; only a
        # power cut can lose the last moments. A full sync would cost some 10 ms per commit.
        with _sentences(path):
            self.connection.execute("PRAGMA synchronous = NORMAL")
            if patience is not None:
                self.connection.execute(f"PRAGMA busy_timeout = {1000 * patience:.0f}")

    def add(self, item: Item) -> None:
        """Take an item; it is on disk after the next `commit`."""
        self.waiting.append(item)

    def commit(self, heartbeat: tuple[int, float, int] | None = None) -> None:
        """Write what waits, whole or not at all, with a sign of life (pid, its start, step)."""
        with self._transaction():
            for item in self.waiting:
                blobs.INSERTS[type(item)](self.connection, item)
            if heartbeat is not None:
                pid, pid_started, step = heartbeat
                self.connection.execute("DELETE FROM heartbeat")
                self.connection.execute(
                    "INSERT INTO heartbeat VALUES (?, ?, ?, ?)",
                    (pid, pid_started, time.time(), step),
                )
        self.waiting.clear()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with _sentences(self.path):
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def update(self, **columns: Any) -> None:
        """Change columns of the run's own row: status, activity, sentence, started, ..."""
        sets = ", ".join(f"{name} = ?" for name in columns)
        with _sentences(self.path):
            self.connection.execute(f"UPDATE run SET {sets}", tuple(columns.values()))

    def end_if_open(self, status: str, sentence: str, where: Collection[str] = OPEN) -> bool:
        """End a run that has not ended yet, its status being one of those in `where`; whether it did.

        Safe beside its worker.
        """
        with _sentences(self.path):
            marks = ", ".join("?" * len(where))
            cursor = self.connection.execute(
                f"UPDATE run SET status = ?, sentence = ?, ended = ? WHERE status IN ({marks})",
                (status, sentence, time.time(), *where),
            )
            return cursor.rowcount == 1

    def claim(self, pid: int, pid_started: float) -> None:
        """Note which process will run this, unless it has given a sign of life of its own."""
        with _sentences(self.path):
            self.connection.execute(
                "INSERT INTO heartbeat SELECT ?, ?, ?, 0 WHERE NOT EXISTS (SELECT 1 FROM heartbeat)",
                (pid, pid_started, time.time()),
            )

    def fold(self, *, wait: bool = True) -> None:
        """Move everything from the write-ahead log into the file, so that the file alone is the run.

        Not waiting for readers, and without holding up whoever writes, as much as can be.
        """
        with _sentences(self.path):
            how = "TRUNCATE" if wait else "PASSIVE"
            self.connection.execute(f"PRAGMA wal_checkpoint({how})").fetchall()

    def keep(
        self,
        checkpoint: Checkpoint,
        state: bytes,
        surplus: Callable[[Sequence[Checkpoint]], Sequence[int]] = lambda kept: (),
    ) -> None:
        """Write a checkpoint and let go of those that `surplus` names, whole or not at all."""
        with self._transaction():
            self.connection.execute(
                "INSERT OR REPLACE INTO checkpoints VALUES (?, ?, ?, ?, ?)",
                (checkpoint.step, checkpoint.epoch, checkpoint.kind, checkpoint.bytes, state),
            )
            gone = [(step,) for step in surplus(self.checkpoints())]
            self.connection.executemany("DELETE FROM checkpoints WHERE step = ?", gone)

    def send(self, command: str, arguments: dict[str, Any]) -> None:
        """Leave an order for the worker."""
        with _sentences(self.path):
            self.connection.execute(
                "INSERT INTO commands (at, command, arguments) VALUES (?, ?, ?)",
                (time.time(), command, json.dumps(arguments)),
            )

    def new_commands(self, after: int = 0) -> list[Command]:
        """Orders not taken yet, oldest first, of those with an id above `after`."""
        rows = self._rows(
            "SELECT id, command, arguments FROM commands"
            " WHERE taken_at_step IS NULL AND id > ? ORDER BY id",
            after,
        )
        return [Command(id=r[0], command=r[1], arguments=json.loads(r[2])) for r in rows]

    def is_told(self) -> bool:
        """Whether anybody else has written since this was asked last. Cheap."""
        with _sentences(self.path):
            version = self.connection.execute("PRAGMA data_version").fetchone()[0]
        before, self._version = self._version, version
        return bool(version != before)

    def taken(self, command: Command, step: int) -> None:
        """Note that an order was carried out at a step."""
        with _sentences(self.path):
            self.connection.execute(
                "UPDATE commands SET taken_at_step = ? WHERE id = ?", (step, command.id)
            )


class Reader(_File):
    """A run's file, opened for reading only."""

    def run(self) -> RunInfo:
        """What is known of the run beside its numbers."""
        rows = self._rows(f"SELECT {COLUMNS} FROM run LEFT JOIN heartbeat")
        if not rows:
            raise StoreError(f"The run file {self.path.name} is empty.")
        with _damage(self.path):
            return info_of(rows[0], self.path.stem)

    def orders(self) -> list[str]:
        """The orders that the worker has not taken, changes apart, which may be due later."""
        rows = self._rows(
            "SELECT command FROM commands WHERE taken_at_step IS NULL AND command != 'change'"
        )
        return [row[0] for row in rows]

    def records(self, after: int = -1, until: int = MOST_STEP) -> list[Record]:
        """Records of steps above `after`, up to `until`, oldest first, without their histograms."""
        columns, some = "step, epoch, phase, seconds, scalars", "step > ? AND step <= ?"
        rows = self._rows(f"SELECT {columns} FROM records WHERE {some} ORDER BY step", after, until)
        with _damage(self.path):
            layers = self._layers() if rows else 0
            return [blobs.record_of(row, layers) for row in rows]

    def record(self, step: int) -> Record | None:
        """The record of exactly that step, with its histograms."""
        rows = self._rows(
            "SELECT r.step, epoch, phase, seconds, scalars, counts FROM records r"
            " JOIN histograms h ON h.step = r.step WHERE r.step = ?",
            step,
        )
        with _damage(self.path):
            return blobs.record_of(rows[0][:5], self._layers(), rows[0][5]) if rows else None

    def _layers(self) -> int:
        return spec_of(self._rows("SELECT spec FROM run")[0][0]).layers

    def last_step(self) -> int | None:
        """The newest recorded step; None where nothing is recorded."""
        newest: int | None = self._rows("SELECT max(step) FROM records")[0][0]
        return newest

    def steps(
        self, after: int = -1, until: int = MOST_STEP, *, joined: bool = False
    ) -> list[Steps]:
        """Blocks of batch losses that begin above step `after`, up to `until`, oldest first; old ones
        `joined` to one, which is much quicker where they are many."""
        columns, some = "first, seconds, numbers, watched", "first > ? AND first <= ?"
        rows = self._rows(f"SELECT {columns} FROM steps WHERE {some} ORDER BY first", after, until)
        with _damage(self.path):
            return blobs.joined(rows) if joined else [blobs.steps_of(row) for row in rows]

    def epochs(self, after: int = 0) -> list[EpochEnd]:
        """Ends of epochs above `after`, oldest first."""
        rows = self._rows(
            "SELECT epoch, step, phase, numbers FROM epochs WHERE epoch > ? ORDER BY epoch", after
        )
        with _damage(self.path):
            return [blobs.epoch_of(row) for row in rows]

    def events(self) -> list[Event]:
        """Everything that happened, in order."""
        rows = self._rows("SELECT step, kind, words, change, at FROM events ORDER BY step, id")
        return [Event(step=r[0], kind=r[1], words=r[2], change=r[3], at=r[4]) for r in rows]

    def kernel(self) -> InputKernel | None:
        """What theory needs of the first batch; None of a run that has none yet, or is older."""
        rows = self._rows("SELECT batch_size, numbers, gram, labels FROM kernel")
        with _sentences(self.path):
            return blobs.kernel_of(rows[0]) if rows else None

    def state(self, step: int) -> bytes | None:
        """What engine.checkpoints wrote of exactly that step."""
        rows = self._rows("SELECT state FROM checkpoints WHERE step = ?", step)
        return rows[0][0] if rows else None
