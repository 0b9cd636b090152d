"""Comparison of equations, inequalities and assignments: `x = 5`, `p = 5, q = 2`, `2x + 4y = 6`, `0 < x \\le 3`."""

from caco_recipes.grading import structure
from caco_recipes.grading.evaluate import proportional, same_value
from caco_recipes.grading.exact import NoValue, symbols
from caco_recipes.grading.forms import is_application, is_name, mentions, settle
from caco_recipes.grading.regions import region, same_region
from caco_recipes.grading.syntax import App, Mat, Rel, Seq, Sym, Text


def _assignment(node) -> tuple | None:
    """(name, value) of `x = 5`."""
    if isinstance(node, Rel) and node.ops == ["="] and is_name(node.sides[0]):
        return node.sides[0], node.sides[1]
    return None


def records(node: Seq) -> list[list[tuple]] | None:
    """`p = 5, q = 2; p = 7, q = 2` → two records of (name, value); a record ends where a name comes again."""
    if not node.items:
        return None
    if all(isinstance(item, Seq) and item.open != "" for item in node.items):
        inner = [records(item) for item in node.items]
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
    found: list[list[tuple]] = [[]]
    for pair in pairs:
        if any(pair[0] == name for name, _ in found[-1]):
            found.append([])
        found[-1].append(pair)
    return found


def same_records(a: Seq, b: Seq, records_a, records_b, policy: str, depth: int) -> bool | None:
    if records_a is not None and records_b is not None:
        bases = {_base(name) for record in records_a for name, _ in record}
        if (
            len(bases) == 1
            and bases == {_base(name) for record in records_b for name, _ in record}
            and _numbered(a, b)
        ):
            values = [[value for record in found for _, value in record] for found in (records_a, records_b)]
            return structure.unordered(*values, policy, depth)  # x = 1, 2 and x_1 = 1, x_2 = 2
        if len(records_a) != len(records_b):
            return False
        names = {str(name) for record in records_a for name, _ in record}
        if len(names) == 1 and len({str(n) for record in records_b for n, _ in record}) == 1:
            if not _same_name(records_a[0][0][0], records_b[0][0][0]):
                return False
            return structure.unordered([r[0][1] for r in records_a], [r[0][1] for r in records_b], policy, depth)
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
            structure.compare(settle(y), settle(x), policy, depth + 1)
            if flipped
            else structure.compare(settle(x), settle(y), policy, depth + 1)
        )

    if all(len(record) == 1 for record in records):
        values = Seq("", "", [record[0][1] for record in records])
        return pair(values, other)
    if len(records) == 1:
        values = [value for _, value in records[0]]
        if len(other.items) == 1 and isinstance(other.items[0], Seq):
            other = other.items[0]
        return len(values) == len(other.items) and structure.every(
            pair(x, y) for x, y in zip(values, other.items, strict=True)
        )
    tuples = Seq("", "", [Seq("(", ")", [value for _, value in record]) for record in records])
    return pair(tuples, other)


def _base(name) -> str:
    """`x` of `x_2`."""
    return name.name.partition("_")[0] if isinstance(name, Sym) else str(name)


def _numbered(a: Seq, b: Seq) -> bool:
    """Whether one side numbers its values (x_1, x_2) and the other doesn't."""
    first, second = (
        {name.name for item in side.items if (pair := _assignment(item)) and isinstance(name := pair[0], Sym)}
        for side in (a, b)
    )
    return (len(first) == 1) != (len(second) == 1) and all("_" in name for name in max(first, second, key=len))


def _same_record(left: list, right: list, policy: str, depth: int) -> bool:
    if len(left) != len(right):
        return False
    free = list(right)
    for name, value in left:
        for i, (other, candidate) in enumerate(free):
            if _same_name(name, other) and structure.compare(settle(value), settle(candidate), policy, depth + 1):
                del free[i]
                break
        else:
            return False
    return True


def _label(node) -> str:
    return node.name if isinstance(node, Sym) else node.text


def _is_variable(node) -> bool:
    """The `x` of `f(x)`, which may have any name; P(A) and f(2) say more."""
    return isinstance(node, Sym) and len(node.name) == 1 and node.name.islower()


