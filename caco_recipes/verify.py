"""The `verify` stage: dual verification (paper, section 3.3). A row is kept when both checks pass.

1. Answer consistency: `predicted_answer` against the program's executed `output`. Out: `answer_verdict`, `answer_rule`.
2. CoT consistency, with `judge: true`: a model sees problem, solution and program and says Yes or No. Out:
   `judge_verdict` (yes, no, unclear, or empty when not asked) and `judge_probability` (of Yes, from the first token's
   log probabilities where the engine gives them). Only rows that pass the first check are asked about.

`measure: [solvable, correct]` also asks the two judges of the paper's ablation; they are recorded and decide nothing.

Rejected: `answer_mismatch`, `no_answer`, `judge_no`. Undecided: an answer that the grader can't compare, a judge that
says neither Yes nor No (`infrastructure:judge unclear`) or could not be asked. Undecided is never taken for right.

    caco run recipes/quickstart --stages verify
"""

import math
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.asking import (
    ModelConfig,
    Resources,
    ending,
    first_row,
    message,
    open_session,
    prompt_facts,
    sampling_facts,
)
from caco_recipes.code_cot import THINKING
from caco_recipes.configs import option
from caco_recipes.generation import Completion, Request
from caco_recipes.prompts import load
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, Verdict

VERSION = 2
FEATURES = {
    "answer_verdict": "string",
    "answer_rule": "string",
    "judge_verdict": "string",
    "judge_probability": "float64",
    "solvable": "string",
    "solvable_probability": "float64",
    "correct": "string",
    "correct_probability": "float64",
}
# What each judge is shown. `consistent` decides, the others are measured.
SHOWN = {
    "consistent": ("problem", "solution", "code"),
    "solvable": ("problem",),
    "correct": ("problem", "solution"),
}
WORD = re.compile(r"\b(yes|no)\b", re.IGNORECASE)


