"""Comparison of values with something written beside them: a unit, a scale ("million"), a modulus, a base; and of ratios."""

from fractions import Fraction

from caco_recipes.grading import structure
from caco_recipes.grading.evaluate import constant_value, same_value
from caco_recipes.grading.forms import settle
from caco_recipes.grading.syntax import App, Based, Num, Quantity, Ratio, Sym
from caco_recipes.grading.words import compare_units, conversion, is_measure, split_scale


def same_quantity(a, b, policy: str, depth: int) -> bool | None:
    unit_a, value_a = (a.unit, a.value) if isinstance(a, Quantity) else ("", a)
    unit_b, value_b = (b.unit, b.value) if isinstance(b, Quantity) else ("", b)
    for one, unit in ((a, unit_b), (b, unit_a)):  # 40° isn't 40 points
        if isinstance(one, App) and one.op == "deg" and compare_units("degrees", unit) is None:
            return False
    for one, unit in ((a, unit_b), (b, unit_a)):  # 5 % isn't $5
        if isinstance(one, App) and one.op == "pct" and is_measure(unit):
            return False
    many_a, unit_a = split_scale(unit_a)
    many_b, unit_b = split_scale(unit_b)
    factor = compare_units(unit_a, unit_b)
    if factor is None:
        return False
    if many_a != many_b:
        scaled = [
            value if many == 1 else App("*", [value, Num(Fraction(many))])
            for value, many in ((value_a, many_a), (value_b, many_b))
        ]
        if factor == 1.0 and same_value(*scaled):
            return True
        if min(many_a, many_b) > 1:
            return False
    letter = _letter_unit(value_a, unit_b) if not unit_a else _letter_unit(value_b, unit_a) if not unit_b else None
    if letter is not None:  # 5 km and 5000 m, where the m was read as a symbol
        value, other, scale = letter[0], value_b if not unit_a else value_a, letter[1]
        if same_value(App("*", [value, Num(Fraction(scale).limit_denominator(10**9))]), other):
            return True
    if factor == 1.0:
        return structure.compare(settle(value_a), settle(value_b), policy, depth + 1)
    scaled = App("*", [value_a, Num(Fraction(factor).limit_denominator(10**9))])
    return same_value(scaled, value_b)


def _letter_unit(node, unit: str) -> tuple | None:
    """(value, factor to `unit`) of a value times a letter that is such a unit (`5000 m`, `0.25 L`)."""
    below = ""
    if isinstance(node, App) and node.op == "/" and isinstance(node.args[1], Sym):
        node, below = node.args[0], "/" + node.args[1].name
    if not (isinstance(node, App) and node.op == "*" and len(node.args) == 2 and isinstance(node.args[1], Sym)):
        return None
    factor = conversion({"Omega": "ohm"}.get(node.args[1].name, node.args[1].name) + below, unit)
    return None if factor is None else (node.args[0], factor)


def same_ratio(a: Ratio, b: Ratio) -> bool | None:
    if len(a.parts) != len(b.parts):
        return False
    first = same_value(App("*", [a.parts[0], b.parts[1]]), App("*", [a.parts[1], b.parts[0]]))
    rest = [
        same_value(App("*", [x, b.parts[0]]), App("*", [y, a.parts[0]]))
        for x, y in zip(a.parts[2:], b.parts[2:], strict=True)
    ]
    verdicts = [first, *rest]
    return None if None in verdicts else all(verdicts)


def same_residue(a, b) -> bool | None:
    """`3 (mod 7)` and `10 (mod 7)` are the same; a bare 3 is the first."""
    if not (isinstance(a, App) and isinstance(b, App) and a.op == b.op == "pmod"):
        residue, bare = (a, b) if isinstance(a, App) and a.op == "pmod" else (b, a)
        return same_value(residue.args[0], bare)
    if same_value(a.args[1], b.args[1]) is not True:
        return False
    if same_value(a.args[0], b.args[0]):
        return True
    left, right, modulus = (constant_value(node) for node in (a.args[0], b.args[0], a.args[1]))
    if left is None or right is None or not modulus:
        return False
    return ((left - right) / modulus).denominator == 1


def same_based(a, b) -> bool | None:
    if isinstance(a, Based) and isinstance(b, Based):
        return (a.digits, a.base) == (b.digits, b.base)
    based, other = (a, b) if isinstance(a, Based) else (b, a)
    return isinstance(other, Num) and not other.places and other.value == int(based.digits) and based.base != 10
