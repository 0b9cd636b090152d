"""How sympy's two text readers, on which the published graders rest, see a text; without running it.

`latex` follows sympy's LaTeX grammar where it matters for verdicts: it reads the longest prefix that is an expression (`1,2` is 1),
splits words into letters (`sqrt(2)` is s·q·r·t(2)), takes `e` and `i` for plain symbols and a letter before a bracket for a function.
`python` reads what `parse_expr` would evaluate, from Python's syntax tree, never by evaluation. `same` is the comparison by value.
"""

import re
from fractions import Fraction

from caco_recipes.grading.numbers import number
from caco_recipes.grading.syntax import App, Num, Rel, Sym, Unreadable

MAX_CHARS = 600
_TOKEN = re.compile(
    r"\s*(?:(?P<skip>\\left(?![a-zA-Z])|\\right(?![a-zA-Z])|\\[,;:! ]|\\quad|\\qquad|\\(?:big|Big|bigg|Bigg)[lr]?(?![a-zA-Z])|\\v(?:mid|phantom)|~)"
    r"|(?P<cmd>\\[a-zA-Z]+)|(?P<esc>\\[{}|])|(?P<digit>\d)|(?P<diff>d(?:[a-zA-Z]|\\[a-zA-Z]+))|(?P<letter>[a-zA-Z])"
    r"|(?P<op>[-+*/^_=<>()\[\]{}|,.:!']))"
)
_FUNCTIONS = {"exp", "log", "lg", "ln", "sin", "cos", "tan", "csc", "sec", "cot", "arcsin", "arccos", "arctan", "arccsc", "arcsec",
              "arccot", "sinh", "cosh", "tanh", "arsinh", "arcosh", "artanh"}  # fmt: skip
_FRACS = {"\\frac", "\\dfrac", "\\tfrac"}
_BINOMS = {"\\binom", "\\dbinom", "\\tbinom"}
_TIMES = {"*": "*", "\\times": "*", "\\cdot": "*", "/": "/", "\\div": "/", ":": "/"}
_RELATIONS = {"=": "=", "<": "<", ">": ">", "\\lt": "<", "\\gt": ">", "\\le": "<=", "\\leq": "<=", "\\leqslant": "<=", "\\leqq": "<=",
              "\\ge": ">=", "\\geq": ">=", "\\geqslant": ">=", "\\geqq": ">=", "\\neq": "!=", "\\ne": "!="}  # fmt: skip
_NOT_ATOMS = set(_RELATIONS) | set(_TIMES) | _FRACS | _BINOMS | {"\\sqrt", "\\overline", "\\sum", "\\prod", "\\int", "\\lim", "\\lfloor", "\\rfloor", "\\lceil", "\\rceil", "\\langle", "\\rangle", "\\to", "\\limits", "\\mathit", "\\infty"} | {"\\" + f for f in _FUNCTIONS}  # fmt: skip
_END = ("end", "")


class _GivenUp(Unreadable):
    """Too many attempts: the text is not read at all."""


