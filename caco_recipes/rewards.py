"""Verifiable rewards: 1.0 for right, 0.0 for wrong, None where *we* could not tell (the trainer skips a None).

    answer_reward    the completion's final answer against the executed output of the problem's program
    program_reward   the completion's program against the reference program, on the original and on mutated inputs

Both have TRL's signature (completions and dataset columns by keyword, lists in order) and are asynchronous: one call
grades a whole batch, programs run side by side in the sandbox, and whatever hangs is killed there. They can be called
from any thread. Future work of the paper (section 5): reinforcement with rewards from execution.
"""

import asyncio
import functools
import random
from typing import Any

from caco_recipes.environment import mutations
from caco_recipes.verdicts import ACCEPTED, UNDECIDED

MUTATED_INPUTS = 4
# When the reference says the same on all of them (many answers are yes or no), as many times more are tried.
MORE_INPUTS = 4
PAIR_MARK = "Problem 2"


async def answer_reward(
    completions: list, answer: list | None = None, output: list | None = None, log_extra: Any = None, **_: Any
) -> list[float | None]:
    """The final answer of each completion, checked by our grader.

    Args:
        completions: texts, or chat turns as TRL passes them.
        answer: the gold per completion: text, or a list of two texts in the paired mode, where both must be right.
        output: the program's output as tagged JSON (exact: it tells 1 from "1"); used instead of `answer` where given.
        log_extra: TRL's; receives the reasons as a column.

    Returns:
        1.0, 0.0, or None when undecided (an unreadable answer, a dead grader). Raises `ValueError` without any gold.
    """
    if answer is None and output is None:
        raise ValueError("answer_reward needs the column answer or output")
    pairs, owners = [], []
    for index, completion in enumerate(completions):
        text, gold = text_of(completion), _gold(answer, output, index)
        for part, expected in zip(_parts(text, len(gold)), gold):
            owners.append(index)
            pairs.append((expected, part))
    verdicts = await asyncio.to_thread(_grade, pairs)
    found: list[list] = [[] for _ in completions]
    for owner, verdict in zip(owners, verdicts):
        found[owner].append(verdict)
    _log(log_extra, "answer_reason", [next((v.reason for v in of if not v.accepted), "") for of in found])
    return [_value([verdict.verdict for verdict in of]) for of in found]


async def program_reward(
    completions: list,
    code: list[str] | None = None,
    input: list[str] | None = None,
    log_extra: Any = None,
    **_: Any,
) -> list[float | None]:
    """Each completion's program, run in the sandbox.

    It must run, name the same inputs as the reference, give the reference's output on the original and on
    `MUTATED_INPUTS` mutated inputs, give the same output under another seed (deterministic), and so change its output
    where the reference's changes (no literal answer). A reference that says the same on every mutation can't tell a
    literal answer from a right program: None. Without a reference (CodeGen writes freely) the gates alone count: it runs,
    it is deterministic, and every input changes the output on some mutation.

    Args:
        completions: texts, or chat turns as TRL passes them.
        code: the reference program per completion, or None.
        input: its input as tagged JSON; by default the one that the reference (or the program) has.
    """
    checks = [
        asyncio.to_thread(check_program, text_of(completion), code[i] if code else None, input[i] if input else None)
        for i, completion in enumerate(completions)
    ]
    found = await asyncio.gather(*checks)
    _log(log_extra, "program_reason", [reason for _, reason in found])
    return [value for value, _ in found]


def check_program(completion: str, reference: str | None, tagged_input: str | None = None) -> tuple[float | None, str]:
    """(reward, reason) of one completion; the reason is a code of `verdicts.REASONS`, empty when accepted."""
    from caco_recipes.code_cot import extract_program

    program = extract_program(completion)
    if not program:
        return 0.0, "no_output"
    pool, other = _pool(0), _pool(1)
    written = pool.run_one(program)
    if written.status == "infrastructure":
        return None, written.reason
    if not written.ok:
        return 0.0, written.reason
    if written.output is None or written.input is None:
        return 0.0, "no_output" if written.output is None else "no_input"
    if reference is None:
        return _alone(program, written, pool, other)

    truth = pool.run_one(reference)
    original = tagged_input or truth.input
    if not truth.ok or original is None:
        return None, truth.reason or "bad_row:reference"  # the row is at fault, not the completion
    if _keys(written.input) != _keys(original):
        return 0.0, "bad_row:input_keys"
    inputs = [original, *mutations(original, MUTATED_INPUTS * MORE_INPUTS, random.Random(original))]
    expected = pool.run_variants(reference, inputs[: 1 + MUTATED_INPUTS])
    if not _varies(expected):
        expected += pool.run_variants(reference, inputs[1 + MUTATED_INPUTS :])
    inputs = inputs[: len(expected)]
    got, again = pool.run_variants(program, inputs), other.run_variants(program, inputs)
    compared = 0
    for right, mine in zip(expected, got):
        if right.status == "infrastructure" or mine.status == "infrastructure":
            return None, "infrastructure:sandbox"
        if not right.ok or right.output is None:
            continue  # the mutation left the program's domain
        compared += 1
        if not mine.ok:
            return 0.0, mine.reason
        if mine.output != right.output and _agree(right.output, mine) is not True:
            undecided = _agree(right.output, mine) is None
            return (None, "infrastructure:unreadable_output") if undecided else (0.0, "answer_mismatch")
    if compared == 0:
        return None, "bad_row:reference"
    if len(inputs) > 1 and not _varies(expected):
        return None, "bad_row:constant_reference"  # a program that states the answer would look just as right
    if any(result.status == "infrastructure" for result in again):
        return None, "infrastructure:sandbox"
    if [result.output for result in again] != [result.output for result in got]:
        return 0.0, "nondeterministic"
    return 1.0, ""


