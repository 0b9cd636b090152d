"""Which names a statement binds and reads: what may move into a function depends on it."""

import ast

FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def bound(node: ast.AST) -> set[str]:
    """Names that a statement binds in the scope it stands in."""
    names: set[str] = set()
    pending = [node]
    while pending:
        here = pending.pop()
        if isinstance(here, (*FUNCTIONS, ast.ClassDef)):
            names.add(here.name)
            continue
        if isinstance(here, ast.Lambda):
            continue
        if isinstance(here, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
            names |= {n.target.id for n in ast.walk(here) if isinstance(n, ast.NamedExpr)}
            continue
        if isinstance(here, ast.Name) and not isinstance(here.ctx, ast.Load):
            names.add(here.id)
        elif isinstance(here, ast.alias):
            names.add((here.asname or here.name).split(".")[0])
        elif isinstance(here, ast.ExceptHandler | ast.MatchAs | ast.MatchStar) and here.name:
            names.add(here.name)
        elif isinstance(here, ast.MatchMapping) and here.rest:
            names.add(here.rest)
        pending.extend(ast.iter_child_nodes(here))
    return names


def uses(node: ast.AST) -> set[str]:
    """Every name that occurs in a statement, at any depth."""
    names = {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}
    return names | {name for n in ast.walk(node) if isinstance(n, ast.Global | ast.Nonlocal) for name in n.names}


def loads_now(node: ast.AST) -> set[str]:
    """Names read when the statement runs: not those in the bodies of functions that it defines."""
    pending, names = [node], set()
    while pending:
        here = pending.pop()
        if isinstance(here, FUNCTIONS):
            pending.extend([*here.decorator_list, *here.args.defaults, *filter(None, here.args.kw_defaults)])
            continue
        if isinstance(here, ast.Name) and isinstance(here.ctx, ast.Load):
            names.add(here.id)
        if isinstance(here, ast.AugAssign) and isinstance(here.target, ast.Name):
            names.add(here.target.id)
        pending.extend(ast.iter_child_nodes(here))
    if isinstance(node, ast.For | ast.While | ast.If | ast.With | ast.Try):
        return names - _first_stores(node)
    return names


def _first_stores(node: ast.AST) -> set[str]:
    """Names whose first mention inside a compound statement is an assignment: they are not read from outside."""
    first: dict[str, ast.Name] = {}
    for name in (n for n in ast.walk(node) if isinstance(n, ast.Name)):
        at = (name.lineno, name.col_offset)
        if name.id not in first or at < (first[name.id].lineno, first[name.id].col_offset):
            first[name.id] = name
    return {k for k, n in first.items() if isinstance(n.ctx, ast.Store)}


def assigned_name(node: ast.stmt) -> str:
    if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
        return node.targets[0].id
    if isinstance(node, ast.AnnAssign | ast.AugAssign) and isinstance(node.target, ast.Name) and node.value:
        return node.target.id
    return ""
