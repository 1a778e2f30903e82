"""The hub and its routes: one reader per run, the same bytes to all, and no frame lost unseen."""

import asyncio
import gzip
import json
import struct
import time

import made_up
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from engine import store
from engine.errors import RunError
from ui import frames, hub, routes

FAST = hub.Pace(tick=0.02, look=0.005, check=0.05, ended=0.05, retry=0.02, idle=0.2)
HERE = {"origin": "http://testserver"}


@pytest.fixture
def library(tmp_path):
    """A folder with one running run "a" and one finished run "b"."""
    made_up.run_file(tmp_path / "a.sqlite", made_up.sigmoid_items(100))
    made_up.run_file(tmp_path / "b.sqlite", made_up.sigmoid_items(50), status=store.FINISHED)
    return tmp_path


def hub_of(folder, pace=FAST):
    def locate(run):
        path = folder / f"{run}.sqlite"
        if not path.exists():
            raise RunError(f"There is no run {run}.")
        return path

    def info(run):
        with store.Reader(locate(run)) as reader:
            return reader.run()

    return hub.Hub(locate, info, pace)


def append(folder, step, run="a"):
    with store.Writer(folder / f"{run}.sqlite") as writer:
        writer.add(made_up.record(step, made_up.dying(8)))
        writer.commit((1, 1.0, step))


async def taken(viewer, count=1, patience=3.0):
    """The next frames of a viewer, decoded."""
    found = []
    while len(found) < count:
        found += await asyncio.wait_for(viewer.take(), patience)
    return [frames.decode(frame) for frame in found]


def alone(scenario):
    """Run an async scenario in a loop of its own."""
    asyncio.run(asyncio.wait_for(scenario, 10))


def test_a_new_viewer_gets_everything_at_once_and_then_only_what_is_new(library):
    async def scenario():
        feed = hub_of(library)
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        [(header, arrays)] = await taken(viewer)
        assert header["full"]
        assert len(arrays["steps"]) > 30
        append(library, 128)
        [(header, arrays)] = await taken(viewer)
        assert not header["full"]
        assert arrays["steps"].tolist() == [128]
        await feed.stop()

    alone(scenario())


def test_two_viewers_get_the_same_bytes_from_one_reader(library):
    async def scenario():
        feed = hub_of(library)
        one, two = hub.Viewer(), hub.Viewer()
        feed.join(one, "a")
        await taken(one)
        feed.join(two, "a")
        await taken(two)
        append(library, 128)
        first, second = await one.take(), await two.take()
        assert first == second
        assert first[0] is second[0]  # encoded once
        assert feed.watched == ["a"]
        await feed.stop()

    alone(scenario())


def test_a_viewer_that_falls_behind_gets_one_whole_frame_for_all_it_missed(library):
    async def scenario():
        feed = hub_of(library)
        slow, quick = hub.Viewer(), hub.Viewer()
        for viewer in (slow, quick):
            feed.join(viewer, "a")
            await taken(viewer)
        for step in range(128, 128 + hub.QUEUE + 2):
            append(library, step)
            await taken(quick)
            assert sum(map(len, slow.waiting.values())) <= hub.QUEUE
        found = await taken(slow)
        assert found[0][0]["full"]
        numbers = [header["seq"] for header, _ in found]
        assert numbers == list(range(numbers[0], numbers[0] + len(found)))
        assert found[-1][1]["steps"][-1] == 128 + hub.QUEUE + 1
        await feed.stop()

    alone(scenario())


def test_nothing_is_sent_while_nothing_happens(library):
    async def scenario():
        feed = hub_of(library)
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        await taken(viewer)
        with pytest.raises(TimeoutError):
            await taken(viewer, patience=0.3)
        await feed.stop()

    alone(scenario())


def test_a_frame_comes_at_most_once_per_tick(library):
    async def scenario():
        feed = hub_of(library, hub.Pace(tick=0.2, look=0.005))
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        await taken(viewer)
        begun, count = time.monotonic(), 0
        for step in range(128, 148):
            append(library, step)
            await asyncio.sleep(0.03)
            count += len(viewer.waiting.get("a", ()))
            viewer.waiting.clear()
        assert 1 <= count <= (time.monotonic() - begun) / 0.2 + 1
        await feed.stop()

    alone(scenario())


def test_a_damaged_run_stops_nothing_but_itself_and_comes_back(library):
    async def scenario():
        feed = hub_of(library)
        good, bad = hub.Viewer(), hub.Viewer()
        (library / "bad.sqlite").write_bytes(b"noise" * 500)
        feed.join(bad, "bad")
        feed.join(good, "a")
        [(header, _)] = await taken(bad)
        assert "bad.sqlite" in header["error"]
        await taken(good)
        append(library, 128)
        assert (await taken(good))[0][1]["steps"].tolist() == [128]
        (library / "bad.sqlite").unlink()
        made_up.run_file(library / "bad.sqlite", made_up.sigmoid_items(20))
        while (header := (await taken(bad))[-1][0]).get("error"):
            pass
        assert header["full"]
        await feed.stop()

    alone(scenario())


