"""`extract`: the final answer in a model's solution, and where it stands.

Rules in order: boxed answers (several that belong together are joined), `####`, "the final answer is …", "answer: …", the last
formula, "… is X.", the last number. The rule that took the answer is named.
"""

import re
from dataclasses import dataclass
from itertools import pairwise

MAX_CHARS = 400_000
_TAIL = 20_000  # the rules after the boxed ones look at the end of a text only


@dataclass(frozen=True, slots=True)
class Extraction:
    """What was found. `text[start:end]` holds it (several boxes: from the first to the last); `answer` is None and `rule`
    `no_answer` when there is nothing."""

    answer: str | None
    start: int
    end: int
    rule: str


_NOTHING = Extraction(None, 0, 0, "no_answer")
# Runs of blanks and formulas are bounded in all patterns, or a hostile text would be searched in quadratic time.
_BOX = re.compile(r"\\(?:boxed|fbox|boxed\*)\s{0,20}(\{)?")
_BRACE = re.compile(r"\\.|[{}]", re.S)
_TURN = re.compile(r"<\|im_(?:start|end)\|>|<\|endoftext\|>|<\|eot_id\|>|</s>|<｜end|<\|user\|>")
_JOIN = re.compile(r"\b(?:and|or|und)\b|[,;&+]|\\\\|\A\W*\Z", re.I)
_LATEX_WORD = re.compile(r"\\(?:text|quad|qquad|mathrm|mbox|textbf)\b")
# Between two boxes these say that the second replaces the first, or follows from it.
_CORRECTION = re.compile(
    r"\b(?:no|not|nope|wrong|incorrect|instead|wait|actually|rather|sorry|oops|correction|corrected|hmm|simplif\w+|equals|hence|therefore|then"
    r"|step|check|rounded|alternatively|previous|earlier|again)\b|\A[\s$]*(?:=|≈|\\(?:approx|implies|Rightarrow|to))[\s$]*\Z",
    re.I,
)
_WORD = re.compile(r"[A-Za-z]{2,}|\ba\b")
_MATH = re.compile(  # lengths are bounded, or openers without an end would be searched to the end of the text each
    r"\$\$(.{1,3000}?)\$\$|\\\[(.{1,3000}?)\\\]|(?<![\\$])\$(?!\s{0,20}\$)((?:\\\$|[^$\n]){1,3000}?)(?<!\\)\$(?!\$)"
    r"|\\\(((?:(?!\\\)|\\\().){1,1000}?)\\\)",
    re.S,
)
_HASHES = re.compile(r"####\s{0,20}([^\n]+)")
_FINAL = re.compile(
    r"(?:final\s{1,20}answer|answer|result|solution)(?:\s{1,20}(?:to|of|for)\s{1,20}[^.\n:]{1,60}?)?\s{0,20}(?:is|are|=|:|\*\*:|:\*\*|should be|would be)\s{0,20}:?\s{0,20}(?:\*\*)?\s{0,20}",
    re.I,
)
_FINAL_ANSWER = re.compile(r"final answer is:?\s{0,20}", re.I)
_JSON_ANSWER = re.compile(
    r"""["'](?:final[_ ]?)?answer["']\s{0,20}:\s{0,20}(?:"((?:[^"\\]|\\.)*)"|'((?:[^'\\\n]|\\.)*)'|(\[[^\]\n]{0,400}\](?:[^\]\n"]{0,400}\])*|[^\s,}"'][^,}\n"]*))""",
    re.I,
)
_HOPE = re.compile(r"I hope (?:it|this) is correct", re.I)
_SENTENCE = re.compile(r"(?<!\d)[.!?](?=\s|\Z)|(?<=\d)\.(?=\s|\Z)|\n")
_IS = re.compile(
    r"\b(?:is|are|equals|be|was)\s{1,20}(?:approximately\s{1,20}|about\s{1,20}|exactly\s{1,20}|equal to\s{1,20}|the\s{1,20}interval\s{1,20})?",
    re.I,
)
_NUMBER = re.compile(
    r"(?<![\w.])[-+−]?[$€£]?\s?(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+,\d{1,2}(?![\d,])|\d+(?:\.\d+)?|\.\d+)(?:\s?/\s?\d+)?(?:\s?\\?%)?"
)
# A list, tuple or set of numbers and short expressions, and nothing else.
_BRACKETED = re.compile(r"(?!.*[A-Za-z]{4})(?:\[[^\[\]\n]{1,250}\]|\([^()\n]{1,250}\)|\{[^{}\n]{1,250}\})\.?\Z")
_OPTION = re.compile(r"\A\W*([A-J])\b[.):,]?(?:\s|\Z)")


