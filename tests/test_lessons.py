"""The lessons' chapters: each reads, each fault has its sentence, and everything is explained once."""

import re

import pytest

from engine.errors import LessonError
from engine.records import STATISTICS
from engine.remedies import REMEDIES
from engine.spec import RunSpec
from ui import lesson_numbers, lessons
from ui.comparison import COMPARISON
from ui.figures import FIGURES
from ui.theory_figures import THEORY_FIGURES

FILES = sorted(lessons.FOLDER.glob("*.md"))
#: All that some chapter must explain, by the name that it has in `explains`.
EVERYTHING = [
    *(f"remedy:{name}" for name in REMEDIES),
    *(f"statistic:{name}" for name in STATISTICS),
    *(f"figure:{name}" for name in {**FIGURES, **COMPARISON, **THEORY_FIGURES}),
]

CHAPTER = """+++
slug = "signal"
title = "A signal on its way"
question = "How much of the signal arrives?"
minutes = 5
explains = ["statistic:delta_rms", "remedy:tanh"]

[[runs]]
label = "sigmoid"
changes = { depth = 3, width = 16, epochs = 1 }
[[runs]]
label = "tanh"
changes = { depth = 3, width = 16, epochs = 1, activation = "tanh" }

[predict]
kind = "profile"
of = 1
at = "start"
prompt = "Draw it."

[check]
question = "What shrinks it?"
options = ["The slope", "The data"]
answer = 0
why = "The slope is at most a quarter."

[slow]
of = 0
+++

## Idea
A signal goes back.

## Explanation
It came to $r = {run0.delta_ratio_start}$, by {run1.factor_theory} a layer.

**delta_rms** is its size.

- **Tanh** has slope 1.

## Sources
- Hochreiter 1991
"""
CHOICE = """kind = "choice"
measure = "test_accuracy"
options = ["guesses", "learns", "learns well"]
bins = [0.2, 0.8]
prompt = "What will it reach?\""""
NUMBER = """kind = "number"
measure = "gradient_ratio"
low = 1e-8
high = 1.0
log = true
unit = "ratio"
prompt = "How much is left?\""""
PROFILE = """kind = "profile"
of = 1
at = "start"
prompt = "Draw it.\""""


def changed(old: str, new: str, chapter: str = CHAPTER) -> str:
    assert old in chapter
    return chapter.replace(old, new)


def read(text: str = CHAPTER) -> lessons.Lesson:
    return lessons.parse("01-signal.md", text)


# -- the chapters there are ------------------------------------------------------------------------


def test_there_are_exactly_ten_chapters_numbered_from_one():
    assert [file.name[:2] for file in FILES] == [f"{n:02d}" for n in range(1, 11)]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_chapter_reads_and_says_all_that_a_chapter_says(file):
    lesson = lessons.read(file)
    assert lesson.number == int(file.name[:2])
    assert lesson.question.endswith("?")
    assert all(isinstance(run.spec, RunSpec) for run in lesson.runs)
    assert "arxiv" in lesson.sources.lower() or re.search(r"\b(19|20)\d\d\b", lesson.sources)


def test_chapters_have_links_of_their_own():
    slugs = [lesson.slug for lesson in lessons.read_all()]
    assert len(set(slugs)) == len(slugs)


@pytest.mark.parametrize("item", EVERYTHING)
def test_every_remedy_statistic_and_figure_is_explained_in_exactly_one_lesson(item):
    """Where it is named in `explains`, under a line that begins with its name in bold."""
    all_lessons = [lessons.read(file) for file in FILES]
    named = [lesson.slug for lesson in all_lessons if item in lesson.explains]
    explained = [one.slug for one in all_lessons if lessons.is_explained(item, one.explanation)]
    name = lessons.bold_name(item)
    assert len(named) == 1, f"{item} is in `explains` of {named or 'no chapter'}; it must be one"
    assert explained == named, f"a line beginning with **{name}** is in {explained or 'no chapter'}"


def test_what_a_lesson_explains_is_known_by_the_registries_alone():
    assert set(EVERYTHING) == {
        f"{kind}:{name}" for kind, names in lessons.EXPLAINED.items() for name in names
    }


# -- the reader ------------------------------------------------------------------------------------


def test_a_chapter_is_read_into_what_it_says():
    lesson = read()
    assert (lesson.number, lesson.slug, lesson.minutes, lesson.slow) == (1, "signal", 5, 0)
    assert lesson.runs[1].spec == RunSpec(depth=3, width=16, epochs=1, activation="tanh")
    assert lesson.predict == lessons.Predict(kind="profile", prompt="Draw it.", of=1, at="start")
    assert lesson.check.options[lesson.check.answer] == "The slope"
    assert lesson.sources == "- Hochreiter 1991"


def test_a_choice_and_a_number_are_read_too():
    choice = read(changed(PROFILE, CHOICE)).predict
    assert (choice.measure, choice.at, choice.bins) == ("test_accuracy", "end", (0.2, 0.8))
    number = read(changed(PROFILE, NUMBER)).predict
    assert (number.low, number.high, number.log, number.at) == (1e-8, 1.0, True, "start")


