"""The `variants` stage: the problem again, with other inputs and their true answers (problem-level augmentation).

In: rows with `problem`, `code`, `input`, `output`, best behind back_translate and before solve, and with the family that a
metamorphic step has made. Out: every row that came in, and up to `per_family` new ones per family, with `variant` (0 for
the row itself) and all of a row's columns: the program with the new `input`, what it gave when it was executed, and the
problem with the new numbers, `problem_origin: variant`. What belongs to the old problem (solution, known answer) is empty.

1. The inputs: of the family where they fit, else drawn in the same domain; only inputs that have a place in the problem
   change (`families/filling.py`), and outputs stay of the original's kind (whole, positive, as many).
2. The problem: filled in; with `rewrite: true` a model tells it in other words.
3. Verified again: the new program is executed and must give the family's output; the new problem must tell every value.

Rejected: `unfaithful:KEY`, `nondeterministic`, the execution's own reasons; with a model `truncated`, `bad_row:problem`.
A new row has an id of its own, its program's and the old row's ids among its parents, and the family of the old row: a
split into train and test must go by `family_id` (`families.split`).

    caco run recipes/Caco-1.3M/trusted.yaml --stages variants
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from caco_recipes import identity
from caco_recipes.asking import ModelConfig, Resources, ending, first_row, message, open_session, prompt_facts
from caco_recipes.back_translate import extract_problem
from caco_recipes.configs import option
from caco_recipes.families.domains import infer
from caco_recipes.families.faithfulness import AGAINST, findings
from caco_recipes.families.filling import Template, template_of
from caco_recipes.families.kinds import alike
from caco_recipes.families.mutation import near_inputs
from caco_recipes.families.source_facts import SourceFacts, source_facts, with_input
from caco_recipes.families.values import dump, literal, tag_of
from caco_recipes.generation import Request
from caco_recipes.prompts import load
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

VERSION = 1
FEATURES = {
    "problem": "string",
    "problem_origin": "string",
    "code": "string",
    "input": "string",
    "output": "string",
    "output_text": "string",
    "stdout": "string",
    "variant": "int64",
}
# What was true of the old problem alone.
OF_THE_OLD = (
    "expected_answer", "answer", "solution", "predicted_answer", "answer_verdict", "answer_rule", "judge_verdict", "variants",
    "faithfulness", "blind_verdict", "tests", "program",
)  # fmt: skip


@dataclass(kw_only=True)
class Config(ModelConfig):
    """Keys of a variants step. The paper makes several problems per program, but none with other inputs."""

    per_family: int = option("New problems of a family at the most, over all of its rows.", 4)
    rewrite: bool = option("Have a model tell each new problem in other words.", False)
    keep_kind: bool = option("Only inputs whose output is of the original's kind: whole, positive, as many.", True)
    cpu_seconds: float = option("CPU seconds of one execution.", 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rewrite:
            self.need_engine()
        if self.per_family < 1:
            raise ValueError("per_family is at least 1; leave the step out with enabled: false")


@dataclass
class Maker(Resources):
    """A sandbox, the rewriting model's session (None without one), and how many variants each family has so far."""

    pool: Any = None
    made: Counter = field(default_factory=Counter)


@contextmanager
def open(config: Config, context: Any) -> Iterator[Maker]:
    """The sandbox, and the rewriting model's session where the recipe asks for one."""
    with ExitStack() as stack:
        session = stack.enter_context(open_session(config, context)).session if config.rewrite else None
        pool = stack.enter_context(context.sandbox(cpu_seconds=config.cpu_seconds))
        yield Maker(session, context.recipe.seed, pool=pool)


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The sandbox's version and the rewriting prompt."""
    from caco_recipes.sandbox import ENGINE_VERSION

    return {"sandbox": ENGINE_VERSION} | (prompt_facts("rewrite_problem") if config.rewrite else {})


