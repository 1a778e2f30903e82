"""`python -m engine`: the engine without the dashboard. Every command has `--json` for machines.

Exit code 0 for a finished run, 2 for input that was refused (one sentence on stderr), 3 for a run
that diverged, 1 for a run that failed or was stopped.
"""

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table

from engine import (
    commands,
    diagnosis_command,
    export_command,
    presets,
    remedies,
    runs,
    steering_commands,
    store,
    theory_command,
)
from engine.bench import command as bench_command
from engine.errors import RunError
from engine.records import STATISTICS, EpochEnd
from engine.shell import (
    EXIT_CODES,
    FAILED,
    REFUSED,
    Commands,
    Json,
    Settings,
    asked,
    err,
    out,
    print_json,
    refusing,
)
from engine.spec import RunSpec

app = typer.Typer(
    cls=Commands,
    help="Train networks whose gradient vanishes, and see what each remedy does to it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
Preset = Annotated[str, typer.Option("--preset", help="Start from this preset.")]
SpecFile = Annotated[
    Path | None, typer.Option("--spec", help="Start from a JSON file of fields instead.")
]
RunId = Annotated[str, typer.Argument(help="A run's id, as `list` prints it.")]
Diagnosis = Annotated[
    bool,
    typer.Option("--diagnosis", help="Say what is wrong with it, and what to switch on, instead."),
]


@app.command("presets")
def list_presets(as_json: Json = False) -> None:
    """List presets and remedies, and what each changes."""
    rows: list[dict[str, Any]] = [
        {"name": name, "kind": p.kind, "title": p.title, "changes": dict(p.changes), "note": p.note}
        for name, p in presets.PRESETS.items()
    ] + [
        {
            "name": name,
            "kind": "remedy",
            "title": r.title,
            "changes": dict(r.changes),
            "note": r.idea,
        }
        for name, r in remedies.REMEDIES.items()
    ]
    if as_json:
        for row in rows:
            print_json(row)
        return
    table = Table("name", "kind", "changes", "note", title="Presets and remedies")
    for row in rows:
        changes = " ".join(f"{field}={value}" for field, value in row["changes"].items())
        table.add_row(row["name"], row["kind"], changes or "nothing", row["note"])
    out.print(table)


@app.command("run")
def train_run(
    preset: Preset = "",
    settings: Settings = None,
    spec_file: SpecFile = None,
    as_json: Json = False,
) -> None:
    """Train in the foreground, with a progress bar; prints the run's id."""
    with refusing():
        spec = asked(preset, settings or [], spec_file)
        run = runs.create(spec, preset=preset)
        file = runs.path(run)
        runs.claim(run)  # so that a server that starts now does not take it for left behind
    worker = _worker_module()
    listener = _JsonListener() if as_json else _BarListener(run, spec)
    with listener:
        job = worker.Job(file, listener.hear)
        status = job.work()
    with refusing():
        found = runs.info(run)
    if as_json:
        print_json({"run": run, "status": status})
    elif status == store.FINISHED:
        out.print(f"{run}  {found.sentence}")
    if status != store.FINISHED:
        typer.echo(found.traceback or found.sentence, err=True)
    raise typer.Exit(REFUSED if job.refused else EXIT_CODES.get(status, FAILED))


def _worker_module() -> Any:
    """The worker, whose arithmetic must be chosen before torch is imported."""
    os.environ.update(runs.SAME_BITS)
    from engine import worker

    return worker


class _JsonListener:
    def __enter__(self) -> "_JsonListener":
        return self

    def __exit__(self, *_: object) -> None: ...

    def hear(self, step: int, end: EpochEnd | None) -> None:
        if end is None:
            return
        values = asdict(end)
        del values["phase"]
        del values["test_loss"]
        print_json(values)


class _BarListener:
    def __init__(self, run: str, spec: RunSpec):
        self.bar = Progress(
            BarColumn(20),
            TextColumn("{task.completed:.0f}/{task.total:.0f}"),
            TimeRemainingColumn(compact=True),
            TextColumn("{task.description}"),
            console=err,
        )
        self.task: TaskID = self.bar.add_task(run, total=spec.total_steps)

    def __enter__(self) -> "_BarListener":
        self.bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.bar.stop()

    def hear(self, step: int, end: EpochEnd | None) -> None:
        self.bar.update(self.task, completed=step)
        if end is not None:
            words = (
                f"epoch {end.epoch} loss {end.train_loss:.4f} accuracy: train "
                f"{end.train_accuracy:.3f} val {end.validation_accuracy:.3f}"
            )
            self.bar.update(self.task, description=words)


@app.command("list")
def list_runs(as_json: Json = False) -> None:
    """List the runs of the library, newest first."""
    with refusing():
        found, unreadable = runs.all(), runs.broken()
    for sentence in unreadable:
        typer.echo(sentence, err=True)
    if as_json:
        for run in found:
            print_json(_overview(run))
        return
    table = Table(box=None)
    table.add_column("run", no_wrap=True)
    for heading in ("status", "steps", "data", "title"):
        table.add_column(heading)
    for run in found:
        table.add_row(run.id, run.status, str(run.step), run.spec.data, run.title)
    out.print(table)


def _overview(run: store.RunInfo) -> dict[str, Any]:
    return {
        "run": run.id,
        "title": run.title,
        "preset": run.preset,
        "status": run.status,
        "sentence": run.sentence,
        "step": run.step,
        "created": run.created,
        "device": run.device,
        "versions": run.versions,
        "spec": run.spec.model_dump(),
        "now": run.now.model_dump(),
        "changes": run.changes,
        "parent": run.parent,
        "parent_step": run.parent_step,
    }


@app.command("show")
def show_run(run: RunId, diagnosis: Diagnosis = False, as_json: Json = False) -> None:
    """Show one run: what was asked, how it ended, and its epochs; or its diagnosis."""
    if diagnosis:
        diagnosis_command.show(run, as_json=as_json)
        return
    with refusing():
        found = runs.info(run)
        with store.Reader(runs.path(run)) as reader:
            epochs, events = reader.epochs(), reader.events()
    if as_json:
        last = asdict(epochs[-1]) if epochs else None
        print_json(
            _overview(found) | {"last_epoch": last, "events": [asdict(event) for event in events]}
        )
        return
    out.print(f"{found.title}\n{found.status}: {found.sentence or found.activity}")
    out.print(found.spec.model_dump_json(exclude_defaults=True))
    for event in events:
        out.print(f"step {event.step}: {event.words}")
    table = Table("epoch", "step", "train loss", "train", "validation", "test")
    for end in epochs[-20:]:
        table.add_row(
            str(end.epoch),
            str(end.step),
            f"{end.train_loss:.4f}",
            f"{end.train_accuracy:.4f}",
            f"{end.validation_accuracy:.4f}",
            f"{end.test_accuracy:.4f}",
        )
    out.print(table)


@app.command("stats")
def show_statistics(
    run: RunId,
    at: Annotated[
        int | None,
        typer.Option("--at", help="Step; the newest by default.", min=0, max=store.MOST_STEP),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show every statistic of every layer at one recorded step."""
    with refusing(), store.Reader(runs.path(run)) as reader:
        step = reader.last_step() if at is None else at
        if step is None:
            raise RunError(f"Run {run} has recorded nothing yet.")
        record = reader.record(step)
        if record is None:
            raise RunError(_not_recorded(run, step, reader))
    layers = [
        {"layer": layer, "step": step, **dict(zip(STATISTICS, column.tolist(), strict=True))}
        for layer, column in enumerate(record.scalars.T, start=1)
    ]
    if as_json:
        for row in layers:
            print_json(row)
        return
    table = Table(title=f"Step {step}; layer 1 is nearest the input", box=None)
    table.add_column("layer", no_wrap=True)
    for row in layers:
        table.add_column(str(row["layer"]), justify="right", no_wrap=True)
    for name in STATISTICS:
        table.add_row(name, *(f"{row[name]:.2g}" for row in layers))
    out.print(table)


def _not_recorded(run: str, step: int, reader: store.Reader) -> str:
    recorded = [record.step for record in reader.records()]
    if not recorded:
        return f"Run {run} has recorded nothing yet."
    nearest = min(recorded, key=lambda other: abs(other - step))
    return f"Step {step} of run {run} was not recorded; the nearest that was is {nearest}."


app.command("send")(steering_commands.send)
app.command("change")(steering_commands.change)
app.command("branch")(steering_commands.branch)
app.command("again")(steering_commands.again)
app.command("export")(export_command.export_run)
app.command("ladder")(commands.train_ladder)
app.command("verdict")(commands.give_verdict)
app.command("theory")(theory_command.give_theory)
app.command("bench")(bench_command.measure_speed)


def main() -> None:
    app()


if __name__ == "__main__":
    main()
