"""Theory beside the measurement: its line is where the prediction is, and grey where it fails."""

import math
from itertools import pairwise

import made_up
import numpy as np
import pytest
from folders import library

from engine import store, theory
from engine.records import ROW
from ui import bindings, comparison, comparison_live, figures, overlay, subjects, theme, views
from ui.bindings import Options, Side
from ui.predictions import Predictions


def view_of(path, predict=theory.predict, items=(), **fields):
    """A made-up run with its first batch's moments, as it is read."""
    first = [made_up.kernel(), made_up.record(0, made_up.dying(8)), *items]
    made_up.run_file(path, first, status=store.FINISHED, **fields)
    view = views.RunView(path, predict=predict)
    view.refresh()
    return view


def shown(figure):
    return [trace for trace in figure.data if trace.visible in (None, True)]


DASHES = {dash for _, _, dash, _ in figures.THEORY_LINES.values()}


def line(figure, width):
    """Theory's line of a width; None where there is none."""
    found = [t for t in shown(figure) if t.line.dash in DASHES and t.line.width == width]
    return found[0] if found and found[0].y is not None else None


def finite(values):
    return values is not None and np.isfinite(np.array(values, float)).any()


QUANTITIES = {
    "signal": ("thick", "log10_delta_rms", "delta_band"),
    "gradient": ("thin", "log10_grad_rms", "grad_band"),
}


@pytest.mark.parametrize("quantity", QUANTITIES)
@pytest.mark.parametrize("mode", theme.MODES)
def test_the_dashed_line_is_exactly_where_the_prediction_is_with_its_band(tmp_path, quantity, mode):
    view = view_of(tmp_path / "a.sqlite")
    columns = view.display().columns()
    told = theory.predict(made_up.spec(), made_up.kernel())
    thickness, name, band = QUANTITIES[quantity]
    figure = figures.gradient_by_depth(columns, Options(profile=quantity, mode=mode))
    colour, width, dash, _ = figures.THEORY_LINES[thickness]
    drawn = line(figure, width)
    np.testing.assert_allclose(np.array(drawn.y, float), getattr(told, name), rtol=1e-6)
    assert drawn.line.dash == dash
    assert drawn.line.color == theme.MODES[mode]["theory"] == theme.MODES[mode][colour]
    (low, high) = [t for t in figure.data if t.line.width == 0]
    half = (np.array(high.y, float) - np.array(low.y, float)) / 2
    np.testing.assert_allclose(half, getattr(told, band), atol=1e-6)
    assert high.fill == "tonexty"
    assert drawn.text[0].endswith(f"± {getattr(told, band)[0]:.2f} decades")
    others = {width for _, width, *_ in figures.THEORY_LINES.values()} - {width}
    assert not any(finite(t.y) for other in others if (t := line(figure, other)) is not None)


def test_theory_is_thick_for_the_signal_and_thin_for_the_gradient_of_the_weights():
    assert figures.THEORY_LINES["thick"][1] >= 2 * figures.THEORY_LINES["thin"][1]
    names = {
        trace.name for trace in figures.gradient_by_depth().data if "theory" in str(trace.name)
    }
    assert names == {"theory, step 0"}


def test_the_measured_signal_at_step_0_and_now_is_beside_it(tmp_path):
    later = made_up.record(40, made_up.dying(8, -0.5))
    columns = view_of(tmp_path / "a.sqlite", items=[later]).display().columns()
    figure = figures.gradient_by_depth(columns, Options(profile="signal"))
    by_name = {trace.name: trace for trace in shown(figure)}
    for name, rms in (("step 0", made_up.dying(8)), ("newest", made_up.dying(8, -0.5))):
        np.testing.assert_allclose(np.array(by_name[name].y, float), np.log10(rms / 2), atol=1e-5)


def test_per_weight_theory_is_its_norm_over_the_root_of_the_layer_s_size():
    spec = made_up.spec()
    told = theory.predict(spec, made_up.kernel())
    fans = [spec.data_set.features, *[spec.width] * spec.depth, len(spec.data_set.classes)]
    sizes = np.array([a * b for a, b in pairwise(fans)])
    np.testing.assert_allclose(told.log10_grad_rms, told.log10_grad_norm - np.log10(sizes) / 2)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_where_theory_fails_its_line_is_grey_without_a_band_and_a_sentence_says_why(
    tmp_path, quantity
):
    fields = {"init": "normal", "std": 10, "activation": "tanh"}
    columns = view_of(tmp_path / "a.sqlite", **fields).display().columns()
    told = theory.predict(made_up.spec(**fields), made_up.kernel())
    assert told.fault
    figure = figures.gradient_by_depth(columns, Options(profile=quantity))
    dashed = [t for t in shown(figure) if t.line.dash in DASHES and finite(t.y)]
    assert [t.line.color for t in dashed] == [theme.LIGHT["muted"]]
    assert "not to be trusted" in dashed[0].hovertemplate
    assert not [t for t in shown(figure) if t.line.width == 0], "no band"
    aside = bindings.resolve(figure.layout.meta["aside"], columns, Options(profile=quantity))
    assert aside == f"Theory for step 0 is not to be trusted here. {told.fault}"


def test_the_validity_number_and_both_factors_are_told_beside_the_chart(tmp_path):
    columns = view_of(tmp_path / "a.sqlite").display().columns()
    told = theory.predict(made_up.spec(), made_up.kernel())
    aside = columns["signal_theory_aside"]
    assert f"{told.active_units:.0f} active units; below {theory.LEAST_ACTIVE:g} theory" in aside
    # dying(): a tenth per layer.
    assert f"×{told.factor:.3f}, measured ×0.100." in aside
    assert columns["theory_note"].endswith("×0.100 measured at step 0")
    assert "√(fan-in · fan-out)" in columns["gradient_theory_aside"]


