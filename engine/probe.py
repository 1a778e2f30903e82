"""`python -m engine.probe`: measures untrained networks for a page; one process, asked again and again.

One JSON object per line on stdin, `{"id", "kind", "spec", ...}`; answers as JSON lines on stdout,
each with the `id`, the last with `"done": true`; what is refused is one sentence in `error`. The
program ends with stdin. Kinds: `kernel`, `seeds` (`count` of them, one line each), `backward`, and
`cancel` of an `id`. Short requests come first; of several `seeds` each has its turn.

It measures as a run does (float32, subnormals flushed to zero, the recorder's own statistics) and
once more in float64 where float32 underflows or overflows.
"""

import base64
import contextlib
import json
import logging
import math
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor, nn

from engine import data, kernels, slow_motion, statistics, trainer
from engine.data import Batches, Examples
from engine.data_sets import DATA_SETS, data_here
from engine.errors import DataError, EngineError, SpecError
from engine.network import Network
from engine.recorder import Recorder
from engine.records import ROW, InputKernel, Item, Record
from engine.spec import RunSpec

log = logging.getLogger(__name__)
NICE = 5  # behind the page, as a worker
MOST_WEIGHTS = 8_000_000  # of a network that is measured: a second a seed, half a gigabyte
SECONDS = 20.0  # of measuring seeds for one request; then with those there are
SHOWN = 6  # examples of a batch that are handed out as pixels
FROM_RECORD = ("delta_rms", "grad_norm", "grad_rms", "saturated_share")
Answer = dict[str, Any]
CPU = torch.device("cpu")


def first_batch(spec: RunSpec) -> tuple[Network, Tensor, Tensor]:
    """The network a run of this spec begins with, and its first batch: inputs, labels.

    Drawn by the trainer's own code in its own order, on positions in place of pixels: the same
    numbers without a copy of the whole set for every seed. Raises DataError, SpecError.
    """
    _check(spec)
    whole = _loaded(spec.data)
    places = Examples(
        inputs=torch.arange(spec.examples)[:, None], labels=whole.labels[: spec.examples]
    )
    trainer.set_up(spec.changed({"device": "cpu"}))
    run = trainer.prepare(spec, places, places.at(torch.arange(1)), CPU)
    run.network.enter(spec.phases[0])
    index = next(iter(Batches(run.data.train, spec.batch_size)))
    where = run.data.train.inputs[index, 0]
    return run.network, whole.inputs[where], whole.labels[where]


_held: dict[str, Examples] = {}  # the data set used last, whole


def _loaded(name: str) -> Examples:
    if name not in _held:
        if name not in data_here():
            raise DataError(
                f"{DATA_SETS[name].title} is not on this machine; "
                f"here are {', '.join(sorted(data_here()))}."
            )
        _held.clear()
        _held[name] = data.load(RunSpec(data=name))[0]
    return _held[name]


def _check(spec: RunSpec) -> None:
    features, classes = spec.data_set.features, len(spec.data_set.classes)
    weights = spec.width * (features + (spec.depth - 1) * spec.width + classes)
    if weights > MOST_WEIGHTS:
        raise SpecError(
            {
                "width": f"The network has {weights:,} weights; up to {MOST_WEIGHTS:,} are measured "
                "while you wait: choose fewer layers or fewer units."
            }
        )


def kernel(spec: RunSpec, asked: Answer) -> Iterator[Answer]:
    """`kernel`: the InputKernel of the run's first batch, its gram as base64 of float32."""
    _, inputs, labels = first_batch(spec)
    found = kernels.kernel_of(inputs, labels, keep_gram=spec.norm == "batch")
    yield {"kernel": _as_json(found)}


def _as_json(found: InputKernel) -> Answer:
    told = asdict(found)
    for name in ("gram", "labels"):
        if told[name] is not None:
            told[name] = base64.b64encode(told[name].tobytes()).decode()
    return told


