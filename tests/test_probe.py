"""What the probe measures: to the bit a run's own first record, and by hand the chain rule."""

import math

import numpy as np
import pytest
import torch
from trained import small, trained

from engine import probe, runs, slow_motion, store
from engine.network import ACTIVATIONS, NORMS
from engine.records import ROW
from engine.spec import RunSpec

SMALL = {"depth": 3, "width": 12, "subset": 200, "batch_size": 20}
#: Nets with everything that may stand between two layers.
BETWEEN = {
    "plain": {},
    "layer norm before": {"norm": "layer"},
    "batch norm after": {"norm": "batch", "norm_position": "after"},
    "skips": {"skip": "every", "skip_every": 1},
    "rule": {"gradient_rule": "unit_rms"},
    "rule, norm after, skips": {
        "gradient_rule": "standardise",
        "norm": "rms",
        "norm_position": "after",
        "skip": "published",
    },
    "layer by layer": {"schedule": "layerwise_intended"},
    "one layer": {"depth": 1},
}


def asked(kind, spec, **more):
    """All answers to a request, through the desk, without the id."""
    said = []
    desk = probe.Desk(said.append)
    desk.take({"id": 1, "kind": kind, "spec": spec} | more)
    while desk.jobs:
        desk.work()
    assert said.pop() == {"id": 1, "done": True}
    return said


@pytest.fixture(scope="module", autouse=True)
def flushing():
    """Runs flush subnormals; the tests after these may not."""
    yield
    torch.set_flush_denormal(False)


@pytest.mark.parametrize("name", BETWEEN)
def test_a_measured_seed_is_the_step_0_record_of_that_run_to_the_bit(name):
    spec = small(seed=2, steps=1, **BETWEEN[name])
    with store.Reader(runs.path(trained(spec))) as reader:
        record = reader.record(0)
    second = asked("seeds", spec.changed({"seed": 42}).model_dump(), count=2)[1]
    assert second["seed"] == 2
    for statistic in probe.FROM_RECORD:
        wanted = record.scalars[ROW[statistic]]
        assert np.array_equal(second[statistic], wanted, equal_nan=True), statistic


def test_the_kernel_is_that_of_the_run_s_first_batch():
    spec = small(seed=5, steps=1, norm="batch")
    run = trained(spec)
    (told,) = asked("kernel", spec.model_dump())
    with store.Reader(runs.path(run)) as reader:
        kept = reader.kernel()
    for name in ("batch_size", "same_share", "variance", "same", "different"):
        assert told["kernel"][name] == getattr(kept, name), name
    _, inputs, labels = probe.first_batch(spec)
    pairs = (inputs.double() @ inputs.double().T / inputs.shape[1]).numpy()
    same = (labels[:, None] == labels[None]).numpy() & ~np.eye(20, dtype=bool)
    assert told["kernel"]["variance"] == pytest.approx(np.trace(pairs) / 20)
    assert told["kernel"]["same"] == pytest.approx(pairs[same].mean())


def test_the_kernel_of_fashion_mnist_fits_its_published_mean_and_deviation(fashion_mnist):
    """0.2860 and 0.3530 over all pixels, as everybody normalises by them."""
    (told,) = asked("kernel", {"data": "fashion_mnist"})
    kernel = told["kernel"]
    assert kernel["batch_size"] == 512
    assert kernel["variance"] == pytest.approx(0.2860**2 + 0.3530**2, rel=0.1)
    assert 0.2860**2 < kernel["different"] < kernel["same"] < kernel["variance"]


def by_hand(network, inputs, labels):
    """The chain rule of a plain sigmoid network in float64 numpy: dL/dz and dL/dh by layer."""
    weights = [layer.weight.detach().double().numpy() for layer in layers(network)]
    biases = [layer.bias.detach().double().numpy() for layer in layers(network)]
    h = [inputs.double().numpy()]
    for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
        h.append(1 / (1 + np.exp(-(h[-1] @ weight.T + bias))))
    logits = h[-1] @ weights[-1].T + biases[-1]
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    delta = (shares - np.eye(10)[labels.numpy()]) / len(labels)
    deltas, signals = [delta], [delta]
    for weight, out in zip(weights[:0:-1], h[:0:-1], strict=True):
        signals.append(deltas[-1] @ weight)
        deltas.append(signals[-1] * out * (1 - out))
    loss = -np.log(shares[np.arange(len(labels)), labels.numpy()]).mean()
    slopes = [np.ones(1), *(out * (1 - out) for out in h[:0:-1])]
    return loss, signals, slopes, deltas, weights[::-1]


