"""Estimators and intervals of an evaluation, against brute force and published values."""

import itertools
import math
import random

import pytest

from caco_recipes.evaluation import metrics


@pytest.mark.parametrize("samples, right, k", [(5, 2, 1), (5, 2, 3), (8, 0, 4), (8, 8, 1), (6, 5, 2), (10, 3, 10)])
def test_pass_at_k_is_the_share_of_subsets_with_a_right_sample(samples, right, k):
    verdicts = [True] * right + [False] * (samples - right)
    subsets = list(itertools.combinations(verdicts, k))
    assert metrics.pass_at_k(samples, right, k) == pytest.approx(sum(map(any, subsets)) / len(subsets))


def test_pass_at_k_stays_exact_where_factorials_overflow():
    assert metrics.pass_at_k(2000, 1, 1000) == pytest.approx(0.5)


@pytest.mark.parametrize("k", [0, 6, -1])
def test_k_outside_the_samples_is_refused(k):
    with pytest.raises(ValueError, match="5 samples"):
        metrics.pass_at_k(5, 2, k)


def test_pass_at_k_of_drawn_samples_is_unbiased():
    """pass@2 from 6 draws, on average over many experiments, is what two draws give."""
    draw, share = random.Random(1), 0.3
    estimates = [metrics.pass_at_k(6, sum(draw.random() < share for _ in range(6)), 2) for _ in range(20_000)]
    assert math.fsum(estimates) / len(estimates) == pytest.approx(1 - 0.7**2, abs=0.01)


def test_majority_takes_the_most_frequent_answer():
    answers = ["4", "5", "4", "4", "7"]
    right = [True, False, True, True, False]
    assert metrics.maj_at_k(answers, right, 5) == 1.0
    # k = 1 is the plain average
    assert metrics.maj_at_k(answers, right, 1) == pytest.approx(3 / 5)


def test_majority_ties_share_and_no_answer_never_wins():
    assert metrics.maj_at_k(["4", "5"], [True, False], 2) == 0.5
    assert metrics.maj_at_k([None, None, "5"], [False, False, True], 3) == 1.0
    assert metrics.maj_at_k([None, None], [False, False], 2) == 0.0


def test_majority_of_many_samples_is_drawn_the_same_every_time():
    draw = random.Random(3)
    answers = [draw.choice("abc") for _ in range(40)]
    right = [answer == "a" for answer in answers]
    first = metrics.maj_at_k(answers, right, 9)
    assert first == metrics.maj_at_k(answers, right, 9)
    assert 0 <= first <= 1


def test_wilson_against_published_values():
    """Newcombe 1998, table I: 81 of 263 and 15 of 148."""
    a, b = metrics.wilson(81, 263), metrics.wilson(15, 148)
    assert (round(a.low, 4), round(a.high, 4)) == (0.2553, 0.3662)
    assert (round(b.low, 4), round(b.high, 4)) == (0.0624, 0.1605)
    nothing = metrics.wilson(0, 20)
    assert nothing.low == 0 and round(nothing.high, 4) == 0.1611
    assert metrics.wilson(0, 0).high == 1.0


def test_wilson_covers_at_its_level():
    share, n = 0.12, 60
    covered = sum(
        math.comb(n, x) * share**x * (1 - share) ** (n - x)
        for x in range(n + 1)
        if metrics.wilson(x, n).low <= share <= metrics.wilson(x, n).high
    )
    assert 0.92 < covered < 0.98


def test_mcnemar_is_the_exact_binomial():
    assert metrics.mcnemar(0, 0) == 1.0
    assert metrics.mcnemar(0, 5) == pytest.approx(2 / 32)
    assert metrics.mcnemar(3, 3) == 1.0
    assert metrics.mcnemar(1, 9) == pytest.approx(2 * (1 + 10) / 1024)
    assert metrics.mcnemar(9, 1) == metrics.mcnemar(1, 9)


def test_paired_difference_against_a_published_value():
    """Newcombe 1998 (paired), table II, e=36 f=12 g=2 h=0: difference 0.2, method 10 gives 0.0569 to 0.3404."""
    first = [1.0] * 36 + [1.0] * 12 + [0.0] * 2
    second = [1.0] * 36 + [0.0] * 12 + [1.0] * 2
    estimate = metrics.newcombe_paired(second, first)
    assert estimate.value == pytest.approx(0.2)
    assert (round(estimate.low, 3), round(estimate.high, 3)) == (0.057, 0.340)


def test_comparison_of_equal_models_is_no_difference():
    result = metrics.compare([1.0, 0.0, 1.0], [1.0, 0.0, 1.0])
    assert result.difference.value == 0 and result.p_value == 1.0
    assert result.difference.low <= 0 <= result.difference.high
    with pytest.raises(ValueError, match="same items"):
        metrics.compare([1.0], [1.0, 0.0])


def test_comparison_of_several_samples_finds_a_plain_difference():
    first = [0.25] * 40
    second = [0.75] * 40
    result = metrics.compare(first, second)
    assert result.test == "sign flip" and result.p_value < 0.001 and result.difference.value == pytest.approx(0.5)
    assert 0 < metrics.sign_flip([0.1, -0.1] * 20) <= 1


def test_intervals_of_means_resample_items():
    values = [0.0] * 50 + [1.0] * 50
    estimate = metrics.mean_interval([v * 0.5 + 0.25 for v in values])
    assert estimate.value == pytest.approx(0.5)
    assert estimate.high - estimate.low == pytest.approx(2 * 1.96 * 0.25 / 10, abs=0.02)
    assert metrics.share_interval(values).method == "wilson"
    assert metrics.share_interval([0.5, 1.0]).method == "bootstrap"


def test_macro_average_is_the_plain_mean():
    estimates = [metrics.wilson(50, 100), metrics.wilson(9, 10)]
    average = metrics.macro_average(estimates)
    assert average.value == pytest.approx(0.7)
    assert average.low < 0.7 < average.high and average.items == 110


def test_length_statistics():
    assert metrics.length_statistics([])["max"] == 0
    found = metrics.length_statistics(list(range(1, 101)))
    assert found == {"mean": 50.5, "p50": 50.0, "p90": 90.0, "max": 100.0}
