"""What the report shows, computed from a run's folder: plain values only, ready for JSON.

One pass over the steps' parts, one part in memory at a time. Rows are taken where their way ends: rejected and
undecided ones at the step that dropped them, accepted ones at the last step that has rows. Programs are read as text
with regular expressions; nothing here parses or runs them.
"""

import itertools
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from caco_recipes.funnel import Step, finished_parts, read_run, recorded_steps
from caco_recipes.identity import receipts
from caco_recipes.verdicts import ACCEPTED, UNDECIDED

TEXT_LIMIT = 6000  # characters of one text in the row browser; longer ones are cut, and say so
BROWSER_ROWS = 5000
SAMPLE = 20_000  # rows that diversity and distances look at
TEXTS = ("problem", "solution", "code", "output_text", "stdout", "expected_answer", "predicted_answer")
FACTS = ("source", "licence", "domain", "problem_origin", "status", "answer_rule", "judge_verdict", "unified_by")
IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
BRANCH = re.compile(r"\b(?:if|elif|for|while|and|or|except)\b")
WORD = re.compile(r"\w+")
NUMBER = re.compile(r"\b\d+(?:\.\d+)?\b")
STRING = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"")
COMMENT = re.compile(r"#.*")
NAME = re.compile(r"\b[A-Za-z_]\w*\b")
PYTHON_WORDS = frozenset(
    "and as assert break class continue def del elif else except finally for from if import in is lambda not or pass "
    "raise return try while with yield None True False print range len sum min max abs int float str list dict set".split()
)


@dataclass
class Report:
    """Everything on the page.

    Attributes:
        name: the run's name.
        steps: per step name, stage, counts, reasons, tokens, seconds, inputs and whether it is recorded.
        totals: the figures at the head of the page.
        reasons: reason code -> step -> rows.
        lengths: measure -> verdict -> histogram.
        runtimes: histogram of CPU seconds of all executions, with quantiles.
        imports: module -> accepted programs, and the share without any.
        sources: (source, licence, domain) counts of accepted rows.
        diversity: distinct-n, compression ratios, program shapes.
        difficulty: branches per program and `solve_rate`, kept against dropped.
        distance: similarity of generated problems to their nearest seed, when problems were generated.
        evaluations: evaluate step -> its comparison (Markdown), when models were evaluated in the run.
        rows: the row browser's rows; `rows_total` says how many there are in all.
    """

    name: str
    steps: list[dict[str, Any]] = field(default_factory=list)
    totals: dict[str, Any] = field(default_factory=dict)
    reasons: dict[str, dict[str, int]] = field(default_factory=dict)
    lengths: dict[str, Any] = field(default_factory=dict)
    runtimes: dict[str, Any] = field(default_factory=dict)
    imports: dict[str, Any] = field(default_factory=dict)
    sources: list[list[Any]] = field(default_factory=list)
    diversity: dict[str, Any] = field(default_factory=dict)
    difficulty: dict[str, Any] = field(default_factory=dict)
    distance: dict[str, Any] = field(default_factory=dict)
    evaluations: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    rows_total: int = 0


def gather(run_dir: str | Path, browser_rows: int = BROWSER_ROWS) -> Report:
    """The report's content. Raises `RunError` when `run_dir` is no run folder."""
    run_dir = Path(run_dir)
    steps = [step for step in read_run(run_dir) if step.stage != "report"]
    report = Report(name=run_dir.resolve().name)
    recorded = recorded_steps(steps)
    report.steps = [_step_facts(step, step.name in recorded) for step in steps]
    row_steps = [step for step in steps if step.folder is not None and step.folder.accepted_files()]
    for step in row_steps:
        for reason, rows in step.reasons.items():
            by_step = report.reasons.setdefault(reason, {})
            by_step[step.name] = by_step.get(step.name, 0) + rows
    ends = [step for step in row_steps if not any(step.name in other.inputs for other in row_steps)]
    # A verify step's rows are what the run is about; ends of side branches (seed programs for CodeGen) are not.
    final = [step for step in ends if step.stage == "verify"] or ends[-1:]
    figures = _Figures()
    keep = _Browser(browser_rows, row_steps, final)
    seeds: list[str] = []
    for step in row_steps:
        for row in _rows(step, "rejected"):
            figures.add(row, kept=False)
            keep.add(row, step)
        if step.stage == "seeds":
            seeds.extend((row.get("problem") or "") for row in _rows(step, "", ["problem"]))
        if step in final:
            for row in _rows(step, ""):
                figures.add(row, kept=True)
                keep.add(row, step)
    report.rows, report.rows_total = keep.rows(), keep.total
    report.lengths = figures.lengths()
    report.imports = figures.imports()
    report.sources = figures.sources()
    report.diversity = figures.diversity()
    report.difficulty = figures.difficulty()
    report.distance = nearest_seed(figures.generated, seeds)
    for step in steps:
        comparison = run_dir / step.name / "comparison.md"
        if step.stage == "evaluate" and comparison.is_file():
            report.evaluations[step.name] = comparison.read_text(encoding="utf-8")
    report.runtimes = _runtimes(row_steps)
    report.totals = _totals(steps, row_steps, final)
    return report


