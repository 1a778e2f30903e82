"""The Lessons page: each stage, what is hidden until something is predicted, and what is kept."""

import csv
import io
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_up import dying, record
from streamlit.testing.v1 import AppTest
from test_lessons import CHAPTER, CHOICE, NUMBER, PROFILE, changed

from engine import runs, store
from engine.records import EpochEnd, InputKernel, Steps
from engine.spec import RunSpec
from ui import lesson_link, lesson_reveal, lesson_visit, lessons
from ui.lesson_visit import Visit
from ui.probes import Answer

MAIN = Path(__file__).parent.parent / "pages" / "main.py"
REAL = lessons.FOLDER
PAGES = {
    "profile": CHAPTER.replace("of = 1", "of = 0"),
    "choice": changed(PROFILE, CHOICE),
    "number": changed(PROFILE, NUMBER),
}
LAYERS = 4  # of the chapters' networks
#: What the measuring process tells of a network of two hidden layers.
BACKWARD = {
    "loss": 2.31,
    "batch_size": 64,
    "examples": [[[0.0, 1.0], [0.5, 0.25]]],
    "labels": [3],
    "precision": "float32",
    "layers": [
        {"layer": 3, "signal_rms": 0.1, "slope_rms": 1.0, "slope_gain": 1.0, "delta_rms": 0.1}
        | {"weight_rms": 0.05, "weight_gain": 0.5, "factor": None},
        {"layer": 2, "signal_rms": 0.05, "slope_rms": 0.24, "slope_gain": 0.2, "delta_rms": 0.01}
        | {"weight_rms": 0.05, "weight_gain": 0.6, "factor": 0.1},
        {"layer": 1, "signal_rms": 0.006, "slope_rms": 0.25, "slope_gain": 0.25}
        | {"delta_rms": 0.0015, "weight_rms": 0.07, "weight_gain": 0.8, "factor": 0.15},
    ],
}


class Measures:
    """In place of the measuring process: an answer at once."""

    def ask(self, kind: str, spec: RunSpec, **_: Any) -> Answer:
        return Answer(rows=(BACKWARD,), done=True)


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty library, three small chapters, and no measuring process."""
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGLAB_DATA", str(tmp_path / "data"))
    folder = tmp_path / "lessons"
    folder.mkdir()
    for number, (slug, text) in enumerate(PAGES.items(), start=1):
        (folder / f"{number:02d}-{slug}.md").write_text(text.replace('"signal"', f'"{slug}"'))
    monkeypatch.setattr(lessons, "FOLDER", folder)
    monkeypatch.setattr(lesson_reveal, "probes", Measures())
    return tmp_path / "home"


def checked(page: AppTest) -> AppTest:
    assert not page.exception, page.exception[0].value
    return page


def opened(visits: dict[str, Visit] | None = None, **query: str) -> AppTest:
    """The page as a link opens it, for a visitor who has done this much."""
    page = AppTest.from_file(MAIN, default_timeout=30).switch_page("lessons.py")
    if visits:
        page.session_state["lesson_visits"] = visits
    return go(page, **query)


def go(page: AppTest, **query: str) -> AppTest:
    for name, value in query.items():
        page.query_params[name] = value
    return checked(page.run())


def press(page: AppTest, key: str) -> AppTest:
    return checked(page.button(key=key).click().run())


def said(page: AppTest) -> str:
    parts = (page.title, page.header, page.markdown, page.caption, page.warning, page.error)
    return "\n".join(one.value for part in (*parts, page.success) for one in part)


def place(page: AppTest) -> tuple[str, str]:
    return str(page.query_params.get("chapter", "")), str(page.query_params.get("stage", ""))


def components(page: AppTest, name: str) -> list[dict[str, Any]]:
    """What the page's own components were given, of those that have this name in it."""
    told = (json.loads(one.proto.json)[0] for one in page.get("bidi_component"))
    return [data for data in told if name in data]


