"""Whether a problem tells the values of a program's input: static, by reading its quantities.

Each number of the input is `stated` (it stands in the problem, in any notation), `implied` (what everybody knows:
0 and 1, 60 where there are minutes, 100 where there are percents, the number of things that are listed), `derived` (an
operation on two stated numbers gives it) or `missing`. Two inputs are `swapped` when each value stands beside the
other's name. Only what is missing or swapped speaks against a row; what is derived leaves it undecided.
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise, permutations
from typing import Any

from caco_recipes.families.quantities import Quantity, quantities
from caco_recipes.families.values import exact, leaves

STATED, IMPLIED, DERIVED, MISSING, SWAPPED, SILENT = "stated", "implied", "derived", "missing", "swapped", "silent"
# A constant that needs no saying where a problem speaks of these things.
KNOWN = (
    (re.compile(r"minute|hour|second|clock|o'clock|a\.m|p\.m|speed|mph|km/h|kmph|time"), (60, 3600, 12, 24, 30, 45, 15, 90)),
    (re.compile(r"\bdays?\b|week|hour|daily|month"), (7, 24, 5, 30, 31, 28, 365, 366, 29, 14)),
    (re.compile(r"year|month|annual|age|born"), (12, 365, 366, 52, 4, 100, 10)),
    (re.compile(r"percent|%|cent|\$|dollar|probab|score|test|increase|decrease|discount"), (100,)),
    (re.compile(r"\bfoot|\bfeet|\bft\b|inch|yard|mile"), (12, 3, 36, 5280, 1760)),
    (re.compile(r"pound|ounce|\blbs?\b|\boz\b|ton|gallon|quart|pint|cup"), (16, 2000, 4, 8, 2, 128, 32)),
    (re.compile(r"\bk?m\b|met(?:er|re)|kilo|\bkg\b|gram|lit(?:er|re)|\bml\b|\bcm\b|\bmm\b"), (1000, 100, 10, 10**6)),
    (re.compile(r"\bdie\b|dice|cube|hexag"), (6, 8, 12)),
    (re.compile(r"\bcards?\b|deck"), (52, 4, 13, 26, 12, 48, 39, 51)),
    (re.compile(r"coin|heads|tails"), (2,)),
    (re.compile(r"letters?\b|alphabet|word"), (26, 5, 21)),
    (re.compile(r"digit|decimal|integer|number|base|license|code|\bno\."), (10, 9, 99, 100, 999, 1000, 9999)),
    (re.compile(r"angle|triang|polygon|degree|circ|sector|clock|rotat|°|\\circ|arc"), (360, 180, 90, 60, 3, 270)),
    (re.compile(r"triang"), (3,)),
    (re.compile(r"rectang|square|quadr|parallelog|tetrahed|rhomb|table|car\b|cars\b"), (4, 2)),
    (re.compile(r"pentag"), (5, 108)), (re.compile(r"octag"), (8,)), (re.compile(r"hepta|septa"), (7,)),
    (re.compile(r"gravit|fall|throw|drop|projectile|object|mass|accelerat|kinetic|roller"), (10,)),
)  # fmt: skip
PHYSICS = (
    Fraction("3.14"), Fraction(22, 7), Fraction("3.1416"), Fraction("9.8"), Fraction("9.81"), Fraction("32.2"), Fraction(32),
    Fraction("3.14159"), Fraction("299792458"), Fraction("3e8"), Fraction("8.314"), Fraction("273.15"), Fraction(273),
    Fraction("6.626e-34"), Fraction("6.62607015e-34"), Fraction("6.674e-11"), Fraction("1.6e-19"), Fraction("1.602e-19"),
    Fraction("1.60217662e-19"), Fraction("9.11e-31"), Fraction("9.10938356e-31"), Fraction("9e9"), Fraction("8.99e9"),
    Fraction("8.85e-12"), Fraction("1.38e-23"), Fraction("6.022e23"), Fraction("0.0821"), Fraction("343"), Fraction("340"),
)  # fmt: skip
# Constants of nature in whatever unit: their leading digits, for values far from everyday size.
NATURE = (2.99792, 6.62607, 1.05457, 1.38065, 1.60218, 9.10938, 1.67262, 1.67493, 6.02214, 8.31446, 6.6743, 8.85419,
          5.67037, 9.64853, 1.01325, 8.98755, 1.66054, 9.2740, 5.29177, 1.09737, 4.1357, 8.2057, 9.80665)  # fmt: skip
# Parameters of a method or of units, not of the problem.
METHOD = re.compile(
    r"tol|eps|iter|precision|(?:^|_)(?:steps?|samples|trials|terms|dx|dt|points|intervals|grid|guess|x0|seed)(?:$|_|\d)"
    r"|conver|_to_[a-z]+$|(?:seconds|minutes|hours|days|weeks|months|cents|ounces|inches|feet)_(?:in|per)_"
)
COUNTED = re.compile(r"people|person|friend|(?:^|_)(?:num|number|count|sides|n)(?:$|_)")
CELSIUS = re.compile(r"celsius|°|\\circ|degrees? c\b")
UNIT_BEHIND = re.compile(r"\s*~?\s*\\?(?:mathrm|mu|text|[a-zA-Zµμ]{1,3}\b|kilo|milli|micro|nano|mega|giga)")
POWERS = tuple(Fraction(10) ** power for power in (3, 6, 9, 12, -2, -3, -4, -6, -9, -10, -12))
LISTED = re.compile(r", (?:and |or )?|,? and ")
WORD = re.compile(r"[a-z]{3,}")
EMPTY_WORDS = frozenset(
    "num number total amount count initial final per each the and with for original new cost price first second value "
    "rate time left before after more less than how many much price sum average day days week hour hours year years "
    "minute minutes percent percentage people person old".split()
)


@dataclass(frozen=True)
class Finding:
    """What a problem says of one number or key of an input: its state, and the value as people write it."""

    key: str
    state: str
    value: str = ""
    sure: bool = field(default=True, compare=False, repr=False)


class Reading:
    """A problem, read once, against which values are looked up."""

    def __init__(self, problem: str) -> None:
        self.problem = problem
        self.lower = problem.lower()
        self.quantities = quantities(problem)
        self.values: dict[Fraction, list[Quantity]] = {}
        for quantity in self.quantities:
            for value in quantity.values:
                self.values.setdefault(value, []).append(quantity)
        self.plain = list(dict.fromkeys(quantity.plain for quantity in self.quantities))
        self._derived: set[Fraction] | None = None
        for quantity in self.quantities:
            if UNIT_BEHIND.match(problem, quantity.end):  # 25 kJ are 25,000 J
                for power in POWERS:
                    self.values.setdefault(quantity.plain * power, []).append(quantity)
            if CELSIUS.search(self.lower):
                for zero in (Fraction("273.15"), Fraction(273)):
                    self.values.setdefault(quantity.plain + zero, []).append(quantity)

    def state(self, value: Fraction, key: str = "") -> str:
        """Stated, implied, derived or missing."""
        if self.finds(value):
            return STATED
        if self.implies(value) or METHOD.search(key.lower()):
            return IMPLIED
        if value == 2 and COUNTED.search(key.lower()) and " and " in self.lower:
            return IMPLIED
        return DERIVED if self.derives(value) else MISSING

    def finds(self, value: Fraction) -> bool:
        """Whether a quantity of the text stands for the value (or its size: a loss of 3 is a change of -3)."""
        if value in self.values or -value in self.values:
            return True
        if value.denominator < 1000:
            return False
        return any(_rounded(value, known) for known in self.values)  # 0.333 for a third, 3.33 % for 1/30

    def implies(self, value: Fraction) -> bool:
        if value in (0, 1, -1) or value in PHYSICS or _natural(value):
            return True
        if value == 2 or value == -1:
            return bool(
                re.search(
                    r"\btwo|\btwi|\bboth|\beach other|\bpair|\bdoub|\bhalf|\bhalv|\bsecond|squar|\^|sqrt", self.lower
                )
            )
        if any(value in constants and pattern.search(self.lower) for pattern, constants in KNOWN):
            return True
        return value.denominator == 1 and 2 <= value <= 12 and int(value) in self._listed()

    def _listed(self) -> set[int]:
        """How many things the text lists: "Alice, Bob and Carol" are three."""
        commas = [len(LISTED.findall(sentence)) for sentence in re.split(r"[.?!;:\n]\s", self.problem)]
        return {size for count in commas if count for size in (count, count + 1)}

    def derives(self, value: Fraction) -> bool:
        """Whether one operation on two quantities of the text gives the value (or one and a small constant)."""
        if self._derived is None:
            self._derived = set()
            numbers = [n for n in self.plain if abs(n) < 10**12][:24]
            for left, right in permutations(numbers, 2):
                self._derived |= {left + right, left - right, left * right}
                if right:
                    self._derived.add(left / right)
                    self._derived |= {left * (1 - right / 100), left * (1 + right / 100), left * right / 100}
            factors = [2, 3, 4]
            if re.search(r"hour|minute|second|day|week|month|year|annual|compound|dozen|feet|inch", self.lower):
                factors += [7, 12, 24, 52, 60, 365, 400, 1200, 36500]
            for number in numbers:
                self._derived |= {number + 1, number - 1, number + 2, number * number, number * 100, number / 100}
                self._derived |= {1 - number, 1 + number, 100 - number}
                self._derived |= {number * factor for factor in factors} | {number / factor for factor in factors}
        return (
            value in self._derived
            or -value in self._derived
            or any(_rounded(value, known) for known in self._derived if value.denominator >= 1000)
        )


def _natural(value: Fraction) -> bool:
    size = abs(float(value))
    if 1e-4 < size < 1e5:
        return False
    digits = float(f"{size:e}".partition("e")[0])
    return any(abs(digits - known) < 0.004 * known for known in NATURE)


def _rounded(value: Fraction, known: Fraction) -> bool:
    """Whether a long decimal is another number, written with as many digits as fit."""
    return value != 0 and abs(value - known) <= abs(value) / 10**3 and known.denominator not in (1, 2, 5, 10)


# ------------------------------------------------------------------------------------------------ inputs


def findings(problem: str, value: dict[str, Any], code: str = "") -> list[Finding]:
    """What the problem says of each key of an input (tagged JSON, decoded): the worst state of the numbers in it.

    `code` tells which of the problem's numbers the program knows otherwise. Where one is left over that nothing uses, and
    is near a value that is only implied, the two may be the same quantity with another value: that counts as derived.
    """
    reading = Reading(problem)
    found = [_finding(reading, key, item) for key, item in value.items()]
    swapped = _swapped(reading, value)
    spare = _left_over(reading, value, code) if any(f.state == IMPLIED and f.sure is False for f in found) else []
    made = []
    for one in found:
        state = SWAPPED if one.key in swapped else one.state
        if state == IMPLIED and not one.sure and any(_near(other, value[one.key]) for other in spare):
            state = DERIVED
        made.append(Finding(one.key, state, one.value))
    return made


NUMBER = re.compile(r"(?<![\w.])\d{1,15}(?:\.\d{1,15})?(?![\w.])")


def _left_over(reading: Reading, value: dict[str, Any], code: str) -> list[Fraction]:
    """The plain numbers of a text that neither the input nor the program's text has."""
    known = {exact(leaf) for _, leaf in leaves(value) if not isinstance(leaf, bool | str)}
    known |= {Fraction(number) for number in NUMBER.findall(code)}
    return [q.plain for q in reading.quantities if q.kind in ("digits", "words") and not known & set(q.values)]


