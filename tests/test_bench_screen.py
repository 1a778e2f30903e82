"""The benchmark of the screen: every field gets a number or a sentence, and nothing is left running."""

import json
import math
import os
import subprocess
import sys

import numpy as np
import psutil
import pytest
from browser import chromium, wait_for
from conftest import REPOSITORY, skip_or_fail

from engine import runs, store
from engine.bench import chromium as programs
from engine.bench import hall, recorders, screen, soak
from engine.bench.asked import Asked
from engine.bench.fields import of_part
from engine.bench.report import Result
from engine.bench.viewers import frames as headers
from engine.errors import RunError
from ui import frames, views

QUICK = Asked(quick=True)


def bench(*arguments):
    """A benchmark in its quick form, as from a shell."""
    return subprocess.Popen(
        [sys.executable, "-m", "engine", "bench", "--quick", "--json", *arguments],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def family(process):
    """A process and all that it has started, and these."""
    return [process, *process.children(recursive=True)]


def reported(part, *arguments):
    """What a benchmark prints, field by field; each field of its part is there."""
    process = bench(*arguments)
    printed, said = process.communicate(timeout=560)
    assert process.returncode == 0, said
    fields = json.loads(printed)["fields"]
    assert list(fields) == [field.name for field in of_part(part)]
    for name, found in fields.items():
        told = found["value"] is not None and math.isfinite(found["value"])
        assert told or found["note"].endswith("."), name
    return fields


@pytest.mark.browser
@pytest.mark.timeout(600)
def test_the_screen_is_measured_and_every_field_reported():
    if chromium() is None:
        skip_or_fail("no Chromium is installed here")
    fields = reported("screen", "--screen")
    without = {name: found["note"] for name, found in fields.items() if found["value"] is None}
    assert not without
    for count in (1, 2, 6):
        assert fields[f"charts_kept_{count}_runs"]["value"] == 1
        assert fields[f"newest_p50_s_{count}_runs"]["value"] > 0


def test_half_an_hour_is_measured_in_its_quick_form_without_a_browser():
    fields = reported("soak", "--soak")
    assert all(found["value"] is not None for found in fields.values())
    assert fields["soak_mb_most"]["value"] >= fields["soak_mb_end"]["value"] > 0
    assert fields["soak_hz"]["value"] > 0


@pytest.mark.browser
def test_a_full_hall_is_measured_in_its_quick_form():
    if chromium() is None:
        skip_or_fail("no Chromium is installed here")
    fields = reported("hall", "--hall")
    assert all(found["value"] is not None for found in fields.values()), fields
    assert fields["hall_hz"]["value"] > 0
    assert 0 < fields["hall_age_p50_end"]["value"] <= fields["hall_age_p95_end"]["value"]
    assert fields["hall_mb_most"]["value"] > 50


def test_who_ends_it_before_its_time_leaves_nothing_running():
    process = bench("--soak")
    started = psutil.Process(process.pid)
    try:
        wait_for(lambda: len(family(started)) >= 4, "server, recorder and viewers do not start")
        found = family(started)
    finally:
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode != 0
    wait_for(lambda: not any(one.is_running() for one in found), f"left running: {found}")


def test_without_a_module_every_field_says_what_to_install(monkeypatch):
    monkeypatch.setattr(programs.importlib.util, "find_spec", lambda name: None)
    for part, module in (("screen", screen), ("soak", soak), ("hall", hall)):
        results = list(module.measure(QUICK))
        assert [result.name for result in results] == [field.name for field in of_part(part)]
        for result in results:
            assert result.value is None
            assert "pip install -r requirements-bench.txt" in result.note


def test_what_fails_takes_nothing_else_with_it():
    def measure():
        yield Result(name="server_mb", value=1.0)
        raise RunError("It broke.")

    names = ["server_mb", "click_to_first_s"]
    found = {result.name: result for result in screen.told(QUICK, names, measure)}
    assert found["server_mb"].value == 1
    assert found["click_to_first_s"].note == "It broke."


def test_viewers_read_the_headers_of_a_message_s_frames_as_the_browser_does():
    whole = frames.difference(
        frames.NOTHING,
        views.Display(header={"step": 3, "measured_at": 5}, arrays={"a": np.arange(4.0)}),
    )
    sent = [frames.encode(whole, run=run, seq=1) for run in ("a", "a-longer-name")]
    sent.append(frames.sentence("c", 2, "Gone."))
    read = list(headers(frames.packed(sent)))
    assert read == [frames.decode(frame)[0] for frame in sent]


def test_recorders_go_on_until_they_are_ended(home):
    with recorders.Recorders(2, []) as recording:
        for run in recording.runs:
            before = runs.info(run).step
            wait_for(lambda run=run, before=before: runs.info(run).step > before, "it stands still")
    assert all(runs.info(run).status == store.STOPPED for run in recording.runs)


def test_growth_is_the_most_there_was_after_a_sixth_of_the_time_over_what_there_was_then():
    sizes = [90, 100, 100, 120, 110, 110, 110, 110, 110, 110, 110, 105]
    samples = [{"mb": float(size)} for size in sizes]
    found = {result.name: result.value for result in soak._grown(samples)}
    assert found == pytest.approx(
        {"soak_mb_early": 100, "soak_mb_end": 105, "soak_mb_most": 120, "soak_mb_growth": 20}
    )


def test_the_library_of_a_benchmark_is_its_own_and_gone_after_it(home, monkeypatch):
    monkeypatch.setenv("VGLAB_WORKERS", "3")
    with programs.own_library() as folder:
        assert runs.library().is_relative_to(folder)
        assert "VGLAB_WORKERS" not in os.environ
    assert not folder.exists()
    assert os.environ["VGLAB_HOME"] == str(home)
    assert os.environ["VGLAB_WORKERS"] == "3"
