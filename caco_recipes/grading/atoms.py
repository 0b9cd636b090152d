"""Atoms of the grammar: literals, names, brackets, functions, radicals, environments, words and printed Python values."""

import re
from fractions import Fraction

from caco_recipes.grading.cursor import MAX_DEPTH, Cursor
from caco_recipes.grading.lexer import PYTHON_CALLS, lex
from caco_recipes.grading.normalise import clean
from caco_recipes.grading.numbers import number
from caco_recipes.grading.python_values import python_value
from caco_recipes.grading.spelled import spelled_number
from caco_recipes.grading.syntax import App, Mat, Num, Quantity, Rel, Seq, SetOp, Sym, Text, Unreadable
from caco_recipes.grading.words import is_unit

_NUMBERED = re.compile(r"([A-Za-z]{1,7}?)_?(\d{1,4})")
CURRENCIES = {"$": "dollar", "euro": "euro", "pounds": "pounds", "yen": "yen", "rupees": "rupees"}
_CLOSERS = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}", "}"), "{": ("}", "\\}"), "<(": (")>",)}


class Atoms(Cursor):
    """What operators join. The levels above (`items`, `relation`, `sum`, `product`, `power`) are the grammar's own."""

    def group(self):
        """`{…}` of LaTeX, the braces dropped."""
        self.expect("{")
        bars, self.bars = self.bars, 0
        node = self.items()
        self.bars = bars
        if self.at < len(self.tokens):
            self.expect("}")
        return node

    def argument(self):
        """The argument of `\\frac` or `\\sqrt`: a group, or one digit or symbol as TeX takes it."""
        if self.is_op("{"):
            return self.group()
        kind, value, _space, start = self.peek()
        if kind == "num" and len(value) > 1 and "." not in value:
            self.tokens[self.at] = ("num", value[1:], False, start + 1)
            return number(value[0])
        return self.atom()

    def atom(self):
        self.depth += 1
        if self.depth > MAX_DEPTH * 3:
            raise Unreadable("nested too deeply")
        node = self._atom()
        self.depth -= 1
        return node

    def _atom(self):
        kind, value, _space, _start = self.take()
        if kind == "num":
            if self.program and self.peek()[1] in ("j", "J") and not self.peek()[2]:
                self.take()
                return App("*", [number(value), Sym("i")])
            return number(value)
        if kind == "sym":
            if value == "I" and self.program:
                return Sym("i")
            if value == "E" and self.program:
                return Sym("e")
            return Sym(value)
        if kind == "func":
            return self.call(value)
        if kind == "word":
            return self.word(value)
        if kind == "text":
            return self.text(value)
        if kind == "env":
            return self.environment(*value)
        if kind == "end":
            raise Unreadable("unexpected end")
        return self.operator(value)

    def operator(self, value: str):
        if value in _CLOSERS:
            return self.bracket(value)
        if value in ("|", "||"):
            self.bars += 1
            inner = self.relation()
            self.bars -= 1
            self.expect("|", "||")
            return App("abs", [inner])
        if value == "frac":
            top = self.argument()
            return App("/", [top, self.argument()])
        if value == "binom":
            top = self.argument()
            return App("binomial", [top, self.argument()])
        if value in ("sqrt", "cbrt"):
            return self.radical(value)
        if value in ("sum", "prod"):
            return self.series(value)
        if value in ("lfloor", "lceil"):
            inner = self.sum()
            self.expect("r" + value[1:])
            return App("floor" if value == "lfloor" else "ceil", [inner])
        if value.startswith("set") and len(value) == 4:
            return Sym("set " + value[3])
        if value == "empty":
            return Seq("\\{", "\\}", [])
        if value in CURRENCIES:
            return Quantity(self.power(), CURRENCIES[value])
        if value == "overline":
            inner = self.group() if self.is_op("{") else self.atom()
            return App("conjugate" if isinstance(inner, App) and inner.op == "+" else "overline", [inner])
        if value == "angle":
            return self.atom()
        if value == "-":
            return negate(self.power())
        if value == "+":
            return self.power()
        if value in ("pm", "mp"):
            return App(value, [Num(Fraction(0)), self.power()])
        if value == "minus":
            return self.atom()
        raise Unreadable(f"unexpected {value!r}")

    def series(self, value: str):
        """`\\sum_{k=1}^{n} body`: body, index, bounds."""
        self.expect("_")
        self.expect("{")
        index = self.atom()
        self.expect("=")
        low = self.sum()
        self.expect("}")
        self.expect("^")
        high = self.group() if self.is_op("{") else self.atom()
        if not isinstance(index, Sym):
            raise Unreadable("index of a sum")
        return App(value, [self.product(), index, low, high])

    def radical(self, value: str):
        degree = Num(Fraction(3 if value == "cbrt" else 2))
        if self.is_op("[") and value == "sqrt":
            self.take()
            degree = self.sum()
            self.expect("]")
        inner = self.group() if self.is_op("{") else self.atom()
        return App("root", [inner, degree])

    def bracket(self, opener: str):
        bars, self.bars = self.bars, 0
        closers = _CLOSERS[opener]
        if self.is_op(*closers):
            close = self.take()[1]
            self.bars = bars
            return Seq(
                "\\{" if opener == "{" else opener,
                "\\}" if opener == "{" else close,
                [],
                "printed" if self.program else "",
            )
        if opener in ("{", "\\{") and self.looks_like_dict():
            return self.dictionary(closers)
        start = self.at
        if opener in ("\\{", "{"):
            self.bars, self.colons = 1, True  # a bar may be the "such that" of \{x | x > 3\}
            try:
                node = self.items()
                self.bars, self.colons = 0, False
                if self.is_op("|", "mid", ":"):
                    condition = self.set_builder(node)
                    self.bars = bars
                    return condition
            except Unreadable:
                node = None
            if node is None or not self.is_op(*closers):
                self.at, self.bars, self.colons = start, 0, False
                node = self.items()
        else:
            node = self.items()
        self.bars = bars
        if self.at >= len(self.tokens):
            close = closers[0]  # an unclosed bracket at the end of the text
        else:
            close = self.expect(*closers)
        bare = isinstance(node, Seq) and node.open == ""
        if not bare:
            if opener == "(" and close == ")":
                return node if not isinstance(node, Rel) else Seq("(", ")", [node])
            if opener == "{":
                return node
            return Seq(opener, close, [node])
        if opener == "{":
            opener, close = "\\{", "\\}"
        return Seq(opener, "\\}" if close == "}" else close, node.items, "printed" if self.program else "")

    def set_builder(self, head):
        """`\\{x | x > 3\\}` stands for its condition, `\\{x \\in S : x > 3\\}` for what S has in common with it."""
        self.take()
        condition = self.items()
        self.expect("\\}", "}")
        if isinstance(head, Rel) and head.ops == ["in"] and head.sides[1] != Sym("set R"):
            if isinstance(head.sides[1], Sym):
                raise Unreadable("a set of whole numbers")
            return SetOp("inter", [head.sides[1], condition])
        return condition

    def looks_like_dict(self) -> bool:
        depth = 0
        for kind, value, _, _ in self.tokens[self.at : self.at + 60]:
            if kind != "op":
                continue
            if value in ("(", "[", "{", "\\{"):
                depth += 1
            elif value in (")", "]", "}", "\\}"):
                if depth == 0:
                    return False
                depth -= 1
            elif value in ("|", "<", ">", "in", "<=", ">="):
                return False
            elif value == ":" and depth == 0:
                return True
        return False

    def dictionary(self, closers):
        found = []
        while not self.is_op(*closers):
            key = self.sum()
            self.expect(":")
            found.append(Rel(["="], [key, self.relation()]))
            if self.is_op(","):
                self.take()
        self.take()
        return Seq("", "", found) if len(found) != 1 else found[0]

    def call(self, name: str):
        if name in PYTHON_CALLS or name.startswith("Interval."):
            return self.python_call(name)
        power = None
        base = None
        while self.is_op("^", "_"):
            if self.take()[1] == "^":
                power = self.exponent()
            else:
                base = self.argument() if self.is_op("{") else self.atom()
        if self.is_op("(", "[") or (self.is_op("{") and name in ("sqrt", "log", "ln", "exp", "cbrt", "abs")):
            opener = self.take()[1]
            bars, self.bars = self.bars, 0
            inner = self.items()
            self.bars = bars
            if self.at < len(self.tokens):
                self.expect(*_CLOSERS[opener])
            arguments = inner.items if isinstance(inner, Seq) and inner.open == "" else [inner]
        else:
            arguments = [self.bare_argument()]
        node = _apply(name, arguments, base)
        if power is not None:
            if (
                isinstance(power, Num)
                and power.value == -1
                and name in ("sin", "cos", "tan", "cot", "sec", "csc", "sinh", "cosh", "tanh")
            ):
                return App("a" + name, arguments)
            node = App("^", [node, power])
        return node

    def bare_argument(self):
        """What a function without brackets takes: factors up to the next operator, relation or function."""
        if self.is_op("-"):
            self.take()
            return negate(self.bare_argument())
        node = self.power()
        while True:
            kind, value, _, _ = self.peek()
            if kind in ("num", "sym") or (kind == "op" and value in ("frac", "sqrt", "cbrt")):
                if kind == "sym" and value == "...":
                    return node
                node = App("*", [node, self.power()])
            elif kind == "op" and value == "/" and self.peek(1)[0] == "num" and not isinstance(node, Seq):
                self.take()
                node = App("/", [node, self.power()])
            else:
                return node

    def word(self, value: str):
        counted = spelled_number(value)
        if counted is not None and (
            self.peek()[0] == "end"
            or self.is_op("/", ",", "and")
            or (self.peek()[0] == "word" and is_unit(self.peek()[1]))
        ):
            return Num(counted)
        if self.program:
            if value.lower() in ("true", "false", "none", "yes", "no"):
                return Text(value)
            numbered = _NUMBERED.fullmatch(value)
            return Sym(f"{numbered[1]}_{numbered[2]}" if numbered else value)
        if len(value) >= 2 and (len(self.tokens) == 1 or (self.at == 1 and self.is_op("=", ",", "and", "or"))):
            return Text(value) if not self.is_op("=") else Sym(value)
        if value.lower() in ("true", "false", "yes", "no", "none", "odd", "even"):
            return Text(value)
        if len(value) <= 3 or value.isupper():
            return _letters(value)
        raise Unreadable("prose")

    def text(self, value: str):
        parts = [value]
        while self.peek()[0] in ("text", "word"):
            parts.append(self.take()[1])
        joined = " ".join(parts)
        inner = clean(joined)
        if inner and (inner[0].isdigit() or (inner[0] == "-" and inner[1:2].isdigit())) and len(inner) < 200:
            try:
                return self.nested(inner)
            except Unreadable:
                pass
        return Text(joined)

    def environment(self, name: str, body: str):
        rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?|\\cr\b|\n\s*\n", body) if row.strip()]
        cells = [[cell.strip() for cell in row.split("&")] for row in rows]
        if "\\begin" in body:
            raise Unreadable("nested environment")
        if name in ("cases", "gathered", "aligned", "split", "align", "gather", "align*"):
            return self.system(cells)
        matrix = Mat([[self.nested(clean(cell)) for cell in row] for row in cells])
        return App("det", [matrix]) if name == "vmatrix" else matrix

    def system(self, cells):
        found = []
        for row in cells:
            text = " ".join(row).strip().rstrip(",;")
            if not text:
                continue
            node = self.nested(clean(text))
            found.extend(node.items if isinstance(node, Seq) and node.open == "" else [node])
        return Seq("", "", found) if len(found) != 1 else found[0]

    def nested(self, text: str):
        """A text of its own within this one: a matrix cell, the content of `\\text{…}`."""
        return type(self)(lex(text), self.program).answer()

    def python_call(self, name: str):
        """A constructor as Python prints it: `Fraction(1, 2)`, `Matrix([[1], [2]])`, `Interval(0, 1)`."""
        if self.is_op("."):
            raise Unreadable("attribute")
        self.expect("(")
        if self.is_op(")"):
            self.take()
            return python_value(name, [], self.nested)
        inner = self.items()
        if (
            isinstance(inner, Seq)
            and inner.open == ""
            and isinstance(inner.items[-1], Rel)
            and name in ("array", "Float", "deque")
        ):
            inner.items.pop()  # dtype=…, precision=…
        self.expect(")")
        return python_value(name, inner.items if isinstance(inner, Seq) and inner.open == "" else [inner], self.nested)


