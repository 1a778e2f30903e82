"""How often what is watched is looked at and shown, and at which moments.

All that goes on is shown at the same moments, the multiples of a tick: who watches eight subjects
then gets one message with eight frames, each as fresh as the others.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

FEW, MANY = 50, 150  # viewers of a subject: up to FEW the tick is `tick`, from MANY on `crowded`
SHORTEST = 1 / 8  # of an interval: of rest; a moment that is nearer than this is left out
BEAT_S = 5.0  # a sign of life on every socket: without one a browser cannot tell silence from a dead line
STEP = 0.05  # seconds by which the tick grows: what has about as many viewers keeps its moments


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How often a subject is looked at, in seconds."""

    tick: float = 0.2  # between two frames, at least; longer where the view says so
    crowded: float = 0.4  # the same with very many viewers: 2 Hz, also where one in five is missed
    look: float = 0.05  # between two looks at whether a file changed: cheap, so a frame is fresh
    check: float = 1.0  # between two looks at whether the worker lives
    ended: float = 2.0  # between two looks at what has ended
    retry: float = 1.0  # after a failure
    idle: float = 30.0  # without viewers before a subject is let go
    clock: Callable[[], float] = time.monotonic

    def tick_for(self, viewers: int) -> float:
        """Seconds between two frames: longer the more there are who look.

        With 400 viewers a message to each costs some 40 ms of a core. Five times a second that
        leaves little room for other work; half as often it does, and nobody falls behind.
        """
        crowd = min(1.0, max(0.0, (viewers - FEW) / (MANY - FEW)))
        if not crowd:
            return self.tick
        grown = self.tick + crowd * (self.crowded - self.tick)
        return max(self.tick, min(self.crowded, STEP * math.ceil(round(grown / STEP, 6))))

    def between(self, every: float, viewers: int) -> float:
        """Seconds between two frames of a view that is shown at most that often: whole ticks."""
        tick = self.tick_for(viewers)
        return tick * max(1, math.ceil(round(every / tick, 6)))

    def until_next(self, interval: float, begun: float) -> float:
        """Seconds until the next moment, a multiple of the interval, after a look that began then.

        Where that look took longer than to the next moment, a little rest: what is late is not made
        later still.
        """
        due = (begun // interval + 1) * interval
        if due - begun < SHORTEST * interval:
            due += interval
        return max(due - self.clock(), SHORTEST * interval)


USUAL = Pace()
