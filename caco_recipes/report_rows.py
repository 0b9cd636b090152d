"""The rows of the report's browser: which ones are shown, and what of each.

All rows where they are few; else an even sample of every (step, verdict, reason) group, rare reasons whole.
"""

from collections import Counter, defaultdict
from typing import Any

from caco_recipes.funnel import Step
from caco_recipes.identity import receipts
from caco_recipes.verdicts import ACCEPTED, UNDECIDED

TEXT_LIMIT = 6000  # characters of one text in the row browser; longer ones are cut, and say so
TEXTS = ("problem", "solution", "code", "output_text", "stdout", "expected_answer", "predicted_answer")
FACTS = ("source", "licence", "domain", "problem_origin", "status", "answer_rule", "judge_verdict", "unified_by")
FACTS += ("pass_rate", "attempts", "difficulty_model", "solve_rate", "variant", "contaminated_by", "contaminated_kind")
FACTS += ("contaminated_span", "layout")


class Browser:
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
        self._groups[group].append(browser_row(row, step))

    def rows(self) -> list[dict[str, Any]]:
        chosen = [row for group in self._groups.values() for row in group]
        order = {ACCEPTED: 0, UNDECIDED: 2}
        chosen.sort(key=lambda row: order.get(row["verdict"], 1))  # stable: the run's order within a verdict
        return chosen[: max(self._limit, len(self._groups) * 5)]


def browser_row(row: dict[str, Any], step: Step) -> dict[str, Any]:
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
        if row.get(name) not in (None, ""):
            made[name] = str(row[name])[:400]
    if row.get("parent_ids"):
        made["parents"] = row["parent_ids"]
    if row.get("family_id") and row["family_id"] != row["id"]:
        made["family"] = row["family_id"]
    made["receipts"] = receipts(row.get("lineage") or "")
    return made
