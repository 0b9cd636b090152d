"""lm-eval: `process_results` of the tasks beside this file.

    lm_eval --model hf --model_args pretrained=NAME --tasks caco_gsm8k --include_path caco_recipes/evaluation/adapters/lm_eval_tasks

Needs `pip install lm-eval` (tested with 0.4.13). Each task reports `strict`, `caco_paper` and `undecided`; lm-eval does not say
whether a response was cut off, so that strict can't hold it against one here.
"""

from caco_recipes.evaluation import schemas
from caco_recipes.evaluation.adapters.one_response import judge_response
from caco_recipes.evaluation.protocols import PAPER, STRICT
from caco_recipes.verdicts import UNDECIDED


def gsm8k(doc: dict, results: list[str]) -> dict[str, float]:
    """Columns `question`, `answer` (after `####`)."""
    return _metrics("gsm8k", schemas.gsm8k(doc), results)


def math(doc: dict, results: list[str]) -> dict[str, float]:
    """Columns `problem`, `solution` (last box)."""
    return _metrics("math", schemas.math_solution(doc), results)


def math500(doc: dict, results: list[str]) -> dict[str, float]:
    """Columns `problem`, `answer`."""
    return _metrics("math500", schemas.math500(doc), results)


def _metrics(benchmark: str, fields: dict, results: list[str]) -> dict[str, float]:
    judged = judge_response(results[0], fields["answer"], benchmark=benchmark, problem=fields["problem"])
    return {
        "strict": float(judged[STRICT].right),
        "caco_paper": float(judged[PAPER].right),
        "undecided": float(judged[STRICT].verdict == UNDECIDED),
    }
