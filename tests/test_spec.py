"""A spec is refused by sentence, and what it derives agrees with counting by hand."""

import json
import math

import pytest

from engine.data_sets import DATA_SETS
from engine.errors import SpecError
from engine.spec import (
    RunSpec,
    allowed,
    bounds,
    choices,
    parse_settings,
    read_json,
)

NUMBERS = [field for field in RunSpec.FIELDS if not choices(field)]
CHOICES = [field for field in RunSpec.FIELDS if choices(field)]


def faults(**fields):
    with pytest.raises(SpecError) as refused:
        RunSpec(**fields)
    return refused.value.faults


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("depth", 0, "depth is 0; it must be a whole number from 1 to 100."),
        ("depth", 1000, "depth is 1000; it must be a whole number from 1 to 100."),
        ("depth", 7.5, "depth is 7.5; it must be a whole number from 1 to 100."),
        ("std", -1, "std is -1; it must be from 0.001 to 100."),
        ("learning_rate", 0, "learning_rate is 0; it must be from 1e-08 to 1000."),
        ("learning_rate", math.nan, "learning_rate is nan; it must be from 1e-08 to 1000."),
        ("learning_rate", "inf", "learning_rate is inf; it must be from 1e-08 to 1000."),
        ("learning_rate", "fast", "learning_rate is fast; it must be from 1e-08 to 1000."),
    ],
)
def test_an_impossible_value_is_refused_by_one_sentence(field, value, sentence):
    assert faults(**{field: value}) == {field: sentence}


@pytest.mark.parametrize("field", CHOICES)
def test_every_choice_refuses_what_it_does_not_offer_and_says_what_it_does(field):
    sentence = faults(**{field: "nonsense"})[field]
    assert sentence.startswith(f"{field} is nonsense; it must be one of ")
    assert all(option in sentence for option in choices(field))


@pytest.mark.parametrize("field", NUMBERS)
def test_every_number_takes_its_bounds_and_refuses_what_lies_beyond(field):
    low, high = bounds(field)
    assert set(faults(**{field: high * 2 + 1})) == {field}
    assert set(faults(**{field: low - 1})) == {field}
    assert f"{low:g}" in allowed(field)


def test_every_fault_is_told_not_only_the_first():
    assert set(faults(depth=0, std=-1, activation="step")) == {"depth", "std", "activation"}


def test_an_unknown_field_is_refused_with_the_nearest_that_exists():
    assert faults(depht=3)["depht"] == "depht is not a field of a run; did you mean depth?"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"norm": "batch", "batch_size": 1}, "batch_size"),
        ({"norm": "batch", "batch_size": 19}, "batch_size"),  # 1350 = 71 * 19 + 1
        ({"skip": "every", "depth": 1}, "skip"),
        ({"skip": "published", "depth": 2}, "skip"),
        ({"skip": "every", "skip_every": 9}, "skip"),
        ({"schedule": "layerwise_intended", "depth": 2}, "schedule"),
        ({"optimizer": "nesterov", "momentum": 0}, "momentum"),
        ({"subset": 1501}, "subset"),
    ],
)
def test_a_combination_that_means_nothing_is_refused_beside_one_field(fields, field):
    assert set(faults(**fields)) == {field}


def test_a_spec_survives_json_and_a_link():
    spec = RunSpec(depth=20, activation="relu", learning_rate=0.003, subset=500)
    assert RunSpec.model_validate_json(spec.model_dump_json()) == spec
    as_text = {k: str(v) for k, v in spec.model_dump(exclude_none=True).items()}
    assert RunSpec(**as_text) == spec


@pytest.mark.parametrize("text", ["{", "[1]", '"depth"', '{"depth": 0}', '{"depht": 1}'])
def test_a_broken_spec_file_is_refused_by_sentence(text):
    with pytest.raises(SpecError) as refused:
        read_json(text)
    assert str(refused.value).endswith((".", "?"))


def test_settings_name_a_field_and_a_value():
    assert parse_settings(["depth=20", "subset=none"]) == {"depth": "20", "subset": None}
    for wrong in ("depth", "=3", "depht=3", ""):
        with pytest.raises(SpecError):
            parse_settings([wrong])


def test_the_published_split_and_steps_come_out():
    spec = RunSpec(data="fashion_mnist")
    assert (spec.train_examples, spec.validation_examples, spec.batch_size) == (54000, 6000, 512)
    assert spec.steps_per_epoch == 106  # 105 batches of 512 and one of 240
    assert spec.total_steps == 10600


def test_a_batch_size_nobody_chose_follows_the_data():
    assert RunSpec(data="mnist").batch_size == DATA_SETS["mnist"].batch_size == 512
    assert RunSpec().changed({"data": "mnist"}).batch_size == 512
    assert RunSpec(batch_size=100).changed({"data": "mnist"}).batch_size == 100


def test_the_seven_published_phases_come_out():
    intended = RunSpec(schedule="layerwise_intended").phases
    assert [(p.layers, p.frozen) for p in intended] == [
        (2, 0),
        (4, 2),
        (4, 0),
        (6, 4),
        (6, 0),
        (7, 6),
        (7, 0),
    ]
    published = RunSpec(schedule="layerwise_published").phases
    assert [p.layers for p in published] == [p.layers for p in intended]
    assert not any(p.frozen for p in published), "the misspelt require_grad freezes nothing"


def test_the_published_skips_come_out():
    assert RunSpec(skip="published").skips == {3: 1, 7: 4}
    assert RunSpec(skip="published", depth=5).skips == {3: 1}
    assert RunSpec(skip="every", skip_every=2).skips == {3: 1, 5: 3, 7: 5}


def test_a_spec_cannot_be_changed_in_place():
    with pytest.raises((SpecError, ValueError), match="frozen"):
        RunSpec().depth = 3
    assert json.loads(RunSpec().model_dump_json())["depth"] == 7


@pytest.mark.parametrize(
    "text",
    ['{"self": 1}', '{"data": []}', '{"data": {}}', '{"depth": ' + "9" * 5000 + "}", "[" * 10**5],
    ids=["self", "list", "object", "long number", "deep"],
)
def test_nonsense_of_any_kind_is_refused_by_sentence(text):
    with pytest.raises(SpecError) as refused:
        read_json(text)
    assert len(str(refused.value)) < 500
