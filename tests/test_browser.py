"""The whole dashboard through a real browser: what a person sees and does, from Train to Stop."""

import os
import re
import signal
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
from browser import (
    HEATMAP,
    PATIENCE,
    Recording,
    Server,
    Visitor,
    number,
    recorded,
    wait_for,
)
from playwright.sync_api import expect

from engine import runs, store
from engine.spec import RunSpec

pytestmark = pytest.mark.browser
expect.set_options(timeout=1000 * PATIENCE)


def test_a_person_presses_train_sees_the_heatmap_grow_and_presses_stop(visitor):
    visitor.open()
    visitor.says("Nothing trained yet: press Train and watch layer 1.")
    run = visitor.train()
    steps = visitor.advances(4)
    assert steps == sorted(set(steps))
    assert visitor.status == store.RUNNING
    visitor.press("stop")
    visitor.says(re.compile(r"Stopped at step \d+\."))
    expect(visitor.control("stop", "button")).to_be_disabled()
    assert visitor.run == run
    assert runs.info(run).status == store.STOPPED
    visitor.wait_for_step(recorded(run)[-1])
    assert not visitor.errors


def test_charts_show_the_run_that_stands_in_the_link_before_python_tells_of_it(visitor, recording):
    visitor.open()
    visitor.evaluate("run => history.pushState({}, '', `?run=${run}`)", recording.run)
    visitor.advances(2)
    assert visitor.tiles()["Step"] != "–"
    expect(visitor.control("status")).to_have_count(0)  # Python's words still know of no run
    visitor.evaluate("history.pushState({}, '', location.pathname)")
    visitor.wait_for(f"document.querySelector('{HEATMAP}').dataset.run === ''")
    visitor.says("Nothing trained yet: press Train and watch layer 1.")
    assert not visitor.errors


def test_charts_and_a_zoom_made_with_the_mouse_outlive_new_data(visitor):
    visitor.open().train()
    visitor.wait_for_step(5)
    visitor.mark_charts()
    marked = visitor.marked_charts()
    visitor.drag("gradient_heatmap", (0.2, 0.3), (0.6, 0.8))
    ranges = "[chart._fullLayout.xaxis.range, chart._fullLayout.yaxis.range]"
    zoomed = visitor.chart("gradient_heatmap", ranges)
    assert zoomed[1][0] > 0
    assert zoomed[1][1] < 7
    drawn = visitor.chart("gradient_heatmap", "chart.calcdata[0][0].x.length")
    visitor.advances(4)
    assert visitor.chart("gradient_heatmap", "chart.calcdata[0][0].x.length") > drawn
    assert visitor.chart("gradient_heatmap", ranges) == zoomed
    assert visitor.marked_charts() == marked > 6
    visitor.page.get_by_role("button", name="Show all").first.click()
    visitor.wait_for(
        "low => document.querySelector('[data-chart=gradient_heatmap]')._fullLayout.yaxis.range[0] < low",
        zoomed[1][0],
    )


def test_another_kind_layer_or_step_axis_redraws_the_same_charts(visitors, recording):
    visitor = visitors(height=2000)
    visitor.open(f"?run={recording.run}")
    visitor.wait_for_step(50)
    visitor.mark_charts()
    marked = visitor.marked_charts()
    visitor.choose("kind", "weight")
    visitor.says("Weight histograms, all layers")
    weights = "chart.data[0].x.length && chart._fullLayout.xaxis.title.text === 'weight'"
    for name in ("histogram_ridge", "layer_histogram"):
        visitor.wait_for(f"(chart => {weights})(document.querySelector('[data-chart={name}]'))")
    visitor.choose("kind", "activation")
    visitor.says("Activation histogram, layer 1")
    places = "[...chart.data[0].x]"
    first = visitor.chart("layer_histogram", places)
    visitor.pick("layer", "4")  # the layers' activations have other ranges
    visitor.says("Activation histogram, layer 4")
    visitor.advances(2)
    assert visitor.chart("layer_histogram", places) != first
    visitor.choose("axis", "log")
    end = "document.querySelector('[data-chart=gradient_heatmap]')._fullLayout.xaxis.range[1]"
    visitor.wait_for(f"{end} < 10")
    visitor.choose("axis", "linear")
    visitor.wait_for(f"{end} > 10")
    visitor.advances(1)
    assert visitor.marked_charts() == marked > 6
    assert parse_qs(urlsplit(visitor.page.url).query) == {
        "run": [recording.run],
        "kind": ["activation"],
        "layer": ["4"],
    }


