"""What `show RUN --diagnosis` prints."""

from rich.markup import escape

from engine import evidence, runs, store, theory
from engine.diagnosis import diagnose
from engine.findings import BAD, HEALTHY, WATCH, Finding
from engine.remedies import REMEDIES
from engine.shell import out, print_json, refusing

_COLOURS = {BAD: "red", WATCH: "yellow", HEALTHY: "green"}


def of_run(run: str) -> list[Finding]:
    """What there is to say of a run as it stands, most severe first. Raises EngineError."""
    info = runs.info(run)
    with store.Reader(runs.path(run)) as reader:
        kernel = reader.kernel()
        predicted = theory.predict(info.spec, kernel) if kernel else None
        return diagnose(evidence.read(reader, info, predicted=predicted))


def show(run: str, *, as_json: bool) -> None:
    """Print the findings of a run: as JSON one object each, with all its numbers."""
    with refusing():
        found = of_run(run)
    if as_json:
        for finding in found:
            print_json(vars(finding))
        return
    for finding in found:
        told = f"[{_COLOURS[finding.severity]}]{finding.severity}[/] {escape(finding.sentence)}"
        out.print(told, soft_wrap=True)
        out.print(f"  Threshold: {finding.threshold} ({finding.source}).", soft_wrap=True)
        if finding.remedy:
            title = REMEDIES[finding.remedy].title
            out.print(f"  Switch on {title}: {finding.why}.", soft_wrap=True)
        elif finding.why:
            out.print(f"  {finding.why.capitalize()}.", soft_wrap=True)
    if not found:
        out.print("Nothing is recorded yet, so there is nothing to diagnose.")
