"""The command `theory`: what mean-field theory expects of a run's first step, without training it."""

import math
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from engine import theory
from engine.errors import SpecError
from engine.phase_diagram import fixed_point, place
from engine.shell import Json, Settings, asked, out, print_json, refusing
from engine.spec import RunSpec


def give_theory(
    preset: Annotated[str, typer.Option("--preset", help="Start from this preset.")] = "",
    settings: Settings = None,
    spec_file: Annotated[
        Path | None, typer.Option("--spec", help="Start from a JSON file of fields instead.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Predict the gradient of every layer before the first step, for the run's own first batch."""
    with refusing():
        spec = asked(preset, settings or [], spec_file)
        if spec.device not in ("auto", "cpu"):
            raise SpecError({"device": f"device is {spec.device}; theory is computed on the cpu."})
        # Here, because it imports torch, and after what is cheap has been checked.
        from engine.kernels import kernel_of
        from engine.probe import first_batch

        _, inputs, labels = first_batch(spec)
        kernel = kernel_of(inputs, labels, keep_gram=spec.norm == "batch")
        prediction = theory.predict(spec, kernel)
    rows = rows_of(prediction)
    if as_json:
        for row in rows:
            print_json(row)
    else:
        _print(spec, prediction, rows)
    if prediction.fault:
        typer.echo(prediction.fault, err=True)


def rows_of(prediction: theory.Prediction) -> list[dict[str, Any]]:
    """One row per layer in use, from the input: the numbers of a prediction by their names."""
    p = prediction
    columns = {
        "delta_rms": 10.0**p.log10_delta_rms,
        "grad_norm": 10.0**p.log10_grad_norm,
        "preactivation_variance": p.preactivation_variance,
        "correlation_same": p.correlation_same,
        "correlation_different": p.correlation_different,
        "saturated_share": p.saturated_share,
        "band_decades": p.delta_band,
    }
    layers = len(p.delta_band)
    in_use = [row for row in range(layers) if p.fault or not math.isnan(p.log10_delta_rms[row])]
    return [
        {"layer": row + 1, **{name: float(v[row]) for name, v in columns.items()}, "valid": p.valid}
        for row in in_use
    ]


def _print(spec: RunSpec, prediction: theory.Prediction, rows: list[dict[str, Any]]) -> None:
    names = [name for name in rows[0] if name != "valid"]
    heads = [name.replace("_", " ") for name in names]
    table = Table(*heads, title="Before the first step; layer 1 is nearest the input", box=None)
    for row in rows:
        table.add_row(str(row["layer"]), *(f"{row[name]:.3g}" for name in names[1:]))
    out.print(table)
    if not math.isnan(prediction.factor):
        out.print(
            f"dL/dz per layer towards the input: x{prediction.factor:.3g}; layer 1 receives "
            f"{prediction.ratio:.3g} of what layer {spec.phases[0].layers} does."
        )
    if spec.norm == "none" and spec.skip == "none" and spec.gradient_rule == "none":
        point = fixed_point(spec.activation, *place(spec))
        out.print(
            f"In an endless network: chi_1 = {point.chi:.3g}, x{point.factor:.3g} per layer, depth "
            f"scale {point.depth_scale:.3g} layers."
        )
