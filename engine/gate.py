"""Who may change the library of runs: everybody, unless the program around the engine put a guard here.

The engine asks before each change, so that there is no way around it: no page, no callback, no link.
What the server does by itself (ending lost runs, emptying the trash) is asked nothing.
"""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from engine.errors import RightsError

P = ParamSpec("P")
T = TypeVar("T")
GATED: list[str] = []  # names of the functions that ask, "runs.start"
_GUARDS: list[Callable[[], str]] = []  # one at most


def guard(ask: Callable[[], str]) -> None:
    """Have `ask` asked before each change.

    ask  why whoever asks now may not, in one sentence; "" where they may
    """
    _GUARDS[:] = [ask]


def check() -> None:
    """Raise RightsError where whoever asks now may change nothing."""
    for ask in _GUARDS:
        if sentence := ask():
            raise RightsError(sentence)


def gated(work: Callable[P, T]) -> Callable[P, T]:
    """The same function, which asks first; it raises RightsError too."""
    GATED.append(f"{work.__module__.removeprefix('engine.')}.{work.__name__}")

    @wraps(work)
    def asked(*args: P.args, **kwargs: P.kwargs) -> T:
        check()
        return work(*args, **kwargs)

    return asked
