"""The verdicts of OlympiadBench's judge: all boxes joined by commas, items matched in any order, an absolute error per item.

The oddities are kept (±100 × for percent, symbolic difference below 1e-3, equations equal up to a whole factor). Nothing in a
text is evaluated.
"""

import re
from fractions import Fraction

from caco_recipes.grading.evaluate import constant_value, proportional
from caco_recipes.grading.exact import NoValue, point, symbols
from caco_recipes.grading.numeric import Doubles, approximate
from caco_recipes.grading.paper import sympy_comparison, sympy_reading
from caco_recipes.grading.syntax import App, Mat, Rel, Seq, Unreadable

PRECISION = 1e-8
MAX_CHARS = 6000
SLACK = 1.01
SYMBOLIC_TOLERANCE = 1e-3
_MAX_EXPONENT = 1000
_SIGNS = (("\\left", ""), ("\\right", ""), ("∶", ":"), ("，", ","), ("$", ""), ("\\approx", "="), ("\\simeq", "="), ("\\sim", "="), ("^\\prime", "'"),
          ("^{\\prime}", "'"), ("^\\circ", ""), ("%", ""))  # fmt: skip


def judge(pred_text: str, gold: str, error: float | str | list | None = None) -> bool:
    """The judge's verdict.

    Args:
        pred_text: a whole solution or an extracted answer.
        gold: the reference answer (several answers in one text, joined by commas).
        error: the item's absolute tolerance (a number, its text, one per answer); 1e-8 without one.
    """
    try:
        golds, preds = _prepare(gold), _prepare(pred_text)
    except Unreadable:
        return False
    if golds == preds:
        return True
    if len(golds) > MAX_CHARS or len(preds) > MAX_CHARS:
        return False
    left, right = (_open_signs(_split(re.sub(r"[一-鿿]+", "", text))) for text in (golds, preds))
    tolerances = _tolerances(error, len(left))
    if len(left) != len(right):
        return False
    return _match(left, right, tolerances)


def _tolerances(error, count: int) -> list[float]:
    if error in (None, ""):
        return [PRECISION] * count
    values = [float(e) for e in (error if isinstance(error, list) else str(error).split(","))]
    return values * count if len(values) == 1 else values + [values[-1]] * max(0, count - len(values))


def _match(golds: list[str], preds: list[str], tolerances: list[float]) -> bool:
    # The judge steps over the golds in a ring while it removes the matched ones; the order decides which pairs are tried.
    place = -1
    while golds:
        place = (place + 1) % len(golds)
        item, tolerance = golds[place], tolerances[place]
        partner = next((pred for pred in preds if _equal(item, pred, tolerance)), None)
        if partner is None:
            return False
        golds.remove(item)
        preds.remove(partner)
        tolerances.remove(tolerance)
    return True


# -- preparation ------------------------------------------------------------------------------------------------------
def _prepare(text: str) -> str:
    text = _boxed(str(text))
    if "\\in " in text:
        text = text.split("\\in ")[1]
    for old, new in _SIGNS:
        text = text.replace(old, new)
    text = text.strip("\n$,.:;^_=+`!@#%&*~，。")
    return re.sub(r"\\(?:mathrm|mathbf)\{~?([^}]*)\}", r"\1", text)


def _boxed(text: str) -> str:
    found = ""
    for match in re.finditer(r"\\boxed{", text):
        depth, end = 1, match.end()
        while depth and end < len(text):
            depth += (text[end] == "{") - (text[end] == "}")
            end += 1
        if depth:
            raise Unreadable("an unclosed box")
        found += text[match.end() : end - 1] + ","
    if found:
        return found
    formulas = re.findall(r"\$(.*?)\$", text.strip().split("\n")[-1])
    return "".join(formula + "," for formula in formulas) if formulas else text


def _split(text: str) -> list[str]:
    items, depth, start = [], 0, 0
    for i, char in enumerate(text):
        depth += (char in "([") - (char in ")]")
        if char == "," and depth == 0:
            items.append(text[start:i].strip())
            start = i + 1
    if start < len(text):
        items.append(text[start:].strip())
    return items


