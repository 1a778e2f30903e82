"""`bench --hall`: a full hall at two live runs: protocol clients and browsers, at the start and at the end.

The runs' records are made up, ten a second each. A few of the clients come at the start and again at the
end, so that what they see then can be compared; all others stay.
"""

import math
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from engine.bench.asked import Asked
from engine.bench.chromium import Program, Server, ended_by_signals, lacks, own_library
from engine.bench.fields import of_part
from engine.bench.recorders import Recorders
from engine.bench.report import Result, without
from engine.bench.viewers import Seen, Watching, watch
from engine.bench.visits import Visit, browser
from engine.errors import EngineError

VIEWERS, QUICK_VIEWERS = 400, 8  # all clients together
SOME, QUICK_SOME = 10, 2  # of them, those that are asked at the start and at the end
BROWSERS = 3
LOOK_S, QUICK_LOOK_S = 20.0, 1.0  # that one look at clients, and one at a browser, takes
EVERY_S, QUICK_EVERY_S = 10.0, 0.5  # between two looks at the server's memory
QUICK_MINUTES = 0.1


@dataclass(frozen=True, kw_only=True)
class Moment:
    """What the hall sees, and what the server takes, at one time."""

    mb: float  # of the server, resident
    age_p50: float  # seconds: of the newest datum, as a client gets it
    age_p95: float
    newest_p50: float  # seconds: from the newest number to the browser's chart
    newest_p95: float


def measure(asked: Asked) -> Iterator[Result]:
    """Every field of the part, when the time is over."""
    names = [field.name for field in of_part("hall")]
    if sentence := lacks("websockets") or lacks("playwright"):
        yield from without(names, sentence)
        return
    try:
        with ended_by_signals():
            start, end, most, seen = _watched(asked)
    except EngineError as error:
        yield from without(names, str(error))
        return
    for name in asdict(start):
        yield Result(name=f"hall_{name}_start", value=getattr(start, name))
        yield Result(name=f"hall_{name}_end", value=getattr(end, name))
    yield Result(name="hall_mb_most", value=most)
    yield Result(name="hall_mb_growth", value=100 * (max(most, end.mb) / start.mb - 1))
    crowd = _crowd(asked)
    yield Result(name="hall_hz", value=seen.messages / (seen.seconds * crowd))
    words = f"{crowd + _some(asked)} protocol clients, {BROWSERS} browsers, two live runs"
    yield Result(name="hall_minutes", value=seen.seconds / 60, note=words)


def _some(asked: Asked) -> int:
    return QUICK_SOME if asked.quick else SOME


def _crowd(asked: Asked) -> int:
    return (QUICK_VIEWERS if asked.quick else VIEWERS) - _some(asked)


def _watched(asked: Asked) -> tuple[Moment, Moment, float, Seen]:
    """The first moment and the last, the most memory between them, and what the crowd saw."""
    seconds = 60 * (QUICK_MINUTES if asked.quick else asked.minutes)
    look = QUICK_LOOK_S if asked.quick else LOOK_S
    with ExitStack() as opened:
        folder = opened.enter_context(own_library())
        server = opened.enter_context(Server(folder))
        live = opened.enter_context(Recorders(2, [])).runs
        if not asked.quick:
            server.wait_until_warm()
        pages = [[live[0]], [live[1]], [*live, f"difference:step:{live[0]}:{live[1]}"]]

        def watching(viewers: int, seconds: float) -> Watching:
            asked_for = {"viewers": viewers, "seconds": seconds, "pages": pages, "cores": []}
            return Watching(port=server.port, server=server.process.pid, **asked_for)  # type: ignore[arg-type]

        crowd = watching(_crowd(asked), seconds + 5 * look)
        program = opened.enter_context(Program("engine.bench.viewers", asdict(crowd)))
        context = opened.enter_context(browser())
        visits = [opened.enter_context(Visit(context, server)) for _ in range(BROWSERS)]
        for number, visit in enumerate(visits):
            visit.open(f"?run={live[number % 2]}")
            visit.wait_for_charts(1)

        def moment() -> Moment:
            seen = watch(watching(_some(asked), look))
            drawn = visits[0].watched(look)
            return Moment(
                mb=server.counted()["mb"],
                age_p50=seen.age(0.5),
                age_p95=seen.age(0.95),
                newest_p50=drawn.delay(0.5),
                newest_p95=drawn.delay(0.95),
            )

        began = time.monotonic()
        start = moment()
        most = _most_memory(asked, server, began + seconds - 2 * look)
        return start, moment(), most, Seen(**program.answer())


def _most_memory(asked: Asked, server: Server, until: float) -> float:
    """The most that the server took, of looks in equal distances until a time of time.monotonic."""
    most = -math.inf
    while True:
        most = max(most, server.counted()["mb"])
        if time.monotonic() >= until:
            return most
        asked.say(f"{until - time.monotonic():.0f} s left: at most {most:.1f} MB")
        time.sleep(QUICK_EVERY_S if asked.quick else EVERY_S)
