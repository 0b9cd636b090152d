"""Difficulty of kept and of rejected rows, side by side: are only the easy ones kept?

In: a run's folder. Out: per measure a histogram of the rows that the last row steps kept and of those that any step
rejected (undecided rows are neither): pass rate, seeds' solve rate, cyclomatic complexity, code lines, solution length.
"""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from caco_recipes.funnel import read_run
from caco_recipes.verdicts import REJECTED

# measure -> (upper edges of the bins but the last, labels)
EDGES = {
    "pass_rate": (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.999),
    "solve_rate": (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.999),
    "cyclomatic": (1, 2, 3, 4, 6, 8, 12, 16, 24),
    "code_lines": (6, 8, 10, 14, 18, 24, 32, 48, 64),
    "solution_chars": (125, 250, 500, 750, 1000, 1500, 2000, 3000, 4000),
}
TITLES = {
    "pass_rate": "pass rate of the named model",
    "solve_rate": "solve rate of the seed",
    "cyclomatic": "cyclomatic complexity",
    "code_lines": "code lines",
    "solution_chars": "solution, characters",
}


def bin_of(measure: str, value: float) -> int:
    """The bin that a value falls into: the first whose upper edge it doesn't exceed."""
    return next((i for i, edge in enumerate(EDGES[measure]) if value <= edge), len(EDGES[measure]))


def labels(measure: str) -> list[str]:
    """The bins' names."""
    edges = EDGES[measure]
    if measure in ("pass_rate", "solve_rate"):
        inner = [f"to {100 * edge:g} %" for edge in edges[1:-1]]
        return ["0", *inner, "below 100 %", "100 %"]
    return [*(f"to {edge:g}" for edge in edges), f"over {edges[-1]:g}"]


def histograms(kept: Iterable[dict[str, Any]], rejected: Iterable[dict[str, Any]]) -> dict[str, dict[str, list[int]]]:
    """measure -> {"kept": counts, "rejected": counts}, for the measures that any row has."""
    made: dict[str, dict[str, list[int]]] = {}
    for name, rows in (("kept", kept), ("rejected", rejected)):
        for row in rows:
            for measure in EDGES:
                if row.get(measure) is not None:
                    empty = {side: [0] * (len(EDGES[measure]) + 1) for side in ("kept", "rejected")}
                    made.setdefault(measure, empty)[name][bin_of(measure, row[measure])] += 1
    return {measure: made[measure] for measure in EDGES if measure in made}


def of_run(run_dir: str | Path) -> dict[str, dict[str, list[int]]]:
    """`histograms` of a run's rows from its first difficulty step on. Empty when the run has none."""
    steps = [step for step in read_run(run_dir) if step.folder is not None and step.has_rows]
    behind: dict[str, bool] = defaultdict(bool)
    for step in steps:
        behind[step.name] = step.stage == "difficulty" or any(behind[name] for name in step.inputs)
    measured = [step for step in steps if behind[step.name]]
    last = [step for step in measured if not any(step.name in other.inputs for other in measured)]
    return histograms(
        (row for step in last for row in step.folder.read()),
        (row for step in measured for row in step.folder.read("rejected") if row["verdict"] == REJECTED),
    )


def markdown(found: dict[str, dict[str, list[int]]]) -> str:
    """The histograms as Markdown tables with shares of kept and rejected rows; empty text for none."""
    parts = []
    for measure, sides in found.items():
        kept, rejected = sum(sides["kept"]), sum(sides["rejected"])
        lines = [
            f"**{TITLES[measure]}** ({kept:,} kept, {rejected:,} rejected)",
            "",
            "| | kept | % | rejected | % |",
            "| --- | ---: | ---: | ---: | ---: |",
        ]
        for label, one, other in zip(labels(measure), sides["kept"], sides["rejected"], strict=True):
            if one or other:
                lines.append(f"| {label} | {one:,} | {_share(one, kept)} | {other:,} | {_share(other, rejected)} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f}" if total else "–"
