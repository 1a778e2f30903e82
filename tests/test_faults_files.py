"""What can befall a run's file: a full disk, a folder that is only read, a lock, damage of every kind.

Each is told in one sentence, and the other runs are listed, opened and trained as before.
"""

import contextlib
import os
import random
import resource
import shutil
import sqlite3
import subprocess
import time

import faults
import made_up
import pytest
from faults import BUSY, Server, press, wait_for, written
from reliability import note

from engine import export, outcomes, runs, schema, store
from engine.diagnosis_command import of_run
from engine.errors import EngineError, StoreError
from engine.library import Index
from engine.spec import RunSpec
from engine.worker import Job
from ui.views import RunView

SHORT = RunSpec(width=8, depth=3, epochs=2, device="cpu")


@contextlib.contextmanager
def mounted(folder, *options):
    """A file system of its own at this folder. Skips where this user may mount none."""
    folder.mkdir(parents=True, exist_ok=True)
    asked = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(asked, capture_output=True).returncode:
        pytest.skip("this user may not mount a file system")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def refusal(work):
    """What an EngineError says of it; "" where it can be done."""
    try:
        work()
    except EngineError as error:
        return str(error)
    return ""


def is_sentence(words):
    return words.endswith(".") and "\n" not in words and "Traceback" not in words


def recorded_file(status=store.FINISHED):
    """A made-up run with everything a run has; its path."""
    file = runs.library() / f"{runs.new_id()}.sqlite"
    made_up.run_file(file, [made_up.kernel(), *made_up.sigmoid_items(200)], status=status)
    with store.Writer(file) as writer:
        writer.fold()
    return file


# --- a full disk -------------------------------------------------------------------------------


def check_ended_by_sentence(run, words):
    """Assert that a run ended, says why, and kept what it had committed."""
    info = runs.info(run)
    assert info.status in (store.FAILED, store.LOST)
    assert is_sentence(info.sentence)
    assert words in info.sentence
    assert info.step > 0
    faults.check_whole(run)


def test_a_full_disk_ends_the_run_and_the_next_one_trains_when_there_is_room(home):
    with mounted(home / "runs", "size=4m"):
        ballast = home / "runs" / "ballast"
        ballast.write_bytes(bytes(2_500_000))
        with Server():
            run = press(BUSY)
            wait_for(lambda: runs.info(run).status not in store.OPEN)
            check_ended_by_sentence(run, "disk is full")
            with contextlib.suppress(OSError), (home / "runs" / "rest").open("wb") as rest:
                while True:  # to the last byte
                    rest.write(bytes(1000))
                    rest.flush()
            assert is_sentence(refusal(lambda: press(SHORT)))
            assert [info.id for info in runs.all()] == [run], "half a run was left"
            began = time.monotonic()
            ballast.unlink()
            again = press(SHORT)
            wait_for(lambda: runs.info(again).status == store.FINISHED)
            note("disk full while a run trains", seconds=time.monotonic() - began)
        assert runs.broken() == []


def test_a_file_that_may_not_grow_ends_its_run_by_sentence(warm):
    worker = warm.take()
    file = runs.path(runs.create(BUSY))
    worker.give(file)
    wait_for(lambda: written(file.stem).step > 50)
    most = file.with_name(f"{file.name}-wal").stat().st_size + 200_000
    resource.prlimit(worker.process.pid, resource.RLIMIT_FSIZE, (most, most))
    began = time.monotonic()
    wait_for(lambda: worker.rests.is_set() or not worker.is_alive())
    worker.end(0.0)
    runs.end_lost()
    info = written(file.stem)
    assert info.status in (store.FAILED, store.LOST)
    assert is_sentence(info.sentence)
    faults.check_whole(file.stem)
    note("a run's file may not grow any more", seconds=time.monotonic() - began)


# --- a folder that is only read ----------------------------------------------------------------


def test_a_library_that_is_only_read_is_listed_opened_and_refuses_by_sentence(home):
    with mounted(home, "size=8m"):
        file = recorded_file()
        left = runs.create(SHORT)  # a run that a killed server left
        subprocess.run(["mount", "-o", "remount,ro", str(home)], check=True)
        assert {info.id for info in runs.all()} == {file.stem, left}
        assert runs.broken() == []
        entries, faulty = Index().look()
        assert (len(entries), faulty) == (2, {})
        view = RunView(file)
        view.refresh()
        assert view.display().arrays["steps"].size > 10
        view.close()
        with Server() as server:  # it starts, and shows what there is
            for ask in (
                lambda: press(SHORT),
                lambda: runs.send(left, "stop"),
                lambda: runs.enqueue(left, 1),
            ):
                with pytest.raises(StoreError) as refused:
                    ask()
                assert is_sentence(str(refused.value))
            assert server.process.poll() is None
        note("a library in a folder that is only read")


