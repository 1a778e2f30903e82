"""A chapter of the lessons through a real browser, from its question to the check, by hand and by keys."""

import pytest
from browser import PATIENCE
from playwright.sync_api import expect

from engine import runs
from ui import lesson_predict, lessons, theme

pytestmark = pytest.mark.browser
expect.set_options(timeout=1000 * PATIENCE)

PLOT = ".vgl-sketch-plot"
LOW, HIGH = theme.PROFILE_RANGE


def chapter():
    """The first that asks for a drawing of one network and has a backward pass in slow motion."""
    return next(
        one
        for one in lessons.read_all()
        if one.predict.kind == "profile" and len(one.runs) == 1 and one.slow is not None
    )


def stage(visitor, name):
    visitor.wait_for(f"new URL(location).searchParams.get('stage') === '{name}'")


def heights(visitor):
    """log10 at which each point of the drawing stands."""
    return visitor.evaluate(
        "[...document.querySelectorAll('.vgl-sketch-point')].map(one => Number(one.ariaValueNow))"
    )


def at(visitor, layer, value, layers):
    """Where on the screen a layer's point stands at a height."""
    box = visitor.evaluate(
        f"(() => {{ const {{ x, y }} = document.querySelector('{PLOT}').getBoundingClientRect();"
        " const grid = [...document.querySelectorAll('.vgl-sketch-grid, .vgl-sketch-faint')];"
        " const ends = ['x1', 'x2'].map(end => x + Number(grid[0].getAttribute(end)));"
        " const rows = grid.map(line => y + Number(line.getAttribute('y1')));"
        " return [...ends, Math.max(...rows), Math.min(...rows)]; })()"
    )
    left, right, bottom, top = box
    share = (value - LOW) / (HIGH - LOW)
    return left + (layer + 0.5) / layers * (right - left), bottom - share * (bottom - top)


def draws(visitor, layers):
    """A stroke from layer 1 to the output, one touch of a finger, and a point moved by keys."""
    visitor.page.locator(PLOT).wait_for()
    visitor.wait_for("document.querySelectorAll('.vgl-sketch-point').length > 0")
    page = visitor.page
    page.mouse.move(*at(visitor, 0, -9, layers))
    page.mouse.down()
    page.mouse.move(*at(visitor, layers - 1, -2, layers), steps=4)
    page.mouse.up()
    drawn = heights(visitor)
    line = [-9 + 7 * layer / (layers - 1) for layer in range(layers)]
    assert drawn == pytest.approx(line, abs=0.06), "a straight stroke is a straight line"
    finger = page.context.new_cdp_session(page)
    finger.send("Emulation.setTouchEmulationEnabled", {"enabled": True})
    x, y = at(visitor, 2, -3.0, layers)
    finger.send(
        "Input.dispatchTouchEvent", {"type": "touchStart", "touchPoints": [{"x": x, "y": y}]}
    )
    finger.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    visitor.wait_for(
        "height => Math.abs(document.querySelectorAll('.vgl-sketch-point')[2].ariaValueNow - height) < 0.1",
        -3.0,
    )
    before = heights(visitor)
    page.locator(".vgl-sketch-point").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")  # to the next point, not to the next stage
    page.keyboard.press("ArrowUp")
    after = heights(visitor)
    assert after[:2] == pytest.approx([before[0] - 0.25, before[1] + 0.25], abs=0.026)
    assert after[2:] == before[2:]
    stage(visitor, "predict")
    return after


