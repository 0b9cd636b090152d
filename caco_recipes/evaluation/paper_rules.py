"""`caco-paper`: which published extraction and grader judges which benchmark.

The rules themselves are re-implemented in `caco_recipes.grading.paper`; here they meet the benchmarks:

| rule | benchmarks | extraction | grader |
|---|---|---|---|
| qwen | MATH, GSM8K and everything else that Qwen2.5-Math's harness knows | Qwen2.5-Math | its `math_equal` |
| dart | CollegeMath, DeepMind-Mathematics | DART | its `eq`, in any order where the question asks for all |
| olympiad | OlympiadBench-Math | all boxes | the official judge, with an item's own tolerance |
| theoremqa | TheoremQA | DART | the official one: typed, 4 % on real numbers |

Nothing is undecided here: what the published rules could not tell, they called wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from caco_recipes.evaluation.loading import Problem
from caco_recipes.grading import extract
from caco_recipes.grading.paper import dart, olympiad, qwen, theoremqa

if TYPE_CHECKING:
    from caco_recipes.evaluation.protocols import Response

# Qwen2.5-Math's harness keeps units on this set (its STRIP_EXCEPTIONS).
_KEEPS_UNITS = frozenset({"minerva_math"})
_GOLDS_EXTRACTED = frozenset({"math", "math500"})


@dataclass(frozen=True, slots=True)
class PaperJudgement:
    """What a published rule says of a response.

    `extracted` is the answer after the rule's own clean-up; `start:end` is where it stands in the response, 0:0 if the clean-up
    changed it so that it stands nowhere.
    """

    extracted: str
    start: int
    end: int
    extraction: str
    right: bool
    rule: str


def judge_many(answered: Sequence[tuple[Problem, "Response"]]) -> list[PaperJudgement]:
    """The published rule's verdict on every (problem, response), in order."""
    return [_RULES[problem.paper_rule](problem, response.text) for problem, response in answered]


def _qwen(problem: Problem, text: str) -> PaperJudgement:
    skip_unit = problem.benchmark in _KEEPS_UNITS
    # That harness cleans an extracted answer twice; on MATH the gold too, for it is extracted from the solution.
    answer = qwen.strip(qwen.extract(text, skip_unit=skip_unit), skip_unit=skip_unit)
    gold = qwen.strip(problem.answer, skip_unit=skip_unit)
    if problem.benchmark in _GOLDS_EXTRACTED:
        gold = qwen.strip(gold, skip_unit=skip_unit)
    return _judgement(text, answer, "qwen", qwen.equal(answer, gold), "qwen")


def _dart(problem: Problem, text: str) -> PaperJudgement:
    answer = dart.extract(text)
    right = dart.equal(answer, dart.clean(problem.answer), as_set=dart.asks_for_set(problem.problem))
    return _judgement(text, "" if answer == "None" else answer, "dart", right, "dart")


def _olympiad(problem: Problem, text: str) -> PaperJudgement:
    right = olympiad.judge(text, problem.answer, problem.tolerance)
    found = extract(text)  # for the log only: the judge takes all boxes of the text itself
    return PaperJudgement(found.answer or "", found.start, found.end, "all_boxes", right, "olympiad")


def _theoremqa(problem: Problem, text: str) -> PaperJudgement:
    answer = dart.extract(text)
    gold = theoremqa.typed(problem.gold)
    kind = problem.answer_type or theoremqa.type_of(gold)
    # The official script takes options with their brackets; DART's clean-up has removed them.
    compared = f"({answer.strip()})" if kind == "option" and len(answer.strip()) == 1 else answer
    right = theoremqa.judge(compared, gold, kind)
    return _judgement(text, "" if answer == "None" else answer, "dart", right, "theoremqa")


_RULES = {"qwen": _qwen, "dart": _dart, "olympiad": _olympiad, "theoremqa": _theoremqa}


def _judgement(text: str, answer: str, extraction: str, right: bool, rule: str) -> PaperJudgement:
    start = text.rfind(answer) if answer else -1
    if start < 0:
        return PaperJudgement(answer, 0, 0, extraction, right, rule)
    return PaperJudgement(answer, start, start + len(answer), extraction, right, rule)
