"""The verdicts of the DART-Math evaluator (CollegeMath, DeepMind-Mathematics, TheoremQA in the paper): its equality, over the
extraction and clean-up of `dart_answers`.

Rules and constants follow the description of that evaluator, its oddities included (any "no" in an answer is False, ± 100 × for
percent within 1e-3, `:` as division). Nothing in a text is evaluated; where the original calls sympy, `sympy_reading` stands in.
"""

import math
import re
from datetime import datetime

from caco_recipes.grading import evaluate
from caco_recipes.grading.paper import sympy_comparison, sympy_python, sympy_reading
from caco_recipes.grading.paper.dart_answers import MAX_CHARS, bare, clean, extract, is_set, items
from caco_recipes.grading.regions import region, same_region
from caco_recipes.grading.syntax import Mat, Rel, Seq, SetOp, Unreadable

REL_TOL = 1e-9
ABS_TOL = 1e-8
PERCENT_REL_TOL = 1e-3
_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")
_DATE_FORMATS = (
    *_DATES, *(f"{date} %H:%M:%S" for date in _DATES), *(f"{date} %H:%M" for date in _DATES),
    "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p",
)  # fmt: skip

__all__ = ["asks_for_set", "clean", "equal", "extract", "numbers_close"]


def asks_for_set(question: str) -> bool:
    """Whether a question's answers may come in any order, by the evaluator's two phrases."""
    return "ind the" in question or ("all" in question and "separate" in question)


def equal(pred: str | None, gold: str | list, *, as_set: bool = False, _depth: int = 0) -> bool:
    """The evaluator's verdict.

    Args:
        pred: an extracted answer.
        gold: the reference, or a pair of its text and its number (TheoremQA).
        as_set: compare lists as sets (`asks_for_set` of the question).
    """
    gold_number = None
    if isinstance(gold, list | tuple) and len(gold) == 2:
        gold, gold_number = gold
    if pred is None or gold is None:
        return False
    times = _moment(str(pred)), _moment(str(gold))
    if times[0] is not None and times[0] == times[1]:
        return True
    pred, gold = clean(pred), clean(gold)
    if not pred or not pred.isascii():
        return False
    if pred.lower() == gold.lower():
        return True
    if len(pred) > MAX_CHARS or len(gold) > MAX_CHARS:
        return False
    if as_set:
        return _sets(items(pred), items(gold), _depth)
    a = _float(pred)
    b = _float(gold) if gold_number is None else gold_number
    if isinstance(b, int | float) and a is not None and numbers_close(b, a):
        return True
    return _symbolic(pred, gold)


def _sets(preds: list[str], golds: list[str], depth: int) -> bool:
    if len(preds) != len(golds):
        return False
    for item in preds:
        match = next((other for other in golds if equal(item, other, _depth=depth + 1)), None)
        if match is None:
            return False
        golds.remove(match)
    return True


