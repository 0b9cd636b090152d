"""The `domains` stage: a domain for every row, by rules over its problem and its program's imports.

In: `problem`, `code` or `program` where there is one, `domain` where the row has one. Out: `domain` (math, science, code,
logic, planning), `domains` (the fields that the rules saw, best first, such as `math/geometry`) and `domain_rule`
(`given` or `rules`). Domains that rows bring are kept as far as `keep` names them: `math` is not, because it is also what
seeds without any are called. No row is rejected.

The rules are words: each field has patterns with a weight, a pattern counts once per text, the field with the largest sum
wins. Fast (no model), readable, and wrong now and then: docs/stages.md has the table. Paper: future work, section 6.

    caco run recipes/logic-and-science --stages domains
"""

import re
from dataclasses import dataclass
from typing import Any

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.verdicts import ACCEPTED

VERSION = 1
FEATURES = {"domain": "string", "domains": "list[string]", "domain_rule": "string"}
DOMAINS = ("math", "science", "code", "logic", "planning")
FALLBACK = "math/arithmetic"

# field -> weight -> words. A word stands for itself and its beginnings of longer words where it ends with *.
WORDS: dict[str, dict[int, str]] = {
    "math/algebra": {
        2: "polynomial* quadratic* inequalit* logarithm* \\log arithmetic_sequence geometric_sequence matrix matrices "
        "determinant eigenvalue* complex_number* real_number* roots factored f(x) g(x) simplif* domain_of "
        "arithmetic_progression geometric_series vertex_of expand system_of_equations asymptote*",
        1: "equation* solve_for variable* function* expression evaluate \\sqrt exponent* coefficient* x^2 constant* "
        "value_of_$x slope intercept*",
    },
    "math/geometry": {
        3: "triangle* rectangle* polygon* hexagon* quadrilateral* trapezoid* parallelogram* rhombus pyramid* sphere* "
        "cone cylinder* circumcircle* inscribed perimeter hypotenuse \\triangle \\angle \\overline octagon* pentagon* "
        "prism tangent_to radius diameter* circle* semicircle* isosceles equilateral",
        2: "angle* area square_units side_length perpendicular parallel cube* length_of_the volume midpoint diagonal*",
        1: "square* line* segment* degrees point* \\circ",
    },
    "math/number_theory": {
        3: "prime* divisor* divisible remainder* modulo \\pmod gcd lcm greatest_common least_common base_* "
        "congruen* factorial_of units_digit digits perfect_square* palindrome* relatively_prime multiple_of multiples_of",
        2: "integer* divides even odd factor* hexadecimal binary digit whole_number* consecutive",
    },
    "math/counting": {
        3: "probabilit* how_many_ways ways_can in_how_many permutation* combination* at_random randomly dice die coin* "
        "\\binom arrange* expected_value how_many_different deck_of committee* choose* seated",
        2: "distinct select* chosen number_of_ways drawn cards subsets different marbles",
    },
    "math/calculus": {
        4: "derivative* integral* \\int \\lim limit_of differentiable antiderivative* converges gradient dx "
        "differential_equation* \\frac{d} y' continuous_function \\dot laplace ode",
        2: "continuous series maxim* minim* tangent_line initial_condition* \\infty",
    },
    "math/trigonometry": {
        4: "\\sin \\cos \\tan \\sec \\cot sin( cos( tan( \\arcsin \\arctan trigonometric* polar_coordinates "
        "spherical_coordinates cylindrical_coordinates",
        3: "vector* \\mathbf \\begin{pmatrix} cross_product projection_of parametri*",
    },
    "math/statistics": {
        3: "standard_deviation variance regression median hypothesis_test confidence_interval normal_distribution",
        1: "mean average data",
    },
    "math/arithmetic": {
        2: "how_much_money how_many_more in_total altogether dollars cents each_week per_hour costs bought sold",
        1: "how_many how_much percent* twice half each day* total fraction* decimal* sum product",
    },
    "science/physics": {
        4: "velocit* acceleration friction* momentum kinetic_energy newton* joule* voltage resistor* ohm* electric_field "
        "magnetic* wavelength photon* lens thermodynam* pendulum torque inertia capacitor* projectile relativistic "
        "spring_constant frictionless semiconductor* refracti* angular_frequency damping damped transfer_function "
        "natural_frequency speed_of_light electron* proton* isotope* half-life radioactiv* bandgap phonon*",
        2: "mass force* energy pressure density kg watts temperature gravit* meters_per_second m/s frequency "
        "\\mathrm{~m} \\mathrm{~kg} \\mathrm{~s} wave charge oscillat* circuit*",
    },
    "science/chemistry": {
        4: "molar* mole moles stoichiometr* titrat* enthalp* entropy_of_reaction molecule* ion ions oxidation ph_of acid* "
        "alloy* crystal* lattice* unit_cell equilibrium_constant atom atoms atomic hydrogen oxygen carbon sodium "
        "gas_law reaction* bond_* orbital* ionic diffusion concentration* solubility \\mathrm{h}",
        2: "solution_of compound* catalyst* grams liters gas bond bonds",
    },
    "science/biology": {
        4: "dna gene genes cell_membrane protein* enzyme* species population_genetics allele* organism* bacteria "
        "photosynthesis ecosystem* biomass chromosom* ecolog* predator*",
    },
    "science/astronomy": {
        4: "planet* telescope* galaxy galaxies star stars orbit* solar_mass luminosit* parsec* redshift arcsec* "
        "supernova* angular_diameter binary_system kepler* comet* astronom*",
    },
    "science/economics": {
        4: "demand_curve supply_curve marginal_cost monopol* utility_function elasticit* equilibrium_price consumer_surplus "
        "deadweight profit-maximizing monopolist market_demand",
    },
    "code/programming": {
        4: "write_a_function write_a_python python implement* def ` ``` given_a_string given_an_array algorithm* "
        "returns_the return_the linked_list binary_tree time_complexity subarray* substring* list_of_integers "
        "leetcode dictionary tuple* regex json recursion recursive parse* sort_the array",
        2: "string* list_of function_that input_is output integers nums data_structure*",
    },
    "logic/deduction": {
        5: "knight_or_a_knave knave knaves knights always_lie* always_tell* tells_the_truth tell_the_truth liar liars "
        "truth_table satisfiable propositional logically_equivalent",
        3: "exactly_one_of_the_statements implies statement_is_true statements_are_true must_be_true premises conclude "
        "true_or_false clue clues puzzle says_that to_the_left_of",
    },
    "planning/scheduling": {
        5: "schedule* earliest_finish makespan worker_can critical_path prerequisite* shortest_route blocks_world "
        "fewest_moves fewest_number minimum_number_of_moves shortest_path deadline* knapsack travelling_salesman stack_of_blocks",
        3: "tasks route robot warehouse grid_of_cells each_move deliver* machine_can must_be_finished after_task one_step",
    },
}
# module -> field: what a program imports says something about its problem.
IMPORTS = {
    "sympy.geometry": "math/geometry",
    "sympy.ntheory": "math/number_theory",
    "sympy.stats": "math/statistics",
    "statistics": "math/statistics",
    "scipy.constants": "science/physics",
    "scipy.integrate": "math/calculus",
    "sympy.physics": "science/physics",
    "networkx": "planning/scheduling",
    "heapq": "planning/scheduling",
    "re": "code/programming",
    "json": "code/programming",
    "typing": "code/programming",
}
IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([A-Za-z_][\w.]*)", re.MULTILINE)


