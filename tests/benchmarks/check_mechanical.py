"""How many real programs the mechanical unifier handles, and how many still give the same result when executed.

    python tests/benchmarks/check_mechanical.py SHARED_FOLDER [--sample N] [--workers N]

In: `programs_math.jsonl` with the measured outcomes beside it (another, scratch unification, so a difference is not
always ours), `programs_algo.jsonl` and `kodcode_samples.jsonl` with their tests. Out: a table per source.
"""

import argparse
import json
import random
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

from caco_recipes.grading import grade_output
from caco_recipes.mechanical import CannotUnify, unify_function, unify_program
from caco_recipes.sandbox import Limits, Pool
from caco_recipes.test_cases import choose_case
from caco_recipes.unify import as_printed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--sample", type=int, default=0, help="programs of each kind, by a seeded draw; 0: all")
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    folder = arguments.shared / "data" / "seeds"
    with Pool(workers=arguments.workers, limits=Limits(cpu_seconds=1.0, slow_cpu_seconds=10.0)) as pool:
        report("programs_math", math_rows(folder, arguments.sample, pool))
        report("programs_algo and kodcode_samples", code_rows(folder, arguments.sample, pool))


def math_rows(folder: Path, sample: int, pool: Pool) -> Iterator[tuple[str, str]]:
    """(source, outcome) of the programs for math problems."""
    measured = {row["id"]: row for row in read(folder / "programs_math_exec.jsonl")}
    unified = []
    for row in drawn(list(read(folder / "programs_math.jsonl")), sample):
        source = row["source"].split("/")[0]
        try:
            unified.append((source, row, unify_program(row["program"], row["problem"])))
        except CannotUnify as error:
            known = measured[row["id"]]["status"] == "ok"
            yield source, f"not unified: {error.reason}{' (ran before)' if known else ''}"
    yield "", f"with at least one input: {sum('input = {}' not in code for *_, code in unified)} of {len(unified)}"
    for (source, row, _), result in zip(unified, pool.run([code for *_, code in unified]), strict=True):
        before = measured[row["id"]]
        if before["status"] != "ok":
            yield source, f"failed before, now {'ok' if result.status == 'ok' else 'fails'}"
        elif result.status != "ok":
            yield source, f"ran before, now {result.reason.split(':')[-1]}"
        elif (result.stdout or "").strip()[:160] == before["stdout"].strip()[:160]:
            yield source, "same output"
        else:
            same = (
                before["stdout"].strip()[:160].splitlines()[-1:]
                == (result.stdout or "").strip()[:160].splitlines()[-1:]
            )
            yield source, "same last line" if same else "another output"


def code_rows(folder: Path, sample: int, pool: Pool) -> Iterator[tuple[str, str]]:
    """(source, outcome) of solutions with tests: the chosen case's expected value against the executed one."""
    rows = [*read(folder / "programs_algo.jsonl"), *read(folder / "kodcode_samples.jsonl")]
    unified = []
    for row in drawn(rows, sample):
        source = row["source"].split()[0]
        tests = row["tests"] if row["tests"] and row["tests"] != "doctest" else ""
        try:
            case = choose_case(row["solution"], tests, row.get("entry_point") or "")
            code = unify_function(row["solution"], case.function, case.positional, dict(case.named))
            unified.append((source, case, code))
        except CannotUnify as error:
            yield source, f"not unified: {error.reason}"
    for (source, case, _), result in zip(unified, pool.run([code for *_, code in unified]), strict=True):
        if result.status != "ok":
            yield source, f"fails: {result.reason.split(':')[-1]}"
        else:
            graded = grade_output(result.output, as_printed(case.expected))
            yield source, f"expected value: {graded.verdict}"


def report(title: str, rows: Iterator[tuple[str, str]]) -> None:
    total: Counter[str] = Counter()
    by_source: dict[str, Counter[str]] = defaultdict(Counter)
    for source, outcome in rows:
        if not source:
            print(outcome)
            continue
        total[outcome] += 1
        by_source[source][outcome] += 1
    print(f"\n{title}: {sum(total.values())} programs")
    for outcome, count in total.most_common():
        print(f"  {count:>6}  {100 * count / sum(total.values()):5.1f} %  {outcome}")
    for source, counts in sorted(by_source.items()):
        print(f"  {source}: " + ", ".join(f"{outcome} {count}" for outcome, count in counts.most_common(6)))


def drawn(rows: list[dict], sample: int) -> list[dict]:
    return random.Random(0).sample(rows, min(sample, len(rows))) if sample else rows


def read(file: Path) -> Iterator[dict]:
    with open(file, encoding="utf-8") as lines:
        yield from map(json.loads, lines)


if __name__ == "__main__":
    main()
