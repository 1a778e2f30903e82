"""What the loss, the epochs, the settings and the end of a run tell. Evidence -> words; numpy only."""

from math import log

import numpy as np

from engine.evidence import Evidence, guess_loss
from engine.findings import (
    AT_GUESSING,
    BAD,
    HEALTHY,
    LEARNED,
    RISEN,
    UNMOVED,
    WATCH,
    Told,
    named,
    percent,
    say,
)
from engine.numerals import number
from engine.records import ROW
from engine.run_info import DIVERGED


def diverged(evidence: Evidence) -> Told | None:
    """The numbers ran out: a loss, a weight or a gradient is NaN or infinite."""
    newest, depth = evidence.newest, evidence.spec.depth
    bad = np.zeros(0) if newest is None else newest.scalars[ROW["grad_nonfinite_share"]]
    layers = tuple(int(layer) + 1 for layer in np.flatnonzero(bad > 0))
    if evidence.status == DIVERGED:
        told = evidence.sentence or "The run diverged."
        return Told(severity=BAD, short="diverged", sentence=told, layers=layers)
    if not layers:
        return None
    top = layers[-1]
    share = float(bad[top - 1])
    return Told(
        severity=BAD,
        short=f"gradient not finite in {named([top], depth)}",
        sentence=f"The gradient is NaN or infinite in {named(layers, depth)}: {percent(share)} of "
        f"the entries of {named([top], depth)}.",
        numbers={"grad_nonfinite_share": share},
        layers=layers,
    )


def stuck(evidence: Evidence) -> Told | None:
    """The loss is that of guessing, and stays there."""
    loss = evidence.loss
    if loss.stuck_since is None or loss.mean is None:
        return None
    classes, steps = len(evidence.spec.data_set.classes), loss.end - loss.stuck_since
    return Told(
        severity=BAD,
        short=f"loss stuck at ln {classes}",
        sentence=f"The loss stays at that of guessing: {loss.mean:.4f}, and ln {classes} is "
        f"{log(classes):.4f}; for {steps:,} steps it has been within {percent(AT_GUESSING)} of it.",
        numbers={
            "loss": loss.mean,
            "guess_loss": log(classes),
            "steps": steps,
            "limit": AT_GUESSING,
        },
    )


def woke_up(evidence: Evidence) -> Told | None:
    """A plateau that ended: the network learned nothing for long, and then did."""
    loss, guess = evidence.loss, guess_loss(evidence.spec)
    if loss.plateau is None or loss.mean is None or loss.mean >= LEARNED * guess:
        return None
    start, end = loss.plateau
    numbers = {"loss": loss.mean, "guess_loss": guess, "start": start, "end": end}
    wakes = [(int(step), layer) for layer, step in enumerate(evidence.wake_steps, 1) if step >= 0]
    last = ""
    if wakes and (latest := max(wakes))[0] > start:
        numbers |= {"wake_step": latest[0], "limit": UNMOVED}
        last = (
            f" The last layer to wake was {named([latest[1]], evidence.spec.depth)}: its first "
            f"update above {say(UNMOVED)} of its weights came at step {latest[0]:,}."
        )
    return Told(
        severity=HEALTHY,
        short=f"woke up after {end:,} steps",
        sentence=f"A plateau, then it learned: the loss stayed near {guess:.4f}, that of guessing, "
        f"from step {start:,} to {end:,}, and is {number(loss.mean)} now.{last}",
        numbers=numbers,
    )


def overfitting(evidence: Evidence) -> Told | None:
    """What is learned of the training examples no longer holds for others."""
    best, last = evidence.epochs.best, evidence.epochs.last
    if not evidence.epochs.is_rising or best is None or last is None:
        return None
    rise = last.validation_loss / best.validation_loss - 1
    return Told(
        severity=WATCH,
        short=f"overfits since epoch {best.epoch}",
        sentence=f"It overfits: since epoch {best.epoch} the validation loss has risen by "
        f"{percent(rise)} to {number(last.validation_loss)}, while the train loss fell from "
        f"{number(best.train_loss)} to {number(last.train_loss)}; the limit is "
        f"{percent(RISEN - 1)}.",
        numbers={
            "epoch": best.epoch,
            "rise": rise,
            "validation_loss": last.validation_loss,
            "train_loss_then": best.train_loss,
            "train_loss": last.train_loss,
            "limit": RISEN - 1,
        },
    )


def batch_dependent(evidence: Evidence) -> Told | None:
    """The published normalisation knows no evaluation mode."""
    spec = evidence.spec
    if spec.norm != "tensor":
        return None
    return Told(
        severity=WATCH,
        short="evaluation depends on the batch",
        sentence="Evaluation depends on the batch: whole-tensor normalisation keeps no running "
        f"average, so each answer is that of a batch of {spec.batch_size:,} and changes with the "
        "other examples in it.",
        numbers={"batch_size": spec.batch_size},
    )


def nothing_frozen(evidence: Evidence) -> Told | None:
    """The published notebook's spelling mistake."""
    spec, newest = evidence.spec, evidence.newest
    if spec.schedule != "layerwise_published" or newest is None:
        return None
    frozen = int(np.nansum(newest.scalars[ROW["frozen"]]))
    if frozen:
        return None
    phase = spec.phases[min(newest.phase, len(spec.phases)) - 1]
    return Told(
        severity=WATCH,
        short="nothing was frozen",
        sentence=f"Nothing was frozen: in phase {newest.phase} of {len(spec.phases)} all "
        f"{phase.layers} hidden layers are trained and 0 are frozen, because the notebook sets "
        "require_grad, which PyTorch does not know.",
        numbers={
            "phase": newest.phase,
            "phases": len(spec.phases),
            "trained": phase.layers,
            "frozen": frozen,
        },
    )
