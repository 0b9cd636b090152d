"""Blocks: the fewest moves from one arrangement of stacks to another, one block at a time."""

import random

from caco_recipes.procedural import Made

LETTERS = "ABCDEF"
PROGRAM = """
def moves(state):
    # the top block of any stack, onto another stack or onto the table
    for i, stack in enumerate(state):
        rest = state[:i] + state[i + 1:]
        block, left = stack[-1], stack[:-1]
        kept = rest + ((left,) if left else ())
        if left:
            yield kept + ((block,),)
        for j, other in enumerate(rest):
            yield kept[:j] + (other + (block,),) + kept[j + 1:]

def solve(start, goal):
    first = tuple(sorted(tuple(stack) for stack in start))
    last = tuple(sorted(tuple(stack) for stack in goal))
    layer, seen, count = {first}, {first}, 0
    while last not in layer:
        layer = {tuple(sorted(state)) for old in layer for state in moves(old)} - seen
        seen |= layer
        count += 1
    return count
"""


def make(draw: random.Random) -> Made:
    """Four or five blocks; start and goal differ."""
    while True:
        letters = LETTERS[: draw.randint(4, 5)]
        start, goal = _stacks(letters, draw), _stacks(letters, draw)
        count, plan = _fewest(start, goal)
        if count >= 2:
            break
    problem = (
        "Blocks stand in stacks on a table that has room for any number of stacks. In one move the top block of a stack "
        "is put on top of another stack or on the table. "
        f"At first there are {_text(start)}. In the end there should be {_text(goal)}. "
        "Stacks are named from bottom to top; where they stand does not matter. What is the fewest number of moves?"
    )
    steps = "; ".join(plan)
    solution = f"This takes the fewest moves: {steps}. A search over all arrangements finds no shorter way: \\boxed{{{count}}}."
    return Made({"start": start, "goal": goal}, problem, solution, str(count))


def _stacks(letters: str, draw: random.Random) -> list[list[str]]:
    order = draw.sample(letters, len(letters))
    stacks: list[list[str]] = []
    for letter in order:
        if stacks and draw.random() < 0.65:
            draw.choice(stacks).append(letter)
        else:
            stacks.append([letter])
    return sorted(stacks)


def _text(stacks: list[list[str]]) -> str:
    return (
        "the stacks " + ", ".join("-".join(stack) for stack in stacks)
        if len(stacks) > 1
        else f"one stack, {'-'.join(stacks[0])}"
    )


def _fewest(start: list[list[str]], goal: list[list[str]]) -> tuple[int, list[str]]:
    """Iterative deepening over what each block stands on (the program widens layers of stacks)."""
    below = _below(start)
    target = _below(goal)

    def search(state: dict[str, str], left: int, plan: list[str]) -> list[str] | None:
        wrong = sum(state[block] != target[block] for block in state)
        if not wrong:
            return plan
        if wrong > left:
            return None
        clear = [block for block in sorted(state) if block not in state.values()]
        for block in clear:
            for place in ["", *clear]:
                if place != block and state[block] != place:
                    where = f"{block} onto {place}" if place else f"{block} onto the table"
                    if (found := search(state | {block: place}, left - 1, [*plan, where])) is not None:
                        return found
        return None

    depth = 0
    while True:
        if (plan := search(below, depth, [])) is not None:
            return depth, plan
        depth += 1


def _below(stacks: list[list[str]]) -> dict[str, str]:
    return {block: under for stack in stacks for under, block in zip(["", *stack], stack)}