def preview(config: Config, context: Any) -> str:
    """The rewriting prompt, before the model's chat template."""
    if not config.rewrite:
        return "(no prompt: numbers are filled into the problem's own text)"
    row = first_row(context) or {"problem": "{problem}"}
    return message(load("rewrite_problem"), problem=row.get("problem") or "")[0]["content"]


def replay(batch: dict[str, list], config: Config, maker: Maker) -> None:
    """A finished part's variants count for their families."""
    maker.made.update(family for family, variant in zip(batch["family_id"], batch["variant"], strict=True) if variant)


@dataclass
class Draft:
    """A variant on its way: its place in the batch, its input with the expected output, and its texts."""

    place: int
    value: dict[str, Any]
    expected: tuple[str, str]
    code: str
    problem: str
    verdict: str = ACCEPTED
    reason: str = ""
    receipt: dict[str, Any] = field(default_factory=dict)


def run(batch: dict[str, list], config: Config, maker: Maker) -> dict[str, list]:
    """The batch's rows, each followed by its variants."""
    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    values = [_decoded(row) for row in rows]
    known = source_facts(maker.pool, [(row["code"], list(value)) for row, value in zip(rows, values, strict=True)])
    drafts = [
        draft
        for place, (row, value, facts) in enumerate(zip(rows, values, known, strict=True))
        for draft in _drafts(place, row, value, facts, config, maker)
    ]
    if config.rewrite:
        _rewrite(drafts, config, maker)
    results = list(maker.pool.run([draft.code for draft in drafts]))
    new: dict[int, list[dict[str, Any]]] = {}
    for draft, row in zip(drafts, _verified(drafts, results, rows, maker), strict=True):
        new.setdefault(draft.place, []).append(row)
    made = []
    for place, row in enumerate(rows):
        lineage = identity.add_receipt(
            row.get("lineage") or "", stage="variants", version=VERSION, variants=len(new.get(place, [])) or None
        )
        made += [row | {"lineage": lineage, "verdict": ACCEPTED, "reason": "", "variant": 0}, *new.get(place, [])]
    names = dict.fromkeys([*batch, "lineage", "verdict", "reason", *FEATURES])
    return {name: [row.get(name) for row in made] for name in names}


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    value = json.loads(row["input"]) if row.get("input") else {}
    return value if isinstance(value, dict) and not tag_of(value) else {}


# ------------------------------------------------------------------------------------------------ making


def _drafts(
    place: int, row: dict[str, Any], value: dict[str, Any], facts: SourceFacts, config: Config, maker: Maker
) -> Iterator[Draft]:
    """Variants of one row, as many as its family may still have."""
    family = row.get("family_id") or row["id"]
    template = template_of(row.get("problem") or "", value) if value else None
    if template is None or facts.span is None:
        return
    seen = {row["problem"]}
    for changed, output, text in _inputs(row, value, facts, template, config, maker):
        if maker.made[family] >= config.per_family:
            return
        source = literal(changed)
        code = with_input(row["code"], facts, source) if source else None
        problem = template.fill(changed)
        if code is None or problem is None or problem in seen:
            continue
        seen.add(problem)
        maker.made[family] += 1
        yield Draft(place, changed, (output, text), code, problem)


def _inputs(
    row: dict[str, Any], value: dict[str, Any], facts: SourceFacts, template: Template, config: Config, maker: Maker
) -> Iterator[tuple[dict[str, Any], str, str]]:
    """(input, output, printed output): first the family's, then some of our own, all of them executed."""
    movable = set(template.keys)
    for one in json.loads(row.get("variants") or "[]"):
        changed = json.loads(one["input"])
        moved = {key for key in value if dump(changed[key]) != dump(value[key])}
        if moved <= movable and _fits(row["output"], one["output"], config):
            yield changed, one["output"], one["output_text"]
    rng = random.Random(f"{maker.seed}\0{row['code']}\0{row['input']}\0variants")
    drawn = near_inputs(infer(value, facts), 3 * config.per_family, rng, template.keys)
    results = maker.pool.run_variants(row["code"], [dump(changed) for changed in drawn])
    for changed, result in zip(drawn, results, strict=True):
        if result.ok and result.output is not None and _fits(row["output"], result.output, config):
            yield changed, result.output, result.output_text.strip()


