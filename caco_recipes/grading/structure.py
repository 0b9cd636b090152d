"""Comparison of two answer trees: scalars, tuples, sets, lists, intervals, matrices, equations, assignments, words."""

import re
from fractions import Fraction
from itertools import islice

from caco_recipes.grading.evaluate import NoValue, proportional, same_value, symbols
from caco_recipes.grading.regions import is_infinite, region, same_region
from caco_recipes.grading.syntax import App, Based, Mat, Num, Quantity, Ratio, Rel, Seq, SetOp, Sym, Text
from caco_recipes.grading.words import compare_units, is_percent, plain_words, word_key

MAX_ITEMS = 400
_LISTS = ("", "\\{")
_VARIABLES = {"x", "y", "z", "t", "n", "k", "m"}
_OPTION_LEAD = re.compile(r"\A(?:\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{)?\s*\(?")


def same(gold, pred, policy: str = "exact") -> bool | None:
    """Whether two trees are the same answer. None: can't tell."""
    return _same(_settle(gold), _settle(pred), policy, 0)


# -- forms ------------------------------------------------------------------------------------------------------------
def _settle(node):
    """One form for what is written in several: ± opened, names of lists dropped, approximations cut."""
    if isinstance(node, Rel):
        return _settle_relation(node)
    if isinstance(node, Seq):
        items = [_settle(item) for item in node.items]
        if len(items) == 1 and isinstance(items[0], Mat):
            return items[0]
        if node.open in _LISTS:
            items = [
                part
                for item in items
                for part in (item.items if isinstance(item, Seq) and item.open == "" else [item])
            ]
        if node.open == "":
            items = _drop_names(items)
        return Seq(node.open, node.close, items, node.source)
    if isinstance(node, App | Quantity):
        opened = _open_signs(node)
        if opened is not None:
            return Seq("", "", opened)
    if isinstance(node, App) and node.op in ("+", "*", "neg", "/", "^") and _has_matrix(node):
        return _matrix_value(node)
    if isinstance(node, App) and node.op == "pct" and isinstance(node.args[0], Quantity):
        return App("pct", [node.args[0].value])
    if isinstance(node, Quantity) and is_percent(node.unit):
        return App("pct", [node.value])
    if isinstance(node, Quantity) and plain_words(node.unit) in ("degrees", "degree", "deg"):
        return App("deg", [node.value])
    if isinstance(node, Quantity) and isinstance(node.value, Quantity):
        return Quantity(
            node.value.value, node.unit if node.value.unit == "dollar" and node.unit != "dollar" else node.value.unit
        )
    return node


def _settle_relation(node: Rel):
    ops, sides = list(node.ops), list(node.sides)
    if "~" in ops:  # "x = 1/3 ≈ 0.33": what stands before the approximation, unless that is only a name
        cut = ops.index("~")
        if (cut > 0 or not is_name(sides[0])) and all(op == "=" for op in ops[:cut]):
            ops, sides = ops[:cut], sides[: cut + 1]
        else:
            ops = ["=" if op == "~" else op for op in ops]
    if not ops:
        return _settle(sides[0])
    if len(ops) > 1 and all(op == "=" for op in ops):  # a chain of steps: its name and its end
        ops, sides = ["="], [sides[0], sides[-1]]
    sides = [_settle(side) for side in sides]
    if ops == ["="] and isinstance(sides[1], Seq) and sides[1].open == "" and is_name(sides[0]):
        return Seq("", "", [Rel(["="], [sides[0], item]) for item in sides[1].items])
    if ops == ["in"] and isinstance(sides[1], Seq) and sides[1].open == "\\{" and is_name(sides[0]):
        return sides[1]
    if ops == ["="] and is_name(sides[1]) and not is_name(sides[0]):
        sides.reverse()
    if ops == ["="] and _is_constant(sides[0]) and _is_constant(sides[1]):
        return sides[1]  # a computation and its result
    return Rel(ops, sides)


def _has_matrix(node) -> bool:
    return isinstance(node, Mat) or (isinstance(node, App) and any(_has_matrix(arg) for arg in node.args))


