"""What all tests share: a library of their own, and the real Fashion-MNIST where it lies."""

import gzip
import os
import shutil
import tempfile
from functools import cache
from pathlib import Path

import pytest

from engine import runs

# What tests train in their own process has a worker's bits, on every machine. Before torch comes.
os.environ |= runs.SAME_BITS

pytest_plugins = ["browser_fixtures", "warm"]

REPOSITORY = Path(__file__).parents[1]
#: The real data set, packed, beside the repository. Tests that need it skip without it.
PACKED = REPOSITORY.parent / "shared" / "data" / "FashionMNIST" / "raw"
CACHE = Path(tempfile.gettempdir()) / "vglab-test-data"


def skip_or_fail(reason: str) -> None:
    """Skip with a reason; where CI=true, fail instead, so that no test is lost there unseen."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def pytest_collection_modifyitems(items):
    """Browser tests come first, one after the other: they share a dashboard and a Chromium."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is None)


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist: `make test` runs two processes
def pytest_xdist_make_scheduler(config, log):
    """A file is never shared out, nor are all those with browser tests: each has fixtures to share."""
    from xdist.scheduler import LoadFileScheduling

    class ByFile(LoadFileScheduling):
        def _split_scope(self, nodeid):
            return group_of(nodeid.split("::")[0])

    return ByFile(config, log)


@cache
def group_of(file):
    """What runs in one process with this file's tests."""
    return "browser" if "mark.browser" in (REPOSITORY / file).read_text() else file


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty library, so that no test sees or touches a person's own."""
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("VGLAB_DATA", raising=False)
    monkeypatch.delenv("VGLAB_WORKERS", raising=False)
    return tmp_path / "home"


@pytest.fixture
def fashion_mnist(monkeypatch):
    """VGLAB_DATA with the full Fashion-MNIST in torchvision's layout; the folder."""
    if not PACKED.exists():
        skip_or_fail(f"Fashion-MNIST is not at {PACKED}")
    raw = CACHE / "FashionMNIST" / "raw"
    raw.mkdir(parents=True, exist_ok=True)
    for packed in PACKED.glob("*.gz"):
        unpacked = raw / packed.stem
        if not unpacked.exists():
            partial = unpacked.with_suffix(f".{os.getpid()}")
            with gzip.open(packed) as source, partial.open("wb") as target:
                shutil.copyfileobj(source, target)
            partial.rename(unpacked)
    monkeypatch.setenv("VGLAB_DATA", str(CACHE))
    return CACHE
