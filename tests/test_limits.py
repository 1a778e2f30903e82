"""Caps: each refuses in one sentence and writes nothing; what is offered for deletion; memory as measured."""

import os
import re
import subprocess
import sys

import pytest
from conftest import REPOSITORY
from test_pages import made, opened, said

from engine import branches, contenders, library, limits, memory, runs, store, transfer
from engine.contenders import Contender
from engine.errors import LimitError
from engine.spec import RunSpec, choices
from ui import rights

TINY = RunSpec(depth=2, width=4, steps=2)
#: Variable -> a value at which there is no room for another run, where there is one.
FULL = {
    "VGLAB_MOST_QUEUED": "0",
    "VGLAB_MOST_RUNS": "1",
    "VGLAB_MOST_GB": "0.00001",
    "VGLAB_MOST_STEPS": "1",
}
#: Every way to ask for a run, of a run that is there and its file.
WAYS = {
    "start": lambda run, file: runs.start(TINY),
    "again": lambda run, file: branches.again(run),
    "branch": lambda run, file: branches.branch(run, 1),
    "set": lambda run, file: contenders.start([Contender(title="One", spec=TINY)]),
    "import": lambda run, file: transfer.imported(file),
}
OF_RUNS_ALONE = (
    "VGLAB_MOST_QUEUED",
    "VGLAB_MOST_STEPS",
)  # an imported run neither waits nor trains


def everything(home):
    """Every file of the library with its bytes: what must be as before."""
    return {file: file.read_bytes() for file in home.rglob("*") if file.is_file()}


@pytest.fixture
def run():
    """A finished run of two steps."""
    return made(store.FINISHED, TINY, step=2)


@pytest.fixture
def refused(run, home):
    """Asks for a run in a way; the sentence it is refused with, once nothing has been written."""
    file = transfer.exported(run)

    def ask(way):
        before = everything(home)
        with pytest.raises(LimitError) as error:
            WAYS[way](run, file)
        assert everything(home) == before
        return str(error.value)

    return ask


def check_is_a_sentence(told):
    assert told[0].isupper() or told[0].isdecimal()
    assert told.endswith(".")
    assert not re.search(r"[.!?] ", told), "one sentence"


# -- refusing --------------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("variable", FULL)
def test_a_cap_refuses_every_way_to_ask_for_a_run_and_nothing_is_written(
    refused, monkeypatch, way, variable
):
    if way == "import" and variable in OF_RUNS_ALONE:
        pytest.skip("an imported run neither waits nor trains")
    monkeypatch.setenv(variable, FULL[variable])
    told = refused(way)
    check_is_a_sentence(told)
    assert "at most" in told


@pytest.mark.parametrize("way", WAYS)
def test_a_disk_that_is_nearly_full_takes_no_run(refused, monkeypatch, way):
    monkeypatch.setattr(limits, "free_gb", lambda: 0.3)
    told = refused(way)
    check_is_a_sentence(told)
    assert told.startswith("The disk has 0.3 GB left, and 0.5 GB of it must stay free")


@pytest.mark.parametrize("way", [way for way in WAYS if way != "import"])
def test_a_network_that_does_not_fit_is_refused_with_both_numbers(refused, monkeypatch, way):
    monkeypatch.setattr(memory, "free", lambda: 0.2e9)
    told = refused(way)
    check_is_a_sentence(told)
    assert told == (
        "This network needs about 0.5 GB of memory and 0.2 GB are free: lower width, batch_size "
        "or depth."
    )


def test_of_a_set_as_many_must_fit_as_train_at_once(monkeypatch):
    large = RunSpec(depth=50, width=1024)
    monkeypatch.setattr(memory, "free", lambda: 2.5 * memory.needed(large))
    three = [large, large.changed({"seed": 1}), TINY]
    limits.check(three, together=2)
    with pytest.raises(LimitError, match=r"^3 of these networks at once need about"):
        limits.check([*three, large], together=3)


