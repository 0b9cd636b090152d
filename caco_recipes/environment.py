"""A Code CoT as a seeded environment: new inputs in its domain → the program gives the truth → the problem is filled in.

In:  rows with `problem` (or instruction), `code`, and `input` (tagged JSON) as the execute step writes them.
Out: rows for reinforcement: `prompt`, `answer`, `output` (tagged JSON), `code`, `input`, `family_id`, `variant`.

A variant's problem is the original text with the input's numbers replaced, so every number of the input must stand in the
problem exactly once; families where that doesn't hold give their original problem only. Programs run in the sandbox, never
here, and are never parsed here. Curriculum and domains: the paper's future work (section 5).
"""

import json
import random
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

NUMBER = re.compile(r"(?<![\w.])-?\d+(?:,\d{3})*(?:\.\d+)?(?![\w]|\.\d)")
PAIR = "Solve both problems. Head the second solution with: Problem 2\n\nProblem 1\n{first}\n\nProblem 2\n{second}"


@dataclass(frozen=True)
class Variant:
    """One problem of a family with its executed truth.

    Attributes:
        problem: the filled text.
        input, output: tagged JSON.
        answer: what `print` shows of the output.
        number: 0 for the original, then 1, 2, … in the order of the seed.
    """

    problem: str
    input: str
    output: str
    answer: str
    number: int


# ------------------------------------------------------------------------------------------------ inputs


def mutations(tagged: str, count: int, rng: random.Random, only: str | None = None) -> list[str]:
    """Up to `count` different inputs near the original: types, signs and zeros stay, numbers move by at most a factor of 2.

    Booleans, texts and exotic values stay as they are: what else a program would accept there can't be known from one
    example. `only` changes a single key. Returns fewer (or none) when little can be changed.
    """
    value = json.loads(tagged)
    found: dict[str, None] = {}
    for _ in range(count * 8):
        if only is None:
            changed = _mutated(value, rng)
        else:
            changed = {key: _mutated(item, rng) if key == only else item for key, item in value.items()}
        text = json.dumps(changed, separators=(",", ":"), ensure_ascii=True)
        if text != tagged and changed != value:
            found[text] = None
        if len(found) == count:
            break
    return list(found)


def _mutated(value: Any, rng: random.Random) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        if abs(value) > 2**50:
            return value
        low, high = (abs(value) + 1) // 2, max(2 * abs(value), abs(value) + 2)
        moved = rng.randint(max(low, 1), high) if value else 0
        return moved if value > 0 else -moved
    if isinstance(value, float):
        if value == 0:
            return value
        digits = len(repr(value).partition(".")[2]) if "e" not in repr(value) else 6
        return round(value * rng.uniform(0.5, 2.0), max(digits, 1)) or value
    if isinstance(value, list):
        return [_mutated(item, rng) for item in value]
    if len(value) == 1 and next(iter(value)).startswith("$"):
        tag, body = next(iter(value.items()))
        return {tag: [_mutated(item, rng) for item in body]} if tag in ("$tuple", "$set") else value
    return {key: _mutated(item, rng) for key, item in value.items()}


def numbers_of(value: Any) -> list[int | float]:
    """The numbers in a decoded tagged value, in order."""
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return []
    if isinstance(value, int | float):
        return [value]
    items = value if isinstance(value, list) else list(value.values())
    return [number for item in items for number in numbers_of(item)]


# ------------------------------------------------------------------------------------------------ problems


@dataclass(frozen=True)
class Template:
    """A problem cut at its input's numbers.

    Attributes:
        pieces: the text around them, one more than numbers.
        order: which number of the input (in the input's order) stands at each cut.
    """

    pieces: tuple[str, ...]
    order: tuple[int, ...]

    def fill(self, tagged: str) -> str:
        """The problem for another input of the same shape."""
        numbers = numbers_of(json.loads(tagged))
        filled = (str(numbers[index]) + piece for index, piece in zip(self.order, self.pieces[1:], strict=True))
        return self.pieces[0] + "".join(filled)


def template_of(problem: str, tagged: str) -> Template | None:
    """The problem as a template, or None when it can't be one.

    None: a number of the input doesn't stand in the problem, stands there twice, or two inputs share a number.
    """
    numbers = numbers_of(json.loads(tagged))
    if not numbers or len(set(numbers)) != len(numbers):
        return None
    places = []
    for number in numbers:
        spots = [match for match in NUMBER.finditer(problem) if _reads(match[0]) == number]
        if len(spots) != 1:
            return None
        places.append(spots[0].span())
    order = sorted(range(len(places)), key=lambda index: places[index])
    return Template(_cut(problem, [places[index] for index in order]), tuple(order))


