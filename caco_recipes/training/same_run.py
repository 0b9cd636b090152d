"""Is the run in `output_dir` this run? A checkpoint of another recipe must not be gone on with by accident."""

import json
from pathlib import Path
from typing import Any

import yaml

from caco_recipes.recipe import RecipeError
from caco_recipes.training.config import SFTRecipe

FILE = "recipe.yaml"
# Keys that may change between a kill and the next start: where and how the run reports, saves and loads.
FREE = {
    "output_dir", "run_name", "report_to", "project", "logging_steps", "logging_strategy", "logging_first_step",
    "save_steps", "save_strategy", "save_total_limit", "push_to_hub", "hub_model_id", "hub_strategy", "hub_private_repo",
    "hub_revision", "hub_always_push", "dataset_num_proc", "dataloader_num_workers", "dataloader_pin_memory",
    "dataloader_persistent_workers", "dataloader_prefetch_factor", "token_cache", "evaluation_results", "resume",
    "disable_tqdm", "log_level", "eval_steps", "eval_strategy", "dataset_path", "gradient_checkpointing",
    "ddp_timeout",
}  # fmt: skip


def write(recipe: SFTRecipe, tokens_key: str) -> None:
    """Writes the recipe as it is used, with the key of its tokens, into `output_dir`."""
    folder = Path(recipe.training["output_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(recipe.resolved, sort_keys=False, allow_unicode=True)
    temporary = folder / f".{FILE}.tmp"
    temporary.write_text(f"# Every key of this run as it was used. tokens: {tokens_key}\n{text}", encoding="utf-8")
    temporary.replace(folder / FILE)


def check(recipe: SFTRecipe, tokens_key: str) -> None:
    """Raises `RecipeError` if `output_dir` holds a run with other data or other training keys."""
    path = Path(recipe.training["output_dir"]) / FILE
    if not path.exists():
        return  # a folder of another trainer; its checkpoint was asked for
    text = path.read_text(encoding="utf-8")
    before, now = _comparable(yaml.safe_load(text) or {}), _comparable(recipe.resolved)
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if not changed and tokens_key not in text.partition("\n")[0]:
        changed = ["the data's or the tokenizer's content"]
    if changed:
        raise RecipeError(
            f"{recipe.path}: output_dir {path.parent} holds checkpoints of another run; different: {', '.join(changed)}. "
            "Choose another output_dir, or --resume false to start anew"
        )


def _comparable(keys: dict[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value, sort_keys=True) for key, value in keys.items() if key not in FREE}
