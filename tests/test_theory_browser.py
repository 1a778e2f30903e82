"""The Theory page in a real browser: a hand slides sigma_w, theory and measurement follow."""

import pytest
from browser import PATIENCE

pytestmark = pytest.mark.browser

PROFILE = "document.querySelector('[data-chart=predicted_profile]')?"
FIRST = "(word => {0}.data?.find(({{ name }}) => name?.startsWith(word))?.y[0])"
THEORY = f"{FIRST.format(PROFILE)}('thick: theory')"
DOTS = f"{FIRST.format(PROFILE)}('measured, dL/dz')"
DOT = "document.querySelector('[data-chart=phase_diagram]').data.find(({ name }) => name === 'this network')?.x[0]"


def test_a_hand_slides_sigma_w_and_the_predicted_line_and_the_measured_dots_move(visitor):
    page = visitor.page
    page.goto(f"{visitor.server.url}/theory?net=activation=tanh,depth=5,width=64")
    there = f"{THEORY} !== undefined && {DOTS} !== undefined"
    visitor.wait_for(there, patience=3 * PATIENCE)  # torch is imported, beside a worker's
    seeds = "Number(document.querySelector('.vgl').dataset.seeds)"
    visitor.wait_for(f"{seeds} > 2")
    visitor.mark_charts()
    before = visitor.evaluate(f"[{THEORY}, {DOTS}, {DOT}]")
    assert abs(before[0] - before[1]) < 0.3, "measured where theory says"
    page.locator(".vgl-slider-sigma").evaluate(
        "(slider) => { slider.value = 320; slider.dispatchEvent(new Event('input')); }"
    )
    visitor.wait_for(f"before => Math.abs({THEORY} - before) > 0.7", before[0])
    visitor.wait_for(f"before => Math.abs(({DOTS} ?? before) - before) > 0.7", before[1])
    visitor.wait_for(f"{seeds} > 2")
    after = visitor.evaluate(f"[{THEORY}, {DOTS}, {DOT}]")
    assert abs(after[0] - after[1]) < 0.3
    assert after[2] > 5 * before[2], "the dot on the phase diagram has moved"
    visitor.wait_for("new URL(location).searchParams.get('net').includes('std=')")
    visitor.says("Measured 30 seeds")
    assert visitor.evaluate(f"[{THEORY}, {DOTS}]") == pytest.approx(after[:2], abs=0.2)
    assert visitor.marked_charts() > 4, "the charts were moved in place, not made anew"
    assert "measured ×" in page.locator(".vgl-formula").inner_text()
    assert not visitor.errors