def seeds(spec: RunSpec, asked: Answer) -> Iterator[Answer]:
    """One line per seed from 1 to `count`, and which it was that ended it early."""
    count = asked.get("count", 30)
    if not isinstance(count, int) or not 1 <= count <= 100:
        raise SpecError({"count": f"count is {count}; it must be a whole number from 1 to 100."})
    spent = 0.0
    for seed in range(1, count + 1):
        if spent > SECONDS:
            yield {"stopped": f"after {SECONDS:.0f} s"}
            return
        begun = time.monotonic()
        line = measured(spec.changed({"seed": seed}))
        spent += time.monotonic() - begun
        yield {"seed": seed, "of": count, "spent": spent} | line


def measured(spec: RunSpec) -> Answer:
    """What the record of step 0 of a run of this spec says, and what theory compares besides.

    `delta_rms`, `grad_norm`, `grad_rms` and `saturated_share` are the recorder's, to the bit.
    `preactivation_square` and `preactivation_pair` are the means of z_a . z_b / units over the
    examples and over pairs of different ones. All are [layers], NaN where a layer is not in use.
    `double` has the first three from a float64 pass where float32 is no longer to be trusted.
    """
    network, inputs, labels = first_batch(spec)
    items: list[Item] = []
    recorder = Recorder(spec, items.append)
    recorder.begin_phase(spec.phases[0], network, 0, anew=True)
    recorder.before_step(0, 0, ends_epoch=False, must=True)
    with _outputs(network) as z:
        loss = nn.CrossEntropyLoss()(network(inputs), labels)
    loss.backward()
    recorder.after_backward()
    recorder.after_step(loss.item(), math.nan)
    (record,) = (item for item in items if isinstance(item, Record))
    told: Answer = {name: record.scalars[ROW[name]].tolist() for name in FROM_RECORD}
    told |= _moments(z, spec.layers)
    told["loss"] = loss.item()
    told["kernel"] = _as_json(kernels.kernel_of(inputs, labels, keep_gram=False))
    sizes = [told["delta_rms"][number - 1] for number in network.layers_in_use()]
    if not all(size > slow_motion.UNDERFLOWS and math.isfinite(size) for size in sizes):
        told["double"] = _double(network, inputs, labels)
    return told


@contextlib.contextmanager
def _outputs(network: Network) -> Iterator[dict[int, Tensor]]:
    """Layer -> what its Linear gives in a forward pass, [batch, units]."""
    seen: dict[int, Tensor] = {}

    def keep(number: int) -> Callable[[nn.Module, Any, Tensor], None]:
        def hook(module: nn.Module, inputs: Any, output: Tensor) -> None:
            seen[number] = output

        return hook

    handles = [network.layer(n).register_forward_hook(keep(n)) for n in network.layers_in_use()]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()


def _moments(z: dict[int, Tensor], layers: int) -> Answer:
    square, pair = [math.nan] * layers, [math.nan] * layers
    for number, output in z.items():
        wide = output.detach().double()
        examples = len(wide)
        own = wide.square().mean()
        every = wide.mean(dim=0).square().mean()  # over all pairs, each with itself too
        square[number - 1] = float(own)
        if examples > 1:
            pair[number - 1] = float((examples * every - own) / (examples - 1))
    return {"preactivation_square": square, "preactivation_pair": pair}


def _double(network: Network, inputs: Tensor, labels: Tensor) -> Answer:
    network = network.double()
    network.zero_grad(set_to_none=True)
    with _outputs(network) as z:
        loss = nn.CrossEntropyLoss()(network(inputs.double()), labels)
    deltas = torch.autograd.grad(loss, list(z.values()), retain_graph=True)
    loss.backward()
    told = {name: [math.nan] * network.spec.layers for name in FROM_RECORD[:3]}
    for number, delta in zip(z, deltas, strict=True):
        gradient = network.layer(number).weight.grad
        assert gradient is not None
        rms = float(statistics.rms(gradient[None]))
        told["delta_rms"][number - 1] = float(statistics.rms(delta[None]))
        told["grad_rms"][number - 1] = rms
        told["grad_norm"][number - 1] = rms * math.sqrt(gradient.numel())
    return told


