"""Ways through the dashboard from end to end: the first visit, a phone, the keys alone, what is loaded anew."""

import contextlib
import re

import psutil
import pytest
from browser import HEATMAP, PATIENCE, Server, Visitor, recorded, wait_for
from playwright.sync_api import expect
from test_replay_browser import made

from engine import runs, store
from ui import lessons

pytestmark = pytest.mark.browser
PHONE = {"width": 390, "height": 844}
PATHS = ("", "compare", "theory", "lessons", "runs")
WIDER = "document.documentElement.scrollWidth - screen.width"
#: A page has been written, and no more comes.
SETTLED = """document.querySelector('[data-testid=stMain]')?.innerText.length > 60
  && document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'"""
#: What can be pressed and is not wholly on the screen, but for a table that is moved by a finger.
OUTSIDE = """[...document.querySelectorAll("[data-testid=stMain] :is(button, a, input):not(.vgl-scroll *)")]
  .filter((one) => one.getBoundingClientRect().right > screen.width + 1 && one.checkVisibility())
  .map((one) => one.outerHTML.slice(0, 120))"""
#: Words that stand in a column too narrow to read them.
SQUEEZED = """[...document.querySelectorAll("[data-testid=stMain] :is(p, a, th)")]
  .filter((one) => one.innerText.length > 20 && one.checkVisibility())
  .filter((one) => one.clientWidth < 60 && one.clientHeight > 120)
  .map((one) => one.innerText.slice(0, 120))"""
#: How what held the focus, or stands around or within it, looks now.
LOOK = """(() => {
  const around = [held, held.parentElement, held.parentElement?.parentElement, ...held.querySelectorAll("*")];
  return around.filter(Boolean).map((one) => {
    const { outline, outlineStyle, boxShadow, borderColor } = getComputedStyle(one); // no faint background
    return [outlineStyle === "none" ? "" : outline, boxShadow, borderColor].join();
  }).join("|");
})()"""


def count_clicks(page):
    """From now on the page counts what is pressed in it."""
    page.add_init_script(
        "window.presses = 0; addEventListener('click', () => (presses += 1), true)"
    )


def tab_to(visitor, selector, most=90, key="Tab"):
    """Press Tab until something that matches has the focus, once it is there and can be used."""
    page = visitor.page
    expect(page.locator(selector).first).to_be_enabled()
    passed = []
    for _ in range(most):
        page.keyboard.press(key)
        stop = visitor.evaluate(
            "selector => document.activeElement.matches(selector) ? null"
            " : document.activeElement.outerHTML.slice(0, 60)",
            selector,
        )
        if stop is None:
            return
        passed.append(stop)
    raise AssertionError(f"Tab never comes to {selector}, but to {passed}")


def test_a_first_visitor_has_trained_a_network_in_three_clicks(visitors):
    visitor = visitors()
    count_clicks(visitor.page)
    visitor.open("?steps=60&device=cpu")
    visitor.choose("remedies", "ReLU")
    visitor.wait_for("new URL(location).searchParams.get('activation') === 'relu'")
    visitor.train()
    visitor.says("Finished after 60 steps.")
    visitor.wait_for_step(59)
    assert (
        visitor.chart("gradient_heatmap", "chart.calcdata[0][0].z.flat().filter(isFinite).length")
        > 100
    )
    assert visitor.evaluate("presses") <= 3
    assert not visitor.errors


@pytest.fixture
def phone(browser, server, library):
    """A person whose screen is 390 pixels wide and is touched."""
    context = browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True)
    visitor = Visitor(context, server)
    visitor.page.set_viewport_size(PHONE)
    yield visitor
    context.close()


