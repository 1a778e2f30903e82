"""What somebody has written, as it may stand in Markdown: shown sign by sign, never as a link, a formula, a list.

Streamlit shows no HTML in Markdown. But a run's name, a link's value or a sentence that quotes one would
still be set in bold, fetch a picture or be a link; that is stopped here, where it is put into Markdown.
"""

import re
from collections.abc import Iterable

_SIGNS = re.compile(r"[\\`*~\[\]<>$|&{}]")
_UNDERSCORE = re.compile(r"(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")  # batch_size may stand as it is
_BEGINNING = re.compile(r"^(?:\d+(?=[.)](?:\s|$))|(?=[#+\-=]))")  # of a list, a heading
_ADDRESS = re.compile(r"(?i)\b(https?|ftp|mailto|www)([:.])")
_JOINER = "\u2060"  # takes no room; without it an address alone becomes a link


def literal(text: object) -> str:
    """The text as Markdown that shows it, on one line."""
    one_line = " ".join(str(text).split())
    escaped = _UNDERSCORE.sub(r"\\_", _SIGNS.sub(r"\\\g<0>", one_line))
    return _ADDRESS.sub(rf"\1{_JOINER}\2", _BEGINNING.sub(r"\g<0>\\", escaped))


def listed(sentences: Iterable[str]) -> str:
    """Sentences as a list, each sign by sign."""
    return "\n".join(f"- {literal(sentence)}" for sentence in sentences)


def fault(sentence: object) -> str:
    """One sentence on what cannot be, in red, sign by sign."""
    return f":red[:material/error: {literal(sentence)}]"
