"""Problems as GRPO rows: chat prompts with what the rewards need beside them."""

import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from caco_recipes import environment, prompts
from caco_recipes.recipe import RecipeError
from caco_recipes.training import data
from caco_recipes.training.grpo_config import GRPORecipe


def make(recipe: GRPORecipe, tokenizer: Any) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """(rows, counts by what became of them). Raises `RecipeError` when no row is left.

    A row has `prompt` (chat turns), and `answer`, `output` (tagged JSON), `code`, `input` as far as the reward uses them.
    """
    config = recipe.data
    counts: Counter[str] = Counter()
    families = []
    for family in data.load_rows(config, config.fields):
        rate = family.get("pass_rate")
        if environment.in_band(None if rate is None else float(rate), config.pass_rate_low, config.pass_rate_high):
            families.append(family)
        else:
            counts["outside the pass-rate band"] += 1
    made = []
    for row in _rows(config, families):
        turns = [{"role": "user", "content": row.pop("text")}]
        length = len(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))
        if length > config.max_prompt_tokens:
            counts["longer than max_prompt_tokens"] += 1
            continue
        made.append({"prompt": turns, **row})
    if not made:
        raise RecipeError(f"{recipe.path}: no row is left to train on: {dict(counts)}")
    counts["rows"] = len(made)
    if config.curriculum:
        made = environment.curriculum(made, config.dataset_seed, config.curriculum)
    else:
        random.Random(config.dataset_seed).shuffle(made)
    return made, dict(counts)


def _rows(config: Any, families: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    if not config.variants and config.reward == "answer":
        for family in families:
            yield {"text": family["problem"], "answer": family["answer"], "code": family["code"]}
        return
    from caco_recipes.sandbox import Pool

    with Pool() as pool:
        known = [family for family in families if family.get("input")]
        unknown = [family for family in families if not family.get("input")]
        for family, result in zip(unknown, pool.run([family["code"] for family in unknown])):
            if result.ok and result.input is not None:
                known.append(family | {"input": result.input})
        for row in environment.rows(known, pool, config.variants, config.dataset_seed, config.paired):
            text = row.pop("prompt")
            if config.reward == "program":
                text = prompts.load("write_program").render(problem=text, input=row["input"])
            row.pop("pass_rate"), row.pop("variant")
            yield {"text": text, **row}
