"""The published graders' comparison of what their readers made of two texts: by value, as sympy's `equals` and `simplify` would find."""

from caco_recipes.grading.evaluate import constant_value, same_value
from caco_recipes.grading.exact import NoValue, symbols
from caco_recipes.grading.normalise import clean
from caco_recipes.grading.paper.sympy_python import python
from caco_recipes.grading.paper.sympy_reading import latex
from caco_recipes.grading.parser import parse
from caco_recipes.grading.syntax import App, Mat, Num, Rel, Seq, Sym, Unreadable


def any_reader(text: str):
    """The readers in the order of the Qwen grader: LaTeX, Python, latex2sympy (our own parser stands for it); else None."""
    for reader in (latex, python, _own):
        for candidate in (text.replace("\\\\", "\\"), text):
            try:
                return reader(candidate)
            except Unreadable:
                continue
    return None


def _own(text: str):
    if not text.isascii():
        raise Unreadable("latex2sympy reads ASCII")
    node = parse(clean(text))
    if isinstance(node, Mat | Num | App | Sym):
        return node
    raise Unreadable("not a scalar")


def constant(node) -> float | None:
    """The double that `float(N(x))` gives, None if there is none."""
    try:
        if symbols(node):
            return None
    except NoValue:
        return None
    value = constant_value(node)
    try:
        return None if value is None else float(value)
    except OverflowError:
        return None


def difference(node: Rel):
    return App("+", [node.sides[0], App("neg", [node.sides[1]])])


def same(a, b) -> bool:
    """Equal as sympy's `==`, `equals` and `simplify(a - b) == 0` have it: the same value wherever both have one."""
    if a == b:
        return True
    if isinstance(a, Rel) and isinstance(b, Rel):
        if len(a.ops) != 1 or len(b.ops) != 1:
            return False
        if a.ops == b.ops and all(same(x, y) for x, y in zip(a.sides, b.sides, strict=True)):
            return True
        flipped = {"<": ">", ">": "<", "<=": ">=", ">=": "<=", "=": "=", "!=": "!="}[b.ops[0]]
        return a.ops[0] == flipped and all(same(x, y) for x, y in zip(a.sides, reversed(b.sides), strict=True))
    if isinstance(a, Seq) and isinstance(b, Seq):
        return (
            a.open == b.open
            and len(a.items) == len(b.items)
            and all(same(x, y) for x, y in zip(a.items, b.items, strict=True))
        )
    if isinstance(a, Mat) and isinstance(b, Mat):
        return same_matrix(a, b, same)
    if isinstance(a, Rel | Seq | Mat) or isinstance(b, Rel | Seq | Mat):
        return False
    return same_value(a, b) is True


def same_matrix(a: Mat, b: Mat, equal) -> bool:
    return len(a.rows) == len(b.rows) and all(
        len(p) == len(q) and all(equal(x, y) for x, y in zip(p, q, strict=True))
        for p, q in zip(a.rows, b.rows, strict=True)
    )
