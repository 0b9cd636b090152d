"""Numeric values of trees: complex doubles that stay real while the values are, and the same with 80 digits."""

import cmath
import math
import zlib
from fractions import Fraction

import mpmath

from caco_recipes.grading.exact import NotExact, NoValue, TooBig, bits, exact, series
from caco_recipes.grading.syntax import App, Num, Ratio, Sym

MP = mpmath.mp.clone()
MP.dps = 80


class Doubles:
    """Complex double arithmetic that stays real while the values are."""

    @staticmethod
    def number(value: Fraction):
        return value.numerator / value.denominator

    pi, e, i = math.pi, math.e, 1j

    @staticmethod
    def power(base, exponent):
        if isinstance(base, float) and isinstance(exponent, float):
            if base < 0 and exponent != int(exponent):
                return complex(base) ** exponent
            return base**exponent
        return base**exponent

    @staticmethod
    def call(name: str, x):
        if isinstance(x, complex) and x.imag == 0:
            x = x.real
        if isinstance(x, float):
            try:
                return float(getattr(math, name)(x))
            except ValueError:
                pass
        return getattr(cmath, name)(x)

    @staticmethod
    def is_real(value) -> bool:
        return isinstance(value, float)

    @staticmethod
    def gamma(x):
        if not isinstance(x, float):
            raise NoValue("gamma")
        return math.gamma(x)


class Precise:
    """The same with 80 digits."""

    @staticmethod
    def number(value: Fraction):
        return MP.mpf(value.numerator) / value.denominator

    pi, e, i = +MP.pi, +MP.e, MP.mpc(0, 1)

    @staticmethod
    def power(base, exponent):
        if base != 0:
            size = abs(MP.log(abs(base), 2) * abs(exponent))
            if size > 1e7:
                raise TooBig("power")
        elif MP.re(exponent) < 0:
            raise ZeroDivisionError
        return MP.power(base, exponent)

    @staticmethod
    def call(name: str, x):
        if abs(x) > 1e12 and name not in ("log",):
            raise TooBig(name)
        return getattr(MP, name)(x)

    @staticmethod
    def is_real(value) -> bool:
        return not isinstance(value, MP.mpc)

    @staticmethod
    def gamma(x):
        if abs(x) > 1e6:
            raise TooBig("gamma")
        return MP.gamma(x)


_DIRECT = {"sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"}
_RECIPROCAL = {"sec": "cos", "csc": "sin", "cot": "tan", "sech": "cosh", "csch": "sinh", "coth": "tanh"}
_INVERSE = {"asec": "acos", "acsc": "asin", "acot": "atan"}
_TRIG = {"sin", "cos", "tan", "sec", "csc", "cot"}


def _has_degrees(node) -> bool:
    if isinstance(node, App):
        return node.op == "deg" or any(_has_degrees(arg) for arg in node.args)
    return False


def _small_fraction(node) -> Fraction | None:
    try:
        value = exact(node, {})
    except (NotExact, ZeroDivisionError):
        return None
    return value if bits(value) < 64 else None


