"""The engine from the shell: what it prints, and its exit codes."""

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pytest

from engine import presets, remedies, runs, store
from engine.records import STATISTICS

ROOT = Path(__file__).parents[1]
TINY = ["--set", "width=8", "--set", "depth=3", "--set", "device=cpu"]


def engine(*arguments, code=0, **environment):
    """Run `python -m engine`, check its exit code, return its stdout and stderr."""
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


def test_the_published_first_epoch_comes_out_to_the_digit(fashion_mnist):
    printed, _ = engine(
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
    assert f"{epoch['train_loss']:.4f}" == "2.2326"
    assert f"{epoch['train_accuracy']:.4f}" == "0.1290"
    assert end["status"] == store.FINISHED


def test_a_run_prints_an_object_per_epoch_and_then_its_id():
    *epochs, end = objects(engine("run", *TINY, "--set", "epochs=3", "--json")[0])
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
    printed, sentence = engine("run", *TINY, *extra, code=3)
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
    _, said = engine("run", "--set", "data=kmnist", code=2, **offline)
    assert said.startswith("Kuzushiji-MNIST is not here and could not be downloaded:")
    assert said.strip().endswith("use digits, or put the files under VGLAB_DATA.")
    assert not list((home / "runs").glob("*.sqlite"))


def test_a_step_that_was_not_recorded_is_told_with_the_nearest_that_was():
    printed, _ = engine("run", *TINY, "--set", "steps=60", "--json")
    run = objects(printed)[-1]["run"]
    assert "the nearest that was is" in engine("stats", run, "--at", "57", code=2)[1]
