"""`caco report RUN`: one self-contained HTML page and the same figures as Markdown, from a run's folder.

In: the run's parts, manifests and events (`report_data` says what is computed). Out: `runs/NAME/report.html`, which
loads nothing from anywhere, and `runs/NAME/report.md`. Rows are untrusted text: in the page they are JSON that the
script shows through `textContent` only, under a policy that lets no other script run; in Markdown they stand in code
fences longer than any fence they contain.
"""

import base64
import hashlib
import html
import json
import re
from dataclasses import asdict
from pathlib import Path
from string import Template
from typing import Any

from caco_recipes import __version__
from caco_recipes.funnel import markdown_cell, markdown_table, read_run, recorded_steps
from caco_recipes.report_data import BROWSER_ROWS, Report, gather
from caco_recipes.run_folder import write_atomic

CARDS = Path(__file__).parent / "cards"
EXAMPLE_CHARACTERS = 1200


def write_report(run_dir: str | Path, browser_rows: int = BROWSER_ROWS, embedder: str = "") -> tuple[Path, Path]:
    """Writes `report.html` and `report.md` into a run's folder and returns their paths.

    Args:
        run_dir: the run's folder, finished or not.
        browser_rows: rows of the page's row browser; beyond them an even sample is shown.
        embedder: an embedding model (Hub name or folder) for the map of problems; without it the map goes by words.

    Raises:
        RunError: `run_dir` is no run folder.
    """
    run_dir = Path(run_dir)
    report = gather(run_dir, browser_rows, embedder)
    page, text = run_dir / "report.html", run_dir / "report.md"
    write_atomic(page, html_page(report))
    write_atomic(text, markdown(report, run_dir))
    return page, text


def html_page(report: Report) -> str:
    """The page as text."""
    script = (CARDS / "report.js").read_text(encoding="utf-8")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    return Template((CARDS / "report.html").read_text(encoding="utf-8")).substitute(
        title=html.escape(f"{report.name}: report"),
        style=(CARDS / "report.css").read_text(encoding="utf-8"),
        script=script,
        script_hash=digest,
        data=script_json(asdict(report)),
        version=html.escape(__version__),
    )


def script_json(value: Any) -> str:
    """JSON that can stand inside a script element whatever texts it holds: `<`, `>` and `&` are written as escapes."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def markdown(report: Report, run_dir: Path) -> str:
    """The report as Markdown."""
    steps = [step for step in read_run(run_dir) if step.stage != "report"]
    totals = report.totals
    lines = [f"# Report of {report.name}", ""]
    state = "complete" if totals["complete"] else "unfinished"
    lines += [
        f"{totals['rows_in']:,} rows in, **{totals['accepted']:,} accepted**, {totals['rejected']:,} rejected, "
        f"{totals['undecided']:,} undecided; {totals['tokens']:,} tokens; the run is {state}.",
        "",
        "## Funnel",
        "",
        markdown_table(steps, recorded_steps(steps)),
        "## Why rows were dropped",
        "",
        *_table(["reason", "rows", "steps"], _reason_rows(report)),
        "## Shape of the data",
        "",
        *_table(["measure", "rows", "median", "90 %", "99 %", "largest"], _quantile_rows(report)),
    ]
    if report.diversity:
        facts = [[name, _number(value)] for name, value in report.diversity.items()]
        lines += ["### Diversity of accepted rows", "", *_table(["measure", "value"], facts)]
    if report.patterns:
        programs = report.patterns["programs"]
        facts = [
            [name, f"{n:,}", f"{100 * n / programs:.1f} %"] for name, n in report.patterns["patterns"].items() if n
        ]
        facts.append(["distinct syntax trees", f"{report.patterns['skeletons']:,}", ""])
        lines += ["### What accepted programs are made of", "", *_table(["pattern", "programs", "share"], facts)]
    if report.map:
        facts = [[", ".join(made["words"]) or "–", f"{made['rows']:,}"] for made in report.map["clusters"]]
        lines += [f"### Clusters of accepted problems ({report.map['method']})", "", *_table(["words", "rows"], facts)]
    if report.contamination:
        facts = [
            [name, kind, f"{rows:,}"]
            for name, kinds in report.contamination["benchmarks"].items()
            for kind, rows in kinds.items()
        ]
        by = ", ".join(report.contamination["steps"]) or "an earlier pipeline"
        lines += ["## Contamination", "", f"Checked by {markdown_cell(by)}.", ""]
        lines += _table(["benchmark", "match", "rows"], facts)
    if report.imports.get("programs"):
        modules = [["none", report.imports["none"]], *report.imports["modules"].items()]
        facts = [[name, f"{count:,}"] for name, count in modules if count]
        lines += ["### Imports of accepted programs", "", *_table(["module", "programs"], facts)]
    if report.sources:
        facts = [
            [source or "generated program", lic or "–", dom or "–", f"{n:,}"] for source, lic, dom, n in report.sources
        ]
        lines += ["### Sources of accepted rows", "", *_table(["source", "licence", "domain", "rows"], facts)]
    for step, text in report.evaluations.items():
        lines += [f"## Models ({markdown_cell(step)})", "", text.strip(), ""]
    lines += ["## One example of each", ""]
    for row in _examples(report):
        lines += [f"### {markdown_cell(row['reason'] or row['verdict'])} (at {markdown_cell(row['step'])})", ""]
        for title, name, language in (
            ("Problem", "problem", "text"),
            ("Program", "code", "python"),
            ("Program printed", "output_text", "text"),
            ("Solution", "solution", "text"),
            ("Solution's answer", "predicted_answer", "text"),
        ):
            if row.get(name):
                lines += [f"{title}:", "", *_fenced(row[name], language), ""]
    return "\n".join(lines).rstrip() + "\n"


def _reason_rows(report: Report) -> list[list[str]]:
    rows = [(sum(steps.values()), reason, steps) for reason, steps in report.reasons.items()]
    return [
        [reason, f"{total:,}", ", ".join(steps)] for total, reason, steps in sorted(rows, key=lambda r: (-r[0], r[1]))
    ]


def _quantile_rows(report: Report) -> list[list[str]]:
    rows = []
    for name, made in (report.lengths | report.difficulty).items():
        for kind in ("kept", "dropped"):
            if made.get(kind, {}).get("n"):
                rows.append([f"{name} ({kind})", *_quantiles(made[kind])])
    if report.distance:
        rows.append(["nearest seed, cosine", *_quantiles(report.distance)])
    if report.runtimes:
        rows.append(["CPU seconds of an execution", *_quantiles(report.runtimes)])
    return rows


def _quantiles(made: dict[str, Any]) -> list[str]:
    return [f"{made['n']:,}", *(_number(made[key]) for key in ("p50", "p90", "p99", "max"))]


def _number(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:,.4g}"


def _table(head: list[str], rows: list[list[Any]]) -> list[str]:
    if not rows:
        return ["None.", ""]
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    return [*lines, *("| " + " | ".join(markdown_cell(str(cell)) for cell in row) + " |" for row in rows), ""]


def _examples(report: Report) -> list[dict[str, Any]]:
    chosen: dict[str, dict[str, Any]] = {}
    for row in sorted(report.rows, key=lambda row: row["verdict"] != "accepted"):
        chosen.setdefault(row["reason"].partition(":")[0] or row["verdict"], row)
    return list(chosen.values())


def _fenced(text: str, language: str) -> list[str]:
    text = text if len(text) <= EXAMPLE_CHARACTERS else text[:EXAMPLE_CHARACTERS] + " …"
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return [fence + language, text, fence]
