"""The quantities in a problem's text, each with every number that it may stand for.

`25%` is 25 and 1/4, `$1.50` is 1.5 and 150, `2 hours` are 2 and 120 and 7200, `a dozen` is 12, `half` is 1/2, `3rd` and
`third` are 3 (and 1/3), `\\frac12` is 1/2 and 1 and 2, `20,400` is 20400 and `1011_2` is 1011 and 11. The text is read
with bounded patterns; nothing in it is evaluated.
"""

import re
from dataclasses import dataclass
from fractions import Fraction

ONES = ("zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen "
        "eighteen nineteen").split()  # fmt: skip
TENS = dict(zip("twenty thirty forty fifty sixty seventy eighty ninety".split(), range(20, 100, 10), strict=True))
WORDS = {word: value for value, word in enumerate(ONES)} | TENS
SCALES = {"hundred": 100, "thousand": 1000, "million": 10**6, "billion": 10**9, "dozen": 12, "k": 1000, "m": 10**6}
ORDINALS = {word: value for value, word in enumerate(
    "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth".split(), 1)}  # fmt: skip
PARTS = {"half": 2, "halves": 2, "quarter": 4, "quarters": 4, "third": 3, "thirds": 3, "fourth": 4, "fourths": 4,
         "fifth": 5, "fifths": 5, "sixth": 6, "sixths": 6, "seventh": 7, "sevenths": 7, "eighth": 8, "eighths": 8,
         "ninth": 9, "ninths": 9, "tenth": 10, "tenths": 10, "twelfth": 12, "twelfths": 12, "hundredth": 100,
         "hundredths": 100}  # fmt: skip
SPECIAL = {
    "half": (Fraction(1, 2), 2, 50), "halves": (Fraction(1, 2), 2), "halved": (Fraction(1, 2), 2), "halfway": (Fraction(1, 2),),
    "twice": (2, 200), "double": (2, 200, 100), "doubles": (2, 200, 100), "doubled": (2, 200, 100), "doubling": (2,),
    "triple": (3, 300), "triples": (3, 300), "tripled": (3, 300), "thrice": (3,), "quadruple": (4,), "quadrupled": (4,),
    "dozen": (12,), "dozens": (12,), "pair": (2,), "pairs": (2,), "couple": (2,), "both": (2,), "twins": (2,), "twin": (2,),
    "quarter": (Fraction(1, 4), 4, 25), "quarters": (Fraction(1, 4), 4, 25), "score": (20,), "single": (1,), "once": (1,),
    "fortnight": (14, 2), "weekend": (2,), "weekends": (2,), "trio": (3,), "triplets": (3,), "nickel": (5, Fraction(1, 20)),
    "nickels": (5, Fraction(1, 20)), "dime": (10, Fraction(1, 10)), "dimes": (10, Fraction(1, 10)), "penny": (1, Fraction(1, 100)),
    "pennies": (1, Fraction(1, 100)), "squared": (2,), "cubed": (3,), "decade": (10,), "decades": (10,), "century": (100,),
    "whole": (1, 100), "unit": (1,), "hundred": (100,), "thousand": (1000,), "million": (10**6,),
}  # fmt: skip
# unit word -> what one of it is in other units that a program may count in
UNITS = {
    "hour": (60, 3600, Fraction(1, 24)), "minute": (60, Fraction(1, 60)), "second": (Fraction(1, 60), Fraction(1, 3600)),
    "day": (24, 1440, Fraction(1, 7)), "week": (7, 5, 168), "month": (Fraction(1, 12), 30, 4), "year": (12, 365, 52),
    "cent": (Fraction(1, 100),), "dollar": (100,), "km": (1000,), "kilometer": (1000,), "m": (100, Fraction(1, 1000)),
    "meter": (100, Fraction(1, 1000)), "metre": (100,), "cm": (Fraction(1, 100), 10), "centimeter": (Fraction(1, 100),),
    "mm": (Fraction(1, 10), Fraction(1, 1000)), "kg": (1000,), "g": (Fraction(1, 1000),), "gram": (Fraction(1, 1000),),
    "mg": (Fraction(1, 1000),), "liter": (1000,), "litre": (1000,), "ml": (Fraction(1, 1000),), "foot": (12,), "feet": (12,),
    "ft": (12,), "inch": (Fraction(1, 12),), "inches": (Fraction(1, 12),), "yard": (3, 36), "pound": (16,), "lb": (16,),
    "ounce": (Fraction(1, 16),), "gallon": (4,), "quart": (Fraction(1, 4), 4), "percent": (Fraction(1, 100),),
    "hr": (60, 3600), "hrs": (60, 3600), "min": (60, Fraction(1, 60)), "mins": (60, Fraction(1, 60)), "tons": (2000, 1000),
    "sec": (Fraction(1, 60),), "ton": (2000, 1000), "dozen": (12,), "century": (100,), "decade": (10,), "mile": (5280, 1760),
    "pair": (2,), "kmph": (Fraction(5, 18),), "quarters": (4, Fraction(1, 4), 3), "nm": (Fraction(1, 10**9),),
    "mA": (Fraction(1, 1000),), "kw": (1000,), "kHz": (1000,), "MHz": (10**6,), "kPa": (1000,), "kJ": (1000,),
    "nickel": (5, Fraction(1, 20)), "dime": (10, Fraction(1, 10)), "penny": (Fraction(1, 100),), "pennies": (Fraction(1, 100),),
}  # fmt: skip
_WORD = "|".join(sorted([*WORDS, *ONES], key=len, reverse=True))
TOKEN = re.compile(
    r"""
    (?P<latex>\\[dt]?frac\s*(?:\{\s*(?P<over>-?[\d.,]{1,18})\s*\}|(?P<over1>\d))\s*(?:\{\s*(?P<under>[\d.,]{1,18})\s*\}|(?P<under1>\d)))
    |(?P<power>(?P<base>\d{1,6}(?:\.\d{1,9})?)\s*(?:\^|\*\*)\s*\{?\s*(?P<exponent>[-−]?\d{1,6})\s*\}?)
    |(?P<clock>(?<![\d.:])\d{1,2}:\d{2}(?![\d:]))
    |(?P<mixed>(?<![\d.])\d{1,6}(?:\s+|\s*-\s*|\s+and\s+)\d{1,4}\s*/\s*\d{1,4}(?!\d))
    |(?P<ratio>(?<![\d.,/])\d{1,12}\s*/\s*\d{1,12}(?![\d/]))
    |(?P<digits>(?:\d{1,3}(?:(?:,|\{,\}|,\\!|\\,)\d{3})+(?!\d)|\d{1,18})(?:\.\d{1,18})?|(?<![\w.])\.\d{1,18})
    |(?P<words>\b(?:""" + _WORD + r"""|(?:an?|one)(?=[ -](?:hundred|thousand|million)))(?:[ -](?:and[ ])?(?:""" + _WORD + r"""|hundred|thousand|million|billion))*\b)
    |(?P<name>\b[a-z]+\b)
    """,
    re.VERBOSE | re.IGNORECASE,
)  # fmt: skip
AFTER = re.compile(r"(?:\s*-\s*|\s*\\?)(?P<unit>%|\\%|°|st\b|nd\b|rd\b|th\b|[a-zA-Z]+)")
LONGEST = 10_000
SUBSCRIPT = re.compile(r"_\{?(\d{1,3})\}?")


