"""Words in answers: Booleans and other synonyms, units and the names of what was counted."""

import re
from functools import lru_cache

from caco_recipes.grading.spelled import SCALES

_SAME = {
    "true": "true", "yes": "true", "correct": "true", "right": "true", "t": "t",
    "false": "false", "no": "false", "incorrect": "false", "wrong": "false", "not true": "false",
    "no solution": "no solution", "no solutions": "no solution", "none": "no solution", "empty set": "no solution",
    "no real solution": "no solution", "no real solutions": "no solution", "there is no solution": "no solution",
    "there are no solutions": "no solution", "the empty set": "no solution",
    "does not exist": "undefined", "dne": "undefined", "undefined": "undefined", "not defined": "undefined", "d n e": "undefined",
    "nan": "undefined", "the limit does not exist": "undefined", "limit does not exist": "undefined",
    "infinitely many": "infinitely many", "infinitely many solutions": "infinitely many", "infinite": "infinitely many",
    "all real numbers": "all reals", "all reals": "all reals", "all real": "all reals", "real numbers": "all reals",
    "mon": "monday", "tue": "tuesday", "tues": "tuesday", "wed": "wednesday", "thu": "thursday", "thur": "thursday",
    "thurs": "thursday", "fri": "friday", "sat": "saturday", "sun": "sunday",
    "jan": "january", "feb": "february", "mar": "march", "apr": "april", "jun": "june", "jul": "july", "aug": "august",
    "sep": "september", "sept": "september", "oct": "october", "nov": "november", "dec": "december",
    "diverge": "diverges", "divergent": "diverges", "it diverges": "diverges", "the series diverges": "diverges",
    "converge": "converges", "convergent": "converges", "it converges": "converges", "the series converges": "converges",
    "neither even nor odd": "neither",
}  # fmt: skip

MEANINGS = set(_SAME.values())

# unit -> (dimension, factor to the dimension's base unit); a generic counter has no dimension
_UNITS: dict[str, tuple[str, float]] = {}
for _dimension, _table in {
    "length": {"m meter metre meters metres": 1, "cm centimeter centimetre centimeters centimetres cms": 0.01, "mm millimeter millimeters millimetre millimetres": 0.001,
               "km kilometer kilometers kilometre kilometres kms": 1000, "in inch inches": 0.0254, "ft foot feet": 0.3048, "yd yard yards yds": 0.9144,
               "mi mile miles": 1609.344, "nm nanometer nanometers": 1e-9, "um micrometer micrometers": 1e-6, "dm decimeter decimeters": 0.1},
    "time": {"s sec secs second seconds": 1, "min mins minute minutes": 60, "h hr hrs hour hours": 3600, "day days": 86400,
             "week weeks wk wks": 604800, "ms millisecond milliseconds": 0.001, "year years yr yrs": 31557600.0, "month months": 2629800.0},
    "mass": {"g gram grams": 1, "kg kilogram kilograms kgs": 1000, "mg milligram milligrams": 0.001, "lb lbs pound pounds": 453.59237, "oz ounce ounces": 28.349523125,
             "ton tons": 907184.74, "tonne tonnes": 1e6},
    "volume": {"l liter liters litre litres": 1, "ml milliliter milliliters millilitre millilitres": 0.001, "gal gallon gallons": 3.785411784,
               "qt quart quarts": 0.946352946, "pt pint pints": 0.473176473, "cup cups": 0.2365882365},
    "money": {"dollar dollars usd bucks": 1, "cent cents": 0.01}, "euros": {"euro euros eur": 1}, "yens": {"yen": 1}, "rupees": {"rupee rupees rs": 1},
    "angle": {"degree degrees deg": 1},

    "energy": {"j joule joules": 1, "kj kilojoule kilojoules": 1000, "ev": 1.602176634e-19},
    "power": {"w watt watts": 1, "kw kilowatt kilowatts": 1000}, "force": {"n newton newtons": 1}, "frequency": {"hz hertz": 1, "khz kilohertz": 1000},
    "voltage": {"v volt volts": 1}, "current": {"a amp amps ampere amperes": 1}, "pressure": {"pa pascal pascals": 1, "kpa": 1000, "atm": 101325},
    "resistance": {"ohm ohms": 1}, "temperature": {"kelvin kelvins": 1}, "amount": {"mol mole moles": 1},
}.items():  # fmt: skip
    for _names, _factor in _table.items():
        for _name in _names.split():
            _UNITS[_name] = (_dimension, _factor)
