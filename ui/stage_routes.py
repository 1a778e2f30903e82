"""The routes of the stage: the presenter tells where she is, the audience hears it; the hall's link."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect
from streamlit import config

from engine.errors import EngineError, LimitError, StageError
from ui import qr, rights
from ui.beside import beside
from ui.pace import BEAT_S
from ui.rates import Bucket
from ui.routes import REFUSED, same_origin
from ui.stage import Stage

MOST_BYTES = 5000  # of a message
A_SECOND = 10  # messages
#: Close codes, each after HTTP's: too large, too many, no room.
TOO_LARGE, TOO_OFTEN, NO_ROOM = 4413, 4429, 4503
COUNT_S = 1.0  # between two counts of the audience told to a presenter


def routes(stage: Stage) -> Sequence[BaseRoute]:
    """/live/stage and /live/qr."""

    async def attended(socket: WebSocket) -> None:
        await _attended(stage, socket)

    return [WebSocketRoute("/live/stage", attended), Route("/live/qr", _hall)]


async def _attended(stage: Stage, socket: WebSocket) -> None:
    """Presenter by the cookie of the handshake, unless the link asks to follow all the same."""
    if not same_origin(socket, required=True):
        await socket.close(code=REFUSED)
        return
    await socket.accept()
    presents = rights.may_change(socket.cookies) and "follow" not in socket.query_params
    with suppress(WebSocketDisconnect):
        async with beside(_beat(socket)):
            await (_present if presents else _follow)(stage, socket)


async def _present(stage: Stage, socket: WebSocket) -> None:
    stage.enter()
    try:
        async with beside(_count(stage, socket)):
            async for text in _heard(socket):
                if not rights.may_change(socket.cookies):  # the cookie has ended since
                    await socket.close(code=REFUSED)
                    return
                try:
                    told = _message(text)
                    stage.show(told.get("path"), told.get("search"))
                except StageError as error:
                    await socket.send_json({"error": str(error)})
    finally:
        stage.exit()


async def _count(stage: Stage, socket: WebSocket) -> None:
    told = -1
    while True:
        if (viewers := stage.viewers) != told:
            await socket.send_json({"viewers": viewers})
            told = viewers
        await asyncio.sleep(COUNT_S)


async def _beat(socket: WebSocket) -> None:
    while True:
        await asyncio.sleep(BEAT_S)
        await socket.send_json({})


async def _follow(stage: Stage, socket: WebSocket) -> None:
    try:
        listener = stage.join()
    except LimitError:
        await socket.close(code=NO_ROOM)
        return
    try:
        async with beside(_tell(stage, socket, listener.next)):
            async for _ in _heard(socket):
                pass  # whatever a viewer says changes nothing
    finally:
        stage.leave(listener)


async def _tell(stage: Stage, socket: WebSocket, following: Any) -> None:
    while True:
        shown = await following()
        await socket.send_json(asdict(shown) | {"viewers": stage.viewers})


async def _heard(socket: WebSocket) -> AsyncIterator[str]:
    """What is said, until the connection ends or too much is said."""
    allowance = Bucket(A_SECOND, A_SECOND)
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        text = message.get("text") or ""
        if len(message.get("bytes") or text.encode()) > MOST_BYTES:
            await socket.close(code=TOO_LARGE)
            return
        if not allowance.take():
            await socket.close(code=TOO_OFTEN)
            return
        yield text


def _message(text: str) -> dict[str, Any]:
    try:
        told = json.loads(text)
    except (ValueError, RecursionError):
        told = None
    if not isinstance(told, dict):
        raise StageError('A message must be JSON: {"path": "/", "search": "?run=..."}.')
    return told


async def _hall(request: Request) -> Response:
    """The link for the hall as a QR code, to a page that is at the origin `page`; or why there is none."""
    if not same_origin(request, required=False):
        return JSONResponse({"error": "This page is from another server."}, status_code=403)
    bound = config.get_option("server.address")
    try:
        link = await asyncio.to_thread(qr.link, request.query_params.get("page", ""), bound)
        return JSONResponse(asdict(qr.code(link)), headers={"Cache-Control": "no-store"})
    except EngineError as error:
        return JSONResponse({"error": str(error)})  # an answer: this server has no link for others
