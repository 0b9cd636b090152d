"""Reinforcement with verifiable rewards (GRPO): answers checked by our grader, or programs run in our sandbox.

In:  rows with a problem and its program (`LHL3341/Caco-1.3M`, our own published datasets, a run's step folder), and a
     model: a reasoner (`reward: answer`) or one that writes programs (`reward: program`).
Out: `output_dir` with the model, tokenizer and chat template, `README.md` (model card), `recipe.yaml`, `reward.png`,
     `training_summary.json` and `checkpoint-N/`.
Paper: section 5 (future work); rewards.py and environment.py say what is rewarded.

    accelerate launch --config_file accelerate_configs/zero2.yaml -m caco_recipes.grpo \\
        --config recipes/Qwen2.5-Math-7B-Caco/grpo.yaml [--key value ...] [--dry-run]

`--dry-run` makes the rows and shows three prompts with their gold; it loads no model. The same command again goes on from
the last whole checkpoint. Exit code 2: the recipe or its data can't be used.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caco_recipes.training import launch

if TYPE_CHECKING:
    from caco_recipes.training.grpo_config import GRPORecipe


def main(arguments: list[str] | None = None) -> int:
    return launch.start(arguments, __doc__, run)


def run(path: str, overrides: list[str], dry_run: bool) -> int:
    """Trains (or shows) one recipe. Raises `RecipeError` before a model is loaded if anything is wrong with it."""
    from caco_recipes.training import checkpoints, checks, grpo_rows, resume, summary
    from caco_recipes.training.arguments import build_grpo_arguments
    from caco_recipes.training.grpo_config import read_grpo_recipe
    from caco_recipes.training.text_format import INSTRUCTION

    # 1. The recipe, the tokenizer, the rows.
    recipe = read_grpo_recipe(path, overrides)
    checks.check_trainer(recipe, device_needed=not dry_run)
    _, tokenizer = checks.load_config_and_tokenizer(recipe)
    # Chat turns rendered by our template: the paper's text, and no BOS that a plain prompt would get.
    tokenizer.chat_template = INSTRUCTION.chat_template
    rows, counts = grpo_rows.make(recipe, tokenizer)
    main_rank = int(os.environ.get("RANK", 0)) == 0
    if main_rank:
        print(", ".join(f"{count:,} {what}" for what, count in counts["outcomes"].items()), flush=True)
    if dry_run:
        build_grpo_arguments(recipe, on_any_machine=True)
        if main_rank:
            show(rows, tokenizer)
        return 0

    # 2. Where to go on from. A run that has no step left only needs its model put in place.
    content_key = grpo_rows.content_key(rows, tokenizer)
    checkpoint = resume.find_checkpoint(recipe, content_key)
    if checkpoint and checkpoints.is_finished(checkpoint):
        return resume.finish(recipe, counts, checkpoint)

    # 3. The model and the trainer.
    trainer = build_trainer(recipe, rows, counts, content_key, tokenizer)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    # 4. What stays.
    trainer.save_model()
    trainer.save_state()
    trainer.create_model_card()
    if trainer.is_world_process_zero():
        facts = summary.of(dataclasses.asdict(trainer.state), counts)
        facts |= {"world_size": trainer.args.world_size, "seconds": round(time.monotonic() - started, 1)}
        summary.write(Path(trainer.args.output_dir), facts)
    if trainer.args.push_to_hub:
        trainer.push_to_hub()
    return 0


def show(rows: list[dict[str, Any]], tokenizer: Any) -> None:
    for number, row in enumerate(rows[:3], 1):
        print(f"--- row {number}; gold {json.dumps(row.get('answer'), ensure_ascii=False)}")
        print(tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True))


def build_trainer(
    recipe: "GRPORecipe", rows: list[dict[str, Any]], counts: dict[str, Any], content_key: str, tokenizer: Any
) -> Any:
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback
    from trl import ModelConfig

    from caco_recipes import rewards
    from caco_recipes.training import card, data, same_run, summary
    from caco_recipes.training.arguments import build_adapter, build_grpo_arguments
    from caco_recipes.training.grpo_trainer import CacoGRPOTrainer
    from caco_recipes.training.progress import Bar
    from caco_recipes.training.reward_progress import ShowReward

    identity = data.identity(recipe.data)
    trainer = CacoGRPOTrainer(
        model=recipe.model["model_name_or_path"],
        args=build_grpo_arguments(recipe),
        reward_funcs=[rewards.answer_reward if recipe.data.reward == "answer" else rewards.program_reward],
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=build_adapter(ModelConfig(**recipe.model)),
        callbacks=[ShowReward()],
        card_text=lambda state: card.render(recipe, counts, summary.of(dataclasses.asdict(state), counts), identity),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    if sys.stderr.isatty():
        trainer.add_callback(Bar())
    if trainer.is_world_process_zero():
        same_run.write(recipe, content_key)
    return trainer


if __name__ == "__main__":
    sys.exit(main())
