"""Seeds made by rule: logic, planning and science problems, each with a program that solves it and an answer.

    knights.py       logic      who tells the truth? (knights and knaves)
    orderings.py     logic      who stands where? (clues that leave one arrangement)
    latin_squares.py logic      a grid whose missing numbers follow from the given ones
    schedules.py     planning   tasks with prerequisites on several workers
    routes.py        planning   fewest steps through a grid with obstacles
    blocks.py        planning   fewest moves between two arrangements of blocks
    mechanics.py     science    motion, energy, circuits, with units
    mixtures.py      science    moles, concentrations, gas law, half-lives

A module has DOMAIN, PROGRAM (a Code CoT without its `input`) and `make(draw)`, which gives the input, the problem's text, a
solution in words and the answer. The answer is computed here by another way than the program's, so that the execute
step's check of one against the other means something. Nothing is read from anywhere: same seed, same rows.
"""

import json
import random
from collections.abc import Iterator
from typing import Any, NamedTuple

SOURCE = "caco procedural"
PROCEDURAL_VERSION = 1  # a change of any kind's problems raises it
LICENCE = "CC0-1.0"  # the rows; the code that makes them has the repository's licence


class Made(NamedTuple):
    """One problem: the program's input (JSON values), the text, a solution with a boxed answer, the answer."""

    input: dict[str, Any]
    problem: str
    solution: str
    answer: str
    program: str = ""  # where a module has several


# kind -> module; imported when asked for.
KINDS = {
    "knights": "logic",
    "orderings": "logic",
    "latin_squares": "logic",
    "schedules": "planning",
    "routes": "planning",
    "blocks": "planning",
    "mechanics": "science",
    "mixtures": "science",
}


def generate(kind: str, count: int, seed: int) -> Iterator[dict[str, Any]]:
    """`count` different seeds of a kind. Row N depends on kind, seed and N only, and on what came before it for being new.

    Raises `ValueError` for an unknown kind, and when a kind has not so many different problems.
    """
    import importlib

    if kind not in KINDS:
        raise ValueError(f"no procedural kind {kind!r}; there are {', '.join(KINDS)}")
    module = importlib.import_module(f"caco_recipes.procedural.{kind}")
    seen: set[str] = set()
    number = 0
    for _ in range(count):
        for _ in range(200):
            made = module.make(random.Random(f"{seed}:{kind}:{number}"))
            number += 1
            if made.problem not in seen:
                break
        else:
            raise ValueError(f"procedural kind {kind!r} has no {count} different problems; ask for fewer")
        seen.add(made.problem)
        yield {
            "problem": made.problem,
            "solution": made.solution,
            "answer": made.answer,
            "program": program_text(made.program or module.PROGRAM, made.input),
            "domain": KINDS[kind],
            "source": f"{SOURCE}: {kind}",
            "licence": LICENCE,
        }


def program_text(program: str, values: dict[str, Any]) -> str:
    """A whole Code CoT: functions, `input`, `output = solve(**input)`, `print(output)`."""
    items = ", ".join(f"{json.dumps(key)}: {value!r}" for key, value in values.items())
    return f"{program.strip()}\n\n\ninput = {{{items}}}\noutput = solve(**input)\nprint(output)\n"


def listed(words: list[str]) -> str:
    """`a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
