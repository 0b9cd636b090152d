"""From links between rows to verdicts and families.

Two rows are linked at a level by an equal key, or by a pair that was found. A row is a duplicate if it is linked to an
*earlier row that is kept*: every rejected row has its twin in the set, and a chain of small changes doesn't swallow what
differs. Families are coarser: everything that is linked, at any level, directly or through others, kept or not.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass
class Pairs:
    """Rows that are alike at a level.

    Attributes:
        earlier, later, score: the pairs, each once. Of rows that are the same to the level, only the first has pairs.
        same: per row the first row that is the same to the level (often itself).
    """

    earlier: np.ndarray
    later: np.ndarray
    score: np.ndarray
    same: np.ndarray

    def neighbours(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(rows, scores, bounds): the pairs of row r in either direction are `rows[bounds[r]:bounds[r + 1]]`, in order."""
        one, other = np.concatenate([self.earlier, self.later]), np.concatenate([self.later, self.earlier])
        order = np.lexsort((other, one))
        bounds = np.searchsorted(one[order], np.arange(len(self.same) + 1))
        return other[order], np.concatenate([self.score, self.score])[order], bounds


@dataclass
class Outcome:
    """Per row (in their order): the row it duplicates (-1: kept), the level (position in `levels`), the score there, and
    the first row of its family."""

    twin: np.ndarray
    level: np.ndarray
    score: np.ndarray
    family: np.ndarray


def settle(
    rows: int,
    keys: Mapping[str, np.ndarray],
    pairs: Mapping[str, Pairs],
    levels: Sequence[str],
    families: Sequence[str],
    family: np.ndarray,
    fixed: int = 0,
    apart: Sequence[str] = (),
) -> Outcome:
    """Decides over `rows` rows.

    Args:
        keys: level -> uint64 per row; 0 for a row that has none.
        pairs: level -> the pairs found.
        levels: the levels that reject, the strictest first; `families`: those that only link.
        family: uint64 per row, the family it came with; 0 for none.
        fixed: the first so many rows are kept whatever they are (rows of earlier steps).
        apart: levels at which rows of one incoming family are not each other's duplicates (variants of one program).
    """
    groups = {level: _groups(keys[level]) for level in keys}
    outcome = Outcome(
        twin=np.full(rows, -1, np.int64),
        level=np.full(rows, -1, np.int8),
        score=np.zeros(rows, np.float32),
        family=_components(rows, groups, pairs, (*levels, *families), _groups(family)),
    )
    _reject(outcome, groups, pairs, levels, family, fixed, set(apart))
    return outcome


def _groups(keys: np.ndarray) -> np.ndarray:
    """Per row the number of its group of equal keys, -1 for a row that is alone or has no key."""
    _, inverse, count = np.unique(keys, return_inverse=True, return_counts=True)
    alone = (count[inverse] < 2) | (keys == 0)
    return np.where(alone, -1, inverse)


def _reject(
    outcome: Outcome,
    groups: Mapping[str, np.ndarray],
    pairs: Mapping[str, Pairs],
    levels: Sequence[str],
    family: np.ndarray,
    fixed: int,
    apart: set[str],
) -> None:
    """Goes through the rows that are linked at all, in order."""
    linked = np.zeros(len(outcome.twin), bool)
    around = {}
    for level in levels:
        if level in groups:
            linked |= groups[level] >= 0
            continue
        linked |= pairs[level].same != np.arange(len(linked))
        linked[pairs[level].same[linked]] = True
        linked[pairs[level].earlier] = linked[pairs[level].later] = True
        around[level] = pairs[level].neighbours()
    groups = {level: groups[level] if level in groups else pairs[level].same for level in levels}
    kept: dict[str, dict[int, list[int]]] = {level: {} for level in levels}

    def alike(level: str, row: int) -> Iterator[tuple[int, float]]:
        """Kept earlier rows that `row` is linked with, and how alike they are."""
        group = int(groups[level][row])
        if group < 0:
            return
        yield from ((other, 1.0) for other in kept[level].get(group, ()))
        if level in around:
            others, score, bounds = around[level]
            for at in range(bounds[group], bounds[group + 1]):
                yield from ((other, float(score[at])) for other in kept[level].get(int(others[at]), ()))

    for row in np.flatnonzero(linked).tolist():
        for number, level in enumerate(levels if row >= fixed else ()):
            own = family[row] if level in apart else 0
            twin = next(((other, how) for other, how in alike(level, row) if not (own and own == family[other])), None)
            if twin is not None:
                outcome.twin[row], outcome.score[row] = twin
                outcome.level[row] = number
                break
        if outcome.twin[row] < 0:
            for level, representatives in kept.items():
                group = int(groups[level][row])
                # The first that is kept stands for its group, but for families that stay apart.
                if group >= 0 and (level in apart or group not in representatives):
                    representatives.setdefault(group, []).append(row)


def _components(
    rows: int,
    groups: Mapping[str, np.ndarray],
    pairs: Mapping[str, Pairs],
    levels: Sequence[str],
    family: np.ndarray,
) -> np.ndarray:
    """Per row the first row that it is connected with, through links at `levels` or a common family."""
    left, right = [], []
    for group in (*(groups[level] for level in levels if level in groups), family):
        member = np.flatnonzero(group >= 0)
        _, first, inverse = np.unique(group[member], return_index=True, return_inverse=True)
        left.append(member[first[inverse]])
        right.append(member)
    for level in levels:
        if level not in groups:
            found = pairs[level]
            left += [found.earlier.astype(np.int64), found.same]
            right += [found.later.astype(np.int64), np.arange(rows)]
    a, b = np.concatenate(left), np.concatenate(right)
    label = np.arange(rows)
    while len(a):
        low = np.minimum(label[a], label[b])
        before = label.copy()
        # Each end's current root takes the smaller label, and every row that of its label's label.
        np.minimum.at(label, label[a].copy(), low)
        np.minimum.at(label, label[b].copy(), low)
        while not np.array_equal(label, shorter := label[label]):
            label = shorter
        if np.array_equal(label, before):
            break
        apart = label[a] != label[b]
        a, b = a[apart], b[apart]
    return label
