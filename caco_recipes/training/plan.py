"""What an SFT recipe needs before it is started: memory per device, steps, tokens, hours, and what would make it fit.

    caco plan recipes/Qwen2.5-Math-7B-Caco/sft.yaml --gpu-memory 80 --tokens-per-second 3000

Memory is a model of the large tensors (weights, gradients, optimiser states, activations, the loss's logits), made from the
model's configuration alone. It was checked against a measured CPU run of the small model (docs/training.md); on GPUs it is
an estimate, and says so.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError, load_yaml
from caco_recipes.training.config import SFTRecipe

GB = 1024**3
BYTES = {"float32": 4, "bfloat16": 2, "float16": 2, "auto": 2}
# Rows and tokens of data that can't be counted without fetching it (facts of the paper; tokens per row estimated).
KNOWN_ROWS = {"LHL3341/Caco-1.3M": 1_348_799}
TOKENS_PER_ROW = {"instruction": 500, "codegen": 250, "codegen_domain": 256}
CUDA_CONTEXT = 1.5 * GB  # context, libraries and the allocator's slack on a GPU (estimated)


@dataclass
class Shape:
    """The sizes of a decoder that memory follows from."""

    hidden: int
    layers: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool

    @property
    def parameters(self) -> int:
        attention = self.hidden * self.head_dim * (2 * self.heads + 2 * self.kv_heads)
        layer = attention + 3 * self.hidden * self.intermediate + 2 * self.hidden
        return self.layers * layer + self.vocabulary * self.hidden * (1 if self.tied else 2) + self.hidden


# So that the paper's recipes can be planned without the Hub; read from the models' published configurations.
KNOWN_SHAPES = {
    "Qwen/Qwen2.5-Math-7B": Shape(3584, 28, 18944, 28, 4, 128, 152064, False),
    "Qwen/Qwen2.5-Coder-7B": Shape(3584, 28, 18944, 28, 4, 128, 152064, False),
    "meta-llama/Meta-Llama-3-8B": Shape(4096, 32, 14336, 32, 8, 128, 128256, False),
    "deepseek-ai/deepseek-math-7b-base": Shape(4096, 30, 11008, 32, 32, 128, 102400, False),
}


@dataclass
class Plan:
    """Figures of one recipe. Memory in bytes per device, time in hours (None without a throughput)."""

    parameters: int
    trainable: int
    devices: int
    strategy: str
    memory: dict[str, float]
    global_batch: int
    rows: int | None
    steps: int | None
    tokens: int | None
    hours: float | None
    notes: list[str] = field(default_factory=list)

    @property
    def total(self) -> float:
        return sum(self.memory.values())

    def fits(self, device_gb: float) -> bool:
        return self.total <= device_gb * GB


def make_plan(
    recipe: SFTRecipe,
    accelerate_config: str | Path,
    rows: int | None = None,
    tokens_per_row: float | None = None,
    tokens_per_second: float | None = None,
) -> Plan:
    """The plan of `recipe` under a launch configuration.

    Args:
        rows: training rows; by default the recipe's draw, or what is known of the dataset.
        tokens_per_row: real tokens; by default an estimate per text.
        tokens_per_second: of all devices together, measured or hoped for; without it there are no hours.

    Raises:
        RecipeError: the model's sizes can't be had.
    """
    keys, model = recipe.training, recipe.model
    shape, launch = shape_of(recipe), load_yaml(accelerate_config)
    devices = int(launch.get("num_processes", 1))
    strategy = strategy_of(launch)
    trainable = _lora_parameters(shape, model) if model.get("use_peft") else shape.parameters
    per_device = keys.get("per_device_train_batch_size", 8)
    batch = per_device * keys.get("gradient_accumulation_steps", 1) * devices
    rows = rows or recipe.data.dataset_rows or KNOWN_ROWS.get(recipe.data.dataset_name or "")
    per_row = tokens_per_row or TOKENS_PER_ROW[recipe.data.text_format]
    sequences = rows
    if rows and keys.get("packing"):
        sequences = max(1, round(rows * per_row / (0.95 * keys.get("max_length", 1024))))
    epochs = keys.get("num_train_epochs", 3.0)
    steps = keys["max_steps"] if keys.get("max_steps", -1) > 0 else None
    if steps is None and sequences:
        steps = max(1, int(-(-sequences // batch) * epochs))
    tokens = round(steps * batch * (rows * per_row / sequences)) if steps and sequences else None
    hours = tokens / tokens_per_second / 3600 if tokens and tokens_per_second else None
    return Plan(
        shape.parameters, trainable, devices, strategy, memory_of(recipe, shape, trainable, devices, strategy),
        batch, rows, steps, tokens, hours,
    )  # fmt: skip


def memory_of(recipe: SFTRecipe, shape: Shape, trainable: int, devices: int, strategy: str) -> dict[str, float]:
    """Bytes per device by what they are for."""
    keys, model = recipe.training, recipe.model
    weight_bytes = BYTES[model.get("dtype") or "float32"]
    if model.get("load_in_4bit"):
        weight_bytes = 0.55
    elif model.get("load_in_8bit"):
        weight_bytes = 1.05
    sharded = {"zero2": (1, devices, devices), "zero3": (devices,) * 3, "fsdp2": (devices,) * 3}.get(
        strategy, (1, 1, 1)
    )
    frozen = shape.parameters - trainable if trainable < shape.parameters else 0
    trained_bytes = 4 if frozen else weight_bytes  # PEFT keeps adapters in float32
    deepspeed = strategy in ("zero2", "zero3")
    # DeepSpeed computes with bf16 weights and gradients and keeps a float32 master copy with the optimiser's states.
    compute = 2 if deepspeed and keys.get("bf16", True) else trained_bytes
    memory = {
        "weights": (frozen * weight_bytes + trainable * compute) / sharded[0],
        "gradients": trainable * compute / sharded[1],
        "optimiser": trainable * _optimiser_bytes(keys.get("optim", "adamw_torch_fused"), trained_bytes) / sharded[2],
    }
    if deepspeed:
        memory["float32 master weights"] = trainable * 4 / sharded[2]
    tokens = keys.get("per_device_train_batch_size", 8) * (keys.get("max_length") or 1024)
    autocast = keys.get("bf16", True) or keys.get("fp16")
    unit = 2 if autocast or weight_bytes == 2 else 4
    memory["activations"] = _activations(shape, tokens, unit, keys.get("gradient_checkpointing", True))
    if keys.get("use_cpu"):
        # cpu_head.py keeps the logits of all tokens and makes their gradient, and that of the head, in one type.
        memory["logits"] = unit * (2 * tokens * shape.vocabulary + shape.vocabulary * shape.hidden)
    else:
        # TRL's fused head goes over tiles of 4096 tokens by 32768 words; the head's gradient is summed in float32.
        tile = min(tokens, 4096) * min(shape.vocabulary, 32768)
        memory["logits"] = tile * unit + shape.vocabulary * shape.hidden * 4
    if autocast and weight_bytes == 4 and not deepspeed:
        memory["bf16 copies of autocast"] = 2 * max(
            shape.hidden * shape.intermediate * 3, shape.vocabulary * shape.hidden
        )
    if not keys.get("use_cpu"):
        memory["context"] = CUDA_CONTEXT
    return memory


def _activations(shape: Shape, tokens: int, unit: int, checkpointing: bool) -> float:
    # Kept for the backward pass of one layer, in values per token: norms and residuals 6 h, queries and outputs,
    # keys and values, the gated MLP's three products and their input. The two norms also keep float32 copies.
    attention = shape.head_dim * (2 * shape.heads + 2 * shape.kv_heads)
    layer = tokens * ((6 * shape.hidden + 2 * attention + 4 * shape.intermediate) * unit + 16 * shape.hidden)
    if checkpointing:  # the input of every layer, and one layer in full
        return shape.layers * tokens * shape.hidden * unit + layer
    return shape.layers * layer


def _optimiser_bytes(optim: str, weight_bytes: float) -> float:
    if "8bit" in optim:
        return 2
    if optim.startswith("adamw") or optim.startswith("paged_adamw"):
        return 2 * weight_bytes  # two moments in the weights' own type
    if optim.startswith(("sgd", "adafactor")):
        return 0.1 * weight_bytes
    return 2 * weight_bytes


def _lora_parameters(shape: Shape, model: dict[str, Any]) -> int:
    rank = model.get("lora_r", 16)
    q, kv = shape.heads * shape.head_dim, shape.kv_heads * shape.head_dim
    sizes = {
        "q_proj": shape.hidden + q, "k_proj": shape.hidden + kv, "v_proj": shape.hidden + kv, "o_proj": q + shape.hidden,
        "gate_proj": shape.hidden + shape.intermediate, "up_proj": shape.hidden + shape.intermediate,
        "down_proj": shape.hidden + shape.intermediate,
    }  # fmt: skip
    targets = model.get("lora_target_modules") or ["q_proj", "v_proj"]
    if targets in ("all-linear", ["all-linear"]):
        targets = list(sizes)
    return shape.layers * rank * sum(sizes.get(name, 0) for name in targets)


def strategy_of(launch: dict[str, Any]) -> str:
    """`zero2`, `zero3`, `fsdp2`, `ddp` or `single` of an accelerate configuration."""
    kind = str(launch.get("distributed_type", "NO"))
    if kind == "DEEPSPEED":
        return f"zero{launch['deepspeed_config']['zero_stage']}"
    return {"FSDP": "fsdp2", "MULTI_GPU": "ddp"}.get(kind, "single")


def shape_of(recipe: SFTRecipe) -> Shape:
    """The model's sizes, from what is known or from its configuration (never its weights)."""
    name = recipe.model["model_name_or_path"]
    if name in KNOWN_SHAPES:
        return KNOWN_SHAPES[name]
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(
            name, revision=recipe.model.get("model_revision", "main")
        ).get_text_config()
    except (OSError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise RecipeError(f"{recipe.path}: model_name_or_path: {name} has no configuration here: {reason}") from None
    heads = config.num_attention_heads
    return Shape(
        hidden=config.hidden_size,
        layers=config.num_hidden_layers,
        intermediate=config.intermediate_size,
        heads=heads,
        kv_heads=getattr(config, "num_key_value_heads", None) or heads,
        head_dim=getattr(config, "head_dim", None) or config.hidden_size // heads,
        vocabulary=config.vocab_size,
        tied=config.tie_word_embeddings,
    )


def advice(recipe: SFTRecipe, accelerate_config: str | Path, device_gb: float) -> list[str]:
    """Switches that would make a plan fit, each tried on the memory model; the cheapest in quality and time first."""
    keys, launch = recipe.training, load_yaml(accelerate_config)
    devices, strategy, shape = int(launch.get("num_processes", 1)), strategy_of(launch), shape_of(recipe)

    def total(training: dict[str, Any], model: dict[str, Any], strategy: str) -> float:
        changed = SFTRecipe(path=recipe.path, data=recipe.data, training=keys | training, model=recipe.model | model)
        trainable = _lora_parameters(shape, changed.model) if changed.model.get("use_peft") else shape.parameters
        return sum(memory_of(changed, shape, trainable, devices, strategy).values())

    per_device, accumulation = keys.get("per_device_train_batch_size", 8), keys.get("gradient_accumulation_steps", 1)
    tries: list[tuple[str, dict, dict, str]] = [
        ("gradient_checkpointing: true", {"gradient_checkpointing": True}, {}, strategy),
        (
            f"per_device_train_batch_size: 1 with gradient_accumulation_steps: {per_device * accumulation}",
            {"per_device_train_batch_size": 1},
            {},
            strategy,
        ),
    ]
    if devices > 1:
        tries += [(f"accelerate_configs/{name}.yaml", {}, {}, name) for name in ("zero2", "zero3") if name != strategy]
    small = {"per_device_train_batch_size": 1, "gradient_checkpointing": True}
    tries += [
        (
            "optim: paged_adamw_8bit with dtype: bfloat16",
            small | {"optim": "paged_adamw_8bit"},
            {"dtype": "bfloat16"},
            strategy,
        ),
        ("use_peft: true with dtype: bfloat16 (LoRA)", small, {"use_peft": True, "dtype": "bfloat16"}, strategy),
        ("use_peft: true with load_in_4bit: true (QLoRA)", small, {"use_peft": True, "load_in_4bit": True}, strategy),
    ]
    found = [(text, total(training, model, kind) / GB) for text, training, model, kind in tries]
    return [f"{text}: {size:.0f} GB" for text, size in found if size <= device_gb]


def render(recipe: SFTRecipe, accelerate_config: str | Path, plan: Plan, device_gb: float) -> str:
    """The plan as text, with what wouldn't fit and what would."""
    lines = [
        f"{recipe.path} under {accelerate_config}: {plan.devices} device(s), {plan.strategy}",
        f"parameters: {plan.parameters / 1e9:.2f} B, trained {plan.trainable / 1e9:.2f} B",
        f"memory per device (estimated, largest step): {plan.total / GB:.1f} GB of {device_gb:g} GB",
        *[f"  {size / GB:6.1f} GB  {what}" for what, size in plan.memory.items()],
        f"global batch: {plan.global_batch} sequences",
    ]
    if plan.rows:
        lines.append(f"rows: {plan.rows:,}")
    if plan.steps:
        lines.append(
            f"steps: {plan.steps:,}" + (f", tokens: {plan.tokens / 1e9:.2f} B (estimated)" if plan.tokens else "")
        )
    if plan.hours is not None:
        lines.append(f"time: {plan.hours:.1f} h at the stated throughput")
    else:
        lines.append("time: give --tokens-per-second to have hours")
    if not plan.fits(device_gb):
        options = advice(recipe, accelerate_config, device_gb)
        lines.append(
            f"DOES NOT FIT in {device_gb:g} GB. "
            + ("What would, by this model:" if options else "No single switch would.")
        )
        lines += [f"  {option}" for option in options]
    return "\n".join(lines)


def main(
    recipe_path: str, overrides: list[str], accelerate_config: str | None, device_gb: float, **figures: Any
) -> str:
    """The text of `caco plan` for an SFT recipe; the launch configuration is the one of the recipe's second line.

    Args:
        figures: `rows`, `tokens_per_row`, `tokens_per_second` of `make_plan`.
    """
    from caco_recipes.training.config import read_recipe

    recipe = read_recipe(recipe_path, overrides)
    if accelerate_config is None:
        match = re.search(r"--config_file (\S+)", Path(recipe_path).read_text(encoding="utf-8"))
        if match is None:
            raise RecipeError(f"{recipe_path}: no --config_file in its second line; give --accelerate-config")
        accelerate_config = match[1]
    plan = make_plan(recipe, accelerate_config, **figures)
    return render(recipe, accelerate_config, plan, device_gb)
