"""The run file: whole items or none, for any number of readers, and a sentence for a broken one."""

import math
import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import fields

import made_up
import numpy as np
import pytest

from engine import store
from engine.errors import StoreError
from engine.records import GRADIENT_COLUMNS, LINEAR_BINS, STATISTICS, EpochEnd, Event, Record, Steps
from engine.spec import RunSpec

SPEC = RunSpec(depth=3, width=8)


def made_record(step, seed=0):
    random = np.random.default_rng([seed, step])
    scalars = 10.0 ** random.uniform(-300, 3, (len(STATISTICS), SPEC.layers))
    scalars[0, 0], scalars[1, 1], scalars[2, 2] = math.nan, math.inf, -math.inf
    return Record(
        step=step,
        epoch=step // 10,
        phase=1,
        seconds=step / 7,
        scalars=scalars,
        gradient=random.integers(0, 10**6, (SPEC.layers, GRADIENT_COLUMNS)),
        weight=random.integers(0, 9, (SPEC.layers, LINEAR_BINS + 1)),
        activation=random.integers(0, 9, (SPEC.layers, LINEAR_BINS + 1)),
        weight_range=2.0 ** random.integers(-9, 9, SPEC.layers),
        activation_range=2.0 ** random.integers(-9, 9, SPEC.layers),
    )


