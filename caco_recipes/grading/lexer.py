"""Cleaned answer text (LaTeX, Python or plain) to tokens.

A token is `(kind, value, space, start)`: `num` (digits as written), `sym` (one symbol name), `func` (a known function), `word`
(a run of letters that is neither), `text` (the content of `\\text{…}`), `env` (a matrix environment's rows as text), `op`
(anything else, one canonical spelling each). `space` says whether blank space came before it.
"""

import re

from caco_recipes.grading.normalise import closing_brace
from caco_recipes.grading.syntax import Unreadable
from caco_recipes.grading.words import is_measure

MAX_TOKENS = 1200

FUNCTIONS = {
    "sin", "cos", "tan", "cot", "sec", "csc", "arcsin", "arccos", "arctan", "arccot", "arcsec", "arccsc", "sinh", "cosh", "tanh",
    "coth", "arcsinh", "arccosh", "arctanh", "arsinh", "arcosh", "artanh", "asin", "acos", "atan", "acot", "asec", "acsc", "asinh",
    "acosh", "atanh", "sech", "csch", "exp", "log", "ln", "lg", "sqrt", "cbrt", "abs", "Abs", "floor", "ceil", "ceiling", "factorial",
    "binomial", "gcd", "lcm", "max", "min", "Max", "Min", "Mod", "sign", "sgn", "re", "im", "gamma", "erf", "erfc", "zeta",
    "conjugate", "arg", "det", "root", "cosec", "Gamma",
}  # fmt: skip
PYTHON_CALLS = {
    "Fraction", "Rational", "Integer", "Float", "Decimal", "float", "int", "str", "bool", "complex", "Matrix", "ImmutableMatrix",
    "MutableDenseMatrix", "ImmutableDenseMatrix", "array", "list", "tuple", "set", "frozenset", "Tuple", "Point", "Point2D", "Point3D",
    "FiniteSet", "Interval", "Union", "Eq", "Ne", "Lt", "Le", "Gt", "Ge", "And", "Or", "mpf", "mpc", "Poly", "deque", "int64",
    "float64", "int32", "float32", "bool_", "str_", "EmptySet", "Intersection", "Complement", "Not", "Symbol", "symbols",
    "OrderedDict", "dict", "tensor", "Interval.open", "Interval.Lopen", "Interval.Ropen",
}  # fmt: skip
GREEK = {
    "alpha", "beta", "delta", "epsilon", "varepsilon", "eta", "theta", "vartheta", "iota", "kappa", "lambda", "mu", "nu", "xi",
    "rho", "varrho", "sigma", "tau", "upsilon", "phi", "varphi", "chi", "psi", "omega", "Delta", "Theta", "Lambda", "Sigma", "Phi",
    "Psi", "Omega", "Pi", "Xi",
}  # fmt: skip
_GREEK_SAME = {"varepsilon": "epsilon", "vartheta": "theta", "varrho": "rho", "varphi": "phi"}
_CONSTANTS = {
    "pi": "pi",
    "oo": "oo",
    "inf": "oo",
    "Inf": "oo",
    "infty": "oo",
    "infinity": "oo",
    "Infinity": "oo",
    "zoo": "zoo",
    "nan": "nan",
}
_COMMANDS = {
    "cdot": "*", "times": "*", "ast": "*", "cdotp": "*", "bullet": "*", "div": "/", "pm": "pm", "mp": "mp", "plusmn": "pm",
    "le": "<=", "leq": "<=", "leqslant": "<=", "leqq": "<=", "ge": ">=", "geq": ">=", "geqslant": ">=", "geqq": ">=", "lt": "<",
    "gt": ">", "ne": "!=", "neq": "!=", "approx": "~", "simeq": "~", "thickapprox": "~", "approxeq": "~", "doteq": "~",
    "cong": "~", "sim": "~", "in": "in", "cup": "union", "bigcup": "union", "cap": "inter", "bigcap": "inter", "setminus": "minus",
    "backslash": "minus", "infty": "oo", "lvert": "|", "rvert": "|", "vert": "|", "mid": "mid", "lVert": "||", "rVert": "||",
    "Vert": "||", "lfloor": "lfloor", "rfloor": "rfloor", "lceil": "lceil", "rceil": "rceil", "langle": "<(", "rangle": ")>",
    "lbrace": "\\{", "rbrace": "\\}", "lbrack": "[", "rbrack": "]", "lparen": "(", "rparen": ")", "frac": "frac", "sqrt": "sqrt",
    "binom": "binom", "circ": "deg", "degree": "deg", "degrees": "deg", "prime": "'", "land": "&", "wedge": "&", "lor": "or",
    "vee": "or", "colon": ":", "ldotp": ".", "over": "over", "choose": "choose", "emptyset": "empty", "varnothing": "empty", "to": "->",
    "rightarrow": "->", "mapsto": "->", "implies": "->", "Rightarrow": "->", "iff": "->", "cbrt": "cbrt", "overline": "overline",
    "bar": "overline", "euro": "euro", "pounds": "pounds", "yen": "yen", "rupees": "rupees", "angle": "angle", "measuredangle": "angle", "triangle": "angle", "equiv": "equiv",
}  # fmt: skip
_ESCAPES = {
    "{": "\\{",
    "}": "\\}",
    "%": "%",
    "$": "$",
    "|": "||",
    "#": "#",
    "&": "and",
    "_": "_",
    " ": " ",
    "\\": ";;",
}
_TEXT = {
    "text",
    "mbox",
    "textbf",
    "textit",
    "textrm",
    "textnormal",
    "texttt",
    "textsf",
    "hbox",
    "emph",
    "underline",
    "textup",
    "textsc",
}
_FONT = {"mathrm", "mathbf", "mathit", "mathsf", "boldsymbol", "bm", "operatorname", "mathcal", "mathtt", "pmb", "rm", "bf", "vec",
         "widehat", "tilde", "mathscr", "mathfrak", "ensuremath", "overrightarrow"}  # fmt: skip
