"""Which programs may share a process with others: a strict screen of their syntax (`--share N`).

A refusal costs a fork, an oversight could let one program change the next; so everything is refused that isn't on a
list: imports, names that reach the interpreter, attribute stores, underscored names, dynamic code, classes.
"""

import ast

MODULES = frozenset(
    "math cmath fractions decimal itertools functools collections heapq bisect operator string statistics re "
    "random numbers typing sympy numpy".split()
)
SUBMODULES = frozenset(("collections.abc", "sympy.ntheory", "sympy.abc", "sympy.geometry", "numpy.linalg"))
# Names, as variables, attributes or imports, that change or reach state which outlives the program.
NAMES = frozenset(
    "exec eval compile open globals locals vars dir getattr setattr delattr breakpoint memoryview help exit quit "
    "copyright credits license classmethod staticmethod property super type object "
    "setcontext getcontext localcontext init_printing init_session interactive_traversal pprint_use_unicode "
    "set_printoptions seterr seterrcall setbufsize set_string_function errstate printoptions "
    "clear_cache purge modules sys os save savez savez_compressed savetxt load loads loadtxt fromfile tofile memmap "
    "genfromtxt lambdify parse_expr sympify preview plot plotting utilities interactive printing external testing "
    "ctypeslib f2py distutils lib core register ABCMeta assumptions_rules global_assumptions evaluate "
    "use random_state set_state default_rng singleton S_registry format_map".split()
) - {"evaluate", "core"}


def refusal(tree: ast.Module) -> str:
    """The first thing that keeps a program from sharing a process; empty when it may."""
    imported: set[str] = set()
    for node in ast.walk(tree):
        kind = type(node)
        if kind is ast.Name:
            if node.id in NAMES or (node.id.startswith("_") and node.id != "_" and node.id != "__name__"):
                return f"name {node.id}"
        elif kind is ast.Attribute:
            if type(node.ctx) is not ast.Load:
                return "attribute store"
            if node.attr.startswith("_") or node.attr in NAMES:
                return f"attribute {node.attr}"
        elif kind is ast.Import:
            for alias in node.names:
                if alias.name not in MODULES and alias.name not in SUBMODULES:
                    return f"import {alias.name}"
                imported.add((alias.asname or alias.name).split(".")[0])
        elif kind is ast.ImportFrom:
            if node.level or (node.module not in MODULES and node.module not in SUBMODULES):
                return f"import {node.module}"
            for alias in node.names:
                if alias.name in NAMES or alias.name.startswith("_"):
                    return f"import {alias.name}"
                if alias.name != "*":
                    imported.add(alias.asname or alias.name)
        elif kind in _REFUSED:
            return kind.__name__
        elif kind is ast.Constant and type(node.value) is str and "__" in node.value and node.value != "__main__":
            return "underscores in text"  # str.format reaches attributes by name
    for node in ast.walk(tree):
        # storing into, or deleting from, something that a module owns
        if type(node) is ast.Subscript and type(node.ctx) is not ast.Load:
            base = node.value
            while type(base) in (ast.Attribute, ast.Subscript, ast.Call):
                base = base.func if type(base) is ast.Call else base.value
            if type(base) is ast.Name and base.id in imported:
                return "store into a module"
    return ""


_REFUSED = (ast.ClassDef, ast.AsyncFunctionDef, ast.Await, ast.AsyncFor, ast.AsyncWith, ast.MatchClass)
