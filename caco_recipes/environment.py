"""A Code CoT as a seeded environment: new inputs in its domain → the program gives the truth → the problem is filled in.

In:  rows with `problem` (or instruction), `code`, and `input` (tagged JSON) as the execute step writes them.
Out: rows for reinforcement: `prompt`, `answer`, `output` (tagged JSON), `code`, `input`, `family_id`, `variant`.

A variant's problem is the original text with the input's numbers replaced (`families.filling`); inputs whose numbers have
no place of their own in it stay as they are, and a family without any such place gives its original problem only. Programs run in the sandbox, never
here, and are never parsed here. Curriculum and domains: the paper's future work (section 5).
"""

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from caco_recipes.families.domains import infer
from caco_recipes.families.filling import template_of
from caco_recipes.families.mutation import near_inputs
from caco_recipes.families.values import dump, tag_of

PAIR = "Solve both problems. Head the second solution with: Problem 2\n\nProblem 1\n{first}\n\nProblem 2\n{second}"


@dataclass(frozen=True)
class Variant:
    """One problem of a family with its executed truth.

    Attributes:
        problem: the filled text.
        input, output: tagged JSON.
        answer: what `print` shows of the output.
        number: 0 for the original, then 1, 2, … in the order of the seed.
    """

    problem: str
    input: str
    output: str
    answer: str
    number: int


# ------------------------------------------------------------------------------------------------ inputs


def mutations(tagged: str, count: int, rng: random.Random, only: str | None = None) -> list[str]:
    """Up to `count` different inputs in the domain of the original (`families.domains`), as tagged JSON.

    `only` changes a single key. Returns fewer (or none) when little can be changed.
    """
    value = json.loads(tagged)
    if not isinstance(value, dict) or tag_of(value):
        return []
    return [dump(made) for made in near_inputs(infer(value), count, rng, [only] if only else None)]


# ------------------------------------------------------------------------------------------------ families


def variants(problem: str, code: str, tagged: str, count: int, seed: int, pool: Any) -> list[Variant]:
    """The original and up to `count` new problems of one family, each with the program's own output.

    Args:
        problem, code, tagged: of the original row; `tagged` is the input as tagged JSON.
        count: how many new ones to try.
        seed: decides the inputs, together with the program.
        pool: `caco_recipes.sandbox.Pool`.

    Inputs on which the program fails, prints nothing or gives a value that isn't a finite answer are left out.
    """
    value = json.loads(tagged)
    template = template_of(problem, value) if isinstance(value, dict) and not tag_of(value) else None
    filled = {tagged: problem}
    if template:
        rng = random.Random(f"{seed}\0{code}")
        for changed in near_inputs(infer(value), count, rng, template.keys):
            if text := template.fill(changed):
                filled[dump(changed)] = text
    made = []
    for number, (text, result) in enumerate(zip(filled, pool.run_variants(code, list(filled)))):
        if result.ok and result.output is not None and result.output not in ("null", '""'):
            made.append(Variant(filled[text], text, result.output, result.output_text.strip(), number))
    return made


def rows(
    families: Iterable[dict[str, Any]], pool: Any, count: int = 8, seed: int = 42, paired: bool = False
) -> Iterator[dict[str, Any]]:
    """Training rows of many families; in the paired mode each row is two variants that must both be right.

    Args:
        families: rows with `problem` or `instruction`, `code`, `input`; `id` or `family_id` and `pass_rate` pass through.
    """
    for family in families:
        problem = family.get("problem") or family["instruction"]
        made = variants(problem, family["code"], family["input"], count, seed, pool)
        name = str(family.get("family_id") or family.get("id") or "")
        common = {"code": family["code"], "family_id": name, "pass_rate": family.get("pass_rate")}
        if not paired:
            for one in made:
                yield {
                    "prompt": one.problem, "answer": one.answer, "output": one.output, "input": one.input,
                    "variant": one.number, **common,
                }  # fmt: skip
            continue
        for first, second in zip(made[::2], made[1::2]):
            yield {
                "prompt": PAIR.format(first=first.problem, second=second.problem),
                "answer": [first.answer, second.answer],
                "output": [first.output, second.output],
                "input": first.input,
                "variant": first.number,
                **common,
            }


# ------------------------------------------------------------------------------------------------ which, in what order


def in_band(pass_rate: float | None, low: float, high: float) -> bool:
    """Whether a problem is neither too easy nor too hard to learn from; one without a measured rate is let in."""
    return pass_rate is None or low <= pass_rate <= high


STRINGS = re.compile(r"(?s)(\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|#[^\n]*)")
CONTROL = re.compile(r"\b(?:for|while|if|elif|try|except|with|match|and|or|lambda)\b")


def complexity(code: str) -> tuple[int, int, int]:
    """(control-flow words, deepest indentation, lines) of a program, read as text: what a curriculum is ordered by."""
    bare = STRINGS.sub('""', code)
    lines = [line for line in bare.splitlines() if line.strip() not in ("", '""')]
    depth = max(((len(line) - len(line.lstrip())) // 4 for line in lines), default=0)
    return len(CONTROL.findall(bare)), depth, len(lines)


def curriculum(made: list[dict[str, Any]], seed: int, stages: int = 4) -> list[dict[str, Any]]:
    """The rows from simple to complex programs in `stages` equal parts, shuffled by seed inside each part."""
    order = sorted(range(len(made)), key=lambda index: (complexity(made[index]["code"]), index))
    rng, result = random.Random(seed), []
    size = -(-len(order) // stages) if order else 1
    for start in range(0, len(order), size):
        part = order[start : start + size]
        rng.shuffle(part)
        result += [made[index] for index in part]
    return result
