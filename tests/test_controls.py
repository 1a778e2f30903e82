"""The controls: every field, preset and remedy can be set, and nonsense gets its sentence."""

from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from engine import runs
from engine.presets import FREE, PRESETS
from engine.remedies import GROUPS, REMEDIES
from engine.spec import RunSpec, choices
from ui import links, spec_form, words

MAIN = Path(__file__).parent.parent / "pages" / "main.py"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty library, and no data set on disk but the embedded ones."""
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGLAB_DATA", str(tmp_path / "data"))


def lab(**query: str) -> AppTest:
    """The Lab as a link opens it."""
    page = AppTest.from_file(MAIN, default_timeout=30)
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def spec_on(page: AppTest) -> RunSpec:
    """The spec the page's controls ask for."""
    values = {name: page.session_state[name] for name in spec_form.DEFAULTS}
    return spec_form.spec_of(values)


def pills(page: AppTest) -> Any:
    return page.get_by_key("remedies")


def headers(page: AppTest) -> list[str]:
    return [group.label for group in page.expander]


def errors(page: AppTest) -> list[str]:
    return [error.value for error in page.error]


def test_a_fresh_page_asks_for_the_baseline():
    assert spec_on(lab()) == RunSpec()


def test_every_field_of_a_spec_has_a_control():
    page = lab()
    for name in RunSpec.FIELDS:
        assert page.get_by_key(name) is not None, name


def test_every_field_belongs_to_exactly_one_group_of_controls():
    grouped = [name for group in GROUPS.values() for name in group.fields]
    assert sorted(grouped) == sorted(RunSpec.FIELDS)


def test_every_preset_yields_exactly_its_spec_and_leaves_the_free_fields():
    page = lab(data="moons", seed="7", steps="30", batch_size="16")
    for name, preset in PRESETS.items():
        page.selectbox(key="preset").select(name).run()
        assert spec_on(page) == preset.spec(data="moons", seed=7, steps=30, batch_size=16), name
        assert page.selectbox(key="preset").value == name
        assert preset.note in [caption.value for caption in page.caption]


def test_settings_of_no_preset_are_called_custom():
    page = lab()
    page.number_input(key="width").set_value(99).run()
    assert page.selectbox(key="preset").value == spec_form.CUSTOM


def test_a_preset_fixes_every_field_but_the_free_ones():
    page = lab(depth="3", momentum="0.5", epochs="4")
    page.selectbox(key="preset").select("better_optimizer").run()
    spec = spec_on(page)
    assert (spec.depth, spec.momentum, spec.epochs) == (7, 0.9, 4)
    assert "epochs" in FREE


def test_every_remedy_sets_its_fields_and_switched_off_returns_the_baseline():
    page = lab()
    for name, remedy in REMEDIES.items():
        pills(page).set_value([name]).run()  # and the one before it off
        assert spec_on(page) == remedy.apply(RunSpec()), name
        assert pills(page).value == [name]
        assert any(remedy.idea in caption.value for caption in page.caption)
    pills(page).set_value([]).run()
    assert spec_on(page) == RunSpec()


def test_remedies_combine():
    page = lab()
    for name in ("better_activation", "batchnorm", "skip"):
        pills(page).set_value([*pills(page).value, name]).run()
    spec = spec_on(page)
    assert (spec.activation, spec.norm, spec.skip) == ("relu", "batch", "published")


def test_of_two_remedies_for_one_field_the_newer_stays():
    page = lab(activation="relu")
    pills(page).set_value(["better_activation", "tanh"]).run()
    assert spec_on(page).activation == "tanh"
    assert pills(page).value == ["tanh"]


def test_every_groups_header_shows_its_value():
    page = lab()
    values = RunSpec().model_dump() | {"batch_size": None}
    for key, group in GROUPS.items():
        assert f"**{group.title}:** {words.SUMMARIES[key](values)}" in headers(page)
    page.selectbox(key="activation").select("tanh").run()
    assert any(text.startswith("**Activation:** tanh") for text in headers(page))


def test_a_header_is_marked_in_words_where_it_differs_from_the_baseline():
    assert not any("changed" in text for text in headers(lab()))
    page = lab(optimizer="adam")
    assert [text for text in headers(page) if "◆ changed" in text] == [
        "**Optimizer:** Adam, rate 0.01 :blue[**◆ changed**]"
    ]


def test_a_field_that_changes_nothing_now_is_disabled_and_says_why():
    page = lab(std="3")
    assert page.number_input(key="std").disabled
    assert "only for initialisation = normal" in page.number_input(key="std").label
    assert not any("changed" in text for text in headers(page))
    page.selectbox(key="init").select("normal").run()
    assert not page.number_input(key="std").disabled
    assert spec_on(page).std == 3


def test_every_rule_of_what_matters_names_values_that_exist():
    for name, (decider, values) in words.MATTERS.items():
        assert values == {None} or values <= set(choices(decider)), name


IMPOSSIBLE = [("depth", 0), ("depth", 1000), ("std", -1.0), ("learning_rate", 0.0), ("seed", -1)]


