"""The fast tier for plain numbers: `1,234.50`, `$3`, `-.5`, `20%` compared as exact rationals of any size."""

import re
from fractions import Fraction
from functools import lru_cache

from caco_recipes.grading.syntax import Num

_PLAIN = re.compile(r"\s*([-+]?)\s*\$?\s*((?:\d{1,3}(?:,\d{3})+|\d+)(?:\.(\d*))?|\.(\d+))\s*\Z", re.A)
MAX_CHARS = 300


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
