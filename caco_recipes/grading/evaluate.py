"""Values of scalar trees: exact rationals where possible, doubles at fixed points, and 40 digits where doubles are close.

Two expressions are the same if they agree at every fixed point where both are real (or, if they are real almost nowhere, in
the complex plane). Sizes are bounded before anything is computed, so no input can make this hang.
"""

import cmath
import math
import zlib
from fractions import Fraction

import mpmath

from caco_recipes.grading.syntax import App, Num, Quantity, Ratio, Sym

MAX_BITS = 120_000
MAX_TERMS = 2000
_CONSTANTS = {"pi", "e", "i", "oo", "nan", "zoo", "..."}
_NO_POINT = {"oo", "nan", "zoo", "..."}
# Fixed points: real, of different sizes and signs, nothing special about them.
_POINTS = (0.7361, -1.3127, 3.4457, 11.2339, 1.8713, 0.2179)
_MP = mpmath.mp.clone()
_MP.dps = 40


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


def float_literals(node) -> tuple[int, int]:
    """(most significant digits, most decimal places) among the decimal literals of a tree."""
    if isinstance(node, Num):
        return node.digits, node.places if node.digits else 0
    digits = places = 0
    for arg in getattr(node, "args", None) or getattr(node, "parts", ()):
        d, p = float_literals(arg)
        digits, places = max(digits, d), max(places, p)
    return digits, places


def point(name: str, index: int) -> Fraction:
    """The value of a symbol at a fixed point: a decimal that depends on the name only."""
    shift = zlib.crc32(name.encode()) % 8191
    return Fraction(round(_POINTS[index] * 10_000), 10_000) * (Fraction(shift, 40_951) + 1)


def _bits(value: Fraction) -> int:
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
        if abs(power) > 20_000 or _bits(base) * abs(power) > MAX_BITS:
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
            total = _series(op, args, env, exact)
        except NoValue:
            raise NotExact from None
    elif op == "Mod" and len(args) == 2:
        total = exact(args[0], env) % exact(args[1], env)
    else:
        raise NotExact
    if _bits(total) > MAX_BITS * 2:
        raise NotExact
    return total


class _Doubles:
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


class _Precise:
    """The same with 40 digits."""

    @staticmethod
    def number(value: Fraction):
        return _MP.mpf(value.numerator) / value.denominator

    pi, e, i = +_MP.pi, +_MP.e, _MP.mpc(0, 1)

    @staticmethod
    def power(base, exponent):
        if base != 0:
            size = abs(_MP.log(abs(base), 2) * abs(exponent))
            if size > 1e7:
                raise TooBig("power")
        elif _MP.re(exponent) < 0:
            raise ZeroDivisionError
        return _MP.power(base, exponent)

    @staticmethod
    def call(name: str, x):
        if abs(x) > 1e12 and name not in ("log",):
            raise TooBig(name)
        return getattr(_MP, name)(x)

    @staticmethod
    def is_real(value) -> bool:
        return not isinstance(value, _MP.mpc)

    @staticmethod
    def gamma(x):
        if abs(x) > 1e6:
            raise TooBig("gamma")
        return _MP.gamma(x)


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
    return value if _bits(value) < 64 else None


def approximate(node, env: dict, field):
    """Numeric value in `field` (`_Doubles` or `_Precise`). Raises `NoValue`, `OverflowError`, `ZeroDivisionError`, `ValueError`."""
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
        return _series(op, args, env, lambda body, inner: approximate(body, inner, field))
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
        return 1 / field.call(_RECIPROCAL[op], first)
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
    if op == "re":
        return first.real if not field.is_real(first) else first
    if op == "im":
        return first.imag if not field.is_real(first) else field.number(Fraction(0))
    if op in ("erf", "erfc") and field.is_real(first) and field is _Doubles:
        return float(getattr(math, op)(first))
    if op in ("erf", "erfc", "zeta", "conjugate", "arg") and field is _Precise:
        return getattr(_MP, op)(first)
    if op.startswith("call:"):
        return _unknown_function(op, values, field)
    raise NoValue(op)


def _unknown_function(name: str, values: list, field):
    """A fixed value for a function nobody defined: equal for equal arguments, and for nothing else in practice."""
    total = field.number(Fraction(zlib.crc32(name.encode()) % 9973, 9973)) + 1
    for place, value in enumerate(values):
        total = total * (value + place + 1) + value * value / 7
    return total


