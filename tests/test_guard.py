"""Around every request and socket: headers, sizes, rates, hosts and origins; nothing gets past the guard."""

import asyncio
import base64
import hashlib
import re
from pathlib import Path
from types import SimpleNamespace

import folders
import pytest
import streamlit
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from test_hub import hub_of

import app as dashboard
from engine.errors import LimitError
from ui import arrival, frames, guard, hub, policy, rates, routes

HERE = {"origin": "http://testserver"}
ELSEWHERE = {"origin": "http://evil.example"}


async def broken(request):
    raise ZeroDivisionError("a secret of the code")


async def posted(request):
    return PlainTextResponse(str(len(await request.body())))


def guarded(*more):
    """An app of these routes with the dashboard's own middleware."""
    own = [Route("/live/broken", broken), Route("/live/posted", posted, methods=["POST"])]
    return Starlette(
        routes=[*own, *more],
        middleware=[Middleware(guard.Guard)],
        exception_handlers={HTTPException: guard.nothing_there},
    )


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    """A folder with one running run "a" and one finished run "b"."""
    return folders.two_runs(tmp_path_factory.mktemp("library"))


@pytest.fixture
def client(library):
    """The routes under /live behind the guard."""
    feed = hub_of(library)
    with TestClient(guarded(*routes.routes(feed, folders.library(library)))) as client:
        yield client
        client.portal.call(feed.stop)


@pytest.fixture
def now(monkeypatch):
    """The clock of all buckets, which stands still: now.is_at."""
    now = SimpleNamespace(is_at=100.0)
    monkeypatch.setattr(rates, "time", SimpleNamespace(monotonic=lambda: now.is_at))
    return now


# -- headers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/live/health", 200),
        ("GET", "/live/live.js", 200),
        ("GET", "/live/none.js", 404),
        ("GET", "/live/none/of/these", 404),
        ("GET", "/nowhere", 404),
        ("DELETE", "/live/health", 405),
        ("BREW", "/live/health", 405),
        ("GET", "/live/broken", 500),
        ("GET", "/live/figure.html?figure=none", 404),
        ("GET", f"/live/health?{'a' * 8000}", 414),
    ],
)
def test_every_response_has_every_header_and_every_refusal_is_one_sentence(
    client, method, path, status
):
    answer = client.request(method, path, headers=HERE)
    assert answer.status_code == status
    for name, value in policy.headers().items():
        assert answer.headers[name] == value
    if status != 200:
        sentence = answer.json()["error"]
        assert sentence.endswith(".")
        assert "Traceback" not in sentence
        assert len(answer.content) < 400


def test_the_policy_names_no_other_server_and_runs_no_text_as_code():
    told = policy.headers()["Content-Security-Policy"]
    rules = dict(rule.split(" ", 1) for rule in told.split("; "))
    assert "http" not in told
    assert "*" not in told
    assert "'unsafe-eval'" not in told
    assert "'unsafe-inline'" not in rules["script-src"]
    assert rules["default-src"] == rules["frame-ancestors"] == "'self'"
    page = (Path(streamlit.__file__).parent / "static" / "index.html").read_text()
    inline = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    assert inline, "Streamlit's page has no script of its own any more: the hash can go"
    for script in inline:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in rules["script-src"]


# -- where a request is from -----------------------------------------------------------------------

ROUTES = dashboard.app._user_routes


@pytest.fixture
def every_route():
    """All custom routes of the app behind all of its middleware."""
    built = Starlette(
        routes=ROUTES,
        middleware=dashboard.app._user_middleware,
        exception_handlers=dashboard.app._exception_handlers,
    )
    return TestClient(built)


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_route_of_the_dashboard_refuses_pages_from_elsewhere(every_route, route):
    path = re.sub(r"{.*?}", "live.js", route.path)
    for headers in (ELSEWHERE, {"origin": "null"}, {}):
        if isinstance(route, WebSocketRoute):
            with (
                pytest.raises(WebSocketDisconnect) as refused,
                every_route.websocket_connect(path, headers=headers),
            ):
                pass
            assert refused.value.code == routes.REFUSED
            continue
        for method in route.methods:
            if headers or method not in ("GET", "HEAD"):
                assert every_route.request(method, path, headers=headers).status_code == 403


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.path)
def test_every_route_of_the_dashboard_is_under_live(route):
    assert route.path.startswith("/live/"), "what is elsewhere is not checked by the guard"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1:8501", 200),
        ("localhost:8501", 200),
        ("LOCALHOST.", 200),
        ("lab.localhost", 200),
        ("[::1]:8501", 200),
        ("192.168.0.7", 200),
        ("evil.example:8501", 421),
        ("localhost.evil.example", 421),
        ("evil.example#localhost", 421),
        ("[::1", 421),
        ("", 421),
    ],
)
def test_at_the_local_address_a_name_that_anybody_could_point_there_is_refused(host, status):
    client = TestClient(guarded(Route("/live/ok", posted)), base_url="http://127.0.0.1:8501")
    assert client.get("/live/ok", headers={"host": host}).status_code == status


