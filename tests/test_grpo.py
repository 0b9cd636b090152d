"""GRPO: recipes are typed, rows are made and shown, a run of a tiny model is rewarded by the real grader and sandbox."""

import json
import re
import shlex
from pathlib import Path

import pytest
import yaml
from training_models import save_model

from caco_recipes import grpo
from caco_recipes.recipe import RecipeError, load_yaml
from caco_recipes.training.grpo_config import read_grpo_recipe

ROOT = Path(__file__).resolve().parent.parent
RECIPES = sorted((ROOT / "recipes").rglob("*grpo*.yaml"))
CODE = 'input = {"a": 12}\ndef double(a):\n    return 2 * a\noutput = double(**input)\nprint(output)\n'


@pytest.fixture(scope="module")
def small(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("grpo")
    save_model(folder / "model")
    rows = [
        {"instruction": "Double 12.", "code": CODE, "answer": "24", "rate": 0.5},
        {"instruction": "Double 30.", "code": CODE.replace("12", "30"), "answer": "60", "rate": 1.0},
        {"instruction": "Broken 12.", "code": CODE.replace("2 * a", "b"), "answer": "1", "rate": 0.2},
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = {
        "model_name_or_path": str(folder / "model"),
        "dataset_path": str(folder / "rows.jsonl"),
        "columns": {"problem": "instruction", "pass_rate": "rate"},
        "variants": 3,
        "output_dir": str(folder / "out"),
        "max_steps": 2,
        "per_device_train_batch_size": 4,
        "num_generations": 2,
        "max_completion_length": 8,
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "logging_steps": 1,
        "report_to": "none",
    }
    (folder / "grpo.yaml").write_text(yaml.safe_dump(recipe))
    return folder


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: str(path.relative_to(ROOT)))
def test_recipes(path, small, capsys, monkeypatch):
    recipe = read_grpo_recipe(path, [])
    first, second = path.read_text().splitlines()[:2]
    config = load_yaml(ROOT / re.search(r"--config_file (\S+)", second)[1])
    keys = recipe.training
    batch = keys["per_device_train_batch_size"] * keys["gradient_accumulation_steps"] * config["num_processes"]
    assert f"global batch {batch} completions" in first and batch % keys["num_generations"] == 0
    # The header's own words, with stand-ins for the base model and the data.
    words = shlex.split(second.partition(" -m caco_recipes.grpo ")[2])
    words += ["--dry-run", "--model_name_or_path", str(small / "model"), "--use_vllm", "false"]
    words += ["--max_completion_length", "512", "--dataset_name", "none", "--dataset_rows", "2"]
    words += ["--dataset_path", str(small / "rows.jsonl")]
    monkeypatch.chdir(ROOT)
    assert grpo.main(words) == 0, capsys.readouterr().err
    assert "### Response:" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["--num_generation", "4"], "did you mean 'num_generations'"),
        (["--reward", "judge"], "is not one of answer, program"),
        (["--num_generations", "1"], "a group needs at least 2"),
        (["--paired", "true", "--variants", "0"], "paired needs variants"),
        (["--variants", "0"], "the gold comes from the data"),
        (["--pass_rate_low", "0.9", "--pass_rate_high", "0.1"], "the low one first"),
        (["--max_prompt_length", "4"], "unknown key 'max_prompt_length'"),
    ],
)
def test_wrong_keys(small, overrides, message):
    with pytest.raises(RecipeError, match=message):
        read_grpo_recipe(small / "grpo.yaml", overrides)


def shown(small, capsys, *overrides) -> str:
    assert grpo.main(["--config", str(small / "grpo.yaml"), "--dry-run", *overrides]) == 0, capsys.readouterr().err
    return capsys.readouterr().out


def test_rows(small, capsys):
    # Two families run (a broken program gives no variant), each with its original and three new problems.
    assert "8 rows, 1 families whose program does not run" in shown(small, capsys)
    assert "1 outside the pass-rate band" in shown(small, capsys, "--pass_rate_high", "0.9")
    assert "Problem 2" in shown(small, capsys, "--paired", "true")
    program = shown(small, capsys, "--reward", "program")
    assert 'input (as JSON): {"a":' in program and "never by stating the answer" in program
    assert grpo.main(["--config", str(small / "grpo.yaml"), "--dry-run", "--max_prompt_tokens", "3"]) == 2
    assert "no row is left" in capsys.readouterr().err


