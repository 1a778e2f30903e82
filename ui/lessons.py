"""The lessons' chapters, read from assets/lessons and checked: what is asked, trained and explained.

A chapter is one file: TOML between two lines `+++`, then the sections Idea, Explanation and Sources.
Whoever writes one is told each fault in one sentence, with what is allowed.
"""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from engine.errors import LessonError, SpecError
from engine.spec import RunSpec
from ui.figures import FIGURES
from ui.lesson_numbers import MEASURES, PLACEHOLDER, PLACEHOLDERS
from ui.lesson_table import (
    Table,
    as_flag,
    as_number,
    as_one_of,
    as_options,
    as_slug,
    as_text,
    as_whole,
)
from ui.lesson_terms import EXPLAINED, as_explains, bold_name, is_explained

FOLDER = Path(__file__).resolve().parent.parent / "assets" / "lessons" / "en"
CHAPTERS = 10
MOST_RUNS = 4
__all__ = ["EXPLAINED", "bold_name", "is_explained"]  # what a chapter explains comes from here too
SECTIONS = ("Idea", "Explanation", "Sources")
KINDS = ("profile", "choice", "number")
MOMENTS = ("start", "end")
SHOWN = ("gradient_heatmap", "gradient_by_depth", "loss", "accuracy")
HISTOGRAMS = ("gradient", "weight", "activation")
FENCE = "+++"


@dataclass(frozen=True, kw_only=True)
class LessonRun:
    """A network that a chapter trains."""

    label: str
    spec: RunSpec


@dataclass(frozen=True, kw_only=True)
class Predict:
    """What is asked before the run may show."""

    kind: str  # one of KINDS
    prompt: str
    of: int  # which of the chapter's runs, from 0
    at: str  # of MOMENTS
    measure: str = ""  # a key of MEASURES; "" with kind=profile
    options: tuple[str, ...] = ()  # with kind=choice
    bins: tuple[float, ...] = ()  # with kind=choice: rising borders between the options
    low: float = 0.0  # with kind=number, as all that follow
    high: float = 1.0
    log: bool = False
    unit: str = ""


@dataclass(frozen=True, kw_only=True)
class Check:
    """The question at a chapter's end."""

    question: str
    options: tuple[str, ...]
    answer: int  # from 0
    why: str


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """One chapter."""

    number: int  # from 1
    slug: str  # its name in a link
    title: str
    question: str
    minutes: int  # to teach it, roughly
    explains: tuple[str, ...]  # "remedy:NAME", "statistic:NAME", "figure:NAME"
    runs: tuple[LessonRun, ...]
    predict: Predict
    check: Check
    slow: int | None  # the run whose backward pass is shown slowly; None for none
    figures: tuple[str, ...]  # of FIGURES and "difference_heatmap", shown while it runs
    histograms: str  # of HISTOGRAMS, in those figures
    idea: str  # markdown, as all sections
    explanation: str
    sources: str


def read_all(folder: Path | None = None) -> tuple[Lesson, ...]:
    """Every chapter, in order. Raises LessonError. Read once, for as long as no file changes."""
    files = sorted((folder or FOLDER).glob("*.md"))
    return _read_all(tuple((file, file.stat().st_mtime_ns) for file in files))


@cache
def _read_all(files: tuple[tuple[Path, int], ...]) -> tuple[Lesson, ...]:
    lessons = tuple(read(file) for file, _ in files)
    slugs = [lesson.slug for lesson in lessons]
    for (file, _), slug in zip(files, slugs, strict=True):
        if slugs.count(slug) > 1:
            raise LessonError(
                f"{file.name}: slug is {slug}, another chapter's too; it must be unique."
            )
    return lessons


