"""A run as one file: the same run elsewhere; and whatever else a file holds, one sentence and nothing kept."""

import io
import json
import math
import shutil
import sqlite3
import time
import zipfile
import zlib

import made_up
import numpy as np
import pytest
from trained import losses, records, small, trained, work

from engine import branches, foreign, library, runs, store, transfer
from engine.errors import RunError, StoreError
from engine.records import OLD_STATISTICS, ROW, STATISTICS
from engine.run_info import Checkpoint
from engine.spec import RunSpec
from engine.steering import Change

CHANGES = [
    (3, Change(kind="set", fields={"activation": "relu"})),
    (5, Change(kind="freeze", layer=1)),
]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    """A trained run with changes, checkpoints and words about it, as a file; its id and its bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGLAB_HOME", str(tmp_path_factory.mktemp("elsewhere")))
        run = trained(small(), CHANGES)
        library.describe(run, title="From elsewhere", note="a note", tags=["one", "two"])
        return run, transfer.exported(run)


@pytest.fixture
def spoiled(original, tmp_path):
    """Spoils a copy of the file by SQL: spoiled("UPDATE ...", values) is its path."""

    def spoil(*statements, values=()):
        path = tmp_path / "spoiled.vglab"
        path.write_bytes(original[1])
        with sqlite3.connect(path) as connection:
            for statement in statements:
                connection.execute(statement, values)
        connection.close()
        return path

    return spoil


def rows(run, table, columns="*"):
    with store.Reader(runs.path(run)) as reader:
        return reader.connection.execute(f"SELECT {columns} FROM {table}").fetchall()


def refused(file, name=""):
    """The sentence that refuses a file; nothing of it stays."""
    with pytest.raises(StoreError) as refusal:
        transfer.imported(file, name)
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    assert len(sentence) < 250
    assert list(runs.library().iterdir()) == []
    assert [path.name for path in runs.library().parent.iterdir()] == ["runs"]
    return sentence


# -- the same run ----------------------------------------------------------------------------------


def test_a_run_taken_in_is_the_run_that_went_out_under_a_new_id(original, home):
    before, file = original
    run = transfer.imported(file)
    assert run != before
    info = runs.info(run)
    assert (info.title, info.note, info.tags) == ("From elsewhere", "a note", ("one", "two"))
    assert (info.status, info.step, info.changes, info.frozen) == (store.FINISHED, 27, 2, (1,))
    assert (info.spec, info.now) == (small(), small(activation="relu"))
    copied = home / "runs" / f"{before}.sqlite"
    copied.write_bytes(file)
    assert runs.info(before).versions == info.versions
    for table in ("records", "histograms", "steps", "epochs", "events", "checkpoints", "kernel"):
        assert rows(run, table) == rows(before, table), table
    assert rows(run, "commands") == []


def test_a_run_taken_in_can_be_branched_from_with_the_same_bits(original):
    run = transfer.imported(original[1])
    branch = branches.branch(run, 9)
    work(branch)
    assert records(branch) == records(run)
    np.testing.assert_array_equal(losses(branch), losses(run))


def test_a_file_that_went_out_comes_in_and_goes_out_again(original):
    once = transfer.imported(original[1])
    twice = transfer.imported(transfer.exported(once))
    for table in foreign.TABLES:
        assert rows(once, table) == rows(twice, table)


def test_a_run_that_trains_goes_out_whole_and_comes_in_stopped(tmp_path):
    path = runs.library() / "20261123-140509-3fa2.sqlite"
    made_up.run_file(path, made_up.sigmoid_items(100))
    writer = store.Writer(path)  # its worker, in the midst of it
    writer.add(made_up.batches(100, 20))
    writer.commit((1, 1.0, 120))
    run = transfer.imported(transfer.exported(path.stem))
    assert sum(len(row[0]) for row in rows(run, "steps", "numbers")) == 16 * 120
    writer.close()
    info = runs.info(run)
    assert info.status == store.STOPPED
    assert info.sentence == "Copied at step 120 while it was training."
    assert info.step == 120


def test_a_path_and_its_bytes_give_the_same_and_the_file_is_not_touched(original, tmp_path):
    file = tmp_path / "given.vglab"
    file.write_bytes(original[1])
    before = (file.stat().st_mtime_ns, file.read_bytes())
    first, second = transfer.imported(file), transfer.imported(original[1])
    assert rows(first, "records") == rows(second, "records")
    assert (file.stat().st_mtime_ns, file.read_bytes()) == before
    assert [path.name for path in tmp_path.iterdir() if path.name != "home"] == ["given.vglab"]


def test_an_older_file_is_taken_in_and_brought_up_to_date(spoiled):
    later = ("parent", "parent_step", "now", "frozen", "changes", "starred", "note", "tags")
    old = spoiled(
        *(f"ALTER TABLE run DROP COLUMN {column}" for column in later),
        *(f"ALTER TABLE events DROP COLUMN {column}" for column in ("change", "at")),
        "DROP TABLE checkpoints",
        "DROP TABLE kernel",
        "ALTER TABLE steps DROP COLUMN watched",
        "PRAGMA user_version = 1",
    )
    before = old.read_bytes()
    info = runs.info(transfer.imported(old))
    assert (info.title, info.note, info.changes) == ("From elsewhere", "", 0)
    assert old.read_bytes() == before


def test_a_file_of_schema_2_is_taken_in_with_records_of_the_rows_it_had(spoiled):
    """It knew neither `sample_correlation` nor what its first batch was like."""
    rows_then = OLD_STATISTICS * small().layers * 8
    old = spoiled(
        f"UPDATE records SET scalars = substr(scalars, 1, {rows_then})",
        "DROP TABLE kernel",
        "ALTER TABLE steps DROP COLUMN watched",
        "PRAGMA user_version = 2",
    )
    run = transfer.imported(old)
    twice = transfer.imported(transfer.exported(run))
    for one in (run, twice):
        with store.Reader(runs.path(one)) as reader:
            found = reader.record(0).scalars
            assert reader.kernel() is None
            assert all(math.isnan(block.watched) for block in reader.steps())
        assert found.shape == (len(STATISTICS), small().layers)
        assert np.isnan(found[OLD_STATISTICS:]).all()
        assert np.isfinite(found[ROW["delta_rms"]]).all()


def test_what_theory_needs_of_the_first_batch_goes_along():
    run = trained(small(norm="batch"))
    copy = transfer.imported(transfer.exported(run))
    assert rows(copy, "kernel") == rows(run, "kernel")
    [(_, size, _, gram, labels)] = rows(copy, "kernel")
    assert (size, len(gram), len(labels)) == (20, 4 * 20**2, 2 * 20)


def test_a_file_is_named_by_title_and_id_in_signs_that_every_disk_takes():
    run = runs.create(RunSpec(), title='../a "b"\\c: <ü> ' + "x" * 200)
    name = transfer.file_name(runs.info(run))
    assert name.startswith("a-b-c-x")
    assert name.endswith(f"-{run}.vglab")
    assert len(name) < 100
    nameless = runs.create(RunSpec(), title="…")
    assert transfer.file_name(runs.info(nameless)) == f"run-{nameless}.vglab"


def test_what_does_not_exist_is_not_exported():
    with pytest.raises(RunError):
        transfer.exported("../../etc/passwd")


# -- broken files ----------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 10, 100, 3000, 0.5, 0.9])
def test_a_file_that_was_cut_is_refused(original, size):
    whole = original[1]
    refused(whole[: int(size * len(whole)) if size < 1 else int(size)], "cut.vglab")


@pytest.mark.parametrize(
    "content", [b"\x80\x04cos\nsystem\n(S'x'\ntR." * 50, b"PK\x03\x04" * 500, b"\0" * 5000]
)
def test_a_file_of_another_kind_is_refused(content):
    assert refused(content, "x.vglab") == "'x.vglab' was not imported: it is not a run's file."


def test_a_file_with_any_page_spoiled_is_refused_or_read_whole_and_never_half(original):
    whole, random = original[1], np.random.default_rng(0)
    for _ in range(30):
        broken = bytearray(whole)
        start = random.integers(100, len(whole) - 600)
        broken[start : start + 512] = random.bytes(512)
        try:
            run = transfer.imported(bytes(broken))
        except StoreError:
            continue
        with store.Reader(runs.path(run)) as reader:
            assert [reader.record(found.step) for found in reader.records()]
        runs.delete(run)
    assert list(runs.library().iterdir()) == []


def test_a_large_file_is_refused_before_it_is_read(monkeypatch, original):
    monkeypatch.setattr(transfer, "MOST_BYTES", 1000)
    assert "at most" in refused(original[1])


def test_a_newer_file_is_refused_by_its_schema(spoiled):
    sentence = refused(spoiled(f"PRAGMA user_version = {store.SCHEMA + 1}"))
    assert f"schema {store.SCHEMA + 1}" in sentence


# -- files that want something ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE VIEW more AS SELECT * FROM run",
        "CREATE TRIGGER t AFTER INSERT ON run BEGIN DELETE FROM run; END",
        "CREATE INDEX i ON run (title)",
        "CREATE TABLE more (x)",
        "CREATE VIRTUAL TABLE more USING fts5(x)",
        "ALTER TABLE run ADD COLUMN more TEXT",
        "ALTER TABLE run ADD COLUMN more TEXT AS (hex(zeroblob(99999999)))",
        "ALTER TABLE run DROP COLUMN note",
        "DROP TABLE histograms",
        "DROP TABLE commands",
    ],
)
def test_a_file_with_other_tables_than_a_runs_is_refused(spoiled, statement):
    refused(spoiled(statement))


def test_a_view_in_the_place_of_a_table_is_refused(spoiled):
    refused(
        spoiled(
            "DROP TABLE steps",
            "CREATE VIEW steps AS WITH RECURSIVE n(first) AS (SELECT 0 UNION ALL SELECT first + 1"
            " FROM n) SELECT first, 0.0 AS seconds, zeroblob(16) AS numbers FROM n",
        )
    )


BOMB = zlib.compress(bytes(200_000_000))
INFINITE = np.array([math.inf] * 8).tobytes()


@pytest.mark.parametrize(
    ("statement", "values"),
    [
        ("DELETE FROM run", ()),
        ("INSERT INTO run SELECT * FROM run", ()),
        ("UPDATE run SET spec = ?", ("[" * 10_000,)),
        ("UPDATE run SET spec = ?", ('{"depth": ' + "9" * 5000 + "}",)),
        ("UPDATE run SET spec = ?", ("x" * 100_000,)),
        ("UPDATE run SET spec = ?", (b"\xff\xfe",)),
        ("UPDATE run SET spec = ?", ('{"depth": 5}',)),  # the blobs are of another size then
        ("UPDATE run SET title = ?", (b"bytes",)),
        ("UPDATE run SET title = CAST(? AS TEXT)", (b"\xff\xfe\xff",)),
        ("UPDATE run SET status = ?", ("hacked",)),
        ("UPDATE run SET created = ?", (math.inf,)),
        ("UPDATE run SET created = ?", ("now",)),
        ("UPDATE run SET tags = ?", ('{"a": 1}',)),
        ("UPDATE run SET tags = ?", ("[" * 10_000,)),
        ("UPDATE run SET versions = ?", ("[]",)),
        ("UPDATE run SET parent = ?", ("../../x",)),
        ("UPDATE run SET starred = ?", (10**18,)),
        ("UPDATE heartbeat SET step = ?", (-1,)),
        ("UPDATE heartbeat SET step = ?", (10**12,)),
        ("INSERT INTO heartbeat SELECT * FROM heartbeat", ()),
        ("UPDATE records SET scalars = ?", (b"12345678",)),
        ("UPDATE records SET scalars = ?", ("text",)),
        ("UPDATE records SET seconds = ?", (math.inf,)),
        ("UPDATE records SET phase = ?", (99,)),
        ("UPDATE records SET epoch = ?", (0.5,)),
        ("UPDATE records SET step = step + 1000000", ()),
        ("DELETE FROM records WHERE step = 3", ()),
        ("DELETE FROM histograms WHERE step = 3", ()),
        ("UPDATE histograms SET counts = ?", (BOMB,)),
        ("UPDATE histograms SET counts = ?", (b"not zlib",)),
        ("UPDATE histograms SET counts = counts || x'00'", ()),
        ("UPDATE steps SET numbers = ?", (bytes(15),)),
        ("UPDATE steps SET numbers = ?", (bytes(16 * 5000),)),
        ("UPDATE steps SET first = first - 1", ()),
        ("UPDATE epochs SET numbers = ?", (INFINITE,)),
        ("UPDATE events SET kind = ?", ("hacked",)),
        ("UPDATE events SET step = ?", (-5,)),
        ("UPDATE events SET change = ? WHERE change != ''", ("{}",)),
        ("UPDATE events SET change = ? WHERE change != ''", ('{"kind": "exec"}',)),
        ("UPDATE events SET change = ?", ('{"kind": "set", "fields": {"depth": 100}}',)),
        ("UPDATE events SET change = ?", ('{"kind": "freeze", "layer": 99}',)),
        ("UPDATE kernel SET batch_size = ?", (0,)),
        ("UPDATE kernel SET batch_size = ?", (21,)),  # a batch has 20
        ("UPDATE kernel SET batch_size = ?", ("all",)),
        ("UPDATE kernel SET numbers = ?", (bytes(39),)),
        ("UPDATE kernel SET numbers = ?", ("four",)),
        ("UPDATE kernel SET numbers = ?", (np.array([0.1, math.inf, 1.0, 1.0, 1.0]).tobytes(),)),
        ("UPDATE kernel SET numbers = ?", (np.array([0.1, 1.0, 1.0, math.nan, 1.0]).tobytes(),)),
        ("UPDATE kernel SET numbers = ?", (np.array([0.1, -1.0, 1.0, 1.0, 1.0]).tobytes(),)),
        ("UPDATE kernel SET numbers = ?", (np.array([1.0, 1.0, 1.0, 1.0, 1.0]).tobytes(),)),
        ("UPDATE kernel SET numbers = ?", (np.array([-0.1, 1.0, 1.0, 1.0, 1.0]).tobytes(),)),
        ("UPDATE kernel SET gram = ?", (bytes(4 * 400),)),  # and no labels
        ("UPDATE kernel SET gram = ?, labels = ?", (bytes(4 * 399), bytes(40))),
        ("UPDATE kernel SET gram = ?, labels = ?", (b"\xff" * 1600, bytes(40))),  # NaN
        ("UPDATE kernel SET gram = ?, labels = ?", (bytes(1600), b"\x0a\x00" * 20)),
        ("INSERT INTO kernel SELECT 1, batch_size, numbers, gram, labels FROM kernel", ()),
        ("UPDATE checkpoints SET bytes = bytes + 1", ()),
        ("UPDATE checkpoints SET kind = ?", ("hacked",)),
        ("UPDATE checkpoints SET state = ?, bytes = 4", (b"\x80\x04N.",)),
    ],
)
def test_a_row_that_no_run_has_is_refused(spoiled, statement, values):
    begun = time.monotonic()
    refused(spoiled(statement, values=values))
    assert time.monotonic() - begun < 5


def test_a_checkpoint_that_would_grow_when_it_is_opened_is_refused(spoiled):
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(50_000_000))
    state = packed.getvalue()
    file = spoiled(
        "UPDATE checkpoints SET state = :state, bytes = :size",
        values={"state": state, "size": len(state)},
    )
    assert "checkpoint" in refused(file)


def test_a_checkpoint_with_code_in_it_is_kept_as_bytes_and_never_run(original, tmp_path):
    """torch opens it as data alone, when a branch begins from it: one sentence, and no code."""
    run = transfer.imported(original[1])
    trap = tmp_path / "trap"
    code = b"cos\nsystem\n(S'touch " + str(trap).encode() + b"'\ntR."
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("archive/data.pkl", code)
        archive.writestr("archive/version", "3\n")
    state = packed.getvalue()
    with store.Writer(runs.path(run)) as writer:
        for kept in writer.checkpoints():
            writer.keep(
                Checkpoint(step=kept.step, epoch=kept.epoch, kind=kept.kind, bytes=len(state)),
                state,
            )
    again = transfer.imported(transfer.exported(run))
    branch = branches.branch(again, 9)
    info = work(branch)
    assert info.status == store.FAILED
    assert "checkpoint" in info.sentence
    assert not trap.exists()


def test_texts_lose_what_a_screen_would_obey(spoiled):
    image = "![x](http://elsewhere/x.png) [y](javascript:alert(1)) <img src=x>\u202e\x07"
    file = spoiled(
        "UPDATE run SET title = :t, note = :t, sentence = :t, tags = :tags",
        values={"t": image, "tags": json.dumps([image])},
    )
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE events SET words = ?", (image,))
    connection.close()
    run = transfer.imported(file)
    info = runs.info(run)
    events = [row[0] for row in rows(run, "events", "words")]
    for text in (info.title, info.note, info.sentence, *info.tags, *events):
        assert not any(sign in text for sign in ("](", "![", "<", "\u202e", "\x07")), text
        assert "x" in text


def test_the_standing_is_worked_out_from_the_changes_and_not_believed(spoiled):
    lying = RunSpec(depth=100).model_dump_json()
    file = spoiled("UPDATE run SET now = ?, frozen = '[9]', changes = 77", values=(lying,))
    info = runs.info(transfer.imported(file))
    assert (info.now, info.frozen, info.changes) == (small(activation="relu"), (1,), 2)


def test_a_full_disk_is_a_sentence(original, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "No space left on device")

    runs.library()
    monkeypatch.setattr(store, "create", full)
    assert "No space left on device" in refused(original[1])


def test_what_a_killed_server_left_half_made_is_cleared_away(home):
    runs.library()
    left = home / "transfer-abc"
    left.mkdir()
    (left / "given").write_bytes(b"x")
    transfer.clean()
    assert not left.exists()
    shutil.rmtree(home)
    transfer.clean()
