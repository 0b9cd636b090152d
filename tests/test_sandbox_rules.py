"""The content rules: where the reference is wrong, and random programs."""

import ast
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from caco_recipes.sandbox.rules import count_code_lines, count_lines_as_reference, facts_text, unused_keys, verdict


def unused(code: str, written: str) -> tuple:
    return unused_keys(json.loads(facts_text(code, ast.parse(code))), written)


AB = '{"a":1,"b":2}'
USED = {
    "keyword call": "def f(a, b):\n    return a + b\noutput = f(**input)",
    "whole dict": "def f(d):\n    return d['a'] + d['b']\noutput = f(input)",
    "whole dict, iterated": "def f(d):\n    return sum(d.values())\noutput = f(input)",
    "kwargs": "def f(**kw):\n    return kw['a'] * kw['b']\noutput = f(**input)",
    "kwargs, whole": "def f(**kw):\n    return sum(kw.values())\noutput = f(**input)",
    "positional": "def f(x, y):\n    return x + y\noutput = f(*input.values())",
    "rest": "def f(*xs):\n    return sum(xs)\noutput = f(*input.values())",
    "unpacked": "p, q = input.values()\noutput = p + q",
    "subscripts": "output = input['a'] + input['b']",
    "get": "output = input.get('a') + input.get('b', 0)",
    "main guard": "def f(a, b):\n    return a + b\nif __name__ == '__main__':\n    output = f(**input)",
    "main function": "def f(a, b):\n    return a + b\ndef main():\n    return f(**input)\noutput = main()",
    "printing function": "def f(a, b):\n    print(a + b)\nf(**input)",
    "alias": "data = input\noutput = data['a'] + data['b']",
    "items": "output = sum(v for k, v in input.items())",
    "unknown callee": "import m\noutput = m.f(**input)",
    "class": "class S:\n    def __init__(self, a, b):\n        self.x = a + b\noutput = S(**input).x",
    "lambda": "f = lambda a, b: a + b\noutput = f(**input)",
    "passed on": "def g(x):\n    return x\ndef f(a, b):\n    return g(a) + g(b)\noutput = f(**input)",
    "mutated": "def f(a, b):\n    a += b\n    return a\noutput = f(**input)",
    "condition": "def f(a, b):\n    if b:\n        return a\n    return 0\noutput = f(**input)",
    "loop": "def f(a, b):\n    for i in range(b):\n        a = a + i\n    return a\noutput = f(**input)",
    "nested function": "def f(a, b):\n    def g():\n        return a * b\n    return g()\noutput = f(**input)",
    "rebound after use": "def f(a, b):\n    c = a\n    a = 3\n    return a + b + c\noutput = f(**input)",
    "keyword only": "def f(*, a, b):\n    return a - b\noutput = f(**input)",
    "recursive": "def f(a, b):\n    return a if b == 0 else f(a, b - 1)\noutput = f(**input)",
    "cached": "from functools import lru_cache\n@lru_cache(None)\ndef f(a, b):\n    return a + b\noutput = f(**input)",
    "decorated": "@d\ndef f(a):\n    return a\noutput = f(**input)",
    "defined twice": "def f(a):\n    return a\ndef f(a, b):\n    return a + b\noutput = f(**input)",
    "comprehension": "def f(a, b):\n    return [a * x for x in range(b)]\noutput = f(**input)",
    "assertion": "def f(a, b):\n    assert b > 0\n    return a\noutput = f(**input)",
    "format": "def f(a, b):\n    return f'{a} and {b}'\noutput = f(**input)",
    "double star display": "output = {**input, 'c': 3}",
}
B_UNUSED = {
    "never read": "def f(a, b):\n    return a\noutput = f(**input)",
    "swallowed": "def f(a, **rest):\n    return a\noutput = f(**input)",
    "store only": "def f(a, b):\n    c = b\n    return a\noutput = f(**input)",
    "store chain": "def f(a, b):\n    c = b + 1\n    d = c * 2\n    return a\noutput = f(**input)",
    "overwritten": "def f(a, b):\n    b = 3\n    return a + b\noutput = f(**input)",
    "same name elsewhere": "b = 5\nprint(b)\ndef f(a, b):\n    return a\noutput = f(**input)",
    "shadowed by comprehension": "def f(a, b):\n    return [b for b in range(a)]\noutput = f(**input)",
    "shadowed by lambda": "def f(a, b):\n    return (lambda b: b)(a)\noutput = f(**input)",
    "passed to what ignores it": "def g(x, y):\n    return x\ndef f(a, b):\n    return g(a, b)\noutput = f(**input)",
    "whole dict, one key": "def f(d):\n    return d['a']\noutput = f(input)",
    "kwargs, one key": "def f(**kw):\n    return kw['a']\noutput = f(**input)",
    "positional": "def f(x, y):\n    return x\noutput = f(*input.values())",
    "unpacked": "p, q = input.values()\noutput = p",
    "read and dropped": "n = input['b']\noutput = input['a']",
    "named in a text": "def f(a, b):\n    'uses b'\n    return a  # b\noutput = f(**input)",
    "converted, dropped": "def f(a, b):\n    c = int(b)\n    return a\noutput = f(**input)",
}


