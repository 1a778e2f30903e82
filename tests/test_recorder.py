"""Recording: on schedule, right to the last digit, and without a trace in the run."""

import time

import numpy as np
import pytest
import torch
from torch.nn import functional

from engine import data
from engine.measures import OnHost
from engine.network import ACTIVATIONS
from engine.recorder import Recorder, epoch_is_recorded, is_recorded, phase_words
from engine.records import (
    GRADIENT_COLUMNS,
    LINEAR_BINS,
    ROW,
    STATISTICS,
    EpochEnd,
    Event,
    Record,
    Steps,
)
from engine.spec import RunSpec, choices
from engine.trainer import Silent, prepare, train

CPU = torch.device("cpu")
TINY = {"width": 6, "depth": 4, "batch_size": 32, "subset": 100, "steps": 3, "device": "cpu"}


def prepared(spec):
    return prepare(spec, *data.load(spec), CPU)


def recorded(spec):
    items = []
    run = prepared(spec)
    train(run, Recorder(spec, items.append))
    return run, items


def records(items):
    return [item for item in items if isinstance(item, Record)]


# -- what is recorded -------------------------------------------------------------------------


NORM_BY_HAND = {
    "none": lambda z: z,
    "batch": lambda z: functional.batch_norm(z, None, None, training=True),
    "tensor": lambda z: (z - z.mean()) / z.std(),
    "layer": lambda z: functional.layer_norm(z, z.shape[1:]),
    "rms": lambda z: functional.rms_norm(z, z.shape[1:]),
}
BACKWARD_BY_HAND = {
    "standardise": lambda g: (g - g.mean()) / (g.std() + 1e-6),
    "unit_rms": lambda g: (g / g.abs().max()) / (g / g.abs().max()).square().mean().sqrt(),
}


def by_hand(spec):
    """The first step's tensors, from plain functions: per layer z, input and output of phi, dW, dz."""
    run = prepared(spec)
    index = next(iter(data_batches(run, spec)))
    inputs, labels = run.data.train.inputs[index], run.data.train.labels[index]
    phi, norm = ACTIVATIONS[spec.activation](), NORM_BY_HAND[spec.norm]
    outputs, found = [inputs], []
    for number in range(1, spec.depth + 1):
        layer = run.network.layer(number)
        z = functional.linear(outputs[-1], layer.weight, layer.bias)
        before = norm(z) if spec.norm_position == "before" else z
        h = after = phi(before)
        if spec.gradient_rule in BACKWARD_BY_HAND:
            h = h * 1  # a tensor of its own to hook, so that `after` keeps its gradient
            h.register_hook(BACKWARD_BY_HAND[spec.gradient_rule])
        if spec.norm_position == "after":
            h = norm(h)
        if number in spec.skips:
            h = h + outputs[spec.skips[number]]
        outputs.append(h)
        found.append((layer.weight, z, before, after))
    out = run.network.output
    logits = functional.linear(outputs[-1], out.weight, out.bias)
    found.append((out.weight, logits, logits, logits))
    loss = functional.cross_entropy(logits, labels)
    wanted = [t for weight, z, _, _ in found for t in (weight, z)]
    gradients = torch.autograd.grad(loss, wanted)
    pairs = zip(gradients[::2], gradients[1::2], strict=True)
    return [
        tuple(t.detach().double().numpy() for t in (*one, dw, dz))
        for one, (dw, dz) in zip(found, pairs, strict=True)
    ]


def data_batches(run, spec):
    loader = torch.utils.data.DataLoader(
        range(len(run.data.train)), batch_size=spec.batch_size, shuffle=True
    )
    return (torch.as_tensor(batch) for batch in loader)


def mean_cosine(rows):
    """Over pairs of different examples that have a direction."""
    size = np.linalg.norm(rows, axis=1, keepdims=True)
    unit = (rows / np.where(size == 0, 1, size))[size[:, 0] > 0]
    every = unit @ unit.T
    if len(every) < 2:
        return np.nan
    return every[~np.eye(len(every), dtype=bool)].mean()


def statistics_by_hand(weight, z, before, after, dw, dz):
    return {
        "grad_norm": np.sqrt((dw**2).sum()),
        "grad_rms": np.sqrt((dw**2).mean()),
        "grad_absmax": np.abs(dw).max(),
        "grad_zero_share": (dw == 0).mean(),
        "grad_nonfinite_share": (~np.isfinite(dw)).mean(),
        "delta_rms": np.sqrt((dz**2).mean()),
        "weight_rms": np.sqrt((weight**2).mean()),
        "weight_mean": weight.mean(),
        "weight_std": weight.std(),
        "activation_mean": after.mean(),
        "activation_std": after.std(),
        "sample_correlation": mean_cosine(after),
        "frozen": 0.0,
    }


