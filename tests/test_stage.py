"""Following the presenter: what is kept of what she shows, who may show, and the link for the hall."""

import contextlib
import json
import re
import socket
import time

import pytest
import segno
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from test_rules import ROOT

from engine.errors import LimitError, StageError
from ui import frame, qr, rights, routes, stage_routes
from ui.rates import Bucket
from ui.stage import LINGERS_S, MOST_SEARCH, PATHS, Stage

HERE = {"origin": "http://testserver"}
KEY = "lecture-of-today"


class Clock:
    """Seconds that pass when a test says so."""

    now = 0.0

    def __call__(self):
        return self.now


# -- the model ----------------------------------------------------------------------------------


def test_every_page_can_be_shown():
    pages = {path.stem for path in (ROOT / "pages").glob("*.py")} - {"main", "lab"}
    assert set(PATHS) == {"/", *(f"/{page}" for page in pages)}


@pytest.mark.parametrize(
    ("path", "search"),
    [
        ("/lab", ""),
        ("//evil.example", ""),
        ("javascript:alert(1)", ""),
        ("/compare/", ""),
        (None, ""),
        (["/"], ""),
        ("/", "run=a"),
        ("/", "?run=a\n"),
        ("/", "?run=\ud800"),
        ("/", 7),
        ("/", "?" + "x" * MOST_SEARCH),
    ],
)
def test_what_is_no_link_of_ours_is_refused_in_a_sentence_and_nothing_changes(path, search):
    stage = Stage()
    kept = stage.show("/", "?run=a")
    with pytest.raises(StageError, match=r"must .*\."):
        stage.show(path, search)
    assert stage.newest == kept


def test_the_longest_link_that_may_be_shown_fits_into_a_message():
    stage = Stage()
    search = "?" + "x" * (MOST_SEARCH - 1)
    assert stage.show("/compare", search).search == search
    message = json.dumps({"path": "/compare", "search": search})
    assert len(message) < stage_routes.MOST_BYTES


def test_a_newcomer_is_shown_the_newest_until_the_presenter_is_long_gone():
    clock = Clock()
    stage = Stage(now=clock)
    assert stage.newest is None
    stage.enter()
    stage.show("/", "")
    clock.now += 100 * LINGERS_S
    assert stage.newest.path == "/"
    stage.show("/theory", "")
    stage.exit()
    clock.now += LINGERS_S - 1
    assert stage.newest.path == "/theory"
    clock.now += 2
    assert stage.newest is None
    stage.enter()
    assert stage.newest.path == "/theory", "she has come back"


def test_listeners_have_a_bound():
    stage = Stage(most=2)
    first = stage.join()
    stage.join()
    with pytest.raises(LimitError):
        stage.join()
    stage.leave(first)
    stage.leave(first)
    assert stage.viewers == 1
    stage.join()


def test_an_allowance_gives_so_many_at_once_and_as_many_again_each_second():
    clock = Clock()
    allowance = Bucket(10, 10, clock)
    assert [allowance.take() for _ in range(12)] == [True] * 10 + [False] * 2
    clock.now += 100
    assert [allowance.take() for _ in range(12)] == [True] * 10 + [False] * 2
    steady = Bucket(10, 10, clock)
    for _ in range(200):
        clock.now += 0.1
        assert steady.take()


# -- the routes ---------------------------------------------------------------------------------


@pytest.fixture
def stage():
    return Stage()


@pytest.fixture
def client(stage, monkeypatch):
    """Of a server with a key; whoever has no cookie is audience."""
    monkeypatch.setenv(rights.KEY, KEY)
    monkeypatch.setattr(stage_routes, "COUNT_S", 0.01)
    monkeypatch.setattr(stage_routes, "BEAT_S", 3600.0)
    with TestClient(Starlette(routes=list(stage_routes.routes(stage)))) as client:
        yield client


def attend(client, *, presents=False, query="", **headers):
    if presents:
        headers["cookie"] = f"{rights.COOKIE}={rights.token()}"
    return client.websocket_connect(f"/live/stage{query}", headers=HERE | headers)


def tell(presenter, path, search=""):
    presenter.send_text(json.dumps({"path": path, "search": search}))


