"""What the benchmark reports: one field is one row of its table and one key of its JSON."""

from dataclasses import dataclass
from typing import Any, Literal

Part = Literal["engine", "screen", "soak"]


@dataclass(frozen=True, kw_only=True)
class Field:
    """One number that is measured, and what is wanted of it."""

    name: str
    what: str  # words for the table
    unit: str  # behind the number; "" of a ratio
    part: Part
    limit: float | None = None  # what is wanted of it, if anything
    at_least: bool = False  # the limit is a lower one
    digits: int = 2  # behind the point


@dataclass(frozen=True, kw_only=True)
class Case:
    """A network and a batch size."""

    depth: int
    batch_size: int
    width: int = 128

    @property
    def suffix(self) -> str:
        """How the names of its fields end."""
        return f"{self.depth}x{self.width}_{self.batch_size}"

    @property
    def words(self) -> str:
        return f"{self.depth}x{self.width}, batch {self.batch_size}"


SMALL, SMALL_64 = Case(depth=7, batch_size=512), Case(depth=7, batch_size=64)
DEEP, DEEP_64 = Case(depth=50, batch_size=512), Case(depth=50, batch_size=64)
CASES = (SMALL, SMALL_64, DEEP, DEEP_64)
LOGGED = (SMALL, SMALL_64)  # that TensorBoard and W&B are measured with
LOGGERS = {"tensorboard": "TensorBoard", "wandb": "W&B, offline,"}

RECORD_LIMITS = {SMALL: 1.0, SMALL_64: 2.0}  # bare steps
RATIO_LIMITS = {(10, SMALL): 1.12, (100, SMALL): 1.05}


def _step_fields(case: Case) -> list[Field]:
    """A step bare and a record, in milliseconds and in bare steps."""
    name, words = case.suffix, case.words
    return [
        Field(
            name=f"bare_ms_{name}",
            what=f"a bare step, {words}: plain PyTorch, tensors in memory, nothing recorded",
            unit="ms",
            part="engine",
        ),
        Field(
            name=f"unpinned_bare_ms_{name}",
            what=f"the same, {words}, without our pinning of kernels",
            unit="ms",
            part="engine",
        ),
        Field(
            name=f"record_ms_{name}",
            what=f"one full record, {words}: a recorded step less a bare one",
            unit="ms",
            part="engine",
        ),
        Field(
            name=f"record_steps_{name}",
            what=f"one full record, {words}, in bare steps",
            unit="bare steps",
            part="engine",
            limit=RECORD_LIMITS.get(case),
        ),
    ]


def _run_field(epochs: int, case: Case) -> Field:
    """A whole run over the bare loop."""
    way = ""
    if epochs == 100 and case != SMALL:
        way = "; its first 10 epochs, and 90 times the mean of 7 after them"
    return Field(
        name=f"run_ratio_{epochs}_{case.suffix}",
        what=f"a whole run of {epochs} epochs, {case.words}, recorded, stored and with checkpoints, "
        f"over the bare loop with the same evaluation{way}",
        unit="",
        part="engine",
        limit=RATIO_LIMITS.get((epochs, case)),
        digits=3,
    )


def _logger_fields(logger: str, case: Case) -> list[Field]:
    """What another logger takes for the same tensors at the same steps."""
    title, name, words = LOGGERS[logger], case.suffix, case.words
    same = "histograms and norms of dL/dW, W and activation of every layer"
    return [
        Field(
            name=f"{logger}_ms_{name}",
            what=f"{title} at a step, {words}: {same}",
            unit="ms",
            part="engine",
        ),
        Field(
            name=f"{logger}_steps_{name}",
            what=f"{title} at a step, {words}, in bare steps",
            unit="bare steps",
            part="engine",
        ),
        Field(
            name=f"{logger}_over_ours_{name}",
            what=f"{title} at a step, {words}, over our record with its writing to the file",
            unit="times",
            part="engine",
            limit=6.0 if logger == "tensorboard" else None,
            at_least=True,
            digits=1,
        ),
    ]


