"""A program's typed output (tagged JSON) against an answer.

The tags keep what printing loses: an int from a string, a tuple from a list, an exact fraction, a sympy expression. They are
turned into the same trees that answers are parsed into; sympy's `str` is read by our own parser.
"""

import json
from fractions import Fraction

from caco_recipes.grading.grade import compare_cleaned, compare_trees
from caco_recipes.grading.normalise import clean
from caco_recipes.grading.parser import parse
from caco_recipes.grading.syntax import App, Num, Rel, Seq, Sym, Text, Unreadable
from caco_recipes.verdicts import REJECTED, UNDECIDED, Verdict

MAX_ITEMS = 5000
MAX_DEPTH = 25
MAX_JSON = 1 << 20
_INFINITY = {"nan": Sym("nan"), "inf": Sym("oo"), "-inf": App("neg", [Sym("oo")])}


def grade_output(output: object, answer: str, *, policy: str = "rounding") -> Verdict:
    """Whether a model's `answer` agrees with a program's typed `output` (dual verification).

    Args:
        output: tagged JSON of the value, as text or already decoded.
        answer: the model's final answer, extracted from its solution.
        policy: `rounding` (default: an answer with two decimals or more counts if it is the output's value rounded to them)
            or `exact`.

    Raises:
        ValueError: `output` isn't tagged JSON.
    """
    value = decode(output)
    if not answer or not answer.strip():
        return Verdict(REJECTED, "no_answer", "empty")
    if value is None:
        return Verdict(REJECTED, "answer_mismatch", "none")
    text = clean(answer)
    if isinstance(value, Text) and not _boolean(output):
        printed = clean(value.text)
        if not printed:
            return Verdict(REJECTED, "answer_mismatch", "none")
        return compare_cleaned(printed, text, False, policy)
    if isinstance(value, Unreadable):
        return Verdict(UNDECIDED, "infrastructure:unreadable_output", "typed")
    return compare_trees(value, text, policy)


def _boolean(output) -> bool:
    return isinstance(output, bool) or (isinstance(output, str) and output.strip() in ("true", "false"))


def printed(output: object) -> str | None:
    """The text of a typed value for the slow tier, where it is one number, expression or string; None otherwise."""
    value = json.loads(output) if isinstance(output, str) else output
    if isinstance(value, dict) and len(value) == 1:
        (tag, content), *_ = value.items()
        if tag == "$sympy":
            text = content["str"] if isinstance(content, dict) else str(content)
            return text.replace("**", "^").replace("*", " ")
        return str(content) if tag in ("$int", "$frac", "$dec", "$float") else None
    return str(value) if isinstance(value, str | int | float) else None


def decode(output: object):
    """The tree of a tagged value: None for `null`, `Text` for strings and Booleans, an `Unreadable` for what has no tree."""
    if isinstance(output, str):
        if len(output) > MAX_JSON:
            raise ValueError(f"typed output of {len(output)} characters: the limit is {MAX_JSON}")
        try:
            output = json.loads(output)
        except (ValueError, RecursionError) as fault:
            raise ValueError(f"typed output isn't JSON: {fault}") from None
    try:
        return _tree(output, 0)
    except Unreadable as fault:
        return fault
    except (KeyError, IndexError, TypeError, ValueError, ZeroDivisionError) as fault:
        return Unreadable(f"a tag's content: {fault}")


def _tree(value, depth: int):
    if depth > MAX_DEPTH:
        raise Unreadable("nested too deeply")
    if value is None:
        return None if depth == 0 else Text("None")
    if isinstance(value, bool):
        return Text(str(value))
    if isinstance(value, int):
        return Num(Fraction(value))
    if isinstance(value, float):
        return _float(repr(value))
    if isinstance(value, str):
        if depth == 0:
            return Text(value)
        try:
            return parse(clean(value), False)
        except Unreadable:
            return Text(value)
    if isinstance(value, list):
        return Seq("[", "]", _items(value, depth), "typed")
    if not isinstance(value, dict):
        raise Unreadable(type(value).__name__)
    if len(value) == 1:
        (tag, content), *_ = value.items()
        if tag.startswith("$"):
            return _tagged(tag, content, depth)
    return _mapping(list(value.items()), depth)


