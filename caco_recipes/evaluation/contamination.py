"""Which problems a model may have seen: by a list of flagged items, or by an index of its training set.

A flag says what was found (`runs, mine/1204: Natalia sold clips …`); it goes into the item's log, and the accuracy
without flagged items stands beside the whole.
"""

from collections.abc import Iterable
from pathlib import Path

from caco_recipes.evaluation.loading import Problem
from caco_recipes.json_lines import read_rows
from caco_recipes.recipe import RecipeError

LONGEST_SPAN = 200

Flags = dict[tuple[str, str], str]


def read_flags(path: Path) -> Flags:
    """(benchmark, id) -> what was found, from a list of flagged items. Raises `RecipeError`."""
    flags = {}
    for number, row in enumerate(read_rows(path), 1):
        if "benchmark" not in row or "id" not in row:
            raise RecipeError(f"{path}, row {number}: a flagged item has the fields benchmark and id")
        flags[str(row["benchmark"]), str(row["id"])] = str(row.get("span") or row.get("reason") or "flagged")
    return flags


def flags_by_index(problems: Iterable[Problem], indexes: list[str]) -> Flags:
    """The problems that hold an item of a training set: the same text, most of its runs of words, or its words about other numbers.

    Args:
        indexes: files made by `caco index --training_set`.

    Raises:
        RecipeError: an index that isn't there or can't be read.
    """
    from caco_recipes.decontamination import Index

    problems = list(problems)
    found = Index.load(indexes).match_all([problem.problem for problem in problems])
    flags = {}
    for problem, matches in zip(problems, found, strict=True):
        match = next((match for match in matches if match.certain), None)  # they come best first
        if match is not None:
            span = " ".join(match.span.split())[:LONGEST_SPAN]
            flags[problem.benchmark, problem.id] = f"{match.kind}, {match.benchmark}/{match.item}: {span}"
    return flags
