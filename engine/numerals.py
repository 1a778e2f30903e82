"""Numbers as people read them: three significant digits, small ones as powers of ten."""

import math

NONE = "–"
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def power(log10: float, digits: int = 3) -> str:
    """The number whose log10 is given, as "8.13·10⁻⁶". Takes the log, since it may underflow.

    digits  significant ones
    """
    exponent = math.floor(log10)
    mantissa = round(10.0 ** (log10 - exponent), digits - 1)
    if mantissa >= 10:
        mantissa, exponent = mantissa / 10, exponent + 1
    return f"{mantissa:.{digits - 1}f}·10{str(exponent).translate(_SUPERSCRIPT)}"


def number(value: float | None, digits: int = 3) -> str:
    """Significant digits: "0.123", "12,300", "8.13·10⁻⁶"; a word where it is none.

    digits  how many; a whole number below a million is told whole
    """
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
    told = float(f"{size:.{digits - 1}e}")
    if told < 1e-3 or size >= 1e6:
        return sign + power(math.log10(size), digits)
    places = max(0, digits - 1 - math.floor(math.log10(told)))
    return f"{sign}{size:,.{places}f}"


def share(value: float | None) -> str:
    """A share from 0 to 1 as "12.9 %"."""
    return NONE if value is None or math.isnan(value) else f"{100 * value:.1f} %"