def test_two_tabs_on_one_run_show_the_same(visitors, recording):
    first = visitors(height=2000).open(f"?run={recording.run}")
    first.advances(3)
    second = visitors(height=2000).open(f"?run={recording.run}")
    both = (first, second)
    second.evaluate(  # a third one comes, sees something and goes
        "address => new Promise(gone => {"
        "  const third = new WebSocket(address);"
        "  Object.assign(third, { onmessage: () => third.close(), onclose: gone });"
        "})",
        f"ws://127.0.0.1:{first.server.port}/live/feed?runs={recording.run}",
    )
    for one in both:
        one.advances(2)
    recording.end()
    newest = recorded(recording.run)[-1]
    for one in both:
        one.wait_for_step(newest)
        one.wait_for("document.querySelector('.vgl').dataset.status === 'finished'")
    assert first.tiles() == second.tiles()
    points = "chart.data.map(trace => [trace.name, trace.x?.length, trace.y?.length])"
    for name in ("gradient_heatmap", "gradient_by_depth", "loss", "accuracy"):
        wait_for(
            lambda name=name: first.chart(name, points) == second.chart(name, points),
            f"the {name} of two tabs stays different",
        )
    assert first.chart("gradient_heatmap", "chart.data[0].x.length") > 5


def test_the_feed_takes_up_again_after_its_socket_drops(visitor, recording):
    lines = []

    def through(line):
        line.connect_to_server()
        lines.append(line)

    visitor.page.route_web_socket(re.compile("/live/feed"), through)
    visitor.open(f"?run={recording.run}").advances(2)
    visitor.mark_charts()
    marked = visitor.marked_charts()
    for drops in (1, 2):
        lines[-1].close(code=1012, reason="dropped")
        wait_for(lambda drops=drops: len(lines) == drops + 1 or visitor.step < 0, "no new socket")
        visitor.advances(3)
    assert visitor.connection == ""
    assert visitor.marked_charts() == marked > 6


def test_a_line_that_dies_without_a_word_is_given_up_for_another(visitor, recording):
    """As when a laptop has slept, or a telephone has changed its network: nothing closes the socket."""
    lines, dead = [], []

    def through(line):
        lines.append(line)
        line.connect_to_server().on_message(lambda frame: line in dead or line.send(frame))

    def hastily(route):
        route.fulfill(response=(whole := route.fetch()), body=whole.text().replace("15000", "2000"))

    visitor.page.route_web_socket(re.compile("/live/feed"), through)
    visitor.page.route("**/live/silence.js*", hastily)
    visitor.open(f"?run={recording.run}").advances(2)
    dead.extend(lines)
    wait_for(lambda: len(lines) > len(dead) or visitor.step < 0, "no new socket")
    visitor.advances(3)
    assert visitor.connection == ""


def test_the_page_goes_on_after_the_server_was_restarted(visitor, server, recording):
    visitor.open(f"?run={recording.run}").advances(2)
    server.stop()
    visitor.says("The connection to the server is lost; trying again")
    last = visitor.step
    server.start()
    visitor.wait_for_step(last + 100)
    visitor.advances(2)
    assert visitor.connection == ""


def refuse_handshakes(page):
    """A proxy that knows no WebSocket: the feed's address is answered with an error."""
    page.add_init_script(
        "window.WebSocket = class extends WebSocket {"
        "  constructor(url, ...more) { super(String(url).replace('/live/feed', '/live/none'), ...more) }"
        "}"
    )


def close_at_once(page):
    """A proxy that opens a WebSocket and lets nothing through."""
    page.route_web_socket(re.compile("/live/feed"), lambda line: line.close())


def close_once_open(page):
    """A proxy that lets the handshake through and then hangs up."""
    page.add_init_script(
        "window.WebSocket = class extends WebSocket {"
        "  constructor(url, ...more) {"
        "    super(url, ...more);"
        "    if (String(url).includes('/live/feed')) this.addEventListener('open', () => this.close());"
        "  }"
        "}"
    )


