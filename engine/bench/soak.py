"""`bench --soak`: whether the server grows while ten viewers look at a run that goes on.

Fifty finished runs lie in the library; the run's records are made up, ten a second.
"""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict

from engine.bench.asked import Asked
from engine.bench.chromium import Program, Server, ended_by_signals, lacks, own_library
from engine.bench.fields import of_part
from engine.bench.recorders import Recorders, finished
from engine.bench.report import Result, without
from engine.bench.viewers import NOTHING_CAME, Seen, Watching
from engine.errors import EngineError

FINISHED, QUICK_FINISHED = 50, 3  # runs in the library
COMMITS = 200  # worth of records in each
VIEWERS, QUICK_VIEWERS = 10, 2
EVERY_S, QUICK_EVERY_S = 10.0, 0.5  # between two looks at the server
QUICK_MINUTES = 0.1
EARLY = 1 / 6  # of the time: what the server has by then is what it may keep

Sample = dict[str, float]  # what is counted (screen_fields.GROWING) -> how much there is


def measure(asked: Asked) -> Iterator[Result]:
    """Every field of the part, when the time is over."""
    names = [field.name for field in of_part("soak")]
    if sentence := lacks("websockets"):
        yield from without(names, sentence)
        return
    try:
        with ended_by_signals():
            samples, seen = _soaked(asked)
    except EngineError as error:
        yield from without(names, str(error))
        return
    yield from _grown(samples)
    watching = QUICK_VIEWERS if asked.quick else VIEWERS
    yield Result(name="soak_hz", value=seen.messages / (seen.seconds * watching))
    yield Result(
        name="soak_age_p95_s", value=seen.age(0.95), note="" if seen.ages else NOTHING_CAME
    )
    words = f"{len(samples)} looks at the server, {watching} viewers"
    yield Result(name="soak_minutes", value=seen.seconds / 60, note=words)


def _soaked(asked: Asked) -> tuple[list[Sample], Seen]:
    """What was counted of the server, from the first look to the last, and what the viewers saw."""
    minutes = QUICK_MINUTES if asked.quick else asked.minutes
    with ExitStack() as opened:
        folder = opened.enter_context(own_library())
        rest = [finished(COMMITS) for _ in range(QUICK_FINISHED if asked.quick else FINISHED)]
        server = opened.enter_context(Server(folder))
        (live,) = opened.enter_context(Recorders(1, [])).runs
        if not asked.quick:
            server.wait_until_warm()
        compare = [live, rest[0], f"difference:step:{rest[0]}:{live}", f"table:{rest[0]}:{live}"]
        watching = Watching(
            port=server.port,
            server=server.process.pid,
            pages=[[live], compare],
            viewers=QUICK_VIEWERS if asked.quick else VIEWERS,
            seconds=60 * minutes,
            cores=[],
        )
        program = opened.enter_context(Program("engine.bench.viewers", asdict(watching)))
        samples = _sampled(asked, server, program, 60 * minutes)
        return samples, Seen(**program.answer())


def _sampled(asked: Asked, server: Server, program: Program, seconds: float) -> list[Sample]:
    """Looks at the server, in equal distances; fewer where the viewers end before their time."""
    every = QUICK_EVERY_S if asked.quick else EVERY_S
    samples: list[Sample] = []
    began = time.monotonic()
    while time.monotonic() - began < seconds and program.process.poll() is None:
        time.sleep(max(0.0, began + every * (len(samples) + 1) - time.monotonic()))
        samples.append(server.counted())
        if len(samples) % 6 == 0:
            asked.say(f"{every * len(samples):.0f} s: {samples[-1]['mb']:.1f} MB")
    return samples


def _grown(samples: list[Sample]) -> Iterator[Result]:
    """What there was early, at the end and at most, and the growth in per cent."""
    early = max(0, round(EARLY * len(samples)) - 1)
    for name in samples[0]:
        later = [sample[name] for sample in samples[early:]]
        most = max(later)
        yield Result(name=f"soak_{name}_early", value=later[0])
        yield Result(name=f"soak_{name}_end", value=later[-1])
        yield Result(name=f"soak_{name}_most", value=most)
        yield Result(name=f"soak_{name}_growth", value=100 * (most / later[0] - 1))
