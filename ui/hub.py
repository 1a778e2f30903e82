"""One reader per subject, one frame per tick, every viewer's bounded queue.

A subject is what can be looked at, by its name: a run, the seeds of a configuration, a difference,
a table (ui/subjects.py). The hub lives in the server's event loop; files are read in a thread. Each
watched subject has a task of its own, so one whose file is damaged stops nothing but itself. What
is looked at at the same moment (ui/pace.py) reaches a viewer in one message.
"""

import asyncio
import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import TypeVar

from engine.errors import EngineError, LimitError
from ui import frames
from ui.display import Display
from ui.pace import USUAL, Pace
from ui.views import View

T = TypeVar("T")
Opener = Callable[[], View]  # reads files; called in a thread, and again after a failure
log = logging.getLogger(__name__)
QUEUE = 4  # frames per viewer and subject that may wait to be sent
LOOKS = 5  # at a view that is shown less often, in the time between two of its displays
MOST_WATCHED = 500  # subjects at once: each has its arrays in memory, and a file that is read
RECENT = 8  # frames kept for viewers that poll
HOLD = 0.05  # seconds that frames may wait for those of other subjects looked at in the same moment


@dataclass(eq=False)
class Viewer:
    """One browser's feed: what waits to be sent to it, per subject."""

    waiting: dict[str, deque[bytes]] = field(default_factory=dict)
    ready: asyncio.Event = field(default_factory=asyncio.Event)
    beats: bool = False  # something is to be sent, be it empty
    rest: float = 0.0  # seconds between messages, at least; what comes meanwhile goes together

    def offer(self, subject: str, frame: bytes, snapshot: Callable[[], bytes]) -> None:
        """Queue a frame; where too many wait, drop them for one that makes up for all."""
        queue = self.waiting.setdefault(subject, deque())
        if len(queue) >= QUEUE:
            queue.clear()
            frame = snapshot()
        queue.append(frame)

    async def take(self) -> tuple[bytes, ...]:
        """Everything that waits, as soon as there is something."""
        await self.ready.wait()
        return self.taken()

    def taken(self) -> tuple[bytes, ...]:
        """Everything that waits, now."""
        self.ready.clear()
        found = tuple(frame for queue in self.waiting.values() for frame in queue)
        for queue in self.waiting.values():
            queue.clear()
        return found


