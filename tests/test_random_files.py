"""Any bytes are a run, a checkpoint or a chapter, or are refused by a sentence; nothing of them is left behind."""

import sqlite3

import made_up
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from random_input import INSIDES, texts

from engine import checkpoints, runs, store, transfer
from engine.errors import EngineError, LessonError, StoreError
from engine.spec import RunSpec
from engine.steering import Standing
from ui import lessons

#: Where and what is written over a file: some bytes, a number that is too large, or nothing more from there on.
spoils = st.lists(
    st.tuples(
        st.floats(0, 1, exclude_max=True),
        st.binary(min_size=1, max_size=8)
        | st.sampled_from(
            [b"", b"\xff" * 8, b"\0" * 64, b"\x7f\xff\xff\xff", b"SQLite format 3\0", b"PK\3\4"]
        ),
    ),
    min_size=1,
    max_size=6,
)


def spoiled(raw, spoils):
    """The bytes with some others over them; an empty one cuts off the rest."""
    made = bytearray(raw)
    for share, over in spoils:
        at = int(share * len(made))
        if over:
            made[at : at + len(over)] = over[: len(made) - at]
        else:
            del made[at:]
    return bytes(made)


def is_sentence(said):
    """Whether it is: on one line, of what a screen shows, and nothing of the program's insides."""
    said.encode()
    assert not INSIDES.search(said), said
    return "\n" not in said and len(said) < 500


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The bytes of a made-up run's file."""
    file = made_up.run_file(
        tmp_path_factory.mktemp("whole") / "a.sqlite",
        made_up.sigmoid_items(60),
        status=store.FINISHED,
    )
    with store.Writer(file) as writer:
        writer.fold()
    return file.read_bytes()


@given(st.binary(max_size=300) | st.binary(max_size=50).map(b"SQLite format 3\0".__add__))
@example(b"")
def test_any_bytes_are_refused_as_a_run_by_one_sentence(home, raw):
    with pytest.raises(StoreError) as refused:
        transfer.imported(raw)
    assert is_sentence(str(refused.value))
    assert str(refused.value).endswith(".")
    assert_nothing_is_left(home)


def assert_nothing_is_left(home):
    assert [file for file in home.rglob("*") if file.is_file()] == []


@given(spoils)
def test_a_spoiled_file_is_taken_in_whole_or_refused_and_leaves_nothing(home, whole, spoils):
    try:
        run = transfer.imported(spoiled(whole, spoils))
    except StoreError as error:
        run, said = "", str(error)
    if not run:
        assert is_sentence(said), said
        assert_nothing_is_left(home)
        return
    with store.Reader(runs.path(run)) as reader:
        assert reader.run().spec.layers
        assert len(reader.records()) >= 0
        assert [reader.record(one.step) for one in reader.records()]
        assert reader.epochs() is not None
        assert reader.steps(joined=True) is not None
    for file in home.rglob(f"{run}*"):
        file.unlink()


READS = {
    "run": lambda reader: reader.run(),
    "orders": lambda reader: reader.orders(),
    "records": lambda reader: reader.records(),
    "record": lambda reader: reader.record(0),
    "last_step": lambda reader: reader.last_step(),
    "steps": lambda reader: reader.steps(),
    "joined steps": lambda reader: reader.steps(joined=True),
    "epochs": lambda reader: reader.epochs(),
    "events": lambda reader: reader.events(),
    "kernel": lambda reader: reader.kernel(),
    "state": lambda reader: reader.state(0),
    "checkpoints": lambda reader: reader.checkpoints(),
}


def test_every_question_to_a_reader_is_asked_here():
    asked = {name.split()[-1] for name in READS}
    assert asked == {
        name for name in vars(store.Reader).keys() | vars(store._File).keys() if name[0] != "_"
    } - {"mode", "close"}


@given(spoils, st.sampled_from(list(READS)))
def test_whatever_is_wrong_with_a_file_a_reader_raises_one_kind_of_error(
    tmp_path, whole, spoils, name
):
    file = tmp_path / "b.sqlite"
    file.write_bytes(spoiled(whole, spoils))
    assert_read_or_refused(file, READS[name])


def assert_read_or_refused(file, read):
    try:
        with store.Reader(file) as reader:
            read(reader)
        said = ""
    except EngineError as error:
        said = str(error)
    assert is_sentence(said)
    for left in file.parent.glob("b.sqlite*"):
        left.unlink()


ANYTHING = (
    st.none()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats()
    | st.binary(max_size=40)
    | st.text(max_size=9)
)
COLUMNS = [
    *(
        "run.spec",
        "run.status",
        "run.tags",
        "run.versions",
        "run.created",
        "run.starred",
        "run.frozen",
    ),
    *("run.now", "run.changes", "run.parent_step", "run.title", "records.step", "records.scalars"),
    *("records.seconds", "histograms.counts", "steps.numbers", "steps.first", "epochs.numbers"),
    *("events.change", "events.words", "heartbeat.at", "heartbeat.step", "heartbeat.pid"),
]


