"""How much a program does, from its syntax tree: McCabe's cyclomatic complexity, and its code lines.

Making the tree means parsing a model's source, which our own process never does: the counting is a program that runs in
the sandbox, with the sources as its inputs (as in canonical.py).
"""

import json
from dataclasses import dataclass
from typing import Any

from caco_recipes.sandbox import Pool

LONGEST = 48 * 1024  # bytes of JSON: the sandbox bounds the values that go in and out

# One way through a program without decisions; one more for every `if`, loop, handler, assertion, `case`, condition of a
# comprehension, and for every further operand of `and` and `or`. Functions add up, as in a script that calls them all.
PROGRAM = """
import ast

DECISIONS = (ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.Assert, ast.match_case)

def measure(source):
    tree = ast.parse(source)
    paths = 1
    hidden = set()
    for node in ast.walk(tree):
        paths += isinstance(node, DECISIONS)
        if isinstance(node, ast.BoolOp):
            paths += len(node.values) - 1
        if isinstance(node, ast.comprehension):
            paths += 1 + len(node.ifs)
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.body:
            first = node.body[0]
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and type(first.value.value) is str:
                hidden.update(range(first.lineno, first.end_lineno + 1))
    lines = 0
    for number, line in enumerate(source.splitlines(), 1):
        text = line.strip()
        lines += bool(text) and not text.startswith("#") and number not in hidden
    return [paths, lines]

input = {"source": ""}
output = measure(**input)
print(output)
"""


@dataclass(frozen=True)
class Complexity:
    """Cyclomatic complexity (1 for a straight line) and code lines (neither blank nor comment nor docstring)."""

    cyclomatic: int
    code_lines: int


def complexities(pool: Pool, codes: list[str]) -> list[Complexity | None]:
    """Each program's measures; None for one that can't be parsed or is too long."""
    texts: dict[int, str] = {}
    for position, code in enumerate(codes):
        text = json.dumps({"source": code})
        if code and len(text) <= LONGEST and _is_plain(code):
            texts[position] = text
    found: list[Complexity | None] = [None] * len(codes)
    for position, result in zip(texts, pool.run_variants(PROGRAM, list(texts.values())), strict=True):
        found[position] = _measured(result)
    return found


def _is_plain(code: str) -> bool:
    try:
        code.encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def _measured(result: Any) -> Complexity | None:
    """What the counting program returned; anything else than two counts is none."""
    value = json.loads(result.output) if result.ok and result.output else None
    if isinstance(value, list) and len(value) == 2 and all(type(item) is int and item >= 0 for item in value):
        return Complexity(*value)
    return None
