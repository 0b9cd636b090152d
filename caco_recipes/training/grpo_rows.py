"""Problems as GRPO rows: chat prompts with what the rewards need beside them."""

import hashlib
import random
from collections import Counter
from collections.abc import Iterator
from typing import Any

from caco_recipes import environment, prompts
from caco_recipes.recipe import RecipeError
from caco_recipes.training import data, tokens
from caco_recipes.training.grpo_config import GRPORecipe

MEASURE = "measure it first (the difficulty stage writes it, docs/training.md), or leave the band out"


def make(recipe: GRPORecipe, tokenizer: Any) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """(rows, counts): `rows` and `outcomes` (what became of families and problems).

    Raises `RecipeError` when no row is left, and for a pass-rate band on data whose difficulty nobody measured.

    A row has `prompt` (chat turns), and `answer`, `output` (tagged JSON), `code`, `input` as far as the reward uses them.
    """
    config = recipe.data
    counts: Counter[str] = Counter()
    families = []
    for family in _families(config):
        rate = family.get("pass_rate")
        if config.banded and rate is None:
            counts["without a measured pass rate, kept"] += 1
        if environment.in_band(None if rate is None else float(rate), config.pass_rate_low, config.pass_rate_high):
            families.append(family)
        else:
            counts["outside the pass-rate band"] += 1
    if config.banded and families and counts["without a measured pass rate, kept"] == len(families):
        raise RecipeError(
            f"{recipe.path}: pass_rate_low and pass_rate_high: no row has a measured pass_rate; {MEASURE}"
        )
    made = []
    for row in _rows(config, families, counts):
        turns = [{"role": "user", "content": row.pop("text")}]
        length = len(tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False))
        if length > config.max_prompt_tokens:
            counts["longer than max_prompt_tokens"] += 1
            continue
        made.append({"prompt": turns, **row})
    if not made:
        told = ", ".join(f"{count:,} {what}" for what, count in counts.items())
        raise RecipeError(f"{recipe.path}: no row is left to train on: {told or 'no family has a problem to fill'}")
    if config.curriculum:
        made = environment.curriculum(made, config.dataset_seed, config.curriculum)
    else:
        random.Random(config.dataset_seed).shuffle(made)
    return made, {"rows": len(made), "outcomes": {"rows": len(made), **counts}}


def _families(config: Any) -> Any:
    try:
        return data.load_rows(config, config.fields)
    except RecipeError as error:
        if config.banded and "'pass_rate'" in str(error):
            raise RecipeError(
                f"pass_rate_low and pass_rate_high need the column pass_rate: {error}; {MEASURE}"
            ) from None
        raise


def content_key(rows: list[dict[str, Any]], tokenizer: Any) -> str:
    """First 32 hex digits of the hash over the rows and the tokenizer."""
    facts = data.canonical([rows, tokens.tokenizer_hash(tokenizer)])
    return hashlib.sha256(facts.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _rows(config: Any, families: list[dict[str, Any]], counts: Counter[str]) -> Iterator[dict[str, Any]]:
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
            elif result.status == "infrastructure":  # a machine's fault must not decide what is trained on
                raise RecipeError(
                    f"the sandbox could not run a program ({result.reason}); start the same command again"
                )
            else:
                counts["families whose program does not run"] += 1
        for row in environment.rows(known, pool, config.variants, config.dataset_seed, config.paired):
            text = row.pop("prompt")
            if config.reward == "program":
                text = prompts.load("write_program").render(problem=text, input=row["input"])
            row.pop("pass_rate"), row.pop("variant")
            yield {"text": text, **row}
