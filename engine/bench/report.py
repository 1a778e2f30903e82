"""What was measured: as a table for people, as JSON for machines, as a section of a document."""

import datetime
import math
import os
import platform
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
from rich.table import Table

from engine.bench.fields import FIELDS, Field
from engine.errors import RunError

DOCUMENT = Path(__file__).parents[2] / "docs" / "performance.md"
PACKAGES = ("torch", "streamlit", "plotly", "numpy")
MEANS_NOTHING = "A quick form, to see that it works: its numbers mean nothing."


@dataclass(frozen=True, kw_only=True)
class Result:
    """A field's number, or one sentence why there is none."""

    name: str
    value: float | None = None
    low: float | None = None  # lowest and highest of the repeats
    high: float | None = None
    repeats: int = 0
    note: str = ""  # why there is no number; or what is to be known of it

    @property
    def field(self) -> Field:
        return FIELDS[self.name]

    @property
    def is_measured(self) -> bool:
        """Whether there is a number that can be compared."""
        return self.value is not None and math.isfinite(self.value)

    @property
    def is_met(self) -> bool | None:
        """Whether what is wanted was measured; None where nothing is wanted or measured."""
        limit = self.field.limit
        if limit is None or not self.is_measured:
            return None
        assert self.value is not None
        return self.value >= limit if self.field.at_least else self.value <= limit


def middle(name: str, values: Iterable[float], note: str = "") -> Result:
    """The result of several repeats: their median, the lowest and the highest."""
    found = sorted(values)
    if not found:
        return Result(name=name, note=note or "It was not measured.")
    return Result(
        name=name,
        value=statistics.median(found),
        low=found[0],
        high=found[-1],
        repeats=len(found),
        note=note,
    )


def without(names: Iterable[str], note: str) -> list[Result]:
    """Results without a number: the sentence says why."""
    return [Result(name=name, note=note) for name in names]


def measured(result: Result) -> str:
    """The number with its unit and how it varied: "6.10 ms (5.98 to 6.40, 7 times)"; else the note."""
    if not result.is_measured:
        return result.note or "It was not measured."
    digits, unit = result.field.digits, result.field.unit
    words = f"{result.value:,.{digits}f} {unit}".rstrip()
    if result.repeats > 1:
        reach = f"{result.low:,.{digits}f} to {result.high:,.{digits}f}"
        words += f" ({reach}, {result.repeats} times)"
    return f"{words}; {result.note}" if result.note else words


def wanted(result: Result) -> str:
    """What is wanted, and whether it is met: "at most 1.00: met"; "" where nothing is."""
    field = result.field
    if field.limit is None:
        return ""
    way = "at least" if field.at_least else "at most"
    verdict = {True: "met", False: "not met", None: "not measured"}[result.is_met]
    return f"{way} {field.limit:,.{field.digits}f}: {verdict}"


def table(results: Sequence[Result]) -> Table:
    """For the terminal."""
    made = Table("what", "measured", "wanted", show_lines=True)
    for result in results:
        made.add_row(result.field.what, measured(result), wanted(result))
    return made


def as_json(
    results: Sequence[Result], about: dict[str, Any], *, quick: bool = False
) -> dict[str, Any]:
    """One object: the machine, and every field with its number or its note."""
    fields = {
        result.name: {
            "what": result.field.what,
            "unit": result.field.unit,
            "value": result.value if result.is_measured else None,
            "low": result.low,
            "high": result.high,
            "repeats": result.repeats,
            "limit": result.field.limit,
            "at_least": result.field.at_least,
            "met": result.is_met,
            "note": result.note or ("" if result.is_measured else "It was not measured."),
        }
        for result in results
    }
    return {"machine": about, "note": MEANS_NOTHING if quick else "", "fields": fields}


def markdown(results: Sequence[Result], about: dict[str, Any]) -> str:
    """The table in Markdown, below a line about the machine."""
    rows = map(_row, results)
    return f"{machine_words(about)}\n\n{rows_in_markdown(rows)}"


def with_rows_of(text: str, results: Sequence[Result], about: dict[str, Any]) -> str:
    """A section's text with these rows in place of its own of the same fields. Raises RunError.

    text  as `markdown` makes it, measured on the same machine with the same versions
    """
    here = machine_words(about)
    lines = text.splitlines()
    if not any(_without_date(line) == _without_date(here) for line in lines):
        raise RunError("The table in docs/performance.md is of another machine: measure all of it.")
    news = {
        result.field.what: rows_in_markdown([_row(result)]).splitlines()[-1] for result in results
    }
    for place, line in enumerate(lines):
        if _without_date(line) == _without_date(here):
            lines[place] = here
        elif line.startswith("| "):
            lines[place] = news.get(line[2:].partition(" | ")[0], line)
    return "\n".join(lines)


def _without_date(words: str) -> str:
    return re.sub(r"; \d{4}-\d{2}-\d{2}", "", words)


def _row(result: Result) -> tuple[str, str, str]:
    return result.field.what, measured(result), wanted(result)


def section(head: str) -> str:
    """What stands in docs/performance.md below the head; "" without one."""
    _, _, after = DOCUMENT.read_text().partition(f"\n{head.strip()}\n")
    return after.partition("\n## ")[0].strip()


def rows_in_markdown(rows: Iterable[tuple[str, str, str]]) -> str:
    """A table of rows (what, measured, wanted)."""
    lines = ["| what | measured | wanted |", "|---|---|---|"]
    return "\n".join([*lines, *(f"| {what} | {found} | {want} |" for what, found, want in rows)])


def machine() -> dict[str, Any]:
    """What it was measured on and with, and when."""
    affinity = getattr(os, "sched_getaffinity", None)
    return {
        "cpu": _cpu_name(),
        "cores": len(affinity(0)) if affinity else os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "date": datetime.date.today().isoformat(),
    }


def machine_words(about: dict[str, Any]) -> str:
    """The same as a sentence."""
    packages = ", ".join(f"{name} {about[name]}" for name in PACKAGES)
    data = f"; trained on {about['data']}" if about.get("data") else ""
    return (
        f"{about['cpu']}, {about['cores']} cores, {about['memory_gb']} GB, {about['system']}, "
        f"Python {about['python']}, {packages}; {about['date']}{data}."
    )


def _cpu_name() -> str:
    file = Path("/proc/cpuinfo")
    if file.exists():
        for line in file.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def write_section(
    head: str, text: str, *, first: bool = False, document: Path | None = None
) -> None:
    """Put `text` under `head` into docs/performance.md, in place of what stood there.

    head      a line that begins with "## ", and what belongs under it
    first     where there is no such section yet, it goes before the others, not behind them
    document  another than docs/performance.md
    """
    document = document or DOCUMENT
    title = "\n" + head.strip().splitlines()[0] + "\n"
    before, found, after = document.read_text().partition(title)
    if not found and first:
        before, found, after = before.partition("\n## ")
        after = found + after
    rest = after.partition("\n## ")
    tail = rest[1] + rest[2] if rest[1] else ""
    document.write_text(
        before.rstrip() + "\n\n" + head.strip() + "\n\n" + text.strip() + "\n" + tail
    )
