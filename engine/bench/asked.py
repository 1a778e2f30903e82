"""What the command asks of a part of the benchmark."""

import sys
from collections.abc import Iterable
from dataclasses import dataclass

from engine.bench.fields import FIELDS
from engine.errors import SpecError


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What is measured, and how thoroughly. A part is a function `measure(asked)` that yields Results."""

    quick: bool = False  # in seconds, and the numbers mean nothing
    only: tuple[str, ...] = ()  # names of fields, or how they begin; all when empty
    minutes: float = 30.0  # of what lasts: the soak, the hall

    def wants(self, *names: str) -> bool:
        """Whether any of these fields, named in full, is asked for."""
        return not self.only or any(name.startswith(self.only) for name in names)

    def say(self, words: str) -> None:
        """Tell on stderr what goes on."""
        print(words, file=sys.stderr, flush=True)


def checked(only: Iterable[str]) -> tuple[str, ...]:
    """The names, each of which must begin some field's. Raises SpecError."""
    names = tuple(only)
    for name in names:
        if not any(field.startswith(name) for field in FIELDS):
            fault = f"--only {name[:40]} names no field; `bench --quick --json` prints them all."
            raise SpecError({"only": fault})
    return names
