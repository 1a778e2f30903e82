"""The engine from the shell: what it prints, and its exit codes."""

import json
import math
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import pytest
from typer.testing import CliRunner

from engine import contenders, foreground, presets, remedies, runs, store, verdict
from engine.__main__ import app
from engine.outcomes import COLUMNS, Measure
from engine.records import STATISTICS
from engine.spec import RunSpec

ROOT = Path(__file__).parents[1]
TINY = ["--set", "width=8", "--set", "depth=3", "--set", "device=cpu"]


def engine(*arguments, code=0):
    """What `python -m engine` does, in this process: checks its exit code; its stdout and stderr."""
    with patch.dict(os.environ):  # the arithmetic it chooses is for a process of its own
        done = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(done.exception, SystemExit | None), done.exception
    assert done.exit_code == code, done.stderr
    return done.stdout, done.stderr


def engine_alone(*arguments, code=0, **environment):
    """The same by a process of its own, as from a shell."""
    done = subprocess.run(
        [sys.executable, "-m", "engine", *map(str, arguments)],
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | environment,
        timeout=200,
    )
    assert done.returncode == code, done.stderr
    return done.stdout, done.stderr


def objects(text):
    return [json.loads(line) for line in text.splitlines()]


def test_the_published_first_epoch_comes_out_as_published(fashion_mnist):
    printed, _ = engine_alone(
        *[
            "run",
            "--preset",
            "better_optimizer",
            "--set",
            "data=fashion_mnist",
            "--set",
            "epochs=1",
        ],
        *["--set", "device=cpu", "--json"],
    )
    epoch, end = objects(printed)
    # One unit of the last printed digit, and its rounding: an EPYC gives 2.2326, a Xeon 2.2325.
    assert epoch["train_loss"] == pytest.approx(2.2326, abs=1.5e-4)
    assert f"{epoch['train_accuracy']:.4f}" == "0.1290"
    assert end["status"] == store.FINISHED


def test_a_run_prints_an_object_per_epoch_and_then_its_id():
    *epochs, end = objects(engine_alone("run", *TINY, "--set", "epochs=3", "--json")[0])
    wanted = [
        "epoch",
        "step",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
        "test_accuracy",
        "seconds",
    ]
    assert all(list(epoch) == wanted for epoch in epochs)
    assert [epoch["epoch"] for epoch in epochs] == [1, 2, 3]
    assert end["status"] == store.FINISHED
    layers = objects(engine("stats", end["run"], "--at", "0", "--json")[0])
    assert [row["layer"] for row in layers] == [1, 2, 3, 4]
    assert all(set(STATISTICS) <= set(row) for row in layers)
    with store.Reader(runs.path(end["run"])) as reader:
        scalars = reader.record(0).scalars
    assert layers[0]["grad_norm"] == scalars[0, 0]
    listed = objects(engine("list", "--json")[0])
    assert [row["run"] for row in listed] == [end["run"]]
    (shown,) = objects(engine("show", end["run"], "--json")[0])
    assert shown["spec"]["depth"] == 3
    assert shown["last_epoch"]["train_loss"] == epochs[-1]["train_loss"]
    assert end["run"] in engine("list")[0]
    assert "Finished after 66 steps." in engine("show", end["run"])[0]
    assert "grad_rms" in engine("stats", end["run"])[0]


def test_presets_and_remedies_are_all_listed():
    names = {row["name"] for row in objects(engine("presets", "--json")[0])}
    assert names == set(presets.PRESETS) | set(remedies.REMEDIES)


def test_a_run_that_diverges_ends_with_code_3_and_its_sentence():
    extra = [
        "--set",
        "depth=30",
        "--set",
        "init=normal",
        "--set",
        "std=100",
        "--set",
        "activation=relu",
        "--json",
    ]
    printed, sentence = engine_alone("run", *TINY, *extra, code=3)
    assert objects(printed)[-1]["status"] == store.DIVERGED
    assert sentence.startswith("Diverged at step ")
    run = objects(printed)[-1]["run"]
    rows = objects(engine("stats", run, "--json")[0])
    assert any(not math.isfinite(float(row["grad_rms"])) for row in rows), "shown, not dropped"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("run --set depth=0", "depth is 0; it must be a whole number from 1 to 100."),
        ("run --set depth=1000", "depth is 1000; it must be a whole number from 1 to 100."),
        ("run --set std=-1", "std is -1; it must be from 0.001 to 100."),
        ("run --set learning_rate=0", "learning_rate is 0; it must be from 1e-08 to 1000."),
        ("run --set learning_rate=nan", "learning_rate is nan; it must be from 1e-08 to 1000."),
        ("run --set activation=step", "activation is step; it must be one of sigmoid, tanh,"),
        ("run --set data=imagenet", "data is imagenet; it must be one of digits,"),
        ("run --set depth", "--set 'depth' names no field; it must be FIELD=VALUE"),
        ("run --preset nonsense", "preset is nonsense; it must be one of baseline,"),
        ("run --spec absent.json", "The spec file absent.json cannot be read:"),
        ("run --set norm=batch --set batch_size=1", "batch_size is 1; with norm=batch"),
        ("show 20260101-000000-abcd", "There is no run 20260101-000000-abcd"),
        ("stats nonsense", "'nonsense' is not a run's id"),
        ("ladder --form wild", "form is wild; it must be one of controlled, published, both."),
        ("ladder --seeds 21", "seeds is 21; it must be a whole number from 1 to 20."),
        ("ladder --set epochs=0", "epochs is 0; it must be a whole number from 1 to 10000."),
        ("ladder --workers 0", "workers is 0; it must be a whole number from 1 to 64."),
        ("verdict --only controlled_skip", "only is controlled_skip; it must be one of baseline,"),
        ("verdict --train --seeds 0", "seeds is 0; it must be a whole number from 1 to 20."),
    ],
)
def test_what_is_refused_gets_one_sentence_and_exit_code_2(arguments, sentence, home):
    printed, said = engine(*arguments.split(), code=2)
    assert printed == ""
    assert said.startswith(sentence)
    assert len(said.strip().splitlines()) == 1
    assert not list((home / "runs").glob("*.sqlite")), "nothing was started"


