"""`grade`: the fast tiers, in this process, which never hang and never run anything that the texts say.

Tiers in order: identical text, plain numbers, cleaned text, structure (parsed answers compared part by part), words. What they
can't tell is `undecided`; `slow=True` and `Grader` then ask math-verify in a process of its own.
"""

import re

from caco_recipes.grading.evaluate import same_number
from caco_recipes.grading.lexer import lex
from caco_recipes.grading.normalise import MAX_CHARS, clean
from caco_recipes.grading.numbers import plain_number
from caco_recipes.grading.parser import parse
from caco_recipes.grading.spelled import clock, date, may_be_time, spelled_number
from caco_recipes.grading.structure import rounds_to, same, same_words
from caco_recipes.grading.syntax import Num, Seq, Text, Unreadable
from caco_recipes.grading.words import MEANINGS, plain_words, word_key
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, Verdict

GRADER_VERSION = "2"
KINDS = ("answer", "program", "typed")
POLICIES = ("exact", "rounding", "paper", "paper:qwen", "paper:dart", "paper:olympiad", "paper:theoremqa")
_COMMAND = re.compile(r"\\(?!text|mbox|mathrm)[A-Za-z]+")
_OPTION = re.compile(r"(?:\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{)?\s*(?:\(?([A-E])\)?|\(([a-e])\))\s*\}?\Z")
_DESCRIBED = re.compile(
    r"(?:(?:the )?(?:correct )?(?:option|choice|answer)(?: is)?:?\s+)?(?:\\(?:text|textbf|mathrm|mathbf|mbox)\s*\{)?\s*(?:\(([A-E])\)\s*\}?\s*\S|([A-E])\s*[.):]\s*\S)"
)
_CALLED_OPTION = re.compile(
    r"(?:\\(?:text|textbf|mathrm)\s*\{)?(?:(?:the )?(?:correct )?(?:option|choice|answer)(?: is)?:?)\s+\(?([A-E])\)?\s*\}?\Z",
    re.I,
)
_ANSWERED = re.compile(r"(yes|no|true|false)\s*[.,;:!](?:\s|\Z)", re.I)
_LONG_WORD = re.compile(r"[A-Za-z]{3,}")
_FORMULA = re.compile(r"\\(?!text|mbox|mathrm|mathbf|textbf)[A-Za-z]+|[-+*/^=<>\[\]]|\d+")
_BOUNDS = re.compile(r"_\s*\{[^{}]*\}")
# What a pair is called when our tiers can't read it and the slow one wasn't asked.
UNREAD = "infrastructure:unreadable_answer"

_IDENTICAL = Verdict(ACCEPTED, "", "identical")
_NUMBER = Verdict(ACCEPTED, "", "number")
_NOT_NUMBER = Verdict(REJECTED, "answer_mismatch", "number")
_NO_ANSWER = Verdict(REJECTED, "no_answer", "empty")
_BAD_TYPED = Verdict(UNDECIDED, "bad_row:typed_json", "typed")
_NO_GOLD = Verdict(UNDECIDED, "bad_row:empty_gold", "empty")


def _accepted(rule: str) -> Verdict:
    return Verdict(ACCEPTED, "", rule)


def _rejected(rule: str) -> Verdict:
    return Verdict(REJECTED, "answer_mismatch", rule)


def _undecided(rule: str) -> Verdict:
    return Verdict(UNDECIDED, UNREAD, rule)


def check_options(kind: str, policy: str) -> None:
    """Raises `ValueError` for an unknown kind or policy."""
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r}: expected one of {', '.join(KINDS)}")
    if policy not in POLICIES:
        raise ValueError(f"unknown policy {policy!r}: expected one of {', '.join(POLICIES)}")


def grade(gold: str, pred: str, *, kind: str = "answer", policy: str = "exact", slow: bool = False) -> Verdict:
    """Whether `pred` is the answer `gold`.

    Args:
        gold: the reference answer: LaTeX, plain or Python text, `\\boxed{}` or not.
        pred: the answer to check. `kind="answer"`: text of the same sort; `"program"`: what `print` shows of a program's
            output; `"typed"`: the output as tagged JSON.
        policy: `exact`, or `rounding`: a decimal of two places or more also counts when it is the other's value rounded to
            them (dual verification); or `paper`, `paper:qwen|dart|olympiad|theoremqa`: the verdicts of the published graders.
        slow: ask math-verify, in a process that is killed when it hangs, where the fast tiers can't tell. `Grader` does this
            for many pairs without starting a process for each.

    Returns:
        A verdict: `accepted`; `rejected` with reason `answer_mismatch` or `no_answer`; `undecided` when it can't be told.
        `rule` names the tier that decided.

    Raises:
        ValueError: unknown `kind` or `policy`. (A `pred` that should be tagged JSON and isn't is undecided, `bad_row:typed_json`.)
    """
    check_options(kind, policy)
    verdict = fast(gold, pred, kind, policy)
    if slow and needs_slow(verdict):
        from caco_recipes.grading.slow import Grader

        with Grader(workers=1) as grader:
            return grader.grade(gold, pred, kind=kind, policy=policy)
    return verdict


