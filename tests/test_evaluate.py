"""`caco evaluate` end to end: recorded responses with known numbers, a real model, kills and bad input."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml
from nano_model import nano_model

from caco_recipes import evaluate
from caco_recipes.commands import index
from caco_recipes.evaluation.protocols import PAPER, PROTOCOL_VERSIONS, STRICT
from caco_recipes.recipe import RecipeError

PROBLEMS = [
    ("1", "What is 2+2?", "4"),
    ("2", "What is one half?", r"\frac{1}{2}"),
    ("3", "Which primes divide 6?", "2,3"),
    ("4", "Half of nine?", "4.5"),
]
ANSWERS = {
    # (strict right, paper right): 4 of 4; the second model 2 of 4, one of them blank
    "good": [r"So $\boxed{4}$.", r"So $\boxed{0.5}$.", r"$\boxed{2,3}$", r"The answer is $\boxed{\frac{9}{2}}$."],
    "weak": [r"So $\boxed{4}$.", r"So $\boxed{2}$.", "", "The answer is 4.5"],
}


def lines(path: Path, rows) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def made(tmp_path):
    """A recipe over four problems of MATH's form, and two recorded models."""
    data = lines(tmp_path / "math.jsonl", [{"id": i, "problem": p, "answer": a} for i, p, a in PROBLEMS])
    for name, texts in ANSWERS.items():
        lines(tmp_path / f"{name}.jsonl", recorded(texts))
    recipe = {
        "engine": {"engine": "recorded"},
        "benchmarks": ["math"],
        "data": {"math": str(data)},
        "expected": {"math": 4},
        "sampling": {"max_tokens": 64},
    }
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    return tmp_path


def recorded(texts):
    common = {"stage": "evaluate", "source": "made for this test", "licence": "Apache-2.0"}
    return [common | {"subject": problem, "text": text} for (_, problem, _), text in zip(PROBLEMS, texts)]


def run(made: Path, *arguments: str) -> int:
    return evaluate.main(["--config", str(made / "recipe.yaml"), "--output", str(made / "out"), *arguments])


def test_two_models_from_prompt_to_page(made, capsys):
    assert run(made, "--models.base", str(made / "weak.jsonl"), "--models.tuned", str(made / "good.jsonl")) == 0
    out = made / "out"
    results = json.loads((out / "results.json").read_text())
    tuned = results["models"]["tuned"]["benchmarks"]["math"]
    base = results["models"]["base"]["benchmarks"]["math"]
    assert tuned["protocols"][STRICT]["right"] == 4 and base["protocols"][STRICT]["right"] == 2
    assert base["protocols"][STRICT]["reasons"] == {"answer_mismatch": 1, "no_answer": 1}
    compared = results["comparisons"]["tuned"]["math"][STRICT]
    assert compared["difference"]["value"] == 0.5 and (compared["only_first"], compared["only_second"]) == (0, 2)
    assert compared["p_value"] == 0.5  # two discordant items: 2 * 1/4
    # what made it
    assert results["prompts"]["math"]["first"] == (
        "### Instruction:\nWhat is 2+2?\n\n### Response: Let's think step by step.\n"
    )
    assert len(results["prompts"]["math"]["template_sha256"]) == 64
    assert results["benchmarks"]["math"]["revision"].startswith("sha256:")
    assert results["models"]["base"]["identity"].startswith("recorded:weak.jsonl@sha256:")
    assert results["made_by"]["protocols"] == PROTOCOL_VERSIONS and results["generations"] == "store"
    # per-item log
    log = [json.loads(line) for line in open(out / "tuned" / "items-math.jsonl")]
    assert [row["id"] for row in log] == ["1", "2", "3", "4"]
    strict = log[1]["judgements"][STRICT]
    assert strict["extracted"] == "0.5" and log[1]["response"][strict["start"] : strict["end"]].strip() == "0.5"
    assert strict["rule"] and len(log[0]["request_key"]) == 64
    # tables and forms
    printed = capsys.readouterr().out
    assert "| MATH | strict | 4 |" in printed and "+50.0" in printed
    assert printed.startswith((out / "comparison.md").read_text()[:40])
    index = yaml.safe_load((out / "tuned" / "model-index.yaml").read_text())
    assert index["model-index"][0]["results"][0]["metrics"][0]["type"] == "accuracy"
    assert "Not whole: MATH 4 of 5000" in printed
    assert not (out / "tuned" / ".eval_results").exists()  # four problems are no result of MATH


