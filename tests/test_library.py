"""The library: what is found, how families stand, what people say of runs, and the page of it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from browser import wait_for
from playwright.sync_api import expect
from test_pages import STATES, link_to_compare, made, opened, said

from engine import library, runs, store, transfer, trash
from engine.errors import RunError
from engine.library import Entry, Index, Wanted
from engine.spec import RunSpec
from ui import library as page_of_runs
from ui import library_rows


def ids(entries):
    return [entry.id for entry in entries]


def look():
    return Index().look()[0]


def rows(page):
    """The rows that the page asks the browser to draw."""
    told = (json.loads(one.proto.json)[0] for one in page.get("bidi_component"))
    return next((one["rows"] for one in told if "rows" in one), [])


def press(page, what, run, on=None):
    """What the browser asks for when something in a row is pressed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page_of_runs, "arrive", lambda: page_of_runs.ACTIONS[what](run, on))
        page.run()
    assert not page.exception
    return page


# -- what is read ----------------------------------------------------------------------------------


def test_the_index_says_what_the_files_say_newest_first():
    found = [made(status, **STATES[status][0]) for status in store.STATUSES]
    assert ids(look()) == found[::-1]
    assert {entry.id: entry.info for entry in look()} == {info.id: info for info in runs.all()}
    assert all(entry.bytes >= runs.path(entry.id).stat().st_size for entry in look())


def test_a_file_is_opened_once_until_it_changes(monkeypatch):
    first, second = made(store.FINISHED), made(store.FINISHED)
    index, opened_files = Index(), []
    whole = store.Reader
    monkeypatch.setattr(store, "Reader", lambda path: opened_files.append(path.stem) or whole(path))
    index.look()
    index.look()  # reading leaves an empty log beside a file, which changes nothing
    opened_files.clear()
    index.look()
    assert opened_files == []
    library.describe(first, title="Another")
    assert {e.id: e.info.title for e in index.look()[0]}[first] == "Another"
    assert set(opened_files) == {first}
    runs.delete(second)
    assert ids(index.look()[0]) == [first]


def test_a_broken_file_is_a_sentence_and_the_others_are_found():
    broken, whole = made(store.FINISHED), made(store.FINISHED)
    runs.path(broken).write_bytes(b"not a database at all" * 100)
    entries, sentences = Index().look()
    assert ids(entries) == [whole]
    assert list(sentences) == [broken]
    assert broken in sentences[broken]


def test_a_run_whose_worker_was_killed_is_lost_without_a_write():
    run = made(store.RUNNING, step=5)
    index = Index()
    assert index.look()[0][0].info.status == store.RUNNING
    with store.Writer(runs.path(run)) as writer:
        writer.commit((2**22 + 1, 1.0, 55))  # no such process
    assert index.look()[0][0].info.status == store.LOST


# -- what is asked for -----------------------------------------------------------------------------


def test_a_search_finds_words_in_title_tags_note_and_id_whatever_their_case():
    run = made(store.FINISHED)
    library.describe(run, title="Étude No 7", note="for the THIRD lecture", tags=["group B"])
    (entry,) = look()
    for text in ("étude", "ÉTUDE 7", "third group", run[-4:], "  ", "b third"):
        assert Wanted(text=text).fits(entry), text
    assert not Wanted(text="étude fourth").fits(entry)


def test_filters_agree_with_the_specs_they_are_about():
    specs = [
        RunSpec(),
        RunSpec(activation="relu"),
        RunSpec(activation="relu", norm="batch", data="moons"),
    ]
    found = [made(status, spec) for status in (store.FINISHED, store.STOPPED) for spec in specs]
    library.describe(found[1], starred=True)
    entries = look()
    for wanted, fits in (
        (Wanted(remedies=["better_activation"]), lambda i: i.spec.activation == "relu"),
        (Wanted(remedies=["better_activation", "batchnorm"]), lambda i: i.spec.norm == "batch"),
        (Wanted(data=["moons"]), lambda i: i.spec.data == "moons"),
        (Wanted(statuses=["stopped", "failed"]), lambda i: i.status == "stopped"),
        (Wanted(presets=["baseline"]), lambda i: i.preset == "baseline"),
        (Wanted(starred=True), lambda i: i.id == found[1]),
        (Wanted(data=["moons"], statuses=["failed"]), lambda i: False),
        (Wanted(), lambda i: True),
    ):
        expected = {info.id for info in runs.all() if fits(info)}
        assert {entry.id for entry in entries if wanted.fits(entry)} == expected, wanted


