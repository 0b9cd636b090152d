"""TheoremQA under `strict`: typed golds, of which the floats are rounded.

The data set grants 4 % (`caco-paper` does). `strict` grants a float one unit of the last digit that its gold shows: 1.42 accepts
1.41 to 1.43, and every list element likewise. Integers and booleans are exact, an option is its letter.
"""

import re
from fractions import Fraction

from caco_recipes.evaluation.loading import Problem
from caco_recipes.grading import grade
from caco_recipes.grading.numbers import plain_number
from caco_recipes.verdicts import ACCEPTED, REJECTED, Verdict

_OPTION = re.compile(r"\(?([A-Za-z])\)?(?:[).:\s]|$)")


def number_of(text: str) -> Fraction | None:
    """A plain number as an exact value; `None` for anything else."""
    number = plain_number(text.strip().strip("$").strip())
    return None if number is None else Fraction(number.value)


def last_digit(gold: float) -> Fraction:
    """One unit in the last place that a gold shows: 1.42 -> 1/100, 3.0 -> 1/10, 1.5e-05 -> 1/1000000."""
    mantissa, _, exponent = repr(gold).partition("e")
    places = len(mantissa.partition(".")[2])
    return Fraction(10) ** (int(exponent or 0) - places)


def theorem_verdict(problem: Problem, answer: str, verdict: Verdict) -> Verdict:
    """The verdict by the gold's type, where the plain comparison (`verdict`) did not accept."""
    gold = problem.gold
    if problem.answer_type == "option":
        match = _OPTION.match(answer.strip().strip("$").strip())
        right = match is not None and match.group(1).lower() == str(gold).strip("()").lower()
        return Verdict(ACCEPTED, "", "option") if right else Verdict(REJECTED, "answer_mismatch", "option")
    if isinstance(gold, float) and _near(gold, answer):
        return Verdict(ACCEPTED, "", "last_digit")
    # An exact answer (1/3, \\pi/4) whose value the gold rounds: the two change places under the rounding policy.
    if isinstance(gold, float) and grade(answer, repr(gold), policy="rounding").accepted:
        return Verdict(ACCEPTED, "", "rounding")
    if isinstance(gold, list):
        parts = _elements(answer)
        if parts is not None and len(parts) == len(gold) and all(map(_element, gold, parts)):
            return Verdict(ACCEPTED, "", "last_digit")
    return verdict


def _element(gold: object, part: str) -> bool:
    if isinstance(gold, float) and _near(gold, part):
        return True
    return grade(str(gold), part).accepted


def _near(gold: float, answer: str) -> bool:
    value = number_of(answer)
    return value is not None and abs(value - Fraction(repr(gold))) <= last_digit(gold)


def _elements(answer: str) -> list[str] | None:
    """`[1, 2.5]`, `(1, 2.5)`, `1, 2.5` -> its elements; `None` for nested lists."""
    text = answer.strip().strip("$").strip().removeprefix("\\left").replace("\\right", "")
    text = text.strip().removeprefix("\\{").removesuffix("\\}").strip("[](){} ")
    if any(bracket in text for bracket in "[](){}"):
        return None
    return [part.strip() for part in text.split(",")]
