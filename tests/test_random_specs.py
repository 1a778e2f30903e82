"""Any mapping is a spec or is refused by sentences; any spec survives every form it is written in."""

import ast
import json
import re
from functools import partial

import pytest
import random_input
from hypothesis import assume, example, given
from hypothesis import strategies as st
from random_input import FIELDS, is_sentence, mappings, near_fields, specs, texts, value_of, values

from engine import contenders, export, presets, remedies, runs, script
from engine.errors import EngineError, SpecError
from engine.presets import PRESETS
from engine.quotes import quoted
from engine.remedies import REMEDIES
from engine.run_info import RunInfo
from engine.spec import RunSpec, allowed, parse_settings, read_json
from ui import words


def made_or_refused(make):
    """The spec, or the faults that it was refused by: one sentence a field, and nothing else raised."""
    try:
        spec = make()
    except SpecError as error:
        faults = error.faults
    else:
        assert isinstance(spec, RunSpec)
        return spec
    assert faults
    for name, said in faults.items():
        assert is_sentence(said), (name, said)
    return faults


@given(mappings)
@example({"depth": 10**5000})
@example({"activation": "\ud800", "no\nfield": 1, "data": []})
def test_any_mapping_is_a_spec_or_a_sentence_for_each_of_its_faults(fields):
    found = made_or_refused(lambda: RunSpec(**fields))
    if isinstance(found, RunSpec):
        assert set(fields) <= set(FIELDS)
        assert RunSpec(**found.model_dump()) == found
        return
    for name, said in found.items():
        assert name in FIELDS or name in fields or name == "spec"
        if name not in FIELDS:
            assert (
                said.startswith(f"{quoted(name) or repr('')} is not a field of a run")
                or name == "spec"
            )
        else:
            assert says_what_is_allowed(name, said)


@given(st.sampled_from(FIELDS), values)
def test_a_field_alone_is_taken_or_told_what_it_allows(field, value):
    found = made_or_refused(lambda: RunSpec(**{field: value}))
    for name, said in found.items() if isinstance(found, dict) else ():
        assert says_what_is_allowed(name, said)


def says_what_is_allowed(field, said):
    """Whether it does: the field's own bounds, or what it needs of another field."""
    by_itself = said.startswith(f"{field} is ") and said.endswith(f"; it must be {allowed(field)}.")
    return by_itself or re.search(r"must be|must not|it needs", said)


@given(texts | values.map(repr) | mappings.map(repr))
@example('{"depth": ' + "9" * 5000 + "}")
@example("[" * 100_000)
@example('{"depth": ' + "[" * 900 + "]" * 900 + "}")
@example('{"\\ud800": 1}')
def test_any_text_is_a_spec_in_json_or_is_refused(text):
    made_or_refused(lambda: read_json(text))


@given(mappings)
def test_any_mapping_as_json_is_refused_as_the_mapping_itself_is(fields):
    text = json.dumps(fields)
    assume(json.loads(text) == fields)
    assert made_or_refused(lambda: read_json(text)) == made_or_refused(lambda: RunSpec(**fields))


@given(st.lists(texts | st.builds("{}={}".format, near_fields | st.sampled_from(FIELDS), texts)))
def test_any_settings_are_fields_or_are_refused(settings):
    made_or_refused(lambda: RunSpec(**parse_settings(settings)))


@given(specs)
def test_a_spec_comes_back_from_json_and_from_settings_bit_for_bit(spec):
    assert read_json(spec.model_dump_json()) == spec
    assert read_json(json.dumps(spec.model_dump())) == spec
    settings = [f"{name}={value}" for name, value in spec.model_dump().items()]
    assert RunSpec(**parse_settings(settings)) == spec
    assert spec.changed({}).model_dump() == spec.model_dump()


@given(specs, st.sampled_from(list(REMEDIES)), st.sampled_from(list(REMEDIES)))
def test_a_remedy_changes_what_it_says_and_nothing_else_or_is_refused(spec, one, other):
    for name in (one, other):
        found = made_or_refused(partial(REMEDIES[name].apply, spec))
        if isinstance(found, RunSpec):
            was, now = spec.model_dump(), found.model_dump()
            assert now == was | dict(REMEDIES[name].changes)
            assert name in remedies.active(found)
            spec = found


