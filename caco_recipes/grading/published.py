"""The policy `paper`: the published graders' verdicts on one pair, under the names that their evaluators have.

`paper` alone is `paper:qwen` (MATH and GSM8K in the paper). Each rule cleans both texts as its evaluator does before it compares.
"""

from caco_recipes.grading.paper import dart, olympiad, qwen, theoremqa
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, Verdict


def judge(gold: str, pred: str, policy: str) -> Verdict:
    """A published rule's verdict: accepted or rejected, for what those rules couldn't tell they called wrong.

    Raises:
        ValueError: a policy that is none of `paper`, `paper:qwen`, `paper:dart`, `paper:olympiad`, `paper:theoremqa`.
    """
    name = policy.partition(":")[2] or "qwen"
    if name not in _RULES:
        raise ValueError(f"unknown policy {policy!r}: the published rules are {', '.join(_RULES)}")
    if not gold.strip():
        return Verdict(UNDECIDED, "bad_row:empty_gold", f"paper:{name}")
    if not pred.strip():
        return Verdict(REJECTED, "no_answer", f"paper:{name}")
    right = _RULES[name](gold, pred)
    return Verdict(ACCEPTED if right else REJECTED, "" if right else "answer_mismatch", f"paper:{name}")


def _qwen(gold: str, pred: str) -> bool:
    return qwen.equal(qwen.strip(pred), qwen.strip(gold))


def _dart(gold: str, pred: str) -> bool:
    return dart.equal(dart.clean(pred), dart.clean(gold))


def _theoremqa(gold: str, pred: str) -> bool:
    value = theoremqa.typed(gold)
    return theoremqa.judge(pred, value, theoremqa.type_of(value))


_RULES = {
    "qwen": _qwen,
    "dart": _dart,
    "olympiad": lambda gold, pred: olympiad.judge(pred, gold),
    "theoremqa": _theoremqa,
}