def same(a, b):
    return all(
        np.array_equal(getattr(a, f.name), getattr(b, f.name), equal_nan=True)
        if isinstance(getattr(a, f.name), np.ndarray)
        else getattr(a, f.name) == getattr(b, f.name) or getattr(a, f.name) != getattr(a, f.name)
        for f in fields(a)
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "20260101-000000-0000.sqlite"
    store.create(path, title="made up", spec=SPEC)
    return path


def test_an_empty_run_reads_as_empty(file):
    with store.Reader(file) as reader:
        assert reader.records() == reader.steps() == reader.epochs() == reader.events() == []
        assert reader.last_step() is None
        assert reader.record(0) is None
        info = reader.run()
    assert (info.spec, info.status, info.step, info.heartbeat) == (SPEC, store.QUEUED, 0, None)
    assert info.id == file.stem


def test_what_is_written_comes_back_to_the_last_bit_nan_and_infinity_included(file):
    record = made_record(5)
    steps = Steps(
        first=0, loss=np.array([1.5, math.nan]), accuracy=np.array([0.5, math.inf]), seconds=2.0
    )
    end = EpochEnd(
        epoch=1,
        step=6,
        phase=1,
        train_loss=math.nan,
        train_accuracy=0.1,
        validation_loss=math.inf,
        validation_accuracy=0.2,
        test_loss=1e-300,
        test_accuracy=0.3,
        seconds=4.0,
    )
    event = Event(step=3, kind="phase", words="phase 1 of 7: layers 1-2 learn")
    with store.Writer(file) as writer:
        for item in (record, steps, end, event):
            writer.add(item)
        writer.commit((os.getpid(), 1.0, 6))
    with store.Reader(file) as reader:
        assert same(reader.record(5), record)
        assert np.array_equal(reader.records()[0].scalars, record.scalars, equal_nan=True)
        assert same(reader.steps()[0], steps)
        assert same(reader.epochs()[0], end)
        assert reader.events() == [event]
        assert reader.run().step == 6


def test_a_reader_asks_only_for_what_is_new(file):
    with store.Writer(file) as writer:
        for step in range(10):
            writer.add(made_record(step))
        writer.commit()
    with store.Reader(file) as reader:
        assert [record.step for record in reader.records(after=6)] == [7, 8, 9]


def test_nothing_is_visible_before_the_commit_and_all_of_it_after(file):
    with store.Writer(file) as writer, store.Reader(file) as reader:
        writer.add(made_record(0))
        assert reader.records() == []
        writer.commit()
        assert len(reader.records()) == 1


def test_a_batch_that_cannot_be_written_leaves_nothing_of_itself(file):
    with store.Writer(file) as writer:
        writer.add(made_record(1))
        writer.commit()
        writer.add(made_record(2))
        writer.add(made_record(1))  # the step exists
        with pytest.raises(StoreError, match="cannot be used"):
            writer.commit()
    with store.Reader(file) as reader:
        assert [record.step for record in reader.records()] == [1]


KILLED = """
import sys
sys.path.insert(0, {tests!r}); sys.path.insert(0, {root!r})
from pathlib import Path
from engine import store
from test_store import made_record
writer = store.Writer(Path({file!r}))
for step in range(10**6):
    writer.add(made_record(step))
    if step % 3 == 2:
        writer.commit((1, 1.0, step))
        print(step, flush=True)
"""


def test_what_was_committed_survives_a_killed_writer(file):
    tests = os.path.dirname(__file__)
    code = KILLED.format(tests=tests, root=os.path.dirname(tests), file=str(file))
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    for _ in range(20):
        committed = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    rest = process.stdout.read().split()
    process.wait()
    committed = int(rest[-1]) if rest else committed
    with store.Reader(file) as reader:
        steps = [record.step for record in reader.records()]
        assert len(steps) >= committed + 1
        assert len(steps) % 3 == 0, "a batch is there whole or not at all"
        assert steps == list(range(len(steps)))
        assert all(same(reader.record(s), made_record(s)) for s in steps[:: len(steps) // 5])


def test_orders_arrive_in_order_and_once(file):
    with store.Writer(file) as worker, store.Writer(file) as server:
        server.send("stop", {"why": "enough"})
        server.send("stop", {})
        orders = worker.new_commands()
        assert [(o.command, o.arguments) for o in orders] == [
            ("stop", {"why": "enough"}),
            ("stop", {}),
        ]
        worker.taken(orders[0], step=7)
        assert [o.id for o in worker.new_commands()] == [orders[1].id]


def test_a_run_ends_only_once(file):
    with store.Writer(file) as writer:
        assert writer.end_if_open(store.STOPPED, "Stopped.")
        assert not writer.end_if_open(store.LOST, "Lost.")
    with store.Reader(file) as reader:
        assert reader.run().sentence == "Stopped."


def test_a_file_that_is_no_run_is_refused_by_sentence(tmp_path):
    garbage = tmp_path / "garbage.sqlite"
    garbage.write_bytes(b"not a database, certainly not" * 100)
    empty = tmp_path / "empty.sqlite"
    sqlite3.connect(empty).close()
    for path in (garbage, empty, tmp_path / "absent.sqlite"):
        with pytest.raises(StoreError) as refused:
            store.Reader(path)
        assert str(refused.value).endswith(".")
        assert path.name in str(refused.value)


def test_a_file_of_a_future_schema_is_refused_by_sentence(file):
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {store.SCHEMA + 1}")
    connection.close()
    with pytest.raises(StoreError, match="open it with a newer version"):
        store.Reader(file)


def test_a_reader_cannot_write(file):
    with store.Reader(file) as reader, pytest.raises(sqlite3.OperationalError):
        reader.connection.execute("DELETE FROM run")


def test_a_record_of_the_published_network_takes_a_few_kilobytes(tmp_path):
    """So that a million steps (some 10,000 records) stay under 64 MB."""
    path = tmp_path / "20260101-000000-0001.sqlite"
    store.create(path, title="size", spec=RunSpec())
    random = np.random.default_rng(0)
    normal = random.standard_normal(16384)
    counts = np.zeros((8, GRADIENT_COLUMNS), np.int64)
    counts[:] = np.bincount(
        np.clip((np.log10(np.abs(normal) * 1e-5) + 40) * 4 + 2, 0, 179).astype(int),
        minlength=GRADIENT_COLUMNS,
    )
    linear = np.zeros((8, LINEAR_BINS + 1), np.int64)
    linear[:, :-1] = np.histogram(normal, LINEAR_BINS)[0]
    with store.Writer(path) as writer:
        for step in range(300):
            jitter = random.integers(0, 30, counts.shape) * (counts > 0)
            writer.add(
                Record(
                    step=step,
                    epoch=0,
                    phase=1,
                    seconds=0.0,
                    scalars=random.standard_normal((len(STATISTICS), 8)),
                    gradient=counts + jitter,
                    weight=linear + random.integers(0, 30, linear.shape),
                    activation=linear + random.integers(0, 30, linear.shape),
                    weight_range=np.ones(8),
                    activation_range=np.ones(8),
                )
            )
        writer.commit()
    assert path.stat().st_size / 300 < 6000


@pytest.mark.parametrize("lengths", [[3] * 200, [5, 1, 70, 2, *[4] * 100], [7], [1] * 65])
@pytest.mark.parametrize("gap", [False, True])
def test_joined_blocks_hold_what_single_ones_hold(tmp_path, lengths, gap):
    """A gap cannot come about in a run of ours; a file from elsewhere may have one."""
    file = made_up.run_file(tmp_path / "20261123-140509-3fa2.sqlite")
    random = np.random.default_rng(1)
    with store.Writer(file) as writer:
        first = 0
        for number, length in enumerate(lengths):
            first += 10 * (gap and number == len(lengths) // 2)
            loss, accuracy = random.random((2, length))
            told = {"seconds": float(first), "watched": first / 2}
            writer.add(Steps(first=first, loss=loss, accuracy=accuracy, **told))
            first += length
        writer.commit()
    with store.Reader(file) as reader:
        single, joined = reader.steps(), reader.steps(joined=True)
    assert len(joined) <= 64 + 1 + gap
    for name in ("loss", "accuracy"):
        both = [np.concatenate([getattr(b, name) for b in some]) for some in (single, joined)]
        assert np.array_equal(*both)
    steps = [
        np.concatenate([b.first + np.arange(len(b.loss)) for b in some])
        for some in (single, joined)
    ]
    assert np.array_equal(*steps)
    ends = {b.first + len(b.loss): (b.seconds, b.watched) for b in single}
    for block in joined:
        assert ends[block.first + len(block.loss)] == (block.seconds, block.watched)
