"""A run's file of a million steps: real records at exactly the steps that a real run would record."""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from engine import runs, store
from engine.bench import apart
from engine.bench.apart import Tell
from engine.records import EpochEnd, Item, Record, Steps
from engine.spec import RunSpec

MILLION = 10**6
TRAINED = 1060  # steps of the real run whose records it is made of: ten epochs at batch 512
STEP_S = 0.008  # seconds that a step is said to take


def million_file(
    path: Path, spec: dict[str, Any], steps: int = MILLION, trained: int = TRAINED
) -> dict[str, float]:
    """Make the file of a finished run of so many steps; its records, its bytes, those of a record.

    path     of the file; its name without the ending is the run's id. In a folder that exists
    spec     fields of the run, as Setting.spec gives them
    trained  steps of the real run whose records fill it, `steps` at most

    Where VGLAB_DATA and VGLAB_HOME say, a real run is trained for it, and deleted. Raises RunError.
    """
    asked = {"path": str(path), "spec": spec, "steps": steps, "trained": trained}
    found: dict[str, float] = apart.once("million:fill", asked, runs.SAME_BITS)
    return found


def fill(tell: Tell, path: str, spec: dict[str, Any], steps: int, trained: int) -> None:
    """The same in this process, and tells what it found."""
    real = _real_items(RunSpec(**spec | {"steps": min(steps, trained)}))
    asked = RunSpec(**spec | {"steps": steps})
    file = Path(path)
    count = _write(file, asked, _items(real, asked))
    found = {"records": count, "bytes": file.stat().st_size}
    tell(found | {"record_bytes": _bytes_of_a_record(file, asked, real)})


def recorded_steps(spec: RunSpec) -> Iterator[tuple[int, int]]:
    """Each step of a whole run that gets a full record, and the epochs finished before it."""
    from engine.recorder import epoch_is_recorded, is_recorded  # it imports torch

    for step in range(spec.total_steps):
        epoch, place = divmod(step, spec.steps_per_epoch)
        last = step + 1 == spec.total_steps
        ends = (place + 1 == spec.steps_per_epoch or last) and epoch_is_recorded(epoch + 1)
        if ends or last or is_recorded(step):
            yield step, epoch


def _real_items(spec: RunSpec) -> list[Item]:
    """The records, the losses and the epochs of a run that is trained for it, in order of kinds."""
    from engine.worker import Job

    run = runs.create_as(runs.new_id(), spec)
    Job(runs.path(run)).work()
    with store.Reader(runs.path(run)) as reader:
        whole = [reader.record(record.step) for record in reader.records()]
        found: list[Item] = [
            *(record for record in whole if record),
            *reader.steps(),
            *reader.epochs(),
        ]
    runs.delete(run)
    return found


def _items(real: list[Item], spec: RunSpec) -> Iterator[Item]:
    """Those of the long run, in order of steps: each of the real ones stands for a stretch of it."""
    records = [item for item in real if isinstance(item, Record)]
    epochs = [item for item in real if isinstance(item, EpochEnd)]
    blocks = [item for item in real if isinstance(item, Steps)]
    losses, accuracies = (
        np.concatenate([getattr(block, name) for block in blocks]) for name in ("loss", "accuracy")
    )
    length = max(1, round(len(losses) / len(blocks)))  # as often as the real run handed them on
    total, begun, known = spec.total_steps, 0, recorded_steps(spec)
    waiting = next(known, None)
    for epoch in itertools.count():
        end = min(begun + spec.steps_per_epoch, total)
        while waiting is not None and waiting[0] < end:
            record = records[waiting[0] * len(records) // total]
            seconds = STEP_S * waiting[0]
            yield replace(record, step=waiting[0], epoch=waiting[1], seconds=seconds)
            waiting = next(known, None)
        for first in range(begun, end, length):
            places = np.arange(first, min(first + length, end)) * len(losses) // total
            seconds = STEP_S * (first + len(places) - 1)
            yield Steps(
                first=first, loss=losses[places], accuracy=accuracies[places], seconds=seconds
            )
        if end - begun == spec.steps_per_epoch or end == total:
            told = epochs[begun * len(epochs) // total]
            yield replace(told, epoch=epoch + 1, step=end, seconds=STEP_S * end)
        begun = end
        if begun == total:
            return


def _write(file: Path, spec: RunSpec, items: Iterator[Item]) -> int:
    """Write them as the file of a finished run; how many records there were."""
    store.create(file, title=f"{spec.total_steps:,} steps", spec=spec)
    count = 0
    with store.Writer(file) as writer:
        for number, item in enumerate(items):
            writer.add(item)
            count += isinstance(item, Record)
            if number % 500 == 499:
                writer.commit()
        writer.commit((1, 0.0, spec.total_steps))
        writer.update(
            status=store.FINISHED,
            sentence=f"Finished after {spec.total_steps} steps.",
            started=0.0,
            ended=STEP_S * spec.total_steps,
            device="cpu",
        )
        writer.fold()
    return count


def _bytes_of_a_record(beside: Path, spec: RunSpec, real: list[Item]) -> float:
    """How much longer a file gets by each record: that of one with them less that of one without."""
    records = [item for item in real if isinstance(item, Record)]
    sizes: list[int] = []
    for items in (records[:0], records):
        file = beside.with_name(f"weighed-{len(sizes)}{store.SUFFIX}")
        _write(file, spec, iter(items))
        sizes.append(file.stat().st_size)
        file.unlink()
    return (sizes[1] - sizes[0]) / len(records)
