"""What the statistics of the layers tell: gradients, updates, units. Evidence -> words; numpy only."""

from math import isfinite

import numpy as np

from engine.evidence import Evidence, guess_loss
from engine.findings import (
    ADAM_EPSILON,
    ALIKE,
    BAD,
    DEAD,
    EXPLODING,
    FADING,
    FITTED,
    HEALTHY,
    PLAIN,
    SATURATED,
    TOO_LARGE,
    UNMOVED,
    VANISHING,
    WATCH,
    WITH_EPSILON,
    Told,
    bound,
    named,
    percent,
    say,
)
from engine.numerals import number
from engine.records import ROW
from engine.signs import ABSENT, NO_DIFFERENCE

OPTIMIZERS = {
    "sgd": "Plain SGD",
    "momentum": "SGD with momentum",
    "nesterov": "SGD with Nesterov momentum",
    "rmsprop": "RMSprop",
    "adagrad": "Adagrad",
    "adam": "Adam",
    "adamw": "AdamW",
}
#: Activations that are flat on both sides. The others are flat on one by design: half of their
#: (unit, example) pairs lie there in the best of networks.
TWO_SIDED = ("sigmoid", "tanh")


def _most(layers: tuple[int, ...], most: int, depth: int) -> str:
    """Where, and where most: " in layers 2–7; in layer 7"."""
    more = "" if len(layers) == 1 else f"; in {named([most], depth)}"
    return f" in {named(layers, depth)}{more}:"


def ratio(evidence: Evidence) -> tuple[float, dict[str, float], str]:
    """R, its numbers, and how it stands: "0.0047 of layer 7's, ×0.41 per layer (theory ...)".

    R is NaN where fewer than two hidden layers are trained.
    """
    low, top = evidence.ends
    log10 = evidence.value("signal_ratio", 1)
    found = 10.0**log10
    if not isfinite(log10):
        return found, {}, ""
    numbers = {"ratio": found, "factor": 10.0 ** (log10 / (top - low))}
    words = f"{_times(found)} layer {top}'s, ×{number(numbers['factor'])} per layer"
    theory = evidence.theory
    if theory is not None and isfinite(theory.factor):
        numbers["theory_factor"] = theory.factor
        words += f" (theory at step 0: ×{number(theory.factor)})"
    return found, numbers, words


def _times(value: float) -> str:
    return f"{say(value)} of" if value < 1 else f"{say(value)} times"


def vanishing(evidence: Evidence) -> Told | None:
    """The signal dL/dz all but dies on its way to layer 1, or fades."""
    level = int(evidence.levels["signal_ratio"][0])
    if level not in (0, 1):
        return None
    found, numbers, words = ratio(evidence)
    low, _ = evidence.ends
    helped = evidence.spec.optimizer not in PLAIN
    optimizer = OPTIMIZERS[evidence.spec.optimizer]
    severity = BAD if level == 0 and not helped else WATCH
    if found == 0:
        top = evidence.ends[1]
        words, numbers = f"exactly 0, of whatever reaches layer {top}", {"ratio": 0.0}
    verb, limit = ("vanishes", VANISHING) if level == 0 else ("fades", FADING)
    more = "" if level == 0 else f"; below {bound(VANISHING)} it has vanished"
    hope = (
        f" {optimizer} divides each step by the gradient's own size, so this network may train "
        "all the same."
        if helped
        else ""
    )
    return Told(
        severity=severity,
        short=f"gradient {verb}, R = {say(found)}",
        sentence=f"The gradient {verb}: dL/dz in layer {low} is {words}; the limit is "
        f"{bound(limit)}{more}.{hope}",
        numbers=numbers | {"limit": limit},
        layers=(low,),
    )


def exploding(evidence: Evidence) -> Told | None:
    """The signal dL/dz grows on its way to layer 1."""
    if evidence.levels["signal_ratio"][0] != 3:
        return None
    found, numbers, words = ratio(evidence)
    low, top = evidence.ends
    words = words or f"infinitely many times layer {top}'s"
    return Told(
        severity=BAD,
        short=f"gradient explodes, R = {say(found)}",
        sentence=f"The gradient explodes: dL/dz in layer {low} is {words}; the limit is "
        f"{bound(EXPLODING)} times.",
        numbers=numbers | {"limit": EXPLODING},
        layers=(low,),
    )


