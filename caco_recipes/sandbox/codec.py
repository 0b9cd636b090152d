"""Python values as tagged canonical JSON: exact, typed, bounded; written inside the sandbox, read outside of it.

`Encoder.encode` runs beside the untrusted program, on its values: it never trusts a method of theirs, only exact types.
`check` runs in the coordinator on untrusted bytes: strict JSON within bounds, every tag well formed; nothing is
unpickled, evaluated or imported. `decode` turns a checked text into Python values for those who compare answers.

Plain JSON stands for None, bool, str, finite float, int within ±2**53, list, and dict whose keys are all strings (in
the order of insertion). Everything else is an object with one key:

    $int "…"   $float "nan" | "inf" | "-inf"   $tuple […]   $set […] and $frozenset […] (sorted by their text)
    $dict [[key, value], …]   $frac "a/b"   $dec "…"   $complex [re, im]   $bytes "hex"   $range [start, stop, step]
    $np {dtype, shape, data}   $sympy {str, srepr}   $repr {class, text} (addresses masked)
"""

import json
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


# ------------------------------------------------------------------------------------------------ encoding


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


# ------------------------------------------------------------------------------------------------ checking

_DIGITS = re.compile(r"-?(0|[1-9][0-9]*)\Z")
_DECIMAL = re.compile(r"-?([0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,19})?|Infinity|s?NaN[0-9]*)\Z")


class NotTagged(ValueError):
    """The text is not tagged canonical JSON within the bounds."""


def check(text: str, bounds: Bounds = Bounds()) -> str:  # noqa: B008
    """Returns `text` when it is strict tagged JSON within `bounds`; raises `NotTagged` otherwise.

    Constant work per character; runs no code of the value's.
    """
    _parse(text, bounds)
    return text


def _parse(text: str, bounds: Bounds):
    if type(text) is not str or len(text) > bounds.characters:
        raise NotTagged("too many characters")
    try:
        value = json.loads(
            text, parse_int=_small_int, parse_float=_finite, parse_constant=_no_constant, object_pairs_hook=_pairs
        )
    except RecursionError:
        raise NotTagged("nested too deep") from None
    except ValueError as error:
        raise NotTagged(f"not strict JSON: {str(error)[:200]}") from None
    # `$` tags add a level of JSON for each level of the value
    _check_value(value, bounds, [0], bounds.depth + 2)
    return value


def _small_int(text: str) -> int:
    if len(text) > 17 or abs(int(text)) > SAFE_INT:
        raise ValueError("a bare integer beyond 2**53")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if value - value != 0.0:
        raise ValueError("a float that is not finite")
    return value


def _no_constant(text: str):
    raise ValueError(f"{text} is not JSON")


def _pairs(pairs: list) -> dict:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a key appears twice")
    return found


def _check_value(value, bounds: Bounds, count: list[int], depth: int) -> None:
    kind = type(value)
    if kind is not list and kind is not dict:
        return
    if depth <= 0:
        raise NotTagged("nested too deep")
    if kind is dict and len(value) == 1:
        ((tag, body),) = value.items()
        if tag[:1] == "$":
            _check_tag(tag, body, bounds, count, depth)
            return
    count[0] += len(value)
    if count[0] > 2 * bounds.items:  # a pair counts as two
        raise NotTagged("too many items")
    if kind is dict and any(key[:1] == "$" for key in value):
        raise NotTagged("an unknown tag")
    for item in value if kind is list else value.values():
        _check_value(item, bounds, count, depth - 1)


def _check_tag(tag: str, body, bounds: Bounds, count: list[int], depth: int) -> None:
    if tag in ("$tuple", "$set", "$frozenset"):
        _require(type(body) is list, tag)
        _check_value(body, bounds, count, depth)
    elif tag == "$int":
        _require(type(body) is str and len(body) <= bounds.digits + 1 and _DIGITS.match(body) is not None, tag)
    elif tag == "$float":
        _require(body in ("nan", "inf", "-inf"), tag)
    elif tag == "$dict":
        _require(type(body) is list and all(type(pair) is list and len(pair) == 2 for pair in body), tag)
        count[0] += len(body)
        for pair in body:
            _check_value(pair, bounds, count, depth)
    elif tag == "$frac":
        parts = body.split("/") if type(body) is str else ()
        _require(len(parts) == 2 and all(_DIGITS.match(p) and len(p) <= bounds.digits + 1 for p in parts), tag)
        _require(parts[1][0] not in "-0", tag)
    elif tag == "$dec":
        _require(type(body) is str and _DECIMAL.match(body) is not None, tag)
    elif tag == "$complex":
        _require(type(body) is list and len(body) == 2 and all(_is_float(part) for part in body), tag)
    elif tag == "$bytes":
        _require(type(body) is str and re.fullmatch(r"([0-9a-f]{2})*", body) is not None, tag)
    elif tag == "$range":
        _require(type(body) is list and len(body) == 3 and all(_is_int(part, bounds) for part in body), tag)
        _require(body[2] != 0, tag)
    elif tag == "$np":
        _require(type(body) is dict and list(body) == ["dtype", "shape", "data"] and type(body["dtype"]) is str, tag)
        _require(type(body["shape"]) is list and all(type(n) is int and n >= 0 for n in body["shape"]), tag)
        _require(type(body["data"]) is list, tag)
        size = 1
        for length in body["shape"]:
            size *= length
        _require(size == len(body["data"]), tag)
        _check_value(body["data"], bounds, count, depth)
    elif tag == "$sympy":
        _require(_two_texts(body, ["str", "srepr"]), tag)
    elif tag == "$repr":
        _require(_two_texts(body, ["class", "text"]), tag)
    else:
        raise NotTagged("an unknown tag")