@pytest.mark.parametrize("obstruct", [refuse_handshakes, close_at_once, close_once_open])
def test_without_a_websocket_the_page_asks_for_news_and_says_so(visitor, recording, obstruct):
    obstruct(visitor.page)
    visitor.open(f"?run={recording.run}")
    visitor.says("No WebSocket could connect (a proxy?); asking for news instead.")
    visitor.advances(3)
    assert visitor.evaluate("document.querySelector('.vgl').dataset.feed") == "polling"


def test_every_control_that_was_set_is_in_the_link_and_the_link_shows_the_same(visitors, browser):
    first = visitors(height=4000).open()  # nothing to scroll to
    numbers = {"depth": 3, "width": 24, "subset": 500, "batch_size": 50, "seed": 7}
    numbers |= {"learning_rate": 0.003, "momentum": 0.8, "weight_decay": 0.0002, "std": 0.3}
    numbers |= {"gradient_bound": 0.5, "steps": 12, "threads": 2, "skip_every": 1}
    choices = {"data": "moons", "activation": "tanh", "init": "normal", "norm": "layer"}
    choices |= {"norm_position": "after", "skip": "every", "optimizer": "nesterov"}
    choices |= {"schedule": "layerwise_intended", "gradient_rule": "clip_norm", "device": "cpu"}
    first.unfold("data", "network", "initialisation", "activation", "optimizer", "normalisation")
    first.unfold("skip", "schedule", "gradient", "length")
    for field, value in choices.items():
        first.pick(field, value)
        expect(first.control(field, "input")).to_have_value(value)
    for field, value in numbers.items():
        expect(first.control(field, "input")).to_be_enabled()
        first.type(field, value)
    first.choose("kind", "weight")
    first.choose("axis", "log")
    first.pick("layer", "2")
    run = first.train()
    spec = RunSpec(**numbers, **choices)
    assert runs.info(run).spec == spec
    finished = f"Finished after {spec.total_steps:,} steps."
    first.says(finished)
    told = {name: str(value) for name, value in (numbers | choices).items()}
    told |= {"kind": "weight", "axis": "log", "layer": "2", "run": run}
    link = urlsplit(first.page.url).query
    assert {name: value for name, (value,) in parse_qs(link).items()} == told

    second = visitors(context=browser.new_context(), height=2000).open(f"?{link}")
    second.says(finished)
    second.wait_for_step(first.step)
    assert {
        name: value for name, (value,) in parse_qs(urlsplit(second.page.url).query).items()
    } == told
    for field in numbers | choices:
        assert second.control(field, "input").get_attribute("value") == told[field], field
    assert second.tiles() == first.tiles()
    assert second.chart("gradient_heatmap", "chart._fullLayout.xaxis.range[1]") < 3
    second.says("Weight histogram, layer 2")


def test_a_link_with_nonsense_opens_the_page_and_says_what_was_ignored(visitor):
    visitor.open("?depth=1000&activation=foo&nonsense=1&run=nope&width=32")
    warning = visitor.page.get_by_test_id("stAlert")
    for sentence in (
        "depth is 1000; it must be a whole number from 1 to 100.",
        "activation is foo;",
        "nonsense is not a field of a run",
        "'nope' is not a run's id",
    ):
        expect(warning).to_contain_text(sentence)
    wait_for(lambda: urlsplit(visitor.page.url).query == "width=32", "nonsense stays in the link")
    expect(visitor.control("train", "button")).to_be_enabled()
    assert not visitor.errors


def test_closing_the_browser_stops_no_run(visitor):
    run = visitor.open().train()
    visitor.close()
    step = runs.info(run).step
    wait_for(lambda: runs.info(run).step > step + 20, "the run stands still")
    assert runs.info(run).status == store.RUNNING