def test_a_name_that_is_allowed_is_known(monkeypatch):
    allowed = {"server.allowedHosts": ["lab.example", "*.hall.example"]}
    monkeypatch.setattr(arrival, "config", SimpleNamespace(get_option=allowed.get))
    client = TestClient(guarded(Route("/live/ok", posted)), base_url="http://127.0.0.1:8501")
    told = {
        host: client.get("/live/ok", headers={"host": host}).status_code
        for host in ("lab.example:80", "one.hall.example", "evil.example")
    }
    assert told == {"lab.example:80": 200, "one.hall.example": 200, "evil.example": 421}


# -- sizes -----------------------------------------------------------------------------------------


def test_a_body_is_measured_by_what_it_says_and_by_what_comes(client):
    def parts(count):
        for _ in range(count):
            yield b"x" * 1000

    most = arrival.MOST_BODY
    assert client.post("/live/posted", content=b"x" * most, headers=HERE).text == str(most)
    assert client.post("/live/posted", content=parts(4), headers=HERE).text == "4000"
    for content in (b"x" * (most + 1), parts(5)):
        answer = client.post("/live/posted", content=content, headers=HERE)
        assert answer.status_code == 413
        assert answer.json()["error"] == "That is too much: at most 4,000 bytes can be sent here."


def test_headers_longer_than_a_browser_s_are_refused(client):
    assert client.get("/live/health", headers={"cookie": "a" * 20_000}).status_code == 200
    assert client.get("/live/health", headers={"cookie": "a" * 33_000}).status_code == 431


def test_a_defect_is_one_sentence_outside_and_a_traceback_in_the_log(client, caplog):
    answer = client.get("/live/broken")
    assert answer.status_code == 500
    assert answer.json() == {"error": guard.DEFECT}
    assert "a secret of the code" in caplog.text
    assert "GET '/live/broken' failed" in caplog.text


# -- rates -----------------------------------------------------------------------------------------


def test_a_bucket_gives_what_is_in_it_and_fills_again(now):
    bucket = rates.Bucket(2.0, 5.0)
    assert [bucket.take() for _ in range(6)] == [True] * 5 + [False]
    now.is_at += 1.0
    assert [bucket.take() for _ in range(3)] == [True, True, False]
    now.is_at += 1000.0
    assert not bucket.take(5.1)
    assert bucket.take(5.0)


def test_one_address_that_asks_too_often_must_wait_and_no_other(now, monkeypatch):
    monkeypatch.setattr(guard, "BURST", 50.0)
    app = guarded(Route("/live/ok", lambda request: PlainTextResponse("ok")))
    one, other = (TestClient(app, client=(address, 1)) for address in ("10.0.0.1", "10.0.0.2"))
    assert [one.get("/live/ok").status_code for _ in range(51)] == [200] * 50 + [429]
    answer = one.get("/live/ok")
    assert answer.headers["retry-after"] == "1"
    assert "from this address" in answer.json()["error"]
    assert other.get("/live/ok").status_code == 200
    now.is_at += 1.0
    assert one.get("/live/ok").status_code == 200


def test_a_hall_behind_one_address_is_let_in_at_once(now):
    """400 people, each with every script and style there is, a socket and Plotly."""
    files = len([*routes.ASSETS.glob("*.js"), *routes.ASSETS.glob("*.css")])
    assert 400 * (files + 2) <= guard.BURST, f"{files} files"


def test_addresses_are_forgotten_in_the_order_of_their_silence(monkeypatch):
    monkeypatch.setattr(guard, "MOST_ADDRESSES", 3)
    watcher = guard.Guard(lambda *_: None)
    for address in "abcad":
        watcher._may_ask(SimpleNamespace(client=SimpleNamespace(host=address), scope={"path": ""}))
    assert list(watcher.buckets) == ["c", "a", "d"]


class Answering:
    """An app whose answers begin when they are told to, and that counts who is inside."""

    def __init__(self):
        self.inside = self.most = self.done = 0
        self.go = asyncio.Event()
        self.read = asyncio.Event()

    async def __call__(self, scope, receive, send):
        self.inside += 1
        self.most = max(self.most, self.inside)
        await self.go.wait()
        self.inside -= 1
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await self.read.wait()  # a slow reader
        await send({"type": "http.response.body", "body": b""})
        self.done += 1


async def statuses(app, path, count):
    """Ask so often at once; the statuses as they come."""
    found = []

    async def ask():
        async def send(message):
            if message["type"] == "http.response.start":
                found.append(message["status"])

        scope = {
            "type": "http", "path": path, "method": "GET", "query_string": b"", "headers": [],
            "client": ("10.0.0.1", 1),
        }  # fmt: skip
        await app(scope, None, send)

    return [asyncio.create_task(ask()) for _ in range(count)], found


