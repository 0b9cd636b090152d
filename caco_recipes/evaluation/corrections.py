"""Golds of MATH that are wrong in every copy of the test split, for the strict protocol.

The gold is commonly taken from a solution's last `\\boxed`. Nine solutions box their answers one by one (or end on a
restated problem), so that the last box is a part of the answer or the wrong sign; three problems accept any one of
several answers. Found by reading all solutions with several different boxes (23 of 5,000); the key is the hash of the
problem's text (`identity.seed_id`), so that it holds for any copy. The paper protocol does not use them.
"""

from caco_recipes.evaluation.loading import Problem
from caco_recipes.identity import seed_id

# problem -> the golds any of which is right
CORRECTED: dict[str, tuple[str, ...]] = {
    "e42e4259255b85bb": ("-3",),  # common difference: 15/2 (2*7 + 14d) = -210
    "847b92c6a1d55221": ("-2,1",),
    "0240db7ffa8c3cd8": ("5-10i,11,-3+6i",),
    "c9b61debeac1e634": (r"-\frac{3}{2},-\frac{3}{4}",),
    "681d4a2604471ef5": ("-10879,10879",),
    "7e91dcaf7b7d0512": (r"3,\frac{2}{5}",),
    "e6b9ba681655042e": ("-1,2",),
    "e55543f8451c83a7": (r"30^\circ,45^\circ,105^\circ",),
    "6a16dc51efa7d2d7": (r"\frac{\pi}{4},\frac{5\pi}{4}",),
    "a7cf9617c20c7514": ("(10,0)", "(0,0)"),
    "29421c88ce2a48cf": (r"\left(\frac{3}{2},-\frac{5}{2}\right)", r"\left(-\frac{5}{2},-\frac{5}{2}\right)"),
    "9fe4fe4f46e6a776": ("(3,-5)", "(0,0)"),
}


def strict_golds(problem: Problem) -> tuple[str, ...]:
    """The golds that the strict protocol accepts for an item: usually the one it has."""
    return CORRECTED.get(seed_id(problem.problem), (problem.answer,))
