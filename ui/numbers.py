"""Numbers as people read them: three significant digits, small ones as powers of ten."""

import math

NONE = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(log10: float) -> str:
    """The number whose log10 is given, as "8.13·10⁻⁶". Takes the log, since it may underflow."""
    exponent = math.floor(log10)
    mantissa = round(10.0 ** (log10 - exponent), 2)
    if mantissa >= 10:
        mantissa, exponent = mantissa / 10, exponent + 1
    return f"{mantissa:.2f}·10{str(exponent).translate(_SUPERSCRIPT)}"


def number(value: float | None) -> str:
    """Three significant digits: "0.123", "12,300", "8.13·10⁻⁶"; a word where it is none."""
    if value is None:
        return NONE
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "infinite"
    if value == 0:
        return "0"
    size = abs(value)
    sign = "−" if value < 0 else ""
    # By what would be shown: the last bit of a number at the border must not choose its form.
    if float(f"{size:.2e}") < 1e-3 or size >= 1e6:
        return sign + power(math.log10(size))
    digits = max(0, 2 - math.floor(math.log10(size)))
    return f"{sign}{size:,.{digits}f}"


def share(value: float | None) -> str:
    """A share from 0 to 1 as "12.9 %"."""
    return NONE if value is None or math.isnan(value) else f"{100 * value:.1f} %"


def duration(seconds: float) -> str:
    """ "4 s", "3 min 20 s", "2 h 5 min"."""
    whole = max(0, math.ceil(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if minutes < 10 else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"
