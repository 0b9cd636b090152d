"""Unify: through a (recorded) model and mechanically, which rows are taken, what becomes of bad completions."""

import json

import pytest
from stage_runs import dropped, kept, recording, run_stages, write_json_lines

from caco_recipes import identity, pipeline
from caco_recipes.recipe import RecipeError
from caco_recipes.unify import Config

COT = 'def f(n):\n    return n * 2\n\n\ninput = {"n": 3}\noutput = f(**input)\nprint(output)\n'
CODE_SEED = {
    "problem": "Join the words.",
    "program": "def join(words, glue):\n    return glue.join(words)",
    "tests": "assert join(['a', 'b'], '-') == 'a-b'",
    "domain": "code",
}


def unify(tmp_path, seeds, recordings, **keys):
    path = write_json_lines(tmp_path / "seeds.jsonl", seeds)
    stages = {"seeds": {"sources": [{"path": str(path)}]}, "unify": {"engine": "recorded"} | keys}
    if keys.get("method") == "mechanical":
        del stages["unify"]["engine"]
    return run_stages(tmp_path, stages, recordings, shard_rows=3)


def test_a_models_program_comes_out_of_its_fence_with_the_seeds_answer(tmp_path):
    run = unify(
        tmp_path, [{"problem": "P?", "answer": "6"}], [recording("unify", "P?", f"Sure:\n```python\n{COT}```")]
    )
    (row,) = kept(run, "unify")
    (seed,) = kept(run, "seeds")
    assert (row["code"], row["expected_answer"], row["unified_by"]) == (COT, "6", "model")
    assert row["parent_ids"] == [seed["id"]] and row["id"] == identity.draft_id(COT)
    receipt = identity.receipts(row["lineage"])[-1]
    assert (
        receipt["stage"] == "unify"
        and receipt["model"].startswith("recorded:")
        and len(receipt["prompt_sha256"]) == 64
    )


def test_bad_completions_are_rejected_with_their_reason(tmp_path):
    seeds = [{"problem": "prose?"}, {"problem": "silent?"}, CODE_SEED]
    recordings = [
        recording("unify", "prose?", "I would say that it is six."),
        recording("unify", "Join the words.", f"```python\n{COT}```"),
    ]
    run = unify(tmp_path, seeds, recordings)
    found = {row["problem"]: (row["verdict"], row["reason"]) for row in dropped(run, "unify")}
    assert found == {
        "prose?": ("rejected", "bad_row:program"),
        "silent?": ("undecided", "infrastructure:no recording"),
        "Join the words.": ("rejected", "no_answer"),
    }


def test_a_code_seeds_completion_states_the_answer_of_its_case(tmp_path):
    text = f"```python\n{COT}```\n<answer>'a-b'</answer>"
    (row,) = kept(unify(tmp_path, [CODE_SEED], [recording("unify", CODE_SEED["problem"], text)]), "unify")
    assert row["expected_answer"] == "a-b"


def test_the_prompt_shows_solution_program_and_tests(tmp_path):
    from caco_recipes.unify import _messages

    config = Config(engine="x")
    math = {"problem": "What is {x} \\cdot $2$?", "solution": "It's \\boxed{4}.", "domain": "math"}
    text = _messages(math, config)[0][0]["content"]
    assert math["problem"] in text and math["solution"] in text
    assert math["solution"] not in _messages(math, Config(engine="x", with_solution=False))[0][0]["content"]
    text = _messages(CODE_SEED, config)[0][0]["content"]
    assert CODE_SEED["program"] in text and CODE_SEED["tests"] in text


def test_mechanical_takes_seeds_with_a_program_and_runs_their_test(tmp_path):
    seeds = [
        {"problem": "none"},
        {"problem": "twice three?", "program": "n = 3\nprint(n * 2)", "answer": "6"},
        CODE_SEED,
        {"problem": "broken", "program": "n = = 3"},
    ]
    run = unify(tmp_path, seeds, None, method="mechanical")
    math, code = kept(run, "unify")
    assert math["unified_by"] == "mechanical" and math["expected_answer"] == "6"
    assert '"n": 3' in math["code"]
    assert code["expected_answer"] == "a-b" and "\"glue\": '-'" in code["code"]
    (broken,) = dropped(run, "unify")
    assert broken["reason"] == "syntax_error"


def test_auto_asks_the_model_only_where_it_must(tmp_path):
    seeds = [
        {"problem": "easy", "program": "n = 3\nprint(n * 2)"},
        {"problem": "broken", "program": "n = = 3"},
        {"problem": "none"},
    ]
    answers = [recording("unify", name, f"```python\n{COT}```") for name in ("broken", "none")]
    run = unify(tmp_path, seeds, answers, method="auto")
    assert [row["unified_by"] for row in kept(run, "unify")] == ["mechanical", "model", "model"]
    assert run.step_folder("unify").manifest()["totals"]["facts"]["requests"] == 2


@pytest.mark.parametrize(
    "only, problems",
    [("with_program", ["b"]), ("without_program", ["a", "c"]), ("recorded", ["a", "b"]), ("all", ["a", "b"])],
)
def test_only_picks_rows_and_leaves_the_others_out(tmp_path, only, problems):
    seeds = [
        {"problem": "a"},
        {"problem": "b", "program": "print(1)"},
        {"problem": "c"},
        {"problem": "d", "program": ""},
    ]
    seeds = seeds[:3] if only != "all" else seeds[:2]
    answers = [recording("unify", name, f"```python\n{COT}```") for name in "ab"]
    run = unify(tmp_path, seeds, answers, only=only)
    found = [row["problem"] for row in [*kept(run, "unify"), *dropped(run, "unify")]]
    assert sorted(found) == problems
    assert run.step_folder("unify").manifest()["totals"]["rows"] == len(problems)


def test_a_shard_without_a_taken_row_is_an_empty_part(tmp_path):
    seeds = [{"problem": f"p{i}"} for i in range(4)]
    run = unify(tmp_path, seeds, [recording("unify", "p3", f"```python\n{COT}```")], only="recorded")
    assert [row["problem"] for row in kept(run, "unify")] == ["p3"]
    assert len(run.step_folder("unify").accepted_files()) == 2


def test_recipes_that_make_no_sense_are_refused(tmp_path):
    with pytest.raises(ValueError, match="name the engine"):
        Config()
    with pytest.raises(ValueError, match="nothing is asked"):
        Config(method="mechanical", engine="x")
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text(
        json.dumps(
            {
                "name": "t",
                "engines": {"e": {"engine": "openai", "model": "m", "base_url": ["http://127.0.0.1:9"]}},
                "stages": {"seeds": {"sources": [{"path": "x"}]}, "unify": {"engine": "e", "methd": "auto"}},
            }
        )
    )
    with pytest.raises(RecipeError, match="unknown key 'methd'; did you mean 'method'"):
        pipeline.load_run(recipe)
