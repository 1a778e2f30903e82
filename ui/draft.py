"""A contender that is not trained yet: what it starts from, plus remedies. Pure.

In a link it is `baseline+batchnorm+better_optimizer`: a preset or a run's id, then remedies by
their names.
"""

import difflib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from engine.contenders import MOST_CONTENDERS, Contender
from engine.errors import EngineError, PresetError, SpecError
from engine.presets import PRESETS
from engine.quotes import quoted
from engine.remedies import REMEDIES
from engine.spec import RunSpec
from ui.words import PILLS

_RUN = re.compile(r"\d{8}-\d{6}-")  # how a run's id begins, and no preset's name
_PARTS = re.compile(r"[+\s]+")  # a plus sign typed into an address arrives as a space

Find = Callable[[str], tuple[str, RunSpec]]  # title and spec of a run or group; raises EngineError


@dataclass(frozen=True)
class Draft:
    """What to start: a preset or a run, with further remedies."""

    base: str
    remedies: tuple[str, ...] = ()

    def __str__(self) -> str:
        return "+".join((self.base, *self.remedies))


@dataclass(frozen=True, kw_only=True)
class Common:
    """What is the same for all that is started together."""

    data: str
    epochs: int
    seeds: int


def parse(text: str) -> Draft:
    """The draft written in `text`. Raises PresetError."""
    base, *remedies = _PARTS.split(text.strip())
    if not is_run(base) and base not in PRESETS:
        raise PresetError(
            f"{quoted(repr(text))} starts from {quoted(base) or 'nothing'}, which is neither a run's id nor "
            f"a preset{_near(base, PRESETS)}"
        )
    for name in remedies:
        if name not in REMEDIES:
            raise PresetError(f"{quoted(name)} is not a remedy{_near(name, REMEDIES)}")
    return Draft(base, tuple(dict.fromkeys(remedies)))


def is_run(base: str) -> bool:
    """Whether a draft's base is a run's id rather than a preset's name."""
    return bool(_RUN.match(base))


def _near(name: str, names: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"; did you mean {near[0]}?" if near else "."


def remedy_title(name: str) -> str:
    """A remedy in a few letters, as on its pill."""
    return PILLS.get(name, REMEDIES[name].title)


def title(draft: Draft, base: str) -> str:
    """What the contender is called: "Baseline + ReLU"."""
    return " + ".join((base, *map(remedy_title, draft.remedies)))


def contender(draft: Draft, common: Common, find: Find) -> Contender:
    """What the draft asks for. Raises SpecError, and what `find` raises for a run that is gone."""
    if is_run(draft.base):
        name, spec = find(draft.base)
    else:
        name, spec = PRESETS[draft.base].title, PRESETS[draft.base].spec(data=common.data)
    changes: dict[str, object] = {"data": common.data, "epochs": common.epochs, "steps": None}
    if spec.data != common.data:
        changes["subset"] = None  # so many examples of another set
    for remedy in draft.remedies:
        changes |= REMEDIES[remedy].changes
    made = Contender(
        title=title(draft, name),
        spec=spec.changed(changes),
        preset="" if draft.remedies or is_run(draft.base) else draft.base,
        seeds=common.seeds,
    )
    made.specs()  # refuses here, beside its line, what Start could not start
    return made


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line of the list of new contenders: what it would start, or why it cannot."""

    text: str  # as in the link
    title: str
    contender: Contender | None
    fault: str  # one sentence where there is no contender


def lines(texts: Sequence[str], common: Common, find: Find, room: int) -> list[Line]:
    """Every draft of a link, each with its contender or its fault; `room` is how many may start."""
    made: list[Line] = []
    for text in texts:
        line = _line(text, common, find)
        asked = [one.contender for one in made if one.contender]
        if line.contender is not None:
            same = next((one for one in asked if one.spec == line.contender.spec), None)
            if same:
                line = _refused(text, line.title, f"{line.title} is {same.title} once more.")
            elif len(asked) >= room:
                line = _refused(text, line.title, _full(room))
        made.append(line)
    return made


def _full(room: int) -> str:
    left = f"there is room for {room} more" if room > 0 else "there is no room for another"
    return f"At most {MOST_CONTENDERS} fit side by side: {left}."


def _line(text: str, common: Common, find: Find) -> Line:
    try:
        draft = parse(text)
        made = contender(draft, common, find)
    except SpecError as error:
        return _refused(text, _named(text), str(error))
    except EngineError as error:
        return _refused(text, quoted(text), str(error))
    return Line(text=text, title=made.title, contender=made, fault="")


def _named(text: str) -> str:
    draft = parse(text)
    base = draft.base if is_run(draft.base) else PRESETS[draft.base].title
    return title(draft, base)


def _refused(text: str, title: str, fault: str) -> Line:
    return Line(text=text, title=title, contender=None, fault=fault)


def announced(contenders: Sequence[Contender]) -> str:
    """What Start would start: "3 networks, 5 seeds each: 15 runs, 13,200 steps in all."."""
    if not contenders:
        return "Nothing new to start."
    runs = sum(one.seeds for one in contenders)
    steps = sum(one.seeds * one.spec.total_steps for one in contenders)
    seeds = {one.seeds for one in contenders}
    each = f", {seeds.pop()} seeds each" if len(seeds) == 1 and runs > len(contenders) else ""
    networks = f"{len(contenders)} network{'s' if len(contenders) > 1 else ''}{each}"
    total = f": {runs} runs" if runs > len(contenders) else ""
    return f"{networks}{total}, {steps:,} steps in all."