@given(st.sampled_from(COLUMNS), ANYTHING, st.sampled_from(list(READS)))
def test_whatever_stands_in_a_column_it_is_read_or_refused(tmp_path, whole, column, value, name):
    table, field = column.split(".")
    file = tmp_path / "b.sqlite"
    file.write_bytes(whole)
    connection = sqlite3.connect(file, isolation_level=None)
    connection.execute("PRAGMA journal_mode = MEMORY")
    newest = f"rowid = (SELECT max(rowid) FROM {table})"
    try:
        connection.execute(f"UPDATE {table} SET {field} = ? WHERE {newest}", (value,))
    except (sqlite3.Error, UnicodeEncodeError):
        return  # no such value fits there
    finally:
        connection.close()
    assert_read_or_refused(file, READS[name])


@pytest.fixture(scope="module")
def state():
    """A checkpoint's bytes."""
    made = checkpoints.State(
        position=checkpoints.Position(step=3, losses=[1.0]),
        standing=Standing(spec=RunSpec()),
        seconds=1.5,
        generator=torch.get_rng_state(),
        network={"layers.0.weight": torch.ones(3, 2)},
        optimizer={"layers.0.weight": {"momentum_buffer": torch.zeros(3, 2)}},
        recorder={"count": 4},
    )
    return checkpoints.to_bytes(made)


@given(spoils)
def test_a_spoiled_checkpoint_is_read_or_refused(state, spoils):
    assert_state_or_refused(spoiled(state, spoils))


@given(st.binary(max_size=200) | st.binary(max_size=60).map(b"\x80\x02".__add__))
@example(b"")
@example(b"PK\5\6" + b"\0" * 18)
def test_any_bytes_are_a_checkpoint_or_refused(raw):
    assert_state_or_refused(raw)


def assert_state_or_refused(raw):
    try:
        checkpoints.from_bytes(raw)
        said = ""
    except StoreError as error:
        said = str(error)
    assert "\n" not in said


CHAPTERS = {file.name: file.read_text() for file in sorted(lessons.FOLDER.glob("*.md"))}
_LINES = sorted({line for text in CHAPTERS.values() for line in text.splitlines()})
_VALUES = [
    "1e999",
    "nan",
    "inf",
    "-inf",
    "9" * 400,
    "9" * 5000,
    '"a"',
    "[]",
    "[[1]]",
    "{}",
    "true",
    "1979-05-27",
    "'''",
    '"\\u0000"',
]


@given(
    st.sampled_from(list(CHAPTERS)),
    st.lists(
        st.tuples(st.integers(0, 120), st.sampled_from(_LINES) | texts | st.sampled_from(_VALUES)),
        max_size=3,
    ),
    st.sampled_from(["over", "before", "value"]),
)
def test_a_chapter_with_other_lines_is_one_or_is_refused_by_its_name(name, changes, how):
    lines = CHAPTERS[name].splitlines()
    for at, line in changes:
        at %= len(lines)
        key, equals, _ = lines[at].partition("=")
        lines[at : at + (how != "before")] = [
            f"{key}= {line}" if how == "value" and equals else line
        ]
    try:
        lesson = lessons.parse(name, "\n".join(lines))
    except LessonError as error:
        assert str(error).startswith(name)  # noqa: PT017
        return
    assert lesson.runs
    assert all(
        abs(edge) < 1e300
        for edge in (*lesson.predict.bins, lesson.predict.low, lesson.predict.high)
    )


@pytest.mark.parametrize("value", _VALUES)
def test_whatever_stands_for_a_value_of_a_chapter_it_is_taken_or_refused(value):
    seen = set()
    for name, text in CHAPTERS.items():
        head = text.split(lessons.FENCE)[1]
        for line in head.splitlines():
            key, equals, _ = line.partition("=")
            if not equals or key in seen:
                continue
            seen.add(key)
            changed = text.replace(line, f"{key}= {value}", 1)
            try:
                lesson = lessons.parse(name, changed)
            except LessonError as error:
                assert str(error).startswith(name)  # noqa: PT017
                continue
            predict = lesson.predict
            assert all(abs(edge) < 1e300 for edge in (*predict.bins, predict.low, predict.high))


@given(texts | st.text(max_size=300))
@example("+++\na = " + "[" * 5000 + "\n+++\n")
@example("+++\na = " + "9" * 5000 + "\n+++\n")
def test_any_text_is_refused_as_a_chapter(text):
    with pytest.raises(LessonError, match=r"^01-a\.md: "):
        lessons.parse("01-a.md", text)