def _matrix_value(node):
    """Sums, products and multiples of matrices carried out entry by entry; the tree itself where shapes don't fit."""
    if isinstance(node, Seq) and len(node.items) == 1:
        return _matrix_value(node.items[0])
    if not isinstance(node, App) or not _has_matrix(node):
        return node
    args = [_matrix_value(arg) for arg in node.args]
    matrices = [isinstance(arg, Mat) for arg in args]
    if node.op == "neg" and matrices[0]:
        return Mat([[App("neg", [cell]) for cell in row] for row in args[0].rows])
    if node.op == "/" and matrices == [True, False]:
        return Mat([[App("/", [cell, args[1]]) for cell in row] for row in args[0].rows])
    result = args[0]
    for right in args[1:]:
        if node.op == "+" and isinstance(result, Mat) and isinstance(right, Mat) and _shape(result) == _shape(right):
            result = Mat(
                [
                    [App("+", [x, y]) for x, y in zip(p, q, strict=True)]
                    for p, q in zip(result.rows, right.rows, strict=True)
                ]
            )
        elif node.op == "*" and isinstance(result, Mat) and isinstance(right, Mat):
            if (
                not _shape(result)
                or not _shape(right)
                or _shape(result)[1] != _shape(right)[0]
                or len(right.rows) > 12
            ):
                return node
            columns = list(zip(*right.rows, strict=True))
            result = Mat(
                [
                    [App("+", [App("*", [x, y]) for x, y in zip(row, column, strict=True)]) for column in columns]
                    for row in result.rows
                ]
            )
        elif node.op == "*" and isinstance(result, Mat) != isinstance(right, Mat):
            matrix, scalar = (result, right) if isinstance(result, Mat) else (right, result)
            result = Mat([[App("*", [scalar, cell]) for cell in row] for row in matrix.rows])
        elif node.op == "*" and not isinstance(result, Mat) and not isinstance(right, Mat):
            result = App("*", [result, right])
        else:
            return node
    return result


def _shape(matrix: Mat) -> tuple[int, int] | None:
    widths = {len(row) for row in matrix.rows}
    return (len(matrix.rows), widths.pop()) if len(widths) == 1 else None


def _drop_names(items: list) -> list:
    """`x = 6, -2` → `6, -2`; `x, y = 3, 4` stays as it is read."""
    if len(items) > 1 and isinstance(items[0], Rel) and items[0].ops == ["="] and is_name(items[0].sides[0]):
        if not any(isinstance(item, Rel) for item in items[1:]):
            return [items[0].sides[1], *items[1:]]
    middle = len(items) // 2
    if len(items) > 2 and len(items) % 2 and isinstance(items[middle], Rel) and items[middle].ops == ["="]:
        left, right = items[middle].sides
        names, values = [*items[:middle], left], [right, *items[middle + 1 :]]
        if all(isinstance(name, Sym) for name in names) and not any(isinstance(v, Rel) for v in values):
            return [Rel(["="], [name, value]) for name, value in zip(names, values, strict=True)]
    return items


def _is_constant(node) -> bool:
    try:
        return not symbols(node)
    except NoValue:
        return False


def _open_signs(node, limit: int = 4) -> list | None:
    """The values of an expression with ±, upper signs first; None if it has none."""
    count = _count_signs(node)
    if not count or count > limit:
        return None
    linked = _has_op(node, "mp")
    choices = [(1,) * count, (-1,) * count] if linked or count == 1 else _all_choices(count)
    return [_with_signs(node, iter(choice)) for choice in choices]


def _all_choices(count: int) -> list:
    return [tuple(1 if (mask >> bit) & 1 == 0 else -1 for bit in range(count)) for mask in range(2**count)]


def _count_signs(node) -> int:
    if isinstance(node, App):
        return (node.op in ("pm", "mp")) + sum(_count_signs(arg) for arg in node.args)
    if isinstance(node, Quantity):
        return _count_signs(node.value)
    return 0


def _has_op(node, op: str) -> bool:
    if isinstance(node, App):
        return node.op == op or any(_has_op(arg, op) for arg in node.args)
    return isinstance(node, Quantity) and _has_op(node.value, op)


def _with_signs(node, signs):
    if isinstance(node, Quantity):
        return Quantity(_with_signs(node.value, signs), node.unit)
    if not isinstance(node, App):
        return node
    args = [_with_signs(node.args[0], signs)]
    if node.op in ("pm", "mp"):
        sign = next(signs) * (1 if node.op == "pm" else -1)
        right = _with_signs(node.args[1], signs)
        right = right if sign > 0 else App("neg", [right])
        return right if args[0] == Num(Fraction(0)) else App("+", [args[0], right])
    return App(node.op, args + [_with_signs(arg, signs) for arg in node.args[1:]])


