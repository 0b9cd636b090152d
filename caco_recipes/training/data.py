"""Rows to train on: from the Hub, from local files, from a run; mapped, mixed and drawn by seed.

A draw of N rows is made by content: every row gets the hash of the seed and its own text, and the N smallest are taken,
in that order. So the same seed gives the same rows whatever the order, the number of files or the machine, and a draw
of 300,000 lies inside the draw of 596,000 (the paper doesn't say how its subsets were drawn; this is ours).
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError, nearest
from caco_recipes.training.config import DataConfig, Source

# Files of a run's step folder that are not training rows.
NOT_ROWS = (".rejected.parquet", ".undecided.parquet", ".timing.parquet")


def local_files(paths: list[str]) -> list[Path]:
    """The data files behind `paths`, sorted per path. Raises `RecipeError` when there are none."""
    files: list[Path] = []
    for text in paths:
        path = Path(text).expanduser()
        if path.is_dir():
            found = [item for pattern in ("*.parquet", "*.jsonl", "*.json") for item in sorted(path.glob(pattern))]
            parts = [item for item in found if item.name.startswith("part-") and item.suffix == ".parquet"]
            # A step folder holds part-*.parquet beside manifest.json; a published one data/train-*.parquet.
            found = parts or [item for item in found if item.name not in ("manifest.json", "dataset_info.json")]
            found = [item for item in found if not item.name.endswith(NOT_ROWS)]
            found = found or [
                item
                for folder in (path / "data", path / "dataset" / "data")  # a dataset, or a publish step of a run
                for item in sorted(folder.glob("*.parquet"))
                if item.name.startswith(("train", "part-"))
            ]
            if not found:
                raise RecipeError(f"dataset_path: {text} holds no part-*.parquet, *.parquet or *.jsonl file")
            files += found
        elif path.is_file():
            if path.suffix not in (".parquet", ".jsonl", ".json"):
                raise RecipeError(f"dataset_path: {text}: expected a .parquet or .jsonl file")
            files.append(path)
        else:
            raise RecipeError(
                f"dataset_path: {text} does not exist (paths are relative to the working directory){made_by_a_run(text)}"
            )
    return files


def made_by_a_run(place: str) -> str:
    """What to run first, for a missing `runs/NAME/STEP…`; empty for any other place."""
    parts = Path(place).parts
    if len(parts) < 3 or "runs" not in parts[:-2]:
        return ""
    name, step = parts[parts.index("runs") + 1 : parts.index("runs") + 3]
    return f"; it is made by the step {step} of a run: caco run recipes/{name} first"


def identity(config: DataConfig) -> list[dict[str, Any]]:
    """What the rows are, as plain values: file hashes, or Hub name and commit. Part of the token cache's key."""
    known = []
    for source in config.sources:
        entry: dict[str, Any] = {
            "columns": source.columns or config.columns,
            "rows": source.rows,
            "weight": source.weight,
        }
        if source.path:
            entry["files"] = [[path.name, _sha256(path)] for path in local_files(source.path)]
        else:
            entry |= {"name": source.name, "config": source.config, "split": source.split}
            entry["revision"] = hub_commit(source)
        known.append(entry)
    return known


def hub_commit(source: Source) -> str:
    """The commit behind a Hub dataset's revision; offline, the revision as written."""
    if os.environ.get("HF_HUB_OFFLINE") in ("1", "true", "TRUE"):
        return source.revision or "main"
    from huggingface_hub import HfApi
    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    try:
        return HfApi().dataset_info(source.name, revision=source.revision, timeout=20).sha
    except (RepositoryNotFoundError, RevisionNotFoundError) as error:
        raise RecipeError(
            f"dataset_name: {source.name} (revision {source.revision or 'main'}) is not on the Hub, or needs a login "
            f"(hf auth login): {type(error).__name__}"
        ) from None
    except Exception:  # no network: load_rows answers from the local cache or says why it can't
        return source.revision or "main"


def load_rows(config: DataConfig, fields: tuple[str, ...]) -> Any:
    """All rows of the recipe with exactly the columns `fields`: a `Dataset`, or an `IterableDataset` when streaming.

    Raises `RecipeError`: no such data, a missing column (with the nearest one), an empty dataset, fewer rows than asked.
    """
    from datasets import concatenate_datasets, interleave_datasets

    parts = []
    for source in config.sources:
        rows = _select(_load(source, config.dataset_streaming), source.columns or config.columns, fields, source.label)
        if source.rows is not None:
            rows = (
                rows.take(source.rows)
                if config.dataset_streaming
                else draw(rows, source.rows, config.dataset_seed, source.label)
            )
        parts.append(rows)
    weights = [source.weight for source in config.sources]
    if config.dataset_streaming:
        rows = parts[0]
        if len(parts) > 1:
            shares = [weight / sum(weights) for weight in weights] if all(weights) else None
            rows = interleave_datasets(parts, probabilities=shares, seed=config.dataset_seed)
        rows = rows.shuffle(seed=config.dataset_seed, buffer_size=config.shuffle_buffer)
        return rows.take(config.dataset_rows) if config.dataset_rows else rows
    if all(weights) and len(parts) > 1:
        parts = _weigh(parts, weights, config)
    rows = concatenate_datasets(parts) if len(parts) > 1 else parts[0]
    if config.dataset_rows is not None and not (all(weights) and len(parts) > 1):
        rows = draw(rows, config.dataset_rows, config.dataset_seed, "dataset_rows")
    return rows


