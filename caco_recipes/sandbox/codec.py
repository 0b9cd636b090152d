"""Python values as tagged canonical JSON: exact, typed, bounded; written inside the sandbox, read outside of it.

`Encoder.encode` (encoder.py) runs beside the untrusted program, on its values. `check` runs in the coordinator on untrusted bytes: strict JSON within bounds, every tag well formed; nothing is
unpickled, evaluated or imported. `decode` turns a checked text into Python values for those who compare answers.

Plain JSON stands for None, bool, str, finite float, int within ±2**53, list, and dict whose keys are all strings (in
the order of insertion). Everything else is an object with one key:

    $int "…"   $float "nan" | "inf" | "-inf"   $tuple […]   $set […] and $frozenset […] (sorted by their text)
    $dict [[key, value], …]   $frac "a/b"   $dec "…"   $complex [re, im]   $bytes "hex"   $range [start, stop, step]
    $np {dtype, shape, data}   $sympy {str, srepr}   $repr {class, text} (addresses masked)
"""

import json
import re
from decimal import Decimal
from fractions import Fraction
from typing import NamedTuple

from caco_recipes.sandbox.encoder import SAFE_INT, Bounds, Encoder, TooLarge

__all__ = [
    "Bounds",
    "Encoder",
    "NotTagged",
    "NumpyValue",
    "ReprValue",
    "SympyValue",
    "TooLarge",
    "check",
    "decode",
    "long_int",
]

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
