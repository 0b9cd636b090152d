"""`caco evaluate --from FILE`: grades responses that were made elsewhere.

In: JSON Lines with a problem, a response and a gold per row; the fields' names are given by option where they differ:
`--fields.response solution_text`. A row's benchmark (`--benchmark NAME` for all, or the field `benchmark` through
`--sources.MATH500 math500`) chooses its published rule; with `--data_dir` the benchmark's file adds types and tolerances, joined
by the problem's text. A `label` (another grader's true or false) is compared with both protocols.

Out, in the output folder: `items.jsonl` (every row with both judgements), `disagreements.jsonl`, `report.md`, `results.json`.
"""

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from caco_recipes.configs import option
from caco_recipes.evaluation import loading, metrics
from caco_recipes.evaluation.benchmarks import BENCHMARKS, benchmark_named
from caco_recipes.evaluation.item_log import write_lines, write_text
from caco_recipes.evaluation.loading import Problem
from caco_recipes.evaluation.protocols import (
    PAPER,
    PROTOCOL_VERSIONS,
    PROTOCOLS,
    STRICT,
    Judgement,
    Response,
    Tools,
    judge,
)
from caco_recipes.evaluation.results import package_versions, repository_commit
from caco_recipes.evaluation.tables import per_cent, table, with_interval
from caco_recipes.grading import GRADER_VERSION
from caco_recipes.identity import seed_id
from caco_recipes.json_lines import BAD_LINE, read_rows
from caco_recipes.recipe import RecipeError, apply_overrides, load_dataclass, load_yaml
from caco_recipes.verdicts import UNDECIDED

# Our names -> names that such files commonly use, tried in order where no option says otherwise.
USUAL_FIELDS = {
    "id": ("id", "idx", "unique_id", "task_id"),
    "problem": ("problem", "question", "query", "prompt"),
    "response": ("response", "solution_text", "completion", "generation", "output", "resp"),
    "gold": ("gold", "answer", "reference", "ref_ans", "target"),
    "label": ("label", "correct"),
    "benchmark": ("benchmark", "source", "dataset"),
    "model": ("model",),
    "finish_reason": ("finish_reason",),
}
REQUIRED = ("response", "gold")
PAPER_RULES = ("qwen", "dart", "olympiad", "theoremqa")
CHUNK = 512


@dataclass(kw_only=True)
class ImportConfig:
    """Options of `caco evaluate --from FILE`."""

    fields: dict[str, str] = option("Our field -> the file's.", default_factory=dict)
    benchmark: str = option("The benchmark of every row.", "")
    sources: dict[str, str] = option("Value of the benchmark field -> benchmark.", default_factory=dict)
    rule: str = option("Published rule for rows of no known benchmark.", "qwen")
    json_answer: dict[str, str] = option(
        "Value of the benchmark field -> key under which its responses, which are JSON, hold the answer.",
        default_factory=dict,
    )
    data_dir: str = option("A folder of benchmark files, for answer types and tolerances.", "")
    limit: int | None = option("Only the first N rows.")
    workers: int = option("Processes of the grader's slow tier.", 1)

    def __post_init__(self) -> None:
        for name in self.fields:
            if name not in USUAL_FIELDS:
                raise ValueError(f"fields: no field {name!r}; fields are {', '.join(USUAL_FIELDS)}")
        for name in [*self.sources.values(), *([self.benchmark] if self.benchmark else [])]:
            if benchmark_named(name).kind == "code":
                raise ValueError(f"{name}: code is graded where it is generated, not from a file")
        if self.rule not in PAPER_RULES:
            raise ValueError(f"rule: {self.rule!r} is not one of {', '.join(PAPER_RULES)}")


@dataclass(slots=True)
class ImportedRow:
    """A row of the file as it is graded, and what came out."""

    id: str
    group: tuple[str, str]  # benchmark or source, model
    problem: Problem
    response: Response
    label: bool | None
    judgements: dict[str, Judgement] = dataclasses.field(default_factory=dict)


def main_from(source: str, config_path: str | None, output: str | None, overrides: dict[str, Any]) -> int:
    """The command. Returns the exit code."""
    mapping = apply_overrides(load_yaml(config_path) if config_path else {}, overrides)
    config = load_dataclass(ImportConfig, mapping, config_path or "--from")
    folder = Path(output) if output else Path(source).with_suffix("")
    rows, bad = grade_file(Path(source), config)
    write_import(rows, bad, Path(source), config, folder)
    print(report(rows, bad))
    print(f"{folder / 'report.md'}, {folder / 'items.jsonl'}, {folder / 'disagreements.jsonl'}", file=sys.stderr)
    return 0


