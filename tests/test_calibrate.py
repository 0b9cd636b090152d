"""Calibration: near misses are wrong, labels and intervals are counted right, nothing is asked twice, a bad judge shows."""

import json
import random

import pytest
from stage_runs import recording, run_stages, write_json_lines

from caco_recipes import cli
from caco_recipes.calibrate import PAIRS_FILE, Config, calibrate, make_pairs
from caco_recipes.calibration import near_misses, rates, tables
from caco_recipes.calibration.judging import Judged
from caco_recipes.calibration.pairs import Pair
from caco_recipes.calibration.program_edits import program_edits
from caco_recipes.generation.config import EngineConfig
from caco_recipes.recipe import RecipeError
from caco_recipes.sandbox import Pool
from caco_recipes.verify import Opinion

PROGRAM = """\
# {comment}
def cost({name}, price):
    # shipping is three per order
    total = {name} * price + 3
    return total


input = {{"{name}": {count}, "price": {price}}}
output = cost(**input)
print(output)
"""


def row_of(index):
    """A right row: problem, solution, program, all of them agreeing."""
    name = ("books", "lamps", "chairs", "bowls")[index % 4]
    count, price = 12 + index, 40 + 3 * index
    total = count * price + 3
    return {
        "id": f"row{index:02d}",
        "problem": f"A shop sends {count} {name} at ${price}$ each. Shipping is $3$ per order. What is the cost?",
        "solution": f"The goods cost $ {count} \\times {price} = {count * price} $. In all {count * price} + 3 = {total}. "
        f"So the answer is \\boxed{{{total}}}.",
        "code": PROGRAM.format(comment="a shop's bill", name=name, count=count, price=price),
    }


@pytest.fixture(scope="module")
def rows(tmp_path_factory):
    return write_json_lines(tmp_path_factory.mktemp("rows") / "rows.jsonl", [row_of(index) for index in range(8)])


@pytest.fixture(scope="module")
def made(rows):
    return make_pairs(rows, Config(workers=1))


def answers(pairs, says):
    """Recordings of a judge: `says(pair, judge)` is its text."""
    judges = [(pair, judge) for pair in pairs for judge in pair.judges]
    return [recording(f"judge_{judge}", pair.id, says(pair, judge)) for pair, judge in judges]


def recorded(folder, pairs, says):
    folder.mkdir(parents=True, exist_ok=True)
    path = write_json_lines(folder / "judge.jsonl", answers(pairs, says))
    return EngineConfig(engine="recorded", path=str(path))


def test_every_kind_is_made_and_changes_one_text_only(made):
    found, pairs = made
    assert len(found.rows) == 8 and not found.unusable
    by_kind = {}
    for pair in pairs:
        by_kind.setdefault(pair.kind, []).append(pair)
    assert set(by_kind) == {"right", *near_misses.APPLIES}
    assert all(len(several) == 8 for several in by_kind.values())
    rows = {row.id: row for row in found.rows}
    for kind, several in by_kind.items():
        for pair in several:
            row = rows[pair.row_id]
            changed = [name for name in ("problem", "solution", "code") if getattr(pair, name) != getattr(row, name)]
            assert changed == ([] if kind == "right" else [kind.partition("_")[0]])


def test_near_misses_are_wrong_when_executed_and_graded(made):
    """The construction's promise, checked by other means: everything is executed again, answers are compared as numbers."""
    found, pairs = made
    rows = {row.id: row for row in found.rows}
    with Pool(workers=1) as pool:
        for pair in pairs:
            row = rows[pair.row_id]
            if pair.kind.startswith("code_"):
                result = pool.run_one(pair.code)
                assert result.ok and float(result.output_text) != float(row.output)
                # Comments stay, so that layout doesn't give the changed program away.
                assert pair.code.count("#") == row.code.count("#")
            if pair.kind == "solution_answer":
                start, end = near_misses.boxed_span(pair.solution)
                assert float(pair.solution[start:end]) != float(row.output)
            if pair.kind == "problem_number":
                old, new = pair.change.split(" -> ")
                assert old != new and new in pair.problem
                changed = row.code.replace(f": {old}", f": {new}")
                assert changed != row.code and pool.run_one(changed).output != row.output
            if pair.kind == "problem_dropped":
                assert pair.problem.count("some") == 1 and len(pair.problem) > len(row.problem) - 3


