"""Two opinions on every response: `caco-paper`, as the published numbers were made, and `strict`, by our own grader.

| | caco-paper | strict |
|---|---|---|
| answer taken by | Qwen2.5-Math's, DART's or OlympiadBench's extraction | `grading.extract` |
| compared by | their graders, TheoremQA's 4 % | `grading.Grader`, `theorem_answers`, `multi_answers` |
| cut off at the token limit | graded like any other | rejected, `truncated` |
| golds of MATH | last box of the solution | 9 wrong ones corrected, 3 with alternatives |
| can't tell | wrong, as it was | `undecided`, counted as not right and shown |

Option letters, short texts and code have one rule, which both protocols use (the paper ran OpenCompass there and does not give
its settings); `strict` still rejects what was cut off. Neither protocol accepts a blank response: some published rules turn a
few golds into nothing and would then accept nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from caco_recipes.evaluation import choices, code_tests, paper_rules, short_answers
from caco_recipes.evaluation.corrections import strict_golds
from caco_recipes.evaluation.loading import Problem
from caco_recipes.evaluation.multi_answers import as_set
from caco_recipes.evaluation.theorem_answers import number_of, said, theorem_verdict
from caco_recipes.grading import extract, grade
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED, Verdict

PAPER = "caco-paper"
STRICT = "strict"
PROTOCOLS = (PAPER, STRICT)
# Raised when a rule of a protocol changes verdicts; part of every result.
PROTOCOL_VERSIONS = {PAPER: "2", STRICT: "2"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """What a model answered to one item: its text, how it ended (`stop`, `length`, `error`), and its length."""

    text: str
    finish_reason: str = "stop"
    sample_index: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error: str = ""
    request_key: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """One protocol's opinion: `extracted` stands at `start:end` of the response, found by `extraction`; then the verdict."""

    extracted: str | None
    start: int
    end: int
    extraction: str
    verdict: str
    reason: str
    rule: str

    @property
    def right(self) -> bool:
        return self.verdict == ACCEPTED


@dataclass(frozen=True, slots=True, kw_only=True)
class Tools:
    """What grading needs: our grader, and a sandbox pool where a benchmark is code."""

    grader: Any
    pool: Any = None


@dataclass(frozen=True, slots=True)
class _Taken:
    """An answer taken from a response, before it is compared."""

    text: str | None
    start: int
    end: int
    rule: str


NOTHING = _Taken(None, 0, 0, "no_answer")


def judge(answered: Sequence[tuple[Problem, Response]], tools: Tools) -> list[dict[str, Judgement]]:
    """Both protocols' opinion on every (problem, response), in order. Problems of one kind or several."""
    results: list[dict[str, Judgement] | None] = [None] * len(answered)
    by_kind: dict[str, list[int]] = {}
    for index, (problem, response) in enumerate(answered):
        if response.finish_reason == "error":
            results[index] = _same(_judgement(NOTHING, Verdict(UNDECIDED, "infrastructure:generation", "engine")))
        elif not response.text.strip():
            results[index] = _same(_judgement(NOTHING, Verdict(REJECTED, "no_answer", "blank")))
        else:
            by_kind.setdefault(problem.kind, []).append(index)
    for kind, indexes in by_kind.items():
        part = [answered[index] for index in indexes]
        for index, judgements in zip(indexes, _JUDGES[kind](part, tools)):
            results[index] = judgements
    return [result for result in results if result is not None]


def _judge_answers(part: Sequence[tuple[Problem, Response]], tools: Tools) -> list[dict[str, Judgement]]:
    strict = _strict_answers(part, tools)
    paper = paper_rules.judge_many(part)
    return [{PAPER: _paper_judgement(p), STRICT: s} for p, s in zip(paper, strict)]


def _paper_judgement(judged: "paper_rules.PaperJudgement") -> Judgement:
    return Judgement(
        extracted=judged.extracted,
        start=judged.start,
        end=judged.end,
        extraction=judged.extraction,
        verdict=ACCEPTED if judged.right else REJECTED,
        reason="" if judged.right else ("answer_mismatch" if judged.extracted else "no_answer"),
        rule=judged.rule,
    )


def _strict_answers(part: Sequence[tuple[Problem, Response]], tools: Tools) -> list[Judgement]:
    """Our extraction and grader. Every gold of an item is one pair; all pairs go to the grader together."""
    taken = [_taken(problem, response) for problem, response in part]
    golds = [strict_golds(problem) for problem, _ in part]
    pairs = [(gold, t.text) for (t, several) in zip(taken, golds) for gold in several if t.text is not None]
    verdicts = iter(tools.grader.grade_many(pairs))
    results = []
    for (problem, response), answer, several in zip(part, taken, golds):
        if answer.text is None:
            results.append(_judgement(answer, Verdict(REJECTED, "no_answer", "extract")))
            continue
        verdict = _best([next(verdicts) for _ in several])
        verdict = _benchmark_rules(problem, answer.text, verdict, tools)
        results.append(_judgement(answer, _cut_off(response, verdict)))
    return results


