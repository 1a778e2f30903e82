"""Growing arrays from one step to another. assets/cuts.js does the same.

Replay shows a run up to a step; beside its parent, a branch is drawn from where it left it.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

#: What an axis of growing arrays counts -> the array of its steps, rising.
KEYS = {"records": "steps", "curve": "curve_steps", "epochs": "epoch_steps"}


def cut(columns: Mapping[str, Any], since: int = 0, until: int | None = None) -> dict[str, Any]:
    """The columns of display.Display with the rows and events of steps `since` to `until`, both included."""
    last = np.inf if until is None else until
    rows = {
        axis: slice(
            int(np.searchsorted(columns[key], since)),
            int(np.searchsorted(columns[key], last, side="right")),
        )
        for axis, key in KEYS.items()
        if key in columns
    }
    found = dict(columns)
    for name, axis in columns.get("grows", {}).items():
        found[name] = columns[name][rows[axis]]
    if "events" in columns:
        found["events"] = [e for e in columns["events"] if since <= e["step"] <= last]
    return found
