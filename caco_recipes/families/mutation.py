"""Other inputs for a program, in the domain of the one that is known.

    near    the whole input changes a little: types, signs, ranges, lengths, structure and relations stay
    single  one key changes, the others stay
    wide    one key moves far: small and large numbers, zero, the other sign, the constants that the program compares it
            with; texts and truth values change too. Such an input may lie outside the domain: it shows whether an
            output depends on a key, never that a program is wrong.

Every draw comes from the generator that is handed in: the same seed gives the same inputs.
"""

import random
from fractions import Fraction
from typing import Any

from caco_recipes.families import text_moves
from caco_recipes.families.domains import Domain, Number, is_prime, is_scalar, sequence_domain
from caco_recipes.families.values import dump, exact, is_number, leaves, replaced, tag_of

LARGEST_PLAIN = 2**53  # a whole number beyond it is tagged
LARGEST_REAL = 10**300  # near the end of what a float holds
TRIES = 24  # proposals per relation regime


def near(domain: Domain, rng: random.Random, keys: list[str] | None = None) -> dict[str, Any] | None:
    """One other input in the domain, all of `keys` (default: every key) moved where they can; None if none is found.

    Relations are given up in two steps when nothing keeps them: first those that may be incidental, then all.
    """
    movable = [key for key in (keys or domain.original) if key in domain.original]
    for soft, hard in ((True, True), (False, True), (False, False)):
        for _ in range(TRIES if hard else 4):
            value = dict(domain.original)
            for key in movable:
                value[key] = _moved(key, value, domain, rng, soft)
            if keys is None and soft:
                _repair(value, domain)
            if value != domain.original and (not hard or domain.keeps(value, soft)):
                return value
    return None


def near_inputs(domain: Domain, count: int, rng: random.Random, keys: list[str] | None = None) -> list[dict[str, Any]]:
    """Up to `count` different inputs in the domain; fewer, or none, when little can be changed."""
    found: dict[str, dict[str, Any]] = {}
    for _ in range(count * 3):
        value = near(domain, rng, keys)
        if value is None:
            break
        found.setdefault(dump(value), value)
        if len(found) == count:
            break
    return list(found.values())


def _moved(key: str, value: dict[str, Any], domain: Domain, rng: random.Random, soft: bool) -> Any:
    item = value[key]
    if is_scalar(item):
        if soft and domain.lengths_tied_to(key):
            return item
        number = domain.number(item, key)
        if number is None:
            return item
        for relation in domain.relations:
            # A multiple stays one: it is drawn as a multiple of the divisor as that stands now.
            if soft and relation.kind == "divides" and relation.keys[0] == key and key != relation.keys[1]:
                divisor = exact(value[relation.keys[1]])
                if divisor:
                    return _as_type(item, _multiple(number, divisor, rng) or exact(item))
            if relation.kind == "index" and relation.keys[0] == key:
                return _as_type(item, Fraction(rng.randrange(max(len(_body(value[relation.keys[1]])), 1))))
        return draw(item, number, rng)
    return _moved_inside(item, key, domain, rng)


def _repair(value: dict[str, Any], domain: Domain) -> None:
    """Parts that sum to a whole: the last one takes the rest."""
    for relation in domain.relations:
        if relation.kind == "sum":
            last = relation.keys[-1]
            rest = relation.total - sum(exact(value[key]) for key in relation.keys[:-1])
            if rest > 0:
                value[last] = _as_type(value[last], rest)


