"""Run as a program, in the arithmetic of the workers: trains runs and prints the losses of each epoch.

Reads lines of stdin, each a JSON list of [spec, [[step, change], ...]], and answers each with a line:
a list of lists of [train loss, validation loss, test loss].
"""

import json
import os
import sys
from collections import defaultdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from engine.runs import SAME_BITS

os.environ.update(SAME_BITS)

import contextlib

from engine import data, steering, trainer
from engine.errors import DivergedError
from engine.spec import RunSpec


class Aloud(trainer.Silent):
    """Makes the changes, and keeps the losses."""

    def __init__(self, changes):
        self.losses, self.changes = [], defaultdict(list)
        for step, change in changes:
            self.changes[step].append(steering.read_json(change))

    def between(self, step, capture):
        return self.changes.pop(step, ())

    def end_epoch(self, end):
        self.losses.append([end.train_loss, end.validation_loss, end.test_loss])


def losses(fields, changes):
    spec = RunSpec(**fields)
    device, aloud = trainer.set_up(spec), Aloud(changes)
    with contextlib.suppress(DivergedError):
        trainer.train(trainer.prepare(spec, *data.load(spec), device), aloud)
    return aloud.losses


if __name__ == "__main__":
    for line in sys.stdin:
        print(json.dumps([losses(*asked) for asked in json.loads(line)]), flush=True)
