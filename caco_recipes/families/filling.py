"""A problem as a template: its text cut at the quantities that are the input's numbers, and filled with others.

Each number must stand in the problem in exactly one place, and no two inputs may share a number: anything else would be
a guess about which is which. It is written again as it was: `25%` for 0.25, `twenty` in words, `3rd`, `20,400`, `$19.50`.
Words like `half` or `twice` are no places; an input that only they tell stays as it is.
"""

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from caco_recipes.families.quantities import ONES, TENS, Quantity, quantities
from caco_recipes.families.values import Path, exact, leaves

FILLED = ("digits", "words", "fraction", "latex", "ordinal")
# What a new number would contradict: answer options, figures drawn from the old one.
BOUND = re.compile(
    r"\[asy\]|\boptions?\s*:|\bchoices\s*:|\(A\)[\s\S]*\(B\)|\b[aA]\s*\)[\s\S]*\b[bB]\s*\)", re.IGNORECASE
)
PAIRED = re.compile(r"prob|frac|ratio|share|odds|slope")
ARTICLE = re.compile(r"\b([Aa])n?( \$?)\Z")
SUFFIXES = {1: "st", 2: "nd", 3: "rd"}


@dataclass(frozen=True)
class Place:
    """A number of the input and the quantity that tells it: the quantity is the number times `scale`."""

    path: Path
    quantity: Quantity
    scale: Fraction


@dataclass(frozen=True)
class Template:
    """A problem with its places.

    Attributes:
        problem: the original text.
        places: where numbers of the input stand, in the text's order.
        fixed: keys of the input of which a number has no place: they must not change.
    """

    problem: str
    places: tuple[Place, ...]
    fixed: frozenset[str]

    @property
    def keys(self) -> list[str]:
        """The keys that may change, in the text's order."""
        return list(dict.fromkeys(place.path[0] for place in self.places if place.path[0] not in self.fixed))

    def fill(self, value: dict[str, Any]) -> str | None:
        """The problem for another input of the same shape; None when a number can't be written as the old one was."""
        numbers = dict(leaves(value))
        text, end = [], 0
        for place in self.places:
            leaf = numbers.get(place.path)
            number = None if isinstance(leaf, bool) else exact(leaf)
            if number is None:
                return None
            written = _written(number * place.scale, place.quantity, leaf, place.scale)
            if written is None:
                return None
            text += [_article(self.problem[end : place.quantity.start], written), written]
            end = place.quantity.end
        return "".join([*text, self.problem[end:]])


def template_of(problem: str, value: dict[str, Any], every: bool = False) -> Template | None:
    """The problem as a template, or None when no number of the input has a place of its own.

    Args:
        problem, value: of the original row; `value` is the decoded tagged input.
        every: None unless every number has one (and there is a number).
    """
    if BOUND.search(problem):
        return None
    found = quantities(problem)
    numbers = [(path, exact(leaf)) for path, leaf in leaves(value) if not isinstance(leaf, bool | str)]
    numbers = [(path, number) for path, number in numbers if number is not None]
    places, fixed = [], set()
    for path, number in numbers:
        place = _place(path, number, found)
        if place is None or sum(other == number for _, other in numbers) > 1 or _tied(path, value, place):
            fixed.add(path[0])
        else:
            places.append(place)
    shared = [place.quantity for place in places]
    clash = {place.path[0] for place in places if shared.count(place.quantity) > 1}
    fixed |= clash
    places = [place for place in places if place.path[0] not in fixed]
    if not places or (every and (fixed or len(places) < len(numbers))):
        return None
    return Template(problem, tuple(sorted(places, key=lambda place: place.quantity.start)), frozenset(fixed))


def _place(path: Path, number: Fraction, found: list[Quantity]) -> Place | None:
    """The one quantity that says a number; None if there is none, or several."""
    spots = [quantity for quantity in found if quantity.plain == number]
    percent = [q for q in found if q.unit.startswith("%") or q.unit.startswith("percent")]
    shares = [quantity for quantity in percent if quantity.plain == number * 100]
    if len(spots) + len(shares) != 1:
        return None
    quantity = (spots or shares)[0]
    if quantity.kind not in FILLED or _ambiguous(quantity, number, found):
        return None
    return Place(path, quantity, Fraction(1) if spots else Fraction(100))


