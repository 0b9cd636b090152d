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
# Names and constants are told apart by where the tree first has them. Renaming is one to one over the whole program, so
# two programs with the same form differ in names alone.
FORMS = """
import ast
import hashlib

def forms(source):
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            first = node.body[0] if node.body else None
            if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
                node.body = node.body[1:] or [ast.Pass()]
    own = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, (ast.Store, ast.Del)):
            own.add(node.id)
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            own.add(node.name)
        elif isinstance(node, ast.arg):
            own.add(node.arg)
        elif isinstance(node, ast.ExceptHandler) and node.name:
            own.add(node.name)
    own -= {"input", "output"}
    numbers = {}

    def name(text):
        return "v%d" % numbers.setdefault(text, len(numbers)) if text in own else text

    class Rename(ast.NodeTransformer):
        def visit_Name(self, node):
            node.id = name(node.id)
            return node

        def visit_arg(self, node):
            self.generic_visit(node)
            node.arg = name(node.arg)
            return node

        def visit_keyword(self, node):
            self.generic_visit(node)
            if node.arg:
                node.arg = name(node.arg)
            return node

        def named(self, node):
            node.name = name(node.name) if node.name else node.name
            self.generic_visit(node)
            return node

        visit_FunctionDef = visit_AsyncFunctionDef = visit_ClassDef = visit_ExceptHandler = named

        def visit_Global(self, node):
            node.names = [name(text) for text in node.names]
            return node

        visit_Nonlocal = visit_Global

        def visit_Dict(self, node):
            # the keys of `input` are parameters of the function that it goes to
            for key in node.keys:
                if isinstance(key, ast.Constant) and isinstance(key.value, str) and key.value in own:
                    key.value = name(key.value)
                    key.is_name = True
            self.generic_visit(node)
            return node

    class Mask(ast.NodeTransformer):
        def visit_Constant(self, node):
            if isinstance(node.value, (int, float, complex)) and not isinstance(node.value, bool):
                node.value = 0
            elif isinstance(node.value, (str, bytes)) and not getattr(node, "is_name", False):
                node.value = "s"
            return node

        def visit_JoinedStr(self, node):
            return node

    def digest():
        return hashlib.sha256(ast.unparse(tree).encode("utf-8", "surrogatepass")).hexdigest()[:16]

    tree = Rename().visit(tree)
    renamed = digest()
    tree = Mask().visit(tree)
    return renamed + digest()

input = {"source": ""}
output = forms(**input)
print(output)
"""
LONGEST = 48 * 1024  # bytes of JSON: the sandbox bounds the values that go in and out


def program_hashes(pool: Pool, codes: list[str]) -> list[str]:
    """sha256 (64 hex digits) of each program's canonical form; "" for one that has none (no syntax, too large)."""
    return _hashes(pool, PROGRAM, codes, 64)


def program_forms(pool: Pool, codes: list[str]) -> list[tuple[str, str]]:
    """Two hashes (16 hex digits) of each program: with its names numbered, and with its constants masked as well.

    ("", "") for a program that has no tree, or that the sandbox couldn't look at.
    """
    return [(both[:16], both[16:]) for both in _hashes(pool, FORMS, codes, 32)]


def _hashes(pool: Pool, program: str, codes: list[str], digits: int) -> list[str]:
    texts: dict[int, str] = {}
    for position, code in enumerate(codes):
        text = json.dumps({"source": code})
        if code and len(text) <= LONGEST and _is_plain(code):
            texts[position] = text
    hashes = [""] * len(codes)
    for position, result in zip(texts, pool.run_variants(program, list(texts.values()))):
        hashes[position] = _hash_of(result, digits)
    return hashes


def _is_plain(code: str) -> bool:
    try:
        code.encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def _hash_of(result: Any, digits: int) -> str:
    """The hash that the hashing program printed; anything else counts as none."""
    value = result.output_text if result.ok else ""
    return value if len(value) == digits and set(value) <= set("0123456789abcdef") else ""
