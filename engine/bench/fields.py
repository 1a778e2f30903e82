"""What the benchmark reports: one field is one row of its table and one key of its JSON."""

from dataclasses import dataclass

from engine.bench.field import Field as Field
from engine.bench.field import Part as Part
from engine.bench.screen_fields import hall_fields, screen_fields, soak_fields


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


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How much of a run of 10 and of 100 epochs is really trained; the rest is said to be as its mean.

    Records come every 32nd step from step 512 to 65,536, so that after the first epochs one is as
    dear as the other.
    """

    passes: int  # whole ones of 10 epochs, besides the first of the other
    first: int  # epochs that count as they are
    after: int  # epochs whose mean stands for all that follow

    @property
    def trained(self) -> int:
        """Epochs of the run that is to tell of 100."""
        return self.first + self.after

    def words(self, epochs: int) -> str:
        """How the ratio of so many epochs is found where not all are trained; else ""."""
        if epochs <= self.trained:
            return ""
        rest = epochs - self.first
        return f"; its first {self.first}, and {rest} times the mean of {self.after} after them"


PLANS = {
    SMALL: Plan(passes=6, first=100, after=0),
    SMALL_64: Plan(passes=0, first=5, after=7),
    DEEP: Plan(passes=0, first=5, after=3),
    DEEP_64: Plan(passes=0, first=2, after=3),
}
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
    return Field(
        name=f"run_ratio_{epochs}_{case.suffix}",
        what=f"a whole run of {epochs} epochs, {case.words}, recorded, stored and with checkpoints, "
        f"over the bare loop with the same evaluation{PLANS[case].words(epochs)}",
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


#: Every field by its name, in the order of the table.
FIELDS: dict[str, Field] = {
    field.name: field
    for field in [*_engine_fields(), *screen_fields(), *soak_fields(), *hall_fields()]
}


def of_part(part: Part) -> list[Field]:
    """The fields of one part, in order."""
    return [field for field in FIELDS.values() if field.part == part]
