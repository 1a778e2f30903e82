"""The Theory page: its link, its answers in every state, its figures and its sentences."""

import json
import math
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient
from streamlit.testing.v1 import AppTest
from test_hub import hub_of
from test_pages import said
from trained import small, trained

from engine import phase_diagram, runs, store
from engine.errors import SpecError
from engine.network import ACTIVATIONS
from engine.records import ROW, InputKernel
from engine.spec import RunSpec
from ui import routes, theory_answers, theory_columns, theory_link, theory_words
from ui.later import Later
from ui.probes import Answer
from ui.theory_figures import RANGES, THEORY_FIGURES

MAIN = Path(__file__).parent.parent / "pages" / "main.py"
KERNEL = {
    "batch_size": 64,
    "same_share": 0.1,
    "variance": 0.232,
    "harmonic": 0.225,
    "same": 0.191,
    "different": 0.152,
    "gram": None,
    "labels": None,
}


class Probe:
    """Answers as the measuring process would, with seeds that shrink by 0.1 per layer."""

    def __init__(self, seeds=30, *, done=True, kernel=True, **fault):
        self.seeds, self.done, self.kernel, self.fault = seeds, done, kernel, fault
        self.viewers = []

    def ask(self, kind, spec, *, viewer="", **more):
        self.viewers.append(viewer)
        if kind == "kernel":
            rows = ({"kernel": KERNEL},) if self.kernel else ()
            return Answer(rows=rows, done=self.kernel, begun=self.kernel, **self.fault)
        rows = tuple(row(spec, seed) for seed in range(1, self.seeds + 1))
        return Answer(rows=rows, done=self.done, begun=bool(rows), **self.fault)


def row(spec, seed):
    """A seed of a network whose gradient falls by 10 per layer, a hundredth of a decade apart."""
    delta = 10.0 ** (np.arange(spec.layers) - spec.layers + 0.01 * seed)
    square = np.full(spec.layers, 0.5)
    return {
        "seed": seed,
        "spent": 0.03 * seed,
        "delta_rms": delta,
        "grad_rms": delta * 3,
        "preactivation_square": square,
        "preactivation_pair": square * 0.9,
    }


def answer(probe, fields=(), **asked):
    """What the browser is told when all that is computed later is there."""
    theory = theory_answers.Theory(probe, Now())
    told = theory.network(dict(fields) | asked)
    json.dumps(told, allow_nan=False)
    return told


class Now(Later):
    """Computes at once."""

    def get(self, key, compute):
        return compute()


# -- answers ---------------------------------------------------------------------------------------


def test_theory_and_thirty_seeds_are_told_together():
    told = answer(Probe())
    assert told["done"]
    assert told["progress"] == "Measured 30 seeds of untrained networks in 0.9 s."
    assert told["sigma_w"] == pytest.approx(1 / math.sqrt(3))
    columns = told["columns"]
    theory = columns["theory_delta"]["values"]
    steps = np.diff(theory)[:-1]
    assert steps == pytest.approx(np.full(6, -math.log10(0.141)), abs=0.02), "theory notes, 0.6"
    assert columns["measured_delta"]["values"][0] == pytest.approx(-8 + 0.155)
    assert columns["measured_delta_sd"]["values"][0] == pytest.approx(
        0.01 * np.std(np.arange(30), ddof=1), rel=1e-5
    )
    assert columns["profile_range"] == [-13, 1]
    assert "measured ×0.100 and 1.00·10⁻⁶ (30 seeds)" in told["formula"][1]
    assert "×0.141 per layer" in told["formula"][1]


def test_theory_is_of_the_mean_batch_once_all_seeds_are_measured():
    """Where all examples look alike, dL/dW is what the classes' frequencies of its batch are off by."""

    class Uneven(Probe):
        def ask(self, kind, spec, **more):
            told = super().ask(kind, spec, **more)
            if kind == "kernel":
                return told
            shares = {row["seed"]: 0.1 + 0.02 * (row["seed"] % 2) for row in told.rows}
            rows = tuple(
                row | {"kernel": KERNEL | {"same_share": shares[row["seed"]]}} for row in told.rows
            )
            return replace(told, rows=rows)

    one, mean = (answer(Uneven(done=done))["columns"]["theory_grad"] for done in (False, True))
    wanted = InputKernel(**(KERNEL | {"same_share": 0.11}))
    found = theory_answers.theory.predict(RunSpec(), wanted).log10_grad_rms
    assert mean["values"] == pytest.approx(found, rel=1e-5)
    assert mean["values"][0] > one["values"][0] + 0.01


