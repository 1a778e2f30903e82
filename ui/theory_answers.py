"""What the Theory page's browser is told of a network: prediction, and what is measured so far.

Each answer is whole, so that a lost or late one does no harm; the browser asks again until it is
`done`. What takes milliseconds is computed at once, the rest later and kept.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any

import numpy as np

from engine import phase_diagram, runs, store, theory
from engine.blobs import KERNEL_NUMBERS
from engine.errors import EngineError, SpecError
from engine.phase_diagram import FixedPoint
from engine.records import ROW, InputKernel
from engine.spec import RunSpec
from engine.theory import Prediction
from ui import theory_columns, theory_words
from ui.later import Later
from ui.probes import NOT_ANEW, Probes, decisive, kernel_in
from ui.summary import layer_names

SEEDS = 30
KEPT_KERNELS = 64
Told = dict[str, Any]


class Theory:
    """Answers by the process that measures, and what is computed beside it.

    probes  asked for batches and seeds
    """

    def __init__(self, probes: Probes, later: Later | None = None):
        self.probes, self.later = probes, later or Later()

    def network(self, asked: Mapping[str, str], *, anew: bool = True) -> Told:
        """All that is known by now of the network of a link.

        asked  fields of a RunSpec; `run`, whose own first record is drawn too; `viewer`
        anew   whether what is not known may be measured
        """
        fields = {name: value for name, value in asked.items() if name in RunSpec.FIELDS}
        try:
            spec = RunSpec(**fields)
            own = _first_record(asked.get("run", ""))
        except SpecError as error:
            return _refused(" ".join(error.faults.values()))
        except EngineError as error:
            return _refused(str(error))
        return self._told(spec, own, {"viewer": asked.get("viewer", "")[:40], "anew": anew})

    def phase(self, activation: str) -> Told:
        """The phase diagram of an activation; pending while it is being computed."""
        try:
            RunSpec(activation=activation)
        except SpecError as error:
            return _refused(str(error))
        found = self.later.get(("phase", activation), partial(theory_columns.phase, activation))
        return {
            "done": found is not None,
            "columns": as_json(found or {}),
            "activation": activation,
        }

    def _told(self, spec: RunSpec, own: "_Own", who: Told) -> Told:
        asked = self.probes.ask("kernel", spec, **who)
        seeds = self.probes.ask("seeds", spec, count=SEEDS, **who)
        kernel = own.kernel or (kernel_in(asked.rows[0]) if asked.rows else None)
        if kernel is not None and own.kernel is None and seeds.done and spec.norm != "batch":
            kernel = over_batches(kernel, [kernel_in(row) for row in seeds.rows if "kernel" in row])
        found = self._predicted(spec, kernel) if kernel is not None else None
        sigma_w, sigma_b = phase_diagram.place(spec)
        point = self._point(spec.activation, sigma_w, sigma_b)
        columns: Told = {"layer_names": layer_names(spec.layers)}
        columns |= theory_columns.predicted(found, kernel)
        columns |= theory_columns.measured(seeds.rows, spec.layers)
        if own.delta is not None:
            columns["run_delta"] = own.delta
        columns |= theory_columns.ranges(columns)
        columns |= theory_columns.net(sigma_w, sigma_b, point, theory_words.is_plain(spec))
        count = sum("seed" in row for row in seeds.rows)
        told: Told = {
            "columns": as_json(columns),
            "sigma_w": sigma_w,
            "sigma_b": sigma_b,
            "done": seeds.done and found is not None and point is not None,
            "seeds": count,
            "wanted": SEEDS,
            "progress": theory_words.progress(seeds, SEEDS),
            "failed": seeds.error not in ("", NOT_ANEW),
        }
        if asked.error and kernel is None:  # without a batch there is no prediction either
            told |= {
                "done": point is not None,
                "failed": asked.error != NOT_ANEW,
                "progress": theory_words.progress(asked, SEEDS),
            }
        return told | self._words(spec, point, found, columns, count)

    def _words(
        self,
        spec: RunSpec,
        point: FixedPoint | None,
        found: Prediction | None,
        columns: Told,
        seeds: int,
    ) -> Told:
        sigma_w, sigma_b = phase_diagram.place(spec)
        seen = {}
        if "measured_delta" in columns:
            seen = theory_words.measured_factors(columns["measured_delta"], _top(spec), seeds)
        formula = theory_words.formula(spec, sigma_w, point, found, seen)
        validity, is_valid = theory_words.validity(found, spec)
        return {
            "formula": formula,
            "plain": theory_words.why_not_plain(spec),
            "scales": theory_words.scales(point, spec),
            "validity": validity,
            "valid": is_valid,
            "alt": {
                "activation": spec.activation,
                "layers": spec.layers,
                "seeds": theory_words.seeds_words(seeds) + " measured" if seeds else "measurement",
                "place": theory_words.place(sigma_w, sigma_b, point, spec),
                "formula": theory_words.plain(formula[-1] if formula else ""),
            },
        }

    def _predicted(self, spec: RunSpec, kernel: InputKernel) -> Prediction | None:
        if spec.norm != "batch":
            return _predict(_Asked(spec, kernel))
        key = ("prediction", *decisive("backward", spec).items())
        found: Prediction | None = self.later.get(key, partial(theory.predict, spec, kernel))
        return found

    def _point(self, activation: str, sigma_w: float, sigma_b: float) -> FixedPoint | None:
        key = ("point", activation, sigma_w, sigma_b)
        compute = partial(phase_diagram.fixed_point, activation, sigma_w, sigma_b)
        found: FixedPoint | None = self.later.get(key, compute)
        return found


class _Asked:
    """A spec with its kernel, equal to another where the prediction is."""

    def __init__(self, spec: RunSpec, kernel: InputKernel):
        self.spec, self.kernel = spec, kernel
        numbers = (kernel.variance, kernel.different, kernel.same_share)
        self.key = (tuple(decisive("backward", spec).items()), numbers)

    def __hash__(self) -> int:
        return hash(self.key)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Asked) and self.key == other.key


@lru_cache(maxsize=KEPT_KERNELS)
def _predict(asked: _Asked) -> Prediction:
    return theory.predict(asked.spec, asked.kernel)


def over_batches(kernel: InputKernel, others: Sequence[InputKernel]) -> InputKernel:
    """The mean over the seeds' batches, for what was measured over all of them; `kernel` without any.

    Where all examples look alike, dL/dW of a batch is what its classes' frequencies are off by: of
    one batch it may be half of another's.
    """
    if not others:
        return kernel
    mean: Told = {
        name: float(np.mean([getattr(one, name) for one in others])) for name in KERNEL_NUMBERS
    }
    return replace(kernel, **mean)


def _top(spec: RunSpec) -> int:
    """The last hidden layer that the first step has."""
    return spec.phases[0].layers


class _Own:
    """What a run's file says of its own first step."""

    def __init__(self, kernel: InputKernel | None = None, delta: Any = None):
        self.kernel, self.delta = kernel, delta


def _first_record(run: str) -> _Own:
    if not run:
        return _Own()
    with store.Reader(runs.path(run)) as reader:
        kernel = reader.kernel()
        record = reader.record(0)
    if record is None:  # it has not begun, or branched off later
        return _Own(kernel)
    with np.errstate(divide="ignore", invalid="ignore"):
        delta = np.log10(record.scalars[ROW["delta_rms"]])
    return _Own(kernel, np.where(np.isfinite(delta), delta, np.nan))


def _refused(sentence: str) -> Told:
    return {"done": True, "refused": sentence, "columns": {}}


def as_json(columns: Mapping[str, Any]) -> Told:
    """Arrays as {"values", "shape"} with null for what is not finite; lists of words as they are."""
    return {
        name: _numbers(values) if isinstance(values, np.ndarray) else values
        for name, values in columns.items()
    }


def _numbers(values: Any) -> Told:
    flat = [float(f"{x:.6g}") if math.isfinite(x) else None for x in values.ravel().tolist()]
    return {"values": flat, "shape": list(values.shape)}
