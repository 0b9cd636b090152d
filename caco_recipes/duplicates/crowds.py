"""Pairs among very many sets that look alike at first sight, in near-linear time: prefixes of rare members.

Rows of one template share most shingles, so all of them meet in the bands of `minhash`, and looking at each pair takes the
square of their number. Here the members of each set are put in order, the rarest of this crowd first (those with the
template's numbers and names). Two sets with a Jaccard similarity of at least t share a member among their first few: of
a set of n the first n - ⌈tn⌉ + 1, of the smaller of two already its first n - ⌈2tn/(1 + t)⌉ + 1 (Bayardo, Ma and Srikant,
"Scaling up all pairs similarity search", 2007; Xiao and others, "PPJoin", 2008). Only sets that do are compared, and every
pair that is given back was compared, so that none is wrong.

What many sets share even so, they nearly always share because they are alike. Then the first of them stands for those that
are like it: they are linked with it and no more with each other.
"""

from collections.abc import Callable, Iterator

import numpy as np

LIMIT = 64  # rows that are compared each with each
ROUNDS = 64  # rows that stand for others, of the rows that share one member
PAIRS = 500_000  # looked at together

Found = tuple[np.ndarray, np.ndarray, np.ndarray]
Check = Callable[[np.ndarray, np.ndarray], Found]


def crowded_pairs(
    hashes: np.ndarray, starts: np.ndarray, crowd: np.ndarray, threshold: float, check: Check
) -> Iterator[Found]:
    """(earlier, later, similarity) of the rows of a crowd that `check` finds alike; a pair may come twice.

    Args:
        hashes, starts: sets of uint32, one after the other, and where each begins (one more than sets).
        crowd: the rows to compare, in their order.
        threshold: the Jaccard similarity from which `check` keeps a pair.
        check: (earlier, later) -> those of the pairs that are alike, with their similarity.
    """
    if len(crowd) < 2:
        return
    member, row, shorter = _prefixes(hashes, starts, crowd, threshold)
    begins = np.flatnonzero(np.append(True, member[1:] != member[:-1]))
    sizes = np.diff(np.append(begins, len(member)))
    few = np.repeat((sizes > 1) & (sizes <= LIMIT), sizes)
    for a, b in _each_with_each(member[few], row[few], shorter[few]):
        yield check(np.minimum(a, b), np.maximum(a, b))
    for begin, size in zip(begins[sizes > LIMIT].tolist(), sizes[sizes > LIMIT].tolist(), strict=True):
        yield from _by_representatives(row[begin : begin + size], shorter[begin : begin + size], check)


def _prefixes(
    hashes: np.ndarray, starts: np.ndarray, crowd: np.ndarray, threshold: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The first members of every set as (member, row, whether it is in the shorter prefix), by member and size of set."""
    size = starts[crowd + 1] - starts[crowd]
    place = np.append(0, np.cumsum(size)[:-1])
    members = hashes[np.repeat(starts[crowd] - place, size) + np.arange(size.sum())]
    _, kind, count = np.unique(members, return_inverse=True, return_counts=True)
    owner = np.repeat(np.arange(len(crowd)), size)
    order = np.lexsort((kind, count[kind], owner))
    kind, owner = kind[order], owner[order]
    # A rounding error must not make a prefix too short.
    longer = size - np.ceil(threshold * size - 1e-6).astype(np.int64) + 1
    shorter = size - np.ceil(2 * threshold / (1 + threshold) * size - 1e-6).astype(np.int64) + 1
    at = np.arange(len(kind)) - np.repeat(place, size)
    kept = (at < longer[owner]) & (count[kind] > 1)
    kind, owner, at = kind[kept], owner[kept], at[kept]
    order = np.lexsort((owner, size[owner], kind))
    kind, owner, at = kind[order], owner[order], at[order]
    return kind, crowd[owner], at < shorter[owner]


def _each_with_each(
    member: np.ndarray, row: np.ndarray, shorter: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of rows with a common member that the smaller set has in its shorter prefix, each once per call's share."""
    waiting: list[np.ndarray] = []
    at, distance = np.flatnonzero(member[1:] == member[:-1]), 1
    while len(at):
        chosen = at[shorter[at]]
        for begin in range(0, len(chosen), PAIRS):
            part = chosen[begin : begin + PAIRS]
            waiting.append(row[part].astype(np.uint64) << np.uint64(32) | row[part + distance].astype(np.uint64))
            if sum(map(len, waiting)) >= PAIRS:
                yield _distinct(waiting)
                waiting = []
        distance += 1
        at = at[at + distance < len(member)]
        at = at[member[at] == member[at + distance]]
    if waiting:
        yield _distinct(waiting)


def _distinct(pairs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    found = np.unique(np.concatenate(pairs))
    return (found >> np.uint64(32)).astype(np.int64), (found & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _by_representatives(rows: np.ndarray, shorter: np.ndarray, check: Check) -> Iterator[Found]:
    """Of rows with a common member: the first one that has it in its shorter prefix with those that are like it, then the
    first of the others, and so on."""
    order = np.argsort(rows, kind="stable")
    rows, shorter = rows[order], shorter[order]
    for _ in range(ROUNDS):
        if not shorter.any() or len(rows) < 2:
            return
        first = rows[np.argmax(shorter)]
        others = rows[rows != first]
        found = check(np.minimum(others, first), np.maximum(others, first))
        yield found
        left = (rows != first) & ~np.isin(rows, np.concatenate(found[:2]))
        rows, shorter = rows[left], shorter[left]
