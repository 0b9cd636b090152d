"""What everybody knows and no problem says: days of a week, cards of a deck, degrees of a circle.

A constant needs the problem to speak of the thing, and the input's name to fit: 12 is the number of months where the input
is called `months_per_year`, and a number like any other where it is called `apples`.
"""

import re
from fractions import Fraction

UNITS = r"_per_|_in_|_to_|conver|factor"
# What the problem speaks of, what the input is called, the constants.
KNOWN = tuple(
    (re.compile(text), re.compile(key), constants)
    for text, key, constants in (
        (r"week|daily|monday|sunday|month|night", r"days?(?:$|_)|nights?(?:$|_)", (7,)),
        (r"week|monday|friday", r"weekday|workday|school_?day|work_?day|business", (5,)),
        (r"weekend|saturday|sunday", r"weekend", (2,)),
        (r"month|january|february|march|april|may|june|july|august|september|october|november|december",
         r"days?(?:$|_)", (28, 29, 30, 31)),
        (r"month", r"weeks?(?:$|_)", (4,)),
        (r"hour|day|clock|daily", r"hours?_(?:per|in)_(?:a_)?day|day_hours|day_length|clock|factor", (24, 12)),
        (r"minute|hour|second|clock|a\.?m|p\.?m|speed|mph|kmp?h|km/h|time",
         r"(?:min|sec|hour).*(?:_per_|_in_|to_)|to_(?:min|sec|hour)|conver|factor|^(?:total_)?(?:minutes?|seconds?)$|clock",
          (60, 3600)),
        (r"year|month|annual", r"months?(?:$|_)|year_months|factor|periods?(?:$|_)|compound|per_year", (12,)),
        (r"year|annual", r"weeks?(?:$|_)", (52,)), (r"year|annual|daily", r"days?(?:$|_)|year", (365, 366, 360)),
        (r"year|annual|compound|quarter", r"quarter|period|compound|per_year", (4, 2)),
        (r"century|decade", r"decade|centur", (10, 100)),
        (r"percent|%|cent|\$|dollar|discount",
         r"percent(?:age)?_(?:base|total)|hundred|whole|cents?_(?:per|in)|conver|factor", (100,)),
        (r"\bfoot|\bfeet|\bft\b|inch|yard|mile", UNITS, (12, 3, 36, 5280, 1760)),
        (r"pound|ounce|\blbs?\b|\boz\b|ton", UNITS, (16, 2000)),
        (r"gallon|quart|pint|cup|ounce", UNITS, (4, 8, 2, 128, 16, 32)),
        (r"\bk?m\b|met(?:er|re)|kilo|\bkg\b|gram|lit(?:er|re)|\bml\b|\bcm\b|\bmm\b", UNITS, (1000, 100, 10, 10**6)),
        (r"dozen", r"dozen", (12,)),
        (r"\bdie\b|dice", r"\bdie|dice|side|face|roll|outcome", (6,)),
        (r"cube", r"face|edge|vert|side|corner", (6, 8, 12)),
        (r"\bcards?\b|deck", r"card|deck|suit|rank|total|^n$", (52, 4, 13, 26, 12, 48, 39, 51)),
        (r"coin|heads|tails", r"side|outcome|coin", (2,)),
        (r"letters?\b|alphabet|word|vowel|license", r"letter|alphabet|vowel|conson", (26, 5, 21)),
        (r"digit|decimal|base|license|\bno\.", r"digit|base|numbers$", (10, 9)),
        (r"digit", r"smallest|largest|max|min_|limit|start|_end|^end|lower|upper", (9, 10, 90, 99, 100, 900, 999, 1000,
         9999)),
        (r"angle|triang|polygon|degree|circ|sector|clock|rotat|°|arc", r"angle|degree|sum|circ|full|rotation|turn",
         (360, 180, 90)),
        (r"right|perpendicular|rectang|square|tan|sin|cos", r"angle|^[a-z]$", (90,)),
        (r"triang", r"sides?$|angles?$|^n$|vert", (3,)),
        (r"rectang|square|quadr|parallelog|rhomb|trapez|tetrahed", r"sides?$|angles?$|vert|^n$|corner|face", (4,)),
        (r"table|\bcars?\b|dog|chair", r"legs|wheel|tire", (4,)),
        (r"pentag", r"side|angle|^n$|vert", (5, 108)), (r"hexag", r"side|angle|^n$|vert", (6, 120)),
        (r"octag", r"side|angle|^n$|vert", (8,)), (r"hepta|septa", r"side|angle|^n$|vert", (7,)),
        (r"nonagon", r"side|^n$|vert", (9,)), (r"decagon", r"side|^n$|vert", (10,)),
        (r"nickel", r"nickel", (5,)), (r"dime", r"dime", (10,)), (r"quarter", r"quarter", (25,)),
    )
)  # fmt: skip
# Parameters of a method, not of the problem.
TOLERANCE = re.compile(r"tol|eps|iter|precision|(?:^|_)d[txyz]$|guess|(?:^|_)x0$|seed|threshold|converg")
STEPS = re.compile(
    r"(?:^|_)(?:steps?|samples|trials|terms|points|intervals|grid|slots|simulations|runs|bins|limit)(?:$|_|\d)"
)
TWO = re.compile(r"\btwo|\btwi|\bboth|\beach other|\bpair|\bdoub|\bhalf|\bhalv|\bsecond|squar|\^|sqrt")
COUNTED = re.compile(r"people|person|friend|(?:^|_)(?:num|number|count|sides|n)(?:$|_)")


def known(value: Fraction, key: str, lower: str) -> bool:
    """Whether a value needs no saying: `lower` is the problem in lower case, `key` the input's name."""
    if value in (0, 1, -1) or method(value, key):
        return True
    if value == 2 and (TWO.search(lower) or (COUNTED.search(key.lower()) and " and " in lower)):
        return True
    name = key.lower()
    return any(value in constants and text.search(lower) and fits.search(name) for text, fits, constants in KNOWN)


def method(value: Fraction, key: str) -> bool:
    """A tolerance, a number of steps or trials: what a numerical method needs."""
    name = key.lower()
    if TOLERANCE.search(name):
        return True
    return bool(STEPS.search(name)) and value >= 100 and value % 100 == 0
