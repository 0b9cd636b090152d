"""`caco plan RECIPE`: what a recipe will take, before it is run.

An SFT recipe: parameters, memory per device, steps, tokens, hours, and whether it fits. A synthesis recipe: a pilot of
a few hundred rows is run (or read), and rows kept per step, tokens, hours and cost are forecast with intervals.
"""

import argparse
import json

from caco_recipes.recipe import RecipeError, load_yaml, parse_overrides

EXAMPLES = """\
examples:
  caco plan recipes/Qwen2.5-Math-7B-Caco/sft.yaml --tokens-per-second 30000
  caco plan recipes/quickstart/recorded.yaml --pilot-rows 60
  caco plan recipes/Caco-1.3M --pilot runs/Caco-1.3M --prices.gpu_hour 2 --prices.engines.solver.tokens_per_second 40000
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco plan",
        description=__doc__,
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="an SFT recipe, or a synthesis recipe (file or folder)")
    training = parser.add_argument_group("SFT recipes")
    training.add_argument(
        "--accelerate-config", help="launch configuration; by default the one in the recipe's header"
    )
    training.add_argument("--device-gb", type=float, default=80.0, help="memory of one device in GB (default 80)")
    training.add_argument("--rows", type=int, help="rows of the data set, where it can't be counted here")
    training.add_argument("--tokens-per-row", type=float, help="mean tokens of a row")
    training.add_argument("--tokens-per-second", type=float, help="throughput of all devices together, as measured")
    synthesis = parser.add_argument_group("synthesis recipes")
    synthesis.add_argument("--pilot", metavar="RUN", help="read this run's folder instead of running a pilot")
    synthesis.add_argument("--pilot-rows", type=int, default=200, help="rows of each source (default 200)")
    synthesis.add_argument("--pilot-train", action="store_true", help="let the pilot train, too, on its own rows")
    synthesis.add_argument("--json", action="store_true", help="print the forecast as JSON")
    options, overrides = parser.parse_known_args(arguments)
    from caco_recipes.pipeline import recipe_file

    file = recipe_file(options.recipe)
    if "stages" in load_yaml(file):
        return _synthesis(file, options, overrides)
    from caco_recipes.training.plan import main as plan

    figures = {name: getattr(options, name) for name in ("rows", "tokens_per_row", "tokens_per_second")}
    given = {name: value for name, value in figures.items() if value is not None}
    print(plan(str(file), overrides, options.accelerate_config, options.device_gb, **given))
    return 0


def _synthesis(file, options: argparse.Namespace, rest: list[str]) -> int:
    from caco_recipes.forecast import forecast
    from caco_recipes.forecast_text import forecast_text
    from caco_recipes.pilot import make_pilot, read_pilot
    from caco_recipes.pipeline import load_run

    if options.pilot_rows < 1:
        raise RecipeError("--pilot-rows: at least 1")
    overrides = parse_overrides(rest)
    run = load_run(file, overrides)
    if options.pilot:
        pilot = read_pilot(options.pilot)
    else:
        pilot = make_pilot(run, options.pilot_rows, overrides, options.pilot_train)
    made = forecast(run, pilot)
    if options.json:
        print(json.dumps(made.as_json(), indent=1))
    else:
        print(forecast_text(made, str(pilot.folder)), end="")
    return 0
