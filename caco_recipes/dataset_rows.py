"""The rows of a dataset wherever it lies: a folder of ours, a run's folder, Parquet, JSON Lines, or the Hub."""

import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError

SPLIT = re.compile(r"(train|test|validation)(?=-)")


def read_dataset(dataset: str, split: str | None = None) -> Iterator[dict[str, Any]]:
    """The rows of a dataset, streamed: of one split, or of all. Raises `RecipeError` when there is nothing to read.

    In a folder, files that are named after no split (`rows.parquet`) belong to each; one without the split is read whole.
    """
    path = Path(dataset)
    if path.is_dir():
        files = sorted((path / "data").glob("*.parquet")) or sorted(path.glob("*/dataset/data/*.parquet"))
        files = files or sorted(path.glob("dataset/data/*.parquet")) or sorted(path.glob("*.parquet"))
        if not files:
            raise RecipeError(f"{path} holds no dataset: give its folder (with data/*.parquet) or a file")
        if split:
            files = [file for file in files if (SPLIT.match(file.name) or [split])[0] == split] or files
        yield from itertools.chain.from_iterable(map(_parquet, files))
    elif path.suffix == ".parquet" and path.exists():
        yield from _parquet(path)
    elif path.suffix in (".jsonl", ".json"):
        from caco_recipes.json_lines import read_rows

        yield from read_rows(path)
    elif dataset.count("/") == 1 and not path.exists():
        from datasets import load_dataset

        try:
            found = load_dataset(dataset, split=split, streaming=True)
            yield from found if split else itertools.chain.from_iterable(found.values())
        except (OSError, ValueError) as error:
            raise RecipeError(f"{dataset}: no such folder, and the Hub did not give it: {error}") from None
    else:
        raise RecipeError(f"{dataset}: no such dataset (a folder, .parquet, .jsonl, or a Hub name)")


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=500):
        yield from batch.to_pylist()