# --- a lock ------------------------------------------------------------------------------------


@pytest.fixture
def quick_locks(monkeypatch):
    monkeypatch.setattr(schema, "BUSY_S", 0.3)
    monkeypatch.setattr(schema, "READ_BUSY_S", 0.1)


@contextlib.contextmanager
def locked(file, *, also_readers):
    """Another program that keeps a file to itself."""
    other = sqlite3.connect(file, isolation_level=None)
    other.execute(f"PRAGMA locking_mode = {'EXCLUSIVE' if also_readers else 'NORMAL'}")
    other.execute("BEGIN EXCLUSIVE")
    other.execute("UPDATE run SET note = 'mine'")
    try:
        yield
    finally:
        other.close()


def test_a_file_that_is_locked_for_writing_is_read_as_ever_and_refuses_orders(quick_locks):
    file = recorded_file(store.RUNNING)
    with locked(file, also_readers=False):
        view = RunView(file)
        assert view.refresh()
        view.close()
        with pytest.raises(StoreError, match="locked") as refused, store.Writer(file) as writer:
            writer.send("stop", {})
        assert is_sentence(str(refused.value))
        began = time.monotonic()
        runs.end_open(file, store.LOST, "Gone.")  # the supervisor does not wait for it
        assert time.monotonic() - began < 2
    note("a run's file locked by another program, for writing")


def test_a_file_that_is_locked_altogether_is_told_and_listed_again_when_it_is_free(
    quick_locks, monkeypatch
):
    monkeypatch.setattr("engine.library.AGAIN_S", 0.0)
    file, other, index = recorded_file(), recorded_file(), Index()
    file.touch()
    with locked(file, also_readers=True):
        entries, faulty = index.look()
        assert [entry.id for entry in entries] == [other.stem]
        assert is_sentence(faulty[file.stem])
        assert "locked" in faulty[file.stem]
    began = time.monotonic()
    entries, faulty = index.look()
    assert len(entries) == 2
    assert faulty == {}
    note("a run's file locked by another program, altogether", seconds=time.monotonic() - began)


def test_a_run_whose_file_is_locked_for_too_long_ends_by_sentence(quick_locks):
    run = runs.create(BUSY)
    held = contextlib.ExitStack()

    def lock(step, end):
        if step > 20:
            job.hear = lambda step, end: None
            held.enter_context(locked(runs.path(run), also_readers=False))

    job = Job(runs.path(run), lock)
    job.keeper.close = held.close  # what a run does first when it ends: until then it was locked
    assert job.work() == store.FAILED
    info = written(run)
    assert "database is locked" in info.sentence
    assert is_sentence(info.sentence)
    faults.check_whole(run)
    note("a run's file locked while it trains, for longer than it waits")


# --- damage ------------------------------------------------------------------------------------


def flip(content, drawn):
    """Some bytes, anywhere."""
    for _ in range(drawn.choice([1, 8, 200])):
        content[drawn.randrange(len(content))] = drawn.randrange(256)


def scramble(content, drawn):
    """A piece of a few hundred bytes that is something else."""
    place = drawn.randrange(len(content))
    size = min(drawn.randrange(1, 700), len(content) - place)
    content[place : place + size] = drawn.randbytes(size)


def scramble_the_row(content, drawn):
    """Bytes of the row that says what the run is."""
    place = content.index(b"Made up") + drawn.randrange(-80, 300)
    content[place : place + 3] = drawn.randbytes(3)


def cut(content, drawn):
    """The end is missing."""
    del content[drawn.randrange(len(content)) :]


def behead(content, drawn):
    """The beginning is something else."""
    size = drawn.choice([1, 16, 100, 4096])
    content[:size] = drawn.randbytes(size)


def empty(content, drawn):
    """Nothing is there."""
    content.clear()


DAMAGE = {
    "bytes overwritten": (flip, 40),
    "a piece overwritten": (scramble, 40),
    "bytes of the run's own row overwritten": (scramble_the_row, 40),
    "cut off": (cut, 20),
    "header gone": (behead, 8),
    "empty": (empty, 1),
}


def looked_at(run):
    """Everything that is done to a run that is looked at; a function for each."""
    file = runs.path(run)

    def view():
        view = RunView(file)
        try:
            view.refresh()
            view.check()
            view.display()
        finally:
            view.close()

    def ended():
        runs.end_open(file, store.LOST, "Gone.")

    return {
        "info": lambda: runs.info(run),
        "view": view,
        "outcome": lambda: outcomes.Measure(file).refresh(),
        "diagnosis": lambda: of_run(run),
        "csv": lambda: export.whole(run, "csv"),
        "ended": ended,
    }


