"""Sampling from CodeGen: the exact prefix, samples by index, what was cut off; on a real (tiny, random) model."""

import pytest
from nano_model import nano_model
from stage_runs import dropped, kept, recording, run_stages

from caco_recipes import identity
from caco_recipes.sample import PREFIX, Config
from caco_recipes.training.text_format import FORMATS

COT = 'def f(n):\n    return n * 2\n\n\ninput = {"n": 3}\noutput = f(**input)\nprint(output)\n'


@pytest.fixture(scope="module")
def engine():
    return {"engine": "transformers", "model": str(nano_model()), "batch_size": 8, "device": "cpu"}


def sample(tmp_path, engine, **keys):
    keys = {"engine": "codegen", "max_tokens": 12} | keys
    return run_stages(tmp_path, {"sample": keys}, engines={"codegen": engine}, shard_rows=4)


def all_rows(run):
    rows = [*kept(run, "sample"), *dropped(run, "sample")]
    return {row["sample_index"]: row for row in rows}


def test_the_prefix_is_the_text_that_codegen_is_trained_on():
    text = FORMATS["codegen"]
    assert PREFIX == text.prompt
    assert Config(engine="x").stop == [text.end_token]
    assert (Config(engine="x").temperature, Config(engine="x").max_tokens) == (0.9, 1024)


def test_samples_differ_by_index_and_not_by_shards_or_neighbours(tmp_path, engine):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = all_rows(sample(tmp_path / "a", engine, num_programs=10))
    assert sorted(first) == list(range(10))
    assert len({row["code"] for row in first.values()}) > 5
    later = all_rows(sample(tmp_path / "b", engine, num_programs=4, first_index=5))
    assert sorted(later) == [5, 6, 7, 8]
    assert all(later[index]["code"] == first[index]["code"] for index in later)
    receipt = identity.receipts(first[3]["lineage"])[-1]
    assert receipt["sample_index"] == 3 and receipt["prefix_sha256"] == identity.sha256_text(PREFIX)


def test_a_program_that_was_cut_off_is_rejected(tmp_path, engine):
    run = sample(tmp_path, engine, num_programs=6, max_tokens=3)
    reasons = {row["reason"] for row in dropped(run, "sample")}
    assert "truncated" in reasons
    assert all(row["finish"] != "length" for row in kept(run, "sample") if "finish" in row)
    assert len(kept(run, "sample")) + len(dropped(run, "sample")) == 6


def test_raw_and_fenced_programs(tmp_path):
    texts = [COT, f"Here:\n```python\n{COT}```", "  \n"]
    for name, expected in (("raw", [COT, texts[1] + "\n"]), ("fenced", [COT, COT])):
        (tmp_path / name).mkdir()
        run = run_stages(
            tmp_path / name,
            {"sample": {"engine": "recorded", "num_programs": 4, "program": name, "licence": "CC0-1.0"}},
            [recording("sample", "", text) for text in texts],
        )
        assert [row["code"] for row in kept(run, "sample")] == expected
        assert {row["licence"] for row in kept(run, "sample")} == {"CC0-1.0"}
        assert [row["reason"] for row in dropped(run, "sample")] == ["bad_row:program", "infrastructure:no recording"]


def test_greedy_sampling_of_many_is_refused():
    with pytest.raises(ValueError, match="same program"):
        Config(engine="x", temperature=0, num_programs=2)
    with pytest.raises(ValueError, match="name the engine"):
        Config()


def test_samples_by_domain_start_behind_it_and_say_which(tmp_path, engine):
    keys = {"condition_on": "domain", "domains": {"math": 3.0, "logic": 1.0, "code": 0.0}}
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first = all_rows(sample(tmp_path / "a", engine, num_programs=12, **keys))
    domains = [first[index]["domain"] for index in range(12)]
    assert set(domains) == {"math", "logic"} and domains.count("math") > domains.count("logic")
    later = all_rows(sample(tmp_path / "b", engine, num_programs=3, first_index=4, **keys))
    assert all(later[index]["domain"] == first[index]["domain"] for index in later)
    for row in first.values():
        # The very text that CodeGen learnt behind.
        prompt = FORMATS["codegen_domain"].render_prompt({"domain": row["domain"], "code": ""})
        assert identity.receipts(row["lineage"])[-1]["prefix_sha256"] == identity.sha256_text(prompt)


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"condition_on": "domain"}, "name domains and their shares"),
        ({"domains": {"math": 1.0}}, "only there"),
        ({"condition_on": "domain", "domains": {"math": 0.0}}, "above 0"),
        ({"condition_on": "domain", "domains": {"math": 1.0}, "domain": "math"}, "asked for"),
    ],
)
def test_domains_that_make_no_sense(keys, message):
    with pytest.raises(ValueError, match=message):
        Config(engine="x", **keys)