def answer(presenter):
    """Its next message that is not only about how many watch."""
    while "viewers" in (told := presenter.receive_json()):
        pass
    return told


def waits(what):
    deadline = time.monotonic() + 10
    while not what():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def closed_with(connection):
    """The code with which the server ends a connection."""
    while (message := connection.receive())["type"] == "websocket.send":
        pass
    return message["code"]


def test_the_audience_hears_what_the_presenter_shows_and_a_newcomer_the_newest(client):
    with attend(client, presents=True) as presenter, attend(client) as viewer:
        tell(presenter, "/", "?run=a&layer=3")
        heard = viewer.receive_json()
        assert heard == {"path": "/", "search": "?run=a&layer=3", "seq": 1, "viewers": 1}
        tell(presenter, "/lessons", "?chapter=problem&stage=run")
        assert viewer.receive_json()["path"] == "/lessons"
        with attend(client) as newcomer:
            assert newcomer.receive_json() == {
                "path": "/lessons",
                "search": "?chapter=problem&stage=run",
                "seq": 2,
                "viewers": 2,
            }


def test_the_presenter_is_told_how_many_watch(client):
    with attend(client, presents=True) as presenter:
        assert presenter.receive_json() == {"viewers": 0}
        with attend(client), attend(client):
            while presenter.receive_json() != {"viewers": 2}:
                pass
        while presenter.receive_json() != {"viewers": 0}:
            pass


def test_where_nothing_happens_presenter_and_audience_are_told_that_the_line_holds(
    client, monkeypatch
):
    monkeypatch.setattr(stage_routes, "BEAT_S", 0.05)
    with attend(client, presents=True) as presenter, attend(client) as viewer:
        assert [viewer.receive_json() for _ in range(3)] == [{}] * 3
        assert answer(presenter) == answer(presenter) == {}


def test_whatever_a_viewer_says_changes_nothing(client, stage):
    with attend(client, presents=True) as presenter, attend(client) as viewer:
        tell(presenter, "/theory")
        assert viewer.receive_json()["seq"] == 1
        tell(viewer, "/runs")
        viewer.send_bytes(b"\x00\xff")
        viewer.send_text('{"path": "/runs", "search": "", "role": "presenter"}')
        tell(presenter, "/compare")
        assert (viewer.receive_json()["path"], stage.newest.seq) == ("/compare", 2)


@pytest.mark.parametrize("cookie", ["", "1.x", "99999999999.0000", "presenter"])
def test_a_forged_cookie_is_audience(client, stage, cookie):
    with attend(client, cookie=f"{rights.COOKIE}={cookie}") as viewer:
        waits(lambda: stage.viewers == 1)
        tell(viewer, "/runs")
        viewer.send_text("so that the one before has been read")
    assert stage.newest is None


def test_a_presenter_whose_cookie_ends_is_put_out_and_comes_back_as_audience(
    client, stage, monkeypatch
):
    with attend(client, presents=True) as presenter:
        monkeypatch.setenv(
            rights.KEY, "another-key-by-now"
        )  # as good as an end: it no longer holds
        tell(presenter, "/runs")
        assert closed_with(presenter) == routes.REFUSED
    monkeypatch.setenv(rights.KEY, KEY)
    ended = rights.token(now=time.time() - rights.LASTS_S - 1)
    with attend(client, cookie=f"{rights.COOKIE}={ended}"):
        waits(lambda: stage.viewers == 1)
    assert stage.newest is None


def test_without_a_key_everybody_shows_and_only_who_asks_follows(client, stage, monkeypatch):
    monkeypatch.delenv(rights.KEY)
    with attend(client) as presenter, attend(client, query="?follow=1") as viewer:
        tell(presenter, "/runs")
        assert viewer.receive_json()["path"] == "/runs"
        tell(viewer, "/theory")
        assert stage.viewers == 1
    assert stage.newest.path == "/runs"


def test_a_presenter_can_follow_on_another_device(client, stage):
    with attend(client, presents=True, query="?follow=1"):
        waits(lambda: stage.viewers == 1)