def _step_facts(step: Step, recorded: bool) -> dict[str, Any]:
    return {
        "name": step.name,
        "stage": step.stage,
        "inputs": step.inputs,
        "complete": step.complete,
        "rows": step.rows,
        "accepted": step.accepted,
        "rejected": step.rejected,
        "undecided": step.undecided,
        "reasons": step.reasons,
        "counts": step.counts,
        "tokens": step.tokens,
        "seconds": step.seconds,
        "recorded": recorded,
        "has_rows": step.has_rows,
        "engine": str(step.config.get("engine") or ""),
    }


def _totals(steps: list[Step], row_steps: list[Step], final: list[Step]) -> dict[str, Any]:
    sources = [step for step in row_steps if not step.inputs]
    seconds = [step.seconds for step in steps if step.seconds is not None]
    return {
        "rows_in": sum(step.rows for step in sources),
        "sources": [step.name for step in sources],
        "accepted": sum(step.accepted for step in final),
        "rejected": sum(step.rejected for step in row_steps),
        "undecided": sum(step.undecided for step in row_steps),
        "tokens": sum(step.tokens for step in steps),
        "seconds": sum(seconds) if seconds else None,
        "complete": all(step.complete for step in steps),
        "final": [step.name for step in final],
    }


def _rows(step: Step, kind: str, columns: list[str] | None = None) -> Iterator[dict[str, Any]]:
    for record in finished_parts(step.folder, step.fingerprint):
        file = pq.ParquetFile(step.folder.part(record.index, kind))
        wanted = None if columns is None else [name for name in columns if name in file.schema_arrow.names]
        for batch in file.iter_batches(columns=wanted):
            yield from batch.to_pylist()


class _Browser:
    """Chooses the rows of the browser: all of them, or an even sample of every (step, verdict, reason) group."""

    def __init__(self, limit: int, row_steps: list[Step], final: list[Step]) -> None:
        self.total = 0
        groups = sum(len(step.reasons) for step in row_steps) + len(final) or 1
        rows = sum(step.rejected + step.undecided for step in row_steps) + sum(step.accepted for step in final)
        # Small groups are shown whole, large ones share what is left: a rare reason is what one looks for.
        self._cap = rows if rows <= limit else max(5, limit // groups)
        self._limit = limit
        self._groups: dict[tuple, list[dict[str, Any]]] = defaultdict(list)
        self._seen: Counter[tuple] = Counter()
        self._sizes: dict[tuple, int] = {}
        for step in row_steps:
            self._sizes |= {(step.name, reason): count for reason, count in step.reasons.items()}
        self._sizes |= {(step.name, ""): step.accepted for step in final}

    def add(self, row: dict[str, Any], step: Step) -> None:
        self.total += 1
        group = (step.name, row.get("reason") or "")
        index = self._seen[group]
        self._seen[group] += 1
        size, cap = self._sizes.get(group, 1), self._cap
        # Evenly spaced rows: the k-th kept one is the row that crosses the next multiple of size / cap.
        if size > cap and (index * cap) // size == ((index - 1) * cap) // size and index:
            return
        self._groups[group].append(_browser_row(row, step))

    def rows(self) -> list[dict[str, Any]]:
        chosen = [row for group in self._groups.values() for row in group]
        order = {ACCEPTED: 0, UNDECIDED: 2}
        chosen.sort(key=lambda row: order.get(row["verdict"], 1))  # stable: the run's order within a verdict
        return chosen[: max(self._limit, len(self._groups) * 5)]


def _browser_row(row: dict[str, Any], step: Step) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": row["id"],
        "step": step.name,
        "verdict": row["verdict"],
        "reason": row["reason"] or "",
    }
    for name in TEXTS:
        text = row.get(name)
        if text:
            cut = len(text) > TEXT_LIMIT
            made[name] = text[:TEXT_LIMIT] + f"… ({len(text):,} characters in all)" if cut else text
    for name in FACTS:
        if row.get(name):
            made[name] = str(row[name])
    if row.get("parent_ids"):
        made["parents"] = row["parent_ids"]
    if row.get("family_id") and row["family_id"] != row["id"]:
        made["family"] = row["family_id"]
    made["receipts"] = receipts(row.get("lineage") or "")
    return made


