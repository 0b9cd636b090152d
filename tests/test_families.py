"""Domains, other inputs, quantities in texts, templates: the machinery under the metamorphic and faithful stages."""

import json
import random
from fractions import Fraction

import pytest

from caco_recipes.families.domains import infer, number_domain
from caco_recipes.families.faithfulness import findings, mentions
from caco_recipes.families.filling import template_of
from caco_recipes.families.kinds import alike
from caco_recipes.families.mutation import near_inputs, wide
from caco_recipes.families.quantities import quantities
from caco_recipes.families.source_facts import UNKNOWN, SourceFacts, source_facts, with_input
from caco_recipes.families.split import split_of
from caco_recipes.families.trials import LONGEST, fitting
from caco_recipes.families.values import dump, leaves, literal, replaced
from caco_recipes.sandbox import Pool, codec


@pytest.fixture(scope="module")
def pool():
    with Pool(workers=1) as running:
        yield running


def near(value, count=30, keys=None, facts=UNKNOWN, seed=0):
    made = near_inputs(infer(value, facts), count, random.Random(seed), keys)
    assert made and all(one != value for one in made)
    return made


# ------------------------------------------------------------------------------------------------ domains


@pytest.mark.parametrize(
    ("name", "value", "low", "high"),
    [
        ("apples", 12, 6, 24),
        ("change", -3, -6, -1),
        ("birth_year", 1987, 1957, 2017),
        ("percent_off", 80, 40, 100),
        ("base", 8, 2, 16),
        ("exponent", 3, 1, 5),
        ("angle", 120, 60, 179),
        ("month", 3, 1, 12),
        ("probability", 0.8, 0.4, 0.99),
        ("weight", 2.5, 1.25, 5),
    ],
)
def test_a_number_stays_in_its_range(name, value, low, high):
    for made in near({name: value}):
        assert low <= made[name] <= high and type(made[name]) is type(value)


def test_zero_and_huge_numbers_stay():
    assert number_domain(0) is None and number_domain(2**60) is None and number_domain({"$float": "nan"}) is None


def test_round_numbers_and_decimals_keep_their_form():
    assert all(made["n"] % 100 == 0 for made in near({"n": 6000}))
    assert all(len(repr(made["price"]).partition(".")[2]) <= 2 for made in near({"price": 19.5}))
    assert all(Fraction(made["f"]["$frac"]).denominator <= 8 for made in near({"f": {"$frac": "3/8"}}))


def test_primes_stay_prime():
    primes = {n for n in range(2, 400) if all(n % d for d in range(2, n))}
    assert {made["prime_p"] for made in near({"prime_p": 101}, 10)} <= primes


@pytest.mark.parametrize(
    ("value", "keeps"),
    [
        ({"low": 3, "high": 9}, lambda v: v["low"] < v["high"]),
        ({"a": 3, "b": 4, "c": 5}, lambda v: 2 * max(v.values()) < sum(v.values())),
        ({"slices": 24, "a_day": 4}, lambda v: v["slices"] % v["a_day"] == 0),
        ({"p": 0.2, "q": 0.3, "r": 0.5}, lambda v: abs(sum(v.values()) - 1) < 1e-9),
        ({"red": 40, "blue": 35, "green": 25}, lambda v: sum(v.values()) == 100 and min(v.values()) > 0),
        ({"xs": [2, 3, 5, 9]}, lambda v: v["xs"] == sorted(v["xs"]) and len(set(v["xs"])) == 4),
        ({"xs": [9, 7, 4]}, lambda v: v["xs"] == sorted(v["xs"], reverse=True)),
        ({"order": [2, 0, 1, 3]}, lambda v: sorted(v["order"]) == [0, 1, 2, 3]),
        ({"shares": [25, 25, 50]}, lambda v: sum(v["shares"]) == 100),
        ({"n": 3, "xs": [4, 8, 6]}, lambda v: v["n"] == len(v["xs"]) == 3),
        ({"xs": [1.5, 2.5], "ys": [3.5, 9.5]}, lambda v: len(v["xs"]) == len(v["ys"]) == 2),
        ({"index": 2, "xs": [4, 8, 6, 11]}, lambda v: 0 <= v["index"] < 4),
        ({"point": {"$tuple": [3, -4]}}, lambda v: v["point"]["$tuple"][0] > 0 > v["point"]["$tuple"][1]),
        ({"day": "2024-02-28"}, lambda v: len(v["day"]) == 10 and v["day"][4] == "-"),
        ({"bits": "1011"}, lambda v: set(v["bits"]) <= {"0", "1"} and v["bits"][0] == "1"),
        ({"edges": [[0, 1], [1, 2], [2, 0]], "n": 7}, lambda v: v["edges"] == [[0, 1], [1, 2], [2, 0]]),
    ],
)
def test_other_inputs_keep_what_the_original_keeps(value, keeps):
    for made in near(value, 12):
        assert keeps(made), made
        assert [path for path, _ in leaves(made)] == [path for path, _ in leaves(value)]


