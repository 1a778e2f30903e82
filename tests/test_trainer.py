"""Training: the published digits, the same bits twice, and an honest end when numbers run out."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from engine import data, presets
from engine.errors import DeviceError, DivergedError
from engine.network import ACTIVATIONS, INITS, Network
from engine.recorder import Recorder
from engine.records import ROW, EpochEnd, Record
from engine.spec import RunSpec, choices
from engine.trainer import OPTIMIZERS, Silent, choose_device, evaluate, prepare, train

CPU = torch.device("cpu")
TINY = {"width": 6, "depth": 4, "batch_size": 32, "subset": 100, "steps": 3, "device": "cpu"}


def outcome(spec):
    """Everything a run recorded, and its last weights."""
    items = []
    run = prepare(spec, *data.load(spec), CPU)
    train(run, Recorder(spec, items.append))
    return run, items


def bits(items):
    return [
        (item.step, item.scalars.tobytes(), item.gradient.tobytes(), item.weight.tobytes())
        for item in items
        if isinstance(item, Record)
    ]


class _PublishedMLP(nn.Module):
    """The notebooks' network, as they write it: one attribute a layer."""

    def __init__(self):
        super().__init__()
        self.layer1, self.layer2 = nn.Linear(64, 128), nn.Linear(128, 128)
        self.layer3, self.layer4 = nn.Linear(128, 128), nn.Linear(128, 128)
        self.layer5, self.layer6 = nn.Linear(128, 128), nn.Linear(128, 128)
        self.layer7, self.output = nn.Linear(128, 128), nn.Linear(128, 10)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, mean=0.0, std=0.05)
                nn.init.constant_(module.bias, 0.0)

    def forward(self, x):
        for n in range(1, 8):
            x = torch.sigmoid(getattr(self, f"layer{n}")(x))
        return self.output(x)


