"""`caco-paper`: which published extraction and grader judges which benchmark.

The rules themselves are re-implemented in `caco_recipes.grading.paper`; here they meet the benchmarks:

| rule | benchmarks | extraction | grader |
|---|---|---|---|
| qwen | MATH, GSM8K and everything that Qwen2.5-Math's harness knows | Qwen2.5-Math | its `math_equal` |
| dart | CollegeMath, DeepMind-Mathematics | DART | its `eq` |
| olympiad | OlympiadBench-Math | all boxes | the official judge, with an item's own tolerance |
| theoremqa | TheoremQA | DART | typed, 4 % on numbers |
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caco_recipes.evaluation.loading import Problem

if TYPE_CHECKING:
    from caco_recipes.evaluation.protocols import Response


@dataclass(frozen=True, slots=True)
class PaperJudgement:
    """What a published rule says of a response. `start:end` is where the answer stands in it (0:0 if it was rebuilt)."""

    extracted: str
    start: int
    end: int
    extraction: str
    right: bool
    rule: str


def judge_many(answered: Sequence[tuple[Problem, "Response"]]) -> list[PaperJudgement]:
    """The published rule's verdict on every (problem, response), in order."""
    return [judge(problem, response.text) for problem, response in answered]


def judge(problem: Problem, text: str) -> PaperJudgement:
    """One response by its problem's published rule."""
    raise NotImplementedError(problem.paper_rule)
