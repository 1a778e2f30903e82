"""The exported script, run by a clean interpreter, against what the run recorded: the same digits."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import made_up
import pytest
from conftest import CACHE
from typer.testing import CliRunner

from engine import export, presets, runs, script, steering, store
from engine.__main__ import app
from engine.spec import RunSpec, choices
from engine.steering import Change

ROOT = Path(__file__).parents[1]
SMALL = {
    "depth": 4,
    "width": 8,
    "batch_size": 32,
    "subset": 200,  # 6 steps an epoch
    "epochs": 2,
    "device": "cpu",
    "activation": "tanh",
    "learning_rate": 0.05,
}
NAMED = {
    "baseline": presets.find("baseline").spec(epochs=2),
    "BatchNorm": presets.find("batchnorm").spec(epochs=2),
    "whole tensor": presets.find("custom_norm").spec(epochs=2),
    "skip": presets.find("skip").spec(epochs=2),
    "layer-wise as published": presets.find("layerwise").spec(epochs=1),
    "layer-wise as intended": presets.find("layerwise_intended").spec(epochs=1),
    "gradient norm": presets.find("gradient_norm").spec(epochs=2),
    "Adam": presets.find("better_optimizer").spec(epochs=2),
}


def info(spec, **told):
    """A run of this spec as its file would tell it, on the CPU."""
    file = runs.library() / "20261124-001040-3fa2.sqlite"
    store.create(file, **({"title": "A run", "spec": spec, "device": "cpu"} | told))
    with store.Reader(file) as reader:
        found = reader.run()
    file.unlink()
    return found


def environment(folder):
    """That of a clean Python elsewhere, without this package."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder)}


