"""Seconds of training: a clock that rests while a run is paused, and a meter of what watching costs."""

import time


class Clock:
    """Seconds since it was made, without those it rested.

    begun  seconds that count already, of a run that goes on from a checkpoint
    """

    def __init__(self, begun: float = 0.0):
        self._zero = time.perf_counter() - begun
        self._resting: float | None = None

    def seconds(self) -> float:
        """How much has been counted."""
        now = time.perf_counter() if self._resting is None else self._resting
        return now - self._zero

    @property
    def is_resting(self) -> bool:
        """Whether it does not count now."""
        return self._resting is not None

    def rest(self) -> None:
        """Stop counting."""
        if self._resting is None:
            self._resting = time.perf_counter()

    def go(self) -> None:
        """Count on."""
        if self._resting is not None:
            self._zero += time.perf_counter() - self._resting
            self._resting = None


class Meter:
    """Adds up the seconds spent inside its `with`."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.perf_counter() - self._began