def _same_name(a, b) -> bool:
    if isinstance(a, Text | Sym) and isinstance(b, Text | Sym):
        return _label(a) == _label(b)
    if a == b:
        return True
    if isinstance(a, App) and isinstance(b, App) and is_application(a) and is_application(b):
        if a.args[0] != b.args[0]:
            return False
        return (_is_variable(a.args[1]) and _is_variable(b.args[1])) or same_value(a.args[1], b.args[1]) is True
    for one, other in ((a, b), (b, a)):  # y and f(x) both stand for the function
        if isinstance(one, Sym) and isinstance(other, App) and is_application(other):
            return one.name in ("y", "z", "w", "f") or (
                isinstance(other.args[0], Sym) and other.args[0].name == one.name
            )
    return False


def same_relations(a, b, policy: str, depth: int) -> bool | None:
    if isinstance(a, Rel) and isinstance(b, Rel):
        return _two_relations(a, b, policy, depth)
    relation, other, flipped = (a, b, False) if isinstance(a, Rel) else (b, a, True)
    pair = _assignment(relation)
    if pair is not None:
        name, value = pair
        if isinstance(name, Seq) and isinstance(other, Seq) and records(other) is not None:
            value = Seq(
                "", "", [Rel(["="], [n, v]) for n, v in zip(name.items, getattr(value, "items", []), strict=False)]
            )
        if isinstance(other, Seq) and isinstance(name, Seq) and other.open == "":
            pass
        value = settle(value)
        return (
            structure.compare(other, value, policy, depth + 1)
            if flipped
            else structure.compare(value, other, policy, depth + 1)
        )
    left, right = region(relation), region(other, True)
    if left is not None and right is not None:
        return same_region(left, right)
    if isinstance(other, Seq) and len(other.items) == 1:
        return (
            structure.compare(other.items[0], relation, policy, depth + 1)
            if flipped
            else structure.compare(relation, other.items[0], policy, depth + 1)
        )
    if relation.ops == ["in"]:
        return (
            structure.compare(other, relation.sides[1], policy, depth + 1)
            if flipped
            else structure.compare(relation.sides[1], other, policy, depth + 1)
        )
    return False


def _two_relations(a: Rel, b: Rel, policy: str, depth: int) -> bool | None:
    first, second = _assignment(a), _assignment(b)
    if first and second and _same_name(first[0], second[0]):
        if isinstance(first[0], App) and isinstance(second[0], App) and first[0] != second[0]:
            x, t = first[0].args[1], second[0].args[1]
            if _is_variable(x) and _is_variable(t):  # f(x) = x² and f(t) = t²
                if mentions(second[1], x.name):
                    return False
                second = (first[0], structure.rename(second[1], t.name, x.name))
        verdict = structure.compare(settle(first[1]), settle(second[1]), policy, depth + 1)
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
            verdict = structure.every(
                structure.compare(settle(x), settle(y), policy, depth + 1)
                for x, y in zip(a.sides, candidate.sides, strict=True)
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
            return (
                structure.compare(settle(a.sides[1]), settle(b.sides[1]), "exact", 2)
                if a.sides[0] == b.sides[0]
                else False
            )
        left, right = region(a), region(b)
        return same_region(left, right) if left is not None and right is not None else False
    try:
        left = App("+", [a.sides[0], App("neg", [a.sides[1]])])
        right = App("+", [b.sides[0], App("neg", [b.sides[1]])])
        symbols(left), symbols(right)
    except NoValue:
        if op_a != op_b:
            return False
        return structure.every(
            structure.compare(settle(x), settle(y), "exact", 2) for x, y in zip(a.sides, b.sides, strict=True)
        )
    factor = proportional(left, right)
    if factor is None:
        if op_a == op_b == "=":
            swapped = structure.every(same_value(x, y) for x, y in zip(a.sides, reversed(b.sides), strict=True))
            return True if swapped else _squared_forms(left, right)
        return False
    if op_a in ("=", "!=") or op_b in ("=", "!="):
        return op_a == op_b
    swap = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
    return op_a == (op_b if factor > 0 else swap.get(op_b))


def _squared_forms(left, right) -> bool | None:
    """Equations that differ by a denominator (x²/a = 1 against x² = a) are proportional; anything else isn't decided here."""
    return False
