"""Near misses: right rows with one thing changed, each known to be wrong for a reason that needs no judge.

| kind | what is changed | why it is wrong |
|---|---|---|
| solution_number | a number of an equation of plain numbers | the equation no longer holds |
| solution_operator | its operator | the same |
| solution_answer | the boxed answer becomes another row's | the grader tells the two apart |
| solution_sibling | the solution of the most similar problem with another answer | the same |
| code_constant, code_operator | one constant or operator of the program | it runs and prints something else |
| code_sibling | the most similar program with another output | the same |
| problem_number | a number that is one of the program's inputs | with it, the program prints something else |
| problem_dropped | that number becomes "some" | what the answer depends on is missing |

Which kinds a judge can see follows from what it is shown (`APPLIES`). A row that offers no place for a kind gives no
pair of that kind; the counts say how many did. All draws go by seed, row and kind, never by position.
"""

import json
import random
import re
from collections.abc import Iterator
from typing import Any

from caco_recipes.calibration.pairs import Pair, Row
from caco_recipes.calibration.program_edits import program_edits
from caco_recipes.grading import extract, grade
from caco_recipes.sandbox import Pool
from caco_recipes.verdicts import REJECTED

APPLIES = {
    "solution_number": ("consistent", "correct"),
    "solution_operator": ("consistent", "correct"),
    "solution_answer": ("consistent", "correct"),
    "solution_sibling": ("consistent", "correct"),
    "code_constant": ("consistent",),
    "code_operator": ("consistent",),
    "code_sibling": ("consistent",),
    "problem_number": ("consistent", "correct"),
    "problem_dropped": ("consistent", "solvable"),
}
TRIES = 6  # edits of a program, or changed inputs, that are executed per row and kind
NEIGHBOURS = 400  # rows that a sibling is looked for in

NUMBER = r"\d+(?:\.\d+)?"
SIGN = r"(?:\+|-|−|\*|/|×|·|÷|\\times(?![a-z])|\\cdot(?![a-z])|\\div(?![a-z]))"
# Numbers joined by signs, and what they come to; nothing may go on behind it that would belong to the right side.
EQUATION = re.compile(
    rf"(?<![\w.\\^_{{}},])({NUMBER}(?:\s*{SIGN}\s*{NUMBER}){{1,6}})\s*=\s*({NUMBER})"
    rf"(?![\d.]*\d|\s*[+\-*/×·÷^%({{]|\s*\\(?:times|cdot|div|frac|sqrt)|[,.]\d)"
)
TOKEN = re.compile(rf"{NUMBER}|{SIGN}")
READ_AS = {"−": "-", "×": "*", "·": "*", "÷": "/", "\\times": "*", "\\cdot": "*", "\\div": "/"}
WRITTEN_IN_TEX = {"*": "\\times", "/": "\\div"}
BOXED = "\\boxed{"
WORD = re.compile(r"[A-Za-z_]{2,}")


def near_misses(rows: list[Row], kinds: list[str], seed: int, pool: Pool) -> list[Pair]:
    """Near misses of the given kinds, at most one of each per row, in the order of rows and kinds."""
    made: dict[tuple[str, str], Pair] = {}

    def keep(row: Row, kind: str, change: str, **texts: str) -> None:
        shown = {"problem": row.problem, "solution": row.solution, "code": row.code} | texts
        made[row.id, kind] = Pair(f"{row.id}:{kind}", row.id, kind, False, APPLIES[kind], **shown, change=change)

    for row in rows:
        for kind, change in (("solution_number", _change_number), ("solution_operator", _change_operator)):
            if kind in kinds and (found := change(row.solution, _random(seed, row, kind))):
                keep(row, kind, found[1], solution=found[0])
    if "solution_answer" in kinds:
        for row in rows:
            if found := _change_answer(row, rows, _random(seed, row, "solution_answer")):
                keep(row, "solution_answer", found[1], solution=found[0])
    for kind, text in (("solution_sibling", "problem"), ("code_sibling", "code")):
        if kind in kinds:
            for row, sibling in _siblings(rows, text, seed):
                name = kind.partition("_")[0]
                keep(row, kind, f"from {sibling.id}", **{name: getattr(sibling, name)})
    if {"code_constant", "code_operator"} & set(kinds):
        for row, edit, code in _changed_programs(rows, kinds, seed, pool):
            keep(row, edit.kind, f"{edit.old} -> {edit.new}", code=code)
    if {"problem_number", "problem_dropped"} & set(kinds):
        for row, kind, change, problem in _changed_problems(rows, kinds, seed, pool):
            keep(row, kind, change, problem=problem)
    return [made[row.id, kind] for row in rows for kind in kinds if (row.id, kind) in made]