@pytest.mark.parametrize("what", DAMAGE)
def test_a_damaged_file_is_told_in_one_sentence_and_the_others_are_listed(what):
    damage, times = DAMAGE[what]
    file, good = recorded_file(), recorded_file()
    whole, drawn, index, told = file.read_bytes(), random.Random(what), Index(), 0
    for number in range(times):
        content = bytearray(whole)
        damage(content, drawn)
        for end in ("-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
        file.write_bytes(content)
        for name, look in looked_at(file.stem).items():
            sentence = refusal(look)
            assert not sentence or is_sentence(sentence), (name, number, sentence)
            told += bool(sentence)
        assert good.stem in {info.id for info in runs.all()}, number
        entries, faulty = index.look()
        assert good.stem in {entry.id for entry in entries}, number
        assert {entry.id for entry in entries} | set(faulty) == {good.stem, file.stem}, number
        note(f"a run's file damaged: {what}")
    assert told
    runs.delete(file.stem)


#: Changes that make of a run's row one that is none.
NO_ROW = (
    "UPDATE run SET created = 'tomorrow'",
    "UPDATE run SET created = 9e999",
    "UPDATE run SET started = x'00'",
    "UPDATE run SET status = 'asleep'",
    "UPDATE run SET title = x'00ff'",
    "UPDATE run SET spec = '[1]'",
    "UPDATE run SET spec = 5",
    "UPDATE run SET versions = '[]'",
    "UPDATE run SET versions = '{\"torch\": 2}'",
    "UPDATE run SET frozen = '[\"1\"]'",
    "UPDATE run SET tags = '7'",
    "UPDATE run SET parent_step = -1",
    "UPDATE heartbeat SET pid = -1",
    "UPDATE heartbeat SET pid = 'me'",
    "UPDATE heartbeat SET step = 'first'",
    "UPDATE heartbeat SET at = x'00'",
)


@pytest.mark.parametrize("statement", NO_ROW)
def test_a_row_that_is_none_is_told_in_one_sentence_and_the_others_are_listed(statement):
    file, good, index = recorded_file(store.RUNNING), recorded_file(), Index()
    with store.Writer(file) as writer:
        writer.connection.execute(statement)
    for look in looked_at(file.stem).values():
        sentence = refusal(look)
        assert not sentence or is_sentence(sentence)
    assert [info.id for info in runs.all()] == [good.stem]
    entries, faulty = index.look()
    assert [entry.id for entry in entries] == [good.stem]
    assert file.name in faulty[file.stem]
    note("a run's file damaged: a value of its row is none")


def future(file):
    connection = sqlite3.connect(file)
    connection.execute(f"PRAGMA user_version = {store.SCHEMA + 7}")
    connection.close()


def folder(file):
    file.unlink()
    file.mkdir()


def text(file):
    file.write_text("Not a database.\n" * 300)


def another_database(file):
    file.unlink()
    connection = sqlite3.connect(file)
    connection.executescript(f"CREATE TABLE run (x); PRAGMA user_version = {store.SCHEMA};")
    connection.close()


IN_ITS_PLACE = {
    "a file of a future schema": future,
    "a folder": folder,
    "a text": text,
    "another database": another_database,
}


def test_beside_files_that_are_none_runs_are_listed_and_trained(home):
    sentences = {}
    for make in IN_ITS_PLACE.values():
        file = recorded_file()
        make(file)
        for end in ("-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
    (home / "queue").mkdir(exist_ok=True)
    (home / "queue" / "00000000000000000000-20260101-000000-0000").touch()  # waits for no run
    with Server():
        run = press(SHORT)
        wait_for(lambda: runs.info(run).status == store.FINISHED)
        assert [info.id for info in runs.all()] == [run]
        sentences = runs.broken()
    assert len(sentences) == len(IN_ITS_PLACE)
    assert all(map(is_sentence, sentences))
    assert sum("newer version" in words for words in sentences) == 1
    for what in IN_ITS_PLACE:
        note(f"in a run's place {what}")


def test_who_is_killed_while_a_run_is_made_leaves_no_half_of_one(monkeypatch):
    connect = schema.connect

    def killed(path, mode):
        connection = connect(path, mode)
        return connection if mode != "rwc" else pytest.fail("killed here")

    with monkeypatch.context() as patched:
        patched.setattr(schema, "connect", killed)
        with pytest.raises(pytest.fail.Exception):
            runs.create(SHORT)
    left = runs.library() / f"{runs.new_id()}.sqlite{schema.MAKING}"
    left.write_bytes(b"half")
    assert runs.all() == []
    assert runs.broken() == []
    store.clean(runs.library())
    assert left.exists(), "another server may be at it"
    os.utime(left, (1.0, 1.0))
    store.clean(runs.library())
    assert not left.exists()
