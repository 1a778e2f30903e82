"""A run's view -> pandas tables, for export and tests. Apart from ui/views.py, because pandas costs
the server 70 MB that the screen has no use for.
"""

from typing import Any

import numpy as np
import pandas as pd

from engine.records import EPOCH_NUMBERS, ROW, STATISTICS
from ui.views import RunView

GRADIENT_BY_DEPTH = {"step": "int64", "layer": "int64"} | dict.fromkeys(STATISTICS, "float64")
HISTORY = {"step": "int64"} | dict.fromkeys(EPOCH_NUMBERS, "float64")


def gradient_by_depth(view: RunView) -> pd.DataFrame:
    """One row per (step, layer) that is shown, with every statistic.

    Columns as GRADIENT_BY_DEPTH, also when nothing is recorded: layer 1 is nearest the input.
    """
    count, _, layers = view.records.rows.shape
    columns = {
        "step": np.repeat(view.records.keys, layers),
        "layer": np.tile(np.arange(1, layers + 1), count),
    } | {name: view.records.rows[:, row].ravel() for name, row in ROW.items()}
    return pd.DataFrame(columns).astype(GRADIENT_BY_DEPTH)


def history(view: RunView) -> pd.DataFrame:
    """One row per end of an epoch that is shown: step, then losses and accuracies (0 to 1).

    Columns as HISTORY, also when no epoch has ended.
    """
    columns: dict[str, Any] = {"step": view.epochs.keys.copy()}
    columns |= {name: view.epochs.rows[:, place] for place, name in enumerate(EPOCH_NUMBERS)}
    return pd.DataFrame(columns).astype(HISTORY)