def test_nothing_is_measured_yet_and_theory_waits_for_the_batch():
    told = answer(Probe(0, done=False, kernel=False))
    assert not told["done"]
    assert "Starting the measuring process" in told["progress"]
    assert "theory_delta" not in told["columns"]


def test_while_it_measures_theory_is_there_and_the_seeds_are_counted():
    told = answer(Probe(12, done=False))
    assert not told["done"]
    assert told["progress"] == "Measuring: 12 of 30 seeds."
    assert told["seeds"] == 12
    assert "theory_delta" in told["columns"]


def test_a_probe_that_fails_is_a_sentence_and_the_asking_ends():
    sentence = "The measuring process ended unexpectedly (code -9)."
    told = answer(Probe(0, kernel=False, error=sentence))
    assert told["done"]
    assert told["failed"]
    assert told["progress"] == f"Not measured: {sentence}"
    missing = "CIFAR-10 is not on this machine; here are digits."
    assert missing in answer(Probe(0, kernel=False, error=missing))["progress"]
    note = "The measuring process ended unexpectedly and was started anew."
    assert answer(Probe(3, done=False, note=note))["progress"].endswith(note)


@pytest.mark.parametrize(
    ("asked", "sentence"),
    [
        ({"depth": "0"}, "depth is 0; it must be a whole number from 1 to 100."),
        ({"skip": "published", "depth": "2"}, "skip is published"),
        ({"run": "nonsense"}, "'nonsense' is not a run's id"),
    ],
)
def test_a_network_that_cannot_be_is_refused_in_one_sentence(asked, sentence):
    told = answer(Probe(), asked)
    assert sentence in told["refused"]
    assert told["done"]
    assert told["columns"] == {}


def test_where_theory_fails_its_line_is_grey_and_says_why():
    told = answer(Probe(), activation="tanh", init="normal", std="10")
    assert not told["valid"]
    assert told["validity"].startswith("Theory is greyed: Only ")
    assert "grey_delta" in told["columns"]
    assert "theory_delta" not in told["columns"]
    whole = answer(Probe(), activation="tanh")
    assert whole["valid"]
    assert "of 128 units carry gradient" in whole["validity"]


def test_a_run_s_own_first_step_is_drawn_and_theory_is_of_its_batch():
    spec = small(steps=1)
    run = trained(spec)
    told = answer(Probe(), theory_link.fields_of(spec), run=run)
    with store.Reader(runs.path(run)) as reader:
        record, kernel = reader.record(0), reader.kernel()
    wanted = np.log10(record.scalars[ROW["delta_rms"]])
    assert told["columns"]["run_delta"]["values"] == pytest.approx(wanted, rel=1e-5)
    found = theory_answers.theory.predict(spec, kernel).log10_delta_rms
    assert told["columns"]["theory_delta"]["values"] == pytest.approx(found, rel=1e-5)


def test_what_takes_long_comes_later_and_is_asked_for_once():
    theory = theory_answers.Theory(Probe())
    first = theory.network({"activation": "tanh", "init": "normal", "std": "0.2"})
    assert not first["done"]
    assert "…" in first["formula"][0]
    while not (told := theory.network({"activation": "tanh", "init": "normal", "std": "0.2"}))[
        "done"
    ]:
        pass
    assert "χ_{1} = σ_{w}^{2}" in told["formula"][0]
    assert "5.12" in told["formula"][0], "sigma_w^2 is 128 times 0.2^2"


