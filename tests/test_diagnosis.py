"""A diagnosis says what is wrong and nothing else: on made-up records, on real runs, at every step alike."""

import itertools
import json
import math
import time
from dataclasses import replace

import made_up
import numpy as np
import pytest
from typer.testing import CliRunner

from engine import data, evidence, runs, store, theory
from engine.__main__ import app
from engine.diagnosis import FINDINGS, diagnose
from engine.findings import (
    BAD,
    HEALTHY,
    SEVERITIES,
    WATCH,
    bound,
    percent,
    say,
)
from engine.numerals import number
from engine.prescriptions import PRESCRIPTIONS, prescribed
from engine.presets import PRESETS
from engine.recorder import Recorder
from engine.records import ROW, STATISTICS, EpochEnd, Event, Record, Steps
from engine.remedies import REMEDIES, active
from engine.run_info import DIVERGED, FINISHED, RUNNING
from engine.signs import SIGNS
from engine.spec import RunSpec, choices
from engine.steering import Change, as_json
from engine.trainer import prepare, set_up, train

DEPTH, LAYERS = 5, 6  # of these made-up runs: five hidden layers and the output layer
#: Statistics in which nothing is found.
WELL = {
    "grad_rms": 1e-3,
    "grad_norm": 1e-2,
    "delta_rms": 1e-3,
    "update_ratio": 1e-3,
    "saturated_share": 0.1,
    "dead_share": 0.02,
    "grad_zero_share": 0.1,
    "grad_nonfinite_share": 0.0,
    "sample_correlation": 0.6,
    "frozen": 0.0,
}


def spec(**fields):
    return RunSpec(**({"depth": DEPTH, "width": 64, "steps": 2000} | fields))


def record(step, *, layers=LAYERS, phase=1, absent=(), **rows):
    """A healthy record but for these statistics: a number for all layers, or one for each."""
    scalars = np.zeros((len(STATISTICS), layers))
    for name, value in {**WELL, **rows}.items():
        scalars[ROW[name]] = value
    scalars[:, [layer - 1 for layer in absent]] = np.nan
    return replace(made_up.record(step, np.ones(layers)), scalars=scalars, phase=phase)


def steps(last, loss=1.0, accuracy=0.7):
    """Batch losses up to a step: a number, or a function of the step."""
    at = np.arange(last + 1)
    told = np.array([loss(n) for n in at]) if callable(loss) else np.full(len(at), float(loss))
    return Steps(first=0, loss=told, accuracy=np.full(len(at), accuracy), seconds=1.0)


def known(records, *, losses=None, epochs=(), status=RUNNING, predicted=None, **fields):
    """The evidence in these records of a run of these fields."""
    asked = spec(**fields)
    course = evidence.Course(asked)
    course.add_steps([losses] if losses else [])
    course.add_records(records)
    for end in epochs:
        course.add_epoch(end)
    return course.evidence(asked, status=status, predicted=predicted)


def plain(count=40, **rows):
    """That many healthy records but for these statistics."""
    return [record(step, **rows) for step in range(count)]


def found(records, **more):
    return diagnose(known(records, **more))


def names(findings):
    return {finding.name for finding in findings}


def falling(ratio, layers=DEPTH):
    """dL/dz that falls by equal factors to `ratio` of itself in layer 1; the output layer last."""
    return [*(1e-3 * ratio ** np.linspace(1, 0, layers)), 1e-3]


def ends(losses):
    """Ends of epochs with these (train, validation) losses, and a record after the last."""
    return [
        replace(made_up.epoch_end(epoch, 10 * epoch), train_loss=a, validation_loss=b)
        for epoch, (a, b) in enumerate(losses, start=1)
    ]


