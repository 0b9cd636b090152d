"""Routes: the fewest steps of a robot through a grid of cells with obstacles."""

import random

from caco_recipes.procedural import Made

PROGRAM = """
from collections import deque

def solve(rows, columns, walls, start, goal):
    # breadth-first search: every cell is reached by the fewest steps first
    blocked = {tuple(cell) for cell in walls}
    steps = {tuple(start): 0}
    queue = deque([tuple(start)])
    while queue:
        r, c = queue.popleft()
        if (r, c) == tuple(goal):
            return steps[(r, c)]
        for cell in ((r + 1, c), (r - 1, c), (r, c + 1), (r, c - 1)):
            inside = 1 <= cell[0] <= rows and 1 <= cell[1] <= columns
            if inside and cell not in blocked and cell not in steps:
                steps[cell] = steps[(r, c)] + 1
                queue.append(cell)
    return -1
"""


def make(draw: random.Random) -> Made:
    """A grid with a way through it, preferably one that has to go around something."""
    while True:
        rows, columns = draw.randint(4, 7), draw.randint(4, 7)
        cells = [(r, c) for r in range(1, rows + 1) for c in range(1, columns + 1)]
        start, goal, *walls = draw.sample(cells, 2 + draw.randint(rows, 2 * rows))
        steps, path = _shortest(rows, columns, set(walls), start, goal)
        around = steps > abs(start[0] - goal[0]) + abs(start[1] - goal[1])
        if steps > 2 and (around or draw.random() < 0.2):
            break
    walls.sort()
    problem = (
        f"A robot moves on a grid of cells with {rows} rows and {columns} columns; (r, c) is the cell in row r and column c. "
        f"In one step it goes to a cell above, below, left or right of its own. It can't enter the cells "
        f"{', '.join(map(str, walls))}. What is the fewest number of steps from {start} to {goal}?"
    )
    solution = (
        f"Reaching cells in order of their distance from {start}, the goal is first reached by this route: "
        f"{' -> '.join(map(str, path))}. No shorter one avoids the obstacles. It has \\boxed{{{steps}}} steps."
    )
    values = {
        "rows": rows,
        "columns": columns,
        "walls": [list(w) for w in walls],
        "start": list(start),
        "goal": list(goal),
    }
    return Made(values, problem, solution, str(steps))


def _shortest(rows: int, columns: int, walls: set, start: tuple, goal: tuple) -> tuple[int, list[tuple]]:
    """By relaxing distances until nothing changes (the program searches breadth first); (-1, []) without a way."""
    far = rows * columns + 1
    free = {(r, c) for r in range(1, rows + 1) for c in range(1, columns + 1)} - walls
    distance = dict.fromkeys(free, far) | {goal: 0}

    def around(cell: tuple) -> list[tuple]:
        r, c = cell
        return [near for near in ((r - 1, c), (r, c - 1), (r, c + 1), (r + 1, c)) if near in free]

    changed = True
    while changed:
        changed = False
        for cell in sorted(free):
            best = min((distance[near] + 1 for near in around(cell)), default=far)
            if best < distance[cell]:
                distance[cell], changed = best, True
    if distance[start] >= far:
        return -1, []
    path = [start]
    while path[-1] != goal:
        path.append(min(around(path[-1]), key=lambda cell: (distance[cell], cell)))
    return distance[start], path