def needs_slow(verdict: Verdict) -> bool:
    """Whether the slow tier could still decide."""
    return verdict.verdict == UNDECIDED and verdict.rule == "unread"


def fast(gold: str, pred: str, kind: str = "answer", policy: str = "exact") -> Verdict:
    """The fast tiers alone. Same arguments as `grade`, unchecked."""
    if policy.startswith("paper"):
        return _published(gold, pred, kind, policy)
    if kind == "typed":
        from caco_recipes.grading.typed import grade_output

        try:
            return grade_output(pred, gold, policy=policy)
        except ValueError:
            return _BAD_TYPED
    if gold == pred and gold.strip():
        return _IDENTICAL
    left = plain_number(gold)
    if left is not None:
        right = plain_number(pred)
        if right is not None:
            if left.value == right.value or same_number(left, right):
                return _NUMBER
            if policy == "rounding" and (rounds_to(left, right) or (rounds_to(right, left) and kind == "program")):
                return _accepted("rounding")
            return _NOT_NUMBER
    return _structure(gold, pred, kind, policy)


def _published(gold: str, pred: str, kind: str, policy: str) -> Verdict:
    from caco_recipes.grading.published import judge
    from caco_recipes.grading.typed import printed

    if kind == "typed":
        try:
            text = printed(pred)
        except ValueError:
            return _BAD_TYPED
        if text is None:
            return _undecided("typed")
        pred = text
    return judge(gold, pred, policy)


def _structure(gold: str, pred: str, kind: str, policy: str) -> Verdict:
    if len(gold) > MAX_CHARS or len(pred) > MAX_CHARS:
        return _undecided("too_long")
    left, right = clean(gold), clean(pred)
    if not right:
        return _NO_ANSWER
    if not left:
        return _NO_GOLD
    if left == right:
        return _accepted("text")
    if may_be_time(left) and may_be_time(right):
        same_time = _same_time(left, right)
        if same_time is not None:
            return _accepted("clock") if same_time else _rejected("clock")
    letter = _same_option(left, right)
    if letter is not None:
        return _accepted("option") if letter else _rejected("option")
    return compare_cleaned(left, right, kind == "program", policy, "\\" in gold, "\\" in pred)


def _same_time(left: str, right: str) -> bool | None:
    """Two clock times or two dates; None if they aren't."""
    a, b = clock(left), clock(right)
    if a is None or b is None:
        a, b = date(left), date(right)
        return None if a is None or b is None else a == b
    if a[1] == b[1] or a[0] >= 12 * 3600 or b[0] >= 12 * 3600:
        if a[1] != b[1] and (a[0] - b[0]) % (12 * 3600) == 0 and min(a[0], b[0]) > 0:
            return a[0] == b[0] or (a[0] if not a[1] else b[0]) < 12 * 3600 + 3600
        return a[0] == b[0]
    return a[0] == b[0]


def _same_option(left: str, right: str) -> bool | None:
    """An option's letter against a letter with its text ("C" and "(C) 12"), or in small; None for anything else."""
    for gold, pred in ((left, right), (right, left)):
        letter = _OPTION.match(gold)
        if letter is None:
            continue
        name = letter.group(1) or letter.group(2)
        other = _OPTION.match(pred)
        if other is not None and len(gold) + len(pred) > 2:
            return (other.group(1) or other.group(2)).upper() == name.upper()
        if len(pred) == 1 and pred.isalpha():
            return pred.upper() == name.upper() if pred.islower() and gold is left and name != "E" else None
        described = _CALLED_OPTION.match(pred)
        if described is not None:
            return described.group(1) == name.upper()
        described = _DESCRIBED.match(pred)
        if described is not None:
            return (described.group(1) or described.group(2)).upper() == name.upper()
    return None


def compare_cleaned(
    left: str, right: str, program: bool, policy: str, gold_latex: bool = False, pred_latex: bool = False
) -> Verdict:
    """The structure and word tiers on cleaned texts."""
    gold = _read(left, False, gold_latex)
    pred = _read(right, program, pred_latex)
    if gold is not None and pred is not None:
        verdict = same(gold, pred, policy)
        if verdict is False:
            verdict = _other_readings(left, right, gold, pred, program, policy)
        if verdict:
            return _accepted("structure")
        if verdict is False:
            if isinstance(gold, Text) and isinstance(pred, Text):
                return _text_mismatch(gold.text, pred.text)
            return _rejected("structure")
        return _undecided("unread" if _equation(left) == _equation(right) else "equation")
    if _same_tokens(left, right):
        return _accepted("text")
    return _unread(left, right, gold, pred)


