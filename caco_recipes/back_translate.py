"""The `back_translate` stage: a program becomes a problem (question reversal; paper, section 3.3).

In: `code` of an executed program, and `problem` where it came from a seed. Out: `problem`, `problem_origin`
(`back_translated`, or `original`: the seed's own problem, not reversed). The model sees the program and never its
output. How the problem is told is drawn per program from `prompts/problem_styles.md`; with `num_problems` above 1 a
program gives several problems (problem-level augmentation), which share its family.

    problems: back_translated   the model writes them
    problems: original          the seed's problem goes through the same door (paper, Figure 2), with no model

Rejected: `truncated`; `bad_row:problem` (no problem in the completion, or none to keep).

    caco run recipes/quickstart --stages back_translate
"""

import random
import re
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
from caco_recipes.code_cot import THINKING
from caco_recipes.configs import option
from caco_recipes.generation import Request
from caco_recipes.prompts import lines, load
from caco_recipes.verdicts import ACCEPTED, REJECTED

VERSION = 2
FEATURES = {"problem": "string", "problem_origin": "string"}
PROBLEM_TAG = re.compile(r"<problem>(.*?)(?:</problem>|\Z)", re.DOTALL | re.IGNORECASE)
HEADING = re.compile(r"\A\W*(?:problem|question|task)(?: statement)?\W*?:\W*\n?", re.IGNORECASE)
# Where a model goes on behind the problem.
BEHIND = re.compile(r"^\W*(?:solution|answer|explanation|output|note)\b[^\n]{0,20}:", re.IGNORECASE | re.MULTILINE)

open = open_session


@dataclass(kw_only=True)
class Config(ModelConfig):
    """Keys of a back_translate step. The paper: Qwen3-8B, thinking off, its usual decoding parameters."""

    problems: Literal["back_translated", "original"] = option("Where the problems come from.", "back_translated")
    num_problems: int = option("Problems per program.", 1)
    only: Literal["all", "recorded"] = option("recorded: programs that the recorded engine has an answer for.", "all")
    styles: list[str] = option(
        "Ways of telling a problem; by default those of prompts/problem_styles.md.", default_factory=list
    )
    temperature: float = option("0 is greedy.", 0.7)
    top_p: float = option("Nucleus sampling; 1 is off.", 0.8)
    top_k: int = option("Sample among the K likeliest tokens; 0 is off.", 20)
    max_tokens: int = option("New tokens at the most; an answer that is cut off there is rejected.", 1024)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.problems == "back_translated":
            self.need_engine()
        if self.num_problems < 1:
            raise ValueError("num_problems must be at least 1")
        if self.problems == "original" and self.num_problems > 1:
            raise ValueError("num_problems: a seed has one original problem")


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The prompts' hashes."""
    return {} if config.problems == "original" else prompt_facts("back_translate", "problem_styles")


def preview(config: Config, context: Any) -> str:
    """The first prompt as it would be asked, before the model's chat template."""
    if config.problems == "original":
        return "(no prompt: the seeds' own problems are kept)"
    row = first_row(context) or {"id": "", "code": "{code}"}
    return _messages(row["code"], draw_style(config, 42, row["id"], 0))[0]["content"]


def draw_style(config: Config, seed: int, row_id: str, index: int) -> str:
    """The way in which a program's problem is told: by run seed, program and number, not by position."""
    styles = config.styles or lines("problem_styles")
    shuffled = random.Random(f"{seed}:{row_id}").sample(styles, len(styles))
    return shuffled[index % len(shuffled)]


def run(batch: dict[str, list], config: Config, resources: Resources) -> dict[str, list]:
    """Writes the batch's problems: `num_problems` rows per program, in order."""
    programs = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    if resources.recorded:
        programs = [program for program in programs if resources.recorded(program["code"])]
    if config.problems == "original":
        # The problem of a row that somebody else made stays what it was called.
        origins = [program.get("problem_origin") or "original" for program in programs]
        made = [
            _row(program, _original(program), of, "original") for program, of in zip(programs, origins, strict=True)
        ]
    else:
        made = _back_translated(programs, config, resources)
    names = dict.fromkeys([*batch, "family_id", "lineage", "verdict", "reason", *FEATURES])
    return {name: [row[name] for row in made] for name in names}


def _original(program: dict[str, Any]) -> str:
    return program.get("problem") or ""


def _back_translated(programs: list[dict[str, Any]], config: Config, resources: Resources) -> list[dict[str, Any]]:
    session, prompt = resources.session, load("back_translate")
    asked = []
    for program in programs:
        for index in range(config.num_problems):
            style = draw_style(config, resources.seed, program["id"], index)
            text = session.render(_messages(program["code"], style))
            request = Request(
                prompt=text,
                sampling=config.sampling(),
                sample_index=index,
                stage="back_translate",
                subject=program["code"],
            )
            asked.append((program, style, request))
    rows = []
    completions = session.complete([request for _, _, request in asked])
    for (program, style, request), completion in zip(asked, completions, strict=True):
        verdict, reason = ending(completion)
        problem = extract_problem(completion.text) if verdict == ACCEPTED else completion.text.strip()
        same = identity.fold_whitespace(problem) == identity.fold_whitespace(_original(program))
        rows.append(
            _row(
                program,
                problem,
                # A recorded teacher answers with the seed's problem, and a model may remember it: it is called what it is.
                "original" if same and problem else "back_translated",
                "model",
                verdict,
                reason,
                **request_facts(session, request),
                prompt_name=prompt.name,
                prompt_sha256=prompt.sha256,
                style=style,
                problem_index=request.sample_index,
            )
        )
    return rows


def _messages(code: str, style: str) -> list[dict[str, str]]:
    return message(load("back_translate"), code=code.strip("\n"), style=style)


def extract_problem(text: str) -> str:
    """The problem in a completion: between its tags, or the text without heading and without what follows it."""
    text = THINKING.sub("", text).strip()
    tagged = PROBLEM_TAG.findall(text)
    if tagged:
        return tagged[-1].strip()
    text = HEADING.sub("", text)
    behind = BEHIND.search(text)
    text = text[: behind.start()] if behind else text
    # A completion that is a program again holds no problem.
    return "" if text.lstrip().startswith(("```", "def ", "import ")) else text.strip()


def _row(
    program: dict[str, Any],
    problem: str,
    origin: str,
    method: str,
    verdict: str = ACCEPTED,
    reason: str = "",
    **receipt: Any,
) -> dict[str, Any]:
    if verdict == ACCEPTED and not problem.strip():
        verdict, reason = REJECTED, "bad_row:problem"
    lineage = identity.add_receipt(
        program.get("lineage") or "",
        stage="back_translate",
        version=VERSION,
        method=method,
        problem_sha256=identity.sha256_text(problem),
        **receipt,
    )
    return program | {
        # A program may have several problems: a row is the two together, its family the program.
        "id": identity.short_id(f"{program['id']}\n{identity.fold_whitespace(problem)}"),
        "parent_ids": [*(program.get("parent_ids") or []), program["id"]],
        "family_id": program.get("family_id") or program["id"],
        "lineage": lineage,
        "verdict": verdict,
        "reason": reason,
        "problem": problem,
        "problem_origin": origin,
    }