EVERY_KIND = (
    [{"norm": norm, "norm_position": p} for norm in choices("norm") for p in ("before", "after")]
    + [{"activation": name} for name in choices("activation")]
    + [{"gradient_rule": rule} for rule in choices("gradient_rule")]
    + [{"skip": "published"}, {"skip": "every", "skip_every": 1}, {"init": "kaiming_normal"}]
    + [{"norm": "batch", "skip": "published", "gradient_rule": "standardise", "activation": "relu"}]
)


@pytest.mark.parametrize("fields", EVERY_KIND, ids=str)
def test_statistics_agree_with_a_slow_second_computation(fields):
    spec = RunSpec(**(TINY | fields))
    _, items = recorded(spec)
    record = records(items)[0]
    for layer, tensors in enumerate(by_hand(spec)):
        for name, wanted in statistics_by_hand(*tensors).items():
            found = record.scalars[ROW[name], layer]
            assert found == pytest.approx(wanted, rel=1e-6, abs=1e-12, nan_ok=True), (
                f"{name}, layer {layer + 1}"
            )
        weight, _, _, after, dw, _ = tensors
        assert record.gradient[layer].sum() == dw.size
        half = record.weight_range[layer]
        edges = np.linspace(-half, half, LINEAR_BINS + 1)
        assert record.weight[layer, :-1].tolist() == np.histogram(weight, edges)[0].tolist()
        assert record.activation[layer].sum() == after.size


@pytest.mark.parametrize("optimizer", choices("optimizer"))
def test_the_update_ratio_is_of_the_step_that_was_taken(optimizer):
    spec = RunSpec(**(TINY | {"optimizer": optimizer}))
    weights = []

    class Weights(Silent):
        def begin_phase(self, phase, network, step, *, anew):
            self.network = network

        def before_step(self, step, epoch, *, ends_epoch, must):
            layers = [self.network.layer(n) for n in range(1, spec.layers + 1)]
            weights.append([layer.weight.detach().double().clone() for layer in layers])

    run = prepared(spec)
    train(run, Weights())
    _, items = recorded(spec)
    for record, before, after in zip(records(items), weights, weights[1:], strict=False):
        for layer in range(spec.layers):
            wanted = (after[layer] - before[layer]).norm() / before[layer].norm()
            found = record.scalars[ROW["update_ratio"], layer]
            assert found == pytest.approx(wanted.item(), rel=1e-4, abs=1e-9)


def test_the_cosine_is_with_the_gradient_recorded_before():
    spec = RunSpec(**TINY)
    gradients = []

    class Gradients(Silent):
        def begin_phase(self, phase, network, step, *, anew):
            self.network = network

        def after_backward(self):
            gradients.append(self.network.layer(2).weight.grad.double().flatten().clone())

    train(prepared(spec), Gradients())
    _, items = recorded(spec)
    assert np.isnan(records(items)[0].scalars[ROW["grad_cosine"]]).all()
    wanted = functional.cosine_similarity(gradients[0], gradients[1], dim=0).item()
    assert records(items)[1].scalars[ROW["grad_cosine"], 1] == pytest.approx(wanted, rel=1e-6)


def test_arrays_have_the_promised_shapes():
    spec = RunSpec(**TINY)
    _, items = recorded(spec)
    record = records(items)[0]
    assert record.scalars.shape == (len(STATISTICS), spec.layers)
    assert record.gradient.shape == (spec.layers, GRADIENT_COLUMNS)
    assert record.weight.shape == record.activation.shape == (spec.layers, LINEAR_BINS + 1)


# -- what must not happen -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "fields",
    [{}, {"norm": "batch"}, {"optimizer": "adam"}, {"schedule": "layerwise_intended"}],
    ids=str,
)
def test_recording_does_not_change_the_run(fields):
    spec = RunSpec(**(TINY | {"steps": 40} | fields))
    watched, _ = recorded(spec)
    watched_state = torch.get_rng_state()
    bare = prepared(spec)
    train(bare, Silent())
    assert torch.equal(torch.get_rng_state(), watched_state), "the recorder drew a random number"
    for (name, a), (_, b) in zip(
        watched.network.state_dict().items(), bare.network.state_dict().items(), strict=True
    ):
        assert torch.equal(a, b), name


def test_no_hook_outlives_a_record():
    run, _ = recorded(RunSpec(**TINY))
    assert not any(module._forward_hooks for module in run.network.modules())


# -- when ---------------------------------------------------------------------------------------


def strides():
    """(first step, stride) in the words of the schedule, up to a million."""
    yield 0, 1
    first, stride = 32, 2
    while first < 512:
        yield first, stride
        first, stride = first * 2, stride * 2
    yield 512, 32
    first, stride = 65536, 64
    while first < 10**6:
        yield first, stride
        first, stride = first * 2, stride * 2


def test_the_schedule_is_dense_where_vanishing_shows_and_bounded_for_long_runs():
    table = list(strides())
    wanted = [
        step
        for (first, stride), (end, _) in zip(table, [*table[1:], (10**6, 0)], strict=True)
        for step in range(first, end, stride)
    ]
    assert [step for step in range(10**6) if is_recorded(step)] == wanted
    assert len(wanted) < 7000


