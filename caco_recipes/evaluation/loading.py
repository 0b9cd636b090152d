"""Getting a benchmark's problems: from a local file or folder, or from the Hub; checked before anything is generated.

What is wrong with a file is an error that names file, row and field: a missing field, an id that occurs twice, another
number of problems than the benchmark has. `Problems.fingerprint` tells whether two runs saw the same questions.
"""

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from caco_recipes import identity
from caco_recipes.evaluation.benchmarks import Benchmark
from caco_recipes.json_lines import BAD_LINE, read_rows
from caco_recipes.recipe import RecipeError

COMMIT = re.compile(r"[0-9a-f]{40}")
KOR_CATEGORIES = ("cipher", "counterfactual", "logic", "operation", "puzzle")


class BenchmarkError(RecipeError):
    """A benchmark's data can't be used as it is. The message says which file, what is wrong and what would be right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One item of a benchmark.

    Attributes:
        benchmark, id: together they name the item in every log.
        kind, paper_rule: how it is graded, as `Benchmark` says.
        problem: the question as the data set has it.
        answer: the gold as text; several golds of one item are joined by commas (OlympiadBench has them so already).
        gold: the gold as the file holds it (number, bool, list, text), for rules that go by type.
        choices: option texts of a question with options.
        answer_type: the data set's own type (OlympiadBench, TheoremQA).
        tolerance: absolute tolerance that the data set grants this item.
        unit: the unit that the answer is asked in.
        is_multiple: whether several answers are asked for.
        needs_picture: whether the question can't be answered from its text.
        subset: subject, task or category.
        tests, entry_point: the test program's source and the function it calls (code).
    """

    benchmark: str
    id: str
    problem: str
    answer: str
    kind: str = "answer"
    paper_rule: str = "qwen"
    gold: Any = None
    choices: tuple[str, ...] = ()
    answer_type: str = ""
    tolerance: float | None = None
    unit: str = ""
    is_multiple: bool = False
    needs_picture: bool = False
    subset: str = ""
    tests: str = ""
    entry_point: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problems:
    """A benchmark's items and where they came from. `revision` is a commit (Hub) or the file's sha256."""

    benchmark: Benchmark
    items: tuple[Problem, ...]
    source: str
    revision: str
    fingerprint: str
    total: int  # before `limit`

    def __len__(self) -> int:
        return len(self.items)

    @property
    def whole(self) -> bool:
        """Whether these are all problems of the benchmark, so that a number on them may be compared with published ones."""
        return len(self.items) == self.benchmark.problems


def load(
    benchmark: Benchmark,
    *,
    path: str | Path | None = None,
    expected: int | None = None,
    revision: str | None = None,
    limit: int | None = None,
) -> Problems:
    """The items of `benchmark`.

    Args:
        path: a local file (JSON Lines, JSON, Parquet) or folder (KorBench's layout); without it, the Hub.
        expected: how many items the file should have; by default as many as the benchmark has.
        revision: a Hub commit other than the benchmark's own.
        limit: keep the first N items (after all checks).

    Raises:
        BenchmarkError: no data, a missing field, an id that occurs twice, another number of problems.
    """
    if path is not None:
        path = Path(path)
        rows, source, found = _local_rows(benchmark, path), path.name, ""
        where = str(path)
        if path.is_file():
            found = "sha256:" + _sha256_file(path)
    else:
        rows, source, found = _hub_rows(benchmark, revision)
        where = source
    items = tuple(_problems(benchmark, rows, where, from_hub=path is None))
    wanted = benchmark.problems if expected is None else expected
    if len(items) != wanted:
        raise BenchmarkError(
            f"{where}: {benchmark.title} has {wanted} problems, this has {len(items)}. If it is meant to be another set, "
            f"say so with `expected: {{{benchmark.name}: {len(items)}}}` (--expected.{benchmark.name} {len(items)})"
        )
    _check_ids(items, where)
    fingerprint = identity.fingerprint([[item.id, item.problem, item.answer, item.choices] for item in items])
    kept = items if limit is None else items[:limit]
    return Problems(
        benchmark=benchmark, items=kept, source=source, revision=found, fingerprint=fingerprint, total=len(items)
    )


