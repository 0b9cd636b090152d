"""What Python and sympy constructors stand for when they are printed: `Fraction(1, 2)`, `Matrix([[1]])`, `Interval(0, 1)`, `Eq(x, 2)`."""

from collections.abc import Callable

from caco_recipes.grading.normalise import clean
from caco_recipes.grading.syntax import App, Mat, Rel, Seq, SetOp, Sym, Text, Unreadable

_SETS = ("set", "frozenset", "FiniteSet")
_TUPLES = ("list", "tuple", "Tuple", "Point", "Point2D", "Point3D", "deque")
_MATRICES = ("Matrix", "ImmutableMatrix", "MutableDenseMatrix", "ImmutableDenseMatrix")
_RELATIONS = {"Eq": "=", "Ne": "!=", "Lt": "<", "Le": "<=", "Gt": ">", "Ge": ">="}
_SET_OPERATIONS = {"Union": "union", "Intersection": "inter", "Complement": "minus"}
_INTERVALS = {"Interval": "[]", "Interval.open": "()", "Interval.Lopen": "(]", "Interval.Ropen": "[)"}


def python_value(name: str, arguments: list, read: Callable[[str], object]):
    """The tree of `name(*arguments)`; `read` parses a quoted argument. Raises `Unreadable` for what has no tree."""
    if not arguments:
        return Seq("\\{", "\\}", []) if name in _SETS else Seq("[", "]", [], "printed")
    first = arguments[0]
    if name in ("Fraction", "Rational") and len(arguments) == 2:
        return App("/", arguments)
    if name in _MATRICES:
        return _matrix(first)
    if name in ("array", "Poly"):
        return first
    if name in _TUPLES:
        items = first.items if len(arguments) == 1 and isinstance(first, Seq) else arguments
        return Seq("(", ")", items, "printed")
    if name in _SETS:
        items = first.items if len(arguments) == 1 and isinstance(first, Seq) and name != "FiniteSet" else arguments
        return Seq("\\{", "\\}", items)
    if name in _INTERVALS:
        return _interval(_INTERVALS[name], arguments)
    if name in _SET_OPERATIONS:
        return SetOp(_SET_OPERATIONS[name], arguments)
    if name in _RELATIONS and len(arguments) == 2:
        return Rel([_RELATIONS[name]], arguments)
    if name in ("And", "Or"):
        return Seq("", "", arguments)
    if name == "complex" and len(arguments) == 2:
        return App("+", [first, App("*", [arguments[1], Sym("i")])])
    if name in ("dict", "OrderedDict", "Not", "EmptySet"):
        raise Unreadable(name)
    if isinstance(first, Text) and name not in ("str", "str_", "Symbol"):
        return read(clean(first.text))
    return first


def _interval(brackets: str, arguments: list) -> SetOp:
    if len(arguments) == 4:  # Interval(a, b, left_open, right_open)
        left, right = (getattr(flag, "text", "") == "True" for flag in arguments[2:])
        brackets = ("(" if left else "[") + (")" if right else "]")
    return SetOp("union", [Seq(brackets[0], brackets[1], arguments[:2])])


def _matrix(node) -> Mat:
    if isinstance(node, Mat):
        return node
    if not isinstance(node, Seq):
        return Mat([[node]])
    return Mat([list(item.items) if isinstance(item, Seq) else [item] for item in node.items])
