"""`caco slurm RECIPE`: a job script that starts Ray on every node of a Slurm job and runs the recipe on it."""

import argparse
import os
import re
import shlex
import sys
from pathlib import Path

TEMPLATE = Path(__file__).resolve().parent.parent / "slurm" / "ray_job.sbatch"
EXAMPLES = """\
examples:
  caco slurm recipes/Caco-1.3M --nodes 8 --gpus_per_node 8 --time 3-00:00:00 > caco.sbatch && sbatch caco.sbatch
  caco slurm recipes/Caco-1.3M --nodes 2 --gpus_per_node 0 --setup 'source .venv/bin/activate' --shard_rows 5000
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco slurm",
        description="Prints a Slurm job script; further --key value pairs are the recipe's, as in caco run.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("recipe", help="recipe file or folder")
    parser.add_argument("--nodes", type=int, default=1)
    parser.add_argument("--gpus_per_node", type=int, default=8)
    parser.add_argument("--cpus_per_node", type=int, default=64)
    parser.add_argument("--time", default="1-00:00:00", help="as Slurm writes it: days-hours:minutes:seconds")
    parser.add_argument("--partition", default="")
    parser.add_argument("--account", default="")
    parser.add_argument(
        "--setup", action="append", default=[], help="a shell line before everything, e.g. to activate an environment"
    )
    parser.add_argument("--output", help="write here instead of printing")
    options, rest = parser.parse_known_args(arguments)
    text = render(options, rest)
    if options.output:
        Path(options.output).write_text(text, encoding="utf-8")
        print(f"sbatch {options.output}", file=sys.stderr)
    else:
        print(text, end="")
    return 0


def render(options: argparse.Namespace, overrides: list[str]) -> str:
    """The job script. Raises `RecipeError` for a recipe or an override that can't be used, `ValueError` for sizes."""
    from jinja2 import Environment, StrictUndefined

    from caco_recipes.pipeline import load_run
    from caco_recipes.recipe import RecipeError, parse_overrides

    if options.nodes < 1 or options.cpus_per_node < 1 or options.gpus_per_node < 0:
        raise RecipeError("caco slurm: --nodes and --cpus_per_node are at least 1, --gpus_per_node at least 0")
    for name in ("time", "partition", "account"):
        if not re.fullmatch(r"[\w:.,-]*", getattr(options, name)):
            raise RecipeError(f"caco slurm: --{name}: {getattr(options, name)!r} is not a word")
    run = load_run(options.recipe, parse_overrides(overrides))
    values = {
        "recipe": shlex.quote(options.recipe),
        "name": re.sub(r"[^\w.-]", "-", run.recipe.name),
        "nodes": options.nodes,
        "gpus_per_node": options.gpus_per_node,
        "cpus_per_node": options.cpus_per_node,
        "time": options.time,
        "partition": options.partition,
        "account": options.account,
        "setup": options.setup,
        "folder": shlex.quote(os.getcwd()),
        "output": options.output or "caco.sbatch",
        "overrides": "".join(f" {shlex.quote(word)}" for word in overrides),
    }
    template = Environment(undefined=StrictUndefined, keep_trailing_newline=True, autoescape=False)
    return template.from_string(TEMPLATE.read_text(encoding="utf-8")).render(values)
