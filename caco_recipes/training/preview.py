"""`--dry-run`: what would be trained on, with the loss made visible, and nothing of the model loaded but its tokenizer."""

import os
import sys
from typing import Any

from caco_recipes.training import text_format, tokens
from caco_recipes.training.config import SFTRecipe

GREY, GREEN, BOLD, OFF = "\033[90m", "\033[1;32m", "\033[1m", "\033[0m"


def show(recipe: SFTRecipe, prepared: tokens.Tokens, tokenizer: Any) -> None:
    """Prints steps and three rows (on the first rank only)."""
    if int(os.environ.get("RANK", 0)) != 0:
        return
    processes = int(os.environ.get("WORLD_SIZE", 1))
    if prepared.counts["rows"] is not None:
        batch, steps = steps_of(recipe, prepared.counts["sequences"], processes)
        print(f"global batch: {batch} on {processes} device(s), {steps:,} steps")
    print(show_rows(tokens.preview(recipe, tokenizer), tokenizer))


def show_counts(recipe: SFTRecipe, prepared: tokens.Tokens) -> str:
    """Rows by outcome, tokens, sequences: a few lines of text."""
    counts = prepared.counts
    if counts["rows"] is None:
        return "rows: a stream, counted while training reads it"
    lines = [f"rows: {counts['rows']:,}"]
    for word in text_format.OUTCOMES:
        if counts["outcomes"].get(word):
            lines.append(f"  {counts['outcomes'][word]:,} {text_format.MEANING[word]}")
    lines.append(
        f"tokens: {counts['tokens']:,} ({counts['loss_tokens']:,} with loss), longest row {counts['longest']:,} "
        f"of max_length {recipe.training.get('max_length', 1024)}"
    )
    packed = " packed" if recipe.training.get("packing") else ""
    lines.append(f"sequences: {counts['sequences']:,}{packed}, {counts.get('evaluation_rows', 0):,} held out")
    return "\n".join(lines)


def steps_of(recipe: SFTRecipe, sequences: int, processes: int) -> tuple[int, int]:
    """(global batch, optimiser steps) for `processes` devices."""
    keys = recipe.training
    batch = keys.get("per_device_train_batch_size", 8) * keys.get("gradient_accumulation_steps", 1) * processes
    if keys.get("max_steps", -1) > 0:
        return batch, keys["max_steps"]
    per_device = -(-sequences // (keys.get("per_device_train_batch_size", 8) * processes))
    per_epoch = max(-(-per_device // keys.get("gradient_accumulation_steps", 1)), 1)
    return batch, int(-(-per_epoch * keys.get("num_train_epochs", 3.0) // 1))


def show_row(row: dict[str, list[int]], tokenizer: Any, colour: bool) -> str:
    """One row's text; tokens with loss are green and bold (or between ⟦ ⟧ without colour), the others grey."""
    pieces, start = [], 0
    ids, labels = row["input_ids"], row["labels"]
    while start < len(ids):
        learnt = labels[start] != text_format.IGNORED
        end = start
        while end < len(ids) and (labels[end] != text_format.IGNORED) == learnt:
            end += 1
        text = tokenizer.decode(ids[start:end], skip_special_tokens=False, clean_up_tokenization_spaces=False)
        if colour:
            pieces.append(f"{GREEN if learnt else GREY}{text}{OFF}")
        else:
            pieces.append(f"⟦{text}⟧" if learnt else text)
        start = end
    return "".join(pieces)


def show_rows(rows: list[dict[str, list[int]]], tokenizer: Any, colour: bool | None = None) -> str:
    """The rows under headings, with what the colours mean."""
    if colour is None:
        colour = not _no_colour()
    legend = f"{GREEN}in the loss{OFF}, {GREY}not{OFF}" if colour else "⟦in the loss⟧, not"
    blocks = [f"three rows as the model reads them ({legend}):"]
    for number, row in enumerate(rows, 1):
        learnt = sum(label != text_format.IGNORED for label in row["labels"])
        blocks.append(
            f"--- row {number}: {len(row['input_ids'])} tokens, {learnt} with loss\n{show_row(row, tokenizer, colour)}"
        )
    return "\n".join(blocks)


def _no_colour() -> bool:
    if os.environ.get("FORCE_COLOR"):
        return False
    return bool(os.environ.get("NO_COLOR")) or not sys.stdout.isatty()
