"""Schedules: tasks with durations and prerequisites; with workers for all of them the longest chain decides."""

import random

from caco_recipes.procedural import Made, listed

TASKS = (
    "survey", "design", "paperwork", "foundation", "walls", "roof", "wiring", "plumbing", "painting", "inspection",
    "drainage", "insulation",
)  # fmt: skip
PROGRAM = """
def finish(task, durations, needs, known):
    # a task starts when the last of its prerequisites is done
    if task not in known:
        start = 0
        for other in needs[task]:
            start = max(start, finish(other, durations, needs, known))
        known[task] = start + durations[task]
    return known[task]

def solve(durations, needs):
    known = {}
    return max(finish(task, durations, needs, known) for task in durations)
"""


def make(draw: random.Random) -> Made:
    """Five to eight tasks in a random order; each may need up to two earlier ones. Asked is the earliest finish."""
    names = draw.sample(TASKS, draw.randint(5, 8))
    durations = {name: draw.randint(2, 14) for name in names}
    needs = {name: sorted(draw.sample(names[:i], min(i, draw.choice((0, 1, 1, 2))))) for i, name in enumerate(names)}
    shown = names[:]
    draw.shuffle(shown)
    lines = [
        f"The {name} takes {durations[name]} days"
        + (
            f" and can begin when the {listed(needs[name])} {'is' if len(needs[name]) == 1 else 'are'} finished."
            if needs[name]
            else "."
        )
        for name in shown
    ]
    total, chain = _longest(names, durations, needs)
    problem = (
        "A project has these tasks; any number of them can be done at the same time. "
        f"{' '.join(lines)} After how many days at the earliest is the whole project finished?"
    )
    sums = " + ".join(str(durations[name]) for name in chain)
    solution = (
        f"The longest chain of tasks that must follow each other decides. It is {' -> '.join(chain)}, which takes "
        f"{sums} = {total} days; everything else fits beside it. The answer is \\boxed{{{total}}}."
    )
    values = {name: durations[name] for name in shown}
    return Made({"durations": values, "needs": {name: needs[name] for name in shown}}, problem, solution, str(total))


def _longest(names: list[str], durations: dict[str, int], needs: dict[str, list[str]]) -> tuple[int, list[str]]:
    """Length and tasks of the longest chain, day by day: what is ready runs (the program recurs over prerequisites)."""
    left, done, day = dict(durations), {}, 0
    while len(done) < len(names):
        running = [
            name for name in names if name not in done and all(done.get(o, day + 1) <= day for o in needs[name])
        ]
        day += 1
        for name in running:
            left[name] -= 1
            if left[name] == 0:
                done[name] = day
    last = max(names, key=lambda name: (done[name], name))
    chain = [last]
    while needs[chain[0]]:
        chain.insert(0, max(needs[chain[0]], key=lambda name: (done[name], name)))
    return day, chain
