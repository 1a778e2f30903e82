"""A moment of training as bytes, and back: weights, optimizer, random state, where the loop stands.

Read with torch's `weights_only`: data alone, no code, whoever wrote the file.
"""

import io
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from engine.errors import StoreError
from engine.spec import read_json
from engine.steering import Standing


@dataclass(kw_only=True)
class Position:
    """Where the loop stands, between two steps."""

    step: int = 0  # steps finished
    epoch: int = 0  # epochs finished
    phase: int = 1  # the one it is in
    batch: int = 0  # batches of the epoch done
    losses: list[float] = field(default_factory=list)  # of them
    correct: float = 0.0  # examples of them that were right
    seen: int = 0  # examples of them
    drawn: Tensor | None = None  # torch's generator before this epoch's order was drawn


@dataclass(kw_only=True)
class State:
    """All that decides what comes next. The tensors are copies, on the CPU."""

    position: Position
    standing: Standing
    seconds: float  # of training so far
    generator: Tensor  # torch's, now
    network: dict[str, Tensor]
    optimizer: dict[str, dict[str, Any]]  # parameter's name -> its state
    recorder: dict[str, Any] = field(default_factory=dict)  # of engine.recorder.Recorder.memory


def to_bytes(state: State) -> bytes:
    """A state as it lies in a run's file."""
    told = {
        "position": asdict(state.position),
        "spec": state.standing.spec.model_dump_json(),
        "frozen": sorted(state.standing.frozen),
        **{name: getattr(state, name) for name in _PLAIN},
    }
    written = io.BytesIO()
    torch.save(told, written)
    return written.getvalue()


_PLAIN = ("seconds", "generator", "network", "optimizer", "recorder")


def from_bytes(raw: bytes) -> State:
    """The state that was written. Raises StoreError for anything else."""
    try:
        told = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
        return State(
            position=Position(**told["position"]),
            standing=Standing(spec=read_json(told["spec"]), frozen=frozenset(told["frozen"])),
            **{name: told[name] for name in _PLAIN},
        )
    except Exception as e:  # what takes damaged bytes apart stumbles in a dozen ways
        first = (str(e).strip().splitlines() or ["it is empty"])[0][:100]
        raise StoreError(f"The checkpoint in the run's file is damaged: {first}") from e


def copied(value: Any) -> Any:
    """The same on the CPU, untouched by what training does next."""
    if isinstance(value, Tensor):
        return value.detach().to("cpu", copy=True)
    if isinstance(value, dict):
        return {key: copied(one) for key, one in value.items()}
    return value
