"""Questions with options: showing them and reading the letter out of a response.

The letter is looked for where models put it, most explicit first: the last box, `answer is (B)`, `Answer: B`, a letter
alone on the last line, then the one option whose text the answer repeats.
"""

import re
from dataclasses import dataclass

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_BOXED_LETTER = re.compile(r"\\boxed\s*\{\s*(?:\\(?:text|textbf|mathrm|mathbf)\s*\{)?\s*\(?([A-Z])\)?(?![A-Za-z0-9])")
_ANSWER_IS = re.compile(
    r"(?:answer|option|choice)\s*(?:is|:|would be|should be)\s*:?\s*(?:option\s*|choice\s*)?"
    r"(?:\*\*|\$|\\text\{|\"|')*\s*\(?([A-Z])\)?(?![A-Za-z0-9'])",
    re.IGNORECASE,
)
_ALONE = re.compile(r"^\W*\(?([A-Z])\)?\W*$")
_LEADING = re.compile(r"^\s*\(?([A-Z])[).:](?=\s|$)")
_BOX = re.compile(r"\\boxed\s*\{([^{}]*(?:\{[^{}]*\}[^{}]*)*)\}")


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter read from a response: the letter, the characters it was read from, and the rule that found it."""

    letter: str
    start: int
    end: int
    rule: str


def show_options(choices: list[str] | tuple[str, ...]) -> str:
    """Options as lines `A. …`."""
    return "\n".join(f"{LETTERS[index]}. {choice}" for index, choice in enumerate(choices))


def read_letter(response: str, choices: list[str] | tuple[str, ...]) -> Letter | None:
    """The option that a response settles on; `None` if it names none."""
    valid = LETTERS[: len(choices)]
    for rule, pattern in (("boxed", _BOXED_LETTER), ("answer_is", _ANSWER_IS)):
        for match in reversed(list(pattern.finditer(response))):
            # `answer is a good one`: only a capital counts as a letter, whatever the words before it look like.
            if match.group(1) in valid:
                return Letter(match.group(1), match.start(), match.end(), rule)
    offset = 0
    lines = []
    for line in response.splitlines(keepends=True):
        lines.append((offset, line))
        offset += len(line)
    filled = [(start, line) for start, line in lines if line.strip()]
    for start, line in filled[-1:] + filled[:1]:
        match = _ALONE.match(line.strip("\n")) or _LEADING.match(line)
        if match and match.group(1) in valid:
            return Letter(match.group(1), start + match.start(1), start + match.end(1), "line")
    return _by_text(response, choices)


def _by_text(response: str, choices: list[str] | tuple[str, ...]) -> Letter | None:
    boxes = list(_BOX.finditer(response))
    if boxes:
        start, end = boxes[-1].span(1)
    else:
        mark = max(response.lower().rfind("answer is"), response.lower().rfind("answer:"))
        if mark < 0:
            return None
        start, end = mark + len("answer is"), len(response)
    said = _folded(response[start:end])
    named = [index for index, choice in enumerate(choices) if _folded(choice) and _folded(choice) == said]
    if not named:
        longest = sorted(range(len(choices)), key=lambda index: -len(choices[index]))
        named = [index for index in longest if _folded(choices[index]) and _folded(choices[index]) in said]
        # A text that is part of another option's text names nothing when that longer option is there too.
        named = [i for i in named if not any(i != j and _folded(choices[i]) in _folded(choices[j]) for j in named)]
    return Letter(LETTERS[named[0]], start, end, "option_text") if len(named) == 1 else None


def _folded(text: str) -> str:
    return " ".join(re.sub(r"[^\w.+\-/%]+", " ", text.casefold()).split()).strip(". ")
