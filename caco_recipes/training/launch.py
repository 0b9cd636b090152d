"""What every training command does before and around its run: arguments, environment, one line for a wrong recipe."""

import os
import sys
from collections.abc import Callable

from caco_recipes.recipe import RecipeError


def start(arguments: list[str] | None, text: str | None, run: Callable[[str, list[str], bool], int]) -> int:
    """Calls `run(recipe, overrides, dry_run)`; returns its exit code, or 2 for a recipe or data that can't be used.

    `text` is what `--help` shows. Must be called before torch is imported.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    # Before torch is loaded: threads that wait asleep. Spinning ones take three times the CPU on a busy machine.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    if not arguments or {"-h", "--help"} & set(arguments):
        print(text)
        return 0
    try:
        return run(*split_arguments(arguments))
    except RecipeError as error:
        if int(os.environ.get("LOCAL_RANK", 0)) == 0:
            print(f"error: {error}", file=sys.stderr)
        return 2


def split_arguments(arguments: list[str]) -> tuple[str, list[str], bool]:
    """(recipe, overrides, dry run?). Raises `RecipeError` without `--config`."""
    path, dry_run, overrides = None, False, []
    words = iter(arguments)
    for word in words:
        if word == "--config":
            path = next(words, None)
        elif word.startswith("--config="):
            path = word.partition("=")[2]
        elif word == "--dry-run":
            dry_run = True
        else:
            overrides.append(word)
    if not path:
        raise RecipeError("--config RECIPE.yaml is missing")
    return path, overrides, dry_run
