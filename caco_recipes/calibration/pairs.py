"""Labelled pairs: what a judge is shown, and whether Yes is the right answer.

In: the accepted rows of a run's verify steps, or a JSON Lines file with `problem`, `solution`, `code`. A row with a
`label` (true, false) is a pair as it stands, with its `kind` if it has one; a row without is taken for right, and near
misses are made of it. Programs run in the sandbox: their inputs and outputs are what tells that a near miss is wrong.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caco_recipes import identity
from caco_recipes.funnel import read_run
from caco_recipes.json_lines import BAD_LINE, read_rows
from caco_recipes.recipe import RecipeError, nearest
from caco_recipes.sandbox import Pool
from caco_recipes.verify import SHOWN

RIGHT = "right"
LABELLED = "labelled wrong"  # the kind of a wrong row that doesn't say


@dataclass(frozen=True)
class Row:
    """A right row, executed.

    Attributes:
        id: the row's id.
        problem, solution, code: the texts.
        input, output: tagged JSON of the executed program.
    """

    id: str
    problem: str
    solution: str
    code: str
    input: str
    output: str


@dataclass(frozen=True)
class Pair:
    """One labelled pair.

    Attributes:
        id: `ROW:KIND`.
        row_id: the row that it stands for or was made from.
        kind: `right`, a kind of near miss, or what a labelled file says.
        right: whether Yes is the right answer.
        judges: the judges that can be asked about it.
        problem, solution, code: what they are shown.
        change: what was changed, in a few words.
    """

    id: str
    row_id: str
    kind: str
    right: bool
    judges: tuple[str, ...]
    problem: str
    solution: str
    code: str
    change: str = ""


@dataclass
class Source:
    """What was read: rows to make pairs of, pairs that came labelled, and rows that could not be used, by reason."""

    rows: list[Row]
    labelled: list[Pair]
    unusable: dict[str, int]


def read_source(source: Path, steps: list[str], limit: int, seed: int, pool: Pool) -> Source:
    """Rows of a run folder or a JSON Lines file: `limit` of them, drawn by seed and id. Raises `RecipeError`."""
    unusable: dict[str, int] = {}
    labelled: list[Pair] = []
    plain: list[dict[str, Any]] = []
    raw = _run_rows(source, steps) if source.is_dir() else read_rows(source)
    for number, row in enumerate(raw, start=1):
        if BAD_LINE in row:
            _count(unusable, "not a JSON object")
            continue
        fault = _fault(row)
        if fault:
            _count(unusable, fault)
            continue
        texts = {name: row.get(name) or "" for name in ("problem", "solution", "code")}
        # Rows of several runs may share an id with different texts; what a pair is called follows its texts.
        row_id = str(row.get("id") or identity.short_id("\n".join(texts.values())))
        if "label" in row:
            labelled.append(_labelled(row, row_id, texts, f"{source.name}, row {number}"))
        else:
            plain.append(texts | {"id": row_id})
            if len(plain) > 20 * limit:  # a run of a million rows is read, not held
                plain = _draw(plain, limit, seed)
    if not plain and not labelled:
        raise RecipeError(f"{source}: no row with problem, solution and code ({unusable or 'nothing there'})")
    plain = _draw(plain, limit, seed)
    labelled = sorted(labelled, key=lambda pair: _order(seed, pair.id))[: max(0, limit - len(plain))]
    rows = []
    for row, result in zip(plain, pool.run([row["code"] for row in plain]), strict=True):
        if result.ok and result.output:
            rows.append(Row(**row, input=result.input or "", output=result.output))
        else:
            _count(unusable, f"the program does not run ({result.reason or 'no output'})")
    return Source(rows, labelled, unusable)


def right_pairs(rows: list[Row]) -> list[Pair]:
    """Every row as it is, for every judge."""
    return [Pair(f"{r.id}:{RIGHT}", r.id, RIGHT, True, tuple(SHOWN), r.problem, r.solution, r.code) for r in rows]


def _run_rows(run: Path, steps: list[str]):
    found = {step.name: step for step in read_run(run)}
    names = steps or [name for name, step in found.items() if step.stage == "verify"]
    if not names:
        raise RecipeError(f"{run}: the run has no verify step; name a step with problems and solutions with --step")
    for name in names:
        if name not in found:
            raise RecipeError(f"--step: {run} has no step {name!r}; {nearest(name, found)}")
        yield from found[name].folder.read()


def _draw(rows: list[dict[str, Any]], limit: int, seed: int) -> list[dict[str, Any]]:
    unique = {row["id"]: row for row in rows}
    return sorted(unique.values(), key=lambda row: _order(seed, row["id"]))[:limit]


def _order(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{text}".encode("utf-8", "surrogatepass")).digest()


def _fault(row: dict[str, Any]) -> str:
    needed = ("problem",) if "label" in row else ("problem", "solution", "code")
    for name in ("problem", "solution", "code"):
        value = row.get(name)
        if value is not None and not isinstance(value, str):
            return f"{name} is not text"
        if name in needed and not (value or "").strip():
            return f"no {name}"
    return ""


def _labelled(row: dict[str, Any], row_id: str, texts: dict[str, str], where: str) -> Pair:
    label = row["label"]
    if not isinstance(label, bool):
        raise RecipeError(f"{where}: label is {label!r}; write true (Yes is right) or false")
    asked = row.get("judges") or [judge for judge, shown in SHOWN.items() if all(texts[name] for name in shown)]
    if unknown := [judge for judge in asked if judge not in SHOWN]:
        raise RecipeError(f"{where}: no judge {unknown[0]!r}; {nearest(str(unknown[0]), SHOWN)}")
    kind = RIGHT if label else str(row.get("kind") or LABELLED)
    digest = identity.short_id("\n".join(texts.values()))
    return Pair(f"{row_id}:{kind}:{digest}", row_id, kind, label, tuple(asked), **texts)


def _count(counts: dict[str, int], what: str) -> None:
    counts[what] = counts.get(what, 0) + 1
