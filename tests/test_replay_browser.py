"""Replay, lessons and figures to save, through a real browser: a person goes back in a run."""

import re
import time
from urllib.parse import parse_qs, urlsplit

import made_up
import pytest
from browser import HEATMAP, PATIENCE, recorded, wait_for
from playwright.sync_api import expect

from engine import runs, store
from engine.records import ROW, Event
from engine.steering import Change, as_json

pytestmark = pytest.mark.browser
expect.set_options(timeout=1000 * PATIENCE)
LAST = 1500
#: A quiet machine moves every chart in sight in half of what is asked; tests share theirs.
WITHIN_MS, SHARED = 150, 4


def change(step, name):
    told = as_json(Change(kind="set", fields={"activation": name}))
    return Event(step=step, kind="change", words=f"activation sigmoid → {name}", change=told)


def made(last=LAST, status=store.FINISHED, sentence="", **fields):
    """A made-up run that has ended."""
    run = runs.create(made_up.spec(**fields))
    with store.Writer(runs.path(run)) as writer:
        for item in [*made_up.sigmoid_items(last), change(40, "relu"), change(700, "tanh")]:
            writer.add(item)
        writer.commit((1, 1.0, last))
        writer.update(status=status, started=1.0, ended=9.0, sentence=sentence)
    return run


@pytest.fixture
def finished(library):
    return made()


def slider(visitor):
    return visitor.page.locator(".vgl-slider")


def at(visitor):
    """The step that the charts are told to show; None for the newest."""
    told = visitor.page.locator(".vgl").first.get_attribute("data-at")
    return None if told is None else int(told)


def scrub(visitor, place):
    """Move the slider to a place, as a hand does; the step."""
    visitor.evaluate(
        "place => { const slider = document.querySelector('.vgl-slider');"
        " slider.value = place; slider.dispatchEvent(new Event('input')); }",
        place,
    )
    return at(visitor)


def every_chart_shows(visitor, step):
    visitor.wait_for(
        "step => [...document.querySelectorAll('[data-chart]')].every(chart => chart.dataset.step == step)",
        step,
    )


def newest_column(visitor):
    return visitor.chart("gradient_heatmap", "Math.max(...chart.data[0].customdata[0])")


def opened(visitor, query):
    visitor.open(query)
    visitor.wait_for_step(0)
    return visitor


def in_link(visitor, name):
    return visitor.evaluate("name => new URL(location).searchParams.get(name)", name)


def test_a_person_goes_back_and_every_chart_shows_that_step(visitors, finished):
    visitor = opened(visitors(height=2000), f"?run={finished}")
    steps = recorded(finished)
    visitor.wait_for_step(steps[-1])
    visitor.mark_charts()
    marked = visitor.marked_charts()
    for place in (100, 10, 150):
        step = scrub(visitor, place)
        assert step == steps[place]
        every_chart_shows(visitor, step)
        assert newest_column(visitor) == step
        assert visitor.tiles()["Step"] == f"{step:,}"
        assert visitor.tiles()["Status"] == "replay"
        for name in ("loss", "accuracy"):
            ends = "Math.max(...chart.data.filter(t => t.name !== 'guessing').flatMap(t => [...(t.x ?? [])]))"
            assert visitor.chart(name, ends) <= step
    # Against the file: the profile is that record's.
    with store.Reader(runs.path(finished)) as reader:
        rms = reader.record(step).scalars[ROW["delta_rms"]]
    shown = visitor.chart("gradient_by_depth", "[...chart.data.at(-1).y]")
    assert [10**value for value in shown] == pytest.approx(rms, rel=1e-4)
    wait_for(lambda: in_link(visitor, "step") == str(step), "the link does not carry the step")
    visitor.page.locator(".vgl-newest").click()
    every_chart_shows(visitor, steps[-1])
    assert at(visitor) is None
    wait_for(lambda: in_link(visitor, "step") is None, "the step stays in the link")
    assert visitor.tiles()["Status"] == "finished"
    assert visitor.marked_charts() == marked
    assert not visitor.errors


