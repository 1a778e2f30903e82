"""Presenter and audience: who may change something, by a key and a signed cookie.

With VGLAB_PRESENTER_KEY set whoever opens the page is audience, until they sign in with the key (ui/sign_in.py);
without it everybody is presenter. Pages ask here what to draw; what refuses is engine/gate.py, which asks
here before each change, whatever a page has drawn.
"""

import hashlib
import hmac
import os
import secrets
import time
from collections.abc import Mapping

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from engine import gate
from engine.errors import RightsError

KEY = "VGLAB_PRESENTER_KEY"
COOKIE = "vglab_presenter"
LASTS_S = 12 * 3600  # that a presenter stays signed in: a day of lectures
LEAST = 8  # characters of a key
ONLY_PRESENTER = "Only the presenter may do this: you are watching."
LOOK_AROUND = (
    "What the presenter trains and steers is shown here as it happens. Look around: nothing that you "
    "choose changes it for others."
)
_REFUSED = "rights_refused"  # in a page's session: something was refused since it was last drawn
#: Tokens whose presenters have signed out, and until when they would have held. A restart forgets them:
#: the browser has let go of its cookie by then.
_ENDED: dict[str, int] = {}


def key() -> str:
    """The presenter's key; "" where none is set and everybody is presenter."""
    return os.environ.get(KEY, "").strip()


def check_key() -> None:
    """Raise RightsError where a key is set that protects nothing. A set but empty one is a slip too."""
    if KEY in os.environ and len(key()) < LEAST:
        raise RightsError(
            f"{KEY} is too short: it must have at least {LEAST} characters, or not be set at all."
        )


def is_key(said: str) -> bool:
    """Whether this is the key. Takes the same time for every wrong one of whatever length."""
    known = key()
    return bool(known) and hmac.compare_digest(_digest(said), _digest(known))


def token(now: float | None = None) -> str:
    """What a presenter's cookie says: until when it holds, and a word of its own, signed with the key.

    Signed instead of remembered: it outlives a restart of the server, and a new key ends it.
    """
    until = int((time.time() if now is None else now) + LASTS_S)
    said = f"{until}.{secrets.token_hex(8)}"
    return f"{said}.{_signature(said)}"


def holds(told: str, now: float | None = None) -> bool:
    """Whether a cookie's content is a token that has not ended."""
    said, _, signature = told.rpartition(".")
    until = said.partition(".")[0]
    if not (until.isascii() and until.isdecimal() and len(until) < 16):
        return False
    is_signed = hmac.compare_digest(_bytes(signature), _bytes(_signature(said)))
    is_over = told in _ENDED or int(until) <= (time.time() if now is None else now)
    return is_signed and not is_over


def end(told: str) -> None:
    """Let a token hold no longer: its presenter has signed out, on all pages that they have open."""
    for old in [one for one, until in _ENDED.items() if until <= time.time()]:
        del _ENDED[old]
    if holds(told):  # so that nobody else can make this list grow
        _ENDED[told] = int(told.partition(".")[0])


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
    """Why whoever asks now may change nothing; "" for a presenter, and for the server's own work.

    A page that is refused says so when it is next drawn, wherever it asked from.
    """
    if get_script_run_ctx(suppress_warning=True) is None or is_presenter():
        return ""
    st.session_state[_REFUSED] = True
    return ONLY_PRESENTER


def was_refused() -> bool:
    """Whether something was refused since this was asked last."""
    return bool(st.session_state.pop(_REFUSED, False))


def _cookies() -> Mapping[str, str]:
    return st.context.cookies


def _signature(said: str) -> str:
    return hmac.new(_bytes(key()), b"presenter until " + _bytes(said), hashlib.sha256).hexdigest()


def _digest(text: str) -> bytes:
    return hashlib.sha256(_bytes(text)).digest()


def _bytes(text: str) -> bytes:
    return text.encode(errors="surrogatepass")  # JSON may hold half a sign; an environment too


gate.guard(refusal)  # with the import: no page is drawn without it
