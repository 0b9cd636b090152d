"""Tokens to the syntax tree: one recursive-descent grammar for LaTeX, printed Python and plain text.

From loose to tight: list (`, ; and or`), relation (`= < in …`), set operation, ratio (`:`), sum, product (also implicit), power,
atom. Nothing is computed here and nothing is ever evaluated as code; depth and length are bounded.
"""

import re
from fractions import Fraction
from functools import lru_cache

from caco_recipes.grading.lexer import PYTHON_CALLS, lex
from caco_recipes.grading.normalise import clean
from caco_recipes.grading.syntax import App, Based, Mat, Num, Quantity, Ratio, Rel, Seq, SetOp, Sym, Text, Unreadable
from caco_recipes.grading.words import is_unit, number_word

MAX_DEPTH = 40
MAX_DIGITS = 20_000
_RELATIONS = {"=", "<", ">", "<=", ">=", "!=", "~", "in", "notin", "equiv"}
_CLOSERS = {"(": (")", "]"), "[": ("]", ")"), "\\{": ("\\}", "}"), "{": ("}", "\\}"), "<(": (")>",)}
_STOPS = {")", "]", "}", "\\}", ",", ";", "|", "||", ")>", "rfloor", "rceil", "and", "or", "&", "end", ";;"}
_UNIT_JOIN = {"/", "*", "^"}


def number(text: str) -> Num:
    """A literal as written (`1,234.50`, `.5`, `3.1e-4`) to an exact `Num`."""
    plain = text.replace(",", "")
    mantissa, _, exponent = plain.lower().partition("e")
    if len(mantissa) > MAX_DIGITS or (exponent and abs(int(exponent)) > 5000):
        raise Unreadable("number too large")
    whole, point, fraction = mantissa.partition(".")
    digits = len((whole + fraction).lstrip("0")) if (point and fraction) or exponent else 0
    value = Fraction(int((whole + fraction) or "0"), 10 ** len(fraction))
    places = len(fraction)
    if exponent:
        value *= Fraction(10) ** int(exponent)
        places = max(0, places - int(exponent))
    return Num(value, digits, places)


