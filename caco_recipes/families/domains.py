"""What each input of a program may be, inferred from one example: its value, its name, and what the source does with it.

A domain says how one number may move (type, sign, range, granularity), how a list may (length, order, distinctness,
fixed sum), and which relations the original keeps (a ≤ b, b divides a, n = len(xs), parts sum to a whole). Relations are
predicates on a whole input: whoever mutates proposes values and keeps those that satisfy them.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from typing import Any

from caco_recipes.families.source_facts import UNKNOWN, SourceFacts
from caco_recipes.families.values import exact, is_number, tag_of

LARGEST = 2**50
SHARE = re.compile(r"prob|chance|share|fraction|ratio|prop(?:ortion)?|rate|discount|tax|percent|pct|interest|margin")
PERCENT = re.compile(r"percent|pct|rate|discount|tax|interest|margin|increase|decrease|share|chance|prob")
YEAR = re.compile(r"(?:^|_)(?:year|birth|born)")
CALENDAR = ((re.compile(r"(?:^|_)month(?:$|_num|_index)"), 1, 12), (re.compile(r"(?:^|_)day_of|weekday"), 1, 7))
CLOCK = ((re.compile(r"(?:^|_)hour(?:$|_)"), 0, 23), (re.compile(r"(?:^|_)(?:minute|second)(?:$|_)"), 0, 59))
BASE = re.compile(r"(?:^|_)(?:base|radix)(?:$|_|\d)")
ANGLE = re.compile(r"angle|degree")
EXPONENT = re.compile(r"exponent|power|(?:^|_)exp(?:$|_)")
INDEX = re.compile(r"(?:^|_)(?:index|idx|pos|position)(?:$|_)")
PRIME = re.compile(r"prime")
LOW_NAMES = ("min", "low", "lower", "start", "first", "from", "small", "smaller", "begin", "left")
HIGH_NAMES = ("max", "high", "upper", "end", "last", "to", "large", "larger", "finish", "right")


@dataclass(frozen=True)
class Number:
    """How one number may move: between `low` and `high` (inclusive), by multiples of `step`; `prime` keeps primes."""

    low: Fraction
    high: Fraction
    step: Fraction
    prime: bool = False

    @cached_property
    def steps(self) -> tuple[int, int]:
        """The least and the largest multiple of `step` in the range."""
        return int(-(-self.low // self.step)), int(self.high // self.step)


def number_domain(leaf: Any, name: str = "", facts: SourceFacts = UNKNOWN) -> Number | None:
    """The domain of one numeric leaf of the input `name`; None when it must stay as it is (zero, huge, not finite).

    Signs and types stay, and a number moves by a factor of two at the most: far enough to matter, near enough to stay
    what it is. Names and uses narrow that: years, months, percentages, bases, exponents, indices, angles, primes.
    """
    value = exact(leaf)
    if value is None or value == 0 or abs(value) > LARGEST:
        return None
    size, name = abs(value), name.lower()
    if isinstance(leaf, float) or tag_of(leaf) in ("$dec", "$frac"):
        return _signed(value, *_real_range(leaf, size, name))
    # A plural stays one, so that a problem can be told with the new number.
    low, high, step = max(-(-size // 2), min(size, 2)), max(2 * size, size + 2), _round_step(size)
    prime = is_prime(int(size)) and bool(PRIME.search(name) or (facts.use(name, "modulus") and size > 10))
    if prime or facts.use(name, "index"):
        step = Fraction(1)
    if YEAR.search(name) and 1000 <= size <= 2100:
        low, high, step = size - 30, size + 30, Fraction(1)
    elif BASE.search(name) and 2 <= size <= 36:
        low, high, step = Fraction(2), max(size, Fraction(16)), Fraction(1)
    elif (EXPONENT.search(name) or facts.use(name, "exponent")) and size <= 12:
        low, high, step = Fraction(min(size, 2)), size + 2, Fraction(1)
    elif ANGLE.search(name) and size < 180:
        high = min(high, Fraction(179))
    elif PERCENT.search(name) and size <= 100:
        high = min(high, Fraction(100))
    for pattern, least, most in (*CALENDAR, *CLOCK):
        if pattern.search(name) and least <= size <= most and not name.endswith("s"):
            low, high, step = Fraction(max(least, 1)), Fraction(most), Fraction(1)
    return _signed(value, Fraction(low), Fraction(high), Fraction(step), prime)


def _signed(value: Fraction, low: Fraction, high: Fraction, step: Fraction, prime: bool = False) -> Number:
    return Number(low, high, step, prime) if value > 0 else Number(-high, -low, step)


def _real_range(leaf: Any, size: Fraction, name: str) -> tuple[Fraction, Fraction, Fraction]:
    if tag_of(leaf) == "$frac":
        step = Fraction(1, size.denominator)
    else:
        text = repr(leaf) if isinstance(leaf, float) else leaf["$dec"]
        decimals = len(text.partition(".")[2]) if "e" not in text.lower() else 6
        if text.endswith(".0"):
            step = _round_step(size)  # 7.0 is a whole number that happens to be a float
        else:
            step = Fraction(1, 10 ** min(max(decimals, 1), 6))
            for rounder in (5 * step, 10 * step) if decimals <= 2 else ():  # 0.25 moves by 0.05, 19.50 by 0.5
                step = rounder if size % rounder == 0 and size >= 4 * rounder else step
    low, high = size / 2, size * 2
    if size < 1:
        high = min(high, 1 - step) if 1 - step > low else high
        low = max(low, step)
    elif size <= 100 and PERCENT.search(name):
        high = min(high, Fraction(100))
    elif size == 1 and SHARE.search(name):
        high = Fraction(1)
    return low, high, step


def _round_step(size: Fraction) -> Fraction:
    """Round numbers stay round: 250 moves by tens, 6,000 by hundreds; a number below 20 by ones."""
    step = 1
    while size % (step * 10) == 0 and size // (step * 10) >= 10:
        step *= 10
    return Fraction(step)


def is_prime(number: int) -> bool:
    if number < 2 or number > 10**7:
        return False
    return all(number % divisor for divisor in range(2, int(number**0.5) + 1))


# ------------------------------------------------------------------------------------------------ lists


@dataclass(frozen=True)
class Sequence:
    """What a list of numbers keeps besides its length.

    Attributes:
        rising, falling: sorted so (ties count as sorted when the original has them).
        distinct: no value twice.
        total: its sum, where that is 1 or 100 and not by accident; else None.
        permutation: it holds 0…n-1 or 1…n in some order: it is shuffled, never moved.
    """

    rising: bool = False
    falling: bool = False
    distinct: bool = False
    total: Fraction | None = None
    permutation: bool = False

    def holds(self, numbers: list[Fraction]) -> bool:
        if self.rising and any(a > b for a, b in pairwise(numbers)):
            return False
        if self.falling and any(a < b for a, b in pairwise(numbers)):
            return False
        if self.distinct and len(set(numbers)) != len(numbers):
            return False
        return self.total is None or abs(sum(numbers) - self.total) < Fraction(1, 10**9)


def sequence_domain(numbers: list[Fraction]) -> Sequence:
    """What a flat list of numbers keeps."""
    size = len(numbers)
    if size < 2:
        return Sequence()
    total = sum(numbers)
    whole = total if all(n >= 0 for n in numbers) and _is_whole(total) and max(numbers) < total else None
    distinct = len(set(numbers)) == size
    return Sequence(
        rising=size > 2 and all(a <= b for a, b in pairwise(numbers)),
        falling=size > 2 and all(a >= b for a, b in pairwise(numbers)),
        distinct=distinct,
        total=whole,
        permutation=size > 2 and sorted(numbers) in ([*range(size)], [*range(1, size + 1)]),
    )


def _is_whole(total: Fraction) -> bool:
    return abs(total - 1) < Fraction(1, 10**9) or total == 100


# ------------------------------------------------------------------------------------------------ relations


@dataclass(frozen=True)
class Relation:
    """Something that the original input keeps: `kind` of `keys`; `hard` when a program would not expect it broken.

    Kinds: `order` (first ≤ second, strictly where `strict`), `divides` (the second divides the first), `length` (the
    first equals the second's length), `index` (the first is a place in the second), `sum` (the keys sum to `total`),
    `lengths` (as long as each other), `triangle` (any two are longer than the third).
    """

    kind: str
    keys: tuple[str, ...]
    hard: bool = False
    strict: bool = False
    total: Fraction | None = None

    def holds(self, value: dict[str, Any]) -> bool:
        """Whether an input (tagged JSON, decoded) keeps it."""
        if self.kind in ("length", "lengths", "index"):
            sizes = [length_of(value.get(key)) for key in self.keys]
            number = value.get(self.keys[0])
            if self.kind == "lengths":
                return len(set(sizes)) == 1
            return number == sizes[1] if self.kind == "length" else 0 <= number < (sizes[1] or 0)
        numbers = [exact(value.get(key)) for key in self.keys]
        if None in numbers:
            return True
        if self.kind == "order":
            return numbers[0] < numbers[1] if self.strict else numbers[0] <= numbers[1]
        if self.kind == "divides":
            return numbers[1] != 0 and numbers[0] % numbers[1] == 0
        if self.kind == "triangle":
            return 2 * max(numbers) < sum(numbers)
        return abs(sum(numbers) - self.total) < Fraction(1, 10**9)


@dataclass(frozen=True)
class Domain:
    """The domain of a whole input.

    Attributes:
        original: the input as tagged JSON, decoded.
        relations: what it keeps.
        facts: of the program's source.
    """

    original: dict[str, Any]
    relations: tuple[Relation, ...] = ()
    facts: SourceFacts = field(default=UNKNOWN)
    _numbers: dict[tuple[str, str], Number | None] = field(default_factory=dict, repr=False)

    def number(self, leaf: Any, name: str) -> Number | None:
        """`number_domain` of a leaf, worked out once."""
        key = (name, repr(leaf))
        if key not in self._numbers:
            self._numbers[key] = number_domain(leaf, name, self.facts)
        return self._numbers[key]

    def keeps(self, value: dict[str, Any], soft: bool = True) -> bool:
        """Whether an input keeps the relations (only the hard ones with `soft=False`)."""
        return all(relation.holds(value) for relation in self.relations if soft or relation.hard)

    def lengths_tied_to(self, key: str) -> bool:
        """Whether a number is the length of a list of the same input."""
        return any(relation.kind == "length" and relation.keys[0] == key for relation in self.relations)


def infer(original: dict[str, Any], facts: SourceFacts = UNKNOWN) -> Domain:
    """The domain of an input, from its values, its names and, where they are known, facts of the source."""
    scalars = {key: exact(item) for key, item in original.items() if is_scalar(item)}
    lists = {key: length_of(item) for key, item in original.items() if length_of(item)}
    relations: list[Relation] = []
    names = list(scalars)
    for position, first in enumerate(names):
        for second in names[position + 1 :]:
            relations += _pair(first, second, scalars, facts)
    for key, number in scalars.items():
        for other, size in lists.items():
            if number == size and size > 1 and not isinstance(original[key], float):
                relations.append(Relation("length", (key, other), hard=_counts(key) or facts.use(key, "counted")))
            elif (INDEX.search(key.lower()) or facts.use(key, "index")) and 0 <= number < size:
                relations.append(Relation("index", (key, other), hard=True))
    sizes = list(lists.items())
    for (first, left), (second, right) in pairwise(sizes):
        if left == right > 1:
            relations.append(Relation("lengths", (first, second), hard=True))
    positive = {key: number for key, number in scalars.items() if number > 0}
    if 2 <= len(positive) <= 6 and _is_whole(sum(positive.values())):
        relations.append(Relation("sum", tuple(positive), hard=True, total=sum(positive.values())))
    if len(scalars) == 3 and all(number > 0 for number in scalars.values()) and _sides(names):
        triangle = Relation("triangle", tuple(names), hard=True)
        relations += [triangle] if triangle.holds(original) else []
    return Domain(original, tuple(relations), facts)


def _pair(first: str, second: str, scalars: dict[str, Fraction], facts: SourceFacts) -> list[Relation]:
    found = []
    low, high = (first, second) if scalars[first] <= scalars[second] else (second, first)
    if scalars[low] != scalars[high]:
        hard = (low, high) in facts.order or (_named(low, LOW_NAMES) and _named(high, HIGH_NAMES))
        found.append(Relation("order", (low, high), hard=hard, strict=hard))
    if scalars[low] > 1 and _whole_number(scalars[low]) and _whole_number(scalars[high]):
        if scalars[high] % scalars[low] == 0 and low != high:
            found.append(Relation("divides", (high, low)))
    return found


def _named(name: str, words: tuple[str, ...]) -> bool:
    return any(part in words for part in re.split(r"[_\d]+", name.lower()))


def _counts(name: str) -> bool:
    return bool(
        re.search(r"^(?:n|num|number|count|size|len|length|total)(?:$|_|\d)|_(?:count|num|size|n)$", name.lower())
    )


def _sides(names: list[str]) -> bool:
    return sorted(name.lower() for name in names) == ["a", "b", "c"] or all("side" in name.lower() for name in names)


def _whole_number(number: Fraction) -> bool:
    return number.denominator == 1


def is_scalar(value: Any) -> bool:
    """A plain or tagged number."""
    return is_number(value) or tag_of(value) in ("$frac", "$dec", "$int")


def length_of(value: Any) -> int | None:
    """The length of a list or tuple; None for anything else."""
    if isinstance(value, list):
        return len(value)
    return len(value["$tuple"]) if tag_of(value) == "$tuple" else None
