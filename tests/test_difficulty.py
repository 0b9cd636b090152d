"""Difficulty: pass rates with intervals, undecided attempts count neither way, hard rows get more, easy ones are capped."""

import json

import pytest
from stage_runs import dropped, kept, recording, requests_stored, run_stages, write_json_lines

from caco_recipes import difficulty_histogram, identity, pipeline
from caco_recipes.complexity import Complexity, complexities
from caco_recipes.difficulty import Config, drawn
from caco_recipes.evaluation.metrics import wilson
from caco_recipes.sandbox import Pool

CODE = """\
def double(n):
    # twice
    total = 0
    for step in range(2):
        total += n
    return total


input = {{"n": {n}}}
output = double(**input)
print(output)
"""


def measured(folder, texts, seeds=None, shard=2, **keys):
    """A run whose difficulty step gets one attempt per text; the problems' answers are 2, 4, 6, …"""
    folder.mkdir(parents=True, exist_ok=True)
    problems = [f"Twice {n}?" for n in range(1, len(texts) + 1)]
    seeds = seeds or [{"problem": problem, "solve_rate": 0.25} for problem in problems]
    recordings = [
        recording("unify", problem, f"```python\n{CODE.format(n=n)}```") for n, problem in enumerate(problems, 1)
    ]
    for problem, answers in zip(problems, texts, strict=True):
        recordings += [recording("difficulty", problem, text) for text in answers]
    path = write_json_lines(folder / "seeds.jsonl", seeds)
    stages = {
        "seeds": {"sources": [{"path": str(path)}]},
        "unify": {"engine": "recorded"},
        "execute": {},
        "difficulty": {"engine": "recorded"} | keys,
    }
    return run_stages(folder, stages, recordings, shard_rows=shard)


def box(answer):
    return f"So it is \\boxed{{{answer}}}."


def test_rates_and_intervals_are_those_of_decided_attempts(tmp_path):
    texts = [
        [box(2), box(2), box(3), box(2)],
        [box(4)],  # three attempts have no recording: undecided, not wrong
        ["I can't.", box(5), box(7), box(8)],
        [],
    ]
    run = measured(tmp_path, texts, attempts=4)
    rows = kept(run, "difficulty")
    assert [(row["passes"], row["attempts"], row["pass_rate"]) for row in rows] == [
        (3, 4, 0.75), (1, 1, 1.0), (0, 4, 0.0), (0, 0, None),
    ]  # fmt: skip
    interval = wilson(3, 4)
    assert (rows[0]["pass_low"], rows[0]["pass_high"]) == (interval.low, interval.high)
    assert rows[3]["pass_low"] is None and rows[3]["verdict"] == "accepted"
    assert {row["solve_rate"] for row in rows} == {0.25} and rows[0]["difficulty_model"].startswith("recorded:")
    assert {(row["cyclomatic"], row["code_lines"]) for row in rows} == {(2, 8)}
    receipt = identity.receipts(rows[0]["lineage"])[-1]
    assert receipt["outcomes"] == ["pass", "pass", "fail", "pass"] and len(set(receipt["request_keys"])) == 4


def test_rows_without_a_pass_get_more_attempts_until_they_pass(tmp_path):
    texts = [[box(0)] * 5 + [box(2)] + [box(0)] * 4, [box(4), box(0)], [box(0)] * 6]
    run = measured(tmp_path, texts, attempts=2, max_attempts=6)
    rows = kept(run, "difficulty")
    assert [(row["passes"], row["attempts"]) for row in rows] == [(1, 6), (1, 2), (0, 6)]
    asked = run.step_folder("difficulty").manifest()["totals"]["facts"]["requests"]
    assert asked == 6 + 2 + 6


def test_easy_rows_are_capped_and_undecided_ones_are_not_called_easy(tmp_path):
    texts = [[box(2 * n)] for n in range(1, 13)] + [[box(1)], []]
    run = measured(tmp_path, texts, attempts=1, easy_from=0.9, easy_share=0.5)
    rows, gone = kept(run, "difficulty"), dropped(run, "difficulty")
    reasons = {row["problem"]: row["reason"] for row in gone}
    assert reasons.pop("Twice 14?") == "infrastructure:no recording"
    assert set(reasons.values()) == {"too_easy"} and all(row["pass_rate"] == 1.0 for row in gone if row["attempts"])
    assert "Twice 13?" in {row["problem"] for row in rows}, "a hard row is never capped"
    assert {row["problem"] for row in rows} == {
        row["problem"] for row in rows + gone
        if row["problem"] == "Twice 13?" or (row["attempts"] and drawn(42, row["id"], 0.5))
    }  # fmt: skip
    assert 0 < len(reasons) < 12
    # Shards don't change who stays.
    again = measured(tmp_path / "again", texts, attempts=1, easy_from=0.9, easy_share=0.5, shard=100)
    assert [row["id"] for row in kept(again, "difficulty")] == [row["id"] for row in rows]


