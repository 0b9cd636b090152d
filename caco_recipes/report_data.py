"""What the report shows, computed from a run's folder: plain values only, ready for JSON.

One pass over the steps' parts, one part in memory at a time. Rows are taken where their way ends: rejected and
undecided ones at the step that dropped them, accepted ones at the last step that has rows. Programs are read as text
with regular expressions; nothing here parses or runs them.
"""

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from caco_recipes.funnel import Step, finished_parts, read_run, recorded_steps
from caco_recipes.report_measures import (
    COMMENT,
    compression_ratio,
    distinct_n,
    histogram,
    kept_and_dropped,
    nearest_seed,
    quantiles,
    shape,
    spaced,
)
from caco_recipes.report_rows import Browser
from caco_recipes.verdicts import UNDECIDED

BROWSER_ROWS = 5000
SAMPLE = 20_000  # rows that diversity and distances look at
PATTERN_PROGRAMS = 2000  # programs whose syntax trees are looked at
RATES = {
    "pass_rate": "pass rate of the named model",
    "solve_rate": "solve rate of the seed",
    "cyclomatic": "cyclomatic complexity",
}
IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([A-Za-z_]\w*)", re.MULTILINE)
BRANCH = re.compile(r"\b(?:if|elif|for|while|and|or|except)\b")


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
        difficulty: pass rate of a named model, `solve_rate` of the seed, cyclomatic complexity or else branches: kept
            against dropped, of the rows that have them.
        patterns: what accepted programs are made of (`program_patterns`), when a sandbox could look.
        map: accepted problems as points in clusters (`report_map`).
        contamination: benchmark -> kind of match -> rows, and examples with the matched span; steps that looked.
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
    patterns: dict[str, Any] = field(default_factory=dict)
    map: dict[str, Any] = field(default_factory=dict)
    contamination: dict[str, Any] = field(default_factory=dict)
    evaluations: dict[str, str] = field(default_factory=dict)
    rows: list[dict[str, Any]] = field(default_factory=list)
    rows_total: int = 0


def gather(run_dir: str | Path, browser_rows: int = BROWSER_ROWS, embedder: str = "") -> Report:
    """The report's content; `embedder` names a model for the map. Raises `RunError` when `run_dir` is no run folder."""
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
    keep = Browser(browser_rows, row_steps, final)
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
    report.contamination = figures.contamination([step.name for step in row_steps if step.stage == "decontaminate"])
    report.patterns = _patterns(figures.codes)
    report.map = _map(figures.problems, figures.ids, embedder)
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


class _Figures:
    """Sums over rows, kept and dropped apart."""

    def __init__(self) -> None:
        self._lengths: dict[str, dict[bool, list[int]]] = defaultdict(lambda: {True: [], False: []})
        self._imports: Counter[str] = Counter()
        self._programs = 0
        self._plain = 0
        self._sources: Counter[tuple[str, str, str]] = Counter()
        self._branches: dict[bool, list[int]] = {True: [], False: []}
        self._rates: dict[str, dict[bool, list[float]]] = {name: {True: [], False: []} for name in RATES}
        self._contaminated: dict[str, Counter[str]] = defaultdict(Counter)
        self._spans: list[dict[str, str]] = []
        self.problems: list[str] = []
        self.codes: list[str] = []
        self.ids: list[str] = []
        self.generated: list[str] = []

    def add(self, row: dict[str, Any], kept: bool) -> None:
        problem, solution, code = (row.get(name) or "" for name in ("problem", "solution", "code"))
        for name, value in (("problem", problem), ("solution", solution)):
            if value:
                self._lengths[f"{name}, characters"][kept].append(len(value))
        if code:
            self._lengths["program, lines"][kept].append(code.count("\n") + 1)
            self._branches[kept].append(len(BRANCH.findall(COMMENT.sub("", code))))
        for name in RATES:
            if row.get(name) is not None and row["verdict"] != UNDECIDED:
                value = row[name]
                self._rates[name][kept].append(float(value) if name.endswith("rate") else int(value))
        if row.get("contaminated_by"):
            self._contamination_of(row)
        if not kept:
            return
        self._sources[row.get("source") or "", row.get("licence") or "", row.get("domain") or ""] += 1
        if code:
            modules = set(IMPORT.findall(code))
            self._imports.update(modules)
            self._programs += 1
            self._plain += not modules
        if len(self.problems) < SAMPLE:
            self.problems.append(problem)
            self.codes.append(code)
            self.ids.append(row["id"])
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
        for name, title in RATES.items():
            if any(self._rates[name].values()):
                made[title] = kept_and_dropped(self._rates[name][True], self._rates[name][False])
        return made

    def contamination(self, steps: list[str]) -> dict[str, Any]:
        """What decontaminate steps found; empty when none ran and no row says that it is contaminated."""
        if not steps and not self._contaminated:
            return {}
        found = {name: dict(kinds) for name, kinds in sorted(self._contaminated.items())}
        return {"steps": steps, "benchmarks": found, "examples": self._spans}

    def _contamination_of(self, row: dict[str, Any]) -> None:
        benchmark = str(row["contaminated_by"]).partition("/")[0]
        kind = str(row.get("contaminated_kind") or "match")
        self._contaminated[benchmark][kind] += 1
        if sum(span["kind"] == kind for span in self._spans) < 4:
            span = str(row.get("contaminated_span") or "")[:300]
            self._spans.append({"id": row["id"], "item": str(row["contaminated_by"]), "kind": kind, "span": span})

    def diversity(self) -> dict[str, Any]:
        problems, codes = [text for text in self.problems if text], [text for text in self.codes if text]
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


def _patterns(codes: list[str]) -> dict[str, Any]:
    """The programs' patterns; nothing where no sandbox can be had."""
    codes = spaced([code for code in codes if code], PATTERN_PROGRAMS)
    if not codes:
        return {}
    from caco_recipes.program_patterns import program_patterns
    from caco_recipes.sandbox import IsolationError, Limits, Pool

    try:
        with Pool(workers=1, limits=Limits(cpu_seconds=10, slow_cpu_seconds=None)) as pool:
            return program_patterns(pool, codes)
    except (IsolationError, OSError):  # a machine without a sandbox still has a report
        return {}


def _map(problems: list[str], ids: list[str], embedder: str) -> dict[str, Any]:
    from caco_recipes.report_map import POINTS, problem_map

    rows = spaced([(text, row_id) for text, row_id in zip(problems, ids, strict=True) if text.strip()], POINTS)
    texts, chosen = [text for text, _ in rows], [row_id for _, row_id in rows]
    if embedder and texts:
        from caco_recipes.embeddings import Embedder

        return problem_map(texts, chosen, Embedder(embedder).embed(texts), f"embeddings of {embedder}")
    return problem_map(texts, chosen)


def _runtimes(steps: list[Step]) -> dict[str, Any]:
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
