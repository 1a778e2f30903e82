"""Steering and going back on the pages: presses, changes, refusals, the history, a family in Compare."""

import json
import os
import time
from pathlib import Path
from typing import Any

import made_up
import psutil
import pytest
from streamlit.testing.v1 import AppTest

from engine import branches, runs, store
from engine.errors import RunError
from engine.records import Event
from engine.spec import RunSpec
from engine.steering import LIVE_FIELDS, Change, Standing, applied, as_json, read_json
from ui import change_form, contrast, family, history, states, steer, summary, views, words
from ui.contrast import Line

MAIN = Path(__file__).parent.parent / "pages" / "main.py"
RELU = Change(kind="set", fields={"activation": "relu"})


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty library, and nobody who takes what is sent: a press does not wait for it."""
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(steer, "HEARD_S", 0.0)


def made(status: str = store.RUNNING, *, step: int = 40, **columns: Any) -> str:
    """A run of that status with a worker that lives: this process."""
    run = runs.create(columns.pop("spec", RunSpec()), **columns.pop("creating", {}))
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=status, **columns)
        writer.commit((os.getpid(), psutil.Process().create_time(), step))
    return run


def happened(run: str, *events: Event) -> None:
    with store.Writer(runs.path(run)) as writer:
        for event in events:
            writer.add(event)
        writer.commit()


def changed(step: int, change: Change = RELU) -> Event:
    return Event(step=step, kind="change", words="something", change=as_json(change))


def checked(page: AppTest) -> AppTest:
    assert not page.exception, page.exception[0].value
    return page


def lab(run: str | None = None, *opened: str) -> AppTest:
    """The Lab showing a run, with these popovers open."""
    page = AppTest.from_file(MAIN, default_timeout=30)
    if run:
        page.query_params["run"] = run
    for key in opened:
        page.session_state[key] = True
    return checked(page.run())


def compare(*subjects: str, opened: str = "") -> AppTest:
    page = AppTest.from_file(MAIN, default_timeout=30).switch_page("compare.py")
    page.query_params["runs"] = ",".join(subjects)
    if opened:
        page.session_state[opened] = True
    return checked(page.run())


def press(page: AppTest, key: str) -> AppTest:
    return checked(page.button(key=key).click().run())


def orders(run: str) -> list[str]:
    """What was sent to a run, oldest first."""
    with store.Reader(runs.path(run)) as reader:
        return [
            name
            for (name,) in reader.connection.execute("SELECT command FROM commands ORDER BY id")
        ]


def asked(run: str) -> list[Change]:
    """The changes that were sent to a run."""
    with store.Reader(runs.path(run)) as reader:
        found = reader.connection.execute("SELECT arguments FROM commands WHERE command = 'change'")
        return [read_json(json.loads(arguments)["change"]) for (arguments,) in found]


def said(page: AppTest) -> str:
    parts = [*page.markdown, *page.caption, *page.info, *page.warning, *page.error]
    return "\n".join(part.value for part in parts)


def sides(page: AppTest) -> list[dict[str, Any]]:
    told = (json.loads(one.proto.json)[0] for one in page.get("bidi_component"))
    return next(list(data["contenders"]) for data in told if "contenders" in data)


# -- presses -----------------------------------------------------------------------------------------


def test_pause_step_and_epoch_are_sent_to_the_run_that_is_shown():
    run = made()
    page = lab(run)
    for key in ("lab_pause", "lab_step", "lab_epoch"):
        page = press(page, key)
    assert orders(run) == ["pause", "step", "epoch"]


def test_a_paused_run_is_resumed_by_the_same_button():
    page = lab(made(store.PAUSED))
    assert page.button(key="lab_pause").label == "Resume"
    assert not page.button(key="stop").disabled
    press(page, "lab_pause")
    assert orders(runs.all()[0].id) == ["resume"]


@pytest.mark.parametrize("status", [None, store.QUEUED, store.FINISHED, store.FAILED, store.LOST])
def test_what_has_no_worker_cannot_be_steered(status):
    page = lab(made(status) if status else None)
    for key in ("lab_pause", "lab_step", "lab_epoch"):
        assert page.button(key=key).disabled


def test_a_run_that_ended_meanwhile_refuses_by_sentence_beside_the_buttons():
    run = made()
    page = lab(run)
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=store.FINISHED)
    page = press(page, "lab_step")
    assert "has ended (finished): it cannot be steered" in said(page)


# -- changes -----------------------------------------------------------------------------------------


def test_the_form_has_every_live_field_and_shows_how_the_run_stands_now():
    fields = {*change_form.FIELDS, *change_form.DRAWING}
    assert fields == set(LIVE_FIELDS)
    now = RunSpec(activation="tanh", norm="batch", optimizer="momentum", learning_rate=0.3)
    page = lab(made(now=now.model_dump_json(), changes=4), "lab_change")
    assert page.selectbox(key="lab_change_activation").value == "tanh"
    assert page.selectbox(key="lab_change_norm_position").value == "before"
    assert page.number_input(key="lab_change_learning_rate").value == 0.3
    assert page.number_input(key="lab_change_momentum").value == 0.9
    assert page.button(key="lab_apply_change").disabled


def test_a_change_says_what_stays_and_is_sent_as_one():
    run = made()
    page = lab(run, "lab_change")
    page.selectbox(key="lab_change_activation").select("relu")
    page.selectbox(key="lab_change_optimizer").select("adam")
    page = checked(page.number_input(key="lab_change_learning_rate").set_value(0.001).run())
    told = said(page)
    assert "Activation sigmoid → relu, " in told
    assert "the weights stay, the optimizer's state begins empty" in told
    page = press(page, "lab_apply_change")
    fields = {"activation": "relu", "optimizer": "adam", "learning_rate": 0.001}
    assert asked(run) == [Change(kind="set", fields=fields)]
    assert "Sent, and done before the next step: " in said(page)


def test_the_form_forgets_what_was_typed_once_the_run_has_changed():
    run = made()
    page = lab(run, "lab_change")
    checked(page.selectbox(key="lab_change_activation").select("relu").run())
    now = RunSpec(activation="gelu")
    with store.Writer(runs.path(run)) as writer:
        writer.update(now=now.model_dump_json(), changes=1)
    assert checked(page.run()).selectbox(key="lab_change_activation").value == "gelu"


def test_what_cannot_be_is_said_beside_its_field_before_it_is_sent():
    run = made()
    page = lab(run, "lab_change")
    page.selectbox(key="lab_change_skip").select("every").run()
    page = checked(page.number_input(key="lab_change_skip_every").set_value(50).run())
    assert "skip is every 50 layers; it needs at least 51 hidden layers" in said(page)
    assert page.button(key="lab_apply_change").disabled
    page = checked(page.number_input(key="lab_change_learning_rate").set_value(-1.0).run())
    assert "learning_rate is -1.0; it must be from 1e-08 to 1000." in said(page)


def test_what_the_engine_refuses_is_said_in_the_popover(monkeypatch):
    def refuse(*_: Any) -> None:
        raise RunError("The disk is full.")

    page = lab(made(), "lab_change")
    page = checked(page.selectbox(key="lab_change_activation").select("relu").run())
    monkeypatch.setattr(runs, "change", refuse)
    assert "The disk is full." in said(press(page, "lab_apply_change"))


def test_a_layer_is_frozen_learns_again_and_is_drawn_anew():
    run = made(frozen="[3]")
    page = lab(run, "lab_change")
    page = press(page, "lab_freeze")
    page = checked(page.selectbox(key="lab_change_layer").select(3).run())
    assert page.button(key="lab_freeze").label == "Let it learn"
    page = press(page, "lab_freeze")
    page = checked(page.selectbox(key="lab_change_init").select("normal").run())
    page = press(press(page, "lab_anew"), "lab_all_anew")
    drawn = Change(kind="set", fields={"init": "normal"})
    assert asked(run) == [
        Change(kind="freeze", layer=1),
        Change(kind="unfreeze", layer=3),
        drawn,
        Change(kind="reinitialise", layer=3),
        drawn,
        Change(kind="reinitialise"),
    ]


def test_every_choice_of_the_form_can_be_applied_to_the_baseline():
    """What the form would send is what the engine takes, by the engine's own rule."""
    standing = Standing(spec=RunSpec())
    values = change_form.common([standing.spec])
    for name, value in {"activation": "relu", "norm": "rms", "skip": "published"}.items():
        fields = change_form.asked(values, values | {name: value})
        assert fields == {name: value}
        assert not change_form.faults([standing], fields)
        assert getattr(applied(standing, Change(kind="set", fields=fields)).spec, name) == value
    idle = change_form.asked(values, values | {"momentum": 0.5, "gradient_bound": 3.0})
    assert idle == {}, "what changes nothing is not sent"


