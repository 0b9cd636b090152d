"""Constants of nature, conversion factors and molar masses: what a problem of science may leave unsaid.

A value is recognised by its digits together with the input's name (`R`, `molar_mass_H2O`, `eV_to_J`). Values: CODATA 2018
(NIST), the IAU's nominal values for Sun and Earth, IUPAC's abridged standard atomic weights of 2021, definitions of units;
for properties of water, air and the Moon, values that school tables give.
"""

import re
from fractions import Fraction

# Far from everyday size, leading digits are enough, in whatever power of ten: c, h, hbar, k, e, m_e, m_p, m_n, N_A, R, G,
# eps0, sigma, F, atm, k_e, u, mu_B, a_0, Rydberg, h in eV s, g, Wien's b, k in eV/K, GM and mass and radius of the Earth,
# mass and radius of the Moon, mass, radius, luminosity of the Sun, astronomical unit, the Earth's rotation.
NATURE = (2.99792, 6.62607, 1.05457, 1.38065, 1.60218, 9.10938, 1.67262, 1.67493, 6.02214, 8.31446, 6.6743, 8.85419,
          5.67037, 9.64853, 1.01325, 8.98755, 1.66054, 9.2740, 5.29177, 1.09737, 4.1357, 8.2057, 9.80665, 2.89777,
          8.61733,
          3.98600, 5.9722, 6.371, 6.3781, 7.3460, 1.7374, 1.98841, 6.957, 3.828, 1.49598, 7.29212)  # fmt: skip
# name of the input -> values it commonly has. The name is matched in lower case, without `_val`, `_value`, `num_`.
NAMED = (
    (r"g|gravity|grav.*|g_?0|acceleration_due.*|.*gravitational_acc.*", (9.8, 9.81, 9.80665, 10, 32, 32.2, 32.17, 980,
     981, 1.62)),
    (r"r|r_?gas|gas_?const.*|ideal_gas.*|universal_gas.*", (8.314, 8.3145, 8.31, 0.0821, 0.08206, 0.08314, 1.987,
     62.36, 62.364, 82.06)),
    (r"pi", (3.14, 3.1416, 3.14159, 22 / 7, 3)),
    (r"e|euler", (2.718, 2.71828)),
    (r"f|faraday.*", (96485, 96500, 96.485)),
    (r"k|k_?b|boltzmann.*", (0.695, 8.617e-5)),
    (r"b|wien.*", (0.002898, 2898)),
    (r"hc|h_?c.*", (1240, 1239.84, 12400, 197.327)),
    (r"ry.*|e_?1|e_?0|.*ionization.*|.*ground.*|r_?y", (13.6, 13.606)),
    (r".*m_?e.*|.*electron.*|.*m_?p.*|.*proton.*|.*neutron.*|.*rest.*|.*u_to.*|.*amu.*", (0.511, 938.3, 938.272, 939.6,
     931.5, 931.494)),
    (r".*sound.*|v.*|c.*", (340, 343, 331, 344, 331.3, 1480, 1481, 1482, 1484, 1500, 1498)),
    (r".*water.*|rho.*|dens.*|c.*|.*heat.*", (1000, 997, 998, 62.4, 4.184, 4.18, 4.186, 4.19, 4184, 4186, 4180, 4190,
     1.225, 1.2, 1.29)),
    (r".*fus.*|.*vap.*|l.*|.*latent.*", (334, 333.5, 333, 80, 540, 2260, 2257, 6.01, 40.7, 40.65)),
    (r".*vol.*|v_?m.*", (22.4, 22.414, 24.5, 24.8, 24.79)),
    (r".*atm.*|p.*|.*press.*", (101325, 101.325, 1.01325, 1.013, 760, 14.7, 100000)),
    (r".*kelvin.*|t.*|.*offset.*|.*zero.*", (273, 273.15, 298, 298.15, 293, 293.15, 300, 25, 20)),
    (r"r.*|.*rad.*|.*earth.*", (6371, 6378, 6370, 6380, 6400, 1737, 1740)),
    (r".*day.*|t.*", (86400, 86164)),
    (r"gamma.*|kappa.*", (5 / 3, 1.4, 7 / 5, 4 / 3, 1.3, 1.67)),
    (r".*index.*|n_?(?:water|glass|air)?", (1.33, 1.333, 4 / 3, 1.5, 1.52)),
)  # fmt: skip
NAMED_PATTERNS = tuple((re.compile(pattern), values) for pattern, values in NAMED)
FACTORS = (2.54, 0.3048, 0.0254, 30.48, 3.28, 3.28084, 39.37, 1.609, 1.60934, 1.609344, 0.6214, 0.621371, 1.6, 0.4536, 0.453592, 2.2046,
           2.20462, 2.2, 2.205, 28.35, 28.3495, 3.785, 3.78541, 0.264172, 4.184, 4.186, 4.18, 3.6, 0.9144, 1.0936,
           745.7, 746, 1055, 3412,
           6.89476, 133.322, 101325, 760, 1.01325, 0.000335, 57.2958, 0.0174533, 5 / 9, 9 / 5, 5 / 18, 1000, 100, 60,
           3600)  # fmt: skip
