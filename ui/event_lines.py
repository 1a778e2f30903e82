"""Events as vertical lines with their words, on an axis of steps. assets/event_lines.js does the same.

In a chart of several contenders a line has the colour of whose it is and says so in words; phases are
left out there, and so are all where there are too many to be told apart.
"""

from collections.abc import Callable, Sequence
from html import escape
from typing import Any

#: Events nearer than this share of the axis share a label.
NEAR = 0.02
#: Words that one label holds; what does not fit is counted.
WORDS = 3
#: Lines in a chart of several contenders.
MOST = 12

Place = Callable[[Any, float], float]  # side, step -> place on the axis
Told = list[tuple[float, str, str, str]]  # place, colour, short, words


def told(sides: Sequence[Any], place: Place, usual: str) -> Told:
    """The lines from left to right, one for each place: place, colour, short and all words.

    usual  colour of what is not one contender's
    """
    alone = len(sides) == 1
    found = [
        (place(side, event["step"]), side, event)
        for side in sides
        for event in side.columns.get("events", ())
        if alone or event.get("kind") != "phase"
    ]
    found.sort(key=lambda line: line[0])
    lines: Told = []
    whose: Any = None
    for where, side, event in found:
        of = "" if alone else f"{side.label}: "
        short, words = (escape(of + event[key], quote=False) for key in ("short", "words"))
        if lines and lines[-1][0] == where:
            _, colour, before, also = lines[-1]
            colour = colour if whose is side else usual
            lines[-1] = (where, colour, f"{before}, {short}", f"{also}<br>{words}")
        else:
            lines.append((where, side.colour if side.label else usual, short, words))
            whose = side
    return lines if alone or len(lines) <= MOST else []


def drawn(lines: Told, span: float, font: dict[str, Any]) -> tuple[list[Any], list[Any]]:
    """Shapes and annotations of the lines; neighbours that are too near have one label together."""
    shapes = [
        {"type": "line", "x0": x, "x1": x, "y0": 0, "y1": 1, "yref": "paper"}
        | {"line": {"color": colour, "width": 2, "dash": "dot"}}
        for x, colour, _, _ in lines
    ]
    annotations = [
        {"x": some[0][0], "y": 1, "yref": "paper", "text": _joined([line[2] for line in some])}
        | {"hovertext": "<br>".join(line[3] for line in some), "showarrow": False}
        | {"textangle": -90, "xanchor": "left", "yanchor": "top"}
        | {"font": font | {"color": some[0][1]}}
        for some in _near(lines, NEAR * span)
    ]
    return shapes, annotations


def _near(lines: Told, distance: float) -> list[Told]:
    groups: list[Told] = []
    for line in lines:
        if groups and line[0] - groups[-1][0][0] < distance:
            groups[-1].append(line)
        else:
            groups.append([line])
    return groups


def _joined(words: list[str]) -> str:
    rest = len(words) - WORDS
    return ", ".join(words[:WORDS]) + (f" and {rest} more" if rest > 0 else "")
