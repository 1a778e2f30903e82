"""Theory beside the pages: computed once for all who ask, kept, and never in their way."""

import threading

import numpy as np
import pytest
from made_up import kernel, spec

from engine.theory import predict
from ui import predictions
from ui.predictions import FIELDS, Predictions


class Counting:
    """Makes predictions, counts them, and waits where it is told to."""

    def __init__(self):
        self.asked = []
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, spec, kernel):
        self.asked.append((spec, kernel))
        assert self.gate.wait(10)
        return predict(spec, kernel)


def test_many_viewers_who_ask_the_same_are_given_the_same_and_it_is_computed_once():
    counting = Counting()
    counting.gate.clear()
    known = Predictions(counting)
    askers = [threading.Thread(target=known.get, args=(spec(), kernel())) for _ in range(20)]
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert known.get(spec(), kernel()) is None, "it is being computed, and nobody waits for it"
    assert not known.settle(0.01)
    counting.gate.set()
    assert known.settle(10)
    found = {id(known.get(spec(), kernel())) for _ in range(5)}
    assert len(found) == len(counting.asked) == 1
    wanted = predict(spec(), kernel())
    np.testing.assert_array_equal(
        known.get(spec(), kernel()).log10_delta_rms, wanted.log10_delta_rms
    )


OTHERS = {
    "data": "fashion_mnist",
    "depth": 9,
    "width": 30,
    "activation": "relu",
    "init": "normal",
    "std": 0.3,
    "gain": 2.0,
    "norm": "layer",
    "norm_position": "after",
    "skip": "published",
    "skip_every": 3,
    "gradient_rule": "standardise",
    "schedule": "layerwise_intended",
}


def test_it_is_asked_anew_for_what_changes_the_first_step_and_for_nothing_else():
    assert set(OTHERS) == set(FIELDS)
    key = predictions.key_of(spec(), kernel())
    for name, value in OTHERS.items():
        assert predictions.key_of(spec(**{name: value}), kernel()) != key, name
    for fields in ({"optimizer": "adam"}, {"learning_rate": 0.3}, {"epochs": 3}, {"seed": 7}):
        assert predictions.key_of(spec(**fields), kernel()) == key, fields
    assert predictions.key_of(spec(), kernel(same=0.2)) != key


def test_a_defect_of_theory_is_a_sentence_and_no_crash():
    def broken(spec, kernel):
        raise ZeroDivisionError("nothing for a page")

    known = Predictions(broken)
    assert known.get(spec(), kernel()) is None
    assert known.settle(10)
    told = known.get(spec(), kernel())
    assert told.fault == "Theory could not be computed for this network (ZeroDivisionError)."
    assert not told.valid
    assert len(told.log10_delta_rms) == spec().layers
    assert np.isnan(told.log10_delta_rms).all()


def test_only_the_last_ones_are_kept(monkeypatch):
    monkeypatch.setattr(predictions, "KEPT", 3)
    counting = Counting()
    known = Predictions(counting)
    for width in (*range(8, 14), 12, 8):
        known.get(spec(width=width), kernel())
        assert known.settle(10)
    assert len(known._known) == 3
    assert [one.width for one, _ in counting.asked] == [*range(8, 14), 8], "12 was still there"


@pytest.mark.parametrize("norm", ["none", "batch"])
def test_the_long_ones_do_not_hold_up_the_short_ones(norm):
    """BatchNorm's take seconds: they are made one after another, beside the others."""
    counting = Counting()
    counting.gate.clear()
    known = Predictions(counting)
    for width in (8, 9):
        known.get(spec(width=width, norm=norm), kernel())
    deadline = threading.Event()
    for _ in range(200):
        if len(counting.asked) == (1 if norm == "batch" else 2):
            break
        deadline.wait(0.01)
    assert len(counting.asked) == (1 if norm == "batch" else 2)
    counting.gate.set()
    assert known.settle(20)
