"""Orderings: people stand in a row; clues leave exactly one arrangement; asked is somebody's place."""

import itertools
import random

from caco_recipes.procedural import Made, listed

NAMES = ("Ada", "Ben", "Cem", "Dora", "Emil", "Fee", "Gil", "Hugo", "Ines", "Jan")
PROGRAM = """
from itertools import permutations

def fits(place, clue):
    kind, first, second = clue
    if kind == "left":
        return place[first] < place[second]
    if kind == "next":
        return abs(place[first] - place[second]) == 1
    if kind == "apart":
        return abs(place[first] - place[second]) > 1
    return place[first] == second

def solve(people, clues, asked):
    # every order of the people is tried against every clue
    places = set()
    for order in permutations(people):
        place = {name: number for number, name in enumerate(order, 1)}
        if all(fits(place, clue) for clue in clues):
            places.add(place[asked])
    return places.pop() if len(places) == 1 else -1
"""


def make(draw: random.Random) -> Made:
    """Clues are added until one order is left, then those that are not needed are dropped."""
    people = draw.sample(NAMES, draw.randint(4, 6))
    truth = {name: number for number, name in enumerate(draw.sample(people, len(people)), 1)}
    every = [clue for clue in _clues(people) if _fits(truth, clue)]
    draw.shuffle(every)
    clues: list[list] = []
    every_order = [dict(zip(order, range(1, len(people) + 1))) for order in itertools.permutations(people)]
    orders = every_order
    for clue in every:
        left = [order for order in orders if _fits(order, clue)]
        if len(left) < len(orders):
            clues.append(clue)
            orders = left
        if len(orders) == 1:
            break
    for clue in clues[:]:
        others = [other for other in clues if other is not clue]
        if sum(all(_fits(order, other) for other in others) for order in every_order) == 1:
            clues = others
    asked = draw.choice(people)
    order = sorted(people, key=truth.__getitem__)
    problem = (
        f"{listed(people)} stand in a row, places numbered from 1 on the left. "
        f"{' '.join(_text(clue) for clue in clues)} In which place does {asked} stand?"
    )
    solution = (
        f"The clues leave one arrangement only. From left to right it is {', '.join(order)}: every clue holds in it, "
        f"and any other order breaks one. So {asked} stands in place \\boxed{{{truth[asked]}}}."
    )
    return Made({"people": people, "clues": clues, "asked": asked}, problem, solution, str(truth[asked]))


def _clues(people: list[str]) -> list[list]:
    found: list[list] = [["at", name, place] for name in people for place in range(1, len(people) + 1)][:2]
    for first, second in itertools.permutations(people, 2):
        found.append(["left", first, second])
        if first < second:
            found += [["next", first, second], ["apart", first, second]]
    return found


def _fits(place: dict[str, int], clue: list) -> bool:
    kind, first, second = clue
    if kind == "at":
        return place[first] == second
    gap = place[second] - place[first]
    return {"left": gap > 0, "next": gap in (-1, 1), "apart": gap not in (-1, 1)}[kind]


def _text(clue: list) -> str:
    kind, first, second = clue
    return {
        "left": f"{first} stands somewhere to the left of {second}.",
        "next": f"{first} and {second} stand next to each other.",
        "apart": f"{first} and {second} do not stand next to each other.",
        "at": f"{first} stands in place {second}.",
    }[kind]
