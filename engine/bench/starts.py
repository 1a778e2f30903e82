"""How long a worker takes to its first record, and how much memory it holds. Starts real workers."""

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from engine import runs, store
from engine.errors import RunError, StoreError
from engine.spec import RunSpec
from engine.supervisor import Worker

MOST_S = 120.0  # that anything here may take
LOOK_S = 0.002  # between looks into the run's file
IDLE_S = 0.5  # without any CPU used, after which a worker is taken for waiting


def first_record(
    spec: dict[str, Any], *, warm: bool, to_its_end: bool = False
) -> tuple[float, float]:
    """Seconds to a run's first record in its file, and megabytes that the worker holds after the run.

    warm        counted from when a waiting worker is given the run, not from when it is started
    to_its_end  lets the run train to its end; otherwise it is stopped after its first record
    """
    file = _new_file(spec)
    began = time.perf_counter()
    with _worker() as worker:
        if warm:
            _wait_until_idle(worker)
            began = time.perf_counter()
        worker.give(file)
        with store.Reader(file) as reader:
            while reader.last_step() is None:
                _check(worker, began)
                time.sleep(LOOK_S)
        seconds = time.perf_counter() - began
        if not to_its_end:
            with contextlib.suppress(StoreError), store.Writer(file) as writer:
                writer.send("stop", {})
        _wait_until_rest(worker)
        return seconds, float(psutil.Process(worker.process.pid).memory_info().rss) / 1e6


def _new_file(spec: dict[str, Any]) -> Path:
    return runs.path(runs.create_as(runs.new_id(), RunSpec(**spec)))


@contextlib.contextmanager
def _worker() -> Iterator[Worker]:
    worker = Worker()
    try:
        yield worker
    finally:
        worker.end(time.monotonic() + 2)


def _wait_until_rest(worker: Worker) -> None:
    began = time.perf_counter()
    while not worker.rests.wait(0.05):
        _check(worker, began)


def _wait_until_idle(worker: Worker) -> None:
    """It has used CPU, and now uses none."""
    began, process = time.perf_counter(), psutil.Process(worker.process.pid)
    used, since = 0.0, time.perf_counter()
    while not used or time.perf_counter() - since < IDLE_S:
        _check(worker, began)
        time.sleep(0.02)
        times = process.cpu_times()
        if times.user + times.system > used + 0.011:  # a tick of the clock it is counted with
            used, since = times.user + times.system, time.perf_counter()


def _check(worker: Worker, began: float) -> None:
    if not worker.is_alive():
        raise RunError("The worker that was measured ended early.")
    if time.perf_counter() - began > MOST_S:
        raise RunError(f"The worker that was measured took more than {MOST_S:.0f} s.")