def keys(page: AppTest) -> set[str]:
    return {button.key for button in page.button}


def trained(spec: RunSpec, *, accuracy: float = 0.5, status: str = store.FINISHED) -> str:
    """A run of that spec as a worker would have left it: step 0, one epoch."""
    run = runs.create(spec)
    with store.Writer(runs.path(run)) as writer:
        for step in (0, spec.steps_per_epoch):
            writer.add(record(step, dying(spec.layers)))
        kernel = {"batch_size": 64, "same_share": 0.1, "variance": 0.3, "harmonic": 0.3}
        writer.add(InputKernel(**kernel, same=0.2, different=0.1))
        ones = np.ones(spec.steps_per_epoch)
        writer.add(Steps(first=0, loss=2.34 * ones, accuracy=0.1 * ones, seconds=1.0))
        numbers = {"train_loss": 1.5, "train_accuracy": 0.45, "validation_loss": 1.6}
        numbers |= {"validation_accuracy": 0.4, "test_loss": 1.7, "test_accuracy": accuracy}
        end = spec.steps_per_epoch
        writer.add(EpochEnd(epoch=1, step=end, phase=1, seconds=1.0, **numbers))
        writer.commit((1, 1.0, end))
        ended = time.time() if status not in store.OPEN else None
        writer.update(status=status, started=1.0, ended=ended)
    return run


def both(slug: str = "choice", **more: Any) -> list[str]:
    """Finished runs of a chapter's two networks."""
    (lesson,) = (one for one in lessons.read_all() if one.slug == slug)
    return [trained(run.spec, **more) for run in lesson.runs]


# -- where one is ----------------------------------------------------------------------------------


def test_without_a_chapter_the_page_lists_all_of_them_and_begins_with_the_first():
    page = opened()
    assert {f"lesson_begin_{n}" for n in (1, 2, 3)} <= keys(page)
    press(page, "lesson_next")
    assert place(page) == ("profile", "question")
    assert "How much of the signal arrives?" in said(page)


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ({"chapter": "magic"}, "chapter is magic; it must be one of profile, choice, number."),
        ({"chapter": "choice", "stage": "end"}, "stage is end; it must be one of question,"),
        ({"chapter": "choice", "colour": "red"}, "colour is nothing that a lesson's link can set."),
        ({"hide": "sidebar,everything"}, "hide names everything; it can hide sidebar,"),
    ],
)
def test_what_a_link_names_in_vain_is_one_sentence_until_it_is_dismissed(query, sentence):
    page = opened(**query)
    (warning,) = page.warning
    assert sentence in warning.value
    press(page, "lesson_dismiss")
    assert not page.warning


def test_next_and_back_turn_through_every_stage_of_every_chapter_and_stop_at_the_ends():
    page = opened()
    every = lesson_link.places(lessons.read_all())
    assert len(every) == 1 + 3 * 6
    seen = []
    for _ in every[1:]:
        press(page, "lesson_next")
        seen.append(place(page))
    assert seen == every[1:]
    assert page.button(key="lesson_next").disabled
    press(page, "lesson_back")
    assert place(page) == every[-2]


def test_who_comes_back_by_the_menu_finds_the_stage_they_left():
    page = opened(chapter="choice", stage="predict")
    page.switch_page("compare.py").run()
    page.query_params.clear()
    checked(page.switch_page("lessons.py").run())
    assert place(page) == ("choice", "predict")


def test_a_lecture_s_link_hides_the_controls_and_the_keys_still_turn_the_pages():
    page = opened(chapter="choice", stage="question", hide="sidebar,lesson_stages")
    styles = "\n".join(one.proto.body for one in page.get("html"))
    assert ".st-key-lesson_next" in styles.split("display: none !important")[0].split("<style>")[-1]
    press(page, "lesson_next")
    assert place(page) == ("choice", "predict")
    assert page.query_params["hide"] == "sidebar,lesson_stages"


