"""The commands that compare: `ladder` trains remedy beside remedy, `verdict` judges the published."""

import math
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from engine import contenders, store, verdict
from engine.contenders import FORMS, Contender
from engine.errors import RunError, SpecError
from engine.foreground import Party, train
from engine.outcomes import COLUMNS, Outcome, Spread, overlap, short_share, summarise
from engine.shell import DIVERGED, FAILED, Json, Settings, err, out, print_json, refusing
from engine.spec import parse_settings
from engine.verdict import Verdict

BOTH = "both"
MOST_WORKERS = 64
NONE = "–"
MOST_SENTENCES = 3  # of the same words
#: Headings of the columns where every character counts: a terminal has 80.
HEADINGS = {
    "test_accuracy": "test\nacc.",
    "wake_epoch": "wakes,\nepoch",
    "gradient_ratio_start": "ratio,\nstep 0",
    "gradient_ratio_end": "ratio\nnow",
    "saturated_share": "satu-\nrated",
    "dead_share": "dead",
    "seconds_per_epoch": "s per\nepoch",
}
FORMATS: dict[str, Callable[[float], str]] = {
    "share": lambda value: short_share(value, 3),
    "number": lambda value: f"{value:.2g}",
    "ratio": lambda value: f"{value:.1e}".replace("e-0", "e-") if value < 0.01 else f"{value:.3g}",
    "seconds": lambda value: f"{value:.2g}",
    "count": lambda value: f"{value:g}",
}

Seeds = Annotated[int, typer.Option("--seeds", help="Seeds of each, from 42 on; 1 to 20.")]
Workers = Annotated[
    int | None,
    typer.Option("--workers", help="Runs that train at once: VGLAB_WORKERS, or one per core."),
]
Form = Annotated[str, typer.Option("--form", help="controlled, published or both.")]
Only = Annotated[
    list[str] | None, typer.Option("--only", metavar="NAME", help="Only this configuration.")
]
DoTrain = Annotated[bool, typer.Option("--train", help="Train what is missing first.")]