GUESS = math.log(10)
#: Every finding on statistics made up for it: the evidence, its severity, what else comes with it.
CASES = {
    "diverged": (lambda: known(plain(), status=DIVERGED), BAD, set()),
    "underflow": (
        lambda: known(
            plain(
                delta_rms=[0, 0, 3e-36, 1e-20, 1e-3, 1e-3], grad_zero_share=[1, 0.9, 0.6, 0, 0, 0]
            )
        ),
        BAD,
        {"vanishing"},
    ),
    "vanishing": (lambda: known(plain(delta_rms=falling(1e-5))), BAD, set()),
    "exploding": (lambda: known(plain(delta_rms=falling(400))), BAD, set()),
    "unmoved": (lambda: known(plain(update_ratio=[1e-9, *[1e-3] * 5])), BAD, set()),
    "stuck": (lambda: known(plain(300), losses=steps(299, GUESS, 0.1)), BAD, set()),
    "update_too_large": (lambda: known(plain(update_ratio=[0.05, *[1e-3] * 5])), WATCH, set()),
    "saturated": (lambda: known(plain(saturated_share=[0.1, 0.7, *[0.1] * 4])), WATCH, set()),
    "dead": (
        lambda: known(plain(dead_share=[0, 0.6, *[0] * 4]), activation="relu"),
        WATCH,
        set(),
    ),
    "below_epsilon": (
        lambda: known(plain(grad_rms=[4e-9, *[1e-3] * 5]), optimizer="adam"),
        WATCH,
        set(),
    ),
    "collapsed": (
        lambda: known(
            plain(sample_correlation=[*[0.6] * 4, 0.999, 0.6], dead_share=[*[0] * 4, 0.49, 0]),
            activation="relu",
        ),
        WATCH,
        set(),
    ),
    "overfitting": (
        lambda: known(plain(90), epochs=ends([(1, 1), (0.5, 0.6), *[(0.1, 0.9)] * 4])),
        WATCH,
        set(),
    ),
    "batch_dependent": (lambda: known(plain(), norm="tensor"), WATCH, set()),
    "nothing_frozen": (lambda: known(plain(), schedule="layerwise_published"), WATCH, set()),
    "woke_up": (
        lambda: known(
            [record(n, update_ratio=1e-5 if n < 250 else 1e-3) for n in range(0, 640, 2)],
            losses=steps(640, lambda n: GUESS if n < 256 else 1.5, 0.1),
        ),
        HEALTHY,
        {"healthy"},
    ),
    "healthy": (lambda: known(plain()), HEALTHY, set()),
}


@pytest.mark.parametrize("name", FINDINGS)
def test_made_up_statistics_give_the_finding_that_was_made_up_and_no_other(name):
    case, severity, besides = CASES[name]
    findings = diagnose(case())
    assert names(findings) == {name} | besides
    (finding,) = [one for one in findings if one.name == name]
    assert finding.severity == severity


@pytest.mark.parametrize("name", FINDINGS)
def test_a_sentence_holds_every_number_of_its_finding(name):
    for finding in diagnose(CASES[name][0]()):
        for what, value in finding.numbers.items():
            forms = (say(value), bound(value), percent(value), number(value), f"{value:.4f}")
            told = [form for form in (*forms, f"{value:,.0f}") if form in finding.sentence]
            assert told, f"{finding.name} does not say its {what}, {value}: {finding.sentence}"
        assert finding.sentence.endswith(".")
        assert finding.source
        assert finding.threshold
        assert len(finding.short) < 70


@pytest.mark.parametrize("name", FINDINGS)
def test_what_to_press_exists_changes_the_run_and_says_why(name):
    """For every finding, activation and remedy that is on: nothing is offered twice or in vain."""
    for activation in choices("activation"):
        for on in REMEDIES.values():
            now = on.apply(spec(activation=activation, depth=7))
            remedy, why = prescribed(name, now)
            if not remedy:
                continue
            assert why
            assert remedy not in active(now)
            assert REMEDIES[remedy].apply(now) != now
            assert remedy in active(REMEDIES[remedy].apply(now))


def test_every_finding_has_its_prescription_and_names_only_remedies_there_are():
    assert PRESCRIPTIONS.keys() == FINDINGS.keys()
    offered = {choice.remedy for choices, _ in PRESCRIPTIONS.values() for choice in choices}
    assert offered <= REMEDIES.keys()
    assert len(offered) > 5


