"""The numbers that a lesson speaks of: measured in its runs, predicted by theory, told in words."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np

from engine import outcomes, runs, store
from engine.outcomes import gradient_ratio
from engine.records import ROW, Floats, InputKernel, Record
from engine.spec import RunSpec
from ui.numbers import NONE, number, share
from ui.overlay import signal_factor
from ui.predictions import Prediction

#: Of a text: {run0.factor_start}.
PLACEHOLDER = re.compile(r"\{run(\d+)\.(\w+)\}")


@dataclass(frozen=True)
class Quantity:
    """A number that a prediction can be about."""

    words: str  # what it is, in the middle of a sentence
    form: str  # a key of FORMS
    at: str  # "start" or "end": of which record, unless the chapter says


#: What a prediction of kind "choice" or "number" can be about.
MEASURES: dict[str, Quantity] = {
    "test_accuracy": Quantity("test accuracy after the last epoch", "share", "end"),
    "gradient_ratio": Quantity(
        "gradient RMS of layer 1 over the last hidden layer's", "ratio", "start"
    ),
    "delta_ratio": Quantity(
        "RMS of dL/dz of layer 1 over the last hidden layer's", "ratio", "start"
    ),
    "dead_share": Quantity("share of dead units, mean over the hidden layers", "share", "end"),
    "saturated_share": Quantity("saturated share, mean over the hidden layers", "share", "end"),
    "wake_epoch": Quantity("epoch in which the network wakes up", "count", "end"),
}
FORMS: dict[str, Callable[[float | None], str]] = {
    "share": share,
    "ratio": number,
    "number": number,
    "count": lambda value: NONE if value is None else f"{value:,.0f}",
}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What one run of a lesson has measured so far."""

    spec: RunSpec
    outcome: outcomes.Outcome
    kernel: InputKernel | None
    first: Record | None  # at step 0
    newest: Record | None
    first_loss: float | None  # of the first batch, before its step
    train_loss: float | None  # of the newest epoch, as the accuracy
    train_accuracy: float | None

    @property
    def is_over(self) -> bool:
        return self.outcome.status not in store.OPEN

    def record(self, at: str) -> Record | None:
        """The record at the "start" or the newest."""
        return self.first if at == "start" else self.newest


def measured(run: str) -> Measured:
    """What a run has measured so far. Read again only when its file has changed. Raises EngineError."""
    path = runs.path(run)
    info = runs.info(run)  # its status may change without a write
    return _measured(path, outcomes.stamp(path), info.status)


@lru_cache(maxsize=64)
def _measured(path: Path, _: tuple[int, ...], status: str) -> Measured:
    measure = outcomes.Measure(path, lambda: runs.info(path.stem))
    measure.refresh()
    with store.Reader(path) as reader:
        records, ends, steps = reader.records(), reader.epochs(), reader.steps()
        kernel = reader.kernel()
    first = records[0] if records and records[0].step == 0 else None
    return Measured(
        spec=measure.info.spec,
        outcome=measure.outcome,
        kernel=kernel,
        first=first,
        newest=records[-1] if records else None,
        first_loss=float(steps[0].loss[0]) if steps and len(steps[0].loss) else None,
        train_loss=ends[-1].train_loss if ends else None,
        train_accuracy=ends[-1].train_accuracy if ends else None,
    )


def value(measured: Measured, measure: str, at: str) -> float | None:
    """The number of MEASURES that decides a prediction; None while it is not known."""
    return _VALUES[measure](measured, at)


_VALUES: Mapping[str, Callable[[Measured, str], float | None]] = {
    "test_accuracy": lambda run, at: run.outcome.test_accuracy,
    "gradient_ratio": lambda run, at: gradient_ratio(run.record(at)),
    "delta_ratio": lambda run, at: gradient_ratio(run.record(at), "delta_rms"),
    "dead_share": lambda run, at: outcomes.mean_over_layers(run.record(at), "dead_share"),
    "saturated_share": lambda run, at: outcomes.mean_over_layers(run.record(at), "saturated_share"),
    "wake_epoch": lambda run, at: run.outcome.wake_epoch,
}


def log10_profile(record: Record | None) -> Floats | None:
    """log10 of the gradient RMS by layer, [layers]; NaN where there is none, -inf of exact zero."""
    if record is None:
        return None
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log10(record.scalars[ROW["grad_rms"]])
    return found