def test_a_link_with_a_step_opens_there(visitors, finished):
    first, second = visitors(height=2000), visitors(height=2000)
    steps = recorded(finished)
    opened(first, f"?run={finished}&kind=weight&layer=3")
    step = scrub(first, 120)
    every_chart_shows(first, step)
    wait_for(lambda: in_link(first, "step") == str(step), "the link does not carry the step")
    second.open(first.evaluate("location.search"))
    every_chart_shows(second, step)
    assert second.tiles() == first.tiles()
    for name in ("gradient_by_depth", "histogram_ridge", "layer_histogram"):
        values = "chart.data.map(trace => JSON.stringify(trace.z ?? trace.y))"
        assert first.chart(name, values) == second.chart(name, values), name
    near = visitors().open(f"?run={finished}&step={steps[-2] + 3}")  # not recorded: the nearest is
    near.wait_for(f"document.querySelector('{HEATMAP}').dataset.step == {steps[-2]}")


def test_a_step_that_the_run_has_not_got_to_is_told_by_sentence(visitors, finished):
    visitor = opened(visitors(), f"?run={finished}&step=999999")
    visitor.says(f"step is 999999; run {finished} has got to step 1,500: the newest is shown.")
    visitor.wait_for_step(recorded(finished)[-1])
    assert at(visitor) is None
    visitor.open(f"?run={finished}&step=soon")
    visitor.says("step is soon; it must be a whole number from 0.")


def test_the_keyboard_steps_plays_and_pauses(visitors, finished):
    visitor = opened(visitors(), f"?run={finished}")
    steps = recorded(finished)
    scrub(visitor, 50)
    slider(visitor).focus()
    visitor.page.keyboard.press("ArrowRight")
    assert at(visitor) == steps[51]
    visitor.page.keyboard.press("ArrowLeft")
    visitor.page.keyboard.press("ArrowLeft")
    assert at(visitor) == steps[49]
    visitor.page.get_by_role("button", name="20×").click()
    slider(visitor).focus()
    visitor.page.keyboard.press(" ")
    expect(visitor.page.get_by_label("Pause the replay")).to_be_visible()
    visitor.wait_for(
        "least => Number(document.querySelector('.vgl').dataset.at) > least", steps[60]
    )
    visitor.page.keyboard.press(" ")
    paused = at(visitor)
    visitor.wait_for(f"document.querySelector('{HEATMAP}').dataset.step == {paused}")
    assert newest_column(visitor) == paused
    assert in_link(visitor, "step") in (None, str(paused), str(steps[49]))
    wait_for(lambda: in_link(visitor, "step") == str(paused), "the link lags behind the pause")
    visitor.page.keyboard.press("End")
    assert at(visitor) is None


def test_playing_takes_the_recorded_time_over_the_speed_and_ends_at_the_end(visitors, finished):
    visitor = opened(visitors(), f"?run={finished}")
    steps = recorded(finished)  # 200 a second: 7.5 seconds
    visitor.page.get_by_role("button", name="5×").click()
    begun = time.monotonic()
    visitor.page.get_by_label("Play", exact=True).click()
    visitor.wait_for("document.querySelector('.vgl').dataset.at !== undefined")
    visitor.wait_for("document.querySelector('.vgl').dataset.at === undefined")
    took = time.monotonic() - begun
    assert took > 0.8 * steps[-1] / 200 / 5
    visitor.wait_for_step(steps[-1])
    expect(visitor.page.get_by_label("Play", exact=True)).to_be_visible()


def test_a_run_goes_on_recording_while_somebody_looks_back(visitors, recording):
    visitor = opened(visitors(height=2000), f"?run={recording.run}")
    visitor.wait_for_step(100)
    step = scrub(visitor, 4)
    every_chart_shows(visitor, step)
    places = int(slider(visitor).get_attribute("max"))
    visitor.wait_for(
        "least => Number(document.querySelector('.vgl-slider').max) > least", places + 3
    )
    assert at(visitor) == step
    assert newest_column(visitor) == step
    assert visitor.page.locator(".vgl-newest").inner_text() == "Live"
    visitor.page.locator(".vgl-newest").click()
    visitor.advances(2)
    assert not visitor.errors


