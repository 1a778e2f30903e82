"""The runs of a chapter: found in the library where they are there already, or started.

The same spec gives the same bits, so one finished run serves every visitor.
"""

import time
from collections.abc import Collection, Sequence

from engine import contenders, data_sets, runs, store
from engine.contenders import Contender
from engine.errors import EngineError
from engine.library import index
from engine.spec import RunSpec
from engine.store import RunInfo
from ui import rights
from ui.lesson_visit import Visit
from ui.lessons import Lesson

KEPT_S = 1.0  # that what was found for one of the audience serves all: 300 ask 60 times a second
#: Statuses of a run that came to its own end: again it would come to the same.
ENDED = frozenset({store.FINISHED, store.DIVERGED})


def specs(lesson: Lesson, data: str = "") -> list[RunSpec]:
    """What a chapter trains, in its order.

    data  another data set than its own
    """
    return [run.spec.changed({"data": data}) if data else run.spec for run in lesson.runs]


def offered_data(lesson: Lesson) -> tuple[str, ...]:
    """The data sets that a chapter can be trained on here, its own first: pictures that are on disk."""
    own = {run.spec.data for run in lesson.runs}
    if own != {"digits"}:
        return tuple(sorted(own)[:1])
    here = data_sets.data_here()
    return ("digits", *(name for name in ("fashion_mnist",) if name in here))


def find(lesson: Lesson, visit: Visit) -> list[RunInfo | None]:
    """For each of a chapter's runs the one to show: this visit's own, else any that serves.

    One that is waiting or training is shown before it is started once more. None: none is there.
    The audience has none of its own, and is shown what trains now before what has trained.
    """
    wanted = specs(lesson, visit.data)
    own = [_try_info(run) for run in visit.runs]
    if len(own) == len(wanted) and all(own):
        return own
    if rights.is_presenter():
        return _found(wanted, (ENDED, store.OPEN))
    key = (str(runs.library()), lesson.slug, visit.data)
    when, found = _seen.get(key, (-KEPT_S, []))
    if time.monotonic() - when >= KEPT_S:
        found = _found(wanted, (store.OPEN, ENDED))
        _seen[key] = (time.monotonic(), found)
    return found


#: What the audience was last shown of a library's runs for a chapter and its data set, and when it was found.
_seen: dict[tuple[str, str, str], tuple[float, list[RunInfo | None]]] = {}


def _found(wanted: Sequence[RunSpec], order: Sequence[Collection[str]]) -> list[RunInfo | None]:
    entries, _ = index.look()  # newest first
    infos = [entry.info for entry in entries]
    return [_serving(spec, infos, order) for spec in wanted]


def _serving(
    spec: RunSpec, infos: Sequence[RunInfo], order: Sequence[Collection[str]]
) -> RunInfo | None:
    """The newest of that spec, unchanged, of the first kind of status in this order that there is."""
    same = [one for one in infos if one.spec == spec and one.changes == 0 and not one.parent]
    for wanted in order:
        for info in same:
            if info.status in wanted:
                return info
    return None


def _try_info(run: str) -> RunInfo | None:
    try:
        return runs.info(run)
    except EngineError:
        return None  # deleted meanwhile


def start(lesson: Lesson, visit: Visit, *, again: bool) -> tuple[str, ...]:
    """Start what is not there yet, or all of it anew; the ids to show, in order. Raises EngineError."""
    wanted = specs(lesson, visit.data)
    found = [None] * len(wanted) if again else find(lesson, visit)
    missing = [place for place, info in enumerate(found) if info is None]
    begun = _start([(_title(lesson, place), wanted[place]) for place in missing])
    ids = [info.id if info else "" for info in found]
    for place, run in zip(missing, begun, strict=True):
        ids[place] = run
    return tuple(ids)


def _start(asked: Sequence[tuple[str, RunSpec]]) -> list[str]:
    if len(asked) < 2:
        return [runs.start(spec, title=title) for title, spec in asked]
    groups = contenders.start([Contender(title=title, spec=spec) for title, spec in asked])
    return [run for group in groups for run in contenders.members(group)]


def _title(lesson: Lesson, place: int) -> str:
    return f"Lesson {lesson.number}: {lesson.runs[place].label}"


def stop(shown: Sequence[RunInfo]) -> str:
    """Stop what waits or trains; one sentence where that was refused."""
    faults = []
    for info in reversed(shown):  # those that wait first, so that none of them starts meanwhile
        try:
            if info.status in store.OPEN:
                runs.send(info.id, "stop")
        except EngineError as error:
            faults.append(str(error))
    return faults[0] if faults else ""