_VECTORS = {"mathbf", "boldsymbol", "bm", "pmb", "vec", "hat", "widehat", "overrightarrow"}
_ACCENTS = {"dot", "ddot", "hat", "widehat", "tilde"}
_ENVIRONMENTS = {"pmatrix", "bmatrix", "vmatrix", "Vmatrix", "Bmatrix", "matrix", "smallmatrix", "array", "cases", "gathered",
                 "aligned", "split", "align", "gather", "align*"}  # fmt: skip
_SETS = {"R": "R", "Z": "Z", "N": "N", "Q": "Q", "C": "C"}
_SCAN = re.compile(
    r"""(?P<space>\s+)
      |(?P<num>(?:[1-9]\d*(?:,\d{3}(?!\d))+(?:\.\d+)?|\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+(?![\d.A-Za-z]))?)
      |(?P<cmd>\\[A-Za-z]+\*?)
      |(?P<esc>\\[^A-Za-z0-9])
      |(?P<word>[A-Za-zÀ-ɏ]+)
      |(?P<str>"[^"\\]*"|'[^'\\]{0,60}'(?=\s*(?:[,\])}:]|\Z)))
      |(?P<op>\*\*|<=|>=|!=|==|->|=>|<>|:=|\|\||&&|[-+*/^_=<>()\[\]{}|,;:!%'&$?~#@.])""",
    re.X,
)
_MULTI = {"**": "^", "==": "=", "&&": "&", "=>": "->", "<>": "!=", ":=": "="}
_TEXT_MATH = re.compile(r"[-+]?\d+(?:\.\d+)?\Z")
_POWER_UNIT = re.compile(r"(?:[a-z]+\.? ?)?(?:[kcdm]?m|ft|in|yd|mi|s|cm|units?|inches|feet|meters?)\^\{?-?\d\}?\Z")
_RATE_UNIT = re.compile(r"[A-Za-z]+(?:[/·* ]\(?[A-Za-z]+(?:\^\{?-?\d\}?)?\)?)+\Z")
_LETTERS = re.compile(r"[A-Z](?:\s*(?:,\s*and|,|and|&)\s*[A-Z])+\Z")
_NUMBERED = re.compile(r"[A-DF-Za-df-z](\d{1,3})(?![\w.^])")
_ENDS_UNIT = re.compile(r"\.?\s*(?:\Z|[\d,;]|and\b)")
CONJUNCTIONS = {"and", "or", "und", "or else"}
_NAME_TAIL = re.compile(r"\w+", re.A)