_GENERIC = {"unit", "units", "sq", "square", "cubic", "squared", "cubed", "of", "the", "per", "each", "total", "in", "and", "or", "a", "an",
            "approximately", "about", "exactly", "only", "times", "radians", "radian", "rad", "percent", "approx"}  # fmt: skip
_SHORT_UNITS = {"cm", "mm", "km", "kg", "mg", "ml", "mL", "ft", "in", "hr", "hrs", "lb", "lbs", "oz", "mi", "yd", "Hz", "eV", "MeV", "TeV", "GeV",
                "kW", "kJ", "mph", "sec", "min", "mins", "pm", "am", "cc", "sq", "mol", "atm", "kPa", "Pa", "kHz", "MHz", "rad", "nm", "ms", "dm",
                "deg", "gal", "yr", "yrs", "L", "kN", "mW", "cal", "ohm", "ohms", "rpm", "dB", "K"}  # fmt: skip
_SPEEDS = {
    "ms^-1": "m/s",
    "ms^-2": "m/s^2",
    "kmh^-1": "km/h",
    "mph": "mi/h",
    "kph": "km/h",
    "kmh": "km/h",
    "kmph": "km/h",
}
_TALK = re.compile(r"\b(?:is|isn't|not|was|were|are|wrong|incorrect|doesn't|does|don't|but|if|when|more|less|fewer|plus|minus|wait|least|most|than"
                   r"|because|since|or|works?|cannot|can't|no|maybe|unless|except)\b", re.I)  # fmt: skip
_POWER = re.compile(r"\^\s*\{?\s*(\d)")
_ONE_UNIT = re.compile(r"([a-z]+)\.?\s*(?:\^\s*(-?\d))?")
_BETWEEN_UNITS = re.compile(r"(?<=[a-z0-9.])\s*[*·]\s*|(?<=[a-z0-9])\s+(?=[a-z])")
_PERCENT = {"percent", "percentage", "percents", "pct", "per cent", "percentage points"}
_SPACE = re.compile(r"[\s~]+")
_PUNCT = re.compile(r"[^\w\s+\-*/=<>%.]|(?<!\d)\.|\.(?!\d)")
_HYPHEN = re.compile(r"(?<=[^\W\d])-(?=[^\W\d])")
_UNIT_WORD = re.compile(r"[A-Za-z]+")
_ARTICLES = re.compile(r"\b(?:the|a|an|is|are|it|its|answer|therefore|so|thus)\b")


def is_unit(word: str) -> bool:
    """Whether a bare word of two letters or more is a unit."""
    return word in _SHORT_UNITS or (len(word) >= 2 and word.lower() in _UNITS)


def says_only_what(unit: str) -> bool:
    """Whether words behind a value only name what it counts or measures, and don't talk about it ("is wrong", "or fewer")."""
    return not _TALK.search(unit)


def is_percent(unit: str) -> bool:
    return unit.strip(" .").lower() in _PERCENT


@lru_cache(maxsize=16384)
def plain_words(text: str) -> str:
    """Words without fonts, case, punctuation and doubled spaces."""
    text = re.sub(
        r"\\(?:text|mathrm|textbf|mbox|mathbf|textit|textrm|mathit|operatorname)\s*\{([^{}]*)\}", r"\1", text
    )
    text = (
        text.replace("\\", " ")
        .replace("{", " ")
        .replace("}", " ")
        .replace("$", " ")
        .replace("_", " ")
        .replace("-", " ")
    )
    return _SPACE.sub(" ", _PUNCT.sub(" ", _HYPHEN.sub(" ", text.lower()))).strip()


