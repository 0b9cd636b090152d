"""Where the value of `input` goes in a program: the part of rules.py that follows names through functions.

A key counts as used when its value can reach a result. Where the flow can't be followed (methods, unknown callables,
`**` into a dict), it counts as used: a rule must not reject what it does not understand.
"""

import ast

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_SCOPES = (*_FUNCTIONS, ast.Module)
# Calls without an effect of their own: what goes in matters only if what comes out does.
_PURE = frozenset(
    "int float str abs len round sum min max list tuple set sorted bool dict range divmod pow repr".split()
)
# Looking at a value without using it.
_LOOKS = frozenset(("print", "type", "isinstance", "repr", "id", "display", "pprint"))


class Flow:
    """Where the value of `input` goes in one module."""

    def __init__(self, tree: ast.Module):
        self.tree = tree
        self.parents: dict[ast.AST, ast.AST] = {}
        self.functions: dict[str, ast.AST | None] = {}
        waiting: list[ast.AST] = [tree]
        while waiting:
            node = waiting.pop()
            for child in ast.iter_child_nodes(node):
                self.parents[child] = node
                waiting.append(child)
        for node in tree.body:
            self._note_function(node)
            if type(node) is ast.If:
                for inner in node.body:
                    self._note_function(inner)
        self._live: dict[ast.AST, set[str]] = {}
        self._used: dict[tuple[ast.AST, str], bool] = {}

    def _note_function(self, node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            name, function = node.name, node if not node.decorator_list else self._cached(node)
        elif type(node) is ast.Assign and type(node.value) is ast.Lambda and type(node.targets[0]) is ast.Name:
            name, function = node.targets[0].id, node.value
        else:
            return
        # a name that is bound twice is not followed
        self.functions[name] = None if name in self.functions else function

    @staticmethod
    def _cached(node):
        """A function behind a decorator is followed only when the decorator keeps its parameters."""
        for decorator in node.decorator_list:
            name = decorator.func if type(decorator) is ast.Call else decorator
            name = name.attr if type(name) is ast.Attribute else getattr(name, "id", "")
            if name not in ("lru_cache", "cache", "njit", "jit"):
                return None
        return node

    # ------------------------------------------------------------------------------------------ sites

    def sites(self) -> list[list]:
        found: list[list] = []
        for node in self.parents:
            if type(node) is ast.Name and node.id == "input" and type(node.ctx) is ast.Load:
                parent = self.parents[node]
                if type(parent) is ast.Call and parent.func is node:
                    continue  # the builtin
                scope = self._scope(node)
                if scope is not self.tree and "input" in _bound(scope):
                    continue
                found += self._site(node, scope, 0)
        return found

    def _site(self, node: ast.AST, scope: ast.AST, depth: int) -> list[list]:
        """What one load of the whole value uses."""
        parent = self.parents[node]
        kind = type(parent)
        if depth > 20:
            return [["all"]]
        if kind is ast.keyword and parent.arg is None:
            function = self._callee(self.parents[parent])
            return [["all"]] if function is None else [self._by_name(function)]
        if kind is ast.Starred:
            call = self.parents[parent]
            if type(call) is ast.Call and parent in call.args:
                return [self._by_place(call, parent)]
            return [["all"]]
        if kind is ast.Call or kind is ast.keyword:
            call = parent if kind is ast.Call else self.parents[parent]
            if type(call) is ast.Call and type(call.func) is ast.Name and call.func.id in _LOOKS:
                return []
            target = self._parameter(call, node if kind is ast.Call else parent) if type(call) is ast.Call else None
            if target is None:
                return [["all"]]
            return self._holder(*target, depth)
        if kind is ast.Subscript and parent.value is node:
            if type(parent.ctx) is not ast.Load:
                return []
            if type(parent.slice) is ast.Constant:
                return [["key", parent.slice.value]] if self._reaches(parent) and _plain(parent.slice.value) else []
            return [["all"]]
        if kind is ast.Attribute:
            return self._method(parent, scope)
        if kind is ast.Assign and parent.value is node and len(parent.targets) == 1:
            target = parent.targets[0]
            if type(target) is ast.Name:
                return self._holder(scope, target.id, depth)
            if type(target) in (ast.Tuple, ast.List):
                return [self._unpacked(target, scope)]
        if kind is ast.Expr:
            return []
        return [["all"]]

    def _holder(self, scope: ast.AST, name: str, depth: int) -> list[list]:
        """The sites of a name that holds the whole value in `scope` (a parameter, an alias)."""
        if not self._alive(scope, name):
            return []
        found: list[list] = []
        for node in self.parents:
            if (
                type(node) is ast.Name
                and node.id == name
                and type(node.ctx) is ast.Load
                and self._sees(node, scope, name)
            ):
                found += self._site(node, scope, depth + 1)
        return found

    def _method(self, attribute: ast.Attribute, scope: ast.AST) -> list[list]:
        call = self.parents[attribute]
        if type(call) is not ast.Call or call.func is not attribute:
            return [["all"]]
        if attribute.attr in ("get", "pop") and call.args and type(call.args[0]) is ast.Constant:
            return [["key", call.args[0].value]] if self._reaches(call) and _plain(call.args[0].value) else []
        if attribute.attr == "values":
            outer = self.parents[call]
            if type(outer) is ast.Starred and type(self.parents[outer]) is ast.Call:
                return [self._by_place(self.parents[outer], outer)]
            if (
                type(outer) is ast.Assign
                and len(outer.targets) == 1
                and type(outer.targets[0]) in (ast.Tuple, ast.List)
            ):
                return [self._unpacked(outer.targets[0], scope)]
        return [["all"]]

    def _unpacked(self, target, scope: ast.AST) -> list:
        if any(type(element) is not ast.Name for element in target.elts):
            return ["all"]
        return ["positions", [self._alive(scope, element.id) for element in target.elts], False]

    def _by_name(self, function: ast.AST) -> list:
        """`f(**input)`: a key is used when the parameter of its name is, or when `**rest` takes it and is used."""
        parameters = function.args
        names = [argument.arg for argument in parameters.args + parameters.kwonlyargs]
        flags = {name: self._parameter_used(function, name) for name in names}
        rest = parameters.kwarg is not None and self._parameter_used(function, parameters.kwarg.arg)
        if rest:
            sites = self._holder(function, parameters.kwarg.arg, 0)
            if sites and all(site[0] == "key" for site in sites):
                flags.update({site[1]: True for site in sites})
                rest = False
        return ["names", flags, rest]

    def _by_place(self, call: ast.Call, starred: ast.Starred) -> list:
        function, before = self._callee(call), call.args.index(starred)
        if function is None:
            return ["all"]
        names = [argument.arg for argument in function.args.posonlyargs + function.args.args][before:]
        vararg = function.args.vararg
        rest = vararg is not None and self._parameter_used(function, vararg.arg)
        return ["positions", [self._parameter_used(function, name) for name in names], rest]

    # ------------------------------------------------------------------------------------------ names

    def _callee(self, call: ast.AST):
        if type(call) is ast.Call and type(call.func) is ast.Name:
            return self.functions.get(call.func.id)
        return None

    def _parameter(self, call: ast.Call, argument: ast.AST):
        """(function, parameter name) that an argument of a call lands in; None when that can't be told."""
        function = self._callee(call)
        if function is None:
            return None
        if type(argument) is ast.keyword:
            names = [a.arg for a in function.args.args + function.args.kwonlyargs]
            return (function, argument.arg) if argument.arg in names else None
        if argument not in call.args or any(type(a) is ast.Starred for a in call.args):
            return None
        place, names = call.args.index(argument), function.args.posonlyargs + function.args.args
        return (function, names[place].arg) if place < len(names) else None

    def _reaches(self, expression: ast.AST) -> bool:
        """Whether the value of an expression goes somewhere that matters."""
        parent = self.parents[expression]
        if type(parent) is ast.Expr:
            return False
        if type(parent) is ast.Assign and len(parent.targets) == 1 and type(parent.targets[0]) is ast.Name:
            return self._alive(self._scope(parent), parent.targets[0].id)
        if type(parent) in (ast.Call, ast.keyword):
            call = parent if type(parent) is ast.Call else self.parents[parent]
            if type(call) is ast.Call:
                target = self._parameter(call, expression if call is parent else parent)
                if target is not None:
                    return self._parameter_used(*target)
        return True

    def _parameter_used(self, function: ast.AST, name: str) -> bool:
        key = (function, name)
        if key not in self._used:
            self._used[key] = True  # while it is being followed: recursion counts as use
            self._used[key] = self._alive(function, name) and not _overwritten(function, name)
        return self._used[key]

    def _alive(self, scope: ast.AST, name: str) -> bool:
        if scope not in self._live:
            self._live[scope] = self._live_names(scope)
        return name in self._live[scope]

    def _live_names(self, scope: ast.AST) -> set[str]:
        """Names of a scope whose value can matter: read by something with an effect, or by a name that matters."""
        live: set[str] = set()
        feeds: dict[str, set[str]] = {}
        for node in ast.walk(scope):
            if type(node) is not ast.Name or type(node.ctx) is not ast.Load or not self._sees(node, scope, node.id):
                continue
            target = self._sink(node, scope)
            if target is None:
                live.add(node.id)
            elif target:
                feeds.setdefault(target, set()).add(node.id)
        if scope is self.tree:
            live |= {"output", "input"} & set(feeds) | {"output"}
        waiting = list(live)
        while waiting:
            for source in feeds.get(waiting.pop(), ()):
                if source not in live:
                    live.add(source)
                    waiting.append(source)
        return live

    def _sink(self, node: ast.Name, scope: ast.AST) -> str | None:
        """The local name that a load only feeds; "" when it feeds nothing; None when it has an effect."""
        child, parent = node, self.parents[node]
        while True:
            kind = type(parent)
            if kind in (ast.Assign, ast.AugAssign, ast.AnnAssign) and parent.value is child:
                targets = parent.targets if kind is ast.Assign else [parent.target]
                if len(targets) == 1 and type(targets[0]) is ast.Name and self._scope(parent) is scope:
                    return targets[0].id
                return None
            if kind is ast.Call:
                name = parent.func.id if type(parent.func) is ast.Name else ""
                target = self._parameter(parent, child)
                if target is not None and child is node:
                    if not self._parameter_used(*target):
                        return ""
                    return None
                if name not in _PURE or (child is parent.func and child is node and name not in _PURE):
                    return None
            elif kind not in _EXPRESSIONS:
                return None
            child, parent = parent, self.parents[parent]

    def _scope(self, node: ast.AST) -> ast.AST:
        node = self.parents[node]
        while not isinstance(node, _SCOPES):
            node = self.parents[node]
        return node

    def _sees(self, node: ast.AST, scope: ast.AST, name: str) -> bool:
        """Whether a load of `name` at `node` means the `name` of `scope`, and not one bound in between."""
        child, parent = node, self.parents.get(node)
        while parent is not None and child is not scope:
            if isinstance(parent, _FUNCTIONS) and parent is not scope and child not in parent.args.defaults:
                if name in _bound(parent):
                    return False
            elif type(parent) in _COMPREHENSIONS and parent.generators[0].iter is not child:
                bound = {n.id for g in parent.generators for n in ast.walk(g.target) if type(n) is ast.Name}
                if name in bound and not (
                    type(child) is ast.comprehension and child is parent.generators[0] and _in(node, child.iter)
                ):
                    return False
            if parent is scope:
                return True
            child, parent = parent, self.parents.get(parent)
        return child is scope


_COMPREHENSIONS = (ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp)
_EXPRESSIONS = frozenset(
    (ast.BinOp, ast.UnaryOp, ast.Tuple, ast.List, ast.Compare, ast.BoolOp, ast.IfExp, ast.Subscript)
)


def _in(node: ast.AST, tree: ast.AST) -> bool:
    return any(found is node for found in ast.walk(tree))


def _plain(value) -> bool:
    return type(value) in (str, int, bool)


def _bound(function: ast.AST) -> set[str]:
    """Names that a function binds itself: parameters and assignments, less what it declares global or nonlocal."""
    arguments = function.args
    names = {a.arg for a in arguments.posonlyargs + arguments.args + arguments.kwonlyargs}
    names |= {a.arg for a in (arguments.vararg, arguments.kwarg) if a is not None}
    if isinstance(function, ast.Lambda):
        return names
    outer: set[str] = set()
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.Global | ast.Nonlocal):
            outer.update(node.names)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
            continue
        elif isinstance(node, ast.Lambda | ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp):
            continue
        waiting.extend(ast.iter_child_nodes(node))
    return names - outer


def _overwritten(function: ast.AST, name: str) -> bool:
    """Whether the function assigns the parameter, come what may, before anything reads it."""
    if isinstance(function, ast.Lambda):
        return False
    for statement in function.body:
        if any(type(n) is ast.Name and n.id == name and type(n.ctx) is ast.Load for n in ast.walk(statement)):
            return False
        if type(statement) is ast.AugAssign and type(statement.target) is ast.Name and statement.target.id == name:
            return False
        if type(statement) is ast.Assign and any(type(t) is ast.Name and t.id == name for t in statement.targets):
            return True
    return False
