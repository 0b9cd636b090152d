"""The compiled parts of the fork server give what the interpreter's own code gives, to the byte."""

import dataclasses
import json
import shutil
import subprocess
import sys

import pytest

from caco_recipes.sandbox import Limits, Pool, memory, native
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
    "import sys\nfor i in range(1, 40):\n    try:\n        sys.setrecursionlimit(i)\n        break\n    except RecursionError:\n"
    "        pass\noutput = {1}",
    "import sys\nfor i in range(1, 40):\n    try:\n        sys.setrecursionlimit(i)\n        break\n    except RecursionError:\n"
    "        pass\nraise ValueError('x')",
    "import sys\nsys.setprofile(lambda *a: None)\noutput = {1}",
    "import sys\nsys.setrecursionlimit = sys.settrace = None\noutput = {1}",
    "class K:\n    def __hash__(self):\n        return hash('output')\n    def __eq__(self, other):\n        raise ValueError('eq')\n"
    "globals()[K()] = 1",
    "class K:\n    def __hash__(self):\n        return hash('input')\n    def __eq__(self, other):\n        raise ValueError('eq')\n"
    "globals()[K()] = 1\noutput = 1",
    "import sys\nseen = []\nold = sys.stdout.flush\ndef once():\n    seen.append(1)\n    if len(seen) == 1:\n        raise ValueError('once')\n"
    "sys.stdout.flush = once\noutput = 1",
    "import sys\nseen = []\nsys.stdout.flush = lambda: seen.append(1)\noutput = seen, {1}",
    "import threading, time\nthreading.Thread(target=lambda: time.sleep(0.2), daemon=True).start()\noutput = 1",
    "import signal\nsignal.signal(signal.SIGALRM, lambda *a: None)\nsignal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)\n"
    "n = sum(range(10**6))\noutput = [n]",
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


def test_memory_is_that_of_the_program_in_both(monkeypatch):
    programs = ["x = bytearray(40 << 20)\nfor i in range(0, len(x), 4096):\n    x[i] = 1\noutput = 1", "output = 1"]

    def once() -> list[float]:
        with Pool(1, Limits(slow_cpu_seconds=None)) as pool:
            return [result.peak_memory_mb for result in pool.run(programs)]

    compiled = once()
    monkeypatch.setattr(native, "library", lambda: None)
    for large, small in (compiled, once()):
        assert 38 < large < 46 and small < 6


def test_large_bounds_are_no_bounds_of_the_compiled_part(monkeypatch):
    limits = Limits(slow_cpu_seconds=None, value_kb=1 << 21, value_items=1 << 40)
    with Pool(1, limits) as pool:
        large, small = pool.run(["output = list(range(4500))", "output = [1]"])
    assert large.ok and large.output == json.dumps(list(range(4500)), separators=(",", ":")) and small.output == "[1]"


def test_a_damaged_library_is_compiled_again(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    make = native.library.__wrapped__
    made = make()
    (kept,) = (tmp_path / "caco_recipes").iterdir()
    assert make() == made and kept.stat().st_size == len(made) + 32
    kept.write_bytes(kept.read_bytes()[:5000])
    assert make() == made and kept.stat().st_size == len(made) + 32


GATHER = """
import ctypes, decimal, fractions, random, statistics, sys
from caco_recipes.sandbox import memory
library = ctypes.PyDLL(sys.argv[1])
before = len(memory.mappings())
assert memory.gather_mappings({}, library.caco_gather)
after = memory.mappings()
assert len(after) < before / 2 and any(rights == "rwxp" for _, _, rights, *_ in after)
assert statistics.mean([fractions.Fraction(1, 3), decimal.Decimal(1)][:1]) == fractions.Fraction(1, 3)
print("ok")
"""


def test_mappings_are_gathered_wherever_they_lie(tmp_path, root):
    """The addresses are other ones each time."""
    library = tmp_path / "library.so"
    library.write_bytes(native.library())
    for _ in range(15):
        done = subprocess.run([sys.executable, "-c", GATHER, str(library)], cwd=root, capture_output=True, text=True)
        assert done.stdout == "ok\n", done.stderr


def test_what_must_stay_in_its_place_does():
    page = 4096
    place = 1 << 30
    found = []
    for rights, name in (("r--p", "/a.so"), ("r-xp", "/a.so"), ("rw-p", "/a.so"), ("rw-p", ""), ("rw-p!", ""), ("r--p", "/b.so"),
                         ("r-xp", "/b.so"), ("rw-p", "/b.so"), ("---p", ""), ("rw-s", "/dev/shm/x"), ("rw-p", "[stack]")):  # fmt: skip
        found.append((place, place + page, rights, name, page))
        place += page
    (one, other) = memory.stretches(found)
    assert one == (1 << 30, (1 << 30) + 4 * page, [(one[0] + n * page, one[0] + (n + 1) * page) for n in range(4)])
    assert other[:2] == ((1 << 30) + 5 * page, (1 << 30) + 9 * page) and len(other[2]) == 3


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
