"""Figures drawn from made-up arrays: what is on them, and that the browser follows the same rules."""

import re
from pathlib import Path

import made_up
import numpy as np
import pytest

from ui import bindings, figures, theme, views
from ui.bindings import Options

ASSETS = Path(__file__).parent.parent / "assets"


@pytest.fixture(scope="module")
def columns(tmp_path_factory):
    """A run with every kind of cell: frozen 3, zero 2, not a number 4, huge 5, absent 7, tiny 1."""
    items = []
    for step in made_up.recorded_steps(100):
        rms = made_up.dying(8)
        rms[[0, 1, 3, 4]] = 1e-14, 0.0, np.nan, 20.0
        items.append(made_up.record(step, rms, frozen=(3,), absent=(7,)))
    items += [
        made_up.batches(0, 101, spike=9.0),
        made_up.epoch_end(1, 50),
        made_up.epoch_end(2, 100),
    ]
    items += [made_up.Event(step=50, kind="phase", words=f"Phase {n} of 2.") for n in (1, 2)]
    path = made_up.run_file(tmp_path_factory.mktemp("runs") / "a.sqlite", items)
    view = views.RunView(path)
    view.refresh()
    return view.display().columns()


def numbers(values):
    return np.array([[np.nan if v is None else v for v in row] for row in values], float)


@pytest.mark.parametrize("name", figures.FIGURES)
@pytest.mark.parametrize("step_axis", ["linear", "log"])
@pytest.mark.parametrize("mode", theme.MODES)
def test_every_figure_draws_with_and_without_data(columns, name, step_axis, mode):
    options = Options(kind="weight", layer=3, step_axis=step_axis, mode=mode)
    empty = figures.FIGURES[name](bindings.NO_DATA, options)
    full = figures.FIGURES[name](columns, options)
    assert len(empty.data) == len(full.data)
    assert empty.layout.meta == full.layout.meta
    assert {"title", "caption", "alt"} <= set(full.layout.meta)
    assert full.layout.font.size >= 14


def test_the_heatmap_spans_one_absolute_domain_whatever_the_data(columns):
    for data in (bindings.NO_DATA, columns):
        cells = figures.gradient_heatmap(data).data[0]
        assert (cells.zmin, cells.zmax) == (-12, 0)


def test_each_cell_is_drawn_once_by_its_colour_or_by_its_mark(columns):
    traces = [t for t in figures.gradient_heatmap(columns).data if t.visible in (None, True)]
    drawn = sum(np.isfinite(numbers(trace.z)).astype(int) for trace in traces)
    assert drawn.shape == (8, len(columns["steps"]))
    assert (drawn == 1).all()


def test_the_legend_has_the_words_that_occur_and_no_others(columns):
    def words(data):
        return {t.name for t in figures.gradient_heatmap(data).data if t.name and t.visible}

    assert words(columns) == {word for _, word in theme.MARKS.values()}
    assert words(bindings.NO_DATA) == set()
    calm = dict(columns) | {"marks": np.zeros_like(columns["marks"])}
    assert words(calm) == set()


def test_the_output_layer_is_on_top_and_layer_1_at_the_bottom(columns):
    figure = figures.gradient_heatmap(columns)
    assert list(figure.data[0].y) == ["1", "2", "3", "4", "5", "6", "7", "out"]
    assert figure.layout.yaxis.autorange != "reversed"


def test_the_steps_of_a_log_axis_are_shown_as_themselves(columns):
    figure = figures.gradient_heatmap(columns, Options(step_axis="log"))
    assert 10 ** np.array(figure.data[0].x) - 1 == pytest.approx(columns["steps"])
    assert list(figure.data[0].customdata[0]) == columns["steps"].tolist()
    assert dict(zip(figure.layout.xaxis.ticktext, figure.layout.xaxis.tickvals, strict=True))[
        "10"
    ] == pytest.approx(np.log10(11))


def test_values_off_the_profile_are_at_its_ends_and_told_in_words(columns):
    figure = figures.gradient_by_depth(columns, Options(profile="gradient"))
    crosses = [t for t in figure.data if t.name == "off axis"][-1]
    low, high = theme.PROFILE_RANGE
    places = np.array(crosses.y, float)
    assert (places[:2] < low + 1).all()
    assert (places[3:5] > high - 1).all()
    assert np.isnan(places[[2, 5, 6, 7]]).all()
    assert crosses.text[1] == "exactly 0"
    assert crosses.text[0] == "1.00·10⁻¹⁴, below 10⁻¹²"
    assert tuple(figure.layout.yaxis.range) == theme.PROFILE_RANGE


def test_a_spike_in_the_loss_is_on_the_chart(columns):
    figure = figures.loss(columns)
    assert max(max(trace.y) for trace in figure.data) == pytest.approx(9.0)
    guess = next(trace for trace in figure.data if trace.name == "guessing")
    assert guess.y[0] == pytest.approx(np.log(10))


def test_events_are_vertical_lines_on_every_step_axis(columns):
    for name in ("gradient_heatmap", "loss", "accuracy"):
        figure = figures.FIGURES[name](columns, Options())
        assert [shape.x0 for shape in figure.layout.shapes] == [50]  # both at one step: one line
        assert [told.text for told in figure.layout.annotations] == ["phase 1, phase 2"]
        assert figure.layout.annotations[0].hovertext == "Phase 1 of 2.<br>Phase 2 of 2."


@pytest.mark.parametrize("kind", ["gradient", "weight", "activation"])
def test_the_chosen_layers_histogram_is_the_chosen_layers(columns, kind):
    drawn = figures.layer_histogram(columns, Options(kind=kind, layer=5)).data[0]
    assert list(drawn.y) == columns[f"{kind}_counts"][4].tolist()
    assert figures.layer_histogram(columns, Options(kind=kind, layer=99)).data[0].y is not None


def test_the_zoom_is_kept_by_a_constant_uirevision(columns):
    for name, figure in figures.FIGURES.items():
        revisions = {
            figure(data, Options()).layout.uirevision for data in (bindings.NO_DATA, columns)
        }
        assert len(revisions) == 1, name


def test_every_name_a_figure_asks_for_is_one_the_views_give(columns):
    for figure in figures.FIGURES.values():
        for trace in figure(bindings.NO_DATA, Options()).data:
            for binding in trace.meta["fill"].values():
                name = binding if isinstance(binding, str) else binding["of"]
                for kind in ("gradient", "weight", "activation"):
                    wanted = [name.format(kind=kind, profile=p) for p in figures.PROFILES]
                    assert any(one in columns for one in wanted), name


def test_the_browser_knows_every_way_to_fill_an_attribute():
    table = re.search(r"const HOW = \{(.*?)\n\};", (ASSETS / "bindings.js").read_text(), re.S)
    assert set(re.findall(r"^  (\w+)[:,]", table.group(1), re.M)) == set(bindings.HOW)


def test_the_browser_loads_nothing_from_elsewhere_and_makes_no_tags_of_data():
    for path in ASSETS.glob("*.js"):
        text = path.read_text()
        assert not re.search(r"https?://", text), path.name
        assert not re.search(r"innerHTML|insertAdjacentHTML|\beval\(|new Function", text), path.name