class _Parser:
    def __init__(self, tokens: list[tuple], program: bool):
        self.tokens = tokens
        self.at = 0
        self.depth = 0
        self.program = program
        self.bars = 0

    # -- token access -------------------------------------------------------------------------------------------------
    def peek(self, ahead: int = 0) -> tuple:
        i = self.at + ahead
        return self.tokens[i] if i < len(self.tokens) else ("end", "end", False, -1)

    def is_op(self, *values: str) -> bool:
        kind, value, _, _ = self.peek()
        return kind == "op" and value in values

    def take(self) -> tuple:
        token = self.peek()
        self.at += 1
        return token

    def expect(self, *values: str) -> str:
        kind, value, _, _ = self.take()
        if kind != "op" or value not in values:
            raise Unreadable(f"expected {values[0]}, got {value!r}")
        return value

    # -- list -------------------------------------------------------------------------------------------------------
    def answer(self):
        node = self.items(top=True)
        if self.at < len(self.tokens):
            raise Unreadable(f"left over: {self.peek()[1]!r}")
        return node

    def items(self, top: bool = False):
        """A bare list, or its only item."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise Unreadable("nested too deeply")
        found = []
        while True:
            while self.is_op(",", ";", "and", "or", "&", ";;"):
                self.take()
            if self.at >= len(self.tokens) or (self.is_op(*_STOPS) and not self.is_op("|", "||")):
                break
            if self.is_op("|") and self.bars:
                break
            found.append(self.relation())
            if not self.is_op(",", ";", "and", "or", "&", ";;"):
                break
        self.depth -= 1
        if not found:
            raise Unreadable("empty list")
        return found[0] if len(found) == 1 else Seq("", "", found)

    # -- relation ---------------------------------------------------------------------------------------------------
    def relation(self):
        if self.is_op("~"):
            self.take()
        first = self.set_operation()
        ops, sides = [], [first]
        while self.is_op(*_RELATIONS):
            op = self.take()[1]
            ops.append("=" if op == "equiv" else op)
            if self.is_op("~"):
                self.take()
            sides.append(self.set_operation())
        return Rel(ops, sides) if ops else first

    def set_operation(self):
        node = self.ratio()
        while self.is_op("union", "inter", "minus"):
            op = self.take()[1]
            right = self.ratio()
            if isinstance(node, SetOp) and node.op == op:
                node.args.append(right)
            else:
                node = SetOp(op, [node, right])
        return node

    def ratio(self):
        node = self.sum()
        if self.is_op(":"):
            parts = [node]
            while self.is_op(":"):
                self.take()
                parts.append(self.sum())
            return Ratio(parts)
        return node

    # -- sum and product --------------------------------------------------------------------------------------------
    def sum(self):
        sign = None
        if self.is_op("+", "-", "pm", "mp"):
            sign = self.take()[1]
        node = self.product()
        if sign == "-":
            node = _negate(node)
        elif sign in ("pm", "mp"):
            node = App(sign, [Num(Fraction(0)), node])
        while self.is_op("+", "-", "pm", "mp"):
            op = self.take()[1]
            right = self.product()
            if op == "+":
                node = (
                    App("+", [node, right])
                    if not (isinstance(node, App) and node.op == "+")
                    else App("+", [*node.args, right])
                )
            elif op == "-":
                node = App("+", [node, _negate(right)])
            else:
                node = App(op, [node, right])
        return node

    def product(self):
        if self.is_op("+", "-"):
            negative = self.take()[1] == "-"
            node = self.product()
            return _negate(node) if negative else node
        node = self.power()
        while True:
            kind, value, _space, _ = self.peek()
            if kind == "end":
                return node
            if kind == "op":
                if value == "*":
                    self.take()
                    node = App("*", [node, self.signed_power()])
                elif value == "/":
                    self.take()
                    node = App("/", [node, self.signed_power()])
                elif value == "pmod":
                    raise Unreadable("mod")
                elif value in ("over", "choose"):
                    self.take()
                    node = App("/" if value == "over" else "binomial", [node, self.product()])
                elif value == "$":
                    self.take()
                    node = Quantity(node, "dollar")
                elif value in (
                    "(",
                    "[",
                    "\\{",
                    "{",
                    "frac",
                    "sqrt",
                    "lfloor",
                    "lceil",
                    "cbrt",
                    "binom",
                    "overline",
                    "setR",
                ) or (value == "|" and not self.bars):
                    node = self.implicit(node)
                else:
                    return node
            elif kind == "text":
                node = self.text_unit(node)
            elif kind == "word":
                node = self.word_unit(node)
            elif kind == "env":
                node = App("*", [node, self.power()])
            else:
                node = self.implicit(node)

    def signed_power(self):
        if self.is_op("-", "+"):
            negative = self.take()[1] == "-"
            node = self.signed_power()
            return _negate(node) if negative else node
        return self.power()

    def implicit(self, left):
        """Juxtaposition: a product, a mixed number, or a spelled unit of one letter."""
        start = self.at
        kind, value, space, _ = self.peek()
        if value == "{" and self.peek(1)[0] == "word" and self.peek(2)[1] == "}" and is_unit(self.peek(1)[1]):
            self.at += 3
            return Quantity(left, self.tokens[start + 1][1])
        right = self.power()
        whole = isinstance(left, Num) and not left.places and left.value.denominator == 1
        if whole and kind == "op" and value == "frac" and isinstance(right, App) and right.op == "/":
            top, bottom = right.args
            if (
                isinstance(top, Num) and isinstance(bottom, Num) and 0 < top.value < bottom.value
                and top.value.denominator == bottom.value.denominator == 1 and self.tokens[start - 1][0] == "num"
            ):  # fmt: skip
                return App("+", [left, right])
        if (
            whole
            and kind == "num"
            and space
            and self.is_op("/")
            and self.peek(1)[0] == "num"
            and isinstance(right, Num)
        ):
            bottom = number(self.peek(1)[1])
            if (
                self.tokens[start - 1][0] == "num"
                and 0 <= right.value < bottom.value
                and not right.places
                and not bottom.places
            ):
                self.take()
                self.take()
                return App("+", [left, App("/", [right, bottom])])
        if kind == "num" and isinstance(left, Num):
            raise Unreadable("two numbers side by side")
        return App("*", [left, right])

    def unit_tail(self, unit: str) -> str:
        """What may follow a unit's name: a power, or `/` and another unit."""
        while True:
            if self.is_op("^"):
                if self.peek(1)[0] == "num":
                    self.take()
                    unit += "^" + self.take()[1]
                elif self.peek(1)[1] == "{" and self.peek(2)[0] == "num" and self.peek(3)[1] == "}":
                    unit += "^" + self.peek(2)[1]
                    self.at += 4
                elif (
                    self.peek(1)[1] == "{"
                    and self.peek(2)[1] == "-"
                    and self.peek(3)[0] == "num"
                    and self.peek(4)[1] == "}"
                ):
                    unit += "^-" + self.peek(3)[1]
                    self.at += 5
                elif self.peek(1)[1] == "deg" or (self.peek(1)[1] == "{" and self.peek(2)[1] == "deg"):
                    return unit
                else:
                    raise Unreadable("power of a unit")
            elif self.is_op("/") and self.peek(1)[0] in ("text", "word", "sym"):
                self.take()
                unit += "/" + self.take()[1]
            elif self.is_op("*") and self.peek(1)[0] in ("text",):
                self.take()
                unit += " " + self.take()[1]
            elif self.peek()[0] in ("text", "word"):
                unit += " " + self.take()[1]
            elif self.is_op("'") and self.at == len(self.tokens) - 1:
                self.take()
            else:
                return unit

    def text_unit(self, node):
        unit = self.take()[1]
        if unit.strip().lower() in ("i", "e", "x", "y", "n", "z", "pi") and len(unit.strip()) <= 2:
            return App("*", [node, Sym(unit.strip())])
        return Quantity(node, self.unit_tail(unit))

    def word_unit(self, node):
        _kind, value, space, _ = self.peek()
        numeric = _numeric(node)
        if self.program and not space:
            raise Unreadable("name after a value")
        if numeric and (is_unit(value) or (len(value) >= 3 and (space or len(value) >= 4))):
            self.take()
            return Quantity(node, self.unit_tail(value))
        if len(value) > 3 or (len(value) == 3 and value.lower() in ("the", "for", "are", "not", "all")):
            raise Unreadable("prose")
        return self.implicit(node)

    # -- power ------------------------------------------------------------------------------------------------------
    def power(self):
        node = self.postfix(self.atom())
        if self.is_op("^"):
            self.take()
            if self.degree_sign():
                node = self.postfix(App("deg", [node]))
                return node
            if self.is_op("'"):
                self.take()
                return self.postfix(_primed(node))
            if self.is_op("{") and self.peek(1)[1] == "'":
                self.take()
                while self.is_op("'"):
                    self.take()
                    node = _primed(node)
                self.expect("}")
                return self.postfix(node)
            if self.ordinal():
                return node
            exponent = self.exponent()
            if (
                isinstance(node, Sym)
                and isinstance(exponent, Sym)
                and exponent.name in ("T", "t")
                and node.name.isupper()
            ):
                node = Sym(node.name + "^T")
            else:
                node = App("^", [node, exponent])
            node = self.postfix(node)
            if self.is_op("^"):
                self.take()
                if not self.degree_sign():
                    raise Unreadable("power of a power")
                node = App("deg", [node])
        return node

    def ordinal(self) -> bool:
        """`12^{\\text{th}}`: the ending says nothing."""
        width = 3 if self.is_op("{") else 1
        kind, value, _, _ = self.peek(1 if width == 3 else 0)
        if kind in ("text", "word") and value in ("th", "st", "nd", "rd"):
            self.at += width
            return True
        return False

    def degree_sign(self) -> bool:
        if self.is_op("deg"):
            self.take()
            return True
        if self.is_op("{") and self.peek(1)[1] == "deg" and self.peek(2)[1] == "}":
            self.at += 3
            return True
        if self.is_op("{") and self.peek(1)[1] == "deg" and self.peek(2)[0] == "text":
            self.at += 4
            return True
        return False

    def exponent(self):
        if self.is_op("-", "+"):
            negative = self.take()[1] == "-"
            node = self.exponent()
            return _negate(node) if negative else node
        if self.is_op("{"):
            return self.group()
        node = self.postfix(self.atom())
        if self.is_op("^"):
            self.take()
            node = App("^", [node, self.exponent()])
        return node

    def postfix(self, node):
        while True:
            kind, value, _space, _ = self.peek()
            if kind != "op":
                return node
            if value == "!" and not (self.peek(1)[1] == "="):
                self.take()
                node = App("!", [node])
            elif value == "%":
                self.take()
                node = App("pct", [node])
            elif value == "deg":
                self.take()
                node = App("deg", [node])
            elif value == "'":
                self.take()
                node = _primed(node)
            elif value == "_":
                node = self.subscript(node)
            else:
                return node

    def subscript(self, node):
        self.take()
        if self.is_op("{"):
            start = self.at + 1
            depth = 0
            while self.at < len(self.tokens):
                value = self.take()
                if value[0] == "op" and value[1] == "{":
                    depth += 1
                elif value[0] == "op" and value[1] == "}":
                    depth -= 1
                    if not depth:
                        break
            inner = self.tokens[start : self.at - 1]
        else:
            inner = [self.take()]
        label = "".join(str(token[1]) for token in inner)
        if isinstance(node, Num) and not node.places and node.value.denominator == 1:
            if number_word(label) is not None:
                label = str(number_word(label))
            if label.isdigit():
                return Based(str(node.value), int(label))
            raise Unreadable("number with a subscript")
        if isinstance(node, Sym):
            return Sym(f"{node.name}_{label}")
        if isinstance(node, Mat | Seq):
            if label.isdigit() and isinstance(node, Seq) and len(node.items) == 1 and isinstance(node.items[0], Num):
                return Based(str(node.items[0].value), int(label))
            return node
        if isinstance(node, App) and node.op == "*":
            return App("*", [*node.args[:-1], Sym(f"{getattr(node.args[-1], 'name', '?')}_{label}")])
        raise Unreadable("subscript")

    # -- atoms ------------------------------------------------------------------------------------------------------
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
        if value == "$":
            return Quantity(self.power(), "dollar")
        if value == "overline":
            if self.is_op("{"):
                return App("overline", [self.group()])
            return App("overline", [self.atom()])
        if value == "angle":
            return self.atom()
        if value == "-":
            return _negate(self.power())
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
            self.bars = 1  # a bar may be the "such that" of \{x | x > 3\}
            try:
                node = self.items()
                self.bars = 0
                if self.is_op("|", "mid", ":"):
                    condition = self.set_builder()
                    self.bars = bars
                    return condition
            except Unreadable:
                node = None
            if node is None or not self.is_op(*closers):
                self.at, self.bars = start, 0
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

    def set_builder(self):
        """`\\{x | x > 3\\}` stands for its condition."""
        self.take()
        condition = self.items()
        self.expect("\\}", "}")
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
            return _negate(self.bare_argument())
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

    def python_call(self, name: str):
        if self.is_op("."):
            raise Unreadable("attribute")
        self.expect("(")
        if self.is_op(")"):
            self.take()
            return Seq("\\{", "\\}", []) if name in ("set", "frozenset", "FiniteSet") else Seq("[", "]", [], "printed")
        inner = self.items()
        keyword = None
        if (
            isinstance(inner, Seq)
            and inner.open == ""
            and isinstance(inner.items[-1], Rel)
            and name in ("array", "Float", "deque")
        ):
            keyword = inner.items.pop()
        self.expect(")")
        arguments = inner.items if isinstance(inner, Seq) and inner.open == "" else [inner]
        if name in ("Fraction", "Rational") and len(arguments) == 2:
            return App("/", arguments)
        if name in ("Matrix", "ImmutableMatrix", "MutableDenseMatrix", "ImmutableDenseMatrix"):
            return _matrix(arguments[0])
        if (name == "array" and keyword is None) or name == "array":
            return arguments[0]
        if name in ("list", "tuple", "Tuple", "Point", "Point2D", "Point3D", "deque"):
            if len(arguments) == 1 and isinstance(arguments[0], Seq):
                return Seq("(", ")", arguments[0].items, "printed")
            return Seq("(", ")", arguments, "printed")
        if name in ("set", "frozenset", "FiniteSet"):
            if len(arguments) == 1 and isinstance(arguments[0], Seq) and name != "FiniteSet":
                arguments = arguments[0].items
            return Seq("\\{", "\\}", arguments)
        if name.startswith("Interval"):
            opens = {"Interval": "[]", "Interval.open": "()", "Interval.Lopen": "(]", "Interval.Ropen": "[)"}[name]
            if len(arguments) == 4:
                flags = [getattr(a, "text", "") == "True" for a in arguments[2:]]
                opens = ("(" if flags[0] else "[") + (")" if flags[1] else "]")
            return SetOp("union", [Seq(opens[0], opens[1], arguments[:2])])
        if name == "Union":
            return SetOp("union", arguments)
        if name == "Intersection":
            return SetOp("inter", arguments)
        if name == "Complement":
            return SetOp("minus", arguments)
        if name in ("Eq", "Ne", "Lt", "Le", "Gt", "Ge") and len(arguments) == 2:
            return Rel([{"Eq": "=", "Ne": "!=", "Lt": "<", "Le": "<=", "Gt": ">", "Ge": ">="}[name]], arguments)
        if name in ("And", "Or"):
            return Seq("", "", arguments)
        if name == "complex" and len(arguments) == 2:
            return App("+", [arguments[0], App("*", [arguments[1], Sym("i")])])
        if name in ("dict", "OrderedDict", "Poly", "Not", "EmptySet"):
            if name == "Poly":
                return arguments[0]
            raise Unreadable(name)
        if len(arguments) >= 1:
            node = arguments[0]
            if isinstance(node, Text) and name not in ("str", "str_", "Symbol"):
                return parse_tokens(lex(clean(node.text)), True)
            return node
        raise Unreadable(name)

    def word(self, value: str):
        counted = number_word(value)
        if counted is not None and (
            self.peek()[0] == "end"
            or self.is_op("/", ",", "and")
            or (self.peek()[0] == "word" and is_unit(self.peek()[1]))
        ):
            return Num(Fraction(counted))
        if self.program:
            if value in ("True", "False", "None"):
                return Text(value)
            return Sym(value)
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
                return parse_tokens(lex(inner), self.program)
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
        matrix = Mat([[parse_tokens(lex(clean(cell)), self.program) for cell in row] for row in cells])
        return App("det", [matrix]) if name == "vmatrix" else matrix

    def system(self, cells):
        found = []
        for row in cells:
            text = " ".join(row).strip().rstrip(",;")
            if not text:
                continue
            node = parse_tokens(lex(clean(text)), self.program)
            found.extend(node.items if isinstance(node, Seq) and node.open == "" else [node])
        return Seq("", "", found) if len(found) != 1 else found[0]


