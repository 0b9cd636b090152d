"""Comparison of two answer trees: scalars, tuples, sets, lists, intervals, matrices, words. Equations are in `equations.py`."""

import re
from fractions import Fraction
from itertools import islice, pairwise

from caco_recipes.grading import equations, quantities
from caco_recipes.grading.evaluate import constant_value, same_value
from caco_recipes.grading.exact import NoValue, symbols
from caco_recipes.grading.forms import as_one_quantity, has_op, mentions, settle
from caco_recipes.grading.regions import is_infinite, region, same_region
from caco_recipes.grading.syntax import App, Based, Mat, Num, Quantity, Ratio, Rel, Seq, SetOp, Sym, Text
from caco_recipes.grading.words import plain_words, word_key

MAX_ITEMS = 400
_OPTION_LEAD = re.compile(r"\A(?:\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{)?\s*\(?")


def same(gold, pred, policy: str = "exact") -> bool | None:
    """Whether two trees are the same answer. None: can't tell."""
    return compare(settle(gold), settle(pred), policy, 0)


def compare(a, b, policy: str, depth: int) -> bool | None:
    if depth > 12:
        return None
    if isinstance(a, Num) and isinstance(b, Num):
        return same_value(a, b) or (policy == "rounding" and rounds_to(a, b))
    if a == b:
        return True
    if isinstance(a, Rel) or isinstance(b, Rel):
        return equations.same_relations(a, b, policy, depth)
    if isinstance(a, SetOp) or isinstance(b, SetOp):
        return same_regions(a, b)
    if (isinstance(a, Sym) and a.name == "set R") or (isinstance(b, Sym) and b.name == "set R"):
        return same_regions(a, b)
    if isinstance(a, Text) or isinstance(b, Text):
        return _same_text(a, b, policy, depth)
    if isinstance(a, Mat) or isinstance(b, Mat):
        return _same_matrix(a, b, policy, depth)
    if isinstance(a, Seq) or isinstance(b, Seq):
        return _same_sequence(a, b, policy, depth)
    if isinstance(a, Based) or isinstance(b, Based):
        return quantities.same_based(a, b)
    if isinstance(a, Quantity) or isinstance(b, Quantity):
        return quantities.same_quantity(a, b, policy, depth)
    return _same_scalar(a, b, policy)


def _same_scalar(a, b, policy: str) -> bool | None:
    if is_infinite(a) or is_infinite(b):
        return _same_infinite(a, b)
    a, b = _same_imaginary(a, b)
    if isinstance(a, App) and isinstance(b, App) and a.op == b.op and a.op in ("sum", "prod"):
        if all(same_value(x, y) for x, y in zip(a.args[2:], b.args[2:], strict=True)):
            return same_value(a.args[0], rename(b.args[0], b.args[1].name, a.args[1].name)) or same_value(a, b)
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
    if verdict is False and (has_op(a, "log?") or has_op(b, "log?")):
        return same_value(_common_logs(a), _common_logs(b)) or False
    if isinstance(a, Ratio) and isinstance(b, Ratio):
        return quantities.same_ratio(a, b)
    if any(isinstance(one, App) and one.op == "pmod" for one in (a, b)):
        return quantities.same_residue(a, b)
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
        a, b = rename(a, "I", "i"), rename(b, "I", "i")
    if ("E" in left) != ("E" in right) and mentions(a if "E" in right else b, "e"):
        a, b = rename(a, "E", "e"), rename(b, "E", "e")
    if ("j" in left) != ("j" in right) and mentions(a if "j" in right else b, "i"):
        a, b = rename(a, "j", "i"), rename(b, "j", "i")
    for one, other in ((left, right), (right, left)):  # 2i + 3j for unit vectors in bold
        if any(name.startswith("vec ") for name in one) and not any(name.startswith("vec ") for name in other):
            for name in "ijk":
                a, b = rename(a, f"vec {name}", name), rename(b, f"vec {name}", name)
    return a, b


def rename(node, old: str, new: str):
    if isinstance(node, Sym):
        return Sym(new) if node.name == old else node
    if isinstance(node, App):
        return App(node.op, [rename(arg, old, new) for arg in node.args])
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
    exact_value = constant_value(value)
    return exact_value is not None and abs(exact_value - decimal.value) * 10**decimal.places <= Fraction(
        1, 2
    ) + Fraction(1, 10**6)


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
        if option_letters(other):
            return option_letters(other) == option_letters(text)
        if len(other.items) == 1:
            return compare(text, other.items[0], policy, depth + 1)
        if key == "all reals":
            return same_regions(Sym("set R"), other)
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
        return every(
            compare(settle(x), settle(y), policy, depth + 1)
            for p, q in zip(left, right, strict=True)
            for x, y in zip(p, q, strict=True)
        )
    matrix, other, flipped = (a, b, False) if isinstance(a, Mat) else (b, a, True)

    def pair(x, y):
        return (
            compare(settle(y), settle(x), policy, depth + 1)
            if flipped
            else compare(settle(x), settle(y), policy, depth + 1)
        )

    if isinstance(other, Seq):
        if len(other.items) == len(matrix.rows) and all(isinstance(row, Seq) for row in other.items):
            if any(len(row.items) != len(cells) for row, cells in zip(other.items, matrix.rows, strict=True)):
                return False
            return every(
                pair(x, y)
                for cells, row in zip(matrix.rows, other.items, strict=True)
                for x, y in zip(cells, row.items, strict=True)
            )
        if len(matrix.rows) == 1 or all(len(row) == 1 for row in matrix.rows):
            cells = [cell for row in matrix.rows for cell in row]
            items = other.items
            if len(items) == 1 and isinstance(items[0], Seq):
                items = items[0].items
            return len(cells) == len(items) and every(pair(x, y) for x, y in zip(cells, items, strict=True))
        return False
    if len(matrix.rows) == 1 and len(matrix.rows[0]) == 1:
        return pair(matrix.rows[0][0], other)
    if isinstance(other, App) and other.op in ("*", "+", "^", "/", "neg"):
        return None  # matrix arithmetic
    return False