def test_the_page_stands_alone_and_shows_what_was_wrong(made):
    texts = ["</script><script>alert(1)</script> <b>5</b>", *ANSWERS["weak"][1:]]
    lines(made / "weak.jsonl", recorded(texts))
    run(made, "--model", str(made / "weak.jsonl"))
    page = (made / "out" / "page.html").read_text()
    assert "http://" not in page and "https://" not in page and "src=" not in page
    data = json.loads(page.split('id="data">')[1].split("</script>")[0])
    assert [row["id"] for row in data] == ["1", "2", "3"]
    assert data[0]["response"].startswith("</script>") and page.count("<script") == 2
    assert "<svg" in page


def test_generations_are_paid_once(made, monkeypatch):
    from caco_recipes.generation.engines import recorded_engine

    run(made, "--model", str(made / "good.jsonl"))
    first = json.loads((made / "out" / "results.json").read_text())

    def refuse(self, requests):
        raise AssertionError("asked again")

    monkeypatch.setattr(recorded_engine.RecordedEngine, "generate", refuse)
    run(made, "--model", str(made / "good.jsonl"))
    second = json.loads((made / "out" / "results.json").read_text())
    first.pop("created"), second.pop("created")
    assert first == second


def test_a_missing_response_is_undecided_and_the_run_says_so(made, capsys):
    lines(made / "weak.jsonl", recorded(ANSWERS["weak"])[:3])
    assert run(made, "--model", str(made / "weak.jsonl")) == 1
    assert "1 responses are missing" in capsys.readouterr().err
    score = json.loads((made / "out" / "results.json").read_text())["models"]["model"]["benchmarks"]["math"]
    assert score["failed"] == 1 and score["protocols"][STRICT]["undecided"] == 1
    assert score["protocols"][STRICT]["accuracy"]["value"] == 0.25
    assert score["protocols"][STRICT]["accuracy_if_undecided_right"] == 0.5


def test_a_model_that_answers_nothing(made):
    lines(made / "mute.jsonl", recorded([""] * 4))
    assert run(made, "--model", str(made / "mute.jsonl")) == 0
    score = json.loads((made / "out" / "results.json").read_text())["models"]["model"]["benchmarks"]["math"]
    assert all(score["protocols"][p]["right"] == 0 for p in (PAPER, STRICT))


def test_samples_give_pass_majority_and_average(made):
    several = recorded([r"\boxed{4}", r"\boxed{1/2}", r"\boxed{2,3}", r"\boxed{0}"])
    several += recorded([r"\boxed{4}", r"\boxed{3}", r"\boxed{5}", r"\boxed{1}"])
    several += recorded([r"\boxed{4.0}", r"\boxed{3}", r"\boxed{2,3}", r"\boxed{2}"])
    several += recorded([r"\boxed{5}", r"\boxed{0.5}", r"\boxed{2,3}", r"\boxed{3}"])
    lines(made / "many.jsonl", several)
    model = ["--model", str(made / "many.jsonl"), "--sampling.temperature", "0.7"]
    assert run(made, *model, "--samples", "4", "--ks", "1,4") == 0
    found = json.loads((made / "out" / "results.json").read_text())["models"]["model"]["benchmarks"]["math"]
    strict = found["protocols"][STRICT]
    assert strict["samples"] == 4 and strict["accuracy"]["value"] == pytest.approx((3 + 2 + 3 + 0) / 16)
    assert strict["pass_at"]["4"]["value"] == 0.75
    assert strict["pass_at"]["1"]["value"] == pytest.approx(strict["accuracy"]["value"])
    # majorities: 4 (3 of 4), 1/2 and 3 tie, 2,3 (3 of 4), four different wrong ones
    assert strict["maj_at"]["4"]["value"] == pytest.approx((1 + 0.5 + 1 + 0) / 4)


