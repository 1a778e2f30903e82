"""Start, queue, steer, list and delete runs. It starts the worker as a program, never imports it.

A run is a file in the library. `start` writes the file and a marker in the queue; the supervisor
(engine/supervisor.py), which lives in the server, gives the oldest to a worker process. Whoever
removes a marker owns the run, so two servers may share one library.
"""

import contextlib
import itertools
import os
import re
import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine import limits, presets, processes, store
from engine.data_sets import check_obtainable, data_here, default_data, home
from engine.errors import EngineError, RunError, SpecError, StoreError
from engine.gate import gated
from engine.quotes import quoted
from engine.spec import RunSpec
from engine.steering import Change, Standing, as_json, settled

__all__ = ["data_here", "default_data"]  # what a page needs to know of data comes from here

#: A run's id; where it was started with others, its set's id with contender and seed behind it.
_ID = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}(-c\d\d-s\d\d)?")
COMMANDS = ("stop", "pause", "resume", "step", "epoch")
END_S = 1.0  # how long to wait for a lock to write that a run has ended; it is seen without that
FRESH_S = 3.0  # a sign of life younger than this needs no other proof
#: Arithmetic that is the same for every number of threads and on processors of one maker with AVX2: kernels
#: of one vector width in torch, one code path in MKL. It costs a sigmoid network 5 to 25 % of its
#: speed (docs/performance.md). Must be set before torch is imported.
SAME_BITS = {
    "ATEN_CPU_CAPABILITY": "default",
    "MKL_CBWR": "AVX2,STRICT",
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
}


def library() -> Path:
    """The folder of run files; made when it is not there."""
    folder = home() / "runs"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(f"The library {folder} cannot be made: {error.strerror}.") from error
    return folder


def path(run: str) -> Path:
    """The file of a run. Raises RunError for an id that is not one or names no run."""
    if not _ID.fullmatch(run):
        raise RunError(f"{run[:40]!r} is not a run's id, such as 20261123-140509-3fa2.")
    found = library() / f"{run}{store.SUFFIX}"
    if not found.exists():
        raise RunError(f"There is no run {run} in this library.")
    return found


def new_id() -> str:
    """An id, with the time in it, that no run and no set of this library has."""
    while True:
        made = f"{time.strftime('%Y%m%d-%H%M%S')}-{secrets.token_hex(2)}"
        if not any(library().glob(f"{made}*")):
            return made


@gated
def create(spec: RunSpec, *, title: str | None = None, preset: str = "", **more: Any) -> str:
    """Make a new run's file, and return the run's id. Raises DataError, StoreError."""
    check_obtainable(spec.data)
    return create_as(new_id(), spec, title=title, preset=preset, **more)


@gated
def create_as(
    run: str, spec: RunSpec, *, title: str | None = None, preset: str = "", **more: Any
) -> str:
    """The same under an id that is free, for data that is to be had. Raises StoreError.

    more  other columns of its row, as of store.create
    """
    file = library() / f"{run}{store.SUFFIX}"
    kept = preset if presets.matches(preset, spec) else presets.name_of(spec)
    store.create(file, title=title or presets.title_of(spec), spec=spec, preset=kept, **more)
    return run


def claim(run: str) -> None:
    """Note that this process is the one that will train a run. Raises RunError, StoreError."""
    with store.Writer(path(run)) as writer:
        writer.claim(os.getpid(), processes.begun(os.getpid()))


@gated
def start(
    spec: RunSpec,
    *,
    title: str | None = None,
    preset: str = "",
    changes: Sequence[tuple[int, Change]] = (),
) -> str:
    """Queue a run, and return its id. Raises LimitError, DataError, StoreError; spec faults come earlier.

    changes  made while it trains, each before its step
    """
    limits.check([spec])
    run = create(spec, title=title, preset=preset)
    plan(path(run), changes)
    enqueue(run, time.time_ns())
    return run


@gated
def enqueue(run: str, place: int) -> None:
    """Let a run wait for a worker. What has the smallest place starts first. Raises StoreError.

    place  nanoseconds since 1970: when the run was asked for. A later time lets others go before
    """
    try:
        (_queue() / f"{place:020d}-{run}").touch()
    except OSError as error:
        raise StoreError(f"Run {run} cannot be queued: {error.strerror}.") from error
    queued.set()


@gated
def send(run: str, command: str) -> None:
    """Give a run an order, one of COMMANDS. Raises RunError, StoreError."""
    if command not in COMMANDS:
        raise RunError(f"command is {quoted(command)}; it must be one of {', '.join(COMMANDS)}.")
    file = path(run)
    if command == "stop" and _unqueue(run):
        with store.Writer(file) as writer:
            writer.end_if_open(store.STOPPED, "Stopped before it began.")
        return
    if command != "stop":
        _check_open(info(run))
    with store.Writer(file) as writer:
        writer.send(command, {})


@gated
def change(run: str, change: Change) -> None:
    """Change a run between two steps, while it trains or is paused. Raises SpecError, RunError."""
    found = info(run)
    _check_open(found)
    change = settled(Standing(spec=found.now, frozen=frozenset(found.frozen)), change)
    with store.Writer(path(run)) as writer:
        writer.send("change", {"change": as_json(change)})


