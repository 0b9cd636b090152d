"""Whether a problem tells the values of a program's input: static, by reading its quantities.

Each number of the input is `stated` (it stands in the problem, in any notation), `implied` (what everybody knows, or a
constant of nature), `derived` (an operation on two stated numbers gives it), `assumed` (a problem of science may take it
from a table) or `missing`. Two inputs are `swapped` when each value stands beside the other's name, `doubted` when only
hints say so. Only what is missing or swapped speaks against a row; what is derived, assumed or doubted leaves it undecided.

    common_knowledge   constants that no problem says
    nature             constants of nature, conversions, molar masses
    reading            a problem, and what it says of one value
    naming, places     what names of inputs tell; what stands beside each number
    swapped            two inputs with each other's values
"""

import re
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import pairwise
from typing import Any

from caco_recipes.families.common_knowledge import known, method
from caco_recipes.families.naming import named
from caco_recipes.families.nature import digits_of_nature
from caco_recipes.families.quantities import Quantity, quantities
from caco_recipes.families.reading import ASSUMED, DERIVED, IMPLIED, MISSING, STATED, Reading
from caco_recipes.families.swapped import DOUBTED, SWAPPED, exchanged
from caco_recipes.families.values import exact, leaves

SILENT = "silent"
AGAINST, OPEN = (MISSING, SWAPPED), (DERIVED, ASSUMED, DOUBTED)


@dataclass(frozen=True)
class Finding:
    """What a problem says of one number or key of an input: its state, and the value as people write it."""

    key: str
    state: str
    value: str = ""
    sure: bool = field(default=True, compare=False, repr=False)


def findings(problem: str, value: dict[str, Any], code: str = "") -> list[Finding]:
    """What the problem says of each key of an input (tagged JSON, decoded): the worst state of the numbers in it.

    `code` tells which of the problem's numbers the program knows otherwise, and what its comments say of the inputs. Where
    a number is left over that nothing uses, near a value that is only implied and beside its name, the two may be the same
    quantity with another value: that counts as derived.
    """
    reading = Reading(problem)
    found = [_finding(reading, key, item) for key, item in value.items()]
    numbers = {key: exact(item) for key, item in value.items() if not isinstance(item, bool)}
    crossed = exchanged(reading.places, {k: n for k, n in numbers.items() if n is not None}, reading.values, code)
    spare = _left_over(reading, value, code) if any(f.state == IMPLIED and f.sure is False for f in found) else []
    made = []
    for one in found:
        state = crossed.get(one.key, one.state) if one.state == STATED else one.state
        if state == IMPLIED and not one.sure and any(_rivals(reading, other, one.key, value) for other in spare):
            state = DERIVED
        made.append(Finding(one.key, state, one.value))
    return made


NUMBER = re.compile(r"(?<![\w.])\d{1,15}(?:\.\d{1,15})?(?![\w.])")


def _left_over(reading: Reading, value: dict[str, Any], code: str) -> list[Quantity]:
    """The numbers of a text that neither the input nor the program's text has."""
    used = {exact(leaf) for _, leaf in leaves(value) if not isinstance(leaf, bool | str)}
    used |= {Fraction(number) for number in NUMBER.findall(code)}
    return [q for q in reading.quantities if q.kind in ("digits", "words") and not used & set(q.values)]


def _rivals(reading: Reading, quantity: Quantity, key: str, value: dict[str, Any]) -> bool:
    """Whether a quantity may be what an input is in truth: of its size, and beside its name (where that has words)."""
    number = None if isinstance(value[key], bool) else exact(value[key])
    if number is None or number <= 0 or not number / 3 <= quantity.plain <= 3 * number:
        return False
    words = [word for word in named(key).words if len(word) > 1]
    return not words or any(reading.places.near(word, quantity) >= 0.5 for word in words)


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
    for path, leaf in inside[:400]:
        number = None if isinstance(leaf, bool) else exact(leaf)
        if isinstance(leaf, str):
            state = _text_state(reading, leaf)
        elif number is None:
            state = SILENT
        else:
            state = reading.state(number, "_".join([key, *[part for part in path if isinstance(part, str)]]))
        states.setdefault(state, _shown(leaf, number))
    if len(numbers) > 3 and DERIVED not in states and states.get(MISSING) is not None:
        missing = [n for n in numbers if n is not None and reading.state(n, key) == MISSING]
        if len(set(missing)) > 0.6 * len(set(numbers)) and not reading.plain:
            return Finding(key, DERIVED, states[MISSING])  # a table or figure that the text only refers to
    for state in (MISSING, DERIVED, ASSUMED, STATED, IMPLIED):
        if state in states:
            # 0 and 1 and the constants of nature need no saying anywhere.
            sure = all(
                n is None or abs(n) in (0, 1) or n.denominator > 1 or digits_of_nature(n) or method(n, key)
                for n in numbers
            )
            return Finding(key, state, states[state], sure)
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
    if all(reading.finds(number) or known(number, "", reading.lower) for number in numbers):
        return STATED
    return DERIVED


def _bare(text: str) -> str:
    return re.sub(r"[\s*{}()\\$^_,]+|\\left|\\right|cdot|times", "", text.lower())
