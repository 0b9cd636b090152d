"""What can't work, found before a model is loaded: each message names the key and what to write instead."""

import importlib.util
from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError
from caco_recipes.training import data
from caco_recipes.training.config import SFTRecipe, TrainingRecipe

FLASH = ("flash_attention_2", "flash_attention_3")
PACKABLE = (
    "sdpa",
    "packed_sdpa",
    "eager",
    "flex_attention",
    *FLASH,
)  # they keep packed rows apart by their position ids
TRACKERS = {"trackio": "trackio", "wandb": "wandb", "tensorboard": "tensorboard"}


def check_recipe(recipe: SFTRecipe, device_needed: bool = True) -> None:
    """Combinations of keys that contradict each other or this machine. Raises `RecipeError`.

    `device_needed` is False for a dry run, which a laptop may do for a recipe that needs eight GPUs.
    """
    keys, config, model = recipe.training, recipe.data, recipe.model

    def refuse(message: str) -> None:
        raise RecipeError(f"{recipe.path}: {message}")

    packing = keys.get("packing", False)
    max_length = keys.get("max_length", 1024)
    if max_length is not None and max_length < 2:
        refuse(f"max_length is {max_length}: a row needs at least a prompt token and the end token")
    if packing and max_length is None:
        refuse("packing needs max_length: it is the length of a pack")
    if model.get("attn_implementation") == "packed_sdpa" and not (packing or keys.get("padding_free")):
        refuse("attn_implementation: packed_sdpa is for packing: true or padding_free: true; use sdpa")
    if packing and keys.get("packing_strategy", "bfd") == "wrapped":
        refuse("packing_strategy: wrapped cuts rows anywhere and lets them see each other; use bfd")
    if config.dataset_streaming and keys.get("max_steps", -1) <= 0:
        refuse("dataset_streaming needs max_steps: a stream's length is not known")
    if config.dataset_streaming and config.eval_rows:
        refuse("eval_rows can't be held out of a stream; set dataset_streaming: false")
    evaluates = keys.get("eval_strategy", "no") != "no"
    if evaluates and not config.eval_rows:
        refuse("eval_strategy needs eval_rows: how many rows to hold out")
    if config.eval_rows and not evaluates:
        refuse("eval_rows needs eval_strategy: 'steps' or 'epoch'")
    check_trainer(recipe, device_needed)


def check_trainer(recipe: TrainingRecipe, device_needed: bool = True) -> None:
    """What holds for SFT and GRPO alike: batch sizes, the Hub, this machine. Raises `RecipeError`."""
    keys, model = recipe.training, recipe.model

    def refuse(message: str) -> None:
        raise RecipeError(f"{recipe.path}: {message}")

    if (model.get("load_in_8bit") or model.get("load_in_4bit")) and not model.get("use_peft"):
        refuse("load_in_8bit and load_in_4bit need use_peft: true; quantised weights can't be trained themselves")
    for key in ("per_device_train_batch_size", "gradient_accumulation_steps"):
        if keys.get(key, 1) < 1:
            refuse(f"{key} is {keys[key]}: at least 1")
    for key in ("learning_rate", "num_train_epochs"):
        if keys.get(key, 1) <= 0:
            refuse(f"{key} is {keys[key]}: it must be positive")
    if "hub_token" in keys:
        refuse("hub_token: a secret doesn't belong in a recipe; run `hf auth login` or set HF_TOKEN")
    if keys.get("push_to_hub") and not keys.get("hub_model_id"):
        refuse("push_to_hub needs hub_model_id: the repository to push to, as OWNER/NAME")
    if device_needed:
        _check_machine(keys, model, refuse)


