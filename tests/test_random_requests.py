"""Ten thousand random requests and frames at the dashboard's own routes, through its own middleware.

In this process, without a network: 7,000 requests, and 3,000 frames over 600 sockets. HYPOTHESIS_PROFILE=long
asks five times as many. What the HTTP server before it makes of bytes that are no HTTP: tests/test_sockets.py.
"""

import asyncio
import gc
import json
import os
import random
import re
import time
from collections import Counter
from dataclasses import dataclass, field
from urllib.parse import quote_from_bytes

import made_up
import psutil
import pytest
from conftest import REPOSITORY
from random_input import AWKWARD, FIELDS, INSIDES, contents
from starlette.applications import Starlette
from starlette.routing import WebSocketRoute

import app as dashboard
from engine import runs, store
from ui import figures, links, rights, routes
from ui.probes import Answer

LONG = 5 if os.environ.get("HYPOTHESIS_PROFILE") == "long" else 1
REQUESTS, SOCKETS, FRAMES = 7000 * LONG, 600 * LONG, 5
TOGETHER = 4  # at once
SEED = 7
PATIENCE_S = 2.0
MOST_GROWN = 20e6  # bytes, over the second half
KEY = "correct horse battery"
METHODS = ["GET"] * 6 + [
    "POST",
    "POST",
    "HEAD",
    "PUT",
    "DELETE",
    "OPTIONS",
    "PATCH",
    "TRACE",
    "BREW",
    "get",
]
HOSTS = [
    "testserver",
    "127.0.0.1:8501",
    "localhost",
    "evil.example",
    "[::1]:80",
    "",
    "a:b:c",
    "[",
    "\u00e9",
]
#: What the routes ask a query for, beside the fields of a run.
NAMES = (
    *("runs", "run", "rows", "after", "figure", "step", "end", "label", "colour", "dash", "since"),
    *("kind", "axis", "layer", "layers", "mode", "viewer", "page", "follow", "activation"),
)
#: What stands in an answer of a program that tells too much of itself.
SECRETS = re.compile(rf"{INSIDES.pattern}|{re.escape(str(REPOSITORY))}|/\.venv/|<frozen |{KEY}")
STATIC = ("text/javascript", "text/css")  # the same for all, and no answer to anything


@dataclass
class Answered:
    """What came of one request or socket."""

    asked: str
    status: int = 0  # of a socket: its close code
    kind: str = ""
    said: bytes = b""  # headers and body, or all frames
    seconds: float = 0.0
    raised: BaseException | None = None


@dataclass
class Inputs:
    """Random requests, the same ones for the same seed."""

    runs: list[str]
    draw: random.Random = field(default_factory=lambda: random.Random(SEED))

    def word(self):
        """Something that stands in a link, or should not."""
        known = [
            *self.runs,
            *AWKWARD,
            *links.KINDS,
            *links.AXES,
            *figures.FIGURES,
            "0",
            "1",
            "40",
            "-1",
        ]
        kinds = [
            "difference:step:{}:{}",
            "table:{}:{}",
            "table:{}",
            "{},{}",
            "{}-c01",
            "riddle:{}:{}",
        ]
        drawn = self.draw.random()
        if drawn < 0.6:
            return self.draw.choice(known)
        if drawn < 0.8:
            return self.draw.choice(kinds).format(*(self.draw.choice(known) for _ in range(2)))
        return "".join(chr(self.draw.randrange(0x2500)) for _ in range(self.draw.randrange(20)))

    def query(self):
        """Names that the routes know, with anything; sometimes bytes that are no query at all."""
        if self.draw.random() < 0.05:
            return self.draw.randbytes(self.draw.randrange(60))
        names = [*FIELDS, *NAMES]
        pairs = []
        for _ in range(self.draw.randrange(7)):
            name = self.draw.choice(names) if self.draw.random() < 0.9 else self.word()
            pairs.append(f"{quoted(name)}={quoted(self.word())}")
        return "&".join(pairs).encode()

    def path(self, route):
        """A route's, with anything for its parameters, or one that is near it."""
        path = re.sub(r"\{[^}]*\}", lambda _: quoted(self.word()), route)
        drawn = self.draw.random()
        if drawn < 0.85:
            return path
        ends = ["/", "/../../etc/passwd", "%2e%2e%2f", "\\", "//", "%00", "%ff", ".py", ";a=b", "?"]
        return path + self.draw.choice(ends) if drawn < 0.97 else "/" + quoted(self.word())

    def headers(self):
        """Some right, some wrong, some twice."""
        host = self.draw.choice(HOSTS) if self.draw.random() < 0.3 else "testserver"
        found = [("host", host)]
        if self.draw.random() < 0.9:
            found.append(
                (
                    "origin",
                    self.draw.choice(
                        [f"http://{host}"] * 12
                        + ["null", "http://evil.example", "x", "http://[", ""]
                    ),
                )
            )
        if self.draw.random() < 0.4:
            token = rights.token() if self.draw.random() < 0.3 else self.word()
            found.append(("cookie", f"{rights.COOKIE}={token}"))
        more = ["cookie", "content-length", "content-type", "if-none-match", "range", "accept", "x-forwarded-proto",
                "transfer-encoding", "accept-encoding", "referer", "upgrade", "x"]  # fmt: skip
        found += [(self.draw.choice(more), self.word()) for _ in range(self.draw.randrange(3))]
        return [(name.encode(), value.encode("utf-8", "surrogatepass")) for name, value in found]

    def body(self):
        """In parts: JSON that is nearly right, and anything."""
        drawn = self.draw.random()
        if drawn < 0.5:
            return []
        said = {"key": self.draw.choice([KEY, self.word(), None, 7, [], {"key": 1}])}
        text = json.dumps(said if self.draw.random() < 0.7 else [said]).encode()
        parts = [text] if drawn < 0.8 else [self.draw.randbytes(self.draw.choice([1, 900, 6000]))]
        return parts * self.draw.choice([1, 1, 2])

    def frame(self):
        """What a socket is told: text or bytes, right or wrong, short or long."""
        drawn = self.draw.random()
        if drawn < 0.4:  # a server hands on whole signs alone
            return {"text": self.word().encode("utf-8", "replace").decode()}
        if drawn < 0.7:
            search = {
                "path": self.draw.choice(["/", "/compare", self.word()]),
                "search": f"?run={self.word()}",
            }
            return {
                "text": json.dumps(self.draw.choice([search, [search], self.word(), 1e308, None]))
            }
        if drawn < 0.9:
            return {"bytes": self.draw.randbytes(self.draw.choice([0, 1, 40, 70_000]))}
        return {"text": "[" * self.draw.choice([10, 300, 100_000])}

    def client(self):
        """Whose address it is: some come again and again."""
        return (f"10.0.0.{self.draw.randrange(40)}", self.draw.randrange(1, 65536))


