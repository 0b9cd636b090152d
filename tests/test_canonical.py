"""Program identity: layout, comments and docstrings don't count; everything that runs does."""

import pytest

from caco_recipes.canonical import program_hashes
from caco_recipes.sandbox import Pool

PROGRAM = 'def f(a):\n    """Doc."""\n    return a + 1\n\ninput = {"a": 1}\noutput = f(**input)\nprint(output)\n'


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1) as pool:
        yield pool


def test_what_counts_and_what_does_not(pool):
    same = PROGRAM.replace('    """Doc."""\n', "    # a comment\n\n").replace('"a": 1', "'a':1")
    other = PROGRAM.replace("+ 1", "+ 2")
    first, second, third = program_hashes(pool, [PROGRAM, same, other])
    assert first == second != third and len(first) == 64


def test_hostile_sources_cost_only_themselves(pool):
    deep = "x = " + "(" * 90 + "1" + ")" * 90
    nested = "x = " + "-" * 20_000 + "1"
    codes = [PROGRAM, "def (", nested, "", "\ud800 = 1", "x" * 100_000, "a\x00b", deep, PROGRAM]
    hashes = program_hashes(pool, codes)
    assert hashes[0] == hashes[-1] and len(hashes[0]) == 64
    assert hashes[1:7] == [""] * 6
    assert program_hashes(pool, []) == []
