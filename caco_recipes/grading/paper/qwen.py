"""The verdicts of Qwen2.5-Math's evaluation (MATH and GSM8K in the paper): its extraction, its clean-up, its equality.

Rules and constants follow the description of that evaluator; its oddities are kept on purpose (units of one letter, ±100 × for
percent, relative tolerance 1e-4, brackets ignored), for published numbers came from them. Nothing in a text is evaluated.
"""

import math
import re

from caco_recipes.grading.paper import sympy_comparison
from caco_recipes.grading.paper.number_words import words_to_number
from caco_recipes.grading.syntax import App, Mat, Rel

REL_TOL = 1e-4
MAX_CHARS = 6000
# The unit words of the evaluator, longest lists first by meaning; each also with an "s".
_UNITS = (
    "east|degree|mph|kmph|ft|m sqaure| m east|sq m|deg|mile|q .|monkey|prime|ratio|profit of rs|rd|o|gm|p . m|lb|tile|per|dm|lt|gain|ab|way|west|"
    "a .|b .|c .|d .|e .|f .|g .|h .|t|a|h|no change|men|soldier|pie|bc|excess|st|inches|noon|percent|by|gal|kmh|c|acre|rise|a . m|th|π r 2|sq|"
    "mark|l|toy|coin|sq . m|gallon|° f|profit|minw|yr|women|feet|am|pm|hr|cu cm|square|v â € ™|are|rupee|rounds|cubic|cc|mtr|s|ohm|number|kmph|day|"
    "hour|minute|min|second|man|woman|sec|cube|mt|sq inch|mp|∏ cm ³|hectare|more|sec|unit|cu . m|cm 2|rs .|rs|kg|g|month|km|m|cm|mm|apple|liter|"
    "loss|yard|pure|year|increase|decrease|d|less|Surface|litre|pi sq m|s .|metre|meter|inch"
).split("|")
_UNIT_PATTERNS = [re.compile(r"(^|\W)" + unit + r"($|\W)") for unit in _UNITS + [unit + "s" for unit in _UNITS]]
_ALL_UNITS = re.compile(r"(?:^|\W)(?:" + "|".join(_UNITS) + r")s?(?:$|\W)")
_DROPPED_KEYS = ("x=", "y=", "z=", "x\\in", "y\\in", "z\\in", "x\\to", "y\\to", "z\\to")
_LAST_NUMBER = re.compile(r"-?\d*\.?\d+")
_CHOICE = re.compile(r"\b(A|B|C|D|E)\b")
_LIST = re.compile(r"(\(|\[).+(\)|\])")


# -- extraction -------------------------------------------------------------------------------------------------------
def extract(text: str, *, skip_unit: bool = False) -> str:
    """The answer that the evaluator takes from a solution, cleaned up; an empty string if there is none."""
    text = text.replace("ки", "")
    if "final answer is $" in text and "$. I hope" in text:
        answer = text.split("final answer is $", 1)[1].split("$. I hope", 1)[0].strip()
    elif "boxed" in text:
        answer = _after_box(text.split("boxed")[-1])
    elif "he answer is" in text:
        answer = text.split("he answer is")[-1].strip()
    elif "final answer is" in text:
        answer = text.split("final answer is")[-1].strip()
    elif "答案是" in text:
        answer = text.split("答案是")[1].strip().split("\n\n")[0].strip()
    else:
        numbers = _LAST_NUMBER.findall(text.replace(",", ""))
        answer = numbers[-1] if numbers else ""
    answer = re.sub(r"\n\s*", "", answer)
    answer = answer.removeprefix(":")
    answer = answer.removesuffix(".")
    answer = answer.removesuffix("/")
    return strip(answer, skip_unit=skip_unit)


def _after_box(rest: str) -> str:
    """The braces' content at the start of `rest` (all of it if they never close), or the text up to a `$`."""
    if not rest.startswith("{"):
        return rest.split("$")[0].strip()
    depth = 0
    for i, char in enumerate(rest):
        depth += (char == "{") - (char == "}")
        if depth == 0:
            return rest[1:i]
    return rest[1:]


