"""Texts as arrays of hashed tokens, many texts at once: what dedup and decontamination count in.

A token is a word, a number or a symbol, whatever the case, the layout and the LaTeX dressing around it: `$\\dfrac{1,000}
{3}$` and `\\frac{1000}{3}` give the same tokens, `three` is `3`. Chinese, Japanese and Korean script is cut into
characters. Each token is one uint64:

    bits 62–63   kind: WORD, NUMBER or SYMBOL (operators, and single letters such as x)
    bits 56–61   of a number: how many bits it carries, log2(1 + value), at most 20
    bits  0–55   hash of the token's text (BLAKE2b)
"""

import hashlib
import math
import re
import unicodedata
from collections.abc import Sequence

import numpy as np

WORD, NUMBER, SYMBOL = 1, 2, 3
KIND_SHIFT, WEIGHT_SHIFT = np.uint64(62), np.uint64(56)
_END = "\x1e"  # between texts; taken out of the texts themselves
_SCRIPTS = "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(
    rf"[{_SCRIPTS}]|[^\W\d_{_SCRIPTS}]+|\d+(?:(?:,|\{{,\}})\d{{3}}(?!\d))*(?:\.\d+)?|[-+*/=<>^()\[\]|%_\x1e]|[^\w\s\x00-\x7f]"
)
_DRESSING = frozenset(
    "left right big bigl bigr displaystyle textstyle text textbf mathrm mathbf mathit mbox operatorname quad qquad begin"
    " end align array".split()
)
_SAME = {
    "dfrac": "frac", "tfrac": "frac", "cdot": "*", "times": "*", "×": "*", "·": "*", "÷": "/", "div": "/", "−": "-",
    "–": "-", "le": "leq", "≤": "leq", "ge": "geq", "≥": "geq", "ne": "neq", "≠": "neq", "lt": "<", "gt": ">",
    "π": "pi", "∞": "infty", "°": "circ", "∠": "angle", "zero": "0", "one": "1", "two": "2", "three": "3", "four": "4",
    "five": "5", "six": "6", "seven": "7", "eight": "8", "nine": "9", "ten": "10", "eleven": "11", "twelve": "12",
    "twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60", "hundred": "100", "thousand": "1000",
}  # fmt: skip
_MOST_KNOWN = 2_000_000  # tokens remembered; numbers make the vocabulary of a large corpus endless


class _Vocabulary(dict):
    """Token text -> its uint64 as int; 0 for what is dropped."""

    def __missing__(self, token: str) -> int:
        if len(self) > _MOST_KNOWN:
            self.clear()
        value = self[token] = 1 if token == _END else _value(token)
        return value


def _value(token: str) -> int:
    token = _SAME.get(token, token)
    if token in _DRESSING:
        return 0
    weight = 0
    if token[0].isdigit():
        kind = NUMBER
        token = token.replace("{,}", "").replace(",", "")
        whole, _, decimals = token.partition(".")
        decimals = decimals.rstrip("0")
        token = (whole.lstrip("0") or "0") + ("." + decimals if decimals else "")
        weight = min(20, round(math.log2(10) * len(token))) if len(token) > 6 else _bits(token)
    elif token[0].isalpha() and (len(token) > 1 or token in "ai" or not token.isascii()):
        kind = WORD
    else:
        kind = SYMBOL
    digest = hashlib.blake2b(token.encode("utf-8", "surrogatepass"), digest_size=7).digest()
    return kind << 62 | weight << 56 | int.from_bytes(digest, "little")


def _bits(token: str) -> int:
    """Bits of a short number: of its digits without the point, so that 6.25 carries more than 6."""
    digits = "".join(character for character in token if character.isdecimal() and character.isascii())
    return min(20, round(math.log2(1 + int(digits or "0"))))


_vocabulary = _Vocabulary()


def folded(text: str) -> str:
    """`text` as tokens see it: compatibility forms unified, lower case."""
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)
    return text.lower().replace(_END, " ")