def _series(op: str, args: list, env: dict, value):
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


def _power(op: str, args: list, env: dict, field):
    base = approximate(args[0], env, field)
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


_FAULTS = (NoValue, OverflowError, ZeroDivisionError, ValueError, TypeError, NotImplementedError)


def _close(a, b, tolerance: float) -> bool:
    difference = abs(a - b)
    return difference <= tolerance * max(abs(a), abs(b)) or difference <= tolerance * 1e-6


def _tolerance(left, right) -> float:
    """Relative tolerance that the decimals written on either side deserve: none unless they are a printed double."""
    digits = max(float_literals(left)[0], float_literals(right)[0])
    if digits >= 15:
        return 1e-10
    if digits >= 11:
        return 0.51 * 10.0 ** (1 - digits)
    return 0.0


def same_number(left: Num, right: Num) -> bool:
    """Two literals: equal, or one is a printed double (11 significant digits and more) of the other."""
    if left.value == right.value:
        return True
    digits = max(left.digits, right.digits)
    if digits < 11:
        return False
    a, b = (left, right) if left.digits >= right.digits else (right, left)
    difference = abs(a.value - b.value)
    if b.value == 0:
        return digits >= 15 and difference < Fraction(1, 10**13)
    if digits >= 16:  # a double printed in full: the rounding noise of a few operations is beyond its 14th digit
        return a.places > b.places and difference < Fraction(6, 10**14) * abs(b.value)
    if digits == 15 and (b.digits or b.value.denominator == 1):
        return False
    if b.digits and b.digits < 11:
        return False
    return abs(a.value - b.value) * 10**a.places <= Fraction(51, 100) and b.places > a.places


def same_value(left, right) -> bool | None:
    """Whether two scalar trees are the same function of their symbols; None if that can't be told."""
    if isinstance(left, Num) and isinstance(right, Num):
        return same_number(left, right)
    try:
        names_left, names_right = symbols(left), symbols(right)
    except NoValue:
        return True if left == right else None
    names = names_left | names_right
    if not names:
        return _same_constant(left, right)
    if len(names) > 12:
        return True if left == right else None
    return _same_function(left, right, names)


def _same_constant(left, right) -> bool | None:
    tolerance = _tolerance(left, right)
    try:
        a, b = exact(left, {}), exact(right, {})
        if a == b:
            return True
        if not tolerance:
            return False
        return abs(a - b) <= Fraction(tolerance) * max(abs(a), abs(b))
    except NotExact:
        pass
    except ZeroDivisionError:
        return left == right
    except NoValue:
        return _decide_unknown(left, right)
    try:
        a, b = approximate(left, {}, _Doubles), approximate(right, {}, _Doubles)
        if not _finite(a) or not _finite(b):
            raise OverflowError
        if not _close(a, b, max(1e-6, tolerance)):
            return False
    except OverflowError:
        pass
    except _FAULTS:
        return _decide_unknown(left, right)
    return _precise_same(left, right, {}, tolerance)


def _finite(value) -> bool:
    return cmath.isfinite(value)


def _decide_unknown(left, right) -> bool | None:
    return True if left == right else None


def _precise_same(left, right, env: dict, tolerance: float) -> bool | None:
    too_big = 0
    values = []
    for node in (left, right):
        try:
            values.append(approximate(node, env, _Precise))
        except TooBig:
            too_big += 1
        except _FAULTS:
            return _decide_unknown(left, right)
    if too_big == 1:
        return False
    if too_big == 2:
        return _same_tower(left, right)
    return bool(_close(values[0], values[1], max(tolerance, 1e-25)))


def _same_tower(left, right) -> bool | None:
    """Two powers too large to compute: equal if base and exponent are, different if only one of the two is."""
    if isinstance(left, App) and isinstance(right, App) and left.op == right.op == "^":
        base, exponent = same_value(left.args[0], right.args[0]), same_value(left.args[1], right.args[1])
        if base and exponent:
            return True
        if (base and exponent is False) or (exponent and base is False):
            return False
    return _decide_unknown(left, right)


