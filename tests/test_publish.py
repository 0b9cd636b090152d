"""Publishing a run: the dataset's rows, its bytes, its card, and how it loads."""

import json
import shutil
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from made_runs import HOSTILE, make_run

from caco_recipes import publish, publish_card
from caco_recipes.families.split import split_of
from caco_recipes.funnel import read_run
from caco_recipes.publish import Config, assemble
from caco_recipes.publish_rows import CONFIGS, default_row, facts_of
from caco_recipes.run_folder import RunError, StepFolder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run"), 300)


@pytest.fixture
def dataset(run, tmp_path):
    assemble(read_run(run), ["verify"], tmp_path / "dataset", Config(), name="made")
    return tmp_path / "dataset"


def rows_of(folder, config="default"):
    return [
        row
        for path in sorted((folder / ("data" if config == "default" else config)).glob("*.parquet"))
        for row in pq.read_table(path).to_pylist()
    ]


def test_the_default_config_holds_the_accepted_rows_in_the_released_layout(run, dataset):
    accepted = list(StepFolder(run / "verify").read())
    rows = rows_of(dataset)
    assert list(rows[0])[:4] == ["instruction", "output", "answer", "code"]
    assert [row["id"] for row in rows] == [row["id"] for row in accepted]
    for row, source in zip(rows, accepted, strict=True):
        assert row["instruction"] == source["problem"].strip()
        assert row["answer"] == source["output_text"] and row["code"] == source["code"].strip()
        assert row["program_output"] == source["output"] and row["parent_ids"] == source["parent_ids"]


def test_every_dropped_row_of_every_step_is_there_with_its_step_and_reason(run, dataset):
    for config, verdict in (("rejected", "rejected"), ("undecided", "undecided")):
        expected = [
            (step, row["id"], row["reason"])
            for step in ("seeds", "unify", "execute_seeds", "solve", "verify")
            for row in StepFolder(run / step).read("rejected")
            if row["verdict"] == verdict
        ]
        assert expected, "the run must have such rows for this test to mean anything"
        assert [(row["step"], row["id"], row["reason"]) for row in rows_of(dataset, config)] == expected


def test_receipts_become_columns(dataset):
    row = rows_of(dataset)[0]
    assert row["codegen_model"] == "small-model@abc123" and row["solution_model"] == "recorded:human solutions"
    assert row["judge_model"] == "judge-model@def456" and row["sandbox"] == "sandbox-1" and row["grader"] == "grader-1"
    assert row["prompts"] == ["unify:" + "ab" * 32, "solve:" + "ef" * 32]
    assert [receipt["stage"] for receipt in json.loads(row["lineage"])] == [
        "seeds",
        "unify",
        "execute",
        "solve",
        "verify",
    ]


def test_prompts_may_be_named_in_a_receipt():
    lineage = json.dumps([{"stage": "verify", "version": 1, "prompt_sha256": {"judge": "aa", "check": "bb"}}])
    assert facts_of(lineage)["prompts"] == ["check:bb", "judge:aa"]


def test_the_same_run_gives_the_same_bytes_whatever_the_shards(run, tmp_path):
    other = make_run(tmp_path / "other", 300, shard_rows=7)
    assemble(read_run(run), ["verify"], tmp_path / "a", Config(), name="made")
    assemble(read_run(other), ["verify"], tmp_path / "b", Config(), name="made")
    assert publish.dataset_sha256(tmp_path / "a") == publish.dataset_sha256(tmp_path / "b")
    assemble(read_run(run), ["verify"], tmp_path / "c", Config(), name="another name")
    assert publish.dataset_sha256(tmp_path / "a") != publish.dataset_sha256(tmp_path / "c")


def families_of(dataset, split):
    files = sorted((dataset / "data").glob(f"{split}-*.parquet"))
    return [row["family_id"] or row["id"] for path in files for row in pq.read_table(path).to_pylist()]


