"""The recorder, steered: between two steps it pauses, changes and keeps what is asked for."""

from __future__ import annotations

import json
import time
from functools import partial
from typing import TYPE_CHECKING

from engine import checkpoints, store, trainer
from engine.errors import EngineError
from engine.recorder import Recorder
from engine.records import EpochEnd, Event
from engine.steering import Change, Standing, applied, as_json, words

if TYPE_CHECKING:
    from engine.worker import Job

LOOK_S = 0.04  # between looks at the orders: what an order can be late by, beside a step
PAUSED_LOOK_S = 0.08  # the same while it is paused: each look costs some 0.2 ms


class Steered:
    """A watcher of the loop: the recorder, and what the run's orders ask for between two steps."""

    def __init__(self, job: Job, recorder: Recorder, run: trainer.Run, changes: int):
        self.begin_phase, self.before_step = recorder.begin_phase, recorder.before_step
        self.first_batch = recorder.first_batch
        self.after_backward, self.after_step = recorder.after_backward, recorder.after_step
        self.should_stop = recorder.should_stop
        self.job, self.recorder, self.clock, self.spec = job, recorder, run.clock, run.spec
        self.standing = run.state.standing if run.state else Standing(spec=run.spec)
        self.changes = changes
        self.step = self.job.step
        self.epoch = run.state.position.epoch if run.state else 0
        self.keeps = "" if run.state else "start"  # why the next moment is kept; "" if it is not
        self.is_paused = self.has_told = False

    def end_epoch(self, end: EpochEnd) -> None:
        self.recorder.end_epoch(end)
        self.job.helm.epoch_ends(end.step)
        self.epoch = end.epoch
        self.keeps = "epoch" if self.job.keeper.is_due(end.epoch) else ""
        self.job.hear(end.step, end)

    def between(self, step: int, capture: trainer.Capture) -> list[Change]:
        """The changes to make before this step; waits while the run is paused."""
        job, helm = self.job, self.job.helm
        self.step = job.step = step
        if self.keeps:
            self.keep(capture)
        self.tell_fault()
        now = time.monotonic()
        if now - job.looked >= LOOK_S or helm.is_paused(step):
            job.looked = now
            helm.look(step)
        due = helm.due(step)
        while not due and helm.is_paused(step) and not job.ask_to_stop.is_set():
            self.rest()
            job.ask_to_stop.wait(PAUSED_LOOK_S)
            helm.look(step)
            due = helm.due(step)
        if not helm.is_paused(step):
            self.go_on()
        return self.made(due, capture) if due else []

    def rest(self) -> None:
        """Write all there is, and wait. Seconds of training do not count meanwhile."""
        if not self.clock.is_resting:
            self.clock.rest()
            is_new, self.is_paused = not self.is_paused, True
            if is_new:
                self.note("pause", "paused")
            self.job.commit()
            if is_new:  # after the records: who reads that it is paused finds all of them
                self.job.writer.update(status=store.PAUSED)
            self.job.hear(self.step, None)

    def go_on(self) -> None:
        """Train on; between single steps taken by hand the run counts as paused."""
        self.clock.go()
        if self.is_paused and not self.job.helm.by_hand:
            self.is_paused = False
            self.note("resume", "resumed")
            self.job.writer.update(status=store.RUNNING)

    def note(self, kind: str, words: str) -> None:
        """An event that changes nothing."""
        self.recorder.flush()
        self.recorder.add(Event(step=self.step, kind=kind, words=words, at=time.time()))

    def made(self, due: list[Change], capture: trainer.Capture) -> list[Change]:
        """Those of the changes that can be made, written down with their words."""
        good: list[Change] = []
        for change in due:
            try:
                after = applied(self.standing, change)
            except EngineError as error:
                self.note("note", f"A change was refused: {error}")
                continue
            if change.kind != "look" and not any(one.kind != "look" for one in good):
                self.keeps = "change"
                self.keep(capture)  # before it: one can go back and try the other way
            kind = "look" if change.kind == "look" else "change"
            told = words(self.standing, change)
            event = Event(
                step=self.step, kind=kind, words=told, change=as_json(change), at=time.time()
            )
            self.recorder.changed(self.step, event)
            self.standing = after
            good.append(change)
        self.changes += sum(change.kind != "look" for change in good)
        now = {"now": self.standing.spec.model_dump_json(), "changes": self.changes}
        self.job.writer.update(frozen=json.dumps(sorted(self.standing.frozen)), **now)
        self.job.commit()
        return good

    def keep(self, capture: trainer.Capture) -> None:
        """Keep this moment, if there is room for it."""
        kind, self.keeps = self.keeps, ""
        if self.job.keeper.fault:
            return
        self.recorder.flush()  # so that a block of losses ends here
        state = capture()
        state.recorder = self.recorder.memory()
        self.job.keeper.keep(self.step, self.epoch, kind, partial(checkpoints.to_bytes, state))

    def tell_fault(self) -> None:
        """Say, once, that no more moments are kept."""
        if self.job.keeper.fault and not self.has_told:
            self.has_told = True
            self.note("note", self.job.keeper.fault)

    def finish(self, step: int, capture: trainer.Capture) -> None:
        """Keep the end, where a longer run could go on from: not in the middle of an epoch."""
        self.step = step
        if self.spec.steps_per_phase % self.spec.steps_per_epoch == 0:
            self.keeps = "end"
            self.keep(capture)
