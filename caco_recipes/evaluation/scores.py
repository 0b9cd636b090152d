"""From graded responses to a benchmark's numbers.

An item has one or more graded responses (samples). Per protocol: the share right with its interval, pass@k, maj@k, avg@k,
what was undecided; beside them truncation, lengths, and the items on which the two protocols differ.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from caco_recipes.evaluation import metrics
from caco_recipes.evaluation.loading import Problem
from caco_recipes.evaluation.protocols import PAPER, PROTOCOLS, STRICT, Judgement, Response
from caco_recipes.grading import grade
from caco_recipes.verdicts import UNDECIDED


@dataclass(slots=True)
class GradedItem:
    """A problem, its responses, and each protocol's opinion on every one of them."""

    problem: Problem
    responses: list[Response]
    judgements: list[dict[str, Judgement]]
    contaminated: str = ""  # what the decontamination found, empty if nothing or not asked

    def share_right(self, protocol: str) -> float:
        return sum(j[protocol].right for j in self.judgements) / len(self.judgements)

    @property
    def differs(self) -> bool:
        """Whether the two protocols disagree on any response."""
        return any(j[PAPER].right != j[STRICT].right for j in self.judgements)

    @property
    def undecided(self) -> bool:
        return any(j[p].verdict == UNDECIDED for j in self.judgements for p in PROTOCOLS)


@dataclass(slots=True)
class ProtocolScore:
    """One protocol's numbers of one benchmark; shares between 0 and 1.

    Attributes:
        accuracy: share right, averaged over samples (avg@n), with a 95 % interval over items.
        right, items, samples: counts; `right` counts responses.
        undecided: responses that could not be told; not counted as right. `accuracy_if_undecided_right` is the bound.
        pass_at, maj_at: k -> estimate.
        reasons: reject reason (code only) -> responses.
    """

    accuracy: metrics.Estimate
    right: int
    items: int
    samples: int
    undecided: int
    accuracy_if_undecided_right: float
    pass_at: dict[int, metrics.Estimate] = field(default_factory=dict)
    maj_at: dict[int, metrics.Estimate] = field(default_factory=dict)
    reasons: dict[str, int] = field(default_factory=dict)
    by_subset: dict[str, tuple[float, int]] = field(default_factory=dict)


@dataclass(slots=True)
class BenchmarkScore:
    """A benchmark's numbers for one model."""

    benchmark: str
    protocols: dict[str, ProtocolScore]
    differing_items: list[str]
    truncated: float
    failed: int
    lengths: dict[str, float]
    first_error: str = ""
    contaminated: int | None = None
    clean_accuracy: dict[str, metrics.Estimate] | None = None

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def score(items: Sequence[GradedItem], benchmark: str, ks: Sequence[int], contamination_known: bool) -> BenchmarkScore:
    """The numbers of one benchmark. `ks` are the k of pass@k and maj@k; those above the number of samples are an error."""
    responses = [response for item in items for response in item.responses]
    result = BenchmarkScore(
        benchmark=benchmark,
        protocols={protocol: _protocol_score(items, protocol, ks) for protocol in PROTOCOLS},
        differing_items=[item.problem.id for item in items if item.differs],
        truncated=sum(r.finish_reason == "length" for r in responses) / len(responses) if responses else 0.0,
        failed=sum(r.finish_reason == "error" for r in responses),
        lengths=metrics.length_statistics([r.completion_tokens for r in responses if r.finish_reason != "error"]),
        first_error=next((r.error for r in responses if r.finish_reason == "error"), ""),
    )
    if contamination_known:
        clean = [item for item in items if not item.contaminated]
        result.contaminated = len(items) - len(clean)
        result.clean_accuracy = {p: metrics.share_interval([item.share_right(p) for item in clean]) for p in PROTOCOLS}
    return result


def _protocol_score(items: Sequence[GradedItem], protocol: str, ks: Sequence[int]) -> ProtocolScore:
    per_item = [item.share_right(protocol) for item in items]
    judgements = [j[protocol] for item in items for j in item.judgements]
    undecided = [j for j in judgements if j.verdict == UNDECIDED]
    right = sum(j.right for j in judgements)
    reasons: dict[str, int] = {}
    for j in judgements:
        if not j.right:
            code = j.reason.partition(":")[0] or j.verdict
            reasons[code] = reasons.get(code, 0) + 1
    subsets: dict[str, list[float]] = {}
    for item, share in zip(items, per_item):
        if item.problem.subset:
            subsets.setdefault(item.problem.subset, []).append(share)
    result = ProtocolScore(
        accuracy=metrics.share_interval(per_item),
        right=right,
        items=len(items),
        samples=len(items[0].judgements) if items else 0,
        undecided=len(undecided),
        accuracy_if_undecided_right=(right + len(undecided)) / len(judgements) if judgements else 0.0,
        reasons=dict(sorted(reasons.items(), key=lambda pair: -pair[1])),
        by_subset={name: (sum(v) / len(v), len(v)) for name, v in sorted(subsets.items())},
    )
    if items and result.samples > 1:
        classes = [_answer_classes(item, protocol) for item in items] if ks else []
        for k in ks:
            passes = [metrics.pass_at_k(result.samples, sum(_right(item, protocol)), k) for item in items]
            result.pass_at[k] = metrics.mean_interval(passes)
            majorities = [metrics.maj_at_k(c, _right(item, protocol), k) for c, item in zip(classes, items)]
            result.maj_at[k] = metrics.mean_interval(majorities)
    return result


def _right(item: GradedItem, protocol: str) -> list[bool]:
    return [j[protocol].right for j in item.judgements]


def _answer_classes(item: GradedItem, protocol: str) -> list[int | None]:
    """Which samples gave the same answer: by text first, then by value. `None` for no answer or a cut-off one."""
    texts: list[str] = []
    classes: list[int | None] = []
    for judgement in (j[protocol] for j in item.judgements):
        answer = judgement.extracted
        if not answer or judgement.reason == "truncated":
            classes.append(None)
            continue
        for number, known in enumerate(texts):
            if answer == known or grade(known, answer).accepted:
                classes.append(number)
                break
        else:
            texts.append(answer)
            classes.append(len(texts) - 1)
    return classes
