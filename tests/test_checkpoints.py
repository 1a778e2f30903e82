"""Moments that can be gone back to: data alone, whole or not at all, and bounded."""

import io
import pickle
import shutil
import sqlite3
from collections import namedtuple

import pytest
import torch
from trained import checkpoints, small, trained

from engine import keeping, runs, store
from engine.checkpoints import Position, State, copied, from_bytes, to_bytes
from engine.errors import StoreError
from engine.keeping import Keeper, stride, surplus
from engine.run_info import Checkpoint
from engine.steering import Standing


def state(**changes):
    told = {
        "position": Position(step=7, epoch=1, batch=2, losses=[0.1, 2.3], correct=3.0, seen=4),
        "standing": Standing(spec=small(), frozen=frozenset({2})),
        "seconds": 1.5,
        "generator": torch.get_rng_state(),
        "network": {"a": torch.tensor([1.0, float("nan"), float("-inf")])},
        "optimizer": {"a": {"step": torch.tensor(3.0), "momentum_buffer": None}},
        "recorder": {"since": 4, "previous": {1: torch.ones(2, 2)}},
    }
    return State(**(told | changes))


def test_a_state_survives_its_bytes_to_the_last_bit():
    before, after = state(), from_bytes(to_bytes(state()))
    assert (after.position, after.standing, after.seconds) == (
        before.position,
        before.standing,
        before.seconds,
    )
    assert after.network["a"].numpy().tobytes() == before.network["a"].numpy().tobytes()
    assert after.optimizer["a"]["momentum_buffer"] is None
    assert torch.equal(after.recorder["previous"][1], torch.ones(2, 2))


def test_a_copy_is_not_touched_by_what_training_does_next():
    weight = torch.zeros(3)
    kept = copied({"weight": weight})
    weight += 1
    assert kept["weight"].sum() == 0


class Evil:
    def __reduce__(self):
        return (print, ("code was run",))


def damaged():
    whole = to_bytes(state())
    evil = io.BytesIO()
    torch.save({"position": Evil()}, evil)
    nothing = io.BytesIO()
    torch.save({"position": {}}, nothing)
    return {
        "empty": b"",
        "not one": b"no checkpoint",
        "half": whole[: len(whole) // 2],
        "code": evil.getvalue(),
        "bare code": pickle.dumps(Evil()),
        "something else": nothing.getvalue(),
    }


@pytest.mark.parametrize("name", damaged())
def test_what_is_no_checkpoint_is_refused_by_sentence_and_never_run(name, capsys):
    with pytest.raises(StoreError, match="The checkpoint in the run's file is damaged") as error:
        from_bytes(damaged()[name])
    assert "\n" not in str(error.value)
    assert "code was run" not in capsys.readouterr().out


def test_epoch_ends_are_thinned_by_powers_of_two():
    assert [stride(32, epoch) for epoch in (1, 32, 33, 65, 66, 10_000)] == [1, 1, 2, 2, 4, 512]
    for epochs in range(1, 400):
        kept = [Checkpoint(step=0, epoch=0, kind="start", bytes=1)]
        kept += [
            Checkpoint(step=9 * e, epoch=e, kind="epoch", bytes=1) for e in range(1, epochs + 1)
        ]
        gone = surplus(kept)
        left = [c for c in kept if c.step not in gone]
        assert left[0].kind == "start"
        assert left[-1].epoch == epochs
        assert len(left) <= keeping.MOST_EPOCHS + 2


def test_what_is_kept_stays_below_its_bound_with_the_start_and_the_newest():
    kept = [Checkpoint(step=s, epoch=s, kind="change", bytes=30) for s in range(1, 40)]
    kept = [Checkpoint(step=0, epoch=0, kind="start", bytes=30), *kept]
    gone = surplus(kept, most_bytes=200)
    left = [c for c in kept if c.step not in gone]
    assert sum(c.bytes for c in left) <= 200
    assert {0, 39} < {c.step for c in left}


def test_a_long_run_keeps_a_bounded_number_of_epochs():
    kept = checkpoints(trained(small(epochs=80, subset=40, depth=1)))
    assert len(kept) <= keeping.MOST_EPOCHS + 2
    assert kept[0] == (0, "start")
    assert kept[-1][1] == "end"


def test_a_checkpoint_that_is_interrupted_destroys_none_before_it():
    run = trained(small())
    before = checkpoints(run)

    def cut_off(kept):
        raise KeyboardInterrupt

    with store.Writer(runs.path(run)) as writer, pytest.raises(KeyboardInterrupt):
        writer.keep(Checkpoint(step=9, epoch=1, kind="epoch", bytes=3), b"new", cut_off)
    assert checkpoints(run) == before
    with store.Reader(runs.path(run)) as reader:
        assert from_bytes(reader.state(9)).position.step == 9


def notes(run):
    with store.Reader(runs.path(run)) as reader:
        return [event.words for event in reader.events() if event.kind == "note"]


def test_a_disk_too_full_for_checkpoints_is_told_once_and_the_run_records_on(monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 9 * 10**8, 10**7))
    run = trained(small())
    assert notes(run) == [
        "No more checkpoints are kept: the disk has 10 MB left, which the records need."
    ]
    assert checkpoints(run) == []
    with store.Reader(runs.path(run)) as reader:
        assert reader.last_step() == 26


