"""Exact rational values of trees, bounded in size before anything is computed; symbols and the fixed points they are given."""

import math
import zlib
from fractions import Fraction

from caco_recipes.grading.syntax import App, Num, Quantity, Ratio, Sym

MAX_BITS = 120_000
MAX_TERMS = 2000
_CONSTANTS = {"pi", "e", "i", "oo", "nan", "zoo", "..."}
_NO_POINT = {"oo", "nan", "zoo", "..."}
# Fixed points: real, of different sizes and signs, nothing special about them.
POINTS = (0.7361, -1.3127, 3.4457, 11.2339, 1.8713, 0.2179)


class NotExact(Exception):
    """The tree isn't made of rational operations, or its exact value would be too large."""


class NoValue(Exception):
    """The tree has no value here: a pole, a name of something else, a structure."""


class TooBig(NoValue):
    """The value is too large to hold, though it may well exist."""


def symbols(node, found: set | None = None) -> set:
    """Names of the free symbols (constants left out). Raises `NoValue` for a tree that isn't scalar."""
    if found is None:
        found = set()
    if isinstance(node, Sym):
        if node.name in _NO_POINT or node.name.startswith("set "):
            raise NoValue(node.name)
        if node.name not in _CONSTANTS:
            found.add(node.name)
    elif isinstance(node, App):
        if node.op in ("sum", "prod"):
            found |= symbols(node.args[0]) - {node.args[1].name} | symbols(node.args[2]) | symbols(node.args[3])
            return found
        for arg in node.args:
            symbols(arg, found)
    elif isinstance(node, Ratio):
        for part in node.parts:
            symbols(part, found)
    elif isinstance(node, Quantity):
        symbols(node.value, found)
    elif not isinstance(node, Num):
        raise NoValue(type(node).__name__)
    return found


def point(name: str, index: int) -> Fraction:
    """The value of a symbol at a fixed point. Names move independently from point to point: if they kept their ratios, any two
    homogeneous equations of one degree would look proportional."""
    shift = zlib.crc32(f"{name}{index}".encode()) % 8191
    return Fraction(round(POINTS[index] * 10_000), 10_000) * (Fraction(shift, 40_951) + 1)


def bits(value: Fraction) -> int:
    return value.numerator.bit_length() + value.denominator.bit_length()


def exact(node, env: dict) -> Fraction:
    """Exact rational value. Raises `NotExact`, or `ZeroDivisionError` at a pole."""
    if isinstance(node, Num):
        return node.value
    if isinstance(node, Sym):
        value = env.get(node.name)
        if value is None:
            raise NotExact
        return value
    if isinstance(node, Ratio):
        if len(node.parts) != 2:
            raise NotExact
        return exact(node.parts[0], env) / exact(node.parts[1], env)
    if not isinstance(node, App):
        raise NotExact
    op, args = node.op, node.args
    if op == "+":
        total = exact(args[0], env)
        for arg in args[1:]:
            total += exact(arg, env)
    elif op == "*":
        total = exact(args[0], env)
        for arg in args[1:]:
            total *= exact(arg, env)
    elif op == "/":
        total = exact(args[0], env) / exact(args[1], env)
    elif op == "neg":
        total = -exact(args[0], env)
    elif op == "^":
        base, exponent = exact(args[0], env), exact(args[1], env)
        if exponent.denominator != 1:
            raise NotExact
        power = exponent.numerator
        if abs(power) > 20_000 or bits(base) * abs(power) > MAX_BITS:
            if base in (0, 1):
                return base
            if base == -1:
                return Fraction(-1 if power % 2 else 1)
            raise NotExact
        total = base**power
    elif op == "pct":
        total = exact(args[0], env) / 100
    elif op == "deg":
        total = exact(args[0], env)
    elif op == "abs":
        total = abs(exact(args[0], env))
    elif op == "!":
        n = exact(args[0], env)
        if n.denominator != 1 or not 0 <= n.numerator <= 3000:
            raise NotExact
        total = Fraction(math.factorial(n.numerator))
    elif op in ("floor", "ceil"):
        inner = exact(args[0], env)
        total = Fraction(math.floor(inner) if op == "floor" else math.ceil(inner))
    elif op == "binomial":
        n, k = exact(args[0], env), exact(args[1], env)
        if n.denominator != 1 or k.denominator != 1 or not 0 <= n.numerator <= 3000 or not 0 <= k.numerator <= 3000:
            raise NotExact
        total = Fraction(math.comb(n.numerator, k.numerator))
    elif op in ("gcd", "lcm", "max", "min"):
        values = [exact(arg, env) for arg in args]
        if op in ("max", "min"):
            return max(values) if op == "max" else min(values)
        if any(v.denominator != 1 for v in values):
            raise NotExact
        total = Fraction((math.gcd if op == "gcd" else math.lcm)(*(v.numerator for v in values)))
    elif op in ("sum", "prod"):
        try:
            total = series(op, args, env, exact)
        except NoValue:
            raise NotExact from None
    elif op == "Mod" and len(args) == 2:
        total = exact(args[0], env) % exact(args[1], env)
    else:
        raise NotExact
    if bits(total) > MAX_BITS * 2:
        raise NotExact
    return total


def series(op: str, args: list, env: dict, value):
    """A finite sum or product with constant bounds, term by term."""
    body, index, low, high = args
    try:
        start, stop = exact(low, env), exact(high, env)
    except NotExact:
        raise NoValue(op) from None
    if start.denominator != 1 or stop.denominator != 1 or stop - start > MAX_TERMS:
        raise NoValue(op)
    total = None
    for k in range(int(start), int(stop) + 1):
        term = value(body, {**env, index.name: Fraction(k)})
        total = term if total is None else total + term if op == "sum" else total * term
    if total is None:
        return Fraction(op == "prod")
    return total
