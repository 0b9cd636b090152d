"""Text clean-up before anything is parsed: fonts, spacing, delimiters and characters that carry no meaning.

`clean` maps the many spellings of one answer (`\\dfrac`, `\\left(`, `$…$`, Unicode signs, thin spaces, thousands separators)
to one, and never changes what the answer means: no unit, letter or bracket is dropped here.
"""

import re
import unicodedata
from functools import lru_cache

from caco_recipes.grading.spelled import spelled_number

MAX_CHARS = 4000

_UNICODE = {
    "−": "-", "–": "-", "—": "-", "‐": "-", "‑": "-", "﹣": "-", "－": "-", "＋": "+", "×": r"\times ", "⋅": r"\cdot ", "·": r"\cdot ",
    "∙": r"\cdot ", "•": r"\cdot ", "÷": "/", "∕": "/", "⁄": "/", "∗": "*", "√": r"\sqrt ", "∛": r"\cbrt ", "∞": r"\infty ",
    "π": r"\pi ", "𝜋": r"\pi ", "∪": r"\cup ", "⋃": r"\cup ", "∩": r"\cap ", "∈": r"\in ", "∉": r"\notin ", "∅": r"\emptyset ",
    "≤": r"\le ", "⩽": r"\le ", "≦": r"\le ", "≥": r"\ge ", "⩾": r"\ge ", "≧": r"\ge ", "≠": r"\ne ", "≈": r"\approx ", "≅": r"\approx ",
    "±": r"\pm ", "∓": r"\mp ", "°": r"^\circ ", "º": r"^\circ ", "˚": r"^\circ ", "′": "'", "’": "'", "‘": "'", "“": '"', "”": '"',
    "⟨": r"\langle ", "⟩": r"\rangle ", "ℝ": r"\mathbb{R}", "ℤ": r"\mathbb{Z}", "ℕ": r"\mathbb{N}", "ℚ": r"\mathbb{Q}", "ℂ": r"\mathbb{C}",
    "，": ",", "、": ",", "；": ";", "：": ":", "（": "(", "）": ")", "［": "[", "］": "]", "｛": r"\{", "｝": r"\}", "＝": "=", "．": ".",
    "％": "%", "＜": "<", "＞": ">", "∶": ":", "\u00a0": " ", "\u2009": r"\,", "\u202f": r"\,", "\u200b": "", "\u2061": "",
    "\u2062": " ", "\ufeff": "", "½": r"\frac{1}{2}", "⅓": r"\frac{1}{3}", "⅔": r"\frac{2}{3}", "¼": r"\frac{1}{4}", "¾": r"\frac{3}{4}",
    "⅕": r"\frac{1}{5}", "⅖": r"\frac{2}{5}", "⅗": r"\frac{3}{5}", "⅘": r"\frac{4}{5}", "⅙": r"\frac{1}{6}", "⅚": r"\frac{5}{6}",
    "⅛": r"\frac{1}{8}", "⅜": r"\frac{3}{8}", "⅝": r"\frac{5}{8}", "⅞": r"\frac{7}{8}", "→": r"\to ", "∧": r"\land ", "∨": r"\lor ",
    "∠": r"\angle ", "△": r"\triangle ", "⊂": r"\subset ", "∖": r"\setminus ", "…": r"\ldots ", "⌊": r"\lfloor ", "⌋": r"\rfloor ",
    "⌈": r"\lceil ", "⌉": r"\rceil ", "∣": "|", "¢": r"\text{cents}", "≡": r"\equiv ", "∴": r"\therefore ", "⇒": r"\Rightarrow ",
}  # fmt: skip
_GREEK = {
    chr(code): "\\" + unicodedata.name(chr(code)).split()[-1].lower().replace("lamda", "lambda") + " "
    for code in [*range(0x3B1, 0x3C2), *range(0x3C3, 0x3CA)]
    if chr(code) not in _UNICODE
}
_CAPITALS = {
    "Δ": r"\Delta ",
    "Ω": r"\Omega ",
    "Σ": r"\Sigma ",
    "Φ": r"\Phi ",
    "Γ": r"\Gamma ",
    "Θ": r"\Theta ",
    "Λ": r"\Lambda ",
}
_TABLE = str.maketrans({**_GREEK, **_CAPITALS, **_UNICODE})
_SUPER = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ", "0123456789+-n")
_SUB = str.maketrans("₀₁₂₃₄₅₆₇₈₉ₙ", "0123456789n")

