"""Going back: branch from any step of a run, or run it again with the same changes.

A branch has its parent's spec and, up to where it leaves, its parent's changes: it begins at the
nearest checkpoint, or where none was kept at the very beginning, trains from there to the step exactly
as the parent did, and only then does what is new. Its file holds the past too, so that it stands alone.
"""

import contextlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine import limits, runs, store
from engine.errors import RunError, SpecError
from engine.gate import gated
from engine.records import Event, Item, Steps
from engine.run_info import Checkpoint, RunInfo
from engine.spec import RunSpec
from engine.steering import Change, applied, changes_of, settled, short, stood


@gated
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

    Raises RunError, SpecError for what cannot be, LimitError, StoreError.
    """
    with store.Reader(runs.path(run)) as reader:
        info, events = runs.checked(reader.run()), reader.events()
        spec = _spec(info, epochs, steps)
        _check_step(info, spec, step)
        limits.check([spec])
        changes = _settled(spec, events, step, changes)
        origin = _origin(reader, step)
        past = _past(reader, origin) if origin else []
    begins = origin.checkpoint.step if origin else 0
    standing = stood(spec, events, begins)
    made = runs.create(
        spec,
        title=title or _title(info, step, changes),
        parent=run,
        parent_step=step,
        now=standing.spec.model_dump_json(),
        frozen=str(sorted(standing.frozen)),
        changes=sum(at < begins and change.kind != "look" for at, change in changes_of(events)),
    )
    words = f"branched from {info.title}, step {step:,}"
    past.append(Event(step=step, kind="branch", words=words, at=time.time()))
    inherited = [one for one in changes_of(events) if begins <= one[0] < step]
    try:
        _write(runs.path(made), past, origin)
        runs.plan(runs.path(made), [*inherited, *((step, change) for change in changes)])
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


def _check_step(info: RunInfo, spec: RunSpec, step: int) -> None:
    if not 0 <= step <= info.step:
        raise RunError(f"step is {step:,}; this run can be left at a step from 0 to {info.step:,}.")
    if step >= spec.total_steps:
        raise RunError(
            f"The run ends at step {spec.total_steps:,}: give the branch more epochs to go on from "
            "there."
        )


@dataclass(frozen=True, kw_only=True)
class _Origin:
    checkpoint: Checkpoint
    state: bytes


def _origin(reader: store.Reader, step: int) -> _Origin | None:
    """The nearest moment that was kept, at the step or before; None where none was."""
    for checkpoint in reversed([kept for kept in reader.checkpoints() if kept.step <= step]):
        state = reader.state(checkpoint.step)
        if state is not None:  # let go since
            return _Origin(checkpoint=replace(checkpoint, kind="branch"), state=state)
    return None


def _settled(
    spec: RunSpec, events: Sequence[Event], step: int, changes: Sequence[Change]
) -> list[Change]:
    """The changes as they will be made. Raises where one does not fit how the run stood at the step."""
    standing = stood(spec, events, step)
    made = []
    for change in changes:
        made.append(settled(standing, change))
        standing = applied(standing, change)
    return made


def _title(info: RunInfo, step: int, changes: Sequence[Change]) -> str:
    told = ", ".join(short(change) for change in changes) or "unchanged"
    # Of a branch of a branch the first name is enough: the library shows the family.
    return f"{info.title.partition(' · from step')[0]} · from step {step:,}: {told}"


def _past(reader: store.Reader, origin: _Origin) -> list[Item]:
    """What was recorded before the origin: what comes after is recorded anew."""
    end = origin.checkpoint.step
    records = [reader.record(found.step) for found in reader.records() if found.step < end]
    blocks = [_cut(block, end) for block in reader.steps() if block.first < end]
    ends = [one for one in reader.epochs() if one.epoch <= origin.checkpoint.epoch]
    kernel = [found] if (found := reader.kernel()) else []
    return [*kernel, *filter(None, records), *blocks, *ends, *_events(reader.events(), end)]


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


def _write(file: Path, past: Sequence[Item], origin: _Origin | None) -> None:
    with store.Writer(file) as writer:
        for item in past:
            writer.add(item)
        writer.commit()
        if origin is not None:
            writer.keep(origin.checkpoint, origin.state)
