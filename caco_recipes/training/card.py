"""The model card: what the model is, what made it, and how it did. Written by us at every save, never by TRL."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from caco_recipes import __version__
from caco_recipes.training import summary, text_format
from caco_recipes.training.config import TrainingRecipe
from caco_recipes.training.grpo_config import GRPORecipe
from caco_recipes.training.same_run import without_places

TEMPLATE = Path(__file__).resolve().parent.parent / "cards" / "model.md"
PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "tokenizers", "deepspeed")
# Keys that name places of the machine; a card shows the rest of the recipe.
LOCAL_KEYS = ("token_cache", "evaluation_results", "output_dir", "run_name")

LEARNT = "the loss is on the last field and the end token only"
REWARDED = {
    "answer": "the model writes what follows the prompt, and is rewarded when its boxed answer equals the executed output",
    "program": "the model writes a program after the prompt, and is rewarded when it agrees with the reference on the "
    "original and on mutated inputs",
}


class WritesCard:
    """A trainer whose every save, checkpoint and push writes `card_text(state)` as the README (mixed in before TRL's)."""

    def __init__(self, *args: Any, card_text: Callable[[Any], str], **keywords: Any) -> None:
        self._card_text = card_text
        super().__init__(*args, **keywords)

    def create_model_card(self, *args: Any, **keywords: Any) -> None:
        # TRL calls this at every checkpoint and push, with a text that names neither recipe nor data.
        if self.is_world_process_zero():
            folder = Path(self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            write(folder / "README.md", self._card_text(self.state))


def versions() -> dict[str, str]:
    """Versions of what training depends on, as installed."""
    from importlib.metadata import PackageNotFoundError, version

    found = {"caco-recipes": __version__}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def render(recipe: TrainingRecipe, counts: dict[str, Any], facts: dict[str, Any], data_identity: list[dict]) -> str:
    """The card's text: YAML header for the Hub, then what `cards/model.md` says.

    Args:
        recipe: the run's recipe, SFT or GRPO.
        counts: `Tokens.counts`, or GRPO's `rows` and `outcomes`.
        facts: `summary.of` so far.
        data_identity: `data.identity`: names and revisions, or file hashes.
    """
    from string import Template

    model = recipe.model["model_name_or_path"]
    on_hub = not Path(model).exists()
    adapter = bool(recipe.model.get("use_peft"))
    reinforced = isinstance(recipe, GRPORecipe)
    format_ = text_format.INSTRUCTION if reinforced else text_format.FORMATS[recipe.data.text_format]
    programs = recipe.data.reward == "program" if reinforced else recipe.data.text_format.startswith("codegen")
    header: dict[str, Any] = {
        "library_name": "peft" if adapter else "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["caco", "grpo" if reinforced else "sft", "code-cot" if programs else "math"],
    }
    if adapter:
        header["tags"].append("lora")
    if on_hub:
        header["base_model"] = model
    datasets = [source["name"] for source in data_identity if source.get("name")]
    if datasets:
        header["datasets"] = datasets
    shown = {key: value for key, value in without_places(recipe.resolved).items() if key not in LOCAL_KEYS}
    base = f"[{model}](https://huggingface.co/{model})" if on_hub else f"`{Path(model).name}` (a local folder)"
    body = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=(recipe.training.get("hub_model_id") or Path(recipe.training["output_dir"]).name).split("/")[-1],
        how="Reinforced" if reinforced else "Fine-tuned",
        base=f"{base}, revision `{recipe.model.get('model_revision', 'main')}`" if on_hub else base,
        kind=_adapter_text(recipe.model) if adapter else "",
        text_rule=REWARDED[recipe.data.reward] if reinforced else LEARNT,
        text=_fenced(f"{format_.prompt}{{{format_.completion}}}{format_.end_token or '<eos>'}"),
        data=_data_lines(data_identity),
        counts=_count_lines(counts),
        summary=summary.table(facts),
        recipe=yaml.safe_dump(shown, sort_keys=False, allow_unicode=True).strip(),
        versions=", ".join(f"{name} {number}" for name, number in versions().items()),
        evaluation=evaluation_table(recipe.data.evaluation_results),
    )
    return f"---\n{yaml.safe_dump(header, sort_keys=False).strip()}\n---\n\n{body}"


def evaluation_table(paths: list[str]) -> str:
    """A table from result files of `caco evaluate`: benchmark, items, accuracy, interval; or a line that says there is none.

    A file is a JSON object with `benchmark`, `accuracy`, `items` and, where known, `interval` (low, high), or a list or
    `results` of such objects. Raises `ValueError` naming a file that is something else.
    """
    rows = []
    for path in paths:
        try:
            found = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise ValueError(f"evaluation_results: {path} can't be read: {error}") from None
        found = found.get("results", found) if isinstance(found, dict) else found
        if isinstance(found, dict) and "benchmark" not in found:
            found = [{"benchmark": name, **entry} for name, entry in found.items() if isinstance(entry, dict)]
        for entry in [found] if isinstance(found, dict) else found:
            if not isinstance(entry, dict) or "accuracy" not in entry:
                raise ValueError(f"evaluation_results: {path}: an entry has no accuracy")
            low, high = entry.get("interval") or (None, None)
            spread = f"{100 * low:.1f} – {100 * high:.1f}" if low is not None else "–"
            rows.append(
                f"| {entry.get('benchmark', '?')} | {entry.get('items', '?')} | {100 * entry['accuracy']:.1f} | {spread} |"
            )
    if not rows:
        return "Not evaluated yet. `caco evaluate` writes results that this card takes in (`evaluation_results`)."
    return "\n".join(["| benchmark | items | accuracy % | 95 % interval |", "|---|---|---|---|", *rows])


def write(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


def _adapter_text(model: dict[str, Any]) -> str:
    rank, alpha = model.get("lora_r", 16), model.get("lora_alpha", 32)
    return (
        f"**A LoRA adapter (rank {rank}, alpha {alpha}), not a whole model**: the base model is needed beside it. "
        "`peft.AutoPeftModelForCausalLM.from_pretrained` loads both; `merge_and_unload()` makes them one.\n\n"
    )


def _fenced(text: str) -> str:
    return f"```text\n{text}\n```"


def _data_lines(identity: list[dict]) -> str:
    lines = []
    for source in identity:
        if source.get("name"):
            lines.append(
                f"- [{source['name']}](https://huggingface.co/datasets/{source['name']}), revision `{source['revision']}`, split `{source['split']}`"
            )
        else:
            lines += [f"- `{name}`, sha256 `{digest}`" for name, digest in source["files"]]
    return "\n".join(lines)


def _count_lines(counts: dict[str, Any]) -> str:
    if counts["rows"] is None:
        lines = ["read as a stream"]
    elif "tokens" not in counts:
        return "\n".join(
            f"- {count:,} {what}" for what, count in {"rows": counts["rows"], **counts["outcomes"]}.items()
        )
    else:
        lines = [
            f"{counts['rows']:,} rows, {counts['tokens']:,} tokens, {counts['loss_tokens']:,} of them in the loss"
        ]
    lines += [
        f"{counts['outcomes'][word]:,} rows {text_format.MEANING[word]}"
        for word in text_format.OUTCOMES
        if counts["outcomes"].get(word)
    ]
    return "\n".join(f"- {line}" for line in lines)