@pytest.mark.parametrize("path", guard.COSTLY)
def test_of_what_is_costly_a_few_run_at_once_and_a_bounded_line_waits(path, monkeypatch):
    monkeypatch.setattr(guard, "WAITING", 5)

    async def hall():
        app = Answering()
        tasks, found = await statuses(guard.Guard(app), path, guard.AT_ONCE + 5 + 4)
        await asyncio.sleep(0.01)
        assert app.inside == guard.AT_ONCE
        assert found == [503] * 4
        app.go.set()
        await asyncio.sleep(0.01)
        # All have begun, though nobody has read to the end: who reads slowly keeps no place.
        assert found == [503] * 4 + [200] * (guard.AT_ONCE + 5)
        app.read.set()
        await asyncio.gather(*tasks)
        assert (app.most, app.done) == (guard.AT_ONCE, guard.AT_ONCE + 5)

    asyncio.run(hall())


def test_who_waits_too_long_is_told_to_try_again(monkeypatch):
    monkeypatch.setattr(guard, "WAIT_S", 0.02)

    async def hall():
        app = Answering()
        tasks, found = await statuses(guard.Guard(app), "/live/phase", guard.AT_ONCE + 2)
        await asyncio.sleep(0.1)
        assert found == [503, 503]
        app.go.set()
        app.read.set()
        await asyncio.gather(*tasks)
        assert found == [503, 503] + [200] * guard.AT_ONCE

    asyncio.run(hall())


def closing(socket):
    """How a socket is closed, once all that came before has been read."""
    try:
        while True:
            socket.receive_bytes()
    except WebSocketDisconnect as closed:
        return closed


# -- sockets ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "code"),
    [(["a" * 257], rates.TOO_BIG), (["a"] * 21, rates.TOO_OFTEN)],
    ids=["too long", "too often"],
)
def test_a_socket_that_says_too_much_is_closed_with_a_code(client, now, said, code):
    with client.websocket_connect("/live/feed?runs=a", headers=HERE) as socket:
        for words in said:
            socket.send_text(words)
        assert closing(socket).code == code


def test_a_viewer_of_eight_subjects_may_have_missed_a_frame_of_each(client, now):
    with client.websocket_connect("/live/feed?runs=a", headers=HERE) as socket:
        socket.receive_bytes()
        for _ in range(8):
            socket.send_text("a")
        assert frames.unpacked(socket.receive_bytes())


def test_more_viewers_than_are_let_in_are_told_so_and_come_in_when_one_has_left(
    client, monkeypatch
):
    monkeypatch.setenv("VGLAB_MOST_VIEWERS", "1")
    with client.websocket_connect("/live/feed?runs=a", headers=HERE) as first:
        first.receive_bytes()
        with client.websocket_connect("/live/feed?runs=a", headers=HERE) as second:
            closed = closing(second)
        assert closed.code == guard.FULL
        assert closed.reason == guard.full()
        assert guard.full().startswith("1 people watch already")
        assert len(guard.full().encode()) <= 123, "a close frame has no room for more"
    with client.websocket_connect("/live/feed?runs=a", headers=HERE) as third:
        assert third.receive_bytes()


def test_a_page_that_would_be_one_too_many_says_so(monkeypatch):
    monkeypatch.setenv("VGLAB_MOST_VIEWERS", "1")

    async def stream(socket):
        await socket.accept()
        await socket.receive_bytes()

    async def page(request):
        return PlainTextResponse("the page")

    client = TestClient(guarded(WebSocketRoute(guard.STREAM, stream), Route("/runs", page)))
    person = {"accept": "text/html,*/*"}
    assert client.get("/runs", headers=person).text == "the page"
    with client.websocket_connect(guard.STREAM):
        answer = client.get("/runs", headers=person)
        assert answer.status_code == 503
        assert guard.full() in answer.text
        assert client.get("/runs").text == "the page"  # what is no page is let through
        with (
            pytest.raises(WebSocketDisconnect) as refused,
            client.websocket_connect(guard.STREAM),
        ):
            pass
        assert refused.value.code == rates.REFUSED
    assert client.get("/runs", headers=person).text == "the page"


def test_a_defect_in_a_socket_closes_it_and_is_in_the_log_alone(caplog):
    async def failing(socket):
        await socket.accept()
        raise ZeroDivisionError("a secret of the code")

    client = TestClient(guarded(WebSocketRoute("/live/failing", failing)))
    with client.websocket_connect("/live/failing", headers=HERE) as socket:
        closed = closing(socket)
    assert (closed.code, closed.reason) == (guard.FAILED, "")
    assert "a secret of the code" in caplog.text


def test_what_is_watched_at_once_is_bounded_and_said(library, monkeypatch):
    monkeypatch.setattr(hub, "MOST_WATCHED", 1)

    async def watch():
        feed = hub_of(library)
        feed.watch("a")
        feed.watch("a")
        with pytest.raises(LimitError, match="being watched already"):
            feed.watch("b")
        await feed.stop()

    asyncio.run(watch())


def test_the_guard_stands_around_everything_else():
    assert dashboard.app._user_middleware[0].cls is guard.Guard
    assert dashboard.app._exception_handlers[HTTPException] is guard.nothing_there
