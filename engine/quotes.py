"""What somebody has written, as it may stand in a sentence: short, on one line, of signs that can be shown."""

MOST = 40  # characters


def quoted(value: object, most: int = MOST) -> str:
    """The value in at most so many characters. Never fails: it may come from a link, a file or a shell.

    Half a sign, of which JSON may hold one, could not be sent to a page; a sign that turns the writing
    round, or a new line, would let a value speak in the sentence's own voice.
    """
    try:
        text = value if isinstance(value, str) else repr(value)
    except (ValueError, RecursionError):  # a number of 5,000 digits, lists in lists without end
        text = f"a {type(value).__name__} too large to be shown"
    shown = "".join(sign if sign.isprintable() else "�" for sign in text[: most + 1])
    return shown if len(shown) <= most else shown[: most - 3] + "..."