def quoted(text):
    return quote_from_bytes(text.encode("utf-8", "surrogatepass"), safe=":,")


def scope_of(kind, inputs, route):
    """A random request for a route, as an HTTP server hands it on."""
    raw = inputs.path(route)
    path = bytes(raw, "ascii", "replace")
    return {
        "type": kind,
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "scheme": "http" if kind == "http" else "ws",
        "path": re.sub(rb"%([0-9a-fA-F]{2})", lambda m: bytes([int(m[1], 16)]), path).decode("utf-8", "replace"),
        "raw_path": path,
        "root_path": "",
        "query_string": inputs.query(),
        "headers": inputs.headers(),
        "client": inputs.client(),
        "server": ("testserver", 80),
    }  # fmt: skip


async def answered(app, scope, messages):
    """What the app makes of a request or a socket; `messages` are what it hears, then the other side is gone."""
    told = Answered(
        asked=f"{scope['type']} {scope.get('method', '')} {scope['raw_path']!r} {scope['query_string']!r}"
    )
    waiting = list(messages)
    gone = {"type": f"{'http' if scope['type'] == 'http' else 'websocket'}.disconnect"}
    gone |= {"code": 1001} if scope["type"] == "websocket" else {}

    async def receive():
        if waiting:
            await asyncio.sleep(0)
            return waiting.pop(0)
        # Somebody who has asked waits for the answer; a viewer looks for a moment.
        await asyncio.sleep(PATIENCE_S if scope["type"] == "http" else 0.005)
        return gone

    async def send(message):
        if message["type"] == "http.response.start":
            told.status = message["status"]
            told.kind = dict(message["headers"]).get(b"content-type", b"").decode().split(";")[0]
            told.said += b"".join(b"%b: %b\n" % pair for pair in message["headers"])
        elif message["type"] == "websocket.close":
            told.status = message.get("code", 1000)
            told.said += (message.get("reason") or "").encode()
        elif message["type"] == "websocket.send" or message.get("body"):
            told.said += message.get("bytes") or (message.get("text") or "").encode()
            told.said += message.get("body", b"")

    began = time.perf_counter()
    try:
        await asyncio.wait_for(app(scope, receive, send), 10 * PATIENCE_S)
    except Exception as error:
        told.raised = error
    told.seconds = time.perf_counter() - began
    return told


def one_request(inputs, app, route):
    right = inputs.draw.choice(sorted(route.methods))
    method = right if inputs.draw.random() < 0.7 else inputs.draw.choice(METHODS)
    scope = scope_of("http", inputs, route.path) | {"method": method}
    parts = [{"type": "http.request", "body": part, "more_body": True} for part in inputs.body()]
    return answered(app, scope, [*parts, {"type": "http.request", "body": b"", "more_body": False}])