class _Figures:
    """Sums over rows, kept and dropped apart."""

    def __init__(self) -> None:
        self._lengths: dict[str, dict[bool, list[int]]] = defaultdict(lambda: {True: [], False: []})
        self._imports: Counter[str] = Counter()
        self._programs = 0
        self._plain = 0
        self._sources: Counter[tuple[str, str, str]] = Counter()
        self._branches: dict[bool, list[int]] = {True: [], False: []}
        self._solve_rate: dict[bool, list[float]] = {True: [], False: []}
        self._problems: list[str] = []
        self._codes: list[str] = []
        self.generated: list[str] = []

    def add(self, row: dict[str, Any], kept: bool) -> None:
        problem, solution, code = (row.get(name) or "" for name in ("problem", "solution", "code"))
        for name, value in (("problem", problem), ("solution", solution)):
            if value:
                self._lengths[f"{name}, characters"][kept].append(len(value))
        if code:
            self._lengths["program, lines"][kept].append(code.count("\n") + 1)
            self._branches[kept].append(len(BRANCH.findall(COMMENT.sub("", code))))
        if row.get("solve_rate") is not None:
            self._solve_rate[kept].append(float(row["solve_rate"]))
        if not kept:
            return
        self._sources[row.get("source") or "", row.get("licence") or "", row.get("domain") or ""] += 1
        if code:
            modules = set(IMPORT.findall(code))
            self._imports.update(modules)
            self._programs += 1
            self._plain += not modules
        if len(self._problems) < SAMPLE:
            self._problems.append(problem)
            self._codes.append(code)
            if row.get("problem_origin") == "back_translated":
                self.generated.append(problem)

    def lengths(self) -> dict[str, Any]:
        return {name: kept_and_dropped(values[True], values[False]) for name, values in self._lengths.items()}

    def imports(self) -> dict[str, Any]:
        return {"programs": self._programs, "none": self._plain, "modules": dict(self._imports.most_common(15))}

    def sources(self) -> list[list[Any]]:
        return [[*key, rows] for key, rows in sorted(self._sources.items(), key=lambda item: (-item[1], item[0]))[:40]]

    def difficulty(self) -> dict[str, Any]:
        made = {}
        if any(self._branches.values()):
            made["branches and loops in the program"] = kept_and_dropped(self._branches[True], self._branches[False])
        if any(self._solve_rate.values()):
            made["solve rate of the seed"] = kept_and_dropped(self._solve_rate[True], self._solve_rate[False])
        return made

    def diversity(self) -> dict[str, Any]:
        problems, codes = [text for text in self._problems if text], [text for text in self._codes if text]
        if not problems:
            return {}
        made: dict[str, Any] = {"rows": len(problems)}
        made |= {f"distinct-{n}": distinct_n(problems, n) for n in (1, 2, 3)}
        made["compression ratio of problems"] = compression_ratio(problems)
        if codes:
            shapes = Counter(shape(code) for code in codes)
            made["compression ratio of programs"] = compression_ratio(codes)
            made["program shapes"] = len(shapes)
            made["shapes per program"] = len(shapes) / len(codes)
            made["rows of the commonest shape"] = shapes.most_common(1)[0][1]
        return made


def distinct_n(texts: Iterable[str], n: int) -> float:
    """Distinct word n-grams over all word n-grams (1 is all different); 0 for texts too short to have any."""
    seen: set[tuple[str, ...]] = set()
    total = 0
    for text in texts:
        words = [word.lower() for word in WORD.findall(text)]
        grams = list(zip(*(words[i:] for i in range(n)), strict=False))
        total += len(grams)
        seen.update(grams)
    return len(seen) / total if total else 0.0


