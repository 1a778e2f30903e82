"""What steering costs: checkpoints beside the training, how late an order comes, a branch.

    python benchmarks/steering.py --data FOLDER    # FOLDER in torchvision's layout, with Fashion-MNIST

Prints a table, and writes it to docs/performance.md with --write.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from sections import Row, in_a_process_of, table, write_section  # noqa: E402

from engine.runs import SAME_BITS  # noqa: E402

HEAD = """## Steering

Made by `python benchmarks/steering.py --data FOLDER --write`.
"""
ORDERS = 30


def ten_epochs(folder: str, data: str, optimizer: str, keeps: bool) -> tuple[float, float, int]:
    """Seconds of a run of 10 epochs at 7x128, those its own thread spent on keeping, and bytes kept."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"VGLAB_HOME": home, "VGLAB_DATA": folder}
        from engine import keeping, runs, steered, store
        from engine.spec import RunSpec
        from engine.worker import Job

        spent = [0.0]
        keep = steered.Steered.keep

        def timed(self, capture):
            begun = time.perf_counter()
            if keeps:
                keep(self, capture)
            self.keeps = ""
            spent[0] += time.perf_counter() - begun

        steered.Steered.keep = timed
        assert keeping.MOST_EPOCHS >= 10
        run = runs.create(RunSpec(data=data, epochs=10, optimizer=optimizer, device="cpu"))
        Job(runs.path(run)).work()
        with store.Reader(runs.path(run)) as reader:
            kept = sum(checkpoint.bytes for checkpoint in reader.checkpoints())
            info = reader.run()
        return info.ended - info.started, spent[0], kept


def cost_rows(folder: str, repeats: int) -> list[Row]:
    """Runs with and without checkpoints, interleaved so that drift cancels."""
    rows = []
    for data in ("fashion_mnist", "digits"):
        for optimizer in ("sgd", "adam"):
            took: dict[bool, list[float]] = {True: [], False: []}
            spent, kept = [], 0
            for turn in range(repeats):
                for keeps in (True, False) if turn % 2 else (False, True):
                    call = f"ten_epochs({folder!r}, {data!r}, {optimizer!r}, {keeps})"
                    seconds, own, size = in_a_process_of(__file__, call, SAME_BITS)
                    took[keeps].append(seconds)
                    if keeps:
                        spent.append(own)
                        kept = size
            with_them, without = (statistics.median(took[keeps]) for keeps in (True, False))
            own = statistics.median(spent)
            rows.append(
                (
                    f"checkpoints of 10 epochs at 7x128, {data}, {optimizer}",
                    f"{100 * own / without:.2f} % of the run on its own thread "
                    f"({1e3 * own:.0f} ms of {without:.2f} s); whole run "
                    f"{100 * (with_them / without - 1):+.1f} %; {kept / 1e6:.1f} MB kept",
                    "under 1 %",
                )
            )
    return rows


def order_rows(folder: str) -> list[Row]:
    """From the page's call until the worker has done it, a paused worker's CPU, and a branch."""
    import psutil

    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"VGLAB_HOME": home, "VGLAB_DATA": folder}
        from engine import branches, runs, store
        from engine.spec import RunSpec
        from engine.steering import Change
        from engine.supervisor import Supervisor

        supervisor = Supervisor(1)
        supervisor.start()
        try:
            run = runs.start(RunSpec(data="fashion_mnist", epochs=1000, device="cpu"))
            _until(lambda: runs.info(run).step > 50)
            late = []
            for turn in range(ORDERS):
                asked = time.time()
                rate = 0.01 * (turn + 1)
                runs.change(run, Change(kind="set", fields={"learning_rate": rate}))
                _until(lambda turn=turn: runs.info(run).changes == turn + 1)
                with store.Reader(runs.path(run)) as reader:
                    late.append(1e3 * (reader.events()[-1].at - asked))
                time.sleep(0.23)
            runs.send(run, "pause")
            _until(lambda: runs.info(run).status == store.PAUSED)
            process = psutil.Process(runs.info(run).pid)
            before = sum(process.cpu_times()[:2])
            time.sleep(10)
            cpu = (sum(process.cpu_times()[:2]) - before) / 10
            begun = time.perf_counter()
            made = branches.branch(run, runs.info(run).step - 1)
            called = time.perf_counter() - begun
            _until(lambda: runs.info(made).step > runs.info(run).step)
            first = time.perf_counter() - begun
        finally:
            supervisor.stop()
    late.sort()
    return [
        (
            "a change, from the page's call to the worker",
            f"median {statistics.median(late):.0f} ms, worst of {ORDERS} {late[-1]:.0f} ms",
            "within 100 ms or one step",
        ),
        ("CPU of a paused worker", f"{100 * cpu:.1f} % of a core", "none"),
        (
            "a branch of a run of Fashion-MNIST at its newest step",
            f"{1e3 * called:.0f} ms to make; {first:.1f} s until it is past that step",
            "",
        ),
    ]


def _until(what, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with Fashion-MNIST")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    os.environ |= SAME_BITS
    rows = cost_rows(asked.data, asked.repeats) + order_rows(asked.data)
    print(text := table(rows))
    if asked.write:
        write_section(HEAD, text)


if __name__ == "__main__":
    main()