class _Latex:
    def __init__(self, text: str):
        self.text = text
        self.at = 0
        self.depth = 0
        self.ahead: tuple | None = None
        self.bars = 0
        self.steps = 0

    def peek(self) -> tuple:
        if self.ahead is None:
            while True:
                if not self.text[self.at :].strip():
                    self.ahead = _END
                    break
                match = _TOKEN.match(self.text, self.at)
                if match is None:
                    raise Unreadable("token")
                self.at = match.end()
                if match.lastgroup != "skip":
                    self.ahead = (match.lastgroup, match.group(match.lastgroup))
                    break
        return self.ahead

    def take(self) -> tuple:
        token = self.peek()
        self.ahead = None
        return token

    def expect(self, value: str) -> None:
        if self.take()[1] != value:
            raise Unreadable(f"expected {value}")

    def relation(self):
        node = self.sum()
        ops, sides = [], [node]
        while self.peek()[1] in _RELATIONS and (more := self.after(self.sum)):
            ops.append(_RELATIONS[more[0]])
            sides.append(more[1])
        if len(ops) > 1 and all(op == "=" for op in ops):
            return Sym("False")  # an equation compared with a number
        return Rel(ops, sides) if ops else node

    def sum(self):
        self.depth += 1
        if self.depth > 40:
            raise Unreadable("depth")
        node = self.product()
        while self.peek()[1] in ("+", "-") and (more := self.after(self.product)):
            node = App("+", [node, App("neg", [more[1]]) if more[0] == "-" else more[1]])
        self.depth -= 1
        return node

    def product(self):
        node = self.unary()
        while self.peek()[1] in _TIMES and (more := self.after(self.unary)):
            node = App(_TIMES[more[0]], [node, more[1]])
        return node

    def optional(self, read):
        """`read()` if it succeeds, else None with nothing taken: the grammar stops before what it can't continue."""
        at, ahead, bars, depth = self.at, self.ahead, self.bars, self.depth
        self.steps += 1
        if self.steps > 3000:
            raise _GivenUp("steps")
        try:
            return read()
        except _GivenUp:
            raise
        except Unreadable:
            self.at, self.ahead, self.bars, self.depth = at, ahead, bars, depth
            return None

    def after(self, read):
        """`read()` behind the operator at hand, as a continuation that may not be there."""

        def both():
            operator = self.take()[1]
            return operator, read()

        return self.optional(both)

    def unary(self):
        if self.peek()[1] in ("+", "-"):
            negative = self.take()[1] == "-"
            node = self.unary()
            return App("neg", [node]) if negative else node
        node = self.postfix()
        while self.starts_atom() and (more := self.optional(self.postfix)):
            node = App("*", [node, more])
        return node

    def starts_atom(self) -> bool:
        kind, value = self.peek()
        if kind in ("digit", "letter", "diff"):
            return True
        if kind == "cmd":
            return (
                value not in _RELATIONS
                and value not in _TIMES
                and value not in ("\\rfloor", "\\rceil", "\\rangle", "\\to", "\\limits")
            )
        return value in ("(", "[", "{", "\\{", "|", "\\|") and not (value == "|" and self.bars)

    def postfix(self):
        node = self.power()
        while self.peek()[1] == "!":
            self.take()
            node = App("!", [node])
        return node

    def power(self):
        node = self.component()
        while self.peek()[1] == "^" and (more := self.after(self.script)):
            node = App("^", [node, more[1]])
        return node

    def script(self):
        if self.peek()[1] == "{":
            self.take()
            node = self.sum()
            self.expect("}")
            return node
        return self.atom()

    def component(self):
        kind, value = self.peek()
        closers = {"(": ")", "[": "]", "{": "}", "\\{": "\\}"}
        if value in closers:
            self.take()
            bars, self.bars = self.bars, 0
            node = self.sum()
            self.bars = bars
            self.expect(closers[value])
            return node
        if value == "|":
            self.take()
            self.bars += 1
            node = self.sum()
            self.bars -= 1
            self.expect("|")
            return App("abs", [node])
        if kind == "cmd" and value in ("\\lfloor", "\\lceil"):
            self.take()
            node = self.sum()
            self.expect("\\r" + value[2:])
            return App("floor" if value == "\\lfloor" else "ceil", [node])
        if kind == "cmd" and value[1:] in _FUNCTIONS:
            return self.function()
        if value == "\\sqrt":
            self.take()
            degree = Num(Fraction(2))
            if self.peek()[1] == "[":
                self.take()
                degree = self.sum()
                self.expect("]")
            self.expect("{")
            node = self.sum()
            self.expect("}")
            return App("root", [node, degree])
        if value in ("\\sum", "\\prod", "\\int", "\\lim"):
            raise _GivenUp(value)
        return self.atom(applied=True)

    def function(self):
        name = self.take()[1][1:]
        base = power = None
        while self.peek()[1] in ("_", "^"):
            if self.take()[1] == "_":
                base = self.script()
            else:
                power = self.script()
        if self.peek()[1] == "(":
            self.take()
            argument = self.sum()
            self.expect(")")
        else:
            argument = self.bare_argument()
        if name == "lg" or (name == "log" and base is not None):
            node = App("log", [argument, base or Num(Fraction(10))])
        elif name in ("ln", "log"):
            node = App("ln", [argument])
        elif name == "exp":
            node = App("^", [Sym("e"), argument])
        else:
            node = App(
                ("a" + name[3:]) if name.startswith("arc") else ("a" + name[2:]) if name.startswith("ar") else name,
                [argument],
            )
        if power is not None:
            if power in (Num(Fraction(-1)), App("neg", [Num(Fraction(1))])) and name in ("sin", "cos", "tan", "csc", "sec", "cot", "sinh", "cosh", "tanh"):  # fmt: skip
                return App("a" + name, [argument])
            node = App("^", [node, power])
        return node

    def bare_argument(self):
        node = self.power()
        while True:
            kind, value = self.peek()
            if value in _TIMES and value != "*":
                node = App(_TIMES[self.take()[1]], [node, self.power()])
            elif kind in ("digit", "letter", "diff") or value in _FRACS or (kind == "cmd" and value not in _NOT_ATOMS):
                node = App("*", [node, self.power()])
            else:
                return node

    def atom(self, applied: bool = False):
        kind, value = self.take()
        if kind == "digit" or value == ".":
            return self.number(value)
        if kind == "diff":
            return Sym(value)
        if kind == "letter" or (kind == "cmd" and value not in _NOT_ATOMS):
            name = _plain(value.lstrip("\\"))
            if self.peek()[1] == "_":
                self.take()
                name += "_" + self.subscript()
            while self.peek()[1] == "'":
                self.take()
                name += "'"
            if applied and self.peek()[1] == "(" and (more := self.after(self.arguments)):
                return App("call:" + name, more[1])
            return Sym(name)
        if value == "\\infty":
            return Sym("oo")
        if value in _FRACS or value in _BINOMS:
            top = self.part()
            return App("/" if value in _FRACS else "binomial", [top, self.part()])
        if value == "\\overline":
            self.expect("{")
            node = self.sum()
            self.expect("}")
            return App("conjugate", [node])
        raise Unreadable(f"unexpected {value!r}")

    def arguments(self) -> list:
        found = [self.sum()]
        while self.peek()[1] == ",":
            self.take()
            found.append(self.sum())
        self.expect(")")
        return found

    def part(self):
        kind, value = self.peek()
        if kind == "digit":
            self.take()
            return Num(Fraction(int(value)))
        self.expect("{")
        node = self.sum()
        self.expect("}")
        return node

    def subscript(self) -> str:
        if self.peek()[1] != "{":
            return self.take()[1]
        self.take()
        parts = []
        while self.peek()[1] != "}":
            if self.peek() == _END:
                raise Unreadable("subscript")
            parts.append(self.take()[1])
        self.take()
        return "".join(parts)

    def number(self, first: str):
        digits = first
        while (
            self.peek()[0] == "digit"
            or (self.peek()[1] == "." and "." not in digits)
            or (self.peek()[1] == "," and self.group_follows())
        ):
            value = self.take()[1]
            digits += value if value != "," else ""
        if digits.startswith(".") or digits.endswith("."):
            if len(digits) == 1 or digits.startswith("."):
                raise Unreadable("number")
            self.ahead = ("op", ".")
            digits = digits[:-1]
        return number(digits)

    def group_follows(self) -> bool:
        return re.match(r"\d{3}", self.text[self.at :]) is not None


def _plain(name: str) -> str:
    """sympy's LaTeX reader knows no constants: its `e`, `i` and `\\pi` are symbols."""
    return "letter " + name if name in ("e", "i", "pi") else name


def with_pi(node):
    """The tree with the symbol `\\pi` taken for the number, as graders do that substitute or print it."""
    if isinstance(node, Sym):
        return Sym("pi") if node.name == "letter pi" else node
    if isinstance(node, App):
        return App(node.op, [with_pi(arg) for arg in node.args])
    return node


def latex(text: str):
    """What sympy's `parse_latex` reads. Raises `Unreadable` where it raises."""
    if len(text) > MAX_CHARS:
        raise Unreadable("too long")
    return _Latex(text).relation()