@pytest.mark.parametrize("name", USED)
def test_every_key_used(name):
    assert unused(USED[name], AB) == ()


@pytest.mark.parametrize("name", B_UNUSED)
def test_a_key_unused(name):
    assert unused(B_UNUSED[name], AB) == ("b",)


def test_inputs_of_other_shapes():
    assert unused("def f():\n    return 3\noutput = f()", "{}") == ()
    assert unused("output = sum(input)", "[1,2]") == ()
    assert unused("def f(x, y):\n    return x + y\noutput = f(*input)", "[1,2]") == ()
    assert unused("output = 3", "[1,2]") == ("input",)
    assert unused("output = 3", AB) == ("a", "b")
    assert unused("output = input[1] + input[2]", '{"$dict":[[1,5],[2,6]]}') == ()
    assert unused("print(input)\noutput = 3", AB) == ("a", "b")
    assert unused_keys({}, None) == ()


def test_lines_of_code():
    code = '"""Doc\nof two."""\nimport math\n\n# note\ndef f(x):\n    \'\'\'doc\'\'\'\n    t = """a\n# b\n"""\n    return x\n'
    assert count_code_lines(code, ast.parse(code)) == 6
    assert count_lines_as_reference("import math\nfrom math import pi\n# x\n\n'''doc'''\nx = 1") == 3


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((6, (), "{}", "1", "1"), ""),
        ((5, (), "{}", "1", "1"), "too_short"),
        ((6, (), None, "1", "1"), "no_input"),
        ((6, (), "{}", None, ""), "no_output"),
        ((6, (), "{}", "null", "None"), "no_output"),
        ((6, (), "{}", '""', ""), "no_output"),
        ((6, ("b",), AB, "1", "1"), "unused_input:b"),
        ((6, ("",), '{"":1}', "1", "1"), "unused_input:''"),
        ((6, (), "{}", '{"$int":"' + "1" * 10_001 + '"}', ""), "too_large"),
        ((6, (), "{}", '{"$int":"' + "1" * 10_000 + '"}', ""), ""),
        ((6, (), "{}", "1", "x" * 20_001), "too_large"),
    ],
)
def test_verdicts(arguments, reason):
    assert verdict(*arguments) == reason


NAMES = st.sampled_from("a b c d f g input output x print".split())
expressions = st.recursive(
    st.one_of(NAMES, st.sampled_from(["1", "'a'", "input['a']", "input.get('b')", "*input.values(),", "input.values()"])),
    lambda e: st.one_of(
        st.builds("({} + {})".format, e, e), st.builds("{}(**input)".format, NAMES), st.builds("{}({})".format, NAMES, e),
        st.builds("[{} for {} in {}]".format, e, NAMES, e), st.builds("(lambda {}: {})".format, NAMES, e),
        st.builds("{}(*input.values())".format, NAMES), st.builds("{}[{}]".format, NAMES, e), st.builds("f'{{{}}}'".format, NAMES),
    ),
    max_leaves=8,
)  # fmt: skip