def grade_file(path: Path, config: ImportConfig) -> tuple[list[ImportedRow], int]:
    """Every row graded under both protocols, in order, and the number of rows that could not be used.

    Raises `RecipeError` if the first row lacks the response or the gold: then the options are wrong, not the row.
    """
    from caco_recipes.grading import Grader

    known = _known_problems(config)
    rows: list[ImportedRow] = []
    bad = 0
    for number, row in enumerate(read_rows(path), 1):
        if config.limit is not None and number > config.limit:
            break
        imported = _row(row, number, config, known, path)
        if imported is None:
            bad += 1
        else:
            rows.append(imported)
    with Grader(workers=config.workers) as grader:
        tools = Tools(grader=grader)
        for start in range(0, len(rows), CHUNK):
            part = rows[start : start + CHUNK]
            for imported, judgements in zip(part, judge([(r.problem, r.response) for r in part], tools)):
                imported.judgements = judgements
    return rows, bad


def _known_problems(config: ImportConfig) -> dict[tuple[str, str], Problem]:
    """(benchmark, hash of the problem) -> the benchmark's own item, for the benchmarks that are named."""
    if not config.data_dir:
        return {}
    if not Path(config.data_dir).is_dir():
        raise RecipeError(f"data_dir: {config.data_dir} is no folder")
    wanted = {config.benchmark} if config.benchmark else set(config.sources.values())
    known = {}
    for name in sorted(wanted):
        benchmark = BENCHMARKS[name]
        file = Path(config.data_dir) / benchmark.local_file
        if file.is_file():
            for problem in loading.load(benchmark, path=file).items:
                known[name, seed_id(problem.problem)] = problem
    return known


def _row(
    row: dict[str, Any], number: int, config: ImportConfig, known: dict[tuple[str, str], Problem], path: Path
) -> ImportedRow | None:
    if BAD_LINE in row:
        return None
    values = {ours: _field(row, ours, config) for ours in USUAL_FIELDS}
    missing = [ours for ours in REQUIRED if values[ours] is None]
    if missing:
        if number == 1:
            raise RecipeError(
                f"{path}, row 1: no field for the {missing[0]}; name it with --fields.{missing[0]} NAME "
                f"(there are: {', '.join(row)})"
            )
        return None
    source = str(values["benchmark"] or "")
    name = config.benchmark or config.sources.get(source, "")
    text = str(values["problem"] or "")
    gold = loading.gold_text(values["gold"])
    problem = known.get((name, seed_id(text)))
    if problem is None:
        benchmark = BENCHMARKS.get(name)
        problem = Problem(
            benchmark=name or source or path.stem,
            id=str(values["id"] if values["id"] is not None else number),
            problem=text,
            answer=gold,
            gold=values["gold"],
            kind=benchmark.kind if benchmark else "answer",
            paper_rule=benchmark.paper_rule if benchmark else config.rule,
        )
    elif problem.paper_rule != "theoremqa":  # there the benchmark's own gold keeps its type
        problem = dataclasses.replace(problem, answer=gold)
    response = str(values["response"])
    if source in config.json_answer:
        response = boxed_json_answer(response, config.json_answer[source])
    return ImportedRow(
        id=str(values["id"] if values["id"] is not None else number),
        group=(source or problem.benchmark, str(values["model"] or "")),
        problem=problem,
        response=Response(text=response, finish_reason=str(values["finish_reason"] or "stop")),
        label=None if values["label"] is None else bool(values["label"]),
    )


def _field(row: dict[str, Any], ours: str, config: ImportConfig) -> Any:
    if ours in config.fields:
        return row.get(config.fields[ours])
    return next((row[name] for name in USUAL_FIELDS[ours] if row.get(name) is not None), None)


def boxed_json_answer(response: str, key: str) -> str:
    """A response that ends in JSON, with the value under its last `key` boxed behind it, where every extraction looks.

    Models write LaTeX into JSON with and without doubled backslashes; both come out as LaTeX.
    """
    mark = response.rfind(json.dumps(key))
    colon = response.find(":", mark) if mark >= 0 else -1
    if colon < 0:
        return response
    rest = response[colon + 1 :].lstrip()
    if quoted := re.match(r'"((?:[^"\\\n]|\\.)*)"', rest):
        # Only escapes that can't be LaTeX: \\frac is no form feed, \\text no tabulator.
        value = re.sub(r'\\(["/\\])', r"\1", quoted.group(1))
    elif rest.startswith(("[", "{")):
        try:
            value = json.JSONDecoder().raw_decode(rest)[0]
        except ValueError:
            return response
    else:  # a number, or what a model takes for one: 869/27
        value = re.match(r"[^,}\n]*", rest).group().strip()
        if not value:
            return response
    text = ", ".join(map(str, value)) if isinstance(value, list) else loading.gold_text(value)
    return f"{response}\n\\boxed{{{text}}}"


