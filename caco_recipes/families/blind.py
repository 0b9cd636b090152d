"""The blind check: a program that a model wrote from the problem alone, against ours.

Their inputs have other names, so they are matched by value: ours is `0.25`, theirs `25`, where no other input could be
meant, and where their functions don't have the number as a constant besides (a change would miss it). What can't be matched
can't be changed, and then only the original outputs are compared.
"""

import json
import re
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any

from caco_recipes.asking import ending, message
from caco_recipes.code_cot import extract_program
from caco_recipes.families.values import dump, exact, tag_of
from caco_recipes.generation import Request
from caco_recipes.prompts import load
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

SCALES = (Fraction(1), Fraction(100), Fraction(1, 100))
SAID = re.compile(r"#.*$|\"\"\"(?:.|\n)*?\"\"\"", re.MULTILINE)  # comments and docstrings
NUMBER = re.compile(r"(?<![\w.])\d{1,15}(?:\.\d{1,15})?(?![\w.])")
# Constants that formulas have anyway: as an input's value they are still matched.
EVERYWHERE = frozenset({Fraction(0), Fraction(1), Fraction(2), Fraction(100)})


@dataclass
class Comparison:
    """What comparing a row with its blind program gave.

    Attributes:
        verdict: `agrees`, `disagrees`, or `no_program` (none was written that runs).
        parted: the input's key on whose change the programs part; `output` when they do on the original.
        inputs: on how many inputs they were compared.
        fault: the reason when the machinery failed.
        request_key: of the attempt that decided.
    """

    verdict: str = "no_program"
    parted: str = ""
    inputs: int = 0
    fault: str = ""
    request_key: str = ""
    outputs: list[str] = field(default_factory=list)

    def told(self) -> dict[str, Any]:
        """What the row keeps of it."""
        return {"verdict": self.verdict, "inputs": self.inputs, "parted": self.parted, "outputs": self.outputs}


def messages(problem: str) -> list[dict[str, str]]:
    """The request: the problem, and nothing of our program."""
    return message(load("blind_program"), problem=problem.strip("\n"))


def compare(rows: list[dict[str, Any]], config: Any, session: Any, pool: Any) -> list[Comparison]:
    """Asks for `attempts` programs per row and compares each with ours until one agrees."""
    made = [Comparison() for _ in rows]
    for attempt in range(config.attempts):
        waiting = [place for place, comparison in enumerate(made) if comparison.verdict != "agrees"]
        requests = [
            Request(
                prompt=session.render(messages(rows[place]["problem"])),
                sampling=config.sampling(),
                sample_index=attempt,
                stage="blind_program",
                subject=rows[place]["problem"],
            )
            for place in waiting
        ]
        completions = session.complete(requests) if requests else []
        programs = []
        for completion in completions:
            verdict, reason = ending(completion)
            usable = verdict == ACCEPTED
            programs.append(
                (extract_program(completion.text) if usable else "", reason if verdict == UNDECIDED else "")
            )
        results = iter(pool.run([code for code, _ in programs if code]))
        for place, request, (code, fault) in zip(waiting, requests, programs, strict=True):
            result = next(results) if code else None
            found = (
                Comparison(fault=fault) if result is None else compare_program(rows[place], code, result, config, pool)
            )
            found.request_key = session.request_key(request)
            if attempt == 0 or _says_more(found, made[place]):
                made[place] = found
    return made


def _says_more(new: Comparison, old: Comparison) -> bool:
    rank = {"agrees": 2, "disagrees": 1, "no_program": 0}
    return rank[new.verdict] > rank[old.verdict] or (bool(old.fault) and not new.fault)


