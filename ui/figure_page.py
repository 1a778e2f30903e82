"""A figure as a page of its own, with Plotly inside: it opens anywhere, without this server or a network."""

import re
from collections.abc import Sequence
from dataclasses import replace
from html import escape
from typing import Any

import plotly.graph_objects as go
from starlette.datastructures import QueryParams

from engine.contenders import MOST_CONTENDERS
from engine.errors import RunError
from ui import bindings, comparison, figures, links, moments, theme
from ui.bindings import PLACES, SYMBOLS, Options, Side
from ui.cuts import cut
from ui.display import Display
from ui.predictions import predictions
from ui.subjects import opener
from ui.views import Library

Words = dict[str, Any]
_CONFIG = {"displaylogo": False, "responsive": True}
_CHOICES = {
    "kind": links.KINDS,
    "axis": tuple(PLACES),
    "depth": ("layer", "relative"),
    "part": links.PARTS,
    "profile": links.PROFILES,
    "theory": ("shown", "hidden"),
    "mode": tuple(theme.MODES),
}
_COLOUR = re.compile(r"#[0-9a-fA-F]{6}")
_MOST = 10**9  # of any number
PATIENCE = 2.0  # seconds for theory, which is drawn without where it takes longer


def page(asked: QueryParams, library: Library) -> str:
    """The page of the figure that a link asks for. Raises EngineError, one sentence.

    asked  figure; run, or runs with label, colour, dash and since of each; step; kind, layer,
           layers, axis, end, depth, part and mode, as in bindings.Options
    """
    options = _options(asked)
    subjects = [part for part in (asked.get("runs") or asked.get("run", "")).split(",") if part]
    if not subjects or len(subjects) > MOST_CONTENDERS:
        raise RunError(
            f"A figure shows 1 to {MOST_CONTENDERS} runs; the link names {len(subjects)}."
        )
    displays = [_display(subject, library) for subject in subjects]
    step = _number(asked, "step", -1)
    now, names = displays[0], {}
    if step >= 0:
        if len(subjects) > 1:
            raise RunError("A step can be shown of one run alone.")
        options = replace(options, end=bindings.axis_end([Side(columns=now.columns())], options))
        now, names = _at(now, library.path(subjects[0]), step), {"newest": f"step {step:,}"}
    sides = _sides(asked, [now, *displays[1:]])
    figure = _figure(asked.get("figure", ""), sides, options)
    heads = [now.header, *(told.header for told in displays[1:])]
    for trace in figure.data:  # Plotly reads tags in names: a run's words must not make any
        trace.name = trace.name and escape(names.get(trace.name, trace.name), quote=False)
    words = _words(sides, heads, options) | {name: asked[name] for name in "ab" if name in asked}
    return _html(figure, words, options)


def _options(asked: QueryParams) -> Options:
    chosen = {name: asked.get(name, values[0]) for name, values in _CHOICES.items()}
    for name, values in _CHOICES.items():
        if chosen[name] not in values:
            raise RunError(
                f"{name} is {chosen[name][:40]!r}; it must be one of {', '.join(values)}."
            )
    layer, layers = _number(asked, "layer", 1), _number(asked, "layers", 0)
    try:
        end = min(max(float(asked.get("end", "0")), 0.0), float(_MOST))
    except ValueError:
        raise RunError("end is no number: it is where the x axis ends.") from None
    axis = chosen.pop("axis")
    return Options(step_axis=axis, layer=layer, layers=layers, end=end, **chosen)


def _number(asked: QueryParams, name: str, usual: int) -> int:
    text = asked.get(name, str(usual))
    if text != str(usual) and not (text.isascii() and text.isdecimal() and len(text) < 10):
        raise RunError(f"{name} is {text[:40]!r}; it must be a whole number.")
    return int(text)


def _display(subject: str, library: Library) -> Display:
    view = opener(subject, library)()
    try:
        view.refresh()
        if predictions.settle(PATIENCE):
            view.refresh()
        view.check()
        return view.display()
    finally:
        view.close()


