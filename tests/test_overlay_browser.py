"""Theory on the Lab's own screen: of a run that was trained here, from what that run recorded."""

import pytest

from engine import runs, store
from engine.theory import predict

LINE = "chart.data.filter(t => t.name?.startsWith('theory')).map(t => [...t.y]).find(y => y.some(Number.isFinite))"
SHOWN = f"(chart => chart?.data && ({LINE}) !== undefined)(document.querySelector('[data-chart=gradient_by_depth]'))"


def test_a_finished_run_has_theory_s_dashed_line_of_its_own_first_batch(visitor):
    visitor.open("?data=digits&depth=4&width=24&steps=12&device=cpu")
    run = visitor.train()
    visitor.says("Finished after 12 steps.")
    with store.Reader(runs.path(run)) as reader:
        info, kernel = reader.run(), reader.kernel()
    told = predict(info.spec, kernel)
    visitor.wait_for(SHOWN)
    shown = visitor.chart("gradient_by_depth", LINE)
    assert shown == pytest.approx(told.log10_delta_rms.tolist(), rel=1e-5)
    visitor.says(f"{told.active_units:.0f} active units; below 6 theory fails.")
    visitor.choose("profile", "gradient")
    visitor.wait_for(
        "first => { const chart = document.querySelector('[data-chart=gradient_by_depth]');"
        f" const y = {LINE}; return y && Math.abs(y[0] - first) < 1e-4; }}",
        float(told.log10_grad_rms[0]),
    )
    shown = visitor.chart("gradient_by_depth", LINE)
    assert shown == pytest.approx(told.log10_grad_rms.tolist(), rel=1e-5)
    assert visitor.evaluate("new URL(location).searchParams.get('profile')") == "gradient"
    assert not visitor.errors
