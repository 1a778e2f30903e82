"""Signing in as the presenter: two routes, the panel in the sidebar, and who may upload a file.

The key travels in a request's body and nowhere else: no link, no widget, no session of Streamlit's holds it.
"""

import ipaddress
import json
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ui import rights
from ui.live import component
from ui.routes import same_origin

MOST_BYTES = 1000  # of a request
MOST_WRONG, WITHIN_S = 10, 60.0  # wrong keys from one address, until it must wait
MOST_ADDRESSES = 4096  # that are remembered; the one that tried longest ago is forgotten first
UPLOADS = "/_stcore/upload_file"
WATCHING = "You are watching."
PRESENTING = "You are the presenter."
NO_KEY = "No presenter key is set: whoever opens this page may start, change and delete runs."


# -- the routes ------------------------------------------------------------------------------------


class Tries:
    """Wrong keys of the last minute, by address.

    clock  seconds that only rise
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._wrong: OrderedDict[str, deque[float]] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds until this address may try again; 0 where it may now."""
        wrong = self._wrong.get(_place(address), deque())
        while wrong and wrong[0] <= self._clock() - WITHIN_S:
            wrong.popleft()
        return wrong[0] + WITHIN_S - self._clock() if len(wrong) >= MOST_WRONG else 0.0

    def note_wrong(self, address: str) -> None:
        """Another wrong key from there."""
        place = _place(address)
        self._wrong.setdefault(place, deque(maxlen=MOST_WRONG)).append(self._clock())
        self._wrong.move_to_end(place)
        while len(self._wrong) > MOST_ADDRESSES:
            self._wrong.popitem(last=False)


def _place(address: str) -> str:
    """Whom an address stands for: of IPv6 a household has 2^64."""
    try:
        known = ipaddress.ip_address(address)
    except ValueError:
        return address
    if isinstance(known, ipaddress.IPv4Address) or known.ipv4_mapped:
        return str(known)
    return str(ipaddress.IPv6Network((int(known), 64), strict=False))


def routes(tries: Tries | None = None) -> Sequence[BaseRoute]:
    """Sign in and sign out. Each must come before a route that takes every name under /live."""
    counted = tries or Tries()

    async def signed_in(request: Request) -> Response:
        return await _sign_in(counted, request)

    return [
        Route("/live/sign-in", signed_in, methods=["POST"]),
        Route("/live/sign-out", _sign_out, methods=["POST"]),
    ]


async def _sign_in(tries: Tries, request: Request) -> Response:
    if not same_origin(request, required=True):
        return _refused(403, "This page is from another server.")
    if not rights.key():
        return _refused(409, NO_KEY)
    address = request.client.host if request.client else ""
    if wait := tries.wait_s(address):
        seconds = int(wait) + 1
        sentence = f"Too many wrong keys from this address: try again in {seconds} s."
        return _refused(429, sentence, {"Retry-After": str(seconds)})
    body = await _body(request)
    if body is None:
        return _refused(413, f"That is too much: a key has at most {MOST_BYTES} bytes.")
    said = _key_in(body)
    if said is None:
        return _refused(400, 'A key is sent as JSON: {"key": "..."}.')
    if tries.wait_s(address):  # others from there were answered while this was read
        return _refused(429, "Too many wrong keys from this address: try again in a minute.")
    if not rights.is_key(said):
        tries.note_wrong(address)
        return _refused(403, "That is not the presenter's key.")
    answer = JSONResponse({"presenter": True}, headers={"Cache-Control": "no-store"})
    answer.set_cookie(
        rights.COOKIE, rights.token(), max_age=rights.LASTS_S, **_kind_of_cookie(request)
    )
    return answer


async def _sign_out(request: Request) -> Response:
    if not same_origin(request, required=True):
        return _refused(403, "This page is from another server.")
    rights.end(request.cookies.get(rights.COOKIE, ""))
    answer = JSONResponse({"presenter": not rights.key()}, headers={"Cache-Control": "no-store"})
    answer.delete_cookie(rights.COOKIE, **_kind_of_cookie(request))
    return answer


def _kind_of_cookie(request: Request) -> dict[str, Any]:
    """No script reads it, no other site sends it, and where the page came by https, nothing else does."""
    forwarded = request.headers.get("x-forwarded-proto", "").partition(",")[0].strip()
    is_secure = "https" in (request.scope["scheme"], forwarded)
    return {"path": "/", "httponly": True, "samesite": "strict", "secure": is_secure}


async def _body(request: Request) -> bytes | None:
    """All of it; None where it is too long, without reading the rest."""
    found = b""
    async for part in request.stream():
        found += part
        if len(found) > MOST_BYTES:
            return None
    return found


def _key_in(body: bytes) -> str | None:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError):
        return None
    said = told.get("key") if isinstance(told, Mapping) else None
    return said.strip() if isinstance(said, str) else None


def _refused(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Response:
    more = {"Cache-Control": "no-store", **(headers or {})}
    return JSONResponse({"error": sentence}, status_code=status, headers=more)


class OnlyPresenterUploads:
    """Middleware: files are taken from presenters alone, before anything of them is read."""

    def __init__(self, app: ASGIApp):
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_upload = scope["type"] == "http" and UPLOADS in scope["path"]
        if is_upload and not rights.may_change(Request(scope).cookies):
            answer = JSONResponse({"error": rights.ONLY_PRESENTER}, status_code=403)
            await answer(scope, receive, send)
        else:
            await self.app(scope, receive, send)


# -- the panel -------------------------------------------------------------------------------------


def draw() -> None:
    """Who one is here, and the way to become the presenter or to stop being it."""
    with st.container(key="rights", gap="xsmall"):
        if not rights.key():
            st.caption(NO_KEY)
            return
        is_audience = rights.is_audience()
        st.caption(f"**{WATCHING if is_audience else PRESENTING}**")
        with st.container():  # always there: what is below must not move when it fills
            if rights.was_refused():
                st.caption(f":red[:material/error: {rights.ONLY_PRESENTER}]")
        signing = component("sign_in", "sign_in.js", "vgl-sign-in", 32)
        signing(data=[{"audience": is_audience}], key="sign_in")
