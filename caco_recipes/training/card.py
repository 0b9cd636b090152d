"""The model card: what the model is, what made it, and how it did. Written by us at every save, never by TRL."""

import json
from pathlib import Path
from typing import Any

import yaml

from caco_recipes import __version__
from caco_recipes.training import summary, text_format
from caco_recipes.training.config import SFTRecipe

TEMPLATE = Path(__file__).resolve().parent.parent / "cards" / "model.md"
PACKAGES = ("torch", "transformers", "trl", "datasets", "accelerate", "peft", "tokenizers", "deepspeed")
# Keys that name places of the machine; a card shows the rest of the recipe.
LOCAL_KEYS = ("token_cache", "evaluation_results", "output_dir", "run_name")


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


def render(recipe: SFTRecipe, counts: dict[str, Any], facts: dict[str, Any], data_identity: list[dict]) -> str:
    """The card's text: YAML header for the Hub, then what `cards/model.md` says.

    Args:
        recipe: the run's recipe.
        counts: `Tokens.counts`.
        facts: `summary.of` so far.
        data_identity: `data.identity`: names and revisions, or file hashes.
    """
    from string import Template

    model = recipe.model["model_name_or_path"]
    on_hub = not Path(model).exists()
    header: dict[str, Any] = {
        "library_name": "transformers",
        "pipeline_tag": "text-generation",
        "tags": ["caco", "sft", "code-cot" if recipe.data.text_format == "codegen" else "math"],
    }
    if on_hub:
        header["base_model"] = model
    datasets = [source["name"] for source in data_identity if source.get("name")]
    if datasets:
        header["datasets"] = datasets
    shown = {key: _shown(value) for key, value in recipe.resolved.items() if key not in LOCAL_KEYS}
    base = f"[{model}](https://huggingface.co/{model})" if on_hub else f"`{Path(model).name}` (a local folder)"
    body = Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=(recipe.training.get("hub_model_id") or Path(recipe.training["output_dir"]).name).split("/")[-1],
        base=f"{base}, revision `{recipe.model.get('model_revision', 'main')}`" if on_hub else base,
        text=_fenced(_example_text(recipe)),
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


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(item) for item in value]
    if isinstance(value, str) and value.startswith(("/", "~")):
        return Path(value).name  # an absolute path says nothing to a reader elsewhere
    return value


def _example_text(recipe: SFTRecipe) -> str:
    format_ = text_format.FORMATS[recipe.data.text_format]
    end = format_.end_token or "<eos>"
    return f"{format_.prompt}{{{format_.completion}}}{end}"


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
