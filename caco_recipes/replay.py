"""Replay: a row's program is executed again and its answers are graded again. Does everything still hold?

In: rows of a published dataset, of a run's last steps, or of the released Caco-1.3M (`instruction, output, answer,
code`). Out: per row a verdict. Accepted: the program runs, gives the recorded output, and that output agrees with the
solution's final answer. Rejected, with the reason:

    the execution's own reason    it does not run any more, or never did
    nondeterministic              its output is not the recorded one (`program_output`; else the printed `answer`)
    no_answer, answer_mismatch    the solution states no final answer, or another one

Undecided: the sandbox failed, or the grader can't compare. That is never counted against a row.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import tee
from typing import Any

from caco_recipes.identity import receipts
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

LIMITS = {"cpu_seconds": 1.0, "slow_cpu_seconds": 10.0, "memory_mb": 512}  # of rows whose receipts name none


@dataclass(frozen=True)
class Row:
    """What a replay needs of a row, whatever its layout.

    Attributes:
        id: the row's id; its number where the layout has no ids.
        code: the program.
        output: the recorded typed output (tagged JSON), empty where the layout has none.
        printed: the recorded printed output.
        answer: the solution's final answer as it was recorded, empty where the layout has none.
        solution: the solution's text.
        limits: the limits that it was executed under.
        policy: how the grader compared its answers (`rounding` or `exact`).
    """

    id: str
    code: str
    output: str
    printed: str
    answer: str
    solution: str
    limits: dict[str, Any] = field(default_factory=dict)
    policy: str = "rounding"


@dataclass(frozen=True)
class Replay:
    """One row's replay: the verdict, and what was recorded and what came out now where they differ."""

    row: Row
    verdict: str
    reason: str
    rule: str = ""
    recorded: str = ""
    now: str = ""
    status: str = ""


def row_of(source: dict[str, Any], number: int = 0, need_solution: bool = True) -> Row:
    """A row of any of the layouts. Raises `ValueError` when it holds no program, or none of the solution it needs.

    With `need_solution=False`, a row that was not solved yet is replayed as far as it got: its execution.
    """
    published = "instruction" in source
    solution = source.get("output") if published else source.get("solution")
    code = source.get("code")
    if not isinstance(code, str) or not code.strip():
        raise ValueError("it has no code")
    if need_solution and not isinstance(solution, str):
        raise ValueError("it has no solution (output)")
    limits: dict[str, Any] = {}
    policy = "rounding"
    for receipt in receipts(source.get("lineage") or ""):
        limits = receipt.get("limits") or limits
        policy = receipt.get("policy") or policy
    return Row(
        id=str(source.get("id") or number),
        code=code,
        output=str((source.get("program_output") if published else source.get("output")) or ""),
        printed=str((source.get("answer") if published else source.get("output_text")) or ""),
        answer=str(source.get("predicted_answer") or ""),
        solution=solution or "",
        limits={name: limits[name] for name in LIMITS if name in limits} or dict(LIMITS),
        policy=policy,
    )


def replay(rows: Iterable[Row], pool: Any, grader: Any) -> Iterator[Replay]:
    """Replays rows in order: `pool` is an open `sandbox.Pool`, `grader` an open `grading.Grader`."""
    first, second = tee(rows)
    for row, result in zip(first, pool.run(row.code for row in second), strict=True):
        yield judge(row, result, grader)


def judge(row: Row, result: Any, grader: Any, executed_only: bool = False) -> Replay:
    """What a new execution (`sandbox.Result`) says of a row; `executed_only`: nothing was graded of it yet."""
    from caco_recipes.grading import extract

    if result.verdict != ACCEPTED:
        return Replay(row, result.verdict, result.reason, now=result.exception_message, status=result.status)
    if row.output:
        if result.output != row.output:
            return Replay(row, REJECTED, "nondeterministic", "typed", row.output, result.output or "", result.status)
    elif row.printed.strip() != result.output_text.strip():
        # The released rows hold printed text; what prints in another way (1/2, 0.5) may still be the same value.
        same = grader.grade(row.printed, result.output_text, kind="program")
        if same.verdict != ACCEPTED:
            reason = "nondeterministic" if same.verdict == REJECTED else same.reason
            return Replay(row, same.verdict, reason, same.rule, row.printed, result.output_text, result.status)
    if executed_only:
        return Replay(row, ACCEPTED, "", "", row.printed, result.output_text, result.status)
    answer = row.answer or extract(row.solution).answer or ""
    if not answer:
        return Replay(row, REJECTED, "no_answer", "", result.output_text, "", result.status)
    if not result.output:
        return Replay(row, REJECTED, "no_output", "", "", answer, result.status)
    agreed = grader.grade_output(result.output, answer, policy=row.policy)
    return Replay(row, agreed.verdict, agreed.reason, agreed.rule, result.output_text, answer, result.status)


@dataclass
class Audit:
    """Counts of a dataset's replay."""

    rows: int = 0
    verdicts: Counter = field(default_factory=Counter)
    reasons: Counter = field(default_factory=Counter)
    unreadable: int = 0

    def add(self, made: Replay) -> None:
        self.rows += 1
        self.verdicts[made.verdict] += 1
        if made.reason:
            self.reasons[made.reason] += 1

    def text(self) -> str:
        """A table for people, with the share that holds and its 95 % Wilson interval over the rows that were decided."""
        decided = self.verdicts[ACCEPTED] + self.verdicts[REJECTED]
        lines = [f"{self.rows:>10,}  rows replayed"]
        for verdict, label in ((ACCEPTED, "hold"), (REJECTED, "do not hold"), (UNDECIDED, "undecided")):
            lines.append(f"{self.verdicts[verdict]:>10,}  {label}")
        if decided:
            low, high = wilson(self.verdicts[ACCEPTED], decided)
            share = 100 * self.verdicts[ACCEPTED] / decided
            lines.append(
                f"{share:>9.2f}%  of the decided rows hold (95 % interval {100 * low:.2f} to {100 * high:.2f})"
            )
        if self.unreadable:
            lines.append(f"{self.unreadable:>10,}  rows were no rows of a known layout and are not counted")
        if self.reasons:
            lines.append("by reason:")
            lines += [f"{rows:>10,}  {reason}" for reason, rows in self.reasons.most_common()]
        return "\n".join(lines)


def wilson(successes: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """The Wilson score interval of a share; (0, 1) for no trials."""
    if not total:
        return 0.0, 1.0
    share = successes / total
    centre = share + z * z / (2 * total)
    spread = z * ((share * (1 - share) + z * z / (4 * total)) / total) ** 0.5
    scale = 1 + z * z / total
    return max(0.0, (centre - spread) / scale), min(1.0, (centre + spread) / scale)
