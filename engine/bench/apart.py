"""Measurements in a process of their own, turn by turn.

What is measured here depends on what was set before torch was imported, and two ways of doing a
thing are compared turn by turn: one does an epoch, then the other, so that drift cancels. So each
is a function in a process of its own, which is given `tell`: a call of it hands a value over, and
comes back when the next is asked for.
"""

import contextlib
import importlib
import json
import os
import subprocess
import sys
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Self

from engine.errors import EngineError, RunError

ROOT = Path(__file__).parents[2]


Tell = Callable[[Any], None]


class Apart:
    """A function of this package, run by a process of its own.

    call         "module:function" within engine.bench; the function's first argument is `tell`
    arguments    its others, as JSON can hold them
    environment  that the process has beside ours, as engine.runs.SAME_BITS
    """

    def __init__(self, call: str, arguments: Mapping[str, Any], environment: Mapping[str, str]):
        self.call = call
        self.process = subprocess.Popen(
            [sys.executable, "-m", "engine.bench.apart", call, json.dumps(dict(arguments))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
            env=os.environ | dict(environment),
            text=True,
        )
        self._is_ready = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ready(self) -> None:
        """Wait until it has imported what it needs. Raises RunError."""
        if not self._is_ready:
            self._is_ready = True
            self._answer()

    def next(self) -> Any:
        """Its next value. Raises RunError where the process could not give one."""
        self.ready()
        assert self.process.stdin is not None
        with contextlib.suppress(OSError):  # then there is no answer either
            self.process.stdin.write("\n")
            self.process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self.process.stdout is not None
        try:
            answer = json.loads(self.process.stdout.readline())
        except ValueError:
            raise RunError(f"The process that measures {self.call} ended early.") from None
        if "error" in answer:
            raise RunError(answer["error"])
        return answer["value"]

    def close(self) -> None:
        """End the process."""
        let_end(self.process)


def let_end(process: "subprocess.Popen[str]") -> None:
    """End a program that ends when its stdin closes; by force where it does not."""
    assert process.stdin is not None
    with contextlib.suppress(OSError):
        process.stdin.close()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


def once(call: str, arguments: Mapping[str, Any], environment: Mapping[str, str]) -> Any:
    """The first value of such a function. Raises RunError."""
    with Apart(call, arguments, environment) as process:
        return process.next()


class _EnoughError(BaseException):
    """Nothing more is asked for: the function is left where it stands."""


def main() -> None:
    """Call the function, once it is asked for a value; end when nothing more is asked for."""
    call, arguments = sys.argv[1:3]
    said, sys.stdout = sys.stdout, sys.stderr  # whatever else prints must not be taken for ours
    module, _, name = call.partition(":")

    def answer(kind: str, value: Any) -> None:
        print(json.dumps({kind: value}), file=said, flush=True)
        if not sys.stdin.readline():
            raise _EnoughError

    with contextlib.suppress(_EnoughError, KeyboardInterrupt):  # who pressed Ctrl-C knows
        try:
            function = getattr(importlib.import_module(f"engine.bench.{module}"), name)
            answer("value", None)  # it is ready
            function(partial(answer, "value"), **json.loads(arguments))
        except EngineError as error:
            answer("error", str(error))
        except Exception as error:  # told in the table, in place of what should have been measured
            traceback.print_exc()
            answer("error", f"It could not be measured: {type(error).__name__}: {error}.")


if __name__ == "__main__":
    main()