def is_name(node) -> bool:
    """Whether a tree names a quantity (`x`, `a_3`, `AB`, `f(x)`, `|AB|`, `S : T`) rather than computes with one."""
    if isinstance(node, Sym):
        return node.name not in ("pi", "e", "i", "oo", "...")
    if isinstance(node, Text):
        return True
    if isinstance(node, Seq):
        return node.open == "(" and bool(node.items) and all(isinstance(item, Sym) for item in node.items)
    if isinstance(node, Ratio):
        return all(is_name(part) for part in node.parts)
    if isinstance(node, App):
        if node.op in ("abs", "overline", "prime", "det", "angle"):
            return is_name(node.args[0])
        if node.op == "/":
            return all(is_name(arg) for arg in node.args)
        if node.op in (
            "sin",
            "cos",
            "tan",
            "cot",
            "sec",
            "csc",
            "log?",
            "ln",
            "gcd",
            "lcm",
            "max",
            "min",
            "arg",
            "re",
            "im",
        ):
            return all(is_name(arg) for arg in node.args)
        if node.op == "^" and isinstance(node.args[0], Sym):  # f^{-1}, A^T
            return node.args[0].name[0] in "fghABCDEMPTXY" and isinstance(node.args[1], App | Num | Sym)
        if node.op == "*":
            return _is_application(node) or _is_label(node)
    return False


def _is_application(node: App) -> bool:
    """`f(x)`, `P(A)`, `f(3)`, `f^{-1}(x)`."""
    if len(node.args) != 2:
        return False
    head, argument = node.args
    if isinstance(head, App) and head.op in ("^", "prime") and isinstance(head.args[0], Sym):
        head = head.args[0]
    if not isinstance(head, Sym):
        return False
    return head.name[0] in "fghpqrsuvwyFGHPQRSTVWCNABEXYM" and (
        isinstance(argument, Sym | Num | Text | Seq) or is_name(argument)
    )


def _is_label(node: App) -> bool:
    """Capital letters side by side: a segment, an angle, a polygon."""
    return all(
        (isinstance(arg, Sym) and arg.name[:1].isupper())
        or (isinstance(arg, App) and arg.op == "*" and _is_label(arg))
        for arg in node.args
    )


# -- comparison -------------------------------------------------------------------------------------------------------
def _same(a, b, policy: str, depth: int) -> bool | None:
    if depth > 12:
        return None
    if isinstance(a, Num) and isinstance(b, Num):
        return same_value(a, b) or (policy == "rounding" and rounds_to(a, b))
    if a == b:
        return True
    if isinstance(a, Rel) or isinstance(b, Rel):
        return _same_relations(a, b, policy, depth)
    if isinstance(a, SetOp) or isinstance(b, SetOp):
        return _same_regions(a, b)
    if (isinstance(a, Sym) and a.name == "set R") or (isinstance(b, Sym) and b.name == "set R"):
        return _same_regions(a, b)
    if isinstance(a, Text) or isinstance(b, Text):
        return _same_text(a, b, policy, depth)
    if isinstance(a, Mat) or isinstance(b, Mat):
        return _same_matrix(a, b, policy, depth)
    if isinstance(a, Seq) or isinstance(b, Seq):
        return _same_sequence(a, b, policy, depth)
    if isinstance(a, Based) or isinstance(b, Based):
        return _same_based(a, b)
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        return _same_quantity(a, b, policy, depth)
    return _same_scalar(a, b, policy)


