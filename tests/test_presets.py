"""Presets and remedies: data that changes what it says and nothing else."""

import pytest

from engine import presets, remedies
from engine.errors import PresetError
from engine.presets import PRESETS, STD_005
from engine.remedies import GROUPS, REMEDIES
from engine.spec import RunSpec

PUBLISHED = [
    "baseline",
    "weight_std_1",
    "weight_std_10",
    "better_activation",
    "better_optimizer",
    "batchnorm",
    "custom_norm",
    "skip",
    "layerwise",
    "gradient_norm",
]


def test_the_ten_published_configurations_are_there_under_their_names():
    assert [name for name, p in PRESETS.items() if p.kind == "published"] == PUBLISHED


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("baseline", {"init": "pytorch", "optimizer": "sgd", "learning_rate": 0.01}),
        ("weight_std_1", {"init": "normal", "std": 1.0}),
        ("weight_std_10", {"init": "normal", "std": 10.0}),
        ("better_activation", {"activation": "relu", "learning_rate": 0.001, "std": 0.05}),
        ("better_optimizer", {"optimizer": "adam", "learning_rate": 0.001, "std": 0.05}),
        ("batchnorm", {"norm": "batch", "optimizer": "adam", "norm_position": "before"}),
        ("custom_norm", {"norm": "tensor", "optimizer": "sgd", "learning_rate": 0.01}),
        ("skip", {"skip": "published", "learning_rate": 0.01}),
        ("layerwise", {"schedule": "layerwise_published", "learning_rate": 0.01}),
        ("gradient_norm", {"gradient_rule": "standardise", "learning_rate": 0.001}),
        ("better_activation_lr_1e-2", {"activation": "relu", "learning_rate": 0.01}),
        ("batchnorm_sgd", {"norm": "batch", "optimizer": "sgd", "learning_rate": 0.01}),
        ("gradient_norm_lr_1e-2", {"gradient_rule": "standardise", "learning_rate": 0.01}),
    ],
)
def test_a_preset_has_the_published_values(name, fields):
    spec = PRESETS[name].spec(data="fashion_mnist")
    common = {"depth": 7, "width": 128, "batch_size": 512, "epochs": 100, "seed": 42}
    wanted = common | fields
    assert {field: getattr(spec, field) for field in wanted} == wanted


@pytest.mark.parametrize("name", [n for n, p in PRESETS.items() if p.kind == "controlled"])
def test_a_controlled_preset_differs_from_its_baseline_by_one_remedy(name):
    base = RunSpec(**STD_005).model_dump()
    spec = PRESETS[name].spec().model_dump()
    changed = {field: value for field, value in spec.items() if base[field] != value}
    explained = [r for r in REMEDIES.values() if changed.items() <= dict(r.changes).items()]
    assert explained, f"{changed} is no single remedy"


def test_an_unknown_preset_is_refused_with_those_that_exist():
    with pytest.raises(PresetError, match="preset is nonsense; it must be one of baseline, "):
        presets.find("nonsense")


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_recognised_whatever_its_data_and_seed(name):
    free = {"data": "moons", "seed": 3, "epochs": 2}
    spec = PRESETS[name].spec(**free)
    assert PRESETS[presets.name_of(spec)].spec(**free) == spec


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy_changes_exactly_what_it_says(name):
    remedy, before = REMEDIES[name], RunSpec()
    after = remedy.apply(before)
    values, old = after.model_dump(), before.model_dump()
    assert {f: v for f, v in values.items() if old[f] != v}.items() <= remedy.changes.items()
    assert all(values[field] == value for field, value in remedy.changes.items())
    assert after != before, "a remedy that changes nothing"
    assert name in remedies.active(after)
    assert remedy.idea.endswith(".")
    assert remedy.source


@pytest.mark.parametrize("name", REMEDIES)
def test_a_remedy_belongs_to_the_group_of_its_first_field(name):
    remedy = REMEDIES[name]
    assert next(iter(remedy.changes)) in GROUPS[remedy.group].fields


def test_every_field_of_a_spec_is_in_exactly_one_group():
    fields = [field for group in GROUPS.values() for field in group.fields]
    assert sorted(fields) == sorted(RunSpec.FIELDS)


def test_remedies_combine():
    spec = RunSpec()
    for name in ("better_activation", "batchnorm", "skip", "better_optimizer"):
        spec = REMEDIES[name].apply(spec)
    assert {"better_activation", "batchnorm", "skip", "better_optimizer"} <= set(
        remedies.active(spec)
    )