def test_a_visitor_walks_a_chapter_from_its_question_to_the_check(visitor, server):
    lesson = chapter()
    layers = lesson.runs[0].spec.layers
    page = visitor.page
    page.goto(f"{server.url}/lessons?chapter={lesson.slug}")
    visitor.says(lesson.question)
    page.locator(".vgl-lesson-keys button").wait_for()
    page.keyboard.press("ArrowRight")
    stage(visitor, "predict")
    drawn = draws(visitor, layers)
    expect(visitor.control("lesson_keep", "button")).to_be_enabled()
    page.wait_for_timeout(400)  # until Python has been told of the last key
    visitor.press("lesson_keep")
    stage(visitor, "run")
    visitor.press("lesson_run")
    visitor.wait_for_step(0)
    visitor.control("lesson_again").wait_for()
    (info,) = runs.all()
    assert info.spec == lesson.runs[0].spec
    page.keyboard.press("ArrowRight")
    stage(visitor, "reveal")
    visitor.says("decades off")
    traces = "document.querySelector('.st-key-lesson_profile .js-plotly-plot')?.data"
    visitor.wait_for(f"({traces} ?? []).some(one => one.name === 'your prediction')")
    kept = visitor.evaluate(f"Array.from({traces}.find(one => one.name === 'your prediction').y)")
    assert kept == pytest.approx(drawn, abs=0.01)
    page.keyboard.press("ArrowRight")
    stage(visitor, "explain")
    steps_through(visitor)
    page.locator(".st-key-lesson_page h2").first.click()
    page.keyboard.press("ArrowRight")
    stage(visitor, "check")
    visitor.says(lesson.check.question)
    page.locator("[data-testid=stRadio] label:has(input)").nth(lesson.check.answer).click()
    visitor.press("lesson_answer")
    visitor.says("Right.")
    leaves_nothing(visitor, server, info)
    assert not visitor.errors


def steps_through(visitor):
    """The slow motion goes on by its button and by the arrows on its slider, which turn no page."""
    page = visitor.page
    page.locator(".vgl-slow-row").first.wait_for()
    now = "Number(document.querySelector('.vgl-slow').dataset.step)"
    page.get_by_role("button", name="One step forward").click()
    assert visitor.evaluate(now) == 1
    page.get_by_role("slider", name="Step of the backward pass").focus()
    page.keyboard.press("ArrowRight")
    assert visitor.evaluate(now) == 2
    page.keyboard.press("ArrowLeft")
    assert visitor.evaluate(now) == 1
    stage(visitor, "explain")
    page.get_by_role("button", name="Play", exact=True).click()
    visitor.wait_for(f"{now} >= 3")
    page.get_by_role("button", name="Pause", exact=True).click()


def leaves_nothing(visitor, server, info):
    """Of a visitor nothing is on disk: the run alone, without a word of them; nor in the browser."""
    folders = {file.parent.name for file in server.home.rglob("*") if file.is_file()}
    assert folders <= {"runs"}
    assert (info.note, info.tags) == ("", ())
    kept = visitor.evaluate("Object.keys(localStorage).filter(key => key.startsWith('vgl'))")
    assert kept == []
    assert visitor.evaluate("document.cookie.includes('lesson')") is False


def test_key_p_enlarges_the_lesson_s_text_on_every_page_of_it(visitor, server):
    lesson = chapter()
    visitor.page.goto(f"{server.url}/lessons?chapter={lesson.slug}&hide=sidebar,lesson_stages")
    visitor.says(lesson.question)
    visitor.page.locator(".vgl-lesson-keys button").wait_for()
    assert not visitor.control("lesson_next").is_visible()
    size = (
        "(tag => parseFloat(getComputedStyle(document.querySelector(`.st-key-lesson_page ${tag}`))"
        ".fontSize))"
    )
    before = {tag: visitor.evaluate(f"{size}('{tag}')") for tag in ("h1", "p")}
    visitor.page.keyboard.press("p")
    for tag, small in before.items():
        visitor.wait_for(f"small => {size}('{tag}') > 1.3 * small", small)
    visitor.page.keyboard.press("ArrowRight")  # also where the buttons are hidden
    stage(visitor, "predict")
    visitor.page.locator(".vgl-sketch-text").first.wait_for()
    assert visitor.evaluate("document.documentElement.classList.contains('vgl-projector')")
    visitor.page.keyboard.press("p")
    visitor.wait_for("!document.documentElement.classList.contains('vgl-projector')")
    visitor.evaluate("localStorage.clear()")
    assert not visitor.errors


def test_the_browser_draws_the_line_that_python_keeps(visitor, server):
    visitor.page.goto(f"{server.url}/live/sketch.js")
    drawings = [
        [None, -9.0, None, None, -2.0, None],
        [-1.0, None, None],
        [-5.0, -4.0, -3.5],
        [None, None, 0.5],
    ]
    told = visitor.evaluate(
        "async drawings => { const { joined } = await import('/live/sketch.js');"
        " return drawings.map(joined); }",
        drawings,
    )
    for drawing, line in zip(drawings, told, strict=True):
        assert line == pytest.approx(lesson_predict.joined(drawing))