def extract(text: str) -> Extraction:
    """The final answer of a solution.

    Args:
        text: a whole model output (a chat turn marker ends it).

    Returns:
        The answer as written, its span in `text`, and the rule. `answer` is None when the text has no answer in any form.
    """
    turn = _TURN.search(text)
    end = turn.start() if turn and text[: turn.start()].strip() else len(text)
    boxed = _boxed(text, end)
    if boxed is not None:
        return _restated(text, boxed, end) or boxed
    base = max(0, end - _TAIL)
    tail = text[base:end]
    hope = _HOPE.search(tail)
    if hope and tail[: hope.start()].strip():
        tail = tail[: hope.start()].rstrip().removesuffix(".")
    for rule in (_hashes, _json, _phrase, _whole, _last_formula, _last_is, _last_number):
        found = rule(tail)
        if found is not None:
            start, stop, answer = found
            return Extraction(answer, base + start, base + stop, rule.__name__.strip("_"))
    return _NOTHING


# -- boxed ------------------------------------------------------------------------------------------------------------
def _boxes(text: str, end: int) -> list[tuple[int, int, int, int]]:
    """(start of the command, start and end of the content, end) of the outermost boxes."""
    found = []
    position = 0
    closing = _closing_braces(text) if "boxed" in text or "fbox" in text else {}
    while True:
        match = _BOX.search(text, position, end)
        if match is None:
            return found
        if match.group(1):
            brace = match.end() - 1
            close = closing.get(brace, -1)
            if 0 < close < end:
                found.append((match.start(), brace + 1, close, close + 1))
                position = close + 1
            else:  # unclosed: the rest of the line
                stop = text.find("\n", match.end(), end)
                stop = end if stop < 0 else stop
                found.append((match.start(), match.end(), stop, stop))
                position = match.end()
        else:
            word = re.compile(r"\s{0,20}([^\s$,.;]+)").match(text, match.end(), end)
            if word:
                found.append((match.start(), word.start(1), word.end(1), word.end(1)))
            position = match.end()


def _closing_braces(text: str) -> dict[int, int]:
    """Where each `{` closes, in one pass: thousands of unclosed boxes cost no more than one."""
    opened: list[int] = []
    closing = {}
    for match in _BRACE.finditer(text):
        if match.group() == "{":
            opened.append(match.start())
        elif match.group() == "}" and opened:
            closing[opened.pop()] = match.start()
    return closing


def _boxed(text: str, end: int) -> Extraction | None:
    boxes = [box for box in _boxes(text, end) if text[box[1] : box[2]].strip()]
    if not boxes:
        return None
    group = [boxes[-1]]
    for previous in reversed(boxes[:-1]):
        if not _belongs(text[previous[3] : group[0][0]]):
            break
        group.insert(0, previous)
    contents = [text[box[1] : box[2]].strip() for box in group]
    if len(group) == 1 or len(set(contents)) == 1:
        start, stop = group[-1][1], group[-1][2]
        return Extraction(text[start:stop].strip(), start, stop, "boxed")
    return Extraction(", ".join(contents), group[0][1], group[-1][2], "boxed_joined")


def _belongs(gap: str) -> bool:
    """Whether two answers with this between them are one answer of several parts."""
    if len(gap) > 60 or "\n\n" in gap:
        return False
    if _CORRECTION.search(gap):
        return False
    words = _WORD.findall(_LATEX_WORD.sub(" ", gap))
    return len(words) <= 5 and _JOIN.search(gap) is not None


def _restated(text: str, boxed: Extraction, end: int) -> Extraction | None:
    """A "final answer is …" after the last box overrules it: the box was a step."""
    matches = list(_FINAL_ANSWER.finditer(text, boxed.end, end))
    if not matches:
        return None
    match = matches[-1]
    found = _inside(text, match.end(), _sentence_end(text, match.end()))
    return None if found is None else Extraction(found[2], found[0], found[1], "phrase")


# -- fall-backs: each answers (start, end, answer) in the tail ----------------------------------------------------------
def _trim(text: str, start: int, stop: int) -> tuple[int, int, str] | None:
    piece = text[start:stop]
    left = len(piece) - len(piece.lstrip(" \t\n*:`"))
    answer = piece.strip(" \t\n*`").lstrip(":").strip()
    answer = answer.rstrip("。")
    if answer.endswith(".") and not answer.endswith(".."):
        answer = answer[:-1]
    return (start + left, stop, answer) if answer else None


def _hashes(text: str):
    matches = list(_HASHES.finditer(text))
    return _trim(text, matches[-1].start(1), matches[-1].end(1)) if matches else None


def _json(text: str):
    """`"answer": "…"` of a model that was asked for JSON."""
    matches = list(_JSON_ANSWER.finditer(text))
    if not matches:
        return None
    index = matches[-1].lastindex or 1
    found = _trim(text, matches[-1].start(index), matches[-1].end(index))
    if found and "\\\\" in found[2]:
        found = (found[0], found[1], found[2].replace("\\\\", "\\").replace('\\"', '"'))
    return found


def _phrase(text: str):
    matches = list(_FINAL.finditer(text))
    for match in reversed(matches[-20:]):
        stop = _sentence_end(text, match.end())
        found = _inside(text, match.end(), stop)
        if found is not None:
            return found
    return None


def _sentence_end(text: str, start: int) -> int:
    """End of the sentence from `start`; formulas are stepped over."""
    position = start
    while True:
        formula = _MATH.search(text, position)
        mark = _SENTENCE.search(text, position)
        if mark is None:
            return len(text)
        if formula is None or mark.start() < formula.start():
            if not text[start : mark.start()].strip():
                position = mark.end()
                continue
            return mark.start()
        position = formula.end()