def test_a_remedy_that_cannot_be_is_not_offered():
    assert prescribed("vanishing", spec(norm="layer"))[0] == "skip_every"
    shallow = spec(norm="layer", depth=2)
    assert prescribed("vanishing", shallow)[0] == "gradient_norm", "2 layers have no room for skips"


def test_a_stuck_loss_is_helped_by_what_helps_against_its_cause():
    assert prescribed("stuck", spec())[0] == "better_optimizer"
    assert prescribed("stuck", spec(optimizer="adam"), frozenset({"vanishing"}))[0] == "batchnorm"
    assert prescribed("stuck", spec(), frozenset({"update_too_large"}))[0] == "gradient_clipping"


# -- what the numbers mean -------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [0.1, 0.142, 3.0])
def test_the_factor_per_layer_is_that_by_which_the_signal_was_made_to_shrink(factor):
    (finding,) = found(plain(delta_rms=falling(factor ** (DEPTH - 1))))
    assert finding.numbers["factor"] == pytest.approx(factor)
    assert f"×{number(factor)} per layer" in finding.sentence


def test_the_weights_gradient_alone_says_nothing_of_vanishing():
    """tanh's dL/dz shrinks 30 times over 7 layers while dL/dW does not, and the other way round."""
    by_weights = plain(grad_norm=falling(1e-9), grad_rms=falling(1e-9))
    assert names(found(by_weights)) == {"healthy"}
    (finding,) = found(plain(delta_rms=falling(0.03)), activation="tanh")
    assert (finding.name, finding.severity) == ("vanishing", WATCH)
    assert "fades" in finding.sentence


def test_whether_a_small_gradient_is_bad_is_said_of_the_optimizer():
    """Adam trained a GELU network of 7 layers with R of 10^-3.2; SGD did not."""
    small = plain(delta_rms=falling(1e-5))
    assert [f.severity for f in found(small)] == [BAD]
    (with_adam,) = found(small, optimizer="adam")
    assert with_adam.severity == WATCH
    assert "may train all the same" in with_adam.sentence
    for optimizer in choices("optimizer"):
        (unmoved,) = found(plain(update_ratio=1e-9), optimizer=optimizer)
        assert unmoved.name == "unmoved"
        assert "network cannot" not in unmoved.sentence
    (of_sgd,) = found(plain(update_ratio=[1e-9, *[1e-3] * 5]))
    assert of_sgd.sentence.startswith("Plain SGD will not move layer 1:")


def test_moving_a_layer_by_a_hundredth_takes_as_many_steps_as_adding_them_up():
    weight, moved, update = 1.0, 0, 3e-5
    while weight < 1.01:
        weight, moved = weight + update, moved + 1
    (finding,) = found(plain(update_ratio=[update, *[1e-3] * 5]))
    assert finding.numbers["steps"] == pytest.approx(moved, rel=0.01)
    per_epoch = spec().steps_per_epoch
    assert finding.numbers["epochs"] == pytest.approx(moved / per_epoch, rel=0.01)
    assert finding.sentence.startswith("Plain SGD hardly moves layer 1: it"), "2,000 steps move it"


def test_a_layer_that_moved_is_not_unmoved_when_the_loss_is_small():
    updates = [record(n, update_ratio=1e-3 if n < 100 else 1e-6) for n in range(200)]
    assert names(found(updates, losses=steps(199, 0.2))) == {"healthy"}
    assert names(found(updates, losses=steps(199, 2.2, 0.3))) == {"unmoved"}