def test_a_value_that_cannot_be_gets_its_sentence_and_train_is_disabled():
    page = lab(init="normal")
    for field, value in IMPOSSIBLE:
        page.number_input(key=field).set_value(value).run()
        sentence = f"{field} is {value}; it must be "
        assert [text for text in errors(page) if text.startswith(sentence)], errors(page)
        assert page.button(key="train").disabled
        assert any(sentence in caption.value for caption in page.caption), "said under Train too"
        assert any("not possible" in text for text in headers(page))
        page.number_input(key=field).set_value(spec_form.DEFAULTS[field]).run()
        assert not errors(page)
        assert not page.button(key="train").disabled


def test_a_combination_that_means_nothing_gets_its_sentence_beside_its_field():
    page = lab(skip="published", depth="2")
    assert errors(page) == [
        "skip is published; it adds layer 1 to layer 3, so depth must be from 3 to 100, "
        "and it is 2."
    ]
    group = page.expander(key="group_skip")
    assert len(group.error) == 1


def test_a_slider_and_its_number_stay_the_same():
    page = lab()
    page.select_slider(key="learning_rate_slider").set_value(0.1).run()
    assert page.number_input(key="learning_rate").value == 0.1
    page.number_input(key="learning_rate").set_value(0.0123).run()
    assert page.select_slider(key="learning_rate_slider").value == 0.0123
    assert spec_on(page).learning_rate == 0.0123


@pytest.mark.parametrize("field", list(spec_form.SLIDERS))
def test_a_sliders_stops_are_values_the_field_allows(field):
    for stop in spec_form.SLIDERS[field]:
        RunSpec(**{field: stop})
    assert spec_form.DEFAULTS[field] in spec_form.SLIDERS[field] or field == "weight_decay"


def test_a_data_set_that_is_not_here_says_that_it_will_be_downloaded():
    page = lab(data="mnist")
    texts = [caption.value for caption in page.caption]
    assert any("MNIST (will be downloaded): 60,000 examples" in text for text in texts)
    assert any("cifar10 (will be downloaded)" in text for text in texts)
    assert not any("digits (will be downloaded)" in text for text in texts)


def test_the_default_data_set_is_the_one_that_is_on_disk(monkeypatch):
    monkeypatch.setattr(runs, "default_data", lambda: "fashion_mnist")
    monkeypatch.setattr(runs, "data_here", lambda: ("digits", "fashion_mnist"))
    page = lab()
    assert spec_on(page) == RunSpec(data="fashion_mnist")
    assert spec_on(page).batch_size == 512


def test_controls_write_themselves_into_the_link_and_defaults_leave_it():
    page = lab()
    assert dict(page.query_params) == {}
    page.selectbox(key="preset").select("better_activation").run()
    assert dict(page.query_params) == {
        "init": "normal",
        "activation": "relu",
        "learning_rate": "0.001",
    }
    page.selectbox(key="preset").select("baseline").run()
    assert dict(page.query_params) == {}


@pytest.mark.parametrize("name", list(PRESETS))
def test_every_preset_fits_in_a_link(name):
    values = spec_form.DEFAULTS | dict(PRESETS[name].changes)
    link = {n: [str(v)] for n, v in values.items() if v != spec_form.DEFAULTS[n]}
    read = links.read(link)
    assert not read.ignored
    assert spec_form.spec_of(spec_form.DEFAULTS | read.fields) == PRESETS[name].spec()


NONSENSE = {
    "depth": ("0", "depth is 0; it must be a whole number from 1 to 100."),
    "learning_rate": ("nan", "learning_rate is nan; it must be from 1e-08 to 1000."),
    "activation": ("step", "activation is step; it must be one of sigmoid, tanh"),
    "data": ("mnits", "data is mnits; it must be one of digits"),
    "widht": ("64", "widht is not a field of a run; did you mean width?"),
    "width": ("many", "width is many; it must be a whole number from 2 to 2048."),
    "seed": ("", "seed is empty; it must be a whole number"),
    "kind": ("sound", "kind is sound; it must be one of gradient, weight, activation."),
    "layer": ("0", "layer is 0; it must be from 1 to 101."),
    "axis": ("round", "axis is round; it must be one of linear, log."),
    "profile": ("weights", "profile is weights; it must be one of signal, gradient."),
}


@pytest.mark.parametrize("name", list(NONSENSE))
def test_nonsense_in_a_link_is_ignored_with_one_sentence(name):
    value, sentence = NONSENSE[name]
    read = links.read({name: [value]})
    assert list(read.ignored) == [name]
    assert read.ignored[name].startswith(sentence)
    assert not read.fields
    assert not read.view


def test_a_parameter_given_twice_is_ignored():
    assert links.read({"depth": ["3", "4"]}).ignored == {
        "depth": "depth is given 2 times; once is allowed."
    }


def test_what_a_link_leaves_open_is_none():
    assert links.read({"steps": [""], "batch_size": [""]}).fields == {
        "steps": None,
        "batch_size": None,
    }


def test_differences_name_the_value_and_the_baselines():
    spec = PRESETS["better_activation"].spec(data="fashion_mnist")
    assert words.differences(spec) == (
        "activation relu (sigmoid), initialisation normal (pytorch), learning rate 0.001 (0.01)"
    )
    assert words.differences(RunSpec(data="cifar10")) == ""
