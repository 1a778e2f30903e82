"""What the browser tests stand on: the real server, a real Chromium, a person, a recording run."""

import contextlib
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil
from conftest import REPOSITORY
from made_up import batches, dying, epoch_end, record, spec
from playwright.sync_api import Error, TimeoutError, expect

from engine import runs, store
from engine.bench import chromium as chromium_for_all

PATIENCE = 60  # seconds until something that should come is given up; never a measure of speed
expect.set_options(timeout=1000 * PATIENCE)
#: --process-per-site: scripts are compiled once for all pages, which is half of a page's loading.
ARGUMENTS = [*chromium_for_all.ARGUMENTS, "--process-per-site"]
HEATMAP = "[data-chart=gradient_heatmap]"


chromium = chromium_for_all.own_browser  # the browser that is installed here, or None


def wait_for(what, why, patience=PATIENCE):
    """Until `what()` is true; the value."""
    deadline = time.monotonic() + patience
    while not (value := what()):
        assert time.monotonic() < deadline, why
        time.sleep(0.02)
    return value


class Server:
    """The dashboard as a person starts it, on a port and with a library of its own."""

    def __init__(self, folder: Path, **variables: str):
        """`variables` of its environment; of the tests' own it has none that is the dashboard's."""
        self.variables = variables
        self.home, self.log = folder / "home", folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    def start(self):
        environment = {name: value for name, value in os.environ.items() if name[:6] != "VGLAB_"}
        options = ["--server.port", str(self.port), "--server.headless", "true"]
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", *options],
                cwd=REPOSITORY,
                env=environment | {"VGLAB_HOME": str(self.home)} | self.variables,
                stdout=log,
                stderr=log,
            )
        wait_for(self.answers, f"the server does not answer:\n{self.log.read_text()}")

    def answers(self):
        assert self.process.poll() is None, self.log.read_text()
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            return direct.open(f"{self.url}/live/health", timeout=5).status == 200
        except (urllib.error.URLError, OSError):
            return False

    def workers(self):
        """Its worker processes, the spare one included."""
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        finally:
            self.process.kill()