def test_the_theory_stands_beside_the_measurement_where_it_is_valid():
    nothing = np.full(LAYERS, np.nan)
    expected = theory.Prediction(
        log10_delta_rms=nothing,
        log10_grad_norm=nothing,
        log10_grad_rms=nothing,
        delta_band=nothing,
        grad_band=nothing,
        preactivation_variance=nothing,
        correlation_same=nothing,
        correlation_different=nothing,
        saturated_share=np.full(LAYERS, 0.58),
        active_units=64.0,
        factor=0.141,
        ratio=8e-6,
        fault="",
    )
    shrunk = plain(delta_rms=falling(8.1e-6), saturated_share=0.6)
    both = found(shrunk, predicted=expected)
    assert "(theory at step 0: ×0.141)" in both[0].sentence
    assert "(theory at step 0: 58 %)" in both[1].sentence
    for silent in (
        found(shrunk, predicted=replace(expected, fault="Fewer than 6 units.")),
        found([replace(one, phase=2) for one in shrunk], predicted=expected),
    ):
        assert all("theory" not in finding.sentence for finding in silent)


def test_adams_first_steps_are_no_alarm_and_later_ones_are():
    assert names(found(plain(9, update_ratio=0.05), optimizer="adam")) == {"healthy"}
    assert names(found(plain(30, update_ratio=0.05), optimizer="adam")) == {"update_too_large"}


@pytest.mark.parametrize("optimizer", choices("optimizer"))
def test_only_optimizers_that_divide_by_an_epsilon_are_cut_by_it(optimizer):
    tiny = found(plain(grad_rms=[1e-12, *[1e-3] * 5]), optimizer=optimizer)
    is_cut = optimizer in ("adam", "adamw", "rmsprop")
    assert names(tiny) == ({"below_epsilon"} if is_cut else {"healthy"})
    if is_cut:
        assert tiny[0].numbers["cut"] == pytest.approx(1e-12 / (1e-12 + 1e-8))
        assert tiny[0].severity == BAD


def test_half_of_a_relu_is_dead_where_all_examples_look_alike_and_that_is_told_once():
    rows = {"dead_share": [*[0] * 4, 0.54, 0], "sample_correlation": [*[0.6] * 4, 0.9995, 0.6]}
    (finding,) = found(plain(**rows), activation="relu")
    assert finding.name == "collapsed"
    assert "54 % of units" in finding.sentence
    rows["sample_correlation"] = 0.6
    (finding,) = found(plain(**rows), activation="relu")
    assert finding.name == "dead"
    assert "no collapse" in finding.sentence
    rows |= {"sample_correlation": 0.9995, "dead_share": 1.0}  # more than likeness explains
    assert {"dead", "collapsed"} <= names(found(plain(**rows), activation="relu"))


def test_zeros_that_a_relu_or_an_empty_pixel_makes_are_no_underflow():
    natural = plain(grad_zero_share=[0.9, *[0.7] * 5])
    assert names(found(natural, activation="relu")) == {"healthy"}
    dead_above = plain(delta_rms=[0, 0, 0, 1e-3, 1e-3, 1e-3], grad_zero_share=[1, 1, 1, 0, 0, 0])
    assert "underflow" not in names(found(dead_above, activation="relu"))


def test_flat_on_one_side_by_design_is_not_saturated():
    for activation in choices("activation"):
        half_off = found(plain(saturated_share=0.6), activation=activation)
        two_sided = activation in ("sigmoid", "tanh")
        assert ("saturated" in names(half_off)) == two_sided, activation


def test_a_loss_on_its_way_past_that_of_guessing_is_not_stuck_there():
    passing = steps(299, lambda n: 5.0 * math.exp(-n / 100), 0.5)
    assert "stuck" not in names(found(plain(300), losses=passing))


def test_the_plateau_that_ended_is_told_with_its_steps_and_the_last_layer_that_woke():
    late = [*[1e-3] * 3, 1e-5, *[1e-3] * 2]
    records = [record(n, update_ratio=late if n < 400 else 1e-3) for n in range(0, 640, 8)]
    losses = steps(640, lambda n: GUESS if n < 320 else 1.2, 0.1)
    woke = next(f for f in found(records, losses=losses) if f.name == "woke_up")
    assert (woke.numbers["start"], woke.numbers["end"]) == (0, 320)
    assert "layer 4" in woke.sentence
    assert "step 400" in woke.sentence


