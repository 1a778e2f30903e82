"""The pages with no run, empty, finished, failed and other runs, and with links of all sorts."""

import json
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from engine import runs, store
from engine.errors import DataError
from engine.presets import PRESETS
from engine.spec import RunSpec
from ui import controls

MAIN = Path(__file__).parent.parent / "pages" / "main.py"
UNKNOWN = "20200101-000000-abcd"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty library, and no data set on disk but the embedded ones."""
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGLAB_DATA", str(tmp_path / "data"))


def opened(page: str = "lab.py", **query: str) -> AppTest:
    """A page as a link opens it."""
    test = AppTest.from_file(MAIN, default_timeout=30)
    if page != "lab.py":
        test.run().switch_page(page)
    for name, value in query.items():
        test.query_params[name] = value
    test.run()
    assert not test.exception, test.exception[0].value
    return test


def made(status: str, spec: RunSpec | None = None, *, step: int = 0, **columns: Any) -> str:
    """A run file of that status, as a worker would have left it."""
    spec = spec or RunSpec()
    run = runs.create(spec)
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=status, **columns)
        if step:
            alive = status in store.BEGUN
            started = psutil.Process().create_time() if alive else 1.0
            writer.commit((os.getpid() if alive else 1, started, step))
    return run


def said(page: AppTest) -> str:
    """Everything the page says in words, in one text."""
    parts = [*page.markdown, *page.caption, *page.info, *page.warning, *page.error]
    return "\n".join(part.value for part in parts)


def live(page: AppTest) -> dict[str, Any]:
    """What the live view was given."""
    told = (json.loads(one.proto.json)[0] for one in page.get("bidi_component"))
    (found,) = [data for data in told if "figures" in data]
    return dict(found)


def shown(page: AppTest) -> str | None:
    """The run that the live view was asked to show."""
    return live(page)["run"]


def test_the_lab_without_a_run_says_what_train_would_start():
    page = opened()
    assert "**Ready:** Baseline on Digits 8x8, 2,200 steps." in said(page)
    assert shown(page) is None
    assert page.button(key="stop").disabled
    assert not page.button(key="train").disabled


def test_the_library_without_a_run_invites():
    assert "Nothing trained yet" in said(opened("runs.py"))


def test_train_starts_a_run_of_the_controls_and_shows_it():
    page = opened(activation="relu", depth="3")
    page.button(key="train").click().run()
    assert not page.exception
    (info,) = runs.all()
    assert info.spec == RunSpec(activation="relu", depth=3)
    assert page.query_params["run"] == info.id == shown(page)
    assert "next in the queue" in said(page)
    assert not page.button(key="stop").disabled


def test_the_page_is_drawn_once_for_a_run_that_begins_at_once(monkeypatch):
    """Known to have begun, it is drawn anew neither for the status nor for the first step."""
    monkeypatch.setattr(controls, "BEGUN_S", 60)
    monkeypatch.setattr(controls, "TAKEN_S", 60)
    start = runs.start

    def begin(run: str) -> None:
        with store.Writer(runs.path(run)) as writer:
            writer.update(status=store.RUNNING, started=time.time())
            writer.commit((os.getpid(), psutil.Process().create_time(), 1))

    def start_and_begin(*asked: Any, **more: Any) -> str:
        run = start(*asked, **more)
        threading.Timer(0.1, begin, [run]).start()
        return run

    monkeypatch.setattr(runs, "start", start_and_begin)
    page = opened()
    page.button(key="train").click().run()
    assert live(page)["known"] == {"status": store.RUNNING, "begun": True, "changes": 0}


def test_train_waits_neither_for_a_worker_that_is_not_free_nor_for_a_run_that_ended(monkeypatch):
    monkeypatch.setattr(controls, "BEGUN_S", 600)  # longer than a page may take here
    page = opened()
    page.button(key="train").click().run()
    assert live(page)["known"] == {"status": store.QUEUED, "begun": False, "changes": 0}
    monkeypatch.setattr(
        runs, "start", lambda *_, **__: made(store.FAILED, sentence="No such data.")
    )
    page.button(key="train").click().run()
    assert live(page)["known"]["status"] == store.FAILED


def test_train_notes_which_preset_was_chosen():
    page = opened()
    page.selectbox(key="preset").select("controlled_better_optimizer").run()
    page.button(key="train").click().run()
    assert runs.all()[0].preset == "controlled_better_optimizer"


def test_a_second_run_waits_behind_the_first():
    page = opened()
    page.button(key="train").click().run()
    page.button(key="train").click().run()
    assert len(runs.all()) == 2
    assert "number 2 in the queue" in said(page)


def test_no_run_is_started_from_settings_that_cannot_be():
    page = opened()
    page.number_input(key="depth").set_value(0).run()
    assert page.button(key="train").disabled
    assert runs.all() == []


def test_a_data_set_that_cannot_be_had_is_said_beside_its_control(monkeypatch):
    def refuse(*_: Any, **__: Any) -> str:
        raise DataError("MNIST is not here and could not be downloaded: no network.")

    monkeypatch.setattr(runs, "start", refuse)
    page = opened(data="mnist")
    page.button(key="train").click().run()
    group = page.expander(key="group_data")
    assert [error.value for error in group.error] == [
        "MNIST is not here and could not be downloaded: no network."
    ]
    page.selectbox(key="data").select("digits").run()
    assert not page.error, "the sentence goes when the choice changes"


def test_stop_ends_a_run_that_waits():
    page = opened()
    page.button(key="train").click().run()
    page.button(key="stop").click().run()
    assert runs.all()[0].status == store.STOPPED
    assert "Stopped before it began." in said(page)
    assert page.button(key="stop").disabled


#: status -> what its file says besides, and what the page says about it
STATES: dict[str, tuple[dict[str, Any], str]] = {
    store.QUEUED: ({}, "Starting: its worker is getting ready."),  # no longer in the queue
    store.RUNNING: ({"step": 40}, "Training."),
    store.PAUSED: ({"step": 40}, "Paused."),
    store.FINISHED: ({"step": 2200}, "Finished after 2,200 steps."),
    store.STOPPED: ({"step": 40, "sentence": "Stopped at step 40."}, "Stopped at step 40."),
    store.DIVERGED: (
        {"step": 412, "sentence": "Diverged at step 412: a gradient became NaN in layer 3."},
        "Diverged at step 412: a gradient became NaN in layer 3.",
    ),
    store.FAILED: ({"step": 3, "sentence": "Failed at step 3: disk full."}, "disk full."),
    store.LOST: ({"step": 77}, "Stopped unexpectedly at step 77"),
}


@pytest.mark.parametrize("status", store.STATUSES)
def test_the_lab_shows_a_run_of_every_status_in_words(status):
    columns, sentence = STATES[status]
    run = made(status, PRESETS["batchnorm"].spec(), **columns)
    page = opened(run=run)
    assert sentence in said(page)
    assert "normalisation batch (none)" in said(page)
    assert shown(page) == run
    assert page.selectbox(key="run_picker").value == run
    assert page.button(key="stop").disabled == (status not in store.OPEN)


def test_a_run_whose_worker_was_killed_is_not_shown_as_training():
    run = made(store.RUNNING)
    with store.Writer(runs.path(run)) as writer:
        writer.commit((2**22 + 1, 1.0, 55))  # no such process
    page = opened(run=run)
    assert "Stopped unexpectedly at step 55" in said(page)
    assert "Training." not in said(page)


def test_a_failed_run_keeps_its_traceback_folded_under_the_sentence():
    run = made(store.FAILED, sentence="It broke.", traceback="Traceback: the place")
    page = opened(run=run)
    assert page.expander(key="traceback").code[0].value == "Traceback: the place"
    assert "Traceback" not in said(page)


def test_an_unknown_run_in_the_link_is_a_sentence_and_leaves_the_link():
    page = opened(run=UNKNOWN)
    assert f"There is no run {UNKNOWN}" in said(page)
    assert "run" not in page.query_params
    assert shown(page) is None


def test_nonsense_in_the_link_is_ignored_and_the_rest_of_it_kept():
    page = opened(depth="0", learning_rate="nan", colour="red", activation="relu", run="no-run")
    (warning,) = page.warning
    for sentence in (
        "depth is 0; it must be a whole number from 1 to 100.",
        "learning_rate is nan; it must be from 1e-08 to 1000.",
        "colour is not a field of a run",
        "'no-run' is not a run's id",
    ):
        assert sentence in warning.value
    assert page.number_input(key="depth").value == 7
    assert page.selectbox(key="activation").value == "relu"
    assert dict(page.query_params) == {"activation": "relu"}
    assert not page.button(key="train").disabled
    page.button(key="dismiss").click().run()
    assert not page.warning


def test_a_layer_the_run_does_not_have_is_ignored_with_a_sentence():
    run = made(store.FINISHED, RunSpec(depth=3))
    page = opened(run=run, layer="9")
    assert "layer is 9; it must be from 1 to 4" in said(page)
    assert page.selectbox(key="layer").value == 1


def places(page: AppTest) -> dict[str, tuple[int, ...]]:
    """Where each bound control stands: its index among its siblings, and theirs, from the root."""
    found: dict[str, tuple[int, ...]] = {}

    def walk(block: Any, path: tuple[int, ...]) -> None:
        for index, node in getattr(block, "children", {}).items():
            if getattr(getattr(node, "proto", None), "query_param_key", ""):
                found[node.key] = (*path, index)
            walk(node, (*path, index))

    walk(page._tree, ())
    return found


def test_no_bound_control_moves_when_sentences_come_and_go():
    """A control that moves is mounted twice for a moment, and the browser forgets its binding."""
    calm = places(opened())
    assert set(calm) == {*RunSpec.FIELDS, "kind", "layer", "axis", "profile"}
    run = made(store.FAILED, traceback="Traceback: the place")
    assert places(opened(activation="relu", norm="batch", skip="published")) == calm
    assert places(opened(skip="published", depth="2", colour="red")) == calm
    assert (
        places(opened(run=run, data="cifar10", optimizer="adam", gradient_rule="clip_norm")) == calm
    )
    assert places(opened(run=UNKNOWN)) == calm


def test_the_view_in_the_link_reaches_the_live_view():
    page = opened(
        run=made(store.FINISHED), kind="weight", layer="3", axis="log", profile="gradient"
    )
    assert live(page)["options"] == {
        "kind": "weight",
        "layer": 3,
        "step_axis": "log",
        "profile": "gradient",
    }


def test_a_runs_settings_can_be_applied_to_the_controls():
    spec = PRESETS["skip"].spec(data="moons", seed=9, depth=12, batch_size=32)
    page = opened(run=made(store.FINISHED, spec))
    page.button(key="apply").click().run()
    assert page.button(key="apply").disabled
    page.button(key="train").click().run()
    assert runs.all()[0].spec == spec


def test_another_run_can_be_picked():
    first, second = made(store.FINISHED), made(store.FINISHED, RunSpec(depth=2))
    page = opened(run=first)
    page.selectbox(key="run_picker").select(second).run()
    assert page.query_params["run"] == second == shown(page)


def test_a_runs_label_in_the_picker_does_not_change_with_its_status_and_is_its_own():
    first, second = runs.info(made(store.QUEUED)), runs.info(made(store.QUEUED))
    assert controls.run_title(first) != controls.run_title(second)
    for status in store.STATUSES:
        assert controls.run_title(replace(first, status=status)) == controls.run_title(first)


def test_the_shown_run_and_the_settings_survive_a_visit_to_the_library():
    run = made(store.FINISHED)
    page = opened(run=run, activation="relu")
    page.switch_page("runs.py").run()
    assert not page.exception
    del page.query_params["run"]  # the menu's links carry no query
    page.switch_page("lab.py").run()
    assert shown(page) == run
    assert page.selectbox(key="activation").value == "relu"


def link_to_compare(page: AppTest) -> dict[str, list[str]]:
    """The parameters of the page's link to the comparison."""
    (link,) = [link for link in page.page_link if link.value.startswith("Compare")]
    return parse_qs(link.proto.query_string)


def test_the_labs_run_can_be_put_beside_what_was_compared_last():
    first, second = made(store.FINISHED), made(store.FINISHED, RunSpec(depth=2))
    page = opened(run=first)
    assert link_to_compare(page) == {"runs": [first], "show": ["side_by_side"]}
    page.session_state["compared"] = {"runs": second}
    assert link_to_compare(page.run())["runs"] == [f"{second},{first}"]
    page.session_state["compared"] = {"runs": f"{first},{second}"}
    assert link_to_compare(page.run())["runs"] == [f"{first},{second}"]
    six = ",".join(f"20261123-14050{n}-3fa2" for n in range(6))
    page.session_state["compared"] = {"runs": six}
    assert link_to_compare(page.run())["runs"] == [first], "where six are compared, a new start"