def test_several_runs_are_changed_together_and_keep_what_they_differ_in():
    first, second = made(spec=RunSpec(depth=3)), made(spec=RunSpec(depth=3, activation="tanh"))
    page = compare(first, second, opened="compare_change")
    assert page.selectbox(key="compare_change_activation").value is None
    page = checked(page.selectbox(key="compare_change_norm").select("layer").run())
    press(page, "compare_apply_change")
    assert asked(first) == asked(second) == [Change(kind="set", fields={"norm": "layer"})]


# -- Compare -----------------------------------------------------------------------------------------


def test_compare_steers_all_that_train_or_one_of_them():
    first, second, done = made(), made(store.PAUSED), made(store.FINISHED)
    page = compare(first, second, done)
    assert page.button(key="compare_pause").label == "Pause"
    page = press(page, "compare_step")
    assert orders(first) == orders(second) == ["step"]
    assert page.button(key="stop_together").label == "Stop all"
    page = checked(page.selectbox(key="compare_whom").select(second).run())
    assert page.button(key="compare_pause").label == "Resume"
    page = press(page, "compare_pause")
    page = press(page, "stop_together")
    assert orders(first) == ["step"]
    assert orders(second) == ["step", "resume", "stop"]
    assert orders(done) == []


def test_compare_has_nothing_to_steer_where_nothing_trains():
    page = compare(made(store.FINISHED), made(store.STOPPED))
    assert not [button for button in page.button if button.key == "compare_pause"]


