"""What determinism and eight variants cost per program, against one execution of the same programs in the same run.

    python tests/benchmarks/bench_metamorphic.py SHARED_FOLDER [--programs N] [--workers N]

In: real programs of `programs_math.jsonl`, unified, with the answers known to be right. Out: seconds and CPU seconds of
this process and its sandboxes, per program, of one execution and of the metamorphic stage; their ratio (bar: 10).
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import trust_faults as faults
import trust_measured as measured


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("shared", type=Path)
    parser.add_argument("--programs", type=int, default=300)
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    rows = faults.good_programs(arguments.shared, arguments.programs)
    with measured.Sandboxes(arguments.workers) as boxes:
        rows = faults.executed(rows, boxes.pool)
        codes = [row["code"] for row in rows]
        for pool in (boxes.pool, *boxes.others):  # servers of every kind are warm before anything is measured
            list(pool.run(codes[:100]))
        once = took(lambda: list(boxes.pool.run(codes)))
        found: list[dict[str, Any]] = []
        whole = took(lambda: found.extend(boxes.metamorphic(rows)))
        variants = sum(row["neighbours"] for row in found) / len(found)
    print(f"{len(rows)} programs, {measured.RERUNS} repeated runs and {variants:.1f} variants each")
    for name, (wall, cpu) in (("one execution", once), ("metamorphic stage", whole)):
        print(f"{name:<20} {1000 * wall / len(rows):7.2f} ms wall {1000 * cpu / len(rows):7.2f} ms CPU per program")
    print(f"{'ratio':<20} {whole[0] / once[0]:7.1f}        {whole[1] / once[1]:10.1f}   (bar: 10)")


def took(action: Any) -> tuple[float, float]:
    """Wall seconds and CPU seconds of this process and everything below it."""
    wall, cpu = time.monotonic(), tree_cpu()
    action()
    return time.monotonic() - wall, tree_cpu() - cpu


def tree_cpu() -> float:
    """CPU seconds so far of this process and its descendants, their finished children included."""
    parents, ticks = {}, {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                fields = Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            parents[int(entry)] = int(fields[1])
            ticks[int(entry)] = sum(map(int, fields[11:15]))
    total = 0
    for process in ticks:
        above = process
        while above not in (os.getpid(), 0, 1):
            above = parents.get(above, 0)
        total += ticks[process] if above == os.getpid() else 0
    return total / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
