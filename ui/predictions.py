"""What theory predicts of runs, computed beside the pages and kept. Imports scipy in a thread of its own.

One computation for all who ask the same; the last ones are kept. A defect of theory is a sentence.
"""

import logging
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from engine.blobs import kernel_row
from engine.records import Floats, InputKernel
from engine.spec import RunSpec

log = logging.getLogger(__name__)
KEPT = 64  # predictions, of some kilobytes each
#: What of a spec decides its network before the first step, and the gradient in it.
FIELDS = (
    "data",
    "depth",
    "width",
    "activation",
    "init",
    "std",
    "gain",
    "norm",
    "norm_position",
    "skip",
    "skip_every",
    "gradient_rule",
    "schedule",
)
FAILED = "Theory could not be computed for this network ({error})."
Key = tuple[Any, ...]


class Prediction(Protocol):
    """What of engine.theory.Prediction is drawn and told, without importing it: it brings scipy."""

    @property
    def log10_delta_rms(self) -> Floats: ...
    @property
    def log10_grad_norm(self) -> Floats: ...
    @property
    def log10_grad_rms(self) -> Floats: ...
    @property
    def delta_band(self) -> Floats: ...
    @property
    def grad_band(self) -> Floats: ...
    @property
    def saturated_share(self) -> Floats: ...
    @property
    def active_units(self) -> float: ...
    @property
    def factor(self) -> float: ...
    @property
    def ratio(self) -> float: ...
    @property
    def fault(self) -> str: ...
    @property
    def valid(self) -> bool: ...


Predict = Callable[[RunSpec, InputKernel], Prediction]
Ask = Callable[[RunSpec, InputKernel], Prediction | None]  # None until it is computed


def computed(spec: RunSpec, kernel: InputKernel) -> Prediction:
    """The prediction, now. It brings scipy, which costs the server 20 MB and half a second once."""
    from engine import theory

    return theory.predict(spec, kernel)


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A prediction without numbers, that says why."""

    log10_delta_rms: Floats
    log10_grad_norm: Floats
    log10_grad_rms: Floats
    delta_band: Floats
    grad_band: Floats
    saturated_share: Floats
    fault: str
    active_units: float = math.nan
    factor: float = math.nan
    ratio: float = math.nan
    valid: bool = False


def failed(spec: RunSpec, error: Exception) -> Failed:
    """What stands for a prediction that could not be made."""
    nothing = np.full(spec.layers, np.nan)
    return Failed(
        log10_delta_rms=nothing,
        log10_grad_norm=nothing,
        log10_grad_rms=nothing,
        delta_band=nothing,
        grad_band=nothing,
        saturated_share=nothing,
        fault=FAILED.format(error=type(error).__name__),
    )


def key_of(spec: RunSpec, kernel: InputKernel) -> Key:
    """Equal for what theory must predict the same of."""
    return *(getattr(spec, name) for name in FIELDS), *kernel_row(kernel)


class Predictions:
    """Predictions by what decides them.

    compute  what makes one; whatever it raises becomes a sentence
    """

    def __init__(self, compute: Predict = computed):
        self._compute = compute
        self._known: OrderedDict[Key, Prediction | None] = OrderedDict()  # None: being computed
        self._changed = threading.Condition()
        self._long = threading.Lock()  # BatchNorm's take seconds: one at a time

    def get(self, spec: RunSpec, kernel: InputKernel) -> Prediction | None:
        """The prediction; None while it is being computed, which the first call begins.

        kernel  of the run's own first batch
        """
        key = key_of(spec, kernel)
        with self._changed:
            if key in self._known:
                self._known.move_to_end(key)
                return self._known[key]
            self._known[key] = None
        threading.Thread(target=self._make, args=(key, spec, kernel), daemon=True).start()
        return None

    def settle(self, seconds: float) -> bool:
        """Wait until nothing is being computed, but no longer than so long; whether that is so."""
        end = time.monotonic() + seconds
        with self._changed:
            while any(made is None for made in self._known.values()):
                if not self._changed.wait(end - time.monotonic()):
                    return False
        return True

    def _make(self, key: Key, spec: RunSpec, kernel: InputKernel) -> None:
        try:
            if spec.norm == "batch":
                with self._long:
                    made = self._compute(spec, kernel)
            else:
                made = self._compute(spec, kernel)
        except Exception as error:  # whatever it is, pages and charts go on without it
            log.exception("Theory fails for %s", spec)
            made = failed(spec, error)
        with self._changed:
            self._known[key] = made
            finished = [one for one, there in self._known.items() if there is not None]
            for old in finished[: max(0, len(self._known) - KEPT)]:
                del self._known[old]
            self._changed.notify_all()


predictions = Predictions()  # of this server