def _at(now: Display, path: Any, step: int) -> Display:
    """A run as it was at a recorded step."""
    then = moments.display(path, step)
    growing = cut(now.columns(), until=step)
    header = now.header | then.header
    header["texts"] = now.header["texts"] | then.header["texts"]
    header["events"] = growing["events"]
    arrays = {name: growing[name] for name in now.arrays} | then.arrays
    return replace(now, header=header, arrays=arrays)


def _sides(asked: QueryParams, displays: Sequence[Display]) -> list[Side]:
    def each(name: str, usual: str) -> list[str]:
        said = asked.getlist(name)
        return said if len(said) == len(displays) else [usual] * len(displays)

    looks = zip(
        each("label", ""), each("colour", "#000000"), each("dash", "solid"), each("since", "0"),
        strict=True,
    )  # fmt: skip
    sides = []
    for (label, colour, dash, since), display in zip(looks, displays, strict=True):
        if not _COLOUR.fullmatch(colour) or dash not in SYMBOLS or not since.isdecimal():
            raise RunError(
                "The link gives a contender no colour, dash or first step that there is."
            )
        side = Side(columns=display.columns(), label=label[:200], colour=colour)
        sides.append(replace(side, dash=dash, since=min(int(since[:10]), _MOST)))
    return sides


def _figure(name: str, sides: Sequence[Side], options: Options) -> go.Figure:
    if len(sides) > 1 or (sides[0].label and name in comparison.COMPARISON):
        if name in comparison.COMPARISON:
            return comparison.COMPARISON[name](sides, options)
    elif name == "difference_heatmap":
        return comparison.difference_heatmap(sides[0].columns, options)
    elif name in figures.FIGURES:
        return figures.FIGURES[name](bindings.seen(sides[0]).columns, options)
    known = ", ".join({**figures.FIGURES, **comparison.COMPARISON})
    raise RunError(f"figure is {name[:40]!r}; it must be one of {known}.")


def _words(sides: Sequence[Side], headers: Sequence[Words], options: Options) -> Words:
    """What the placeholders in a figure's title, caption and alternative text stand for."""
    layer_names = max((side.columns.get("layer_names", []) for side in sides), key=len)
    layer = min(options.layer, len(layer_names)) - 1
    told = dict(headers[0].get("alt", {}))
    labels = [side.label for side in sides]
    told |= {"kind_title": options.kind.capitalize(), "part_title": options.part.capitalize()}
    told |= {"part": options.part, "layer_name": layer_names[layer] if layer_names else ""}
    told |= {"a": labels[0], "b": labels[-1], "line": headers[0].get("line", ""), "bands": ""}
    titles = [str(head.get("title", head.get("run", ""))) for head in headers]
    told["runs"] = ", ".join(filter(None, labels)) or ", ".join(titles)
    told["sides"] = [
        head.get("alt", {}) | {"label": label} for head, label in zip(headers, labels, strict=True)
    ]
    return told


def _put(text: str, words: Words) -> str:
    """A text with its placeholders filled."""
    return re.sub(r"\{(\w+)\}", lambda found: str(words.get(found[1], "–")), text)


def _html(figure: go.Figure, words: Words, options: Options) -> str:
    meta, look = figure.layout.meta, theme.MODES[options.mode]
    for choice, cases in meta["words"].items():
        words |= {n: _put(text, words) for n, text in cases[getattr(options, choice)].items()}
    words["each"] = "; ".join(_put(meta["each"], side) for side in words["sides"])
    title, caption, alt = (escape(_put(meta[part], words)) for part in ("title", "caption", "alt"))
    runs = escape(words["runs"])
    figure.update_layout(autosize=True, meta=None)
    drawn = figure.to_html(full_html=False, include_plotlyjs=True, config=_CONFIG)
    style = (
        f"body {{ background: {look['background']}; color: {look['text']}; margin: 2rem auto;"
        " max-width: 1200px; padding: 0 1rem; font-family: sans-serif; }"
        " figure { margin: 0; } #chart { height: 70vh; min-height: 360px; }"
    )
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>{title} – {runs}</title><style>{style}</style></head>\n"
        f'<body><h1>{title}</h1><p>{runs}</p><figure><div id="chart" role="img" aria-label="{alt}">'
        f"{drawn}</div><figcaption>{caption}</figcaption></figure></body></html>\n"
    )