def test_on_a_phone_a_network_is_trained_and_its_heatmap_is_read(phone):
    page = phone.page
    page.goto(f"{phone.server.url}/?steps=60&device=cpu")
    phone.wait_for(SETTLED)
    opens, closes = map(page.get_by_test_id, ("stExpandSidebarButton", "stSidebarCollapseButton"))
    opens.tap()
    expect(phone.control("train", "button")).to_be_in_viewport()
    phone.control("train", "button").tap()
    phone.wait_for("new URL(location).searchParams.get('run')")
    closes.locator("button").tap()
    opens.wait_for()
    expect(phone.control("train", "button")).not_to_be_in_viewport()
    phone.says("Finished after 60 steps.")
    page.locator(HEATMAP).scroll_into_view_if_needed()
    phone.wait_for_step(59)
    box = page.locator(HEATMAP).bounding_box()
    assert box["x"] >= 0
    assert box["x"] + box["width"] <= PHONE["width"]
    assert box["height"] >= 300
    cells = phone.chart("gradient_heatmap", "chart._fullLayout.xaxis._length")
    assert cells > 150, "room for the cells beside axis and scale"
    words = page.locator(f"{HEATMAP} .xtick text, {HEATMAP} .ytick text").first
    assert float(words.evaluate("one => parseFloat(getComputedStyle(one).fontSize)")) >= 12
    assert phone.evaluate(WIDER) <= 0
    assert not phone.errors


def test_on_a_phone_every_page_fits_the_screen_and_can_be_read(phone):
    chapter = lessons.read_all()[0].slug
    one, other = made(300), made(200, activation="relu")
    of_runs = (f"?run={one}", f"compare?runs={one},{other}", f"theory?run={one}")
    of_compare = ("compare?show=ladder", "compare?show=verdict")
    of_chapter = (f"lessons?chapter={chapter}", f"lessons?chapter={chapter}&stage=predict")
    for path in (*PATHS, *of_runs, *of_compare, *of_chapter):
        phone.page.goto(f"{phone.server.url}/{path}")
        if "chapter" in path:
            phone.control("lesson_stage").get_by_role("radio").last.wait_for()
        if one in path:
            phone.page.locator(".vgl").first.wait_for()
        phone.wait_for(SETTLED)
        # Once it has come to rest: while it loads it may stand wider for a moment.
        wait_for(lambda: phone.evaluate(WIDER) <= 0, f"{path} is wider than the screen")
        for wrong in (OUTSIDE, SQUEEZED):
            with contextlib.suppress(AssertionError):
                wait_for(lambda wrong=wrong: not phone.evaluate(wrong), path, 20)
            assert not phone.evaluate(wrong), path


def test_on_a_phone_the_bar_of_a_run_has_room_for_a_thumb(phone):
    phone.page.goto(f"{phone.server.url}/?run={made(300)}")
    track = phone.page.locator(".vgl-track")
    track.wait_for()
    wait_for(lambda: track.bounding_box()["width"] > 250, "the bar is too short to be moved")


def test_by_keys_alone_a_network_is_trained_gone_back_in_and_looked_into(visitors):
    visitor = visitors(height=2000)
    page = visitor.page
    visitor.open("?steps=60&device=cpu")
    tab_to(visitor, ".st-key-train button")
    page.keyboard.press("Enter")
    visitor.says("Finished after 60 steps.")
    visitor.wait_for_step(59)
    tab_to(visitor, ".vgl-slider")
    page.keyboard.press("Home")
    visitor.wait_for("document.querySelector('.vgl').dataset.at === '0'")
    page.keyboard.press("End")
    visitor.wait_for("document.querySelector('.vgl').dataset.at === undefined")
    tab_to(visitor, ".st-key-layer input", key="Shift+Tab")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    visitor.wait_for("new URL(location).searchParams.get('layer') > 1")
    visitor.says(re.compile(r"Gradient histogram, layer [2-8]"))
    assert not visitor.errors


