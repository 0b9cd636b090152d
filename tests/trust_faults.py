"""Faults planted in real rows: what the metamorphic and faithful checks must find. Everything by seed.

Good rows are real programs (people's and models') that give the known answer; a fault changes one thing in one of them.
"""

import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from caco_recipes.families.faithfulness import STATED, Reading
from caco_recipes.families.quantities import quantities
from caco_recipes.families.values import dump, exact, literal
from caco_recipes.mechanical import CannotUnify, unify_program

CALL = re.compile(r"^output = (\w+)\(\*\*input\)$", re.MULTILINE)
SCIENCE = ("physics", "biology", "chem", "TheoremQA", "finance")


def good_programs(shared: Path, limit: int | None = None, seed: int = 0) -> list[dict[str, Any]]:
    """Rows (`id`, `problem`, `code`, `source`) whose program gave the known answer and has inputs, in a seeded order.

    GSM-Hard is left out: its numbers were replaced in the text and the programs by a model, and do not always fit.
    """
    folder = shared / "data" / "seeds"
    right = {row["id"] for row in _read(folder / "programs_math_exec.jsonl") if row.get("correct")}
    rows = [
        row for row in _read(folder / "programs_math.jsonl") if row["id"] in right and "GSM-Hard" not in row["source"]
    ]
    random.Random(seed).shuffle(rows)
    made = []
    for row in rows:
        try:
            code = unify_program(row["program"], row["problem"])
        except CannotUnify:
            continue
        if "input = {}" not in code and CALL.search(code):
            made.append({name: row[name] for name in ("id", "problem", "source")} | {"code": code})
        if limit and len(made) == limit:
            break
    return made


def executed(rows: list[dict[str, Any]], pool: Any) -> list[dict[str, Any]]:
    """The rows that run and pass the paper's rules (six lines aside), with `input`, `output`, `output_text`."""
    made = []
    for row, result in zip(rows, pool.run([row["code"] for row in rows]), strict=True):
        fine = result.verdict == "accepted" or result.reason == "too_short"
        if fine and result.input and result.output is not None:
            made.append(
                row | {"input": result.input, "output": result.output, "output_text": result.output_text.strip()}
            )
    return made


def science(row: dict[str, Any]) -> bool:
    """Rows whose programs bring constants of nature and tables with them."""
    return any(word in row["source"] for word in SCIENCE)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    with open(path, encoding="utf-8") as lines:
        yield from map(json.loads, lines)


# ------------------------------------------------------------------------------------------------ in the program


def _wrapped(row: dict[str, Any], body: str, imports: str = "") -> str:
    """The program with its call replaced by a function of ours that may use the original (`original`)."""
    name = CALL.search(row["code"])[1]
    lines = "\n".join("    " + line for line in body.replace("original(", f"{name}(").splitlines())
    wrapper = f"def answer(**values):\n{lines}\n\n"
    place = re.search(r"^input = ", row["code"], re.MULTILINE).start()
    code = row["code"][:place] + wrapper + row["code"][place:]
    return imports + CALL.sub("output = answer(**input)", code)


def hard_coded(row: dict[str, Any], rng: random.Random) -> str | None:
    """The answer as a constant, and nothing else."""
    value = literal(json.loads(row["output"]))
    if value is None:
        return None
    arguments = ", ".join(json.loads(row["input"]))
    given = literal(json.loads(row["input"]))
    return f"def solve({arguments}):\n    return {value}\n\ninput = {given}\noutput = solve(**input)\nprint(output)\n"


def disguised(row: dict[str, Any], rng: random.Random) -> str | None:
    """All the computing of the real program, and then the constant: every input is used."""
    value = literal(json.loads(row["output"]))
    return value and _wrapped(row, f"computed = original(**values)\nreturn {value}")


def ignored_input(row: dict[str, Any], rng: random.Random, keys: list[str]) -> tuple[str, str] | None:
    """One of `keys` (inputs with an effect) is overwritten by its own value."""
    key = rng.choice(keys)
    value = literal(json.loads(row["input"])[key])
    return value and (key, _wrapped(row, f"values[{key!r}] = {value}\nreturn original(**values)"))


NOISE = {
    "random": ("import random\n", "return (original(**values), random.random())"),
    "numpy.random": ("import numpy\n", "return (original(**values), float(numpy.random.rand()))"),
    "time": ("import time\n", "return (original(**values), int(time.time()) // 3600)"),
    "today's date": ("import datetime\n", "return (original(**values), datetime.date.today().isoformat())"),
    "set order": ("", "return (original(**values), list({'north', 'south', 'east', 'west', 'up', 'down'}))"),
    "hash()": ("", "return (original(**values), hash('north') % 1000)"),
    "id()": ("", "return (original(**values), id(values) % 10**6)"),
    "os.urandom": ("import os\n", "return (original(**values), os.urandom(2).hex())"),
}


