"""Grading one response at a time, as other harnesses ask for it: the same two protocols, one grader per process."""

from functools import cache
from typing import Any

from caco_recipes.evaluation.benchmarks import benchmark_named
from caco_recipes.evaluation.loading import Problem, gold_text
from caco_recipes.evaluation.protocols import Judgement, Response, Tools, judge


@cache
def _tools() -> Tools:
    import atexit

    from caco_recipes.grading import Grader

    grader = Grader(workers=1)
    atexit.register(grader.close)
    return Tools(grader=grader)


def judge_response(
    response: str, gold: Any, *, benchmark: str = "math", problem: str = "", cut_off: bool = False, **fields: Any
) -> dict[str, Judgement]:
    """Both protocols' opinion on one response.

    Args:
        response: the model's whole text.
        gold: the reference answer (text, number, bool or list).
        benchmark: whose rules apply; one of mathematics, options or short texts (code runs in `caco evaluate` only).
        problem: the question; DART's rule and the corrected golds look at it.
        cut_off: whether the response ended at the token limit.
        fields: further fields of `Problem` (`choices`, `answer_type`, `tolerance`, `is_multiple`).

    Raises:
        RecipeError: no such benchmark. ValueError: one of code.
    """
    known = benchmark_named(benchmark)
    if known.kind == "code":
        raise ValueError(f"{benchmark}: code is executed by `caco evaluate`, not by a scorer")
    item = Problem(
        benchmark=benchmark,
        id="",
        problem=problem,
        answer=gold_text(gold),
        gold=gold,
        kind=known.kind,
        paper_rule=known.paper_rule,
        **fields,
    )
    answer = Response(text=response, finish_reason="length" if cut_off else "stop")
    return judge([(item, answer)], _tools())[0]
