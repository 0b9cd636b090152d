"""False accepts and false rejects of a judge, by kind and by threshold, each with its 95 % interval.

A false accept is a Yes to a wrong pair; its share is taken of the wrong pairs that were answered Yes or No. A false
reject is a No to a right pair, as a share of the right ones. What a judge left unclear, or could not be asked, is
counted apart: the verify stage leaves such rows undecided. Pairs of one row resemble each other, so the intervals,
which take pairs for independent, are somewhat too narrow.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from caco_recipes.calibration.judging import Judged
from caco_recipes.calibration.pairs import RIGHT
from caco_recipes.evaluation.metrics import wilson

POINTS = 21  # thresholds that a sweep shows at the most


@dataclass(frozen=True)
class Point:
    """A threshold and what it does: Yes when the probability of Yes is at least `threshold`."""

    threshold: float
    false_accepts: int
    wrong: int
    false_rejects: int
    right: int


def share(count: int, total: int) -> dict[str, Any]:
    """A share with Wilson's 95 % interval; `value` is None when nothing was counted."""
    estimate = wilson(count, total)
    value = round(estimate.value, 4) if total else None
    return {
        "count": count,
        "of": total,
        "value": value,
        "low": round(estimate.low, 4),
        "high": round(estimate.high, 4),
    }


def of_judge(judged: Sequence[Judged], bound: float) -> dict[str, Any]:
    """Everything about one judge: by kind, over all, the sweep, the chosen threshold and how it does on other rows."""
    kinds = list(dict.fromkeys(item.pair.kind for item in judged))
    kinds.sort(key=lambda kind: kind != RIGHT)
    scored = [item for item in judged if item.opinion.probability is not None]
    return {
        "kinds": {kind: _of_kind([item for item in judged if item.pair.kind == kind]) for kind in kinds},
        "false_accept": share(*_wrong(judged, right=False)),
        "false_reject": share(*_wrong(judged, right=True)),
        "auc": auc(scored),
        "sweep": [vars_of(point) for point in sweep(scored)],
        "threshold": held_out(scored, bound),
    }


def _of_kind(items: Sequence[Judged]) -> dict[str, Any]:
    words = [item.opinion.word for item in items]
    faults = sum(bool(item.opinion.fault) for item in items)
    right = bool(items) and items[0].pair.right
    said = {"yes": words.count("yes"), "no": words.count("no")}
    said |= {"unclear": words.count("unclear") - faults, "fault": faults}
    count, total = _wrong(items, right)
    return {"right": right, "pairs": len(items)} | said | {"error": share(count, total)}


def _wrong(items: Sequence[Judged], right: bool) -> tuple[int, int]:
    decided = [item for item in items if item.pair.right == right and item.opinion.word in ("yes", "no")]
    return sum(item.wrong for item in decided), len(decided)


# -- thresholds --------------------------------------------------------------------------------------------------------


def at(scored: Sequence[Judged], threshold: float) -> Point:
    """What a threshold would have done."""
    wrong = [item.opinion.probability for item in scored if not item.pair.right]
    right = [item.opinion.probability for item in scored if item.pair.right]
    accepted, rejected = sum(p >= threshold for p in wrong), sum(p < threshold for p in right)
    return Point(threshold, accepted, len(wrong), rejected, len(right))


def sweep(scored: Sequence[Judged], points: int = POINTS) -> list[Point]:
    """At most `points` thresholds, evenly spaced among the probabilities that occur, lowest first."""
    values = sorted({item.opinion.probability for item in scored})
    if len(values) > points:
        values = [values[round(i * (len(values) - 1) / (points - 1))] for i in range(points)]
    return [at(scored, value) for value in dict.fromkeys(values)]


def choose(scored: Sequence[Judged], bound: float) -> float | None:
    """The lowest threshold whose share of false accepts is at most `bound`; None when none accepts any right pair."""
    for value in sorted({item.opinion.probability for item in scored}):
        point = at(scored, value)
        if point.wrong and point.false_accepts <= bound * point.wrong:
            return value if point.false_rejects < point.right else None
    return None


def held_out(scored: Sequence[Judged], bound: float) -> dict[str, Any]:
    """A threshold chosen on one half of the rows and measured on the other, so that it isn't flattered."""
    halves: tuple[list[Judged], list[Judged]] = ([], [])
    for item in scored:
        halves[hashlib.sha256(item.pair.row_id.encode()).digest()[0] & 1].append(item)
    chosen = choose(halves[0], bound)
    made: dict[str, Any] = {
        "bound": bound,
        "value": chosen,
        "chosen_on": len(halves[0]),
        "measured_on": len(halves[1]),
    }
    if chosen is not None:
        point = at(halves[1], chosen)
        made["false_accept"] = share(point.false_accepts, point.wrong)
        made["false_reject"] = share(point.false_rejects, point.right)
    return made


def auc(scored: Sequence[Judged]) -> float | None:
    """How often a right pair gets a higher probability than a wrong one (ties count half): 0.5 is guessing."""
    ranked = sorted(scored, key=lambda item: item.opinion.probability)
    right = sum(item.pair.right for item in ranked)
    wrong = len(ranked) - right
    if not right or not wrong:
        return None
    total, below, position = 0.0, 0, 0
    while position < len(ranked):
        end = position
        while end < len(ranked) and ranked[end].opinion.probability == ranked[position].opinion.probability:
            end += 1
        tied_wrong = sum(not item.pair.right for item in ranked[position:end])
        total += (end - position - tied_wrong) * (below + tied_wrong / 2)
        below += tied_wrong
        position = end
    return round(total / (right * wrong), 4)


def vars_of(point: Point) -> dict[str, Any]:
    """A point as plain values."""
    return {
        "threshold": round(point.threshold, 6),
        "false_accept": share(point.false_accepts, point.wrong),
        "false_reject": share(point.false_rejects, point.right),
    }
