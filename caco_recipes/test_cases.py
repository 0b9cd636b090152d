"""Test cases of code seeds: which call a test makes, and which answer it expects.

In: a test file as text (asserts, pytest functions, `check(candidate)`), doctests inside the solution, or APPS's JSON of
inputs and outputs. Out: cases with literal arguments and a literal expected value. Parsing only; no test is run here.
"""

import ast
import doctest
import json
from dataclasses import dataclass

from caco_recipes.mechanical import CannotUnify, parse

# A case longer than this makes a Code CoT of data; one that is empty shows nothing.
LONGEST_CASE = 400
CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True)
class Case:
    """One call of a function: its name, the source texts of its arguments, and of the value that it must give."""

    function: str
    positional: tuple[str, ...]
    named: tuple[tuple[str, str], ...]
    expected: str

    @property
    def size(self) -> int:
        return sum(map(len, self.positional)) + sum(len(value) for _, value in self.named)


def choose_case(solution: str, tests: str, entry_point: str = "") -> Case:
    """The one test case that becomes a code seed's input: the longest of moderate length, the first of equals.

    Args:
        solution: the program that the tests call; its doctests count when `tests` holds no case of its own.
        tests: the test file, APPS's JSON, or empty.
        entry_point: the function's name where the seed states it.

    Raises:
        CannotUnify: `bad_row:tests` when no test calls a function of the solution with literals only.
    """
    tree = parse(solution)
    functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
    found = _apps_cases(tests, entry_point) if tests.lstrip().startswith("{") else []
    found = found or _assert_cases(tests, functions, entry_point) or _doctest_cases(tree, functions)
    if entry_point in functions:
        found = [case for case in found if case.function == entry_point] or found
    found = [case for case in found if case.function in functions and case.size + len(case.expected) <= LONGEST_CASE]
    if not found:
        raise CannotUnify("bad_row:tests")
    return max(found, key=lambda case: case.size)


def _assert_cases(tests: str, functions: set[str], entry_point: str) -> list[Case]:
    try:
        tree = parse(tests)
    except CannotUnify:
        return []
    cases = []
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assert):
            continue
        test = node.test
        if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.Eq | ast.Is):
            sides = [(test.left, test.comparators[0]), (test.comparators[0], test.left)]
        elif isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
            sides = [(test.operand, ast.Constant(False))]
        else:
            sides = [(test, ast.Constant(True))]
        for call, expected in sides:
            case = _case(call, expected, functions, entry_point)
            if case is not None:
                cases.append(case)
                break
    return cases


def _case(call: ast.expr, expected: ast.expr, functions: set[str], entry_point: str) -> Case | None:
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        return None
    name = call.func.id
    if name == CANDIDATE and entry_point in functions:
        name = entry_point
    values = [*call.args, *(keyword.value for keyword in call.keywords), expected]
    if name not in functions or not all(map(_is_value, values)) or any(k.arg is None for k in call.keywords):
        return None
    return Case(
        function=name,
        positional=tuple(ast.unparse(value) for value in call.args),
        named=tuple((keyword.arg, ast.unparse(keyword.value)) for keyword in call.keywords),
        expected=ast.unparse(expected),
    )


def _is_value(node: ast.expr) -> bool:
    """A literal of any kind; empty containers count, `set()` as well."""
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "set" and not node.args and not node.keywords
    try:
        ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return False
    return True


def _doctest_cases(tree: ast.Module, functions: set[str]) -> list[Case]:
    cases = []
    for node in tree.body:
        if not isinstance(node, ast.FunctionDef) or not (text := ast.get_docstring(node, clean=True)):
            continue
        try:
            examples = doctest.DocTestParser().get_examples(text)
        except ValueError:  # a docstring that only looks like a doctest
            continue
        for example in examples:
            try:
                call = ast.parse(example.source.strip(), mode="eval").body
                expected = ast.parse(example.want.strip(), mode="eval").body
            except (SyntaxError, ValueError, MemoryError, RecursionError):
                continue
            case = _case(call, expected, functions, node.name)
            if case is not None:
                cases.append(case)
    return cases


def _apps_cases(tests: str, entry_point: str) -> list[Case]:
    """APPS: `{"fn_name": ..., "inputs": [[...]], "outputs": [...]}`; rows that read standard input have no name."""
    try:
        content = json.loads(tests)
        name = content.get("fn_name") or entry_point
        pairs = list(zip(content["inputs"], content["outputs"], strict=False))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return []
    cases = []
    for arguments, expected in pairs:
        if not name or not isinstance(arguments, list):
            continue
        if isinstance(expected, list) and len(expected) == 1:
            expected = expected[0]  # APPS wraps every function's value in a list of one
        cases.append(Case(name, tuple(map(repr, arguments)), (), repr(expected)))
    return cases