def test_one_key_moves_alone_and_by_seed():
    value = {"a": 12, "b": 7, "words": ["x", "y"], "flag": True}
    made = near(value, 10, ["b"])
    assert all((one["a"], one["words"], one["flag"]) == (12, ["x", "y"], True) for one in made)
    assert made == near(value, 10, ["b"]) != near(value, 10, ["b"], seed=1)


def test_far_moves_cross_the_constants_that_a_program_compares_with(pool):
    code = 'input = {"age": 30, "mode": "add"}\ndef f(age, mode):\n    return age >= 65 if mode == "add" else -1\n'
    (facts,) = source_facts(pool, [(code, ["age", "mode"])])
    assert facts.compared("age") == [65] and facts.compared("mode") == ["add"]
    domain = infer({"age": 30, "mode": "add"}, facts)
    ages = {one["age"] for one in wide(domain, "age", random.Random(0))}
    assert {64, 65, 66, 0, -30, 300} <= ages and 30 not in ages
    assert len({one["mode"] for one in wide(domain, "mode", random.Random(0))}) > 3
    assert [one["flag"] for one in wide(infer({"flag": True}), "flag", random.Random(0))] == [False]


def test_far_moves_go_past_the_other_inputs_and_stay_values_that_the_sandbox_takes():
    below = {one["g"] for one in wide(infer({"g": 25, "r": -40}), "g", random.Random(0))}
    assert min(below) < -40 and {-41, -25 * 10**4, 25 * 10**4} <= below
    above = {one["x"] for one in wide(infer({"x": 3, "ys": [7.5, 90], "name": "q"}), "x", random.Random(0))}
    assert {91, 8, 30_000} <= above
    for value in ({"n": 2**53}, {"x": 1.7e308}, {"d": {"$dec": "1E+999"}}, {"f": {"$frac": f"{10**90}/3"}}):
        for made in [one for key in value for one in wide(infer(value), key, random.Random(0))]:
            assert codec.check(dump(made)) and made != value


def test_inputs_that_are_too_long_for_the_sandbox_are_not_tried():
    original = {"word": "a" * (LONGEST - 11)}
    assert len(dump(original)) == LONGEST
    far = wide(infer(original), "word", random.Random(0))
    assert len(fitting(far)) > 0 and [len(dump(one)) for one in far if one not in fitting(far)] == [LONGEST + 1]


# ------------------------------------------------------------------------------------------------ source


def test_source_facts(pool):
    code = """
from math import comb
input = {"n": 5, "k": 2, "m": 7}
def f(n, k, m):
    p = k
    return comb(n, p) % m, list(range(k, n)), n ** k
output = f(**input)
"""
    (facts,) = source_facts(pool, [(code, ["n", "k", "m"])])
    assert facts.literal and facts.fault == ""
    assert facts.use("m", "modulus") and facts.use("k", "exponent") and facts.use("n", "counted")
    assert ("k", "n") in facts.order
    changed = with_input(code, facts, '{"n": 9, "k": 2, "m": 7}')
    assert changed == code.replace('{"n": 5, "k": 2, "m": 7}', '{"n": 9, "k": 2, "m": 7}')