def compression_ratio(texts: Iterable[str]) -> float:
    """Bytes over zlib-compressed bytes of all texts one after the other: the higher, the more they repeat."""
    data = "\n".join(texts).encode("utf-8", "replace")
    return len(data) / len(zlib.compress(data, 6)) if data else 0.0


def shape(code: str) -> str:
    """A program with its names, numbers, strings and comments blotted out: what is left is its control flow."""
    text = NUMBER.sub("0", STRING.sub("s", COMMENT.sub("", code)))
    text = NAME.sub(lambda match: match[0] if match[0] in PYTHON_WORDS else "n", text)
    return "\n".join(line.rstrip() for line in text.splitlines() if line.strip())


def nearest_seed(problems: list[str], seeds: list[str], limit: int = 2000) -> dict[str, Any]:
    """How near each generated problem comes to a seed: cosine of hashed word pairs, 1 for the same words.

    At most `limit` problems and 10 x `limit` seeds, evenly spaced, are compared.
    """
    problems, seeds = _spaced(problems, limit), _spaced([text for text in seeds if text], 10 * limit)
    if not problems or not seeds:
        return {}
    import numpy as np

    ours, theirs = _hashed(problems), _hashed(seeds)
    nearest = np.concatenate([(ours[i : i + 256] @ theirs.T).max(axis=1) for i in range(0, len(ours), 256)])
    values = [float(value) for value in nearest]
    return histogram(values, low=0.0, high=1.0) | {"copies": sum(value > 0.95 for value in values)}


def _spaced(items: list[str], limit: int) -> list[str]:
    return items if len(items) <= limit else [items[i * len(items) // limit] for i in range(limit)]


def _hashed(texts: list[str], width: int = 2048):
    import numpy as np

    matrix = np.zeros((len(texts), width), dtype=np.float32)
    for index, text in enumerate(texts):
        words = WORD.findall(text.lower())
        for gram in [*words, *map(" ".join, itertools.pairwise(words))]:
            matrix[index, zlib.crc32(gram.encode()) % width] += 1  # crc32: the same in every process, unlike hash()
    norms = np.linalg.norm(matrix, axis=1, keepdims=True)
    return matrix / np.maximum(norms, 1e-9)


def kept_and_dropped(kept: list[float], dropped: list[float], bins: int = 24) -> dict[str, Any]:
    """Two histograms over the same bins; the upper end is the 99th percentile, what lies above is in the last bin."""
    everything = sorted([*kept, *dropped])
    if not everything:
        return {}
    low, high = everything[0], everything[min(len(everything) - 1, int(0.99 * len(everything)))]
    if all(isinstance(value, int) for value in everything):
        # Bins of equally many whole numbers: others would show gaps that the data does not have.
        wide = -(-(high - low + 1) // bins)
        bins = -(-(high - low + 1) // wide)
        low, high = low - 0.5, low + bins * wide - 0.5
    return {
        "kept": histogram(kept, low=low, high=high, bins=bins),
        "dropped": histogram(dropped, low=low, high=high, bins=bins),
    }


def histogram(values: list[float], low: float, high: float, bins: int = 24) -> dict[str, Any]:
    """Counts per bin between `low` and `high`, with the quartiles and the number of values."""
    counts = [0] * bins
    span = (high - low) or 1
    for value in values:
        counts[max(0, min(bins - 1, int((value - low) / span * bins)))] += 1
    return {"low": low, "high": high, "counts": counts, "n": len(values)} | quantiles(values)


def quantiles(values: Iterable[float]) -> dict[str, float]:
    """Median, 90th and 99th percentile and the largest value; nothing for no values."""
    ordered = sorted(values)
    if not ordered:
        return {}
    pick = {"p50": 0.5, "p90": 0.9, "p99": 0.99}
    made = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in pick.items()}
    return made | {"max": ordered[-1]}


def _runtimes(steps: list[Step]) -> dict[str, Any]:
    import math

    values: list[float] = []
    for step in steps:
        for path in step.folder.timing_files():
            if "cpu_seconds" in pq.read_schema(path).names:
                column = pq.read_table(path, columns=["cpu_seconds"])["cpu_seconds"].to_pylist()
                values.extend(value for value in column if value is not None)
    if not values:
        return {}
    logs = [math.log10(max(value, 1e-5)) for value in values]
    made = histogram(logs, low=math.floor(min(logs)), high=math.ceil(max(logs)) or 1, bins=32)
    return made | quantiles(values) | {"n": len(values), "total": sum(values)}
