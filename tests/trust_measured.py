"""How many planted faults the metamorphic and faithful checks find, and how many good rows they turn away."""

import json
import random
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import trust_faults as faults

from caco_recipes import faithful, metamorphic
from caco_recipes.families.blind import compare_program
from caco_recipes.families.faithfulness import findings
from caco_recipes.sandbox import Limits, Pool

RERUNS = 2


@dataclass
class Measured:
    """Counts of one kind of rows: what the check said, by verdict and reason code."""

    kind: str
    what: str
    fault: bool
    verdicts: Counter = field(default_factory=Counter)
    reasons: Counter = field(default_factory=Counter)
    rows: list[tuple[str, str]] = field(default_factory=list)

    def add(self, row_id: str, verdict: str, reason: str) -> None:
        self.verdicts[verdict] += 1
        if reason:
            self.reasons[reason.partition(":")[0]] += 1
            self.rows.append((row_id, f"{verdict} {reason}"))

    @property
    def total(self) -> int:
        return sum(self.verdicts.values())

    def share(self, verdict: str) -> float:
        return 100 * self.verdicts[verdict] / max(self.total, 1)


class Sandboxes:
    """One pool as a metamorphic step has them."""

    def __init__(self, workers: int) -> None:
        self._stack = ExitStack()
        self.workers = workers

    def __enter__(self) -> "Sandboxes":
        pools = [Pool(workers=self.workers, seed=seed, limits=_limits()) for seed in range(RERUNS + 1)]
        self.pool, *self.others = [self._stack.enter_context(pool) for pool in pools]
        return self

    def __exit__(self, *error: Any) -> None:
        self._stack.close()

    def metamorphic(self, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """The stage's columns for each row."""
        if not rows:
            return []
        names = ("id", "problem", "code", "input", "output")
        batch = {name: [row[name] for row in rows] for name in names} | {"lineage": [""] * len(rows)}
        resources = metamorphic.Resources(self.pool, self.others, 42)
        out = metamorphic.run(batch, metamorphic.Config(reruns=RERUNS), resources)
        return [dict(zip(out, values, strict=True)) for values in zip(*out.values(), strict=True)]


def _limits() -> Limits:
    return Limits(cpu_seconds=2.0, slow_cpu_seconds=10.0)


def in_programs(rows: list[dict[str, Any]], boxes: Sandboxes) -> list[Measured]:
    """Faults of programs, and the untouched rows; only rows that came through untouched get a fault."""
    rng = random.Random(1)
    untouched = Measured("untouched", "good rows as they are", fault=False)
    good = []
    for row, found in zip(rows, boxes.metamorphic(rows), strict=True):
        untouched.add(row["id"], found["verdict"], found["reason"])
        if found["verdict"] == "accepted" and found["sensitive_inputs"]:
            good.append(row | {"sensitive": found["sensitive_inputs"]})
    plans: list[tuple[str, str, Callable[[dict[str, Any]], str | None]]] = [
        ("hard-coded answer", "`return 42`", lambda row: faults.hard_coded(row, rng)),
        ("hard-coded, disguised", "all the computing, then `return 42`", lambda row: faults.disguised(row, rng)),
        ("ignored input", "one stated input overwritten by its value", lambda row: _ignored(row, rng)),
        ("works for one input", "a table with this input alone", lambda row: faults.lookup(row, rng)),
    ]
    plans += [
        (f"non-determinism: {kind}", "", lambda row, kind=kind: faults.noisy(row, kind)) for kind in faults.NOISE
    ]
    measured = [untouched]
    for kind, what, plant in plans:
        few = good[: max(len(good) // 4, 10)] if kind.startswith("non-determinism") else good
        made = [(row, code) for row in few if (code := plant(row))]
        results = boxes.pool.run([code for _, code in made])
        planted = [
            row | {"code": code, "output": result.output}
            for (row, code), result in zip(made, results, strict=True)
            if result.ok and result.output is not None
        ]
        counts = Measured(kind, what, fault=True)
        for row, found in zip(planted, boxes.metamorphic(planted), strict=True):
            counts.add(row["id"], found["verdict"], found["reason"])
        measured.append(counts)
    return measured


def _ignored(row: dict[str, Any], rng: random.Random) -> str | None:
    from caco_recipes.families.faithfulness import mentions

    value = json.loads(row["input"])
    keys = [key for key in row["sensitive"] if mentions(row["problem"], value[key])]
    made = faults.ignored_input(row, rng, keys) if keys else None
    return made[1] if made else None


def in_problems(rows: list[dict[str, Any]]) -> list[Measured]:
    """Faults of problems, found by reading alone, and the untouched rows in two groups."""
    rng = random.Random(2)
    config = faithful.Config()
    math = Measured("untouched, mathematics", "good rows as they are", fault=False)
    science = Measured("untouched, science", "constants and tables that the problem leaves out", fault=False)
    changed = Measured("changed number", "one number in the problem is another", fault=True)
    dropped = Measured("dropped condition", "the sentence with one of the numbers is gone", fault=True)
    swapped = Measured("swapped inputs", "two input values are exchanged", fault=True)
    told = Measured("… told by name", "of those, a word of one of the two names stands in the problem", fault=True)
    untold = Measured("… not told by name", "the others: `a`, `n1`, `total`", fault=True)
    for row in rows:
        value = json.loads(row["input"])
        verdict, reason = faithful.static_verdict(findings(row["problem"], value, row["code"]), config)
        (science if faults.science(row) else math).add(row["id"], verdict, reason)
        if verdict != "accepted":
            continue
        for counts, plant in ((changed, faults.changed_number), (dropped, faults.dropped_condition)):
            if made := plant(row, rng):
                counts.add(row["id"], *faithful.static_verdict(findings(made[1], value, row["code"]), config))
        if other := faults.swapped_inputs(row, rng):
            counts = faithful.static_verdict(findings(row["problem"], json.loads(other), row["code"]), config)
            swapped.add(row["id"], *counts)
            by_name = faults.told_by_name(row, faults.exchanged_keys(row, other))
            (told if by_name else untold).add(row["id"], *counts)
    return [math, science, changed, dropped, swapped, told, untold]


def blind(rows: list[dict[str, Any]], boxes: Sandboxes) -> list[Measured]:
    """The blind check with the program of another author for the same problem; both are right before the fault."""
    rng = random.Random(3)
    by_problem = defaultdict(list)
    for row in rows:
        by_problem[" ".join(row["problem"].split())].append(row)
    pairs = [(group[0], group[1]) for group in by_problem.values() if len(group) > 1]
    untouched = Measured("untouched", "two people's programs for one problem", fault=False)
    swapped = Measured("swapped inputs", "two input values are exchanged", fault=True)
    constant = Measured("changed constant", "one number inside the program is another", fault=True)
    number = Measured("changed number", "one input value is another", fault=True)
    found = boxes.metamorphic([ours for ours, _ in pairs])
    theirs = list(boxes.pool.run([other["code"] for _, other in pairs]))
    config = faithful.Config()
    for (ours, other), family, result in zip(pairs, found, theirs, strict=True):
        compared = compare_program(ours | {"variants": family["variants"]}, other["code"], result, config, boxes.pool)
        untouched.add(ours["id"], *_blind_verdict(compared))
        if compared.verdict != "agrees":
            continue
        for counts, code in (
            (swapped, _with_input(ours, faults.swapped_inputs(ours, rng), boxes.pool)),
            (constant, _changed_constant(ours, rng)),
            (number, _with_input(ours, _changed_input(ours, rng), boxes.pool)),
        ):
            if not code:
                continue
            again = boxes.pool.run_one(code)
            if not again.ok or again.output is None or again.output == ours["output"]:
                continue  # the change changes nothing: sums and products don't care about the order
            row = ours | {"code": code, "input": again.input, "output": again.output}
            row |= {"output_text": again.output_text.strip(), "variants": "[]"}
            counts.add(ours["id"], *_blind_verdict(compare_program(row, other["code"], result, config, boxes.pool)))
    return [untouched, swapped, constant, number]


def _blind_verdict(compared: Any) -> tuple[str, str]:
    if compared.fault:
        return "undecided", compared.fault
    if compared.verdict == "disagrees":
        return "rejected", f"unfaithful:{compared.parted}"
    return ("accepted", "") if compared.verdict == "agrees" else ("undecided", "infrastructure:no blind program")


def _with_input(row: dict[str, Any], tagged: str | None, pool: Any) -> str | None:
    from caco_recipes.families.source_facts import source_facts, with_input
    from caco_recipes.families.values import literal

    if tagged is None:
        return None
    (known,) = source_facts(pool, [(row["code"], list(json.loads(row["input"])))])
    return with_input(row["code"], known, literal(json.loads(tagged)))


def _changed_input(row: dict[str, Any], rng: random.Random) -> str | None:
    value = json.loads(row["input"])
    keys = [
        key for key, item in value.items() if isinstance(item, int | float) and not isinstance(item, bool) and item
    ]
    if not keys:
        return None
    key = rng.choice(keys)
    return json.dumps(value | {key: value[key] + rng.choice([1, 2, 3])})


def _changed_constant(row: dict[str, Any], rng: random.Random) -> str | None:
    import re

    head, mark, tail = row["code"].partition("\ninput = ")
    spots = [
        m for m in re.finditer(r"(?<![\w.\"'])\d+(?![\w.\"'])", head) if "#" not in head[: m.start()].split("\n")[-1]
    ]
    if not spots:
        return None
    spot = rng.choice(spots)
    return head[: spot.start()] + str(int(spot[0]) + 1) + head[spot.end() :] + mark + tail


def table(measured: list[Measured]) -> str:
    """As Markdown: what was planted, and what became of it."""
    lines = ["| rows | what | number | rejected | undecided | accepted |", "|---|---|---:|---:|---:|---:|"]
    for one in measured:
        shares = " | ".join(
            f"{'**' if (verdict == 'rejected') == one.fault and verdict != 'undecided' else ''}{one.share(verdict):.1f} %"
            f"{'**' if (verdict == 'rejected') == one.fault and verdict != 'undecided' else ''}"
            for verdict in ("rejected", "undecided", "accepted")
        )
        lines.append(f"| {one.kind} | {one.what} | {one.total} | {shares} |")
    return "\n".join(lines)
