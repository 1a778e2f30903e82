"""Sets of runs trained from a shell: through the same queue and workers as the dashboard's.

A server on the same library may take some of them; either may, and each run is trained once.
"""

import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial

from engine import contenders, runs, store
from engine.errors import EngineError
from engine.limits import workers_of_a_set
from engine.outcomes import Measure, Outcome
from engine.supervisor import Supervisor

TICK_S = 0.2
CHECK_S = 1.0  # between looks for workers that are gone
STOP_S = 5.0  # how long a stopped run has to write its end


class Party:
    """The runs that a command waits for, by group, and how far they are.

    groups  ids of groups or of single runs
    """

    def __init__(self, groups: Sequence[str]):
        self.members = {group: contenders.members(group) for group in groups}
        self.measures: dict[str, Measure] = {}
        for run in (run for seeds in self.members.values() for run in seeds):
            with suppress(EngineError):  # deleted meanwhile
                self.measures[run] = Measure(runs.path(run), partial(runs.info, run))
        self.missing: list[str] = []  # a sentence for each that was deleted or cannot be read
        self._checked = 0.0

    def refresh(self) -> None:
        """Read what is new of all."""
        now = time.monotonic()
        is_time = now - self._checked >= CHECK_S
        self._checked = now if is_time else self._checked
        for run, measure in list(self.measures.items()):
            try:
                measure.refresh()
                if is_time and not measure.ended:
                    measure.check()
            except EngineError as error:
                del self.measures[run]
                self.missing.append(str(error))

    def outcomes(self, group: str | None = None) -> list[Outcome]:
        """Of all runs, or of a group's."""
        asked = self.measures if group is None else self.members[group]
        return [self.measures[run].outcome for run in asked if run in self.measures]

    def has_ended(self, group: str | None = None) -> bool:
        return all(outcome.status not in store.OPEN for outcome in self.outcomes(group))


def train(
    party: Party, workers: int | None, watch: Callable[[], None], ours: Sequence[str]
) -> bool:
    """Work until all of a party's runs have ended; whether it was left alone to do so.

    workers  how many train at once; VGLAB_WORKERS or one per core for None
    watch    called after each look
    ours     groups whose runs Ctrl-C stops; the others were started elsewhere
    """
    supervisor = Supervisor(
        workers or workers_of_a_set(), takes=party.measures.__contains__, spares=False
    )
    supervisor.start()
    try:
        with interrupted_by_all():
            while True:
                party.refresh()
                watch()
                if party.has_ended():
                    return True
                time.sleep(TICK_S)
    except KeyboardInterrupt:
        asked = [run for group in ours for run in party.members[group]]
        stop(asked)
        supervisor.stop()
        wait_for_end(asked)
        return False
    finally:
        supervisor.stop()
        party.refresh()


def stop(asked: Sequence[str]) -> None:
    """Ask these runs to stop. What they recorded is kept."""
    # From the last backwards: of those that wait, none begins because another has ended.
    for run in reversed(asked):
        with suppress(EngineError):
            if runs.info(run).status in store.OPEN:
                runs.send(run, "stop")
            if runs.info(run).status == store.QUEUED:  # its worker is not even warm
                runs.end_open(runs.path(run), store.STOPPED, "Stopped before it began.")


def wait_for_end(asked: Sequence[str]) -> None:
    """Until these runs have ended, those that a server trains too, but no longer than STOP_S."""
    deadline = time.monotonic() + STOP_S
    while time.monotonic() < deadline and any(map(_is_open, asked)):
        time.sleep(0.05)


def _is_open(run: str) -> bool:
    try:
        return runs.info(run).status in store.OPEN
    except EngineError:
        return False


@contextmanager
def interrupted_by_all() -> Iterator[None]:
    """Within it, a signal that asks to end is a KeyboardInterrupt, as Ctrl-C is."""
    names = [name for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    before = {name: signal.getsignal(getattr(signal, name)) for name in names}
    for name in names:
        signal.signal(getattr(signal, name), signal.default_int_handler)
    try:
        yield
    finally:
        for name in names:
            signal.signal(getattr(signal, name), before[name])
