"""What the name of an input says of its value: words, the kind of quantity, the place among its siblings.

`num_apples` is a number of apples, `discount_percent` a percentage, `price_per_kg` an amount of money, `n2` what comes
behind `n1`. A comment `# apples: how many John has` says more words of the input `apples`. Words are compared by concept:
plain stems, irregular forms and a few groups of words that problems and programs use for one another.
"""

import re
from dataclasses import dataclass, field

from caco_recipes.families.quantities import ORDINALS, WORDS

# Words that mean the same beside a number; the first of a line is the concept.
CONCEPTS = (
    "price cost costs priced pricing worth", "buy bought purchase purchased purchases purchasing buying",
    "sell sold sells selling sale sales", "pay paid pays payment paying", "spend spent spends spending",
    "earn earned earns wage wages salary income", "left remain remaining remains remainder rest leftover",
    "start initial initially starting starts started original originally begin began beginning begins",
    "total altogether combined overall all entire", "each per every apiece",
    "more additional extra added add another further addition increase increased", "eat ate eaten eats eating",
    "give gave given gives giving", "take took taken takes taking", "get got gets received receive",
    "lose lost loses losing",
    "win won wins winning", "make made makes making", "find found finds finding", "grow grew grown grows",
    "drive drove driven drives", "run ran runs running", "throw threw thrown throws", "break broke broken",
    "write wrote written writes", "read reads reading", "catch caught", "drink drank drunk drinks", "need needed needs",
    "want wanted", "require required", "fly flew flown", "build built", "go went gone", "child children kid kids",
    "man men",
    "woman women", "person people persons", "foot feet ft", "mouse mice", "tooth teeth", "goose geese", "width wide",
    "length long", "height high tall", "depth deep", "age old aged", "weight weigh weighs weighed heavy",
    "distance far dist",
    "speed fast velocity", "thick thickness", "percent percentage pct percents", "time times",
    "minute minutes min mins",
    "hour hours hr hrs", "second seconds sec secs", "day days daily", "week weeks weekly", "month months monthly",
    "year years yearly annual annually", "dollar dollars usd", "cent cents", "pound pounds lb lbs", "mile miles",
    "meter meters metre metres", "kilometer kilometers km kms kilometre", "inch inches", "centimeter centimeters cm",
    "half halves", "double doubled twice", "triple tripled", "fewer less few", "discount off",
    "student students pupil pupils",
    "box boxes", "number num count quantity", "temperature temp temperatures", "volume vol", "average avg mean",
    "maximum max", "principal princ", "capacity capacities", "frequency freq", "probability prob", "population pop",
    "share shares shared", "bike bicycle bicycles bikes", "father dad", "mother mom mum",
    "picture pictures photo photos",
    "final end last ends ended", "now current currently present", "before previous previously earlier prior",
    "after later",
    "join joined joins", "ride rode rides", "sing sang", "bring brought", "send sent", "teach taught",
    "hold held holds",
    "leave leaves",
)  # fmt: skip
CONCEPT = {word: line.split()[0] for line in CONCEPTS for word in line.split()}
# Words of a name that don't tell which number of a text it is.
EMPTY = frozenset(
    "number value val given of the a an in to and for is are was were be at on by with from its it that this these those as or "
    "has have had his her their he she they who which what how many much do does did can will if then than so there input data "
    "using used use variable get".split()
)
ROLES = frozenset(
    "start left total each more final now before after end need average".split()
)  # said of many a number
MONEY, PERCENT, TIME, LENGTH, MASS, SPEED, PLAIN = "money", "percent", "time", "length", "mass", "speed", "plain"
# A concept of a name -> the kinds of quantity that may stand for it.
KINDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys("price dollar money fee fare salary earn budget bill cash deposit savings allowance rent debt profit revenue "
                    "spend pay cent principal loan coupon".split(), (MONEY,)),
    **dict.fromkeys("percent interest".split(), (PERCENT,)),
    **dict.fromkeys("discount tax tip commission markup".split(), (PERCENT, MONEY)),
    "rate": (PERCENT, MONEY, SPEED),
    **dict.fromkeys("fraction ratio probability".split(), (PERCENT, PLAIN)),
    **dict.fromkeys("hour minute second day week month year duration age".split(), (TIME, PLAIN)),
    **dict.fromkeys("mile meter kilometer inch centimeter foot yard distance width height depth radius diameter perimeter".split(),
                    (LENGTH, PLAIN)),
    **dict.fromkeys("weight pound kg gram ounce ton mass".split(), (MASS, PLAIN)),
    **dict.fromkeys("speed mph kmph".split(), (SPEED, LENGTH, PLAIN)),
}  # fmt: skip
COUNTS = frozenset("num number count quantity".split())
NUMBERING = COUNTS | {"val", "value", "term", "var", "input", "coef", "coeff", "coefficient"}
RATES = {"hourly": "hour", "daily": "day", "weekly": "week", "monthly": "month", "yearly": "year", "annual": "year",
         "annually": "year"}  # fmt: skip