def tokenise(texts: Sequence[str | None]) -> tuple[np.ndarray, np.ndarray]:
    """Tokens of `texts`, one after the other (uint64), and where each text begins (int64, one more than texts)."""
    joined = _END.join(folded(text or "") for text in texts) + _END
    found = _TOKEN.findall(joined)
    values = np.fromiter(map(_vocabulary.__getitem__, found), np.uint64, len(found))
    values = values[values != 0]
    ends = np.flatnonzero(values == 1)
    starts = np.zeros(len(texts) + 1, np.int64)
    # Every end mark before a text shifts it by one once the marks are gone.
    starts[1:] = ends - np.arange(len(ends))
    return values[values != 1], starts


def spans(text: str) -> tuple[list[int], list[tuple[int, int]], str]:
    """One text's tokens, where each stands, and the text that the places count in (its folded form where folding
    changed its length)."""
    base = folded(text)
    values, places = [], []
    for match in _TOKEN.finditer(base):
        value = _vocabulary[match[0]]
        if value > 1:
            values.append(value)
            places.append(match.span())
    return values, places, text if len(text) == len(base) else base


# -- runs of tokens ----------------------------------------------------------------------------------------------------
_ODD = np.uint64(0x9E3779B97F4A7C15)
_STIR = np.uint64(0xD6E8FEB86659FD93)


def mix(values: np.ndarray) -> np.ndarray:
    """A bijection of uint64 after which every bit depends on all of them."""
    values = (values ^ (values >> np.uint64(32))) * _STIR
    values = (values ^ (values >> np.uint64(29))) * _ODD
    return values ^ (values >> np.uint64(32))


def runs(tokens: np.ndarray, starts: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Hashes (uint64) of all runs of `n` tokens that lie within one text, and the position of each run's first."""
    count = len(tokens) - n + 1
    if count <= 0:
        return np.empty(0, np.uint64), np.empty(0, np.int64)
    total = np.full(count, n, np.uint64)
    for offset in range(n):
        total = (total + tokens[offset : offset + count]) * _ODD
        total ^= total >> np.uint64(31)
    inside = np.ones(count, bool)
    for offset in range(1, n):
        # A run may not cross the beginning of a text.
        begins = starts[1:-1] - offset
        inside[begins[(begins >= 0) & (begins < count)]] = False
    positions = np.flatnonzero(inside)
    return mix(total[positions]), positions


def lengths(starts: np.ndarray) -> np.ndarray:
    return np.diff(starts)


def sums(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """Sum of `values` per text (in their own type, wrapping); 0 for an empty text."""
    running = np.zeros(len(values) + 1, values.dtype)
    np.cumsum(values, out=running[1:])
    return running[starts[1:]] - running[starts[:-1]]


def whole(tokens: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """One hash (uint64) per text, of its tokens in their order; 0 for a text without tokens."""
    counts = lengths(starts)
    place = np.arange(len(tokens), dtype=np.uint64) - np.repeat(starts[:-1], counts).astype(np.uint64)
    total = mix(sums(mix(tokens ^ mix(place + np.uint64(1))), starts))
    return np.where(counts > 0, total | np.uint64(1), np.uint64(0))


def distinct(values: np.ndarray) -> np.ndarray:
    """The different values, sorted. (For integers `numpy.unique` hashes first, which is several times slower here.)"""
    values = np.sort(values)
    return values[np.append(True, values[1:] != values[:-1])] if len(values) else values


def kinds(tokens: np.ndarray) -> np.ndarray:
    """WORD, NUMBER or SYMBOL of each token (uint64)."""
    return tokens >> KIND_SHIFT


def numbers(tokens: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Per text: a hash of its numbers whatever their order, how many there are, and the bits that they carry."""
    is_number = kinds(tokens) == NUMBER
    hashes = sums(np.where(is_number, mix(tokens), np.uint64(0)), starts)
    weight = np.where(is_number, (tokens >> WEIGHT_SHIFT) & np.uint64(63), np.uint64(0))
    return hashes, sums(is_number.astype(np.int64), starts), sums(weight.astype(np.int64), starts)
