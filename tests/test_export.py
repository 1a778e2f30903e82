"""What is exported, read back by other means: pandas, sqlite3, the command line, a browser."""

import io
import json
import math
import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import made_up
import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect
from streamlit.testing.v1 import AppTest
from typer.testing import CliRunner

from engine import export, export_command, runs, steering, store
from engine.__main__ import app
from engine.errors import RunError
from engine.records import EPOCH_NUMBERS, STATISTICS, Event
from engine.steering import Change

ROOT = Path(__file__).parents[1]
NUMBERS = ("csv", "parquet", "epochs")


def finished(items=(), **fields):
    """A finished run of these items in the library; its id."""
    run = runs.create(made_up.spec(**fields))
    with store.Writer(runs.path(run)) as writer:
        for item in items:
            writer.add(item)
        writer.commit((1, 1.0, 5))
        writer.update(status=store.FINISHED, device="cpu", ended=1.0)
    return run


@pytest.fixture
def run():
    """A run with a layer that is absent and one whose gradient is infinite, and two epochs."""
    odd = made_up.dying(8)
    odd[2] = math.inf
    return finished(
        [
            made_up.record(0, made_up.dying(8)),
            made_up.record(3, odd, absent=(5,)),
            made_up.record(700, made_up.dying(8)),
            made_up.epoch_end(1, 22),
            made_up.epoch_end(2, 44),
        ]
    )


def scalars(run):
    """[records, statistics, layers], as the file says."""
    with store.Reader(runs.path(run)) as reader:
        return np.stack([record.scalars for record in reader.records()])


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_statistics_have_one_row_per_step_layer_and_statistic(run, form):
    read = {"csv": pd.read_csv, "parquet": pd.read_parquet}[form]
    table = read(io.BytesIO(export.whole(run, form)))
    assert list(table.columns) == list(export.COLUMNS)
    assert set(table["run"]) == {run}
    assert len(table) == 3 * 8 * len(STATISTICS)
    assert not table.duplicated(["step", "layer", "statistic"]).any()
    cube = table.set_index(["step", "statistic", "layer"])["value"].sort_index()
    wanted = scalars(run)
    for place, step in enumerate([0, 3, 700]):
        for row, name in enumerate(STATISTICS):
            found = cube.loc[step, name].to_numpy()
            assert np.array_equal(found, wanted[place, row], equal_nan=True), (step, name)


def test_what_is_not_finite_stays_what_it_is(run):
    lines = export.whole(run, "csv").decode().splitlines()
    assert f"{run},3,3,grad_rms,inf" in lines
    assert f"{run},3,5,grad_rms,nan" in lines
    table = pd.read_parquet(io.BytesIO(export.whole(run, "parquet")))
    assert np.isinf(table["value"]).sum() == np.isinf(scalars(run)).sum() > 0
    from pyarrow import parquet

    column = parquet.read_table(io.BytesIO(export.whole(run, "parquet")))["value"]
    assert column.null_count == 0, "NaN is a number of its own, not a missing one"


def test_more_records_than_are_turned_into_rows_at_once_are_all_there(monkeypatch):
    monkeypatch.setattr(export, "BLOCK", 4)
    run = finished(made_up.record(step, made_up.dying(8)) for step in range(11))
    for form, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet)):
        table = read(io.BytesIO(export.whole(run, form)))
        assert sorted(set(table["step"])) == list(range(11))
        assert len(table) == 11 * 8 * len(STATISTICS)
    assert len(list(export.pieces(run, "csv"))) == 4, "a long run never is in memory as a whole"


def test_epochs_have_one_row_each(run):
    table = pd.read_csv(io.BytesIO(export.whole(run, "epochs")))
    with store.Reader(runs.path(run)) as reader:
        ends = reader.epochs()
    for row, end in zip(table.to_dict("records"), ends, strict=True):
        assert all(row[name] == getattr(end, name) for name in (*EPOCH_NUMBERS, "step", "phase"))


def test_the_spec_says_what_was_asked_and_what_was_changed_when():
    change = Change(kind="set", fields={"activation": "relu"})
    event = Event(
        step=4, kind="change", words="sigmoid → relu", change=steering.as_json(change), at=1.0
    )
    run = finished([event], depth=5)
    told = json.loads(export.whole(run, "json"))
    assert told["spec"] == runs.info(run).spec.model_dump()
    assert told["changes"] == [
        {
            "step": 4,
            "words": "sigmoid → relu",
            "change": {"kind": "set", "fields": {"activation": "relu"}},
        }
    ]
    assert told["family"] == {"parent": None, "parent_step": None}
    assert told["run"] == run
    assert "step == 4" in export.whole(run, "script").decode()


def test_the_run_itself_is_a_whole_file(run, tmp_path):
    file = tmp_path / "copy.sqlite"
    file.write_bytes(export.whole(run, "run"))
    with sqlite3.connect(file) as connection:
        assert connection.execute("SELECT count(*) FROM records").fetchone() == (3,)


def test_a_run_without_anything_recorded_gives_tables_without_rows():
    run = runs.create(made_up.spec())
    for form, read in (("csv", pd.read_csv), ("parquet", pd.read_parquet), ("epochs", pd.read_csv)):
        assert len(read(io.BytesIO(export.whole(run, form)))) == 0
    assert json.loads(export.whole(run, "json"))["last_epoch"] is None


def test_numbers_that_json_does_not_know_are_words_in_it():
    end = made_up.epoch_end(1, 22)
    object.__setattr__(end, "train_loss", math.nan)
    told = json.loads(export.whole(finished([end]), "json"), parse_constant=pytest.fail)
    assert told["last_epoch"]["train_loss"] == "nan"