def _tied(path: Path, value: dict[str, Any], place: Place) -> bool:
    """Whether a number can't move although it has a place: a lone 1 of something, half of a pair that is a ratio."""
    quantity = place.quantity
    one = quantity.plain == 1 and bool(quantity.unit) and not quantity.unit.startswith("%")
    pair = "$tuple" in path and len(value[path[0]].get("$tuple", ())) == 2 and bool(PAIRED.search(path[0].lower()))
    return one or pair


def _article(before: str, written: str) -> str:
    """`a 12` and `an 80`: the article in front follows the number."""
    vowel = re.match(r"8|1[18](?!\d)|eight|eleven|eighteen", written, re.IGNORECASE) is not None
    return ARTICLE.sub(lambda found: found[1] + ("n" if vowel else "") + found[2], before)


def _ambiguous(quantity: Quantity, number: Fraction, found: list[Quantity]) -> bool:
    """Whether another quantity says the number in words of its own (`a dozen` beside 12)."""
    return any(other is not quantity and other.kind == "special" and other.plain == number for other in found)


def _written(number: Fraction, quantity: Quantity, leaf: Any, scale: Fraction) -> str | None:
    if quantity.kind == "words":
        return _in_words(number, quantity.text)
    if quantity.kind == "ordinal":
        return _ordinal(number, quantity)
    if quantity.kind in ("fraction", "latex"):
        return _as_fraction(number, quantity)
    text = _decimal(number)
    if text is None:
        return None
    old = quantity.text
    whole, dot, part = text.partition(".")
    if dot or "." in old:
        places = len(old.partition(".")[2])
        part = part.ljust(places, "0")
        if not dot and not isinstance(leaf, float) and scale == 1 and "." not in old:
            part = ""
    grouped = re.search(r",|\{,\}|\\!", old)
    if grouped and len(whole.lstrip("-")) > 3:
        whole = f"{int(whole):,}".replace(",", "{,}" if "{,}" in old else ",\\!" if "\\!" in old else ",")
    return whole + ("." + part if part else "")


def _decimal(number: Fraction) -> str | None:
    """A number with few decimals as it is written; None for one that has no short decimal."""
    for places in range(9):
        scaled = number * 10**places
        if scaled.denominator == 1:
            digits = f"{abs(int(scaled)):0{places + 1}d}"
            sign = "-" if number < 0 else ""
            return sign + (digits if not places else f"{digits[:-places]}.{digits[-places:]}")
    return None


def _in_words(number: Fraction, old: str) -> str | None:
    if number.denominator != 1 or not 0 <= number < 100:
        return _decimal(number) if number.denominator == 1 and number >= 0 else None
    value = int(number)
    if value < 20:
        word = ONES[value]
    else:
        tens = next(name for name, size in TENS.items() if size == value // 10 * 10)
        word = tens if value % 10 == 0 else f"{tens}-{ONES[value % 10]}"
    return word.capitalize() if old[:1].isupper() else word


def _ordinal(number: Fraction, quantity: Quantity) -> str | None:
    if not quantity.text.isdigit() or number.denominator != 1 or number < 1:
        return None
    value = int(number)
    # The suffix stands behind the place and can't change with it.
    kept = "th" if 10 <= value % 100 <= 20 else SUFFIXES.get(value % 10, "th")
    return str(value) if kept == quantity.unit else None


def _as_fraction(number: Fraction, quantity: Quantity) -> str | None:
    if number.denominator == 1:
        return None
    if quantity.kind == "latex":
        command = re.match(r"\\[dt]?frac", quantity.text)
        return f"{command[0]}{{{number.numerator}}}{{{number.denominator}}}" if command else None
    return f"{number.numerator}/{number.denominator}" if "/" in quantity.text else None
