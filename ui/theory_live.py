"""Mounts the Theory page's component, which draws by itself while Python rests."""

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from engine.spec import bounds
from ui import live
from ui.bindings import NO_DATA, Options
from ui.theory_columns import SIGMA_W
from ui.theory_figures import RANGES, THEORY_FIGURES
from ui.words import shown


@cache
def figures_json() -> dict[str, Any]:
    """Every figure of the page without data: name -> {data, layout}."""
    return {name: live.as_json(made(NO_DATA, Options())) for name, made in THEORY_FIGURES.items()}


def mount(
    fields: Mapping[str, Any], *, width: int, run: str, key: str, on_slid: Callable[[], None]
) -> Any:
    """The component's result; its `std` is where the slider of sigma_w came to rest.

    The script reruns then, and never while a hand slides or seeds are measured: the browser asks
    the server itself, under /live/theory.

    fields  of the network, where they are not as by default
    width   of its hidden layers, by which a std becomes sigma_w
    run     whose own first record is drawn too; "" for none
    """
    data = {
        "fields": {name: shown(value) for name, value in fields.items() if value is not None},
        "width": width,
        "run": run,
        "sigma_w": list(SIGMA_W),
        "std": list(bounds("std")),
        "figures": figures_json(),
        "ranges": RANGES,
        **live.common(),
    }
    # In a list: Streamlit would import pandas (70 MB) to look for tables among a dictionary's values.
    mounted = live.component("theory", "theory.js")
    return mounted(data=[data], key=key, on_std_change=on_slid)
