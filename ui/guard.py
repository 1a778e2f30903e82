"""Around every request and every socket, Streamlit's too: headers, sizes, rates, and who may come in.

Pure ASGI: it looks at what passes and hands it on, without a task or a copy of its own. What the HTTP
server refuses itself (what is not HTTP, a handshake that was turned away) never comes here.
"""

import contextlib
import logging
from collections import Counter
from functools import partial

from starlette.exceptions import HTTPException
from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from engine import limits
from ui import arrival, policy
from ui.rates import Bucket, Line, Rate, limited, tell, turn_away

log = logging.getLogger(__name__)

STREAM = "/_stcore/stream"  # Streamlit's socket
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS")

#: Routes that read files or compute, in a thread: how many of them run at once on the whole server,
#: how many wait for that, and how long. The threads are the hub's too, which must have some left.
COSTLY = ("/live/theory", "/live/phase", "/live/figure.html", "/live/table.csv", "/live/moment")
AT_ONCE, WAITING, WAIT_S = 3, 500, 10.0
#: Requests to /live from one address. A hall of 400 behind one address asks for 14,000 files when the
#: lecture begins, and 1,000 times a second where no WebSocket gets through.
BURST, PER_SECOND = 20_000.0, 2_000.0
COSTS = {"/live/figure.html": 20.0, "/live/table.csv": 20.0, "/live/phase": 20.0}  # others cost 1
MOST_ADDRESSES = 4_096  # that are remembered; the longest silent are forgotten first
#: What one socket may say: messages a second, how many at once, letters of one. Ten times what a hand
#: at a page of ours can press; a message of Streamlit's is measured by Streamlit.
OURS: Rate = (20.0, 20.0, 256)  # names of subjects have 180 letters
SAID: dict[str, Rate] = {STREAM: (50.0, 200.0, None)}
FULL, FAILED = 4503, 1011  # close codes, the first after HTTP's


