"""Numbers, clock times and dates written in words: `forty-two`, `three and a half`, `noon`, `4 May 2020`."""

import re
from fractions import Fraction
from functools import lru_cache

_ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
         "eighteen nineteen").split()  # fmt: skip
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety".split()
_SMALL = {word: value for value, word in enumerate(_ONES)} | {word: 20 + 10 * i for i, word in enumerate(_TENS)}
SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_PARTS = {
    "half": 2,
    "third": 3,
    "quarter": 4,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
}
_WORD = re.compile(r"[a-z]+")
_NOT_WORDS = re.compile(r"[^a-z\s-]")
_MARKUP = re.compile(r"\\(?:text|mathrm|mbox|textbf)\s*\{([^{}]*)\}")
_CLOCK = re.compile(r"(\d{1,2})(?::(\d{2})(?::(\d{2}))?)?\s*(?:([ap])\.?\s?m\.?)?\Z", re.I)
_NAMED_TIMES = {
    "noon": "12:00 pm",
    "12 noon": "12:00 pm",
    "midnight": "12:00 am",
    "12 midnight": "12:00 am",
    "12:00 noon": "12:00 pm",
}
_MONTHS = {name[:3]: i for i, name in enumerate(
    "january february march april may june july august september october november december".split(), 1)}  # fmt: skip
_MONTH = r"(jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|nov(?:ember)?|dec(?:ember)?)\.?"
_DAY = r"(\d{1,2})(?:st|nd|rd|th)?"
_DATES = [
    re.compile(rf"(?P<m>{_MONTH})\s*(?P<d>{_DAY})(?:\s*,?\s*(?P<y>\d{{4}}))?\Z", re.I),
    re.compile(rf"(?:the\s+)?(?P<d>{_DAY})\s+(?:of\s+)?(?P<m>{_MONTH})(?:\s*,?\s*(?P<y>\d{{4}}))?\Z", re.I),
    re.compile(r"(?P<y>\d{4})-(?P<m>\d{2})-(?P<d>\d{2})\Z"),
]
_WEEKDAY = re.compile(r"\A(?:mon|tues|wednes|thurs|fri|satur|sun)day\s*,?\s+", re.I)


@lru_cache(maxsize=4096)
def spelled_number(text: str) -> Fraction | None:
    """`seven` → 7, `one hundred and five` → 105, `two thirds` → 2/3, `three and a half` → 7/2; None if the words aren't a number."""
    lowered = text.strip().lower()
    if not lowered or len(lowered) > 120 or _NOT_WORDS.search(lowered):
        return None
    words = _WORD.findall(lowered)
    if words[0] in ("a", "an") and len(words) > 1:
        words[0] = "one"
    if words == ["one", "dozen"]:
        return Fraction(12)
    last = words[-1].removesuffix("s") if words[-1] != "halves" else "half"
    if last in _PARTS and len(words) > 1:
        return _with_part(words[:-1], _PARTS[last])
    whole = _whole(words)
    return None if whole is None else Fraction(whole)


def _with_part(words: list[str], part: int) -> Fraction | None:
    """`two` thirds, `three and a` half, `one and two` thirds."""
    if "and" in words:
        cut = len(words) - 1 - words[::-1].index("and")
        whole, count = (
            _whole(words[:cut]),
            _whole(["one"] if words[cut + 1 :] in (["a"], ["an"]) else words[cut + 1 :]),
        )
    else:
        whole, count = 0, _whole(words)
    if whole is None or count is None or not 0 < count < part:
        return None
    return whole + Fraction(count, part)


def _whole(words: list[str]) -> int | None:
    total = group = 0
    last = 10**15  # the scale that came before: they must go down
    room = 100  # what the next small number must stay below
    seen = False
    for i, word in enumerate(words):
        if word == "and":
            if not seen or i == len(words) - 1 or words[i - 1] not in ("hundred", *SCALES):
                return None
        elif word in _SMALL:
            value = _SMALL[word]
            if value >= room or (value == 0 and len(words) > 1):
                return None
            group += value
            room = 10 if value >= 20 else 1
            seen = True
        elif word == "hundred":
            if not 0 < group < 10 and not (10 < group < 100 and group % 10):
                return None
            group *= 100
            room = 100
        elif word in SCALES:
            if not group or SCALES[word] >= last:
                return None
            last = SCALES[word]
            total, group, room = total + group * last, 0, 100
        else:
            return None
    return total + group if seen else None


def clock(text: str) -> tuple[int, bool, bool] | None:
    """A clock time: (seconds since midnight as written, has a.m. or p.m., is p.m.). Hours alone need a.m. or p.m."""
    plain = _MARKUP.sub(r"\1", text).strip()
    plain = _NAMED_TIMES.get(plain.lower(), plain)
    match = _CLOCK.match(plain)
    if match is None or not (match[2] or match[4]):
        return None
    hours, minutes, seconds, half = int(match[1]), int(match[2] or 0), int(match[3] or 0), (match[4] or "").lower()
    if hours > 24 or minutes > 59 or seconds > 59 or (half and not 1 <= hours <= 12):
        return None
    if half:
        hours = hours % 12 + (12 if half == "p" else 0)
    return hours * 3600 + minutes * 60 + seconds, bool(half), half == "p"


def may_be_time(text: str) -> bool:
    """A cheap look: whether `clock` or `date` could read the text."""
    return len(text) < 50 and (":" in text or "-" in text or any(c.isalpha() for c in text[:60])) and (
        any(c.isdigit() for c in text) or "noon" in text.lower() or "midnight" in text.lower()
    )  # fmt: skip


def date(text: str) -> tuple[int, int, int] | None:
    """(year or 0, month, day) of a date with its month in words, or in ISO form; a weekday before it says nothing."""
    plain = _WEEKDAY.sub("", _MARKUP.sub(r"\1", text).strip().rstrip("."))
    for form in _DATES:
        match = form.match(plain)
        if match is None:
            continue
        month = match["m"]
        number = int(month) if month.isdigit() else _MONTHS[month[:3].lower()]
        day = int(re.match(r"\d+", match["d"]).group())
        return (int(match["y"] or 0), number, day) if 1 <= number <= 12 and 1 <= day <= 31 else None
    return None
