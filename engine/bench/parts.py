"""The engine's part of the benchmark: its groups of fields, the cheap ones first."""

import statistics
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from engine import runs, store
from engine.bench import million, setting, starts
from engine.bench.apart import Apart
from engine.bench.asked import Asked
from engine.bench.fields import CASES, LOGGED, LOGGERS, PLANS, SMALL, Case, Plan
from engine.bench.report import Result, middle, without
from engine.bench.setting import Setting
from engine.errors import EngineError

REPEATS, QUICK_REPEATS = 7, 2
SUBSET = 20_000  # examples of the runs that are compared by the step: their epochs are shorter


@dataclass(frozen=True)
class _Work:
    """What a group of fields is measured in."""

    asked: Asked
    place: Setting

    @property
    def repeats(self) -> int:
        return QUICK_REPEATS if self.asked.quick else REPEATS

    def of(self, full: int, quick: int) -> int:
        """A number that is smaller in the quick form."""
        return quick if self.asked.quick else full


def measure(asked: Asked) -> Iterator[Result]:
    """The results of all fields that are asked for, as they come."""
    with setting.made(quick=asked.quick) as place:
        work = _Work(asked, place)
        for what, names, group in _groups(asked):
            if not names:
                continue
            asked.say(f"{what} ...")
            missing = dict.fromkeys(names)
            try:
                for result in group(work):
                    missing.pop(result.name, None)
                    yield result
            except EngineError as error:
                yield from without(missing, str(error))


Group = Callable[[_Work], Iterator[Result]]


def _groups(asked: Asked) -> Iterator[tuple[str, list[str], Group]]:
    """What each group is about, its fields that are asked for, and what measures them."""
    plans: list[tuple[str, list[str], Group]] = [
        ("steps and records", _names(STEP_NAMES, CASES), _steps),
        ("a worker's start and memory", list(START_NAMES), _starts),
        ("bytes", ["record_bytes", "million_steps_mb"], _bytes),
        *(
            (title, _names([f"{name}_{end}" for end in LOGGER_ENDS], LOGGED), _logger(name))
            for name, title in LOGGERS.items()
        ),
        ("epochs, ours and the notebook's", list(EPOCH_NAMES), _epochs),
        ("std 10 and 50 layers beside ReLU", list(RELU_NAMES), _beside_relu),
        ("whole runs", _names(RATIO_NAMES, CASES), _ratios),
    ]
    for what, names, group in plans:
        yield what, [name for name in names if asked.wants(name)], group


STEP_NAMES = ("bare_ms", "unpinned_bare_ms", "record_ms", "record_steps")
START_NAMES = ("first_record_cold_s", "first_record_warm_s", "worker_mb")
LOGGER_ENDS = ("ms", "steps", "over_ours")
EPOCH_NAMES = (
    "notebook_epoch_s",
    "epoch_s_1_thread",
    "epoch_s_2_threads",
    "notebook_over_ours_1_thread",
    "notebook_over_ours_2_threads",
)
RELU_NAMES = ("std10_over_relu", "deep_sigmoid_over_relu")
RATIO_NAMES = ("run_ratio_10", "run_ratio_100")


def _names(beginnings: Any, cases: Any) -> list[str]:
    return [f"{name}_{case.suffix}" for case in cases for name in beginnings]


def _steps(work: _Work) -> Iterator[Result]:
    """Bare steps and records of every case; pinned and not, block by block in turn."""
    cases = [case for case in CASES if work.asked.wants(*_names(STEP_NAMES, [case]))]
    specs = [work.place.spec(case) for case in cases]
    asked = {"specs": specs, "blocks": work.repeats, "pairs": work.of(30, 2)}
    with (
        Apart("steps:bare_and_recorded", asked, runs.SAME_BITS) as pinned,
        Apart("steps:unpinned", asked, {}) as free,
    ):
        free.ready()
        for case in cases:
            blocks = [(*pinned.next(), free.next()) for _ in range(work.repeats)]
            bare, record, unpinned = zip(*blocks, strict=True)
            ratios = [r / b for b, r, _ in blocks]
            for name, values in zip(STEP_NAMES, (bare, unpinned, record, ratios), strict=True):
                yield middle(f"{name}_{case.suffix}", values)


def _logger(name: str) -> Group:
    """What measures another logger beside ours, in the cases it is measured in."""

    def measure(work: _Work) -> Iterator[Result]:
        asked = {
            "specs": [work.place.spec(case) for case in LOGGED],
            "logger": name,
            "blocks": work.repeats,
            "rounds": work.of(12, 2),
        }
        with Apart("loggers:beside", asked, runs.SAME_BITS) as process:
            for case in LOGGED:
                blocks = [process.next() for _ in range(work.repeats)]
                theirs = [their for _, _, their in blocks]
                steps = [their / bare for bare, _, their in blocks]
                times = [their / our for _, our, their in blocks]
                for end, values in zip(LOGGER_ENDS, (theirs, steps, times), strict=True):
                    yield middle(f"{name}_{end}_{case.suffix}", values)

    return measure


def _starts(work: _Work) -> Iterator[Result]:
    """Workers as the server starts them, one at a time."""
    spec = work.place.spec(SMALL, epochs=1)
    memory: list[float] = []
    for name, warm in (("first_record_cold_s", False), ("first_record_warm_s", True)):
        if work.asked.wants(name) or (warm and work.asked.wants("worker_mb")):
            last = work.of(REPEATS, 1) - 1
            found = [
                starts.first_record(spec, warm=warm, to_its_end=warm and repeat == last)
                for repeat in range(last + 1)
            ]
            yield middle(name, [seconds for seconds, _ in found])
            memory = [found[-1][1]]
    if work.asked.wants("worker_mb"):
        yield middle("worker_mb", memory)