def test_pairs_depend_on_the_seed_and_not_on_the_order_of_the_file(rows, made, tmp_path):
    lines = [json.loads(line) for line in rows.read_text().splitlines()]
    other = write_json_lines(tmp_path / "rows.jsonl", lines[::-1])
    assert make_pairs(other, Config(workers=1))[1] == made[1]
    assert make_pairs(rows, Config(workers=1, seed=7))[1] != made[1]


@pytest.mark.parametrize(
    ("text", "holds"),
    [
        ("12 + 5 = 17", True),
        ("2 + 3 \\cdot 4 = 14.", True),
        ("10 \\div 4 = 2.5", True),
        ("10 / 3 = 3.33", True),
        ("12 + 5 = 18", False),
        ("1 / 0 = 5", False),
        ("12 + 5 = 17 + 1", False),  # goes on
        ("x^2 + 5 = 17", False),
        ("12 + 5 = 17\\frac{1}{2}", False),
    ],
)
def test_which_equations_are_changed(text, holds):
    assert bool(near_misses._equations(text)) == holds
    for change in (near_misses._change_number, near_misses._change_operator):
        found = change(text, random.Random(3))
        assert bool(found) == holds
        if found:
            assert found[0] != text and not near_misses._equations(found[0])


def test_edits_stand_in_the_program_and_hostile_sources_give_none():
    code = 'é = "3 + 4"\ndef f(a):  # 5 - 1\n    return a + 2\ninput = {"a": 9}\noutput = f(**input)\n'
    hostile = ["(" * 50_000, "def f(:\n", "\x00", "x = " + "1 + " * 3000 + "1", "\ud800", ""]
    with Pool(workers=1) as pool:
        edits, *rest = program_edits(pool, [(code, "s"), *((text, "s") for text in hostile)])
    assert sorted((edit.kind, edit.old, edit.new) for edit in edits) == [
        ("code_constant", "2", "3"),
        ("code_operator", "+", "-"),
    ]
    assert {edit.apply(code).splitlines()[2] for edit in edits} == {"    return a + 3", "    return a - 2"}
    assert rest[0] == rest[1] == rest[4] == rest[5] == []


def test_a_judge_that_is_always_right_and_one_that_says_yes(rows, made, tmp_path):
    found, pairs = made
    good = recorded(tmp_path / "good", pairs, lambda pair, judge: "Yes" if pair.right else "No")
    content = calibrate(rows, Config(engine=good, workers=1), tmp_path / "good")
    for judge in ("consistent", "solvable", "correct"):
        assert (
            content["judges"][judge]["false_accept"]["count"] == content["judges"][judge]["false_reject"]["count"] == 0
        )
    yes = recorded(tmp_path / "yes", pairs, lambda pair, judge: "Yes.")
    content = calibrate(rows, Config(engine=yes, workers=1), tmp_path / "yes")
    found = content["judges"]["consistent"]
    assert found["false_accept"]["value"] == 1.0 and found["false_accept"]["of"] == 9 * 8
    assert found["false_accept"]["high"] == 1.0 and 0.94 < found["false_accept"]["low"] < 1.0
    assert found["false_reject"] == {
        "count": 0,
        "of": 8,
        "value": 0.0,
        "low": 0.0,
        "high": pytest.approx(0.3244, abs=1e-4),
    }
    assert found["auc"] is None and found["threshold"]["value"] is None  # a recording has no probabilities
    assert set(content["judges"]["solvable"]["kinds"]) == {"right", "problem_dropped"}
    assert "100.0 [94" in (tmp_path / "yes" / "calibration.md").read_text()


def test_unclear_and_failed_answers_are_no_errors_of_the_judge(rows, made, tmp_path):
    _, pairs = made
    says = {"right": "Perhaps", "code_constant": "No"}
    engine = recorded(tmp_path, [pair for pair in pairs if pair.kind in says], lambda pair, judge: says[pair.kind])
    config = Config(engine=engine, workers=1, judges=["consistent"], kinds=["code_constant", "code_operator"])
    found = calibrate(rows, config, tmp_path)["judges"]["consistent"]
    assert found["kinds"]["right"] | {"error": 0} == {
        "right": True, "pairs": 8, "yes": 0, "no": 0, "unclear": 8, "fault": 0, "error": 0,
    }  # fmt: skip
    assert found["kinds"]["code_operator"]["fault"] == 8  # nothing was recorded for them
    assert found["false_reject"]["value"] is None and found["false_accept"]["of"] == 8


