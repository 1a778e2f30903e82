"""What the page moves stays moved, though a browser that has not heard of it sends what was before.

A browser sends all its controls with each change. So each test moves a control by way of another,
and then sends a third, with the first as it was.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import runs
from engine.presets import PRESETS
from engine.remedies import REMEDIES
from engine.spec import RunSpec
from ui import links, spec_form, unheard

MAIN = Path(__file__).parent.parent / "pages" / "main.py"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty library, embedded data, and a browser that takes its time."""
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGLAB_DATA", str(tmp_path / "data"))
    monkeypatch.setattr(unheard, "WAIT_S", 60.0)


@pytest.fixture
def started(monkeypatch):
    """The specs that Train was pressed for; none of them trains."""
    specs: list[RunSpec] = []

    def start(spec, preset=""):
        specs.append(spec)
        return runs.create(spec, preset=preset)

    monkeypatch.setattr(runs, "start", start)
    return specs


def opened(path: str = "", **query: str) -> AppTest:
    page = AppTest.from_file(MAIN, default_timeout=30)
    if path:
        page.run().switch_page(path)
    for name, value in query.items():
        page.query_params[name] = value
    return sound(page.run())


def sound(page: AppTest) -> AppTest:
    assert not page.exception, page.exception[0].value
    return page


def put(page: AppTest, key: str, value: Any) -> AppTest:
    """Set a control, as it goes along with the next `run`."""
    page.get_by_key(key).set_value(value)
    return page


def asked(page: AppTest) -> RunSpec:
    sound(page)
    return spec_form.spec_of({name: page.session_state[name] for name in spec_form.DEFAULTS})


@pytest.mark.parametrize("name", list(REMEDIES))
def test_what_a_remedy_has_set_stays_whatever_is_changed_next(name):
    page = opened()
    before = {field: page.get_by_key(field).value for field in REMEDIES[name].changes}
    put(page, "remedies", [name]).run()
    for field, value in before.items():
        put(page, field, value)
    put(page, "width", 32).run()
    assert asked(page) == REMEDIES[name].apply(RunSpec(width=32))
    assert page.get_by_key("remedies").value == [name]
    for field, value in REMEDIES[name].changes.items():
        assert page.get_by_key(field).value == value


def test_train_pressed_at_once_trains_what_the_remedy_has_set(started):
    page = opened()
    put(page, "remedies", ["better_activation"]).run()
    put(page, "activation", "sigmoid").get_by_key("train").click().run()
    sound(page)
    assert started == [RunSpec(activation="relu")]


def test_a_remedy_s_pill_that_a_number_has_put_out_does_not_undo_the_number():
    page = opened(skip="every", skip_every="2")
    assert page.get_by_key("remedies").value == ["skip_every"]
    put(page, "skip_every", 1).run()
    assert page.get_by_key("remedies").value == []
    put(page, "remedies", ["skip_every"])
    put(page, "width", 32).run()
    assert asked(page) == RunSpec(skip="every", skip_every=1, width=32)
    assert page.get_by_key("remedies").value == []


def test_a_preset_that_a_remedy_has_left_does_not_undo_the_remedy():
    page = opened()
    put(page, "remedies", ["better_activation", "skip"]).run()
    assert page.get_by_key("preset").value == spec_form.CUSTOM
    put(page, "preset", "baseline")
    put(page, "width", 32).run()
    assert asked(page) == RunSpec(activation="relu", skip="published", width=32)


def test_all_that_a_preset_has_set_stays_whatever_is_changed_next():
    page = opened()
    before = {name: page.get_by_key(name).value for name in spec_form.DEFAULTS}
    put(page, "preset", "batchnorm").run()
    moved = [name for name, value in before.items() if page.get_by_key(name).value != value]
    for name in moved:
        put(page, name, before[name])
    assert "norm" in moved
    put(page, "seed", 7).run()
    assert asked(page) == PRESETS["batchnorm"].spec(seed=7)


def test_a_number_outlives_the_slider_that_it_has_moved():
    page = opened(init="normal")
    put(page, "std", 0.3).run()
    put(page, "std_slider", 0.05).run()
    assert asked(page).std == page.get_by_key("std_slider").value == 0.3


def test_a_slider_outlives_the_number_that_it_has_moved():
    page = opened(init="normal")
    before = page.get_by_key("std").value
    put(page, "std_slider", 0.5).run()
    put(page, "std", before)
    put(page, "width", 32).run()
    assert asked(page) == RunSpec(init="normal", std=0.5, width=32)


