"""Latin squares: a grid in which every row and column holds each number once; the missing numbers follow."""

import itertools
import random

from caco_recipes.procedural import Made

PROGRAM = """
def options(grid, row, column):
    size = len(grid)
    used = set(grid[row]) | {grid[r][column] for r in range(size)}
    return [value for value in range(1, size + 1) if value not in used]

def fill(grid):
    # the first empty cell, every value that its row and column allow
    for row in range(len(grid)):
        for column in range(len(grid)):
            if grid[row][column] == 0:
                found = []
                for value in options(grid, row, column):
                    grid[row][column] = value
                    found += fill(grid)
                grid[row][column] = 0
                return found
    return [[list(line) for line in grid]]

def solve(grid, row, column):
    filled = fill([list(line) for line in grid])
    return filled[0][row - 1][column - 1] if len(filled) == 1 else -1
"""


def make(draw: random.Random) -> Made:
    """A square of size 4 with as many empty cells as leave one way to fill them."""
    size = 4
    square = _square(size, draw)
    grid = [list(line) for line in square]
    cells = [(r, c) for r in range(size) for c in range(size)]
    draw.shuffle(cells)
    emptied = []
    for r, c in cells[:10]:
        grid[r][c] = 0
        if _count(grid) == 1:
            emptied.append((r, c))
        else:
            grid[r][c] = square[r][c]
    row, column = draw.choice(emptied)
    shown = "\n".join(" ".join(str(value or "_") for value in line) for line in grid)
    problem = (
        f"In this puzzle every row and every column of the {size} by {size} grid holds the numbers 1 to {size} once each. "
        f"An underscore is a cell whose number is missing.\n\n{shown}\n\n"
        f"Which number belongs in row {row + 1}, column {column + 1}?"
    )
    whole = "; ".join(" ".join(map(str, line)) for line in square)
    solution = (
        f"Filling in what each row and column still lacks leaves one grid, row by row: {whole}. "
        f"Row {row + 1}, column {column + 1} holds \\boxed{{{square[row][column]}}}."
    )
    return Made({"grid": grid, "row": row + 1, "column": column + 1}, problem, solution, str(square[row][column]))


def _square(size: int, draw: random.Random) -> list[list[int]]:
    """A shuffled cyclic square."""
    values, rows, columns = (draw.sample(range(size), size) for _ in range(3))
    return [[values[(rows[r] + columns[c]) % size] + 1 for c in range(size)] for r in range(size)]


def _count(grid: list[list[int]]) -> int:
    """In how many ways the rows can be filled: rows as whole permutations, unlike the program, which goes cell by cell."""
    size = len(grid)
    allowed = [
        [line for line in itertools.permutations(range(1, size + 1)) if all(g in (0, v) for g, v in zip(given, line))]
        for given in grid
    ]
    return sum(all(len(set(column)) == size for column in zip(*lines)) for lines in itertools.product(*allowed))
