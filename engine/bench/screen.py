"""`bench --screen`: the real server, a real browser, and protocol clients, on this machine alone.

Every field comes with a number or with a sentence why there is none. One part that fails takes no
other with it, and whatever was started is ended.
"""

import math
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

from engine import contenders, runs, store
from engine.bench import visits
from engine.bench.asked import Asked
from engine.bench.chromium import Server, cores, ended_by_signals, lacks, own_library, pin
from engine.bench.fields import of_part
from engine.bench.million import MILLION, TRAINED, million_file
from engine.bench.recorders import Recorders
from engine.bench.report import Result, middle, without
from engine.bench.screen_fields import LIVE_RUNS, PAGES, VIEWERS
from engine.bench.viewers import NOTHING_CAME, Seen, Watching, watch
from engine.bench.visits import Visit
from engine.data_sets import default_data
from engine.errors import EngineError
from engine.spec import RunSpec

REPEATS = 7
LOOK_S, QUICK_S = 15.0, 1.5  # how long a page of live runs is looked at
WATCH_S = 12.0  # and by so many viewers
BEGUN = 64  # steps from which on a run is recorded ever more rarely
EPOCHS = 10_000  # a run that does not end by itself
FULL_HZ, OLDEST_S = 1.9, 0.3  # 2 Hz, give or take; what `viewers_at_2_hz` asks of the age's p95
QUICK_VIEWERS, QUICK_MILLION, QUICK_TRAINED = 2, 3000, 60
QUICK_SPEC = {"data": "digits", "depth": 3, "width": 16}
Measure = Callable[[], Iterator[Result]]


def measure(asked: Asked) -> Iterator[Result]:
    """Every field of the part, each as soon as it is known."""
    viewers = [f"{page}_{rest}" for page in PAGES for rest in ("at_2_hz", *map(str, VIEWERS))]
    names = [field.name for field in of_part("screen")]
    of_viewers = [name for name in names if name.startswith(tuple(viewers))]
    with ended_by_signals():
        yield from _either(
            asked, [name for name in names if name not in of_viewers], "playwright", _browser_part
        )
        yield from _either(asked, of_viewers, "websockets", _viewer_part)


def _either(
    asked: Asked, names: Sequence[str], module: str, part: Callable[[Asked], Iterator[Result]]
) -> Iterator[Result]:
    """What a part finds; where its module is missing, for each field what to install."""
    if sentence := lacks(module):
        yield from without(names, sentence)
    else:
        yield from told(asked, names, partial(part, asked))


def told(asked: Asked, names: Sequence[str], measure: Measure) -> Iterator[Result]:
    """What `measure` finds where one of these fields is asked for; for those it failed at, why."""
    if not asked.wants(*names):
        return
    missing = dict.fromkeys(names)
    try:
        for result in measure():
            missing.pop(result.name, None)
            yield result
    except EngineError as error:
        yield from without(missing, str(error))


# -- with a browser ------------------------------------------------------------------------


def _browser_part(asked: Asked) -> Iterator[Result]:
    with (
        own_library() as folder,
        Server(folder) as server,
        visits.browser() as context,
        visits.sentences(),
    ):
        yield from told(asked, ["click_to_first_s"], partial(_clicks, asked, context, server))
        for count in LIVE_RUNS:
            names = [f.name for f in of_part("screen") if f.name.endswith(f"_{count}_runs")]
            names += ["server_mb"] * (count == 1)
            yield from told(asked, names, partial(_live, asked, context, server, count))
        names = [field.name for field in of_part("screen") if "_page" in field.name]
        yield from told(asked, names, partial(_pages, asked, context, server, folder))


def _clicks(asked: Asked, context: Any, server: Server) -> Iterator[Result]:
    """Train is pressed again and again, each time when the spare worker waits warm."""
    found = []
    with Visit(context, server) as visit:
        visit.open(f"?epochs={EPOCHS}")
        visit.page.wait_for_selector(f"{visits.HEATMAP} .main-svg")
        for number in range(1 if asked.quick else REPEATS):
            server.wait_until_warm()
            run, seconds = visit.train()
            asked.say(f"click {number + 1}: {seconds:.2f} s")
            found.append(seconds)
            visits.stop([run])
    yield middle("click_to_first_s", found, f"data {default_data()}")


def _live(asked: Asked, context: Any, server: Server, count: int) -> Iterator[Result]:
    """A page of so many live runs: the Lab of one, Compare of several."""
    seconds = QUICK_S if asked.quick else LOOK_S
    with Visit(context, server) as visit, ExitStack() as after:
        names = _started(count, after)
        visit.open(f"?run={names[0]}" if count == 1 else f"compare?runs={','.join(names)}")
        visit.wait_for_charts(1 if asked.quick else BEGUN)
        visit.page.wait_for_timeout(200 * seconds)
        seen = visit.watched(seconds)
        memory = server.megabytes()
    drawn = f"{seen.drawings} drawings in {seconds:g} s"
    drawn += ", records made up" if count > 2 else f", data {default_data()}"
    yield Result(name=f"newest_p50_s_{count}_runs", value=seen.delay(0.5), note=drawn)
    yield Result(name=f"newest_p95_s_{count}_runs", value=seen.delay(0.95))
    busy = f"{seen.task_s / seconds:.0%} of a core"
    each = 1000 * seen.task_s / seen.drawings
    yield Result(name=f"main_thread_ms_{count}_runs", value=each, note=busy)
    yield Result(name=f"charts_kept_{count}_runs", value=seen.kept)
    if count == 1:
        yield Result(name="server_mb", value=memory)