def _bytes(work: _Work) -> Iterator[Result]:
    """A file of a million steps, really written."""
    file = work.place.folder / f"{runs.new_id()}{store.SUFFIX}"
    steps = work.of(million.MILLION, 2000)
    found = million.million_file(file, work.place.spec(SMALL), steps, work.of(million.TRAINED, 60))
    note = f"{found['records']:,} records and {steps:,} losses"
    yield middle("record_bytes", [found["record_bytes"]])
    yield middle("million_steps_mb", [found["bytes"] / 1e6], note)
    file.unlink()


def _epochs(work: _Work) -> Iterator[Result]:
    """An epoch of the notebook's, then one of ours with one thread, then with two, and so on."""
    repeats = work.repeats
    ours = [
        {"specs": [work.place.spec(SMALL, epochs=100, threads=n)], "epochs": repeats}
        for n in (1, 2)
    ]
    with ExitStack() as stack:
        notebook = Apart("whole:notebook_epochs", {"spec": work.place.spec(SMALL)}, {})
        ways = [notebook, *(Apart("whole:our_epochs", asked, runs.SAME_BITS) for asked in ours)]
        for way in ways:
            stack.callback(way.close)
        for way in ways:
            way.ready()
        for way in ways[1:]:
            way.next()  # warms up
        rows = [[way.next() for way in ways] for _ in range(repeats)]
    for name, values in zip(EPOCH_NAMES, zip(*rows, strict=True), strict=False):
        yield middle(name, values)
    for place, name in enumerate(EPOCH_NAMES[3:], start=1):
        yield middle(name, [row[0] / row[place] for row in rows])


def _beside_relu(work: _Work) -> Iterator[Result]:
    """Epochs of two runs in turn, first of 7 layers, then of 50."""
    deep = Case(depth=50, batch_size=SMALL.batch_size)
    short = {"epochs": 100} | ({} if work.asked.quick else {"subset": SUBSET})
    pairs = {
        "std10_over_relu": (SMALL, {"init": "normal", "std": 10.0}),
        "deep_sigmoid_over_relu": (deep, {}),
    }
    wanted = {name: pair for name, pair in pairs.items() if work.asked.wants(name)}
    saturated = [work.place.spec(case, **short, **more) for case, more in wanted.values()]
    relu = [work.place.spec(case, **short, activation="relu") for case, _ in wanted.values()]
    repeats = {"epochs": work.repeats}
    with (
        Apart("whole:our_epochs", {"specs": saturated} | repeats, runs.SAME_BITS) as ours,
        Apart("whole:our_epochs", {"specs": relu} | repeats, runs.SAME_BITS) as other,
    ):
        other.ready()
        for name in wanted:
            rows = [(ours.next(), other.next()) for _ in range(work.repeats + 1)]
            yield middle(name, [mine / its for mine, its in rows[1:]])


def _ratios(work: _Work) -> Iterator[Result]:
    """Whole runs over the bare loop, case by case."""
    wanted = [case for case in CASES if work.asked.wants(*_names(RATIO_NAMES, [case]))]
    lengths = {case: _lengths(work, case) for case in wanted}
    passes = [
        (work.place.spec(case, epochs=10 if n < lengths[case][-1] else 100), n)
        for case in wanted
        for n in lengths[case]
    ]
    with Apart("whole:ours_and_bare", {"passes": passes}, runs.SAME_BITS) as process:
        for case in wanted:
            plan, (ten, hundred) = _plan(work, case), _names(RATIO_NAMES, [case])
            found = [process.next() for _ in lengths[case]]
            note = f"1 pass of {lengths[case][-1]} epochs"
            tens = [_over(pairs, 10, plan) for pairs in found]
            yield middle(ten, tens, note if len(tens) == 1 else "")
            if work.asked.wants(hundred):
                yield middle(hundred, [_over(found[-1], 100, plan)], note)


def _plan(work: _Work, case: Case) -> Plan:
    quick = Plan(passes=min(PLANS[case].passes, 1), first=1, after=1)
    return quick if work.asked.quick else PLANS[case]


def _lengths(work: _Work, case: Case) -> list[int]:
    """Of each pass over a case, the epochs that are trained; the last tells of 100."""
    plan, (ten, hundred) = _plan(work, case), _names(RATIO_NAMES, [case])
    short = min(10, plan.trained)
    whole = plan.trained if work.asked.wants(hundred) else short
    return [short] * (plan.passes if work.asked.wants(ten) else 0) + [whole]


def _over(pairs: list[tuple[float, float]], epochs: int, plan: Plan) -> float:
    """Our seconds over the bare loop's for so many epochs, as planned.

    pairs  seconds of each epoch that was trained, of ours and of the bare loop
    """
    ours, bare = (_total(seconds, epochs, plan) for seconds in zip(*pairs, strict=True))
    return ours / bare


def _total(seconds: tuple[float, ...], epochs: int, plan: Plan) -> float:
    """Seconds of so many epochs, of which the first were trained."""
    if epochs <= len(seconds):
        return sum(seconds[:epochs])
    rest = statistics.mean(seconds[plan.first :])
    return sum(seconds[: plan.first]) + (epochs - plan.first) * rest
