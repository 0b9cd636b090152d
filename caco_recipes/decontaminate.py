"""The `decontaminate` stage: rows that contain an item of a benchmark leave the set.

In: the text columns that `columns` names, as far as the rows have them, and an answer. Out: `contaminated_by`
("gsm8k/12"), `contaminated_kind` and `contaminated_span`, the part of the text that matched; empty for clean rows.

A certain match (the same text, most of its runs of words, or the same words about other numbers) is rejected with
`contaminated:BENCHMARK`. A borderline one (some of the wording and the same numbers, or the same numbers and answer in
other words) is undecided with the same reason, unless an embedder decides it: at `embed_threshold` or above it is
rejected, below it accepted. What the check can find, and what it can't: docs/trust.md.

    decontaminate: {indexes: [all], columns: [problem, solution]}
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

VERSION = 1
FEATURES = {"contaminated_by": "string", "contaminated_kind": "string", "contaminated_span": "string"}
LONGEST_SPAN = 2000  # characters
ANSWERS = ("answer", "expected_answer", "output_text", "predicted_answer")


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a decontaminate step."""

    indexes: list[str] = option(
        "Benchmarks: `all` shipped ones, some by name, or files made by `caco index`.", default_factory=lambda: ["all"]
    )
    columns: list[str] = option(
        "Text columns that are checked, each by itself.", default_factory=lambda: ["problem", "solution"]
    )
    changed_numbers: Literal["reject", "undecided", "keep"] = option(
        "What the same words about other numbers are: a contamination, undecided, or a new problem.", "reject"
    )
    borderline: Literal["undecided", "reject", "keep"] = option(
        "What a borderline match is when no embedder is named.", "undecided"
    )
    embedder: str = option("Embedding model that decides borderline matches; the indexes must be made with it.", "")
    embed_threshold: float = option(
        "Cosine from which a borderline match is a contamination (0.75: docs/trust.md).", 0.75
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.indexes or not self.columns:
            raise ValueError("indexes and columns: name at least one of each")
        if not 0 < self.embed_threshold <= 1:
            raise ValueError("embed_threshold is a cosine: above 0, at most 1")


@dataclass
class Resources:
    """The loaded index, its fingerprint, and the embedder where there is one."""

    index: Any
    fingerprint: str
    embedder: Any = None
    step: str = "decontaminate"


def facts(config: Config, context: Any) -> dict[str, Any]:
    """What the indexes are, and the embedder."""
    from caco_recipes.decontamination import Index

    found = {"index": Index.load(config.indexes).fingerprint()}
    if config.embedder:
        from caco_recipes.embeddings import embedder_identity

        found["embedder"] = embedder_identity(config.embedder)
    return found


@contextmanager
def open(config: Config, context: Any) -> Iterator[Resources]:
    """Loads the indexes. Raises `RecipeError` for one that isn't there or was made without the embedder."""
    from caco_recipes.decontamination import Index
    from caco_recipes.recipe import RecipeError

    index = Index.load(config.indexes)
    embedder = None
    if config.embedder:
        without = [entry["name"] for entry in index.sets if entry.get("embedder") != config.embedder]
        if without:
            raise RecipeError(
                f"step {context.step.name}: the indexes {', '.join(without)} were not made with the embedder "
                f"{config.embedder}; make them: caco index {without[0]} --data FILE --embedder {config.embedder}"
            )
        from caco_recipes.embeddings import Embedder

        embedder = Embedder(config.embedder)
    yield Resources(index, index.fingerprint(), embedder, context.step.name)


def run(batch: dict[str, list], config: Config, resources: Resources) -> dict[str, list]:
    """Checks the batch's rows; see the module's docstring for the columns."""
    size = len(batch["id"])
    columns = [name for name in config.columns if name in batch]
    if not columns:
        from caco_recipes.run_folder import RunError

        raise RunError(
            f"step {resources.step}: the rows have none of the columns {', '.join(config.columns)}; name others "
            f"(there are: {', '.join(batch)})"
        )
    answers = [_answer(batch, position) for position in range(size)]
    found = {name: resources.index.match_all(batch[name], answers if name == "problem" else None) for name in columns}
    rows = []
    for position in range(size):
        verdict, match, column = ACCEPTED, None, ""
        for name in columns:
            for candidate in found[name][position]:
                opinion = _verdict(candidate, batch[name][position], config, resources)
                if match is None or _RANK[opinion] > _RANK[verdict]:
                    verdict, match, column = opinion, candidate, name
        rows.append(_row(batch["lineage"][position], verdict, match, column, resources))
    return {name: [row[name] for row in rows] for name in rows[0]}


_RANK = {ACCEPTED: 0, UNDECIDED: 1, REJECTED: 2}
_CHOICE = {"reject": REJECTED, "undecided": UNDECIDED, "keep": ACCEPTED}


def _verdict(match: Any, text: str, config: Config, resources: Resources) -> str:
    if match.kind == "changed_numbers":
        return _CHOICE[config.changed_numbers]
    if match.certain:
        return REJECTED
    if resources.embedder is None:
        return _CHOICE[config.borderline]
    (cosine,) = resources.index.likeness([match], resources.embedder.embed([text])[0])
    return REJECTED if cosine >= config.embed_threshold else ACCEPTED


def _answer(batch: dict[str, list], position: int) -> str | None:
    return next((batch[name][position] for name in ANSWERS if batch.get(name) and batch[name][position]), None)


def _row(lineage: str, verdict: str, match: Any, column: str, resources: Resources) -> dict[str, Any]:
    item = f"{match.benchmark}/{match.item}" if match else ""
    return {
        "verdict": verdict,
        "reason": "" if verdict == ACCEPTED else f"contaminated:{match.benchmark}",
        "contaminated_by": item,
        "contaminated_kind": match.kind if match else "",
        "contaminated_span": match.span[:LONGEST_SPAN] if match else "",
        "lineage": identity.add_receipt(
            lineage,
            stage="decontaminate",
            version=VERSION,
            index=resources.fingerprint[:16],
            item=item,
            kind=match.kind if match else "",
            column=column,
            score=match.score if match else None,
        ),
    }
