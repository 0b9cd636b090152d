"""Difficulty of kept and of rejected rows, side by side: are only the easy ones kept?

Rows go in one by one (`add`), tables come out (`markdown`): per measure a histogram of the rows that were kept and of those
that any step rejected; undecided rows are neither. A measure that no row has is left out. `caco report` draws the same.
"""

from typing import Any

# measure -> upper edges of the bins but the last
EDGES = {
    "pass_rate": (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.999),
    "solve_rate": (0.0, 0.125, 0.25, 0.375, 0.5, 0.625, 0.75, 0.875, 0.999),
    "cyclomatic": (1, 2, 3, 4, 6, 8, 12, 16, 24),
}
TITLES = {
    "pass_rate": "pass rate of the named model",
    "solve_rate": "solve rate of the seed",
    "cyclomatic": "cyclomatic complexity of the program",
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


class Histograms:
    """Counts per measure, side (kept, rejected) and bin."""

    def __init__(self) -> None:
        self.counts: dict[str, dict[str, list[int]]] = {}

    def add(self, row: dict[str, Any], side: str) -> None:
        """Counts a row; `side` is `kept` or `rejected`."""
        for measure, edges in EDGES.items():
            if row.get(measure) is not None:
                empty = {name: [0] * (len(edges) + 1) for name in ("kept", "rejected")}
                self.counts.setdefault(measure, empty)[side][bin_of(measure, row[measure])] += 1

    def markdown(self) -> str:
        """The histograms as tables with shares of kept and rejected rows; empty text when nothing was measured."""
        parts = []
        for measure in EDGES:
            if measure not in self.counts:
                continue
            sides = self.counts[measure]
            kept, rejected = sum(sides["kept"]), sum(sides["rejected"])
            lines = [
                f"**{TITLES[measure]}** ({kept:,} kept, {rejected:,} rejected)",
                "",
                "| | kept | % | rejected | % |",
                "| --- | ---: | ---: | ---: | ---: |",
            ]
            for label, one, other in zip(labels(measure), sides["kept"], sides["rejected"], strict=True):
                if one or other:
                    lines.append(
                        f"| {label} | {one:,} | {_share(one, kept)} | {other:,} | {_share(other, rejected)} |"
                    )
            parts.append("\n".join(lines))
        return "\n\n".join(parts)


def _share(count: int, total: int) -> str:
    return f"{100 * count / total:.1f}" if total else "–"
