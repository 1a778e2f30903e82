"""A run to take home: its numbers as CSV or Parquet, its spec as JSON, the script that repeats it.

Without torch, so that a page can offer it. What takes long comes piece by piece.
"""

import io
import json
import math
import re
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine import blobs, runs, script, store, transfer
from engine.errors import RunError
from engine.quotes import quoted
from engine.records import EPOCH_NUMBERS, STATISTICS, InputKernel, Record
from engine.run_info import RunInfo
from engine.steering import changes_of

if TYPE_CHECKING:
    import pyarrow

BLOCK = 256  # records that are turned into rows at once
COLUMNS = ("run", "step", "layer", "statistic", "value")
EPOCH_COLUMNS = ("run", "epoch", "step", "phase", *EPOCH_NUMBERS)
NO_TENSORBOARD = "TensorBoard is not installed here: pip install tensorboard, and its event files can be written."
Pieces = Iterator[bytes]


@dataclass(frozen=True, kw_only=True)
class Form:
    """One form a run can be exported in."""

    title: str
    what: str  # is in it, in a few words
    ending: str  # of the file's name
    mime: str
    pieces: Callable[[str], Pieces]


def pieces(run: str, form: str) -> Pieces:
    """The bytes of a run in a form, one after the other. Raises RunError, StoreError."""
    if form not in FORMS:
        raise RunError(f"form is {quoted(form)}; it must be one of {', '.join(FORMS)}.")
    return FORMS[form].pieces(run)


def whole(run: str, form: str) -> bytes:
    """All of them at once."""
    return b"".join(pieces(run, form))


def file_name(info: RunInfo, form: str) -> str:
    """A name for the file that says which run it is, in letters that every system takes."""
    title = re.sub(r"[^a-z0-9]+", "-", info.title.lower()).strip("-")[:40].strip("-")
    return f"{title or 'run'}-{info.id}{FORMS[form].ending}"


def tensorboard_is_here() -> bool:
    """Whether event files for TensorBoard can be written."""
    return find_spec("tensorboard") is not None


# -- numbers ---------------------------------------------------------------------------------------


def _statistics_csv(run: str) -> Pieces:
    """One row per run, step, layer and statistic; nan, inf and -inf are written as such."""
    yield (",".join(COLUMNS) + "\n").encode()
    for records in _blocks(run):
        rows = []
        for record in records:
            for layer, column in enumerate(record.scalars.T.tolist(), start=1):
                start = f"{run},{record.step},{layer},"
                # repr gives the digits that are needed to read the same float64 back.
                rows += [
                    f"{start}{name},{value!r}"
                    for name, value in zip(STATISTICS, column, strict=True)
                ]
        yield ("\n".join(rows) + "\n").encode()


def _statistics_parquet(run: str) -> Pieces:
    """The same rows, typed and compressed."""
    import pyarrow as pa
    from pyarrow import parquet

    named = pa.dictionary(pa.int32(), pa.string())
    types = (named, pa.int64(), pa.int32(), named, pa.float64())
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
    file = io.BytesIO()
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        for records in _blocks(run):
            writer.write_batch(_batch(run, records, schema))
    yield file.getvalue()


