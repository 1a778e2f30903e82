"""Numbers and times as people read them; the numbers as the engine writes them too."""

import math

from engine.numerals import NONE, number, power, share

__all__ = ["NONE", "duration", "number", "power", "share"]


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