def clean(file, folder):
    """Run a script by a clean Python of its own, as a person does; what it printed."""
    done = subprocess.run(
        [sys.executable, "-I", str(file)],
        cwd=folder,
        env=environment(folder),
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def losses(printed):
    """[train, validation, test] of each epoch, as printed."""
    lines = [line for line in printed.splitlines() if line.startswith("epoch")]
    return [[float(number) for number in re.findall(r"loss (\S+)", line)] for line in lines]


class Process:
    """A program that answers each line of JSON by one, started once: importing torch is what takes long."""

    def __init__(self, *arguments, **more):
        command = [sys.executable, *map(str, arguments)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **more
        )

    def __call__(self, asked):
        self.process.stdin.write(f"{json.dumps(asked)}\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, f"it ended with code {self.process.wait()}"
        return json.loads(answer)

    def end(self):
        self.process.communicate()


#: Runs the files that it is told, each as a main program would be; what each printed.
RUNNER = """
import contextlib, io, json, runpy, sys
for line in sys.stdin:
    said = []
    for file in json.loads(line):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            try:
                runpy.run_path(file)
            except SystemExit as end:
                print("ended:", end)
        said.append(printed.getvalue())
    print(json.dumps(said), flush=True)
"""


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    """A clean Python that runs scripts: scripts([file, ...]) is what each printed."""
    folder = tmp_path_factory.mktemp("clean")
    process = Process("-I", "-c", RUNNER, cwd=folder, env=environment(folder))
    yield process
    process.end()


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Trains by the engine, in the workers' arithmetic: trained([(spec, changes), ...]) are each one's losses."""
    places = {"VGLAB_HOME": str(tmp_path_factory.mktemp("home")), "VGLAB_DATA": str(CACHE)}
    process = Process(ROOT / "tests" / "train_aloud.py", env=os.environ | places)

    def train(cases):
        return process(
            [
                [spec.model_dump(), [[step, steering.as_json(change)] for step, change in changes]]
                for spec, changes in cases
            ]
        )

    yield train
    process.end()


@pytest.fixture
def agree(scripts, trained, tmp_path):
    """Checks that the scripts of these (spec, changes) print what the engine computes."""

    def check(cases):
        files = []
        for number, (spec, changes) in enumerate(cases):
            files.append(tmp_path / f"script_{number:03}.py")
            files[-1].write_text(script.text(info(spec), changes))
        said = scripts([str(file) for file in files])
        for printed, wanted, (spec, changes) in zip(said, trained(cases), cases, strict=True):
            # As text, so that NaN equals NaN.
            assert str(losses(printed)) == str(wanted), (spec, changes, printed)
        return said

    return check


def case(*changes, **fields):
    return RunSpec(**(SMALL | fields)), changes


def change(step, kind="set", layer=None, **fields):
    return step, Change(kind=kind, layer=layer, fields=fields)


@pytest.mark.parametrize("name", NAMED)
def test_the_script_prints_the_run_s_losses_to_the_digit(name, scripts, trained, tmp_path):
    file = tmp_path / "script.py"
    file.write_text(script.text(info(NAMED[name], status=store.FINISHED)))
    (wanted,) = trained([(NAMED[name], ())])
    (printed,) = scripts([str(file)])
    assert losses(printed) == wanted
    assert len(wanted) in (2, 7)


def test_a_real_run_from_its_file_comes_out_of_its_script_and_of_its_notebook(scripts, tmp_path):
    settings = ["--set", "epochs=2", "--set", "depth=3", "--set", "width=16", "--set", "device=cpu"]
    command = [sys.executable, "-m", "engine", "run", *settings, "--json"]
    told = subprocess.check_output(command, cwd=ROOT, text=True)
    run = json.loads(told.splitlines()[-1])["run"]
    with store.Reader(runs.path(run)) as reader:
        recorded = [[end.train_loss, end.validation_loss, end.test_loss] for end in reader.epochs()]

    def exported(form, name):
        asked = ["export", run, "--to", form, "--out", str(tmp_path / name)]
        assert CliRunner().invoke(app, asked).exit_code == 0
        return tmp_path / name

    assert losses(clean(exported("script", "script.py"), tmp_path)) == recorded
    cells = json.loads(exported("notebook", "run.ipynb").read_text())["cells"]
    code = [f"{''.join(cell['source'])}\n" for cell in cells if cell["cell_type"] == "code"]
    # As a kernel does: one cell after the other, in one namespace.
    runner = (
        f"space = {{}}\nfor cell in {code!r}:\n    exec(compile(cell, 'cell', 'exec'), space)\n"
    )
    (tmp_path / "cells.py").write_text(runner)
    (printed,) = scripts([str(tmp_path / "cells.py")])
    assert losses(printed) == recorded
    assert len(recorded) == 2


def test_each_choice_of_each_field_comes_out_to_the_digit(agree):
    fields = ("activation", "optimizer", "norm", "init", "skip", "gradient_rule", "schedule")
    cases = [case(**{field: value}) for field in fields for value in choices(field)]
    cases += [
        case(norm=norm, norm_position="after", gradient_rule="unit_rms", skip="every")
        for norm in choices("norm")
    ]
    agree(cases)


def test_other_data_lengths_and_numbers_come_out_to_the_digit(agree):
    cases = [
        case(data="moons", subset=300),
        case(data="circles", subset=300),
        case(data="spirals", subset=None, steps=70),  # an epoch and a part of one
        case(steps=9),
        case(steps=9, schedule="layerwise_intended", gradient_rule="clip_norm", gradient_bound=0.1),
        case(optimizer="adamw", weight_decay=0.1),
        case(optimizer="nesterov", weight_decay=0.1, momentum=0.5),
        case(init="orthogonal", gain=2.0),
        case(threads=2, width=64, seed=7),
        case(gradient_rule="clip_norm", gradient_bound=0.01, norm="batch"),
    ]
    agree(cases)


def test_fashion_mnist_comes_out_to_the_digit(fashion_mnist, trained, scripts, tmp_path):
    spec = presets.find("better_optimizer").spec(data="fashion_mnist", epochs=1, subset=3000)
    ((wanted,),) = trained([(spec.changed({"device": "cpu"}), ())])
    file = tmp_path / "script.py"
    file.write_text(
        f"import os\n\nos.environ['VGLAB_DATA'] = {str(fashion_mnist)!r}\n"
        + script.text(info(spec))
    )
    (printed,) = scripts([str(file)])
    assert losses(printed) == [wanted]


def test_a_run_that_diverges_ends_where_its_script_ends(agree):
    cases = [
        case(depth=30, init="normal", std=100, activation="relu", learning_rate=10.0),
        case(activation="identity", learning_rate=1.5, epochs=20),  # after some epochs,
    ]
    assert all("ended: Diverged" in printed for printed in agree(cases))


LIVE = {
    "of all kinds": case(
        change(2, activation="relu"),
        change(2, "freeze", 2),
        change(3, learning_rate=0.5),
        change(5, "reinitialise", 1),
        change(6, "unfreeze", 2),
        change(6, "look"),
        change(8, norm="batch"),
        change(9, skip="every"),
        change(10, gradient_rule="clip_norm", gradient_bound=0.1),
        change(11, optimizer="adam", learning_rate=0.01),
    ),
    "of norms and rules": case(
        change(0, norm="layer", norm_position="after"),
        change(4, "freeze", 1),
        change(5, norm="batch", init="normal"),
        change(6, "reinitialise", 5),
        change(6, "reinitialise"),
        change(7, norm="none"),
        change(9, gradient_rule="unit_rms"),
        change(10, gradient_rule="standardise", norm="tensor", norm_position="before"),
        optimizer="momentum",
        norm="rms",
    ),
    "of an optimizer that begins with a state": case(
        change(3, learning_rate=0.01),
        change(4, norm="batch"),
        change(5, "reinitialise", 2),
        change(7, weight_decay=0.1),
        optimizer="adagrad",
    ),
    "of momentum": case(
        change(3, momentum=0.2),
        change(5, momentum=0.99),
        change(5, optimizer="momentum"),
        change(7, momentum=0.3),
        optimizer="nesterov",
    ),
    "in a run of a few steps": case(
        change(6, activation="identity"),
        change(9, "freeze", 5),
        change(9, "freeze", 4),
        change(10, norm="layer"),
        change(10, gradient_rule="clip_value", gradient_bound=0.01),
        optimizer="rmsprop",
        steps=13,
    ),
    "that change nothing": case(change(3, momentum=0.2)),
} | {
    schedule: case(
        change(0, activation="relu"),
        change(5, optimizer="adam", learning_rate=0.01),
        change(13, norm="batch"),
        change(14, "reinitialise", 1),
        change(20, "reinitialise", 5),
        change(24, learning_rate=0.02),
        change(25, skip="every", skip_every=1),
        change(26, gradient_rule="clip_norm", gradient_bound=0.3),
        schedule=schedule,
    )
    for schedule in ("layerwise_published", "layerwise_intended")
}


def test_changes_made_while_it_trained_come_out_to_the_digit(agree):
    agree(list(LIVE.values()))


def test_a_change_stands_in_the_script_at_its_step_in_words():
    spec, changes = LIVE["of all kinds"]
    written = script.text(info(spec), changes)
    assert "    if step == 2:\n        # Step 2: activation tanh → relu;" in written
    assert "        activation = torch.relu\n" in written
    assert "by hand" not in written, "a look changes nothing"


def test_only_what_the_run_needs_is_in_its_script():
    plain = script.text(info(RunSpec(device="cpu"), status=store.FINISHED))
    for word in (
        "self.norm",
        "SKIPS",
        "Function",
        "enter",
        "islice",
        "partial",
        "yield",
        "engine",
        "CUBLAS",
    ):
        assert word not in plain
    assert len(plain.splitlines()) < 130
    assert "nn.BatchNorm1d" in script.text(info(RunSpec(norm="batch")))


def test_the_script_trains_on_the_device_the_run_was_on():
    assert 'device = torch.device("cuda")' in script.text(info(RunSpec(), device="cuda"))
    assert "CUBLAS_WORKSPACE_CONFIG" in script.text(info(RunSpec(), device="cuda"))
    assert "is_available" in script.text(info(RunSpec(), device=""))  # it has not begun yet


BRANCH = """
import os, sys
sys.path[:0] = [{root!r}, {tests!r}]
from engine.runs import SAME_BITS
os.environ.update(SAME_BITS)
from engine import branches, export
import trained
from engine.spec import RunSpec
from engine.steering import Change
parent = trained.trained(RunSpec(**{fields}), [(4, Change(kind="freeze", layer=2))])
made = branches.branch(parent, 9, [Change(kind="set", fields={{"activation": "relu"}})], steps=20)
trained.work(made)
open("script.py", "wb").write(export.whole(made, "script"))
print(export.whole(made, "epochs").decode())
"""


def test_a_branch_beyond_its_parent_s_end_comes_out_to_the_digit(scripts, tmp_path):
    """Its parent ended within an epoch; the branch trains it to its end."""
    code = BRANCH.format(
        root=str(ROOT), tests=str(ROOT / "tests"), fields=repr(SMALL | {"steps": 9})
    )
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    rows = list(csv.DictReader(printed.strip().splitlines()))
    assert [row["step"] for row in rows] == ["6", "12", "18", "20"]
    names = ("train_loss", "validation_loss", "test_loss")
    recorded = [[float(row[name]) for name in names] for row in rows]
    (printed,) = scripts([str(tmp_path / "script.py")])
    assert losses(printed) == recorded


def test_scripts_are_as_ruff_wants_them(tmp_path):
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("ruff is not installed")
    specs = [(spec, ()) for spec in NAMED.values()] + list(LIVE.values())
    specs += [(RunSpec(data=name), ()) for name in choices("data")] + [case(steps=9)]
    for number, (spec, changes) in enumerate(specs):
        (tmp_path / f"script_{number}.py").write_text(script.text(info(spec), changes))
    for command in (["check"], ["format", "--check"]):
        command += ["--config", str(ROOT / "pyproject.toml"), str(tmp_path)]
        done = subprocess.run([ruff, *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout


def test_a_title_cannot_get_out_of_the_script_s_first_lines():
    title = 'My """ run \\ \n import os'
    written = script.text(info(made_up.spec(), title=title))
    compile(written, "script.py", "exec")
    assert written.startswith("\"\"\"My ''' run ' import os\n")


def test_the_script_of_a_run_that_recorded_nothing_is_there(home):
    run = runs.create(made_up.spec())
    assert b"train_step" in export.whole(run, "script")
    assert json.loads(export.whole(run, "notebook"))["nbformat"] == 4
