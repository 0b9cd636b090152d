"""Composition: the joined program computes what the two compute one after the other, whatever their names."""

import json

import pytest
from stage_runs import dropped, kept, run_stages, write_json_lines

from caco_recipes import compose, identity, pipeline
from caco_recipes.composition import join
from caco_recipes.sandbox import Pool

PLAIN = "def solve({0}):\n    return {1}\n\n\ninput = {2}\noutput = solve(**input)\nprint(output)\n"
FIRST = PLAIN.format("n, m", "n * m + 1", '{"n": 4, "m": 6}')
SECOND = PLAIN.format("n, k", "n - k", '{"n": 20, "k": 3}')

HARD_FIRST = """\
from math import gcd
import math, json as j
rate = 3
class Thing:
    rate = 5
    def get(self, n=rate):
        return n + self.rate + rate
def solve(n, composed):
    '''doc'''
    global count
    count = 2
    return Thing().get() + gcd(n, composed) * count
input = {"n": 4, "composed": math.floor(6.5)}
output = solve(**input)
print(output)
"""
HARD_SECOND = """\
from sympy import gcd
import math
rate, count = 10, 1
def helper(y, *, rate=rate):
    def inner():
        nonlocal y
        y += 1
        return y
    return inner() + rate
def solve(n, k):
    table = [rate * i for i in range(k) if (lambda rate: rate)(i)]
    try:
        raise ValueError
    except ValueError as solve_error:
        count = 4
    return int(gcd(n, 12)) + helper(y=n) + sum(table) + {rate: count for rate in (7,)}[7]
input = {"n": 21, "k": 3}
output = solve(**input)
print(output)
"""


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1) as pool:
        yield pool


def one_after_the_other(pool, first, second, key):
    """The output of the second program when its input `key` is the first one's output."""
    value = json.loads(pool.run_one(second).input) | {key: json.loads(pool.run_one(first).output)}
    (result,) = pool.run_variants(second, [json.dumps(value)])
    return result


@pytest.mark.parametrize(
    ("first", "second", "key"),
    [(FIRST, SECOND, "n"), (FIRST, SECOND, "k"), (HARD_FIRST, HARD_SECOND, "n"), (HARD_SECOND, HARD_FIRST, "n"),
     (HARD_FIRST, HARD_FIRST.replace("return Thing", "return 1 + Thing"), "composed"), (SECOND, HARD_SECOND, "k")],
)  # fmt: skip
def test_the_joined_program_computes_what_the_two_compute(pool, first, second, key):
    (made,) = join(pool, [(first, second, key)])
    assert not made.fault
    result = pool.run_one(made.code)
    assert result.ok and result.output == one_after_the_other(pool, first, second, key).output


def test_real_programs_joined_in_every_fitting_way(pool, root):
    """Recorded programs of many styles: whatever is joined gives exactly the output of the two in a row."""
    from caco_recipes.code_cot import extract_program

    lines = (root / "recipes/quickstart/data/recorded.jsonl").read_text().splitlines()
    rows = [row for row in map(json.loads, lines) if row["stage"] == "unify"]
    codes = [extract_program(row["text"]) for row in rows][:70]
    results = list(pool.run(codes))
    executed = [
        {"id": str(i), "family_id": "", "code": code, "input": r.input or "", "output": r.output, "domain": ""}
        for i, (code, r) in enumerate(zip(codes, results))
        if r.ok and r.output
    ]
    partners = [
        compose.Partner(row, key, value) for row in executed for key, value in compose.numeric_inputs(row["input"])
    ]
    resources = compose.Resources(partners, pool, 42)
    pairs = [(row, p) for row in executed for p in compose.choose(row, compose.Config(), resources)]
    made = join(pool, [(row["code"], p.row["code"], p.key) for row, p in pairs])
    good = [(row, p, one.code) for (row, p), one in zip(pairs, made) if one.code]
    assert len(pairs) > 30 and len(good) > 0.8 * len(pairs)
    joined = pool.run([code for _, _, code in good])
    same = 0
    for (row, p, _), result in zip(good, joined):
        value = json.loads(p.row["input"]) | {p.key: json.loads(row["output"])}
        (expected,) = pool.run_variants(p.row["code"], [json.dumps(value)])
        assert (result.status, result.output) == (expected.status, expected.output)
        same += result.ok
    assert same > 0.5 * len(good)


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("output = solve(**input)", "output = solve(input)"), "f(**input)"),
        (("print(output)", "print(output)\nprint(1)"), "behind its output"),
        (("print(output)", ""), "does not print"),
        (("def solve", "from math import *\ndef solve"), "everything of a module"),
        (("return n", "return eval('n')"), "its own names"),
        (('"n": 20', "5: 20"), "no names"),
        (("def solve", "def solve("), "no Python program"),
        (("input = {", "input = dict(**{"), "no Python program"),
    ],
)
def test_programs_of_another_form_are_refused(pool, change, fault):
    (made,) = join(pool, [(FIRST, SECOND.replace(*change), "n")])
    assert not made.code and fault in made.fault and not made.infrastructure
    assert join(pool, [(FIRST, SECOND, "q")])[0].fault == "the second program has no such input"


