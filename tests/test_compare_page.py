"""The Compare page with nothing, with runs of every kind, and with links of all sorts."""

import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import psutil
import pytest
from streamlit.testing.v1 import AppTest

from engine import contenders, runs, store, verdict
from engine.contenders import Contender
from engine.presets import PRESETS
from engine.spec import RunSpec
from ui import links, side_by_side, verdict_panel

MAIN = Path(__file__).parent.parent / "pages" / "main.py"
UNKNOWN = "20200101-000000-abcd"


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """An empty library, and no data set on disk but the embedded ones."""
    monkeypatch.setenv("VGLAB_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("VGLAB_DATA", str(tmp_path / "data"))


def checked(page: AppTest) -> AppTest:
    assert not page.exception, page.exception[0].value
    return page


def compare(**query: str) -> AppTest:
    """The Compare page as a link opens it."""
    page = AppTest.from_file(MAIN, default_timeout=30).switch_page("compare.py")
    for name, value in query.items():
        page.query_params[name] = value
    return checked(page.run())


def press(page: AppTest, key: str) -> AppTest:
    return checked(page.button(key=key).click().run())


def made(status: str = store.FINISHED, *, step: int = 0, sentence: str = "", **fields: Any) -> str:
    """A run file of that status, as a worker would have left it."""
    run = runs.create(RunSpec(**fields))
    left(run, status, step=step, sentence=sentence)
    return run


def left(run: str, status: str, *, step: int = 0, **columns: Any) -> None:
    """Write into a run's file what a worker would have."""
    with store.Writer(runs.path(run)) as writer:
        writer.update(status=status, **columns)
        if step:
            alive = status == store.RUNNING
            started = psutil.Process().create_time() if alive else 1.0
            writer.commit((os.getpid() if alive else 1, started, step))


def group(seeds: int = 3, **fields: Any) -> str:
    """A contender of several seeds that has just been queued."""
    asked = Contender(title="Some", spec=RunSpec(**fields), seeds=seeds)
    return contenders.start([asked])[0]


def said(page: AppTest) -> str:
    """Everything the page says in words, in one text."""
    parts = [*page.markdown, *page.caption, *page.info, *page.warning, *page.error]
    return "\n".join(part.value for part in parts)


def told(page: AppTest) -> dict[str, Any] | None:
    """What the live component was given; None where there is none."""
    told = (json.loads(one.proto.json)[0] for one in page.get("bidi_component"))
    return next((data for data in told if "contenders" in data), None)


def shown(page: AppTest) -> list[str]:
    """The contenders that the live component was asked to show."""
    data = told(page)
    return [side["id"] for side in data["contenders"]] if data else []


def refused(page: AppTest) -> str:
    """What the page says of the link that it cannot show; "" where nothing."""
    return "\n".join(warning.value for warning in page.warning)


# -- with nothing ------------------------------------------------------------------------------------


def test_with_nothing_the_page_invites_and_offers_comparisons_by_one_press():
    page = compare()
    assert "Nothing to compare yet" in said(page)
    assert "Nothing new to start." in said(page)
    assert page.button(key="start_together").disabled
    assert page.button(key="stop_together").disabled
    assert told(page) is None
    for number in range(len(side_by_side.READY)):
        assert not page.button(key=f"start_ready_{number}").disabled


@pytest.mark.parametrize("number", range(len(side_by_side.READY)))
def test_one_press_starts_a_ready_made_comparison_and_its_ids_are_the_link(number):
    page = press(compare(), f"start_ready_{number}")
    wanted = side_by_side.READY[number].new
    assert len(runs.all()) == len(shown(page)) == len(wanted)
    assert dict(page.query_params) == {"runs": ",".join(shown(page))}
    assert {run.spec.data for run in runs.all()} == {"digits"}
    assert {run.spec.epochs for run in runs.all()} == {40}
    assert not page.button(key="stop_together").disabled
    labels = [side["label"] for side in told(page)["contenders"]]
    assert len(set(labels)) == len(labels)


def test_the_first_ready_made_comparison_is_of_two_so_that_their_difference_is_drawn():
    page = press(compare(), "start_ready_0")
    assert told(page)["difference"] == f"difference:step:{':'.join(shown(page))}"
    assert "**activation:** sigmoid / relu" in said(page)


# -- new contenders ----------------------------------------------------------------------------------


def test_new_contenders_are_put_together_and_started_by_one_press():
    page = compare()
    press(page, "compare_add")
    page.get_by_key("compare_remedies").set_value(["batchnorm", "tanh"]).run()
    press(page, "compare_add")
    assert page.query_params["new"] == "baseline,baseline+batchnorm+tanh"
    assert runs.all() == [], "nothing starts before Start"
    page.number_input(key="compare_seeds").set_value(3).run()
    page.number_input(key="compare_new_epochs").set_value(5).run()
    page.selectbox(key="compare_new_data").select("moons").run()
    # moons: 1800 examples in batches of 64 make 29 steps an epoch
    assert "2 networks, 3 seeds each: 6 runs, 870 steps in all." in said(page)
    press(page, "start_together")
    assert len(shown(page)) == 2
    assert dict(page.query_params) == {
        "runs": ",".join(shown(page)),
        "new_data": "moons",
        "new_epochs": "5",
        "seeds": "3",
    }
    specs = {run.id: run.spec for run in runs.all()}
    plain = RunSpec(data="moons", epochs=5)
    assert [specs[run] for run in contenders.members(shown(page)[0])] == [
        plain.changed({"seed": seed}) for seed in (42, 43, 44)
    ]
    both = plain.changed({"activation": "tanh", "norm": "batch"})
    assert specs[contenders.members(shown(page)[1])[0]] == both


def test_the_draft_is_in_the_link_and_opens_elsewhere_as_it_was():
    page = compare(new="skip,baseline+batchnorm", new_epochs="7", seeds="2")
    assert "2 networks, 2 seeds each: 4 runs" in said(page)
    press(page, "remove_skip")
    assert page.query_params["new"] == "baseline+batchnorm"
    assert "1 network, 2 seeds each: 2 runs" in said(page)


def test_new_ones_stand_beside_those_that_are_shown():
    first = made()
    page = press(compare(runs=first, new="skip"), "start_together")
    assert shown(page)[0] == first
    assert len(shown(page)) == 2
    assert "new" not in page.query_params


def test_a_new_one_starts_from_the_run_that_the_lab_shows():
    run = made(depth=9)
    page = AppTest.from_file(MAIN, default_timeout=30)
    page.query_params["run"] = run
    page.run()
    page.query_params.clear()  # the menu's links carry no query
    checked(page.switch_page("compare.py").run())
    assert page.selectbox(key="compare_base").value == run
    page.get_by_key("compare_remedies").set_value(["skip_every"]).run()
    press(page, "compare_add")
    press(page, "start_together")
    (new,) = contenders.members(shown(page)[0])
    assert runs.info(new).spec == RunSpec(depth=9, epochs=40, skip="every", skip_every=2)


def test_what_cannot_be_built_is_a_sentence_beside_its_line_and_the_rest_starts():
    run = made(depth=2)
    page = compare(new=f"{run}+skip,baseline,nonsense,baseline+nonsense")
    for sentence in (
        "skip is published; it adds layer 1 to layer 3",
        "'nonsense' starts from nonsense, which is neither a run's id nor a preset",
        "nonsense is not a remedy",
    ):
        assert sentence in said(page)
    press(page, "start_together")
    assert len(runs.all()) == 2
    assert page.query_params["new"] == f"{run}+skip,nonsense,baseline+nonsense"


def test_a_seventh_new_one_cannot_be_added():
    six = "baseline,skip,baseline+tanh,baseline+gelu,baseline+batchnorm,baseline+layernorm"
    page = compare(new=six)
    page.get_by_key("compare_remedies").set_value(["rmsnorm"]).run()
    assert page.button(key="compare_add").disabled
    assert "At most 6 fit side by side" in said(page)
    assert "6 networks, 5,280 steps in all." in said(page)


def test_data_that_cannot_be_had_is_a_sentence_and_nothing_starts(monkeypatch):
    def refuse(name: str) -> None:
        raise runs.StoreError("MNIST is not here and could not be downloaded: no network.")

    monkeypatch.setattr(contenders, "check_obtainable", refuse)
    page = compare(new="baseline", new_data="mnist")
    assert "MNIST will be downloaded." in said(page)
    press(page, "start_together")
    assert "could not be downloaded: no network." in said(page)
    assert runs.all() == []
    page.selectbox(key="compare_new_data").select("digits").run()
    assert "no network" not in said(page), "the sentence goes when the choice changes"


# -- runs there are ----------------------------------------------------------------------------------


@pytest.mark.parametrize("status", store.STATUSES)
def test_runs_of_every_status_stand_beside_another(status):
    pair = [made(), made(status, step=40, sentence="So it is." * (status == store.FAILED))]
    page = compare(runs=",".join(pair))
    assert shown(page) == pair
    assert not refused(page)
    is_open = status in store.OPEN and runs.info(pair[1]).status in store.OPEN
    assert told(page)["known_open"] == is_open
    assert page.button(key="stop_together").disabled != is_open


def test_a_run_that_is_empty_or_unfinished_stands_beside_one_that_failed():
    failed = made(store.FAILED, step=3, sentence="Failed at step 3: disk full.")
    page = compare(runs=f"{made(store.QUEUED)},{failed}")
    assert len(shown(page)) == 2


def test_six_are_shown_of_seven_and_the_same_run_once():
    seven = [made() for _ in range(7)]
    page = compare(runs=",".join([*seven, seven[0]]))
    assert shown(page) == seven[:6]
    assert "The link names 7 in runs; at most 6 fit side by side" in refused(page)
    assert f"{seven[0]} is named more than once; it is shown once." in refused(page)


def test_an_unknown_run_and_a_deleted_one_are_a_sentence_each_and_the_rest_is_drawn():
    kept, deleted = made(), made()
    runs.delete(deleted)
    page = compare(runs=f"{UNKNOWN},{kept},{deleted},no-run")
    assert shown(page) == [kept]
    assert f"There is no run {UNKNOWN} in this library." in refused(page)
    assert f"There is no run {deleted} in this library." in refused(page)
    assert "'no-run' is not the id of a run" in refused(page)
    assert "Baseline stands alone: add another" in said(page)
    press(page, "compare_dismiss")
    assert not refused(page)
    assert dict(page.query_params) == {"runs": kept}


def test_a_run_deleted_while_it_is_shown_is_a_sentence():
    pair = [made(), made()]
    page = compare(runs=",".join(pair))
    runs.delete(pair[0])
    checked(page.run())
    assert shown(page) == pair[1:]
    assert f"There is no run {pair[0]} in this library." in refused(page)


def test_a_run_of_a_newer_version_and_a_broken_one_are_a_sentence_each():
    newer, broken, kept = made(), made(), made()
    with sqlite3.connect(runs.path(newer)) as file:
        file.execute("PRAGMA user_version = 99")
    runs.path(broken).write_bytes(b"not a database at all" * 100)
    page = compare(runs=",".join([newer, broken, kept]))
    assert shown(page) == [kept]
    assert f"{newer}.sqlite has schema 99; this version reads up to {store.SCHEMA}" in refused(page)
    assert f"{broken}.sqlite cannot be used" in refused(page)


def test_networks_of_another_depth_are_compared_by_relative_depth_and_it_is_said():
    page = compare(runs=f"{made(depth=3)},{made(depth=20)}", histogram_layer="21")
    assert told(page)["options"]["depth"] == "relative"
    assert "The networks have 4 and 21 layers" in said(page)
    assert page.selectbox(key="compare_histogram_layer").value == 21
    assert not refused(page)


def test_a_layer_that_no_network_has_is_a_sentence_and_the_first_is_shown():
    page = compare(runs=made(depth=3), histogram_layer="9")
    assert "histogram_layer is 9; it must be from 1 to 4" in refused(page)
    assert told(page)["options"]["layer"] == 1


def test_other_data_and_another_width_may_be_compared_and_it_is_said():
    page = compare(runs=f"{made()},{made(data='moons', width=9)}")
    assert len(shown(page)) == 2
    assert "The data differ" in said(page)
    assert "**units per layer:** 128 / 9" in said(page)


def test_a_failed_seed_does_not_hide_the_others():
    subject = group(3)
    first, second, third = contenders.members(subject)
    left(first, store.FAILED, step=3, sentence="It broke.")
    left(second, store.FINISHED, step=10)
    page = compare(runs=f"{subject},{made()}")
    assert shown(page)[0] == subject
    assert "**seed:** 42 to 44 / 42" in said(page)
    runs.path(first).write_bytes(b"no database" * 100)
    assert shown(checked(page.run()))[0] == subject
    assert f"{first}.sqlite cannot be used" in refused(page)
    runs.delete(first)
    assert shown(checked(page.run()))[0] == subject
    assert not refused(page), "a seed that was deleted is simply not there"
    press(page, "stop_together")
    assert runs.info(third).status == store.STOPPED


def test_a_seed_beside_its_own_group_and_a_whole_set_are_a_sentence():
    subject = group(2)
    seed = contenders.members(subject)[0]
    page = compare(runs=f"{subject},{seed}")
    assert shown(page) == [subject]
    assert f"{seed} is one of the seeds that are shown already." in refused(page)
    pair = contenders.start([Contender(title=t, spec=RunSpec()) for t in ("A", "B")])
    page = compare(runs=pair[0].removesuffix("-c01"))
    assert "is a set of 2 contenders; the first is " + pair[0] in refused(page)


NONSENSE = {
    "align": ("sideways", "align is sideways; it must be one of"),
    "seeds": ("zero", "seeds is zero; it must be from 1 to 20."),
    "new_epochs": ("-3", "new_epochs is -3; it must be from 1 to 10000."),
    "ladder": ("../../etc", "'../../etc' is not the id of a run"),
    "colour": ("red", "colour is nothing that a comparison can set."),
}


@pytest.mark.parametrize("name", list(NONSENSE))
def test_nonsense_in_the_link_is_a_sentence_and_the_rest_is_shown(name):
    run = made()
    value, sentence = NONSENSE[name]
    page = compare(runs=run, **{name: value})
    assert sentence in refused(page)
    assert shown(page) == [run]
    press(page, "compare_dismiss")
    assert dict(page.query_params) == {"runs": run}


# -- controls ----------------------------------------------------------------------------------------


def test_runs_and_groups_are_chosen_by_labels_that_never_change_and_are_their_own():
    run, subject = made(store.QUEUED), group(2)
    page = compare()
    picker = page.multiselect(key="compare_runs")
    before = list(picker.options)
    assert len(set(before)) == 2
    picker.select(before[0]).run()
    page.multiselect(key="compare_runs").select(before[1]).run()
    assert set(shown(checked(page))) == {run, subject}
    left(run, store.FINISHED, step=5)
    assert list(checked(page.run()).multiselect(key="compare_runs").options) == before
    page.multiselect(key="compare_runs").set_value([]).run()
    assert "runs" not in page.query_params
    assert "Nothing to compare yet" in said(page)


def test_the_view_is_in_the_link_and_reaches_the_component():
    page = compare(
        runs=f"{made()},{made()}",
        align="epoch",
        part="test",
        histograms="weight",
        histogram_layer="3",
    )
    options = told(page)["options"]
    assert (options["step_axis"], options["part"]) == ("epoch", "test")
    assert (options["kind"], options["layer"]) == ("weight", 3)
    page.get_by_key("compare_align").set_value("seconds").run()
    page.selectbox(key="compare_histogram_layer").select(5).run()
    assert page.query_params["align"] == "seconds"
    assert page.query_params["histogram_layer"] == "5"
    assert told(page)["difference"].startswith("difference:seconds:")
    page.get_by_key("compare_align").set_value("step").run()
    assert "align" not in page.query_params, "what is as it always is leaves the link"


def test_a_link_opens_the_same_picture_elsewhere():
    here = press(compare(new="baseline,skip", align="log_step", seeds="2"), "start_together")
    there = compare(**{name: here.query_params[name] for name in here.query_params})
    assert told(there) == told(here)
    assert said(there) == said(here)


def test_stop_ends_all_that_wait():
    page = press(compare(new="baseline,skip", seeds="2"), "start_together")
    press(page, "stop_together")
    assert {run.status for run in runs.all()} == {store.STOPPED}
    assert page.button(key="stop_together").disabled


def test_the_comparison_survives_a_visit_to_the_lab_and_its_controls():
    pair = [made(), made(depth=3)]
    query = {"runs": ",".join(pair), "histograms": "weight", "new_epochs": "9", "new_data": "moons"}
    page = compare(**query)
    page.query_params.clear()
    checked(page.switch_page("lab.py").run())
    page.selectbox(key="data").select("circles").run()
    page.query_params.clear()  # the menu's links carry no query
    checked(page.switch_page("compare.py").run())
    assert shown(page) == pair
    assert dict(page.query_params) == query
    page.get_by_key("compare_histograms").set_value("activation").run()
    assert checked(page).query_params["histograms"] == "activation"


def test_the_lab_and_its_settings_survive_a_visit_to_the_comparison():
    run = made()
    page = AppTest.from_file(MAIN, default_timeout=30)
    page.query_params["run"], page.query_params["epochs"] = run, "3"
    checked(page.run())
    page.query_params.clear()
    checked(page.switch_page("compare.py").run())
    page.number_input(key="compare_new_epochs").set_value(77).run()
    page.query_params.clear()
    checked(page.switch_page("lab.py").run())
    assert page.selectbox(key="run_picker").value == run
    assert page.number_input(key="epochs").value == 3


def test_what_the_browser_brings_along_from_the_other_page_is_dropped_without_a_word():
    """Streamlit writes a page's parameters into the history before the page's own address."""
    pair = [made(), made(depth=3)]
    page = compare(runs=",".join(pair), align="epoch")
    page.query_params.clear()
    page.query_params["run"] = pair[0]
    checked(page.switch_page("lab.py").run())
    page.query_params["align"] = "epoch"
    checked(page.run())
    assert dict(page.query_params) == {"run": pair[0]}
    assert not refused(page)
    page.query_params["activation"] = "relu"
    checked(page.switch_page("compare.py").run())
    assert dict(page.query_params) == {"runs": ",".join(pair), "align": "epoch"}
    page.query_params["run"] = pair[0]
    checked(page.run())
    assert dict(page.query_params) == {"runs": ",".join(pair), "align": "epoch"}
    assert not refused(page)


# -- the ladder --------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", links.LADDER_FORMS)
def test_one_press_trains_the_ladder_and_its_table_is_shown(form):
    page = compare(show="ladder", form=form, seeds="2", new_epochs="3")
    assert "No ladder yet" in said(page)
    press(page, "start_ladder")
    kinds = [form] if form != "both" else ["controlled", "published"]
    presets = [name for name, one in PRESETS.items() if one.kind in kinds]
    assert sorted(run.preset for run in runs.all()) == sorted(2 * presets)
    assert {run.spec.epochs for run in runs.all()} == {3}
    assert told(page)["table"] == f"table:{page.query_params['ladder']}"
    assert told(page)["known_open"]
    assert told(page)["contenders"] == []
    press(page, "stop_ladder")
    assert {run.status for run in runs.all()} == {store.STOPPED}
    assert not told(page)["known_open"]


def test_an_earlier_ladder_is_chosen_and_some_of_it_put_side_by_side():
    earlier = contenders.start(contenders.ladder(["controlled"], epochs=1))
    contenders.start([Contender(title="no ladder", spec=RunSpec())])
    page = compare(show="ladder")
    picker = page.selectbox(key="compare_ladder")
    assert len(picker.options) == 1
    picker.select_index(0).run()
    assert checked(page).query_params["ladder"] == earlier[0].removesuffix("-c01")
    rows = page.multiselect(key="compare_rows")
    assert len(rows.options) == len(earlier) == 10
    rows.set_value([earlier[0], earlier[5]]).run()
    press(page, "compare_rows_show")
    assert shown(page) == [earlier[0], earlier[5]]
    assert "show" not in page.query_params


def test_a_ladder_with_a_failed_and_a_deleted_run_still_shows_its_table():
    groups = contenders.start(contenders.ladder(["controlled"], epochs=1))
    set_id = groups[0].removesuffix("-c01")
    left(f"{groups[1]}-s01", store.FAILED, step=1, sentence="It broke.")
    runs.delete(f"{groups[2]}-s01")
    page = compare(show="ladder", ladder=set_id)
    assert told(page)["table"] == f"table:{set_id}"
    assert len(page.multiselect(key="compare_rows").options) == 9
    for run in contenders.members(set_id):
        runs.send(run, "stop")
        runs.delete(run)
    checked(page.run())
    assert f"There is no run {set_id} in this library." in refused(page)
    assert "No ladder yet" in said(page)


# -- the verdict -------------------------------------------------------------------------------------


def judged(name: str, **found: Any) -> verdict.Verdict:
    claim = verdict.published()[name]
    return verdict.Verdict(
        **(
            {
                "name": name,
                "published": claim.published,
                "measured": [],
                "agrees": None,
                "low": None,
                "high": None,
                "margin": 0.0,
                "accuracy": claim.accuracy,
                "seeds": [],
                "words": "published .8785, not measured here yet",
                "note": claim.note,
                "runs": [],
            }
            | found
        )
    )


def test_every_published_configuration_is_listed_with_its_sentence_and_what_is_missing():
    page = compare(show="verdict")
    for one in verdict.judge():
        assert verdict.published()[one.name].title in said(page)
        assert one.words[1:] in said(page)
    assert "none of them measured here yet" in said(page)
    assert "require\\_grad, a misspelling" in said(page)
    assert "a guess for one core: no run here tells yet" in said(page)
    assert not page.button(key="start_verdict").disabled


def test_agreement_is_told_by_sign_and_word():
    rows = verdict_panel.table(
        [
            judged("batchnorm_sgd", agrees=True, measured=[0.87], words="here .87: agrees"),
            judged("skip", agrees=False, measured=[0.3], words="here .30: outside"),
            judged("custom_norm", measured=[0.8], words="no number published, here .80"),
            judged("baseline"),
        ]
    ).splitlines()[2:]
    signs = [row.split("|")[2].replace("\N{NO-BREAK SPACE}", " ").strip() for row in rows]
    assert signs == ["**✓ agrees**", "**✗ outside**", "no number", "not measured"]
    told = verdict_panel.summary([judged("skip", agrees=False, measured=[0.3]), judged("baseline")])
    assert told.startswith("**0 of 1** measured configurations agree")
    assert told.endswith(" 1 published number is not measured here yet.")


def test_the_missing_runs_are_trained_by_one_press_and_then_nothing_is_missing(monkeypatch):
    monkeypatch.setattr(contenders, "check_obtainable", lambda name: None)
    page = press(compare(show="verdict", seeds="2"), "start_verdict")
    assert len(runs.all()) == 2 * len(verdict.published())
    assert "Nothing is missing." in said(page)
    assert page.button(key="start_verdict").disabled
    assert told(page)["table"].count(":") == len(verdict.published())
    assert told(page)["known_open"]
    press(page, "stop_verdict")
    assert {run.status for run in runs.all()} == {store.STOPPED}


def test_the_time_it_takes_is_reckoned_from_what_was_measured(monkeypatch):
    monkeypatch.setattr(contenders, "check_obtainable", lambda name: None)
    spec = PRESETS["skip"].spec(data="fashion_mnist")
    run = runs.create_as("20261123-140509-3fa2", spec)
    left(run, store.FINISHED, started=1000.0, ended=1300.0)  # 100 epochs of 3 s
    wanted = [Contender(title="", spec=spec), Contender(title="", spec=spec, seeds=2)]
    told = verdict_panel.estimate(wanted, [runs.info(run)], workers=3)
    # 300 epochs of 3 s on three workers
    assert told == "About 5 min 0 s, 3 at a time: 300 epochs of 3 s each (measured here on 1 run)."