class Round:
    """Who has been offered something while subjects are looked at: told once all have been.

    A message costs a socket more than the frames in it. One file that keeps its reader waiting
    holds the others up by HOLD at most.
    """

    def __init__(self) -> None:
        self._looking = 0
        self._offered: set[Viewer] = set()
        self._alarm: asyncio.TimerHandle | None = None

    @contextmanager
    def look(self) -> Iterator[None]:
        """Somebody looks at a subject, and hands out what is new of it."""
        self._looking += 1
        try:
            yield
        finally:
            self._looking -= 1
            self._perhaps()

    def offered(self, viewers: Iterable[Viewer]) -> None:
        """Something waits for these."""
        self._offered.update(viewers)
        self._perhaps()

    def _perhaps(self) -> None:
        if not self._looking:
            self._tell()
        elif self._offered and self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(HOLD, self._tell)

    def _tell(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        for viewer in self._offered:
            viewer.ready.set()
        self._offered.clear()


class Watch:
    """One subject, read once for all its viewers."""

    def __init__(self, subject: str, opener: Opener, pace: Pace, round: Round):
        self.subject, self.pace, self.round = subject, pace, round
        self._open = opener
        self.viewers: set[Viewer] = set()
        self.seq = 0
        self.recent: deque[tuple[int, bytes]] = deque(maxlen=RECENT)
        self.last_asked = time.monotonic()
        self.first_frame = asyncio.Event()
        self._view: View | None = None
        self._checked = 0.0  # time.monotonic
        self._alone = threading.Lock()  # one thread at a time at the files, also while they close
        self._shown = frames.NOTHING
        self._error = ""
        self._snapshot: tuple[int, bytes] = (-1, b"")

    @property
    def idle(self) -> bool:
        """Whether nobody has asked for this subject for a while."""
        return not self.viewers and time.monotonic() - self.last_asked > self.pace.idle

    async def follow(self) -> None:
        """Read and hand out frames until nobody looks any more; returns in the same breath then."""
        while not self.idle:
            try:
                begun = self.pace.clock()
                is_new = await self._next()
                await asyncio.sleep(self._rest(is_new, begun))
            except EngineError as error:
                self._tell(str(error))
                await asyncio.sleep(self.pace.ended)
            except Exception:  # a defect in showing one must not stop the feed of the others
                log.exception("%s cannot be shown; trying again", self.subject)
                self._tell("This cannot be shown just now; trying again.")
                await asyncio.sleep(self.pace.retry)

    async def _next(self) -> bool:
        """Look once, and hand out what there is to show; whether there was anything new."""
        # Opening a file may take a second: that, nobody waits for.
        together = nullcontext() if self._view is None or self._error else self.round.look()
        with together:
            display = await self._in_thread(self._look)
            if display is not None:
                self._publish(display)
        return display is not None

    async def _in_thread(self, work: Callable[[], T]) -> T:
        def alone() -> T:
            with self._alone:
                return work()

        return await asyncio.to_thread(alone)

    async def close(self) -> None:
        """Let go of the files, once nothing reads them."""
        await self._in_thread(self._close)

    def _look(self) -> Display | None:
        """What there is to show, where that is new: one visit to a thread for all of it."""
        if self._view is None or self._error:
            self._close()
            self._view = self._open()
            self._view.refresh()
            self._check()
            return self._view.display()
        changed = self._view.refresh()
        # Also while something is written all the time: of several runs it is one that writes.
        is_due = time.monotonic() - self._checked > self._wait(self.pace.check)
        if is_due and self._check():
            changed = True
        return self._view.display() if changed else None

    def _check(self) -> bool:
        assert self._view is not None
        self._checked = time.monotonic()
        return self._view.check()

    def _rest(self, is_new: bool, begun: float) -> float:
        """Seconds until the next look: after a frame longer than after nothing."""
        every = self._view.every if self._view else 0.0
        is_awaited = self._shown.header.get("drawn_step", 0) is None  # its first numbers, that is
        if is_new and not is_awaited:
            return self.pace.until_next(self.pace.between(every, len(self.viewers)), begun)
        return self._wait(self.pace.until_next(max(self.pace.look, every / LOOKS), begun))

    def _wait(self, seconds: float) -> float:
        return self.pace.ended if self._view is not None and self._view.ended else seconds

    def _publish(self, display: Display) -> None:
        full = self.seq == 0 or bool(self._error) or _loses(self._shown, display)
        change = frames.difference(frames.NOTHING if full else self._shown, display)
        self._shown, self._error = display, ""
        if not full and not change.header and not change.arrays:
            return
        self.seq += 1
        frame = frames.encode(change, run=self.subject, seq=self.seq, full=full, sent_at=_now())
        self._hand_out(frame)

    def _tell(self, words: str) -> None:
        if words == self._error:
            return
        self._error = words
        self.seq += 1
        self._hand_out(frames.sentence(self.subject, self.seq, words))

    def _hand_out(self, frame: bytes) -> None:
        self.recent.append((self.seq, frame))
        rest = self.pace.tick_for(len(self.viewers)) / 2
        for viewer in self.viewers:
            viewer.rest = rest
            viewer.offer(self.subject, frame, self.snapshot)
        self.round.offered(self.viewers)
        self.first_frame.set()

    def snapshot(self) -> bytes:
        """One frame that holds all there is, made once per number."""
        if self._snapshot[0] != self.seq:
            self._snapshot = (self.seq, self._encode_whole())
        return self._snapshot[1]

    def _encode_whole(self) -> bytes:
        if self._error:
            return frames.sentence(self.subject, self.seq, self._error)
        whole = frames.difference(frames.NOTHING, self._shown)
        return frames.encode(whole, run=self.subject, seq=self.seq, full=True, sent_at=_now())

    def since(self, seq: int) -> list[bytes]:
        """What a viewer lacks that has frame `seq`: the next ones, or one that holds all."""
        if seq == self.seq:
            return []
        missed = [frame for number, frame in self.recent if number > seq]
        return missed if len(missed) == self.seq - seq else [self.snapshot()]

    def _close(self) -> None:
        if self._view is not None:
            self._view.close()
            self._view = None


class Hub:
    """All subjects that are being looked at.

    find  subject -> what opens its view; raises EngineError, and is quick
    """

    def __init__(self, find: Callable[[str], Opener], pace: Pace = USUAL):
        self._find, self._pace, self._round = find, pace, Round()
        self._watches: dict[str, Watch] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    @property
    def watched(self) -> list[str]:
        """The subjects being read."""
        return list(self._watches)

    async def stop(self) -> None:
        """End all reading."""
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def watch(self, subject: str) -> Watch:
        """The watch of a subject, begun if need be. Raises EngineError where there is no such."""
        watch = self._watches.get(subject)
        if watch is None:
            if len(self._watches) >= MOST_WATCHED:
                raise LimitError(
                    f"{MOST_WATCHED} runs and comparisons are being watched already: try again later."
                )
            watch = Watch(subject, self._find(subject), self._pace, self._round)
            self._watches[subject] = watch
            self._tasks[subject] = asyncio.create_task(self._keep(watch), name=f"watch {subject}")
        watch.last_asked = time.monotonic()
        return watch

    async def _keep(self, watch: Watch) -> None:
        try:
            await watch.follow()
        finally:  # forgotten before anything is awaited: who asks now begins anew
            self._watches.pop(watch.subject, None)
            self._tasks.pop(watch.subject, None)
            await watch.close()

    def join(self, viewer: Viewer, subject: str) -> None:
        """Send a subject's frames to a viewer, beginning with all there is."""
        try:
            watch = self.watch(subject)
        except EngineError as error:
            frame = frames.sentence(subject, 0, str(error))
            viewer.offer(subject, frame, lambda: frame)
            viewer.ready.set()
            return
        watch.viewers.add(viewer)
        self.again(viewer, subject)

    def again(self, viewer: Viewer, subject: str) -> None:
        """Send all there is once more, to a viewer that has missed something."""
        watch = self._watches.get(subject)
        if watch is not None and viewer in watch.viewers and watch.seq:
            viewer.waiting.pop(subject, None)
            viewer.offer(subject, watch.snapshot(), watch.snapshot)
            viewer.ready.set()

    def leave(self, viewer: Viewer) -> None:
        """The viewer is gone."""
        for watch in self._watches.values():
            if viewer in watch.viewers:
                watch.viewers.discard(viewer)
                watch.last_asked = time.monotonic()

    async def since(self, subject: str, seq: int, patience: float = 2.0) -> list[bytes]:
        """What a polling viewer lacks after frame `seq`; waits for the first one."""
        try:
            watch = self.watch(subject)
        except EngineError as error:
            return [frames.sentence(subject, 0, str(error))]
        try:
            await asyncio.wait_for(watch.first_frame.wait(), patience)
        except TimeoutError:
            return []
        return watch.since(seq)


def _loses(old: Display, new: Display) -> bool:
    """Whether a viewer of `old` has something that `new` has not: a difference cannot take it back."""
    return not (old.arrays.keys() <= new.arrays.keys() and old.header.keys() <= new.header.keys())


def _now() -> int:
    return round(1000 * time.time())
