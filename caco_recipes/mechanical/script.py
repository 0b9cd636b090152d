"""A seed program as statements with their comments, and the statement that says what its result is."""

import ast
import re
from dataclasses import dataclass

from caco_recipes.code_cot import input_lines
from caco_recipes.identity import fold_whitespace
from caco_recipes.mechanical.parsing import (
    CannotUnify,
    has_main_guard,
    inline_main_guard,
    parse,
    shares_lines,
)
from caco_recipes.mechanical.scopes import FUNCTIONS, assigned_name, bound

RESULT_NAMES = ("ans", "answer", "result", "final_answer", "output", "solution")
ENTRY_NAMES = ("solve", "solution", "solver", "main", "answer", "compute")
DYNAMIC = frozenset(("exec", "eval", "globals", "locals", "vars", "compile", "__import__", "get_ipython"))
LABEL = re.compile(r"(?:^|[\w)\s])(?:[:=]|\bis|\bare)\s*\$?$", re.IGNORECASE)
SHORTEST_REPETITION = 30  # characters of a comment that only repeats the problem


@dataclass
class Chunk:
    """One top-level statement with the comment and blank lines above it."""

    node: ast.stmt
    above: list[str]
    lines: list[str]


class Script:
    """A parsed seed program. `chunks` are its statements; after `reduce_to_result` the last one is the result."""

    def __init__(self, source: str, problem: str) -> None:
        self.problem = fold_whitespace(problem)
        tree = parse(source)
        if has_main_guard(tree):
            source = inline_main_guard(source, tree)
            tree = parse(source)
        if shares_lines(tree):
            source = ast.unparse(tree)
            tree = parse(source)
        self.source = source
        self.names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        if self.names & DYNAMIC:
            raise CannotUnify("bad_row:program_is_dynamic")
        if any(_calls(node, "input") for node in ast.walk(tree)):
            raise CannotUnify("bad_row:program_reads_stdin")
        self.chunks = self._split(tree)

    @property
    def result(self) -> ast.expr:
        """The expression that is the result, after `reduce_to_result`."""
        return self.chunks[-1].node.value

    def text(self, node: ast.expr) -> str:
        """The source of an expression in one line, as written where that is possible."""
        segment = ast.get_source_segment(self.source, node) if hasattr(node, "end_lineno") else None
        return segment if segment and "\n" not in segment else ast.unparse(node)

    def repeats_problem(self, text: str) -> bool:
        """Whether a docstring or a comment says nothing but the problem."""
        words = fold_whitespace(text)
        if len(words) < SHORTEST_REPETITION or not self.problem:
            return False
        return words in self.problem or self.problem[:60] in words

    def reduce_to_result(self) -> None:
        """Makes the last chunk an expression statement whose value is the result. Raises `CannotUnify`.

        The result is what the last print shows; without one, the last bare expression (notebooks) or the variable that
        is assigned last or called `ans`; and without those, what the function gives that is there to be called.
        """
        while self.chunks and _is_exit(self.chunks[-1].node):
            self.chunks.pop()
        if not self._ends_in_result():
            self._call_entry()

    def _split(self, tree: ast.Module) -> list[Chunk]:
        lines = self.source.split("\n")
        chunks, position = [], 0
        for node in tree.body:
            start = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))]) - 1
            chunks.append(Chunk(node, self._comments(lines[position:start]), lines[start : node.end_lineno]))
            position = node.end_lineno
        first = chunks[0].node if chunks else None
        if (
            isinstance(first, ast.Expr)
            and isinstance(first.value, ast.Constant)
            and isinstance(first.value.value, str)
        ):
            del chunks[0]  # a module docstring describes the file it came from
        return chunks

    def _comments(self, lines: list[str]) -> list[str]:
        """Comment lines that don't just repeat the problem; runs of blank lines become one."""
        kept: list[str] = []
        for line in lines:
            blank = not line.strip()
            if not self.repeats_problem(line.lstrip("# \t")) and not (blank and kept and not kept[-1].strip()):
                kept.append(line)
        return kept

    def _ends_in_result(self) -> bool:
        while self.chunks and is_print(self.chunks[-1].node) and not self.chunks[-1].node.value.args:
            self.chunks.pop()
        if not self.chunks:
            return False
        node = self.chunks[-1].node
        if is_print(node):
            node.value = printed(node.value)
            return True
        if isinstance(node, ast.Expr) and not isinstance(node.value, ast.Constant):
            self._return_what_is_printed(node.value)
            return True
        last_print = max((i for i, chunk in enumerate(self.chunks) if is_print(chunk.node)), default=-1)
        for i in range(len(self.chunks) - 1, last_print, -1):
            name = assigned_name(self.chunks[i].node)
            if name in RESULT_NAMES or (name and i == len(self.chunks) - 1):
                self._append_result(ast.Name(name, ast.Load()))
                return True
        if last_print >= 0:  # statements behind the last print can't change what it printed
            del self.chunks[last_print + 1 :]
            return self._ends_in_result()
        statements = [chunk.node for chunk in self.chunks if not isinstance(chunk.node, FUNCTIONS)]
        names = set().union(*map(bound, statements))
        for name in RESULT_NAMES:
            if name in names:  # assigned in a loop or a branch
                self._append_result(ast.Name(name, ast.Load()))
                return True
        return False

    def _append_result(self, value: ast.expr) -> None:
        self.chunks.append(Chunk(ast.Expr(value), [], []))

    def _return_what_is_printed(self, call: ast.expr) -> None:
        """`main()` at the end, where main prints its result and returns nothing: its last print becomes a return."""
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Name)):
            return
        for chunk in self.chunks:
            function = chunk.node
            if not isinstance(function, ast.FunctionDef) or function.name != call.func.id:
                continue
            if _returns(function):
                return
            last = function.body[-1]
            if not is_print(last) or not last.value.args:
                raise CannotUnify("bad_row:program_without_result")
            value = printed(last.value)
            top = min([function.lineno, *(d.lineno for d in function.decorator_list)])
            returned = f"{' ' * last.col_offset}return {self.text(value)}"
            chunk.lines[last.lineno - top : last.end_lineno - top + 1] = [returned]
            function.body[-1] = ast.copy_location(ast.Return(value), last)

    def _call_entry(self) -> None:
        """No statement gives a result: call the function that is there to be called."""
        functions = [chunk.node for chunk in self.chunks if isinstance(chunk.node, ast.FunctionDef)]
        named = [function for function in functions if function.name in ENTRY_NAMES]
        if not functions or not _returns(function := (named or functions)[-1]):
            raise CannotUnify("bad_row:program_without_result")
        arguments = function.args
        if len(arguments.args) + len(arguments.posonlyargs) > len(arguments.defaults) or None in arguments.kw_defaults:
            raise CannotUnify("bad_row:program_needs_arguments")
        self._append_result(ast.Call(ast.Name(function.name, ast.Load()), [], []))


