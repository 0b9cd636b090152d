"""The verdicts of the DART-Math evaluator (CollegeMath, DeepMind-Mathematics, TheoremQA in the paper): extraction, clean-up, equality.

Rules and constants follow the description of that evaluator, its oddities included (any "no" in an answer is False, ± 100 × for
percent within 1e-3, `:` as division). Nothing in a text is evaluated; where the original calls sympy, `sympy_reading` stands in.
"""

import itertools
import math
import re
from datetime import datetime

from caco_recipes.grading import evaluate
from caco_recipes.grading.paper import sympy_reading
from caco_recipes.grading.regions import region, same_region
from caco_recipes.grading.syntax import Mat, Rel, Seq, SetOp, Unreadable

REL_TOL = 1e-9
ABS_TOL = 1e-8
MAX_CHARS = 6000
PERCENT_REL_TOL = 1e-3
_STRIP = (":", ".", "/", ",", "#", "?", "$", '"', "'", "к", "и")
_NO_TRAILING = ("(", "[", "{", "\\", *_STRIP)
_NO_PRECEDING = ("!", ")", "]", "}", *_STRIP)
_DATES = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%Y/%m/%d")
_DATE_FORMATS = (
    *_DATES, *(f"{date} %H:%M:%S" for date in _DATES), *(f"{date} %H:%M" for date in _DATES),
    "%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p",
)  # fmt: skip
_FUNCTIONS = "sin|cos|tan|cot|sec|csc|sinh|cosh|tanh|coth|sech|csch|log|ln|exp"
_UNITS = (
    "hour", "minute", "min", "sec", "second", "day", "week", "month", "year", "meter", "mile", "kg", "mg", "g", "t", "ton", "nm", "pm", "um", "μm",
    "m", "cm", "mm", "dm", "km", "kilometer", "inch", "feet", "piece", "bit", "hz", "Hz", "m/s", "km/s", "m/(min^2)", "billion", "eV", "V", "C", "s",
    r"a\.?m\.?", r"(?<!\\)p\.?m\.?",
)  # fmt: skip
_UNIT_PATTERNS = [re.compile(rf"([-\d\.\*\^{{}}]+){unit}e?s?$") for unit in _UNITS]
_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_REMOVED = ("\n", "\t", "approximately", "'", '"', "\\$", "$", "￥", "£", "€", "{,}", "\\!", "\\,", "\\:", "\\;", "\\quad", "\\qquad", "\\space",
            "\\thinspace", "\\medspace", "\\thickspace", "~,", "\\ ", "\\\\%", "\\%", "%", "\\left", "\\right", "^{\\circ}", "^\\circ")  # fmt: skip
_REPLACED = (("∪", "\\cup"), ("π", "\\pi"), ("∞", "\\infty"), ("∈", "\\in"), ("∩", "\\cap"), ("−", "-"), ("\\item", ","), ("and", ","), (";", ","),
             ("infinity", "\\infty"), ("+\\infty", "\\infty"), ("tfrac", "frac"), ("dfrac", "frac"), ("\\approx", "="), ("\\times", "*"),
             ("\\cdot", "*"), ("{.", "{0."), (" .", " 0."), (":", "/"))  # fmt: skip
_COMMANDS = ("\\textbf", "\\textit", "\\textsl", "\\texttt", "\\textsc", "\\textsf", "\\textrm", "\\mathrm", "\\mathbf", "\\mathit", "\\mathsf", "\\mathtt",
             "\\mathbb", "\\mathcal", "\\mathscr", "\\mathfrak", "\\bm", "\\em", "\\emph", "\\underline", "\\overline", "\\tiny", "\\scriptsize",
             "\\footnotesize", "\\small", "\\normalsize", "\\large", "\\Large", "\\LARGE", "\\huge", "\\Huge", "\\newline", "\\par", "\\noindent", "\\indent",
             "\\footnote", "\\cite", "\\ref", "\\label", "\\textsuperscript", "\\textsubscript", "\\text", "\\mbox",
             "\\renewcommand{\\arraystretch}")  # fmt: skip
