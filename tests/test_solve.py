"""Solve: the request holds the problem and nothing of the program; boxed answers; cut-off solutions are none."""

import pytest
from nano_model import nano_model
from stage_runs import dropped, kept, recording, run_stages, write_json_lines

from caco_recipes import identity
from caco_recipes.asking import Resources
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engines.recorded_engine import RecordedEngine
from caco_recipes.generation.session import Session
from caco_recipes.generation.store import Store
from caco_recipes.solve import Config, run


def rows_of(tmp_path, problems, texts, engines=None, **keys):
    path = write_json_lines(tmp_path / "seeds.jsonl", [{"problem": problem} for problem in problems])
    stages = {"seeds": {"sources": [{"path": str(path)}]}, "solve": {"engine": "recorded"} | keys}
    answers = [recording("solve", problem, text) for problem, text in texts] if engines is None else None
    return run_stages(tmp_path, stages, answers, engines)


def test_the_boxed_answer_is_taken_and_its_absence_counted(tmp_path):
    texts = [
        ("a", "At first it looks like \\boxed{3}.\n\nBut that counts twice. It is \\boxed{\\frac{1}{2}}."),
        ("b", "The answer is 7."),
        ("c", "<think>\\boxed{1}</think>So it is \\boxed{2}."),
    ]
    made = rows_of(tmp_path, ["a", "b", "c", "d"], texts)
    first, third = kept(made, "solve")
    assert first["predicted_answer"] == "\\frac{1}{2}" and first["finish_reason"] == "stop"
    assert third["predicted_answer"] == "2" and third["solution"] == "So it is \\boxed{2}."
    reasons = {row["problem"]: (row["verdict"], row["reason"]) for row in dropped(made, "solve")}
    assert reasons == {"b": ("rejected", "no_answer"), "d": ("undecided", "infrastructure:no recording")}
    assert identity.receipts(first["lineage"])[-1]["answer_rule"].startswith("boxed")


def test_other_rules_by_recipe(tmp_path):
    (row,) = kept(rows_of(tmp_path, ["b"], [("b", "The answer is 7.")], boxed=False), "solve")
    assert row["predicted_answer"] == "7"


def test_several_solutions_are_rows_of_their_own(tmp_path):
    texts = [("a", "\\boxed{1}"), ("a", "\\boxed{2}")]
    rows = kept(rows_of(tmp_path, ["a"], texts, num_solutions=2), "solve")
    assert [row["predicted_answer"] for row in rows] == ["1", "2"]
    assert len({row["id"] for row in rows}) == 2 and rows[0]["family_id"] == rows[1]["family_id"]


def test_a_solution_that_was_cut_off_is_rejected_whatever_it_holds(tmp_path):
    engine = {"engine": "transformers", "model": str(nano_model()), "batch_size": 4, "device": "cpu"}
    made = rows_of(tmp_path, ["a", "b"], [], {"recorded": engine}, max_tokens=4)
    assert not kept(made, "solve")
    rejected = dropped(made, "solve")
    assert [row["reason"] for row in rejected if row["finish_reason"] == "length"]
    assert {row["finish_reason"]: row["reason"] for row in rejected}["length"] == "truncated"


class Remembering(Session):
    """A session that also remembers what it was asked."""

    def complete(self, requests, progress=None):
        self.asked = list(requests)
        return super().complete(self.asked, progress)


def test_the_request_never_holds_anything_of_the_program(tmp_path):
    marks = {
        name: f"MARK_{name}" for name in ("code", "program", "output", "output_text", "answer", "expected_answer")
    }
    batch = {name: [mark] for name, mark in marks.items()} | {
        "id": ["1"],
        "problem": ["What is 2 + 2?"],
        "solution": ["MARK_solution"],
        "input": ["MARK_input"],
        "tests": ["MARK_tests"],
        "lineage": ['[{"stage":"unify","note":"MARK_lineage"}]'],
        "parent_ids": [["MARK_parent"]],
        "family_id": ["MARK_family"],
    }
    path = write_json_lines(tmp_path / "recordings.jsonl", [recording("solve", "What is 2 + 2?", "\\boxed{4}")])
    engine = RecordedEngine(EngineConfig(engine="recorded", path=str(path)))
    session = Remembering(engine, Store(tmp_path / "store"))
    made = run(batch, Config(engine="x"), Resources(session))
    session.close()
    assert made["predicted_answer"] == ["4"]
    (request,) = session.asked
    assert "What is 2 + 2?" in request.prompt
    assert "MARK_" not in request.prompt + request.subject


def test_defaults_are_the_papers():
    config = Config(engine="x")
    assert (config.temperature, config.top_p, config.top_k, config.min_p) == (0.7, 0.8, 20, 0.0)
    with pytest.raises(ValueError, match="name the engine"):
        Config()
