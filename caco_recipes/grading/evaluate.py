"""Whether two scalar trees are the same value or function: exactly where they are rational, else at fixed points in doubles and once
more with 80 digits. Two expressions are the same if they agree at every fixed point where both are real (or, if they are real almost
nowhere, in the complex plane)."""

import cmath
import math
from fractions import Fraction

from caco_recipes.grading.exact import POINTS, NotExact, NoValue, TooBig, exact, point, symbols
from caco_recipes.grading.numeric import MP, Doubles, Precise, approximate
from caco_recipes.grading.syntax import App, Num, Quantity, Sym

_STEPS = {"floor", "ceil", "Mod", "sign", "sgn", "gcd", "lcm"}
_FAULTS = (NoValue, OverflowError, ZeroDivisionError, ValueError, TypeError, NotImplementedError)


def float_literals(node) -> tuple[int, int]:
    """(most significant digits, most decimal places) among the decimal literals of a tree."""
    if isinstance(node, Num):
        return node.digits, node.places if node.digits else 0
    digits = places = 0
    for arg in getattr(node, "args", None) or getattr(node, "parts", ()):
        d, p = float_literals(arg)
        digits, places = max(digits, d), max(places, p)
    return digits, places


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
        a, b = approximate(left, {}, Doubles), approximate(right, {}, Doubles)
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
            values.append(approximate(node, env, Precise))
        except TooBig:
            too_big += 1
        except _FAULTS:
            return _decide_unknown(left, right)
    if too_big == 1:
        return False
    if too_big == 2:
        return _same_tower(left, right)
    return bool(_close(values[0], values[1], max(tolerance, 1e-55)))


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
    envs = [{name: point(name, index) for name in names} for index in range(len(POINTS))]
    whole = _whole_points(names) if _has_steps(left) or _has_steps(right) else []
    if not tolerance:
        try:
            return _same_rational(left, right, envs[:4] + whole)
        except NotExact:
            pass
    real = complex_same = complex_different = seen = 0
    close_env = None
    for env in envs + whole:
        try:
            a, b = approximate(left, env, Doubles), approximate(right, env, Doubles)
            if not _finite(a) or not _finite(b):
                continue
        except _FAULTS:
            continue
        seen += 1
        same = _close(a, b, max(1e-8, tolerance))
        through_complex = isinstance(a, complex) or isinstance(b, complex)
        if isinstance(a, complex) and abs(a.imag) < 1e-13 * (abs(a.real) + 1e-3):
            a = a.real
        if isinstance(b, complex) and abs(b.imag) < 1e-13 * (abs(b.real) + 1e-3):
            b = b.real
        if isinstance(a, float) and isinstance(b, float):
            if not same and through_complex:  # √a·√b and √(ab) part where neither root is real
                complex_different += 1
                continue
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


def _has_steps(node) -> bool:
    """Whether a tree jumps (floor, remainder): a few points between the jumps don't tell two of those apart."""
    return isinstance(node, App) and (node.op in _STEPS or any(_has_steps(arg) for arg in node.args))


def _whole_points(names: set) -> list[dict]:
    ordered = sorted(names)
    return [
        {name: Fraction((k * (2 * place + 1) + place) % 23 + 1) for place, name in enumerate(ordered)}
        for k in range(20)
    ]


def _cancels(a: float, b: float) -> bool:
    return abs(a) < 1e-12 and abs(b) < 1e-12


def _same_rational(left, right, envs: list[dict]) -> bool | None:
    agreed = 0
    for env in envs:
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
        value = approximate(node, {}, Doubles)
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
    for index in range(len(POINTS)):
        env = {name: point(name, index) for name in names}
        try:
            a, b = exact(left, env), exact(right, env)
        except NotExact:
            try:
                a, b = approximate(left, env, Doubles), approximate(right, env, Doubles)
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
        value = approximate(node, {}, Precise)
        if not Precise.is_real(value) or abs(value) > 1e300:
            return None
        return Fraction(int(MP.nint(value * MP.mpf(10) ** 30)), 10**30)
    except _FAULTS:
        return None
