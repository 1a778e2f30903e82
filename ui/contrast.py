"""What contenders have in common and what not; how each is called, coloured and dashed. Pure."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

from engine.remedies import GROUPS, REMEDIES, active
from engine.spec import RunSpec
from ui import theme
from ui.words import NAMES, changes, matters, shown

DASHES = ("solid", "dash", "dot", "dashdot", "longdash", "longdashdot")  # Plotly's own names
BRANCHED = " · from step "  # in the title of a branch, before the step and what it changes
LONGEST = 34  # letters of a label, which stands above a chart
#: Fields told by name where they are equal; the rest is "every other setting".
TOLD = ("data", "activation", "init", "optimizer", "learning_rate", "epochs", "steps", "seed")
_IDLE = "–"
#: Values that go without saying where the field matters in some only.
_PLAIN = {"norm_position": "before"}


@dataclass(frozen=True, kw_only=True)
class Line:
    """One contender, as far as words about it go."""

    id: str
    title: str
    spec: RunSpec  # of its first run, as it stands now
    seeds: tuple[int, ...]  # of its runs, in order
    changes: int = 0  # that were made to its first run while it trained


@dataclass(frozen=True)
class Difference:
    """One field that is not the same for all: its name and its value in each, in their order."""

    name: str
    values: tuple[str, ...]


# -- names ------------------------------------------------------------------------------------------


def labels(lines: Sequence[Line]) -> list[str]:
    """A short name for each, no two alike: its title, and what tells it from one of that title."""
    told = [_titled(line) for line in lines]
    for title in {one for one in told if told.count(one) > 1}:
        places = [place for place, one in enumerate(told) if one == title]
        for place, apart in zip(places, _apart([lines[n] for n in places]), strict=True):
            told[place] = f"{cut(title, 22)}, {apart}" if apart else title
    return [
        own if told.count(own) == 1 else f"{own} ({line.id.split('-', 2)[-1]})"
        for line, own in zip(lines, told, strict=True)
    ]


def _titled(line: Line) -> str:
    """A title as short as it must be, with how often the run was changed where there is room.

    A branch's title tells of one change already.
    """
    is_told = line.changes <= int(BRANCHED in line.title)
    told = short(line.title) + ("" if is_told else f", {changes(line.changes)}")
    return told if len(told) <= LONGEST else cut(short(line.title))


def _apart(namesakes: Sequence[Line]) -> list[str]:
    """For each: the values of one field, or of two, that no other of them has; "" without."""
    found = differences(namesakes)
    for some in (*combinations(found, 1), *combinations(found, 2)):
        told = [", ".join(values) for values in zip(*map(_named_values, some), strict=True)]
        if len(set(told)) == len(told):
            return [cut(one) for one in told]
    return [""] * len(namesakes)


def _named_values(difference: Difference) -> list[str]:
    return [f"{difference.name} {value}" for value in difference.values]


def short(title: str) -> str:
    """A title without what all of a ladder have in common; of a branch, with the step alone."""
    return title.removeprefix("Controlled: ").replace(BRANCHED, " from ")


def cut(text: str, longest: int = LONGEST) -> str:
    """A text that fits above a chart."""
    return text if len(text) <= longest else text[: longest - 1].rstrip(" ,+") + "…"


# -- colours ----------------------------------------------------------------------------------------


def colours(specs: Sequence[RunSpec]) -> list[str]:
    """A colour for each, no two alike: that of one of its remedies' groups where it is free."""
    taken: list[str] = []
    for spec in specs:
        wanted = [*_groups(spec), *theme.REMEDY_COLOURS]
        free = [name for name in wanted if name in theme.REMEDY_COLOURS and name not in taken]
        taken.append((free or wanted)[0])
    return [theme.REMEDY_COLOURS[name] for name in taken]


def _groups(spec: RunSpec) -> list[str]:
    """The groups of a spec's remedies; first the one that is not helped along by another optimizer."""
    found = list(dict.fromkeys(REMEDIES[name].group for name in active(spec)))
    return sorted(found, key=lambda group: group == "optimizer") or ["baseline"]