# -- predict ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["run", "reveal", "explain"])
@pytest.mark.parametrize("slug", PAGES)
def test_nothing_measured_shows_before_a_prediction(slug, stage):
    both(slug, accuracy=0.4321)
    page = opened(chapter=slug, stage=stage)
    assert "Predict first" in said(page)
    assert "43.2" not in said(page)
    assert "delta_rms" not in said(page)
    assert not components(page, "figures")
    assert not page.get("plotly_chart")
    press(page, "lesson_skip")
    assert "Predict first" not in said(page)


def test_a_choice_must_be_made_before_it_can_be_kept_and_then_leads_to_the_run():
    page = opened(chapter="choice", stage="predict")
    assert page.button(key="lesson_keep").disabled
    page.radio(key="lesson_choice_choice").set_value(1).run()
    press(page, "lesson_keep")
    assert place(page) == ("choice", "run")
    assert page.session_state["lesson_visits"]["choice"].guess == 1
    assert "lesson_run" in keys(page)


def test_a_drawing_is_kept_with_the_layers_between_its_points_on_the_line():
    sketch = (-9.0, None, None, -3.0)
    page = opened({"profile": Visit(sketch=sketch)}, chapter="profile", stage="predict")
    (given,) = components(page, "placed")
    assert given["placed"] == list(sketch)
    press(page, "lesson_keep")
    assert page.session_state["lesson_visits"]["profile"].guess == (-9.0, -7.0, -5.0, -3.0)


def test_without_a_point_no_drawing_can_be_kept():
    page = opened(chapter="profile", stage="predict")
    assert page.button(key="lesson_keep").disabled


def test_a_number_is_set_on_a_slider_over_its_whole_range():
    page = opened(chapter="number", stage="predict")
    page.select_slider(key="lesson_number_number").set_value(1e-4).run()
    press(page, "lesson_keep")
    assert page.session_state["lesson_visits"]["number"].guess == 1e-4


def test_a_prediction_stays_once_the_run_has_been_shown_until_the_chapter_is_begun_anew():
    both()
    page = opened({"choice": Visit(guess=0)}, chapter="choice", stage="run")
    go(page, stage="predict")
    assert page.radio(key="lesson_choice_choice").disabled
    assert "lesson_keep" not in keys(page)
    press(page, "lesson_anew")
    assert place(page) == ("choice", "question")
    assert page.session_state["lesson_visits"] == {}


# -- run -------------------------------------------------------------------------------------------

GUESSED = {slug: Visit(skipped=True) for slug in PAGES}


def test_run_trains_the_chapter_s_networks_and_shows_them():
    page = opened(GUESSED, chapter="choice", stage="run")
    assert "66" not in said(page)
    press(page, "lesson_run")
    made = {info.spec: info for info in runs.all()}
    wanted = [run.spec for run in lessons.read_all()[1].runs]
    assert set(made) == set(wanted)
    assert [made[spec].title for spec in wanted] == ["Lesson 2: sigmoid", "Lesson 2: tanh"]
    (told,) = components(page, "contenders")
    assert [one["id"] for one in told["contenders"]] == [made[spec].id for spec in wanted]
    assert "lesson_stop" in keys(page)


def test_a_second_visitor_watches_the_run_that_is_there_instead_of_starting_another():
    press(opened(GUESSED, chapter="choice", stage="run"), "lesson_run")
    page = opened(GUESSED, chapter="choice", stage="run")
    assert len(components(page, "contenders")[0]["contenders"]) == 2
    assert len(runs.all()) == 2


def test_finished_runs_of_the_same_settings_serve_and_can_be_run_again():
    ready = both()
    page = opened(GUESSED, chapter="choice", stage="run")
    assert [one["id"] for one in components(page, "contenders")[0]["contenders"]] == ready
    press(page, "lesson_again")
    assert len(runs.all()) == 4
    shown = [one["id"] for one in components(page, "contenders")[0]["contenders"]]
    assert not set(shown) & set(ready)
    assert len(components(opened(GUESSED, chapter="choice", stage="run"), "contenders")) == 1


