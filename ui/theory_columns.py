"""A prediction and what was measured -> the named arrays of the Theory page. numpy only."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.phase_diagram import FixedPoint, chi_map, critical_line
from engine.records import Floats, InputKernel
from engine.theory import Prediction
from ui.numbers import power

Row = Mapping[str, Any]
Columns = dict[str, Any]
#: log10 of values that an axis may begin and end at: fixed ones, so that it stands still while a
#: hand slides, and a dead gradient does not look alive.
PROFILE_ENDS = ((-13, -30, -50, -100, -310), (1, 20, 60, 130, 310))
SIGNAL_ENDS = ((-6, -18, -40, -100), (2, 10, 40, 130))
#: The phase diagram's axes: sigma_w logarithmic, because networks in use lie from 0.3 to 100.
SIGMA_W, SIGMA_B = (0.1, 300.0), (0.0, 2.0)
CELLS = (176, 41)
#: What a gradient's size means to Adam and to float32.
_W, _B = "σ<sub>w</sub>", "σ<sub>b</sub>"
LIMITS = {"adam": 1e-8, "normal": 2.0**-126, "smallest": 2.0**-149}


def predicted(found: Prediction | None, kernel: InputKernel | None) -> Columns:
    """Theory's lines; under names with `grey` where they must not be trusted."""
    if found is None or kernel is None:
        return {}
    square = found.preactivation_variance
    pair = _pair(found, kernel)
    told = {
        "delta": found.log10_delta_rms,
        "delta_low": found.log10_delta_rms - found.delta_band,
        "delta_high": found.log10_delta_rms + found.delta_band,
        "grad": found.log10_grad_rms,
        "square": _log10(square),
        "spread": _log10(square * (1 - pair)),
        "same": found.correlation_same,
        "different": found.correlation_different,
        "pair": pair,
    }
    prefix = "theory" if found.valid else "grey"
    return {f"{prefix}_{name}": values for name, values in told.items()} | {
        f"{prefix}_delta_words": words_of(found.log10_delta_rms)
    }


def _pair(found: Prediction, kernel: InputKernel) -> Floats:
    """Correlation of two different examples, whatever their classes."""
    shares = np.array([kernel.same_share, kernel.different_share])
    if not shares.sum():
        return found.correlation_different
    both: Floats = (
        np.nan_to_num(found.correlation_same) * shares[0]
        + np.nan_to_num(found.correlation_different) * shares[1]
    ) / shares.sum()
    return np.where(np.isnan(found.preactivation_variance), np.nan, both)


def measured(rows: Sequence[Row], layers: int) -> Columns:
    """Means over seeds and standard deviations, of logarithms but for the correlation."""
    seeds = [row for row in rows if "seed" in row]
    if not seeds:
        return {}
    told: Columns = {}
    for name, statistic in (("delta", "delta_rms"), ("grad", "grad_rms")):
        values = np.array([row.get("double", row)[statistic] for row in seeds], float)
        told |= _spread(name, _log10(values)) | {f"measured_{name}_off": _off(values)}
        if name == "delta":
            told["measured_delta_words"] = words_of(told["measured_delta"])
    square = np.array([row["preactivation_square"] for row in seeds], float)
    pair = np.array([row["preactivation_pair"] for row in seeds], float)
    told |= _spread("square", _log10(square)) | _spread("spread", _log10(square - pair))
    return told | _spread("pair", np.divide(pair, square, where=square > 0, out=pair * np.nan))