def test_a_validation_loss_that_rises_while_the_train_loss_rises_too_is_no_overfitting():
    worse = [(1, 1), (0.5, 0.6), *[(2, 2)] * 4]
    assert names(found(plain(90), epochs=ends(worse))) == {"healthy"}
    new_phase = [replace(end, phase=2) for end in ends([*[(0.1, 0.9)] * 6])]
    assert names(found(plain(90), epochs=[*ends([(1, 0.5)]), *new_phase])) == {"healthy"}


# -- runs of every kind ----------------------------------------------------------------------------


def test_a_run_without_a_record_has_nothing_to_diagnose():
    assert found([]) == []
    (ended,) = found([], status=DIVERGED)
    assert (ended.name, ended.severity) == ("diverged", BAD)


def test_the_most_severe_comes_first():
    rows = {"delta_rms": falling(1e-6), "saturated_share": 0.7, "sample_correlation": 0.999}
    severities = [SEVERITIES.index(f.severity) for f in found(plain(**rows), norm="tensor")]
    assert severities == sorted(severities)
    assert set(severities) == {0, 1}


def test_a_frozen_layer_is_none_that_sgd_will_not_move():
    frozen = [1, 1, 0, 0, 0, 0]
    still = [0, 0, *[1e-3] * 4]
    hidden = [np.nan, np.nan, *[1e-3] * 4]
    rows = {"frozen": frozen, "update_ratio": still, "delta_rms": hidden, "grad_rms": hidden}
    assert names(found(plain(**rows))) == {"healthy"}
    rows["frozen"] = [1, 0, 0, 0, 0, 0]
    assert names(found(plain(**rows))) == {"unmoved"}


def test_the_signal_is_followed_through_the_layers_that_are_trained():
    rows = {"delta_rms": [np.nan, np.nan, 1e-9, 1e-3, 1e-3, 1e-3], "frozen": [1, 1, 0, 0, 0, 0]}
    (finding,) = found(plain(**rows))
    assert finding.layers == (3,)
    assert "layer 3 is 1.0·10⁻⁶ of layer 5's" in finding.sentence


def test_layers_that_a_phase_has_not_are_not_missed():
    few = [record(n, absent=(3, 4, 5), delta_rms=[1e-9, *[1e-3] * 5]) for n in range(40)]
    (finding,) = found(few)
    assert "of layer 2's" in finding.sentence
    all_of_them = [record(40 + n, phase=2) for n in range(1)]
    assert names(found([*few, *all_of_them])) == {"healthy"}, "a new phase is another network"


def test_a_single_hidden_layer_has_no_ratio():
    alone = [record(n, layers=2) for n in range(40)]
    (finding,) = found(alone, depth=1)
    assert finding.name == "healthy"
    assert "ratio" not in finding.numbers


@pytest.mark.parametrize("value", [np.nan, np.inf, 0.0])
@pytest.mark.parametrize("name", STATISTICS)
def test_no_statistic_breaks_it_whatever_its_value(name, value):
    broken = [record(n, **{name: [value, *[WELL.get(name, 0.5)] * 5]}) for n in range(20)]
    for finding in found(broken):
        assert finding.sentence


def test_a_gradient_that_is_not_finite_is_told_while_the_run_goes_on():
    rows = {"grad_nonfinite_share": [0, 0.25, 0, 0, 0, 0], "grad_rms": [1e-3, np.nan, *[1e-3] * 4]}
    first = found(plain(**rows))[0]
    assert first.name == "diverged"
    assert "25 % of the entries of layer 2" in first.sentence


def test_records_from_before_there_was_a_correlation_are_diagnosed_without_it():
    assert names(found(plain(sample_correlation=np.nan))) == {"healthy"}


# -- steadiness ------------------------------------------------------------------------------------


def told_live(records, asked):
    """The findings' names and severities after each record, as a viewer of the live run is told."""
    course, told = evidence.Course(asked), []
    for one in records:
        course.add_records([one])
        findings = diagnose(course.evidence(asked, status=RUNNING))
        told.append([(finding.name, finding.severity, finding.layers) for finding in findings])
    return told


