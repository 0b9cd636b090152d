"""Whether two inputs have each other's values: their names, and the words beside each value in the problem.

For two inputs whose values stand in the text, the fit of each name to the place of its own value is compared with the fit
to the place of the other's. Only the difference counts, so that words which both names have, or which stand beside both
numbers, say nothing. The order of the names is a hint: programs mostly list inputs in the order of the text, and `n1`
comes before `n2` there. Names alone can convict; with a hint they leave a row undecided.

The weights and limits were set by hand on rows that the published tables don't count.
"""

from fractions import Fraction
from itertools import combinations

from caco_recipes.families.naming import MONEY, PERCENT, PLAIN, Name, before, names
from caco_recipes.families.places import Places
from caco_recipes.families.quantities import Quantity

SWAPPED, DOUBTED = "swapped", "doubted"
CONVICTS, HINTS = 0.5, 0.3  # by how much two names must fit better with their values exchanged
KIND_FITS, KIND_STRIKES, KIND_UNTOLD, COUNT_STRIKES = 0.5, -0.5, -0.1, -0.7
ORDER, SIBLINGS = 0.07, 0.35
MOST_KEYS = 24


def exchanged(
    places: Places, values: dict[str, Fraction], found: dict[Fraction, list[Quantity]], code: str
) -> dict[str, str]:
    """The keys of the two inputs that fit best with their values exchanged, as `swapped` or `doubted`; {} for none.

    Args:
        places: the problem.
        values: the number of each input.
        found: number -> the quantities of the problem that may stand for it.
        code: the program; its comments may describe inputs (`# key: words`).
    """
    told = {key: number for key, number in values.items() if number in found}
    told = dict(list(told.items())[:MOST_KEYS])
    if len(set(told.values())) < 2:
        return {}
    named = names(list(told), code)
    fits = {
        (key, n): max(_fit(places, named[key], spot) for spot in found[n]) for key in told for n in set(told.values())
    }
    order = {key: found[n][0].start for key, n in told.items() if len({spot.start for spot in found[n]}) == 1}
    best, keys = 0.0, ("", "")
    convicted = False
    for one, two in combinations(told, 2):
        first, second = told[one], told[two]
        if first == second:
            continue
        gain = fits[one, second] + fits[two, first] - fits[one, first] - fits[two, second]
        hint = _disorder(order, named, one, two)
        if gain + hint > best:
            best, keys, convicted = gain + hint, (one, two), min(gain, gain + hint) > CONVICTS
    if best <= HINTS:
        return {}
    return dict.fromkeys(keys, SWAPPED if convicted else DOUBTED)


def _fit(places: Places, name: Name, spot: Quantity) -> float:
    """How well a name fits what stands around a quantity."""
    total = sum(weight * places.near(word, spot) for word, weight in name.words.items())
    kind = places.kind(spot)
    if name.kinds:
        return total + (KIND_UNTOLD if kind == PLAIN else KIND_FITS if kind in name.kinds else KIND_STRIKES)
    return total + (COUNT_STRIKES if name.count and kind in (MONEY, PERCENT) else 0.0)


def _disorder(order: dict[str, int], named: dict[str, Name], one: str, two: str) -> float:
    """How much better the order of the names fits the order in the text with two values exchanged."""
    if one not in order or two not in order or order[one] == order[two]:
        return 0.0
    moved = {one: order[two], two: order[one]}
    keys = list(order)
    total = 0.0
    for place, left in enumerate(keys):
        for right in keys[place + 1 :] if left in moved else [key for key in (one, two) if keys.index(key) > place]:
            siblings = before(named[left], named[right])
            weight = ORDER if siblings is None else SIBLINGS if siblings else -SIBLINGS
            now, then = order[left] < order[right], moved.get(left, order[left]) < moved.get(right, order[right])
            total += weight * (then - now)
    return total
