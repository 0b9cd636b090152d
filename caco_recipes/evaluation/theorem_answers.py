"""TheoremQA under `strict`: typed golds, of which the floats are rounded.

The data set grants 4 % (`caco-paper` does). `strict` takes a float's gold for what it is, a rounded value: an answer counts if it
rounds to the gold's digits (1.4157 for 1.42, 1/3 for 0.333) or is the gold rounded to two or more places (3.14 for 3.1415926), and
every list element likewise. Integers and booleans are exact, an option is its letter.
"""

import re
from fractions import Fraction

from caco_recipes.evaluation.loading import Problem
from caco_recipes.grading import grade
from caco_recipes.grading.numbers import plain_number
from caco_recipes.verdicts import ACCEPTED, REJECTED, Verdict

_OPTION = re.compile(r"\(?([A-Za-z])\)?(?:[).:\s]|$)")
# What a typed answer looks like behind the phrase that announces it; the last one counts.
_SAID_OPTION = re.compile(r"(?i:answer\s+is|answer\s*:|option)\W{0,12}?\(([a-eA-E])\)")
_SAID_BOOL = re.compile(
    r"(?:(?:answer|statement|claim|assertion)\s+is|answer\s*:|\A)\W*(?:\\text\{)?\W*(true|false|yes|no)\b",
    re.IGNORECASE,
)
_SAID_LIST = re.compile(r"(?i:answers?\s+(?:is|are)|answers?\s*:)[\s:$]{0,6}(\[[^\[\]\n]*\])")
_WITH_UNIT = re.compile(
    r"^\$?([-+]?\d[\d,]*(?:\.\d+)?(?:[eE][-+]?\d+)?)(?:\\[,; ]|~|\s)*"
    r"(?:\\(?:text|mathrm|textrm|rm)\s*\{[^{}]*\}|[A-Za-zΩµμ°/·^\-\s]+\d?)\$?\.?$"
)


def number_of(text: str) -> Fraction | None:
    """A plain number, with or without a unit behind it, as an exact value; `None` for anything else."""
    text = text.strip()
    unit = _WITH_UNIT.match(text)
    number = plain_number(unit.group(1) if unit else text.strip("$").strip())
    return None if number is None else Fraction(number.value)


def said(response: str, answer_type: str) -> tuple[str, int, int] | None:
    """The option, truth value or list that a response announces, and its place; `None` for other types or if it announces none.

    What follows it (`(b) $2\\theta^2$`, `True, because …`) is not part of such an answer, which the common extraction can't know.
    """
    pattern = {"option": _SAID_OPTION, "bool": _SAID_BOOL}.get(answer_type)
    pattern = _SAID_LIST if answer_type.startswith("list") else pattern
    found = list(pattern.finditer(response)) if pattern else []
    return (found[-1].group(1), *found[-1].span(1)) if found else None


def last_digit(gold: float) -> Fraction:
    """One unit of the last digit that a gold shows: 1.42 -> 1/100, 3.0 -> 1/10, 1.5e-05 -> 1/1000000."""
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
    if isinstance(gold, float) and _rounds(gold, answer):
        return Verdict(ACCEPTED, "", "rounding")
    if isinstance(gold, list):
        parts = _elements(answer)
        if parts is not None and len(parts) == len(gold) and all(map(_element, gold, parts)):
            return Verdict(ACCEPTED, "", "elements")
    return verdict


def _element(gold: object, part: str) -> bool:
    if isinstance(gold, float) and _rounds(gold, part):
        return True
    if isinstance(gold, int) and part.lower() in ("true", "false"):
        return gold == (part.lower() == "true")  # lists of truth values are written as 1 and 0
    return grade(str(gold), part).accepted


def _rounds(gold: float, answer: str) -> bool:
    value = number_of(answer)
    if value is not None:
        if abs(value - Fraction(repr(gold))) <= last_digit(gold) / 2:
            return True
        unit = _WITH_UNIT.match(answer.strip())
        return grade(repr(gold), unit.group(1) if unit else answer, policy="rounding").accepted
    # An exact answer (1/3, \\pi/4) whose value the gold rounds: the two change places under the rounding policy.
    return grade(answer, repr(gold), policy="rounding").accepted


def _elements(answer: str) -> list[str] | None:
    """`[1, 2.5]`, `(1, 2.5)`, `1, 2.5` -> its elements; `None` for nested lists."""
    text = answer.strip().strip("$").strip().removeprefix("\\left").replace("\\right", "")
    text = text.strip().removeprefix("\\{").removesuffix("\\}").strip("[](){} ")
    if any(bracket in text for bracket in "[](){}"):
        return None
    return [part.strip() for part in text.split(",")]