def _items(values: list, depth: int) -> list:
    if len(values) > MAX_ITEMS:
        raise Unreadable("too many items")
    return [_tree(item, depth + 1) for item in values]


def _float(text: str):
    if text in _INFINITY:
        return _INFINITY[text]
    number = Fraction(text)
    mantissa = text.lower().partition("e")[0].lstrip("-").replace(".", "").lstrip("0")
    if number.denominator == 1 and len(mantissa) < 17:
        return Num(number)
    places = len(text.partition(".")[2]) if "e" not in text.lower() else 0
    return Num(number, max(len(mantissa), 1), places)


def _mapping(pairs: list, depth: int):
    if len(pairs) > MAX_ITEMS:
        raise Unreadable("too many items")
    relations = []
    for key, item in pairs:
        name = _tree(key, depth + 1)
        if isinstance(name, Text):
            name = Sym(name.text)
        relations.append(Rel(["="], [name, _tree(item, depth + 1)]))
    return relations[0] if len(relations) == 1 else Seq("", "", relations)


def _tagged(tag: str, content, depth: int):
    if tag == "$int":
        return Num(Fraction(int(content)))
    if tag == "$float":
        return _float(str(content))
    if tag == "$tuple":
        return Seq("(", ")", _items(content, depth), "typed")
    if tag in ("$set", "$frozenset"):
        return Seq("\\{", "\\}", _items(content, depth))
    if tag == "$dict":
        return _mapping([(pair[0], pair[1]) for pair in content], depth)
    if tag == "$frac":
        return Num(_fraction(content))
    if tag == "$dec":
        number = Fraction(str(content))
        return Num(number, len(str(content).replace(".", "").lstrip("-0")), len(str(content).partition(".")[2]))
    if tag == "$complex":
        real, imaginary = content if isinstance(content, list) else (content["re"], content["im"])
        return App("+", [_tree(real, depth + 1), App("*", [_tree(imaginary, depth + 1), Sym("i")])])
    if tag == "$range":
        return Seq("[", "]", [Num(Fraction(n)) for n in range(*_bounded_range(content))], "typed")
    if tag == "$np":
        return _array(content, depth)
    if tag == "$sympy":
        text = content["str"] if isinstance(content, dict) else str(content)
        return parse(clean(text), True)
    if tag == "$bytes":
        return Text(str(content))
    if tag == "$repr":
        return _printed(content["text"])
    raise Unreadable(tag)


def _printed(text: str):
    try:
        return parse(clean(text), True)
    except Unreadable:
        return Text(text)


def _fraction(content) -> Fraction:
    if isinstance(content, list):
        return Fraction(int(content[0]), int(content[1]))
    return Fraction(str(content).replace(" ", ""))


def _bounded_range(content) -> tuple[int, int, int]:
    start, stop, step = (
        [*content, 1][:3] if isinstance(content, list) else (content["start"], content["stop"], content["step"])
    )
    start, stop, step = (part if isinstance(part, int) else int(part["$int"]) for part in (start, stop, step))
    if step == 0 or len(range(int(start), int(stop), int(step))) > MAX_ITEMS:
        raise Unreadable("range")
    return int(start), int(stop), int(step)


def _array(content: dict, depth: int):
    data, shape = content["data"], content.get("shape", [])
    if not shape:
        return _tree(data[0] if isinstance(data, list) and len(data) == 1 else data, depth + 1)
    if data and not isinstance(data[0], list) and len(shape) > 1:
        for size in reversed(shape[1:]):
            data = [data[i : i + size] for i in range(0, len(data), size)]
    return _tree(data, depth + 1)
