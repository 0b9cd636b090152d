"""The `difficulty` stage: how often a named model solves a problem, graded against the executed output, with an interval.

In: `problem` and `output` of an executed program (or `answer` of a seed). Out, per row: `attempts` (decided ones),
`passes`, `pass_rate` (passes over attempts; null when nothing was decided or no model was asked), `pass_low` and
`pass_high` (Wilson, 95 %), `difficulty_model`, and of the texts `cyclomatic`, `code_lines`, `solution_chars`. A seed's
`solve_rate` comes along. An attempt without a boxed answer, or cut off, is a decided failure; one that the machinery
failed, or whose answer the grader can't compare, is undecided and counts neither way.

Hard rows get more: a row without a pass gets `attempts` more, round by round, up to `max_attempts`. Rounds stop at the
first pass, so the rate of a row that needed several is a little too high; `attempts` says which rows those are.

Easy rows can be capped: with `easy_from: X`, rows that pass at X or above are kept with probability `easy_share`, drawn
by seed and id. The others are rejected: `too_easy`. With a cap, a row whose attempts could not be decided is undecided
(`infrastructure:WHAT`); without one it stays, unmeasured.

Paper: the seeds' cut at `solve_rate` below 0.3 (section 3.1) and hardness-aware sampling (section 6, future work).

    caco run recipes/difficulty/small.yaml
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.asking import ModelConfig, Resources, ending, first_row, message, prompt_facts
from caco_recipes.code_cot import THINKING
from caco_recipes.configs import option
from caco_recipes.evaluation.metrics import wilson
from caco_recipes.generation import Completion, Request
from caco_recipes.grading import extract
from caco_recipes.prompts import load
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, Verdict
from caco_recipes.verify import compare_answer

VERSION = 1
FEATURES = {
    "pass_rate": "float64",
    "attempts": "int64",
    "passes": "int64",
    "pass_low": "float64",
    "pass_high": "float64",
    "difficulty_model": "string",
    "cyclomatic": "int64",
    "code_lines": "int64",
    "solution_chars": "int64",
}


@dataclass(kw_only=True)
class Config(ModelConfig):
    """Keys of a difficulty step. Without an engine only the texts are measured."""

    attempts: int = option("Attempts per problem, and per further round of a row without a pass.", 4)
    max_attempts: int | None = option("Attempts of a row without a pass, at the most; by default one round.")
    easy_from: float | None = option("Rows that pass at this rate or above are easy; no cap when not given.")
    easy_share: float = option("Share of the easy rows that is kept, drawn by seed and id.", 1.0)
    policy: Literal["rounding", "exact"] = option("How near an answer must be, as in verify.", "rounding")
    temperature: float = option("0 is greedy.", 0.7)
    top_p: float = option("Nucleus sampling; 1 is off.", 0.8)
    top_k: int = option("Sample among the K likeliest tokens; 0 is off.", 20)
    max_tokens: int = option("New tokens of an attempt at the most; one that is cut off there has failed.", 2048)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.attempts < 1 or (self.max_attempts is not None and self.max_attempts < self.attempts):
            raise ValueError("attempts is at least 1, and max_attempts not below it")
        if self.attempts > 1 and self.temperature == 0:
            raise ValueError("attempts: several greedy attempts are all the same; set a temperature")
        if self.easy_from is not None and not 0 < self.easy_from <= 1:
            raise ValueError("easy_from is a pass rate above 0 and up to 1")
        if not 0 <= self.easy_share <= 1:
            raise ValueError("easy_share lies between 0 and 1")
        if self.easy_from is None and self.easy_share < 1:
            raise ValueError("easy_from: say from which pass rate on a row is easy")
        if self.easy_from is not None:
            self.need_engine()

    @property
    def most(self) -> int:
        return self.max_attempts or self.attempts


@dataclass
class Tools(Resources):
    """The solver's session (None without an engine), grader and sandbox."""

    grader: Any = None
    pool: Any = None


@contextmanager
def open(config: Config, context: Any) -> Iterator[Tools]:
    """Opens what the step needs."""
    from caco_recipes.grading import Grader

    with ExitStack() as stack:
        session = context.session(config.engine) if config.engine else None
        pool = stack.enter_context(context.sandbox())
        grader = stack.enter_context(Grader(workers=context.recipe.workers or 1))
        yield Tools(session, context.recipe.seed, None, grader, pool)


def facts(config: Config, context: Any) -> dict[str, Any]:
    """Versions of grader and sandbox, and the prompt's hash."""
    from caco_recipes.grading import GRADER_VERSION
    from caco_recipes.sandbox import ENGINE_VERSION

    versions = {"grader": GRADER_VERSION, "sandbox": ENGINE_VERSION}
    return versions | (prompt_facts("solve") if config.engine else {})


def preview(config: Config, context: Any) -> str:
    """The first prompt as it would be asked, before the model's chat template."""
    if not config.engine:
        return "(no prompt: only programs and solutions are measured)"
    row = first_row(context) or {"problem": "{problem}"}
    return message(load("solve"), problem=row["problem"].strip())[0]["content"]