def test_sources_that_cannot_be_read_have_no_facts(pool):
    codes = ["def broken(:", "", "x = '\udcff'", "x = 1\n" * 30_000]
    assert source_facts(pool, [(code, []) for code in codes]) == [UNKNOWN] * 4
    computed = ["input = {'n': random()}", "input = {'n': 1}\ninput = {'n': 2}", "for input in ({'n': 1},): pass"]
    assert not any(facts.literal for facts in source_facts(pool, [(code, ["n"]) for code in computed]))
    assert with_input("x = 1", UNKNOWN, "{}") is None
    assert with_input("x = 1", SourceFacts(span=(9, 0, 9, 1)), "{}") is None


def test_the_input_is_found_behind_letters_of_several_bytes(pool):
    code = 'name = "äöü"; input = {"a": 1}\noutput = input["a"]\nprint(output)\n'
    (facts,) = source_facts(pool, [(code, ["a"])])
    assert with_input(code, facts, '{"a": 2}') == code.replace('{"a": 1}', '{"a": 2}')


def test_values_as_source():
    value = {"a": {"$tuple": [1]}, "s": {"$set": []}, "t": 'x"\n', "n": None, "b": True, "d": {"$dict": [[1, "x"]]}}
    assert literal(value) == '{"a": (1,), "s": set(), "t": \'x"\\n\', "n": None, "b": True, "d": {1: "x"}}'
    assert literal({"$np": {"dtype": "int64", "shape": [1], "data": [1]}}) is None
    assert replaced(value, ("a", "$tuple", 0), 9)["a"] == {"$tuple": [9]} and value["a"] == {"$tuple": [1]}


# ------------------------------------------------------------------------------------------------ texts


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("a 25% discount", ["25", "1/4"]),
        ("for $19.50", ["39/2", "1950"]),
        ("twenty-five cats", ["25"]),
        ("two hundred and five", ["205"]),
        ("20,400 people", ["20400"]),
        ("$1{,}000$", ["1000"]),
        (r"\frac{3}{4} and \frac12", ["3/4", "1/2"]),
        ("1/3rd as many", ["1/3"]),
        ("2 1/2 hours", ["5/2", "150"]),
        ("half of it, twice as many", ["1/2", "2"]),
        ("a dozen eggs and 3 dozen rolls", ["12", "36"]),
        ("the 3rd and the fourth", ["3", "4"]),
        ("2.5 million people", ["2500000"]),
        ("at 3:30", ["7/2", "210"]),
        ("$x^2 - 4029x + (-7)$", ["2", "-4029", "-7"]),
        ("$1011_2$", ["1011", "11"]),
        (r"$6.02 \times 10^{23}$", [str(602 * 10**21)]),
        ("45 minutes", ["45", "3/4"]),
        ("two-thirds of them", ["2/3"]),
        ("a thousand miles", ["1000"]),
    ],
)
def test_quantities(text, numbers):
    values = {value for quantity in quantities(text) for value in quantity.values}
    assert {Fraction(number) for number in numbers} <= values


def test_quantities_have_their_place():
    text = "He has -3 or 20,400 or twenty of 25% and 1/2."
    for quantity in quantities(text):
        assert text[quantity.start : quantity.end] == quantity.text
    assert [quantity.text for quantity in quantities(text)] == ["-3", "20,400", "twenty", "25", "1/2"]


def test_reading_is_fast_on_long_and_odd_texts():
    for text in ("9" * 50_000, "1/" * 20_000, "twenty " * 10_000, "a, " * 20_000):
        findings(text, {"a": 7, "b": 2.5})


STORY = "Ann, Bob and Carol share 24 apples. Each pays $1.50, a third of them get 25% off for half an hour. Both sing."


@pytest.mark.parametrize(
    ("value", "state"),
    [
        (24, "stated"),
        (1.5, "stated"),
        (150, "stated"),
        (0.25, "stated"),
        (0.75, "stated"),
        (0.5, "stated"),
        (0.3333333333333333, "stated"),
        (3, "stated"),
        (2, "stated"),
        (0, "implied"),
        (100, "derived"),
        (36, "derived"),
        (17, "missing"),
        (5.37, "missing"),
        ({"$frac": "1/3"}, "stated"),
        ([24, 17], "missing"),
        ([24, 1.5], "stated"),
        ("Carol", "stated"),
        ("red", "silent"),
        (True, "silent"),
        (None, "silent"),
    ],
)
def test_what_a_problem_says_of_a_value(value, state):
    (found,) = findings(STORY, {"key": value})
    assert found.state == state