def test_the_newest_of_many_questions_is_computed_first_and_older_ones_are_dropped():
    later, done = Later(waiting=2), []
    with later.lock:  # none begins before all are asked
        for number in range(1, 6):
            later.get(number, lambda number=number: done.append(number) or number)
    while later.thread is not None:
        time.sleep(0.001)
    assert done == [5, 4]
    assert later.get(5, lambda: None) == 5


# -- arrays, sentences, figures --------------------------------------------------------------------


def test_seeds_without_a_number_are_left_out_of_the_mean_but_told_where_there_is_no_other():
    spec = RunSpec(depth=2)
    rows = [row(spec, seed) for seed in (1, 2)]
    for one in rows:
        one["delta_rms"] = np.array([0.0, math.inf, 1e-3])
    rows[0]["delta_rms"][2] = 0.0
    columns = {"layer_names": ["1", "2", "out"]} | theory_columns.measured(rows, spec.layers)
    columns |= theory_columns.ranges(columns)
    assert np.isnan(columns["measured_delta"][:2]).all()
    assert columns["measured_delta"][2] == -3
    low, high = columns["profile_range"]
    end = columns["measured_delta_end"]
    assert low < end[0] < low + 1, "exactly 0 stands at the lower end"
    assert high - 1 < end[1] < high
    assert math.isnan(end[2])


def test_where_float32_failed_the_float64_measurement_is_drawn():
    spec = RunSpec(depth=1)
    one = row(spec, 1) | {"double": {"delta_rms": [1e-60, 1e-3], "grad_rms": [1e-59, 1e-3]}}
    assert theory_columns.measured([one], 2)["measured_delta"] == pytest.approx([-60, -3])
    columns = {"layer_names": ["1", "out"]} | theory_columns.measured([one], 2)
    found = theory_columns.ranges(columns)
    assert found["profile_range"] == [-100, 1]
    limits = {name: found[f"limit_{name}"][0] for name in theory_columns.LIMITS}
    assert limits == pytest.approx({"adam": -8, "normal": -37.93, "smallest": -44.85}, abs=0.01)


def test_what_differs_between_examples_is_measured_and_predicted_alike():
    """(1 - c) q, with c over all pairs: for theory, both kinds of pairs by their shares."""
    told = answer(Probe(), activation="identity", depth="1", init="normal", std="0.05")
    columns = {name: value["values"] for name, value in told["columns"].items() if "shape" in value}
    square = 64 * 0.05**2 * KERNEL["variance"]
    different = 1 - 1 / 64 - KERNEL["same_share"]
    pair = (KERNEL["same_share"] * KERNEL["same"] + different * KERNEL["different"]) / (1 - 1 / 64)
    assert columns["theory_square"][0] == pytest.approx(math.log10(square), abs=1e-4)
    assert columns["theory_pair"][0] == pytest.approx(pair / KERNEL["variance"], rel=1e-4)
    spread = math.log10(square - 64 * 0.05**2 * pair)
    assert columns["theory_spread"][0] == pytest.approx(spread, abs=1e-4)
    assert columns["measured_pair"][0] == pytest.approx(0.9)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_phase_diagram_is_red_on_the_left_and_blue_on_the_right_of_its_line(
    activation, monkeypatch
):
    monkeypatch.setattr(theory_columns, "CELLS", (71, 11))
    columns = theory_columns.phase(activation)
    chi = columns["phase_chi"]
    assert chi.shape == (len(columns["phase_sigma_b"]), len(columns["phase_sigma_w"]))
    assert chi[0, 0] < 0 < chi[0, -1]
    for sigma_w, sigma_b in zip(
        columns["critical_sigma_w"], columns["critical_sigma_b"], strict=True
    ):
        if sigma_b > theory_columns.SIGMA_B[1]:
            continue
        line = chi[np.abs(columns["phase_sigma_b"] - sigma_b).argmin()]
        near = np.abs(np.log(columns["phase_sigma_w"] / sigma_w))
        assert line[np.argmin(near)] == pytest.approx(0, abs=0.25)
    assert len(columns["region_words"]) == len(columns["region_sigma_w"]) == 2
    json.dumps(theory_answers.as_json(columns), allow_nan=False)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("std", [0.01, 0.1, 1.0, 10.0])