def unmoved(evidence: Evidence) -> Told | None:
    """Layers whose steps are too small to get anywhere, although the loss is not small."""
    spec, layers = evidence.spec, _unmoved(evidence)
    if not layers:
        return None
    least = min(layers, key=lambda layer: evidence.value("update", layer))
    update = float(10.0 ** evidence.value("update", least))
    where, one = named(layers, spec.depth), named([least], spec.depth)
    numbers = {"update_ratio": update, "limit": UNMOVED}
    how = f"does not change at all, 0 per step (limit {bound(UNMOVED)}, healthy about 10⁻³)"
    verb = "will not move"
    if update > 0:
        numbers |= {"steps": 0.01 / update, "epochs": 0.01 / update / spec.steps_per_epoch}
        verb = "will not move" if numbers["steps"] > spec.steps_per_phase else "hardly moves"
        how = (
            f"changes by {say(update)} of itself per step (limit {bound(UNMOVED)}, healthy about "
            f"10⁻³); at this pace moving it by 1 % takes {say(numbers['steps'])} steps, "
            f"{say(numbers['epochs'])} epochs"
        )
    short = f"{OPTIMIZERS[spec.optimizer]} {verb} {where}"
    return Told(
        severity=BAD if set(layers) & {*evidence.at("update", 0, 1)} else WATCH,
        short=short,
        sentence=f"{short}: {'it' if len(layers) == 1 else f'the slowest, {one},'} {how}.",
        numbers=numbers,
        layers=layers,
    )


def _unmoved(evidence: Evidence) -> tuple[int, ...]:
    """Layers of too small updates: those that never had another, and those that sank far below.

    Where the loss is small the gradient is too, and that is a sign of success.
    """
    mean = evidence.loss.mean
    is_fitted = mean is not None and mean < FITTED * guess_loss(evidence.spec)
    sunk = () if is_fitted else evidence.at("update", 0)
    small = evidence.at("update", 0, 1, 2)
    return tuple(layer for layer in small if layer in sunk or not evidence.woken[layer - 1])


def below_epsilon(evidence: Evidence) -> Told | None:
    """Gradients so small that the constant in Adam's divisor cuts their steps."""
    layers = evidence.at("gradient", 0, 1)
    if evidence.spec.optimizer not in WITH_EPSILON or not layers:
        return None
    least = min(layers, key=lambda layer: evidence.value("gradient", layer))
    size = float(10.0 ** evidence.value("gradient", least))
    cut = size / (size + ADAM_EPSILON)
    optimizer = OPTIMIZERS[evidence.spec.optimizer]
    depth = evidence.spec.depth
    return Told(
        severity=BAD if evidence.at("gradient", 0) else WATCH,
        short=f"{optimizer}'s steps cut to {say(cut)} in {named([least], depth)}",
        sentence=f"{optimizer}'s steps are cut{_most(layers, least, depth)} the gradient's RMS is "
        f"{say(size)}, below ε = {bound(ADAM_EPSILON)}, so a step is g/(g + ε) = {say(cut)} of "
        "what it would be.",
        numbers={"grad_rms": size, "epsilon": ADAM_EPSILON, "cut": cut},
        layers=layers,
    )


def saturated(evidence: Evidence) -> Told | None:
    """Most units of a layer sit where their slope is all but 0, at one end or the other."""
    layers = evidence.at("saturated", 1, 2)
    if evidence.spec.activation not in TWO_SIDED or not layers:
        return None
    most = max(layers, key=lambda layer: evidence.value("saturated", layer))
    share = evidence.value("saturated", most)
    depth = evidence.spec.depth
    numbers = {"saturated_share": share, "limit": SATURATED}
    theory = ""
    if evidence.theory is not None:
        numbers["theory_share"] = expected = float(evidence.theory.saturated_share[most - 1])
        theory = f" (theory at step 0: {percent(expected)})"
    return Told(
        severity=BAD if evidence.at("saturated", 2) else WATCH,
        short=f"{percent(share)} saturated in {named([most], depth)}",
        sentence=f"Units are saturated{_most(layers, most, depth)} {percent(share)} of "
        f"(unit, example){theory} have a slope below 5.9 % of its maximum and let hardly any "
        f"gradient through; the limit is {percent(SATURATED)}.",
        numbers=numbers,
        layers=layers,
    )


def dead(evidence: Evidence) -> Told | None:
    """Units that pass no gradient for any example, where this is not for the examples' likeness.

    Half of a ReLU layer is dead on the whole batch where all examples look alike, because each
    unit then has one sign for all of them; that is told by `collapsed`.
    """
    spread = 1.5 / evidence.spec.width**0.5  # three standard deviations of a share of a half
    alike = evidence.at("alike", 1)
    told = {*evidence.at("saturated", 1, 2)} if evidence.spec.activation in TWO_SIDED else set()
    layers = tuple(
        layer
        for layer in evidence.at("dead", 1, 2)
        if layer not in told
        and not (layer in alike and evidence.value("dead", layer) <= DEAD + spread)
    )
    if not layers:
        return None
    most = max(layers, key=lambda layer: evidence.value("dead", layer))
    share, depth = evidence.value("dead", most), evidence.spec.depth
    numbers = {"dead_share": share, "limit": DEAD}
    differ = ""
    if evidence.levels["alike"][most - 1] == 0:
        numbers["sample_correlation"] = cosine = 1 - 10.0 ** -evidence.value("alike", most)
        differ = f" The examples still differ there (mean cosine {say(cosine)}): no collapse."
    return Told(
        severity=BAD if set(layers) & {*evidence.at("dead", 2)} else WATCH,
        short=f"{percent(share)} dead in {named([most], depth)}",
        sentence=f"Units are dead{_most(layers, most, depth)} {percent(share)} of them pass no "
        f"gradient for any example of the batch; the limit is {percent(DEAD)}.{differ}",
        numbers=numbers,
        layers=layers,
    )


