"""Is what was published what is measured here? Each published configuration, judged by number.

The numbers are N2's, after 100 epochs on Fashion-MNIST. A run's accuracy moves from epoch to epoch
and from seed to seed, and the published one is a single such moment. So it agrees where it lies
among the accuracies measured over all seeds and the last tenth of the epochs, or no further from
them than a share measured on so many examples is known: two standard errors.
"""

import math
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from engine import runs, store
from engine.contenders import Contender
from engine.errors import EngineError, PresetError
from engine.outcomes import short_share, stamp
from engine.presets import PRESETS, Preset
from engine.records import EpochEnd
from engine.spec import RunSpec

DATA = "fashion_mnist"
#: Fields that may differ from the published run's: another seed is another sample of the same
#: configuration, and where it was computed is no part of it.
FREE = frozenset({"seed", "device", "threads"})
LAST_SHARE = 10  # the last tenth of the epochs counts as the end of a run

_TOGETHER = "The notebook changes {}, so it cannot say which did the work; see {}."
#: Where the published material errs in what is judged here, or what else must be known.
NOTES: dict[str, str] = {
    "baseline": (
        "The published validation loss 1.3816 is really 2.3027 = ln 10: it was divided by the "
        "number of test batches, 20, instead of validation batches, 12."
    ),
    "better_activation": _TOGETHER.format(
        "the learning rate with the activation", "better_activation_lr_1e-2"
    ),
    "batchnorm": _TOGETHER.format("the optimizer with the normalisation", "batchnorm_sgd"),
    "gradient_norm": _TOGETHER.format(
        "the learning rate with the gradient rule", "gradient_norm_lr_1e-2"
    ),
    "layerwise": (
        "The notebook sets require_grad, a misspelling of requires_grad, so nothing is ever "
        "frozen; see layerwise_intended."
    ),
    "layerwise_intended": (
        "The published test accuracy .4202 is of an earlier stage's model, so the validation "
        "accuracy of the last stage is compared; six stages are published, seven are trained here."
    ),
}


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One published configuration, and the number published for it, if any."""

    name: str  # of its preset
    title: str
    spec: RunSpec
    published: float | None
    accuracy: str  # which it is: "test" or "validation"
    note: str  # what to know; "" where nothing

    @property
    def examples(self) -> int:
        """How many examples the accuracy is measured on."""
        if self.accuracy == "test":
            return self.spec.data_set.test_examples
        return self.spec.validation_examples

    @property
    def margin(self) -> float:
        """Two standard errors of the published accuracy on so many examples."""
        p = self.published or 0.0
        return 2 * math.sqrt(p * (1 - p) / self.examples)


@dataclass(frozen=True, kw_only=True)
class Measured:
    """The end of one run of a claim's configuration."""

    run: str
    seed: int
    final: float  # accuracy after the last epoch
    low: float  # over the last tenth of the epochs
    high: float


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One claim, judged by what was measured. Its fields are those of `verdict --json`."""

    name: str
    published: float | None
    measured: list[float]  # after the last epoch, one per seed
    agrees: bool | None  # None where nothing was published or nothing measured
    low: float | None  # over all seeds and the last tenth of their epochs
    high: float | None
    margin: float | None  # how far beyond them the published number may lie
    accuracy: str  # "test" or "validation"
    seeds: list[int]
    words: str  # one line: the judgement with its numbers
    note: str
    runs: list[str]  # one per seed

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def published() -> dict[str, Claim]:
    """All published configurations, then the variants of them that have a number, by preset name."""
    return {
        name: _claim(name, preset)
        for name, preset in PRESETS.items()
        if preset.kind == "published" or (preset.kind == "variant" and _number(preset) is not None)
    }


def _number(preset: Preset) -> float | None:
    return preset.validation_accuracy if preset.test_accuracy is None else preset.test_accuracy


def _claim(name: str, preset: Preset) -> Claim:
    of_validation = preset.test_accuracy is None and preset.validation_accuracy is not None
    return Claim(
        name=name,
        title=preset.title,
        spec=preset.spec(data=DATA),
        published=_number(preset),
        accuracy="validation" if of_validation else "test",
        note=NOTES.get(name, ""),
    )


def chosen(names: Sequence[str] = ()) -> list[Claim]:
    """The claims of these presets, or all. Raises PresetError."""
    claims = published()
    for name in names:
        if name not in claims:
            raise PresetError(f"only is {name}; it must be one of {', '.join(claims)}.")
    return [claims[name] for name in dict.fromkeys(names)] or list(claims.values())


def judge(names: Sequence[str] = ()) -> list[Verdict]:
    """The claims of these presets, or all, by what the library has. Raises PresetError."""
    claims, found = chosen(names), _library()
    return [judge_by(claim, _measured(claim, found)) for claim in claims]


def judge_by(claim: Claim, measured: Sequence[Measured]) -> Verdict:
    """One claim by these runs, one per seed."""
    low = min((one.low for one in measured), default=None)
    high = max((one.high for one in measured), default=None)
    agrees = None
    if claim.published is not None and low is not None and high is not None:
        agrees = low - claim.margin <= claim.published <= high + claim.margin
    return Verdict(
        name=claim.name,
        published=claim.published,
        measured=[one.final for one in measured],
        agrees=agrees,
        low=low,
        high=high,
        margin=None if claim.published is None else claim.margin,
        accuracy=claim.accuracy,
        seeds=[one.seed for one in measured],
        words=_words(claim, low, high, len(measured), agrees),
        note=claim.note,
        runs=[one.run for one in measured],
    )


def _words(
    claim: Claim, low: float | None, high: float | None, seeds: int, agrees: bool | None
) -> str:
    said = "no number published"
    if claim.published is not None:
        of = " (validation)" if claim.accuracy == "validation" else ""
        said = f"published {short_share(claim.published)}{of}"
    if low is None or high is None:
        return f"{said}, not measured here yet"
    band = " to ".join(dict.fromkeys((short_share(low), short_share(high))))
    here = f"here {band} over {seeds} {'seed' if seeds == 1 else 'seeds'}"
    if agrees is None or claim.published is None:
        return f"{said}, {here}"
    if agrees and not low <= claim.published <= high:
        near = f"within {short_share(claim.margin)}, two standard errors on {claim.examples:,}"
        return f"{said}, {here}: agrees, {near} examples"
    return f"{said}, {here}: {'agrees' if agrees else 'outside'}"


def missing(claims: Sequence[Claim], seeds: int) -> list[Contender]:
    """What to train so that each claim is measured from its first so many seeds.

    A run that is there or on its way is not trained again: one spec gives the same bits.
    """
    found = _library()
    return [
        Contender(
            title=claim.title, spec=claim.spec.changed({"seed": first}), preset=claim.name, seeds=n
        )
        for claim in claims
        for first, n in _stretches(_wanted(claim, seeds) - _there(claim, found))
    ]


def on_their_way(claims: Sequence[Claim], seeds: int) -> list[str]:
    """Runs that wait or train already, and would be missing else."""
    found = _library()
    return [
        one.run
        for claim in claims
        for one in found
        if one.key == _key(claim.spec) and one.seed in _wanted(claim, seeds) and one.is_open()
    ]


def _wanted(claim: Claim, seeds: int) -> set[int]:
    return {spec.seed for spec in Contender(title="", spec=claim.spec, seeds=seeds).specs()}


def _there(claim: Claim, found: Sequence["_Found"]) -> set[int]:
    alike = [one for one in found if one.key == _key(claim.spec)]
    return {one.seed for one in alike if one.status == store.FINISHED or one.is_open()}


def _stretches(numbers: Iterable[int]) -> list[tuple[int, int]]:
    """Numbers as stretches without a gap: (first, how many)."""
    made: list[tuple[int, int]] = []
    for number in sorted(numbers):
        if made and sum(made[-1]) == number:
            made[-1] = made[-1][0], made[-1][1] + 1
        else:
            made.append((number, 1))
    return made


@dataclass(frozen=True, kw_only=True)
class _Found:
    """A run on the published data: its configuration, and its last epochs once it has finished."""

    run: str
    key: str
    seed: int
    status: str
    ends: tuple[EpochEnd, ...]

    def is_open(self) -> bool:
        """Whether it waits or trains, with a living worker."""
        try:
            return self.status in store.OPEN and runs.info(self.run).status in store.OPEN
        except EngineError:
            return False  # deleted since


def _key(spec: RunSpec) -> str:
    return spec.model_dump_json(exclude=set(FREE))


def _library() -> list[_Found]:
    """All readable runs on the published data, newest first."""
    found = []
    for file in runs.files():
        with suppress(EngineError):  # what cannot be read is told in the library
            if one := _look(file, stamp(file)):
                found.append(one)
    return found


@lru_cache(maxsize=4096)
def _look(file: Path, changed: tuple[int, ...]) -> _Found | None:
    """One run, if it is on the published data. Read again only when its file has changed."""
    with store.Reader(file) as reader:
        info = reader.run()
        if info.spec.data != DATA or info.changes or info.parent:
            return None  # what was changed while it trained is no published configuration
        ends = reader.epochs() if info.status == store.FINISHED else []
    return _Found(
        run=info.id,
        key=_key(info.spec),
        seed=info.spec.seed,
        status=info.status,
        ends=tuple(ends[-max(1, info.spec.epochs // LAST_SHARE) :]),
    )


def _measured(claim: Claim, found: Iterable[_Found]) -> list[Measured]:
    """One per seed, the newest where a seed was trained twice."""
    key, by_seed = _key(claim.spec), dict[int, Measured]()
    for one in found:
        if one.key != key or not one.ends:
            continue
        accuracies = [getattr(end, f"{claim.accuracy}_accuracy") for end in one.ends]
        made = Measured(
            run=one.run,
            seed=one.seed,
            final=accuracies[-1],
            low=min(accuracies),
            high=max(accuracies),
        )
        by_seed.setdefault(one.seed, made)
    return [by_seed[seed] for seed in sorted(by_seed)]
