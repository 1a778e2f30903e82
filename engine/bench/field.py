"""What a field of the benchmark is."""

from dataclasses import dataclass
from typing import Literal

Part = Literal["engine", "screen", "soak", "hall"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One number that is measured, and what is wanted of it."""

    name: str
    what: str  # words for the table
    unit: str  # behind the number; "" of a ratio
    part: Part
    limit: float | None = None  # what is wanted of it, if anything
    at_least: bool = False  # the limit is a lower one
    digits: int = 2  # behind the point