@dataclass(frozen=True)
class Quantity:
    """One quantity of a text.

    Attributes:
        start, end: its place; a percent sign or unit behind it isn't part of it.
        text: as it is written.
        kind: `digits`, `words`, `fraction`, `latex`, `mixed`, `clock`, `power`, `ordinal`, `special`.
        values: every number that it may stand for, the plain one first.
        unit: the word or sign behind it, lower case, or "".
    """

    start: int
    end: int
    text: str
    kind: str
    values: tuple[Fraction, ...]
    unit: str = ""

    @property
    def plain(self) -> Fraction:
        return self.values[0]


def quantities(text: str) -> list[Quantity]:
    """The quantities of a text, in order; a text is read up to `LONGEST` characters."""
    found = []
    for match in TOKEN.finditer(text, 0, LONGEST):
        kind = match.lastgroup if match.lastgroup in READERS else next(k for k in READERS if match[k])
        values = READERS[kind](match)
        if not values:
            continue
        unit = ""
        kind_shown = {"ratio": "fraction", "name": "special"}.get(kind, kind)
        if kind != "name":
            behind = AFTER.match(text, match.end())
            unit = behind["unit"].lower().lstrip("\\") if behind else ""
            values, kind_shown = _with_unit(values, unit, kind_shown)
            if base := SUBSCRIPT.match(text, match.end()):
                values = [*values, Fraction(int(base[1]))]
                try:
                    values.append(Fraction(int(match[0], int(base[1]))))
                except ValueError:
                    pass
        elif match[0].lower() in ORDINALS:
            kind_shown = "ordinal"
        before = text[max(match.start() - 3, 0) : match.start()].rstrip(" ")
        start = match.start()
        if kind in ("digits", "ratio", "mixed", "power", "latex") and before[-1:] in ("-", "−"):
            # A sign, or a minus between two terms: then the plain number comes first.
            ahead = text[max(match.start() - 2, 0) : match.start()]
            sign = ahead[-1:] in "-−" and (len(ahead) == 1 or ahead[0].isspace() or ahead[0] in "([{,=$:<>+*^|")
            values = [-values[0], *values] if sign else [*values, -values[0]]
            start -= 1 if sign else 0
        found.append(
            Quantity(start, match.end(), text[start : match.end()], kind_shown, tuple(dict.fromkeys(values)), unit)
        )
    return found


