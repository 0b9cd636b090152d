"""Is the run in `output_dir` this run? A checkpoint of another recipe must not be gone on with by accident."""

import hashlib
import json
from pathlib import Path
from typing import Any

import yaml

from caco_recipes.recipe import RecipeError
from caco_recipes.training.config import TrainingRecipe

FILE = "recipe.yaml"
# Keys that may change between a kill and the next start: where and how the run reports, saves and loads.
FREE = {
    "output_dir", "run_name", "report_to", "project", "logging_steps", "logging_strategy", "logging_first_step",
    "save_steps", "save_strategy", "save_total_limit", "push_to_hub", "hub_model_id", "hub_strategy", "hub_private_repo",
    "hub_revision", "hub_always_push", "dataset_num_proc", "dataloader_num_workers", "dataloader_pin_memory",
    "dataloader_persistent_workers", "dataloader_prefetch_factor", "token_cache", "evaluation_results", "resume",
    "disable_tqdm", "log_level", "eval_steps", "eval_strategy", "dataset_path", "gradient_checkpointing",
    "ddp_timeout", "log_completions", "vllm_mode", "vllm_server_base_url", "vllm_gpu_memory_utilization",
}  # fmt: skip


def write(recipe: TrainingRecipe, content_key: str) -> None:
    """Writes the recipe as it is used into `output_dir`, in a form that may be pushed: local places by name only.

    `content_key` stands for the data and the tokenizer (their content, not their place).
    """
    folder = Path(recipe.training["output_dir"])
    folder.mkdir(parents=True, exist_ok=True)
    text = yaml.safe_dump(without_places(recipe.resolved), sort_keys=False, allow_unicode=True)
    temporary = folder / f".{FILE}.tmp"
    mark = f"# Every key of this run as it was used; local paths by their last name. {_mark(recipe, content_key)}\n"
    temporary.write_text(mark + text, encoding="utf-8")
    temporary.replace(folder / FILE)


def check(recipe: TrainingRecipe, content_key: str) -> None:
    """Raises `RecipeError` if `output_dir` holds a run with other data or other training keys."""
    path = Path(recipe.training["output_dir"]) / FILE
    if not path.exists():
        return  # a folder of another trainer; its checkpoint was asked for
    text = path.read_text(encoding="utf-8")
    if _mark(recipe, content_key) in text.partition("\n")[0]:
        return
    before, now = _comparable(yaml.safe_load(text) or {}), _comparable(without_places(recipe.resolved))
    changed = sorted(key for key in before.keys() | now.keys() if before.get(key) != now.get(key))
    if not changed:
        changed = ["the place of a local model, or the data's or the tokenizer's content"]
    raise RecipeError(
        f"{recipe.path}: output_dir {path.parent} holds checkpoints of another run; different: {', '.join(changed)}. "
        "Choose another output_dir, or --resume false to start anew"
    )


def without_places(value: Any) -> Any:
    """`value` with every local path that says where on this machine something lies reduced to its last name."""
    if isinstance(value, dict):
        return {key: without_places(item) for key, item in value.items()}
    if isinstance(value, list):
        return [without_places(item) for item in value]
    if isinstance(value, str) and (value.startswith(("/", "~", "../")) or value.startswith("file:")):
        return Path(value).name
    return value


def _mark(recipe: TrainingRecipe, content_key: str) -> str:
    """A hash of everything that must not change, places of local models included."""
    facts = [content_key, _comparable(recipe.resolved)]
    return "run: " + hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:32]


def _comparable(keys: dict[str, Any]) -> dict[str, str]:
    return {key: json.dumps(value, sort_keys=True) for key, value in keys.items() if key not in FREE}
