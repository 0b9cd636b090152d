"""Reinforcement with verifiable rewards (GRPO): answers checked by our grader, or programs run in our sandbox.

In:  rows with a problem and its program (`LHL3341/Caco-1.3M`, our own published datasets, a run's step folder), and a
     model: a reasoner (`reward: answer`) or one that writes programs (`reward: program`).
Out: `output_dir` with the model, tokenizer and chat template, `reward.png`, `recipe.yaml`, `checkpoint-N/`.
Paper: section 5 (future work); rewards.py and environment.py say what is rewarded.

    accelerate launch --config_file accelerate_configs/zero2.yaml -m caco_recipes.grpo \\
        --config recipes/Qwen2.5-Math-7B-Caco/grpo.yaml [--key value ...] [--dry-run]

`--dry-run` makes the rows and shows three prompts with their gold; it loads no model. The same command again goes on from
the last whole checkpoint. Exit code 2: the recipe or its data can't be used.
"""

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from caco_recipes.training.grpo_config import GRPORecipe


def main(arguments: list[str] | None = None) -> int:
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is loaded; sft.py says why
    if not arguments or {"-h", "--help"} & set(arguments):
        print(__doc__)
        return 0
    from caco_recipes.recipe import RecipeError
    from caco_recipes.sft import split_arguments

    try:
        path, dry_run, overrides = split_arguments(arguments)
        return run(path, overrides, dry_run)
    except RecipeError as error:
        if int(os.environ.get("LOCAL_RANK", 0)) == 0:
            print(f"error: {error}", file=sys.stderr)
        return 2


def run(path: str, overrides: list[str], dry_run: bool) -> int:
    """Trains (or shows) one recipe. Raises `RecipeError` before a model is loaded if anything is wrong with it."""
    from caco_recipes.training import checkpoints, checks, grpo_rows
    from caco_recipes.training.grpo_config import read_grpo_recipe
    from caco_recipes.training.text_format import INSTRUCTION

    # 1. The recipe, the tokenizer, the rows.
    recipe = read_grpo_recipe(path, overrides)
    _, tokenizer = checks.load_config_and_tokenizer(recipe)
    # Chat turns rendered by our template: the paper's text, and no BOS that a plain prompt would get.
    tokenizer.chat_template = INSTRUCTION.chat_template
    rows, counts = grpo_rows.make(recipe, tokenizer)
    main_rank = int(os.environ.get("RANK", 0)) == 0
    if main_rank:
        print(", ".join(f"{count:,} {what}" for what, count in counts.items()), flush=True)
    if dry_run:
        build_arguments(recipe, on_any_machine=True)
        if main_rank:
            show(rows, tokenizer)
        return 0

    # 2. The model and the trainer.
    trainer = build_trainer(recipe, rows, tokenizer)
    checkpoint, skipped = checkpoints.last_good(recipe.training["output_dir"]) if recipe.data.resume else (None, [])
    for message in skipped if main_rank else []:
        print(message, flush=True)
    if not (checkpoint and checkpoints.is_finished(checkpoint)):
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
        trainer.save_model()
        trainer.save_state()
    elif main_rank:
        checkpoints.copy_model(checkpoint, Path(recipe.training["output_dir"]))
    if trainer.args.push_to_hub:
        trainer.push_to_hub()
    return 0


def show(rows: list[dict[str, Any]], tokenizer: Any) -> None:
    for number, row in enumerate(rows[:3], 1):
        print(f"--- row {number}; gold {json.dumps(row.get('answer'), ensure_ascii=False)}")
        print(tokenizer.apply_chat_template(row["prompt"], tokenize=False, add_generation_prompt=True))


def build_arguments(recipe: "GRPORecipe", on_any_machine: bool = False) -> Any:
    """The trainer's `GRPOConfig`. Raises `RecipeError` with the library's reason if this machine can't run it."""
    import torch
    from trl import GRPOConfig

    from caco_recipes.recipe import RecipeError

    keys = dict(recipe.training)
    model = recipe.model
    if on_any_machine and not torch.cuda.is_available():
        keys |= {"use_cpu": True}
    weights = {"dtype": model.get("dtype", "float32"), "revision": model.get("model_revision", "main")}
    if model.get("attn_implementation"):
        weights["attn_implementation"] = model["attn_implementation"]
    keys["model_init_kwargs"] = weights | (keys.get("model_init_kwargs") or {})
    if recipe.data.curriculum:
        keys["shuffle_dataset"] = False  # the order is the curriculum
    try:
        return GRPOConfig(**keys)
    except (ValueError, RuntimeError, ImportError) as error:
        raise RecipeError(f"{recipe.path}: {str(error).strip()}") from None


def build_trainer(recipe: "GRPORecipe", rows: list[dict[str, Any]], tokenizer: Any) -> Any:
    import yaml
    from datasets import Dataset
    from transformers import PrinterCallback, ProgressCallback
    from trl import GRPOTrainer, ModelConfig, get_peft_config

    from caco_recipes import rewards
    from caco_recipes.training.progress import Bar
    from caco_recipes.training.reward_progress import ShowReward

    trainer = GRPOTrainer(
        model=recipe.model["model_name_or_path"],
        args=build_arguments(recipe),
        reward_funcs=[rewards.answer_reward if recipe.data.reward == "answer" else rewards.program_reward],
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        peft_config=get_peft_config(ModelConfig(**recipe.model)),
        callbacks=[ShowReward()],
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    if sys.stderr.isatty():
        trainer.add_callback(Bar())
    if trainer.is_world_process_zero():
        folder = Path(recipe.training["output_dir"])
        folder.mkdir(parents=True, exist_ok=True)
        ours = {key: value for key, value in vars(recipe.data).items() if value not in (None, [], {})}
        text = yaml.safe_dump({**ours, **recipe.model, **recipe.training}, sort_keys=False, allow_unicode=True)
        (folder / "recipe.yaml").write_text(text, encoding="utf-8")
    return trainer


if __name__ == "__main__":
    sys.exit(main())