def _negate(node):
    if isinstance(node, Num):
        return Num(-node.value, node.digits, node.places)
    if isinstance(node, Quantity):
        return Quantity(_negate(node.value), node.unit)
    if isinstance(node, App) and node.op in ("pct", "deg"):
        return App(node.op, [_negate(node.args[0])])
    return App("neg", [node])


def _primed(node):
    return Sym(node.name + "'") if isinstance(node, Sym) else App("prime", [node])


def _letters(value: str):
    letters = [Sym(letter) for letter in value]
    return letters[0] if len(letters) == 1 else App("*", letters)


def _numeric(node) -> bool:
    if isinstance(node, Num):
        return True
    if isinstance(node, Quantity):
        return True
    if isinstance(node, Sym):
        return node.name in ("pi",)
    return isinstance(node, App) and node.op in "+*/^neg!rootpctdeg" and all(_numeric(arg) for arg in node.args)


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


def _matrix(node):
    if isinstance(node, Mat):
        return node
    if not isinstance(node, Seq):
        return Mat([[node]])
    rows = []
    for item in node.items:
        rows.append(list(item.items) if isinstance(item, Seq) else [item])
    return Mat(rows)


def parse_tokens(tokens: list[tuple], program: bool):
    """The tree of a token list. Raises `Unreadable`."""
    if not tokens:
        raise Unreadable("empty")
    return _plain_brackets(_Parser(tokens, program).answer())