# -- families --------------------------------------------------------------------------------------


def family(parents):
    """Entries, newest first; parents: id -> its parent's, newest first."""
    run = made(store.FINISHED)
    info = runs.info(run)
    return [
        Entry(info=replace(info, id=name, parent=parent), bytes=1, remedies=(), text="")
        for name, parent in parents.items()
    ]


def stood(entries):
    return [(row.entry.id, row.depth) for row in library.arranged(entries)]


def test_branches_stand_beneath_their_parent_and_a_family_where_its_newest_member_is():
    entries = family({"f": "b", "e": "", "d": "b", "c": "d", "b": "", "a": ""})
    assert stood(entries) == [("b", 0), ("f", 1), ("d", 1), ("c", 2), ("e", 0), ("a", 0)]


def test_a_branch_without_its_parent_stands_alone():
    assert stood(family({"b": "gone", "a": ""})) == [("b", 0), ("a", 0)]


def test_files_that_name_each_other_as_parents_are_each_listed_once():
    found = stood(family({"d": "c", "c": "d", "b": "b", "a": ""}))
    assert sorted(name for name, _ in found) == ["a", "b", "c", "d"]


# -- what people say -------------------------------------------------------------------------------


def test_what_is_said_of_a_run_is_kept_in_its_file():
    run = made(store.FINISHED)
    library.describe(run, title="  A\tname\n here ", note="two\nlines", tags=["x", "x", " ", "a,b"])
    library.describe(run, starred=True)
    info = runs.info(run)
    assert (info.title, info.note) == ("A name here", "two\nlines")
    assert (info.tags, info.starred) == (("x", "a b"), True)
    library.describe(run, starred=False)
    assert not runs.info(run).starred
    assert runs.info(run).title == "A name here"


def test_a_name_of_nothing_is_refused_and_a_long_one_cut():
    run = made(store.FINISHED)
    for nothing in ("", "  ", "\u202e\u200b\x07"):
        with pytest.raises(RunError, match="needs a name"):
            library.describe(run, title=nothing)
    library.describe(run, title="x" * 500, note="y" * 5000, tags=[str(n) * 40 for n in range(30)])
    info = runs.info(run)
    assert len(info.title) == library.MOST_TITLE
    assert len(info.note) == library.MOST_NOTE
    assert len(info.tags) == library.MOST_TAGS
    assert max(map(len, info.tags)) == library.MOST_TAG


# -- the trash -------------------------------------------------------------------------------------


def test_a_deleted_run_comes_back_as_it_was():
    run = made(store.FINISHED)
    before, kept = runs.info(run), runs.path(run).read_bytes()
    trash.throw(run)
    assert runs.all() == []
    trash.restore(run)
    assert runs.path(run).read_bytes() == kept
    assert runs.info(run) == before
    trash.throw(run)
    trash.purge({run})
    with pytest.raises(RunError, match="gone for good"):
        trash.restore(run)


def test_what_is_not_folded_into_a_file_yet_comes_back_too():
    run = made(store.FINISHED)
    writer = store.Writer(runs.path(run))  # keeps the log
    with store.Writer(runs.path(run)) as other:
        other.update(title="In the log alone")
    trash.throw(run)
    trash.restore(run)
    assert runs.info(run).title == "In the log alone"
    writer.close()


def test_a_run_that_trains_is_not_thrown_away_and_one_that_waits_is_stopped_first():
    running = made(store.RUNNING, step=5)
    with pytest.raises(RunError, match="still training"):
        trash.throw(running)
    waiting = runs.start(RunSpec())
    trash.throw(waiting)
    assert not runs.is_any_queued()
    trash.restore(waiting)
    assert runs.info(waiting).status == store.STOPPED


def test_only_what_is_in_the_trash_is_purged(home):
    run = made(store.FINISHED)
    trash.throw(run)
    trash.purge({"..", ".", "../runs", "unknown"})
    assert (home / "runs").exists()
    trash.restore(run)
    trash.throw(run)
    trash.purge_all(older_than=60)
    trash.restore(run)
    trash.throw(run)
    trash.purge_all()
    assert list((home / "trash").iterdir()) == []


