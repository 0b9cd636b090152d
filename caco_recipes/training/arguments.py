"""The recipe's keys as TRL's `SFTConfig`, with what is decided here and not by a recipe."""

from typing import Any

from caco_recipes.recipe import RecipeError
from caco_recipes.training.config import SFTRecipe
from caco_recipes.training.packed_attention import NAME as PACKED


def build_arguments(recipe: SFTRecipe, on_any_machine: bool = False) -> Any:
    """The trainer's `SFTConfig`. Raises `RecipeError` with the library's reason if this machine can't run it."""
    import torch
    from trl import SFTConfig

    keys: dict[str, Any] = dict(recipe.training)
    if on_any_machine and not torch.cuda.is_available():
        keys |= {"use_cpu": True, "tf32": None}
    model = recipe.model
    weights = {"dtype": model.get("dtype", "float32"), "revision": model.get("model_revision", "main")}
    attention = model.get("attn_implementation")
    if keys.get("packing") and attention in (None, "sdpa") and (keys.get("use_cpu") or not torch.cuda.is_available()):
        attention = PACKED  # the same numbers for less work (packed_attention.py)
    if attention:
        weights["attn_implementation"] = attention
    keys["model_init_kwargs"] = weights | (keys.get("model_init_kwargs") or {})
    keys["dataset_kwargs"] = {"skip_prepare_dataset": True}  # tokens.py did it, token-exact and cached
    if keys.get("padding_free") and not keys.get("packing"):
        keys["max_length"] = None  # the rows are cut already; TRL refuses a limit that it wouldn't apply itself
    try:
        return SFTConfig(**keys)
    except (ValueError, RuntimeError, ImportError) as error:
        raise RecipeError(f"{recipe.path}: {str(error).strip()}") from None
