"""The same statistics in two ways: layer by layer on the CPU, by stacks as on a GPU."""

import contextlib
import math

import numpy as np
import pytest
import torch

from engine import data, measures, statistics
from engine.errors import DivergedError
from engine.host_statistics import SLOPES, Host
from engine.measures import OnDevice, OnHost, measures_on
from engine.network import ACTIVATIONS
from engine.recorder import Recorder
from engine.records import LINEAR_BINS, STATISTICS, Record, gradient_edges
from engine.spec import RunSpec, choices
from engine.trainer import prepare, train

CPU = torch.device("cpu")
TINY = {"width": 6, "depth": 4, "batch_size": 32, "subset": 100, "steps": 3, "device": "cpu"}


def records(spec, way, spoil=lambda network: None):
    """What a run of `spec` records, measured in this way; `spoil` changes its weights first."""
    items = []
    run = prepare(spec, *data.load(spec), CPU)
    spoil(run.network)
    recorder = Recorder(spec, items.append)
    recorder.measures = way
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
    found = SLOPES[name](before.numpy, after.numpy())
    assert np.asarray(found, float) == pytest.approx(wanted, abs=2e-6)
    assert ((found == 0) == (wanted == 0)).all(), "a unit is dead where the slope is exactly 0"


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-20, 1e-36, 1e-39, 1e3, 1e30])
def test_gradient_bins_are_those_of_the_other_way(scale):
    """Also below the smallest normal number, and on and beside every edge."""
    edges = torch.from_numpy(gradient_edges()).float()
    beside = [torch.nextafter(edges, torch.tensor(way)) for way in (0.0, math.inf)]
    special = torch.tensor([0.0, -0.0, math.nan, math.inf, -math.inf, 1.4e-45])
    chance = torch.randn(900, generator=torch.Generator().manual_seed(3)) * scale
    stack = torch.stack(
        [torch.cat([edges, *beside, special, chance]), torch.ones(900 + 6 + 3 * len(edges))]
    )
    found = Host().gradients(stack.numpy(), None, None)[1]
    assert found.tolist() == statistics.gradient_counts(stack).tolist()


@pytest.mark.parametrize("largest", [1.0, 0.7, 3.0, 1e-7, 1e20, 0.0, math.inf, math.nan])
def test_linear_bins_are_those_of_the_other_way(largest):
    x = torch.randn(500, generator=torch.Generator().manual_seed(3))
    x = x / x.abs().amax() * (largest if math.isfinite(largest) else 1.0)
    if not math.isfinite(largest):
        x[7], x[8] = largest, -largest
    wanted, ranges = statistics.linear_counts(x[None])
    counts, half_widths = Host().linear_counts(x[None].numpy())
    assert counts.tolist() == wanted.tolist()
    assert half_widths.tolist() == ranges.tolist()


def test_a_network_is_measured_where_its_tensors_are():
    """Apple's GPUs know no float64, and share the CPU's memory."""
    assert isinstance(measures_on(CPU), OnHost)
    assert isinstance(measures_on(torch.device("mps")), OnHost)
    assert isinstance(measures_on(torch.device("cuda")), OnDevice)


@pytest.mark.parametrize("way", [OnHost(), OnDevice(CPU)], ids=lambda m: type(m).__name__)
def test_what_a_checkpoint_remembers_is_not_changed_by_a_later_record(way):
    spec = RunSpec(**TINY)
    run = prepare(spec, *data.load(spec), CPU)
    kept = []

    class Watcher(Recorder):
        def between(self, step, capture):
            kept.append((self.memory(), {n: g.clone() for n, g in self.previous.items()}))
            return ()

    recorder = Watcher(spec, lambda item: None)
    recorder.measures = way
    train(run, recorder)
    for memory, then in kept:
        for number, gradient in then.items():
            assert torch.equal(memory["previous"][number], gradient)
    assert not torch.equal(kept[1][1][1], kept[2][1][1]), "it is another gradient each time"


def test_many_layers_are_taken_a_few_at_a_time_and_measured_the_same(monkeypatch):
    spec = RunSpec(**TINY)
    whole = records(spec, OnHost())
    monkeypatch.setattr(measures, "TOGETHER", 80)
    measures._few.cache_clear()
    assert_agree(records(spec, OnHost()), whole)
    assert (
        max(
            map(
                len,
                measures._few(
                    ((1, torch.Size((6, 6))), (2, torch.Size((6, 6))), (3, torch.Size((6, 6))))
                ),
            )
        )
        == 2
    )
    measures._few.cache_clear()