def _is_ours(benchmark: Benchmark, row: dict[str, Any]) -> bool:
    """Whether a file's row has our own fields; some Hub schemas say `problem` and `answer` too, but not `id`."""
    if "problem" not in row or "answer" not in row:
        return False
    columns = benchmark.hub.columns if benchmark.hub else ()
    return "id" in row or not columns or not set(columns) <= set(row)


def _problems(benchmark: Benchmark, rows: Iterator[dict[str, Any]], where: str, from_hub: bool) -> Iterator[Problem]:
    """Rows in our own fields or the Hub's -> problems. A file's first row tells which of the two they are."""
    ours: bool | None = None
    with_ids = False  # whether the first row has an id: then every row must
    for number, row in enumerate(rows, 1):
        if BAD_LINE in row:
            raise BenchmarkError(f"{where}, row {number}: not a JSON object")
        if ours is None:
            ours = not from_hub and _is_ours(benchmark, row)
        try:
            fields = row if ours else benchmark.from_hub(row)
            if fields is None:
                continue
            with_ids = with_ids or (number == 1 and fields.get(benchmark.id_columns[-1]) is not None)
            yield _problem(benchmark, fields, number, with_ids)
        except KeyError as error:
            known = ", ".join(map(str, row))
            raise BenchmarkError(
                f"{where}, row {number}: the field {error.args[0]!r} is missing (there are: {known})"
            ) from None
        except (TypeError, ValueError, AttributeError, IndexError) as error:
            raise BenchmarkError(f"{where}, row {number}: not a row of {benchmark.title}: {error}") from None


def _problem(benchmark: Benchmark, fields: dict[str, Any], number: int, with_ids: bool) -> Problem:
    problem, gold = fields["problem"], fields["answer"]
    if benchmark.unit_in_brackets and isinstance(gold, str):
        gold = re.sub(r"\s*\([^()]*\)\s*$", "", gold)
    if not isinstance(problem, str) or not problem.strip():
        raise ValueError("the problem is empty")
    if gold is None:
        raise ValueError("the answer is null")
    id_parts = [fields.get(column) for column in benchmark.id_columns]
    if not with_ids and all(part is None for part in id_parts):
        id_parts = [number - 1]  # a Hub schema without ids: the position
    elif any(part is None for part in id_parts):
        raise KeyError(benchmark.id_columns[id_parts.index(None)])
    choices = tuple(str(choice) for choice in fields.get("choices") or ())
    if benchmark.kind == "choice" and len(choices) < 2:
        raise KeyError("choices")
    if benchmark.kind == "code":
        for name in ("tests", "entry_point"):
            if not fields.get(name):
                raise KeyError(name)
    return Problem(
        benchmark=benchmark.name,
        id="/".join(str(part) for part in id_parts),
        problem=problem,
        answer=gold_text(gold),
        kind=benchmark.kind,
        paper_rule=benchmark.paper_rule,
        gold=gold,
        choices=choices,
        answer_type=str(fields.get("answer_type") or ""),
        tolerance=_tolerance(fields.get("error")),
        unit=str(fields.get("unit") or ""),
        is_multiple=bool(fields.get("is_multiple")),
        needs_picture=bool(fields.get("picture")),
        subset=str(fields.get("subset") or fields.get("type") or fields.get("subfield") or fields.get("topic") or ""),
        tests=str(fields.get("tests") or ""),
        entry_point=str(fields.get("entry_point") or ""),
    )


def gold_text(gold: Any) -> str:
    """A gold of any JSON type as the text that graders read."""
    if isinstance(gold, str):
        return gold
    if isinstance(gold, list | tuple) and all(isinstance(item, str) for item in gold):
        return ",".join(gold)
    if isinstance(gold, bool):
        return str(gold)
    if isinstance(gold, float) and gold.is_integer() and abs(gold) < 1e15:
        return str(int(gold))
    return json.dumps(gold)


def _tolerance(error: Any) -> float | None:
    """OlympiadBench writes its tolerance as text: `1e-1`. Several answers may share one, or have one each."""
    if error in (None, ""):
        return None
    return float(str(error).split(",")[0])


def _check_ids(items: tuple[Problem, ...], where: str) -> None:
    seen: set[str] = set()
    for item in items:
        if item.id in seen:
            raise BenchmarkError(f"{where}: the id {item.id!r} occurs twice; a result could not be told from another")
        seen.add(item.id)


