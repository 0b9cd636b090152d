"""The `imported` stage: rows that somebody else's pipeline made, as rows of a run, with receipts that say what is unknown.

In, by their fields: the released Caco-1.3M (`instruction, output, answer, code`, four texts); what the reference's
execution writes (`problem, code, answer, input, output, execution_time, error`); and what its filter makes of that,
`NAME.jsonl` and `NAME_rejected.jsonl` (with `rejection_reason`). Out: `problem`, `solution`, `predicted_answer`, `code`,
`expected_answer`, `output_text` and `reported`: what the file says that nobody has checked here, as JSON. `layout` names
which of the three it was. `input` and `output` stay empty: the files hold printed or JSON-flattened values, not exact
ones; an execute step behind this one makes them.

Verdict: what the file says. A rejected row keeps the reference's reason in our words (`math_not_equal` is
`answer_mismatch`; `invalid_entry` is what its `error` says); a row on which its grader broke (`exception: …`) is undecided,
for that says nothing of the row. A row of no known layout is `bad_row:layout`.

    caco import cacov2_1.3M.jsonl --name released        writes the recipe: imported, execute, problems, verify, publish
"""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.dataset_rows import read_dataset
from caco_recipes.seeds import Source, content_version
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

VERSION = 2
RELEASED, EXECUTED, FILTERED = "released", "reference executed", "reference filtered"
FEATURES = {
    "source": "string",
    "licence": "string",
    "domain": "string",
    "problem": "string",
    "problem_origin": "string",
    "solution": "string",
    "predicted_answer": "string",
    "code": "string",
    "expected_answer": "string",
    "input": "string",
    "output": "string",
    "output_text": "string",
    "reported": "string",
    "layout": "string",
}
ROW = FEATURES | {"lineage": "string", "verdict": "string", "reason": "string"}
# What a receipt of ours would tell and these files don't.
UNKNOWN = ("seed", "codegen_model", "problem_model", "solution_model", "judge_model", "prompts", "sampling")
UNKNOWN += ("sandbox", "limits", "grader")
LONGEST_REPORT = 4000  # characters of what a file says of a row
UNUSED = re.compile(r"Unused input parameters: ([^,\n]+)")
EXCEPTION = re.compile(r"^([A-Za-z_][\w.]*)(?::|$)")


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of an imported step."""

    files: list[str] = option(
        "JSON Lines or Parquet files, dataset folders or Hub names, in order.", default_factory=list
    )
    source: str = option("What the rows' source column says; by default the file's name.", "")
    licence: str = option("The licence of the rows; the files don't say.", "")
    domain: str = option("The domain of the rows.", "")

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.files:
            raise ValueError("files: name at least one file")


def facts(config: Config, context: Any) -> dict[str, Any]:
    """What the files hold: their hashes, or the commits of Hub datasets."""
    return {"files": [_version(name) for name in config.files]}


def rows(config: Config, context: Any) -> Iterator[dict[str, Any]]:
    """The files' rows, in order. Raises `RecipeError` for a file that can't be read."""
    for name in config.files:
        version, number = _version(name), 0
        for number, raw in enumerate(read_dataset(name, "train"), start=1):
            yield imported_row(raw, config, name, version, number)


def _version(name: str) -> str:
    path = Path(name)
    if path.is_dir():
        files = sorted(item for item in path.rglob("*") if item.suffix in (".parquet", ".jsonl"))
        return identity.fingerprint(*(content_version(Source(path=str(item))) for item in files))[:32]
    known_file = path.exists() or path.suffix in (".jsonl", ".json", ".parquet")
    return content_version(Source(path=name) if known_file else Source(hub=name))


def imported_row(raw: dict[str, Any], config: Config, name: str, version: str, number: int) -> dict[str, Any]:
    """One row of a file as a row of ours (columns of `ROW`)."""
    layout = layout_of(raw)
    row = dict.fromkeys(FEATURES, "") | {
        "source": config.source or (Path(name).name if Path(name).suffix else name),
        "licence": config.licence,
        "domain": config.domain,
        "layout": layout or "unknown",
    }
    verdict, reason = ACCEPTED, ""
    if layout == RELEASED:
        row |= {"problem": raw["instruction"], "solution": raw["output"], "code": raw["code"]}
        row |= {"output_text": raw["answer"], "expected_answer": raw["answer"], "problem_origin": "imported"}
        row["predicted_answer"] = _final_answer(raw["output"])
        if not raw["code"].strip():
            verdict, reason = REJECTED, "bad_row:program"
    elif layout:
        row |= {"problem": _text(raw.get("problem")), "code": _text(raw.get("code"))}
        row |= {"expected_answer": _text(raw.get("answer")), "output_text": _printed(raw.get("output"))}
        row["problem_origin"] = "original" if row["problem"].strip() else ""
        told = {
            key: raw[key] for key in ("input", "output", "error", "execution_time", "rejection_reason") if key in raw
        }
        row["reported"] = json.dumps(told, sort_keys=True, ensure_ascii=False, default=str)[:LONGEST_REPORT]
        verdict, reason = verdict_of(raw)
    else:
        verdict, reason = REJECTED, "bad_row:layout"
        row["reported"] = json.dumps(raw, sort_keys=True, ensure_ascii=False, default=str)[:LONGEST_REPORT]
    row["lineage"] = identity.add_receipt(
        "",
        stage="imported",
        version=VERSION,
        file=Path(name).name if Path(name).suffix else name,
        content=version,
        row=number,
        layout=row["layout"],
        unknown=list(UNKNOWN) + ([] if row["licence"] else ["licence"]),
    )
    return row | {"verdict": verdict, "reason": reason}


def layout_of(raw: dict[str, Any]) -> str:
    """Which of the known layouts a row has; nothing for another one."""
    if all(isinstance(raw.get(key), str) for key in ("instruction", "output", "answer", "code")):
        return RELEASED
    if not isinstance(raw.get("code"), str):
        return ""
    if "rejection_reason" in raw:
        return FILTERED
    return EXECUTED if "error" in raw and "output" in raw else ""


def verdict_of(raw: dict[str, Any]) -> tuple[str, str]:
    """The reference's verdict on a row that it executed, in our words."""
    said = str(raw.get("rejection_reason") or "")
    if said == "math_not_equal":
        return REJECTED, "answer_mismatch"
    if said.startswith("exception"):
        return UNDECIDED, f"infrastructure:reference grader {said.partition(':')[2].strip() or 'failed'}"[:120]
    error = raw.get("error")
    if error:
        return REJECTED, reason_of(str(error))
    if raw.get("output") in ("", None):
        return REJECTED, "no_output"
    if raw.get("input") in ("", None):
        return REJECTED, "no_input"
    return (REJECTED, "bad_row:rejected by the reference") if said else (ACCEPTED, "")


