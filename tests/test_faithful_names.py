"""What names of inputs tell of their values: words, kinds, order; and two inputs that have each other's values."""

import pytest

from caco_recipes.families.faithfulness import findings
from caco_recipes.families.naming import before, concept, named
from caco_recipes.families.places import Places
from caco_recipes.families.quantities import quantities


def states(problem, value, code=""):
    return [finding.state for finding in findings(problem, value, code)]


@pytest.mark.parametrize(
    ("problem", "value"),
    [
        ("She buys 5 apples and 7 pears.", {"apples": 5, "pears": 7}),
        ("Tom buys 3 pens at $5 each.", {"num_pens": 3, "price_per_pen": 5}),
        ("A cone has a radius of 5 and a height of 12.", {"radius": 5, "height": 12}),
        ("Let x = 3 and y = 8. What is x + 2y?", {"x": 3, "y": 8}),
        ("A sum of $400 is lent at 5% for 2 years.", {"principal": 400, "rate": 5, "years": 2}),
        ("He drives 120 miles in 3 hours.", {"hours": 3, "distance_miles": 120}),
        ("Ann bought 9 eggs. Later Bob ate 4 of them.", {"eggs_bought": 9, "eggs_eaten": 4}),
        ("red scarf | $3\nblue hat | $8\nWhat do both cost?", {"red_scarf": 3, "blue_hat": 8}),
        (
            "Drink | Saturday | Sunday\ntea | 4 | 9\ncola | 7 | 2\nHow many teas?",
            {"tea_saturday": 4, "tea_sunday": 9},
        ),
        ("On Thursday 40 came, on Sunday 25.", {"guests_thu": 40, "guests_sun": 25}),
    ],
)
def test_exchanged_values_are_rejected_and_right_ones_are_not(problem, value):
    assert states(problem, value) == ["stated"] * len(value)
    one, two = list(value)[:2]
    other = value | {one: value[two], two: value[one]}
    assert states(problem, other)[:2] == ["swapped", "swapped"]


@pytest.mark.parametrize(
    ("problem", "value"),
    [
        ("Take 17 from 40, then 12 more.", {"n0": 40, "n1": 17, "n2": 12}),
        ("What is 63 divided by 9?", {"dividend": 9, "divisor": 63}),
        ("Points (3, 5) and (8, 7) are joined.", {"x1": 5, "y1": 3}),
    ],
)
def test_order_alone_leaves_a_row_undecided(problem, value):
    assert "doubted" in states(problem, value) and "swapped" not in states(problem, value)


@pytest.mark.parametrize(
    ("problem", "value"),
    [
        ("She has 7 and gives away 5.", {"p": 5, "q": 7}),  # nothing in the text says which is which
        ("Four friends share 12 nuts.", {"nuts": 12, "friends": 4}),  # other order, right names
        ("A can do it in 6 days, B in 9 days.", {"days": 6, "other_days": 9}),
        ("Both boxes hold 8 balls, 3 of them red.", {"balls": 8, "red_balls": 3}),
        ("A bag of 5 costs $5.", {"size": 5, "cost": 5}),  # equal values can't be exchanged
    ],
)
def test_what_says_nothing_is_not_held_against_a_row(problem, value):
    assert not {"swapped", "doubted"} & set(states(problem, value))


def test_a_comment_describes_an_input():
    code = "# p: price of one ticket in dollars\n# q: people that came\n"
    problem = "Tickets cost $9 each. 120 people came."
    assert states(problem, {"q": 120, "p": 9}, code) == ["stated", "stated"]
    assert states(problem, {"q": 9, "p": 120}, code) == ["swapped", "swapped"]


def test_words_by_concept():
    assert concept("children") == concept("kids") and concept("bought") == concept("purchases")
    assert concept("berries") == concept("berry") and concept("boxes") == concept("box") and concept("x") == "x"
    assert concept("running") == concept("ran") and concept("glass") == concept("glass")


def test_what_a_name_tells():
    assert named("num_apples").count and not named("apple_price").count
    assert "money" in named("price_per_kg").kinds and "per:kg" in named("price_per_kg").words
    assert "percent" in named("discountPercent").kinds and "time" in named("hours").kinds
    assert named("people").kinds == () and named("birds_day_12").words["#12"] > 0


def test_the_order_of_siblings():
    assert before(named("n1"), named("n2")) is True and before(named("x2"), named("x1")) is False
    assert before(named("first_day"), named("third_day")) is True
    assert before(named("books_after"), named("books_before")) is False
    assert before(named("apples"), named("pears")) is None and before(named("n1"), named("total")) is None


def test_nearness():
    text = "A box of 6 red pens costs $4, and 3 folders cost $10."
    six, four, three, ten = (found := quantities(text))
    places = Places(text, found)
    assert places.near("pen", six) > places.near("pen", four) > places.near("pen", ten)
    assert places.near("folder", three) == 1.0 and places.near("elephant", six) == 0.0
    assert [places.kind(one) for one in (six, four, three, ten)] == ["plain", "money", "plain", "money"]


def test_a_dollar_sign_that_opens_a_formula_is_no_money():
    text = r"The price of $3$ lunches is \$4.50."
    found = quantities(text)
    assert [Places(text, found).kind(one) for one in found] == ["plain", "money"]


def test_many_inputs_and_long_texts_stay_fast():
    problem = "There are " + ", ".join(f"{n} of kind number {n}" for n in range(3, 900))
    findings(problem, {f"kind_{n}": n for n in range(3, 200)})