def run(batch: dict[str, list], config: Config, tools: Tools) -> dict[str, list]:
    """Measures the batch's rows."""
    from caco_recipes.complexity import complexities
    from caco_recipes.grading import GRADER_VERSION

    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    tried = _attempts(rows, config, tools) if config.engine else [Tried() for _ in rows]
    measured = complexities(tools.pool, [row.get("code") or "" for row in rows])
    made = []
    for row, result, program in zip(rows, tried, measured, strict=True):
        columns = result.columns() | {
            "difficulty_model": tools.session.identity if config.engine else "",
            "cyclomatic": program.cyclomatic if program else None,
            "code_lines": program.code_lines if program else None,
            "solution_chars": len(row["solution"]) if row.get("solution") else None,
        }
        verdict, reason = _verdict(row, result, config, tools.seed)
        lineage = identity.add_receipt(
            row.get("lineage") or "",
            stage="difficulty",
            version=VERSION,
            model=columns["difficulty_model"],
            prompt_sha256=load("solve").sha256 if config.engine else "",
            grader=GRADER_VERSION if config.engine else "",
            request_keys=result.keys or None,
            outcomes=result.outcomes or None,
        )
        made.append(columns | {"verdict": verdict, "reason": reason, "lineage": lineage})
    return {name: [columns[name] for columns in made] for name in made[0]}


# -- attempts ----------------------------------------------------------------------------------------------------------


@dataclass
class Tried:
    """A row's attempts: how each ended (`pass`, `fail`, `undecided`), and their requests.

    Attributes:
        fault: why the first undecided attempt could not be decided.
    """

    outcomes: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    fault: str = ""

    @property
    def passes(self) -> int:
        return self.outcomes.count("pass")

    @property
    def decided(self) -> int:
        return len(self.outcomes) - self.outcomes.count("undecided")

    @property
    def pass_rate(self) -> float | None:
        return self.passes / self.decided if self.decided else None

    def columns(self) -> dict[str, Any]:
        """The row's columns; null where nothing was decided."""
        if not self.decided:
            measured = dict.fromkeys(("pass_rate", "pass_low", "pass_high"))
            return measured | {"attempts": 0 if self.outcomes else None, "passes": 0 if self.outcomes else None}
        interval = wilson(self.passes, self.decided)
        return {
            "pass_rate": self.pass_rate,
            "attempts": self.decided,
            "passes": self.passes,
            "pass_low": interval.low,
            "pass_high": interval.high,
        }


def _attempts(rows: list[dict[str, Any]], config: Config, tools: Tools) -> list[Tried]:
    """Rounds over the rows that have no pass yet. An attempt is named by its number: other rows don't change it."""
    session, prompt = tools.session, load("solve")
    texts = [session.render(message(prompt, problem=(row.get("problem") or "").strip())) for row in rows]
    tried = [Tried() for _ in rows]
    for start in range(0, config.most, config.attempts):
        numbers = range(start, min(start + config.attempts, config.most))
        asked = [
            (
                position,
                Request(
                    texts[position],
                    config.sampling(),
                    sample_index=number,
                    stage="difficulty",
                    subject=rows[position].get("problem") or "",
                ),
            )
            for position, result in enumerate(tried)
            if not result.passes
            for number in numbers
        ]
        completions = session.complete([request for _, request in asked]) if asked else []
        for (position, request), completion in zip(asked, completions, strict=True):
            decided = _grade(rows[position], completion, config, tools)
            outcome = {ACCEPTED: "pass", REJECTED: "fail"}.get(decided.verdict, "undecided")
            tried[position].outcomes.append(outcome)
            tried[position].keys.append(session.request_key(request))
            if outcome == "undecided" and not tried[position].fault:
                tried[position].fault = decided.reason
    return tried


def _grade(row: dict[str, Any], completion: Completion, config: Config, tools: Tools) -> Verdict:
    verdict, reason = ending(completion)
    if verdict != ACCEPTED:
        return Verdict(verdict, reason)
    found = extract(THINKING.sub("", completion.text).strip())
    if not found.answer or not found.rule.startswith("boxed"):
        return Verdict(REJECTED, "no_answer")
    if row.get("output"):
        return compare_answer(row | {"predicted_answer": found.answer}, config.policy, tools.grader)
    gold = row.get("answer") or row.get("expected_answer") or ""
    if not gold.strip():
        return Verdict(UNDECIDED, "infrastructure:the row has neither output nor answer")
    return tools.grader.grade(gold, found.answer, policy=config.policy)


# -- the cap -----------------------------------------------------------------------------------------------------------


def _verdict(row: dict[str, Any], result: Tried, config: Config, seed: int) -> tuple[str, str]:
    if config.easy_from is None:
        return ACCEPTED, ""
    rate = result.pass_rate
    if rate is None:
        reason = (
            result.fault if result.fault.startswith("infrastructure:") else "infrastructure:no attempt was decided"
        )
        return UNDECIDED, reason
    easy = rate >= config.easy_from
    return (REJECTED, "too_easy") if easy and not drawn(seed, row["id"], config.easy_share) else (ACCEPTED, "")


def drawn(seed: int, row_id: str, share: float) -> bool:
    """Whether a row is among a share of all rows: by seed and id, whatever its neighbours."""
    digest = hashlib.sha256(f"{seed}:easy:{row_id}".encode()).digest()
    return int.from_bytes(digest[:7], "big") < share * (1 << 56)
