"""What other inputs show about a program: its neighbours, which keys matter, how often it fails.

Every execution gets a short limit of CPU time first: a neighbour that loops for ever is the most expensive thing here.
Whatever speaks against a program is executed again with the whole limit before it counts.
"""

import random
from dataclasses import dataclass, field
from typing import Any

from caco_recipes.families.domains import Domain
from caco_recipes.families.mutation import near, near_inputs, wide
from caco_recipes.families.values import dump

LONGEST = 60_000  # characters of an input's JSON: the sandbox bounds the values that go in
WIDE_ROUNDS = (6, 40)  # how many far moves are tried at once before a key counts as ignored
ENOUGH = 3  # executions with the old answer that make an input ignored although others failed
SLOW = 4  # far moves that use up the short limit before a key is left alone
CERTAIN = 2  # of those, how many are executed again with the whole limit
GENTLE = 24  # smallest steps tried before a program counts as fragile


class Faulty(Exception):
    """The sandbox failed; the text says how."""


@dataclass
class Program:
    """A program whose output is known (tagged JSON), the sandbox for it, and its limits of CPU seconds."""

    code: str
    output: str
    pool: Any
    short_limit: float
    whole_limit: float

    def run(self, inputs: list[dict[str, Any]], whole: bool = False) -> list[Any]:
        """Executes the program on each input, in one process. Raises `Faulty`."""
        limit = self.whole_limit if whole else self.short_limit
        results = self.pool.run_variants(self.code, [dump(value) for value in inputs], cpu_seconds=limit)
        for result in results:
            if result.status == "infrastructure":
                raise Faulty(result.reason)
        return results

    def run_with_control(self, domain: Domain, inputs: list[dict[str, Any]]) -> list[Any] | None:
        """The results of the inputs; None when the original, handed in before them, does not give the known output."""
        if not fitting([domain.original]):
            return None
        control, *results = self.run([domain.original, *inputs])
        if control.status == "timeout" and self.short_limit < self.whole_limit:
            self.short_limit = self.whole_limit
            control, *results = self.run([domain.original, *inputs])
        return results if control.ok and control.output == self.output else None


def fitting(inputs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The inputs that are short enough for the sandbox."""
    return [value for value in inputs if len(dump(value)) <= LONGEST]


def what_failed(result: Any) -> str:
    """The exception, or the limit, that an execution ended with."""
    return result.reason.partition(":")[2] or result.reason


def neighbours(domain: Domain, count: int, rng: random.Random) -> list[dict[str, Any]]:
    """`count` inputs in the domain: one per key that moves alone, then with all keys moved."""
    keys, found = list(domain.original), {}
    for key in keys[:count] if len(keys) > 1 else []:
        value = near(domain, rng, [key])
        if value is not None:
            found.setdefault(dump(value), value)
    # At least one input with everything moved, whatever the number of keys.
    together = near_inputs(domain, max(count - len(found), 1), rng)
    found |= {dump(value): value for value in together}
    return fitting(list(found.values())[-count:])


@dataclass
class Evidence:
    """What moving one key alone has shown so far: how often nothing changed, how often the program failed."""

    same: int = 0
    failed: int = 0
    differs: bool = False
    last: str = ""
    cut: list[dict[str, Any]] = field(default_factory=list)  # inputs that the limit of CPU time ended

    def add(self, value: dict[str, Any], result: Any, output: str) -> None:
        """Counts one execution."""
        if not result.ok:
            self.failed += 1
            self.last = what_failed(result)
            if result.status == "timeout":
                self.cut.append(value)
        elif result.output == output:
            self.same += 1
        else:
            self.differs = True

    @property
    def state(self) -> str:
        """`sensitive`, `insensitive` or `untested`.

        A failure shows that the value is looked at, not that the answer depends on it: a few executions that end with
        the old answer outweigh any number of failures.
        """
        if self.differs:
            return "sensitive"
        if self.same >= ENOUGH or (self.same and not self.failed):
            return "insensitive"
        return "sensitive" if self.failed else "untested"


def move_far(program: Program, domain: Domain, rng: random.Random, evidence: dict[str, Evidence]) -> None:
    """Moves the keys that no neighbour has shown to matter: far, in rounds, until something changes."""
    waiting = {key: fitting(wide(domain, key, rng)) for key, one in evidence.items() if not one.differs}
    start = 0
    for size in WIDE_ROUNDS:
        plan = [
            (key, value)
            for key, moves in waiting.items()
            if not evidence[key].differs and len(evidence[key].cut) < SLOW
            for value in moves[start : start + size]
        ]
        if not plan:
            break
        for (key, value), result in zip(plan, program.run([value for _, value in plan]), strict=True):
            evidence[key].add(value, result, program.output)
        start += size


def look_longer(program: Program, found: list[Evidence]) -> bool:
    """Executes what the short limit cut off again with the whole one; whether there was anything to execute.

    `found` are those that are about to count against the program.
    """
    waiting = [one for one in found if one.cut] if program.short_limit < program.whole_limit else []
    for one in waiting:
        again, one.cut = one.cut[:CERTAIN], one.cut[CERTAIN:]
        one.failed -= len(again)
        for value, result in zip(again, program.run(again, whole=True), strict=True):
            one.add(value, result, program.output)
    return bool(waiting)


def fails_gently(program: Program, domain: Domain, rng: random.Random, most: float) -> bool:
    """Whether more than a share of single keys' smallest steps fail: a domain that was guessed too wide is ours."""
    inputs: dict[str, dict[str, Any]] = {}
    for key in domain.original:
        for value in wide(domain, key, rng)[:5]:
            inputs.setdefault(dump(value), value)
    chosen = fitting(list(inputs.values()))[:GENTLE]
    for whole in (False, True) if program.short_limit < program.whole_limit else (True,):
        results = program.run(chosen, whole) if chosen else []
        if sum(not result.ok for result in results) <= most * len(chosen):
            return False
        if not any(result.status == "timeout" for result in results):
            return True
    return True
