"""What a finding is: one sentence about a run, with its numbers, its threshold and its source."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from engine.numerals import number, power

BAD, WATCH, HEALTHY = "bad", "watch", "healthy"
SEVERITIES = (BAD, WATCH, HEALTHY)  # most severe first

# -- thresholds --------------------------------------------------------------------------------------

LEAST_ACTIVE = (
    6.0  # units that carry gradient, below which seeds differ by decades and theory fails
)

#: R: RMS of dL/dz in layer 1 over that in the last hidden layer. Healthy is e^-3 to e^3: networks
#: train to a depth of about six times the scale on which the squared gradient e-folds, e^6.
FADING, EXPLODING = 0.05, 20.0
VANISHING = 1e-3
#: Realised update over weight, healthy about 1e-3. Below ASLEEP no SGD run of a check of 13 networks
#: over 500 steps left the loss of guessing (12 runs); with the first step's from UNMOVED up to
#: TOO_LARGE all learned (8 runs); above, one of six did.
ASLEEP, UNMOVED, TOO_LARGE = 6e-5, 1e-4, 2e-2
SUNK = 1e-5  # below it a layer that had moved before counts as unmoved again
REPLACING = 0.2  # of its weights a layer changes by in one step: five steps replace them
FIRST_STEPS = 10  # of which Adam's are near learning rate / RMS(weight), which is no alarm
ADAM_EPSILON = 1e-8  # torch's default
LOST_TO_EPSILON = 1e-10  # where a step is 1 % of what it would be
SATURATED, NEARLY_ALL_SATURATED = 0.5, 0.9
DEAD, ALL_DEAD = 0.5, 0.98
ALIKE = 0.99  # mean cosine between two examples' activations
ZEROS = 0.5  # share of exact zeros among a layer's gradient entries
TINY = 1e-30  # RMS of dL/dz below which float32, which ends at 1.2e-38, is running out
AT_GUESSING, OFF_GUESSING = 0.02, 0.03  # |loss / ln(classes) - 1| within which it stays, and leaves
LEARNED = 0.9  # of ln(classes): below it a network has left the plateau for good
FITTED = 0.5  # of ln(classes): below it a small gradient is a sign of success
RISEN, FALLEN_BACK = 1.05, 1.025  # of the best validation loss
RISEN_EPOCHS = 3  # in a row

PLAIN = ("sgd", "momentum", "nesterov")  # their steps are as small as the gradient
WITH_EPSILON = ("adam", "adamw", "rmsprop")  # divide by RMS + 1e-8


@dataclass(frozen=True, kw_only=True)
class Told:
    """What is found in one run: the words and the numbers of a finding."""

    severity: str  # one of SEVERITIES
    short: str  # a few words with one number, for a headline
    sentence: str  # with its numbers and the threshold
    numbers: Mapping[str, float] = field(default_factory=dict)  # each is in the sentence
    layers: tuple[int, ...] = ()  # those concerned, from 1 at the input; empty: the whole run


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing to know of a run."""

    name: str  # a key of engine.diagnosis.FINDINGS
    severity: str
    short: str
    sentence: str
    layers: tuple[int, ...]
    numbers: Mapping[str, float]
    threshold: str  # what is compared with what, in words
    source: str  # who set it
    remedy: str  # a key of engine.remedies.REMEDIES to switch on; "" where none helps
    why: str  # that one, in one clause; without a remedy what else to do; "" where nothing is to do


def say(value: float) -> str:
    """A number in a sentence: two digits, because more would change from step to step."""
    return number(float(f"{value:.1e}"), 2)


def bound(value: float) -> str:
    """A threshold in a sentence, as it is written: "10⁻³", "6·10⁻⁵", "0.05", "20"."""
    if value >= 0.01:
        return f"{value:g}"
    mantissa, _, exponent = f"{value:e}".partition("e")
    ten = power(int(exponent)).partition("·")[2]
    return ten if float(mantissa) == 1 else f"{float(mantissa):g}·{ten}"


def percent(value: float) -> str:
    """A share in a sentence: "58 %"; with two digits below a tenth."""
    return f"{say(100 * value) if value < 0.1 else f'{100 * value:.0f}'} %"


def named(layers: Iterable[int], depth: int) -> str:
    """Layers in a sentence: "layers 1–6", "layer 3 and the output layer"."""
    numbers = sorted(layers)
    hidden = [layer for layer in numbers if layer <= depth]
    told = []
    if hidden:
        told.append(f"layer{'s' if len(hidden) > 1 else ''} {', '.join(_ranges(hidden))}")
    if len(hidden) < len(numbers):
        told.append("the output layer")
    return " and ".join(told)


def _ranges(numbers: list[int]) -> list[str]:
    """As "1–3" and "5"; of two neighbours each by itself."""
    runs: list[list[int]] = []
    for one in numbers:
        if runs and one == runs[-1][-1] + 1:
            runs[-1].append(one)
        else:
            runs.append([one])
    told: list[str] = []
    for run in runs:
        told += [f"{run[0]}–{run[-1]}"] if len(run) > 2 else [str(one) for one in run]
    return told
