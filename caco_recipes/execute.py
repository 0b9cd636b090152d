"""Execution: every program runs isolated with limits; the paper's filter rules decide what is kept (appendix A.4).

In: `code` (a Code CoT), `expected_answer` (may be empty). Out: `status`, `input` and `output` (tagged JSON that keeps
exact values), `output_text` (what `print` shows), `stdout`, and a new `id`: the hash of the program's normalised AST.
Measured, in the sidecar: `cpu_seconds`, `wall_seconds`, `peak_memory_mb`.

Verdict: `ok` is accepted, an infrastructure fault is undecided, everything else is rejected with its reason. Two
switches add to it: `rules: caco` rejects an `ok` program by the paper's rules, and `check_answer` rejects one whose
output is not the seed's answer (an answer that the grader can't compare leaves the row undecided).
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.verdicts import ACCEPTED

VERSION = 1
FEATURES = {
    "code": "string",
    "status": "string",
    "input": "string",
    "output": "string",
    "output_text": "string",
    "stdout": "string",
    "cpu_seconds": "float64",
    "wall_seconds": "float64",
    "peak_memory_mb": "float64",
}
TIMING = ("cpu_seconds", "wall_seconds", "peak_memory_mb")


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of an execute step."""

    rules: Literal["caco", "none"] = option(
        "caco: the paper's content rules; none: a program only has to run.", "caco"
    )
    check_answer: bool = option("Reject programs whose output is not `expected_answer` (rows that have one).", True)
    cpu_seconds: float = option("CPU seconds of the first pass.", 1.0)
    slow_cpu_seconds: float | None = option("CPU seconds of the second pass for programs that hit the first.", 10.0)
    memory_mb: int = option("Memory of one program, in MB.", 512)


@dataclass
class Resources:
    """An open sandbox and grader."""

    pool: Any
    grader: Any


@contextmanager
def open(config: Config, context: Any) -> Iterator[Resources]:
    """Starts the sandbox's workers and the grader."""
    from caco_recipes.grading import Grader

    with ExitStack() as stack:
        pool = context.sandbox(
            rules=config.rules if config.rules != "none" else None,
            cpu_seconds=config.cpu_seconds,
            slow_cpu_seconds=config.slow_cpu_seconds,
            memory_mb=config.memory_mb,
        )
        yield Resources(stack.enter_context(pool), stack.enter_context(Grader()))


def facts(config: Config, context: Any) -> dict[str, Any]:
    """Sandbox and grader versions: a new one may decide differently, so the step is done again."""
    from caco_recipes.grading import GRADER_VERSION
    from caco_recipes.sandbox import ENGINE_VERSION

    return {"sandbox": ENGINE_VERSION, "grader": GRADER_VERSION}


def run(batch: dict[str, list], config: Config, resources: Resources) -> dict[str, list]:
    """Executes the batch's programs; see the module's docstring for the columns."""
    from caco_recipes.canonical import program_hashes
    from caco_recipes.grading import GRADER_VERSION

    expected = batch.get("expected_answer") or [""] * len(batch["code"])
    results = list(resources.pool.run(batch["code"]))
    hashes = program_hashes(resources.pool, [code if r.ok else "" for code, r in zip(batch["code"], results)])
    rows = []
    for position, (result, program) in enumerate(zip(results, hashes)):
        verdict, reason = result.verdict, result.reason
        rule = ""
        answer = expected[position] or ""
        if verdict == ACCEPTED and config.check_answer and answer:
            decided = resources.grader.grade(answer, result.output, kind="typed", policy="rounding")
            verdict, reason, rule = decided.verdict, decided.reason, decided.rule
        row_id = program[: identity.ID_DIGITS] if program else identity.draft_id(batch["code"][position])
        lineage = identity.add_receipt(
            batch["lineage"][position],
            stage="execute",
            version=VERSION,
            draft_id=batch["id"][position],
            program_sha256=program,
            sandbox=result.engine_version,
            isolation=result.isolation,
            limits={"cpu_seconds": config.cpu_seconds, "slow_cpu_seconds": config.slow_cpu_seconds}
            | {"memory_mb": config.memory_mb},
            rules=config.rules,
            output_sha256=identity.sha256_text(result.output) if result.output else "",
            grader=GRADER_VERSION if rule else "",
            answer_rule=rule,
        )
        rows.append(
            {
                "id": row_id,
                "parent_ids": batch["parent_ids"][position],
                "family_id": batch["family_id"][position] or row_id,
                "lineage": lineage,
                "verdict": verdict,
                "reason": reason,
                "code": batch["code"][position],
                "status": result.status,
                "input": result.input or "",
                "output": result.output or "",
                "output_text": result.output_text or "",
                "stdout": result.stdout or "",
                "cpu_seconds": result.cpu_seconds,
                "wall_seconds": result.wall_seconds,
                "peak_memory_mb": result.peak_memory_mb,
            }
        )
    return {name: [row[name] for row in rows] for name in rows[0]}