def test_our_loop_is_the_published_notebook_s_loop_number_for_number():
    """The notebook's own code, with its DataLoaders, beside ours: losses equal to the last bit."""
    spec = presets.find("better_optimizer").spec(epochs=2, device="cpu")
    _, items = outcome(spec)
    examples, _ = data.load(spec)
    torch.manual_seed(42)
    everything = torch.utils.data.TensorDataset(examples.inputs, examples.labels)
    train_set, validation_set = torch.utils.data.random_split(everything, [1350, 150])
    train_loader = torch.utils.data.DataLoader(train_set, batch_size=64, shuffle=True)
    validation_loader = torch.utils.data.DataLoader(validation_set, batch_size=64, shuffle=False)
    model, criterion = _PublishedMLP(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    losses = []
    for _ in range(2):
        running = 0.0
        for x, y in train_loader:
            optimizer.zero_grad()
            loss = criterion(model(x), y)
            running += loss.item()
            loss.backward()
            optimizer.step()
        losses.append(running / len(train_loader))
        for _ in validation_loader:
            pass
    assert [item.train_loss for item in items if isinstance(item, EpochEnd)] == losses


@pytest.mark.parametrize(
    "fields",
    [{"norm": "batch"}, {"optimizer": "adam"}, {"schedule": "layerwise_intended"}, {"depth": 9}],
    ids=str,
)
def test_the_same_spec_gives_the_same_bits_twice(fields):
    spec = RunSpec(**(TINY | {"steps": 40} | fields))
    assert bits(outcome(spec)[1]) == bits(outcome(spec)[1])


def test_another_seed_gives_other_bits():
    spec = RunSpec(**TINY)
    assert bits(outcome(spec)[1]) != bits(outcome(spec.changed({"seed": 43}))[1])


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_every_optimizer_lowers_the_loss_of_a_shallow_net(optimizer):
    spec = RunSpec(
        depth=1, width=32, epochs=6, optimizer=optimizer, device="cpu", learning_rate=0.01
    )
    ends = [item for item in outcome(spec)[1] if isinstance(item, EpochEnd)]
    assert ends[-1].train_loss < ends[0].train_loss < math.log(10) + 0.3


def test_every_choice_of_a_spec_has_its_code():
    assert set(OPTIMIZERS) == set(choices("optimizer"))
    assert set(ACTIVATIONS) == set(choices("activation"))
    assert {"pytorch", *INITS} == set(choices("init"))


@pytest.fixture(scope="module")
def tiny_data():
    return data.load(RunSpec(**TINY))


COMBINATIONS = list(
    itertools.product(
        choices("norm"), choices("skip"), choices("gradient_rule"), choices("schedule")
    )
)


@pytest.mark.parametrize(("norm", "skip", "rule", "schedule"), COMBINATIONS)
def test_all_remedies_combine(norm, skip, rule, schedule, tiny_data):
    spec = RunSpec(
        **(
            TINY
            | {"steps": 1}
            | {"norm": norm, "skip": skip, "gradient_rule": rule, "schedule": schedule}
        ),
    )
    ends = []

    class Ends(Silent):
        def end_epoch(self, end):
            ends.append(end)

    train(prepare(spec, *tiny_data, CPU), Ends())
    assert math.isfinite(ends[-1].train_loss)
    assert ends[-1].step == spec.total_steps


@pytest.mark.parametrize("init", INITS)
def test_an_initialisation_has_the_variance_it_promises(init):
    spec = RunSpec(init=init, std=0.3, depth=2, width=200, data="digits")
    torch.manual_seed(0)
    weight = Network(spec).layer(2).weight  # [200, 200]
    variance = {
        "normal": 0.3**2,
        "xavier_uniform": 2 / 400,
        "xavier_normal": 2 / 400,
        "kaiming_uniform": 2 / 200,
        "kaiming_normal": 2 / 200,
        "orthogonal": 1 / 200,
    }[init]
    assert weight.var().item() == pytest.approx(variance, rel=0.05)
    assert not Network(spec).layer(2).bias.any()


@pytest.mark.parametrize(
    "fields",
    [
        {"init": "normal", "std": 100.0, "activation": "relu", "depth": 30},
        {"learning_rate": 1000, "activation": "identity", "depth": 8, "init": "kaiming_normal"},
    ],
    ids=["overflow forward", "steps too large"],
)
def test_a_run_whose_numbers_run_out_ends_as_diverged_with_step_and_layer(fields):
    spec = RunSpec(**(TINY | {"steps": 400} | fields))
    items = []
    run = prepare(spec, *data.load(spec), CPU)
    with pytest.raises(DivergedError) as end:
        train(run, Recorder(spec, items.append))
    records = [item for item in items if isinstance(item, Record)]
    assert 0 <= end.value.step <= records[-1].step <= end.value.step + 1
    assert 1 <= end.value.layer <= spec.layers
    assert f"step {end.value.step}" in str(end.value)
    assert not np.isfinite(records[-1].scalars).all(), "the end is shown as it was"
    assert len({record.step for record in records}) == len(records)


def test_evaluation_averages_over_examples_and_draws_nothing():
    spec = RunSpec(**TINY)
    run = prepare(spec, *data.load(spec), CPU)
    state = torch.get_rng_state()
    loss, accuracy = evaluate(run.network, run.data.test, 50)  # the last batch is smaller
    assert torch.equal(torch.get_rng_state(), state)
    with torch.no_grad():
        logits = run.network(run.data.test.inputs)
    one_by_one = [
        -math.log(math.exp(row[label] - max(row)) / sum(math.exp(v - max(row)) for v in row))
        for row, label in zip(logits.double().tolist(), run.data.test.labels.tolist(), strict=True)
    ]
    assert loss == pytest.approx(math.fsum(one_by_one) / len(one_by_one), rel=1e-6)
    hits = (logits.argmax(1) == run.data.test.labels).sum().item()
    assert accuracy == hits / len(run.data.test)


def test_a_whole_tensor_norm_s_evaluation_depends_on_the_batch_and_batch_norm_s_does_not():
    def two_ways(norm):
        spec = RunSpec(**(TINY | {"norm": norm, "init": "kaiming_normal"}))
        run = prepare(spec, *data.load(spec), CPU)
        train(run, Silent())
        return [evaluate(run.network, run.data.test, size)[0] for size in (297, 20)]

    one, other = two_ways("tensor")
    assert abs(one - other) > 1e-5
    one, other = two_ways("batch")
    assert one == pytest.approx(other, rel=1e-6)


def test_a_stop_ends_the_training_between_two_steps():
    spec = RunSpec(**(TINY | {"steps": 50}))
    items = []
    recorder = Recorder(spec, items.append, stop=lambda: recorder.step == 7)
    train(prepare(spec, *data.load(spec), CPU), recorder)
    recorder.flush()
    assert max(item.step for item in items if isinstance(item, Record)) == 7


def test_a_device_that_is_not_here_is_refused_with_those_that_are(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    from engine import trainer

    monkeypatch.setitem(trainer.DEVICES, "cuda", lambda: False)
    with pytest.raises(DeviceError, match=r"device is cuda; this machine has .*cpu"):
        choose_device("cuda")
    assert choose_device("auto").type in ("cpu", "mps")


def test_an_exploding_gradient_is_blamed_on_the_layer_where_it_began():
    """The gradient runs out of numbers on its way down: all layers below follow, none above."""
    spec = RunSpec(**(TINY | {"width": 128, "depth": 100}), activation="tanh", init="normal", std=4)
    items = []
    run = prepare(spec, *data.load(spec), CPU)
    with pytest.raises(DivergedError) as end:
        train(run, Recorder(spec, items.append))
    first = next(item for item in items if isinstance(item, Record))
    broken = np.flatnonzero(first.scalars[ROW["grad_nonfinite_share"]] > 0) + 1
    assert len(broken) > 5
    assert end.value.layer == broken.max()
    assert end.value.step == 0


def test_a_layer_s_cosine_does_not_wait_for_its_neighbours_nor_span_two_output_layers():
    spec = RunSpec(**(TINY | {"schedule": "layerwise_published", "steps": 2}))
    records = [item for item in outcome(spec)[1] if isinstance(item, Record)]
    cosine = {record.step: record.scalars[ROW["grad_cosine"]] for record in records}
    assert np.isfinite(cosine[1][[0, 1, 4]]).all()
    assert np.isfinite(cosine[2][[0, 1]]).all(), "layers 1 and 2 were there before"
    assert np.isnan(cosine[2][[2, 3, 4]]).all(), "3, 4 and the output layer are new"
