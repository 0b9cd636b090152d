"""why, replay and audit, on a run of the real stages: seeds with programs, executed, solved from recorded texts, verified."""

import json
import shutil

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from caco_recipes import pipeline, publish
from caco_recipes.cli import main
from caco_recipes.replay import row_of, wilson
from caco_recipes.run_folder import StepFolder

RECIPE = """
name: made
output_dir: {folder}
shard_rows: 4
workers: 1
engines:
  recorded: {{engine: recorded, path: {folder}/recorded.jsonl}}
stages:
  seeds: {{sources: [{{path: {folder}/seeds.jsonl}}]}}
  unify: {{method: mechanical}}
  execute: {{rules: none}}
  back_translate: {{problems: original}}
  solve: {{engine: recorded}}
  verify: {{}}
  publish: {{title: Made rows}}
"""


def program(expression: str, **values: int) -> str:
    names = ", ".join(values)
    return f"def compute({names}):\n    return {expression}\n\ninput = {values!r}\noutput = compute(**input)\nprint(output)\n"


CASES = [
    ("What is 3 plus 4?", program("a + b", a=3, b=4), "7", "Add them: \\boxed{7}."),
    ("What is 6 times 9?", program("a * b", a=6, b=9), "54", "Multiply: \\boxed{54}."),
    ("What is a half of 5?", program("a / b", a=5, b=2), "2.5", "Half of it is \\boxed{5/2}."),
    ("What is 2 to the 10?", program("a ** b", a=2, b=10), "1024", "I believe \\boxed{1000}."),
    ("What is 1 over 0?", program("a / b", a=1, b=0), "", "It is \\boxed{0}."),
    ("What is 8 minus 3?", program("a - b", a=8, b=3), "5", "Five, I would say."),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("replay")
    with open(folder / "seeds.jsonl", "w") as seeds, open(folder / "recorded.jsonl", "w") as recorded:
        for problem, code, answer, solution in CASES:
            row = {"problem": problem, "program": code, "answer": answer, "source": "made", "licence": "MIT"}
            seeds.write(json.dumps(row) + "\n")
            text = {"stage": "solve", "subject": problem, "text": solution, "source": "made", "licence": "MIT"}
            recorded.write(json.dumps(text) + "\n")
    (folder / "recipe.yaml").write_text(RECIPE.format(folder=folder))
    made = pipeline.load_run(folder / "recipe.yaml")
    pipeline.run_steps(made)
    return made.folder


def published(run) -> list[dict]:
    return pq.read_table(run / "publish" / "dataset" / "data").to_pylist()


def test_the_loop_publishes_what_holds(run):
    assert [row["instruction"] for row in published(run)] == [case[0] for case in CASES[:3]]
    assert [row["answer"] for row in published(run)] == ["7", "54", "2.5"]
    dropped = pq.read_table(run / "publish" / "dataset" / "rejected").to_pylist()
    reasons = {row["problem"]: (row["step"], row["reason"]) for row in dropped}
    assert reasons[CASES[3][0]] == ("verify", "answer_mismatch")
    assert reasons[CASES[4][0]] == ("execute", "exception:ZeroDivisionError")
    assert reasons[CASES[5][0]] == ("solve", "no_answer")
    manifest = StepFolder(run / "publish").manifest()
    assert manifest["complete"] and manifest["totals"]["accepted"] == 3


def test_receipts_reach_the_published_columns(run):
    row = published(run)[0]
    assert row["solution_model"].startswith("recorded:") and row["sandbox"] and row["grader"]
    assert [prompt.split(":")[0] for prompt in row["prompts"]] == ["solve"]
    card = (run / "publish" / "dataset" / "README.md").read_text()
    assert "solve \\[recorded\\]" in card and row["sandbox"] in card


def test_a_finished_publish_step_is_not_done_again_and_a_damaged_one_is(run):
    recipe = run.parent / "recipe.yaml"
    folder = run / "publish" / "dataset"
    before = publish.dataset_sha256(folder)
    stamp = (folder / "README.md").stat().st_mtime_ns
    pipeline.run_steps(pipeline.load_run(recipe))
    assert (folder / "README.md").stat().st_mtime_ns == stamp
    (folder / "README.md").unlink()
    pipeline.run_steps(pipeline.load_run(recipe))
    assert publish.dataset_sha256(folder) == before


def test_why_tells_the_story_of_a_kept_and_of_a_dropped_row(run, capsys):
    row = published(run)[0]
    assert main(["why", row["id"][:10], "--run", str(run)]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{row['id']}: accepted at verify")
    for text in ("1. seeds", "execute", "solve", "verify", "recorded:", "program printed 7", CASES[0][0], "licence"):
        assert text in told
    dropped = next(StepFolder(run / "execute").read("rejected"))
    assert main(["why", dropped["id"], "--run", str(run)]) == 0
    assert "rejected (exception:ZeroDivisionError) at execute" in capsys.readouterr().out


def test_why_names_the_rows_that_descend_from_a_seed(run, capsys):
    seed = next(StepFolder(run / "seeds").read())
    assert main(["why", seed["id"], "--run", str(run)]) == 0
    told = capsys.readouterr().out
    assert "rows that descend from it" in told and "verify" in told.split("rows that descend from it")[1]


def test_why_of_no_such_row(run, capsys):
    assert main(["why", "zzzz", "--run", str(run)]) == 1
    assert "no row's id begins with 'zzzz'" in capsys.readouterr().err
    assert main(["why", "", "--run", str(run)]) == 1
    assert "rows begin with ''" in capsys.readouterr().err


def test_replay_of_a_row_that_holds(run, capsys):
    assert main(["replay", published(run)[1]["id"], "--run", str(run)]) == 0
    said = capsys.readouterr().out
    assert "replay    accepted" in said and "nothing differs" in said


def test_replay_of_a_dropped_row_drops_it_again(run, capsys):
    row = next(StepFolder(run / "verify").read("rejected"))
    assert main(["replay", row["id"], "--run", str(run)]) == 0
    said = capsys.readouterr().out
    assert "rejected: answer_mismatch" in said and "nothing differs" in said
    row = next(StepFolder(run / "execute").read("rejected"))
    assert main(["replay", row["id"], "--run", str(run)]) == 0
    said = capsys.readouterr().out
    assert "rejected: exception:ZeroDivisionError" in said and "nothing differs" in said


def test_replay_of_a_row_that_was_not_graded_executes_it(run, capsys):
    row = next(StepFolder(run / "solve").read("rejected"))
    assert main(["replay", row["id"], "--run", str(run)]) == 0
    assert "no_answer is not part of a replay" in capsys.readouterr().out
    seed = next(StepFolder(run / "seeds").read())
    assert main(["replay", seed["id"], "--run", str(run)]) == 1
    assert "before it was executed: nothing to replay" in capsys.readouterr().err


def test_replay_finds_that_a_record_is_false(run, tmp_path, capsys):
    copy = shutil.copytree(run, tmp_path / "run")
    step = StepFolder(copy / "verify")
    table = pq.read_table(step.part(0))
    rows = table.to_pylist()
    rows[0]["output"] = "8"
    dropped = pq.read_table(step.part(0, "rejected"))
    changed = pa.concat_tables([pa.Table.from_pylist(rows, schema=dropped.schema), dropped])
    step.write_part(0, step.manifest()["fingerprint"], changed, (), {})
    assert main(["replay", rows[0]["id"], "--run", str(copy)]) == 1
    said = capsys.readouterr().out
    assert "rejected: nondeterministic" in said and "says otherwise than the record" in said


def test_every_published_row_replays(run, capsys):
    assert main(["audit", str(run / "publish" / "dataset"), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "3  rows replayed" in said and "3  hold" in said and "0  do not hold" in said
    assert main(["audit", str(run), "--workers", "1"]) == 0, "a run's folder means its dataset"
    assert "3  hold" in capsys.readouterr().out


def test_audit_of_the_released_layout_finds_planted_faults(tmp_path, capsys):
    def row(code: str, answer: str, output: str) -> dict:
        return {"instruction": "?", "output": output, "answer": answer, "code": code}

    good = program("a + b", a=3, b=4)
    rows = [
        row(good, "7", "so \\boxed{7}"),
        row(program("a / b", a=1, b=4), "0.25", "so \\boxed{\\frac{1}{4}}"),
        row(good, "8", "so \\boxed{8}"),  # the recorded output is not what the program prints
        row(good, "7", "so \\boxed{9}"),  # the solution disagrees
        row("def broken(:\n", "7", "so \\boxed{7}"),
        row("while True:\n    pass\n", "7", "so \\boxed{7}"),
        row("import random\noutput = random.SystemRandom().randrange(10**9)\nprint(output)\n", "7", "so \\boxed{7}"),
        {"instruction": "no program", "output": "x", "answer": "1"},
    ]
    path = tmp_path / "released.jsonl"
    path.write_text("".join(json.dumps(item) + "\n" for item in rows))
    out = tmp_path / "verdicts.jsonl"
    assert main(["audit", str(path), "--workers", "1", "--timeout", "0.3", "--output", str(out)]) == 0
    said = capsys.readouterr().out
    assert "7  rows replayed" in said and "1  rows were no rows of a known layout" in said
    verdicts = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(made["id"], made["verdict"]) for made in verdicts[:2]] == [("0", "accepted"), ("1", "accepted")]
    reasons = [made["reason"] for made in verdicts[2:]]
    assert reasons[:3] == ["nondeterministic", "answer_mismatch", "syntax_error"]
    assert reasons[3] == "timeout:cpu" and reasons[4] == "nondeterministic"


def test_audit_finds_a_changed_output_that_prints_the_same(run, tmp_path, capsys):
    table = pq.read_table(run / "publish" / "dataset" / "data")
    rows = table.to_pylist()
    rows[0]["program_output"] = '"7"'  # a string where the program gives a number
    (tmp_path / "data").mkdir()
    pq.write_table(table.from_pylist(rows, schema=table.schema), tmp_path / "data" / "train-00000.parquet")
    assert main(["audit", str(tmp_path), "--workers", "1"]) == 0
    said = capsys.readouterr().out
    assert "2  hold" in said and "1  nondeterministic" in said


@pytest.mark.parametrize("name", ["absent.jsonl", "absent"])
def test_audit_of_nothing_is_a_clear_error(tmp_path, capsys, name):
    assert main(["audit", str(tmp_path / name)]) == 2
    assert "no such" in capsys.readouterr().err


def test_limits_and_policy_come_from_the_receipt():
    lineage = [
        {"stage": "execute", "limits": {"cpu_seconds": 2.0, "memory_mb": 100}},
        {"stage": "verify", "policy": "exact"},
    ]
    row = row_of({"instruction": "p", "output": "s", "code": "c", "answer": "1", "lineage": json.dumps(lineage)})
    assert row.limits == {"cpu_seconds": 2.0, "memory_mb": 100} and row.policy == "exact"
    with pytest.raises(ValueError, match="no code"):
        row_of({"instruction": "p", "output": "s"})


def test_wilson():
    low, high = wilson(8, 10)
    assert low == pytest.approx(0.490, abs=0.001) and high == pytest.approx(0.943, abs=0.001)
    assert wilson(0, 0) == (0.0, 1.0)