def train_ladder(
    form: Form = BOTH,
    settings: Settings = None,
    seeds: Seeds = 1,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Train all remedies one at a time and compare them. Ctrl-C stops all; what they recorded stays."""
    with refusing():
        _check_workers(workers)
        asked = contenders.ladder(_forms(form), seeds, **parse_settings(settings or []))
        groups = contenders.start(asked)
        party = Party(groups)
    baselines = _baselines(groups, asked)
    waiting = list(groups)

    def tell_ended() -> None:
        """Print those that are through, in the ladder's order."""
        while waiting and party.has_ended(waiting[0]):
            group = waiting.pop(0)
            print_json(_as_json(party, group, asked[groups.index(group)]))

    if as_json:
        whole = train(party, workers, tell_ended, groups)
        tell_ended()
    else:
        whole = _train_live(party, workers, groups)
        out.print(_table(party))
        for sentence in _against_baselines(party, baselines):
            out.print(sentence)
    _say_what_went_wrong(party)
    raise typer.Exit(_exit_code(party, whole))


def _check_workers(workers: int | None) -> None:
    if workers is not None and not 1 <= workers <= MOST_WORKERS:
        raise RunError(f"workers is {workers}; it must be a whole number from 1 to {MOST_WORKERS}.")


def _forms(form: str) -> tuple[str, ...]:
    if form == BOTH:
        return tuple(FORMS)
    if form not in FORMS:
        raise SpecError({"form": f"form is {form}; it must be one of {', '.join(FORMS)}, {BOTH}."})
    return (form,)


def _baselines(groups: Sequence[str], asked: Sequence[Contender]) -> dict[str, str]:
    """Group -> the group of its form's baseline, for all that are none."""
    firsts = {names[0] for names in FORMS.values()}
    made, baseline = {}, ""
    for group, contender in zip(groups, asked, strict=True):
        if contender.preset in firsts:
            baseline = group
        else:
            made[group] = baseline
    return made


def _train_live(party: Party, workers: int | None, ours: Sequence[str]) -> bool:
    """Train with a table that fills in; nothing of it stays on the screen."""
    if not err.is_terminal:
        return train(party, workers, lambda: None, ours)
    with Live(console=err, auto_refresh=False, transient=True) as live:

        def draw() -> None:
            live.update(_table(party, _progress(party)), refresh=True)

        return train(party, workers, draw, ours)


def _progress(party: Party) -> str:
    """ "7 of 10 runs done, about 12 s left"."""
    known = party.outcomes()
    done = [one for one in known if one.status not in store.OPEN]
    paces = [one.pace for one in known if one.status == store.RUNNING and one.pace]
    steps = sum(one.total_steps - one.step for one in known if one.status in store.OPEN)
    left = f", about {steps / sum(paces):.0f} s left" if paces else ""
    return (
        f"{len(done)} of {len(known)} runs done{left}. Ctrl-C stops them; what they recorded stays."
    )


def _table(party: Party, caption: str | None = None) -> Table:
    """A line per contender: how it stands, and its figures, the median over its seeds."""
    table = Table(box=None, pad_edge=False, collapse_padding=True)
    table.caption, table.caption_justify = caption, "left"
    table.add_column("contender", min_width=8, overflow="fold")
    table.add_column("state", no_wrap=True)
    has_bands = any(len(seeds) > 1 for seeds in party.members.values())
    names = ["test_accuracy", *(["band"] if has_bands else []), *list(HEADINGS)[1:]]
    for name in names:
        table.add_column(HEADINGS.get(name, "seeds'"), justify="right", no_wrap=True)
    table.add_column("layer 1,\nstep", justify="right", no_wrap=True)
    for group in party.members:
        if seeds := party.outcomes(group):
            spreads = summarise(seeds)
            cells = [_band_cell(spreads) if n == "band" else _cell(spreads, n) for n in names]
            table.add_row(seeds[0].title, _state(seeds), *cells, _layer_1(seeds))
    return table


def _cell(spreads: Mapping[str, Spread | None], name: str) -> str:
    spread = spreads[name]
    return NONE if spread is None else FORMATS[COLUMNS[name].form](spread.median)


def _band_cell(spreads: Mapping[str, Spread | None]) -> str:
    spread = spreads["test_accuracy"]
    if spread is None:
        return NONE
    return f"{short_share(spread.low, 3)}–{short_share(spread.high, 3)}"


def _layer_1(seeds: Sequence[Outcome]) -> str:
    step = _median([one.layer_wake_steps[0] for one in seeds])
    return NONE if step is None else f"{step:g}"


def _state(seeds: Sequence[Outcome]) -> str:
    """ "45 %", "diverged", "2 of 3"."""
    if len(seeds) > 1:
        return f"{sum(one.status not in store.OPEN for one in seeds)} of {len(seeds)}"
    (one,) = seeds
    if one.status == store.RUNNING:
        return f"{100 * one.step // one.total_steps} %"
    return one.status


def _median(values: Sequence[int | None]) -> float | None:
    """As the dashboard's table has it: what never happened came last."""
    if not values:
        return None
    middle = statistics.median(math.inf if value is None else value for value in values)
    return middle if math.isfinite(middle) else None


def _as_json(party: Party, group: str, contender: Contender) -> dict[str, Any]:
    seeds = party.outcomes(group)
    spreads = summarise(seeds)
    return {
        "contender": group,
        "title": contender.title,
        "preset": contender.preset,
        "seeds": contender.seeds,
        "runs": [one.run for one in seeds],
        **{name: asdict(spread) if spread else None for name, spread in spreads.items()},
        "layer_wake_steps": [
            _median(steps) for steps in zip(*(one.layer_wake_steps for one in seeds), strict=True)
        ],
        "each": [asdict(one) for one in seeds],
    }


def _against_baselines(party: Party, baselines: Mapping[str, str]) -> Iterator[str]:
    """Whether each contender's band of accuracies overlaps its baseline's."""
    for group, baseline in baselines.items():
        (ours, name), (theirs, base) = (_band(party, one) for one in (group, baseline))
        if ours and theirs and min(ours.count, theirs.count) > 1:
            yield overlap(name, ours, base, theirs)


def _band(party: Party, group: str) -> tuple[Spread | None, str]:
    seeds = party.outcomes(group)
    return summarise(seeds)["test_accuracy"], seeds[0].title if seeds else ""


def _say_what_went_wrong(party: Party) -> None:
    """One sentence on stderr for each run that did not finish, and one for many of the same."""
    alike: dict[str, list[str]] = {}
    for one in party.outcomes():
        if one.status != store.FINISHED:
            said = one.sentence or f"{one.status.capitalize()}."
            alike.setdefault(said, []).append(f"{one.title}, seed {one.seed}")
    for sentence, those in alike.items():
        for who in those if len(those) <= MOST_SENTENCES else [f"{len(those)} runs"]:
            typer.echo(f"{who}: {sentence}", err=True)
    for sentence in party.missing:
        typer.echo(sentence, err=True)


def _exit_code(party: Party, whole: bool) -> int:
    """That of the worst run."""
    statuses = {one.status for one in party.outcomes()} - {store.FINISHED}
    if not whole or party.missing or statuses - {store.DIVERGED}:
        return FAILED
    return DIVERGED if statuses else 0


def give_verdict(
    do_train: DoTrain = False,
    seeds: Seeds = 1,
    only: Only = None,
    workers: Workers = None,
    as_json: Json = False,
) -> None:
    """Judge what is published by the library's runs. What is there is not trained again."""
    code = 0
    with refusing():
        claims = verdict.chosen(only or [])
        _check_workers(workers)
        party, ours = _missing(claims, seeds) if do_train else (Party([]), [])
    if party.members:
        whole = (
            train(party, workers, lambda: None, ours)
            if as_json
            else _train_live(party, workers, ours)
        )
        _say_what_went_wrong(party)
        code = _exit_code(party, whole)
    judged = verdict.judge([claim.name for claim in claims])
    if as_json:
        for one in judged:
            print_json(one.as_json())
    else:
        _print_verdicts(judged)
    raise typer.Exit(code)


def _missing(claims: Sequence[verdict.Claim], seeds: int) -> tuple[Party, list[str]]:
    """What has to be waited for, and which of it is started here and now."""
    elsewhere = verdict.on_their_way(claims, seeds)
    ours = contenders.start(verdict.missing(claims, seeds))
    return Party([*ours, *elsewhere]), ours


def _print_verdicts(judged: Sequence[Verdict]) -> None:
    table = Table(box=None)
    table.add_column("configuration", no_wrap=True)
    table.add_column("verdict")
    for one in judged:
        table.add_row(one.name, one.words)
        if one.note:
            table.add_row("", f"[dim]{one.note}[/dim]")
    out.print(table)
    counts = {
        word: sum(one.agrees is agrees for one in judged)
        for word, agrees in (("agree", True), ("outside", False), ("not judged", None))
    }
    out.print(", ".join(f"{count} {word}" for word, count in counts.items()))