# What a single letter stands for in formulas.
LETTERS = {
    "r": ("radiu", "rate", "left"), "h": ("height",), "w": ("width", "weight"), "l": ("length",), "d": ("distance",
    "diameter"),
    "t": ("time", "hour"), "v": ("speed", "volume"), "m": ("mass",), "q": ("quotient",), "s": ("side", "speed"),
    "p": ("principal", "price", "probability"), "b": ("base",), "c": ("circumference",),
}  # fmt: skip
# Names that a text says in this order, nearly always: `dividend` before `divisor`, `books_before` before `books_after`.
IN_ORDER = (
    ("dividend", "divisor"), ("numerator", "denominator"), ("base", "exponent"), ("base", "power"), ("minuend",
     "subtrahend"),
    ("start", "final"), ("start", "left"), ("start", "now"), ("before", "after"), ("before", "now"), ("before", "left"),
    ("old", "new"), ("low", "high"), ("x", "y"), ("y", "z"), ("x", "z"),
)  # fmt: skip
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
DESCRIBED = re.compile(r"^[ \t]*#[ \t]*(\w{1,60})[ \t]*:[ \t]*(.{1,200})$", re.MULTILINE)
PLURAL = re.compile(r"[a-z]{2,}[^suiS]s")


@dataclass(frozen=True)
class Name:
    """What a key tells.

    Attributes:
        key: the input's name.
        words: concept -> weight; 1 for a word of the key, less for one of a comment. `per:hour` is what a rate is by,
            `#8` a number in the name.
        kinds: kinds of quantity that fit it; empty when its words tell none.
        count: whether it is a number of things.
        parts: the concepts of the key in order, ordinals and digits as numbers: what siblings are compared by.
    """

    key: str
    words: dict[str, float] = field(hash=False)
    kinds: tuple[str, ...] = ()
    count: bool = False
    parts: tuple[str | int, ...] = ()


def concept(word: str) -> str:
    """The concept of a word: its group, or its stem."""
    if len(word) == 1:
        return word
    word = word.lower()
    if word in CONCEPT:
        return CONCEPT[word]
    bare = _stem(word)
    return CONCEPT.get(bare, bare)


def _stem(word: str) -> str:
    for ending, instead in (("ies", "y"), ("ied", "y"), ("sses", "ss"), ("ches", "ch"), ("shes", "sh"), ("xes", "x")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word[: -len(ending)] + instead
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            word = word[: -len(ending)]
            word = word[:-1] if len(word) > 3 and word[-1] == word[-2] and word[-1] not in "lse" else word
            return word.removesuffix("e")
    if word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    return word.removesuffix("e") if len(word) > 3 else word


def names(keys: list[str], code: str = "") -> dict[str, Name]:
    """Every key as a name; `code` may describe some of them in comments (`# key: words`)."""
    described = dict(DESCRIBED.findall(code))
    return {key: named(key, described.get(key, "")) for key in keys}


def named(key: str, described: str = "") -> Name:
    """Reads a key, with what a comment says of it."""
    words = {concept(word): 0.5 for word in re.findall(r"[A-Za-z]{2,}", described) if word.lower() not in EMPTY}
    parts = WORD.findall(key)
    concepts: list[str] = []
    order: list[str | int] = []
    rate = numbered = False
    for place, part in enumerate(parts):
        lower = part.lower()
        number = int(part) if part.isdigit() else WORDS.get(lower, ORDINALS.get(lower))
        order.append(concept(part) if number is None or (lower == "second" and not rate and place == 0) else number)
        if number is not None:
            inside = number > 2 and place > 0 and _counts_words(parts[place - 1].lower())
            numbered = numbered or (inside and place < len(parts) - 1)
            words |= {f"#{number}": 0.7} if inside else {}
            words |= {lower: 0.7} if lower in ORDINALS else {}
        elif lower in RATES:
            words["per:" + RATES[lower]] = 1.0
        elif lower not in EMPTY:
            word = concept(part)
            rate = rate or (word == "each" and place > 0)
            if rate and word != "each":
                words["per:" + word] = 0.7
            elif not rate:
                concepts.append(word)
            weight = 0.3 if numbered else 0.5 if word in ROLES or len(part) == 1 else 1.0
            words[word] = max(weight * (0.5 if rate and word != "each" else 1), words.get(word, 0))
    if len(key) == 1:
        words |= dict.fromkeys(LETTERS.get(key.lower(), ()), 0.5)
    kinds = next((KINDS[one] for one in reversed(concepts) if one in KINDS), ())
    last = next((part for part in reversed(parts) if not part.isdigit()), "").lower()
    count = bool(COUNTS & {parts[0].lower()} if parts else False) or (not kinds and bool(PLURAL.fullmatch(last)))
    return Name(key, words, () if count else kinds, count, tuple(order))


def _counts_words(last: str) -> bool:
    """Whether a number behind this word is one of the text (`day_7`, `with_7`), not the name's own (`n7`, `value_7`)."""
    return (len(last) > 2 or last in EMPTY) and last not in NUMBERING


def before(one: Name, two: Name) -> bool | None:
    """Whether siblings come in this order (`n1`, `n2`; `first_day`, `third_day`; `dividend`, `divisor`); None for others."""
    if len(one.parts) != len(two.parts):
        return None
    differ = [(a, b) for a, b in zip(one.parts, two.parts, strict=True) if a != b]
    if len(differ) != 1:
        return None
    ((left, right),) = differ
    if isinstance(left, int) and isinstance(right, int):
        return left < right
    if (left, right) in IN_ORDER or (right, left) in IN_ORDER:
        return (left, right) in IN_ORDER
    if isinstance(left, str) and isinstance(right, str) and len(one.key) == len(two.key) == 1 and left in "abcdef":
        return left < right if right in "abcdef" else None
    return None
