"""Presenter and audience: who may change something, by a key and a signed cookie.

With VGLAB_PRESENTER_KEY set whoever opens the page is audience, until they sign in with the key (ui/sign_in.py);
without it everybody is presenter. Pages ask here what to draw; what refuses is engine/gate.py, which asks
here before each change, whatever a page has drawn.
"""

import hashlib
import hmac
import os
import time
from collections.abc import Mapping

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine import gate

KEY = "VGLAB_PRESENTER_KEY"
COOKIE = "vglab_presenter"
LASTS_S = 12 * 3600  # that a presenter stays signed in: a day of lectures
ONLY_PRESENTER = "Only the presenter may do this: you are watching."


def key() -> str:
    """The presenter's key; "" where none is set and everybody is presenter."""
    return os.environ.get(KEY, "").strip()


def is_key(said: str) -> bool:
    """Whether this is the key. Takes the same time for every wrong one of whatever length."""
    known = key()
    return bool(known) and hmac.compare_digest(_digest(said), _digest(known))


def token(now: float | None = None) -> str:
    """What a presenter's cookie says: until when it holds, signed with the key.

    Signed instead of remembered: it outlives a restart of the server, and a new key ends it.
    """
    until = str(int((time.time() if now is None else now) + LASTS_S))
    return f"{until}.{_signature(until)}"


def holds(told: str, now: float | None = None) -> bool:
    """Whether a cookie's content is a token that has not ended."""
    until, _, signature = told.partition(".")
    if not (until.isascii() and until.isdecimal() and len(until) < 16):
        return False
    is_signed = hmac.compare_digest(signature.encode(), _signature(until).encode())
    return is_signed and int(until) > (time.time() if now is None else now)


def may_change(cookies: Mapping[str, str]) -> bool:
    """Whether somebody with these cookies is presenter: for routes, whose requests carry them."""
    return not key() or holds(cookies.get(COOKIE, ""))


def is_presenter() -> bool:
    """Whether the page that is being drawn is the presenter's."""
    return may_change(_cookies())


def is_audience() -> bool:
    """Whether it is not: it watches."""
    return not is_presenter()


def refusal() -> str:
    """Why whoever asks now may change nothing; "" for a presenter, and for the server's own work."""
    is_page = get_script_run_ctx(suppress_warning=True) is not None
    return ONLY_PRESENTER if is_page and is_audience() else ""


def _cookies() -> Mapping[str, str]:
    return st.context.cookies


def _signature(until: str) -> str:
    return hmac.new(key().encode(), f"presenter until {until}".encode(), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


gate.guard(refusal)  # with the import: no page is drawn without it