def lex(text: str, thousands: bool = True) -> list[tuple]:
    """Tokens of cleaned text. Commas group thousands outside of brackets only, and never if `thousands` is false.

    Raises `Unreadable` for a character or size outside of what answers are made of.
    """
    tokens: list[tuple] = []
    depth = 0
    pos, space, end = 0, False, len(text)
    python = "**" in text or "*" in text or "Matrix(" in text or "Fraction(" in text
    while pos < end:
        match = _SCAN.match(text, pos)
        if match is None:
            raise Unreadable(f"character {text[pos]!r}")
        kind = match.lastgroup
        value = match.group()
        start, pos = pos, match.end()
        if kind == "space":
            space = True
            continue
        if kind == "num":
            if "," in value and (depth or not thousands):
                value, pos = value.partition(",")[0], start + value.index(",")
            tokens.append(("num", value, space, start))
        elif kind == "op":
            if value in "([":
                depth += 1
            elif value in ")]":
                depth = max(0, depth - 1)
            tokens.append(("op", _MULTI.get(value, value), space, start))
        elif kind == "str":
            tokens.append(("text", value[1:-1], space, start))
        elif kind == "esc":
            value = _ESCAPES.get(value[1])
            if value is None:
                raise Unreadable("escape")
            if value != " ":
                depth = depth + 1 if value == "\\{" else max(0, depth - 1) if value == "\\}" else depth
                tokens.append(("op", value, space, start))
        elif kind == "word":
            pos = _word(text, value, start, space, tokens, python)
        else:
            pos = _command(text, value[1:].rstrip("*"), start, pos, space, tokens)
        space = False
        if len(tokens) > MAX_TOKENS:
            raise Unreadable("too many tokens")
    return tokens


def _word(text: str, value: str, start: int, space: bool, tokens: list, python: bool) -> int:
    end = start + len(value)
    if value[:2] == "or" and len(value) == 3 and tokens and not space:  # "W(x)=1orW(x)=-1"
        tokens.append(("op", "or", space, start))
        return start + 2
    if len(value) == 1:
        numbered = _NUMBERED.match(text, start) if not space or not tokens else None
        if numbered and not (tokens and not space and text[start - 1].isalnum()):  # x1, as programs name variables
            tokens.append(("sym", f"{value}_{numbered[1]}", space, start))
            return numbered.end()
        tokens.append(("sym", value, space, start))
    elif value in ("min", "sec") and tokens and tokens[-1][0] == "num" and _ENDS_UNIT.match(text, end):  # 1 hr 15 min
        tokens.append(("word", value, space, start))
    elif value in _CONSTANTS:
        tokens.append(("sym", _CONSTANTS[value], space, start))
    elif value in FUNCTIONS:
        tokens.append(("func", value, space, start))
    elif value in GREEK:
        tokens.append(("sym", _GREEK_SAME.get(value, value), space, start))
    elif (
        (name := _NAME_TAIL.match(text, start))
        and name.group() in PYTHON_CALLS
        and text[name.end() : name.end() + 1] == "("
    ):
        tokens.append(("func", name.group(), space, start))
        return name.end()
    elif value in PYTHON_CALLS and text[end : end + 1] in ("(", ".", "'"):
        if value == "Interval" and text[end : end + 1] == ".":
            for tail in (".open", ".Lopen", ".Ropen"):
                if text.startswith(tail, end):
                    tokens.append(("func", value + tail, space, start))
                    return end + len(tail)
        tokens.append(("func", value, space, start))
    elif (
        value in ("np", "numpy", "math", "sympy", "sp", "fractions", "decimal", "datetime")
        and text[end : end + 1] == "."
    ):
        return end + 1
    elif value == "EmptySet":
        tokens.append(("op", "empty", space, start))
    elif value == "to" and tokens and tokens[-1][0] == "num" and text[end:].lstrip()[:1].isdigit():  # "4 to 3"
        tokens.append(("op", ":", space, start))
    elif value.lower() in ("and", "or"):
        tokens.append(("op", value.lower(), space, start))
    elif python and text[end : end + 1] != "":
        tail = _NAME_TAIL.match(text, start)
        name = tail.group() if tail else value
        tokens.append(("word", name, space, start))
        return start + len(name)
    else:
        tokens.append(("word", value, space, start))
    return end


def _argument(text: str, pos: int) -> tuple[str, int]:
    """The argument after a command at `pos`: a braced group or one character."""
    while pos < len(text) and text[pos] == " ":
        pos += 1
    if pos >= len(text):
        raise Unreadable("missing argument")
    if text[pos] != "{":
        return text[pos], pos + 1
    close = closing_brace(text, pos)
    if close < 0:
        return text[pos + 1 :], len(text)
    return text[pos + 1 : close], close + 1