_ENVIRONMENTS = ("align", "align*", "center", "flushleft", "flushright", "itemize", "enumerate", "description")
_WORDS = {word: str(i) for i, word in enumerate(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty".split())}  # fmt: skip
_GREEK = ("alpha|beta|gamma|delta|epsilon|zeta|eta|theta|iota|kappa|lambda|mu|nu|xi|omicron|pi|rho|sigma|tau|upsilon|phi|chi|psi|omega|sin|cos|sec|csc"
          "|tan|cot|sinh|cosh|sech|csch|tanh|coth|log|ln|exp")  # fmt: skip
_NAMED_FULL = re.compile(rf"^([a-z]|[A-Z]{{2}}|\\?({_GREEK}))\^?{{?-?('|\\prime|\d)*}}?(\(-?([\d\.]+|[a-z])?\))?$")
_PAIRS = {r"\(": r"\)", r"\[": r"\]", r"\{": r"\}", "(": ")", "[": "]", "{": "}"}
_PM = re.compile(r"([\w\.\\{}\+\-\*\^]+?)(?:\\pm|\\mp)([\w\.\\{}\+\-\*\^]+)")


# -- extraction -------------------------------------------------------------------------------------------------------
def extract(text: str) -> str:
    """The answer that the evaluator takes from a solution, cleaned up (the text "None" if it announces none)."""
    return clean(str(_explicit(text)))


def _explicit(text: str) -> str | None:
    text = _trim_end(text)
    for mark in ("herefore", "####", "# Answer"):
        if mark in text:
            text = text.split(mark)[-1].strip()
    if "oxed{" in text:
        return _box(text.split("oxed")[-1])
    for mark in ("is the ans", "is our ans"):
        if mark in text:
            text = re.split(r"(,|\.|\!\|?)", text.split(mark)[-2].strip())[-1].strip()
            break
    else:
        for mark in ("answer is", "answer:", "answer :"):
            if mark in text:
                text = text.split(mark)[-1].strip()
                break
        else:
            if "statement" not in text:
                return None
            truth = _truth(text.split("is ")[-1].strip())
            if truth is not None:
                return str(truth)
    return text[1:-1] if text.startswith("$") and text.endswith("$") else text


def _box(rest: str) -> str:
    if not rest:
        return ""
    if rest[0] != "{":
        return rest.split("$")[0].strip()
    depth, found = 1, ""
    for before, char in itertools.pairwise(rest):
        if before != "\\":
            depth += (char == "{") - (char == "}")
            if depth == 0:
                break
        found += char
    return found


def _trim_end(text: str) -> str:
    text = str(text).strip()
    while text and text[-1] in _NO_TRAILING:
        text = text[:-1].strip()
    return text


def _trim(text: str) -> str:
    text = str(text).strip()
    while text and text[0] in _NO_PRECEDING:
        text = text[1:].strip()
    return _trim_end(text)


def _truth(text: str) -> bool | None:
    text = str(text).lower().strip().replace("noindent", "")
    if "yes" in text or "true" in text:
        return True
    return False if "no" in text or "false" in text else None


# -- clean-up ---------------------------------------------------------------------------------------------------------
def clean(text: str) -> str:
    """The evaluator's clean-up of a gold or extracted answer."""
    text = str(text)
    if len(text) > MAX_CHARS:  # nothing that long is an answer, and the patterns below are quadratic
        truth = _truth(text)
        return "".join(text.split()) if truth is None else str(truth)
    text = _trim(text.replace("\n", "").strip())
    truth = _truth(text)
    if truth is not None:
        return str(truth)
    weekday = text.lower().strip()
    if " " not in weekday:
        for day in _WEEKDAYS:
            if weekday.startswith(day[:3]):
                return day.capitalize()
    return _clean_math(text)


def _clean_math(text: str) -> str:
    text = _trim(text.strip())
    for removed in _REMOVED:
        text = text.replace(removed, "")
    for old, new in _REPLACED:
        text = text.replace(old, new)
    if "\\infty" not in text:
        text = text.replace("inf", "\\infty")
    text = text.replace(" ", "")
    for command in _COMMANDS:
        text = _without_command(text, command)
    for name in _ENVIRONMENTS:
        text = text.replace(f"\\begin{{{name}}}", "").replace(f"\\end{{{name}}}", "")
    text = text.replace("rad", "")
    text = re.sub(r"^(\d+) ?\^?\\?circ$", r"\1", text)
    text = re.sub(r"(\d+) ?\^?\\?circ", r"{\1*\\frac{\\pi}{180}}", text)
    text = re.sub(rf"(?<!\\)(pi\b|{_FUNCTIONS})", r"\\\1", text)
    text = re.sub(rf"\\?({_FUNCTIONS})\^(\d+)", r"\\\1^{\2}", text)
    text = re.sub(rf"\\?({_FUNCTIONS})(?!\^)", r"\\\1^{1}", text)
    text = re.sub(r"{[a-z]?matrix}", r"{array}", text)
    text = re.sub(r"\\begin{array}{[lcr]*}", r"\\begin{array}{}", text)
    if "\\begin{array}" not in text:
        text = text.replace("\\\\", "")
    if "j" in text and "i" not in text:
        text = text.replace("j", "i")
    text = re.sub(r"(\d+)\.0+([^\d])", r"\1\2", text)
    text = re.sub(r"(\d+)\.0+$", r"\1", text)
    if text[-1:].isalpha() or text[-1:] in (")", "."):  # the patterns look for a unit at the end, slowly
        for pattern in _UNIT_PATTERNS:
            text = pattern.sub(r"\1", text)
    if not text:
        return text
    if text[0] == ".":
        text = "0" + text
    text = ",".join(_clean_item(item) for item in (_items(text) if _is_set(text) else [text]))
    if "," not in text:
        text = _bare(text)
    text = _WORDS.get(text, text)
    text = _trim(re.sub(r"\\mid([a-z])", r"\\mid \1", text))
    for sign in ("<", ">"):
        if len(re.findall(f"{sign}=?", text)) > 1 and not any(mark in text.lower() for mark in (",", "and", "or")):
            text = text.replace(sign, ",")
    return text


def _clean_item(text: str) -> str:
    text = re.sub(r"\\?sqrt[\(\{\[](\w+)[\)\}\]]", r"\\sqrt{\1}", text)
    text = re.sub(r"\\?sqrt\s*(\d+)", r"\\sqrt{\1}", text)
    if text.startswith("frac"):
        text = "\\" + text
    text = _brace_fracs(text)
    text = re.sub(r"(\b\d+|sqrt\(.*?\))\/(\d+|sqrt\(.*?\)\b)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"^[a-z]\\in", "", text)
    if "," not in text:
        text = _bare(text)
    if "\\begin{array}" not in text:
        if len(text.split("=")) > 2:
            text = text.split("=")[-1]
        sides = text.split("=")
        if len(sides) == 2 and (_NAMED_FULL.match(sides[0].strip()) or not re.search(r"[a-zA-Z]", sides[0])):
            text = sides[1]
    opened = _bare(text)
    if ("\\pm" in opened or "\\mp" in opened) and _PM.search(opened):
        text = _PM.sub(r"\1-\2,\1+\2", opened)
    return re.sub(r"^0+([1-9])", r"\1", text)


def _brace_fracs(text: str) -> str:
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


def _without_command(text: str, command: str) -> str:
    """The first use of a LaTeX command taken out, with the braces around its argument."""
    at = text.find(command)
    if at < 0:
        return text
    before, after = text[:at].strip(), text[at + len(command) :].strip()
    if after.startswith("{"):
        left, right = _first_pair(after, "{")
        if left >= 0 and right >= 0:
            after = after[:left] + after[left + 1 : right] + after[right + 1 :]
    elif before.endswith("{"):
        close = after.find("}")
        if close >= 0:
            before, after = before[:-1], after[:close] + after[close + 1 :]
    return before + after


def _first_pair(text: str, opener: str) -> tuple[int, int]:
    closer = _PAIRS[opener]
    start = text.find(opener)
    if start < 0:
        return -1, -1
    depth = 0
    for i in range(start, len(text)):
        piece = text[i : i + len(opener)]
        depth += (piece == closer) - (piece == opener)
        if depth == 0:
            return start, i
    return start, -1


def _bare(text: str) -> str:
    """Without the brackets around the whole."""
    changed = True
    while changed:
        changed = False
        for opener in _PAIRS:
            start, close = _first_pair(text, opener)
            if start == 0 and close == len(text) - len(opener) and close >= 0:
                text = text[len(opener) : -len(opener)]
                changed = True
    return text


def _is_set(text: str) -> bool:
    braces = (text.startswith("{") and text.endswith("}")) or (text.startswith("\\{") and text.endswith("\\}"))
    return braces or re.search(r"[^a-z]or(x|[^a-z])", text) is not None


def _items(text: str, depth: int = 0) -> list[str]:
    found: list[str] = []
    for item in (part.strip() for part in _bare(text).replace("or", ",").split(",")):
        if not any(_safe_equal(item, other, depth + 1) for other in found):
            found.append(item)
    return sorted(found)


def _safe_equal(a: str, b: str, depth: int) -> bool:
    return a == b or (depth < 3 and equal(b, a, _depth=depth))


# -- equality ---------------------------------------------------------------------------------------------------------
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
        return _sets(_items(pred), _items(gold), _depth)
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
    python = _read(sympy_reading.python, pred), _read(sympy_reading.python, gold)
    if None not in python and sympy_reading.same(*python):
        return True
    spans = _read(_interval, pred), _read(_interval, gold)
    if None not in spans and same_region(*spans):
        return True
    matrices = _read(_matrix, pred), _read(_matrix, gold)
    if None not in matrices and sympy_reading.same_matrix(*matrices, _close):
        return True
    latex = _read(_latex, pred), _read(_latex, gold)
    for a, b in (latex, (latex[0], python[1]), (python[0], latex[1])):
        if a is not None and b is not None and _close(a, b):
            return True
    return False


def _close(a, b) -> bool:
    """Equal symbolically or, with no symbols in it, within the tolerances of numbers."""
    if sympy_reading.same(a, b):
        return True
    if isinstance(a, Rel | Seq | Mat | SetOp) or isinstance(b, Rel | Seq | Mat | SetOp):
        return False
    x, y = (sympy_reading.constant(sympy_reading.with_pi(node)) for node in (a, b))
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
        rows = [_items(text)] if _is_set(text) else [_bare(text).split(",")]
    else:
        raise Unreadable("matrix")
    matrix = Mat([[_latex(cell) for cell in row] for row in rows if row != [""]])
    if all(len(row) == 1 for row in matrix.rows):
        matrix = Mat([[row[0] for row in matrix.rows]])
    if len({len(row) for row in matrix.rows}) != 1:
        raise Unreadable("ragged matrix")
    return matrix