def layers(network):
    return [network.layer(number) for number in network.layers_in_use()]


def rms(x):
    return math.sqrt(np.mean(np.square(x)))


def test_the_backward_pass_in_slow_motion_is_the_chain_rule():
    spec = RunSpec(**SMALL | {"depth": 5})
    loss, signals, slopes, deltas, weights = by_hand(*probe.first_batch(spec))
    (told,) = asked("backward", spec.model_dump())
    assert told["loss"] == pytest.approx(loss, rel=1e-6)
    assert [row["layer"] for row in told["layers"]] == [6, 5, 4, 3, 2, 1]
    for place, row in enumerate(told["layers"]):
        assert row["signal_rms"] == pytest.approx(rms(signals[place]), rel=1e-5)
        assert row["slope_rms"] == pytest.approx(rms(slopes[place]), rel=1e-5)
        assert row["delta_rms"] == pytest.approx(rms(deltas[place]), rel=1e-5)
        assert row["weight_rms"] == pytest.approx(rms(weights[place]), rel=1e-6)
        below = rms(deltas[place] @ weights[place])
        assert row["weight_gain"] == pytest.approx(below / rms(deltas[place]), rel=1e-5)
        assert "norm_gain" not in row


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_slope_is_that_of_a_small_difference(activation):
    spec = RunSpec(**SMALL | {"activation": activation, "depth": 1, "init": "normal", "std": 0.5})
    network, inputs, _ = probe.first_batch(spec)
    z = network.hidden[0].linear(inputs).detach().double()
    activate, step = ACTIVATIONS[activation](), 1e-6
    slope = (activate(z + step) - activate(z - step)) / (2 * step)
    (told,) = asked("backward", spec.model_dump())
    assert told["layers"][1]["slope_rms"] == pytest.approx(rms(slope.numpy()), rel=1e-4)


@pytest.mark.parametrize("name", BETWEEN)
def test_the_factors_of_the_slow_motion_multiply_to_the_gradient(name):
    spec = RunSpec(**SMALL | BETWEEN[name])
    (told,) = asked("backward", spec.model_dump())
    (measured,) = asked("seeds", spec.model_dump() | {"seed": 1}, count=1)
    (first,) = asked("backward", spec.model_dump() | {"seed": 1})
    for above, row in zip([None, *told["layers"]], told["layers"], strict=False):
        gains = [row["slope_gain"], row.get("norm_gain", 1.0), row.get("rule_gain", 1.0)]
        assert row["signal_rms"] * math.prod(gains) == pytest.approx(row["delta_rms"], rel=1e-9)
        if above:
            assert row["signal_rms"] == pytest.approx(above["weight_gain"] * above["delta_rms"])
            assert row["factor"] == pytest.approx(row["delta_rms"] / above["delta_rms"])
    has = {"norm_gain": spec.norm != "none", "rule_gain": spec.gradient_rule != "none"}
    for gain, there in has.items():
        assert all((gain in row) == there for row in told["layers"][1:])
    for row in first["layers"]:
        assert row["delta_rms"] == pytest.approx(measured["delta_rms"][row["layer"] - 1], rel=1e-12)


@pytest.mark.parametrize("norm", NORMS)
def test_the_gain_of_a_norm_is_told_wherever_it_stands(norm):
    for position in ("before", "after"):
        spec = RunSpec(**SMALL | {"norm": norm, "norm_position": position})
        (told,) = asked("backward", spec.model_dump())
        assert all(math.isfinite(row["norm_gain"]) for row in told["layers"][1:])


