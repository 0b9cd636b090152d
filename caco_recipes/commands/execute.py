"""`caco execute IN.jsonl --output OUT.jsonl`: executes the program in every row's `code`, isolated and with limits.

Out: every row in order with all its fields, and `verdict`, `reason`, `status`, `input` and `output` (JSON text that
keeps exact values), `output_text`, `stdout`, `seconds` (CPU), `wall_seconds`, `memory_mb`, `isolation`.
"""

import argparse
import itertools
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caco_recipes.json_lines import BAD_LINE, ResumableWriter, read_rows
from caco_recipes.recipe import RecipeError
from caco_recipes.verdicts import REJECTED

ADDED = {
    "verdict", "reason", "status", "input", "output", "output_text", "stdout",
    "seconds", "wall_seconds", "memory_mb", "isolation",
}  # fmt: skip


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(
        "caco execute", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("input", help="JSON Lines with `code`")
    parser.add_argument("--output", help="where to write (required unless --explain)")
    parser.add_argument("--workers", type=int, help="programs that run at once (default: one per core)")
    parser.add_argument("--timeout", type=float, default=5.0, help="CPU seconds of one program (default 5)")
    parser.add_argument("--memory", type=int, default=512, help="MB of one program (default 512)")
    parser.add_argument(
        "--isolation", default="auto", choices=["auto", "strict", "standard", "basic", "unsafe"], help="sandbox level"
    )
    parser.add_argument("--rules", default="none", choices=["none", "caco"], help="content rules of the paper as well")
    parser.add_argument(
        "--share", type=int, default=0, metavar="N", help="screened programs per confined process (0: off)"
    )
    parser.add_argument("--explain", type=int, metavar="ROW", help="execute only row ROW (from 0) and show everything")
    options = parser.parse_args(arguments)
    for name in ("workers", "timeout", "memory"):
        value = getattr(options, name)
        if value is not None and value <= 0:
            parser.error(f"--{name} must be above 0")
    source = Path(options.input)
    if options.explain is not None:
        return _explain(source, options)
    if not options.output:
        parser.error("--output is required")
    from caco_recipes.sandbox import ENGINE_VERSION

    settings = {"engine": ENGINE_VERSION} | {
        k: getattr(options, k) for k in ("timeout", "memory", "rules", "isolation")
    }
    writer = ResumableWriter(Path(options.output), ADDED, settings, source)
    if writer.done:
        print(f"going on behind the {writer.done} rows that are done", file=sys.stderr)
    counts: Counter[str] = Counter()
    try:
        rows, codes = itertools.tee(itertools.islice(read_rows(source), writer.done, None))
        with _pool(options) as pool:
            for row, result in zip(rows, _with_progress(pool.run(map(_code, codes)))):
                fields = _fields(row, result)
                counts[fields["verdict"]] += 1
                writer.write(({"line": row[BAD_LINE]} if BAD_LINE in row else row) | fields)
        writer.finish()
    finally:
        writer.stop()
    print(f"{sum(counts.values())} programs executed: {dict(counts)} -> {options.output}", file=sys.stderr)
    return 0


def _pool(options: argparse.Namespace) -> Any:
    from caco_recipes.sandbox import Limits, Pool

    fast = min(1.0, options.timeout)
    slow = options.timeout if options.timeout > fast else None
    return Pool(
        workers=options.workers,
        limits=Limits(cpu_seconds=fast, slow_cpu_seconds=slow, memory_mb=options.memory),
        isolation=options.isolation,
        rules=None if options.rules == "none" else options.rules,
        share=options.share,
    )


def _code(row: dict[str, Any]) -> str:
    """The row's program; a row without one runs an empty program, whose result is then put aside."""
    code = row.get("code")
    return code if isinstance(code, str) else ""


def _fields(row: dict[str, Any], result: Any) -> dict[str, Any]:
    if BAD_LINE in row or not isinstance(row.get("code"), str):
        fields = dict.fromkeys(sorted(ADDED))
        return fields | {"verdict": REJECTED, "reason": "bad_row:json" if BAD_LINE in row else "bad_row:code"}
    return {
        "verdict": result.verdict,
        "reason": result.reason,
        "status": result.status,
        "input": result.input,
        "output": result.output,
        "output_text": result.output_text,
        "stdout": result.stdout,
        "seconds": result.cpu_seconds,
        "wall_seconds": result.wall_seconds,
        "memory_mb": result.peak_memory_mb,
        "isolation": result.isolation,
    }


def _with_progress(results: Iterator[Any]) -> Iterator[Any]:
    from tqdm import tqdm

    return tqdm(results, desc="execute", unit="program", mininterval=0.1 if sys.stderr.isatty() else 10)


def _explain(source: Path, options: argparse.Namespace) -> int:
    row = next(itertools.islice(read_rows(source), options.explain, None), None)
    if row is None:
        raise RecipeError(f"{source}: there is no row {options.explain}")
    with _pool(options) as pool:
        result = pool.run_one(_code(row))
    print(_code(row).rstrip() + "\n" + "-" * 60)
    for name in result.__dataclass_fields__:
        value = getattr(result, name)
        print(f"{name:>18}: {value if isinstance(value, str) else json.dumps(value, default=str)}")
    return 0
