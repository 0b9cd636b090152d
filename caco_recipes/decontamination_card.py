"""What a card says of the check for contamination: against which benchmarks, in which version, and which share it could find."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from caco_recipes.recipe import RecipeError


@dataclass(frozen=True)
class Coverage:
    """One benchmark of a check.

    Attributes:
        name, title, revision: which benchmark, in which version.
        items: how many it has.
        findable: share of them that are found when they stand inside a longer text; the others only as the whole text.
    """

    name: str
    title: str
    revision: str
    items: int
    findable: float


def coverage(steps: Iterable[Any]) -> list[Coverage]:
    """The benchmarks that the decontaminate steps among `steps` (`funnel.Step`) looked for, each once.

    An index that is not on this machine any more is left out: what it held can't be told.
    """
    from caco_recipes.decontamination import Index

    found: dict[str, Coverage] = {}
    for step in steps:
        if step.stage != "decontaminate":
            continue
        try:
            index = Index.load(step.config.get("indexes") or ["all"])
        except (OSError, RecipeError):
            continue
        inside = index.testable() == 2
        for number, entry in enumerate(index.sets):
            mine = inside[index.set_of == number]
            found[str(entry["name"])] = Coverage(
                str(entry["name"]),
                str(entry.get("title") or entry["name"]),
                str(entry.get("revision") or ""),
                len(mine),
                float(mine.mean()) if len(mine) else 0.0,
            )
    return [found[name] for name in sorted(found)]
