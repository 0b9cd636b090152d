"""Seeds: one schema from every set's own columns, bad rows counted, sources that can't be read named clearly."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from stage_runs import dropped, kept, run_stages, write_json_lines

from caco_recipes import identity
from caco_recipes.recipe import RecipeError
from caco_recipes.seed_sets import COLUMNS
from caco_recipes.seeds import Config, Source, rows


def seeds_run(tmp_path, *sources, **keys):
    return run_stages(tmp_path, {"seeds": {"sources": list(sources)} | keys}, shard_rows=2)


def test_a_file_of_ones_own_needs_only_the_problem(tmp_path):
    path = write_json_lines(
        tmp_path / "mine.jsonl", [{"problem": "What is 2 + 2?"}, {"problem": "3 * 5?", "answer": 15}]
    )
    run = seeds_run(tmp_path, {"path": str(path), "licence": "CC0-1.0"})
    first, second = kept(run, "seeds")
    assert {name: first[name] for name in COLUMNS} == {
        "problem": "What is 2 + 2?",
        "solution": "",
        "answer": "",
        "program": "",
        "tests": "",
        "domain": "math",
        "source": "mine.jsonl",
        "licence": "CC0-1.0",
        "solve_rate": None,
    }
    assert second["answer"] == "15"
    assert first["id"] == identity.seed_id("What is  2 + 2?")
    receipt = identity.receipts(first["lineage"])[0]
    assert receipt["stage"] == "seeds" and receipt["row"] == 1 and receipt["content"].startswith("sha256:")


def test_columns_are_mapped_by_the_recipe_and_parquet_is_read(tmp_path):
    table = pa.Table.from_pylist([{"frage": "Eins plus eins?", "loesung": "2", "herkunft": "Heft"}] * 1)
    pq.write_table(table, tmp_path / "mine.parquet")
    columns = {"problem": "frage", "answer": "loesung", "source": "herkunft"}
    run = seeds_run(tmp_path, {"path": str(tmp_path / "mine.parquet"), "columns": columns})
    (row,) = kept(run, "seeds")
    assert (row["problem"], row["answer"], row["source"]) == ("Eins plus eins?", "2", "Heft")


# The columns of each set as they stand on the Hub, with one or two rows; what a seed of it must be.
HUB_SCHEMAS = {
    "math": (
        [{"problem": "P?", "level": "Level 1", "type": "Algebra", "solution": "So it is $\\boxed{\\frac{1}{2}}$."}],
        {
            "answer": "\\frac{1}{2}",
            "licence": "MIT",
            "domain": "math",
            "source": "EleutherAI/hendrycks_math (Algebra)",
        },
    ),
    "gsm8k": (
        [{"question": "P?", "answer": "He has 3*400=<<3*400=1200>>1200 coins.\n#### 1,200"}],
        {"answer": "1200", "solution": "He has 3*400=1200 coins.", "licence": "MIT", "source": "openai/gsm8k"},
    ),
    "deepscaler": (
        [{"problem": "P?", "answer": "-\\frac{2}{3}", "solution": "1. Long.\n2. Short."}],
        {"answer": "-\\frac{2}{3}", "solution": "1. Long.\n2. Short.", "licence": "MIT"},
    ),
    "big_math": (
        [
            {
                "problem": "P?",
                "answer": "7",
                "source": "orca_math",
                "domain": ["Mathematics -> Algebra"],
                "llama8b_solve_rate": 0.2,
            }
        ],
        {"answer": "7", "solve_rate": 0.2, "licence": "Apache-2.0", "domain": "math"},
    ),
    "kodcode": (
        [
            {
                "version": "v1.0",
                "style": "instruct",
                "subset": "Prefill",
                "question_id": "Prefill_1_I",
                "question": "P?",
                "solution": "def f(a):\n    return a",
                "test": "from solution import f\n\ndef test_f():\n    assert f([1, 2]) == [1, 2]",
                "test_info": [{"function_name": "f", "parameter_list": "(a)"}],
                "gpt_pass_percentage": 1.0,
            }
        ],
        {"program": "def f(a):\n    return a", "domain": "code", "licence": "CC-BY-NC-4.0", "answer": ""},
    ),
    "megascience": (
        [
            {
                "question": "P?",
                "answer": "Because.",
                "subject": "physics",
                "reference_answer": "9.8",
                "source": "textbook",
            }
        ],
        {"answer": "9.8", "solution": "Because.", "domain": "science", "licence": "CC-BY-NC-SA-4.0"},
    ),
}


@pytest.mark.parametrize("name", HUB_SCHEMAS)
@pytest.mark.parametrize("form", ["jsonl", "parquet"])
def test_known_sets_are_read_in_their_own_schema(tmp_path, name, form):
    raw, expected = HUB_SCHEMAS[name]
    path = tmp_path / f"rows.{form}"
    if form == "jsonl":
        write_json_lines(path, raw)
    else:
        pq.write_table(pa.Table.from_pylist(raw), path)
    (row,) = kept(seeds_run(tmp_path, {"set": name, "path": str(path)}), "seeds")
    assert row["problem"] == "P?"
    assert {key: row[key] for key in expected} == expected


def test_the_difficulty_cut_is_strict_and_counted(tmp_path):
    rates = [0.0, 0.29, 0.3, 0.9, None]
    raw = [{"problem": f"P{i}?", "answer": "1", "llama8b_solve_rate": rate} for i, rate in enumerate(rates)]
    path = write_json_lines(tmp_path / "big_math.jsonl", raw)
    run = seeds_run(tmp_path, {"set": "big_math", "path": str(path), "max_solve_rate": 0.3})
    assert [row["problem"] for row in kept(run, "seeds")] == ["P0?", "P1?"]
    reasons = [row["reason"] for row in dropped(run, "seeds")]
    assert reasons == ["bad_row:solve_rate", "bad_row:solve_rate", "bad_row:no_solve_rate"]


def test_rows_without_a_problem_are_counted_and_the_rest_goes_on(tmp_path):
    raw = [
        {"problem": "A?"},
        {"problem": ""},
        {"answer": "1"},
        {"problem": None},
        {"problem": ["x"]},
        {"problem": "B?"},
    ]
    run = seeds_run(tmp_path, {"path": str(write_json_lines(tmp_path / "mine.jsonl", raw))})
    assert [row["problem"] for row in kept(run, "seeds")] == ["A?", "B?"]
    rejected = dropped(run, "seeds")
    assert [row["reason"] for row in rejected] == ["bad_row:problem"] * 4
    assert len({row["id"] for row in rejected}) == 4


def test_a_problem_counts_once_over_sources_and_shards(tmp_path):
    first = write_json_lines(tmp_path / "a.jsonl", [{"problem": f"P{i}?"} for i in range(5)])
    second = write_json_lines(tmp_path / "b.jsonl", [{"problem": "P1?  "}, {"problem": "new?"}, {"problem": "P4?"}])
    run = seeds_run(tmp_path, {"path": str(first)}, {"path": str(second)})
    assert len(kept(run, "seeds")) == 6
    assert [row["reason"] for row in dropped(run, "seeds")] == ["duplicate:seed"] * 2
    again = seeds_run(tmp_path, {"path": str(first)}, {"path": str(second)}, drop_duplicates=False)
    assert len(kept(again, "seeds")) == 8


@pytest.mark.parametrize(
    "content, message",
    [
        ("", "empty"),
        ("\n\n", "empty"),
        ('{"problem": "A?"}\n{"problem": \n', "line 2: not JSON"),
        ("problem,answer\nA,1\n", "line 1: not JSON"),
        ('["A?"]\n', "line 1: a row is a JSON object"),
        ('{"problme": "A?"}\n', "no column 'problem' for 'problem'; did you mean 'problme'"),
        ('{"text": "A?", "label": 1}\n', r"no column 'problem' .*valid: label, text.*columns: \{problem: NAME\}"),
        ("[" * 100_000 + "\n", "line 1: not JSON"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, content, message):
    path = tmp_path / "mine.jsonl"
    path.write_text(content)
    with pytest.raises(RecipeError, match=message) as caught:
        list(rows(Config(sources=[Source(path=str(path))]), None))
    assert str(path) in str(caught.value)


def test_files_that_are_not_there_or_not_what_they_say(tmp_path):
    with pytest.raises(RecipeError, match="can't be read"):
        list(rows(Config(sources=[Source(path=str(tmp_path / "none.jsonl"))]), None))
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(RecipeError, match="not a Parquet file"):
        list(rows(Config(sources=[Source(path=str(tmp_path / "bad.parquet"))]), None))
    (tmp_path / "latin.jsonl").write_bytes(b'{"problem": "caf\xe9"}\n')
    with pytest.raises(RecipeError, match="line 1: not JSON"):
        list(rows(Config(sources=[Source(path=str(tmp_path / "latin.jsonl"))]), None))


def test_a_mapped_column_that_is_not_there_names_the_nearest(tmp_path):
    path = write_json_lines(tmp_path / "mine.jsonl", [{"question": "A?", "final_answer": "1"}])
    source = Source(path=str(path), columns={"problem": "question", "answer": "finalanswer"})
    with pytest.raises(RecipeError, match="no column 'finalanswer' for 'answer'; did you mean 'final_answer'"):
        list(rows(Config(sources=[source]), None))


@pytest.mark.parametrize(
    "keys, message",
    [
        ({}, "known set, a path, a Hub name or a kind"),
        ({"path": "a", "hub": "b/c"}, "known set, a path, a Hub name or a kind"),
        ({"set": "mathh"}, "did you mean 'math'"),
        ({"path": "a", "columns": {"problm": "q"}}, "did you mean 'problem'"),
    ],
)
def test_a_source_that_makes_no_sense_is_refused(keys, message):
    with pytest.raises(ValueError, match=message):
        Source(**keys)


@pytest.mark.parametrize(
    "file, columns, domain",
    [
        ("seeds_math.jsonl", {}, "math"),
        ("programs_math.jsonl", {}, "math"),
        ("programs_algo.jsonl", {"problem": "prompt", "program": "solution"}, "code"),
        ("kodcode_samples.jsonl", {"problem": "prompt", "program": "solution"}, "code"),
    ],
)
def test_real_rows(shared, file, columns, domain):
    source = Source(path=str(shared / "data" / "seeds" / file), columns=columns, domain=domain, limit=400)
    found = list(rows(Config(sources=[source]), None))
    assert len(found) == min(400, sum(1 for _ in open(source.path)))
    assert not [seed for seed in found if seed["reason"]]
    assert all(seed["problem"] and seed["source"] and seed["domain"] == domain for seed in found)
    if file == "seeds_math.jsonl":
        assert all(seed["answer"] for seed in found)
    else:
        assert all(seed["program"] for seed in found)


def test_a_hub_dataset_is_read_by_name_through_the_protocol(tmp_path, monkeypatch):
    """A local folder is what `load_dataset` reads like a Hub name; the commit comes from the Hub's own interface."""
    import huggingface_hub

    folder = tmp_path / "big_math"
    folder.mkdir()
    write_json_lines(folder / "train.jsonl", HUB_SCHEMAS["big_math"][0])
    asked = []
    info = type("Info", (), {"sha": "c0ffee"})()
    monkeypatch.setattr(
        huggingface_hub.HfApi, "dataset_info", lambda self, name, revision=None: asked.append((name, revision)) or info
    )
    source = Source(set="big_math", hub=str(folder), revision="main")
    (seed,) = rows(Config(sources=[source]), None)
    assert (seed["problem"], seed["solve_rate"], seed["answer"]) == ("P?", 0.2, "7")
    assert asked == [(str(folder), "main")]
    assert json.loads(seed["lineage"])[0]["content"] == "c0ffee"


def test_a_hub_that_cannot_be_reached_is_an_error_with_advice(monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        RecipeError, match=r"owner/nowhere is not on the Hub, or the Hub can't be reached .* local copy"
    ):
        list(rows(Config(sources=[Source(hub="owner/nowhere")]), None))
