"""The recipe's keys as TRL's `SFTConfig` or `GRPOConfig`, with what is decided here and not by a recipe."""

from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError
from caco_recipes.training.config import SFTRecipe, TrainingRecipe
from caco_recipes.training.grpo_config import GRPORecipe
from caco_recipes.training.packed_attention import NAME as PACKED


def build_arguments(recipe: SFTRecipe, on_any_machine: bool = False) -> Any:
    """The trainer's `SFTConfig`. Raises `RecipeError` with the library's reason if this machine can't run it."""
    from trl import SFTConfig

    keys = _common(recipe, on_any_machine)
    keys["dataset_kwargs"] = {"skip_prepare_dataset": True}  # tokens.py did it, token-exact and cached
    if keys.get("padding_free") and not keys.get("packing"):
        keys["max_length"] = None  # the rows are cut already; TRL refuses a limit that it wouldn't apply itself
    return _made(SFTConfig, keys, recipe)


def build_grpo_arguments(recipe: GRPORecipe, on_any_machine: bool = False) -> Any:
    """The trainer's `GRPOConfig`. Raises `RecipeError` with the library's reason if this machine can't run it."""
    from trl import GRPOConfig

    keys = _common(recipe, on_any_machine)
    if recipe.data.curriculum:
        keys["shuffle_dataset"] = False  # the order is the curriculum
    return _made(GRPOConfig, keys, recipe)


def build_adapter(model: Any) -> Any:
    """The LoRA configuration of a `ModelConfig`, or None. It names the base model's revision, as its folder can't."""
    from trl import get_peft_config

    adapter = get_peft_config(model)
    if adapter is None:
        return None
    if not Path(model.model_name_or_path).exists():
        adapter.revision = model.model_revision
    if isinstance(adapter.target_modules, str) and adapter.target_modules.isidentifier():
        adapter.target_modules = {
            adapter.target_modules
        }  # TRL makes a list of one a text, which PEFT takes for a pattern
    return adapter


def _common(recipe: TrainingRecipe, on_any_machine: bool) -> dict[str, Any]:
    import torch

    keys, model = dict(recipe.training), recipe.model
    on_cpu = keys.get("use_cpu") or not torch.cuda.is_available()
    if on_any_machine and on_cpu:
        keys |= {"use_cpu": True, "tf32": None}
    attention = model.get("attn_implementation")
    if keys.get("packing") and attention in (None, "sdpa") and on_cpu:
        attention = PACKED  # the same numbers for less work (packed_attention.py)
    weights = {"dtype": model.get("dtype", "float32"), "revision": model.get("model_revision", "main")}
    if attention:
        weights["attn_implementation"] = attention
    keys["model_init_kwargs"] = weights | (keys.get("model_init_kwargs") or {})
    return keys


def _made(cls: type, keys: dict[str, Any], recipe: TrainingRecipe) -> Any:
    try:
        return cls(**keys)
    except (ValueError, RuntimeError, ImportError) as error:
        raise RecipeError(f"{recipe.path}: {str(error).strip()}") from None