def test_where_float32_underflows_the_measurement_goes_on_in_float64():
    spec = RunSpec(**SMALL | {"depth": 60})
    (told,) = asked("seeds", spec.model_dump(), count=1)
    assert told["delta_rms"][0] == 0, "as a run records it"
    log = np.log10(told["double"]["delta_rms"])
    assert log[0] < -45
    assert np.ptp(np.diff(log)[:-1]) < 0.5, "the same factor from layer to layer, to the bottom"
    (slow,) = asked("backward", spec.model_dump() | {"seed": 1})
    assert slow["precision"] == "float64"
    assert np.log10(slow["layers"][-1]["delta_rms"]) == pytest.approx(log[0], abs=1e-6)
    whole = RunSpec(**SMALL)
    assert "double" not in asked("seeds", whole.model_dump(), count=1)[0]
    assert asked("backward", whole.model_dump())[0]["precision"] == "float32"


def test_an_overflowing_network_is_measured_in_float64():
    spec = {"activation": "relu", "init": "normal", "std": 100.0, "depth": 30, "width": 64}
    (told,) = asked("seeds", SMALL | spec, count=1)
    assert not math.isfinite(told["loss"])
    assert all(map(math.isfinite, told["double"]["delta_rms"]))


def test_moments_of_the_signal_are_those_of_all_pairs():
    spec = RunSpec(**SMALL | {"seed": 1})
    network, inputs, _ = probe.first_batch(spec)
    (told,) = asked("seeds", spec.model_dump(), count=1)
    z = network.hidden[0].linear(inputs).detach().double().numpy()
    pairs = z @ z.T / z.shape[1]
    different = pairs[~np.eye(len(z), dtype=bool)]
    assert told["preactivation_square"][0] == pytest.approx(np.trace(pairs) / len(z))
    assert told["preactivation_pair"][0] == pytest.approx(different.mean())


@pytest.mark.parametrize(
    ("data", "shape"), [("digits", (6, 8, 8)), ("moons", (6, 1, 2)), ("spirals", (6, 1, 2))]
)
def test_examples_come_as_rows_of_pixels_with_their_labels(data, shape):
    spec = RunSpec(data=data, depth=1, width=4)
    (told,) = asked("backward", spec.model_dump())
    assert np.shape(told["examples"]) == shape
    _, inputs, labels = probe.first_batch(spec)
    assert np.allclose(np.reshape(told["examples"], (6, -1)), inputs[:6], atol=5e-4)
    assert told["labels"] == labels[:6].tolist()
    assert told["batch_size"] == len(labels)


def refused(request):
    said = []
    probe.Desk(said.append).take({"id": 3} | request)
    (answer,) = said
    assert answer["done"]
    assert answer["id"] == 3
    return answer["error"]


def test_what_cannot_be_measured_is_one_sentence():
    assert refused({"kind": "dance"}).startswith("kind is dance; it must be one of kernel,")
    assert "depth is 0" in refused({"kind": "kernel", "spec": {"depth": 0}})
    assert "has no spec" in refused({"kind": "backward"})
    assert "CIFAR-10 is not on this machine" in refused(
        {"kind": "kernel", "spec": {"data": "cifar10"}}
    )
    wide = {"width": 2048, "depth": 100}
    assert "up to 8,000,000 are measured" in refused({"kind": "backward", "spec": wide})


def test_long_requests_take_turns_and_one_can_be_cancelled():
    said = []
    desk = probe.Desk(said.append)
    for number in (1, 2):
        desk.take({"id": number, "kind": "seeds", "spec": SMALL, "count": 3})
    desk.work(), desk.work()
    desk.take({"id": 3, "kind": "kernel", "spec": SMALL})
    desk.take({"id": 1, "kind": "cancel"})
    while desk.jobs:
        desk.work()
    assert [(one["id"], one.get("seed")) for one in said if "done" not in one] == [
        *((1, 1), (2, 1), (3, None), (2, 2), (2, 3))
    ]


def test_a_defect_is_told_and_the_next_request_answered(monkeypatch):
    def broken(*_):
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(slow_motion, "backward", broken)
    assert refused({"kind": "backward", "spec": SMALL}) == (
        "The measurement failed: ZeroDivisionError: by nothing."
    )
    assert asked("kernel", SMALL)


def test_measuring_ends_in_time_with_the_seeds_there_are(monkeypatch):
    monkeypatch.setattr(probe, "SECONDS", 0.0)
    lines = asked("seeds", SMALL, count=30)
    assert [line.get("seed") for line in lines] == [1, None]
    assert lines[-1] == {"id": 1, "stopped": "after 0 s"}
