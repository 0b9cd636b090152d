"""The `faithful` stage: does the problem say what the program computes?

In: rows with `problem`, `code`, `input`, `output` (and `variants`, where a metamorphic step has made a family). Out:
`faithfulness` (JSON: the state of every input that is not plainly stated, and its value; what the blind check compared)
and `blind_verdict` (`agrees`, `disagrees`, `no_program` or empty when not asked).

1. Static (`families/faithfulness.py`): every number of the input stands in the problem, in whatever notation, or is
   common knowledge. Rejected: `unfaithful:KEY` for an input whose value the problem does not tell, or tells of another
   input (`swapped`). Undecided, by `derived`: a value that one operation on stated numbers gives: it may be a step of the
   solution, or a change of the problem that happens to fit; by `assumed`: what a problem of science leaves to tables; by
   `doubted`: two values that would fit each other's names or order somewhat better.
2. Blind, with `blind: true`: a model writes a program from the problem alone. It runs in the sandbox and must agree with
   ours on the original input, and on every input of the family where its inputs can be told apart by their values.
   Rejected: `unfaithful:KEY` for the input on whose change they part, `unfaithful:output` when the originals differ.
   Where the static check is undecided, a blind program that agrees on changed inputs decides for the row. A model that
   writes no program that runs says nothing against a row: undecided, or accepted with `blind_missing: accept`.

    caco run recipes/Caco-1.3M/trusted.yaml --stages faithful
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.asking import ModelConfig, Resources, first_row, open_session, prompt_facts
from caco_recipes.configs import option
from caco_recipes.families import blind
from caco_recipes.families.faithfulness import AGAINST, ASSUMED, DERIVED, DOUBTED, OPEN, Finding, findings
from caco_recipes.families.values import tag_of
from caco_recipes.prompts import load
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

VERSION = 2
FEATURES = {"faithfulness": "string", "blind_verdict": "string"}


@dataclass(kw_only=True)
class Config(ModelConfig):
    """Keys of a faithful step. The paper has no such step; the blind check's model is the recipe's choice."""

    static: bool = option("Look every input value up in the problem.", True)
    derived: Literal["undecided", "accept", "reject"] = option(
        "What a value means that the problem does not state but one operation on its numbers gives.", "undecided"
    )
    assumed: Literal["undecided", "accept", "reject"] = option(
        "What a value means that a problem of science leaves to the reader's tables.", "undecided"
    )
    doubted: Literal["undecided", "accept", "reject"] = option(
        "What it means when two values would fit each other's names somewhat better.", "undecided"
    )
    blind: bool = option("Have a model write a program from the problem alone, and compare.", False)
    attempts: int = option("Programs that the model writes; one that agrees is enough.", 1)
    blind_missing: Literal["undecided", "accept"] = option(
        "What a row is for which the model writes no program that runs.", "undecided"
    )
    policy: Literal["rounding", "exact"] = option("How outputs are compared; see verify.", "rounding")
    cpu_seconds: float = option("CPU seconds of one execution of a blind program.", 2.0)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.blind:
            self.need_engine()
        if self.attempts < 1:
            raise ValueError("attempts is at least 1")


@dataclass
class Checker(Resources):
    """The model's session and a sandbox, both None without the blind check."""

    pool: Any = None


@contextmanager
def open(config: Config, context: Any) -> Iterator[Checker]:
    """The blind check's session and sandbox, where the recipe asks for them."""
    if not config.blind:
        yield Checker(None, context.recipe.seed)
        return
    with ExitStack() as stack:
        session = stack.enter_context(open_session(config, context)).session
        pool = stack.enter_context(context.sandbox(cpu_seconds=config.cpu_seconds))
        yield Checker(session, context.recipe.seed, pool=pool)


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The prompt of the blind check, the grader and the sandbox, as far as they take part."""
    if not config.blind:
        return {}
    from caco_recipes.grading import GRADER_VERSION
    from caco_recipes.sandbox import ENGINE_VERSION

    return prompt_facts("blind_program") | {"grader": GRADER_VERSION, "sandbox": ENGINE_VERSION}


def preview(config: Config, context: Any) -> str:
    """The blind check's first prompt, before the model's chat template."""
    if not config.blind:
        return "(no prompt: the input's values are looked up in the problem)"
    row = first_row(context) or {"problem": "{problem}"}
    return blind.messages(row.get("problem") or "")[0]["content"]


def run(batch: dict[str, list], config: Config, checker: Checker) -> dict[str, list]:
    """Checks the batch's rows."""
    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    read = [_findings(row) if config.static else [] for row in rows]
    decided = [static_verdict(found, config) for found in read]
    asked = [place for place, (verdict, _) in enumerate(decided) if config.blind and verdict != REJECTED]
    seen = blind.compare([rows[place] for place in asked], config, checker.session, checker.pool) if asked else []
    comparisons = dict(zip(asked, seen, strict=True))
    made = []
    for place, row in enumerate(rows):
        verdict, reason = decided[place]
        compared = comparisons.get(place)
        if compared is not None:
            verdict, reason = _with_blind(verdict, reason, compared, config)
        odd = [
            {"key": finding.key, "state": finding.state, "value": finding.value}
            for finding in read[place]
            if finding.state in (*AGAINST, *OPEN)
        ]
        told: dict[str, Any] = {"static": odd}
        if compared is not None:
            told["blind"] = compared.told()
        lineage = identity.add_receipt(
            row.get("lineage") or "",
            stage="faithful",
            version=VERSION,
            static=config.static,
            findings=odd or None,
            model=checker.session.identity if compared is not None else "",
            request_key=compared.request_key if compared is not None else "",
            prompt_sha256={"blind_program": load("blind_program").sha256} if compared is not None else None,
        )
        made.append(
            {
                "lineage": lineage,
                "verdict": verdict,
                "reason": reason,
                "faithfulness": json.dumps(told, sort_keys=True, ensure_ascii=False),
                "blind_verdict": compared.verdict if compared is not None else "",
            }
        )
    return {name: [row[name] for row in made] for name in made[0]}


def _findings(row: dict[str, Any]) -> list[Finding]:
    value = json.loads(row["input"]) if row.get("input") else {}
    return (
        findings(row.get("problem") or "", value, row.get("code") or "")
        if isinstance(value, dict) and not tag_of(value)
        else []
    )


def static_verdict(found: list[Finding], config: Config) -> tuple[str, str]:
    """Verdict and reason by what the problem says of each input: what speaks against the row is named first."""
    means = {DERIVED: config.derived, ASSUMED: config.assumed, DOUBTED: config.doubted}
    for state in (*AGAINST, "reject", "undecided"):
        for finding in found:
            if state in (finding.state, means.get(finding.state)):
                return UNDECIDED if state == "undecided" else REJECTED, f"unfaithful:{finding.key}"
    return ACCEPTED, ""


def _with_blind(verdict: str, reason: str, compared: blind.Comparison, config: Config) -> tuple[str, str]:
    if compared.fault:
        return UNDECIDED, compared.fault
    if compared.verdict == "disagrees":
        return REJECTED, f"unfaithful:{compared.parted}"
    if compared.verdict == "no_program":
        if verdict == ACCEPTED and config.blind_missing == "accept":
            return verdict, reason
        return UNDECIDED, reason or "infrastructure:no blind program"
    if verdict == UNDECIDED and compared.inputs > 1:
        return ACCEPTED, ""  # agreement on changed inputs says more than the text's numbers
    return verdict, reason