def test_a_dead_sandbox_trains_on_nothing_less(small, capsys, monkeypatch):
    from caco_recipes.sandbox import Pool
    from caco_recipes.sandbox.results import infrastructure

    monkeypatch.setattr(Pool, "run", lambda self, codes: [infrastructure("closed", "strict", "1") for _ in codes])
    assert "the sandbox could not run a program (infrastructure" in refused(small, capsys)


def refused(small, capsys, *overrides) -> str:
    assert grpo.main(["--config", str(small / "grpo.yaml"), "--dry-run", *overrides]) == 2
    return capsys.readouterr().err


def test_a_band_needs_a_measured_pass_rate(small, tmp_path, capsys):
    # Without a band nobody asks for the column; with one it must be there and hold something.
    no_rates = ["--columns", "{problem: instruction}"]
    assert "8 rows" in shown(small, capsys, *no_rates)
    message = refused(small, capsys, *no_rates, "--pass_rate_high", "0.9")
    assert "need the column pass_rate" in message and "difficulty stage" in message
    rows = [json.loads(line) for line in (small / "rows.jsonl").read_text().splitlines()]
    rows[0]["rate"] = None
    (tmp_path / "one.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = shown(small, capsys, "--dataset_path", str(tmp_path / "one.jsonl"), "--pass_rate_high", "0.9")
    assert "1 without a measured pass rate, kept" in text and "1 outside the pass-rate band" in text
    (tmp_path / "none.jsonl").write_text("".join(json.dumps(row | {"rate": None}) + "\n" for row in rows))
    message = refused(small, capsys, "--dataset_path", str(tmp_path / "none.jsonl"), "--pass_rate_low", "0.1")
    assert "no row has a measured pass_rate" in message


def test_what_to_run_first(small, capsys, monkeypatch, tmp_path):
    quickstart = str(ROOT / "recipes" / "quickstart" / "grpo.yaml")
    monkeypatch.chdir(tmp_path)
    assert grpo.main(["--config", quickstart, "--dry-run"]) == 2
    assert "made by the step reasoner of a run: caco run recipes/quickstart first" in capsys.readouterr().err
    assert grpo.main(["--config", quickstart, "--dry-run", "--model_name_or_path", str(small / "model")]) == 2
    assert "made by the step publish of a run: caco run recipes/quickstart first" in capsys.readouterr().err


@pytest.mark.parametrize("reward", ["answer", "program"])
def test_it_trains(small, tmp_path, capsys, reward):
    out = tmp_path / "out"
    words = ["--config", str(small / "grpo.yaml"), "--reward", reward, "--output_dir", str(out), "--save_steps", "1"]
    assert grpo.main(words) == 0
    history = json.loads((out / "trainer_state.json").read_text())["log_history"]
    # A random model answers nothing right, and that is what the grader and the sandbox say of it.
    assert {entry["reward"] for entry in history if "reward" in entry} <= {0.0, None}
    assert (out / "model.safetensors").is_file()
    summary = json.loads((out / "training_summary.json").read_text())
    assert summary["steps"] == 2 and summary["rows"] == 8 and summary["first_reward"] in (0.0, None)
    card = (out / "README.md").read_text()
    header = yaml.safe_load(card.split("---")[1])
    assert "grpo" in header["tags"] and ("code-cot" in header["tags"]) == (reward == "program")
    assert "is rewarded when" in card and "rows.jsonl" in card and "- 8 rows" in card and "None" not in card
    assert str(tmp_path) not in card and str(small) not in card + (out / "recipe.yaml").read_text()
    if reward == "program":
        return
    # Another recipe doesn't go on here; the same one goes on from its last whole checkpoint.
    capsys.readouterr()
    assert grpo.main([*words, "--learning_rate", "1e-3", "--variants", "2"]) == 2
    assert "holds checkpoints of another run; different: learning_rate, variants" in capsys.readouterr().err
    (out / "checkpoint-2" / "optimizer.pt").unlink()
    assert grpo.main(words) == 0
    text = capsys.readouterr().out
    assert "checkpoint-2 is skipped" in text and "resuming from" in text and "checkpoint-1" in text
    assert grpo.main(words) == 0 and "this run is finished" in capsys.readouterr().out


@pytest.mark.slow
def test_the_reward_rises(tmp_path):
    import grpo_demo

    rewards = grpo_demo.run(tmp_path)
    assert len(rewards) >= grpo_demo.STEPS * 0.9
    assert sum(rewards[-10:]) / 10 > sum(rewards[:10]) / 10 + 0.2
