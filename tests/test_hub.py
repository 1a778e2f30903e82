"""The hub: one reader per subject, the same bytes to all, and no frame lost unseen."""

import asyncio
import time
from functools import partial

import folders
import made_up
import pytest

from engine import store
from ui import difference, frames, groups, hub, outcome_table, subjects, views

FAST = hub.Pace(tick=0.02, look=0.005, check=0.05, ended=0.05, retry=0.02, idle=0.2)


@pytest.fixture
def library(tmp_path):
    """A folder with one running run "a" and one finished run "b"."""
    return folders.two_runs(tmp_path)


@pytest.fixture
def seeds(library, monkeypatch):
    """The same and two running seeds of one configuration, "c-c01"; all shown as often as a run."""
    for seed in (1, 2):
        items = made_up.sigmoid_items(80 - 10 * seed)
        made_up.run_file(library / f"c-c01-s0{seed}.sqlite", items, seed=seed)
    for module in (groups, difference, outcome_table):
        monkeypatch.setattr(module, "EVERY", 0.0)
    monkeypatch.setattr(outcome_table.OutcomeTable, "every", 0.0)
    return library


def hub_of(folder, pace=FAST):
    return hub.Hub(partial(subjects.opener, library=folders.library(folder)), pace)


def append(folder, step, run="a"):
    with store.Writer(folder / f"{run}.sqlite") as writer:
        writer.add(made_up.record(step, made_up.dying(8)))
        writer.commit((1, 1.0, step))


async def taken(viewer, count=1, patience=3.0):
    """The next frames of a viewer, decoded."""
    found = []
    while len(found) < count:
        found += await asyncio.wait_for(viewer.take(), patience)
    return [frames.decode(frame) for frame in found]


def alone(scenario):
    """Run an async scenario in a loop of its own."""
    asyncio.run(asyncio.wait_for(scenario, 10))


def test_a_new_viewer_gets_everything_at_once_and_then_only_what_is_new(library):
    async def scenario():
        feed = hub_of(library)
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        [(header, arrays)] = await taken(viewer)
        assert header["full"]
        assert len(arrays["steps"]) > 30
        append(library, 128)
        [(header, arrays)] = await taken(viewer)
        assert not header["full"]
        assert arrays["steps"].tolist() == [128]
        await feed.stop()

    alone(scenario())


def test_two_viewers_get_the_same_bytes_from_one_reader(library):
    async def scenario():
        feed = hub_of(library)
        one, two = hub.Viewer(), hub.Viewer()
        feed.join(one, "a")
        await taken(one)
        feed.join(two, "a")
        await taken(two)
        append(library, 128)
        first, second = await one.take(), await two.take()
        assert first == second
        assert first[0] is second[0]  # encoded once
        assert feed.watched == ["a"]
        await feed.stop()

    alone(scenario())


def test_a_viewer_that_falls_behind_gets_one_whole_frame_for_all_it_missed(library):
    async def scenario():
        feed = hub_of(library)
        slow, quick = hub.Viewer(), hub.Viewer()
        for viewer in (slow, quick):
            feed.join(viewer, "a")
            await taken(viewer)
        for step in range(128, 128 + hub.QUEUE + 2):
            append(library, step)
            await taken(quick)
            assert sum(map(len, slow.waiting.values())) <= hub.QUEUE
        found = await taken(slow)
        assert found[0][0]["full"]
        numbers = [header["seq"] for header, _ in found]
        assert numbers == list(range(numbers[0], numbers[0] + len(found)))
        assert found[-1][1]["steps"][-1] == 128 + hub.QUEUE + 1
        await feed.stop()

    alone(scenario())


def test_nothing_is_sent_while_nothing_happens(library):
    async def scenario():
        feed = hub_of(library)
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        await taken(viewer)
        with pytest.raises(TimeoutError):
            await taken(viewer, patience=0.3)
        await feed.stop()

    alone(scenario())


def test_a_frame_comes_at_most_once_per_tick(library):
    async def scenario():
        feed = hub_of(library, hub.Pace(tick=0.2, look=0.005))
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        await taken(viewer)
        begun, count = time.monotonic(), 0
        for step in range(128, 148):
            append(library, step)
            await asyncio.sleep(0.03)
            count += len(viewer.waiting.get("a", ()))
            viewer.waiting.clear()
        assert 1 <= count <= (time.monotonic() - begun) / 0.2 + 1
        await feed.stop()

    alone(scenario())


