"""The runner's own cost: over a bare `Dataset.map`, of receipts, and of a resumed start, against the project's bars.

    python tests/benchmarks/bench_pipeline.py [--rows 3000] [--rounds 5] [--shards 1000]

One function, one millisecond of processor time per row, in all ways, in turns: a bare batched `Dataset.map` of rows in
memory; the pipeline's step without receipts; the same with them (reading and writing its parts included in both). Bars:
pipeline over bare ≤ 10 %, receipts ≤ 5 %, both as medians of ratios; a resumed `caco run` with 1,000 finished shards
begins its first missing shard within 3 s, the process's start included.
"""

import argparse
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

START = """
import sys
sys.path.insert(0, {here!r})
from caco_recipes import pipeline
pipeline.STAGES |= {{"numbers": "numbers_source", "work": "one_millisecond"}}
from caco_recipes.cli import main
sys.exit(main(sys.argv[1:]))
"""


def recipe(folder: Path, count: int, shard_rows: int, milliseconds: float, receipts: bool) -> Path:
    stages = {
        "numbers": {"count": count},
        "work": {"milliseconds": milliseconds, "receipts": receipts},
    }
    path = folder / "recipe.yaml"
    content = {"name": "bench", "output_dir": str(folder), "shard_rows": shard_rows, "stages": stages}
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    return path


def pipeline_seconds(folder: Path, rows: int, receipts: bool) -> float:
    from caco_recipes import pipeline

    run = pipeline.load_run(recipe(folder, rows, 1000, 1.0, receipts))
    pipeline.run_steps(run, ["numbers"])
    started = time.perf_counter()
    pipeline.run_steps(run, ["work"])
    return time.perf_counter() - started


def bare_seconds(folder: Path, rows: int) -> float:
    """Rows in memory, the function, a table in memory: what is asked for and nothing else."""
    from datasets import Dataset
    from one_millisecond import work

    numbers = Dataset.from_dict({"number": list(range(rows))})
    started = time.perf_counter()
    numbers.map(
        lambda batch: {"square": [work(number, 1.0) for number in batch["number"]]},
        batched=True,
        batch_size=1000,
        keep_in_memory=True,
        load_from_cache_file=False,
        new_fingerprint=f"bench{time.time_ns()}",
    )
    return time.perf_counter() - started


def verdict(ratio: float, bar: float) -> str:
    return f"{100 * ratio:+.1f} %, bar {100 * bar:.0f} %: {'ok' if ratio <= bar else 'MISSED'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--shards", type=int, default=1000)
    options = parser.parse_args()
    from datasets import disable_progress_bars

    disable_progress_bars()
    from caco_recipes import pipeline

    pipeline.STAGES |= {"numbers": "numbers_source", "work": "one_millisecond"}
    ways = {
        "bare": lambda folder: bare_seconds(folder, options.rows),
        "pipeline": lambda folder: pipeline_seconds(folder, options.rows, receipts=False),
        "receipts": lambda folder: pipeline_seconds(folder, options.rows, receipts=True),
    }
    over_bare, of_receipts = [], []
    for round_ in range(options.rounds + 1):
        names = list(ways) if round_ % 2 else list(reversed(ways))
        seconds = {}
        for name in names:
            with tempfile.TemporaryDirectory() as folder:
                seconds[name] = ways[name](Path(folder))
        if round_:  # the first warms up
            over_bare.append(seconds["receipts"] / seconds["bare"] - 1)
            of_receipts.append(seconds["receipts"] / seconds["pipeline"] - 1)
            each = "  ".join(f"{name} {1e6 * value / options.rows:7.1f} us/row" for name, value in seconds.items())
            print(f"round {round_}: {each}", flush=True)
    print(f"pipeline, receipts included, over a bare map: {verdict(statistics.median(over_bare), 0.10)}")
    print(f"receipts over the pipeline without them:      {verdict(statistics.median(of_receipts), 0.05)}")
    resumed(options.shards)


def resumed(shards: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = recipe(folder, 2 * (shards + 1), 2, 0.0, True)
        words = [sys.executable, "-c", START.format(here=str(HERE)), "run", str(path)]
        subprocess.run(words, check=True, capture_output=True)
        last = folder / "bench" / "work" / f"part-{shards:05d}.parquet"
        seconds = []
        for _ in range(3):
            last.unlink()
            started = time.time()
            subprocess.run(words, check=True, capture_output=True)
            seconds.append(last.stat().st_mtime - started)
        value = statistics.median(seconds)
        print(
            f"resumed start, {shards:,} finished shards: {value:.2f} s until the missing part is written, "
            f"bar 3 s: {'ok' if value < 3 else 'MISSED'}"
        )


if __name__ == "__main__":
    main()