def _started(count: int, after: ExitStack) -> list[str]:
    """Live runs, ended by `after`: one or two that train, more that are made up.

    By default no more than two train at once on two cores.
    """
    if count > 2:
        return after.enter_context(Recorders(count, [])).runs
    spec = RunSpec(data=default_data(), epochs=EPOCHS, device="cpu")
    if count == 1:
        names = [runs.start(spec)]
    else:
        specs = {"Sigmoid": spec, "ReLU": spec.changed({"activation": "relu"})}
        asked = [contenders.Contender(title=name, spec=of) for name, of in specs.items()]
        groups = contenders.start(asked)
        names = [run for group in groups for run in contenders.members(group)]
    after.callback(visits.stop, names)
    return names


def _pages(asked: Asked, context: Any, server: Server, folder: Path) -> Iterator[Result]:
    """A short and a long run in turn, each time one that the server has not read before; and again."""
    files = _short_and_long(asked, folder)
    found: dict[str, list[float]] = {}
    with Visit(context, server) as visit:
        if not asked.quick:  # the first time the browser itself learns the page
            visit.opened(_copied(files["thousand"]))
        for _ in range(1 if asked.quick else REPEATS):
            for name, file in files.items():
                run = _copied(file)
                for way in ("page_ms", "page_again_ms"):
                    found.setdefault(f"{name}_{way}", []).append(visit.opened(run))
            asked.say(", ".join(f"{name} {took[-1]:.0f}" for name, took in found.items()))
    results = {name: middle(name, values) for name, values in found.items()}
    yield from results.values()
    for end in ("page", "page_again"):
        short, much = (results[f"{name}_{end}_ms"].value or 0.0 for name in files)
        yield Result(name=f"million_over_thousand_{end}", value=much / short if short else None)


def _short_and_long(asked: Asked, folder: Path) -> dict[str, Path]:
    """Finished runs of 10^3 and of 10^6 steps, with records of a real run of the published size."""
    spec = {"data": default_data(), "device": "cpu"} | (QUICK_SPEC if asked.quick else {})
    files = {}
    for name, steps in {
        "thousand": 1000,
        "million": QUICK_MILLION if asked.quick else MILLION,
    }.items():
        asked.say(f"making a run of {steps:,} steps")
        files[name] = folder / f"{name}{store.SUFFIX}"
        million_file(files[name], spec, steps, QUICK_TRAINED if asked.quick else TRAINED)
    return files


def _copied(file: Path) -> str:
    """The same run under an id of its own: its file is one, without a log beside it."""
    run = runs.new_id()
    place = runs.library() / f"{run}{store.SUFFIX}"
    try:
        os.link(file, place)
    except OSError:
        shutil.copyfile(file, place)
    return run


# -- with protocol clients ------------------------------------------------------------------


def _viewer_part(asked: Asked) -> Iterator[Result]:
    """Made-up records, the server on a core of its own, clients and recorder on the others."""
    mine = cores()
    pinned = len(mine) > 1
    others = mine[1:] if pinned else mine
    with own_library() as folder, Server(folder) as server, Recorders(2, others) as made:
        if not asked.quick:
            server.wait_until_warm()
        if pinned:
            pin(server.process.pid, mine[:1])
        first, second = made.runs
        subjects = {
            "viewers": [first, second, f"difference:step:{first}:{second}"],
            "lab_viewers": [first],
        }
        for page in PAGES:
            yield from _page_of_viewers(asked, page, server, subjects[page], others)


def _page_of_viewers(
    asked: Asked, page: str, server: Server, subjects: list[str], others: list[int]
) -> Iterator[Result]:
    """More and more viewers at one page."""
    most = 0
    for count in VIEWERS[:1] if asked.quick else _asked_for(asked, page):
        watching = Watching(
            port=server.port,
            server=server.process.pid,
            pages=[subjects],
            viewers=QUICK_VIEWERS if asked.quick else count,
            seconds=QUICK_S if asked.quick else WATCH_S,
            cores=others,
        )
        asked.say(f"{watching.viewers} viewers")
        seen = watch(watching)
        for told_of in VIEWERS if asked.quick else (count,):
            yield from _told_of(f"{page}_{told_of}", seen, watching)
        hz = seen.messages / (seen.seconds * watching.viewers)
        if hz >= FULL_HZ and seen.age(0.95) <= OLDEST_S:
            most = max(most, watching.viewers)
    yield Result(name=f"{page}_at_2_hz", value=most)


def _asked_for(asked: Asked, page: str) -> list[int]:
    """Numbers of viewers of which something is asked."""
    names = [field.name for field in of_part("screen")]
    return [
        count
        for count in VIEWERS
        if asked.wants(f"{page}_at_2_hz", *(n for n in names if n.startswith(f"{page}_{count}_")))
    ]


def _told_of(name: str, seen: Seen, watching: Watching) -> Iterator[Result]:
    each = seen.seconds * watching.viewers
    clients = f"the clients {seen.clients_cpu / seen.seconds:.0%} of theirs"
    if len(cores()) < 2:
        clients += "; there is no second core to pin them to"
    hz = f"{seen.refreshes / each:.2f} Hz of the run"
    values = {
        "achieved_hz": (seen.messages / each, hz),
        "share_of_core": (seen.server_cpu / seen.seconds, clients),
        "cpu_ms": (1000 * seen.server_cpu / max(1, seen.refreshes), ""),
        "age_p50_s": (seen.age(0.5), ""),
        "age_p95_s": (seen.age(0.95), ""),
        "bytes_per_viewer_s": (seen.bytes / each, ""),
    }
    for field, (value, note) in values.items():
        told = note if math.isfinite(value) else NOTHING_CAME
        yield Result(name=f"{name}_{field}", value=value, note=told)
