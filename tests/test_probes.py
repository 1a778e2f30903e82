"""The server's side of the probe, with a made-up program: it crashes, is idle, is asked too much."""

import json
import os
import sys
import time

import numpy as np
import psutil
import pytest

from engine import runs
from engine.spec import RunSpec
from ui import probes as module
from ui.probes import Probes, decisive, kernel_in

#: Answers `seeds` with `count` lines and then `done`, a line for each that is written to `go`;
#: `kernel` at once, `backward` by dying.
PROGRAM = """
import json, os, sys, threading, time
say = lambda told: print(json.dumps(told), flush=True)
say({})
log = open(os.environ["PROBE_LOG"], "a")
for line in sys.stdin:
    asked = json.loads(line)
    print(json.dumps(asked), file=log, flush=True)
    number, kind = asked["id"], asked["kind"]
    if kind == "backward":
        os._exit(3)
    if kind == "kernel":
        say({"id": number, "delta_rms": [0.5, float("nan")], "environment": os.environ["MKL_CBWR"]})
    if kind == "seeds":
        for seed in range(asked["count"]):
            say({"id": number, "seed": seed})
        if asked["count"] > 9:  # too many: these go on for ever
            continue
    if kind != "cancel":
        say({"id": number, "done": True})
"""


@pytest.fixture
def log(tmp_path, monkeypatch):
    monkeypatch.setenv("PROBE_LOG", str(tmp_path / "log"))

    def heard():
        told = (tmp_path / "log").read_text().splitlines() if (tmp_path / "log").exists() else []
        return [json.loads(line) for line in told]

    return heard


@pytest.fixture
def probes(log):
    """Asks the made-up program."""
    made = Probes((sys.executable, "-c", PROGRAM))
    yield made
    made.stop()


def until(what, seconds=20):
    deadline = time.monotonic() + seconds
    while not (value := what()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.01)
    return value


def answered(probes, *asked, **more):
    """The answer, when it is done."""
    return until(lambda: (found := probes.ask(*asked, **more)).done and found)


def test_asking_never_waits_and_the_answer_comes(probes):
    first = probes.ask("kernel", RunSpec())
    assert not first.done
    assert not first.begun
    found = answered(probes, "kernel", RunSpec())
    (row,) = found.rows
    assert np.array_equal(row["delta_rms"], [0.5, np.nan], equal_nan=True)
    assert row["environment"] == runs.SAME_BITS["MKL_CBWR"]
    assert found.begun
    assert not found.error


def test_lines_come_one_by_one_and_the_same_question_is_asked_once(probes, log):
    found = answered(probes, "seeds", RunSpec(), count=5)
    assert [row["seed"] for row in found.rows] == [0, 1, 2, 3, 4]
    other = RunSpec(learning_rate=0.5, optimizer="adam", seed=7, epochs=3)  # all else is the same
    assert answered(probes, "seeds", other, count=5).rows == found.rows
    assert len(log()) == 1
    answered(probes, "seeds", RunSpec(depth=3), count=5)
    assert len(log()) == 2


def test_a_newer_question_of_a_viewer_ends_the_older_one(probes, log):
    specs = [RunSpec(depth=depth) for depth in (1, 2)]
    until(lambda: probes.ask("seeds", specs[0], viewer="me", count=30).rows)
    until(lambda: probes.ask("seeds", specs[1], viewer="me", count=30).rows)
    until(lambda: [one for one in log() if one["kind"] == "cancel"])
    assert [(one["id"], one["kind"]) for one in log()] == [
        (1, "seeds"),
        *((1, "cancel"), (2, "seeds")),
    ]


def test_a_question_that_others_wait_for_is_not_ended(probes, log):
    specs = [RunSpec(depth=depth) for depth in (1, 2)]
    for viewer in ("me", "you"):
        until(lambda viewer=viewer: probes.ask("seeds", specs[0], viewer=viewer, count=30).rows)
    until(lambda: probes.ask("seeds", specs[1], viewer="me", count=30).rows)
    assert "cancel" not in [one["kind"] for one in log()]


