"""Published against measured: the judgement against bands and margins computed by hand."""

from dataclasses import replace

import made_up
import pytest

from engine import contenders, presets, runs, store, verdict
from engine.errors import PresetError
from engine.presets import PRESETS
from engine.verdict import DATA, published


@pytest.fixture(autouse=True)
def data_is_here(monkeypatch):
    for module in (runs, contenders):
        monkeypatch.setattr(module, "check_obtainable", lambda data: None)


def claim(name):
    return published()[name]


def measured(name, accuracies, *, status=store.FINISHED, accuracy="test", **fields):
    """A run of a preset on the published data with these accuracies after its last epochs."""
    spec = PRESETS[name].spec(**{"data": DATA} | fields)
    run = runs.create(spec)
    with store.Writer(runs.path(run)) as writer:
        last = spec.epochs * len(spec.phases)
        for epoch in range(1, last + 1):
            place = epoch - last + len(accuracies) - 1
            value = accuracies[place] if place >= 0 else 0.99  # long before the end
            end = made_up.epoch_end(epoch, epoch * 106)
            writer.add(replace(end, **{f"{accuracy}_accuracy": value}))
        writer.commit()
        writer.update(status=status)
    return run


def judged(name):
    (found,) = verdict.judge([name])
    return found


def test_all_published_presets_and_the_variants_with_a_number_are_judged():
    names = [one.name for one in verdict.judge()]
    assert names[:10] == [name for name, preset in PRESETS.items() if preset.kind == "published"]
    assert names[10:] == [
        "better_activation_lr_1e-2",
        "batchnorm_sgd",
        "gradient_norm_lr_1e-2",
        "layerwise_intended",
    ]


def test_the_published_numbers_are_those_of_the_second_repository():
    numbers = {name: one.published for name, one in published().items()}
    assert numbers == {
        "baseline": 0.1,
        "weight_std_1": 0.7361,
        "weight_std_10": 0.1927,
        "better_activation": None,
        "better_optimizer": 0.8591,
        "batchnorm": None,
        "custom_norm": None,
        "skip": 0.6756,
        "layerwise": None,
        "gradient_norm": None,
        "better_activation_lr_1e-2": 0.7882,
        "batchnorm_sgd": 0.8785,
        "gradient_norm_lr_1e-2": 0.5373,
        "layerwise_intended": 0.5897,
    }
    assert claim("layerwise_intended").accuracy == "validation", ".4202 is of another model"
    for one in published().values():
        assert (one.spec.data, one.spec.epochs, one.spec.batch_size) == (DATA, 100, 512)


def test_a_number_within_the_last_tenth_of_the_epochs_agrees():
    run = measured("batchnorm_sgd", [0.2, 0.8712, *[0.875] * 7, 0.8790, 0.8740])
    found = judged("batchnorm_sgd")
    assert found.words == "published .8785, here .8712 to .8790 over 1 seed: agrees"
    assert (found.low, found.high) == (0.8712, 0.8790), "the eleventh from the end does not count"
    assert found.measured == [0.8740]
    assert found.agrees is True
    assert found.runs == [run]


def test_seeds_widen_what_was_measured():
    made = [
        measured("skip", [value] * 10, seed=seed)
        for seed, value in ((44, 0.655), (42, 0.640), (43, 0.668))
    ]
    found = judged("skip")
    assert found.seeds == [42, 43, 44]
    assert found.measured == [0.640, 0.668, 0.655], "one per seed, in their order"
    assert found.runs == [made[1], made[2], made[0]]
    assert (found.low, found.high) == (0.640, 0.668)


@pytest.mark.parametrize("near", [-0.0091, 0.0091])
def test_two_standard_errors_on_ten_thousand_images_are_allowed_for(near):
    # 2 * sqrt(.6756 * .3244 / 10000) = .009363
    assert claim("skip").margin == pytest.approx(0.009363, abs=1e-6)
    measured("skip", [0.6756 + near] * 10)
    found = judged("skip")
    assert found.agrees is True
    assert found.words == (
        f"published .6756, here .{6756 + round(near * 1e4)} over 1 seed: agrees, within .0094, "
        "two standard errors on 10,000 examples"
    )


@pytest.mark.parametrize("far", [-0.0095, 0.0095])
def test_beyond_them_it_is_outside(far):
    measured("skip", [0.6756 + far] * 10)
    found = judged("skip")
    assert found.agrees is False
    assert found.words.endswith("over 1 seed: outside")


