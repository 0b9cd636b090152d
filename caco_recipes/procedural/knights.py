"""Knights and knaves: each inhabitant always tells the truth or always lies, and says something about the others."""

import random

from caco_recipes.procedural import Made, listed

NAMES = ("Abel", "Bora", "Cleo", "Dina", "Egon", "Fatma", "Goran", "Hana", "Ivo", "Jana")
PROGRAM = """
from itertools import product

def holds(statement, truthful):
    kind, about = statement
    if kind == "knave":
        return not truthful[about[0]]
    if kind == "same":
        return truthful[about[0]] == truthful[about[1]]
    if kind == "count":
        return sum(truthful) == about[0]
    return truthful[about[0]] or truthful[about[1]]

def solve(names, statements):
    # try every way of being truthful; a statement is true exactly when its speaker is truthful
    found = []
    for truthful in product([True, False], repeat=len(names)):
        if all(holds(s, truthful) == truthful[i] for i, s in enumerate(statements)):
            found.append(truthful)
    if len(found) != 1:
        return -1
    return sum(found[0])
"""


def make(draw: random.Random) -> Made:
    """An island with one consistent reading; asked is the number of knights."""
    while True:
        size = draw.randint(3, 5)
        names = draw.sample(NAMES, size)
        knights = frozenset(i for i in range(size) if draw.random() < 0.5)
        statements = [_statement(i, size, i in knights, knights, draw) for i in range(size)]
        readings = [mask for mask in range(1 << size) if _consistent(mask, statements)]
        if len(readings) == 1:
            break
    lines = [f'{name} says: "{_text(statement, names)}"' for name, statement in zip(names, statements)]
    problem = (
        f"On an island every inhabitant is either a knight, who always tells the truth, or a knave, who always lies. "
        f"You meet {listed(names)}. {' '.join(lines)} How many of them are knights?"
    )
    who = [names[i] for i in sorted(knights)]
    named = (
        f"the knights are {listed(who)}"
        if len(who) > 1
        else f"the only knight is {who[0]}"
        if who
        else "all are knaves"
    )
    solution = (
        f"A statement is true exactly when its speaker is a knight. Going through the {1 << size} ways in which "
        f"{size} people can be knights or knaves, one alone fits all statements: {named}. "
        f"The number of knights is \\boxed{{{len(who)}}}."
    )
    return Made({"names": names, "statements": statements}, problem, solution, str(len(who)))


def _statement(speaker: int, size: int, truthful: bool, knights: frozenset, draw: random.Random) -> list:
    """A statement that is true for a knight and false for a knave."""
    while True:
        kind = draw.choice(("knave", "same", "count", "either"))
        others = draw.sample([i for i in range(size) if i != speaker], 2)
        about = [draw.randint(0, size)] if kind == "count" else others[:1] if kind == "knave" else others
        mask = sum(1 << i for i in knights)
        if _true([kind, about], mask) == truthful:
            return [kind, about]


def _true(statement: list, mask: int) -> bool:
    """The same rules as the program's, on bits."""
    kind, about = statement
    if kind == "count":
        return mask.bit_count() == about[0]
    bits = [mask >> i & 1 for i in about]
    return {"knave": not bits[0], "same": bits[0] == bits[-1], "either": any(bits)}[kind]


def _consistent(mask: int, statements: list) -> bool:
    return all(_true(statement, mask) == bool(mask >> i & 1) for i, statement in enumerate(statements))


def _text(statement: list, names: list[str]) -> str:
    kind, about = statement
    if kind == "count":
        return f"Exactly {about[0]} of us are knights." if about[0] != 1 else "Exactly one of us is a knight."
    first, last = names[about[0]], names[about[-1]]
    return {
        "knave": f"{first} is a knave.",
        "same": f"{first} and {last} are of the same kind.",
        "either": f"{first} or {last} is a knight, or both are.",
    }[kind]