def reason_of(error: str) -> str:
    """Our reason for the reference's error text: its own messages, or a traceback's last line."""
    if error.startswith("Code is too short"):
        return "too_short"
    if error.startswith("Timeout"):
        return "timeout:wall"
    if found := UNUSED.search(error):
        return f"unused_input:{found[1].strip()[:80]}"
    if "is too large" in error and "Traceback" not in error:
        return "too_large"
    last = next((line for line in reversed(error.strip().splitlines()) if EXCEPTION.match(line)), "")
    kind = EXCEPTION.match(last)[1].rpartition(".")[2] if last else "Error"
    return "syntax_error" if kind in ("SyntaxError", "IndentationError", "TabError") else f"exception:{kind[:60]}"


def run(batch: dict[str, list], config: Config, resources: Any) -> dict[str, list]:
    """Gives every row its id: that of its program and problem (a program may have several problems, in rows of their own)."""
    ids = [
        # A row without a program goes by where it stood.
        identity.short_id(f"{identity.draft_id(code)}\n{identity.fold_whitespace(problem)}")
        if code.strip()
        else identity.short_id(lineage)
        for code, problem, lineage in zip(batch["code"], batch["problem"], batch["lineage"], strict=True)
    ]
    return {"id": ids, "parent_ids": [[] for _ in ids], "family_id": [""] * len(ids)} | {
        name: batch[name] for name in ("verdict", "reason")
    }


def _final_answer(solution: str) -> str:
    from caco_recipes.grading import extract

    return extract(solution).answer or ""


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "" if value is None else _printed(value)


def _printed(value: Any) -> str:
    """A JSON value as Python prints it (`True`, `[1, 2]`): the reference kept no printed text."""
    return "" if value is None else str(value)


def peek(name: str, rows_to_see: int = 20) -> dict[str, int]:
    """Layout -> rows among the first of a file; `unknown` for those of none. Raises `RecipeError`."""
    counts: dict[str, int] = {}
    for raw in islice(read_dataset(name, "train"), rows_to_see):
        layout = layout_of(raw) or "unknown"
        counts[layout] = counts.get(layout, 0) + 1
    return counts
