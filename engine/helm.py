"""A run's orders: what to stop for, where to pause, which changes are due at a step.

It reads them from the run's file, where pages and other programs leave them; the worker asks.
"""

from collections.abc import Callable
from typing import Any

from engine.run_info import Command
from engine.steering import Change, read_json
from engine.store import Writer


class Helm:
    """What the orders given so far ask for.

    writer  of the run's file
    stop    called when asked to stop
    """

    def __init__(self, writer: Writer, stop: Callable[[], None]):
        self.writer, self.stop = writer, stop
        self.pause_at: int | None = None  # the step before which to wait; None: go on
        self.pauses_at_epoch = False  # whether to wait before the next epoch
        self._by_hand_until = 0  # steps below this one are taken by hand
        self._by_hand_at = -1  # the last one of them that was asked about
        self._now: list[Change] = []  # due before the next step
        self._later: list[tuple[int, Change, Command]] = []  # by step
        self._newest = 0  # id of the newest order that was read

    def look(self, step: int) -> None:
        """Read the new orders; `step` is the next one to be taken."""
        if not self.writer.is_told():
            return
        for command in self.writer.new_commands(self._newest):
            self._newest = command.id
            ORDERS[command.command](self, step, command)
            if "at" not in command.arguments:
                self.writer.taken(command, step)

    def is_paused(self, step: int) -> bool:
        """Whether to wait before this step."""
        return self.pause_at is not None and step >= self.pause_at

    @property
    def by_hand(self) -> bool:
        """Whether single steps are taken: after them it waits again."""
        return self.pause_at is not None

    def epoch_ends(self, step: int) -> None:
        """Note that an epoch has ended before this step."""
        if self.pauses_at_epoch:
            self.pause_at, self.pauses_at_epoch = step, False

    def due(self, step: int) -> list[Change]:
        """The changes to make before this step, each told once."""
        found, self._now = self._now, []
        while self._later and self._later[0][0] <= step:
            _, change, command = self._later.pop(0)
            self.writer.taken(command, step)
            found.append(change)
        if step < self._by_hand_until and step != self._by_hand_at and not self.is_paused(step):
            self._by_hand_at = step
            if not any(change.kind == "look" for change in found):
                found.append(Change(kind="look"))
        return found

    def _pause(self, step: int, command: Command) -> None:
        self.pause_at, self.pauses_at_epoch = step, False

    def _resume(self, step: int, command: Command) -> None:
        self.pause_at, self.pauses_at_epoch = None, False

    def _step(self, step: int, command: Command) -> None:
        """One more, however many have been asked for and not been taken."""
        self.pause_at = max(step, self.pause_at or 0) + 1
        self._by_hand_until, self.pauses_at_epoch = self.pause_at, False

    def _epoch(self, step: int, command: Command) -> None:
        self.pause_at, self.pauses_at_epoch = None, True

    def _change(self, step: int, command: Command) -> None:
        change = read_json(command.arguments["change"])
        if "at" in command.arguments:
            self._later.append((int(command.arguments["at"]), change, command))
            self._later.sort(key=lambda one: one[0])  # stable: those of one step stay in order
        else:
            self._now.append(change)

    def _stop(self, step: int, command: Command) -> None:
        self.stop()


Order = Callable[[Helm, int, Command], Any]
#: What an order is called -> what it does.
ORDERS: dict[str, Order] = {
    "pause": Helm._pause,
    "resume": Helm._resume,
    "step": Helm._step,
    "epoch": Helm._epoch,
    "change": Helm._change,
    "stop": Helm._stop,
}