def approximate(node, env: dict, field):
    """Numeric value in `field` (`Doubles` or `Precise`). Raises `NoValue`, `OverflowError`, `ZeroDivisionError`, `ValueError`."""
    if isinstance(node, Num):
        return field.number(node.value)
    if isinstance(node, Sym):
        name = node.name
        if name == "pi":
            return field.pi
        if name == "e":
            return field.e
        if name == "i":
            return field.i
        if name not in env:
            raise NoValue(name)
        return field.number(env[name])
    if isinstance(node, Ratio) and len(node.parts) == 2:
        return approximate(node.parts[0], env, field) / approximate(node.parts[1], env, field)
    if not isinstance(node, App):
        raise NoValue(type(node).__name__)
    op, args = node.op, node.args
    if op in ("sum", "prod"):
        return series(op, args, env, lambda body, inner: approximate(body, inner, field))
    if op in ("^", "root"):
        return _power(op, args, env, field)
    if op in _TRIG and _has_degrees(args[0]):
        x = approximate(args[0], {**env, "°": Fraction(1, 180)}, field)
        return field.call(op, x) if op in _DIRECT else 1 / field.call(_RECIPROCAL[op], x)
    values = [approximate(arg, env, field) for arg in args]
    first = values[0]
    if op == "+":
        return sum(values[1:], first)
    if op == "*":
        for value in values[1:]:
            first = first * value
        return first
    if op == "/":
        _not_noise(values[1], args[1], field)
        return first / values[1]
    if op == "neg":
        return -first
    if op == "pct":
        return first / 100
    if op == "deg":
        return first * field.pi * field.number(env["°"]) if "°" in env else first
    if op == "abs":
        return abs(first)
    if op in _DIRECT:
        return field.call(op, first)
    if op in _RECIPROCAL:
        below = field.call(_RECIPROCAL[op], first)
        _not_noise(below, None, field)
        return 1 / below
    if op in _INVERSE:
        return field.call(_INVERSE[op], 1 / first)
    if op in ("ln", "log?"):
        if first == 0:
            raise NoValue("log 0")
        return field.call("log", first)
    if op == "log10?":
        if first == 0:
            raise NoValue("log 0")
        return field.call("log", first) / field.call("log", field.number(Fraction(10)))
    if op == "log":
        if first == 0 or values[1] == 0:
            raise NoValue("log 0")
        return field.call("log", first) / field.call("log", values[1])
    if op == "!":
        return field.gamma(first + 1)
    if op in ("gamma", "Gamma"):
        return field.gamma(first)
    if op in ("floor", "ceil", "max", "min", "sign", "sgn", "Mod"):
        if not all(field.is_real(v) for v in values):
            raise NoValue(op)
        if op in ("max", "min"):
            return max(values) if op == "max" else min(values)
        if op in ("sign", "sgn"):
            return field.number(Fraction((first > 0) - (first < 0)))
        if op == "Mod":
            return first % values[1]
        if abs(first) > 1e15:
            raise TooBig(op)
        return field.number(Fraction(math.floor(first) if op == "floor" else math.ceil(first)))
    if op == "binomial":
        n, k = first, values[1]
        return field.gamma(n + 1) / (field.gamma(k + 1) * field.gamma(n - k + 1))
    if op == "conjugate":
        return first.conjugate()
    if op == "re":
        return first.real if not field.is_real(first) else first
    if op == "im":
        return first.imag if not field.is_real(first) else field.number(Fraction(0))
    if op in ("erf", "erfc") and field.is_real(first) and field is Doubles:
        return float(getattr(math, op)(first))
    if op in ("erf", "erfc", "zeta", "arg") and field is Precise:
        return getattr(MP, op)(first)
    if op.startswith("call:"):
        return _unknown_function(op, values, field)
    raise NoValue(op)


def _not_noise(below, node, field) -> None:
    """Refuses a denominator that is zero but for the last digits (sin π): what is divided by it is anything."""
    if abs(below) >= (1e-13 if field is Doubles else 1e-60):
        return
    try:
        if node is not None and exact(node, {}) != 0:
            return
    except (NotExact, ZeroDivisionError):
        pass
    raise NoValue("a denominator that is nearly zero")


def _unknown_function(name: str, values: list, field):
    """A fixed value for a function nobody defined: equal for equal arguments, and for nothing else in practice."""
    total = field.number(Fraction(zlib.crc32(name.encode()) % 9973, 9973)) + 1
    for place, value in enumerate(values):
        total = total * (value + place + 1) + value * value / 7
    return total


def _power(op: str, args: list, env: dict, field):
    base = approximate(args[0], env, field)
    if base != 0 and isinstance(args[1], Num) and args[1].value < 0:
        _not_noise(base, args[0], field)
    rational = _small_fraction(args[1])
    if op == "root":
        if rational == 2:
            if (field.is_real(base) and base >= 0) or not field.is_real(base):
                return field.call("sqrt", base)
            return field.i * field.call("sqrt", -base)
        if rational is not None and rational != 0:
            rational = 1 / rational
            exponent = field.number(rational)
        else:
            exponent = 1 / approximate(args[1], env, field)
    else:
        exponent = field.number(rational) if rational is not None else approximate(args[1], env, field)
    if (
        rational is not None
        and rational.denominator % 2 == 1
        and rational.denominator > 1
        and field.is_real(base)
        and base < 0
    ):
        # the real odd root, as school mathematics has it
        value = field.power(-base, exponent)
        return -value if rational.numerator % 2 else value
    if isinstance(base, complex) and base.imag == 0:
        base = base.real
    return field.power(base, exponent)