def test_units_and_constants():
    assert findings("A charge of $25 \\mathrm{~kJ}$ at 20 °C", {"q": 25000, "t": 293.15})[1].state == "stated"
    assert {f.state for f in findings("Light travels 3 years.", {"c": 299792458, "h": 6.626e-34})} == {"implied"}
    assert findings("Solve by Newton's method.", {"tolerance": 1e-7, "max_iter": 40})[0].state == "implied"
    assert findings("the sum from 1 to 50", {"xs": list(range(1, 51))})[0].state == "stated"


def test_mentions():
    assert mentions("2 cats and two dogs", 2) == 2 and mentions("no number", 2) == 0 and mentions("3 of them", 3) == 1


# ------------------------------------------------------------------------------------------------ templates


@pytest.mark.parametrize(
    ("problem", "old", "new", "filled"),
    [
        ("A 25% discount on $19.50.", {"r": 0.25, "p": 19.5}, {"r": 0.3, "p": 22.0}, "A 30% discount on $22.00."),
        ("There are twenty cats.", {"n": 20}, {"n": 35}, "There are thirty-five cats."),
        ("It has 20,400 seats.", {"n": 20400}, {"n": 9300}, "It has 9,300 seats."),
        ("An 80 and a 12.", {"a": 80, "b": 12}, {"a": 56, "b": 18}, "A 56 and an 18."),
        ("He takes 1/3 of it.", {"f": {"$frac": "1/3"}}, {"f": {"$frac": "2/5"}}, "He takes 2/5 of it."),
        (r"Take $\frac{1}{4}$.", {"f": 0.25}, {"f": 0.6}, r"Take $\frac{3}{5}$."),
        ("The 4th day.", {"n": 4}, {"n": 6}, "The 6th day."),
    ],
)
def test_problems_are_filled_as_they_were_written(problem, old, new, filled):
    template = template_of(problem, old)
    assert template.fill(old) == problem
    assert template.fill(new) == filled


@pytest.mark.parametrize(
    ("problem", "value"),
    [
        ("5 apples, and 5 pears too", {"a": 5}),
        ("half of it", {"a": 0.5}),
        ("It costs 7. Options: a) 3 b) 4", {"a": 7}),
        ("1 apple for all", {"a": 1}),
        ("Nothing", {}),
    ],
)
def test_problems_without_a_place(problem, value):
    assert template_of(problem, value) is None


def test_an_input_without_a_place_is_fixed():
    template = template_of("12 boxes, a dozen eggs and 7 cups.", {"boxes": 12, "cups": 7, "hidden": 99})
    assert template.keys == ["cups"] and template.fixed == {"boxes", "hidden"}
    assert template_of("The 3rd day.", {"n": 3}).fill({"n": 4}) is None  # 4rd


# ------------------------------------------------------------------------------------------------ outputs, splits


@pytest.mark.parametrize(
    ("one", "two", "same"),
    [
        ("4", "9", True),
        ("4", "-9", False),
        ("4.0", "4.5", False),
        ("4.5", "5.0", True),
        ("[1,2]", "[1]", False),
        ('{"$tuple":[1,2]}', '{"$tuple":[3,4]}', True),
        ("true", "false", True),
        ('"a"', '""', False),
        ("3", '"3"', False),
    ],
)
def test_outputs_of_one_kind(one, two, same):
    assert alike(one, two) is same


def test_families_go_to_one_side():
    sides = [split_of(f"family {number}", 0.2) for number in range(2000)]
    assert 0.16 < sides.count("test") / 2000 < 0.24
    assert sides == [split_of(f"family {number}", 0.2) for number in range(2000)]
    assert {split_of("x", 0.0), split_of("x", 1.0)} == {"train", "test"}


def test_dump_is_canonical():
    assert dump({"b": 1, "a": ["ü"]}) == '{"b":1,"a":["\\u00fc"]}' and json.loads(dump({"a": 1})) == {"a": 1}
