"""The compiled parts of the fork server give what the interpreter's own code gives, to the byte."""

import dataclasses
import json
import shutil
import sys

import pytest

from caco_recipes.sandbox import Limits, Pool, native
from caco_recipes.sandbox.levels import why_not

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or bool(why_not("basic")), reason="no isolation is to be had here"),
    pytest.mark.skipif(
        not any(map(shutil.which, ("cc", "gcc", "clang"))), reason="no C compiler: nothing is compiled"
    ),
]

MEASURED = {"cpu_seconds", "wall_seconds", "peak_memory_mb"}

VALUES = """
0 | 7 | -7 | 2**53 | -2**53 | 2**53 + 1 | -2**53 - 1 | 2**63 - 1 | -2**63 | 2**64 | 10**400 | True | False | None
0.0 | -0.0 | 1.5 | 0.1 + 0.2 | 1e22 | 1e16 | 1e-7 | 5e-324 | 1.7976931348623157e308 | float("nan") | float("inf") | -float("inf")
"" | "plain" | "a b~" | 'quo"te' | "back\\\\slash" | "tab\\t" | "line\\nend" | "\\x00" | "\\x7f" | "é" | "√2 ≈ 1.41" | "\\ud800" | "$x"
"x" * 4000 | "x" * 5000 | "x" * 66000 | "é" * 40000 | b"bytes" | [] | () | {} | [1] | (1,) | {"a": 1} | {"$int": 1} | {1: 2}
[1, 2.5, "three", None, True, [4, (5, {"six": 7})]] | [[[[[[[[[1]]]]]]]]] | [[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]] | [float("nan")]
list(range(900)) | list(range(6000)) | {str(n): n for n in range(50)} | {"a": {"b": {"c": [1, "x", {}]}}} | {"é": 1} | {"": ""}
set() | {3, 1, 2} | frozenset("ab") | range(3) | 1 + 2j | [1, {2}] | type("Fake", (int,), {})(5) | type("Text", (str,), {})("x")
type("Loud", (), {"__repr__": lambda self: "loud"})() | type("Bad", (), {"__str__": lambda self: 1 / 0})() | print | int | ...
__import__("decimal").Decimal("1.10") | __import__("fractions").Fraction(3, 4) | __import__("collections").OrderedDict(a=1)
__import__("collections").Counter("aab") | __import__("collections").namedtuple("P", "x y")(1, 2) | [10**30, -(10**30)]
""".replace("\n", " | ").split(" | ")