def indent(block: str) -> str:
    return "\n".join("    " + line for line in block.split("\n"))


statements = st.recursive(
    st.one_of(
        st.builds("{} = {}".format, NAMES, expressions), expressions, st.builds("{}, {} = {}".format, NAMES, NAMES, expressions),
        st.builds("{} += {}".format, NAMES, expressions), st.just("del a"), st.just("global a"), st.just("import m as a"),
    ),
    lambda s: st.one_of(
        st.builds(lambda a, b: a + "\n" + b, s, s),
        st.builds(lambda n, p, q, b: f"def {n}({p}, *{q}, **kw):\n{indent(b)}", NAMES, st.just("a"), st.just("b"), s),
        st.builds(lambda n, b: f"class {n}:\n{indent(b)}", NAMES, s),
        st.builds(lambda e, b: f"if {e}:\n{indent(b)}", expressions, s),
        st.builds(lambda n, e, b: f"for {n} in {e}:\n{indent(b)}", NAMES, expressions, s),
        st.builds(lambda b, c: f"try:\n{indent(b)}\nexcept E as a:\n{indent(c)}", s, s),
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(statements)
def test_random_programs_never_break_the_rules(code):
    try:
        tree = ast.parse(code)
    except SyntaxError:
        return
    facts = json.loads(facts_text(code, tree))
    found = unused_keys(facts, AB)
    assert set(found) <= {"a", "b"} and facts["lines"] >= 0


@pytest.mark.parametrize("sites", ['[["key"]]', "[[]]", '[["names",1]]', '[["positions",[true]]]', "7"])
def test_malformed_facts_are_a_fault_of_ours_never_a_verdict(sites):
    assert judged({"rules": {"lines": 9, "sites": json.loads(sites)}}) == ("infrastructure", "undecided", "")


@pytest.mark.parametrize("facts", [None, {}, {"rules": None}, {"rules": 7}, {"rules": {}}, {"rules": {"lines": 9}}])
def test_without_facts_no_program_passes_the_rules(facts):
    assert judged(facts) == ("infrastructure", "undecided", "")


@pytest.mark.parametrize("lines", ["1e999", "-1", '"9"', "true", "9" * 400, "1.5", "null", "[]"])
def test_a_number_of_lines_that_is_none_is_no_verdict(lines):
    facts = json.loads('{"rules":{"lines":' + lines + ',"sites":[["all"]]}}')
    assert judged(facts) == ("infrastructure", "undecided", "")


@pytest.mark.parametrize("facts", [{"cut": True}, {"rules": {"lines": 0, "cut": True}}])
def test_with_cut_facts_no_program_passes_the_rules(facts):
    assert judged(facts) == ("ok", "rejected", "too_large:facts")


def judged(facts: dict | None) -> tuple[str, str, str]:
    from caco_recipes.sandbox import Limits
    from caco_recipes.sandbox.outcome import Reader

    reader = Reader(Limits(), "caco", "strict", "test")
    result = reader.result("ok", "", '{"n":1,"k":2}', "1", "1", "", False, (0.0, 0.0, 0.0), facts)
    return result.status, result.verdict, result.rule_reason


def test_no_use_is_left_out_of_the_facts():
    keys = [f"k{n}" for n in range(1000)]
    code = "\n".join(f"x = input['{key}']\nprint(x)" for key in keys)
    written = json.dumps(dict.fromkeys([*keys, "spare"], 1))
    assert unused(code, written) == ("spare",)
    cut = json.loads(facts_text(code.replace("k", "k" * 200), ast.parse(code.replace("k", "k" * 200))))
    assert cut == {"lines": 0, "cut": True}