# -- differences ------------------------------------------------------------------------------------


def differences(lines: Sequence[Line]) -> list[Difference]:
    """Every field that is not the same for all, once, in the order of a spec's fields."""
    if not lines:
        return []
    dumped = [line.spec.model_dump() for line in lines]
    found = []
    for name in _order():
        values = tuple(
            _seeds(line.seeds) if name == "seed" else _value(name, fields)
            for line, fields in zip(lines, dumped, strict=True)
        )
        if len(set(values)) > 1 and set(values) - {_IDLE} != {_PLAIN.get(name)}:
            found.append(Difference(NAMES[name], values))
    return found


def _order() -> Iterable[str]:
    """Fields by the groups they are set in; what is learned and the network come first."""
    return (name for group in GROUPS.values() for name in group.fields)


def _value(name: str, fields: dict[str, Any]) -> str:
    return shown(fields[name]) if matters(name, fields) else _IDLE


def _seeds(seeds: Sequence[int]) -> str:
    """As "42", "42 to 46" or "42, 44"."""
    if len(seeds) > 1 and list(seeds) == list(range(seeds[0], seeds[0] + len(seeds))):
        return f"{seeds[0]} to {seeds[-1]}"
    return ", ".join(map(str, seeds))


def sentence(difference: Difference, names: Sequence[str]) -> str:
    """One line: "activation: sigmoid / relu" for up to three; of more, who differs from the most."""
    if len(names) <= 3:
        return f"**{difference.name}:** {' / '.join(difference.values)}"
    usual, times = Counter(difference.values).most_common(1)[0]
    others: dict[str, list[str]] = {}
    for name, value in zip(names, difference.values, strict=True):
        if value != _IDLE and (value != usual or times == 1):
            others.setdefault(value, []).append(name)
    told = [f"{value} ({', '.join(some)})" for value, some in others.items()]
    if times > 1 and usual != _IDLE:
        told.append(f"else {usual}")
    return f"**{difference.name}:** {', '.join(told)}"


def equal(lines: Sequence[Line]) -> str:
    """Everything that is the same for all, in one line."""
    if len(lines) < 2:
        return ""
    unequal = {found.name for found in differences(lines)}
    fields = lines[0].spec.model_dump()
    told = [] if {NAMES["depth"], NAMES["width"]} & unequal else [_shape(lines[0].spec)]
    told += [
        f"{NAMES[name]} {_seeds(lines[0].seeds) if name == 'seed' else shown(fields[name])}"
        for name in TOLD
        if NAMES[name] not in unequal and matters(name, fields) and fields[name] is not None
    ]
    if not unequal and any(line.changes for line in lines):
        return f"**Equal now:** everything ({', '.join(told)}); they were changed on the way."
    if not unequal:
        return f"**Equal:** everything ({', '.join(told)}): the same settings give the same bits."
    return f"**Equal:** {', '.join([*told, 'and every other setting'])}."


def _shape(spec: RunSpec) -> str:
    return f"{spec.depth} hidden layers of {spec.width}"


def notes(lines: Sequence[Line]) -> list[str]:
    """What to know where networks or data are not of the same kind; one sentence each."""
    found = []
    if any(line.changes for line in lines) and differences(lines):
        found.append(
            "Of a run that was changed while it trained, these are the settings it has now."
        )
    layers = sorted({line.spec.layers for line in lines})
    if len(layers) > 1:
        counts = " and ".join(", ".join(map(str, layers)).rsplit(", ", 1))
        found.append(
            f"The networks have {counts} layers: profiles and differences are drawn by relative "
            "depth, from 0 at layer 1 to 1 at the output."
        )
    if len({line.spec.data for line in lines}) > 1:
        found.append("The data differ: losses and accuracies are of different tasks.")
    elif len({line.spec.steps_per_epoch for line in lines}) > 1:
        found.append("An epoch has not the same number of steps in all: align by epoch to compare.")
    return found
