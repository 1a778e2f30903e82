"""What a hall predicts: gathered without names, bounded, and shown to the presenter alone."""

from collections import Counter

import numpy as np
import pytest
import test_lessons_page
from test_lessons import read
from test_lessons_page import keys, opened, press

from engine.errors import LimitError
from ui import class_predictions as gathered
from ui import lesson_predict, lessons, rights, theme
from ui.class_predictions import BURST, MOST, PER_SECOND, ClassPredictions, class_predictions
from ui.lesson_answers import is_answer, slider_places

home = test_lessons_page.home  # an empty library and three small chapters
LESSONS = {
    kind: read(text.replace('"signal"', f'"{kind}"'))
    for kind, text in test_lessons_page.PAGES.items()
}
RIGHT = {"profile": (-1.0, -2.0, -3.0, -4.0), "choice": 2, "number": 1e-4}


class Clock:
    now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def hall(clock):
    return ClassPredictions(clock)


@pytest.mark.parametrize("kind", LESSONS)
def test_every_kind_of_question_takes_its_answers_and_refuses_all_else(kind, hall):
    lesson = LESSONS[kind]
    assert lesson.predict.kind == kind
    hall.take(lesson, "a", RIGHT[kind])
    assert hall.of(lesson) == [RIGHT[kind]]
    wrong = [None, "2", -1, 3, True, 0.5, float("nan"), float("inf"), (), (0.0,) * 3, [0.0] * 4]
    wrong += [(0.0, 0.0, 0.0, 99.0), (0.0, 0.0, 0.0, float("nan")), {"a": 1}]
    wrong += [guess for other, guess in RIGHT.items() if other != kind]
    for number, guess in enumerate(wrong):
        assert not is_answer(lesson, guess), guess
        with pytest.raises(LimitError, match="no answer"):
            hall.take(lesson, f"b{number}", guess)
    assert hall.of(lesson) == [RIGHT[kind]]


def test_every_place_of_a_slider_is_an_answer():
    assert all(
        is_answer(LESSONS["number"], place) for place in slider_places(LESSONS["number"].predict)
    )


def test_a_page_has_one_voice_and_its_newest_counts(hall, clock):
    for guess in (0, 1, 2):
        hall.take(LESSONS["choice"], "a", guess)
        clock.now += 2
    hall.take(LESSONS["choice"], "b", 0)
    assert sorted(hall.of(LESSONS["choice"])) == [0, 2]


def test_a_page_that_predicts_too_fast_is_told_so_and_its_first_prediction_stays(hall, clock):
    hall.take(LESSONS["choice"], "a", 1)
    clock.now += 0.5
    with pytest.raises(LimitError, match="too fast"):
        hall.take(LESSONS["choice"], "a", 2)
    assert hall.of(LESSONS["choice"]) == [1]


def test_a_hall_of_three_hundred_may_press_at_once_and_a_script_of_ten_thousand_may_not(
    hall, clock
):
    for page in range(300):
        hall.take(LESSONS["choice"], f"p{page}", page % 3)
    refused = 0
    for page in range(10_000):
        clock.now += 1e-3  # ten seconds of it
        try:
            hall.take(LESSONS["choice"], f"q{page}", 0)
        except LimitError:
            refused += 1
    taken = len(hall.of(LESSONS["choice"])) - 300
    assert taken == pytest.approx(BURST - 300 + 10 * PER_SECOND, abs=2)
    assert refused + taken == 10_000


def test_however_many_come_no_more_than_so_many_are_kept(hall, clock):
    for page in range(MOST + 500):
        clock.now += 1
        hall.take(LESSONS["choice"], f"p{page}", 1)
    assert len(hall.of(LESSONS["choice"])) == len(hall._last) == MOST


def test_a_chapter_that_begins_anew_forgets_its_own_and_no_other(hall, clock):
    hall.take(LESSONS["choice"], "a", 1)
    clock.now += 2
    hall.take(LESSONS["number"], "a", 1e-4)
    hall.forget(LESSONS["choice"])
    assert not hall.of(LESSONS["choice"])
    assert hall.of(LESSONS["number"]) == [1e-4]


def test_the_options_bars_are_a_count_and_its_share():
    guesses = [0, 2, 2, 2]
    bars = gathered.by_option(LESSONS["choice"].predict, guesses)
    counted = Counter(guesses)
    assert [bar.count for bar in bars] == [counted[0], counted[1], counted[2]]
    assert [bar.words for bar in bars] == list(LESSONS["choice"].predict.options)
    assert sum(bar.share for bar in bars) == pytest.approx(1)


