"""Operators of the grammar, from loose to tight: list (`, ; and or`), relation (`= < in …`), set operation, ratio (`:`), sum, product
(also implicit, with units and mixed numbers), power, postfix."""

from fractions import Fraction

from caco_recipes.grading.atoms import CURRENCIES, negate, primed
from caco_recipes.grading.cursor import MAX_DEPTH
from caco_recipes.grading.numbers import number
from caco_recipes.grading.spelled import spelled_number
from caco_recipes.grading.syntax import App, Based, Mat, Num, Quantity, Ratio, Rel, Seq, SetOp, Sym, Text, Unreadable
from caco_recipes.grading.unit_grammar import Units
from caco_recipes.grading.words import is_unit

_RELATIONS = {"=", "<", ">", "<=", ">=", "!=", "~", "in", "notin", "equiv"}
_STOPS = {")", "]", "}", "\\}", ",", ";", "|", "||", ")>", "rfloor", "rceil", "and", "or", "&", "end", ";;"}


class Grammar(Units):
    """`Grammar(tokens, program).answer()` is the tree of an answer."""

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
        ops, sides, equivalence = [], [first], False
        while self.is_op(*_RELATIONS):
            op = self.take()[1]
            equivalence = equivalence or op == "equiv"
            ops.append("=" if op == "equiv" else op)
            if self.is_op("~"):
                self.take()
            sides.append(self.set_operation())
        if self.is_op("pmod"):  # x = 3 (mod 7)
            self.take()
            sides[-1] = App("pmod", [sides[-1], self.group() if self.is_op("{") else self.atom()])
        elif equivalence and isinstance(sides[-1], App) and sides[-1].op == "Mod":
            sides[-1] = App("pmod", sides[-1].args)
        return Rel(ops, sides) if ops else sides[0]

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
        if self.is_op(":") and not self.colons:
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
            node = negate(node)
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
                node = App("+", [node, negate(right)])
            else:
                node = App(op, [node, right])
        return node

    def product(self):
        if self.is_op("+", "-"):
            negative = self.take()[1] == "-"
            node = self.product()
            return negate(node) if negative else node
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
                elif value == "bmod":
                    self.take()
                    node = App("Mod", [node, self.signed_power()])
                elif value in ("over", "choose"):
                    self.take()
                    node = App("/" if value == "over" else "binomial", [node, self.product()])
                elif value in CURRENCIES:
                    self.take()
                    node = Quantity(node, CURRENCIES[value])
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
                    "sum",
                    "prod",
                ) or (value == "|" and not self.bars):
                    node = self.implicit(node)
                else:
                    return node
            elif kind == "num" and isinstance(node, Quantity):  # 5 ft 6 in
                node = App("+", [node, self.product()])
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
            return negate(node) if negative else node
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
        if whole and kind == "op" and value == "frac" and isinstance(right, App) and right.op in ("pct", "deg"):
            fraction = right.args[0]  # 33 1/3 %
            if (
                isinstance(fraction, App) and fraction.op == "/" and self.tokens[start - 1][0] == "num"
                and all(isinstance(arg, Num) for arg in fraction.args) and 0 < fraction.args[0].value < fraction.args[1].value
            ):  # fmt: skip
                return App(right.op, [App("+", [left, fraction])])
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
        if (
            isinstance(right, App) and right.op == "/" and all(isinstance(arg, Text) for arg in right.args)
        ):  # 5 m/s as a fraction
            return Quantity(left, f"{right.args[0].text.strip()}/{right.args[1].text.strip()}")
        if isinstance(left, App) and left.op == "deg" and right in (Sym("C"), Sym("F")):
            return Quantity(left, right.name)
        if kind == "num" and isinstance(left, Num):
            raise Unreadable("two numbers side by side")
        return App("*", [left, right])

    # -- power ------------------------------------------------------------------------------------------------------
    def power(self):
        letters = self.peek()[0] == "word"
        node = self.atom()
        if letters and isinstance(node, App) and node.op == "*":  # ab!: the last letter's
            node = App("*", [*node.args[:-1], self.postfix(node.args[-1])])
        else:
            node = self.postfix(node)
        if self.is_op("^"):
            if letters and isinstance(node, App) and node.op == "*":  # xy^2
                self.take()
                return App("*", [*node.args[:-1], self.postfix(App("^", [node.args[-1], self.exponent()]))])
            self.take()
            if self.degree_sign() or (isinstance(node, Num) and self.letter_degree()):
                node = self.postfix(App("deg", [node]))
                return node
            if self.is_op("'"):
                self.take()
                return self.postfix(primed(node))
            if self.is_op("{") and self.peek(1)[1] == "'":
                self.take()
                while self.is_op("'"):
                    self.take()
                    node = primed(node)
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
            elif isinstance(node, Seq | Mat) and exponent in (Sym("T"), Text("T")):
                node = node if isinstance(node, Seq) else Mat([list(row) for row in zip(*node.rows, strict=False)])
            else:
                node = App("^", [node, exponent])
            node = self.postfix(node)
            if self.is_op("^"):
                self.take()
                if not self.degree_sign():
                    raise Unreadable("power of a power")
                node = App("deg", [node])
        return node

    def exponent(self):
        if self.is_op("-", "+"):
            negative = self.take()[1] == "-"
            node = self.exponent()
            return negate(node) if negative else node
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
                node = primed(node)
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
            counted = spelled_number(label)
            label = label if counted is None else str(counted)
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
