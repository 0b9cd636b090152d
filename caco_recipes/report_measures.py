"""Measures of texts and numbers for the report: variety of words, repetition, program shapes, distances, histograms.

Plain functions of lists; programs are read as text with regular expressions, nothing here parses or runs them.
"""

import itertools
import re
import zlib
from collections.abc import Iterable
from typing import Any

WORD = re.compile(r"\w+")
NUMBER = re.compile(r"\b\d+(?:\.\d+)?\b")
STRING = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
COMMENT = re.compile(r"#.*")
NAME = re.compile(r"\b[A-Za-z_]\w*\b")
PYTHON_WORDS = frozenset(
    "and as assert break class continue def del elif else except finally for from if import in is lambda not or pass "
    "raise return try while with yield None True False print range len sum min max abs int float str list dict set".split()
)


def distinct_n(texts: Iterable[str], n: int) -> float:
    """Distinct word n-grams over all word n-grams (1 is all different); 0 for texts too short to have any."""
    seen: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        words = [word.lower() for word in WORD.findall(text)]
        grams = list(zip(*(words[i:] for i in range(n)), strict=False))
        total += len(grams)
        seen.update(grams)
    return len(seen) / total if total else 0.0


def compression_ratio(texts: Iterable[str]) -> float:
    """Bytes over zlib-compressed bytes of all texts one after the other: the higher, the more they repeat."""
    data = "\n".join(texts).encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data, 6)) if data else 0.0


def shape(code: str) -> str:
    """A program with its names, numbers, strings and comments blotted out: what is left is its control flow."""
    text = NUMBER.sub("0", STRING.sub("s", COMMENT.sub("", code)))
    text = NAME.sub(lambda match: match[0] if match[0] in PYTHON_WORDS else "n", text)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def nearest_seed(problems: list[str], seeds: list[str], limit: int = 2000) -> dict[str, Any]:
    """How near each generated problem comes to a seed: cosine of hashed word pairs, 1 for the same words.

    At most `limit` problems and 10 x `limit` seeds, evenly spaced, are compared.
    """
    problems, seeds = spaced(problems, limit), spaced([text for text in seeds if text], 10 * limit)
    if not problems or not seeds:
        return {}
    import numpy as np

    ours, theirs = _hashed(problems), _hashed(seeds)
    nearest = np.concatenate([(ours[i : i + 256] @ theirs.T).max(axis=1) for i in range(0, len(ours), 256)])
    values = [float(value) for value in nearest]
    return histogram(values, low=0.0, high=1.0) | {"copies": sum(value > 0.95 for value in values)}


def spaced(items: list[Any], limit: int) -> list[Any]:
    """At most `limit` of the items, evenly spaced."""
    return items if len(items) <= limit else [items[i * len(items) // limit] for i in range(limit)]


def _hashed(texts: list[str], width: int = 2048):
    import numpy as np

    matrix = np.zeros((len(texts), width), dtype=np.float32)
    for index, text in enumerate(texts):
        words = WORD.findall(text.lower())
        for gram in [*words, *map(" ".join, itertools.pairwise(words))]:
            matrix[index, zlib.crc32(gram.encode()) % width] += 1  # crc32: the same in every process, unlike hash()
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.maximum(norms, 1e-9)


def kept_and_dropped(kept: list[float], dropped: list[float], bins: int = 24) -> dict[str, Any]:
    """Two histograms over the same bins; the upper end is the 99th percentile, what lies above is in the last bin."""
    everything = sorted([*kept, *dropped])
    if not everything:
        return {}
    low, high = everything[0], everything[min(len(everything) - 1, int(0.99 * len(everything)))]
    if all(isinstance(value, int) for value in everything):
        # Bins of equally many whole numbers: others would show gaps that the data does not have.
        wide = -(-(high - low + 1) // bins)
        bins = -(-(high - low + 1) // wide)
        low, high = low - 0.5, low + bins * wide - 0.5
    return {
        "kept": histogram(kept, low=low, high=high, bins=bins),
        "dropped": histogram(dropped, low=low, high=high, bins=bins),
    }


def histogram(values: list[float], low: float, high: float, bins: int = 24) -> dict[str, Any]:
    """Counts per bin between `low` and `high`, with the quartiles and the number of values."""
    counts = [0] * bins
    span = (high - low) or 1
    for value in values:
        counts[max(0, min(bins - 1, int((value - low) / span * bins)))] += 1
    return {"low": low, "high": high, "counts": counts, "n": len(values)} | quantiles(values)


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Median, 90th and 99th percentile and the largest value; nothing for no values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    pick = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    made = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in pick.items()}
    return made | {"max": ordered[-1]}