def _same_scalar(a, b, policy: str) -> bool | None:
    if is_infinite(a) or is_infinite(b):
        return _same_infinite(a, b)
    a, b = _same_imaginary(a, b)
    if isinstance(a, App) and isinstance(b, App) and a.op == b.op and a.op in ("sum", "prod"):
        if all(same_value(x, y) for x, y in zip(a.args[2:], b.args[2:], strict=True)):
            return same_value(a.args[0], _rename(b.args[0], b.args[1].name, a.args[1].name)) or same_value(a, b)
        return same_value(a, b)
    verdict = same_value(a, b)
    if verdict:
        return True
    for left, right in ((a, b), (b, a)):
        if isinstance(left, App) and left.op in ("pct", "deg"):
            bare = left.args[0]
            other = right.args[0] if isinstance(right, App) and right.op == left.op else right
            if same_value(bare, other) or (
                policy == "rounding" and rounds_to(*((bare, other) if left is a else (other, bare)))
            ):
                return True
            if (
                left.op == "deg"
                and other is right
                and same_value(App("/", [App("*", [bare, Sym("pi")]), Num(Fraction(180))]), right)
            ):
                return True
    if policy == "rounding" and rounds_to(a, b):
        return True
    if verdict is False and (_has_op(a, "log?") or _has_op(b, "log?")):
        return same_value(_common_logs(a), _common_logs(b)) or False
    if isinstance(a, Ratio) and isinstance(b, Ratio):
        return _same_ratio(a, b)
    return verdict


def _same_infinite(a, b) -> bool:
    signs = []
    for node in (a, b):
        if not is_infinite(node):
            return False
        signs.append(isinstance(node, App) and node.op == "neg")
    return signs[0] == signs[1]


def _same_imaginary(a, b):
    """`1 + I` as sympy prints it against `1 + i`, where only one side uses the capital."""
    try:
        left, right = symbols(a), symbols(b)
    except NoValue:
        return a, b
    if ("I" in left) != ("I" in right):
        a, b = _rename(a, "I", "i"), _rename(b, "I", "i")
    if ("E" in left) != ("E" in right) and _mentions(a if "E" in right else b, "e"):
        a, b = _rename(a, "E", "e"), _rename(b, "E", "e")
    if ("j" in left) != ("j" in right) and _mentions(a if "j" in right else b, "i"):
        a, b = _rename(a, "j", "i"), _rename(b, "j", "i")
    return a, b


def _mentions(node, name: str) -> bool:
    if isinstance(node, Sym):
        return node.name == name
    return isinstance(node, App) and any(_mentions(arg, name) for arg in node.args)


def _rename(node, old: str, new: str):
    if isinstance(node, Sym):
        return Sym(new) if node.name == old else node
    if isinstance(node, App):
        return App(node.op, [_rename(arg, old, new) for arg in node.args])
    return node


def _common_logs(node):
    if isinstance(node, App):
        return App("log10?" if node.op == "log?" else node.op, [_common_logs(arg) for arg in node.args])
    return node


def rounds_to(value, decimal) -> bool:
    """Whether `decimal`, a literal with two places or more, is `value` rounded to them."""
    if isinstance(decimal, App) and decimal.op == "neg" and isinstance(decimal.args[0], Num):
        decimal = Num(-decimal.args[0].value, decimal.args[0].digits, decimal.args[0].places)
    if not isinstance(decimal, Num) or decimal.places < 2:
        return False
    from caco_recipes.grading.evaluate import constant_value

    exact_value = constant_value(value)
    return exact_value is not None and abs(exact_value - decimal.value) * 10**decimal.places <= Fraction(
        1, 2
    ) + Fraction(1, 10**6)


def _same_quantity(a, b, policy: str, depth: int) -> bool | None:
    unit_a, value_a = (a.unit, a.value) if isinstance(a, Quantity) else ("", a)
    unit_b, value_b = (b.unit, b.value) if isinstance(b, Quantity) else ("", b)
    for one, unit in ((a, unit_b), (b, unit_a)):  # 40° isn't 40 points
        if isinstance(one, App) and one.op == "deg" and compare_units("degrees", unit) is None:
            return False
    factor = compare_units(unit_a, unit_b)
    if factor is None:
        return False
    if factor == 1.0:
        return _same(_settle(value_a), _settle(value_b), policy, depth + 1)
    scaled = App("*", [value_a, Num(Fraction(factor).limit_denominator(10**9))])
    return same_value(scaled, value_b)


def _same_ratio(a: Ratio, b: Ratio) -> bool | None:
    if len(a.parts) != len(b.parts):
        return False
    if _clock(a) and _clock(b):
        return all(same_value(x, y) for x, y in zip(a.parts, b.parts, strict=True))
    first = same_value(App("*", [a.parts[0], b.parts[1]]), App("*", [a.parts[1], b.parts[0]]))
    rest = [
        same_value(App("*", [x, b.parts[0]]), App("*", [y, a.parts[0]]))
        for x, y in zip(a.parts[2:], b.parts[2:], strict=True)
    ]
    verdicts = [first, *rest]
    return None if None in verdicts else all(verdicts)


