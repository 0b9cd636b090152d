"""Numbers and their uncertainty: accuracy, pass@k, avg@k, maj@k, intervals, and the comparison of two models.

Everything works on counts and lists of true/false; drawing is seeded, so that a table is the same every time it is made.
"""

import itertools
import math
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass

Z95 = 1.959963984540054  # the normal quantile of a 95 % interval
RESAMPLES = 2000
_EXACT_SUBSETS = 5000  # up to this many subsets maj@k is computed exactly


@dataclass(frozen=True, slots=True)
class Estimate:
    """A share between 0 and 1, its 95 % interval and how the interval was made."""

    value: float
    low: float
    high: float
    items: int
    method: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two models on the same items.

    Attributes:
        difference: share right of the second minus share right of the first, with its paired interval.
        only_first, only_second: items that only one of them has right (single samples).
        p_value: exact two-sided McNemar test; with several samples per item, a sign-flip test on the paired means.
        test: which of the two.
    """

    difference: Estimate
    only_first: int
    only_second: int
    p_value: float
    test: str


def wilson(successes: int, total: int) -> Estimate:
    """Wilson's score interval of a share. Nothing counted gives (0, 1)."""
    if not 0 <= successes <= total:
        raise ValueError(f"{successes} of {total} is not a share")
    if total == 0:
        return Estimate(0.0, 0.0, 1.0, 0, "wilson")
    share, z2 = successes / total, Z95**2
    centre = (share + z2 / (2 * total)) / (1 + z2 / total)
    half = Z95 * math.sqrt(share * (1 - share) / total + z2 / (4 * total**2)) / (1 + z2 / total)
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == total else min(1.0, centre + half)
    return Estimate(share, low, high, total, "wilson")


def pass_at_k(samples: int, right: int, k: int) -> float:
    """The unbiased estimate that at least one of k draws is right, from `right` of `samples` (Chen et al. 2021).

    Raises `ValueError` unless 1 <= k <= samples and 0 <= right <= samples.
    """
    _check_k(samples, k)
    if not 0 <= right <= samples:
        raise ValueError(f"{right} right of {samples} samples")
    if samples - right < k:
        return 1.0
    # 1 - C(n-c, k) / C(n, k), as a product that does not overflow
    return 1.0 - math.prod((samples - right - i) / (samples - i) for i in range(k))


def maj_at_k(answers: Sequence[Hashable | None], right: Sequence[bool], k: int, seed: int = 0) -> float:
    """The expected share right of the most frequent of k answers.

    The mean over all subsets of k samples (or over 5,000 seeded draws where there are more), so that it is unbiased in
    k < n too. A tie counts its right share of the tied answers; `None` (no answer) never wins against an answer.

    Args:
        answers: per sample, the class of equal answers that it belongs to.
        right: per sample, whether it was accepted. Samples of one class may differ (truncated ones): the class counts by
            its own share.
    """
    _check_k(len(answers), k)
    if len(answers) != len(right):
        raise ValueError(f"{len(answers)} answers, {len(right)} verdicts")
    if math.comb(len(answers), k) <= _EXACT_SUBSETS:
        subsets: Sequence[tuple[int, ...]] = list(itertools.combinations(range(len(answers)), k))
    else:
        import random

        draw = random.Random(seed)
        subsets = [tuple(draw.sample(range(len(answers)), k)) for _ in range(_EXACT_SUBSETS)]
    return math.fsum(_majority(subset, answers, right) for subset in subsets) / len(subsets)


def _majority(subset: tuple[int, ...], answers: Sequence[Hashable | None], right: Sequence[bool]) -> float:
    votes: dict[Hashable, list[bool]] = {}
    for index in subset:
        if answers[index] is not None:
            votes.setdefault(answers[index], []).append(right[index])
    if not votes:
        return 0.0
    most = max(map(len, votes.values()))
    winners = [sum(verdicts) / len(verdicts) for verdicts in votes.values() if len(verdicts) == most]
    return sum(winners) / len(winners)


def _check_k(samples: int, k: int) -> None:
    if not 1 <= k <= samples:
        raise ValueError(f"k is {k}, but there are {samples} samples per problem: k must lie between 1 and that")


def mean_interval(values: Sequence[float], seed: int = 0, resamples: int = RESAMPLES) -> Estimate:
    """The mean over items and a bootstrap interval that resamples items (their samples stay together)."""
    if not values:
        return Estimate(0.0, 0.0, 1.0, 0, "bootstrap")
    import numpy as np

    array = np.asarray(values, dtype=float)
    means = _bootstrap(array, lambda sample: sample.mean(axis=1), seed, resamples)
    low, high = np.quantile(means, [0.025, 0.975])
    return Estimate(float(array.mean()), float(low), float(high), len(values), "bootstrap")


def share_interval(per_item: Sequence[float]) -> Estimate:
    """Wilson where every item is plainly right or wrong, the bootstrap over items otherwise."""
    if all(value in (0.0, 1.0) for value in per_item):
        return wilson(int(sum(per_item)), len(per_item))
    return mean_interval(per_item)


