"""`caco audit DATASET`: replays a dataset's rows and reports how many hold, by reason.

DATASET is a dataset folder of ours, a Parquet or JSON Lines file, a Hub name, or a run's folder; rows have our layout or
that of the released Caco-1.3M (`instruction, output, answer, code`).
"""

import argparse
import itertools
import json
import sys
from collections.abc import Iterator
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
    from collections import Counter

    from caco_recipes.chain import published_gaps
    from caco_recipes.dataset_rows import read_dataset
    from caco_recipes.grading import Grader
    from caco_recipes.replay import Audit, Row, replay, row_of
    from caco_recipes.sandbox import Limits, Pool

    audit = Audit()
    chains = Counter()

    def rows() -> Iterator[Row]:
        for number, source in enumerate(itertools.islice(read_dataset(options.dataset), options.limit)):
            try:
                row = row_of(source, number)
                if "lineage" in source and "instruction" in source:
                    chains["; ".join(published_gaps(source))] += 1
                yield row
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
    if chains:
        whole = chains.pop("", 0)
        print(f"{whole:>10,}  rows carry a whole chain of receipts")
        for gap, count in chains.most_common(5):
            print(f"{count:>10,}  lack: {gap}")
    return 0


def _with_progress(rows: Iterator[Any]) -> Iterator[Any]:
    from tqdm import tqdm

    return tqdm(rows, desc="audit", unit="row", mininterval=0.1 if sys.stderr.isatty() else 10)
