"""The `metamorphic` stage: determinism, sensitivity to every input, and a family of inputs with their true outputs.

In: executed rows with `code`, `input`, `output` (tagged JSON); `problem`, where a row has one. Out: `determinism`
(JSON: runs, seeds, days the clock moved), `variants` (JSON list of `input`, `output`, `output_text` and `fits`: whether
the output is of the original's kind), `sensitive_inputs`, `insensitive_inputs`, `untested_inputs` (nothing is known to
do with their values), `neighbours` (how many inputs in the domain were tried) and `crash_share` (how many of them the
program failed on). `family_id` stays, or is the row's id.

1. Determinism: `reruns` fresh processes, each with another hash seed, RNG seed and clock, must give the same output.
   The neighbours run in one of these processes, behind the original input.
2. Neighbours: `variants` inputs in the inferred domain (`families/domains.py`), one key at a time as far as they go.
3. Sensitivity: an input that no neighbour has shown to matter is moved far, many times, before it counts as ignored.

Rejected: `nondeterministic`; `insensitive:KEY` for an input that the problem states and no move of which changes
anything (any key where a row has no problem yet; one that the problem does not state, a label or an assumed unit, is
only recorded); `fragile:WHAT` when the program fails on more than `max_crash_share` of its neighbours, the gentlest ones
included. Undecided: faults of the machinery, and limits that only the repeated run hit. The reference has none of this.

    caco run recipes/Caco-1.3M/trusted.yaml --stages metamorphic
"""

import json
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.families import determinism
from caco_recipes.families.domains import Domain, infer
from caco_recipes.families.faithfulness import mentions
from caco_recipes.families.kinds import alike
from caco_recipes.families.source_facts import SourceFacts, source_facts
from caco_recipes.families.trials import (
    Evidence,
    Faulty,
    Program,
    fails_gently,
    look_longer,
    move_far,
    neighbours,
    what_failed,
)
from caco_recipes.families.values import dump, tag_of
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

VERSION = 2
FEATURES = {
    "determinism": "string",
    "variants": "string",
    "sensitive_inputs": "list[string]",
    "insensitive_inputs": "list[string]",
    "untested_inputs": "list[string]",
    "neighbours": "int64",
    "crash_share": "float64",
}
LONELY = 8  # failures without any success that make a program one for a single input
SLOWER = 8  # times slower than the original before the short limit ends a variant
IN_FLIGHT = 8  # programs per sandbox worker that wait for an answer at a time


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a metamorphic step. The paper has no such step."""

    reruns: int = option("Fresh processes with other seeds and another clock; 0 leaves determinism out.", 2)
    variants: int = option("Inputs in the domain that are executed and recorded as the row's family.", 8)
    sensitivity: bool = option("Find out which inputs the output depends on.", True)
    ignored: Literal["any", "all"] = option(
        "any: one stated input without effect rejects a program; all: only if no input has an effect.", "any"
    )
    max_crash_share: float = option("Reject programs that fail on a larger share of their neighbours; 1 is off.", 0.5)
    cpu_seconds: float = option("CPU seconds of one execution.", 2.0)
    variant_cpu_seconds: float = option("CPU seconds of one variant, unless a rejection hangs on it.", 0.25)
    memory_mb: int = option("Memory of one program, in MB.", 512)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reruns < 0 or self.variants < 1:
            raise ValueError("reruns can't be negative and variants is at least 1")
        if self.variant_cpu_seconds <= 0:
            raise ValueError("variant_cpu_seconds must be above 0")
        if not 0 <= self.max_crash_share <= 1:
            raise ValueError("max_crash_share is a share between 0 and 1")


@dataclass
class Resources:
    """The sandboxes: one with the first execution's seed, one per repeated run; and the run's seed."""

    pool: Any
    others: list[Any]
    seed: int


@contextmanager
def open(config: Config, context: Any) -> Iterator[Resources]:
    """Starts the sandboxes."""

    def make(seed: int) -> Any:
        return context.sandbox(
            seed=seed, cpu_seconds=config.cpu_seconds, slow_cpu_seconds=10.0, memory_mb=config.memory_mb
        )

    with ExitStack() as stack:
        pool = stack.enter_context(make(0))
        others = stack.enter_context(determinism.open_pools(make, config.reruns))
        yield Resources(pool, others, context.recipe.seed)


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The sandbox's version."""
    from caco_recipes.sandbox import ENGINE_VERSION

    return {"sandbox": ENGINE_VERSION}