def _clock(node: Ratio) -> bool:
    return (
        all(isinstance(part, Num) and part.value.denominator == 1 for part in node.parts)
        and node.parts[0].value <= 24
        and node.parts[1].value < 60
    )


def _same_based(a, b) -> bool | None:
    if isinstance(a, Based) and isinstance(b, Based):
        return (a.digits, a.base) == (b.digits, b.base)
    based, other = (a, b) if isinstance(a, Based) else (b, a)
    return isinstance(other, Num) and not other.places and other.value == int(based.digits) and based.base != 10


def _same_text(a, b, policy: str, depth: int) -> bool | None:
    if isinstance(a, Text) and isinstance(b, Text):
        return same_words(a.text, b.text)
    text, other = (a, b) if isinstance(a, Text) else (b, a)
    key = word_key(text.text)
    if isinstance(other, Sym):
        return (
            plain_words(text.text).strip("() .") == other.name.lower()
            if len(other.name) == 1
            else key == other.name.lower()
        )
    if isinstance(other, Seq):
        if not other.items:
            return key == "no solution"
        if len(other.items) == 1:
            return _same(text, other.items[0], policy, depth + 1)
        if key == "all reals":
            return _same_regions(Sym("set R"), other)
        return False
    if isinstance(other, Quantity):
        return False
    if isinstance(other, App) and other.op == "*" and all(isinstance(arg, Sym) for arg in other.args):
        return "".join(arg.name for arg in other.args).lower() == plain_words(text.text)
    return False


def same_words(a: str, b: str) -> bool:
    """Two texts: the same words, synonyms, or an option letter and its text."""
    if word_key(a) == word_key(b):
        return True
    first, second = plain_words(a), plain_words(b)
    for letter, text in ((first, second), (second, first)):
        if len(letter) == 1 and letter.isalpha() and len(text) > 2 and text[0] == letter and not text[1].isalnum():
            raw = a if text == first else b
            stripped = _OPTION_LEAD.sub("", raw.strip())
            if stripped[:1].isupper() and stripped[1:2] in (")", ".", ":", ","):
                return True
    return first.replace(" ", "") == second.replace(" ", "") and bool(first)


def _same_matrix(a, b, policy: str, depth: int) -> bool | None:
    if isinstance(a, Mat) and isinstance(b, Mat):
        left, right = a.rows, b.rows
        if len(left) != len(right) or any(len(x) != len(y) for x, y in zip(left, right, strict=True)):
            return False
        return _all(
            _same(_settle(x), _settle(y), policy, depth + 1)
            for p, q in zip(left, right, strict=True)
            for x, y in zip(p, q, strict=True)
        )
    matrix, other, flipped = (a, b, False) if isinstance(a, Mat) else (b, a, True)

    def pair(x, y):
        return (
            _same(_settle(y), _settle(x), policy, depth + 1)
            if flipped
            else _same(_settle(x), _settle(y), policy, depth + 1)
        )

    if isinstance(other, Seq):
        if len(other.items) == len(matrix.rows) and all(isinstance(row, Seq) for row in other.items):
            if any(len(row.items) != len(cells) for row, cells in zip(other.items, matrix.rows, strict=True)):
                return False
            return _all(
                pair(x, y)
                for cells, row in zip(matrix.rows, other.items, strict=True)
                for x, y in zip(cells, row.items, strict=True)
            )
        if len(matrix.rows) == 1 or all(len(row) == 1 for row in matrix.rows):
            cells = [cell for row in matrix.rows for cell in row]
            items = other.items
            if len(items) == 1 and isinstance(items[0], Seq):
                items = items[0].items
            return len(cells) == len(items) and _all(pair(x, y) for x, y in zip(cells, items, strict=True))
        return False
    if len(matrix.rows) == 1 and len(matrix.rows[0]) == 1:
        return pair(matrix.rows[0][0], other)
    if isinstance(other, App) and other.op in ("*", "+", "^", "/", "neg"):
        return None  # matrix arithmetic
    return False


