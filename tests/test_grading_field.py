"""The grader, slow tier included, on answer pairs in the manner of the field's graders, near misses among them."""

import pytest
from grading_field_cases import DIFFERENT, EQUAL, PRINTED_DIFFERENT, PRINTED_EQUAL

from caco_recipes.grading import Grader


@pytest.fixture(scope="module")
def grader():
    with Grader(workers=1) as grader:
        yield grader


def _wrong(grader: Grader, families: dict, kind: str, equal: bool) -> list[tuple]:
    pairs = [(family, *pair) for family, pairs in families.items() for pair in pairs]
    verdicts = grader.grade_many([(gold, pred, kind) for _, gold, pred in pairs])
    return [(pair, v.verdict, v.rule) for pair, v in zip(pairs, verdicts, strict=True) if v.accepted != equal]


@pytest.mark.parametrize(
    ("families", "kind"), [(EQUAL, "answer"), (PRINTED_EQUAL, "program")], ids=["answers", "printed"]
)
def test_equal(grader, families, kind):
    assert _wrong(grader, families, kind, True) == []


@pytest.mark.parametrize(
    ("families", "kind"), [(DIFFERENT, "answer"), (PRINTED_DIFFERENT, "program")], ids=["answers", "printed"]
)
def test_near_misses(grader, families, kind):
    assert _wrong(grader, families, kind, False) == []


def test_there_are_enough_of_them():
    counts = [sum(map(len, families.values())) for families in (EQUAL, PRINTED_EQUAL, DIFFERENT, PRINTED_DIFFERENT)]
    assert sum(counts) > 1300 and counts[2] > 500