def run(batch: dict[str, list], config: Config, resources: Resources) -> dict[str, list]:
    """Checks the batch's programs; see the module's docstring for the columns."""
    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    codes, outputs = batch["code"], batch["output"]
    keys = [list(_decoded(row)) for row in rows]
    known = source_facts(resources.pool, list(zip(codes, keys, strict=True)))
    joined = [
        bool(resources.others and names) and determinism.can_be_joined(code, facts)
        for code, names, facts in zip(codes, keys, known, strict=True)
    ]
    repeated = determinism.repeats(resources.others, codes, outputs, joined)

    def checked(place: int) -> Family:
        if repeated[place].verdict != ACCEPTED:
            return Family(verdict=repeated[place].verdict, reason=repeated[place].reason)
        pool = resources.others[0] if joined[place] else resources.pool
        short = min(config.variant_cpu_seconds, config.cpu_seconds)
        if (repeated[place].cpu_seconds or 0) > short / SLOWER:
            short = config.cpu_seconds
        program = Program(codes[place], outputs[place], pool, short, config.cpu_seconds)
        return check(rows[place], known[place], program, config, resources.seed, joined[place])

    with ThreadPoolExecutor(IN_FLIGHT * resources.pool.workers) as threads:
        families = list(threads.map(checked, range(len(rows))))
    made = [_columns(row, family, config) for row, family in zip(rows, families, strict=True)]
    return {name: [row[name] for row in made] for name in made[0]}


def _columns(row: dict[str, Any], family: "Family", config: Config) -> dict[str, Any]:
    from caco_recipes.sandbox import ENGINE_VERSION

    repeated = {"runs": config.reruns, "seeds": [*range(1, config.reruns + 1)], "clock_days": determinism.DAYS}
    repeated["same"] = not family.reason.startswith("nondeterministic")
    lineage = identity.add_receipt(
        row.get("lineage") or "",
        stage="metamorphic",
        version=VERSION,
        sandbox=ENGINE_VERSION,
        reruns=config.reruns,
        variants=len(family.variants),
        insensitive=family.insensitive or None,
        limits={
            "cpu_seconds": config.cpu_seconds,
            "variant_cpu_seconds": config.variant_cpu_seconds,
            "memory_mb": config.memory_mb,
        },
        variants_sha256=identity.sha256_text(json.dumps(family.variants)) if family.variants else "",
    )
    return {
        "family_id": row.get("family_id") or row["id"],
        "lineage": lineage,
        "verdict": family.verdict,
        "reason": family.reason,
        "determinism": json.dumps(repeated, sort_keys=True) if config.reruns else "",
        "variants": json.dumps(family.variants, ensure_ascii=True, separators=(",", ":")),
        "sensitive_inputs": family.sensitive,
        "insensitive_inputs": family.insensitive,
        "untested_inputs": family.untested,
        "neighbours": family.neighbours,
        "crash_share": family.crash_share,
    }


# ------------------------------------------------------------------------------------------------ one program


@dataclass
class Family:
    """What is found out about one program."""

    verdict: str = ACCEPTED
    reason: str = ""
    variants: list[dict[str, Any]] = field(default_factory=list)
    sensitive: list[str] = field(default_factory=list)
    insensitive: list[str] = field(default_factory=list)
    untested: list[str] = field(default_factory=list)
    neighbours: int = 0
    crash_share: float = 0.0


def _decoded(row: dict[str, Any]) -> dict[str, Any]:
    value = json.loads(row["input"]) if row.get("input") else {}
    return value if isinstance(value, dict) and not tag_of(value) else {}


def check(
    row: dict[str, Any], known: SourceFacts, program: Program, config: Config, seed: int, joined: bool
) -> Family:
    """Neighbours and sensitivity of one program; with `joined`, its last repeated run too."""
    original = _decoded(row)
    if not original:
        return Family()  # a Code CoT without inputs is legal (paper's own examples)
    if known.fault:
        return Family(verdict=UNDECIDED, reason=known.fault)
    domain = infer(original, known)
    rng = random.Random(f"{seed}\0{row['code']}\0{row['input']}")
    try:
        return _checked(row, domain, program, config, rng, joined)
    except Faulty as fault:
        return Family(verdict=UNDECIDED, reason=str(fault))


