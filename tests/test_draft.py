"""Drafts of contenders: what a link may ask for, what would be started, and what is refused."""

import pytest

from engine.contenders import MOST_CONTENDERS
from engine.errors import PresetError, RunError
from engine.presets import PRESETS
from engine.remedies import REMEDIES
from engine.spec import RunSpec
from ui import draft, links
from ui.draft import Common, Draft

COMMON = Common(data="digits", epochs=40, seeds=1)
RUN = "20261123-140509-3fa2"


def nothing(run):
    raise RunError(f"There is no run {run} in this library.")


def one_run(spec, title="My run"):
    return lambda run: (title, spec)


def made(text, common=COMMON, find=nothing):
    return draft.contender(draft.parse(text), common, find)


@pytest.mark.parametrize("base", [*PRESETS, RUN, f"{RUN}-c01", f"{RUN}-c01-s02"])
def test_a_draft_is_read_as_it_is_written(base):
    for remedies in ((), ("batchnorm",), ("better_activation", "kaiming")):
        wanted = Draft(base, remedies)
        assert draft.parse(str(wanted)) == wanted


def test_a_plus_sign_that_an_address_turned_into_a_space_is_a_plus_sign():
    assert draft.parse("baseline batchnorm") == Draft("baseline", ("batchnorm",))


NONSENSE = {
    "basline": "'basline' starts from basline, which is neither a run's id nor a preset; "
    "did you mean baseline?",
    "": "'' starts from nothing, which is neither a run's id nor a preset.",
    "baseline+batchnrom": "batchnrom is not a remedy; did you mean batchnorm?",
    "baseline+xyzzyxyzzy": "xyzzyxyzzy is not a remedy.",
    "x" * 500: "which is neither a run's id nor a preset.",
}


@pytest.mark.parametrize("text", list(NONSENSE))
def test_nonsense_is_refused_by_one_sentence(text):
    with pytest.raises(PresetError) as refused:
        draft.parse(text)
    assert NONSENSE[text] in str(refused.value)
    assert len(str(refused.value)) < 200


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_preset_alone_is_that_preset_with_the_common_settings(name):
    contender = made(name)
    assert contender.spec == PRESETS[name].spec(data="digits", epochs=40)
    assert (contender.title, contender.preset) == (PRESETS[name].title, name)


@pytest.mark.parametrize("name", list(REMEDIES))
def test_every_remedy_over_the_baseline_changes_what_it_says(name):
    contender = made(f"baseline+{name}")
    assert contender.spec == RunSpec(data="digits", epochs=40, **REMEDIES[name].changes)
    assert contender.title == f"Baseline + {draft.remedy_title(name)}"
    assert contender.preset == ""


def test_a_run_plus_a_remedy_keeps_what_the_run_had():
    spec = RunSpec(depth=12, width=33, seed=7, steps=10, learning_rate=0.5)
    contender = made(f"{RUN}+batchnorm", find=one_run(spec))
    assert contender.spec == spec.changed({"norm": "batch", "steps": None, "epochs": 40})
    assert contender.title == "My run + BatchNorm"


def test_a_runs_part_of_a_data_set_is_not_taken_of_another_set():
    spec = RunSpec(data="fashion_mnist", subset=20000)
    assert made(RUN, find=one_run(spec)).spec == RunSpec(data="digits", epochs=40)
    same = Common(data="fashion_mnist", epochs=40, seeds=1)
    assert made(RUN, same, one_run(spec)).spec.subset == 20000


def test_seeds_are_those_of_the_contender_and_too_many_are_refused_beside_their_line():
    three = Common(data="digits", epochs=40, seeds=3)
    assert [spec.seed for spec in made("baseline", three).specs()] == [42, 43, 44]
    last = RunSpec(seed=2**32 - 2)
    (line,) = draft.lines([RUN], three, one_run(last), MOST_CONTENDERS)
    assert line.contender is None
    assert line.fault.startswith("seed is 4294967294; for 3 seeds it must be")


def test_what_cannot_be_built_gets_its_sentence_and_the_others_start():
    shallow = one_run(RunSpec(depth=2))
    lines = draft.lines([f"{RUN}+skip", "baseline", "no"], COMMON, shallow, MOST_CONTENDERS)
    assert [line.contender is not None for line in lines] == [False, True, False]
    assert lines[0].fault.startswith("skip is published; it adds layer 1 to layer 3")
    assert "neither a run's id nor a preset" in lines[2].fault


def test_a_run_that_is_gone_is_a_sentence_beside_its_line():
    (line,) = draft.lines([f"{RUN}+skip"], COMMON, nothing, MOST_CONTENDERS)
    assert line.fault == f"There is no run {RUN} in this library."