def test_a_new_run_stays_shown_though_the_picker_still_names_the_last_one(started):
    page = opened()
    page.get_by_key("train").click().run()
    first = page.query_params["run"]
    page.get_by_key("train").click().run()
    second = page.query_params["run"]
    assert first != second
    put(page, "run_picker", first)
    put(page, "width", 32).run()
    assert page.query_params["run"] == second
    assert sound(page).get_by_key("run_picker").value == second


def test_what_is_compared_stays_though_the_picker_still_names_the_last():
    one, other = (runs.create(RunSpec(seed=seed)) for seed in (1, 2))
    page = opened("compare.py", runs=f"{one},{other}")
    put(page, "compare_runs", [one]).run()
    assert page.query_params["runs"] == one
    page.query_params["runs"] = other  # as a button of the page does it
    page.run()
    put(page, "compare_runs", [one])
    put(page, "compare_align", "epoch").run()
    assert page.query_params["runs"] == other
    assert page.query_params["align"] == "epoch"


def test_the_network_of_theory_stays_though_a_control_shows_the_last():
    page = opened("theory.py", net="activation=tanh")
    page.query_params["net"] = "activation=relu"
    page.run()
    put(page, "theory_activation", "tanh")
    put(page, "theory_depth", 9).run()
    assert sound(page).get_by_key("theory_activation").value == "relu"
    assert page.get_by_key("theory_depth").value == 9


def test_after_a_moment_what_a_control_was_moved_from_is_a_choice_again(monkeypatch):
    page = opened(init="normal")
    put(page, "std", 0.3).run()
    monkeypatch.setattr(unheard, "WAIT_S", 0.0)
    put(page, "std_slider", 0.05).run()
    assert asked(page).std == 0.05
    put(page, "remedies", ["better_activation"]).run()
    put(page, "activation", "sigmoid").run()
    assert asked(page).activation == "sigmoid"


def test_what_is_put_back_through_the_same_control_is_taken_at_once():
    page = opened()
    for pressed in (["better_activation"], [], ["better_activation"]):
        put(page, "remedies", pressed).run()
        assert asked(page).activation == ("relu" if pressed else "sigmoid")
    page = opened()
    for name in ("better_optimizer", "baseline", "better_optimizer"):
        put(page, "preset", name).run()
        assert asked(page) == PRESETS[name].spec()


#: Rows of buttons -> what they offer.
OFFERED = {
    "compare_show": links.SHOWS,
    "compare_form": links.LADDER_FORMS,
    "compare_align": links.ALIGNS,
    "compare_part": links.PARTS,
    "compare_histograms": links.KINDS,
}
#: What a control is set to, as its message to the browser says its default.
SET_TO: dict[str, Callable[[Any], Any]] = {
    "number_input": lambda widget: widget.value,
    "selectbox": lambda widget: widget.index,
    "multiselect": lambda widget: widget.indices,
    "button_group": lambda widget: [OFFERED[widget.key].index(widget.value)],
}
#: Controls that may be left open, or whose setting is in no link.
OPEN = ("compare_base", "compare_ladder", "compare_remedies", "compare_whom")


@pytest.mark.parametrize(
    ("path", "query", "least"),
    [
        ("theory.py", {"net": "activation=tanh,depth=20,norm=layer,init=normal,std=0.3"}, 12),
        ("compare.py", {"new_data": "moons", "new_epochs": "7", "seeds": "3"}, 3),
        ("compare.py", {"show": "ladder", "form": "both", "seeds": "3"}, 4),
        ("compare.py", {"runs": "", "align": "epoch", "part": "test", "histogram_layer": "2"}, 7),
    ],
)
def test_a_control_that_was_just_drawn_shows_what_it_is_set_to_from_the_first(path, query, least):
    if "runs" in query:
        query = query | {"runs": ",".join(runs.create(RunSpec(seed=seed)) for seed in (1, 2))}
    page = opened(path, **query)
    found = 0
    for kind, set_to in SET_TO.items():
        for widget in page.get(kind):
            key = widget.key or ""
            if key.startswith(("theory_", "compare_")) and key not in OPEN:
                default = widget.proto.default
                shown = default if kind in ("number_input", "selectbox") else list(default)
                assert shown == set_to(widget), widget.key
                found += 1
    assert found >= least
