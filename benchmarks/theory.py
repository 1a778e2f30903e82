"""Theory beside the measurement: the ten published presets on Fashion-MNIST; what a prediction costs.

    python benchmarks/theory.py --data FOLDER    # FOLDER in torchvision's layout, with Fashion-MNIST

Prints a table, and writes it to docs/performance.md with --write.
"""

import argparse
import math
import os
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from sections import Row, table, write_section  # noqa: E402

from engine.runs import SAME_BITS  # noqa: E402

HEAD = """## Theory

Made by `python benchmarks/theory.py --data FOLDER --write`. Factors are of dL/dz per layer towards the input, from the
last hidden layer of the first phase to layer 1, at step 0; the greatest error is of log10 dL/dz at the worst layer, between the
prediction for seed 42's first batch and the mean over seeds. "Theory fails" is what the product itself says of it.
"""
COSTS = {
    "7x128 sigmoid": ({}, "20 ms"),
    "7x128 sigmoid, std 1": ({"init": "normal", "std": 1}, "20 ms"),
    "50x128 sigmoid": ({"depth": 50}, "100 ms"),
    "50x128 tanh, Xavier": ({"depth": 50, "activation": "tanh", "init": "xavier_normal"}, "100 ms"),
    "7x128 sigmoid, BatchNorm": ({"norm": "batch"}, "1 s"),
}


def preset_rows(seeds: int) -> list[Row]:
    """One row per published preset: its factor as measured over seeds, and as predicted."""
    import numpy as np

    from engine import presets, probe, theory
    from engine.kernels import kernel_of

    rows = []
    for name, preset in presets.PRESETS.items():
        if preset.kind != "published":
            continue
        spec = preset.spec(data="fashion_mnist", device="cpu")
        depth = spec.phases[0].layers
        lines = [probe.measured(spec.changed({"seed": seed})) for seed in range(1, seeds + 1)]
        log10 = np.log10([line.get("double", line)["delta_rms"] for line in lines])
        falls = (log10[:, 0] - log10[:, depth - 1]) / (depth - 1)
        _, inputs, labels = probe.first_batch(spec)
        told = theory.predict(spec, kernel_of(inputs, labels, keep_gram=spec.norm == "batch"))
        worst = float(np.nanmax(np.abs(told.log10_delta_rms - log10.mean(axis=0))))
        measured = 10 ** falls.mean()
        spread = f"x{10 ** falls.min():.3g} to x{10 ** falls.max():.3g}"
        fails = "" if told.valid else f"; theory fails: {told.active_units:.2g} active units"
        rows.append(
            (
                f"`{name}`, {seeds} seeds",
                f"x{measured:.3g} ({spread}); worst layer {worst:.3f} decades off",
                f"predicted x{told.factor:.3g}{fails}",
            )
        )
    return rows


def cost_rows(repeats: int) -> list[Row]:
    """Milliseconds of CPU of a prediction, everything cached that a server would have cached."""
    from engine import probe, theory
    from engine.kernels import kernel_of
    from engine.spec import RunSpec

    rows = []
    for name, (fields, wanted) in COSTS.items():
        spec = RunSpec(data="fashion_mnist", **fields)
        _, inputs, labels = probe.first_batch(spec)
        kernel = kernel_of(inputs, labels, keep_gram=spec.norm == "batch")
        theory.predict(spec, kernel)
        spent = []
        for _ in range(repeats):
            begun = time.process_time()
            theory.predict(spec, kernel)
            spent.append(1000 * (time.process_time() - begun))
        middle = statistics.median(spent)
        assert math.isfinite(middle)
        rows.append((f"a prediction, {name}", f"{middle:.1f} ms of CPU", f"under {wanted}"))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True, help="folder with Fashion-MNIST")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--write", action="store_true", help="write docs/performance.md")
    asked = parser.parse_args()
    os.environ |= {"VGLAB_DATA": asked.data} | SAME_BITS
    text = table(cost_rows(asked.repeats) + preset_rows(asked.seeds))
    print(text)
    if asked.write:
        write_section(HEAD, text)


if __name__ == "__main__":
    main()
