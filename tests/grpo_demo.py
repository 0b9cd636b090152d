"""GRPO on a CPU, start to end, in a few minutes: the mean reward of a tiny model rises.

    python tests/grpo_demo.py FOLDER [--plot docs/images/grpo_demo.png]

A model of 0.1M parameters first learns the answer format from solutions of which more than half are wrong, then GRPO rewards
what the grader accepts. The problems are variants that a Code CoT makes (environment.py), their truth is executed in the
sandbox, the answers go through the same grader as everything else. Nothing here is simulated but the size.
"""

import argparse
import json
import random
import shutil
from pathlib import Path

import yaml
from training_models import save_model

CODE = 'input = {{"a": {a}}}\n\ndef last_digit(a):\n    return a % 10\n\noutput = last_digit(**input)\nprint(output)\n'
STEPS = 120


def make(folder: Path) -> tuple[Path, Path]:
    """(SFT recipe, GRPO recipe) with their data and the untrained model in `folder`."""
    save_model(folder / "random")
    rng = random.Random(0)
    families = [
        {"problem": f"What is the last digit of {a}?", "code": CODE.format(a=a), "answer": str(a % 10)}
        for a in rng.sample(range(20, 90), 24)
    ]
    (folder / "families.jsonl").write_text("".join(json.dumps(row) + "\n" for row in families))
    shown = []
    for _ in range(4000):
        a = rng.randint(10, 180)
        said = a % 10 if rng.random() < 0.4 else rng.randint(0, 9)  # under half is right, luck included
        shown.append({"instruction": f"What is the last digit of {a}?", "output": f"\\boxed{{{said}}}"})
    (folder / "shown.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shown))
    common = {
        "gradient_checkpointing": False,
        "bf16": False,
        "use_cpu": True,
        "report_to": "none",
        "seed": 42,
        "save_strategy": "no",
    }
    sft = common | {
        "model_name_or_path": str(folder / "random"),
        "output_dir": str(folder / "sft"),
        "text_format": "instruction",
        "dataset_path": str(folder / "shown.jsonl"),
        "token_cache": str(folder / "cache"),
        "max_length": 64,
        "max_steps": 300,
        "per_device_train_batch_size": 32,
        "learning_rate": 3e-3,
        "logging_steps": 50,
    }
    grpo = common | {
        "model_name_or_path": str(folder / "sft"),
        "output_dir": str(folder / "grpo"),
        "dataset_path": str(folder / "families.jsonl"),
        "variants": 8,
        "reward": "answer",
        "max_steps": STEPS,
        "per_device_train_batch_size": 64,
        "num_generations": 8,
        "max_completion_length": 12,
        "learning_rate": 5e-4,
        "lr_scheduler_type": "constant",
        "logging_steps": 1,
    }
    for name, recipe in (("sft", sft), ("grpo", grpo)):
        (folder / f"{name}.yaml").write_text(yaml.safe_dump(recipe))
    return folder / "sft.yaml", folder / "grpo.yaml"


def run(folder: Path) -> list[float]:
    """Trains both; returns the mean reward of every GRPO step."""
    from caco_recipes import grpo, sft

    folder.mkdir(parents=True, exist_ok=True)
    sft_recipe, grpo_recipe = make(folder)
    assert sft.main(["--config", str(sft_recipe)]) == 0
    assert grpo.main(["--config", str(grpo_recipe)]) == 0
    history = json.loads((folder / "grpo" / "trainer_state.json").read_text())["log_history"]
    return [entry["reward"] for entry in history if entry.get("reward") is not None]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--plot", type=Path)
    options = parser.parse_args()
    rewards = run(options.folder)
    print(f"mean reward: first 10 steps {sum(rewards[:10]) / 10:.3f}, last 10 steps {sum(rewards[-10:]) / 10:.3f}")
    if options.plot:
        shutil.copyfile(options.folder / "grpo" / "reward.png", options.plot)