@pytest.mark.parametrize("chapter", lessons.read_all(), ids=lambda chapter: chapter.slug)
def test_the_bars_of_a_number_hold_every_answer_once(chapter):
    if chapter.predict.kind != "number":
        return
    places = slider_places(chapter.predict)
    bars = gathered.by_number(places, places, str)
    assert 2 <= len(bars) <= gathered.BARS
    assert sum(bar.count for bar in bars) == len(places)
    assert max(bar.count for bar in bars) - min(bar.count for bar in bars) <= 1
    for place in places:  # by a second way: the bar whose words begin the nearest below it
        (one,) = [bar for bar in gathered.by_number(places, [place], repr) if bar.count]
        ends = [
            float(end)
            for end in one.words.replace("np.float64(", "").replace(")", "").split(" to ")
        ]
        assert ends[0] <= place <= ends[-1]


def test_the_middle_of_what_a_hall_drew_is_the_median_and_eight_in_ten_are_within():
    drawn = [tuple(float(-n) for _ in range(4)) for n in range(11)]
    low, middle, high = gathered.by_layer(drawn)
    assert middle.tolist() == [-5.0] * 4
    inside = sum(low[0] <= guess[0] <= high[0] for guess in drawn)
    assert inside / len(drawn) == pytest.approx(0.8, abs=0.03)
    assert np.all(np.array(low) < high)


# -- on the page -----------------------------------------------------------------------------------


@pytest.fixture
def key(monkeypatch):
    monkeypatch.setenv(rights.KEY, "a-key-of-the-hall")
    yield
    for lesson in lessons.read_all():
        class_predictions.forget(lesson)


def seen_as(monkeypatch, *, presenter):
    cookies = {rights.COOKIE: rights.token()} if presenter else {}
    monkeypatch.setattr(rights, "_cookies", lambda: cookies)


def subheaders(page):
    return [one.value for one in page.subheader]


def predict(monkeypatch, option):
    """One of the audience, on a page of their own, keeps a prediction."""
    seen_as(monkeypatch, presenter=False)
    page = opened(chapter="choice", stage="predict")
    page.radio(key="lesson_choice_choice").set_value(option).run()
    return press(page, "lesson_keep")


def test_the_presenter_sees_how_many_predicted_and_what_only_when_she_asks(key, monkeypatch):
    for option in (2, 2, 0):
        predict(monkeypatch, option)
    seen_as(monkeypatch, presenter=True)
    page = opened(chapter="choice", stage="predict")
    assert subheaders(page)[-1:] == ["The hall: 3 predictions"]
    bodies = "".join(one.proto.body for one in page.get("html"))
    assert "vgl-class-count" not in bodies
    page.toggle(key="class_shown_choice").set_value(True).run()
    bodies = "".join(one.proto.body for one in page.get("html"))
    assert [f"{n} · {share}" in bodies for n, share in ((1, "33%"), (2, "67%"))] == [True, True]
    press(page, "class_anew")
    assert "The hall: 0 predictions" in subheaders(page)


def test_who_has_predicted_stays_where_the_presenter_is_and_is_told_that_it_counts(
    key, monkeypatch
):
    page = predict(monkeypatch, 1)
    assert test_lessons_page.place(page) == ("choice", "predict")
    assert any("counts among the hall's" in one.value for one in page.caption)


@pytest.mark.parametrize("stage", ["predict", "run", "reveal"])
def test_the_audience_never_sees_what_the_hall_predicts(stage, key, monkeypatch):
    predict(monkeypatch, 1)
    page = opened(chapter="choice", stage=stage)
    assert not [one for one in subheaders(page) if "hall" in one]
    assert "class_anew" not in keys(page)


def test_without_a_key_there_is_no_hall(monkeypatch):
    monkeypatch.delenv(rights.KEY, raising=False)
    page = opened(chapter="choice", stage="predict")
    page.radio(key="lesson_choice_choice").set_value(1).run()
    press(page, "lesson_keep")
    (lesson,) = (one for one in lessons.read_all() if one.slug == "choice")
    assert not class_predictions.of(lesson)
    assert not [
        one for one in subheaders(opened(chapter="choice", stage="predict")) if "hall" in one
    ]


def test_a_prediction_that_is_not_counted_is_not_kept_and_says_why(key, monkeypatch):
    def full(*_):
        raise LimitError("Predictions come too fast: keep it again in a moment.")

    monkeypatch.setattr(lesson_predict.class_predictions, "take", full)
    page = predict(monkeypatch, 1)
    assert page.query_params["stage"] in ("predict", ["predict"])
    assert any("too fast" in one.value for one in page.warning)


@pytest.mark.parametrize("kind", LESSONS)
def test_every_kind_of_distribution_is_drawn(kind, key, monkeypatch):
    (lesson,) = (one for one in lessons.read_all() if one.slug == kind)
    class_predictions.take(lesson, f"page of {kind}", RIGHT[kind])
    seen_as(monkeypatch, presenter=True)
    page = opened(chapter=kind, stage="predict")
    page.toggle(key=f"class_shown_{kind}").set_value(True).run()
    assert not page.exception
    assert "The hall: 1 prediction" in subheaders(page)
    assert theme.PROFILE_RANGE[0] < min(RIGHT["profile"])