def _epoch_fields() -> list[Field]:
    """An epoch of Fashion-MNIST, each way."""
    ours = "an epoch of ours, 7x128, batch 512, everything recorded, tested and stored"
    over = "epoch of the published notebook's own loop over ours"
    return [
        Field(
            name="notebook_epoch_s",
            what="an epoch of the published notebook's own loop (DataLoader, torch's own threads)",
            unit="s",
            part="engine",
        ),
        Field(name="epoch_s_1_thread", what=f"{ours}, 1 thread", unit="s", part="engine"),
        Field(name="epoch_s_2_threads", what=f"{ours}, 2 threads", unit="s", part="engine"),
        Field(
            name="notebook_over_ours_1_thread",
            what=f"{over}, 1 thread",
            unit="times",
            part="engine",
            at_least=True,
            digits=1,
        ),
        Field(
            name="notebook_over_ours_2_threads",
            what=f"{over}, 2 threads",
            unit="times",
            part="engine",
            limit=8.0,
            at_least=True,
            digits=1,
        ),
        Field(
            name="std10_over_relu",
            what="a step of a run of 7x128 sigmoid, std 10, over one of ReLU (no subnormals)",
            unit="",
            part="engine",
            limit=1.3,
        ),
        Field(
            name="deep_sigmoid_over_relu",
            what="a step of a run of 50x128 sigmoid over one of ReLU (no subnormals)",
            unit="",
            part="engine",
            limit=1.3,
        ),
    ]


def _room_and_start_fields() -> list[Field]:
    """Disk, memory, and how long the first number takes."""
    return [
        Field(
            name="record_bytes",
            what="one record on disk, 7x128",
            unit="bytes",
            part="engine",
            digits=0,
        ),
        Field(
            name="million_steps_mb",
            what="a run of 10^6 steps on disk, 7x128, batch 512, without checkpoints",
            unit="MB",
            part="engine",
            limit=64.0,
            digits=1,
        ),
        Field(
            name="worker_mb",
            what="memory of a worker after a run of Fashion-MNIST",
            unit="MB",
            part="engine",
            digits=0,
        ),
        Field(
            name="first_record_cold_s",
            what="from starting a worker to a run's first record in its file",
            unit="s",
            part="engine",
        ),
        Field(
            name="first_record_warm_s",
            what="from giving a run to a worker that waits warm to its first record in its file",
            unit="s",
            part="engine",
        ),
    ]


def _engine_fields() -> list[Field]:
    return [
        *(field for case in CASES for field in _step_fields(case)),
        *(_run_field(epochs, case) for epochs in (10, 100) for case in CASES),
        *_epoch_fields(),
        *(field for name in LOGGERS for case in LOGGED for field in _logger_fields(name, case)),
        *_room_and_start_fields(),
    ]


# --- of the parts "screen" and "soak" -------------------------------------------------------------

VIEWERS = (50, 100, 200, 400)
LIVE_RUNS = (1, 2, 6)
#: The pages that viewers look at, and what their fields' names begin with.
PAGES = {
    "viewers": "a page of two live runs and their difference",
    "lab_viewers": "the Lab's page of one live run",
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


def _screen_fields() -> list[Field]:
    first = "click on Train to the first number on the screen, spare worker warm"
    page = "from opening the page of a run of {} steps to its heatmap, not read before"
    most = "most viewers of {} at 2 Hz on one core, age p95 at most 0.3 s, of those tried"
    return [
        _screen("click_to_first_s", first, "s", 1.0),
        *(field for runs in LIVE_RUNS for field in _live_fields(runs)),
        _screen("server_mb", "memory of the server with a run open", "MB", digits=0),
        _screen("thousand_page_ms", page.format("10^3"), "ms", digits=0),
        _screen("million_page_ms", page.format("10^6"), "ms", digits=0),
        _screen("million_over_thousand_page", "the second over the first", "", 1.1),
        *(f for page in PAGES for viewers in VIEWERS for f in _viewer_fields(page, viewers)),
        *(
            _screen(f"{page}_at_2_hz", most.format(words), "", 400.0, at_least=True, digits=0)
            for page, words in PAGES.items()
        ),
    ]


def _soak_fields() -> list[Field]:
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


#: Every field by its name, in the order of the table.
FIELDS: dict[str, Field] = {
    field.name: field for field in [*_engine_fields(), *_screen_fields(), *_soak_fields()]
}


def of_part(part: Part) -> list[Field]:
    """The fields of one part, in order."""
    return [field for field in FIELDS.values() if field.part == part]
