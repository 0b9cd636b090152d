"""The `dedup` stage: a row that an earlier kept row already says is rejected, and what belongs together is a family.

In: rows of the steps it reads; `against` adds rows of earlier steps that count as seen and are kept. Out: `duplicate_of`
(the id of the kept row; empty for a kept one) and `family_id`, the same for all rows that are linked.

    level       two rows are linked when                                       needs
    program     their programs have the same syntax tree (the row's id)        execute
    renamed     … names of variables and functions aside                       program_keys
    constants   … and constants too: the same method on other data             program_keys
    behaviour   they give the same outputs for the same probe inputs           program_keys
    exact       their problems are the same text (case, white space aside)     problem
    masked      … numbers aside                                                problem
    minhash     their sets of 3-word shingles have a Jaccard ≥ `threshold`,
                or they are light edits of each other (same numbers)           problem
    semantic    their problems' embeddings have a cosine ≥ `semantic_threshold`  problem, `embedder`

`levels` reject (`duplicate:LEVEL`), `families` only link. The first row stays, in the order of the rows. All rows are
compared with all others before the first is written, so shards, workers and resumed runs change nothing.

    dedup: {levels: [program, exact, minhash], families: [constants, masked]}
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.verdicts import ACCEPTED, REJECTED

VERSION = 3
FEATURES = {"duplicate_of": "string"}
Level = Literal["program", "renamed", "constants", "behaviour", "exact", "masked", "minhash", "semantic"]
# Of levels that a column of the rows decides, that column.
KEY_COLUMNS = {
    "program": "id",
    "renamed": "program_renamed",
    "constants": "program_constants",
    "behaviour": "behaviour",
}
TEXT_LEVELS = ("exact", "masked", "minhash", "semantic")
VARIANT_LEVELS = ("masked", "minhash", "semantic", "constants", "renamed", "behaviour")


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a dedup step."""

    levels: list[Level] = option("Levels that reject, the strictest first.", default_factory=lambda: ["program"])
    families: list[Level] = option("Levels that only make families.", default_factory=list)
    against: list[str] = option("Steps whose accepted rows count as seen (the seeds' programs).", default_factory=list)
    column: str = option("The text that the text levels compare.", "problem")
    threshold: float = option(
        "minhash: Jaccard similarity, or share of common words, from which two texts are the same.", 0.7
    )
    keep_variants: bool = option(
        "Rows that came as one family are duplicates only as the same program or text.", False
    )
    embedder: str = option("semantic: the embedding model (Hub name, folder or package:NAME).", "")
    semantic_threshold: float = option("semantic: cosine from which two texts are the same.", 0.95)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.levels and not self.families:
            raise ValueError("levels and families: name a level at least")
        if both := set(self.levels) & set(self.families):
            raise ValueError(f"{', '.join(sorted(both))}: a level that rejects makes families anyway; name it once")
        if not 0.5 <= self.threshold <= 1 or not 0.5 <= self.semantic_threshold <= 1:
            raise ValueError("threshold and semantic_threshold lie between 0.5 and 1")
        if "semantic" in (*self.levels, *self.families) and not self.embedder:
            raise ValueError("level semantic: name an embedder, such as sentence-transformers/all-MiniLM-L6-v2")


@dataclass
class Decisions:
    """What was decided over all rows, looked up by row.

    Attributes:
        rows: row key (hash of id and lineage) -> the row's position; several for rows that are the same in both.
        used: of rows with such a common key, the positions that were handed out.
    """

    keys: Any
    order: Any
    outcome: Any
    ids: Any
    families: Any
    used: set[int]

    def position(self, row_id: str, lineage: str) -> int:
        """The position of a row among all rows; of rows that are the same, the next that was not asked for."""
        import numpy as np

        key = _row_key(row_id, lineage)
        at = int(np.searchsorted(self.keys, np.uint64(key)))
        last = int(np.searchsorted(self.keys, np.uint64(key), "right"))
        if last - at > 1:
            at = next((place for place in range(at, last) if int(self.order[place]) not in self.used), last - 1)
            self.used.add(int(self.order[at]))
        return int(self.order[at])


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The work of the steps that it compares against, and the embedder."""
    manifests = [context.run.step_folder(name).manifest() or {} for name in config.against]
    found: dict[str, Any] = {"against": [manifest.get("fingerprint", "") for manifest in manifests]}
    if config.embedder:
        from caco_recipes.embeddings import embedder_identity

        found["embedder"] = embedder_identity(config.embedder)
    return found


@contextmanager
def open(config: Config, context: Any) -> Iterator[Decisions]:
    """Reads all rows' keys and texts once and decides. Raises `RunError` when a level's column isn't there."""
    from caco_recipes.duplicates.reading import decide

    against = [context.run.step_folder(name) for name in config.against]
    yield decide(config, against, context.inputs, context.step.name)


def replay(batch: dict[str, list], config: Config, decisions: Decisions) -> None:
    """A finished part's kept rows are handed out already (its rejected ones come after them wherever that matters)."""
    for row_id, lineage in zip(batch["id"], batch["lineage"], strict=True):
        decisions.position(row_id, identity.without_last_receipt(lineage))


def run(batch: dict[str, list], config: Config, decisions: Decisions) -> dict[str, list]:
    """Gives each row its verdict, its twin and its family."""
    outcome = decisions.outcome
    made: dict[str, list] = {name: [] for name in ("verdict", "reason", "lineage", "family_id", "duplicate_of")}
    for row_id, lineage in zip(batch["id"], batch["lineage"], strict=True):
        at = decisions.position(row_id, lineage)
        twin = int(outcome.twin[at])
        level = config.levels[outcome.level[at]] if twin >= 0 else ""
        duplicate_of = decisions.ids[twin].as_py() if twin >= 0 else ""
        score = round(float(outcome.score[at]), 3)
        made["verdict"].append(REJECTED if level else ACCEPTED)
        made["reason"].append(f"duplicate:{level}" if level else "")
        made["family_id"].append(decisions.families(at))
        made["duplicate_of"].append(duplicate_of)
        made["lineage"].append(
            identity.add_receipt(
                lineage,
                stage="dedup",
                version=VERSION,
                level=level or ",".join(config.levels),
                duplicate_of=duplicate_of,
                similarity=score if level in ("minhash", "semantic") else None,
            )
        )
    return made


def _row_key(row_id: str, lineage: str) -> int:
    return int(identity.sha256_text(f"{row_id}\n{lineage}")[:16], 16)