def _near(number: Fraction, item: Any) -> bool:
    value = None if isinstance(item, bool) else exact(item)
    return value is not None and value > 0 and value / 3 <= number <= 3 * value


def mentions(problem: str, item: Any) -> int:
    """How often a problem states a value: a number's places, 1 for a list or text of which every part is stated."""
    reading = Reading(problem)
    if _finding(reading, "", item).state != STATED:
        return 0
    number = None if isinstance(item, bool) else exact(item)
    if number is None:
        return 1
    return max(len({spot.start for spot in reading.values.get(number, ()) if spot.plain == number}), 1)


def _finding(reading: Reading, key: str, item: Any) -> Finding:
    states: dict[str, str] = {}
    inside = list(leaves(item))
    numbers = [exact(leaf) for _, leaf in inside if not isinstance(leaf, bool | str)]
    if len(numbers) > 2 and None not in numbers and (_progression(reading, numbers) or _spelt(reading, numbers)):
        return Finding(key, STATED)
    for _, leaf in inside[:400]:
        number = None if isinstance(leaf, bool) else exact(leaf)
        if isinstance(leaf, str):
            state = _text_state(reading, leaf)
        elif number is None:
            state = SILENT
        else:
            state = reading.state(number, key)
        states.setdefault(state, _shown(leaf, number))
    if len(numbers) > 3 and DERIVED not in states and states.get(MISSING) is not None:
        missing = [n for n in numbers if n is not None and reading.state(n) == MISSING]
        if len(set(missing)) > 0.6 * len(set(numbers)) and not reading.plain:
            return Finding(key, DERIVED, states[MISSING])  # a table or figure that the text only refers to
    for state in (MISSING, DERIVED, STATED, IMPLIED):
        if state in states:
            # 0 and 1 and the constants of nature need no saying anywhere.
            sure = not any(n is not None and abs(n) not in (0, 1) and not _natural(n) for n in numbers)
            return Finding(key, state, states[state], sure or bool(METHOD.search(key.lower())))
    return Finding(key, SILENT)


