"""`caco why ROW`: a row's story, from its seed to its last verdict, in one screen."""

import argparse
from pathlib import Path

from caco_recipes.recipe import RecipeError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco why", description="Tells where a row comes from, what was done to it, and why it was kept or dropped."
    )
    parser.add_argument("row", help="a row's id, or the beginning of it")
    parser.add_argument("--run", help="run folder (default: the one under runs/, if there is one only)")
    options = parser.parse_args(arguments)
    from caco_recipes.why import story

    print(story(run_folder(options.run), options.row), end="")
    return 0


def run_folder(given: str | None) -> Path:
    """The run that a command means. Raises `RecipeError` when it is not named and not clear."""
    if given:
        return Path(given)
    found = sorted(path.parent for path in Path("runs").glob("*/events.jsonl"))
    if len(found) != 1:
        names = ", ".join(map(str, found)) or "there is none under runs/"
        raise RecipeError(f"name the run with --run ({names})")
    return found[0]
