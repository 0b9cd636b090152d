"""Number words as the word2number package reads them, which the Qwen evaluator applies to every answer.

Any text with a number word in it becomes that number ("one of the roots" is 1); kept, for published numbers rest on it.
"""

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_VALUES = {word: i for i, word in enumerate(_ONES.split())} | {
    word: 20 + 10 * i for i, word in enumerate(_TENS.split())
}
_VALUES |= {"hundred": 100, "thousand": 1000, "million": 1_000_000, "billion": 1_000_000_000}
_DIGITS = set(_ONES.split()[:10])


def words_to_number(text: str) -> str | None:
    """The number as text, or None where the package raises."""
    words_text = text.replace("-", " ").lower()
    if words_text.isdigit():
        try:
            return str(int(words_text))
        except ValueError:
            return None
    words = [word.strip() for word in words_text.strip().split()]
    known = [word for word in words if word in _VALUES or word == "point"]
    if not known or any(known.count(scale) > 1 for scale in ("thousand", "million", "billion", "point")):
        return None
    whole, decimals = known, []
    if "point" in known:
        at = known.index("point")
        whole, decimals = known[:at], known[at + 1 :]
    at = {scale: whole.index(scale) if scale in whole else -1 for scale in ("billion", "million", "thousand")}
    billion, million, thousand = at["billion"], at["million"], at["thousand"]
    if (thousand > -1 and (thousand < million or thousand < billion)) or (million > -1 and million < billion):
        return None
    try:
        total = _whole(whole, billion, million, thousand)
    except (IndexError, KeyError):
        return None
    if decimals:
        if any(word not in _DIGITS for word in decimals):
            return None
        return str(total + float("0." + "".join(str(_VALUES[word]) for word in decimals)))
    return str(total)


def _whole(words: list[str], billion: int, million: int, thousand: int) -> int:
    if not words:
        return 0
    if len(words) == 1:
        return _VALUES[words[0]]
    total = 0
    if billion > -1:
        total += _group(words[:billion]) * 1_000_000_000
    if million > -1:
        total += _group(words[billion + 1 : million]) * 1_000_000
    if thousand > -1:
        start = million if million > -1 else billion
        total += _group(words[start + 1 : thousand]) * 1000
    last = max(billion, million, thousand)
    if last == -1:
        return total + _group(words)
    if last != len(words) - 1:
        total += _group(words[last + 1 :])
    return total


def _group(words: list[str]) -> int:
    numbers = [_VALUES[word] for word in words]
    if len(numbers) == 4:
        return numbers[0] * numbers[1] + numbers[2] + numbers[3]
    if len(numbers) == 3:
        return numbers[0] * numbers[1] + numbers[2]
    if len(numbers) == 2:
        return numbers[0] * numbers[1] if 100 in numbers else numbers[0] + numbers[1]
    return numbers[0]
