"""How long the library of many runs takes to open and to filter, in a real browser.

    python benchmarks/library.py [--runs 1000] [--write]

Made-up runs with the names, families, tags and sizes that real ones have. Prints a table; --write
puts it below what docs/performance.md has of its own.
"""

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "tests"), str(ROOT / "benchmarks")]

from sections import Row, table, write_section  # noqa: E402

TIMES = 9
HEAD = "\n## Library\n\nMade by `python benchmarks/library.py --write`.\n\n"
NOTES = ("", "", "", "", "for the first lecture", "the loss jumps at step 400: ask why")
TAGS = ((), (), (), ("lecture 3",), ("exercise", "group B"), ("keep",))


def fill(count: int) -> None:
    """A library of this many made-up runs, in VGLAB_HOME."""
    import made_up

    from engine import presets, runs, store

    chance = random.Random(7)
    names = list(presets.PRESETS)
    items = made_up.sigmoid_items(100)
    made: list[tuple[str, str, object]] = []
    begun = time.time() - 60 * 50 * count
    for number in range(count):
        created = begun + number * 60 * 50
        name = chance.choice(names)
        spec = presets.PRESETS[name].spec(data=chance.choice(["digits", "fashion_mnist", "moons"]))
        title, more = presets.title_of(spec), {}
        if made and chance.random() < 0.2:
            parent, title, spec = chance.choice(made[-8:])
            step = chance.choice([40, 100, 220])
            title = f"{title.partition(' · from')[0]} · from step {step}: relu"
            more = {"parent": parent, "parent_step": step}
        run = time.strftime("%Y%m%d-%H%M%S", time.localtime(created)) + f"-{number:04x}"
        path = runs.library() / f"{run}{store.SUFFIX}"
        tags = json.dumps(chance.choice(TAGS))
        store.create(path, title=title, spec=spec, preset=name, created=created, tags=tags, **more)
        with store.Writer(path) as writer:
            status = chance.choice(["finished"] * 6 + ["stopped", "diverged", "failed"])
            starred = int(chance.random() < 0.1)
            writer.update(status=status, note=chance.choice(NOTES), starred=starred)
            for item in items if number % 10 == 0 else items[:20]:
                writer.add(item)
            writer.commit((1, 1.0, chance.choice([220, 2200, 8440])))
        made.append((run, title, spec))


class Page:
    """The library in a real browser; every time is taken inside the page."""

    #: Until the page says this; milliseconds since `start`, by the page's own clock.
    UNTIL = """([start, said]) => new Promise(done => {
      const look = () => document.querySelector('.vgl-library')?.dataset.counted?.includes(said)
        ? requestAnimationFrame(() => done(performance.now() - start)) : setTimeout(look, 4);
      look(); })"""

    def __init__(self, page, url: str):
        self.page, self.url = page, url

    def open(self, said: str) -> float:
        """Seconds from the address to the last row."""
        self.page.goto(f"{self.url}/runs", wait_until="commit")
        last = "document.querySelectorAll('.vgl-runs tbody tr').length >= 25"
        self.page.wait_for_function(f"window.performance && {last}")
        return self.page.evaluate(self.UNTIL, [0, said]) / 1000

    def filter(self, key: str, option: str, said: str) -> float:
        """Seconds from a choice in a list until the list of runs is another."""
        self.page.locator(f".st-key-{key} input").click()
        entry = self.page.get_by_role("option", name=option, exact=True)
        entry.wait_for()
        return self._timed(entry, "click", said)

    def search(self, text: str, said: str) -> float:
        """Seconds from the last letter, and the pause that is waited for more, to the list."""
        box = self.page.locator(".st-key-find input")
        box.fill(text[:-1])
        return self._timed(box, "keyup", said, lambda: (box.press("End"), box.type(text[-1])))

    def clear(self, said: str) -> float:
        """Seconds until all are shown again."""
        return self._timed(self.page.locator(".st-key-clear_filters button"), "click", said)

    def _timed(self, element, event: str, said: str, act=None) -> float:
        listen = (
            "name => addEventListener(name, () => { window.pressed = performance.now() }, true)"
        )
        self.page.evaluate(listen, event)
        (act or element.click)()
        return self.page.evaluate(self.UNTIL, [self.page.evaluate("window.pressed"), said]) / 1000


def rows(count: int) -> list[Row]:
    """The table's rows."""
    from browser import ARGUMENTS, Server, chromium
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as name:
        os.environ["VGLAB_HOME"] = str(Path(name) / "home")
        fill(count)
        reading = _reading()
        server = Server(Path(name))
        try:
            with sync_playwright() as playwright:
                found = playwright.chromium.launch(executable_path=chromium(), args=ARGUMENTS)
                measured = _measured(found, server.url, count)
                found.close()
        finally:
            server.stop()
    return [
        (f"reading {count:,} run files once", f"{reading[0]:.2f} s", ""),
        (f"looking whether {count:,} run files changed", f"{1000 * reading[1]:.0f} ms", ""),
        (f"the library with {count:,} runs opens", measured["open"], "within 2 s"),
        ("a filter is chosen", measured["filter"], "within 300 ms"),
        (
            "a search, with the pause of 100 ms for more letters",
            measured["search"],
            "within 300 ms",
        ),
        ("all are shown again", measured["clear"], "within 300 ms"),
    ]


def _reading() -> tuple[float, float]:
    from engine.library import Index

    index, times = Index(), []
    for _ in range(5):
        begun = time.perf_counter()
        index.look()
        times.append(time.perf_counter() - begun)
    return times[0], sorted(times[1:])[2]


def _measured(browser, url: str, count: int) -> dict[str, str]:
    # Waiting runs text as code in the page, which the dashboard's content policy forbids.
    context = browser.new_context(viewport={"width": 1280, "height": 900}, bypass_csp=True)
    found: dict[str, list[float]] = {"open": [], "filter": [], "search": [], "clear": []}
    everything = "Newest first"
    for _ in range(TIMES):
        page = Page(context.new_page(), url)
        found["open"].append(page.open(everything))
        for key, option in (("in_status", "finished"), ("on_data", "Fashion-MNIST")):
            found["filter"].append(page.filter(key, option, f"of {count:,} runs"))
            page.page.keyboard.press("Escape")
            found["clear"].append(page.clear(everything))
        found["search"].append(page.search("lecture", f"of {count:,} runs"))
        page.page.close()
    return {name: _told(times) for name, times in found.items()}


def _told(times: list[float]) -> str:
    times = sorted(times)
    return f"median {times[len(times) // 2]:.2f} s, worst of {len(times)} {times[-1]:.2f} s"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--fill", action="store_true", help="only make the runs, in VGLAB_HOME")
    parser.add_argument("--write", action="store_true")
    given = parser.parse_args()
    if given.fill:
        fill(given.runs)
        return
    print(text := table(rows(given.runs)))
    if given.write:
        write_section(HEAD, text)


if __name__ == "__main__":
    main()