# A Python string that lost its backslash escapes: form feed + "rac" was "\frac", and so on.
_CONTROL = [
    (re.compile("\x0c(?=rac|loor|orall)"), r"\\f"),
    (re.compile("\x08(?=oxed|egin|inom|eta|ar|inom|igl|igr|ig)"), r"\\b"),
    (re.compile("\t(?=ext|frac|imes|heta|an|au|o |riangle)"), r"\\t"),
    (re.compile("\r(?=ight|angle|ho|floor|ceil|vert)"), r"\\r"),
    (re.compile("\x07(?=lpha|pprox|ngle)"), r"\\a"),
]
_DOUBLE_ESCAPED = re.compile(r"\\\\(?=[A-Za-z]{2,}|[{}$%,;:!])")
_SIZES = re.compile(r"\\(?:left|right|middle|[bB]igg?[lrm]?)(?![A-Za-z])\s*(\.(?!\d))?")
_STYLES = re.compile(
    r"\\(?:displaystyle|textstyle|scriptstyle|limits|nolimits|rm|bf|it|large|Large|normalsize|small|noindent"
    r"|hline|nonumber|notag|centering)(?![A-Za-z])"
)
_FRACS = re.compile(r"\\(?:[dtc]|nice|s)frac(?![A-Za-z])")
_ROOT_OF = re.compile(r"\\root\s*\{?([^{}\\]{1,20}?)\}?\s*\\of(?![A-Za-z])")
_BINOMS = re.compile(r"\\[dt]binom(?![A-Za-z])")
_SPACES = re.compile(
    r"\\q?quad|\\(?:enspace|enskip|thinspace|hfill|hspace\*?\{[^{}]*\}|vspace\*?\{[^{}]*\}|phantom\{[^{}]*\})(?![A-Za-z])|~"
)
_DIGIT_GROUPS = re.compile(
    r"(?<![\d.])(\d{1,3})((?:(?:\\[,!; ]|\s?\{\s?,\s?\}|,\\!|\\!,|\{,\}\\!|\{\\,\}|,\{\})\s?\d{3})+)(?!\d)"
)
_SPACE_GROUPS = re.compile(r"(?<![\d.,])(\d{1,3})((?: \d{3})+)(?![\d/])")
_NOT_DIGIT = re.compile(r"\D")
_TINY_SPACE = re.compile(r"(?<!\\)\\[,;:> !]")
_SUPER_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿ]+")
_SUB_RUN = re.compile("[₀₁₂₃₄₅₆₇₈₉ₙ]+")
_SQUARE_UNIT = re.compile(r"(?<=[\d\s.])([kcdm]?m|ft|in|yd|mi)([²³])")
_LEAD = r"(?:approximately|about|approx\.?|around|roughly|nearly|exactly|(?:so|thus|hence|therefore),?(?: the answer is)?|(?:the )?(?:final )?answer(?: is|:))"
_LEAD_WORDS = re.compile(
    rf"\A(?:{_LEAD}:?\s+|\\(?:text|textbf|mbox)\s*\{{\s*{_LEAD}:?\s*\}}\s*|\\(?:therefore|Rightarrow|implies|Longrightarrow)(?![A-Za-z])\s*|=\s*(?!=))",
    re.I,
)
# `0.1\\overline{6}`, `0.\\dot{1}2\\dot{3}`, `0.(3)`: the digits that repeat
_REPEATING = re.compile(
    r"(?<![\d.])(\d*)\.(\d*)(?:\\(?:overline|bar)\s*(?:\{(\d+)\}|(\d))|\\dot\s*\{?(\d)\}?(?:(\d*)\\dot\s*\{?(\d)\}?)?|\((\d+)\))(?!\d)"
)
_OVERLINED = re.compile("(?:\\d\u0305)+")
_IN_BASE = re.compile(r"\A([0-9A-F]+)\s*\(?\s*(?:in\s+)?base[- ](\d+|[a-z]+)\s*\)?\Z")
_MODULUS = re.compile(r"\(\s*(?:\\(?:text|mathrm|operatorname)\s*\{\s*)?\\?mod\s*\}?\s*([^()]{1,30})\)")
_BY_TEN = re.compile(r"(?<=\d)\s*[xX]\s*(?=10\s*(?:\^|\*\*))")
_BARE_COMMAND = re.compile(r"(?<![\\A-Za-z])([dt]?frac|sqrt)(?=\s*\{)")
_MEASURE_OF = re.compile(r"(?<![A-Za-z\\])m\s*(?=\\(?:measured)?angle(?![A-Za-z]))")
_REMAINDER = re.compile(r"(\d+)\s*(?:\\(?:text|mathrm)\s*\{\s*)?(?:[Rr]|rem(?:ainder|\.)?)\s*(?:\}\s*)?(\d+)\Z")
# "…, k ∈ ℤ" or "(n ∈ ℕ*)" behind a formula in k or n
_DOMAIN = re.compile(
    r"(?<=.)[,;]?\s*\(?\s*(?:\\text\s*\{\s*(?:where|for|with)\s*\}|where|for|with)?\s*([kmn])\s*\\in\s*"
    r"(?:\\(?:mathbb|Bbb|mathbf|mathrm)\s*\{?\s*[ZN]\s*\}?|[ZN])\s*(?:[\^_]\s*\{?\s*(?:\*|\+|\\ast)\s*\}?)?\s*\)?\s*\Z"
)
_INLINE = re.compile(r"(?<!\\)\$(?=[^\s$])((?:\\\$|[^$\n])*[^\s\\$])\$(?![\d$])")  # $…$ within a text
_PRINTED_ROWS = re.compile(r"\[[-\d.eE+\s\[\]]*\d\.?\s+[-\d.eE+\s\[\]]*\]\Z")
_ROW_GAPS = re.compile(r"(?<=[\d.\]])\s+(?=[-\d.\[])")
_CODES = re.compile(r"(?<![A-Za-z])(?:USD|EUR|GBP|Rs)(?![A-Za-z])")
_COUNTED = re.compile(r"\A(-?\$?[\d,]*\.?\d+)\s*\(([A-Za-z][A-Za-z .'-]{2,60})\)\Z")
_NUMBER_ROW = re.compile(r"-?\d+(?:\.\d+)?(?: -?\d+(?:\.\d+)?)+\Z", re.A)
_COMPOUND_UNIT = re.compile(
    r"(?<=[\d}])\s+((?:[kcm]?m|ft|mi|k?g|J|N|mol|rad|C|V|W|A|K|L|s|micro-?volts?)(?:\s?[/·* ]\s?\(?(?:s(?:ec)?|min|hr?|k?g|mol|[kc]?m|K|C|L)"
    r"(?:\^\{?-?\d\}?)?\)?)+)\Z"
)
_NOTE = re.compile(
    r"(?<=[\w)}%])\s*\((?:in |to |about |approx|rounded|numerical|approximate|nearest|exact|\d+ ?(?:sig|dec|d\.p)|unit)[^()]*\)\Z",
    re.I,
)
_CURRENCY = re.compile(
    r"\\\$|[€£¥₹]|\\(?:euro|pounds|yen)(?![A-Za-z])|\b(?:US|CA|AU)\$|(?<![A-Za-z])(?:USD|EUR|GBP)(?![A-Za-z])|\bRs\.?(?=\s?\d)"
)
_CURRENCY_NAMES = {
    "€": "euro",
    "EUR": "euro",
    "£": "pounds",
    "GBP": "pounds",
    "¥": "yen",
    "₹": "rupees",
    "Rs": "rupees",
    "Rs.": "rupees",
}
_WRAPS = [
    re.compile(r"\$\$(.*)\$\$\Z", re.S),
    re.compile(r"\$(?!\$)([^$]*)\$\Z", re.S),
    re.compile(r"\\\[(.*)\\\]\Z", re.S),
    re.compile(r"\\\((.*)\\\)\Z", re.S),
    re.compile(r"\\begin\{(?:equation|align|aligned|gather|displaymath|math)\*?\}(.*)\\end\{[a-z]+\*?\}\Z", re.S),
    re.compile(r"\*\*(.*)\*\*\Z", re.S),
    re.compile(r"`+([^`]*)`+\Z", re.S),
]
_PLAIN = re.compile(r"[\w .,+\-*/()\[\]=<>:]*\Z", re.A)
_BOX = re.compile(r"\\(?:boxed|fbox)\s*(?=\{)")
_ENDS = re.compile(r"(?:\s|\\+(?=\s*\Z)|(?<!\\)[;,。])+\Z")
_LEADS = re.compile(r"\A(?:\s|\\\\(?![A-Za-z])|[;,。])+")