@pytest.mark.parametrize("origin", [None, "http://evil.example", "null", "http://testserver.evil"])
def test_a_page_from_elsewhere_is_refused(client, origin):
    headers = {"origin": origin} if origin else {}
    headers["cookie"] = f"{rights.COOKIE}={rights.token()}"
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/live/stage", headers=headers),
    ):
        pass
    assert refused.value.code == routes.REFUSED
    if origin:
        assert client.get("/live/qr", headers={"origin": origin}).status_code == 403


@pytest.mark.parametrize("presents", [True, False])
@pytest.mark.parametrize("said", ["x" * 5001, "é" * 2501])
def test_too_large_a_message_ends_the_connection(client, presents, said):
    with attend(client, presents=presents) as connection:
        connection.send_text(said)
        assert closed_with(connection) == stage_routes.TOO_LARGE


@pytest.mark.parametrize("presents", [True, False])
def test_too_many_messages_end_the_connection(client, stage, presents):
    with attend(client, presents=presents) as connection:
        for _ in range(3 * stage_routes.A_SECOND):
            with contextlib.suppress(Exception):
                tell(connection, "/runs")
        assert closed_with(connection) == stage_routes.TOO_OFTEN
    assert stage.newest is None or stage.newest.seq < 2 * stage_routes.A_SECOND


@pytest.mark.parametrize(
    "said", ["", "nonsense", "[1]", "{}", "[" * 4000, '{"path": "/etc"}', '{"path": "/"}', "NaN"]
)
def test_nonsense_is_answered_in_a_sentence_and_the_presenter_goes_on(client, stage, said):
    with attend(client, presents=True) as presenter:
        presenter.send_text(said)
        assert re.fullmatch(r"[^\n]+\.|[^\n]+}\.", answer(presenter)["error"])
        assert stage.newest is None
        tell(presenter, "/runs")
        waits(lambda: stage.newest)


def test_who_has_not_listened_for_a_while_hears_only_the_newest(client, stage):
    """As of a slow reader: of all that was shown before it asked, one thing is left."""
    with attend(client) as viewer:
        waits(lambda: stage.viewers == 1)

        async def show_much():  # in one go, so that no connection is served between
            for place in range(1000):
                stage.show("/", f"?layer={place}")

        client.portal.call(show_much)
        assert viewer.receive_json()["search"] == "?layer=999"


def test_one_too_many_is_refused_and_the_others_stay(client, monkeypatch, stage):
    monkeypatch.setattr(stage, "_most", 1)
    with attend(client, presents=True) as presenter, attend(client) as viewer:
        waits(lambda: stage.viewers == 1)
        with attend(client) as late:
            assert closed_with(late) == stage_routes.NO_ROOM
        tell(presenter, "/runs")
        assert viewer.receive_json()["path"] == "/runs"


def test_a_whole_hall_hears_it(client, stage):
    with contextlib.ExitStack() as hall:
        presenter = hall.enter_context(attend(client, presents=True))
        viewers = [hall.enter_context(attend(client)) for _ in range(300)]
        waits(lambda: stage.viewers == 300)
        tell(presenter, "/compare", "?runs=a,b")
        assert {viewer.receive_json()["search"] for viewer in viewers} == {"?runs=a,b"}
    waits(lambda: stage.viewers == 0)


# -- the link for the hall ------------------------------------------------------------------------


def squares(path):
    """The squares that an SVG path of rectangles covers, by walking along its edges."""
    covered = set()
    for x, y, width, back in re.findall(r"M(\d+) (\d+)h(\d+)v1h-(\d+)z", path):
        assert width == back
        covered |= {(int(x) + step, int(y)) for step in range(int(width))}
    assert re.sub(r"M\d+ \d+h\d+v1h-\d+z", "", path) == ""
    return covered


@pytest.mark.parametrize("text", ["http://192.168.1.20:8501/?follow=1", "x" * 200])
def test_the_picture_is_the_code_s_matrix(text):
    code = qr.code(text)
    matrix = segno.make(text, error="m", micro=False).matrix
    dark = {(x, y) for y, row in enumerate(matrix) for x, square in enumerate(row) if square}
    assert squares(code.path) == dark
    assert code.side == len(matrix) == len(matrix[0])
    finder = {(x, y) for x in range(7) for y in range(7)}  # as every reader looks for it
    ring = {(x, y) for x, y in finder if x in (0, 6) or y in (0, 6)}
    assert ring <= dark
    assert not {(x, y) for x, y in finder - ring if x in (1, 5) or y in (1, 5)} & dark


