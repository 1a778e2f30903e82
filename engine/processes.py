"""The process of a run: known again by its id and its beginning, and whether it still works.

An id alone is given to others in time, and the clock may be set while a process lives. So where the
system tells it, a process is known by when it began after the machine did, which no clock changes.
"""

import contextlib
import os
import signal
import time
from pathlib import Path

import psutil

from engine import store
from engine.errors import EngineError

HUNG_S = 60.0  # without a sign of life: then a worker is taken for hung
LOOK_S = 5.0  # between two looks for one: each costs some 2 ms
LEAST_CPU_S = 0.02  # of computing between two looks: less is none
PROGRAM = "engine.worker"


def environment() -> dict[str, str]:
    """This process's environment for one that it starts, without the dashboard's keys: it needs none."""
    return {name: value for name, value in os.environ.items() if not _is_key(name)}


def _is_key(name: str) -> bool:
    return name.startswith("VGLAB_") and name.endswith("_KEY")


def begun(pid: int) -> float:
    """When a process began: seconds after the machine did, else since 1970. Raises psutil.Error."""
    since_boot = _begun_after_boot(pid)
    return float(psutil.Process(pid).create_time()) if since_boot is None else since_boot


def is_alive(pid: int | None, started: float | None) -> bool:
    """Whether the process of that id is still the one that began then, by `begun` or since 1970."""
    if pid is None or started is None:
        return False
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        if _begun_after_boot(pid) == started:
            return True
        return abs(float(process.create_time()) - started) < 1
    except psutil.Error:
        return False


def exists(pid: int | None) -> bool:
    """Whether there is a process of that id, whichever; one that was killed and not seen off is none."""
    try:
        return pid is not None and bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _begun_after_boot(pid: int) -> float | None:
    """Read from Linux's /proc; None elsewhere."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name in brackets may hold anything, brackets too; the 22nd field counts from before it.
    return int(stat.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")


def command(server: int) -> list[str]:
    """How a worker of the process `server` is called, behind the interpreter."""
    return ["-m", PROGRAM, str(server)]


def is_orphan(pid: int) -> bool:
    """Whether a process is a worker whose server is gone: another is its parent now."""
    with contextlib.suppress(psutil.Error, ValueError):
        process = psutil.Process(pid)
        *_, module, server = process.cmdline()
        parent = process.parent()
        return module == PROGRAM and (parent is None or parent.pid != int(server))
    return False


def kill(pid: int) -> None:
    """End a worker that obeys no more; nothing else, whatever a file says of the id."""
    with contextlib.suppress(psutil.Error, OSError):
        process = psutil.Process(pid)
        if PROGRAM in process.cmdline():
            process.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))


class Pulse:
    """Whether the process of a run still works.

    A single step may take minutes, so that silence in the file says nothing: a worker is hung that
    neither writes nor computes, for HUNG_S. One that is paused does neither, and is not hung unless
    orders lie before it. Whatever it does, it is also given up where it has not obeyed a stop as long.

    file, pid  of the run and its process
    """

    def __init__(self, file: Path, pid: int):
        self.file, self.pid = file, pid
        self.silent = self.disobeyed = 0.0  # seconds
        self._looked = time.monotonic()
        self._cpu, self._said = -1.0, ""

    def is_hung(self) -> bool:
        """Whether it is to be ended. Looks every LOOK_S at most; asked in between it says no."""
        passed = time.monotonic() - self._looked
        if passed < LOOK_S:
            return False
        self._looked += passed
        # The machine may have slept, and the worker with it: a long pause counts as one look.
        passed = min(passed, 2 * LOOK_S)
        said, orders, paused = self._read()
        cpu = self._computed()
        works = said != self._said or cpu - self._cpu >= LEAST_CPU_S
        self._said, self._cpu = said, cpu
        self.silent = 0.0 if works or (paused and not orders) else self.silent + passed
        self.disobeyed = self.disobeyed + passed if "stop" in orders else 0.0
        return max(self.silent, self.disobeyed) >= HUNG_S

    def words(self, step: int) -> str:
        """The sentence for a run that was ended for this."""
        return (
            f"Ended at step {step}: for {HUNG_S:.0f} seconds its worker "
            f"{'obeyed no order' if self.disobeyed >= HUNG_S else 'gave no sign of life'}. "
            "What it recorded is kept."
        )

    def _read(self) -> tuple[str, list[str], bool]:
        """What its file says of it; the orders it has not taken; whether it is paused."""
        try:
            with store.Reader(self.file) as reader:
                info, orders = reader.run(), reader.orders()
        except EngineError:
            return self._said, [], False
        return f"{info.heartbeat} {info.activity}", orders, info.status == store.PAUSED

    def _computed(self) -> float:
        try:
            times = psutil.Process(self.pid).cpu_times()
        except psutil.Error:
            return self._cpu
        return float(times.user + times.system)