def test_compare_draws_what_branches_share_once_and_says_where_they_part():
    root = made(store.FINISHED)
    creating = {"parent": root, "parent_step": 30, "title": "Baseline · from step 30: relu"}
    now = RunSpec(activation="relu").model_dump_json()
    branch = made(store.FINISHED, creating=creating, now=now, changes=1)
    page = compare(branch, root)
    assert [side["since"] for side in sides(page)] == [30, 0]
    told = said(page)
    assert "Baseline from 30: relu branched from Baseline at step 30" in told
    assert "**activation:** relu / sigmoid" in told
    assert "these are the settings it has now" in told


def run_info(run: str, parent: str = "", step: int | None = None) -> Any:
    class Info:
        id, parent_step = run, step

    Info.parent = parent
    return Info


def test_a_family_draws_each_part_of_its_past_once():
    people = {
        "a": run_info("a"),
        "b": run_info("b", "a", 200),
        "c": run_info("c", "b", 300),  # from b's own part
        "d": run_info("d", "b", 100),  # from what b has of a
        "e": run_info("e", "gone", 50),
        "f": run_info("f", "gone", 70),
        "loop": run_info("loop", "loop", 5),
    }

    def look(run):
        if run not in people:
            raise RunError("gone")
        return people[run]

    def since(names):
        return family.since([family.lineage(people[name], look) for name in names])

    assert since("ab") == [0, 200]
    assert since("ba") == [200, 0], "whatever the order"
    assert since("ac") == [0, 200], "c has of a what b had of it"
    assert since("ad") == [0, 100]
    assert since("abcd") == [0, 200, 300, 100]
    assert since("bc") == [0, 300]
    assert since("cd") == [0, 100]
    assert since("ef") == [0, 50], "the first of two branches draws what they share"
    assert since("ae") == [0, 0]
    assert family.since([None, family.lineage(people["loop"], look)]) == [0, 0]


