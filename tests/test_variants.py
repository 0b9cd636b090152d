"""The variants stage: new problems with true answers, capped per family, the same for any shard size."""

import json

import pytest
from stage_runs import dropped, kept, recording, run_stages, write_json_lines

from caco_recipes.identity import receipts
from caco_recipes.sandbox import Pool

ROWS = [
    (
        "A shop sells twelve pens at $2.50 each and takes 20% off the total. What is to be paid?",
        "24.0",
        "def f(pens, price, discount):\n    total = pens * price\n    return total * (1 - discount)\n",
        '{"pens": 12, "price": 2.5, "discount": 0.2}',
    ),
    (
        "A loaf has 24 slices. Abby eats 4 slices a day. How many days does it last?",
        "6",
        "def f(slices, per_day):\n    days = slices / per_day\n    return int(days) if days == int(days) else days\n",
        '{"slices": 24, "per_day": 4}',
    ),
    (
        "What is the sum of the ages? Choices: A) 12 B) 14. Ann is 5 and Bob is 7.",
        "12",
        "def f(ann, bob):\n    # both of them\n    return ann + bob\n",
        '{"ann": 5, "bob": 7}',
    ),
]


def recipe(folder, **keys):
    rows = [
        {
            "problem": problem,
            "answer": answer,
            "program": f"{code}\n\n\ninput = {value}\noutput = f(**input)\nprint(output)\n",
            "source": "t",
            "licence": "MIT",
        }
        for problem, answer, code, value in ROWS
    ]
    path = write_json_lines(folder / "seeds.jsonl", rows)
    return {
        "seeds": {"sources": [{"path": str(path)}]},
        "unify": {"method": "mechanical"},
        "execute": {"rules": "none"},
        "metamorphic": {"reruns": 0},
        "originals": {"stage": "back_translate", "problems": "original"},
        "variants": {"per_family": 3} | keys,
    }


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    return run_stages(folder := tmp_path_factory.mktemp("variants"), recipe(folder))


def test_every_row_stays_and_families_grow(made):
    rows = kept(made, "variants")
    originals = kept(made, "originals")
    assert [row["id"] for row in rows if not row["variant"]] == [row["id"] for row in originals]
    families = {}
    for row in rows:
        families.setdefault(row["family_id"], []).append(row["variant"])
    # the problem with answer options has no variants: the options would be wrong
    assert sorted(map(len, families.values())) == [1, 4, 4]
    assert not dropped(made, "variants")


def test_a_variant_is_a_row_of_its_own(made):
    rows = [row for row in kept(made, "variants") if row["variant"]]
    assert len({row["id"] for row in rows}) == len(rows)
    by_id = {row["id"]: row for row in kept(made, "variants")}
    for row in rows:
        assert row["problem_origin"] == "variant" and by_id[row["parent_ids"][-1]]["family_id"] == row["family_id"]
        assert not row["expected_answer"] and not row["solution"] and not row["answer"]
        receipt = receipts(row["lineage"])[-1]
        assert receipt["stage"] == "variants" and receipt["of"] == row["parent_ids"][-1]
        value = json.loads(row["input"])
        if "pens" in value:
            assert (
                f"${value['price']:.2f}" in row["problem"] and f"{round(100 * value['discount'])}%" in row["problem"]
            )
            assert "12" not in row["problem"] or value["pens"] == 12
        else:
            assert f"{value['slices']} slices" in row["problem"] and row["output_text"].isdigit()


def test_variants_replay(made):
    rows = kept(made, "variants")
    with Pool(workers=1) as pool:
        for row, result in zip(rows, pool.run([row["code"] for row in rows]), strict=True):
            assert result.ok and (result.output, result.input) == (row["output"], row["input"])
            assert result.output_text == row["output_text"]


def test_the_cap_holds_across_shards_and_a_resumed_run(made, tmp_path):
    run = run_stages(tmp_path, recipe(tmp_path), shard_rows=1)
    assert kept(run, "variants") == kept(made, "variants")
    folder = run.step_folder("variants")
    last = sorted(folder.folder.glob("part-*.parquet"))[-1]
    before = last.read_bytes()
    for path in folder.folder.glob(last.stem[:10] + "*"):
        path.unlink()
    run_stages(tmp_path, recipe(tmp_path), shard_rows=1)
    assert last.read_bytes() == before


def test_a_model_tells_it_in_other_words(made, tmp_path):
    filled = [row for row in kept(made, "variants") if row["variant"]]
    words = [
        recording("rewrite_problem", row["problem"], f"<problem>So: {row['problem']}</problem>") for row in filled
    ]
    words[0] = recording("rewrite_problem", filled[0]["problem"], "<problem>A shop sells pens.</problem>")
    words[1] = recording("rewrite_problem", filled[1]["problem"], "<problem></problem>")
    run = run_stages(tmp_path, recipe(tmp_path, rewrite=True, engine="recorded"), words)
    assert {row["problem"] for row in kept(run, "variants") if row["variant"]} == {
        f"So: {row['problem']}" for row in filled[2:]
    }
    assert sorted(row["reason"] for row in dropped(run, "variants")) == [
        "bad_row:problem",
        "unfaithful:price",
    ] or sorted(row["reason"] for row in dropped(run, "variants")) == ["bad_row:problem", "unfaithful:pens"]
    assert all("request_key" in receipts(row["lineage"])[-1] for row in kept(run, "variants") if row["variant"])


def test_an_engine_that_fails_rejects_nothing(tmp_path):
    run = run_stages(tmp_path, recipe(tmp_path, rewrite=True, engine="recorded"), [recording("solve", "x", "y")])
    lost = dropped(run, "variants")
    assert lost and {row["verdict"] for row in lost} == {"undecided"}
    assert all(row["reason"].startswith("infrastructure:") for row in lost)
