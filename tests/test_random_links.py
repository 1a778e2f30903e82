"""Any link shows a page and says in sentences what of it is ignored; what it says it says again."""

import json
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from random_input import FIELDS, is_sentence, near_fields, specs, texts

from engine.errors import EngineError
from engine.presets import PRESETS
from engine.remedies import REMEDIES
from engine.spec import RunSpec
from ui import draft, lesson_link, lessons, links, replay, theory_link

LESSONS = lessons.read_all()
_KNOWN = [
    *FIELDS,
    *links.VIEW,
    *links.COMPARISON,
    *links.ALSO,
    "run",
    "hide",
    "net",
    "chapter",
    "stage",
]
_WORDS = [*links.KINDS, *links.AXES, *links.SHOWS, *links.ALIGNS, *links.PARTS, *links.LADDER_FORMS]
_WORDS += [*links.HIDEABLE, *lesson_link.STAGES, *(lesson.slug for lesson in LESSONS)]
_WORDS += [*PRESETS, "20261123-140509-3fa2", "0", "1", "7", "101", "102", "010", "1e3", " 1 "]
words = st.sampled_from(_WORDS) | texts | st.integers(-9, 10**12).map(str) | st.floats().map(str)
lists = st.lists(words, max_size=9).map(",".join)
drafts = st.lists(st.sampled_from([*PRESETS, *REMEDIES]) | texts, min_size=1, max_size=4).map(
    "+".join
)
settings = st.lists(
    st.builds("{}={}".format, st.sampled_from(FIELDS) | near_fields, words), max_size=5
).map(",".join)
values = st.lists(words | lists | drafts | settings, min_size=1, max_size=3)
#: Any link: names that pages know, nearly know or do not, each with one value or several.
queries = st.dictionaries(st.sampled_from(_KNOWN) | near_fields | texts, values, max_size=7)


@given(queries)
@example({"\ud800": ["1"], "depth": ["\u202e"], "hide": [",".join("abc" * 1000)]})
def test_any_link_to_the_lab_is_read_and_what_is_ignored_is_told(query):
    link = links.read(query)
    for said in link.ignored.values():
        assert is_sentence(said), said
    known = {*link.fields, *link.view, *link.ignored}
    assert set(query) - {"run"} <= known, "nothing is passed over in silence"
    for name, value in link.fields.items():
        assert value is None or name in FIELDS
    again = links.read(written(link.fields | link.view))
    assert (again.fields, again.view, again.ignored) == (link.fields, link.view, {})


def written(values):
    """As the Lab's controls write it: each value as a text, several with commas, none as nothing."""
    return {
        name: [",".join(value) if isinstance(value, tuple) else "" if value is None else str(value)]
        for name, value in values.items()
    }


@given(specs)
def test_the_link_of_any_spec_gives_it_back_bit_for_bit(spec):
    link = links.read(written(spec.model_dump()))
    assert link.ignored == {}
    assert RunSpec(**link.fields) == spec


@given(queries)
def test_any_link_to_the_comparison_is_read_and_writes_itself_again(query):
    comparison, ignored = links.read_comparison(query)
    for said in ignored.values():
        assert is_sentence(said), said
    once = links.comparison_link(comparison)
    again, nothing = links.read_comparison({name: [value] for name, value in once.items()})
    assert nothing == {}
    assert again == comparison
    assert links.comparison_link(again) == once


def nothing_is_there(run):
    raise EngineError(f"There is no run {run[:9]!r}.")


@given(
    st.lists(drafts | texts, max_size=4),
    st.sampled_from(["digits", "fashion_mnist", "moons"]),
    st.integers(0, 6),
)
def test_any_new_contender_of_a_link_is_one_or_says_why_it_is_none(named, data, room):
    common = draft.Common(data=data, epochs=40, seeds=2)
    for line in draft.lines(named, common, nothing_is_there, room):
        assert (line.contender is None) == bool(line.fault)
        assert not line.fault or is_sentence(line.fault), line.fault
        if line.contender is not None:
            assert draft.parse(str(draft.parse(line.text))) == draft.parse(line.text)


@given(queries)
def test_any_link_to_a_lesson_is_a_place_with_sentences(query):
    place = lesson_link.place_of(query, LESSONS)
    for said in place.ignored:
        assert is_sentence(said), said
    assert place.lesson is None or place.lesson in LESSONS
    assert place.stage in lesson_link.STAGES
    if place.lesson is not None:
        said = {"chapter": [place.lesson.slug], "stage": [place.stage]}
        assert lesson_link.place_of(said, LESSONS) == lesson_link.Place(
            lesson=place.lesson, stage=place.stage
        )


@given(queries)
def test_any_link_to_the_theory_page_is_a_network_with_sentences(query):
    net = theory_link.read(query)
    for said in net.ignored:
        assert is_sentence(said), said
    said = theory_link.written(net.fields)
    again = theory_link.read({theory_link.NET: [said]} if said else {})
    assert again.ignored == []
    assert again.fields == theory_link.tidy(net.fields)
    assert theory_link.written(again.fields) == said


@given(specs)
def test_the_theory_page_s_link_of_any_spec_gives_its_first_step_back_bit_for_bit(spec):
    fields = theory_link.fields_of(spec)
    again = theory_link.read({theory_link.NET: [theory_link.written(fields)]})
    assert again.ignored == []
    assert again.fields == fields
    assert (
        theory_link.tidy(theory_link.spec_of(again.fields).model_dump() | _own_batch(spec))
        == fields
    )


def _own_batch(spec):
    return {"batch_size": None} if spec.batch_size == spec.data_set.batch_size else {}


class Query(dict):
    """In place of Streamlit's."""


@given(words, st.integers(0, 10**6), st.booleans())
def test_any_step_of_a_link_is_shown_or_leaves_it_with_a_sentence(step, last, is_other):
    with pytest.MonkeyPatch.context() as patch:
        page = SimpleNamespace(
            query_params=Query(step=step),
            session_state={"ignored": {}, "replayed": "b" if is_other else "a"},
        )
        patch.setattr(replay, "st", page)
        shown = replay.wanted(SimpleNamespace(id="a", step=last))
        ignored = page.session_state["ignored"]
        assert shown is None or 0 <= shown <= last
        assert (shown is None) == ("step" not in page.query_params) or not step
        assert all(is_sentence(said) for said in ignored.values())
        assert len(ignored) == (shown is None and not is_other and bool(step))
        if shown is not None:
            page.session_state[replay.KEY] = {"at": shown}
            replay.write_link()
            assert int(page.query_params["step"]) == shown
            assert replay.wanted(SimpleNamespace(id="a", step=last)) == shown


@given(
    st.dictionaries(texts, st.none() | st.floats() | texts | st.integers(), max_size=2) | st.none()
)
def test_a_browser_that_tells_another_step_than_it_should_breaks_no_page(told):
    with pytest.MonkeyPatch.context() as patch:
        told = told if told is None else told | {"at": next(iter(told.values()), None)}
        page = SimpleNamespace(query_params=Query(step="3"), session_state={replay.KEY: told})
        patch.setattr(replay, "st", page)
        replay.write_link()
        assert json.dumps(page.query_params)
        assert page.query_params.get("step", "0").isdecimal()