@given(st.sampled_from(list(PRESETS)), mappings)
def test_a_preset_takes_any_free_fields_or_refuses_them_by_sentence(name, fields):
    found = made_or_refused(lambda: PRESETS[name].spec(**fields))
    if isinstance(found, RunSpec) and set(fields) <= set(presets.FREE):
        assert presets.matches(name, found)


@given(st.fixed_dictionaries({}, optional={name: value_of(name) for name in presets.FREE}))
def test_the_ladder_of_any_free_fields_is_made_whole_or_refused(fields):
    try:
        made = contenders.ladder(seeds=3, **fields)
        said = ""
    except EngineError as error:
        made, said = None, str(error)
    if made is None:
        assert is_sentence(said)
    else:
        assert [one.preset for one in made] == [
            name for form in contenders.FORMS.values() for name in form
        ]


@given(specs)
def test_any_spec_can_be_told_in_words(spec):
    assert presets.title_of(spec).isprintable()
    assert is_sentence(words.against(spec))
    fields = spec.model_dump()
    for summarise in words.SUMMARIES.values():
        assert summarise(fields)
    assert spec.total_steps >= len(spec.phases)
    assert spec.phases[-1].layers == spec.depth
    assert spec.train_examples + spec.validation_examples == spec.examples


# -- what is exported ------------------------------------------------------------------------------


def numbers_in(code):
    """Every number and text that stands in a program, as Python reads it."""
    return {
        repr(node.value) for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant)
    }


def settings_in(code):
    """NAME -> number, of `A, B = 1, 2` at a program's top."""
    found = {}
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            names = [ast.unparse(one) for one in node.targets[0].elts]
            found |= dict(zip(names, [ast.unparse(one) for one in node.value.elts], strict=True))
    return found


#: Field -> when its value stands in the script as it is.
WRITTEN = {
    "learning_rate": lambda spec: True,
    "threads": lambda spec: True,
    "std": lambda spec: spec.init == "normal",
    "gain": lambda spec: spec.init == "orthogonal",
    "momentum": lambda spec: spec.optimizer in ("momentum", "nesterov"),
    "weight_decay": lambda spec: spec.weight_decay > 0,
    "gradient_bound": lambda spec: spec.gradient_rule in ("clip_norm", "clip_value"),
}


@given(specs, texts)
def test_a_script_and_its_notebook_hold_the_spec_s_numbers_bit_for_bit(spec, title):
    info = RunInfo(**(_INFO | {"title": title, "spec": spec}))
    code = script.text(info)
    settings, numbers = settings_in(code), numbers_in(code)
    assert settings["SEED"] == str(spec.seed)
    assert settings["BATCH_SIZE"] == str(spec.batch_size)
    assert (settings["DEPTH"], settings["WIDTH"]) == (str(spec.depth), str(spec.width))
    for field, is_written in WRITTEN.items():
        if is_written(spec):
            assert repr(getattr(spec, field)) in numbers, field
    cells = json.loads(script.notebook(info))["cells"]
    cells = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    assert ast.dump(ast.parse("\n".join(cells))) == ast.dump(
        ast.Module(body=ast.parse(code).body[1:], type_ignores=[])
    ), "the notebook is the script, whose first lines are its first cell"


@given(specs)
def test_a_run_s_own_file_and_its_json_give_the_spec_back(home, spec):
    run = runs.create_as(runs.new_id(), spec, title="Made up")
    assert runs.info(run).spec == spec
    told = json.loads(export.whole(run, "json"))
    assert RunSpec(**told["spec"]) == spec
    runs.path(run).unlink()


_INFO = {}


@pytest.fixture(autouse=True, scope="module")
def info_of_a_run(tmp_path_factory):
    """What is known of a run that was not trained, for scripts of others."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGLAB_HOME", str(tmp_path_factory.mktemp("random") / "home"))
        found = runs.info(runs.create_as(runs.new_id(), RunSpec(), title="Made up"))
    _INFO.update({name: getattr(found, name) for name in found.__dataclass_fields__})
    yield
    _INFO.clear()


def test_the_profile_that_is_asked_for_is_the_one_that_runs():
    assert random_input.settings.default.deadline is None
