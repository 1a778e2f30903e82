"""Numbers and times as people read them; the numbers as the engine writes them too."""

import math

from engine.numerals import NONE, number, power, share

__all__ = ["NONE", "duration", "from_log10", "number", "power", "share"]


def from_log10(log10: float) -> str:
    """The number whose log10 is given, as a gradient has it: 0 and what overflowed in words."""
    if math.isnan(log10):
        return NONE
    if math.isinf(log10):
        return "exactly 0" if log10 < 0 else "infinite"
    return number(10.0**log10) if abs(log10) < 300 else power(log10)  # beyond it no float is safe


def duration(seconds: float) -> str:
    """ "4 s", "3 min 20 s", "2 h 5 min"."""
    whole = max(0, math.ceil(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
