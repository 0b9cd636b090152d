"""What the DART-Math evaluator takes for the answer of a solution, and its clean-up, oddities included (any "no" in an answer is False)."""

import itertools
import re

from caco_recipes.grading.paper.qwen import brace_fracs  # both have it from one ancestor

MAX_CHARS = 6000
_STRIP = (":", ".", "/", ",", "#", "?", "$", '"', "'", "к", "и")
_NO_TRAILING = ("(", "[", "{", "\\", *_STRIP)
_NO_PRECEDING = ("!", ")", "]", "}", *_STRIP)
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
    text = ",".join(_clean_item(item) for item in (items(text) if is_set(text) else [text]))
    if "," not in text:
        text = bare(text)
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
    text = brace_fracs(text)
    text = re.sub(r"(\b\d+|sqrt\(.*?\))\/(\d+|sqrt\(.*?\)\b)", r"\\frac{\1}{\2}", text)
    text = re.sub(r"^[a-z]\\in", "", text)
    if "," not in text:
        text = bare(text)
    if "\\begin{array}" not in text:
        if len(text.split("=")) > 2:
            text = text.split("=")[-1]
        sides = text.split("=")
        if len(sides) == 2 and (_NAMED_FULL.match(sides[0].strip()) or not re.search(r"[a-zA-Z]", sides[0])):
            text = sides[1]
    opened = bare(text)
    if ("\\pm" in opened or "\\mp" in opened) and _PM.search(opened):
        text = _PM.sub(r"\1-\2,\1+\2", opened)
    return re.sub(r"^0+([1-9])", r"\1", text)


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


def bare(text: str) -> str:
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


def is_set(text: str) -> bool:
    """Whether an answer is written as a set or with "or"."""
    braces = (text.startswith("{") and text.endswith("}")) or (text.startswith("\\{") and text.endswith("\\}"))
    return braces or re.search(r"[^a-z]or(x|[^a-z])", text) is not None


def items(text: str, depth: int = 0) -> list[str]:
    """The different items of a set, sorted as texts."""
    found: list[str] = []
    for item in (part.strip() for part in bare(text).replace("or", ",").split(",")):
        if not any(_safe_equal(item, other, depth + 1) for other in found):
            found.append(item)
    return sorted(found)


def _safe_equal(a: str, b: str, depth: int) -> bool:
    from caco_recipes.grading.paper.dart import equal  # each of the two needs the other

    return a == b or (depth < 3 and equal(b, a, _depth=depth))
