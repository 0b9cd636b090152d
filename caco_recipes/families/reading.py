"""A problem, read once: its quantities, and whether it states a value, implies it, or leaves it to be derived."""

import re
from fractions import Fraction
from functools import cached_property
from itertools import permutations

from caco_recipes.families.common_knowledge import known
from caco_recipes.families.nature import looks_tabulated, recognised
from caco_recipes.families.places import Places
from caco_recipes.families.quantities import Quantity, quantities

STATED, IMPLIED, DERIVED, ASSUMED, MISSING = "stated", "implied", "derived", "assumed", "missing"
CELSIUS = re.compile(r"celsius|°|\\circ|degrees? c\b")
UNIT_BEHIND = re.compile(r"[\s~$]*\\?(?:mathrm|mu|text|[a-zA-Zµμ]{1,3}\b|Å|kilo|milli|micro|nano|mega|giga)")
POWERS = tuple(Fraction(10) ** power for power in (3, 6, 9, 12, -2, -3, -4, -6, -9, -10, -12, -18))
LISTED = re.compile(r", (?:and |or )?|,? and ")
COUNT = re.compile(r"num|number|count|people|person|friend|case|^[nkr]$|s$")
GENETICS = re.compile(r"genotyp|heterozyg|allele|dominant|recessive|\bcross\b|inherit")
MENDEL = (Fraction(1, 4), Fraction(3, 4), Fraction(1, 2), Fraction(9, 16), Fraction(3, 16), Fraction(1, 16))


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
        for quantity in self.quantities:
            if UNIT_BEHIND.match(problem, quantity.end):  # 25 kJ are 25,000 J
                for power in POWERS:
                    self.values.setdefault(quantity.plain * power, []).append(quantity)
            if CELSIUS.search(self.lower):
                for zero in (Fraction("273.15"), Fraction(273)):
                    self.values.setdefault(quantity.plain + zero, []).append(quantity)

    @cached_property
    def places(self) -> Places:
        return Places(self.problem, self.quantities)

    def state(self, value: Fraction, key: str = "") -> str:
        """Stated, implied, derived, assumed or missing."""
        if self.finds(value):
            return STATED
        if known(value, key, self.lower) or recognised(value, key, self.problem):
            return IMPLIED
        if self.derives(value) or self.lists(value, key):
            return DERIVED
        return ASSUMED if looks_tabulated(value, key, self.problem) else MISSING

    def finds(self, value: Fraction) -> bool:
        """Whether a quantity of the text stands for the value (or its size: a loss of 3 is a change of -3)."""
        if value in self.values or -value in self.values:
            return True
        if value.denominator < 1000:
            return False
        return any(_rounded(value, other) for other in self.values)  # 0.333 for a third, 3.33 % for 1/30

    def lists(self, value: Fraction, key: str) -> bool:
        """Whether so many things are listed: "Alice, Bob and Carol" are three."""
        if value.denominator != 1 or not 2 <= value <= 12 or not COUNT.search(key.lower()):
            return False
        commas = [len(LISTED.findall(sentence)) for sentence in re.split(r"[.?!;:\n]\s", self.problem)]
        return int(value) in {size for count in commas if count for size in (count, count + 1)}

    def derives(self, value: Fraction) -> bool:
        """Whether one operation on two quantities of the text gives the value (or one and a small constant)."""
        made = self._derived
        if value in made or -value in made:
            return True
        return value.denominator >= 1000 and any(_rounded(value, other) for other in made)

    @cached_property
    def _derived(self) -> set[Fraction]:
        made: set[Fraction] = set(MENDEL) if GENETICS.search(self.lower) else set()
        numbers = [n for n in self.plain if abs(n) < 10**12][:24]
        for left, right in permutations(numbers, 2):
            made |= {left + right, left - right, left * right}
            if right:
                made.add(left / right)
                made |= {left * (1 - right / 100), left * (1 + right / 100), left * right / 100}
        factors = [2, 3, 4]
        if re.search(r"hour|minute|second|day|week|month|year|annual|compound|dozen|feet|inch", self.lower):
            factors += [7, 12, 24, 52, 60, 200, 365, 400, 1200, 36500]
        for number in numbers:
            made |= {number + 1, number - 1, number + 2, number * number, number * 100, number / 100}
            made |= {1 - number, 1 + number, 100 - number}
            made |= {number * factor for factor in factors} | {number / factor for factor in factors}
        return made


def _rounded(value: Fraction, other: Fraction) -> bool:
    """Whether a long decimal is another number, written with as many digits as fit."""
    return value != 0 and abs(value - other) <= abs(value) / 10**3 and other.denominator not in (1, 2, 5, 10)