# -- the page --------------------------------------------------------------------------------------


def test_the_page_lists_runs_of_every_status_in_words():
    for status in store.STATUSES:
        made(status, **STATES[status][0])
    told = {row["status"]: row for row in rows(opened("runs.py"))}
    assert set(told) == set(store.STATUSES)
    assert told[store.QUEUED]["word"] == "waiting"
    assert told[store.LOST]["word"] == "stopped unexpectedly"
    assert {row["title"] for row in told.values()} == {"Baseline"}
    assert [s for s in told if told[s]["begun"]] == [s for s in told if s in store.BEGUN]


def test_a_row_says_family_changes_tags_and_note():
    parent = made(store.FINISHED)
    child = made(
        store.FINISHED, RunSpec(activation="relu"), parent=parent, parent_step=1200, changes=2
    )
    library.describe(child, title="Mine", note="a\nnote", tags=["one"])
    top, row = rows(opened("runs.py"))
    assert (top["id"], top["depth"], row["depth"]) == (parent, 0, 1)
    assert row["more"] == ["branched at step 1,200", "ReLU", "2 changes on the way"]
    assert (row["tags"], row["note"]) == (["one"], "a note")
    runs.delete(parent)
    (alone,) = rows(opened("runs.py"))
    assert alone["more"][0] == "branched at step 1,200 of a run that is not here"


def test_a_link_to_the_page_filters_and_nonsense_in_it_is_ignored():
    made(store.FINISHED)
    relu = made(store.STOPPED, RunSpec(activation="relu"))
    page = opened("runs.py", in_status="stopped", with_remedies="ReLU", on_data="no such set")
    assert [row["id"] for row in rows(page)] == [relu]
    assert "1 of 2 runs" in said(page)
    page.button(key="clear_filters").click().run()
    assert len(rows(page)) == 2
    page.text_input(key="find").set_value("nothing is called this").run()
    assert "No run is like that" in said(page)
    assert rows(page) == []


def test_many_runs_are_shown_a_page_at_a_time(monkeypatch):
    monkeypatch.setattr(page_of_runs, "PER_PAGE", 2)
    found = [made(store.FINISHED) for _ in range(5)]
    page = opened("runs.py")
    assert len(rows(page)) == 2
    page.session_state["runs_page"] = 3
    assert len(rows(page.run())) == 1
    runs.delete(found[2])
    assert len(rows(page.run())) == 2, "a page that is no longer there is the last"
    page.text_input(key="find").set_value(found[0]).run()
    assert [row["id"] for row in rows(page)] == [found[0]]


def test_ticked_runs_are_compared_in_the_order_of_ticking():
    found = [made(store.FINISHED) for _ in range(7)]
    page = opened("runs.py")
    (link,) = [link for link in page.page_link if link.value == "Compare"]
    assert link.proto.disabled
    for run in (found[3], found[0], found[5]):
        press(page, "tick", run, True)
    press(page, "tick", found[5], False)
    assert link_to_compare(page)["runs"] == [f"{found[3]},{found[0]}"]
    for run in found:
        press(page, "tick", run, True)
    assert "7 are ticked; at most 6 fit side by side." in said(page)
    runs.delete(found[6])
    assert "at most 6 fit" not in said(page.run()), "a deleted run is no longer ticked"


def test_deleted_runs_come_back_one_by_one_or_all_until_the_page_is_left(home):
    found = [made(store.FINISHED) for _ in range(3)]
    page = opened("runs.py")
    for run in found:
        press(page, "delete", run)
    assert runs.all() == []
    page.button(key="undo").click().run()
    assert ids(look()) == [found[2]]
    page.button(key="undo_all").click().run()
    assert len(look()) == 3
    press(page, "delete", found[0])
    page.switch_page("lab.py").run()
    assert list((home / "trash").iterdir()) == []
    page.switch_page("runs.py").run()
    assert "undo" not in [button.key for button in page.button]
    assert len(rows(page)) == 2


def test_a_press_that_is_refused_is_a_sentence():
    run = made(store.RUNNING, step=5)
    page = press(opened("runs.py"), "delete", run)
    assert "stop it before deleting it" in said(page)
    gone = made(store.FINISHED)
    page = opened("runs.py")
    runs.delete(gone)
    assert f"There is no run {gone}" in said(press(page, "star", gone, True))
    assert "There is no run" not in said(page.run())