def changes(told):
    return sum(a != b for a, b in itertools.pairwise(told))


@pytest.mark.parametrize(
    ("name", "limit", "noise"),
    [
        ("delta_rms", 1e-3, 0.12),
        ("delta_rms", 0.05, 0.12),
        ("update_ratio", 6e-5, 0.08),
        ("saturated_share", 0.5, 0.03),
        ("dead_share", 0.5, 0.012),
    ],
)
def test_a_run_that_hovers_about_a_threshold_seldom_changes_its_finding(name, limit, noise):
    rng = np.random.default_rng(5)
    level = limit * 10 ** (noise * rng.standard_normal(250))
    if name.endswith("share"):
        level = limit + noise * rng.standard_normal(250)
    base = 1.0 if name == "delta_rms" else WELL[name]
    records = [record(n, **{name: [value, *[base] * 5]}) for n, value in enumerate(level)]
    asked = spec(activation="relu" if name == "dead_share" else "sigmoid")
    crossings = changes([value > limit for value in level])
    assert crossings > 60
    assert changes(told_live(records, asked)) <= 6


def test_a_finding_that_is_clearly_past_its_threshold_comes_within_three_records():
    records = [*plain(50), *[record(50 + n, delta_rms=falling(1e-6)) for n in range(3)]]
    told = told_live(records, spec())
    assert [one[0][0] for one in told[-4:]] == ["healthy", "healthy", "healthy", "vanishing"]


def test_a_replay_says_at_every_step_what_was_said_live(tmp_path):
    """Read from the file up to a step, it is what a viewer was told when that step was the newest."""
    rng = np.random.default_rng(3)
    levels = 1e-3 * 10 ** (0.3 * rng.standard_normal(45))
    records = [record(16 * n, delta_rms=falling(ratio)) for n, ratio in enumerate(levels)]
    losses = steps(720, lambda n: GUESS if n < 400 else 1.0, 0.1)
    epochs = [made_up.epoch_end(n, 25 * n) for n in range(1, 28)]
    asked = spec()
    file = tmp_path / "a.sqlite"
    store.create(file, title="Made up", spec=asked)
    change = Change(kind="set", fields={"norm": "tensor"})
    event = Event(step=320, kind="change", words="norm", change=as_json(change))
    with store.Writer(file) as writer:
        for item in (losses, *records, *epochs, event):
            writer.add(item)
        writer.update(status=FINISHED, now=asked.changed(change.fields).model_dump_json())
        writer.commit((1, 1.0, 721))
    course, live = evidence.Course(asked), {}
    course.add_steps([losses])
    waiting = list(epochs)
    for one in records:
        while waiting and waiting[0].step <= one.step:
            course.add_epoch(waiting.pop(0))
        course.add_records([one])
        stands = asked if one.step < 320 else asked.changed(change.fields)
        live[one.step] = diagnose(course.evidence(stands, status=RUNNING))
    with store.Reader(file) as reader:
        info = reader.run()
        for step, told in live.items():
            assert diagnose(evidence.read(reader, info, until=step)) == told
    assert len({tuple(names(told)) for told in live.values()}) > 3