def macro_average(estimates: Sequence[Estimate]) -> Estimate:
    """The plain mean of several benchmarks' shares (the paper's AVG); half-widths add in quadrature."""
    if not estimates:
        return Estimate(0.0, 0.0, 1.0, 0, "macro")
    count = len(estimates)
    value = math.fsum(e.value for e in estimates) / count
    below = math.sqrt(math.fsum((e.value - e.low) ** 2 for e in estimates)) / count
    above = math.sqrt(math.fsum((e.high - e.value) ** 2 for e in estimates)) / count
    return Estimate(value, max(0.0, value - below), min(1.0, value + above), sum(e.items for e in estimates), "macro")


def compare(first: Sequence[float], second: Sequence[float], seed: int = 0) -> Comparison:
    """Two models' shares right per item, the same items in the same order (0 or 1 with one sample each).

    Raises `ValueError` if the lists differ in length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} items against {len(second)}: a paired comparison needs the same items")
    differences = [b - a for a, b in zip(first, second)]
    plain = all(value in (0.0, 1.0) for value in (*first, *second))
    only_first = sum(d < 0 for d in differences)
    only_second = sum(d > 0 for d in differences)
    if not differences:
        nothing = Estimate(0.0, -1.0, 1.0, 0, "none")
        return Comparison(nothing, 0, 0, 1.0, "none")
    if plain:
        estimate = newcombe_paired(first, second)
        return Comparison(estimate, only_first, only_second, mcnemar(only_first, only_second), "McNemar, exact")
    boot = mean_interval(differences, seed)
    return Comparison(boot, only_first, only_second, sign_flip(differences, seed), "sign flip")


def mcnemar(only_first: int, only_second: int) -> float:
    """The exact two-sided McNemar test: how likely a split of the discordant items at least this uneven is by chance."""
    discordant = only_first + only_second
    if not discordant:
        return 1.0
    tail = sum(math.comb(discordant, i) for i in range(min(only_first, only_second) + 1))
    return min(1.0, 2 * tail / 2**discordant)


def newcombe_paired(first: Sequence[float], second: Sequence[float]) -> Estimate:
    """Newcombe's interval (1998, method 10) for the difference of two paired shares: sound at 0 and at small n."""
    n = len(first)
    both = sum(a == b == 1.0 for a, b in zip(first, second))
    neither = sum(a == b == 0.0 for a, b in zip(first, second))
    only_first, only_second = int(sum(first)) - both, int(sum(second)) - both
    one, two = wilson(both + only_first, n), wilson(both + only_second, n)
    margins = (both + only_first) * (only_second + neither) * (both + only_second) * (only_first + neither)
    product = both * neither - only_first * only_second
    # Continuity correction of the correlation, as in the paper: only where the association is positive.
    product = max(product - n / 2, 0) if product > 0 else product
    phi = product / math.sqrt(margins) if margins else 0.0
    below = (two.value - two.low) ** 2 - 2 * phi * (two.value - two.low) * (one.high - one.value)
    below += (one.high - one.value) ** 2
    above = (two.high - two.value) ** 2 - 2 * phi * (two.high - two.value) * (one.value - one.low)
    above += (one.value - one.low) ** 2
    difference = two.value - one.value
    low, high = difference - math.sqrt(max(below, 0.0)), difference + math.sqrt(max(above, 0.0))
    return Estimate(difference, max(-1.0, low), min(1.0, high), n, "newcombe")


def sign_flip(differences: Sequence[float], seed: int = 0, draws: int = 10_000) -> float:
    """A paired permutation test of the mean difference; the identity is one of the draws, so p is never 0."""
    import numpy as np

    array = np.asarray([d for d in differences if d], dtype=float)
    if not len(array):
        return 1.0
    generator = np.random.default_rng(seed)
    observed = abs(array.sum())
    extreme = 1
    for _ in range(0, draws, 1000):
        signs = generator.integers(0, 2, size=(1000, len(array)), dtype=np.int8) * 2 - 1
        extreme += int((np.abs(signs @ array) >= observed - 1e-12).sum())
    return extreme / (draws + 1)


def _bootstrap(array, statistic: Callable, seed: int, resamples: int):
    """`statistic` of rows of resampled items; in blocks, so that 5,000 items do not need a gigabyte."""
    import numpy as np

    generator = np.random.default_rng(seed)
    block = max(1, 2_000_000 // len(array))
    results = []
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        results.append(statistic(array[generator.integers(0, len(array), size=(size, len(array)))]))
    return np.concatenate(results)


def length_statistics(lengths: Sequence[int]) -> dict[str, float]:
    """Mean, median, 90th percentile and maximum of completion lengths in tokens; zeros for none."""
    if not lengths:
        return {"mean": 0.0, "p50": 0.0, "p90": 0.0, "max": 0.0}
    ordered = sorted(lengths)

    def quantile(q: float) -> float:
        return float(ordered[min(len(ordered) - 1, math.ceil(q * len(ordered)) - 1)])

    mean = round(math.fsum(ordered) / len(ordered), 2)
    return {"mean": mean, "p50": quantile(0.5), "p90": quantile(0.9), "max": float(ordered[-1])}