def _cut(problem: str, places: list[tuple[int, int]]) -> tuple[str, ...]:
    edges = [0, *[edge for place in places for edge in place], len(problem)]
    return tuple(problem[edges[i] : edges[i + 1]] for i in range(0, len(edges), 2))


def _reads(text: str) -> int | float:
    text = text.replace(",", "")
    return float(text) if "." in text else int(text)


# ------------------------------------------------------------------------------------------------ families


def variants(problem: str, code: str, tagged: str, count: int, seed: int, pool: Any) -> list[Variant]:
    """The original and up to `count` new problems of one family, each with the program's own output.

    Args:
        problem, code, tagged: of the original row; `tagged` is the input as tagged JSON.
        count: how many new ones to try.
        seed: decides the inputs, together with the program.
        pool: `caco_recipes.sandbox.Pool`.

    Inputs on which the program fails, prints nothing or gives a value that isn't a finite answer are left out.
    """
    template = template_of(problem, tagged)
    rng = random.Random(f"{seed}\0{code}")
    inputs = [tagged, *(mutations(tagged, count, rng) if template else [])]
    results = pool.run_variants(code, inputs)
    made = []
    for number, (text, result) in enumerate(zip(inputs, results)):
        if result.ok and result.output is not None and result.output not in ("null", '""'):
            filled = template.fill(text) if template and number else problem
            made.append(Variant(filled, text, result.output, result.output_text.strip(), number))
    return made


def rows(
    families: Iterable[dict[str, Any]], pool: Any, count: int = 8, seed: int = 42, paired: bool = False
) -> Iterator[dict[str, Any]]:
    """Training rows of many families; in the paired mode each row is two variants that must both be right.

    Args:
        families: rows with `problem` or `instruction`, `code`, `input`; `id` or `family_id` and `pass_rate` pass through.
    """
    for family in families:
        problem = family.get("problem") or family["instruction"]
        made = variants(problem, family["code"], family["input"], count, seed, pool)
        name = str(family.get("family_id") or family.get("id") or "")
        common = {"code": family["code"], "family_id": name, "pass_rate": family.get("pass_rate")}
        if not paired:
            for one in made:
                yield {
                    "prompt": one.problem, "answer": one.answer, "output": one.output, "input": one.input,
                    "variant": one.number, **common,
                }  # fmt: skip
            continue
        for first, second in zip(made[::2], made[1::2]):
            yield {
                "prompt": PAIR.format(first=first.problem, second=second.problem),
                "answer": [first.answer, second.answer],
                "output": [first.output, second.output],
                "input": first.input,
                "variant": first.number,
                **common,
            }


# ------------------------------------------------------------------------------------------------ which, in what order


def in_band(pass_rate: float | None, low: float, high: float) -> bool:
    """Whether a problem is neither too easy nor too hard to learn from; one without a measured rate is let in."""
    return pass_rate is None or low <= pass_rate <= high


STRINGS = re.compile(r"(?s)(\"\"\".*?\"\"\"|'''.*?'''|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|#[^\n]*)")
CONTROL = re.compile(r"\b(?:for|while|if|elif|try|except|with|match|and|or|lambda)\b")


def complexity(code: str) -> tuple[int, int, int]:
    """(control-flow words, deepest indentation, lines) of a program, read as text: what a curriculum is ordered by."""
    bare = STRINGS.sub('""', code)
    lines = [line for line in bare.splitlines() if line.strip() not in ("", '""')]
    depth = max(((len(line) - len(line.lstrip())) // 4 for line in lines), default=0)
    return len(CONTROL.findall(bare)), depth, len(lines)


def curriculum(made: list[dict[str, Any]], seed: int, stages: int = 4) -> list[dict[str, Any]]:
    """The rows from simple to complex programs in `stages` equal parts, shuffled by seed inside each part."""
    order = sorted(range(len(made)), key=lambda index: (complexity(made[index]["code"]), index))
    rng, result = random.Random(seed), []
    size = -(-len(order) // stages) if order else 1
    for start in range(0, len(order), size):
        part = order[start : start + size]
        rng.shuffle(part)
        result += [made[index] for index in part]
    return result