def _random(seed: int, row: Row, kind: str) -> random.Random:
    return random.Random(f"{seed}:{row.id}:{kind}")


# -- solutions ---------------------------------------------------------------------------------------------------------


def _equations(text: str) -> list[re.Match]:
    """The equations of plain numbers in a text that hold as they stand."""
    return [match for match in EQUATION.finditer(text) if _holds(match[1], match[2])]


def _holds(left: str, right: str) -> bool:
    """Whether `2 + 3 * 4` comes to `14`; a right side with decimals may be rounded."""
    value = _value(TOKEN.findall(left))
    digits = len(right.partition(".")[2])
    return value is not None and abs(value - float(right)) <= (0.5 * 10**-digits if digits else 0.0) + 1e-9


def _value(tokens: list[str]) -> float | None:
    """Numbers and signs, products first; None for a division by zero."""
    terms = [float(tokens[0])]
    for sign, number in zip(tokens[1::2], map(float, tokens[2::2])):
        sign = READ_AS.get(sign, sign)
        if sign in "+-":
            terms.append(number if sign == "+" else -number)
        elif sign == "*":
            terms[-1] *= number
        elif number == 0:
            return None
        else:
            terms[-1] /= number
    return sum(terms)


def _change_number(text: str, draw: random.Random) -> tuple[str, str] | None:
    return _change_token(text, draw, numbers=True)


def _change_operator(text: str, draw: random.Random) -> tuple[str, str] | None:
    return _change_token(text, draw, numbers=False)


def _change_token(text: str, draw: random.Random, numbers: bool) -> tuple[str, str] | None:
    """A text with one number (or sign) of one of its equations changed so that it no longer holds, and what was done."""
    equations = _equations(text)
    draw.shuffle(equations)
    for match in equations:
        tokens = [
            token for token in TOKEN.finditer(text, match.start(), match.end()) if numbers == token[0][0].isdigit()
        ]
        draw.shuffle(tokens)
        for token in tokens:
            new = _other_number(token[0], draw) if numbers else _other_sign(token[0], draw)
            if not new[-1:].isdigit() and text[token.end() : token.end() + 1].isalnum() and new.startswith("\\"):
                new += " "
            changed = text[: token.start()] + new + text[token.end() :]
            inside = changed[match.start() : match.end() + len(new) - len(token[0])]
            left, _, right = inside.partition("=")
            if not _holds(left, right.strip()):
                return changed, f"{' '.join(match[0].split())}: {token[0]} -> {new.strip()}"
    return None


def _other_sign(sign: str, draw: random.Random) -> str:
    """Another sign, written the way the text writes its own, so that the spelling gives nothing away."""
    other = draw.choice(sorted(set("+-*/") - {READ_AS.get(sign, sign)}))
    return WRITTEN_IN_TEX.get(other, other) if sign.startswith("\\") else other


def _other_number(text: str, draw: random.Random) -> str:
    """Another number of the same form and about the same size."""
    whole, point, part = text.partition(".")
    moved = max(1, round(int(whole) * draw.uniform(0.05, 0.4))) * draw.choice((-1, 1))
    changed = int(whole) + moved
    return f"{changed if changed > 0 else int(whole) + abs(moved)}{point}{part}"


