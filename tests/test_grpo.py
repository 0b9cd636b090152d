"""GRPO: recipes are typed, rows are made and shown, a run of a tiny model is rewarded by the real grader and sandbox."""

import json
import re
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
def test_recipes(path, small, capsys):
    recipe = read_grpo_recipe(path, [])
    first, second = path.read_text().splitlines()[:2]
    config = load_yaml(ROOT / re.search(r"--config_file (\S+)", second)[1])
    keys = recipe.training
    batch = keys["per_device_train_batch_size"] * keys["gradient_accumulation_steps"] * config["num_processes"]
    assert f"global batch {batch} completions" in first and batch % keys["num_generations"] == 0
    words = ["--config", str(path), "--dry-run", "--model_name_or_path", str(small / "model"), "--use_vllm", "false"]
    words += [
        "--max_completion_length",
        "512",
        "--dataset_name",
        "none",
        "--dataset_path",
        str(small / "rows.jsonl"),
        "--dataset_rows",
        "2",
    ]
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
    assert "8 rows" in shown(small, capsys)
    assert "1 outside the pass-rate band" in shown(small, capsys, "--pass_rate_high", "0.9")
    assert "Problem 2" in shown(small, capsys, "--paired", "true")
    program = shown(small, capsys, "--reward", "program")
    assert 'input (as JSON): {"a":' in program and "never by stating the answer" in program
    assert grpo.main(["--config", str(small / "grpo.yaml"), "--dry-run", "--max_prompt_tokens", "3"]) == 2
    assert "no row is left" in capsys.readouterr().err


@pytest.mark.parametrize("reward", ["answer", "program"])
def test_it_trains(small, tmp_path, reward):
    words = ["--config", str(small / "grpo.yaml"), "--reward", reward, "--output_dir", str(tmp_path / "out")]
    assert grpo.main(words) == 0
    history = json.loads((tmp_path / "out" / "trainer_state.json").read_text())["log_history"]
    # A random model answers nothing right, and that is what the grader and the sandbox say of it.
    assert {entry["reward"] for entry in history if "reward" in entry} <= {0.0, None}
    assert (tmp_path / "out" / "model.safetensors").is_file() and (tmp_path / "out" / "recipe.yaml").is_file()


@pytest.mark.slow
def test_the_reward_rises(tmp_path):
    import grpo_demo

    rewards = grpo_demo.run(tmp_path)
    assert len(rewards) >= grpo_demo.STEPS * 0.9
    assert sum(rewards[-10:]) / 10 > sum(rewards[:10]) / 10 + 0.2
