"""The verdicts of TheoremQA's official script: 4 % relative tolerance for real numbers, rounding for whole ones, lists sorted.

The official script evaluates the answer as Python and asks two online services where that fails; here the text is read by our own
parser, and what it can't read counts as the script's last resort does: the numbers in the text, else 0.
"""

import json
import re

from caco_recipes.grading.evaluate import constant_value
from caco_recipes.grading.exact import NoValue, symbols
from caco_recipes.grading.normalise import clean
from caco_recipes.grading.parser import parse
from caco_recipes.grading.syntax import Mat, Quantity, Rel, Seq, Text, Unreadable

TOLERANCE = 0.04
MAX_CHARS = 2000
_NUMBER = r"[-+]?(?:[\d,]*\.*\d+)"
_AFTER = re.compile(rf"({_NUMBER}) [^0-9 ]+$")
_BEFORE = re.compile(rf"[^0-9 ]+ ({_NUMBER})$")
_CLOSE_AFTER = re.compile(rf"({_NUMBER})[^\d]{{1,2}}$")
_CLOSE_BEFORE = re.compile(r"[^-+\d]{1,2}((?:[\d,]*\.*\d+))$")
_GROUPED = re.compile(r"^[-+]?(\d{1,3}(,\d{3})*|(\d+))(\.\d+)?$")
_ANY_NUMBER = re.compile(r"[-+]?(?:\d*\.*\d+)")
_OPTION = re.compile(r"\([a-d]\)")


def within(pred: float, gold: float) -> bool:
    """Within 4 % of the gold."""
    margin = abs(gold) * TOLERANCE
    return gold - margin <= pred <= gold + margin


def judge(pred: str | None, gold: object, answer_type: str) -> bool:
    """The script's verdict.

    Args:
        pred: an extracted answer.
        gold: the reference value: a number, a Boolean, a list of numbers, or an option such as "(b)".
        answer_type: `bool`, `option`, `integer`, `float`, `list of integer` or `list of float`.

    Raises:
        ValueError: unknown `answer_type`.
    """
    value = read(pred)
    kind = answer_type.lower()
    if kind == "bool":
        return isinstance(value, bool | int | float) and value == _bool(gold)
    if kind == "option":
        return isinstance(value, str) and value.strip().lower() == str(gold).strip().lower()
    if kind in ("integer", "float"):
        return _number(value, gold)
    if kind in ("list of integer", "list of float", "list"):
        if not isinstance(value, list) or not isinstance(gold, list) or len(value) != len(gold):
            return False
        if not all(isinstance(item, int | float) for item in value):
            return False
        return all(_number(p, g) for p, g in zip(sorted(value), sorted(gold), strict=True))
    raise ValueError(
        f"unknown answer_type {answer_type!r}: expected bool, option, integer, float or list of integer/float"
    )


def _bool(gold) -> object:
    return {"true": True, "false": False}.get(str(gold).lower(), gold)


def _number(pred, gold) -> bool:
    if isinstance(pred, bool) or not isinstance(pred, int | float):
        return False
    if isinstance(gold, float):
        return within(pred, gold)
    try:
        return round(pred) == gold
    except (OverflowError, ValueError):
        return False


def read(text: str | None) -> object:
    """The value that the script makes of an answer: a number, a list of numbers, a Boolean or an option's text."""
    text = "0" if text is None else str(text)
    if len(text) > MAX_CHARS:  # the patterns below are quadratic
        text = text[-MAX_CHARS:]
    for mark in ("=", "≈"):
        if mark in text:
            text = text.split(mark)[-1].strip()
    for mark in ("`", "$", "°"):
        text = text.replace(mark, "")
    if text in ("true", "yes", "True"):
        return True
    if text in ("false", "no", "False"):
        return False
    if "True" in text or "False" in text:
        return "True" in text
    text = text.replace("approximately", "").strip()
    if " or " in text:
        text = text.split(" or ")[0]
    option = _OPTION.search(text)
    if option:
        return option.group(0)
    for pattern in (_AFTER, _BEFORE, _CLOSE_AFTER, _CLOSE_BEFORE):
        match = pattern.match(text)
        if match:
            text = match.group(1)
    if _GROUPED.match(text):
        text = text.replace(",", "")
    text = text.replace(" x ", "*").replace(" × ", "*")
    value = _value(text or "0")
    if value is not None:
        return value
    numbers = [float(n) for n in _ANY_NUMBER.findall(text) if n.count(".") <= 1]
    return 0 if not numbers else numbers[0] if len(numbers) == 1 else numbers


def _value(text: str) -> object:
    try:
        node = parse(clean(text))
    except Unreadable:
        return None
    return _plain(node)


def _plain(node) -> object:
    if isinstance(node, Text):
        return {"true": True, "false": False, "yes": True, "no": False}.get(node.text.lower())
    if isinstance(node, Seq | Mat):
        items = node.items if isinstance(node, Seq) else [cell for row in node.rows for cell in row]
        values = [_plain(item) for item in items]
        return None if any(not isinstance(v, int | float) for v in values) else values
    if isinstance(node, Rel):
        return _plain(node.sides[-1])
    if isinstance(node, Quantity):
        return _plain(node.value)
    try:
        if symbols(node):
            return None
    except NoValue:
        return None
    value = constant_value(node)
    try:
        return None if value is None else int(value) if value.denominator == 1 else float(value)
    except OverflowError:
        return None


def typed(gold: object) -> object:
    """A gold that came as text (responses made elsewhere) as the value that it spells."""
    if isinstance(gold, str) and gold.strip():
        try:
            return json.loads(gold.lower() if gold.strip().lower() in ("true", "false") else gold)
        except ValueError:
            pass
    return gold


def type_of(gold: object) -> str:
    """The type of a gold whose data set does not say it (responses made elsewhere)."""
    if isinstance(gold, bool):
        return "bool"
    if isinstance(gold, int | float):
        return "integer" if isinstance(gold, int) else "float"
    if isinstance(gold, list):
        return "list of float" if any(isinstance(item, float) for item in gold) else "list of integer"
    text = str(gold).strip()
    return "option" if len(text.strip("()")) == 1 and text.strip("()").isalpha() else "float"
