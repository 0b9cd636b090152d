"""The `unify` stage: seed -> Code CoT (paper, section 3.1), through a model or mechanically.

In: `problem`, `solution`, `answer`, `program`, `tests`, `domain`. Out: `code` (the Code CoT), `expected_answer` (the
seed's answer, or what the chosen test case expects; checked by `execute` against the program's output) and
`unified_by` (`model` or `mechanical`).

    method: model        a model writes the program; code seeds: it also picks one test case and states its answer
    method: mechanical   the seed's own program is rearranged (caco_recipes/mechanical); rows without one are left out
    method: auto         mechanically where that works, otherwise through the model

Rejected: a completion without a program (`bad_row:program`), one that was cut off (`truncated`), a code seed's
completion without the expected answer (`no_answer`), a program that can't be rearranged (`syntax_error`,
`bad_row:WHAT`). `only` picks rows: with or without a program, or those that the recorded engine has an answer for.

    caco run recipes/quickstart --stages unify_recorded
"""

import ast
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
    request_facts,
)
from caco_recipes.code_cot import extract_expected, extract_program
from caco_recipes.configs import option
from caco_recipes.generation import Completion, Request
from caco_recipes.mechanical import CannotUnify, unify_function, unify_program
from caco_recipes.prompts import Prompt, load
from caco_recipes.test_cases import choose_case
from caco_recipes.verdicts import ACCEPTED, REJECTED

VERSION = 2
FEATURES = {"code": "string", "expected_answer": "string", "unified_by": "string"}


@dataclass(kw_only=True)
class Config(ModelConfig):
    """Keys of a unify step. The paper: Qwen2.5-72B-Instruct, one pass, temperature 0.6."""

    method: Literal["model", "mechanical", "auto"] = option("Who makes the Code CoT.", "model")
    only: Literal["all", "with_program", "without_program", "recorded"] = option("Which seeds are taken.", "all")
    with_solution: bool = option("Show the model the seed's solution, where it has one.", True)
    temperature: float = option("0 is greedy.", 0.6)
    max_tokens: int = option("New tokens at the most; an answer that is cut off there is rejected.", 1536)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.method != "mechanical":
            self.need_engine()
        elif self.engine:
            raise ValueError("engine: nothing is asked with method: mechanical")


open = open_session


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The prompts' hashes."""
    return {} if config.method == "mechanical" else prompt_facts("unify_math", "unify_code")


def preview(config: Config, context: Any) -> str:
    """The first prompt as it would be asked, before the model's chat template."""
    if config.method == "mechanical":
        return "(no prompt: seeds' own programs are rearranged)"
    row = first_row(context) or {"problem": "{problem}", "solution": "{solution}", "domain": "math"}
    return _messages(row, config)[0][0]["content"]


def run(batch: dict[str, list], config: Config, resources: Resources) -> dict[str, list]:
    """Unifies the batch's seeds; rows that `only` or the method leaves out are not in the result."""
    seeds = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    seeds = [seed for seed in seeds if _taken(seed, config, resources)]
    made: list[dict[str, Any] | None] = [None] * len(seeds)
    if config.method != "model":
        for position, seed in enumerate(seeds):
            row = _mechanical(seed) if seed.get("program") else None
            if row and (config.method == "mechanical" or row["verdict"] == ACCEPTED):
                made[position] = row
    waiting = [position for position, row in enumerate(made) if row is None]
    if waiting:
        asked = [_request(seeds[position], config, resources) for position in waiting]
        completions = resources.session.complete([request for request, _ in asked])
        for position, (request, prompt), completion in zip(waiting, asked, completions, strict=True):
            made[position] = _from_model(seeds[position], request, prompt, completion, resources)
    rows = [seed | row for seed, row in zip(seeds, made, strict=True)]
    names = list(dict.fromkeys([*batch, "id", "parent_ids", "family_id", "lineage", "verdict", "reason", *FEATURES]))
    return {name: [row[name] for row in rows] for name in names}