def _fits(original: str, output: str, config: Config) -> bool:
    return output not in ("null", '""') and (not config.keep_kind or alike(original, output))


def _rewrite(drafts: list[Draft], config: Config, maker: Maker) -> None:
    """The model's own words for each filled problem."""
    prompt = load("rewrite_problem")
    requests = [
        Request(
            prompt=maker.session.render(message(prompt, problem=draft.problem)),
            sampling=config.sampling(),
            stage="rewrite_problem",
            subject=draft.problem,
        )
        for draft in drafts
    ]
    completions = maker.session.complete(requests) if requests else []
    for draft, request, completion in zip(drafts, requests, completions, strict=True):
        draft.verdict, draft.reason = ending(completion)
        if draft.verdict == ACCEPTED:
            draft.problem = extract_problem(completion.text)
            if not draft.problem:
                draft.verdict, draft.reason = REJECTED, "bad_row:problem"
        draft.receipt = {
            "model": maker.session.identity,
            "request_key": maker.session.request_key(request),
            "prompt_sha256": {"rewrite_problem": prompt.sha256},
        }


# ------------------------------------------------------------------------------------------------ verifying


def _verified(
    drafts: list[Draft], results: list[Any], rows: list[dict[str, Any]], maker: Maker
) -> list[dict[str, Any]]:
    from caco_recipes.canonical import program_hashes
    from caco_recipes.sandbox import ENGINE_VERSION

    hashes = program_hashes(maker.pool, [draft.code for draft in drafts])
    made, number = [], Counter()
    for draft, result, program in zip(drafts, results, hashes, strict=True):
        old = rows[draft.place]
        number[draft.place] += 1
        verdict, reason = draft.verdict, draft.reason
        if verdict == ACCEPTED:
            verdict, reason = _checked(draft, result)
        program_id = program[: identity.ID_DIGITS] or identity.draft_id(draft.code)
        lineage = identity.add_receipt(
            old.get("lineage") or "",
            stage="variants",
            version=VERSION,
            of=old["id"],
            number=number[draft.place],
            program_sha256=program,
            sandbox=ENGINE_VERSION,
            output_sha256=identity.sha256_text(draft.expected[0]),
            **draft.receipt,
        )
        made.append(
            {name: _empty(value) if name in OF_THE_OLD else value for name, value in old.items()}
            | {
                "id": identity.short_id(f"{program_id}\n{identity.fold_whitespace(draft.problem)}"),
                "parent_ids": [*(old.get("parent_ids") or []), old["id"]],
                "family_id": old.get("family_id") or old["id"],
                "lineage": lineage,
                "verdict": verdict,
                "reason": reason,
                "problem": draft.problem,
                "problem_origin": "variant",
                "code": draft.code,
                "input": dump(draft.value),
                "output": draft.expected[0],
                "output_text": draft.expected[1],
                "stdout": result.stdout,
                "variant": number[draft.place],
            }
        )
    return made


def _empty(value: Any) -> Any:
    return "" if isinstance(value, str) else [] if isinstance(value, list) else None


def _checked(draft: Draft, result: Any) -> tuple[str, str]:
    """The new program gives the family's output, and the new problem tells every value."""
    if result.status == "infrastructure":
        return UNDECIDED, result.reason
    if not result.ok:
        return REJECTED, result.reason
    if result.output != draft.expected[0]:
        return REJECTED, "nondeterministic"
    for finding in findings(draft.problem, draft.value):
        if finding.state in AGAINST:
            return REJECTED, f"unfaithful:{finding.key}"
    return ACCEPTED, ""
