"""Control arms: draws of one size from a run, paired tables whose words follow the intervals, and one real tiny comparison."""

import json

import pytest
import yaml
from made_runs import make_run
from stage_runs import kept, run_stages

from caco_recipes import cli, control, draw, pipeline
from caco_recipes.evaluation.metrics import compare
from caco_recipes.identity import receipts
from caco_recipes.recipe import RecipeError
from caco_recipes.run_folder import RunError, StepFolder


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("source") / "made", 400)


def drawn(folder, source, **keys):
    folder.mkdir(parents=True, exist_ok=True)
    run = run_stages(folder, {"arm": {"stage": "draw", "run": str(source), "rows": 60} | keys}, shard_rows=25)
    return kept(run, "arm")


def test_verified_and_unverified_rows_have_one_size_and_say_what_they_were(tmp_path, source):
    verified = drawn(tmp_path / "v", source)
    unverified = drawn(tmp_path / "u", source, arm="unverified")
    assert len(verified) == len(unverified) == 60
    assert {row["was"] for row in verified} == {"accepted"}
    counts = json.loads((source / "verify" / "manifest.json").read_text())["totals"]
    share = sum(row["was"] == "accepted" for row in unverified) / 60
    assert abs(share - counts["accepted"] / counts["rows"]) < 0.2 and share < 1
    assert {row["was_reason"] for row in unverified} >= {"", "answer_mismatch"}
    rows = {row["id"]: row for row in StepFolder(source / "verify").read()}
    for row in verified:
        assert row["instruction"] == rows[row["id"]]["problem"].strip()
        assert row["output"] == rows[row["id"]]["solution"].strip()
        assert row["parent_ids"] == rows[row["id"]]["parent_ids"]
        assert receipts(row["lineage"])[-1] | {"version": 0} == {
            "stage": "draw", "version": 0, "arm": "verified", "was": "accepted", "draw_seed": 42,
        }  # fmt: skip
    rejected = drawn(tmp_path / "r", source, arm="rejected")
    assert {row["was"] for row in rejected} == {"rejected"}


def test_draws_nest_by_size_differ_by_seed_and_not_by_shards(tmp_path, source):
    large = [row["id"] for row in drawn(tmp_path / "l", source)]
    assert [row["id"] for row in drawn(tmp_path / "s", source, rows=20)] == large[:20]
    again = [row["id"] for row in drawn(tmp_path / "a", source, draw_seed=43)]
    assert again != large and 0 < len(set(again) & set(large)) < 60


def test_easy_and_hard_are_the_ends_of_the_verified_rows(tmp_path, source):
    easy = drawn(tmp_path / "e", source, arm="easy", hardness="solve_rate", rows=40)
    hard = drawn(tmp_path / "h", source, arm="hard", hardness="solve_rate", rows=40)
    rates = sorted(1 - row["solve_rate"] for row in StepFolder(source / "verify").read())
    assert sorted(row["hardness"] for row in easy) == pytest.approx(rates[:40])
    assert sorted(row["hardness"] for row in hard) == pytest.approx(rates[-40:])
    assert draw._hardness({"code": "# a\n\nx = 1\ny = 2\n"}, "code_lines") == 2.0
    assert draw._hardness({"pass_rate": None}, "pass_rate") is None


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"rows": 10_000}, r"10000 verified rows were asked for and .* has \d+; every arm has the same size"),
        ({"arm": "easy", "hardness": "pass_rate"}, "has 0 with a pass_rate"),
        ({"steps": ["verfy"]}, "did you mean 'verify'"),
        ({"run": "nowhere"}, "nowhere is not a folder"),
    ],
)
def test_draws_that_can_t_be_made_say_why(tmp_path, source, keys, message):
    with pytest.raises(RecipeError, match=message):
        drawn(tmp_path, source, **keys)


# -- the tables --------------------------------------------------------------------------------------------------------


