"""What a run says for itself in words: the row of figures, the line under it, texts for charts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from engine.records import ROW, Event
from engine.steering import read_json, short
from engine.store import FAILED, FINISHED, OPEN, PAUSED, QUEUED, RUNNING, STOPPED
from ui.histograms import KINDS
from ui.looks import Look, look
from ui.numbers import NONE, duration, number, share

if TYPE_CHECKING:
    from ui.views import RunView

#: Kinds of events that are lines in the charts.
LINES = frozenset({"phase", "change", "stop", "branch"})
PACE_SECONDS = 3.0  # of training over which steps per second are averaged
Tile = dict[str, str]


def header(view: RunView) -> dict[str, Any]:
    """Everything a viewer is told beside the arrays; JSON."""
    info, now = view.info, look(view.newest) if view.newest else None
    return {
        "run": info.id,
        "title": info.title,
        "status": info.status,
        "open": info.status in OPEN,
        "changes": info.changes,
        "step": view.step,
        "drawn_step": int(view.records.keys[-1]) if len(view.records.keys) else None,
        "layers": info.spec.layers,
        "measured_at": round(1000 * (info.heartbeat or info.created)),
        "progress": _progress(view),
        "tiles": tiles(view),
        "line": line(view),
        "tone": "bad" if info.status not in OPEN | {FINISHED, STOPPED} else "plain",
        "events": _events(view),
        "texts": _texts(view, now),
        "alt": _alt(view, now),
    }


def pace(view: RunView) -> float | None:
    """Steps per second of training, lately; None before two times are known."""
    if len(view.pace) < 2:
        return None
    (start, first), (end, last) = view.pace[0], view.pace[-1]
    return (last - first) / (end - start) if end > start else None


#: Labels of the row of figures, left to right.
TILES = ("Status", "Step", "Epoch", "Steps/s", "Loss", "Train acc.", "Val. acc.", "Gradient ratio")


def no_tiles() -> list[Tile]:
    """The row of figures where there is no run."""
    return [{"label": label, "value": NONE, "detail": "", "title": ""} for label in TILES]


def tiles(view: RunView) -> list[Tile]:
    """The row of figures, left to right: label, value, detail under it, title on pointing."""
    spec, end, speed = view.info.spec, view.newest_epoch, pace(view)
    epoch = end.epoch if end else (view.newest.epoch if view.newest else None)
    epochs = NONE if spec.steps else f"of {spec.epochs * len(spec.phases):,}"
    after = f"after epoch {end.epoch}" if end else "at epoch end"
    train = end.train_accuracy if end else None
    validation = end.validation_accuracy if end else None
    said = [
        (view.info.status, _where(view), view.info.title),
        (f"{view.step:,}", f"of {spec.total_steps:,}", "Optimizer steps finished"),
        (NONE if epoch is None else f"{epoch:,}", epochs, "Epochs finished"),
        (number(speed), _time_left(view) or "of training", "Over the last seconds of training"),
        (number(view.newest_loss), "this batch", "Mean over the batch, before its step"),
        (share(train), after, "Over the epoch's batches, each measured before its step"),
        (share(validation), after, "On examples held out of the training"),
        _ratio(view),
    ]
    return [
        {"label": label, "value": value, "detail": "" if detail == NONE else detail, "title": title}
        for label, (value, detail, title) in zip(TILES, said, strict=True)
    ]


def _ratio(view: RunView) -> tuple[str, str, str]:
    record = view.newest
    now = look(record) if record else None
    top = now.top if now else view.info.spec.depth
    value = now.ratio if now else None
    frozen = record is not None and record.scalars[ROW["frozen"], 0] == 1
    title = (
        f"Gradient RMS of layer 1 over that of layer {top}, the last hidden one. "
        f"The same for the back-propagated signal dL/dz: {number(now.signal_ratio if now else None)}. "
        "Near 1: the gradient arrives; far below 1: it vanishes; far above 1: it explodes."
    )
    words = "layer 1 frozen" if frozen and value is None else number(value)
    return words, f"layer 1 / layer {top}", title


def _where(view: RunView) -> str:
    if view.info.status == PAUSED:
        return f"at step {view.step:,}"
    phases = len(view.info.spec.phases)
    return f"phase {view.newest.phase} of {phases}" if view.newest and phases > 1 else NONE


def _progress(view: RunView) -> float:
    return min(1.0, view.step / view.info.spec.total_steps)


def _time_left(view: RunView) -> str:
    speed = pace(view)
    if view.info.status != RUNNING or not speed:
        return ""
    return f"{duration((view.info.spec.total_steps - view.step) / speed)} left"


def line(view: RunView) -> str:
    """One sentence on what is going on, or on an end that was not meant.

    How a run ended well stands above, on the page; here only what it took.
    """
    info = view.info
    if info.status in (FINISHED, STOPPED):
        return _took(view)
    if info.sentence:
        return info.sentence
    if info.status == QUEUED:
        return info.activity or "Queued: training starts when a worker is free."
    if info.status == RUNNING:
        return info.activity or _latest(view) or _going(view)
    if info.status == PAUSED:
        return " ".join(filter(None, (f"Paused at step {view.step:,}.", _latest(view))))
    if info.status == FAILED:
        return f"Failed at step {view.step:,}."
    return f"{info.status.capitalize()} at step {view.step:,}."


def _latest(view: RunView) -> str:
    """What happened last that matters still: a phase, a change, a note."""
    for event in reversed(view.events):
        if event.kind == "change":
            return f"Changed at step {event.step:,}: {event.words}."
        if event.kind in ("phase", "note"):
            return event.words
    return ""


def _going(view: RunView) -> str:
    where = f" on {view.info.device}" if view.info.device else ""
    return f"Training{where}{watched(view)}." if view.newest else f"Starting{where}."


def _took(view: RunView) -> str:
    started, ended = view.info.started, view.info.ended
    where = f" on {view.info.device}" if view.info.device else ""
    if not (started and ended):
        return ""
    return f"It took {duration(ended - started)}{where}{watched(view)}."


def watched(view: RunView) -> str:
    """What the instruments cost this run, measured in it: "; statistics cost 3.1 % of its time"."""
    if not math.isfinite(view.watched):
        return ""
    return f"; statistics cost {share(view.watched)} of its time"


def _events(view: RunView) -> list[dict[str, Any]]:
    """Vertical lines: step, kind, a short word for the chart, all words for pointing.

    Pauses and single steps change nothing in the numbers; they are rows of the history only.
    """
    found: list[dict[str, Any]] = []
    phases = sum(event.kind == "phase" for event in view.events)
    number = 0
    for event in view.events:
        number += event.kind == "phase"
        if event.kind in LINES and not (event.kind == "phase" and phases == 1):
            told = f"phase {number}" if event.kind == "phase" else _short(event)
            found.append(
                {"step": event.step, "kind": event.kind, "short": told, "words": event.words}
            )
    return found


def _short(event: Event) -> str:
    return short(read_json(event.change)) if event.kind == "change" else event.kind


def layer_names(layers: int) -> list[str]:
    """What each layer is called on an axis, from the input: "1", "2", ..., "out"."""
    return [*(str(layer) for layer in range(1, layers)), "out"]


def _texts(view: RunView, now: Look | None) -> dict[str, Any]:
    start = look(view.first) if view.first else None
    notes = now.notes if now else {kind: [] for kind in KINDS}
    return {
        "layer_names": layer_names(view.info.spec.layers),
        "gradient_now_words": now.gradient_words if now else [],
        "gradient_start_words": start.gradient_words if start else [],
        "signal_now_words": now.signal_words if now else [],
        "signal_start_words": start.signal_words if start else [],
        **{f"{kind}_notes": found for kind, found in notes.items()},
        **{f"{kind}_aside": _aside(found) for kind, found in notes.items()},
    }


def _aside(notes: list[str]) -> str:
    """The notes of all layers in one line, the same ones told once."""
    names = layer_names(len(notes))[: len(notes)]
    layers_of: dict[str, list[str]] = {}
    for name, note in zip(names, notes, strict=True):
        layers_of.setdefault(note, []).append(name)
    layers_of.pop("", None)
    told = [
        f"{'every layer' if len(some) == len(notes) else 'layer ' + ', '.join(some)}: {note}"
        for note, some in list(layers_of.items())[:4]
    ]
    rest = len(layers_of) - len(told)
    return "; ".join(told) + (f"; and {rest} more" if rest else "")


def _alt(view: RunView, now: Look | None) -> dict[str, str]:
    """Numbers for the charts' alternative texts."""
    top, end = now.top if now else view.info.spec.depth, view.newest_epoch
    return {
        "step": f"{view.step:,}",
        "bottom": now.gradient_words[0] if now else "not measured yet",
        "top": now.gradient_words[top - 1] if now else "not measured yet",
        "signal_bottom": now.signal_words[0] if now else "not measured yet",
        "signal_top": now.signal_words[top - 1] if now else "not measured yet",
        "top_layer": str(top),
        "ratio": number(now.ratio if now else None),
        "loss": number(view.newest_loss),
        "train": share(end.train_accuracy if end else None),
        "validation": share(end.validation_accuracy if end else None),
        "layers": str(view.info.spec.layers),
    }
