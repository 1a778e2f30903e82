"""What this machine does: an epoch beside the published notebook's own loop, and the live path.

    python benchmarks/speed.py --data FOLDER    # FOLDER in torchvision's layout, with Fashion-MNIST

Prints a table, and writes it to docs/performance.md with --write.
"""

import argparse
import ast
import datetime
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]

from engine.runs import SAME_BITS  # noqa: E402

Row = tuple[str, str, str]  # what, measured, wanted


def notebook_epoch(folder: str) -> float:
    """Seconds of one epoch as the published notebook trains it: DataLoader, ToTensor, validation."""
    import torch
    from torch import nn
    from torch.utils.data import DataLoader, random_split
    from torchvision import transforms
    from torchvision.datasets import FashionMNIST

    torch.manual_seed(42)
    images = FashionMNIST(folder, train=True, transform=transforms.ToTensor())
    train_set, validation_set = random_split(images, [54000, 6000])
    train_loader = DataLoader(train_set, batch_size=512, shuffle=True)
    validation_loader = DataLoader(validation_set, batch_size=512, shuffle=False)
    layers = [nn.Linear(784, 128), nn.Sigmoid()]
    for _ in range(6):
        layers += [nn.Linear(128, 128), nn.Sigmoid()]
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(128, 10))
    optimizer, criterion = torch.optim.SGD(model.parameters(), lr=1e-2), nn.CrossEntropyLoss()
    began = time.perf_counter()
    for x, y in train_loader:
        optimizer.zero_grad()
        loss = criterion(model(x), y)
        loss.backward()
        optimizer.step()
    with torch.no_grad():
        for x, y in validation_loader:
            criterion(model(x), y)
    return time.perf_counter() - began


def our_epoch(folder: str, threads: int) -> float:
    """Seconds per epoch, from the second to the fourth, of the baseline: recorded, stored, tested."""
    with tempfile.TemporaryDirectory() as home:
        os.environ |= {"VGLAB_HOME": home, "VGLAB_DATA": folder}
        from engine import runs, store
        from engine.spec import RunSpec
        from engine.worker import Job

        spec = RunSpec(data="fashion_mnist", epochs=4, device="cpu", threads=threads)
        run = runs.create(spec)
        Job(runs.path(run)).work()
        with store.Reader(runs.path(run)) as reader:
            first, *_, last = reader.epochs()
        return (last.seconds - first.seconds) / 3


def in_a_process(call: str, environment: dict[str, str]) -> float:
    """The number that a call of this module returns, in a fresh interpreter."""
    return in_a_process_of(__file__, call, environment)


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


