"""What contenders have in common of their past: from which step each is drawn. Pure."""

from collections.abc import Callable, Sequence
from math import inf

from engine.errors import EngineError
from engine.store import RunInfo

MOST_ANCESTORS = 100  # a file from elsewhere may name itself among its ancestors
Lineage = dict[str, float]  # run -> step up to which it is the same run; the run itself comes first


def lineage(run: RunInfo, look: Callable[[str], RunInfo]) -> Lineage:
    """A run and its ancestors, each with the step up to which they are one.

    look  opens a run; where it raises an EngineError (the run was deleted), the line ends
    """
    found: Lineage = {run.id: inf}
    step = inf
    while run.parent and run.parent not in found and len(found) <= MOST_ANCESTORS:
        step = min(step, run.parent_step or 0)
        found[run.parent] = step
        try:
            run = look(run.parent)
        except EngineError:
            break
    return found


def shared(one: Lineage, other: Lineage) -> float:
    """The step up to which two runs are the same; 0 for strangers."""
    for run, step in one.items():
        if run in other:
            return min(step, other[run])
    return 0


def since(lineages: Sequence[Lineage | None]) -> list[int]:
    """The step from which each contender is drawn, so that what some share is drawn once.

    Ancestors draw the past of their branches; of two branches without their parent, the first does.
    None stands for a contender that is not one run.
    """
    places = [place for place, one in enumerate(lineages) if one is not None]
    drawn: list[int] = []
    found = [0] * len(lineages)
    for place in sorted(places, key=lambda place: len(lineages[place] or ())):
        own = lineages[place] or {}
        steps = [shared(own, lineages[other] or {}) for other in drawn]
        found[place] = int(max((step for step in steps if step < inf), default=0))
        drawn.append(place)
    return found


def sentences(
    runs: Sequence[RunInfo | None], since: Sequence[int], names: Sequence[str]
) -> list[str]:
    """What is told of contenders that share a past; one sentence each."""
    by_id = {run.id: name for run, name in zip(runs, names, strict=True) if run}
    found = []
    for run, step, name in zip(runs, since, names, strict=True):
        if run and step:
            parent = by_id.get(run.parent)
            origin = f"branched from {parent}" if parent else "parted from the others"
            found.append(f"{name} {origin} at step {step:,}: it is drawn from there on.")
    return found
