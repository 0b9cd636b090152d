"""Exact duplicates: a program whose normalised AST was seen before is rejected (`duplicate:program`).

In: rows with `id`, the hash of the program's AST (from `execute`). Out: the same rows. The first one stays, in the
order of the rows, whatever the shard size; with `against`, rows of earlier steps count as seen too.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.verdicts import ACCEPTED, REJECTED

VERSION = 1
FEATURES: dict[str, str] = {}


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a dedup step."""

    against: list[str] = option("Steps whose accepted rows count as seen (the seeds' programs).", default_factory=list)


@contextmanager
def open(config: Config, context: Any) -> Iterator[set[str]]:
    """The ids seen so far."""
    seen: set[str] = set()
    for name in config.against:
        seen.update(row["id"] for row in context.run.step_folder(name).read(columns=["id"]))
    yield seen


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The work of the steps that it compares against."""
    manifests = [context.run.step_folder(name).manifest() or {} for name in config.against]
    return {"against": [manifest.get("fingerprint", "") for manifest in manifests]}


def replay(batch: dict[str, list], config: Config, seen: set[str]) -> None:
    """A finished part's rows are seen."""
    seen.update(batch["id"])


def run(batch: dict[str, list], config: Config, seen: set[str]) -> dict[str, list]:
    """Rejects rows whose id was seen."""
    verdicts, reasons, lineages = [], [], []
    for row_id, lineage in zip(batch["id"], batch["lineage"]):
        duplicate = row_id in seen
        seen.add(row_id)
        verdicts.append(REJECTED if duplicate else ACCEPTED)
        reasons.append("duplicate:program" if duplicate else "")
        lineages.append(identity.add_receipt(lineage, stage="dedup", version=VERSION, level="program"))
    return {"verdict": verdicts, "reason": reasons, "lineage": lineages}
