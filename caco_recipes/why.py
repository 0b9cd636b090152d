"""`caco why ROW`: where a row comes from and what was done to it, from a run's folder, in one screen.

A row is found by its id or the beginning of it. The story is its receipts, oldest first, with the verdict that each
step gave to the row or the ancestor that it was then; after it the texts, the answers, and what became of it.
"""

import json
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from caco_recipes.funnel import Step, finished_parts, read_run
from caco_recipes.identity import receipts
from caco_recipes.run_folder import RunError

WIDTH = 110
TEXT_LINES = 8
# Facts of receipts that are hashes: their first digits are enough to recognise them.
HASHES = ("prompt_sha256", "request_key", "program_sha256", "output_sha256", "prefix_sha256", "draft_id", "content")


@dataclass(frozen=True)
class Found:
    """A row of a step, accepted or dropped there."""

    step: Step
    row: dict[str, Any]


def find(run: str | Path, row_id: str) -> list[Found]:
    """The row in every step that has it, in the run's order. Raises `RunError`: none, or several begin so."""
    steps = [step for step in read_run(run) if step.folder is not None and step.folder.accepted_files()]
    found = [item for step in steps for item in _in_step(step, [row_id], prefix=True)]
    ids = sorted({item.row["id"] for item in found})
    if not ids:
        raise RunError(f"{run}: no row's id begins with {row_id!r}; ids stand in the report's row browser")
    if len(ids) > 1:
        shown = ", ".join(ids[:6]) + (f" and {len(ids) - 6} more" if len(ids) > 6 else "")
        raise RunError(f"{run}: {len(ids)} rows begin with {row_id!r}: {shown}")
    return found


def _in_step(step: Step, ids: list[str], prefix: bool = False, column: str = "id") -> Iterator[Found]:
    for record in finished_parts(step.folder, step.fingerprint):
        for kind in ("", "rejected"):
            path = step.folder.part(record.index, kind)
            values = pq.read_table(path, columns=[column])[column].to_pylist()
            hits = [number for number, value in enumerate(values) if _matches(value, ids, prefix)]
            if hits:
                table = pq.read_table(path)
                yield from (Found(step, table.slice(number, 1).to_pylist()[0]) for number in hits)


def _matches(value: Any, ids: list[str], prefix: bool) -> bool:
    if isinstance(value, list):
        return any(item in ids for item in value)
    return any(value.startswith(wanted) for wanted in ids) if prefix else value in ids


def story(run: str | Path, row_id: str) -> str:
    """The text that `caco why` prints. Raises `RunError` when there is no such row."""
    found = find(run, row_id)
    last = found[-1]
    row = last.row
    steps = {step.name: step for step in read_run(run)}
    ancestors = _ancestors(list(steps.values()), row)
    verdict = row["verdict"] + (f" ({row['reason']})" if row["reason"] else "")
    lines = [f"{row['id']}: {verdict} at {last.step.name}", ""]
    facts = [("family", row.get("family_id")), ("parents", ", ".join(row.get("parent_ids") or []))]
    facts += [(name, row.get(name)) for name in ("source", "licence", "domain", "problem_origin", "unified_by")]
    lines += [f"  {name:<15} {value}" for name, value in facts if value]
    lines += ["", "receipts"]
    for number, receipt in enumerate(receipts(row.get("lineage") or ""), 1):
        lines += _receipt_lines(number, receipt, ancestors + found)
    for title, name in (("problem", "problem"), ("solution", "solution"), ("program", "code")):
        if row.get(name):
            lines += ["", title, *_clipped(row[name])]
    answers = [
        ("program printed", "output_text"),
        ("solution says", "predicted_answer"),
        ("seed says", "expected_answer"),
    ]
    said = [f"{title} {row[name]}" for title, name in answers if row.get(name)]
    if said:
        lines += ["", textwrap.shorten("answers: " + " · ".join(said), WIDTH)]
    lines += ["", *_descendants(list(steps.values()), row["id"])]
    return "\n".join(map(_visible, lines)).rstrip() + "\n"


def _ancestors(steps: list[Step], row: dict[str, Any]) -> list[Found]:
    """The rows that this one was before, by its parents' ids and the ids that its receipts name."""
    ids = list(row.get("parent_ids") or [])
    ids += [receipt["draft_id"] for receipt in receipts(row.get("lineage") or "") if receipt.get("draft_id")]
    if row.get("family_id"):
        ids.append(row["family_id"])
    ids = [wanted for wanted in dict.fromkeys(ids) if wanted != row["id"]]
    if not ids:
        return []
    return [item for step in steps if step.has_rows and step.folder for item in _in_step(step, ids)]


def _receipt_lines(number: int, receipt: dict[str, Any], rows: list[Found]) -> list[str]:
    stage = str(receipt.get("stage", "?"))
    at = [item for item in rows if item.step.stage == stage]
    # Several rows of a stage may be near (a family's other members): the one with this receipt is meant.
    at = [item for item in at if receipt in receipts(item.row.get("lineage") or "")] or at
    verdict = ""
    if at:
        row = at[-1].row
        verdict = f"  -> {row['verdict']}" + (f" {row['reason']}" if row["reason"] else "") + f" as {row['id']}"
    lines = [f"  {number}. {stage} (version {receipt.get('version', '?')}){verdict}"]
    facts = []
    for name, value in receipt.items():
        if name in ("stage", "version"):
            continue
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
        facts.append(f"{name} {text[:12] + '…' if name in HASHES and len(text) > 16 else text}")
    if facts:
        indent = " " * 5
        lines += textwrap.wrap(
            " · ".join(facts), WIDTH, initial_indent=indent, subsequent_indent=indent, break_on_hyphens=False
        )
    return lines


def _clipped(text: str) -> list[str]:
    lines = [piece for line in text.strip("\n").splitlines() for piece in (textwrap.wrap(line, WIDTH - 2) or [""])]
    rest = len(lines) - TEXT_LINES
    shown = lines[:TEXT_LINES] if rest > 1 else lines
    return [f"  {line}" for line in shown] + ([f"  … {rest} more lines"] if rest > 1 else [])


def _visible(text: str) -> str:
    """Control characters of a row must not reach the terminal: an escape sequence could rewrite the screen."""
    return "".join(letter if letter.isprintable() or letter == " " else "\N{REPLACEMENT CHARACTER}" for letter in text)


def _descendants(steps: list[Step], row_id: str) -> list[str]:
    counts: dict[tuple[str, str], int] = {}
    for step in steps:
        if not step.has_rows or step.folder is None:
            continue
        for item in _in_step(step, [row_id], column="parent_ids"):
            key = (step.name, item.row["reason"] or item.row["verdict"])
            counts[key] = counts.get(key, 0) + 1
    if not counts:
        return []
    return ["rows that descend from it", *(f"  {step:<20} {what} {rows}" for (step, what), rows in counts.items())]
