"""The routes under /live: who is answered, with what, and who is refused."""

import csv
import gzip
import io
import json
import re
import time

import folders
import made_up
import pytest
from conftest import REPOSITORY
from starlette.applications import Starlette
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect
from test_hub import append, hub_of

from ui import figures, frames, routes

HERE = {"origin": "http://testserver"}


@pytest.fixture
def library(tmp_path):
    """A folder with one running run "a" and one finished run "b"."""
    return folders.two_runs(tmp_path)


@pytest.fixture
def client(library):
    feed = hub_of(library)
    with TestClient(
        Starlette(routes=list(routes.routes(feed, folders.library(library))))
    ) as client:
        yield client
        client.portal.call(feed.stop)


def polled(client, runs, after):
    answer = client.get("/live/frames", params={"runs": runs, "after": after})
    return [frames.decode(frame) for frame in frames.unpacked(answer.content)]


def heard(socket, count=1):
    """The next frames of a feed, in however many messages they come."""
    found = []
    while len(found) < count:
        found += [frames.decode(frame) for frame in frames.unpacked(socket.receive_bytes())]
    return found


def test_the_feed_sends_each_run_that_is_asked_for(client):
    with client.websocket_connect("/live/feed?runs=a,b,nonsense", headers=HERE) as socket:
        headers = [header for header, _ in heard(socket, 3)]
    assert {header["run"] for header in headers} == {"a", "b", "nonsense"}
    errors = {header["run"]: header.get("error") for header in headers}
    assert errors == {"a": None, "b": None, "nonsense": "There is no run nonsense."}


def test_where_nothing_is_new_the_feed_says_that_the_line_holds(client, monkeypatch):
    monkeypatch.setattr(routes, "BEAT_S", 0.05)
    with client.websocket_connect("/live/feed?runs=nonsense", headers=HERE) as socket:
        assert [header["error"] for header, _ in heard(socket)] == ["There is no run nonsense."]
        assert [socket.receive_bytes() for _ in range(3)] == [b""] * 3


def test_a_browser_waits_for_more_than_two_signs_of_life():
    silent = re.search(
        r"const SILENT = (\d+); // ms", (REPOSITORY / "assets" / "silence.js").read_text()
    )
    assert int(silent[1]) / 1000 > 2 * routes.BEAT_S


def test_a_viewer_that_sees_a_gap_can_ask_for_everything(client):
    with client.websocket_connect("/live/feed?runs=a", headers=HERE) as socket:
        [(_, first)] = heard(socket)
        socket.send_text("a")
        [(header, again)] = heard(socket)
    assert header["full"]
    assert again["steps"].tolist() == first["steps"].tolist()


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


def test_a_page_gets_six_contenders_their_difference_and_their_table(client, library):
    for name in "cdef":
        made_up.run_file(library / f"{name}.sqlite", made_up.sigmoid_items(20))
    asked = [*"abcdef", "difference:epoch:a:b", "table:a:b:c:d:e:f"]
    url = f"/live/feed?runs={','.join([*asked, 'a', 'one-too-many'])}"
    with client.websocket_connect(url, headers=HERE) as socket:
        found = heard(socket, len(asked))
    assert {header["run"] for header, _ in found} == {*asked}
    assert not any("error" in header for header, _ in found)


@pytest.mark.parametrize(
    ("subject", "words"),
    [
        ("difference:step:a:none", "There is no run none."),
        ("difference:hours:a:b", "names no difference"),
        ("table:none", "There is no run none."),
        ("riddle:a", "names nothing to look at"),
    ],
)
def test_subjects_that_name_nothing_are_told_by_sentence(client, subject, words):
    with client.websocket_connect(f"/live/feed?runs={subject}", headers=HERE) as socket:
        [(header, _)] = heard(socket)
    assert header["run"] == subject
    assert words in header["error"]
    [(header, _)] = polled(client, subject, "0")
    assert words in header["error"]


def test_the_table_can_be_saved_as_csv(client):
    answer = client.get("/live/table.csv?rows=a:b:none")
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="comparison.csv"'
    lines = list(csv.DictReader(io.StringIO(answer.text)))
    assert [(line["row"], line["id"]) for line in lines] == [
        ("contender", "a"), ("seed", "a"), ("contender", "b"), ("seed", "b")
    ]  # fmt: skip
    assert float(lines[0]["test_accuracy"]) == 0.1 + 0.0105 * 2
    assert lines[2]["status"] == "finished"