def test_only_what_is_missing_is_trained():
    both("choice")
    runs.delete(runs.all()[0].id)
    press(opened(GUESSED, chapter="choice", stage="run"), "lesson_run")
    assert len(runs.all()) == 2


@pytest.mark.parametrize("status", [store.STOPPED, store.FAILED, store.LOST])
def test_a_run_that_did_not_come_to_its_end_does_not_serve(status):
    both(status=status)
    page = opened(GUESSED, chapter="choice", stage="run")
    assert "lesson_run" in keys(page)


def test_stop_ends_what_waits():
    page = press(opened(GUESSED, chapter="choice", stage="run"), "lesson_run")
    press(page, "lesson_stop")
    assert {info.status for info in runs.all()} == {store.STOPPED}


# -- reveal ----------------------------------------------------------------------------------------


def test_before_the_run_there_is_nothing_to_reveal_and_the_way_to_it():
    page = opened(GUESSED, chapter="choice", stage="reveal")
    assert "Not run yet" in said(page)
    press(page, "lesson_to_run")
    assert place(page) == ("choice", "run")


@pytest.mark.parametrize(
    ("accuracy", "guess", "words"),
    [(0.5, 1, "As you predicted"), (0.9, 1, "Not as you predicted"), (0.1, 0, "As you predicted")],
)
def test_a_choice_is_judged_by_the_measured_number(accuracy, guess, words):
    both(accuracy=accuracy)
    page = opened({"choice": Visit(guess=guess)}, chapter="choice", stage="reveal")
    assert words in page.header[0].value
    assert f"{100 * accuracy:.1f} %" in said(page)


def test_the_figure_draws_prediction_and_measurement_where_they_are():
    both("profile")
    guess = (-4.0, -3.0, -2.0, -1.0)
    page = opened({"profile": Visit(guess=guess)}, chapter="profile", stage="reveal")
    (chart,) = page.get("plotly_chart")
    drawn = {trace.get("name"): trace for trace in json.loads(chart.proto.spec)["data"]}
    assert drawn["your prediction"]["y"] == list(guess)
    measured = drawn["measured, step 0"]["y"]
    assert measured == pytest.approx(np.log10(dying(LAYERS)).tolist())
    assert "0.5 decades" in said(page), "each point lies half a decade off"


def test_a_number_says_by_what_factor_it_was_off():
    both("number")
    page = opened({"number": Visit(guess=0.1)}, chapter="number", stage="reveal")
    # Layer 1 over layer 3, a decade a layer: 0.01.
    assert "Measured: gradient RMS of layer 1 over the last hidden layer's 0.0100" in said(page)
    assert "a factor of 10.0 too high" in said(page)


def test_who_did_not_predict_sees_what_was_measured_and_no_judgement():
    both()
    page = opened(GUESSED, chapter="choice", stage="reveal")
    assert "What was measured" in said(page)
    assert "predicted" not in page.header[0].value


def test_what_is_asked_of_the_end_is_not_revealed_while_it_trains(monkeypatch):
    monkeypatch.setattr(runs, "is_worker_alive", lambda *_: True)
    both(status=store.RUNNING)
    page = opened({"choice": Visit(guess=0)}, chapter="choice", stage="reveal")
    assert "Still training" in said(page)
    assert "50.0" not in said(page)


# -- explain and check -----------------------------------------------------------------------------


def test_the_explanation_holds_the_measured_numbers_and_a_dash_where_nothing_was():
    page = opened(GUESSED, chapter="choice", stage="explain")
    assert r"It came to $r = \text{–}$, by – a layer." in said(page)
    both()
    go(page)
    assert "It came to $r = 0.0100$" in said(page)
    assert "Hochreiter 1991" in said(page)