def compare_trees(gold, pred: str, policy: str) -> Verdict:
    """A tree (a program's value) against a cleaned answer."""
    tree = _read(pred, False)
    if tree is None:
        return (
            _rejected("words")
            if _prose(pred, None) and not any(c.isdigit() for c in pred)
            else _undecided("prose" if _prose(pred, None) else "unread")
        )
    verdict = same(gold, tree, policy)
    if verdict is False:
        verdict = _other_readings("", pred, gold, tree, False, policy)
    if verdict is None:
        return _undecided("typed")
    return _accepted("structure") if verdict else _rejected("structure")


def _read(text: str, program: bool, latex: bool = False):
    counted = spelled_number(text) if text[:1].isalpha() else None
    if counted is not None:
        return Num(counted)
    try:
        return parse(text, program, True, latex)
    except Unreadable:
        return None


def _other_readings(left: str, right: str, gold, pred, program: bool, policy: str) -> bool | None:
    """Texts with two readings: `10,100` (a number or a list), `2,74` (a decimal comma)."""
    for text, node, other, is_gold in ((left, gold, pred, True), (right, pred, gold, False)):
        if "," not in text:
            continue
        if isinstance(node, Num) and isinstance(other, Seq):
            try:
                again = parse(text, program and not is_gold, False)
            except Unreadable:
                continue
            if same(again, pred, policy) if is_gold else same(gold, again, policy):
                return True
        if (
            isinstance(node, Seq)
            and node.open == ""
            and isinstance(other, Num)
            and other.places
            and text.count(",") == 1
        ):
            point = plain_number(text.replace(",", ".").replace(" ", "")) if ", " not in text else None
            if point is not None and point.places == other.places and same_number(point, other):
                return True
    return False


def _same_tokens(left: str, right: str) -> bool:
    try:
        a, b = lex(left), lex(right)
    except Unreadable:
        return "".join(left.split()) == "".join(right.split())
    return [token[:2] for token in a] == [token[:2] for token in b]


def _text_mismatch(gold: str, pred: str) -> Verdict:
    if min(len(plain_words(gold).split()), len(plain_words(pred).split())) >= 4:
        return _undecided("prose")
    return _rejected("words")


def _equation(text: str) -> bool:
    """Whether a text has an equals sign outside of the bounds of a sum."""
    return "=" in _BOUNDS.sub("", text)


def _formulas(text: str) -> list[str]:
    """What isn't words in a text: its formulas must agree as written before its words are compared."""
    return _FORMULA.findall(text.replace("$", "").replace(" ", ""))


def _prose(text: str, node) -> bool:
    """Whether an unparsed text is mostly words."""
    if isinstance(node, Text):
        return True
    words = [w for w in plain_words(_COMMAND.sub(" ", text)).split() if len(w) >= 2 and w.isalpha()]
    return node is None and (
        len(words) >= 2
        or len(_LONG_WORD.findall(_COMMAND.sub(" ", text))) >= 2
        or (len(words) == 1 and len(plain_words(text).split()) == 1)
    )


def _unread(left: str, right: str, gold, pred) -> Verdict:
    gold_prose, pred_prose = _prose(left, gold), _prose(right, pred)
    if (
        ((gold_prose and pred_prose) or word_key(left) in MEANINGS)
        and _formulas(left) == _formulas(right)
        and same_words(left, right)
    ):
        return _accepted("words")
    for node, text, prose in ((gold, right, pred_prose), (pred, left, gold_prose)):
        if node is not None and prose and len(text) < 60 and same(node, Text(text)):
            return _accepted("words")
    words = plain_words(left)
    if (
        words == plain_words(right)
        and _LONG_WORD.search(words)
        and _formulas(left) == _formulas(right)
        and not any(c.isdigit() for c in words)
    ):
        return _accepted("words")
    truth, said = word_key(left), _ANSWERED.match(right)
    if truth in ("true", "false") and said is not None:  # "Yes, because …"
        return _accepted("words") if word_key(said.group(1)) == truth else _rejected("words")
    if gold_prose and pred_prose:
        return _text_mismatch(left, right)
    if gold_prose or pred_prose:
        text = left if gold_prose else right
        if any(c.isdigit() for c in text) or len(text) > 40 or "\\" in text:
            return _undecided("prose")
        return _rejected("words")
    if (gold is None) != (pred is None) and _equation(left) != _equation(right):
        return _undecided(
            "equation"
        )  # an equation that can't be read against a value: math-verify would take any right side
    return _undecided("unread")
