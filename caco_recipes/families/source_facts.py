"""What a program does with each of its inputs, read from its source: the source side of domain inference.

The source is a model's, so our own process never parses it: the reading is a program that runs in the sandbox, with the
sources as its inputs. A program that can't be read has no facts, and its domains come from values and names alone.
"""

import json
from dataclasses import dataclass, field
from typing import Any

PROGRAM = '''
import ast
import json

def refers(node, names):
    """The input that an expression is, bare or through int(), float(), len(), abs()."""
    if isinstance(node, ast.Name):
        return names.get(node.id, "")
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant) and isinstance(node.slice.value, str):
        return node.slice.value
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and len(node.args) == 1:
        if node.func.id in ("int", "float", "abs", "round"):
            return refers(node.args[0], names)
    return ""

def constant(node):
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = constant(node.operand)
        return -value if isinstance(value, (int, float)) else None
    if isinstance(node, ast.Constant) and isinstance(node.value, (int, float, str)) and not isinstance(node.value, bool):
        return node.value
    return None

def span_of(tree):
    found = []
    waiting = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "input" for t in node.targets):
            found.append(node.value)
        elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == "input":
            found.append(node.value)
        elif isinstance(node, (ast.If, ast.Try, ast.With, ast.For, ast.While)):
            for name in ("body", "handlers", "orelse", "finalbody"):
                waiting.extend(getattr(node, name, ()))
    if len(found) != 1 or found[0] is None:
        return None, False
    value = found[0]
    try:
        ast.literal_eval(value)
        literal = True
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        literal = False
    return [value.lineno, value.col_offset, value.end_lineno, value.end_col_offset], literal

def facts(source, keys):
    tree = ast.parse(source)
    names = {key: key for key in keys}
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            key = refers(node.value, names)
            if key in names and node.targets[0].id not in names:
                names[node.targets[0].id] = key
    uses = {key: {} for key in keys}
    order, constants = [], []

    def note(key, what, value=True):
        if key in uses:
            if value is True:
                uses[key][what] = True
            elif value is not None and value not in uses[key].setdefault(what, []) and len(uses[key][what]) < 12:
                uses[key][what].append(value)

    def before(low, high):
        if low and high and low != high and low in uses and high in uses and [low, high] not in order:
            order.append([low, high])

    inside = set()
    for node in ast.walk(tree):
        if isinstance(node, (ast.Assign, ast.AnnAssign)):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(t, ast.Name) and t.id == "input" for t in targets) and node.value is not None:
                inside.update(map(id, ast.walk(node.value)))
    for node in ast.walk(tree):
        if isinstance(node, ast.BinOp):
            left, right = refers(node.left, names), refers(node.right, names)
            if isinstance(node.op, (ast.Div, ast.FloorDiv)):
                note(right, "divisor")
            elif isinstance(node.op, ast.Mod):
                note(right, "modulus")
                note(right, "divisor")
            elif isinstance(node.op, ast.Pow):
                note(right, "exponent")
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            left, right = refers(node.left, names), refers(node.comparators[0], names)
            left_value, right_value = constant(node.left), constant(node.comparators[0])
            note(left, "compared", right_value)
            note(right, "compared", left_value)
            if isinstance(node.ops[0], (ast.In, ast.NotIn)) and isinstance(node.comparators[0], (ast.List, ast.Tuple, ast.Set)):
                for item in node.comparators[0].elts:
                    note(left, "compared", constant(item))
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            given = [refers(argument, names) for argument in node.args]
            if name in ("range", "arange"):
                for key in given:
                    note(key, "counted")
                if len(given) > 1:
                    before(given[0], given[1])
            elif name in ("comb", "perm", "binomial") and len(given) > 1:
                before(given[1], given[0])
                note(given[0], "counted")
                note(given[1], "counted")
            elif name in ("factorial", "primerange", "divisors", "factorint", "isprime", "totient", "fibonacci"):
                for key in given:
                    note(key, "counted")
            elif name in ("sqrt", "log", "log10", "log2") and given:
                note(given[0], "positive")
        elif isinstance(node, ast.Subscript):
            note(refers(node.slice, names), "index")
            if isinstance(node.value, ast.Dict):
                for item in node.value.keys:
                    note(refers(node.slice, names), "compared", constant(item))
        if isinstance(node, ast.Constant) and id(node) not in inside and not isinstance(node.value, (bool, str)):
            if isinstance(node.value, (int, float)) and abs(node.value) < 1e15 and node.value not in constants:
                constants.append(node.value)
    span, literal = span_of(tree)
    found = {"span": span, "literal": literal, "uses": uses, "order": order[:20], "constants": constants[:60]}
    return json.dumps(found)

input = {"source": "", "keys": []}
output = facts(**input)
print(output)
'''
LONGEST = 48 * 1024  # characters of JSON: the sandbox bounds the values that go in and out


