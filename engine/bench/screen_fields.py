"""The fields of `bench --screen`, `bench --soak` and `bench --hall`."""

from typing import Any

from engine.bench.field import Field

VIEWERS = (50, 100, 200, 400)
LIVE_RUNS = (1, 2, 6)
#: What viewers look at (records made up, ten a second), and what their fields' names begin with.
PAGES = {
    "viewers": "two made-up live runs and their difference",
    "lab_viewers": "one made-up live run",
}
GROWING = {
    "mb": ("resident memory", "MB"),
    "files": ("open files", ""),
    "threads": ("threads", ""),
}


def _screen(name: str, what: str, unit: str, limit: float | None = None, **more: Any) -> Field:
    return Field(name=name, what=what, unit=unit, part="screen", limit=limit, **more)


def _live_fields(runs: int) -> list[Field]:
    """A browser at a page of so many live runs."""
    words = {1: "one live run", 2: "two live runs", 6: "six live runs"}[runs]
    newest = f"newest number to screen, {words}"
    p50, p95 = (0.30, 0.60) if runs == 2 else (None, None)
    kept = f"share of the charts' elements that are the same after many draws, {words}"
    return [
        _screen(f"newest_p50_s_{runs}_runs", f"{newest}, p50", "s", p50),
        _screen(f"newest_p95_s_{runs}_runs", f"{newest}, p95", "s", p95),
        _screen(
            f"main_thread_ms_{runs}_runs",
            f"browser's main thread per draw of a chart, all its work, {words}",
            "ms",
            digits=1,
        ),
        _screen(f"charts_kept_{runs}_runs", kept, "", 1.0, at_least=True),
    ]


def _viewer_fields(page: str, viewers: int) -> list[Field]:
    """Protocol clients at a page of a server on one core."""
    words, name = f"{viewers} viewers of {PAGES[page]}", f"{page}_{viewers}"
    cpu = "server's CPU per refresh of the page and viewer"
    most = 0.3 if viewers == 400 else None
    return [
        _screen(f"{name}_achieved_hz", f"messages per second and viewer, {words}", "Hz"),
        _screen(f"{name}_share_of_core", f"share of the server's core, {words}", ""),
        _screen(f"{name}_cpu_ms", f"{cpu}, {words}", "ms", 0.5, digits=3),
        _screen(f"{name}_age_p50_s", f"age of the newest datum, p50, {words}", "s"),
        _screen(f"{name}_age_p95_s", f"age of the newest datum, p95, {words}", "s", most),
        _screen(
            f"{name}_bytes_per_viewer_s", f"bytes per viewer and second, {words}", "B/s", digits=0
        ),
    ]


def _page_fields(way: str, words: str) -> list[Field]:
    """The page of a finished run, from being asked for to its heatmap."""
    opened = f"from opening a run's page to its heatmap, {words}"
    return [
        _screen(f"thousand_{way}_ms", f"{opened}, 10^3 steps", "ms", digits=0),
        _screen(f"million_{way}_ms", f"{opened}, 10^6 steps", "ms", digits=0),
        _screen(f"million_over_thousand_{way}", f"{opened}, 10^6 over 10^3", "", 1.1),
    ]


def screen_fields() -> list[Field]:
    """Those of the part "screen", in the order of its table."""
    first = "click on Train to the first number on the screen, spare worker warm"
    ways = {"page": "that the server has not read before", "page_again": "that it has read"}
    most = (
        "viewers of {} that got 2 Hz from one core, age p95 at most 0.3 s: the most of those tried"
    )
    return [
        _screen("click_to_first_s", first, "s", 1.0),
        *(field for runs in LIVE_RUNS for field in _live_fields(runs)),
        _screen("server_mb", "memory of the server with a run open", "MB", digits=0),
        *(f for way, words in ways.items() for f in _page_fields(way, words)),
        *(f for page in PAGES for viewers in VIEWERS for f in _viewer_fields(page, viewers)),
        *(
            _screen(f"{page}_at_2_hz", most.format(words), "", 400.0, at_least=True, digits=0)
            for page, words in PAGES.items()
        ),
    ]


def soak_fields() -> list[Field]:
    """How the server grows while 10 viewers look at a run that goes on."""
    after = "after a sixth of the time (5 of 30 minutes)"
    fields = []
    for short, (words, unit) in GROWING.items():
        for name, when in {
            "early": after,
            "end": "at the end",
            "most": f"at most, {after}",
        }.items():
            what = f"the server's {words} {when}"
            fields.append(
                Field(name=f"soak_{short}_{name}", what=what, unit=unit, part="soak", digits=0)
            )
        what = f"growth of the server's {words}: the most {after} over what it was then"
        fields.append(
            Field(
                name=f"soak_{short}_growth", what=what, unit="%", part="soak", limit=10.0, digits=1
            )
        )
    return [
        *fields,
        Field(
            name="soak_hz", what="messages per second and viewer meanwhile", unit="Hz", part="soak"
        ),
        Field(name="soak_age_p95_s", what="age of the newest datum, p95", unit="s", part="soak"),
        Field(
            name="soak_minutes",
            what="how long it was watched",
            unit="minutes",
            part="soak",
            digits=1,
        ),
    ]


#: What is looked at in a hall at the start and at the end -> in words, its unit, and its limit.
HALL = {
    "mb": ("the server's resident memory", "MB", None),
    "age_p50": ("age of the newest datum at a client, p50", "s", None),
    "age_p95": ("age of the newest datum at a client, p95", "s", 0.6),
    "newest_p50": ("newest number to a browser's chart, p50", "s", None),
    "newest_p95": ("newest number to a browser's chart, p95", "s", 1.0),
}


def hall_fields() -> list[Field]:
    """What a full hall sees of two live runs, and what it does to the server."""
    found = []
    for name, (words, unit, limit) in HALL.items():
        digits = 0 if unit == "MB" else 2
        for when, said in {"start": "at the start", "end": "at the end"}.items():
            more: dict[str, Any] = {"unit": unit, "part": "hall", "limit": limit, "digits": digits}
            found.append(Field(name=f"hall_{name}_{when}", what=f"{words}, {said}", **more))
    grown = "growth of the server's resident memory: the most over what it was at the start"
    what = "messages per second and client meanwhile"
    return [
        *found,
        Field(
            name="hall_mb_most",
            what="the server's resident memory at most",
            unit="MB",
            part="hall",
            digits=0,
        ),
        Field(name="hall_mb_growth", what=grown, unit="%", part="hall", limit=10.0, digits=1),
        Field(name="hall_hz", what=what, unit="Hz", part="hall"),
        Field(
            name="hall_minutes",
            what="how long the hall watched",
            unit="minutes",
            part="hall",
            digits=1,
        ),
    ]