def assembled(module: list[str], function: str, arguments: dict[str, str]) -> str:
    """The Code CoT: the module's lines, the input, the call and the print. Raises `CannotUnify` if it doesn't parse."""
    text = "\n".join(module).strip("\n")
    lines = [text, "", *input_lines(arguments), f"output = {function}(**input)", "print(output)"]
    code = "\n".join(lines) + "\n"
    parse(code)
    return code


def is_print(node: ast.stmt) -> bool:
    """Whether a statement is a call of print."""
    return isinstance(node, ast.Expr) and _calls(node.value, "print")


def printed(call: ast.Call) -> ast.expr:
    """The value that a print shows: its labels are not part of it."""
    if any(isinstance(argument, ast.Starred) for argument in call.args):
        return ast.Tuple(call.args, ast.Load())
    values = [a for a in call.args if not (isinstance(a, ast.Constant) and isinstance(a.value, str))] or call.args
    if len(values) > 1:
        return ast.Tuple(values, ast.Load())
    value = values[0]
    if isinstance(value, ast.JoinedStr):
        parts = value.values
        slots = [part for part in parts if isinstance(part, ast.FormattedValue)]
        labelled = len(parts) == 2 and isinstance(parts[0], ast.Constant) and LABEL.search(parts[0].value)
        if len(slots) == 1 and (len(parts) == 1 or labelled):
            plain = slots[0].format_spec is None and slots[0].conversion == -1
            return slots[0].value if plain else ast.JoinedStr(slots)
    return value


def _returns(function: ast.FunctionDef) -> bool:
    return any(isinstance(node, ast.Return) and node.value is not None for node in ast.walk(function))


def _calls(node: ast.AST, name: str) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name


def _is_exit(node: ast.stmt) -> bool:
    if not isinstance(node, ast.Expr) or not isinstance(node.value, ast.Call):
        return False
    return ast.unparse(node.value.func) in ("exit", "quit", "sys.exit")