def test_a_defect_in_showing_a_run_is_logged_and_tried_again(library, monkeypatch, caplog):
    async def scenario():
        feed = hub_of(library)
        display, broken = hub.RunView.display, [True]
        monkeypatch.setattr(
            hub.RunView, "display", lambda view: 1 / 0 if broken[0] else display(view)
        )
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        [(header, _)] = await taken(viewer)
        assert "ZeroDivision" not in header["error"]
        broken[0] = False
        [(header, arrays)] = await taken(viewer)
        assert header["full"]
        assert len(arrays["steps"])
        await feed.stop()

    alone(scenario())
    assert "cannot be shown" in caplog.text


def test_a_run_nobody_looks_at_is_let_go(library):
    async def scenario():
        feed = hub_of(library)
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        await taken(viewer)
        feed.leave(viewer)
        await asyncio.sleep(0.6)
        assert feed.watched == []
        feed.join(viewer, "a")
        assert (await taken(viewer))[0][0]["full"]
        await feed.stop()

    alone(scenario())


def test_a_deleted_run_is_told_by_sentence(library):
    async def scenario():
        feed = hub_of(library)
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        await taken(viewer)
        (library / "a.sqlite").unlink()
        [(header, _)] = await taken(viewer)
        assert "deleted" in header["error"]
        await feed.stop()

    alone(scenario())


@pytest.fixture
def client(library):
    feed = hub_of(library)
    with TestClient(Starlette(routes=list(routes.routes(feed)))) as client:
        yield client
        client.portal.call(feed.stop)


def polled(client, runs, after):
    answer = client.get("/live/frames", params={"runs": runs, "after": after})
    body, found = answer.content, []
    while body:
        (length,) = struct.unpack_from("<I", body)
        found.append(frames.decode(body[4 : 4 + length]))
        body = body[4 + length :]
    return found


def test_the_feed_sends_each_run_that_is_asked_for(client):
    with client.websocket_connect("/live/feed?runs=a,b,nonsense", headers=HERE) as socket:
        headers = [frames.decode(socket.receive_bytes())[0] for _ in range(3)]
    assert {header["run"] for header in headers} == {"a", "b", "nonsense"}
    errors = {header["run"]: header.get("error") for header in headers}
    assert errors == {"a": None, "b": None, "nonsense": "There is no run nonsense."}


def test_a_viewer_that_sees_a_gap_can_ask_for_everything(client):
    with client.websocket_connect("/live/feed?runs=a", headers=HERE) as socket:
        first = socket.receive_bytes()
        socket.send_text("a")
        again = socket.receive_bytes()
    assert frames.decode(again)[0]["full"]
    assert frames.decode(again)[1]["steps"].tolist() == frames.decode(first)[1]["steps"].tolist()


@pytest.mark.parametrize("headers", [{}, {"origin": "http://evil.example"}, {"origin": "null"}])
def test_the_feed_refuses_other_origins_and_none(client, headers):
    with (
        pytest.raises(WebSocketDisconnect) as refused,
        client.websocket_connect("/live/feed?runs=a", headers=headers),
    ):
        pass
    assert refused.value.code == routes.REFUSED


def test_polling_gives_the_same_frames_and_then_only_what_is_new(client, library):
    [(whole, arrays)] = polled(client, "a", "0")
    assert whole["full"]
    assert len(arrays["steps"]) > 30
    assert polled(client, "a", whole["seq"]) == []
    append(library, 128)
    for _ in range(100):
        if found := polled(client, "a", whole["seq"]):
            break
        time.sleep(0.01)
    [(header, arrays)] = found
    assert (header["full"], header["seq"]) == (False, whole["seq"] + 1)
    assert arrays["steps"].tolist() == [128]
    assert polled(client, "a", "999")[0][0]["full"]  # from before the server's restart


def test_polling_refuses_other_origins_and_tells_of_unknown_runs(client):
    answer = client.get("/live/frames?runs=a", headers={"origin": "http://evil.example"})
    assert answer.status_code == 403
    [(header, _)] = polled(client, "../../etc/passwd", "x")
    assert header["error"].startswith("There is no run")


def test_plotly_comes_from_the_package_compressed_and_for_good(client):
    answer = client.get(routes.PLOTLY_URL)
    assert answer.headers["content-type"].startswith("text/javascript")
    assert "immutable" in answer.headers["cache-control"]
    assert answer.content.startswith(b"/**\n* plotly.js")
    assert len(gzip.decompress(routes.plotly_gzipped())) == len(answer.content)


def test_assets_are_checked_for_upgrades_and_nothing_else_is_served(client):
    answer = client.get("/live/live.js")
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == "no-cache"
    tag = {"if-none-match": answer.headers["etag"]}
    assert client.get("/live/live.js", headers=tag).status_code == 304
    for name in ("nothing.js", "..%2fapp.py", "%2e%2e%2fui%2fhub.py", ".gitkeep"):
        assert client.get(f"/live/{name}").status_code == 404


def test_health_says_ok(client):
    assert json.loads(client.get("/live/health").content) == {"status": "ok", "watched": 0}