#: What is put in place of what -> the words that the sentence must hold.
FAULTS = {
    "no head": (CHAPTER[:4], "++\n", "between two lines +++"),
    "not TOML": ('slug = "signal"', "slug = signal", "the head is not TOML"),
    "a slug with a space": ('"signal"', '"A signal"', "slug is 'A signal'; it must be small letters"),
    "no title": ('title = "A signal on its way"', "", "title is missing; it must be a text"),
    "minutes in words": ("minutes = 5", 'minutes = "five"', "a whole number from 1 to 120"),
    "an unknown key": ("minutes = 5", "minutes = 5\ncolour = 3", "colour is nothing"),
    "explains what is not there": ("remedy:tanh", "remedy:magic", "'remedy:magic' is none"),
    "explains without a line": ("- **Tanh** has", "- Tanh has", "must begin with **Tanh**"),
    "an impossible network": ("depth = 3, width = 16, epochs = 1 }", "depth = 0 }", "depth is 0; it must be"),
    "a field there is none": ("depth = 3, width = 16, epochs = 1 }", "deep = 3 }", "deep is not a field"),
    "two runs of one label": ('label = "tanh"', 'label = "sigmoid"', "have one label"),
    "an unknown kind": ('kind = "profile"', 'kind = "guess"', "one of profile, choice, number"),
    "a run that is not there": ("of = 1", "of = 2", "predict.of is 2; it must be a whole number from 0 to 1"),
    "an unknown moment": ('at = "start"', 'at = "middle"', "one of start, end"),
    "a measure for a profile": ("of = 1", 'of = 1\nmeasure = "wake_epoch"', "predict.measure is nothing"),
    "an unknown measure": (PROFILE, changed("test_accuracy", "beauty", CHOICE), "one of test_accuracy"),
    "too few borders": (PROFILE, changed("[0.2, 0.8]", "[0.2]", CHOICE), "2 rising numbers"),
    "falling borders": (PROFILE, changed("[0.2, 0.8]", "[0.8, 0.2]", CHOICE), "2 rising numbers"),
    "one option": (PROFILE, changed('"guesses", "learns", ', "", CHOICE), "two to six different texts"),
    "a slider that falls": (PROFILE, changed("1.0", "1e-9", NUMBER), "above low, which is 1e-08"),
    "a log slider from 0": (PROFILE, changed("1e-8", "0.0", NUMBER), "with log it must be above 0"),
    "an answer beyond": ("answer = 0", "answer = 2", "check.answer is 2; it must be a whole number from 0 to 1"),
    "no check": ("[check]", "[checks]", "check is missing"),
    "slow of no run": ("[slow]\nof = 0", "[slow]\nof = 4", "slow.of is 4"),
    "a section missing": ("## Sources\n- Hochreiter 1991\n", "", "must be Idea, Explanation, Sources"),
    "an empty section": ("A signal goes back.", "", "each with text"),
    "an unknown placeholder": ("{run0.delta_ratio_start}", "{run0.beauty}", "{run0.beauty} is no placeholder"),
    "a placeholder of no run": ("{run0.delta", "{run7.delta", "the runs are 0 to 1"),
    "a spoiler": ("A signal goes back.", "{run0.loss_end}", "numbers are shown after the run"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_chapter_is_one_sentence_that_names_file_and_what_is_allowed(fault):
    old, new, words = FAULTS[fault]
    with pytest.raises(LessonError) as caught:
        read(changed(old, new))
    sentence = str(caught.value)
    assert sentence.startswith("01-signal.md")
    assert words in sentence
    assert sentence.endswith((".", "?"))
    assert "\n" not in sentence.rstrip()


def test_a_file_of_another_name_is_no_chapter():
    with pytest.raises(LessonError, match=r"it must be NN-slug\.md"):
        lessons.parse("signal.md", CHAPTER)


def test_chapters_are_read_anew_when_a_file_changes_and_two_of_one_slug_are_refused(tmp_path):
    file = tmp_path / "01-signal.md"
    file.write_text(CHAPTER)
    first = lessons.read_all(tmp_path)
    assert lessons.read_all(tmp_path) is first
    file.write_text(changed("minutes = 5", "minutes = 12"))
    assert [lesson.minutes for lesson in lessons.read_all(tmp_path)] == [12]
    (tmp_path / "02-again.md").write_text(CHAPTER)
    with pytest.raises(LessonError, match="another chapter's too"):
        lessons.read_all(tmp_path)


def test_numbers_take_their_places_in_words_and_in_formulas():
    numbers = {
        "loss_start": "2.30",
        "factor_start": "1.41·10⁻⁷",
        "test_accuracy": "12.9 %",
        "steps": "–",
    }
    text = "{run0.loss_start}: $f={run0.factor_start}$, {run1.factor_start}, $$\\frac{a}{b}={run0.test_accuracy}{run0.steps}$$"
    assert lesson_numbers.filled(text, lambda run, name: numbers[name]) == (
        r"2.30: $f=1.41\cdot 10^{-7}$, 1.41·10⁻⁷, $$\frac{a}{b}=12.9\,\%\text{–}$$"
    )
