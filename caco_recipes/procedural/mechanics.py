"""Mechanics and circuits: one formula or two, with units that have to be converted."""

import random
from fractions import Fraction

from caco_recipes.procedural import Made

BRAKING = """
def metres_per_second(kilometres_per_hour):
    return kilometres_per_hour * 1000 / 3600

def solve(speed, friction, reaction, gravity):
    # distance during the reaction, then v^2 / (2 mu g)
    v = metres_per_second(speed)
    thinking = v * reaction
    braking = v ** 2 / (2 * friction * gravity)
    return round(thinking + braking, 2)
"""
LIFTING = """
def solve(mass, height, power, efficiency, gravity):
    # energy that the load gains, over the useful share of the motor's power
    energy = mass * gravity * height
    useful = power * efficiency / 100
    seconds = energy / useful
    return round(seconds, 2)
"""
CIRCUIT = """
def parallel(resistances):
    return 1 / sum(1 / r for r in resistances)

def solve(voltage, series, branches):
    # branches in parallel, then in series with the first resistor; Ohm's law
    total = series + parallel(branches)
    current = voltage / total
    milliamperes = 1000 * current
    return round(milliamperes, 1)
"""
PROJECTILE = """
def solve(height, speed, gravity):
    # time to fall, then the distance covered meanwhile
    falling = (2 * height / gravity) ** 0.5
    distance = speed * falling
    return round(distance, 2)
"""
PROGRAM = BRAKING


def make(draw: random.Random) -> Made:
    """One of four situations. Answers are computed in fractions and rounded once, unlike the program's floats."""
    return without_ties((_braking, _lifting, _circuit, _projectile), draw)


class Tie(ValueError):
    """An answer that lies exactly between two roundings: people and programs round those differently."""


def without_ties(situations: tuple, draw: random.Random) -> Made:
    """A problem of one of the situations whose answer can be rounded in one way only."""
    while True:
        try:
            return draw.choice(situations)(draw)
        except Tie:
            continue


def _braking(draw: random.Random) -> Made:
    speed, friction, reaction = draw.randrange(30, 131, 2), draw.randint(3, 9) / 10, draw.randint(6, 15) / 10
    v = Fraction(speed * 1000, 3600)
    value = v * _exact(reaction) + v**2 / (2 * _exact(friction) * _exact(9.81))
    problem = (
        f"A car drives at {speed} km/h. The driver reacts after {reaction} seconds; then the wheels are locked, with a "
        f"friction coefficient of {friction}. Taking the acceleration of gravity as 9.81 m/s^2, how many metres does the "
        "car travel until it stands? Round to two decimals."
    )
    solution = (
        f"The speed is {speed} km/h = {float(v):.4f} m/s. During the reaction the car covers {float(v * _exact(reaction)):.4f} m, "
        f"then v^2 / (2 mu g) = {float(v**2 / (2 * _exact(friction) * _exact(9.81))):.4f} m. "
        f"In all that is \\boxed{{{_rounded(value, 2)}}} metres."
    )
    values = {"speed": speed, "friction": friction, "reaction": reaction, "gravity": 9.81}
    return Made(values, problem, solution, _rounded(value, 2), BRAKING)


def _lifting(draw: random.Random) -> Made:
    mass, height = draw.randrange(40, 900, 5), draw.randint(3, 60)
    power, efficiency = draw.randrange(500, 9000, 50), draw.randrange(55, 96)
    value = Fraction(mass * height) * _exact(9.81) / (power * Fraction(efficiency, 100))
    problem = (
        f"A motor with a power of {power} watts and an efficiency of {efficiency} percent lifts a mass of {mass} kg by "
        f"{height} metres. With an acceleration of gravity of 9.81 m/s^2, how many seconds does it take? Round to two decimals."
    )
    solution = (
        f"The load gains m g h = {mass} * 9.81 * {height} = {float(mass * height * _exact(9.81)):.2f} joules. "
        f"Of the motor's power {float(power * Fraction(efficiency, 100)):.2f} watts are useful. "
        f"The quotient is \\boxed{{{_rounded(value, 2)}}} seconds."
    )
    values = {"mass": mass, "height": height, "power": power, "efficiency": efficiency, "gravity": 9.81}
    return Made(values, problem, solution, _rounded(value, 2), LIFTING)


def _circuit(draw: random.Random) -> Made:
    voltage, series = draw.randint(3, 48), draw.randrange(10, 400, 5)
    branches = [draw.randrange(20, 900, 10) for _ in range(draw.randint(2, 4))]
    parallel = 1 / sum(Fraction(1, r) for r in branches)
    value = 1000 * voltage / (series + parallel)
    shown = ", ".join(map(str, branches[:-1])) + f" and {branches[-1]}"
    problem = (
        f"A voltage of {voltage} V drives a current through a resistor of {series} ohms in series with a group of parallel "
        f"resistors of {shown} ohms. How large is the total current in milliamperes? Round to one decimal."
    )
    solution = (
        f"The parallel group has {float(parallel):.4f} ohms, the whole circuit {float(series + parallel):.4f} ohms. "
        f"By Ohm's law the current is \\boxed{{{_rounded(value, 1)}}} milliamperes."
    )
    return Made(
        {"voltage": voltage, "series": series, "branches": branches}, problem, solution, _rounded(value, 1), CIRCUIT
    )


def _projectile(draw: random.Random) -> Made:
    height, speed = draw.randint(2, 120), draw.randint(3, 60)
    # The square of the distance is a fraction; its root is taken in whole numbers of hundredths.
    square = Fraction(2 * height * speed**2) / _exact(9.81)
    value = Fraction(_root(square * 10**12), 10**6)
    problem = (
        f"A ball leaves the edge of a cliff of {height} metres height horizontally with a velocity of {speed} m/s. Without "
        "air resistance and with an acceleration of gravity of 9.81 m/s^2, how many metres from the foot of the cliff does "
        "it land? Round to two decimals."
    )
    solution = (
        f"It falls for sqrt(2 * {height} / 9.81) = {(2 * height / 9.81) ** 0.5:.4f} seconds, and covers {speed} metres in each. "
        f"The distance is \\boxed{{{_rounded(value, 2)}}} metres."
    )
    return Made({"height": height, "speed": speed, "gravity": 9.81}, problem, solution, _rounded(value, 2), PROJECTILE)


def _exact(number: float) -> Fraction:
    return Fraction(repr(number))


def _root(value: Fraction) -> int:
    from math import isqrt

    return isqrt(value.numerator // value.denominator)


def _rounded(value: Fraction, digits: int) -> str:
    scaled = value * 10**digits
    if (2 * scaled).denominator == 1 and scaled.denominator == 2:
        raise Tie(str(value))
    whole = int(scaled + Fraction(1, 2))
    return f"{whole // 10**digits}.{whole % 10**digits:0{digits}d}"