def _taken(seed: dict[str, Any], config: Config, resources: Resources) -> bool:
    has_program = bool((seed.get("program") or "").strip())
    if config.method == "mechanical" and not has_program:
        return False
    if config.only == "with_program":
        return has_program
    if config.only == "without_program":
        return not has_program
    return resources.recorded(seed["problem"]) if resources.recorded else True


# -- through a model ---------------------------------------------------------------------------------------------------


def _messages(seed: dict[str, Any], config: Config) -> tuple[list[dict[str, str]], Prompt]:
    problem = seed["problem"].strip()
    if _is_code(seed):
        prompt = load("unify_code")
        return message(prompt, problem=problem, program=seed["program"].strip(), tests=seed["tests"].strip()), prompt
    prompt = load("unify_math")
    solution = (seed.get("solution") or "").strip() if config.with_solution else ""
    return message(prompt, problem=problem, solution=solution), prompt


def _is_code(seed: dict[str, Any]) -> bool:
    """Code seeds have tests; without them there is nothing to pick a case from."""
    return seed.get("domain") == "code" and bool((seed.get("tests") or "").strip())


def _request(seed: dict[str, Any], config: Config, resources: Resources) -> tuple[Request, Prompt]:
    messages, prompt = _messages(seed, config)
    text = resources.session.render(messages)
    return Request(prompt=text, sampling=config.sampling(), stage="unify", subject=seed["problem"]), prompt


def _from_model(
    seed: dict[str, Any], request: Request, prompt: Prompt, completion: Completion, resources: Resources
) -> dict[str, Any]:
    verdict, reason = ending(completion)
    code = extract_program(completion.text) if verdict == ACCEPTED else completion.text
    expected = seed.get("answer") or ""
    if verdict == ACCEPTED:
        stated = extract_expected(completion.text) if _is_code(seed) else ""
        if not code:
            verdict, reason = REJECTED, "bad_row:program"
        elif _is_code(seed) and not stated:
            verdict, reason = REJECTED, "no_answer"
        expected = as_printed(stated) if stated else expected
    return _row(
        seed,
        code=code,
        expected=expected,
        unified_by="model",
        verdict=verdict,
        reason=reason,
        method="model",
        **request_facts(resources.session, request),
        prompt_name=prompt.name,
        prompt_sha256=prompt.sha256,
    )


# -- mechanically ------------------------------------------------------------------------------------------------------


def _mechanical(seed: dict[str, Any]) -> dict[str, Any]:
    """A code seed's program runs one of its tests; any other program is rearranged as it is."""
    code, expected, reason = "", seed.get("answer") or "", ""
    try:
        if seed.get("domain") == "code":
            case = choose_case(seed["program"], seed.get("tests") or "")
            code = unify_function(seed["program"], case.function, case.positional, dict(case.named))
            expected = as_printed(case.expected)
        else:
            code = unify_program(seed["program"], seed["problem"])
    except CannotUnify as error:
        reason = error.reason
    return _row(
        seed,
        code=code,
        expected=expected,
        unified_by="mechanical",
        verdict=REJECTED if reason else ACCEPTED,
        reason=reason,
        method="mechanical",
    )


def as_printed(literal: str) -> str:
    """An expected value as a program would print it: a text without its quotes, anything else as it is written."""
    try:
        value = ast.literal_eval(literal)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return literal
    return value if isinstance(value, str) and value.strip() else literal


def _row(
    seed: dict[str, Any],
    *,
    code: str,
    expected: str,
    unified_by: str,
    verdict: str,
    reason: str,
    **receipt: Any,
) -> dict[str, Any]:
    return {
        # A program that isn't there yet goes by its seed; the program's own id comes when it has been executed.
        "id": identity.draft_id(code) if code.strip() else seed["id"],
        "parent_ids": [seed["id"]],
        "family_id": "",
        "lineage": identity.add_receipt(
            seed.get("lineage") or "", stage="unify", version=VERSION, seed=seed["id"], **receipt
        ),
        "verdict": verdict,
        "reason": reason,
        "code": code,
        "expected_answer": expected,
        "unified_by": unified_by,
    }