CONVERTS = re.compile(r"_to_|to_[a-z]+$|2[a-z]+$|_per_|conver|factor|unit")
ATOMIC_WEIGHTS = {
    "H": 1.008, "He": 4.0026, "Li": 6.94, "Be": 9.0122, "B": 10.81, "C": 12.011, "N": 14.007, "O": 15.999, "F": 18.998,
    "Ne": 20.180, "Na": 22.990, "Mg": 24.305, "Al": 26.982, "Si": 28.085, "P": 30.974, "S": 32.06, "Cl": 35.45,
    "Ar": 39.95,
    "K": 39.098, "Ca": 40.078, "Sc": 44.956, "Ti": 47.867, "V": 50.942, "Cr": 51.996, "Mn": 54.938, "Fe": 55.845,
    "Co": 58.933, "Ni": 58.693, "Cu": 63.546, "Zn": 65.38, "Ga": 69.723, "Ge": 72.630, "As": 74.922, "Se": 78.971,
    "Br": 79.904, "Kr": 83.798, "Rb": 85.468, "Sr": 87.62, "Y": 88.906, "Zr": 91.224, "Nb": 92.906, "Mo": 95.95,
    "Ru": 101.07, "Rh": 102.91, "Pd": 106.42, "Ag": 107.87, "Cd": 112.41, "In": 114.82, "Sn": 118.71, "Sb": 121.76,
    "Te": 127.60, "I": 126.90, "Xe": 131.29, "Cs": 132.91, "Ba": 137.33, "La": 138.91, "Ce": 140.12, "W": 183.84,
    "Pt": 195.08, "Au": 196.97, "Hg": 200.59, "Tl": 204.38, "Pb": 207.2, "Bi": 208.98, "Th": 232.04, "U": 238.03,
}  # fmt: skip
FORMULAS = {
    "hydrogen": "H2", "helium": "He", "nitrogen": "N2", "oxygen": "O2", "fluorine": "F2", "neon": "Ne",
    "chlorine": "Cl2",
    "argon": "Ar", "krypton": "Kr", "xenon": "Xe", "carbon": "C", "sodium": "Na", "potassium": "K", "magnesium": "Mg",
    "calcium": "Ca", "aluminum": "Al", "aluminium": "Al", "silicon": "Si", "sulfur": "S", "iron": "Fe", "copper": "Cu",
    "zinc": "Zn", "silver": "Ag", "tin": "Sn", "gold": "Au", "mercury": "Hg", "lead": "Pb", "uranium": "U",
    "iodine": "I2",
    "bromine": "Br2", "nickel": "Ni", "water": "H2O", "ice": "H2O", "steam": "H2O", "methane": "CH4", "ethane": "C2H6",
    "propane": "C3H8", "butane": "C4H10", "octane": "C8H18", "benzene": "C6H6", "ethanol": "C2H6O", "methanol": "CH4O",
    "glucose": "C6H12O6", "sucrose": "C12H22O11", "ammonia": "NH3", "carbon dioxide": "CO2", "carbon monoxide": "CO",
    "acetone": "C3H6O", "naphthalene": "C10H8", "urea": "CH4N2O", "diamond": "C", "sodium chloride": "NaCl",
}  # fmt: skip
FORMULA = re.compile(r"(?:[A-Z][a-z]?\d{0,2}){1,8}")
ELEMENT = re.compile(r"([A-Z][a-z]?)(\d{0,2})")
MASS_KEY = re.compile(r"^m(?:m|w|r|u)?(?:_|\d|$)|mass|weight|molar|^mol")
SCIENCE = re.compile(
    r"\\mathrm\{~|photon|electron|proton|neutron|nucle[iu]|\borbit|planet|\bearth\b|\bmoon\b|\bsun\b|\bmol\b|\bmoles?\b|\bmolar|"
    r"molecul|\bgas\b|wavelength|enthalp|entrop|gibbs|reaction|thermo|kelvin|capacit|volt|circuit|kinetic|momentum|"
    r"semiconduct|spectr|\batoms?\b|\batomic|\bions?\b|isotope|radioact|\bsound\b|sonar|\bhz\b|\bdna\b|enzyme|genotyp|"
    r"heterozyg|gravit|\bfriction|\bgev\b|\bev\b|\bnm\b|\blan\b"
)
PROPERTY = re.compile(
    r"densit|\brho|molar|molecul|specific|heat|^c_?[pv]|^[shg]_|gamma|latent|enthalp|entrop|delta_?[hgs]|band|gap|^eg|permit|"
    r"permeab|viscos|conduct|resistiv|refract|speed_of|coef|const|half_?life|potential|boil|melt|freez|vapou?r|^k_?[abfw]$|"
    r"pk_?a|ksp|atom|nucle|radius|mass|modulus|emissiv|affinity|ionization|temperature|pressure"
)


