"""Two contenders, one over the other: log10 of the ratio of their gradients, by layer and step.

By step, only steps that both recorded are compared; by epoch or by seconds, the second is
interpolated where the first recorded, as far as both have got. Where one network is deeper, the
other's layers are interpolated over relative depth: layer 1 is 0, the output layer 1.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.spec import RunSpec
from engine.store import FINISHED, RUNNING
from ui.arrays import Named
from ui.cells import Heat
from ui.display import Display, grown
from ui.summary import layer_names
from ui.theme import DIFFERENCE_DOMAIN, DIFFERENCE_MARKS, MARKS
from ui.views import ContenderView

Floats = NDArray[np.float64]
Codes = NDArray[np.uint8]
EVERY = 0.3  # seconds between two displays: it reads two runs
_CODE = {name: code for name, (code, _) in DIFFERENCE_MARKS.items()}
#: Code of theme.MARKS -> code of a cell that cannot be compared; a larger one outweighs a smaller.
_FAULT = np.zeros(1 + max(code for code, _ in MARKS.values()), np.uint8)
for _name in ("zero", "nonfinite", "absent"):
    _FAULT[MARKS[_name][0]] = _CODE[_name]
_FAULT[MARKS["frozen"][0]] = _CODE["absent"]

Places = Callable[[Heat, RunSpec], Floats]
#: What runs are aligned by -> where on that axis the records of one are.
ALIGNMENTS: dict[str, Places] = {
    "step": lambda heat, spec: heat.steps.astype(float),
    "log_step": lambda heat, spec: heat.steps.astype(float),  # the same; the axis is another
    "epoch": lambda heat, spec: heat.steps / spec.steps_per_epoch,
    # Medians over seeds that end at different steps may step back a little.
    "seconds": lambda heat, spec: np.maximum.accumulate(heat.seconds),
}


class Between(NamedTuple):
    """Each of some places as a point between two of others: `part` of the way from left to right."""

    left: NDArray[np.intp]
    right: NDArray[np.intp]
    part: Floats


class DifferenceView:
    """The difference of two contenders. Everything raised is an EngineError.

    align  a key of ALIGNMENTS
    a, b   what is drawn is the second over the first
    """

    def __init__(self, subject: str, align: str, a: ContenderView, b: ContenderView):
        self.subject, self.align, self.a, self.b = subject, align, a, b
        for side in (a, b):  # losses, histograms and a diagnosis are nothing to it
            side.read_heat_only()

    @property
    def every(self) -> float:
        return max(EVERY, self.a.every, self.b.every)

    @property
    def ended(self) -> bool:
        """Whether neither will change any more."""
        return self.a.ended and self.b.ended

    def refresh(self) -> bool:
        """Read what is new of both; whether anything was."""
        return bool(sum([self.a.refresh(), self.b.refresh()]))

    def check(self) -> bool:
        """Ask anew for the status of both; whether it changed."""
        return bool(sum([self.a.check(), self.b.check()]))

    def close(self) -> None:
        """Let go of the files of both."""
        self.a.close()
        self.b.close()

    def display(self) -> Display:
        """All there is to show, now."""
        heats, specs = (self.a.heat(), self.b.heat()), (self.a.spec, self.b.spec)
        places = [ALIGNMENTS[self.align](*pair) for pair in zip(heats, specs, strict=True)]
        exact = self.align in ("step", "log_step")
        shared, between = (on_equal if exact else on_places)(*places)
        layers = max(spec.layers for spec in specs)
        values, codes = compared(heats[0], shared, heats[1], between, layers)
        identity = [_columns(heats[0].identity)[shared]] + [
            _columns(heats[1].identity)[side] for side in (between.left, between.right)
        ]
        steps = heats[0].steps[shared]
        header: dict[str, Any] = {
            "run": self.subject,
            "status": FINISHED if self.ended else RUNNING,
            "align": self.align,
            "step": int(steps[-1]) if len(steps) else 0,
            "steps_per_epoch": specs[0].steps_per_epoch,
            "layers": layers,
            "relative": specs[0].layers != specs[1].layers,
            "line": "" if len(steps) else self._nothing(heats),
            "events": [],
            "texts": {"layer_names": layer_names(layers)},
        }
        arrays: Named = {
            "steps": steps.astype(np.uint32),
            "places": places[0][shared],
            "difference": values,
            "difference_marks": codes,
        }
        rows = np.concatenate(identity, axis=1)
        return grown(header, {}, {"records": arrays}, {"records": rows})

    def _nothing(self, heats: tuple[Heat, Heat]) -> str:
        if not all(len(heat.steps) for heat in heats):
            return "The difference appears as soon as both have recorded something."
        if self.ended:
            return "The two have nothing in common to compare: they recorded at no common step."
        return "The two have not got to a common step yet."


def on_equal(a: Floats, b: Floats) -> tuple[NDArray[np.intp], Between]:
    """Rows of the first whose place is exactly one of the second, and where that is there."""
    shared = np.flatnonzero(np.isin(a, b))
    at = np.searchsorted(b, a[shared])
    return shared, Between(at, at, np.zeros(len(at)))


def on_places(a: Floats, b: Floats) -> tuple[NDArray[np.intp], Between]:
    """Rows of the first that lie within the second's reach, and between which of its rows.

    Nothing is made up beyond where either has recorded.
    """
    if not len(b):
        return np.zeros(0, np.intp), _between(b, b)
    shared = np.flatnonzero((a >= b[0]) & (a <= b[-1]))
    return shared, _between(a[shared], b)


def _between(wanted: Floats, rows: Floats) -> Between:
    """Each wanted place, none beyond the ends, between two of the rows, rising; exact where it is one."""
    right = np.searchsorted(rows, wanted)
    left = np.maximum(right - 1, 0)
    gap = rows[right] - rows[left]
    part = np.divide(wanted - rows[left], gap, out=np.ones(len(wanted)), where=gap > 0)
    exact = part == 1
    return Between(np.where(exact, right, left), right, np.where(exact, 0.0, part))


def compared(
    a: Heat, rows: NDArray[np.intp], b: Heat, between: Between, layers: int
) -> tuple[NDArray[np.float32], Codes]:
    """log10 of the second over the first, [n, layers], and the codes of theme.DIFFERENCE_MARKS.

    A value without a colour because it is beyond the domain is kept, for who points at it; where
    there is none it is NaN.
    """
    first = _stretched(a.log10[rows].astype(float), _FAULT[a.marks[rows]], layers)
    later = _mixed(b.log10.astype(float), _FAULT[b.marks], between, axis=0)
    second = _stretched(*later, layers)
    codes = np.maximum(first[1], second[1])
    values = np.where(codes == 0, second[0] - first[0], np.nan)
    low, high = DIFFERENCE_DOMAIN
    codes[values < low], codes[values > high] = _CODE["less"], _CODE["more"]
    return values.astype(np.float32), codes


def _stretched(values: Floats, faults: Codes, layers: int) -> tuple[Floats, Codes]:
    """[n, own layers] over relative depth on so many layers."""
    own = values.shape[1]
    if own == layers:
        return values, faults
    wanted = np.arange(layers) * (own - 1) / (layers - 1)
    return _mixed(values, faults, _between(wanted, np.arange(own, dtype=float)), axis=1)


def _mixed(values: Floats, faults: Codes, between: Between, axis: int) -> tuple[Floats, Codes]:
    """Interpolated along an axis; at fault where either neighbour that counts is."""
    left, right, part = between
    shape = (-1, 1) if axis == 0 else (1, -1)
    part = part.reshape(shape)
    sides = values.take(left, axis), values.take(right, axis)
    mixed = np.where(part == 0, sides[0], sides[0] * (1 - part) + sides[1] * part)
    return mixed, np.maximum(
        faults.take(left, axis), np.where(part == 0, np.uint8(0), faults.take(right, axis))
    )


def _columns(identity: NDArray[Any]) -> NDArray[Any]:
    return identity if identity.ndim > 1 else identity[:, None]