def test_a_broken_spec_file_is_refused(tmp_path):
    file = tmp_path / "spec.json"
    file.write_text('{"depth": 7')
    assert engine("run", "--spec", file, code=2)[1].startswith("The spec is not JSON:")
    file.write_text('{"depth": 3, "width": 8, "epochs": 1, "device": "cpu"}')
    printed, _ = engine("run", "--spec", file, "--json")
    assert objects(printed)[-1]["status"] == store.FINISHED


def test_a_data_set_that_is_not_there_is_refused_without_a_network(home):
    offline = {"http_proxy": "http://127.0.0.1:9", "https_proxy": "http://127.0.0.1:9"}
    _, said = engine_alone("run", "--set", "data=kmnist", code=2, **offline)
    assert said.startswith("Kuzushiji-MNIST is not here and could not be downloaded:")
    assert said.strip().endswith("use digits, or put the files under VGLAB_DATA.")
    assert not list((home / "runs").glob("*.sqlite"))


def test_a_step_that_was_not_recorded_is_told_with_the_nearest_that_was():
    printed, _ = engine("run", *TINY, "--set", "steps=60", "--json")
    run = objects(printed)[-1]["run"]
    assert "the nearest that was is" in engine("stats", run, "--at", "57", code=2)[1]


LADDER = ["ladder", "--form", "controlled", *TINY, "--set", "data=digits", "--workers", "1"]


def test_the_ladder_prints_an_object_per_contender_whose_figures_are_those_of_its_runs():
    other = runs.start(RunSpec(width=8, depth=3, device="cpu", steps=3))
    found = objects(engine(*LADDER, "--set", "epochs=1", "--seeds", "2", "--json")[0])
    assert runs.info(other).status == store.QUEUED, "it would have ended with the command"
    assert [row["preset"] for row in found] == list(contenders.FORMS["controlled"])
    for row in found:
        assert row["runs"] == contenders.members(row["contender"])
        assert [one["seed"] for one in row["each"]] == [42, 43]
        assert {one["status"] for one in row["each"]} == {store.FINISHED}
        assert len(row["layer_wake_steps"]) == 4
        for name in COLUMNS:
            values = [one[name] for one in row["each"] if one[name] is not None]
            spread = row[name]
            if not values:
                assert spread is None
                continue
            assert (spread["low"], spread["high"]) == (min(values), max(values))
            assert spread["median"] == pytest.approx(sum(values) / len(values))
            assert spread["count"] == len(values)
        measure = Measure(runs.path(row["runs"][1]))
        measure.refresh()
        assert row["each"][1]["test_accuracy"] == measure.outcome.test_accuracy


def test_the_ladder_is_a_table_for_people_and_its_exit_code_is_that_of_the_worst_run():
    wild = ["--set", "steps=3", "--set", "learning_rate=1000", "--set", "activation=relu"]
    printed, said = engine(*LADDER, *wild, "--set", "std=50", "--seeds", "2", code=3)
    for name in contenders.FORMS["controlled"]:
        assert presets.PRESETS[name].title.split()[-1] in printed
    assert "2 of 2" in printed
    assert "The bands of Controlled: BatchNorm (" in " ".join(printed.split())
    assert re.search(r"^Controlled: .+, seed 42: Diverged at step \d+: ", said, re.M)