def evaluation(folder, scores):
    """An evaluation's files with the given 0 and 1 per label and benchmark."""
    models = {}
    for label, by_benchmark in scores.items():
        (folder / label).mkdir(parents=True)
        models[label] = {"items": {name: f"{label}/items-{name}.jsonl" for name in by_benchmark}}
        for name, right in by_benchmark.items():
            lines = [
                {
                    "id": str(i),
                    "judgements": {"strict": {"verdict": {1: "accepted", 0: "rejected"}.get(one, "undecided")}},
                }
                for i, one in enumerate(right)
            ]
            (folder / label / f"items-{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "results.json").write_text(json.dumps({"models": models}))
    return folder


def test_differences_are_paired_and_the_words_follow_the_interval(tmp_path, source):
    good, poor = [1] * 70 + [0] * 30, [1] * 40 + [0] * 60
    folder = evaluation(
        tmp_path / "evaluate",
        {"base": {"a": poor, "b": poor}, "unverified": {"a": poor, "b": poor}, "verified": {"a": good, "b": poor[::-1]},
         "verified_again": {"a": good[::-1], "b": poor}, "same": {"a": good[::-1], "b": poor}},
    )  # fmt: skip
    config = control.Config(pairs=[["unverified", "verified"], ["verified_again", "same"]])
    found = control.of_run(source, folder, config)
    first = found["pairs"][0]
    expected = compare([float(x) for x in poor + poor], [float(x) for x in good + poor[::-1]])
    assert first["all"]["p_value"] == expected.p_value and first["all"]["difference"]["items"] == 200
    assert first["benchmarks"]["a"]["only_second"] == 30 and first["benchmarks"]["a"]["only_first"] == 0
    assert found["pairs"][1]["says"].startswith("same and verified_again can't be told apart: +0.0 points")
    assert "differences under about" in found["pairs"][1]["says"]
    text = control.document(found)
    assert "two draws of the same kind (verified, verified" in text and "trained once" in text
    assert control.verdict("x", "y", compare([0.0] * 80, [1.0] * 80)).startswith("y is better than x: +100.0 points")
    assert control.verdict("x", "y", compare([1.0] * 80, [0.0] * 80)).startswith("y is worse than x")
    assert found["arms"]["verified"]["trained_on"] is None  # the run has no such draw


def test_undecided_items_are_not_right_and_items_are_matched_by_id(tmp_path):
    folder = evaluation(tmp_path / "e", {"unverified": {"a": [1, 2, 0, 1]}, "verified": {"a": [1, 1, 0]}})
    scores = control.read_scores(folder, "strict")
    assert list(scores["unverified"]["a"].values()) == [1.0, 0.0, 0.0, 1.0]
    pair = control._pair(scores, "unverified", "verified")
    assert pair["all"]["difference"]["items"] == 3 and pair["all"]["only_second"] == 1


def test_what_is_missing_is_said(tmp_path, source):
    folder = evaluation(tmp_path / "e", {"verified": {"a": [1]}})
    with pytest.raises(RunError, match="no model 'unverified': verified"):
        control.of_run(source, folder, control.Config())
    with pytest.raises(RunError, match="holds no finished evaluation"):
        control.read_scores(tmp_path, "strict")
    with pytest.raises(RunError, match="'caco' is not one of strict"):
        control.read_scores(folder, "caco")
    with pytest.raises(ValueError, match="two arms each"):
        control.Config(pairs=[["a"]])
    assert cli.main(["control", str(source)]) == 2


@pytest.mark.parametrize("name", ["pipeline", "small"])
def test_the_recipes_train_and_evaluate_every_arm(root, name):
    run = pipeline.load_run(root / "recipes" / "control" / f"{name}.yaml")
    draws = {step.name: step.config for step in run.steps if step.stage == "draw"}
    assert len({config.rows for config in draws.values()}) == 1, "arms of one size"
    assert {config.arm for config in draws.values()} == {"verified", "unverified", "easy", "hard"}
    recipes = {(step.config.recipe, step.config.accelerate_config) for step in run.steps if step.stage == "sft"}
    assert len(recipes) == 1, "arms are trained alike"
    models = run.step("evaluate").config.models
    assert set(models) == {"base", *draws}
    for arm in draws:
        assert models[arm] == f"${{run_dir}}/train_{arm}/model" and run.step(f"train_{arm}").inputs == [arm]
    compared = [arm for pair in run.step("control").config.pairs for arm in pair]
    assert set(compared) | set(run.step("control").config.noise) == set(draws)


@pytest.mark.slow
@pytest.mark.model
def test_a_real_comparison_at_toy_size_says_that_it_can_t_tell(root, tmp_path, source, monkeypatch):
    """Two arms, two steps of the small model each, eight items: everything is real, and the words admit what that is."""
    if not (root / "models" / "SmolLM2-135M-Instruct").exists():
        pytest.skip("the small model is not here: python -m caco_recipes.small_model models/SmolLM2-135M-Instruct")
    monkeypatch.chdir(root)
    monkeypatch.setenv("PYTHONPATH", str(root))
    evaluate = yaml.safe_load((root / "recipes/quickstart/evaluate.yaml").read_text())
    evaluate |= {"benchmarks": ["gsm8k"], "limit": 8, "sampling": evaluate["sampling"] | {"max_tokens": 48}}
    (tmp_path / "evaluate.yaml").write_text(yaml.safe_dump(evaluate))
    train = {
        "stage": "sft",
        "recipe": "recipes/quickstart/reasoner_sft.yaml",
        "overrides": {"max_steps": "2", "max_length": "256"},
    }
    run = run_stages(
        tmp_path,
        {
            "unverified": {"stage": "draw", "run": str(source), "arm": "unverified", "rows": 40},
            "verified": {"stage": "draw", "run": str(source), "rows": 40},
            "train_unverified": train | {"input": ["unverified"]},
            "train_verified": train | {"input": ["verified"]},
            "evaluate": {
                "input": ["verified"],
                "recipe": str(tmp_path / "evaluate.yaml"),
                "models": {name: "${run_dir}/train_" + name + "/model" for name in ("unverified", "verified")},
            },
            "control": {"input": ["evaluate"], "pairs": [["unverified", "verified"]], "noise": []},
        },
    )
    text = (run.folder / "control" / "control.md").read_text()
    assert "| unverified | 40 |" in text and "| verified | 40 | 40 |" in text
    assert "can't be told apart" in text and "With 8 items" in text
    found = json.loads((run.folder / "control" / "control.json").read_text())
    assert found["arms"]["unverified"]["trained_on"]["passed"] < 40
    assert cli.main(["control", str(run.folder), "--pair", "unverified,verified"]) == 0
