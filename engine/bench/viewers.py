"""Protocol clients: what a page's viewers are to the server, without browsers.

`python -m engine.bench.viewers '{...}'` (the fields of `Watching`) watches, prints one line of JSON with
what `Seen` has, and ends when its stdin closes. It runs in a process of its own, on cores of its own.
"""

import asyncio
import json
import math
import os
import struct
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import psutil

from engine.bench.chromium import Program, pin

AT_ONCE = 20  # connections that are being made at a time
SETTLE_S = 3.0  # after the last viewer has had everything
NOTHING_CAME = "No frame of the run came while it was watched."
MEASURED_AT = "measured_at"  # of a header: ms since 1970


@dataclass(frozen=True, kw_only=True)
class Watching:
    """What is to be watched, and by how many."""

    port: int
    server: int  # id of its process
    pages: list[list[str]]  # subjects of a page; the viewers take one after the other
    viewers: int
    seconds: float
    cores: list[int]  # for the clients; empty: all


@dataclass(kw_only=True)
class Seen:
    """What came of it, over all viewers."""

    seconds: float = 0.0
    messages: int = 0
    bytes: int = 0  # as they came over the wire, without TCP's own
    refreshes: int = 0  # frames of each viewer's first subject
    server_cpu: float = 0.0  # seconds
    clients_cpu: float = 0.0
    ages: list[float] = field(default_factory=list)  # seconds, sorted: a run's frame, as it came

    def age(self, share: float) -> float:
        """Age that this share of the frames did not exceed, in seconds; NaN where none came."""
        return (
            math.nan
            if not self.ages
            else self.ages[min(len(self.ages) - 1, int(share * len(self.ages)))]
        )


def watch(watching: Watching) -> Seen:
    """Watch with a process of its own. Raises RunError."""
    with Program("engine.bench.viewers", asdict(watching)) as program:
        return Seen(**program.answer())


def frames(message: bytes) -> Iterator[dict[str, Any]]:
    """The headers of the frames in a message.

    Each frame has its length before it as little-endian uint32, and begins with its header's.
    """
    place = 0
    while place < len(message):
        size, head = struct.unpack_from("<II", message, place)
        yield _header(message[place + 8 : place + 8 + head])
        place += 4 + size


@lru_cache(maxsize=256)  # the same bytes go to all viewers
def _header(text: bytes) -> dict[str, Any]:
    return dict(json.loads(text))


class Watch:
    """All viewers of one process."""

    def __init__(self, asked: Watching):
        from websockets.asyncio.client import ClientConnection

        self.asked, self.seen, self.counts = asked, Seen(), False
        self.gate = asyncio.Semaphore(AT_ONCE)

        class Counted(ClientConnection):
            def data_received(connection, data: bytes) -> None:  # noqa: N805
                if self.counts:
                    self.seen.bytes += len(data)
                super().data_received(data)

        self.connection = Counted

    async def all(self) -> Seen:
        """Connect everybody, wait until each has everything, count for a while."""
        ready = [asyncio.Event() for _ in range(self.asked.viewers)]
        viewers = [asyncio.create_task(self._view(n, event)) for n, event in enumerate(ready)]
        failed: asyncio.Future[Any] = asyncio.ensure_future(
            asyncio.wait(viewers, return_when=asyncio.FIRST_COMPLETED)
        )
        everybody: asyncio.Future[Any] = asyncio.gather(*(event.wait() for event in ready))
        await asyncio.wait([failed, everybody], return_when=asyncio.FIRST_COMPLETED)
        if not failed.done():
            await asyncio.wait([failed], timeout=SETTLE_S)
        if not failed.done():
            await self._count(failed)
        lost = [viewer for viewer in viewers if viewer.done()]
        for task in (*viewers, failed, everybody):
            task.cancel()
        if lost:
            raise lost[0].exception() or ConnectionError("the server closed a connection")
        await asyncio.gather(*viewers, return_exceptions=True)
        self.seen.ages.sort()
        return self.seen

    async def _count(self, failed: "asyncio.Future[Any]") -> None:
        server, began = psutil.Process(self.asked.server), time.perf_counter()
        before, own = sum(server.cpu_times()[:2]), time.process_time()
        self.counts = True
        await asyncio.wait([failed], timeout=self.asked.seconds)
        self.counts = False
        self.seen.seconds = time.perf_counter() - began
        self.seen.server_cpu = sum(server.cpu_times()[:2]) - before
        self.seen.clients_cpu = time.process_time() - own

    async def _view(self, number: int, ready: asyncio.Event) -> None:
        from websockets.asyncio.client import connect

        host = f"127.0.0.1:{self.asked.port}"
        subjects = self.asked.pages[number % len(self.asked.pages)]
        url = f"ws://{host}/live/feed?runs={','.join(subjects)}"
        options: dict[str, Any] = {"max_size": None, "proxy": None, "open_timeout": 60}
        options |= {"origin": f"http://{host}", "create_connection": self.connection}
        async with self.gate:
            socket = await connect(url, **options)
        async with socket:
            async for message in socket:
                ready.set()
                if self.counts:
                    self._take(message, subjects[0])

    def _take(self, message: str | bytes, first: str) -> None:
        assert isinstance(message, bytes)
        now = time.time()
        self.seen.messages += bool(message)  # an empty one is a sign of life
        for header in frames(message):
            self.seen.refreshes += header["run"] == first
            if MEASURED_AT in header:
                self.seen.ages.append(now - header[MEASURED_AT] / 1000)


def _end_with_stdin() -> None:
    sys.stdin.read()
    os._exit(0)


def main() -> None:
    """Watch as asked, say what was seen, and wait until stdin closes."""
    asked = Watching(**json.loads(sys.argv[1]))
    pin(os.getpid(), asked.cores)
    threading.Thread(target=_end_with_stdin, daemon=True).start()
    seen = asyncio.run(Watch(asked).all())
    print(json.dumps(asdict(seen)), flush=True)
    threading.Event().wait()


if __name__ == "__main__":
    main()
