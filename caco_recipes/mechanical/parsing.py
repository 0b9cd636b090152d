"""Parsing of seed programs, with caps: they are data, they are never compiled or run in this process."""

import ast
import warnings

MAX_CHARACTERS = 64_000
MAX_NESTING = 60  # brackets open at once; the parser's own stack is far deeper


class CannotUnify(Exception):
    """The program has no mechanical Code CoT; `reason` is a code of `verdicts.REASONS`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def parse(source: str) -> ast.Module:
    """`ast.parse` of a seed's source with caps on size and depth. Raises `CannotUnify`."""
    if len(source) > MAX_CHARACTERS:
        raise CannotUnify("bad_row:program_too_large")
    depth = deepest = 0
    for character in source:
        if character in "([{":
            depth += 1
            deepest = max(deepest, depth)
        elif character in ")]}":
            depth = max(0, depth - 1)
    if deepest > MAX_NESTING:
        raise CannotUnify("bad_row:program_too_deep")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an odd escape in a seed is the seed's own
            return ast.parse(source)
    except (RecursionError, MemoryError):
        raise CannotUnify("bad_row:program_too_deep") from None
    except (SyntaxError, ValueError):
        raise CannotUnify("syntax_error") from None


def parsable(source: str) -> str:
    """The source, or where it runs on into prose or another task, its longest prefix that is a program."""
    try:
        parse(source)
        return source
    except CannotUnify as error:
        if error.reason != "syntax_error":
            raise
    lines = source.split("\n")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except SyntaxError as error:
        end = min((error.lineno or 1), len(lines)) - 1
    except ValueError:
        end = 0
    for _ in range(3):
        while end > 0 and (not lines[end].strip() or lines[end][0] in " \t)]}"):
            end -= 1
        prefix = "\n".join(lines[:end])
        try:
            tree = parse(prefix)
        except CannotUnify:
            end -= 1
            continue
        if any(isinstance(node, ast.Return) for node in ast.walk(tree)) or "print(" in prefix:
            return prefix
        break
    raise CannotUnify("syntax_error")


def has_main_guard(tree: ast.Module) -> bool:
    return any(is_main_guard(node) for node in tree.body)


def is_main_guard(node: ast.stmt) -> bool:
    return (
        isinstance(node, ast.If)
        and not node.orelse
        and ast.unparse(node.test)
        in (
            "__name__ == '__main__'",
            "'__main__' == __name__",
        )
    )


def inline_main_guard(source: str, tree: ast.Module) -> str:
    """The source with the body of `if __name__ == "__main__":` at the top level."""
    lines = source.split("\n")
    for node in reversed(tree.body):
        if not is_main_guard(node):
            continue
        if node.body[0].lineno == node.lineno:
            lines[node.lineno - 1 : node.end_lineno] = [ast.unparse(statement) for statement in node.body]
            continue
        width = node.body[0].col_offset
        keep = string_lines(node)
        inner = [
            line if number in keep else (line[width:] if not line[:width].strip() else line)
            for number, line in enumerate(lines[node.lineno : node.end_lineno], node.lineno + 1)
        ]
        lines[node.lineno - 1 : node.end_lineno] = inner
    return "\n".join(lines)


def without_main_guard(source: str) -> str:
    lines = source.split("\n")
    for node in parse(source).body:
        if is_main_guard(node):
            lines[node.lineno - 1 : node.end_lineno] = [""] * (node.end_lineno - node.lineno + 1)
    return "\n".join(lines)


def shares_lines(tree: ast.Module | ast.FunctionDef) -> bool:
    """Whether two statements of a body stand in one line (`a = 1; b = 2`)."""
    return any(a.end_lineno >= b.lineno for a, b in zip(tree.body, tree.body[1:], strict=False))


def string_lines(tree: ast.AST) -> set[int]:
    """Numbers of the lines that begin inside a string: moving them sideways would change it."""
    numbers: set[int] = set()
    for node in ast.walk(tree):
        text = isinstance(node, ast.JoinedStr) or (
            isinstance(node, ast.Constant) and isinstance(node.value, str | bytes)
        )
        if text and node.end_lineno > node.lineno:
            numbers |= set(range(node.lineno + 1, node.end_lineno + 1))
    return numbers
