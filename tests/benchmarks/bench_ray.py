"""Scaling of execution: the same programs with 1 and 2 workers, in this process's threads and on Ray.

    python tests/benchmarks/bench_ray.py [--programs 20000] [--workers 1,2] [--shard_rows 500]

The programs are small Code CoTs that differ in their numbers. Timed is the `execute` step of a real run: reading
shards, sandbox, rules, receipts, parts. Ray's start is told beside it; workers are warmed by a small run before. Ray's
overhead is what its time is above the local one's for the same number of workers.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import yaml

PROGRAM = """\
def total(numbers, factor):
    result = 0
    for number in numbers:
        result += number * factor
    if result < 0:
        result = -result
    return result % 1000003

input = {{"numbers": [{a}, {b}, {c}], "factor": {d}}}
output = total(**input)
print(output)
"""


def seeds(path: Path, count: int) -> None:
    with open(path, "w") as out:
        for n in range(count):
            program = PROGRAM.format(a=n, b=n * 7 % 101, c=n * n % 977, d=n % 13 + 1)
            out.write(json.dumps({"problem": f"Problem {n}", "answer": "", "program": program}) + "\n")


def seconds(folder: Path, seed_file: Path, executor: str, workers: int, shard_rows: int) -> float:
    from caco_recipes import pipeline

    content = {
        "name": f"{executor}-{workers}",
        "output_dir": str(folder),
        "shard_rows": shard_rows,
        "workers": workers,
        "executor": executor,
        "stages": {
            "seeds": {"sources": [{"path": str(seed_file)}]},
            "unify": {"method": "mechanical", "only": "with_program"},
            "execute": {},
        },
    }
    path = folder / f"{content['name']}.yaml"
    path.write_text(yaml.safe_dump(content, sort_keys=False))
    # The rows that are executed are made locally: only `execute` is compared.
    pipeline.run_steps(pipeline.load_run(path, {"executor": "local"}), ["seeds", "unify"])
    run = pipeline.load_run(path)
    started = time.perf_counter()
    pipeline.run_steps(run, ["execute"])
    took = time.perf_counter() - started
    totals = run.step_folder("execute").manifest()["totals"]
    assert totals["accepted"] == totals["rows"] > 0, totals
    return took


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", type=int, default=20_000)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--shard_rows", type=int, default=500)
    options = parser.parse_args()
    import ray

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        few, all_ = folder / "few.jsonl", folder / "all.jsonl"
        seeds(few, 40)
        seeds(all_, options.programs)
        took: dict[tuple[str, int], float] = {}
        for workers in map(int, options.workers.split(",")):
            for executor in ("local", "ray"):
                place = folder / f"{executor}{workers}"
                (place / "warm").mkdir(parents=True)
                if executor == "ray":
                    started = time.perf_counter()
                    seconds(place / "warm", few, executor, workers, 10)
                    print(f"ray, {workers} workers: start and first shards {time.perf_counter() - started:.1f} s")
                took[executor, workers] = seconds(place, all_, executor, workers, options.shard_rows)
                rate = options.programs / took[executor, workers]
                print(
                    f"{executor:<6} {workers} workers: {took[executor, workers]:7.1f} s, {rate:7.0f} programs/s",
                    flush=True,
                )
            ray.shutdown()
            overhead = took["ray", workers] / took["local", workers] - 1
            print(f"overhead of Ray, {workers} workers: {100 * overhead:+.1f} %", flush=True)
    counts = sorted({workers for _, workers in took})
    for executor in ("local", "ray"):
        for workers in counts[1:]:
            gain = took[executor, counts[0]] / took[executor, workers]
            print(f"{executor}: {workers} workers are {gain:.2f} x as fast as {counts[0]}")


if __name__ == "__main__":
    main()
