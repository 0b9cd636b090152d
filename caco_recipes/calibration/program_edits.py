"""Small edits of a program that may change what it computes: another constant, another operator.

Finding them means parsing a model's source, which our own process never does: the finder is a program that runs in the
sandbox, with the sources as its inputs. It returns positions and replacements; the text around them stays byte for
byte, so that comments and layout don't tell a judge which program was changed.
"""

import json
from typing import Any, NamedTuple

from caco_recipes.sandbox import Pool

LONGEST = 48 * 1024  # bytes of JSON: the sandbox bounds the values that go in and out
MOST = 24  # edits of one program

PROGRAM = """
import ast
import random

SWAPS = {
    ast.Add: ("+", "-"), ast.Sub: ("-", "+"), ast.Mult: ("*", "+"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"), ast.Pow: ("**", "*"), ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"), ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"), ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="),
}

def edits(source, seed, most):
    tree = ast.parse(source)
    starts = [0]
    for line in source.splitlines(keepends=True):
        starts.append(starts[-1] + len(line))
    lines = source.splitlines(keepends=True)

    def place(line, column):
        return starts[line - 1] + len(lines[line - 1].encode()[:column].decode())

    found = []
    written = set()
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "input" for t in node.targets):
            written.update(id(inner) for inner in ast.walk(node))
    for node in ast.walk(tree):
        if id(node) in written:
            continue
        if isinstance(node, ast.Constant) and type(node.value) in (int, float):
            start = place(node.lineno, node.col_offset)
            end = place(node.end_lineno, node.end_col_offset)
            step = 1 if type(node.value) is int else 0.5
            found.append(["code_constant", start, end, source[start:end], repr(node.value + step)])
        pairs = []
        if isinstance(node, ast.BinOp):
            pairs = [(node.left, node.op, node.right)]
        elif isinstance(node, ast.Compare) and len(node.ops) == 1:
            pairs = [(node.left, node.ops[0], node.comparators[0])]
        for left, operator, right in pairs:
            if type(operator) not in SWAPS:
                continue
            sign, other = SWAPS[type(operator)]
            start = place(left.end_lineno, left.end_col_offset)
            end = place(right.lineno, right.col_offset)
            at = source.find(sign, start, end)
            # A comment between the operands could hold the sign too.
            if at >= 0 and "#" not in source[start:end]:
                found.append(["code_operator", at, at + len(sign), sign, other])
    random.Random(seed).shuffle(found)
    return found[:most]

input = {"source": "", "seed": "", "most": 1}
output = edits(**input)
print(output)
"""


class Edit(NamedTuple):
    """One change: characters `start` to `end`, which read `old`, become `new`."""

    kind: str
    start: int
    end: int
    old: str
    new: str

    def apply(self, code: str) -> str:
        return code[: self.start] + self.new + code[self.end :]


def program_edits(pool: Pool, programs: list[tuple[str, str]]) -> list[list[Edit]]:
    """Per (program, seed) up to `MOST` edits in a seeded order; none for a program that is too long or doesn't parse."""
    texts: dict[int, str] = {}
    for position, (code, seed) in enumerate(programs):
        text = json.dumps({"source": code, "seed": seed, "most": MOST})
        if code and len(text) <= LONGEST and _is_plain(code):
            texts[position] = text
    found: list[list[Edit]] = [[] for _ in programs]
    for position, result in zip(texts, pool.run_variants(PROGRAM, list(texts.values())), strict=True):
        found[position] = _checked(result, programs[position][0])
    return found


def _is_plain(code: str) -> bool:
    try:
        code.encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def _checked(result: Any, code: str) -> list[Edit]:
    """The edits in a result; whatever is not exactly an edit of this program is left out."""
    if not result.ok or not result.output:
        return []
    value = json.loads(result.output)
    edits = []
    for item in value if isinstance(value, list) else []:
        if isinstance(item, list) and [type(part) for part in item] == [str, int, int, str, str]:
            edit = Edit(*item)
            if 0 <= edit.start < edit.end <= len(code) and code[edit.start : edit.end] == edit.old:
                edits.append(edit)
    return edits
