"""The routes under /live: the feed, the same frames by polling, and what the browser loads.

Streamlit checks no origin on routes of ours, so those that give data do it themselves.
"""

import asyncio
import gzip
import hashlib
import json
import math
import re
import time
from collections.abc import Callable, Sequence
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import plotly
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from engine.errors import EngineError, RunError
from ui import figure_page, frames, moments, rights
from ui.beside import beside
from ui.hub import Hub, Viewer
from ui.outcome_table import OutcomeTable
from ui.pace import BEAT_S
from ui.probes import probes
from ui.subjects import opener
from ui.views import Library

if TYPE_CHECKING:
    from ui.theory_answers import Theory

ASSETS = Path(__file__).resolve().parent.parent / "assets"
MEDIA = {".js": "text/javascript", ".css": "text/css"}
MOST_SUBJECTS = 8  # of one page: six contenders, a difference and a table
REFUSED = 4403  # close code, after HTTP's 403
PLOTLY_URL = f"/live/plotly.min.js?v={plotly.__version__}"


def routes(
    hub: Hub, library: Library, theory: "Callable[[], Theory] | None" = None
) -> Sequence[BaseRoute]:
    """Everything under /live, fed by `hub`; the table to download is read from `library`.

    theory  answers the Theory page; made with its first question
    """
    theory = theory or _theory

    async def feed(socket: WebSocket) -> None:
        await _feed(hub, socket)

    async def polled(request: Request) -> Response:
        return await _polled(hub, request)

    async def table(request: Request) -> Response:
        return await _table(library, request)

    async def moment(request: Request) -> Response:
        return await _moment(library, request)

    async def figure(request: Request) -> Response:
        return await _figure(library, request)

    async def network(request: Request) -> Response:
        anew = rights.may_change(request.cookies)  # a new measurement takes a core for seconds
        return await _told(request, lambda: theory().network(request.query_params, anew=anew))

    async def phase(request: Request) -> Response:
        activation = request.query_params.get("activation", "")
        return await _told(request, lambda: theory().phase(activation))

    async def health(request: Request) -> Response:
        return JSONResponse({"status": "ok", "watched": len(hub.watched)})

    return [
        WebSocketRoute("/live/feed", feed),
        Route("/live/frames", polled),
        Route("/live/table.csv", table),
        Route("/live/moment", moment),
        Route("/live/figure.html", figure),
        Route("/live/theory", network),
        Route("/live/phase", phase),
        Route("/live/health", health),
        Route("/live/plotly.min.js", _plotly),
        Route("/live/{name}", _asset),
        Route("/live/{path:path}", _nothing),  # Streamlit would answer with its page
    ]


def same_origin(connection: HTTPConnection, *, required: bool) -> bool:
    """Whether the page that asks came from this server.

    A browser names the origin on every WebSocket; on a plain GET of its own page it does not.
    """
    origin = connection.headers.get("origin")
    if origin is None:
        return not required
    try:
        return urlsplit(origin).netloc == connection.headers.get("host")
    except ValueError:  # no browser's: "http://["
        return False


def _asked(connection: HTTPConnection) -> list[str]:
    subjects = [name for name in connection.query_params.get("runs", "").split(",") if name]
    return list(dict.fromkeys(subjects))[:MOST_SUBJECTS]


async def _feed(hub: Hub, socket: WebSocket) -> None:
    if not same_origin(socket, required=True):
        await socket.close(code=REFUSED)
        return
    await socket.accept()
    viewer = Viewer()
    for subject in _asked(socket):
        hub.join(viewer, subject)
    async with beside(_send(viewer, socket), _beat(viewer)):
        try:
            while True:  # all a viewer ever says: the subject it has missed a frame of
                hub.again(viewer, await socket.receive_text())
        except (WebSocketDisconnect, KeyError):  # KeyError: bytes came where text was due
            pass
        finally:
            hub.leave(viewer)


async def _send(viewer: Viewer, socket: WebSocket) -> None:
    """At most so many messages a second, each with all that waits: a message costs more than a frame."""
    sent = -math.inf
    while True:
        await viewer.ready.wait()
        # Looked at before sending, not slept after it: with all at the same moments it is rarely early.
        if (early := sent + viewer.rest - time.monotonic()) > 0:
            await asyncio.sleep(early)
        if (waited := viewer.taken()) or viewer.beats:
            viewer.beats = False
            sent = time.monotonic()
            await socket.send_bytes(_message(waited))


