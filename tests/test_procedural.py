"""Procedural seeds: two independent ways to the answer agree, rows depend on seed and number, the recipe runs."""

import json

import pytest

from caco_recipes import cli, pipeline
from caco_recipes.grading import Grader, extract
from caco_recipes.procedural import KINDS, generate
from caco_recipes.run_folder import StepFolder
from caco_recipes.sandbox import Pool
from caco_recipes.seeds import Source

COUNT = 25


@pytest.fixture(scope="module")
def made():
    return {kind: list(generate(kind, COUNT, seed=3)) for kind in KINDS}


def test_the_programs_compute_the_answers_and_keep_the_papers_rules(made):
    rows = [row for several in made.values() for row in several]
    with Pool(workers=1, rules="caco") as pool, Grader() as grader:
        for row, result in zip(rows, pool.run([row["program"] for row in rows]), strict=True):
            assert (result.status, result.reason) == ("ok", ""), row["problem"]
            assert grader.grade(row["answer"], result.output, kind="typed", policy="exact").accepted, row["problem"]


def test_solutions_end_in_the_boxed_answer(made):
    for row in (row for several in made.values() for row in several):
        found = extract(row["solution"])
        assert found.rule.startswith("boxed") and found.answer == row["answer"]


def test_answers_vary(made):
    """A kind whose answer hardly varies could be guessed."""
    for kind, rows in made.items():
        answers = [row["answer"] for row in rows]
        assert max(map(answers.count, answers)) <= 0.6 * COUNT, kind


def test_every_input_matters_to_a_problem_of_science(made):
    """Another input, another answer: what the problem states is what the program uses."""
    with Pool(workers=1) as pool:
        for row in made["mechanics"][:8]:
            result = pool.run_one(row["program"])
            value = json.loads(result.input)
            changed = [value | {key: item * 1.5} for key, item in value.items() if isinstance(item, int | float)]
            outputs = [one.output for one in pool.run_variants(row["program"], [json.dumps(item) for item in changed])]
            assert changed and result.output not in outputs


def test_same_seed_same_rows_and_more_rows_keep_the_first(made):
    for kind in KINDS:
        assert list(generate(kind, 5, seed=3)) == made[kind][:5]
        assert next(generate(kind, 1, seed=4)) != made[kind][0]
        assert len({row["problem"] for row in made[kind]}) == COUNT


def test_unknown_kinds_and_mixed_sources_are_refused():
    with pytest.raises(ValueError, match="did you mean 'knights'"):
        Source(procedural="knigths")
    with pytest.raises(ValueError, match="no set, path"):
        Source(procedural="knights", path="x.jsonl")
    with pytest.raises(ValueError, match="at least 1"):
        Source(procedural="knights", count=0)
    with pytest.raises(ValueError, match="no procedural kind"):
        next(generate("riddles", 1, 1))


def test_a_small_run_of_the_recipe(root, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(root)
    path = "recipes/logic-and-science/small.yaml"
    sources = [{"procedural": kind, "count": 3} for kind in ("knights", "schedules", "mechanics")]
    words = ["--output_dir", str(tmp_path), "--workers", "1", "--stages.seeds.sources", json.dumps(sources)]
    words += ["--stages", "seeds,domains,unify,execute_seeds,code_cots,originals,difficulty"]
    assert cli.main(["run", path, *words]) == 0
    rows = list(StepFolder(tmp_path / "logic-and-science-small" / "difficulty").read())
    assert len(rows) == 9 and {row["domain"] for row in rows} == {"logic", "planning", "science"}
    assert all(row["cyclomatic"] >= 1 and row["licence"] == "CC0-1.0" and row["problem"] for row in rows)
    assert all(row["output"] and row["unified_by"] == "mechanical" for row in rows)
    capsys.readouterr()
    assert cli.main(["run", "recipes/logic-and-science", "--dry-run"]) == 0
    shown = capsys.readouterr().out
    assert "# domain: " in shown and "compose" in shown and "difficulty" in shown


def test_the_recipes_domains_are_what_the_tagger_knows(root):
    from caco_recipes.domains import DOMAINS

    run = pipeline.load_run(root / "recipes" / "logic-and-science")
    assert set(run.step("sample").config.domains) <= set(DOMAINS) and set(KINDS.values()) <= set(DOMAINS)