def test_the_same_command_asks_nothing_again_and_gives_the_same_bytes(rows, made, tmp_path, monkeypatch):
    from caco_recipes.generation.engines.recorded_engine import RecordedEngine

    _, pairs = made
    engine = recorded(tmp_path, pairs, lambda pair, judge: "Yes")
    config = Config(engine=engine, workers=1)
    asked = []
    generate = RecordedEngine.generate

    def dying(self, requests):
        for number, item in enumerate(generate(self, requests)):
            asked.append(item[0])
            yield item
            if number == 20:
                raise RuntimeError("the engine died")

    monkeypatch.setattr(RecordedEngine, "generate", dying)
    with pytest.raises(RuntimeError, match="died"):
        calibrate(rows, config, tmp_path)
    assert not (tmp_path / tables.FILE).exists()
    paid = len(asked)
    assert paid >= 20

    def counting(self, requests):
        for item in generate(self, requests):
            asked.append(item[0])
            yield item

    monkeypatch.setattr(RecordedEngine, "generate", counting)
    calibrate(rows, config, tmp_path)
    assert len(asked) == len(set(asked)) == len(pairs) + sum(len(pair.judges) - 1 for pair in pairs)
    files = {name: (tmp_path / name).read_bytes() for name in (tables.FILE, "calibration.md", PAIRS_FILE)}
    calibrate(rows, config, tmp_path)
    assert len(asked) == len(set(asked))
    assert files == {name: (tmp_path / name).read_bytes() for name in files}


def test_labelled_files_are_taken_as_they_are(tmp_path):
    good = row_of(0)
    lines = [good | {"label": True}, good | {"label": False, "kind": "by hand", "id": "x"}]
    lines += [{"problem": "P?", "label": False}, {"problem": 3, "label": True}, {"solution": "S", "label": True}]
    path = write_json_lines(tmp_path / "pairs.jsonl", lines)
    found, pairs = make_pairs(path, Config(workers=1))
    assert found.unusable == {"problem is not text": 1, "no problem": 1} and not found.rows
    assert {(pair.kind, pair.right, pair.judges) for pair in pairs} == {
        ("right", True, ("consistent", "solvable", "correct")),
        ("by hand", False, ("consistent", "solvable", "correct")),
        ("labelled wrong", False, ("solvable",)),
    }
    bad = write_json_lines(tmp_path / "bad.jsonl", [good | {"label": "yes"}])
    with pytest.raises(RecipeError, match=r"bad\.jsonl, row 1: label is 'yes'; write true"):
        make_pairs(bad, Config(workers=1))


def judged(*items):
    """Judged pairs from (probability of Yes, right, row)."""
    return [
        Judged(
            Pair(f"{row}:{i}", row, "right" if right else "k", right, ("consistent",), "p", "s", "c"),
            "consistent",
            Opinion("yes" if p >= 0.5 else "no", p, "", ""),
        )
        for i, (p, right, row) in enumerate(items)
    ]


def test_thresholds_by_hand():
    items = judged((0.9, True, "a"), (0.8, True, "b"), (0.7, False, "a"), (0.4, False, "b"), (0.3, True, "c"))
    point = rates.at(items, 0.7)
    assert (point.false_accepts, point.wrong, point.false_rejects, point.right) == (1, 2, 1, 3)
    assert rates.choose(items, 0.05) == 0.8 and rates.choose(items, 0.5) == 0.7 and rates.choose(items, 0.999) == 0.7
    assert rates.auc(items) == pytest.approx(4 / 6, abs=1e-4)
    assert rates.auc(judged((0.5, True, "a"), (0.5, False, "a"))) == 0.5
    assert rates.auc(judged((0.5, True, "a"))) is None
    # The best threshold accepts nothing right: none is chosen.
    assert rates.choose(judged((0.9, False, "a"), (0.1, True, "a")), 0.05) is None