def test_read_at_once_or_record_by_record_it_is_the_same():
    rng = np.random.default_rng(1)
    records = [
        record(n, phase=1 + n // 280, update_ratio=10 ** rng.uniform(-6, -1, LAYERS))
        for n in range(560)
    ]
    asked = spec(schedule="layerwise_intended")
    whole, parts = evidence.Course(asked), evidence.Course(asked)
    whole.add_records(records)
    for one in records:
        parts.add_records([one])
    a, b = (course.evidence(asked, status=RUNNING) for course in (whole, parts))
    for name in SIGNS:
        assert np.array_equal(a.signs[name], b.signs[name], equal_nan=True)
        assert (a.levels[name] == b.levels[name]).all()
    assert diagnose(a) == diagnose(b)


def test_it_costs_less_than_a_thousandth_of_a_second_per_record():
    """Of processor time, of the best of several tries: other work on the machine does not count."""
    course, asked, tries = evidence.Course(spec()), spec(), []
    for one in plain(60, delta_rms=falling(1e-6), saturated_share=0.7):
        begun = time.process_time()
        course.add_records([one])
        diagnose(course.evidence(asked, status=RUNNING))
        tries.append(time.process_time() - begun)
    assert min(tries) < 1e-3


# -- real runs -------------------------------------------------------------------------------------

#: The published presets after 14 steps on digits; layer by layer, after 14 in each of seven phases.
EXPECTED = {
    "baseline": {"vanishing", "unmoved", "collapsed"},
    "weight_std_1": {"saturated"},
    "weight_std_10": {"exploding", "unmoved", "saturated"},
    "better_activation": {"vanishing", "unmoved"},
    "better_optimizer": {"vanishing", "below_epsilon", "collapsed"},
    "batchnorm": {"healthy"},
    "custom_norm": {"vanishing", "unmoved", "collapsed", "batch_dependent"},
    "skip": {"unmoved", "collapsed"},
    "layerwise": {"vanishing", "unmoved", "collapsed", "nothing_frozen"},
    "gradient_norm": {"update_too_large", "collapsed"},
}


@pytest.fixture(scope="module")
def published():
    """What is found in each published preset, name -> findings."""
    told = {}
    for name, preset in PRESETS.items():
        if preset.kind != "published":
            continue
        asked = preset.spec(steps=14, device="cpu")
        items = []
        run = prepare(asked, *data.load(asked), set_up(asked))
        train(run, Recorder(asked, items.append))
        course = evidence.Course(asked)
        course.add_steps([item for item in items if isinstance(item, Steps)])
        course.add_records([item for item in items if isinstance(item, Record)])
        for end in (item for item in items if isinstance(item, EpochEnd)):
            course.add_epoch(end)
        told[name] = diagnose(course.evidence(asked, status=FINISHED))
    return told


@pytest.mark.parametrize("name", EXPECTED)
def test_a_published_preset_has_the_findings_it_is_known_for(name, published):
    assert published.keys() == EXPECTED.keys()
    assert names(published[name]) == EXPECTED[name]


# -- from the shell --------------------------------------------------------------------------------


def shell(*arguments):
    return CliRunner().invoke(app, ["show", *arguments, "--diagnosis"])


@pytest.fixture
def vanishing_run():
    """A run of the library whose gradient vanishes; its id."""
    run = runs.create(spec())
    with store.Writer(runs.path(run)) as writer:
        for one in plain(20, delta_rms=falling(1e-5)):
            writer.add(one)
        writer.update(status=FINISHED)
        writer.commit((1, 1.0, 20))
    return run


def test_the_shell_prints_an_object_per_finding_with_its_numbers(vanishing_run):
    done = shell(vanishing_run, "--json")
    assert done.exit_code == 0
    (told,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert told["name"] == "vanishing"
    assert told["severity"] == BAD
    assert told["numbers"]["ratio"] == pytest.approx(1e-5)
    assert told["remedy"] in REMEDIES
    assert told["layers"] == [1]
    assert told["threshold"] == FINDINGS["vanishing"].threshold


def test_the_shell_tells_a_person_the_sentence_the_source_and_what_to_press(vanishing_run):
    told = shell(vanishing_run).stdout
    assert "bad The gradient vanishes: dL/dz in layer 1" in told
    assert "arXiv:1611.01232" in told
    assert "Switch on BatchNorm: it keeps" in told


def test_a_run_that_has_recorded_nothing_is_told_so_and_an_unknown_one_is_refused():
    assert "Nothing is recorded yet" in shell(runs.create(spec())).stdout
    refused = shell("20200101-000000-abcd")
    assert refused.exit_code == 2
    assert "20200101-000000-abcd" in refused.output