def test_each_step_of_a_family_is_drawn_by_exactly_one_of_it():
    """By another way: who draws a step of whose past, told from the family tree step by step."""
    parents = {"a": ("", 0), "b": ("a", 20), "c": ("b", 35), "d": ("b", 10), "e": ("a", 5)}
    people = {run: run_info(run, *parent) for run, parent in parents.items()}

    def origin(run, step):
        """The run in whose own part this step of a run's past lies."""
        while parents[run][0] and step < parents[run][1]:
            run = parents[run][0]
        return run

    names = list(parents)
    since = family.since([family.lineage(people[run], people.__getitem__) for run in names])
    for step in range(50):
        drawn = [
            origin(run, step) for run, first in zip(names, since, strict=True) if step >= first
        ]
        assert sorted(drawn) == sorted({origin(run, step) for run in names})


def test_changes_are_in_a_contender_s_name_and_its_settings_are_those_of_now():
    plain = Line(id="1", title="Baseline", spec=RunSpec(), seeds=(42,))
    turned = Line(id="2", title="Other", spec=RunSpec(norm="rms"), seeds=(42,), changes=2)
    assert contrast.labels([plain, turned]) == ["Baseline", "Other, 2 changes"]
    same = Line(id="3", title="Third", spec=RunSpec(), seeds=(42,), changes=2)
    assert "they were changed on the way" in contrast.equal([plain, same])
    assert "same bits" in contrast.equal([plain, plain])


# -- going back --------------------------------------------------------------------------------------


@pytest.fixture
def begun(monkeypatch):
    """What the engine was asked to branch, and a run in its place."""
    calls: list[Any] = []

    def branch(run: str, step: int, changes: Any = (), **more: Any) -> str:
        calls.append((run, step, list(changes), more))
        return runs.create(RunSpec(), title="Branch")

    monkeypatch.setattr(branches, "branch", branch)
    return calls


def test_a_branch_leaves_from_the_newest_step_and_is_opened(begun):
    run = made(store.STOPPED, step=321)
    page = press(lab(run, "branch"), "branch_start")
    assert begun == [(run, 321, [], {})]
    assert page.query_params["run"] != run


def test_a_branch_may_leave_from_any_step_with_other_settings_and_more_epochs(begun):
    run = made(store.STOPPED, step=321, now=RunSpec(activation="relu").model_dump_json(), changes=1)
    happened(run, changed(100))
    page = lab(run, "branch")
    assert page.selectbox(key="branch_activation").value == "relu"
    page = checked(page.number_input(key="branch_step").set_value(100).run())
    assert page.selectbox(key="branch_activation").value == "sigmoid", "as it stood before step 100"
    assert "Without a change it repeats what came after, bit for bit." in said(page)
    page.number_input(key="branch_epochs").set_value(150)
    page = checked(page.selectbox(key="branch_norm").select("layer").run())
    assert "Norm none → layer" in said(page)
    press(page, "branch_start")
    change = Change(kind="set", fields={"norm": "layer"})
    assert begun == [(run, 100, [change], {"epochs": 150})]


def test_what_was_branched_is_compared_with_where_it_came_from(begun):
    run = made(store.STOPPED, step=321)
    page = press(lab(run, "branch"), "branch_compare")
    (branch,) = [info.id for info in runs.all() if info.id != run]
    assert [side["id"] for side in sides(page)] == [run, branch]


def test_a_branch_that_cannot_be_is_refused_by_sentence():
    run = made(store.FINISHED, step=2200)
    page = press(lab(run, "branch"), "branch_start")
    assert "give the branch more epochs" in said(page)
    assert len(runs.all()) == 1


def test_a_run_is_run_again_with_its_changes_at_their_steps():
    run = made(store.FINISHED, step=2200, changes=1)
    happened(run, changed(100))
    page = lab(run, "branch")
    assert "with the same 1 change at the same step: the same bits" in said(page)
    page = press(page, "again")
    (other,) = [info.id for info in runs.all() if info.id != run]
    assert page.query_params["run"] == other
    assert asked(other) == [RELU]


# -- words -------------------------------------------------------------------------------------------


