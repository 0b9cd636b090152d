"""Supervised fine-tuning, for Caco-CodeGen and for the reasoners: one recipe, one run.

In:  rows from the Hub, local files or a run's step folder, with the columns of the recipe's `text_format`
     (`codegen`: code; `instruction`: instruction, output), and a base model.
Out: `output_dir` with the model, tokenizer and chat template, `README.md` (model card), `recipe.yaml` (every key as it
     was used), `loss.png`, `training_summary.json` and `checkpoint-N/`.
Paper: section 3 (CodeGen), section 4 and appendix A (reasoners).

    accelerate launch --config_file accelerate_configs/zero2.yaml -m caco_recipes.sft \\
        --config recipes/Qwen2.5-Math-7B-Caco/sft.yaml [--key value ...] [--dry-run]

`--dry-run` prepares the data and shows three rows with their loss mask; it loads no model. Every key of the recipe can
be overridden (`--learning_rate 1e-5`, `--model_init_kwargs.use_kernels true`). The same command again goes on from the
last whole checkpoint. Exit code 2: the recipe or its data can't be used; nothing was trained.
"""

import dataclasses
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from caco_recipes.training import launch

if TYPE_CHECKING:
    from caco_recipes.training.config import SFTRecipe
    from caco_recipes.training.tokens import Tokens


def main(arguments: list[str] | None = None) -> int:
    return launch.start(arguments, __doc__, run)


def run(path: str, overrides: list[str], dry_run: bool) -> int:
    """Trains (or shows) one recipe. Raises `RecipeError` before a model is loaded if anything is wrong with it."""
    from caco_recipes.training import checkpoints, checks, preview, resume, summary, tokens
    from caco_recipes.training.arguments import build_arguments
    from caco_recipes.training.config import read_recipe

    # 1. The recipe, and everything that can be known without weights.
    recipe = read_recipe(path, overrides)
    checks.check_recipe(recipe, device_needed=not dry_run)
    _, tokenizer = checks.load_config_and_tokenizer(recipe)

    # 2. The rows, as tokens. Before the trainer's arguments: making those starts the process group.
    prepared = tokens.prepare(recipe, tokenizer)
    if int(os.environ.get("RANK", 0)) == 0:
        print(preview.show_counts(recipe, prepared), flush=True)
    if dry_run:
        build_arguments(recipe, on_any_machine=True)
        preview.show(recipe, prepared, tokenizer)
        return 0

    # 3. Where to go on from. A run that has no step left only needs its model put in place.
    checkpoint = resume.find_checkpoint(recipe, prepared.key)
    if checkpoint and checkpoints.is_finished(checkpoint):
        return resume.finish(recipe, prepared.counts, checkpoint)

    # 4. The model and the trainer.
    trainer = build_trainer(recipe, prepared, tokenizer)
    started = time.monotonic()
    trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)

    # 5. What stays.
    trainer.save_model()
    trainer.save_state()
    trainer.create_model_card()
    if trainer.is_world_process_zero():
        facts = summary.of(dataclasses.asdict(trainer.state), prepared.counts)
        facts |= {"world_size": trainer.args.world_size, "seconds": round(time.monotonic() - started, 1)}
        summary.write(Path(trainer.args.output_dir), facts)
    if trainer.args.push_to_hub:
        trainer.push_to_hub()
    return 0


def build_trainer(recipe: "SFTRecipe", prepared: "Tokens", tokenizer: Any) -> Any:
    from transformers import PrinterCallback, ProgressCallback
    from trl import ModelConfig, get_quantization_config

    from caco_recipes.training import card, data, same_run, summary, text_format
    from caco_recipes.training.arguments import build_adapter, build_arguments
    from caco_recipes.training.progress import Bar, ShowProgress
    from caco_recipes.training.trainer import CacoSFTTrainer

    arguments = build_arguments(recipe)
    model = ModelConfig(**recipe.model)
    format_ = text_format.FORMATS[recipe.data.text_format]
    arguments.eos_token = format_.end_token  # None keeps the tokenizer's own
    tokenizer.chat_template = format_.chat_template
    identity = data.identity(recipe.data)
    trainer = CacoSFTTrainer(
        model=model.model_name_or_path,
        args=arguments,
        train_dataset=prepared.train,
        eval_dataset=prepared.evaluation,
        processing_class=tokenizer,
        peft_config=build_adapter(model),
        quantization_config=get_quantization_config(model),
        callbacks=[ShowProgress()],
        card_text=lambda state: card.render(
            recipe, prepared.counts, summary.of(dataclasses.asdict(state), prepared.counts), identity
        ),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    if sys.stderr.isatty():
        trainer.add_callback(Bar())
    if trainer.is_world_process_zero():
        same_run.write(recipe, prepared.key)
    return trainer


if __name__ == "__main__":
    sys.exit(main())
