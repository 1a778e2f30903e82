"""What the commands share: where they print, how they refuse, and their common options."""

import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any

import typer
from rich.console import Console

from engine import store
from engine.errors import EngineError

out, err = Console(highlight=False), Console(stderr=True, highlight=False)
REFUSED, DIVERGED, FAILED = 2, 3, 1
EXIT_CODES = {store.FINISHED: 0, store.DIVERGED: DIVERGED}

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field.")
]


@contextmanager
def refusing() -> Iterator[None]:
    """Turn an error a person can act on into its sentence on stderr and exit code 2."""
    try:
        yield
    except EngineError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(REFUSED) from None


def print_json(value: Any) -> None:
    """One JSON object on one line; NaN and infinities as the strings "nan", "inf" and "-inf"."""
    typer.echo(json.dumps(_plain(value), allow_nan=False))


def _plain(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # JSON has no such numbers, and null would hide them
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
