"""What a damaged run file makes sqlite3, zlib and numpy say, as one sentence."""

import sqlite3
import zlib
from pathlib import Path

from engine.errors import StoreError


class told_as_damage:  # noqa: N801  a context manager used as a word
    """Turns their errors into StoreError."""

    def __init__(self, path: Path):
        self.path = path

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (sqlite3.Error, zlib.error, ValueError, TypeError, IndexError)):
            raise StoreError(f"The run file {self.path.name} is damaged: {error}.") from error