def collapsed(evidence: Evidence) -> Told | None:
    """All examples look alike: their activations point the same way."""
    layers = tuple(layer for layer in evidence.at("alike", 1) if layer <= evidence.spec.depth)
    if not layers:
        return None
    depth = evidence.spec.depth
    most = max(layers, key=lambda layer: (evidence.value("alike", layer), layer))
    apart = 10.0 ** -evidence.value("alike", most)
    less = "less than " if apart <= NO_DIFFERENCE else ""
    numbers = {"difference": apart, "limit": ALIKE}
    units = ""
    off = {layer: evidence.value("dead", layer) for layer in layers}
    if evidence.spec.activation not in TWO_SIDED and max(off.values()) > DEAD / 2:
        numbers["dead_share"] = max(off.values())
        units = (
            f" So the {percent(numbers['dead_share'])} of units that are off for the whole batch "
            "are no dying ones: each has one sign for all examples."
        )
    return Told(
        severity=WATCH,
        short=f"examples look alike in {named(layers, depth)}",
        sentence=f"All examples look alike{_most(layers, most, depth)} the mean cosine between "
        f"two examples' activations is {less}{say(apart)} short of 1; the limit is {ALIKE}.{units}",
        numbers=numbers,
        layers=layers,
    )


def update_too_large(evidence: Evidence) -> Told | None:
    """Steps that throw the weights about."""
    layers = evidence.at("large_update", 1, 2)
    if not layers:
        return None
    most = max(layers, key=lambda layer: evidence.value("large_update", layer))
    update, depth = 10.0 ** evidence.value("large_update", most), evidence.spec.depth
    return Told(
        severity=BAD if evidence.at("large_update", 2) else WATCH,
        short=f"steps of {percent(update)} in {named([most], depth)}",
        sentence=f"Steps are large{_most(layers, most, depth)} one changes the weights by "
        f"{percent(update)} of themselves; the limit is {percent(TOO_LARGE)}, healthy about 0.1 %.",
        numbers={"update_ratio": float(update), "limit": TOO_LARGE},
        layers=layers,
    )


def underflow(evidence: Evidence) -> Told | None:
    """Gradients that are exactly 0 because float32 has no smaller numbers."""
    layers = evidence.at("zeros", 1)
    if not layers:
        return None
    assert evidence.newest is not None
    delta = evidence.newest.scalars[ROW["delta_rms"]]
    depth = evidence.spec.depth
    most = max(layers, key=lambda layer: evidence.value("zeros", layer))
    share = evidence.value("zeros", most)
    above = next((layer for layer in range(most, depth + 2) if delta[layer - 1] > 0), depth + 1)
    return Told(
        severity=BAD,
        short=f"gradient exactly 0 in {named(layers, depth)}",
        sentence=f"The gradient underflows in {named(layers, depth)}: {percent(share)} of "
        f"{named([most], depth)}'s entries are exactly 0, because dL/dz has shrunk to "
        f"{say(float(delta[above - 1]))} in {named([above], depth)} and float32 ends at 1.2·10⁻³⁸.",
        numbers={"zero_share": share, "delta_rms": float(delta[above - 1])},
        layers=layers,
    )


def healthy(evidence: Evidence) -> Told:
    """That nothing is wrong, with the numbers that say so."""
    numbers: dict[str, float] = {}
    parts: list[str] = []
    limits = [f"R may be {bound(FADING)} to {bound(EXPLODING)}"]
    if isfinite(log10 := evidence.value("signal_ratio", 1)):
        numbers["ratio"] = 10.0**log10
        parts.append(f"R = {say(numbers['ratio'])}")
    known = np.flatnonzero(evidence.levels["large_update"] != ABSENT)
    if len(known):
        updates = 10.0 ** evidence.signs["large_update"][known]
        numbers |= {"least_update": float(updates.min()), "most_update": float(updates.max())}
        told = f"{say(numbers['least_update'])} to {say(numbers['most_update'])}"
        parts.append(f"update ratios {told}")
        limits.append(f"an update {bound(UNMOVED)} to {bound(TOO_LARGE)} of the weights")
        if numbers["least_update"] < UNMOVED:
            limits[-1] += ", or less once the loss has fallen"
    short = f"healthy: {', '.join(parts) or 'nothing is out of bounds'}"
    return Told(
        severity=HEALTHY,
        short=short,
        sentence=f"{'H' + short[1:]}. {', '.join(limits)}.",
        numbers=numbers,
    )
