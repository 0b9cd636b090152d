"""Short texts as answers (BBH, KorBench): taking them out of a response and comparing them.

An answer stands in double brackets (KorBench), in the last box, behind the last "answer is", or alone on the last line.
Two answers are equal if they are after case, quotes, outer brackets, spacing and the final full stop are set aside.
"""

import re
from dataclasses import dataclass

from caco_recipes.evaluation.choices import read_letter

_BRACKETED = re.compile(r"\[\[(.+?)\]\](?!\])", re.DOTALL)
_ANSWER = re.compile(r"(?:answer\s+is|answer\s*:)\s*:?\s*(.+)", re.IGNORECASE)
_LETTER = re.compile(r"^\(([A-Z])\)$")
_WRAPPERS = (("\\text{", "}"), ("\\textbf{", "}"), ("\\mathrm{", "}"), ("$", "$"), ("**", "**"), ("`", "`"))


@dataclass(frozen=True, slots=True)
class ShortAnswer:
    """A text taken from a response: the text, its place, and the rule that found it."""

    text: str
    start: int
    end: int
    rule: str


def read_short_answer(response: str, gold: str) -> ShortAnswer | None:
    """The answer that a response gives; `gold` only tells what sort is asked for (an option letter or a text)."""
    if _LETTER.match(gold.strip()):
        # BBH's options stand in the problem; the letter may be any.
        letter = read_letter(response, [""] * 26)
        if letter is not None:
            return ShortAnswer(f"({letter.letter})", letter.start, letter.end, letter.rule)
        return None
    if found := list(_BRACKETED.finditer(response)):
        return _taken(found[-1], 1, "double_brackets")
    box = _last_box(response)
    if box is not None:
        return ShortAnswer(response[slice(*box)].strip(), *box, "boxed")
    if found := list(_ANSWER.finditer(response)):
        return _taken(found[-1], 1, "answer_is")
    lines = [match for match in re.finditer(r"[^\n]+", response) if match.group().strip()]
    return _taken(lines[-1], 0, "last_line") if lines else None


def same_text(gold: str, answer: str) -> bool:
    """Whether two short answers are the same, form aside. An empty answer is never the same as anything."""
    folded = fold(answer)
    return bool(folded) and folded == fold(gold)


def fold(text: str) -> str:
    """Case, quotes, wrappers, outer brackets, spacing around separators and the final full stop set aside."""
    text = text.strip()
    changed = True
    while changed:
        changed = False
        for opening, closing in _WRAPPERS:
            if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
                text, changed = text[len(opening) : len(text) - len(closing)].strip(), True
        if len(text) > 4 and text.startswith("[[") and text.endswith("]]"):
            text, changed = text[2:-2].strip(), True
        if len(text) > 2 and text[0] == text[-1] and text[0] in "'\"":
            text, changed = text[1:-1].strip(), True
    # A bracketed letter keeps its brackets' meaning without them; a row of brackets (Dyck words) keeps every one.
    if match := re.fullmatch(r"\(?([A-Za-z])\)?\.?", text):
        return match.group(1).casefold()
    text = text.removesuffix(".").casefold()
    text = re.sub(r"\s*([,;:|=])\s*", r"\1", text)
    return " ".join(text.split())


def _taken(match: re.Match[str], group: int, rule: str) -> ShortAnswer:
    return ShortAnswer(match.group(group).strip(), match.start(group), match.end(group), rule)


def _last_box(response: str) -> tuple[int, int] | None:
    start = response.rfind("\\boxed{")
    if start < 0:
        return None
    depth, begin = 0, start + len("\\boxed{")
    for position in range(begin - 1, len(response)):
        depth += (response[position] == "{") - (response[position] == "}")
        if depth == 0:
            return begin, position
    return begin, len(response)
