"""The commands that steer: send, change, branch, again."""

from typing import Annotated, Any

import typer

from engine import branches, runs
from engine.errors import RunError
from engine.foreground import Party, train
from engine.shell import EXIT_CODES, FAILED, Json, Settings, err, out, print_json, refusing
from engine.spec import parse_settings
from engine.steering import Change

RunId = Annotated[str, typer.Argument(help="A run's id, as `list` prints it.")]
Order = Annotated[str, typer.Argument(metavar="ORDER", help=f"One of {', '.join(runs.COMMANDS)}.")]
Freeze = Annotated[list[int] | None, typer.Option("--freeze", metavar="LAYER", help="Freeze it.")]
Unfreeze = Annotated[
    list[int] | None, typer.Option("--unfreeze", metavar="LAYER", help="Let it learn again.")
]
Reinitialise = Annotated[
    list[str] | None,
    typer.Option("--reinitialise", metavar="LAYER", help="Draw it anew; all: every layer."),
]
At = Annotated[int, typer.Option("--at", help="Steps finished where the branch leaves.")]
Epochs = Annotated[int | None, typer.Option("--epochs", help="Train so long, per phase.")]


def send(run: RunId, order: Order) -> None:
    """Pause a run that trains, let it go on, take one step or one epoch, or stop it."""
    with refusing():
        runs.send(run, order)


def change(
    run: RunId,
    settings: Settings = None,
    freeze: Freeze = None,
    unfreeze: Unfreeze = None,
    reinitialise: Reinitialise = None,
) -> None:
    """Change a run while it trains; the weights stay unless a layer is initialised anew."""
    with refusing():
        asked = _changes(settings, freeze, unfreeze, reinitialise)
        if not asked:
            raise RunError(
                "No change was named; give --set, --freeze, --unfreeze or --reinitialise."
            )
        for one in asked:
            runs.change(run, one)


def branch(
    run: RunId,
    at: At,
    settings: Settings = None,
    freeze: Freeze = None,
    unfreeze: Unfreeze = None,
    reinitialise: Reinitialise = None,
    epochs: Epochs = None,
    as_json: Json = False,
) -> None:
    """Go back to a step of a run and go on from there, with changes or without; prints the new id."""
    with refusing():
        asked = _changes(settings, freeze, unfreeze, reinitialise)
        made = branches.branch(run, at, asked, epochs=epochs)
    _train(made, as_json)


def again(run: RunId, as_json: Json = False) -> None:
    """Train a run once more with the same changes at the same steps: the same bits."""
    with refusing():
        made = branches.again(run)
    _train(made, as_json)


def _changes(
    settings: list[str] | None,
    freeze: list[int] | None,
    unfreeze: list[int] | None,
    reinitialise: list[str] | None,
) -> list[Change]:
    fields: dict[str, Any] = dict(parse_settings(settings or []))
    return [
        *([Change(kind="set", fields=fields)] if fields else []),
        *(Change(kind="freeze", layer=layer) for layer in freeze or []),
        *(Change(kind="unfreeze", layer=layer) for layer in unfreeze or []),
        *(Change(kind="reinitialise", layer=_layer(text)) for text in reinitialise or []),
    ]


def _layer(text: str) -> int | None:
    if text == "all":
        return None
    if not text.isdecimal() or len(text) > 4:
        raise RunError(f"reinitialise is {text[:20]!r}; it must be a layer's number or all.")
    return int(text)


def _train(run: str, as_json: bool) -> None:
    """Train it here; a server on the same library may take it first."""
    party = Party([run])
    with err.status(f"Training {run}"):
        train(party, None, lambda: None, [run])
    with refusing():
        found = runs.info(run)
    if as_json:
        print_json({"run": run, "status": found.status})
    else:
        out.print(f"{run}  {found.sentence}")
    raise typer.Exit(EXIT_CODES.get(found.status, FAILED))