def recognised(value: Fraction, key: str, text: str) -> bool:
    """Whether a value is a constant of nature, a factor between units, or the molar mass of something in the name or text.

    Args:
        value: the input's number.
        key: its name.
        text: the problem, as written.
    """
    if digits_of_nature(value):
        return True
    number, bare = abs(float(value)), re.sub(r"_?(?:val(?:ue)?|numeric|num)$|^(?:num|val|given)_", "", key).lower()
    if bare == "pi" and _is(number, (3.14, 3.1416, 3.14159, 22 / 7)):
        return True
    if CONVERTS.search(key.lower()) and _is(number, FACTORS):
        return True
    if not SCIENCE.search(text.lower()) and not re.search(
        r"\b(?:fall|throw|drop|projectil|accelerat|height|toss|roller)", text.lower()
    ):
        return False
    if any(pattern.fullmatch(bare) and _is(number, values) for pattern, values in NAMED_PATTERNS):
        return True
    return bool(MASS_KEY.search(bare)) and _is_molar_mass(number, key, text)


def looks_tabulated(value: Fraction, key: str, text: str) -> bool:
    """Whether a problem of science may mean a value of its tables: a property by name, or digits that nobody makes up."""
    if not SCIENCE.search(text.lower()):
        return False
    number = abs(float(value))
    digits = f"{number:.12e}".partition("e")[0].replace(".", "").rstrip("0")
    return bool(PROPERTY.search(key.lower())) or not 1e-3 < number < 1e5 or (value.denominator > 1 and len(digits) > 2)


def digits_of_nature(value: Fraction) -> bool:
    """Whether a number far from everyday size has the leading digits of a constant of nature."""
    size = abs(float(value))
    if 1e-4 < size < 1e5:
        return False
    digits = float(f"{size:e}".partition("e")[0])
    return any(abs(digits - known) < 0.004 * known for known in (*NATURE, 3.0))


def _is(number: float, values: tuple[float, ...]) -> bool:
    return any(abs(number - value) <= 0.0006 * value for value in values)


def _is_molar_mass(number: float, key: str, text: str) -> bool:
    """In g/mol or kg/mol, or of one particle in g or kg."""
    plain = re.sub(r"\\mathrm|\\text|[{}_$~\s\\]", "", text)
    lower = f"{key} {text}".lower()
    formulas = {
        found for part in re.findall(r"[A-Za-z0-9]+", key.replace("_", " ")) for found in FORMULA.findall(part)
    }
    formulas |= set(FORMULA.findall(plain)[:200])
    formulas |= {formula for name, formula in FORMULAS.items() if name in lower}
    masses = {mass for formula in formulas for mass in _masses(formula)}
    avogadro = 6.02214e23
    return any(
        abs(number * scale - mass) <= 0.004 * mass for mass in masses for scale in (1, 1000, avogadro, avogadro * 1000)
    )


def _masses(formula: str) -> set[float]:
    """The molar mass of a formula, and of its single elements (as atom and as pair)."""
    parts = ELEMENT.findall(formula)
    if any(symbol not in ATOMIC_WEIGHTS for symbol, _ in parts):
        return set()
    single = {ATOMIC_WEIGHTS[symbol] * times for symbol, _ in parts for times in (1, 2)}
    return {sum(ATOMIC_WEIGHTS[symbol] * int(count or 1) for symbol, count in parts)} | single