def test_a_threshold_is_measured_on_other_rows():
    draw = random.Random(1)
    items = judged(
        *((min(0.99, max(0.01, draw.gauss(0.7 if right else 0.4, 0.15))), right, f"row{i}")
          for i in range(400) for right in (True, False))
    )  # fmt: skip
    found = rates.held_out(items, 0.1)
    assert found["chosen_on"] + found["measured_on"] == 800 and abs(found["chosen_on"] - 400) < 100
    assert found["false_accept"]["low"] < 0.1 < found["false_accept"]["high"] + 0.05
    assert 0.2 < found["false_reject"]["value"] < 0.6
    assert len(rates.sweep(items)) == rates.POINTS


def test_a_runs_card_shows_the_calibration_and_the_judge_is_the_runs_own(tmp_path, capsys):
    lines = [row_of(index) for index in range(4)]
    recordings = [recording("unify", line["problem"], f"```python\n{line['code']}```") for line in lines]
    recordings += [recording("solve", line["problem"], line["solution"]) for line in lines]
    recordings += [recording("judge_consistent", line["problem"], "Yes") for line in lines]
    seeds = write_json_lines(tmp_path / "seeds.jsonl", [{"problem": line["problem"]} for line in lines])
    run = run_stages(
        tmp_path,
        {
            "seeds": {"sources": [{"path": str(seeds)}]},
            "unify": {"engine": "recorded"},
            "execute": {},
            "originals": {"stage": "back_translate", "problems": "original"},
            "solve": {"engine": "recorded"},
            "verify": {"engine": "recorded", "judge": True},
            "publish": {},
        },
        recordings,
    )
    card = run.folder / "publish" / "dataset" / "README.md"
    assert "The judge was not calibrated" in card.read_text()
    _, pairs = make_pairs(run.folder, Config(workers=1))
    assert {pair.row_id for pair in pairs} == {row["id"] for row in run.step_folder("verify").read()}
    engine = tmp_path / "recordings.jsonl"
    engine.write_text(
        engine.read_text() + "".join(json.dumps(line) + "\n" for line in answers(pairs, lambda *_: "Yes"))
    )
    assert cli.main(["calibrate", str(run.folder), "--workers", "1"]) == 0
    assert "wrong ones that were accepted" in capsys.readouterr().out
    from caco_recipes import pipeline

    pipeline.run_steps(run, ["publish"])
    text = card.read_text()
    assert "## Judge calibration" in text and "| consistent | 100.0 [" in text and "not calibrated" not in text
    assert "/" not in json.loads((run.folder / tables.FILE).read_text())["model"]


def test_dry_run_shows_prompts_and_asks_nothing(rows, capsys, tmp_path):
    assert cli.main(["calibrate", str(rows), "--dry-run", "--limit", "2", "--workers", "1"]) == 0
    shown = capsys.readouterr().out
    assert "2  right" in shown and "first prompt of the judge consistent" in shown and "| Do they agree?" in shown
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.jsonl"], "no such run folder or file"),
        (["ROWS", "--output", "OUT"], "no judge took part in it; name one"),
        (["ROWS", "--kinds", "code_konstant"], "did you mean 'code_constant'"),
        (["ROWS", "--judges", "wise"], "is not one of consistent, solvable, correct"),
        (["ROWS", "--max_false_accept", "2"], "a share between 0 and 1"),
    ],
)
def test_wrong_calls(rows, tmp_path, capsys, arguments, message):
    words = [{"ROWS": str(rows), "OUT": str(tmp_path / "out")}.get(word, word) for word in arguments]
    assert cli.main(["calibrate", *words]) == 2
    assert message in capsys.readouterr().err


@pytest.mark.model
def test_the_small_model_is_a_bad_judge_and_the_table_says_so(root, rows, tmp_path):
    """135M parameters can't tell near misses from right rows: the probability of Yes hardly differs between them."""
    model = root / "models" / "SmolLM2-135M-Instruct"
    if not model.exists():
        pytest.skip("the small model is not here: python -m caco_recipes.small_model models/SmolLM2-135M-Instruct")
    engine = EngineConfig(engine="transformers", model=str(model), dtype="bfloat16", max_model_len=1024, device="cpu")
    config = Config(engine=engine, rows=3, workers=1, judges=["consistent"], kinds=["code_constant"])
    found = calibrate(rows, config, tmp_path)["judges"]["consistent"]
    assert found["sweep"], "a real model gives probabilities"
    wrong = (
        found["false_accept"]["count"]
        + found["false_reject"]["count"]
        + sum(kind["unclear"] for kind in found["kinds"].values())
    )
    assert wrong >= 2
