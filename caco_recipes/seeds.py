"""The `seeds` stage: seed sets in one schema (paper, section 3.1: MATH, DeepScaleR, Big-Math, KodCode; also GSM8K, science).

In: sources under `sources:`, each a local file (JSON Lines or Parquet), a Hub dataset, a known set by name, or a kind of
problem made by rule (`procedural`). Out, per seed: `problem`, `solution`, `answer`, `program`, `tests`, `domain` (math,
code, science, logic, planning), `source`, `licence`, `solve_rate`. A file of one's own needs only `problem` (and `answer`); `columns` maps other names.

Rejected: a row without a problem (`bad_row:problem`), a row that a cut leaves out (`bad_row:solve_rate`, or
`bad_row:no_solve_rate` where the set doesn't say), and a problem that an earlier row has (`duplicate:seed`).

    caco run recipes/quickstart --stages seeds
"""

import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from caco_recipes import identity
from caco_recipes.configs import StageConfig, option
from caco_recipes.procedural import KINDS, PROCEDURAL_VERSION, SOURCE, generate
from caco_recipes.recipe import RecipeError, nearest
from caco_recipes.seed_sets import COLUMNS, SEED_SETS, SeedSet, finish, set_of_hub_name
from caco_recipes.verdicts import ACCEPTED, REJECTED

VERSION = 1
FEATURES = {name: "float64" if name == "solve_rate" else "string" for name in COLUMNS}
ROW = FEATURES | {"lineage": "string", "reason": "string"}


@dataclass(kw_only=True)
class Source:
    """One source of seeds: `set`, `path`, `hub` or `procedural`."""

    set: str = option("A known set: math, gsm8k, deepscaler, big_math, kodcode or megascience.", "")
    path: str = option("A JSON Lines (.jsonl, .json) or Parquet (.parquet) file.", "")
    hub: str = option("A dataset on the Hub (owner/name); a known set's own repository by default.", "")
    procedural: str = option("A kind of problem that is made by rule (caco_recipes/procedural).", "")
    count: int = option("procedural: how many.", 100)
    seed: int = option("procedural: seed of the draws.", 42)
    revision: str | None = option("Hub: branch, tag or commit.")
    config: str | None = option("Hub: the dataset's configuration; by default all that a known set names.")
    split: str = option("Hub: the split; by default the known set's, or train.", "")
    columns: dict[str, str] = option("Our column -> the source's, where the names differ.", default_factory=dict)
    domain: str = option("math, code or science, for rows that don't say.", "")
    source: str = option("The source's name, for rows that don't say; by default the file's or dataset's.", "")
    licence: str = option("The licence, for rows that don't say.", "")
    max_solve_rate: float | None = option("Keep rows with a solve rate below this (the paper: 0.3 for Big-Math).")
    limit: int | None = option("Read the first N rows only.")

    def __post_init__(self) -> None:
        if self.set and self.set not in SEED_SETS:
            raise ValueError(f"no known set {self.set!r}; {nearest(self.set, SEED_SETS)}")
        if self.procedural:
            if self.procedural not in KINDS:
                raise ValueError(f"no procedural kind {self.procedural!r}; {nearest(self.procedural, KINDS)}")
            if self.set or self.path or self.hub or self.columns:
                raise ValueError("procedural: such a source has no set, path, hub or columns")
            if self.count < 1:
                raise ValueError("count must be at least 1")
        elif not (self.set or self.path or self.hub) or (self.path and self.hub):
            raise ValueError("a source is a known set, a path, a Hub name or a kind (set, path, hub, procedural)")
        for name in self.columns:
            if name not in COLUMNS:
                raise ValueError(f"columns: a seed has no column {name!r}; {nearest(name, COLUMNS)}")

    @property
    def known(self) -> SeedSet | None:
        return SEED_SETS[self.set] if self.set else set_of_hub_name(self.hub) if self.hub else None

    @property
    def hub_name(self) -> str:
        return "" if self.path or self.procedural else self.hub or self.known.hub

    @property
    def name(self) -> str:
        """What the source is called in the `source` column."""
        if self.procedural:
            return self.source or f"{SOURCE}: {self.procedural}"
        return self.source or self.hub_name or (self.known.hub if self.known else Path(self.path).name)