def _plain_brackets(node, inside: bool = False):
    """Square brackets and braces around one expression within a larger one are only brackets."""
    if isinstance(node, App):
        node.args = [_plain_brackets(arg, True) for arg in node.args]
    elif isinstance(node, Seq):
        node.items = [_plain_brackets(item) for item in node.items]
        if inside and len(node.items) == 1 and node.open in ("[", "(") and isinstance(node.items[0], App | Num | Sym):
            return node.items[0]
    elif isinstance(node, Rel):
        node.sides = [_plain_brackets(side) for side in node.sides]
    elif isinstance(node, Quantity):
        node.value = _plain_brackets(node.value, True)
    return node


_FRENCH = re.compile(r"([\[\]])([^\[\]()]*[,;][^\[\]()]*)([\[\]])")  # ]a, b[
_PYTHON = re.compile(
    r"\*\*|\*|\b(?:sqrt|Matrix|Fraction|Rational|exp|log|Eq|Interval|FiniteSet|Union|pi)\b(?<!\\pi)|\A\[.*, .*\]\Z|'"
)


@lru_cache(maxsize=65536)
def parse(text: str, program: bool = False, thousands: bool = True, latex: bool = False):
    """The tree of one answer, `text` cleaned before. `program` reads it as Python prints values; `latex` says that the text
    had LaTeX in it before it was cleaned, so that a bracket isn't a Python list.

    Raises `Unreadable` when the text isn't in the language of answers.
    """
    if len(text) > 4000:
        raise Unreadable("too long")
    french = _FRENCH.fullmatch(text)
    if french and (french[1] == "]" or french[3] == "["):
        text = ("(" if french[1] == "]" else "[") + french[2] + (")" if french[3] == "[" else "]")
    python = program or (not latex and "\\" not in text and _PYTHON.search(text) is not None)
    try:
        return parse_tokens(lex(text, thousands), python)
    except RecursionError:
        raise Unreadable("nested too deeply") from None