def test_the_first_numbers_of_a_run_wait_for_no_tick(library):
    made_up.run_file(library / "c.sqlite", [])

    async def scenario():
        feed = hub_of(library, hub.Pace(tick=60.0, look=0.005))
        viewer = hub.Viewer()
        feed.join(viewer, "c")
        [(header, _)] = await taken(viewer)
        assert "drawn_step" not in header
        append(library, 0, run="c")
        [(header, _)] = await taken(viewer)
        assert header["drawn_step"] == 0
        await feed.stop()

    alone(scenario())


def test_a_damaged_run_stops_nothing_but_itself_and_comes_back(library):
    async def scenario():
        feed = hub_of(library)
        good, bad = hub.Viewer(), hub.Viewer()
        (library / "bad.sqlite").write_bytes(b"noise" * 500)
        feed.join(bad, "bad")
        feed.join(good, "a")
        [(header, _)] = await taken(bad)
        assert "bad.sqlite" in header["error"]
        await taken(good)
        append(library, 128)
        assert (await taken(good))[0][1]["steps"].tolist() == [128]
        (library / "bad.sqlite").unlink()
        made_up.run_file(library / "bad.sqlite", made_up.sigmoid_items(20))
        while (header := (await taken(bad))[-1][0]).get("error"):
            pass
        assert header["full"]
        await feed.stop()

    alone(scenario())


def test_a_defect_in_showing_a_run_is_logged_and_tried_again(library, monkeypatch, caplog):
    async def scenario():
        feed = hub_of(library)
        display, broken = views.RunView.display, [True]
        monkeypatch.setattr(
            views.RunView, "display", lambda view: 1 / 0 if broken[0] else display(view)
        )
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        [(header, _)] = await taken(viewer)
        assert "ZeroDivision" not in header["error"]
        broken[0] = False
        [(header, arrays)] = await taken(viewer)
        assert header["full"]
        assert len(arrays["steps"])
        await feed.stop()

    alone(scenario())
    assert "cannot be shown" in caplog.text


def test_a_run_nobody_looks_at_is_let_go(library):
    async def scenario():
        feed = hub_of(library)
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        await taken(viewer)
        feed.leave(viewer)
        await asyncio.sleep(0.6)
        assert feed.watched == []
        feed.join(viewer, "a")
        assert (await taken(viewer))[0][0]["full"]
        await feed.stop()

    alone(scenario())


def test_a_deleted_run_is_told_by_sentence(library):
    async def scenario():
        feed = hub_of(library)
        viewer = hub.Viewer()
        feed.join(viewer, "a")
        await taken(viewer)
        (library / "a.sqlite").unlink()
        [(header, _)] = await taken(viewer)
        assert "deleted" in header["error"]
        await feed.stop()

    alone(scenario())


def test_each_kind_of_subject_is_followed_and_told_under_its_name(seeds):
    async def scenario():
        feed = hub_of(seeds)
        names = ["c-c01", "difference:step:a:b", "table:a:c-c01"]
        viewers = {name: hub.Viewer() for name in names}
        for name, viewer in viewers.items():
            feed.join(viewer, name)
            [(header, _)] = await taken(viewer)
            assert (header["run"], header["full"]) == (name, True)
            assert "error" not in header
        append(seeds, 96, "c-c01-s01")
        [(header, arrays)] = await taken(viewers["c-c01"])
        assert not header["full"]
        assert arrays["steps"].tolist() == [96]
        [(header, _)] = await taken(viewers["table:a:c-c01"])
        assert [row["id"] for row in header["rows"]] == ["a", "c-c01"]
        last = made_up.recorded_steps(100)[-1]  # of "a"
        append(seeds, last, "b")
        [(header, arrays)] = await taken(viewers["difference:step:a:b"])
        assert arrays["steps"].tolist() == [last]
        await feed.stop()

    alone(scenario())


def test_what_costs_more_is_shown_less_often(seeds, monkeypatch):
    monkeypatch.setattr(groups, "EVERY", 0.3)

    async def scenario():
        feed = hub_of(seeds)
        viewer, run = hub.Viewer(), hub.Viewer()
        feed.join(viewer, "c-c01")
        feed.join(run, "c-c01-s01")
        await taken(viewer)
        await taken(run)
        begun, counts = time.monotonic(), [0, 0]
        for step in range(96, 126):
            append(seeds, step, "c-c01-s01")
            await asyncio.sleep(0.03)
            for place, some in enumerate((viewer, run)):
                counts[place] += sum(map(len, some.waiting.values()))
                some.waiting.clear()
        assert 1 <= counts[0] <= (time.monotonic() - begun) / 0.3 + 1
        assert counts[1] > 2 * counts[0]
        await feed.stop()

    alone(scenario())