def _inside(text: str, start: int, stop: int):
    """The answer within a sentence that announces one."""
    piece = text[start:stop]
    if not piece.strip(" *$.\n"):
        return None
    whole = _formula_list(text, start, stop)
    if whole is not None:
        return whole
    option = _OPTION.match(piece)
    if option:
        return _trim(text, start + option.start(1), start + option.end(1))
    if "\\" in piece and not _MATH.search(piece) and len(_WORD.findall(re.sub(r"\\[A-Za-z]+", " ", piece))) <= 3:
        return _trim(text, start, stop)
    if len(piece.split()) <= 4 and not _MATH.search(piece):
        return _trim(text, start, stop)
    last = list(_IS.finditer(piece))
    if last:
        after = last[-1].end()
        rest = piece[after:]
        if 0 < len(rest.split()) <= 4 or _MATH.match(rest.strip()):
            inner = _formula_list(text, start + after, stop) or (
                None if _MATH.search(rest) else _trim(text, start + after, stop)
            )
            if inner is not None:
                return inner
    formulas = list(_MATH.finditer(piece))
    if formulas:
        return _formula(text, formulas[-1], start)
    numbers = list(_NUMBER.finditer(piece))
    if numbers:
        number = numbers[-1]
        return start + number.start(), start + number.end(), number.group().strip()
    return _trim(text, start, stop) if len(piece.split()) <= 12 else None


def _formula(text: str, match: re.Match, offset: int = 0):
    index = match.lastindex or 1
    answer = match.group(index).strip()
    return (offset + match.start(index), offset + match.end(index), answer) if answer else None


def _formula_list(text: str, start: int, stop: int):
    """A piece of text that is formulas only, joined by "and", "or" or commas; or one formula and its unit."""
    piece = text[start:stop]
    formulas = list(_MATH.finditer(piece))
    if not formulas or piece[: formulas[0].start()].strip(" *:\n"):
        return None
    rest = piece[formulas[-1].end() :]
    if len(_WORD.findall(rest)) > 3:
        return None
    for left, right in pairwise(formulas):
        if (
            not _belongs(piece[left.end() : right.start()])
            or len(_WORD.findall(piece[left.end() : right.start()])) > 2
        ):
            return None
    answers = [m.group(m.lastindex).strip() for m in formulas]
    if len(answers) == 1:
        return _formula(text, formulas[0], start)
    first, last = formulas[0], formulas[-1]
    return start + first.start(first.lastindex), start + last.end(last.lastindex), ", ".join(answers)


def _whole(text: str):
    """A text that is nothing but the answer."""
    stripped = text.strip()
    if not stripped or len(stripped) > 300:
        return None
    start = text.index(stripped[0])
    found = _formula_list(text, start, start + len(stripped))
    if found is not None:
        return found
    if _BRACKETED.match(stripped):
        return _trim(text, start, start + len(stripped))
    if "\n" in stripped or len(stripped.split()) > 3 or not any(c.isdigit() or c == "\\" for c in stripped):
        return None
    return _trim(text, start, start + len(stripped)) if not _MATH.search(stripped) and ":" not in stripped else None


def _last_formula(text: str):
    formulas = list(_MATH.finditer(text))
    if not formulas:
        return None
    last = formulas[-1]
    after = text[last.end() :]
    if _NUMBER.search(after) or _IS.search(after):
        sentence = _last_is(text[last.end() :])
        if sentence is not None:
            return last.end() + sentence[0], last.end() + sentence[1], sentence[2]
        numbers = list(_NUMBER.finditer(after))
        if numbers:
            return last.end() + numbers[-1].start(), last.end() + numbers[-1].end(), numbers[-1].group().strip()
    group = [last]
    for previous in reversed(formulas[:-1]):
        gap = text[previous.end() : group[0].start()]
        if not (_JOIN.search(gap) and len(_WORD.findall(gap)) <= 1 and len(gap) < 12):
            break
        group.insert(0, previous)
    if len(group) > 1 and not any(c in m.group() for m in group for c in "=<>"):
        return (
            group[0].start(group[0].lastindex),
            last.end(last.lastindex),
            ", ".join(m.group(m.lastindex).strip() for m in group),
        )
    return _formula(text, last)


def _last_is(text: str):
    """`… is 2/3.` at the end of a text."""
    matches = list(_IS.finditer(text))
    if not matches:
        return None
    start = matches[-1].end()
    stop = _sentence_end(text, start)
    if text[stop:].strip(" .\n*") and len(text[stop:]) > 80:
        return None
    rest = text[start:stop]
    number = _NUMBER.match(rest.strip())
    return (
        _trim(text, start, stop)
        if number and len(rest.split()) <= 4 and not re.search(r"\d", rest.strip()[number.end() :])
        else None
    )


def _last_number(text: str):
    numbers = list(_NUMBER.finditer(text))
    if not numbers:
        return None
    last = numbers[-1]
    return last.start(), last.end(), last.group().strip()
