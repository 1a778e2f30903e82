"""Fixtures of all browser tests: one Chromium and one dashboard, and people at its pages."""

import contextlib

import pytest
from browser import ARGUMENTS, Recording, Server, Visitor, chromium, wait_for
from conftest import skip_or_fail
from playwright.sync_api import sync_playwright

from engine import runs, store


class Shared:
    """One Chromium and one dashboard for all browser tests that follow one another.

    A start of both, with the first page and the first worker, costs as much as three tests.
    """

    def __init__(self, folder):
        self.folder = folder
        self.opened = contextlib.ExitStack()
        self.browser = self.server = self.context = None

    def open(self):
        if self.browser is not None:
            return self
        found = chromium()
        if found is None:
            skip_or_fail("no Chromium is installed here")
        playwright = self.opened.enter_context(sync_playwright())
        self.browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        self.opened.callback(self.browser.close)
        self.server = Server(self.folder)
        self.opened.callback(self.server.stop)
        # What pages share: a cache. Each is a session of its own, and nothing else is stored.
        self.context = self.browser.new_context()
        self.context.new_page().goto(f"{self.server.url}/live/health")  # keeps the cache's process
        return self

    def close(self):
        """Also lets go of the event loop, which would be in the way of tests that need their own."""
        self.browser = self.server = self.context = None
        self.opened.close()


KEPT = pytest.StashKey[Shared]()


@pytest.fixture(scope="session")
def shared(tmp_path_factory, pytestconfig):
    shared = pytestconfig.stash[KEPT] = Shared(tmp_path_factory.mktemp("dashboard"))
    yield shared
    shared.close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """Close what browser tests share once another test follows."""
    try:
        return (yield)
    finally:
        shared = item.config.stash.get(KEPT, None)
        if shared and (nextitem is None or nextitem.get_closest_marker("browser") is None):
            shared.close()


@pytest.fixture(scope="module")
def browser(shared):
    """One Chromium for all tests."""
    return shared.open().browser


@pytest.fixture(scope="module")
def server(shared):
    """One dashboard for all tests that do not stop theirs; its library is empty for each module."""
    server = shared.open().server
    for file in server.home.rglob("*"):
        if file.is_file():
            file.unlink()
    return server


@pytest.fixture(scope="module")
def context(shared, server):
    """What pages share."""
    return shared.open().context


@pytest.fixture
def library(server, home, monkeypatch):
    """The server's library as this process's own; no run of it goes on after the test."""
    monkeypatch.setenv("VGLAB_HOME", str(server.home))
    yield
    for run in runs.all():
        if run.status in store.OPEN:
            runs.send(run.id, "stop")
    wait_for(lambda: all(run.status not in store.OPEN for run in runs.all()), "a run goes on")


@pytest.fixture
def visitors(context, server, library):
    """Opens pages: visitors() is a person at one."""
    opened = []

    def visitor(**more):
        opened.append(Visitor(**{"context": context, "server": server} | more))
        return opened[-1]

    yield visitor
    for one in opened:
        one.close()


@pytest.fixture
def visitor(visitors):
    """A person at the dashboard."""
    return visitors()


@pytest.fixture
def recording(library):
    """A made-up run that goes on recording."""
    with Recording() as recording:
        yield recording
