"""Which numbers of a program become its inputs: literals that a body gives a name once, before anything reads it.

`radius = 10` becomes a parameter. `center = Point(4, 3)` becomes a parameter too, with the numbers as its value; the
line stays as `center = Point(*center)`. What is computed stays computed: `total = 6 * 5` is no input.
"""

import ast
from dataclasses import dataclass

from caco_recipes.mechanical.scopes import FUNCTIONS, loads_now

MUTATORS = frozenset(
    "append extend insert pop remove sort reverse clear add discard update setdefault popitem".split()
)
# Makers of a number, a point or a table: they say what kind of value a literal is, and compute nothing.
MAKERS = frozenset(
    "Integer Rational Float Fraction Decimal Point Point2D Point3D Matrix ImmutableMatrix Vector array FiniteSet S "
    "Complex Interval".split()
)


@dataclass(frozen=True, slots=True)
class Constant:
    """One input: the statement that sets it, its literal, and what stays of the statement (empty: nothing)."""

    statement: ast.stmt
    value: ast.expr
    stays: str = ""


def find_constants(body: list[ast.stmt], result: ast.expr | None) -> dict[str, Constant]:
    """The inputs that a body offers, by name, in order.

    Left where they are: the result itself, names never read, names that are changed in place or rebound anywhere, and
    tuple assignments of which one part doesn't qualify.
    """
    stores, loads, off_limits = _mentions([*body, *([result] if result is not None else [])])
    if isinstance(result, ast.Name):
        off_limits.add(result.id)
    found: dict[str, Constant] = {}
    read: set[str] = set()
    for statement in body:
        offered = _offered(statement)
        if offered and all(
            stores.get(name) == 1 and loads.get(name) and name not in off_limits | read and not name.startswith("__")
            for name in offered
        ):
            found |= offered
        else:
            read |= loads_now(statement)
    return found


def is_literal(node: ast.expr) -> bool:
    """A number, text, or a filled list, tuple or dict of them; a fraction of two numbers counts as a number."""
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int | float | str)
    if isinstance(node, ast.UnaryOp):
        return isinstance(node.op, ast.USub | ast.UAdd) and is_literal(node.operand)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return all(isinstance(n, ast.Constant) and isinstance(n.value, int | float) for n in (node.left, node.right))
    if isinstance(node, ast.List | ast.Tuple | ast.Set):
        return bool(node.elts) and all(is_literal(element) for element in node.elts)
    if isinstance(node, ast.Dict):
        keys = all(key is not None and is_literal(key) for key in node.keys)
        return bool(node.keys) and keys and all(is_literal(value) for value in node.values)
    return False


def _mentions(nodes: list[ast.AST]) -> tuple[dict[str, int], dict[str, int], set[str]]:
    """How often each name is stored and loaded at any depth, and the names that can't be inputs."""
    stores: dict[str, int] = {}
    loads: dict[str, int] = {}
    off_limits: set[str] = set()
    for node in (inner for outer in nodes for inner in ast.walk(outer)):
        if isinstance(node, ast.Name):
            counts = loads if isinstance(node.ctx, ast.Load) else stores
            counts[node.id] = counts.get(node.id, 0) + 1
        elif isinstance(node, ast.Global | ast.Nonlocal):
            off_limits |= set(node.names)
        elif isinstance(node, (*FUNCTIONS, ast.ClassDef)):
            off_limits.add(node.name)
        elif isinstance(node, ast.arg):
            off_limits.add(node.arg)
        elif isinstance(node, ast.alias):
            off_limits.add((node.asname or node.name).split(".")[0])
        elif isinstance(node, ast.Attribute) and node.attr in MUTATORS and isinstance(node.value, ast.Name):
            off_limits.add(node.value.id)
        elif isinstance(node, ast.Attribute | ast.Subscript) and not isinstance(node.ctx, ast.Load):
            off_limits |= {name.id for name in ast.walk(node.value) if isinstance(name, ast.Name)}
    return stores, loads, off_limits


def _offered(statement: ast.stmt) -> dict[str, Constant]:
    if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
        return {}
    target, value = statement.targets[0], statement.value
    if isinstance(target, ast.Name):
        if is_literal(value):
            return {target.id: Constant(statement, value)}
        return _made(statement, target.id, value)
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        if all(isinstance(t, ast.Name) for t in target.elts) and all(is_literal(v) for v in value.elts):
            return {t.id: Constant(statement, v) for t, v in zip(target.elts, value.elts, strict=True)}
    return {}


def _made(statement: ast.stmt, name: str, value: ast.expr) -> dict[str, Constant]:
    """`r = Rational(1, 2)`: the numbers are the input, the maker stays."""
    if not isinstance(value, ast.Call) or value.keywords or not value.args:
        return {}
    maker = value.func.attr if isinstance(value.func, ast.Attribute) else getattr(value.func, "id", "")
    source = ast.unparse(value.func)
    if maker not in MAKERS or source == name or not all(_is_number(argument) for argument in value.args):
        return {}
    if len(value.args) == 1:
        return {name: Constant(statement, value.args[0], f"{name} = {source}({name})")}
    return {name: Constant(statement, ast.Tuple(value.args, ast.Load()), f"{name} = {source}(*{name})")}


def _is_number(node: ast.expr) -> bool:
    """A number, or lists of numbers, written out; no fraction, which is a float before the maker sees it."""
    if isinstance(node, ast.List | ast.Tuple):
        return bool(node.elts) and all(map(_is_number, node.elts))
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        node = node.operand
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)
