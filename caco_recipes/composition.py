"""Two programs as one: the output of the first becomes an input of the second, names kept apart by renaming.

Joining means parsing models' sources, which our own process never does: the joiner is a program that runs in the
sandbox, with both sources as its inputs. It returns the joined source, or why the two can't be joined. The joined program
is then executed and checked like any other; nothing is taken for right because of how it was made.

What can be joined: programs of the plain form (functions, a dict `input` with text keys, `output = f(**input)`,
`print(output)`, nothing behind it). Top-level names of the second program that the first one has too are renamed where
Python's own symbol tables say that they are the module's, so that locals, parameters and attributes stay; the same import
in both is written once; keys of the second input that the first has get a new name.
"""

import json
from dataclasses import dataclass
from typing import Any

from caco_recipes.sandbox import Pool

LONGEST = 48 * 1024  # bytes of JSON: the sandbox bounds the values that go in and out

PROGRAM = '''
import ast
import symtable


class Refused(Exception):
    pass


def parts(source):
    """Imports, definitions, the input's keys and values, the called function's name."""
    tree = ast.parse(source)
    imports, body, entry, call, printed = [], [], None, None, False
    for node in tree.body:
        if printed:
            raise Refused("it goes on behind its output")
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            continue
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            if any(alias.name == "*" for alias in node.names):
                raise Refused("it imports everything of a module")
            imports.append(node)
        elif isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["input"]:
            if entry is not None or not isinstance(node.value, ast.Dict):
                raise Refused("its input is not a dict that is written down once")
            if any(not isinstance(k, ast.Constant) or type(k.value) is not str for k in node.value.keys):
                raise Refused("its input has keys that are no names")
            entry = [(k.value, v) for k, v in zip(node.value.keys, node.value.values)]
        elif isinstance(node, ast.Assign) and [getattr(t, "id", "") for t in node.targets] == ["output"]:
            made = node.value
            plain = (
                isinstance(made, ast.Call) and isinstance(made.func, ast.Name) and not made.args
                and len(made.keywords) == 1 and made.keywords[0].arg is None
                and isinstance(made.keywords[0].value, ast.Name) and made.keywords[0].value.id == "input"
            )
            if not plain or entry is None or call is not None:
                raise Refused("its output is not f(**input)")
            call = made.func.id
        elif isinstance(node, ast.Expr) and ast.unparse(node) == "print(output)" and call:
            printed = True
        elif call:
            raise Refused("it goes on behind its output")
        else:
            body.append(node)
    if not printed:
        raise Refused("it does not print its output")
    for key, _ in entry:
        if not key.isidentifier() or key in ("input", "output"):
            raise Refused("its input has keys that are no names")
    for node in body:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name) and inner.id in ("input", "output"):
                raise Refused("it uses input or output elsewhere")
            if isinstance(inner, ast.Name) and inner.id in ("globals", "locals", "vars", "eval", "exec", "__name__"):
                raise Refused("it looks at its own names")
            if isinstance(inner, (ast.Import, ast.ImportFrom)) and any(alias.name == "*" for alias in inner.names):
                raise Refused("it imports everything of a module")
    return imports, body, entry, call


def bound(imports, body):
    """Names that the module level binds: by import, and otherwise."""
    imported = {}
    for node in imports:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            origin = (getattr(node, "module", ""), getattr(node, "level", 0), alias.name, alias.asname)
            imported[name] = origin
    table = symtable.symtable(ast.unparse(ast.Module(body, [])), "body", "exec")
    own = {s.get_name() for s in table.get_symbols() if s.is_assigned() or s.is_namespace() or s.is_imported()}
    stack = list(table.get_children())
    while stack:
        inner = stack.pop()
        own |= {s.get_name() for s in inner.get_symbols() if s.is_declared_global() and s.is_assigned()}
        stack += inner.get_children()
    return imported, own


SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp,
          ast.GeneratorExp)


def names_of_module(body, wanted):
    """Every node of `body` whose name (among `wanted`) is the module's; the tree must come from one `parse`."""
    source = ast.unparse(ast.Module(body, []))
    tree = ast.parse(source)
    top = symtable.symtable(source, "body", "exec")
    found = []

    def is_module(table, name):
        try:
            return table is top or table.lookup(name).is_global()
        except KeyError:  # a mangled private name
            raise Refused("its scopes can't be told apart")

    def visit(node, table, children):
        if isinstance(node, ast.Name) and node.id in wanted and is_module(table, node.id):
            found.append((node, "id"))
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and node.name in wanted:
            if is_module(table, node.name):
                found.append((node, "name"))
        if isinstance(node, ast.ExceptHandler) and node.name in wanted and is_module(table, node.name):
            found.append((node, "name"))
        if isinstance(node, ast.Global):
            for place, name in enumerate(node.names):
                if name in wanted:
                    found.append((node, place))
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            for alias in node.names:
                name = alias.asname or alias.name.partition(".")[0]
                if name in wanted and is_module(table, name):
                    found.append((alias, "asname"))
        if isinstance(node, (ast.MatchAs, ast.MatchStar)) and node.name in wanted and is_module(table, node.name):
            found.append((node, "name"))
        if not isinstance(node, SCOPES):
            for inner in ast.iter_child_nodes(node):
                visit(inner, table, children)
            return
        # What stands outside of a scope's own table: decorators, defaults, annotations, bases, the first iterable.
        outside, inside = [], []
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            a = node.args
            outside = node.decorator_list + a.defaults + [d for d in a.kw_defaults if d]
            arguments = a.posonlyargs + a.args + a.kwonlyargs + [x for x in (a.vararg, a.kwarg) if x]
            outside += [x.annotation for x in arguments if x.annotation] + ([node.returns] if node.returns else [])
            inside = node.body
        elif isinstance(node, ast.Lambda):
            outside = node.args.defaults + [d for d in node.args.kw_defaults if d]
            inside = [node.body]
        elif isinstance(node, ast.ClassDef):
            outside, inside = node.decorator_list + node.bases + [k.value for k in node.keywords], node.body
        else:
            first, *rest = node.generators
            outside = [first.iter]
            results = [node.key, node.value] if isinstance(node, ast.DictComp) else [node.elt]
            inside = [first.target, *first.ifs, *rest, *results]
        for inner in outside:
            visit(inner, table, children)
        own = children(node, table)
        for inner in inside:
            visit(inner, own, children)

    used = {}

    def children(node, table):
        names = {ast.Lambda: "lambda", ast.ListComp: "listcomp", ast.SetComp: "setcomp", ast.DictComp: "dictcomp",
                 ast.GeneratorExp: "genexpr"}
        name = names.get(type(node)) or node.name
        taken = used.setdefault(table.get_id(), set())
        for child in table.get_children():
            same = child.get_name() == name and child.get_lineno() == node.lineno
            if not same and isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
                lines = {node.lineno, *(d.lineno for d in node.decorator_list)}
                same = child.get_name() == name and child.get_lineno() in lines
            if same and child.get_id() not in taken:
                taken.add(child.get_id())
                return child
        raise Refused("its scopes can't be told apart")

    for node in tree.body:
        visit(node, top, children)
    return tree, found


def renamed(body, names):
    tree, found = names_of_module(body, names)
    for node, where in found:
        if where == "id":
            node.id = names[node.id]
        elif where == "name":
            node.name = names[node.name]
        elif where == "asname":
            node.asname = names[node.asname or node.name.partition(".")[0]]
        else:
            node.names[where] = names[node.names[where]]
    return tree.body


def fresh(name, taken):
    number = 2
    while f"{name}_{number}" in taken:
        number += 1
    taken.add(f"{name}_{number}")
    return f"{name}_{number}"


def every_name(source):
    found = set()
    for node in ast.walk(ast.parse(source)):
        for field in ("id", "name", "arg", "attr", "asname"):
            value = getattr(node, field, None)
            if isinstance(value, str):
                found.add(value.partition(".")[0])
    return found


def joined(first, second, key):
    imports_1, body_1, entry_1, call_1 = parts(first)
    imports_2, body_2, entry_2, call_2 = parts(second)
    if key not in dict(entry_2):
        raise Refused("the second program has no such input")
    imported_1, own_1 = bound(imports_1, body_1)
    imported_2, own_2 = bound(imports_2, body_2)
    if call_1 not in own_1 or call_2 not in own_2:
        raise Refused("its output is not made by a function of its own")
    keys_1 = [k for k, _ in entry_1]
    taken = every_name(first) | every_name(second) | set(keys_1) | {k for k, _ in entry_2} | {"input", "output"}
    both, fed = "composed", key + "_value"
    if both in taken:
        both = fresh(both, taken)
    if fed in taken:
        fed = fresh(fed, taken)
    taken |= {both, fed}
    # Parameters of the joint function must not hide the functions that it calls.
    parameters = set(keys_1) | {k for k, _ in entry_2} | {fed}
    names_1 = {n: fresh(n, taken) for n in sorted(own_1) if n in parameters}
    names_2 = {}
    for name in sorted(own_2):
        if name in own_1 or name in imported_1 or name in parameters:
            names_2[name] = fresh(name, taken)
    for name in sorted(imported_2):
        same = imported_1.get(name) == imported_2[name] and name not in own_1
        if not same and (name in own_1 or name in imported_1 or name in parameters):
            names_2[name] = fresh(name, taken)
    for name in sorted(imported_1):
        if name in own_2 and name not in names_2 or name in parameters:
            names_1[name] = fresh(name, taken)
    imports, seen = [], set()
    for node, names in [(n, names_1) for n in imports_1] + [(n, names_2) for n in imports_2]:
        for alias in node.names:
            name = alias.asname or alias.name.partition(".")[0]
            if name in names:
                if "." in alias.name and not alias.asname:
                    raise Refused("an import of a submodule can't be renamed")
                alias = ast.alias(alias.name, names[name])
            if isinstance(node, ast.Import):
                made = ast.Import([alias])
            else:
                made = ast.ImportFrom(node.module, [alias], node.level)
            text = ast.unparse(made)
            if text not in seen:
                seen.add(text)
                imports.append(text)
    imports.sort(key=lambda text: not text.startswith("from __future__"))
    renamed_keys, values = {}, []
    for k, v in entry_1:
        values.append((k, renamed_value(v, names_1)))
    for k, v in entry_2:
        if k == key:
            continue
        name = fresh(k, taken) if k in keys_1 else k
        renamed_keys[k] = name
        values.append((name, renamed_value(v, names_2)))
    f_1, f_2 = names_1.get(call_1, call_1), names_2.get(call_2, call_2)
    code = "\\n".join(imports) + ("\\n\\n" if imports else "")
    for body, names in ((body_1, names_1), (body_2, names_2)):
        for node in renamed(body, names):
            code += ast.unparse(node) + "\\n\\n"
    code += f"def {both}({', '.join(k for k, _ in values)}):\\n"
    code += f"    {fed} = {f_1}({', '.join(f'{k}={k}' for k in keys_1)})\\n"
    arguments = [f"{key}={fed}" if k == key else f"{k}={renamed_keys[k]}" for k, _ in entry_2]
    code += f"    return {f_2}({', '.join(arguments)})\\n\\n"
    code += "input = {" + ", ".join(f'"{k}": {v}' for k, v in values) + "}\\n"
    code += f"output = {both}(**input)\\nprint(output)\\n"
    compile(code, "composed", "exec", dont_inherit=True)
    return code


def renamed_value(value, names):
    body = renamed([ast.Expr(value)], names) if names else [ast.Expr(value)]
    return ast.unparse(body[0])


def compose(first, second, key):
    try:
        return ["", joined(first, second, key)]
    except Refused as reason:
        return [str(reason), ""]
    except SyntaxError:
        return ["it is no Python program", ""]


input = {"first": "", "second": "", "key": ""}
output = compose(**input)
print(output)
'''