def test_the_measured_factor_is_the_geometric_mean_over_the_hidden_layers():
    record = made_up.record(0, made_up.dying(8, -0.7))
    delta = record.scalars[ROW["delta_rms"]]
    steps = [delta[layer] / delta[layer + 1] for layer in range(6)]
    wanted = math.exp(sum(map(math.log, steps)) / 6)
    assert overlay.measured_factor(record) == pytest.approx(wanted)
    dead = made_up.record(0, np.array([0.0, 1, 1, 1]))
    assert overlay.measured_factor(dead) is None
    assert overlay.measured_factor(None) is None


def test_a_finished_run_is_looked_at_until_theory_has_come_and_then_rests(tmp_path):
    known = Predictions()
    view = view_of(tmp_path / "a.sqlite", predict=known.get)
    assert not view.ended
    assert view.display().header["texts"]["signal_theory_aside"] == overlay.WAITS
    assert known.settle(30)
    assert view.refresh(), "nothing was written, but theory has come"
    assert view.ended
    assert not view.refresh()
    assert "active units" in view.display().header["texts"]["signal_theory_aside"]


def test_a_run_without_moments_says_so_and_has_the_same_arrays(tmp_path):
    record = made_up.record(0, made_up.dying(8))
    view = views.RunView(made_up.run_file(tmp_path / "b.sqlite", [record], status=store.FINISHED))
    view.refresh()
    assert view.ended
    display = view.display()
    assert display.header["texts"]["signal_theory_aside"] == overlay.UNKNOWN
    with_theory = view_of(tmp_path / "a.sqlite").display()
    assert display.arrays.keys() == with_theory.arrays.keys()
    assert not [t for t in shown(figures.gradient_by_depth(display.columns())) if t.line.width == 0]


def test_theory_is_of_the_network_as_the_changes_of_step_0_left_it(tmp_path):
    change = '{"kind": "set", "fields": {"activation": "relu"}}'
    at_start = made_up.Event(step=0, kind="change", words="relu", change=change)
    later = made_up.Event(step=9, kind="change", words="relu", change=change)
    for name, event, activation in (("a", at_start, "relu"), ("b", later, "sigmoid")):
        view = view_of(tmp_path / f"{name}.sqlite", items=[event])
        wanted = theory.predict(made_up.spec(activation=activation), made_up.kernel())
        assert view.theory.prediction.factor == pytest.approx(wanted.factor)


def test_of_several_seeds_theory_is_asked_of_the_first_alone(tmp_path):
    asked = []

    def predict(spec, kernel):
        asked.append(spec.seed)
        return theory.predict(spec, kernel)

    for seed in (1, 2, 3):
        items = [made_up.kernel(same=0.1 + seed / 100), made_up.record(0, made_up.dying(8))]
        made_up.run_file(tmp_path / f"g-c01-s0{seed}.sqlite", items, seed=seed)
    found = library(tmp_path, predict=predict)
    view = subjects.opener("g-c01", found)()
    view.refresh()
    view.check()
    view.refresh()
    display = view.display()
    assert asked == [1]
    wanted = theory.predict(made_up.spec(), made_up.kernel(same=0.11))
    np.testing.assert_allclose(
        display.arrays["signal_theory_thick"], wanted.log10_delta_rms, rtol=1e-6
    )
    assert display.header["texts"]["theory_note"].startswith(f"×{wanted.factor:.3f} per layer")
    view.close()


def test_contenders_have_theory_as_thin_dashes_of_their_own_colour(tmp_path):
    colours = ("#7b8494", "#2a7fc9")
    sides = [
        Side(columns=view_of(tmp_path / f"{n}.sqlite").display().columns(), label=n, colour=colour)
        for n, colour in zip("AB", colours, strict=True)
    ]
    told = theory.predict(made_up.spec(), made_up.kernel())
    drawn = [
        trace
        for trace in shown(comparison.gradient_by_depth(sides, Options(theory="shown")))
        if trace.meta["fill"]["y"] == "gradient_theory_{theory}"
    ]
    assert [(t.line.color, t.line.dash, t.name) for t in drawn] == [
        (colour, "dash", label) for label, colour in zip("AB", colours, strict=True)
    ]
    for trace in drawn:
        np.testing.assert_allclose(np.array(trace.y, float), told.log10_grad_rms, rtol=1e-6)
        assert not trace.showlegend
    hidden = shown(comparison.gradient_by_depth(sides, Options(theory="hidden")))
    assert len(hidden) == len(shown(comparison.gradient_by_depth(sides, Options()))) - 2


def test_theory_is_drawn_beside_few_contenders_and_left_out_beside_many(monkeypatch):
    given = {}
    monkeypatch.setattr(
        comparison_live.live, "component", lambda *_: lambda data, **__: given.update(data[0])
    )
    dashes = list(bindings.SYMBOLS)
    for count in range(1, 7):
        contenders = [
            comparison_live.Shown(f"run{n}", str(n), "#7b8494", dashes[n], 8) for n in range(count)
        ]
        comparison_live.mount(contenders)
        assert given["options"]["theory"] == ("shown" if count <= 3 else "hidden")


@pytest.mark.parametrize("mode", theme.MODES)
def test_theory_s_colour_is_readable_and_no_line_s_beside_it(mode):
    colours = theme.MODES[mode]

    def luminance(colour):
        parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(w * p for w, p in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    for token in ("theory", "muted"):
        low, high = sorted([luminance(colours[token]), luminance(colours["background"])])
        assert (high + 0.05) / (low + 0.05) >= 3, token
    assert len({colours[token] for token in ("theory", "newest", "start", "muted")}) == 4