def _command(text: str, name: str, start: int, pos: int, space: bool, tokens: list) -> int:
    if name in _COMMANDS:
        value = _COMMANDS[name]
        tokens.append(("sym" if value == "oo" else "op", value, space, start))
    elif name in ("gamma", "zeta") or (name == "Gamma" and text[pos : pos + 1] != "("):
        tokens.append(("sym", name, space, start))
    elif name in FUNCTIONS:
        tokens.append(("func", name, space, start))
    elif name == "pi":
        tokens.append(("sym", "pi", space, start))
    elif name in GREEK or name in ("gamma", "Gamma", "zeta"):
        tokens.append(("sym", _GREEK_SAME.get(name, name), space, start))
    elif name == "ell":
        tokens.append(("sym", "l", space, start))
    elif name in _TEXT or name in _FONT or name in _ACCENTS:
        content, pos = _argument(text, pos)
        if content.strip() in ("i", "j", "k") and name in _VECTORS:
            tokens.append(("sym", f"vec {content.strip()}", space, start))
            return pos
        if name in _ACCENTS and name not in _FONT:
            if not content.strip().isalnum():
                raise Unreadable(name)
            tokens.append(("sym", f"{name} {content.strip()}", space, start))
            return pos
        _text(content.strip(), name, space, start, tokens)
    elif name == "mathbb" or name == "Bbb":
        content, pos = _argument(text, pos)
        tokens.append(("op", "set" + content.strip(), space, start))
    elif name in ("dots", "ldots", "cdots", "hdots"):
        tokens.append(("sym", "...", space, start))
    elif name in ("sum", "prod"):
        tokens.append(("op", name, space, start))
    elif name == "begin":
        return _environment(text, start, pos, space, tokens)
    elif name in ("not",):
        following = _SCAN.match(text, pos)
        if following and following.group() in ("=", "\\in"):
            tokens.append(("op", "!=" if following.group() == "=" else "notin", space, start))
            return following.end()
        raise Unreadable("\\not")
    elif name == "sqrt":
        tokens.append(("op", "sqrt", space, start))
    elif name in ("color", "textcolor"):
        _, pos = _argument(text, pos)
    elif name in ("hbar", "nabla", "partial"):
        tokens.append(("sym", name, space, start))
    elif name in ("pmod", "bmod", "mod"):
        tokens.append(("op", "pmod" if name == "pmod" else "bmod", space, start))
    elif name in ("Re", "Im", "arg", "det"):
        tokens.append(("func", name.lower(), space, start))
    else:
        tokens.append(("op", "\\" + name, space, start))
    return pos


def _text(content: str, name: str, space: bool, start: int, tokens: list) -> None:
    """`\\text{…}` and fonts: a conjunction, a number, a symbol, a function name, a unit, letters of options, or words."""
    if name in _FONT and "/" in content and _RATE_UNIT.match(content) and is_measure(content):
        tokens.append(("text", content, space, start))
        return
    if _LETTERS.match(content):
        content, name = content.replace("&", ","), "mathrm"
        tokens.extend(
            (kind, value, spaced or (i == 0 and space), start)
            for i, (kind, value, spaced, _) in enumerate(lex(content))
        )
        return
    if name in _FONT and ("\\" in content or any(c in content for c in "+-*/=^_")):
        tokens.extend(
            (kind, value, spaced or (i == 0 and space), start)
            for i, (kind, value, spaced, _) in enumerate(lex(content))
        )
        return
    lowered = content.lower().strip(" ,.;:")
    if content in ("", ",", ";", "."):
        if content in (",", ";"):
            tokens.append(("op", ",", space, start))
        return
    if lowered in CONJUNCTIONS:
        tokens.append(("op", lowered, space, start))
    elif content in FUNCTIONS and name in _FONT:
        tokens.append(("func", content, space, start))
    elif len(content) == 1 and content.isalpha() and name in _FONT:
        tokens.append(("sym", content, space, start))
    elif name in _FONT and len(content) == 2 and content.isupper():
        tokens.append(("text", content, space, start))
    elif _TEXT_MATH.match(content):
        tokens.append(("num", content, space, start))
    elif _POWER_UNIT.match(content) or _RATE_UNIT.match(content):
        tokens.append(("text", content.replace("{", "").replace("}", ""), space, start))
    elif any(c in content for c in "=\\^_") and not lowered.isalpha():
        tokens.extend(
            (kind, value, spaced or (i == 0 and space), start)
            for i, (kind, value, spaced, _) in enumerate(lex(content))
        )
    else:
        tokens.append(("text", content, space, start))


def _environment(text: str, start: int, pos: int, space: bool, tokens: list) -> int:
    name, pos = _argument(text, pos)
    if name not in _ENVIRONMENTS:
        raise Unreadable(f"environment {name}")
    depth, scan = 1, pos
    marker = re.compile(r"\\(begin|end)\s*\{([A-Za-z*]+)\}")
    while depth:
        match = marker.search(text, scan)
        if match is None:
            raise Unreadable("unclosed environment")
        depth += 1 if match.group(1) == "begin" else -1
        scan = match.end()
    body = text[pos : match.start()]
    if name == "array":
        body = re.sub(r"\A\s*(?:\[[a-z]\])?\s*\{[lcr|@{}.\s]*\}", "", body)
    tokens.append(("env", (name, body), space, start))
    return scan
