"""The faithful stage: static look-ups, the blind check with recorded programs, and what an infrastructure fault does."""

import json

import pytest
from stage_runs import dropped, kept, recording, run_stages, write_json_lines

from caco_recipes import faithful
from caco_recipes.faithful import Config
from caco_recipes.families.blind import aligned, constants
from caco_recipes.verdicts import check_reason

PROBLEM = "A shop sells 12 pens at $2.50 each and takes 20% off the total. What is to be paid?"
CODE = """def pay(pens, price, discount):
    # the full price
    total = pens * price
    # less the discount
    return total * (1 - discount)

input = {"pens": 12, "price": 2.5, "discount": 0.2}
output = pay(**input)
print(output)
"""
BLIND = """Here it is:
```python
def cost(number_of_pens, price_each, percent_off):
    total = number_of_pens * price_each
    return total - total * percent_off / 100

input = {"number_of_pens": 12, "price_each": 2.50, "percent_off": 20}
output = cost(**input)
print(output)
```"""


def check(problem, value, **keys):
    batch = {"problem": [problem], "code": [CODE], "input": [json.dumps(value)], "output": ["24.0"], "lineage": [""]}
    out = faithful.run(batch, Config(**keys), faithful.Checker(None))
    assert check_reason(out["reason"][0]) == out["reason"][0]
    return out["verdict"][0], out["reason"][0], json.loads(out["faithfulness"][0])["static"]


@pytest.mark.parametrize(
    ("problem", "value", "keys", "verdict", "reason"),
    [
        (PROBLEM, {"pens": 12, "price": 2.5, "discount": 0.2}, {}, "accepted", ""),
        (PROBLEM, {"pens": 12, "price": 250, "off": 20, "note": "pens"}, {}, "accepted", ""),
        (PROBLEM.replace("12", "a dozen"), {"pens": 12}, {}, "accepted", ""),
        (PROBLEM.replace("12", "17"), {"pens": 12, "price": 2.5}, {}, "rejected", "unfaithful:pens"),
        (
            PROBLEM.replace("and takes 20% off the total", ""),
            {"pens": 12, "off": 0.2},
            {},
            "rejected",
            "unfaithful:off",
        ),
        (PROBLEM, {"pens": 12, "total": 30}, {}, "undecided", "unfaithful:total"),
        (PROBLEM, {"pens": 12, "total": 30}, {"derived": "accept"}, "accepted", ""),
        (PROBLEM, {"pens": 12, "total": 30}, {"derived": "reject"}, "rejected", "unfaithful:total"),
        (PROBLEM, {"pens": 99}, {"static": False}, "accepted", ""),
        (PROBLEM, {}, {}, "accepted", ""),
        ("", {"pens": 12}, {}, "rejected", "unfaithful:pens"),
    ],
)
def test_static(problem, value, keys, verdict, reason):
    assert check(problem, value, **keys)[:2] == (verdict, reason)


def test_a_rejected_row_says_which_value():
    *_, told = check(PROBLEM.replace("12", "17"), {"pens": 12, "price": 2.5})
    assert told == [{"key": "pens", "state": "missing", "value": "12"}]


def test_inputs_are_matched_by_value():
    ours, theirs = {"pens": 12, "discount": 0.2}, {"count": 12, "percent": 20}
    assert aligned(ours, theirs, {"pens": 9, "discount": 0.2}) == {"count": 9, "percent": 20}
    assert aligned(ours, theirs, {"pens": 12, "discount": 0.35}) == {"count": 12, "percent": 35}
    assert aligned(ours, {"a": 12, "b": 12}, {"pens": 9, "discount": 0.2}) is None  # either could be meant
    assert aligned({"a": 12, "b": 12}, {"x": 12}, {"a": 9, "b": 12}) is None
    assert aligned({"xs": [1, 2]}, {"values": [1, 2]}, {"xs": [3, 4]}) == {"values": [3, 4]}
    assert aligned({"a": 3}, {"$tuple": [3]}, {"a": 4}) is None
    assert aligned({"a": 10}, {"b": 10}, {"a": 4}, constants("def f(b):\n    return b + 10 * 12\n")) is None
    assert aligned({"a": 10}, {"b": 10}, {"a": 4}, constants("def f(b):  # 10 of them\n    return b * 2\n")) == {
        "b": 4
    }


