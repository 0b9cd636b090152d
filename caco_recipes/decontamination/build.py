"""Building indexes: of a benchmark by name, of any file or Hub dataset, of a training set; and the shipped ones.

    python -m caco_recipes.decontamination.build FOLDER     # the indexes that the package ships, from benchmark files

The shipped indexes hold hashes only, never text; `indexes/manifest.json` states of what each was made: `file` is the local
copy, one JSON object a line in our own fields, `file_sha256` its hash. That copy was not fetched from the Hub by us, so no
commit of `source` is stated.
"""

import hashlib
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from caco_recipes import identity
from caco_recipes.decontamination.index import INDEX_VERSION, SHIPPED, Index
from caco_recipes.recipe import RecipeError

PROBLEM_COLUMNS = ("problem", "question", "instruction", "prompt", "input", "query")
ANSWER_COLUMNS = ("answer", "final_answer", "target", "expected_answer", "gold")
LARGE = 200_000  # items: from here on fewer runs of each are kept, which bounds the memory
RUNS_OF_LARGE = 16

# Benchmarks that ship as an index but that `caco evaluate` doesn't run: file, title, licence.
OTHERS = {
    "odyssey_math": ("odyssey_math.jsonl", "MathOdyssey", "CC BY-SA 4.0"),
    "gaokaobench": ("gaokaobench.jsonl", "GAOKAO-Bench, mathematics, English", "Apache-2.0 (repository)"),
}


def of_benchmark(name: str, path: Path | None = None, revision: str | None = None, embedder: Any = None) -> Index:
    """A benchmark that `caco evaluate` knows, from a local file or the Hub. Raises `RecipeError`."""
    from caco_recipes.evaluation.benchmarks import benchmark_named
    from caco_recipes.evaluation.loading import load

    known = benchmark_named(name)
    problems = load(known, path=path, revision=revision)
    hub = known.hub.name if known.hub else ""
    return Index.build(
        known.name,
        [item.problem for item in problems.items],
        [item.answer for item in problems.items],
        [item.id for item in problems.items],
        embedder=embedder,
        title=known.title,
        source=hub or problems.source,
        revision=problems.revision,
        licence=known.licence or "not stated",
    )


def of_rows(
    name: str,
    rows: Iterable[dict[str, Any]],
    *,
    problem: str = "",
    answer: str = "",
    item_id: str = "",
    copies: bool = False,
    embedder: Any = None,
    **facts: Any,
) -> Index:
    """Any rows. Column names are guessed where they aren't given; rows without a problem are left out and counted.

    Args:
        copies: the rows are a training set, which may hold a problem many times.
    """
    texts, answers, ids = [], [], []
    empty = 0
    for number, row in enumerate(rows):
        if not number:
            problem = _column(row, problem, PROBLEM_COLUMNS, needed=True)
            answer = _column(row, answer, ANSWER_COLUMNS, needed=False)
            item_id = _column(row, item_id, ("id", "unique_id"), needed=False)
        text = row.get(problem)
        if not isinstance(text, str) or not text.strip():
            empty += 1
            continue
        texts.append(text)
        answers.append(row.get(answer) if answer else None)
        ids.append(str(row[item_id]) if item_id and row.get(item_id) is not None else str(number))
    if not texts:
        raise RecipeError(f"{name}: no row has a text in the column {problem!r}; name another with --problem")
    if empty:
        facts["rows_without_text"] = empty
    facts.setdefault("revision", "content:" + identity.fingerprint(texts)[:16])
    most = {"runs_per_item": RUNS_OF_LARGE} if len(texts) > LARGE else {}
    return Index.build(name, texts, answers, ids, copies=copies, embedder=embedder, **most, **facts)


def _column(row: dict[str, Any], given: str, usual: tuple[str, ...], needed: bool) -> str:
    if given:
        if given not in row:
            raise RecipeError(f"no column {given!r}; the rows have: {', '.join(map(str, row))}")
        return given
    found = next((name for name in usual if name in row), "")
    if needed and not found:
        raise RecipeError(
            f"which column is the text? name it with --problem; the rows have: {', '.join(map(str, row))}"
        )
    return found


def hub_commit(name: str, revision: str | None = None) -> str:
    """The commit of a Hub dataset that a branch, a tag or nothing stands for now. Raises `RecipeError`."""
    from huggingface_hub import HfApi

    try:
        return HfApi().dataset_info(name, revision=revision).sha or ""
    except Exception as error:  # the Hub's and the network's faults are of many kinds
        why = f"{type(error).__name__}: {error}".splitlines()[0][:200]
        raise RecipeError(f"{name} is not on the Hub, or the Hub can't be reached ({why})") from None


def on_hub(where: str) -> bool:
    """Whether a dataset is named by its Hub name: nothing on this machine is called so."""
    return where.count("/") == 1 and not Path(where).exists()


def read_dataset(where: str, config: str | None, split: str, revision: str | None) -> Iterator[dict[str, Any]]:
    """Rows of a local dataset (folder, Parquet, JSON Lines) or of one on the Hub."""
    from caco_recipes.dataset_rows import read_dataset as read_local

    if not on_hub(where):
        # Of a file or a folder of a benchmark, all rows; of one with splits, those asked for.
        yield from read_local(where, split if Path(where).is_dir() else None)
        return
    from datasets import load_dataset

    try:
        yield from load_dataset(where, config, split=split, revision=revision, streaming=True)
    except (OSError, ValueError) as error:
        raise RecipeError(f"{where}: the Hub did not give it: {error}") from None


def shipped() -> list[dict[str, Any]]:
    """What each shipped index is: what `Index.sets` says, and `file` and `file_sha256`, of which it was made."""
    return json.loads((SHIPPED / "manifest.json").read_text(encoding="utf-8"))["indexes"]


def ship(folder: Path) -> None:
    """Writes the shipped indexes from a folder of benchmark files, and their manifest."""
    from caco_recipes.evaluation.benchmarks import BENCHMARKS
    from caco_recipes.json_lines import read_rows

    files = {known.local_file: known.name for known in BENCHMARKS.values() if known.kind == "answer"}
    made: list[Index] = []
    for file in sorted(folder.glob("*.jsonl")):
        if file.name in files:
            made.append(of_benchmark(files[file.name], path=file))
    for name, (file_name, title, licence) in OTHERS.items():
        if (folder / file_name).exists():
            source = {"title": title, "source": file_name, "licence": licence}
            made.append(of_rows(name, read_rows(folder / file_name), **source))
    files_of = {name: file for file, name in files.items()} | {name: entry[0] for name, entry in OTHERS.items()}
    entries = []
    for index in sorted(made, key=lambda index: index.sets[0]["name"]):
        entry = index.sets[0]
        index.save(SHIPPED / f"{entry['name']}.npz")
        inside = float((index.testable() == 2).mean())
        file = folder / files_of[entry["name"]]
        made_from = {"file": file.name, "file_sha256": hashlib.sha256(file.read_bytes()).hexdigest()}
        entries.append(entry | made_from | {"runs": len(index.runs), "found_inside_a_text": round(inside, 4)})
        print(f"{entry['name']:20} {entry['items']:6,} items")
    manifest = {"version": INDEX_VERSION, "content": "hashes only, no text", "indexes": entries}
    (SHIPPED / "manifest.json").write_text(json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    ship(Path(sys.argv[1]))