# -- clean-up ---------------------------------------------------------------------------------------------------------
def strip(text: str, *, skip_unit: bool = False) -> str:
    """The evaluator's clean-up of a gold or extracted answer."""
    if len(text := str(text)) > MAX_CHARS:  # nothing that long is an answer, and its patterns are quadratic
        return "".join(text.split())
    text = text.strip().replace("\n", "").rstrip(".").replace("\\!", "")
    text = re.sub(r"\\begin\{array\}\{.*?\}", r"\\begin{pmatrix}", text)
    text = re.sub(r"\\end\{array\}", r"\\end{pmatrix}", text).replace("bmatrix", "pmatrix")
    for old, new in (("tfrac", "frac"), ("dfrac", "frac"), ("\\neq", "\\ne"), ("\\leq", "\\le"), ("\\geq", "\\ge"), ("\\left", ""),
                     ("\\right", ""), ("\\{", "{"), ("\\}", "}")):  # fmt: skip
        text = text.replace(old, new)
    shorter = re.sub(r"\\text{.*?}$", "", text).strip()
    text = shorter or text
    if not skip_unit and _ALL_UNITS.search(text):
        text = _strip_units(text)
    for dropped in ("^{\\circ}", "^\\circ", "\\$", "$", "\\(", "\\)"):
        text = text.replace(dropped, "")
    counted = words_to_number(text)
    text = text if counted is None else counted
    text = re.sub(r"\\text\{(.*?)\}", r"\1", text)
    for key in _DROPPED_KEYS:
        text = text.replace(key, "")
    text = text.replace("\\emptyset", "{}").replace("(-\\infty,\\infty)", "\\mathbb{R}")
    text = text.replace("\\%", "").replace("%", "").replace(" .", " 0.").replace("{.", "{0.")
    text = text.replace("infinity", "\\infty")
    if "\\infty" not in text:
        text = text.replace("inf", "\\infty")
    text = text.replace("+\\inity", "\\infty").replace("and", "").replace("\\mathbf", "")
    text = re.sub(r"\\mbox{.*?}", "", text)
    if "j" in text and "i" not in text:
        text = text.replace("j", "i")
    text = re.sub(r"(\d+)\.0*([^\d])", r"\1\2", text)
    text = re.sub(r"(\d+)\.0*$", r"\1", text)
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    sides = text.split("=")
    if len(sides) == 2 and len(sides[0]) <= 2:
        text = sides[1]
    text = re.sub(r"\\sqrt(\w+)", r"\\sqrt{\1}", text).replace(" ", "")
    return _slash_to_frac(brace_fracs(text))


def _strip_units(text: str) -> str:
    for _ in range(2):
        for pattern in _UNIT_PATTERNS:
            shorter = pattern.sub(r"\1\2", text)
            text = shorter or text
    return text


def brace_fracs(text: str) -> str:
    """`\\frac12` → `\\frac{1}{2}`, `\\frac1{72}` → `\\frac{1}{72}`; the text itself if a `\\frac` has no two arguments."""
    head, *rest = text.split("\\frac")
    for part in rest:
        if part.startswith("{"):
            head += "\\frac" + part
        elif len(part) < 2:
            return text
        elif part[1] == "{":
            head += f"\\frac{{{part[0]}}}{part[1:]}"
        else:
            head += f"\\frac{{{part[0]}}}{{{part[1]}}}{part[2:]}"
    return head


def _slash_to_frac(text: str) -> str:
    parts = text.split("/")
    if len(parts) != 2:
        return text
    try:
        top, bottom = (part if "sqrt" in part else int(part) for part in parts)
    except ValueError:
        return text
    return f"\\frac{{{top}}}{{{bottom}}}" if text == f"{top}/{bottom}" else text


# -- equality ---------------------------------------------------------------------------------------------------------
def equal(pred: str | None, gold: str | None) -> bool:
    """The evaluator's verdict on a cleaned prediction and a cleaned gold."""
    if pred is None or gold is None:
        return False
    pred, gold = str(pred), str(gold)
    if len(pred) > MAX_CHARS or len(gold) > MAX_CHARS:
        return pred.strip().lower() == gold.strip().lower()
    if pred.strip().lower() == gold.strip().lower():
        return True
    if gold in ("A", "B", "C", "D", "E") and choice(pred) == gold:
        return True
    if _numbers_equal(pred, gold):
        return True
    if not pred:
        return False
    pred, gold = pred.strip(), gold.strip()
    if "pmatrix" in pred and "pmatrix" not in gold:
        gold = _braces_to_matrix(gold)
    if _without_brackets(pred, gold):
        return True
    if _LIST.match(pred) and _LIST.match(gold):
        return _pairwise(pred[1:-1].split(","), gold[1:-1].split(","))
    if _is_matrix(pred) and _is_matrix(gold):
        return _matrices(pred, gold)
    if pred.count("=") == 1 and gold.count("=") == 1:
        left, right = _moved(pred), _moved(gold)
        return _symbolic(left, right) or _symbolic(f"-({left})", right)
    if _short_equation(pred) and "=" not in gold:
        return equal(pred.split("=")[1], gold)
    if _short_equation(gold) and "=" not in pred:
        return equal(pred, gold.split("=")[1])
    return _symbolic(pred, gold)