def test_a_set_is_refused_as_a_whole(home, monkeypatch):
    monkeypatch.setenv("VGLAB_MOST_QUEUED", "5")
    with pytest.raises(LimitError, match=r"^6 runs would wait for a worker, and at most 5 may"):
        contenders.start([Contender(title="One", spec=TINY, seeds=6)])
    assert runs.all() == []
    contenders.start([Contender(title="One", spec=TINY, seeds=5)])
    assert len(runs.all()) == 5


def test_every_cap_has_room_for_a_run_by_default_and_says_what_is_allowed():
    assert limits.faults([TINY]) == {}
    for name, limit in limits.LIMITS.items():
        told = limit.refused(limit.most + 1, now=0.0)
        check_is_a_sentence(told)
        assert f"{limit.most:,.0f}" in told, name
        assert limit.refused(limit.most, now=0.0) == ""


@pytest.mark.parametrize(
    ("asked", "most"), [("7", 7), ("", 500), ("many", 500), ("nan", 500), ("inf", 500), ("-1", 0)]
)
def test_a_cap_is_moved_by_its_variable_and_by_nothing_else(monkeypatch, asked, most):
    monkeypatch.setenv("VGLAB_MOST_QUEUED", asked)
    assert limits.most("queued") == most


def test_variables_are_told_apart():
    assert len({limit.variable for limit in limits.LIMITS.values()}) == len(limits.LIMITS)
    assert all(limit.variable.startswith("VGLAB_") for limit in limits.LIMITS.values())


def test_what_the_library_holds_is_counted_as_the_index_counts_it(home):
    assert [full.now for full in limits.fullness()] == [0, 0]
    for _ in range(3):
        made(store.FINISHED)
    runs.start(TINY)
    (home / "runs" / "notes.txt").write_text("no run")
    entries, _ = library.index.look()
    counted, disk = (full.now for full in limits.fullness())
    assert counted == len(entries) == 4
    assert disk == sum(entry.bytes for entry in entries) / 1e9
    assert limits.LIMITS["queued"].now() == 1


# -- memory ----------------------------------------------------------------------------------------

