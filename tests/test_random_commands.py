"""Any command line ends with an exit code of ours and, where it is refused, one sentence; nothing else is written."""

import os
from types import SimpleNamespace
from unittest.mock import patch

import made_up
import pytest
import typer
from hypothesis import example, given
from hypothesis import strategies as st
from random_input import FIELDS, INSIDES, contents, near_fields, texts
from typer.testing import CliRunner

from engine import __main__ as shell
from engine import commands, export, runs, steering_commands, store
from engine.bench import command as bench
from engine.presets import PRESETS

NAMES = sorted(typer.main.get_command(shell.app).commands)
OPTIONS = sorted(
    {
        name
        for command in typer.main.get_command(shell.app).commands.values()
        for parameter in command.params
        for name in parameter.opts
        if name.startswith("--")
    }
)
#: What may be written, and by which command: the library's runs, or a file to take home.
WRITES = {"run", "branch", "again", "ladder", "verdict", "send", "change", "export"}
CODES = {0, 1, 2, 3}

_values = st.sampled_from(
    [
        *PRESETS,
        *export.FORMS,
        *runs.COMMANDS,
        "RUN",
        "RUN",
        "0",
        "1",
        "2",
        "99",
        "all",
        "controlled",
        "both",
        "/dev/null",
        ".",
    ]
)
words = _values | texts | st.integers(-(10**20), 10**20).map(str)
settings = st.builds("{}={}".format, st.sampled_from(FIELDS) | near_fields, words)
options = st.sampled_from(OPTIONS).flatmap(
    lambda name: (
        st.tuples(st.just(name)) | st.tuples(st.just(name), settings if name == "--set" else words)
    )
)
arguments = st.tuples(words) | options | st.tuples(st.just("--json"))
lines = st.tuples(
    st.sampled_from(NAMES) | texts,
    st.lists(arguments, max_size=5).map(lambda some: [*sum(some, ())]),
).map(lambda line: [line[0], *line[1]])


@pytest.fixture
def finished(home):
    """The id of a run that has ended."""
    run = runs.new_id()
    made_up.run_file(
        runs.library() / f"{run}.sqlite", made_up.sigmoid_items(40), status=store.FINISHED
    )
    return run


def in_place_of_training(party, *_):
    """No worker is started; what waits is withdrawn."""
    for run in [run for members in party.members.values() for run in members]:
        if runs.info(run).status == store.QUEUED:
            runs.send(run, "stop")
    return True


class Job:
    """In place of a worker's: the run is over as it begins."""

    refused = False

    def __init__(self, file, hear):
        self.file = file

    def work(self):
        with store.Writer(self.file) as writer:
            writer.update(status=store.FINISHED, sentence="Finished.")
        return store.FINISHED


def done(line, folder):
    """What the command line does, in this process, with nothing trained and nothing measured."""
    with (
        patch.dict(os.environ),
        patch.object(shell, "_worker_module", lambda: SimpleNamespace(Job=Job)),
        patch.object(commands, "train", in_place_of_training),
        patch.object(steering_commands, "train", in_place_of_training),
        patch.object(bench, "results", lambda part, asked: iter(())),
        patch("engine.bench.report.write_section", lambda *_, **__: None),
        patch("engine.runs.check_obtainable", lambda name: None),
        pytest.MonkeyPatch.context() as here,
    ):
        here.chdir(folder)
        return CliRunner().invoke(shell.app, line)


@given(lines)
@example(["run", "--set"])
@example(["show", "--no-such-thing"])
@example(["stats", "RUN", "--at", "9" * 30])
@example(["stats", "RUN", "--at", "-1", "--json"])
@example(["branch", "RUN", "--at", "1e3"])
@example(["change", "RUN", "--freeze", "9" * 400])
@example(["export", "RUN", "--to", "json", "--out", "\0"])
@example(["run", "--spec", "/dev/null"])
@example(["bench", "--minutes", "nan"])
def test_any_command_line_is_carried_out_or_refused_by_one_sentence(home, finished, tmp_path, line):
    before = contents(home)
    line = [
        finished if word == "RUN" else word.encode("utf-8", "replace").decode() for word in line
    ]
    found = done(line, tmp_path)
    assert isinstance(found.exception, SystemExit | None), (line, found.exception)
    assert found.exit_code in CODES, line
    assert not INSIDES.search(found.stderr), found.stderr
    if found.exit_code == 2:
        said = found.stderr.strip()
        assert said, line
        assert len(said.splitlines()) == 1, said
        assert contents(home) == before, f"{line} was refused, and has written"
    if line[0] not in WRITES:
        assert contents(home) == before, f"{line} has written"
    for new in contents(home).keys() - before.keys():
        (home / new).unlink()


@given(st.lists(texts | st.sampled_from(OPTIONS), max_size=4))
def test_what_is_no_command_is_refused(home, line):
    line = [word.encode("utf-8", "replace").decode() for word in line]
    found = done(line, home.parent)
    assert isinstance(found.exception, SystemExit | None), (line, found.exception)
    assert found.exit_code in (0, 2)
    assert not home.exists() or not contents(home)