@dataclass(kw_only=True)
class Config(StageConfig):
    """Keys of a seeds step."""

    sources: list[Source] = option("Where the seeds come from, in order.", default_factory=list)
    drop_duplicates: bool = option("Reject a problem that an earlier row has (white space aside).", True)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.sources:
            raise ValueError("sources: name at least one source")


def facts(config: Config, context: Any) -> dict[str, Any]:
    """What the sources hold: a file's hash, a Hub dataset's commit."""
    return {"sources": [content_version(source) for source in config.sources]}


def rows(config: Config, context: Any) -> Iterator[dict[str, Any]]:
    """The seeds of all sources, in order. Raises `RecipeError` for a source that can't be read."""
    for source in config.sources:
        version = content_version(source)
        for number, raw in enumerate(islice(_read(source), source.limit), start=1):
            seed = _seed(raw, source)
            seed["lineage"] = identity.add_receipt(
                "", stage="seeds", version=VERSION, dataset=source.name, content=version, row=number
            )
            yield seed


@contextmanager
def open(config: Config, context: Any) -> Iterator[set[str]]:
    """The ids seen so far."""
    yield set()


def replay(batch: dict[str, list], config: Config, seen: set[str]) -> None:
    """A finished part's seeds are seen."""
    seen.update(batch["id"])


def run(batch: dict[str, list], config: Config, seen: set[str]) -> dict[str, list]:
    """Gives every seed its id and verdict."""
    ids, verdicts, reasons = [], [], []
    for problem, lineage, reason in zip(batch["problem"], batch["lineage"], batch["reason"], strict=True):
        # A row without a problem still needs a name: it goes by where it stood.
        row_id = identity.seed_id(problem) if problem.strip() else identity.short_id(lineage)
        if not reason and config.drop_duplicates and row_id in seen:
            reason = "duplicate:seed"
        if not reason:
            seen.add(row_id)
        ids.append(row_id)
        reasons.append(reason)
        verdicts.append(REJECTED if reason else ACCEPTED)
    empty = [""] * len(ids)
    return {
        "id": ids,
        "parent_ids": [[] for _ in ids],
        "family_id": empty,
        "verdict": verdicts,
        "reason": reasons,
    }


# -- reading -----------------------------------------------------------------------------------------------------------


def _read(source: Source) -> Iterator[dict[str, Any]]:
    """A source's rows with its own columns. The first row decides whether the columns are there."""
    if source.procedural:
        try:
            yield from generate(source.procedural, source.count, source.seed)
        except ValueError as error:
            raise RecipeError(f"seeds: {error}") from None
        return
    if source.path:
        path = Path(source.path)
        if not path.is_file():
            raise RecipeError(f"seeds: {path}: no such file")
        raw = _read_parquet(path) if path.suffix == ".parquet" else _read_json_lines(path)
        where = str(path)
    else:
        raw, where = _read_hub(source), source.hub_name
    first = next(raw, None)
    if first is None:
        raise RecipeError(f"seeds: {where} has no rows")
    # Rows of JSON Lines may lack a column here and there; what no early row has is a mistake in the recipe.
    early = [first, *islice(raw, 99)]
    _check_columns(source, {name for row in early for name in row}, where)
    yield from early
    yield from raw


def _read_json_lines(path: Path) -> Iterator[dict[str, Any]]:
    empty = True
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            empty = False
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                reason = getattr(error, "msg", "not UTF-8" if isinstance(error, UnicodeDecodeError) else "not JSON")
                raise RecipeError(
                    f"seeds: {path}, line {number}: not JSON ({reason}); the file must be JSON Lines, one object a line"
                ) from None
            if not isinstance(row, dict):
                raise RecipeError(f"seeds: {path}, line {number}: a row is a JSON object, not {type(row).__name__}")
            yield row
    if empty:
        raise RecipeError(f"seeds: {path} is empty")