def test_a_question_that_nobody_asks_any_more_is_given_up(probes, log, monkeypatch):
    monkeypatch.setattr(module, "UNASKED_S", 0.2)
    monkeypatch.setattr(module, "TICK_S", 0.05)
    until(lambda: probes.ask("seeds", RunSpec(), count=30).rows)
    until(lambda: [one for one in log() if one["kind"] == "cancel"])
    assert not probes.questions


def test_a_process_that_dies_is_started_anew_and_says_so(probes, log):
    until(lambda: probes.ask("seeds", RunSpec(), count=30).rows)
    probes.process.kill()
    again = until(lambda: (found := probes.ask("seeds", RunSpec(), count=30)).note and found)
    assert again.note == "The measuring process ended unexpectedly and was started anew."
    assert not again.error
    until(lambda: len(log()) == 2)
    until(lambda: len(probes.ask("seeds", RunSpec(), count=30).rows) >= 30)
    time.sleep(0.2)
    rows = probes.ask("seeds", RunSpec(), count=30).rows
    assert [row["seed"] for row in rows] == list(range(30)), "each once"


def test_a_question_that_kills_the_process_twice_is_refused_and_others_are_answered(probes, log):
    found = answered(probes, "backward", RunSpec())
    assert found.error == "The measuring process ended unexpectedly (code 3)."
    assert [one["kind"] for one in log()] == ["backward", "backward"]
    assert answered(probes, "kernel", RunSpec()).rows


def test_it_ends_when_nobody_asks_and_comes_back(log, monkeypatch):
    monkeypatch.setattr(module, "TICK_S", 0.05)
    probes = Probes((sys.executable, "-c", PROGRAM), idle_s=0.3)
    answered(probes, "kernel", RunSpec())
    process = psutil.Process(probes.process.pid)
    until(lambda: not process.is_running())
    until(lambda: probes.thread is None)
    assert answered(probes, "kernel", RunSpec()).rows, "what was answered is kept"
    assert answered(probes, "kernel", RunSpec(depth=2)).rows
    probes.stop()


def test_it_ends_with_the_server_and_says_so(probes):
    answered(probes, "kernel", RunSpec())
    process = psutil.Process(probes.process.pid)
    probes.stop()
    assert not process.is_running()
    assert probes.ask("kernel", RunSpec(depth=2)).error == "The server is stopping."


def test_a_program_that_is_not_there_is_a_sentence():
    probes = Probes(("/nowhere/python",))
    assert "cannot be started" in answered(probes, "kernel", RunSpec()).error
    probes.stop()


def test_what_is_kept_is_bounded(probes, monkeypatch):
    monkeypatch.setattr(module, "KEPT", 3)
    for depth in range(1, 7):
        answered(probes, "kernel", RunSpec(depth=depth))
    assert len(probes.questions) == 3


def test_a_batch_is_asked_for_once_whatever_is_made_of_it():
    plain = decisive("kernel", RunSpec(init="normal"))
    same = RunSpec(init="normal", std=3, activation="relu", skip="every", norm="layer")
    assert decisive("kernel", same) == plain
    for other in ({"seed": 1}, {"depth": 3}, {"norm": "batch"}, {"init": "pytorch"}):
        assert decisive("kernel", same.changed(other)) != plain
    assert RunSpec(**decisive("seeds", RunSpec(norm="batch", gradient_rule="clip_norm")))


def test_the_real_program_answers():
    """Through the real process: a kernel, its gram included, and seeds."""
    made = Probes()
    try:
        spec = RunSpec(norm="batch", depth=2)
        kernel = kernel_in(until(lambda: made.ask("kernel", spec).rows, 120)[0])
        assert kernel.batch_size == 64
        assert kernel.gram.shape == (64, 64)
        assert np.trace(kernel.gram) / 64 == pytest.approx(kernel.variance, rel=1e-5)
        found = until(lambda: (one := made.ask("seeds", spec, count=2)).done and one)
        assert [row["seed"] for row in found.rows] == [1, 2]
        assert all(row["delta_rms"].shape == (3,) for row in found.rows)
        assert os.getpgid(made.process.pid) != os.getpgid(0), "Ctrl-C must not reach it"
    finally:
        made.stop()