def _checked(
    row: dict[str, Any], domain: Domain, program: Program, config: Config, rng: random.Random, joined: bool
) -> Family:
    keys, family = list(domain.original), Family()
    inputs = neighbours(domain, config.variants, rng)
    results = program.run_with_control(domain, inputs)
    if results is None:
        # The input can't be handed in as it is (a symbolic object, one shared value in two places): nothing is tested.
        family.untested = keys
        if joined:
            (again,) = determinism.repeats([program.pool], [program.code], [program.output])
            family.verdict, family.reason = again.verdict, again.reason
        return family
    crashes: Counter[str] = Counter()
    evidence = {key: Evidence() for key in keys}
    for value, result in zip(inputs, results, strict=True):
        moved = [key for key in keys if dump(value[key]) != dump(domain.original[key])]
        if len(moved) == 1:
            evidence[moved[0]].add(value, result, program.output)
        if result.ok and result.output is not None:
            text = {"output": result.output, "output_text": result.output_text.strip()}
            fits = alike(program.output, result.output)
            family.variants.append({"input": dump(value)} | text | {"fits": fits})
        elif not result.ok:
            crashes[what_failed(result)] += 1
    family.neighbours = len(inputs)
    family.crash_share = round(sum(crashes.values()) / len(inputs), 4) if inputs else 0.0
    if config.sensitivity:
        move_far(program, domain, rng, evidence)
    ignored = _ignored(row, domain.original, family, evidence, config)
    if ignored and look_longer(program, list(evidence.values())):
        ignored = _ignored(row, domain.original, family, evidence, config)
    if ignored:
        family.verdict, family.reason = REJECTED, f"insensitive:{ignored[0]}"
    elif what := _fragile(program, domain, family, evidence, crashes, config, rng):
        family.verdict, family.reason = REJECTED, f"fragile:{what}"
    return family


def _ignored(
    row: dict[str, Any], original: dict[str, Any], family: Family, evidence: dict[str, Evidence], config: Config
) -> list[str]:
    """The inputs whose having no effect speaks against the program; sorts all of them by what moving them showed."""
    if not config.sensitivity:
        return []
    family.sensitive, family.insensitive, family.untested = (
        [key for key, one in evidence.items() if one.state == state]
        for state in ("sensitive", "insensitive", "untested")
    )
    if not any(one.differs for one in evidence.values()):
        return family.insensitive  # no input at all changes the answer: it is a constant, whatever the problem states
    return _stated(row, original, family) if config.ignored == "any" else []


def _stated(row: dict[str, Any], original: dict[str, Any], family: Family) -> list[str]:
    """The ignored inputs that the problem states; all of them where a row has no problem yet: its inputs will be told.

    A value that the problem states once, and that another input with an effect has too, is that other input's.
    """
    problem = row.get("problem") or ""
    if not problem.strip():
        return family.insensitive
    claimed = [dump(original[key]) for key in family.sensitive]
    return [
        key
        for key in family.insensitive
        if (spots := mentions(problem, original[key])) and spots > claimed.count(dump(original[key]))
    ]


def _fragile(
    program: Program,
    domain: Domain,
    family: Family,
    evidence: dict[str, Evidence],
    crashes: Counter[str],
    config: Config,
    rng: random.Random,
) -> str:
    """What the program fails with on most neighbours, the gentlest moves included; empty when it does not."""
    if config.max_crash_share >= 1:
        return ""
    if family.crash_share > config.max_crash_share:
        fails = fails_gently(program, domain, rng, config.max_crash_share)
        return crashes.most_common(1)[0][0] if fails else ""
    # Nothing but failures, however an input is moved: a program for this one input.
    if not family.variants and _only_failures(evidence):
        look_longer(program, list(evidence.values()))
        return next(one.last for one in evidence.values() if one.failed) if _only_failures(evidence) else ""
    return ""


def _only_failures(evidence: dict[str, Evidence]) -> bool:
    failed = sum(one.failed for one in evidence.values())
    return failed >= LONELY and not any(one.same or one.differs for one in evidence.values())