def _same_function(left, right, names: set) -> bool | None:
    tolerance = _tolerance(left, right)
    envs = [{name: point(name, index) for name in names} for index in range(len(_POINTS))]
    if not tolerance:
        try:
            return _same_rational(left, right, envs)
        except NotExact:
            pass
    real = complex_same = complex_different = seen = 0
    close_env = None
    for env in envs:
        try:
            a, b = approximate(left, env, _Doubles), approximate(right, env, _Doubles)
            if not _finite(a) or not _finite(b):
                continue
        except _FAULTS:
            continue
        seen += 1
        same = _close(a, b, max(1e-8, tolerance))
        if isinstance(a, complex) and abs(a.imag) < 1e-13 * (abs(a.real) + 1e-3):
            a = a.real
        if isinstance(b, complex) and abs(b.imag) < 1e-13 * (abs(b.real) + 1e-3):
            b = b.real
        if isinstance(a, float) and isinstance(b, float):
            if not same:
                return False if not _cancels(a, b) else None
            real += 1
            close_env = env
        elif isinstance(a, complex) and isinstance(b, complex):
            complex_same += same
            complex_different += not same
            if same:
                close_env = close_env or env
        elif env[min(names)] > 0:  # real on one side only, at positive values
            complex_different += 1
    if real >= 2 or (real == 1 and not complex_different) or (complex_same >= 2 and not complex_different):
        return _precise_same(left, right, close_env, tolerance)
    if complex_different or (seen and not complex_same):
        return False
    return _decide_unknown(left, right)


def _cancels(a: float, b: float) -> bool:
    return abs(a) < 1e-12 and abs(b) < 1e-12


def _same_rational(left, right, envs: list[dict]) -> bool | None:
    agreed = 0
    for env in envs[:4]:
        try:
            a = exact(left, env)
            b = exact(right, env)
        except ZeroDivisionError:
            continue
        if a != b:
            return False
        agreed += 1
    return True if agreed else None


def real_value(node) -> float | None:
    """A double for ordering interval ends; ±inf for infinities, None if the tree isn't a real constant."""
    if isinstance(node, Sym) and node.name == "oo":
        return math.inf
    if isinstance(node, App) and node.op == "neg" and isinstance(node.args[0], Sym) and node.args[0].name == "oo":
        return -math.inf
    if isinstance(node, Quantity):
        node = node.value
    try:
        value = approximate(node, {}, _Doubles)
    except _FAULTS:
        return None
    return value if isinstance(value, float) and _finite(value) else None


def proportional(left, right) -> Fraction | float | None:
    """The nonzero constant k with left = k·right at every fixed point, or None. Both are differences of an equation's sides."""
    try:
        names = symbols(left) | symbols(right)
    except NoValue:
        return None
    if not names or len(names) > 12:
        return None
    factor = None
    agreed = 0
    for index in range(len(_POINTS)):
        env = {name: point(name, index) for name in names}
        try:
            a, b = exact(left, env), exact(right, env)
        except NotExact:
            try:
                a, b = approximate(left, env, _Doubles), approximate(right, env, _Doubles)
            except _FAULTS:
                continue
            if isinstance(a, complex) or isinstance(b, complex) or not _finite(a) or not _finite(b):
                continue
        except ZeroDivisionError:
            continue
        if b == 0 or a == 0:
            if a != b:
                return None
            continue
        ratio = a / b
        if factor is None:
            factor = ratio
        elif isinstance(ratio, Fraction) and isinstance(factor, Fraction):
            if ratio != factor:
                return None
        elif abs(float(ratio) - float(factor)) > 1e-9 * abs(float(factor)):
            return None
        agreed += 1
    return factor if agreed >= 3 else None


def constant_value(node) -> Fraction | None:
    """The real value of a tree without symbols, as a fraction good to 30 digits; None if it has none."""
    if isinstance(node, Quantity):
        node = node.value
    if isinstance(node, App) and node.op in ("pct", "deg"):
        node = node.args[0]
    try:
        return exact(node, {})
    except NotExact:
        pass
    except ZeroDivisionError:
        return None
    try:
        value = approximate(node, {}, _Precise)
        if not _Precise.is_real(value) or abs(value) > 1e300:
            return None
        return Fraction(int(_MP.nint(value * _MP.mpf(10) ** 30)), 10**30)
    except _FAULTS:
        return None
