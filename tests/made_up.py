"""Made-up run files for tests of the screen: written through engine.store, without torch."""

from pathlib import Path
from typing import Any

import numpy as np

from engine import store
from engine.records import (
    FIRST_BIN,
    GRADIENT_BINS,
    GRADIENT_COLUMNS,
    LINEAR_BINS,
    LOG10_LOW,
    ROW,
    STATISTICS,
    ZERO,
    EpochEnd,
    Event,
    InputKernel,
    Record,
    Steps,
)
from engine.spec import RunSpec


def spec(**fields: Any) -> RunSpec:
    """A small run of 7 hidden layers on digits."""
    return RunSpec(**({"depth": 7, "width": 16, "epochs": 100} | fields))


def dying(layers: int, per_layer: float = -1.0) -> np.ndarray:
    """Gradient RMS by layer, [layers], that falls by `per_layer` decades per layer downwards."""
    return 10.0 ** (-1.5 + per_layer * np.arange(layers - 1, -1, -1.0))


def record(
    step: int,
    rms: np.ndarray,
    *,
    frozen: tuple[int, ...] = (),
    absent: tuple[int, ...] = (),
    phase: int = 1,
    spread: float = 0.5,
) -> Record:
    """A record with these gradient RMS by layer; `frozen` and `absent` name layers from 1."""
    layers = len(rms)
    scalars = np.zeros((len(STATISTICS), layers))
    scalars[ROW["grad_rms"]] = rms
    scalars[ROW["grad_norm"]] = 16 * rms
    scalars[ROW["delta_rms"]] = rms / 2
    scalars[ROW["weight_rms"]] = 0.05
    scalars[ROW["grad_nonfinite_share"]] = ~np.isfinite(rms)
    scalars[ROW["grad_zero_share"]] = rms == 0
    for layer in frozen:
        scalars[ROW["frozen"], layer - 1] = 1
        scalars[ROW["grad_rms"], layer - 1] = np.nan
    for layer in absent:
        scalars[:, layer - 1] = np.nan
    gone = [layer - 1 for layer in absent]
    gradient = np.stack([_gradient_counts(value, spread) for value in rms])
    weight = np.tile(_bell(0.25), (layers, 1))
    activation = np.stack([_bell(0.1 + 0.02 * layer) for layer in range(layers)])
    for counts in (gradient, weight, activation):
        counts[gone] = 0
    return Record(
        step=step,
        epoch=step // 50,
        phase=phase,
        seconds=step / 200,
        scalars=scalars,
        gradient=gradient,
        weight=weight,
        weight_range=np.full(layers, 0.25),
        activation=activation,
        activation_range=2.0 ** np.arange(layers).clip(max=3),
    )


def _bell(width: float) -> np.ndarray:
    centres = (np.arange(LINEAR_BINS) + 0.5) * 2 / LINEAR_BINS - 1
    counts = np.zeros(LINEAR_BINS + 1, np.int64)
    counts[:LINEAR_BINS] = 1000 * np.exp(-((centres / width) ** 2) / 2)
    return counts


def _gradient_counts(rms: float, spread: float) -> np.ndarray:
    counts = np.zeros(GRADIENT_COLUMNS, np.int64)
    if not np.isfinite(rms) or rms <= 0:
        counts[ZERO if rms == 0 else -1] = 4000
        return counts
    centres = LOG10_LOW + (np.arange(GRADIENT_BINS) + 0.5) / 4
    off = centres - np.log10(rms)
    counts[FIRST_BIN : FIRST_BIN + GRADIENT_BINS] = 800 * np.exp(-((off / spread) ** 2) / 2)
    counts[ZERO] = 40
    return counts


def kernel(**numbers: float) -> InputKernel:
    """The moments of a first batch, about as those of digits."""
    usual = {"batch_size": 64, "same_share": 0.085, "variance": 0.24, "harmonic": 0.23}
    return InputKernel(**(usual | {"same": 0.19, "different": 0.15} | numbers))  # type: ignore[arg-type]


def batches(first: int, count: int, *, spike: float | None = None) -> Steps:
    """Batch losses that fall slowly; `spike` replaces the last one."""
    steps = np.arange(first, first + count)
    wave = np.sin(steps * 0.7) * 0.03
    loss = 2.3 * np.exp(-steps / 4000) + wave
    if spike is not None:
        loss[-1] = spike
    return Steps(
        first=first,
        loss=loss,
        accuracy=np.clip(0.1 + steps / 8000 + wave, 0, 1),
        seconds=(first + count) / 200,
    )


def epoch_end(epoch: int, step: int, phase: int = 1) -> EpochEnd:
    """Made-up results at an epoch's end."""
    return EpochEnd(
        epoch=epoch,
        step=step,
        phase=phase,
        train_loss=2.3 - 0.01 * epoch,
        train_accuracy=min(1.0, 0.1 + 0.012 * epoch),
        validation_loss=2.31 - 0.009 * epoch,
        validation_accuracy=min(1.0, 0.1 + 0.011 * epoch),
        test_loss=2.32 - 0.008 * epoch,
        test_accuracy=min(1.0, 0.1 + 0.0105 * epoch),
        seconds=step / 200,
    )


def recorded_steps(last: int) -> list[int]:
    """The schedule of design.md: each of the first 32, then a stride that doubles up to 32."""
    steps, step = [], 0
    while step <= last:
        steps.append(step)
        stride = 1
        while step + 1 >= 32 * 2 * stride and stride < 32:
            stride *= 2
        step += stride
    return steps


def run_file(
    path: Path, items: list[Any] = (), *, status: str = store.RUNNING, **fields: Any
) -> Path:  # type: ignore[assignment]
    """A run's file with these items, in this state. `fields` go to the spec."""
    store.create(path, title="Made up", spec=spec(**fields))
    with store.Writer(path) as writer:
        writer.update(status=status)
        for item in items:
            writer.add(item)
        step = max((getattr(item, "step", 0) for item in items), default=0)
        writer.commit((1, 1.0, step))
    return path


def sigmoid_items(last: int, layers: int = 8) -> list[Any]:
    """A dying gradient over the whole schedule, with losses and epoch ends every 50 steps."""
    items: list[Any] = [Event(step=0, kind="phase", words="Phase 1 of 1: all layers.")]
    items += [
        record(
            step, dying(layers, -0.9 - 0.3 * min(1, step / 1000)) * (1 + 0.5 * np.sin(step / 37))
        )
        for step in recorded_steps(last)
    ]
    items += [batches(first, 50) for first in range(0, last, 50)]
    items += [epoch_end(1 + step // 50, step + 50) for step in range(0, last - 49, 50)]
    return items
