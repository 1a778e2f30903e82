"""The server's side of engine/probe.py: one warm process that measures, and its answers, kept.

The process starts with the first question, ends after some idle minutes and with the server, and
is started anew where it ended by itself. Nothing here waits for it: `ask` says what there is.
"""

import base64
import contextlib
import json
import logging
import subprocess
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine import processes, runs
from engine.records import InputKernel
from engine.spec import RunSpec
from ui import words

log = logging.getLogger(__name__)
COMMAND = (sys.executable, "-m", "engine.probe")
IDLE_S = 300.0  # without a question, until the process ends
KEPT = 32  # answers, finished or not; at most 0.3 MB each, of the deepest networks
UNASKED_S = 5.0  # without being asked for, until a long measurement is given up
FAULT_S = 5.0  # until a question that met a dead process twice may be asked anew
TRIES = 2
TICK_S = 0.5
NOT_ANEW = "This network is not measured yet: only the presenter has new ones measured."
#: What of a spec decides the first batch, and with more the first step.
FIRST_BATCH = ("data", "subset", "batch_size", "seed", "depth", "width", "init", "schedule")
FIRST_STEP = (
    *FIRST_BATCH,
    *("activation", "std", "gain", "norm", "norm_position", "skip", "skip_every"),
    *("gradient_rule", "threads"),
)

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What is known of a question by now."""

    rows: tuple[Row, ...] = ()  # as engine/probe.py tells them; lists of numbers are arrays
    done: bool = False
    error: str = ""  # why there is nothing, or no more, in one sentence
    note: str = ""  # what happened on the way
    begun: bool = False  # whether the process is there and warm


@dataclass
class _Question:
    number: int
    request: Row
    viewers: set[str] = field(default_factory=set)
    rows: list[Row] = field(default_factory=list)
    done: bool = False
    error: str = ""
    note: str = ""
    sent: bool = False
    tries: int = 0
    asked_at: float = 0.0  # time.monotonic of the last `ask`
    anew_at: float = 0.0  # from when on it is asked anew; 0: never


class Probes:
    """Questions to the measuring process. Thread-safe.

    command  the program
    idle_s   seconds without a question until it ends
    """

    def __init__(self, command: Sequence[str] = COMMAND, idle_s: float = IDLE_S):
        self.command, self.idle_s = tuple(command), idle_s
        self.lock = threading.Condition()
        self.questions: OrderedDict[str, _Question] = OrderedDict()
        self.process: subprocess.Popen[bytes] | None = None
        self.ready = False
        self.thread: threading.Thread | None = None
        self.number = 0
        self.stopping = False
        self.asked_at = 0.0

    def ask(
        self, kind: str, spec: RunSpec, *, viewer: str = "", anew: bool = True, **more: Any
    ) -> Answer:
        """What is known by now; ask again until it is `done`. Never waits.

        viewer  who asks: a newer question of that kind ends the same viewer's older one
        anew    whether it may be measured now; otherwise only what others have had measured is told
        """
        request = {"kind": kind, "spec": decisive(kind, spec)} | more
        key = json.dumps(request, sort_keys=True)
        with self.lock:
            if not anew:
                return self._answer(self.questions.get(key))
            if self.stopping:
                return Answer(done=True, error="The server is stopping.")
            self.asked_at = now = time.monotonic()
            question = self.questions.get(key)
            self._supersede(key, kind, viewer)
            if question is None or (question.anew_at and now > question.anew_at):
                self.number += 1
                question = _Question(self.number, request)
                self.questions[key] = question
            question.asked_at = now
            question.viewers |= {viewer}
            self.questions.move_to_end(key)
            while len(self.questions) > KEPT:
                self._drop(next(iter(self.questions)))
            if self.thread is None:
                self.thread = threading.Thread(target=self._loop, name="probes", daemon=True)
                self.thread.start()
            self.lock.notify_all()
            return self._answer(question)

    def _answer(self, question: _Question | None) -> Answer:
        if question is None:
            return Answer(done=True, error=NOT_ANEW)
        return Answer(
            rows=tuple(question.rows),
            done=question.done,
            error=question.error,
            note=question.note,
            begun=self.ready and self.process is not None,
        )

    def stop(self) -> None:
        """End the process, by force where need be. Blocks for a second at most."""
        with self.lock:
            self.stopping = True
            self.lock.notify_all()
        if self.thread is not None:
            self.thread.join(2.0)
        self._end()

    def _supersede(self, key: str, kind: str, viewer: str) -> None:
        """End what this viewer has asked before, unless others wait for it too."""
        for other, question in list(self.questions.items()):
            if viewer and other != key and question.request["kind"] == kind:
                question.viewers.discard(viewer)
                if not question.done and not question.viewers:
                    self._drop(other)

    def _drop(self, key: str) -> None:
        question = self.questions.pop(key)
        if question.sent and not question.done:
            self._write({"id": question.number, "kind": "cancel"})

    # -- the process, in a thread of its own --------------------------------------------------

    def _loop(self) -> None:
        while True:
            with self.lock:
                if self.stopping:
                    return
                if self.process is not None and self.process.poll() is not None:
                    self._mourn(self.process.poll())
                self._give_up_unasked()
                waiting = [one for one in self.questions.values() if not one.done]
                idle = time.monotonic() - self.asked_at > self.idle_s
                if self.process is None and not waiting and idle:
                    self.thread = None
                    return
            if self.process is None and waiting:
                self._start()
            elif self.process is not None and not waiting and idle:
                self._end()
            with self.lock:
                waiting = [one for one in self.questions.values() if not one.done]
                for question in waiting:  # also those asked meanwhile
                    question.sent = question.sent or self._write(
                        {"id": question.number} | question.request
                    )
                if not self.stopping and (self.process is not None or not waiting):
                    self.lock.wait(TICK_S)

    def _start(self) -> None:
        try:
            process = subprocess.Popen(
                self.command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                cwd=Path(__file__).parents[1],
                env=processes.environment() | runs.SAME_BITS,
                start_new_session=True,  # Ctrl-C in the terminal reaches the server, which ends us
            )
        except OSError as error:
            with self.lock:
                for question in self.questions.values():
                    self._fail(question, f"The measuring process cannot be started: {error}.")
            return
        with self.lock:
            self.process, self.ready = process, False
        threading.Thread(target=self._listen, args=(process,), daemon=True).start()

    def _end(self) -> None:
        with self.lock:
            process, self.process = self.process, None
        if process is None:
            return
        with contextlib.suppress(OSError):
            process.stdin.close()  # type: ignore[union-attr]  # a pipe; its end is the order to go
        try:
            process.wait(1.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _listen(self, process: "subprocess.Popen[bytes]") -> None:
        assert process.stdout is not None
        for line in process.stdout:
            with self.lock:
                if process is self.process:
                    self._hear(json.loads(line))
        with self.lock:
            self.lock.notify_all()  # it has gone; the loop sees how

    def _hear(self, told: Row) -> None:
        if not told:
            self.ready = True
            return
        number = told.pop("id")
        question = next((one for one in self.questions.values() if one.number == number), None)
        if question is None:  # given up meanwhile
            return
        question.done = told.pop("done", False)
        question.error = told.pop("error", "")
        if told:
            question.rows.append(_as_arrays(told))

    def _write(self, request: Row) -> bool:
        if self.process is None:
            return False
        try:
            assert self.process.stdin is not None
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:  # it has gone
            return False
        return True

    def _mourn(self, code: int | None) -> None:
        """Ask once more what the process left open, but not for ever."""
        log.error("The measuring process ended with code %s", code)
        process, self.process = self.process, None
        if process is not None and process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        for question in self.questions.values():
            if question.done:
                continue
            question.tries += 1
            question.sent, question.rows = False, []
            question.note = "The measuring process ended unexpectedly and was started anew."
            if question.tries >= TRIES:
                self._fail(question, f"The measuring process ended unexpectedly (code {code}).")

    @staticmethod
    def _fail(question: _Question, sentence: str) -> None:
        if not question.done:
            question.done, question.error = True, sentence
            question.anew_at = time.monotonic() + FAULT_S

    def _give_up_unasked(self) -> None:
        late = time.monotonic() - UNASKED_S
        for key, question in list(self.questions.items()):
            if not question.done and question.asked_at < late and self.ready:
                self._drop(key)


def decisive(kind: str, spec: RunSpec) -> Row:
    """The fields that decide the answer, so that specs that differ elsewhere share it."""
    whole = spec.model_dump()
    if kind == "kernel":
        norm = {"norm": "batch"} if spec.norm == "batch" else {}
        return {name: whole[name] for name in FIRST_BATCH} | norm
    told = {name: whole[name] for name in FIRST_STEP if words.matters(name, whole)}
    if kind == "seeds":
        del told["seed"]
    if spec.gradient_rule in ("clip_norm", "clip_value"):  # they cut what has been measured
        del told["gradient_rule"]
    return told


def kernel_in(row: Mapping[str, Any]) -> InputKernel:
    """The InputKernel of a `kernel` row."""
    told = dict(row["kernel"])
    if told["gram"] is not None:
        labels = np.frombuffer(base64.b64decode(told["labels"]), np.uint16)
        gram = np.frombuffer(base64.b64decode(told["gram"]), np.float32)
        told |= {"gram": gram.reshape(len(labels), len(labels)), "labels": labels}
    return InputKernel(**told)


def _as_arrays(row: Row) -> Row:
    """Lists of numbers as arrays: an eighth of the memory."""
    return {
        name: np.array(value, np.float64) if _is_numbers(value) else value
        for name, value in row.items()
    }


def _is_numbers(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(x) is float for x in value)


#: The server's; app.py ends it.
probes = Probes()