#: A run in a process of its own; what it took at most, without the files that all workers share.
MEASURED = """
import json, os, re, sys
from engine import runs
os.environ.update(runs.SAME_BITS)
from engine import worker
from engine.spec import RunSpec
worker.warm_up()
def most():
    told = dict(re.findall(r"^(\\w+):\\s+(\\d+) kB$", open("/proc/self/status").read(), re.M))
    return 1024 * (int(told["VmHWM"]) - int(told["RssFile"]))
small = most()  # a tiny run has been trained
file = runs.path(runs.create(RunSpec(**json.loads(sys.argv[1]))))
assert worker.Job(file).work() == "finished"
print(small, most())
"""


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="the system tells no peak")
@pytest.mark.parametrize(
    "fields",
    [
        {"depth": 12, "width": 1024, "optimizer": "adam"},
        {"depth": 10, "width": 768, "batch_size": 1350, "norm": "batch"},
    ],
    ids=["many weights", "large batch"],
)
def test_what_a_run_is_said_to_need_is_what_its_worker_takes(home, fields):
    spec = RunSpec(**({"steps": 2, "device": "cpu"} | fields))
    done = subprocess.run(
        [sys.executable, "-c", MEASURED, spec.model_dump_json()],
        cwd=REPOSITORY, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    small, measured = map(float, done.stdout.split())
    assert measured <= memory.needed(spec) <= 2 * measured
    assert small / 1.2 <= memory.needed(TINY) <= 2 * small


def test_whatever_makes_a_network_larger_needs_more():
    usual = RunSpec(data="fashion_mnist")
    for larger in (
        {"width": 1024}, {"depth": 50}, {"batch_size": 20000}, {"optimizer": "adam"},
        {"norm": "batch", "batch_size": 512}, {"data": "cifar10"},
    ):  # fmt: skip
        assert memory.needed(usual.changed(larger)) > memory.needed(usual), larger
    needs = [memory.needed(usual.changed({"optimizer": one})) for one in choices("optimizer")]
    assert len(set(needs)) == 3, "none, one or two arrays beside the weights"


def test_a_container_has_what_its_limit_leaves(monkeypatch, tmp_path):
    monkeypatch.setattr(memory, "_CONTROL", tmp_path)
    without = memory.free()
    assert without > 1e8
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("900000\n")
    (tmp_path / "memory.stat").write_text("anon 100\ninactive_file 300000\n")
    assert memory.free() > 1e8
    (tmp_path / "memory.max").write_text("1000000\n")
    assert memory.free() == 400_000


# -- letting go ------------------------------------------------------------------------------------


def test_the_oldest_that_have_ended_and_nobody_starred_are_offered(monkeypatch):
    ended = [made(store.FINISHED) for _ in range(4)]
    starred, waiting = made(store.FINISHED), made(store.QUEUED)
    library.describe(starred, starred=True)
    library.describe(ended[1], starred=True)
    oldest = sorted(set(ended) - {ended[1]})
    entries = library.index.look()[0]
    assert limits.to_let_go(entries) == []  # there is room
    offered = {}
    for most in (1, 4, 5, 6):
        monkeypatch.setenv("VGLAB_MOST_RUNS", str(most))
        offered[most] = [entry.id for entry in limits.to_let_go(entries)]
    by_age = [entry.id for entry in entries[::-1] if entry.id in oldest]
    assert offered == {1: by_age, 4: by_age, 5: by_age[:2], 6: by_age[:2]}
    assert waiting not in offered[1]


def test_a_library_that_takes_too_much_room_offers_until_it_has_some(monkeypatch):
    for _ in range(4):
        made(store.FINISHED)
    entries = library.index.look()[0]
    size = sum(entry.bytes for entry in entries)
    monkeypatch.setenv("VGLAB_MOST_GB", str(size / 1e9))
    left = entries[: len(entries) - len(limits.to_let_go(entries))]
    assert 0 < sum(entry.bytes for entry in left) <= limits.ROOM * size


def test_the_page_offers_and_deletes_only_when_it_is_pressed(monkeypatch):
    found = [made(store.FINISHED) for _ in range(9)]
    assert "The library holds" not in said(opened("runs.py"))
    monkeypatch.setenv("VGLAB_MOST_RUNS", "10")
    page = opened("runs.py")
    assert "The library holds 9 of 10 runs, " in said(page)
    assert len(runs.all()) == 9
    assert any("Oldest that have ended and nobody starred:" in text.value for text in page.text)
    page.button(key="let_go").click().run()
    assert len(runs.all()) == 8
    assert "The library holds" not in said(page)
    page.button(key="undo").click().run()
    assert sorted(run.id for run in runs.all()) == sorted(found)


def test_the_audience_is_told_and_offered_nothing(monkeypatch):
    made(store.FINISHED)
    monkeypatch.setenv("VGLAB_MOST_RUNS", "1")
    monkeypatch.setenv(rights.KEY, "a key of the presenter")
    monkeypatch.setattr(rights, "_cookies", dict)
    page = opened("runs.py")
    assert "The library holds 1 of 1 runs" in said(page)
    assert "let_go" not in [button.key for button in page.button]


def test_the_lab_says_so_beside_train_before_it_is_pressed(monkeypatch):
    monkeypatch.setattr(memory, "free", lambda: 0.2e9)
    page = opened()
    told = "This network needs about 0.5 GB of memory and 0.2 GB are free"
    assert said(page).count(told) == 2  # beneath Train and beside the control
    page.button(key="train").click().run()
    assert not page.exception
    assert said(page).count(told) == 2
    assert runs.all() == []
