"""What a run has recorded -> the arrays that figures and the browser know by name. numpy only."""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine.records import EPOCH_NUMBERS, ROW, Record
from engine.spec import RunSpec
from ui.cells import Heat
from ui.looks import look
from ui.theme import MARKS, PROFILE_RANGE
from ui.thinning import Columns, Intervals

Named = dict[str, NDArray[Any]]
GRADIENT = ROW["grad_rms"]


def heatmap(heat: Heat) -> Named:
    """The heatmap's arrays by name."""
    return {
        "steps": heat.steps.astype(np.uint32),
        "record_seconds": heat.seconds,
        "grad_log10": heat.log10,
        "marks": heat.marks,
    }


def curve(curve: Intervals) -> Named:
    """Loss and accuracy of the batches, as means over intervals, with every spike."""
    count = np.maximum(curve.count, 1)
    return {
        "curve_steps": curve.centre,
        "loss_mean": (curve.loss / count).astype(np.float32),
        "loss_min": curve.loss_min.astype(np.float32),
        "loss_max": curve.loss_max.astype(np.float32),
        "accuracy_mean": (curve.accuracy / count).astype(np.float32),
    }


def epochs(epochs: Columns) -> Named:
    """Losses and accuracies at the ends of epochs."""
    columns = {
        f"epoch_{name}": epochs.rows[:, place].astype(np.float32)
        for place, name in enumerate(EPOCH_NUMBERS)
        if name != "seconds"
    }
    return {"epoch_steps": epochs.keys.astype(np.uint32)} | columns


def profiles(when: str, record: Record | None, layers: int) -> Named:
    """What the profile by depth shows of a record, "now" or at the "start": both quantities."""
    gradient = signal = None
    if record is not None:
        gradient, signal = look(record).gradient, look(record).signal
    return profile(f"gradient_{when}", gradient, layers) | profile(f"signal_{when}", signal, layers)


def profile(name: str, cells: NDArray[np.float64] | None, layers: int) -> Named:
    """One line over the layers: log10, and where a marker says that it is off the axis.

    cells  [2, layers] of cells.cells_of or cells.signal_of; None where nothing is recorded
    """
    value, code = np.full((2, layers), np.nan) if cells is None else cells
    off = np.array([_OFF.get(mark, np.nan) for mark in code.tolist()], np.float32)
    shown = np.where(code == 0, value, np.nan).astype(np.float32)
    return {name: shown, f"{name}_off": off}


#: Code of a mark -> where on the profile's axis it is told that the value is beyond.
_OFF = {MARKS[name][0]: PROFILE_RANGE[0] + 0.5 for name in ("below", "zero")} | {
    MARKS[name][0]: PROFILE_RANGE[1] - 0.5 for name in ("above", "nonfinite")
}


def guess(spec: RunSpec, step: int) -> Named:
    """Two points each of the loss and accuracy of guessing, over the steps so far."""
    classes = len(spec.data_set.classes)
    return {
        "guess_steps": np.array([0, max(step, 1)], np.uint32),
        "guess_loss": np.full(2, math.log(classes), np.float32),
        "guess_accuracy": np.full(2, 1 / classes, np.float32),
    }
