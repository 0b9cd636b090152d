"""The kind of an output: whether another one could stand where it stands."""

import json
from typing import Any

from caco_recipes.families.values import exact, tag_of


def alike(original: str, other: str) -> bool:
    """Whether an output could stand where the original one stands: its kind, whole where that is whole, its sign."""
    return _alike(json.loads(original), json.loads(other))


def _alike(left: Any, right: Any) -> bool:
    one, two = exact(left), exact(right)
    if one is not None or two is not None:
        if one is None or two is None or type(left) is not type(right):
            return False
        return (one.denominator > 1 or two.denominator == 1) and (one > 0) == (two > 0) and (one < 0) == (two < 0)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_alike, left, right))
    if tag_of(left) or tag_of(right):
        if tag_of(left) != tag_of(right):
            return False
        if tag_of(left) in ("$tuple", "$set", "$frozenset"):
            return _alike(left[tag_of(left)], right[tag_of(left)])
        return True
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(_alike(left[key], right[key]) for key in left)
    return type(left) is type(right) and (not isinstance(left, str) or bool(left) == bool(right))
