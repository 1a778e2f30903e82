"""The diagnosis on its way to a person: of a live run, of a step of a replay, of several seeds, and pressed."""

import json
from pathlib import Path

import made_up
import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from engine import runs, store
from engine.diagnosis import FINDINGS, diagnose
from engine.records import ROW
from engine.remedies import REMEDIES
from engine.spec import RunSpec
from ui import diagnosed, frames, links, moments, press, share, spec_form, views

MAIN = Path(__file__).parent.parent / "pages" / "main.py"
VANISHING, HEALTHY = -1.0, 0.0  # decades of the gradient per layer


def record(step, per_layer):
    """A record of 7 hidden layers whose gradient changes by so much per layer, else well."""
    one = made_up.record(step, made_up.dying(8, per_layer))
    one.scalars[ROW["update_ratio"]] = 1e-3
    one.scalars[ROW["sample_correlation"]] = 0.5
    return one


def filled(run, items, status=store.FINISHED):
    with store.Writer(runs.path(run)) as writer:
        for item in items:
            writer.add(item)
        writer.update(status=status, started=1.0, ended=2.0)
        writer.commit((1, 1.0, max(item.step for item in items) + 1))
    return run


@pytest.fixture
def turned():
    """A run that was well for 40 steps and whose gradient vanishes since; its id."""
    return filled(
        runs.create(RunSpec(steps=100)),
        [record(n, HEALTHY if n < 40 else VANISHING) for n in range(80)],
    )


def told(header):
    return [finding["name"] for finding in header["findings"]]


def test_a_run_that_is_watched_tells_its_findings_in_words(turned):
    view = views.RunView(runs.path(turned))
    view.refresh()
    display = view.display()
    assert told(display.header) == ["vanishing"]
    (finding,) = display.header["findings"]
    assert finding["sentence"] == view.findings[0].sentence
    assert finding["title"] == REMEDIES[finding["remedy"]].title
    assert FINDINGS["vanishing"].source in finding["source"]
    frames.encode(frames.difference(frames.NOTHING, display))  # fit for the wire


def test_a_run_is_diagnosed_anew_only_where_something_came(turned, monkeypatch):
    asked = []
    monkeypatch.setattr(diagnosed, "diagnose", lambda known: asked.append(1) or diagnose(known))
    view = views.RunView(runs.path(turned))
    view.refresh()
    for _ in range(5):
        view.display()
        view.refresh()
    assert len(asked) == 1
    with store.Writer(runs.path(turned)) as writer:
        writer.add(record(90, VANISHING))
        writer.commit((1, 1.0, 91))
    view.refresh()
    view.display()
    assert len(asked) == 2


def test_a_replay_tells_what_was_found_at_its_step(turned):
    file = runs.path(turned)
    assert told(moments.display(file, 30).header) == ["healthy"]
    assert told(moments.display(file, 79).header) == ["vanishing"]


def test_a_run_without_a_record_tells_of_no_finding():
    view = views.RunView(runs.path(runs.create(RunSpec())))
    view.refresh()
    assert view.display().header["findings"] == []


def of(per_layer):
    seed = diagnosed.Diagnosed(RunSpec())
    seed.add(records=[record(n, per_layer) for n in range(20)])
    info = runs.info(runs.create(RunSpec()))
    return seed.findings(info)


def test_of_several_seeds_what_at_least_half_have_is_told_with_how_many():
    well, ill = of(HEALTHY), of(VANISHING)
    (row,) = diagnosed.of_seeds([ill, ill, well, ()])
    assert row["name"] == "vanishing"
    assert row["short"] == "gradient vanishes in 2 of 3 seeds"
    (row,) = diagnosed.of_seeds([well, well, ill])
    assert row["name"] == "healthy"
    assert diagnosed.of_seeds([(), ()]) == []
    assert [row["name"] for row in diagnosed.of_seeds([well, ill])] == ["vanishing"], "not both"


# -- pressed ---------------------------------------------------------------------------------------


@pytest.fixture
def session(monkeypatch):
    """A session's state, and nothing else of Streamlit."""
    state = {}
    monkeypatch.setattr(st, "session_state", state)
    return state


@pytest.mark.parametrize("name", REMEDIES)
def test_a_pressed_remedy_is_the_only_thing_that_tells_the_settings_from_the_run(name, session):
    spec = RunSpec(depth=9, epochs=7, seed=3)
    run = runs.create(spec)
    session["live"] = {"remedy": {"run": run, "remedy": name, "at": 1}}
    press.switch_on()
    asked = spec_form.spec_of(spec_form.fields())
    assert asked == REMEDIES[name].apply(spec)
    assert name in press.ready(runs.info(run), asked)


@pytest.mark.parametrize(
    "told", [None, {}, {"remedy": {"run": 5, "remedy": "skip"}}, {"remedy": {"remedy": "nothing"}}]
)
def test_what_names_no_run_and_no_remedy_changes_nothing(told, session):
    session["live"] = told
    press.switch_on()
    assert spec_form.fields() == spec_form.DEFAULTS


def test_a_remedy_that_the_network_cannot_have_is_refused_by_sentence(session):
    run = runs.create(RunSpec(depth=2))
    session["live"] = {"remedy": {"run": run, "remedy": "skip"}}
    press.switch_on()
    assert "depth must be from 3" in session["ignored"]["remedy"]


def test_the_settings_are_ready_only_where_they_are_the_runs_with_one_remedy(turned):
    now = runs.info(turned).now
    assert press.ready(runs.info(turned), now) == []
    assert press.ready(runs.info(turned), now.changed({"norm": "batch"})) == ["batchnorm"]
    assert press.ready(runs.info(turned), now.changed({"norm": "batch", "epochs": 3})) == []
    assert press.ready(None, now) == []


def live(page):
    (found,) = [
        data
        for data in (json.loads(one.proto.json)[0] for one in page.get("bidi_component"))
        if "figures" in data
    ]
    return found


def test_the_lab_offers_what_can_be_pressed_and_says_what_is(turned):
    page = AppTest.from_file(MAIN, default_timeout=30)
    for name, value in {"run": turned, "steps": "100", "norm": "batch"}.items():
        page.query_params[name] = value
    page.run()
    assert not page.exception, page.exception[0].value
    assert live(page)["offers"]
    assert live(page)["ready"] == ["batchnorm"]


def test_a_lesson_can_hide_the_diagnosis_on_both_pages():
    assert links.hidden(["diagnosis"]) == (("diagnosis",), {})
    assert "diagnosis" in share.LAB
    assert "diagnosis" in share.COMPARE


def test_the_numbers_of_a_finding_may_be_anything_and_the_wire_still_holds(turned):
    """NaN and infinities are in sentences as words, never in the header as numbers."""
    bad = record(99, VANISHING)
    bad.scalars[:] = np.inf
    with store.Writer(runs.path(turned)) as writer:
        writer.add(bad)
        for n in range(5):
            writer.add(made_up.record(100 + n, np.full(8, np.nan)))
        writer.commit((1, 1.0, 105))
    view = views.RunView(runs.path(turned))
    view.refresh()
    frames.encode(frames.difference(frames.NOTHING, view.display()))
    assert "diverged" in told(view.display().header)
