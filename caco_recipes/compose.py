"""The `compose` stage: two executed programs become a longer one, the first's output being an input of the second.

In: executed rows (`code`, `input`, `output`). Out, instead of them: new rows with `code` of the joined program and
`composed_key` (the second program's input that is fed), to be executed, checked and back-translated like any other; ids
of both programs in `parent_ids`, family of the first. A text of either's problem or solution is not carried over.

Which second program: one with a numeric input of the first output's type and sign and about its size (within
`size_factor`), of the same domain where both have one, and of another family; among those that fit, by seed and ids. So
the pairs don't depend on shards or order. Rows whose output is no plain number, or that nothing fits, give no row.

Rejected: `bad_row:compose …` (programs that fit but can't be joined, with the reason). Undecided: `infrastructure:WHAT`.
The licence is that of both (`MIT AND CC-BY-4.0` where they differ). How programs are joined: composition.py.
Future work of the paper (section 6): compositional templates.

    caco run recipes/logic-and-science --stages compose
"""

import bisect
import hashlib
import json
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from caco_recipes import identity
from caco_recipes.composition import Joined, join
from caco_recipes.configs import StageConfig, option
from caco_recipes.verdicts import ACCEPTED, REJECTED, UNDECIDED

VERSION = 1
FEATURES = {"code": "string", "composed_key": "string", "source": "string", "licence": "string", "domain": "string"}
SOURCE = "composed"
# Columns that hold what was said about a single program: a joined one starts without them.
TYPES = {"parent_ids": list, "domains": list}


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a compose step."""

    per_program: int = option("Joined programs per first program, at the most.", 1)
    partners: int = option("Rows that second programs are taken from, drawn by seed and id.", 2000)
    size_factor: float = option("How far the fed number may be from the input that it replaces.", 4.0)
    largest: float = option("Outputs beyond this are not fed.", 1e9)
    same_domain: bool = option("Join programs of one domain only, where both have one.", True)
    tries: int = option("Second programs that are tried per row, where the first ones can't be joined.", 3)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.per_program < 1 or self.partners < 1 or self.tries < 1:
            raise ValueError("per_program, partners and tries are at least 1")
        if self.size_factor < 1 or self.largest <= 0:
            raise ValueError("size_factor is at least 1, largest above 0")


@dataclass(frozen=True)
class Partner:
    """A numeric input of a program that another program's output may replace."""

    row: dict[str, Any] = field(repr=False)
    key: str
    value: int | float

    @property
    def id(self) -> str:
        return self.row["id"]


@dataclass
class Resources:
    """The second programs' inputs, the sandbox, the run's seed.

    Attributes:
        by_kind: (type, sign) -> inputs in the order of their size, for the search of those that a number fits.
    """

    partners: list[Partner]
    pool: Any
    seed: int
    by_kind: dict[tuple[type, int], list[Partner]] = field(init=False)

    def __post_init__(self) -> None:
        self.by_kind = {}
        for partner in sorted(self.partners, key=lambda p: abs(p.value)):
            self.by_kind.setdefault(_kind(partner.value), []).append(partner)


@contextmanager
def open(config: Config, context: Any) -> Iterator[Resources]:
    """Reads the possible second programs: the `partners` rows that come first by seed and id."""
    columns = ["id", "family_id", "code", "input", "source", "licence", "domain"]
    drawn: list[tuple[bytes, dict[str, Any]]] = []
    seed = context.recipe.seed
    for folder in context.inputs:
        for row in folder.read():
            drawn.append((_order(seed, row["id"]), {name: row.get(name) or "" for name in columns}))
            if len(drawn) > 2 * config.partners:
                drawn = sorted(drawn, key=lambda item: item[0])[: config.partners]
    rows = [row for _, row in sorted(drawn, key=lambda item: item[0])[: config.partners]]
    partners = [Partner(row, key, value) for row in rows for key, value in numeric_inputs(row["input"])]
    with context.sandbox() as pool:
        yield Resources(partners, pool, seed)


def facts(config: Config, context: Any) -> dict[str, Any]:
    """The sandbox's version: its Python parses and joins."""
    from caco_recipes.sandbox import ENGINE_VERSION

    return {"sandbox": ENGINE_VERSION}