def closing_brace(text: str, start: int) -> int:
    """Index of the `}` that closes the `{` at `start`, or -1. Escaped braces don't count."""
    depth = 0
    i = start
    while i < len(text):
        char = text[i]
        if char == "\\":
            i += 2
            continue
        if char == "{":
            depth += 1
        elif char == "}":
            depth -= 1
            if depth == 0:
                return i
        i += 1
    return -1


def unbox(text: str) -> str:
    """Replaces every `\\boxed{…}` by what it holds; an unclosed box takes the rest."""
    match = _BOX.search(text)
    for _ in range(50):
        if match is None:
            break
        close = closing_brace(text, match.end())
        inner = text[match.end() + 1 : close] if close > 0 else text[match.end() + 1 :]
        text = text[: match.start()] + " " + inner + " " + (text[close + 1 :] if close > 0 else "")
        match = _BOX.search(text)
    return text


def _unwrap(text: str) -> str:
    for _ in range(6):
        before = text
        for wrap in _WRAPS:
            match = wrap.match(text)
            if match:
                text = match.group(1).strip()
        if text.endswith(".") and not text.endswith(".."):
            text = text[:-1].rstrip()
        if text == before:
            break
    return text


def _currency(match: re.Match) -> str:
    name = match.group().lstrip("\\")
    return f" \\{_CURRENCY_NAMES.get(name, name if name in ('euro', 'pounds', 'yen') else '$')} "