def in_families_of_three(run, folder):
    """A copy of a run whose rows are in a few families of three or more."""
    copy = shutil.copytree(run, folder)
    for path in StepFolder(copy / "verify").accepted_files():
        table = pq.read_table(path)
        names = [f"family {at // 3}" for at in range(len(table))]
        table = table.set_column(table.column_names.index("family_id"), "family_id", pa.array(names))
        pq.write_table(table, path)
    return copy


def test_a_family_is_in_train_or_in_test_as_a_whole(run, tmp_path):
    copy = in_families_of_three(run, tmp_path / "run")
    whole = assemble(read_run(copy), ["verify"], tmp_path / "whole", Config(), name="made")
    made = assemble(read_run(copy), ["verify"], tmp_path / "d", Config(test_share=0.3, rows_per_file=8), name="made")
    train, test = families_of(tmp_path / "d", "train"), families_of(tmp_path / "d", "test")
    assert train and len(test) > 10 and not set(train) & set(test) and len(set(test)) < len(test)
    assert len(train) + len(test) == whole.accepted == made.accepted
    assert sorted(train + test) == sorted(families_of(tmp_path / "whole", "train"))
    splits = made.splits["default"]
    assert {name: split.rows for name, split in splits.items()} == {"train": len(train), "test": len(test)}
    assert len(splits["test"].files) == -(-len(test) // 8)
    listed = {row["family_id"]: row["split"] for row in rows_of(tmp_path / "d", "families")}
    assert listed == dict.fromkeys(train, "train") | dict.fromkeys(test, "test")
    assert {row["split"] for row in rows_of(tmp_path / "whole", "families")} == {"train"}
    # Another share moves families to one side only: those of the smaller test split stay in the larger one.
    assemble(read_run(copy), ["verify"], tmp_path / "more", Config(test_share=0.5), name="made")
    assert set(test) < set(families_of(tmp_path / "more", "test"))
    card = (tmp_path / "d" / "README.md").read_text()
    assert f"`test` ({len(test):,} rows)" in card and 'split="test")' in card
    metadata = publish_card.metadata_of(card)
    (default,) = [item for item in metadata["configs"] if item["config_name"] == "default"]
    assert [item["split"] for item in default["data_files"]] == ["train", "test"]
    card = (tmp_path / "whole" / "README.md").read_text()
    assert 'split="test"' not in card and "has 2 splits" not in card


def test_a_row_joined_of_programs_of_either_side_is_in_neither(run, tmp_path):
    copy = in_families_of_three(run, tmp_path / "run")
    sides = {name: split_of(name, 0.3) for name in (f"family {n}" for n in range(12))}
    in_test = next(name for name, side in sides.items() if side == "test")
    for path in StepFolder(copy / "verify").accepted_files():
        table = pq.read_table(path)
        receipt = json.dumps([{"stage": "compose", "second_family": in_test}])
        table = table.set_column(table.column_names.index("lineage"), "lineage", pa.array([receipt] * len(table)))
        pq.write_table(table, path)
    made = assemble(read_run(copy), ["verify"], tmp_path / "d", Config(test_share=0.3), name="made")
    assert made.reasons["bad_row:families of both splits"] == made.read - made.accepted > 0
    assert not families_of(tmp_path / "d", "train") and families_of(tmp_path / "d", "test")
    # Without a test split nothing is left out for it.
    assert not assemble(read_run(copy), ["verify"], tmp_path / "e", Config(), name="made").reasons


def test_a_training_reads_the_train_split_alone_and_an_audit_all(run, tmp_path):
    from caco_recipes.dataset_rows import read_dataset
    from caco_recipes.training.data import local_files

    copy = in_families_of_three(run, tmp_path / "run")
    made = assemble(read_run(copy), ["verify"], tmp_path / "d", Config(test_share=0.3), name="made")
    assert {path.name.partition("-")[0] for path in local_files([str(tmp_path / "d")])} == {"train"}
    assert len(list(read_dataset(str(tmp_path / "d")))) == made.accepted
    counts = {split: len(list(read_dataset(str(tmp_path / "d"), split))) for split in ("train", "test")}
    assert counts == {name: split.rows for name, split in made.splits["default"].items()}


@pytest.mark.parametrize("share", [-0.1, 1, 1.5])
def test_a_test_share_is_a_share(share):
    with pytest.raises(ValueError, match="test_share is a share of all families"):
        Config(test_share=share)


def test_a_partial_push_keeps_to_what_the_recipe_publishes(run, tmp_path):
    """The publish step has not begun: its licences, its split and its inputs stand in the run's events."""
    copy = in_families_of_three(run, tmp_path / "run")
    keys = {"title": "Mine", "licences": ["MIT"], "test_share": 0.3, "hub": "me/rows", "input": ["verify"]}
    start = {"event": "run_start", "plan": ["seeds", "verify", "later"], "publish": {"mine": keys}}
    with (copy / "events.jsonl").open("a") as file:
        file.write(json.dumps(start) + "\n")
    folder = publish.partial(copy, step="mine")
    assert folder == copy / "mine" / "partial"
    assert {row["licence"] for row in rows_of(folder)} == {"MIT"}
    train, test = families_of(folder, "train"), families_of(folder, "test")
    assert train and test and not set(train) & set(test)
    card = (folder / "README.md").read_text()
    assert "# Mine" in card and "**Unfinished.**" in card
    start["publish"]["mine"]["input"] = ["later"]  # a step after verify, that has no rows yet
    with (copy / "events.jsonl").open("a") as file:
        file.write(json.dumps(start) + "\n")
    assert not rows_of(publish.partial(copy, step="mine"))
    with pytest.raises(RunError, match="no verified row yet"):
        publish.partial(copy)


def test_rows_are_split_over_files(run, tmp_path):
    published = assemble(read_run(run), ["verify"], tmp_path / "d", Config(rows_per_file=50), name="made")
    sizes = [pq.read_metadata(path).num_rows for path in sorted((tmp_path / "d/data").glob("*.parquet"))]
    assert sizes[:-1] == [50] * (len(sizes) - 1) and sum(sizes) == published.accepted and len(sizes) > 2


def rewrite(folder, change):
    """Rewrites the accepted rows of a step's first part, record and all."""
    step = StepFolder(folder)
    table = pq.read_table(step.part(0))
    rows = change(table.to_pylist())
    fingerprint = step.manifest()["fingerprint"]
    dropped = pq.read_table(step.part(0, "rejected"))
    table = pa.concat_tables([pa.Table.from_pylist(rows, schema=dropped.schema), dropped])
    step.write_part(0, fingerprint, table, (), {})


def test_duplicates_and_incomplete_rows_are_counted_not_published(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    rewrite(copy / "verify", lambda rows: [*rows, rows[0], rows[1], rows[2] | {"id": "0" * 16, "solution": "  "}])
    published = assemble(read_run(copy), ["verify"], tmp_path / "d", Config(), name="made")
    assert published.reasons == {"duplicate:row": 2, "bad_row:no output": 1}
    assert published.read == published.accepted + 3 == len(list(StepFolder(copy / "verify").read()))
    ids = [row["id"] for row in rows_of(tmp_path / "d")]
    assert len(set(ids)) == len(ids)
    dropped = [row for row in rows_of(tmp_path / "d", "rejected") if row["step"] == "publish"]
    assert sorted(row["reason"] for row in dropped) == ["bad_row:no output", "duplicate:row", "duplicate:row"]
    totals = published.totals()
    assert totals["rows"] == totals["accepted"] + totals["rejected"] and totals["reasons"]["duplicate:row"] == 2


def test_a_licence_that_was_not_asked_for_is_in_no_config(run, tmp_path):
    assemble(read_run(run), ["verify"], tmp_path / "d", Config(licences=["MIT"]), name="made")
    assert {row["licence"] for row in rows_of(tmp_path / "d")} == {"MIT"}
    assert {row["licence"] for row in rows_of(tmp_path / "d", "seeds")} == {"MIT"}
    withheld = [row for row in rows_of(tmp_path / "d", "rejected") if row["licence"] != "MIT"]
    assert withheld and not any(row["problem"] or row["code"] or row["solution"] or row["lineage"] for row in withheld)
    assert any(row["reason"] == "bad_row:licence" for row in withheld)


def test_families_cover_the_published_rows(dataset):
    families = rows_of(dataset, "families")
    assert sorted(i for family in families for i in family["row_ids"]) == sorted(row["id"] for row in rows_of(dataset))
    assert all(family["rows"] == len(family["row_ids"]) for family in families)


def test_a_familys_inputs_and_true_outputs_are_published_once(run, tmp_path):
    import json

    copy = shutil.copytree(run, tmp_path / "run")
    recorded = json.dumps([{"input": '{"n": 3}', "output": "9", "output_text": "9", "fits": True}])
    for path in StepFolder(copy / "verify").accepted_files():
        table = pq.read_table(path)
        count = len(table)
        texts = [recorded if i % 2 else None for i in range(count)]
        table = table.set_column(table.column_names.index("family_id"), "family_id", pa.array(["f1"] * count))
        table = table.append_column("variants", pa.array(texts)).append_column("variant", pa.array(range(count)))
        pq.write_table(table, path)
    assemble(read_run(copy), ["verify"], tmp_path / "d", Config(), name="made")
    (family,) = rows_of(tmp_path / "d", "families")
    rows = rows_of(tmp_path / "d")
    assert family["variants"] == recorded and family["rows"] == len(rows) > 50
    assert {row["variant"] for row in rows} >= {0, 1, 2}


def test_the_card_states_what_the_contamination_check_could_find(run, tmp_path):
    from caco_recipes.decontamination_card import coverage

    copy = shutil.copytree(run, tmp_path / "run")
    step = StepFolder(copy / "unify")
    manifest = step.manifest() | {"stage": "decontaminate", "config": {"indexes": ["gsm8k", "aime24"]}}
    step.write_manifest(manifest)
    found = {one.name: one for one in coverage(read_run(copy))}
    assert set(found) == {"gsm8k", "aime24"} and found["gsm8k"].items > 1000
    assert all(0.5 < one.findable <= 1 for one in found.values())
    assemble(read_run(copy), ["verify"], tmp_path / "d", Config(), name="made")
    card = (tmp_path / "d" / "README.md").read_text()
    row = next(line for line in card.splitlines() if "AIME 2024" in line)
    assert "| 30 |" in row and row.endswith("% |") and "What the check could have found" in card
    assert coverage([]) == []
    step.write_manifest(manifest | {"config": {"indexes": ["/gone.npz"]}})
    assert coverage(read_run(copy)) == []


def test_a_step_without_solutions_is_a_clear_error(run, tmp_path):
    with pytest.raises(RunError, match="publish reads unify, whose rows have no output_text"):
        assemble(read_run(run), ["unify"], tmp_path / "d", Config(), name="made")
    assert not (tmp_path / "d").exists()


def test_an_interrupted_write_leaves_the_old_dataset(run, dataset, monkeypatch):
    before = publish.dataset_sha256(dataset)
    monkeypatch.setattr(publish, "family_rows", lambda members: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        assemble(read_run(run), ["verify"], dataset, Config(), name="made")
    assert publish.dataset_sha256(dataset) == before


def test_an_unfinished_run_is_published_as_such(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    step = StepFolder(copy / "verify")
    manifest = step.manifest()
    manifest.pop("totals")
    step.write_manifest(manifest | {"complete": False})
    step.part(1).unlink()
    folder = publish.partial(copy)
    assert len(rows_of(folder)) == pq.read_metadata(step.part(0)).num_rows + sum(
        pq.read_metadata(step.part(i)).num_rows for i in range(2, len(step.rejected_files()))
    )
    card = (folder / "README.md").read_text()
    assert "**Unfinished.**" in card and "4 of 5 steps are complete" in card and "verify (so far)" in card


def test_nothing_verified_yet_is_a_clear_error(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    shutil.rmtree(copy / "verify")
    with pytest.raises(RunError, match="no verified row yet"):
        publish.partial(copy)


def test_card_metadata(dataset):
    metadata = publish_card.metadata_of((dataset / "README.md").read_text())
    assert metadata["license"] == ["apache-2.0", "cc-by-4.0", "mit"] and metadata["size_categories"] == ["n<1K"]
    assert [item["config_name"] for item in metadata["configs"]] == list(CONFIGS)
    assert [item["config_name"] for item in metadata["configs"] if item.get("default")] == ["default"]
    for item in metadata["configs"]:
        assert all((dataset / path).is_file() for path in item["data_files"][0]["path"])


def test_the_card_tells_the_funnel_and_names_recorded_steps(run, dataset):
    card = (dataset / "README.md").read_text()
    body = card.split("\n---\n", 1)[1]
    for step in read_run(run):
        assert f"| {step.rows:,} | {step.accepted:,} |" in body
    assert "solve \\[recorded\\]" in body and "no model generated anything in these steps" in body
    assert "No check for contamination with benchmarks ran" in body
    assert "seconds" not in body.split("## Funnel")[1].split("##")[0]
    assert "{{" not in card and "{%" not in card


def test_text_of_rows_writes_no_markup_into_the_card(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "run")
    evil = "</td><script>alert(1)</script>\n| x | [a](http://b) **c** {{ 7*7 }}"
    rewrite(copy / "verify", lambda rows: [row | {"source": evil, "licence": evil} for row in rows])
    assemble(read_run(copy), ["verify"], tmp_path / "d", Config(), name="made")
    card = (tmp_path / "d" / "README.md").read_text()
    assert "<script" not in card and "[a](http://b)" not in card and "{{ 7\\*7 }}" in card
    assert "other" in publish_card.metadata_of(card)["license"]


def test_odd_texts_survive(run, dataset):
    rows = {row["id"]: row for row in rows_of(dataset)}
    hostile = [row for row in StepFolder(run / "verify").read() if HOSTILE in row["problem"] + row["solution"]]
    assert hostile
    for row in hostile:
        assert (
            rows[row["id"]]["instruction"] == row["problem"].strip()
            and rows[row["id"]]["output"] == row["solution"].strip()
        )


def test_load_dataset_gives_the_same_rows_in_every_config(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    for path in StepFolder(tmp_path / "run" / "execute_seeds").rejected_files():
        table = pq.read_table(path)  # no undecided row at all: `datasets` can't load a split without rows
        pq.write_table(table.filter(pa.compute.equal(table["verdict"], "rejected")), path)
    assemble(read_run(tmp_path / "run"), ["verify"], tmp_path / "d", Config(rows_per_file=60), name="made")
    script = (
        "import json, sys; from datasets import get_dataset_config_names, load_dataset\n"
        "names = get_dataset_config_names(sys.argv[1])\n"
        "sets = {n: load_dataset(sys.argv[1], n, split='train') for n in names}\n"
        "json.dump({n: [s.column_names, s.to_list()] for n, s in sets.items()}, open(sys.argv[2], 'w'))\n"
        "assert load_dataset(sys.argv[1], split='train').column_names == sets['default'].column_names\n"
    )
    environment = {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1", "PATH": "/usr/bin:/bin"}
    subprocess.run([sys.executable, "-c", script, tmp_path / "d", tmp_path / "out.json"], check=True, env=environment)
    loaded = json.loads((tmp_path / "out.json").read_text())
    assert set(loaded) == set(CONFIGS) - {"undecided"}
    assert "| `undecided` | 0 |" in (tmp_path / "d" / "README.md").read_text()
    for config in loaded:
        assert loaded[config] == [list(CONFIGS[config]), rows_of(tmp_path / "d", config)]


def test_a_row_without_optional_columns_is_complete():
    row = default_row({"id": "a", "problem": "p", "solution": "s", "output_text": "1", "code": "c", "lineage": ""})
    assert list(row) == list(CONFIGS["default"]) and row["parent_ids"] == [] and row["judge_model"] == ""
