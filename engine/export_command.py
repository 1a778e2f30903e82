"""The command `export`: a run as a file to take home."""

from pathlib import Path
from typing import Annotated

import typer

from engine import export, runs
from engine.errors import RunError
from engine.shell import Json, out, print_json, refusing

RunId = Annotated[str, typer.Argument(help="A run's id, as `list` prints it.")]
To = Annotated[str, typer.Option("--to", metavar="FORM", help=f"{', '.join(export.FORMS)}.")]
Out = Annotated[
    Path | None,
    typer.Option("--out", help="A file or a folder; here, under a name of its own, by default."),
]


def export_run(run: RunId, to: To, path: Out = None, as_json: Json = False) -> None:
    """Write a run as a file: its numbers, its spec, or the script that trains it again."""
    with refusing():
        written = _tensorboard(run, path) if to == "tensorboard" else _file(run, to, path)
    if as_json:
        print_json({"run": run, "to": to, "out": str(written)})
    else:
        out.print(str(written), soft_wrap=True)


def _file(run: str, form: str, path: Path | None) -> Path:
    found = export.pieces(run, form)
    name = export.file_name(runs.info(run), form)
    target = path or Path(name)
    if target.is_dir():
        target /= name
    part = target.with_name(f"{target.name}.part")  # a file that is there is a whole one
    try:
        with part.open("wb") as file:
            file.writelines(found)
        part.replace(target)
    except OSError as error:
        raise RunError(f"{target} cannot be written: {error.strerror or error}.") from error
    finally:
        part.unlink(missing_ok=True)
    return target


def _tensorboard(run: str, path: Path | None) -> Path:
    """A folder of event files."""
    if not export.tensorboard_is_here():
        raise RunError(export.NO_TENSORBOARD)
    info = runs.info(run)
    target = path or Path(export.file_name(info, "tensorboard")).with_suffix("")
    from engine import tensorboard  # brings torch, which no other form needs

    tensorboard.write(run, target)
    return target