def _all(verdicts) -> bool | None:
    unsure = False
    for verdict in islice(verdicts, MAX_ITEMS * 4):
        if verdict is False:
            return False
        if verdict is None:
            unsure = True
    return None if unsure else True


def _same_sequence(a, b, policy: str, depth: int) -> bool | None:
    if not (isinstance(a, Seq) and isinstance(b, Seq)):
        seq, other, flipped = (a, b, False) if isinstance(a, Seq) else (b, a, True)
        if len(seq.items) == 1 and not (seq.open in "([" and seq.open and isinstance(seq.items[0], Seq)):
            inner = _settle(seq.items[0])
            return _same(other, inner, policy, depth + 1) if flipped else _same(inner, other, policy, depth + 1)
        return False
    if len(a.items) > MAX_ITEMS or len(b.items) > MAX_ITEMS:
        return True if a == b else None
    left, right = region(a), region(b)
    if left is not None or right is not None:
        left, right = region(a, True), region(b, True)
        if left is not None and right is not None:
            return same_region(left, right)
    records_a, records_b = _records(a), _records(b)
    if records_a is not None or records_b is not None:
        return _same_records(a, b, records_a, records_b, policy, depth)
    if len(a.items) != len(b.items):
        if len(a.items) == 1 and isinstance(a.items[0], Seq):
            return _same(a.items[0], b, policy, depth + 1)
        if len(b.items) == 1 and isinstance(b.items[0], Seq):
            return _same(a, b.items[0], policy, depth + 1)
        if "\\{" in (a.open, b.open) or (
            a.open == b.open == "" and all(isinstance(x, Seq) for x in [*a.items, *b.items])
        ):
            return _unordered(_distinct(a.items), _distinct(b.items), policy, depth)
        return False
    if _ordered(a, b):
        if (
            a.open in "(["
            and b.open in "(["
            and a.open
            and b.open
            and (a.open, a.close) != (b.open, b.close)
            and len(a.items) == 2
        ):
            if not _brackets_agree(a, b):
                return False
        return _all(_same(_settle(x), _settle(y), policy, depth + 1) for x, y in zip(a.items, b.items, strict=True))
    return _unordered(a.items, b.items, policy, depth)


def _brackets_agree(a: Seq, b: Seq) -> bool:
    """`[1, 2]` as Python prints a list is the pair `(1, 2)`; a closed interval isn't the open one."""
    if "typed" in (a.source, b.source):
        return True
    if b.open == "[" and b.close == "]" and a.open == "(" and a.close == ")":
        return b.source != ""
    if a.open == "[" and a.close == "]" and b.open == "(" and b.close == ")":
        return (a.source and b.source) or not _could_be_interval(a)
    return False


def _could_be_interval(node: Seq) -> bool:
    pieces = region(node, True)
    return bool(pieces) and pieces[0].a < pieces[0].b


def _ordered(a: Seq, b: Seq) -> bool:
    brackets = ("(", "[", "<(")
    if a.open in brackets and b.open in brackets:
        return True
    if "(" in (a.open, b.open) or "<(" in (a.open, b.open):
        return True
    return False


def _distinct(items: list) -> list:
    kept: list = []
    for item in items:
        if not any(_same(_settle(item), _settle(other), "exact", 2) for other in kept):
            kept.append(item)
    return kept


def _unordered(left: list, right: list, policy: str, depth: int) -> bool | None:
    if len(left) != len(right):
        return False
    free = list(right)
    unsure = False
    for item in left:
        for i, other in enumerate(free):
            verdict = _same(_settle(item), _settle(other), policy, depth + 1)
            if verdict:
                del free[i]
                break
            unsure = unsure or verdict is None
        else:
            return None if unsure else False
    return True


# -- equations and assignments ----------------------------------------------------------------------------------------
def _assignment(node) -> tuple | None:
    """(name, value) of `x = 5`."""
    if isinstance(node, Rel) and node.ops == ["="] and is_name(node.sides[0]):
        return node.sides[0], node.sides[1]
    return None