def test_events_are_on_the_scrubber_and_lead_to_their_step(visitors, finished):
    visitor = opened(visitors(), f"?run={finished}")
    marks = visitor.page.locator(".vgl-mark-event")
    expect(marks).to_have_count(2)
    assert "Step 40: relu" in marks.first.get_attribute("title")
    marks.first.click()
    assert at(visitor) == 40
    visitor.wait_for(f"document.querySelector('{HEATMAP}').dataset.step == 40")
    lines = "chart._fullLayout.shapes.length"
    assert visitor.chart("gradient_heatmap", lines) == 1  # what comes later has not happened yet
    visitor.says(re.compile(r"Replay: step 40\. activation sigmoid → relu"))


def test_another_run_begins_at_its_newest_step(visitors, finished, library):
    other = made(200, status=store.STOPPED)
    visitor = opened(visitors(), f"?run={finished}")
    step = scrub(visitor, 20)
    wait_for(lambda: in_link(visitor, "step") == str(step), "the link does not carry the step")
    visitor.control("run_picker", "input").click()
    visitor.page.get_by_role("option", name=re.compile(other[-4:])).click()
    wait_for(lambda: visitor.run == other, "the other run is not opened")
    visitor.wait_for_step(recorded(other)[-1])
    assert at(visitor) is None
    wait_for(lambda: in_link(visitor, "step") is None, "the step of another run stays in the link")


def test_no_run_an_empty_run_and_a_failed_one_have_a_scrubber_that_fits(visitors, library):
    visitor = visitors().open("?steps=3")
    expect(slider(visitor)).to_be_disabled()
    empty = runs.create(made_up.spec())
    visitor.open(f"?run={empty}")
    expect(slider(visitor)).to_be_disabled()
    failed = made(120, status=store.DIVERGED, sentence="The loss is not a number at step 120.")
    opened(visitor, f"?run={failed}")
    expect(slider(visitor)).to_be_enabled()
    step = scrub(visitor, 10)
    visitor.wait_for(f"document.querySelector('{HEATMAP}').dataset.step == {step}")
    visitor.page.locator(".vgl-newest").click()
    visitor.says("The loss is not a number at step 120.")
    runs.delete(empty)