def test_a_ladder_that_is_interrupted_stops_all_its_runs_and_keeps_what_they_recorded():
    command = [sys.executable, "-m", "engine", *LADDER, "--set", "epochs=9000"]
    process = subprocess.Popen(
        [*command, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
        # What a shell starts in the background is deaf to it, and so are its children.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        deadline = time.monotonic() + 90
        while not any(run.step > 20 for run in runs.all()):
            assert time.monotonic() < deadline
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        printed, _ = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 1
    statuses = [one["status"] for row in objects(printed) for one in row["each"]]
    assert statuses == [store.STOPPED] * 10
    found = runs.all()
    assert {run.status for run in found} == {store.STOPPED}
    assert found[0].sentence == "Stopped before it began."
    with store.Reader(runs.path(found[-1].id)) as reader:
        assert reader.last_step() >= 10
    assert runs.next_queued() is None


def test_the_verdict_prints_an_object_per_published_configuration():
    found = objects(engine("verdict", "--json")[0])
    assert [row["name"] for row in found] == list(verdict.published())
    wanted = {"name", "published", "measured", "agrees", "low", "high", "seeds", "words", "note"}
    assert all(wanted <= set(row) for row in found)
    assert {row["agrees"] for row in found} == {None}
    (row,) = objects(engine("verdict", "--only", "skip", "--json")[0])
    assert row["name"] == "skip"
    printed = engine("verdict")[0]
    assert "published .8785, not measured here yet" in " ".join(printed.split())
    assert printed.strip().endswith("0 agree, 0 outside, 14 not judged")


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGHUP])
def test_a_shell_that_is_closed_interrupts_as_ctrl_c_does(end):
    before = signal.getsignal(end)
    with pytest.raises(KeyboardInterrupt), foreground.interrupted_by_all():
        os.kill(os.getpid(), end)
    assert signal.getsignal(end) is before


@pytest.fixture
def published_small(monkeypatch):
    """The published configurations as if published of a small network after 3 epochs on digits."""
    small = {"data": "digits", "epochs": 3, "width": 8, "depth": 3, "device": "cpu"}
    claims = {
        name: replace(claim, spec=claim.spec.changed(small))
        for name, claim in verdict.published().items()
    }
    monkeypatch.setattr(verdict, "DATA", "digits")
    monkeypatch.setattr(verdict, "published", lambda: claims)


def test_the_verdict_trains_what_is_missing_and_nothing_twice(published_small):
    asked = ["verdict", "--train", "--json", "--only", "skip", "--only", "baseline", "--seeds", "2"]
    for _ in range(2):
        result = CliRunner().invoke(app, asked)
        assert result.exit_code == 0, result.output
        rows = objects(result.stdout)
        assert [row["name"] for row in rows] == ["skip", "baseline"]
        assert [row["seeds"] for row in rows] == [[42, 43]] * 2
        assert {row["agrees"] for row in rows} <= {True, False}
        assert len(runs.all()) == 4


def test_a_run_is_branched_and_run_again_from_the_shell(home):
    # In a process of its own, whose arithmetic is that of the workers that train the other two.
    printed, _ = engine_alone("run", *TINY, "--set", "epochs=2", "--json")
    run = json.loads(printed.splitlines()[-1])["run"]
    printed, _ = engine(
        *["branch", run, "--at", 22, "--set", "activation=relu", "--freeze", 2, "--json"]
    )
    (branch,) = objects(printed)
    shown = json.loads(engine("show", branch["run"], "--json")[0])
    assert branch["status"] == shown["status"] == "finished"
    assert (shown["parent"], shown["parent_step"], shown["changes"]) == (run, 22, 2)
    assert shown["now"]["activation"] == "relu"
    assert [event["step"] for event in shown["events"]] == [22, 22, 22]
    again = json.loads(engine("again", branch["run"], "--json")[0])["run"]
    theirs = [json.loads(engine("stats", one, "--at", 43, "--json")[0].splitlines()[0])
              for one in (branch["run"], again)]  # fmt: skip
    assert theirs[0] == theirs[1]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["send", "RUN", "dance"], "must be one of stop, pause, resume, step, epoch"),
        (["send", "RUN", "pause"], "cannot be steered, but branched from"),
        (["change", "RUN"], "No change was named"),
        (["change", "RUN", "--reinitialise", "two"], "must be a layer's number or all"),
        (["branch", "RUN", "--at", "99"], "from 0 to 3"),
        (["branch", "RUN", "--at", "1", "--set", "width=9"], "width cannot be changed"),
        (["branch", "RUN", "--at", "1", "--freeze", "9"], "must be from 1 to 4"),
        (["again", "20200101-000000-0000"], "There is no run"),
    ],
)
def test_steering_that_cannot_be_gets_one_sentence_and_exit_code_2(arguments, sentence, home):
    printed, _ = engine("run", *TINY, "--set", "steps=3", "--json")
    run = json.loads(printed.splitlines()[-1])["run"]
    _, said = engine(*[run if one == "RUN" else one for one in arguments], code=2)
    assert sentence in said
    assert said.count("\n") == 1
