"""Asks judges about labelled pairs, in the words that the verify stage uses, and reads what they say as it does."""

from dataclasses import dataclass
from typing import Any

from caco_recipes.calibration.pairs import Pair
from caco_recipes.generation import Request, SamplingParams
from caco_recipes.verify import Opinion, judge_messages, read_opinion


@dataclass(frozen=True)
class Judged:
    """What one judge said of one pair."""

    pair: Pair
    judge: str
    opinion: Opinion

    @property
    def wrong(self) -> bool:
        """A wrong pair that was accepted, or a right one that was not (Yes and No only)."""
        return self.opinion.word in ("yes", "no") and (self.opinion.word == "yes") != self.pair.right


def questions(pairs: list[Pair], judges: list[str]) -> list[tuple[Pair, str]]:
    """Every pair with every judge that can be asked about it, in order."""
    return [(pair, judge) for pair in pairs for judge in judges if judge in pair.judges]


def prompt_of(pair: Pair, judge: str) -> list[dict[str, str]]:
    """The messages of one question."""
    return judge_messages({"problem": pair.problem, "solution": pair.solution, "code": pair.code}, judge)


def ask(pairs: list[Pair], judges: list[str], session: Any, sampling: SamplingParams) -> list[Judged]:
    """What the judges say. Every answer is stored as it arrives: what was paid for is never asked again.

    A recorded engine looks its answers up by stage `judge_NAME` and the pair's id.
    """
    asked = questions(pairs, judges)
    requests = [
        Request(session.render(prompt_of(pair, judge)), sampling, stage=f"judge_{judge}", subject=pair.id)
        for pair, judge in asked
    ]
    completions = session.complete(requests)
    return [
        Judged(pair, judge, read_opinion(completion, session.request_key(request)))
        for (pair, judge), request, completion in zip(asked, requests, completions, strict=True)
    ]
