"""One form for what is written in several: ± opened, names of lists dropped, approximations cut, matrices worked out."""

from fractions import Fraction
from itertools import pairwise

from caco_recipes.grading.evaluate import constant_value, same_value
from caco_recipes.grading.exact import NoValue, symbols
from caco_recipes.grading.syntax import App, Mat, Num, Quantity, Ratio, Rel, Seq, SetOp, Sym, Text
from caco_recipes.grading.words import conversion, is_percent, plain_words

LISTS = ("", "\\{")


def settle(node):
    """One form for what is written in several: ± opened, names of lists dropped, approximations cut."""
    if isinstance(node, Rel):
        return _settle_relation(node)
    if isinstance(node, Seq):
        items = [settle(item) for item in node.items]
        if len(items) == 1 and isinstance(items[0], Mat):
            return items[0]
        if node.open in LISTS:
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
    if isinstance(node, App) and node.op == "+" and isinstance(node.args[0], Sym) and node.args[0].name == "set R":
        removed = [arg.args[0] for arg in node.args[1:] if isinstance(arg, App) and arg.op == "neg"]
        if len(removed) == len(node.args) - 1:  # R - {0}
            return SetOp("minus", [node.args[0], *removed])
    if isinstance(node, App) and node.op == "+" and any(isinstance(arg, Quantity) for arg in node.args):
        return _with_one_unit(node)
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


def _with_one_unit(node: App):
    """`5 ft + 6 in` in the last unit; `10 - 3π rad/s`: a unit behind a sum is the sum's."""
    terms = node.args
    signs = [isinstance(term, App) and term.op == "neg" for term in terms]
    bare = [term.args[0] if sign else term for term, sign in zip(terms, signs, strict=True)]
    if not isinstance(bare[-1], Quantity):
        return node
    unit, values = bare[-1].unit, []
    for term, sign in zip(bare, signs, strict=True):
        value = term
        if isinstance(term, Quantity):
            factor = 1.0 if term.unit == unit else conversion(term.unit, unit)
            if factor is None:
                return node
            value = (
                term.value if factor == 1.0 else App("*", [term.value, Num(Fraction(factor).limit_denominator(10**9))])
            )
        values.append(App("neg", [value]) if sign else value)
    return Quantity(App("+", values), unit)


def as_one_quantity(node: Seq):
    """`2 hours and 30 minutes` as one quantity; None if the items aren't parts of one."""
    if node.open != "" or len(node.items) < 2 or not all(isinstance(item, Quantity) for item in node.items):
        return None
    factors = [conversion(left.unit, right.unit) for left, right in pairwise(node.items)]
    return _with_one_unit(App("+", node.items)) if all(factor and factor > 1.0 for factor in factors) else None


def _settle_relation(node: Rel):
    ops, sides = list(node.ops), list(node.sides)
    if "~" in ops:  # "x = 1/3 ≈ 0.33": what stands before the approximation, unless that is only a name
        cut = ops.index("~")
        if (cut > 0 or not is_name(sides[0])) and all(op == "=" for op in ops[:cut]):
            ops, sides = ops[:cut], sides[: cut + 1]
        else:
            ops = ["=" if op == "~" else op for op in ops]
    if not ops:
        return settle(sides[0])
    if (
        len(ops) > 1 and all(op == "=" for op in ops) and not _comes_again(sides)
    ):  # a chain of steps: its name and its end
        ops, sides = ["="], [sides[0], sides[-1]]
    sides = [settle(side) for side in sides]
    if ops == ["="] and isinstance(sides[1], Seq) and sides[1].open == "" and is_name(sides[0]):
        return Seq("", "", [Rel(["="], [sides[0], item]) for item in sides[1].items])
    if ops == ["in"] and isinstance(sides[1], Seq) and sides[1].open == "\\{" and is_name(sides[0]):
        return sides[1]
    if ops == ["="] and is_name(sides[1]) and not is_name(sides[0]):
        sides.reverse()
    if ops == ["="] and _is_constant(sides[0]) and _is_constant(sides[1]):
        if same_value(*sides) is not False or any(rounds(sides[0], side) for side in sides[1:]):
            return sides[1]  # a computation and its result
    return Rel(ops, sides)


def _comes_again(sides: list) -> bool:
    """Whether the name at the head of a chain stands in the middle of it: then these are several equations."""
    return isinstance(sides[0], Sym) and any(mentions(side, sides[0].name) for side in sides[1:-1])


def mentions(node, name: str) -> bool:
    if isinstance(node, Sym):
        return node.name == name
    return isinstance(node, App) and any(mentions(arg, name) for arg in node.args)


def rounds(value, decimal) -> bool:
    """Whether a decimal literal, of any number of places, is a constant rounded to them (units and minus signs aside)."""
    if isinstance(decimal, Quantity):
        decimal = decimal.value
    if isinstance(decimal, App) and decimal.op == "neg":
        return rounds(App("neg", [value]), decimal.args[0])
    if not isinstance(decimal, Num):
        return False
    exact_value = constant_value(value)
    if exact_value is None:
        return False
    difference = abs(exact_value - decimal.value)
    return (
        difference * 10**decimal.places <= Fraction(3, 5) if decimal.places else difference * 2000 <= abs(exact_value)
    )


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
    """`x = 6, -2` → `x = 6, x = -2`; `x, y = 3, 4` → `x = 3, y = 4`."""
    if len(items) > 1 and isinstance(items[0], Rel) and items[0].ops == ["="] and is_name(items[0].sides[0]):
        if not any(isinstance(item, Rel) for item in items[1:]):
            name = items[0].sides[0]
            return [items[0], *(Rel(["="], [name, item]) for item in items[1:])]
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
    linked = has_op(node, "mp")
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


def has_op(node, op: str) -> bool:
    if isinstance(node, App):
        return node.op == op or any(has_op(arg, op) for arg in node.args)
    return isinstance(node, Quantity) and has_op(node.value, op)


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
            return all(is_name(arg) or _is_differential(arg) for arg in node.args)
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
            return is_application(node) or _is_label(node)
    return False


def _is_differential(node) -> bool:
    """`dy` of `dy/dx`."""
    return (
        isinstance(node, App)
        and node.op == "*"
        and len(node.args) == 2
        and node.args[0] == Sym("d")
        and is_name(node.args[1])
    )


def is_application(node: App) -> bool:
    """`f(x)`, `P(A)`, `f(3)`, `f^{-1}(x)`."""
    if node.op != "*" or len(node.args) != 2:
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