def test_every_place_is_told_in_words_without_a_gap(activation, std):
    spec = RunSpec(activation=activation, init="normal", std=std)
    sigma_w, sigma_b = phase_diagram.place(spec)
    point = phase_diagram.fixed_point(activation, sigma_w, sigma_b)
    lines = [
        *theory_words.formula(spec, sigma_w, point, None, {}),
        theory_words.scales(point, spec),
        theory_words.place(sigma_w, sigma_b, point, spec),
    ]
    for line in lines:
        assert "NaN" not in line
        assert "nan" not in line
        assert line.endswith(("network.", "."))
    assert f"= {theory_words.number(point.chi)} " in lines[0]


def test_one_hidden_layer_has_no_layer_below():
    assert "no layer below" in answer(Probe(), depth="1")["formula"][1]


@pytest.mark.parametrize(
    "fields", [{"norm": "layer"}, {"skip": "every"}, {"gradient_rule": "unit_rms"}]
)
def test_where_the_diagram_is_of_another_network_it_says_so(fields):
    told = answer(Probe(), fields)
    assert "the diagram is of the same network without" in told["plain"]
    assert told["formula"][0].startswith("Its plain twin: χ")
    assert told["scales"].startswith("Its plain twin: ξ")
    assert "this network has" not in told["scales"]
    assert "other_net_sigma_w" in told["columns"]
    assert "net_sigma_w" not in told["columns"]
    assert answer(Probe())["plain"] == ""


def columns_of(**fields):
    told = answer(Probe(), fields)["columns"] | theory_answers.as_json(
        theory_columns.phase(fields.get("activation", "sigmoid"))
    )
    return {
        name: np.array(value["values"], float).reshape(value["shape"])
        if "shape" in value
        else value
        for name, value in told.items()
    }


@pytest.mark.parametrize("name", THEORY_FIGURES)
def test_every_figure_is_filled_from_an_answer_and_says_what_it_shows(name):
    empty, figure = THEORY_FIGURES[name](), THEORY_FIGURES[name](columns_of(activation="tanh"))
    meta = figure.layout.meta
    assert meta["title"]
    assert meta["caption"].endswith(".")
    assert meta["alt"]
    filled = [trace for trace in figure.data if trace.visible is not False]
    assert any(np.size(trace.x) > 1 for trace in filled)
    if name in RANGES:
        assert figure.layout.yaxis.range == empty.layout.yaxis.range, "the axis stands still"
    told = answer(Probe())["alt"]
    assert "{" not in (meta["title"] + meta["alt"]).format(**told)


def test_grey_theory_is_drawn_grey():
    figure = THEORY_FIGURES["predicted_profile"](columns_of(init="normal", std="10"))
    shown = {trace.name for trace in figure.data if trace.visible and trace.name}
    assert "theory, not to be trusted" in shown
    assert "thick: theory, dL/dz" not in shown


# -- link and page ---------------------------------------------------------------------------------


def test_a_network_goes_into_the_link_and_comes_back():
    spec = RunSpec(depth=20, activation="tanh", init="normal", std=0.1, data="moons", batch_size=8)
    text = theory_link.written(theory_link.fields_of(spec))
    back = theory_link.read({"net": [text]})
    assert not back.ignored
    assert theory_link.spec_of(back.fields) == spec
    other = spec.changed({"learning_rate": 3.0, "epochs": 2, "optimizer": "adam"})
    assert theory_link.written(theory_link.fields_of(other)) == text, "the first step is the same"
    assert theory_link.written(theory_link.fields_of(RunSpec())) == ""


def test_nonsense_in_the_link_is_one_sentence_each():
    net = theory_link.read({"net": ["depth=0,colour=red,activation=tanh,std"], "shape": ["round"]})
    assert net.fields == {"activation": "tanh"}
    assert len(net.ignored) == 4
    assert "depth is 0; it must be a whole number from 1 to 100." in net.ignored
    assert theory_link.read({"depth": ["3"]}).fields == {"depth": 3}, "as the Lab's link has it"
    with pytest.raises(SpecError):
        theory_link.spec_of({"skip": "published", "depth": 2})