def _records(node: Seq) -> list[list[tuple]] | None:
    """`p = 5, q = 2; p = 7, q = 2` → two records of (name, value); a record ends where a name comes again."""
    if not node.items:
        return None
    if all(isinstance(item, Seq) and item.open != "" for item in node.items):
        inner = [_records(item) for item in node.items]
        if all(r is not None and len(r) == 1 for r in inner):
            return [r[0] for r in inner]
    flat = []
    for item in node.items:
        if (
            isinstance(item, Seq)
            and item.open in ("", "(", "[")
            and item.items
            and all(_assignment(x) for x in item.items)
        ):
            flat.extend(item.items)
        else:
            flat.append(item)
    pairs = [_assignment(item) for item in flat]
    if any(pair is None for pair in pairs):
        return None
    records: list[list[tuple]] = [[]]
    for pair in pairs:
        if any(pair[0] == name for name, _ in records[-1]):
            records.append([])
        records[-1].append(pair)
    return records


def _same_records(a: Seq, b: Seq, records_a, records_b, policy: str, depth: int) -> bool | None:
    if records_a is not None and records_b is not None:
        if len(records_a) != len(records_b):
            return False
        names = {str(name) for record in records_a for name, _ in record}
        if len(names) == 1 and len({str(n) for record in records_b for n, _ in record}) == 1:
            if not _same_name(records_a[0][0][0], records_b[0][0][0]):
                return False
            return _unordered([r[0][1] for r in records_a], [r[0][1] for r in records_b], policy, depth)
        free = list(records_b)
        for record in records_a:
            for i, other in enumerate(free):
                if _same_record(record, other, policy, depth):
                    del free[i]
                    break
            else:
                return False
        return True
    records, other, flipped = (records_a, b, False) if records_a is not None else (records_b, a, True)

    def pair(x, y):
        return (
            _same(_settle(y), _settle(x), policy, depth + 1)
            if flipped
            else _same(_settle(x), _settle(y), policy, depth + 1)
        )

    if all(len(record) == 1 for record in records):
        values = Seq("", "", [record[0][1] for record in records])
        return pair(values, other)
    if len(records) == 1:
        values = [value for _, value in records[0]]
        if len(other.items) == 1 and isinstance(other.items[0], Seq):
            other = other.items[0]
        return len(values) == len(other.items) and _all(pair(x, y) for x, y in zip(values, other.items, strict=True))
    tuples = Seq("", "", [Seq("(", ")", [value for _, value in record]) for record in records])
    return pair(tuples, other)


def _same_record(left: list, right: list, policy: str, depth: int) -> bool:
    if len(left) != len(right):
        return False
    free = list(right)
    for name, value in left:
        for i, (other, candidate) in enumerate(free):
            if _same_name(name, other) and _same(_settle(value), _settle(candidate), policy, depth + 1):
                del free[i]
                break
        else:
            return False
    return True


def _label(node) -> str:
    return node.name if isinstance(node, Sym) else node.text


def _same_name(a, b) -> bool:
    if isinstance(a, Text | Sym) and isinstance(b, Text | Sym):
        return _label(a) == _label(b)
    if a == b:
        return True
    if isinstance(a, App) and isinstance(b, App) and _is_application(a) and _is_application(b):
        return a.args[0] == b.args[0]
    for one, other in ((a, b), (b, a)):  # y and f(x) both stand for the function
        if isinstance(one, Sym) and isinstance(other, App) and _is_application(other):
            return one.name in ("y", "z", "w", "f") or (
                isinstance(other.args[0], Sym) and other.args[0].name == one.name
            )
    return False


def _same_relations(a, b, policy: str, depth: int) -> bool | None:
    if isinstance(a, Rel) and isinstance(b, Rel):
        return _two_relations(a, b, policy, depth)
    relation, other, flipped = (a, b, False) if isinstance(a, Rel) else (b, a, True)
    pair = _assignment(relation)
    if pair is not None:
        name, value = pair
        if isinstance(name, Seq) and isinstance(other, Seq) and _records(other) is not None:
            value = Seq(
                "", "", [Rel(["="], [n, v]) for n, v in zip(name.items, getattr(value, "items", []), strict=False)]
            )
        if isinstance(other, Seq) and isinstance(name, Seq) and other.open == "":
            pass
        value = _settle(value)
        return _same(other, value, policy, depth + 1) if flipped else _same(value, other, policy, depth + 1)
    left, right = region(relation), region(other, True)
    if left is not None and right is not None:
        return same_region(left, right)
    if isinstance(other, Seq) and len(other.items) == 1:
        return (
            _same(other.items[0], relation, policy, depth + 1)
            if flipped
            else _same(relation, other.items[0], policy, depth + 1)
        )
    if relation.ops == ["in"]:
        return (
            _same(other, relation.sides[1], policy, depth + 1)
            if flipped
            else _same(relation.sides[1], other, policy, depth + 1)
        )
    return False


