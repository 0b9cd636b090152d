"""Verify: answers against executed outputs, the judge's word and probability, undecided never taken for right."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stage_runs import recording, write_json_lines

from caco_recipes import identity
from caco_recipes.generation import Completion
from caco_recipes.generation.config import EngineConfig
from caco_recipes.generation.engine import open_engine
from caco_recipes.generation.session import Session
from caco_recipes.generation.store import Store
from caco_recipes.grading import Grader
from caco_recipes.verify import Config, Verifier, read_opinion, run


@pytest.fixture(scope="module")
def grader():
    with Grader() as grader:
        yield grader


def batch_of(*rows):
    default = {"id": "x", "lineage": "", "problem": "P?", "solution": "S", "code": "C", "output_text": ""}
    rows = [default | {"problem": f"P{i}?"} | row for i, row in enumerate(rows)]
    return {name: [row.get(name) for row in rows] for name in dict.fromkeys(name for row in rows for name in row)}


def judged(tmp_path, recordings, batch, grader, **keys):
    path = write_json_lines(tmp_path / "recordings.jsonl", recordings)
    engine = open_engine(EngineConfig(engine="recorded", path=str(path)), "judge")
    session = Session(engine, Store(tmp_path / "store"))
    try:
        made = run(batch, Config(engine="judge", **keys), Verifier(session, 42, grader))
        return made, session.usage.requests_paid
    finally:
        session.close()


@pytest.mark.parametrize(
    "output, answer, verdict, reason",
    [
        ("6", "6", "accepted", ""),
        ("6", "7", "rejected", "answer_mismatch"),
        ('{"$frac": "1/2"}', "\\frac{1}{2}", "accepted", ""),
        ("0.3333333333", "0.33", "accepted", ""),
        ("6", "", "rejected", "no_answer"),
        ("", "6", "rejected", "no_output"),
    ],
)
def test_answers_against_outputs(grader, output, answer, verdict, reason):
    made = run(batch_of({"output": output, "predicted_answer": answer}), Config(), Verifier(None, 42, grader))
    assert (made["verdict"], made["reason"]) == ([verdict], [reason])
    assert made["answer_verdict"] == [verdict] and made["judge_verdict"] == [""]
    receipt = identity.receipts(made["lineage"][0])[-1]
    assert receipt["policy"] == "rounding" and receipt["grader"] and "model" not in receipt


def test_rounding_is_a_policy(grader):
    batch = batch_of({"output": "0.3333333333", "predicted_answer": "0.33"})
    assert run(batch, Config(policy="exact"), Verifier(None, 42, grader))["verdict"] != ["accepted"]


def test_what_the_grader_cannot_compare_stays_undecided(grader):
    batch = batch_of(
        {
            "output": json.dumps({"$repr": {"class": "Circle", "text": "<Circle at ...>"}}),
            "predicted_answer": "the circle of radius two",
            "output_text": "<Circle at ...>",
        }
    )
    made = run(batch, Config(), Verifier(None, 42, grader))
    assert made["verdict"] != ["accepted"]
    assert made["answer_verdict"] == made["verdict"]


def test_the_judge_decides_among_rows_whose_answers_agree(tmp_path, grader):
    batch = batch_of(
        {"output": "1", "predicted_answer": "1"},
        {"output": "1", "predicted_answer": "1"},
        {"output": "1", "predicted_answer": "2"},
        {"output": "1", "predicted_answer": "1"},
        {"output": "1", "predicted_answer": "1"},
    )
    says = [("P0?", "Yes"), ("P1?", "No, step two is wrong."), ("P2?", "Yes"), ("P3?", "Perhaps.")]
    recordings = [recording("judge_consistent", problem, text) for problem, text in says]
    made, paid = judged(tmp_path, recordings, batch, grader, judge=True)
    assert made["verdict"] == ["accepted", "rejected", "rejected", "undecided", "undecided"]
    assert made["reason"] == [
        "",
        "judge_no",
        "answer_mismatch",
        "infrastructure:judge unclear",
        "infrastructure:no recording",
    ]
    assert made["judge_verdict"] == ["yes", "no", "", "unclear", "unclear"]
    assert paid == 4  # the row whose answer differs is not asked about


def test_measured_judges_decide_nothing(tmp_path, grader):
    batch = batch_of({"output": "1", "predicted_answer": "1"})
    recordings = [recording("judge_solvable", "P0?", "No"), recording("judge_correct", "P0?", "No")]
    made, _ = judged(tmp_path, recordings, batch, grader, measure=["solvable", "correct"])
    assert made["verdict"] == ["accepted"]
    assert (made["solvable"], made["correct"], made["judge_verdict"]) == (["no"], ["no"], [""])
    receipt = identity.receipts(made["lineage"][0])[-1]
    assert set(receipt["prompt_sha256"]) == {"judge_solvable", "judge_correct"}


def test_what_each_judge_is_shown():
    from caco_recipes.verify import judge_messages

    row = {"problem": "THE PROBLEM", "solution": "THE SOLUTION", "code": "THE CODE", "output_text": "THE OUTPUT"}
    texts = {judge: judge_messages(row, judge)[0]["content"] for judge in ("consistent", "solvable", "correct")}
    assert all("THE PROBLEM" in text and "THE OUTPUT" not in text for text in texts.values())
    assert "THE CODE" in texts["consistent"] and "THE SOLUTION" in texts["consistent"]
    assert "THE CODE" not in texts["correct"] + texts["solvable"] and "THE SOLUTION" not in texts["solvable"]


@given(st.floats(-20, 0), st.floats(-20, 0))
def test_probability_of_yes_among_yes_and_no(yes, no):
    logprobs = {"Yes": yes, " no": no, "The": -0.1}
    opinion = read_opinion(Completion("Yes", "stop", first_token_logprobs=logprobs))
    expected = math.exp(yes) / (math.exp(yes) + math.exp(no))
    assert opinion.probability == pytest.approx(expected)


def test_spellings_add_up_and_a_threshold_decides():
    from caco_recipes.verify import _decided

    logprobs = {"Yes": math.log(0.3), " yes": math.log(0.3), "No": math.log(0.2)}
    opinion = read_opinion(Completion("No", "length", first_token_logprobs=logprobs))
    assert opinion.word == "no" and opinion.probability == pytest.approx(0.75)
    assert _decided(opinion, Config(engine="x", judge=True)) == ("rejected", "judge_no")
    assert _decided(opinion, Config(engine="x", judge=True, threshold=0.7)) == ("accepted", "")
    assert _decided(opinion, Config(engine="x", judge=True, threshold=0.8)) == ("rejected", "judge_no")
    assert read_opinion(Completion("Yes", "stop")).probability is None


@pytest.mark.parametrize(
    "text, word",
    [("Yes", "yes"), ("**No**.", "no"), ("<think>no</think> Yes", "yes"), ("Nothing", "unclear"), ("", "unclear")],
)
def test_a_judges_word(text, word):
    assert read_opinion(Completion(text, "stop")).word == word


def test_recipes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="name the engine"):
        Config(judge=True)
    with pytest.raises(ValueError, match="between 0 and 1"):
        Config(threshold=1.5)