def test_humaneval_plus_runs_in_the_sandbox_with_its_large_tests(tmp_path):
    inputs = [[list(range(100))] for _ in range(1500)]  # 600 kB of source: such are the larger ones
    tests = f"def check(candidate):\n    inputs = {inputs}\n    assert all(candidate(*i) == sum(*i) for i in inputs)\n"
    prompt = 'def total(xs: list) -> int:\n    """ Sum. """\n'
    row = {"task_id": "HumanEval/0", "prompt": prompt, "canonical_solution": "", "entry_point": "total", "test": tests}
    lines(tmp_path / "he.jsonl", [row, row | {"task_id": "HumanEval/1", "prompt": prompt.replace("Sum", "Add")}])
    common = {"stage": "evaluate", "source": "made for this test", "licence": "Apache-2.0"}
    answers = [
        "```python\ndef total(xs):\n    return sum(xs)\n```",
        "```python\ndef total(xs):\n    return len(xs)\n```",
    ]
    subjects = [prompt, prompt.replace("Sum", "Add")]
    lines(tmp_path / "m.jsonl", [common | {"subject": s, "text": t} for s, t in zip(subjects, answers)])
    recipe = {"engine": {"engine": "recorded"}, "benchmarks": ["humaneval_plus"], "expected": {"humaneval_plus": 2}}
    recipe |= {"data": {"humaneval_plus": str(tmp_path / "he.jsonl")}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    assert run(tmp_path, "--model", str(tmp_path / "m.jsonl")) == 0
    log = [json.loads(line) for line in open(tmp_path / "out" / "model" / "items-humaneval_plus.jsonl")]
    assert [row["judgements"][STRICT]["verdict"] for row in log] == ["accepted", "rejected"], log[0]["judgements"]
    assert log[1]["judgements"][STRICT]["reason"] == "exception:AssertionError"


def test_contaminated_items_are_flagged_and_left_out_of_a_second_number(made):
    lines(made / "flags.jsonl", [{"benchmark": "math", "id": "1", "span": "What is 2+2"}])
    run(made, "--model", str(made / "weak.jsonl"), "--contaminated", str(made / "flags.jsonl"))
    score = json.loads((made / "out" / "results.json").read_text())["models"]["model"]["benchmarks"]["math"]
    assert score["contaminated"] == 1 and score["clean_accuracy"][STRICT]["items"] == 3
    log = [json.loads(line) for line in open(made / "out" / "model" / "items-math.jsonl")]
    assert log[0]["contaminated"] == "What is 2+2" and not log[1]["contaminated"]


def test_an_index_of_the_training_set_flags_what_it_holds(made):
    seen = (
        "A farmer has 48 sheep and buys 7 more every month, while a storm scatters 3 of them in the second week of "
        "each month. How many sheep does the farmer own after nine months have passed?"
    )
    lines(made / "train.jsonl", [{"id": "t7", "problem": seen, "answer": "84"}])
    index.main(
        ["--data", str(made / "train.jsonl"), "--training_set", "--name", "mine", "--output", str(made / "i.npz")]
    )
    problems = [*PROBLEMS[:3], ("4", "Consider this. " + seen, "84")]
    lines(made / "math.jsonl", [{"id": i, "problem": p, "answer": a} for i, p, a in problems])
    texts = [row | {"subject": p} for row, (_, p, _) in zip(recorded(ANSWERS["good"]), problems)]
    lines(made / "good.jsonl", texts)
    run(made, "--model", str(made / "good.jsonl"), "--contamination_index", str(made / "i.npz"))
    score = json.loads((made / "out" / "results.json").read_text())["models"]["model"]["benchmarks"]["math"]
    assert score["contaminated"] == 1 and score["clean_accuracy"][STRICT]["items"] == 3
    log = [json.loads(line) for line in open(made / "out" / "model" / "items-math.jsonl")]
    assert log[3]["contaminated"].startswith("runs, mine/t7: ") and "farmer" in log[3]["contaminated"]
    assert not any(row["contaminated"] for row in log[:3])


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--contamination_index", "nowhere.npz"], "nowhere.npz"),
        (["--benchmarks", "mth"], "no benchmark 'mth'; did you mean 'math'"),
        (["--benchmark", "math"], "unknown key 'benchmark'; did you mean 'benchmarks'"),
        (["--frame", "alpaca"], "frame: 'alpaca' is not one of"),
        (["--samples", "4"], "several greedy responses"),
        (["--samples", "2", "--sampling.temperature", "1", "--ks", "4"], "outside 1 to 2"),
        (["--limit", "0"], "at least 1"),
        (["--expected.math", "5"], "MATH has 5 problems, this has 4"),
        (["--data.math", "nowhere.jsonl"], "no such file"),
        (["--paper_row", "Caco-1.3M-Qwen2.5"], "did you mean 'Caco-1.3M-Qwen2.5-Math-7B'"),
        (["--models.a/b", "x"], "no slashes"),
        (["--contaminated", "nowhere.jsonl"], "no such file"),
    ],
)
def test_bad_calls_say_what_is_wrong(made, arguments, message):
    with pytest.raises(RecipeError, match=message.replace("(", r"\(")):
        run(made, "--model", str(made / "good.jsonl"), *arguments)


