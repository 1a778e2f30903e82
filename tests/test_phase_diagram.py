"""Order and chaos: the classical constants, to the digits they are known to."""

import math

import numpy as np
import pytest

from engine import gaussian
from engine.mean_field import VARIANCES
from engine.phase_diagram import chi_map, critical_line, fixed_point, place, scale_of
from engine.spec import RunSpec

#: chi_1 and factor per layer at the fixed point, width 128: theory.md, section 5.
KNOWN = {
    "sigmoid": (0.0200, 0.0557, 0.101, 0.0192),
    "tanh": (0.331, 1, 1.106, 0.32),
    "relu": (0.1667, 0.5, 1, 0.16),
    "leaky_relu": (0.1667, 0.5, 1.0001, 0.16),
    "elu": (0.318, 1, 1.006, 0.32),
    "selu": (0.636, 1.0715, 1.105, 0.671),
    "gelu": (0.0839, 0.25, 0.5, 0.08),
    "silu": (0.0836, 0.25, 0.5, 0.08),
    "softplus": (0.0870, 0.289, 0.965, 0.0833),
    "identity": (0.333, 1, 2, 0.32),
}
INITS = ("pytorch", "xavier_normal", "kaiming_normal", "normal")


@pytest.mark.parametrize("activation", list(gaussian.ACTIVATIONS))
def test_chi_1_of_every_activation_and_initialisation_is_the_known_one(activation):
    for init, chi in zip(INITS, KNOWN[activation], strict=True):
        point = fixed_point(activation, *place(RunSpec(activation=activation, init=init)))
        # Near the line a signal creeps to its end: ELU and softplus at sigma_w^2 = 2 grow for ever.
        assert point.chi == pytest.approx(chi, rel=0.01 if point.is_settled else 0.06), init
        assert point.factor == pytest.approx(math.sqrt(point.chi))


def on_line(activation, sigma_b, reached=True):
    weight, bias = critical_line(activation, reached=reached)
    order = np.argsort(bias)
    return float(np.interp(sigma_b, bias[order], weight[order]))


def test_the_critical_lines_go_through_their_classical_points():
    """Poole et al. 2016 for tanh; Roberts, Yaida & Hanin 2022 for GELU and SiLU; theory.md, section 5."""
    assert on_line("tanh", math.sqrt(0.05)) ** 2 == pytest.approx(1.7610, abs=2e-4)
    assert on_line("tanh", 0.2) == pytest.approx(1.3041, abs=1e-4)
    assert on_line("elu", 0.2) == pytest.approx(1.2293, abs=1e-4)
    assert on_line("selu", 0.2) == pytest.approx(0.9376, abs=1e-4)
    assert on_line("gelu", 0.2, reached=False) == pytest.approx(1.5470, abs=2e-4)
    assert on_line("silu", 0.2, reached=False) == pytest.approx(1.6795, abs=2e-4)
    weight, bias = critical_line("relu")
    assert np.allclose(weight, math.sqrt(2))
    assert np.allclose(bias, 0)
    assert critical_line("leaky_relu")[0] ** 2 == pytest.approx(2 / (1 + 1e-4))
    assert critical_line("identity")[0] == pytest.approx(1)
    assert not len(critical_line("softplus")[0])


@pytest.mark.parametrize(
    ("activation", "bias", "weight"), [("gelu", 0.17292, 1.98306), ("silu", 0.55514, 1.98800)]
)
def test_the_stable_line_of_smooth_relus_begins_where_the_literature_has_it(
    activation, bias, weight
):
    """(C_b, C_W) of Roberts, Yaida & Hanin 2022, The Principles of Deep Learning Theory."""
    sigma_w, sigma_b = critical_line(activation)
    assert sigma_b[0] ** 2 == pytest.approx(bias, abs=2e-5)
    assert sigma_w[0] ** 2 == pytest.approx(weight, abs=2e-5)


def test_the_sigmoid_is_critical_at_10_149_two_ways():
    """Itself, and by its exact map to tanh: sigma_w / 4, sigma_b'^2 = sigma_w^2 / 16 + sigma_b^2 / 4."""
    sigma_w, sigma_b = critical_line("sigmoid")
    assert sigma_b[0] == pytest.approx(0, abs=1e-4)
    assert sigma_w[0] == pytest.approx(10.1493, abs=2e-4)
    assert fixed_point("sigmoid", 10.1493, 0).variance == pytest.approx(45.6, abs=0.1)
    assert fixed_point("tanh", 10.1493 / 4, 10.1493 / 4).chi == pytest.approx(1, abs=1e-4)


def test_selu_has_its_fixed_point_at_1_and_is_mildly_chaotic():
    """Klambauer et al. 2017: q* = 1 at sigma_w = 1, sigma_b = 0."""
    point = fixed_point("selu", 1, 0)
    assert point.variance == pytest.approx(1, abs=1e-7)
    assert point.chi == pytest.approx(1.07148, abs=1e-5)
    assert point.depth_scale == pytest.approx(-14.5, abs=0.02)
    assert point.correlation < 0.01


def test_batchnorm_explodes_by_pi_over_pi_minus_1_with_relu():
    """Yang et al. 2019: E slope^2 / Var value at N(0, 1); above 1 for all that is not straight."""
    mean, value, slope = gaussian.alone("relu", 1.0)
    assert slope / (value - mean**2) == pytest.approx(math.pi / (math.pi - 1))
    growths = {"tanh": 1.1778, "sigmoid": 1.0336, "gelu": 1.319, "silu": 1.212, "elu": 1.079}
    growths |= {"selu": 1.0715, "softplus": 1.0805, "leaky_relu": 1.4534, "identity": 1.0}
    for name, growth in growths.items():
        mean, value, slope = gaussian.alone(name, 1.0)
        assert slope / (value - mean**2) == pytest.approx(growth, abs=6e-4), name


def test_order_and_chaos_lie_on_their_sides_of_the_line():
    weight, bias = critical_line("tanh")
    for sigma_b in (0.1, 0.3, 0.5):
        line = float(np.interp(sigma_b, bias, weight))
        ordered, chaotic = (fixed_point("tanh", line * by, sigma_b) for by in (0.8, 1.25))
        assert ordered.chi < 1 < chaotic.chi
        assert ordered.correlation == 1 > chaotic.correlation
        assert ordered.depth_scale > 0 > chaotic.depth_scale


@pytest.mark.parametrize("activation", list(gaussian.ACTIVATIONS))
def test_the_map_of_the_diagram_agrees_with_each_point_by_itself(activation):
    weights, biases = np.array([0.5, 1.0]), np.array([0.1, 0.6])
    found = chi_map(activation, weights, biases)
    for row, sigma_b in enumerate(biases):
        for column, sigma_w in enumerate(weights):
            point = fixed_point(activation, float(sigma_w), float(sigma_b))
            if point.is_settled and 0 < point.variance < math.inf:
                assert found[row, column] == pytest.approx(point.chi, rel=5e-3)


def test_depth_scales():
    assert scale_of(math.exp(-0.5)) == pytest.approx(2)
    assert scale_of(1.0) == math.inf
    assert scale_of(math.e) == pytest.approx(-1)


def test_every_initialisation_has_its_place_on_the_diagram():
    assert set(VARIANCES) >= set(INITS)
    assert place(RunSpec()) == pytest.approx((math.sqrt(1 / 3), math.sqrt(1 / 3 / 128)))
    assert place(RunSpec(init="kaiming_uniform"))[0] == pytest.approx(math.sqrt(2))
    assert place(RunSpec(init="normal", std=1))[0] == pytest.approx(11.31, abs=0.01)