def _check_machine(keys: dict[str, Any], model: dict[str, Any], refuse: Any) -> None:
    import torch

    attention = model.get("attn_implementation")
    if attention in FLASH and (not torch.cuda.is_available() or importlib.util.find_spec("flash_attn") is None):
        refuse(
            f"attn_implementation: {attention} needs a CUDA device and the flash-attn package "
            "(pip install flash-attn --no-build-isolation); sdpa works everywhere"
        )
    if keys.get("use_liger_kernel") and not torch.cuda.is_available():
        refuse("use_liger_kernel needs a GPU; leave it out on a CPU")
    if ("8bit" in keys.get("optim", "") or model.get("load_in_8bit") or model.get("load_in_4bit")) and (
        importlib.util.find_spec("bitsandbytes") is None
    ):
        refuse("an 8-bit optimiser or quantised weights need bitsandbytes: pip install bitsandbytes")
    reported = keys.get("report_to") or []
    for tracker in [reported] if isinstance(reported, str) else reported:
        if tracker in TRACKERS and importlib.util.find_spec(TRACKERS[tracker]) is None:
            refuse(f"report_to: {tracker} is not installed; pip install {TRACKERS[tracker]}, or report_to: none")
    if keys.get("push_to_hub"):
        from huggingface_hub import get_token

        if get_token() is None:
            refuse("push_to_hub: no Hub token on this machine; run `hf auth login` or set HF_TOKEN")


def load_config_and_tokenizer(recipe: TrainingRecipe) -> tuple[Any, Any]:
    """The model's configuration and tokenizer (no weights), checked against the recipe. Raises `RecipeError`."""
    from transformers import AutoConfig, AutoTokenizer

    name, revision = recipe.model["model_name_or_path"], recipe.model.get("model_revision", "main")
    looks_local = name.startswith((".", "/", "~")) or name.count("/") > 1 or Path(name).exists()
    if looks_local and not (Path(name) / "config.json").is_file():
        raise RecipeError(
            f"{recipe.path}: model_name_or_path: {name} is no model folder (it has no config.json)"
            f"{data.made_by_a_run(name)}"
        )
    try:
        config = AutoConfig.from_pretrained(name, revision=revision)
        tokenizer = AutoTokenizer.from_pretrained(name, revision=revision)
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RecipeError(
            f"{recipe.path}: model_name_or_path: {name} ({revision}) can't be loaded: {reason}. Give a model on the Hub "
            "(gated ones need `hf auth login`) or a local folder"
        ) from None
    _check_model(recipe, config.get_text_config(), tokenizer)
    return config, tokenizer


def _check_model(recipe: TrainingRecipe, config: Any, tokenizer: Any) -> None:
    reinforced = not isinstance(recipe, SFTRecipe)
    if reinforced:
        length_key = "max_prompt_tokens + max_completion_length"
        max_length = recipe.data.max_prompt_tokens + (recipe.training.get("max_completion_length") or 0)
    else:
        length_key, max_length = "max_length", recipe.training.get("max_length", 1024)
    context = getattr(config, "max_position_embeddings", None)
    if max_length is not None and context is not None and max_length > context:
        raise RecipeError(
            f"{recipe.path}: {length_key}: {max_length} is beyond the model's {context} positions; lower it"
        )
    if len(tokenizer) > config.vocab_size:
        raise RecipeError(
            f"{recipe.path}: the tokenizer has {len(tokenizer)} tokens, the model embeds {config.vocab_size}: "
            "model_name_or_path holds a tokenizer of another model"
        )
    if not recipe.training.get("packing"):
        return
    attention = recipe.model.get("attn_implementation") or "sdpa"
    if attention not in PACKABLE and "/" not in attention:  # a slash names a kernel of the Hub
        raise RecipeError(
            f"{recipe.path}: packing with attn_implementation: {attention} would let packed rows see each other; "
            f"use one of {', '.join(PACKABLE)}"
        )
    layers = set(getattr(config, "layer_types", None) or [])
    if getattr(config, "use_sliding_window", None) is False:
        layers -= {"sliding_attention"}
    if layers - {"full_attention"} and attention not in FLASH and "/" not in attention:
        raise RecipeError(
            f"{recipe.path}: packing: this model has layers of {', '.join(sorted(layers - {'full_attention'}))}, which "
            f"keep packed rows apart only with flash attention; set attn_implementation: {FLASH[0]}, or packing: false"
        )
    if not hasattr(config, "num_attention_heads") or getattr(config, "model_type", "") in ("mamba", "mamba2", "rwkv"):
        raise RecipeError(f"{recipe.path}: packing: {config.model_type} has no attention that keeps rows apart")