def test_a_file_that_may_not_grow_ends_its_checkpoints_and_keeps_those_there_are(monkeypatch):
    """SQLite itself says that the disk is full: as it does of a file at its largest size."""
    keep = store.Writer.keep

    def full(writer, checkpoint, state, surplus):
        if checkpoint.step > 0:
            writer.connection.execute("PRAGMA max_page_count = 1")
        keep(writer, checkpoint, state, surplus)

    monkeypatch.setattr(store.Writer, "keep", full)
    run = trained(small())
    assert len(notes(run)) == 1
    assert "full" in notes(run)[0]
    assert checkpoints(run) == [(0, "start")]
    with store.Reader(runs.path(run)) as reader:
        assert reader.last_step() == 26


def test_a_network_too_large_to_be_kept_is_told_by_its_size(monkeypatch):
    monkeypatch.setattr(keeping, "MOST_BYTES", 10_000)
    run = trained(small())
    assert checkpoints(run) == []
    assert "one of this network takes" in notes(run)[0]


def test_a_defect_in_keeping_does_not_hold_up_the_training(home):
    keeper = Keeper(runs.path(runs.create(small())))
    for step in range(5):
        keeper.keep(step, 0, "change", lambda: {}["no such state"])
    keeper.close()
    assert keeper.fault == "No more checkpoints are kept: 'no such state'."


def test_a_keeper_s_thread_ends_with_it(home):
    run = runs.create(small())
    keeper = Keeper(runs.path(run))
    keeper.keep(0, 0, "start", lambda: b"state")
    keeper.close()
    keeper.close()
    assert checkpoints(run) == [(0, "start")]
    assert keeper._thread is None


def test_a_file_of_schema_1_is_brought_up_to_date_when_it_is_read():
    run = trained(small())
    file = runs.path(run)
    connection = sqlite3.connect(file)
    new = ["parent", "parent_step", "now", "frozen", "changes", "starred", "note", "tags"]
    for column in new:
        connection.execute(f"ALTER TABLE run DROP COLUMN {column}")
    connection.execute("ALTER TABLE events DROP COLUMN change")
    connection.execute("ALTER TABLE events DROP COLUMN at")
    connection.execute("DROP TABLE checkpoints")
    connection.execute("DROP TABLE kernel")
    connection.execute("ALTER TABLE steps DROP COLUMN watched")
    connection.execute("PRAGMA user_version = 1")
    connection.commit()
    connection.close()
    info = runs.info(run)
    assert (info.now, info.parent, info.changes, info.tags) == (info.spec, "", 0, ())
    assert checkpoints(run) == []
    fresh = runs.path(runs.create(small()))
    with store.Reader(file) as old, store.Reader(fresh) as new_one:
        columns = [
            {row[1:4] for table in ("run", "events", "checkpoints", "steps")
             for row in reader.connection.execute(f"PRAGMA table_info({table})")}
            for reader in (old, new_one)
        ]  # fmt: skip
        assert columns[0] == columns[1]
