"""The published dataset's rows: which columns each config has and how they come out of a run's rows.

Five configs, each with one split `train` (the default one may have `test` beside it):

    default    accepted rows only; `instruction, output, answer, code` first, as in the released Caco-1.3M
    rejected   rows that any step rejected: step, reason, what the row was
    undecided  the same for rows that nobody could decide (infrastructure, answers beyond the grader)
    seeds      the seeds that the run started from
    families   family id, the published rows that share it, and the split that they are all in
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from caco_recipes.identity import receipts

DEFAULT = {
    "instruction": "string",  # the problem
    "output": "string",  # the solution
    "answer": "string",  # what executing `code` printed
    "code": "string",
    "id": "string",
    "parent_ids": "list[string]",
    "family_id": "string",
    "domain": "string",
    "domains": "list[string]",
    "source": "string",
    "licence": "string",
    "problem_origin": "string",
    "variant": "int64",
    "program_input": "string",
    "program_output": "string",
    "predicted_answer": "string",
    "answer_verdict": "string",
    "answer_rule": "string",
    "judge_verdict": "string",
    "judge_probability": "float64",
    "solvable": "string",
    "correct": "string",
    "solve_rate": "float64",
    "pass_rate": "float64",
    "attempts": "int64",
    "passes": "int64",
    "difficulty_model": "string",
    "cyclomatic": "int64",
    "codegen_model": "string",
    "problem_model": "string",
    "solution_model": "string",
    "judge_model": "string",
    "prompts": "list[string]",
    "sandbox": "string",
    "grader": "string",
    "lineage": "string",
}
DROPPED = {
    "step": "string",
    "stage": "string",
    "id": "string",
    "reason": "string",
    "problem": "string",
    "solution": "string",
    "code": "string",
    "output_text": "string",
    "expected_answer": "string",
    "predicted_answer": "string",
    "parent_ids": "list[string]",
    "family_id": "string",
    "domain": "string",
    "source": "string",
    "licence": "string",
    "lineage": "string",
}
SEEDS = {
    "id": "string",
    "problem": "string",
    "solution": "string",
    "answer": "string",
    "program": "string",
    "source": "string",
    "licence": "string",
    "domain": "string",
    "solve_rate": "float64",
    "tests": "string",
    "family_id": "string",
    "lineage": "string",
}
FAMILIES = {
    "family_id": "string",
    "split": "string",
    "rows": "int64",
    "row_ids": "list[string]",
    "variants": "string",
    "domains": "list[string]",
    "sources": "list[string]",
}
CONFIGS = {"default": DEFAULT, "rejected": DROPPED, "undecided": DROPPED, "seeds": SEEDS, "families": FAMILIES}
# What an accepted row must bring: the four columns of the released layout are made of these.
NEEDED = {"instruction": "problem", "output": "solution", "answer": "output_text", "code": "code"}
# Columns that carry the text of a source; they are withheld where its licence is not among those asked for.
TEXTS = ("problem", "solution", "code", "output_text", "expected_answer", "predicted_answer", "lineage")


def complete(row: dict[str, Any], config: str) -> dict[str, Any]:
    """`row` with exactly the columns of a config, in its order; what is missing is empty."""
    empty: dict[str, Callable[[], Any]] = {"string": str, "list[string]": list}
    return {
        name: row[name] if row.get(name) is not None else empty.get(kind, lambda: None)()
        for name, kind in CONFIGS[config].items()
    }


def default_row(row: dict[str, Any]) -> dict[str, Any]:
    """A verified row of the run as a row of the default config."""
    made = {name: (row.get(source) or "").strip() for name, source in NEEDED.items()}
    facts = facts_of(row.get("lineage") or "")
    renamed = {"program_input": row.get("input"), "program_output": row.get("output")}
    return complete(row | renamed | facts | made, "default")


def missing(row: dict[str, Any]) -> str:
    """The first of the four main columns that is empty in a row of the default config, or nothing."""
    return next((name for name in NEEDED if not row[name]), "")


def dropped_row(row: dict[str, Any], step: str, stage: str, config: str, withheld: bool = False) -> dict[str, Any]:
    """A rejected or undecided row of the run; its texts are left out when `withheld`."""
    if withheld:
        row = row | dict.fromkeys(TEXTS)
    return complete(row | {"step": step, "stage": stage}, config)


def family_rows(members: Iterable[tuple[str, str, str, str, str]]) -> list[dict[str, Any]]:
    """Families from (family id, row id, domain, source, variants) of the published rows, sorted by family id.

    `variants` is the JSON list of inputs and true outputs that the metamorphic step recorded; the first row that has one
    gives its family's.
    """
    families: dict[str, tuple[list[str], set[str], set[str]]] = {}
    variants: dict[str, str] = {}
    for family, row_id, domain, source, recorded in members:
        ids, domains, sources = families.setdefault(family, ([], set(), set()))
        if recorded:
            variants.setdefault(family, recorded)
        ids.append(row_id)
        domains.add(domain)
        sources.add(source)
    return [
        {
            "family_id": family,
            "rows": len(ids),
            "row_ids": ids,
            "variants": variants.get(family, ""),
            "domains": sorted(domains - {""}),
            "sources": sorted(sources - {""}),
        }
        for family, (ids, domains, sources) in sorted(families.items())
    ]


def facts_of(lineage: str) -> dict[str, Any]:
    """The facts of a row's receipts that have a column of their own: models, prompts, sandbox and grader versions."""
    facts: dict[str, Any] = {"prompts": []}
    model_column = {
        "sample": "codegen_model",
        "unify": "codegen_model",  # a seed's program was written by the unifying model
        "back_translate": "problem_model",
        "solve": "solution_model",
        "verify": "judge_model",
    }
    for receipt in receipts(lineage):
        stage = str(receipt.get("stage", ""))
        if stage in model_column and receipt.get("model"):
            facts[model_column[stage]] = _text(receipt["model"])
        for key in ("sandbox", "grader"):
            if receipt.get(key):
                facts[key] = _text(receipt[key])
        for name, digest in prompts_of(receipt):
            facts["prompts"].append(f"{name}:{digest}")
    return facts


def joined_families(row: dict[str, Any]) -> list[str]:
    """The families, besides its own, of the programs that a row was composed of."""
    steps = receipts(row.get("lineage") or "")
    return [
        str(step["second_family"]) for step in steps if step.get("stage") == "compose" and step.get("second_family")
    ]


def prompts_of(receipt: dict[str, Any]) -> list[tuple[str, str]]:
    """(prompt's name, sha256 of its text) of every prompt that a receipt names."""
    digest = receipt.get("prompt_sha256") or receipt.get("prompt")
    if not digest:
        return []
    if isinstance(digest, dict):
        return sorted((str(name), str(value)) for name, value in digest.items())
    return [(str(receipt.get("prompt_name") or receipt.get("stage", "")), str(digest))]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, ensure_ascii=False)