def read(file: Path) -> Lesson:
    """One chapter. Raises LessonError."""
    try:
        return parse(file.name, file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise LessonError(f"{file.name} cannot be read: {error}.") from error


def parse(name: str, text: str) -> Lesson:
    """The chapter that `text` is. Raises LessonError.

    name  of its file: NN-slug.md, with its number
    """
    if not re.fullmatch(r"\d\d-[a-z0-9-]+\.md", name):
        raise LessonError(f"{name} is no chapter's name; it must be NN-slug.md, as 01-problem.md.")
    head, sections = _divided(name, text)
    table = Table(name, "", head)
    runs = _runs(table)
    lesson = Lesson(
        number=int(name[:2]),
        slug=table.take("slug", as_slug),
        title=table.take("title", as_text),
        question=table.take("question", as_text),
        minutes=table.take("minutes", as_whole(1, 120)),
        explains=table.take("explains", as_explains, ()),
        runs=runs,
        predict=_predict(table.table("predict"), len(runs)),
        check=_check(table.table("check")),
        slow=_slow(table, len(runs)),
        figures=table.take("figures", _figures, SHOWN),
        histograms=table.take("histograms", as_one_of(HISTOGRAMS), HISTOGRAMS[0]),
        idea=sections["Idea"],
        explanation=sections["Explanation"],
        sources=sections["Sources"],
    )
    table.end()
    _check_explained(name, lesson)
    _check_placeholders(name, lesson)
    return lesson


# -- the file's parts ------------------------------------------------------------------------------


def _divided(name: str, text: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The TOML at the head, and each section's text by its heading."""
    parts = re.split(rf"^{re.escape(FENCE)}\s*$", text, maxsplit=2, flags=re.M)
    if len(parts) != 3 or parts[0].strip():
        raise LessonError(
            f"{name}: the head must stand between two lines {FENCE} at the file's top."
        )
    try:
        head = tomllib.loads(parts[1])
    except (
        ValueError,
        RecursionError,
    ) as error:  # also a number of 5,000 digits, brackets without end
        raise LessonError(f"{name}: the head is not TOML: {error}.") from error
    before, *rest = re.split(r"^## +(.+?)\s*$", parts[2], flags=re.M)
    headings, texts = rest[::2], [text.strip() for text in rest[1::2]]
    if before.strip() or tuple(headings) != SECTIONS or not all(texts):
        found = ", ".join(headings) or "none"
        raise LessonError(
            f"{name}: the sections are {found}; they must be {', '.join(SECTIONS)}, each with text."
        )
    return head, dict(zip(headings, texts, strict=True))


def _figures(value: Any) -> tuple[str, ...]:
    known = [*FIGURES, "difference_heatmap"]
    if not isinstance(value, list) or not value or any(one not in known for one in value):
        raise ValueError(f"a list of {', '.join(known)}")
    return tuple(value)


# -- its tables ------------------------------------------------------------------------------------


def _runs(head: Table) -> tuple[LessonRun, ...]:
    def read(value: Any) -> list[Any]:
        if not isinstance(value, list) or not 1 <= len(value) <= MOST_RUNS:
            raise ValueError(f"one to {MOST_RUNS} tables [[runs]]")
        return value

    tables = [Table(head.file, f"runs[{i}].", one) for i, one in enumerate(head.take("runs", read))]
    runs = tuple(_run(table) for table in tables)
    labels = [run.label for run in runs]
    if len(set(labels)) < len(labels):
        raise LessonError(f"{head.file}: two of runs have one label; each must have its own.")
    return runs


def _run(table: Table) -> LessonRun:
    def spec(value: Any) -> RunSpec:
        if not isinstance(value, dict):
            raise ValueError('a table of fields of a run, as { activation = "relu" }')
        return RunSpec(**value)

    try:
        run = LessonRun(label=table.take("label", as_text), spec=table.take("changes", spec))
    except SpecError as error:
        raise LessonError(f"{table.file}: {table.path}changes: {error}") from error
    table.end()
    return run


def _predict(table: Table, runs: int) -> Predict:
    kind = table.take("kind", as_one_of(KINDS))
    found: dict[str, Any] = {
        "kind": kind,
        "prompt": table.take("prompt", as_text),
        "of": table.take("of", as_whole(0, runs - 1), 0),
    }
    if kind != "profile":
        found["measure"] = table.take("measure", as_one_of(tuple(MEASURES)))
    usual = MEASURES[found["measure"]].at if kind != "profile" else MOMENTS[0]
    found["at"] = table.take("at", as_one_of(MOMENTS), usual)
    found |= _PREDICTIONS[kind](table)
    table.end()
    return Predict(**found)


def _choice(table: Table) -> dict[str, Any]:
    options = table.take("options", as_options)

    def bins(value: Any) -> tuple[float, ...]:
        rising = f"{len(options) - 1} rising numbers, the borders between {len(options)} options"
        if not isinstance(value, list) or len(value) != len(options) - 1:
            raise ValueError(rising)
        edges = tuple(as_number(edge) for edge in value)
        if list(edges) != sorted(set(edges)):
            raise ValueError(rising)
        return edges

    return {"options": options, "bins": table.take("bins", bins)}


def _slider(table: Table) -> dict[str, Any]:
    low, log = table.take("low", as_number), table.take("log", as_flag, False)

    def above(value: Any) -> float:
        if as_number(value) <= low:
            raise ValueError(f"above low, which is {low:g}")
        return float(value)

    if log and low <= 0:
        raise LessonError(f"{table.file}: {table.path}low is {low:g}; with log it must be above 0.")
    high = table.take("high", above)
    return {"low": low, "high": high, "log": log, "unit": table.take("unit", as_text, "")}


_PREDICTIONS: Mapping[str, Callable[[Table], dict[str, Any]]] = {
    "profile": lambda table: {},
    "choice": _choice,
    "number": _slider,
}


def _check(table: Table) -> Check:
    options = table.take("options", as_options)
    check = Check(
        question=table.take("question", as_text),
        options=options,
        answer=table.take("answer", as_whole(0, len(options) - 1)),
        why=table.take("why", as_text),
    )
    table.end()
    return check


def _slow(head: Table, runs: int) -> int | None:
    if "slow" not in head.values:
        return None
    table = head.table("slow")
    of: int = table.take("of", as_whole(0, runs - 1), 0)
    table.end()
    return of


# -- what its text must hold -----------------------------------------------------------------------


def _check_explained(name: str, lesson: Lesson) -> None:
    for item in lesson.explains:
        if not is_explained(item, lesson.explanation):
            raise LessonError(
                f"{name}: explains names {item}; a line of the section Explanation must begin with "
                f"**{bold_name(item)}**."
            )


def _check_placeholders(name: str, lesson: Lesson) -> None:
    for run, number in PLACEHOLDER.findall(lesson.explanation):
        if number not in PLACEHOLDERS:
            raise LessonError(
                f"{name}: {{run{run}.{number}}} is no placeholder; it must be one of "
                f"{', '.join(PLACEHOLDERS)}."
            )
        if int(run) >= len(lesson.runs):
            raise LessonError(
                f"{name}: {{run{run}.{number}}} names a run that is not there; "
                f"the runs are 0 to {len(lesson.runs) - 1}."
            )
    if PLACEHOLDER.search(lesson.idea):
        raise LessonError(
            f"{name}: the section Idea holds a placeholder; numbers are shown after the run only."
        )
