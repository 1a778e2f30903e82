"""Sockets that behave as no browser does, at a real server: it stays small, quick and silent about itself.

Slow readers, viewers that vanish, bytes that are no frames, and four hundred that come back at once.
"""

import asyncio
import base64
import contextlib
import os
import random
import re
import socket
import struct
import threading
import time

import made_up
import psutil
import pytest
import reliability
from browser import Recording, Server, wait_for
from conftest import REPOSITORY
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake
from websockets.sync.client import connect as connect_now

from engine import runs, store
from engine.bench.viewers import MEASURED_AT, frames

PING_S = (
    3  # the server's, in place of 30: until a viewer that answers nothing is given up, twice that
)
CLIENTS = 400
SLOW, VANISHING, LAYERS = 20, 50, 100
MOST_GROWN = 40e6  # bytes of the server's memory, whatever is sent to it or not read
MOST_LATE_S = 2.0  # that a frame may take to an honest viewer meanwhile; usual is 0.2 s
MOST_BACK_S = 20.0  # until the last of CLIENTS sees the run again, from when the server answers
#: A line of a traceback through the dashboard's own code; what uvicorn says of garbage may stand in the log.
OWN_CODE = rf'File "{re.escape(str(REPOSITORY))}/(app\.py|ui/|engine/|pages/)'
TEXT, BYTES, CLOSE, PING, PONG = 1, 2, 8, 9, 10


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A dashboard of its own, which soon gives up whoever answers no ping."""
    variables = {"STREAMLIT_SERVER_WEBSOCKET_PING_INTERVAL": str(PING_S)}
    server = Server(tmp_path_factory.mktemp("sockets"), **variables)
    yield server
    server.stop()


@pytest.fixture
def recording(server, monkeypatch):
    """A made-up run that goes on recording in the server's library."""
    monkeypatch.setenv("VGLAB_HOME", str(server.home))
    with Recording() as recording:
        yield recording


@pytest.fixture
def honest(server, recording):
    """A viewer as it should be, who looks on from beginning to end."""
    with Honest(server, recording.run) as honest:
        yield honest
        assert honest.late() < MOST_LATE_S
    told = server.log.read_text().split("Traceback (most recent call last):")
    own = [part for part in told[1:] if re.search(OWN_CODE, part)]
    assert not own, own[0][:3000]


class Honest:
    """Watches a run, in a thread; notes how late each frame came and how long none did."""

    def __init__(self, server, run):
        self.url = f"ws://127.0.0.1:{server.port}/live/feed?runs={run}"
        self.origin, self.ages, self.came = server.url, [], []
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self._watch)

    def __enter__(self):
        self.thread.start()
        wait_for(lambda: len(self.came) > 2, "no frames came")
        self.ages.clear()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.thread.join()

    def _watch(self):
        with connect_now(self.url, origin=self.origin, max_size=None, proxy=None) as viewer:
            while not self.ended.is_set():
                with contextlib.suppress(TimeoutError):
                    for header in frames(viewer.recv(timeout=0.5)):
                        assert "error" not in header, header
                        self.came.append(time.monotonic())
                        self.ages.append(time.time() - header[MEASURED_AT] / 1000)

    def late(self):
        """Seconds that 95 % of the frames did not take; so long, too, as the last is ago."""
        assert self.ages, "no frame came any more"
        usual = sorted(self.ages)[int(0.95 * len(self.ages))]
        return max(usual, time.monotonic() - self.came[-1] - 1.0)


