"""The diagnosis of a run that is being read, made anew only where there is news; findings as the browser gets them."""

from collections.abc import Iterable, Sequence
from typing import Any

from engine.diagnosis import FINDINGS, diagnose
from engine.evidence import Course, Theory
from engine.findings import HEALTHY, SEVERITIES, Finding
from engine.records import EpochEnd, Record, Steps
from engine.remedies import REMEDIES
from engine.run_info import RunInfo
from engine.spec import RunSpec

Told = dict[str, Any]


class Diagnosed:
    """A run's course so far, and what there is to say of it.

    spec  as the run was started
    """

    def __init__(self, spec: RunSpec):
        self._course = Course(spec)
        self._news = 0  # records and epochs so far
        self._known: tuple[object, ...] = ()  # what the findings were made of
        self._findings: tuple[Finding, ...] = ()

    def add(
        self,
        steps: Iterable[Steps] = (),
        records: Sequence[Record] = (),
        epochs: Iterable[EpochEnd] = (),
    ) -> None:
        """Take in what was read, in order."""
        self._course.add_steps(steps)
        self._course.add_records(records)
        self._news += len(records)
        for end in epochs:
            self._course.add_epoch(end)
            self._news += 1

    def findings(self, info: RunInfo, theory: Theory | None = None) -> tuple[Finding, ...]:
        """What there is to say, most severe first; looked at anew only where something came.

        theory  of its first step, once it is there
        """
        known = (self._news, info.status, info.sentence, info.changes, theory is not None)
        if known != self._known:
            self._known = known
            told = self._course.evidence(
                info.now, status=info.status, sentence=info.sentence, predicted=theory
            )
            self._findings = tuple(diagnose(told))
        return self._findings


def told(findings: Iterable[Finding]) -> list[Told]:
    """Findings in words, as the browser shows them; JSON."""
    return [
        {
            "name": finding.name,
            "severity": finding.severity,
            "short": finding.short,
            "sentence": finding.sentence,
            "source": f"Threshold: {finding.threshold}. Source: {finding.source}.",
            "remedy": finding.remedy,
            "title": REMEDIES[finding.remedy].title if finding.remedy else "",
            "why": finding.why,
        }
        for finding in findings
    ]


def of_seeds(seeds: Sequence[Sequence[Finding]]) -> list[Told]:
    """Of several seeds, what is found in at least half of those that have been diagnosed.

    seeds  the findings of each

    In the words of the first seed that has it, and with how many have it.
    """
    known = [findings for findings in seeds if findings]
    firsts: dict[str, Finding] = {}
    counts: dict[str, int] = {}
    for findings in known:
        for finding in findings:
            firsts.setdefault(finding.name, finding)
            counts[finding.name] = counts.get(finding.name, 0) + 1
    common = [finding for name, finding in firsts.items() if 2 * counts[name] >= len(known)]
    if any(finding.severity != HEALTHY for finding in common):
        common = [finding for finding in common if finding.name != HEALTHY]
    order = list(FINDINGS)
    common.sort(key=lambda one: (SEVERITIES.index(one.severity), order.index(one.name)))
    rows = told(common)
    for row in rows:
        many = f"in {counts[row['name']]} of {len(known)} seeds"
        row["short"] = (
            f"{FINDINGS[row['name']].title[0].lower()}{FINDINGS[row['name']].title[1:]} {many}"
        )
        row["sentence"] = (
            f"{row['sentence']} ({many.capitalize()}; the numbers are the first one's.)"
        )
    return rows