def _open_signs(items: list[str]) -> list[str]:
    return [
        text
        for item in items
        for text in ((item.replace("\\pm", "+"), item.replace("\\pm", "-")) if "\\pm" in item else (item,))
    ]


# -- comparison -------------------------------------------------------------------------------------------------------
def _equal(gold: str, pred: str, precision: float) -> bool:
    if gold == pred and gold:
        return True
    if _is_interval(gold) and _is_interval(pred):
        try:
            if _intervals(gold, pred, precision):
                return True
        except (Unreadable, IndexError):
            return False
    try:
        if _numbers(float(gold), float(pred), precision):
            return True
    except ValueError:
        pass
    try:
        if not ("=" in gold and "=" in pred) and _expressions(gold, pred, precision):
            return True
    except Unreadable:
        pass
    try:
        return _equations(gold, pred)
    except (Unreadable, ValueError):
        return False


def _is_interval(text: str) -> bool:
    return text.startswith(("(", "[")) and text.endswith((")", "]"))


def _numbers(gold: float, pred: float, precision: float) -> bool:
    return any(abs(item - pred) <= precision * SLACK for item in (gold / 100, gold, gold * 100))


def _right_side(text: str) -> str:
    return (text.split("=")[1] if "=" in text else text).strip()


def _expressions(gold: str, pred: str, precision: float) -> bool:
    a, b = sympy_reading.latex(_right_side(gold)), sympy_reading.latex(_right_side(pred))
    if a == b:
        return True
    a, b = sympy_reading.with_pi(a), sympy_reading.with_pi(b)
    if isinstance(a, Rel | Seq | Mat) or isinstance(b, Rel | Seq | Mat):
        return sympy_comparison.same(a, b)
    try:
        with_symbols = bool(symbols(a)), bool(symbols(b))
    except NoValue:
        return sympy_comparison.same(a, b)
    if with_symbols[0] != with_symbols[1]:
        return False
    if with_symbols[0]:
        return _difference_vanishes(a, b)
    if _too_large(a) or _too_large(b):
        return False
    x, y = constant_value(a), constant_value(b)
    if x is None or y is None:
        return sympy_comparison.same(a, b)
    return abs(x - y) <= Fraction(precision * SLACK)


def _too_large(node) -> bool:
    if not (isinstance(node, App) and node.op == "^"):
        return False
    exponent = sympy_comparison.constant(node.args[1])
    return exponent is None or abs(exponent) > _MAX_EXPONENT


def _difference_vanishes(a, b) -> bool:
    """Zero, or a constant below 1e-3: what is left of the difference once its symbols cancel."""
    if sympy_comparison.same(a, b):
        return True
    difference = App("+", [a, App("neg", [b])])
    names = symbols(difference)
    values = []
    for index in range(4):
        try:
            values.append(approximate(difference, {name: point(name, index) for name in names}, Doubles))
        except (NoValue, OverflowError, ZeroDivisionError, ValueError, TypeError):
            continue
    return (
        len(values) > 1
        and max(abs(v) for v in values) < SYMBOLIC_TOLERANCE
        and max(abs(v - values[0]) for v in values) < 1e-9
    )


def _equations(gold: str, pred: str) -> bool:
    """One side over the other is a whole number, or the inverse is."""
    sides = []
    for text in (gold, pred):
        left, right = text.split("=")
        sides.append(App("+", [sympy_reading.latex(left), App("neg", [sympy_reading.latex(right)])]))
    factor = proportional(*sides)
    if factor is None or factor == 0:
        return False
    return any(abs(float(f) - round(float(f))) < 1e-9 and round(float(f)) != 0 for f in (factor, 1 / factor))


def _intervals(gold: str, pred: str, precision: float) -> bool:
    left, right = gold.split("\\cup"), pred.split("\\cup")
    return len(left) == len(right) and all(_one_interval(x, y, precision) for x, y in zip(left, right, strict=True))


def _one_interval(a: str, b: str, precision: float) -> bool:
    if a[0] != b[0] or a[-1] != b[-1]:
        return False
    pairs = zip(a.strip("[]()").split(","), b.strip("[]()").split(","), strict=False)
    return all(_expressions(x, y, precision) for x, y in pairs)