def compare_program(row: dict[str, Any], code: str, result: Any, config: Any, pool: Any) -> Comparison:
    """One program, with its execution's result, against a row (`input`, `output`, `output_text`, `variants`)."""
    if result.status == "infrastructure":
        return Comparison(fault=result.reason)
    if not result.ok or result.output is None:
        return Comparison()
    outputs = [row["output_text"], result.output_text.strip()]
    same = agree(row["output"], result.output, result.output_text.strip(), config.policy)
    if same is None:
        return Comparison(fault="infrastructure:outputs can't be compared")
    if not same:
        return Comparison("disagrees", "output", 1, outputs=outputs)
    ours, theirs = json.loads(row["input"] or "{}"), json.loads(result.input or "{}")
    family = json.loads(row.get("variants") or "[]")
    fixed = constants(code)
    moves = [(one, aligned(ours, theirs, json.loads(one["input"]), fixed)) for one in family]
    plan = [(one, moved) for one, moved in moves if moved is not None]
    compared = 1
    parted: list[tuple[int, str]] = []
    if plan:
        for (one, _), other in zip(plan, pool.run_variants(code, [dump(moved) for _, moved in plan]), strict=True):
            if other.status == "infrastructure":
                return Comparison(fault=other.reason)
            if not other.ok or other.output is None:
                continue  # outside of its domain: that is no disagreement about the problem
            verdict = agree(one["output"], other.output, other.output_text.strip(), config.policy)
            if verdict is None:
                continue
            compared += 1
            if not verdict:
                changed = json.loads(one["input"])
                keys = [key for key in ours if dump(ours[key]) != dump(changed[key])]
                parted.append((len(keys), keys[0]))
                outputs = [one["output_text"], other.output_text.strip()]
    if parted:
        # The change of the fewest inputs names the one that they disagree about.
        return Comparison("disagrees", min(parted)[1], compared, outputs=outputs)
    return Comparison("agrees", "", compared, outputs=outputs)


def agree(ours: str, theirs: str, their_text: str, policy: str) -> bool | None:
    """Whether two outputs (tagged JSON; theirs also as printed) are the same answer; None when nobody can tell."""
    from caco_recipes.grading import grade_output

    if ours == theirs:
        return True
    verdict = grade_output(ours, their_text, policy=policy).verdict
    if verdict == REJECTED:  # a float against an exact value, and the other way round
        one, two = exact(json.loads(ours)), exact(json.loads(theirs))
        if one is not None and two is not None and abs(one - two) <= abs(one) / 10**6:
            return True
    return None if verdict == UNDECIDED else verdict == ACCEPTED


def constants(code: str) -> frozenset[Fraction]:
    """The numbers in a program's functions, read as text: what its `input` can't change."""
    functions = SAID.sub("", code.partition("\ninput = ")[0])
    return frozenset(Fraction(number) for number in NUMBER.findall(functions)) - EVERYWHERE


def aligned(
    ours: dict[str, Any], theirs: dict[str, Any], changed: dict[str, Any], fixed: frozenset[Fraction] = frozenset()
) -> dict[str, Any] | None:
    """`theirs` with our changes made to it; None when a changed input has no single counterpart by value.

    `fixed` are the constants of their functions: an input with such a value has another counterpart there.
    """
    if not isinstance(theirs, dict) or tag_of(theirs):
        return None
    moved = dict(theirs)
    for key, new in changed.items():
        if dump(new) == dump(ours[key]):
            continue
        found = [(name, scale) for name, value in theirs.items() for scale in SCALES if _same(ours[key], value, scale)]
        if len(found) != 1 or sum(_same(ours[key], value, Fraction(1)) for value in ours.values()) != 1:
            return None
        name, scale = found[0]
        if exact(theirs[name]) in fixed or exact(ours[key]) in fixed:
            return None
        if scale == 1 and exact(new) is None:
            moved[name] = new
            continue
        number = exact(new) * scale
        whole = isinstance(theirs[name], int) and number.denominator == 1
        moved[name] = int(number) if whole else float(number)
    return moved


def _same(ours: Any, theirs: Any, scale: Fraction) -> bool:
    one, two = exact(ours), exact(theirs)
    if one is None or two is None or isinstance(ours, bool) or isinstance(theirs, bool):
        return scale == 1 and dump(ours) == dump(theirs)
    return one * scale == two and one != 0