def _check_open(found: store.RunInfo) -> None:
    if found.status not in store.OPEN:
        raise RunError(
            f"Run {found.id} has ended ({found.status}): it cannot be steered, but branched from."
        )


@gated
def plan(file: Path, changes: Sequence[tuple[int, Change]]) -> None:
    """Leave changes in a run's file, each to be made before its step. Raises StoreError."""
    with store.Writer(file) as writer:
        for step, change in changes:
            writer.send("change", {"change": as_json(change), "at": step})


def info(run: str) -> store.RunInfo:
    """What is known of a run, its status checked against the living process. Raises RunError."""
    with store.Reader(path(run)) as reader:
        return checked(reader.run())


def checked(found: store.RunInfo) -> store.RunInfo:
    """The same, with status "lost" where the worker that should be running it is gone."""
    begun = found.status in store.BEGUN or (found.status == store.QUEUED and found.pid is not None)
    if not begun or is_worker_alive(found.pid, found.pid_started):
        return found
    if (
        found.heartbeat
        and abs(time.time() - found.heartbeat) < FRESH_S
        and processes.exists(found.pid)
    ):
        return found  # its process seems to have begun at another time: the clock was set
    return replace(found, status=store.LOST, sentence=lost_words(found.step))


def lost_words(step: int, why: str = "its worker is gone") -> str:
    return f"Stopped unexpectedly at step {step}: {why}. What it recorded is kept."


#: Whether the process of an id is still the one that began then.
is_worker_alive = processes.is_alive


def all() -> list[store.RunInfo]:
    """Every readable run, newest first."""
    return [found for found in map(_try_info, files()) if isinstance(found, store.RunInfo)]


def newest(count: int) -> list[store.RunInfo]:
    """The newest readable runs, newest first, without opening the others: a file costs some 2 ms."""
    found = (_try_info(file) for file in files())
    return list(itertools.islice((f for f in found if isinstance(f, store.RunInfo)), count))


def broken() -> list[str]:
    """One sentence for each run file that cannot be read."""
    return [str(found) for found in map(_try_info, files()) if isinstance(found, EngineError)]


@gated
def delete(run: str) -> None:
    """Delete a run: its file, that is. Raises RunError while it is running."""
    file = path(run)
    with contextlib.suppress(StoreError, SpecError):  # an unreadable file can be deleted too
        if info(run).status in store.BEGUN:
            raise RunError(f"Run {run} is still running: stop it before deleting it.")
    _unqueue(run)
    for part in (file, *(file.with_name(file.name + end) for end in ("-wal", "-shm"))):
        part.unlink(missing_ok=True)


def queue_position(run: str) -> int:
    """How many runs start before this one, plus 1; 0 where it does not wait."""
    waiting = [marker.name.partition("-")[2] for marker in _markers()]
    return waiting.index(run) + 1 if run in waiting else 0


def files(pattern: str = "*") -> list[Path]:
    """The files of the runs whose id fits a pattern, by name only, newest first."""
    found = [f for f in library().glob(f"{pattern}{store.SUFFIX}") if _ID.fullmatch(f.stem)]
    return sorted(found, reverse=True)


def _try_info(file: Path) -> store.RunInfo | EngineError:
    try:
        with store.Reader(file) as reader:
            return checked(reader.run())
    except EngineError as error:
        return error


def _queue() -> Path:
    folder = home() / "queue"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _markers() -> list[Path]:
    try:
        return sorted(_queue().iterdir())
    except OSError:  # it cannot be made: nothing was ever queued
        return []


def _unqueue(run: str) -> bool:
    """Take a run out of the queue; whether it was there and it was we who took it."""
    for marker in _markers():
        if marker.name.partition("-")[2] == run:
            with contextlib.suppress(FileNotFoundError):
                marker.unlink()
                return True
    return False


queued = threading.Event()  # set by `start`, so that a supervisor in this process need not wait


def next_queued(wanted: Callable[[str], bool] = lambda run: True) -> Path | None:
    """The oldest queued run, of those `wanted`, now ours."""
    for marker in _markers():
        run = marker.name.partition("-")[2]
        if not wanted(run):
            continue
        try:
            marker.unlink()
        except FileNotFoundError:
            continue  # another server took it
        with contextlib.suppress(RunError):
            return path(run)
    return None


def is_any_queued() -> bool:
    """Whether a run waits for a worker."""
    return bool(_markers())


def end_open(
    file: Path | None, status: str, sentence: str, where: Collection[str] = store.OPEN
) -> None:
    """End a run that its worker left open, if its status is one of those in `where`."""
    if file is None:
        return
    # Not waiting for who has locked the file: who calls this has others to care for.
    with contextlib.suppress(EngineError), store.Writer(file, END_S) as writer:
        writer.end_if_open(status, sentence, where)


def end_lost() -> None:
    """Write down which runs a killed server or worker left behind."""
    waiting = {marker.name.partition("-")[2] for marker in _markers()}
    for file in files():
        found = _try_info(file)
        if not isinstance(found, store.RunInfo):
            continue
        if found.status == store.LOST:
            end_open(file, store.LOST, found.sentence)
        elif found.status == store.QUEUED and found.id not in waiting and found.heartbeat is None:
            words = "Stopped before it began: the server went away."
            end_open(file, store.STOPPED, words, (store.QUEUED,))  # another server may have it