@lru_cache(maxsize=16384)
def word_key(text: str) -> str:
    """The representative of a text's synonyms: `Yes` and `True` have one key."""
    words = plain_words(text)
    return _SAME.get(words, words)


def _stem(word: str) -> str:
    word = word.lower()
    if word in _UNITS:
        return word
    for ending in ("ies", "es", "s"):
        if len(word) > 3 and word.endswith(ending):
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def _dimension(unit: str) -> tuple[tuple, float] | None:
    """Dimension and factor of a measured unit (`km/h`, `cm^2`, `square feet`), or None for anything else."""
    text = (
        unit.replace("\\text", " ")
        .replace("{", " ")
        .replace("}", " ")
        .replace("\\", " ")
        .replace("²", "^2")
        .replace("³", "^3")
        .strip(" .")
        .lower()
    )
    power = 1
    for word, value in (("square", 2), ("sq.", 2), ("sq", 2), ("cubic", 3)):
        if text.startswith(word + " "):
            text, power = text[len(word) :].strip(), value
    text = _SPEEDS.get(text, text)
    text = text.replace(" per ", "/").replace(" squared", "^2").replace(" cubed", "^3")
    factor, key = 1.0, {}
    for i, part in enumerate(text.split("/")):
        for name in _BETWEEN_UNITS.split(part.strip(" ()")):
            match = _ONE_UNIT.fullmatch(name)
            if match is None or match.group(1) not in _UNITS:
                return None
            dimension, scale = _UNITS[match.group(1)]
            exponent = int(match.group(2) or 1) * (power if i == 0 else 1) * (1 if i == 0 else -1)
            factor *= scale**exponent
            key[dimension] = key.get(dimension, 0) + exponent
    if key.get("length") == 3 and len(key) == 1:  # litres are cubic decimetres
        return (("volume", 1),), factor * 1000
    return tuple(sorted(key.items())), factor


def split_scale(unit: str) -> tuple[int, str]:
    """`million dollars` → (1000000, `dollars`)."""
    first, _, rest = unit.strip().partition(" ")
    scale = SCALES.get(first.lower())
    return (1, unit) if scale is None else (scale, rest.strip())


def _power(unit: str) -> int | None:
    """2 for squares, 3 for cubes, None where a unit doesn't say."""
    written = _POWER.search(unit.replace("²", "^2").replace("³", "^3"))
    if written:
        return int(written[1])
    words = unit.lower().replace(".", " ").split()
    return 2 if {"sq", "square", "squared"} & set(words) else 3 if {"cubic", "cu", "cubed"} & set(words) else None


def is_measure(unit: str) -> bool:
    """Whether a text is a measured unit, with its powers and divisions (`m/s^2`)."""
    return _dimension(unit) is not None


def conversion(left: str, right: str) -> float | None:
    """Factor that takes a value in `left` to `right` where both are measured units of one dimension; None otherwise."""
    a, b = _dimension(left), _dimension(right)
    return a[1] / b[1] if a and b and a[0] == b[0] else None


def compare_units(left: str, right: str) -> float | None:
    """Factor that takes a value in `left` to `right` (1.0 when a side is generic or both name the same), None if they clash."""
    if not left or not right or left == right:
        return 1.0
    a, b = _dimension(left), _dimension(right)
    if a and b:
        return a[1] / b[1] if a[0] == b[0] else None
    powers = [_power(unit) for unit in (left, right)]
    if None not in powers and powers[0] != powers[1]:  # square units aren't cubic ones
        return None
    words_a = {_stem(w) for w in _UNIT_WORD.findall(left) if w.lower() not in _GENERIC}
    words_b = {_stem(w) for w in _UNIT_WORD.findall(right) if w.lower() not in _GENERIC}
    if not words_a or not words_b or words_a & words_b:
        return 1.0
    return None
