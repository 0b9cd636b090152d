"""Number literals as exact rationals of any size: `plain_number` for the fast tier, `number` for the parser."""

import re
from fractions import Fraction
from functools import lru_cache

from caco_recipes.grading.syntax import Num, Unreadable

_PLAIN = re.compile(r"\s*([-+]?)\s*\$?\s*((?:[1-9]\d{0,2}(?:,\d{3})+|\d+)(?:\.(\d*))?|\.(\d+))\s*\Z", re.A)
MAX_CHARS = 300
MAX_DIGITS = 20_000


@lru_cache(maxsize=65536)
def plain_number(text: str) -> Num | None:
    """The number that `text` is, or None if it is anything more than one plain decimal."""
    if len(text) > MAX_CHARS:
        return None
    match = _PLAIN.match(text)
    if match is None:
        return None
    sign, body, after_whole, after_nothing = match.groups()
    places = len(after_whole or after_nothing or "")
    digits = body.replace(",", "").replace(".", "")
    value = int(digits)
    if sign == "-":
        value = -value
    if not places:
        return Num(Fraction(value))
    return Num(Fraction(value, 10**places), len(digits.lstrip("0")), places)


def number(text: str) -> Num:
    """A literal as written (`1,234.50`, `.5`, `3.1e-4`) to an exact `Num`."""
    plain = text.replace(",", "")
    mantissa, _, exponent = plain.lower().partition("e")
    if len(mantissa) > MAX_DIGITS or (exponent and abs(int(exponent)) > 5000):
        raise Unreadable("number too large")
    whole, point, fraction = mantissa.partition(".")
    digits = len((whole + fraction).lstrip("0")) if (point and fraction) or exponent else 0
    value = Fraction(int((whole + fraction) or "0"), 10 ** len(fraction))
    places = len(fraction)
    if exponent:
        value *= Fraction(10) ** int(exponent)
        places = max(0, places - int(exponent))
    return Num(value, digits, places)
