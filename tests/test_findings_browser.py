"""The diagnosis through a real browser: read in the first screen, pressed, compared, hidden."""

import made_up
import pytest
from browser import PATIENCE
from playwright.sync_api import expect
from test_findings import HEALTHY, VANISHING, filled, record

from engine import runs
from engine.presets import PRESETS
from engine.remedies import REMEDIES

pytestmark = pytest.mark.browser
expect.set_options(timeout=1000 * PATIENCE)


@pytest.fixture
def turned(library):
    """A run whose gradient vanishes from step 40 on."""
    run = runs.create(PRESETS["controlled_baseline"].spec(steps=100))
    return filled(run, [record(n, HEALTHY if n < 40 else VANISHING) for n in range(80)])


@pytest.fixture
def well(library):
    run = runs.create(PRESETS["controlled_batchnorm"].spec(steps=100))
    return filled(run, [record(n, HEALTHY) for n in range(80)])


def test_a_person_reads_what_is_wrong_presses_the_remedy_and_its_pill_is_on(visitor, turned):
    visitor.open(f"?run={turned}")
    row = visitor.page.locator(".vgl-headline")
    expect(row).to_contain_text("bad")
    expect(row).to_contain_text("The gradient vanishes: dL/dz in layer 1 is")
    places = visitor.evaluate(
        "['.vgl-headline', '[data-chart=gradient_heatmap]', '[data-chart=gradient_by_depth]']"
        ".map(name => document.querySelector(name).getBoundingClientRect().toJSON())"
    )
    assert all(place["bottom"] <= 800 for place in places), places
    assert places[1]["height"] >= 320
    finding = visitor.page.locator("[data-finding=vanishing]")
    expect(finding).to_contain_text("arXiv:1611.01232")
    title = REMEDIES["batchnorm"].title
    finding.get_by_role("button", name=f"Switch on {title}").click()
    expect(row.locator(".vgl-switch")).to_have_text(f"{title} is on: press Train")
    on = visitor.control("remedies").get_by_role("button", pressed=True)
    expect(on).to_contain_text("BatchNorm")
    expect(row.locator(".vgl-switch")).to_be_disabled()
    visitor.evaluate(  # back to a step at which it was well
        "const slider = document.querySelector('.vgl-slider');"
        "slider.value = 30; slider.dispatchEvent(new Event('input'));"
    )
    expect(row).to_contain_text("Healthy: R = 1.0")
    visitor.open(f"?run={turned}&hide=diagnosis")
    expect(visitor.page.locator(".vgl-headline")).to_be_hidden()
    expect(visitor.page.locator(".vgl-findings")).to_be_hidden()
    assert not visitor.errors


def test_each_contender_tells_what_the_others_have_not(visitor, turned, well):
    visitor.page.goto(f"{visitor.server.url}/compare?runs={turned},{well}")
    heads = visitor.page.locator(".vgl-side-findings")
    expect(heads.nth(0)).to_contain_text("✕ gradient vanishes")
    expect(heads.nth(1)).to_contain_text("✓ healthy: R = 1.0")
    alike = filled(runs.create(made_up.spec()), [record(n, VANISHING) for n in range(20)])
    visitor.page.goto(f"{visitor.server.url}/compare?runs={turned},{alike}")
    expect(visitor.page.locator(".vgl-common")).to_contain_text("✕ gradient vanishes")
    expect(heads.nth(0)).to_be_empty()
    assert not visitor.errors
