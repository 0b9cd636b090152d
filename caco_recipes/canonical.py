"""The canonical form of a program: its syntax tree without comments, docstrings and layout, hashed.

Making the tree means parsing a model's source, which our own process never does: a deeply nested or enormous program
can break a parser. So the hashing is itself a program that runs in the sandbox, with the sources as its inputs.
"""

import json
from typing import Any

from caco_recipes.sandbox import Pool

PROGRAM = """
import ast
import hashlib

def canonical_hash(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode("utf-8", "surrogatepass")).hexdigest()

input = {"source": ""}
output = canonical_hash(**input)
print(output)
"""
LONGEST = 48 * 1024  # bytes of JSON: the sandbox bounds the values that go in and out


def program_hashes(pool: Pool, codes: list[str]) -> list[str]:
    """sha256 (64 hex digits) of each program's canonical form; "" for one that has none (no syntax, too large)."""
    texts: dict[int, str] = {}
    for position, code in enumerate(codes):
        text = json.dumps({"source": code})
        if code and len(text) <= LONGEST and _is_plain(code):
            texts[position] = text
    hashes = [""] * len(codes)
    for position, result in zip(texts, pool.run_variants(PROGRAM, list(texts.values()))):
        hashes[position] = _hash_of(result)
    return hashes


def _is_plain(code: str) -> bool:
    try:
        code.encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def _hash_of(result: Any) -> str:
    """The hash that the hashing program printed; anything else counts as none."""
    value = result.output_text if result.ok else ""
    return value if len(value) == 64 and set(value) <= set("0123456789abcdef") else ""
