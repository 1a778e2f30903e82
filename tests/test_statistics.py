"""Statistics against a second, slow and obvious way of computing them."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch import nn

from engine import statistics
from engine.network import ACTIVATIONS
from engine.records import (
    ABOVE,
    BELOW,
    FIRST_BIN,
    GRADIENT_BINS,
    LINEAR_BINS,
    NONFINITE,
    ZERO,
    gradient_edges,
)
from engine.spec import choices


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def column_by_hand(value):
    """The slow way: one Python comparison per value and edge."""
    if not math.isfinite(value):
        return NONFINITE
    if value == 0:
        return ZERO
    return BELOW + sum(edge <= abs(value) for edge in gradient_edges().tolist())


@pytest.mark.parametrize("scale", [1.0, 1e-6, 1e-20, 1e-36, 1e3, 1e30])
@pytest.mark.parametrize("flush", [False, True])
def test_gradient_bins_agree_with_counting_by_hand(scale, flush):
    gradient = random(3, 8, 5) * scale
    special = [0.0, -0.0, math.nan, math.inf, -math.inf, 1e-10, -1e-10, 1e4, 10**0.25, 1.0]
    gradient[0].view(-1)[: len(special)] = torch.tensor(special)
    gradient[gradient.abs() < 1.2e-38] = 0  # what flushing leaves
    torch.set_flush_denormal(flush)
    statistics.cells.cache_clear()
    try:
        counts = statistics.gradient_counts(gradient).tolist()
    finally:
        torch.set_flush_denormal(False)
    for layer, values in zip(counts, gradient.flatten(1).tolist(), strict=True):
        expected = [0] * len(layer)
        for value in values:
            expected[column_by_hand(value)] += 1
        assert layer == expected


def test_subnormal_gradients_fall_into_their_own_bins():
    sizes = [1.4e-45, 9e-41, 1.1e-40, 1.5e-40, 2e-40, 5e-40, 1e-39, 1.17e-38]
    gradient = torch.tensor(sizes).reshape(1, 1, -1)
    counts = statistics.gradient_counts(gradient)[0].tolist()
    expected = [0] * len(counts)
    for value in gradient.flatten().double().tolist():
        expected[column_by_hand(value)] += 1
    assert counts == expected
    assert counts[BELOW] == 2


def test_the_columns_are_in_order_and_complete():
    assert (ZERO, BELOW, FIRST_BIN) == (0, 1, 2)
    assert (ABOVE, NONFINITE) == (FIRST_BIN + GRADIENT_BINS, FIRST_BIN + GRADIENT_BINS + 1)
    edges = gradient_edges()
    assert edges[0] == 1e-40
    assert edges[-1] == 1e4
    assert np.allclose(np.diff(np.log10(edges)), 0.25)


def test_gradient_statistics_agree_with_plain_python():
    gradient = random(2, 7, 4) * 1e-25  # its squares underflow in float32
    gradient[0, 0, 0] = 0
    found = statistics.gradient_statistics(gradient, statistics.gradient_counts(gradient))
    for layer in (0, 1):
        values = gradient[layer].flatten().tolist()
        norm = math.sqrt(math.fsum((v * 1e25) ** 2 for v in values)) / 1e25
        assert found["grad_norm"][layer].item() == pytest.approx(norm, rel=1e-6)
        assert found["grad_rms"][layer].item() == pytest.approx(norm / math.sqrt(28), rel=1e-6)
        assert found["grad_absmax"][layer].item() == max(map(abs, values))
        assert found["grad_zero_share"][layer].item() == pytest.approx(values.count(0) / 28)
        assert found["grad_nonfinite_share"][layer].item() == 0


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_one_nonfinite_entry_is_shown_and_counted(poison):
    gradient = random(2, 4, 4)
    gradient[1, 2, 3] = poison
    found = statistics.gradient_statistics(gradient, statistics.gradient_counts(gradient))
    assert found["grad_nonfinite_share"].tolist() == [0, 1 / 16]
    for name in ("grad_norm", "grad_rms", "grad_absmax"):
        assert math.isfinite(found[name][0])
        assert not math.isfinite(found[name][1])


def test_mean_and_spread_of_a_nearly_constant_layer_are_not_lost():
    x = 0.5 + 1e-5 * random(1, 64, 32)
    mean, std = statistics.mean_and_std(x)
    values = np.array(x.tolist(), dtype=np.longdouble)
    assert mean.item() == pytest.approx(float(values.mean()), rel=1e-12)
    assert std.item() == pytest.approx(float(values.std()), rel=1e-9)


def test_update_ratio_and_cosine_agree_with_numpy():
    before, step = random(2, 6, 5), random(2, 6, 5, seed=2) * 1e-3
    after = before + step
    ratio, cosine = statistics.update_ratio(before, after), statistics.cosine(before, after)
    for layer in (0, 1):
        a, b = before[layer].double().numpy(), after[layer].double().numpy()
        assert ratio[layer].item() == pytest.approx(
            np.linalg.norm(b - a) / np.linalg.norm(a), rel=1e-5
        )
        wanted = (a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b)
        assert cosine[layer].item() == pytest.approx(wanted, rel=1e-12)


@pytest.mark.parametrize("name", choices("activation"))
def test_slopes_agree_with_autograd_and_are_1_at_their_largest(name):
    before = torch.linspace(-30, 30, 60001, dtype=torch.float64, requires_grad=True)
    after = ACTIVATIONS[name]()(before)
    after.sum().backward()
    slope = before.grad.abs()
    found = statistics.SLOPES[name](before.detach(), after.detach()).abs()
    assert torch.allclose(found, slope / slope.max(), atol=1e-4), "the shape of the slope"
    assert found.max().item() == pytest.approx(1, abs=1e-3)


def test_saturation_begins_where_the_rule_of_thumb_says():
    z = torch.tensor([[[-4.20, -4.17, 0.0, 4.17, 4.20]]])
    share = statistics.activation_statistics("sigmoid", z, z.sigmoid())["saturated_share"]
    assert share.item() == pytest.approx(2 / 5)
    a = torch.tensor([[[-0.971, -0.969, 0.0, 0.969, 0.971]]])
    share = statistics.activation_statistics("tanh", a.atanh(), a)["saturated_share"]
    assert share.item() == pytest.approx(2 / 5)


def test_a_unit_is_dead_only_where_it_passes_nothing_for_any_sample():
    z = torch.tensor([[[-1.0, -1.0, 1.0], [-2.0, 3.0, 1.0]]])  # [1 layer, 2 samples, 3 units]
    found = statistics.activation_statistics("relu", z, nn.functional.relu(z))
    assert found["dead_share"].item() == pytest.approx(1 / 3)
    assert found["saturated_share"].item() == pytest.approx(3 / 6), "ReLU: its zero outputs"


def cosines(x):
    """The cosine of each pair of different examples, one by one; those of all-zero ones left out."""
    rows = [row for row in x.double().numpy() if row.any()]
    return [
        a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in itertools.permutations(rows, 2)
    ]


def test_sample_correlation_is_the_mean_cosine_of_all_pairs():
    x = random(4, 30, 12)
    x[1] = x[1].relu() * (random(30, 1, seed=3) > 0)  # half the examples are all zero
    x[2] = 1e-20 * x[2]  # squares underflow in float32
    x[3] = 1 + 1e-4 * x[3]  # nearly alike
    found = statistics.sample_correlation(x)
    for layer in range(4):
        assert found[layer].item() == pytest.approx(
            np.mean(cosines(x[layer])), rel=1e-12, abs=1e-14
        )
    assert 0 < 1 - found[3].item() < 1e-7, "what is left of the difference is not rounded away"


def test_without_two_examples_that_have_a_direction_there_is_no_correlation():
    x = random(3, 5, 4)
    x[1, 1:] = 0
    x[2] = 0
    found = statistics.sample_correlation(x)
    assert math.isfinite(found[0])
    assert found[1:].isnan().all()
    assert statistics.sample_correlation(random(2, 1, 4)).isnan().all(), "a batch of one"
    x[0, 2, 3] = math.nan
    assert statistics.sample_correlation(x)[0].isnan(), "shown, not averaged away"


@pytest.mark.parametrize("largest", [1.0, 0.7, 3.0, 1e-7, 1e20])
def test_linear_bins_agree_with_counting_by_hand(largest):
    x = random(2, 300)
    x = x / x.abs().amax() * largest
    counts, ranges = statistics.linear_counts(x)
    for row, half_width, values in zip(counts.tolist(), ranges.tolist(), x.tolist(), strict=True):
        assert math.log2(half_width).is_integer()
        top = max(map(abs, values))
        assert half_width / 2 < top <= half_width, "the smallest power of two that holds all"
        expected = [0] * (LINEAR_BINS + 1)
        for value in values:
            bin_ = math.floor((value / half_width + 1) * LINEAR_BINS / 2)
            expected[min(bin_, LINEAR_BINS - 1)] += 1
        assert row == expected


def test_nonfinite_values_are_counted_apart_and_the_others_kept():
    x = torch.tensor([[1.0, math.nan, -0.5, math.inf], [math.nan] * 4])
    counts, ranges = statistics.linear_counts(x)
    assert counts[:, -1].tolist() == [2, 4]
    assert counts.sum(dim=1).tolist() == [4, 4]
    assert ranges[0].item() == 1


def test_a_norm_does_not_read_zero_before_the_gradient_does():
    gradient = torch.full((1, 4, 4), 1e-37)
    assert torch.linalg.vector_norm(gradient * 1e-5).item() >= 0  # float32 loses it:
    assert (gradient.square().sum()).item() == 0
    assert statistics.rms(gradient).item() == pytest.approx(1e-37, rel=1e-6)
