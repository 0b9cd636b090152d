"""`caco audit DATASET`: replays a dataset's rows and reports how many hold, by reason.

DATASET is a dataset folder of ours, a Parquet or JSON Lines file, a Hub name, or a run's folder; rows have our layout or
that of the released Caco-1.3M (`instruction, output, answer, code`).
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caco_recipes.recipe import RecipeError


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("caco audit", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("dataset", help="folder, .parquet, .jsonl, or Hub name such as LHL3341/Caco-1.3M")
    parser.add_argument("--limit", type=int, help="replay only the first N rows")
    parser.add_argument("--workers", type=int, help="programs that run at once (default: one per core)")
    parser.add_argument("--timeout", type=float, default=10.0, help="CPU seconds of one program (default 10)")
    parser.add_argument("--isolation", default="auto", help="sandbox level (default: the best of this machine)")
    parser.add_argument("--output", help="write every row's verdict here (JSON Lines)")
    options = parser.parse_args(arguments)
    if options.timeout <= 0 or (options.limit is not None and options.limit < 1):
        parser.error("--timeout and --limit must be above 0")
    from caco_recipes.grading import Grader
    from caco_recipes.replay import Audit, Row, replay, row_of
    from caco_recipes.sandbox import Limits, Pool

    audit = Audit()

    def rows() -> Iterator[Row]:
        for number, source in enumerate(itertools.islice(read(options.dataset), options.limit)):
            try:
                yield row_of(source, number)
            except ValueError:
                audit.unreadable += 1

    fast = min(1.0, options.timeout)
    limits = Limits(cpu_seconds=fast, slow_cpu_seconds=options.timeout if options.timeout > fast else None)
    output = open(options.output, "w", encoding="utf-8") if options.output else None
    try:
        with Pool(workers=options.workers, limits=limits, isolation=options.isolation) as pool, Grader() as grader:
            for made in _with_progress(replay(rows(), pool, grader)):
                audit.add(made)
                if output:
                    facts = {name: getattr(made, name) for name in ("verdict", "reason", "rule", "recorded", "now")}
                    output.write(json.dumps({"id": made.row.id} | facts) + "\n")
    finally:
        if output:
            output.close()
    if not audit.rows:
        raise RecipeError(f"{options.dataset}: no row has code and a solution (instruction, output, answer, code)")
    print(audit.text())
    return 0


def read(dataset: str) -> Iterator[dict[str, Any]]:
    """The rows of a dataset, streamed. Raises `RecipeError` when there is nothing to read."""
    path = Path(dataset)
    if path.is_dir():
        files = sorted((path / "data").glob("*.parquet")) or sorted(path.glob("*/dataset/data/*.parquet"))
        files = files or sorted(path.glob("dataset/data/*.parquet")) or sorted(path.glob("*.parquet"))
        if not files:
            raise RecipeError(f"{path} holds no dataset: give its folder (with data/*.parquet) or a file")
        yield from itertools.chain.from_iterable(map(_parquet, files))
    elif path.suffix == ".parquet" and path.exists():
        yield from _parquet(path)
    elif path.suffix in (".jsonl", ".json"):
        from caco_recipes.json_lines import read_rows

        yield from read_rows(path)
    elif dataset.count("/") == 1 and not path.exists():
        from datasets import load_dataset

        try:
            yield from load_dataset(dataset, split="train", streaming=True)
        except (OSError, ValueError) as error:
            raise RecipeError(f"{dataset}: no such folder, and the Hub did not give it: {error}") from None
    else:
        raise RecipeError(f"{dataset}: no such dataset (a folder, .parquet, .jsonl, or a Hub name)")


def _parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow.parquet as pq

    for batch in pq.ParquetFile(path).iter_batches(batch_size=500):
        yield from batch.to_pylist()


def _with_progress(rows: Iterator[Any]) -> Iterator[Any]:
    from tqdm import tqdm

    return tqdm(rows, desc="audit", unit="row", mininterval=0.1 if sys.stderr.isatty() else 10)