@dataclass(frozen=True)
class SourceFacts:
    """What is known of a program's source.

    Attributes:
        span: of the value that `input` is set to (line from 1, column in UTF-8 bytes, end line, end column), or None.
        literal: whether `input` is set once, to a literal: handing the same value in is then the same program.
        uses: per input key: `divisor`, `modulus`, `exponent`, `counted`, `positive`, `index`; `compared` holds constants.
        order: pairs of keys of which the program expects the first to be the smaller one.
        constants: numbers in the program outside of `input`.
        fault: how the sandbox failed, when that is why nothing is known; else empty.
    """

    span: tuple[int, int, int, int] | None = None
    literal: bool = False
    uses: dict[str, dict[str, Any]] = field(default_factory=dict)
    order: tuple[tuple[str, str], ...] = ()
    constants: tuple[float, ...] = ()
    fault: str = ""

    def use(self, key: str, what: str) -> bool:
        return bool(self.uses.get(key, {}).get(what))

    def compared(self, key: str) -> list[Any]:
        """Constants that the program compares an input with."""
        return list(self.uses.get(key, {}).get("compared") or [])


UNKNOWN = SourceFacts()


def source_facts(pool: Any, programs: list[tuple[str, list[str]]]) -> list[SourceFacts]:
    """Facts of (source, input keys), in order; `UNKNOWN` for one that can't be read. `pool` is a `sandbox.Pool`.

    Facts with a `fault` are not those of the source: whoever decides about a row by its facts leaves it undecided.
    """
    texts: dict[int, str] = {}
    for position, (code, keys) in enumerate(programs):
        text = json.dumps({"source": code, "keys": keys})
        if code and len(text) <= LONGEST and _encodes(code):
            texts[position] = text
    found = [UNKNOWN] * len(programs)
    for position, result in zip(texts, pool.run_variants(PROGRAM, list(texts.values()))):
        if result.ok:
            found[position] = _read(result.output_text)
        elif result.status == "infrastructure":
            found[position] = SourceFacts(fault=result.reason)
    return found


def _encodes(code: str) -> bool:
    try:
        code.encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def _read(text: str) -> SourceFacts:
    try:
        raw = json.loads(text)
        span = raw["span"]
        return SourceFacts(
            span=tuple(span) if span else None,
            literal=raw["literal"] is True,
            uses={str(key): dict(value) for key, value in raw["uses"].items()},
            order=tuple((str(low), str(high)) for low, high in raw["order"]),
            constants=tuple(raw["constants"]),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return UNKNOWN


def with_input(code: str, facts: SourceFacts, literal: str) -> str | None:
    """The program with another value of `input`, as Python source; None when the place isn't known."""
    if facts.span is None:
        return None
    line, column, end_line, end_column = facts.span
    lines = [line + "\n" for line in code.split("\n")]  # the parser's lines: `splitlines` knows other ends too
    try:
        head = "".join(lines[: line - 1]).encode() + lines[line - 1].encode()[:column]
        tail = lines[end_line - 1].encode()[end_column:] + "".join(lines[end_line:]).encode()
        return (head + literal.encode() + tail).decode().removesuffix("\n")
    except (IndexError, UnicodeError):
        return None
