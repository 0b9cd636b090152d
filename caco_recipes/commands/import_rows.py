"""`caco import FILE…`: rows of the reference implementation or of the released Caco-1.3M as the first step of a run.

FILE is JSON Lines, Parquet, a dataset folder or a Hub name: what the reference's execution or filter wrote (`X.jsonl` and
`X_rejected.jsonl`), or `instruction, output, answer, code`. Written are the run's first step and its recipe, by which the
rows are executed, verified and published like any others.
"""

import argparse
from pathlib import Path
from typing import Any

import yaml

from caco_recipes.recipe import RecipeError

HEADER = """\
# CPU only: rows that somebody else made, executed again and verified by answer; nothing is asked of a model.
# caco run {path}
"""


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco import", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "files", nargs="+", help="JSON Lines, Parquet, dataset folder or Hub name; several are one set"
    )
    parser.add_argument("--name", help="the run's name (default: the first file's)")
    parser.add_argument("--output_dir", default="runs", help="where the run's folder is made (default runs)")
    parser.add_argument("--source", default="", help="what the rows' source column says (default: the file's name)")
    parser.add_argument("--licence", default="", help="the rows' licence; the files don't say")
    parser.add_argument("--limit", type=int, help="import only the first N rows")
    options = parser.parse_args(arguments)
    if options.limit is not None and options.limit < 1:
        parser.error("--limit must be at least 1")
    from caco_recipes import pipeline
    from caco_recipes.funnel import funnel_text
    from caco_recipes.imported import RELEASED, peek

    layouts = {name: peek(name) for name in options.files}
    for name, found in layouts.items():
        if set(found) <= {"unknown"}:
            raise RecipeError(
                f"{name}: no row has a known layout: instruction, output, answer, code (released), or problem, code, answer, "
                "input, output, error (the reference's execution and filter)"
            )
    solved = all(set(found) <= {RELEASED, "unknown"} for found in layouts.values())
    run_name = options.name or Path(options.files[0]).stem
    path = Path(options.output_dir) / run_name / "pipeline.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEADER.format(path=path) + yaml.safe_dump(recipe(run_name, options, solved), sort_keys=False))
    run = pipeline.load_run(path)
    pipeline.run_steps(run, ["imported"])
    print(funnel_text(run.folder))
    print(f"run folder: {run.folder}")
    print(f"next: caco run {path}   ·   caco audit {options.files[0]}")
    return 0


def recipe(name: str, options: argparse.Namespace, solved: bool) -> dict[str, Any]:
    """The run's recipe: rows with solutions are verified and published, programs alone are executed."""
    keys = {"files": options.files, "source": options.source, "licence": options.licence, "limit": options.limit}
    stages: dict[str, dict[str, Any]] = {
        "imported": {key: value for key, value in keys.items() if value},
        # The recorded answer is what the program has to print; the paper's rules are not asked of others' rows.
        "execute": {"rules": "none", "check_answer": True},
    }
    if solved:
        # Execution names a row by its program; this names it by program and problem, for a program may have several.
        stages["problems"] = {"stage": "back_translate", "problems": "original"}
        stages |= {"verify": {}, "publish": {"title": name}}
    stages["report"] = {}
    return {"name": name, "output_dir": str(options.output_dir), "shard_rows": 2000, "stages": stages}
