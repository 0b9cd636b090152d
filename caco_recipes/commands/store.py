"""`caco store ACTION FOLDER`: what a run's request store holds; check, export or prune it."""

import argparse
from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("caco store", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    for name, text in (
        ("show", "records, tokens, stages and models"),
        ("verify", "read every record and check its checksum; exit code 1 when any is damaged"),
        ("export", "all records as JSON Lines"),
        ("prune", "remove records, so that they are asked again; without a criterion, damaged ones only"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("folder", help="a run's folder, or its store")
        if name == "export":
            action.add_argument("output", help="JSON Lines file to write")
        if name == "prune":
            for criterion in ("finish-reason", "stage", "model", "key"):
                action.add_argument(f"--{criterion}", action="append", default=[], help="may be given several times")
    options = parser.parse_args(arguments)
    from caco_recipes.generation import store_care

    folder = Path(options.folder)
    folder = folder / "store" if (folder / "store").is_dir() else folder
    if not folder.is_dir():
        raise RecipeError(f"{folder}: no such store")
    if options.action == "export":
        print(f"{store_care.export(folder, options.output)} records -> {options.output}")
        return 0
    if options.action == "prune":
        pruned = store_care.prune(
            folder,
            finish_reasons=options.finish_reason,
            stages=options.stage,
            models=options.model,
            keys=options.key,
        )
        print(f"{pruned.removed} records removed, {pruned.kept} kept, {pruned.freed_bytes} bytes freed")
        for name in pruned.in_use:
            print(f"left alone, a process is writing it: {name}")
        return 0
    contents = store_care.show(folder) if options.action == "show" else store_care.verify(folder)
    _print(contents)
    return 1 if options.action == "verify" and contents.damage else 0


def _print(contents: Any) -> None:
    print(f"segments            {contents.segments} ({contents.bytes} bytes)")
    print(f"records             {contents.records} (and {contents.superseded} superseded)")
    print(f"tokens              {contents.prompt_tokens} prompt, {contents.completion_tokens} completion")
    for title, counter in (
        ("stage", contents.by_stage),
        ("model", contents.by_model),
        ("finish reason", contents.by_finish_reason),
    ):
        for value, count in counter.most_common():
            print(f"{title:<19} {value or '-'}: {count}")
    print(f"torn tail           {contents.torn_bytes} bytes (of interrupted writes, ignored)")
    for damage in contents.damage:
        print(f"damaged             {damage}")