def test_whatever_tab_comes_to_in_the_lab_is_seen_to_have_the_focus(visitor):
    visitor.open()
    seen = {}
    visitor.page.keyboard.press("Tab")
    for _ in range(34):
        visitor.page.wait_for_timeout(60)  # some look so after a moment
        name = visitor.evaluate(
            "(window.held = document.activeElement).tagName + ' ' + (held.ariaLabel || held.innerText)"
        )
        focused = visitor.evaluate(LOOK)
        visitor.page.keyboard.press("Tab")
        visitor.page.wait_for_timeout(60)
        seen[name[:60]] = focused != visitor.evaluate(LOOK)
    assert len(seen) > 25
    assert all(seen.values()), [name for name, one in seen.items() if not one]


def test_by_keys_alone_a_lesson_is_walked_to_its_answer(visitor, server):
    lesson = next(one for one in lessons.read_all() if one.predict.kind == "profile")
    page = visitor.page
    page.goto(f"{server.url}/lessons?chapter={lesson.slug}&stage=predict")
    page.locator(".vgl-sketch-point").first.wait_for()
    tab_to(visitor, ".vgl-sketch-point")
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    expect(visitor.control("lesson_keep", "button")).to_be_enabled()
    tab_to(visitor, ".st-key-lesson_keep button")
    page.keyboard.press("Enter")
    visitor.wait_for("new URL(location).searchParams.get('stage') === 'run'")
    page.goto(f"{server.url}/lessons?chapter={lesson.slug}&stage=check")
    visitor.says(lesson.check.question)
    tab_to(visitor, "[data-testid=stRadio] input")
    page.keyboard.press("Space")
    for _ in range(lesson.check.answer):
        page.keyboard.press("ArrowDown")
    expect(visitor.control("lesson_answer", "button")).to_be_enabled()
    tab_to(visitor, ".st-key-lesson_answer button")
    page.keyboard.press("Enter")
    visitor.says("Right.")
    assert not visitor.errors


def test_a_page_loaded_anew_in_the_middle_of_a_run_shows_it_from_its_first_step(visitor):
    run = visitor.open("?device=cpu").train()
    visitor.advances(2)
    before = visitor.step
    visitor.page.reload()
    visitor.wait_for_step(before)
    assert visitor.run == run
    assert visitor.status == store.RUNNING == runs.info(run).status
    visitor.advances(2)
    visitor.press("stop")
    visitor.says(re.compile(r"Stopped at step \d+\."))
    visitor.wait_for_step(recorded(run)[-1])
    shown = visitor.chart("gradient_heatmap", "Array.from(chart.data[0].customdata[0])")
    assert set(shown) <= set(recorded(run))
    assert (shown[0], shown[-1]) == (0, recorded(run)[-1])


def ended(process):
    """Whether it runs no more, be it that nobody has asked for its exit status."""
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.status() == psutil.STATUS_ZOMBIE
    return True


def test_a_server_that_was_killed_in_the_middle_of_a_run_comes_back_with_all_it_recorded(
    context, tmp_path, monkeypatch
):
    server = Server(tmp_path)
    try:
        monkeypatch.setenv("VGLAB_HOME", str(server.home))
        visitor = Visitor(context, server)
        run = visitor.open("?device=cpu").train()
        visitor.advances(2)
        before = recorded(run)
        workers = server.workers()
        server.process.kill()
        server.process.wait(PATIENCE)
        visitor.says("The connection to the server is lost; trying again")
        server.start()
        visitor.wait_for("document.querySelector('.vgl-connection').textContent === ''")
        wait_for(
            lambda: runs.info(run).status not in store.OPEN, "the run goes on without a parent"
        )
        after = recorded(run)
        assert after[: len(before)] == before
        visitor.wait_for_step(after[-1])
        visitor.wait_for(
            "status => document.querySelector('.vgl').dataset.status === status",
            runs.info(run).status,
        )
        assert visitor.run == run
        wait_for(lambda: all(map(ended, workers)), "a worker outlives its server")
        visitor.close()
    finally:
        server.stop()