def test_no_model_no_benchmarks_no_config(made):
    with pytest.raises(RecipeError, match="--model"):
        run(made)
    (made / "empty.yaml").write_text("name: empty\n")
    with pytest.raises(RecipeError, match="benchmarks: name at least one"):
        evaluate.main(["--config", str(made / "empty.yaml"), "--model", "m"])
    with pytest.raises(SystemExit):
        evaluate.main([])


@pytest.mark.parametrize(
    "recipe", ["recipes/evaluate/paper.yaml", "recipes/evaluate/extended.yaml", "recipes/quickstart/evaluate.yaml"]
)
def test_recipes_show_every_first_prompt(root, recipe, capsys, monkeypatch):
    monkeypatch.chdir(root)
    assert evaluate.main(["--config", recipe, "--dry-run"]) == 0
    shown = capsys.readouterr().out
    config = evaluate.load_config(recipe)
    assert shown.count("\n== ") == len(config.benchmarks)
    assert shown.count("### Response: Let's think step by step.\n") == len(config.benchmarks)
    first, second = Path(recipe).read_text().splitlines()[:2]
    assert (
        first.startswith("# ")
        and ("GPU" in first or "CPU" in first)
        and second.startswith("# caco evaluate --config " + recipe)
    )


def test_the_paper_s_recipe_is_the_paper_s_protocol():
    config = evaluate.load_config(Path(__file__).parent.parent / "recipes" / "evaluate" / "paper.yaml")
    assert (config.sampling.temperature, config.sampling.max_tokens, config.samples, config.frame) == (
        0,
        2048,
        1,
        "caco",
    )
    assert config.benchmarks == ["math", "gsm8k", "college_math", "deepmind_math", "olympiadbench", "theoremqa"]
    assert evaluate.engine_of(config.engine, "a/b@abc").revision == "abc"


def test_a_real_model_and_a_kill(made, tmp_path_factory):
    """A nano model through the transformers engine; killed while it generates, the same command goes on and pays no twice."""
    model = nano_model(tmp_path_factory.getbasetemp())
    recipe = yaml.safe_load((made / "recipe.yaml").read_text())
    recipe |= {"engine": {"engine": "transformers", "device": "cpu", "dtype": "float32", "batch_size": 1}}
    recipe["sampling"] = {"max_tokens": 200}
    (made / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    root = Path(__file__).resolve().parent.parent
    command = [sys.executable, "-m", "caco_recipes.evaluate", "--config", str(made / "recipe.yaml")]
    command += ["--model", str(model), "--output", str(made / "out")]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    process = subprocess.Popen(command, cwd=root, env=environment, stderr=subprocess.PIPE, stdout=subprocess.PIPE)
    store = made / "out" / "store"
    deadline = time.monotonic() + 90
    from caco_recipes.generation.store import segments, stored

    while time.monotonic() < deadline and process.poll() is None:
        if store.exists() and segments(store) and sum(1 for _ in stored(store)):
            break
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = {key: completion.text for key, completion, _ in stored(store)}
    assert before and not (made / "out" / "comparison.md").exists()
    assert run(made, "--model", str(model)) == 0
    after = {key: completion.text for key, completion, _ in stored(store)}
    assert len(after) == 4 and before.items() <= after.items()
    assert sum(1 for _ in stored(store)) == 4  # none of them twice
    score = json.loads((made / "out" / "results.json").read_text())["models"]["model"]["benchmarks"]["math"]
    assert score["failed"] == 0 and score["lengths"]["max"] <= 200