def _benchmark_rules(problem: Problem, answer: str, verdict: Verdict, tools: Tools) -> Verdict:
    """What a data set itself says about when an answer of its own counts."""
    if verdict.accepted:
        return verdict
    if problem.paper_rule == "theoremqa":
        return theorem_verdict(problem, answer, verdict)
    if problem.is_multiple:
        wrapped = tools.grader.grade(as_set(problem.answer), as_set(answer))
        return Verdict(wrapped.verdict, wrapped.reason, "any_order") if wrapped.accepted else verdict
    if problem.tolerance is not None:
        gold, value = number_of(problem.answer), number_of(answer)
        if gold is not None and value is not None and abs(gold - value) <= problem.tolerance:
            return Verdict(ACCEPTED, "", "tolerance")
    return verdict


def _best(verdicts: list[Verdict]) -> Verdict:
    """Of several golds any one is enough; one that can't be told leaves the item undecided."""
    for wanted in (ACCEPTED, UNDECIDED):
        for verdict in verdicts:
            if verdict.verdict == wanted:
                return verdict
    return verdicts[0]


def _judge_choices(part: Sequence[tuple[Problem, Response]], tools: Tools) -> list[dict[str, Judgement]]:
    results = []
    for problem, response in part:
        letter = choices.read_letter(response.text, problem.choices)
        if letter is None:
            results.append(_both(NOTHING, Verdict(REJECTED, "no_answer", "letter"), response))
            continue
        right = letter.letter == problem.answer.strip().upper()
        verdict = Verdict(ACCEPTED, "", "letter") if right else Verdict(REJECTED, "answer_mismatch", "letter")
        taken = _Taken(letter.letter, letter.start, letter.end, letter.rule)
        results.append(_both(taken, verdict, response))
    return results


def _judge_texts(part: Sequence[tuple[Problem, Response]], tools: Tools) -> list[dict[str, Judgement]]:
    results = []
    for problem, response in part:
        found = short_answers.read_short_answer(response.text, problem.answer)
        if found is None:
            results.append(_both(NOTHING, Verdict(REJECTED, "no_answer", "text"), response))
            continue
        verdict = Verdict(REJECTED, "answer_mismatch", "text")
        if short_answers.same_text(problem.answer, found.text):
            verdict = Verdict(ACCEPTED, "", "text")
        elif grade(problem.answer, found.text).accepted:
            verdict = Verdict(ACCEPTED, "", "value")
        results.append(_both(_Taken(found.text, found.start, found.end, found.rule), verdict, response))
    return results


def _judge_code(part: Sequence[tuple[Problem, Response]], tools: Tools) -> list[dict[str, Judgement]]:
    if tools.pool is None:
        raise ValueError("a benchmark of code needs a sandbox pool")
    read = [code_tests.read_code(response.text, problem) for problem, response in part]
    verdicts = code_tests.run_tests(tools.pool, [(problem, code[0]) for (problem, _), code in zip(part, read)])
    results = []
    for (_, response), (code, start, end, rule), verdict in zip(part, read, verdicts):
        results.append(_both(_Taken(code, start, end, rule), verdict, response))
    return results


_JUDGES = {"answer": _judge_answers, "choice": _judge_choices, "text": _judge_texts, "code": _judge_code}


def _taken(problem: Problem, response: Response) -> _Taken:
    if problem.paper_rule == "theoremqa" and (announced := said(response.text, problem.answer_type)):
        return _Taken(*announced, "announced")
    found = extract(response.text)
    return _Taken(found.answer, found.start, found.end, found.rule)


def _both(taken: _Taken, verdict: Verdict, response: Response) -> dict[str, Judgement]:
    """One rule for both protocols; only strict holds a cut-off response against it."""
    return {PAPER: _judgement(taken, verdict), STRICT: _judgement(taken, _cut_off(response, verdict))}


def _same(judgement: Judgement) -> dict[str, Judgement]:
    return dict.fromkeys(PROTOCOLS, judgement)


def _cut_off(response: Response, verdict: Verdict) -> Verdict:
    return Verdict(REJECTED, "truncated", verdict.rule) if response.finish_reason == "length" else verdict


def _judgement(taken: _Taken, verdict: Verdict) -> Judgement:
    return Judgement(
        extracted=taken.text,
        start=taken.start,
        end=taken.end,
        extraction=taken.rule,
        verdict=verdict.verdict,
        reason=verdict.reason,
        rule=verdict.rule,
    )
