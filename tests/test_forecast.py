"""The budget planner: intervals that hold, pilots on the real runner, and what is said where a pilot can't tell."""

import json
import random
import subprocess
import sys

import pytest
import yaml
from made_runs import make_run
from test_budget import PROGRAMS, account_of, sampling_recipe

from caco_recipes import pipeline
from caco_recipes.forecast import forecast
from caco_recipes.forecast_text import forecast_text, short
from caco_recipes.pilot import Pilot, StepPilot, make_pilot, read_pilot
from caco_recipes.recipe import RecipeError

CHAIN = ("unify", "execute", "solve", "verify")


def chain_recipe(folder, **keys):
    """A recipe of one seeds step and four that follow each other; nothing of it is run."""
    content = {
        "name": "chain",
        "output_dir": str(folder / "runs"),
        "workers": 4,
        "engines": {"teacher": {"engine": "vllm", "model": "m", "tensor_parallel_size": 8}},
        "stages": {
            "seeds": {"sources": [{"path": "recipes/quickstart/data/seeds.jsonl"}]},
            "unify": {"engine": "teacher"},
            "execute": {},
            "solve": {"engine": "teacher"},
            "verify": {},
        },
    }
    path = folder / "chain.yaml"
    path.write_text(yaml.safe_dump(content | keys, sort_keys=False))
    return pipeline.load_run(path)


def made_pilot(folder, total, counts, tokens=None, seconds=10.0):
    """`counts`: step -> (rows, accepted)."""
    steps = {}
    for name, (rows, accepted) in counts.items():
        parts = tokens(name, rows) if tokens else []
        steps[name] = StepPilot(rows, rows, accepted, parts, seconds, {})
    return Pilot(folder, steps, {"seeds": {"rows": total, "accepted": total}})


def step_of(made, name):
    return next(step for step in made.steps if step.name == name)


def test_one_step_gives_clopper_and_pearsons_interval(tmp_path):
    run = chain_recipe(tmp_path)
    # Published values of the exact 95 % interval: 10 of 100, none of 100, all of 100.
    for accepted, low, high in ((10, 0.0490, 0.1762), (0, 0.0, 0.0362), (100, 0.9638, 1.0)):
        made = forecast(run, made_pilot(tmp_path, 1_000_000, {"unify": (100, accepted)}))
        kept = step_of(made, "unify").kept
        assert kept.middle == pytest.approx(10_000 * accepted)
        assert kept.low / 1e6 == pytest.approx(low, abs=0.002) and kept.high / 1e6 == pytest.approx(high, abs=0.002)


def test_intervals_of_the_whole_chain_hold_what_they_promise(tmp_path):
    run, draw = chain_recipe(tmp_path), random.Random(5)
    truth, total, hit, trials = (0.8, 0.95, 0.6, 0.9), 20_000, 0, 80
    for _ in range(trials):
        counts, rows = {}, 200
        for name, share in zip(CHAIN, truth, strict=True):
            accepted = sum(draw.random() < share for _ in range(rows))
            counts[name], rows = (rows, accepted), accepted
        kept = forecast(run, made_pilot(tmp_path, total, counts)).total.kept
        hit += kept.low <= total * 0.8 * 0.95 * 0.6 * 0.9 <= kept.high
        assert kept.high - kept.low < 0.5 * kept.middle  # and are of use
    assert hit >= 0.95 * trials - 5


def test_a_pilot_that_kept_nothing_gives_an_upper_bound_and_nothing_behind_it_is_known(tmp_path):
    run = chain_recipe(tmp_path)
    counts = {"unify": (200, 150), "execute": (150, 0)}
    made = forecast(run, made_pilot(tmp_path, 10_000, counts))
    execute, solve = step_of(made, "execute"), step_of(made, "solve")
    assert execute.kept.middle == execute.kept.low == 0 and 100 < execute.kept.high < 250
    assert "the pilot kept none of 150: at most 2.4 %" in execute.notes[0]
    assert solve.kept.low == 0 and solve.kept.high == pytest.approx(execute.kept.high, rel=0.1)
    assert solve.hours is None and "solve" in made.unknown and "verify" in made.unknown
    text = forecast_text(made, "runs/x")
    assert "anything from none to all" in text and "solve, verify" in text.split("leave out")[1]


