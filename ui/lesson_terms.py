"""What a lesson can explain: every remedy, statistic and figure there is, by the name it has there."""

import re
from typing import Any

from engine.records import STATISTICS
from engine.remedies import REMEDIES
from ui.bindings import NO_DATA, USUAL
from ui.comparison import COMPARISON
from ui.figures import FIGURES
from ui.lesson_table import shown
from ui.links import HIDEABLE
from ui.theory_figures import THEORY_FIGURES

#: What a lesson can explain -> name of each thing -> the bold words that its explanation begins with.
EXPLAINED: dict[str, dict[str, str]] = {
    "remedy": {name: remedy.title for name, remedy in REMEDIES.items()},
    "statistic": {name: name for name in STATISTICS},
    "figure": {name: HIDEABLE[name] for name in FIGURES | COMPARISON}
    # Their titles go on after a colon with what differs from network to network.
    | {
        name: draw(NO_DATA, USUAL).layout.meta["title"].partition(":")[0]
        for name, draw in THEORY_FIGURES.items()
    },
}


def bold_name(item: str) -> str:
    """The words, in bold, that the explanation of "remedy:tanh" begins with: "Tanh"."""
    kind, _, name = item.partition(":")
    return EXPLAINED[kind][name]


def is_explained(item: str, text: str) -> bool:
    """Whether a line of the text, or of a list in it, begins with the thing's name in bold."""
    return bool(re.search(rf"^(?:[-*] +)?\*\*{re.escape(bold_name(item))}\*\*", text, re.M))


def as_explains(value: Any) -> tuple[str, ...]:
    known = [f"{kind}:{name}" for kind, names in EXPLAINED.items() for name in names]
    for one in value if isinstance(value, list) else [value]:
        if one not in known:
            kinds = ", ".join(f"{kind}:NAME" for kind in EXPLAINED)
            raise ValueError(f"a list of {kinds}, each of its registry, and {shown(one)} is none")
    if len(set(value)) < len(value):
        raise ValueError("a list that names nothing twice")
    return tuple(value)
