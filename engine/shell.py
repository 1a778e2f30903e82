"""What the commands share: where they print, how they refuse, and their common options."""

import json
import math
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from typer.core import TyperGroup

from engine import presets, store
from engine.errors import EngineError, SpecError
from engine.quotes import quoted
from engine.spec import RunSpec, parse_settings, read_json

out, err = Console(highlight=False), Console(stderr=True, highlight=False)
REFUSED, DIVERGED, FAILED = 2, 3, 1
EXIT_CODES = {store.FINISHED: 0, store.DIVERGED: DIVERGED}

Json = Annotated[bool, typer.Option("--json", help="Print JSON, one object per line.")]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Change a field.")
]


class Commands(TyperGroup):
    """All commands; an option or argument that is not understood is refused in one sentence, too."""

    def main(self, *args: Any, **more: Any) -> Any:
        """Run a command and end the process with its exit code."""
        more["standalone_mode"] = False  # its errors come to us
        try:
            code = super().main(*args, **more)
        except Exception as error:
            told = getattr(error, "format_message", None)
            if told is None:  # not the command line's: a defect, or an interruption
                raise
            text = " ".join(told().split())
            if "Usage:" in text:  # nothing was asked for: this is the list of commands
                typer.echo(told())
            else:
                typer.echo(f"{quoted(text, 300).rstrip('.')}.", err=True)
            sys.exit(REFUSED)
        sys.exit(code if isinstance(code, int) else 0)


def asked(preset: str, settings: list[str], spec_file: Path | None) -> RunSpec:
    """The spec that a command's options ask for, the later ones over the earlier. Raises EngineError."""
    fields: dict[str, Any] = {}
    if spec_file is not None:
        try:
            fields = read_json(spec_file.read_text()).model_dump(exclude_unset=True)
        except (OSError, UnicodeDecodeError) as error:
            raise SpecError(
                {"spec": f"The spec file {spec_file} cannot be read: {error}."}
            ) from None
    if preset:
        fields |= presets.find(preset).changes
    return RunSpec(**(fields | parse_settings(settings)))


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