def _sha256_file(path: Path) -> str:
    import hashlib

    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def _local_rows(benchmark: Benchmark, path: Path) -> Iterator[dict[str, Any]]:
    if path.is_dir():
        if benchmark.name != "korbench":
            raise BenchmarkError(f"{path} is a folder: name the file of {benchmark.title}'s problems")
        return _kor_rows(path)
    if not path.exists():
        raise BenchmarkError(f"{path}: no such file for {benchmark.title}")
    if path.suffix == ".parquet":
        import pyarrow.parquet

        return iter(pyarrow.parquet.read_table(path).to_pylist())
    if path.suffix == ".json":
        return iter(_json_list(path))
    return read_rows(path)


def _json_list(path: Path) -> list[dict[str, Any]]:
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise BenchmarkError(f"{path}: not JSON: {error}") from None
    rows = rows.get("examples", rows) if isinstance(rows, dict) else rows  # BBH's files wrap their list
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise BenchmarkError(f"{path}: expected a list of objects")
    return rows


def _kor_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """KorBench as its repository keeps it: `CATEGORY/rule.jsonl` and `CATEGORY/sample.jsonl`."""
    for category in KOR_CATEGORIES:
        rules = {str(row["idx"]): row["rule_content"] for row in read_rows(folder / category / "rule.jsonl")}
        for row in read_rows(folder / category / "sample.jsonl"):
            if str(row["rule_id"]) not in rules:
                raise BenchmarkError(f"{folder}/{category}: no rule {row['rule_id']!r} for sample {row.get('idx')!r}")
            yield row | {"category": category, "rule_content": rules[str(row["rule_id"])]}


def _hub_rows(benchmark: Benchmark, revision: str | None) -> tuple[Iterator[dict[str, Any]], str, str]:
    """Rows from the Hub, the name they go by, and the commit they are of."""
    hub = benchmark.hub
    if hub is None:
        raise BenchmarkError(no_hub_copy(benchmark))
    revision = revision or hub.revision
    commits: list[str] = []
    parts: list[Callable[[], Iterator[dict[str, Any]]]] = []
    for config in hub.configs:
        name = hub.name.format(config=config)
        config_name = None if "{config}" in hub.name else config
        commit = _commit(benchmark, name, revision)
        commits.append(commit)
        for split in hub.splits:
            dataset = _hub_split(benchmark, name, config_name, split, commit)
            missing = [column for column in hub.columns if column not in dataset.column_names]
            if missing:
                raise BenchmarkError(
                    f"{name} at {commit}: the columns {', '.join(missing)} are missing (there are: "
                    f"{', '.join(dataset.column_names)}); name a revision that has them"
                )
            parts.append(lambda dataset=dataset, config=config: _with_subset(dataset, config))
    rows = (row for part in parts for row in part())
    return rows, hub.name, ",".join(dict.fromkeys(commits))


def _hub_split(benchmark: Benchmark, name: str, config: str | None, split: str, commit: str):
    from datasets import load_dataset

    try:
        return load_dataset(name, config, split=split, revision=commit)
    except Exception as error:  # the libraries below raise many kinds, all of which mean: no data
        raise BenchmarkError(_no_hub(benchmark, name, error)) from None


def _commit(benchmark: Benchmark, name: str, revision: str | None) -> str:
    """The commit that a branch or tag stands for now (by default the newest); a commit's hash is one already."""
    if revision and COMMIT.fullmatch(revision):
        return revision
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(name, revision=revision).sha or revision or "main"
    except Exception as error:  # see above
        raise BenchmarkError(_no_hub(benchmark, name, error)) from None


def no_hub_copy(benchmark: Benchmark) -> str:
    """What to do where the Hub has no copy that is known to be the same set."""
    return (
        f"{benchmark.title}: no Hub copy of exactly this set is known; give its file with --data.{benchmark.name} "
        f"FILE, or a folder with {benchmark.local_file} as --data_dir"
    )


def _no_hub(benchmark: Benchmark, name: str, error: Exception) -> str:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return (
        f"{benchmark.title}: {name} can't be had from the Hub ({reason}). Give its file with "
        f"--data.{benchmark.name} FILE, or a folder with {benchmark.local_file} as --data_dir"
    )


def _with_subset(dataset: Any, config: str | None) -> Iterator[dict[str, Any]]:
    for row in dataset:
        yield {"subset": config or "", **row}