def _float(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def numbers_close(gold: float, pred: float) -> bool:
    """Relative 1e-9 or absolute 1e-8; as a percentage relative 1e-3."""
    if math.isclose(gold, pred, rel_tol=REL_TOL, abs_tol=ABS_TOL):
        return True
    if not _maybe_percent(pred):
        return False
    return any(
        math.isclose(item, pred, rel_tol=PERCENT_REL_TOL, abs_tol=ABS_TOL)
        for item in (gold / 100, gold * 100)
        if _maybe_percent(item)
    )


def _maybe_percent(value: float) -> bool:
    return 0 < value < 1 or 1 < value < 100


def _moment(text: str) -> str | None:
    for form in _DATE_FORMATS:
        try:
            moment = datetime.strptime(text, form)
        except ValueError:
            continue
        has_time, has_date = ":" in text, "/" in text or "-" in text
        if has_date and has_time:
            return moment.strftime("%Y-%m-%d %H:%M:%S")
        if has_date:
            return moment.strftime("%Y-%m-%d")
        if has_time:
            return moment.strftime("%H:%M:%S")
    return None


def _read(reader, text: str):
    try:
        return reader(text)
    except (Unreadable, ValueError, IndexError):
        return None


def _latex(text: str):
    """The LaTeX reader; a list whose first item is all it read doesn't count as read."""
    node = sympy_reading.latex(text)
    if "," in text and node == _read(sympy_reading.latex, text.split(",")[0]):
        raise Unreadable("a list")
    return node


def _symbolic(pred: str, gold: str) -> bool:
    python = _read(sympy_python.python, pred), _read(sympy_python.python, gold)
    if None not in python and sympy_comparison.same(*python):
        return True
    spans = _read(_interval, pred), _read(_interval, gold)
    if None not in spans and same_region(*spans):
        return True
    matrices = _read(_matrix, pred), _read(_matrix, gold)
    if None not in matrices and sympy_comparison.same_matrix(*matrices, _close):
        return True
    latex = _read(_latex, pred), _read(_latex, gold)
    for a, b in (latex, (latex[0], python[1]), (python[0], latex[1])):
        if a is not None and b is not None and _close(a, b):
            return True
    return False


def _close(a, b) -> bool:
    """Equal symbolically or, with no symbols in it, within the tolerances of numbers."""
    if sympy_comparison.same(a, b):
        return True
    if isinstance(a, Rel | Seq | Mat | SetOp) or isinstance(b, Rel | Seq | Mat | SetOp):
        return False
    x, y = (sympy_comparison.constant(sympy_reading.with_pi(node)) for node in (a, b))
    return x is not None and y is not None and numbers_close(x, y)


def _interval(text: str) -> list:
    text = text.replace(" ", "")
    if "\\cup" in text or "\\cap" in text:
        mark, op = ("\\cup", "union") if "\\cup" in text else ("\\cap", "inter")
        parts = [_span(part) for part in text.split(mark)]
        found = region(SetOp(op, parts), True)
    else:
        found = region(_span(text), True)
    if found is None:
        raise Unreadable("interval")
    return found


def _span(text: str):
    for left, right in (("\\{", "\\}"), ("{", "}")):
        if text.startswith(left) and text.endswith(right):
            return Seq("\\{", "\\}", [_latex(text[2:-2] if left == "\\{" else text[1:-1])])
    opener = next((mark for mark in ("(", "[", "\\(", "\\[") if text.startswith(mark)), None)
    closer = next((mark for mark in ("\\)", "\\]", ")", "]") if text.endswith(mark)), None)
    if opener is None or closer is None:
        raise Unreadable("interval")
    low, high = text[len(opener) : -len(closer)].split(",")
    node = Seq(opener[-1], closer[-1], [_latex(low), _latex(high)])
    node.items = [sympy_reading.with_pi(item) for item in node.items]
    low_value, high_value = evaluate.real_value(node.items[0]), evaluate.real_value(node.items[1])
    if low_value is not None and high_value is not None and low_value >= high_value:
        raise Unreadable("interval")
    return node


def _matrix(text: str) -> Mat:
    text = text.replace(" ", "")
    found = re.search(
        r"(?:\[|\()?\\begin{[a-zA-Z]?(?:matrix|array)}(?:\[lcr\])*?(.*)\\end{[a-zA-Z]?(?:matrix|array)}(?:\]|\))?",
        text,
    )
    if found:
        rows = [row.split("&") for row in re.split(r"\\+(?!frac|sqrt)", found[1].removeprefix("{}"))]
    elif "," in text:
        rows = [items(text)] if is_set(text) else [bare(text).split(",")]
    else:
        raise Unreadable("matrix")
    matrix = Mat([[_latex(cell) for cell in row] for row in rows if row != [""]])
    if all(len(row) == 1 for row in matrix.rows):
        matrix = Mat([[row[0] for row in matrix.rows]])
    if len({len(row) for row in matrix.rows}) != 1:
        raise Unreadable("ragged matrix")
    return matrix
