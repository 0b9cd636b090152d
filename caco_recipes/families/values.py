"""Tagged values (`docs/reference.md`) as plain JSON: the numbers in them, changes in place, and as Python source."""

import json
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

Path = tuple[Any, ...]
SEQUENCES = ("$tuple", "$set", "$frozenset")


def tag_of(value: Any) -> str:
    """The tag of a tagged object, "" for plain JSON."""
    if isinstance(value, dict) and len(value) == 1:
        tag = next(iter(value))
        return tag if tag.startswith("$") else ""
    return ""


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def leaves(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """(path, leaf) of everything inside a value: numbers, texts, truth values, and tagged scalars as they are."""
    tag = tag_of(value)
    if tag in SEQUENCES or tag == "$dict":
        yield from leaves(value[tag], (*path, tag))
    elif tag == "$np":
        yield from leaves(value[tag]["data"], (*path, tag, "data"))
    elif tag or not isinstance(value, list | dict):
        yield path, value
    else:
        for key, item in enumerate(value) if isinstance(value, list) else value.items():
            yield from leaves(item, (*path, key))


def replaced(value: Any, path: Path, leaf: Any) -> Any:
    """A copy of `value` with another leaf at `path`."""
    if not path:
        return leaf
    key, rest = path[0], path[1:]
    if isinstance(value, list):
        return [replaced(item, rest, leaf) if index == key else item for index, item in enumerate(value)]
    return {name: replaced(item, rest, leaf) if name == key else item for name, item in value.items()}


def exact(leaf: Any) -> Fraction | None:
    """The exact value of a numeric leaf: what `repr` shows of a float; None for anything that isn't a finite number."""
    if type(leaf) is int:
        return Fraction(leaf)
    tag = tag_of(leaf)
    try:
        if tag == "$frac":
            numerator, denominator = leaf[tag].split("/")
            return Fraction(int(numerator), int(denominator)) if len(leaf[tag]) < 200 else None
        if tag in ("$dec", "$int"):
            return Fraction(leaf[tag]) if len(leaf[tag]) < 200 else None
        if is_number(leaf):
            return Fraction(repr(leaf)) if isinstance(leaf, float) else Fraction(leaf)  # text, not bits: 0.1 is 1/10
    except (ValueError, ZeroDivisionError):
        return None
    return None


def numbers_of(value: Any) -> list[int | float]:
    """The plain numbers in a decoded tagged value, in order."""
    return [leaf for _, leaf in leaves(value) if is_number(leaf)]


def dump(value: Any) -> str:
    """The canonical text of a tagged value."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True)


def literal(value: Any) -> str | None:
    """A tagged value as Python source; None when it can't be written as a literal (sympy, numpy, other objects)."""
    tag = tag_of(value)
    if not tag:
        if isinstance(value, list):
            items = [literal(item) for item in value]
            return None if None in items else "[" + ", ".join(items) + "]"
        if isinstance(value, dict):
            items = {key: literal(item) for key, item in value.items()}
            return (
                None if None in items.values() else "{" + ", ".join(f"{_text(k)}: {v}" for k, v in items.items()) + "}"
            )
        return _text(value) if isinstance(value, str) else repr(value)
    body = value[tag]
    if tag == "$int":
        return body
    if tag in SEQUENCES:
        items = [literal(item) for item in body]
        if None in items:
            return None
        if tag == "$tuple":
            return "(" + ", ".join(items) + ("," if len(items) == 1 else "") + ")"
        inside = ", ".join(items)
        return f"frozenset([{inside}])" if tag == "$frozenset" else (f"{{{inside}}}" if items else "set()")
    if tag == "$dict":
        pairs = [(literal(key), literal(item)) for key, item in body]
        return None if any(None in pair for pair in pairs) else "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
    return None


def _text(text: str) -> str:
    return '"' + text + '"' if text.isprintable() and not set(text) & set("\"\\'") else repr(text)
