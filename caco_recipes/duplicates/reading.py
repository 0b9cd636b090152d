"""Reads what dedup compares from the parts of finished steps, column by column, and decides over all rows.

Held for a million problems: 180 MB of shingles, 160 MB of words, 225 MB of signatures, and 8 bytes per row and level. Texts are let go as
they are read, except for the embeddings of the semantic level.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from caco_recipes.dedup import KEY_COLUMNS, TEXT_LEVELS, VARIANT_LEVELS, Config, Decisions, _row_key
from caco_recipes.duplicates.clusters import Pairs, settle
from caco_recipes.duplicates.near_copies import NearCopies
from caco_recipes.duplicates.texts import exact_key, masked_key
from caco_recipes.run_folder import RunError, StepFolder

BATCH = 20_000  # rows read at a time


def decide(config: Config, against: Sequence[StepFolder], inputs: Sequence[StepFolder], step: str) -> Decisions:
    """All rows of `against` and then of `inputs`, settled."""
    levels = (*config.levels, *config.families)
    wanted = _columns(config, levels)
    keys: dict[str, list[np.ndarray]] = {level: [] for level in levels if level not in ("minhash", "semantic")}
    near_copies = NearCopies()
    vectors: list[np.ndarray] = []
    embedder = _embedder(config) if "semantic" in levels else None
    ids: list[pa.Array] = []
    families: list[pa.Array] = []
    row_keys: list[np.ndarray] = []
    fixed = 0
    for table, is_new in _tables(config, against, inputs, wanted, step):
        fixed += 0 if is_new else len(table)
        ids.append(table["id"].combine_chunks())
        families.append(table["family_id"].combine_chunks())
        lineages = table["lineage"].to_pylist()
        pairs = zip(table["id"].to_pylist(), lineages, strict=True)
        row_keys.append(_uint64([_row_key(*pair) for pair in pairs]) if is_new else np.empty(0, np.uint64))
        texts = table[config.column].to_pylist() if config.column in wanted else []
        for level, found in keys.items():
            if level in KEY_COLUMNS:
                found.append(_uint64([exact_key(value or "") for value in table[KEY_COLUMNS[level]].to_pylist()]))
            else:
                key = exact_key if level == "exact" else masked_key
                found.append(_uint64([key(text or "") for text in texts]))
        if "minhash" in levels:
            near_copies.add(texts)
        if embedder is not None:
            vectors.append(embedder.embed([text or "" for text in texts]))
    rows = sum(map(len, ids))
    all_ids, all_families = _together(ids), _together(families)
    pairs_of: dict[str, Pairs] = {}
    if "minhash" in levels:
        pairs_of["minhash"] = near_copies.pairs(config.threshold)
    if embedder is not None:
        pairs_of["semantic"] = near_pairs(np.concatenate(vectors) if vectors else np.zeros((0, 1)), config)
    given = _uint64([exact_key(value or "") for value in all_families.to_pylist()])
    outcome = settle(
        rows,
        {level: np.concatenate([np.empty(0, np.uint64), *found]) for level, found in keys.items()},
        pairs_of,
        config.levels,
        config.families,
        given,
        fixed=fixed,
        apart=VARIANT_LEVELS if config.keep_variants else (),
    )
    own = np.concatenate([np.empty(0, np.uint64), *row_keys])
    order = np.argsort(own, kind="stable")
    names = _Families(outcome.family, all_families, all_ids, fixed)
    return Decisions(own[order], order + fixed, outcome, all_ids, names, set())


class _Families:
    """The name of each row's family: the smallest among those that its rows came with, whatever their order.

    Rows of earlier steps are written already; where a family has such rows, theirs is the name.
    """

    def __init__(self, first: np.ndarray, given: pa.Array, ids: pa.Array, fixed: int) -> None:
        self._first, self._given, self._ids = first, given, ids
        _, at, count = np.unique(first, return_inverse=True, return_counts=True)
        self._names: dict[int, tuple[bool, str]] = {}
        for row in np.flatnonzero(count[at] > 1).tolist():
            candidate = (row >= fixed, self._own(row))
            root = int(first[row])
            self._names[root] = min(candidate, self._names.get(root, candidate))

    def __call__(self, row: int) -> str:
        named = self._names.get(int(self._first[row]))
        return named[1] if named else self._own(row)

    def _own(self, row: int) -> str:
        return self._given[row].as_py() or self._ids[row].as_py()


def near_pairs(vectors: np.ndarray, config: Config) -> Pairs:
    """(earlier, later, cosine) of all pairs of embeddings at least `semantic_threshold` alike: every pair is looked at."""
    found = [(np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float32))]
    for begin in range(0, len(vectors), 1024):
        cosine = vectors[begin : begin + 1024] @ vectors[: begin + 1024].T
        later, earlier = np.nonzero(cosine >= config.semantic_threshold)
        before = earlier < later + begin
        later, earlier = later[before], earlier[before]
        found.append(((earlier).astype(np.int32), (later + begin).astype(np.int32), cosine[later, earlier]))
    earlier, later, score = (np.concatenate(column) for column in zip(*found, strict=True))
    return Pairs(earlier, later, score.astype(np.float32), np.arange(len(vectors)))


def _columns(config: Config, levels: Sequence[str]) -> list[str]:
    wanted = ["id", "family_id", "lineage", *(KEY_COLUMNS[level] for level in levels if level in KEY_COLUMNS)]
    if any(level in TEXT_LEVELS for level in levels):
        wanted.append(config.column)
    return list(dict.fromkeys(wanted))


def _tables(
    config: Config, against: Sequence[StepFolder], inputs: Sequence[StepFolder], wanted: list[str], step: str
) -> Iterator[tuple[pa.Table, bool]]:
    """The wanted columns of all rows, some parts at a time; whether they are rows of the step's own inputs."""
    for is_new, folders in ((False, against), (True, inputs)):
        waiting: list[pa.Table] = []
        left = config.limit if is_new else None
        for folder in folders:
            for path in folder.accepted_files():
                missing = set(wanted) - set(pq.read_schema(path).names)
                if missing:
                    raise RunError(
                        f"step {step}: rows of {folder.name} have no column {', '.join(sorted(missing))}"
                        + (": put a step `program_keys` before it" if missing & set(KEY_COLUMNS.values()) else "")
                    )
                table = pq.read_table(path, columns=wanted).select(wanted)
                waiting.append(table if left is None else table.slice(0, left))
                left = None if left is None else left - len(waiting[-1])
                if sum(map(len, waiting)) >= BATCH:
                    yield pa.concat_tables(waiting), is_new
                    waiting = []
        if waiting:
            yield pa.concat_tables(waiting), is_new


def _embedder(config: Config) -> Any:
    from caco_recipes.embeddings import Embedder

    return Embedder(config.embedder)


def _uint64(values: list[int]) -> np.ndarray:
    return np.array(values, np.uint64) if values else np.empty(0, np.uint64)


def _together(arrays: list[pa.Array]) -> pa.Array:
    return pa.concat_arrays([array.cast(pa.large_string()) for array in arrays] or [pa.array([], pa.large_string())])