def test_for_the_layer_wise_run_validation_accuracies_of_its_last_phase_are_compared():
    # 2 * sqrt(.5897 * .4103 / 6000) = .012701
    assert claim("layerwise_intended").margin == pytest.approx(0.012701, abs=1e-6)
    measured("layerwise_intended", [0.3] + [0.58] * 10, accuracy="validation")
    found = judged("layerwise_intended")
    assert found.words.startswith("published .5897 (validation), here .5800 over 1 seed: agrees")
    assert ".4202" in found.note


def test_nothing_measured_is_not_judged():
    found = judged("skip")
    assert found.agrees is None
    assert found.words == "published .6756, not measured here yet"
    assert (found.measured, found.low, found.runs) == ([], None, [])


def test_nothing_published_is_said_and_what_was_measured_is_shown():
    assert judged("custom_norm").words == "no number published, not measured here yet"
    measured("custom_norm", [0.82, 0.78])
    found = judged("custom_norm")
    assert found.agrees is None
    assert found.words.startswith("no number published, here .7800 to ")


@pytest.mark.parametrize(
    ("other", "status"),
    [
        ({"data": "mnist"}, store.FINISHED),
        ({"epochs": 99}, store.FINISHED),
        ({"batch_size": 256}, store.FINISHED),
        ({"subset": 1000}, store.FINISHED),
        ({"width": 64}, store.FINISHED),
        ({}, store.STOPPED),
        ({}, store.DIVERGED),
    ],
)
def test_another_configuration_or_a_run_that_did_not_finish_is_not_taken_for_it(other, status):
    measured("skip", [0.6756] * 10, status=status, **other)
    assert judged("skip").runs == []


def test_where_it_was_computed_makes_no_difference_and_the_newer_of_one_seed_counts(monkeypatch):
    ids = iter(["20260101-000000-0001", "20260102-000000-0002"])
    monkeypatch.setattr(runs, "new_id", lambda: next(ids))
    measured("skip", [0.1] * 10, device="cuda")
    newer = measured("skip", [0.67] * 10, device="cpu", threads=2)
    assert judged("skip").runs == [newer]
    assert judged("skip").measured == [0.67]


def test_a_run_is_read_anew_once_it_has_finished():
    run = measured("skip", [0.67] * 10, status=store.RUNNING)
    assert judged("skip").runs == []
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=store.FINISHED)
    assert judged("skip").runs == [run]
    runs.delete(run)
    assert judged("skip").runs == []


def test_a_file_that_cannot_be_read_does_not_hide_the_others(home):
    run = measured("skip", [0.67] * 10)
    (home / "runs" / "20260101-000000-0bad.sqlite").write_text("no database at all" * 50)
    assert judged("skip").runs == [run]


def test_the_errors_of_the_published_material_are_told_where_they_matter():
    notes = {one.name: one.note for one in verdict.judge()}
    assert "2.3027" in notes["baseline"]
    assert "require_grad" in notes["layerwise"]
    assert "batchnorm_sgd" in notes["batchnorm"]
    assert notes["weight_std_1"] == ""
    assert set(verdict.NOTES) <= set(notes)
    assert all(note.endswith(".") for note in notes.values() if note)


def test_an_unknown_name_is_refused_with_those_that_there_are():
    with pytest.raises(PresetError, match="only is controlled_skip; it must be one of baseline, "):
        verdict.judge(["controlled_skip"])


def test_only_missing_seeds_are_trained():
    for seed in (43, 45):
        measured("skip", [0.67] * 10, seed=seed)
    made = verdict.missing([claim("skip"), claim("baseline")], 5)
    assert [(one.preset, one.spec.seed, one.seeds) for one in made] == [
        ("skip", 42, 1),
        ("skip", 44, 1),
        ("skip", 46, 1),
        ("baseline", 42, 5),
    ]
    assert all(presets.matches(one.preset, one.spec) for one in made)


def test_what_waits_already_is_not_missing_and_is_waited_for():
    (group,) = contenders.start(verdict.missing([claim("skip")], 2))
    assert verdict.missing([claim("skip")], 2) == []
    assert verdict.on_their_way([claim("skip")], 2) == [f"{group}-s02", f"{group}-s01"]
    runs.send(f"{group}-s02", "stop")
    assert [one.spec.seed for one in verdict.missing([claim("skip")], 2)] == [43]


def test_a_run_whose_worker_is_gone_is_missing():
    run = measured("skip", [0.67] * 10, status=store.RUNNING)
    with store.Writer(runs.path(run)) as writer:
        writer.commit((2**22 - 1, 1.0, 17))  # a process that is not there
    assert len(verdict.missing([claim("skip")], 1)) == 1
