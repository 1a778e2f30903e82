"""A table of a chapter's head: each key taken once, checked, and refused in one sentence. Pure."""

import re
import sys
from collections.abc import Callable, Sequence
from typing import Any

from engine.errors import LessonError

_SLUG = re.compile(r"[a-z][a-z0-9-]{0,39}")


class Table:
    """One table of a chapter's head; each key is taken once and what is left over is a fault."""

    def __init__(self, file: str, path: str, values: object):
        self.file, self.path = file, path
        if not isinstance(values, dict):
            raise LessonError(f"{file}: {path.rstrip('.')} is {shown(values)}; it must be a table.")
        self.values: dict[str, Any] = dict(values)

    def take(self, key: str, read: Callable[[Any], Any], *default: Any) -> Any:
        """The value of a key, as `read` makes it; `read` raises ValueError with what is allowed."""
        if key not in self.values and default:
            return default[0]
        if key not in self.values:
            raise LessonError(f"{self.file}: {self.path}{key} is missing; {_allowed(read, None)}.")
        value = self.values.pop(key)
        try:
            return read(value)
        except ValueError as error:
            said = f"{self.file}: {self.path}{key} is {shown(value)}; it must be {error}."
            raise LessonError(said) from None

    def table(self, key: str) -> "Table":
        return Table(self.file, f"{self.path}{key}.", self.take(key, as_it_is))

    def end(self) -> None:
        if self.values:
            names = ", ".join(f"{self.path}{key}" for key in self.values)
            raise LessonError(f"{self.file}: {names} is nothing that a chapter has.")


def _allowed(read: Callable[[Any], Any], value: object) -> str:
    try:
        read(value)
    except ValueError as error:
        return f"it must be {error}"
    return "it must be given"


def shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def as_it_is(value: Any) -> Any:
    return value


def as_text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text")
    return value.strip()


def as_slug(value: Any) -> str:
    if not isinstance(value, str) or not _SLUG.fullmatch(value):
        raise ValueError("small letters, digits and hyphens, as better-activation")
    return value


def as_one_of(options: Sequence[str]) -> Callable[[Any], str]:
    def check(value: Any) -> str:
        if value not in options:
            raise ValueError(f"one of {', '.join(options)}")
        return str(value)

    return check


def as_whole(low: int, high: int) -> Callable[[Any], int]:
    def check(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
            raise ValueError(f"a whole number from {low} to {high}")
        return value

    return check


def as_number(value: Any) -> float:
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise ValueError("a number")
    if not abs(value) <= sys.float_info.max:  # nan, too
        raise ValueError("a number, and not an endless one")
    return float(value)


def as_flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def as_options(value: Any) -> tuple[str, ...]:
    if (
        not isinstance(value, list)
        or not 2 <= len(value) <= 6
        or len(set(map(str, value))) < len(value)
    ):
        raise ValueError("two to six different texts")
    try:
        return tuple(as_text(option) for option in value)
    except ValueError:
        raise ValueError("two to six different texts") from None