def _mean(record: Record | None, statistic: str) -> float | None:
    return outcomes.mean_over_layers(record, statistic)


def _of_layer_1(record: Record | None, statistic: str) -> float | None:
    return None if record is None else float(record.scalars[ROW[statistic], 0])


def _last_hidden(record: Record | None, statistic: str) -> float | None:
    if record is None:
        return None
    return float(record.scalars[ROW[statistic], outcomes.last_hidden(record) - 1])


Told = Callable[[Measured, Prediction | None], float | None]
#: What may stand behind "run0." in a text: its form, and where the number comes from.
PLACEHOLDERS: dict[str, tuple[str, Told]] = {
    "gradient_ratio_start": ("ratio", lambda run, _: gradient_ratio(run.first)),
    "gradient_ratio_end": ("ratio", lambda run, _: gradient_ratio(run.newest)),
    "delta_ratio_start": ("ratio", lambda run, _: gradient_ratio(run.first, "delta_rms")),
    "delta_ratio_end": ("ratio", lambda run, _: gradient_ratio(run.newest, "delta_rms")),
    "ratio_theory": ("ratio", lambda run, theory: theory.ratio if theory else None),
    "factor_start": ("number", lambda run, _: signal_factor(run.first)),
    "factor_end": ("number", lambda run, _: signal_factor(run.newest)),
    "factor_theory": ("number", lambda run, theory: theory.factor if theory else None),
    "gradient_layer1_start": ("number", lambda run, _: _of_layer_1(run.first, "grad_rms")),
    "gradient_layer1_end": ("number", lambda run, _: _of_layer_1(run.newest, "grad_rms")),
    "update_ratio_start": ("number", lambda run, _: _of_layer_1(run.first, "update_ratio")),
    "update_ratio_end": ("number", lambda run, _: _of_layer_1(run.newest, "update_ratio")),
    "loss_start": ("number", lambda run, _: run.first_loss),
    "loss_end": ("number", lambda run, _: run.train_loss),
    "train_accuracy": ("share", lambda run, _: run.train_accuracy),
    "test_accuracy": ("share", lambda run, _: run.outcome.test_accuracy),
    "wake_epoch": ("count", lambda run, _: run.outcome.wake_epoch),
    "dead_share": ("share", lambda run, _: _mean(run.newest, "dead_share")),
    "dead_share_start": ("share", lambda run, _: _mean(run.first, "dead_share")),
    "saturated_share": ("share", lambda run, _: _mean(run.newest, "saturated_share")),
    "saturated_share_start": ("share", lambda run, _: _mean(run.first, "saturated_share")),
    "sample_correlation": ("number", lambda run, _: _last_hidden(run.newest, "sample_correlation")),
    "sample_correlation_start": (
        "number",
        lambda run, _: _last_hidden(run.first, "sample_correlation"),
    ),
    "epochs": ("count", lambda run, _: run.outcome.epochs),
    "steps": ("count", lambda run, _: run.outcome.step),
}


def told(name: str, run: Measured | None, theory: Prediction | None) -> str:
    """A placeholder's number in words; an en dash where nothing is measured."""
    form, read = PLACEHOLDERS[name]
    found = None if run is None else read(run, None if theory is None or theory.fault else theory)
    return NONE if found is None else FORMS[form](found)


def filled(text: str, of: Callable[[int, str], str]) -> str:
    """A text with its placeholders filled; between dollar signs, as mathematics is written there.

    of  the words for a run's number, by run and name
    """
    parts = re.split(r"(\$\$.+?\$\$|\$[^$\n]+?\$)", text, flags=re.S)
    for place, part in enumerate(parts):
        tell = in_formula if place % 2 else str
        parts[place] = PLACEHOLDER.sub(lambda hit, tell=tell: tell(of(int(hit[1]), hit[2])), part)
    return "".join(parts)


_SUPERSCRIPTS = str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789")


def in_formula(words: str) -> str:
    """A number in words as KaTeX writes it."""
    words = re.sub(
        r"·10([⁻⁰¹²³⁴⁵⁶⁷⁸⁹]+)",
        lambda hit: rf"\cdot 10^{{{hit[1].translate(_SUPERSCRIPTS)}}}",
        words,
    )
    words = words.replace(",", "{,}").replace(" %", r"\,\%").replace("−", "-")
    return rf"\text{{{words}}}" if words == NONE else words