@pytest.mark.parametrize(
    ("page", "bound", "link"),
    [
        ("http://10.0.0.7:8501", "0.0.0.0", "http://10.0.0.7:8501/?follow=1"),
        ("https://lab.example", "127.0.0.1", "https://lab.example/?follow=1"),  # through a proxy
        ("http://127.0.0.1:8501", "0.0.0.0", "http://192.168.7.7:8501/?follow=1"),
        ("http://localhost:8600", None, "http://192.168.7.7:8600/?follow=1"),
        ("http://[::1]:8600", "::", "http://192.168.7.7:8600/?follow=1"),
        ("http://localhost:8600", "10.1.1.1", "http://10.1.1.1:8600/?follow=1"),
        ("http://localhost:8600", "fd00::7", "http://[fd00::7]:8600/?follow=1"),
    ],
)
def test_the_link_is_one_that_others_can_open(monkeypatch, page, bound, link):
    monkeypatch.setattr(qr, "lan_address", lambda: "192.168.7.7")
    assert qr.link(page, bound) == link


@pytest.mark.parametrize("bound", ["127.0.0.1", "localhost", "::1"])
def test_a_server_for_this_machine_alone_says_how_to_start_it_for_others(bound):
    with pytest.raises(StageError, match=re.escape("--server.address 0.0.0.0")):
        qr.link("http://localhost:8501", bound)


def test_a_machine_in_no_network_says_so(monkeypatch):
    monkeypatch.setattr(qr, "lan_address", lambda: None)
    with pytest.raises(StageError, match=qr.ELSEWHERE):
        qr.link("http://localhost:8501", None)


@pytest.mark.parametrize(
    "page",
    ["", "javascript:alert(1)", "http://a/path", "http://a:b@c", "http://a:99999", "x" * 999, "é"],
)
def test_what_is_no_origin_gets_no_code(page):
    with pytest.raises(StageError):
        qr.link(page, None)


def test_a_proxy_s_address_goes_before_all_others(client, monkeypatch):
    monkeypatch.setenv(qr.ELSEWHERE, "https://lab.example/course/")
    told = client.get("/live/qr", params={"page": "http://127.0.0.1:1"}).json()
    assert told["link"] == "https://lab.example/course/?follow=1"
    assert told == {"link": told["link"], "side": qr.code(told["link"]).side} | {
        "path": qr.code(told["link"]).path
    }
    monkeypatch.setenv(qr.ELSEWHERE, "lab.example")
    assert "must be" in client.get("/live/qr").json()["error"]


def test_the_key_is_in_no_link(client, monkeypatch):
    monkeypatch.setattr(qr, "lan_address", lambda: "192.168.7.7")
    for page in ("http://127.0.0.1:8501", "http://10.0.0.7:8501"):
        assert KEY not in client.get("/live/qr", params={"page": page}).text


def test_asking_for_the_own_address_sends_nothing(monkeypatch):
    """Only a datagram socket is connected, which by itself sends nothing."""
    kinds = []
    real = socket.socket

    class Heard(real):
        def __init__(self, family, kind):
            kinds.append(kind)
            super().__init__(family, kind)

        def send(self, *_):
            raise AssertionError("something was sent")

        sendto = sendall = send

    monkeypatch.setattr(qr.socket, "socket", Heard)
    found = qr.lan_address()
    assert kinds == [socket.SOCK_DGRAM]
    assert found is None or not qr.is_loopback(found)


def test_who_follows_takes_up_nothing_of_what_they_saw_before(monkeypatch):
    from ui import follow_panel

    monkeypatch.setattr(follow_panel.st, "query_params", {"follow": "1", "run": "a"})
    state = {f"left_{page}": True for page in frame.COME_BACK_TO} | {"replayed": "b"}
    monkeypatch.setattr(follow_panel.st, "session_state", state)
    follow_panel.arrive("compare")
    assert follow_panel.st.query_params == {"run": "a"}
    assert state.pop("asked_to_follow") is True
    assert set(state) == {f"left_{page}" for page in frame.COME_BACK_TO - {"compare"}}
