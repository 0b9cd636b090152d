"""The writing half of codec.py: a value of the program's as tagged canonical JSON.

Runs beside the untrusted program, on its values: it never trusts a method of theirs, only exact types. Which tags there
are: codec.py.
"""

import re
import sys
from _json import encode_basestring_ascii as quote
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

SAFE_INT = 2**53


class Bounds(NamedTuple):
    """How large a value may be before it counts as `output_limit`."""

    depth: int = 20
    items: int = 5_000
    digits: int = 20_000
    characters: int = 65_536


class TooLarge(Exception):
    """The value is outside the bounds; the text says which."""


class Encoder:
    """Encodes one value; `text_of` may be given the value's own `str` when the caller has it already."""

    def __init__(self, bounds: Bounds = Bounds()):  # noqa: B008 (a tuple)
        self.bounds = bounds
        # decimal digits -> bits, rounded up: the length is known without converting
        self.max_bits = int(bounds.digits * 3.33) + 1
        self.items = 0
        self.size = 0

    def encode(self, value: object) -> str:
        """The tagged JSON text of `value`. Raises `TooLarge`; whatever a hostile `__repr__` raises is caught."""
        self.items = self.size = 0
        text = self._value(value, 0)
        if len(text) > self.bounds.characters:
            raise TooLarge("characters")
        return text

    def _value(self, value: object, depth: int) -> str:
        kind = type(value)
        if kind is int:
            return self._int(value)
        if kind is str:
            return self._str(value)
        if kind is float:
            return _float(value)
        if value is None:
            return "null"
        if kind is bool:
            return "true" if value else "false"
        if kind in _CONTAINERS:
            if depth >= self.bounds.depth:
                raise TooLarge("depth")
            self.items += len(value)
            if self.items > self.bounds.items:
                raise TooLarge("items")
            if kind is list:
                return "[" + self._all(value, depth) + "]"
            if kind is tuple:
                return '{"$tuple":[' + self._all(value, depth) + "]}"
            if kind is dict:
                return self._dict(value, depth)
            parts = sorted(self._value(item, depth + 1) for item in value)
            return '{{"${}":[{}]}}'.format("set" if kind is set else "frozenset", ",".join(parts))
        return self._exotic(value, kind, depth)

    def _all(self, values, depth: int) -> str:
        parts = []
        for value in values:
            part = self._value(value, depth + 1)
            self.size += len(part)
            if self.size > 4 * self.bounds.characters:  # stop early; the exact bound is checked on the whole text
                raise TooLarge("characters")
            parts.append(part)
        return ",".join(parts)

    def _dict(self, value: dict, depth: int) -> str:
        if all(type(key) is str and key[:1] != "$" for key in value):
            parts = [quote(key) + ":" + self._value(item, depth + 1) for key, item in value.items()]
            return "{" + ",".join(parts) + "}"
        parts = []
        for key, item in value.items():
            parts.append("[" + self._value(key, depth + 1) + "," + self._value(item, depth + 1) + "]")
        return '{"$dict":[' + ",".join(parts) + "]}"

    def _int(self, value: int) -> str:
        if -SAFE_INT <= value <= SAFE_INT:
            return int_repr(value)
        return '{"$int":"' + self._digits(value) + '"}'

    def _digits(self, value: int) -> str:
        if value.bit_length() > self.max_bits:
            raise TooLarge("digits")
        text = long_text(value)
        if len(text) - (value < 0) > self.bounds.digits:
            raise TooLarge("digits")
        return text

    def _str(self, value: str) -> str:
        if len(value) > self.bounds.characters:
            raise TooLarge("characters")
        return quote(value)

    def _exotic(self, value: object, kind: type, depth: int) -> str:
        if kind is Fraction:
            numerator, denominator = self._digits(value.numerator), self._digits(value.denominator)
            return '{"$frac":"' + numerator + "/" + denominator + '"}'
        if kind is Decimal:
            return '{"$dec":' + self._str(Decimal.__str__(value)) + "}"
        if kind is complex:
            return '{"$complex":[' + _float(value.real) + "," + _float(value.imag) + "]}"
        if kind is bytes:
            if len(value) * 2 > self.bounds.characters:
                raise TooLarge("characters")
            return '{"$bytes":"' + bytes.hex(value) + '"}'
        if kind is range:
            numbers = (value.start, value.stop, value.step)
            return '{"$range":[' + ",".join(self._int(number) for number in numbers) + "]}"
        numpy, sympy = sys.modules.get("numpy"), sys.modules.get("sympy")
        if numpy is not None and _is_numpy(kind, numpy):
            return self._numpy(value, kind, numpy, depth)
        if sympy is not None and _is_sympy(kind, sympy):
            return self._sympy(value, kind, sympy)
        return f'{{"$repr":{{"class":{quote(_class_name(kind))},"text":{self._str(masked(safe_text(value, repr)))}}}}}'

    def _numpy(self, value, kind: type, numpy, depth: int) -> str:
        if depth >= self.bounds.depth:
            raise TooLarge("depth")
        array = numpy.ndarray
        if kind is array:
            shape, size, dtype = value.shape, value.size, value.dtype
            self.items += size
            if self.items > self.bounds.items or any(length > SAFE_INT for length in shape):
                raise TooLarge("items")
            data = value.ravel().tolist()
        else:
            shape, dtype, data = (), value.dtype, [value.item()]
        if str(dtype) in ("float128", "longdouble", "complex256", "clongdouble"):
            data = [str(item) for item in data]  # `tolist` leaves them as they are; JSON floats would lose digits
        return '{{"$np":{{"dtype":{},"shape":{},"data":[{}]}}}}'.format(
            quote(str(dtype)),
            "[" + ",".join(int_repr(length) for length in shape) + "]",
            self._all(data, depth + 1),
        )

    def _sympy(self, value, kind: type, sympy) -> str:
        integer, rational = sympy.Integer, sympy.Rational
        if kind is integer or kind in (
            sympy.core.numbers.Zero,
            sympy.core.numbers.One,
            sympy.core.numbers.NegativeOne,
        ):
            text = self._digits(value.p)
            code = "Integer(" + text + ")"
        elif kind is rational or kind is sympy.core.numbers.Half:
            text = self._digits(value.p) + "/" + self._digits(value.q)
            code = "Rational(" + text.replace("/", ", ") + ")"
        else:
            text, code = safe_text(value, str), safe_text(value, sympy.srepr)
        return '{"$sympy":{"str":' + self._str(text) + ',"srepr":' + self._str(code) + "}}"