def negate(node):
    """The tree times -1, the sign kept within literals and units."""
    if isinstance(node, Num):
        return Num(-node.value, node.digits, node.places)
    if isinstance(node, Quantity):
        return Quantity(negate(node.value), node.unit)
    if isinstance(node, App) and node.op in ("pct", "deg"):
        return App(node.op, [negate(node.args[0])])
    return App("neg", [node])


def primed(node):
    return Sym(node.name + "'") if isinstance(node, Sym) else App("prime", [node])


def _letters(value: str):
    letters = [Sym(letter) for letter in value]
    return letters[0] if len(letters) == 1 else App("*", letters)


def _apply(name: str, arguments: list, base):
    if name in ("sqrt", "cbrt"):
        return App("root", [arguments[0], Num(Fraction(2 if name == "sqrt" else 3))])
    if name == "root" and len(arguments) == 2:
        return App("root", arguments)
    if name == "exp" and len(arguments) == 1:
        return App("^", [Sym("e"), arguments[0]])
    if name == "lg":
        return App("log", [arguments[0], base or Num(Fraction(10))])
    if name == "log":
        if base is not None:
            return App("log", [arguments[0], base])
        return App("log" if len(arguments) == 2 else "log?", arguments)
    if name == "ln":
        return App("ln", arguments)
    if name == "factorial":
        return App("!", arguments)
    if name == "Abs":
        name = "abs"
    if name == "ceiling":
        name = "ceil"
    if name.startswith("arc"):
        name = "a" + name[3:]
    elif name in ("arsinh", "arcosh", "artanh"):
        name = "a" + name[2:]
    if name == "cosec":
        name = "csc"
    return App(name.lower() if name in ("Max", "Min") else name, arguments)
