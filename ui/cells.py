"""What each cell of the heatmap is: a colour, or a mark with a word. numpy only."""

import numpy as np
from numpy.typing import NDArray

from engine.records import ROW
from ui.theme import GRADIENT_DOMAIN, MARKS


def marks(scalars: NDArray[np.float64]) -> NDArray[np.uint8]:
    """What each cell of the heatmap is, as a code of theme.MARKS; 0 where it has a colour.

    scalars  [records, STATISTICS, layers]
    """
    rms, frozen = scalars[:, ROW["grad_rms"]], scalars[:, ROW["frozen"]]
    spoilt = scalars[:, ROW["grad_nonfinite_share"]]
    low, high = 10.0 ** GRADIENT_DOMAIN[0], 10.0 ** GRADIENT_DOMAIN[1]
    absent = np.isnan(scalars).all(axis=1)
    cases = {  # the first that holds
        "absent": absent,
        "frozen": frozen == 1,
        "nonfinite": ~np.isfinite(rms) | (spoilt > 0),
        "zero": rms == 0,
        "below": rms < low,
        "above": rms > high,
    }
    codes = [MARKS[name][0] for name in cases]
    return np.select(list(cases.values()), codes, 0).astype(np.uint8)


def log10(values: NDArray[np.float64]) -> NDArray[np.float32]:
    """log10 where there is one, NaN elsewhere: of zero, of infinity and of NaN."""
    good = np.isfinite(values) & (values > 0)
    return np.where(good, np.log10(np.where(good, values, 1.0)), np.nan).astype(np.float32)