def boxed_span(text: str) -> tuple[int, int] | None:
    """Where the content of the last `\\boxed{…}` stands, braces counted."""
    start = text.rfind(BOXED)
    if start < 0:
        return None
    depth, at = 1, start + len(BOXED)
    for position in range(at, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return at, position
    return None


def _change_answer(row: Row, rows: list[Row], draw: random.Random) -> tuple[str, str] | None:
    span = boxed_span(row.solution)
    if span is None:
        return None
    own = row.solution[span[0] : span[1]]
    for other in draw.sample(rows, min(len(rows), 3 * TRIES)):
        answer = extract(other.solution).answer or ""
        if answer and other.id != row.id and _differ(own, answer):
            return row.solution[: span[0]] + answer + row.solution[span[1] :], f"{own} -> {answer}"
    return None


def _differ(one: str, other: str) -> bool:
    """Whether the grader is sure that two answers differ, whichever of them is the gold."""
    return grade(one, other).verdict == REJECTED and grade(other, one).verdict == REJECTED


# -- siblings ----------------------------------------------------------------------------------------------------------


def _siblings(rows: list[Row], text: str, seed: int) -> Iterator[tuple[Row, Row]]:
    """Each row with the row whose `text` is most similar among those with another output."""
    words = {row.id: frozenset(WORD.findall(getattr(row, text))) for row in rows}
    for row in rows:
        draw = _random(seed, row, f"sibling {text}")
        others = draw.sample(rows, min(len(rows), NEIGHBOURS))
        mine = words[row.id]
        ranked = sorted(others, key=lambda other: (-_overlap(mine, words[other.id]), other.id))
        for other in ranked[:20]:
            if other.id != row.id and _outputs_differ(row.output, other.output):
                yield row, other
                break


def _overlap(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one | other else 0.0


def _outputs_differ(one: str, other: str) -> bool:
    """Whether two typed outputs are surely different: not only written differently."""
    if one == other:
        return False
    if (left := _number(one)) is not None and (right := _number(other)) is not None:
        return abs(left - right) > 1e-6 * max(1.0, abs(left), abs(right))
    from caco_recipes.grading.typed import printed

    return grade(printed(one) or "", printed(other) or "", kind="program").verdict == REJECTED


def _number(tagged: str) -> float | None:
    value = json.loads(tagged)
    return float(value) if type(value) in (int, float) and abs(value) < 1e15 else None


# -- programs ----------------------------------------------------------------------------------------------------------


def _changed_programs(rows: list[Row], kinds: list[str], seed: int, pool: Pool) -> Iterator[tuple[Row, Any, str]]:
    """Each row with its first edit of each kind whose program runs and prints something else."""
    found = program_edits(pool, [(row.code, f"{seed}:{row.id}") for row in rows])
    tried = []
    for row, edits in zip(rows, found, strict=True):
        for kind in ("code_constant", "code_operator"):
            if kind in kinds:
                tried += [(row, edit) for edit in edits if edit.kind == kind][:TRIES]
    done = set()
    for (row, edit), result in zip(tried, pool.run([edit.apply(row.code) for row, edit in tried]), strict=True):
        if (row.id, edit.kind) in done or not result.ok or not result.output:
            continue
        if _outputs_differ(row.output, result.output):
            done.add((row.id, edit.kind))
            yield row, edit, edit.apply(row.code)


# -- problems ----------------------------------------------------------------------------------------------------------


def _changed_problems(rows: list[Row], kinds: list[str], seed: int, pool: Pool) -> Iterator[tuple[Row, str, str, str]]:
    """Each row with a number of its problem changed or made vague, where the program says that the answer depends on it."""
    for row in rows:
        draw = _random(seed, row, "problem")
        places = _input_places(row)
        draw.shuffle(places)
        variants = []
        for key, match in places[:TRIES]:
            new = _other_number(match[0], draw)
            variants.append((key, match, new))
        if not variants:
            continue
        inputs = [_with_input(row.input, key, new) for key, _, new in variants]
        left = {"problem_number", "problem_dropped"} & set(kinds)
        for (_, match, new), result in zip(variants, pool.run_variants(row.code, inputs), strict=True):
            if not result.ok or not result.output or not _outputs_differ(row.output, result.output):
                continue
            if "problem_number" in left:
                left.discard("problem_number")
                changed = row.problem[: match.start()] + new + row.problem[match.end() :]
                yield row, "problem_number", f"{match[0]} -> {new}", changed
            if "problem_dropped" in left and _countable(row.problem, match):
                left.discard("problem_dropped")
                vague = row.problem[: match.start()] + "some" + row.problem[match.end() :]
                yield row, "problem_dropped", f"{match[0]} -> some", vague


def _input_places(row: Row) -> list[tuple[str, re.Match]]:
    """(key of the input, where its number stands) for numbers that the problem and the input hold exactly once."""
    value = json.loads(row.input) if row.input else None
    if not isinstance(value, dict):
        return []
    numbers = [(key, item) for key, item in value.items() if type(item) in (int, float) and item > 0]
    found = list(re.finditer(rf"(?<![\w.,\\^_]){NUMBER}(?![\w]|[.,]\d)", row.problem))
    places = []
    for key, number in numbers:
        at = [match for match in found if float(match[0]) == number]
        if len(at) == 1 and [other for _, other in numbers].count(number) == 1:
            places.append((key, at[0]))
    return places


def _countable(problem: str, match: re.Match) -> bool:
    """Whether "some" can stand for the number: a word follows it, outside of formulas."""
    before, after = problem[: match.start()], problem[match.end() :]
    return before[-1:] in (" ", "\n", "") and re.match(r" [a-z]{3,}", after) is not None and before.count("$") % 2 == 0


def _with_input(tagged: str, key: str, number: str) -> str:
    value = json.loads(tagged)
    value[key] = float(number) if isinstance(value[key], float) else int(float(number))
    return json.dumps(value)
