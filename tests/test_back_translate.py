"""Back-translation: problems in completions, original problems by name, several problems of one program."""

import pytest
from stage_runs import dropped, kept, recording, run_stages, write_json_lines

from caco_recipes import identity
from caco_recipes.back_translate import Config, draw_style, extract_problem

PROGRAM = "n = 3\nprint(n * 2)"


@pytest.mark.parametrize(
    "completion, problem",
    [
        ("<problem>\nHow many?\n</problem>", "How many?"),
        ("Draft: <problem>One</problem> better: <problem>Two $x$ \\frac{1}{2}</problem>", "Two $x$ \\frac{1}{2}"),
        ("<problem>\nHow many?", "How many?"),
        ("<think>hm <problem>no</problem></think>\n<problem>Yes?</problem>", "Yes?"),
        ("**Problem:** How many?", "How many?"),
        ("How many apples are left?", "How many apples are left?"),
        ("How many?\n\n**Solution:** It is 6.", "How many?"),
        ("How many?\nAnswer: 6", "How many?"),
        ("```python\nprint(1)\n```", ""),
        ("", ""),
    ],
)
def test_the_problem_in_a_completion(completion, problem):
    assert extract_problem(completion) == problem


def stages(tmp_path, **keys):
    seeds = [
        {"problem": "Twice three?", "program": PROGRAM, "answer": "6"},
        {"problem": "Thrice?", "program": PROGRAM + "+ 1"},
    ]
    seeds[1]["program"] = "m = 4\nprint(m * 3)"
    path = write_json_lines(tmp_path / "seeds.jsonl", seeds)
    return {
        "seeds": {"sources": [{"path": str(path)}]},
        "unify": {"method": "mechanical"},
        "back_translate": keys,
    }


def codes(tmp_path):
    (tmp_path / "codes").mkdir()
    run = run_stages(tmp_path / "codes", stages(tmp_path, problems="original"))
    return kept(run, "unify")


def test_original_problems_go_through_the_door_under_their_name(tmp_path):
    run = run_stages(tmp_path, stages(tmp_path, problems="original"))
    rows = kept(run, "back_translate")
    assert [(row["problem"], row["problem_origin"]) for row in rows] == [
        ("Twice three?", "original"),
        ("Thrice?", "original"),
    ]
    programs = kept(run, "unify")
    assert rows[0]["parent_ids"][-1] == programs[0]["id"] == rows[0]["family_id"]
    assert identity.receipts(rows[0]["lineage"])[-1]["method"] == "original"


def test_a_models_problem_replaces_the_seeds_and_its_origin_is_told(tmp_path):
    first, second = codes(tmp_path)
    answers = [
        recording("back_translate", first["code"], "<problem>A farmer doubles 3 sheep.</problem>"),
        recording("back_translate", second["code"], " Thrice? "),
    ]
    rows = kept(run_stages(tmp_path, stages(tmp_path, engine="recorded"), answers), "back_translate")
    assert [(row["problem"], row["problem_origin"]) for row in rows] == [
        ("A farmer doubles 3 sheep.", "back_translated"),
        ("Thrice?", "original"),
    ]
    assert identity.receipts(rows[0]["lineage"])[-1]["style"]


def test_one_program_gives_several_problems_of_one_family(tmp_path):
    first, second = codes(tmp_path)
    answers = [recording("back_translate", first["code"], f"<problem>Story {k}?</problem>") for k in range(2)]
    answers.append(recording("back_translate", second["code"], "<problem>Only one?</problem>"))
    run = run_stages(tmp_path, stages(tmp_path, engine="recorded", num_problems=2), answers)
    rows = kept(run, "back_translate")
    assert [row["problem"] for row in rows] == ["Story 0?", "Story 1?", "Only one?"]
    assert rows[0]["family_id"] == rows[1]["family_id"] != rows[2]["family_id"]
    assert len({row["id"] for row in rows}) == 3
    assert [row["reason"] for row in dropped(run, "back_translate")] == ["infrastructure:no recording"]


def test_only_recorded_leaves_other_programs_out(tmp_path):
    first, _ = codes(tmp_path)
    answers = [recording("back_translate", first["code"], "Q?")]
    run = run_stages(tmp_path, stages(tmp_path, engine="recorded", only="recorded"), answers)
    assert [row["problem"] for row in kept(run, "back_translate")] == ["Q?"]
    assert run.step_folder("back_translate").manifest()["totals"]["rows"] == 1


def test_styles_are_drawn_by_content_and_differ_for_one_program():
    config = Config(engine="x", num_problems=3)
    drawn = [draw_style(config, 42, "a1", index) for index in range(3)]
    assert len(set(drawn)) == 3
    assert drawn == [draw_style(config, 42, "a1", index) for index in range(3)]
    assert len({draw_style(config, 42, f"row{i}", 0) for i in range(60)}) >= 6
    assert draw_style(Config(engine="x", styles=["plainly."]), 1, "a", 5) == "plainly."


def test_recipes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="name the engine"):
        Config()
    with pytest.raises(ValueError, match="one original problem"):
        Config(problems="original", num_problems=2)
