"""A person at the dashboard's pages, for the benchmark: what is pressed, awaited and read off."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import runs
from engine.bench.chromium import ARGUMENTS, NO_BROWSER, PATIENCE, Server, own_browser, wait_for
from engine.errors import EngineError, RunError

HEATMAP = "[data-chart=gradient_heatmap]"
OPENING_S = 300.0  # until a page of a finished run is given up
SIZE: Any = {"width": 1280, "height": 800}

#: Press Train; seconds until the heatmap shows a number of another run than before.
CLICK = f"""() => new Promise((resolve, reject) => {{
  const chart = document.querySelector('{HEATMAP}').dataset;
  const before = chart.run, began = performance.now();
  document.querySelector('.st-key-train button').click();
  const look = () => {{
    const seconds = (performance.now() - began) / 1000;
    if (chart.run && chart.run !== before && chart.step !== undefined) resolve(seconds);
    else if (seconds > {PATIENCE:.0f}) reject(new Error("no number came after a click on Train"));
    else requestAnimationFrame(look);
  }};
  look();
}})"""

#: For so many ms, note of each drawing of a chart how old its newest number is, in seconds; of a
#: chart that does not say so, null.
DRAWINGS = """(ms) => new Promise((resolve) => {
  const found = [];
  const observer = new MutationObserver((changes) => {
    for (const { target: { dataset } } of changes) {
      const { drawnAt, measuredAt } = dataset;
      found.push(measuredAt ? (Number(drawnAt) - Number(measuredAt)) / 1000 : null);
    }
  });
  for (const chart of document.querySelectorAll('[data-chart]')) {
    observer.observe(chart, { attributes: true, attributeFilter: ['data-drawn-at'] });
  }
  setTimeout(() => { observer.disconnect(); resolve(found); }, ms);
})"""

NODES = "[...document.querySelectorAll('.vgl-plot, .vgl-plot .main-svg, .vgl-plot .plot')]"
MARK = f"() => {NODES}.map((node) => {{ node.marked = true; }}).length"  # a new node has no such
KEPT = f"() => {NODES}.filter((node) => node.marked).length"
#: Milliseconds since the page was asked for, once its heatmap shows a run's numbers.
OPENED = f"""(run) => {{
  const chart = document.querySelector('{HEATMAP}')?.dataset;
  return chart?.run === run && chart.step !== undefined && chart.drawnAt && performance.now();
}}"""


@contextmanager
def browser() -> Iterator[Any]:
    """A Chromium without a window; what a person opens shares one cache. RunError for its errors."""
    from playwright.sync_api import sync_playwright

    with sentences(), sync_playwright() as playwright:
        path = own_browser() or playwright.chromium.executable_path
        if not Path(path).exists():
            raise RunError(NO_BROWSER)
        found = playwright.chromium.launch(executable_path=path, args=ARGUMENTS)
        try:
            # Waiting runs text as code in the page, which the dashboard's content policy forbids.
            yield found.new_context(viewport=SIZE, bypass_csp=True)
        finally:
            found.close()


@contextmanager
def sentences() -> Iterator[None]:
    """What the browser could not do, as a RunError of one sentence."""
    from playwright.sync_api import Error

    try:
        yield
    except Error as error:
        said = str(error).strip().splitlines()[0].rstrip(".")
        raise RunError(f"The browser could not do it: {said}.") from error


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """What a browser did for a while at a page of live runs."""

    delays: list[float]  # seconds from the newest number to its chart, sorted
    drawings: int
    task_s: float  # of the main thread, all its work
    kept: float  # share of the charts' elements that are still there

    def delay(self, share: float) -> float:
        """Delay that this share of the drawings did not exceed, in seconds."""
        return self.delays[min(len(self.delays) - 1, int(share * len(self.delays)))]


class Visit:
    """A page of the dashboard, opened in a context of a browser until the end of a `with`."""

    def __init__(self, context: Any, server: Server):
        self.server, self.page = server, context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_: object) -> None:
        self.page.close()

    def open(self, path: str) -> None:
        """Open a page by what stands behind the server's address."""
        self.page.goto(f"{self.server.url}/{path}", wait_until="commit")

    def wait_for_charts(self, least: int) -> None:
        """Until every heatmap shows this step."""
        condition = f"""(least) => {{
          const charts = [...document.querySelectorAll('{HEATMAP}')];
          return charts.length && charts.every(({{ dataset }}) => Number(dataset.step ?? -1) >= least);
        }}"""
        self.page.wait_for_function(condition, arg=least)

    def train(self) -> tuple[str, float]:
        """Press Train in the Lab; the run, and the seconds until its first number is shown."""
        seconds = float(self.page.evaluate(CLICK))
        return str(self.page.evaluate(f"document.querySelector('{HEATMAP}').dataset.run")), seconds

    def opened(self, run: str) -> float:
        """Open a run's page; milliseconds until its heatmap is drawn."""
        self.open(f"?run={run}")
        slow: Any = {"polling": "raf", "timeout": 1000 * OPENING_S}
        return float(self.page.wait_for_function(OPENED, arg=run, **slow).json_value())

    def watched(self, seconds: float) -> Drawn:
        """Look at what is shown for a while."""
        measures = self.page.context.new_cdp_session(self.page)
        measures.send("Performance.enable", {"timeDomain": "threadTicks"})  # CPU, not the wall
        marked = self.page.evaluate(MARK)
        before = _task_s(measures)
        found = self.page.evaluate(DRAWINGS, 1000 * seconds)
        task_s = _task_s(measures) - before
        kept = self.page.evaluate(KEPT) / max(1, marked)
        delays = sorted(delay for delay in found if delay is not None)
        if not delays:
            raise RunError("No chart was drawn while it was looked at.")
        return Drawn(delays=delays, drawings=len(found), task_s=task_s, kept=kept)


def _task_s(measures: Any) -> float:
    told = measures.send("Performance.getMetrics")["metrics"]
    return float(next(one["value"] for one in told if one["name"] == "TaskDuration"))


def stop(names: list[str]) -> None:
    """Stop runs, and wait until they have ended."""
    for run in names:
        runs.send(run, "stop")
    for run in names:
        wait_for(lambda run=run: _has_ended(run), f"Run {run} does not stop.")
    time.sleep(1)  # the page is told


def _has_ended(run: str) -> bool:
    try:
        return runs.info(run).ended is not None
    except EngineError:
        return False