@dataclass(frozen=True)
class Joined:
    """A joined program, or why there is none (`fault`); `infrastructure` says that the fault was ours."""

    code: str
    fault: str = ""
    infrastructure: bool = False


def join(pool: Pool, pairs: list[tuple[str, str, str]]) -> list[Joined]:
    """(first program, second program, the second's input that is fed) -> joined programs, in order."""
    found = [Joined("", "too long") for _ in pairs]
    texts: dict[int, str] = {}
    for position, (first, second, key) in enumerate(pairs):
        text = json.dumps({"first": first, "second": second, "key": key})
        if len(text) <= LONGEST and _is_plain(text + first + second):
            texts[position] = text
    for position, result in zip(texts, pool.run_variants(PROGRAM, list(texts.values())), strict=True):
        found[position] = _joined(result)
    return found


def _is_plain(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # lone surrogates
        return False
    return True


def _joined(result: Any) -> Joined:
    if result.status == "infrastructure":
        return Joined("", result.reason, infrastructure=True)
    value = json.loads(result.output) if result.ok and result.output else None
    if isinstance(value, list) and len(value) == 2 and all(type(item) is str for item in value):
        fault, code = value
        return Joined(code, fault[:80] if fault or code else "nothing came back")
    return Joined("", f"the joiner ended by {result.reason or 'another result'}"[:80])