def disagreements(rows: list[ImportedRow]) -> Iterator[tuple[ImportedRow, str]]:
    """Rows on which the label and a protocol, or the two protocols, differ, each with its class."""
    for row in rows:
        paper, strict = row.judgements[PAPER], row.judgements[STRICT]
        if row.label is not None and row.label != strict.right:
            said = strict.reason.partition(":")[0] if not strict.right else "accepted"
            yield row, f"label {_word(row.label)}, strict {said} ({strict.extraction}, {strict.rule})"
        elif row.label is not None and row.label != paper.right:
            yield row, f"label and strict {_word(row.label)}, caco-paper {_word(paper.right)}"
        elif row.label is None and paper.right != strict.right:
            yield (
                row,
                f"caco-paper {_word(paper.right)}, strict {_word(strict.right)} ({strict.extraction}, {strict.rule})",
            )


def _word(right: bool) -> str:
    return "right" if right else "wrong"


def report(rows: list[ImportedRow], bad: int) -> str:
    """`report.md`: numbers per group and the classes of disagreement."""
    groups: dict[tuple[str, str], list[ImportedRow]] = {}
    for row in rows:
        groups.setdefault(row.group, []).append(row)
    labelled = any(row.label is not None for row in rows)
    header = ["source", "model", "rows", "caco-paper", "strict", "undecided", "protocols differ"]
    header += ["label", "caco-paper = label", "strict = label"] if labelled else []
    cells = [_group_cells(*group, members, labelled) for group, members in groups.items()]
    if len(groups) > 1:
        cells.append(_group_cells("**all**", "", rows, labelled))
    parts = ["# Graded responses", "", f"{len(rows)} rows graded, {bad} rows could not be used.", ""]
    parts += [table(header, cells), ""]
    classes: dict[str, list[ImportedRow]] = {}
    for row, name in disagreements(rows):
        classes.setdefault(name, []).append(row)
    if classes:
        ordered = sorted(classes.items(), key=lambda pair: -len(pair[1]))
        lines = [[name, str(len(members)), _example(members[0])] for name, members in ordered]
        parts += ["## Classes of disagreement", "", table(["class", "rows", "first example: gold / taken"], lines), ""]
    return "\n".join(parts)


def _group_cells(source: str, model: str, rows: list[ImportedRow], labelled: bool) -> list[str]:
    right = {p: sum(row.judgements[p].right for row in rows) for p in PROTOCOLS}
    cells = [source, model, str(len(rows))]
    cells += [with_interval(metrics.wilson(right[p], len(rows))) for p in PROTOCOLS]
    cells.append(str(sum(row.judgements[STRICT].verdict == UNDECIDED for row in rows)))
    cells.append(str(sum(row.judgements[PAPER].right != row.judgements[STRICT].right for row in rows)))
    if labelled:
        known = [row for row in rows if row.label is not None]
        cells.append(per_cent(sum(row.label for row in known) / len(known)) if known else "–")
        for p in PROTOCOLS:
            same = sum(row.judgements[p].right == row.label for row in known)
            cells.append(per_cent(same / len(known)) if known else "–")
    return cells


def _example(row: ImportedRow) -> str:
    def short(text: str) -> str:
        text = " ".join(text.split()).replace("|", "\\|")
        return f"`{text[:40]}`" if text else "nothing"

    return f"{short(row.problem.answer)} / {short(row.judgements[STRICT].extracted or '')}"


def write_import(rows: list[ImportedRow], bad: int, source: Path, config: ImportConfig, folder: Path) -> None:
    """Writes everything that `main_from` promises."""
    write_lines(folder / "items.jsonl", (_logged(row) for row in rows))
    write_lines(folder / "disagreements.jsonl", (_logged(row) | {"class": name} for row, name in disagreements(rows)))
    content = {
        "source": source.name,
        "config": asdict(config),
        "rows": len(rows),
        "bad_rows": bad,
        "right": {p: sum(row.judgements[p].right for row in rows) for p in PROTOCOLS},
        "made_by": {
            "protocols": PROTOCOL_VERSIONS,
            "grader": GRADER_VERSION,
            "commit": repository_commit(),
            "packages": package_versions(),
        },
    }
    write_text(folder / "results.json", json.dumps(content, indent=2) + "\n")
    write_text(folder / "report.md", report(rows, bad))


def _logged(row: ImportedRow) -> dict[str, Any]:
    return {
        "id": row.id,
        "source": row.group[0],
        "model": row.group[1],
        "problem": row.problem.problem,
        "gold": row.problem.answer,
        "label": row.label,
        "response": row.response.text,
        "judgements": {p: asdict(j) for p, j in row.judgements.items()},
    }