@dataclass(kw_only=True)
class Config(ModelConfig):
    """Keys of a verify step. The paper judges with Qwen3-32B; how it decodes is not given."""

    judge: bool = option("Ask a judge whether solution and program agree (on in the paper).", False)
    measure: list[Literal["solvable", "correct"]] = option("Judges that are only recorded.", default_factory=list)
    policy: Literal["rounding", "exact"] = option(
        "rounding: an answer with two decimals or more may be the output rounded to them.", "rounding"
    )
    threshold: float | None = option("Yes when its probability is at least this; by default the word decides.")
    max_tokens: int = option("New tokens of a judge's answer at the most.", 8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.judge or self.measure:
            self.need_engine()
        if self.threshold is not None and not 0 < self.threshold < 1:
            raise ValueError("threshold is a probability between 0 and 1")


@dataclass
class Verifier(Resources):
    """The judge's session (None without one) and the grader."""

    grader: Any = None


@contextmanager
def open(config: Config, context: Any) -> Iterator[Verifier]:
    """The grader, and the judge's session where the recipe asks for one."""
    from caco_recipes.grading import Grader

    with Grader(workers=context.recipe.workers or 1) as grader:
        if not (config.judge or config.measure):
            yield Verifier(None, context.recipe.seed, grader)
            return
        with open_session(config, context) as resources:
            yield Verifier(resources.session, resources.seed, grader)


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The grader's version and the judges' prompts."""
    from caco_recipes.grading import GRADER_VERSION

    return {"grader": GRADER_VERSION} | prompt_facts(*(f"judge_{name}" for name in _judges(config)))


def preview(config: Config, context: Any) -> str:
    """The first judge's prompt as it would be asked, before the model's chat template."""
    if not (judges := _judges(config)):
        return "(no prompt: answers are compared with outputs)"
    row = first_row(context) or {"problem": "{problem}", "solution": "{solution}", "code": "{code}"}
    return judge_messages(row, judges[0])[0]["content"]


def run(batch: dict[str, list], config: Config, resources: Verifier) -> dict[str, list]:
    """Verifies the batch's rows."""
    from caco_recipes.grading import GRADER_VERSION

    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    answers = [compare_answer(row, config.policy, resources.grader) for row in rows]
    passed = [position for position, answer in enumerate(answers) if answer.verdict == ACCEPTED]
    opinions = _ask_judges(rows, passed, config, resources)
    made = []
    for position, (row, answer) in enumerate(zip(rows, answers, strict=True)):
        said = opinions.get(position, {})
        verdict, reason = answer.verdict, answer.reason
        consistent = said.get("consistent")
        if verdict == ACCEPTED and consistent is not None:
            verdict, reason = _decided(consistent, config)
        lineage = identity.add_receipt(
            row.get("lineage") or "",
            stage="verify",
            version=VERSION,
            grader=GRADER_VERSION,
            policy=config.policy,
            answer_rule=answer.rule,
            model=resources.session.identity if said else "",
            judges={name: opinion.receipt for name, opinion in said.items()} or None,
            sampling=sampling_facts(config.sampling(logprobs=True)) if said else None,
            prompt_sha256={f"judge_{name}": load(f"judge_{name}").sha256 for name in said} or None,
        )
        columns = {"lineage": lineage, "verdict": verdict, "reason": reason}
        columns |= {"answer_verdict": answer.verdict, "answer_rule": answer.rule}
        for judge, column in (("consistent", "judge_verdict"), ("solvable", "solvable"), ("correct", "correct")):
            opinion = said.get(judge)
            columns[column] = opinion.word if opinion else ""
            columns[f"{column.removesuffix('_verdict')}_probability"] = opinion.probability if opinion else None
        made.append(columns)
    return {name: [columns[name] for columns in made] for name in made[0]}


def _judges(config: Config) -> list[str]:
    return [*(["consistent"] if config.judge else []), *config.measure]


def compare_answer(row: dict[str, Any], policy: str, grader: Any) -> Verdict:
    """A row's `predicted_answer` against its executed `output` (tagged JSON; `output_text` beside it)."""
    if not (row.get("predicted_answer") or "").strip():
        return Verdict(REJECTED, "no_answer", "empty")
    if not row.get("output"):
        return Verdict(REJECTED, "no_output")
    from caco_recipes.grading import grade_output

    decided = grade_output(row["output"], row["predicted_answer"], policy=policy)
    if decided.verdict == UNDECIDED and row.get("output_text"):
        # What our own parser can't compare goes to the slow tier, in a process that can be killed.
        return grader.grade(row["predicted_answer"], row["output_text"], kind="program", policy=policy)
    return decided


# -- judges ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opinion:
    """What a judge said: yes, no, unclear, or that it could not be asked (`fault`)."""

    word: str
    probability: float | None
    fault: str
    receipt: str


def _ask_judges(
    rows: list[dict[str, Any]], positions: list[int], config: Config, resources: Verifier
) -> dict[int, dict[str, Opinion]]:
    asked = []
    for position in positions:
        for judge in _judges(config):
            text = resources.session.render(judge_messages(rows[position], judge))
            request = Request(
                text, config.sampling(logprobs=True), stage=f"judge_{judge}", subject=rows[position]["problem"]
            )
            asked.append((position, judge, request))
    opinions: dict[int, dict[str, Opinion]] = {}
    completions = resources.session.complete([request for _, _, request in asked]) if asked else []
    for (position, judge, request), completion in zip(asked, completions, strict=True):
        key = resources.session.request_key(request)
        opinions.setdefault(position, {})[judge] = read_opinion(completion, key)
    return opinions


def judge_messages(row: dict[str, Any], judge: str) -> list[dict[str, str]]:
    """What a judge (`consistent`, `solvable`, `correct`) is asked about a row: the texts in `SHOWN`, nothing else."""
    values = {name: (row.get(name) or "").strip("\n") for name in SHOWN[judge]}
    return message(load(f"judge_{judge}"), **values)


def read_opinion(completion: Completion, key: str = "") -> Opinion:
    """A judge's completion: its first Yes or No, and the probability of Yes among the two where it is known.

    A judge's answer may be cut off behind its word; before it, it is unclear.
    """
    _, reason = ending(completion)
    if reason and reason != "truncated":
        return Opinion("unclear", None, reason, key)
    found = WORD.search(THINKING.sub("", completion.text))
    return Opinion(found[1].lower() if found else "unclear", _probability(completion.first_token_logprobs), "", key)


def _probability(logprobs: dict[str, float]) -> float | None:
    """P(Yes) / (P(Yes) + P(No)) over the first token's alternatives, whatever their spelling; None without either."""
    mass = {"yes": 0.0, "no": 0.0}
    for token, logprob in logprobs.items():
        word = token.strip(" \n\tĠ▁*\"'`.,").lower()
        if word in mass:
            mass[word] += math.exp(logprob)
    total = sum(mass.values())
    return mass["yes"] / total if total > 0 else None


def _decided(opinion: Opinion, config: Config) -> tuple[str, str]:
    if opinion.fault.startswith("infrastructure"):
        return UNDECIDED, opinion.fault
    if config.threshold is not None and opinion.probability is not None:
        yes = opinion.probability >= config.threshold
    elif opinion.word == "unclear":
        return UNDECIDED, "infrastructure:judge unclear"
    else:
        yes = opinion.word == "yes"
    return (ACCEPTED, "") if yes else (REJECTED, "judge_no")
