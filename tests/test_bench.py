"""The benchmark: what it reports, and that what it compares does the same work. No time is judged."""

import json
import math
import os
import subprocess
import sys
from unittest.mock import patch

import pytest
import torch
from conftest import REPOSITORY
from test_command_line import engine
from trained import small

from engine import checkpoints, data, runs, store, trainer
from engine.bench import apart, loggers, million, parts, report, setting, whole
from engine.bench.asked import Asked
from engine.bench.bare import Bare
from engine.bench.fields import CASES, FIELDS, PLANS, SMALL, of_part
from engine.bench.report import Result, middle, without
from engine.bench.steps import Recorded, batches
from engine.errors import RunError
from engine.recorder import Recorder, epoch_is_recorded, is_recorded
from engine.records import Record
from engine.spec import RunSpec


@pytest.mark.timeout(900)
def test_the_quick_form_reports_every_field_of_its_part(home):
    done = subprocess.run(
        [sys.executable, "-m", "engine", "bench", "--quick", "--json"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        timeout=850,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert list(told["fields"]) == [field.name for field in of_part("engine")]
    for name, found in told["fields"].items():
        measured = found["value"] is not None and math.isfinite(found["value"])
        assert measured or found["note"].endswith("."), name
    unmeasured = {name for name, found in told["fields"].items() if found["value"] is None}
    assert all(name.startswith(("tensorboard", "wandb")) for name in unmeasured), done.stderr
    assert "mean nothing" in told["note"]
    assert told["machine"]["torch"] == torch.__version__.partition("+")[0]
    assert "random" in told["machine"]["data"]
    assert not list(home.glob("**/*.sqlite")), "a benchmark leaves a person's library alone"


def field_with(limit, *, at_least):
    """The name of a field that has a limit of this kind."""
    return next(f.name for f in FIELDS.values() if f.limit == limit and f.at_least == at_least)


def test_a_result_says_what_is_wanted_and_whether_it_is_met():
    record = "record_steps_7x128_512"
    assert report.wanted(Result(name=record, value=0.99)) == "at most 1.00: met"
    assert report.wanted(Result(name=record, value=1.01)) == "at most 1.00: not met"
    times = field_with(8.0, at_least=True)
    assert report.wanted(Result(name=times, value=8.0)) == "at least 8.0: met"
    assert report.wanted(Result(name=times, value=7.9)) == "at least 8.0: not met"
    assert report.wanted(Result(name="bare_ms_7x128_512", value=7.0)) == ""


def test_a_missing_number_is_a_sentence_and_never_met():
    (missing,) = without(["record_steps_7x128_512"], "It could not be measured: no torch.")
    assert report.measured(missing) == "It could not be measured: no torch."
    assert report.wanted(missing) == "at most 1.00: not measured"
    broken = Result(name="record_steps_7x128_512", value=math.nan)
    told = report.as_json([missing, broken], {})["fields"]["record_steps_7x128_512"]
    assert (told["value"], told["met"]) == (None, None)
    assert told["note"].endswith(".")
    assert middle("bare_ms_7x128_512", []).note.endswith(".")


def test_a_number_comes_with_its_lowest_and_highest():
    result = middle("bare_ms_7x128_512", [7.0, 6.0, 9.0])
    assert report.measured(result) == "7.00 ms (6.00 to 9.00, 3 times)"
    alone = middle("record_bytes", [5123.4], "of 9 records")
    assert report.measured(alone) == "5,123 bytes; of 9 records"


def test_every_field_is_named_once_and_says_what_it_is():
    assert len({field.what for field in FIELDS.values()}) == len(FIELDS)
    assert all(name == field.name for name, field in FIELDS.items())
    grouped = [n for _, names, _ in parts._groups(Asked()) for n in names]
    assert sorted(grouped) == sorted(field.name for field in of_part("engine"))


def test_a_section_replaces_its_own_and_leaves_the_others(tmp_path):
    document = tmp_path / "performance.md"
    document.write_text("# Performance\n\nWords.\n\n## Other\n\nOlder.\n")
    with patch.object(report, "DOCUMENT", document):
        report.write_section("## Mine\n\nMade so.", "one", first=True)
        report.write_section("## Last", "last")
        report.write_section("## Mine\n\nMade so.", "two", first=True)
    assert document.read_text() == (
        "# Performance\n\nWords.\n\n## Mine\n\nMade so.\n\ntwo\n\n## Other\n\nOlder.\n\n"
        "## Last\n\nlast\n"
    )


def test_some_rows_are_written_anew_where_the_others_are_of_this_machine(tmp_path):
    about = report.machine() | {"date": "2026-11-20", "data": "Fashion-MNIST"}
    before = [Result(name="worker_mb", value=700.0), Result(name="record_bytes", value=3000.0)]
    old = report.markdown(before, about)
    now = about | {"date": "2026-11-25"}
    text = report.with_rows_of(old, [Result(name="worker_mb", value=701.0)], now)
    assert text == report.markdown([Result(name="worker_mb", value=701.0), before[1]], now)
    elsewhere = now | {"cpu": "Another"}
    with pytest.raises(RunError, match="another machine"):
        report.with_rows_of(old, [Result(name="worker_mb", value=701.0)], elsewhere)


def test_what_means_nothing_is_not_written_and_no_unknown_field_is_asked_for():
    _, said = engine("bench", "--quick", "--write", code=2)
    assert "mean nothing" in said
    _, said = engine("bench", "--only", "speed_of_light", code=2)
    assert "speed_of_light" in said


def test_asking_for_some_fields_measures_no_others():
    asked = Asked(only=("worker_mb", "record_steps_7x128"))
    wanted = [names for _, names, _ in parts._groups(asked)]
    assert [name for names in wanted for name in names] == [
        "record_steps_7x128_512",
        "record_steps_7x128_64",
        "worker_mb",
    ]


def test_a_group_that_fails_says_so_for_what_it_did_not_measure(home):
    def group(work):
        yield Result(name="first_record_cold_s", value=1.0)
        raise RunError("The worker that was measured ended early.")

    plan = [("starts", ["first_record_cold_s", "first_record_warm_s"], group)]
    with patch.object(parts, "_groups", lambda asked: plan):
        found = {result.name: result for result in parts.measure(Asked(quick=True))}
    assert found["first_record_cold_s"].value == 1.0
    assert found["first_record_warm_s"].note == "The worker that was measured ended early."


def test_a_process_apart_that_fails_gives_a_sentence():
    with (
        apart.Apart(
            "million:fill", {"path": "", "spec": {"depth": -1}, "steps": 1, "trained": 1}, {}
        ) as one,
        pytest.raises(RunError, match="depth"),
    ):
        one.next()
    assert one.process.poll() is not None


def test_a_logger_that_is_not_installed_is_named():
    def absent(folder):
        raise ImportError

    with (
        patch.dict(loggers.LOGGERS, {"wandb": absent}),
        pytest.raises(RunError, match="wandb is not installed: pip install"),
    ):
        loggers.beside(lambda value: None, [small().model_dump()], "wandb", 1, 1)


@pytest.mark.parametrize("more", [{}, {"activation": "relu"}, {"init": "normal", "std": 10.0}])
def test_the_bare_loop_trains_to_the_same_weights_as_a_run_bit_for_bit(more):
    """Though they are trained in turn, and each draws random numbers."""
    spec = small(device="cpu", **more)
    trainer.set_up(spec)
    bare = Bare(spec)
    before = [p.clone() for p in bare.network.parameters()]
    turns = whole.Turns(spec, lambda seconds: bare.epoch(), spec.epochs)
    turns.work()
    with store.Reader(runs.path(turns.run)) as reader:
        state = checkpoints.from_bytes(reader.state(spec.total_steps))
        end = reader.epochs()[-1]
    ours = list(state.network.values())
    theirs = list(bare.network.state_dict().values())
    assert all(torch.equal(mine, its) for mine, its in zip(ours, theirs, strict=True))
    assert not any(map(torch.equal, bare.network.parameters(), before))
    assert len(turns.pairs) == spec.epochs
    tested = bare.evaluate(bare.test)
    assert tested == pytest.approx((end.test_loss, end.test_accuracy), rel=1e-6)


def test_a_recorded_step_is_recorded_in_full():
    spec = small(device="cpu")
    found = []
    bare, recorded = Bare(spec), Recorded(spec, found.append)
    index = next(batches(bare))
    assert recorded.step(index) == bare.step(index)
    (record,) = [item for item in found if isinstance(item, Record)]
    assert record.weight.sum() == sum(
        p.numel() for name, p in bare.network.named_parameters() if name.endswith("weight")
    )


def test_the_long_file_has_the_records_that_a_run_would_have():
    """A thousand epochs and more, so that their ends are thinned too."""
    spec = RunSpec(data="digits", depth=1, width=2, batch_size=1350, steps=1100, device="cpu")
    found = []
    run = trainer.prepare(spec, *data.load(spec), torch.device("cpu"))
    trainer.train(run, Recorder(spec, found.append))
    recorded = [(item.step, item.epoch) for item in found if isinstance(item, Record)]
    assert list(million.recorded_steps(spec)) == recorded


def test_a_million_steps_are_recorded_as_often_as_the_recorder_s_rules_say():
    """Counted another way: by how often each rule alone, and both, name a step."""
    spec = RunSpec(data="fashion_mnist", steps=10**6, device="cpu")
    by_step = {step for step in range(10**6) if is_recorded(step)}
    ends = {
        min(epoch * 106, 10**6) - 1
        for epoch in range(1, -(-(10**6) // 106) + 1)
        if epoch_is_recorded(epoch)
    }
    found = [step for step, _ in million.recorded_steps(spec)]
    assert found == sorted(by_step | ends | {10**6 - 1})


def test_the_long_file_is_a_run_like_any_other(tmp_path):
    spec = small(device="cpu").model_dump()
    file = runs.library() / f"{runs.new_id()}{store.SUFFIX}"
    told = []
    million.fill(told.append, str(file), spec, 700, 27)
    with store.Reader(file) as reader:
        info, records = reader.run(), reader.records()
        blocks, epochs = reader.steps(), reader.epochs()
    assert (info.status, info.step) == (store.FINISHED, 700)
    assert len(records) == told[0]["records"]
    assert sum(len(block.loss) for block in blocks) == 700
    assert [epoch.step for epoch in epochs] == [*range(9, 700, 9), 700]
    assert told[0]["bytes"] == file.stat().st_size
    assert 0 < told[0]["record_bytes"] * len(records) < file.stat().st_size
    assert len(runs.files()) == 1, "the real run that filled it is gone"


def test_random_images_are_read_as_the_real_ones_are(home):
    with setting.made(quick=True) as place:
        spec = RunSpec(**place.spec(SMALL))
        shown, tested = data.load(spec)
        assert os.environ["VGLAB_HOME"] != str(home)
    assert os.environ["VGLAB_HOME"] == str(home)
    assert "VGLAB_DATA" not in os.environ
    assert shown.inputs.shape == (setting.QUICK_EXAMPLES, 784)
    assert len(tested) == setting.QUICK_TEST_EXAMPLES
    assert 0.4 < shown.inputs.mean() < 0.6
    assert set(shown.labels.tolist()) == set(range(10))


def test_a_hundred_epochs_are_told_from_the_first_and_the_mean_of_those_after():
    plan = PLANS[CASES[1]]
    pairs = [(3.0, 1.0)] * plan.first + [(2.0, 1.0)] * plan.after
    rest = 100 - plan.first
    expected = (3 * plan.first + 2 * rest) / 100
    assert parts._over(pairs, 100, plan) == pytest.approx(expected)
    assert parts._over(pairs, 10, plan) == pytest.approx(
        (3 * plan.first + 2 * (10 - plan.first)) / 10
    )