def test_what_changes_without_a_write_is_noticed_while_another_run_writes(seeds):
    async def scenario():
        places = {"d": 2}
        library = folders.library(seeds, places)
        made_up.run_file(seeds / "d.sqlite", status=store.QUEUED)
        feed = hub.Hub(partial(subjects.opener, library=library), FAST)
        viewer = hub.Viewer()
        feed.join(viewer, "table:a:d")
        [(header, _)] = await taken(viewer)
        assert header["rows"][1]["state"] == "waiting, number 2 in the queue"
        places["d"] = 1
        for step in range(128, 200):  # quicker than it is looked at
            append(seeds, step)
            await asyncio.sleep(0.005)
        states = [header["rows"][1]["state"] for header, _ in await taken(viewer)]
        assert states[-1] == "waiting, number 1 in the queue"
        await feed.stop()

    alone(scenario())


def test_a_group_whose_seeds_are_deleted_one_after_the_other(seeds):
    async def scenario():
        feed = hub_of(seeds)
        viewer = hub.Viewer()
        feed.join(viewer, "c-c01")
        [(header, arrays)] = await taken(viewer)
        assert "loss_mean_low" in arrays
        (seeds / "c-c01-s02.sqlite").unlink()
        [(header, arrays)] = await taken(viewer)
        # What the viewer had of two and one has not cannot be taken back by a difference.
        assert header["full"]
        assert "loss_mean_low" not in arrays
        assert header["seeds"]["of"] == 1
        (seeds / "c-c01-s01.sqlite").unlink()
        [(header, _)] = await taken(viewer)
        assert "deleted" in header["error"]
        await feed.stop()

    alone(scenario())


def test_a_deleted_contender_of_a_table_leaves_the_others(seeds):
    async def scenario():
        feed = hub_of(seeds)
        viewer = hub.Viewer()
        feed.join(viewer, "table:a:b")
        await taken(viewer)
        (seeds / "b.sqlite").unlink()
        [(header, _)] = await taken(viewer)
        assert [row["id"] for row in header["rows"]] == ["a"]
        assert "deleted" in header["missing"][0]
        await feed.stop()

    alone(scenario())


def test_what_is_looked_at_in_the_same_moment_reaches_a_viewer_together():
    async def scenario():
        at_once, viewer = hub.Round(), hub.Viewer()
        with at_once.look():
            with at_once.look():
                viewer.offer("a", b"1", bytes)
                at_once.offered([viewer])
            assert not viewer.ready.is_set()
            viewer.offer("b", b"2", bytes)
            at_once.offered([viewer])
        assert await viewer.take() == (b"1", b"2")

    alone(scenario())


def test_a_file_that_keeps_its_reader_waiting_holds_the_others_up_for_a_moment_only():
    async def scenario():
        at_once, viewer = hub.Round(), hub.Viewer()
        with at_once.look():
            viewer.offer("a", b"1", bytes)
            at_once.offered([viewer])
            assert await asyncio.wait_for(viewer.take(), 3) == (
                b"1",
            )  # while it is looked at still

    alone(scenario())


def test_a_viewer_of_several_busy_runs_gets_them_in_one_message(seeds):
    async def scenario():
        feed, viewer = hub_of(seeds, hub.Pace()), hub.Viewer()
        runs = {"a", "c-c01-s01", "c-c01-s02"}
        for run in runs:
            feed.join(viewer, run)
        told, step = set(), 200
        while told != runs:
            for run in runs:
                append(seeds, step, run)
            step += 1
            await asyncio.sleep(0.01)
            if viewer.ready.is_set():
                frames_of_one = [frames.decode(frame)[0] for frame in viewer.taken()]
                told = {header["run"] for header in frames_of_one if not header["full"]}
        await feed.stop()

    alone(scenario())


def test_a_crowd_is_sent_fewer_messages_and_each_of_it_the_same(library):
    async def scenario():
        feed = hub_of(library, hub.Pace())
        crowd = [hub.Viewer() for _ in range(160)]
        for viewer in crowd:
            feed.join(viewer, "a")
        first = [await viewer.take() for viewer in crowd]
        assert {len(found) for found in first} == {1}
        append(library, 128)
        second = [await viewer.take() for viewer in crowd]
        assert {id(frame) for found in second for frame in found} == {id(second[0][0])}
        assert {viewer.rest for viewer in crowd} == {hub.Pace().crowded / 2}
        await feed.stop()

    alone(scenario())