TEXT_WORD = re.compile(r"[a-z0-9][a-z0-9'-]*")
Mark = tuple[str, int]  # field, weight


def _sorted_rules() -> tuple[dict[str, list[Mark]], dict[str, list[Mark]], list[tuple[str, re.Pattern, Mark]]]:
    """The words by how they are looked up: whole words, beginnings of words, and everything else as text."""
    whole: dict[str, list[Mark]] = {}
    beginnings: dict[str, list[Mark]] = {}
    others: list[tuple[str, re.Pattern, Mark]] = []
    for field, by_weight in WORDS.items():
        for weight, words in by_weight.items():
            for word in words.split():
                text = word.rstrip("*").replace("_", " ").lower()
                if TEXT_WORD.fullmatch(text):
                    (beginnings if word.endswith("*") else whole).setdefault(text, []).append((field, weight))
                else:
                    head = r"\b" if text[0].isalnum() else ""
                    tail = "" if word.endswith("*") or not text[-1].isalnum() else r"(?!\w)"
                    others.append((text, re.compile(f"{head}{re.escape(text)}{tail}"), (field, weight)))
    return whole, beginnings, others


WHOLE, BEGINNINGS, OTHERS = _sorted_rules()
LENGTHS = sorted({len(text) for text in BEGINNINGS})


def fields_of(problem: str, code: str = "") -> list[str]:
    """The fields of a problem, best first: those with at least half of the best sum. Never empty."""
    sums: dict[str, float] = {}
    text = " ".join(problem.lower().split())
    marks: list[Mark] = []
    for word in set(TEXT_WORD.findall(text)):  # a word counts once, however often it stands there
        marks += WHOLE.get(word, ())
        for length in LENGTHS:
            if length > len(word):
                break
            marks += BEGINNINGS.get(word[:length], ())
    marks += [mark for needle, pattern, mark in OTHERS if needle in text and pattern.search(text)]
    for field, weight in marks:
        sums[field] = sums.get(field, 0.0) + weight
    for module in set(IMPORT.findall(code)):
        for name, field in IMPORTS.items():
            if module == name or module.startswith(name + "."):
                sums[field] = sums.get(field, 0.0) + 1
    if not sums:
        return [FALLBACK]
    best = max(sums.values())
    return sorted((field for field, total in sums.items() if 2 * total >= best), key=lambda f: (-sums[f], f))


def domain_of(problem: str, code: str = "") -> str:
    """The domain of a problem: math, science, code, logic or planning."""
    return fields_of(problem, code)[0].partition("/")[0]


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a domains step."""

    keep: list[str] = option(
        "Domains that rows bring and that stay as they are.",
        default_factory=lambda: ["code", "science", "logic", "planning"],
    )


def run(batch: dict[str, list], config: Config, resources: Any) -> dict[str, list]:
    """Tags the batch's rows."""
    count = len(batch["id"])
    given = batch.get("domain") or [""] * count
    problems = batch.get("problem") or [""] * count
    codes = batch.get("code") or batch.get("program") or [""] * count
    made: dict[str, list] = {name: [] for name in ("domain", "domains", "domain_rule", "lineage")}
    for position in range(count):
        fields = fields_of(problems[position] or "", codes[position] or "")
        own = given[position] or ""
        kept = own in config.keep
        domain, rule = (own, "given") if kept else (fields[0].partition("/")[0], "rules")
        made["domain"].append(domain)
        made["domains"].append(fields)
        made["domain_rule"].append(rule)
        made["lineage"].append(
            identity.add_receipt(
                batch["lineage"][position], stage="domains", version=VERSION, domain=domain, rule=rule
            )
        )
    return made | {"verdict": [ACCEPTED] * count, "reason": [""] * count}