def epoch_rows(folder: str, repeats: int) -> list[Row]:
    """An epoch each way, interleaved so that drift cancels; medians."""
    ways = {
        "notebook": (f"notebook_epoch({folder!r})", {}),
        "ours, 1 thread": (f"our_epoch({folder!r}, 1)", SAME_BITS),
        "ours, 2 threads": (f"our_epoch({folder!r}, 2)", SAME_BITS),
        "ours, 1 thread, bits not pinned": (f"our_epoch({folder!r}, 1)", {}),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, (call, environment) in ways.items():
            seconds[name].append(in_a_process(call, environment))
    median = {name: statistics.median(values) for name, values in seconds.items()}
    rows = [("epoch of Fashion-MNIST, the notebook's loop", f"{median['notebook']:.2f} s", "")]
    for name in list(ways)[1:]:
        ratio = median["notebook"] / median[name]
        wanted = "at least 6 times faster" if name == "ours, 2 threads" else ""
        words = f"{median[name]:.2f} s, {ratio:.1f} times faster"
        rows.append((f"the same, everything recorded, {name}", words, wanted))
    return rows


def screen_rows() -> list[Row]:
    """The real server and a real browser: the first number, the newest number, the memory."""
    import psutil
    from browser import ARGUMENTS, Server, chromium
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as home, sync_playwright() as playwright:
        server = Server(Path(home))
        try:
            browser = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
            page = browser.new_page(viewport={"width": 1280, "height": 800})
            page.goto(server.url)
            page.wait_for_selector("[data-chart=gradient_heatmap]", timeout=60000)
            firsts = [_click_to_first(page) for _ in range(5)]
            delays = _delays(page)
            memory = psutil.Process(server.process.pid).memory_info().rss / 1e6
            has_torch = "libtorch" in Path(f"/proc/{server.process.pid}/maps").read_text()
            browser.close()
        finally:
            server.stop()
    delays.sort()
    p50, p95 = (delays[int(len(delays) * share)] for share in (0.5, 0.95))
    return [
        (
            "click on Train to first number, spare warm",
            f"median {statistics.median(firsts):.2f} s, worst of {len(firsts)} {max(firsts):.2f} s",
            "under 1 s",
        ),
        (
            "newest number to screen, one run",
            f"p50 {p50:.2f} s, p95 {p95:.2f} s ({len(delays)} draws)",
            "p50 under 0.5 s",
        ),
        ("server process", f"{memory:.0f} MB, torch loaded: {has_torch}", "under 200 MB, no torch"),
    ]


FIRST = """() => new Promise((resolve) => {
  const chart = document.querySelector('[data-chart=gradient_heatmap]').dataset;
  const before = chart.run, began = performance.now();
  document.querySelector('.st-key-train button').click();
  const look = () => {
    if (chart.run && chart.run !== before && chart.step !== undefined) {
      resolve((performance.now() - began) / 1000);
    } else { requestAnimationFrame(look); }
  };
  look();
})"""


def _click_to_first(page) -> float:
    time.sleep(15)  # the spare warms up
    seconds = page.evaluate(FIRST)
    page.get_by_role("button", name="Stop", exact=True).first.click()
    page.wait_for_selector(".vgl[data-status=stopped], .vgl[data-status=finished]")
    return seconds


DELAYS = """(ms) => new Promise((resolve) => {
  const chart = document.querySelector('[data-chart=gradient_heatmap]'), found = [];
  new MutationObserver(() => {
    found.push((Number(chart.dataset.drawnAt) - Number(chart.dataset.measuredAt)) / 1000);
  }).observe(chart, {attributes: true, attributeFilter: ['data-drawn-at']});
  setTimeout(() => resolve(found), ms);
})"""


def _delays(page) -> list[float]:
    time.sleep(15)
    page.evaluate(FIRST)
    time.sleep(3)
    return page.evaluate(DELAYS, 12000)


def table(rows: list[Row]) -> str:
    """The rows as a table in Markdown, with the machine, the versions and the day."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "streamlit", "plotly"))
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}"
    lines = [
        f"{machine}, Python {platform.python_version()}, {packages}; {datetime.date.today()}.",
        "",
        "| what | measured | wanted |",
        "|---|---|---|",
        *(f"| {what} | {measured} | {wanted} |" for what, measured, wanted in rows),
    ]
    return "\n".join(lines)


def write_section(head: str, text: str) -> None:
    """Put `text` under `head` into docs/performance.md, in place of what stood there.

    head  a line that begins with "## ", what belongs under it, and an empty line
    """
    path = ROOT / "docs" / "performance.md"
    before, _, after = path.read_text().partition("\n" + head.strip().splitlines()[0] + "\n")
    rest = after.partition("\n## ")
    tail = rest[1] + rest[2] if rest[1] else ""
    path.write_text(before.rstrip() + "\n\n" + head.strip() + "\n\n" + text.strip() + "\n" + tail)


HEAD = """# Performance

Made by `python benchmarks/speed.py --data FOLDER --write`; not written by hand.

"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", help="folder with Fashion-MNIST in torchvision's layout")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    rows = epoch_rows(asked.data, asked.repeats) if asked.data else []
    rows += screen_rows()
    print(text := table(rows))
    if asked.write:
        path = ROOT / "docs" / "performance.md"
        others = path.read_text().partition("\n## ")
        path.write_text(HEAD + text + "\n" + others[1] + others[2])


if __name__ == "__main__":
    main()
