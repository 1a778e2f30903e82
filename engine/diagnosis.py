"""Numbers -> findings in words: what is wrong with a run, by how much, who says so, what to press.

A finding is about gradients and steps, never a verdict on a network: whether a small gradient
matters is decided by the optimizer, so it is said of that ("plain SGD will not move layer 1").
Whether the signal vanishes is read off dL/dz alone. The gradient of the weights does not tell:
with tanh and PyTorch's own initialisation dL/dz shrinks 30 times over 7 layers while the norm of
dL/dW does not, because the activations shrink in step with it the other way.
"""

from collections.abc import Callable
from dataclasses import dataclass

from engine import course_findings as course
from engine import findings as limits
from engine import signal_findings as signal
from engine.evidence import PLATEAU, Evidence
from engine.findings import HEALTHY, SEVERITIES, Finding, Told, bound, percent
from engine.prescriptions import prescribed
from engine.run_info import DIVERGED
from engine.spec import RunSpec

_RATIO = "R = RMS of dL/dz in layer 1 over that in the last hidden layer; "
_SCHOENHOLZ = "Schoenholz et al. 2017, Deep Information Propagation, arXiv:1611.01232"
_CS231N = "CS231n, Neural Networks part 3, cs231n.github.io/neural-networks-3"


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One thing that can be found."""

    title: str  # what it is, in a few words
    threshold: str  # what is compared with what
    source: str  # who set it, or showed it
    find: Callable[[Evidence], Told | None]


#: Everything that can be found; of one severity the earlier is told first.
FINDINGS: dict[str, Kind] = {
    "diverged": Kind(
        title="Diverged",
        threshold="a loss, weight or gradient that is NaN or infinite",
        source="IEEE 754",
        find=course.diverged,
    ),
    "underflow": Kind(
        title="Underflow to exactly 0",
        threshold=f"more than {percent(limits.ZEROS)} exact zeros, where dL/dz has shrunk below "
        f"{bound(limits.TINY)} on its way",
        source="IEEE 754: float32 ends at 1.2·10⁻³⁸, without subnormals",
        find=signal.underflow,
    ),
    "vanishing": Kind(
        title="Gradient vanishes",
        threshold=f"{_RATIO}to be watched below {bound(limits.FADING)}, vanished below "
        f"{bound(limits.VANISHING)}",
        source=f"{_SCHOENHOLZ}: networks train to a depth of about six times the depth scale",
        find=signal.vanishing,
    ),
    "exploding": Kind(
        title="Gradient explodes",
        threshold=f"{_RATIO}exploding above {bound(limits.EXPLODING)}",
        source=f"{_SCHOENHOLZ}: the same bound, on the chaotic side",
        find=signal.exploding,
    ),
    "unmoved": Kind(
        title="Steps too small",
        threshold=f"norm of the step taken over norm of the weights; below {bound(limits.UNMOVED)} "
        f"it is too little, below {bound(limits.ASLEEP)} nothing was learned in 500 steps",
        source=f"{_CS231N}: somewhere around 10⁻³",
        find=signal.unmoved,
    ),
    "stuck": Kind(
        title="Loss stuck at guessing",
        threshold=f"within {percent(limits.AT_GUESSING)} of ln(classes) for {PLATEAU} steps or more, "
        "at an accuracy near that of guessing",
        source="The cross-entropy of equal probabilities; the published baseline's 2.3028",
        find=course.stuck,
    ),
    "update_too_large": Kind(
        title="Steps too large",
        threshold="norm of the step taken over norm of the weights, from step "
        f"{limits.FIRST_STEPS}; above {percent(limits.TOO_LARGE)} it is too much",
        source=f"{_CS231N}: somewhere around 10⁻³",
        find=signal.update_too_large,
    ),
    "saturated": Kind(
        title="Units saturated",
        threshold=f"more than {percent(limits.SATURATED)} of (unit, example) with a slope below "
        "5.9 % of its maximum",
        source="Glorot & Bengio 2010, https://proceedings.mlr.press/v9/glorot10a.html",
        find=signal.saturated,
    ),
    "dead": Kind(
        title="Units dead",
        threshold=f"more than {percent(limits.DEAD)} of a layer's units pass no gradient for any "
        "example of the batch",
        source="Lu et al. 2019, Dying ReLU and Initialization, arXiv:1903.06733",
        find=signal.dead,
    ),
    "below_epsilon": Kind(
        title="Gradient below Adam's ε",
        threshold=f"RMS of dL/dW below ε = {bound(limits.ADAM_EPSILON)}, torch's default",
        source="Kingma & Ba 2015, Adam, arXiv:1412.6980, algorithm 1",
        find=signal.below_epsilon,
    ),
    "collapsed": Kind(
        title="Examples look alike",
        threshold=f"mean cosine between two examples' activations above {limits.ALIKE}",
        source="Poole et al. 2016, Exponential expressivity, arXiv:1606.05340",
        find=signal.collapsed,
    ),
    "overfitting": Kind(
        title="Overfits",
        threshold=f"validation loss more than {percent(limits.RISEN - 1)} above its lowest for "
        f"{limits.RISEN_EPOCHS} epochs, while the train loss falls",
        source="Prechelt 1998, Early Stopping - But When?: generalization loss above 5 %",
        find=course.overfitting,
    ),
    "batch_dependent": Kind(
        title="Evaluation depends on the batch",
        threshold="norm = tensor, which has no evaluation mode",
        source="The published exercise, section 4b",
        find=course.batch_dependent,
    ),
    "nothing_frozen": Kind(
        title="Nothing was frozen",
        threshold="schedule = layerwise_published, and no frozen layer in the record",
        source="The published exercise, section 6",
        find=course.nothing_frozen,
    ),
    "woke_up": Kind(
        title="Woke up",
        threshold=f"{PLATEAU} steps or more near ln(classes), then a loss below "
        f"{percent(limits.LEARNED)} of it",
        source="Saxe, McClelland & Ganguli 2014, arXiv:1312.6120: plateaus and rapid transitions",
        find=course.woke_up,
    ),
    "healthy": Kind(
        title="Healthy",
        threshold=f"R from {bound(limits.FADING)} to {bound(limits.EXPLODING)}, and nothing else found",
        source=f"{_SCHOENHOLZ}; {_CS231N}",
        find=signal.healthy,
    ),
}


def diagnose(evidence: Evidence) -> list[Finding]:
    """What there is to say of a run at this moment, most severe first. Pure.

    Empty where nothing is recorded yet. Where nothing is to be watched, the last is "healthy".
    """
    if evidence.newest is None and evidence.status != DIVERGED:
        return []
    told = {
        name: said
        for name, kind in FINDINGS.items()
        if (evidence.newest is not None or name == DIVERGED)
        and name != HEALTHY
        and (said := kind.find(evidence))
    }
    if all(said.severity == HEALTHY for said in told.values()):
        told[HEALTHY] = signal.healthy(evidence)
    names = frozenset(told)
    found = [_finding(name, said, evidence.spec, names) for name, said in told.items()]
    return sorted(found, key=lambda one: SEVERITIES.index(one.severity))


def _finding(name: str, told: Told, spec: RunSpec, found: frozenset[str]) -> Finding:
    kind = FINDINGS[name]
    remedy, why = prescribed(name, spec, found)
    return Finding(
        name=name,
        severity=told.severity,
        short=told.short,
        sentence=told.sentence,
        layers=told.layers,
        numbers=dict(told.numbers),
        threshold=kind.threshold,
        source=kind.source,
        remedy=remedy,
        why=why,
    )