def _varies(results: list[Any]) -> bool:
    return len({result.output for result in results if result.ok}) > 1


def _alone(program: str, written: Any, pool: Any, other: Any) -> tuple[float | None, str]:
    again = other.run_one(program)
    if again.status == "infrastructure":
        return None, again.reason
    if again.output != written.output:
        return 0.0, "nondeterministic"
    for key in _keys(written.input):
        inputs = mutations(written.input, MUTATED_INPUTS, random.Random(written.input), only=key)
        if not inputs:
            continue  # nothing about this value can be changed safely: not evidence against the program
        results = pool.run_variants(program, inputs)
        if any(result.status == "infrastructure" for result in results):
            return None, "infrastructure:sandbox"
        # A mutation that makes the program fail shows that it reads the value.
        if all(result.ok and result.output == written.output for result in results):
            return 0.0, f"insensitive:{key}"
    return 1.0, ""


def text_of(completion: Any) -> str:
    """The text of a completion: itself, or the content of the last chat turn."""
    if isinstance(completion, str):
        return completion
    return completion[-1]["content"] if completion else ""


def _gold(answer: list | None, output: list | None, index: int) -> list[tuple[str, str]]:
    """(kind, gold) pairs of a row: one, or two in the paired mode."""
    typed = output is not None and output[index] is not None
    values = output[index] if typed else answer[index]  # type: ignore[index]
    kind = "typed" if typed else "text"
    return [(kind, value) for value in (values if isinstance(values, list) else [values])]


def _parts(text: str, count: int) -> list[str]:
    if count == 1:
        return [text]
    before, mark, after = text.rpartition(PAIR_MARK)
    return [before, after] if mark else ["", ""]  # without its heading the second answer can't be told from the first


def _grade(pairs: list[tuple[tuple[str, str], str]]) -> list:
    from caco_recipes.grading import extract, grade_output
    from caco_recipes.verdicts import REJECTED, Verdict

    verdicts: list = [None] * len(pairs)
    slow = []
    for index, ((kind, gold), text) in enumerate(pairs):
        answer = extract(text).answer
        if answer is None:
            verdicts[index] = Verdict(REJECTED, "no_answer", "empty")
        elif kind == "typed":
            try:
                verdicts[index] = grade_output(gold, answer)
            except ValueError:
                verdicts[index] = Verdict(UNDECIDED, "bad_row:output", "typed")
        else:
            slow.append((index, (gold, answer)))
    if slow:
        for (index, _), verdict in zip(slow, _grader().grade_many([pair for _, pair in slow])):
            verdicts[index] = verdict
    return verdicts


def _agree(output: str, result: Any) -> bool | None:
    from caco_recipes.grading import grade_output

    try:
        verdict = grade_output(output, result.output_text, policy="exact")
    except ValueError:
        return None
    return None if verdict.verdict == UNDECIDED else verdict.accepted


def _keys(tagged: str) -> list[str]:
    from caco_recipes.sandbox import codec

    value = codec.decode(tagged)
    return sorted(map(str, value)) if isinstance(value, dict) else []


def _value(verdicts: list[str]) -> float | None:
    if all(verdict == ACCEPTED for verdict in verdicts):
        return 1.0
    # One wrong part is wrong whatever the undecided part would have been.
    return None if all(verdict in (ACCEPTED, UNDECIDED) for verdict in verdicts) else 0.0


def _log(log_extra: Any, name: str, values: list[str]) -> None:
    if log_extra is not None:
        log_extra(name, values)


@functools.cache
def _pool(seed: int) -> Any:
    """The process's sandbox; two seeds, so that a program that draws random numbers shows it."""
    from caco_recipes.sandbox import Pool

    return Pool(seed=seed).start()


@functools.cache
def _grader() -> Any:
    from caco_recipes.grading import Grader

    return Grader()
