"""The headers of every response, Streamlit's too: what a page may load, run, frame and be framed by.

Nothing comes from another server: the dashboard works in a hall without internet, and a page that was made
to ask elsewhere is stopped by the browser.
"""

import base64
import hashlib
import re
from functools import cache
from pathlib import Path

import streamlit
from starlette.datastructures import MutableHeaders
from starlette.types import Message, Send

#: What each kind of thing may come from.
SOURCES = {
    "default-src": "'self'",
    # blob: a component's module, which Streamlit makes of the text it was sent (ui/live.py). Inline code
    # runs nowhere but in Streamlit's first page, by its hash, and text is never run as code (no eval).
    # 'wasm-unsafe-eval': Streamlit's protobuf counts in 64 bits by a WebAssembly of a few bytes.
    "script-src": "'self' blob: 'wasm-unsafe-eval' {inline}",
    # 'unsafe-inline': without it Streamlit draws its page without any look (Emotion writes <style>
    # elements while it runs), and so do Plotly and our own st.html(STYLE).
    "style-src": "'self' 'unsafe-inline'",
    "img-src": "'self' data: blob:",  # data: Plotly's and Streamlit's small pictures; blob: saved charts
    "font-src": "'self' data:",  # data: those of formulas
    "connect-src": "'self'",  # the sockets too
    "worker-src": "'self' blob:",
    "media-src": "'self' blob:",
    "frame-src": "'self'",
    "object-src": "'none'",
    "base-uri": "'self'",
    "form-action": "'self'",
    "frame-ancestors": "'self'",
}
CLOSED = ("camera", "microphone", "geolocation", "payment", "usb", "serial", "midi")


@cache
def headers() -> dict[str, str]:
    """Name -> value, of those that every response has."""
    inline = " ".join(f"'sha256-{digest}'" for digest in _inline_scripts())
    told = (f"{name} {value.format(inline=inline).strip()}" for name, value in SOURCES.items())
    return {
        "Content-Security-Policy": "; ".join(told),
        "X-Content-Type-Options": "nosniff",
        "X-Frame-Options": "SAMEORIGIN",  # frame-ancestors, for browsers that do not know it
        "Referrer-Policy": "same-origin",  # "no-referrer" would take the origin from forms too
        "Permissions-Policy": ", ".join(f"{name}=()" for name in CLOSED),
        "Cross-Origin-Opener-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
    }


def _inline_scripts() -> list[str]:
    """The hashes of the scripts that stand in Streamlit's first page itself."""
    page = Path(streamlit.__file__).parent / "static" / "index.html"
    scripts = re.findall(r"<script>(.*?)</script>", page.read_text(encoding="utf-8"), re.DOTALL)
    digests = (hashlib.sha256(script.encode()).digest() for script in scripts)
    return [base64.b64encode(digest).decode() for digest in digests]


def added(send: Send) -> Send:
    """The same, which adds these headers to a response that begins, in place of its own of that name."""

    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            message.setdefault("headers", [])
            MutableHeaders(scope=message).update(headers())
        await send(message)

    return sent
