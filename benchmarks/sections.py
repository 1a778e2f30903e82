"""What these benchmarks share: rows, their table, and processes of their own."""

import ast
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from engine.bench import report  # noqa: E402
from engine.bench.report import write_section as write_section  # noqa: E402

Row = tuple[str, str, str]  # what, measured, wanted


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown, with the machine, the versions and the day."""
    return f"{report.machine_words(report.machine())}\n\n{report.rows_in_markdown(rows)}"


def in_a_process_of(file: str, call: str, environment: dict[str, str]):
    """What a call of a module beside this one returns, in a fresh interpreter."""
    module = Path(file).stem
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import {module}; "
        f"print({module}.{call})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return ast.literal_eval(done.stdout.splitlines()[-1])
