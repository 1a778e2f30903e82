"""Counters of what the tests of faults did, and the section of docs/reliability.md made of them.

    VGLAB_KILLS=100 python tests/reliability.py --write

runs those tests and counts; without --write it prints. A test notes what it did, once it has seen
that all is well: `note("kill -9 of the worker", lost=0, seconds=0.4)`. Where tests were run one by one
with VGLAB_RELIABILITY=FILE, `--notes FILE` takes what they left there.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT)]

from engine.bench import report  # noqa: E402

DOCUMENT = ROOT / "docs" / "reliability.md"
NOTES = "VGLAB_RELIABILITY"  # the file that notes go to; without it they go nowhere
HEAD = """
## Faults

Made by `VGLAB_KILLS=100 python tests/reliability.py --write`: each row is counted by a test in
`tests/test_faults_*.py` or `tests/test_sockets.py` that does it for real (`--notes` takes what tests run one by one have counted). Lost is what a reader had seen committed and did not
find again, byte for byte. Recovery is from the fault until the library tells the truth and the
queue goes on.
"""


def note(what, *, lost=None, seconds=None):
    """Count one fault that was survived.

    what     the row
    lost     committed rows that were seen and are gone; None where nobody looked at them before
    seconds  until all was well again; None where nothing had to recover
    """
    if file := os.environ.get(NOTES):
        with open(file, "a") as notes:
            notes.write(json.dumps({"what": what, "lost": lost, "seconds": seconds}) + "\n")


def _words(lost):
    """What was lost in all; "" where it was not looked for."""
    return "" if not lost else str(sum(lost) or "nothing")


def table(notes):
    """Markdown of the notes, a row for each kind, in the order in which they came."""
    lines = ["| what was done | times | lost | recovery, median | worst |", "|---|---|---|---|---|"]
    for what in dict.fromkeys(one["what"] for one in notes):
        some = [one for one in notes if one["what"] == what]
        lost = [one["lost"] for one in some if one["lost"] is not None]
        took = [one["seconds"] for one in some if one["seconds"] is not None]
        times = (f"{statistics.median(took):.2f} s", f"{max(took):.2f} s") if took else ("", "")
        lines.append(f"| {what} | {len(some)} | {_words(lost)} | {' | '.join(times)} |")
    return "\n".join(lines)


def counted():
    """Run the tests of faults; what they noted. Ends the program where one fails."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "notes"
        file.touch()
        tests = sorted(map(str, (ROOT / "tests").glob("test_faults_*.py")))
        tests.append(str(ROOT / "tests" / "test_sockets.py"))
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "--timeout=3600", *tests],
            cwd=ROOT,
            env=os.environ | {NOTES: str(file)},
        )
        if done.returncode:
            sys.exit("A test failed: nothing is written.")
        return read(file)


def read(file):
    """The notes in a file."""
    return [json.loads(line) for line in file.read_text().splitlines()]


def main():
    """Count and print, or write."""
    given = "--notes" in sys.argv
    notes = read(Path(sys.argv[sys.argv.index("--notes") + 1])) if given else counted()
    load = f"Load of the machine when it was written: {os.getloadavg()[1]:.1f}."
    text = f"{report.machine_words(report.machine())} {load}\n\n{table(notes)}"
    print(text)
    if "--write" in sys.argv:
        report.write_section(HEAD, text, document=DOCUMENT)


if __name__ == "__main__":
    main()
