"""What a request brings, before anything of it is handed on: its sizes, its host, its origin."""

import ipaddress
from fnmatch import fnmatch
from urllib.parse import urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.types import Message, Receive, Scope
from streamlit import config

from engine import transfer
from ui.routes import same_origin

UPLOAD = "/_stcore/upload_file"
MOST_URL = 8_000  # bytes of path and query: six contenders with names of 120 letters have 5,000
MOST_HEADERS = 32_000  # bytes; cookies of other programs on this machine come along
MOST_BODY = 4_000  # bytes, of all that is not in BODIES: a form with a key
BODIES = {UPLOAD: transfer.MOST_BYTES + 100_000}  # a run's file, and the form it comes in
FILES = ("/live", "/_stcore", "/static", "/media", "/component")  # what is no page


class TooLargeError(Exception):
    """More came than a route takes."""


def is_known_host(connection: HTTPConnection) -> bool:
    """Whether the name that this server is asked for under may be one of its own.

    A page elsewhere can give its own name the address 127.0.0.1 and ask from here ("DNS rebinding").
    So at that address a name must be one that cannot be given away, or be allowed by server.allowedHosts.
    """
    said, server = connection.headers.get("host"), connection.scope.get("server")
    if said is None or server is None or not _is_loopback(server[0]):
        return True  # no browser asks without; other addresses have the key
    try:
        name = (urlsplit(f"//{said}").hostname or "").rstrip(".")
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or _is_address(name):
        return True
    return any(
        fnmatch(name, pattern.lower()) for pattern in config.get_option("server.allowedHosts")
    )


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return _is_address(name) and ipaddress.ip_address(name).is_loopback


def is_address_long(scope: Scope) -> bool:
    """Whether path and query are longer than a link of ours can be."""
    path = scope.get("raw_path") or scope["path"].encode()
    return len(path) + len(scope["query_string"]) > MOST_URL


def are_headers_long(scope: Scope) -> bool:
    """Whether all headers together are longer than a browser's."""
    return sum(len(name) + len(value) for name, value in scope["headers"]) > MOST_HEADERS


def said_length(request: Request) -> int:
    """How long a body says it is; 0 where it says nothing that is a number."""
    said = request.headers.get("content-length", "")
    return int(said) if said.isascii() and said.isdecimal() and len(said) < 16 else 0


def most_body(path: str) -> int:
    """Bytes that a route takes."""
    return next((most for begin, most in BODIES.items() if path.startswith(begin)), MOST_BODY)


def too_large(path: str) -> str:
    """Why more is not taken."""
    return f"That is too much: at most {most_body(path):,} bytes can be sent here."


def is_ours(path: str) -> bool:
    """Whether a path is one of the dashboard's own routes, not of Streamlit's."""
    return path == "/live" or path.startswith("/live/")


def is_from_here(connection: HTTPConnection) -> bool:
    """Whether what is asked of a route of ours is asked by a page of ours. Streamlit checks its own.

    A browser names where a page is from on a socket and on whatever changes something; on a plain GET it
    does only where the page is from elsewhere.
    """
    scope = connection.scope
    must = scope["type"] == "websocket" or scope["method"] not in ("GET", "HEAD")
    return not is_ours(scope["path"]) or same_origin(connection, required=must)


def is_page(request: Request) -> bool:
    """Whether somebody opens a page of Streamlit's."""
    return not request.scope["path"].startswith(FILES) and "text/html" in request.headers.get(
        "accept", ""
    )


def measured(scope: Scope, receive: Receive) -> Receive:
    """The same, which raises TooLargeError where a body is larger than it said, or than is taken."""
    most, come = most_body(scope["path"]), 0

    async def received() -> Message:
        nonlocal come
        message = await receive()
        come += len(message.get("body", b""))
        if come > most:
            raise TooLargeError
        return message

    return received
