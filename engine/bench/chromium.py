"""The dashboard, a browser and programs of ours, for the benchmark: started, looked at, ended.

All of it is on 127.0.0.1, with a library of its own in a temporary folder.
"""

import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import psutil

from engine import data_sets
from engine.bench.apart import let_end
from engine.errors import RunError

ROOT = Path(__file__).parents[2]
PATIENCE = 60.0  # seconds until something that should come is given up
STILL_S = 1.5  # a worker that took no CPU for so long waits warm
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # as in a hall without internet
]
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
NO_BROWSER = (
    "No Chromium is installed here: install the package chromium, "
    "or run python -m playwright install chromium."
)


def lacks(module: str) -> str:
    """What to install for a module to be there, in one sentence; "" where it is."""
    if importlib.util.find_spec(module) is not None:
        return ""
    return f"The module {module} is not installed: pip install -r requirements-bench.txt."


def own_browser() -> str | None:
    """This machine's own browser; None where it has none."""
    return next(filter(None, map(shutil.which, BROWSERS)), None)


@contextlib.contextmanager
def own_library() -> Iterator[Path]:
    """A temporary VGLAB_HOME for this process and those it starts; data sets are found as before."""
    folders = data_sets.data_folders()
    data = next((folder for folder in folders if folder.is_dir()), folders[0])
    kept = {name: os.environ.get(name) for name in ("VGLAB_HOME", "VGLAB_DATA", "VGLAB_WORKERS")}
    with tempfile.TemporaryDirectory(prefix="vglab-bench-", ignore_cleanup_errors=True) as folder:
        os.environ |= {"VGLAB_HOME": str(Path(folder) / "home"), "VGLAB_DATA": str(data)}
        os.environ.pop("VGLAB_WORKERS", None)
        try:
            yield Path(folder)
        finally:
            for name, value in kept.items():
                os.environ.pop(name, None)
                if value is not None:
                    os.environ[name] = value


@contextlib.contextmanager
def ended_by_signals() -> Iterator[None]:
    """SIGTERM ends what is within as Ctrl-C does: everything that was started is ended too."""

    def end(number: int, frame: Any) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def wait_for(what: Any, why: str, patience: float = PATIENCE) -> Any:
    """Until `what()` is true; its value. Raises RunError with the sentence `why`."""
    deadline = time.monotonic() + patience
    while not (value := what()):
        if time.monotonic() > deadline:
            raise RunError(why)
        time.sleep(0.05)
    return value


class Server:
    """The dashboard as a person starts it, on a free port, in a session of its own."""

    def __init__(self, folder: Path):
        self.log = folder / "server.log"
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        options = ["--server.port", str(self.port), "--server.address", "127.0.0.1"]
        options += ["--server.headless", "true", "--browser.gatherUsageStats", "false"]
        with self.log.open("ab") as log:
            self.process = psutil.Popen(
                [sys.executable, "-m", "streamlit", "run", "app.py", *options],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C reaches us, and we end it
            )

    def __enter__(self) -> Self:
        try:
            wait_for(self._answers, "The dashboard does not answer.")
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            said = self.log.read_text(errors="replace").strip().splitlines()
            raise RunError(
                f"The dashboard ended as it started: {(said or ['it said nothing'])[-1]}."
            )
        try:
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            return bool(direct.open(f"{self.url}/live/health", timeout=5).status == 200)
        except (urllib.error.URLError, OSError):
            return False

    def wait_until_warm(self) -> None:
        """Until a spare worker is there, and neither it nor the server takes any CPU."""
        began, seen = time.monotonic(), (0.0, -1.0)

        def still() -> bool:
            nonlocal seen
            spent = self._spent()
            if spent is None or spent > seen[1] + 0.05:
                seen = (time.monotonic(), spent if spent is not None else -1.0)
            return time.monotonic() - max(seen[0], began) > STILL_S

        wait_for(still, "No spare worker came to rest.")

    def _spent(self) -> float | None:
        """Seconds of CPU of the server's workers; None where there is none."""
        workers = self.process.children(recursive=True)
        spent = 0.0
        for worker in workers:
            with contextlib.suppress(psutil.Error):
                spent += sum(worker.cpu_times()[:2])
        return spent if workers else None

    def megabytes(self) -> float:
        """Resident memory of the server's own process."""
        return float(self.process.memory_info().rss) / 1e6

    def counted(self) -> dict[str, float]:
        """What may grow, as screen_fields.GROWING names it."""
        files = getattr(self.process, "num_fds", None) or self.process.num_handles
        threads = self.process.num_threads()
        return {"mb": self.megabytes(), "files": float(files()), "threads": float(threads)}

    def stop(self) -> None:
        """End it and whatever it has started."""
        children = self._children()
        self.process.terminate()
        try:
            self.process.wait(15)
        except psutil.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for child in children:
            with contextlib.suppress(psutil.Error):
                child.kill()

    def _children(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.Error):
            return list(self.process.children(recursive=True))
        return []


class Program:
    """A module of ours as a program that ends when its stdin closes: also where we are killed.

    asked  what it is told, as JSON on its command line
    """

    def __init__(self, module: str, asked: dict[str, Any]):
        self.process = subprocess.Popen(
            [sys.executable, "-m", module, json.dumps(asked)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def answer(self) -> dict[str, Any]:
        """The line of JSON it prints. Raises RunError where it ends without one."""
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        if line := self.process.stdout.readline():
            return dict(json.loads(line))
        said = self.process.stderr.read().strip().splitlines()
        raise RunError(f"A part of the benchmark ended: {(said or ['it said nothing'])[-1]}.")

    def end(self) -> None:
        """End it; by force where it does not."""
        let_end(self.process)


def cores() -> list[int]:
    """The cores that this process may use; empty where nothing can be pinned."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def pin(process: int, onto: list[int]) -> None:
    """Keep a process and all its threads on some cores; later threads inherit it."""
    if not onto or not hasattr(os, "sched_setaffinity"):
        return
    threads = Path(f"/proc/{process}/task")
    for thread in [int(t.name) for t in threads.iterdir()] if threads.exists() else [process]:
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(thread, onto)
