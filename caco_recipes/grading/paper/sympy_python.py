"""How `parse_expr`, the evaluating reader of the published graders, sees a text: read from Python's syntax tree, never by evaluation."""

import ast
import math
from fractions import Fraction

from caco_recipes.grading.numbers import number
from caco_recipes.grading.paper.sympy_reading import MAX_CHARS, _plain
from caco_recipes.grading.syntax import App, Num, Rel, Seq, Sym, Unreadable

_PYTHON_CONSTANTS = {
    "pi": Sym("pi"),
    "E": Sym("e"),
    "I": Sym("i"),
    "oo": Sym("oo"),
    "nan": Sym("nan"),
    "zoo": Sym("zoo"),
}
_PYTHON_FUNCTIONS = {
    "sqrt",
    "sin",
    "cos",
    "tan",
    "exp",
    "log",
    "ln",
    "Abs",
    "abs",
    "asin",
    "acos",
    "atan",
    "factorial",
    "Rational",
    "cbrt",
    "root",
    "binomial",
}
_BINARY = {ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.Pow: "^", ast.BitXor: "^"}


def python(text: str):
    """What `parse_expr` would make of a text, read from Python's syntax tree. Raises `Unreadable` for anything but arithmetic."""
    text = text.strip()
    if len(text) > MAX_CHARS or not text:
        raise Unreadable("length")
    try:
        tree = ast.parse(text.replace("^", "**") if "^" in text and False else text, mode="eval").body
        return _from_python(tree, 0)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        raise Unreadable("not Python") from None


def _from_python(node, depth: int):
    if depth > 60:
        raise Unreadable("depth")
    if isinstance(node, ast.Constant) and type(node.value) in (int, float) and math.isfinite(node.value):
        return Num(Fraction(node.value)) if isinstance(node.value, int) else number(repr(node.value))
    if isinstance(node, ast.Name):
        return _PYTHON_CONSTANTS.get(node.id) or Sym(_plain(node.id))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
        inner = _from_python(node.operand, depth + 1)
        return App("neg", [inner]) if isinstance(node.op, ast.USub) else inner
    if isinstance(node, ast.BinOp) and type(node.op) in _BINARY and not isinstance(node.op, ast.BitXor):
        left, right = _from_python(node.left, depth + 1), _from_python(node.right, depth + 1)
        op = _BINARY[type(node.op)]
        return App("+", [left, App("neg", [right])]) if op == "-" else App(op, [left, right])
    if isinstance(node, ast.Tuple | ast.List | ast.Set):
        kind = {ast.Tuple: ("(", ")"), ast.List: ("[", "]"), ast.Set: ("\\{", "\\}")}[type(node)]
        return Seq(*kind, [_from_python(item, depth + 1) for item in node.elts])
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        op = {ast.Lt: "<", ast.Gt: ">", ast.LtE: "<=", ast.GtE: ">="}.get(type(node.ops[0]))
        if op:
            return Rel([op], [_from_python(node.left, depth + 1), _from_python(node.comparators[0], depth + 1)])
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and not node.keywords:
        arguments = [_from_python(item, depth + 1) for item in node.args]
        name = node.func.id
        if name in _PYTHON_FUNCTIONS and arguments:
            return _python_function(name, arguments)
        raise Unreadable("call")
    raise Unreadable("syntax")


def _python_function(name: str, arguments: list):
    first = arguments[0]
    if name in ("sqrt", "cbrt"):
        return App("root", [first, Num(Fraction(2 if name == "sqrt" else 3))])
    if name == "exp":
        return App("^", [Sym("e"), first])
    if name in ("log", "ln"):
        return App("log", arguments) if len(arguments) == 2 else App("ln", [first])
    if name == "factorial":
        return App("!", [first])
    if name == "Rational" and len(arguments) == 2:
        return App("/", arguments)
    return App("abs" if name == "Abs" else name, arguments)
