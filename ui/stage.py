"""What the presenter shows: the newest of her links, and who is to hear of it. Lives in one event loop.

Everything that she sets is in her link, so a path and a search are all there is to tell.
"""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

from engine.errors import LimitError, StageError
from ui import frame

#: The pages' paths; the first page has none of its own.
PATHS = ("/", *sorted(f"/{page}" for page in frame.COME_BACK_TO - {"lab"}))
MOST_SEARCH = 4000  # characters; the longest link of a comparison has some 1,500
MOST_LISTENERS = 1200  # connections, each a task and a few kB
LINGERS_S = 600.0  # that what was shown is handed to newcomers after the last presenter has gone


@dataclass(frozen=True)
class Shown:
    """What the presenter's page shows."""

    path: str  # one of PATHS
    search: str  # "" or "?run=..."
    seq: int  # counts what was shown


class Listener:
    """Somebody whose page follows. Of several things shown meanwhile they are told the newest."""

    def __init__(self, shown: Shown | None):
        self._news = asyncio.Event()
        self._shown = shown
        if shown:
            self._news.set()

    def tell(self, shown: Shown) -> None:
        """Have this told next, in place of what has not been told yet."""
        self._shown = shown
        self._news.set()

    async def next(self) -> Shown:
        """What is to be told, as soon as there is something."""
        await self._news.wait()
        self._news.clear()
        assert self._shown is not None
        return self._shown


class Stage:
    """The newest of what is shown, and all who listen.

    most  listeners at once
    now   seconds, of a clock that never goes back
    """

    def __init__(self, most: int = MOST_LISTENERS, now: Callable[[], float] = time.monotonic):
        self._most, self._now = most, now
        self._listeners: set[Listener] = set()
        self._newest: Shown | None = None
        self._presenters = 0
        self._empty_since = now()

    @property
    def viewers(self) -> int:
        """How many listen."""
        return len(self._listeners)

    @property
    def newest(self) -> Shown | None:
        """What newcomers are shown; None before anything was, and long after the presenter has gone."""
        gone = not self._presenters and self._now() - self._empty_since > LINGERS_S
        return None if gone else self._newest

    def join(self) -> Listener:
        """One more who listens. Raises LimitError where there are too many."""
        if len(self._listeners) >= self._most:
            raise LimitError(f"{self._most:,} follow already; no more can.")
        listener = Listener(self.newest)
        self._listeners.add(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """They no longer listen."""
        self._listeners.discard(listener)

    def enter(self) -> None:
        """A presenter's page has come."""
        self._presenters += 1

    def exit(self) -> None:
        """It has gone."""
        self._presenters -= 1
        self._empty_since = self._now()

    def show(self, path: object, search: object) -> Shown:
        """Tell everybody of a link. Raises StageError where it is none of the pages'; nothing changes then."""
        if path not in PATHS or not isinstance(path, str):
            raise StageError(f"path is {str(path)[:40]!r}; it must be one of {', '.join(PATHS)}.")
        if not isinstance(search, str) or len(search) > MOST_SEARCH:
            raise StageError(f"search must be text of at most {MOST_SEARCH:,} characters.")
        if not search.isprintable() or not (search == "" or search.startswith("?")):
            raise StageError("search must begin with ? and have no control characters.")
        seq = self._newest.seq + 1 if self._newest else 1
        self._newest = Shown(path, search, seq)
        for listener in self._listeners:
            listener.tell(self._newest)
        return self._newest
