"""Sets of runs: their names, the seeds of each, and a queue that is fair to those who come later."""

import re
import time

import pytest

from engine import contenders, runs, store
from engine.contenders import FORMS, MOST_SEEDS, Contender
from engine.errors import DataError, RunError, SpecError, StoreError
from engine.presets import PRESETS
from engine.spec import RunSpec

SMALL = {"width": 8, "depth": 3, "device": "cpu", "epochs": 1}


def contender(title="one", seeds=1, **fields):
    return Contender(title=title, spec=RunSpec(**SMALL | fields), seeds=seeds)


@pytest.fixture
def clock(monkeypatch):
    """A clock that stands still; the list's first entry is its time in seconds."""
    now = [1_800_000_000.0]
    monkeypatch.setattr(time, "time_ns", lambda: round(now[0] * 1e9))
    return now


def taken():
    """Every waiting run, in the order workers get them."""
    found = []
    while file := runs.next_queued():
        found.append(file.stem)
    return found


def test_the_seeds_of_a_contender_follow_each_other_and_nothing_else_differs():
    asked = contender(seeds=3, seed=7)
    assert [spec.seed for spec in asked.specs()] == [7, 8, 9]
    assert len({spec.changed({"seed": 0}) for spec in asked.specs()}) == 1
    assert contender(seeds=MOST_SEEDS).specs()[-1].seed == 61


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"seeds": 0}, "seeds is 0; it must be a whole number from 1 to 20."),
        ({"seeds": 21}, "seeds is 21; it must be a whole number from 1 to 20."),
        (
            {"seeds": 3, "seed": 2**32 - 2},
            "seed is 4294967294; for 3 seeds it must be a whole number from 0 to 4294967293.",
        ),
    ],
)
def test_seeds_that_cannot_be_had_are_refused_by_sentence_and_nothing_starts(fields, sentence):
    with pytest.raises(SpecError) as refused:
        contenders.start([contender(), contender(**fields)])
    assert str(refused.value) == sentence
    assert runs.files() == []
    assert taken() == []


def test_the_largest_seed_may_be_the_last():
    assert contender(seeds=3, seed=2**32 - 3).specs()[-1].seed == 2**32 - 1


def test_membership_is_in_the_names():
    first, second = contenders.start([contender("a", seeds=2), contender("b", seed=5)])
    made = first.removesuffix("-c01")
    assert re.fullmatch(r"\d{8}-\d{6}-[0-9a-f]{4}", made)
    assert (first, second) == (f"{made}-c01", f"{made}-c02")
    assert contenders.members(first) == [f"{first}-s01", f"{first}-s02"]
    assert contenders.members(made) == [f"{first}-s01", f"{first}-s02", f"{second}-s01"]
    assert contenders.members(f"{first}-s02") == [f"{first}-s02"]
    assert contenders.groups(made) == [first, second]
    info = runs.info(f"{first}-s02")
    assert (info.group, info.title, info.spec.seed) == (first, "a", 43)
    assert runs.info(f"{second}-s01").group == second


def test_a_single_run_is_its_own_only_member_and_of_no_group():
    run = runs.start(RunSpec(**SMALL))
    contenders.start([contender()])
    assert contenders.members(run) == [run]
    assert runs.info(run).group == ""


def test_a_deleted_member_is_not_there_and_the_others_are():
    (group,) = contenders.start([contender(seeds=3)])
    runs.delete(f"{group}-s02")
    assert contenders.members(group) == [f"{group}-s01", f"{group}-s03"]
    runs.delete(f"{group}-s01")
    runs.delete(f"{group}-s03")
    with pytest.raises(RunError) as gone:
        contenders.members(group)
    assert str(gone.value) == f"There is no run {group} in this library."


def test_a_preset_s_name_is_kept_with_its_runs():
    (group,) = contenders.start(
        [Contender(title="skips", spec=PRESETS["skip"].spec(epochs=1), preset="skip")]
    )
    assert runs.info(f"{group}-s01").preset == "skip"


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "nonsense",
        "../../etc/passwd",
        "20261123-140509-3fa2-c1",
        "20261123-140509-3fa2-s01",
        "*",
        "x" * 500,
        "20261123-140509-3fa2-c01-s01-c01",
        "20261123-140509-3fa2\n",
    ],
)
def test_an_id_of_no_form_is_refused_by_sentence(subject):
    with pytest.raises(RunError) as refused:
        contenders.members(subject)
    assert "is not the id of a run or a group" in str(refused.value)
    assert len(str(refused.value)) < 200


def test_the_newest_come_first_a_group_once_and_in_its_set_s_order(monkeypatch):
    ids = iter(["20260101-000000-0001", "20260102-000000-0002", "20260103-000000-0003"])
    monkeypatch.setattr(runs, "new_id", lambda: next(ids))
    old = runs.start(RunSpec(**SMALL))
    first, second = contenders.start([contender(seeds=3), contender(seeds=2)])
    young = runs.start(RunSpec(**SMALL))
    assert contenders.newest(10) == [young, first, second, old]
    assert contenders.newest(2) == [young, first]
    runs.path(old).write_text("no database")
    assert contenders.newest(10)[-1] == old, "by name alone"


