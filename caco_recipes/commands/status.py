"""`caco status RUN`: the funnel of a run from its folder, while it runs or afterwards."""

import argparse
from pathlib import Path

from caco_recipes.recipe import RecipeError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco status", description="Prints a run's funnel: rows, reasons, tokens, seconds."
    )
    parser.add_argument("run", help="run folder, such as runs/quickstart")
    options = parser.parse_args(arguments)
    folder = Path(options.run)
    if not folder.is_dir():
        raise RecipeError(f"{folder}: no such run folder")
    from caco_recipes.funnel import funnel_text

    print(funnel_text(folder))
    return 0