def _two_relations(a: Rel, b: Rel, policy: str, depth: int) -> bool | None:
    first, second = _assignment(a), _assignment(b)
    if first and second and _same_name(first[0], second[0]):
        verdict = _same(_settle(first[1]), _settle(second[1]), policy, depth + 1)
        if verdict is not None or isinstance(first[1], Seq | Mat | Text):
            return verdict
    if first and second and isinstance(first[0], Sym) and isinstance(second[0], Sym) and first[0] != second[0]:
        if not _linear_in(a, b):
            return False
    if len(a.ops) == len(b.ops) == 1:
        return _one_relation(a, b)
    left, right = region(a), region(b)
    if left is not None and right is not None:
        names = _names(a) ^ _names(b)
        return same_region(left, right) if not names else False
    flipped = _flip(b)
    for candidate in (b, flipped):
        if candidate.ops == a.ops:
            verdict = _all(
                _same(_settle(x), _settle(y), policy, depth + 1) for x, y in zip(a.sides, candidate.sides, strict=True)
            )
            if verdict:
                return True
    return False


def _names(node: Rel) -> set:
    """Names of the quantities that a relation bounds, `|z|` counted as `z`."""
    found = set()
    for side in node.sides:
        if isinstance(side, App) and side.op == "abs":
            side = side.args[0]
        if is_name(side):
            found.add(str(side))
    return found


def _linear_in(a: Rel, b: Rel) -> bool:
    """Two equations solved for different letters may still be one: both mention both letters."""
    try:
        names_a, names_b = symbols(a.sides[0]) | symbols(a.sides[1]), symbols(b.sides[0]) | symbols(b.sides[1])
    except NoValue:
        return False
    return names_a == names_b and len(names_a) > 1


def _flip(node: Rel) -> Rel:
    swap = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    return Rel([swap.get(op, op) for op in reversed(node.ops)], list(reversed(node.sides)))


def _one_relation(a: Rel, b: Rel) -> bool | None:
    op_a, op_b = a.ops[0], b.ops[0]
    if op_a == "in" or op_b == "in":
        if op_a == op_b:
            return _same(_settle(a.sides[1]), _settle(b.sides[1]), "exact", 2) if a.sides[0] == b.sides[0] else False
        left, right = region(a), region(b)
        return same_region(left, right) if left is not None and right is not None else False
    try:
        left = App("+", [a.sides[0], App("neg", [a.sides[1]])])
        right = App("+", [b.sides[0], App("neg", [b.sides[1]])])
        symbols(left), symbols(right)
    except NoValue:
        if op_a != op_b:
            return False
        return _all(_same(_settle(x), _settle(y), "exact", 2) for x, y in zip(a.sides, b.sides, strict=True))
    factor = proportional(left, right)
    if factor is None:
        if op_a == op_b == "=":
            swapped = _all(same_value(x, y) for x, y in zip(a.sides, reversed(b.sides), strict=True))
            return True if swapped else _squared_forms(left, right)
        return False
    if op_a in ("=", "!=") or op_b in ("=", "!="):
        return op_a == op_b
    swap = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    return op_a == (op_b if factor > 0 else swap.get(op_b))


def _squared_forms(left, right) -> bool | None:
    """Equations that differ by a denominator (x²/a = 1 against x² = a) are proportional; anything else isn't decided here."""
    return False


def _same_regions(a, b) -> bool | None:
    left, right = region(a, True), region(b, True)
    if left is None or right is None:
        if any(isinstance(one, Seq) and one.open and len(one.items) == 1 for one in (a, b)):
            return False
        for one, other in ((a, right), (b, left)):
            if isinstance(one, Text) and word_key(one.text) == "all reals" and other is not None:
                return same_region(other, region(Sym("set R")))
        if isinstance(a, SetOp) and isinstance(b, SetOp):
            return None
        return (
            None
            if (isinstance(a, SetOp) and isinstance(b, Rel | Seq))
            or (isinstance(b, SetOp) and isinstance(a, Rel | Seq))
            else False
        )
    return same_region(left, right)
