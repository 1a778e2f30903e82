"""Fixtures of all browser tests: one Chromium and one dashboard, and people at its pages."""

import pytest
from browser import ARGUMENTS, Recording, Server, Visitor, chromium, wait_for
from conftest import skip_or_fail
from playwright.sync_api import sync_playwright

from engine import runs, store


@pytest.fixture(scope="module")
def browser():
    """One Chromium for all tests."""
    found = chromium()
    if found is None:
        skip_or_fail("no Chromium is installed here")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def server(browser, tmp_path_factory):
    """One dashboard for all tests that do not stop theirs."""
    server = Server(tmp_path_factory.mktemp("dashboard"))
    yield server
    server.stop()


@pytest.fixture(scope="module")
def context(browser, server):
    """What pages share: a cache. Each is a session of its own, and nothing else is stored."""
    context = browser.new_context()
    context.new_page().goto(f"{server.url}/live/health")  # keeps the cache's process alive
    yield context
    context.close()


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
