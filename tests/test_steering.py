"""What can be changed while a run trains: what it does to the spec, in words, and what is refused."""

import pytest

from engine.errors import EngineError, RunError
from engine.records import Event
from engine.spec import RunSpec, bounds, choices
from engine.steering import (
    KINDS,
    LIVE_FIELDS,
    Change,
    Standing,
    applied,
    as_json,
    changes_of,
    read_json,
    settled,
    short,
    words,
)

SPEC = RunSpec(depth=7, width=16)


def another(field):
    """A value of a field that is not the one SPEC has."""
    options = [value for value in choices(field) if value != getattr(SPEC, field)]
    if options:
        return options[-1]
    low, high = bounds(field)
    return next(v for v in (2, 0.5, high, low) if v != getattr(SPEC, field) and low <= v <= high)


CHANGES = [
    *(Change(kind="set", fields={field: another(field)}) for field in LIVE_FIELDS),
    Change(kind="freeze", layer=8),
    Change(kind="reinitialise", layer=1),
    Change(kind="reinitialise"),
    Change(kind="look"),
]


@pytest.mark.parametrize("change", CHANGES, ids=as_json)
def test_every_change_survives_its_file_and_is_told_in_words(change):
    standing = Standing(spec=SPEC)
    applied(standing, change)
    assert read_json(as_json(change)) == change
    assert words(standing, change)
    assert short(change)
    for name in change.fields:
        before = getattr(SPEC, name)
        shown = f"{before:g}" if isinstance(before, float) else str(before)
        assert f"{name} {shown} → " in words(standing, change)


@pytest.mark.parametrize("field", LIVE_FIELDS)
def test_a_change_sets_its_field_and_no_other(field):
    after = applied(Standing(spec=SPEC), Change(kind="set", fields={field: another(field)}))
    differs = {n for n in RunSpec.FIELDS if getattr(after.spec, n) != getattr(SPEC, n)}
    assert differs == {field}


@pytest.mark.parametrize("field", sorted(set(RunSpec.FIELDS) - set(LIVE_FIELDS)))
def test_what_would_need_other_weights_or_other_data_is_refused_beside_its_field(field):
    with pytest.raises(EngineError, match=f"{field} cannot be changed while the run trains") as e:
        applied(Standing(spec=SPEC), Change(kind="set", fields={field: getattr(SPEC, field)}))
    assert field in e.value.faults


def test_values_come_out_as_the_spec_holds_them():
    asked = Change(kind="set", fields={"learning_rate": "0.5", "skip_every": "3"})
    made = settled(Standing(spec=SPEC), asked)
    assert dict(made.fields) == {"learning_rate": 0.5, "skip_every": 3}


def test_layers_are_frozen_and_learn_again_but_never_all_are_frozen():
    standing = Standing(spec=SPEC)
    for layer in range(1, 8):
        standing = applied(standing, Change(kind="freeze", layer=layer))
    assert standing.frozen == frozenset(range(1, 8))
    with pytest.raises(RunError, match="the last that learns"):
        applied(standing, Change(kind="freeze", layer=8))
    assert applied(standing, Change(kind="unfreeze", layer=3)).frozen == frozenset(
        {1, 2, 4, 5, 6, 7}
    )


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (Change(kind="freeze", layer=9), "layer is 9; it must be from 1 to 8"),
        (Change(kind="freeze", layer=0), "layer is 0; it must be from 1 to 8"),
        (Change(kind="freeze"), "layer is None; it must be from 1 to 8"),
        (Change(kind="reinitialise", layer=9), "layer is 9"),
        (Change(kind="unfreeze", layer=2), "was not frozen by hand"),
        (Change(kind="set"), "names no field"),
        (Change(kind="explode"), "must be one of " + ", ".join(KINDS)),
        (Change(kind="set", fields={"norm": "bach"}), "norm is bach; it must be one of"),
        (Change(kind="set", fields={"learning_rate": -1}), "learning_rate is -1"),
        (Change(kind="set", fields={"skip": "every", "skip_every": 7}), "depth is 7"),
    ],
)
def test_what_cannot_be_is_refused_by_one_sentence(change, sentence):
    with pytest.raises(EngineError, match=sentence.replace("(", r"\(")) as e:
        applied(Standing(spec=SPEC), change)
    assert str(e.value).count("\n") == 0
    assert str(e.value).endswith(".")


def test_where_phases_decide_what_is_frozen_nobody_else_does():
    standing = Standing(spec=SPEC.changed({"schedule": "layerwise_intended"}))
    with pytest.raises(RunError, match="its phases decide"):
        applied(standing, Change(kind="freeze", layer=1))


def test_what_becomes_of_the_optimizer_s_state_is_said():
    standing = Standing(spec=SPEC)
    kept = words(standing, Change(kind="set", fields={"learning_rate": 0.1}))
    lost = words(standing, Change(kind="set", fields={"optimizer": "adam"}))
    assert "optimizer's state stay" in kept
    assert "state begins empty" in lost


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"kind": 3}', '{"kind": "set", "fields": []}', '{"kind": "freeze", "layer": "1"}', "[" * 9999]
)  # fmt: skip
def test_a_change_that_a_file_tells_wrongly_is_refused(text):
    with pytest.raises(RunError, match="cannot be read"):
        read_json(text)


def test_the_changes_of_a_run_are_those_events_that_carry_one():
    change = Change(kind="freeze", layer=2)
    events = [
        Event(step=0, kind="phase", words="phase 1"),
        Event(step=3, kind="change", words="", change=as_json(change)),
    ]
    assert changes_of(events) == [(3, change)]