def draw(rows: Any, count: int, seed: int, what: str) -> Any:
    """`count` rows of a `Dataset`, chosen and ordered by the hash of `seed` and the row's text."""
    if count > len(rows):
        raise RecipeError(f"{what}: {count:,} rows were asked for and there are {len(rows):,}")
    return rows.select(content_order(rows, seed)[:count])


def content_order(rows: Any, seed: int) -> list[int]:
    """Row numbers sorted by the hash of `seed` and the row's own text; equal rows keep their order."""
    salt = f"{seed}\0".encode()
    keys = []
    for batch in rows.iter(batch_size=1000):
        for values in zip(*(batch[name] for name in sorted(batch))):
            text = "\0".join(value if isinstance(value, str) else "" for value in values)
            keys.append(hashlib.sha256(salt + text.encode("utf-8", "surrogatepass")).digest()[:16])
    return sorted(range(len(keys)), key=lambda index: (keys[index], index))


def _weigh(parts: list, weights: list[float], config: DataConfig) -> list:
    shares = [weight / sum(weights) for weight in weights]
    # Without a total, the mixture is as large as the scarcest source allows without repeating a row.
    total = config.dataset_rows or int(min(len(part) / share for part, share in zip(parts, shares)))
    counts = [round(total * share) for share in shares]
    counts[-1] = total - sum(counts[:-1])
    return [
        draw(part, count, config.dataset_seed, f"dataset_mixture: {source.label}")
        for part, count, source in zip(parts, counts, config.sources)
        if count > 0
    ]


def _load(source: Source, streaming: bool) -> Any:
    from datasets import Dataset, load_dataset

    if source.path:
        files = local_files(source.path)
        kinds = {"parquet" if path.suffix == ".parquet" else "json" for path in files}
        if len(kinds) > 1:
            raise RecipeError(f"dataset_path: {source.label} mixes Parquet and JSON files; name one kind")
        files = [path for path in files if not _without_rows(path)]
        if not files:
            raise RecipeError(f"the dataset {source.label} is empty")
        try:
            rows = load_dataset(
                kinds.pop(), data_files=[str(path) for path in files], split="train", streaming=streaming
            )
        except Exception as error:
            raise RecipeError(f"dataset_path: {source.label} can't be read: {_root(error)}") from None
    else:
        try:
            rows = load_dataset(
                source.name, source.config, split=source.split, revision=source.revision, streaming=streaming
            )
        except Exception as error:
            raise RecipeError(f"dataset_name: {source.name} can't be loaded: {_root(error)}") from None
    if isinstance(rows, Dataset) and len(rows) == 0:
        raise RecipeError(f"the dataset {source.label} is empty")
    return rows


def _without_rows(path: Path) -> bool:
    """Whether a Parquet file is whole and has no rows: a run's part may, and `load_dataset` fails on it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return path.suffix == ".parquet" and pq.read_metadata(path).num_rows == 0
    except (OSError, pa.ArrowException):
        return False  # not whole: the reader says so with the file's name


def _select(rows: Any, columns: dict[str, str], fields: tuple[str, ...], label: str) -> Any:
    present = rows.column_names
    if present is None:  # a stream without declared features
        present = list(next(iter(rows), {}))
        if not present:
            raise RecipeError(f"the dataset {label} is empty")
    for field in columns:
        if field not in fields:
            raise RecipeError(f"columns: {field!r} is no field of this text; {nearest(field, fields)}")
    wanted = {field: columns.get(field, field) for field in fields}
    for field, column in wanted.items():
        if column not in present:
            raise RecipeError(
                f"{label} has no column {column!r} (for the field {field!r}); {nearest(column, present)}. "
                f"Map it in the recipe: columns: {{{field}: NAME}}"
            )
    rows = rows.select_columns(list(dict.fromkeys(wanted.values())))
    renamed = {column: field for field, column in wanted.items() if field != column}
    return rows.rename_columns(renamed) if renamed else rows


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _root(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {str(error).strip().splitlines()[0] if str(error).strip() else ''}"


def canonical(value: Any) -> str:
    """JSON with sorted keys: equal values, equal text."""
    return json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