def one_socket(inputs, app, route):
    scope = scope_of("websocket", inputs, route.path) | {"subprotocols": []}
    frames = [{"type": "websocket.receive"} | inputs.frame() for _ in range(FRAMES)]
    return answered(app, scope, [{"type": "websocket.connect"}, *frames])


def fault_of(told):
    """What is wrong with an answer, in a few words; "" where nothing is."""
    is_socket = told.asked.startswith("websocket")
    body = told.said.decode("utf-8", "replace")
    if told.raised is not None:
        return f"raised {told.raised!r}"
    if told.seconds > PATIENCE_S:
        return f"took {told.seconds:.1f} s"
    if not is_socket and not (200 <= told.status < 500 or told.status == 503):
        return f"has status {told.status}"
    if told.kind not in STATIC and (found := SECRETS.search(body.split("<script", 1)[0])):
        return f"tells {found[0]!r}"
    if not is_socket and told.status >= 400 and "HEAD" not in told.asked:
        sentence = json.loads(body.rpartition("\n")[2])["error"]
        return "" if sentence.endswith(".") and sentence.isprintable() else f"says {sentence!r}"
    return ""


# -- where it is asked -----------------------------------------------------------------------------


@pytest.fixture
def app():
    """The dashboard's own routes, middleware and answers to what is not there, without Streamlit's pages."""
    given = dashboard.app
    return Starlette(
        routes=given._user_routes,
        middleware=given._user_middleware,
        exception_handlers=given._exception_handlers,
    )


@pytest.fixture
def known(home, monkeypatch):
    """Ids of a run that records, of a finished one and of one that is damaged; nobody may measure anew."""
    monkeypatch.setenv(rights.KEY, KEY)
    monkeypatch.setattr(routes, "probes", Unasked())
    routes._theory.cache_clear()
    ids = []
    for status in (store.STOPPED, store.FINISHED, store.FINISHED):
        ids.append(runs.new_id())
        made_up.run_file(
            runs.library() / f"{ids[-1]}.sqlite", made_up.sigmoid_items(100), status=status
        )
    damaged = runs.path(ids[-1])
    whole = damaged.read_bytes()
    damaged.write_bytes(whole[: len(whole) // 2])
    yield ids
    routes._theory.cache_clear()


class Unasked:
    """In place of the process that measures: it has not answered yet."""

    def ask(self, *_, **__):
        return Answer()


async def asked(work):
    """All of it, some at a time; what came, by kind of answer, and the first faults."""
    counts, faults, slowest, batch = Counter(), [], 0.0, []

    async def settle():
        nonlocal slowest
        for told in await asyncio.gather(*batch):
            counts[told.status] += 1
            slowest = max(slowest, told.seconds)
            if fault := fault_of(told):
                faults.append(f"{told.asked[:400]} {fault}")
        batch.clear()

    for one in work:
        batch.append(one)
        if len(batch) == TOGETHER:
            await settle()
    await settle()
    return counts, faults, slowest


def test_random_requests_and_frames_are_answered_at_once_by_sentences_and_change_nothing(
    app, known, home, caplog
):
    inputs = Inputs(known)
    sockets = [route for route in app.routes if isinstance(route, WebSocketRoute)]
    plain = [route for route in app.routes if not isinstance(route, WebSocketRoute)]
    assert sockets
    assert len(plain) >= 10

    def work(share):
        """Every route as often as any other, requests and sockets among each other."""
        order = [one_request] * int(REQUESTS * share) + [one_socket] * int(SOCKETS * share)
        inputs.draw.shuffle(order)
        for turn, one in enumerate(order):
            places = plain if one is one_request else sockets
            yield one(inputs, app, places[turn % len(places)])

    before = contents(home)

    async def all_of_it():
        found, grown = [], []
        for share in (0.5, 0.25, 0.25):
            found.append(await asked(work(share)))
            gc.collect()
            grown.append(psutil.Process().memory_info().rss)
        await dashboard.hub.stop()
        return found, grown

    found, grown = asyncio.run(all_of_it())
    counts = sum((counts for counts, _, _ in found), Counter())
    faults = [fault for _, faults, _ in found for fault in faults]
    slowest = max(slowest for _, _, slowest in found)
    print(f"\n{REQUESTS} requests, {SOCKETS * FRAMES} frames over {SOCKETS} sockets; slowest {slowest:.2f} s; "
          f"{(grown[-1] - grown[0]) / 1e6:.1f} MB over the second half; {dict(counts)}")  # fmt: skip
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults[:20])
    assert not [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert sum(counts.values()) == REQUESTS + SOCKETS
    assert {200, 403, 404, 405} <= set(counts), "what is right must be among it"
    assert contents(home) == before
    assert grown[-1] - grown[0] < MOST_GROWN