def test_slow_motion_shows_each_layer_s_multiplications_and_their_product():
    page = opened(GUESSED, chapter="choice", stage="explain")
    (told,) = components(page, "steps")
    results = [step["terms"][-1][2].strip("= ") for step in told["steps"]]
    assert results == ["0.100", "0.0500", "0.0100", "0.0100", "0.00600", "0.00150", "0.00150"]
    assert r"0.0100 \times \underbrace{0.150}_{1} = 0.00150" in said(page)


def test_a_wrong_answer_is_told_the_right_one_and_why_and_the_first_answer_is_kept():
    page = opened(chapter="choice", stage="check")
    assert page.button(key="lesson_answer").disabled
    page.radio(key="lesson_check_choice").set_value(1).run()
    press(page, "lesson_answer")
    (error,) = page.error
    assert "**A** The slope" in error.value
    assert "at most a quarter" in error.value
    page.radio(key="lesson_check_choice").set_value(0).run()
    press(page, "lesson_answer")
    assert "**Right.**" in page.success[0].value
    visit = page.session_state["lesson_visits"]["choice"]
    assert (visit.answer, visit.first_answer) == (0, 1)


# -- what is kept ----------------------------------------------------------------------------------


def files(folder: Path) -> set[Path]:
    """All but what SQLite keeps beside a file that is being read."""
    beside = (".sqlite-shm", ".sqlite-wal")
    return {file for file in folder.rglob("*") if file.is_file() and file.suffix not in beside}


def test_predictions_and_answers_are_exported_and_nothing_of_a_visitor_is_on_disk(home):
    both(accuracy=0.9)
    before = {file: file.read_bytes() for file in files(home)}
    page = opened(chapter="choice", stage="predict")
    page.radio(key="lesson_choice_choice").set_value(1).run()
    press(page, "lesson_keep")
    go(page, stage="reveal")
    go(page, stage="check")
    page.radio(key="lesson_check_choice").set_value(0).run()
    press(page, "lesson_answer")
    assert {file: file.read_bytes() for file in files(home)} == before
    visits = page.session_state["lesson_visits"]
    assert visits["choice"].guess == 1


def test_the_export_holds_each_prediction_beside_what_was_measured(monkeypatch):
    (choice,) = (one for one in lessons.read_all() if one.slug == "choice")
    ready = both(accuracy=0.9)
    state = {"lesson_visits": {"choice": Visit(guess=1, shown=True, answer=0, first_answer=1)}}
    monkeypatch.setattr(lesson_visit.st, "session_state", state)
    rows = lesson_visit.rows(lessons.read_all(), {"choice": ready})
    told = json.loads(lesson_visit.as_json(rows))
    (row,) = csv.DictReader(io.StringIO(lesson_visit.as_csv(rows)))
    assert list(row) == list(lesson_visit.COLUMNS)
    assert told[0]["predicted"] == row["predicted"] == choice.predict.options[1]
    assert told[0]["measured"] == row["measured"] == "90.0 %"
    assert (told[0]["right"], told[0]["first_answer"]) == (True, "The data")
    assert row["runs"] == ";".join(ready)


# -- the chapters there are ------------------------------------------------------------------------


def test_every_stage_of_every_real_chapter_shows_with_its_runs_and_without(monkeypatch):
    monkeypatch.setattr(lessons, "FOLDER", REAL)
    every = lessons.read_all()
    page = opened({lesson.slug: Visit(skipped=True) for lesson in every})
    for slug, stage in lesson_link.places(every)[1:]:
        go(page, chapter=slug, stage=stage)
        assert not page.warning
    for lesson in every:
        for run in lesson.runs:
            trained(run.spec)
        for stage in ("run", "reveal", "explain"):
            go(page, chapter=lesson.slug, stage=stage)
        assert "{run" not in said(page)
