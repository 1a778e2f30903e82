"""A lecture through real browsers: a presenter, and viewers whose pages follow hers."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from browser import PATIENCE, Server, Visitor, recorded, wait_for
from playwright.sync_api import expect
from test_replay_browser import at, made, scrub

from ui import qr, rights

pytestmark = pytest.mark.browser
expect.set_options(timeout=1000 * PATIENCE)
KEY = "lecture-of-today"
ELSEWHERE = "https://lab.example"
MENU = "[data-testid=stSidebarNav]"
CROWD = 200  # viewers, as a page is told


class Viewer(Visitor):
    """A person whose page hears the presenter over lines that a test can cut, or make crowded."""

    def __init__(self, *args, **more):
        super().__init__(*args, **more)
        self.lines, self.crowd = [], None
        self.page.route_web_socket(re.compile("/live/stage"), self._through)

    def _through(self, line):
        self.lines.append(line)
        line.connect_to_server().on_message(lambda text: line.send(self._said(text)))

    def _said(self, text):
        told = json.loads(text)
        crowd = {"viewers": self.crowd} if self.crowd and "viewers" in told else {}
        return json.dumps(told | crowd)

    @property
    def pill(self):
        """What stands at the bottom of the page: "follows" or "alone"."""
        return self.page.locator(".vgl-follow:visible")

    def is_said_to(self, state):
        expect(self.pill).to_have_attribute("data-state", state)
        return self


class Lecture:
    """A dashboard with a presenter's key, two runs in its library, and people at its pages."""

    def __init__(self, browser, server):
        self.browser, self.server, self.contexts = browser, server, []
        self.first, self.second = made(300), made(200, activation="relu")
        self.steps = recorded(self.first)
        self.presenter = self.comes(Visitor, presents=True)
        self.viewer = self.comes(Viewer)

    def comes(self, kind=Viewer, *, presents=False):
        """One more person, with a browser of their own: with the presenter's cookie or without."""
        # A condition that is waited for is a script of the test's, which no policy of the server knows.
        context = self.browser.new_context(bypass_csp=True)
        self.contexts.append(context)
        if presents:
            cookie = {"name": rights.COOKIE, "value": rights.token(), "url": self.server.url}
            context.add_cookies([cookie])
        return kind(context, self.server, height=1600)

    def begin(self, query=""):
        """The presenter at the Lab with the first run, and the viewer beside her."""
        self.presenter.open(f"?run={self.first}{query}")
        if not link(self.viewer)[0]:
            self.viewer.page.goto(self.server.url)
        self.viewer.pill.wait_for()
        if (back := self.viewer.pill.get_by_role("button")).count():
            back.click()  # whatever the test before has left
        self.viewer.is_said_to("follows")
        agree(self.presenter, self.viewer)
        shows_run(self.viewer, self.first)
        return self.presenter, self.viewer

    def close(self):
        for context in self.contexts:
            context.close()