def test_the_same_network_in_other_words_is_not_started_twice():
    texts = [
        "baseline+batchnorm",
        "baseline+batchnorm+better_activation",
        "baseline+tanh+batchnorm",
    ]
    texts += ["baseline+batchnorm+tanh"]
    lines = draft.lines(texts, COMMON, nothing, MOST_CONTENDERS)
    assert [bool(line.fault) for line in lines] == [False, False, False, True]
    assert lines[3].fault == (
        "Baseline + BatchNorm + Tanh is Baseline + Tanh + BatchNorm once more."
    )


def test_more_than_there_is_room_for_is_refused_from_the_first_that_does_not_fit():
    texts = ["baseline", "skip", "layerwise"]
    lines = draft.lines(texts, COMMON, nothing, 2)
    assert [line.contender is not None for line in lines] == [True, True, False]
    assert lines[2].fault == "At most 6 fit side by side: there is room for 2 more."
    full = draft.lines(["baseline"], COMMON, nothing, 0)
    assert full[0].fault == "At most 6 fit side by side: there is no room for another."


def test_what_would_start_is_said_in_runs_and_steps():
    # digits: 1350 examples to train on in batches of 64 make 22 steps an epoch
    assert draft.announced([]) == "Nothing new to start."
    assert draft.announced([made("baseline")]) == "1 network, 880 steps in all."
    five = Common(data="digits", epochs=10, seeds=5)
    two = [made("baseline", five), made("skip", five)]
    assert draft.announced(two) == "2 networks, 5 seeds each: 10 runs, 2,200 steps in all."


def test_every_setting_of_a_comparison_is_in_its_link_and_comes_back():
    whole = links.Comparison(
        runs=(RUN, f"{RUN}-c02"),
        new=("baseline", "baseline+batchnorm"),
        show="ladder",
        align="seconds",
        part="test",
        histograms="weight",
        histogram_layer=3,
        new_data="moons",
        new_epochs=7,
        seeds=4,
        form="both",
        ladder=RUN,
    )
    link = links.comparison_link(whole)
    assert set(link) == set(links.COMPARISON), "nothing is left at its default here"
    assert links.read_comparison({name: [value] for name, value in link.items()}) == (whole, {})
    assert links.comparison_link(links.Comparison()) == {}


WRONG = {
    "align": ("sideways", "align is sideways; it must be one of step, log_step, epoch, seconds."),
    "part": ("", "part is ; it must be one of train, validation, test."),
    "seeds": ("21", "seeds is 21; it must be from 1 to 20."),
    "histogram_layer": ("²", "histogram_layer is ²; it must be from 1 to 101."),
    "new_epochs": ("0", "new_epochs is 0; it must be from 1 to 10000."),
    "new_data": ("x" * 90, f"new_data is {'x' * 37}...; it must be one of digits"),
    "form": ("ideal", "form is ideal; it must be one of controlled, published, both."),
    "show": ("all", "show is all; it must be one of side_by_side, ladder, verdict."),
    "colour": ("red", "colour is nothing that a comparison can set."),
}


@pytest.mark.parametrize("name", list(WRONG))
def test_nonsense_in_a_comparisons_link_is_ignored_with_one_sentence(name):
    value, sentence = WRONG[name]
    found, ignored = links.read_comparison({name: [value], "ladder": [RUN]})
    assert found == links.Comparison(ladder=RUN), "the rest of the link is kept"
    assert list(ignored) == [name]
    assert ignored[name].startswith(sentence)


def test_a_link_may_say_it_in_the_words_of_the_lab():
    parameters = {"kind": ["weight"], "layer": ["3"], "data": ["moons"], "epochs": ["7"]}
    wanted = links.Comparison(
        histograms="weight", histogram_layer=3, new_data="moons", new_epochs=7
    )
    assert links.read_comparison(parameters) == (wanted, {})
    assert set(links.ALSO) <= links.LAB


def test_a_setting_given_twice_is_ignored():
    _, ignored = links.read_comparison({"align": ["step", "epoch"]})
    assert ignored == {"align": "align is given 2 times; once is allowed."}


def test_seven_runs_and_the_same_run_twice_are_one_sentence_each_and_the_rest_is_shown():
    runs = [f"20261123-14050{n}-3fa2" for n in range(7)]
    found, ignored = links.read_comparison({"runs": [",".join([*runs, runs[0]])]})
    assert found.runs == tuple(runs[:6])
    assert list(ignored.values()) == [
        f"{runs[0]} is named more than once; it is shown once.",
        "The link names 7 in runs; at most 6 fit side by side: the first 6 are taken.",
    ]


def test_no_setting_has_the_name_of_a_control_of_the_lab():
    """Those are bound to the link: coming from the Lab, nobody else may set them."""
    assert not set(links.COMPARISON) & links.LAB
