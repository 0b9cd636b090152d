"""`caco grade IN.jsonl --output OUT.jsonl`: compares `pred` with `gold` row by row.

In: `gold`, `pred` and optionally `kind`: `answer` (default), `program` (`pred` is the text a program printed) or
`typed` (`pred` is tagged JSON). Out: every row in order with all its fields, and `verdict`, `reason`, `rule`.
"""

import argparse
import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import Any

from caco_recipes.grading.grade import POLICIES
from caco_recipes.json_lines import BAD_LINE, ResumableWriter, read_rows
from caco_recipes.verdicts import REJECTED, Verdict

ADDED = {"verdict", "reason", "rule"}
CHUNK = 1024


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser("caco grade", description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("input", help="JSON Lines with gold and pred (with --audit: also the label `equal`)")
    parser.add_argument("--output", help="where to write; required unless --audit")
    parser.add_argument(
        "--policy", default="exact", choices=POLICIES, help="how near is equal; paper: the published graders' verdicts"
    )
    parser.add_argument("--timeout", type=float, default=3.0, help="seconds that one pair may take (default 3)")
    parser.add_argument("--workers", type=int, default=1, help="processes of the slow tier (default 1)")
    parser.add_argument("--audit", action="store_true", help="print false accepts and rejects by family of answer")
    options = parser.parse_args(arguments)
    if options.audit:
        from caco_recipes.grading.audit import audit_file

        print(audit_file(Path(options.input), policy=options.policy))
        return 0
    if not options.output:
        parser.error("--output is required")
    from caco_recipes.grading import GRADER_VERSION, Grader

    source = Path(options.input)
    settings = {"grader": GRADER_VERSION, "policy": options.policy, "timeout": options.timeout}
    writer = ResumableWriter(Path(options.output), ADDED, settings, source)
    counts: Counter[str] = Counter()
    try:
        with Grader(workers=options.workers, timeout=options.timeout) as grader:
            rows = itertools.islice(read_rows(source), writer.done, None)
            while chunk := list(itertools.islice(rows, CHUNK)):
                for row, verdict in zip(chunk, _grade_chunk(grader, chunk, options.policy)):
                    counts[verdict.verdict] += 1
                    writer.write(_shown(row) | {f: getattr(verdict, f) for f in ("verdict", "reason", "rule")})
                writer.flush()
        writer.finish()
    finally:
        writer.stop()
    print(f"{sum(counts.values())} rows graded: {dict(counts)} -> {options.output}", file=sys.stderr)
    return 0


def _grade_chunk(grader: Any, chunk: list[dict[str, Any]], policy: str) -> list[Verdict]:
    bad = [_fault(row) for row in chunk]
    triples = [(_text(r["gold"]), _text(r["pred"]), r.get("kind") or "answer") for r, b in zip(chunk, bad) if not b]
    graded = iter(grader.grade_many(triples, policy=policy))
    return [Verdict(REJECTED, fault) if fault else next(graded) for fault in bad]


def _fault(row: dict[str, Any]) -> str:
    if BAD_LINE in row:
        return "bad_row:json"
    for name in ("gold", "pred"):
        if name not in row:
            return f"bad_row:{name}"
    return "" if (row.get("kind") or "answer") in ("answer", "program", "typed") else "bad_row:kind"


def _text(value: Any) -> str:
    """Numbers and null may stand in a file where text is meant."""
    if value is None:
        return ""
    return value if isinstance(value, str) else str(value)


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    return {"line": row[BAD_LINE]} if BAD_LINE in row else row