def _multiple(number: Number, divisor: Fraction, rng: random.Random) -> Fraction | None:
    low, high = -(-number.low // divisor), number.high // divisor
    return divisor * rng.randint(int(low), int(high)) if low <= high else None


def draw(leaf: Any, number: Number, rng: random.Random) -> Any:
    """Another value of one number's domain, in the leaf's own type; the leaf itself if there is no other."""
    low, high = number.steps
    if low >= high:
        return leaf
    now = exact(leaf)
    for _ in range(6):
        drawn = number.step * rng.randint(low, high)
        if number.prime:
            drawn = Fraction(next((n for n in range(int(drawn), int(drawn) + 200) if is_prime(n)), int(drawn)))
        if drawn != now:
            return _as_type(leaf, drawn)
    return leaf


def _as_type(leaf: Any, number: Fraction) -> Any:
    """A number as a value of the leaf's type; the leaf itself where that type has no such number."""
    tag = tag_of(leaf)
    if tag == "$int" or isinstance(leaf, int):
        whole = int(number)
        return whole if -LARGEST_PLAIN <= whole <= LARGEST_PLAIN else {"$int": str(whole)}
    if tag == "$frac":
        return {tag: f"{number.numerator}/{number.denominator}"}
    if abs(number) > LARGEST_REAL:
        return leaf
    if tag == "$dec":
        places = len(leaf[tag].partition(".")[2])
        return {tag: f"{float(number):.{places}f}"}
    return float(number)


# ------------------------------------------------------------------------------------------------ structures


def _body(value: Any) -> list:
    return value["$tuple"] if tag_of(value) == "$tuple" else value if isinstance(value, list) else []


def _moved_inside(item: Any, key: str, domain: Domain, rng: random.Random) -> Any:
    """A list, tuple, set or mapping with its numbers moved; what a flat list keeps, it keeps here too."""
    tag = tag_of(item)
    if tag in ("$tuple", "$set", "$frozenset"):
        return {tag: _moved_list(item[tag], key, domain, rng, distinct=tag != "$tuple")}
    if tag == "$dict":
        return {tag: [[name, _any(inner, key, domain, rng)] for name, inner in item[tag]]}
    if tag:
        return item
    if isinstance(item, list):
        return _moved_list(item, key, domain, rng)
    if isinstance(item, dict):
        return {name: _any(inner, f"{key}_{name}", domain, rng) for name, inner in item.items()}
    return text_moves.near(item, rng) if isinstance(item, str) else item


def _any(item: Any, key: str, domain: Domain, rng: random.Random) -> Any:
    if is_scalar(item):
        number = domain.number(item, key)
        return item if number is None else draw(item, number, rng)
    return _moved_inside(item, key, domain, rng)


def _moved_list(items: list, key: str, domain: Domain, rng: random.Random, distinct: bool = False) -> list:
    numbers = [exact(item) for item in items]
    if not items or None in numbers or any(not is_scalar(item) for item in items):
        if _is_graph(items):
            return items  # edges name nodes: moving their ends one by one would leave the graph
        return [_any(item, key, domain, rng) for item in items]
    kept = sequence_domain(numbers)
    if kept.permutation:
        return rng.sample(items, len(items))
    for _ in range(TRIES):
        made = [_any(item, key, domain, rng) for item in items]
        if kept.total is not None:
            rest = kept.total - sum(exact(item) for item in made[:-1])
            if rest <= 0:
                continue
            made[-1] = _as_type(made[-1], rest)
        if kept.rising or kept.falling:
            made.sort(key=exact, reverse=kept.falling and not kept.rising)
        values = [exact(item) for item in made]
        if kept.holds(values) and not (distinct and len(set(values)) < len(values)):
            return made
    return items if kept.rising or kept.falling else rng.sample(items, len(items))


def _is_graph(items: list) -> bool:
    """Pairs (or triples with a weight) of small whole numbers or names, at least three of them: edges."""
    pairs = [_body(item) for item in items]
    ends = [end for pair in pairs for end in pair[:2]]
    return (
        len(items) > 2
        and all(2 <= len(pair) <= 3 for pair in pairs)
        and all((is_number(end) and not isinstance(end, float) and 0 <= end <= 2 * len(items)) for end in ends)
        and len(set(ends)) < len(ends)
    )


# ------------------------------------------------------------------------------------------------ wide moves


def wide(domain: Domain, key: str, rng: random.Random) -> list[dict[str, Any]]:
    """Inputs with one key moved far, mild moves first; empty for a value that nothing is known to do with."""
    original = domain.original[key]
    moved = _wide_values(original, key, domain, rng)
    seen, found = {dump(original)}, []
    for item in moved:
        text = dump(item)
        if text not in seen:
            seen.add(text)
            found.append(domain.original | {key: item})
    return found


def _wide_values(item: Any, key: str, domain: Domain, rng: random.Random) -> list[Any]:
    if isinstance(item, bool):
        return [not item]
    if item is None:
        return [0, 1, 2]
    if is_scalar(item):
        return _wide_numbers(item, key, domain, rng)
    if isinstance(item, str):
        choices = [text for text in domain.facts.compared(key) if isinstance(text, str)]
        return choices + text_moves.wide(item, rng)
    inside = list(leaves(item))
    made: list[Any] = []
    for path, leaf in inside[:40]:
        values = _wide_values(leaf, key, domain, rng) if path else []
        made += [replaced(item, path, value) for value in values[: max(2, 24 // len(inside))]]
    body = _body(item)
    if len(body) > 1:
        shapes = [body[::-1], body[1:], body[:-1], [*body, body[0]], rng.sample(body, len(body))]
        made += [{"$tuple": shape} if tag_of(item) == "$tuple" else shape for shape in shapes]
    elif isinstance(item, list) and not item:
        made += [[1], [1, 2, 3]]
    return made


def _wide_numbers(item: Any, key: str, domain: Domain, rng: random.Random) -> list[Any]:
    value = exact(item)
    if value is None:
        return []
    near_by = domain.number(item, key)
    drawn = [draw(item, near_by, rng) for _ in range(3)] if near_by else []
    compared = [Fraction(repr(c)) for c in domain.facts.compared(key) if is_number(c) and abs(c) < 10**9]
    around = [c + step for c in compared for step in (-1, 0, 1)]
    unit = Fraction(1) if value.denominator == 1 else Fraction(1, 10)
    far = [value + unit, value - unit, 2 * value, 3 * value + unit, value / 2 if not _whole(item) else value // 2]
    far += [Fraction(0), unit, -value, 10 * value, value + 7 * unit, 5 * value + 3 * unit]
    if abs(value) < 10**5:
        far += [100 * value, Fraction(rng.randint(2, 12)), Fraction(rng.randint(13, 120))]
    # Last, what takes most: a small part of a sum that is rounded, a number that only counts far below zero.
    size = max(abs(value), unit)
    far += [*_across(value, unit, key, domain), -10 * size, 10**4 * size, -(10**4) * size, 10**6 * size]
    return drawn + [_as_type(item, number) for number in [*far[:5], *around[:9], *far[5:]]]


def _across(value: Fraction, unit: Fraction, key: str, domain: Domain) -> list[Fraction]:
    """Numbers on the other side of the other inputs' numbers, in case that it is these that the program compares with."""
    others = [exact(leaf) for name, item in domain.original.items() if name != key for _, leaf in leaves(item)]
    numbers = [number for number in others if number is not None]
    if not numbers:
        return []
    sides = [number + (unit if number >= value else -unit) for number in dict.fromkeys(numbers[:6])]
    return [min(numbers) - unit, max(numbers) + unit, *sides]


def _whole(item: Any) -> bool:
    return isinstance(item, int) or tag_of(item) == "$int"
