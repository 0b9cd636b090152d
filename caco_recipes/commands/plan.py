"""`caco plan RECIPE`: what a training run needs: parameters, memory per device, steps, tokens, hours, and whether it fits."""

import argparse

from caco_recipes.recipe import RecipeError, load_yaml


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("caco plan", description=__doc__, allow_abbrev=False)
    parser.add_argument("recipe", help="an SFT recipe")
    parser.add_argument("--accelerate-config", help="launch configuration; by default the one in the recipe's header")
    parser.add_argument("--device-gb", type=float, default=80.0, help="memory of one device in GB (default 80)")
    parser.add_argument("--rows", type=int, help="rows of the data set, where it can't be counted here")
    parser.add_argument("--tokens-per-row", type=float, help="mean tokens of a row")
    parser.add_argument("--tokens-per-second", type=float, help="throughput of all devices together, as measured")
    options, overrides = parser.parse_known_args(arguments)
    if "stages" in load_yaml(options.recipe):
        raise RecipeError(
            f"{options.recipe} is a synthesis recipe: caco plan reads SFT recipes; caco run --dry-run plans it"
        )
    from caco_recipes.training.plan import main as plan

    figures = {name: getattr(options, name) for name in ("rows", "tokens_per_row", "tokens_per_second")}
    given = {name: value for name, value in figures.items() if value is not None}
    print(plan(options.recipe, overrides, options.accelerate_config, options.device_gb, **given))
    return 0
