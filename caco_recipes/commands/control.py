"""`caco control RUN`: whether verification helped, from a control run's evaluation: arms, paired differences, noise."""

import argparse
from pathlib import Path

from caco_recipes.recipe import RecipeError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("caco control", description=__doc__, allow_abbrev=False)
    parser.add_argument("run", help="run folder, such as runs/control-small")
    parser.add_argument("--evaluation", help="the evaluate step (default: the run's last one)")
    parser.add_argument("--pair", action="append", metavar="FIRST,SECOND", help="arms to compare (repeat for more)")
    parser.add_argument("--noise", metavar="FIRST,SECOND", help="two draws of the same kind")
    parser.add_argument("--protocol", default="strict", help="whose verdicts count: strict (default) or caco-paper")
    options = parser.parse_args(arguments)
    from caco_recipes import control
    from caco_recipes.funnel import read_run

    steps = [step.name for step in read_run(options.run) if step.stage == "evaluate"]
    name = options.evaluation or (steps[-1] if steps else "")
    if not name or name not in steps:
        raise RecipeError(f"{options.run} has no evaluate step {name!r}: {', '.join(steps) or 'none'}")
    keys = {"protocol": options.protocol}
    try:
        if options.pair:
            keys["pairs"] = [pair.split(",") for pair in options.pair]
        if options.noise:
            keys["noise"] = options.noise.split(",")
        config = control.Config(**keys)
    except ValueError as error:
        raise RecipeError(str(error)) from None
    found = control.of_run(options.run, Path(options.run) / name, config)
    print(control.document(found), end="")
    return 0
