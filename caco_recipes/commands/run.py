"""`caco run RECIPE`: a recipe's steps in order; the same command after a kill goes on from the last shard and request."""

import argparse
import sys
from typing import Any

from caco_recipes.recipe import CommandLineText, RecipeError, parse_overrides

EXAMPLES = """\
examples:
  caco run recipes/quickstart                          the whole loop at toy size
  caco run recipes/Caco-1.3M --dry-run                 the plan and each stage's first rendered prompt
  caco run recipes/quickstart --stages seeds,unify     two steps only
  caco run recipes/quickstart --stages.sample.num_programs 200 --engines.small.batch_size 8
  caco run recipes/Caco-1.3M --budget hours=10,money=200    stops there, with everything kept
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco run",
        description="Runs a synthesis recipe (a file, or a folder with pipeline.yaml).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="recipe file or folder")
    parser.add_argument("--stages", help="only these steps, comma separated")
    parser.add_argument("--limit", type=int, help="take only the first N rows of every source step")
    parser.add_argument("--budget", help="stop at tokens=N, hours=N or money=N (several with commas), all kept")
    parser.add_argument("--dry-run", action="store_true", help="show the plan and first prompts; run nothing")
    parser.add_argument("--explain", action="store_true", help="show what would run, what is reused, and why")
    options, rest = parser.parse_known_args(arguments)
    overrides: dict[str, Any] = parse_overrides(rest)
    from caco_recipes.budget import BudgetReached, parse_budget

    if options.budget is not None:
        try:
            overrides |= {f"budget.{name}": value for name, value in parse_budget(options.budget).items()}
        except ValueError as error:
            raise RecipeError(str(error)) from None

    from caco_recipes import pipeline

    run = pipeline.load_run(options.recipe, overrides)
    if options.limit is not None:
        limits = {f"stages.{s.name}.limit": CommandLineText(options.limit) for s in run.steps if s.source}
        run = pipeline.load_run(options.recipe, overrides | limits)
    names = _step_names(run, options.stages)
    if options.dry_run:
        from caco_recipes.planning import dry_run

        dry_run(run, names)
        return 0
    if options.explain:
        from caco_recipes.planning import explain

        explain(run, names)
        return 0
    try:
        pipeline.run_steps(run, names)
    except BudgetReached as reached:
        _stopped(run, reached)
        return 3
    _finish(run)
    return 0


def _step_names(run: Any, text: str | None) -> list[str] | None:
    if text is None:
        return None
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = [step.name for step in run.steps]
    for name in names:
        if name not in known:
            from caco_recipes.recipe import nearest

            raise RecipeError(f"--stages: no step {name!r}; {nearest(name, known)}")
    return names


def _stopped(run: Any, reached: Exception) -> None:
    """What a run that used up its budget has, what it spent, and how it goes on."""
    from caco_recipes.budget import Account
    from caco_recipes.funnel import funnel_text

    recipe = run.recipe
    spent = Account(run.folder / "events.jsonl", recipe.budget, recipe.prices, recipe.engines, recipe.workers).spent()
    print("\n" + funnel_text(run.folder))
    print(f"stopped: {reached}")
    print(f"spent in all: {spent.text(recipe.prices.currency)}")
    print(
        "Finished shards and answered requests are kept; the same command with a larger --budget goes on from there."
    )
    print(f"what it will take: caco plan {run.recipe_path} --pilot {run.folder}")


def _finish(run: Any) -> None:
    """The funnel, where everything is, and what to try next."""
    from caco_recipes.funnel import funnel_text

    print("\n" + funnel_text(run.folder))
    for step in run.steps:
        report = getattr(step.module, "where", None)
        if report and run.step_folder(step.name).complete():
            print(report(run.folder / step.name))
    print(f"run folder: {run.folder}")
    print(f"next: caco status {run.folder}   ·   caco run {run.recipe_path} --explain", file=sys.stdout)
