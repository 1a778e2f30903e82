"""Runs that were deleted, until they are gone for good: each in a folder of its own beside the library."""

import contextlib
import shutil
import time
from collections.abc import Collection
from pathlib import Path

from engine import runs, store
from engine.data_sets import home
from engine.errors import RunError, SpecError, StoreError
from engine.gate import gated

#: Beside the file itself: what was written and is not folded into it yet.
_PARTS = ("-wal", "-shm", "")


@gated
def throw(run: str) -> None:
    """Take a run out of the library. Raises RunError while it trains, StoreError."""
    file = runs.path(run)
    with contextlib.suppress(StoreError, SpecError):  # an unreadable file can be deleted too
        found = runs.info(run)
        if found.status in store.BEGUN:
            raise RunError(f"Run {run} is still training: stop it before deleting it.")
        if found.status == store.QUEUED:
            runs.send(run, "stop")
            _check_stopped(run)
    place = _folder() / run
    try:
        place.mkdir(parents=True, exist_ok=True)
        _move(file, place / file.name)
    except OSError as error:
        raise StoreError(f"Run {run} cannot be deleted: {error.strerror}.") from error


def _check_stopped(run: str) -> None:
    if runs.info(run).status in store.OPEN:
        raise RunError(f"Run {run} has just begun: stop it before deleting it.")


@gated
def restore(run: str) -> None:
    """Put a run back into the library. Raises RunError where it is gone for good, StoreError."""
    file = _folder() / run / f"{run}{store.SUFFIX}"
    if not file.exists():
        raise RunError(f"Run {run} cannot be put back: it is gone for good.")
    try:
        _move(file, runs.library() / file.name)
        shutil.rmtree(file.parent, ignore_errors=True)
    except OSError as error:
        raise StoreError(f"Run {run} cannot be put back: {error.strerror}.") from error


@gated
def purge(some: Collection[str]) -> None:
    """Let go of runs for good, of those that are in the trash."""
    for place in _places():
        if place.name in some:
            shutil.rmtree(place, ignore_errors=True)


def purge_all(older_than: float = 0.0) -> None:
    """Let go for good of all that was thrown away more than so many seconds ago."""
    for place in _places():
        with contextlib.suppress(OSError):  # another server was faster
            if time.time() - place.stat().st_mtime >= older_than:
                shutil.rmtree(place, ignore_errors=True)


def _move(file: Path, to: Path) -> None:
    """The log goes first, so that at its new place the file never lacks it."""
    for end in _PARTS:
        with contextlib.suppress(FileNotFoundError):
            file.with_name(file.name + end).replace(to.with_name(to.name + end))


def _places() -> list[Path]:
    try:
        return list(_folder().iterdir())
    except OSError:
        return []


def _folder() -> Path:
    return home() / "trash"
