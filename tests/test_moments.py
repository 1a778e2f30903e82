"""Replay: a run at a step is what it was then, and the browser cuts and marks as Python does."""

import json
import shutil
import subprocess
from dataclasses import replace

import made_up
import numpy as np
import pytest
from conftest import REPOSITORY, skip_or_fail

from engine import store
from engine.errors import EngineError
from engine.records import EpochEnd, Event, Record, Steps
from engine.steering import Change, as_json
from ui import (
    bindings,
    comparison,
    cuts,
    event_lines,
    figures,
    frames,
    links,
    moments,
    theme,
    views,
)
from ui.bindings import Options, Side

ASSETS = REPOSITORY / "assets"
LAST = 300


def change(step, **fields):
    told = as_json(Change(kind="set", fields=fields))
    return Event(step=step, kind="change", words=f"{fields}; the weights stay", change=told)


def items():
    return [*made_up.sigmoid_items(LAST), change(40, activation="relu"), change(200, norm="layer")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def path(folder):
    return made_up.run_file(folder / "whole.sqlite", items(), status=store.FINISHED)


def opened(path):
    view = views.RunView(path)
    view.refresh()
    return view.display()


def until(step):
    """The items there would be if the run had got no further than the record of a step."""
    found = []
    for item in items():
        if isinstance(item, Steps):
            ends = max(0, min(len(item.loss), step + 1 - item.first))
            if not ends:
                continue
            item = replace(
                made_up.batches(item.first, ends),
                loss=item.loss[:ends],
                accuracy=item.accuracy[:ends],
            )
        elif isinstance(item, Record | EpochEnd | Event) and item.step > step:
            continue
        found.append(item)
    return found


@pytest.mark.parametrize("step", [0, 1, 40, 50, 125, 295])
def test_a_moment_is_what_a_run_that_has_just_got_there_shows(folder, path, step):
    """Against the live view of a run that ends there: every array and every word that is told."""
    cut_short = folder / f"until_{step}.sqlite"
    if not cut_short.exists():
        made_up.run_file(cut_short, until(step))
    live, then = opened(cut_short), moments.display(path, step)
    for name, array in then.arrays.items():
        assert np.array_equal(live.arrays[name], array, equal_nan=array.dtype.kind == "f"), name
    for name, text in then.header["texts"].items():
        assert live.header["texts"][name] == text, name
    alt = {k: v for k, v in live.header["alt"].items() if k != "step"}  # steps finished, not begun
    assert {k: v for k, v in then.header["alt"].items() if k != "step"} == alt
    values = {tile["label"]: tile["value"] for tile in live.header["tiles"]}
    told = {tile["label"]: tile["value"] for tile in then.header["tiles"]}
    assert told.pop("Status") == "replay"
    assert told.pop("Step") == f"{step:,}"
    for label, value in told.items():
        assert values[label] == value, label


@pytest.mark.parametrize(("since", "last"), [(0, 40), (41, None), (50, 200), (7, 7), (999, None)])
def test_a_cut_keeps_the_rows_and_events_of_its_steps_and_the_rest_whole(path, since, last):
    whole = opened(path).columns()
    part = cuts.cut(whole, since, last)
    end = np.inf if last is None else last
    for name, array in whole.items():
        if name == "events":
            assert part[name] == [e for e in array if since <= e["step"] <= end]
        elif axis := whole["grows"].get(name):
            steps = whole[cuts.KEYS[axis]]
            rows = [row for row, at in zip(array, steps, strict=True) if since <= at <= end]
            assert len(part[name]) == len(rows), name
            assert all(
                np.array_equal(a, b, equal_nan=True)
                for a, b in zip(part[name], rows, strict=True)
                if np.asarray(a).dtype.kind == "f"
            )
        else:
            assert part[name] is array, name


def test_a_step_that_was_not_recorded_is_refused_with_the_nearest(path):
    with pytest.raises(EngineError, match="no record of step 299; the nearest one is of step 295"):
        moments.display(path, 299)
    with pytest.raises(EngineError, match="There is no run file"):
        moments.frame(path.with_name("none.sqlite"), 0)


def test_a_run_without_records_has_no_moment(folder):
    empty = made_up.run_file(folder / "empty.sqlite", status=store.QUEUED)
    with pytest.raises(EngineError, match="it has none yet"):
        moments.display(empty, 0)


def test_a_branch_is_drawn_from_where_it_left_its_parent(path):
    columns = opened(path).columns()
    parent = Side(columns=columns, label="Parent", colour="#2a7fc9")
    branch = Side(columns=columns, label="Branch", colour="#b97a00", dash="dash", since=150)
    figure = comparison.loss([parent, branch], Options())
    lines = [t for t in figure.data if t.name in ("Parent", "Branch") and t.x is not None]
    for trace in lines:
        starts = [x for x in trace.x if x is not None]
        assert min(starts) >= (150 if trace.name == "Branch" else 0)
    assert max(lines[0].x) == max(lines[1].x)
    # The events of the shared past are the parent's alone: their lines are in its colour.
    colours = {shape.x0: shape.line.color for shape in figure.layout.shapes}
    assert colours == {40: "#2a7fc9", 200: theme.LIGHT["event"]}
    texts = [told.text for told in figure.layout.annotations]
    assert texts[0] == "Parent: relu"
    assert texts[1] == "Parent: layer, Branch: layer"


def test_neighbouring_events_share_a_label_and_too_many_of_several_are_left_out():
    def side(steps, label=""):
        told = [{"step": s, "kind": "change", "short": f"<{s}>", "words": str(s)} for s in steps]
        return Side(columns={"events": told}, label=label, colour="#123456")

    def place(one, step):
        return float(step)

    lines = event_lines.told([side([0, 1, 2, 3, 4, 500])], place, "#ff0000")
    shapes, labels = event_lines.drawn(lines, 1000, {})
    assert [shape["x0"] for shape in shapes] == [0, 1, 2, 3, 4, 500]
    assert [told["text"] for told in labels] == [
        "&lt;0&gt;, &lt;1&gt;, &lt;2&gt; and 2 more",
        "&lt;500&gt;",
    ]
    several = [side(range(7), "a"), side(range(100, 107), "b")]
    assert event_lines.told(several, place, "#ff0000") == []
    assert len(event_lines.told(several[:1], place, "#ff0000")) == 7


def test_phases_are_lines_of_one_run_but_not_of_several():
    told = [{"step": 5, "kind": "phase", "short": "phase 2", "words": "Phase 2."}]
    side = Side(columns={"events": told}, label="a", colour="#123456")
    one = event_lines.told([side], lambda one, step: step, "#ff0000")
    assert one == [(5, "#123456", "phase 2", "Phase 2.")]
    assert event_lines.told([side, side], lambda one, step: step, "#ff0000") == []


# -- the browser follows the same rules ----------------------------------------------------------

SCRIPT = """
import { readFileSync } from 'node:fs';
import { axisEnd, filled, placesOf } from './bindings.js';
import { Cut, seen } from './cuts.js';
import { drawn, told } from './event_lines.js';
import { decode, momentOf, RunState } from './frames.js';
const given = JSON.parse(readFileSync(new URL('given.json', import.meta.url)));
const bytes = (path) => Uint8Array.from(readFileSync(path)).buffer;
const run = new RunState('a');
run.apply(decode(bytes(given.frame)));
const plain = (value) =>
  ArrayBuffer.isView(value) || Array.isArray(value) ? Array.from(value, plain) : Number.isNaN(value) ? null : value;
const of = (traces) => traces.map(({ x, y, z, text }) => [x, y, z, text].map((part) => plain(part) ?? null));
const replayed = given.moments.map(([step, path]) => {
  const cut = new Cut(run, { until: step, moment: { step, ...momentOf(bytes(path)) } });
  return Object.fromEntries(Object.entries(given.lab).map(([name, figure]) =>
    [name, of(filled(figure, [{ run: cut }], given.options, given.colours))]));
});
const sides = seen(given.sides.map((side) => ({ ...side, run })));
const lines = told(sides, (one, step) => placesOf(one, given.options.step_axis)(step), '#ff0000');
console.log(JSON.stringify({
  replayed, end: axisEnd(sides, given.options.step_axis),
  branch: Object.fromEntries(Object.entries(given.several).map(([name, figure]) =>
    [name, of(filled(figure, sides, given.options, given.colours))])),
  events: drawn(lines, 300, { size: 14 }),
  stamps: given.moments.map(([step]) => new Cut(run, { until: step }).stamp(['grad_log10'])),
}));
"""
OPTIONS = {"kind": "weight", "layer": 3, "layers": 0, "step_axis": "seconds", "depth": "layer"}
OPTIONS |= {"profile": "signal", "theory": "shown"}


@pytest.fixture(scope="module")
def told(path, tmp_path_factory):
    """What the browser's modules make of the run: at three moments, and as parent and branch."""
    if not (program := shutil.which("node")):
        skip_or_fail("node is not installed here")
    from ui import comparison_live, live

    place = tmp_path_factory.mktemp("node")
    for asset in ASSETS.glob("*.js"):
        shutil.copy(asset, place)
    (place / "package.json").write_text('{"type": "module"}')
    whole = frames.difference(frames.NOTHING, opened(path))
    (place / "whole").write_bytes(frames.encode(whole, run="a", seq=1, full=True))
    steps = (0, 50, 125)
    for step in steps:
        (place / str(step)).write_bytes(moments.frame(path, step))
    sides = [{"label": one.label, "colour": one.colour, "dash": one.dash} for one in looks()]
    several = comparison_live.figures_json()
    given = {
        "frame": str(place / "whole"),
        "moments": [[step, str(place / str(step))] for step in steps],
        "lab": live.figures_json(),
        "several": {name: several[name] for name in comparison.COMPARISON},
        "options": OPTIONS | {"part": "validation"},
        "colours": theme.LIGHT,
        "sides": [
            side | {"since": one.since, "symbol": one.symbol}
            for side, one in zip(sides, looks(), strict=True)
        ],
    }
    (place / "given.json").write_text(json.dumps(given))
    (place / "script.js").write_text(SCRIPT)
    done = subprocess.run([program, place / "script.js"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return dict(zip(steps, (r for r in json.loads(done.stdout)["replayed"]), strict=True)), (
        json.loads(done.stdout)
    )


def looks(columns=bindings.NO_DATA):
    return [
        Side(columns=columns, label="Parent", colour="#2a7fc9"),
        Side(columns=columns, label="Branch <b>", colour="#b97a00", dash="dash", since=125),
    ]


def same(one, other):
    """Whether two attributes are the same: lists, numbers within float32's, None for no number."""
    if isinstance(one, np.ndarray | tuple | list):
        other = other or []
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float | int | np.number):
        missing = other is None and np.isnan(one)
        return missing or one == pytest.approx(other, rel=1e-5, abs=1e-6)
    return one == other or not (one or other)


def compared(made, drawn, case):
    shown = [trace for trace in made.data if trace.visible is not False]
    assert len(shown) == len(drawn), case
    for mine, theirs in zip(shown, drawn, strict=True):
        for part, other in zip(("x", "y", "z", "text"), theirs, strict=True):
            one = getattr(mine, part, None)
            assert same([] if one is None else one, other or []), (case, part)


def test_the_browser_shows_a_moment_as_python_draws_it(told, path):
    options = Options(**{k: v for k, v in OPTIONS.items() if k not in ("depth", "layers")})
    whole = opened(path).columns()
    for step, drawn in told[0].items():
        then = moments.display(path, step)
        columns = cuts.cut(whole, until=step) | then.arrays | then.header["texts"]
        for name, figure in figures.FIGURES.items():
            compared(figure(columns, options), drawn[name], (step, name))


def test_the_browser_draws_a_branch_and_its_events_as_python_does(told, path):
    options = Options(**{k: v for k, v in OPTIONS.items() if k not in ("depth", "layers")})
    sides = looks(opened(path).columns())
    for name, figure in comparison.COMPARISON.items():
        compared(figure(sides, options), told[1]["branch"][name], name)
    cut = [bindings.seen(side) for side in sides]
    assert told[1]["end"] == pytest.approx(bindings.axis_end(cut, options))
    lines = event_lines.told(
        cut,
        lambda side, step: float(bindings.on_step_axis([step], "seconds", side.columns)[0]),
        "#ff0000",
    )
    shapes, labels = event_lines.drawn(lines, 300, {"size": 14})
    assert [shape["x0"] for shape in shapes] == pytest.approx(
        [shape["x0"] for shape in told[1]["events"]["shapes"]]
    )
    for mine, theirs in zip(labels, told[1]["events"]["annotations"], strict=True):
        assert {k: v for k, v in mine.items() if k != "x"} == {
            k: v for k, v in theirs.items() if k != "x"
        }


# -- what a link says ----------------------------------------------------------------------------


def test_a_link_with_a_step_and_hidden_parts_is_read_with_distrust():
    good = links.read({"step": ["120"], "hide": ["tiles,sidebar,tiles"]})
    assert (good.view, good.ignored) == ({"step": 120, "hide": ("tiles", "sidebar")}, {})
    bad = links.read({"step": ["-1"], "hide": ["tiles,nonsense"]})
    assert bad.view == {"hide": ("tiles",)}
    assert bad.ignored["step"] == "step is -1; it must be a whole number from 0."
    assert bad.ignored["hide"].startswith("hide names nonsense; it can hide sidebar, ")
    _, ignored = links.read_comparison({"hide": ["loss,x"]})
    assert ignored["hide"].startswith("hide names x; it can hide ")
