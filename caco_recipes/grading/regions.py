"""Sets of real numbers: intervals, unions and inequalities in one form, compared by their ends."""

import math

from caco_recipes.grading.evaluate import real_value, same_value
from caco_recipes.grading.syntax import App, Num, Rel, Seq, SetOp, Sym

_ZERO = Num(0)
_INFINITY = Sym("oo")
_MINUS_INFINITY = App("neg", [_INFINITY])
_FLIP = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}


class Piece:
    """One interval: its ends as trees and as doubles, and which ends belong to it."""

    __slots__ = ("a", "b", "closed_high", "closed_low", "high", "low")

    def __init__(self, low, high, closed_low: bool, closed_high: bool):
        self.low, self.high = low, high
        a, b = real_value(low), real_value(high)
        if a is None or b is None:
            raise ValueError("an end isn't a real number")
        self.a, self.b = a, b
        self.closed_low = closed_low and a > -math.inf
        self.closed_high = closed_high and b < math.inf


def is_infinite(node) -> bool:
    return (
        node == _INFINITY
        or node == _MINUS_INFINITY
        or (isinstance(node, App) and node.op == "+" and node.args == [_INFINITY])
    )


def region(node, loose: bool = False) -> list[Piece] | None:
    """The set of reals that a tree stands for, as sorted disjoint pieces; None if it isn't one.

    A pair of equal brackets is read as an interval only if `loose`, for `(a, b)` may be a point.
    """
    try:
        pieces = _pieces(node, loose)
    except (ValueError, OverflowError):
        return None
    return None if pieces is None else _merge(pieces)


def _pieces(node, loose: bool) -> list[Piece] | None:
    if (
        isinstance(node, Rel)
        and node.ops == ["="]
        and _is_name(node.sides[0])
        and isinstance(node.sides[1], Seq | SetOp)
    ):
        node = node.sides[1]  # "x = [1, 2)", as textbooks have it
    if isinstance(node, Seq):
        if node.open == "(" and node.items and all(_is_condition(item) for item in node.items):
            return _combined(node.items)
        if node.open in ("(", "[") and node.close in (")", "]") and len(node.items) == 2:
            low, high = node.items
            mixed = (node.open == "(") != (node.close == ")")
            if not (mixed or loose or is_infinite(low) or is_infinite(high)):
                return None
            piece = Piece(low, high, node.open == "[", node.close == "]")
            if piece.a > piece.b:
                return None
            return [piece]
        if node.open == "" and loose and len(node.items) == 1:
            return _pieces(node.items[0], loose)
        if node.open == "\\{" and loose:
            return [Piece(item, item, True, True) for item in node.items]
        if node.open == "" and node.items and all(isinstance(item, Rel | Seq | SetOp) for item in node.items):
            return _combined(node.items)
        return None
    if isinstance(node, SetOp):
        parts = [_pieces(arg, True) for arg in node.args]
        if any(part is None for part in parts):
            return None
        if node.op == "union":
            return [piece for part in parts for piece in part]
        if node.op == "minus":
            return _intersect(_merge(parts[0]), _complement(_merge([p for part in parts[1:] for p in part])))
        result = parts[0]
        for part in parts[1:]:
            result = _intersect(_merge(result), _merge(part))
        return result
    if isinstance(node, Sym) and node.name == "set R":
        return [Piece(_MINUS_INFINITY, _INFINITY, False, False)]
    if isinstance(node, Rel):
        return _relation(node)
    return None


def _relation(node: Rel) -> list[Piece] | None:
    if len(node.ops) == 1:
        left, right, op = node.sides[0], node.sides[1], node.ops[0]
        if op == "in" and _is_name(left):
            return _pieces(right, True)
        if op == "notin" and _is_name(left):
            inner = _pieces(right, True)
            return None if inner is None else _complement(_merge(inner))
        if op == "!=" and _is_name(left):
            values = right.items if isinstance(right, Seq) and right.open in ("", "\\{") else [right]
            return _complement(_merge([Piece(value, value, True, True) for value in values]))
        if op not in _FLIP:
            return None
        if _is_name(right) and not _is_name(left):
            left, right, op = right, left, _FLIP[op]
        if isinstance(left, App) and left.op == "abs" and _is_name(left.args[0]):
            inside = Piece(App("neg", [right]), right, "=" in op, "=" in op)
            if op in ("<", "<="):
                return [inside]
            flipped = Piece(App("neg", [right]), right, "=" not in op, "=" not in op)
            return _complement([flipped])
        if not _is_name(left):
            return None
        if op in ("<", "<="):
            return [Piece(_MINUS_INFINITY, right, False, op == "<=")]
        return [Piece(right, _INFINITY, op == ">=", False)]
    if len(node.ops) == 2 and node.ops[0][0] == node.ops[1][0] and node.ops[0] in _FLIP and node.ops[1] in _FLIP:
        low, middle, high = node.sides
        first, second = node.ops
        if first[0] == ">":
            low, high, first, second = high, low, _FLIP[second], _FLIP[first]
        piece = Piece(low, high, first == "<=", second == "<=")
        if isinstance(middle, App) and middle.op == "abs" and _is_name(middle.args[0]) and piece.a >= 0:
            mirrored = Piece(App("neg", [high]), App("neg", [low]), second == "<=", first == "<=")
            return [mirrored, piece]
        return [piece] if _is_name(middle) else None
    return None