class Recording:
    """A made-up run that records until told to stop: a run without the cost of training."""

    def __enter__(self):
        self.run = runs.create(spec())
        self.ending = threading.Event()
        self.thread = threading.Thread(target=self._record, args=(runs.path(self.run),))
        self.thread.start()
        return self

    def _record(self, path):
        process = psutil.Process()
        with store.Writer(path) as writer:
            writer.update(status=store.RUNNING, started=time.time())
            step = 0
            while not self.ending.is_set():
                writer.add(record(step, dying(8, -1 - 0.3 * (step // 50 % 2))))
                writer.add(batches(step, 10))
                step += 10
                if step % 50 == 0:
                    writer.add(epoch_end(step // 50, step))
                writer.commit((process.pid, process.create_time(), step))
                self.ending.wait(0.1)
            writer.update(status=store.FINISHED, ended=time.time())

    def end(self):
        self.ending.set()
        self.thread.join()

    def __exit__(self, *_):
        self.end()


class Visitor:
    """A person at a page of their own, which is a session of its own for the server."""

    def __init__(self, context, server, height=800):
        self.server = server
        self.page = context.new_page()
        self.page.set_default_timeout(1000 * PATIENCE)
        self.page.set_viewport_size({"width": 1280, "height": height})
        self.errors, self.addresses = [], []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._hear)
        self.page.on("request", lambda request: self.addresses.append(request.url))
        self.page.on("websocket", lambda socket: self.addresses.append(socket.url))

    def _hear(self, said):
        # On a page that is not the first, Streamlit looks for itself below the page's address first.
        if said.type == "error" and not re.search(r"/\w+/_stcore/", said.location["url"]):
            self.errors.append(f"{said.text} {said.location['url']}")

    def open(self, query=""):
        """The Lab by a link, until its charts are drawn, with or without data."""
        self.page.goto(f"{self.server.url}/{query}")
        self.wait_for("document.querySelectorAll('.vgl-plot .main-svg').length > 2")
        return self

    def wait_for(self, condition, argument=None, patience=PATIENCE):
        """Until a JavaScript expression, or function of `argument`, is true.

        Asked from outside: Playwright's own waiting runs text as code within the page, which the
        dashboard's content policy forbids.
        """

        def is_true():
            with contextlib.suppress(Error):  # the page is just being left for another
                return self.page.evaluate(condition, argument)

        wait_for(is_true, f"it never became true: {condition}", patience)

    def evaluate(self, expression, argument=None):
        return self.page.evaluate(expression, argument)

    # -- the sidebar and the row of views ---------------------------------------------------

    def control(self, key, part=""):
        """The element of a control by its key, which is its field's name."""
        return self.page.locator(f".st-key-{key} {part}".strip()).first

    def press(self, key):
        self.control(key, "button").click()

    def choose(self, key, option):
        """One of a row of buttons: a pill or a segment."""
        self.control(key).get_by_role("radio", name=option, exact=True).or_(
            self.control(key).get_by_role("button", name=option, exact=True)
        ).click()

    def pick(self, key, option):
        """An entry of a drop-down list, opened once more where scrolling to it closed it again."""
        entry = self.page.get_by_role("option", name=option, exact=True)

        def opened():
            self.control(key, "input").click()
            with contextlib.suppress(TimeoutError):
                entry.click(timeout=2000)
                return True

        wait_for(opened, f"{option} is not offered for {key}")

    def type(self, key, number):
        box = self.control(key, "input")
        box.fill(str(number))
        box.press("Enter")

    def unfold(self, *groups):
        """Open groups of controls."""
        for group in groups:
            opened = self.control(f"group_{group}", "details[open]")
            while not opened.count():  # a group that is just moving may miss a click
                self.control(f"group_{group}", "summary").click()
                with contextlib.suppress(TimeoutError):
                    opened.wait_for(timeout=2000)

    def train(self):
        """Press Train and wait for the first numbers; the run's id, from the link."""
        before = self.run
        self.press("train")
        self.wait_for("before => new URL(location).searchParams.get('run') != before", before)
        self.wait_for(f"run => document.querySelector('{HEATMAP}').dataset.run === run", self.run)
        self.wait_for_step(0)
        return self.run

    # -- what is shown -----------------------------------------------------------------------

    @property
    def run(self):
        return self.evaluate("new URL(location).searchParams.get('run')")

    @property
    def words(self):
        """The status line above the charts."""
        return self.control("status").inner_text()

    def says(self, text):
        """Wait until the page says this somewhere."""
        self.page.get_by_text(text).first.wait_for()

    @property
    def step(self):
        """The newest step that the heatmap shows; -1 where there is none."""
        return int(self.page.locator(HEATMAP).get_attribute("data-step") or -1)

    def wait_for_step(self, step):
        condition = f"step => Number(document.querySelector('{HEATMAP}')?.dataset.step ?? -1)"
        self.wait_for(f"{condition} >= step", step)

    def advances(self, times=3):
        """Wait until the heatmap has been redrawn that often with a newer step; the steps."""
        seen = [self.step]
        for _ in range(times):
            self.wait_for_step(seen[-1] + 1)
            seen.append(self.step)
        return seen

    @property
    def status(self):
        return self.evaluate("document.querySelector('.vgl').dataset.status")

    @property
    def connection(self):
        return self.page.locator(".vgl-connection").inner_text()

    def tiles(self):
        """The row of figures: label -> value."""
        pairs = "tile => [tile.dataset.tile, tile.querySelector('.vgl-value').textContent]"
        return dict(self.evaluate(f"[...document.querySelectorAll('.vgl-tile')].map({pairs})"))

    def chart(self, name, of):
        """Something of a chart: a JavaScript expression of its Plotly element `chart`."""
        return self.evaluate(f"(chart => {of})(document.querySelector('[data-chart={name}]'))")

    def mark_charts(self):
        """Remember every chart's nodes by a property that no new node would have."""
        self.evaluate(
            "for (const node of document.querySelectorAll('.vgl-plot, .vgl-plot .main-svg, .vgl-plot .plot'))"
            "  node.marked = true"
        )

    def marked_charts(self):
        """How many of the nodes that were marked are still on the page."""
        nodes = "[...document.querySelectorAll('.vgl-plot, .vgl-plot .main-svg, .vgl-plot .plot')]"
        return self.evaluate(f"{nodes}.filter(node => node.marked).length")

    def drag(self, name, start, end):
        """Draw a box over a chart with the mouse; corners as shares of its plotting area."""
        area = self.page.locator(f"[data-chart={name}] .nsewdrag").first.bounding_box()
        first, last = (
            (area["x"] + x * area["width"], area["y"] + y * area["height"]) for x, y in (start, end)
        )
        self.page.mouse.move(*first)
        self.page.mouse.down()
        self.page.mouse.move(*last, steps=5)
        self.page.mouse.up()

    def close(self):
        self.page.close()


def recorded(run):
    """The steps of a run's records, as they are in its file."""
    with store.Reader(runs.path(run)) as reader:
        return [found.step for found in reader.records()]


def number(text):
    """A number as the page writes it: "1.04·10⁻⁵" -> 1.04e-05."""
    plain = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--"))
    return float(re.sub("·10", "e", plain).replace(",", ""))
