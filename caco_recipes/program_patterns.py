"""What programs are made of, by their syntax trees: loops, recursion, comprehensions, …, and how many skeletons there are.

A skeleton is the tree's node types alone: two programs that differ in names, numbers and texts have the same. Making
a tree means parsing a model's source, so it is a program in the sandbox that does it, with many sources at a time.
"""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from caco_recipes.sandbox import Pool

PATTERNS = (
    "for loop",
    "while loop",
    "branch",
    "recursion",
    "comprehension",
    "several functions",
    "nested function",
    "class",
    "lambda",
    "try",
    "dictionary or set",
    "slice or index",
    "formatted text",
    "symbolic (sympy)",
)
PROGRAM = """
import ast
import hashlib

def one(source):
    try:
        tree = ast.parse(source)
    except Exception:
        return ""
    nodes = list(ast.walk(tree))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    calls = lambda node: {c.func.id for c in ast.walk(node) if isinstance(c, ast.Call) and isinstance(c.func, ast.Name)}
    modules = {a.name.split(".")[0] for n in nodes if isinstance(n, ast.Import) for a in n.names}
    modules |= {(n.module or "").split(".")[0] for n in nodes if isinstance(n, ast.ImportFrom)}
    has = lambda *kinds: any(isinstance(node, kinds) for node in nodes)
    found = [
        has(ast.For), has(ast.While), has(ast.If, ast.IfExp, ast.Match), any(f.name in calls(f) for f in functions),
        has(ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp), len(functions) > 1,
        any(isinstance(n, ast.FunctionDef) for f in functions for n in ast.walk(f) if n is not f),
        has(ast.ClassDef), has(ast.Lambda), has(ast.Try),
        any(isinstance(n, (ast.Dict, ast.Set)) for f in functions for n in ast.walk(f)),
        has(ast.Subscript), has(ast.JoinedStr), "sympy" in modules,
    ]
    skeleton = " ".join(type(node).__name__ for node in nodes if not isinstance(node, (ast.Load, ast.Store)))
    return "".join("01"[bool(x)] for x in found) + hashlib.sha256(skeleton.encode()).hexdigest()[:16]

def patterns(sources):
    return [one(source) for source in sources]

input = {"sources": []}
output = patterns(**input)
print(output)
"""
LONGEST = 40 * 1024  # bytes of JSON that go into one run; the sandbox bounds its inputs
MOST = 64  # sources of one run


def program_patterns(pool: Pool, codes: Sequence[str]) -> dict[str, Any]:
    """`programs` (how many were read), `patterns` (name -> programs that have it), `skeletons`, `commonest`.

    Programs without a tree, too long ones, and those whose run in the sandbox failed are left out of all counts.
    """
    batches: list[list[str]] = [[]]
    size = 0
    for code in codes:
        try:
            length = len(json.dumps(code))
            code.encode()
        except UnicodeEncodeError:  # lone surrogates
            continue
        if length > LONGEST:
            continue
        if size + length > LONGEST or len(batches[-1]) >= MOST:
            batches.append([])
            size = 0
        batches[-1].append(code)
        size += length
    texts = [json.dumps({"sources": batch}) for batch in batches if batch]
    counts, skeletons, programs = Counter(), Counter(), 0
    for result in pool.run_variants(PROGRAM, texts):
        for found in _read(result):
            programs += 1
            counts.update(name for name, flag in zip(PATTERNS, found, strict=False) if flag == "1")
            skeletons[found[len(PATTERNS) :]] += 1
    if not programs:
        return {}
    return {
        "programs": programs,
        "patterns": {name: counts[name] for name in PATTERNS},
        "skeletons": len(skeletons),
        "commonest": max(skeletons.values()),
    }


def _read(result: Any) -> list[str]:
    if not result.ok:
        return []
    try:
        values = json.loads(result.output)
    except ValueError:
        return []
    length = len(PATTERNS) + 16
    return [value for value in values if isinstance(value, str) and len(value) == length]