def run(batch: dict[str, list], config: Config, resources: Resources) -> dict[str, list]:
    """Joins the batch's programs with others: new rows, none of the old ones."""
    rows = [dict(zip(batch, values, strict=True)) for values in zip(*batch.values(), strict=True)]
    wanted = [(row, choose(row, config, resources)) for row in rows]
    asked = [(row, partner) for row, partners in wanted for partner in partners]
    joined = iter(join(resources.pool, [(row["code"], p.row["code"], p.key) for row, p in asked]))
    made = []
    for row, partners in wanted:
        tried = [(partner, next(joined)) for partner in partners]
        good = [(partner, result) for partner, result in tried if result.code][: config.per_program]
        for partner, result in good or tried[:1]:
            made.append(_row(row, partner, result))
    names = dict.fromkeys([*batch, "id", "parent_ids", "family_id", "lineage", "verdict", "reason", *FEATURES])
    return {name: [row[name] for row in made] for name in names}


def numeric_inputs(tagged: str) -> list[tuple[str, int | float]]:
    """(key, number) of an input's plain numbers; exotic values and nested ones are none."""
    value = json.loads(tagged) if tagged else None
    if not isinstance(value, dict):
        return []
    return [(key, item) for key, item in value.items() if type(item) in (int, float) and not key.startswith("$")]


def choose(row: dict[str, Any], config: Config, resources: Resources) -> list[Partner]:
    """The inputs of other programs that a row's output may be fed to, best first; empty when nothing fits."""
    number = json.loads(row["output"]) if row.get("output") else None
    if type(number) not in (int, float) or not math.isfinite(number) or abs(number) > config.largest:
        return []
    alike = resources.by_kind.get(_kind(number), [])
    low = bisect.bisect_left(alike, abs(number) / config.size_factor, key=lambda p: abs(p.value))
    high = bisect.bisect_right(alike, abs(number) * config.size_factor, key=lambda p: abs(p.value))
    fitting = [p for p in alike[low:high] if _may(row, p.row, config)]
    fitting.sort(key=lambda p: _order(resources.seed, f"{row['id']}\0{p.id}\0{p.key}"))
    return fitting[: max(config.tries, config.per_program)]


def _kind(number: int | float) -> tuple[type, int]:
    return type(number), (number > 0) - (number < 0)


def _may(row: dict[str, Any], other: dict[str, Any], config: Config) -> bool:
    family = row.get("family_id") or row["id"]
    if other["id"] == row["id"] or (other["family_id"] or other["id"]) == family:
        return False
    one, two = row.get("domain") or "", other["domain"]
    return not config.same_domain or not one or not two or one == two


def _order(seed: int, text: str) -> bytes:
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()


def _row(first: dict[str, Any], second: Partner, joined: Joined) -> dict[str, Any]:
    verdict, reason = ACCEPTED, ""
    if joined.infrastructure:
        verdict, reason = UNDECIDED, joined.fault
    elif not joined.code:
        verdict, reason = REJECTED, f"bad_row:compose {joined.fault}"
    licences = sorted({first.get("licence") or "", second.row["licence"]} - {""})
    one, two = first.get("domain") or "", second.row["domain"]
    empty = {
        name: TYPES[name]() if name in TYPES else "" if isinstance(value, str) else None
        for name, value in first.items()
    }
    return empty | {
        # A pair that could not be joined has no program to be named by.
        "id": identity.draft_id(joined.code)
        if joined.code
        else identity.short_id(f"{first['id']}\n{second.id}\n{second.key}"),
        "parent_ids": [first["id"], second.id],
        "family_id": first.get("family_id") or first["id"],
        "lineage": identity.add_receipt(
            first.get("lineage") or "",
            stage="compose",
            version=VERSION,
            first=first["id"],
            second=second.id,
            second_family=second.row["family_id"],
            key=second.key,
        ),
        "verdict": verdict,
        "reason": reason,
        "code": joined.code,
        "composed_key": second.key,
        "source": SOURCE,
        "licence": " AND ".join(licences),
        "domain": one if one == two else one or two if not (one and two) else "",
    }
