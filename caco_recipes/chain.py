"""The chain of receipts that a row carries: what each receipt has to say, and what is missing in one.

    origin (seeds, sample, compose, imported) -> unify -> execute -> back_translate -> solve -> verify

`caco audit` counts the rows whose chain is whole; every row of a run has to have one, kept or rejected, as far as it came.
"""

from collections.abc import Iterable
from typing import Any

from caco_recipes.identity import receipts

ORIGINS = ("seeds", "sample", "compose", "imported")
MODEL = ("model", "request_key", "sampling")  # who was asked, for what exactly, and how it decoded
FACTS = {
    "seeds": ("dataset", "content", "row"),
    "imported": ("file", "content", "row", "unknown"),
    "sample": (*MODEL, "prefix_sha256"),
    "unify": ("seed", "method"),
    "execute": ("draft_id", "sandbox", "isolation", "limits", "rules"),
    "back_translate": ("method",),
    "solve": (*MODEL, "prompt_sha256"),
    "verify": ("grader", "policy"),
}
# Stages that ask a model only by one of their methods.
BY_MODEL = {"unify": (*MODEL, "prompt_sha256"), "back_translate": (*MODEL, "prompt_sha256", "problem_sha256")}
# What an accepted row's receipt has beyond those: there is no program, output or answer to name in some rejected ones.
ACCEPTED_FACTS = {
    "execute": ("program_sha256", "output_sha256"),
    "solve": ("solution_sha256",),
    "verify": ("answer_rule",),
}
PUBLISHED = ("execute", "solve", "verify")


def gaps(lineage: str, accepted: bool, stages: Iterable[str] = ()) -> list[str]:
    """What a row's receipts lack, as words; nothing when the chain is whole.

    Args:
        lineage: the row's column.
        accepted: whether the row was kept by its last step; a rejected one may lack facts of what it never became.
        stages: stages that must be in the chain (`PUBLISHED` for a published row).
    """
    chain = receipts(lineage)
    if not chain:
        return ["no receipt"]
    found = [] if chain[0].get("stage") in ORIGINS else [f"begins with {chain[0].get('stage')}, which is no origin"]
    for place, receipt in enumerate(chain):
        stage = str(receipt.get("stage"))
        needed = ["version", *FACTS.get(stage, ())]
        if receipt.get("method") == "model":
            needed += BY_MODEL.get(stage, ())
        if accepted or place < len(chain) - 1:
            needed += ACCEPTED_FACTS.get(stage, ())
        if "lost" not in receipt:  # a row that a stage could not bear: its receipt says so and no more
            found += [f"{stage} without {name}" for name in needed if name not in receipt]
    here = {str(receipt.get("stage")) for receipt in chain}
    return found + [f"no {stage}" for stage in stages if stage not in here]


def published_gaps(row: dict[str, Any]) -> list[str]:
    """`gaps` of a published row; nothing is asked of rows that somebody else made (their receipts say what is unknown)."""
    lineage = row.get("lineage") or ""
    chain = receipts(lineage)
    if chain and chain[0].get("stage") == "imported":
        return gaps(lineage, True, ("execute", "verify"))
    return gaps(lineage, True, PUBLISHED)
