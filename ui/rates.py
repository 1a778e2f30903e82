"""How much may come and how fast: buckets of tokens, waiting lines, sockets that say too much."""

import asyncio
import time
from collections.abc import Callable

from starlette.types import Message, Receive, Send

REFUSED, TOO_BIG, TOO_OFTEN = 4403, 4413, 4429  # close codes, after HTTP's
#: Messages a second, how many at once, letters or bytes of one; None where the app measures that.
Rate = tuple[float, float, int | None]


class Bucket:
    """So many tokens at once, so many a second.

    clock  seconds that only rise
    """

    def __init__(
        self, per_second: float, burst: float, clock: Callable[[], float] | None = None
    ) -> None:
        self.per_second, self.burst = per_second, burst
        self._clock = clock or time.monotonic
        self.left, self.at = burst, self._clock()

    def take(self, cost: float = 1.0) -> bool:
        """Take tokens; whether there were so many."""
        now = self._clock()
        self.left = min(self.burst, self.left + (now - self.at) * self.per_second)
        self.at = now
        if self.left < cost:
            return False
        self.left -= cost
        return True


class Line:
    """A waiting line: so many at once, so many more that wait, for a while."""

    def __init__(self, at_once: int, waiting: int, patience: float) -> None:
        self._places = asyncio.Semaphore(at_once)
        self._room = at_once + waiting  # left, for those that have a place and those that wait
        self._patience = patience

    async def enter(self) -> bool:
        """Take a place; whether there was one in time."""
        if self._room <= 0:
            return False
        self._room -= 1
        has_place = False
        try:
            await asyncio.wait_for(self._places.acquire(), self._patience)
            has_place = True
        except TimeoutError:
            pass
        finally:  # also where who waited has gone
            self._room += not has_place
        return has_place

    def leave(self) -> None:
        """Give the place to the next."""
        self._room += 1
        self._places.release()


async def turn_away(receive: Receive, send: Send) -> None:
    """Close before it is open: the browser hears nothing but that."""
    await receive()
    await send({"type": "websocket.close", "code": REFUSED})


async def tell(receive: Receive, send: Send, code: int, sentence: str) -> None:
    """Close with a sentence, which only an open socket can bring."""
    await receive()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close", "code": code, "reason": sentence})


def limited(receive: Receive, send: Send, rate: Rate) -> tuple[Receive, Send]:
    """The same of a socket, closed where more or longer messages come."""
    per_second, burst, most = rate
    bucket, closed = Bucket(per_second, burst), False

    async def heard() -> Message:
        nonlocal closed
        message = await receive()
        if message["type"] != "websocket.receive":
            return message
        said = message.get("text") or message.get("bytes") or ""
        if most is not None and len(said) > most:
            code = TOO_BIG
        elif not bucket.take():
            code = TOO_OFTEN
        else:
            return message
        closed = True
        await send({"type": "websocket.close", "code": code})
        return {"type": "websocket.disconnect", "code": code}

    async def sent(message: Message) -> None:
        if closed:
            raise OSError  # as of a socket that the other side has closed
        await send(message)

    return heard, sent
