"""The report's map: accepted problems as points, near ones together, in clusters that are named by their own words.

In: problems, and by option the vectors of an embedding model (`caco report --embedder NAME`; the paper's diversity figure
takes all-MiniLM-L6-v2, t-SNE and k-means with 12 clusters). Without a model, vectors are TF-IDF of words reduced to 24
directions by SVD: near then means "in the same words". Two dimensions come from t-SNE; distances between far clusters
mean nothing. The same rows give the same map.
"""

import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

WORD = re.compile(r"[^\W\d_]{3,}")
MARKUP = re.compile(r"\\[A-Za-z]+|\[asy\].*?\[/asy\]", re.DOTALL)  # LaTeX's commands are no words of a problem
SMALL_WORDS = frozenset(
    "the and for with that this from are was were has have had been will what which how many much find your you his her "
    "its their they she each one two any all not can than then when where into such there these those but let per does "
    "did our out who some also answer express begin end".split()
)
POINTS = 800  # t-SNE here is exact: its cost grows with their square
CLUSTERS = 12
VOCABULARY = 4000
DIRECTIONS = 24


def problem_map(
    problems: Sequence[str], ids: Sequence[str], vectors: np.ndarray | None = None, method: str = ""
) -> dict[str, Any]:
    """`points` ([x, y, cluster, id], 0 to 1), `clusters` (words, rows), `method`; nothing for fewer than ten problems.

    Args:
        problems, ids: one each per row; `vectors` one row each where an embedding model made them.
        method: how the vectors were made, for people.
    """
    if len(problems) < 10:
        return {}
    words, terms = _tf_idf(problems)
    if vectors is None:
        vectors, method = _reduced(words), "TF-IDF of words, 24 directions"
    vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9)
    clusters = _k_means(vectors, min(CLUSTERS, max(2, len(problems) // 12)))
    flat = _tsne(vectors)
    low, high = flat.min(axis=0), flat.max(axis=0)
    flat = (flat - low) / np.maximum(high - low, 1e-9)
    sizes = np.bincount(clusters)
    order = [int(c) for c in np.argsort(-sizes, kind="stable")]
    rank = {cluster: place for place, cluster in enumerate(order)}
    return {
        "method": method,
        "points": [
            [round(float(x), 4), round(float(y), 4), rank[int(cluster)], row_id]
            for (x, y), cluster, row_id in zip(flat, clusters, ids, strict=True)
        ],
        "clusters": [{"words": _names(words, clusters == c, terms), "rows": int(sizes[c])} for c in order],
    }


def _tf_idf(texts: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """Rows of unit length, and the words of their columns: those in two texts and not in nearly half of them."""
    found = [
        Counter(word for word in WORD.findall(MARKUP.sub(" ", text).lower()) if word not in SMALL_WORDS)
        for text in texts
    ]
    spread: Counter[str] = Counter()
    for counts in found:
        spread.update(counts.keys())
    common = [item for item in spread.items() if 2 <= item[1] <= 0.45 * len(texts)] or list(spread.items())
    terms = [word for word, _ in sorted(common, key=lambda item: (-item[1], item[0]))[:VOCABULARY]]
    place = {word: index for index, word in enumerate(terms)}
    matrix = np.zeros((len(texts), max(1, len(terms))), dtype=np.float32)
    for row, counts in enumerate(found):
        for word, count in counts.items():
            if word in place:
                matrix[row, place[word]] = (1 + math.log(count)) * math.log(len(texts) / spread[word] + 1)
    return matrix / np.maximum(np.linalg.norm(matrix, axis=1, keepdims=True), 1e-9), terms


def _reduced(matrix: np.ndarray) -> np.ndarray:
    """The main directions by SVD, of the smaller of the two square matrices."""
    size = min(DIRECTIONS, min(matrix.shape))
    if matrix.shape[0] <= matrix.shape[1]:
        values, left = np.linalg.eigh(matrix @ matrix.T)
        return _signed(left[:, -size:] * np.sqrt(np.maximum(values[-size:], 0)))
    _, right = np.linalg.eigh(matrix.T @ matrix)
    return _signed(matrix @ right[:, -size:])


def _signed(columns: np.ndarray) -> np.ndarray:
    """Each column's largest value is positive: an eigenvector's sign is nobody's choice."""
    largest = np.abs(columns).argmax(axis=0)
    return columns * np.where(columns[largest, np.arange(columns.shape[1])] < 0, -1, 1)


def _k_means(vectors: np.ndarray, count: int, rounds: int = 40) -> np.ndarray:
    """The cluster of each row; centres begin at rows far from those chosen (k-means++), by a fixed seed."""
    draw = np.random.default_rng(3)
    centres = [vectors[int(draw.integers(len(vectors)))]]
    while len(centres) < count:
        far = np.maximum(1 - (vectors @ np.stack(centres).T).max(axis=1), 0) ** 2
        share = far / far.sum() if far.sum() > 0 else np.full(len(vectors), 1 / len(vectors))
        centres.append(vectors[int(draw.choice(len(vectors), p=share))])
    middle = np.stack(centres)
    member = np.zeros(len(vectors), dtype=np.int64)
    for _ in range(rounds):
        before, member = member, (vectors @ middle.T).argmax(axis=1)
        for cluster in range(count):
            if (mask := member == cluster).any():
                middle[cluster] = vectors[mask].mean(axis=0)
        middle /= np.maximum(np.linalg.norm(middle, axis=1, keepdims=True), 1e-9)
        if (before == member).all():
            break
    _, member = np.unique(member, return_inverse=True)  # clusters that lost all their rows are none
    return member


def _names(words: np.ndarray, mask: np.ndarray, terms: list[str]) -> list[str]:
    """The words that a cluster has more of than the rest."""
    if not terms:
        return []
    inside = words[mask].mean(axis=0)
    outside = words[~mask].mean(axis=0) if (~mask).any() else 0
    best = np.argsort(-(inside - outside), kind="stable")[:3]
    return [terms[int(index)] for index in best if inside[int(index)] > 0]


def _tsne(vectors: np.ndarray, rounds: int = 300) -> np.ndarray:
    """Exact t-SNE (van der Maaten and Hinton, 2008) in two dimensions, started from the two main directions."""
    count = len(vectors)
    square = np.maximum(2 - 2 * vectors @ vectors.T, 0).astype(np.float32)
    np.fill_diagonal(square, np.inf)
    near = _affinities(square, perplexity=min(30.0, (count - 1) / 3))
    near = np.maximum((near + near.T) / (2 * count), 1e-12)
    main = _reduced(vectors - vectors.mean(axis=0))
    flat = np.zeros((count, 2), dtype=np.float32)
    flat[:, : min(2, main.shape[1])] = main[:, ::-1][:, :2]
    flat = 1e-2 * flat / max(float(flat.std()), 1e-9)
    step, gains, rate = np.zeros_like(flat), np.ones_like(flat), max(50.0, count / 12)
    for turn in range(rounds):
        pull = near * 12 if turn < 80 else near  # early exaggeration
        norms = (flat**2).sum(axis=1)
        force = 1 / (1 + np.maximum(norms[:, None] + norms[None, :] - 2 * flat @ flat.T, 0))
        np.fill_diagonal(force, 0)
        weight = (pull - force / max(float(force.sum()), 1e-12)) * force
        slope = 4 * (weight.sum(axis=1)[:, None] * flat - weight @ flat)
        gains = np.where(np.sign(slope) == np.sign(step), np.maximum(gains * 0.8, 0.01), gains + 0.2)
        step = (0.5 if turn < 80 else 0.8) * step - rate * gains * slope
        flat = flat + step
        flat -= flat.mean(axis=0)
    return flat


def _affinities(square: np.ndarray, perplexity: float) -> np.ndarray:
    """Rows of probabilities whose entropy is that of `perplexity` equal neighbours; widths by bisection."""
    low, high = np.zeros(len(square)), np.full(len(square), 1e6)
    beta = np.ones(len(square))
    nearest = square.min(axis=1, keepdims=True)
    shifted = np.where(np.isinf(square), np.float32(1e9), square - nearest)
    for _ in range(40):
        weight = np.exp(-np.minimum(beta[:, None] * shifted, 80)) * (shifted < 1e8)
        total = np.maximum(weight.sum(axis=1), 1e-12)
        entropy = np.log(total) + beta * (weight * np.minimum(shifted, 1e8)).sum(axis=1) / total
        wide = entropy > math.log(perplexity)
        low, high = np.where(wide, beta, low), np.where(wide, high, beta)
        beta = np.where(high < 1e6, (low + high) / 2, beta * 2)
    return weight / total[:, None]
