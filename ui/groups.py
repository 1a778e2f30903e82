"""The seeds of one configuration as one contender: medians and bands over its runs.

A failed seed counts with what it recorded and hides nothing; one that was deleted is simply not
there any more; one that cannot be read is told by sentence.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from engine import store
from engine.errors import EngineError, StoreError
from engine.records import EPOCH_NUMBERS, EpochEnd, Event, Record
from engine.spec import RunSpec
from engine.store import RunInfo
from ui import arrays, diagnosed, histograms, overlay, states, summary
from ui.arrays import Named
from ui.cells import Heat
from ui.display import Display, grown
from ui.pool import Pool
from ui.views import Library, RunView

EVERY = 0.5  # seconds between two displays of several seeds: sorting them costs some milliseconds
#: A seed belongs to "now" once it has got so far of what the first has: of seeds that train side by
#: side, one is always some steps ahead.
NEAR = 0.95
MOST_SENTENCES = 3
_COMMON = ("seed", "device", "threads")  # what may differ between the seeds of a configuration


class GroupView:
    """The seeds of one configuration, read as one. Everything raised is an EngineError."""

    def __init__(self, subject: str, library: Library):
        self.subject, self.library = subject, library
        self.views: dict[str, RunView] = {}
        self.unreadable: dict[str, str] = {}  # run -> sentence
        self.place = 0
        self._only_heat = False
        self._pool = Pool()
        self._list()
        if not self.views:
            raise StoreError(next(iter(self.unreadable.values())))

    @property
    def every(self) -> float:
        """A group of one is shown as often as a run."""
        return EVERY if len(self.views) > 1 else 0.0

    @property
    def spec(self) -> RunSpec:
        """With the seed of the first that is there."""
        return next(iter(self.views.values())).spec

    @property
    def ended(self) -> bool:
        """Whether none of the seeds will record anything more."""
        return all(view.ended for view in self.views.values())

    def refresh(self) -> bool:
        """Read what is new of each seed; whether anything was."""
        self._ask_of_first()
        changed = [self._refresh(run) for run in list(self.views)]
        if not self.views:
            raise StoreError(f"The runs of {self.subject} are gone: they were deleted.")
        return any(changed)

    def _refresh(self, run: str) -> bool:
        view = self.views[run]
        try:
            changed = view.refresh()
            if view.ended:
                changed |= view.rest()
        except EngineError as error:
            self._let_go(run)
            if view.path.exists():
                self.unreadable[run] = str(error)
            return True
        return changed

    def _ask_of_first(self) -> None:
        """Theory is asked of the first seed alone: the others' first batches hardly differ."""
        for place, view in enumerate(self.views.values()):
            view.asked.wanted = place == 0

    def _let_go(self, run: str) -> None:
        self._pool.generation += 1
        self.views.pop(run).close()

    def check(self) -> bool:
        """Ask anew who belongs to it, whether workers live, and for the place in the queue."""
        listed = self._list()
        # What waits changes by a write, so that only those with a worker are asked: it costs 2 ms each.
        begun = [view for view in self.views.values() if view.info.status in store.BEGUN]
        changed = [view.check() for view in begun]
        before, self.place = self.place, self._first_place()
        return listed or any(changed) or before != self.place

    def _first_place(self) -> int:
        waiting = [run for run, view in self.views.items() if view.info.status == store.QUEUED]
        all_wait = len(waiting) == len(self.views) > 0
        return self.library.place(waiting[0]) if all_wait else 0

    def _list(self) -> bool:
        """Open the seeds that are new; whether anybody came or went."""
        before = {*self.views}, dict(self.unreadable)
        members = self.library.members(self.subject)
        for run in [run for run in self.views if run not in members]:
            self._let_go(run)
        self.unreadable = {}
        for run in members:
            if run not in self.views:
                self._open(run)
        self.views = {run: self.views[run] for run in members if run in self.views}
        return before != ({*self.views}, self.unreadable)

    def _open(self, run: str) -> None:
        try:
            view = self.library.run(run, kept=())
            view.asked.wanted = False
        except EngineError as error:
            self.unreadable[run] = str(error)
            return
        if self.views and _configuration(view.spec) != _configuration(self.spec):
            view.close()
            self.unreadable[run] = f"Run {run} has another configuration than the first seed."
            return
        if self._only_heat:
            view.read_heat_only()
        self._pool.generation += 1
        self.views[run] = view
        self._refresh(run)

    def close(self) -> None:
        """Let go of all files."""
        for view in self.views.values():
            view.close()

    def read_heat_only(self) -> None:
        """From now on read no more than `heat` needs: nothing else is asked of it."""
        self._only_heat = True
        for view in self.views.values():
            view.read_heat_only()

    def heat(self) -> Heat:
        """The medians of the gradient by layer and step."""
        return self._pool.heat([*self.views.values()])

    def display(self) -> Display:
        """All there is to show, now: of a single seed just its run, under this name."""
        counted = states.counts((v.info.status for v in self.views.values()), len(self.unreadable))
        told = {"run": self.subject, "seeds": counted, "missing": list(self.unreadable.values())}
        if counted["of"] == 1:
            (view,) = self.views.values()
            alone = view.display()
            return replace(alone, header=alone.header | told)
        views = list(self.views.values())
        lead = views[0]
        heat = self._pool.heat(views)
        (curve_rows, curve), (epoch_rows, epochs) = (
            self._pool.curve(views),
            self._pool.epochs(views),
        )
        start, start_bands = self._pool.profile(
            "gradient_start", [view.first for view in views if view.first]
        )
        now, now_bands = self._pool.profile("gradient_now", _now(views))
        face = self._face(start, now, heat, curve | epochs)
        return grown(
            self._header(face, counted) | told,
            arrays.profiles("start", start, self.spec.layers)
            | arrays.profiles("now", now, self.spec.layers)
            | overlay.arrays(lead.theory)
            | now_bands
            | start_bands
            | histograms.arrays(now)
            | arrays.guess(self.spec, face.step),
            {"records": arrays.heatmap(heat), "curve": curve, "epochs": epochs},
            {"records": heat.identity, "curve": curve_rows, "epochs": epoch_rows},
        )

    def _face(
        self, first: Record | None, newest: Record | None, heat: Heat, made: Named
    ) -> "_Face":
        views = list(self.views.values())
        lead = max(views, key=lambda view: view.step)
        counted = states.counts(view.info.status for view in views)
        started = [view.info.started for view in views if view.info.started]
        ended = [view.info.ended for view in views if view.info.ended]
        beats = [view.info.heartbeat for view in views if view.info.heartbeat]
        end = lead.newest_epoch
        if end is not None and len(made["epoch_steps"]):
            numbers = [name for name in EPOCH_NUMBERS if name != "seconds"]
            medians: Any = {name: float(made[f"epoch_{name}"][-1]) for name in numbers}
            end = replace(end, **medians)
        return _Face(
            info=replace(
                lead.info,
                id=self.subject,
                status=states.status_of(counted),
                sentence="",
                started=min(started, default=None),
                ended=max(ended, default=None),
                heartbeat=max(beats, default=None),
            ),
            step=lead.step,
            records=Keys(heat.steps),
            first=first,
            newest=newest,
            newest_epoch=end,
            newest_loss=float(made["loss_mean"][-1]) if len(made["loss_mean"]) else None,
            events=lead.events,
        )

    def _header(self, face: "_Face", counted: dict[str, int]) -> dict[str, Any]:
        views = list(self.views.values())
        left = max((view.left for view in views if view.left is not None), default=None)
        shares = [1.0 if v.ended else min(1.0, v.step / v.spec.total_steps) for v in views]
        told: dict[str, Any] = {
            "state": states.of_group(counted, place=self.place, left=left),
            "steps_per_epoch": self.spec.steps_per_epoch,
            "progress": (sum(shares) + len(self.unreadable)) / counted["of"],
            "findings": diagnosed.of_seeds([view.findings for view in views]),
        }
        if failed := self._failures():
            told["line"] = failed
        header = summary.header(cast(RunView, face)) | told
        header["texts"] |= overlay.texts(views[0].theory)
        return header

    def _failures(self) -> str:
        """What became of seeds that did not end well, in sentences."""
        bad = [v.info for v in self.views.values() if v.info.status in states.COUNTED["failed"]]
        told = [f"Seed {info.spec.seed}: {info.sentence or info.status + '.'}" for info in bad]
        rest = len(told) - MOST_SENTENCES
        return " ".join(told[:MOST_SENTENCES]) + (f" And {rest} more." if rest > 0 else "")


@dataclass(frozen=True)
class Keys:
    """The steps of what is drawn."""

    keys: Any


@dataclass(frozen=True, kw_only=True)
class _Face:
    """What ui/summary.py puts in words, of several seeds as of one run."""

    info: RunInfo
    step: int
    records: Keys
    first: Record | None
    newest: Record | None
    newest_epoch: EpochEnd | None
    newest_loss: float | None
    events: list[Event]
    pace: tuple[()] = ()  # what each seed does is told in the state
    watched: float = math.nan  # and what watching cost, of each alone


def _now(views: Sequence[RunView]) -> list[Record]:
    """The newest record of each seed that has got about as far as the first."""
    newest = [view.newest for view in views if view.newest]
    far = max((record.step for record in newest), default=0)
    return [record for record in newest if record.step >= NEAR * far]


def _configuration(spec: RunSpec) -> dict[str, Any]:
    return spec.model_dump(exclude=set(_COMMON))