def _batch(run: str, records: list[Record], schema: "pyarrow.Schema") -> "pyarrow.RecordBatch":
    import pyarrow as pa

    values = np.stack([record.scalars.T for record in records])  # [records, layers, statistics]
    count, layers, statistics = values.shape
    steps = np.array([record.step for record in records], np.int64)
    columns = [
        _named(np.zeros(values.size, np.int32), [run]),
        _column(pa.int64(), np.repeat(steps, layers * statistics)),
        _column(pa.int32(), np.tile(np.repeat(np.arange(1, layers + 1), statistics), count)),
        _named(np.tile(np.arange(statistics), count * layers), list(STATISTICS)),
        _column(pa.float64(), values.ravel()),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _column(kind: Any, values: np.ndarray[Any, Any]) -> "pyarrow.Array":
    """From the buffer itself: pyarrow.array would import pandas, which costs the server 70 MB."""
    import pyarrow as pa

    cast = np.ascontiguousarray(values, dtype=str(kind).replace("double", "float64"))
    return pa.Array.from_buffers(kind, len(cast), [None, pa.py_buffer(cast)])


def _named(places: np.ndarray[Any, Any], names: list[str]) -> "pyarrow.Array":
    """Names by their places in a list."""
    import pyarrow as pa

    ends = np.cumsum([0, *map(len, names)]).astype(np.int32)
    text = pa.py_buffer("".join(names).encode())
    words = pa.StringArray.from_buffers(len(names), pa.py_buffer(ends), text)
    return pa.DictionaryArray.from_arrays(_column(pa.int32(), places), words)


def _blocks(run: str) -> Iterator[list[Record]]:
    """The records in order, without their histograms."""
    with store.Reader(runs.path(run)) as reader:
        records = reader.records()
    for first in range(0, len(records), BLOCK):
        yield records[first : first + BLOCK]


def _epochs_csv(run: str) -> Pieces:
    """One row per epoch: losses, accuracies and seconds."""
    with store.Reader(runs.path(run)) as reader:
        ends = reader.epochs()
    rows = [",".join(EPOCH_COLUMNS)]
    for end in ends:
        numbers = [repr(float(getattr(end, name))) for name in EPOCH_NUMBERS]
        rows.append(",".join([run, str(end.epoch), str(end.step), str(end.phase), *numbers]))
    yield ("\n".join(rows) + "\n").encode()


# -- what was done ---------------------------------------------------------------------------------


def _spec_json(run: str) -> Pieces:
    """The spec, the changes with their steps, where the run comes from and what it was made with."""
    with store.Reader(runs.path(run)) as reader:
        info, events, ends = runs.checked(reader.run()), reader.events(), reader.epochs()
        kernel = reader.kernel()
    told = {
        "run": info.id,
        "title": info.title,
        "preset": info.preset,
        "note": info.note,
        "tags": list(info.tags),
        "spec": info.spec.model_dump(),
        "changes": [
            {"step": event.step, "words": event.words, "change": json.loads(event.change)}
            for event in events
            if event.change
        ],
        "spec_now": info.now.model_dump(),
        "frozen_now": list(info.frozen),
        "family": {"parent": info.parent or None, "parent_step": info.parent_step},
        "status": info.status,
        "sentence": info.sentence,
        "step": info.step,
        "created": info.created,
        "started": info.started,
        "ended": info.ended,
        "device": info.device,
        "versions": info.versions,
        "events": [
            {"step": event.step, "kind": event.kind, "words": event.words} for event in events
        ],
        "last_epoch": _plain(asdict(ends[-1])) if ends else None,
        "first_batch": _moments(kernel),
        "statistics": STATISTICS,
    }
    yield (json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()


def _moments(kernel: InputKernel | None) -> dict[str, float] | None:
    """What theory needs of the first batch: products of inputs over their features."""
    if kernel is None:
        return None
    return {name: getattr(kernel, name) for name in ("batch_size", *blobs.KERNEL_NUMBERS)}


def _plain(numbers: dict[str, float]) -> dict[str, float | str]:
    """JSON has no NaN and no infinity, and null would hide them."""
    return {n: v if math.isfinite(v) else str(v) for n, v in numbers.items()}


def _scripted(write: Callable[..., str]) -> Callable[[str], Pieces]:
    def made(run: str) -> Pieces:
        with store.Reader(runs.path(run)) as reader:
            info, events = runs.checked(reader.run()), reader.events()
        yield write(info, changes_of(events)).encode()

    return made


def _run_file(run: str) -> Pieces:
    """The run itself, to be opened in another library."""
    yield transfer.exported(run)


def _tensorboard(run: str) -> Pieces:
    """A zip of event files, written by a program of its own: this process has no torch."""
    if not tensorboard_is_here():
        raise RunError(NO_TENSORBOARD)
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "engine", "export", run, "--to", "tensorboard"]
        done = subprocess.run(
            [*command, "--out", folder],
            cwd=Path(__file__).parents[1],
            capture_output=True,
            text=True,
        )
        if done.returncode:
            raise RunError((done.stderr.strip().splitlines() or ["The export failed."])[-1])
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(path for path in Path(folder).rglob("*") if path.is_file()):
                archive.write(file, file.relative_to(folder))
    yield packed.getvalue()


FORMS: dict[str, Form] = {
    "csv": Form(
        title="Statistics, CSV",
        what="one row per step, layer and statistic",
        ending="-statistics.csv",
        mime="text/csv",
        pieces=_statistics_csv,
    ),
    "parquet": Form(
        title="Statistics, Parquet",
        what="the same rows, typed and small",
        ending="-statistics.parquet",
        mime="application/vnd.apache.parquet",
        pieces=_statistics_parquet,
    ),
    "epochs": Form(
        title="Epochs, CSV",
        what="loss and accuracy of each epoch",
        ending="-epochs.csv",
        mime="text/csv",
        pieces=_epochs_csv,
    ),
    "json": Form(
        title="Spec, JSON",
        what="all choices, and what was changed when",
        ending=".json",
        mime="application/json",
        pieces=_spec_json,
    ),
    "script": Form(
        title="PyTorch script",
        what="trains it again without this program, to the digit",
        ending=".py",
        mime="text/x-python",
        pieces=_scripted(script.text),
    ),
    "notebook": Form(
        title="Notebook",
        what="the same in cells",
        ending=".ipynb",
        mime="application/x-ipynb+json",
        pieces=_scripted(script.notebook),
    ),
    "tensorboard": Form(
        title="TensorBoard",
        what="event files, zipped",
        ending="-tensorboard.zip",
        mime="application/zip",
        pieces=_tensorboard,
    ),
    "run": Form(
        title="The run itself",
        what="one file, for another library",
        ending=".vglab",
        mime="application/octet-stream",
        pieces=_run_file,
    ),
}
