"""The audit: false accepts and false rejects by family of answer on a labelled file, as a Markdown table."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from caco_recipes.grading.grade import GRADER_VERSION
from caco_recipes.grading.slow import Grader
from caco_recipes.verdicts import UNDECIDED

EXAMPLES = 20


@dataclass(frozen=True, slots=True)
class Pair:
    """One labelled pair: `equal` says whether `pred` is the answer `gold`."""

    gold: str
    pred: str
    equal: bool
    family: str = "other"
    policy: str = "core"
    kind: str = "answer"


@dataclass
class Family:
    pairs: int = 0
    right: int = 0
    false_accepts: int = 0
    false_rejects: int = 0
    undecided: int = 0


@dataclass
class Audit:
    """Counts by family; `errors` holds (pair, verdict) of the wrong ones, `rules` how many pairs each rule decided."""

    families: dict[str, Family] = field(default_factory=dict)
    errors: list = field(default_factory=list)
    rules: Counter = field(default_factory=Counter)

    @property
    def total(self) -> Family:
        return Family(*(sum(getattr(f, name) for f in self.families.values()) for name in Family.__dataclass_fields__))


def load_pairs(path: str | Path) -> list[Pair]:
    """Labelled pairs from JSON lines with `gold`, `pred`, `equal` and optionally `family`, `policy`, `kind`, `source`.

    Raises:
        ValueError: a line that isn't such a pair, with its number.
    """
    pairs = []
    with open(path, encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if (
                    not isinstance(row["gold"], str)
                    or not isinstance(row["pred"], str)
                    or not isinstance(row["equal"], bool)
                ):
                    raise TypeError("gold and pred must be text, equal true or false")
                family = row.get("family") or row.get("source", "other").partition("/")[0]
                pairs.append(
                    Pair(
                        row["gold"],
                        row["pred"],
                        row["equal"],
                        family,
                        row.get("policy", "core"),
                        row.get("kind") or "answer",
                    )
                )
            except (ValueError, KeyError, TypeError) as fault:
                raise ValueError(f"{path}, line {number}: not a labelled pair ({fault})") from None
    return pairs


def run(pairs: Iterable[Pair], *, policy: str = "exact", workers: int = 1, timeout: float = 3.0) -> Audit:
    """Grades labelled pairs under a policy, slow tier included. Undecided counts as not accepted."""
    pairs = list(pairs)
    with Grader(workers=workers, timeout=timeout) as grader:
        verdicts = grader.grade_many(((pair.gold, pair.pred, pair.kind) for pair in pairs), policy=policy)
    audit = Audit()
    families: dict[str, Family] = defaultdict(Family)
    for pair, verdict in zip(pairs, verdicts, strict=True):
        row = families[pair.family]
        row.pairs += 1
        row.undecided += verdict.verdict == UNDECIDED
        audit.rules[verdict.rule] += 1
        if verdict.accepted == pair.equal:
            row.right += 1
            continue
        row.false_accepts += verdict.accepted
        row.false_rejects += not verdict.accepted
        audit.errors.append((pair, verdict))
    audit.families = dict(sorted(families.items()))
    return audit


def markdown(audit: Audit) -> str:
    """The table of an audit: a row per family, the total, and the pairs that went wrong."""
    lines = [
        f"Grader version {GRADER_VERSION}. Undecided counts as not accepted.",
        "",
        "| family | pairs | right | false accepts | false rejects | undecided |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, row in [*audit.families.items(), ("**all**", audit.total)]:
        share = f"{100 * row.right / row.pairs:.1f} %" if row.pairs else "–"
        lines.append(
            f"| {_cell(name)} | {row.pairs} | {share} | {row.false_accepts} | {row.false_rejects} | {row.undecided} |"
        )
    rules = ", ".join(f"{rule} {count}" for rule, count in audit.rules.most_common())
    lines += ["", f"Decided by: {rules}."]
    if audit.errors:
        lines += ["", "| verdict | rule | gold | prediction | family |", "|---|---|---|---|---|"]
        for pair, verdict in audit.errors[:EXAMPLES]:
            lines.append(
                f"| {verdict.verdict} | {verdict.rule} | {_code(pair.gold)} | {_code(pair.pred)} | {_cell(pair.family)} |"
            )
        if len(audit.errors) > EXAMPLES:
            lines.append(f"\n… and {len(audit.errors) - EXAMPLES} more.")
    return "\n".join(lines) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    return "`" + _cell(text[:80] + ("…" if len(text) > 80 else "")).replace("`", "'") + "`"


def audit_file(path: str | Path, *, policy: str = "exact", labelled: str = "core", workers: int = 1) -> str:
    """The Markdown table of a labelled file (`caco grade --audit`).

    Args:
        path: JSON lines of labelled pairs (`load_pairs`).
        policy: how the pairs are graded.
        labelled: take only the pairs whose truth was labelled under this policy ("" takes all).
        workers: processes of the slow tier.

    Raises:
        ValueError: a bad line, or no pairs of that label.
    """
    pairs = [pair for pair in load_pairs(path) if not labelled or pair.policy == labelled]
    if not pairs:
        raise ValueError(f"{path}: no pairs labelled under {labelled!r}; an empty label takes them all")
    return markdown(run(pairs, policy=policy, workers=workers))