def _based(match: re.Match) -> str:
    base = match[2] if match[2].isdigit() else spelled_number(match[2])
    return match.group() if base is None else f"{match[1]}_{{{base}}}"


def _repeating(match: re.Match) -> str:
    """The fraction of a repeating decimal."""
    whole, start, group, one, dot, between, last, round_group = match.groups()
    block = group or one or round_group or (dot + (between or "") + last if last else dot)
    nines = (10 ** len(block) - 1) * 10 ** len(start)
    value = int((whole + start + block) or 0) - int((whole + start) or 0)
    return rf"\frac{{{value}}}{{{nines}}}"


def _ungroup_digits(match: re.Match) -> str:
    return match.group(1) + _NOT_DIGIT.sub("", match.group(2))


@lru_cache(maxsize=65536)
def clean(text: str) -> str:
    """One spelling of `text`: LaTeX or Python, without fonts, sizes, spacing commands, delimiters and a final full stop."""
    text = _ENDS.sub("", _LEADS.sub("", text.strip()))
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    if text[:2] == "**" or text[:1] == "`":
        text = _unwrap(text)
    text = _NOTE.sub("", _LEAD_WORDS.sub("", text))
    if text[:1] == "[" and "," not in text and _PRINTED_ROWS.match(text):
        text = _ROW_GAPS.sub(", ", text)
    if "10" in text and ("x" in text or "X" in text):
        text = _BY_TEN.sub(r"\\times ", text)
    if "{" in text:
        text = _BARE_COMMAND.sub(r"\\\1", text)
    remainder = _REMAINDER.match(text)
    if remainder:
        text = f"({remainder[1]}, {remainder[2]})"
    if "base" in text:
        text = _IN_BASE.sub(_based, text)
    if "mod" in text:
        text = _MODULUS.sub(r"\\pmod{\1}", text)
    if _PLAIN.match(text) and not _CODES.search(text):
        if text[-1:] == ")" and ".(" in text:
            text = _REPEATING.sub(_repeating, text)
        if text[-1:] == ")":
            text = _COUNTED.sub(r"\1 \\text{\2}", text)
        if _NUMBER_ROW.match(text) and not _SPACE_GROUPS.fullmatch(text):
            return text.replace(" ", ",")
        if " " not in text:
            return text
        return _COMPOUND_UNIT.sub(r"\\text{\1}", _SPACE_GROUPS.sub(_ungroup_digits, text))
    for pattern, escape in _CONTROL:
        text = pattern.sub(escape, text)
    if "\\\\" in text and "\\begin" not in text.replace("\\\\begin", ""):
        text = _DOUBLE_ESCAPED.sub(r"\\", text)
    elif "\\\\begin" in text:
        text = text.replace("\\\\", "\\")
    text = _NOTE.sub("", _LEAD_WORDS.sub("", _unwrap(text.strip())))
    text = _COUNTED.sub(r"\1 \\text{\2}", text)
    if "boxed" in text or "fbox" in text:
        text = _LEAD_WORDS.sub("", _unwrap(unbox(text).strip()))
    if not text.isascii():
        text = _SQUARE_UNIT.sub(r"\\text{\1^\2}", text).replace("^²", "^2").replace("^³", "^3")
        text = _SUPER_RUN.sub(lambda m: "^{" + m.group().translate(_SUPER) + "}", text)
        text = _SUB_RUN.sub(lambda m: "_{" + m.group().translate(_SUB) + "}", text)
        text = _OVERLINED.sub(lambda m: rf"\overline{{{m.group()[::2]}}}", text)
        text = text.translate(_TABLE)
    if "\\" in text or "{" in text:
        text = _DIGIT_GROUPS.sub(_ungroup_digits, text)
        text = _SIZES.sub("", text)
        text = _STYLES.sub(" ", text)
        text = _FRACS.sub(r"\\frac", text)
        text = _REPEATING.sub(_repeating, text)
        text = _MEASURE_OF.sub("", text)
        domain = _DOMAIN.search(text) if "\\in" in text else None
        if domain and domain[1] in text[: domain.start()].replace("\\in", ""):
            text = text[: domain.start()].rstrip()
        text = _ROOT_OF.sub(r"\\sqrt[\1]", text)
        text = _BINOMS.sub(r"\\binom", text)
        text = _SPACES.sub(" ", text)
    if text.count("$") > 1:
        text = _INLINE.sub(r" \1 ", text)
    text = (
        _CURRENCY.sub(_currency, text)
        if ("$" in text or not text.isascii() or "USD" in text or "EUR" in text or "Rs" in text)
        else text
    )
    if "\\" in text:
        text = _TINY_SPACE.sub(lambda m: "" if m.group() == "\\!" else " ", text)
    text = _COMPOUND_UNIT.sub(r"\\text{\1}", text)
    text = text.replace("$", " $ ") if text.count("$") > 1 else text
    text = _SPACE_GROUPS.sub(_ungroup_digits, text)
    text = _ENDS.sub("", text.strip())
    if text.endswith(".") and not text.endswith(".."):
        text = text[:-1].rstrip()
    return text.strip()