def every(verdicts) -> bool | None:
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
        letters = option_letters(other)
        if letters and letters == option_letters(seq):
            return True
        if isinstance(other, Ratio) and seq.source and len(other.parts) == len(seq.items):
            return every(same_value(x, y) for x, y in zip(other.parts, seq.items, strict=True))
        whole = as_one_quantity(seq)
        if whole is not None:
            return (
                quantities.same_quantity(other, whole, policy, depth)
                if flipped
                else quantities.same_quantity(whole, other, policy, depth)
            )
        if isinstance(other, App) and _is_point(other, seq):
            return (
                compare(other.args[1], seq, policy, depth + 1)
                if flipped
                else compare(seq, other.args[1], policy, depth + 1)
            )
        if len(seq.items) == 1 and not (seq.open in "([" and seq.open and isinstance(seq.items[0], Seq)):
            inner = settle(seq.items[0])
            return compare(other, inner, policy, depth + 1) if flipped else compare(inner, other, policy, depth + 1)
        return False
    if len(a.items) > MAX_ITEMS or len(b.items) > MAX_ITEMS:
        return True if a == b else None
    if a.open == "[" and not a.source and b.open == "\\{" and len(a.items) == 2 and _could_be_interval(a):
        return False  # an interval as the gold isn't the set of its ends
    left, right = region(a), region(b)
    if left is not None or right is not None:
        left, right = region(a, True), region(b, True)
        if left is not None and right is not None:
            return same_region(left, right)
    records_a, records_b = equations.records(a), equations.records(b)
    if records_a is not None or records_b is not None:
        return equations.same_records(a, b, records_a, records_b, policy, depth)
    if len(a.items) != len(b.items):
        if len(a.items) == 1 and isinstance(a.items[0], Seq) and a.items[0].items:
            return compare(a.items[0], b, policy, depth + 1)
        if len(b.items) == 1 and isinstance(b.items[0], Seq) and b.items[0].items:
            return compare(a, b.items[0], policy, depth + 1)
        if "\\{" in (a.open, b.open) or (
            a.open == b.open == "" and all(isinstance(x, Seq) for x in [*a.items, *b.items])
        ):
            return unordered(_distinct(a.items), _distinct(b.items), policy, depth)
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
        return every(compare(settle(x), settle(y), policy, depth + 1) for x, y in zip(a.items, b.items, strict=True))
    if a.open == b.open == "\\{" and len(a.items) > 1 and _sets_within(a) != _sets_within(b):
        return False  # {{1}, {2}} isn't {1, 2}
    return unordered(a.items, b.items, policy, depth)


def _sets_within(node: Seq) -> int:
    return sum(isinstance(item, Seq) and item.open == "\\{" for item in node.items)


def option_letters(node) -> str:
    """`ABD`, or `A, B, D`: the letters of several options in order; nothing for anything else."""
    if isinstance(node, Seq):
        letters = "".join(item.name if isinstance(item, Sym) else "?" for item in node.items)
    elif isinstance(node, App) and node.op == "*":
        letters = "".join(arg.name if isinstance(arg, Sym) else "?" for arg in node.args)
    else:
        letters = node.text if isinstance(node, Text) else ""
    ordered = len(letters) > 1 and all("A" <= x < y <= "F" for x, y in pairwise(letters))
    return letters if ordered else ""


def _is_point(node: App, other: Seq) -> bool:
    """`P(2, 3)`: a point with its name, against a pair."""
    if node.op != "*" or len(node.args) != 2 or other.open != "(":
        return False
    name, pair = node.args
    return (
        isinstance(name, Sym)
        and name.name[0].isupper()
        and isinstance(pair, Seq)
        and pair.open == "("
        and len(pair.items) > 1
    )


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
        if not any(compare(settle(item), settle(other), "exact", 2) for other in kept):
            kept.append(item)
    return kept


def unordered(left: list, right: list, policy: str, depth: int) -> bool | None:
    if len(left) != len(right):
        return False
    free = list(right)
    unsure = False
    for item in left:
        for i, other in enumerate(free):
            verdict = compare(settle(item), settle(other), policy, depth + 1)
            if verdict:
                del free[i]
                break
            unsure = unsure or verdict is None
        else:
            return None if unsure else False
    return True


def same_regions(a, b) -> bool | None:
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