def opened(**query):
    page = AppTest.from_file(MAIN, default_timeout=30)
    page.run().switch_page("theory.py")
    for name, value in query.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception[0].value
    return page


def mounted(page):
    """What the component was given."""
    told = (json.loads(one.proto.json)[0] for one in page.get("bidi_component"))
    (found,) = [data for data in told if "sigma_w" in data]
    return found


def test_the_page_shows_the_network_of_its_link():
    page = opened(net="activation=tanh,depth=20")
    assert mounted(page)["fields"] == {"activation": "tanh", "depth": "20"}
    assert page.number_input(key="theory_depth").value == 20
    page.selectbox(key="theory_init").select("kaiming_normal").run()
    assert page.query_params["net"] == "depth=20,activation=tanh,init=kaiming_normal"
    assert mounted(page)["fields"]["init"] == "kaiming_normal"


def test_the_slider_s_rest_is_written_into_the_link(monkeypatch):
    from ui import theory_controls

    state = {"theory": {"std": 0.0884321}, "theory_fields": {"depth": 3, "init": "xavier_normal"}}
    monkeypatch.setattr(theory_controls, "_write", lambda told: state.update(link=told))
    monkeypatch.setattr(theory_controls.st, "session_state", state)
    theory_controls.slid()
    assert state["link"] == {"net": "depth=3,init=normal,std=0.08843"}


def test_a_combination_that_cannot_be_is_said_beside_the_controls():
    page = opened(net="skip=published,depth=2")
    assert "skip is published" in said(page)
    assert mounted(page)["fields"]["skip"] == "published"


def test_what_the_link_says_in_vain_is_told():
    page = opened(net="depth=500", colour="red")
    assert "depth is 500" in said(page)
    assert "colour is nothing that the Theory page can show." in said(page)
    assert mounted(page)["fields"] == {}


def test_a_run_can_be_opened_on_it_and_any_change_leaves_it():
    run = runs.create(RunSpec(depth=5, activation="relu", optimizer="adam"))
    page = opened(run=run)
    assert mounted(page)["run"] == run
    assert mounted(page)["fields"] == {"depth": "5", "activation": "relu"}
    assert f"The network of run {run}" in said(page)
    page.number_input(key="theory_depth").set_value(6).run()
    assert mounted(page)["run"] == ""
    assert page.query_params["net"] == "depth=6,activation=relu"
    unknown = opened(run="20200101-000000-abcd")
    assert "There is no run 20200101-000000-abcd" in said(unknown)
    assert mounted(unknown)["run"] == ""


def test_it_begins_with_the_lab_s_settings_and_takes_them_again():
    page = AppTest.from_file(MAIN, default_timeout=30)
    page.query_params["activation"] = "relu"
    page.query_params["depth"] = "3"
    page.run()
    page.switch_page("theory.py").run()
    assert not page.exception
    assert mounted(page)["fields"] == {"activation": "relu", "depth": "3"}
    assert page.button(key="theory_take").disabled
    page.number_input(key="theory_depth").set_value(9).run()
    assert not page.button(key="theory_take").disabled
    page.button(key="theory_take").click().run()
    assert mounted(page)["fields"] == {"activation": "relu", "depth": "3"}


def test_the_routes_answer_this_server_s_pages_alone(tmp_path):
    theory = theory_answers.Theory(Probe(), Now())
    app = Starlette(routes=list(routes.routes(hub_of(tmp_path), None, lambda: theory)))
    client = TestClient(app)
    told = client.get("/live/theory", params={"depth": "3", "viewer": "me"}).json()
    assert len(told["columns"]["theory_delta"]["values"]) == 4
    assert set(theory.probes.viewers) == {"me"}
    phase = client.get("/live/phase", params={"activation": "tanh"}).json()
    assert phase["done"]
    elsewhere = {"origin": "http://evil.example"}
    for what in ("theory", "phase"):
        assert client.get(f"/live/{what}", headers=elsewhere).status_code == 403
    assert "activation is" in client.get("/live/phase?activation=x").json()["refused"]