def _with_unit(values: list[Fraction], unit: str, kind: str) -> tuple[list[Fraction], str]:
    plain = values[0]
    if unit in ("%", "percent", "percents", "percentage"):
        share = plain / 100
        return [*values, share, 1 - share, 1 + share, 100 - plain, 100 + plain], kind
    if unit in ("st", "nd", "rd", "th"):
        return values, "ordinal"
    if unit in PARTS and unit not in ("second",):
        return [plain / PARTS[unit], *values, Fraction(PARTS[unit])], "fraction"
    if unit in ("hundred", "thousand", "million", "billion", "k", "dozen", "dozens"):
        scale = SCALES[unit.removesuffix("s") if unit == "dozens" else unit]
        return [plain * scale, *values, Fraction(scale)], kind
    factors = UNITS.get(unit) or UNITS.get(unit.removesuffix("s")) or ()
    return [*values, *[plain * factor for factor in factors]], kind


def _number(text: str) -> Fraction:
    return Fraction(re.sub(r"[^\d.]", "", text).rstrip(".") or "0")


def _digits(match: re.Match) -> list[Fraction]:
    value = _number(match[0])
    return [value, value * 100] if match.string[max(match.start() - 2, 0) : match.start()].endswith("$") else [value]


def _latex(match: re.Match) -> list[Fraction]:
    over, under = match["over"] or match["over1"], match["under"] or match["under1"]
    top, bottom = _number(over), _number(under)
    return [top / bottom, top, bottom] if bottom else [top]


def _power(match: re.Match) -> list[Fraction]:
    base, exponent = Fraction(match["base"]), int(match["exponent"].replace("−", "-"))
    values = [base, Fraction(exponent)]
    if abs(exponent) <= 60 and base:
        values += [base**exponent]
    if base == 10:  # 6.02 \times 10^{23}
        before = re.search(
            r"(\d{1,9}(?:\.\d{1,12})?)\s*(?:\\times|\\cdot|\*|x|×|·)\s*$", match.string[: match.start()][-40:]
        )
        values += [Fraction(before[1]) * base**exponent] if before and abs(exponent) <= 60 else []
    return values


def _clock(match: re.Match) -> list[Fraction]:
    hours, minutes = (Fraction(part) for part in match[0].split(":"))
    either = [hours + 12] if hours < 12 else []
    whole = hours + minutes / 60
    return [
        hours,
        minutes,
        *either,
        hours + minutes / 100,
        whole,
        whole + 12,
        hours * 60 + minutes,
        (hours + 12) * 60 + minutes,
    ]


def _ratio(match: re.Match) -> list[Fraction]:
    top, bottom = (Fraction(part.strip()) for part in match[0].split("/"))
    return [top / bottom, top, bottom, 1 - top / bottom] if bottom else [top]


def _mixed(match: re.Match) -> list[Fraction]:
    whole, top, bottom = (Fraction(part) for part in re.findall(r"\d+", match[0]))
    return [whole + top / bottom, whole, top, bottom, top / bottom] if bottom else [whole]


def _spelled(match: re.Match) -> list[Fraction]:
    total = part = 0
    for word in re.split(r"[ -]", match[0].lower()):
        if word in WORDS:
            part += WORDS[word]
        elif word in ("a", "an"):
            part += 1
        elif word == "hundred":
            part = max(part, 1) * 100
        elif word in SCALES:
            total, part = total + max(part, 1) * SCALES[word], 0
    return [Fraction(total + part)]


def _name(match: re.Match) -> list[Fraction]:
    word = match[0].lower()
    values = [Fraction(value) for value in SPECIAL.get(word, ())]
    if word in ORDINALS:
        values.append(Fraction(ORDINALS[word]))
    if word in PARTS:
        values += [Fraction(1, PARTS[word]), Fraction(PARTS[word])]
    if word.endswith("s") and word[:-1] in WORDS:  # "tens", "two fives"
        values.append(Fraction(WORDS[word[:-1]]))
    return values


READERS = {
    "latex": _latex, "power": _power, "clock": _clock, "mixed": _mixed, "ratio": _ratio, "digits": _digits,
    "words": _spelled, "name": _name,
}  # fmt: skip
