"""Chemistry: amounts of substance, dilution, the gas law, radioactive decay."""

import random
from fractions import Fraction

from caco_recipes.procedural import Made
from caco_recipes.procedural.mechanics import _exact, _rounded, without_ties

SUBSTANCES = {
    "sodium chloride": {"Na": 1, "Cl": 1}, "glucose": {"C": 6, "H": 12, "O": 6}, "ammonia": {"N": 1, "H": 3},
    "sulfuric acid": {"H": 2, "S": 1, "O": 4}, "calcium carbonate": {"Ca": 1, "C": 1, "O": 3},
    "ethanol": {"C": 2, "H": 6, "O": 1}, "potassium nitrate": {"K": 1, "N": 1, "O": 3},
}  # fmt: skip
MASSES = {
    "H": 1.008,
    "C": 12.011,
    "N": 14.007,
    "O": 15.999,
    "Na": 22.99,
    "S": 32.06,
    "Cl": 35.45,
    "K": 39.098,
    "Ca": 40.078,
}
AMOUNT = """
def molar_mass(formula, masses):
    return sum(count * masses[element] for element, count in formula.items())

def solve(formula, masses, grams, millilitres):
    # amount of substance over volume
    moles = grams / molar_mass(formula, masses)
    litres = millilitres / 1000
    return round(moles / litres, 3)
"""
DILUTION = """
def solve(strong, weak, volume):
    # c1 V1 = c2 V2; the rest is water
    needed = weak * volume / strong
    water = volume - needed
    rounded = round(water, 1)
    return rounded
"""
GAS = """
def kelvin(celsius):
    return celsius + 273.15

def solve(moles, celsius, kilopascals, gas_constant):
    # p V = n R T, in kPa and litres
    volume = moles * gas_constant * kelvin(celsius) / kilopascals
    rounded = round(volume, 2)
    return rounded
"""
DECAY = """
def solve(milligrams, half_life, days):
    # half of it is left after each half-life
    left = milligrams
    for _ in range(days // half_life):
        left = left / 2
    decayed = milligrams - left
    return decayed
"""
PROGRAM = AMOUNT


def make(draw: random.Random) -> Made:
    """One of four situations. Answers are computed in fractions and rounded once, unlike the program's floats."""
    return without_ties((_amount, _dilution, _gas, _decay), draw)


def _amount(draw: random.Random) -> Made:
    name = draw.choice(sorted(SUBSTANCES))
    formula = SUBSTANCES[name]
    masses = {element: MASSES[element] for element in formula}
    grams, millilitres = draw.randint(2, 250), draw.randrange(100, 2000, 25)
    molar = sum(count * _exact(masses[element]) for element, count in formula.items())
    value = grams / molar / Fraction(millilitres, 1000)
    shown = ", ".join(f"{element} {mass}" for element, mass in masses.items())
    written = "".join(f"{element}{count if count > 1 else ''}" for element, count in formula.items())
    problem = (
        f"{grams} grams of {name} ({written}) are dissolved in water to give {millilitres} mL of solution. With the molar "
        f"masses {shown} (in g/mol), what is the concentration in moles per litre? Round to three decimals."
    )
    solution = (
        f"The molar mass is {float(molar):.3f} g/mol, so there are {float(grams / molar):.5f} moles. Divided by "
        f"{millilitres / 1000} litres that is \\boxed{{{_rounded(value, 3)}}} mol/L."
    )
    values = {"formula": formula, "masses": masses, "grams": grams, "millilitres": millilitres}
    return Made(values, problem, solution, _rounded(value, 3), AMOUNT)


def _dilution(draw: random.Random) -> Made:
    strong, weak, volume = draw.randint(6, 18), draw.randint(1, 5), draw.randrange(100, 3000, 50)
    value = volume - Fraction(weak * volume, strong)
    problem = (
        f"How many millilitres of water must be added to an acid solution with a concentration of {strong} mol/L to make "
        f"{volume} mL of a solution of {weak} mol/L? Volumes add up. Round to one decimal."
    )
    solution = (
        f"{weak} mol/L in {volume} mL needs {weak} * {volume} / {strong} = {float(Fraction(weak * volume, strong)):.3f} mL of the "
        f"strong solution. The rest is water: \\boxed{{{_rounded(value, 1)}}} mL."
    )
    return Made({"strong": strong, "weak": weak, "volume": volume}, problem, solution, _rounded(value, 1), DILUTION)


def _gas(draw: random.Random) -> Made:
    moles, celsius, pressure = draw.randint(1, 40), draw.randint(-30, 150), draw.randrange(60, 400, 5)
    value = moles * _exact(8.314) * (celsius + _exact(273.15)) / pressure
    problem = (
        f"What volume in litres do {moles} moles of an ideal gas take at a temperature of {celsius} degrees Celsius and a "
        f"pressure of {pressure} kPa? Use R = 8.314 J/(mol K) and 0 degrees Celsius = 273.15 K; round to two decimals."
    )
    solution = (
        f"By p V = n R T with T = {float(celsius + _exact(273.15)):.2f} K the volume is {moles} * 8.314 * "
        f"{float(celsius + _exact(273.15)):.2f} / {pressure} = \\boxed{{{_rounded(value, 2)}}} litres."
    )
    values = {"moles": moles, "celsius": celsius, "kilopascals": pressure, "gas_constant": 8.314}
    return Made(values, problem, solution, _rounded(value, 2), GAS)


def _decay(draw: random.Random) -> Made:
    half_life, times = draw.randint(2, 30), draw.randint(2, 6)
    milligrams = 2**times * draw.randint(3, 60)
    left = milligrams >> times
    problem = (
        f"A radioactive isotope has a half-life of {half_life} days. Of a sample of {milligrams} milligrams, how many "
        f"milligrams have decayed after {half_life * times} days?"
    )
    solution = (
        f"{half_life * times} days are {times} half-lives, after which {milligrams} / {2**times} = {left} milligrams are left. "
        f"So {milligrams} - {left} = \\boxed{{{milligrams - left}}} milligrams have decayed."
    )
    values = {"milligrams": milligrams, "half_life": half_life, "days": half_life * times}
    return Made(values, problem, solution, str(milligrams - left), DECAY)