def test_hostile_sources_don_t_stop_the_others(pool):
    bad = ["(" * 90_000, "-" * 30_000 + "1", "\ud800", "x" * 70_000]
    made = join(pool, [(FIRST, SECOND, "n"), *((text, SECOND, "n") for text in bad), (SECOND, FIRST, "n")])
    assert made[0].code and made[-1].code and not any(one.code for one in made[1:-1])


def made_run(folder, count=12, **keys):
    folder.mkdir(parents=True, exist_ok=True)
    seeds = []
    for index in range(count):
        code = PLAIN.format("n, m", f"n + m * {index + 2}", f'{{"n": {10 + index}, "m": 3}}')
        code = code.replace("    return", f"    # step {index}\n    value = 0\n    return value +")
        domain = "code" if index == 3 else "math"
        licence = "MIT" if index % 2 else "Apache-2.0"
        seeds.append({"problem": f"P{index}?", "program": code, "domain": domain, "licence": licence, "tests": ""})
    path = write_json_lines(folder / "seeds.jsonl", seeds)
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "unify": {"method": "mechanical", "only": "with_program"},
        "execute": {"rules": "none"},
        "compose": {} | keys,
        "composed": {"stage": "execute", "rules": "caco"},
    }
    return run_stages(folder, stages, shard_rows=4 if folder.name == "many" else 100)


def test_the_stage_gives_new_rows_with_both_parents(tmp_path, pool):
    run = made_run(tmp_path / "one")
    rows = {row["id"]: row for row in kept(run, "execute")}
    made = kept(run, "compose")
    assert len(made) >= 8 and not dropped(run, "compose")
    for row in made:
        first, second = (rows[parent] for parent in row["parent_ids"])
        assert first["id"] != second["id"] and row["family_id"] == first["family_id"] and row["source"] == "composed"
        assert row["domain"] == first["domain"] == second["domain"] == "math"
        assert row["licence"] == " AND ".join(sorted({first["licence"], second["licence"]}))
        assert row["problem"] == "" and row["output"] == "" and row["expected_answer"] == ""
        receipt = identity.receipts(row["lineage"])[-1]
        assert (receipt["second"], receipt["key"]) == (second["id"], row["composed_key"])
    for row in kept(run, "composed"):
        first, second = (rows[parent] for parent in row["parent_ids"])
        fed = json.loads(second["input"]) | {row["composed_key"]: json.loads(first["output"])}
        assert pool.run_variants(second["code"], [json.dumps(fed)])[0].output == row["output"]
    assert len(kept(run, "composed")) == len(made)


def test_the_pairs_depend_on_seed_and_content_not_on_shards(tmp_path):
    one, many = made_run(tmp_path / "one"), made_run(tmp_path / "many")
    assert [row["id"] for row in kept(one, "compose")] == [row["id"] for row in kept(many, "compose")]
    other = pipeline.load_run(tmp_path / "one" / "recipe.yaml", {"seed": "7", "name": "other"})
    pipeline.run_steps(other)
    assert [row["id"] for row in kept(other, "compose")] != [row["id"] for row in kept(one, "compose")]


def test_what_fits():
    config = compose.Config()
    values = (20, 20.0, -20, 0, 5)
    rows = [{"id": str(value), "family_id": "", "domain": ""} for value in values]
    partners = [compose.Partner(row, "n", value) for row, value in zip(rows, values)]
    resources = compose.Resources(partners, None, 1)

    def fitting(text):
        row = {"id": "a", "family_id": "f", "domain": "", "output": text}
        return sorted(p.id for p in compose.choose(row, config, resources))

    assert fitting("8") == fitting("20") == ["20", "5"] and fitting("80") == ["20"] and fitting("81") == []
    assert fitting("8.0") == ["20.0"] and fitting("-8") == ["-20"] and fitting("0") == ["0"] and fitting("4") == ["5"]
    assert compose.numeric_inputs('{"a": 1, "b": true, "c": "2", "d": [1], "e": {"$frac": "1/2"}, "f": 2.5}') == [
        ("a", 1),
        ("f", 2.5),
    ]
    resources = compose.Resources([compose.Partner({"id": "b", "family_id": "", "domain": ""}, "n", 5)], None, 1)
    row = {"id": "a", "family_id": "f", "domain": ""}
    assert [len(compose.choose(row | {"output": text}, config, resources)) for text in
            ("7", "true", '"7"', "1e300", '{"$frac": "7/1"}', "", "[7]")] == [1, 0, 0, 0, 0, 0, 0]  # fmt: skip
    assert not compose.choose(row | {"output": "7", "family_id": "b"}, config, resources)


def test_keys_that_make_no_sense():
    with pytest.raises(ValueError, match="at least 1"):
        compose.Config(per_program=0)
    with pytest.raises(ValueError, match="size_factor"):
        compose.Config(size_factor=0.5)
