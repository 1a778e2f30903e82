"""Which remedy to press for a finding, and why that one: decided from the spec as it stands."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from engine.errors import SpecError
from engine.findings import PLAIN
from engine.remedies import REMEDIES, active
from engine.spec import RunSpec


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A remedy that may help."""

    remedy: str  # a key of REMEDIES
    why: str  # one clause, after "because"
    fits: Callable[[RunSpec], bool] = lambda spec: True


def _has(field: str, *values: str) -> Callable[[RunSpec], bool]:
    return lambda spec: getattr(spec, field) in values


def _large_weights(*activations: str) -> Callable[[RunSpec], bool]:
    """Drawn larger than Xavier draws them by half a decade or more, with one of these activations."""

    def fits(spec: RunSpec) -> bool:
        is_large = spec.init == "normal" and spec.std * spec.width**0.5 > 3.16
        return is_large and spec.activation in activations

    return fits


def _cut(spec: RunSpec) -> bool:
    return spec.optimizer in PLAIN and spec.gradient_rule == "none"


_RELUS = ("relu", "leaky_relu", "gelu", "silu")
_NEAR_1 = ("tanh", "elu", "selu", "identity")  # whose slope at 0 is 1, or near it
_BATCHNORM = Choice(
    remedy="batchnorm",
    why="it keeps each unit's input where the slope is large, at every depth",
    fits=_has("norm", "none", "tensor"),
)
#: Against a signal that dies: the first that fits and is not switched on already.
_RAISE = (
    Choice(
        remedy="kaiming",
        why="weights of variance 2/inputs make up for the half that a ReLU sets to 0",
        fits=_has("activation", "relu", "leaky_relu"),
    ),
    Choice(
        remedy="xavier",
        why="with slopes near 1, weights of variance 1/units keep the signal's size",
        fits=_has("activation", *_NEAR_1),
    ),
    _BATCHNORM,
    Choice(
        remedy="skip_every",
        why="it gives the signal a way down past the layers that shrink it",
        fits=_has("skip", "none"),
    ),
    Choice(
        remedy="gradient_norm",
        why="it scales the signal back to size 1 after each activation",
        fits=_has("gradient_rule", "none"),
    ),
    Choice(
        remedy="better_activation",
        why="an active ReLU's slope is 1, a sigmoid's at most 1/4",
        fits=_has("activation", "sigmoid", "softplus"),
    ),
)
_FEWER_LAYERS = "no remedy is left: a network of fewer layers loses less on the way"
_LOWER_RATE = "no remedy does it: a lower learning rate makes every step smaller"
_HIGHER_RATE = "no remedy is left: a higher learning rate makes every step larger"
#: Against a signal that grows.
_LOWER = (
    Choice(
        remedy="kaiming",
        why="weights of variance 2/inputs keep the signal's size",
        fits=_large_weights(*_RELUS),
    ),
    Choice(
        remedy="xavier",
        why="smaller weights, of variance 1/units, keep the signal's size",
        fits=_large_weights(*_NEAR_1),
    ),
    Choice(
        remedy="batchnorm",
        why="it divides by what the weights multiply, so that their size no longer matters",
        fits=_has("norm", "none", "tensor"),
    ),
)
_CLIPPING = Choice(
    remedy="gradient_clipping",
    why="it bounds the step, though not what makes the gradient grow",
    fits=_cut,
)
#: Against steps that are as small as the gradient; other optimizers' steps are not.
_STEP = (
    Choice(
        remedy="better_optimizer",
        why="it divides each weight's step by its gradient's own size, however small",
    ),
    *_RAISE,
)


def _of_plain(choice: Choice) -> Choice:
    def fits(spec: RunSpec) -> bool:
        return spec.optimizer in PLAIN and choice.fits(spec)

    return replace(choice, fits=fits)


_LARGER_STEPS = tuple(map(_of_plain, _STEP))

#: Finding -> what may help, best first, and what to do where none of it does.
PRESCRIPTIONS: Mapping[str, tuple[tuple[Choice, ...], str]] = {
    "diverged": ((*_LOWER, _CLIPPING), _LOWER_RATE),
    "underflow": (_RAISE, _FEWER_LAYERS),
    "vanishing": (_RAISE, _FEWER_LAYERS),
    "exploding": ((*_LOWER, _CLIPPING), _LOWER_RATE),
    "unmoved": (_LARGER_STEPS, _HIGHER_RATE),
    "stuck": (_LARGER_STEPS, _HIGHER_RATE),  # where nothing else is found; else as the cause
    "update_too_large": ((_CLIPPING,), _LOWER_RATE),
    "saturated": (
        (
            Choice(
                remedy="xavier",
                why="smaller weights keep the units off their flat ends",
                fits=_large_weights("tanh"),
            ),
            _BATCHNORM,
            Choice(
                remedy="layernorm",
                why="it brings each example's inputs back to where the slope is large",
                fits=_has("norm", "none", "tensor", "rms"),
            ),
        ),
        "smaller weights keep the units off their flat ends",
    ),
    "dead": (
        (
            Choice(
                remedy="batchnorm",
                why="it centres each unit's input, so that some examples of every batch pass",
                fits=_has("norm", "none", "tensor"),
            ),
            Choice(
                remedy="gelu",
                why="its slope is not exactly 0 for inputs somewhat below 0",
                fits=_has("activation", "relu"),
            ),
        ),
        "a lower learning rate throws fewer units out of reach",
    ),
    "below_epsilon": (_RAISE, _FEWER_LAYERS),
    "collapsed": (
        (
            Choice(
                remedy="batchnorm",
                why="it divides by the spread over the batch, so that what differs grows again",
                fits=_has("norm", "none", "tensor"),
            ),
            Choice(
                remedy="skip_every",
                why="it adds to each block what its input still told apart",
                fits=_has("skip", "none"),
            ),
        ),
        "fewer layers tell the examples apart for longer",
    ),
    "overfitting": ((), "no remedy for the gradient helps: stop earlier, or use a smaller network"),
    "batch_dependent": (
        (
            Choice(
                remedy="batchnorm",
                why="it evaluates with running averages, whatever the batch",
            ),
            Choice(remedy="layernorm", why="it looks at one example alone, whatever the batch"),
        ),
        "",
    ),
    "nothing_frozen": (
        (Choice(remedy="layerwise", why="it freezes the layers below, as the notebook meant to"),),
        "",
    ),
    "woke_up": ((), ""),
    "healthy": ((), ""),
}


#: Why a loss may be stuck, the likeliest first: what helps against that helps against it.
_CAUSES = ("unmoved", "underflow", "vanishing", "exploding", "update_too_large", "saturated")


@lru_cache(maxsize=1024)  # asked with every record of a live run; a spec built takes 0.1 ms
def prescribed(finding: str, spec: RunSpec, found: frozenset[str] = frozenset()) -> tuple[str, str]:
    """A remedy for a finding that is not switched on in `spec`, and why that one.

    found  names of all that is found

    Where none fits the remedy is "", and the second says what else to do, if anything.
    """
    if finding == "stuck":
        finding = next((cause for cause in _CAUSES if cause in found), finding)
    choices, otherwise = PRESCRIPTIONS[finding]
    on = active(spec)
    for choice in choices:
        if choice.remedy not in on and choice.fits(spec) and _changes(choice.remedy, spec):
            return choice.remedy, choice.why
    return "", otherwise


def _changes(remedy: str, spec: RunSpec) -> bool:
    """Whether the network can have the remedy, and is another with it."""
    try:
        return REMEDIES[remedy].apply(spec) != spec
    except SpecError:
        return False
