"""A run as one readable PyTorch file without this package, and as a notebook of the same cells.

It holds what the run needs and nothing else, and prints the run's losses to the digit on the same
device. Pure: text in, text out; no torch.
"""

import json
import re
import textwrap
from collections.abc import Sequence

from engine import script_changes as changed
from engine import script_code as code
from engine import script_parts as parts
from engine.quotes import quoted
from engine.run_info import DIVERGED, FINISHED, RunInfo
from engine.runs import SAME_BITS
from engine.script_changes import Story
from engine.spec import RunSpec
from engine.steering import Change

_CELL = "# %%"  # begins a cell, for editors that know cells; here a cell of the notebook too


def text(info: RunInfo, changes: Sequence[tuple[int, Change]] = ()) -> str:
    """The script of a run.

    changes  made while it trained, each with its step (engine.steering.changes_of)
    """
    story = Story(info.spec, changes)
    device = info.device or info.spec.device
    may_diverge = info.status != FINISHED
    spec = info.spec
    cells = [
        f"{_head(info, device)}\n\n{_begin(story, device, may_diverge)}",
        f"{_CELL} Data: {spec.data_set.title}\n{parts.data(spec).strip()}\n{_split(spec)}",
        f"{_CELL} Network\n{code.network(story)}",
        f"{_CELL} Measuring\n{code.measuring(may_diverge)}",
        f"{_CELL} Training\n{code.training(story, may_diverge)}",
    ]
    return "\n\n\n".join(cell.strip("\n") for cell in cells) + "\n"


def notebook(info: RunInfo, changes: Sequence[tuple[int, Change]] = ()) -> str:
    """The same as a notebook (nbformat 4.5): a cell for each of the script's."""
    head, *cells = text(info, changes).split(f"\n{_CELL} ")
    title, _, rest = head.strip().strip('"').partition("\n")
    made = [_cell(0, "markdown", f"# {title}\n{rest}")]
    for cell in cells:
        heading, _, source = cell.partition("\n")
        made.append(_cell(len(made), "markdown", f"## {heading}"))
        made.append(_cell(len(made), "code", source.strip("\n")))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    metadata = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": made, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _cell(number: int, kind: str, source: str) -> dict[str, object]:
    cell: dict[str, object] = {"cell_type": kind, "id": f"cell-{number}", "metadata": {}}
    if kind == "code":
        cell |= {"execution_count": None, "outputs": []}
    return cell | {"source": source.strip("\n").splitlines(keepends=True)}


def _head(info: RunInfo, device: str) -> str:
    """The title, what the script does, and what the run was made with."""
    title = re.sub(r'[\\"]', "'", quoted(" ".join(info.title.split()), 200)) or "A run"
    where = "" if device == "auto" else f" ({device})"
    told = [
        f"Run {info.id} as one PyTorch file: on the same device{where} it prints the run's losses "
        "to the digit."
    ]
    if info.versions:
        made = ", ".join(f"{name} {version}" for name, version in info.versions.items())
        told.append(f"The run was made with {made}; others may differ in the last digits.")
    if info.ended and info.status not in (FINISHED, DIVERGED):
        told.append(f"The run ended early, at step {info.step}; this trains on to the end.")
    has_sklearn = info.spec.data in ("digits", "moons", "circles")
    others = ["numpy", *(["scikit-learn"] if has_sklearn else [])]
    others = others if info.spec.data_set.embedded else ["torchvision"]
    told.append(f"It needs torch and {' and '.join(others)}.")
    wrapped = [textwrap.fill(part, changed.WIDTH) for part in (title, " ".join(told))]
    return '"""' + "\n\n".join(wrapped) + '\n"""'


def _begin(story: Story, device: str, may_diverge: bool) -> str:
    """What must be before torch is imported, the imports, and the choices that decide the bits."""
    spec = story.spec
    names = [
        name for name in SAME_BITS if device in ("cuda", "auto") or not name.startswith("CUBLAS")
    ]
    wanted = {
        "import torch",
        "from torch import nn",
        "from torch.utils.data import DataLoader, random_split",
        *parts.DATA_IMPORTS[spec.data],
    }
    if may_diverge:
        wanted |= {"import math", "import sys"}
    lines = [line for moment in story.moments for line in changed.code(story, moment)]
    if any("partial(" in line for line in [*changed.settings(story), *lines]):
        wanted.add("from functools import partial")
    if not story.is_live and spec.steps_per_phase % spec.steps_per_epoch:
        wanted.add("from itertools import islice")
    lines = [
        f"{_CELL} Settings",
        "import os",
        "",
        "# Arithmetic that is the same on every machine; torch reads this when it is imported.",
        *(f'os.environ["{name}"] = "{SAME_BITS[name]}"' for name in names),
        "",
        parts.imports(wanted),
        "",
        f"SEED, BATCH_SIZE = {spec.seed}, {spec.batch_size}",
        f"INPUTS, DEPTH, WIDTH, CLASSES = {spec.data_set.features}, {spec.depth}, {spec.width}, "
        f"{len(spec.data_set.classes)}",
        f"torch.set_num_threads({spec.threads})",
        "torch.set_flush_denormal(True)  # numbers next to 0 count as 0, which is faster",
    ]
    if device != "cpu":
        lines += [
            "torch.use_deterministic_algorithms(True, warn_only=True)",
            "torch.utils.deterministic.fill_uninitialized_memory = False",
        ]
    return "\n".join([*lines, f"device = {_device(device)}"])


def _device(name: str) -> str:
    if name != "auto":
        return f'torch.device("{name}")'
    return 'torch.device("cuda" if torch.cuda.is_available() else "cpu")'


def _split(spec: RunSpec) -> str:
    return f"""
# From here on random numbers are drawn, in this order: the split, the weights, and each epoch's
# order of examples.
torch.manual_seed(SEED)
train, validation = random_split(range(len(x)), [{spec.train_examples}, {spec.validation_examples}])
train_x, train_y = x[train.indices].to(device), y[train.indices].to(device)
validation_x, validation_y = x[validation.indices].to(device), y[validation.indices].to(device)
test_x, test_y = test_x.to(device), test_y.to(device)"""