def _read_parquet(path: Path) -> Iterator[dict[str, Any]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(path)
        for batch in file.iter_batches(batch_size=1000):
            yield from batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise RecipeError(f"seeds: {path} is not a Parquet file that can be read: {error}") from None


def _read_hub(source: Source) -> Iterator[dict[str, Any]]:
    from datasets import load_dataset

    known = source.known
    configs = (source.config,) if source.config else (known.configs if known and known.configs else (None,))
    for config in configs:
        try:
            yield from load_dataset(
                source.hub_name,
                config,
                split=source.split or (known.split if known else "train"),
                revision=source.revision,
                streaming=True,
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise RecipeError(
                f"seeds: the dataset {source.hub_name} can't be read from the Hub ({_first_line(error)}); "
                "check its name and your access, or give a local copy as path"
            ) from None


def content_version(source: Source) -> str:
    """What a source's content is called: the sha256 of a file, a Hub dataset's commit, what a kind is made of."""
    if source.procedural:
        return f"procedural {PROCEDURAL_VERSION}, {source.count} with seed {source.seed}"
    if source.path:
        try:
            with Path(source.path).open("rb") as file:
                return f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()[:32]}"
        except OSError as error:
            raise RecipeError(f"seeds: {source.path} can't be read: {error.strerror}") from None
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(source.hub_name, revision=source.revision).sha or ""
    except Exception as error:
        raise RecipeError(
            f"seeds: the dataset {source.hub_name} is not on the Hub, or the Hub can't be reached "
            f"({_first_line(error)}); check its name and your access, or give a local copy as path"
        ) from None


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]


# -- one row -----------------------------------------------------------------------------------------------------------


def _mapping(source: Source) -> dict[str, str]:
    """Our column -> the source's: the known set's names, ours for the rest, the recipe's over both."""
    known = dict(source.known.columns) if source.known else {name: name for name in COLUMNS}
    return known | source.columns


def _check_columns(source: Source, names: Iterable[str], where: str) -> None:
    mapping = _mapping(source)
    wanted = set(source.columns) | {"problem"}
    if source.max_solve_rate is not None:
        wanted.add("solve_rate")
    for ours in sorted(wanted):
        theirs = mapping.get(ours, ours)
        if theirs not in names:
            raise RecipeError(
                f"seeds: {where} has no column {theirs!r} for {ours!r}; {nearest(theirs, names)} "
                f"(map it with columns: {{{ours}: NAME}})"
            )


def _seed(raw: dict[str, Any], source: Source) -> dict[str, Any]:
    """A row in our schema, with the reason why it is rejected, if it is."""
    mapping, known = _mapping(source), source.known
    seed: dict[str, Any] = {name: _text(raw.get(mapping.get(name, ""))) for name in COLUMNS if name != "solve_rate"}
    problem = raw.get(mapping["problem"])
    seed["problem"] = problem if isinstance(problem, str) else ""
    if known:
        seed = finish(seed, known)
    default_domain = known.domain if known else ("code" if seed["tests"] else "math")
    seed["domain"] = seed["domain"] or source.domain or default_domain
    seed["licence"] = (
        seed["licence"] or _text(raw.get("license")) or source.licence or (known.licence if known else "")
    )
    seed["source"] = seed["source"] or source.name
    if known and known.subset and _text(raw.get(known.subset)):
        seed["source"] = f"{source.name} ({_text(raw[known.subset])})"
    seed["solve_rate"] = _number(raw.get(mapping.get("solve_rate", "")))
    seed["reason"] = ""
    if not seed["problem"].strip():
        seed["reason"] = "bad_row:problem"
    elif source.max_solve_rate is not None:
        if seed["solve_rate"] is None:
            seed["reason"] = "bad_row:no_solve_rate"
        elif seed["solve_rate"] >= source.max_solve_rate:
            seed["reason"] = "bad_row:solve_rate"
    return seed


def _text(value: Any) -> str:
    """A column's value as text: numbers as written, lists of texts by line, anything else as JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return "\n".join(value)
    if isinstance(value, bool | int | float):
        return str(value)
    return json.dumps(value, ensure_ascii=False, default=str)


def _number(value: Any) -> float | None:
    try:
        number = float(value)
    except (TypeError, ValueError):
        return None
    return number if math.isfinite(number) else None