_CONTAINERS = frozenset((list, tuple, dict, set, frozenset))
int_repr = int.__repr__
_repr_float = float.__repr__
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")


def _float(value: float) -> str:
    if value - value == 0.0:
        return _repr_float(value)
    return '{"$float":"%s"}' % ("nan" if value != value else "inf" if value > 0 else "-inf")


def masked(text: str) -> str:
    """`text` without memory addresses, which differ from run to run."""
    return _ADDRESS.sub(" at 0x…", text) if " at 0x" in text else text


def safe_text(value: object, function) -> str:
    """`function(value)` (`str`, `repr`), or a description when a hostile or broken method raises or returns no text."""
    try:
        text = function(value)
        return text if type(text) is str else str.__str__(text)
    except MemoryError:
        raise
    except BaseException as error:
        return f"<{_class_name(type(value))}: {_class_name(type(error))} raised>"


_type_name = type.__dict__["__name__"].__get__
_type_module = type.__dict__["__module__"].__get__


def _class_name(kind: type) -> str:
    name = _type_name(kind)
    try:
        module = _type_module(kind)
    except AttributeError:
        module = ""
    if type(module) is not str or module in ("builtins", "__main__", ""):
        return str.__str__(name)[:200]
    return (module + "." + name)[:200]


def _is_numpy(kind: type, numpy) -> bool:
    return kind is numpy.ndarray or (numpy.generic in kind.__mro__ and kind.__module__ == "numpy")


def _is_sympy(kind: type, sympy) -> bool:
    module = kind.__module__
    return (
        type(module) is str
        and module.startswith("sympy.")
        and (sympy.Basic in kind.__mro__ or sympy.matrices.MatrixBase in kind.__mro__ or hasattr(kind, "_sympystr"))
    )


def long_text(value: int) -> str:
    """`str(value)` also beyond the interpreter's own limit on digits."""
    try:
        return int_repr(value)
    except ValueError:
        parts, rest = [], abs(value)
        while rest:
            rest, part = divmod(rest, 10**4_000)
            parts.append(int_repr(part).zfill(4_000))
        return "-" * (value < 0) + "".join(reversed(parts)).lstrip("0")