def opened(server, subjects="", *, room=None):
    """A socket on which a browser's handshake has been made; `room` bytes it takes at a time."""
    raw = socket.socket()
    if room:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, room)
    raw.settimeout(10)
    raw.connect(("127.0.0.1", server.port))
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET /live/feed?runs={subjects} HTTP/1.1", f"Host: 127.0.0.1:{server.port}"]
    lines += [f"Origin: {server.url}", "Upgrade: websocket", "Connection: Upgrade"]
    lines += [f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13", "", ""]
    raw.sendall("\r\n".join(lines).encode())
    assert b"101" in raw.recv(64)
    return raw


def framed(kind, payload=b"", *, last=True, masked=True, reserved=0, length=None):
    """A frame as a browser sends it, or as none does."""
    length = len(payload) if length is None else length
    head = bytes([(0x80 if last else 0) | reserved << 4 | kind])
    mark = 0x80 if masked else 0
    if length < 126:
        head += bytes([mark | length])
    elif length < 65536:
        head += bytes([mark | 126]) + struct.pack("!H", length)
    else:
        head += bytes([mark | 127]) + struct.pack("!Q", length)
    return head + (b"\0" * 4 if masked else b"") + payload  # masked with zeros: as it is


def connections(server):
    """How many others are connected to the server."""
    found = psutil.Process(server.process.pid).net_connections("tcp")
    return sum(
        one.status == psutil.CONN_ESTABLISHED and one.laddr.port == server.port for one in found
    )


def memory(server):
    return psutil.Process(server.process.pid).memory_info().rss


def test_who_never_reads_costs_the_server_no_memory_and_others_no_time(server, recording, honest):
    large = runs.new_id()
    made_up.run_file(
        runs.library() / f"{large}.sqlite",
        made_up.sigmoid_items(3000, layers=LAYERS),
        status=store.FINISHED,
        depth=LAYERS - 1,
    )
    with connect_now(
        f"ws://127.0.0.1:{server.port}/live/feed?runs={large}",
        origin=server.url,
        max_size=None,
        proxy=None,
    ) as one:
        size = len(next(filter(None, one)))  # read once, and kept by the server for all
    before, usual = memory(server), connections(server)
    slow = [opened(server, large, room=4096) for _ in range(SLOW)]
    most, asked = 0, 0
    for _ in range(60):
        for one in slow:
            with contextlib.suppress(OSError):
                one.sendall(framed(TEXT, large.encode()))  # "all of it once more, please"
                asked += 1
        most = max(most, memory(server) - before)
        time.sleep(0.1)
    assert asked * size > 3 * MOST_GROWN, "it asked for too little to prove anything"
    assert most < MOST_GROWN
    print(
        f"\n{SLOW} slow readers asked for {asked * size / 1e6:.0f} MB: {most / 1e6:.1f} MB in the server"
    )
    wait_for(lambda: connections(server) <= usual, "they are never given up")
    for one in slow:
        one.close()


def test_a_viewer_that_vanishes_without_a_word_is_given_up(server, recording, honest):
    usual = connections(server)
    gone = [opened(server, recording.run) for _ in range(VANISHING)]
    assert connections(server) == usual + VANISHING
    for one in gone[::2]:  # cut off, as where a computer is switched off behind a router
        one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        one.close()
    began = time.monotonic()  # the others are there and say nothing, nor answer a ping
    wait_for(lambda: connections(server) <= usual, "the server keeps them for ever")
    assert time.monotonic() - began < 2 * PING_S + 5
    for one in gone[1::2]:
        one.close()


NOISE = random.Random(7)
#: What is sent in place of frames -> in pieces.
GARBAGE = {
    "text that is not UTF-8": [framed(TEXT, b"\xff\xfe\xc0")],
    "half a sign": [framed(TEXT, "\u00e9".encode()[:1])],
    "bytes": [framed(BYTES, bytes(range(256)))],
    "a frame without a mask": [framed(TEXT, b"a", masked=False)],
    "reserved bits": [framed(TEXT, b"a", reserved=7)],
    "a kind that there is not": [framed(kind, b"a") for kind in (3, 7, 11, 15)],
    "a long ping": [framed(PING, b"a" * 200)],
    "a ping in pieces": [framed(PING, b"a", last=False)],
    "a piece of nothing": [framed(0, b"a")],
    "a text within a text": [framed(TEXT, b"a", last=False), framed(TEXT, b"b")],
    "the end with half a code": [framed(CLOSE, b"\x03")],
    "the end with a wrong code": [framed(CLOSE, struct.pack("!H", 5) + b"\xff")],
    "things after the end": [framed(CLOSE), *[framed(TEXT, b"a")] * 50],
    "an endless frame": [framed(TEXT, b"a" * 1000, length=2**62)],
    "a length below zero": [framed(TEXT, b"a" * 1000, length=2**64 - 1)],
    "a frame of 8 MB": [framed(TEXT, b"a" * 8_000_000)],
    "pieces without end": [
        framed(TEXT, b"a", last=False),
        *[framed(0, b"a" * 60_000, last=False)] * 200,
    ],
    "pieces of nothing without end": [framed(TEXT, last=False), *[framed(0, last=False)] * 20_000],
    "a flood of pings": [framed(PING, b"a" * 125)] * 20_000,
    "a flood of answers": [framed(PONG)] * 20_000,
    "a flood of texts": [framed(TEXT, b"a")] * 20_000,
    "noise": [NOISE.randbytes(NOISE.randrange(1, 3000)) for _ in range(30)],
    "noise that begins well": [framed(TEXT, b"a") + NOISE.randbytes(2000)],
}
#: What is sent in place of a request.
NO_HTTP = {
    "nothing": b"",
    "noise": NOISE.randbytes(5000),
    "half a line": b"GET /live/feed",
    "no version": b"GET /live/feed\r\n\r\n",
    "no host": b"GET /live/health HTTP/1.1\r\n\r\n",
    "a path of 100 KB": b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
    "a header of 1 MB": b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 1_000_000 + b"\r\n\r\n",
    "headers without end": b"GET / HTTP/1.1\r\n" + b"A: b\r\n" * 100_000,
    "two lengths": b"POST /live/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 9\r\n\r\na",
    "a length below zero": b"POST /live/sign-in HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\na",
    "broken chunks": b"POST /live/sign-in HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a handshake without a key": b"GET /live/feed HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
    "another protocol": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
}  # fmt: skip


def sent(one, pieces):
    """Send what the other side takes; what it answers within a moment."""
    with contextlib.suppress(OSError):
        for piece in pieces:
            one.sendall(piece)
    one.settimeout(0.15)
    answer = b""
    with contextlib.suppress(OSError):
        while len(answer) < 1_000_000 and (more := one.recv(65536)):
            answer += more
    one.close()
    return answer


def test_bytes_that_are_no_frames_end_their_own_connection_and_nothing_else(
    server, recording, honest
):
    before, usual = memory(server), connections(server)
    for name, pieces in GARBAGE.items():
        answer = sent(opened(server, recording.run), pieces)
        assert b"Traceback" not in answer, name
        assert b".py" not in answer, name
    for name, request in NO_HTTP.items():
        raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
        answer = sent(raw, [request])
        assert not answer or answer.startswith(b"HTTP/1.1 4"), (name, answer[:200])
        assert b"Traceback" not in answer, name
    assert server.answers()
    wait_for(lambda: connections(server) <= usual, "their connections stay")
    assert memory(server) - before < MOST_GROWN


class Crowd:
    """Viewers that come back whenever they are cut off, all at once and without rest."""

    def __init__(self, server, run):
        self.url = f"ws://127.0.0.1:{server.port}/live/feed?runs={run}"
        self.origin, self.run = server.url, run
        self.seen = [0.0] * CLIENTS  # time.monotonic of each one's first whole frame since `forget`

    async def view(self, number):
        options = {"origin": self.origin, "max_size": None, "proxy": None, "open_timeout": 30}
        while True:
            with contextlib.suppress(
                OSError, ConnectionClosed, InvalidHandshake, TimeoutError, EOFError
            ):
                async with connect(self.url, **options) as socket:
                    async for message in socket:
                        if not self.seen[number] and any(h.get("full") for h in frames(message)):
                            self.seen[number] = time.monotonic()
            await asyncio.sleep(0.2)

    def forget(self):
        self.seen = [0.0] * CLIENTS

    async def all_see(self):
        while not all(self.seen):
            await asyncio.sleep(0.05)


def test_a_server_whose_viewers_do_not_read_still_ends_when_it_is_told_to(server, recording):
    slow = [opened(server, recording.run, room=4096) for _ in range(SLOW)]
    asleep = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(SLOW)]
    for one in asleep:  # and who asked for more than the kernel holds
        one.sendall(b"GET /live/plotly.min.js HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 5)
    time.sleep(0.5)
    began = time.monotonic()
    server.stop()
    assert time.monotonic() - began < 2 * PING_S + 10
    for one in (*slow, *asleep):
        one.close()


def test_four_hundred_that_all_come_back_at_once_after_a_restart_all_see_the_run_again(
    server, recording
):
    server.stop()
    server.variables.clear()  # pings as usual: here nobody is to be given up
    server.start()
    crowd = Crowd(server, recording.run)

    async def restarted():
        viewers = [asyncio.create_task(crowd.view(number)) for number in range(CLIENTS)]
        await asyncio.wait_for(crowd.all_see(), 60)
        children = server.workers()
        server.process.kill()
        killed = time.monotonic()
        server.process.wait()
        crowd.forget()
        await asyncio.to_thread(server.start)
        answers = time.monotonic()
        await asyncio.wait_for(crowd.all_see(), 60)
        for viewer in viewers:
            viewer.cancel()
        await asyncio.gather(*viewers, return_exceptions=True)
        return children, max(crowd.seen) - killed, max(0.0, max(crowd.seen) - answers)

    children, from_kill, from_answer = asyncio.run(restarted())
    print(
        f"\n{CLIENTS} viewers: all saw the run {from_kill:.1f} s after kill -9, {from_answer:.1f} s after the first answer"
    )
    assert from_answer < MOST_BACK_S
    psutil.wait_procs(children, timeout=20)
    assert not [child for child in children if child.is_running()], (
        "the killed server's workers go on"
    )
    reliability.note(
        f"{CLIENTS} viewers that all reconnect after kill -9 of the server", seconds=from_kill
    )
