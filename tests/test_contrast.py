"""What contenders differ in, what they have in common, and what tells them apart on a chart."""

import itertools

import pytest

from engine.presets import PRESETS
from engine.remedies import REMEDIES
from engine.spec import RunSpec
from ui import contrast, theme
from ui.bindings import SYMBOLS
from ui.contrast import Difference, Line


def line(title="Baseline", *, id="20261123-140509-3fa2", seeds=(42,), **fields):
    return Line(id=id, title=title, spec=RunSpec(**fields), seeds=seeds)


def presets(kind):
    return [
        Line(id=f"20261123-140509-3fa2-c{n:02d}", title=one.title, spec=one.spec(), seeds=(42,))
        for n, one in enumerate(p for p in PRESETS.values() if p.kind == kind)
    ]


def test_a_field_that_differs_is_told_once_and_what_is_equal_is_told_once():
    lines = [line(), line("ReLU", activation="relu", learning_rate=0.1)]
    differing = contrast.differences(lines)
    assert differing == [
        Difference("activation", ("sigmoid", "relu")),
        Difference("learning rate", ("0.01", "0.1")),
    ]
    assert [contrast.sentence(one, ["Baseline", "ReLU"]) for one in differing] == [
        "**activation:** sigmoid / relu",
        "**learning rate:** 0.01 / 0.1",
    ]
    equal = contrast.equal(lines)
    assert "optimizer sgd" in equal
    assert equal.endswith("seed 42, and every other setting.")
    assert "activation" not in equal
    assert "learning rate" not in equal


def test_every_field_is_either_a_difference_or_equal_by_a_second_way_of_comparing():
    for a, b in itertools.combinations(presets("published"), 2):
        raw = {n for n, v in a.spec.model_dump().items() if v != b.spec.model_dump()[n]}
        told = {one.name for one in contrast.differences([a, b])}
        named = {contrast.NAMES[name] for name in raw}
        # Less what matters in neither; more what matters in one of them only.
        assert told - named <= {contrast.NAMES[name] for name in contrast_idle()}
        assert named - told <= {contrast.NAMES[name] for name in contrast_idle()}


def contrast_idle():
    return ("std", "gain", "momentum", "norm_position", "skip_every", "gradient_bound", "epochs")


def test_a_field_that_changes_nothing_in_one_of_them_is_a_dash_there():
    found = contrast.differences([line(), line(init="normal", std=1.0)])
    assert Difference("std", ("–", "1")) in found
    assert contrast.differences([line(std=1.0), line(std=2.0)]) == []


def test_where_a_normalisation_stands_goes_without_saying_unless_it_is_unusual():
    plain, usual = line(), line(norm="batch")
    assert contrast.differences([plain, usual]) == [Difference("normalisation", ("none", "batch"))]
    after = line(norm="batch", norm_position="after")
    assert contrast.differences([usual, after]) == [
        Difference("norm position", ("before", "after"))
    ]


def test_of_more_than_three_only_those_that_differ_are_named():
    names = ["A", "B", "C", "D"]
    one = Difference("activation", ("sigmoid", "relu", "sigmoid", "sigmoid"))
    assert contrast.sentence(one, names) == "**activation:** relu (B), else sigmoid"
    idle = Difference("std", ("–", "0.05", "0.05", "1"))
    assert contrast.sentence(idle, names) == "**std:** 1 (D), else 0.05"
    idle = Difference("std", ("–", "–", "–", "1"))
    assert contrast.sentence(idle, names) == "**std:** 1 (D)"
    four = Difference("seed", ("1", "2", "3", "4"))
    assert contrast.sentence(four, names) == "**seed:** 1 (A), 2 (B), 3 (C), 4 (D)"


def test_seeds_of_a_group_are_told_as_a_range():
    lines = [line(seeds=(42, 43, 44)), line(seeds=(42,)), line(seeds=(42, 44))]
    assert contrast.differences(lines) == [Difference("seed", ("42 to 44", "42", "42, 44"))]


def test_nothing_that_differs_is_said_as_such():
    told = contrast.equal([line(), line()])
    assert told.startswith("**Equal:** everything (")
    assert contrast.equal([line()]) == ""
    assert contrast.differences([]) == []


def test_networks_of_another_depth_or_other_data_are_said_so():
    assert contrast.notes([line(), line(activation="relu")]) == []
    (depth,) = contrast.notes([line(depth=3), line(depth=7), line(depth=20)])
    assert depth.startswith("The networks have 4, 8 and 21 layers: profiles and differences")
    assert "relative depth" in depth
    (data,) = contrast.notes([line(), line(data="moons")])
    assert data.startswith("The data differ")
    (batch,) = contrast.notes([line(), line(batch_size=10)])
    assert "align by epoch" in batch


@pytest.mark.parametrize("kind", ["published", "controlled"])
def test_a_ladders_labels_are_short_and_no_two_alike(kind):
    names = contrast.labels(presets(kind))
    assert len(set(names)) == len(names)
    assert max(map(len, names)) <= contrast.LONGEST
    assert not any("Controlled:" in name for name in names)


def test_contenders_of_one_title_are_told_apart_by_as_few_fields_as_will_do():
    deeper, other = line(depth=20, width=8), line("Skip connections")
    assert contrast.labels([line(), deeper, other]) == [
        "Baseline, hidden layers 7",
        "Baseline, hidden layers 20",
        "Skip connections",
    ]
    assert contrast.labels([line(), deeper, line(seeds=(43,))]) == [
        "Baseline, hidden layers 7, seed 42",
        "Baseline, hidden layers 20, seed 42",
        "Baseline, hidden layers 7, seed 43",
    ]


def test_contenders_that_are_the_same_in_all_are_told_apart_by_their_ids():
    lines = [line(id=f"20261123-140509-3fa{n}") for n in range(3)]
    assert contrast.labels(lines) == ["Baseline (3fa0)", "Baseline (3fa1)", "Baseline (3fa2)"]


def test_a_long_title_is_cut_and_still_its_own():
    long = "sigmoid 7x128, Larger weights (std 1), BatchNorm, Skip connections, adam 0.001"
    names = contrast.labels([line(long, id="20261123-140509-aaaa"), line(long, depth=9)])
    assert len(set(names)) == 2
    assert max(map(len, names)) < 64


def test_a_contender_has_the_colour_of_its_remedy_where_that_is_free():
    specs = [RunSpec(), *(RunSpec(**REMEDIES[n].changes) for n in ("better_activation", "skip"))]
    groups = ("baseline", "activation", "skip")
    assert contrast.colours(specs) == [theme.REMEDY_COLOURS[name] for name in groups]
    # The notebook's BatchNorm trains with Adam: it is BatchNorm all the same.
    assert contrast.colours([PRESETS["batchnorm"].spec()]) == [
        theme.REMEDY_COLOURS["normalisation"]
    ]


def test_no_two_of_six_contenders_share_a_colour_or_a_dash():
    for specs in ([RunSpec()] * 6, [one.spec for one in presets("controlled")[:6]]):
        assert len(set(contrast.colours(specs))) == 6
    assert len(set(contrast.DASHES)) == 6
    assert set(contrast.DASHES) <= set(SYMBOLS)
