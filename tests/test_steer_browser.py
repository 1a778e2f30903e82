"""Steering through a real browser: what a hall sees when one thing is changed while all watch."""

import pytest
from browser import recorded, wait_for

from engine import runs, store
from engine.records import ROW
from engine.spec import RunSpec

pytestmark = pytest.mark.browser
DEEP = RunSpec(depth=7, width=128, epochs=400)


def layer_1(run, step):
    """Gradient RMS of the layer nearest the input, from the run's file."""
    with store.Reader(runs.path(run)) as reader:
        return reader.record(step).scalars[ROW["grad_rms"], 0]


def lines(visitor, name="gradient_heatmap"):
    """What stands beside the vertical lines of a chart."""
    return visitor.chart(name, "(chart.layout.annotations ?? []).map(note => note.text)")


def training(visitor, spec=DEEP, step=60):
    run = runs.start(spec)
    visitor.open(f"?run={run}")
    visitor.wait_for_step(step)
    return run


def pause(visitor, run):
    visitor.press("lab_pause")
    wait_for(lambda: runs.info(run).status == store.PAUSED, "it is not paused")
    visitor.page.get_by_role("button", name="Resume").wait_for()


def test_a_paused_sigmoid_network_becomes_relu_and_layer_1_wakes_up_by_more_than_a_hundred(
    visitors,
):
    visitor = visitors(height=2400)  # all charts are in sight, so that all are drawn
    run = training(visitor)
    pause(visitor, run)
    step = runs.info(run).step
    before = layer_1(run, recorded(run)[-1])
    visitor.press("lab_change")
    visitor.pick("lab_change_activation", "relu")
    visitor.control("lab_apply_change", "button:enabled").click()
    visitor.says("Changed at step")
    assert runs.info(run).now.activation == "relu"
    visitor.page.keyboard.press("Escape")
    visitor.press("lab_pause")
    visitor.wait_for_step(step + 1)
    for name in ("gradient_heatmap", "loss", "accuracy"):
        visitor.wait_for(
            "name => document.querySelector(`[data-chart=${name}]`).layout?.annotations?.length > 0",
            name,
        )
        assert lines(visitor, name) == ["relu"]
    assert layer_1(run, step) > 100 * before
    drawn = visitor.chart("gradient_heatmap", "chart.data[0].z[0]")
    steps = visitor.chart("gradient_heatmap", "[...chart.data[0].customdata[0]]")
    place = steps.index(step)
    assert drawn[place] - drawn[place - 1] > 2, "in decades, on the screen"
    assert not visitor.errors


def test_single_steps_and_an_epoch_by_hand_move_the_charts_and_it_stays_paused(visitor):
    run = training(visitor)
    pause(visitor, run)
    step = runs.info(run).step
    for count in (1, 2):
        visitor.press("lab_step")
        visitor.wait_for_step(step + count - 1)
    assert runs.info(run).status == store.PAUSED
    visitor.press("lab_epoch")
    wait_for(lambda: runs.info(run).step > step + 2, "no epoch was trained")
    wait_for(lambda: runs.info(run).status == store.PAUSED, "it did not wait")
    assert runs.info(run).step % DEEP.steps_per_epoch == 0
    visitor.press("stop")
    wait_for(lambda: runs.info(run).status == store.STOPPED, "it did not stop")


def test_a_branch_stands_beside_its_parent_with_the_shared_past_drawn_once(visitor):
    run = training(visitor, DEEP.changed({"epochs": 12}), step=263)
    visitor.press("branch")
    visitor.control("branch_step", "input").fill("100")
    visitor.control("branch_step", "input").press("Enter")
    visitor.pick("branch_activation", "relu")
    visitor.control("branch_compare", "button:enabled").click()
    visitor.wait_for("document.querySelectorAll('[data-chart=gradient_heatmap]').length === 2")
    made = next(info for info in runs.all() if info.parent == run)
    assert made.parent_step == 100
    wait_for(lambda: runs.info(made.id).status == store.FINISHED, "the branch does not end")
    first = (
        "subject => [...(document.querySelector(`[data-chart=gradient_heatmap][data-subject='${subject}']`)"
        "?.data?.[0]?.customdata?.[0] ?? [])]"
    )
    visitor.wait_for(f"subject => ({first})(subject).at(-1) === 263", made.id)
    assert visitor.evaluate(first, made.id)[0] == 100
    assert visitor.evaluate(first, run)[0] == 0
    assert not visitor.errors


def test_the_scrubber_moves_every_chart_and_the_newest_column_is_its_step(visitor):
    run = training(visitor, DEEP.changed({"epochs": 12}), step=263)
    steps = recorded(run)
    slider = visitor.page.locator(".vgl-slider")
    for place in (len(steps) // 2, 3, len(steps) - 4):
        slider.evaluate(
            "(slider, place) => { slider.value = place; slider.dispatchEvent(new Event('input')); }",
            place,
        )
        visitor.wait_for(
            "step => ['gradient_heatmap', 'gradient_by_depth'].every(name =>"
            " document.querySelector(`[data-chart=${name}]`).dataset.step == step)",
            steps[place],
        )
        assert (
            visitor.chart("gradient_heatmap", "[...chart.data[0].customdata[0]].at(-1)")
            == steps[place]
        )
        assert visitor.chart("gradient_heatmap", "chart.data[0].z[0].length") == place + 1
    visitor.wait_for("step => new URL(location).searchParams.get('step') == step", steps[-4])
    link = visitor.page.url
    visitor.page.goto("about:blank")
    visitor.page.goto(link)
    visitor.wait_for(
        "step => document.querySelector('[data-chart=gradient_heatmap]')?.dataset.step == step",
        steps[-4],
    )
    assert not visitor.errors