def _shown(leaf: Any, number: Fraction | None) -> str:
    return (
        repr(leaf)
        if isinstance(leaf, str) or number is None
        else str(leaf if isinstance(leaf, int | float) else number)
    )


def _progression(reading: Reading, numbers: list[Fraction]) -> bool:
    """1, 2, …, 50 is told by its ends (or by its length, from 0 or 1 on)."""
    steps = {b - a for a, b in pairwise(numbers)}
    if len(steps) != 1:
        return False
    ends = (numbers[0], numbers[-1])
    return any(reading.finds(end) for end in ends) or reading.finds(Fraction(len(numbers)))


def _spelt(reading: Reading, numbers: list[Fraction]) -> bool:
    """The digits of one number of the text, one by one."""
    digits = "".join(str(number) for number in numbers)
    return len(digits) == len(numbers) and digits.isdigit() and reading.finds(Fraction(int(digits)))


def _text_state(reading: Reading, text: str) -> str:
    """A text counts as stated when it, or all that is in it, stands in the problem; it is never called missing."""
    bare, plain = _bare(text), _bare(reading.problem)
    if bare and bare in plain:
        return STATED
    numbers = [quantity.plain for quantity in quantities(text) if quantity.kind == "digits"]
    if not numbers:
        return SILENT  # a label, a unit, a name of the program's own
    if all(reading.finds(number) or reading.implies(number) for number in numbers):
        return STATED
    return DERIVED