def _require(condition: bool, tag: str) -> None:
    if not condition:
        raise NotTagged(f"malformed {tag}")


def _two_texts(body, names: list[str]) -> bool:
    return type(body) is dict and list(body) == names and all(type(text) is str for text in body.values())


def _is_float(part) -> bool:
    return type(part) is float or (
        type(part) is dict and list(part) == ["$float"] and part["$float"] in ("nan", "inf", "-inf")
    )


def _is_int(part, bounds: Bounds) -> bool:
    if type(part) is dict and list(part) == ["$int"]:
        body = part["$int"]
        return type(body) is str and len(body) <= bounds.digits + 1 and _DIGITS.match(body) is not None
    return type(part) is int


# ------------------------------------------------------------------------------------------------ decoding


class NumpyValue(NamedTuple):
    """A numpy array or scalar: its dtype's name, its shape (empty for a scalar), its items in row order."""

    dtype: str
    shape: tuple[int, ...]
    data: tuple


class SympyValue(NamedTuple):
    """A sympy object: what `print` shows and its `srepr`. Neither is ever evaluated here."""

    text: str
    srepr: str


class ReprValue(NamedTuple):
    """An object of another class: the class's name and its `repr`, memory addresses masked."""

    class_name: str
    text: str


def decode(text: str, bounds: Bounds = Bounds()) -> object:  # noqa: B008
    """The Python value of a tagged JSON text.

    Tuples, sets, ints of any size, Fraction, Decimal, complex, bytes and range come back as themselves; numpy, sympy
    and other objects as `NumpyValue`, `SympyValue`, `ReprValue`. Raises `NotTagged`.
    """
    return _decoded(_parse(text, bounds))


def _decoded(value):
    kind = type(value)
    if kind is list:
        return [_decoded(item) for item in value]
    if kind is not dict:
        return value
    if len(value) == 1:
        ((tag, body),) = value.items()
        if tag[:1] == "$":
            return _decoded_tag(tag, body)
    return {key: _decoded(item) for key, item in value.items()}


def _decoded_tag(tag: str, body):
    if tag == "$int":
        return long_int(body)
    if tag == "$float":
        return float(body)
    if tag == "$tuple":
        return tuple(_decoded(item) for item in body)
    if tag in ("$set", "$frozenset"):
        return (set if tag == "$set" else frozenset)(_hashable(_decoded(item)) for item in body)
    if tag == "$dict":
        return {_hashable(_decoded(key)): _decoded(item) for key, item in body}
    if tag == "$frac":
        numerator, denominator = body.split("/")
        return Fraction(long_int(numerator), long_int(denominator))
    if tag == "$dec":
        return Decimal(body)
    if tag == "$complex":
        return complex(*(float(part["$float"]) if type(part) is dict else part for part in body))
    if tag == "$bytes":
        return bytes.fromhex(body)
    if tag == "$range":
        return range(*(long_int(part["$int"]) if type(part) is dict else part for part in body))
    if tag == "$np":
        return NumpyValue(
            body["dtype"], tuple(body["shape"]), tuple(_hashable(_decoded(item)) for item in body["data"])
        )
    if tag == "$sympy":
        return SympyValue(body["str"], body["srepr"])
    return ReprValue(body["class"], body["text"])


def _hashable(value):
    """Forged texts may hold a list where only a hashable value can stand; it becomes a tuple rather than a crash."""
    if type(value) is list:
        return tuple(_hashable(item) for item in value)
    if type(value) is tuple:
        return tuple(_hashable(item) for item in value)
    if type(value) is dict:
        return tuple((_hashable(key), _hashable(item)) for key, item in value.items())
    if type(value) is set:
        return frozenset(value)
    return value


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


def long_int(text: str) -> int:
    """`int(text)` for digits beyond the interpreter's own limit, which stays as it is for everybody else."""
    if len(text) <= 4_000:
        return int(text)
    negative, digits = text[0] == "-", text.lstrip("-")
    total = 0
    for start in range(0, len(digits), 4_000):
        chunk = digits[start : start + 4_000]
        total = total * 10 ** len(chunk) + int(chunk)
    return -total if negative else total
