"""HumanEval+: the program that runs a response against its tests, in the sandbox and nowhere else.

A response is right if its code defines the function and all tests pass. The last line of the program prints a word drawn for
this run: code that ends the process early, however politely, has not passed.
"""

import re
import secrets
from collections.abc import Iterable, Iterator
from typing import Any

from caco_recipes.evaluation.loading import Problem
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, Verdict

_BLOCK = re.compile(r"```[ \t]*(?:[Pp]ython3?|py)?[ \t]*\n(.*?)(?:\n[ \t]*```|\Z)", re.DOTALL)
# What a base model writes after it has finished the function it was given.
_STOPS = ("\nclass ", "\ndef ", "\n#", "\nif __name__", "\nprint(", "\nassert ", "\n```", "\n### ")


def read_code(response: str, problem: Problem) -> tuple[str, int, int, str]:
    """The code of a response, its place, and the rule that found it.

    A code block that defines the function is taken whole, the last such one first. A response without a block is the
    function's body or the rest of the prompt, up to where a model starts something else.
    """
    blocks = list(_BLOCK.finditer(response))
    defining = [block for block in blocks if f"def {problem.entry_point}" in block.group(1)]
    if defining:
        block = defining[-1]
        return _imports_of(problem) + block.group(1), *block.span(1), "code_block"
    if blocks:
        block = blocks[0]
        return problem.problem + _indented(block.group(1)), *block.span(1), "body_block"
    if f"def {problem.entry_point}" in response:
        start = response.find(f"def {problem.entry_point}")
        end = _end_of_function(response, start + 4)
        return _imports_of(problem) + response[start:end], start, end, "function"
    end = _end_of_function(response, 0)
    return problem.problem + response[:end], 0, end, "continuation"


def test_program(code: str, problem: Problem, word: str) -> str:
    """The whole program: code, the tests' source, the call that runs them, and the word that says it came through."""
    return f"{code}\n\n{problem.tests}\n\ncheck({problem.entry_point})\nprint({word!r})\n"


test_program.__test__ = False  # a name that pytest would otherwise collect


def run_tests(pool: Any, answered: Iterable[tuple[Problem, str]]) -> Iterator[Verdict]:
    """A verdict per (problem, code), in order. An infrastructure fault of the sandbox is undecided, never wrong."""
    answered = list(answered)
    words = [f"passed-{secrets.token_hex(8)}" for _ in answered]
    programs = [test_program(code, problem, word) for (problem, code), word in zip(answered, words)]
    for result, word in zip(pool.run(programs), words):
        yield verdict_of(result, word)


def verdict_of(result: Any, word: str) -> Verdict:
    """The verdict that a sandbox result stands for."""
    if result.status == "infrastructure":
        return Verdict(UNDECIDED, result.reason or "infrastructure:sandbox", "tests")
    if result.status != "ok":
        return Verdict(REJECTED, result.reason or "exception:unknown", "tests")
    if not result.stdout.rstrip().endswith(word):
        return Verdict(REJECTED, "answer_mismatch:ended_early", "tests")
    return Verdict(ACCEPTED, "", "tests")


def _imports_of(problem: Problem) -> str:
    """Imports and helpers that the prompt gives before the function; a whole answer may rely on them."""
    head, mark, _ = problem.problem.partition(f"def {problem.entry_point}")
    return head + "\n" if mark and head.strip() else ""


def _indented(body: str) -> str:
    """A body as it belongs behind the prompt; a block that is not indented is."""
    lines = body.split("\n")
    first = next((line for line in lines if line.strip()), "")
    if first and not first[0].isspace():
        lines = ["    " + line if line.strip() else line for line in lines]
    return "\n".join(lines)


def _end_of_function(text: str, start: int) -> int:
    ends = [place for stop in _STOPS if (place := text.find(stop, start)) >= 0]
    return min(ends, default=len(text))
