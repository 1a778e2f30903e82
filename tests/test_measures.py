"""The same statistics in two ways: layer by layer on the CPU, by stacks as on a GPU."""

import contextlib
import math

import numpy as np
import pytest
import torch

from engine import data, statistics
from engine.errors import DivergedError
from engine.host_statistics import SLOPES, Host
from engine.measures import OnDevice, OnHost, measures_on
from engine.network import ACTIVATIONS
from engine.recorder import Recorder
from engine.records import LINEAR_BINS, STATISTICS, Record
from engine.spec import RunSpec, choices
from engine.trainer import prepare, train

CPU = torch.device("cpu")
TINY = {"width": 6, "depth": 4, "batch_size": 32, "subset": 100, "steps": 3, "device": "cpu"}


def records(spec, measures, spoil=lambda network: None):
    """What a run of `spec` records, measured in this way; `spoil` changes its weights first."""
    items = []
    run = prepare(spec, *data.load(spec), CPU)
    spoil(run.network)
    recorder = Recorder(spec, items.append)
    recorder.measures = measures
    with contextlib.suppress(DivergedError):
        train(run, recorder)
    return [item for item in items if isinstance(item, Record)]


def assert_agree(one, other):
    assert len(one) == len(other) > 0
    for a, b in zip(one, other, strict=True):
        for name, row, wanted in zip(STATISTICS, a.scalars, b.scalars, strict=True):
            assert row == pytest.approx(wanted, rel=1e-6, abs=1e-12, nan_ok=True), name
        for part in ("gradient", "weight", "activation", "weight_range", "activation_range"):
            assert np.array_equal(getattr(a, part), getattr(b, part)), part


KINDS = (
    [{"activation": name} for name in choices("activation")]
    + [{"norm": norm} for norm in choices("norm")]
    + [{"schedule": name} for name in choices("schedule")]
    + [{"init": "normal", "std": 10.0}, {"depth": 30, "steps": 2}, {"optimizer": "adam"}]
)


@pytest.mark.parametrize("fields", KINDS, ids=str)
def test_both_ways_measure_the_same(fields):
    spec = RunSpec(**(TINY | fields))
    assert_agree(records(spec, OnHost()), records(spec, OnDevice(CPU)))


@pytest.mark.parametrize("poison", [math.nan, math.inf, 0.0])
def test_both_ways_show_what_is_not_finite_and_what_is_nothing(poison):
    def spoil(network):
        with torch.no_grad():
            network.layer(2).weight[:] = 0.0
            network.layer(2).weight[3, 1] = poison

    spec = RunSpec(**TINY)
    found = records(spec, OnHost(), spoil)
    assert_agree(found, records(spec, OnDevice(CPU), spoil))
    assert found[0].weight[1, LINEAR_BINS] == (0 if math.isfinite(poison) else 1)


@pytest.mark.parametrize("name", choices("activation"))
def test_the_slopes_are_those_of_the_other_way(name):
    before = torch.linspace(-30, 30, 6003).reshape(3, -1)
    after = ACTIVATIONS[name]()(before)
    wanted = statistics.SLOPES[name](before, after).numpy()
    found = SLOPES[name](before.numpy(), after.numpy())
    assert np.asarray(found, float) == pytest.approx(wanted, abs=2e-6)
    assert ((found == 0) == (wanted == 0)).all(), "a unit is dead where the slope is exactly 0"


@pytest.mark.parametrize("largest", [1.0, 0.7, 3.0, 1e-7, 1e20, 0.0, math.inf, math.nan])
def test_linear_bins_are_those_of_the_other_way(largest):
    x = torch.randn(500, generator=torch.Generator().manual_seed(3))
    x = x / x.abs().amax() * (largest if math.isfinite(largest) else 1.0)
    if not math.isfinite(largest):
        x[7], x[8] = largest, -largest
    wanted, ranges = statistics.linear_counts(x[None])
    counts, half_width = Host().linear_counts(x.numpy())
    assert counts.tolist() == wanted[0].tolist()
    assert half_width == ranges.item()


def test_a_network_is_measured_where_its_tensors_are():
    """Apple's GPUs know no float64, and share the CPU's memory."""
    assert isinstance(measures_on(CPU), OnHost)
    assert isinstance(measures_on(torch.device("mps")), OnHost)
    assert isinstance(measures_on(torch.device("cuda")), OnDevice)


@pytest.mark.parametrize("measures", [OnHost(), OnDevice(CPU)], ids=lambda m: type(m).__name__)
def test_what_a_checkpoint_remembers_is_not_changed_by_a_later_record(measures):
    spec = RunSpec(**TINY)
    run = prepare(spec, *data.load(spec), CPU)
    kept = []

    class Watcher(Recorder):
        def between(self, step, capture):
            kept.append((self.memory(), {n: g.clone() for n, g in self.previous.items()}))
            return ()

    recorder = Watcher(spec, lambda item: None)
    recorder.measures = measures
    train(run, recorder)
    for memory, then in kept:
        for number, gradient in then.items():
            assert torch.equal(memory["previous"][number], gradient)
    assert not torch.equal(kept[1][1][1], kept[2][1][1]), "it is another gradient each time"
