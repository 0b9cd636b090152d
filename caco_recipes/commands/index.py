"""`caco index`: hashes of a benchmark, to keep it out of training data; or of a training set, to test benchmarks for it.

caco index gsm8k --data benchmarks/gsm8k_test.jsonl        # a benchmark that caco evaluate knows (else from the Hub)
caco index --data AI-MO/aimo-validation-amc --split train  # any other, by Hub name
caco index --data mine.jsonl --name mine --problem text    # or a file
caco index --data LHL3341/Caco-1.3M --training_set         # a training set, for caco evaluate --contamination_index
"""

import argparse
from pathlib import Path

from caco_recipes.recipe import RecipeError


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    parser = argparse.ArgumentParser(prog="caco index", description=__doc__.partition("\n")[0])
    parser.add_argument("benchmark", nargs="?", help="a benchmark by the name that caco evaluate knows it by")
    parser.add_argument("--data", help="file (.jsonl, .parquet), folder, or Hub dataset")
    parser.add_argument(
        "--name", help="the index's name in reasons (contaminated:NAME); default: from the data's name"
    )
    parser.add_argument("--problem", default="", help="column of the problem (default: problem, question, …)")
    parser.add_argument(
        "--answer", default="", help="column of the answer (default: answer, target, …; may be missing)"
    )
    parser.add_argument("--id", default="", help="column of the item's id (default: id, else the row's position)")
    parser.add_argument("--config", help="configuration of a Hub dataset")
    parser.add_argument(
        "--split", default="test", help="split of a Hub dataset (default test; train of a training set)"
    )
    parser.add_argument("--revision", help="commit, branch or tag of a Hub dataset; the commit is noted")
    parser.add_argument("--licence", default="not stated", help="noted in the index")
    parser.add_argument("--training_set", action="store_true", help="the rows are training data, with copies")
    parser.add_argument("--embedder", help="also keep embeddings by this model (Hub name, folder or package:NAME)")
    parser.add_argument("--output", help="the index's file (default NAME.npz)")
    parser.add_argument("--shipped", action="store_true", help="list the indexes that come with the package")
    options = parser.parse_args(arguments)
    from caco_recipes.decontamination import build

    if options.shipped:
        for entry in build.shipped():
            print(
                f"{entry['name']:20} {entry['items']:6,} items  {entry['title']}  ({entry['source']}, {entry['licence']})\n"
                f"{'':20} made from a local copy, {entry['file']}, sha256 {entry['file_sha256']}"
            )
        print(
            "The copies are JSON Lines in this project's fields; which commit of its source one is of, is not known."
        )
        return 0
    embedder = None
    if options.embedder:
        from caco_recipes.embeddings import Embedder

        embedder = Embedder(options.embedder)
    if options.benchmark:
        data = Path(options.data) if options.data else None
        index = build.of_benchmark(options.benchmark, data, options.revision, embedder)
        if options.name:
            index.sets[0]["name"] = options.name
    elif options.data:
        split = "train" if options.training_set and "--split" not in (arguments or []) else options.split
        # The rows are those of one commit, which the index names; a branch may move on meanwhile.
        commit = build.hub_commit(options.data, options.revision) if build.on_hub(options.data) else options.revision
        rows = build.read_dataset(options.data, options.config, split, commit)
        facts = {"title": options.name or options.data, "licence": options.licence}
        facts |= {"source": Path(options.data).name if Path(options.data).exists() else options.data}
        if commit:
            facts["revision"] = commit
        index = build.of_rows(
            options.name or Path(options.data).stem,
            rows,
            problem=options.problem,
            answer=options.answer,
            item_id=options.id,
            copies=options.training_set,
            embedder=embedder,
            **facts,
        )
    else:
        raise RecipeError("name a benchmark or --data; caco index --help shows both")
    entry = index.sets[0]
    path = Path(options.output or f"{entry['name']}.npz")
    index.save(path if path.suffix == ".npz" else path.with_suffix(".npz"))
    inside = (index.testable() == 2).mean()
    print(
        f"{path}: {entry['items']:,} items, {len(index.runs):,} hashes; {inside:.1%} of the items can be found inside a "
        "longer text, the others only alone"
    )
    return 0