def test_the_dense_schedule_starts_again_after_a_change():
    assert all(is_recorded(1000 + n, since=1000) for n in range(32))
    assert not is_recorded(1033, since=1000)


def test_a_million_short_epochs_are_thinned_and_the_first_thousand_are_not():
    assert all(epoch_is_recorded(n) for n in range(1, 1025))
    assert sum(epoch_is_recorded(n) for n in range(1, 333334)) < 6000


def test_the_last_step_of_each_epoch_and_of_the_run_is_recorded():
    spec = RunSpec(**(TINY | {"steps": 101}))
    _, items = recorded(spec)
    found = {record.step for record in records(items)}
    ends = [item.step - 1 for item in items if isinstance(item, EpochEnd)]
    assert ends == [*range(2, 101, 3), 100]
    assert set(ends) <= found
    assert {step for step in range(101) if is_recorded(step)} <= found


def test_every_step_s_loss_is_handed_on_once_and_in_order():
    spec = RunSpec(**(TINY | {"steps": 300, "subset": 1500, "batch_size": 8}))
    _, items = recorded(spec)
    blocks = [item for item in items if isinstance(item, Steps)]
    firsts = [block.first for block in blocks]
    lengths = [len(block.loss) for block in blocks]
    assert firsts == [sum(lengths[:n]) for n in range(len(lengths))]
    assert sum(lengths) == 300


class Slow(OnHost):
    """Measures that take their time."""

    SECONDS = 0.01

    def begin(self, layers, weights):
        time.sleep(self.SECONDS)
        super().begin(layers, weights)


def test_what_watching_takes_is_measured_in_the_run_itself():
    spec = RunSpec(**(TINY | {"steps": 10}))
    items = []
    recorder = Recorder(spec, items.append)
    recorder.measures = Slow()
    train(prepared(spec), recorder)
    blocks = [item for item in items if isinstance(item, Steps)]
    assert blocks[-1].watched >= 10 * Slow.SECONDS, "each of the ten steps is recorded"
    assert blocks[-1].watched < blocks[-1].seconds, "the rest of the time was training"
    watched = [block.watched for block in blocks]
    assert watched == sorted(watched)


def test_a_run_that_goes_on_has_been_watched_before():
    recorder = Recorder(RunSpec(**TINY), lambda item: None)
    recorder.meter.seconds = 1.5
    again = Recorder(RunSpec(**TINY), lambda item: None)
    again.recall(7, recorder.memory(), CPU)
    assert again.meter.seconds == 1.5
    again.recall(7, {"since": 0, "previous": {}}, CPU)  # of an older version
    assert again.meter.seconds == 0.0


# -- layer by layer -----------------------------------------------------------------------------


def test_frozen_and_absent_layers_are_told_apart():
    spec = RunSpec(**(TINY | {"depth": 5, "schedule": "layerwise_intended", "steps": 2}))
    _, items = recorded(spec)
    by_phase = {record.phase: record.scalars for record in records(items)}
    assert sorted(by_phase) == [1, 2, 3, 4, 5]
    frozen, gradient = ROW["frozen"], ROW["grad_rms"]
    assert by_phase[1][frozen].tolist()[:2] == [0, 0]
    assert np.isnan(by_phase[1][:, 2:5]).all(), "layers 3 to 5 are not in the network yet"
    assert by_phase[2][frozen, :4].tolist() == [1, 1, 0, 0]
    assert np.isnan(by_phase[2][gradient, :2]).all(), "a frozen layer has no gradient"
    assert (by_phase[2][ROW["update_ratio"], :2] == 0).all(), "and does not move"
    assert (by_phase[3][frozen, :4] == 0).all()
    assert np.isfinite(by_phase[5][gradient]).all()


def test_as_published_nothing_is_frozen():
    spec = RunSpec(**(TINY | {"schedule": "layerwise_published", "steps": 2}))
    _, items = recorded(spec)
    assert not any(np.nanmax(record.scalars[ROW["frozen"]]) for record in records(items))


def test_each_phase_is_an_event_with_its_words():
    spec = RunSpec(**(TINY | {"schedule": "layerwise_intended", "steps": 2}))
    _, items = recorded(spec)
    events = [item for item in items if isinstance(item, Event)]
    assert [event.step for event in events] == [0, 2, 4]
    assert events[1].words == "phase 2 of 3: layers 3-4 learn, 1-2 frozen"
    odd = RunSpec(schedule="layerwise_intended")
    assert phase_words(odd.phases[5], odd) == "phase 6 of 7: layers 7 learn, 1-6 frozen"


def test_sigmoid_gradient_shrinks_towards_the_input():
    spec = RunSpec(depth=7, width=64, steps=1, device="cpu")
    _, items = recorded(spec)
    rms = records(items)[0].scalars[ROW["delta_rms"], :-1]
    assert (np.diff(rms) > 0).all()
    assert rms[0] < 1e-3 * rms[-1]