def test_every_chart_in_sight_moves_soon_in_a_run_of_a_thousand_records(visitors, library):
    run = made(26_000, epochs=2000)
    steps = recorded(run)
    assert len(steps) > 960
    visitor = opened(visitors(), f"?run={run}")
    visitor.wait_for_step(steps[-1])
    took = visitor.evaluate(
        """async () => {
          const slider = document.querySelector('.vgl-slider'), took = [];
          const seen = [...document.querySelectorAll('[data-chart]')].filter((chart) => {
            const { top, bottom } = chart.getBoundingClientRect();
            return bottom > 0 && top < innerHeight;
          });
          for (const share of [0.9, 0.5, 0.1, 0.3, 0.7, 0.95, 0.05]) {
            await new Promise(done => setTimeout(done, 900));
            const begun = performance.now();
            slider.value = Math.round(share * slider.max);
            slider.dispatchEvent(new Event('input'));
            const step = document.querySelector('.vgl').dataset.at;
            while (!seen.every((chart) => chart.dataset.step === step)) await new Promise(done => setTimeout(done, 2));
            took.push(performance.now() - begun);
          }
          return took;
        }"""
    )
    print("moved within", [round(ms) for ms in took], "ms")
    assert sorted(took)[len(took) // 2] < SHARED * WITHIN_MS


# -- sharing and saving ----------------------------------------------------------------------------


def test_a_lesson_hides_what_its_link_names_on_both_pages(visitors, finished):
    visitor = opened(visitors(), f"?run={finished}&hide=sidebar,tiles,view,loss,share")
    expect(visitor.page.get_by_test_id("stSidebar")).to_be_hidden()
    for hidden in (".vgl-tiles", ".st-key-kind", ".st-key-share"):
        expect(visitor.page.locator(hidden)).to_be_hidden()
    expect(visitor.page.locator("[data-chart=loss]")).to_have_count(0)
    expect(visitor.page.locator("[data-chart=accuracy]")).to_have_count(1)
    expect(visitor.page.locator(".vgl-scrubber")).to_be_visible()
    assert in_link(visitor, "hide") == "sidebar,tiles,view,loss,share"
    visitor.open(f"?run={finished}&hide=tiles,nonsense")
    visitor.says(re.compile("hide names nonsense; it can hide sidebar"))
    expect(visitor.page.locator(".vgl-tiles")).to_be_hidden()
    other = made(200)
    visitor.page.goto(f"{visitor.server.url}/compare?runs={finished},{other}&hide=sidebar,loss")
    visitor.wait_for(
        "document.querySelectorAll('[data-chart=gradient_heatmap] .main-svg').length > 1"
    )
    expect(visitor.page.get_by_test_id("stSidebar")).to_be_hidden()
    expect(visitor.page.locator("[data-chart=loss]")).to_have_count(0)
    visitor.page.get_by_role("radio", name="epoch", exact=True).click()
    wait_for(lambda: in_link(visitor, "align") == "epoch", "the alignment is not in the link")
    assert in_link(visitor, "hide") == "sidebar,loss"  # a hidden part stays hidden
    assert not visitor.errors


def test_the_links_to_hand_on_say_what_is_shown(visitors, browser, finished):
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    visitor = opened(visitors(context=context), f"?run={finished}&kind=weight")
    step = scrub(visitor, 30)
    visitor.press("share")
    visitor.page.get_by_role("button", name="Copy link", exact=True).click()
    visitor.says("Copied")
    told = parse_qs(urlsplit(visitor.evaluate("navigator.clipboard.readText()")).query)
    assert told == {"run": [finished], "kind": ["weight"], "step": [str(step)]}
    visitor.page.get_by_role("button", name="Sidebar", exact=True).click()
    lesson = visitor.page.get_by_role("button", name="Copy lesson link")
    expect(lesson).to_be_enabled()
    lesson.click()
    copied = wait_for(
        lambda: "hide" in (link := visitor.evaluate("navigator.clipboard.readText()")) and link,
        "the lesson's link is not copied",
    )
    assert parse_qs(urlsplit(copied).query) == told | {"hide": ["sidebar"]}
    student = visitors()
    student.page.goto(copied)
    student.wait_for(f"document.querySelector('{HEATMAP}')?.dataset.step == {step}")
    expect(student.page.get_by_test_id("stSidebar")).to_be_hidden()


def test_a_chart_is_saved_as_a_picture_and_as_a_page(visitors, finished, tmp_path):
    visitor = opened(visitors(), f"?run={finished}")
    step = scrub(visitor, 60)
    visitor.wait_for(f"document.querySelector('{HEATMAP}').dataset.step == {step}")
    visitor.page.locator(HEATMAP).hover()
    saved = {}
    for name in ("PNG", "SVG", "HTML"):
        button = visitor.page.locator(f"{HEATMAP} [data-title^='Save as {name}']")
        with visitor.page.expect_download() as download:
            button.click()
        saved[name] = tmp_path / download.value.suggested_filename
        download.value.save_as(saved[name])
    assert saved["PNG"].read_bytes().startswith(b"\x89PNG")
    assert f"step-{step}" in saved["PNG"].name
    drawing = saved["SVG"].read_text()
    assert drawing.startswith("<svg")
    assert "Gradient by layer and step" in drawing
    alone = visitors(context=visitor.page.context).page
    alone.goto(saved["HTML"].as_uri())
    alone.wait_for_function("document.querySelector('.plotly-graph-div').data?.length > 0")
    newest = "Math.max(...document.querySelector('.plotly-graph-div').data[0].customdata[0])"
    assert alone.evaluate(newest) == step
    assert not visitor.errors


def test_changes_of_contenders_are_lines_in_their_colours(visitors, finished):
    other = made(900)
    visitor = visitors(height=2400)
    visitor.page.goto(f"{visitor.server.url}/compare?runs={finished},{other}")
    visitor.wait_for(
        "document.querySelectorAll('[data-chart=gradient_heatmap] .main-svg').length > 1"
    )
    own = "chart._fullLayout.shapes.map(shape => shape.line.color)"
    visitor.wait_for("document.querySelector('[data-chart=loss]')?._fullLayout?.shapes.length > 0")
    colours = visitor.chart("gradient_heatmap", own)
    assert len(set(colours)) == 1
    texts = visitor.chart("loss", "chart._fullLayout.annotations.map(told => told.text)")
    assert any("relu" in text for text in texts)
    assert any("tanh" in text for text in texts)
    assert not visitor.errors
