"""The pieces that figures are made of: traces and a layout that say where their data comes from."""

from collections.abc import Mapping
from typing import Any

from ui import theme
from ui.bindings import NO_DATA, Columns

Trace = dict[str, Any]
#: On an axis of log10: the ticks as powers of ten, and as they are.
POWERS = {"tickprefix": "10<sup>", "ticksuffix": "</sup>", "tickformat": "d"}
PLAIN = {"tickprefix": "", "ticksuffix": "", "tickformat": ""}
#: What the x axis counts, by Options.step_axis.
_STEP_TITLES = {
    "step_axis": {
        axis: {"xaxis.title.text": title}
        for axis, title in {
            "linear": "step",
            "log": "step (logarithmic)",
            "epoch": "epoch",
            "seconds": "seconds of training",
        }.items()
    }
}
MARGIN = {"l": 56, "r": 12, "t": 30, "b": 48}
#: The same with room for a colour bar, kept free from the start: the first number moves nothing.
COLOURBAR_MARGIN = MARGIN | {"r": 80}


def scatter(
    fill: dict[str, Any],
    paint: dict[str, str],
    shown: Any = None,
    each: str = "",
    **trace: Any,
) -> Trace:
    """A line or markers; `fill_to` is Plotly's own `fill`. With `each`: once per contender.

    Neighbours of one `each` are drawn together: both edges of a band, then the next contender's.
    """
    if (to := trace.pop("fill_to", None)) is not None:
        trace["fill"] = to
    meta: dict[str, Any] = {"fill": fill, "paint": paint} | ({"shown": shown} if shown else {})
    return {"type": "scatter", "meta": meta | ({"each": each} if each else {}), **trace}


def heatmap(
    fill: dict[str, Any], shown: Any = None, paint: dict[str, str] | None = None, **trace: Any
) -> Trace:
    """Coloured cells; where there is no value there is no hover either."""
    meta = {"fill": fill, "paint": paint or {}} | ({"shown": shown} if shown else {})
    return {"type": "heatmap", "hoverongaps": False, "meta": meta, **trace}


def marks(of: str, named: Mapping[str, tuple[int, str]], fill: Trace, where: str) -> list[Trace]:
    """One trace per mark, in a colour that the scale does not have; drawn only where it occurs.

    of     name of the codes [n, layers]
    named  colour of theme.MODES -> code and word
    """
    cells = {name: {"of": of, "as": "equal", "to": code} for name, (code, _) in named.items()}
    return [
        heatmap(
            fill=fill | {"z": cells[name]},
            shown=cells[name],
            paint={"colorscale": name},
            name=word,
            showlegend=True,
            showscale=False,
            zmin=0,
            zmax=1,
            hovertemplate=f"{where}{word} %{{text}}<extra></extra>",
        )
        for name, (_, word) in named.items()
    ]


def layout_of(
    *,
    title: str,
    caption: str,
    alt: str,
    x: Columns = NO_DATA,
    y: Columns = NO_DATA,
    steps: bool = False,
    when: dict[str, Any] | None = None,
    aside: Any = None,
    lead: str = "",
    words: dict[str, Any] | None = None,
    each: str = "",
    **more: Any,
) -> dict[str, Any]:
    """What all figures share, and what this one says of itself in `meta`.

    lead   what the aside begins with
    words  choice of bindings.Options -> its value -> placeholder -> what it stands for
    """
    axis = {"zeroline": False, "title": {"standoff": 6, "font": {"size": theme.FONT_PX}}}
    meta = {"title": title, "caption": caption, "alt": alt, "steps": steps}
    meta |= {"when": (_STEP_TITLES if steps else {}) | (when or {}), "aside": aside, "each": each}
    meta |= {"lead": lead, "words": words or {}}
    return {
        "meta": meta,
        "uirevision": title,  # constant: a reader's zoom survives new data
        "margin": MARGIN,
        "font": {"size": theme.FONT_PX},
        "hoverlabel": {"font": {"size": theme.FONT_PX}},
        "legend": {
            "orientation": "h",
            "x": 0,
            "y": 1.0,
            "yanchor": "bottom",
            "font": {"size": theme.FONT_PX},
        },
        "xaxis": _merge(axis, x),
        "yaxis": _merge(axis, y),
    } | more


def colourbar(title: str, **more: Any) -> dict[str, Any]:
    """A thin colour bar with its title beside it."""
    # A little shorter than the plot: the buttons above it must not cover its topmost tick.
    plain = {
        "thickness": 12,
        "outlinewidth": 0,
        "xpad": 4,
        "len": 0.94,
        "y": 0,
        "yanchor": "bottom",
    }
    return plain | {"title": {"text": title, "side": "right"}} | more


def _merge(*parts: Columns) -> dict[str, Any]:
    """One dictionary of several, nothing shared with them; inner dictionaries are merged too."""
    merged: dict[str, Any] = {}
    for part in parts:
        for key, value in part.items():
            mine = merged.get(key)
            parts_of = (mine, value) if isinstance(mine, Mapping) else (value,)
            merged[key] = _merge(*parts_of) if isinstance(value, Mapping) else value
    return merged
