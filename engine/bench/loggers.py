"""TensorBoard and W&B doing what they can of a record at the same steps: histograms and norms.

Each step of theirs takes the histograms and the norms of dL/dW, W and the activation of every layer,
by their own functions; W&B's of dL/dW and W by its `watch`. Ours takes the whole record, and commits it to the run's file at once, which
a run does for several together.
"""

import contextlib
import os
import statistics
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from engine import runs, store, trainer
from engine.bench.apart import Tell
from engine.bench.bare import Bare
from engine.bench.steps import WARM, Recorded, batches, timed
from engine.errors import RunError
from engine.records import Item
from engine.spec import RunSpec

Step = Callable[[Tensor], Any]


class _Logger(ABC):
    """Another logger, given the tensors of a step by their names."""

    def __init__(self, folder: str):
        self.folder = folder

    def watch(self, network: nn.Module) -> None:
        """Be shown the network, where the logger has a way of its own of watching one."""
        return

    @abstractmethod
    def log(self, tensors: dict[str, Tensor], step: int) -> None:
        """Write the histogram and the norm of each tensor."""

    @abstractmethod
    def close(self) -> None:
        """End it."""


class _TensorBoard(_Logger):
    def __init__(self, folder: str):
        super().__init__(folder)
        from torch.utils.tensorboard import SummaryWriter

        self.writer = SummaryWriter(folder)

    def log(self, tensors: dict[str, Tensor], step: int) -> None:
        for name, tensor in tensors.items():
            self.writer.add_histogram(name, tensor, step)
            self.writer.add_scalar(f"{name}/norm", tensor.norm(), step)

    def close(self) -> None:
        self.writer.close()


class _WandB(_Logger):
    def __init__(self, folder: str):
        super().__init__(folder)
        os.environ |= {"WANDB_MODE": "offline", "WANDB_SILENT": "true", "WANDB_DIR": folder}
        for name in ("WANDB_CACHE_DIR", "WANDB_CONFIG_DIR", "WANDB_DATA_DIR"):
            os.environ[name] = folder
        import wandb

        quiet = wandb.Settings(silent=True, console="off", x_disable_stats=True, disable_git=True)
        self.histogram = wandb.Histogram
        self.run = wandb.init(mode="offline", dir=folder, project="bench", settings=quiet)

    def watch(self, network: nn.Module) -> None:
        self.run.watch(network, log="all", log_freq=1)  # histograms of all parameters and gradients

    def log(self, tensors: dict[str, Tensor], step: int) -> None:
        row: dict[str, Any] = {}
        for name, tensor in tensors.items():
            if name.startswith("activation"):  # which `watch` knows nothing of
                row[name] = self.histogram(tensor.numpy())
            row[f"{name}/norm"] = tensor.norm().item()
        self.run.log(row, step=step)

    def close(self) -> None:
        self.run.finish()


LOGGERS: dict[str, Callable[[str], _Logger]] = {"tensorboard": _TensorBoard, "wandb": _WandB}


class _Logged:
    """The bare loop, every step of which another logger is told of."""

    def __init__(self, bare: Bare, logger: _Logger):
        self.bare, self.logger, self.at = bare, logger, 0
        logger.watch(bare.network)
        linears = [m for m in bare.network if isinstance(m, nn.Linear)]
        self.layers = {f"layer_{number:03}": m for number, m in enumerate(linears, start=1)}
        # A layer's activation comes out of the module behind it; the last layer's are its logits.
        modules = list(bare.network)
        self.outputs = dict(zip(self.layers, [*modules[1::2], modules[-1]], strict=True))

    def step(self, index: Tensor) -> None:
        """One step, and what the logger makes of it."""
        bare, tensors = self.bare, dict[str, Tensor]()
        handles = [self._hook(name, module, tensors) for name, module in self.outputs.items()]
        inputs, labels = bare.train.inputs[index], bare.train.labels[index]
        bare.optimizer.zero_grad()
        loss = bare.loss_of(bare.network(inputs), labels)
        loss.item()
        loss.backward()
        for name, layer in self.layers.items():
            assert layer.weight.grad is not None
            tensors[f"gradient/{name}"] = layer.weight.grad
            tensors[f"weight/{name}"] = layer.weight.detach()
        self.logger.log(tensors, self.at)
        bare.optimizer.step()
        for handle in handles:
            handle.remove()
        self.at += 1

    def _hook(self, name: str, module: nn.Module, into: dict[str, Tensor]) -> RemovableHandle:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            into[f"activation/{name}"] = output.detach()

        return module.register_forward_hook(hook)


def beside(tell: Tell, specs: list[dict[str, Any]], logger: str, blocks: int, rounds: int) -> None:
    """For each spec and block: medians in ms of a bare step, and of ours and theirs less that.

    logger  a key of LOGGERS
    rounds  steps of each kind in a block
    """
    for spec in specs:
        asked = RunSpec(**spec)
        trainer.set_up(asked)
        with _ways(asked, logger) as (bare, *ways):
            some = batches(bare)
            for way in ways * WARM:
                way(next(some))
            for _ in range(blocks):
                rows = [[_settled(bare, way, some) for way in ways] for _ in range(rounds)]
                plain, ours, theirs = map(statistics.median, zip(*rows, strict=True))
                tell((plain, ours - plain, theirs - plain))


@contextlib.contextmanager
def _ways(spec: RunSpec, logger: str) -> Iterator[tuple[Bare, Step, Step, Step]]:
    """The bare loop; a step of it, one of ours and one with the logger. Raises RunError."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(ignore_cleanup_errors=True))
        try:
            theirs = LOGGERS[logger](folder)
        except ImportError:
            install = "pip install -r requirements-bench.txt"
            raise RunError(f"{logger} is not installed: {install}.") from None
        stack.callback(theirs.close)
        run = runs.create_as(runs.new_id(), spec)
        stack.callback(runs.delete, run)
        writer = stack.enter_context(store.Writer(runs.path(run)))
        bare = Bare(spec)
        yield (
            bare,
            bare.step,
            Recorded(spec, _at_once(writer)).step,
            _Logged(Bare(spec), theirs).step,
        )


def _at_once(writer: store.Writer) -> Callable[[Item], None]:
    """What takes an item and commits it."""

    def add(item: Item) -> None:
        writer.add(item)
        writer.commit((os.getpid(), time.time(), 0))

    return add


def _settled(bare: Bare, way: Step, some: Iterator[Tensor]) -> float:
    """Milliseconds of a step, after one of the bare loop's that finds what the step before left."""
    bare.step(next(some))
    return timed(way, next(some))
