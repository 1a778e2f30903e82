"""The command `bench`: measures on this machine, prints a table or JSON, writes the document."""

import importlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Annotated

import typer

from engine.bench import report
from engine.bench.asked import Asked, checked
from engine.bench.fields import Part, of_part
from engine.bench.report import Result
from engine.bench.setting import data_words
from engine.errors import SpecError
from engine.shell import Json, err, out, print_json, refusing

#: The module of each part, imported when it is asked for. Each has `measure(asked)`.
MODULES: dict[Part, str] = {
    "engine": "engine.bench.parts",
    "screen": "engine.bench.screen",
    "soak": "engine.bench.soak",
    "hall": "engine.bench.hall",
}
TITLES: dict[Part, str] = {
    "engine": "What watching costs",
    "screen": "What the screen costs",
    "soak": "What half an hour costs",
    "hall": "What a full hall costs",
}
MINUTES: dict[Part, float] = {"soak": 30.0, "hall": 10.0}  # that it lasts, unless told
FLAGS: dict[Part, str] = {"engine": "", "screen": " --screen", "soak": " --soak", "hall": " --hall"}

Quick = Annotated[
    bool, typer.Option("--quick", help="In seconds, to see that it works; numbers mean nothing.")
]
Screen = Annotated[bool, typer.Option("--screen", help="Server and browser instead.")]
Soak = Annotated[bool, typer.Option("--soak", help="The server's memory over time instead.")]
Hall = Annotated[bool, typer.Option("--hall", help="400 clients and 3 browsers instead.")]
Minutes = Annotated[
    float | None,
    typer.Option("--minutes", help="Of the soak (30) or the hall (10).", min=0.1),
]
Only = Annotated[
    list[str] | None,
    typer.Option("--only", metavar="NAME", help="Only fields whose name begins so; repeat it."),
]
Write = Annotated[
    bool,
    typer.Option("--write", help="Put it into docs/performance.md; with --only, these rows anew."),
]


def measure_speed(
    quick: Quick = False,
    screen: Screen = False,
    soak: Soak = False,
    hall: Hall = False,
    minutes: Minutes = None,
    only: Only = None,
    write: Write = False,
    as_json: Json = False,
) -> None:
    """Measure what watching costs on this machine: a step, a record, a run, beside doing without."""
    wanted: dict[Part, bool] = {"screen": screen, "soak": soak, "hall": hall}
    parts: list[Part] = [part for part, is_wanted in wanted.items() if is_wanted] or ["engine"]
    with refusing():
        if quick and write:
            raise SpecError(
                {"write": "--write and --quick exclude each other: its numbers mean nothing."}
            )
        asked = Asked(quick=quick, only=checked(only or ()))
        found = {part: list(results(part, _lasting(asked, part, minutes))) for part in parts}
    about = report.machine()
    if "engine" in parts:
        about["data"] = data_words(quick=quick)
    everything = [result for part in parts for result in found[part]]
    if as_json:
        print_json(report.as_json(everything, about, quick=quick))
    else:
        out.print(report.table(everything))
        out.print(report.machine_words(about))
        if quick:
            out.print(report.MEANS_NOTHING)
    if write:
        for part in parts:
            head = f"## {TITLES[part]}\n\nMade by `python -m engine bench{FLAGS[part]} --write`."
            with refusing():
                text = report.markdown(found[part], about)
                if only:
                    text = report.with_rows_of(report.section(head), found[part], about)
                report.write_section(head, text, first=True)


def _lasting(asked: Asked, part: Part, minutes: float | None) -> Asked:
    return replace(asked, minutes=minutes or MINUTES.get(part, asked.minutes))


def results(part: Part, asked: Asked) -> Iterator[Result]:
    """One result for each field of a part that is asked for, in order, measured or with a note."""
    names = [field.name for field in of_part(part) if asked.wants(field.name)]
    found: dict[str, Result] = {}
    if names:
        for result in importlib.import_module(MODULES[part]).measure(asked):
            found[result.name] = result
            if asked.wants(result.name):
                err.print(f"{result.name}: {report.measured(result)}", markup=False)
    for name in names:
        yield found.get(name) or Result(name=name, note="It was not measured.")
