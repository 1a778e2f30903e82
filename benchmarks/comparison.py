"""What a page of comparisons costs the server: CPU per tick, and per viewer and refresh.

    python benchmarks/comparison.py [--viewers 20] [--seconds 20] [--write]

Process CPU time, not wall time: another program may take the cores meanwhile. Prints a table; --write
puts it below what docs/performance.md has of its own.
"""

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import struct
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from sections import Row, table, write_section  # noqa: E402

RUNS = 6  # live, on one page
SEEDS, RECORDS = 20, 1000
CONTENDERS, THEIR_SEEDS, THEIR_RECORDS = 20, 3, 100
TICKS = 30
HEAD = "\n## Comparisons\n\nMade by `python benchmarks/comparison.py --write`.\n\n"


def tick_rows() -> list[Row]:
    """CPU of one tick of each kind of view, where one run goes on: read, display, encode."""
    import folders

    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        live = _files(folder)
        library = folders.library(folder)
        for what, subject in {
            "a run of 1,000 records": live.stem,
            f"a group of {SEEDS} seeds with {RECORDS:,} records each": "many-c01",
            "the difference of two such seeds, by step": f"difference:step:many-c01-s01:{live.stem}",
            "the same by seconds": f"difference:seconds:many-c01-s01:{live.stem}",
            f"a table of {CONTENDERS} contenders with {THEIR_SEEDS} seeds each": "table:few:many-c01-s20",
        }.items():
            first, later, quiet = _ticks(subject, library, live)
            words = f"{later:.1f} ms; the first {first:.0f} ms; where nothing is new {quiet:.2f} ms"
            rows.append((f"tick of {what}", words, ""))
    return rows


def _files(folder: Path) -> Path:
    """All runs ended but one, which is returned."""
    import made_up
    import numpy as np

    def items(count: int, seed: int) -> list[object]:
        noise = np.random.default_rng(seed).normal(0, 0.3, (count, 8))
        found: list[object] = []
        for place in range(count):
            step = 32 * place
            found += [made_up.record(step, made_up.dying(8) * 10 ** noise[place])]
            found += [made_up.batches(step, 32)]
            if place % 10 == 9:
                found += [made_up.epoch_end(place // 10 + 1, step + 32)]
        return found

    for seed in range(1, SEEDS + 1):
        status = "running" if seed == SEEDS else "finished"
        path = folder / f"many-c01-s{seed:02d}.sqlite"
        made_up.run_file(path, items(RECORDS, seed), status=status, seed=seed)
    for contender in range(1, CONTENDERS):
        for seed in range(1, THEIR_SEEDS + 1):
            made_up.run_file(
                folder / f"few-c{contender:02d}-s{seed:02d}.sqlite",
                items(THEIR_RECORDS, seed),
                status="finished",
                seed=seed,
                batch_size=32 + contender,
            )
    return path


def _ticks(subject: str, library, live: Path) -> tuple[float, float, float]:
    """Milliseconds of CPU: the first display, the median of later ones, a look that finds nothing."""
    import made_up

    from engine import store
    from ui import frames, subjects

    begun = time.process_time()
    view = subjects.opener(subject, library)()
    view.refresh()
    shown = view.display()
    frames.encode(frames.difference(frames.NOTHING, shown))
    first = time.process_time() - begun
    later, quiet = [], []
    with store.Reader(live) as reader:
        step = reader.last_step()
    for _ in range(TICKS):
        step += 32
        with store.Writer(live) as writer:
            writer.add(made_up.record(step, made_up.dying(8)))
            writer.add(made_up.batches(step, 32))
            writer.commit((1, 1.0, step + 32))
        begun = time.process_time()
        view.refresh()
        now = view.display()
        frames.encode(frames.difference(shown, now))
        later.append(time.process_time() - begun)
        shown, begun = now, time.process_time()
        view.refresh()
        quiet.append(time.process_time() - begun)
    view.close()
    return 1e3 * first, 1e3 * statistics.median(later), 1e3 * statistics.median(quiet)


def viewer_rows(viewers: int, seconds: float) -> list[Row]:
    """The real server, six live runs, a difference and a table; viewers over WebSockets."""
    import psutil
    from browser import Recording, Server

    with tempfile.TemporaryDirectory() as home, contextlib.ExitStack() as stack:
        os.environ["VGLAB_HOME"] = str(Path(home) / "home")
        server = Server(Path(home))
        stack.callback(server.stop)
        runs = [stack.enter_context(Recording()).run for _ in range(RUNS)]
        page = [*runs, f"difference:step:{runs[0]}:{runs[1]}", f"table:{':'.join(runs)}"]
        time.sleep(15)  # the spare worker warms up; the runs get some records
        process = psutil.Process(server.process.pid)
        rows, base = [], 0.0
        for count, subjects in ((1, page), (viewers, page), (viewers, runs)):
            spent, frames = asyncio.run(_watched(server.port, subjects, count, seconds, process))
            refreshes = statistics.mean(frames[run] for run in runs) / count
            each = 1e3 * spent / (count * refreshes)
            what = f"{count} viewer{'s' * (count > 1)}, {RUNS} live runs"
            what += ", a difference and a table" if len(subjects) > RUNS else " alone"
            frame = 1e3 * spent / sum(frames.values())
            words = f"{each:.2f} ms for all charts, {frame:.2f} ms for each subject's frame"
            words += f" ({refreshes / seconds:.1f} refreshes/s, {spent / seconds:.0%} of a core)"
            if count == 1:
                base = spent / refreshes
            elif len(subjects) > RUNS:
                more = 1e3 * (spent / refreshes - base) / (count - 1)
                words += f"; each viewer more: {more:.2f} ms"
            wanted = "under 1 ms" if count > 1 else ""
            rows.append((f"server CPU per viewer and refresh, {what}", words, wanted))
    return rows


async def _watched(port, subjects, count, seconds, process) -> tuple[float, Counter]:
    """CPU seconds of the server while so many watch, and how many frames of each subject came."""
    from websockets.asyncio.client import connect

    from ui.frames import unpacked

    url = f"ws://127.0.0.1:{port}/live/feed?runs={','.join(subjects)}"
    counting, got = asyncio.Event(), Counter()

    async def view() -> None:
        async with connect(
            url, origin=f"http://127.0.0.1:{port}", max_size=None, proxy=None
        ) as socket:
            async for message in socket:
                for frame in unpacked(message) if counting.is_set() else ():
                    (length,) = struct.unpack_from("<I", frame)
                    got[json.loads(frame[4 : 4 + length])["run"]] += 1

    tasks = [asyncio.create_task(view()) for _ in range(count)]
    await asyncio.sleep(5)  # everybody has everything
    before = sum(process.cpu_times()[:2])
    counting.set()
    await asyncio.sleep(seconds)
    spent = sum(process.cpu_times()[:2]) - before
    for task in tasks:
        task.cancel()
    failed = [
        r for r in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(r, Exception)
    ]
    assert not failed, failed
    return spent, got


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--viewers", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    rows = tick_rows() + viewer_rows(asked.viewers, asked.seconds)
    print(text := table(rows))
    if asked.write:
        write_section(HEAD, text)


if __name__ == "__main__":
    main()
