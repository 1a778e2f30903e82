"""What can be looked at, by its name, and what opens it.

20261123-140509-3fa2          a run
20261123-140509-3fa2-c01      the seeds of one configuration
difference:ALIGN:A:B          the second of two of these over the first
table:A:B:C   table:SET       one row for each, or for each contender of a set
"""

from collections.abc import Callable, Sequence
from functools import partial

from engine.contenders import group_of
from engine.errors import EngineError, RunError
from ui.difference import ALIGNMENTS, DifferenceView
from ui.groups import GroupView
from ui.outcome_table import OutcomeTable
from ui.views import ContenderView, Library, View

Opener = Callable[[], View]
MOST_ROWS = 40  # of a table that names them one by one


def opener(subject: str, library: Library) -> Opener:
    """What opens the view of a subject. Raises EngineError where it names nothing; opens nothing."""
    kind, colon, rest = subject.partition(":")
    if not colon:
        return contender(subject, library)
    if kind not in KINDS:
        raise RunError(f"{_short(subject)} names nothing to look at.")
    return KINDS[kind](subject, rest.split(":"), library)


def contender(subject: str, library: Library) -> Callable[[], ContenderView]:
    """What opens a run or the seeds of one configuration."""
    members = library.members(subject)
    if subject in members:
        return partial(library.run, subject, kept=())
    groups = list(dict.fromkeys(map(group_of, members)))
    if groups != [subject]:
        raise RunError(
            f"{subject} is a set of {len(groups)} contenders; the first of them is {groups[0]}."
        )
    return partial(GroupView, subject, library)


def _difference(subject: str, parts: Sequence[str], library: Library) -> Opener:
    if len(parts) != 3 or parts[0] not in ALIGNMENTS:
        raise RunError(
            f"{_short(subject)} names no difference: it must be difference:ALIGN:A:B, with ALIGN "
            f"one of {', '.join(ALIGNMENTS)}."
        )
    first, second = (contender(part, library) for part in parts[1:])

    def opened() -> View:
        a = first()
        try:
            return DifferenceView(subject, parts[0], a, second())
        except BaseException:
            a.close()
            raise

    return opened


def _table(subject: str, parts: Sequence[str], library: Library) -> Opener:
    if not any(parts):
        raise RunError(f"{_short(subject)} names no table: it must be table:A:B or table:SET.")
    if len(parts) > MOST_ROWS:
        raise RunError(f"A table of {len(parts)} rows was asked for; it has at most {MOST_ROWS}.")
    _any_of(parts, library)
    return partial(OutcomeTable, subject, parts, library)


def _any_of(names: Sequence[str], library: Library) -> None:
    """Raise the first one's RunError where none of them is there; some may be missing."""
    errors = []
    for name in names:
        try:
            library.members(name)
            return
        except EngineError as error:
            errors.append(error)
    raise errors[0]


#: What stands before the first colon -> what opens it.
KINDS: dict[str, Callable[[str, Sequence[str], Library], Opener]] = {
    "difference": _difference,
    "table": _table,
}


def _short(subject: str) -> str:
    return repr(subject if len(subject) <= 60 else subject[:57] + "...")