def test_a_larger_number_of_attempts_pays_for_the_new_ones_only(tmp_path):
    run = measured(tmp_path, [[box(2)] * 4], attempts=2)
    before = requests_stored(run)
    recipe = pipeline.load_run(tmp_path / "recipe.yaml", {"stages.difficulty.attempts": "4"})
    pipeline.run_steps(recipe)
    (row,) = kept(recipe, "difficulty")
    assert (row["passes"], row["attempts"]) == (4, 4)
    assert requests_stored(recipe) == before + 2
    generated = [json.loads(line) for line in (recipe.folder / "events.jsonl").read_text().splitlines()]
    last = [event for event in generated if event["event"] == "generation"][-1]
    assert (last["requests"], last["reused"], last["asked"]) == (4, 2, 2)


def test_without_an_engine_only_texts_are_measured(tmp_path):
    run = measured(tmp_path, [[]], engine="")
    (row,) = kept(run, "difficulty")
    assert row["cyclomatic"] == 2 and row["pass_rate"] is None and row["attempts"] is None
    assert row["difficulty_model"] == ""


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("x = 1\n", Complexity(1, 1)),
        ("# c\n\n'''doc\nstring'''\nx = 1\n", Complexity(1, 1)),
        ("if a and b or c:\n    pass\n", Complexity(4, 2)),
        ("def f(x):\n    'doc'\n    while x:\n        x -= 1\n    return [i for i in x if i]\n", Complexity(4, 4)),
        ("try:\n    x = 1 if y else 2\nexcept ValueError:\n    pass\n", Complexity(3, 4)),
        ("match x:\n    case 1:\n        pass\n    case _:\n        pass\n", Complexity(3, 5)),
    ],
)
def test_complexity_by_hand(source, expected):
    with Pool(workers=1) as pool:
        assert complexities(pool, [source]) == [expected]


def test_hostile_sources_have_no_complexity_and_don_t_stop_the_others():
    with Pool(workers=1) as pool:
        found = complexities(
            pool, ["(" * 200_000, "-" * 40_000 + "1", "x = 1", "\ud800", "\x00", "import os; os.abort()"]
        )
    assert found[2] == Complexity(1, 1) and found[5] == Complexity(1, 1)
    assert found[0] is None and found[3] is None and found[4] is None


def test_histograms_of_kept_and_rejected():
    found = difficulty_histogram.Histograms()
    assert found.markdown() == ""
    for rate in (0.0, 0.125, 0.126, 1.0, 1.0, None):
        found.add({"pass_rate": rate, "cyclomatic": 2}, "kept")
    found.add({"pass_rate": 1.0}, "rejected")
    assert found.counts["pass_rate"] == {"kept": [1, 1, 1, 0, 0, 0, 0, 0, 0, 2], "rejected": [0] * 9 + [1]}
    assert sum(found.counts["cyclomatic"]["kept"]) == 6
    text = found.markdown()
    assert "(5 kept, 1 rejected)" in text and "| 100 % | 2 | 40.0 | 1 | 100.0 |" in text and "solve rate" not in text
    for measure, edges in difficulty_histogram.EDGES.items():
        assert len(difficulty_histogram.labels(measure)) == len(edges) + 1


def test_a_card_shows_the_difficulty_of_kept_and_capped_rows(tmp_path):
    problems = [f"Twice {n}?" for n in range(1, 9)]
    recordings = [recording("unify", p, f"```python\n{CODE.format(n=n)}```") for n, p in enumerate(problems, 1)]
    for number, problem in enumerate(problems, 1):
        recordings += [recording(stage, problem, box(2 * number)) for stage in ("solve", "difficulty")]
    path = write_json_lines(tmp_path / "seeds.jsonl", [{"problem": problem} for problem in problems])
    run = run_stages(
        tmp_path,
        {
            "seeds": {"sources": [{"path": str(path)}]},
            "unify": {"engine": "recorded"},
            "execute": {},
            "originals": {"stage": "back_translate", "problems": "original"},
            "solve": {"engine": "recorded"},
            "verify": {},
            "difficulty": {"engine": "recorded", "attempts": 1, "easy_from": 1.0, "easy_share": 0.5},
            "publish": {"input": ["difficulty"]},
        },
        recordings,
    )
    easy = len(dropped(run, "difficulty"))
    assert 0 < easy < 8
    card = (run.folder / "publish" / "dataset" / "README.md").read_text()
    assert "## Difficulty" in card and f"({8 - easy} kept, {easy} rejected)" in card and "too_easy" in card


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"attempts": 0}, "at least 1"),
        ({"attempts": 4, "max_attempts": 2}, "not below"),
        ({"temperature": 0.0}, "all the same"),
        ({"easy_from": 1.5}, "pass rate"),
        ({"easy_share": 0.5}, "say from which pass rate"),
        ({"easy_from": 0.5, "engine": ""}, "name the engine"),
    ],
)
def test_recipes_that_make_no_sense(keys, message):
    with pytest.raises(ValueError, match=message):
        Config(**({"engine": "x"} | keys))
