"""What each kind of fork server has loaded and run before the first program comes.

Lazy imports, caches and specialised bytecode made here are inherited by every program; the texts are fixed and enter
the engine version, so that two runs start from the same state.
"""

import re

_PLAIN_MODULES = (
    "math itertools functools collections collections.abc fractions decimal re random heapq bisect string "
    "statistics operator numbers copy datetime typing dataclasses enum json time calendar textwrap warnings "
    "contextlib abc io array struct sys os _json queue threading"
).split()

WARM_MODULES = {
    "plain": _PLAIN_MODULES,
    "numpy": [*_PLAIN_MODULES, "numpy", "numpy.linalg"],
    "sympy": [*_PLAIN_MODULES, "sympy", "sympy.core.random"],
    "both": [*_PLAIN_MODULES, "numpy", "numpy.linalg", "sympy", "sympy.core.random"],
}

_NEEDS = re.compile(r"\b(sympy|numpy|scipy|pandas)\b")


def kind_of(source: str) -> str:
    """The fork server that suits a program, by a search of its text alone. A wrong guess costs time, nothing else."""
    found = set(_NEEDS.findall(source)) if "py" in source or "pandas" in source else ()
    if not found:
        return "plain"
    if "sympy" in found:
        return "both" if len(found) > 1 else "sympy"
    return "numpy"


_ARITHMETIC = """
import math
from fractions import Fraction
from collections import Counter, defaultdict, deque
from itertools import combinations, permutations, product

input = {"low": 2, "high": 40, "names": ["x", "y"], "rate": 0.05}

def solve(low, high, names, rate):
    primes = [n for n in range(low, high) if all(n % d for d in range(2, int(math.sqrt(n)) + 1))]
    counts = Counter(str(sum(primes)))
    graph = defaultdict(list)
    for a, b in combinations(range(4), 2):
        graph[a].append(b)
    seen, queue = {0}, deque([0])
    while queue:
        node = queue.popleft()
        for other in graph[node]:
            if other not in seen:
                seen.add(other)
                queue.append(other)
    best = max(permutations(range(3)), key=lambda p: p[0] * 2 + p[1])
    total = sum(Fraction(1, n) for n in primes[:3])
    grown = round(100 * (1 + rate) ** 3, 2)
    return {"primes": len(primes), "digits": sorted(counts.items()), "best": best, "sum": str(total), "grown": grown,
            "names": " ".join(names).upper(), "pairs": len(list(product(names, repeat=2)))}

output = solve(**input)
print(output)
"""

_MAIN_GUARD = """
from decimal import Decimal
from functools import lru_cache

@lru_cache(maxsize=None)
def ways(n, coins):
    if n == 0:
        return 1
    if n < 0 or not coins:
        return 0
    return ways(n - coins[0], coins) + ways(n, coins[1:])

def main(data):
    return ways(data["total"], tuple(data["coins"])), str(Decimal(data["price"]) * 3)

if __name__ == "__main__":
    input = {"total": 12, "coins": [1, 2, 5], "price": "1.10"}
    output = main(input)
    print(f"ways: {output[0]:,}")
"""

_NUMPY = """
import numpy as np

input = {"rows": [[2.0, 1.0], [1.0, 3.0]], "values": [3, 1, 4, 1, 5, 9, 2, 6]}

def solve(rows, values):
    a, v = np.array(rows), np.array(values)
    x = np.linalg.solve(a, np.array([1.0, 2.0]))
    parts = [np.linalg.det(a), np.linalg.inv(a).sum(), np.linalg.eigvals(a).max(), np.linalg.norm(x)]
    parts += [v.mean(), v.std(), np.median(v), np.percentile(v, 30), np.cumsum(v)[-1], np.dot(v, v), np.sort(v)[0]]
    parts += [np.arange(5).reshape(5, 1).T.shape[1], np.unique(v).size, np.polyfit([0, 1, 2], [1, 3, 5], 1)[0]]
    parts += [np.linspace(0, 1, 5).sum(), np.where(v > 3, v, 0).max(), np.roots([1, -3, 2]).real.max()]
    parts += [np.random.rand(3).shape[0], np.isclose(v, v).all(), np.argmax(v), np.prod(v[:3]), np.outer(v, v).trace()]
    return np.round(np.array(parts, dtype=float), 4).tolist()

output = solve(**input)
print(output, np.array(input["values"]), np.float64(0.5))
"""