def test_the_first_seed_of_each_comes_before_the_second_of_any():
    first, second, third = contenders.start(
        [contender(seeds=3), contender(seeds=1), contender(seeds=2)]
    )
    assert taken() == [
        f"{first}-s01",
        f"{second}-s01",
        f"{third}-s01",
        f"{first}-s02",
        f"{third}-s02",
        f"{first}-s03",
    ]


def test_of_all_but_the_first_the_longest_start_first():
    groups = contenders.start([contender(epochs=n) for n in (1, 1, 9, 1, 4)])
    assert taken() == [f"{groups[n]}-s01" for n in (0, 2, 4, 1, 3)]


def test_a_run_pressed_after_a_ladder_does_not_wait_for_all_of_it(clock):
    ladder = contenders.start(contenders.ladder(["controlled"], data="digits", epochs=1))
    assert len(ladder) == 10
    clock[0] += 15  # two of the ladder's ten are due by then
    single = runs.start(RunSpec(**SMALL))
    assert runs.queue_position(single) == 3
    assert runs.queue_position(f"{ladder[0]}-s01") == 1
    assert sorted(runs.queue_position(f"{group}-s01") for group in ladder) == [1, 2, *range(4, 12)]
    assert taken().index(single) == 2


def test_a_ladder_is_not_starved_by_those_who_press_train_again_and_again(clock):
    (*_, last) = contenders.start(contenders.ladder(["controlled"], data="digits", epochs=1))
    singles = []
    for _ in range(100):
        clock[0] += 3
        singles.append(runs.start(RunSpec(**SMALL)))
    order = taken()
    before = order.index(f"{last}-s01")
    assert before <= 9 + 90 / 3
    assert order[before + 1 :] == singles[-(len(order) - before - 1) :], "in their own order"


def test_long_runs_make_way_by_the_time_they_take(clock):
    """With a fixed ten seconds whoever came half an hour later would wait for all of hours."""
    long = {"data": "digits", "width": 512, "depth": 20, "epochs": 1000}
    group, _ = contenders.start([contender(seeds=20, **long), contender(seeds=20, **long)])
    clock[0] += 1800
    single = runs.start(RunSpec(**SMALL))
    assert runs.queue_position(single) < 10
    assert runs.queue_position(f"{group}-s20") == 40


def test_two_sets_share_the_queue(clock):
    first = contenders.start([contender(), contender(), contender()])
    clock[0] += 1
    second = contenders.start([contender(), contender()])
    assert [run[:-4] for run in taken()] == [first[0], second[0], first[1], second[1], first[2]]


def test_data_that_is_not_to_be_had_is_refused_once_and_nothing_starts(monkeypatch):
    asked = []

    def unreachable(request, **_):
        asked.append(request)
        raise OSError("no network here")

    monkeypatch.setattr("urllib.request.urlopen", unreachable)
    with pytest.raises(DataError, match="Kuzushiji-MNIST is not here"):
        contenders.start([contender(data="kmnist", seeds=20), contender(data="kmnist")])
    assert len(asked) == 1
    assert runs.files() == []


def test_a_set_that_cannot_be_made_whole_is_not_made_at_all(monkeypatch):
    create = store.create

    def full(path, **fields):
        if path.stem.endswith("c02-s02"):
            raise StoreError("The disk is full.")
        create(path, **fields)

    monkeypatch.setattr(store, "create", full)
    with pytest.raises(StoreError, match="The disk is full"):
        contenders.start([contender(seeds=2), contender(seeds=2)])
    assert runs.files() == []
    assert taken() == []


def test_a_set_larger_than_its_names_allow_is_refused():
    with pytest.raises(RunError, match="100 contenders were asked for; at most 99"):
        contenders.start([contender()] * 100)


def test_the_ladder_is_every_preset_of_its_form_with_the_baseline_first():
    made = contenders.ladder(["controlled"], seeds=3, data="moons", epochs="7")
    assert [one.preset for one in made] == list(FORMS["controlled"])
    assert made[0].preset == "controlled_baseline"
    assert len(made) == 10
    assert {(one.spec.data, one.spec.epochs, one.seeds) for one in made} == {("moons", 7, 3)}
    for one in made:
        assert one.spec == PRESETS[one.preset].spec(data="moons", epochs=7)
        assert one.title == PRESETS[one.preset].title


def test_the_ladder_of_both_forms_has_the_published_ones_behind():
    made = contenders.ladder()
    assert [one.preset for one in made] == [*FORMS["controlled"], *FORMS["published"]]
    assert made[10].preset == "baseline"
    assert FORMS["published"][0] == "baseline"


def test_an_unknown_form_is_refused_by_sentence():
    with pytest.raises(SpecError, match=r"form is wild; it must be one of controlled, published\."):
        contenders.ladder(["wild"])


def test_an_id_whose_last_part_begins_with_c_is_no_group_s():
    """One id in sixteen is like that."""
    assert contenders.set_of("20261123-140509-c3fa") == "20261123-140509-c3fa"
    assert contenders.set_of("20261123-140509-c3fa-c02") == "20261123-140509-c3fa"
    assert contenders.set_of("20261123-140509-c3fa-c02-s01") == "20261123-140509-c3fa"