def test_a_paused_run_says_so_everywhere(tmp_path):
    path = made_up.run_file(tmp_path / "p.sqlite", made_up.sigmoid_items(200), status=store.PAUSED)
    view = views.RunView(path)
    view.refresh()
    header = view.display().header
    step = f"{view.step:,}"
    assert header["status"] == "paused"
    assert header["open"]
    assert header["state"] == f"paused at step {step}"
    assert header["line"].startswith(f"Paused at step {step}.")
    assert (header["tiles"][0]["value"], header["tiles"][0]["detail"]) == (
        "paused",
        f"at step {step}",
    )
    counted = states.counts([store.PAUSED, store.FINISHED, store.QUEUED])
    assert sum(number for word, number in counted.items() if word != "of") == counted["of"] == 3
    assert states.of_group(counted) == "1 of 3 seeds done, 1 paused, 1 waiting"
    assert states.status_of(counted) == store.PAUSED
    assert states.status_of(states.counts([store.PAUSED, store.RUNNING])) == store.RUNNING


def test_only_what_changes_the_numbers_is_a_line_in_the_charts(tmp_path):
    events = [
        Event(step=0, kind="phase", words="phase 1 of 1"),
        Event(step=5, kind="pause", words="paused"),
        changed(5),
        Event(step=5, kind="look", words="by hand", change=as_json(Change(kind="look"))),
        Event(step=6, kind="resume", words="resumed"),
        Event(step=7, kind="branch", words="branched"),
        Event(step=8, kind="note", words="The disk is full."),
        Event(step=9, kind="stop", words="stopped"),
    ]
    view = views.RunView(made_up.run_file(tmp_path / "e.sqlite", events))
    view.refresh()
    lines = view.display().header["events"]
    assert [(line["step"], line["kind"], line["short"]) for line in lines] == [
        (5, "change", "relu"),
        (7, "branch", "branch"),
        (9, "stop", "stop"),
    ]
    assert {line["kind"] for line in lines} <= summary.LINES


def test_the_newest_change_is_told_beside_the_charts(tmp_path):
    events = [Event(step=0, kind="phase", words="phase 1 of 1"), changed(12)]
    view = views.RunView(made_up.run_file(tmp_path / "n.sqlite", events))
    view.refresh()
    assert view.display().header["line"] == "Changed at step 12: something."


def test_the_lab_tells_of_changes_frozen_layers_and_the_parent():
    parent = "20261123-140509-3fa2"
    run = made(
        creating={"parent": parent, "parent_step": 1200},
        now=RunSpec(activation="relu").model_dump_json(),
        changes=2,
        frozen="[1, 3]",
    )
    told = said(lab(run))
    assert "Against the baseline: activation relu (sigmoid)." in told
    assert "With 2 changes while it trained." in told
    assert "Frozen by hand: layers 1, 3." in told
    assert "Branched from 3fa2 at step 1,200." in told
    assert words.changes(0) == ""


# -- the history -------------------------------------------------------------------------------------


def test_the_history_has_a_row_for_everything_and_one_for_steps_in_a_row():
    look = as_json(Change(kind="look"))
    now = time.time()
    events = [
        Event(step=1000, kind="pause", words="paused", at=now),
        *(
            Event(step=1000 + n, kind="look", words="one step", change=look, at=now)
            for n in range(3)
        ),
        changed(1003),
        Event(step=1003, kind="look", words="one step by hand", change=look),
    ]
    found = history.rows(events)
    assert [(row.step, row.kind) for row in found] == [
        ("1,000", "Pause"),
        ("1,000 to 1,002", "By hand"),
        ("1,003", "Change"),
        ("1,003", "By hand"),
    ]
    assert found[1].what == "3 steps by hand, each recorded"
    assert found[0].when == time.strftime("%H:%M:%S", time.localtime(now))
    assert found[3].when == ""


def test_the_history_shows_what_a_file_says_as_text():
    row = history.Row("1", "Note", "<script>alert(1)</script>", "")
    assert "<script>" not in history.table([row])
    assert "&lt;script&gt;" in history.table([row])


def test_the_history_is_read_when_it_is_opened_and_bounded():
    run = made(store.STOPPED)
    assert "Nothing has happened" not in said(lab(run))
    assert "Nothing has happened to this run yet." in said(lab(run, "history"))
    happened(run, *(Event(step=n, kind="note", words=f"note {n}") for n in range(300)))
    page = lab(run, "history")
    assert f"The last {history.MOST_ROWS} of 300 rows." in said(page)
