"""The paper's content rules (appendix A.4) over a program's syntax tree and its result, each with its reason code.

    too_short      fewer than six lines that are neither blank, comment nor docstring (imports count)
    no_input       no `input` at all; `input = {}` with a function of no arguments and list inputs are legal
    no_output      `output` is None or empty text, and nothing that was printed stands for it
    unused_input   a key of `input` that nothing uses functionally
    too_large      an int of more than 10,000 digits, or an output longer than 20,000 characters
                   (`too_large:facts`: a program whose uses of `input` fill more than 128 KB; it is not followed)

`facts_text` looks at the tree (inside the sandbox, before the program runs) and writes plain facts; `unused_keys` and
`verdict` judge them outside, without seeing the program. A key counts as used when its value can reach a result:
passing it to a parameter that nothing reads, storing it in a name that nothing reads, or overwriting the parameter
before any use is no use. Where the flow can't be followed (methods, unknown callables, `**` into a dict), it counts as
used: a rule must not reject what it does not understand.

Source: arXiv 2510.04081, appendix A.4; the faults of the reference's way are this module's tests.
"""

import ast
import json
import re

from caco_recipes.sandbox.flow import Flow

MIN_LINES = 6
MAX_DIGITS = 10_000
MAX_CHARACTERS = 20_000
MAX_FACTS = 128 * 1024  # characters, as JSON; a real program has some hundred
CUT = {"lines": 0, "cut": True}  # what stands for facts beyond that
_TOO_MANY_DIGITS = re.compile(rf"\d{{{MAX_DIGITS + 1}}}")


# ------------------------------------------------------------------------------------------------ verdict


def verdict(lines: int, unused: tuple, written: str | None, output: str | None, text: str) -> str:
    """The reason that rejects an `ok` program, or "". `written` and `output` are tagged JSON or None."""
    if lines < MIN_LINES:
        return "too_short"
    if written is None:
        return "no_input"
    if output is None or output in ("null", '""'):
        return "no_output"
    if unused:
        return f"unused_input:{unused[0] or repr('')}"
    if len(output) > MAX_CHARACTERS or len(text) > MAX_CHARACTERS:
        return "too_large"
    if len(output) > MAX_DIGITS and _TOO_MANY_DIGITS.search(output):
        return "too_large"
    return ""


def unused_keys(facts: dict, written: str | None) -> tuple[str, ...]:
    """The keys of `input` (tagged JSON) that no site of `facts` uses; ("input",) for another value that nothing reads."""
    if written is None or facts.get("cut"):
        return ()
    sites = facts["sites"]
    value = json.loads(written)
    keys = list(value) if type(value) is dict else None
    if keys is not None and len(keys) == 1 and keys[0][:1] == "$":
        if keys[0] != "$dict":
            keys = None
        else:
            keys = [key for key, _ in value["$dict"]]
    if keys is None:
        return () if sites or value == [] else ("input",)
    return tuple(str(key)[:100] for place, key in enumerate(keys) if not any(_uses(s, key, place) for s in sites))


def _uses(site: list, key, place: int) -> bool:
    if site[0] == "all":
        return True
    if site[0] == "key":
        return site[1] == key
    if site[0] == "names":
        return site[1].get(key, site[2]) if type(key) is str else site[2]
    flags = site[1]  # positions
    return flags[place] if place < len(flags) else site[2]


# ------------------------------------------------------------------------------------------------ lines


def count_code_lines(source: str, tree: ast.Module) -> int:
    """Physical lines that are neither blank, nor comment, nor docstring. Imports count."""
    documented, text = set(), set()
    for node in ast.walk(tree):
        kind = type(node)
        if kind is ast.Constant:
            if type(node.value) is str and node.end_lineno != node.lineno:
                text.update(range(node.lineno + 1, node.end_lineno + 1))
        elif kind in _DOCUMENTED and node.body:
            first = node.body[0]
            if type(first) is ast.Expr and type(first.value) is ast.Constant and type(first.value.value) is str:
                documented.update(range(first.lineno, first.end_lineno + 1))
    count = 0
    for number, line in enumerate(source.splitlines(), 1):
        bare = line.strip()
        if bare and number not in documented and (bare[0] != "#" or number in text):
            count += 1
    return count


_DOCUMENTED = frozenset((ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))


def count_lines_as_reference(source: str) -> int:
    """The reference implementation's count: `import x` lines are left out, docstrings and `from` imports are not."""
    lines = (line.strip() for line in source.splitlines())
    return sum(1 for line in lines if line and not line.startswith(("#", "import ")))


# ------------------------------------------------------------------------------------------------ use of the input


def facts_text(source: str, tree: ast.Module) -> str:
    """Facts for the rules as JSON: `lines`, the `sites` at which `input` is used (each once), the `imports`.

    None of them is ever left out: what is too much for the way out is replaced by `CUT`, which no rule passes.
    """
    try:
        sites = list({repr(site): site for site in Flow(tree).sites()}.values())
    except RecursionError:
        sites = [["all"]]
    imports = set()
    for node in ast.walk(tree):
        if type(node) is ast.Import:
            imports.update(alias.name for alias in node.names)
        elif type(node) is ast.ImportFrom:
            imports.add(node.module or ".")
    facts = {"lines": count_code_lines(source, tree), "sites": sites, "imports": sorted(imports)[:50]}
    text = json.dumps(facts)
    return text if len(text) <= MAX_FACTS else json.dumps(CUT)