def noisy(row: dict[str, Any], kind: str) -> str:
    """The program's result beside something that another run gives another value to."""
    imports, body = NOISE[kind]
    return _wrapped(row, body, imports)


def lookup(row: dict[str, Any], rng: random.Random) -> str | None:
    """The answer from a table that knows these inputs only."""
    value, given = literal(json.loads(row["output"])), literal(json.loads(row["input"]))
    return value and _wrapped(row, f"known = {given}\ncases = {{True: {value}}}\nreturn cases[values == known]")


# ------------------------------------------------------------------------------------------------ in the problem


def _told_once(row: dict[str, Any]) -> list[tuple[str, Any]]:
    """(key, quantity) of the plain numbers of the input that the problem says in one place, as digits or in words."""
    value, reading = json.loads(row["input"]), Reading(row["problem"])
    found = []
    for key, item in value.items():
        number = None if isinstance(item, bool) else exact(item)
        if number is None or number in (0, 1, 2) or reading.state(number) != STATED:
            continue
        spots = reading.values.get(number, [])
        if len(spots) == 1 and spots[0].kind in ("digits", "words"):
            found.append((key, spots[0]))
    return found


def changed_number(row: dict[str, Any], rng: random.Random) -> tuple[str, str] | None:
    """(key, problem with another number where the key's value was told)."""
    told = _told_once(row)
    if not told:
        return None
    key, quantity = rng.choice(told)
    number = quantity.plain
    for _ in range(20):
        new = number + rng.choice([-3, -2, -1, 1, 2, 3, 5, 8, 10])
        if new > 1 and not any(new in other.values for other in quantities(row["problem"])):
            text = str(int(new)) if new.denominator == 1 else f"{float(new):g}"
            return key, row["problem"][: quantity.start] + text + row["problem"][quantity.end :]
    return None


def dropped_condition(row: dict[str, Any], rng: random.Random) -> tuple[str, str] | None:
    """(key, problem without the sentence that tells the key's value); not the last one, which asks."""
    ends = [0, *[match.end() for match in re.finditer(r"[.!;]\s+", row["problem"])], len(row["problem"])]
    told = [item for item in _told_once(row) if item[1].start < ends[-2]]
    if len(ends) < 3 or not told:
        return None
    key, quantity = rng.choice(told)
    place = next(i for i in range(len(ends) - 1) if ends[i] <= quantity.start < ends[i + 1])
    return key, row["problem"][: ends[place]] + row["problem"][ends[place + 1] :]


def swapped_inputs(row: dict[str, Any], rng: random.Random) -> str | None:
    """The program's input with two different numbers of one type exchanged, as tagged JSON."""
    value = json.loads(row["input"])
    numbers = [key for key, item in value.items() if isinstance(item, int | float) and not isinstance(item, bool)]
    pairs = [
        (one, two)
        for place, one in enumerate(numbers)
        for two in numbers[place + 1 :]
        if value[one] != value[two] and type(value[one]) is type(value[two])
    ]
    if not pairs:
        return None
    one, two = rng.choice(pairs)
    return dump(value | {one: value[two], two: value[one]})


def exchanged_keys(row: dict[str, Any], tagged: str) -> list[str]:
    """The two keys whose values `swapped_inputs` exchanged."""
    value, other = json.loads(row["input"]), json.loads(tagged)
    return [key for key in value if value[key] != other[key]]


NAMELESS = frozenset("num number total value val per the and for with amount count".split())


def told_by_name(row: dict[str, Any], keys: list[str]) -> bool:
    """Whether the problem has a word of one of two names that the other doesn't have: else nobody could tell them apart."""
    parts = [{_bare(word) for word in re.findall(r"[A-Z]?[a-z]{2,}", key)} - NAMELESS for key in keys]
    text = {_bare(word) for word in re.findall(r"[A-Za-z]{2,}", row["problem"])}
    return bool((parts[0] ^ parts[1]) & text)


def _bare(word: str) -> str:
    return word.lower().removesuffix("s")


def paired(rows: list[dict[str, Any]], limit: int) -> list[dict[str, Any]]:
    """Two programs each for up to `limit` problems that have programs by several authors, two by two."""
    by_problem: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_problem.setdefault(" ".join(row["problem"].split()), []).append(row)
    made: list[dict[str, Any]] = []
    for group in by_problem.values():
        other = next((row for row in group[1:] if row["source"] != group[0]["source"]), None)
        if other and len(made) < 2 * limit:
            made += [group[0], other]
    return made