@pytest.fixture(scope="module")
def lecture(browser, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hall")
    server = Server(folder, **{rights.KEY: KEY, qr.ELSEWHERE: ELSEWHERE})
    with pytest.MonkeyPatch.context() as variables:
        variables.setenv("VGLAB_HOME", str(server.home))
        variables.setenv(rights.KEY, KEY)
        lecture = Lecture(browser, server)
        yield lecture
    lecture.close()
    server.stop()


def link(person):
    """Page and parameters that a person's link has."""
    address = urlsplit(person.evaluate("location.href"))
    return address.path if address.netloc else "", parse_qs(address.query)


def agree(presenter, *viewers):
    """Until all are at one link."""
    for viewer in viewers:
        wait_for(lambda viewer=viewer: link(viewer) == link(presenter), "a viewer is elsewhere")


def shows_layer(person, layer, kind="Gradient"):
    title = person.page.locator(".vgl-layer-histogram .vgl-title")
    title.filter(has_text=re.compile(f"{kind} histograms?, layer {layer}$")).wait_for()


def shows_run(person, run):
    chart = "document.querySelector('[data-chart=gradient_heatmap]')"
    person.wait_for(f"run => {chart}?.dataset.run === run", run)


def shows_step(person, step):
    wait_for(lambda: at(person) == step, "the scrubber does not follow")


def go_to(person, page):
    person.page.locator(MENU).get_by_text(page, exact=True).click()
    wait_for(lambda: link(person)[0] == f"/{page.lower()}", f"{page} is not there")


def clean(*people):
    assert [person.errors for person in people] == [[] for _ in people]


def test_viewers_go_wherever_the_presenter_goes_without_loading_anew(lecture):
    presenter, viewer = lecture.begin()
    viewers = [viewer, lecture.comes()]
    viewers[1].page.goto(lecture.server.url)
    for viewer in viewers:
        viewer.is_said_to("follows")
        shows_run(viewer, lecture.first)
        viewer.evaluate("window.here = true")
    presenter.page.locator(".vgl-watching", has_text="2 watching").wait_for()
    presenter.choose("kind", "weight")
    presenter.pick("layer", "4")
    for viewer in viewers:
        shows_layer(viewer, 4, "Weight")
    step = scrub(presenter, 20)
    for viewer in viewers:
        shows_step(viewer, step)
    agree(presenter, *viewers)
    assert link(viewer)[1] == {
        "run": [lecture.first],
        "kind": ["weight"],
        "layer": ["4"],
        "step": [str(step)],
    }
    for viewer in viewers:  # Streamlit's controls say it too
        expect(viewer.control("layer", "input")).to_have_value("4")
        viewer.control("kind").locator("[aria-checked=true]", has_text="weight").wait_for()
    presenter.choose("kind", "gradient")  # as at first: it leaves the link
    agree(presenter, *viewers)
    assert "kind" not in link(viewer)[1]
    for viewer in viewers:
        shows_layer(viewer, 4)
        viewer.control("kind").locator("[aria-checked=true]", has_text="gradient").wait_for()
    presenter.page.goto(f"{lecture.server.url}/?run={lecture.second}")
    for viewer in viewers:
        shows_run(viewer, lecture.second)
        assert at(viewer) is None
    go_to(presenter, "Lessons")
    presenter.control("lesson_next", "button").click()
    for viewer in viewers:
        viewer.says("Chapter 1 of 10")
    presenter.control("lesson_next", "button").click()
    wait_for(lambda: link(presenter)[1].get("stage") == ["predict"], "the stage does not change")
    agree(presenter, *viewers)
    assert all(viewer.evaluate("window.here") for viewer in viewers)
    viewers[1].close()
    clean(presenter, *viewers)


def test_charts_go_at_once_the_page_later_and_nothing_jumps_back(lecture):
    presenter, viewer = lecture.begin()
    viewer.wait_for("document.querySelectorAll('.vgl-plot .main-svg').length > 8")
    viewer.mark_charts()
    marked = viewer.marked_charts()
    viewer.drag("gradient_heatmap", (0.2, 0.2), (0.7, 0.8))
    zoomed = "chart._fullLayout.xaxis.range"
    zoom = viewer.chart("gradient_heatmap", zoomed)
    viewer.evaluate(
        "Math.random = () => 0.95; window.steps = [];"
        "new MutationObserver(() => window.steps.push(document.querySelector('.vgl').dataset.at))"
        ".observe(document.querySelector('.vgl'), { attributes: true, attributeFilter: ['data-at'] })"
    )
    before, viewer.crowd = link(viewer), CROWD
    presenter.pick("layer", "5")
    shows_layer(viewer, 5)
    assert link(viewer) == before, "the page went along before the charts"
    steps = [scrub(presenter, place) for place in (5, 30)]
    shows_step(viewer, steps[-1])
    agree(presenter, viewer)
    viewer.crowd = None
    expect(viewer.control("layer", "input")).to_have_value("5")
    told = [int(step) for step in viewer.evaluate("window.steps")]
    assert list(dict.fromkeys(told)) == [step for step in steps if step in told]
    assert at(viewer) == steps[-1]
    assert viewer.chart("gradient_heatmap", zoomed) == zoom
    assert viewer.marked_charts() == marked
    viewer.is_said_to("follows")
    clean(presenter, viewer)


def test_a_viewer_looks_around_alone_and_comes_back(lecture):
    presenter, viewer = lecture.begin()
    viewer.page.mouse.wheel(0, 300)
    viewer.drag("gradient_by_depth", (0.3, 0.3), (0.6, 0.6))
    viewer.is_said_to("follows")  # looking closer is no looking around
    viewer.pick("layer", "2")
    viewer.is_said_to("alone").says("You are looking around alone")
    presenter.pick("layer", "7")
    shows_layer(presenter, 7)
    viewer.page.reload()  # which does not fetch them back
    viewer.is_said_to("alone")
    shows_layer(viewer, 2)
    assert link(viewer)[1]["layer"] == ["2"]
    back = viewer.pill.get_by_role("button", name="Back to the presenter")
    back.focus()
    viewer.page.keyboard.press("Enter")
    viewer.is_said_to("follows")
    shows_layer(viewer, 7)
    agree(presenter, viewer)
    viewer.page.locator(".vgl-slider").press("ArrowLeft")  # the scrubber's by key
    viewer.is_said_to("alone")
    own = lecture.steps[-2]
    shows_step(viewer, own)
    wait_for(lambda: link(viewer)[1].get("step") == [str(own)], "the link has no step")
    scrub(presenter, 10)
    wait_for(lambda: "step" in link(presenter)[1], "her link has no step")
    assert at(viewer) == own
    back.click()
    agree(presenter, viewer)
    shows_step(viewer, at(presenter))
    clean(presenter, viewer)


def test_her_comparison_is_shown_and_not_what_the_viewer_compared_before(lecture):
    presenter, viewer = lecture.begin()
    viewer.page.goto(f"{lecture.server.url}/compare?runs={lecture.second}&align=epoch")
    viewer.is_said_to("follows")
    agree(presenter, viewer)
    presenter.page.goto(
        f"{lecture.server.url}/compare?runs={lecture.first},{lecture.second}&histogram_layer=3"
    )
    agree(presenter, viewer)
    assert "align" not in link(viewer)[1]
    shows_layer(viewer, 3)
    clean(presenter, viewer)


def test_a_presenter_who_loads_anew_and_a_viewer_whose_line_drops_find_each_other(lecture):
    presenter, viewer = lecture.begin()
    presenter.page.reload()
    presenter.page.locator(".vgl-watching", has_text="1 watching").wait_for()
    lines = len(viewer.lines)
    viewer.lines[-1].close()
    viewer.says("The presenter cannot be heard")
    go_to(presenter, "Theory")
    agree(presenter, viewer)
    assert len(viewer.lines) == lines + 1
    viewer.says("Following the presenter")


def test_the_hall_s_link_fills_the_screen_on_a_key(lecture):
    presenter, viewer = lecture.begin()
    page = presenter.page
    code = qr.code(f"{ELSEWHERE}/?follow=1")
    hall = page.locator(".vgl-hall")
    presenter.control("layer", "input").press("q")
    page.keyboard.press("Escape")
    assert hall.count() == 0, "a letter for a field is no command"
    page.evaluate("document.activeElement.blur()")
    page.keyboard.press("q")
    page.get_by_text(code.link).wait_for()
    assert page.locator(".vgl-hall svg path").get_attribute("d") == code.path
    box = page.locator(".vgl-hall svg").bounding_box()
    assert min(box["width"], box["height"]) > 0.75 * 1280
    assert KEY not in page.content()
    page.keyboard.press("Escape")
    hall.wait_for(state="hidden")
    page.get_by_role("button", name="Show the link to the hall").click()
    hall.wait_for()
    page.keyboard.press("q")
    hall.wait_for(state="hidden")
    assert viewer.page.get_by_role("button", name="Show the link to the hall").count() == 0
    clean(presenter, viewer)
