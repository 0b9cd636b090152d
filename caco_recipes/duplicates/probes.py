"""Probe inputs that programs of one signature share, and what a program does with them as one key.

A signature is the names and types of a Code CoT's `input`, in the order of the names. The probes follow from it alone, so
that two programs with other values, other code and the same inputs by name are asked the same questions.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Any

from caco_recipes.identity import sha256_text

PROBES = 8
WORDS = ("north", "red", "add", "total", "x", "monday", "abc", "mean")
RANGES = (12, 12, 12, 60, 60, 60, 500, 500)  # of the numbers of each probe, from 1
_FLOAT = re.compile(r"-?\d+\.\d+(?:e[-+]?\d+)?|-?\d+e[-+]?\d+", re.IGNORECASE)


def signature(tagged_input: str) -> str | None:
    """The signature of a tagged input as text; None if there is none or a value is of a kind that no probe is made of."""
    try:
        values = json.loads(tagged_input)
        if not isinstance(values, dict) or not values or any(key.startswith("$") for key in values):
            return None
        return json.dumps({key: _kind(values[key]) for key in sorted(values)}, sort_keys=True)
    except (ValueError, RecursionError, TypeError):
        return None


def _kind(value: Any) -> Any:
    """The type of a tagged value as JSON. Raises `ValueError` for a kind without probes."""
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int"
    if isinstance(value, float):
        return "float"
    if isinstance(value, str):
        return "str"
    if value is None:
        return "none"
    if isinstance(value, list):
        kinds = [_kind(item) for item in value]
        same = all(kind == kinds[0] for kind in kinds)
        return {"list": kinds[0]} if kinds and same else {"each": kinds}
    if "$tuple" in value:
        return {"tuple": [_kind(item) for item in value["$tuple"]]}
    if "$int" in value:
        return "int"
    if "$frac" in value:
        return "frac"
    if any(key.startswith("$") for key in value):
        raise ValueError("no probes for this kind")
    return {"dict": {key: _kind(value[key]) for key in value}}


def probes(of: str) -> list[str]:
    """The tagged inputs that programs of signature `of` are run on."""
    kinds = json.loads(of)
    return [json.dumps({key: _made(kinds[key], f"{key}", number) for key in kinds}) for number in range(PROBES)]


def _made(kind: Any, path: str, number: int) -> Any:
    draw = int.from_bytes(hashlib.sha256(f"{path}:{number}".encode("utf-8", "surrogatepass")).digest()[:6], "big")
    whole = 1 + draw % RANGES[number]
    if kind == "bool":
        return draw % 2 == 0
    if kind == "int":
        return whole
    if kind == "float":
        return whole + (draw >> 16) % 4 / 4
    if kind == "str":
        return WORDS[draw % len(WORDS)]
    if kind == "none":
        return None
    if kind == "frac":
        return {"$frac": f"{whole}/{2 + (draw >> 16) % 7}"}
    ((form, inner),) = kind.items()
    if form == "list":
        return [_made(inner, f"{path}/{at}", number) for at in range(3 + number % 3)]
    if form == "dict":
        return {key: _made(inner[key], f"{path}/{key}", number) for key in inner}
    items = [_made(item, f"{path}/{at}", number) for at, item in enumerate(inner)]
    return {"$tuple": items} if form == "tuple" else items


def behaviour_key(of: str, results: Sequence[Any]) -> str:
    """16 hex digits of what a program did with the probes of signature `of`; "" where that says nothing of it.

    An exception counts by its type. There is no key when a run ended for reasons of time, memory or our machinery, which
    another day may decide otherwise, nor when fewer than two different outputs came.
    """
    outcomes = []
    for result in results:
        if result.status == "ok":
            outcomes.append("=" + rounded(result.output_text))
        elif result.status in ("error", "denied"):
            outcomes.append(result.reason)
        else:
            return ""
    if len(results) < PROBES or len({outcome for outcome in outcomes if outcome.startswith("=")}) < 2:
        return ""
    return sha256_text(json.dumps([of, outcomes]))[:16]


def rounded(text: str) -> str:
    """An output's text with its decimals to ten digits: sums in another order are the same."""

    def short(match: re.Match) -> str:
        value = float(match[0])
        return f"{value:.10g}"

    return _FLOAT.sub(short, text)
