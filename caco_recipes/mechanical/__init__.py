"""A program that somebody already wrote for a seed becomes a Code CoT, without a model.

In: the program as it was written: a script that prints, a notebook (cells joined by `# %%`), a script that leaves its
result in `ans`, a function without arguments (`solve`, `solution`), or a function that is called at the end. Out: the
same computation as functions, `input = {...}`, `output = function(**input)`, `print(output)`. Numbers that the program
sets once, before using them, become its inputs. Comments survive: lines are moved, not printed anew.

The result must not change. Whether it did is not taken on trust: `execute` runs what comes out, and the answer is
checked. Seed programs are parsed here (`ast.parse`, capped in size and depth), never compiled or run.

    parsing     source -> syntax tree, with caps; run-on text; `if __name__ == "__main__"`
    script      the statements with their comments, and which of them says the result
    called      scripts that end in a call of a function of their own
    wrapped     scripts whose statements become the body of a new function
    constants   which numbers become inputs
    scopes      which names a statement binds and reads
"""

import ast
import re

from caco_recipes.code_cot import INPUT_LINE, LAST_LINE, OUTPUT_LINE, extract_program
from caco_recipes.mechanical.called import around_call, final_call
from caco_recipes.mechanical.parsing import CannotUnify, parsable, parse, without_main_guard
from caco_recipes.mechanical.scopes import FUNCTIONS, bound
from caco_recipes.mechanical.script import Chunk, Script, assembled, is_print
from caco_recipes.mechanical.wrapped import wrapped

__all__ = ["CannotUnify", "parse", "unify_function", "unify_program"]

CELL = re.compile(r"^# ?%%.*$", re.MULTILINE)
MAGIC = re.compile(r"^[ \t]*[!%][A-Za-z].*$", re.MULTILINE)
LEADING_TABS = re.compile(r"^ *\t[ \t]*", re.MULTILINE)


def unify_program(program: str, problem: str = "") -> str:
    """A seed's program as a Code CoT.

    Args:
        program: the source as written; fences and run-on text behind the program are cut off.
        problem: the seed's problem; a docstring or comment that only repeats it is left out.

    Raises:
        CannotUnify: `syntax_error`, or `bad_row:WHAT` with WHAT one of `program_too_large`, `program_too_deep`,
            `program_without_result`, `program_needs_arguments`, `program_is_dynamic`, `program_reads_stdin`.
    """
    source = _plain_lines(program)
    if "```" in source:
        source = extract_program(source) or source
    if INPUT_LINE.search(source) and OUTPUT_LINE.search(source) and LAST_LINE.search(source):
        parse(source)
        return source.strip("\n") + "\n"
    try:
        script = Script(parsable(MAGIC.sub("", CELL.sub("", source))), problem)
        script.reduce_to_result()
        call = final_call(script)
        return around_call(script, *call) if call else wrapped(script)
    except RecursionError:
        raise CannotUnify("bad_row:program_too_deep") from None


def unify_function(solution: str, function: str, positional: tuple[str, ...], named: dict[str, str]) -> str:
    """A code seed's solution and one call of a function in it as a Code CoT.

    Args:
        solution: the module that defines the function; what it prints and its `__main__` part are left out.
        function: the function that is called.
        positional, named: source texts of the call's arguments.

    Raises:
        CannotUnify: as `unify_program`; `bad_row:tests` when the call does not fit the function's parameters.
    """
    try:
        script = Script(without_main_guard(_plain_lines(solution)), problem="")
    except RecursionError:
        raise CannotUnify("bad_row:program_too_deep") from None
    homes = [chunk.node for chunk in script.chunks if getattr(chunk.node, "name", "") == function]
    if len(homes) != 1 or not isinstance(homes[0], ast.FunctionDef):
        raise CannotUnify("bad_row:tests")
    chunks = [chunk for chunk in script.chunks if not is_print(chunk.node)]
    if {"input", "output"} & set().union(*(bound(chunk.node) for chunk in chunks)):
        raise CannotUnify("bad_row:program_is_dynamic")
    lines = [line for chunk in chunks for line in (*chunk.above, *_without_examples(chunk))]
    parameters = homes[0].args
    names = [parameter.arg for parameter in parameters.args]
    if parameters.vararg or parameters.kwarg or parameters.posonlyargs:
        if named:
            raise CannotUnify("bad_row:tests")
        # A call by keyword can't reach such parameters: a function of one list passes them on.
        lines += ["", "", f"def call_{function}(arguments):", f"    return {function}(*arguments)"]
        return assembled(lines, f"call_{function}", {"arguments": f"[{', '.join(positional)}]"})
    given = dict(zip(names, positional, strict=False)) | named
    required = names[: len(names) - len(parameters.defaults)]
    required += [
        p.arg for p, value in zip(parameters.kwonlyargs, parameters.kw_defaults, strict=True) if value is None
    ]
    known = {*names, *(parameter.arg for parameter in parameters.kwonlyargs)}
    if len(given) < len(positional) + len(named) or not set(required) <= set(given) <= known:
        raise CannotUnify("bad_row:tests")
    return assembled(lines, function, given)


def _without_examples(chunk: Chunk) -> list[str]:
    """A function's lines without the doctests in its docstring, which state what it must answer."""
    lines = list(chunk.lines)
    top = min([chunk.node.lineno, *(d.lineno for d in getattr(chunk.node, "decorator_list", []))])
    # From the last to the first: cutting lines moves those behind them.
    functions = [node for node in ast.walk(chunk.node) if isinstance(node, (*FUNCTIONS, ast.ClassDef))]
    for function in sorted(functions, key=lambda node: -node.lineno):
        first = function.body[0]
        text = first.value.value if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) else None
        if not isinstance(text, str) or ">>>" not in text or len(function.body) < 2:
            continue
        start, end = first.lineno - top, first.end_lineno - top
        example = next(i for i in range(start, end + 1) if ">>>" in lines[i])
        kept = lines[start:example]
        while kept and not kept[-1].strip():
            kept.pop()
        quotes = lines[end].rstrip()[-3:]
        nothing_else = not kept or (len(kept) == 1 and kept[0].strip() in (quotes, "r" + quotes))
        kept = [] if nothing_else else [*kept, f"{' ' * first.col_offset}{quotes}"]
        lines[start : end + 1] = kept
    return lines


def _plain_lines(source: str) -> str:
    """Line ends and indentation in one form."""
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    return LEADING_TABS.sub(lambda found: found[0].expandtabs(4), source)