_SYMPY = [
    """
from sympy import *

input = {"n": 360, "a": 2}

def solve_all(n, a):
    x, y = symbols("x y")
    t = symbols("t", positive=True)
    found = [
        solve(x**2 - 5*x + 6, x), solve(Eq(x**2 + a*x, 3), x), solve((x + y - 3, x - y - 1), (x, y)),
        solve((Eq(2*x + 3*y, 7), Eq(x - y, 1)), (x, y)), solve(x**3 - 6*x**2 + 11*x - 6, x),
        solve((x**2 + y**2 - 25, x - y - 1), (x, y)), solve(sqrt(x + 1) - 3, x), solve(2**x - 8, x),
        solve(exp(x) - 3, x), solveset(x**2 - 4, x, S.Reals), linsolve([x + y - 2, x - y], x, y),
        roots(x**3 - 1, x), factor(x**4 - 1), expand((x + y)**4), simplify((x**2 - 1)/(x - 1)), apart(1/(x*(x + 1))),
        together(1/x + 1/y), cancel((x**2 + x)/x), collect(x*y + x, x), diff(x**3*sin(x), x), diff(exp(x*y), x),
        integrate(x**2 + 3*x, (x, 0, 2)), integrate(sin(x)*x, x), integrate(1/(1 + x**2), (x, 0, 1)),
        integrate(x**3 + 3*x - 2, (x, 1, 4)), limit((sin(3*x) - 3*x)/x**3 + exp(4*x), x, 0), limit(sin(x)/x, x, 0),
        series(exp(x), x, 0, 4), series(cos(x), x, 0, 4), summation(x, (x, 1, 10)), summation(1/x**2, (x, 1, oo)),
        factorint(n), divisors(n), isprime(97), totient(n), gcd(12, 18), lcm(4, 6), primefactors(n), nextprime(10),
        sqrt(50), nsimplify(0.5), Rational(3, 4) + Rational(1, 6), simplify((sqrt(12) + sqrt(27))/(sqrt(3*5) + 1)),
        simplify((sqrt(45) + sqrt(9))/(sqrt(405) + 1)), radsimp(1/(1 + sqrt(2))), trigsimp(sin(x)**2 + cos(x)**2),
        Matrix([[1, 2], [3, 4]]).det(), Matrix([[2, 1], [1, 2]]).eigenvals(), Matrix([[1, 2], [3, 4]]).inv(),
        Matrix([[-4, 2, 6], [3, 3, -2], [-5, 1, 9]]).rank(), Matrix([[1, 2], [2, 4]]).nullspace(), log(8, 2), N(pi, 20),
        pi.evalf(), (x**2 + 1).subs(x, 3), Poly(x**2 + 2*x + 1, x).all_coeffs(), binomial(10, 3), factorial(6),
        floor(Rational(7, 2)), Abs(-3), re(1 + 2*I), (1 + I)**4, solve(t**2 - 2, t), tan(pi/3), acos(Rational(1, 2)),
        simplify((3 + 6*x + x**2 - 7*x**3 + sin(x)).diff(x).subs(x, -5)), Interval(0, 1).contains(Rational(1, 2)),
        mod_inverse(3, 11), Sum(x, (x, 1, 4)).doit(), Product(x, (x, 1, 4)).doit(), Min(2, 3), Max(x, 2).subs(x, 5),
        solve(x > 2, x), nroots(x**2 - 2), discriminant(x**2 + x + 1, x),
        Piecewise((x, x > 0), (0, True)).subs(x, 2), Point(0, 0).distance(Point(3, 4)), quo(x**2 - 1, x - 1, x),
    ]
    return [str(item) for item in found]

output = solve_all(**input)
print(len(output))
""",
    """
import sympy as sp

input = {"k": 3, "m": 4}

def solve(k, m):
    x, y = sp.symbols("x y", real=True)
    n = sp.Symbol("n", integer=True, positive=True)
    parts = [sp.sqrt(k) + sp.Rational(m, 7), sp.solve(sp.Eq(k*x + 1, m), x)[0], x**2 + sp.sin(y), sp.Integer(5),
             sp.simplify(sp.gamma(n + 1)/sp.gamma(n)), sp.Matrix([[k, m], [m, k]]), sp.pi*k, sp.oo, sp.true, sp.I]
    return parts

output = solve(**input)
print(output)
""",
]

WARM_UP = {
    "plain": [_ARITHMETIC, _MAIN_GUARD] * 3,
    "numpy": [_ARITHMETIC, _MAIN_GUARD, *[_NUMPY] * 3],
    "sympy": [_ARITHMETIC, _MAIN_GUARD, *_SYMPY * 2],
    "both": [_ARITHMETIC, _MAIN_GUARD, *[_NUMPY] * 2, *_SYMPY * 2],
}