def test_nothing_is_fetched_from_elsewhere_and_nothing_is_complained_of(visitor):
    visitor.open().train()
    visitor.advances(2)
    visitor.press("stop")
    visitor.says(re.compile(r"Stopped at step \d+\."))
    visitor.page.get_by_role("link", name="Runs").click()
    visitor.page.get_by_role("heading", name="Runs").wait_for()
    addresses = [url for url in map(urlsplit, visitor.addresses) if url.netloc]
    assert any(url.path == "/live/feed" for url in addresses)
    assert any(url.path == "/live/plotly.min.js" for url in addresses)
    assert {url.hostname for url in addresses} == {"127.0.0.1"}
    assert not visitor.errors


@pytest.mark.parametrize("blow", [signal.SIGTERM, signal.SIGINT])
def test_stopping_the_server_stops_its_workers_and_keeps_their_runs(
    context, blow, tmp_path, monkeypatch
):
    server = Server(tmp_path)
    try:
        monkeypatch.setenv("VGLAB_HOME", str(server.home))
        visitor = Visitor(context, server).open()
        run = visitor.train()
        visitor.advances(2)
        before = recorded(run)
        wait_for(lambda: len(server.workers()) == 2, "no spare worker is made")
        workers = server.workers()
        assert runs.info(run).pid in [worker.pid for worker in workers]
        server.process.send_signal(blow)
        _, alive = psutil.wait_procs(workers, timeout=5)
        assert not alive
        server.process.wait(PATIENCE)
        after = runs.info(run)
        assert after.status == store.STOPPED
        assert recorded(run)[: len(before)] == before
        assert after.step >= recorded(run)[-1]
        visitor.says("The connection to the server is lost; trying again")
        visitor.close()
    finally:
        server.stop()


def test_a_killed_worker_is_said_to_have_stopped_unexpectedly_and_the_next_run_trains(visitor):
    run = visitor.open().train()
    visitor.advances(2)
    os.kill(runs.info(run).pid, signal.SIGKILL)
    visitor.says(re.compile(r"Stopped unexpectedly at step \d+"))
    info = runs.info(run)
    expect(visitor.control("status")).to_contain_text(f"Stopped unexpectedly at step {info.step}")
    visitor.wait_for_step(recorded(run)[-1])
    visitor.train()
    assert visitor.status == store.RUNNING


def test_a_number_that_cannot_be_is_answered_beside_its_control(visitor):
    visitor.open().unfold("optimizer")
    visitor.type("learning_rate", -1)
    sentence = "learning_rate is -1.0; it must be from 1e-08 to 1000."
    expect(visitor.control("group_optimizer").get_by_test_id("stAlert")).to_have_text(
        re.compile(re.escape(sentence))
    )
    expect(visitor.control("train", "button")).to_be_disabled()
    visitor.type("learning_rate", 0.1)
    expect(visitor.control("train", "button")).to_be_enabled()
    expect(visitor.page.get_by_text(sentence)).to_have_count(0)


def test_remedies_bring_the_gradient_of_layer_1_back(visitor):
    visitor.open("?steps=40&device=cpu")
    found = {}
    for name in ("baseline", "cured"):
        if name == "cured":
            visitor.choose("remedies", "BatchNorm")
            visitor.choose("remedies", "Adam")
        visitor.train()
        visitor.says("Finished after 40 steps.")
        visitor.wait_for_step(39)
        wait_for(lambda: visitor.tiles()["Step"] == "40", "the row of figures lags")
        profile = "chart.data.find(trace => trace.name === 'newest').y[0]"
        found[name] = (
            number(visitor.tiles()["Gradient ratio"]),
            visitor.chart("gradient_by_depth", profile),
        )
    assert found["cured"][0] > 1000 * found["baseline"][0]
    assert found["cured"][1] > found["baseline"][1] + 3  # log10
    assert "normalisation batch (none)" in visitor.words


def test_the_server_holds_no_torch_and_little_memory(context, tmp_path, monkeypatch):
    server = Server(tmp_path)  # one that other tests have not been at
    try:
        monkeypatch.setenv("VGLAB_HOME", str(server.home))
        with Recording() as recording:
            visitor = Visitor(context, server).open(f"?run={recording.run}")
            visitor.advances(2)
            process = psutil.Process(server.process.pid)
            assert process.memory_info().rss < 200e6
            if psutil.LINUX:
                mapped = [region.path for region in process.memory_maps()]
                assert not [path for path in mapped if "libtorch" in path]
            visitor.close()
    finally:
        server.stop()