async def _beat(viewer: Viewer) -> None:
    """A message now and then, without frames where there are none."""
    while True:
        await asyncio.sleep(BEAT_S)
        viewer.beats = True
        viewer.ready.set()


#: Who looks at the same subjects is sent the same bytes, put together once.
_message = lru_cache(maxsize=8)(frames.packed)


async def _polled(hub: Hub, request: Request) -> Response:
    """Each frame with its length as uint32 before it; `after` holds one number per subject."""
    if not same_origin(request, required=False):
        return _from_elsewhere()
    subjects = _asked(request)
    numbers = request.query_params.get("after", "").split(",")
    after = [int(n) if n.isdecimal() and len(n) < 16 else 0 for n in numbers] + [0] * len(subjects)
    found = await asyncio.gather(
        *(hub.since(subject, seq) for subject, seq in zip(subjects, after, strict=False))
    )
    body = frames.packed([frame for some in found for frame in some])
    headers = {"Cache-Control": "no-store"}
    return Response(body, media_type="application/octet-stream", headers=headers)


def _from_elsewhere() -> Response:
    return JSONResponse({"error": "This page is from another server."}, status_code=403)


async def _answered(request: Request, read: Callable[[], str | bytes], **more: Any) -> Response:
    """What `read` gives, read in a thread, for a page of this server alone; or why there is none."""
    if not same_origin(request, required=False):
        return _from_elsewhere()
    try:
        body = await asyncio.to_thread(read)
    except EngineError as error:
        return JSONResponse({"error": str(error)}, status_code=404)
    headers = {"Cache-Control": "no-store"} | more.pop("headers", {})
    return Response(body, headers=headers, **more)


@cache
def _theory() -> "Theory":
    from ui.theory_answers import Theory  # here, because scipy takes half a second and 20 MB

    return Theory(probes)


async def _told(request: Request, read: Callable[[], Any]) -> Response:
    """What `read` gives, as JSON."""
    return await _answered(request, lambda: json.dumps(read()), media_type="application/json")


async def _table(library: Library, request: Request) -> Response:
    """The table of the contenders named in `rows`, to save."""

    def read() -> str:
        asked = request.query_params.get("rows", "")
        view = opener(f"table:{asked}", library)()
        try:
            assert isinstance(view, OutcomeTable)
            return view.csv()
        finally:
            view.close()

    return await _answered(
        request, read, media_type="text/csv", headers=_saved_as("comparison.csv")
    )


async def _moment(library: Library, request: Request) -> Response:
    """The frame of `run` at its recorded `step`."""

    def read() -> bytes:
        step = request.query_params.get("step", "")
        if not (step.isascii() and step.isdecimal() and len(step) < 16):
            raise RunError(f"step is {step[:40]!r}; it must be a whole number from 0.")
        return moments.frame(library.path(request.query_params.get("run", "")), int(step))

    return await _answered(request, read, media_type="application/octet-stream")


async def _figure(library: Library, request: Request) -> Response:
    """A figure as a page to save."""
    name = re.sub(r"[^a-z_]", "", request.query_params.get("figure", ""))[:40]
    headers = _saved_as(f"{name}.html")
    read = partial(figure_page.page, request.query_params, library)
    return await _answered(request, read, media_type="text/html", headers=headers)


async def _nothing(request: Request) -> Response:
    return JSONResponse({"error": "There is nothing here."}, status_code=404)


def _saved_as(name: str) -> dict[str, str]:
    return {"Content-Disposition": f'attachment; filename="{name}"'}


@cache
def plotly_gzipped() -> bytes:
    """plotly.min.js of the installed package; compressed once, not per request (100 ms each)."""
    source = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
    return gzip.compress(source.read_bytes(), 6)


async def _plotly(request: Request) -> Response:
    body = await asyncio.to_thread(plotly_gzipped)
    headers = {"Content-Encoding": "gzip", "Cache-Control": "public, max-age=31536000, immutable"}
    return Response(body, media_type="text/javascript", headers=headers)


async def _asset(request: Request) -> Response:
    path = ASSETS / request.path_params["name"]
    if path.parent != ASSETS or path.suffix not in MEDIA or not path.is_file():
        return JSONResponse({"error": "There is no such file."}, status_code=404)
    body = path.read_bytes()
    tag = f'"{hashlib.sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=MEDIA[path.suffix], headers=headers)
