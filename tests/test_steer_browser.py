"""Steering through a real browser: a change while everyone watches, and going back to try another way."""

import json
import re

import pytest
from browser import HEATMAP, wait_for
from playwright.sync_api import expect

from engine import runs, store
from engine.steering import Change

pytestmark = pytest.mark.browser
#: Layer 1's gradient as the profile draws it, log10.
LAYER_1 = "(trace => trace.y[0])(chart.data.find(trace => trace.name === 'newest'))"


def offered(visitor, name):
    """A button, once it is there and can be pressed."""
    button = visitor.page.get_by_role("button", name=name, exact=True)
    expect(button).to_be_enabled()
    return button


def lines(visitor):
    """The words of the events in the heatmap."""
    return visitor.chart("gradient_heatmap", "chart.layout.annotations.map(note => note.text)")


def change(visitor, **fields):
    """Choose in the open popover and apply."""
    for name, value in fields.items():
        visitor.pick(f"lab_change_{name}", value)
    offered(visitor, "Apply").click()


def test_a_person_pauses_changes_sigmoid_to_relu_resumes_and_layer_1_wakes(visitors):
    visitor = visitors(height=1600)
    visitor.open("?data=digits&depth=7&width=32&epochs=2000")
    run = visitor.train()
    visitor.wait_for_step(40)
    visitor.press("lab_pause")
    offered(visitor, "Resume")
    visitor.says("Paused.")
    wait_for(lambda: visitor.tiles()["Status"] == "paused", "no tile says paused")
    at = runs.info(run).step
    assert runs.info(run).status == store.PAUSED
    before = visitor.chart("gradient_by_depth", LAYER_1)
    visitor.press("lab_change")
    change(visitor, activation="relu")
    visitor.says(f"Changed at step {at:,}: activation sigmoid → relu")
    wait_for(lambda: any("relu" in text for text in lines(visitor)), "no line at the change")
    visitor.says("With 1 change while it trained.")
    assert runs.info(run).step == at, "a paused run stays where it is"
    visitor.page.keyboard.press("Escape")
    offered(visitor, "Resume").click()
    offered(visitor, "Pause")
    visitor.wait_for_step(at + 40)
    wait_for(
        lambda: visitor.chart("gradient_by_depth", LAYER_1) - before > 2,  # log10
        "layer 1 does not get a hundred times as much",
    )
    visitor.press("stop")
    visitor.control("history", "summary").click()
    visitor.says("Activation sigmoid → relu; the weights and the optimizer's state stay")
    assert not visitor.errors


def test_single_steps_and_epochs_are_taken_and_it_waits_again(visitors):
    visitor = visitors(height=1600)
    visitor.open("?data=digits&depth=3&width=16&epochs=2000")
    run = visitor.train()
    visitor.press("lab_pause")
    offered(visitor, "Resume")
    at = runs.info(run).step
    for step in (1, 2):
        visitor.press("lab_step")
        wait_for(lambda step=step: runs.info(run).step == at + step, "no step was taken")
        visitor.wait_for_step(at + step - 1)  # the state before it was taken
    for _ in range(2):  # the second time, too, the page hears that it waits again
        visitor.press("lab_epoch")
        wait_for(lambda: runs.info(run).step > at + 2, "no epoch was taken")
        wait_for(lambda: runs.info(run).status == store.PAUSED, "it does not wait again")
        offered(visitor, "Resume")
    assert runs.info(run).step % runs.info(run).spec.steps_per_epoch == 0
    visitor.press("stop")
    visitor.says(re.compile(r"Stopped at step \d+\."))
    assert not visitor.errors


def test_a_change_from_elsewhere_is_told_on_the_page(visitors):
    visitor = visitors()
    visitor.open("?data=digits&depth=3&width=16&epochs=2000")
    run = visitor.train()
    runs.change(run, Change(kind="set", fields={"learning_rate": 0.5}))
    visitor.says("With 1 change while it trained.")
    runs.send(run, "pause")
    offered(visitor, "Resume")
    visitor.press("stop")
    assert not visitor.errors


def test_a_person_branches_from_a_step_and_compares_both_ways(visitors):
    visitor = visitors(height=2000)
    visitor.open("?data=digits&depth=7&width=32&epochs=20")
    run = visitor.train()
    wait_for(lambda: runs.info(run).status == store.FINISHED, "the run never ends")
    visitor.says("Finished after 440 steps.")
    visitor.press("branch")
    visitor.type("branch_step", 100)
    visitor.pick("branch_activation", "relu")
    visitor.says("Activation sigmoid → relu; the weights and the optimizer's state stay.")
    offered(visitor, "And compare").click()
    visitor.wait_for("location.pathname.endsWith('/compare')")
    (branch,) = [info.id for info in runs.all() if info.parent == run]
    wait_for(lambda: runs.info(branch).status == store.FINISHED, "the branch never ends")
    visitor.says(re.compile("activation: sigmoid / relu"))
    visitor.says(re.compile("branched from .* at step 100: it is drawn from there on"))
    shown = f"[data-chart=gradient_heatmap][data-subject='{branch}']"
    newest = [found.step for found in records(branch)][-1]
    visitor.wait_for(
        f'step => Number(document.querySelector("{shown}")?.dataset.step) >= step', newest
    )
    steps = visitor.evaluate(f'[...document.querySelector("{shown}").data[0].customdata[0]]')
    assert min(steps) == 100, "what it has of its parent is drawn with the parent"
    past = visitor.evaluate(
        "subject => [...document.querySelectorAll('[data-chart=gradient_heatmap]')]"
        ".find(chart => chart.dataset.subject === subject).data[0].customdata[0].length",
        run,
    )
    assert past == len(records(run))
    for own, other in zip(records(run), records(branch), strict=False):
        if own.step < 100:
            assert own.scalars.tobytes() == other.scalars.tobytes(), "the same bits until it parts"
    assert not visitor.errors


def records(run):
    with store.Reader(runs.path(run)) as reader:
        return reader.records()


def test_the_first_screen_keeps_the_tiles_the_heatmap_and_the_profile(visitor):
    visitor.open("?data=digits&depth=3&width=16&epochs=2000").train()
    places = visitor.evaluate(
        "Object.fromEntries(['.vgl-tiles', '[data-chart=gradient_heatmap]', '[data-chart=gradient_by_depth]']"
        ".map(name => [name, document.querySelector(name).getBoundingClientRect().toJSON()]))"
    )
    assert all(place["bottom"] <= 800 for place in places.values()), json.dumps(places)
    assert places[HEATMAP]["height"] >= 320
    buttons = [
        visitor.control(key, "button") for key in ("train", "stop", "lab_pause", "lab_epoch")
    ]
    assert all(button.bounding_box()["y"] < 400 for button in buttons)
    assert all(button.evaluate("b => b.scrollWidth <= b.clientWidth") for button in buttons)
    visitor.press("stop")
