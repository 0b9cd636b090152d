"""`caco calibrate SOURCE`: false accepts and false rejects of a judge, measured on right rows and near misses of them."""

import argparse
from pathlib import Path

from caco_recipes.recipe import (
    CommandLineText,
    RecipeError,
    apply_overrides,
    load_dataclass,
    load_yaml,
    parse_overrides,
)


def main(arguments: list[str]) -> int:
    from caco_recipes import calibrate

    parser = argparse.ArgumentParser(
        "caco calibrate",
        description=calibrate.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("source", help="a run folder, or JSON Lines with problem, solution, code (and label)")
    parser.add_argument("--config", help="calibration recipe (YAML)")
    parser.add_argument("--output", help="folder for the results; by default the run folder")
    parser.add_argument("--limit", type=int, help="make pairs of N rows only")
    parser.add_argument(
        "--dry-run", action="store_true", help="show the pairs' numbers and first prompts; ask nothing"
    )
    options, rest = parser.parse_known_args(arguments)
    overrides = parse_overrides(rest)
    if options.limit is not None:
        overrides["rows"] = CommandLineText(options.limit)
    mapping = apply_overrides(load_yaml(options.config) if options.config else {}, overrides)
    config = load_dataclass(calibrate.Config, mapping, options.config or "caco calibrate")
    source = Path(options.source)
    if not source.exists():
        raise RecipeError(f"{source}: no such run folder or file")
    if options.dry_run:
        show(source, config)
        return 0
    if not source.is_dir() and not options.output:
        parser.error("--output FOLDER is required for a file")
    output = Path(options.output) if options.output else source
    content = calibrate.calibrate(source, config, output)
    print(calibrate.tables.document(content))
    print(f"{output / 'calibration.md'}, {output / calibrate.tables.FILE}, {output / calibrate.PAIRS_FILE}")
    return 0


def show(source: Path, config) -> None:
    """The plan: how many pairs of each kind there are, how many questions, and each judge's first prompt."""
    from collections import Counter

    from caco_recipes import calibrate
    from caco_recipes.calibration import judging

    found, labelled = calibrate.make_pairs(source, config)
    print(f"{len(found.rows)} rows; left out: {found.unusable or 'none'}")
    for kind, number in Counter(pair.kind for pair in labelled).items():
        print(f"{number:>7}  {kind}")
    asked = judging.questions(labelled, config.judges)
    print(f"{len(asked):>7}  questions to {', '.join(config.judges)}, {config.max_tokens} new tokens each at the most")
    for judge in config.judges:
        first = next((pair for pair, name in asked if name == judge), None)
        if first is not None:
            print(f"\nfirst prompt of the judge {judge} ({first.id}):")
            print("\n".join(f"| {line}" for line in judging.prompt_of(first, judge)[0]["content"].splitlines()))
