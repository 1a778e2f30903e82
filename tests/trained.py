"""Runs trained in this process, for tests of steering: through the worker's own code."""

import numpy as np

from engine import runs, store, worker
from engine.spec import RunSpec

SMALL = {"depth": 3, "width": 12, "epochs": 3, "subset": 200, "batch_size": 20}  # 9 steps an epoch


def small(**fields):
    """A spec that trains in a fraction of a second: 27 steps."""
    return RunSpec(**(SMALL | fields))


def work(run, hear=lambda step, end: None):
    """Train a run that was created or queued, here and now; its RunInfo."""
    runs._unqueue(run)
    worker.Job(runs.path(run), hear).work()
    return runs.info(run)


def trained(spec, changes=()):
    """A run of this spec with these (step, change), to its end; its id."""
    run = runs.create(spec)
    runs.plan(runs.path(run), changes)
    info = work(run)
    assert info.status == store.FINISHED, info.sentence + info.traceback
    return run


def records(run, above=-1):
    """Every number of the records after a step, by step: all that does not tell the time."""
    with store.Reader(runs.path(run)) as reader:
        found = [reader.record(record.step) for record in reader.records(above)]
    return {
        one.step: (
            one.epoch,
            one.phase,
            *tuple(
                getattr(one, name).tobytes()
                for name in (
                    "scalars",
                    "gradient",
                    "weight",
                    "activation",
                    "weight_range",
                    "activation_range",
                )
            ),
        )
        for one in found
    }


def rows_of_kernel(run):
    """What is kept of the inputs of its first batch, as it lies in the file."""
    with store.Reader(runs.path(run)) as reader:
        return reader.connection.execute("SELECT * FROM kernel").fetchall()


def losses(run):
    """Loss and accuracy of each batch, [2, steps]; complete and in order."""
    with store.Reader(runs.path(run)) as reader:
        blocks = reader.steps()
    firsts = np.cumsum([0, *(len(block.loss) for block in blocks)])
    assert [block.first for block in blocks] == firsts[:-1].tolist(), "steps are missing"
    return np.concatenate([np.stack([block.loss, block.accuracy]) for block in blocks], axis=1)


def epochs(run):
    """What was measured at the ends of epochs, without the time."""
    with store.Reader(runs.path(run)) as reader:
        ends = reader.epochs()
    return [tuple(v for k, v in vars(end).items() if k != "seconds") for end in ends]


def events(run):
    """(step, kind, change) of each event."""
    with store.Reader(runs.path(run)) as reader:
        return [(event.step, event.kind, event.change) for event in reader.events()]


def checkpoints(run):
    """The steps that can be gone back to directly, and why they were kept."""
    with store.Reader(runs.path(run)) as reader:
        return [(kept.step, kept.kind) for kept in reader.checkpoints()]


def same(a, b, above=-1):
    """Assert that two runs recorded the same after a step, to the last bit."""
    assert records(a, above) == records(b, above)
    assert records(a, above)
    assert np.array_equal(losses(a), losses(b), equal_nan=True)
    assert epochs(a) == epochs(b)
