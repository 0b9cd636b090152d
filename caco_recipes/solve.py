"""The `solve` stage: an answer to a problem, in a call of its own that sees the problem and nothing else (section 3.3).

In: `problem`. Out: `solution` (the model's text), `predicted_answer` (the boxed answer in it), `finish_reason`. The
program is never part of the request, so that the model can't copy it. With `num_solutions` above 1 a problem gives
several rows.

Rejected: `truncated` (a solution that was cut off is none), `no_answer` (no boxed answer; with `boxed: false`, no
answer by any rule of `grading.extract`).

    caco run recipes/quickstart --stages solve
"""

from dataclasses import dataclass
from typing import Any

from caco_recipes import identity
from caco_recipes.asking import (
    ModelConfig,
    Resources,
    ending,
    first_row,
    message,
    open_session,
    prompt_facts,
    request_facts,
)
from caco_recipes.code_cot import THINKING
from caco_recipes.configs import option
from caco_recipes.generation import Request
from caco_recipes.grading import extract
from caco_recipes.prompts import load
from caco_recipes.verdicts import ACCEPTED, REJECTED

VERSION = 2
FEATURES = {"solution": "string", "predicted_answer": "string", "finish_reason": "string"}

open = open_session


@dataclass(kw_only=True)
class Config(ModelConfig):
    """Keys of a solve step. The paper: Qwen3-8B, thinking off, one solution per problem."""

    num_solutions: int = option("Solutions per problem.", 1)
    boxed: bool = option("Take boxed answers only; false: also what other rules find.", True)
    temperature: float = option("0 is greedy.", 0.7)
    top_p: float = option("Nucleus sampling; 1 is off.", 0.8)
    top_k: int = option("Sample among the K likeliest tokens; 0 is off.", 20)
    max_tokens: int = option("New tokens at the most; a solution that is cut off there is rejected.", 4096)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.need_engine()
        if self.num_solutions < 1:
            raise ValueError("num_solutions must be at least 1")


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The prompt's hash."""
    return prompt_facts("solve")


def preview(config: Config, context: Any) -> str:
    """The first prompt as it would be asked, before the model's chat template."""
    row = first_row(context) or {"problem": "{problem}"}
    return message(load("solve"), problem=row["problem"].strip())[0]["content"]


def run(batch: dict[str, list], config: Config, resources: Resources) -> dict[str, list]:
    """Solves the batch's problems: `num_solutions` rows per problem, in order."""
    session, prompt = resources.session, load("solve")
    problems = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    asked = []
    for row in problems:
        text = session.render(message(prompt, problem=row["problem"].strip()))
        for index in range(config.num_solutions):
            asked.append(
                (row, Request(text, config.sampling(), sample_index=index, stage="solve", subject=row["problem"]))
            )
    made = []
    completions = session.complete([request for _, request in asked])
    for (row, request), completion in zip(asked, completions, strict=True):
        verdict, reason = ending(completion)
        solution = THINKING.sub("", completion.text).strip()
        answer, rule = "", ""
        if verdict == ACCEPTED:
            found = extract(solution)
            if found.answer and (found.rule.startswith("boxed") or not config.boxed):
                answer, rule = found.answer, found.rule
            else:
                verdict, reason = REJECTED, "no_answer"
        lineage = identity.add_receipt(
            row.get("lineage") or "",
            stage="solve",
            version=VERSION,
            **request_facts(session, request),
            prompt_name=prompt.name,
            prompt_sha256=prompt.sha256,
            answer_rule=rule,
            solution_index=request.sample_index,
            solution_sha256=identity.sha256_text(solution),
        )
        several = config.num_solutions > 1
        made.append(
            row
            | {
                "id": identity.short_id(f"{row['id']}\n{solution}") if several else row["id"],
                "parent_ids": [*(row.get("parent_ids") or []), row["id"]] if several else row.get("parent_ids") or [],
                "family_id": row.get("family_id") or row["id"],
                "lineage": lineage,
                "verdict": verdict,
                "reason": reason,
                "solution": solution,
                "predicted_answer": answer,
                "finish_reason": completion.finish_reason,
            }
        )
    return {name: [row[name] for row in made] for name in dict.fromkeys([*batch, *made[0]])}