def _spread(name: str, values: Floats) -> Columns:
    """Mean and standard deviation over the seeds that have a number, [layers] each."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    kept = np.where(known, values, 0.0)
    mean = np.divide(kept.sum(axis=0), count, where=count > 0, out=np.full(len(count), np.nan))
    squares = (np.where(known, values - np.nan_to_num(mean), 0.0) ** 2).sum(axis=0)
    sd = np.sqrt(np.divide(squares, count - 1, where=count > 1, out=np.zeros(len(count))))
    return {f"measured_{name}": mean, f"measured_{name}_sd": sd}


def _off(values: Floats) -> Floats:
    """Per layer: -1 where every seed measures exactly 0, 1 where none is finite, else NaN.

    The caller puts them at the ends of its axis.
    """
    zero = (values == 0).all(axis=0)
    broken = ~np.isfinite(values).any(axis=0) & ~np.isnan(values).all(axis=0)
    return np.where(zero, -1.0, np.where(broken, 1.0, np.nan))


def _log10(values: Floats) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.log10(values)
    return found


def words_of(log10: Floats) -> list[str]:
    """Numbers whose log10 is given, for the hover."""
    return [power(float(x)) if math.isfinite(x) else "none" for x in log10]


def ends(ways: tuple[tuple[int, ...], tuple[int, ...]], *arrays: Any) -> list[float]:
    """Where an axis begins and ends: the nearest of its fixed ends that hold everything."""
    found = [np.asarray(one, float)[np.isfinite(np.asarray(one, float))] for one in arrays]
    whole = np.concatenate([np.zeros(0), *found])
    low, high = (whole.min(), whole.max()) if len(whole) else (0.0, 0.0)
    lows, highs = ways
    return [
        float(next((end for end in lows if end <= low - 0.2), lows[-1])),
        float(next((end for end in highs if end >= high + 0.2), highs[-1])),
    ]


def ranges(columns: Columns) -> Columns:
    """The ranges of the logarithmic axes, the limits that lie within, and marks at the ends."""
    layers = columns["layer_names"]

    def those(*ends_of: str) -> list[Any]:
        return [columns[name] for name in columns if name.endswith(ends_of)]

    profile = ends(PROFILE_ENDS, *those("_delta", "_delta_low", "_delta_high", "_grad"))
    told: Columns = {
        "profile_range": profile,
        "signal_range": ends(SIGNAL_ENDS, *those("_square", "_spread")),
    }
    for name, limit in LIMITS.items():
        if profile[0] < (log := math.log10(limit)):
            told[f"limit_{name}"] = np.full(len(layers), log)
    if "measured_delta_off" in columns:
        low, high = profile[0] + 0.02 * (profile[1] - profile[0]), profile[1] - 0.5
        side = columns["measured_delta_off"]
        told["measured_delta_end"] = np.where(side < 0, low, np.where(side > 0, high, np.nan))
    return told


def phase(activation: str) -> Columns:
    """The phase diagram of an activation: log10 chi_1, the line, where its words stand."""
    low, high = np.log10(SIGMA_W)
    sigma_w = 10.0 ** np.linspace(low, high, CELLS[0])
    sigma_b = np.linspace(*SIGMA_B, CELLS[1])
    with np.errstate(divide="ignore"):
        chi = np.log10(chi_map(activation, sigma_w, sigma_b))
    line_w, line_b = _line(activation)
    told = {
        "phase_sigma_w": sigma_w,
        "phase_sigma_b": sigma_b,
        "phase_chi": np.maximum(chi, -300.0),
        "critical_sigma_w": line_w,
        "critical_sigma_b": line_b,
    }
    return told | _region_words(sigma_w, sigma_b, chi)


def _line(activation: str) -> tuple[Floats, Floats]:
    """The line chi_1 = 1 as far as the diagram shows it, and one point beyond."""
    sigma_w, sigma_b = critical_line(activation)
    if len(sigma_w) and np.ptp(sigma_w) == 0:  # a bent straight line: chi_1 knows no bias
        return np.repeat(sigma_w[:1], 2), np.array(SIGMA_B)
    within = (sigma_w <= SIGMA_W[1]) & (sigma_w >= SIGMA_W[0]) & (sigma_b <= SIGMA_B[1])
    seen = within | np.roll(within, 1) | np.roll(within, -1)
    return sigma_w[seen], sigma_b[seen]


def _region_words(sigma_w: Floats, sigma_b: Floats, chi: Floats) -> Columns:
    """A word in the middle of each region, where it is wide enough to hold it."""
    place = int(0.62 * len(sigma_b))
    row = chi[place]
    found = []
    for words, inside in (
        ("<b>ordered</b><br>gradients<br>vanish", row < 0),
        ("<b>chaotic</b><br>gradients<br>explode", row > 0),
    ):
        where = np.flatnonzero(inside)
        if len(where) > 0.2 * len(sigma_w):
            found.append((float(sigma_w[int(np.median(where))]), words))
    return {
        "region_sigma_w": np.array([x for x, _ in found]),
        "region_sigma_b": np.full(len(found), sigma_b[place]),
        "region_words": [words for _, words in found],
    }


def net(sigma_w: float, sigma_b: float, point: FixedPoint | None, is_plain: bool) -> Columns:
    """The network's dot; open where a norm or a skip makes the diagram another network's."""
    place = {
        "net_sigma_w": np.array([min(max(sigma_w, SIGMA_W[0]), SIGMA_W[1])]),
        "net_sigma_b": np.array([min(max(sigma_b, SIGMA_B[0]), SIGMA_B[1])]),
    }
    chi = "" if point is None else f", χ₁ {point.chi:.3g}"
    prefix = "" if is_plain else "other_"
    return {f"{prefix}{name}": value for name, value in place.items()} | {
        f"{prefix}net_words": [f"{_W} {sigma_w:.3g}, {_B} {sigma_b:.3g}{chi}"]
    }
