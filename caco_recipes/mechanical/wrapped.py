"""Scripts of plain statements: they become the body of a new function.

A module and a function treat names differently. A helper that reads the script's variables moves inside with them; an
import whose name the script binds again moves inside; `global x` becomes `nonlocal x`; and a name that a script reads
before it binds it (`max = max(a, b)`) is imported inside first, because a function would find it unbound.
"""

import ast
import builtins
import re

from caco_recipes.mechanical.called import left_of
from caco_recipes.mechanical.constants import find_constants
from caco_recipes.mechanical.parsing import CannotUnify, parse, string_lines
from caco_recipes.mechanical.scopes import FUNCTIONS, bound, loads_now, uses
from caco_recipes.mechanical.script import Chunk, Script, assembled, is_print

# The new function's name is the first of these that the program does not use: a program may import `solve`.
NAMES = ("solution", "compute_answer", "solve_problem", "answer_of_problem", "code_cot_solution")
BUILTINS = frozenset(dir(builtins))
DEFINITIONS = (*FUNCTIONS, ast.ClassDef)
IMPORTS = (ast.Import, ast.ImportFrom)
CERTAIN = (
    ast.Assign,
    ast.AnnAssign,
    ast.AugAssign,
    ast.Expr,
    *IMPORTS,
)  # they bind their names whenever they are reached


def wrapped(script: Script) -> str:
    """The Code CoT of a script whose statements are the computation. Raises `CannotUnify`."""
    chunks, last = script.chunks[:-1], script.chunks[-1]
    made = set().union(*(bound(c.node) for c in [*chunks, last] if not isinstance(c.node, (*DEFINITIONS, *IMPORTS))))
    outside = _independent([c for c in chunks if isinstance(c.node, DEFINITIONS)], made)
    inner = made | {c.node.name for c in chunks if isinstance(c.node, DEFINITIONS) and c not in outside}
    top, body, stars = [], [], []
    for chunk in chunks:
        if isinstance(chunk.node, IMPORTS):
            star = any(alias.name == "*" for alias in chunk.node.names)
            stars += [chunk.node.module] if star else []
            (top if star or not bound(chunk.node) & inner else body).append(chunk)
        elif chunk in outside:
            top.append(chunk)
        elif not _is_idle(chunk.node):
            body.append(_nonlocal(chunk, made))
    constants = find_constants([chunk.node for chunk in body], script.result)
    constants = {name: c for name, c in constants.items() if not any(name in uses(chunk.node) for chunk in top)}
    taken = {id(constant.statement): constant for constant in constants.values()}
    lines = _borrowed([*body, last], inner - set(constants), stars)
    for chunk in body:
        constant = taken.get(id(chunk.node))
        lines += chunk.above
        lines += chunk.lines if constant is None else [left_of(constant, chunk.lines[-1])]
    lines = [line for line in lines if line is not None]
    lines += [*last.above, f"return {script.text(script.result)}"]
    name = _free_name(script)
    module = [line for chunk in top for line in (*chunk.above, *chunk.lines)]
    module += ["", f"def {name}({', '.join(constants)}):", *_indented(lines)]
    return assembled(module, name, {key: script.text(constant.value) for key, constant in constants.items()})


def _independent(definitions: list[Chunk], made: set[str]) -> list[Chunk]:
    """The definitions that mention nothing of what the script makes, directly or through one another."""
    outside = [c for c in definitions if c.node.name not in made and not uses(c.node) & made]
    while True:
        inside = {c.node.name for c in definitions if c not in outside}
        kept = [c for c in outside if not uses(c.node) & inside and c.node.name not in inside]
        if len(kept) == len(outside):
            return kept
        outside = kept


def _is_idle(node: ast.stmt) -> bool:
    """A print or a bare expression between the steps shows something and does nothing."""
    if isinstance(node, ast.Expr):
        shown = node.value.args if is_print(node) else [node.value]
        return not any(isinstance(n, ast.Call | ast.NamedExpr) for value in shown for n in ast.walk(value))
    return isinstance(node, ast.Global)


def _nonlocal(chunk: Chunk, made: set[str]) -> Chunk:
    """`global x` in a function that has moved inside another one means the outer function's x now."""
    declared = {name for n in ast.walk(chunk.node) if isinstance(n, ast.Global) for name in n.names}
    if not declared:
        return chunk
    if not declared <= made or isinstance(chunk.node, ast.ClassDef) or not isinstance(chunk.node, FUNCTIONS):
        raise CannotUnify("bad_row:program_is_dynamic")
    return Chunk(chunk.node, chunk.above, [re.sub(r"^(\s*)global\b", r"\1nonlocal", line) for line in chunk.lines])


def _borrowed(chunks: list[Chunk], local: set[str], stars: list[str]) -> list[str]:
    """Imports for names that the script may read before it binds them.

    An import too many does no harm, so a statement that may be skipped (a branch, a loop) does not count as binding.
    """
    borrowed: list[str] = []
    certain: set[str] = set()
    for chunk in chunks:
        plain = isinstance(chunk.node, CERTAIN)
        read = loads_now(chunk.node) if plain else uses(chunk.node)
        for name in sorted(read & local - certain):
            if name in BUILTINS:
                borrowed.append(f"from builtins import {name}")
            elif len(stars) == 1 and name in loads_now(chunk.node):
                borrowed.append(f"from {stars[0]} import {name}")
        certain |= read | (bound(chunk.node) if plain or isinstance(chunk.node, DEFINITIONS) else set())
    return borrowed


def _free_name(script: Script) -> str:
    names = script.names.union(*(uses(chunk.node) | bound(chunk.node) for chunk in script.chunks))
    free = [name for name in NAMES if name not in names]
    if not free:
        raise CannotUnify("bad_row:program_is_dynamic")
    return free[0]


def _indented(lines: list[str]) -> list[str]:
    """The lines four columns in, except those that begin inside a string."""
    lines = "\n".join(lines).split("\n")
    inside = string_lines(parse("\n".join(["def f():", *(" " + line for line in lines)])))
    return [
        line if number in inside or not line.strip() else "    " + line for number, line in enumerate(lines, start=2)
    ]