class Guard:
    """The middleware: one of it per server."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app
        self.line = Line(AT_ONCE, WAITING, WAIT_S)
        self.uploads = Line(2, 20, WAIT_S)  # each is held in memory
        #: Address -> what it may still ask; who asked last is the last.
        self.buckets: dict[str, Bucket] = {}
        self.inside: Counter[str] = Counter()  # path -> sockets

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand on what may pass."""
        if scope["type"] == "http":
            await self._request(scope, receive, policy.added(send))
        elif scope["type"] == "websocket":
            await self._socket(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    # -- requests ----------------------------------------------------------------------------------

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse it, or hand it on; what fails on the way is for the log alone."""
        begun = gone = False

        async def sent(message: Message) -> None:
            nonlocal begun, gone
            begun = True
            try:
                await send(message)
            except Exception:
                gone = True
                raise

        try:
            answer = self._refusal(Request(scope)) or self._in_line(scope["path"])
            await answer(scope, arrival.measured(scope, receive), sent)
        except arrival.TooLargeError:
            if not begun:
                await refused(413, arrival.too_large(scope["path"]))(scope, receive, send)
        except Exception as error:
            if gone:  # what came was no HTTP, or nobody waits for the answer any more
                log.warning("%r could not be answered: %r", scope["path"][:200], error)
                return
            log.exception("%s %r failed", scope["method"], scope["path"][:200])  # a defect
            if not begun:
                await refused(500, DEFECT)(scope, receive, send)

    def _in_line(self, path: str) -> ASGIApp:
        """The app; for what is costly, the app behind a waiting line."""
        line = self.line if path in COSTLY else None
        if path.startswith(arrival.UPLOAD):
            line = self.uploads
        return partial(self._wait, line) if line is not None else self.app

    async def _wait(self, line: Line, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer at one's turn. The place is left when the answer begins: who reads slowly holds up nobody."""
        if not await line.enter():
            await refused(503, BUSY, retry=2)(scope, receive, send)
            return
        leave = contextlib.ExitStack()
        leave.callback(line.leave)

        async def sent(message: Message) -> None:
            leave.close()
            await send(message)

        with leave:
            await self.app(scope, receive, sent)

    def _refusal(self, request: Request) -> Response | None:
        """Why a request is not even handed on."""
        scope, path = request.scope, request.scope["path"]
        for is_wrong, status, sentence in (
            (request.method not in METHODS, 405, f"A request may be {', '.join(METHODS)}."),
            (arrival.is_address_long(scope), 414, LONG_ADDRESS),
            (arrival.are_headers_long(scope), 431, LONG_HEADERS),
            (not arrival.is_known_host(request), 421, ELSEWHERE),
            (arrival.said_length(request) > arrival.most_body(path), 413, arrival.too_large(path)),
            (not arrival.is_from_here(request), 403, OTHER_PAGE),
        ):
            if is_wrong:
                return refused(status, sentence)
        if arrival.is_ours(path) and not self._may_ask(request):
            return refused(429, OFTEN, retry=1)
        if arrival.is_page(request) and self.inside[STREAM] >= limits.most("viewers"):
            return HTMLResponse(FULL_PAGE.format(full()), 503, {"Retry-After": "60"})
        return None

    def _may_ask(self, connection: HTTPConnection) -> bool:
        address = connection.client.host if connection.client else ""
        bucket = self.buckets.pop(address, None) or Bucket(PER_SECOND, BURST)
        self.buckets[address] = bucket  # now the last
        if len(self.buckets) > MOST_ADDRESSES:
            del self.buckets[next(iter(self.buckets))]
        return bucket.take(COSTS.get(connection.scope["path"], 1.0))

    # -- sockets -----------------------------------------------------------------------------------

    async def _socket(self, scope: Scope, receive: Receive, send: Send) -> None:
        connection, path = HTTPConnection(scope), scope["path"]
        if not self._may_come_in(connection):
            await turn_away(receive, send)
            return
        if self.inside[path] >= limits.most("viewers"):
            if (
                path == STREAM
            ):  # Streamlit shows no such words: who opens a page reads them (_refusal)
                await turn_away(receive, send)
            else:
                await tell(receive, send, FULL, full())
            return
        self.inside[path] += 1
        heard, sent = limited(receive, send, SAID.get(path, OURS))
        try:
            await self.app(scope, heard, sent)
        except Exception:  # a defect
            log.exception("The socket %s failed", path[:200])
            with contextlib.suppress(Exception):  # it may be closed
                await sent({"type": "websocket.close", "code": FAILED})
        finally:
            self.inside[path] -= 1
            self.inside += Counter()  # forgets what is at zero

    def _may_come_in(self, connection: HTTPConnection) -> bool:
        scope = connection.scope
        return (
            not arrival.is_address_long(scope)
            and not arrival.are_headers_long(scope)
            and arrival.is_known_host(connection)
            and arrival.is_from_here(connection)
            and (not arrival.is_ours(scope["path"]) or self._may_ask(connection))
        )


LONG_ADDRESS = f"An address has at most {arrival.MOST_URL:,} bytes."
LONG_HEADERS = f"The headers have at most {arrival.MOST_HEADERS:,} bytes."
BUSY = "Too many ask for this at once: try again in a moment."
OFTEN = "Too much is asked for from this address: try again in a second."
OTHER_PAGE = "This page is from another server."
ELSEWHERE = (
    "This server is asked for under a name it does not know: allow it with "
    "STREAMLIT_SERVER_ALLOWED_HOSTS."
)
DEFECT = "This cannot be answered: something here is broken. The server's log says what."
SENTENCES = {404: "There is nothing here.", 405: "This cannot be asked for in this way."}
FULL_PAGE = '<!DOCTYPE html><html lang="en"><title>Full</title><p>{}</p></html>'


# -- answers ---------------------------------------------------------------------------------------


def refused(status: int, sentence: str, retry: int = 0) -> JSONResponse:
    """A refusal in one sentence. retry: seconds after which to try again, if that helps."""
    headers = {"Cache-Control": "no-store"} | ({"Retry-After": str(retry)} if retry else {})
    return JSONResponse({"error": sentence}, status, headers)


async def nothing_there(request: Request, error: Exception) -> Response:
    """What Starlette answers with a word (404, 405), as a sentence."""
    assert isinstance(error, HTTPException)
    sentence = SENTENCES.get(error.status_code, f"{error.detail}.")
    answer = refused(error.status_code, sentence)
    answer.headers.update(error.headers or {})
    return answer


def full() -> str:
    """Why another viewer is not let in."""
    return limits.LIMITS["viewers"].refused(1, float(limits.most("viewers")))
