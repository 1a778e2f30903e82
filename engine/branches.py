"""Going back: branch from any step of a run, or run it again with the same changes.

A branch has its parent's spec and, up to where it leaves, its parent's changes: it begins at the
nearest checkpoint, trains from there to the step exactly as the parent did, and only then does what
is new. Its file holds a copy of the past, so that it stands alone.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from engine import runs, store
from engine.errors import RunError, SpecError
from engine.records import EpochEnd, Event, Steps
from engine.run_info import Checkpoint, RunInfo
from engine.spec import RunSpec
from engine.steering import Change, Standing, applied, changes_of, short

Changes = list[tuple[int, Change]]


def branch(
    run: str,
    step: int,
    changes: Sequence[Change] = (),
    *,
    epochs: int | None = None,
    steps: int | None = None,
    title: str | None = None,
) -> str:
    """Start a run that is `run` up to `step` and then has these changes; the new run's id.

    step    steps finished before the changes; what `run` was changed at it is left out
    epochs  how long the new run is, per phase; as long as its parent for None
    steps   the same in steps, for a parent that counts steps

    Raises RunError, SpecError for what cannot be, StoreError.
    """
    with store.Reader(runs.path(run)) as reader:
        info = runs.checked(reader.run())
        spec = _spec(info, epochs, steps)
        origin = _origin(reader.checkpoints(), info, spec, step)
        events = reader.events()
        _check(info, spec, events, step, changes)
        state = reader.state(origin.step)
        past = _past(reader, origin)
    if state is None:
        raise RunError(f"The checkpoint of step {origin.step} was let go meanwhile; try again.")
    before = [one for one in changes_of(events) if one[0] < origin.step]
    standing = _standing(info.spec, [change for _, change in before])
    made = runs.create(
        spec,
        title=title or _title(info, step, changes),
        parent=run,
        parent_step=step,
        now=standing.spec.model_dump_json(),
        frozen=str(sorted(standing.frozen)),
        changes=sum(change.kind != "look" for _, change in before),
    )
    file = runs.path(made)
    try:
        _write(file, past, replace(origin, kind="branch"), state)
        again = [one for one in changes_of(events) if origin.step <= one[0] < step]
        words = f"branched from {info.title}, step {step:,}"
        note = Event(step=step, kind="branch", words=words, at=time.time())
        _write_event(file, note)
        runs.plan(file, [*again, *((step, change) for change in changes)])
        runs.enqueue(made, time.time_ns())
    except BaseException:
        with contextlib.suppress(RunError):
            runs.delete(made)
        raise
    return made


def again(run: str) -> str:
    """Start the same run anew with the same changes at the same steps: the same bits; its id."""
    with store.Reader(runs.path(run)) as reader:
        info, events = runs.checked(reader.run()), reader.events()
    return runs.start(info.spec, title=info.title, preset=info.preset, changes=changes_of(events))


def _spec(info: RunInfo, epochs: int | None, steps: int | None) -> RunSpec:
    spec = info.spec
    if epochs is None and steps is None:
        return spec
    if spec.schedule != "joint":
        raise RunError(
            f"schedule is {spec.schedule}: its phases begin where its length says, so a branch is "
            "as long as the run it leaves."
        )
    if (steps is not None) != (spec.steps is not None):
        counted = "steps" if spec.steps is not None else "epochs"
        raise SpecError({counted: f"The run counts {counted}, so its branch must."})
    return spec.changed({"steps": steps} if steps is not None else {"epochs": epochs})


def _origin(kept: Sequence[Checkpoint], info: RunInfo, spec: RunSpec, step: int) -> Checkpoint:
    if not 0 <= step <= info.step:
        raise RunError(f"step is {step:,}; this run can be left at a step from 0 to {info.step:,}.")
    if step >= spec.total_steps:
        raise RunError(
            f"The run ends at step {spec.total_steps:,}: give the branch more epochs to go on from "
            "there."
        )
    found = [one for one in kept if one.step <= step]
    if not found:
        raise RunError(f"Run {info.id} kept no checkpoint that a branch could begin from.")
    return found[-1]


def _check(
    info: RunInfo, spec: RunSpec, events: Sequence[Event], step: int, changes: Sequence[Change]
) -> None:
    """Raise where a change does not fit how the run stood at the step."""
    past = [change for at, change in changes_of(events) if at < step]
    _standing(spec, [*past, *changes])


def _standing(spec: RunSpec, changes: Sequence[Change]) -> Standing:
    standing = Standing(spec=spec)
    for change in changes:
        standing = applied(standing, change)
    return standing


def _title(info: RunInfo, step: int, changes: Sequence[Change]) -> str:
    told = ", ".join(short(change) for change in changes) or "unchanged"
    # Of a branch of a branch the first name is enough: the library shows the family.
    return f"{info.title.partition(' · from step')[0]} · from step {step:,}: {told}"


def _past(reader: store.Reader, origin: Checkpoint) -> list[Any]:
    """What was recorded before the origin: what comes after is recorded anew."""
    records = [reader.record(found.step) for found in reader.records() if found.step < origin.step]
    blocks = [_cut(block, origin.step) for block in reader.steps() if block.first < origin.step]
    ends: list[EpochEnd] = [end for end in reader.epochs() if end.epoch <= origin.epoch]
    return [*filter(None, records), *blocks, *ends, *_events(reader.events(), origin.step)]


def _events(events: Sequence[Event], step: int) -> list[Event]:
    """Those before the origin; a phase that begins at it has begun. Pauses were the parent's own."""
    kept = ("phase", "change", "look", "branch")
    return [
        event
        for event in events
        if event.kind in kept and (event.step < step or (event.step, event.kind) == (step, "phase"))
    ]


def _cut(block: Steps, end: int) -> Steps:
    size = end - block.first
    return replace(block, loss=block.loss[:size], accuracy=block.accuracy[:size])


def _write(file: Any, past: list[Any], origin: Checkpoint, state: bytes) -> None:
    with store.Writer(file) as writer:
        for item in past:
            writer.add(item)
        writer.commit()
        writer.keep(origin, state)


def _write_event(file: Any, event: Event) -> None:
    with store.Writer(file) as writer:
        writer.add(event)
        writer.commit()