def _is_condition(node) -> bool:
    """`(x < 3)`, `((0 < x) & (x < 1))` as sympy prints them."""
    return isinstance(node, Rel) or (
        isinstance(node, Seq)
        and node.open == "("
        and bool(node.items)
        and all(_is_condition(item) for item in node.items)
    )


def _combined(items: list) -> list[Piece] | None:
    """Several conditions side by side: unions if they are disjoint ("x < 1 or x > 2"), else what they have in common."""
    parts = []
    for item in items:
        part = _pieces(item, False)
        if part is None:
            return None
        parts.append(_merge(part))
    common = parts[0]
    for part in parts[1:]:
        common = _intersect(common, part)
    return common or [piece for part in parts for piece in part]


def _is_name(node) -> bool:
    """A quantity's name: a symbol, or a function of symbols such as f(x)."""
    if isinstance(node, Sym):
        return node.name not in ("oo", "pi", "e", "i") and not node.name.startswith("set ")
    if isinstance(node, App) and node.op == "*" and len(node.args) == 2:
        return (
            all(_is_name(arg) for arg in node.args)
            and isinstance(node.args[0], Sym)
            and node.args[0].name in "fghFGHpPqQ"
        )
    return False


def _merge(pieces: list[Piece]) -> list[Piece]:
    ordered = sorted(pieces, key=lambda p: (p.a, not p.closed_low, p.b))
    merged: list[Piece] = []
    for piece in ordered:
        if piece.a == piece.b and not (piece.closed_low and piece.closed_high):
            continue
        if merged:
            last = merged[-1]
            if piece.a < last.b or (piece.a == last.b and (piece.closed_low or last.closed_high)):
                if piece.b > last.b:
                    merged[-1] = _piece(last.low, piece.high, last.a, piece.b, last.closed_low, piece.closed_high)
                elif piece.b == last.b and piece.closed_high:
                    merged[-1] = _piece(last.low, last.high, last.a, last.b, last.closed_low, True)
                continue
        merged.append(piece)
    return merged


def _piece(low, high, a, b, closed_low, closed_high) -> Piece:
    piece = Piece.__new__(Piece)
    piece.low, piece.high, piece.a, piece.b = low, high, a, b
    piece.closed_low, piece.closed_high = closed_low, closed_high
    return piece


def _complement(pieces: list[Piece]) -> list[Piece]:
    low, a, closed = _MINUS_INFINITY, -math.inf, False
    result = []
    for piece in pieces:
        if piece.a > a or (piece.a == a and closed and not piece.closed_low):
            result.append(_piece(low, piece.low, a, piece.a, closed, not piece.closed_low and piece.a > -math.inf))
        low, a, closed = piece.high, piece.b, not piece.closed_high
    if a < math.inf:
        result.append(_piece(low, _INFINITY, a, math.inf, closed, False))
    return result


def _intersect(left: list[Piece], right: list[Piece]) -> list[Piece]:
    result = []
    for p in left:
        for q in right:
            low = p if (p.a, not p.closed_low) >= (q.a, not q.closed_low) else q
            high = p if (p.b, p.closed_high) <= (q.b, q.closed_high) else q
            if low.a < high.b or (low.a == high.b and low.closed_low and high.closed_high):
                result.append(_piece(low.low, high.high, low.a, high.b, low.closed_low, high.closed_high))
    return result


def same_region(left: list[Piece], right: list[Piece]) -> bool | None:
    """Same pieces: brackets exactly, ends as values."""
    if len(left) != len(right):
        return False
    for p, q in zip(left, right, strict=True):
        if (p.closed_low, p.closed_high) != (q.closed_low, q.closed_high):
            return False
        for a, b, low, high in ((p.a, q.a, p.low, q.low), (p.b, q.b, p.high, q.high)):
            if math.isinf(a) or math.isinf(b):
                if a != b:
                    return False
            else:
                same = same_value(low, high)
                if not same:
                    return same
    return True