def choice(text: str) -> str:
    """The last letter A–E that stands alone, else the text without its final full stop."""
    text = text.strip("\n").rstrip(".").rstrip("/").strip(" ").lstrip(":")
    letters = _CHOICE.findall(text.upper())
    return (letters[-1] if letters else text.strip().strip(".")).rstrip(".").rstrip("/")


def _to_float(text: str) -> float | None:
    text = text.replace(",", "")
    try:
        return float(text)
    except ValueError:
        pass
    if text.endswith("%"):
        try:
            return float(text[:-1].removesuffix("\\")) / 100
        except ValueError:
            pass
    return None


def _numbers_equal(pred: str, gold: str) -> bool:
    a, b = _to_float(pred), _to_float(gold)
    return (
        a is not None
        and b is not None
        and any(math.isclose(item, a, rel_tol=REL_TOL) for item in (b / 100, b, b * 100))
    )


def _braces_to_matrix(text: str) -> str:
    found = re.findall(r"\{.*,.*\}", text)
    return ", ".join(r"\begin{pmatrix}" + m.strip("{}").replace(",", "\\") + r"\end{pmatrix}" for m in found)


def _without_brackets(pred: str, gold: str) -> bool:
    square = pred.startswith("[") and pred.endswith("]") and not (gold.startswith("(") and gold.endswith(")"))
    round_ = pred.startswith("(") and pred.endswith(")") and not (gold.startswith("[") and gold.endswith("]"))
    if square or round_:
        pred, gold = pred.strip("[]()"), gold.strip("[]()")
    table = str.maketrans("", "", "{}()")
    return pred.translate(table).lower() == gold.translate(table).lower()


def _pairwise(left: list[str], right: list[str]) -> bool:
    return len(left) == len(right) and all(equal(x, y) for x, y in zip(left, right, strict=True))


def _is_matrix(text: str) -> bool:
    return text.startswith(("\\begin{pmatrix}", "\\begin{bmatrix}")) and text.endswith(
        ("\\end{pmatrix}", "\\end{bmatrix}")
    )


def _matrices(pred: str, gold: str) -> bool:
    size = len("\\begin{pmatrix}")
    left, right = (
        [row.strip() for row in text[size : 2 - size].split("\\\\") if row.strip()] for text in (pred, gold)
    )
    return len(left) == len(right) and all(
        _pairwise(x.split("&"), y.split("&")) for x, y in zip(left, right, strict=True)
    )


def _moved(equation: str) -> str:
    left, right = equation.split("=")
    return f"{left.strip()} - ({right.strip()})"


def _short_equation(text: str) -> bool:
    return text.count("=") == 1 and len(text.split("=")[0].strip()) <= 2


def _symbolic(pred: str, gold: str) -> bool:
    a, b = sympy_comparison.any_reader(pred), sympy_comparison.any_reader(gold)
    if a is None or b is None:
        return pred == gold
    if sympy_comparison.same(a, b):
        return True
    if isinstance(a, Rel) and isinstance(b, Rel):
        left, right = sympy_comparison.difference(a), sympy_comparison.difference(b)
        return sympy_comparison.same(left, right) or sympy_comparison.same(left, App("neg", [right]))
    if isinstance(a, Mat) and isinstance(b, Mat):
        return sympy_comparison.same_matrix(a, b, lambda x, y: _rounded(x) is not None and _rounded(x) == _rounded(y))
    x, y = sympy_comparison.constant(a), sympy_comparison.constant(b)
    return x is not None and y is not None and math.isclose(x, y, rel_tol=REL_TOL)


def _rounded(node) -> float | None:
    value = sympy_comparison.constant(node)
    return None if value is None else round(value, 3)
