"""Theory's prediction beside the measurement: as arrays that figures know by name, and in words."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.findings import LEAST_ACTIVE
from engine.outcomes import gradient_ratio, last_hidden
from engine.records import Event, InputKernel, Record
from engine.spec import RunSpec
from engine.steering import stood
from ui.arrays import Named
from ui.numbers import number, power
from ui.predictions import Ask, Prediction

#: A profile's quantity -> of a prediction: its line and its band; how thick the line is drawn.
QUANTITIES = {
    "signal": ("log10_delta_rms", "delta_band", "thick"),
    "gradient": ("log10_grad_rms", "grad_band", "thin"),
}
WAITS = "Theory is being computed."
UNKNOWN = "No theory: this run was recorded without what its first batch was like."
_BAND = "band: one standard deviation over seeds"
_UNITS = f"{{units:.0f}} active units; below {LEAST_ACTIVE:g} theory fails."


@dataclass(frozen=True, kw_only=True)
class Theory:
    """What is known of theory's prediction for a run."""

    prediction: Prediction | None = None
    waits: bool = False  # whether it is being computed
    first: Record | None = None  # what was measured at step 0
    layers: int = 0


class Asked:
    """A run's prediction, asked for until it is there.

    predict  makes it, or None until it is made
    """

    def __init__(self, predict: Ask):
        self._predict = predict
        self.kernel: InputKernel | None = None  # of its first batch, once it is recorded
        self.wanted = True  # whether anybody looks at it
        self.prediction: Prediction | None = None

    @property
    def waits(self) -> bool:
        """Whether it is being computed."""
        return self.wanted and self.kernel is not None and self.prediction is None

    def again(self, spec: RunSpec, events: Sequence[Event]) -> bool:
        """Ask once more; whether it has come. `spec` as the run was started."""
        if not self.wanted or self.kernel is None or self.prediction is not None:
            return False
        # Before the first step it stood as what was changed at step 0 had left it.
        self.prediction = self._predict(stood(spec, events, 1).spec, self.kernel)
        return self.prediction is not None

    def theory(self, layers: int, first: Record | None) -> Theory:
        """What is known of it now, beside the run's first record."""
        return Theory(prediction=self.prediction, waits=self.waits, first=first, layers=layers)


def arrays(theory: Theory) -> Named:
    """Lines and bands by name, [layers] log10; NaN where there is none.

    {quantity}_theory_{thick or thin}, _low, _high where it can be trusted, otherwise
    {quantity}_theory_grey; gradient_theory_shown is what several contenders are drawn with.
    """
    found: dict[str, Any] = {}
    nothing = np.full(theory.layers, np.nan)
    told = theory.prediction
    for quantity, (line, band, thickness) in QUANTITIES.items():
        value = getattr(told, line) if told else nothing
        spread = getattr(told, band) if told else nothing
        good = value if told and not told.fault else nothing
        found |= {
            f"{quantity}_theory_{thickness}": good,
            f"{quantity}_theory_low": good - spread,
            f"{quantity}_theory_high": good + spread,
            f"{quantity}_theory_grey": value if told and told.fault else nothing,
        }
    found["gradient_theory_shown"] = found["gradient_theory_thin"]
    return {name: values.astype(np.float32) for name, values in found.items()}


def texts(theory: Theory) -> dict[str, Any]:
    """Words for pointing, and what is told beside the profile of each quantity."""
    told = theory.prediction
    found: dict[str, Any] = {"theory_note": _note(theory)}
    for quantity, (line, band, _) in QUANTITIES.items():
        found[f"{quantity}_theory_aside"] = _aside(theory, quantity)
        found[f"{quantity}_theory_words"] = (
            [_words(*pair) for pair in zip(getattr(told, line), getattr(told, band), strict=True)]
            if told
            else []
        )
    return found


def _words(value: float, band: float) -> str:
    return f"{power(value)}, ± {band:.2f} decades" if math.isfinite(value) else ""


def _aside(theory: Theory, quantity: str) -> str:
    told = theory.prediction
    if told is None:
        return WAITS if theory.waits else UNKNOWN if theory.first else ""
    if told.fault:
        return f"Theory for step 0 is not to be trusted here. {told.fault}"
    units = _UNITS.format(units=told.active_units)
    if quantity == "gradient":
        return (
            "Thin dashes: theory for step 0, the norm of dL/dW over √(fan-in · fan-out); "
            f"{_BAND}. {units}"
        )
    return f"Thick dashes: theory for step 0; {_BAND}. {_factor(theory)}{units}"


def _factor(theory: Theory) -> str:
    told = theory.prediction
    if told is None or not math.isfinite(told.factor):
        return ""
    measured = measured_factor(theory.first)
    beside = f", measured ×{number(measured)}" if measured is not None else ""
    return f"From layer to layer towards the input ×{number(told.factor)}{beside}. "


def _note(theory: Theory) -> str:
    """The same in a few words, for one of several contenders."""
    told = theory.prediction
    if told is None:
        return WAITS.rstrip(".") if theory.waits else ""
    if told.fault and math.isfinite(told.active_units):
        units = f"{told.active_units:.2g} active units; it needs {LEAST_ACTIVE:g}"
        return f"theory fails here ({units})"
    if told.fault or not math.isfinite(told.factor):
        return told.fault.rstrip(".")
    measured = measured_factor(theory.first)
    return f"×{number(told.factor)} per layer by theory, ×{number(measured)} measured at step 0"


def signal_factor(record: Record | None) -> float | None:
    """dL/dz of a hidden layer over that of the layer above: geometric mean over those in use.

    None where there is one hidden layer, or no ratio.
    """
    ratio = gradient_ratio(record, "delta_rms")
    if record is None or ratio is None:
        return None
    steps = last_hidden(record) - 1
    return ratio ** (1 / steps) if steps else None


def measured_factor(record: Record | None) -> float | None:
    """How much dL/dz changes from one hidden layer to the one below, as theory's `factor`.

    The geometric mean over the hidden layers in use; None where it was not measured, or is 0.
    """
    factor = signal_factor(record)
    return factor if factor is not None and math.isfinite(factor) and factor > 0 else None
