"""Every page against axe-core's rules, light and dark: nothing that keeps a person out."""

from pathlib import Path

import axe_playwright_python
import pytest
from browser import HEATMAP, Visitor
from made_up import batches, dying, epoch_end, record, spec

from engine import runs, store
from ui import lessons
from ui.lesson_link import STAGES

pytestmark = pytest.mark.browser
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text(encoding="utf-8")
KEEPS_OUT = ("serious", "critical")
DRAWN = "document.querySelectorAll('.vgl-plot .main-svg').length > 2"
LESSON = "document.querySelector('.st-key-lesson_page p')"
#: What a page is called -> its path, with {run}, {other} and {chapter}; what is there once it is drawn.
PAGES = {
    "the Lab without a run": ("", DRAWN),
    "the Lab with a finished run": (
        "?run={run}",
        f"document.querySelector('{HEATMAP}').dataset.step",
    ),
    "Compare without contenders": ("compare", "document.querySelector('.st-key-start_ready_0')"),
    "Compare": ("compare?runs={run},{other}", DRAWN),
    "Theory": ("theory", DRAWN),
    "the lessons' cover": ("lessons", "document.querySelectorAll('[data-testid=stMain] a').length"),
    **{
        name: (f"lessons?chapter={{chapter}}&stage={stage}", LESSON)
        for stage, name in STAGES.items()
    },
    "Runs": ("runs", "document.querySelector('.vgl-runs tbody tr, .vgl-runs a')"),
}
SETTLED = """document.querySelector('[data-testid=stApp]').dataset.testScriptState === 'notRunning'
  && !document.getAnimations().some(one => one instanceof CSSTransition)"""
#: Stages that ask for a prediction first; here they are shown without.
AFTER_PREDICTING = ("Run", "Reveal", "Explain")
UNFOLD = "document.querySelectorAll('details:not([open]) > summary').forEach(one => one.click())"
#: Of axe-core's rules those that dark changes.
COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
FOUND = """async only => {
  const { violations } = await axe.run(document, { resultTypes: ["violations"], ...only });
  return violations.flatMap(({ id, impact, nodes }) => nodes.map(({ target, html, failureSummary }) =>
    [id, impact, target.join(" "), html, failureSummary]));
}"""


def finished(wanted):
    """A made-up run of a spec that has ended; its id."""
    run = runs.create(wanted)
    with store.Writer(runs.path(run)) as writer:
        for step in range(0, 100, 10):
            writer.add(record(step, dying(wanted.layers, -0.4)))
            writer.add(batches(step, 10))
        writer.add(epoch_end(1, 100))
        writer.commit((1, 1.0, 99))
        writer.update(status=store.FINISHED, started=1.0, ended=9.0)
    return run


@pytest.fixture(scope="module")
def places(server):
    """What the pages' paths speak of: two runs, and a chapter whose runs are there."""
    lesson = next(one for one in lessons.read_all() if len(one.runs) == 1 and one.slow is not None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("VGLAB_HOME", str(server.home))
        finished(lesson.runs[0].spec)
        return {
            "run": finished(spec()),
            "other": finished(spec(activation="relu")),
            "chapter": lesson.slug,
        }


@pytest.fixture(scope="module")
def visitor(browser, server):
    """Somebody with axe-core in the page, which the content policy would not let in."""
    context = browser.new_context(bypass_csp=True, color_scheme="light", reduced_motion="reduce")
    visitor = Visitor(context, server, height=2400)  # no chart waits to be scrolled to
    yield visitor
    context.close()


def violations(visitor, only=None):
    """What axe-core finds that keeps people out, a line each."""
    if not visitor.evaluate("typeof axe === 'object'"):
        visitor.evaluate(AXE)
    return [
        f"{rule} ({impact}) at {selector}: {html[:200]} {mend}"
        for rule, impact, selector, html, mend in visitor.evaluate(FOUND, only)
        if impact in KEEPS_OUT
    ]


@pytest.mark.parametrize("name", PAGES)
def test_a_page_keeps_nobody_out_in_light_or_dark(name, visitor, places):
    path, drawn = PAGES[name]
    visitor.page.emulate_media(color_scheme="light", reduced_motion="reduce")
    visitor.page.goto(f"{visitor.server.url}/{path.format(**places)}")
    visitor.wait_for(drawn)
    visitor.wait_for(SETTLED)
    if name in AFTER_PREDICTING:
        visitor.press("lesson_skip")
        visitor.control("lesson_skip").wait_for(state="detached")
        visitor.wait_for(SETTLED)
    visitor.evaluate(UNFOLD)
    visitor.wait_for("!document.querySelector('details:not([open])')")
    visitor.wait_for(SETTLED)
    assert not violations(visitor)
    visitor.page.emulate_media(color_scheme="dark", reduced_motion="reduce")
    visitor.wait_for("getComputedStyle(document.querySelector('.stApp')).colorScheme === 'dark'")
    visitor.wait_for(SETTLED)
    assert not violations(visitor, COLOURS)