def test_a_broken_file_is_a_sentence_on_the_page_and_can_be_deleted():
    broken = made(store.FINISHED)
    runs.path(broken).write_bytes(b"not a database at all" * 100)
    made(store.FINISHED, RunSpec(depth=2))
    page = opened("runs.py")
    assert broken in page.warning[0].value
    assert len(rows(page)) == 1
    page.button(key=f"delete_{broken}").click().run()
    assert not page.warning
    assert opened().selectbox(key="run_picker").options is not None


@pytest.mark.parametrize(
    ("count", "words"), [(0, "1 KB"), (98_304, "98 KB"), (3_100_000, "3.1 MB"), (2e9, "2,000 MB")]
)
def test_sizes_are_told_as_people_read_them(count, words):
    assert library_rows.size(count) == words


# -- in a browser ----------------------------------------------------------------------------------


def listed(visitor):
    """The rows on the screen, by their titles."""
    visitor.page.locator(".vgl-runs tbody tr").first.wait_for()
    return visitor.page.locator(".vgl-runs tbody a").all_inner_texts()


def on(visitor, run, what):
    return visitor.page.locator(f".vgl-runs tr[data-run='{run}'] {what}")


@pytest.mark.browser
def test_a_person_finds_opens_stars_describes_deletes_and_puts_back(visitor, library):
    first = made(store.FINISHED, title="The <b>first</b> one")
    second = made(store.FINISHED, RunSpec(activation="relu"), title="Another")
    page = visitor.page
    page.goto(f"{visitor.server.url}/runs")
    assert listed(visitor) == ["Another", "The <b>first</b> one"]
    page.locator(".st-key-find input").type("first")
    visitor.wait_for("document.querySelectorAll('.vgl-runs tbody tr').length === 1")
    assert listed(visitor) == ["The <b>first</b> one"]
    assert "find=first" in page.url
    for run in (first,):
        on(visitor, run, ".vgl-star").click()
    wait_for(lambda: runs.info(first).starred, "the star is not kept")
    visitor.press("clear_filters")
    visitor.wait_for("document.querySelectorAll('.vgl-runs tbody tr').length === 2")
    for run in (second, first):  # as fast as can be
        on(visitor, run, "input").evaluate("box => box.click()")
    page.get_by_role("link", name="Compare the 2 ticked").wait_for()
    on(visitor, first, ".vgl-runs-edit").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Renamed")
    dialog.get_by_label("Note").fill("so that it is found")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog).to_have_count(0)
    page.get_by_role("link", name="Renamed").wait_for()
    on(visitor, second, ".vgl-runs-delete").click()
    visitor.says("Gone for good when you leave this page.")
    assert listed(visitor) == ["Renamed"]
    visitor.press("undo")
    page.get_by_role("link", name="Another").click()
    visitor.wait_for("new URL(location).pathname === '/'")
    visitor.wait_for(f"document.querySelector('.vgl')?.dataset.status === '{store.FINISHED}'")
    assert visitor.run == second
    assert not visitor.errors


@pytest.mark.browser
def test_a_run_is_saved_as_a_file_and_taken_in_again(visitor, library, tmp_path):
    run = made(store.FINISHED, title="To take home")
    page = visitor.page
    page.goto(f"{visitor.server.url}/runs")
    on(visitor, run, ".vgl-runs-edit").click()
    with page.expect_download() as coming:
        page.get_by_role("button", name="The run as one file").click()
    saved = tmp_path / coming.value.suggested_filename
    coming.value.save_as(saved)
    assert saved.name == f"To-take-home-{run}{transfer.SUFFIX}"
    page.get_by_role("dialog").get_by_label("Close").click()
    give(page, saved)
    visitor.says("Imported To take home.")
    assert listed(visitor)[:2] == ["To take home"] * 2
    saved.write_bytes(saved.read_bytes()[:3000])
    give(page, saved)
    visitor.says("was not imported")
    assert [info.title for info in runs.all()].count("To take home") == 2


def give(page, file: Path):
    place = page.locator("[data-testid=stFileUploaderDropzone] input")
    if not place.count():
        page.locator(".st-key-import button").first.click()
    place.set_input_files(file)
