"""Made-up runs for the benchmark of the screen: what a recorder writes, without the cost of training.

`python -m engine.bench.recorders '{"files": [...], "cores": [...]}'` records ten times a second into each
of some run files, until its stdin closes. Finished ones are made by `finished`.
"""

import itertools
import json
import os
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil

from engine import runs, store
from engine.bench.chromium import Program, pin
from engine.records import (
    FIRST_BIN,
    GRADIENT_BINS,
    GRADIENT_COLUMNS,
    LINEAR_BINS,
    LOG10_LOW,
    ROW,
    STATISTICS,
    Counts,
    EpochEnd,
    Floats,
    InputKernel,
    Item,
    Record,
    Steps,
)
from engine.spec import RunSpec

RATE = 10.0  # commits per second, as a worker's
STRIDE = 10  # steps between two records
LOOKS = 32  # different records, over and over
SECONDS = 0.01  # that a step is said to take
#: As published: 7 hidden layers of 128 units on 54,000 examples.
SPEC = RunSpec(data="fashion_mnist", epochs=10_000, device="cpu")
KERNEL = InputKernel(
    batch_size=512, same_share=0.097, variance=0.2, harmonic=0.18, same=0.14, different=0.1
)


def looks(layers: int) -> list[Record]:
    """Different records of a dying gradient, at step 0."""
    noise = np.random.default_rng(0)
    return [_look(layers, noise.normal(0, 0.1, layers)) for _ in range(LOOKS)]


def _look(layers: int, noise: Floats) -> Record:
    log10 = -1.5 - 0.85 * np.arange(layers - 1, -1, -1.0) + noise
    scalars = np.full((len(STATISTICS), layers), 0.05)
    scalars[ROW["grad_rms"]] = 10.0**log10
    scalars[ROW["grad_norm"]] = 128 * 10.0**log10
    scalars[ROW["grad_absmax"]] = 5 * 10.0**log10
    scalars[ROW["delta_rms"]] = 10.0**log10 / 2
    for name in ("grad_zero_share", "grad_nonfinite_share", "frozen"):
        scalars[ROW[name]] = 0
    centres = LOG10_LOW + (np.arange(GRADIENT_BINS) + 0.5) / 4
    gradient = np.zeros((layers, GRADIENT_COLUMNS), np.int64)
    gradient[:, FIRST_BIN : FIRST_BIN + GRADIENT_BINS] = 4000 * np.exp(
        -(((centres - log10[:, None]) / 0.5) ** 2) / 2
    )
    return Record(
        step=0,
        epoch=0,
        phase=1,
        seconds=0.0,
        scalars=scalars,
        gradient=gradient,
        weight=_bells(0.3 + noise / 10),
        weight_range=np.full(layers, 0.125),
        activation=_bells(0.4 + noise / 10),
        activation_range=np.ones(layers),
    )


def _bells(widths: Floats) -> Counts:
    centres = (np.arange(LINEAR_BINS) + 0.5) * 2 / LINEAR_BINS - 1
    counts = np.zeros((len(widths), LINEAR_BINS + 1), np.int64)
    counts[:, :LINEAR_BINS] = 900 * np.exp(-((centres / widths[:, None]) ** 2) / 2)
    return counts


def batches() -> Iterator[tuple[int, list[Item]]]:
    """What there is to commit at a time, without end, and the step it ends at."""
    made = looks(SPEC.layers)
    every = SPEC.steps_per_epoch
    for turn in itertools.count():
        step = turn * STRIDE
        epoch, end = step // every, step + STRIDE
        items: list[Item] = [KERNEL] if not turn else []
        items.append(replace(made[turn % LOOKS], step=step, epoch=epoch, seconds=step * SECONDS))
        items.append(_losses(step))
        if end // every > epoch:
            items.append(_epoch_end(epoch + 1))
        yield end, items


def _losses(first: int) -> Steps:
    steps = np.arange(first, first + STRIDE)
    loss = 2.3 * np.exp(-steps / 40_000) + 0.03 * np.sin(steps * 0.7)
    seconds = (first + STRIDE) * SECONDS
    return Steps(first=first, loss=loss, accuracy=1 / (1 + loss * 4), seconds=seconds)


def _epoch_end(epoch: int) -> EpochEnd:
    step = epoch * SPEC.steps_per_epoch
    loss = 2.3 * float(np.exp(-step / 40_000))
    accuracy = 1 / (1 + 4 * loss)
    return EpochEnd(
        epoch=epoch,
        step=step,
        phase=1,
        train_loss=loss,
        train_accuracy=accuracy,
        validation_loss=loss,
        validation_accuracy=accuracy,
        test_loss=loss,
        test_accuracy=accuracy,
        seconds=step * SECONDS,
    )


def created() -> str:
    """A made-up run in the library, without a record; its id."""
    return runs.create_as(runs.new_id(), SPEC, title="Made up")


def finished(commits: int) -> str:
    """The same, with so many commits' worth of records, ended; its id."""
    run = created()
    with store.Writer(runs.path(run)) as writer:
        for _, items in itertools.islice(batches(), commits):
            for item in items:
                writer.add(item)
        step = commits * STRIDE
        writer.commit((1, 1.0, step))
        words = f"Finished after {step} steps."
        writer.update(status=store.FINISHED, sentence=words, started=time.time(), ended=time.time())
        writer.fold()
    return run


class Recorders(Program):
    """Made-up runs that go on recording, in a process of their own.

    runs   their ids
    cores  that it may use; empty: all
    """

    def __init__(self, count: int, cores: list[int]):
        self.runs = [created() for _ in range(count)]
        files = [str(runs.path(run)) for run in self.runs]
        super().__init__("engine.bench.recorders", {"files": files, "cores": cores})
        try:
            self.answer()  # all have a first record
        except BaseException:
            self.end()
            raise


def record(files: list[Path], ended: threading.Event) -> None:
    """Record into files, one after the other in equal distances, until told to end."""
    process = psutil.Process()
    sources = [batches() for _ in files]
    writers = [store.Writer(file) for file in files]
    for writer in writers:
        writer.update(status=store.RUNNING, started=time.time(), device="cpu")
    due = time.monotonic()
    for turn in itertools.count():
        place = turn % len(files)
        step, items = next(sources[place])
        for item in items:
            writers[place].add(item)
        writers[place].commit((process.pid, process.create_time(), step))
        if turn == len(files) - 1:
            print(json.dumps({"recording": len(files)}), flush=True)
        due = max(due + 1 / (RATE * len(files)), time.monotonic() - 1)
        if ended.wait(max(0.0, due - time.monotonic())):
            break
    for writer in writers:
        writer.update(status=store.STOPPED, sentence="Stopped.", ended=time.time())
        writer.close()


def _wait_for_end(ended: threading.Event) -> None:
    sys.stdin.read()
    ended.set()


def main() -> None:
    """Record until stdin closes."""
    asked = json.loads(sys.argv[1])
    pin(os.getpid(), asked["cores"])
    ended = threading.Event()
    threading.Thread(target=_wait_for_end, args=(ended,), daemon=True).start()
    record([Path(file) for file in asked["files"]], ended)


if __name__ == "__main__":
    main()