def backward(spec: RunSpec, asked: Answer) -> Iterator[Answer]:
    """The backward pass of the first step, layer by layer, with a few of the batch's examples."""
    network, inputs, labels = first_batch(spec)
    shape = spec.data_set.shape
    pictures = inputs[:SHOWN].reshape(-1, *shape)
    if len(shape) == 3:  # colours last, as pixels have them
        pictures = pictures.permute(0, 2, 3, 1)
    if len(shape) == 1:  # two numbers are one row
        pictures = pictures[:, None]
    told = slow_motion.backward(network, inputs, labels)
    yield told | {
        "batch_size": len(labels),
        "examples": [[[_short(x) for x in row] for row in one] for one in pictures.tolist()],
        "labels": labels[:SHOWN].tolist(),
    }


def _short(x: Any) -> Any:
    return round(x, 3) if isinstance(x, float) else [round(part, 3) for part in x]


#: Kind of request -> what answers it, line by line. Raises EngineError for what is refused.
KINDS: dict[str, Callable[[RunSpec, Answer], Iterator[Answer]]] = {
    "kernel": kernel,
    "seeds": seeds,
    "backward": backward,
}


class Desk:
    """Takes requests and answers them a line at a time.

    say  called with each answer
    """

    def __init__(self, say: Callable[[Answer], None]):
        self.say = say
        self.jobs: dict[Any, Iterator[Answer]] = {}  # those with most lines, each in its turn

    def take(self, asked: Answer) -> None:
        """Begin what is asked for, or answer it at once where it is short."""
        number, kind = asked.get("id"), asked.get("kind")
        if kind == "cancel":
            self.jobs.pop(number, None)
        elif kind not in KINDS:
            known = ", ".join(KINDS)
            self.say(
                {"id": number, "error": f"kind is {kind}; it must be one of {known}.", "done": True}
            )
        else:
            self.jobs[number] = self._lines(asked)
            while kind != "seeds" and number in self.jobs:
                self._advance(number)

    def work(self) -> None:
        """One line of the job that has waited longest."""
        number = next(iter(self.jobs))
        job = self.jobs.pop(number)
        self.jobs[number] = job
        self._advance(number)

    def _advance(self, number: Any) -> None:
        try:
            self.say({"id": number} | next(self.jobs[number]))
            return
        except StopIteration:
            self.say({"id": number, "done": True})
        except EngineError as error:
            self.say({"id": number, "error": str(error), "done": True})
        except Exception as error:  # a defect: the next request must not find the process gone
            log.exception("A request could not be answered")
            words = f"{type(error).__name__}: {error}"
            self.say({"id": number, "error": f"The measurement failed: {words}.", "done": True})
        del self.jobs[number]

    @staticmethod
    def _lines(asked: Answer) -> Iterator[Answer]:
        fields = asked.get("spec")
        if not isinstance(fields, dict):
            raise SpecError({"spec": "The request has no spec; it must be an object of fields."})
        yield from KINDS[asked["kind"]](RunSpec(**fields), asked)


def _listen(asked: "queue.SimpleQueue[Answer | None]") -> None:
    for line in sys.stdin:
        asked.put(json.loads(line))
    asked.put(None)


def warm_up() -> None:
    """Do everything a first measurement does once."""
    measured(RunSpec(depth=2, width=8))


def main() -> None:
    """Warm up, say so with an empty object, answer until stdin ends."""
    if hasattr(os, "nice"):
        os.nice(NICE)
    said, sys.stdout = sys.stdout, sys.stderr  # whatever else prints must not be taken for ours

    def say(answer: Answer) -> None:
        print(json.dumps(answer), file=said, flush=True)

    warm_up()
    say({})
    desk = Desk(say)
    asked: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(asked,), daemon=True).start()
    with contextlib.suppress(BrokenPipeError):  # the server has gone
        while True:
            try:
                request = asked.get(block=not desk.jobs)
            except queue.Empty:
                desk.work()
                continue
            if request is None:
                return
            desk.take(request)


if __name__ == "__main__":
    main()
