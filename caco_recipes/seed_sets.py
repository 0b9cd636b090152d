"""The seed sets that are known by name: where they are, how their columns are called, what their rows need.

A set is a row of this table. A file of one's own needs no entry: its columns have our names, or the recipe maps them.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# The columns of a seed, as loaders give them.
COLUMNS = ("problem", "solution", "answer", "program", "tests", "domain", "source", "licence", "solve_rate")
CALCULATOR = re.compile(r"<<[^<>]*>>")  # GSM8K: <<48/2=24>>
GSM8K_ANSWER = re.compile(r"\s*####[ \t]*(.+?)\s*$")


@dataclass(frozen=True)
class SeedSet:
    """A known set.

    Attributes:
        hub: its name on the Hub.
        licence: of the set as a whole; empty where its rows differ.
        domain: `math`, `code` or `science`.
        columns: our column -> the set's.
        configs: the set's configurations, when it has more than one; read one after the other.
        split: the split that may be trained on.
        subset: the set's column that says where a row came from; it is added to the source.
    """

    hub: str
    licence: str
    domain: str
    columns: Mapping[str, str]
    configs: tuple[str, ...] = ()
    split: str = "train"
    subset: str = ""


SEED_SETS = {
    "math": SeedSet(
        hub="EleutherAI/hendrycks_math",
        licence="MIT",
        domain="math",
        columns={"problem": "problem", "solution": "solution"},
        configs=(
            "algebra",
            "counting_and_probability",
            "geometry",
            "intermediate_algebra",
            "number_theory",
            "prealgebra",
            "precalculus",
        ),
        subset="type",
    ),
    "gsm8k": SeedSet(
        hub="openai/gsm8k",
        licence="MIT",
        domain="math",
        columns={"problem": "question", "solution": "answer"},
        configs=("main",),
    ),
    "deepscaler": SeedSet(
        hub="agentica-org/DeepScaleR-Preview-Dataset",
        licence="MIT",
        domain="math",
        columns={"problem": "problem", "solution": "solution", "answer": "answer"},
    ),
    "big_math": SeedSet(
        hub="SynthLabsAI/Big-Math-RL-Verified",
        licence="Apache-2.0",
        domain="math",
        columns={"problem": "problem", "answer": "answer", "solve_rate": "llama8b_solve_rate"},
        subset="source",
    ),
    "kodcode": SeedSet(
        hub="KodCode/KodCode-V1",
        licence="CC-BY-NC-4.0",
        domain="code",
        columns={"problem": "question", "program": "solution", "tests": "test"},
        subset="subset",
    ),
    "megascience": SeedSet(
        hub="MegaScience/MegaScience",
        licence="CC-BY-NC-SA-4.0",
        domain="science",
        columns={"problem": "question", "solution": "answer", "answer": "reference_answer"},
        subset="subject",
    ),
}


def set_of_hub_name(name: str) -> SeedSet | None:
    """The known set of a Hub name, if there is one."""
    return next((known for known in SEED_SETS.values() if known.hub.lower() == name.lower()), None)


def finish(seed: dict[str, Any], known: SeedSet) -> dict[str, Any]:
    """What a set keeps inside other columns: MATH's answer is boxed in the solution, GSM8K's stands behind ####."""
    solution = seed["solution"]
    if known.hub == "openai/gsm8k":
        found = GSM8K_ANSWER.search(solution)
        if found:
            seed["answer"] = found[1].replace(",", "")
            solution = solution[: found.start()]
        seed["solution"] = CALCULATOR.sub("", solution)
    elif not seed["answer"] and "\\boxed" in solution:
        from caco_recipes.grading import extract

        found = extract(solution)
        seed["answer"] = (found.answer or "") if found.rule.startswith("boxed") else ""
    return seed