PROGRAMS = [
    *(f"output = {value}" for value in VALUES if value.strip()),
    *(f"input = {{'n': 3}}\noutput = {value}\nprint(output)" for value in VALUES[::9] if value.strip()),
    "",
    "x = 1",
    "print('only', 'printed')",
    "print('no line end', end='')",
    "input = {'a': [1, 2]}\ninput['a'].append(3)\noutput = input['a']",
    "input = dict(a=1)\noutput = input['a']",
    "input = dict(a=1)\ndel input\noutput = 1",
    "for input in (1, 2):\n    pass\noutput = input",
    "def input():\n    return 1\noutput = input()",
    "import sys\noutput = 5\nsys.exit(0)",
    "import sys\nsys.exit(0)",
    "import sys\noutput = 5\nsys.exit('bad')",
    "raise SystemExit(3)",
    "output = 1\nraise ValueError('é')",
    "def f(x):\n    return 1 / x\noutput = f(0)",
    "class E(Exception):\n    def __str__(self):\n        raise RuntimeError\nraise E",
    "raise KeyboardInterrupt",
    "output = [",
    "x = 1\nprint(y)",
    "a = []\na.append(a)\noutput = a",
    "n = 0\ndef f():\n    global n\n    n += 1\n    f()\ntry:\n    f()\nexcept RecursionError:\n    output = n",
    "def f(k):\n    return 0 if k == 0 else 1 + f(k - 1)\noutput = f(990)",
    "def f(k):\n    return 0 if k == 0 else 1 + f(k - 1)\noutput = f(1200)",
    "import sys\nsys.setrecursionlimit(60)\noutput = [1, [2]]",
    "import sys\nsys.settrace(lambda *a: None)\noutput = {'a': 1}",
    "import sys\nsys.set_int_max_str_digits(0)\noutput = 10**5000",
    "import sys\nsys.stdout = None\noutput = 3",
    "import sys, io\nsys.stdout = io.StringIO()\nprint('kept')\noutput = 3",
    "import sys\nsys.stdout.close()\noutput = 3",
    "import os\nos.close(1)\nprint('x')\noutput = 3",
    "import os\nos.write(1, b'raw')\nprint(' text')\noutput = 3",
    "import os\nos.close(3)\noutput = 3",
    "import os\nos._exit(0)",
    "import os\nos.abort()",
    "print('x' * 5_000_000)\noutput = 1",
    "import builtins\nbuiltins.str = builtins.repr = builtins.len = None\noutput = [1, 'a']",
    "import builtins\ndel builtins.__dict__['@capture']\ninput = dict(a=1)\noutput = 1",
    "__builtins__ = {}\noutput = 2",
    "output = __name__, __doc__, __builtins__.__name__",
    "import __main__\noutput = __main__.__dict__ is globals()",
    "output = sorted(k for k in globals() if k != 'output')",
    "if __name__ == '__main__':\n    input = {'n': 2}\n    output = input['n'] * 2",
    "import gc\noutput = gc.isenabled(), gc.get_threshold()",
    "import random\noutput = random.random()",
    "import numpy as np\ninput = {'a': [1, 2]}\noutput = np.array(input['a']) * 2",
    "import numpy as np\noutput = float(np.mean([1, 2, 4]))",
    "import sympy as sp\ninput = {'n': 12}\noutput = sp.factorint(input['n'])",
    "from sympy import *\nx = symbols('x')\noutput = solve(x**2 - 2)",
    "output = open('/etc/passwd').read()",
    "x = bytearray(1 << 40)",
    "class A:\n    def __del__(self):\n        raise ValueError\nA()\noutput = 1",
    "import atexit\natexit.register(print, 'late')\noutput = 1",
]


def told(result) -> dict:
    return {name: value for name, value in dataclasses.asdict(result).items() if name not in MEASURED}


def results(programs, **options) -> list[dict]:
    with Pool(2, Limits(slow_cpu_seconds=None), rules="caco", **options) as pool:
        return [told(result) for result in pool.run(programs)]


def test_compiled_and_interpreted_give_the_same(monkeypatch, shared):
    workload = [json.loads(line) for line in open(shared / "data/workload/code_cots.jsonl", encoding="utf-8")]
    programs = PROGRAMS + [row["code"] for row in workload[::12] if row["family"] != "nasty"]
    compiled = results(programs)
    assert native.library() is not None, "a compiler is there, so it compiles"
    monkeypatch.setattr(native, "library", lambda: None)
    interpreted = results(programs)
    for program, one, other in zip(programs, compiled, interpreted, strict=True):
        assert one == other, program
    assert sum(one["status"] == "ok" for one in compiled) > 200


@pytest.mark.parametrize("kilobytes", [1, 2])
def test_bounds_of_values_hold_in_both(monkeypatch, kilobytes):
    programs = [
        f"output = {text}" for text in ("'x' * 1000", "'x' * 1100", "'x' * 2100", "[1] * 400", "[1] * 600", "1")
    ]
    programs += ["output = [[[[1]]]]", "output = list(range(30))"]
    limits = Limits(slow_cpu_seconds=None, value_kb=kilobytes, value_depth=3, value_items=500)

    def once() -> list[dict]:
        with Pool(1, limits) as pool:
            return [told(result) for result in pool.run(programs)]

    compiled = once()
    monkeypatch.setattr(native, "library", lambda: None)
    assert compiled == once()
    assert {one["status"] for one in compiled} == {"ok", "output_limit"}
