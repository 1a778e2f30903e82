"""The link by which a hall follows, and its QR code; both made here, nothing is sent anywhere."""

import ipaddress
import os
import re
import socket
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import urlsplit

from engine.errors import StageError

ELSEWHERE = "VGLAB_FOLLOW_URL"  # the dashboard's address where a proxy stands before it
FOLLOW = "follow"  # parameter of a link that follows; never the presenter's key
MOST = 200  # characters of an address
ONLY_HERE = "This server answers only this machine; start it with --server.address 0.0.0.0."
NO_NETWORK = f"This machine is in no network; connect it, or set {ELSEWHERE} to its address."
_ORIGIN = re.compile(r"https?://[\w.\-\[\]:]+")


@dataclass(frozen=True)
class Code:
    """A link and its QR code, as an SVG path of squares of side 1."""

    link: str
    side: int  # squares, without the quiet zone of four around them
    path: str


def link(page: str, bound: str | None) -> str:
    """The link for the hall. Raises StageError with a sentence where others cannot reach this server.

    page   origin of a page that is open: "http://127.0.0.1:8501"
    bound  the address that the server listens at; None for all
    """
    if elsewhere := os.environ.get(ELSEWHERE, "").strip():
        if urlsplit(elsewhere).scheme not in ("http", "https") or len(elsewhere) > MOST:
            raise StageError(f"{ELSEWHERE} must be an address that begins with http or https.")
        return f"{elsewhere.rstrip('/')}/?{FOLLOW}=1"
    if len(page) > MOST or not _ORIGIN.fullmatch(page):
        raise StageError("page must be the origin of a page, as http://127.0.0.1:8501.")
    try:
        parts = urlsplit(page)
        host, port = parts.hostname or "", f":{parts.port}" if parts.port else ""
    except ValueError:
        raise StageError("page must be the origin of a page, as http://127.0.0.1:8501.") from None
    if is_loopback(host):
        host = _reachable(bound)
        host = f"[{host}]" if ":" in host else host
        return f"{parts.scheme}://{host}{port}/?{FOLLOW}=1"
    return f"{page}/?{FOLLOW}=1"


def is_loopback(host: str) -> bool:
    """Whether this name or address means the machine itself, to itself alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _reachable(bound: str | None) -> str:
    """The address at which others reach this server."""
    if bound and is_loopback(bound):
        raise StageError(ONLY_HERE)
    if bound and bound not in ("0.0.0.0", "::"):
        return bound
    if (found := lan_address()) is None:
        raise StageError(NO_NETWORK)
    return found


def lan_address() -> str | None:
    """This machine's address in its network; None where it is in none.

    By asking the system which address it would send from: a datagram socket that is connected
    sends nothing. 192.0.2.1 is set aside for documentation, so nobody has it.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(("192.0.2.1", 9))
            found = str(asking.getsockname()[0])
        except OSError:
            return None
    return None if is_loopback(found) or found == "0.0.0.0" else found


@lru_cache(maxsize=8)
def code(text: str) -> Code:
    """The QR code of a text; with a seventh of it hidden it can still be read."""
    import segno  # here, because few who start the server ever show it

    matrix = segno.make(text, error="m", micro=False).matrix
    rows = ("".join("1" if square else "0" for square in row) for row in matrix)
    path = "".join(
        f"M{found.start()} {place}h{len(found[0])}v1h-{len(found[0])}z"
        for place, row in enumerate(rows)
        for found in re.finditer("1+", row)
    )
    return Code(text, len(matrix), path)