def test_tokens_hours_and_cost_at_stated_speeds_and_prices(tmp_path):
    prices = {"gpu_hour": 2.0, "cpu_hour": 0.1, "engines": {"teacher": {"tokens_per_second": 1000, "prompt": 0.5}}}
    run = chain_recipe(tmp_path, prices=prices)
    counts = dict.fromkeys(CHAIN, (200, 200))

    def tokens(name, rows):
        return [(20, 20 * 400, 20 * 100)] * 10 if name in ("unify", "solve") else []

    made = forecast(run, made_pilot(tmp_path, 36_000, counts, tokens))
    unify = step_of(made, "unify")
    assert unify.prompt_tokens.middle == 36_000 * 400 and unify.completion_tokens.middle == 36_000 * 100
    # Every part was alike, so only the share of rows is uncertain.
    assert unify.prompt_tokens.low == pytest.approx(unify.prompt_tokens.middle, rel=0.03)
    assert unify.speed == "stated" and unify.hours.middle == pytest.approx(36_000 * 500 / 1000 / 3600)
    assert unify.gpu_hours.middle == pytest.approx(8 * 5) and unify.cpu_hours.middle == pytest.approx(4 * 5)
    assert unify.cost.middle == pytest.approx(8 * 5 * 2 + 4 * 5 * 0.1 + 14.4 * 0.5)
    execute = step_of(made, "execute")
    assert execute.speed == "pilot" and execute.hours.middle == pytest.approx(36_000 * 10 / 200 / 3600)
    assert execute.gpu_hours.high == 0


def test_tokens_scatter_as_the_pilots_parts_did(tmp_path):
    run = chain_recipe(tmp_path)
    wide = [(20, 20 * 400, 20 * length) for length in (10, 500, 20, 900, 30, 700, 15, 40, 800, 25)]
    narrow = [(20, 20 * 400, 20 * 304)] * 10
    spans = []
    for parts in (wide, narrow, wide[:3]):
        made = forecast(run, made_pilot(tmp_path, 1000, {"unify": (200, 200)}, lambda n, r, parts=parts: parts))
        new = step_of(made, "unify").completion_tokens
        spans.append((new.high - new.low) / new.middle)
    assert spans[0] > 1.0 and spans[1] < 0.1 and 0.1 < spans[2] < 1.0


def test_a_pilot_of_a_real_model_forecasts_the_whole_run(tmp_path):
    whole = pipeline.load_run(sampling_recipe(tmp_path), {"name": "whole"})
    pipeline.run_steps(whole)
    spent = account_of(whole).spent()
    run = pipeline.load_run(sampling_recipe(tmp_path))
    pilot = make_pilot(run, 20, {})
    assert pilot.steps["sample"].rows == 20 and pilot.folder.name == "sampled-pilot"
    made = forecast(run, pilot)
    assert made.total.rows.middle == PROGRAMS
    tokens = made.total.completion_tokens
    assert tokens.low <= spent.completion_tokens <= tokens.high and tokens.low > 0.5 * spent.completion_tokens
    kept = sum(1 for _ in whole.step_folder("sample").read())
    assert made.total.kept.low <= kept <= made.total.kept.high
    before = len(list(read_events_of(pilot.folder)))
    assert make_pilot(run, 20, {}).steps == pilot.steps
    # The second time everything is there: no request is asked.
    assert not [e for e in list(read_events_of(pilot.folder))[before:] if e["event"] == "part"]


def read_events_of(folder):
    from caco_recipes.events import read_events

    return read_events(folder / "events.jsonl")


