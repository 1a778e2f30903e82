"""Figures of several contenders, by hand-computed values, and the browser's rules against Python's."""

import json
import math
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import made_up
import numpy as np
import pytest
from conftest import skip_or_fail

from engine import theory
from ui import bindings, comparison, comparison_live, figures, frames, live, theme, views
from ui.bindings import Options, Side
from ui.comparison_live import Shown

ASSETS = Path(__file__).parent.parent / "assets"
COLOURS = ("#7b8494", "#2a7fc9", "#b97a00")
LONGEST = made_up.recorded_steps(300)[-1]  # steps of the second of three made-up runs


def display(path, layers, last):
    """A made-up run, as its viewers get it, with the bands that a group of seeds has."""
    items = [made_up.kernel()]
    for step in made_up.recorded_steps(last):
        rms = made_up.dying(layers, -1.9 if step > 40 else -1.0)
        if layers == 8:
            rms[1] = 0.0  # a mark in the heatmap, a cross on the profile
        items.append(made_up.record(step, rms))
    items += [made_up.batches(0, last, spike=9.0)]
    items += [made_up.epoch_end(1 + place, 1 + place * 20) for place in range(last // 20)]
    made_up.run_file(path, items, status=made_up.store.FINISHED, depth=layers - 1)
    view = views.RunView(path, predict=theory.predict)
    view.refresh()
    shown = view.display()
    view.close()
    curves = ("gradient_now", *(f"epoch_{part}_loss" for part in ("train", "validation", "test")))
    shifts = {"min": -0.5, "max": 0.4, "low": -0.2, "high": 0.1}
    bands = {
        f"{name}_{end}": shown.arrays[name] + np.float32(shift)
        for name in curves
        for end, shift in shifts.items()
    }
    grows = {name: "epochs" for name in bands if name.startswith("epoch")}
    return replace(shown, arrays=shown.arrays | bands, grows=shown.grows | grows)


@pytest.fixture(scope="module")
def displays(tmp_path_factory):
    """Three runs: of 8, 8 and 5 layers, the second one longer."""
    folder = tmp_path_factory.mktemp("runs")
    sizes = ((8, 100), (8, 300), (5, 60))
    return [display(folder / f"{n}.sqlite", *size) for n, size in enumerate(sizes)]


@pytest.fixture
def sides(displays):
    """The three as sides of a comparison."""
    looks = zip(displays, "ABC", COLOURS, list(bindings.SYMBOLS)[:3], strict=True)
    return [
        Side(columns=shown.columns(), label=label, colour=colour, dash=dash)
        for shown, label, colour, dash in looks
    ]


def named(figure, label):
    return next(trace for trace in figure.data if trace.name == label)


# -- what is drawn -------------------------------------------------------------------------------


def test_all_heatmaps_have_the_x_axis_of_the_longest_and_one_colour_domain(sides):
    drawn = comparison.heatmaps(sides)
    assert {figure.layout.xaxis.range for figure in drawn} == {(-0.012 * LONGEST, LONGEST * 1.01)}
    assert {(f.data[0].zmin, f.data[0].zmax) for f in drawn} == {theme.GRADIENT_DOMAIN}
    alone = figures.gradient_heatmap(sides[0].columns)
    assert alone.layout.xaxis.range[1] < 101
    log = comparison.heatmaps(sides, Options(step_axis="log"))
    assert {f.layout.xaxis.range[1] for f in log} == {np.log10(LONGEST + 1) * 1.01}


def test_steps_become_epochs_and_seconds(sides):
    columns = {"steps_per_epoch": 40, "steps": [0, 10, 20], "record_seconds": [0.0, 2.0, 3.0]}
    steps = [0, 5, 15, 20, 40]
    assert bindings.on_step_axis(steps, "epoch", columns).tolist() == [0, 0.125, 0.375, 0.5, 1]
    # Between records in proportion, after the last one at the pace so far: 3 s per 20 steps.
    assert bindings.on_step_axis(steps, "seconds", columns) == pytest.approx([0, 1, 2.5, 3, 6])
    assert np.isnan(bindings.on_step_axis([1], "seconds", {})).all()
    # Made-up runs train 200 steps a second.
    assert bindings.axis_end(sides, Options(step_axis="seconds")) == pytest.approx(LONGEST / 200)
    lengths = [side.columns["steps_per_epoch"] for side in sides]
    assert bindings.axis_end(sides, Options(step_axis="epoch")) == pytest.approx(
        LONGEST / lengths[1]
    )


def test_profiles_of_networks_of_different_depth_lie_over_relative_depth(sides):
    figure = comparison.gradient_by_depth(sides, Options(depth="relative"))
    assert list(named(figure, "C").x) == [0, 0.25, 0.5, 0.75, 1]
    assert named(figure, "A").x[1] == pytest.approx(1 / 7)
    assert list(named(figure, "C").customdata) == ["1", "2", "3", "4", "out"]
    # dying(): 10^-1.5 in the output layer, and 1.9 decades less for every layer below.
    assert named(figure, "C").y == pytest.approx([-9.1, -7.2, -5.3, -3.4, -1.5])
    same = comparison.gradient_by_depth(sides[:2])
    assert list(named(same, "A").x) == ["1", "2", "3", "4", "5", "6", "7", "out"]
    assert same.layout.xaxis.type == "category"
    assert figure.layout.xaxis.type == "linear"


@pytest.mark.parametrize(
    ("rows", "layer", "layers", "row"),
    [
        (8, 3, 0, 2),  # each counts its own
        (5, 7, 0, 4),  # as high as there is
        (5, 1, 9, 0),
        (5, 9, 9, 4),
        (5, 5, 9, 2),  # in the middle of both
        (5, 2, 9, 1),  # 1.5 is rounded up
        (1, 6, 9, 0),  # bins that all layers share
    ],
)
def test_the_chosen_layer_is_the_one_as_deep(rows, layer, layers, row):
    assert bindings.row_of(rows, Options(layer=layer, layers=layers)) == row


def test_a_histogram_is_drawn_as_shares_with_the_area_1(sides):
    counts = {"weight_counts": np.array([[1, 3, 4]]), "weight_bins": np.array([[-0.5, 0.0, 0.5]])}
    drawn = comparison.layer_histogram(
        [Side(columns=counts | {"layer_names": ["1"]})], Options(kind="weight")
    ).data[0]
    assert list(drawn.y) == [0.25, 0.75, 1.0]  # 1, 3 and 4 of 8, by bins half a unit wide
    for kind in ("gradient", "weight", "activation"):
        figure = comparison.layer_histogram(sides, Options(kind=kind, layer=8, layers=8))
        for trace in figure.data:
            assert sum(trace.y) * (trace.x[1] - trace.x[0]) == pytest.approx(1, rel=1e-4)
        counts = sides[2].columns[f"{kind}_counts"][4]  # layer 8 of 8 is the 5th of 5
        assert named(figure, "C").y == pytest.approx(
            counts / counts.sum() / (figure.data[2].x[1] - figure.data[2].x[0]), rel=1e-4
        )


def test_a_layer_without_entries_is_no_line(sides):
    empty = {**sides[0].columns, "weight_counts": np.zeros((8, 64))}
    drawn = comparison.layer_histogram([Side(columns=empty)], Options(kind="weight"))
    assert not drawn.data[0].y


@pytest.mark.parametrize("name", comparison.COMPARISON)
def test_contenders_are_told_by_colour_and_dash_and_label_in_every_figure(sides, name):
    figure = comparison.COMPARISON[name](sides, Options())
    for side in sides:
        line = named(figure, side.label)
        assert (line.line.color, line.line.dash) == (side.colour, side.dash)
    assert len({side.symbol for side in sides}) == len(sides)
    assert len(set(bindings.SYMBOLS.values())) == len(bindings.SYMBOLS) >= 6


def test_a_band_lies_between_the_ends_of_its_own_contender(sides):
    drawn = [t for t in comparison.loss(sides, Options()).data if t.visible in (None, True)]
    bands = [place for place, trace in enumerate(drawn) if trace.fill == "tonexty"]
    assert len(bands) == 2 * len(sides)  # from lowest to highest, and the middle half
    gaps = [np.array(drawn[place].y) - np.array(drawn[place - 1].y) for place in bands]
    wide, narrow = gaps[: len(sides)], gaps[len(sides) :]  # the middle half lies over the range
    assert np.concatenate(wide) == pytest.approx(0.9, abs=1e-5)
    assert np.concatenate(narrow) == pytest.approx(0.3, abs=1e-5)
    colours = [bindings.rgba(side.colour, alpha) for alpha in (0.14, 0.3) for side in sides]
    assert [drawn[place].fillcolor for place in bands] == colours


def test_one_run_has_no_bands_and_its_lines_have_what_the_epochs_have(sides):
    bare = {k: v for k, v in sides[0].columns.items() if not k.endswith(("_min", "_max", "_high"))}
    figure = comparison.accuracy([replace(sides[0], columns=bare)], Options(part="test"))
    assert not [t for t in figure.data if t.fill == "tonexty" and t.visible is not False]
    line = named(figure, "A")
    assert line.y[0] == pytest.approx(0.1105)  # made_up.epoch_end(1)
    assert list(line.x) == [1, 21, 41, 61, 81]


def test_every_contender_is_in_the_legend_before_its_first_number(sides):
    waiting = Side(columns=bindings.NO_DATA, label="D", dash="dashdot")
    for figure in comparison.COMPARISON.values():
        line = named(figure([sides[0], waiting], Options()), "D")
        assert line.visible in (None, True)
        assert line.showlegend is not False


def ratios(layers=3):
    """A difference of two runs with every mark, as ui/difference.py tells it."""
    marks = np.zeros((8, layers), np.uint8)
    codes = [code for code, _ in theme.DIFFERENCE_MARKS.values()]
    marks[range(len(codes)), 0] = codes
    return {
        "steps": np.arange(8, dtype=np.uint32),
        "places": np.arange(8.0) / 4,
        "difference": np.where(marks == 0, np.linspace(-5, 5, 8 * layers).reshape(8, -1), np.nan),
        "difference_marks": marks,
        "layer_names": ["1", "2", "out"],
        "step": 7,
    }


def test_each_cell_of_the_difference_is_a_colour_or_a_mark_with_a_word():
    columns = ratios()
    figure = comparison.difference_heatmap(columns)
    shown = [trace for trace in figure.data if trace.visible in (None, True)]
    cells = [np.array([[np.nan if v is None else v for v in r] for r in t.z], float) for t in shown]
    assert (sum(np.isfinite(cell).astype(int) for cell in cells) == 1).all()
    words = {trace.name for trace in shown[1:]}
    assert words == {word for _, word in theme.DIFFERENCE_MARKS.values()}
    assert list(figure.data[0].x) == columns["places"].tolist()
    log = comparison.difference_heatmap(columns, Options(step_axis="log"))
    assert log.data[0].x == pytest.approx(np.log10(columns["places"] + 1))


def test_the_scale_of_the_difference_is_centred_at_equal_and_its_words_name_its_colours():
    figure = comparison.difference_heatmap()
    low, high = theme.DIFFERENCE_DOMAIN
    assert low == -high
    rgb = [
        [int(part) for part in colour.removeprefix("rgb(").rstrip(")").split(",")]
        for _, colour in figure.data[0].colorscale
    ]
    assert min(rgb[len(rgb) // 2]) > 240, "white in the middle"
    assert rgb[0][0] > rgb[0][2] + 60, "the smaller end is red"
    assert rgb[-1][2] > rgb[-1][0] + 60, "the larger end is blue"
    caption = figure.layout.meta["caption"]
    assert "Blue: the gradient of {b} is larger than that of {a}" in caption
    assert "Red: it is smaller. White: they are equal." in caption


def test_every_name_that_is_asked_for_is_one_the_views_give(sides, displays):
    given = set(displays[0].columns())
    for figure in comparison.COMPARISON.values():
        for trace in figure((), Options()).data:
            for binding in trace.meta["fill"].values():
                name = binding if isinstance(binding, str) else binding["of"]
                if name.endswith(("_min", "_max", "_low", "_high")):
                    continue  # of groups alone: tests/test_groups.py
                for kind in ("gradient", "weight", "activation"):
                    assert name.format(kind=kind, part="test", theory="shown") in given


# -- what the page hands to the browser ----------------------------------------------------------


@pytest.fixture
def mounted(monkeypatch):
    """What the component was given last."""
    given = {}

    def component(name, module):
        return lambda data, **_: given.update(data[0])

    monkeypatch.setattr(live, "component", component)
    return given


def shown(*layers):
    return [
        Shown(f"20261123-140509-000{place}", f"run {place}", COLOURS[0], dash, count)
        for place, (count, dash) in enumerate(zip(layers, bindings.SYMBOLS, strict=False))
    ]


def test_the_difference_is_watched_for_exactly_two(mounted):
    first, second = "20261123-140509-0000", "20261123-140509-0001"
    comparison_live.mount(shown(8, 8), align="epoch", table=f"table:{first}:{second}")
    difference = f"difference:epoch:{first}:{second}"
    assert mounted["subjects"] == [first, second, difference, f"table:{first}:{second}"]
    assert mounted["options"]["step_axis"] == "epoch"
    for layers in ((8,), (8, 8, 8)):
        comparison_live.mount(shown(*layers))
        assert mounted["difference"] == ""
        assert len(mounted["subjects"]) == len(layers)
    comparison_live.mount(shown(*[8] * 6), table="table:x")
    assert len(mounted["subjects"]) <= 8


def test_networks_of_different_depth_are_drawn_by_relative_depth_and_it_is_said(mounted):
    comparison_live.mount(shown(8, 13), layer=3)
    assert (
        mounted["options"] | {"depth": "relative", "layers": 13, "layer": 3} == mounted["options"]
    )
    assert "relative depth" in mounted["scale"]["words"]
    comparison_live.mount(shown(8, 8))
    assert mounted["options"] | {"depth": "layer", "layers": 0} == mounted["options"]
    assert "relative" not in mounted["scale"]["words"]


def test_the_scale_beside_the_heatmaps_is_theirs():
    told = comparison_live.scale_json()
    cells = comparison_live.figures_json()["gradient_heatmap"]["data"][0]
    assert cells["showscale"] is False
    drawn = figures.gradient_heatmap().data[0].colorscale
    assert [colour for _, colour in told["stops"]] == [colour for _, colour in drawn]
    assert [place for place, _ in told["stops"]] == pytest.approx([place for place, _ in drawn])
    low, high = theme.GRADIENT_DOMAIN
    for place, text in told["ticks"]:
        power = low + place * (high - low)
        plain = text.translate(str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-"))
        assert plain == ("1" if power == 0 else f"10{power:g}")


# -- the browser follows the same rules ----------------------------------------------------------


@pytest.fixture(scope="module")
def node(tmp_path_factory):
    """Runs JavaScript against assets/ and returns what it wrote as JSON."""
    if not (program := shutil.which("node")):
        skip_or_fail("node is not installed here")
    folder = tmp_path_factory.mktemp("assets")
    for path in ASSETS.glob("*.js"):
        shutil.copy(path, folder)
    (folder / "package.json").write_text('{"type": "module"}')

    def run(script, **given):
        (folder / "given.json").write_text(json.dumps(given))
        (folder / "script.js").write_text(
            "import { readFileSync } from 'node:fs';\n"
            "const given = JSON.parse(readFileSync(new URL('given.json', import.meta.url)));\n"
            f"{script}"
        )
        done = subprocess.run([program, folder / "script.js"], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


FILL = """
import { axisEnd, filled, rowOf } from './bindings.js';
import { decode, RunState } from './frames.js';
const sides = given.sides.map(({ frame, ...look }) => {
  const run = new RunState(frame);
  run.apply(decode(Uint8Array.from(readFileSync(frame)).buffer));
  return { run, ...look };
});
const plain = (value) =>
  ArrayBuffer.isView(value) || Array.isArray(value) ? Array.from(value, plain) : Number.isNaN(value) ? null : value;
const told = given.cases.map(({ figure, options, colours, sides: count }) => {
  const some = sides.slice(0, count);
  const traces = filled(given.figures[figure], some, options, colours);
  const filledIn = traces.map(({ x, y, z, text, customdata, name, line, marker, fillcolor, colorscale }) =>
    [x, y, z, text, customdata, name, line, marker, fillcolor, colorscale].map((part) => plain(part) ?? null));
  return [axisEnd(some, options.step_axis), filledIn, traces.every(({ visible }) => visible)];
});
console.log(JSON.stringify(told));
"""


def plain(value):
    """A figure's attribute as JSON has it: lists, and None for what is no number."""
    if isinstance(value, np.ndarray | list | tuple):
        return [plain(part) for part in value]
    if hasattr(value, "to_plotly_json"):
        return plain(value.to_plotly_json())
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    if isinstance(value, np.generic):
        value = value.item()
    return None if isinstance(value, float) and math.isnan(value) else value


def same(one, other):
    """Whether two attributes are the same, numbers within float32's."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, float | int) and isinstance(other, float | int):
        return one == pytest.approx(other, rel=1e-5, abs=1e-6)
    return one == other or not (one or other)


ATTRIBUTES = ("x", "y", "z", "text", "customdata", "name", "line", "marker", "fillcolor")
#: Every choice occurs with every other kind of figure.
CHOICES = [
    Options(),
    Options(step_axis="log", kind="weight", layer=3, part="train", mode="dark", profile="gradient"),
    Options(step_axis="epoch", kind="activation", layer=8, layers=8, depth="relative", part="test"),
    Options(step_axis="seconds", layer=4, layers=8, depth="relative", theory="hidden"),
]


def attributes(trace):
    told = [plain(getattr(trace, name, None)) for name in ATTRIBUTES]
    scale = getattr(trace, "colorscale", None)
    return [*told, plain(scale) if scale and trace.meta["paint"].get("colorscale") else None]


def test_the_browser_fills_every_figure_with_what_python_fills_it_with(
    node, sides, displays, tmp_path
):
    """Through the wire: frames as the hub sends them, decoded and drawn by the browser's modules."""
    looks = []
    for number, (side, told) in enumerate(zip(sides, displays, strict=True)):
        frame = tmp_path / f"{number}.frame"
        whole = frames.difference(frames.NOTHING, told)
        frame.write_bytes(frames.encode(whole, run="a", seq=1, full=True))
        look = {"label": side.label, "colour": side.colour, "dash": side.dash}
        looks.append(look | {"frame": str(frame), "symbol": side.symbol})
    lab = {f"lab {name}": (figure, 1) for name, figure in figures.FIGURES.items()}
    several = {name: (figure, 3) for name, figure in comparison.COMPARISON.items()}
    cases, expected = [], []
    for name, (figure, count) in (lab | several).items():
        for options in CHOICES:
            chosen = {k: v for k, v in vars(options).items() if k not in ("mode", "end")}
            colours = theme.MODES[options.mode]
            cases.append({"figure": name, "options": chosen, "colours": colours, "sides": count})
            some = sides[:count]
            made = figure(some if name in several else some[0].columns, options)
            traces = [attributes(t) for t in made.data if t.visible is not False]
            expected.append([bindings.axis_end(some, options), traces])
    templates = {f"lab {name}": told for name, told in live.figures_json().items()}
    templates |= comparison_live.figures_json()
    told = node(FILL, sides=looks, cases=cases, figures=templates)
    for case, (end, drawn, seen), (wanted_end, wanted) in zip(cases, told, expected, strict=True):
        assert seen, case
        assert end == pytest.approx(wanted_end), case
        assert len(drawn) == len(wanted), case
        for mine, theirs in zip(wanted, drawn, strict=True):
            for name, one, other in zip((*ATTRIBUTES, "colorscale"), mine, theirs, strict=True):
                plotlys_own = name == "colorscale" and one is None
                assert plotlys_own or same(one, other), (
                    case,
                    name,
                    str(one)[:300],
                    str(other)[:300],
                )


def test_the_browser_chooses_the_same_layer_as_python(node):
    cases = [(r, la, n) for r in (1, 2, 5, 8, 13) for n in (0, 2, 8, 13) for la in range(1, 14)]
    told = node(
        "import { rowOf } from './bindings.js';\n"
        "console.log(JSON.stringify(given.cases.map(([rows, layer, layers]) => rowOf(rows, { layer, layers }))));",
        cases=cases,
    )
    assert told == [bindings.row_of(r, Options(layer=la, layers=n)) for r, la, n in cases]


def test_rows_are_sorted_by_value_and_what_has_none_comes_last_either_way(node):
    told = node(
        "import { parted, sorted } from './table.js';\n"
        "const of = (row) => row[1];\n"
        "const by = (order) => sorted(given.rows, { by: 'x', order }, of).map(([id]) => id).join('');\n"
        "console.log(JSON.stringify([by('ascending'), by('descending'), sorted(given.rows, { by: '' }, of).length,"
        "  given.texts.map(parted)]));",
        rows=[["a", 3], ["b", None], ["c", -1], ["d", 3], ["e", 7]],
        texts=["0.853 (0.84 to 0.86)", "12,300, 1 of 4 seeds", "2 (1 to 9), 3 of 4 seeds", "–"],
    )
    assert told[:3] == ["cadeb", "eadcb", 5]
    assert told[3] == [
        ["0.853", "0.84 to 0.86"],
        ["12,300", "1 of 4 seeds"],
        ["2", "1 to 9, 3 of 4 seeds"],
        ["–", ""],
    ]


def test_a_side_that_changed_nothing_that_is_shown_has_the_same_stamp(node, displays, tmp_path):
    """What makes six live runs cheap: a chart is drawn again only where what it shows has changed."""
    one = displays[0]
    texts = one.header["texts"] | {"gradient_aside": "other words"}
    header = one.header | {"line": "another line", "measured_at": 1, "texts": texts}
    longer = one.arrays | {"loss_mean": np.append(one.arrays["loss_mean"], np.float32(1))}
    later = replace(one, header=header, arrays=longer)
    for name, change in {
        "whole": frames.encode(frames.difference(frames.NOTHING, one), run="a", seq=1, full=True),
        "words": frames.encode(
            frames.difference(one, replace(one, header=header)), run="a", seq=2, full=False
        ),
        "curve": frames.encode(frames.difference(one, later), run="a", seq=3, full=False),
    }.items():
        (tmp_path / name).write_bytes(change)
    told = node(
        "import { decode, RunState } from './frames.js';\n"
        "const run = new RunState('a');\n"
        "const stamps = given.frames.map((path) => {\n"
        "  run.apply(decode(Uint8Array.from(readFileSync(path)).buffer));\n"
        "  return [['steps', 'grad_log10', 'layer_names'], ['loss_mean']].map((names) => run.stamp(names));\n"
        "});\n"
        "console.log(JSON.stringify(stamps));",
        frames=[str(tmp_path / name) for name in ("whole", "words", "curve")],
    )
    whole, words, curve = told
    assert whole == words
    assert words[0] == curve[0]
    assert words[1] != curve[1]