def test_a_table_of_nothing_and_one_for_another_page_are_refused(client):
    for asked in ("", "none", "../../etc/passwd"):
        answer = client.get("/live/table.csv", params={"rows": asked})
        assert answer.status_code == 404
        assert answer.json()["error"].endswith(".")
    elsewhere = {"origin": "http://evil.example"}
    assert client.get("/live/table.csv?rows=a", headers=elsewhere).status_code == 403


def test_a_moment_is_a_frame_of_a_recorded_step_and_anything_else_a_sentence(client):
    answer = client.get("/live/moment?run=a&step=40")
    header, arrays = frames.decode(answer.content)
    assert (header["run"], header["step"], header["drawn_step"]) == ("a", 40, 40)
    assert len(arrays["gradient_now"]) == 8
    assert client.get("/live/moment?run=a&step=40").content == answer.content
    for query, words in {
        "run=a&step=99999": "has no record of step 99,999; the nearest one is of step",
        "run=a&step=-1": "step is '-1'; it must be a whole number from 0.",
        "run=a": "it must be a whole number",
        "run=none&step=0": "There is no run none.",
        "run=../../etc/passwd&step=0": "There is no run",
    }.items():
        refused = client.get(f"/live/moment?{query}")
        assert refused.status_code == 404
        assert words in refused.json()["error"], query
    elsewhere = {"origin": "http://evil.example"}
    assert client.get("/live/moment?run=a&step=40", headers=elsewhere).status_code == 403


FIGURES = [
    *(f"figure={name}&run=a&step=40" for name in figures.FIGURES),
    "figure=loss&run=b&axis=log&mode=dark",
    "figure=loss&runs=a,b&label=A&label=B&colour=%23112233&colour=%23445566&dash=dot&dash=solid&since=0&since=20",
    "figure=gradient_heatmap&runs=a&label=A&colour=%23112233&dash=solid&since=30",
    "figure=difference_heatmap&runs=difference:step:a:b&a=First&b=Second",
]


@pytest.mark.parametrize("query", FIGURES)
def test_a_figure_can_be_saved_as_a_page_that_needs_nothing_else(client, query):
    answer = client.get(f"/live/figure.html?{query}")
    assert answer.status_code == 200, answer.text
    assert "attachment" in answer.headers["content-disposition"]
    page = answer.text
    assert page.startswith("<!DOCTYPE html>")
    assert "plotly.js" in page[:5000]
    assert "Plotly.newPlot" in page
    body = page[page.rindex("Plotly.newPlot") :]
    assert "{" + "layers}" not in page[: page.index("<script")]
    assert "<figcaption>" in body
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=", page.replace("</script>", ""))


def test_a_saved_figure_of_a_step_goes_no_further_than_that_step(client):
    page = client.get("/live/figure.html?figure=gradient_heatmap&run=a&step=40").text
    customdata = re.search(r'"customdata":\[\[([\d,]+)\]', page)
    assert customdata
    assert max(map(int, customdata.group(1).split(","))) == 40
    assert "up to step 40" in page


def test_a_runs_words_make_no_tags_in_a_saved_figure(client):
    label = "%3Cscript%3Ealert(1)%3C/script%3E"
    query = f"figure=loss&runs=a,b&label={label}&label=B&colour=%23112233&colour=%23445566&dash=dot&dash=solid"
    page = client.get(f"/live/figure.html?{query}").text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("figure=riddle&run=a", "figure is 'riddle'; it must be one of gradient_heatmap"),
        ("figure=loss", "the link names 0"),
        ("figure=loss&run=none", "There is no run none."),
        ("figure=loss&run=a&axis=sideways", "axis is 'sideways'; it must be one of"),
        ("figure=loss&run=a&layer=x", "layer is 'x'; it must be a whole number."),
        ("figure=loss&run=a&end=x", "end is no number"),
        ("figure=loss&run=a&label=A&colour=red&dash=solid", "no colour, dash or first step"),
        ("figure=loss&runs=a,b&step=1", "A step can be shown of one run alone."),
        ("figure=loss&run=a&step=99999", "has no record of step 99,999"),
    ],
)
def test_a_figure_that_cannot_be_is_refused_by_sentence(client, query, words):
    answer = client.get(f"/live/figure.html?{query}")
    assert answer.status_code == 404
    assert words in answer.json()["error"]
    elsewhere = {"origin": "http://evil.example"}
    assert client.get(f"/live/figure.html?{query}", headers=elsewhere).status_code == 403


def test_who_looks_at_the_same_subjects_is_sent_the_same_bytes():
    frame = frames.sentence("a", 1, "Nothing.")
    one, two = (routes._message((frame, frame)) for _ in range(2))
    assert one is two
    assert frames.unpacked(one) == [frame, frame]