def test_the_command_on_the_recorded_loop(root, tmp_path):
    words = [sys.executable, "-m", "caco_recipes", "plan", "recipes/quickstart/recorded.yaml", "--pilot-rows", "60"]
    words += ["--output_dir", str(tmp_path), "--prices.currency", "EUR"]
    done = subprocess.run([*words, "--json"], cwd=root, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    made = json.loads(done.stdout)
    steps = {step["name"]: step for step in made["steps"]}
    assert steps["seeds"]["kept"] == {"middle": 309, "low": 309, "high": 309}  # counted over the whole file
    # What the whole run keeps (README): 280 distinct programs, 245 verified rows.
    for name, rows in (("code_cots", 280), ("verify", 245)):
        assert steps[name]["kept"]["low"] <= rows <= steps[name]["kept"]["high"] < 360
    again = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert again.returncode == 0 and "EUR" in again.stdout and "counted, not forecast" in again.stdout
    assert not (tmp_path / "quickstart-recorded").exists(), "a pilot must leave the run itself alone"


def test_seeds_are_drawn_over_the_whole_source(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    from caco_recipes.pilot import _draw_seeds

    run = pipeline.load_run("recipes/quickstart/recorded.yaml", {"output_dir": str(tmp_path)})
    counts, chosen = _draw_seeds(run, run.step("seeds"), 100, 7)
    assert counts == {"rows": 309, "accepted": 309, "reasons": {}} and len(chosen) == 100
    everything = [row["problem"] for row in run.step("seeds").module.rows(run.step("seeds").config, None)]
    places = [everything.index(row["problem"]) for row in chosen]
    assert places == sorted(places) and len(set(places)) == 100
    assert min(places) < 30 and max(places) > 279 and 120 < sum(places) / 100 < 190
    assert {row["licence"] for row in chosen} - {""}, "licences and sources go with the rows"


def test_a_model_that_is_not_trained_yet_is_said_before_anything_runs(root, tmp_path):
    words = [sys.executable, "-m", "caco_recipes", "plan", "recipes/Caco-1.3M", "--output_dir", str(tmp_path)]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert done.returncode == 2
    assert "engine codegen uses the model that step codegen makes" in done.stderr and "--pilot-train" in done.stderr
    assert not list(tmp_path.iterdir())


def test_the_papers_recipe_from_another_runs_folder(root, tmp_path, monkeypatch):
    monkeypatch.chdir(root)
    run = pipeline.load_run("recipes/Caco-1.3M", {"prices": {"engines": {"teacher": {"tokens_per_second": 5000}}}})
    made = forecast(run, read_pilot(make_run(tmp_path / "other", 200)))
    assert step_of(made, "sample").rows.middle == 5_300_000
    assert step_of(made, "unify").speed == "stated" and step_of(made, "unify").gpu_hours.middle > 0
    training = step_of(made, "codegen")
    assert training.prompt_tokens.middle > 0 and "prices.engines.codegen.tokens_per_second" in training.notes[-1]
    assert "sample" in made.unknown and "codegen" in made.unknown
    text = forecast_text(made, "runs/other")
    assert all(len(line) < 200 for line in text.splitlines()) and "5.3M" in text


def test_a_wrong_number_of_rows(root):
    words = [sys.executable, "-m", "caco_recipes", "plan", "recipes/quickstart/recorded.yaml", "--pilot-rows", "0"]
    done = subprocess.run(words, cwd=root, capture_output=True, text=True)
    assert done.returncode == 2 and "at least 1" in done.stderr


def test_how_figures_are_written():
    values = (0, 0.00009, 0.0123, 3, 12.34, 999, 1234, 12_345, 1_348_799, 6.02e9)
    assert [short(v) for v in values] == [
        "0", "9e-05", "0.0123", "3", "12.3", "999", "1,234", "12.3K", "1.35M", "6.02B",
    ]  # fmt: skip


def test_unknown_recipe_errors_are_clear(tmp_path):
    with pytest.raises(RecipeError, match="tokens_per_second"):
        chain_recipe(tmp_path, prices={"engines": {"teacher": {"token_per_second": 1}}})
