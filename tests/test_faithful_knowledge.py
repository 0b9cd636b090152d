"""What a problem may leave unsaid: common knowledge by name, constants of nature, molar masses, table values."""

import json
from fractions import Fraction

import pytest

from caco_recipes import faithful
from caco_recipes.families.faithfulness import findings
from caco_recipes.families.nature import recognised

GAS = "What pressure does 131 g of xenon gas in a vessel of 1.5 L exert at 25 °C?"


def state(problem, key, value):
    (found,) = findings(problem, {key: value})
    return found.state


@pytest.mark.parametrize(
    ("problem", "key", "value", "expected"),
    [
        ("He reads 50 pages a day. How many in a week?", "days_per_week", 7, "implied"),
        ("He reads 50 pages a day. How many in a week?", "books", 9, "missing"),
        ("He reads 3 books on 5 days of a week.", "days_per_week", 7, "derived"),  # 5 stands where 7 is meant
        ("A card is drawn from a deck.", "num_cards", 52, "implied"),
        ("A card is drawn from a deck.", "children", 52, "missing"),
        ("A pay of $310 a month, for a year?", "months_per_year", 12, "implied"),
        ("A pay of $310 a month, for a year?", "eggs", 12, "missing"),
        ("She has $40 and spends a fifth of it.", "total_spent", 100, "missing"),
        ("Find it by Newton's method.", "tolerance", 1e-7, "implied"),
        ("Simulate the walk.", "num_trials", 100000, "implied"),
        ("He scores 8 points a round.", "points_per_round", 46, "missing"),
        ("Messages go to 3 rooms.", "messages_to_thompson", 67, "missing"),
    ],
)
def test_common_knowledge_needs_a_name_that_fits(problem, key, value, expected):
    assert state(problem, key, value) == expected


@pytest.mark.parametrize(
    ("problem", "key", "value", "expected"),
    [
        (GAS, "R", 0.0821, "implied"),
        (GAS, "R", 8.314, "implied"),
        (GAS, "molar_mass", 131.29, "implied"),
        (GAS, "volume", 77, "missing"),
        (GAS, "van_der_waals_a", 4.19, "assumed"),
        ("A photon has a wavelength of 260 nm.", "h", 6.626e-34, "implied"),
        ("A photon has a wavelength of 260 nm.", "photons", 17, "missing"),
        ("An electron jumps to the conduction band of silicon.", "E_gap", 1.12, "assumed"),
        ("How many moles are 36 g of $\\mathrm{H}_2 \\mathrm{O}$?", "M_H2O", 18.015, "implied"),
        ("A stone falls for 3 s.", "g", 9.81, "implied"),
        ("Tom has 3 stones.", "g", 9.81, "missing"),
        ("A rod of 7 inches.", "inch_to_cm", 2.54, "implied"),
        ("A spacecraft orbits the Earth.", "M_earth", 5.972e24, "implied"),
        ("The cost of 7 tins.", "density", 1.19, "missing"),
        ("Two heterozygous parents with brown eyes.", "probability_blue", 0.25, "derived"),
        ("The box is $5.00 Å$ long and holds an electron.", "L", 5e-10, "stated"),
        ("It lasts $0.4$ $\\mu s$.", "t", 4e-7, "stated"),
    ],
)
def test_constants_of_science(problem, key, value, expected):
    assert state(problem, key, value) == expected


def test_the_mass_of_one_atom_and_of_a_kilogram_per_mole():
    assert recognised(Fraction("1.994e-23"), "mass_C_atom", "diamond, an atom of carbon")
    assert recognised(Fraction("0.028"), "molar_mass_N2", "N2 molecules in air")
    assert not recognised(Fraction("0.035"), "molar_mass_N2", "N2 molecules in air")


@pytest.mark.parametrize(
    ("assumed", "verdict"), [("undecided", "undecided"), ("accept", "accepted"), ("reject", "rejected")]
)
def test_a_recipe_says_what_an_assumed_value_means(assumed, verdict):
    value = {"E_gap": 1.12}
    batch = {"problem": ["An electron jumps in silicon."], "code": [""], "input": [json.dumps(value)], "output": ["1"]}
    out = faithful.run(batch | {"lineage": [""]}, faithful.Config(assumed=assumed), faithful.Checker(None))
    assert out["verdict"] == [verdict] and json.loads(out["faithfulness"][0])["static"][0]["state"] == "assumed"


@pytest.mark.parametrize(
    ("doubted", "verdict"), [("undecided", "undecided"), ("accept", "accepted"), ("reject", "rejected")]
)
def test_a_recipe_says_what_a_doubt_means(doubted, verdict):
    batch = {"problem": ["What is 63 divided by 9?"], "code": [""], "output": ["1"], "lineage": [""]}
    batch["input"] = [json.dumps({"dividend": 9, "divisor": 63})]
    out = faithful.run(batch, faithful.Config(doubted=doubted), faithful.Checker(None))
    assert out["verdict"] == [verdict]
    assert (out["reason"][0] == "unfaithful:dividend") == (verdict != "accepted")