def test_no_form_brings_torch_or_pandas_into_the_server(run, home):
    code = (
        "import sys\nfrom engine import export\n"
        f"for form in export.FORMS:\n    form == 'tensorboard' or export.whole({run!r}, form)\n"
        "print([m for m in ('torch', 'pandas', 'sklearn') if m in sys.modules])"
    )
    environment = os.environ | {"VGLAB_HOME": str(home)}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]", done.stderr


def command(*arguments):
    return CliRunner().invoke(app, ["export", *map(str, arguments)])


@pytest.mark.parametrize("form", [form for form in export.FORMS if form != "tensorboard"])
def test_the_command_writes_what_the_page_gives(run, form, tmp_path, monkeypatch):
    done = command(run, "--to", form, "--out", tmp_path / "there")
    assert done.exit_code == 0, done.output
    written = (tmp_path / "there").read_bytes()
    if form != "run":  # whose copy has a page of its own for free space
        assert written == export.whole(run, form)
    monkeypatch.chdir(tmp_path)
    assert command(run, "--to", form).exit_code == 0
    name = export.file_name(runs.info(run), form)
    assert sorted(path.name for path in tmp_path.glob("*-*")) == [name]
    (tmp_path / "folder").mkdir()
    told = json.loads(command(run, "--to", form, "--out", "folder", "--json").output)
    assert told == {"run": run, "to": form, "out": f"folder/{name}"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--to", "xlsx"], "form is xlsx; it must be one of csv, parquet, epochs,"),
        (["--to", "csv", "--out", "nowhere/at/all.csv"], "nowhere/at/all.csv cannot be written:"),
    ],
)
def test_what_cannot_be_exported_gets_one_sentence(run, arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = command(run, *arguments)
    assert done.exit_code == 2
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.strip().splitlines()) == 1
    assert not list(tmp_path.rglob("*.part"))


def test_a_run_that_is_not_there_gets_one_sentence():
    done = command("20200101-000000-abcd", "--to", "csv")
    assert done.exit_code == 2
    assert done.stderr.startswith("There is no run 20200101-000000-abcd")


def test_without_tensorboard_it_says_so(run, tmp_path, monkeypatch):
    monkeypatch.setattr(export, "tensorboard_is_here", lambda: False)
    done = command(run, "--to", "tensorboard", "--out", tmp_path / "events")
    assert done.exit_code == 2
    assert done.stderr.strip() == export.NO_TENSORBOARD
    assert not (tmp_path / "events").exists()
    with pytest.raises(RunError, match="TensorBoard is not installed here"):
        export.whole(run, "tensorboard")


KEEP_ALL = {"scalars": 0, "histograms": 0}  # its own choice is to keep a sample


def test_tensorboard_reads_the_event_files(run, tmp_path):
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    done = command(run, "--to", "tensorboard", "--out", tmp_path)
    assert done.exit_code == 0, done.output
    events = accumulator.EventAccumulator(str(tmp_path), size_guidance=KEEP_ALL).Reload()
    rows = events.Scalars("grad_rms/layer_001")
    assert [row.step for row in rows] == [0, 3, 700]
    wanted = scalars(run)[:, list(STATISTICS).index("grad_rms"), 0]
    assert np.allclose([row.value for row in rows], wanted, rtol=1e-6)
    assert len(events.Histograms("weight/layer_001")) == 3


@pytest.mark.parametrize(
    "title", ["", "///", "Ünïcode ☃", "a" * 500, "../../etc/passwd", 'say "hi"; rm -rf']
)
def test_a_file_s_name_fits_every_disk(title):
    run = finished()
    with store.Writer(runs.path(run)) as writer:
        writer.update(title=title)
    name = export.file_name(runs.info(run), "csv")
    assert name.endswith(f"{run}-statistics.csv")
    assert name.isascii()
    assert len(name) < 100
    assert not set(name) & set('/\\:"; ')


def shown(**query):
    page = AppTest.from_file(ROOT / "pages" / "main.py", default_timeout=30)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception[0].value
    return page.main.get("download_button")


@pytest.mark.parametrize("status", store.STATUSES)
def test_the_lab_offers_every_form_of_a_run_whatever_became_of_it(status, monkeypatch):
    monkeypatch.setattr(export, "tensorboard_is_here", lambda: True)
    run = finished()
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=status)
    assert len(shown(run=run)) == len(export.FORMS)


def test_the_lab_offers_nothing_without_a_run_and_says_what_is_missing(run, monkeypatch):
    monkeypatch.setattr(export, "tensorboard_is_here", lambda: False)
    assert len(shown()) == 0
    assert len(shown(run=run)) == len(export.FORMS) - 1


@pytest.mark.browser
def test_a_person_downloads_a_run_s_statistics_and_script(visitor, server):
    run = finished([made_up.record(0, made_up.dying(8)), made_up.epoch_end(1, 22)])
    visitor.open(f"?run={run}")
    visitor.page.get_by_role("button", name="Export").click()
    for form, words in (("csv", "Statistics, CSV"), ("script", "PyTorch script")):
        button = visitor.page.get_by_role("button", name=words)
        expect(button).to_be_visible()
        with visitor.page.expect_download() as download:
            button.click()
        assert download.value.suggested_filename == export.file_name(runs.info(run), form)
        assert Path(download.value.path()).read_bytes() == export.whole(run, form)
    assert not visitor.errors


def test_the_command_is_the_engine_s():
    assert export_command.export_run in [c.callback for c in app.registered_commands]
