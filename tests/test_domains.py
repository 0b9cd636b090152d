"""Domains: clear cases by hand, shares of labelled sources, given domains kept, hostile text no burden."""

import json
import time

import pytest
from stage_runs import kept, run_stages, write_json_lines

from caco_recipes.domains import DOMAINS, WORDS, domain_of, fields_of
from caco_recipes.identity import receipts


@pytest.mark.parametrize(
    ("problem", "field"),
    [
        ("Find the area of a triangle with sides 3, 4 and 5.", "math/geometry"),
        ("What is the remainder when $2^{10}$ is divided by 7?", "math/number_theory"),
        ("In how many ways can 5 people be seated in a row?", "math/counting"),
        ("A block of mass 3 kg slides with friction coefficient 0.2. Find its acceleration.", "science/physics"),
        ("How many moles of oxygen are needed to burn 2 moles of hydrogen?", "science/chemistry"),
        ("Write a Python function that returns the longest substring.", "code/programming"),
        ("A says that B is a knave. Knights always tell the truth.", "logic/deduction"),
        ("Each task has a duration and prerequisites. What is the earliest finish of the schedule?", "planning/scheduling"),
        ("xyzzy", "math/arithmetic"),
        ("", "math/arithmetic"),
    ],
)  # fmt: skip
def test_clear_cases(problem, field):
    assert fields_of(problem)[0] == field
    assert domain_of(problem) == field.partition("/")[0]


def test_imports_tell_where_words_do_not():
    assert fields_of("Compute the value.", "from scipy.constants import c\n")[0] == "science/physics"
    assert fields_of("Compute the value.", "x = 'import scipy.constants'\n")[0] == "math/arithmetic"


def test_a_word_counts_once_and_beginnings_are_not_found_inside_words():
    assert fields_of("prime " * 50 + "triangle circle angle radius")[0] == "math/geometry"
    assert "science/chemistry" not in fields_of("The station has a motion detector.")  # ion
    assert {field.partition("/")[0] for field in WORDS} == set(DOMAINS)


def test_labelled_sources(shared):
    """Half of the second-best domain of the table in docs/stages.md would fail here."""
    rows = [json.loads(line) for line in (shared / "data/seeds/seeds_math.jsonl").read_text().splitlines()]
    mathematics = [row["problem"] for row in rows if row["source"] in ("MATH", "GSM8K")][::10]
    assert sum(domain_of(problem) == "math" for problem in mathematics) > 0.94 * len(mathematics)
    geometry = [row["problem"] for row in rows if row["type"] == "Geometry"][::3]
    assert sum(fields_of(problem)[0] == "math/geometry" for problem in geometry) > 0.85 * len(geometry)
    lines = (shared / "data/seeds/kodcode_samples.jsonl").read_text().splitlines()
    tasks = [json.loads(line)["prompt"] for line in lines]
    assert sum(domain_of(task) == "code" for task in tasks) > 0.95 * len(tasks)


def test_the_stage_keeps_given_domains_and_any_shards_give_the_same(tmp_path):
    seeds = [
        {"problem": "A block of mass 3 kg has what kinetic energy at 2 m/s?"},
        {"problem": "Find the area of a triangle.", "domain": "code"},
        {"problem": "Find the perimeter of a triangle."},
    ]
    path = write_json_lines(tmp_path / "seeds.jsonl", seeds)
    made = {}
    for rows in (1, 100):
        stages = {"seeds": {"sources": [{"path": str(path)}]}, "domains": {}}
        run = run_stages(tmp_path, stages, shard_rows=rows, name=f"r{rows}")
        made[rows] = kept(run, "domains")
    assert made[1] == made[100]
    assert [(row["domain"], row["domain_rule"]) for row in made[1]] == [
        ("science", "rules"), ("code", "given"), ("math", "rules"),
    ]  # fmt: skip
    assert made[1][0]["domains"][0] == "science/physics"
    assert receipts(made[1][1]["lineage"])[-1]["rule"] == "given"


@pytest.mark.parametrize("text", ["(" * 100_000, "a" * 100_000, "12 " * 50_000, "\ud800\x00 prime", "\\int " * 20_000])
def test_hostile_texts_end(text):
    started = time.process_time()
    assert fields_of(text)
    assert time.process_time() - started < 5