def _bare(text: str) -> str:
    return re.sub(r"[\s*{}()\\$^_,]+|\\left|\\right|cdot|times", "", text.lower())


# ------------------------------------------------------------------------------------------------ swapped


def _swapped(reading: Reading, value: dict[str, Any]) -> set[str]:
    """Keys whose values stand beside each other's names: `apples: 7, pears: 5` against "5 apples and 7 pears"."""
    numbers = {key: exact(item) for key, item in value.items() if not isinstance(item, bool)}
    numbers = {key: number for key, number in numbers.items() if number is not None}
    words = {key: _telling(key, list(numbers)) for key in numbers}
    found: set[str] = set()
    for first, second in permutations(numbers, 2):
        if numbers[first] == numbers[second] or not words[first] or not words[second]:
            continue
        crossed = _beside(reading, numbers[first], words[second], words[first])
        if crossed and _beside(reading, numbers[second], words[first], words[second]):
            found |= {first, second}
    return found


def _telling(key: str, keys: list[str]) -> set[str]:
    """The words of a key that no other key shares."""
    others = {_stem(word) for other in keys if other != key for word in WORD.findall(other.lower())}
    return {_stem(word) for word in WORD.findall(key.lower())} - others - EMPTY_WORDS


def _stem(word: str) -> str:
    return word[:-3] + "y" if word.endswith("ies") else word.removesuffix("s") if len(word) > 3 else word


def _beside(reading: Reading, number: Fraction, words: set[str], own: set[str]) -> bool:
    """Whether the number stands once in the text, right before one of `words` and of none of `own`."""
    spots = reading.values.get(number, [])
    if len(spots) != 1:
        return False
    behind = re.match(r"[^\n|:;.,?!]{0,40}", reading.lower[spots[0].end :])[0]
    after = {_stem(word) for word in re.findall(r"[a-z]+", behind)[:2]}
    return bool(words & after) and not own & after
