"""A folder of made-up run files as a library to look at, without a queue, workers or the clock."""

from pathlib import Path
from typing import Any

import made_up

from engine import store
from engine.errors import RunError
from ui.views import Library


def two_runs(folder: Path) -> Path:
    """The folder, with one running run "a" and one finished run "b" in it."""
    made_up.run_file(folder / "a.sqlite", made_up.sigmoid_items(100))
    made_up.run_file(folder / "b.sqlite", made_up.sigmoid_items(50), status=store.FINISHED)
    return folder


def library(folder: Path, places: dict[str, int] | None = None, **more: Any) -> Library:
    """The files of a folder by their names; `places` in the queue, `more` of the library."""

    def path(run):
        found = folder / f"{run}.sqlite"
        if not found.exists():
            raise RunError(f"There is no run {run}.")
        return found

    def members(subject):
        names = sorted(file.stem for file in folder.glob("*.sqlite"))
        found = [name for name in names if name == subject or name.startswith(f"{subject}-")]
        if not found:
            raise RunError(f"There is no run {subject}.")
        return found

    place = lambda run: (places or {}).get(run, 0)  # noqa: E731
    return Library(path=path, members=members, place=place, **more)
