"""What the metamorphic and faithful checks find and what they wrongly reject, measured on faults planted in real rows.

    python tests/benchmarks/check_trust.py SHARED_FOLDER [--programs N] [--problems N] [--workers N] [--write docs/trust.md] [--show]

`--write` puts the tables between their marks in the page; `--show` prints the rows that were wrongly decided.
"""

import argparse
import json
import re
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import trust_faults as faults
import trust_measured as measured

from caco_recipes.families.faithfulness import findings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--programs", type=int, default=200, help="good programs for the metamorphic checks")
    parser.add_argument("--pairs", type=int, default=800, help="good programs for the static check")
    parser.add_argument(
        "--problems", type=int, default=150, help="problems with two authors' programs, for the blind check"
    )
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--only", choices=["metamorphic", "static", "blind"], help="one table only")
    parser.add_argument("--write", type=Path)
    parser.add_argument("--show", action="store_true")
    arguments = parser.parse_args()
    everything = faults.good_programs(arguments.shared)
    rows = everything[: max(arguments.programs, arguments.pairs)]
    with measured.Sandboxes(arguments.workers) as boxes:
        for name, make in {
            "metamorphic": lambda: measured.in_programs(
                faults.executed(rows[: arguments.programs], boxes.pool), boxes
            ),
            "static": lambda: measured.in_problems(faults.executed(rows[: arguments.pairs], boxes.pool)),
            "blind": lambda: measured.blind(
                faults.executed(faults.paired(everything, arguments.problems), boxes.pool), boxes
            ),
        }.items():
            if arguments.only and name != arguments.only:
                continue
            started = time.monotonic()
            found = make()
            text = measured.table(found)
            print(f"\n{name} ({time.monotonic() - started:.0f} s)\n\n{text}\n")
            if name == "static":
                print(f"{1000 * cost(rows[: arguments.pairs], boxes.pool):.2f} ms of CPU per row\n")
            if arguments.show:
                for one in found:
                    wrong = [item for item in one.rows if not one.fault] or one.rows
                    for row_id, said in wrong[:60]:
                        print(f"    {one.kind}: {row_id}: {said}")
            if arguments.write:
                put(arguments.write, name, text)


def cost(rows: list[dict[str, Any]], pool: Any) -> float:
    """CPU seconds of the static check for one row, over the rows that run."""
    ready = [(row["problem"], json.loads(row["input"]), row["code"]) for row in faults.executed(rows, pool)]
    started = time.process_time()
    for problem, value, code in ready:
        findings(problem, value, code)
    return (time.process_time() - started) / max(len(ready), 1)


def put(page: Path, name: str, text: str) -> None:
    """The table between `<!-- NAME -->` and `<!-- /NAME -->` of a page."""
    mark = re.compile(rf"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.DOTALL)
    old = page.read_text(encoding="utf-8")
    if not mark.search(old):
        raise SystemExit(f"{page} has no marks for {name}")
    page.write_text(mark.sub(lambda found: f"{found[1]}\n{text}\n\n{found[2]}", old), encoding="utf-8")


if __name__ == "__main__":
    main()
