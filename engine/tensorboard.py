"""A run as event files for TensorBoard, through torch.utils.tensorboard where tensorboard is installed."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine import runs, store
from engine.errors import RunError
from engine.export import NO_TENSORBOARD
from engine.records import EPOCH_NUMBERS, LINEAR_BINS, STATISTICS, Counts, Record

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def write(run: str, folder: Path) -> None:
    """Write a run's event files into a folder. Raises RunError where tensorboard is not installed."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise RunError(NO_TENSORBOARD) from error
    with store.Reader(runs.path(run)) as reader, SummaryWriter(str(folder)) as writer:
        info = reader.run()
        began = info.started or info.created
        _batches(reader, writer, began)
        _epochs(reader, writer, began)
        for step in [record.step for record in reader.records()]:
            if record := reader.record(step):
                _record(record, writer, began)
        writer.add_text("spec", f"```json\n{info.spec.model_dump_json(indent=2)}\n```", 0, began)
        for event in reader.events():
            writer.add_text("events", event.words, event.step, event.at or began)


def _batches(reader: store.Reader, writer: "SummaryWriter", began: float) -> None:
    for block in reader.steps():
        for offset, (loss, accuracy) in enumerate(zip(block.loss, block.accuracy, strict=True)):
            step, at = block.first + offset, began + block.seconds
            writer.add_scalar("batch/loss", loss, step, at)
            writer.add_scalar("batch/accuracy", accuracy, step, at)


def _epochs(reader: store.Reader, writer: "SummaryWriter", began: float) -> None:
    for end in reader.epochs():
        for name in EPOCH_NUMBERS:
            writer.add_scalar(f"epoch/{name}", getattr(end, name), end.step, began + end.seconds)


def _record(record: Record, writer: "SummaryWriter", began: float) -> None:
    at = began + record.seconds
    for name, row in zip(STATISTICS, record.scalars, strict=True):
        for layer, value in enumerate(row, start=1):
            writer.add_scalar(f"{name}/layer_{layer:03}", value, record.step, at)
    weight, activation = record.weight, record.activation
    for layer in range(1, record.scalars.shape[1] + 1):
        tag = f"layer_{layer:03}"
        _histogram(
            writer, f"weight/{tag}", weight[layer - 1], record.weight_range[layer - 1], record, at
        )
        _histogram(
            writer,
            f"activation/{tag}",
            activation[layer - 1],
            record.activation_range[layer - 1],
            record,
            at,
        )


def _histogram(
    writer: "SummaryWriter", tag: str, counts: Counts, reach: float, record: Record, at: float
) -> None:
    """Equal bins from -reach to reach; what is not finite has no place in TensorBoard's histograms."""
    finite = counts[:LINEAR_BINS].astype(float)
    if not finite.sum() or not np.isfinite(reach):
        return
    edges = np.linspace(-reach, reach, LINEAR_BINS + 1)
    centres = (edges[:-1] + edges[1:]) / 2
    writer.add_histogram_raw(
        tag,
        min=float(edges[0]),
        max=float(edges[-1]),
        num=int(finite.sum()),
        sum=float(finite @ centres),
        sum_squares=float(finite @ centres**2),
        bucket_limits=edges[1:].tolist(),
        bucket_counts=finite.tolist(),
        global_step=record.step,
        walltime=at,
    )
