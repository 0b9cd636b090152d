"""Scripts that end in a call of a function of their own: the call's arguments become the input."""

import ast

from caco_recipes.mechanical.constants import Constant, find_constants, is_literal
from caco_recipes.mechanical.parsing import CannotUnify, shares_lines
from caco_recipes.mechanical.scopes import FUNCTIONS, assigned_name, bound, uses
from caco_recipes.mechanical.script import Chunk, Script, assembled, is_print

DEFINITIONS = (*FUNCTIONS, ast.ClassDef, ast.Import, ast.ImportFrom)
# What may stand between functions in a Code CoT.
PLAIN = (*DEFINITIONS, ast.Assign, ast.AnnAssign)


def final_call(script: Script) -> tuple[Chunk, ast.Call, list[Chunk]] | None:
    """The function that makes the result, its call, and the chunks that are left; None if the script isn't like that."""
    rest = script.chunks[:-1]
    value = script.result
    while isinstance(value, ast.Name) and rest and isinstance(rest[-1].node, ast.Assign):
        if assigned_name(rest[-1].node) != value.id:
            break
        value = rest[-1].node.value
        rest = rest[:-1]
    if not (isinstance(value, ast.Call) and isinstance(value.func, ast.Name)):
        return None
    homes = [chunk for chunk in rest if value.func.id in bound(chunk.node)]
    if len(homes) != 1 or not isinstance(homes[0].node, ast.FunctionDef):
        return None
    parameters = homes[0].node.args
    if parameters.vararg or parameters.kwarg or parameters.posonlyargs or len(value.args) > len(parameters.args):
        return None
    if any(isinstance(a, ast.Starred) for a in value.args) or any(k.arg is None for k in value.keywords):
        return None
    if {"input", "output"} & set().union(*(uses(chunk.node) for chunk in rest)):
        return None  # they would meet the Code CoT's own names
    if not all(isinstance(chunk.node, PLAIN) or is_print(chunk.node) for chunk in rest):
        return None
    return homes[0], value, rest


def around_call(script: Script, home: Chunk, call: ast.Call, rest: list[Chunk]) -> str:
    """The module as it is, with the call's arguments as the input. Raises `CannotUnify`."""
    function = home.node
    given = [*zip((p.arg for p in function.args.args), call.args, strict=False)]
    given += [(keyword.arg, keyword.value) for keyword in call.keywords]
    arguments: dict[str, str] = {}
    for name, value in given:
        arguments[name] = script.text(value)
        setting = _setting(value, rest)
        if setting is not None:
            arguments[name] = script.text(setting.node.value)
            others = [chunk for chunk in rest if chunk is not setting]
            mentions = sum(isinstance(v, ast.Name) and v.id == value.id for _, v in given)
            if mentions == 1 and not any(value.id in uses(chunk.node) for chunk in others):
                rest = others
    lines = home.lines
    if not given and not function.args.args and not function.args.kwonlyargs and not _is_called(function.name, rest):
        lines, arguments = _with_parameters(script, home)
    lines = _without_repeated_docstring(script, home, lines)
    module: list[str] = []
    for chunk in rest:
        if not is_print(chunk.node):
            module += [*chunk.above, *(lines if chunk is home else chunk.lines)]
    return assembled(module, function.name, arguments)


def _setting(value: ast.expr, rest: list[Chunk]) -> Chunk | None:
    """The one statement that sets a variable to a literal, if an argument is such a variable."""
    if not isinstance(value, ast.Name):
        return None
    found = [chunk for chunk in rest if value.id in bound(chunk.node)]
    if len(found) != 1 or not isinstance(found[0].node, ast.Assign) or not is_literal(found[0].node.value):
        return None
    return found[0] if assigned_name(found[0].node) == value.id else None


def _is_called(name: str, chunks: list[Chunk]) -> bool:
    return any(isinstance(n, ast.Name) and n.id == name for chunk in chunks for n in ast.walk(chunk.node))


def _with_parameters(script: Script, home: Chunk) -> tuple[list[str], dict[str, str]]:
    """The function's lines with its constants as parameters, and the constants' source texts."""
    function = home.node
    if function.body[0].lineno == function.lineno or shares_lines(function):
        return home.lines, {}
    result = function.body[-1].value if isinstance(function.body[-1], ast.Return) else None
    constants = find_constants(function.body, result)
    if not constants:
        return home.lines, {}
    top = min([function.lineno, *(d.lineno for d in function.decorator_list)])
    lines: list[str | None] = list(home.lines)
    for constant in constants.values():
        start, end = constant.statement.lineno - top, constant.statement.end_lineno - top
        if lines[start] is not None:
            lines[start : end + 1] = [left_of(constant, home.lines[end]), *([None] * (end - start))]
    returns = f" -> {ast.unparse(function.returns)}" if function.returns else ""
    first = function.lineno - top
    last = function.body[0].lineno - top
    while last > first + 1 and not home.lines[last - 1].rstrip().endswith(":"):
        last -= 1  # comments between the signature and the body
    lines[first:last] = [f"def {function.name}({', '.join(constants)}){returns}:", *([None] * (last - first - 1))]
    if not any(line and line.strip() and not line.strip().startswith("#") for line in lines[last:]):
        raise CannotUnify("bad_row:program_without_result")
    return [line for line in lines if line is not None], {k: script.text(c.value) for k, c in constants.items()}


def left_of(constant: Constant, line: str) -> str | None:
    """What stays of a statement that became an input: the maker's call, or the remark behind it as a line of its own.

    `line` is the statement's last line as written.
    """
    indent = " " * constant.statement.col_offset
    remark = line.encode()[constant.statement.end_col_offset :].decode().strip()
    if constant.stays:
        return f"{indent}{constant.stays}{'  ' + remark if remark.startswith('#') else ''}"
    if not remark.startswith("#") or not remark.strip("# "):
        return None
    return f"{indent}# {', '.join(sorted(bound(constant.statement)))}: {remark.lstrip('# ')}"


def _without_repeated_docstring(script: Script, home: Chunk, lines: list[str]) -> list[str]:
    first = home.node.body[0]
    if len(home.node.body) < 2 or not (isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)):
        return lines
    if not isinstance(first.value.value, str) or not script.repeats_problem(first.value.value):
        return lines
    top = min([home.node.lineno, *(d.lineno for d in home.node.decorator_list)])
    docstring = home.lines[first.lineno - top : first.end_lineno - top + 1]
    for start in range(len(lines) - len(docstring) + 1):
        if lines[start : start + len(docstring)] == docstring:
            return lines[:start] + lines[start + len(docstring) :]
    return lines
