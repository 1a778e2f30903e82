"""Controls that the page itself moves, in a browser that has not heard of it yet.

A browser sends what all of its controls show with every change of one. What is changed within a
moment of our moving another control comes with what that other one showed before: Streamlit takes
it for a choice and calls the control's callback. The number that moved a pill, a slider or a preset
would be undone by the pill, and a network trained that nobody asked for.

So whoever moves a control in the page's stead does it here, and its callback asks `is_echo` first.
Costs that a person cannot choose back, within WAIT_S, just what we have moved a control away from.
"""

import time
from typing import Any, NamedTuple

import streamlit as st

WAIT_S = 2.0  # a browser has heard of a move after some tenths of a second
_MOVED = "moved_controls"  # control -> its Move


class _Move(NamedTuple):
    """Where a control was moved to, and when it was moved away from what it showed before."""

    to: Any
    left: list[tuple[Any, float]]  # values, and time.monotonic() of the first move away from each


def move(key: str, value: Any) -> None:
    """Set a control, before it is drawn; what it showed may come back once more, and is no choice.

    `key`: the control's; `value`: what it shall show, of the type that the control itself returns.
    """
    before = st.session_state.get(key, value)
    left = [one for one in _left(key) if one[0] != value]
    if before != value and all(before != old for old, _ in left):
        left.append((before, time.monotonic()))
    _moves()[key] = _Move(value, left)
    st.session_state[key] = value


def is_echo(key: str) -> bool:
    """Whether a control shows only what it was moved away from a moment ago.

    `key`: the control's. False for one that was never moved.
    """
    return any(old == st.session_state.get(key) for old, _ in _left(key))


def shown(key: str, default: Any) -> Any:
    """What a control shows; where its browser has not heard of a move, what it was moved to.

    `key`: the control's; `default`: what it shows where nothing has set it.
    """
    return _moves()[key].to if is_echo(key) else st.session_state.get(key, default)


def _left(key: str) -> list[tuple[Any, float]]:
    """What a control was moved away from, as far as it may come back."""
    since = time.monotonic() - WAIT_S
    return [(old, when) for old, when in _moves().get(key, _Move(None, [])).left if when > since]


def _moves() -> dict[str, _Move]:
    moves: dict[str, _Move] = st.session_state.setdefault(_MOVED, {})
    return moves