def blind_run(folder, text, problem=PROBLEM, answer="24.0", code=CODE, **keys):
    seeds = [{"problem": problem, "answer": answer, "program": code, "source": "t", "licence": "MIT"}]
    path = write_json_lines(folder / "seeds.jsonl", seeds)
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "unify": {"method": "mechanical"},
        "execute": {},
        "metamorphic": {"reruns": 0},
        "faithful": {"blind": True, "engine": "recorded"} | keys,
    }
    run = run_stages(folder, stages, [recording("blind_program", problem if text else "another one", text)])
    (row,) = kept(run, "faithful") or dropped(run, "faithful")
    return row, json.loads(row["faithfulness"]).get("blind", {})


def test_a_blind_program_agrees_on_the_whole_family(tmp_path):
    row, compared = blind_run(tmp_path, BLIND)
    assert (row["verdict"], row["blind_verdict"], row["reason"]) == ("accepted", "agrees", "")
    assert compared["inputs"] > 5
    receipt = json.loads(row["lineage"])[-1]
    assert receipt["stage"] == "faithful" and receipt["prompt_sha256"]["blind_program"] and receipt["request_key"]


def test_the_input_that_programs_part_on_is_named(tmp_path):
    # 20 % off and 6 off are the same for these numbers alone.
    row, compared = blind_run(tmp_path, BLIND.replace("total * percent_off / 100", "percent_off * 0.3"))
    assert (row["verdict"], row["blind_verdict"]) == ("rejected", "disagrees")
    assert row["reason"] in ("unfaithful:pens", "unfaithful:price") and compared["parted"] in row["reason"]


def test_another_answer_to_the_problem(tmp_path):
    row, compared = blind_run(tmp_path, BLIND.replace("total -", "1 + total -"))
    assert (row["verdict"], row["reason"]) == ("rejected", "unfaithful:output")
    assert compared["outputs"] == ["24.0", "25.0"]


@pytest.mark.parametrize(
    "text", ["I can't do that.", "```python\ndef f(:\n```", BLIND.replace("total -", "undefined -")]
)
def test_a_model_without_a_program_says_nothing(tmp_path, text):
    row, _ = blind_run(tmp_path, text)
    assert (row["verdict"], row["blind_verdict"]) == ("undecided", "no_program")
    assert row["reason"] == "infrastructure:no blind program"


def test_a_missing_program_can_be_let_pass(tmp_path):
    row, _ = blind_run(tmp_path, "No.", blind_missing="accept")
    assert row["verdict"] == "accepted"


def test_an_engine_that_fails_rejects_nothing(tmp_path):
    row, _ = blind_run(tmp_path, "")  # no recording: the engine has no answer
    assert row["verdict"] == "undecided" and row["reason"].startswith("infrastructure:")


def test_agreement_decides_what_the_text_leaves_open(tmp_path):
    code = CODE.replace('"discount": 0.2', '"discount": 6').replace("total * (1 - discount)", "total - discount")
    problem = "A shop sells 12 pens at $2.50 each and then takes a fifth of the 30 off. What is to be paid?"
    text = (
        BLIND.replace('"percent_off": 20', '"off": 6')
        .replace("percent_off", "off")
        .replace("total * off / 100", "off")
    )
    row, _ = blind_run(tmp_path, text, problem=problem, code=code)
    assert json.loads(row["faithfulness"])["static"][0]["state"] == "derived"
    assert (row["verdict"], row["blind_verdict"]) == ("accepted", "agrees")


def test_the_blind_check_needs_an_engine():
    with pytest.raises(ValueError, match="engine"):
        Config(blind=True)
